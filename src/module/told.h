/*
 * What was told lately: the last broadcasts of a module, so that a copy that comes back is known for one of them.
 */
#ifndef BR_MODULE_TOLD_H
#define BR_MODULE_TOLD_H

#include <bruit/module.h>

/* Copies come within some tens of milliseconds: more are under way in a burst only, when packets are full anyway. */
#define BR_TOLD_MAX 16

struct br_told {
    struct {
        uint64_t ltime;
        uint64_t item; /* tells apart what has the same time */
        bruit_handle handle;
    } items[BR_TOLD_MAX];
    uint32_t next;
};

static inline void br_told_add(struct br_told *told, uint64_t ltime, uint64_t item, bruit_handle handle)
{
    told->items[told->next].ltime = ltime;
    told->items[told->next].item = item;
    told->items[told->next].handle = handle;
    told->next = (told->next + 1) % BR_TOLD_MAX;
}

/* The handle, or 0. */
static inline bruit_handle br_told_find(const struct br_told *told, uint64_t ltime, uint64_t item)
{
    for (uint32_t i = 0; i < BR_TOLD_MAX; i++)
        if (told->items[i].ltime == ltime && told->items[i].item == item)
            return told->items[i].handle;
    return 0;
}

#endif
