/*
 * When nodes want to be woken: a wheel of slots of some 4 ms, and a small heap of what is due in the slot at hand.
 *
 * Nearly every event moves the time of some node, mostly by half a second or a second: with ten thousand nodes a heap
 * of all of them would cost more than the rest of the driver. In a slot nodes hang on a list, unordered; the heap
 * orders them when their slot comes. What lies beyond the wheel's turn waits on a list of its own.
 */
#ifndef BR_SIM_WHEEL_H
#define BR_SIM_WHEEL_H

#include "base/heap.h"

#define BR_SIM_WHEEL_SLOTS 1024u
#define BR_SIM_WHEEL_SHIFT 22u /* a slot is 2^22 ns, a turn 4.3 s: a probe interval or two */

struct br_sim_wheel_entry {
    bruit_time time;
    uint32_t next; /* id + 1; 0: the last */
    uint32_t previous;
    uint32_t place; /* where it hangs: a slot, or one of the places of wheel.c */
};

struct br_sim_wheel {
    struct br_alloc *alloc;
    struct br_sim_wheel_entry *entries; /* by id */
    uint32_t capacity;
    uint32_t far_count;
    uint64_t far_min; /* no slot of those far away is before this one */
    uint64_t turn;    /* slots up to this one are in the heap, counted from time 0 */
    struct br_heap near;
    uint64_t used[BR_SIM_WHEEL_SLOTS / 64]; /* one bit a slot that is not empty */
    uint32_t heads[BR_SIM_WHEEL_SLOTS + 1]; /* id + 1; the last is the list of those far away */
};

void br_sim_wheel_init(struct br_sim_wheel *wheel, struct br_alloc *alloc);
void br_sim_wheel_fini(struct br_sim_wheel *wheel);

/* Room for ids below `ids`: 0, or BRUIT_ENOMEM. */
int br_sim_wheel_reserve(struct br_sim_wheel *wheel, uint32_t ids);

/* `id` is due at `time` from now on; BRUIT_NEVER takes it out. */
void br_sim_wheel_set(struct br_sim_wheel *wheel, uint32_t id, bruit_time time);
/* BRUIT_NEVER when it is not in. */
static inline bruit_time br_sim_wheel_time(const struct br_sim_wheel *wheel, uint32_t id)
{
    return wheel->entries[id].time;
}

/* Lets the wheel turn until somebody is in the heap; false when nobody is in at all. */
bool br_sim_wheel_turn(struct br_sim_wheel *wheel);

/* The earliest time, or BRUIT_NEVER; after that, and unless it is BRUIT_NEVER, whose it is. */
static inline bruit_time br_sim_wheel_min_time(struct br_sim_wheel *wheel)
{
    if (wheel->near.count == 0 && !br_sim_wheel_turn(wheel))
        return BRUIT_NEVER;
    return wheel->near.items[0].time;
}
static inline uint32_t br_sim_wheel_min(const struct br_sim_wheel *wheel)
{
    return br_heap_min(&wheel->near);
}

#endif
