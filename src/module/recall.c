/*
 * What was heard lately: see recall.h.
 */
#include "module/recall.h"

#include "base/bytes.h"

#include <bruit/error.h>

/* A first event is some 40 bytes, a query's number 4. */
#define CAPACITY_MIN 32

void br_recall_init(struct br_recall *recall, struct br_alloc *alloc, size_t memory_max)
{
    *recall = (struct br_recall){.alloc = alloc, .memory_max = memory_max};
}

static size_t size_of(uint32_t capacity)
{
    return sizeof(struct br_recall_time) + capacity;
}

static void forget(struct br_recall *recall, struct br_recall_time **place)
{
    if (*place == NULL)
        return;
    size_t size = size_of((*place)->capacity);
    br_alloc_free(recall->alloc, *place, size);
    recall->memory -= size;
    *place = NULL;
}

void br_recall_fini(struct br_recall *recall)
{
    for (unsigned i = 0; i < BR_RECALL_TIMES && recall->times != NULL; i++)
        forget(recall, &recall->times[i]);
    br_alloc_free(recall->alloc, recall->times, BR_RECALL_TIMES * sizeof recall->times[0]);
    recall->times = NULL;
}

bool br_recall_is_old(const struct br_recall *recall, uint64_t clock, uint64_t ltime)
{
    return ltime < recall->oldest || (clock > BR_RECALL_TIMES && ltime < clock - BR_RECALL_TIMES);
}

const struct br_recall_time *br_recall_find(const struct br_recall *recall, uint64_t ltime)
{
    if (recall->times == NULL)
        return NULL;
    const struct br_recall_time *time = recall->times[ltime % BR_RECALL_TIMES];
    return time != NULL && time->ltime == ltime ? time : NULL;
}

/* Forgets the oldest time to make room for `ltime`: false when that is itself the oldest. */
static bool forget_older(struct br_recall *recall, uint64_t ltime)
{
    struct br_recall_time **oldest = NULL;
    for (unsigned i = 0; i < BR_RECALL_TIMES; i++) {
        struct br_recall_time **place = &recall->times[i];
        if (*place != NULL && (oldest == NULL || (*place)->ltime < (*oldest)->ltime))
            oldest = place;
    }
    if (oldest == NULL || (*oldest)->ltime >= ltime)
        return false;
    recall->oldest = (*oldest)->ltime + 1;
    forget(recall, oldest);
    return true;
}

/* Room for `size` more bytes in `*place`, which may be empty. */
static int reserve(struct br_recall *recall, struct br_recall_time **place, uint64_t ltime, size_t size)
{
    struct br_recall_time *time = *place;
    uint32_t used = time == NULL ? 0 : time->size;
    uint32_t held = time == NULL ? 0 : time->capacity;
    if (time != NULL && held - used >= size)
        return 0;
    uint64_t capacity = (uint64_t)used + size < CAPACITY_MIN ? CAPACITY_MIN : (uint64_t)used + size;
    if (used > 0)
        capacity += capacity / 2; /* one is the rule; where there are two, there may be more */
    if (capacity > UINT32_MAX / 2)
        return BRUIT_EFULL;
    size_t held_size = time == NULL ? 0 : size_of(held);
    size_t wanted = size_of((uint32_t)capacity);
    while (recall->memory - held_size + wanted > recall->memory_max)
        if (!forget_older(recall, ltime))
            return BRUIT_EFULL;
    struct br_recall_time *grown = br_alloc_resize(recall->alloc, time, held_size, wanted);
    if (grown == NULL)
        return BRUIT_ENOMEM;
    if (time == NULL)
        *grown = (struct br_recall_time){0};
    grown->capacity = (uint32_t)capacity;
    recall->memory += wanted - held_size;
    *place = grown;
    return 0;
}

int br_recall_add(struct br_recall *recall, uint64_t ltime, struct bruit_bytes item)
{
    if (recall->times == NULL)
        recall->times = br_alloc_array(recall->alloc, BR_RECALL_TIMES, sizeof recall->times[0]);
    if (recall->times == NULL)
        return BRUIT_ENOMEM;
    struct br_recall_time **place = &recall->times[ltime % BR_RECALL_TIMES];
    if (*place != NULL && (*place)->ltime != ltime)
        forget(recall, place);
    if (*place != NULL && (*place)->count == BR_RECALL_ITEMS_MAX)
        return BRUIT_EFULL;
    int status = reserve(recall, place, ltime, item.size);
    if (status != 0)
        return status;
    struct br_recall_time *time = *place;
    if (item.size > 0)
        memcpy(time->bytes + time->size, item.data, item.size);
    time->ltime = ltime;
    time->size += (uint32_t)item.size;
    time->count++;
    return 0;
}
