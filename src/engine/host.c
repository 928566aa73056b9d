/*
 * The module host: calls the hooks, gives the services (<bruit/module.h>).
 *
 * Hooks run at rest: after a change is complete, after a message was taken apart. A service never calls back into
 * the module that uses it before it returns.
 */
#include "module/host.h"

#include "base/time.h"
#include "engine/document.h"
#include "engine/engine.h"

/* ---- hooks ---- */

void br_hosts_changed(struct bruit_engine *engine, uint32_t slot, uint32_t changes)
{
    if (changes == 0)
        return;
    br_view_note(&engine->core.view, slot, changes);
    br_hosts_told(engine, slot, changes);
}

void br_hosts_told(struct bruit_engine *engine, uint32_t slot, uint32_t changes)
{
    for (size_t i = 0; i < engine->host_count; i++)
        if (engine->hosts[i].module->on_member != NULL)
            engine->hosts[i].module->on_member(engine->hosts[i].state, slot, changes);
}

void br_hosts_user_message(struct bruit_engine *engine, struct bruit_bytes message,
                           const struct bruit_addr *from)
{
    uint8_t owner = message.size == 0 ? 0 : engine->message_owner[message.data[0]];
    if (owner == 0) {
        br_core_drop(&engine->core, BRUIT_DROP_UNCLAIMED_MESSAGE);
        return;
    }
    const struct bruit_host *host = &engine->hosts[owner - 1];
    host->module->on_message(host->state, message, br_bytes(message.data + 1, message.size - 1), from);
}

/* Handles are never used twice, so each module simply looks whether it is one of its own. */
void br_hosts_wake(struct bruit_engine *engine, bool fresh)
{
    const struct br_broadcast *broadcast = &engine->broadcast;
    br_gossip_wake(&engine->gossip, br_broadcast_waits(broadcast), fresh && br_broadcast_has_untold(broadcast),
                   engine->core.now);
    if (engine->core.carries != 0)
        br_gossip_wake_peers(&engine->gossip, br_broadcast_peers(broadcast),
                             fresh && br_broadcast_untold_peers(broadcast) != 0, engine->core.now);
}

void br_hosts_broadcast_done(struct bruit_engine *engine)
{
    bruit_handle handle;
    while ((handle = br_broadcast_next_done(&engine->broadcast)) != 0)
        for (size_t i = 0; i < engine->host_count; i++)
            if (engine->hosts[i].module->on_broadcast_done != NULL)
                engine->hosts[i].module->on_broadcast_done(engine->hosts[i].state, handle, BRUIT_OK);
}

static bruit_time deadline_of(const struct bruit_host *host)
{
    return host->module->deadline == NULL ? BRUIT_NEVER : host->module->deadline(host->state);
}

bruit_time br_hosts_deadline(const struct bruit_engine *engine)
{
    bruit_time next = BRUIT_NEVER;
    for (size_t i = 0; i < engine->host_count; i++)
        next = br_time_min(next, deadline_of(&engine->hosts[i]));
    return next;
}

void br_hosts_tick(struct bruit_engine *engine)
{
    for (size_t i = 0; i < engine->host_count; i++)
        if (deadline_of(&engine->hosts[i]) <= engine->core.now && engine->hosts[i].module->on_time != NULL)
            engine->hosts[i].module->on_time(engine->hosts[i].state);
}

/* ---- questions ---- */

void br_host_carry(struct bruit_host *host, const struct br_carrier *carrier)
{
    host->engine->carrier = *carrier;
}

static bool claims(const struct bruit_module *module, struct bruit_bytes name)
{
    for (size_t i = 0; i < module->question_count; i++)
        if (br_bytes_equal(br_bytes_string(module->questions[i]), name))
            return true;
    return false;
}

bool br_host_question(struct bruit_host *host, const struct bruit_question *question)
{
    struct bruit_engine *engine = host->engine;
    for (size_t i = 0; i < engine->host_count; i++)
        if (claims(engine->hosts[i].module, question->name)) {
            engine->hosts[i].module->on_question(engine->hosts[i].state, question);
            return true;
        }
    return false;
}

void br_host_answered(struct bruit_host *host, uint32_t asker, const struct bruit_answer *answer)
{
    const struct bruit_host *home = &host->engine->hosts[asker];
    if (home->module->on_answer != NULL)
        home->module->on_answer(home->state, answer);
}

int bruit_host_ask(struct bruit_host *host, const char *name, struct bruit_bytes payload, bool until_all,
                   uint32_t *ask)
{
    const struct br_carrier *carrier = &host->engine->carrier;
    if (carrier->ask == NULL)
        return BRUIT_ENOENT;
    return carrier->ask(carrier->self, (uint32_t)(host - host->engine->hosts), name, payload, until_all, ask);
}

int bruit_host_answer(struct bruit_host *host, uint64_t question, struct bruit_bytes payload)
{
    const struct br_carrier *carrier = &host->engine->carrier;
    return carrier->answer == NULL ? BRUIT_ENOENT : carrier->answer(carrier->self, question, payload);
}

size_t bruit_host_answer_room(struct bruit_host *host, uint64_t question)
{
    const struct br_carrier *carrier = &host->engine->carrier;
    return carrier->answer_room == NULL ? 0 : carrier->answer_room(carrier->self, question);
}

int br_host_key(struct bruit_host *host, enum br_key_change change, struct bruit_bytes key)
{
    switch (change) {
    case BR_KEY_ADD: return bruit_key_add(host->engine, key);
    case BR_KEY_USE: return bruit_key_use(host->engine, key);
    case BR_KEY_REMOVE: return bruit_key_remove(host->engine, key);
    }
    return BRUIT_EINVAL;
}

/* ---- services ---- */

bruit_time bruit_host_now(const struct bruit_host *host)
{
    return host->engine->core.now;
}

uint64_t bruit_host_random(struct bruit_host *host)
{
    return br_rng_u64(&host->rng);
}

uint64_t bruit_host_random_below(struct bruit_host *host, uint64_t bound)
{
    return br_rng_time_below(&host->rng, bound);
}

void *bruit_host_resize(struct bruit_host *host, void *old, size_t old_size, size_t new_size)
{
    return br_alloc_resize(&host->engine->core.alloc, old, old_size, new_size);
}

struct br_alloc *br_host_alloc(struct bruit_host *host)
{
    return &host->engine->core.alloc;
}

void br_host_input(struct bruit_host *host, bruit_time now)
{
    br_engine_input(host->engine, now);
}

const struct br_tracer *br_host_tracer(const struct bruit_host *host)
{
    return &host->engine->core.tracer;
}

struct bruit_addr br_host_claimant(const struct bruit_host *host)
{
    return host->engine->claimant;
}

void br_host_drop(struct bruit_host *host, enum bruit_drop reason)
{
    br_core_drop(&host->engine->core, reason);
}

const struct bruit_config *bruit_host_config(const struct bruit_host *host)
{
    return &host->engine->core.config;
}

uint32_t bruit_host_join_flags(const struct bruit_host *host)
{
    return br_join_flags(&host->engine->join);
}

const struct bruit_engine *bruit_host_engine(const struct bruit_host *host)
{
    return host->engine;
}

void br_host_doubt(struct bruit_host *host)
{
    struct bruit_engine *engine = host->engine;
    if (engine->core.now < engine->lossy_until)
        br_sync_doubt(&engine->sync, br_gossip_successor(&engine->gossip), engine->core.now);
}

size_t bruit_host_message_room(const struct bruit_host *host)
{
    const struct bruit_engine *engine = host->engine;
    return br_packet_budget(&engine->wire, engine->core.config.packet_size_max) - BR_BROADCAST_OVERHEAD;
}

/* Nobody to tell, or what no packet could hold, would wait for ever. */
static bool may_tell_peers(const struct bruit_engine *engine, uint8_t capability, struct bruit_bytes message)
{
    unsigned bit = br_broadcast_order_of(capability) - BR_BROADCAST_ORDERS;
    return engine->core.view.peer_count[bit] > 1 &&
           message.size + BR_BROADCAST_OVERHEAD <= engine->broadcast.room_whole;
}

bruit_handle bruit_host_broadcast(struct bruit_host *host, struct bruit_bytes message, uint32_t order)
{
    struct bruit_engine *engine = host->engine;
    uint8_t capability = host->module->capability;
    uint64_t handle = 0;
    if (capability != 0 && !may_tell_peers(engine, capability, message))
        return 0;
    if (capability != 0)
        order = br_broadcast_order_of(capability);
    if (br_broadcast_add(&engine->broadcast, message, order, &handle) != 0) {
        br_core_drop(&engine->core, BRUIT_DROP_BROADCASTS_FULL);
        return 0;
    }
    br_hosts_wake(engine, true);
    if (order != 1 && capability == 0) /* queries are not part of a sync, and peers have syncs of their own */
        br_host_doubt(host);
    return handle;
}

void bruit_host_heard(struct bruit_host *host, bruit_handle handle)
{
    struct bruit_engine *engine = host->engine;
    if (engine->core.now < engine->lossy_until)
        return; /* the more the better */
    br_broadcast_heard(&engine->broadcast, handle);
    br_hosts_wake(engine, false);
}

size_t bruit_host_queued(const struct bruit_host *host, uint32_t order)
{
    if (host->module->capability != 0)
        order = br_broadcast_order_of(host->module->capability);
    else if (order >= BR_BROADCAST_ORDERS)
        return 0;
    return br_broadcast_count(&host->engine->broadcast, order);
}

int bruit_host_send(struct bruit_host *host, const struct bruit_addr *to, struct bruit_bytes message)
{
    struct bruit_engine *engine = host->engine;
    int status = br_ring_reserve(&engine->user_sends, 1);
    if (status != 0)
        return status;
    struct br_buf *copy = br_buf_new(&engine->core.alloc, message);
    if (copy == NULL)
        return BRUIT_ENOMEM;
    *(struct br_user_send *)br_ring_push(&engine->user_sends) = (struct br_user_send){*to, copy};
    return 0;
}

int bruit_host_send_stream(struct bruit_host *host, const struct bruit_addr *to, struct bruit_bytes message)
{
    if (message.size > BRUIT_STREAM_MESSAGE_MAX)
        return BRUIT_ETOOBIG;
    return br_stream_user(host->engine, to, message);
}

bool bruit_host_is_peer(const struct bruit_host *host, bruit_node node)
{
    const struct br_view *view = &host->engine->core.view;
    return br_view_is_listed(view, node) && br_view_is_live(view, node) &&
           (view->carries[node] & host->module->capability) != 0;
}

int bruit_host_store(struct bruit_host *host, struct bruit_bytes key, struct bruit_bytes value, uint64_t *token)
{
    return br_store_write(host->engine, (uint32_t)(host - host->engine->hosts), key, value, token);
}

int bruit_host_reconnect(struct bruit_host *host, const struct bruit_addr *addr)
{
    return br_stream_sync(host->engine, addr);
}

int bruit_host_emit(struct bruit_host *host, const struct bruit_event *event)
{
    return br_event_push(host->engine, event);
}

void bruit_host_leave_ready(struct bruit_host *host)
{
    if (host->engine->leave_stage == BR_LEAVE_MODULES)
        br_leave_member(host->engine);
}
