/*
 * The hash tree; see kv_tree.h.
 *
 * Level l is an array of 16^l sums that begins at (16^l - 1) / 15. Each leaf is a list through its keys. When the
 * keys have become too many for the leaves, all is added up anew one level deeper: as often as there are levels.
 */
#include "module/kv_tree.h"

#include "base/check.h"
#include "base/siphash.h"
#include "module/kv_slots.h"

#include <bruit/error.h>

#include <string.h>

/* Keys of a leaf on average, at most. More: longer lists to look through below the leaves; fewer: 16 bytes each. */
#define LEAF_KEYS 32

/* Members compare these: fixed keys, not secret ones. */
static const uint8_t sibling_key[16] = "bruit kv sibling";

uint64_t br_kv_sibling_hash(uint64_t key_hash, struct br_kv_dot dot, uint64_t hlc)
{
    uint8_t bytes[32];
    br_store_u64(bytes, key_hash);
    br_store_u64(bytes + 8, dot.actor);
    br_store_u64(bytes + 16, dot.counter);
    br_store_u64(bytes + 24, hlc);
    return br_siphash13(sibling_key, br_bytes(bytes, sizeof bytes));
}

uint64_t br_kv_short(uint64_t sum, uint64_t salt)
{
    uint8_t key[16] = {0};
    uint8_t bytes[8];
    br_store_u64(key, salt);
    br_store_u64(bytes, sum);
    return br_siphash13(key, br_bytes(bytes, sizeof bytes)) & BR_KV_SHORT_MASK;
}

void br_kv_tree_init(struct br_kv_tree *t, struct br_alloc *alloc)
{
    *t = (struct br_kv_tree){.alloc = alloc};
}

static uint32_t width(uint8_t depth)
{
    return UINT32_C(1) << 4 * depth;
}

/* Sums on the levels before `depth`: where that one begins. */
static uint32_t level_start(uint8_t depth)
{
    return (width(depth) - 1) / 15;
}

static size_t sums_size(uint8_t depth)
{
    return ((size_t)level_start(depth) + width(depth)) * sizeof(struct br_kv_sum);
}

static size_t leaves_size(uint8_t depth)
{
    return (size_t)width(depth) * sizeof(uint32_t);
}

void br_kv_tree_fini(struct br_kv_tree *t)
{
    if (t->sums != NULL) {
        br_alloc_free(t->alloc, t->sums, sums_size(t->depth));
        br_alloc_free(t->alloc, t->leaves, leaves_size(t->depth));
    }
    br_kv_tree_init(t, t->alloc);
}

static uint32_t index_at(uint64_t hash, uint8_t depth)
{
    return depth == 0 ? 0 : (uint32_t)(hash >> (64 - 4 * depth));
}

/* ---- growing ------------------------------------------------------------------------------------------- */

static void link_into(uint32_t *leaves, uint8_t depth, const struct br_kv_slots *keys, uint32_t at)
{
    struct br_kv_key *key = br_kv_key_at(keys, at);
    uint32_t *first = &leaves[index_at(key->hash, depth)];
    key->leaf_prev = BR_KV_NONE;
    key->leaf_next = *first;
    if (*first != BR_KV_NONE)
        br_kv_key_at(keys, *first)->leaf_prev = at;
    *first = at;
}

static void move_leaf(const struct br_kv_slots *keys, uint32_t first, uint32_t *leaves, uint8_t depth)
{
    for (uint32_t at = first, next; at != BR_KV_NONE; at = next) {
        next = br_kv_key_at(keys, at)->leaf_next;
        link_into(leaves, depth, keys, at);
    }
}

static void add_up(struct br_kv_sum *sums, const struct br_kv_slots *keys, uint8_t depth)
{
    for (uint32_t i = 0; i < keys->used; i++) {
        const struct br_kv_key *key = br_kv_key_at(keys, i);
        if (key->name_size == 0)
            continue;
        struct br_kv_sum *sum = &sums[level_start(depth) + index_at(key->hash, depth)];
        sum->sum ^= key->sum;
        sum->count += key->live_count > 0;
    }
    /* The children of the sum at i are at 16 i + 1 to 16 i + 16. */
    for (uint32_t i = level_start(depth) + width(depth) - 1; i > 0; i--) {
        sums[(i - 1) / 16].sum ^= sums[i].sum;
        sums[(i - 1) / 16].count += sums[i].count;
    }
}

static int grow(struct br_kv_tree *t, const struct br_kv_slots *keys, uint8_t depth)
{
    struct br_kv_sum *sums = br_alloc_new(t->alloc, sums_size(depth));
    if (sums == NULL)
        return BRUIT_ENOMEM;
    uint32_t *leaves = br_alloc_resize(t->alloc, NULL, 0, leaves_size(depth));
    if (leaves == NULL) {
        br_alloc_free(t->alloc, sums, sums_size(depth));
        return BRUIT_ENOMEM;
    }
    for (uint32_t i = 0; i < width(depth); i++)
        leaves[i] = BR_KV_NONE;
    for (uint32_t i = 0; t->leaves != NULL && i < width(t->depth); i++)
        move_leaf(keys, t->leaves[i], leaves, depth);
    add_up(sums, keys, depth);
    br_kv_tree_fini(t);
    t->sums = sums;
    t->leaves = leaves;
    t->depth = depth;
    return 0;
}

int br_kv_tree_reserve(struct br_kv_tree *t, const struct br_kv_slots *keys, uint32_t count)
{
    uint8_t depth = t->depth;
    while (depth < BR_KV_TREE_DEPTH_MAX && count / LEAF_KEYS >= width(depth))
        depth++;
    return t->sums != NULL && depth == t->depth ? 0 : grow(t, keys, depth);
}

/* ---- changes ------------------------------------------------------------------------------------------- */

void br_kv_tree_link(struct br_kv_tree *t, const struct br_kv_slots *keys, uint32_t key)
{
    BR_ASSERT(t->leaves != NULL);
    link_into(t->leaves, t->depth, keys, key);
}

void br_kv_tree_unlink(struct br_kv_tree *t, const struct br_kv_slots *keys, uint32_t at)
{
    const struct br_kv_key *key = br_kv_key_at(keys, at);
    if (key->leaf_next != BR_KV_NONE)
        br_kv_key_at(keys, key->leaf_next)->leaf_prev = key->leaf_prev;
    if (key->leaf_prev != BR_KV_NONE)
        br_kv_key_at(keys, key->leaf_prev)->leaf_next = key->leaf_next;
    else
        t->leaves[index_at(key->hash, t->depth)] = key->leaf_next;
}

void br_kv_tree_change(struct br_kv_tree *t, uint64_t key_hash, uint64_t sibling_hash, int count_by)
{
    for (uint8_t depth = 0; depth <= t->depth; depth++) {
        struct br_kv_sum *sum = &t->sums[level_start(depth) + index_at(key_hash, depth)];
        sum->sum ^= sibling_hash;
        sum->count += (uint32_t)count_by;
    }
}

/* ---- asking -------------------------------------------------------------------------------------------- */

struct br_kv_sum br_kv_tree_sum(const struct br_kv_tree *t, struct br_kv_path path)
{
    if (t->sums == NULL)
        return (struct br_kv_sum){0};
    BR_ASSERT(path.depth <= t->depth);
    return t->sums[level_start(path.depth) + index_at(path.prefix, path.depth)];
}

uint32_t br_kv_tree_leaf(const struct br_kv_tree *t, struct br_kv_path path)
{
    if (t->leaves == NULL)
        return BR_KV_NONE;
    BR_ASSERT(path.depth >= t->depth);
    return t->leaves[index_at(path.prefix, t->depth)];
}
