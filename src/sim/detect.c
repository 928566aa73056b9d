/*
 * Detection among real engines; see detect.h. This file has the questions, the threads and the sums; what happens in
 * one trial is detect_trial.c.
 */
#include "sim/detect_trial.h"

#include <bruit/error.h>

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ what the engine is told to be */

static const struct {
    const char *name, *text;
} variants[BR_DETECT_VARIANTS] = {
    [BR_DETECT_SWIM] = {"swim", "SWIM alone"},
    [BR_DETECT_HEALTH] = {"health", "SWIM + local health"},
    [BR_DETECT_SUSPICION] = {"suspicion", "SWIM + dynamic suspicion"},
    [BR_DETECT_BUDDY] = {"buddy", "SWIM + buddy"},
    [BR_DETECT_MEMBERLIST] = {"memberlist", "all three: memberlist"},
    [BR_DETECT_BRUIT] = {"bruit", "bruit"},
    [BR_DETECT_HEARTBEAT] = {"heartbeat", "heartbeats"},
};

const char *br_detect_name(enum br_detect_variant variant)
{
    return variants[variant].name;
}

const char *br_detect_text(enum br_detect_variant variant)
{
    return variants[variant].text;
}

void br_detect_become(struct br_detect_config *config, enum br_detect_variant variant)
{
    struct bruit_config *engine = &config->engine;
    config->eager = variant == BR_DETECT_BRUIT;
    if (variant == BR_DETECT_HEARTBEAT) {
        engine->detector = BRUIT_DETECTOR_HEARTBEAT;
        config->eager = true;
    }
    if (variant == BR_DETECT_BRUIT || variant == BR_DETECT_HEARTBEAT)
        return;
    bool is_whole = variant == BR_DETECT_MEMBERLIST;
    engine->stall_guard = false;
    engine->early_sync_budget = 0;
    engine->buddy_pings = is_whole || variant == BR_DETECT_BUDDY;
    if (!is_whole && variant != BR_DETECT_HEALTH)
        engine->awareness_max = 1;
    if (!is_whole && variant != BR_DETECT_SUSPICION)
        engine->suspicion_max_mult = 1;
}

/* ------------------------------------------------------------------ the question */

void br_detect_config_default(struct br_detect_config *config)
{
    struct bruit_sim_config world;
    bruit_sim_config_default(&world);
    *config = (struct br_detect_config){
        .nodes = 100,
        .trials = 30,
        .threads = 1,
        .seed = 1,
        .latency = world.link.latency,
        .pause = {.length = 5 * BRUIT_SECOND, .every = 60 * BRUIT_SECOND},
        .starve = {.length = 2 * BRUIT_SECOND, .every = 50 * BRUIT_MILLISECOND},
        .partition = {.length = 10 * BRUIT_SECOND, .every = 60 * BRUIT_SECOND},
        .watch = 60 * BRUIT_SECOND,
        .engine = world.engine,
        .eager = true,
    };
}

static bool is_part(double part)
{
    return part >= 0 && part < 1;
}

static const char *check_faults(const struct br_detect_config *config)
{
    uint32_t counts[3];
    if (!is_part(config->loss))
        return "--loss is the part of the datagrams that is lost: give it 0 or more, and less than 1 (100%).";
    if (!is_part(config->pause.part) || !is_part(config->starve.part) || !is_part(config->partition.part))
        return "--pause, --starve and --partition are parts of the nodes: give each less than 1 (100%).";
    if (config->pause.part > 0 && (config->pause.length == 0 || config->pause.length >= config->pause.every))
        return "a pause must be over before the next begins: give --pause-for less than --pause-every.";
    if (config->partition.part > 0 &&
        (config->partition.length == 0 || config->partition.length >= config->partition.every))
        return "a partition must heal before the next: give --partition-for less than --partition-every.";
    if (config->starve.part > 0 && (config->starve.length == 0 || config->starve.every == 0))
        return "a starved node runs for a while, too: give --starve-run and --starve-for more than 0.";
    br_detect_count_impaired(config, counts);
    if ((uint64_t)counts[0] + counts[1] + counts[2] + 3 > config->nodes)
        return "one node is to crash and two healthy ones to notice: let fewer suffer, or give more --nodes.";
    return NULL;
}

static uint64_t memory_needed(const struct br_detect_config *config)
{
    struct bruit_sim_config world;
    bruit_sim_config_default(&world);
    world.nodes = config->nodes;
    world.engine = config->engine;
    return bruit_sim_memory_needed(&world);
}

const char *br_detect_check(const struct br_detect_config *config)
{
    struct bruit_sim_config world;
    if (config->nodes < 3 || config->nodes > BR_DETECT_NODES_MAX)
        return "one node is to crash and two to notice: give --nodes 3 to 10000.";
    if (config->trials < 1 || config->trials > BR_DETECT_TRIALS_MAX)
        return "--trials is 1 to 10000.";
    if (config->threads < 1 || config->threads > BR_DETECT_THREADS_MAX)
        return "--threads is 1 to 64.";
    if (config->watch > 24 * 3600 * BRUIT_SECOND)
        return "--watch is for each trial: give it at most 24h, and more --trials.";
    if (config->engine.probe_interval == 0)
        return "who never probes detects nothing: give --probe-interval more than 0.";
    bruit_sim_config_default(&world);
    world.engine = config->engine;
    world.engine.detector = BRUIT_DETECTOR_HEARTBEAT; /* whose variant may be asked for: its ranges count, too */
    const char *wrong = bruit_sim_config_check(&world);
    return wrong != NULL ? wrong : check_faults(config);
}

double br_detect_monthly(double count, double hours)
{
    return hours > 0 ? count / hours * BR_DETECT_MONTH : NAN;
}

/* Wilson and Hilferty's cubic (1931), within 1 % of the exact bound (2.996 for none, 4.744 for one). */
double br_detect_monthly_most(uint64_t count, double hours)
{
    double n = (double)count + 1, root = 1 - 1 / (9 * n) + 1.6449 / (3 * sqrt(n));
    return br_detect_monthly(n * root * root * root, hours);
}

/* ------------------------------------------------------------------ threads */

struct run {
    const struct br_detect_config *config;
    struct br_detect_trial *trials;
    uint8_t *is_done;
    atomic_uint next;
    atomic_uint done;
    atomic_bool stop;
    atomic_int status;
    br_detect_watch watch; /* called by the first worker alone */
    void *context;
    pthread_mutex_t lock; /* of `why` */
    char *why;
    size_t why_size;
};

struct worker {
    struct run *run;
    pthread_t thread;
    bool is_first;
};

static bool is_stopped(void *context)
{
    const struct worker *worker = context;
    struct run *run = worker->run;
    if (worker->is_first && run->watch != NULL &&
        !run->watch(run->context, atomic_load(&run->done), run->config->trials))
        atomic_store(&run->stop, true);
    return atomic_load(&run->stop);
}

static void play_one(struct worker *worker, uint32_t number)
{
    struct run *run = worker->run;
    char why[256] = "";
    int status =
        br_detect_trial_play(run->config, number, is_stopped, worker, &run->trials[number], why, sizeof why);
    if (status == 0) {
        run->is_done[number] = 1;
        atomic_fetch_add(&run->done, 1);
    } else if (status != BRUIT_ECLOSED) {
        (void)pthread_mutex_lock(&run->lock);
        (void)snprintf(run->why, run->why_size, "%s", why);
        (void)pthread_mutex_unlock(&run->lock);
        atomic_store(&run->status, status);
        atomic_store(&run->stop, true);
    }
}

static void *work(void *context)
{
    struct worker *worker = context;
    struct run *run = worker->run;
    while (!is_stopped(worker)) {
        uint32_t number = atomic_fetch_add(&run->next, 1);
        if (number >= run->config->trials)
            break;
        play_one(worker, number);
    }
    return NULL;
}

static void work_together(struct run *run)
{
    struct worker workers[BR_DETECT_THREADS_MAX];
    uint32_t count = run->config->threads < run->config->trials ? run->config->threads : run->config->trials;
    uint32_t started = 1;
    workers[0] = (struct worker){.run = run, .is_first = true};
    for (; started < count; started++) {
        workers[started] = (struct worker){.run = run};
        /* Fewer than wanted: it takes longer. */
        if (pthread_create(&workers[started].thread, NULL, work, &workers[started]) != 0)
            break;
    }
    (void)work(&workers[0]);
    for (uint32_t i = 1; i < started; i++)
        (void)pthread_join(workers[i].thread, NULL);
}

/* ------------------------------------------------------------------ sums */

static int compare(const void *a, const void *b)
{
    double left, right;
    memcpy(&left, a, sizeof left);
    memcpy(&right, b, sizeof right);
    return (left > right) - (left < right);
}

/* The nearest rank. */
static double percentile(const double *sorted, uint32_t count, double part)
{
    uint32_t rank = (uint32_t)ceil(part * count);
    return count == 0 ? NAN : sorted[rank == 0 ? 0 : rank - 1];
}

static void sum_up(struct br_detect_times *times, double *samples, uint32_t count)
{
    double sum = 0;
    uint32_t finite = 0;
    qsort(samples, count, sizeof samples[0], compare);
    for (; finite < count && isfinite(samples[finite]); finite++)
        sum += samples[finite];
    *times = (struct br_detect_times){
        .mean = finite > 0 ? sum / finite : NAN,
        .least = finite > 0 ? samples[0] : NAN,
        .p50 = percentile(samples, count, 0.5),
        .p99 = percentile(samples, count, 0.99),
        .most = finite > 0 ? samples[finite - 1] : NAN,
        .missed = count - finite,
    };
}

static void add_counts(struct br_detect_result *result, const struct br_detect_trial *trial)
{
    result->hours += trial->hours;
    result->false_deaths += trial->false_deaths;
    result->false_reports += trial->false_reports;
    result->impaired_deaths += trial->impaired_deaths;
    result->false_suspicions += trial->false_suspicions;
    result->packets += trial->packets;
    result->bytes += trial->bytes;
    result->stream_bytes += trial->stream_bytes;
}

/* In the order of the trials, so that sums come out the same whoever was first. */
static void conclude(const struct run *run, struct br_detect_result *result, double *rest)
{
    uint32_t count = 0, trials = run->config->trials;
    for (uint32_t i = 0; i < trials; i++) {
        if (!run->is_done[i])
            continue;
        result->first_samples[count] = run->trials[i].first;
        result->all_samples[count] = run->trials[i].all;
        rest[count] = run->trials[i].probed;
        rest[trials + count] = run->trials[i].suspected;
        add_counts(result, &run->trials[i]);
        count++;
    }
    result->trials = count;
    sum_up(&result->first, result->first_samples, count);
    sum_up(&result->all, result->all_samples, count);
    sum_up(&result->probed, rest, count);
    sum_up(&result->suspected, rest + trials, count);
    double shares = count > 0 ? count : 1;
    result->packets /= shares;
    result->bytes /= shares;
    result->stream_bytes /= shares;
}

static int check_memory(const struct br_detect_config *config, char *why, size_t why_size)
{
    double needed = (double)memory_needed(config) * config->threads;
    if (config->memory_max == 0 || needed <= (double)config->memory_max)
        return 0;
    (void)snprintf(
        why, why_size,
        "%u nodes that all know each other, on %u threads, need %.1f GiB of the %.1f that are free: "
        "give fewer --nodes or --threads.",
        (unsigned)config->nodes, (unsigned)config->threads, needed / (1 << 30),
        (double)config->memory_max / (1 << 30));
    return BRUIT_ETOOBIG;
}

int br_detect_run(const struct br_detect_config *config, br_detect_watch watch, void *context,
                  struct br_detect_result *result, char *why, size_t why_size)
{
    *result = (struct br_detect_result){.waited = (uint32_t)(br_detect_patience(config) / BRUIT_SECOND)};
    int status = check_memory(config, why, why_size);
    if (status != 0)
        return status;
    struct run run = {.config = config, .watch = watch, .context = context, .why = why, .why_size = why_size};
    (void)pthread_mutex_init(&run.lock, NULL);
    double *rest = calloc(config->trials, 2 * sizeof rest[0]);
    run.trials = calloc(config->trials, sizeof run.trials[0]);
    run.is_done = calloc(config->trials, sizeof run.is_done[0]);
    result->first_samples = calloc(config->trials, sizeof result->first_samples[0]);
    result->all_samples = calloc(config->trials, sizeof result->all_samples[0]);
    if (rest == NULL || run.trials == NULL || run.is_done == NULL || result->first_samples == NULL ||
        result->all_samples == NULL) {
        (void)snprintf(why, why_size, "%s", bruit_strerror(BRUIT_ENOMEM));
        atomic_store(&run.status, BRUIT_ENOMEM);
    } else {
        work_together(&run);
        conclude(&run, result, rest);
    }
    free(rest);
    free(run.trials);
    free(run.is_done);
    (void)pthread_mutex_destroy(&run.lock);
    return atomic_load(&run.status);
}

void br_detect_result_free(struct br_detect_result *result)
{
    free(result->first_samples);
    free(result->all_samples);
    result->first_samples = result->all_samples = NULL;
}
