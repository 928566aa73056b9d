/*
 * Connections between engines, as their kernels would carry them: in order, complete, and late when the
 * network loses.
 *
 * Each end is a record at its own node; both know the connection by one number. What is said over it travels
 * in the same queue as datagrams, but nothing overtakes what was sent before. Where a rule blocks the way, or
 * chance would have lost a segment, the kernel tries again after 200 ms, then 400 ms and so on, and gives up
 * after 15 s. What is said meanwhile waits behind it.
 *
 * An engine may close before all was sent: the end then stays, without the engine's number, until its last
 * word left.
 */
#include "base/time.h"
#include "sim/clock.h"
#include "sim/sim.h"

#include <stdlib.h>
#include <string.h>

#define RETRY_FIRST (200 * BRUIT_MILLISECOND)
#define GIVE_UP (15 * BRUIT_SECOND)

/* ---- ends ---- */

static struct br_sim_line *find_line(struct br_sim_node *node, uint64_t number)
{
    for (uint32_t i = 0; i < node->line_count; i++)
        if (node->lines[i].number == number)
            return &node->lines[i];
    return NULL;
}

static struct br_sim_line *find_stream(struct br_sim_node *node, uint32_t stream)
{
    for (uint32_t i = 0; i < node->line_count; i++)
        if (node->lines[i].stream == stream)
            return &node->lines[i];
    return NULL;
}

static struct br_sim_line *line_new(struct br_sim_node *node, uint64_t number, uint32_t stream, uint32_t peer)
{
    if (node->line_count == node->line_capacity) {
        uint32_t wanted = node->line_capacity == 0 ? 4 : 2 * node->line_capacity;
        struct br_sim_line *lines = realloc(node->lines, wanted * sizeof *lines);
        if (lines == NULL) {
            node->shard->stats.short_of_memory++;
            return NULL;
        }
        node->lines = lines;
        node->line_capacity = wanted;
    }
    struct br_sim_line *line = &node->lines[node->line_count++];
    *line = (struct br_sim_line){.number = number, .stream = stream, .peer = peer};
    return line;
}

static void line_free(struct br_sim_node *node, struct br_sim_line *line)
{
    *line = node->lines[--node->line_count];
}

/* ---- sending ---- */

static struct br_sim_packet *packet_of(struct br_sim_node *node, const struct br_sim_line *line,
                                       enum br_sim_kind kind, struct bruit_bytes bytes)
{
    struct br_sim_packet *packet = br_sim_packet_new(node->shard, bytes.size);
    if (packet == NULL)
        return NULL;
    packet->kind = (uint8_t)kind;
    packet->line = line->number;
    packet->from = node->index;
    packet->to = line->peer;
    packet->from_addr = node->source;
    packet->born = node->shard->now;
    if (bytes.size > 0)
        memcpy(packet->bytes, bytes.data, bytes.size);
    return packet;
}

static void say(struct br_sim_node *node, struct br_sim_line *line, enum br_sim_kind kind, int error)
{
    struct br_sim_packet *packet = packet_of(node, line, kind, (struct bruit_bytes){0});
    if (packet == NULL)
        return;
    packet->error = error;
    br_sim_stream_transmit(node, packet);
}

/* A word of our own kernel to the engine, as if it came from the peer, which needs no way. */
static void tell_ourselves(struct br_sim_node *node, uint64_t number, enum br_sim_kind kind, int error,
                           bruit_time at)
{
    struct br_sim_packet *packet = br_sim_packet_new(node->shard, 0);
    if (packet == NULL)
        return;
    packet->kind = (uint8_t)kind;
    packet->line = number;
    packet->from = packet->to = node->index;
    packet->error = error;
    br_sim_launch(node, packet, node->index, at);
}

/*
 * Nobody answers: the kernel tells its engine, and what is still to be sent is forgotten when its turn comes.
 */
static void give_up(struct br_sim_node *node, struct br_sim_line *line, int error)
{
    node->shard->stats.streams_reset++;
    if (line->stream == 0)
        line_free(node, line);
    else
        tell_ourselves(node, line->number, BR_SIM_END, error, node->shard->now + 1);
}

/* Back into the queue, as our own business, until it is worth another try. */
static void wait_for_retry(struct br_sim_node *node, struct br_sim_line *line, struct br_sim_packet *packet)
{
    if (line->retry_at <= node->shard->now) {
        line->retry_at = node->shard->now + (RETRY_FIRST << (line->tries < 6 ? line->tries : 6));
        line->tries++;
    }
    if (packet->kind != BR_SIM_RETRY) {
        packet->is = packet->kind;
        packet->kind = BR_SIM_RETRY;
    }
    br_sim_launch(node, packet, node->index, line->retry_at);
}

/* It leaves: when the last of it is out, and when it arrives. */
static void let_go(struct br_sim_node *node, struct br_sim_line *line, struct br_sim_packet *packet,
                   const struct br_sim_effect *effect)
{
    const struct br_sim_way *way = br_sim_way_of(node->sim, node->index, packet->to);
    bool was_waiting = packet->kind == BR_SIM_RETRY;
    if (was_waiting)
        packet->kind = packet->is;
    bruit_time leaves = br_sim_depart(node, packet->size, false);
    bruit_time at = leaves + br_sim_latency(node, packet->to, way) + effect->delay;
    at = br_time_max(br_time_max(at, effect->clog), line->last_arrival + 1);
    line->last_arrival = at;
    line->tries = 0;
    bool is_chunk = packet->kind == BR_SIM_BYTES, is_last = packet->kind == BR_SIM_END;
    br_sim_launch(node, packet, packet->to, at);
    if (is_chunk && (was_waiting || leaves > node->shard->now))
        tell_ourselves(node, line->number, BR_SIM_SENT, 0, br_time_max(leaves, node->shard->now + 1));
    if (is_last)
        line_free(node, line);
}

static void refuse_by_rule(struct br_sim_node *node, struct br_sim_line *line, struct br_sim_packet *packet)
{
    node->shard->stats.streams_refused++;
    tell_ourselves(node, line->number, BR_SIM_END, BRUIT_EREFUSED, node->shard->now + 1);
    br_sim_packet_free(node->shard, packet);
}

void br_sim_stream_transmit(struct br_sim_node *node, struct br_sim_packet *packet)
{
    struct br_sim_line *line = find_line(node, packet->line);
    struct br_sim_effect effect = {0};
    if (line == NULL || packet->to == BRUIT_SIM_NOBODY) {
        br_sim_packet_free(node->shard, packet);
        return;
    }
    if (line->retry_at > node->shard->now) {
        wait_for_retry(node, line, packet);
        return;
    }
    const struct br_sim_way *way = br_sim_way_of(node->sim, node->index, packet->to);
    if (node->sim->rules != NULL)
        br_sim_effect_of(node, packet->to, BRUIT_SIM_STREAMS, &effect);
    enum br_sim_kind kind = (enum br_sim_kind)(packet->kind == BR_SIM_RETRY ? packet->is : packet->kind);
    if (effect.block && effect.refuse && kind == BR_SIM_CONNECT) {
        refuse_by_rule(node, line, packet);
        return;
    }
    bool is_stuck = effect.block || effect.lose || node->addr.size == 0;
    if (!is_stuck && !br_sim_chance(&node->rng, way->loss)) {
        let_go(node, line, packet, &effect);
    } else if (node->shard->now - packet->born >= GIVE_UP) {
        br_sim_packet_free(node->shard, packet);
        give_up(node, line, BRUIT_ETIMEOUT);
    } else {
        wait_for_retry(node, line, packet);
    }
}

/* ---- what the engine wants ---- */

static void open_line(struct br_sim_node *node, const struct bruit_stream_op *op)
{
    uint64_t number = (uint64_t)node->index << 32 | (uint32_t)++node->line_next;
    uint32_t to = br_sim_whose(node->sim, &op->to);
    struct br_sim_line *line = line_new(node, number, op->stream, to);
    if (line == NULL)
        return;
    line->is_dialler = true;
    if (to != BRUIT_SIM_NOBODY) {
        say(node, line, BR_SIM_CONNECT, 0);
    } else { /* nobody has that address: no answer ever, until the kernel gives up */
        tell_ourselves(node, number, BR_SIM_END, BRUIT_ETIMEOUT, node->shard->now + GIVE_UP);
    }
}

static void send_chunk(struct br_sim_node *node, const struct bruit_stream_op *op)
{
    struct br_sim_line *line = find_stream(node, op->stream);
    struct br_sim_packet *packet = line == NULL ? NULL : packet_of(node, line, BR_SIM_BYTES, op->bytes);
    if (packet == NULL)
        return;
    bool is_free = node->bandwidth_up == 0;
    br_sim_stream_transmit(node, packet);
    line = find_stream(node, op->stream);
    if (line == NULL || line->retry_at > node->shard->now || !is_free)
        return; /* the kernel says so when it has taken it */
    struct bruit_sim_input input = {.type = BRUIT_SIM_IN_SENT, .stream = op->stream};
    br_sim_input(node, input);
}

static void close_line(struct br_sim_node *node, const struct bruit_stream_op *op)
{
    struct br_sim_line *line = find_stream(node, op->stream);
    if (line == NULL)
        return;
    line->stream = 0;
    if (line->peer == BRUIT_SIM_NOBODY)
        line_free(node, line);
    else
        say(node, line, BR_SIM_END, 0);
}

void br_sim_stream_op(struct br_sim_node *node, const struct bruit_stream_op *op)
{
    switch (op->type) {
    case BRUIT_STREAM_OPEN: open_line(node, op); break;
    case BRUIT_STREAM_SEND: send_chunk(node, op); break;
    case BRUIT_STREAM_CLOSE: close_line(node, op); break;
    }
}

/* ---- what comes ---- */

/* The kernel answers a packet of a connection that is not there with a reset, unless that was one. */
void br_sim_stream_refuse(struct br_sim_node *node, const struct br_sim_packet *packet)
{
    struct br_sim_line line = {.number = packet->line, .peer = packet->from};
    if (packet->kind == BR_SIM_END || packet->kind == BR_SIM_SENT || packet->from == node->index)
        return;
    if (packet->kind == BR_SIM_CONNECT)
        node->shard->stats.streams_refused++;
    struct br_sim_packet *answer = packet_of(node, &line, BR_SIM_END, (struct bruit_bytes){0});
    struct br_sim_effect effect = {0};
    if (answer == NULL)
        return;
    answer->error = packet->kind == BR_SIM_CONNECT ? BRUIT_EREFUSED : BRUIT_ERESET;
    const struct br_sim_way *way = br_sim_way_of(node->sim, node->index, packet->from);
    if (node->sim->rules != NULL)
        br_sim_effect_of(node, packet->from, BRUIT_SIM_STREAMS, &effect);
    if (effect.block || effect.lose)
        br_sim_packet_free(node->shard, answer);
    else
        br_sim_launch(node, answer, packet->from,
                      br_time_max(effect.clog,
                                  node->shard->now + br_sim_latency(node, packet->from, way) + effect.delay));
}

static void accept_line(struct br_sim_node *node, const struct br_sim_packet *packet)
{
    struct bruit_sim_input input = {.type = BRUIT_SIM_IN_ACCEPTED, .addr = packet->from_addr};
    uint32_t stream = 0;
    bruit_time now = br_sim_clock_show(&node->clock, node->shard->now);
    if (bruit_stream_accepted(node->engine, &packet->from_addr, &stream, now) != 0)
        stream = 0;
    input.stream = stream;
    br_sim_input(node, input); /* notes it only */
    struct br_sim_line *line = stream == 0 ? NULL : line_new(node, packet->line, stream, packet->from);
    if (line == NULL) {
        br_sim_stream_refuse(node, packet);
        return;
    }
    node->shard->stats.streams_opened++;
    say(node, line, BR_SIM_OPENED, 0);
}

static void end_line(struct br_sim_node *node, struct br_sim_line *line, int error)
{
    struct bruit_sim_input input = {.type = BRUIT_SIM_IN_CLOSED, .stream = line->stream, .error = error};
    line_free(node, line);
    if (input.stream != 0)
        br_sim_input(node, input);
}

void br_sim_stream_arrive(struct br_sim_node *node, struct br_sim_packet *packet)
{
    if (packet->kind == BR_SIM_CONNECT) {
        accept_line(node, packet);
        return;
    }
    struct br_sim_line *line = find_line(node, packet->line);
    if (line == NULL || (line->stream == 0 && packet->kind != BR_SIM_END)) {
        if (line == NULL)
            br_sim_stream_refuse(node, packet);
        return;
    }
    struct bruit_sim_input input = {.stream = line->stream};
    switch ((enum br_sim_kind)packet->kind) {
    case BR_SIM_OPENED:
        input.type = BRUIT_SIM_IN_OPENED;
        br_sim_input(node, input);
        break;
    case BR_SIM_BYTES:
        node->shard->stats.chunks_delivered++;
        node->shard->stats.stream_bytes += packet->size;
        input.type = BRUIT_SIM_IN_BYTES;
        input.bytes = (struct bruit_bytes){packet->bytes, packet->size};
        br_sim_input(node, input);
        break;
    case BR_SIM_SENT:
        input.type = BRUIT_SIM_IN_SENT;
        br_sim_input(node, input);
        break;
    default: end_line(node, line, packet->error); break;
    }
}

void br_sim_streams_reset(struct br_sim_node *node)
{
    struct br_sim_effect effect;
    for (const struct br_sim_packet *packet = node->inbox; packet != NULL; packet = packet->next)
        if (packet->kind == BR_SIM_CONNECT)
            br_sim_stream_refuse(node, packet);
    for (uint32_t i = 0; i < node->line_count; i++) {
        const struct br_sim_line *line = &node->lines[i];
        if (line->peer == BRUIT_SIM_NOBODY)
            continue;
        br_sim_effect_of(node, line->peer, BRUIT_SIM_STREAMS, &effect);
        struct br_sim_packet *packet =
            effect.block || effect.lose ? NULL : packet_of(node, line, BR_SIM_END, (struct bruit_bytes){0});
        if (packet == NULL)
            continue;
        node->shard->stats.streams_reset++;
        packet->error = BRUIT_ERESET;
        bruit_time at = node->shard->now +
                        br_sim_latency(node, line->peer, br_sim_way_of(node->sim, node->index, line->peer));
        br_sim_launch(node, packet, line->peer, br_time_max(at, line->last_arrival + 1));
    }
    node->line_count = 0;
}
