/*
 * Memory that lives as long as one call: taken piece by piece, given back all at once.
 *
 * Resetting keeps the blocks for the next call, up to a limit, so that the steady state allocates nothing
 * and one big exchange does not hold its memory for ever.
 */
#ifndef BR_BASE_ARENA_H
#define BR_BASE_ARENA_H

#include "base/alloc.h"

struct br_arena_block;

struct br_arena {
    struct br_alloc *alloc;
    struct br_arena_block *blocks; /* in the order in which they are filled */
    struct br_arena_block *current;
    size_t block_size;
    size_t keep_max;
};

/* Blocks of `block_size` bytes; after a reset at most about `keep_max` bytes are held. */
void br_arena_init(struct br_arena *a, struct br_alloc *alloc, size_t block_size, size_t keep_max);
void br_arena_fini(struct br_arena *a);

/* `size` bytes, not zeroed, aligned as malloc's; NULL when there are none. Size 0 gives a pointer too. */
void *br_arena_new(struct br_arena *a, size_t size);

/* A zeroed array; NULL on overflow too. */
void *br_arena_array(struct br_arena *a, size_t count, size_t item_size);

/* Forgets all that was taken. */
void br_arena_reset(struct br_arena *a);

#endif
