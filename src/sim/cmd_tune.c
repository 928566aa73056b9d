/*
 * bruit-sim tune: goals in, a configuration out, with the evidence; or which goals fight (tune.h).
 *
 * The search begins with the LAN profile, and goes on with its multiplier of suspicions: where that costs too much, to
 * smaller ones, which let a slower probe be soon enough; where too many would be declared dead, to larger ones.
 */
#include "sim/machine.h"
#include "sim/tool.h"
#include "sim/tune.h"

#include <bruit/error.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND "bruit-sim tune"
#define MULT_FIRST 4u
#define TRIES_MAX 10
#define SENTENCE 400

struct options {
    uint64_t nodes, seed, threads;
    struct br_tune_goals goals;
    const char *false_deaths, *bandwidth;
    struct br_tool_output output;
};

#define AT(member) offsetof(struct options, member)

static const struct br_tool_flag flags[] = {
    {"Goals", BR_TOOL_SWITCH, 0, NULL, NULL},
    {"detect-within", BR_TOOL_TIME, AT(goals.within), "T", "Everybody knows of a crash after this. A must."},
    {"sure", BR_TOOL_PART, AT(goals.sure), "P", "In this part of the crashes, 50% to 99%. Default: 95%."},
    {"false-deaths", BR_TOOL_TEXT, AT(false_deaths), "N/UNIT",
     "So many nodes of the whole cluster may be declared dead without being so in an hour, day, week, month or "
     "year: 1/month. Default: any number."},
    {"bandwidth", BR_TOOL_TEXT, AT(bandwidth), "B",
     "What a node may send in a second, IP and UDP headers included: 2kB/s, 500B/s, 16kbit/s. Default: any."},
    {"Conditions", BR_TOOL_SWITCH, 0, NULL, NULL},
    {"nodes", BR_TOOL_COUNT, AT(nodes), "N", "How many nodes, 5 to 10k. Default: 100."},
    {"loss", BR_TOOL_PART, AT(goals.loss), "P", "The part of the datagrams that is lost. Default: 0."},
    {"latency", BR_TOOL_TIME, AT(goals.latency), "T",
     "The least time a packet takes; some take twice as long. Default: 500us."},
    {"How it is run", BR_TOOL_SWITCH, 0, NULL, NULL},
    {"seed", BR_TOOL_COUNT, AT(seed), "S", "The same seed gives the same answer. Default: 1."},
    {"threads", BR_TOOL_COUNT, AT(threads), "N",
     "Processors to use. Never changes the answer. Default: all."},
    BR_TOOL_OUTPUT_FLAGS(struct options, output),
};

static const struct br_tool_usage usage = {
    .command = COMMAND,
    .synopsis = "--detect-within T [FLAGS]",
    .about =
        "  You say how soon a crash must be known, how many false deaths you can bear and what it may cost;\n"
        "  a formula proposes a configuration, simulated clusters try it. The answer is a configuration with\n"
        "  the evidence, or the goal that cannot be had, and which other it fights with.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .examples =
        "  bruit sim tune --detect-within 4s --false-deaths 1/month --loss 2% --bandwidth 2kB/s --nodes 3000\n"
        "  bruit sim tune --detect-within 20s --nodes 1000          is the default good enough?\n"
        "  bruit sim tune --detect-within 1s --bandwidth 1kB/s      what is too much to ask?\n",
};

/* ------------------------------------------------------------------ the goals */

/* A number with a unit of a list; false when it is none. */
struct unit {
    const char *name;
    double factor;
};

static bool read_with_unit(const char *text, const struct unit *units, size_t count, double *value)
{
    char *end;
    if (strchr("0123456789.", text[0]) == NULL || text[0] == 0 || strpbrk(text, "xX") != NULL)
        return false;
    *value = strtod(text, &end);
    for (size_t i = 0; i < count && isfinite(*value); i++)
        if (strcmp(end, units[i].name) == 0) {
            *value *= units[i].factor;
            return true;
        }
    return false;
}

static const struct unit rates[] = {{"/hour", BR_DETECT_MONTH},
                                    {"/day", BR_DETECT_MONTH / 24},
                                    {"/week", BR_DETECT_MONTH / 24 / 7},
                                    {"/month", 1},
                                    {"/year", 1.0 / 12}};
static const struct unit widths[] = {{"B/s", 1},          {"kB/s", 1e3},       {"MB/s", 1e6}, {"KiB/s", 1024},
                                     {"kbit/s", 1e3 / 8}, {"Mbit/s", 1e6 / 8}, {"B", 1},      {"kB", 1e3},
                                     {"MB", 1e6},         {"bit/s", 1.0 / 8},  {"", 1}};

/* 0, or the exit code after a sentence. */
static int take_goals(struct options *options)
{
    struct br_tune_goals *goals = &options->goals;
    goals->nodes = options->nodes > UINT32_MAX ? UINT32_MAX : (uint32_t)options->nodes;
    goals->false_deaths = goals->bandwidth = INFINITY;
    if (goals->within == 0)
        return br_tool_fail(COMMAND, "say how soon a crash must be known: --detect-within 4s.");
    if (options->false_deaths != NULL &&
        !read_with_unit(options->false_deaths, rates, sizeof rates / sizeof rates[0], &goals->false_deaths))
        return br_tool_fail(COMMAND,
                            "--false-deaths cannot be \"%s\": give it a rate, such as 1/month or 3/week.",
                            options->false_deaths);
    if (options->bandwidth != NULL &&
        !read_with_unit(options->bandwidth, widths, sizeof widths / sizeof widths[0], &goals->bandwidth))
        return br_tool_fail(COMMAND,
                            "--bandwidth cannot be \"%s\": give it bytes, such as 2kB/s or 16kbit/s.",
                            options->bandwidth);
    const char *wrong = br_tune_check(goals);
    return wrong == NULL ? 0 : br_tool_fail(COMMAND, "%s", wrong);
}

static double seconds(bruit_time time)
{
    return (double)time / (double)BRUIT_SECOND;
}

static void set_goals(struct br_report *report, const struct options *options)
{
    const struct br_tune_goals *goals = &options->goals;
    br_report_set(report, "version", "%s", BRUIT_VERSION);
    br_report_set_number(report, "seed", (double)options->seed);
    br_report_set_number(report, "nodes", goals->nodes);
    br_report_set(report, "a crash is known to all", "within %g s, in %g %% of the crashes",
                  seconds(goals->within), 100 * goals->sure);
    if (isfinite(goals->false_deaths))
        br_report_set(report, "false deaths", "at most %.3g a month in the cluster", goals->false_deaths);
    else
        br_report_set(report, "false deaths", "any");
    if (isfinite(goals->bandwidth))
        br_report_set(report, "bandwidth", "at most %g bytes a second and node", goals->bandwidth);
    else
        br_report_set(report, "bandwidth", "any");
    br_report_set(report, "network", "%g to %g ms one way, loss %g %%", 1e3 * seconds(goals->latency),
                  2e3 * seconds(goals->latency), 100 * goals->loss);
}

/* ------------------------------------------------------------------ the search */

struct search {
    const struct options *options;
    uint64_t memory_max;
    struct bruit_config engine;
    struct br_tune_evidence evidence;
    uint32_t mult;
    double hurry;
    unsigned tries;
    bool is_profile;
    bool was_dear;     /* a larger multiplier costs too much */
    bool was_false;    /* a smaller one kills too many: */
    double false_most; /* so many a month */
    char conflict[SENTENCE];
    char why[256];
};

static bool watch_search(void *context, const char *what, double share)
{
    const struct search *search = context;
    char text[64];
    (void)snprintf(text, sizeof text, "try %u: %s", search->tries, what);
    br_tool_progress(text, share);
    return !br_tool_stopped();
}

/* The goals with the time, or the bandwidth, raised until the formula has no objection. */
static double possible_time(const struct br_tune_goals *goals, uint32_t mult)
{
    struct br_tune_goals easier = *goals;
    struct bruit_config engine;
    for (int i = 0; i < 1000 && br_tune_propose(&easier, mult, 1, &engine) != BR_TUNE_FITS; i++)
        easier.within += easier.within / 50 + 1;
    return seconds(easier.within);
}

static double possible_bandwidth(const struct br_tune_goals *goals, uint32_t mult)
{
    struct br_tune_goals easier = *goals;
    struct bruit_config engine;
    for (int i = 0; i < 1000 && br_tune_propose(&easier, mult, 1, &engine) != BR_TUNE_FITS; i++)
        easier.bandwidth *= 1.02;
    return easier.bandwidth;
}

/* The formula objects even to the least multiplier. */
static void explain_limit(struct search *search, enum br_tune_limit limit)
{
    const struct br_tune_goals *goals = &search->options->goals;
    double interval = seconds(search->engine.probe_interval);
    double time = possible_time(goals, search->mult) * 1.05;
    char or_later[64] = "";
    if (time <= seconds(BR_TUNE_WITHIN_MAX))
        (void)snprintf(or_later, sizeof or_later, ", or --detect-within %.2gs", time);
    if (limit == BR_TUNE_LATENCY)
        (void)snprintf(
            search->conflict, SENTENCE,
            "--detect-within %gs fights with the network: it takes a probe every %.3g s, and within half "
            "of that an ack cannot be back for sure when packets take %g to %g ms. Allow "
            "--detect-within %.2gs.",
            seconds(goals->within), interval, 1e3 * seconds(goals->latency), 2e3 * seconds(goals->latency),
            time);
    else
        (void)snprintf(
            search->conflict, SENTENCE,
            "--detect-within %gs fights with --bandwidth: it takes a probe every %.3g s, and so %.0f bytes "
            "a second of the %g allowed before there is any news to tell. Allow --bandwidth %.0fB/s%s.",
            seconds(goals->within), interval, br_tune_estimate(goals, &search->engine).bandwidth,
            goals->bandwidth, possible_bandwidth(goals, search->mult) * 1.05, or_later);
}

/* The formula was content with the least multiplier, the clusters were not. */
static void explain_dear(struct search *search)
{
    const struct br_tune_goals *goals = &search->options->goals;
    const struct br_tune_evidence *e = &search->evidence;
    (void)snprintf(
        search->conflict, SENTENCE,
        "--bandwidth fights with --loss: probes alone would cost %.0f bytes a second, but at a loss of %g %% "
        "%u nodes accuse each other so often that the news of it makes them %.0f, of the %g allowed. Mend "
        "the loss, or allow --bandwidth %.0fB/s.",
        br_tune_estimate(goals, &search->engine).bandwidth, 100 * goals->loss, (unsigned)e->many_nodes,
        e->bandwidth, goals->bandwidth, e->bandwidth * 1.05);
}

static void explain_false(struct search *search)
{
    const struct br_tune_goals *goals = &search->options->goals;
    bool fights_bandwidth = search->was_dear && isfinite(goals->bandwidth);
    (void)snprintf(
        search->conflict, SENTENCE,
        "--false-deaths fights with --%s: at a loss of %g %% up to %.3g a month must be expected with the "
        "longest suspicions that %s allows; %.3g are asked for. Allow more of either, or mend the loss.",
        fights_bandwidth ? "bandwidth" : "detect-within", 100 * goals->loss, search->evidence.monthly_most,
        fights_bandwidth ? "the bandwidth" : "the time", goals->false_deaths);
}

static void explain_slow(struct search *search)
{
    const struct br_tune_goals *goals = &search->options->goals;
    (void)snprintf(
        search->conflict, SENTENCE,
        "--detect-within %gs fights with --loss or --latency: simulated clusters need %.3g s, however fast "
        "they probe. Allow that.",
        seconds(goals->within), search->evidence.few_sure);
}

/* Steps to the next multiplier: false when there is none, and the conflict has been explained. */
static bool go_down(struct search *search, enum br_tune_limit limit)
{
    uint32_t least = search->was_false ? MULT_FIRST + 1 : BR_TUNE_MULT_MIN;
    search->was_dear = true;
    search->hurry = 1;
    if (search->mult > least) {
        search->mult--;
        return true;
    }
    if (search->was_false)
        explain_false(search);
    else if (limit == BR_TUNE_TOO_DEAR)
        explain_dear(search);
    else
        explain_limit(search, limit);
    return false;
}

/* At once to the largest: each try of rare deaths takes its time. */
static bool go_up(struct search *search)
{
    search->was_false = true;
    search->false_most = search->evidence.monthly_most;
    search->hurry = 1;
    if (search->was_dear || search->mult == BR_TUNE_MULT_MAX) {
        explain_false(search);
        return false;
    }
    search->mult = BR_TUNE_MULT_MAX;
    return true;
}

/* What to try next after what was found; false: there is nothing. */
static bool step(struct search *search)
{
    double within = seconds(search->options->goals.within);
    if (search->is_profile) {
        search->is_profile = false;
        return true;
    }
    switch (search->evidence.limit) {
    case BR_TUNE_FITS: return false;
    case BR_TUNE_BANDWIDTH:
    case BR_TUNE_LATENCY:
    case BR_TUNE_TOO_DEAR: return go_down(search, search->evidence.limit);
    case BR_TUNE_TOO_FALSE: return go_up(search);
    case BR_TUNE_TOO_SLOW: break;
    }
    double late = search->evidence.few_sure / within;
    search->hurry *= isfinite(late) && late > 1 ? late * 1.05 : 1.07;
    if (search->hurry < 3)
        return true;
    explain_slow(search);
    return false;
}

/* The next configuration: false when the formula already objects, and the evidence says so. */
static bool propose(struct search *search)
{
    const struct br_tune_goals *goals = &search->options->goals;
    search->evidence = (struct br_tune_evidence){.power = NAN, .monthly_most = NAN};
    if (search->is_profile) {
        bruit_config_lan(&search->engine);
        search->engine.compression = false;
        struct br_tune_guess guess = br_tune_estimate(goals, &search->engine);
        return guess.seconds <= seconds(goals->within) && guess.bandwidth <= goals->bandwidth &&
               search->engine.probe_timeout > 6 * goals->latency;
    }
    search->evidence.limit = br_tune_propose(goals, search->mult, search->hurry, &search->engine);
    return search->evidence.limit == BR_TUNE_FITS;
}

/* 0, whether found or not; else as br_tune_try(). */
static int look_for_it(struct search *search)
{
    const struct options *options = search->options;
    search->evidence.limit = BR_TUNE_TOO_SLOW;
    do {
        if (propose(search)) {
            search->tries++;
            int status = br_tune_try(&options->goals, &search->engine, options->seed,
                                     (uint32_t)options->threads, search->memory_max, watch_search, search,
                                     &search->evidence, search->why, sizeof search->why);
            if (status != 0)
                return status;
            if (search->evidence.limit == BR_TUNE_FITS)
                return 0;
        }
    } while (search->tries < TRIES_MAX && step(search));
    if (search->conflict[0] == 0)
        (void)snprintf(
            search->conflict, SENTENCE,
            "%u configurations were tried and none met all goals; the last one failed %s. Relax one goal.",
            search->tries,
            search->evidence.limit == BR_TUNE_TOO_SLOW   ? "--detect-within"
            : search->evidence.limit == BR_TUNE_TOO_DEAR ? "--bandwidth"
                                                         : "--false-deaths");
    return 0;
}

/* ------------------------------------------------------------------ the answer */

static void put_time(struct br_sheet *sheet, bruit_time time)
{
    bool is_short = time < BRUIT_SECOND;
    br_sheet_text(sheet, "%g%s", is_short ? 1e3 * seconds(time) : seconds(time), is_short ? "ms" : "s");
}

static void add_time(struct br_sheet *sheet, const char *name, bruit_time time, bruit_time usual)
{
    br_sheet_text(sheet, "%s", name);
    put_time(sheet, time);
    put_time(sheet, usual);
}

static void add_count(struct br_sheet *sheet, const char *name, uint32_t count, uint32_t usual)
{
    br_sheet_text(sheet, "%s", name);
    br_sheet_text(sheet, "%u", (unsigned)count);
    br_sheet_text(sheet, "%u", (unsigned)usual);
}

static void show_configuration(struct br_report *report, const struct bruit_config *engine, bool is_found)
{
    struct bruit_config usual;
    bruit_config_lan(&usual);
    struct br_sheet *sheet =
        br_report_sheet(report, "configuration",
                        is_found ? "The configuration: struct bruit_config"
                                 : "The last configuration that was tried, which does not do");
    br_sheet_column(sheet, "field", "field", -1);
    br_sheet_column(sheet, "value", "value", -1);
    br_sheet_column(sheet, "lan", "LAN profile", -1);
    add_time(sheet, "probe_interval", engine->probe_interval, usual.probe_interval);
    add_time(sheet, "probe_timeout", engine->probe_timeout, usual.probe_timeout);
    add_count(sheet, "suspicion_mult", engine->suspicion_mult, usual.suspicion_mult);
    add_count(sheet, "suspicion_max_mult", engine->suspicion_max_mult, usual.suspicion_max_mult);
    add_count(sheet, "indirect_checks", engine->indirect_checks, usual.indirect_checks);
    add_time(sheet, "gossip_interval", engine->gossip_interval, usual.gossip_interval);
    add_count(sheet, "gossip_nodes", engine->gossip_nodes, usual.gossip_nodes);
    add_count(sheet, "retransmit_mult", engine->retransmit_mult, usual.retransmit_mult);
    add_time(sheet, "push_pull_interval", engine->push_pull_interval, usual.push_pull_interval);
    add_time(sheet, "early_sync_delay", engine->early_sync_delay, usual.early_sync_delay);
}

static void show_evidence(struct br_report *report, const struct br_tune_goals *goals,
                          const struct br_tune_evidence *e)
{
    struct br_sheet *sheet = br_report_sheet(report, "evidence", "What the simulated clusters did");
    br_sheet_column(sheet, "goal", "goal", -1);
    br_sheet_column(sheet, "asked", "asked", -1);
    br_sheet_column(sheet, "found", "found", -1);
    br_sheet_column(sheet, "proof", "proof", -1);
    br_sheet_text(sheet, "known to all within");
    br_sheet_text(sheet, "%g s in %g %%", seconds(goals->within), 100 * goals->sure);
    br_sheet_text(sheet, "%.3g s", e->few_sure);
    br_sheet_text(sheet, "%u of %u crashes in time: %.1f %% at least", (unsigned)e->few_in_time,
                  (unsigned)e->few_crashes, 100 * e->least_part);
    if (e->many_crashes > 0) {
        br_sheet_text(sheet, "bandwidth");
        if (isfinite(goals->bandwidth))
            br_sheet_text(sheet, "%g B/s", goals->bandwidth);
        else
            br_sheet_text(sheet, "any");
        br_sheet_text(sheet, "%.0f B/s", e->bandwidth);
        br_sheet_text(sheet, "%.1f packets/s, %.0f B/s, exchanges %.0f B/s", e->packets, e->bytes,
                      e->stream_bytes);
    }
    if (e->direct.node_hours > 0) {
        br_sheet_text(sheet, "false deaths a month");
        br_sheet_text(sheet, "%.3g", goals->false_deaths);
        if (goals->loss > 0)
            br_sheet_text(sheet, "%.2g at most", e->monthly_most);
        else
            br_sheet_text(sheet, "%s", e->direct.deaths == 0 ? "none without loss" : "some without loss");
        br_sheet_text(sheet, "%u in %.0f node hours", (unsigned)e->direct.deaths, e->direct.node_hours);
    }
}

static void show_false_deaths(struct br_report *report, const struct br_tune_goals *goals,
                              const struct br_tune_evidence *e)
{
    if (e->level_count == 0)
        return;
    struct br_sheet *sheet =
        br_report_sheet(report, "accelerated", "False deaths at losses where they can be counted");
    br_sheet_column(sheet, "loss", "loss", -1);
    br_sheet_column(sheet, "node_hours", "node hours", 1);
    br_sheet_column(sheet, "deaths", "deaths", 0);
    br_sheet_column(sheet, "monthly", "a month", -1);
    struct br_chart *chart = br_report_chart(report, "false_deaths", "False deaths a month in the cluster",
                                             "loss", "log10 of deaths a month");
    struct br_line *line = br_chart_line(chart, "counted", BR_LINE_SOLID);
    for (uint32_t i = 0; i < e->level_count; i++) {
        const struct br_tune_level *level = &e->levels[i];
        br_sheet_number(sheet, level->loss);
        br_sheet_number(sheet, level->node_hours);
        br_sheet_number(sheet, (double)level->deaths);
        br_sheet_text(sheet, "%.3g",
                      br_detect_monthly((double)level->deaths, level->node_hours) * goals->nodes);
    }
    for (uint32_t i = e->level_count; i-- > 0;)
        if (e->levels[i].deaths > 0)
            br_line_point(line, e->levels[i].loss,
                          log10(br_detect_monthly((double)e->levels[i].deaths, e->levels[i].node_hours) *
                                goals->nodes));
    if (isfinite(e->power))
        br_report_note(
            report,
            "False deaths fall with power %.1f of the loss; continued to %g %%, and as if each of %u "
            "observers erred on its own, that is the bound above. Measured among %u nodes that suspect no "
            "longer than %u would and tell news as often.",
            e->power, 100 * goals->loss, (unsigned)goals->nodes, (unsigned)e->false_nodes,
            (unsigned)goals->nodes);
}

static void show_notes(struct br_report *report, const struct search *search)
{
    const struct br_tune_goals *goals = &search->options->goals;
    const struct br_tune_evidence *e = &search->evidence;
    if (e->few_crashes > 0)
        br_report_note(
            report,
            "Crashes: among %u nodes, each time taken as %.2f s longer, which is how much longer a suspicion "
            "lasts among %u (docs/wire/memberlist.md 7.7); \"at least\": with 95 %% confidence.",
            (unsigned)e->few_nodes, e->shift, (unsigned)goals->nodes);
    if (e->many_crashes > 0)
        br_report_note(
            report, "Traffic, and %u of %u crashes in time, the slowest after %.2f s: among %u nodes%s.",
            (unsigned)e->many_in_time, (unsigned)e->many_crashes, e->many_most, (unsigned)e->many_nodes,
            e->many_nodes < goals->nodes
                ? ", fewer than asked for: news and exchanges are taken as so many times more"
                : "");
    if (e->limit == BR_TUNE_FITS && search->is_profile)
        br_report_note(report, "This is what \"bruit agent -profile lan\" does: nothing to change.");
    else if (e->limit == BR_TUNE_FITS)
        br_report_note(
            report,
            "Agents know the profiles lan, wan and local only; these are fields of struct bruit_config for "
            "who embeds the engine, and lines of a scenario (\"bruit sim run\"). All members need the same.");
}

static void show(struct br_report *report, const struct search *search)
{
    const struct br_tune_evidence *e = &search->evidence;
    show_configuration(report, &search->engine, e->limit == BR_TUNE_FITS);
    if (e->few_crashes > 0)
        show_evidence(report, &search->options->goals, e);
    show_false_deaths(report, &search->options->goals, e);
    show_notes(report, search);
    if (e->limit != BR_TUNE_FITS)
        br_report_note(report, "These goals cannot be had together. %s", search->conflict);
}

static int answer(const struct options *options, struct br_report *report)
{
    static struct search search;
    search = (struct search){.options = options, .mult = MULT_FIRST, .hurry = 1, .is_profile = true};
    search.memory_max = br_machine_memory();
    int status = look_for_it(&search);
    br_tool_progress_end();
    if (status != 0 && status != BRUIT_ECLOSED)
        return br_tool_fail(COMMAND, "%s", search.why);
    if (status == BRUIT_ECLOSED)
        br_report_note(report, "Ended early: this configuration was being tried, and is not proven.");
    if (status == BRUIT_ECLOSED && search.evidence.limit == BR_TUNE_FITS)
        search.is_profile = false;
    show(report, &search);
    int code = br_tool_end(COMMAND, report, &options->output);
    if (code == 0 && search.evidence.limit != BR_TUNE_FITS)
        return br_tool_fail(COMMAND, "%s", search.conflict);
    return code;
}

static int run(int argc, char **argv)
{
    struct options options = {.nodes = 100, .seed = 1, .threads = br_machine_processors()};
    options.goals = (struct br_tune_goals){.sure = 0.95, .latency = BRUIT_MILLISECOND / 2};
    int used = br_tool_parse(&usage, &options, argc, argv);
    if (used < 0)
        return used == -1 ? 0 : 1;
    if (used < argc)
        return br_tool_fail(COMMAND, "\"%s\" is no flag, and this command takes nothing else: see --help.",
                            argv[used]);
    if (options.output.json && options.output.csv)
        return br_tool_fail(COMMAND, "--json and --csv both want stdout: choose one.");
    if (options.threads < 1 || options.threads > BR_DETECT_THREADS_MAX)
        return br_tool_fail(COMMAND, "--threads is 1 to %u.", BR_DETECT_THREADS_MAX);
    int code = take_goals(&options);
    if (code != 0)
        return code;
    struct br_report *report = br_report_new("tune", "A configuration for these goals");
    set_goals(report, &options);
    br_tool_catch_stop(NULL);
    br_tool_begin(report, &options.output);
    code = answer(&options, report);
    br_report_free(report);
    return code;
}

const struct br_tool_command br_tool_tune = {
    .name = "tune",
    .synopsis = "Goals in, a configuration out, proven by simulation; or which goals fight",
    .run = run,
};
