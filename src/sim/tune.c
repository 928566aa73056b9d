/*
 * One configuration on simulated clusters; see tune.h. Cheap goals first: crashes among few, then traffic at the full
 * size, then false deaths.
 */
#include "sim/tune.h"

#include "base/num.h"

#include <bruit/error.h>

#include <math.h>
#include <stdio.h>

#define FEW_NODES 100u
#define FEW_CRASHES_MIN 150u
#define MANY_NODES 3000u /* a minute for all has to do */
#define MANY_LOSS 0.04 /* beyond it news of false suspicions is most of the work: fewer nodes, down to 200 */
#define MANY_LEAST 200u
#define FALSE_NODES 50u
#define TRAFFIC_INTERVALS 60 /* probe intervals of traffic at the full size */
#define FALSE_TRIALS 8u
#define FALSE_INTERVALS 500 /* probe intervals in each */
#define ENOUGH_DEATHS 5u
#define ENOUGH_LEVELS 3u /* two of them with enough deaths */
#define HEADERS 28.0     /* of IPv4 and UDP */
#define Z95 1.6449       /* one-sided */

struct
try {
    const struct br_tune_goals *goals;
    const struct bruit_config *engine;
    uint64_t seed, memory_max;
    uint32_t threads;
    br_tune_watch watch;
    void *context;
    struct br_tune_evidence *evidence;
    char *why;
    size_t why_size;
    const char *what;
    double from, to; /* the shares of the work at hand */
    bool stopped;
};

static double seconds(bruit_time time)
{
    return (double)time / (double)BRUIT_SECOND;
}

double br_tune_least_part(uint32_t hits, uint32_t count)
{
    if (count == 0)
        return 0;
    double n = count, p = hits / n, z2 = Z95 * Z95;
    double centre = p + z2 / (2 * n), spread = Z95 * sqrt(p * (1 - p) / n + z2 / (4 * n * n));
    return (centre - spread) / (1 + z2 / n);
}

/* ------------------------------------------------------------------ running */

static bool watch_run(void *context, uint32_t done, uint32_t trials)
{
    struct try *try = context;
    if (!try->watch(try->context, try->what, try->from + (try->to - try->from) * done / trials))
        try->stopped = true;
    return !try->stopped;
}

static struct br_detect_config question(const struct try *try, uint32_t nodes, uint32_t trials)
{
    struct br_detect_config config;
    struct bruit_config engine = *try->engine;
    br_detect_config_default(&config);
    engine.name = config.engine.name;
    engine.advertise = config.engine.advertise;
    config.engine = engine;
    config.nodes = nodes;
    config.trials = trials;
    config.threads = try->threads;
    config.seed = try->seed;
    config.loss = try->goals->loss;
    config.latency = try->goals->latency;
    config.memory_max = try->memory_max;
    config.watch = 0;
    return config;
}

static int run(struct try *try, const char *what, double to, const struct br_detect_config *config,
               struct br_detect_result *result)
{
    const char *wrong = br_detect_check(config);
    *result = (struct br_detect_result){.trials = 0};
    if (wrong != NULL) {
        (void)snprintf(try->why, try->why_size, "%s", wrong);
        return BRUIT_EINVAL;
    }
    try->what = what;
    try->to = to;
    int status = br_detect_run(config, watch_run, try, result, try->why, try->why_size);
    try->from = to;
    return status == 0 && try->stopped ? BRUIT_ECLOSED : status;
}

/* ------------------------------------------------------------------ the time */

static double suspicion(const struct try *try, uint32_t nodes)
{
    return seconds(br_num_suspicion_timeout(try->engine->suspicion_mult, nodes, try->engine->probe_interval));
}

/* So many that a configuration that is a little better than the goal can be proven to be. */
static uint32_t crashes_for(double sure)
{
    double needed = 12 / (1 - sure);
    return needed < FEW_CRASHES_MIN ? FEW_CRASHES_MIN : (uint32_t)needed;
}

static int try_time(struct try *try)
{
    const struct br_tune_goals *goals = try->goals;
    struct br_tune_evidence *e = try->evidence;
    struct br_detect_result result;
    e->few_nodes = goals->nodes < FEW_NODES ? goals->nodes : FEW_NODES;
    struct br_detect_config config = question(try, e->few_nodes, crashes_for(goals->sure));
    int status = run(try, "crashes", 0.15, &config, &result);
    if (status == 0) {
        e->shift = suspicion(try, goals->nodes) - suspicion(try, e->few_nodes);
        e->few_crashes = result.trials;
        for (uint32_t i = 0; i < result.trials; i++)
            e->few_in_time += result.all_samples[i] + e->shift <= seconds(goals->within);
        uint32_t rank = (uint32_t)ceil(goals->sure * result.trials);
        e->few_sure = result.all_samples[rank - 1] + e->shift;
        e->few_p50 = result.all.p50 + e->shift;
        e->least_part = br_tune_least_part(e->few_in_time, e->few_crashes);
        if (e->least_part < goals->sure)
            e->limit = BR_TUNE_TOO_SLOW;
    }
    br_detect_result_free(&result);
    return status;
}

/* ------------------------------------------------------------------ the price */

/* The work grows with the square of the nodes, and with a high power of the loss. */
static uint32_t nodes_for_traffic(const struct br_tune_goals *goals)
{
    double most = MANY_NODES;
    if (goals->loss > MANY_LOSS)
        most *= pow(MANY_LOSS / goals->loss, 2);
    if (most < MANY_LEAST)
        most = MANY_LEAST;
    return goals->nodes < most ? goals->nodes : (uint32_t)most;
}

/* Nodes that have news of all others have so much more of it among more; the probes stay what they are. */
static double among_all(const struct br_tune_goals *goals, uint32_t nodes, double bytes, double rest)
{
    double news = bytes > rest ? bytes - rest : 0;
    return bytes - news + news * goals->nodes / nodes;
}

static int try_traffic(struct try *try)
{
    const struct br_tune_goals *goals = try->goals;
    struct br_tune_evidence *e = try->evidence;
    struct br_detect_result result;
    e->many_nodes = nodes_for_traffic(goals);
    struct br_detect_config config = question(try, e->many_nodes, 2);
    config.watch = TRAFFIC_INTERVALS * config.engine.probe_interval;
    if (config.threads > 2)
        config.threads = 2;
    int status = run(try, "the whole cluster", 0.5, &config, &result);
    if (status == 0) {
        e->many_crashes = result.trials;
        for (uint32_t i = 0; i < result.trials; i++)
            e->many_in_time += result.all_samples[i] <= seconds(goals->within);
        e->many_most = result.all.missed > 0 ? INFINITY : result.all.most;
        e->packets = result.packets;
        struct bruit_config silent = *try->engine;
        silent.push_pull_interval = 0;
        double rest = br_tune_estimate(goals, &silent).bandwidth;
        double reckoned = br_tune_estimate(goals, try->engine).bandwidth - rest;
        e->bytes = among_all(goals, e->many_nodes, result.bytes + HEADERS * result.packets, rest);
        /* Exchanges are too rare for so short a time: reckoned, unless more were seen. */
        e->stream_bytes = result.stream_bytes > reckoned ? result.stream_bytes : reckoned;
        e->bandwidth = e->bytes + e->stream_bytes;
        if (e->bandwidth > goals->bandwidth)
            e->limit = BR_TUNE_TOO_DEAR;
    }
    br_detect_result_free(&result);
    return status;
}

/* ------------------------------------------------------------------ false deaths */

/* `mult` times a logarithm of the many nodes, as a multiple of that of the few; rounded down. */
static uint32_t as_among_many(uint32_t mult, double many, double few)
{
    return (uint32_t)floor(mult * many / few + 1e-9);
}

/*
 * Few nodes that suspect as many would. The longest suspicion lasts as long as theirs, by a larger factor; and news is
 * sent on as often, by a larger multiplier. The shortest suspicion is shorter than theirs, so that more die.
 */
static struct br_detect_config false_question(const struct try *try, double loss)
{
    const struct br_tune_goals *goals = try->goals;
    struct br_detect_config config = question(try, try->evidence->false_nodes, FALSE_TRIALS);
    struct bruit_config *engine = &config.engine;
    engine->suspicion_max_mult =
        as_among_many(engine->suspicion_max_mult, suspicion(try, goals->nodes), suspicion(try, config.nodes));
    engine->retransmit_mult = as_among_many(engine->retransmit_mult, br_num_retransmit_limit(1, goals->nodes),
                                            br_num_retransmit_limit(1, config.nodes));
    config.watch = FALSE_INTERVALS * engine->probe_interval;
    config.loss = loss;
    return config;
}

static int count_false(struct try *try, double loss, double to, struct br_tune_level *level)
{
    struct br_detect_config config = false_question(try, loss);
    struct br_detect_result result;
    int status = run(try, "false deaths", to, &config, &result);
    *level = (struct br_tune_level){
        .loss = loss, .node_hours = result.hours * config.nodes, .deaths = result.false_deaths};
    br_detect_result_free(&result);
    return status;
}

/* Of the whole cluster in a month, from deaths in node-hours. */
static double monthly_most(const struct br_tune_level *level, uint32_t nodes)
{
    return br_detect_monthly_most(level->deaths, level->node_hours) * nodes;
}

/*
 * log(rate) = a + power * log(loss) with counts that are Poisson: Newton's method from a flat line. `cov` is of a and
 * the power: their inverse information.
 */
struct fit {
    double a, power;
    double cov[3]; /* aa, ap, pp */
};

static bool fit_power(const struct br_tune_level *levels, uint32_t count, struct fit *fit)
{
    double deaths = 0, hours = 0;
    for (uint32_t i = 0; i < count; i++) {
        deaths += (double)levels[i].deaths;
        hours += levels[i].node_hours;
    }
    *fit = (struct fit){.a = log(deaths / hours)};
    for (int step = 0; step < 50; step++) {
        double g0 = 0, g1 = 0, h00 = 0, h01 = 0, h11 = 0;
        for (uint32_t i = 0; i < count; i++) {
            double x = log(levels[i].loss), expected = levels[i].node_hours * exp(fit->a + fit->power * x);
            double over = (double)levels[i].deaths - expected;
            g0 += over;
            g1 += over * x;
            h00 += expected;
            h01 += expected * x;
            h11 += expected * x * x;
        }
        double det = h00 * h11 - h01 * h01;
        if (!(det > 0))
            return false;
        /* Half steps at first: from a flat line a whole one can overshoot. */
        double pace = step < 10 ? 0.5 : 1;
        fit->a += pace * (h11 * g0 - h01 * g1) / det;
        fit->power += pace * (h00 * g1 - h01 * g0) / det;
        fit->cov[0] = h11 / det;
        fit->cov[1] = -h01 / det;
        fit->cov[2] = h00 / det;
    }
    return isfinite(fit->a) && isfinite(fit->power);
}

double br_tune_extrapolate(const struct br_tune_level *levels, uint32_t count, double loss, uint32_t nodes,
                           double *power)
{
    struct fit fit;
    uint32_t usable = 0;
    for (uint32_t i = 0; i < count; i++)
        usable += levels[i].deaths >= ENOUGH_DEATHS;
    *power = NAN;
    if (count < ENOUGH_LEVELS || usable < 2 || !(loss > 0) || !fit_power(levels, count, &fit))
        return INFINITY;
    double x = log(loss);
    double variance = fit.cov[0] + 2 * x * fit.cov[1] + x * x * fit.cov[2];
    *power = fit.power;
    return exp(fit.a + fit.power * x + Z95 * sqrt(variance)) * BR_DETECT_MONTH * nodes;
}

/* One more level; the bound that all of them give, as if each of the many observers erred on its own. */
static int accelerate(struct try *try, double loss, double to)
{
    const struct br_tune_goals *goals = try->goals;
    struct br_tune_evidence *e = try->evidence;
    int status = count_false(try, loss, to, &e->levels[e->level_count]);
    if (status != 0)
        return status;
    e->level_count++;
    double most = br_tune_extrapolate(e->levels, e->level_count, goals->loss, goals->nodes, &e->power);
    most *= (double)goals->nodes / e->false_nodes;
    if (e->direct.deaths == 0 && most < e->monthly_most)
        e->monthly_most = most;
    return 0;
}

static int try_false(struct try *try)
{
    /* Down to where deaths are too few to count. */
    static const double losses[BR_TUNE_LEVELS_MAX] = {0.65, 0.55, 0.45, 0.38, 0.32, 0.27};
    const struct br_tune_goals *goals = try->goals;
    struct br_tune_evidence *e = try->evidence;
    e->false_nodes = goals->nodes < FALSE_NODES ? goals->nodes : FALSE_NODES;
    int status = count_false(try, goals->loss, 0.6, &e->direct);
    e->monthly_most = monthly_most(&e->direct, goals->nodes);
    /* Without loss nobody dies by chance, and there is nothing to accelerate. */
    if (status != 0 || (goals->loss == 0 && e->direct.deaths == 0))
        return status;
    for (uint32_t i = 0; i < BR_TUNE_LEVELS_MAX && e->monthly_most > goals->false_deaths; i++) {
        status = accelerate(try, losses[i], 0.6 + 0.4 * (i + 1) / BR_TUNE_LEVELS_MAX);
        if (status != 0 || e->levels[i].deaths < ENOUGH_DEATHS)
            break;
    }
    if (e->monthly_most > goals->false_deaths)
        e->limit = BR_TUNE_TOO_FALSE;
    return status;
}

/* ------------------------------------------------------------------ all of it */

int br_tune_try(const struct br_tune_goals *goals, const struct bruit_config *engine, uint64_t seed,
                uint32_t threads, uint64_t memory_max, br_tune_watch watch, void *context,
                struct br_tune_evidence *evidence, char *why, size_t why_size)
{
    struct try try = {.goals = goals,
                      .engine = engine,
                      .seed = seed,
                      .memory_max = memory_max,
                      .threads = threads,
                      .watch = watch,
                      .context = context,
                      .evidence = evidence,
                      .why = why,
                      .why_size = why_size};
    *evidence = (struct br_tune_evidence){.power = NAN, .monthly_most = NAN};
    int status = try_time(&try);
    if (status == 0 && evidence->limit == BR_TUNE_FITS)
        status = try_traffic(&try);
    if (status == 0 && evidence->limit == BR_TUNE_FITS && isfinite(goals->false_deaths))
        status = try_false(&try);
    return status;
}
