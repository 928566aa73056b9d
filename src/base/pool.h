/*
 * Objects of one size, taken from blocks and reused.
 *
 * With BRUIT_NO_POOL defined each object is an allocation of its own, given back when it is freed, so
 * that sanitizers see what a pool hides. Both keep the promise of reserve.
 */
#ifndef BR_BASE_POOL_H
#define BR_BASE_POOL_H

#include "base/alloc.h"

struct br_pool_free;
struct br_pool_block;

struct br_pool {
    struct br_alloc *alloc;
    struct br_pool_free *free;
    struct br_pool_block *blocks;
    size_t object_size;
    uint32_t per_block;
    uint32_t free_count;
    uint32_t used_count;
};

/* Objects of `object_size` > 0 bytes, aligned as malloc's, `per_block` > 0 to a block. */
void br_pool_init(struct br_pool *p, struct br_alloc *alloc, size_t object_size, uint32_t per_block);

/* Every object must have been freed. */
void br_pool_fini(struct br_pool *p);

/* The next `count` calls of br_pool_new will not fail: 0, or BRUIT_ENOMEM. */
int br_pool_reserve(struct br_pool *p, uint32_t count);

/* A zeroed object, or NULL. */
void *br_pool_new(struct br_pool *p);

/* NULL is fine. */
void br_pool_free(struct br_pool *p, void *object);

#endif
