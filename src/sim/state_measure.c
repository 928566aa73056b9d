/*
 * What replicated state costs: how fast a write reaches everybody, beside an event; and what a node that was away for
 * long has to be told.
 */
#include "base/bytes.h"
#include "base/num.h"
#include "sim/state_measure.h"

#include <bruit/bruit.h>
#include <bruit/kv.h>
#include <bruit/sim.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SETTLE (10 * BRUIT_SECOND)
#define REACH_MOST (60 * BRUIT_SECOND)
#define EQUAL_MOST (3600 * BRUIT_SECOND)
#define VALUE_SIZE 64

static const struct bruit_module *const modules[] = {&bruit_status_module, &bruit_event_module, &bruit_kv_module};

/* ------------------------------------------------------------------ a write, and an event */

struct reach {
    bruit_time *heard; /* by node; 0: not yet */
    uint32_t count;
    uint32_t wanted; /* the type of event that counts */
    uint64_t *cursors;
    bruit_time start;
};

static void hear(struct reach *reach, struct bruit_sim *sim, uint32_t node)
{
    if (reach->heard[node] != 0)
        return;
    reach->heard[node] = bruit_sim_now(sim) - reach->start + 1;
    reach->count++;
}

static void on_event(void *context, struct bruit_sim *sim, uint32_t node, const struct bruit_event *event)
{
    struct reach *reach = context;
    struct bruit_kv_change change;
    if (event->type == BRUIT_EVENT_KV_CHANGED) {
        while (bruit_kv_next_change(bruit_sim_engine(sim, node), reach->cursors[node], br_bytes(NULL, 0), &change))
            reach->cursors[node] = change.cursor;
        reach->cursors[node] = change.cursor;
    }
    if (event->type == reach->wanted)
        hear(reach, sim, node);
}

static int begin_trial(struct reach *reach, struct bruit_sim *sim, uint32_t node, uint32_t trial, bool is_event)
{
    char name[32];
    uint8_t value[VALUE_SIZE] = {0};
    int size = snprintf(name, sizeof name, "rumour-%u", (unsigned)trial);
    struct bruit_bytes text = br_bytes(name, (size_t)size);
    struct bruit_engine *engine = bruit_sim_engine(sim, node);
    bruit_time now = bruit_sim_clock(sim, node);
    memset(reach->heard, 0, bruit_sim_count(sim) * sizeof *reach->heard);
    reach->count = 0;
    reach->start = bruit_sim_now(sim);
    reach->wanted = is_event ? BRUIT_EVENT_USER : BRUIT_EVENT_KV_CHANGED;
    int status = is_event ? bruit_user_event(engine, text, br_bytes(value, sizeof value), false, now)
                          : bruit_kv_put(engine, text, br_bytes(value, sizeof value), NULL, NULL, now);
    bruit_sim_kick(sim, node);
    return status;
}

static int by_time(const void *left, const void *right)
{
    bruit_time a, b;
    memcpy(&a, left, sizeof a);
    memcpy(&b, right, sizeof b);
    return (a > b) - (a < b);
}

/* Half, 99 % and all of the nodes, in milliseconds. */
static void count_trial(const struct reach *reach, uint32_t nodes, struct br_reach_row *row)
{
    qsort(reach->heard, nodes, sizeof *reach->heard, by_time);
    double half = (double)reach->heard[nodes / 2] / 1e6, most = (double)reach->heard[nodes * 99 / 100] / 1e6;
    double all = (double)reach->heard[nodes - 1] / 1e6;
    row->half += half;
    row->most += most;
    row->alls[row->trials++] = all;
}

static bool has_reached_all(struct bruit_sim *sim, void *context)
{
    const struct reach *reach = context;
    return reach->count == bruit_sim_count(sim);
}

static int run_trials(const struct br_measure_config *config, struct bruit_sim *sim, struct reach *reach,
                      struct br_reach *out)
{
    for (uint32_t trial = 0; trial < config->trials; trial++)
        for (int is_event = 0; is_event < 2; is_event++) {
            uint32_t node = (uint32_t)bruit_sim_random(sim, config->nodes);
            if (begin_trial(reach, sim, node, trial, is_event == 1) != 0)
                return BRUIT_ENOMEM;
            if (!bruit_sim_wait(sim, has_reached_all, reach, REACH_MOST, BRUIT_MILLISECOND))
                return BRUIT_ETIMEOUT;
            count_trial(reach, config->nodes, is_event == 1 ? &out->event : &out->write);
            bruit_sim_run(sim, SETTLE);
            if (config->on_progress != NULL)
                config->on_progress((trial + 0.5 * (is_event + 1)) / config->trials);
        }
    return 0;
}

static void finish(struct br_reach_row *row)
{
    double alls[BR_MEASURE_TRIALS_MAX];
    memcpy(alls, row->alls, sizeof alls);
    for (uint32_t i = 1; i < row->trials; i++)
        for (uint32_t j = i; j > 0 && alls[j - 1] > alls[j]; j--) {
            double swapped = alls[j];
            alls[j] = alls[j - 1];
            alls[j - 1] = swapped;
        }
    row->half /= row->trials;
    row->most /= row->trials;
    row->median = alls[row->trials / 2];
    row->worst = alls[row->trials - 1];
}

static void configure(const struct br_measure_config *config, struct bruit_sim_config *world)
{
    bruit_sim_config_default(world);
    world->seed = config->seed;
    world->nodes = config->nodes;
    world->link.loss = config->loss;
    world->engine.modules = modules;
    world->engine.module_count = sizeof modules / sizeof modules[0];
    world->engine.has_store = config->has_disk;
}

int br_measure_reach(const struct br_measure_config *config, struct br_reach *out, char *why, size_t why_size)
{
    struct bruit_sim_config world;
    struct bruit_sim *sim;
    struct reach reach = {.heard = calloc(config->nodes, sizeof(bruit_time)),
                          .cursors = calloc(config->nodes, sizeof(uint64_t))};
    *out = (struct br_reach){0};
    configure(config, &world);
    world.on_event = on_event;
    world.context = &reach;
    int status = reach.heard == NULL || reach.cursors == NULL ? BRUIT_ENOMEM
                                                             : bruit_sim_new(&sim, &world, why, why_size);
    if (status == 0) {
        status = bruit_sim_preload(sim);
        bruit_sim_run(sim, SETTLE);
        if (status == 0)
            status = run_trials(config, sim, &reach, out);
        if (status != 0)
            (void)snprintf(why, why_size, "a write or an event did not reach everybody: %s", bruit_strerror(status));
        bruit_sim_free(sim);
    }
    free(reach.heard);
    free(reach.cursors);
    if (status == 0) {
        finish(&out->write);
        finish(&out->event);
    }
    return status;
}

/* ------------------------------------------------------------------ away for an hour */

static bool are_equal(struct bruit_sim *sim, void *context)
{
    struct bruit_kv_stat first, other;
    (void)context;
    if (bruit_kv_stat(bruit_sim_engine(sim, 0), &first) != 0)
        return false;
    for (uint32_t i = 1; i < bruit_sim_count(sim); i++)
        if (bruit_sim_engine(sim, i) != NULL &&
            (bruit_kv_stat(bruit_sim_engine(sim, i), &other) != 0 || other.root != first.root))
            return false;
    return true;
}

static int put(struct bruit_sim *sim, uint32_t node, uint32_t key, uint32_t version)
{
    char name[32];
    uint8_t value[VALUE_SIZE];
    int size = snprintf(name, sizeof name, "key-%06u", (unsigned)key);
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = (uint8_t)(key * 7 + version * 31 + i);
    return bruit_kv_put(bruit_sim_engine(sim, node), br_bytes(name, (size_t)size), br_bytes(value, sizeof value), NULL,
                        NULL, bruit_sim_clock(sim, node));
}

/* A thousand a second: all of them reach the others by gossip or by comparison, we do not mind which. */
static int fill(const struct br_measure_config *config, struct bruit_sim *sim)
{
    int status = 0;
    for (uint32_t key = 0; key < config->keys && status == 0; key++) {
        status = put(sim, key % config->nodes, key, 0);
        if (key % 10 != 9)
            continue;
        for (uint32_t i = 0; i < config->nodes; i++)
            bruit_sim_kick(sim, i);
        bruit_sim_run(sim, 10 * BRUIT_MILLISECOND);
        if (config->on_progress != NULL)
            config->on_progress(0.5 * key / config->keys);
    }
    return status != 0 || bruit_sim_wait(sim, are_equal, NULL, EQUAL_MOST, BRUIT_SECOND) ? status : BRUIT_ETIMEOUT;
}

/* The changes come evenly over the time in which node 0 is away. */
static int change(const struct br_measure_config *config, struct bruit_sim *sim)
{
    bruit_time gap = config->away / (config->changes + 1);
    for (uint32_t i = 0; i < config->changes; i++) {
        bruit_sim_run(sim, gap);
        uint32_t node = 1 + (uint32_t)bruit_sim_random(sim, config->nodes - 1);
        int status = put(sim, node, (uint32_t)bruit_sim_random(sim, config->keys), i + 1);
        bruit_sim_kick(sim, node);
        if (status != 0)
            return status;
        if (config->on_progress != NULL)
            config->on_progress(0.5 + 0.5 * i / config->changes);
    }
    bruit_sim_run(sim, gap);
    return 0;
}

static int on_load(void *context, struct bruit_sim *sim, uint32_t node, struct bruit_engine *engine,
                   struct bruit_bytes space, struct bruit_bytes key, struct bruit_bytes value)
{
    (void)context;
    (void)sim;
    (void)node;
    (void)space;
    return bruit_kv_load(engine, key, value);
}

/* Days do not pass in a second: the age of what was kept is told by the wall clock. */
static void on_start(void *context, struct bruit_sim *sim, uint32_t node, struct bruit_engine *engine)
{
    (void)context;
    bruit_kv_wall_time(engine, UINT64_C(1767225600) * BRUIT_SECOND + bruit_sim_now(sim), bruit_sim_clock(sim, node));
}

static int come_back(struct bruit_sim *sim, struct br_away *out)
{
    struct bruit_kv_stat stat;
    bruit_time start = bruit_sim_now(sim);
    int status = bruit_sim_restart(sim, 0, true);
    if (status != 0)
        return status;
    if (are_equal(sim, NULL))
        return BRUIT_EEXIST; /* nothing was missed: then nothing is measured */
    if (!bruit_sim_wait(sim, are_equal, NULL, EQUAL_MOST, 100 * BRUIT_MILLISECOND))
        return BRUIT_ETIMEOUT;
    out->seconds = (double)(bruit_sim_now(sim) - start) / 1e9;
    /* To the end of what was begun. */
    bruit_sim_run(sim, 5 * BRUIT_SECOND);
    (void)bruit_kv_stat(bruit_sim_engine(sim, 0), &stat);
    out->bytes_in = stat.bytes_in;
    out->bytes_out = stat.bytes_out;
    out->keys = stat.keys;
    out->resets = stat.resets;
    return 0;
}

int br_measure_away(const struct br_measure_config *config, struct br_away *out, char *why, size_t why_size)
{
    struct bruit_sim_config world;
    struct bruit_sim *sim;
    *out = (struct br_away){0};
    configure(config, &world);
    world.engine.has_store = true;
    world.on_load = on_load;
    world.on_start = on_start;
    int status = bruit_sim_new(&sim, &world, why, why_size);
    if (status != 0)
        return status;
    status = bruit_sim_preload(sim);
    if (status == 0)
        status = fill(config, sim);
    if (status == 0) {
        bruit_sim_run(sim, SETTLE);
        bruit_sim_kill(sim, 0);
        status = change(config, sim);
    }
    if (status == 0)
        status = come_back(sim, out);
    if (status != 0)
        (void)snprintf(why, why_size, "it did not come to equal stores: %s", bruit_strerror(status));
    bruit_sim_free(sim);
    return status;
}
