/*
 * Inputs: datagrams and time.
 *
 * A datagram is taken apart by the codec; each leaf message goes to the machine whose business it is. A message that
 * cannot be decoded is counted and costs nothing else; memory that is not to be had ends the packet.
 */
#include "base/check.h"
#include "base/time.h"
#include "codec/addr.h"
#include "engine/engine.h"

/* A member without the right key gets and sends what cannot be read all the time: people hear of it so rarely. */
#define KEYS_QUIET (60 * BRUIT_SECOND)

/* ---- time passes ---- */

/*
 * A deadline that is met this much too late was missed here, not there. A busy machine is always a little late, so the
 * limit is a good part of the time in which a member must answer.
 */
static bruit_time stall_threshold(const struct br_core *core)
{
    if (core->config.detector == BRUIT_DETECTOR_HEARTBEAT)
        return core->config.heartbeat.interval / 2;
    return core->config.probe_timeout / 2;
}

/*
 * Lifeguard's insight, applied to our own timer: who slept cannot tell who else did. The pending deadlines get the
 * gap back and nobody is accused for it.
 */
static void give_back_stall(struct bruit_engine *engine, bruit_time gap)
{
    BR_TRACE(&engine->core.tracer, stalled, .gap = gap);
    engine->core.stats.stalls++;
    engine->stalled_until = engine->core.now;
    br_awareness_apply(&engine->awareness, 1);
    br_probe_delay(&engine->probe, gap);
    br_suspicion_delay(&engine->suspicion, gap);
    br_answer_delay(&engine->answer, gap);
    if (br_beat_is_on(engine))
        br_heartbeat_delay(&engine->heartbeat, gap);
}

/* Was the earliest deadline missed by so much that we must have been stalled? What was given back before does not
 * count again: other deadlines than those of detect/ stay in the past until the next tick. */
static void notice_stall(struct bruit_engine *engine)
{
    const struct br_core *core = &engine->core;
    bruit_time missed = br_time_max(bruit_deadline(engine), engine->stalled_until);
    bruit_time gap = br_time_since(missed, core->now);
    bool has_detector = core->config.probe_interval > 0 || br_beat_is_on(engine);
    if (gap > stall_threshold(core) && has_detector && core->config.stall_guard)
        give_back_stall(engine, gap);
}

void br_engine_pass_time(struct bruit_engine *engine, bruit_time now)
{
    struct br_core *core = &engine->core;
    bruit_time silence = br_time_since(core->now, now);
    if (now > core->now)
        core->now = now;
    core->tracer.now = core->now;
    /* Here and not in the tick alone: a driver drains its sockets first, and what it finds there (an ack) may end the
     * very deadline that was missed. */
    if (BR_UNLIKELY(silence > stall_threshold(core)))
        notice_stall(engine);
}

void br_engine_input(struct bruit_engine *engine, bruit_time now)
{
    br_engine_pass_time(engine, now);
    br_event_release(engine);
    br_store_release(engine);
}

/* ---- leaf messages ---- */

static int malformed(struct bruit_engine *engine)
{
    br_core_drop(&engine->core, BRUIT_DROP_MALFORMED);
    return 0;
}

/* From a member itself if it came from where that lives; who passes for another, or relays, tells us nothing. */
static void learn_carries(struct bruit_engine *engine, uint32_t slot, uint8_t carries)
{
    if (slot == 0 || slot == engine->core.self)
        return;
    struct bruit_addr home = br_core_addr(&engine->core, slot);
    if (br_addr_equal(&home, engine->packet_from))
        br_claim_own_carries(engine, slot, carries);
}

static int take_ping(struct bruit_engine *engine, struct bruit_bytes body)
{
    struct br_ping ping;
    if (br_ping_decode(&ping, body) != 0)
        return malformed(engine);
    (void)br_answer_ping(&engine->answer, &ping, engine->packet_from); /* counts what it does not answer */
    if (engine->core.carries != 0)
        learn_carries(engine, br_view_find_text(&engine->core.view, ping.source_node), ping.carries);
    return 0;
}

static int take_indirect_ping(struct bruit_engine *engine, struct bruit_bytes body)
{
    struct br_indirect_ping request;
    if (br_indirect_ping_decode(&request, body) != 0)
        return malformed(engine);
    (void)br_answer_indirect(&engine->answer, &request, engine->packet_from, engine->core.now); /* likewise */
    return 0;
}

static void tell_ack(struct bruit_engine *engine, uint32_t slot, bruit_time rtt, struct bruit_bytes payload)
{
    for (size_t i = 0; i < engine->host_count; i++)
        if (engine->hosts[i].module->on_ack != NULL)
            engine->hosts[i].module->on_ack(engine->hosts[i].state, slot, rtt, payload);
}

static int take_ack(struct bruit_engine *engine, struct bruit_bytes body)
{
    struct br_ack ack;
    uint32_t slot;
    bruit_time rtt;
    if (br_ack_decode(&ack, body) != 0)
        return malformed(engine);
    if (!br_probe_ack(&engine->probe, ack.seq, engine->core.now, &slot, &rtt)) {
        if (!br_answer_ack(&engine->answer, ack.seq, engine->core.now))
            br_core_drop(&engine->core, BRUIT_DROP_UNKNOWN_ACK);
        return 0;
    }
    if (engine->core.carries != 0)
        learn_carries(engine, slot, ack.carries);
    if (rtt > 0)
        tell_ack(engine, slot, rtt, ack.payload);
    return 0;
}

static int take_nack(struct bruit_engine *engine, struct bruit_bytes body)
{
    struct br_nack nack;
    if (br_nack_decode(&nack, body) != 0)
        return malformed(engine);
    if (!br_probe_nack(&engine->probe, nack.seq))
        br_core_drop(&engine->core, BRUIT_DROP_UNKNOWN_ACK);
    return 0;
}

static int take_alive(struct bruit_engine *engine, struct bruit_bytes body)
{
    struct br_alive alive;
    return br_alive_decode(&alive, body) != 0 ? malformed(engine) : br_claim_alive(engine, &alive);
}

static int take_suspect(struct bruit_engine *engine, struct bruit_bytes body)
{
    struct br_suspect suspect;
    return br_suspect_decode(&suspect, body) != 0 ? malformed(engine) : br_claim_suspect(engine, &suspect);
}

static int take_dead(struct bruit_engine *engine, struct bruit_bytes body)
{
    struct br_dead dead;
    return br_dead_decode(&dead, body) != 0 ? malformed(engine) : br_claim_dead(engine, &dead);
}

static int take_leaf(void *context, enum br_message_type type, struct bruit_bytes body)
{
    struct bruit_engine *engine = context;
    engine->core.stats.messages_in++;
    if (BR_UNLIKELY((type == BR_HEARTBEAT) != br_beat_is_on(engine)) && type != BR_USER) {
        br_beat_differs(engine, engine->packet_from, false);
        return 0;
    }
    switch (type) {
    case BR_PING: return take_ping(engine, body);
    case BR_INDIRECT_PING: return take_indirect_ping(engine, body);
    case BR_ACK: return take_ack(engine, body);
    case BR_NACK: return take_nack(engine, body);
    case BR_ALIVE: return take_alive(engine, body);
    case BR_SUSPECT: return take_suspect(engine, body);
    case BR_DEAD: return take_dead(engine, body);
    case BR_HEARTBEAT: return br_beat_take(engine, body);
    case BR_USER: br_hosts_user_message(engine, body, engine->packet_from); return 0;
    default: /* the codec lets no other type through */ return 0;
    }
}

void br_engine_drop(struct bruit_engine *engine, const struct bruit_addr *from, bool is_stream,
                    enum bruit_drop reason)
{
    const struct br_tracer *tracer = &engine->core.tracer;
    const char *text = bruit_drop_text(reason);
    bool is_foreign = reason == BRUIT_DROP_FOREIGN_HTTP || reason == BRUIT_DROP_FOREIGN_TLS;
    br_core_drop(&engine->core, reason);
    if (is_foreign && is_stream)
        BR_TRACE(tracer, foreign_stream, .from = *from, .reason = text);
    else if (is_foreign)
        BR_TRACE(tracer, foreign_packet, .from = *from, .reason = text);
    else if (is_stream)
        BR_TRACE(tracer, stream_dropped, .from = *from, .reason = text);
    else
        BR_TRACE(tracer, packet_dropped, .from = *from, .reason = text);
    if (reason == BRUIT_DROP_UNDECRYPTABLE && engine->core.now >= engine->quiet_until) {
        engine->quiet_until = br_time_add(engine->core.now, KEYS_QUIET);
        BR_TRACE(tracer, key_missing, .from = *from, .reason = text);
    }
}

static void take_drop(void *context, enum bruit_drop reason)
{
    struct bruit_engine *engine = context;
    br_engine_drop(engine, engine->packet_from, false, reason);
}

int bruit_recv_datagram(struct bruit_engine *engine, const struct bruit_addr *from, struct bruit_bytes packet,
                        bruit_time now)
{
    const struct br_packet_sink sink = {engine, take_leaf, take_drop};
    br_engine_input(engine, now);
    engine->core.stats.datagrams_in++;
    engine->core.stats.bytes_in += packet.size;
    engine->packet_from = from;
    int status = br_packet_open(&engine->wire, &engine->scratch, packet, &sink, NULL);
    engine->packet_from = NULL;
    return status;
}

/* ---- time ---- */

static void accuse(struct bruit_engine *engine)
{
    struct br_core *core = &engine->core;
    const struct br_probe_verdict *verdict = &engine->probe.verdict;
    struct br_suspect suspect = {.incarnation = verdict->incarnation,
                                 .node = br_core_name(core, verdict->slot),
                                 .from = br_core_name(core, core->self)};
    (void)br_claim_suspect(engine, &suspect); /* without memory: the next round will accuse it again */
}

static void tick_probe(struct bruit_engine *engine)
{
    for (;;) {
        switch (br_probe_tick(&engine->probe, engine->core.now)) {
        case BR_PROBE_NOTHING: return;
        case BR_PROBE_ROUND_ENDED:
            br_claim_reap(engine);
            br_probe_round_begin(&engine->probe);
            break;
        case BR_PROBE_FAILED: accuse(engine); break;
        }
    }
}

/* Suspects whose time is up: dead, on our word (section 6.4). */
static void tick_suspicion(struct bruit_engine *engine)
{
    struct br_core *core = &engine->core;
    uint32_t slot;
    uint32_t confirmations;
    while (br_suspicion_pop_due(&engine->suspicion, core->now, &slot, &confirmations)) {
        struct br_dead dead = {.incarnation = core->view.incarnation[slot],
                               .node = br_core_name(core, slot),
                               .from = br_core_name(core, core->self)};
        BR_TRACE(&core->tracer, suspicion_expired, .node = dead.node, .confirmations = confirmations);
        if (br_claim_dead(engine, &dead) == 0)
            continue;
        /* No memory to tell it: its time begins anew, in the entry that has just become free. */
        br_suspicion_start(&engine->suspicion, slot, dead.from, core->now);
        return;
    }
}

static void tick_sync(struct bruit_engine *engine)
{
    uint32_t slot;
    while ((slot = br_sync_tick(&engine->sync, engine->core.now)) != 0) {
        if (br_beat_is_on(engine) && !engine->has_document)
            continue; /* of members there is nothing to be said that heartbeat gossip does not */
        struct bruit_addr to = br_core_addr(&engine->core, slot);
        BR_TRACE(&engine->core.tracer, syncing, .name = br_core_name(&engine->core, slot), .addr = to);
        (void)br_stream_sync(engine, &to); /* without memory: there is a next time */
    }
}

int bruit_tick(struct bruit_engine *engine, bruit_time now)
{
    br_engine_input(engine, now);
    notice_stall(engine); /* of a driver that found time for everything but this */
    tick_suspicion(engine);
    tick_probe(engine);
    br_answer_tick(&engine->answer, engine->core.now);
    if (br_beat_is_on(engine))
        br_beat_tick(engine);
    br_gossip_tick(&engine->gossip, engine->core.now);
    tick_sync(engine);
    br_streams_tick(engine);
    br_hosts_tick(engine);
    br_requests_progress(engine);
    return 0;
}

bruit_time bruit_deadline(const struct bruit_engine *engine)
{
    bruit_time next =
        br_time_min(br_probe_deadline(&engine->probe), br_suspicion_deadline(&engine->suspicion));
    next = br_time_min(next, br_answer_deadline(&engine->answer));
    next = br_time_min(next, br_digest_deadline(&engine->digest));
    next = br_time_min(next, br_gossip_deadline(&engine->gossip));
    next = br_time_min(next, br_sync_deadline(&engine->sync));
    next = br_time_min(next, br_streams_deadline(engine));
    next = br_time_min(next, engine->leave_deadline);
    return br_time_min(next, br_hosts_deadline(engine));
}
