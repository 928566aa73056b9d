/*
 * The arena's blocks. Pieces come from the current block; what does not fit there goes to the first block
 * that has room, or to a new one.
 */
#include "base/arena.h"

#include "base/check.h"

#include <stdalign.h>
#include <string.h>

#define ALIGNMENT alignof(max_align_t)

/* `capacity` bytes follow. */
struct br_arena_block {
    alignas(max_align_t) struct br_arena_block *next;
    size_t capacity;
    size_t used;
};

static void *take(struct br_arena_block *block, size_t size);
static struct br_arena_block *find_block(struct br_arena *a, size_t size);
static struct br_arena_block *add_block(struct br_arena *a, size_t size);

void br_arena_init(struct br_arena *a, struct br_alloc *alloc, size_t block_size, size_t keep_max)
{
    BR_ASSERT(block_size >= 256);
    *a = (struct br_arena){
        .alloc = alloc,
        .block_size = (block_size - sizeof(struct br_arena_block)) / ALIGNMENT * ALIGNMENT,
        .keep_max = keep_max,
    };
}

static size_t whole_size(const struct br_arena_block *block)
{
    return sizeof *block + block->capacity;
}

void br_arena_fini(struct br_arena *a)
{
    while (a->blocks != NULL) {
        struct br_arena_block *block = a->blocks;
        a->blocks = block->next;
        br_alloc_free(a->alloc, block, whole_size(block));
    }
    a->current = NULL;
}

void *br_arena_new(struct br_arena *a, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size = size == 0 ? ALIGNMENT : (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct br_arena_block *block = a->current;
    if (block != NULL && block->capacity - block->used >= size)
        return take(block, size);
    block = find_block(a, size);
    if (block == NULL)
        block = add_block(a, size);
    if (block == NULL)
        return NULL;
    void *p = take(block, size);
    /* A big piece in a block of its own is no reason to leave a block with room. */
    if (a->current == NULL || block->capacity - block->used > a->current->capacity - a->current->used)
        a->current = block;
    return p;
}

void *br_arena_array(struct br_arena *a, size_t count, size_t item_size)
{
    if (item_size != 0 && count > SIZE_MAX / 2 / item_size)
        return NULL;
    void *p = br_arena_new(a, count * item_size);
    if (p != NULL)
        memset(p, 0, count * item_size);
    return p;
}

void br_arena_reset(struct br_arena *a)
{
    size_t kept = 0;
    struct br_arena_block **place = &a->blocks;
    while (*place != NULL) {
        struct br_arena_block *block = *place;
        if (whole_size(block) > a->keep_max - kept) {
            *place = block->next;
            br_alloc_free(a->alloc, block, whole_size(block));
            continue;
        }
        kept += whole_size(block);
        block->used = 0;
        place = &block->next;
    }
    a->current = a->blocks;
}

static void *take(struct br_arena_block *block, size_t size)
{
    uint8_t *data = (uint8_t *)(block + 1) + block->used;
    block->used += size;
    return data;
}

static struct br_arena_block *find_block(struct br_arena *a, size_t size)
{
    for (struct br_arena_block *block = a->blocks; block != NULL; block = block->next)
        if (block->capacity - block->used >= size)
            return block;
    return NULL;
}

/* Behind the others, so that a reset keeps the oldest. */
static struct br_arena_block *add_block(struct br_arena *a, size_t size)
{
    size_t capacity = size > a->block_size ? size : a->block_size;
    struct br_arena_block *block = br_alloc_resize(a->alloc, NULL, 0, sizeof *block + capacity);
    if (block == NULL)
        return NULL;
    *block = (struct br_arena_block){.capacity = capacity};
    struct br_arena_block **place = &a->blocks;
    while (*place != NULL)
        place = &(*place)->next;
    *place = block;
    return block;
}
