/*
 * The store's life, what it can be asked, and what time does to it; merging is in kv_merge.c.
 */
#include "module/kv_store.h"

#include "base/check.h"
#include "base/siphash.h"
#include "base/time.h"
#include "module/kv_keep.h"

#include <bruit/error.h>

#include <string.h>

/* Members must agree on it: a fixed key. */
static const uint8_t hash_key[16] = "bruit kv keyhash";

struct br_kv_limits br_kv_limits_default(void)
{
    return (struct br_kv_limits){.keys_max = 1048576,
                                 .bytes_max = 64u << 20,
                                 .siblings_max = BR_KV_SIBLINGS_MAX,
                                 .actors_max = 4096,
                                 .runs_max = 65536,
                                 .changes_max = 4096,
                                 .tombstone_ns = 30 * BRUIT_SECOND};
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static void begin(struct br_kv_store *s)
{
    br_kv_context_init(&s->context, s->alloc, s->limits.actors_max, s->limits.runs_max, br_load_u64(s->secret));
    br_kv_tree_init(&s->tree, s->alloc);
    br_kv_order_init(&s->order, br_load_u64(s->secret + 8));
    br_table_init(&s->by_name, s->alloc);
    br_kv_slots_init(&s->keys, s->alloc, sizeof(struct br_kv_key));
    br_kv_slots_init(&s->siblings, s->alloc, sizeof(struct br_kv_sibling));
    br_heap_init(&s->alarms, s->alloc);
    br_heap_init(&s->graves, s->alloc);
    br_ring_init(&s->changes, s->alloc, sizeof(struct br_kv_change), s->limits.changes_max);
}

void br_kv_store_init(struct br_kv_store *s, struct br_alloc *alloc, const struct br_kv_limits *limits, uint64_t actor,
                      const uint64_t secret[2])
{
    BR_ASSERT(actor != 0);
    BR_ASSERT(limits->siblings_max > 0 && limits->siblings_max <= BR_KV_SIBLINGS_MAX);
    BR_ASSERT(limits->changes_max > 0);
    *s = (struct br_kv_store){.alloc = alloc, .limits = *limits, .actor = actor, .change_next = 1};
    br_store_u64(s->secret, secret[0]);
    br_store_u64(s->secret + 8, secret[1]);
    begin(s);
    s->context.own = actor;
}

void br_kv_store_fini(struct br_kv_store *s)
{
    for (uint32_t i = 0; i < s->siblings.used; i++) {
        struct br_kv_sibling *sibling = br_kv_sibling_at(&s->siblings, i);
        if (sibling->key == BR_KV_NONE)
            continue;
        br_alloc_free(s->alloc, sibling->data, sibling->value_size + sibling->owner_size);
        if (sibling->pending != NULL)
            br_alloc_free(s->alloc, sibling->pending, br_kv_keep_pending_size(sibling->pending->count));
    }
    for (uint32_t i = 0; i < s->keys.used; i++)
        if (br_kv_key_at(&s->keys, i)->name_size > 0)
            br_alloc_free(s->alloc, br_kv_key_at(&s->keys, i)->name, br_kv_key_at(&s->keys, i)->name_size);
    br_kv_context_fini(&s->context);
    br_kv_tree_fini(&s->tree);
    br_table_fini(&s->by_name);
    br_kv_slots_fini(&s->keys);
    br_kv_slots_fini(&s->siblings);
    br_heap_fini(&s->alarms);
    br_heap_fini(&s->graves);
    br_ring_fini(&s->changes);
}

/* Cursors from before are behind what the ring holds, which is nothing: they learn that they missed something. */
void br_kv_store_reset(struct br_kv_store *s, uint64_t actor)
{
    br_kv_store_fini(s);
    begin(s);
    s->bytes = 0;
    s->live_keys = s->live_siblings = s->empty_keys = s->grave_count = s->owned_count = 0;
    s->change_next++;
    br_kv_store_be(s, actor, 0);
}

void br_kv_store_be(struct br_kv_store *s, uint64_t actor, uint64_t counter)
{
    BR_ASSERT(actor != 0);
    uint64_t seen = br_kv_context_last(&s->context, actor);
    s->actor = actor;
    s->context.own = actor;
    s->counter = counter > seen ? counter : seen;
    s->is_impersonated = false;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

uint64_t br_kv_hash(struct bruit_bytes key)
{
    return br_siphash13(hash_key, key);
}

struct wanted {
    const struct br_kv_store *store;
    struct bruit_bytes name;
};

static bool is_wanted(const void *context, uint32_t index)
{
    const struct wanted *wanted = context;
    return br_bytes_equal(br_kv_store_name(wanted->store, index), wanted->name);
}

uint32_t br_kv_store_find(const struct br_kv_store *s, struct bruit_bytes key)
{
    struct wanted wanted = {.store = s, .name = key};
    return br_table_find(&s->by_name, br_kv_keep_hash(s, key), is_wanted, &wanted);
}

const struct br_kv_key *br_kv_store_key(const struct br_kv_store *s, uint32_t key)
{
    return br_kv_key_at(&s->keys, key);
}

struct bruit_bytes br_kv_store_name(const struct br_kv_store *s, uint32_t key)
{
    const struct br_kv_key *at = br_kv_key_at(&s->keys, key);
    return br_bytes(at->name, at->name_size);
}

uint32_t br_kv_store_first(const struct br_kv_store *s, uint32_t key)
{
    return br_kv_key_at(&s->keys, key)->first;
}

uint32_t br_kv_store_next(const struct br_kv_store *s, uint32_t sibling)
{
    return br_kv_sibling_at(&s->siblings, sibling)->next;
}

const struct br_kv_sibling *br_kv_store_sibling(const struct br_kv_store *s, uint32_t sibling)
{
    return br_kv_sibling_at(&s->siblings, sibling);
}

struct br_kv_dot br_kv_store_dot(const struct br_kv_store *s, uint32_t sibling)
{
    const struct br_kv_sibling *at = br_kv_sibling_at(&s->siblings, sibling);
    return (struct br_kv_dot){.actor = s->context.actors[at->actor].id, .counter = at->counter};
}

struct bruit_bytes br_kv_store_value(const struct br_kv_store *s, uint32_t sibling)
{
    const struct br_kv_sibling *at = br_kv_sibling_at(&s->siblings, sibling);
    return br_bytes(at->data, at->value_size);
}

struct bruit_bytes br_kv_store_owner(const struct br_kv_store *s, uint32_t sibling)
{
    const struct br_kv_sibling *at = br_kv_sibling_at(&s->siblings, sibling);
    return br_bytes(at->owner_size == 0 ? NULL : at->data + at->value_size, at->owner_size);
}

uint32_t br_kv_store_find_dot(const struct br_kv_store *s, uint32_t key, struct br_kv_dot dot)
{
    uint32_t at = br_kv_store_first(s, key);
    while (at != BR_KV_NONE && !br_kv_dot_equal(br_kv_store_dot(s, at), dot))
        at = br_kv_store_next(s, at);
    return at;
}

void br_kv_store_tell(const struct br_kv_store *s, uint32_t sibling, bruit_time now, struct br_kv_write *write,
                      struct br_kv_past *past)
{
    const struct br_kv_sibling *at = br_kv_sibling_at(&s->siblings, sibling);
    *write = (struct br_kv_write){.key = br_kv_store_name(s, at->key),
                                  .dot = br_kv_store_dot(s, sibling),
                                  .hlc = at->hlc,
                                  .is_delete = at->is_delete,
                                  .life = (enum br_kv_life)at->life,
                                  .owner = br_kv_store_owner(s, sibling),
                                  .value = br_kv_store_value(s, sibling),
                                  .past = past};
    if (write->life == BR_KV_EXPIRES) {
        uint64_t left = br_time_since(now, at->expires) / BRUIT_MILLISECOND;
        write->ttl_ms = left > 0 ? left : 1;
    }
    for (uint32_t i = 0; at->pending != NULL && i < at->pending->count; i++)
        if (!br_kv_keep_is_settled(s, &at->pending->past[i]))
            past[write->past_count++] = at->pending->past[i];
}

uint64_t br_kv_store_version(const struct br_kv_store *s, uint32_t key)
{
    return br_kv_key_at(&s->keys, key)->sum;
}

/* 14 is what the table of names costs a key at most; heaps, ring and context are not counted to any key. */
size_t br_kv_store_key_size(const struct br_kv_store *s, uint32_t key)
{
    const struct br_kv_key *at = br_kv_key_at(&s->keys, key);
    size_t size = sizeof *at + at->name_size + 14;
    for (uint32_t i = at->first; i != BR_KV_NONE; i = br_kv_store_next(s, i)) {
        const struct br_kv_sibling *sibling = br_kv_sibling_at(&s->siblings, i);
        size += sizeof *sibling + sibling->value_size + sibling->owner_size;
        if (sibling->pending != NULL)
            size += br_kv_keep_pending_size(sibling->pending->count);
    }
    return size;
}

uint32_t br_kv_store_walk(const struct br_kv_store *s, struct bruit_bytes after, bool or_equal)
{
    uint32_t at = br_kv_order_after(&s->order, &s->keys, after, or_equal);
    while (at != BR_KV_NONE && br_kv_key_at(&s->keys, at)->live_count == 0)
        at = br_kv_order_after(&s->order, &s->keys, br_kv_store_name(s, at), false);
    return at;
}

uint32_t br_kv_store_walk_owned(const struct br_kv_store *s, uint32_t *cursor, struct bruit_bytes owner,
                                uint32_t budget)
{
    if (s->owned_count == 0)
        *cursor = BR_KV_NONE;
    for (; *cursor < s->siblings.used && budget > 0; budget--) {
        uint32_t at = (*cursor)++;
        const struct br_kv_sibling *sibling = br_kv_sibling_at(&s->siblings, at);
        if (sibling->key != BR_KV_NONE && sibling->owner_size > 0 &&
            br_bytes_equal(br_kv_store_owner(s, at), owner))
            return at;
    }
    if (*cursor >= s->siblings.used)
        *cursor = BR_KV_NONE;
    return BR_KV_NONE;
}

uint32_t br_kv_store_gone(const struct br_kv_store *s, uint32_t key, const struct br_kv_dot *dots, uint32_t count,
                          struct br_kv_dot *gone)
{
    uint32_t gone_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = key == BR_KV_NONE ? BR_KV_NONE : br_kv_store_find_dot(s, key, dots[i]);
        bool is_live = at != BR_KV_NONE && !br_kv_store_sibling(s, at)->is_delete;
        if (!is_live && br_kv_context_covers(&s->context, dots[i]))
            gone[gone_count++] = dots[i];
    }
    return gone_count;
}

int br_kv_store_join(struct br_kv_store *s, const struct br_kv_context *context, bruit_time now)
{
    bool is_forged = br_kv_context_last(context, s->actor) > s->counter;
    s->is_impersonated = s->is_impersonated || is_forged;
    enum br_kv_refusal refusal = br_kv_context_join(&s->context, context, is_forged ? s->actor : 0, now);
    if (refusal == BR_KV_ACCEPTED)
        return 0;
    s->stats.refused[refusal]++;
    return refusal == BR_KV_NO_MEMORY ? BRUIT_ENOMEM : BRUIT_EFULL;
}

/* ---- the hash tree ------------------------------------------------------------------------------------- */

uint64_t br_kv_store_root(const struct br_kv_store *s)
{
    return br_kv_tree_sum(&s->tree, (struct br_kv_path){0}).sum;
}

struct br_kv_sum br_kv_store_sum(const struct br_kv_store *s, struct br_kv_path path)
{
    if (path.depth <= s->tree.depth)
        return br_kv_tree_sum(&s->tree, path);
    struct br_kv_sum sum = {0};
    for (uint32_t at = br_kv_tree_leaf(&s->tree, path); at != BR_KV_NONE;) {
        const struct br_kv_key *key = br_kv_key_at(&s->keys, at);
        if (key->live_count > 0 && br_kv_path_has(path, key->hash)) {
            sum.sum ^= key->sum;
            sum.count++;
        }
        at = key->leaf_next;
    }
    return sum;
}

/* Is key a before key b in a list of leaves? */
static bool is_before(const struct br_kv_store *s, uint32_t a, uint32_t b)
{
    uint64_t hash_a = br_kv_key_at(&s->keys, a)->hash;
    uint64_t hash_b = br_kv_key_at(&s->keys, b)->hash;
    if (hash_a != hash_b)
        return hash_a < hash_b;
    return br_bytes_compare(br_kv_store_name(s, a), br_kv_store_name(s, b)) < 0;
}

/* From one leaf, behind the `count` that are there already. */
static uint32_t take_leaf(const struct br_kv_store *s, struct br_kv_path path, uint32_t *keys, uint32_t count)
{
    uint32_t first = count;
    for (uint32_t at = br_kv_tree_leaf(&s->tree, path); at != BR_KV_NONE;) {
        const struct br_kv_key *key = br_kv_key_at(&s->keys, at);
        if (key->live_count > 0 && br_kv_path_has(path, key->hash)) {
            uint32_t place = count++;
            for (; place > first && is_before(s, at, keys[place - 1]); place--)
                keys[place] = keys[place - 1];
            keys[place] = at;
        }
        at = key->leaf_next;
    }
    return count;
}

/* Down to the leaves, past branches without keys; at most BR_KV_TREE_DEPTH_MAX deep. */
static uint32_t take_branch(const struct br_kv_store *s, struct br_kv_path path, uint32_t *keys, uint32_t count)
{
    if (path.depth >= s->tree.depth)
        return take_leaf(s, path, keys, count);
    for (uint32_t i = 0; i < 16; i++) {
        struct br_kv_path child = br_kv_path_child(path, i);
        if (br_kv_tree_sum(&s->tree, child).count > 0)
            count = take_branch(s, child, keys, count);
    }
    return count;
}

uint32_t br_kv_store_below(const struct br_kv_store *s, struct br_kv_path path, uint32_t *keys, uint32_t capacity)
{
    uint32_t count = br_kv_store_sum(s, path).count;
    return count == 0 || count > capacity ? count : take_branch(s, path, keys, 0);
}

/* ---- time ---------------------------------------------------------------------------------------------- */

int br_kv_store_set_alarm(struct br_kv_store *s, uint32_t sibling, bruit_time time)
{
    if (time == BRUIT_NEVER) {
        (void)br_heap_remove(&s->alarms, sibling); /* where it is in */
        return 0;
    }
    if (br_heap_reserve(&s->alarms, s->alarms.count + 1, br_kv_slots_end(&s->siblings)) != 0)
        return BRUIT_ENOMEM;
    br_heap_set(&s->alarms, sibling, time);
    return 0;
}

uint32_t br_kv_store_pop_alarm(struct br_kv_store *s, bruit_time now)
{
    uint32_t sibling;
    return br_heap_pop_due(&s->alarms, now, &sibling) ? sibling : BR_KV_NONE;
}

bruit_time br_kv_store_next_alarm(const struct br_kv_store *s)
{
    return br_heap_min_time(&s->alarms);
}

static bool is_waiting(const struct br_kv_store *s, const struct br_kv_pending *pending)
{
    for (uint32_t i = 0; pending != NULL && i < pending->count; i++)
        if (!br_kv_keep_is_settled(s, &pending->past[i]))
            return true;
    return false;
}

/* At least a millisecond later: with no time at all for tombstones this would find the same one for ever. */
static bruit_time later(const struct br_kv_store *s, bruit_time now)
{
    return br_time_add(now, br_time_max(s->limits.tombstone_ns, BRUIT_MILLISECOND));
}

uint32_t br_kv_store_collect(struct br_kv_store *s, bruit_time now, uint32_t budget)
{
    uint32_t collected = 0;
    uint32_t at;
    for (; budget > 0 && br_heap_pop_due(&s->graves, now, &at); budget--) {
        const struct br_kv_sibling *sibling = br_kv_sibling_at(&s->siblings, at);
        if (is_waiting(s, sibling->pending)) {
            br_heap_push(&s->graves, at, later(s, now));
            continue;
        }
        uint32_t key = sibling->key;
        br_kv_keep_remove(s, at);
        (void)br_kv_keep_release(s, key); /* unless there is more of it */
        collected++;
    }
    s->stats.collected += collected;
    return collected;
}

bruit_time br_kv_store_next_collect(const struct br_kv_store *s)
{
    return br_heap_min_time(&s->graves);
}

/* ---- changes ------------------------------------------------------------------------------------------- */

uint64_t br_kv_store_cursor(const struct br_kv_store *s)
{
    return s->change_next;
}

int br_kv_store_change(const struct br_kv_store *s, uint64_t *cursor, struct br_kv_change *change)
{
    uint64_t oldest = s->change_next - br_ring_count(&s->changes);
    if (*cursor >= s->change_next)
        return BRUIT_ENOENT;
    if (*cursor < oldest) {
        *cursor = oldest;
        return BRUIT_ERESET;
    }
    const struct br_kv_change *found = br_ring_at(&s->changes, (uint32_t)(*cursor - oldest));
    *change = *found;
    ++*cursor;
    return 0;
}
