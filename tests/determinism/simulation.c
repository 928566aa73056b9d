/*
 * A simulated cluster under every fault there is: the same hash with one shard and several, with rosters numbered in
 * another order, with private ones, and with memory that is handed out poisoned; and, since it is printed, with every
 * compiler.
 */
#include "simulation.h"

#include <bruit/bruit.h>
#include <bruit/sim.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODES 60
#define HEARTBEAT_SEED 3 /* is told with the other detector */
#define AGGREGATE_SEED 4 /* has aggregates: values that are computed, not only decisions */

static struct bruit_sim *world_of(uint64_t seed, int form)
{
    static const struct bruit_module *const modules[] = {&bruit_aggregate_module};
    struct bruit_sim_config config;
    struct bruit_sim *sim = NULL;
    char why[200] = "";
    bruit_sim_config_default(&config);
    config.nodes = NODES;
    config.seed = seed;
    config.trace_level = BRUIT_TRACE_TRACE;
    config.engine.push_pull_interval = 5 * BRUIT_SECOND;
    config.engine.compression = seed % 2 == 0;
    if (seed == HEARTBEAT_SEED)
        config.engine.detector = BRUIT_DETECTOR_HEARTBEAT;
    config.engine.modules = modules;
    config.engine.module_count = seed == AGGREGATE_SEED ? 1 : 0;
    config.link.shape = BRUIT_SIM_LOGNORMAL;
    config.link.loss = 20000;
    config.link.burst_every = 5 * BRUIT_SECOND;
    config.link.burst_length = 200 * BRUIT_MILLISECOND;
    config.link.burst_loss = 800000;
    config.link.duplicate = config.link.reorder = config.link.corrupt = 5000;
    config.link.reorder_delay = 5 * BRUIT_MILLISECOND;
    config.link.spread = BRUIT_MILLISECOND;
    config.shards = form == 1 ? 2 : form == 2 ? 5 : 1;
    config.permute = form == 3 ? 99 : 0;
    config.poison = form == 4 ? 0xa5 : 0;
    config.private_rosters = form == 5;
    if (bruit_sim_new(&sim, &config, why, sizeof why) != 0 || bruit_sim_preload(sim) != 0) {
        fprintf(stderr, "no world: %s\n", why);
        exit(1);
    }
    return sim;
}

static const struct bruit_bytes names[] = {{(const uint8_t *)"exact", 5}, {(const uint8_t *)"estimate", 8}};

static void publish(struct bruit_sim *sim)
{
    for (uint32_t i = 0; i < NODES; i++) {
        struct bruit_engine *engine = bruit_sim_engine(sim, i);
        bruit_time now = bruit_sim_clock(sim, i);
        if (engine == NULL || bruit_aggregate_set_mode(engine, names[1], BRUIT_AGGREGATE_ESTIMATE, now) != 0)
            continue;
        for (int k = 0; k < 2; k++)
            (void)bruit_aggregate_publish_number(engine, names[k], 1.0 / (i + 3), now);
        bruit_sim_kick(sim, i);
    }
}

/* What all answer, to the bit. */
static uint64_t ask(struct bruit_sim *sim)
{
    uint64_t hash = 0;
    for (uint32_t i = 0; i < NODES; i++)
        for (int what = 0; bruit_sim_engine(sim, i) != NULL && what <= BRUIT_AGGREGATE_DISTINCT; what++)
            for (int k = 0; k < 2; k++) {
                struct bruit_aggregate_answer answer;
                uint64_t bits;
                if (bruit_aggregate_ask(bruit_sim_engine(sim, i), names[k], (enum bruit_aggregate_what)what, 0.7,
                                        &answer, bruit_sim_clock(sim, i)) != 0)
                    continue;
                memcpy(&bits, &answer.value, sizeof bits);
                hash = (hash ^ bits) * UINT64_C(0x9e3779b97f4a7c15);
            }
    return hash;
}

static uint64_t tell(uint64_t seed, int form)
{
    struct bruit_sim *sim = world_of(seed, form);
    const uint32_t few[] = {3, 4, 5};
    uint32_t clone;
    bruit_sim_set_clock(sim, 9, 0, 200);
    bruit_sim_starve(sim, 10, 200 * BRUIT_MILLISECOND, 800 * BRUIT_MILLISECOND);
    bruit_sim_set_cpu(sim, 11, 300 * BRUIT_MICROSECOND);
    bruit_sim_set_bandwidth(sim, 12, 20000, 20000);
    if (seed == AGGREGATE_SEED)
        publish(sim);
    bruit_sim_run(sim, 3 * BRUIT_SECOND);
    bruit_sim_kill(sim, 7);
    (void)bruit_sim_partition(sim, few, 3, NULL);
    if (bruit_sim_clone(sim, 14, &clone) == 0)
        (void)bruit_sim_restart(sim, clone, true);
    bruit_sim_run(sim, 20 * BRUIT_SECOND);
    bruit_sim_heal(sim);
    (void)bruit_sim_restart(sim, 7, true);
    bruit_sim_pause(sim, 8);
    bruit_sim_run(sim, 10 * BRUIT_SECOND);
    bruit_sim_resume(sim, 8);
    (void)bruit_sim_leave(sim, 20, 5 * BRUIT_SECOND);
    bruit_sim_run(sim, 30 * BRUIT_SECOND);
    uint64_t hash = bruit_sim_hash(sim) ^ ask(sim);
    bruit_sim_free(sim);
    return hash;
}

int tell_simulation(void)
{
    static const char *const forms[] = {"plain",    "2 shards",       "5 shards", "permuted rosters",
                                        "poisoned", "private rosters"};
    int failures = 0;
    for (uint64_t seed = 1; seed <= AGGREGATE_SEED; seed++) {
        uint64_t plain = tell(seed, 0);
        printf("simulation, seed %" PRIu64 ": %016" PRIx64 "\n", seed, plain);
        for (int form = 1; form < (int)(sizeof forms / sizeof *forms); form++) {
            if (tell(seed, form) == plain)
                continue;
            fprintf(stderr, "simulation, seed %" PRIu64 ": %s is another run\n", seed, forms[form]);
            failures++;
        }
    }
    return failures;
}
