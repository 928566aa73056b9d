/*
 * bruit-sim shrink: the shortest scenario that still fails as a long one does.
 */
#include "sim/scenario_report.h"
#include "sim/shrink.h"
#include "sim/tool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND "bruit-sim shrink"
#define NONE UINT64_MAX

struct options {
    uint64_t seed;
    uint64_t runs;
    const char *out;
};

static const struct br_tool_flag flags[] = {
    {"What to shrink", BR_TOOL_SWITCH, 0, NULL, NULL},
    {"seed", BR_TOOL_COUNT, offsetof(struct options, seed), "SEED",
     "A seed of the swarm, instead of a file."},
    {"runs", BR_TOOL_COUNT, offsetof(struct options, runs), "N", "How many runs it may take. Default: 2000."},
    {"Output", BR_TOOL_SWITCH, 0, NULL, NULL},
    {"out", BR_TOOL_TEXT, offsetof(struct options, out), "FILE", "Where the scenario goes. Default: stdout."},
};

static const struct br_tool_usage usage = {
    .command = COMMAND,
    .synopsis = "[FLAGS] [FILE.scn]",
    .about =
        "  Leaves out lines, words and nodes of a scenario that fails, as long as the same check, or the same\n"
        "  line of it, still fails. What is left is short enough to be understood, and to be kept as a test.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .examples = "  bruit sim shrink swarm-4711.scn > short.scn\n"
                "  bruit sim shrink --seed 4711\n",
};

static void show_progress(uint32_t runs, size_t lines)
{
    char what[64];
    (void)snprintf(what, sizeof what, "%zu lines after %u runs", lines, (unsigned)runs);
    br_tool_progress(what, 1 - 1 / (1 + (double)runs / 200));
}

static int write_result(const struct options *options, const char *source,
                        const struct br_shrink_result *result)
{
    const struct br_judgement *verdict = &result->verdict;
    FILE *file = options->out == NULL ? stdout : fopen(options->out, "w");
    bool is_good = file != NULL &&
                   fprintf(file, "# %s, shrunk from %u lines to %u in %u runs.\n# %s%s%s: %s\n%s", source,
                           (unsigned)result->lines_before, (unsigned)result->lines, (unsigned)result->runs,
                           br_outcome_name(verdict->outcome), verdict->check[0] != 0 ? ", " : "",
                           verdict->check, verdict->text, result->text) > 0;
    if (file != NULL && file != stdout && fclose(file) != 0)
        is_good = false;
    if (!is_good)
        return br_tool_fail(COMMAND, "cannot write %s: %s.",
                            options->out == NULL ? "the scenario" : options->out, strerror(errno));
    return 0;
}

static int shrink(const struct options *options, const char *source, struct bruit_bytes text)
{
    struct br_shrink_options wanted = {
        .runs_max = options->runs > UINT32_MAX ? UINT32_MAX : (uint32_t)options->runs,
        .is_stopped = br_tool_stopped,
        .on_progress = show_progress,
    };
    struct br_shrink_result result;
    br_tool_catch_stop(NULL);
    int status = br_shrink(text, &wanted, &result);
    br_tool_progress_end();
    if (status == BRUIT_ENOENT)
        return br_tool_fail(COMMAND, "%s does not fail: there is nothing to shrink.", source);
    if (status != 0) {
        (void)br_tool_fail(COMMAND, "%s: %s.", source,
                           status == BRUIT_EFORMAT ? result.verdict.text : bruit_strerror(status));
        return BR_OUTCOME_REFUSED;
    }
    int code = write_result(options, source, &result);
    free(result.text);
    return code != 0 ? code : br_tool_stopped() ? BR_TOOL_INTERRUPTED : 0;
}

static int shrink_seed(const struct options *options)
{
    char text[BR_SWARM_TEXT_MAX], source[64];
    size_t size = br_swarm_text(options->seed, text);
    (void)snprintf(source, sizeof source, "seed %" PRIu64 " of the swarm", options->seed);
    return shrink(options, source, (struct bruit_bytes){(const uint8_t *)text, size});
}

static int run_command(int argc, char **argv)
{
    struct options options = {.seed = NONE, .runs = 2000};
    struct br_scenario_error error;
    size_t size;
    int words = br_tool_parse(&usage, &options, argc, argv);
    if (words < 0)
        return words == -1 ? 0 : BR_OUTCOME_REFUSED;
    if ((argc - words == 1) == (options.seed != NONE)) {
        (void)br_tool_fail(COMMAND, "give it one file, or --seed; see \"bruit-sim shrink --help\".");
        return BR_OUTCOME_REFUSED;
    }
    if (options.seed != NONE)
        return shrink_seed(&options);
    char *text = br_scenario_read(argv[words], &size, &error);
    if (text == NULL) {
        (void)br_tool_fail(COMMAND, "%s: %s.", argv[words], error.text);
        return BR_OUTCOME_REFUSED;
    }
    int code = shrink(&options, argv[words], (struct bruit_bytes){(const uint8_t *)text, size});
    free(text);
    return code;
}

const struct br_tool_command br_tool_shrink = {
    .name = "shrink",
    .synopsis = "The shortest scenario that still fails as a long one does",
    .run = run_command,
};
