/*
 * Outputs: what is owed becomes a datagram when the driver asks for it.
 *
 * First answers, since somebody's clock is running; then our own probes; then modules' direct messages; then gossip.
 * Whatever is sent carries news in the room that is left (docs/wire/memberlist.md, 8.4), members' before modules'.
 */
#include "engine/engine.h"

#include "base/time.h"
#include "codec/addr.h"

/* What identifies a datagram when the driver could not send it: kind, the owner's number, sequence number. */
static uint64_t token_of(const struct br_send *send)
{
    return (uint64_t)send->kind << 56 | (uint64_t)(send->token & 0xffffffu) << 32 | send->seq;
}

/* ---- messages ---- */

static struct bruit_bytes own_name(const struct br_core *core)
{
    return br_core_name(core, core->self);
}

static struct br_ping ping_of(const struct bruit_engine *engine, uint32_t seq, struct bruit_bytes node)
{
    const struct br_fragment *self = br_core_fragment(&engine->core, engine->core.self);
    return (struct br_ping){.seq = seq,
                            .node = node,
                            .source_addr = br_fragment_addr(self),
                            .source_port = self->port,
                            .carries = engine->core.carries,
                            .source_node = own_name(&engine->core)};
}

static void write_ping(struct bruit_engine *engine, const struct br_send *send, struct br_writer *w)
{
    struct br_ping ping = ping_of(engine, send->seq, br_core_name(&engine->core, send->slot));
    br_ping_encode(w, &ping);
}

static void write_relayed(struct bruit_engine *engine, const struct br_send *send, struct br_writer *w)
{
    struct br_ping ping = ping_of(engine, send->seq, br_answer_relayed_name(&engine->answer, send->seq));
    br_ping_encode(w, &ping);
}

/* A ping that was not answered says that packets get lost. At one probe a second, 1 in 20 lost shows within 10 s. */
#define LOSSY_FOR (10 * BRUIT_SECOND)

static void write_indirect(struct bruit_engine *engine, const struct br_send *send, struct br_writer *w)
{
    engine->lossy_until = br_time_add(engine->core.now, LOSSY_FOR);
    const struct br_core *core = &engine->core;
    const struct br_fragment *self = br_core_fragment(core, core->self);
    const struct br_fragment *about = br_core_fragment(core, send->about);
    br_indirect_ping_encode(w, &(struct br_indirect_ping){.seq = send->seq,
                                                          .target = br_fragment_addr(about),
                                                          .port = about->port,
                                                          .node = br_fragment_name(about),
                                                          .nack = send->nack,
                                                          .source_addr = br_fragment_addr(self),
                                                          .source_port = self->port,
                                                          .source_node = br_fragment_name(self)});
}

/* The first module that has something to say in an ack; memberlist has one ping delegate, too. */
static struct bruit_bytes ack_payload(struct bruit_engine *engine)
{
    for (size_t i = 0; i < engine->host_count && engine->wants_payload; i++)
        if (engine->hosts[i].module->ack_payload != NULL)
            return engine->hosts[i].module->ack_payload(engine->hosts[i].state,
                                                        engine->core.config.packet_size_max / 2);
    return br_bytes(NULL, 0);
}

static void write_ack(struct bruit_engine *engine, const struct br_send *send, struct br_writer *w)
{
    struct bruit_bytes payload = send->payload ? ack_payload(engine) : br_bytes(NULL, 0);
    br_ack_encode(w, &(struct br_ack){.seq = send->seq, .carries = engine->core.carries, .payload = payload});
}

static void write_message(struct bruit_engine *engine, const struct br_send *send, struct br_writer *w)
{
    switch (send->kind) {
    case BR_SEND_PING: write_ping(engine, send, w); break;
    case BR_SEND_INDIRECT: write_indirect(engine, send, w); break;
    case BR_SEND_RELAYED: write_relayed(engine, send, w); break;
    case BR_SEND_ACK: write_ack(engine, send, w); break;
    case BR_SEND_NACK: br_nack_encode(w, &(struct br_nack){send->seq}); break;
    default: br_writer_fail(w); break;
    }
}

/* ---- packets ---- */

/* The bytes that the driver's buffer and our budget allow for messages. */
static size_t budget_of(const struct bruit_engine *engine)
{
    return br_packet_budget(&engine->wire, engine->core.config.packet_size_max);
}

/* News for what room is left; what was finished by it is reported. */
static void fill(struct bruit_engine *engine, const struct br_send *send, struct br_packet_builder *builder,
                 size_t room)
{
    bool peers_only = send->kind == BR_SEND_GOSSIP && br_gossip_is_for_peers(&engine->gossip);
    size_t used = peers_only ? 0 : br_gossip_fill(&engine->gossip, builder, room);
    if (room - used > BR_BROADCAST_OVERHEAD + 1)
        (void)br_broadcast_fill(&engine->broadcast, builder, room - used, engine->core.view.carries[send->slot],
                                peers_only);
    br_hosts_wake(engine, false);
}

/* Section 7.5: who is suspect is told so with the ping itself, and nothing else, so that it can refute at once. */
static void add_buddy_suspicion(struct bruit_engine *engine, const struct br_send *send,
                                struct br_packet_builder *builder)
{
    const struct br_core *core = &engine->core;
    struct br_writer leaf = br_packet_leaf(builder);
    br_suspect_encode(&leaf, &(struct br_suspect){.incarnation = core->view.incarnation[send->slot],
                                                  .node = br_core_name(core, send->slot),
                                                  .from = own_name(core)});
    (void)br_packet_leaf_end(builder, &leaf); /* no room: then the ping goes alone */
}

static bool wants_checksum(const struct bruit_engine *engine, uint32_t slot)
{
    return slot != 0 && br_core_version(&engine->core, slot, BR_VSN_PMAX) >= 5;
}

static size_t finish(struct bruit_engine *engine, struct br_packet_builder *builder,
                     const struct br_send *send, struct bruit_datagram *out)
{
    size_t size;
    if (builder->count == 0 || br_packet_finish(builder, &size) != 0)
        return 0;
    *out = (struct bruit_datagram){.size = size, .to = send->to, .token = token_of(send)};
    engine->core.stats.datagrams_out++;
    engine->core.stats.bytes_out += size;
    return size;
}

/* Pings, acks, nacks: the message first, then news. */
static size_t encode_message(struct bruit_engine *engine, const struct br_send *send, uint8_t *buffer,
                             size_t capacity, struct bruit_datagram *out)
{
    struct br_packet_builder builder;
    bool is_buddy = engine->core.config.buddy_pings && send->kind == BR_SEND_PING &&
                    engine->core.view.state[send->slot] == BRUIT_SUSPECT;
    br_packet_begin(&builder, &engine->wire, &engine->scratch, buffer, capacity,
                    is_buddy && wants_checksum(engine, send->slot));
    struct br_writer leaf = br_packet_leaf(&builder);
    write_message(engine, send, &leaf);
    if (br_packet_leaf_end(&builder, &leaf) != 0)
        return 0;
    size_t budget = budget_of(engine);
    if (is_buddy)
        add_buddy_suspicion(engine, send, &builder);
    else if (budget > builder.used)
        fill(engine, send, &builder, budget - builder.used);
    return finish(engine, &builder, send, out);
}

static size_t encode_gossip(struct bruit_engine *engine, const struct br_send *send, uint8_t *buffer,
                            size_t capacity, struct bruit_datagram *out)
{
    struct br_packet_builder builder;
    br_packet_begin(&builder, &engine->wire, &engine->scratch, buffer, capacity,
                    wants_checksum(engine, send->slot));
    fill(engine, send, &builder, budget_of(engine));
    size_t size = finish(engine, &builder, send, out);
    if (size > 0)
        br_gossip_sent(&engine->gossip, size, engine->core.now);
    return size;
}

static size_t encode_user(struct bruit_engine *engine, const struct br_user_send *user, uint8_t *buffer,
                          size_t capacity, struct bruit_datagram *out)
{
    struct br_packet_builder builder;
    struct br_send send = {.kind = BR_SEND_USER, .to = br_addr_unmapped(&user->to)};
    br_packet_begin(&builder, &engine->wire, &engine->scratch, buffer, capacity, false);
    struct br_writer leaf = br_packet_leaf(&builder);
    br_write_u8(&leaf, BR_USER);
    br_write_bytes(&leaf, br_buf_bytes(user->message));
    if (br_packet_leaf_end(&builder, &leaf) != 0) {
        br_core_drop(&engine->core, BRUIT_DROP_TOO_LONG_TO_SEND);
        return 0;
    }
    return finish(engine, &builder, &send, out);
}

/* ---- heartbeats ---- */

/* A round's message; modules' broadcasts travel with it in what room is left of the datagram. */
static size_t encode_beat(struct bruit_engine *engine, const struct br_send *send, uint8_t *buffer,
                          size_t capacity, struct bruit_datagram *out)
{
    struct br_packet_builder builder;
    size_t budget = budget_of(engine);
    br_packet_begin(&builder, &engine->wire, &engine->scratch, buffer, capacity,
                    wants_checksum(engine, send->slot));
    struct br_writer leaf = br_packet_leaf(&builder);
    br_digest_write(&engine->digest, &leaf, send->slot, budget);
    if (br_packet_leaf_end(&builder, &leaf) != 0)
        return 0;
    if (budget > builder.used)
        fill(engine, send, &builder, budget - builder.used);
    return finish(engine, &builder, send, out);
}

/* Answers, whose content was decided when the question came: what it lacked is news of that moment. */
static size_t next_beat(struct bruit_engine *engine, uint8_t *buffer, size_t capacity,
                        struct bruit_datagram *out)
{
    size_t size = 0;
    struct br_user_send *answer;
    struct br_send send;
    while (size == 0 && (answer = br_ring_front(&engine->beat_sends)) != NULL) {
        struct br_packet_builder builder;
        send = (struct br_send){.kind = BR_SEND_BEAT, .to = answer->to};
        br_packet_begin(&builder, &engine->wire, &engine->scratch, buffer, capacity, false);
        if (br_packet_add(&builder, br_buf_bytes(answer->message)) == 0)
            size = finish(engine, &builder, &send, out);
        br_digest_spend(&engine->digest, size);
        br_buf_drop(&engine->core.alloc, answer->message);
        br_ring_pop(&engine->beat_sends);
    }
    while (size == 0 && br_digest_next(&engine->digest, &send))
        size = encode_beat(engine, &send, buffer, capacity, out);
    return size;
}

/* ---- the pull ---- */

static size_t next_user(struct bruit_engine *engine, uint8_t *buffer, size_t capacity,
                        struct bruit_datagram *out)
{
    size_t size = 0;
    struct br_user_send *user;
    while (size == 0 && (user = br_ring_front(&engine->user_sends)) != NULL) {
        size = encode_user(engine, user, buffer, capacity, out);
        br_buf_drop(&engine->core.alloc, user->message);
        br_ring_pop(&engine->user_sends);
    }
    return size;
}

static size_t next_owed(struct bruit_engine *engine, uint8_t *buffer, size_t capacity,
                        struct bruit_datagram *out)
{
    struct br_send send;
    size_t size = 0;
    while (size == 0 && br_answer_next(&engine->answer, &send))
        size = encode_message(engine, &send, buffer, capacity, out);
    while (size == 0 && br_probe_next(&engine->probe, &send)) {
        size = encode_message(engine, &send, buffer, capacity, out);
        if (size > 0 && send.kind == BR_SEND_PING)
            br_probe_sent(&engine->probe, send.seq, engine->core.now);
    }
    if (size == 0)
        size = next_beat(engine, buffer, capacity, out);
    if (size == 0)
        size = next_user(engine, buffer, capacity, out);
    while (size == 0 && br_gossip_next(&engine->gossip, &send))
        size = encode_gossip(engine, &send, buffer, capacity, out);
    /* A burst of news that did not fit into the packets of one round. */
    if (size == 0 && (br_broadcast_has_untold(&engine->broadcast) || br_broadcast_untold_peers(&engine->broadcast)))
        br_hosts_wake(engine, true);
    return size;
}

bool bruit_next_datagram(struct bruit_engine *engine, uint8_t *buffer, size_t capacity,
                         struct bruit_datagram *out, bruit_time now)
{
    br_engine_pass_time(engine, now);
    size_t size = next_owed(engine, buffer, capacity, out);
    br_hosts_broadcast_done(engine);
    br_requests_progress(engine);
    return size > 0;
}

int bruit_send_failed(struct bruit_engine *engine, uint64_t token, int error, bruit_time now)
{
    enum br_send_kind kind = (enum br_send_kind)(token >> 56);
    br_engine_input(engine, now);
    engine->core.stats.send_failures++;
    if (kind == BR_SEND_PING || kind == BR_SEND_INDIRECT)
        br_probe_send_failed(&engine->probe, kind, (uint32_t)token, (uint32_t)(token >> 32) & 0xffffffu,
                             error, engine->core.now);
    return 0;
}
