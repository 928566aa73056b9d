/*
 * bruit-sim replay: one engine that was recorded, told the same again.
 */
#include "sim/record.h"
#include "sim/scenario_run.h"
#include "sim/tool.h"

#include <bruit/trace.h>

#include <inttypes.h>

#define COMMAND "bruit-sim replay"

struct options {
    bool trace;
    struct br_tool_output output;
};

static const struct br_tool_flag flags[] = {
    {"What to show", BR_TOOL_SWITCH, 0, NULL, NULL},
    {"trace", BR_TOOL_SWITCH, offsetof(struct options, trace), NULL, "Print every record of its trace."},
    BR_TOOL_OUTPUT_FLAGS(struct options, output),
};

static const struct br_tool_usage usage = {
    .command = COMMAND,
    .synopsis = "[FLAGS] FILE.rec",
    .about =
        "  Lets an engine live through what \"bruit-sim run --record\" wrote, without a network and without the\n"
        "  others, and says whether it decided the same: its trace must have the hash that was recorded.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .examples = "  bruit sim run --record n5=n5.rec FILE.scn\n"
                "  bruit sim replay --trace n5.rec\n",
};

static void print_record(void *context, const struct bruit_trace_record *record)
{
    char text[600];
    (void)context;
    (void)bruit_trace_text(record, text, sizeof text);
    (void)printf("%6" PRIu64 ".%06u s  %-5s %s: %s\n", record->time / BRUIT_SECOND,
                 (unsigned)(record->time % BRUIT_SECOND / 1000), bruit_trace_level_name(record->level),
                 bruit_trace_component(record), text);
}

static int run_command(int argc, char **argv)
{
    struct options options = {0};
    struct br_replay_result result;
    char why[400];
    int words = br_tool_parse(&usage, &options, argc, argv);
    if (words < 0)
        return words == -1 ? 0 : BR_OUTCOME_REFUSED;
    if (argc - words != 1) {
        (void)br_tool_fail(COMMAND, "give it one recording; see \"bruit-sim replay --help\".");
        return BR_OUTCOME_REFUSED;
    }
    if (br_replay(argv[words], options.trace ? print_record : NULL, NULL, &result, why, sizeof why) != 0) {
        (void)br_tool_fail(COMMAND, "%s.", why);
        return BR_OUTCOME_REFUSED;
    }
    bool is_same = result.has_end && result.hash == result.recorded_hash;
    struct br_report *report = br_report_new("replay", argv[words]);
    br_report_set_number(report, "lives", (double)result.lives);
    br_report_set_number(report, "inputs", (double)result.inputs);
    br_report_set_number(report, "records", (double)result.records);
    br_report_set(report, "hash", "%016" PRIx64, result.hash);
    br_report_set(report, "recorded hash", "%016" PRIx64, result.recorded_hash);
    if (is_same)
        br_report_note(report, "The engine decided the same.");
    else if (result.has_end)
        br_report_note(report,
                       "The engine decided otherwise: it is another version, or memory was refused to it.");
    else
        br_report_note(report, "The recording was cut short, so there is nothing to compare with.");
    br_tool_begin(report, &options.output);
    int code = br_tool_end(COMMAND, report, &options.output);
    br_report_free(report);
    return is_same ? code : BR_OUTCOME_WRONG;
}

const struct br_tool_command br_tool_replay = {
    .name = "replay",
    .synopsis = "Let one recorded engine live again",
    .run = run_command,
};
