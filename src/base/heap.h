/*
 * Deadlines, earliest first, each with an id by which it can be moved or taken out.
 *
 * A 4-ary heap. Equal deadlines come out in the order in which they went in (moving one puts it behind
 * its equals), so that the order never depends on the heap's shape. Ids are the caller's small numbers:
 * 4 bytes are spent for each id below the limit reserved, 24 for each item that can be in at once.
 */
#ifndef BR_BASE_HEAP_H
#define BR_BASE_HEAP_H

#include "base/alloc.h"

struct br_heap_item {
    bruit_time time;
    uint64_t sequence;
    uint32_t id;
};

struct br_heap {
    struct br_alloc *alloc;
    struct br_heap_item *items;
    uint32_t *where; /* by id: position in items + 1, or 0 */
    uint64_t sequence;
    uint32_t count;
    uint32_t item_capacity;
    uint32_t id_capacity;
};

void br_heap_init(struct br_heap *h, struct br_alloc *alloc);
void br_heap_fini(struct br_heap *h);

/* Room for `items` items in all, with ids below `ids`: 0, or BRUIT_ENOMEM. Never shrinks. */
int br_heap_reserve(struct br_heap *h, uint32_t items, uint32_t ids);

/* Room must have been reserved, and `id` must not be in. */
void br_heap_push(struct br_heap *h, uint32_t id, bruit_time time);

/* Push, or move when it is in already: behind the others of the same time. Room as for push. */
void br_heap_set(struct br_heap *h, uint32_t id, bruit_time time);

/* False when it was not in. Any id may be asked for. */
bool br_heap_remove(struct br_heap *h, uint32_t id);
bool br_heap_has(const struct br_heap *h, uint32_t id);

/* The time of `id`, or BRUIT_NEVER when it is not in. */
bruit_time br_heap_time(const struct br_heap *h, uint32_t id);

/* The earliest time, or BRUIT_NEVER; its id, which needs a non-empty heap. */
static inline bruit_time br_heap_min_time(const struct br_heap *h)
{
    return h->count == 0 ? BRUIT_NEVER : h->items[0].time;
}
static inline uint32_t br_heap_min(const struct br_heap *h)
{
    return h->items[0].id;
}

/* Takes the earliest out and returns its id; needs a non-empty heap. */
uint32_t br_heap_pop(struct br_heap *h);

/* Takes the earliest out if it is due at `now`. */
bool br_heap_pop_due(struct br_heap *h, bruit_time now, uint32_t *id);

/* Adds `by` to every time (BRUIT_NEVER stays); the order stays. For giving back a stall. */
void br_heap_delay(struct br_heap *h, bruit_time by);

#endif
