/*
 * A bounded queue of items of one size, first in, first out.
 *
 * The bound is the caller's policy: a full ring refuses, and the caller decides what is dropped. Memory
 * is held in one block that grows by doubling up to the bound and is kept.
 */
#ifndef BR_BASE_RING_H
#define BR_BASE_RING_H

#include "base/alloc.h"

struct br_ring {
    struct br_alloc *alloc;
    uint8_t *items;
    size_t item_size;
    uint32_t first;
    uint32_t count;
    uint32_t capacity; /* items that fit now */
    uint32_t max;      /* items that may ever be in */
};

/* `max` > 0 items of `item_size` > 0 bytes. Holds no memory yet. */
void br_ring_init(struct br_ring *r, struct br_alloc *alloc, size_t item_size, uint32_t max);
void br_ring_fini(struct br_ring *r);

/* Room for `extra` more: 0, BRUIT_EFULL beyond the bound, or BRUIT_ENOMEM. */
int br_ring_reserve(struct br_ring *r, uint32_t extra);

/* A zeroed item at the end, to be filled in; NULL when there is no room and none to be had. */
void *br_ring_push(struct br_ring *r);

/* The item `index` places behind the first; NULL past the end. Valid until the next push. */
void *br_ring_at(const struct br_ring *r, uint32_t index);

/* The first item, or NULL. */
void *br_ring_front(const struct br_ring *r);

/* Drops the first item; false when there is none. Its memory stays readable until the next push. */
bool br_ring_pop(struct br_ring *r);

static inline uint32_t br_ring_count(const struct br_ring *r)
{
    return r->count;
}
static inline bool br_ring_is_full(const struct br_ring *r)
{
    return r->count == r->max;
}
static inline void br_ring_clear(struct br_ring *r)
{
    r->first = 0;
    r->count = 0;
}

#endif
