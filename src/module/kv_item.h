/*
 * What the store of replicated state keeps of a key and of a sibling, and the names of its refusals.
 */
#ifndef BR_MODULE_KV_ITEM_H
#define BR_MODULE_KV_ITEM_H

#include "codec/kv.h"

#define BR_KV_NONE UINT32_MAX

/* Why something was refused. Also the index into br_kv_stats.refused. */
enum br_kv_refusal {
    BR_KV_ACCEPTED,
    BR_KV_NO_MEMORY,
    BR_KV_KEYS_FULL,
    BR_KV_BYTES_FULL,
    BR_KV_SIBLINGS_FULL,
    BR_KV_ACTORS_FULL,
    BR_KV_RUNS_FULL,
    BR_KV_PAST_FULL, /* more is pending than BR_KV_PAST_MAX */
    BR_KV_NOT_MINE,  /* a dot of our own actor that we have not given: see is_impersonated */
    BR_KV_MALFORMED, /* sizes out of bounds, a lifetime without what it needs */
    BR_KV_REFUSAL_END
};

/* What a sibling replaces and the context does not cover yet. */
struct br_kv_pending {
    uint32_t count;
    struct br_kv_past past[];
};

/* One sibling as the store holds it. Read only. */
struct br_kv_sibling {
    uint32_t actor; /* number in the context */
    uint32_t key;   /* BR_KV_NONE: a free slot */
    uint32_t next;  /* the next sibling: a weaker one */
    uint32_t value_size : 17;
    uint32_t is_delete : 1;
    uint32_t life : 2; /* enum br_kv_life */
    uint32_t owner_size : 8;
    uint64_t counter;
    uint64_t hlc;
    bruit_time expires; /* BRUIT_NEVER without a ttl */
    uint8_t *data;      /* value, then owner; NULL when both are empty */
    struct br_kv_pending *pending;
};

/* A key. Read only; walk its siblings, the winner first, with br_kv_store_first() and br_kv_store_next(). */
struct br_kv_key {
    uint64_t hash; /* br_kv_hash() */
    uint64_t sum;  /* the exclusive or of the hashes of its live siblings */
    uint8_t *name;
    uint32_t left, right;          /* by name (kv_order.h) */
    uint32_t leaf_prev, leaf_next; /* of one leaf of the hash tree */
    uint32_t first;                /* sibling */
    uint32_t change_count;         /* in the ring */
    uint16_t name_size;            /* 0: a free slot */
    uint16_t sibling_count;
    uint16_t live_count; /* siblings that are no tombstones */
};

#endif
