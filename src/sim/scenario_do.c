/*
 * What a scenario does to its cluster, and the ledger of it.
 *
 * Each statement is an entry of bruit_sim_at(), which comes back for the next node when turns are spread over time,
 * and to set right what was to last for a while only. Here also is what an agent does and an engine does not: ask
 * again when nobody could be joined, and end after saying goodbye.
 */
#include "sim/scenario_run.h"

#include <stdlib.h>
#include <string.h>

/* Agents give a leave that long (docs/wire/serf-agent.md), and linger for Serf's leave_propagate_delay. */
#define LEAVE_TIMEOUT (5 * BRUIT_SECOND)
#define LINGER BRUIT_SECOND

/* ------------------------------------------------------------------ the ledger, written */

static void trouble(struct br_run *run, uint32_t node)
{
    run->nodes[node].troubles++;
    run->nodes[node].well_since = BRUIT_NEVER;
}

static void relief(struct br_run *run, uint32_t node)
{
    struct br_run_node *entry = &run->nodes[node];
    if (entry->troubles > 0 && --entry->troubles == 0)
        entry->well_since = br_run_now(run);
}

/* Something happened to it that is over as it happens, but has consequences. */
static void shock(struct br_run *run, uint32_t node)
{
    if (run->nodes[node].troubles == 0)
        run->nodes[node].well_since = br_run_now(run);
}

static void network_changed(struct br_run *run)
{
    run->network_well_since = run->rules > 0 || run->has_odd_network ? BRUIT_NEVER : br_run_now(run);
}

void br_run_note_start(struct br_run *run, uint32_t node)
{
    struct br_run_node *entry = &run->nodes[node];
    entry->started = run->changed = br_run_now(run);
    entry->stopped = BRUIT_NEVER;
    entry->has_left = false;
}

void br_run_note_stop(struct br_run *run, uint32_t node)
{
    run->nodes[node].stopped = run->changed = br_run_now(run);
}

/* ------------------------------------------------------------------ joining */

/* Somebody else who runs, at random; NOBODY when there is nobody. */
static uint32_t somebody(struct br_run *run, uint32_t but)
{
    uint32_t start = (uint32_t)bruit_sim_random(run->sim, run->count);
    for (uint32_t i = 0; i < run->count; i++) {
        uint32_t node = (start + i) % run->count;
        if (node != but && br_run_is_member(run, node) && bruit_sim_addr(run->sim, node).size != 0)
            return node;
    }
    return BRUIT_SIM_NOBODY;
}

static void retry_join(struct bruit_sim *sim, void *context);

/* As agents with -retry-join: asks again later. */
static void ask_again(struct br_run *run, uint32_t node)
{
    struct br_run_node *entry = &run->nodes[node];
    if (entry->has_retry || run->scenario->retry_join == 0 || entry->join == BR_JOIN_ALONE)
        return;
    entry->has_retry =
        bruit_sim_at(run->sim, br_run_now(run) + run->scenario->retry_join, retry_join, entry) == 0;
}

/*
 * Whom an agent's configuration would name: the same one as everybody's, which keeps those who start together from
 * making islands, and another, in case that one cannot be reached.
 */
static size_t contacts(struct br_run *run, uint32_t node, uint32_t targets[2])
{
    size_t count = 0;
    const struct br_run_node *entry = &run->nodes[node];
    if (entry->join == BR_JOIN_WHOM) {
        targets[0] = entry->target;
        return entry->target != BRUIT_SIM_NOBODY;
    }
    for (uint32_t i = 0; i < run->count && count == 0; i++)
        if (i != node && br_run_is_member(run, i) && bruit_sim_addr(run->sim, i).size != 0)
            targets[count++] = i;
    uint32_t other = somebody(run, node);
    if (count > 0 && other != BRUIT_SIM_NOBODY && other != targets[0])
        targets[count++] = other;
    return count;
}

static void join_as_told(struct br_run *run, uint32_t node)
{
    uint32_t targets[2];
    if (run->nodes[node].join == BR_JOIN_ALONE)
        return;
    size_t count = contacts(run, node, targets);
    if (count == 0 || bruit_sim_join(run->sim, node, targets, count, NULL) != 0)
        ask_again(run, node);
}

static void retry_join(struct bruit_sim *sim, void *context)
{
    struct br_run_node *entry = context;
    struct br_run *run = entry->run;
    uint32_t node = (uint32_t)(entry - run->nodes);
    entry->has_retry = false;
    if (br_run_is_member(run, node) && bruit_member_alive_count(bruit_sim_engine(sim, node)) == 1)
        join_as_told(run, node);
}

/* ------------------------------------------------------------------ what engines tell */

static void end_process(struct bruit_sim *sim, void *context)
{
    struct br_run_node *entry = context;
    uint32_t node = (uint32_t)(entry - entry->run->nodes);
    if (bruit_sim_starts(sim, node) == entry->ending_life)
        bruit_sim_kill(sim, node);
}

static void end_after_goodbye(struct br_run *run, uint32_t node)
{
    struct br_run_node *entry = &run->nodes[node];
    entry->ending_life = bruit_sim_starts(run->sim, node);
    (void)bruit_sim_at(run->sim, br_run_now(run) + LINGER, end_process, entry);
}

void br_run_heard(struct br_run *run, uint32_t node, const struct bruit_event *event)
{
    if (event->type == BRUIT_EVENT_LEAVE_DONE)
        end_after_goodbye(run, node);
    else if (event->type == BRUIT_EVENT_JOIN_DONE && event->join.contacted == 0)
        ask_again(run, node);
    else
        br_run_answered(run, node, event);
}

/* ------------------------------------------------------------------ processes */

static void note_join(struct br_run_statement *run_statement, uint32_t node)
{
    const struct br_statement *s = run_statement->statement;
    struct br_run *run = run_statement->run;
    run->nodes[node].join = s->join;
    run->nodes[node].target = s->join == BR_JOIN_WHOM ? br_run_first(run, &s->whom, node) : BRUIT_SIM_NOBODY;
}

static void start(struct br_run_statement *st, uint32_t node)
{
    struct br_run *run = st->run;
    note_join(st, node);
    if (bruit_sim_start(run->sim, node) == 0)
        join_as_told(run, node);
}

/* An address that nobody ever had. */
static struct bruit_addr new_address(struct br_run *run)
{
    uint32_t number = run->addresses++;
    return (struct bruit_addr){
        .ip = {172, (uint8_t)(16 + (number >> 16 & 15)), (uint8_t)(number >> 8), (uint8_t)number},
        .port = 7946,
        .size = 4};
}

static void restart(struct br_run_statement *st, uint32_t node)
{
    struct br_run *run = st->run;
    const struct br_statement *s = st->statement;
    if (s->new_addresses) {
        struct bruit_addr addr = new_address(run);
        bruit_sim_kill(run->sim, node);
        (void)bruit_sim_set_addr(run->sim, node, &addr);
        run->nodes[node].has_moved = true;
        shock(run, node);
    }
    note_join(st, node);
    if (bruit_sim_restart(run->sim, node, s->with_state) == 0)
        join_as_told(run, node);
}

static void leave(struct br_run *run, uint32_t node)
{
    if (!br_run_is_member(run, node) || bruit_sim_condition(run->sim, node) != BRUIT_SIM_RUNNING)
        return;
    if (bruit_sim_leave(run->sim, node, LEAVE_TIMEOUT) == 0) {
        run->nodes[node].has_left = true;
        run->changed = br_run_now(run);
    }
}

static void move(struct br_run_statement *st, uint32_t node)
{
    struct br_run *run = st->run;
    struct bruit_addr addr = new_address(run);
    uint32_t loser =
        st->statement->has_whom ? br_run_first(run, &st->statement->whom, node) : BRUIT_SIM_NOBODY;
    if (loser != BRUIT_SIM_NOBODY) {
        addr = bruit_sim_addr(run->sim, loser);
        run->nodes[loser].is_odd = true;
        shock(run, loser);
    }
    (void)bruit_sim_set_addr(run->sim, node, &addr);
    run->nodes[node].is_odd = true;
    shock(run, node);
}

static void clone(struct br_run *run, uint32_t node)
{
    uint32_t copy;
    if (run->count == run->capacity || bruit_sim_clone(run->sim, node, &copy) != 0)
        return;
    run->count = bruit_sim_count(run->sim);
    run->nodes[copy].is_odd = run->nodes[node].is_odd = true;
    run->nodes[copy].stopped = 0;
}

/* ------------------------------------------------------------------ the network */

static uint32_t *nodes_of(const struct br_run *run, const struct br_node_set *set, uint32_t *count)
{
    uint32_t *nodes = malloc((run->capacity + 1) * sizeof *nodes);
    *count = 0;
    for (uint32_t i = 0; i < run->capacity && nodes != NULL; i++)
        if (br_scenario_has(run->scenario, set, run->scenario->config.seed, i))
            nodes[(*count)++] = i;
    return nodes;
}

/* Clones that do not exist yet cannot be in a rule. */
static uint32_t that_exist(const struct br_run *run, const uint32_t *nodes, uint32_t count)
{
    while (count > 0 && nodes[count - 1] >= run->count)
        count--;
    return count;
}

static void add_rule(struct br_run_statement *st)
{
    struct br_run *run = st->run;
    const struct br_statement *s = st->statement;
    struct bruit_sim_rule rule = s->rule;
    uint32_t from_count = 0, to_count = 0;
    uint32_t *from = nodes_of(run, &s->who, &from_count);
    uint32_t *to = s->has_whom ? nodes_of(run, &s->whom, &to_count) : NULL;
    rule.from = (struct bruit_sim_set){.nodes = from, .count = that_exist(run, from, from_count)};
    rule.to = (struct bruit_sim_set){.nodes = to, .count = that_exist(run, to, to_count)};
    if (!s->has_whom) {
        rule.to = rule.from; /* a partition: all but them */
        rule.to.complement = true;
    }
    if (rule.clog != 0)
        rule.clog = br_run_now(run) + s->length;
    if (from != NULL && (to != NULL || !s->has_whom) && bruit_sim_rule_add(run->sim, &rule, &st->rule) == 0) {
        st->has_rule = true;
        run->rules++;
        network_changed(run);
    }
    free(from);
    free(to);
}

static void remove_rule(struct br_run_statement *st)
{
    struct br_run *run = st->run;
    if (!st->has_rule)
        return;
    (void)bruit_sim_rule_remove(run->sim, st->rule);
    st->has_rule = false;
    run->rules--;
    network_changed(run);
}

static void heal(struct br_run *run)
{
    for (uint32_t i = 0; i < run->scenario->statement_count; i++)
        remove_rule(&run->statements[i]);
    bruit_sim_heal(run->sim);
}

static void set_network(struct br_run *run, const struct bruit_sim_link *inside,
                        const struct bruit_sim_link *across)
{
    uint32_t zones = run->scenario->config.zones;
    for (uint32_t from = 0; from < zones; from++)
        for (uint32_t to = 0; to < zones; to++)
            (void)bruit_sim_set_link(run->sim, from, to, from == to ? inside : across);
}

static void change_network(struct br_run_statement *st)
{
    set_network(st->run, &st->statement->link, &st->statement->across);
    st->run->has_odd_network = true;
    network_changed(st->run);
}

static void restore_network(struct br_run *run)
{
    const struct br_scenario *scenario = run->scenario;
    if (!run->has_odd_network)
        return;
    set_network(run, &scenario->config.link,
                scenario->has_across ? &scenario->across : &scenario->config.link);
    run->has_odd_network = false;
    network_changed(run);
}

/* ------------------------------------------------------------------ setting right */

static void undo(struct br_run_statement *st, uint32_t node)
{
    struct br_run *run = st->run;
    switch (st->statement->verb) {
    case BR_ACT_PAUSE: bruit_sim_resume(run->sim, node); break;
    case BR_ACT_CPU: bruit_sim_set_cpu(run->sim, node, 0); break;
    case BR_ACT_STARVE: bruit_sim_starve(run->sim, node, 0, 0); break;
    case BR_ACT_CLOCK:
        if (st->statement->drift == 0)
            return;
        bruit_sim_set_clock(run->sim, node, 0, 0);
        break;
    case BR_ACT_MEMORY: bruit_sim_fail_memory(run->sim, node, 0); break;
    case BR_ACT_BANDWIDTH:
        bruit_sim_set_bandwidth(run->sim, node, run->scenario->config.bandwidth_up,
                                run->scenario->config.bandwidth_down);
        break;
    default: return;
    }
    relief(run, node);
}

/* What this statement did and has not been set right yet. */
static void undo_all(struct br_run_statement *st)
{
    if (st->statement->verb == BR_ACT_RESTART)
        return; /* which counts in `undone` whom it has taken down */
    while (st->undone < st->next)
        undo(st, st->nodes[st->undone++]);
}

static void calm(struct br_run *run)
{
    for (uint32_t i = 0; i < run->scenario->statement_count; i++)
        undo_all(&run->statements[i]);
    heal(run);
    restore_network(run);
}

static void resume(struct br_run *run, uint32_t node)
{
    for (uint32_t i = 0; i < run->scenario->statement_count; i++) {
        struct br_run_statement *st = &run->statements[i];
        if (st->statement->verb != BR_ACT_PAUSE)
            continue;
        for (uint32_t k = st->undone; k < st->next; k++)
            if (st->nodes[k] == node) { /* it trades places with the next to be set right */
                st->nodes[k] = st->nodes[st->undone];
                st->nodes[st->undone] = node;
                undo(st, st->nodes[st->undone++]);
                break;
            }
    }
}

/* ------------------------------------------------------------------ doing */

/* What makes a node slow or odd until it is set right. */
static void impair(struct br_run_statement *st, uint32_t node)
{
    struct bruit_sim *sim = st->run->sim;
    const struct br_statement *s = st->statement;
    trouble(st->run, node);
    switch (s->verb) {
    case BR_ACT_PAUSE: bruit_sim_pause(sim, node); break;
    case BR_ACT_CPU: bruit_sim_set_cpu(sim, node, s->time); break;
    case BR_ACT_STARVE: bruit_sim_starve(sim, node, s->time, s->stall); break;
    case BR_ACT_CLOCK: bruit_sim_set_clock(sim, node, s->jump, s->drift); break;
    case BR_ACT_MEMORY: bruit_sim_fail_memory(sim, node, s->number); break;
    case BR_ACT_BANDWIDTH: bruit_sim_set_bandwidth(sim, node, s->size, s->size); break;
    default: break;
    }
    if (s->verb == BR_ACT_CLOCK && s->drift == 0)
        relief(st->run, node); /* it is right again, but for what the jump has done */
}

static void join(struct br_run_statement *st, uint32_t node)
{
    struct br_run *run = st->run;
    run->nodes[node].join = BR_JOIN_WHOM;
    run->nodes[node].target = br_run_first(run, &st->statement->whom, node);
    if (br_run_is_member(run, node))
        join_as_told(run, node);
}

static void do_to(struct br_run_statement *st, uint32_t node)
{
    struct br_run *run = st->run;
    if (node >= run->count)
        return; /* a clone that was not made */
    switch (st->statement->verb) {
    case BR_ACT_START: start(st, node); break;
    case BR_ACT_KILL: bruit_sim_kill(run->sim, node); break;
    case BR_ACT_RESTART: restart(st, node); break;
    case BR_ACT_JOIN: join(st, node); break;
    case BR_ACT_LEAVE: leave(run, node); break;
    case BR_ACT_PAUSE:
    case BR_ACT_CPU:
    case BR_ACT_STARVE:
    case BR_ACT_CLOCK:
    case BR_ACT_MEMORY:
    case BR_ACT_BANDWIDTH: impair(st, node); break;
    case BR_ACT_RESUME: resume(run, node); break;
    case BR_ACT_MOVE: move(st, node); break;
    case BR_ACT_CLONE: clone(run, node); break;
    case BR_ACT_WIPE: bruit_sim_lose_disk(run->sim, node); break;
    default: br_run_ask(st, node); break;
    }
}

static bool is_of_nodes(enum br_verb verb)
{
    return verb < BR_ACT_RULE;
}

static void do_once(struct br_run_statement *st)
{
    switch (st->statement->verb) {
    case BR_ACT_RULE: add_rule(st); break;
    case BR_ACT_HEAL: heal(st->run); break;
    case BR_ACT_NETWORK: change_network(st); break;
    case BR_ACT_CALM: calm(st->run); break;
    default: break;
    }
}

/* When the turn of node number `index` comes. */
static bruit_time turn(const struct br_run_statement *st, uint32_t index)
{
    const struct br_statement *s = st->statement;
    bruit_time after = s->verb == BR_ACT_RESTART ? s->after : 0;
    return s->at + st->rounds * s->every + after + (st->count < 2 ? 0 : s->over / (st->count - 1) * index);
}

static void set_right(struct bruit_sim *sim, void *context)
{
    struct br_run_statement *st = context;
    (void)sim;
    if (st->statement->verb == BR_ACT_RULE)
        remove_rule(st);
    else
        undo_all(st);
}

static void act(struct bruit_sim *sim, void *context)
{
    struct br_run_statement *st = context;
    if (!is_of_nodes(st->statement->verb)) {
        do_once(st);
        return;
    }
    bruit_time now = br_run_now(st->run);
    while (st->next < st->count && turn(st, st->next) <= now)
        do_to(st, st->nodes[st->next++]);
    if (st->next == st->count && st->statement->every > 0 && st->count > 0) {
        st->next = 0; /* the next round, as long as it lasts */
        st->rounds++;
        if (turn(st, 0) >= st->statement->at + st->statement->length)
            return;
    }
    if (st->next < st->count)
        (void)bruit_sim_at(sim, turn(st, st->next), act, st);
}

/* The first half of a restart with a pause between. */
static void take_down(struct bruit_sim *sim, void *context)
{
    struct br_run_statement *st = context;
    bruit_time now = br_run_now(st->run), after = st->statement->after;
    uint32_t i = st->undone; /* not needed otherwise: restarts are not undone */
    for (; i < st->count && turn(st, i) - after <= now; i++)
        if (st->nodes[i] < st->run->count)
            bruit_sim_kill(sim, st->nodes[i]);
    st->undone = i;
    if (i < st->count)
        (void)bruit_sim_at(sim, turn(st, i) - after, take_down, st);
}

/* ------------------------------------------------------------------ the timetable */

static uint8_t *bits_of(const struct br_run *run, const struct br_node_set *set)
{
    uint8_t *bits = calloc(run->capacity, 1);
    for (uint32_t i = 0; i < run->capacity && bits != NULL; i++)
        bits[i] = br_scenario_has(run->scenario, set, run->scenario->config.seed, i);
    return bits;
}

static int schedule(struct br_run *run, struct br_run_statement *st)
{
    const struct br_statement *s = st->statement;
    st->held_since = BRUIT_NEVER;
    if (s->verb >= BR_EXPECT_ONE_VIEW) {
        if (s->has_whom && (st->observers = bits_of(run, &s->whom)) == NULL)
            return BRUIT_ENOMEM;
        if (s->who.count > 0 && (st->subjects = bits_of(run, &s->who)) == NULL)
            return BRUIT_ENOMEM;
        return 0;
    }
    if (is_of_nodes(s->verb) && (st->nodes = nodes_of(run, &s->who, &st->count)) == NULL)
        return BRUIT_ENOMEM;
    int status = bruit_sim_at(run->sim, s->at + (s->verb == BR_ACT_RESTART ? s->after : 0), act, st);
    if (status == 0 && s->verb == BR_ACT_RESTART && s->after > 0)
        status = bruit_sim_at(run->sim, s->at, take_down, st);
    if (status == 0 && s->length > 0 && s->every == 0)
        status = bruit_sim_at(run->sim, s->at + s->over + s->length, set_right, st);
    return status;
}

int br_run_schedule(struct br_run *run)
{
    int status = 0;
    for (uint32_t i = 0; i < run->scenario->statement_count && status == 0; i++) {
        run->statements[i].run = run;
        run->statements[i].statement = &run->scenario->statements[i];
        status = schedule(run, &run->statements[i]);
    }
    return status;
}
