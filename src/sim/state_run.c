/*
 * One run of the campaign: a cluster, epochs of writing under faults, and quiet between them.
 *
 * What happens is drawn from one stream of the seed, in the order in which it happens: same seed, same run.
 */
#include "base/bytes.h"
#include "base/num.h"
#include "base/time.h"
#include "sim/clock.h"
#include "sim/state.h"

#include <bruit/status.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define EPOCHS 2
/* How long an epoch of faults is: 50 writes a second at most, of which gossip carries all. */
#define EPOCH_MIN (40 * BRUIT_SECOND)
#define WRITES_A_SECOND 25
#define FAULT_EVERY (3 * BRUIT_SECOND)
/* Equal stores are to be expected within this time; then they have to stay so. */
#define PATIENCE (15 * 60 * BRUIT_SECOND)
#define QUIET (15 * BRUIT_SECOND)
#define WALL_EVERY (60 * BRUIT_SECOND)
/* 2026, as a wall clock shows it at true time 0. */
#define WALL_START (UINT64_C(1767225600) * BRUIT_SECOND)

/* ------------------------------------------------------------------ small things */

uint32_t br_state_below(struct br_state *state, uint32_t bound)
{
    return br_rng_below(&state->rng, bound);
}

bruit_time br_state_between(struct br_state *state, bruit_time least, bruit_time most)
{
    return least + br_rng_time_below(&state->rng, most - least);
}

bool br_state_chance(struct br_state *state, uint32_t percent)
{
    return br_state_below(state, 100) < percent;
}

_Static_assert(BR_STATE_FIGURES <= BR_FIGURES_MAX, "a verdict has room for them");

void br_state_count(struct br_state *state, enum br_state_figure figure, uint64_t count)
{
    state->verdict->figures[figure] += count;
}

void br_state_log(const struct br_state *state, const char *format, ...)
{
    FILE *log = state->config->log;
    va_list arguments;
    if (log == NULL)
        return;
    bruit_time now = bruit_sim_now(state->sim);
    (void)fprintf(log, "%6" PRIu64 ".%03u s  ", now / BRUIT_SECOND,
                  (unsigned)(now % BRUIT_SECOND / BRUIT_MILLISECOND));
    va_start(arguments, format);
    (void)vfprintf(log, format, arguments);
    va_end(arguments);
    (void)fputc('\n', log);
}

void br_state_fail(struct br_state *state, const char *check, const char *format, ...)
{
    struct br_judgement *verdict = state->verdict;
    va_list arguments;
    if (verdict->outcome != BR_OUTCOME_GOOD)
        return;
    verdict->outcome = BR_OUTCOME_WRONG;
    verdict->time = bruit_sim_now(state->sim);
    (void)snprintf(verdict->check, sizeof verdict->check, "%s", check);
    va_start(arguments, format);
    (void)vsnprintf(verdict->text, sizeof verdict->text, format, arguments);
    va_end(arguments);
    br_state_log(state, "WRONG: %s: %s", check, verdict->text);
    bruit_sim_interrupt(state->sim);
}

struct bruit_bytes br_state_key(uint32_t key, char room[BR_STATE_KEY_SIZE])
{
    int size = snprintf(room, BR_STATE_KEY_SIZE, "key-%u", (unsigned)key);
    return br_bytes(room, (size_t)size);
}

static uint32_t number_of(struct bruit_bytes key)
{
    char text[BR_STATE_KEY_SIZE] = "";
    unsigned number;
    if (key.size < sizeof text)
        memcpy(text, key.data, key.size);
    return sscanf(text, "key-%u", &number) == 1 ? number : BR_STATE_NONE;
}

/* ------------------------------------------------------------------ values */

/* Which write it is of, and the rest follows from that. */
static void fill_value(uint8_t *value, size_t size, uint32_t write)
{
    br_store_u32(value, write);
    for (size_t i = 4; i < size; i++)
        value[i] = (uint8_t)(write * 31 + i * 7);
}

/* Of long ones the beginning and the end: they are looked at again and again. */
static bool is_value(struct bruit_bytes value, uint32_t write, uint32_t size)
{
    if (value.size != size)
        return false;
    for (size_t i = 4; i < size; i = i == 15 && size > 31 ? size - 16 : i + 1)
        if (value.data[i] != (uint8_t)(write * 31 + i * 7))
            return false;
    return true;
}

/* The write that a value says it is of, when that is true in all respects; else a violation. */
static uint32_t write_of(struct br_state *state, uint32_t node, uint32_t key, const struct bruit_kv_entry *entry)
{
    uint32_t number = entry->value.size < 4 ? BR_STATE_NONE : br_load_u32(entry->value.data);
    struct br_write *write = number < state->history.count ? &state->history.writes[number] : NULL;
    bool is_it = write != NULL && write->key == key && !write->is_delete &&
                 is_value(entry->value, number, write->size);
    if (is_it && write->outcome != BR_WRITE_DONE) { /* what its writer's disk refused goes on under another name */
        write->actor = entry->actor;
        write->counter = entry->counter;
    }
    if (is_it && write->actor == entry->actor && write->counter == entry->counter)
        return number;
    br_state_fail(state, "siblings", "n%u shows key-%u with a value that nobody wrote (%zu bytes, w%u)",
                  (unsigned)node, (unsigned)key, entry->value.size, (unsigned)number);
    return BR_STATE_NONE;
}

uint32_t br_state_shown(struct br_state *state, uint32_t node, uint32_t key,
                        uint32_t shown[BR_STATE_SHOWN_MAX])
{
    char room[BR_STATE_KEY_SIZE];
    struct bruit_bytes name = br_state_key(key, room);
    const struct bruit_engine *engine = bruit_sim_engine(state->sim, node);
    struct bruit_kv_entry entry = {.sibling_count = 1};
    uint32_t count = 0;
    for (uint32_t i = 0; i < entry.sibling_count && i < BR_STATE_SHOWN_MAX; i++) {
        if (bruit_kv_get(engine, name, i, &entry) != 0)
            break;
        uint32_t write = write_of(state, node, key, &entry);
        if (write != BR_STATE_NONE)
            shown[count++] = write;
    }
    return count;
}

/* ------------------------------------------------------------------ what nodes tell */

static void read_changes(struct br_state *state, uint32_t node)
{
    struct bruit_engine *engine = bruit_sim_engine(state->sim, node);
    struct br_state_node *of = &state->nodes[node];
    struct bruit_kv_change change;
    while (bruit_kv_next_change(engine, of->cursor, br_bytes(NULL, 0), &change)) {
        of->cursor = change.cursor;
        if (change.is_gap) {
            for (uint32_t key = 0; key < state->config->keys; key++)
                br_state_check_change(state, node, key);
            continue;
        }
        uint32_t key = number_of(change.key);
        if (key < state->config->keys)
            br_state_check_change(state, node, key);
        else
            br_state_fail(state, "siblings", "n%u has a key that nobody wrote", (unsigned)node);
    }
    of->cursor = change.cursor;
}

static void hear_done(struct br_state *state, uint32_t node, const struct bruit_kv_done *done)
{
    struct br_state_node *of = &state->nodes[node];
    for (uint32_t i = 0; i < of->request_count; i++) {
        if (of->requests[i].request != done->request)
            continue;
        uint32_t number = of->requests[i].write;
        struct br_write *write = &state->history.writes[number];
        of->requests[i] = of->requests[--of->request_count];
        bool is_good = done->error == 0 || done->error == BRUIT_ETIMEOUT;
        write->outcome = is_good ? BR_WRITE_DONE : BR_WRITE_FAILED;
        write->done = bruit_sim_now(state->sim);
        write->held = (uint8_t)(done->held < UINT8_MAX ? done->held : UINT8_MAX);
        br_state_log(state, "n%u: w%u is %s, held by %u of %u", (unsigned)node, (unsigned)number,
                     is_good ? "acknowledged" : "not on its disk", (unsigned)done->held,
                     (unsigned)done->wanted);
        if (is_good)
            br_state_check_done(state, number);
        return;
    }
}

static void on_event(void *context, struct bruit_sim *sim, uint32_t node, const struct bruit_event *event)
{
    struct br_state *state = context;
    struct bruit_kv_done done;
    (void)sim;
    if (br_state_is_over(state))
        return;
    if (event->type == BRUIT_EVENT_KV_CHANGED)
        read_changes(state, node);
    else if (event->type == BRUIT_EVENT_KV_DONE && bruit_kv_done_read(event, &done) == 0)
        hear_done(state, node, &done);
    else if (event->type == BRUIT_EVENT_JOIN_DONE && event->join.contacted == 0)
        br_state_undo_later(state, br_state_between(state, BRUIT_SECOND, 5 * BRUIT_SECOND), BR_UNDO_JOIN, node);
}

/* ------------------------------------------------------------------ lives */

void br_state_tell_wall(struct br_state *state, uint32_t node)
{
    int64_t offset = state->nodes[node].wall_offset * (int64_t)BRUIT_SECOND;
    uint64_t wall = WALL_START + bruit_sim_now(state->sim) + (uint64_t)offset;
    if (bruit_sim_engine(state->sim, node) != NULL)
        bruit_kv_wall_time(bruit_sim_engine(state->sim, node), wall, bruit_sim_clock(state->sim, node));
}

static void on_start(void *context, struct bruit_sim *sim, uint32_t node, struct bruit_engine *engine)
{
    struct br_state *state = context;
    struct br_state_node *of = &state->nodes[node];
    struct bruit_kv_options options;
    struct bruit_kv_stat stat;
    bruit_kv_options_default(&options);
    options.entropy = br_sim_mix(state->config->seed ^ (uint64_t)node << 32 ^ bruit_sim_starts(sim, node));
    (void)bruit_kv_configure(engine, &options); /* defaults, right after birth */
    br_state_tell_wall(state, node);
    (void)bruit_kv_stat(engine, &stat);
    of->cursor = stat.change;
    of->request_count = 0;
    of->is_doomed = false;
    of->down_since = BRUIT_NEVER;
    memset(of->shown, 0, of->words * sizeof *of->shown);
    memset(of->gone, 0, of->words * sizeof *of->gone);
}

static void on_stop(void *context, struct bruit_sim *sim, uint32_t node, struct bruit_engine *engine)
{
    struct br_state *state = context;
    (void)engine;
    state->nodes[node].down_since = bruit_sim_now(sim);
}

static int on_load(void *context, struct bruit_sim *sim, uint32_t node, struct bruit_engine *engine,
                   struct bruit_bytes space, struct bruit_bytes key, struct bruit_bytes value)
{
    struct br_state *state = context;
    (void)sim;
    (void)space;
    int status = bruit_kv_load(engine, key, value);
    if (status != 0)
        br_state_fail(state, "load", "n%u cannot take back a record of its disk (%zu bytes of key): %s",
                      (unsigned)node, key.size, bruit_strerror(status));
    return status;
}

void br_state_join(struct br_state *state, uint32_t node)
{
    uint32_t targets[3], count = 0;
    for (uint32_t tries = 0; tries < 20 && count < 3; tries++) {
        uint32_t other = br_state_below(state, state->config->nodes);
        if (other != node && bruit_sim_condition(state->sim, other) == BRUIT_SIM_RUNNING)
            targets[count++] = other;
    }
    if (count > 0 && bruit_sim_engine(state->sim, node) != NULL)
        (void)bruit_sim_join(state->sim, node, targets, count, NULL); /* told if it reaches nobody */
}

/* ------------------------------------------------------------------ writing */

/* Room in what is known of each node for one more write. */
static void make_room(struct br_state *state)
{
    size_t words = state->history.count / 64 + 1;
    if (words <= state->nodes[0].words)
        return;
    words += words / 2;
    for (uint32_t i = 0; i < state->config->nodes; i++) {
        struct br_state_node *of = &state->nodes[i];
        of->shown = br_state_room(of->shown, words, sizeof *of->shown);
        of->gone = br_state_room(of->gone, words, sizeof *of->gone);
        memset(of->shown + of->words, 0, (words - of->words) * sizeof *of->shown);
        memset(of->gone + of->words, 0, (words - of->words) * sizeof *of->gone);
        of->words = words;
    }
}

/* Mostly short, sometimes more than a datagram takes, seldom large. */
static uint32_t draw_size(struct br_state *state)
{
    uint32_t luck = br_state_below(state, 1000);
    uint32_t most = luck < 950 ? 100 : luck < 996 ? 4000 : BRUIT_KV_VALUE_MAX - 8;
    return 8 + br_state_below(state, most);
}

/* One in ten expires, or dies with its writer. */
static void draw_lifetime(struct br_state *state, struct br_write *write)
{
    uint32_t luck = write->is_delete ? 100 : br_state_below(state, 100);
    write->is_owned = luck < 5;
    if (luck >= 5 && luck < 10)
        write->ttl = br_state_between(state, BRUIT_SECOND, 30 * BRUIT_SECOND);
    br_state_count(state, BR_STATE_MORTAL, luck < 10);
}

static uint8_t draw_ack(struct br_state *state)
{
    return (uint8_t)(br_state_chance(state, 80) ? 1 : 2 + br_state_below(state, 3));
}

static void log_write(struct br_state *state, uint32_t node, uint32_t key, uint32_t number,
                      const uint32_t *seen, uint32_t seen_count)
{
    char text[300] = "nothing";
    size_t at = 0;
    if (state->config->log == NULL)
        return;
    for (uint32_t i = 0; i < seen_count && at < sizeof text - 16; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%sw%u", i == 0 ? "" : " ", (unsigned)seen[i]);
    const struct br_write *write = &state->history.writes[number];
    const char *life = write->is_owned ? ", until it dies" : write->ttl != 0 ? ", for a while" : "";
    br_state_log(state, "n%u %s key-%u (w%u, %u bytes, ack %u%s), having seen %s", (unsigned)node,
                 write->is_delete ? "deletes" : "writes", (unsigned)key, (unsigned)number, (unsigned)write->size,
                 (unsigned)write->wanted, life, text);
}

static void expect_request(struct br_state *state, uint32_t node, uint32_t request, uint32_t write)
{
    struct br_state_node *of = &state->nodes[node];
    if (of->request_count == of->request_capacity) {
        of->request_capacity = of->request_capacity * 2 + 8;
        of->requests = br_state_room(of->requests, of->request_capacity, sizeof *of->requests);
    }
    of->requests[of->request_count++] = (struct br_state_request){request, write};
}

/* Two writes of one name would be one to others. A name that got lost before anybody was told may be given again. */
static void check_counter(struct br_state *state, uint32_t number)
{
    const struct br_write *write = &state->history.writes[number];
    struct br_state_node *of = &state->nodes[write->node];
    bool is_suspect = of->actor == write->actor && of->counter >= write->counter;
    for (uint32_t i = number; is_suspect && i-- > 0;) {
        const struct br_write *earlier = &state->history.writes[i];
        if (earlier->actor == write->actor && earlier->counter == write->counter &&
            earlier->outcome == BR_WRITE_DONE)
            br_state_fail(state, "named twice", "n%u gives w%u the name that w%u had, %016" PRIx64 " %" PRIu64,
                          (unsigned)write->node, (unsigned)number, (unsigned)i, write->actor, write->counter);
    }
    of->actor = write->actor;
    of->counter = write->counter;
}

/* The newest write takes effect, or is taken back since it was refused. */
static void note_write(struct br_state *state, uint32_t number, int status, uint32_t request)
{
    struct br_write *write = &state->history.writes[number];
    struct bruit_kv_stat stat;
    uint32_t node = write->node;
    if (status != 0) {
        state->history.keys[write->key].count--;
        state->history.count--;
        free(write->seen);
        free(write->covered);
        br_state_log(state, "n%u: that was refused: %s", (unsigned)node, bruit_strerror(status));
        return;
    }
    (void)bruit_kv_stat(bruit_sim_engine(state->sim, node), &stat);
    write->actor = stat.actor;
    write->counter = stat.counter;
    check_counter(state, number);
    expect_request(state, node, request, number);
    br_state_count(state, BR_STATE_WRITES, 1);
    br_state_count(state, BR_STATE_DELETES, write->is_delete);
}

/* How it is written: over all that is there; with a version; or over a part of it, as somebody who read earlier. */
struct plan {
    enum bruit_kv_mode mode;
    uint64_t version;
    struct bruit_bytes seen;
    uint32_t replaced[BR_STATE_SHOWN_MAX];
    uint32_t replaced_count;
    uint8_t dots[16 * BR_STATE_SHOWN_MAX];
    bool is_stale; /* it has to be refused */
};

/* Some of the siblings that a read names, tombstones perhaps among them. */
static void see_a_part(struct br_state *state, uint32_t key, struct bruit_bytes seen, struct plan *plan)
{
    uint32_t keep = br_state_below(state, (uint32_t)(seen.size / 16) + 1), all = plan->replaced_count;
    memcpy(plan->dots, seen.data == NULL ? plan->dots : seen.data, (size_t)keep * 16);
    plan->seen = br_bytes(plan->dots, (size_t)keep * 16);
    plan->replaced_count = 0;
    for (uint32_t i = 0; i < keep; i++) {
        uint32_t write = br_history_named(&state->history, key, br_load_u64(plan->dots + 16 * i),
                                          br_load_u64(plan->dots + 16 * i + 8));
        if (write != BR_STATE_NONE)
            plan->replaced[plan->replaced_count++] = write;
    }
    br_state_count(state, BR_STATE_CONCURRENT, plan->replaced_count < all);
}

static void draw_plan(struct br_state *state, uint32_t node, uint32_t key, struct plan *plan)
{
    char room[BR_STATE_KEY_SIZE];
    struct bruit_kv_entry entry;
    uint32_t luck = br_state_below(state, 100);
    *plan = (struct plan){.mode = BRUIT_KV_REPLACE};
    plan->replaced_count = br_state_shown(state, node, key, plan->replaced);
    bool any = bruit_kv_get(bruit_sim_engine(state->sim, node), br_state_key(key, room), 0, &entry) == 0;
    if (luck < 10) {
        plan->mode = BRUIT_KV_COMPARE;
        plan->version = any ? entry.version : 0;
        plan->is_stale = luck < 2;
        if (plan->is_stale)
            plan->version ^= UINT64_C(0x5bd1e995);
    } else if (luck < 18) {
        plan->mode = BRUIT_KV_SEEN;
        see_a_part(state, key, any ? entry.seen : br_bytes(NULL, 0), plan);
    }
}

static int do_write(struct br_state *state, uint32_t number, const struct plan *plan, uint32_t *request)
{
    static uint8_t value[BRUIT_KV_VALUE_MAX];
    char room[BR_STATE_KEY_SIZE];
    const struct br_write *write = &state->history.writes[number];
    struct bruit_engine *engine = bruit_sim_engine(state->sim, write->node);
    struct bruit_kv_write how = {.struct_size = sizeof how,
                                 .mode = plan->mode,
                                 .version = plan->version,
                                 .seen = plan->seen,
                                 .lifetime = write->is_owned   ? BRUIT_KV_OWNED
                                             : write->ttl != 0 ? BRUIT_KV_EXPIRES
                                                               : BRUIT_KV_PERMANENT,
                                 .ttl = write->ttl,
                                 .ack = write->wanted};
    bruit_time now = bruit_sim_clock(state->sim, write->node);
    struct bruit_bytes key = br_state_key(write->key, room);
    if (write->is_delete)
        return bruit_kv_delete(engine, key, &how, request, now);
    fill_value(value, write->size, number);
    return bruit_kv_put(engine, key, br_bytes(value, write->size), &how, request, now);
}

static void judge_status(struct br_state *state, uint32_t number, const struct plan *plan, int status)
{
    const struct br_write *write = &state->history.writes[number];
    if (plan->is_stale && status != BRUIT_ECHANGED)
        br_state_fail(state, "compare", "n%u wrote key-%u though its version had changed (w%u)",
                      (unsigned)write->node, (unsigned)write->key, (unsigned)number);
    else if (!plan->is_stale && status == BRUIT_ECHANGED)
        br_state_fail(state, "compare", "n%u was refused key-%u though its version had not changed",
                      (unsigned)write->node, (unsigned)write->key);
    else if (status != 0 && status != BRUIT_ECHANGED && status != BRUIT_EFULL)
        br_state_fail(state, "refused", "n%u was refused key-%u: %s", (unsigned)write->node,
                      (unsigned)write->key, bruit_strerror(status));
    br_state_count(state, BR_STATE_COMPARES, status == BRUIT_ECHANGED);
}

static void write_at(struct br_state *state, uint32_t node, uint32_t key)
{
    struct plan plan;
    uint32_t request = 0;
    draw_plan(state, node, key, &plan);
    if (br_state_is_over(state))
        return;
    uint32_t number = br_history_add(&state->history, key, plan.replaced, plan.replaced_count);
    struct br_write *write = &state->history.writes[number];
    make_room(state);
    write->node = node;
    write->life = bruit_sim_starts(state->sim, node);
    write->time = bruit_sim_now(state->sim);
    write->is_delete = plan.replaced_count > 0 && br_state_chance(state, 20);
    write->size = write->is_delete ? 0 : draw_size(state);
    write->wanted = draw_ack(state);
    draw_lifetime(state, write);
    log_write(state, node, key, number, plan.replaced, plan.replaced_count);
    int status = do_write(state, number, &plan, &request);
    judge_status(state, number, &plan, status);
    note_write(state, number, status, request);
    bruit_sim_kick(state->sim, node);
}

static uint32_t draw_writer(struct br_state *state)
{
    for (uint32_t tries = 0; tries < 100; tries++) {
        uint32_t node = br_state_below(state, state->config->nodes);
        if (bruit_sim_condition(state->sim, node) == BRUIT_SIM_RUNNING && !state->nodes[node].is_doomed)
            return node;
    }
    return BR_STATE_NONE;
}

/* One in fifty keys gets half of the writes. */
static uint32_t draw_key(struct br_state *state)
{
    uint32_t keys = state->config->keys, hot = keys / 50 + 1;
    return br_state_below(state, br_state_chance(state, 50) ? hot : keys);
}

/* Often several at the very same moment. Returns how many. */
static uint32_t write_some(struct br_state *state, uint32_t key)
{
    uint32_t count = br_state_chance(state, 85) ? 1 : 2 + br_state_below(state, 3);
    for (uint32_t i = 0; i < count && !br_state_is_over(state); i++) {
        uint32_t node = draw_writer(state);
        if (node != BR_STATE_NONE)
            write_at(state, node, key);
    }
    return count;
}

/* ------------------------------------------------------------------ epochs */

static void pass_time(struct br_state *state, bruit_time until)
{
    bruit_time undo;
    while ((undo = br_state_undo_time(state)) <= until && !br_state_is_over(state)) {
        bruit_sim_run_until(state->sim, undo);
        if (!br_state_is_over(state))
            br_state_undo_one(state);
    }
    if (!br_state_is_over(state))
        bruit_sim_run_until(state->sim, until);
}

static void tell_walls(struct bruit_sim *sim, void *context)
{
    struct br_state *state = context;
    for (uint32_t i = 0; i < state->config->nodes; i++)
        if (bruit_sim_condition(sim, i) == BRUIT_SIM_RUNNING)
            br_state_tell_wall(state, i);
    (void)bruit_sim_at(sim, bruit_sim_now(sim) + WALL_EVERY, tell_walls, state); /* without memory: no more */
}

/* Writes `count` times, the first `fresh` of them to keys from `first` on, under faults. */
static void write_under_faults(struct br_state *state, uint32_t first, uint32_t fresh, uint32_t count)
{
    bruit_time start = bruit_sim_now(state->sim);
    bruit_time length = br_time_max(EPOCH_MIN, (bruit_time)count * BRUIT_SECOND / WRITES_A_SECOND);
    bruit_time gap = 2 * length / (count + 1), next_fault = start + FAULT_EVERY;
    uint32_t done = 0;
    state->is_calm = false;
    br_state_recall(state);
    while (done < count && !br_state_is_over(state)) {
        bruit_time next = bruit_sim_now(state->sim) + br_state_between(state, 0, gap);
        if (next_fault <= next) {
            pass_time(state, next_fault);
            if (!br_state_is_over(state))
                br_state_fault(state);
            next_fault += br_state_between(state, FAULT_EVERY / 4, 2 * FAULT_EVERY);
            continue;
        }
        pass_time(state, next);
        done += write_some(state, done < fresh ? first + done : draw_key(state));
    }
}

static bool is_equal(const struct br_state *state)
{
    for (uint32_t i = 0; i < state->config->nodes; i++)
        if (state->nodes[i].request_count > 0 && bruit_sim_engine(state->sim, i) != NULL)
            return false;
    return br_state_is_equal(state);
}

/* Equal, and still equal after a while without a word. */
static bool wait_until_equal(struct br_state *state)
{
    bruit_time start = bruit_sim_now(state->sim), equal_since = BRUIT_NEVER;
    for (bruit_time now = start; now < start + PATIENCE && !br_state_is_over(state);
         now = bruit_sim_now(state->sim)) {
        if (!is_equal(state))
            equal_since = BRUIT_NEVER;
        else if (equal_since == BRUIT_NEVER)
            equal_since = now;
        if (equal_since != BRUIT_NEVER && now >= equal_since + QUIET) {
            br_state_count(state, BR_STATE_QUIET_MS, (equal_since - start) / BRUIT_MILLISECOND);
            return true;
        }
        pass_time(state, now + BRUIT_SECOND);
    }
    return false;
}

static void epoch(struct br_state *state, uint32_t number)
{
    const struct br_state_config *config = state->config;
    uint32_t writes = config->writes / EPOCHS, first = number * config->keys / EPOCHS;
    uint32_t fresh = (number + 1) * config->keys / EPOCHS - first;
    br_state_log(state, "epoch %u begins", (unsigned)number + 1);
    write_under_faults(state, first, fresh, fresh + writes);
    if (br_state_is_over(state))
        return;
    br_state_calm(state, number + 1 == EPOCHS);
    br_state_log(state, "all faults end");
    if (wait_until_equal(state)) {
        br_state_log(state, "all is quiet");
        br_state_check_all(state);
        br_state_count(state, BR_STATE_EPOCHS, 1);
    } else if (!br_state_is_over(state)) {
        br_state_explain_unequal(state);
    }
}

/* ------------------------------------------------------------------ the whole */

static void configure(const struct br_state_config *config, struct br_state *state,
                      struct bruit_sim_config *world)
{
    static const struct bruit_module *const modules[] = {&bruit_status_module, &bruit_kv_module};
    bruit_sim_config_default(world);
    world->seed = config->seed;
    world->nodes = config->nodes;
    world->engine.modules = modules;
    world->engine.module_count = sizeof modules / sizeof modules[0];
    world->engine.has_store = true;
    world->disk_torn = true;
    world->link.loss = config->loss;
    world->link.duplicate = world->link.reorder = 2000;
    world->link.reorder_delay = 20 * BRUIT_MILLISECOND;
    world->on_start = on_start;
    world->on_stop = on_stop;
    world->on_load = on_load;
    world->on_event = on_event;
    world->context = state;
}

static void begin(struct br_state *state)
{
    uint32_t nodes = state->config->nodes;
    br_rng_init(&state->rng, state->config->seed, "state");
    br_history_init(&state->history, state->config->keys);
    state->nodes = br_state_room(NULL, nodes, sizeof *state->nodes);
    memset(state->nodes, 0, nodes * sizeof *state->nodes);
    make_room(state);
}

static void end(struct br_state *state)
{
    for (uint32_t i = 0; i < state->config->nodes; i++) {
        free(state->nodes[i].shown);
        free(state->nodes[i].gone);
        free(state->nodes[i].requests);
    }
    free(state->nodes);
    free(state->undos);
    br_history_fini(&state->history);
}

static void run(struct br_state *state)
{
    struct bruit_sim_stats stats;
    if (bruit_sim_preload(state->sim) != 0) {
        state->verdict->outcome = BR_OUTCOME_REFUSED;
        (void)snprintf(state->verdict->text, sizeof state->verdict->text, "no memory for so many nodes");
        return;
    }
    tell_walls(state->sim, state);
    for (uint32_t i = 0; i < EPOCHS && !br_state_is_over(state); i++)
        epoch(state, i);
    bruit_sim_stats_get(state->sim, &stats);
    state->verdict->events = stats.events;
    state->verdict->hash = bruit_sim_hash(state->sim);
}

void br_state_judge(const struct br_state_config *config, struct br_judgement *verdict)
{
    struct br_state state = {.config = config, .verdict = verdict};
    struct bruit_sim_config world;
    *verdict = (struct br_judgement){.outcome = BR_OUTCOME_GOOD};
    begin(&state);
    configure(config, &state, &world);
    if (bruit_sim_new(&state.sim, &world, verdict->text, sizeof verdict->text) != 0)
        verdict->outcome = BR_OUTCOME_REFUSED;
    else
        run(&state);
    bruit_sim_free(state.sim);
    end(&state);
}
