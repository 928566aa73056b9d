/*
 * bruit-sim aggregate: how true the answers of aggregates are, and what they cost, among real engines.
 *
 * Every node publishes a number; some die and come back with another; some change theirs. At regular moments some
 * nodes are asked, and what they say is held against what is true at that moment among the nodes that run.
 */
#include "module/aggregate_figure.h"
#include "sim/report.h"
#include "sim/tool.h"

#include <bruit/aggregate.h>
#include <bruit/error.h>
#include <bruit/sim.h>

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND "bruit-sim aggregate"
#define NODES_MAX 5000
#define GRACE (10 * BRUIT_SECOND)      /* who runs for less is not asked */
#define DEAD_FOR (30 * BRUIT_SECOND)   /* then it comes back as new */
#define LOOK_EARLY (500 * BRUIT_MILLISECOND)
#define GIVE_UP (300 * BRUIT_SECOND)

struct options {
    const char *mode;
    const char *values;
    uint64_t nodes, seed, sample, shards;
    double loss, churn, changes;
    bruit_time time, every;
    struct br_tool_output output;
};

#define AT(member) offsetof(struct options, member)

static const struct br_tool_flag flags[] = {
    {"Which way", BR_TOOL_SWITCH, 0, NULL, NULL},
    {"mode", BR_TOOL_TEXT, AT(mode), "NAME", "exact, estimate, or both, one after the other. Default: both."},
    {"Among whom", BR_TOOL_SWITCH, 0, NULL, NULL},
    {"nodes", BR_TOOL_COUNT, AT(nodes), "N", "How many nodes, up to 5k: each holds what all publish. Default: 1000."},
    {"loss", BR_TOOL_PART, AT(loss), "P", "The part of the datagrams that is lost. Default: 2%."},
    {"churn", BR_TOOL_PART, AT(churn), "P",
     "The part of the nodes that dies in a minute; each comes back 30 s later with another number. Default: 1%."},
    {"changes", BR_TOOL_PART, AT(changes), "P",
     "The part of the numbers that changes in a second. Default: 0."},
    {"values", BR_TOOL_TEXT, AT(values), "NAME",
     "uniform (0 to 100), or latency (log-normal: half of them within a factor of 2). Default: uniform."},
    {"How it is run", BR_TOOL_SWITCH, 0, NULL, NULL},
    {"time", BR_TOOL_TIME, AT(time), "TIME", "How long after all have come within 1 %. Default: 10m."},
    {"every", BR_TOOL_TIME, AT(every), "TIME", "Between looks. Default: 5s."},
    {"sample", BR_TOOL_COUNT, AT(sample), "N", "How many nodes are asked at each; 0: all. Default: 50."},
    {"seed", BR_TOOL_COUNT, AT(seed), "S", "The same seed gives the same answer. Default: 1."},
    {"shards", BR_TOOL_COUNT, AT(shards), "N", "Threads. Never changes the answer. Default: 1."},
    BR_TOOL_OUTPUT_FLAGS(struct options, output),
};

static const struct br_tool_usage usage = {
    .command = COMMAND,
    .synopsis = "[FLAGS]",
    .about = "  Every node publishes a number, and some are asked about all of them: how many, their mean, their\n"
             "  quantiles. What they say is held against the truth of that moment; and what it costs is counted.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .examples = "  bruit sim aggregate                                    1,000 nodes, 2 % loss, 1 % churn a minute\n"
                "  bruit sim aggregate --loss 0 --churn 0 --time 1m       what it costs at rest\n"
                "  bruit sim aggregate --changes 10%                      while one in ten numbers changes a second\n"
                "  bruit sim aggregate --nodes 100 --time 24h --every 1m  does anything drift?\n",
};

/* ------------------------------------------------------------------ a world */

struct worst {
    double count, mean, rank, value; /* parts */
    double count_sum, mean_sum, rank_sum;
    uint64_t answers, missing;
    bruit_time age;
};

struct life {
    double value;
    bruit_time began;
    bruit_time back_at; /* 0: it runs */
};

struct world {
    const struct options *options;
    enum bruit_aggregate_mode mode;
    struct bruit_sim *sim;
    struct life *lives;
    double *truth; /* sorted numbers of all that run */
    uint32_t truth_count;
    uint32_t nodes;
    uint64_t bytes_dead; /* of engines that are gone */
};

static const struct bruit_bytes the_name = {(const uint8_t *)"x", 1};

static double draw_value(struct world *w)
{
    double uniform = ((double)bruit_sim_random(w->sim, 1000000) + 0.5) / 1e6;
    if (strcmp(w->options->values, "latency") != 0)
        return 100 * uniform;
    double angle = 2 * M_PI * (double)bruit_sim_random(w->sim, 1000000) / 1e6;
    return 10 * exp(sqrt(-2 * log(uniform)) * cos(angle));
}

static void publish(struct world *w, uint32_t node)
{
    struct bruit_engine *engine = bruit_sim_engine(w->sim, node);
    w->lives[node].value = draw_value(w);
    (void)bruit_aggregate_publish_number(engine, the_name, w->lives[node].value, bruit_sim_clock(w->sim, node));
    bruit_sim_kick(w->sim, node);
}

static void configure(void *context, struct bruit_sim *sim, uint32_t node, struct bruit_engine *engine)
{
    const struct world *w = context;
    struct bruit_aggregate_options options;
    (void)sim;
    (void)node;
    bruit_aggregate_options_default(&options);
    options.mode = w->mode;
    (void)bruit_aggregate_configure(engine, &options);
}

static uint64_t bytes_of(const struct world *w, uint32_t node)
{
    struct bruit_aggregate_stats stats = {0};
    if (bruit_sim_engine(w->sim, node) != NULL)
        (void)bruit_aggregate_stats(bruit_sim_engine(w->sim, node), &stats);
    return stats.bytes_out;
}

static uint64_t bytes_of_all(const struct world *w)
{
    uint64_t bytes = w->bytes_dead;
    for (uint32_t i = 0; i < w->nodes; i++)
        bytes += bytes_of(w, i);
    return bytes;
}

static int open_world(struct world *w, const struct options *options, enum bruit_aggregate_mode mode)
{
    static const struct bruit_module *const modules[] = {&bruit_aggregate_module};
    struct bruit_sim_config config;
    char why[256] = "";
    *w = (struct world){.options = options, .mode = mode, .nodes = (uint32_t)options->nodes};
    w->lives = calloc(w->nodes, sizeof *w->lives);
    w->truth = calloc(w->nodes, sizeof *w->truth);
    if (w->lives == NULL || w->truth == NULL)
        return br_tool_fail(COMMAND, "no memory for %u nodes.", w->nodes);
    bruit_sim_config_default(&config);
    config.seed = options->seed;
    config.nodes = w->nodes;
    config.shards = (uint32_t)options->shards;
    config.link.loss = (uint32_t)(options->loss * BRUIT_SIM_MILLION + 0.5);
    config.engine.modules = modules;
    config.engine.module_count = 1;
    config.on_start = configure;
    config.context = w;
    if (bruit_sim_new(&w->sim, &config, why, sizeof why) != 0)
        return br_tool_fail(COMMAND, "%s", why);
    if (bruit_sim_preload(w->sim) != 0)
        return br_tool_fail(COMMAND, "no memory for %u nodes that know each other.", w->nodes);
    return 0;
}

static void close_world(struct world *w)
{
    bruit_sim_free(w->sim);
    free(w->lives);
    free(w->truth);
}

/* ------------------------------------------------------------------ what happens */

static uint32_t draw_running(struct world *w)
{
    uint32_t node = (uint32_t)bruit_sim_random(w->sim, w->nodes);
    while (bruit_sim_engine(w->sim, node) == NULL)
        node = node + 1 == w->nodes ? 0 : node + 1;
    return node;
}

static void kill_one(struct world *w)
{
    uint32_t node = draw_running(w);
    w->bytes_dead += bytes_of(w, node);
    bruit_sim_kill(w->sim, node);
    w->lives[node].back_at = bruit_sim_now(w->sim) + DEAD_FOR;
}

static void bring_back(struct world *w)
{
    for (uint32_t i = 0; i < w->nodes; i++) {
        struct life *life = &w->lives[i];
        if (life->back_at == 0 || life->back_at > bruit_sim_now(w->sim))
            continue;
        uint32_t target = draw_running(w);
        life->back_at = 0;
        life->began = bruit_sim_now(w->sim);
        if (bruit_sim_start(w->sim, i) != 0)
            continue;
        (void)bruit_sim_join(w->sim, i, &target, 1, NULL); /* asked and lost: it stays alone and is not in the truth */
        publish(w, i);
    }
}

/* Lets a second pass in which this much of a minute's and a second's share happens. */
static void live_a_second(struct world *w, double *deaths, double *changes)
{
    *deaths += w->options->churn * w->nodes / 60;
    *changes += w->options->changes * w->nodes;
    for (unsigned part = 0; part < 10; part++) {
        for (; *deaths >= 1; --*deaths)
            kill_one(w);
        bring_back(w);
        uint32_t due = (uint32_t)(*changes / (10 - part));
        *changes -= due;
        for (uint32_t i = 0; i < due; i++)
            publish(w, draw_running(w));
        bruit_sim_run(w->sim, 100 * BRUIT_MILLISECOND);
    }
}

/* ------------------------------------------------------------------ looking */

static void find_truth(struct world *w)
{
    w->truth_count = 0;
    for (uint32_t i = 0; i < w->nodes; i++)
        if (bruit_sim_engine(w->sim, i) != NULL)
            w->truth[w->truth_count++] = w->lives[i].value;
    br_figure_sort(w->truth, w->truth_count);
}

static bool ask(struct world *w, uint32_t node, enum bruit_aggregate_what what, double argument,
                struct bruit_aggregate_answer *answer)
{
    return bruit_aggregate_ask(bruit_sim_engine(w->sim, node), the_name, what, argument, answer,
                               bruit_sim_clock(w->sim, node)) == 0;
}

/* How far `q` is from the ranks that `value` has among the true ones. */
static double rank_error(const struct world *w, double value, double q)
{
    uint32_t below = 0, not_above = 0;
    for (uint32_t i = 0; i < w->truth_count; i++) {
        below += w->truth[i] < value ? 1 : 0;
        not_above += w->truth[i] <= value ? 1 : 0;
    }
    double low = (double)below / w->truth_count, high = (double)not_above / w->truth_count;
    return q < low ? low - q : q > high ? q - high : 0;
}

static void raise_to(double *most, double value)
{
    if (value > *most)
        *most = value;
}

/* False: it has no answer (yet). */
static bool look_at(struct world *w, uint32_t node, struct worst *worst)
{
    static const double quantiles[] = {0.1, 0.5, 0.9, 0.99};
    struct bruit_aggregate_answer count, mean, quantile;
    if (!ask(w, node, BRUIT_AGGREGATE_COUNT, 0, &count) || !ask(w, node, BRUIT_AGGREGATE_MEAN, 0, &mean))
        return false;
    double true_mean = br_figure_mean(w->truth, w->truth_count);
    double count_off = fabs(count.value / w->truth_count - 1), mean_off = fabs(mean.value / true_mean - 1);
    double rank = 0;
    for (unsigned i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++) {
        if (!ask(w, node, BRUIT_AGGREGATE_QUANTILE, quantiles[i], &quantile))
            return false;
        raise_to(&rank, rank_error(w, quantile.value, quantiles[i]));
        raise_to(&worst->value,
                 fabs(quantile.value / br_figure_quantile(w->truth, w->truth_count, quantiles[i]) - 1));
    }
    raise_to(&worst->count, count_off);
    raise_to(&worst->mean, mean_off);
    raise_to(&worst->rank, rank);
    worst->count_sum += count_off;
    worst->mean_sum += mean_off;
    worst->rank_sum += rank;
    worst->age = mean.age > worst->age ? mean.age : worst->age;
    return true;
}

static void look(struct world *w, struct worst *worst)
{
    uint64_t sample = w->options->sample == 0 ? w->nodes : w->options->sample;
    find_truth(w);
    for (uint64_t i = 0; i < sample; i++) {
        uint32_t node = sample >= w->nodes ? (uint32_t)(i % w->nodes) : draw_running(w);
        if (bruit_sim_engine(w->sim, node) == NULL ||
            (w->lives[node].began != 0 && bruit_sim_now(w->sim) - w->lives[node].began < GRACE))
            continue;
        if (look_at(w, node, worst))
            worst->answers++;
        else
            worst->missing++;
    }
}

/* ------------------------------------------------------------------ a run */

struct result {
    double within; /* seconds until all that were asked were within 1 % */
    struct worst worst;
    double bytes;     /* of the module, a node and second, after that */
    double bytes_all; /* of all datagrams */
    double memory;    /* of the values, a node */
};

static bool is_within(const struct worst *worst, double part)
{
    return worst->answers > 0 && worst->missing == 0 && worst->count <= part && worst->mean <= part &&
           worst->rank <= part;
}

/* All publish at once; how long until all that are asked come within a hundredth? */
static double come_close(struct world *w)
{
    for (uint32_t i = 0; i < w->nodes; i++)
        publish(w, i);
    bruit_time began = bruit_sim_now(w->sim);
    for (bruit_time passed = 0; passed < GIVE_UP && !br_tool_stopped(); passed += LOOK_EARLY) {
        struct worst worst = {0};
        bruit_sim_run(w->sim, LOOK_EARLY);
        look(w, &worst);
        if (is_within(&worst, 0.01))
            return (double)(bruit_sim_now(w->sim) - began) / BRUIT_SECOND;
    }
    return NAN;
}

static void keep_looking(struct world *w, struct result *result, struct br_line *lines[3])
{
    const struct options *o = w->options;
    double deaths = 0, changes = 0;
    bruit_time next = 0;
    for (bruit_time passed = 0; passed < o->time && !br_tool_stopped(); passed += BRUIT_SECOND) {
        live_a_second(w, &deaths, &changes);
        br_tool_progress("seconds of the world", (double)passed / (double)o->time);
        if (passed < next)
            continue;
        struct worst now = {0};
        look(w, &now);
        next = passed + o->every;
        raise_to(&result->worst.count, now.count);
        raise_to(&result->worst.mean, now.mean);
        raise_to(&result->worst.rank, now.rank);
        raise_to(&result->worst.value, now.value);
        result->worst.count_sum += now.count_sum;
        result->worst.mean_sum += now.mean_sum;
        result->worst.rank_sum += now.rank_sum;
        result->worst.answers += now.answers;
        result->worst.missing += now.missing;
        result->worst.age = now.age > result->worst.age ? now.age : result->worst.age;
        br_line_point(lines[0], (double)passed / BRUIT_SECOND, now.count);
        br_line_point(lines[1], (double)passed / BRUIT_SECOND, now.mean);
        br_line_point(lines[2], (double)passed / BRUIT_SECOND, now.rank);
    }
}

static int run(const struct options *options, enum bruit_aggregate_mode mode, struct br_report *report,
               struct result *result)
{
    struct world w;
    const char *name = mode == BRUIT_AGGREGATE_EXACT ? "exact" : "estimate";
    struct br_chart *chart = br_report_chart(report, name, name, "seconds", "worst error of those asked");
    struct br_line *lines[3] = {br_chart_line(chart, "count", BR_LINE_SOLID),
                                br_chart_line(chart, "mean", BR_LINE_SOLID),
                                br_chart_line(chart, "rank", BR_LINE_SOLID)};
    *result = (struct result){0};
    int status = open_world(&w, options, mode);
    if (status != 0) {
        close_world(&w);
        return status;
    }
    struct bruit_sim_stats before, after;
    struct bruit_aggregate_stats stats = {0};
    result->within = come_close(&w);
    bruit_sim_stats_get(w.sim, &before);
    uint64_t bytes = bytes_of_all(&w);
    bruit_time began = bruit_sim_now(w.sim);
    keep_looking(&w, result, lines);
    double seconds = (double)(bruit_sim_now(w.sim) - began) / BRUIT_SECOND;
    bruit_sim_stats_get(w.sim, &after);
    result->bytes = (double)(bytes_of_all(&w) - bytes) / seconds / w.nodes;
    result->bytes_all = (double)(after.bytes_sent - before.bytes_sent) / seconds / w.nodes;
    (void)bruit_aggregate_stats(bruit_sim_engine(w.sim, draw_running(&w)), &stats);
    result->memory = (double)stats.memory;
    close_world(&w);
    return 0;
}

/* ------------------------------------------------------------------ the answer */

static struct br_sheet *make_sheet(struct br_report *report)
{
    struct br_sheet *sheet = br_report_sheet(report, "answers", "How far off, in percent, and what it cost");
    br_sheet_column(sheet, "mode", "mode", -1);
    br_sheet_column(sheet, "within", "1 % after s", 1);
    br_sheet_column(sheet, "answers", "answers", 0);
    br_sheet_column(sheet, "missing", "none", 0);
    br_sheet_column(sheet, "count_mean", "count", 3);
    br_sheet_column(sheet, "count_worst", "worst", 2);
    br_sheet_column(sheet, "mean_mean", "mean", 3);
    br_sheet_column(sheet, "mean_worst", "worst", 2);
    br_sheet_column(sheet, "rank_mean", "rank", 3);
    br_sheet_column(sheet, "rank_worst", "worst", 2);
    br_sheet_column(sheet, "value_worst", "value", 2);
    br_sheet_column(sheet, "age", "age s", 1);
    br_sheet_column(sheet, "bytes", "B/s", 0);
    br_sheet_column(sheet, "bytes_all", "all B/s", 0);
    br_sheet_column(sheet, "memory", "held B", 0);
    return sheet;
}

static void add_row(struct br_sheet *sheet, const char *mode, const struct result *r)
{
    double answers = (double)r->worst.answers;
    br_sheet_text(sheet, "%s", mode);
    br_sheet_number(sheet, r->within);
    br_sheet_number(sheet, answers);
    br_sheet_number(sheet, (double)r->worst.missing);
    br_sheet_number(sheet, 100 * r->worst.count_sum / answers);
    br_sheet_number(sheet, 100 * r->worst.count);
    br_sheet_number(sheet, 100 * r->worst.mean_sum / answers);
    br_sheet_number(sheet, 100 * r->worst.mean);
    br_sheet_number(sheet, 100 * r->worst.rank_sum / answers);
    br_sheet_number(sheet, 100 * r->worst.rank);
    br_sheet_number(sheet, 100 * r->worst.value);
    br_sheet_number(sheet, (double)r->worst.age / BRUIT_SECOND);
    br_sheet_number(sheet, r->bytes);
    br_sheet_number(sheet, r->bytes_all);
    br_sheet_number(sheet, r->memory);
}

static void set_configuration(struct br_report *report, const struct options *o)
{
    br_report_set(report, "made by", "the engine of this version, with the aggregate module alone");
    br_report_set_number(report, "seed", (double)o->seed);
    br_report_set(report, "version", "%s", BRUIT_VERSION);
    br_report_set_number(report, "nodes", (double)o->nodes);
    br_report_set(report, "loss", "%g %%", 100 * o->loss);
    br_report_set(report, "churn", "%g %% a minute", 100 * o->churn);
    br_report_set(report, "changes", "%g %% a second", 100 * o->changes);
    br_report_set(report, "values", "%s", o->values);
    br_report_set(report, "time", "%g s", (double)o->time / BRUIT_SECOND);
    br_report_set(report, "asked", "%" PRIu64 " nodes every %g s", o->sample == 0 ? o->nodes : o->sample,
                  (double)o->every / BRUIT_SECOND);
}

static const char *check(const struct options *o)
{
    if (o->nodes < 2 || o->nodes > NODES_MAX)
        return "--nodes: 2 to 5k.";
    if (o->loss < 0 || o->loss > 1 || o->churn < 0 || o->churn > 1 || o->changes < 0 || o->changes > 1)
        return "--loss, --churn and --changes are parts: 0 to 1, or 0% to 100%.";
    if (o->shards < 1 || o->shards > BRUIT_SIM_SHARDS_MAX)
        return "--shards: 1 to 64.";
    if (o->every < BRUIT_SECOND || o->time < BRUIT_SECOND)
        return "--time and --every: a second or more.";
    if (strcmp(o->values, "uniform") != 0 && strcmp(o->values, "latency") != 0)
        return "--values: uniform or latency.";
    if (strcmp(o->mode, "exact") != 0 && strcmp(o->mode, "estimate") != 0 && strcmp(o->mode, "both") != 0)
        return "--mode: exact, estimate or both.";
    return NULL;
}

static int run_command(int argc, char **argv)
{
    struct options options = {.mode = "both",
                              .values = "uniform",
                              .nodes = 1000,
                              .seed = 1,
                              .sample = 50,
                              .shards = 1,
                              .loss = 0.02,
                              .churn = 0.01,
                              .time = 600 * BRUIT_SECOND,
                              .every = 5 * BRUIT_SECOND};
    int words = br_tool_parse(&usage, &options, argc, argv);
    if (words < 0)
        return words == -1 ? 0 : 1;
    if (words < argc)
        return br_tool_fail(COMMAND, "it takes flags alone; see \"bruit-sim aggregate --help\".");
    const char *wrong = check(&options);
    if (wrong != NULL)
        return br_tool_fail(COMMAND, "%s", wrong);
    struct br_report *report = br_report_new("aggregate", "How true aggregates are");
    set_configuration(report, &options);
    br_tool_catch_stop(NULL);
    br_tool_begin(report, &options.output);
    struct br_sheet *sheet = make_sheet(report);
    int code = 0;
    for (int mode = BRUIT_AGGREGATE_EXACT; mode <= BRUIT_AGGREGATE_ESTIMATE && code == 0; mode++) {
        const char *name = mode == BRUIT_AGGREGATE_EXACT ? "exact" : "estimate";
        struct result result;
        if (br_tool_stopped() || (strcmp(options.mode, "both") != 0 && strcmp(options.mode, name) != 0))
            continue;
        code = run(&options, (enum bruit_aggregate_mode)mode, report, &result);
        if (code == 0)
            add_row(sheet, name, &result);
    }
    br_tool_progress_end();
    if (code == 0) {
        br_report_note(report, "Errors are of all that were asked after all had come within 1 %%: the mean, and the "
                               "worst. Rank: how far an answer to the 10, 50, 90 and 99 %% quantile is from that rank "
                               "among the true numbers; value: how far from the true quantile, in percent of it.");
        br_report_note(report, "B/s are sent bytes a node and second: of the module, and of all datagrams with what "
                               "membership costs. Held: memory for values at one node.");
        code = br_tool_end(COMMAND, report, &options.output);
    }
    int stopped = br_tool_stopped() ? BR_TOOL_INTERRUPTED : 0;
    br_report_free(report);
    return code != 0 ? code : stopped;
}

const struct br_tool_command br_tool_aggregate = {
    .name = "aggregate",
    .synopsis = "How true aggregates are, and what they cost",
    .run = run_command,
};
