/*
 * bruit-sim run: a scenario from a file, once.
 *
 * First comes what it is made of: seed, revision, the whole configuration. Then it runs, and then stands what was
 * found. The exit code tells what kind of thing that was: 0 nothing, 1 correctness, 2 liveness, 3 a crash, 4 the
 * scenario was refused, 130 Ctrl-C.
 */
#include "sim/record.h"
#include "sim/scenario_report.h"
#include "sim/tool.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND "bruit-sim run"

struct options {
    uint64_t seed;
    bool trace;
    bool language;
    const char *record;
    uint64_t memory;
    struct br_tool_output output;
};

#define NO_SEED UINT64_MAX

static const struct br_tool_flag flags[] = {
    {"What to run", BR_TOOL_SWITCH, 0, NULL, NULL},
    {"seed", BR_TOOL_COUNT, offsetof(struct options, seed), "N", "Another seed than the file's."},
    {"memory", BR_TOOL_COUNT, offsetof(struct options, memory), "BYTES",
     "How much memory there is. Default: what the machine has free."},
    {"What to show", BR_TOOL_SWITCH, 0, NULL, NULL},
    {"trace", BR_TOOL_SWITCH, offsetof(struct options, trace), NULL,
     "Print every record of every engine's trace."},
    {"record", BR_TOOL_TEXT, offsetof(struct options, record), "nX=FILE",
     "Write what node X is told into a file, for bruit-sim replay."},
    {"language", BR_TOOL_SWITCH, offsetof(struct options, language), NULL,
     "Print all statements of the language, and stop."},
    BR_TOOL_OUTPUT_FLAGS(struct options, output),
};

static const struct br_tool_usage usage = {
    .command = COMMAND,
    .synopsis = "[FLAGS] FILE.scn",
    .about =
        "  Runs a scenario: a cluster, what befalls it, and what is expected of it. FILE may be \"-\".\n"
        "  Exit codes: 0 nothing wrong, 1 something happened that must not (correctness), 2 something did\n"
        "  not happen that must (liveness), 3 a crash, 4 the scenario was refused, 130 ended by Ctrl-C.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .examples = "  bruit sim run tests/scenarios/split-for-two-minutes.scn\n"
                "  bruit sim run --seed 7 --trace FILE.scn\n"
                "  bruit sim run --record n5=n5.rec FILE.scn\n"
                "  bruit sim run --language\n",
};

static int print_language(void)
{
    const char *line, *meaning;
    for (size_t i = 0; (line = br_scenario_usage(i, &meaning)) != NULL; i++)
        (void)printf("%s\n      %s\n", line, meaning);
    (void)printf("\nChecked in every run, unless \"without\" switches it off:\n");
    for (size_t i = 0; i < BR_CHECK_COUNT; i++)
        (void)printf("%s\n      %s\n", br_checks[i]->name, br_checks[i]->sentence);
    return 0;
}

static int refuse(const char *path, const struct br_scenario_error *error)
{
    if (error->line > 0)
        (void)fprintf(stderr, "%s:%u: %s.\n", path, (unsigned)error->line, error->text);
    else
        (void)fprintf(stderr, "%s: %s.\n", path, error->text);
    return BR_OUTCOME_REFUSED;
}

/* nX=FILE */
static int open_record(const char *text, const struct br_scenario *scenario, struct br_recorder **recorder)
{
    char why[300], *end = NULL;
    unsigned long long node = text[0] == 'n' ? strtoull(text + 1, &end, 10) : 0;
    if (end == NULL || end == text + 1 || *end != '=' || end[1] == 0)
        return br_tool_fail(COMMAND, "--record takes a node and a file, such as n5=n5.rec; found \"%s\".",
                            text);
    if (node >= scenario->config.nodes)
        return br_tool_fail(COMMAND, "--record: there is no n%llu: the nodes are n0 to n%u.", node,
                            (unsigned)(scenario->config.nodes - 1));
    if (scenario->config.in_step)
        return br_tool_fail(COMMAND, "--record does not go with \"in_step yes\".");
    if (br_recorder_new(recorder, (uint32_t)node, end + 1, why, sizeof why) != 0)
        return br_tool_fail(COMMAND, "%s.", why);
    return 0;
}

/* Ctrl-C is for the world that runs. */
static struct bruit_sim *running;

static void on_stop(void)
{
    if (running != NULL)
        bruit_sim_interrupt(running);
}

static void show_progress(double share)
{
    br_tool_progress("virtual time", share > 1 ? 1 : share);
}

static int run_scenario(const struct options *options, const char *path, const struct br_scenario *scenario)
{
    struct br_run_options run_options = {.memory_max = options->memory,
                                         .trace = options->trace ? stdout : NULL,
                                         .on_progress = options->trace ? NULL : show_progress};
    struct br_run *run;
    char why[400];
    if (options->record != NULL && open_record(options->record, scenario, &run_options.recorder) != 0)
        return BR_OUTCOME_REFUSED;
    struct br_report *report = br_report_new("run", path);
    br_run_describe(report, scenario);
    br_tool_begin(report, &options->output);
    (void)fflush(stdout);
    br_catch_crashes("bruit-sim run: it crashed. The seed is above.\n");
    if (br_run_new(&run, scenario, &run_options, why, sizeof why) != 0) {
        (void)fprintf(stderr, "%s: %s.\n", path, why);
        br_report_free(report);
        (void)br_recorder_close(run_options.recorder);
        return BR_OUTCOME_REFUSED;
    }
    running = run->sim;
    br_tool_catch_stop(on_stop);
    bool is_whole = br_run_all(run);
    running = NULL;
    br_tool_progress_end();
    br_run_summarize(report, run, is_whole);
    if (run_options.recorder != NULL)
        br_report_note(report, "Recorded %" PRIu64 " inputs; the node's trace hash is %016" PRIx64 ".",
                       br_recorder_inputs(run_options.recorder), br_recorder_hash(run_options.recorder));
    int code = br_tool_end(COMMAND, report, &options->output);
    enum br_outcome outcome = br_run_outcome(run);
    br_report_free(report);
    br_run_free(run);
    if (br_recorder_close(run_options.recorder) != 0)
        code = br_tool_fail(COMMAND, "the recording could not be written: is the disk full?");
    return outcome != BR_OUTCOME_GOOD ? (int)outcome : !is_whole ? BR_TOOL_INTERRUPTED : code;
}

static int run_command(int argc, char **argv)
{
    struct options options = {.seed = NO_SEED};
    struct br_scenario *scenario;
    struct br_scenario_error error;
    size_t size;
    int words = br_tool_parse(&usage, &options, argc, argv);
    if (words < 0)
        return words == -1 ? 0 : BR_OUTCOME_REFUSED;
    if (options.language)
        return print_language();
    if (argc - words != 1) {
        (void)br_tool_fail(COMMAND, "give it one file; see \"bruit-sim run --help\".");
        return BR_OUTCOME_REFUSED;
    }
    const char *path = argv[words];
    char *text = br_scenario_read(path, &size, &error);
    if (text == NULL)
        return refuse(path, &error);
    int status = br_scenario_parse(&scenario, (struct bruit_bytes){(const uint8_t *)text, size}, &error);
    free(text);
    if (status != 0)
        return refuse(path, &error);
    if (options.seed != NO_SEED)
        scenario->config.seed = options.seed;
    int code = run_scenario(&options, path, scenario);
    br_scenario_free(scenario);
    return code;
}

const struct br_tool_command br_tool_run = {
    .name = "run",
    .synopsis = "Run a scenario from a file, once",
    .run = run_command,
};
