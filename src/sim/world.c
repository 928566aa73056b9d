/*
 * The world: its configuration, how it begins and ends.
 */
#include "base/bytes.h"
#include "base/time.h"
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- configuration ---- */

#define QUEUE_MAX (256u << 10)
#define SOCKET_MAX (2u << 20)

void bruit_sim_config_default(struct bruit_sim_config *config)
{
    *config = (struct bruit_sim_config){.struct_size = sizeof *config,
                                        .seed = 1,
                                        .shards = 1,
                                        .zones = 1,
                                        .queue_max = QUEUE_MAX,
                                        .socket_max = SOCKET_MAX,
                                        .trace_level = BRUIT_TRACE_OFF};
    bruit_config_lan(&config->engine);
    config->engine.compression = false;
    br_sim_disk_defaults(config);
    bruit_sim_link_default(&config->link);
}

static const char *check_engine(const struct bruit_sim_config *config)
{
    struct bruit_config engine = config->engine;
    if (engine.struct_size != sizeof engine)
        return "config.engine was not filled in: start from bruit_sim_config_default()";
    engine.name = br_bytes("n", 1);
    engine.advertise = (struct bruit_addr){.ip = {10, 0, 0, 1}, .size = 4, .port = 1};
    return bruit_config_check(&engine);
}

static const char *check_links(const struct bruit_sim_config *config)
{
    const char *why = br_sim_link_check(&config->link);
    for (uint32_t i = 0; i < config->zones * config->zones && config->links != NULL && why == NULL; i++)
        why = br_sim_link_check(&config->links[i]);
    return why;
}

const char *bruit_sim_config_check(const struct bruit_sim_config *config)
{
    if (config->struct_size != sizeof *config)
        return "struct_size is not this library's: start from bruit_sim_config_default()";
    if (config->nodes > BRUIT_SIM_NODES_MAX)
        return "at most a million nodes";
    if (config->shards < 1 || config->shards > BRUIT_SIM_SHARDS_MAX)
        return "shards must be 1 to 64";
    if (config->zones < 1 || config->zones > BRUIT_SIM_ZONES_MAX)
        return "zones must be 1 to 64";
    if (config->poison < 0 || config->poison > 255)
        return "poison must be a byte, or 0 for none";
    if (config->engine.key_count > 0 && config->cipher == NULL)
        return "keys need a cipher: set config.cipher";
    const char *why = check_links(config);
    return why != NULL ? why : check_engine(config);
}

/*
 * Of each pair: 34 bytes of the view, 4 of its order, 4 of its name index. Of each node: an engine with its
 * tables, the node itself, and its identity in each roster. Of the world: what is on its way, at rest.
 */
#define PAIR_COST 42
#define BEAT_COST 28 /* and of each pair with heartbeats: numbers, moments, order */
#define NODE_COST 12000
#define IDENTITY_COST 300
#define WORLD_COST (1u << 20)

uint64_t bruit_sim_memory_needed(const struct bruit_sim_config *config)
{
    uint64_t nodes = config->nodes, rosters = config->private_rosters ? nodes : config->shards;
    uint64_t pair_cost = PAIR_COST + (config->engine.detector == BRUIT_DETECTOR_HEARTBEAT ? BEAT_COST : 0);
    return nodes * nodes * pair_cost + nodes * NODE_COST + nodes * rosters * IDENTITY_COST + WORLD_COST;
}

/* ---- birth ---- */

/* Names and identities get the numbers that others gave back, in an order that was drawn. */
static int permute_roster(struct br_sim_shard *shard, uint64_t seed, uint32_t count)
{
    struct br_rng rng;
    uint32_t *records = calloc(count, sizeof *records);
    char name[16];
    static const uint8_t vsn[6] = {1, 5, 2, 2, 5, 5};
    static const uint8_t ip[4] = {10, 0, 0, 1};
    br_rng_init(&rng, seed, "permute");
    for (uint32_t i = 0; i < count && records != NULL; i++) {
        int size = snprintf(name, sizeof name, "~%u", (unsigned)i);
        struct br_alive alive = {.node = br_bytes(name, (size_t)size),
                                 .addr = br_bytes(ip, sizeof ip),
                                 .port = 1,
                                 .vsn = br_bytes(vsn, sizeof vsn)};
        records[i] = br_roster_intern(&shard->roster, &alive);
    }
    if (records == NULL)
        return BRUIT_ENOMEM;
    br_rng_shuffle(&rng, records, count);
    for (uint32_t i = 0; i < count; i++)
        br_roster_drop(&shard->roster, records[i]);
    free(records);
    return 0;
}

static int init_shard(struct bruit_sim *sim, uint32_t index)
{
    struct br_sim_shard *shard = &sim->shards[index];
    struct bruit_env env = {.struct_size = sizeof env, .context = shard, .resize = br_sim_shard_resize};
    shard->sim = sim;
    shard->index = index;
    shard->outbox_min[0] = shard->outbox_min[1] = BRUIT_NEVER;
    br_alloc_init(&shard->alloc, &env, 0);
    br_alloc_init(&shard->roster_alloc, &env, 0);
    br_sim_wheel_init(&shard->wakes, &shard->alloc);
    br_roster_init(&shard->roster, &shard->roster_alloc, sim->config.seed ^ sim->config.permute);
    shard->roster.is_shared = true;
    shard->buffer = malloc(BR_SIM_BUFFER);
    for (int parity = 0; parity < 2; parity++)
        shard->outbox[parity] = calloc(sim->shard_count, sizeof(struct br_sim_box));
    if (shard->buffer == NULL || shard->outbox[0] == NULL || shard->outbox[1] == NULL)
        return BRUIT_ENOMEM;
    return sim->config.permute == 0 ? 0 : permute_roster(shard, sim->config.permute, sim->config.nodes + 64);
}

static int init_ways(struct bruit_sim *sim, const struct bruit_sim_config *config)
{
    uint32_t count = config->zones * config->zones;
    sim->ways = calloc(count, sizeof *sim->ways);
    if (sim->ways == NULL)
        return BRUIT_ENOMEM;
    sim->window = BRUIT_NEVER;
    for (uint32_t i = 0; i < count; i++) {
        const struct bruit_sim_link *link = config->links == NULL ? &config->link : &config->links[i];
        br_sim_way_init(&sim->ways[i], link);
        sim->window = br_time_min(sim->window, link->latency);
    }
    return 0;
}

static int init_nodes(struct bruit_sim *sim)
{
    uint32_t count = sim->config.nodes;
    int status = br_sim_nodes_reserve(sim, count);
    for (uint32_t i = 0; i < count && status == 0; i++)
        status = bruit_sim_add(sim, NULL, NULL);
    return status;
}

static int say(char *why, size_t why_size, const char *text, int status)
{
    if (why != NULL && why_size > 0)
        (void)snprintf(why, why_size, "%s", text); /* cut if need be */
    return status;
}

static int init_world(struct bruit_sim *sim, const struct bruit_sim_config *config, const char **reason)
{
    size_t size = config->shards * sizeof *sim->shards;
    sim->config = *config;
    sim->config.links = NULL;
    br_alloc_init(&sim->alloc, NULL, 0);
    br_table_init(&sim->by_addr, &sim->alloc);
    br_table_init(&sim->by_name, &sim->alloc);
    br_rng_init(&sim->rng, config->seed, "embedder");
    sim->shards = aligned_alloc(_Alignof(struct br_sim_shard), size);
    if (sim->shards == NULL)
        return BRUIT_ENOMEM;
    memset(sim->shards, 0, size);
    sim->shard_count = config->shards;
    int status = init_ways(sim, config);
    for (uint32_t i = 0; i < config->shards && status == 0; i++)
        status = init_shard(sim, i);
    if (status == 0 && config->shards > 1 && (*reason = br_sim_shards_init(sim)) != NULL)
        status = BRUIT_ENOMEM;
    return status == 0 ? init_nodes(sim) : status;
}

int bruit_sim_new(struct bruit_sim **out, const struct bruit_sim_config *config, char *why, size_t why_size)
{
    char text[160];
    const char *reason = bruit_sim_config_check(config);
    if (reason != NULL)
        return say(why, why_size, reason, BRUIT_EINVAL);
    uint64_t needed = bruit_sim_memory_needed(config);
    if (config->memory_max != 0 && needed > config->memory_max) {
        (void)snprintf(
            text, sizeof text, "%u nodes that all know each other need %.1f GiB, more than the %.1f allowed",
            (unsigned)config->nodes, (double)needed / (1 << 30), (double)config->memory_max / (1 << 30));
        return say(why, why_size, text, BRUIT_ETOOBIG);
    }
    struct bruit_sim *sim = calloc(1, sizeof *sim);
    if (sim == NULL)
        return say(why, why_size, "no memory", BRUIT_ENOMEM);
    reason = "no memory for so many nodes";
    int status = init_world(sim, config, &reason);
    if (status != 0) {
        bruit_sim_free(sim);
        return say(why, why_size, reason == NULL ? "no memory for so many nodes" : reason, status);
    }
    *out = sim;
    return 0;
}

/* ---- end ---- */

static void free_engines(struct br_sim_shard *shard)
{
    const struct bruit_sim *sim = shard->sim;
    for (uint32_t i = shard->index; i < sim->count; i += sim->shard_count)
        br_sim_stop(br_sim_node(sim, i));
}

static void free_nodes(struct bruit_sim *sim)
{
    for (uint32_t i = 0; i < sim->count; i++) {
        struct br_sim_node *node = br_sim_node(sim, i);
        free(node->lines);
        free(node->name);
        free(node->disk);
        br_sim_store_free(node);
    }
    for (uint32_t i = 0; i < sim->block_count; i++)
        free(sim->blocks[i]);
    free(sim->blocks);
    free(sim->places);
}

static void free_shard(struct br_sim_shard *shard)
{
    if (shard->sim == NULL)
        return;
    while (shard->queue.count > 0)
        br_sim_packet_free(shard, br_sim_queue_pop(&shard->queue));
    br_sim_queue_fini(&shard->queue);
    br_sim_packets_fini(shard);
    br_sim_wheel_fini(&shard->wakes);
    br_roster_fini(&shard->roster);
    br_sim_kept_fini(shard);
    for (int parity = 0; parity < 2; parity++) {
        for (uint32_t to = 0; to < shard->sim->shard_count && shard->outbox[parity] != NULL; to++)
            free(shard->outbox[parity][to].items);
        free(shard->outbox[parity]);
    }
    free(shard->told);
    free(shard->told_order);
    free(shard->buffer);
}

void bruit_sim_free(struct bruit_sim *sim)
{
    if (sim == NULL)
        return;
    for (uint32_t i = 0; i < sim->count && sim->config.on_stop != NULL; i++)
        br_sim_stop(br_sim_node(sim, i)); /* whose callback belongs to this thread */
    if (sim->has_mutex)
        br_sim_parallel(sim, free_engines);
    else if (sim->shards != NULL && sim->shard_count == 1 && sim->shards[0].sim != NULL)
        free_engines(&sim->shards[0]);
    br_sim_shards_fini(sim);
    free_nodes(sim);
    for (uint32_t i = 0; i < sim->shard_count; i++)
        free_shard(&sim->shards[i]);
    br_sim_rules_fini(sim);
    br_table_fini(&sim->by_addr);
    br_table_fini(&sim->by_name);
    free(sim->shards);
    free(sim->ways);
    free(sim->acts);
    free(sim->events);
    free(sim);
}
