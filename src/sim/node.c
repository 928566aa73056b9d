/*
 * Nodes: who they are, where they are, and whether they run.
 */
#include "base/siphash.h"
#include "base/time.h"
#include "codec/addr.h"
#include "engine/shared.h"
#include "sim/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORT 7946
#define CLOCK_START (10000 * BRUIT_SECOND)

static const uint8_t table_key[16] = "whoever it may b";

/* ---- addresses ---- */

static struct bruit_addr usual_addr(uint32_t index)
{
    uint32_t host = index + 1;
    return (struct bruit_addr){
        .ip = {10, (uint8_t)(host >> 16), (uint8_t)(host >> 8), (uint8_t)host}, .size = 4, .port = PORT};
}

static bool is_same_addr(const struct bruit_addr *a, const struct bruit_addr *b)
{
    return a->size == b->size && a->port == b->port && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

static uint64_t addr_hash(const struct bruit_addr *addr)
{
    uint8_t bytes[19];
    memcpy(bytes, addr->ip, 16);
    bytes[16] = (uint8_t)(addr->port >> 8);
    bytes[17] = (uint8_t)addr->port;
    bytes[18] = addr->size;
    return br_siphash13(table_key, br_bytes(bytes, sizeof bytes));
}

struct addr_query {
    const struct bruit_sim *sim;
    const struct bruit_addr *addr;
};

static bool has_addr(const void *context, uint32_t index)
{
    const struct addr_query *query = context;
    return is_same_addr(&br_sim_node(query->sim, index)->addr, query->addr);
}

uint32_t br_sim_whose(const struct bruit_sim *sim, const struct bruit_addr *addr)
{
    if (addr->size == 4 && addr->port == PORT && addr->ip[0] == 10) {
        uint32_t index = ((uint32_t)addr->ip[1] << 16 | (uint32_t)addr->ip[2] << 8 | addr->ip[3]) - 1;
        if (index < sim->count && !(sim->places[index] & BR_SIM_PLACE_MOVED))
            return index;
    }
    if (br_table_count(&sim->by_addr) == 0)
        return BRUIT_SIM_NOBODY;
    struct addr_query query = {sim, addr};
    return br_table_find(&sim->by_addr, addr_hash(addr), has_addr, &query);
}

/* The node has no address any more. */
static void lose_addr(struct br_sim_node *node)
{
    struct bruit_sim *sim = node->sim;
    if (node->is_moved && node->addr.size != 0)
        (void)br_table_remove(&sim->by_addr, addr_hash(&node->addr), node->index); /* it is there */
    node->addr = (struct bruit_addr){0};
    node->is_moved = true;
    sim->places[node->index] |= BR_SIM_PLACE_MOVED;
}

static bool is_sane_addr(const struct bruit_addr *addr)
{
    return (addr->size == 4 || addr->size == 16) && addr->port != 0;
}

int bruit_sim_set_addr(struct bruit_sim *sim, uint32_t index, const struct bruit_addr *addr)
{
    if (!is_sane_addr(addr))
        return BRUIT_EINVAL;
    if (br_table_reserve(&sim->by_addr, 1) != 0)
        return BRUIT_ENOMEM;
    uint32_t owner = br_sim_whose(sim, addr);
    if (owner == index)
        return 0;
    if (owner != BRUIT_SIM_NOBODY)
        lose_addr(br_sim_node(sim, owner));
    struct br_sim_node *node = br_sim_node(sim, index);
    lose_addr(node);
    node->addr = *addr;
    node->source = br_addr_unmapped(addr);
    br_table_insert(&sim->by_addr, addr_hash(addr), index);
    return 0;
}

/* ---- names ---- */

static struct bruit_bytes name_of(const struct br_sim_node *node)
{
    return br_bytes(node->name, node->name_size);
}

struct name_query {
    const struct bruit_sim *sim;
    struct bruit_bytes name;
};

static bool has_name(const void *context, uint32_t index)
{
    const struct name_query *query = context;
    return br_bytes_equal(name_of(br_sim_node(query->sim, index)), query->name);
}

uint32_t bruit_sim_named(const struct bruit_sim *sim, struct bruit_bytes name)
{
    struct name_query query = {sim, name};
    return br_table_find(&sim->by_name, br_siphash13(table_key, name), has_name, &query);
}

static int set_name(struct br_sim_node *node, struct bruit_bytes wanted)
{
    char usual[16];
    if (wanted.size == 0) {
        int size = snprintf(usual, sizeof usual, "n%u", (unsigned)node->index);
        wanted = br_bytes(usual, (size_t)size);
    }
    node->name = malloc(wanted.size);
    if (node->name == NULL)
        return BRUIT_ENOMEM;
    memcpy(node->name, wanted.data, wanted.size);
    node->name_size = (uint32_t)wanted.size;
    return 0;
}

/* ---- making ---- */

void bruit_sim_node_default(const struct bruit_sim *sim, struct bruit_sim_node *node)
{
    *node = (struct bruit_sim_node){.struct_size = sizeof *node,
                                    .zone = UINT32_MAX,
                                    .bandwidth_up = sim->config.bandwidth_up,
                                    .bandwidth_down = sim->config.bandwidth_down,
                                    .clock = CLOCK_START};
}

/* Room for this many in all. */
int br_sim_nodes_reserve(struct bruit_sim *sim, uint32_t count)
{
    uint32_t wanted = (count + BR_SIM_BLOCK - 1) / BR_SIM_BLOCK;
    for (uint32_t i = 0; i < sim->shard_count; i++)
        if (br_sim_wheel_reserve(&sim->shards[i].wakes, count / sim->shard_count + 1) != 0)
            return BRUIT_ENOMEM;
    if (br_table_reserve(&sim->by_name, count - sim->count) != 0)
        return BRUIT_ENOMEM;
    if (wanted <= sim->block_count)
        return 0;
    struct br_sim_node **blocks = realloc(sim->blocks, wanted * sizeof *blocks);
    if (blocks == NULL)
        return BRUIT_ENOMEM;
    sim->blocks = blocks;
    uint8_t *places = realloc(sim->places, wanted * BR_SIM_BLOCK);
    if (places == NULL)
        return BRUIT_ENOMEM;
    sim->places = places;
    for (; sim->block_count < wanted; sim->block_count++) {
        struct br_sim_node *block = calloc(BR_SIM_BLOCK, sizeof *block);
        if (block == NULL)
            return BRUIT_ENOMEM;
        sim->blocks[sim->block_count] = block;
    }
    return 0;
}

static uint32_t usual_zone(const struct bruit_sim *sim, uint32_t index)
{
    uint64_t nodes = sim->config.nodes == 0 ? 1 : sim->config.nodes;
    uint64_t zone = (uint64_t)index * sim->config.zones / nodes;
    return zone < sim->config.zones ? (uint32_t)zone : index % sim->config.zones;
}

static bool is_sane(const struct bruit_sim *sim, const struct bruit_sim_node *options)
{
    return options->struct_size == sizeof *options && options->name.size <= BRUIT_NAME_MAX &&
           (options->addr.size == 0 || is_sane_addr(&options->addr)) &&
           (options->zone == UINT32_MAX || options->zone < sim->config.zones) &&
           options->drift >= -BR_SIM_DRIFT_MAX && options->drift <= BR_SIM_DRIFT_MAX &&
           sim->count < BRUIT_SIM_NODES_MAX;
}

static void init_node(struct bruit_sim *sim, struct br_sim_node *node, uint32_t index,
                      const struct bruit_sim_node *options)
{
    uint64_t seed = br_sim_mix(sim->config.seed ^ br_sim_mix(index));
    *node = (struct br_sim_node){
        .sim = sim,
        .shard = &sim->shards[index % sim->shard_count],
        .index = index,
        .zone = options->zone == UINT32_MAX ? usual_zone(sim, index) : options->zone,
        .due = BRUIT_NEVER,
        .alarm = BRUIT_NEVER,
        .busy_until = BRUIT_NEVER,
        .starve_next = BRUIT_NEVER,
        .hash = seed,
        .clock = {.base = options->clock, .drift = options->drift},
        .bandwidth_up = options->bandwidth_up,
        .bandwidth_down = options->bandwidth_down,
        .cpu = options->cpu,
        .addr = usual_addr(index),
        .source = usual_addr(index),
    };
    br_rng_init(&node->rng, seed, "way");
    br_rng_init(&node->fail_rng, seed, "memory");
    sim->places[index] = (uint8_t)node->zone;
}

int bruit_sim_add(struct bruit_sim *sim, const struct bruit_sim_node *options, uint32_t *out)
{
    struct bruit_sim_node defaults;
    if (options == NULL) {
        bruit_sim_node_default(sim, &defaults);
        options = &defaults;
    }
    if (!is_sane(sim, options))
        return BRUIT_EINVAL;
    uint32_t index = sim->count;
    if (br_sim_nodes_reserve(sim, index + 1) != 0)
        return BRUIT_ENOMEM;
    struct br_sim_node *node = br_sim_node(sim, index);
    init_node(sim, node, index, options);
    if (set_name(node, options->name) != 0)
        return BRUIT_ENOMEM;
    /* Somebody may have been given the address that would be this one's. */
    uint32_t owner = br_sim_whose(sim, &node->addr);
    sim->count++;
    if (owner != BRUIT_SIM_NOBODY)
        lose_addr(node);
    if (bruit_sim_named(sim, name_of(node)) == BRUIT_SIM_NOBODY)
        br_table_insert(&sim->by_name, br_siphash13(table_key, name_of(node)), index);
    if (out != NULL)
        *out = index;
    return options->addr.size == 0 ? 0 : bruit_sim_set_addr(sim, index, &options->addr);
}

/* ---- starting ---- */

/* Nonces that no node ever uses twice; secrecy is not what is simulated. */
static int entropy(void *context, uint8_t *out, size_t size)
{
    struct br_sim_node *node = context;
    uint64_t drawn = br_sim_mix(((uint64_t)node->index << 40) + ++node->nonce);
    for (size_t i = 0; i < size; i++) {
        if (i % 8 == 0 && i > 0)
            drawn = br_sim_mix(drawn);
        out[i] = (uint8_t)(drawn >> 8 * (i % 8));
    }
    return 0;
}

static struct bruit_env env_of(struct br_sim_node *node)
{
    const struct bruit_sim_config *config = &node->sim->config;
    return (struct bruit_env){.struct_size = sizeof(struct bruit_env),
                              .context = node,
                              .resize = br_sim_node_resize,
                              .entropy = entropy,
                              .cipher = config->cipher,
                              .trace = config->trace_level == BRUIT_TRACE_OFF ? NULL : br_sim_trace,
                              .trace_level = config->trace_level};
}

/* All probe when true time is a multiple of the interval. */
static void fall_into_step(struct br_sim_node *node)
{
    struct br_core *core = &node->engine->core;
    bruit_time interval = core->config.probe_interval;
    if (interval == 0)
        return;
    bruit_time next = (node->shard->now / interval + 1) * interval;
    node->engine->probe.next_tick = br_time_add(core->now, next - node->shard->now);
}

static int make_engine(struct br_sim_node *node)
{
    struct bruit_sim *sim = node->sim;
    struct bruit_config config = sim->config.engine;
    struct bruit_env env = env_of(node);
    bruit_time now = br_sim_clock_show(&node->clock, node->shard->now);
    config.name = name_of(node);
    config.advertise = node->addr;
    config.seed = br_sim_mix(br_sim_mix(sim->config.seed + node->starts) ^ node->index);
    if (config.heartbeat.generation == 0) /* the counter that its driver keeps on disk */
        config.heartbeat.generation = node->starts;
    if (sim->config.configure != NULL) {
        int status = sim->config.configure(sim->config.context, sim, node->index, &config);
        if (status != 0)
            return status;
    }
    node->has_store = config.has_store;
    struct br_roster *roster = sim->config.private_rosters ? NULL : &node->shard->roster;
    return br_engine_new(&node->engine, &config, &env, roster, now);
}

int br_sim_start(struct br_sim_node *node, bool has_state)
{
    struct bruit_sim *sim = node->sim;
    if (node->engine != NULL)
        return BRUIT_EEXIST;
    if (!has_state)
        br_sim_store_wipe(node);
    node->starts++;
    int status = make_engine(node);
    if (status != 0)
        return status;
    node->shard->stats.starts++;
    node->is_paused = false;
    node->busy_until = BRUIT_NEVER;
    if (sim->config.in_step)
        fall_into_step(node);
    br_sim_note(node, node->starts);
    if (sim->config.on_start != NULL)
        sim->config.on_start(sim->config.context, sim, node->index, node->engine);
    status = has_state ? br_sim_store_load(node) : 0;
    if (status != 0) {
        br_sim_stop(node);
        return status;
    }
    br_sim_settle(node);
    br_sim_rearm(node);
    return 0;
}

int bruit_sim_start(struct bruit_sim *sim, uint32_t index)
{
    return br_sim_start(br_sim_node(sim, index), false);
}

/* The process is gone. What it kept on its disk was written before. */
void br_sim_stop(struct br_sim_node *node)
{
    struct bruit_sim *sim = node->sim;
    if (node->engine == NULL)
        return;
    if (sim->config.on_stop != NULL)
        sim->config.on_stop(sim->config.context, sim, node->index, node->engine);
    node->shard->stats.kills++;
    br_sim_note(node, UINT64_MAX);
    bruit_engine_free(node->engine);
    node->engine = NULL;
    node->due = node->alarm = node->busy_until = BRUIT_NEVER;
    node->is_paused = node->is_doomed = false;
    br_sim_inbox_clear(node);
}

/* ---- requests ---- */

int bruit_sim_join(struct bruit_sim *sim, uint32_t index, const uint32_t *targets, size_t count,
                   uint32_t *request)
{
    struct bruit_join_target wanted[64];
    struct br_sim_node *node = br_sim_node(sim, index);
    uint32_t number;
    if (node->engine == NULL)
        return BRUIT_ENOENT;
    if (count > sizeof wanted / sizeof *wanted)
        return BRUIT_EINVAL;
    for (size_t i = 0; i < count; i++)
        wanted[i] = (struct bruit_join_target){.addr = br_sim_node(sim, targets[i])->addr};
    br_sim_input(node,
                 (struct bruit_sim_input){.type = BRUIT_SIM_IN_JOIN, .targets = wanted, .count = count});
    int status = bruit_join(node->engine, wanted, count, 0, request == NULL ? &number : request,
                            bruit_sim_clock(sim, index));
    bruit_sim_kick(sim, index);
    return status;
}

int bruit_sim_leave(struct bruit_sim *sim, uint32_t index, bruit_time timeout)
{
    struct br_sim_node *node = br_sim_node(sim, index);
    if (node->engine == NULL)
        return BRUIT_ENOENT;
    br_sim_input(node, (struct bruit_sim_input){.type = BRUIT_SIM_IN_LEAVE, .timeout = timeout});
    int status = bruit_leave(node->engine, timeout, bruit_sim_clock(sim, index));
    bruit_sim_kick(sim, index);
    return status;
}

void bruit_sim_kick(struct bruit_sim *sim, uint32_t index)
{
    struct br_sim_node *node = br_sim_node(sim, index);
    if (node->is_paused || node->is_stolen)
        return; /* its requests wait in memory until it runs again */
    br_sim_settle(node);
    br_sim_rearm(node);
}

void bruit_sim_alarm(struct bruit_sim *sim, uint32_t index, bruit_time time)
{
    struct br_sim_node *node = br_sim_node(sim, index);
    node->alarm = time;
    br_sim_rearm(node);
}
