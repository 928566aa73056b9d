/* A run, told to people and machines; see scenario_report.h. */
#include "sim/scenario_report.h"

#include "base/text.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#ifndef BRUIT_REVISION
#define BRUIT_REVISION BRUIT_VERSION
#endif

static void set_time(struct br_report *report, const char *key, bruit_time time)
{
    char buffer[40];
    struct br_text text;
    br_text_init(&text, buffer, sizeof buffer);
    br_text_duration(&text, time);
    (void)br_text_end(&text);
    br_report_set(report, key, "%s", buffer);
}

static void set_share(struct br_report *report, const char *key, uint32_t fraction)
{
    br_report_set(report, key, "%g %%", (double)fraction / 10000);
}

static void describe_link(struct br_report *report, const char *prefix, const struct bruit_sim_link *link)
{
    char key[40];
#define KEY(name) ((void)snprintf(key, sizeof key, "%s%s", prefix, name), key)
    set_time(report, KEY("latency"), link->latency);
    set_time(report, KEY("spread"), link->spread);
    set_time(report, KEY("jitter"), link->jitter);
    if (link->shape == BRUIT_SIM_LOGNORMAL)
        br_report_set(report, KEY("jitter shape"), "lognormal");
    set_share(report, KEY("loss"), link->loss);
    if (link->burst_every > 0) {
        set_share(report, KEY("burst loss"), link->burst_loss);
        set_time(report, KEY("burst every"), link->burst_every);
        set_time(report, KEY("burst length"), link->burst_length);
    }
    set_share(report, KEY("duplicate"), link->duplicate);
    set_share(report, KEY("reorder"), link->reorder);
    if (link->reorder > 0)
        set_time(report, KEY("reorder delay"), link->reorder_delay);
    set_share(report, KEY("corrupt"), link->corrupt);
    br_report_set_number(report, KEY("mtu"), link->mtu);
#undef KEY
}

static void describe_engine(struct br_report *report, const struct br_scenario *scenario)
{
    const char *name;
    char value[300];
    for (size_t i = 0; br_scenario_key(&scenario->config.engine, i, &name, value, sizeof value); i++)
        br_report_set(report, name, "%s", value);
    for (size_t i = 0; i < br_scenario_module_count; i++)
        if (scenario->modules >> i & 1u)
            br_report_set(report, br_scenario_modules[i].name, "loaded");
    for (uint32_t i = 0; i < scenario->node_setting_count; i++) {
        const struct br_node_setting *setting = &scenario->node_settings[i];
        (void)br_scenario_key(&setting->value, setting->key, &name, value, sizeof value);
        br_report_set(report, "line of a node's own setting", "%u: %s %s", (unsigned)setting->line, name,
                      value);
    }
}

void br_run_describe(struct br_report *report, const struct br_scenario *scenario)
{
    static const char *const begins[] = {"known", "alone", "stopped"};
    const struct bruit_sim_config *config = &scenario->config;
    br_report_set(report, "seed", "%" PRIu64, config->seed);
    br_report_set(report, "revision", "%s", BRUIT_REVISION);
    br_report_set_number(report, "nodes", config->nodes);
    br_report_set(report, "begin", "%s", begins[scenario->begin]);
    br_report_set_number(report, "zones", config->zones);
    describe_link(report, "", &config->link);
    if (scenario->has_across)
        describe_link(report, "across ", &scenario->across);
    br_report_set_number(report, "bandwidth", (double)config->bandwidth_up);
    br_report_set_number(report, "queue", config->queue_max);
    br_report_set_number(report, "socket", config->socket_max);
    br_report_set(report, "in_step", "%s", config->in_step ? "yes" : "no");
    set_time(report, "retry_join", scenario->retry_join);
    describe_engine(report, scenario);
    br_report_set_number(report, "keys", scenario->key_count);
    br_report_set_number(report, "statements", scenario->statement_count);
    for (size_t i = 0; i < BR_CHECK_COUNT; i++)
        if (scenario->checks_off >> i & 1u)
            br_report_set(report, "without", "%s", br_checks[i]->name);
}

/* ------------------------------------------------------------------ afterwards */

const char *br_outcome_name(enum br_outcome outcome)
{
    static const char *const names[] = {"nothing wrong", "correctness", "liveness", "crash", "refused"};
    return names[outcome];
}

static void list_findings(struct br_report *report, const struct br_run *run)
{
    struct br_sheet *sheet = br_report_sheet(report, "findings", "What was found");
    br_sheet_column(sheet, "time", "time (s)", 3);
    br_sheet_column(sheet, "kind", "kind", 0);
    br_sheet_column(sheet, "source", "line or check", 0);
    br_sheet_column(sheet, "text", "what", 0);
    for (uint32_t i = 0; i < run->finding_count; i++) {
        const struct br_finding *finding = &run->findings[i];
        br_sheet_number(sheet, (double)finding->time / 1e9);
        br_sheet_text(sheet, "%s", br_outcome_name(finding->kind));
        if (finding->check != NULL)
            br_sheet_text(sheet, "%s", finding->check);
        else
            br_sheet_text(sheet, "line %u", (unsigned)finding->line);
        br_sheet_text(sheet, "%s", finding->text);
    }
    if (run->finding_total > run->finding_count)
        br_report_note(report, "%" PRIu64 " more were found and are not listed.",
                       run->finding_total - run->finding_count);
}

static void add_total(struct br_sheet *sheet, const char *what, uint64_t value)
{
    br_sheet_text(sheet, "%s", what);
    br_sheet_number(sheet, (double)value);
}

static void list_totals(struct br_report *report, const struct br_run *run)
{
    struct br_sheet *sheet = br_report_sheet(report, "totals", "What happened");
    struct bruit_sim_stats stats;
    uint64_t lost = 0;
    bruit_sim_stats_get(run->sim, &stats);
    for (size_t i = 0; i < BRUIT_SIM_LOST_COUNT; i++)
        lost += stats.lost[i];
    br_sheet_column(sheet, "what", "what", 0);
    br_sheet_column(sheet, "count", "count", 0);
    add_total(sheet, "virtual milliseconds", bruit_sim_now(run->sim) / BRUIT_MILLISECOND);
    add_total(sheet, "engine events", stats.events);
    add_total(sheet, "datagrams sent", stats.datagrams_sent);
    add_total(sheet, "datagrams lost", lost);
    add_total(sheet, "bytes of datagrams", stats.bytes_sent);
    add_total(sheet, "streams", stats.streams_opened);
    add_total(sheet, "processes started", stats.starts);
    add_total(sheet, "processes ended", stats.kills);
    add_total(sheet, "processes running", stats.running);
    add_total(sheet, "bytes of memory at most", stats.memory_held_peak);
}

void br_run_summarize(struct br_report *report, const struct br_run *run, bool is_whole)
{
    if (run->finding_count > 0)
        list_findings(report, run);
    list_totals(report, run);
    br_report_note(report, "Trace hash %016" PRIx64 ".", bruit_sim_hash(run->sim));
    if (!is_whole)
        br_report_note(report, "Ended early, at %.3f s: this is what was found so far.",
                       (double)bruit_sim_now(run->sim) / 1e9);
    br_report_note(report, "Verdict: %s.", br_outcome_name(br_run_outcome(run)));
}

/* ------------------------------------------------------------------ crashes */

static const char *crash_line;

static void on_crash(int number)
{
    (void)number;
    if (crash_line != NULL)
        (void)!write(STDERR_FILENO, crash_line, strlen(crash_line));
    _exit(BR_OUTCOME_CRASH);
}

void br_catch_crashes(const char *line)
{
    static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    crash_line = line;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        struct sigaction action = {.sa_handler = on_crash};
        (void)sigaction(signals[i], &action, NULL);
    }
}
