/*
 * A hash tree over the keys of a store, 16 children to a branch, kept up to date with every change.
 *
 * A branch is the keys whose hash begins with its path; its sum is the exclusive or of the hashes of all live
 * siblings below it, so it neither depends on the order of changes nor on how deep the tree is: two stores can compare
 * any path, whatever depth each of them keeps. A change touches one sum on each level. The depth grows with the keys
 * (a leaf holds some 32 on average at most); below it, sums are added up from the leaf's keys.
 *
 * What travels is short: br_kv_short(sum, salt) of 48 bits, salted anew by each comparison. A branch that differs and
 * looks the same is worse than a delay: the comparison ends as complete, and what was passed over counts as seen. At 32
 * bits that was one write in ten days of 1,000 busy members, at 48 it is one in some two thousand years.
 */
#ifndef BR_MODULE_KV_TREE_H
#define BR_MODULE_KV_TREE_H

#include "base/alloc.h"
#include "module/kv_item.h"

#define BR_KV_TREE_DEPTH_MAX 5 /* 16^5 leaves, for 2^25 keys */

struct br_kv_sum {
    uint64_t sum;   /* 0 when there are no keys, and else hardly ever */
    uint32_t count; /* live keys */
};

struct br_kv_tree {
    struct br_alloc *alloc;
    struct br_kv_sum *sums; /* level after level, the root first; NULL while no key was ever held */
    uint32_t *leaves;       /* the first key of each leaf, or BR_KV_NONE */
    uint8_t depth;          /* half bytes of the path of a leaf */
};

struct br_kv_slots;

/* What one sibling adds to the sums. */
uint64_t br_kv_sibling_hash(uint64_t key_hash, struct br_kv_dot dot, uint64_t hlc);

/* The short hash of a sum, for branches and for the state of one key (br_kv_store_version). */
uint64_t br_kv_short(uint64_t sum, uint64_t salt);

/* For the store: keys are those in `keys`, all of which are in the tree. */

void br_kv_tree_init(struct br_kv_tree *t, struct br_alloc *alloc);
void br_kv_tree_fini(struct br_kv_tree *t);

/* Room for `count` keys in all, deeper when that is many: 0, or BRUIT_ENOMEM. */
int br_kv_tree_reserve(struct br_kv_tree *t, const struct br_kv_slots *keys, uint32_t count);

/* Puts a key, which has nothing to show yet, into its leaf, or takes it out. */
void br_kv_tree_link(struct br_kv_tree *t, const struct br_kv_slots *keys, uint32_t key);
void br_kv_tree_unlink(struct br_kv_tree *t, const struct br_kv_slots *keys, uint32_t key);

/* A live sibling of a key with that hash came or went; `count_by` -1, 0, 1: the live keys. */
void br_kv_tree_change(struct br_kv_tree *t, uint64_t key_hash, uint64_t sibling_hash, int count_by);

/* The sum of a branch on one of the levels that are kept: path.depth <= depth. */
struct br_kv_sum br_kv_tree_sum(const struct br_kv_tree *t, struct br_kv_path path);

/* The first key in the leaf that holds the path, which may hold others, too; path.depth >= depth. */
uint32_t br_kv_tree_leaf(const struct br_kv_tree *t, struct br_kv_path path);

#endif
