/*
 * The pool's blocks and its list of free objects, which runs through the objects themselves.
 */
#include "base/pool.h"

#include "base/check.h"

#include <bruit/error.h>

#include <stdalign.h>
#include <string.h>

struct br_pool_free {
    struct br_pool_free *next;
};

/* The objects follow. */
struct br_pool_block {
    alignas(max_align_t) struct br_pool_block *next;
};

static int add_objects(struct br_pool *p);
static void give_back_all(struct br_pool *p);

void br_pool_init(struct br_pool *p, struct br_alloc *alloc, size_t object_size, uint32_t per_block)
{
    BR_ASSERT(object_size > 0 && object_size <= SIZE_MAX / 2);
    BR_ASSERT(per_block > 0);
    /* A type's size is a multiple of its alignment, so whole words keep every type aligned. */
    size_t word = sizeof(struct br_pool_free);
    *p = (struct br_pool){
        .alloc = alloc,
        .object_size = (object_size + word - 1) / word * word,
        .per_block = per_block,
    };
}

void br_pool_fini(struct br_pool *p)
{
    BR_ASSERT(p->used_count == 0);
    give_back_all(p);
    br_pool_init(p, p->alloc, p->object_size, p->per_block);
}

int br_pool_reserve(struct br_pool *p, uint32_t count)
{
    while (p->free_count < count) {
        int status = add_objects(p);
        if (status != 0)
            return status;
    }
    return 0;
}

void *br_pool_new(struct br_pool *p)
{
    if (p->free == NULL && add_objects(p) != 0)
        return NULL;
    struct br_pool_free *object = p->free;
    p->free = object->next;
    p->free_count--;
    p->used_count++;
    memset(object, 0, p->object_size);
    return object;
}

static void put_in_front(struct br_pool *p, void *object)
{
    struct br_pool_free *link = object;
    link->next = p->free;
    p->free = link;
    p->free_count++;
}

#ifdef BRUIT_NO_POOL

void br_pool_free(struct br_pool *p, void *object)
{
    if (object == NULL)
        return;
    BR_ASSERT(p->used_count > 0);
    p->used_count--;
    br_alloc_free(p->alloc, object, p->object_size);
}

static int add_objects(struct br_pool *p)
{
    void *object = br_alloc_new(p->alloc, p->object_size);
    if (object == NULL)
        return BRUIT_ENOMEM;
    put_in_front(p, object);
    return 0;
}

static void give_back_all(struct br_pool *p)
{
    while (p->free != NULL) {
        struct br_pool_free *object = p->free;
        p->free = object->next;
        br_alloc_free(p->alloc, object, p->object_size);
    }
}

#else

void br_pool_free(struct br_pool *p, void *object)
{
    if (object == NULL)
        return;
    BR_ASSERT(p->used_count > 0);
    p->used_count--;
    put_in_front(p, object);
}

static size_t block_size(const struct br_pool *p)
{
    return sizeof(struct br_pool_block) + p->object_size * p->per_block;
}

static int add_objects(struct br_pool *p)
{
    if (p->object_size > (SIZE_MAX - sizeof(struct br_pool_block)) / p->per_block)
        return BRUIT_ENOMEM;
    struct br_pool_block *block = br_alloc_resize(p->alloc, NULL, 0, block_size(p));
    if (block == NULL)
        return BRUIT_ENOMEM;
    block->next = p->blocks;
    p->blocks = block;
    /* Backwards, so that objects are handed out from the front of the block. */
    uint8_t *objects = (uint8_t *)(block + 1);
    for (uint32_t i = p->per_block; i-- > 0;)
        put_in_front(p, objects + i * p->object_size);
    return 0;
}

static void give_back_all(struct br_pool *p)
{
    while (p->blocks != NULL) {
        struct br_pool_block *block = p->blocks;
        p->blocks = block->next;
        br_alloc_free(p->alloc, block, block_size(p));
    }
}

#endif
