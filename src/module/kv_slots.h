/*
 * Numbered slots of one size in pages: they never move, and growing copies nothing.
 *
 * A free slot is found again last in, first out; its number is kept by the caller's own field.
 */
#ifndef BR_MODULE_KV_SLOTS_H
#define BR_MODULE_KV_SLOTS_H

#include "base/alloc.h"

#define BR_KV_PAGE 256

struct br_kv_slots {
    struct br_alloc *alloc;
    uint8_t **pages;
    uint32_t page_count;
    uint32_t page_capacity;
    uint32_t item_size;
    uint32_t used; /* slots ever used */
    uint32_t free; /* the first free one, or UINT32_MAX */
};

#endif
