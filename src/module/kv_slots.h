/*
 * Numbered slots of one size in pages: they never move, and growing copies nothing.
 *
 * A free slot is taken again last in, first out, so numbers depend on the history alone.
 */
#ifndef BR_MODULE_KV_SLOTS_H
#define BR_MODULE_KV_SLOTS_H

#include "base/alloc.h"
#include "module/kv_item.h"

#define BR_KV_PAGE 256

struct br_kv_slots {
    struct br_alloc *alloc;
    uint8_t **pages;
    uint32_t item_size;
    uint32_t page_count;
    uint32_t page_capacity;
    uint32_t used;       /* slots ever used */
    uint32_t free;       /* the first free one, or BR_KV_NONE */
    uint32_t free_count;
};

/* Items of at least 4 bytes. Holds no memory yet. */
void br_kv_slots_init(struct br_kv_slots *slots, struct br_alloc *alloc, size_t item_size);
void br_kv_slots_fini(struct br_kv_slots *slots);

/* Room for `extra` <= BR_KV_PAGE more: 0, or BRUIT_ENOMEM. */
int br_kv_slots_reserve(struct br_kv_slots *slots, uint32_t extra);

/* A zeroed slot, for which room was reserved. */
uint32_t br_kv_slots_take(struct br_kv_slots *slots);

/* Its first four bytes are the list of free slots from now on; the others stay as they are. */
void br_kv_slots_give(struct br_kv_slots *slots, uint32_t slot);

/* Slots in use, and the least number that no slot has reached or can reach without new memory. */
static inline uint32_t br_kv_slots_count(const struct br_kv_slots *slots)
{
    return slots->used - slots->free_count;
}
static inline uint32_t br_kv_slots_end(const struct br_kv_slots *slots)
{
    return slots->page_count * BR_KV_PAGE;
}

static inline struct br_kv_key *br_kv_key_at(const struct br_kv_slots *slots, uint32_t slot)
{
    return (struct br_kv_key *)(void *)slots->pages[slot / BR_KV_PAGE] + slot % BR_KV_PAGE;
}
static inline struct br_kv_sibling *br_kv_sibling_at(const struct br_kv_slots *slots, uint32_t slot)
{
    return (struct br_kv_sibling *)(void *)slots->pages[slot / BR_KV_PAGE] + slot % BR_KV_PAGE;
}

#endif
