/*
 * The heap's changes: an item at position p has its children at 4p + 1 to 4p + 4.
 */
#include "base/heap.h"

#include "base/check.h"
#include "base/time.h"

#include <bruit/error.h>

#include <string.h>

#define CHILDREN 4

static int reserve_items(struct br_heap *h, uint32_t count);
static int reserve_ids(struct br_heap *h, uint32_t count);
static void sift_up(struct br_heap *h, uint32_t at, struct br_heap_item item);
static void sift_down(struct br_heap *h, uint32_t at, struct br_heap_item item);

void br_heap_init(struct br_heap *h, struct br_alloc *alloc)
{
    *h = (struct br_heap){.alloc = alloc};
}

void br_heap_fini(struct br_heap *h)
{
    br_alloc_free(h->alloc, h->items, (size_t)h->item_capacity * sizeof *h->items);
    br_alloc_free(h->alloc, h->where, (size_t)h->id_capacity * sizeof *h->where);
    br_heap_init(h, h->alloc);
}

int br_heap_reserve(struct br_heap *h, uint32_t items, uint32_t ids)
{
    int status = reserve_items(h, items);
    return status != 0 ? status : reserve_ids(h, ids);
}

/* At least half more than before, so that growing one by one stays cheap. */
static uint32_t grown(uint32_t capacity, uint32_t need)
{
    uint32_t larger = capacity > UINT32_MAX / 3 * 2 ? UINT32_MAX : capacity + capacity / 2;
    return need > larger ? need : larger;
}

static int reserve_items(struct br_heap *h, uint32_t count)
{
    if (count <= h->item_capacity)
        return 0;
    size_t size = sizeof *h->items;
    uint32_t capacity = grown(h->item_capacity, count);
    if (capacity > SIZE_MAX / size)
        return BRUIT_ENOMEM;
    void *items = br_alloc_resize(h->alloc, h->items, h->item_capacity * size, capacity * size);
    if (items == NULL)
        return BRUIT_ENOMEM;
    h->items = items;
    h->item_capacity = capacity;
    return 0;
}

static int reserve_ids(struct br_heap *h, uint32_t count)
{
    if (count <= h->id_capacity)
        return 0;
    size_t size = sizeof *h->where;
    uint32_t capacity = grown(h->id_capacity, count);
    if (capacity > SIZE_MAX / size)
        return BRUIT_ENOMEM;
    uint32_t *where = br_alloc_resize(h->alloc, h->where, h->id_capacity * size, capacity * size);
    if (where == NULL)
        return BRUIT_ENOMEM;
    memset(where + h->id_capacity, 0, (capacity - h->id_capacity) * size);
    h->where = where;
    h->id_capacity = capacity;
    return 0;
}

bool br_heap_has(const struct br_heap *h, uint32_t id)
{
    return id < h->id_capacity && h->where[id] != 0;
}

bruit_time br_heap_time(const struct br_heap *h, uint32_t id)
{
    return br_heap_has(h, id) ? h->items[h->where[id] - 1].time : BRUIT_NEVER;
}

void br_heap_push(struct br_heap *h, uint32_t id, bruit_time time)
{
    BR_ASSERT(h->count < h->item_capacity);
    BR_ASSERT(id < h->id_capacity);
    BR_ASSERT(h->where[id] == 0);
    struct br_heap_item item = {.time = time, .sequence = h->sequence++, .id = id};
    sift_up(h, h->count++, item);
}

void br_heap_set(struct br_heap *h, uint32_t id, bruit_time time)
{
    if (!br_heap_has(h, id)) {
        br_heap_push(h, id, time);
        return;
    }
    uint32_t at = h->where[id] - 1;
    struct br_heap_item item = {.time = time, .sequence = h->sequence++, .id = id};
    if (time < h->items[at].time)
        sift_up(h, at, item);
    else
        sift_down(h, at, item);
}

bool br_heap_remove(struct br_heap *h, uint32_t id)
{
    if (!br_heap_has(h, id))
        return false;
    uint32_t at = h->where[id] - 1;
    struct br_heap_item last = h->items[--h->count];
    h->where[id] = 0;
    if (last.id == id)
        return true;
    /* The last item fills the hole and finds its place from there, whichever way that is. */
    sift_down(h, at, last);
    at = h->where[last.id] - 1;
    sift_up(h, at, last);
    return true;
}

uint32_t br_heap_pop(struct br_heap *h)
{
    BR_ASSERT(h->count > 0);
    uint32_t id = h->items[0].id;
    (void)br_heap_remove(h, id); /* it is in */
    return id;
}

bool br_heap_pop_due(struct br_heap *h, bruit_time now, uint32_t *id)
{
    if (h->count == 0 || h->items[0].time > now)
        return false;
    *id = br_heap_pop(h);
    return true;
}

/* Items that meet at BRUIT_NEVER become equals, whose order is that of their sequence: sort them anew. */
void br_heap_delay(struct br_heap *h, bruit_time by)
{
    for (uint32_t i = 0; i < h->count; i++)
        h->items[i].time = br_time_add(h->items[i].time, by);
    for (uint32_t i = h->count; i-- > 0;)
        sift_down(h, i, h->items[i]);
}

static bool is_before(const struct br_heap_item *a, const struct br_heap_item *b)
{
    return a->time != b->time ? a->time < b->time : a->sequence < b->sequence;
}

/* Field by field: what was just put together is slow to read as a whole. */
static void settle(struct br_heap *h, uint32_t at, const struct br_heap_item *item)
{
    h->items[at].time = item->time;
    h->items[at].sequence = item->sequence;
    h->items[at].id = item->id;
    h->where[item->id] = at + 1;
}

/* Puts `item` into the hole at `at`, or higher. */
static void sift_up(struct br_heap *h, uint32_t at, struct br_heap_item item)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / CHILDREN;
        if (!is_before(&item, &h->items[parent]))
            break;
        settle(h, at, &h->items[parent]);
        at = parent;
    }
    settle(h, at, &item);
}

/* Puts `item` into the hole at `at`, or lower. */
static void sift_down(struct br_heap *h, uint32_t at, struct br_heap_item item)
{
    for (;;) {
        uint64_t first = (uint64_t)at * CHILDREN + 1;
        if (first >= h->count)
            break;
        uint32_t least = (uint32_t)first;
        for (uint32_t child = least + 1; child < h->count && child < first + CHILDREN; child++)
            if (is_before(&h->items[child], &h->items[least]))
                least = child;
        if (!is_before(&h->items[least], &item))
            break;
        settle(h, at, &h->items[least]);
        at = least;
    }
    settle(h, at, &item);
}
