/*
 * The heartbeat detector: see heartbeat.h.
 */
#include "detect/heartbeat.h"

#include "base/check.h"
#include "base/time.h"

#include <string.h>

void br_heartbeat_init(struct br_heartbeat *hb, struct br_core *core)
{
    *hb = (struct br_heartbeat){.core = core};
    br_accrual_rule_init(&hb->rule, &core->config.heartbeat);
    br_table_init(&hb->grave_by_id, &core->alloc);
}

void br_heartbeat_fini(struct br_heartbeat *hb)
{
    struct br_alloc *alloc = &hb->core->alloc;
    br_alloc_free(alloc, hb->pairs, hb->capacity * sizeof *hb->pairs);
    br_alloc_free(alloc, hb->graves, hb->grave_capacity * sizeof *hb->graves);
    br_table_fini(&hb->grave_by_id);
}

int br_heartbeat_reserve(struct br_heartbeat *hb, uint32_t capacity)
{
    struct br_alloc *alloc = &hb->core->alloc;
    if (capacity <= hb->capacity)
        return 0;
    struct br_accrual *pairs =
        br_alloc_resize(alloc, hb->pairs, hb->capacity * sizeof *pairs, capacity * sizeof *pairs);
    if (pairs == NULL)
        return BRUIT_ENOMEM;
    memset(pairs + hb->capacity, 0, (capacity - hb->capacity) * sizeof *pairs);
    hb->pairs = pairs;
    hb->capacity = capacity;
    return 0;
}

/* ---- time ---- */

static bruit_time awake(const struct br_heartbeat *hb)
{
    return br_time_since(hb->stalled, hb->core->now);
}

/* The last number is where it stops: 136 years of one a second. */
static void add_beats(struct br_heartbeat *hb, uint64_t count)
{
    uint32_t *own = &hb->core->pulse.heartbeat[hb->core->self];
    *own = count > UINT32_MAX - *own ? UINT32_MAX : *own + (uint32_t)count;
}

void br_heartbeat_beat(struct br_heartbeat *hb)
{
    add_beats(hb, 1);
}

void br_heartbeat_begin(struct br_heartbeat *hb, uint32_t slot)
{
    br_accrual_begin(&hb->pairs[slot], &hb->rule, awake(hb));
}

void br_heartbeat_arrived(struct br_heartbeat *hb, uint32_t slot)
{
    br_accrual_beat(&hb->pairs[slot], &hb->rule, awake(hb));
}

uint32_t br_heartbeat_next_silent(const struct br_heartbeat *hb, uint32_t slot)
{
    const struct br_view *view = &hb->core->view;
    bruit_time now = awake(hb);
    for (slot++; slot < view->used; slot++)
        if (view->state[slot] == BRUIT_ALIVE && slot != hb->core->self && br_view_is_listed(view, slot) &&
            br_accrual_is_over(&hb->pairs[slot], &hb->rule, now))
            return slot;
    return 0;
}

bruit_time br_heartbeat_silence(const struct br_heartbeat *hb, uint32_t slot)
{
    return br_time_since(hb->pairs[slot].last, awake(hb));
}

double br_heartbeat_phi(const struct br_heartbeat *hb, uint32_t slot)
{
    return br_accrual_phi(&hb->pairs[slot], &hb->rule, awake(hb));
}

void br_heartbeat_delay(struct br_heartbeat *hb, bruit_time gap)
{
    hb->stalled = br_time_add(hb->stalled, gap);
    add_beats(hb, gap / hb->core->config.heartbeat.interval);
}

/* ---- claims ---- */

static bool is_too_far(uint32_t claimed, uint32_t known, uint32_t step)
{
    return claimed > known && claimed - known > step;
}

enum br_beat_relation br_heartbeat_relation(const struct br_heartbeat *hb, uint32_t slot,
                                            const struct br_beat_entry *claim)
{
    const struct br_core *core = hb->core;
    uint32_t generation = core->view.incarnation[slot];
    uint32_t heartbeat = core->pulse.heartbeat[slot];
    bool has_left = core->view.state[slot] == BRUIT_LEFT;
    if (claim->generation < generation)
        return BR_BEAT_OLDER;
    if (claim->generation > BR_HEARTBEAT_GENERATION_MAX ||
        is_too_far(claim->generation, generation, BR_HEARTBEAT_GENERATION_STEP))
        return BR_BEAT_FORGED;
    if (claim->generation > generation)
        return BR_BEAT_REBORN;
    if (is_too_far(claim->heartbeat, heartbeat, BR_HEARTBEAT_STEP))
        return BR_BEAT_FORGED;
    if (has_left)
        return claim->flags & BR_BEAT_LEFT ? BR_BEAT_SAME : BR_BEAT_OLDER;
    if (claim->flags & BR_BEAT_LEFT) /* from dead to left nobody goes */
        return core->view.state[slot] == BRUIT_ALIVE ? BR_BEAT_GONE : BR_BEAT_SAME;
    if (claim->heartbeat == heartbeat)
        return BR_BEAT_SAME;
    return claim->heartbeat > heartbeat ? BR_BEAT_NEWER : BR_BEAT_OLDER;
}

/* A quarter of the beats that the silence had room for: members may beat at other intervals, and arrive late. */
bool br_heartbeat_lives(const struct br_heartbeat *hb, uint32_t slot, uint32_t heartbeat)
{
    const struct br_core *core = hb->core;
    bruit_time rounds = br_heartbeat_silence(hb, slot) / core->config.heartbeat.interval;
    uint64_t beats = heartbeat - core->pulse.heartbeat[slot];
    return heartbeat > core->pulse.heartbeat[slot] && beats >= rounds / 4;
}

uint32_t br_heartbeat_defence(struct br_heartbeat *hb, uint32_t claimed)
{
    struct br_core *core = hb->core;
    uint32_t own = core->incarnation;
    uint32_t wanted = claimed > own ? claimed : own;
    bool is_too_soon = hb->defended_at != 0 && br_time_since(hb->defended_at, core->now) <
                                                   core->config.heartbeat.interval;
    if (wanted >= BR_HEARTBEAT_GENERATION_MAX || is_too_soon)
        return 0;
    hb->defended_at = core->now;
    return wanted - own >= BR_HEARTBEAT_GENERATION_STEP ? own + BR_HEARTBEAT_GENERATION_STEP : wanted + 1;
}

/* ---- graves ---- */

struct searched {
    const struct br_heartbeat *hb;
    uint64_t id;
};

static bool is_searched(const void *context, uint32_t index)
{
    const struct searched *searched = context;
    return searched->hb->graves[index].id == searched->id;
}

static uint32_t find_grave(const struct br_heartbeat *hb, uint64_t id)
{
    struct searched searched = {hb, id};
    return br_table_find(&hb->grave_by_id, id, is_searched, &searched);
}

/* Where the next one goes: a new place while there are some, then the oldest. BR_TABLE_NONE without memory. */
static uint32_t dig(struct br_heartbeat *hb)
{
    if (hb->grave_count < hb->grave_capacity)
        return hb->grave_count++;
    if (hb->grave_count == BR_GRAVES_MAX) {
        uint32_t oldest = hb->grave_next;
        hb->grave_next = (oldest + 1) % BR_GRAVES_MAX;
        br_table_remove(&hb->grave_by_id, hb->graves[oldest].id, oldest);
        return oldest;
    }
    uint32_t wanted = hb->grave_capacity == 0 ? 16 : hb->grave_capacity * 2;
    struct br_grave *graves =
        br_alloc_resize(&hb->core->alloc, hb->graves, hb->grave_capacity * sizeof *graves, wanted * sizeof *graves);
    if (graves == NULL)
        return BR_TABLE_NONE;
    hb->graves = graves;
    hb->grave_capacity = wanted;
    return hb->grave_count++;
}

void br_heartbeat_bury(struct br_heartbeat *hb, uint32_t slot)
{
    const struct br_core *core = hb->core;
    uint64_t id = br_beat_id(br_core_name(core, slot));
    uint32_t index = find_grave(hb, id);
    if (index == BR_TABLE_NONE) {
        if (br_table_reserve(&hb->grave_by_id, 1) != 0 || (index = dig(hb)) == BR_TABLE_NONE)
            return;
        br_table_insert(&hb->grave_by_id, id, index);
    }
    hb->graves[index] = (struct br_grave){.id = id,
                                          .since = core->now,
                                          .generation = core->view.incarnation[slot],
                                          .heartbeat = core->pulse.heartbeat[slot]};
}

/*
 * Of the generation that died only beats that it can have made since then count: about as many as there was time for,
 * as with the dead who are still known.
 */
bool br_heartbeat_is_buried(const struct br_heartbeat *hb, const struct br_beat_entry *claim)
{
    uint32_t index = find_grave(hb, claim->id);
    if (index == BR_TABLE_NONE)
        return false;
    const struct br_grave *grave = &hb->graves[index];
    bruit_time age = br_time_since(grave->since, hb->core->now);
    if (claim->generation != grave->generation || age > BR_GRAVE_TIME)
        return claim->generation < grave->generation && age <= BR_GRAVE_TIME;
    bruit_time rounds = age / hb->core->config.heartbeat.interval;
    return claim->heartbeat <= grave->heartbeat || claim->heartbeat - grave->heartbeat < rounds / 4;
}
