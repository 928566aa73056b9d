/*
 * What must hold in the campaign, at all times and when all is quiet.
 *
 * At all times: no node shows again what it had replaced or deleted before in the same life; none shows what was gone
 * when all were equal; whoever comes back with its disk has every write of its own that it acknowledged; a write that
 * is said to be held by k is on k disks.
 *
 * When all is quiet, with X being all writes that must have survived and those that are shown: every node shows the
 * same, in the same order; of X exactly those values are shown that nothing in X replaced. A write must have survived
 * when it was acknowledged and some disk that held it then was never lost, or when fewer disks were lost since than
 * were said to hold it. Other writes may or may not have been: if they are shown they were; and a delete that may have
 * been excuses what it had replaced, if nothing of that is shown. A write that need not have survived and did so in
 * part, its value without what it had replaced, is counted and no more. Writes with a lifetime need not be anywhere;
 * long after it they must not.
 */
#include "base/bytes.h"
#include "codec/kv.h"
#include "sim/state.h"

#include <bruit/member.h>

#include <stdlib.h>
#include <string.h>

#define ASSASSIN_PERCENT 40

/* ------------------------------------------------------------------ words */

struct text {
    char at[200];
    size_t size;
};

static void add_word(struct text *text, const char *before, uint32_t number)
{
    if (text->size > sizeof text->at - 24)
        return;
    text->size += (size_t)snprintf(text->at + text->size, sizeof text->at - text->size, "%s%s%u",
                                   text->size == 0 ? "" : " ", before, (unsigned)number);
}

static struct text list_writes(const uint32_t *writes, uint32_t count)
{
    struct text text = {"", 0};
    for (uint32_t i = 0; i < count; i++)
        add_word(&text, "w", writes[i]);
    if (count == 0)
        (void)snprintf(text.at, sizeof text.at, "nothing");
    return text;
}

/* "w12 (written at n3 after 10.2 s)" */
static struct text tell_write(const struct br_state *state, uint32_t number)
{
    const struct br_write *write = &state->history.writes[number];
    struct text text = {"", 0};
    (void)snprintf(text.at, sizeof text.at, "w%u (%s at n%u after %.3f s)", (unsigned)number,
                   write->is_delete ? "a delete" : "written", (unsigned)write->node, (double)write->time / 1e9);
    return text;
}

/* ------------------------------------------------------------------ at all times */

static bool has_bit(const uint64_t *bits, uint32_t number)
{
    return (bits[number / 64] >> number % 64 & 1u) != 0;
}

static bool is_among(const uint32_t *writes, uint32_t count, uint32_t number)
{
    for (uint32_t i = 0; i < count; i++)
        if (writes[i] == number)
            return true;
    return false;
}

/* Something that was gone is back. */
static void check_return_of(struct br_state *state, uint32_t node, uint32_t number)
{
    const struct br_state_node *of = &state->nodes[node];
    const struct br_write *write = &state->history.writes[number];
    if (has_bit(of->gone, number))
        br_state_fail(state, "resurrected", "key-%u: n%u shows %s again, which it had replaced or deleted",
                      (unsigned)write->key, (unsigned)node, tell_write(state, number).at);
    else if (write->is_buried && !of->is_stale)
        br_state_fail(state, "resurrected", "key-%u: n%u shows %s, which was gone when all stores were equal",
                      (unsigned)write->key, (unsigned)node, tell_write(state, number).at);
}

/*
 * A value beside one that had replaced it. It happens for a moment, when the older one was on its way while the newer
 * one was asked for; it is counted, and must be gone when all is quiet.
 */
static void count_fleeting(struct br_state *state, uint32_t node, const uint32_t *shown, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < count; j++) {
            if (i == j || !br_history_saw(&state->history, shown[i], shown[j]))
                continue;
            br_state_count(state, BR_STATE_FLEETING, 1);
            br_state_log(state, "n%u shows w%u beside w%u, which had replaced it", (unsigned)node,
                         (unsigned)shown[j], (unsigned)shown[i]);
        }
}

void br_state_check_change(struct br_state *state, uint32_t node, uint32_t key)
{
    uint32_t shown[BR_STATE_SHOWN_MAX];
    uint32_t count = br_state_shown(state, node, key, shown);
    struct br_state_node *of = &state->nodes[node];
    const struct br_key_history *writes = &state->history.keys[key];
    bool has_changed = false;
    for (uint32_t i = 0; i < writes->count; i++) {
        uint32_t number = writes->writes[i];
        uint64_t bit = UINT64_C(1) << number % 64;
        if (has_bit(of->shown, number) && !is_among(shown, count, number)) {
            of->gone[number / 64] |= bit;
            of->shown[number / 64] &= ~bit;
            has_changed = true;
        }
    }
    for (uint32_t i = 0; i < count; i++)
        has_changed = has_changed || !has_bit(of->shown, shown[i]);
    if (has_changed)
        br_state_log(state, "n%u has of key-%u: %s", (unsigned)node, (unsigned)key, list_writes(shown, count).at);
    for (uint32_t i = 0; i < count; i++) {
        check_return_of(state, node, shown[i]);
        of->shown[shown[i] / 64] |= UINT64_C(1) << shown[i] % 64;
    }
    count_fleeting(state, node, shown, count);
}

/* ------------------------------------------------------------------ acknowledgements */

/* The record of a key on a node's disk, read as what it is: no word of the node is taken for it. */
static bool read_record(struct br_state *state, uint32_t node, uint32_t key, struct bruit_bytes *record)
{
    static const struct bruit_bytes space = {(const uint8_t *)"kv", 2};
    char name[1 + BR_STATE_KEY_SIZE] = "k";
    struct bruit_bytes rest = br_state_key(key, name + 1);
    return bruit_sim_disk_read(state->sim, node, space, br_bytes(name, rest.size + 1), record);
}

/* The write, or one that replaced it, is on the node's disk. */
static bool has_durably(struct br_state *state, uint32_t node, uint32_t number)
{
    uint32_t key = state->history.writes[number].key;
    struct bruit_bytes record;
    struct br_kv_key_record head;
    struct br_reader r;
    bool has = false;
    if (state->nodes[node].is_wiped || !read_record(state, node, key, &record))
        return false;
    br_reader_init(&r, record);
    br_kv_read_key_record(&r, &head);
    for (uint32_t i = 0; i < head.sibling_count && !r.failed && !has; i++) {
        struct br_kv_past past[BR_KV_PAST_MAX];
        struct br_kv_write item;
        br_kv_read_item(&r, br_bytes("k", 1), &item, past);
        if (r.failed)
            return false;
        uint32_t found = br_history_named(&state->history, key, item.dot.actor, item.dot.counter);
        has = found == number || (found != BR_STATE_NONE && br_history_covers(&state->history, found, number));
    }
    return has;
}

static uint32_t count_lost_since(const struct br_state *state, bruit_time time)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < state->config->nodes; i++)
        count += state->nodes[i].disk_lost >= time && state->nodes[i].disk_lost > 0;
    return count;
}

/* Whether it is shown somewhere, or replaced by what is: deletes leave nothing to be seen. */
static bool is_countable(const struct br_state *state, uint32_t number)
{
    const struct br_key_history *of_key = &state->history.keys[state->history.writes[number].key];
    const struct br_write *write = &state->history.writes[number];
    return !write->is_delete && !br_write_is_mortal(write) && of_key->writes[of_key->count - 1] == number;
}

/* The writer comes first, so that it is the first that an assassin finds. */
static void find_holders(struct br_state *state, uint32_t number)
{
    struct br_write *write = &state->history.writes[number];
    uint32_t found = 1;
    write->holders[write->holder_count++] = write->node;
    if (write->held < 2)
        return;
    for (uint32_t i = 0; i < state->config->nodes; i++) {
        if (i == write->node || !has_durably(state, i, number))
            continue;
        found++;
        if (write->holder_count < BR_HOLDERS_MAX)
            write->holders[write->holder_count++] = i;
    }
    if (is_countable(state, number) && found + count_lost_since(state, write->time) < write->held)
        br_state_fail(state, "acknowledged", "key-%u: %s is said to be held by %u, and is on %u disks",
                      (unsigned)write->key, tell_write(state, number).at, (unsigned)write->held,
                      (unsigned)found);
}

void br_state_check_done(struct br_state *state, uint32_t number)
{
    const struct br_write *write = &state->history.writes[number];
    find_holders(state, number);
    br_state_count(state, BR_STATE_ACKED, 1);
    br_state_count(state, BR_STATE_HELD, write->held > 1);
    if (write->held > 1 && !br_state_is_over(state) && br_state_chance(state, ASSASSIN_PERCENT))
        br_state_assassinate(state, number);
}

static bool has_survivor(const struct br_state *state, const struct br_write *write, bool only_running)
{
    for (uint32_t i = 0; i < write->holder_count; i++) {
        uint32_t holder = write->holders[i];
        bool is_there = !only_running || bruit_sim_engine(state->sim, holder) != NULL;
        if (is_there && (state->nodes[holder].disk_lost < write->done || state->nodes[holder].disk_lost == 0))
            return true;
    }
    return false;
}

/* Of those who run; a holder that is away keeps it for itself. */
static bool must_exist(const struct br_state *state, uint32_t number)
{
    const struct br_write *write = &state->history.writes[number];
    if (write->outcome != BR_WRITE_DONE)
        return false;
    if (has_survivor(state, write, true))
        return true;
    bool is_anybody_away = false;
    for (uint32_t i = 0; i < state->config->nodes; i++)
        is_anybody_away = is_anybody_away || bruit_sim_engine(state->sim, i) == NULL;
    return !is_anybody_away && write->held > 1 && count_lost_since(state, write->time) < write->held;
}

/* ------------------------------------------------------------------ coming back */

/* Something that is shown, or a delete, replaced it: then it need not be there. */
static bool is_replaced(const struct br_state *state, uint32_t number)
{
    const struct br_key_history *of_key = &state->history.keys[state->history.writes[number].key];
    for (uint32_t i = 0; i < of_key->count; i++)
        if (br_history_covers(&state->history, of_key->writes[i], number))
            return true;
    return false;
}

void br_state_check_return(struct br_state *state, uint32_t node)
{
    const struct br_history *history = &state->history;
    for (uint32_t key = 0; key < state->config->keys; key++)
        br_state_check_change(state, node, key);
    for (uint32_t i = 0; i < history->count && !br_state_is_over(state); i++) {
        const struct br_write *write = &history->writes[i];
        bool is_owed = write->node == node && write->outcome == BR_WRITE_DONE && !write->is_delete &&
                       !br_write_is_mortal(write) &&
                       (state->nodes[node].disk_lost == 0 || state->nodes[node].disk_lost < write->done);
        if (is_owed && !has_bit(state->nodes[node].shown, i) && !is_replaced(state, i))
            br_state_fail(state, "lost", "key-%u: %s was acknowledged, and is not on its disk after a crash",
                          (unsigned)write->key, tell_write(state, i).at);
    }
}

/* ------------------------------------------------------------------ equal stores */

bool br_state_is_equal(const struct br_state *state)
{
    struct bruit_kv_stat stat;
    uint64_t root = 0;
    bool is_first = true;
    for (uint32_t i = 0; i < state->config->nodes; i++) {
        const struct bruit_engine *engine = bruit_sim_engine(state->sim, i);
        if (engine == NULL || bruit_kv_stat(engine, &stat) != 0)
            continue;
        if (!is_first && stat.root != root)
            return false;
        root = stat.root;
        is_first = false;
    }
    return true;
}

static uint32_t first_running(const struct br_state *state)
{
    uint32_t node = 0;
    while (node + 1 < state->config->nodes && bruit_sim_engine(state->sim, node) == NULL)
        node++;
    return node;
}

/* A while after which nobody may show what has expired, or whose owner is gone: all graces, and delays on the way. */
#define LATE (120 * BRUIT_SECOND)

static bool is_overdue(const struct br_state *state, const struct br_write *write)
{
    bruit_time now = bruit_sim_now(state->sim), end = BRUIT_NEVER;
    if (write->is_owned)
        end = state->nodes[write->node].down_since;
    else if (write->ttl != 0)
        end = write->time + write->ttl;
    return end != BRUIT_NEVER && end + LATE < now;
}

/* What a node shows, without writes that end by themselves: those end here a little earlier than there. */
static uint32_t lasting(struct br_state *state, uint32_t node, uint32_t key, uint32_t shown[BR_STATE_SHOWN_MAX])
{
    uint32_t count = br_state_shown(state, node, key, shown), kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct br_write *write = &state->history.writes[shown[i]];
        if (is_overdue(state, write))
            br_state_fail(state, "expired", "key-%u: n%u still shows %s, whose time is over", (unsigned)key,
                          (unsigned)node, tell_write(state, shown[i]).at);
        if (!br_write_is_mortal(write))
            shown[kept++] = shown[i];
    }
    return kept;
}

/* Nobody shows anything but what `node` shows; else a violation. */
static void compare_all(struct br_state *state, uint32_t node, uint32_t key, const uint32_t *shown,
                        uint32_t count)
{
    uint32_t other[BR_STATE_SHOWN_MAX];
    for (uint32_t i = node + 1; i < state->config->nodes && !br_state_is_over(state); i++) {
        if (bruit_sim_engine(state->sim, i) == NULL)
            continue;
        uint32_t found = lasting(state, i, key, other);
        if (found != count || memcmp(other, shown, count * sizeof *shown) != 0)
            br_state_fail(state, "unequal", "key-%u: n%u shows %s, and n%u shows %s", (unsigned)key,
                          (unsigned)node, list_writes(shown, count).at, (unsigned)i,
                          list_writes(other, found).at);
    }
}

void br_state_explain_unequal(struct br_state *state)
{
    uint32_t shown[BR_STATE_SHOWN_MAX], node = first_running(state);
    for (uint32_t key = 0; key < state->config->keys && !br_state_is_over(state); key++)
        compare_all(state, node, key, shown, lasting(state, node, key, shown));
    for (uint32_t i = 0; i < state->config->nodes && !br_state_is_over(state); i++)
        if (state->nodes[i].request_count > 0 && bruit_sim_engine(state->sim, i) != NULL)
            br_state_fail(state, "unequal", "n%u was never told what became of w%u", (unsigned)i,
                          (unsigned)state->nodes[i].requests[0].write);
    br_state_fail(state, "unequal", "the stores say that they differ, but no key does");
}

/* ------------------------------------------------------------------ when all is quiet */

/* One key when all is quiet. */
struct finding {
    const uint32_t *shown;
    uint32_t shown_count;
    uint32_t *real; /* those that must be; others that are shown; those that may have been and would leave nothing */
    uint32_t must_count;
    uint32_t real_count;     /* with those that are shown */
    uint32_t possible_count; /* with all */
};

static bool is_possible(const struct br_state *state, const struct finding *finding, uint32_t number)
{
    for (uint32_t i = 0; i < finding->shown_count; i++)
        if (br_history_covers(&state->history, number, finding->shown[i]))
            return false;
    const struct br_write *write = &state->history.writes[number];
    return (write->is_delete || br_write_is_mortal(write)) && !is_among(finding->real, finding->real_count, number);
}

static void find_real(struct br_state *state, uint32_t key, struct finding *finding)
{
    const struct br_key_history *of_key = &state->history.keys[key];
    uint32_t count = 0;
    for (uint32_t i = 0; i < of_key->count; i++)
        if (must_exist(state, of_key->writes[i]))
            finding->real[count++] = of_key->writes[i];
    finding->must_count = count;
    for (uint32_t i = 0; i < finding->shown_count; i++)
        if (!is_among(finding->real, finding->must_count, finding->shown[i]))
            finding->real[count++] = finding->shown[i];
    finding->real_count = finding->possible_count = count;
    for (uint32_t i = 0; i < of_key->count; i++)
        if (is_possible(state, finding, of_key->writes[i]))
            finding->real[finding->possible_count++] = of_key->writes[i];
}

static uint32_t who_covers(const struct br_state *state, const uint32_t *real, uint32_t count, uint32_t number)
{
    for (uint32_t i = 0; i < count; i++)
        if (br_history_covers(&state->history, real[i], number))
            return real[i];
    return BR_STATE_NONE;
}

static void judge_write(struct br_state *state, uint32_t number, const struct finding *finding)
{
    struct br_write *write = &state->history.writes[number];
    bool is_real = is_among(finding->real, finding->real_count, number);
    bool is_shown = is_among(finding->shown, finding->shown_count, number);
    uint32_t must = who_covers(state, finding->real, finding->must_count, number);
    uint32_t cover = who_covers(state, finding->real, finding->real_count, number);
    bool is_excused = who_covers(state, finding->real, finding->possible_count, number) != BR_STATE_NONE;
    if (is_shown && must != BR_STATE_NONE)
        br_state_fail(state, state->history.writes[must].is_delete ? "resurrected" : "siblings",
                      "key-%u: all show %s, though w%u (%s at n%u) had replaced it", (unsigned)write->key,
                      tell_write(state, number).at, (unsigned)must,
                      state->history.writes[must].is_delete ? "a delete" : "written",
                      (unsigned)state->history.writes[must].node);
    br_state_count(state, BR_STATE_HALF, is_shown && must == BR_STATE_NONE && cover != BR_STATE_NONE);
    bool leaves_trace = !write->is_delete && !br_write_is_mortal(write);
    if (is_real && !is_shown && leaves_trace && !is_excused)
        br_state_fail(state, "lost", "key-%u: %s was acknowledged, replaced by nothing, and is gone: all have %s",
                      (unsigned)write->key, tell_write(state, number).at,
                      list_writes(finding->shown, finding->shown_count).at);
    write->is_buried = write->is_buried || (leaves_trace && !is_shown && cover != BR_STATE_NONE);
    br_state_count(state, BR_STATE_EXCUSED, !is_real && leaves_trace && !is_excused);
}

static void judge_key(struct br_state *state, uint32_t key, uint32_t *real)
{
    uint32_t shown[BR_STATE_SHOWN_MAX], node = first_running(state);
    const struct br_key_history *of_key = &state->history.keys[key];
    struct finding finding = {.shown = shown, .real = real};
    finding.shown_count = lasting(state, node, key, shown);
    compare_all(state, node, key, shown, finding.shown_count);
    find_real(state, key, &finding);
    for (uint32_t i = 0; i < of_key->count && !br_state_is_over(state); i++)
        judge_write(state, of_key->writes[i], &finding);
    br_state_count(state, BR_STATE_SIBLINGS, finding.shown_count > 1);
}

/* A walk shows as many keys as there are: nothing that nobody wrote. */
static void check_list(struct br_state *state, uint32_t node)
{
    const struct bruit_bytes all = {NULL, 0};
    struct bruit_kv_entry entry = {.key = all};
    uint32_t writes[BR_STATE_SHOWN_MAX], listed = 0, shown = 0;
    while (bruit_kv_list(bruit_sim_engine(state->sim, node), all, entry.key, &entry))
        listed++;
    for (uint32_t key = 0; key < state->config->keys; key++)
        shown += br_state_shown(state, node, key, writes) > 0;
    if (listed != shown)
        br_state_fail(state, "unequal", "n%u lists %u keys, and shows values of %u", (unsigned)node,
                      (unsigned)listed, (unsigned)shown);
}

void br_state_check_all(struct br_state *state)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < state->config->keys; i++)
        most = state->history.keys[i].count > most ? state->history.keys[i].count : most;
    uint32_t *real = br_state_room(NULL, most, sizeof *real);
    for (uint32_t key = 0; key < state->config->keys && !br_state_is_over(state); key++)
        judge_key(state, key, real);
    free(real);
    check_list(state, first_running(state));
    for (uint32_t i = 0; i < state->config->nodes; i++)
        state->nodes[i].is_stale = bruit_sim_engine(state->sim, i) == NULL;
}
