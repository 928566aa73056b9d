/*
 * A rumour among real engines; see rumour.h.
 */
#include "sim/rumour.h"

#include "base/check.h"
#include "base/num.h"
#include "base/rng.h"
#include "engine/engine.h"

#include <bruit/bruit.h>
#include <bruit/sim.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEVER_HEARD UINT64_MAX
/* A rumour that nobody has sent on for this many gossip intervals is over. */
#define QUIET 2
/* Points of the curve are this far apart when times count: 10,000 nodes have heard in some 50 ms. */
#define MS_PER_POINT 1

struct rumour {
    const struct br_rumour_config *config;
    struct bruit_sim *sim;
    struct bruit_config engine;
    bruit_time *heard; /* true time at which each node was handed the event, or NEVER_HEARD */
    double *sorted;    /* room for the times of one trial */
    uint8_t *is_dead;
    bruit_time start; /* of the trial: zero of its times */
    uint32_t alive;
    double all_squares;
};

const char *br_rumour_check(const struct br_rumour_config *config)
{
    if (config->nodes < 2 || config->nodes > BR_RUMOUR_NODES_MAX)
        return "--engine hosts 2 to 10000 nodes: give --nodes that, or leave --engine out for the model.";
    if (config->fanout < 1 || config->fanout > 32)
        return "the engine talks to 1 to 32 peers a round: give --fanout that.";
    if (!(config->loss >= 0 && config->loss < 1))
        return "--loss is the part of the messages that is lost: give it 0 or more, and less than 1 (100%).";
    if (!(config->dead >= 0 && config->dead < 1))
        return "--dead is the part of the nodes that is dead: give it 0 or more, and less than 1 (100%).";
    if (config->trials < 1 || config->trials > BR_RUMOUR_TRIALS_MAX)
        return "with --engine, --trials is 1 to 1000.";
    return NULL;
}

/* ------------------------------------------------------------------ the world */

static void on_event(void *context, struct bruit_sim *sim, uint32_t node, const struct bruit_event *event)
{
    struct rumour *rumour = context;
    if (event->type == BRUIT_EVENT_USER && rumour->heard[node] == NEVER_HEARD)
        rumour->heard[node] = bruit_sim_now(sim);
}

/* All grids one, and nothing early. */
static void on_start(void *context, struct bruit_sim *sim, uint32_t node, struct bruit_engine *engine)
{
    const struct rumour *rumour = context;
    (void)sim;
    (void)node;
    if (!rumour->config->in_rounds)
        return;
    engine->gossip.eager = false;
    engine->gossip.phase -= engine->gossip.phase % rumour->engine.gossip_interval;
}

static uint32_t millionths(double part)
{
    return (uint32_t)(part * BRUIT_SIM_MILLION + 0.5);
}

static void configure(struct rumour *rumour, struct bruit_sim_config *world)
{
    static const struct bruit_module *const modules[] = {&bruit_event_module};
    const struct br_rumour_config *config = rumour->config;
    bruit_sim_config_default(world);
    world->nodes = config->nodes;
    world->seed = config->seed;
    world->link.loss = millionths(config->loss);
    world->memory_max = config->memory_max;
    world->engine.modules = modules;
    world->engine.module_count = 1;
    world->engine.probe_interval = 0;
    world->engine.push_pull_interval = 0;
    world->engine.early_sync_budget = 0;
    world->engine.gossip_nodes = config->fanout;
    world->on_event = on_event;
    world->on_start = on_start;
    world->context = rumour;
    rumour->engine = world->engine;
}

/* Chooses the dead and lets them crash; node 0 lives. */
static void crash_some(struct rumour *rumour)
{
    const struct br_rumour_config *config = rumour->config;
    struct br_rng rng;
    uint32_t dead = (uint32_t)(config->dead * config->nodes + 0.5);
    if (dead >= config->nodes)
        dead = config->nodes - 1;
    br_rng_init(&rng, config->seed, "rumour.dead");
    rumour->alive = config->nodes - dead;
    while (dead > 0) {
        uint32_t node = 1 + br_rng_below(&rng, config->nodes - 1);
        if (rumour->is_dead[node])
            continue;
        rumour->is_dead[node] = 1;
        bruit_sim_kill(rumour->sim, node);
        dead--;
    }
}

/* ------------------------------------------------------------------ one rumour */

static int tell(struct rumour *rumour, uint32_t origin, uint32_t trial)
{
    char name[32];
    int size = snprintf(name, sizeof name, "rumour %u", trial);
    struct bruit_engine *engine = bruit_sim_engine(rumour->sim, origin);
    int status = bruit_user_event(
        engine, (struct bruit_bytes){.data = (const uint8_t *)name, .size = (size_t)size},
        (struct bruit_bytes){.data = NULL, .size = 0}, false, bruit_sim_clock(rumour->sim, origin));
    bruit_sim_kick(rumour->sim, origin);
    return status;
}

/* In rounds the first one is the next instant of the grid. */
static void find_start(struct rumour *rumour)
{
    bruit_time interval = rumour->engine.gossip_interval;
    rumour->start = bruit_sim_now(rumour->sim);
    if (!rumour->config->in_rounds)
        return;
    /* The grid is on the nodes' clocks, which show whole intervals more than true time. */
    bruit_time clock = bruit_sim_clock(rumour->sim, 0);
    rumour->start += interval - clock % interval;
}

static uint64_t datagrams(const struct rumour *rumour, uint64_t *bytes)
{
    struct bruit_sim_stats stats;
    bruit_sim_stats_get(rumour->sim, &stats);
    *bytes = stats.bytes_sent;
    return stats.datagrams_sent;
}

/* Lets time pass until nobody sends any more; the time is then in the middle of an interval. */
static void let_it_spread(struct rumour *rumour)
{
    uint64_t bytes, sent = UINT64_MAX;
    for (unsigned quiet = 0; quiet < QUIET;) {
        bruit_sim_run(rumour->sim, rumour->engine.gossip_interval);
        uint64_t now = datagrams(rumour, &bytes);
        quiet = now == sent ? quiet + 1 : 0;
        sent = now;
    }
}

static int compare_times(const void *a, const void *b)
{
    double left, right;
    memcpy(&left, a, sizeof left);
    memcpy(&right, b, sizeof right);
    return (left > right) - (left < right);
}

/* In units of the result; the round in which it was sent, or the time since. */
static double time_of(const struct rumour *rumour, bruit_time heard)
{
    if (heard < rumour->start)
        return 0; /* the origin, before the first round */
    double since = (double)(heard - rumour->start);
    if (rumour->config->in_rounds)
        return floor(since / (double)rumour->engine.gossip_interval) + 1;
    return since / (double)BRUIT_MILLISECOND;
}

static void count_trial(struct rumour *rumour, struct br_rumour_result *result)
{
    uint32_t heard = 0;
    for (uint32_t node = 0; node < rumour->config->nodes; node++)
        if (!rumour->is_dead[node] && rumour->heard[node] != NEVER_HEARD)
            rumour->sorted[heard++] = time_of(rumour, rumour->heard[node]);
    BR_ASSERT(heard >= 1);
    qsort(rumour->sorted, heard, sizeof rumour->sorted[0], compare_times);
    double all = rumour->sorted[heard - 1];
    uint32_t half = (rumour->alive + 1) / 2, most = (uint32_t)ceil(0.99 * rumour->alive);
    result->half += heard >= half ? rumour->sorted[half - 1] : NAN;
    result->most += heard >= most ? rumour->sorted[most - 1] : NAN;
    result->all += all;
    rumour->all_squares += all * all;
    result->all_least = result->trials == 0 || all < result->all_least ? all : result->all_least;
    result->all_most = all > result->all_most ? all : result->all_most;
    result->residue += (double)(rumour->alive - heard) / rumour->alive;
    result->complete += heard == rumour->alive;
    for (uint32_t i = 0, at = 0; i < BR_RUMOUR_POINTS; i++) {
        while (at < heard && rumour->sorted[at] <= i * result->step)
            at++;
        result->curve[i] += (double)at / rumour->alive;
    }
    result->trials++;
}

static int play(struct rumour *rumour, uint32_t trial, struct br_rumour_result *result)
{
    uint64_t bytes_before, bytes_after;
    struct br_rng rng;
    char name[32];
    (void)snprintf(name, sizeof name, "rumour.%u", trial);
    br_rng_init(&rng, rumour->config->seed, name);
    uint32_t origin;
    do
        origin = br_rng_below(&rng, rumour->config->nodes);
    while (rumour->is_dead[origin]);
    for (uint32_t node = 0; node < rumour->config->nodes; node++)
        rumour->heard[node] = NEVER_HEARD;
    uint64_t before = datagrams(rumour, &bytes_before);
    find_start(rumour);
    int status = tell(rumour, origin, trial);
    if (status != 0)
        return status;
    let_it_spread(rumour);
    result->messages += (double)(datagrams(rumour, &bytes_after) - before) / rumour->alive;
    result->bytes += (double)(bytes_after - bytes_before) / rumour->alive;
    count_trial(rumour, result);
    return 0;
}

/* ------------------------------------------------------------------ all of them */

static void conclude(const struct rumour *rumour, struct br_rumour_result *result)
{
    double trials = result->trials > 0 ? result->trials : 1;
    double variance =
        result->trials > 1 ? (rumour->all_squares - result->all * result->all / trials) / (trials - 1) : 0;
    result->all_deviation = variance > 0 ? sqrt(variance) : 0;
    result->half /= trials;
    result->most /= trials;
    result->all /= trials;
    result->messages /= trials;
    result->bytes /= trials;
    result->residue /= trials;
    double last = 0;
    result->curve_count = 0;
    for (uint32_t i = 0; i < BR_RUMOUR_POINTS; i++) {
        result->curve[i] /= trials;
        if (result->curve[i] > last) {
            last = result->curve[i];
            result->curve_count = i + 1;
        }
    }
}

static int make_world(struct rumour *rumour, char *why, size_t why_size)
{
    struct bruit_sim_config world;
    configure(rumour, &world);
    int status = bruit_sim_new(&rumour->sim, &world, why, why_size);
    if (status != 0)
        return status;
    status = bruit_sim_preload(rumour->sim);
    if (status != 0)
        (void)snprintf(why, why_size, "%s", bruit_strerror(status));
    return status;
}

int br_rumour_run(const struct br_rumour_config *config, br_rumour_watch watch, void *context,
                  struct br_rumour_result *result, char *why, size_t why_size)
{
    struct rumour rumour = {.config = config};
    *result = (struct br_rumour_result){.step = MS_PER_POINT, .unit = 1e-3};
    rumour.heard = calloc(config->nodes, sizeof rumour.heard[0]);
    rumour.sorted = calloc(config->nodes, sizeof rumour.sorted[0]);
    rumour.is_dead = calloc(config->nodes, sizeof rumour.is_dead[0]);
    int status = BRUIT_ENOMEM;
    if (rumour.heard != NULL && rumour.sorted != NULL && rumour.is_dead != NULL)
        status = make_world(&rumour, why, why_size);
    else
        (void)snprintf(why, why_size, "%s", bruit_strerror(status));
    if (status == 0) {
        crash_some(&rumour);
        result->alive = rumour.alive;
        result->limit = br_num_retransmit_limit(rumour.engine.retransmit_mult, config->nodes);
        if (config->in_rounds) {
            result->step = 1;
            result->unit = (double)rumour.engine.gossip_interval / 1e9;
        }
        /* Not on the grid, where it would be a toss-up whether the first round has been. */
        bruit_sim_run(rumour.sim, rumour.engine.gossip_interval / 2);
    }
    for (uint32_t trial = 0; trial < config->trials && status == 0; trial++) {
        status = play(&rumour, trial, result);
        if (status != 0)
            (void)snprintf(why, why_size, "%s", bruit_strerror(status));
        if (watch != NULL && !watch(context, trial + 1, config->trials))
            break;
    }
    conclude(&rumour, result);
    bruit_sim_free(rumour.sim);
    free(rumour.heard);
    free(rumour.sorted);
    free(rumour.is_dead);
    return status;
}
