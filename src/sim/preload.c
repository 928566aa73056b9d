/*
 * Everybody knows everybody, at once: what a cluster comes to after a while, without the storm of joins.
 *
 * Each shard interns all identities in its roster, in the order of the nodes, and hands them to each of its
 * engines; shards do so at the same time.
 */
#include "engine/shared.h"
#include "sim/clock.h"

#include <stdlib.h>

/* Who is to be known: what the members say of themselves. */
struct guests {
    uint32_t *nodes;
    struct br_alive *identities;
    uint32_t *incarnations;
    uint8_t *carries;
    uint32_t count;
};

static void guests_free(struct guests *guests)
{
    free(guests->nodes);
    free(guests->identities);
    free(guests->incarnations);
    free(guests->carries);
}

static int guests_reserve(struct guests *guests, uint32_t count)
{
    *guests = (struct guests){.nodes = malloc((count + 1) * sizeof *guests->nodes),
                              .identities = malloc((count + 1) * sizeof *guests->identities),
                              .incarnations = malloc((count + 1) * sizeof *guests->incarnations),
                              .carries = malloc(count + 1)};
    bool has_all = guests->nodes != NULL && guests->identities != NULL && guests->incarnations != NULL &&
                   guests->carries != NULL;
    return has_all ? 0 : BRUIT_ENOMEM;
}

/* Clones and those without an address are nobody that the others could know. */
static bool is_welcome(const struct bruit_sim *sim, const struct br_sim_node *node)
{
    return node->engine != NULL && node->addr.size != 0 &&
           bruit_sim_named(sim, br_bytes(node->name, node->name_size)) == node->index;
}

static void invite(const struct bruit_sim *sim, uint32_t first, uint32_t count, struct guests *guests)
{
    for (uint32_t i = first; i < first + count; i++) {
        const struct br_sim_node *node = br_sim_node(sim, i);
        if (!is_welcome(sim, node))
            continue;
        const struct br_core *core = &node->engine->core;
        const struct br_fragment *self = br_core_fragment(core, core->self);
        guests->nodes[guests->count] = i;
        guests->identities[guests->count] = br_fragment_alive(self, core->incarnation);
        guests->incarnations[guests->count] = core->incarnation;
        guests->carries[guests->count] = core->carries;
        guests->count++;
    }
}

/* The identities' numbers in a roster, each held once; 0 or BRUIT_ENOMEM. */
static int intern(struct br_roster *roster, const struct guests *guests, uint32_t *records)
{
    for (uint32_t i = 0; i < guests->count; i++) {
        records[i] = br_roster_intern(roster, &guests->identities[i]);
        if (records[i] != 0)
            continue;
        while (i-- > 0)
            br_roster_drop(roster, records[i]);
        return BRUIT_ENOMEM;
    }
    return 0;
}

static void release(struct br_roster *roster, const struct guests *guests, const uint32_t *records)
{
    for (uint32_t i = 0; i < guests->count; i++)
        br_roster_drop(roster, records[i]);
}

/* What modules have to say of it is nobody's business: it has been so for long. */
static void settle_quietly(struct br_sim_node *node)
{
    struct bruit_event event;
    while (bruit_next_event(node->engine, &event))
        ;
    node->due = br_sim_clock_when(&node->clock, bruit_deadline(node->engine), node->shard->now);
    br_sim_rearm(node);
}

static int introduce(struct br_sim_node *node, const struct guests *guests, const uint32_t *records)
{
    int status = br_engine_preload(node->engine, records, guests->incarnations, guests->carries, guests->count);
    settle_quietly(node);
    return status;
}

static int introduce_with_own_roster(struct br_sim_node *node, const struct guests *guests, uint32_t *records)
{
    struct br_roster *roster = node->engine->core.roster;
    int status = intern(roster, guests, records);
    if (status != 0)
        return status;
    status = introduce(node, guests, records);
    release(roster, guests, records);
    return status;
}

static int introduce_all(struct br_sim_shard *shard, const struct guests *guests, uint32_t *records)
{
    const struct bruit_sim *sim = shard->sim;
    bool is_private = sim->config.private_rosters;
    int status = is_private ? 0 : intern(&shard->roster, guests, records);
    if (status != 0)
        return status;
    for (uint32_t i = 0; i < guests->count && status == 0; i++) {
        if (guests->nodes[i] % sim->shard_count != shard->index)
            continue;
        struct br_sim_node *node = br_sim_node(sim, guests->nodes[i]);
        status =
            is_private ? introduce_with_own_roster(node, guests, records) : introduce(node, guests, records);
    }
    if (!is_private)
        release(&shard->roster, guests, records);
    return status;
}

static void preload_shard(struct br_sim_shard *shard)
{
    const struct guests *guests = shard->sim->guests;
    uint32_t *records = malloc((guests->count + 1) * sizeof *records);
    shard->job_status = records == NULL ? BRUIT_ENOMEM : introduce_all(shard, guests, records);
    free(records);
}

static int start_all(struct bruit_sim *sim, uint32_t first, uint32_t count)
{
    int status = 0;
    for (uint32_t i = first; i < first + count && status == 0; i++)
        if (bruit_sim_engine(sim, i) == NULL)
            status = bruit_sim_start(sim, i);
    return status;
}

int bruit_sim_preload_some(struct bruit_sim *sim, uint32_t first, uint32_t count)
{
    struct guests guests;
    if (first > sim->count || count > sim->count - first)
        return BRUIT_EINVAL;
    int status = start_all(sim, first, count);
    if (status != 0)
        return status;
    status = guests_reserve(&guests, count);
    if (status == 0) {
        invite(sim, first, count, &guests);
        sim->guests = &guests;
        br_sim_parallel(sim, preload_shard);
        sim->guests = NULL;
        for (uint32_t i = 0; i < sim->shard_count && status == 0; i++)
            status = sim->shards[i].job_status;
    }
    guests_free(&guests);
    return status;
}

int bruit_sim_preload(struct bruit_sim *sim)
{
    return bruit_sim_preload_some(sim, 0, sim->count);
}
