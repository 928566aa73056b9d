/*
 * The way of a datagram: whether it arrives, when, how often, and as what.
 *
 * No link has a state of its own. What belongs to a pair of nodes is a hash of the pair; what is drawn comes
 * from the sender's stream. Bursts of loss are a function of the pair and the time: time is cut into periods
 * of `burst_every`, each of which has one burst that begins somewhere in it and lasts, exponentially
 * distributed, for `burst_length` on average: the two states of Gilbert (1960) and Elliott (1963), without
 * having to be remembered.
 */
#include "base/num.h"
#include "base/time.h"
#include "sim/clock.h"
#include "sim/sim.h"

#include <string.h>

/* ---- links ---- */

void bruit_sim_link_default(struct bruit_sim_link *link)
{
    *link = (struct bruit_sim_link){.latency = BRUIT_MILLISECOND / 2, .jitter = BRUIT_MILLISECOND / 2};
}

#define SPAN_MAX (3600 * BRUIT_SECOND)

const char *br_sim_link_check(const struct bruit_sim_link *link)
{
    const uint32_t fractions[] = {link->loss, link->burst_loss, link->duplicate, link->reorder,
                                  link->corrupt};
    const bruit_time spans[] = {link->latency,     link->spread,       link->jitter,
                                link->burst_every, link->burst_length, link->reorder_delay};
    for (size_t i = 0; i < sizeof fractions / sizeof *fractions; i++)
        if (fractions[i] > BRUIT_SIM_MILLION)
            return "a fraction of a link is above a million: fractions are parts in a million";
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++)
        if (spans[i] > SPAN_MAX)
            return "a time of a link is longer than an hour: times are in nanoseconds, see BRUIT_SECOND";
    if (link->latency < BRUIT_SIM_LATENCY_MIN)
        return "the latency of a link must be at least 1 microsecond";
    if (link->burst_every > 0 && link->burst_length >= link->burst_every)
        return "burst_length must be below burst_every";
    return NULL;
}

void br_sim_way_init(struct br_sim_way *way, const struct bruit_sim_link *link)
{
    *way = (struct br_sim_way){
        .link = *link,
        .loss = br_sim_threshold(link->loss),
        .burst_loss = link->burst_every == 0 ? 0 : br_sim_threshold(link->burst_loss),
        .duplicate = br_sim_threshold(link->duplicate),
        .reorder = br_sim_threshold(link->reorder),
        .corrupt = br_sim_threshold(link->corrupt),
    };
    way->is_plain = way->loss == 0 && way->burst_loss == 0 && way->duplicate == 0 && way->reorder == 0 &&
                    way->corrupt == 0 && link->mtu == 0;
}

static uint32_t zone_of(const struct bruit_sim *sim, uint32_t node)
{
    return node == BRUIT_SIM_NOBODY ? 0 : sim->places[node] & BR_SIM_PLACE_ZONE;
}

const struct br_sim_way *br_sim_way_of(const struct bruit_sim *sim, uint32_t from, uint32_t to)
{
    if (sim->config.zones == 1)
        return sim->ways;
    return &sim->ways[zone_of(sim, from) * sim->config.zones + zone_of(sim, to)];
}

/* ---- times ---- */

bruit_time br_sim_up_to(struct br_rng *rng, bruit_time most)
{
    return most < UINT32_MAX ? br_rng_below(rng, (uint32_t)most + 1) : br_rng_time_below(rng, most + 1);
}

/* Twelve uniform numbers make a normal one, to within what anybody can tell below three sigma. */
static double normal(struct br_rng *rng)
{
    int32_t sum = 0;
    for (int i = 0; i < 3; i++)
        for (uint64_t x = br_rng_u64(rng), n = 0; n < 4; n++, x >>= 16)
            sum += (int32_t)(x & 0xffff);
    return (double)(sum - 6 * 65535) / 65536.0;
}

static bruit_time jitter(struct br_rng *rng, const struct bruit_sim_link *link)
{
    if (link->jitter == 0)
        return 0;
    if (link->shape == BRUIT_SIM_UNIFORM)
        return br_sim_up_to(rng, link->jitter);
    return (bruit_time)(br_num_exp(normal(rng)) * (double)link->jitter);
}

/* The same both ways. */
static uint64_t pair_hash(const struct bruit_sim *sim, uint32_t a, uint32_t b)
{
    uint64_t low = a < b ? a : b, high = a < b ? b : a;
    return br_sim_mix(sim->config.seed ^ br_sim_mix(low << 32 | high));
}

bruit_time br_sim_latency(struct br_sim_node *from, uint32_t to, const struct br_sim_way *way)
{
    const struct bruit_sim_link *link = &way->link;
    bruit_time latency = link->latency + jitter(&from->rng, link);
    if (link->spread > 0)
        latency += pair_hash(from->sim, from->index, to) % (link->spread + 1);
    return latency;
}

/* Is the burst that begins in period `period` still there at `now`? */
static bool is_in_burst_of(uint64_t pair, uint64_t period, const struct bruit_sim_link *link, bruit_time now)
{
    uint64_t hash = br_sim_mix(pair ^ br_sim_mix(period));
    bruit_time begin = period * link->burst_every + hash % link->burst_every;
    double uniform = (double)(br_sim_mix(hash) >> 11 | 1) / 9007199254740992.0;
    bruit_time length = (bruit_time)(-br_num_log(uniform) * (double)link->burst_length);
    return now >= begin && now - begin < length;
}

static bool is_in_burst(const struct bruit_sim *sim, uint32_t from, uint32_t to,
                        const struct bruit_sim_link *link, bruit_time now)
{
    uint64_t pair = br_sim_mix(sim->config.seed + 1 + ((uint64_t)from << 32 | to));
    uint64_t period = now / link->burst_every;
    return is_in_burst_of(pair, period, link, now) ||
           (period > 0 && is_in_burst_of(pair, period - 1, link, now));
}

/* ---- lines of limited width ---- */

static bruit_time pass(bruit_time *line_free, uint64_t rate, size_t size, bruit_time now, uint32_t queue_max,
                       bool may_drop)
{
    if (rate == 0)
        return now;
    bruit_time start = br_time_max(now, *line_free);
    uint64_t waiting = (start - now) / BRUIT_MICROSECOND * rate / 1000000;
    if (may_drop && waiting + size > queue_max && start > now)
        return BRUIT_NEVER;
    *line_free = start + (bruit_time)size * BRUIT_SECOND / rate;
    return *line_free;
}

bruit_time br_sim_depart(struct br_sim_node *node, size_t size, bool may_drop)
{
    return pass(&node->up_free, node->bandwidth_up, size, node->shard->now, node->sim->config.queue_max,
                may_drop);
}

bruit_time br_sim_pass_line(struct br_sim_node *node, size_t size, bool may_drop)
{
    return pass(&node->down_free, node->bandwidth_down, size, node->shard->now, node->sim->config.queue_max,
                may_drop);
}

/* ---- datagrams ---- */

void br_sim_lose(struct br_sim_shard *shard, enum bruit_sim_loss reason)
{
    shard->stats.lost[reason]++;
}

static struct br_sim_packet *packet_of(struct br_sim_node *node, uint32_t to, const uint8_t *bytes,
                                       size_t size)
{
    struct br_sim_packet *packet = br_sim_packet_new(node->shard, size);
    if (packet == NULL)
        return NULL;
    packet->kind = BR_SIM_DATAGRAM;
    packet->from = node->index;
    packet->to = to;
    packet->from_addr = node->source;
    memcpy(packet->bytes, bytes, size);
    return packet;
}

static void flip_bits(struct br_rng *rng, struct br_sim_packet *packet)
{
    uint32_t count = 1 + br_rng_below(rng, 4);
    for (uint32_t i = 0; i < count && packet->size > 0; i++) {
        uint8_t bit = (uint8_t)(1u << br_rng_below(rng, 8)); /* drawn before the place, whatever the compiler */
        packet->bytes[br_rng_below(rng, packet->size)] ^= bit;
    }
}

/* Why this datagram will not arrive, or BRUIT_SIM_LOST_COUNT. All chances are drawn here. */
static enum bruit_sim_loss fate(struct br_sim_node *node, uint32_t to, size_t size,
                                const struct br_sim_way *way, const struct br_sim_effect *effect)
{
    const struct bruit_sim_link *link = &way->link;
    if (effect->block || effect->lose)
        return BRUIT_SIM_LOST_RULE;
    if ((link->mtu != 0 && size > link->mtu) || (effect->mtu != 0 && size > effect->mtu))
        return BRUIT_SIM_LOST_MTU;
    if (br_sim_chance(&node->rng, way->loss))
        return BRUIT_SIM_LOST_CHANCE;
    if (way->burst_loss != 0 && is_in_burst(node->sim, node->index, to, link, node->shard->now) &&
        br_sim_chance(&node->rng, way->burst_loss))
        return BRUIT_SIM_LOST_BURST;
    return BRUIT_SIM_LOST_COUNT;
}

/* The way is not the plain one: everything that can happen to it. */
static void send_through(struct br_sim_node *node, uint32_t to, const uint8_t *bytes, size_t size,
                         const struct br_sim_way *way, const struct br_sim_effect *effect, bruit_time leaves)
{
    struct br_sim_shard *shard = node->shard;
    struct br_rng *rng = &node->rng;
    enum bruit_sim_loss reason = fate(node, to, size, way, effect);
    if (reason != BRUIT_SIM_LOST_COUNT) {
        br_sim_lose(shard, reason);
        return;
    }
    uint32_t copies = 1;
    if (br_sim_chance(rng, way->duplicate) || br_sim_chance(rng, effect->duplicate)) {
        shard->stats.duplicated++;
        copies = 2;
    }
    bool reorders = br_sim_chance(rng, way->reorder);
    shard->stats.reordered += reorders;
    for (uint32_t i = 0; i < copies; i++) {
        struct br_sim_packet *packet = packet_of(node, to, bytes, size);
        bruit_time at = leaves + br_sim_latency(node, to, way) + effect->delay;
        if (i > 0 || reorders)
            at += br_sim_up_to(rng, way->link.reorder_delay);
        if (packet == NULL)
            return;
        if (br_sim_chance(rng, way->corrupt) || br_sim_chance(rng, effect->corrupt)) {
            shard->stats.corrupted++;
            flip_bits(rng, packet);
        }
        br_sim_launch(node, packet, to, br_time_max(at, effect->clog));
    }
}

static void send_plainly(struct br_sim_node *node, uint32_t to, const uint8_t *bytes, size_t size,
                         const struct br_sim_way *way, bruit_time leaves)
{
    struct br_sim_packet *packet = packet_of(node, to, bytes, size);
    if (packet != NULL)
        br_sim_launch(node, packet, to, leaves + br_sim_latency(node, to, way));
}

static bool may_pass(struct br_sim_node *node, uint32_t to, const struct bruit_datagram *datagram,
                     const uint8_t *bytes)
{
    const struct bruit_sim_config *config = &node->sim->config;
    if (config->on_packet == NULL)
        return true;
    struct bruit_sim_packet packet = {.time = node->shard->now,
                                      .from = node->index,
                                      .to = to,
                                      .addr = datagram->to,
                                      .bytes = {bytes, datagram->size}};
    return config->on_packet(config->context, node->sim, &packet);
}

void br_sim_send(struct br_sim_node *node, const struct bruit_datagram *datagram, const uint8_t *bytes)
{
    struct bruit_sim *sim = node->sim;
    struct br_sim_shard *shard = node->shard;
    uint32_t to = br_sim_whose(sim, &datagram->to);
    shard->stats.datagrams_sent++;
    shard->stats.bytes_sent += datagram->size;
    if (!may_pass(node, to, datagram, bytes)) {
        br_sim_lose(shard, BRUIT_SIM_LOST_FILTER);
        return;
    }
    bruit_time leaves = br_sim_depart(node, datagram->size, true);
    if (leaves == BRUIT_NEVER || to == BRUIT_SIM_NOBODY || node->addr.size == 0) {
        br_sim_lose(shard, leaves == BRUIT_NEVER ? BRUIT_SIM_LOST_QUEUE : BRUIT_SIM_LOST_NOBODY);
        return;
    }
    const struct br_sim_way *way = br_sim_way_of(sim, node->index, to);
    if (sim->rules == NULL && way->is_plain) {
        send_plainly(node, to, bytes, datagram->size, way, leaves);
        return;
    }
    struct br_sim_effect effect;
    br_sim_effect_of(node, to, BRUIT_SIM_DATAGRAMS, &effect);
    send_through(node, to, bytes, datagram->size, way, &effect, leaves);
}
