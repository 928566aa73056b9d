/*
 * The table's changes; see table.h for the layout. Robin Hood hashing (Celis, 1986): of two entries that
 * want a slot the one farther from its home gets it, so that distances stay short and even. Removal
 * shifts the followers back by one until one of them is at home.
 */
#include "base/table.h"

#include "base/check.h"

#include <bruit/error.h>

/* Full to at most 7 of 8 slots: some 4 probes for a hit; one of 16 would make it 8. */
#define LOAD_PARTS 7
#define LOAD_OF 8
#define CAPACITY_MIN 8

static int grow(struct br_table *t, uint64_t capacity);
static void place(struct br_table *t, uint32_t hash, uint32_t index);
static uint32_t find_slot(const struct br_table *t, uint64_t hash, uint32_t index);

void br_table_init(struct br_table *t, struct br_alloc *alloc)
{
    *t = (struct br_table){.alloc = alloc};
}

void br_table_fini(struct br_table *t)
{
    br_alloc_free(t->alloc, t->slots, (size_t)t->capacity * sizeof *t->slots);
    br_table_init(t, t->alloc);
}

int br_table_reserve(struct br_table *t, uint32_t extra)
{
    uint64_t count = (uint64_t)t->count + extra;
    if (count * LOAD_OF <= (uint64_t)t->capacity * LOAD_PARTS)
        return 0;
    /* By half at least, so that entries added one by one are moved twice on average. */
    uint64_t capacity = (count * LOAD_OF + LOAD_PARTS - 1) / LOAD_PARTS;
    uint64_t larger = (uint64_t)t->capacity + t->capacity / 2;
    if (capacity < larger)
        capacity = larger;
    return grow(t, capacity < CAPACITY_MIN ? CAPACITY_MIN : capacity);
}

static int grow(struct br_table *t, uint64_t capacity)
{
    if (capacity >= UINT32_MAX)
        return BRUIT_ENOMEM;
    struct br_table old = *t;
    struct br_table_slot *slots = br_alloc_array(t->alloc, (size_t)capacity, sizeof *slots);
    if (slots == NULL)
        return BRUIT_ENOMEM;
    for (size_t i = 0; i < capacity; i++)
        slots[i].index = BR_TABLE_NONE;
    t->slots = slots;
    t->capacity = (uint32_t)capacity;
    for (uint32_t i = 0; i < old.capacity; i++)
        if (old.slots[i].index != BR_TABLE_NONE)
            place(t, old.slots[i].hash, old.slots[i].index);
    br_alloc_free(t->alloc, old.slots, (size_t)old.capacity * sizeof *old.slots);
    return 0;
}

static inline uint32_t next_slot(const struct br_table *t, uint32_t at)
{
    return at + 1 == t->capacity ? 0 : at + 1;
}

/* How far the entry in slot `at` is from its home. */
static inline uint32_t distance_at(const struct br_table *t, uint32_t at)
{
    uint32_t home = br_table_home(t, t->slots[at].hash);
    return at >= home ? at - home : at + t->capacity - home;
}

void br_table_insert(struct br_table *t, uint64_t hash, uint32_t index)
{
    BR_ASSERT(index != BR_TABLE_NONE);
    BR_ASSERT((uint64_t)(t->count + 1) * LOAD_OF <= (uint64_t)t->capacity * LOAD_PARTS);
    place(t, (uint32_t)(hash >> 32), index);
    t->count++;
}

static void place(struct br_table *t, uint32_t hash, uint32_t index)
{
    struct br_table_slot homeless = {.hash = hash, .index = index};
    uint32_t at = br_table_home(t, hash);
    uint32_t distance = 0;
    while (t->slots[at].index != BR_TABLE_NONE) {
        uint32_t theirs = distance_at(t, at);
        if (theirs < distance) {
            struct br_table_slot displaced = t->slots[at];
            t->slots[at] = homeless;
            homeless = displaced;
            distance = theirs;
        }
        at = next_slot(t, at);
        distance++;
    }
    t->slots[at] = homeless;
}

bool br_table_remove(struct br_table *t, uint64_t hash, uint32_t index)
{
    uint32_t at = find_slot(t, hash, index);
    if (at == BR_TABLE_NONE)
        return false;
    uint32_t next = next_slot(t, at);
    while (t->slots[next].index != BR_TABLE_NONE && distance_at(t, next) > 0) {
        t->slots[at] = t->slots[next];
        at = next;
        next = next_slot(t, next);
    }
    t->slots[at] = (struct br_table_slot){.index = BR_TABLE_NONE};
    t->count--;
    return true;
}

bool br_table_replace(struct br_table *t, uint64_t hash, uint32_t index, uint32_t new_index)
{
    BR_ASSERT(new_index != BR_TABLE_NONE);
    uint32_t at = find_slot(t, hash, index);
    if (at == BR_TABLE_NONE)
        return false;
    t->slots[at].index = new_index;
    return true;
}

static uint32_t find_slot(const struct br_table *t, uint64_t hash, uint32_t index)
{
    if (t->count == 0 || index == BR_TABLE_NONE)
        return BR_TABLE_NONE;
    uint32_t want = (uint32_t)(hash >> 32);
    uint32_t at = br_table_home(t, want);
    for (uint32_t distance = 0; t->slots[at].index != BR_TABLE_NONE; distance++) {
        if (t->slots[at].index == index && t->slots[at].hash == want)
            return at;
        if (distance_at(t, at) < distance)
            return BR_TABLE_NONE;
        at = next_slot(t, at);
    }
    return BR_TABLE_NONE;
}
