/*
 * Node-owned versioned state: see items.h.
 */
#include "member/items.h"

#include "base/check.h"
#include "base/time.h"

#include <string.h>

#define PLACES (2 * BR_ITEMS_MAX)

void br_items_init(struct br_items *items, struct br_alloc *alloc)
{
    *items = (struct br_items){.alloc = alloc};
    br_table_init(&items->by_slot, alloc);
}

void br_items_fini(struct br_items *items)
{
    while (items->count > 0)
        br_items_forget(items, items->owners[items->count - 1].slot);
    br_alloc_free(items->alloc, items->owners, items->capacity * sizeof *items->owners);
    br_table_fini(&items->by_slot);
}

/* ---- owners ---- */

/* Slots are small and our own: 2^64 divided by the golden ratio (Knuth). */
static uint64_t hash_of(uint32_t slot)
{
    return (uint64_t)slot * UINT64_C(0x9e3779b97f4a7c15);
}

struct wanted {
    const struct br_items *items;
    uint32_t slot;
};

static bool is_wanted(const void *context, uint32_t index)
{
    const struct wanted *wanted = context;
    return wanted->items->owners[index].slot == wanted->slot;
}

struct br_items_owner *br_items_find(const struct br_items *items, uint32_t slot)
{
    struct wanted wanted = {items, slot};
    uint32_t index = br_table_find(&items->by_slot, hash_of(slot), is_wanted, &wanted);
    return index == BR_TABLE_NONE ? NULL : &items->owners[index];
}

static int grow(struct br_items *items)
{
    if (items->count < items->capacity)
        return 0;
    uint32_t wanted = items->capacity == 0 ? 4 : items->capacity * 2;
    struct br_items_owner *owners = br_alloc_resize(
        items->alloc, items->owners, items->capacity * sizeof *owners, wanted * sizeof *owners);
    if (owners == NULL)
        return BRUIT_ENOMEM;
    items->owners = owners;
    items->capacity = wanted;
    return 0;
}

struct br_items_owner *br_items_owner(struct br_items *items, uint32_t slot)
{
    struct br_items_owner *owner = br_items_find(items, slot);
    if (owner != NULL)
        return owner;
    if (grow(items) != 0 || br_table_reserve(&items->by_slot, 1) != 0)
        return NULL;
    struct br_item *places = br_alloc_array(items->alloc, PLACES, sizeof *places);
    if (places == NULL)
        return NULL;
    br_table_insert(&items->by_slot, hash_of(slot), items->count);
    owner = &items->owners[items->count++];
    *owner = (struct br_items_owner){.items = places, .slot = slot};
    return owner;
}

static void take_out(struct br_items *items, struct br_items_owner *owner, uint32_t index)
{
    struct br_item *item = &owner->items[index];
    if (!item->is_deleted) {
        owner->live--;
        owner->bytes -= item->data->size;
    }
    br_buf_drop(items->alloc, item->data);
    owner->count--;
    memmove(item, item + 1, (owner->count - index) * sizeof *item);
}

void br_items_reset(struct br_items *items, struct br_items_owner *owner)
{
    while (owner->count > 0)
        take_out(items, owner, owner->count - 1);
}

/* The last owner takes the place of the one who goes. */
void br_items_forget(struct br_items *items, uint32_t slot)
{
    struct br_items_owner *owner = br_items_find(items, slot);
    if (owner == NULL)
        return;
    uint32_t index = (uint32_t)(owner - items->owners);
    uint32_t last = items->count - 1;
    br_items_reset(items, owner);
    br_alloc_free(items->alloc, owner->items, PLACES * sizeof *owner->items);
    br_table_remove(&items->by_slot, hash_of(slot), index);
    if (index != last) {
        br_table_replace(&items->by_slot, hash_of(items->owners[last].slot), last, index);
        *owner = items->owners[last];
    }
    items->count--;
}

void br_items_raise_floor(struct br_items *items, struct br_items_owner *owner, uint32_t floor)
{
    if (floor <= owner->floor)
        return;
    owner->floor = floor;
    for (uint32_t i = owner->count; i-- > 0;)
        if (owner->items[i].is_deleted && owner->items[i].version <= floor)
            take_out(items, owner, i);
}

/* ---- items ---- */

/* The place of a key, tombstones included, or `count`. */
static uint32_t place_of(const struct br_items_owner *owner, struct bruit_bytes key)
{
    uint32_t i = 0;
    while (i < owner->count && !br_bytes_equal(br_item_key(&owner->items[i]), key))
        i++;
    return i;
}

const struct br_item *br_items_get(const struct br_items_owner *owner, struct bruit_bytes key, bruit_time now)
{
    uint32_t place = place_of(owner, key);
    return place < owner->count && br_item_is_live(&owner->items[place], now) ? &owner->items[place] : NULL;
}

/* The oldest tombstone, and with it all that are older, is forgotten to make room. */
static bool make_room(struct br_items *items, struct br_items_owner *owner)
{
    for (uint32_t i = 0; i < owner->count; i++)
        if (owner->items[i].is_deleted) {
            br_items_raise_floor(items, owner, owner->items[i].version);
            return true;
        }
    return false;
}

static bool has_room(const struct br_items_owner *owner, uint32_t place, const struct br_beat_item *change)
{
    uint32_t live = owner->live;
    size_t bytes = owner->bytes;
    if (change->is_deleted)
        return true;
    if (place < owner->count && !owner->items[place].is_deleted) {
        live--;
        bytes -= owner->items[place].data->size;
    }
    return live < BR_ITEMS_MAX && bytes + change->key.size + change->value.size <= BR_ITEMS_BYTES_MAX;
}

int br_items_put(struct br_items *items, struct br_items_owner *owner, const struct br_beat_item *change,
                 bruit_time now)
{
    BR_ASSERT(owner->count == 0 || change->version > owner->items[owner->count - 1].version);
    if (!has_room(owner, place_of(owner, change->key), change))
        return BRUIT_EFULL;
    size_t value_size = change->is_deleted ? 0 : change->value.size;
    struct br_buf *data = br_buf_space(items->alloc, change->key.size + value_size);
    if (data == NULL)
        return BRUIT_ENOMEM;
    memcpy(data->data, change->key.data, change->key.size);
    if (value_size > 0)
        memcpy(data->data + change->key.size, change->value.data, value_size);
    uint32_t place = place_of(owner, change->key);
    if (place < owner->count)
        take_out(items, owner, place);
    if (owner->count == PLACES && !make_room(items, owner)) {
        br_buf_drop(items->alloc, data);
        return BRUIT_EFULL; /* not with live ones alone: they are half as many at most */
    }
    bruit_time end = change->ttl == 0 ? BRUIT_NEVER : br_time_add(now, change->ttl * BRUIT_SECOND);
    owner->items[owner->count++] = (struct br_item){.data = data,
                                                    .until = change->is_deleted ? now : end,
                                                    .version = change->version,
                                                    .key_size = (uint8_t)change->key.size,
                                                    .is_deleted = change->is_deleted};
    if (!change->is_deleted) {
        owner->live++;
        owner->bytes += data->size;
    }
    return 0;
}

/* What is left of a life, in whole seconds, upwards: it may not end on the way. */
static uint32_t ttl_of(const struct br_item *item, bruit_time now)
{
    if (item->is_deleted || item->until == BRUIT_NEVER)
        return 0;
    bruit_time left = br_time_since(now, item->until) / BRUIT_SECOND + 1;
    return left > UINT32_MAX ? UINT32_MAX : (uint32_t)left;
}

uint8_t br_items_write(const struct br_items_owner *owner, uint32_t above, struct br_writer *w, bruit_time now,
                       uint32_t *last, bool *whole)
{
    uint8_t count = 0;
    *last = above;
    *whole = true;
    for (uint32_t i = 0; i < owner->count; i++) {
        const struct br_item *item = &owner->items[i];
        if (item->version <= above)
            continue;
        struct br_beat_item said = {.version = item->version,
                                    .ttl = ttl_of(item, now),
                                    .is_deleted = item->is_deleted,
                                    .key = br_item_key(item),
                                    .value = br_item_value(item)};
        if (count == BR_BEAT_ITEMS_MAX || br_beat_item_size(&said) > br_writer_room(w)) {
            *whole = false;
            return count;
        }
        br_beat_item_encode(w, &said);
        *last = item->version;
        count++;
    }
    return count;
}
