/*
 * Requests of the program: joining, leaving, new metadata, keys.
 *
 * What takes time is answered by an event. Leaving goes through its stages once: modules, membership, done
 * (docs/wire/memberlist.md 6.9); each stage has the whole of the timeout as its bound, as upstream.
 */
#include "base/time.h"
#include "engine/engine.h"

/* ---- join ---- */

static bool is_reachable(const struct bruit_addr *addr)
{
    return (addr->size == 4 || addr->size == 16) && addr->port != 0;
}

static int check_targets(const struct bruit_engine *engine, const struct bruit_join_target *targets,
                         size_t count)
{
    if (count == 0 || count > BR_JOIN_TARGETS_MAX)
        return BRUIT_EINVAL;
    for (size_t i = 0; i < count; i++)
        if (!is_reachable(&targets[i].addr) || targets[i].name.size > BRUIT_NAME_MAX)
            return BRUIT_EINVAL;
    return engine->leave_stage == BR_LEAVE_NOT ? 0 : BRUIT_ECLOSED;
}

int bruit_join(struct bruit_engine *engine, const struct bruit_join_target *targets, size_t count,
               uint32_t flags, uint32_t *request, bruit_time now)
{
    br_engine_input(engine, now);
    int status = check_targets(engine, targets, count);
    if (status != 0)
        return status;
    *request = br_join_begin(&engine->join, targets, count, flags, &status);
    if (*request == 0)
        return status;
    for (uint32_t i = 0; i < count; i++) {
        status = br_stream_join(engine, &targets[i].addr, *request, i);
        if (status != 0)
            br_requests_joined(engine, *request, i, status, br_bytes(NULL, 0));
    }
    return 0;
}

static void tell_joined(struct bruit_engine *engine, const struct br_join_request *request)
{
    for (size_t i = 0; i < engine->host_count; i++)
        if (engine->hosts[i].module->on_joined != NULL)
            engine->hosts[i].module->on_joined(engine->hosts[i].state, request->contacted, request->flags);
}

void br_requests_joined(struct bruit_engine *engine, uint32_t number, uint32_t index, int error,
                        struct bruit_bytes text)
{
    struct br_join_request *request = br_join_result(&engine->join, number, index, error, text);
    if (request == NULL)
        return;
    tell_joined(engine, request);
    struct bruit_event event = {
        .type = BRUIT_EVENT_JOIN_DONE,
        .request = number,
        .join = {.contacted = request->contacted, .count = request->count, .results = request->results}};
    if (br_event_push(engine, &event) != 0)
        br_join_end(&engine->join, request); /* nobody fetches events: then nobody reads this one either */
}

/* ---- leave ---- */

static void end_leave(struct bruit_engine *engine, int error)
{
    struct bruit_event event = {.type = BRUIT_EVENT_LEAVE_DONE, .error = error};
    br_digest_stop(&engine->digest);
    engine->leave_stage = BR_LEAVE_DONE;
    engine->leave_deadline = BRUIT_NEVER;
    (void)br_event_push(engine, &event); /* the stage says so as well */
}

static bool is_anybody_else_live(const struct br_core *core)
{
    return br_view_live_count(&core->view) > (br_view_is_live(&core->view, core->self) ? 1u : 0u);
}

void br_leave_member(struct bruit_engine *engine)
{
    struct br_core *core = &engine->core;
    struct bruit_bytes name = br_core_name(core, core->self);
    core->leaving = true;
    engine->leave_stage = BR_LEAVE_MEMBER;
    if (br_beat_is_on(engine)) {
        bool is_alone = !is_anybody_else_live(core);
        br_beat_leave(engine);
        engine->leave_deadline = br_time_add(core->now, engine->leave_timeout);
        if (is_alone)
            end_leave(engine, 0);
        return;
    }
    struct br_dead goodbye = {.incarnation = core->view.incarnation[core->self], .node = name, .from = name};
    if (br_claim_dead(engine, &goodbye) != 0 || !is_anybody_else_live(core)) {
        end_leave(engine, 0);
        return;
    }
    engine->leave_watch =
        br_gossip_watch(&engine->gossip, br_roster_name_of(core->roster, core->view.record[core->self]));
    engine->leave_deadline = br_time_add(core->now, engine->leave_timeout);
    if (engine->leave_watch == 0)
        end_leave(engine, 0);
}

/* The modules that want to say something first hold the rest up; the last of them lets it go on. */
static bool modules_hold(struct bruit_engine *engine)
{
    bool hold = false;
    for (size_t i = 0; i < engine->host_count; i++)
        if (engine->hosts[i].module->on_leave != NULL &&
            engine->hosts[i].module->on_leave(engine->hosts[i].state))
            hold = true;
    return hold;
}

int bruit_leave(struct bruit_engine *engine, bruit_time timeout, bruit_time now)
{
    br_engine_input(engine, now);
    if (engine->leave_stage == BR_LEAVE_DONE)
        return BRUIT_ECLOSED;
    if (engine->leave_stage != BR_LEAVE_NOT)
        return BRUIT_EBUSY;
    engine->leave_stage = BR_LEAVE_MODULES;
    engine->leave_timeout = timeout;
    engine->leave_deadline = br_time_add(engine->core.now, timeout);
    if (!modules_hold(engine) && engine->leave_stage == BR_LEAVE_MODULES)
        br_leave_member(engine);
    return 0;
}

static void leave_timed_out(struct bruit_engine *engine)
{
    if (engine->leave_stage == BR_LEAVE_MODULES)
        br_leave_member(engine);
    else
        end_leave(engine, BRUIT_ETIMEOUT);
}

/* ---- metadata ---- */

int bruit_set_meta(struct bruit_engine *engine, struct bruit_bytes meta, bruit_time now)
{
    struct br_core *core = &engine->core;
    br_engine_input(engine, now);
    if (meta.size > BRUIT_META_MAX)
        return BRUIT_ETOOBIG;
    if (engine->leave_stage != BR_LEAVE_NOT)
        return BRUIT_ECLOSED;
    struct br_alive self = br_fragment_alive(br_core_fragment(core, core->self), 0);
    self.meta = meta;
    int status = br_claim_self(engine, &self);
    if (status != 0)
        return status;
    br_requests_progress(engine); /* the news of an earlier change was displaced: it is done */
    engine->meta_watch = 0;
    if (br_beat_is_on(engine) && is_anybody_else_live(core)) {
        engine->meta_told = engine->digest.rounds + BR_DIGEST_TOLD + 1;
        return 0;
    }
    if (is_anybody_else_live(core))
        engine->meta_watch =
            br_gossip_watch(&engine->gossip, br_roster_name_of(core->roster, core->view.record[core->self]));
    struct bruit_event done = {.type = BRUIT_EVENT_META_DONE};
    if (engine->meta_watch ==
        0) /* nobody to tell, or no memory to wait with; a full queue has nobody who fetches */
        (void)br_event_push(engine, &done);
    return 0;
}

/* With heartbeats: enough rounds have told it. */
static void beat_progress(struct bruit_engine *engine)
{
    uint64_t rounds = engine->digest.rounds;
    if (engine->meta_told != 0 && rounds >= engine->meta_told) {
        engine->meta_told = 0;
        (void)br_event_push(engine, &(struct bruit_event){.type = BRUIT_EVENT_META_DONE}); /* as below */
    }
    if (engine->leave_told != 0 && rounds >= engine->leave_told && engine->leave_stage == BR_LEAVE_MEMBER) {
        engine->leave_told = 0;
        end_leave(engine, 0);
    }
}

void br_requests_progress(struct bruit_engine *engine)
{
    uint32_t watch;
    while ((watch = br_gossip_next_done(&engine->gossip)) != 0) {
        if (watch == engine->meta_watch)
            (void)br_event_push(engine, &(struct bruit_event){.type = BRUIT_EVENT_META_DONE}); /* as above */
        if (watch == engine->leave_watch && engine->leave_stage == BR_LEAVE_MEMBER)
            end_leave(engine, 0);
    }
    beat_progress(engine);
    if (engine->leave_deadline <= engine->core.now)
        leave_timed_out(engine);
}

/* ---- keys ---- */

/* Keys change what fits into a packet. */
static int with_new_budget(struct bruit_engine *engine, int status)
{
    br_broadcast_set_room(&engine->broadcast,
                          br_packet_budget(&engine->wire, engine->core.config.packet_size_max));
    return status;
}

static bool can_seal(const struct bruit_engine *engine)
{
    return engine->keyring.cipher != NULL && engine->wire.entropy != NULL;
}

int bruit_key_add(struct bruit_engine *engine, struct bruit_bytes key)
{
    return with_new_budget(engine, can_seal(engine) ? br_keyring_add(&engine->keyring, key) : BRUIT_ENOSYS);
}

int bruit_key_use(struct bruit_engine *engine, struct bruit_bytes key)
{
    return br_keyring_use(&engine->keyring, key);
}

int bruit_key_remove(struct bruit_engine *engine, struct bruit_bytes key)
{
    return with_new_budget(engine, br_keyring_remove(&engine->keyring, key));
}

struct bruit_bytes bruit_key_get(const struct bruit_engine *engine, size_t index)
{
    return br_keyring_get(&engine->keyring, index);
}
