/*
 * The driver of one engine: feed, pull all, re-arm; as docs/embedding.md describes it, without a socket.
 *
 * What arrives at a node that runs and has time is told to its engine at once. Otherwise it waits in the
 * sockets (the inbox), and is read before timers are looked at: while the process is stopped, while somebody
 * else has its CPU, and while a slow CPU is still at work on what came before.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "base/time.h"
#include "sim/clock.h"
#include "sim/sim.h"

#include <string.h>

/* A driver that drains a flooded socket looks at its timers now and then. */
#define INBOX_BATCH 64

/* ---- inputs ---- */

static const uint64_t salts[] = {
    UINT64_C(0x243f6a8885a308d3), UINT64_C(0x13198a2e03707344), UINT64_C(0xa4093822299f31d0),
    UINT64_C(0x082efa98ec4e6c89), UINT64_C(0x452821e638d01377), UINT64_C(0xbe5466cf34e90c6c),
    UINT64_C(0xc0ac29b7c97c50dd), UINT64_C(0x3f84d5b5b5470917), UINT64_C(0x9216d5d98979fb1b),
    UINT64_C(0xd1310ba698dfb5ac), UINT64_C(0x2ffd72dbd01adfb7), UINT64_C(0xb8e1afed6a267e96),
};

/* The first and the last bytes say enough: what differs elsewhere shows in what the engine does. */
static uint64_t digest(struct bruit_bytes bytes)
{
    uint64_t short_one = bytes.size;
    if (BR_LIKELY(bytes.size >= 8))
        return br_load_u64(bytes.data) * 31 + br_load_u64(bytes.data + bytes.size - 8) + bytes.size;
    for (size_t i = 0; i < bytes.size; i++)
        short_one = short_one << 8 | bytes.data[i];
    return short_one;
}

static void note_input(struct br_sim_node *node, const struct bruit_sim_input *input)
{
    const struct bruit_sim_config *config = &node->sim->config;
    br_sim_note(node, salts[input->type] ^ digest(input->bytes) ^ ((uint64_t)input->stream << 32) ^
                          (uint32_t)input->error ^ input->token ^ digest(input->key));
    if (config->on_input != NULL)
        config->on_input(config->context, node->sim, node->index, input);
}

static void apply(struct br_sim_node *node, const struct bruit_sim_input *input)
{
    struct bruit_engine *engine = node->engine;
    bruit_time now = input->now;
    switch (input->type) {
    case BRUIT_SIM_IN_DATAGRAM: (void)bruit_recv_datagram(engine, &input->addr, input->bytes, now); break;
    case BRUIT_SIM_IN_TICK: (void)bruit_tick(engine, now); break;
    case BRUIT_SIM_IN_OPENED: (void)bruit_stream_opened(engine, input->stream, now); break;
    case BRUIT_SIM_IN_BYTES: (void)bruit_recv_stream(engine, input->stream, input->bytes, now); break;
    case BRUIT_SIM_IN_SENT: (void)bruit_stream_sent(engine, input->stream, now); break;
    case BRUIT_SIM_IN_CLOSED: (void)bruit_stream_closed(engine, input->stream, input->error, now); break;
    case BRUIT_SIM_IN_STORED: (void)bruit_stored(engine, input->token, input->error, now); break;
    default: break; /* told by whoever made it */
    }
}

void br_sim_input(struct br_sim_node *node, struct bruit_sim_input input)
{
    input.now = br_sim_clock_show(&node->clock, node->shard->now);
    note_input(node, &input);
    apply(node, &input);
}

static void show_datagram(struct br_sim_node *node, const struct br_sim_packet *packet, bruit_time now)
{
    const struct bruit_sim_config *config = &node->sim->config;
    struct bruit_sim_input input = {.type = BRUIT_SIM_IN_DATAGRAM,
                                    .now = now,
                                    .addr = packet->from_addr,
                                    .bytes = {packet->bytes, packet->size}};
    config->on_input(config->context, node->sim, node->index, &input);
}

/* Most of what happens: without the detour. */
static void take_datagram(struct br_sim_node *node, const struct br_sim_packet *packet)
{
    struct bruit_sim_stats *stats = &node->shard->stats;
    stats->datagrams_delivered++;
    stats->bytes_delivered += packet->size;
    struct bruit_bytes bytes = {packet->bytes, packet->size};
    bruit_time now = br_sim_clock_show(&node->clock, node->shard->now);
    br_sim_note(node, salts[BRUIT_SIM_IN_DATAGRAM] ^ digest(bytes));
    if (BR_UNLIKELY(node->sim->config.on_input != NULL))
        show_datagram(node, packet, now);
    (void)bruit_recv_datagram(node->engine, &packet->from_addr, bytes, now);
}

static void take(struct br_sim_node *node, struct br_sim_packet *packet)
{
    if (packet->kind == BR_SIM_DATAGRAM)
        take_datagram(node, packet);
    else
        br_sim_stream_arrive(node, packet);
    br_sim_packet_free(node->shard, packet);
}

/* ---- outputs ---- */

static bool pull_datagrams(struct br_sim_node *node, bruit_time now)
{
    struct bruit_datagram out;
    bool any = false;
    uint8_t *buffer = node->shard->buffer;
    while (bruit_next_datagram(node->engine, buffer, BR_SIM_BUFFER, &out, now)) {
        br_sim_send(node, &out, buffer);
        any = true;
    }
    return any;
}

static bool pull_streams(struct br_sim_node *node)
{
    struct bruit_stream_op op;
    bool any = false;
    while (bruit_next_stream_op(node->engine, &op)) {
        br_sim_stream_op(node, &op);
        any = true;
    }
    return any;
}

static bool pull_events(struct br_sim_node *node)
{
    struct bruit_event event;
    bool any = false;
    while (bruit_next_event(node->engine, &event)) {
        br_sim_tell(node, &event);
        any = true;
    }
    return any;
}

void br_sim_settle(struct br_sim_node *node)
{
    if (node->engine == NULL || node->is_told)
        return; /* a callback's requests are pulled when it returns */
    bruit_time now = br_sim_clock_show(&node->clock, node->shard->now);
    bool again;
    node->is_told = true;
    do {
        (void)pull_datagrams(node, now);
        again = pull_streams(node);
        if (node->has_store)
            br_sim_store_pull(node);
        again |= pull_events(node);
    } while (again);
    if (node->sim->config.on_input != NULL)
        note_input(node, &(struct bruit_sim_input){.type = BRUIT_SIM_IN_PULLED, .now = now});
    node->is_told = false;
    if (node->is_doomed) {
        br_sim_die(node);
        return;
    }
    node->due = br_sim_clock_when(&node->clock, bruit_deadline(node->engine), node->shard->now);
}

/* ---- when to wake ---- */

static bool is_halted(const struct br_sim_node *node)
{
    return node->is_paused || node->is_stolen;
}

static bruit_time next_wake(const struct br_sim_node *node)
{
    bruit_time next = node->starve_next;
    if (is_halted(node) || node->engine == NULL)
        return next;
    next = br_time_min(next, br_time_min(node->alarm, br_sim_store_time(node)));
    if (node->busy_until != BRUIT_NEVER)
        return br_time_min(next, node->busy_until);
    return br_time_min(next, node->inbox != NULL ? node->shard->now : node->due);
}

/* Waking too early costs nothing: a time that has moved on is looked up again then. */
void br_sim_rearm(struct br_sim_node *node)
{
    struct br_sim_wheel *wakes = &node->shard->wakes;
    uint32_t id = br_sim_wake_id(node);
    bruit_time next = next_wake(node);
    if (next < br_sim_wheel_time(wakes, id))
        br_sim_wheel_set(wakes, id, next);
}

/* It has been woken: whatever was set before is over. */
static void rearm_after(struct br_sim_node *node)
{
    br_sim_wheel_set(&node->shard->wakes, br_sim_wake_id(node), next_wake(node));
}

/* ---- the inbox ---- */

static void enqueue(struct br_sim_node *node, struct br_sim_packet *packet)
{
    if (packet->kind == BR_SIM_DATAGRAM && node->inbox_size + packet->size > node->sim->config.socket_max) {
        br_sim_lose(node->shard, BRUIT_SIM_LOST_SOCKET);
        br_sim_packet_free(node->shard, packet);
        return;
    }
    packet->next = NULL;
    if (node->inbox == NULL)
        node->inbox = packet;
    else
        node->inbox_last->next = packet;
    node->inbox_last = packet;
    node->inbox_size += packet->size;
}

static struct br_sim_packet *dequeue(struct br_sim_node *node)
{
    struct br_sim_packet *packet = node->inbox;
    node->inbox = packet->next;
    node->inbox_size -= packet->size;
    return packet;
}

void br_sim_inbox_clear(struct br_sim_node *node)
{
    while (node->inbox != NULL)
        br_sim_packet_free(node->shard, dequeue(node));
    node->inbox_since_tick = 0;
}

/* ---- arrivals ---- */

/* Nobody is there, or not under this address any more. */
static void miss(struct br_sim_node *node, struct br_sim_packet *packet)
{
    if (packet->kind == BR_SIM_DATAGRAM)
        br_sim_lose(node->shard, BRUIT_SIM_LOST_NOBODY);
    else if (node->addr.size != 0)
        br_sim_stream_refuse(node, packet);
    br_sim_packet_free(node->shard, packet);
}

/* A receiver's line may be narrow: then it arrives later. False: it is not there yet, or never will be. */
static bool has_passed_line(struct br_sim_node *node, struct br_sim_packet *packet)
{
    if (node->bandwidth_down == 0 || packet->has_queued || packet->from == node->index)
        return true;
    bool is_datagram = packet->kind == BR_SIM_DATAGRAM;
    bruit_time at = br_sim_pass_line(node, packet->size, is_datagram);
    if (at == BRUIT_NEVER) {
        br_sim_lose(node->shard, BRUIT_SIM_LOST_QUEUE);
        br_sim_packet_free(node->shard, packet);
        return false;
    }
    packet->has_queued = true;
    br_sim_launch(node, packet, node->index, at);
    return false;
}

void br_sim_arrive(struct br_sim_node *node, struct br_sim_packet *packet)
{
    node->shard->in_flight--;
    if (packet->kind == BR_SIM_RETRY) {
        br_sim_stream_transmit(node, packet);
        return;
    }
    if (!has_passed_line(node, packet))
        return;
    if (node->engine == NULL || node->addr.size == 0) {
        miss(node, packet);
        return;
    }
    node->shard->stats.events += packet->kind == BR_SIM_DATAGRAM || packet->kind == BR_SIM_BYTES;
    if (is_halted(node) || node->cpu > 0 || node->inbox != NULL) {
        enqueue(node, packet);
        if (node->cpu > 0 && node->busy_until == BRUIT_NEVER)
            node->busy_until = node->shard->now + node->cpu;
    } else {
        take(node, packet);
        br_sim_settle(node);
    }
    br_sim_rearm(node);
}

/* ---- of its own accord ---- */

static void tick(struct br_sim_node *node)
{
    struct bruit_sim_stats *stats = &node->shard->stats;
    stats->events++;
    stats->deadlines++;
    node->inbox_since_tick = 0;
    if (BR_UNLIKELY(node->sim->config.on_input != NULL)) {
        br_sim_input(node, (struct bruit_sim_input){.type = BRUIT_SIM_IN_TICK});
    } else {
        br_sim_note(node, salts[BRUIT_SIM_IN_TICK]);
        (void)bruit_tick(node->engine, br_sim_clock_show(&node->clock, node->shard->now));
    }
    br_sim_settle(node);
    /*
     * A turn of a real loop takes time: an engine whose deadline stays in the past must not stop the world's.
     */
    if (node->due <= node->shard->now)
        node->due = node->shard->now + BRUIT_MICROSECOND;
}

static void sound_alarm(struct br_sim_node *node)
{
    const struct bruit_sim_config *config = &node->sim->config;
    node->alarm = BRUIT_NEVER;
    if (config->on_alarm == NULL)
        return;
    node->is_told = true;
    config->on_alarm(config->context, node->sim, node->index);
    node->is_told = false;
    br_sim_settle(node); /* and dies, if it was told to */
}

/* Somebody takes the CPU, or gives it back, each time for half to one and a half of what was asked for. */
static void turn_starving(struct br_sim_node *node)
{
    bruit_time now = node->shard->now;
    if (node->starve_stall == 0) {
        node->is_stolen = false;
        node->starve_next = BRUIT_NEVER;
        return;
    }
    node->is_stolen = !node->is_stolen;
    bruit_time mean = node->is_stolen ? node->starve_stall : node->starve_run;
    node->starve_next = now + mean / 2 + br_sim_up_to(&node->rng, mean) + 1;
}

/* A slow CPU has finished one thing. */
static void work_slowly(struct br_sim_node *node)
{
    bruit_time now = node->shard->now;
    if (node->busy_until > now && node->busy_until != BRUIT_NEVER)
        return;
    bool was_busy = node->busy_until != BRUIT_NEVER;
    node->busy_until = BRUIT_NEVER;
    bool ticks = node->due <= now && (node->inbox == NULL || node->inbox_since_tick >= INBOX_BATCH);
    if (was_busy && ticks) {
        tick(node);
    } else if (was_busy && node->inbox != NULL) {
        node->inbox_since_tick++;
        take(node, dequeue(node));
        br_sim_settle(node);
    }
    if (node->inbox != NULL || node->due <= now)
        node->busy_until = now + node->cpu;
}

static void work(struct br_sim_node *node)
{
    while (node->inbox != NULL) {
        take(node, dequeue(node));
        if (node->inbox != NULL && ++node->inbox_since_tick % INBOX_BATCH != 0)
            continue; /* a driver reads in batches */
        br_sim_settle(node);
    }
    node->inbox_since_tick = 0;
    if (node->due <= node->shard->now)
        tick(node);
}

void br_sim_wake(struct br_sim_node *node)
{
    if (node->starve_next <= node->shard->now)
        turn_starving(node);
    if (node->engine != NULL && !is_halted(node)) {
        if (node->alarm <= node->shard->now)
            sound_alarm(node);
        if (br_sim_store_time(node) <= node->shard->now && node->engine != NULL) {
            br_sim_store_tell(node);
            br_sim_settle(node);
        }
        if (node->cpu > 0)
            work_slowly(node);
        else
            work(node);
    }
    rearm_after(node);
}
