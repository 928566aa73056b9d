/*
 * A hash tree over the keys of a store, 16 children to a branch, kept up to date with every change.
 *
 * A branch is the keys whose hash begins with its path; its sum is the exclusive or of the hashes of all live
 * siblings below it, so it neither depends on the order of changes nor on how deep the tree is: two stores can compare
 * any path, whatever depth each of them keeps. A change touches one sum on each level. The depth grows with the keys
 * (a leaf holds some 32 on average at most); below it, sums are added up from the leaf's keys.
 *
 * What travels is short: br_kv_short(sum, salt), salted anew by each comparison, so that two sums which happen to
 * look the same do so only once.
 */
#ifndef BR_MODULE_KV_TREE_H
#define BR_MODULE_KV_TREE_H

#include "base/alloc.h"
#include "codec/kv.h"

#define BR_KV_TREE_LEVELS 6 /* at most: 16^5 leaves, for 2^25 keys */

struct br_kv_sum {
    uint64_t sum; /* 0 when there are no keys */
    uint32_t count; /* live keys */
};

struct br_kv_tree {
    struct br_alloc *alloc;
    struct br_kv_sum *sums; /* level after level, the root first */
    uint32_t *leaves;       /* the first key of each leaf, or UINT32_MAX */
    uint8_t depth;          /* half bytes of the path of a leaf */
};

/* What one sibling adds to the sums. */
uint64_t br_kv_sibling_hash(uint64_t key_hash, struct br_kv_dot dot, uint64_t hlc);

/* The short hash of a sum, for branches and for the state of one key (br_kv_store_version). */
uint32_t br_kv_short(uint64_t sum, uint64_t salt);

#endif
