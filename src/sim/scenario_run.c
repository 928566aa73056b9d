/* A run from its beginning to its end; see scenario_run.h. */
#include "sim/scenario_run.h"

#include "base/num.h"
#include "sim/machine.h"
#include "sim/record.h"

#include <bruit/cipher.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* How often pending expectations are looked at, and checkers look. */
#define LOOK_EVERY (100 * BRUIT_MILLISECOND)
#define CHECK_EVERY BRUIT_SECOND
/* What a run without `for` goes on after its last statement. */
#define AFTERWARDS (10 * BRUIT_SECOND)
#define SETTLE_MAX (3600 * BRUIT_SECOND)
/* Links that lose more than this may give false verdicts their due. */
#define FAIR_LOSS 100000u

const struct br_check *const br_checks[BR_CHECK_COUNT] = {
    [BR_CHECK_COMPLETENESS] = &br_check_completeness,
    [BR_CHECK_ACCURACY] = &br_check_accuracy,
    [BR_CHECK_CONVERGENCE] = &br_check_convergence,
    [BR_CHECK_INCARNATIONS] = &br_check_incarnations,
    [BR_CHECK_RESURRECTION] = &br_check_resurrection,
    [BR_CHECK_BOUNDS] = &br_check_bounds,
    [BR_CHECK_BUDGET] = &br_check_budget,
    [BR_CHECK_EVIDENCE] = &br_check_evidence,
};

/* ------------------------------------------------------------------ findings */

static void add_finding(struct br_run *run, struct br_finding finding, const char *format, va_list arguments)
{
    run->finding_total++;
    run->is_stopping = run->is_stopping || run->wants_stop;
    if (run->finding_count == BR_FINDINGS_MAX)
        return;
    finding.time = br_run_now(run);
    (void)vsnprintf(finding.text, sizeof finding.text, format, arguments);
    run->findings[run->finding_count++] = finding;
    if (run->is_stopping)
        bruit_sim_interrupt(run->sim);
}

void br_run_find(struct br_run *run, const struct br_check *check, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    struct br_finding finding = {.kind = check->is_liveness ? BR_OUTCOME_STUCK : BR_OUTCOME_WRONG,
                                 .check = check->name};
    add_finding(run, finding, format, arguments);
    va_end(arguments);
}

void br_run_find_line(struct br_run *run, const struct br_statement *s, enum br_outcome kind,
                      const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    struct br_finding finding = {.kind = kind, .line = s->line};
    add_finding(run, finding, format, arguments);
    va_end(arguments);
}

enum br_outcome br_run_outcome(const struct br_run *run)
{
    return run->finding_count == 0 ? BR_OUTCOME_GOOD : run->findings[0].kind;
}

/* ------------------------------------------------------------------ the ledger, read */

bruit_time br_run_now(const struct br_run *run)
{
    return bruit_sim_time(run->sim, 0);
}

bruit_time br_run_calm_since(const struct br_run *run)
{
    bruit_time since = run->network_well_since;
    for (uint32_t i = 0; i < run->count && since != BRUIT_NEVER; i++)
        if (run->nodes[i].well_since > since)
            since = run->nodes[i].well_since;
    return since;
}

bruit_time br_run_still_since(const struct br_run *run)
{
    bruit_time since = br_run_calm_since(run);
    return since < run->changed ? run->changed : since;
}

bool br_run_is_member(const struct br_run *run, uint32_t node)
{
    return run->nodes[node].stopped == BRUIT_NEVER && !run->nodes[node].has_left;
}

uint32_t br_run_incarnation(struct br_run *run, uint32_t node)
{
    const struct bruit_engine *engine = bruit_sim_engine(run->sim, node);
    struct bruit_member self;
    if (engine != NULL && bruit_member_get(engine, bruit_member_self(engine), &self) == 0 &&
        self.incarnation > run->nodes[node].incarnation)
        run->nodes[node].incarnation = self.incarnation;
    return run->nodes[node].incarnation;
}

bruit_time br_run_suspicion_max(const struct br_run *run)
{
    const struct bruit_config *config = &run->scenario->config.engine;
    bruit_time interval = config->probe_interval > 0 ? config->probe_interval : BRUIT_SECOND;
    return br_num_suspicion_timeout(config->suspicion_mult, run->capacity, interval) *
           (config->suspicion_max_mult > 0 ? config->suspicion_max_mult : 1);
}

/* Whatever the threshold is, so many missed beats are enough at the sizes of scenarios. */
#define HEARTBEATS 90

/*
 * Each member probes everybody once in n rounds, twice n in the worst order; Lifeguard stretches rounds while it
 * distrusts itself, which wears off in a round each.
 */
bruit_time br_run_detection_max(const struct br_run *run)
{
    const struct bruit_config *config = &run->scenario->config.engine;
    if (config->detector == BRUIT_DETECTOR_HEARTBEAT)
        return HEARTBEATS * config->heartbeat.interval + 2 * config->push_pull_interval + 30 * BRUIT_SECOND;
    return (2 * (bruit_time)run->capacity + config->awareness_max + 2) * config->probe_interval +
           2 * br_run_suspicion_max(run) + 2 * config->push_pull_interval + 30 * BRUIT_SECOND;
}

uint32_t br_run_first(const struct br_run *run, const struct br_node_set *set, uint32_t but)
{
    for (uint32_t i = 0; i < run->count; i++)
        if (i != but && br_scenario_has(run->scenario, set, run->scenario->config.seed, i))
            return i;
    return BRUIT_SIM_NOBODY;
}

/* ------------------------------------------------------------------ what the world tells */

static bool is_on(const struct br_run *run, size_t check)
{
    return (run->checks_on >> check & 1u) != 0;
}

static int on_configure(void *context, struct bruit_sim *sim, uint32_t node, struct bruit_config *engine)
{
    struct br_run *run = context;
    const struct br_scenario *scenario = run->scenario;
    (void)sim;
    for (uint32_t i = 0; i < scenario->node_setting_count; i++)
        if (br_scenario_has(scenario, &scenario->node_settings[i].who, scenario->config.seed, node))
            br_scenario_key_copy(engine, &scenario->node_settings[i].value, scenario->node_settings[i].key);
    if (run->recorder != NULL)
        br_recorder_configured(run->recorder, node, engine);
    return 0;
}

static void on_start(void *context, struct bruit_sim *sim, uint32_t node, struct bruit_engine *engine)
{
    struct br_run *run = context;
    (void)engine;
    if (run->recorder != NULL)
        br_recorder_started(run->recorder, node, bruit_sim_clock(sim, node));
    br_run_note_start(run, node);
    for (size_t i = 0; i < BR_CHECK_COUNT; i++)
        if (is_on(run, i) && br_checks[i]->on_start != NULL)
            br_checks[i]->on_start(run, run->check_state[i], node);
}

static void on_stop(void *context, struct bruit_sim *sim, uint32_t node, struct bruit_engine *engine)
{
    struct br_run *run = context;
    (void)sim;
    if (run->recorder != NULL)
        br_recorder_stopped(run->recorder, node, engine);
    (void)br_run_incarnation(run, node);
    br_run_note_stop(run, node);
}

static void tell_change(struct br_run *run, uint32_t node, const struct bruit_event *event)
{
    struct br_told told = {.changes = event->changes};
    if (bruit_member_get(bruit_sim_engine(run->sim, node), event->node, &told.member) != 0)
        return;
    told.about = bruit_sim_named(run->sim, told.member.name);
    br_run_judge_told(run, node, &told);
    for (size_t i = 0; i < BR_CHECK_COUNT; i++)
        if (is_on(run, i) && br_checks[i]->on_told != NULL)
            br_checks[i]->on_told(run, run->check_state[i], node, &told);
}

static void on_event(void *context, struct bruit_sim *sim, uint32_t node, const struct bruit_event *event)
{
    struct br_run *run = context;
    (void)sim;
    if (event->type == BRUIT_EVENT_MEMBER)
        tell_change(run, node, event);
    br_run_heard(run, node, event);
}

static int on_load(void *context, struct bruit_sim *sim, uint32_t node, struct bruit_engine *engine,
                   struct bruit_bytes space, struct bruit_bytes key, struct bruit_bytes value)
{
    (void)context;
    (void)sim;
    (void)node;
    return br_scenario_load(engine, space, key, value);
}

static bool on_packet(void *context, struct bruit_sim *sim, const struct bruit_sim_packet *packet)
{
    struct br_run *run = context;
    (void)sim;
    for (size_t i = 0; i < BR_CHECK_COUNT; i++)
        if (is_on(run, i) && br_checks[i]->on_packet != NULL)
            br_checks[i]->on_packet(run, run->check_state[i], packet);
    return true;
}

static void on_input(void *context, struct bruit_sim *sim, uint32_t node, const struct bruit_sim_input *input)
{
    struct br_run *run = context;
    br_recorder_input(run->recorder, sim, node, input);
}

static void print_record(struct br_run *run, uint32_t node, const struct bruit_trace_record *record)
{
    char text[600];
    struct bruit_bytes name = bruit_sim_name(run->sim, node);
    (void)bruit_trace_text(record, text, sizeof text);
    bruit_time now = br_run_now(run);
    (void)fprintf(run->trace, "%6" PRIu64 ".%06u s  %-5.*s %-5s %s: %s\n", now / BRUIT_SECOND,
                  (unsigned)(now % BRUIT_SECOND / 1000), (int)name.size, (const char *)name.data,
                  bruit_trace_level_name(record->level), bruit_trace_component(record), text);
}

static void on_trace(void *context, struct bruit_sim *sim, uint32_t node,
                     const struct bruit_trace_record *record)
{
    struct br_run *run = context;
    (void)sim;
    if (run->trace != NULL)
        print_record(run, node, record);
    if (run->recorder != NULL)
        br_recorder_trace(run->recorder, node, record);
    br_run_judge_trace(run, node, record);
    for (size_t i = 0; i < BR_CHECK_COUNT; i++)
        if (is_on(run, i) && br_checks[i]->on_trace != NULL)
            br_checks[i]->on_trace(run, run->check_state[i], node, record);
}

/* ------------------------------------------------------------------ birth */

static int fail(char *why, size_t why_size, int status, const char *text)
{
    (void)snprintf(why, why_size, "%s", text);
    return status;
}

/* What the runner and the checkers hold themselves: some bytes for each pair of nodes. */
#define BYTES_A_PAIR 40

static int check_memory(const struct bruit_sim_config *config, const struct br_run_options *options,
                        uint32_t capacity, char *why, size_t why_size)
{
    uint64_t have = options->memory_max > 0 ? options->memory_max : br_machine_memory();
    uint64_t need = bruit_sim_memory_needed(config) + (uint64_t)capacity * capacity * BYTES_A_PAIR;
    if (have == 0 || need <= have)
        return 0;
    (void)snprintf(
        why, why_size,
        "%u nodes that all know each other need some %.1f GiB, and %.1f GiB are free: take fewer nodes",
        (unsigned)config->nodes, (double)need / 1073741824.0, (double)have / 1073741824.0);
    return BRUIT_ETOOBIG;
}

/* Whether somebody might be told what nobody said. */
static bool is_forgeable(const struct br_scenario *scenario)
{
    bool is = scenario->config.link.corrupt > 0 || (scenario->has_across && scenario->across.corrupt > 0);
    for (uint32_t i = 0; i < scenario->statement_count; i++) {
        const struct br_statement *s = &scenario->statements[i];
        is = is || s->verb == BR_ACT_THROW || (s->verb == BR_ACT_NETWORK && s->link.corrupt > 0) ||
             (s->verb == BR_ACT_RULE && s->rule.corrupt > 0);
    }
    return is && scenario->key_count == 0;
}

/* The scenario's configuration, and the runner's ears. Module pointers and keys live in the run's frame. */
static void fill_config(struct br_run *run, struct bruit_sim_config *config,
                        const struct bruit_module **modules)
{
    const struct br_scenario *scenario = run->scenario;
    *config = scenario->config;
    config->context = run;
    config->configure = on_configure;
    config->on_start = on_start;
    config->on_stop = on_stop;
    config->on_load = on_load;
    config->on_event = on_event;
    config->on_trace = on_trace;
    config->on_packet = on_packet;
    config->on_input = run->recorder != NULL ? on_input : NULL;
    config->shards = 1;
    config->trace_level = BRUIT_TRACE_DEBUG;
    config->engine.modules = modules;
    config->engine.module_count = 0;
    for (size_t i = 0; i < br_scenario_module_count; i++)
        if (scenario->modules >> i & 1u)
            modules[config->engine.module_count++] = br_scenario_modules[i].module;
    config->engine.keys = scenario->key_bytes;
    config->engine.key_count = scenario->key_count;
    if (run->has_cipher)
        config->cipher = &run->cipher;
}

static int make_links(struct br_run *run, struct bruit_sim_config *config, struct bruit_sim_link **links)
{
    uint32_t zones = config->zones;
    *links = NULL;
    if (!run->scenario->has_across || zones < 2)
        return 0;
    *links = malloc((size_t)zones * zones * sizeof **links);
    if (*links == NULL)
        return BRUIT_ENOMEM;
    for (uint32_t i = 0; i < zones * zones; i++)
        (*links)[i] = i / zones == i % zones ? config->link : run->scenario->across;
    config->links = *links;
    return 0;
}

static int begin_checks(struct br_run *run)
{
    for (size_t i = 0; i < BR_CHECK_COUNT; i++) {
        if (run->scenario->checks_off >> i & 1u)
            continue;
        if (br_checks[i]->begin != NULL && br_checks[i]->begin(run, &run->check_state[i]) != 0)
            return BRUIT_ENOMEM;
        run->checks_on |= 1u << i;
    }
    return 0;
}

static int populate(struct br_run *run)
{
    int status = 0;
    if (run->scenario->begin == BR_BEGIN_KNOWN) {
        status = bruit_sim_preload(run->sim);
        if (status == 0 && run->recorder != NULL)
            br_recorder_preloaded(run->recorder, run->sim);
        return status;
    }
    for (uint32_t i = 0; i < run->count; i++)
        run->nodes[i].join = BR_JOIN_ALONE; /* until somebody says otherwise */
    for (uint32_t i = 0; i < run->count && run->scenario->begin == BR_BEGIN_ALONE && status == 0; i++)
        status = bruit_sim_start(run->sim, i);
    return status;
}

static int fill(struct br_run *run, const struct br_run_options *options, char *why, size_t why_size)
{
    const struct bruit_module *modules[16];
    struct bruit_sim_config config;
    struct bruit_sim_link *links;
    run->capacity = run->scenario->config.nodes + run->scenario->clones;
    run->count = run->scenario->config.nodes;
    if (run->scenario->key_count > 0) {
        run->has_cipher = bruit_cipher_openssl(&run->cipher) == 0;
        if (!run->has_cipher)
            return fail(why, why_size, BRUIT_ENOSYS, bruit_cipher_openssl_hint());
    }
    fill_config(run, &config, modules);
    int status = check_memory(&config, options, run->capacity, why, why_size);
    if (status != 0)
        return status;
    run->nodes = calloc(run->capacity, sizeof *run->nodes);
    run->statements = calloc(run->scenario->statement_count + 1, sizeof *run->statements);
    if (run->nodes == NULL || run->statements == NULL || make_links(run, &config, &links) != 0)
        return fail(why, why_size, BRUIT_ENOMEM, "there is not enough memory for this run");
    for (uint32_t i = 0; i < run->capacity; i++) {
        run->nodes[i].run = run;
        run->nodes[i].target = BRUIT_SIM_NOBODY;
    }
    run->is_forgeable = is_forgeable(run->scenario);
    for (uint32_t i = 0; i < run->scenario->statement_count; i++)
        run->has_events = run->has_events || run->scenario->statements[i].verb == BR_ACT_EVENT ||
                          run->scenario->statements[i].verb == BR_ACT_QUERY;
    run->has_fair_network = config.link.loss <= FAIR_LOSS && config.link.burst_every == 0 &&
                            config.link.corrupt == 0 && config.bandwidth_up == 0 && config.link.mtu == 0 &&
                            (!run->scenario->has_across ||
                             (run->scenario->across.loss <= FAIR_LOSS &&
                              run->scenario->across.burst_every == 0 && run->scenario->across.mtu == 0));
    /* The world copies its configuration, but not what the engines' points to: it must outlive this frame. */
    const struct bruit_module **kept = malloc(sizeof modules);
    if (kept == NULL) {
        free(links);
        return fail(why, why_size, BRUIT_ENOMEM, "there is not enough memory for this run");
    }
    memcpy(kept, modules, sizeof modules);
    run->modules = kept;
    config.engine.modules = kept;
    status = bruit_sim_new(&run->sim, &config, why, why_size);
    free(links);
    if (status != 0)
        return status;
    status = begin_checks(run);
    if (status == 0)
        status = br_run_schedule(run);
    if (status == 0)
        status = populate(run);
    return status == 0 ? 0 : fail(why, why_size, status, bruit_strerror(status));
}

int br_run_new(struct br_run **out, const struct br_scenario *scenario, const struct br_run_options *options,
               char *why, size_t why_size)
{
    struct br_run *run = calloc(1, sizeof *run);
    if (run == NULL)
        return fail(why, why_size, BRUIT_ENOMEM, "there is not enough memory for this run");
    run->scenario = scenario;
    run->wants_stop = options->stop_at_first;
    run->trace = options->trace;
    run->recorder = options->recorder;
    run->on_progress = options->on_progress;
    int status = fill(run, options, why, why_size);
    if (status != 0) {
        br_run_free(run);
        return status;
    }
    *out = run;
    return 0;
}

void br_run_free(struct br_run *run)
{
    if (run == NULL)
        return;
    run->recorder = NULL;
    run->checks_on = 0;
    bruit_sim_free(run->sim);
    for (uint32_t i = 0; run->statements != NULL && i < run->scenario->statement_count; i++) {
        free(run->statements[i].nodes);
        free(run->statements[i].observers);
        free(run->statements[i].subjects);
    }
    for (size_t i = 0; i < BR_CHECK_COUNT; i++) {
        if (br_checks[i]->end != NULL)
            br_checks[i]->end(run->check_state[i]);
        free(run->check_state[i]);
    }
    free(run->statements);
    free(run->nodes);
    free(run->modules);
    if (run->has_cipher)
        bruit_cipher_openssl_close(&run->cipher);
    free(run);
}

/* ------------------------------------------------------------------ time passes */

static bruit_time end_of(const struct br_scenario *scenario)
{
    bruit_time end = 0;
    for (uint32_t i = 0; i < scenario->statement_count; i++) {
        const struct br_statement *s = &scenario->statements[i];
        bruit_time over = s->at + s->over + s->after + s->length + s->within + s->stays;
        end = over > end ? over : end;
    }
    return end;
}

static void look(struct br_run *run)
{
    for (size_t i = 0; i < BR_CHECK_COUNT && !run->is_stopping; i++)
        if (is_on(run, i) && br_checks[i]->look != NULL)
            br_checks[i]->look(run, run->check_state[i]);
}

/* To `until`, stopping to look. False: interrupted. */
static bool run_until(struct br_run *run, bruit_time until)
{
    bruit_time next_look = (br_run_now(run) / CHECK_EVERY + 1) * CHECK_EVERY;
    while (br_run_now(run) < until) {
        bruit_time next =
            br_run_has_pending(run) ? br_run_now(run) / LOOK_EVERY * LOOK_EVERY + LOOK_EVERY : next_look;
        bruit_sim_run_until(run->sim, next < until ? next : until);
        if (run->is_stopping || bruit_sim_interrupted(run->sim))
            return false;
        br_run_judge(run, false);
        if (br_run_now(run) >= next_look) {
            look(run);
            next_look += CHECK_EVERY;
            if (run->on_progress != NULL && run->end > 0)
                run->on_progress((double)br_run_now(run) / (double)run->end);
        }
        if (run->is_stopping)
            return false;
    }
    return true;
}

/*
 * Until all agree, and for a while longer. The convergence check ends this when it takes too long; when that is
 * switched off, or trouble never ends, a while does.
 */
static bool settle(struct br_run *run)
{
    bruit_time agreed = BRUIT_NEVER, start = br_run_now(run);
    uint64_t findings = run->finding_total;
    while (agreed == BRUIT_NEVER || br_run_now(run) < agreed + run->scenario->settle) {
        if (run->finding_total > findings || br_run_now(run) > start + SETTLE_MAX)
            return true;
        if (!run_until(run, br_run_now(run) + BRUIT_SECOND))
            return false;
        if (agreed == BRUIT_NEVER && br_run_agrees(run))
            agreed = br_run_now(run);
    }
    return true;
}

bool br_run_all(struct br_run *run)
{
    const struct br_scenario *scenario = run->scenario;
    bruit_time end = end_of(scenario);
    if (scenario->length > 0)
        end = scenario->length;
    else if (scenario->settle == 0)
        end += AFTERWARDS;
    run->end = end + scenario->settle;
    bool is_whole = run_until(run, end) && (scenario->settle == 0 || settle(run));
    if (is_whole)
        br_run_judge(run, true);
    (void)bruit_sim_interrupted(run->sim);
    return is_whole || run->is_stopping;
}
