/*
 * When nodes want to be woken: see wheel.h.
 */
#include "sim/wheel.h"

#include <bruit/error.h>

#include <string.h>

#define FAR BR_SIM_WHEEL_SLOTS /* the last of the heads */
#define NEAR (FAR + 1)
#define NOWHERE (FAR + 2)

void br_sim_wheel_init(struct br_sim_wheel *wheel, struct br_alloc *alloc)
{
    memset(wheel, 0, sizeof *wheel);
    wheel->alloc = alloc;
    wheel->far_min = UINT64_MAX;
    br_heap_init(&wheel->near, alloc);
}

void br_sim_wheel_fini(struct br_sim_wheel *wheel)
{
    br_heap_fini(&wheel->near);
    br_alloc_free(wheel->alloc, wheel->entries, wheel->capacity * sizeof *wheel->entries);
}

int br_sim_wheel_reserve(struct br_sim_wheel *wheel, uint32_t ids)
{
    if (br_heap_reserve(&wheel->near, ids, ids) != 0)
        return BRUIT_ENOMEM;
    if (ids <= wheel->capacity)
        return 0;
    uint32_t wanted = ids < 2 * wheel->capacity ? 2 * wheel->capacity : ids;
    struct br_sim_wheel_entry *entries = br_alloc_resize(
        wheel->alloc, wheel->entries, wheel->capacity * sizeof *entries, wanted * sizeof *entries);
    if (entries == NULL)
        return BRUIT_ENOMEM;
    for (uint32_t i = wheel->capacity; i < wanted; i++)
        entries[i] = (struct br_sim_wheel_entry){.time = BRUIT_NEVER, .place = NOWHERE};
    wheel->entries = entries;
    wheel->capacity = wanted;
    return 0;
}

/* ---- lists ---- */

static void hang(struct br_sim_wheel *wheel, uint32_t id, uint32_t place)
{
    struct br_sim_wheel_entry *entry = &wheel->entries[id];
    entry->place = place;
    entry->previous = 0;
    entry->next = wheel->heads[place];
    if (entry->next != 0)
        wheel->entries[entry->next - 1].previous = id + 1;
    wheel->heads[place] = id + 1;
    if (place == FAR)
        wheel->far_count++;
    else
        wheel->used[place / 64] |= UINT64_C(1) << place % 64;
}

static void take_down(struct br_sim_wheel *wheel, uint32_t id)
{
    const struct br_sim_wheel_entry *entry = &wheel->entries[id];
    uint32_t place = entry->place;
    if (entry->previous == 0)
        wheel->heads[place] = entry->next;
    else
        wheel->entries[entry->previous - 1].next = entry->next;
    if (entry->next != 0)
        wheel->entries[entry->next - 1].previous = entry->previous;
    if (place == FAR)
        wheel->far_count--;
    else if (wheel->heads[place] == 0)
        wheel->used[place / 64] &= ~(UINT64_C(1) << place % 64);
}

static void put(struct br_sim_wheel *wheel, uint32_t id, bruit_time time)
{
    uint64_t slot = time >> BR_SIM_WHEEL_SHIFT;
    if (slot <= wheel->turn) {
        wheel->entries[id].place = NEAR;
        br_heap_push(&wheel->near, id, time);
    } else if (slot - wheel->turn < BR_SIM_WHEEL_SLOTS) {
        hang(wheel, id, (uint32_t)(slot % BR_SIM_WHEEL_SLOTS));
    } else {
        hang(wheel, id, FAR);
        wheel->far_min = slot < wheel->far_min ? slot : wheel->far_min;
    }
}

void br_sim_wheel_set(struct br_sim_wheel *wheel, uint32_t id, bruit_time time)
{
    struct br_sim_wheel_entry *entry = &wheel->entries[id];
    entry->time = time;
    if (entry->place == NEAR) {
        if (time >> BR_SIM_WHEEL_SHIFT <= wheel->turn) {
            br_heap_set(&wheel->near, id, time);
            return;
        }
        (void)br_heap_remove(&wheel->near, id); /* it is in */
    } else if (entry->place != NOWHERE) {
        take_down(wheel, id);
    }
    entry->place = NOWHERE;
    if (time != BRUIT_NEVER)
        put(wheel, id, time);
}

/* ---- turning ---- */

/* The next slot that is not empty, counted from time 0; UINT64_MAX when the wheel is empty. */
static uint64_t next_slot(const struct br_sim_wheel *wheel)
{
    for (uint64_t ahead = 1; ahead < BR_SIM_WHEEL_SLOTS;) {
        uint64_t slot = wheel->turn + ahead, place = slot % BR_SIM_WHEEL_SLOTS;
        uint64_t word = wheel->used[place / 64] >> place % 64;
        if (word != 0)
            return slot + (uint64_t)__builtin_ctzll(word);
        ahead += 64 - place % 64;
    }
    return UINT64_MAX;
}

/* Takes a whole list apart, and puts each of it to where it now belongs. */
static void sort_out(struct br_sim_wheel *wheel, uint32_t place)
{
    for (uint32_t at = wheel->heads[place], next; at != 0; at = next) {
        next = wheel->entries[at - 1].next;
        take_down(wheel, at - 1);
        put(wheel, at - 1, wheel->entries[at - 1].time);
    }
}

static uint64_t nearest_far(const struct br_sim_wheel *wheel)
{
    uint64_t nearest = UINT64_MAX;
    for (uint32_t at = wheel->heads[FAR]; at != 0; at = wheel->entries[at - 1].next) {
        uint64_t slot = wheel->entries[at - 1].time >> BR_SIM_WHEEL_SHIFT;
        nearest = slot < nearest ? slot : nearest;
    }
    return nearest;
}

/* Before slot `next` comes, those far away that come before it, or with it, are put into their slots. */
static bool fetch_far(struct br_sim_wheel *wheel, uint64_t next)
{
    if (wheel->far_count == 0 || wheel->far_min > next)
        return false;
    wheel->far_min = nearest_far(wheel); /* it may have been taken out since it was noted */
    if (wheel->far_min > next)
        return false;
    wheel->turn = wheel->far_min - 1;
    wheel->far_min = UINT64_MAX;
    sort_out(wheel, FAR);
    return true;
}

bool br_sim_wheel_turn(struct br_sim_wheel *wheel)
{
    while (wheel->near.count == 0) {
        uint64_t next = next_slot(wheel);
        if (fetch_far(wheel, next))
            continue;
        if (next == UINT64_MAX)
            return false;
        wheel->turn = next;
        sort_out(wheel, (uint32_t)(next % BR_SIM_WHEEL_SLOTS));
    }
    return true;
}
