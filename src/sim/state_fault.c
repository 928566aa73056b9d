/*
 * What befalls the cluster of the campaign, and when it ends.
 *
 * At most a third of the nodes are down at a time, and at most two cuts run through the network: what is left has to
 * be able to go on. Whoever loses its disk comes back as somebody new under the old name.
 */
#include "base/time.h"
#include "sim/state.h"

#include <bruit/member.h>

#include <stdlib.h>

#define RULES_MAX 2
/* Of a thousand nodes a few dozens: whoever is cut off is suspected by all others, and half a thousand would be. */
#define CUT_MAX 25
#define YEAR INT64_C(31557600)
/* Who crashed while cut off from all remembers nobody, and asks as an agent does that is told whom to join. */
#define JOIN_AFTER (5 * BRUIT_SECOND)
/* Else most nodes would do little but come back with nothing. */
#define ASSASSIN_EVERY (3 * BRUIT_SECOND)

enum fault { PARTITION, LOSS, CRASH, CRASH_AT_ONCE, LOSE_DISK, ABSENCE, PAUSE, FAIL_DISK, CLOCK, FAULTS };

/* Parts in a hundred. */
static const uint8_t shares[FAULTS] = {[PARTITION] = 18, [LOSS] = 6,    [CRASH] = 20,
                                       [CRASH_AT_ONCE] = 12, [LOSE_DISK] = 10, [ABSENCE] = 6,
                                       [PAUSE] = 14,     [FAIL_DISK] = 6, [CLOCK] = 8};

/* ------------------------------------------------------------------ ends */

void br_state_undo_later(struct br_state *state, bruit_time after, enum br_state_undo_kind kind, uint32_t node)
{
    if (state->undo_count == state->undo_capacity) {
        state->undo_capacity = state->undo_capacity * 2 + 16;
        state->undos = br_state_room(state->undos, state->undo_capacity, sizeof *state->undos);
    }
    state->undos[state->undo_count++] =
        (struct br_state_undo){br_time_add(bruit_sim_now(state->sim), after), kind, node};
}

static uint32_t first_undo(const struct br_state *state)
{
    uint32_t first = 0;
    for (uint32_t i = 1; i < state->undo_count; i++)
        if (state->undos[i].time < state->undos[first].time)
            first = i;
    return first;
}

bruit_time br_state_undo_time(const struct br_state *state)
{
    return state->undo_count == 0 ? BRUIT_NEVER : state->undos[first_undo(state)].time;
}

/* ------------------------------------------------------------------ coming back */

/* Somebody who comes back with nothing may be told old things by whoever knows no better. */
static bool is_anybody_stale(const struct br_state *state)
{
    for (uint32_t i = 0; i < state->config->nodes; i++)
        if (state->nodes[i].is_stale)
            return true;
    return false;
}

static void come_back(struct br_state *state, uint32_t node, bool has_disk)
{
    struct br_state_node *of = &state->nodes[node];
    if (of->is_failing)
        (void)bruit_sim_fail_disk(state->sim, node, 0); /* it has a disk: there is nothing to allocate */
    of->is_stale = of->is_stale || of->is_failing || (!has_disk && is_anybody_stale(state));
    of->is_failing = of->is_absent = of->is_wiped = false;
    br_state_log(state, "n%u starts, %s", (unsigned)node, has_disk ? "with its disk" : "with an empty disk");
    int status = bruit_sim_restart(state->sim, node, has_disk);
    if (status != 0) {
        br_state_fail(state, "load", "n%u cannot start with what is on its disk: %s", (unsigned)node,
                      bruit_strerror(status));
        return;
    }
    if (has_disk) {
        br_state_check_return(state, node);
        br_state_undo_later(state, JOIN_AFTER, BR_UNDO_JOIN, node);
    } else {
        br_state_join(state, node);
    }
}

static bool is_down(const struct br_state *state, uint32_t node)
{
    return bruit_sim_condition(state->sim, node) == BRUIT_SIM_STOPPED;
}

static void join_again(struct br_state *state, uint32_t node)
{
    if (bruit_sim_condition(state->sim, node) != BRUIT_SIM_RUNNING ||
        bruit_member_alive_count(bruit_sim_engine(state->sim, node)) > 1)
        return;
    br_state_log(state, "n%u asks others to join once more", (unsigned)node);
    br_state_join(state, node);
}

void br_state_undo_one(struct br_state *state)
{
    uint32_t first = first_undo(state);
    struct br_state_undo undo = state->undos[first];
    state->undos[first] = state->undos[--state->undo_count];
    switch (undo.kind) {
    case BR_UNDO_PARTITION:
        br_state_log(state, "rule %u ends", (unsigned)undo.node);
        state->rules -= bruit_sim_rule_remove(state->sim, undo.node) == 0;
        break;
    case BR_UNDO_CRASH:
        if (is_down(state, undo.node))
            come_back(state, undo.node, true);
        break;
    case BR_UNDO_LOST_DISK:
        if (is_down(state, undo.node))
            come_back(state, undo.node, false);
        break;
    case BR_UNDO_PAUSE:
        br_state_log(state, "n%u goes on", (unsigned)undo.node);
        bruit_sim_resume(state->sim, undo.node);
        break;
    case BR_UNDO_DISK:
        if (state->nodes[undo.node].is_failing)
            come_back(state, undo.node, true);
        break;
    case BR_UNDO_JOIN: join_again(state, undo.node); break;
    }
}

/* Every fault, in the order of their ends, which is drawn like everything else. */
void br_state_calm(struct br_state *state, bool all)
{
    state->is_calm = true;
    while (state->undo_count > 0 && !br_state_is_over(state))
        br_state_undo_one(state);
    for (uint32_t i = 0; i < state->config->nodes && !br_state_is_over(state); i++)
        if (is_down(state, i) && (all || !state->nodes[i].is_absent))
            come_back(state, i, true);
}

void br_state_recall(struct br_state *state)
{
    for (uint32_t i = 0; i < state->config->nodes; i++)
        if (state->nodes[i].is_absent)
            br_state_undo_later(state, br_state_between(state, BRUIT_SECOND, 30 * BRUIT_SECOND), BR_UNDO_CRASH, i);
}

/* ------------------------------------------------------------------ beginnings */

static uint32_t count_down(const struct br_state *state)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < state->config->nodes; i++)
        count += bruit_sim_condition(state->sim, i) != BRUIT_SIM_RUNNING || state->nodes[i].is_doomed;
    return count;
}

/* Somebody who is well, while enough others are. */
static uint32_t draw_victim(struct br_state *state)
{
    if (count_down(state) >= state->config->nodes / 3)
        return BR_STATE_NONE;
    for (uint32_t tries = 0; tries < 100; tries++) {
        uint32_t node = br_state_below(state, state->config->nodes);
        const struct br_state_node *of = &state->nodes[node];
        if (bruit_sim_condition(state->sim, node) == BRUIT_SIM_RUNNING && !of->is_failing && !of->is_doomed)
            return node;
    }
    return BR_STATE_NONE;
}

/* A cut, or 30 to 80 % loss, between some nodes and the others. */
static void disturb(struct br_state *state, bool is_cut)
{
    uint32_t nodes = state->config->nodes, most = nodes / 2 < CUT_MAX ? nodes / 2 : CUT_MAX, id;
    uint32_t count = 1 + br_state_below(state, most);
    uint32_t *order = br_state_room(NULL, nodes, sizeof *order);
    for (uint32_t i = 0; i < nodes; i++)
        order[i] = i;
    br_rng_shuffle(&state->rng, order, nodes);
    struct bruit_sim_rule rule;
    bruit_sim_rule_default(&rule);
    rule.from = (struct bruit_sim_set){order, count, false};
    rule.to = (struct bruit_sim_set){order, count, true};
    rule.both_ways = br_state_chance(state, 85);
    rule.block = is_cut;
    rule.loss = is_cut ? 0 : 300000 + br_state_below(state, 500000);
    if (state->rules < RULES_MAX && bruit_sim_rule_add(state->sim, &rule, &id) == 0) {
        state->rules++;
        br_state_count(state, is_cut ? BR_STATE_PARTITIONS : BR_STATE_OTHER_FAULTS, 1);
        br_state_log(state, "rule %u: %u nodes (n%u, ...) are cut off %s%s", (unsigned)id, (unsigned)count,
                     (unsigned)order[0], is_cut ? "" : "in part, ", rule.both_ways ? "both ways" : "one way");
        br_state_undo_later(state, br_state_between(state, 2 * BRUIT_SECOND, 25 * BRUIT_SECOND),
                            BR_UNDO_PARTITION, id);
    }
    free(order);
}

static void crash(struct br_state *state, uint32_t node)
{
    br_state_count(state, BR_STATE_CRASHES, 1);
    br_state_log(state, "n%u crashes", (unsigned)node);
    bruit_sim_kill(state->sim, node);
}

/* For good: what was on it is nowhere but at others. */
static void lose_disk(struct br_state *state, uint32_t node)
{
    br_state_log(state, "n%u loses its disk", (unsigned)node);
    br_state_count(state, BR_STATE_LOST_DISKS, 1);
    bruit_sim_lose_disk(state->sim, node);
    state->nodes[node].disk_lost = bruit_sim_now(state->sim);
    state->nodes[node].is_wiped = true;
    br_state_undo_later(state, br_state_between(state, BRUIT_SECOND, 20 * BRUIT_SECOND), BR_UNDO_LOST_DISK,
                        node);
}

/* Away until the next epoch: what is deleted meanwhile must not come back with it. */
static void leave_for_long(struct br_state *state, uint32_t node)
{
    crash(state, node);
    state->nodes[node].is_absent = true;
}

static void fail_disk(struct br_state *state, uint32_t node)
{
    if (bruit_sim_fail_disk(state->sim, node, BRUIT_EIO) != 0)
        return;
    br_state_log(state, "the disk of n%u fails", (unsigned)node);
    br_state_count(state, BR_STATE_OTHER_FAULTS, 1);
    state->nodes[node].is_failing = true;
    br_state_undo_later(state, br_state_between(state, BRUIT_SECOND, 10 * BRUIT_SECOND), BR_UNDO_DISK, node);
}

static void set_clock(struct br_state *state, uint32_t node)
{
    static const int64_t offsets[] = {0, 3600, -3600, YEAR, -YEAR};
    state->nodes[node].wall_offset = offsets[br_state_below(state, sizeof offsets / sizeof offsets[0])];
    br_state_log(state, "the clock of n%u is %lld s off", (unsigned)node,
                 (long long)state->nodes[node].wall_offset);
    br_state_count(state, BR_STATE_OTHER_FAULTS, 1);
    br_state_tell_wall(state, node);
    bruit_sim_kick(state->sim, node);
}

static void pause_for_a_while(struct br_state *state, uint32_t node)
{
    br_state_log(state, "n%u is stopped", (unsigned)node);
    br_state_count(state, BR_STATE_OTHER_FAULTS, 1);
    bruit_sim_pause(state->sim, node);
    br_state_undo_later(state, br_state_between(state, BRUIT_SECOND, 15 * BRUIT_SECOND), BR_UNDO_PAUSE, node);
}

static enum fault draw_fault(struct br_state *state)
{
    uint32_t luck = br_state_below(state, 100), fault = 0;
    for (; fault + 1 < FAULTS && luck >= shares[fault]; fault++)
        luck -= shares[fault];
    return (enum fault)fault;
}

void br_state_fault(struct br_state *state)
{
    enum fault fault = draw_fault(state);
    uint32_t node = draw_victim(state);
    if (fault == PARTITION || fault == LOSS) {
        disturb(state, fault == PARTITION);
        return;
    }
    if (node == BR_STATE_NONE)
        return;
    switch (fault) {
    case CRASH:
        crash(state, node);
        br_state_undo_later(state, br_state_between(state, 0, 20 * BRUIT_SECOND), BR_UNDO_CRASH, node);
        break;
    case CRASH_AT_ONCE:
        crash(state, node);
        br_state_undo_later(state, 0, BR_UNDO_CRASH, node);
        break;
    case LOSE_DISK:
        crash(state, node);
        lose_disk(state, node);
        break;
    case ABSENCE: leave_for_long(state, node); break;
    case PAUSE: pause_for_a_while(state, node); break;
    case FAIL_DISK: fail_disk(state, node); break;
    case CLOCK: set_clock(state, node); break;
    default: break;
    }
}

/* ------------------------------------------------------------------ the assassin */

/* From within the callback in which the writer is told: nothing else has happened since. */
static void strike(struct br_state *state, uint32_t node)
{
    state->nodes[node].is_doomed = true;
    crash(state, node);
    lose_disk(state, node);
}

void br_state_assassinate(struct br_state *state, uint32_t number)
{
    const struct br_write *write = &state->history.writes[number];
    uint32_t deaths = write->held - 1u;
    bruit_time now = bruit_sim_now(state->sim);
    if (state->is_calm || now < state->assassin_at || count_down(state) + deaths >= state->config->nodes / 3)
        return;
    state->assassin_at = now + br_state_between(state, 0, 2 * ASSASSIN_EVERY);
    br_state_log(state, "%u of those who hold w%u are to lose their disks", (unsigned)deaths, (unsigned)number);
    for (uint32_t i = 0; i < write->holder_count && deaths > 0; i++)
        if (!state->nodes[write->holders[i]].is_doomed && !is_down(state, write->holders[i])) {
            strike(state, write->holders[i]);
            deaths--;
        }
}
