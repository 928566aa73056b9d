/*
 * Keys in the order of their names; see kv_order.h. A parent's priority is not below its children's.
 */
#include "module/kv_order.h"

#include "base/check.h"

void br_kv_order_init(struct br_kv_order *order, uint64_t secret)
{
    *order = (struct br_kv_order){.root = BR_KV_NONE, .secret = secret};
}

/* The finaliser of splitmix64: any change of its input changes half of its bits. */
static uint64_t priority(const struct br_kv_order *order, const struct br_kv_key *key)
{
    uint64_t x = key->hash ^ order->secret;
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static struct bruit_bytes name_of(const struct br_kv_key *key)
{
    return br_bytes(key->name, key->name_size);
}

/* Parts the tree at `at` into names below and above `name`, which is in neither. */
static void split(const struct br_kv_slots *keys, uint32_t at, struct bruit_bytes name, uint32_t *below,
                  uint32_t *above)
{
    while (at != BR_KV_NONE) {
        struct br_kv_key *key = br_kv_key_at(keys, at);
        if (br_bytes_compare(name_of(key), name) < 0) {
            *below = at;
            below = &key->right;
            at = key->right;
        } else {
            *above = at;
            above = &key->left;
            at = key->left;
        }
    }
    *below = BR_KV_NONE;
    *above = BR_KV_NONE;
}

void br_kv_order_insert(struct br_kv_order *order, const struct br_kv_slots *keys, uint32_t key)
{
    struct br_kv_key *added = br_kv_key_at(keys, key);
    uint64_t own = priority(order, added);
    uint32_t *link = &order->root;
    while (*link != BR_KV_NONE) {
        struct br_kv_key *here = br_kv_key_at(keys, *link);
        if (priority(order, here) < own)
            break;
        link = br_bytes_compare(name_of(added), name_of(here)) < 0 ? &here->left : &here->right;
    }
    uint32_t rest = *link;
    *link = key;
    split(keys, rest, name_of(added), &added->left, &added->right);
}

void br_kv_order_remove(struct br_kv_order *order, const struct br_kv_slots *keys, uint32_t key)
{
    struct br_kv_key *removed = br_kv_key_at(keys, key);
    uint32_t *link = &order->root;
    while (*link != key) {
        BR_ASSERT(*link != BR_KV_NONE);
        struct br_kv_key *here = br_kv_key_at(keys, *link);
        link = br_bytes_compare(name_of(removed), name_of(here)) < 0 ? &here->left : &here->right;
    }
    uint32_t below = removed->left;
    uint32_t above = removed->right;
    while (below != BR_KV_NONE && above != BR_KV_NONE) {
        struct br_kv_key *low = br_kv_key_at(keys, below);
        struct br_kv_key *high = br_kv_key_at(keys, above);
        if (priority(order, low) >= priority(order, high)) {
            *link = below;
            link = &low->right;
            below = low->right;
        } else {
            *link = above;
            link = &high->left;
            above = high->left;
        }
    }
    *link = below != BR_KV_NONE ? below : above;
}

uint32_t br_kv_order_after(const struct br_kv_order *order, const struct br_kv_slots *keys, struct bruit_bytes name,
                           bool or_equal)
{
    uint32_t best = BR_KV_NONE;
    for (uint32_t at = order->root; at != BR_KV_NONE;) {
        const struct br_kv_key *key = br_kv_key_at(keys, at);
        int compared = br_bytes_compare(name_of(key), name);
        if (compared > 0 || (compared == 0 && or_equal)) {
            best = at;
            at = key->left;
        } else {
            at = key->right;
        }
    }
    return best;
}
