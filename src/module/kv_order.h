/*
 * The keys of a store in the order of their names: a treap (Seidel and Aragon, 1989) through the keys themselves.
 *
 * Priorities are hashes under a secret, so the shape depends on the keys alone, not on their history, and nobody can
 * choose keys that make it deep. Expected cost of each call: O(log keys) comparisons of names.
 */
#ifndef BR_MODULE_KV_ORDER_H
#define BR_MODULE_KV_ORDER_H

#include "module/kv_slots.h"

struct br_kv_order {
    uint32_t root;
    uint64_t secret;
};

void br_kv_order_init(struct br_kv_order *order, uint64_t secret);

/* `key` is not in it, and no other of its name is. */
void br_kv_order_insert(struct br_kv_order *order, const struct br_kv_slots *keys, uint32_t key);
void br_kv_order_remove(struct br_kv_order *order, const struct br_kv_slots *keys, uint32_t key);

/* The first key whose name is > `name`, or >= with `or_equal`; or BR_KV_NONE. */
uint32_t br_kv_order_after(const struct br_kv_order *order, const struct br_kv_slots *keys, struct bruit_bytes name,
                           bool or_equal);

#endif
