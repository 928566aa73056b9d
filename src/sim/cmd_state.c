/*
 * bruit-sim state: replicated state under faults, and what it costs.
 */
#include "sim/scenario_report.h"
#include "sim/state.h"
#include "sim/state_measure.h"
#include "sim/tool.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define COMMAND "bruit-sim state"
#define NODES_MAX 5000
#define KEYS_MAX 1000000
/* A run that takes this long will not end; one at full size takes a minute. */
#define SECONDS_MAX 1800

struct options {
    uint64_t seeds;
    uint64_t from;
    uint64_t nodes;
    uint64_t keys;
    uint64_t writes;
    double loss;
    uint64_t jobs;
    uint64_t minutes;
    uint64_t show;
    uint64_t trials;
    uint64_t changes;
    bruit_time away;
    bool keep_going;
    bool reach;
    struct br_tool_output output;
};

#define NONE UINT64_MAX

static const struct br_tool_flag flags[] = {
    {"What to run", BR_TOOL_SWITCH, 0, NULL, NULL},
    {"nodes", BR_TOOL_COUNT, offsetof(struct options, nodes), "N", "How many nodes. Default: 50."},
    {"keys", BR_TOOL_COUNT, offsetof(struct options, keys), "K", "How many keys. Default: 500."},
    {"writes", BR_TOOL_COUNT, offsetof(struct options, writes), "W",
     "Writes besides the first of each key. Default: as many as keys."},
    {"loss", BR_TOOL_PART, offsetof(struct options, loss), "PART", "Datagrams that get lost. Default: 1%."},
    {"seeds", BR_TOOL_SOME, offsetof(struct options, seeds), "N", "How many runs. Default: 100."},
    {"from", BR_TOOL_COUNT, offsetof(struct options, from), "SEED", "The first of them. Default: 1."},
    {"minutes", BR_TOOL_SOME, offsetof(struct options, minutes), "M",
     "End after this long, whatever is left."},
    {"jobs", BR_TOOL_SOME, offsetof(struct options, jobs), "J",
     "Processes at once. Default: one for each core."},
    {"keep-going", BR_TOOL_SWITCH, offsetof(struct options, keep_going), NULL,
     "Do not end at the first failure."},
    {"show", BR_TOOL_COUNT, offsetof(struct options, show), "SEED",
     "Run this seed alone, and print each write and each fault."},
    {"What it costs, instead", BR_TOOL_SWITCH, 0, NULL, NULL},
    {"reach", BR_TOOL_SWITCH, offsetof(struct options, reach), NULL,
     "How long until a write has reached all nodes, beside a user event."},
    {"trials", BR_TOOL_SOME, offsetof(struct options, trials), "T", "Of --reach. Default: 20."},
    {"away", BR_TOOL_TIME, offsetof(struct options, away), "TIME",
     "What a node that was away for this long is told when it comes back."},
    {"changes", BR_TOOL_COUNT, offsetof(struct options, changes), "C",
     "Keys written with 64 bytes meanwhile. Default: 100."},
    BR_TOOL_OUTPUT_FLAGS(struct options, output),
};

static const struct br_tool_usage usage = {
    .command = COMMAND,
    .synopsis = "[FLAGS]",
    .about =
        "  Each seed is a cluster whose nodes write, overwrite, delete and compare-and-set keys of the replicated\n"
        "  state while they crash, lose their disks, stand still and are cut off. Whenever all is quiet again, all\n"
        "  stores must be equal, no acknowledged write lost, nothing deleted back, and siblings exactly where\n"
        "  writes were concurrent. A seed that fails is explained, and --show tells its whole story.\n"
        "  Exit codes as of bruit-sim run.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .examples = "  bruit sim state --seeds 1000\n"
                "  bruit sim state --nodes 1k --keys 10k --seeds 5\n"
                "  bruit sim state --show 17 | grep key-4\n"
                "  bruit sim state --reach --nodes 1k\n"
                "  bruit sim state --away 1h --nodes 5 --keys 100k\n",
};

static void show_share(double share)
{
    br_tool_progress("measuring", share);
}

static void show_progress(double share, uint64_t done)
{
    char what[64];
    (void)snprintf(what, sizeof what, "%" PRIu64 " seeds", done);
    br_tool_progress(what, share);
}

static struct br_state_config config_of(const struct options *options, uint64_t seed)
{
    return (struct br_state_config){.seed = seed,
                                    .nodes = (uint32_t)options->nodes,
                                    .keys = (uint32_t)options->keys,
                                    .writes = (uint32_t)options->writes,
                                    .loss = (uint32_t)(options->loss * BRUIT_SIM_MILLION + 0.5),
                                    .is_stopped = br_tool_stopped};
}

static void judge(void *context, uint64_t seed, struct br_judgement *verdict)
{
    struct br_state_config config = config_of(context, seed);
    br_state_judge(&config, verdict);
}

/* ------------------------------------------------------------------ one seed, told */

static int show(const struct options *options)
{
    struct br_state_config config = config_of(options, options->show);
    struct br_judgement verdict;
    config.log = stdout;
    br_tool_catch_stop(NULL);
    br_state_judge(&config, &verdict);
    if (verdict.outcome == BR_OUTCOME_GOOD)
        (void)printf("All is well after %" PRIu64 " writes.\n", verdict.figures[BR_STATE_WRITES]);
    else
        (void)printf("Seed %" PRIu64 ": %s: %s.\n", config.seed, verdict.check, verdict.text);
    return (int)verdict.outcome;
}

/* ------------------------------------------------------------------ many */

static void set_head(struct br_report *report, const struct options *options)
{
    br_report_set_number(report, "nodes", (double)options->nodes);
    br_report_set_number(report, "keys", (double)options->keys);
    br_report_set(report, "loss", "%g %%", 100 * options->loss);
    br_report_set(report, "version", "%s", BRUIT_VERSION);
}

static void list_failures(struct br_report *report, const struct br_swarm_result *result,
                          const struct options *options)
{
    struct br_sheet *sheet = br_report_sheet(report, "failures", "Seeds that failed");
    br_sheet_column(sheet, "seed", "seed", 0);
    br_sheet_column(sheet, "check", "check", 0);
    br_sheet_column(sheet, "time", "time (s)", 3);
    br_sheet_column(sheet, "text", "what", 0);
    br_sheet_column(sheet, "reproduce", "its story", 0);
    for (uint32_t i = 0; i < result->failure_count; i++) {
        const struct br_swarm_failure *failure = &result->failures[i];
        const struct br_judgement *verdict = &failure->verdict;
        br_sheet_text(sheet, "%" PRIu64, failure->seed);
        br_sheet_text(sheet, "%s", verdict->check[0] != 0 ? verdict->check : br_outcome_name(verdict->outcome));
        br_sheet_number(sheet, (double)verdict->time / 1e9);
        br_sheet_text(sheet, "%s", verdict->text);
        br_sheet_text(sheet, "bruit-sim state --nodes %" PRIu64 " --keys %" PRIu64 " --writes %" PRIu64
                             " --loss %g --show %" PRIu64,
                      options->nodes, options->keys, options->writes, options->loss, failure->seed);
    }
}

static void list_figures(struct br_report *report, const uint64_t figures[BR_FIGURES_MAX])
{
    static const struct {
        enum br_state_figure figure;
        const char *name;
        const char *text;
    } rows[] = {
        {BR_STATE_WRITES, "writes", "writes"},
        {BR_STATE_DELETES, "deletes", "of these deletes"},
        {BR_STATE_CONCURRENT, "concurrent", "of these over a part of what was there"},
        {BR_STATE_MORTAL, "mortal", "of these with a lifetime"},
        {BR_STATE_COMPARES, "compares", "compare-and-set refused, as it had to be"},
        {BR_STATE_ACKED, "acknowledged", "acknowledged"},
        {BR_STATE_HELD, "held", "of these as held by two to four"},
        {BR_STATE_SIBLINGS, "siblings", "keys with siblings when all was quiet"},
        {BR_STATE_EXCUSED, "excused", "writes nobody had promised to keep, and nobody did"},
        {BR_STATE_HALF, "half", "writes nobody had promised to keep, kept beside what they had replaced"},
        {BR_STATE_FLEETING, "fleeting", "times a value was shown beside one that had replaced it"},
        {BR_STATE_CRASHES, "crashes", "crashes"},
        {BR_STATE_LOST_DISKS, "lost_disks", "of these with the disk lost"},
        {BR_STATE_PARTITIONS, "partitions", "partitions"},
        {BR_STATE_OTHER_FAULTS, "other_faults", "pauses, failing disks, wrong clocks, lossy ways"},
    };
    struct br_sheet *sheet = br_report_sheet(report, "happened", "What happened, all runs together");
    br_sheet_column(sheet, "what", "what", 0);
    br_sheet_column(sheet, "count", "count", 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        br_sheet_text(sheet, "%s", rows[i].text);
        br_sheet_number(sheet, (double)figures[rows[i].figure]);
    }
}

static int run_seeds(struct options *options)
{
    struct br_swarm_options wanted = {.first = options->from,
                                      .count = options->seeds,
                                      .jobs = (uint32_t)options->jobs,
                                      .most = options->minutes * 60 * BRUIT_SECOND,
                                      .keep_going = options->keep_going,
                                      .judge = judge,
                                      .context = options,
                                      .seconds_max = SECONDS_MAX,
                                      .is_stopped = br_tool_stopped,
                                      .on_progress = show_progress};
    static struct br_swarm_result result;
    struct br_report *report = br_report_new("state", "Replicated state under faults");
    set_head(report, options);
    br_report_set_number(report, "writes", (double)options->writes);
    br_report_set(report, "from seed", "%" PRIu64, options->from);
    br_report_set_number(report, "seeds", (double)options->seeds);
    br_report_set_number(report, "jobs", (double)options->jobs);
    br_tool_begin(report, &options->output);
    br_tool_catch_stop(NULL);
    if (br_swarm(&wanted, &result) != 0) {
        br_report_free(report);
        (void)br_tool_fail(COMMAND, "no process could be started.");
        return BR_OUTCOME_REFUSED;
    }
    br_tool_progress_end();
    list_figures(report, result.figures);
    if (result.failure_count > 0)
        list_failures(report, &result, options);
    if (result.figures[BR_STATE_EPOCHS] > 0)
        br_report_note(report, "From the end of the faults to equal stores: %.1f s in the mean.",
                       (double)result.figures[BR_STATE_QUIET_MS] / 1000 /
                           (double)result.figures[BR_STATE_EPOCHS]);
    if (!result.is_whole)
        br_report_note(report, "Ended early: %" PRIu64 " seeds were not run.", options->seeds - result.done);
    br_report_note(report, "%" PRIu64 " seeds, %" PRIu64 " writes, %" PRIu64 " engine events, %" PRIu64 " failed.",
                   result.done, result.figures[BR_STATE_WRITES], result.events, result.failed);
    int code = br_tool_end(COMMAND, report, &options->output);
    br_report_free(report);
    if (result.failure_count > 0)
        return (int)result.failures[0].verdict.outcome;
    return br_tool_stopped() ? BR_TOOL_INTERRUPTED : code;
}

/* ------------------------------------------------------------------ what it costs */

static struct br_measure_config measure_of(const struct options *options)
{
    return (struct br_measure_config){.seed = options->from,
                                      .nodes = (uint32_t)options->nodes,
                                      .loss = (uint32_t)(options->loss * BRUIT_SIM_MILLION + 0.5),
                                      .trials = (uint32_t)options->trials,
                                      .keys = (uint32_t)options->keys,
                                      .changes = (uint32_t)options->changes,
                                      .away = options->away,
                                      .on_progress = show_share};
}

static void add_row(struct br_sheet *sheet, const char *what, const struct br_reach_row *row)
{
    br_sheet_text(sheet, "%s", what);
    br_sheet_number(sheet, row->half);
    br_sheet_number(sheet, row->most);
    br_sheet_number(sheet, row->median);
    br_sheet_number(sheet, row->worst);
}

static int measure_reach(const struct options *options)
{
    static struct br_reach reach;
    struct br_measure_config config = measure_of(options);
    char why[200] = "";
    struct br_report *report = br_report_new("reach", "How long until a write has reached all nodes");
    set_head(report, options);
    br_report_set_number(report, "trials", (double)options->trials);
    br_tool_begin(report, &options->output);
    struct br_sheet *sheet = br_report_sheet(report, "reach", "What it took, in milliseconds");
    br_sheet_column(sheet, "what", "what", 0);
    br_sheet_column(sheet, "half", "half", 1);
    br_sheet_column(sheet, "most", "99 %", 1);
    br_sheet_column(sheet, "median", "all, median", 1);
    br_sheet_column(sheet, "worst", "all, worst", 1);
    int status = 0;
    for (int has_disk = 0; has_disk < 2 && status == 0; has_disk++) {
        config.has_disk = has_disk == 1;
        status = br_measure_reach(&config, &reach, why, sizeof why);
        if (status == 0)
            add_row(sheet, has_disk == 1 ? "a write, on a disk first" : "a write", &reach.write);
        if (status == 0 && has_disk == 0)
            add_row(sheet, "a user event", &reach.event);
    }
    int code = status == 0 ? br_tool_end(COMMAND, report, &options->output) : br_tool_fail(COMMAND, "%s.", why);
    br_report_free(report);
    return code;
}

static int measure_away(const struct options *options)
{
    struct br_away away;
    struct br_measure_config config = measure_of(options);
    char why[200] = "";
    struct br_report *report = br_report_new("away", "What a node is told that was away");
    set_head(report, options);
    br_report_set_number(report, "changes", (double)options->changes);
    br_report_set(report, "away", "%g s", (double)options->away / 1e9);
    br_tool_begin(report, &options->output);
    if (br_measure_away(&config, &away, why, sizeof why) != 0) {
        br_tool_progress_end();
        br_report_free(report);
        return br_tool_fail(COMMAND, "%s.", why);
    }
    struct br_sheet *sheet = br_report_sheet(report, "away", "From its return to equal stores");
    br_sheet_column(sheet, "keys", "keys", 0);
    br_sheet_column(sheet, "bytes_in", "bytes in", 0);
    br_sheet_column(sheet, "bytes_out", "bytes out", 0);
    br_sheet_column(sheet, "bytes", "together", 0);
    br_sheet_column(sheet, "seconds", "seconds", 1);
    br_sheet_number(sheet, (double)away.keys);
    br_sheet_number(sheet, (double)away.bytes_in);
    br_sheet_number(sheet, (double)away.bytes_out);
    br_sheet_number(sheet, (double)(away.bytes_in + away.bytes_out));
    br_sheet_number(sheet, away.seconds);
    int code = br_tool_end(COMMAND, report, &options->output);
    br_report_free(report);
    return code;
}

/* ------------------------------------------------------------------ the command */

/* A sentence, or NULL. */
static const char *check(const struct options *options)
{
    if (options->nodes < 3 || options->nodes > NODES_MAX)
        return "it takes 3 to 5000 nodes: give --nodes that.";
    if (options->keys < 1 || options->keys > KEYS_MAX)
        return "it takes 1 to a million keys: give --keys that.";
    if (options->writes > 100 * (uint64_t)KEYS_MAX)
        return "--writes is at most 100 million.";
    if (!(options->loss >= 0 && options->loss < 1))
        return "--loss is the part of the datagrams that is lost: give it 0 or more, and less than 1 (100%).";
    if (options->seeds == 0 || options->jobs == 0)
        return "it needs a seed and a job at least: --seeds 1 --jobs 1.";
    if (options->trials < 1 || options->trials > BR_MEASURE_TRIALS_MAX)
        return "--trials is 1 to 1000.";
    if (options->away != 0 && options->changes > options->keys)
        return "--changes is at most the number of keys.";
    return NULL;
}

static int run_command(int argc, char **argv)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct options options = {.seeds = 100,
                              .from = 1,
                              .nodes = 50,
                              .keys = 500,
                              .writes = NONE,
                              .loss = 0.01,
                              .jobs = cores > 0 ? (uint64_t)cores : 1,
                              .show = NONE,
                              .trials = 20,
                              .changes = 100};
    int words = br_tool_parse(&usage, &options, argc, argv);
    if (words < 0)
        return words == -1 ? 0 : BR_OUTCOME_REFUSED;
    if (options.writes == NONE)
        options.writes = options.keys;
    const char *wrong = check(&options);
    if (argc > words || wrong != NULL) {
        (void)br_tool_fail(COMMAND, argc > words ? "it takes flags alone: \"%s\" is none." : "%s",
                           argc > words ? argv[words] : wrong);
        return BR_OUTCOME_REFUSED;
    }
    if (options.reach)
        return measure_reach(&options);
    if (options.away != 0)
        return measure_away(&options);
    return options.show != NONE ? show(&options) : run_seeds(&options);
}

const struct br_tool_command br_tool_state = {
    .name = "state",
    .synopsis = "Put replicated state through faults and check that nothing is lost",
    .run = run_command,
};
