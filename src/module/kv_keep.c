/*
 * How keys and siblings come and go; see kv_keep.h.
 */
#include "module/kv_keep.h"

#include "base/check.h"
#include "base/siphash.h"
#include "base/time.h"

#include <string.h>

uint64_t br_kv_keep_hash(const struct br_kv_store *s, struct bruit_bytes name)
{
    return br_siphash13(s->secret, name);
}

size_t br_kv_keep_pending_size(uint32_t count)
{
    return sizeof(struct br_kv_pending) + count * sizeof(struct br_kv_past);
}

bool br_kv_keep_is_settled(const struct br_kv_store *s, const struct br_kv_past *past)
{
    return past->is_prefix ? br_kv_context_covers_all(&s->context, past->dot)
                           : br_kv_context_covers(&s->context, past->dot);
}

/* ---- keys ---------------------------------------------------------------------------------------------- */

uint32_t br_kv_keep_key(struct br_kv_store *s, uint8_t *name, uint16_t size)
{
    uint32_t at = br_kv_slots_take(&s->keys);
    struct br_kv_key *key = br_kv_key_at(&s->keys, at);
    struct bruit_bytes bytes = br_bytes(name, size);
    key->hash = br_kv_hash(bytes);
    key->name = name;
    key->name_size = size;
    key->first = BR_KV_NONE;
    br_table_insert(&s->by_name, br_kv_keep_hash(s, bytes), at);
    br_kv_tree_link(&s->tree, &s->keys, at);
    br_kv_order_insert(&s->order, &s->keys, at);
    s->bytes += size;
    s->empty_keys++;
    return at;
}

bool br_kv_keep_release(struct br_kv_store *s, uint32_t at)
{
    struct br_kv_key *key = br_kv_key_at(&s->keys, at);
    if (key->sibling_count > 0 || key->change_count > 0)
        return false;
    struct bruit_bytes name = br_bytes(key->name, key->name_size);
    br_kv_order_remove(&s->order, &s->keys, at);
    br_kv_tree_unlink(&s->tree, &s->keys, at);
    (void)br_table_remove(&s->by_name, br_kv_keep_hash(s, name), at); /* it is in */
    s->bytes -= key->name_size;
    s->empty_keys--;
    br_alloc_free(s->alloc, key->name, key->name_size);
    key->name_size = 0;
    br_kv_slots_give(&s->keys, at);
    return true;
}

/* ---- what is shown ------------------------------------------------------------------------------------- */

static void count_live(struct br_kv_store *s, const struct br_kv_sibling *sibling, uint32_t at, int by)
{
    struct br_kv_key *key = br_kv_key_at(&s->keys, sibling->key);
    uint64_t hash = br_kv_sibling_hash(key->hash, br_kv_store_dot(s, at), sibling->hlc);
    bool had = key->live_count > 0;
    key->live_count = (uint16_t)(key->live_count + by);
    bool has = key->live_count > 0;
    key->sum ^= hash;
    br_kv_tree_change(&s->tree, key->hash, hash, has - had);
    s->live_keys += (uint32_t)(has - had);
    s->live_siblings += (uint32_t)by;
    s->owned_count += sibling->life == BR_KV_OWNED ? (uint32_t)by : 0;
}

static void free_data(struct br_kv_store *s, struct br_kv_sibling *sibling)
{
    uint32_t size = sibling->value_size + sibling->owner_size;
    s->bytes -= size;
    br_alloc_free(s->alloc, sibling->data, size);
    sibling->data = NULL;
    sibling->value_size = 0;
    sibling->owner_size = 0;
}

/* ---- siblings ------------------------------------------------------------------------------------------ */

/* The winner first. */
static void insert(struct br_kv_store *s, uint32_t at)
{
    struct br_kv_sibling *sibling = br_kv_sibling_at(&s->siblings, at);
    struct br_kv_key *key = br_kv_key_at(&s->keys, sibling->key);
    struct br_kv_dot dot = br_kv_store_dot(s, at);
    uint32_t *link = &key->first;
    while (*link != BR_KV_NONE) {
        struct br_kv_sibling *other = br_kv_sibling_at(&s->siblings, *link);
        if (br_kv_write_compare(sibling->hlc, dot, other->hlc, br_kv_store_dot(s, *link)) > 0)
            break;
        link = &other->next;
    }
    sibling->next = *link;
    *link = at;
    s->empty_keys -= key->sibling_count == 0;
    key->sibling_count++;
}

uint32_t br_kv_keep_add(struct br_kv_store *s, uint32_t key, const struct br_kv_write *write, uint32_t actor,
                        uint8_t *data, struct br_kv_pending *pending, bruit_time now)
{
    uint32_t at = br_kv_slots_take(&s->siblings);
    struct br_kv_sibling *sibling = br_kv_sibling_at(&s->siblings, at);
    sibling->actor = actor;
    sibling->key = key;
    sibling->value_size = (uint32_t)write->value.size & 0x1ffff;
    sibling->owner_size = (uint32_t)write->owner.size & 0xff;
    sibling->is_delete = write->is_delete;
    sibling->life = (uint32_t)write->life & 3;
    sibling->counter = write->dot.counter;
    sibling->hlc = write->hlc;
    sibling->expires = BRUIT_NEVER;
    sibling->data = data;
    sibling->pending = pending;
    s->context.actors[actor].sibling_count++;
    s->bytes += write->value.size + write->owner.size;
    insert(s, at);
    if (write->is_delete) {
        s->grave_count++;
        br_heap_push(&s->graves, at, br_time_add(now, s->limits.tombstone_ns));
    } else {
        count_live(s, sibling, at, 1);
    }
    if (write->life == BR_KV_EXPIRES) {
        sibling->expires = br_time_add(now, br_time_mul(BRUIT_MILLISECOND, write->ttl_ms));
        br_heap_push(&s->alarms, at, sibling->expires);
    }
    return at;
}

void br_kv_keep_pending(struct br_kv_store *s, uint32_t at, struct br_kv_pending *pending)
{
    struct br_kv_sibling *sibling = br_kv_sibling_at(&s->siblings, at);
    if (sibling->pending != NULL)
        br_alloc_free(s->alloc, sibling->pending, br_kv_keep_pending_size(sibling->pending->count));
    sibling->pending = pending;
}

void br_kv_keep_remove(struct br_kv_store *s, uint32_t at)
{
    struct br_kv_sibling *sibling = br_kv_sibling_at(&s->siblings, at);
    struct br_kv_key *key = br_kv_key_at(&s->keys, sibling->key);
    uint32_t *link = &key->first;
    while (*link != at)
        link = &br_kv_sibling_at(&s->siblings, *link)->next;
    *link = sibling->next;
    key->sibling_count--;
    s->empty_keys += key->sibling_count == 0;
    if (sibling->is_delete)
        s->grave_count--;
    else
        count_live(s, sibling, at, -1);
    (void)br_heap_remove(&s->graves, at); /* where it is in */
    (void)br_heap_remove(&s->alarms, at);
    br_kv_keep_pending(s, at, NULL);
    free_data(s, sibling);
    s->context.actors[sibling->actor].sibling_count--;
    sibling->key = BR_KV_NONE;
    br_kv_slots_give(&s->siblings, at);
}

void br_kv_keep_bury(struct br_kv_store *s, uint32_t at, bruit_time now)
{
    struct br_kv_sibling *sibling = br_kv_sibling_at(&s->siblings, at);
    if (sibling->is_delete)
        return;
    count_live(s, sibling, at, -1);
    (void)br_heap_remove(&s->alarms, at); /* where it is in */
    free_data(s, sibling);
    sibling->is_delete = true;
    sibling->life = BR_KV_FOREVER;
    sibling->expires = BRUIT_NEVER;
    s->grave_count++;
    br_heap_push(&s->graves, at, br_time_add(now, s->limits.tombstone_ns));
}

/* ---- changes ------------------------------------------------------------------------------------------- */

static void forget_oldest(struct br_kv_store *s)
{
    const struct br_kv_change *oldest = br_ring_front(&s->changes);
    uint32_t key = oldest->key;
    (void)br_ring_pop(&s->changes); /* there is one */
    br_kv_key_at(&s->keys, key)->change_count--;
    (void)br_kv_keep_release(s, key); /* unless it is still needed */
}

void br_kv_keep_change(struct br_kv_store *s, uint32_t key, enum br_kv_change_kind kind, struct br_kv_dot dot)
{
    if (br_ring_is_full(&s->changes))
        forget_oldest(s);
    struct br_kv_change *change = br_ring_push(&s->changes);
    BR_ASSERT(change != NULL);
    *change = (struct br_kv_change){.key = key, .kind = (uint8_t)kind, .dot = dot};
    br_kv_key_at(&s->keys, key)->change_count++;
    s->change_next++;
}
