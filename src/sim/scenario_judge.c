/*
 * What a scenario expects of its cluster, compared with what is.
 *
 * An expectation is looked at from its time on until it holds, at most as long as it may take; then, if it is to
 * stay, until it has stayed. What must never be is judged when it is told or traced.
 */
#include "sim/scenario_run.h"

#include <bruit/event.h>
#include <bruit/status.h>

#include <inttypes.h>

#define WHY_MAX 200

static const char *state_name(int state)
{
    static const char *const names[] = {"alive", "suspect", "dead", "left"};
    return state >= 0 && state < 4 ? names[state] : "unknown";
}

static bool is_observer(const struct br_run_statement *st, uint32_t node)
{
    return st->observers == NULL || st->observers[node] != 0;
}

static bool fits(uint32_t wanted, int state)
{
    switch (wanted) {
    case BR_STATE_UNKNOWN: return state < 0;
    case BR_STATE_GONE: return state < 0 || state >= BRUIT_DEAD;
    case BR_STATE_HERE: return state == BRUIT_ALIVE || state == BRUIT_SUSPECT;
    default: return state == (int)wanted;
    }
}

/* ------------------------------------------------------------------ does it hold now? */

static bool holds_state(const struct br_run_statement *st, char why[WHY_MAX])
{
    const struct br_run *run = st->run;
    for (uint32_t o = 0; o < run->count; o++) {
        if (!is_observer(st, o) || !br_run_is_member(run, o))
            continue;
        for (uint32_t x = 0; x < run->count; x++) {
            int state = x == o || !st->subjects[x] ? -2 : bruit_sim_belief(run->sim, o, x);
            if (state == -2 || fits(st->statement->number, state))
                continue;
            (void)snprintf(why, WHY_MAX, "to n%u, n%u is %s", (unsigned)o, (unsigned)x, state_name(state));
            return false;
        }
    }
    return true;
}

/* Who disagrees, when somebody does. */
static bool holds_one_view(const struct br_run *run, char why[WHY_MAX])
{
    if (bruit_sim_all_agree(run->sim, NULL))
        return true;
    (void)snprintf(why, WHY_MAX, "some know members that no node is");
    for (uint32_t o = 0; o < run->count; o++)
        for (uint32_t x = 0; x < run->count && bruit_sim_engine(run->sim, o) != NULL; x++) {
            int state = bruit_sim_belief(run->sim, o, x);
            bool runs = bruit_sim_engine(run->sim, x) != NULL;
            if (o == x || (runs ? state == BRUIT_ALIVE : state != BRUIT_ALIVE && state != BRUIT_SUSPECT))
                continue;
            (void)snprintf(why, WHY_MAX, "to n%u, n%u is %s, and it %s", (unsigned)o, (unsigned)x,
                           state_name(state), runs ? "runs" : "does not run");
            return false;
        }
    return false;
}

static size_t queued_by_modules(const struct bruit_engine *engine)
{
    size_t count = 0;
    if (bruit_engine_module(engine, &bruit_event_module) != NULL)
        count += bruit_event_queued(engine);
    if (bruit_engine_module(engine, &bruit_status_module) != NULL)
        count += bruit_status_queued(engine);
    return count;
}

static bool holds_of_stats(const struct br_run_statement *st, char why[WHY_MAX])
{
    const struct br_run *run = st->run;
    const struct br_statement *s = st->statement;
    struct bruit_stats stats;
    for (uint32_t o = 0; o < run->count; o++) {
        if (!is_observer(st, o) || bruit_sim_engine(run->sim, o) == NULL)
            continue;
        bruit_stats_get(bruit_sim_engine(run->sim, o), &stats);
        if (s->verb == BR_EXPECT_DROP && stats.drops[s->number] > 0)
            return true;
        /* Its own birth is news that somebody alone keeps for the first who comes. */
        bool is_alone = bruit_member_alive_count(bruit_sim_engine(run->sim, o)) == 1;
        size_t queued = (is_alone ? 0 : stats.rumours) + queued_by_modules(bruit_sim_engine(run->sim, o));
        if (s->verb == BR_EXPECT_QUIET && queued > 0) {
            (void)snprintf(why, WHY_MAX, "n%u has %zu rumours and events to tell", (unsigned)o, queued);
            return false;
        }
        if (s->verb == BR_EXPECT_MEMORY && stats.memory >= s->size) {
            (void)snprintf(why, WHY_MAX, "n%u holds %" PRIu64 " bytes", (unsigned)o, stats.memory);
            return false;
        }
    }
    if (s->verb == BR_EXPECT_DROP)
        (void)snprintf(why, WHY_MAX, "nobody did");
    return s->verb != BR_EXPECT_DROP;
}

/* Each of the nodes has heard the event, has its answers, was refused something. */
static bool holds_of_requests(const struct br_run_statement *st, char why[WHY_MAX])
{
    const struct br_run *run = st->run;
    for (uint32_t o = 0; o < run->count; o++) {
        const struct br_run_node *node = &run->nodes[o];
        if (!is_observer(st, o) || !br_run_is_member(run, o))
            continue;
        bool is_so = st->statement->verb == BR_EXPECT_HEARD      ? st->subjects[o] != 0
                     : st->statement->verb == BR_EXPECT_ANSWERED ? node->is_answered
                                                                 : node->refused > 0;
        if (is_so)
            continue;
        (void)snprintf(why, WHY_MAX, "not at n%u", (unsigned)o);
        return false;
    }
    return true;
}

static bool holds(const struct br_run_statement *st, char why[WHY_MAX])
{
    switch (st->statement->verb) {
    case BR_EXPECT_ONE_VIEW: return holds_one_view(st->run, why);
    case BR_EXPECT_STATE: return holds_state(st, why);
    case BR_EXPECT_HEARD:
    case BR_EXPECT_ANSWERED:
    case BR_EXPECT_REFUSED: return holds_of_requests(st, why);
    case BR_EXPECT_TRACE: (void)snprintf(why, WHY_MAX, "nobody wrote it"); return st->is_seen;
    default: return holds_of_stats(st, why);
    }
}

/* ------------------------------------------------------------------ expectations */

static bool is_expectation(const struct br_run_statement *st)
{
    return st->statement->verb >= BR_EXPECT_ONE_VIEW && st->statement->verb <= BR_EXPECT_REFUSED;
}

static void disappointed(struct br_run_statement *st, const char *what, const char *why)
{
    st->is_over = true;
    br_run_find_line(st->run, st->statement, BR_OUTCOME_STUCK, "what was expected %s: %s", what, why);
}

static void judge(struct br_run_statement *st, bool is_end)
{
    const struct br_statement *s = st->statement;
    bruit_time now = br_run_now(st->run);
    char why[WHY_MAX];
    bool held_before = st->held_since != BRUIT_NEVER;
    if (now < s->at) {
        if (is_end)
            disappointed(st, "comes after the end of the run", "make \"for\" longer");
        return;
    }
    bool is_held = holds(st, why);
    if (is_held && !held_before)
        st->held_since = now;
    if (!is_held && held_before)
        disappointed(st, "did not last", why);
    else if (!is_held && (is_end || now >= s->at + s->within))
        disappointed(st, "is not so", why);
    else if (is_held && now - st->held_since >= s->stays)
        st->is_over = true;
}

void br_run_judge(struct br_run *run, bool is_end)
{
    for (uint32_t i = 0; i < run->scenario->statement_count; i++) {
        struct br_run_statement *st = &run->statements[i];
        if (is_expectation(st) && !st->is_over && (is_end || br_run_now(run) >= st->statement->at))
            judge(st, is_end);
    }
}

bool br_run_has_pending(const struct br_run *run)
{
    bruit_time soon = br_run_now(run) + BRUIT_SECOND;
    for (uint32_t i = 0; i < run->scenario->statement_count; i++)
        if (is_expectation(&run->statements[i]) && !run->statements[i].is_over &&
            run->statements[i].statement->at <= soon)
            return true;
    return false;
}

/* ------------------------------------------------------------------ what must never be */

static bool is_in_time(const struct br_run *run, const struct br_statement *s)
{
    bruit_time now = br_run_now(run);
    return now >= s->at && now < s->until;
}

void br_run_judge_told(struct br_run *run, uint32_t node, const struct br_told *told)
{
    for (uint32_t i = 0; i < run->scenario->statement_count; i++) {
        struct br_run_statement *st = &run->statements[i];
        const struct br_statement *s = st->statement;
        if (s->verb != BR_NEVER_CHANGE || !(told->changes & s->number) || told->about == BRUIT_SIM_NOBODY)
            continue;
        if (st->subjects[told->about] && is_observer(st, node) && node != told->about && is_in_time(run, s))
            br_run_find_line(run, s, BR_OUTCOME_WRONG, "n%u was told: n%u %s (incarnation %u)",
                             (unsigned)node, (unsigned)told->about, s->word,
                             (unsigned)told->member.incarnation);
    }
}

void br_run_judge_trace(struct br_run *run, uint32_t node, const struct bruit_trace_record *record)
{
    for (uint32_t i = 0; i < run->scenario->statement_count; i++) {
        struct br_run_statement *st = &run->statements[i];
        const struct br_statement *s = st->statement;
        if ((s->verb != BR_NEVER_TRACE && s->verb != BR_EXPECT_TRACE) || s->number != record->id ||
            !is_observer(st, node))
            continue;
        if (s->verb == BR_EXPECT_TRACE) {
            st->is_seen = st->is_seen || br_run_now(run) >= s->at;
        } else if (is_in_time(run, s)) {
            char text[200];
            (void)bruit_trace_text(record, text, sizeof text);
            br_run_find_line(run, s, BR_OUTCOME_WRONG, "n%u wrote: %s", (unsigned)node, text);
        }
    }
}
