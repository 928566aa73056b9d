/*
 * Looking: what programs are told, what is counted, and the hash of it all.
 */
#include "base/trace.h"
#include "engine/engine.h"
#include "sim/clock.h"

#include <bruit/trace.h>

#include <stdlib.h>

/* ---- nodes ---- */

uint32_t bruit_sim_count(const struct bruit_sim *sim)
{
    return sim->count;
}

struct bruit_engine *bruit_sim_engine(const struct bruit_sim *sim, uint32_t index)
{
    return br_sim_node(sim, index)->engine;
}

bruit_time bruit_sim_time(const struct bruit_sim *sim, uint32_t index)
{
    return br_sim_node(sim, index)->shard->now;
}

bruit_time bruit_sim_clock(const struct bruit_sim *sim, uint32_t index)
{
    struct br_sim_node *node = br_sim_node(sim, index);
    return br_sim_clock_show(&node->clock, node->shard->now);
}

enum bruit_sim_condition bruit_sim_condition(const struct bruit_sim *sim, uint32_t index)
{
    const struct br_sim_node *node = br_sim_node(sim, index);
    if (node->engine == NULL)
        return BRUIT_SIM_STOPPED;
    return node->is_paused ? BRUIT_SIM_PAUSED : BRUIT_SIM_RUNNING;
}

struct bruit_bytes bruit_sim_name(const struct bruit_sim *sim, uint32_t index)
{
    const struct br_sim_node *node = br_sim_node(sim, index);
    return br_bytes(node->name, node->name_size);
}

struct bruit_addr bruit_sim_addr(const struct bruit_sim *sim, uint32_t index)
{
    return br_sim_node(sim, index)->addr;
}

uint32_t bruit_sim_at_addr(const struct bruit_sim *sim, const struct bruit_addr *addr)
{
    return br_sim_whose(sim, addr);
}

uint32_t bruit_sim_zone(const struct bruit_sim *sim, uint32_t index)
{
    return br_sim_node(sim, index)->zone;
}

uint32_t bruit_sim_starts(const struct bruit_sim *sim, uint32_t index)
{
    return br_sim_node(sim, index)->starts;
}

/* ---- beliefs ---- */

bruit_node bruit_sim_find(const struct bruit_sim *sim, uint32_t index, uint32_t about)
{
    const struct bruit_engine *engine = bruit_sim_engine(sim, index);
    return engine == NULL ? 0 : bruit_member_find(engine, bruit_sim_name(sim, about));
}

uint32_t bruit_sim_node_of(const struct bruit_sim *sim, uint32_t index, bruit_node member)
{
    const struct bruit_engine *engine = bruit_sim_engine(sim, index);
    struct bruit_bytes name = engine == NULL ? br_bytes(NULL, 0) : bruit_member_name(engine, member);
    return name.size == 0 ? BRUIT_SIM_NOBODY : bruit_sim_named(sim, name);
}

int bruit_sim_belief(const struct bruit_sim *sim, uint32_t index, uint32_t about)
{
    bruit_node member = bruit_sim_find(sim, index, about);
    return member == 0 ? -1 : (int)bruit_sim_engine(sim, index)->core.view.state[member];
}

static bool agrees(const struct bruit_sim *sim, uint32_t index, size_t running)
{
    const struct bruit_engine *engine = bruit_sim_engine(sim, index);
    if (engine == NULL)
        return true;
    if (engine->core.view.state_count[BRUIT_ALIVE] != running || bruit_member_alive_count(engine) != running)
        return false;
    for (uint32_t i = 0; i < sim->count; i++)
        if (bruit_sim_engine(sim, i) != NULL && bruit_sim_belief(sim, index, i) != BRUIT_ALIVE)
            return false;
    return true;
}

bool bruit_sim_all_agree(struct bruit_sim *sim, void *context)
{
    size_t running = 0;
    (void)context;
    for (uint32_t i = 0; i < sim->count; i++)
        running += bruit_sim_engine(sim, i) != NULL;
    for (uint32_t i = 0; i < sim->count; i++)
        if (!agrees(sim, i, running))
            return false;
    return true;
}

/* ---- events ---- */

static bool reserve_told(struct br_sim_shard *shard)
{
    if (shard->told_count < shard->told_capacity)
        return true;
    size_t wanted = shard->told_capacity == 0 ? 256 : 2 * shard->told_capacity;
    struct bruit_sim_event *told = realloc(shard->told, wanted * sizeof *told);
    if (told != NULL)
        shard->told = told;
    uint64_t *order = realloc(shard->told_order, wanted * sizeof *order);
    if (order != NULL)
        shard->told_order = order;
    if (told == NULL || order == NULL) {
        shard->stats.short_of_memory++;
        return false;
    }
    shard->told_capacity = wanted;
    return true;
}

static void keep(struct br_sim_node *node, const struct bruit_event *event)
{
    struct br_sim_shard *shard = node->shard;
    struct bruit_member member;
    if (!reserve_told(shard))
        return;
    struct bruit_sim_event kept = {.time = shard->now,
                                   .node = node->index,
                                   .about = BRUIT_SIM_NOBODY,
                                   .type = event->type,
                                   .changes = event->changes,
                                   .request = event->request,
                                   .error = event->error,
                                   .contacted = event->join.contacted};
    if (event->node != 0 && bruit_member_get(node->engine, event->node, &member) == 0) {
        kept.incarnation = member.incarnation;
        kept.about = bruit_sim_named(node->sim, member.name);
    }
    if (event->type == BRUIT_EVENT_JOIN_DONE && event->join.count > 0)
        kept.error = event->join.results[0].error;
    shard->told_order[shard->told_count] = node->events;
    shard->told[shard->told_count++] = kept;
}

void br_sim_tell(struct br_sim_node *node, const struct bruit_event *event)
{
    const struct bruit_sim_config *config = &node->sim->config;
    node->shard->stats.engine_events++;
    node->events++;
    br_sim_note(node, (uint64_t)event->type << 32 ^ event->changes);
    if (config->keep_events)
        keep(node, event);
    if (config->on_event != NULL)
        config->on_event(config->context, node->sim, node->index, event);
}

struct told {
    struct bruit_sim_event event;
    uint64_t order;
};

static int compare(const void *left, const void *right)
{
    const struct told *a = left, *b = right;
    if (a->event.time != b->event.time)
        return a->event.time < b->event.time ? -1 : 1;
    if (a->event.node != b->event.node)
        return a->event.node < b->event.node ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

/* What all shards were told since, in one order that does not depend on them. */
static void gather(struct bruit_sim *sim)
{
    size_t count = 0;
    for (uint32_t i = 0; i < sim->shard_count; i++)
        count += sim->shards[i].told_count;
    struct told *all = count == 0 ? NULL : malloc(count * sizeof *all);
    if (all == NULL)
        return;
    count = 0;
    for (uint32_t i = 0; i < sim->shard_count; i++) {
        struct br_sim_shard *shard = &sim->shards[i];
        for (size_t n = 0; n < shard->told_count; n++)
            all[count++] = (struct told){shard->told[n], shard->told_order[n]};
        shard->told_count = 0;
    }
    qsort(all, count, sizeof *all, compare);
    free(sim->events);
    sim->events = malloc(count * sizeof *sim->events);
    sim->event_next = 0;
    sim->event_count = sim->events == NULL ? 0 : count;
    for (size_t i = 0; i < sim->event_count; i++)
        sim->events[i] = all[i].event;
    free(all);
}

bool bruit_sim_next_event(struct bruit_sim *sim, struct bruit_sim_event *event)
{
    if (sim->event_next == sim->event_count) {
        sim->event_next = sim->event_count = 0;
        gather(sim);
    }
    if (sim->event_next == sim->event_count)
        return false;
    *event = sim->events[sim->event_next++];
    return true;
}

/* ---- trace and hash ---- */

void br_sim_trace(void *context, const struct bruit_trace_record *record)
{
    struct br_sim_node *node = context;
    const struct bruit_sim_config *config = &node->sim->config;
    node->hash = bruit_trace_hash(node->hash, record);
    if (config->on_trace != NULL)
        config->on_trace(config->context, node->sim, node->index, record);
}

uint64_t bruit_sim_node_hash(const struct bruit_sim *sim, uint32_t index)
{
    const struct br_sim_node *node = br_sim_node(sim, index);
    return node->engine == NULL ? node->hash : br_sim_mix(node->hash ^ bruit_view_checksum(node->engine));
}

uint64_t bruit_sim_hash(const struct bruit_sim *sim)
{
    uint64_t hash = br_sim_mix(sim->now);
    for (uint32_t i = 0; i < sim->count; i++)
        hash = br_sim_mix(hash ^ bruit_sim_node_hash(sim, i));
    return hash;
}

uint64_t bruit_sim_random(struct bruit_sim *sim, uint64_t bound)
{
    return br_rng_time_below(&sim->rng, bound);
}

/* ---- statistics ---- */

#define NAME(name, text) #name,
#define TEXT(name, text) text,

const char *bruit_sim_loss_name(enum bruit_sim_loss reason)
{
    static const char *const names[] = {BRUIT_SIM_LOSSES(NAME)};
    return (unsigned)reason < BRUIT_SIM_LOST_COUNT ? names[reason] : "NONE";
}

const char *bruit_sim_loss_text(enum bruit_sim_loss reason)
{
    static const char *const texts[] = {BRUIT_SIM_LOSSES(TEXT)};
    return (unsigned)reason < BRUIT_SIM_LOST_COUNT ? texts[reason] : "nothing was lost";
}

/* The fields up to `lost` and behind are all numbers of 64 bits, which simply add up. */
static void add(struct bruit_sim_stats *sum, const struct bruit_sim_stats *more)
{
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *from = (const uint64_t *)more;
    _Static_assert(sizeof *sum % sizeof *to == 0, "numbers only");
    for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
        to[i] += from[i];
}

void bruit_sim_stats_get(const struct bruit_sim *sim, struct bruit_sim_stats *out)
{
    *out = (struct bruit_sim_stats){0};
    for (uint32_t i = 0; i < sim->shard_count; i++) {
        add(out, &sim->shards[i].stats);
        out->in_flight += sim->shards[i].in_flight;
        out->memory_held += sim->shards[i].held;
    }
    for (uint32_t i = 0; i < sim->count; i++) {
        const struct bruit_engine *engine = bruit_sim_engine(sim, i);
        if (engine == NULL)
            continue;
        out->running++;
        out->memory += engine->core.alloc.in_use;
    }
    out->memory_held_peak = out->memory_held > sim->held_peak ? out->memory_held : sim->held_peak;
}
