/*
 * The ring's memory and places.
 */
#include "base/ring.h"

#include "base/check.h"

#include <bruit/error.h>

#include <string.h>

#define CAPACITY_MIN 8

static int grow(struct br_ring *r, uint32_t capacity);
static void *place(const struct br_ring *r, uint32_t index);

void br_ring_init(struct br_ring *r, struct br_alloc *alloc, size_t item_size, uint32_t max)
{
    BR_ASSERT(item_size > 0);
    BR_ASSERT(max > 0);
    *r = (struct br_ring){.alloc = alloc, .item_size = item_size, .max = max};
}

void br_ring_fini(struct br_ring *r)
{
    br_alloc_free(r->alloc, r->items, r->capacity * r->item_size);
    br_ring_init(r, r->alloc, r->item_size, r->max);
}

int br_ring_reserve(struct br_ring *r, uint32_t extra)
{
    if (extra > r->max - r->count)
        return BRUIT_EFULL;
    uint32_t need = r->count + extra;
    if (need <= r->capacity)
        return 0;
    uint32_t capacity = r->capacity > r->max / 2 ? r->max : r->capacity * 2;
    if (capacity < CAPACITY_MIN)
        capacity = CAPACITY_MIN;
    if (capacity < need)
        capacity = need;
    return grow(r, capacity > r->max ? r->max : capacity);
}

static int grow(struct br_ring *r, uint32_t capacity)
{
    uint8_t *items = br_alloc_array(r->alloc, capacity, r->item_size);
    if (items == NULL)
        return BRUIT_ENOMEM;
    for (uint32_t i = 0; i < r->count; i++)
        memcpy(items + i * r->item_size, place(r, i), r->item_size);
    br_alloc_free(r->alloc, r->items, r->capacity * r->item_size);
    r->items = items;
    r->capacity = capacity;
    r->first = 0;
    return 0;
}

void *br_ring_push(struct br_ring *r)
{
    if (br_ring_reserve(r, 1) != 0)
        return NULL;
    void *item = place(r, r->count++);
    memset(item, 0, r->item_size);
    return item;
}

void *br_ring_at(const struct br_ring *r, uint32_t index)
{
    return index < r->count ? place(r, index) : NULL;
}

void *br_ring_front(const struct br_ring *r)
{
    return br_ring_at(r, 0);
}

bool br_ring_pop(struct br_ring *r)
{
    if (r->count == 0)
        return false;
    r->first = r->first + 1 == r->capacity ? 0 : r->first + 1;
    r->count--;
    return true;
}

/* The memory `index` places behind the first, whether an item is there or not. */
static void *place(const struct br_ring *r, uint32_t index)
{
    uint64_t at = (uint64_t)r->first + index;
    return r->items + (size_t)(at >= r->capacity ? at - r->capacity : at) * r->item_size;
}
