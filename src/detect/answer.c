/*
 * Acks, and the relay's pings, acks and nacks (answer.h).
 */
#include "detect/answer.h"

#include "base/rng.h"
#include "base/time.h"
#include "codec/addr.h"

void br_answer_init(struct br_answer *a, struct br_core *core)
{
    *a = (struct br_answer){.core = core};
    br_ring_init(&a->sends, &core->alloc, sizeof(struct br_send), BR_ANSWER_MAX);
    br_ring_init(&a->relays, &core->alloc, sizeof(struct br_relay), BR_ANSWER_RELAYS_MAX);
    struct br_rng rng;
    br_rng_init(&rng, core->config.seed, "relay");
    a->seq = (uint32_t)br_rng_u64(&rng) | 1;
}

static void drop_name(struct br_answer *a, struct br_relay *relay)
{
    if (relay->name != 0)
        br_roster_name_drop(a->core->roster, relay->name);
    relay->name = 0;
}

void br_answer_fini(struct br_answer *a)
{
    struct br_relay *relay;
    while ((relay = br_ring_front(&a->relays)) != NULL) {
        drop_name(a, relay);
        br_ring_pop(&a->relays);
    }
    br_ring_fini(&a->relays);
    br_ring_fini(&a->sends);
}

static enum bruit_drop refuse(struct br_answer *a, enum bruit_drop reason)
{
    br_core_drop(a->core, reason);
    return reason;
}

static enum bruit_drop owe(struct br_answer *a, const struct br_send *send)
{
    struct br_send *place = br_ring_push(&a->sends);
    if (place == NULL)
        return refuse(a, BRUIT_DROP_ANSWERS_FULL);
    *place = *send;
    return BRUIT_DROP_NONE;
}

/* ---- where an answer goes ---- */

/* The source triple of a ping or an indirect ping. */
struct source {
    struct bruit_bytes addr;
    uint16_t port;
    struct bruit_bytes node;
};

/* Is that the address that the member at `slot` has? Slot 0 is nobody's. */
static bool is_at(const struct br_core *core, uint32_t slot, const struct bruit_addr *addr)
{
    if (slot == 0)
        return false;
    const struct br_fragment *fragment = br_core_fragment(core, slot);
    struct bruit_bytes ip = br_fragment_addr(fragment);
    if (ip.size == 4)
        return addr->size == 4 && addr->port == fragment->port && memcmp(addr->ip, ip.data, 4) == 0;
    struct bruit_addr known = br_core_addr(core, slot);
    return br_addr_equal(&known, addr);
}

/* fe80::/10, which means nothing without an interface. */
static bool is_link_local(const struct bruit_addr *addr)
{
    return addr->size == 16 && addr->ip[0] == 0xfe && (addr->ip[1] & 0xc0) == 0x80;
}

/* The address the source triple names, in the form of sockets; false when it names none. */
static bool named_address(const struct source *source, const struct bruit_addr *from, struct bruit_addr *out)
{
    if (source->port == 0 || br_addr_make(out, source->addr, source->port) != 0 ||
        br_addr_is_unspecified(out))
        return false;
    if (out->size != 4)
        *out = br_addr_unmapped(out);
    if (is_link_local(out))
        out->scope = from->scope;
    return true;
}

/* The address to answer to, and the slot of the member that is there, or 0. */
static void find_asker(const struct br_core *core, const struct source *source, const struct bruit_addr *from,
                       struct bruit_addr *to, uint32_t *slot)
{
    uint32_t sender = source->node.size == 0 ? 0 : br_view_find_text(&core->view, source->node);
    if (!named_address(source, from, to) || (core->config.strict_relay && !is_at(core, sender, to)))
        *to = br_addr_unmapped(from);
    *slot = is_at(core, sender, to) ? sender : 0;
}

/* ---- our own acks ---- */

enum bruit_drop br_answer_ping(struct br_answer *a, const struct br_ping *ping, const struct bruit_addr *from)
{
    if (ping->node.size != 0 && !br_bytes_equal(ping->node, a->core->config.name))
        return refuse(a, BRUIT_DROP_NOT_FOR_US);
    struct source source = {ping->source_addr, ping->source_port, ping->source_node};
    struct br_send send = {.kind = BR_SEND_ACK, .seq = ping->seq, .payload = true};
    find_asker(a->core, &source, from, &send.to, &send.slot);
    return owe(a, &send);
}

/* ---- as a relay ---- */

static struct br_relay *find_relay(const struct br_answer *a, uint32_t seq)
{
    const struct br_relay *first = br_ring_front(&a->relays);
    if (first == NULL || ((seq - first->seq) & 1) != 0)
        return NULL;
    struct br_relay *relay = br_ring_at(&a->relays, (seq - first->seq) / 2);
    return relay == NULL || relay->done ? NULL : relay;
}

static void pop_done(struct br_answer *a)
{
    const struct br_relay *first;
    while ((first = br_ring_front(&a->relays)) != NULL && first->done)
        br_ring_pop(&a->relays);
}

/* Room for one more relay, its ping, and its name: nothing after it can fail. */
static bool reserve_relay(struct br_answer *a, struct bruit_bytes node, uint32_t *name)
{
    *name = 0;
    if (br_ring_reserve(&a->relays, 1) != 0 || br_ring_reserve(&a->sends, 1) != 0)
        return false;
    return node.size == 0 || (*name = br_roster_name_intern(a->core->roster, node)) != 0;
}

enum bruit_drop br_answer_indirect(struct br_answer *a, const struct br_indirect_ping *request,
                                   const struct bruit_addr *from, bruit_time now)
{
    struct br_core *core = a->core;
    const struct bruit_config *config = &core->config;
    uint16_t own_port = config->bind_port != 0 ? config->bind_port : config->advertise.port;
    struct bruit_addr target;
    if (br_addr_make(&target, request->target, request->port != 0 ? request->port : own_port) != 0 ||
        br_addr_is_unspecified(&target) || request->node.size > BRUIT_NAME_MAX)
        return refuse(a, BRUIT_DROP_MALFORMED);
    target = br_addr_unmapped(&target);
    if (is_link_local(&target))
        target.scope = from->scope;

    uint32_t about = request->node.size == 0 ? 0 : br_view_find_text(&core->view, request->node);
    bool is_member = is_at(core, about, &target);
    if (config->strict_relay && !is_member)
        return refuse(a, BRUIT_DROP_RELAY_REFUSED);
    uint32_t name;
    if (!reserve_relay(a, request->node, &name))
        return refuse(a, BRUIT_DROP_RELAYS_FULL);

    struct br_relay *relay = br_ring_push(&a->relays);
    struct source source = {request->source_addr, request->source_port, request->source_node};
    *relay = (struct br_relay){
        .deadline = br_time_add(now, config->probe_timeout),
        .seq = a->seq,
        .their_seq = request->seq,
        .name = name,
        .nack = request->nack,
    };
    find_asker(core, &source, from, &relay->to, &relay->their_slot);
    a->seq += 2;
    return owe(a, &(struct br_send){
                      .kind = BR_SEND_RELAYED,
                      .to = target,
                      .seq = relay->seq,
                      .slot = is_member ? about : 0,
                      .about = about,
                  });
}

/* Passes on how it ended, or just ends it. */
static void end_relay(struct br_answer *a, struct br_relay *relay, enum br_send_kind kind)
{
    if (kind != BR_SEND_NONE)
        (void)owe(a, &(struct br_send){.kind = (uint8_t)kind,
                                       .to = relay->to,
                                       .seq = relay->their_seq,
                                       .slot = relay->their_slot});
    drop_name(a, relay);
    relay->done = true;
}

bool br_answer_ack(struct br_answer *a, uint32_t seq, bruit_time now)
{
    struct br_relay *relay = find_relay(a, seq);
    if (relay == NULL || now > relay->deadline)
        return false;
    end_relay(a, relay, BR_SEND_ACK);
    pop_done(a);
    return true;
}

struct bruit_bytes br_answer_relayed_name(const struct br_answer *a, uint32_t seq)
{
    const struct br_relay *relay = find_relay(a, seq);
    if (relay == NULL || relay->name == 0)
        return br_bytes(NULL, 0);
    return br_roster_name_text(a->core->roster, relay->name);
}

/* ---- pulls and time ---- */

/* A member that is gone since is nobody. */
static uint32_t still_known(const struct br_answer *a, uint32_t slot)
{
    return br_view_is_known(&a->core->view, slot) ? slot : 0;
}

bool br_answer_next(struct br_answer *a, struct br_send *send)
{
    const struct br_send *first;
    while ((first = br_ring_front(&a->sends)) != NULL) {
        *send = *first;
        br_ring_pop(&a->sends);
        if (send->kind == BR_SEND_RELAYED && find_relay(a, send->seq) == NULL)
            continue; /* the requester has had its nack */
        send->slot = still_known(a, send->slot);
        send->about = still_known(a, send->about);
        return true;
    }
    return false;
}

bruit_time br_answer_deadline(const struct br_answer *a)
{
    const struct br_relay *first = br_ring_front(&a->relays);
    return first == NULL ? BRUIT_NEVER : first->deadline;
}

void br_answer_tick(struct br_answer *a, bruit_time now)
{
    struct br_relay *first;
    while ((first = br_ring_front(&a->relays)) != NULL && (first->done || first->deadline <= now)) {
        if (!first->done)
            end_relay(a, first, first->nack ? BR_SEND_NACK : BR_SEND_NONE);
        br_ring_pop(&a->relays);
    }
}

void br_answer_delay(struct br_answer *a, bruit_time gap)
{
    for (uint32_t i = 0; i < br_ring_count(&a->relays); i++) {
        struct br_relay *relay = br_ring_at(&a->relays, i);
        relay->deadline = br_time_add(relay->deadline, gap);
    }
}
