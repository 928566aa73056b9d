/*
 * bruit-sim spread --engine: a user event among real engines, and with --in-rounds the model beside it.
 */
#include "sim/spread.h"

#include "sim/machine.h"
#include "sim/model/model.h"
#include "sim/rumour.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CASES_MAX 64
#define MODEL_TRIALS 1000

struct cases {
    struct br_rumour_config configs[CASES_MAX];
    size_t count;
};

static uint32_t usual_trials(double nodes)
{
    return nodes <= 1000 ? 20 : nodes <= 3000 ? 10 : 5;
}

static uint32_t narrowed(double count)
{
    return count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
}

/* All combinations; false, with a sentence, when one of them cannot be. */
static bool make_cases(struct cases *cases, const struct br_spread_question *question)
{
    size_t total =
        question->nodes.count * question->fanout.count * question->loss.count * question->dead.count;
    if (total > CASES_MAX) {
        (void)br_tool_fail(BR_SPREAD_COMMAND, "more than %d combinations: ask for fewer at once.", CASES_MAX);
        return false;
    }
    for (size_t i = 0; i < total; i++) {
        size_t rest = i;
        struct br_rumour_config *config = &cases->configs[cases->count++];
        *config = (struct br_rumour_config){.seed = question->seed, .in_rounds = question->in_rounds};
        config->memory_max = br_machine_memory();
        config->dead = question->dead.items[rest % question->dead.count];
        rest /= question->dead.count;
        config->loss = question->loss.items[rest % question->loss.count];
        rest /= question->loss.count;
        config->fanout = narrowed(question->fanout.items[rest % question->fanout.count]);
        rest /= question->fanout.count;
        config->nodes = narrowed(question->nodes.items[rest]);
        config->trials =
            question->trials != 0 ? narrowed((double)question->trials) : usual_trials(config->nodes);
        const char *wrong = br_rumour_check(config);
        if (wrong != NULL) {
            (void)br_tool_fail(BR_SPREAD_COMMAND, "%s", wrong);
            return false;
        }
    }
    return true;
}

/* ------------------------------------------------------------------ the answer */

static struct br_sheet *make_sheet(struct br_report *report, bool in_rounds)
{
    struct br_sheet *sheet = br_report_sheet(
        report, "summary", in_rounds ? "What it took, in gossip rounds" : "What it took, in milliseconds");
    br_sheet_column(sheet, "made_by", "made by", -1);
    br_sheet_column(sheet, "nodes", "nodes", 0);
    br_sheet_column(sheet, "fanout", "k", 0);
    br_sheet_column(sheet, "loss", "loss", -1);
    br_sheet_column(sheet, "dead", "dead", -1);
    br_sheet_column(sheet, "trials", "trials", 0);
    br_sheet_column(sheet, "half", "half", 2);
    br_sheet_column(sheet, "most", "99 %", 2);
    br_sheet_column(sheet, "all", "all", 2);
    br_sheet_column(sheet, "all_deviation", "+-", 2);
    br_sheet_column(sheet, "all_most", "most", 2);
    br_sheet_column(sheet, "messages", "messages", 2);
    br_sheet_column(sheet, "bytes", "bytes", 0);
    br_sheet_column(sheet, "residue", "residue", -1);
    br_sheet_column(sheet, "complete", "all heard", 3);
    return sheet;
}

static void add_case(struct br_sheet *sheet, const struct br_rumour_config *config, const char *made_by)
{
    br_sheet_text(sheet, "%s", made_by);
    br_sheet_number(sheet, config->nodes);
    br_sheet_number(sheet, config->fanout);
    br_sheet_number(sheet, config->loss);
    br_sheet_number(sheet, config->dead);
}

static void add_engines(struct br_sheet *sheet, const struct br_rumour_config *config,
                        const struct br_rumour_result *result)
{
    add_case(sheet, config, "engine");
    br_sheet_number(sheet, result->trials);
    br_sheet_number(sheet, result->half);
    br_sheet_number(sheet, result->most);
    br_sheet_number(sheet, result->all);
    br_sheet_number(sheet, result->all_deviation);
    br_sheet_number(sheet, result->all_most);
    br_sheet_number(sheet, result->messages);
    br_sheet_number(sheet, result->bytes);
    br_sheet_number(sheet, result->residue);
    br_sheet_number(sheet, (double)result->complete / result->trials);
}

/* The first round after which this part of the live nodes knows, on average. */
static double round_of(const struct br_model_result *result, double part)
{
    for (uint32_t i = 0; i < result->curve_count; i++)
        if (result->curve[i] >= part)
            return i;
    return NAN;
}

static void add_model(struct br_sheet *sheet, struct br_chart *chart, const struct br_rumour_config *config,
                      uint32_t limit, const char *name)
{
    static struct br_model_result result;
    struct br_model_config model;
    br_model_config_default(&model);
    model.nodes = config->nodes;
    model.fanout = config->fanout;
    model.loss = config->loss;
    model.dead = config->dead;
    model.forget = BR_MODEL_COUNTER;
    model.interest = (limit + config->fanout - 1) / config->fanout;
    model.trials = MODEL_TRIALS;
    model.seed = config->seed;
    if (br_model_run(&model, NULL, NULL, &result) != 0)
        return;
    add_case(sheet, config, "model");
    br_sheet_number(sheet, result.trials);
    br_sheet_number(sheet, round_of(&result, 0.5));
    br_sheet_number(sheet, round_of(&result, 0.99));
    br_sheet_number(sheet, result.rounds.mean);
    br_sheet_number(sheet, result.rounds.deviation);
    br_sheet_number(sheet, result.rounds.most);
    br_sheet_number(sheet, result.messages.mean);
    br_sheet_number(sheet, NAN);
    br_sheet_number(sheet, result.residue.mean);
    br_sheet_number(sheet, (double)result.complete / result.trials);
    struct br_line *line = br_chart_line(chart, name, BR_LINE_DASHED);
    for (uint32_t i = 0; i < result.curve_count; i++)
        br_line_point(line, i, result.curve[i]);
}

/* Points between two of the same height are left out. */
static void draw(struct br_chart *chart, const struct br_rumour_result *result, const char *name)
{
    struct br_line *line = br_chart_line(chart, name, BR_LINE_SOLID);
    const double *curve = result->curve;
    for (uint32_t i = 0; i < result->curve_count; i++)
        if (i == 0 || i + 1 == result->curve_count || curve[i] > curve[i - 1] || curve[i + 1] > curve[i])
            br_line_point(line, i * result->step, result->curve[i]);
}

static void set_list(struct br_report *report, const char *key, const struct br_tool_list *list)
{
    char text[512] = "";
    size_t at = 0;
    for (size_t i = 0; i < list->count && at < sizeof text - 32; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%.10g", i == 0 ? "" : ", ", list->items[i]);
    br_report_set(report, key, "%s", text);
}

static void set_configuration(struct br_report *report, const struct br_spread_question *question)
{
    br_report_set(report, "made by",
                  "the engine of this version: a user event of Serf's, nothing else going on");
    br_report_set_number(report, "seed", (double)question->seed);
    br_report_set(report, "version", "%s", BRUIT_VERSION);
    set_list(report, "nodes", &question->nodes);
    set_list(report, "fanout", &question->fanout);
    set_list(report, "loss", &question->loss);
    set_list(report, "dead", &question->dead);
    br_report_set(report, "time", "%s",
                  question->in_rounds ? "rounds: all gossip in step, and nothing early" : "as shipped");
    br_report_set(report, "network", "0.5 to 1 ms one way");
    if (question->trials != 0)
        br_report_set_number(report, "trials", (double)question->trials);
    else
        br_report_set(report, "trials", "20; 10 beyond 1,000 nodes, 5 beyond 3,000");
}

struct watch {
    size_t index;
    size_t count;
};

static bool watch_trial(void *context, uint32_t done, uint32_t trials)
{
    const struct watch *watch = context;
    br_tool_progress("rumours", ((double)watch->index + (double)done / trials) / (double)watch->count);
    return !br_tool_stopped();
}

static int ask(const struct cases *cases, struct br_report *report, bool in_rounds)
{
    static struct br_rumour_result result;
    struct br_sheet *sheet = make_sheet(report, in_rounds);
    struct br_chart *chart = br_report_chart(report, "informed", "Who has heard",
                                             in_rounds ? "rounds" : "milliseconds", "part of the live nodes");
    for (size_t i = 0; i < cases->count && !br_tool_stopped(); i++) {
        const struct br_rumour_config *config = &cases->configs[i];
        struct watch watch = {i, cases->count};
        char why[256] = "", name[96], model_name[112];
        if (br_rumour_run(config, watch_trial, &watch, &result, why, sizeof why) != 0)
            return br_tool_fail(BR_SPREAD_COMMAND, "%u engines could not be run: %s", config->nodes, why);
        if (result.trials == 0)
            break;
        (void)snprintf(name, sizeof name, "n=%u k=%u loss=%g%% dead=%g%%", config->nodes, config->fanout,
                       100 * config->loss, 100 * config->dead);
        (void)snprintf(model_name, sizeof model_name, "model %s", name);
        add_engines(sheet, config, &result);
        draw(chart, &result, name);
        if (in_rounds)
            add_model(sheet, chart, config, result.limit, model_name);
    }
    return 0;
}

int br_spread_on_engines(const struct br_spread_question *question)
{
    static struct cases cases;
    cases.count = 0;
    if (!make_cases(&cases, question))
        return 1;
    struct br_report *report = br_report_new("spread-engine", "How a rumour reaches everybody (engine)");
    set_configuration(report, question);
    br_tool_begin(report, &question->output);
    int code = ask(&cases, report, question->in_rounds);
    if (code == 0) {
        br_report_note(report,
                       "Messages are datagrams and bytes theirs, per live node. An engine sends an event 4 "
                       "ceil(log10(n + 1)) times, fewer when it hears others tell it.");
        if (question->in_rounds)
            br_report_note(report,
                           "The model is push with a blind counter. One of an engine's targets is its "
                           "successor on a ring, which the model does not know: it shortens the tail.");
        if (br_tool_stopped())
            br_report_note(report, "Stopped early: the trials counted are those that were done.");
        code = br_tool_end(BR_SPREAD_COMMAND, report, &question->output);
    }
    br_report_free(report);
    return code;
}
