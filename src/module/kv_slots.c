/*
 * Pages of slots; see kv_slots.h.
 */
#include "module/kv_slots.h"

#include "base/check.h"

#include <bruit/error.h>

#include <string.h>

void br_kv_slots_init(struct br_kv_slots *slots, struct br_alloc *alloc, size_t item_size)
{
    BR_ASSERT(item_size >= sizeof slots->free);
    *slots = (struct br_kv_slots){.alloc = alloc, .item_size = (uint32_t)item_size, .free = BR_KV_NONE};
}

static size_t page_size(const struct br_kv_slots *slots)
{
    return (size_t)slots->item_size * BR_KV_PAGE;
}

void br_kv_slots_fini(struct br_kv_slots *slots)
{
    for (uint32_t i = 0; i < slots->page_count; i++)
        br_alloc_free(slots->alloc, slots->pages[i], page_size(slots));
    br_alloc_free(slots->alloc, slots->pages, slots->page_capacity * sizeof *slots->pages);
    br_kv_slots_init(slots, slots->alloc, slots->item_size);
}

static int grow_list(struct br_kv_slots *slots)
{
    size_t size = sizeof *slots->pages;
    uint32_t capacity = slots->page_capacity == 0 ? 4 : slots->page_capacity * 2;
    void *pages = br_alloc_resize(slots->alloc, slots->pages, slots->page_capacity * size, capacity * size);
    if (pages == NULL)
        return BRUIT_ENOMEM;
    slots->pages = pages;
    slots->page_capacity = capacity;
    return 0;
}

int br_kv_slots_reserve(struct br_kv_slots *slots, uint32_t extra)
{
    BR_ASSERT(extra <= BR_KV_PAGE);
    if (slots->free_count + (br_kv_slots_end(slots) - slots->used) >= extra)
        return 0;
    if (slots->page_count >= UINT32_MAX / BR_KV_PAGE - 1)
        return BRUIT_ENOMEM;
    if (slots->page_count == slots->page_capacity && grow_list(slots) != 0)
        return BRUIT_ENOMEM;
    uint8_t *page = br_alloc_resize(slots->alloc, NULL, 0, page_size(slots));
    if (page == NULL)
        return BRUIT_ENOMEM;
    slots->pages[slots->page_count++] = page;
    return 0;
}

static void *at(const struct br_kv_slots *slots, uint32_t slot)
{
    return slots->pages[slot / BR_KV_PAGE] + (size_t)(slot % BR_KV_PAGE) * slots->item_size;
}

uint32_t br_kv_slots_take(struct br_kv_slots *slots)
{
    uint32_t slot = slots->free;
    if (slot == BR_KV_NONE) {
        BR_ASSERT(slots->used < br_kv_slots_end(slots));
        slot = slots->used++;
    } else {
        memcpy(&slots->free, at(slots, slot), sizeof slots->free);
        slots->free_count--;
    }
    memset(at(slots, slot), 0, slots->item_size);
    return slot;
}

void br_kv_slots_give(struct br_kv_slots *slots, uint32_t slot)
{
    memcpy(at(slots, slot), &slots->free, sizeof slots->free);
    slots->free = slot;
    slots->free_count++;
}
