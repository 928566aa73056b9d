/*
 * Recent intents: see intents.h.
 */
#include "module/intents.h"

#include "base/bytes.h"
#include "base/siphash.h"

struct query {
    const struct br_intents *intents;
    struct bruit_bytes name;
};

static bool is_of(const void *context, uint32_t index)
{
    const struct query *query = context;
    const struct br_intent *intent = &query->intents->items[index];
    return br_bytes_equal(br_bytes(intent->name, intent->name_size), query->name);
}

void br_intents_init(struct br_intents *intents, struct br_alloc *alloc, const uint8_t key[16])
{
    *intents = (struct br_intents){.alloc = alloc};
    memcpy(intents->key, key, sizeof intents->key);
    br_table_init(&intents->by_name, alloc);
}

void br_intents_fini(struct br_intents *intents)
{
    for (uint32_t i = 0; i < intents->used; i++)
        br_alloc_free(intents->alloc, intents->items[i].name, intents->items[i].name_size);
    br_alloc_free(intents->alloc, intents->items, intents->capacity * sizeof *intents->items);
    br_table_fini(&intents->by_name);
}

static uint32_t find(const struct br_intents *intents, struct bruit_bytes name)
{
    struct query query = {intents, name};
    return br_table_find(&intents->by_name, br_siphash13(intents->key, name), is_of, &query);
}

/* A free item: a hole, or the next unused one. UINT32_MAX when full or out of memory. */
static uint32_t free_item(struct br_intents *intents)
{
    if (intents->count == BR_INTENTS_MAX)
        return UINT32_MAX;
    if (intents->count < intents->used)
        for (uint32_t i = 0; i < intents->used; i++)
            if (intents->items[i].name == NULL)
                return i;
    if (intents->used == intents->capacity) {
        uint32_t grown = intents->capacity == 0 ? 8 : intents->capacity * 2;
        struct br_intent *items = br_alloc_resize(intents->alloc, intents->items,
                                                  intents->capacity * sizeof *items, grown * sizeof *items);
        if (items == NULL)
            return UINT32_MAX;
        intents->items = items;
        intents->capacity = grown;
    }
    return intents->used;
}

static bool add(struct br_intents *intents, struct bruit_bytes name, struct br_intent intent)
{
    if (br_table_reserve(&intents->by_name, 1) != 0)
        return false;
    uint32_t index = free_item(intents);
    if (index == UINT32_MAX)
        return false;
    intent.name = br_alloc_resize(intents->alloc, NULL, 0, name.size);
    if (intent.name == NULL)
        return false;
    memcpy(intent.name, name.data, name.size);
    intent.name_size = (uint8_t)name.size;
    intents->items[index] = intent;
    if (index == intents->used)
        intents->used++;
    intents->count++;
    br_table_insert(&intents->by_name, br_siphash13(intents->key, name), index);
    return true;
}

bool br_intents_put(struct br_intents *intents, struct bruit_bytes name, bool is_leave, uint64_t time,
                    bruit_time now)
{
    if (name.size == 0 || name.size > BRUIT_NAME_MAX)
        return false;
    uint32_t index = find(intents, name);
    if (index == BR_TABLE_NONE)
        return add(intents, name, (struct br_intent){.is_leave = is_leave, .time = time, .stored = now});
    struct br_intent *intent = &intents->items[index];
    if (time <= intent->time)
        return false;
    intent->is_leave = is_leave;
    intent->time = time;
    intent->stored = now;
    return true;
}

const struct br_intent *br_intents_find(const struct br_intents *intents, struct bruit_bytes name)
{
    uint32_t index = find(intents, name);
    return index == BR_TABLE_NONE ? NULL : &intents->items[index];
}

void br_intents_expire(struct br_intents *intents, bruit_time horizon)
{
    for (uint32_t i = 0; i < intents->used; i++) {
        struct br_intent *intent = &intents->items[i];
        if (intent->name == NULL || intent->stored >= horizon)
            continue;
        struct bruit_bytes name = br_bytes(intent->name, intent->name_size);
        br_table_remove(&intents->by_name, br_siphash13(intents->key, name), i);
        br_alloc_free(intents->alloc, intent->name, intent->name_size);
        *intent = (struct br_intent){0};
        intents->count--;
    }
}
