/*
 * bruit-sim detect: how soon a crash is known, who is declared dead without being so, and what it costs; for SWIM, for
 * each part of Lifeguard, for memberlist's own parameters and for bruit, under the same faults (detect.h).
 */
#include "sim/detect.h"
#include "sim/machine.h"
#include "sim/tool.h"

#include <math.h>
#include <string.h>

#define COMMAND "bruit-sim detect"
#define POINTS_MAX 200 /* of a curve */

struct options {
    uint64_t nodes, trials, seed, threads;
    uint64_t suspicion_mult, suspicion_max_mult, gossip_nodes, retransmit_mult, indirect_checks;
    uint64_t fan_out, rate, phi, rounds;
    const char *mode;
    struct br_detect_config detect;
    const char *only;
    struct br_tool_output output;
};

#define AT(member) offsetof(struct options, member)
#define HEADING(text)                        \
    {                                        \
        text, BR_TOOL_SWITCH, 0, NULL, NULL, \
    }

static const struct br_tool_flag flags[] = {
    HEADING("Who, and what befalls them"),
    {"nodes", BR_TOOL_COUNT, AT(nodes), "N", "How many nodes, 3 to 10k. Default: 100."},
    {"loss", BR_TOOL_PART, AT(detect.loss), "P", "The part of the datagrams that is lost. Default: 0."},
    {"jitter", BR_TOOL_TIME, AT(detect.jitter), "T",
     "On top of 0.5 ms datagrams take so much longer, log-normally, in the median. Default: even, to 1 ms."},
    {"pause", BR_TOOL_PART, AT(detect.pause.part), "P",
     "This part of the nodes is paused (SIGSTOP) now and then."},
    {"pause-for", BR_TOOL_TIME, AT(detect.pause.length), "T", "How long each time. Default: 5s."},
    {"pause-every", BR_TOOL_TIME, AT(detect.pause.every), "T", "How often. Default: 1m."},
    {"starve", BR_TOOL_PART, AT(detect.starve.part), "P", "The CPU of this part of the nodes is stolen."},
    {"starve-run", BR_TOOL_TIME, AT(detect.starve.every), "T", "So long they run. Default: 50ms."},
    {"starve-for", BR_TOOL_TIME, AT(detect.starve.length), "T", "So long they stand still. Default: 2s."},
    {"partition", BR_TOOL_PART, AT(detect.partition.part), "P",
     "This part of the nodes is cut off from the others now and then."},
    {"partition-for", BR_TOOL_TIME, AT(detect.partition.length), "T", "How long each time. Default: 10s."},
    {"partition-every", BR_TOOL_TIME, AT(detect.partition.every), "T", "How often. Default: 1m."},
    HEADING("What they are told to be"),
    {"only", BR_TOOL_TEXT, AT(only), "NAMES",
     "Some of swim, health, suspicion, buddy, memberlist, bruit and heartbeat, with commas. Default: the first six."},
    {"probe-interval", BR_TOOL_TIME, AT(detect.engine.probe_interval), "T", "Default: 1s."},
    {"probe-timeout", BR_TOOL_TIME, AT(detect.engine.probe_timeout), "T", "Default: 500ms."},
    {"indirect-checks", BR_TOOL_COUNT, AT(indirect_checks), "K", "Default: 3."},
    {"suspicion-mult", BR_TOOL_COUNT, AT(suspicion_mult), "M", "Default: 4."},
    {"suspicion-max-mult", BR_TOOL_COUNT, AT(suspicion_max_mult), "M", "Default: 6."},
    {"gossip-interval", BR_TOOL_TIME, AT(detect.engine.gossip_interval), "T", "Default: 200ms."},
    {"gossip-nodes", BR_TOOL_COUNT, AT(gossip_nodes), "K", "Default: 3."},
    {"retransmit-mult", BR_TOOL_COUNT, AT(retransmit_mult), "M", "Default: 4."},
    HEADING("And with heartbeats (--only heartbeat)"),
    {"heartbeat-interval", BR_TOOL_TIME, AT(detect.engine.heartbeat.interval), "T", "Default: 1s."},
    {"fan-out", BR_TOOL_COUNT, AT(fan_out), "K", "How many members each round goes to. Default: 2."},
    {"mode", BR_TOOL_TEXT, AT(mode), "MODE", "push-pull, push or pull. Default: push-pull."},
    {"rate", BR_TOOL_COUNT, AT(rate), "B", "Bytes a second that each may send. Default: 2000."},
    {"phi", BR_TOOL_COUNT, AT(phi), "P", "The threshold, in thousandths. Default: 8000."},
    {"deviation-min", BR_TOOL_TIME, AT(detect.engine.heartbeat.deviation_min), "T",
     "No smaller deviation of arrivals is believed."},
    {"rounds", BR_TOOL_COUNT, AT(rounds), "N", "Instead of phi: no progress for so many rounds."},
    HEADING("How it is run"),
    {"trials", BR_TOOL_SOME, AT(trials), "T",
     "Crashes for each line. Default: 100; 30 beyond 200 nodes, 10 beyond 1,000."},
    {"watch", BR_TOOL_TIME, AT(detect.watch), "T",
     "Before each crash false verdicts and traffic are counted for so long. Default: 1m."},
    {"seed", BR_TOOL_COUNT, AT(seed), "S", "The same seed gives the same answer. Default: 1."},
    {"threads", BR_TOOL_COUNT, AT(threads), "N",
     "Processors to use. Never changes the answer. Default: all."},
    BR_TOOL_OUTPUT_FLAGS(struct options, output),
};

static const struct br_tool_usage usage = {
    .command = COMMAND,
    .synopsis = "[FLAGS]",
    .about =
        "  A cluster of real engines; one of them crashes. When does the first know, when does everybody?\n"
        "  Who else is declared dead, and what does it cost? For SWIM alone, with each part of Lifeguard, for\n"
        "  memberlist's own parameters, and for bruit; all of them suffer the same fate.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .examples = "  bruit sim detect                                     100 nodes, nothing else goes wrong\n"
                "  bruit sim detect --loss 5% --watch 10m               who is accused without cause?\n"
                "  bruit sim detect --starve 5% --html detect.html      a few nodes have no CPU\n"
                "  bruit sim detect --nodes 5k --only memberlist,bruit --trials 4\n"
                "  bruit sim detect --probe-interval 500ms --probe-timeout 250ms   and if it were faster?\n",
};

/* ------------------------------------------------------------------ the question */

/* Which of the variants; 0, with a sentence, when a word is none. */
static unsigned read_only(const char *text)
{
    const char *names[BR_DETECT_VARIANTS];
    unsigned wanted = 0;
    if (text == NULL)
        return (1u << BR_DETECT_HEARTBEAT) - 1;
    for (int i = 0; i < BR_DETECT_VARIANTS; i++)
        names[i] = br_detect_name((enum br_detect_variant)i);
    for (const char *at = text; *at != 0;) {
        char word[32];
        size_t size = strcspn(at, ",");
        (void)snprintf(word, sizeof word, "%.*s", (int)(size < 31 ? size : 31), at);
        int i = 0;
        while (i < BR_DETECT_VARIANTS && strcmp(word, names[i]) != 0)
            i++;
        if (i == BR_DETECT_VARIANTS) {
            const char *nearest = br_tool_nearest(word, names, BR_DETECT_VARIANTS);
            (void)br_tool_fail(COMMAND, "--only knows no \"%s\": %s%s%s", word,
                               nearest != NULL ? "did you mean \"" : "see --help for the seven",
                               nearest != NULL ? nearest : "", nearest != NULL ? "\"?" : ".");
            return 0;
        }
        wanted |= 1u << i;
        at += size + (at[size] == ',');
    }
    return wanted;
}

static uint32_t narrowed(uint64_t count)
{
    return count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
}

/* Seconds for small clusters, minutes for large ones. */
static uint32_t usual_trials(uint64_t nodes)
{
    return nodes <= 200 ? 100 : nodes <= 1000 ? 30 : 10;
}

/* False, with a sentence, when the mode is none. */
static bool take_beats(struct options *options)
{
    static const char *const modes[] = {"push-pull", "push", "pull"};
    struct bruit_heartbeat_config *beat = &options->detect.engine.heartbeat;
    unsigned mode = 0;
    while (options->mode != NULL && mode < 3 && strcmp(options->mode, modes[mode]) != 0)
        mode++;
    if (mode == 3) {
        (void)br_tool_fail(COMMAND, "--mode knows no \"%s\": give push-pull, push or pull.", options->mode);
        return false;
    }
    beat->mode = (enum bruit_heartbeat_mode)mode;
    beat->nodes = narrowed(options->fan_out);
    beat->rate = narrowed(options->rate);
    beat->threshold = narrowed(options->phi);
    if (options->rounds > 0) {
        beat->rule = BRUIT_HEARTBEAT_ROUNDS;
        beat->rounds = narrowed(options->rounds);
    }
    return true;
}

static void take_counts(struct options *options)
{
    struct br_detect_config *detect = &options->detect;
    detect->nodes = narrowed(options->nodes);
    detect->trials = options->trials != 0 ? narrowed(options->trials) : usual_trials(options->nodes);
    detect->seed = options->seed;
    detect->threads = narrowed(options->threads);
    detect->memory_max = br_machine_memory();
    detect->engine.indirect_checks = narrowed(options->indirect_checks);
    detect->engine.suspicion_mult = narrowed(options->suspicion_mult);
    detect->engine.suspicion_max_mult = narrowed(options->suspicion_max_mult);
    detect->engine.gossip_nodes = narrowed(options->gossip_nodes);
    detect->engine.retransmit_mult = narrowed(options->retransmit_mult);
}

static void set_defaults(struct options *options)
{
    *options = (struct options){.seed = 1, .threads = br_machine_processors()};
    br_detect_config_default(&options->detect);
    options->nodes = options->detect.nodes;
    options->indirect_checks = options->detect.engine.indirect_checks;
    options->suspicion_mult = options->detect.engine.suspicion_mult;
    options->suspicion_max_mult = options->detect.engine.suspicion_max_mult;
    options->gossip_nodes = options->detect.engine.gossip_nodes;
    options->retransmit_mult = options->detect.engine.retransmit_mult;
    options->fan_out = options->detect.engine.heartbeat.nodes;
    options->rate = options->detect.engine.heartbeat.rate;
    options->phi = options->detect.engine.heartbeat.threshold;
}

/* ------------------------------------------------------------------ the answer */

static double seconds(bruit_time time)
{
    return (double)time / (double)BRUIT_SECOND;
}

static void set_fault(struct br_report *report, const char *key, const struct br_detect_fault *fault)
{
    if (fault->part > 0)
        br_report_set(report, key, "%g %% of the nodes, for %g s every %g s", 100 * fault->part,
                      seconds(fault->length), seconds(fault->every));
    else
        br_report_set(report, key, "none");
}

static void set_configuration(struct br_report *report, const struct br_detect_config *detect)
{
    const struct bruit_config *engine = &detect->engine;
    br_report_set(report, "made by", "the engine of this version");
    br_report_set(report, "version", "%s", BRUIT_VERSION);
    br_report_set_number(report, "seed", (double)detect->seed);
    br_report_set_number(report, "nodes", detect->nodes);
    br_report_set_number(report, "trials", detect->trials);
    br_report_set(report, "watched", "%g s before each crash", seconds(detect->watch));
    br_report_set(report, "network", "0.5 to 1 ms one way, loss %g %%", 100 * detect->loss);
    if (detect->jitter > 0)
        br_report_set(report, "jitter", "log-normal, median %g s", seconds(detect->jitter));
    set_fault(report, "paused", &detect->pause);
    if (detect->starve.part > 0)
        br_report_set(report, "starved", "%g %% of the nodes, stand still for about %g s, run for about %g s",
                      100 * detect->starve.part, seconds(detect->starve.length),
                      seconds(detect->starve.every));
    else
        br_report_set(report, "starved", "none");
    set_fault(report, "cut off", &detect->partition);
    br_report_set(report, "probes", "interval %g s, timeout %g s, %u indirect",
                  seconds(engine->probe_interval), seconds(engine->probe_timeout), engine->indirect_checks);
    br_report_set(report, "suspicion", "mult %u, dynamic: up to %u times longer", engine->suspicion_mult,
                  engine->suspicion_max_mult);
    br_report_set(report, "gossip", "interval %g s, fan-out %u, retransmit mult %u",
                  seconds(engine->gossip_interval), engine->gossip_nodes, engine->retransmit_mult);
}

static void set_beats(struct br_report *report, const struct bruit_heartbeat_config *beat)
{
    static const char *const modes[] = {"push-pull", "push", "pull"};
    br_report_set(report, "heartbeats", "interval %g s, fan-out %u, %s, %u bytes/s", seconds(beat->interval),
                  (unsigned)beat->nodes, modes[beat->mode], (unsigned)beat->rate);
    if (beat->rule == BRUIT_HEARTBEAT_ROUNDS)
        br_report_set(report, "dead is", "who makes no progress for %u rounds", (unsigned)beat->rounds);
    else
        br_report_set(report, "dead is", "phi above %g, deviation at least %g s", beat->threshold / 1000.0,
                      seconds(beat->deviation_min));
}

static struct br_sheet *make_sheet(struct br_report *report)
{
    struct br_sheet *sheet =
        br_report_sheet(report, "detection", "A crash is known after, in seconds; and what it costs");
    br_sheet_column(sheet, "variant", "what", -1);
    br_sheet_column(sheet, "trials", "trials", 0);
    br_sheet_column(sheet, "first_p50", "first p50", 2);
    br_sheet_column(sheet, "first_p99", "p99", 2);
    br_sheet_column(sheet, "all_p50", "all p50", 2);
    br_sheet_column(sheet, "all_p99", "p99", 2);
    br_sheet_column(sheet, "missed", "missed", 0);
    br_sheet_column(sheet, "packets", "packets/s", 2);
    br_sheet_column(sheet, "bytes", "bytes/s", 0);
    br_sheet_column(sheet, "stream_bytes", "stream B/s", 0);
    return sheet;
}

static struct br_sheet *make_false(struct br_report *report)
{
    struct br_sheet *sheet =
        br_report_sheet(report, "false_verdicts", "Declared dead without being so, in this cluster");
    br_sheet_column(sheet, "variant", "what", -1);
    br_sheet_column(sheet, "hours", "watched, h", 3);
    br_sheet_column(sheet, "suspicions", "suspicions", 0);
    br_sheet_column(sheet, "false_deaths", "healthy", 0);
    br_sheet_column(sheet, "false_reports", "reports", 0);
    br_sheet_column(sheet, "monthly", "a month", -1);
    br_sheet_column(sheet, "monthly_most", "at most", -1);
    br_sheet_column(sheet, "impaired_deaths", "impaired", 0);
    br_sheet_column(sheet, "impaired_monthly", "a month", -1);
    return sheet;
}

/* Three digits say enough. */
static double rounded(double value)
{
    if (!isfinite(value) || value == 0)
        return value;
    double scale = pow(10, floor(log10(value)) - 2);
    return floor(value / scale + 0.5) * scale;
}

static void add_row(struct br_sheet *sheet, struct br_sheet *verdicts, enum br_detect_variant variant,
                    const struct br_detect_result *result)
{
    br_sheet_text(sheet, "%s", br_detect_text(variant));
    br_sheet_number(sheet, result->trials);
    br_sheet_number(sheet, result->first.p50);
    br_sheet_number(sheet, result->first.p99);
    br_sheet_number(sheet, result->all.p50);
    br_sheet_number(sheet, result->all.p99);
    br_sheet_number(sheet, result->all.missed);
    br_sheet_number(sheet, result->packets);
    br_sheet_number(sheet, result->bytes);
    br_sheet_number(sheet, result->stream_bytes);
    br_sheet_text(verdicts, "%s", br_detect_text(variant));
    br_sheet_number(verdicts, result->hours);
    br_sheet_number(verdicts, (double)result->false_suspicions);
    br_sheet_number(verdicts, (double)result->false_deaths);
    br_sheet_number(verdicts, (double)result->false_reports);
    br_sheet_number(verdicts, rounded(br_detect_monthly((double)result->false_deaths, result->hours)));
    br_sheet_number(verdicts, rounded(br_detect_monthly_most(result->false_deaths, result->hours)));
    br_sheet_number(verdicts, (double)result->impaired_deaths);
    br_sheet_number(verdicts, rounded(br_detect_monthly((double)result->impaired_deaths, result->hours)));
}

static void draw(struct br_chart *chart, const char *name, enum br_line_style style, const double *samples,
                 uint32_t count)
{
    struct br_line *line = br_chart_line(chart, name, style);
    uint32_t stride = count / POINTS_MAX + 1;
    for (uint32_t i = 0; i < count && isfinite(samples[i]); i++)
        if (i % stride == 0 || i + 1 == count)
            br_line_point(line, samples[i], (i + 1.0) / count);
}

static void draw_both(struct br_chart *chart, enum br_detect_variant variant,
                      const struct br_detect_result *result)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%s: first", br_detect_name(variant));
    draw(chart, name, BR_LINE_SOLID, result->first_samples, result->trials);
    (void)snprintf(name, sizeof name, "%s: all", br_detect_name(variant));
    draw(chart, name, BR_LINE_DASHED, result->all_samples, result->trials);
}

static void explain(struct br_report *report, const struct br_detect_config *detect, uint32_t waited)
{
    if (br_tool_stopped())
        br_report_note(report, "Ended early: crashes that were over are counted, lines without any left out.");
    if (waited > 0)
        br_report_note(report,
                       "Everybody: all nodes that suffer from nothing themselves. Missed: not known to all of "
                       "them %u s after the crash; then counted as infinite.",
                       (unsigned)waited);
    br_report_note(
        report,
        "False verdicts: healthy (or impaired, but living) nodes that a healthy node held dead, each "
        "episode once; reports: of all healthy nodes. A month has %g hours; \"at most\" would have been "
        "exceeded in 19 of 20 runs if the true rate were higher.",
        BR_DETECT_MONTH);
    br_report_note(
        report,
        "SWIM alone has suspicion with one timeout, the least of Lifeguard's. Its lines and memberlist's "
        "gossip on the grid alone, sync at memberlist's pace and take no notice of their own stalls; "
        "what they tell still goes to the ring's successor first, as bruit does. Traffic: UDP payload "
        "while nothing had crashed%s.",
        detect->loss > 0 ? ", lost datagrams included" : "");
}

struct watch {
    unsigned index, count;
};

static bool watch_trials(void *context, uint32_t done, uint32_t trials)
{
    const struct watch *watch = context;
    br_tool_progress("crashes", (watch->index + (double)done / trials) / watch->count);
    return !br_tool_stopped();
}

static int ask(const struct options *options, struct br_report *report, unsigned wanted)
{
    struct watch watch = {0, 0};
    struct br_sheet *sheet = make_sheet(report), *verdicts = make_false(report);
    struct br_chart *chart = br_report_chart(report, "known", "How soon a crash is known",
                                             "seconds since the crash", "part of the crashes");
    uint32_t waited = 0;
    for (int i = 0; i < BR_DETECT_VARIANTS; i++)
        watch.count += wanted >> i & 1;
    for (int i = 0; i < BR_DETECT_VARIANTS && !br_tool_stopped(); i++) {
        struct br_detect_config detect = options->detect;
        struct br_detect_result result;
        char why[256] = "";
        if (!(wanted >> i & 1))
            continue;
        br_detect_become(&detect, (enum br_detect_variant)i);
        int status = br_detect_run(&detect, watch_trials, &watch, &result, why, sizeof why);
        if (status == 0 && result.trials > 0) {
            add_row(sheet, verdicts, (enum br_detect_variant)i, &result);
            draw_both(chart, (enum br_detect_variant)i, &result);
            waited = result.waited > waited ? result.waited : waited;
        }
        br_detect_result_free(&result);
        if (status != 0) {
            br_tool_progress_end();
            return br_tool_fail(COMMAND, "%s", why);
        }
        watch.index++;
    }
    explain(report, &options->detect, waited);
    return br_tool_end(COMMAND, report, &options->output);
}

static int run(int argc, char **argv)
{
    struct options options;
    set_defaults(&options);
    int used = br_tool_parse(&usage, &options, argc, argv);
    if (used < 0)
        return used == -1 ? 0 : 1;
    if (used < argc)
        return br_tool_fail(COMMAND, "\"%s\" is no flag, and this command takes nothing else: see --help.",
                            argv[used]);
    if (options.output.json && options.output.csv)
        return br_tool_fail(COMMAND, "--json and --csv both want stdout: choose one.");
    unsigned wanted = read_only(options.only);
    if (wanted == 0)
        return 1;
    take_counts(&options);
    if (!take_beats(&options))
        return 1;
    const char *wrong = br_detect_check(&options.detect);
    if (wrong != NULL)
        return br_tool_fail(COMMAND, "%s", wrong);
    struct br_report *report = br_report_new("detect", "How a crash is detected");
    set_configuration(report, &options.detect);
    if (wanted >> BR_DETECT_HEARTBEAT & 1)
        set_beats(report, &options.detect.engine.heartbeat);
    br_tool_catch_stop(NULL);
    br_tool_begin(report, &options.output);
    int code = ask(&options, report, wanted);
    br_report_free(report);
    return code;
}

const struct br_tool_command br_tool_detect = {
    .name = "detect",
    .synopsis = "How soon a crash is known, false deaths and cost: SWIM, Lifeguard, memberlist, bruit",
    .run = run,
};
