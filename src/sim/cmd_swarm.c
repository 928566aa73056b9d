/*
 * bruit-sim swarm: thousands of drawn scenarios, and what must hold in all of them.
 */
#include "sim/machine.h"
#include "sim/scenario_report.h"
#include "sim/swarm.h"
#include "sim/tool.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define COMMAND "bruit-sim swarm"

struct options {
    uint64_t seeds;
    uint64_t from;
    uint64_t jobs;
    uint64_t minutes;
    uint64_t show;
    const char *into;
    bool keep_going;
    struct br_tool_output output;
};

#define NONE UINT64_MAX

static const struct br_tool_flag flags[] = {
    {"What to run", BR_TOOL_SWITCH, 0, NULL, NULL},
    {"seeds", BR_TOOL_SOME, offsetof(struct options, seeds), "N", "How many. Default: 1000."},
    {"from", BR_TOOL_COUNT, offsetof(struct options, from), "SEED", "The first of them. Default: 1."},
    {"minutes", BR_TOOL_SOME, offsetof(struct options, minutes), "M",
     "End after this long, whatever is left."},
    {"jobs", BR_TOOL_SOME, offsetof(struct options, jobs), "J",
     "Processes at once. Default: one for each core."},
    {"keep-going", BR_TOOL_SWITCH, offsetof(struct options, keep_going), NULL,
     "Do not end at the first failure."},
    {"What to show", BR_TOOL_SWITCH, 0, NULL, NULL},
    {"show", BR_TOOL_COUNT, offsetof(struct options, show), "SEED",
     "Print the scenario of a seed, and stop."},
    {"into", BR_TOOL_FOLDER, offsetof(struct options, into), "DIR",
     "Where scenarios that failed are written. Default: here."},
    BR_TOOL_OUTPUT_FLAGS(struct options, output),
};

static const struct br_tool_usage usage = {
    .command = COMMAND,
    .synopsis = "[FLAGS]",
    .about =
        "  Each seed is a cluster, a network and a schedule of faults. They run, then faults end, then all\n"
        "  must be well again; eight properties are checked all the time (\"bruit-sim run --language\" lists\n"
        "  them). A seed that fails is written as a scenario. Exit codes as of bruit-sim run.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .examples = "  bruit sim swarm --seeds 20k\n"
                "  bruit sim swarm --from 20001 --minutes 5 --keep-going\n"
                "  bruit sim swarm --show 17 > seed-17.scn\n",
};

static void show_progress(double share, uint64_t done)
{
    char what[64];
    (void)snprintf(what, sizeof what, "%" PRIu64 " seeds", done);
    br_tool_progress(what, share);
}

static int show(uint64_t seed)
{
    char text[BR_SWARM_TEXT_MAX];
    (void)br_swarm_text(seed, text);
    (void)fputs(text, stdout);
    return 0;
}

/* The scenario of a seed that failed, as a file: its path, or false and a sentence was said. */
static bool write_scenario(const char *into, uint64_t seed, const struct br_judgement *verdict, char *path,
                           size_t size)
{
    char text[BR_SWARM_TEXT_MAX];
    (void)br_swarm_text(seed, text);
    (void)snprintf(path, size, "%s/swarm-%" PRIu64 ".scn", into, seed);
    FILE *file = fopen(path, "w");
    bool is_good =
        file != NULL && fprintf(file, "# Seed %" PRIu64 " of the swarm: %s%s%s: %s\n%s", seed,
                                br_outcome_name(verdict->outcome), verdict->check[0] != 0 ? ", " : "",
                                verdict->check, verdict->text, text) > 0;
    if (file != NULL && fclose(file) != 0)
        is_good = false;
    if (!is_good)
        (void)br_tool_fail(COMMAND, "cannot write %s: %s.", path, strerror(errno));
    return is_good;
}

static void list_failures(struct br_report *report, const struct br_swarm_result *result, const char *into)
{
    struct br_sheet *sheet = br_report_sheet(report, "failures", "Seeds that failed");
    char path[4096];
    br_sheet_column(sheet, "seed", "seed", 0);
    br_sheet_column(sheet, "kind", "kind", 0);
    br_sheet_column(sheet, "check", "check", 0);
    br_sheet_column(sheet, "time", "time (s)", 3);
    br_sheet_column(sheet, "text", "what", 0);
    br_sheet_column(sheet, "reproduce", "reproduce", 0);
    for (uint32_t i = 0; i < result->failure_count; i++) {
        const struct br_swarm_failure *failure = &result->failures[i];
        const struct br_judgement *verdict = &failure->verdict;
        bool is_written = write_scenario(into, failure->seed, verdict, path, sizeof path);
        br_sheet_text(sheet, "%" PRIu64, failure->seed);
        br_sheet_text(sheet, "%s", br_outcome_name(verdict->outcome));
        br_sheet_text(sheet, "%s", verdict->check);
        br_sheet_number(sheet, (double)verdict->time / 1e9);
        br_sheet_text(sheet, "%s", verdict->text);
        br_sheet_text(sheet, "bruit-sim run %s", is_written ? path : "(not written)");
    }
}

static int run_swarm(const struct options *options)
{
    struct br_swarm_options wanted = {.first = options->from,
                                      .count = options->seeds,
                                      .jobs = (uint32_t)options->jobs,
                                      .most = options->minutes * 60 * BRUIT_SECOND,
                                      .keep_going = options->keep_going,
                                      .is_stopped = br_tool_stopped,
                                      .on_progress = show_progress};
    struct br_swarm_result result;
    struct br_report *report = br_report_new("swarm", "Drawn scenarios");
    br_report_set(report, "from seed", "%" PRIu64, options->from);
    br_report_set_number(report, "seeds", (double)options->seeds);
    br_report_set_number(report, "jobs", (double)options->jobs);
    br_report_set(report, "revision", "%s", BRUIT_VERSION);
    br_tool_begin(report, &options->output);
    br_tool_catch_stop(NULL);
    if (br_swarm(&wanted, &result) != 0) {
        br_report_free(report);
        (void)br_tool_fail(COMMAND, "no process could be started.");
        return BR_OUTCOME_REFUSED;
    }
    br_tool_progress_end();
    if (result.failure_count > 0)
        list_failures(report, &result, options->into);
    br_report_note(report, "%" PRIu64 " seeds, %" PRIu64 " engine events, %" PRIu64 " failed.", result.done,
                   result.events, result.failed);
    if (!result.is_whole)
        br_report_note(report, "Ended early: %" PRIu64 " seeds were not run.", options->seeds - result.done);
    int code = br_tool_end(COMMAND, report, &options->output);
    br_report_free(report);
    if (result.failure_count > 0)
        return (int)result.failures[0].verdict.outcome;
    return br_tool_stopped() ? BR_TOOL_INTERRUPTED : code;
}

static int run_command(int argc, char **argv)
{
    struct options options = {
        .seeds = 1000, .from = 1, .jobs = br_machine_processors(), .show = NONE, .into = "."};
    int words = br_tool_parse(&usage, &options, argc, argv);
    if (words < 0)
        return words == -1 ? 0 : BR_OUTCOME_REFUSED;
    if (argc > words) {
        (void)br_tool_fail(COMMAND, "it takes flags alone: \"%s\" is none.", argv[words]);
        return BR_OUTCOME_REFUSED;
    }
    return options.show != NONE ? show(options.show) : run_swarm(&options);
}

const struct br_tool_command br_tool_swarm = {
    .name = "swarm",
    .synopsis = "Run thousands of drawn scenarios and check that all is well",
    .run = run_command,
};
