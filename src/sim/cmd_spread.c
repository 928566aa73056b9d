/*
 * bruit-sim spread: how a rumour reaches everybody, beside what theory says.
 *
 * One case for each combination of the lists given. The model answers (model/model.h), and says so in every output,
 * for it is no engine; with --engine real ones do (spread_engines.c).
 */
#include "sim/spread.h"

#include "sim/machine.h"
#include "sim/model/demers.h"
#include "sim/model/model.h"

#include <bruit/error.h>

#include <math.h>
#include <string.h>

#define COMMAND BR_SPREAD_COMMAND
#define CASES_MAX 256
#define CURVES_MAX 8      /* drawn at most */
#define MEAN_FIELDS_MAX 4 /* curves of theory among them */

struct options {
    bool push, pull, push_pull, flood;
    struct br_tool_list nodes, fanout, loss, dead, interest;
    const char *variant;
    bool self_too, demers, model, engine, in_rounds;
    uint64_t trials, seed, threads;
    struct br_tool_output output;
};

#define AT(member) offsetof(struct options, member)

static const struct br_tool_flag flags[] = {
    {"How it spreads (give several to compare)", BR_TOOL_SWITCH, 0, NULL, NULL},
    {"push", BR_TOOL_SWITCH, AT(push), NULL, "Who knows tells. The default."},
    {"pull", BR_TOOL_SWITCH, AT(pull), NULL, "Who does not know asks."},
    {"push-pull", BR_TOOL_SWITCH, AT(push_pull), NULL, "Both at once."},
    {"flood", BR_TOOL_SWITCH, AT(flood), NULL,
     "Over fixed connections, as Bitcoin does: announce to all neighbours, who fetch what is new to them."},
    {"Among whom (lists with commas make one case for each combination)", BR_TOOL_SWITCH, 0, NULL, NULL},
    {"nodes", BR_TOOL_COUNTS, AT(nodes), "N", "How many nodes, up to 1G. Default: 1000."},
    {"fanout", BR_TOOL_COUNTS, AT(fanout), "K",
     "How many peers each talks to in a round; for --flood, how many connections each opens. Default: 1; 8 for "
     "--flood."},
    {"loss", BR_TOOL_PARTS, AT(loss), "P", "The part of the messages that is lost, such as 2%. Default: 0."},
    {"dead", BR_TOOL_PARTS, AT(dead), "P",
     "The part of the nodes that is dead without anybody knowing. Default: 0."},
    {"Variants (Demers et al. 1987): who knows loses interest", BR_TOOL_SWITCH, 0, NULL, NULL},
    {"variant", BR_TOOL_TEXT, AT(variant), "NAME",
     "feedback-counter, feedback-coin, blind-counter, blind-coin, or minimisation (push-pull; of two that know, the "
     "one that knows fewer useless contacts counts one). Default: nobody loses interest."},
    {"interest", BR_TOOL_COUNTS, AT(interest), "K",
     "After this many useless contacts in a row (feedback) or rounds (blind); with a coin, with probability 1/K "
     "at each. Default: 2."},
    {"demers", BR_TOOL_SWITCH, AT(demers), NULL,
     "The 13 rows of the paper's tables, ours and the paper's side by side."},
    {"How it is run", BR_TOOL_SWITCH, 0, NULL, NULL},
    {"trials", BR_TOOL_SOME, AT(trials), "T",
     "How often each case is tried. Default: 1000, fewer for many nodes."},
    {"seed", BR_TOOL_COUNT, AT(seed), "S", "The same seed gives the same answer. Default: 1."},
    {"threads", BR_TOOL_COUNT, AT(threads), "N",
     "Processors to use. Never changes the answer. Default: all."},
    {"self", BR_TOOL_SWITCH, AT(self_too), NULL,
     "A node may draw itself among its peers, in vain, as Demers' sites do."},
    {"model", BR_TOOL_SWITCH, AT(model), NULL, "Rounds in step and no engine. The default."},
    {"engine", BR_TOOL_SWITCH, AT(engine), NULL,
     "Real engines, up to 10,000: a user event of Serf's by push, in milliseconds. Default fan-out: 3."},
    {"in-rounds", BR_TOOL_SWITCH, AT(in_rounds), NULL,
     "With --engine: all gossip in step and nothing early, in rounds, with the model beside it."},
    BR_TOOL_OUTPUT_FLAGS(struct options, output),
};

static const struct br_tool_usage usage = {
    .command = COMMAND,
    .synopsis = "[FLAGS]",
    .about =
        "  How many rounds and messages it takes until a rumour that one node has is known to all, and who\n"
        "  never hears of it; beside what the literature says.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .examples = "  bruit sim spread --nodes 1M                      a million nodes, each tells one a round\n"
                "  bruit sim spread --push --pull --push-pull       who is fastest?\n"
                "  bruit sim spread --fanout 1,2,3,4 --loss 0,10%   what does fan-out buy?\n"
                "  bruit sim spread --flood --fanout 8 --nodes 10k  as Bitcoin's nodes do\n"
                "  bruit sim spread --fanout 3 --variant blind-counter --interest 4   Serf's events\n"
                "  bruit sim spread --engine --in-rounds --nodes 1k,10k   engine and model side by side\n"
                "  bruit sim spread --demers                        the tables of 1987\n"
                "  bruit sim spread --nodes 1k,10k,100k,1M --html spread.html\n",
};

static const char *const mode_names[] = {"push", "pull", "push-pull", "flood"};

/* ------------------------------------------------------------------ what is asked */

struct variant {
    const char *name;
    enum br_model_forget forget;
    bool feedback;
    bool minimise;
};

static const struct variant variants[] = {
    {"none", BR_MODEL_NEVER, false, false},        {"feedback-counter", BR_MODEL_COUNTER, true, false},
    {"feedback-coin", BR_MODEL_COIN, true, false}, {"blind-counter", BR_MODEL_COUNTER, false, false},
    {"blind-coin", BR_MODEL_COIN, false, false},   {"minimisation", BR_MODEL_COUNTER, true, true},
};
#define VARIANTS (sizeof variants / sizeof variants[0])

static const struct variant *find_variant(const char *name)
{
    const char *names[VARIANTS];
    for (size_t i = 0; i < VARIANTS; i++) {
        names[i] = variants[i].name;
        if (strcmp(variants[i].name, name) == 0)
            return &variants[i];
    }
    const char *nearest = br_tool_nearest(name, names, VARIANTS);
    if (nearest != NULL)
        (void)br_tool_fail(COMMAND, "there is no variant \"%s\": did you mean \"%s\"?", name, nearest);
    else
        (void)br_tool_fail(COMMAND, "there is no variant \"%s\": see --help for the five.", name);
    return NULL;
}

/* Enough for a mean to within a percent, at a price of seconds. */
static uint32_t usual_trials(double nodes)
{
    return nodes <= 1e4 ? 1000 : nodes <= 1e6 ? 100 : nodes <= 1e7 ? 20 : 5;
}

struct cases {
    struct br_model_config configs[CASES_MAX];
    size_t count;
};

static void put_default(struct br_tool_list *list, double value)
{
    if (list->count == 0)
        list->items[list->count++] = value;
}

/* A count of the user's as 32 bits; what does not fit is refused by the model's own check. */
static uint32_t narrowed(double count)
{
    return count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
}

/* All combinations of one way of spreading. False, with a sentence, when one of them cannot be. */
static bool add_cases(struct cases *cases, const struct options *options, enum br_model_mode mode,
                      const struct variant *variant)
{
    struct br_tool_list fanouts = options->fanout, interests = options->interest;
    put_default(&fanouts, mode == BR_MODEL_FLOOD ? 8 : 1);
    if (variant->forget != BR_MODEL_NEVER)
        put_default(&interests, 2);
    else if (interests.count == 0)
        put_default(&interests, 0);
    size_t total =
        options->nodes.count * fanouts.count * options->loss.count * options->dead.count * interests.count;
    for (size_t i = 0; i < total; i++) {
        size_t rest = i;
        if (cases->count == CASES_MAX) {
            (void)br_tool_fail(COMMAND, "more than %d combinations: ask for fewer at once.", CASES_MAX);
            return false;
        }
        struct br_model_config *config = &cases->configs[cases->count++];
        br_model_config_default(config);
        config->mode = mode;
        config->forget = variant->forget;
        config->feedback = variant->feedback;
        config->minimise = variant->minimise;
        config->self_too = options->self_too;
        config->interest = narrowed(interests.items[rest % interests.count]);
        rest /= interests.count;
        config->dead = options->dead.items[rest % options->dead.count];
        rest /= options->dead.count;
        config->loss = options->loss.items[rest % options->loss.count];
        rest /= options->loss.count;
        config->fanout = narrowed(fanouts.items[rest % fanouts.count]);
        rest /= fanouts.count;
        config->nodes = narrowed(options->nodes.items[rest]);
        config->trials =
            options->trials != 0 ? narrowed((double)options->trials) : usual_trials(config->nodes);
        config->threads = narrowed((double)options->threads);
        config->seed = options->seed;
        const char *wrong = br_model_config_check(config);
        if (wrong != NULL) {
            (void)br_tool_fail(COMMAND, "%s", wrong);
            return false;
        }
    }
    return true;
}

static bool make_cases(struct cases *cases, struct options *options)
{
    const struct variant *variant = find_variant(options->variant);
    if (variant == NULL)
        return false;
    put_default(&options->nodes, 1000);
    put_default(&options->loss, 0);
    put_default(&options->dead, 0);
    bool wanted[] = {options->push, options->pull, options->push_pull, options->flood};
    if (!wanted[0] && !wanted[1] && !wanted[2] && !wanted[3])
        wanted[variant->minimise ? BR_MODEL_PUSH_PULL : BR_MODEL_PUSH] = true;
    for (unsigned mode = 0; mode < 4; mode++)
        if (wanted[mode] && !add_cases(cases, options, (enum br_model_mode)mode, variant))
            return false;
    return true;
}

/* ------------------------------------------------------------------ running */

struct watch {
    size_t index;
    size_t count;
};

static bool watch_trial(void *context, uint32_t done, uint32_t trials)
{
    const struct watch *watch = context;
    br_tool_progress("trials", ((double)watch->index + (double)done / trials) / (double)watch->count);
    return !br_tool_stopped();
}

/* ------------------------------------------------------------------ the answer */

static const char *variant_name(const struct br_model_config *config)
{
    for (size_t i = 0; i < VARIANTS; i++)
        if (variants[i].forget == config->forget && variants[i].feedback == config->feedback &&
            variants[i].minimise == config->minimise)
            return variants[i].name;
    return "none";
}

/* What tells this case from the others. */
static void name_case(const struct cases *cases, const struct br_model_config *config, char *name,
                      size_t size)
{
    const struct br_model_config *first = &cases->configs[0];
    bool nodes = false, fanout = false, loss = false, dead = false, interest = false;
    for (size_t i = 1; i < cases->count; i++) {
        const struct br_model_config *other = &cases->configs[i];
        nodes = nodes || other->nodes != first->nodes;
        fanout = fanout || (other->fanout != first->fanout && other->mode == first->mode);
        loss = loss || other->loss != first->loss;
        dead = dead || other->dead != first->dead;
        interest = interest || other->interest != first->interest;
    }
    int at = snprintf(name, size, "%s", mode_names[config->mode]);
    if (nodes)
        at += snprintf(name + at, size - (size_t)at, " n=%u", config->nodes);
    if (fanout)
        at += snprintf(name + at, size - (size_t)at, " k=%u", config->fanout);
    if (loss)
        at += snprintf(name + at, size - (size_t)at, " loss=%g%%", 100 * config->loss);
    if (dead)
        at += snprintf(name + at, size - (size_t)at, " dead=%g%%", 100 * config->dead);
    if (interest)
        (void)snprintf(name + at, size - (size_t)at, " interest=%u", config->interest);
}

struct sheets {
    struct br_sheet *summary;
    struct br_sheet *theory;
    struct br_chart *curves;
    struct br_chart *sizes; /* NULL unless sizes are compared */
};

static struct br_sheet *make_summary(struct br_report *report)
{
    struct br_sheet *sheet = br_report_sheet(report, "summary", "What it took");
    br_sheet_column(sheet, "mode", "mode", -1);
    br_sheet_column(sheet, "nodes", "nodes", 0);
    br_sheet_column(sheet, "fanout", "k", 0);
    br_sheet_column(sheet, "loss", "loss", -1);
    br_sheet_column(sheet, "dead", "dead", -1);
    br_sheet_column(sheet, "interest", "interest", 0);
    br_sheet_column(sheet, "trials", "trials", 0);
    br_sheet_column(sheet, "rounds", "rounds", 2);
    br_sheet_column(sheet, "rounds_deviation", "+-", 2);
    br_sheet_column(sheet, "rounds_p50", "p50", 0);
    br_sheet_column(sheet, "rounds_p99", "p99", 0);
    br_sheet_column(sheet, "rounds_most", "most", 0);
    br_sheet_column(sheet, "messages", "messages", 3);
    br_sheet_column(sheet, "copies", "copies", 3);
    br_sheet_column(sheet, "residue", "residue", -1);
    br_sheet_column(sheet, "complete", "all heard", 3);
    return sheet;
}

static struct br_sheet *make_theory(struct br_report *report)
{
    struct br_sheet *sheet = br_report_sheet(report, "theory", "Rounds, beside theory");
    br_sheet_column(sheet, "case", "case", -1);
    br_sheet_column(sheet, "rounds", "model", 2);
    br_sheet_column(sheet, "formula", "formula", 2);
    br_sheet_column(sheet, "formula_text", "which", -1);
    br_sheet_column(sheet, "mean_field", "mean field", 0);
    br_sheet_column(sheet, "lower_bound", "log_{k+1} n", 2);
    return sheet;
}

static double or_none(double value)
{
    return value > 0 ? value : NAN;
}

static void add_summary(struct br_sheet *sheet, const struct br_model_config *config,
                        const struct br_model_result *result)
{
    br_sheet_text(sheet, "%s", mode_names[config->mode]);
    br_sheet_number(sheet, config->nodes);
    br_sheet_number(sheet, config->fanout);
    br_sheet_number(sheet, config->loss);
    br_sheet_number(sheet, config->dead);
    br_sheet_number(sheet, or_none(config->interest));
    br_sheet_number(sheet, result->trials);
    br_sheet_number(sheet, result->rounds.mean);
    br_sheet_number(sheet, result->rounds.deviation);
    br_sheet_number(sheet, result->rounds_p50);
    br_sheet_number(sheet, result->rounds_p99);
    br_sheet_number(sheet, result->rounds.most);
    br_sheet_number(sheet, result->messages.mean);
    br_sheet_number(sheet, result->copies.mean);
    br_sheet_number(sheet, result->residue.mean);
    br_sheet_number(sheet, (double)result->complete / result->trials);
}

static void add_theory(struct br_sheet *sheet, const char *name, const struct br_model_config *config,
                       const struct br_model_result *result)
{
    bool forgets = config->forget != BR_MODEL_NEVER;
    br_sheet_text(sheet, "%s", name);
    br_sheet_number(sheet, result->rounds.mean);
    br_sheet_number(sheet, forgets ? NAN : or_none(br_model_theory_rounds(config)));
    br_sheet_text(sheet, "%s", forgets ? "none" : br_model_theory_formula(config));
    br_sheet_number(sheet, or_none(br_model_mean_field_rounds(config)));
    br_sheet_number(sheet, config->mode == BR_MODEL_PUSH ? br_model_lower_bound(config) : NAN);
}

static void draw_theory(struct br_chart *chart, const struct br_model_config *config, uint32_t rounds)
{
    double known = 1.0 / br_model_alive(config);
    if (br_model_mean_field_rounds(config) == 0)
        return;
    struct br_line *line = br_chart_line(chart, "mean field", BR_LINE_DASHED);
    for (uint32_t round = 0; round < rounds; round++) {
        br_line_point(line, round, known);
        known = br_model_mean_field(config, known);
    }
}

static void draw_curve(struct br_chart *chart, const char *name, const double *share, uint32_t count,
                       enum br_line_style style)
{
    struct br_line *line = br_chart_line(chart, name, style);
    for (uint32_t round = 0; round < count; round++)
        br_line_point(line, round, share[round]);
}

static void draw_case(struct br_chart *chart, const char *name, const struct br_model_config *config,
                      const struct br_model_result *result, size_t cases)
{
    draw_curve(chart, name, result->curve, result->curve_count, BR_LINE_SOLID);
    if (cases <= MEAN_FIELDS_MAX)
        draw_theory(chart, config, result->curve_count);
    if (cases > 1)
        return;
    draw_curve(chart, "the least of all trials", result->curve_low, result->curve_count, BR_LINE_DASHED);
    draw_curve(chart, "the most of all trials", result->curve_high, result->curve_count, BR_LINE_DASHED);
    if (config->mode != BR_MODEL_PUSH)
        return;
    struct br_line *line = br_chart_line(chart, "Serf's formula", BR_LINE_DASHED);
    for (uint32_t round = 0; round < result->curve_count; round++)
        br_line_point(line, round, br_model_serf_formula(config, round));
}

/* Rounds by size: one line for each case that differs in more than its size. */
static void draw_sizes(struct br_chart *chart, const struct cases *cases, const double *rounds, size_t done)
{
    for (size_t first = 0; first < done; first++) {
        struct br_model_config key = cases->configs[first];
        struct br_line *line = NULL, *theory = NULL;
        bool seen = false;
        for (size_t i = 0; i < done; i++) {
            const struct br_model_config *config = &cases->configs[i];
            if (config->mode != key.mode || config->fanout != key.fanout || config->loss != key.loss ||
                config->dead != key.dead || config->interest != key.interest)
                continue;
            if (i < first)
                seen = true;
            if (seen)
                break;
            if (line == NULL) {
                char name[96];
                (void)snprintf(name, sizeof name, "%s k=%u loss=%g%% dead=%g%%", mode_names[key.mode],
                               key.fanout, 100 * key.loss, 100 * key.dead);
                line = br_chart_line(chart, name, BR_LINE_SOLID);
                if (br_model_theory_rounds(config) > 0 && key.forget == BR_MODEL_NEVER)
                    theory = br_chart_line(chart, br_model_theory_formula(config), BR_LINE_DASHED);
            }
            br_line_point(line, config->nodes, rounds[i]);
            if (theory != NULL)
                br_line_point(theory, config->nodes, br_model_theory_rounds(config));
        }
    }
}

static bool compares_sizes(const struct cases *cases)
{
    for (size_t i = 1; i < cases->count; i++)
        if (cases->configs[i].nodes != cases->configs[0].nodes)
            return true;
    return false;
}

static void set_common(struct br_report *report, const struct options *options)
{
    br_report_set(report, "made by", "a model: rounds in step, peers drawn from everybody; not the engine");
    br_report_set_number(report, "seed", (double)options->seed);
    br_report_set(report, "version", "%s", BRUIT_VERSION);
}

static void set_list(struct br_report *report, const char *key, const struct br_tool_list *list, double unit,
                     const char *suffix)
{
    char text[512] = "";
    size_t at = 0;
    for (size_t i = 0; i < list->count && at < sizeof text - 32; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%.10g%s", i == 0 ? "" : ", ",
                               list->items[i] * unit, suffix);
    if (at > 0)
        br_report_set(report, key, "%s", text);
}

static void set_configuration(struct br_report *report, const struct options *options,
                              const struct cases *cases)
{
    char modes[64] = "";
    size_t at = 0;
    for (size_t i = 0; i < cases->count; i++)
        if (i == 0 || cases->configs[i].mode != cases->configs[i - 1].mode)
            at += (size_t)snprintf(modes + at, sizeof modes - at, "%s%s", i == 0 ? "" : ", ",
                                   mode_names[cases->configs[i].mode]);
    set_common(report, options);
    br_report_set(report, "mode", "%s", modes);
    set_list(report, "nodes", &options->nodes, 1, "");
    struct br_tool_list fanouts = options->fanout;
    put_default(&fanouts, cases->configs[0].fanout);
    set_list(report, "fanout", &fanouts, 1, "");
    set_list(report, "loss", &options->loss, 100, "%");
    set_list(report, "dead", &options->dead, 100, "%");
    br_report_set(report, "variant", "%s", variant_name(&cases->configs[0]));
    struct br_tool_list interests = options->interest;
    put_default(&interests, cases->configs[0].interest);
    if (cases->configs[0].forget != BR_MODEL_NEVER)
        set_list(report, "interest", &interests, 1, "");
    br_report_set(report, "peers", "%s",
                  options->self_too ? "all different in a round, oneself among them"
                                    : "all different in a round");
    if (options->trials != 0)
        br_report_set_number(report, "trials", (double)options->trials);
    else
        br_report_set(report, "trials", "1000; 100 beyond 10,000 nodes, 20 beyond a million, 5 beyond ten");
}

static void note_case(struct br_report *report, const struct cases *cases)
{
    br_report_note(report,
                   "Messages and copies are per live node; a copy is a message that carries the rumour. "
                   "+- is the standard deviation of one trial. Residue is the part of the live nodes "
                   "that never heard.");
    if (cases->configs[0].forget == BR_MODEL_NEVER)
        br_report_note(report,
                       "Formulas: push, Frieze and Grimmett 1985, Pittel 1987; push-pull, Karp et al. "
                       "2000. They leave out a constant. The mean field is the same process with "
                       "infinitely many nodes.");
    else
        br_report_note(report, "Variants: Demers et al. 1987. For push, residue is close to e^-copies.");
}

static int run_cases(struct cases *cases, const struct options *options)
{
    static double rounds[CASES_MAX];
    static struct br_model_result result;
    struct br_report *report = br_report_new("spread", "How a rumour reaches everybody (model)");
    set_configuration(report, options, cases);
    br_tool_begin(report, &options->output);
    struct sheets sheets = {.summary = make_summary(report), .theory = make_theory(report)};
    sheets.curves = br_report_chart(report, "informed", "Who has heard", "rounds", "part of the live nodes");
    size_t done = 0;
    for (; done < cases->count && !br_tool_stopped(); done++) {
        const struct br_model_config *config = &cases->configs[done];
        struct watch watch = {done, cases->count};
        char name[128];
        int code = br_model_run(config, watch_trial, &watch, &result);
        if (code != 0) {
            br_report_free(report);
            return br_tool_fail(COMMAND, "the model could not run: %s.", bruit_strerror(code));
        }
        if (result.trials == 0)
            break;
        name_case(cases, config, name, sizeof name);
        rounds[done] = result.rounds.mean;
        add_summary(sheets.summary, config, &result);
        add_theory(sheets.theory, name, config, &result);
        if (done < CURVES_MAX)
            draw_case(sheets.curves, name, config, &result, cases->count);
    }
    if (compares_sizes(cases)) {
        sheets.sizes = br_report_chart(report, "sizes", "Rounds by size", "nodes", "rounds");
        br_chart_log_x(sheets.sizes);
        draw_sizes(sheets.sizes, cases, rounds, done);
    }
    note_case(report, cases);
    if (br_tool_stopped())
        br_report_note(report, "Stopped early: the trials counted are those that were done.");
    int code = br_tool_end(COMMAND, report, &options->output);
    br_report_free(report);
    return code;
}

/* ------------------------------------------------------------------ the tables of 1987 */

static struct br_sheet *make_demers(struct br_report *report)
{
    struct br_sheet *sheet = br_report_sheet(
        report, "demers", "Demers et al. 1987, tables 1 to 3: 1,000 sites; ours and the paper's");
    br_sheet_column(sheet, "variant", "variant", -1);
    br_sheet_column(sheet, "k", "k", 0);
    br_sheet_column(sheet, "residue", "residue s", -1);
    br_sheet_column(sheet, "residue_paper", "paper", -1);
    br_sheet_column(sheet, "copies", "updates m", 2);
    br_sheet_column(sheet, "copies_paper", "paper", 2);
    br_sheet_column(sheet, "last", "t_last", 2);
    br_sheet_column(sheet, "last_paper", "paper", 2);
    br_sheet_column(sheet, "e_to_minus_m", "e^-m", -1);
    br_sheet_column(sheet, "trials", "trials", 0);
    return sheet;
}

static void add_demers(struct br_sheet *sheet, const struct br_demers_row *row,
                       const struct br_model_result *result)
{
    br_sheet_text(sheet, "%s", row->variant);
    br_sheet_number(sheet, row->k);
    br_sheet_number(sheet, result->residue.mean);
    br_sheet_number(sheet, row->residue_paper);
    br_sheet_number(sheet, result->copies.mean);
    br_sheet_number(sheet, row->updates_paper);
    br_sheet_number(sheet, result->rounds.mean);
    br_sheet_number(sheet, row->last_paper);
    br_sheet_number(sheet, row->mode == BR_MODEL_PUSH ? exp(-result->copies.mean) : NAN);
    br_sheet_number(sheet, result->trials);
}

static int run_demers(const struct options *options)
{
    static struct br_model_result result;
    struct br_report *report = br_report_new("demers", "Rumours that lose interest (model)");
    set_common(report, options);
    br_report_set_number(report, "nodes", 1000);
    br_tool_begin(report, &options->output);
    struct br_sheet *sheet = make_demers(report);
    for (size_t i = 0; i < BR_DEMERS_ROWS && !br_tool_stopped(); i++) {
        struct br_model_config config;
        struct watch watch = {i, BR_DEMERS_ROWS};
        br_demers_config(&br_demers_rows[i], &config);
        config.seed = options->seed;
        config.threads = narrowed((double)options->threads);
        if (options->trials != 0)
            config.trials = narrowed((double)options->trials);
        const char *wrong = br_model_config_check(&config);
        if (wrong != NULL || br_model_run(&config, watch_trial, &watch, &result) != 0) {
            br_report_free(report);
            return br_tool_fail(COMMAND, "%s",
                                wrong != NULL ? wrong : "the model ran out of memory: free some.");
        }
        if (result.trials > 0)
            add_demers(sheet, &br_demers_rows[i], &result);
    }
    br_report_note(report,
                   "Useless contacts count in a row, judged by the state at the start of the cycle: so "
                   "the paper's figures come out. Its t_ave does not, and is left out.");
    int code = br_tool_end(COMMAND, report, &options->output);
    br_report_free(report);
    return code;
}

/* ------------------------------------------------------------------ */

/* What only the model can answer; NULL: nothing was asked that the engine cannot. */
static const char *beyond_engine(const struct options *options)
{
    if (options->model)
        return "--model and --engine are two answers: choose one.";
    if (options->pull || options->push_pull || options->flood)
        return "the engine spreads rumours by push: leave --pull, --push-pull and --flood to the model.";
    if (strcmp(options->variant, "none") != 0 || options->interest.count > 0 || options->self_too ||
        options->demers)
        return "--variant, --interest, --self and --demers are the model's: leave out --engine.";
    return NULL;
}

static int run_engines(struct options *options)
{
    const char *wrong = beyond_engine(options);
    if (wrong != NULL)
        return br_tool_fail(COMMAND, "%s", wrong);
    put_default(&options->nodes, 1000);
    put_default(&options->fanout, 3);
    put_default(&options->loss, 0);
    put_default(&options->dead, 0);
    struct br_spread_question question = {.nodes = options->nodes,
                                          .fanout = options->fanout,
                                          .loss = options->loss,
                                          .dead = options->dead,
                                          .trials = options->trials,
                                          .seed = options->seed,
                                          .in_rounds = options->in_rounds,
                                          .output = options->output};
    br_tool_catch_stop(NULL);
    return br_spread_on_engines(&question);
}

static int run(int argc, char **argv)
{
    static struct cases cases;
    struct options options = {
        .variant = "none", .seed = 1, .threads = br_machine_processors()};
    int used = br_tool_parse(&usage, &options, argc, argv);
    if (used < 0)
        return used == -1 ? 0 : 1;
    if (used < argc)
        return br_tool_fail(COMMAND, "\"%s\" is no flag, and this command takes nothing else: see --help.",
                            argv[used]);
    if (options.output.json && options.output.csv)
        return br_tool_fail(COMMAND, "--json and --csv both want stdout: choose one.");
    if (options.in_rounds && !options.engine)
        return br_tool_fail(COMMAND, "--in-rounds is for --engine: the model knows nothing but rounds.");
    if (options.engine)
        return run_engines(&options);
    cases.count = 0;
    if (!options.demers && !make_cases(&cases, &options))
        return 1;
    br_tool_catch_stop(NULL);
    return options.demers ? run_demers(&options) : run_cases(&cases, &options);
}

const struct br_tool_command br_tool_spread = {
    .name = "spread",
    .synopsis = "How a rumour reaches everybody: push, pull, push-pull, flooding",
    .run = run,
};
