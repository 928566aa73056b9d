/*
 * The replicated store of one node: a causal map, without time, network or disk of its own.
 *
 * A key holds siblings: writes none of which has seen another. A write names what it replaces, takes the place of
 * exactly that, and has a dot (codec/kv.h) that names it for ever. The store's context (kv_context.h) covers all
 * dots that it has seen. Two stores that have merged the same writes in any order, in any pieces, hold the same:
 *
 *   a write      is merged unless its dot is covered: it goes in, and what it replaces goes out.
 *   a whole key  of somebody else: what they hold and our context does not cover goes in; what we hold, they lack and
 *                their context covers goes out.
 *   contexts     are joined when all keys of somebody have been merged, or found equal; never earlier.
 *
 * A write may overtake what it replaces. Until our context covers that, it is *pending*: kept with the sibling, so
 * that it is dead when it arrives, and passed on to whatever replaces that sibling. A delete is a sibling without a
 * value, a tombstone: not shown, not in the hash tree, kept for a while (`tombstone_ns`) and as long as it has
 * something pending. That is all a tombstone is for: a dot that the context covers and no key holds cannot come back.
 *
 * The hash tree (kv_tree.h) is over br_kv_hash(key); its branches are sums over live siblings, so they do not depend
 * on how the tree was built, nor on tombstones: root hashes are equal if and only if the stores show the same.
 *
 * Validate, reserve, then mutate: a call that fails has changed nothing. Pointers into the store are valid until the
 * next call that changes it.
 */
#ifndef BR_MODULE_KV_STORE_H
#define BR_MODULE_KV_STORE_H

#include "base/alloc.h"
#include "base/heap.h"
#include "base/ring.h"
#include "base/table.h"
#include "codec/kv.h"
#include "module/kv_context.h"
#include "module/kv_item.h"
#include "module/kv_order.h"
#include "module/kv_slots.h"
#include "module/kv_tree.h"

struct br_kv_limits {
    uint32_t keys_max;     /* with siblings; names of deleted ones stay while the ring of changes speaks of them */
    uint64_t bytes_max;    /* of keys, values and owners; what they cost besides is some 125 bytes a key */
    uint32_t siblings_max; /* of a key, tombstones included; at most BR_KV_SIBLINGS_MAX */
    uint32_t actors_max;
    uint32_t runs_max;    /* exceptions of the context */
    uint32_t changes_max; /* that a cursor may be behind */
    bruit_time tombstone_ns; /* how long a tombstone stays at least that took something away */
};

/* The defaults: 1,048,576 keys, 64 MiB, 64, 4,096, 65,536, 4,096, 30 s. */
struct br_kv_limits br_kv_limits_default(void);

struct br_kv_stats {
    uint64_t refused[BR_KV_REFUSAL_END];
    uint64_t merged;    /* remote writes that went in */
    uint64_t dead;      /* remote writes that had been replaced before they came */
    uint64_t known;     /* remote writes that were covered */
    uint64_t clashes;   /* two writes of one dot: a cloned disk */
    uint64_t collected; /* tombstones */
};

/* A change, for cursors. Ours and others' alike. */
enum br_kv_change_kind {
    BR_KV_CHANGE_WRITE,   /* a live sibling was added */
    BR_KV_CHANGE_REMOVE,  /* siblings went, and nothing live was added: deleted, or removed by a comparison */
};
struct br_kv_change {
    uint32_t key; /* the slot: it stays that key's as long as the change is in the ring */
    uint8_t kind;
    struct br_kv_dot dot; /* of the write; {0, 0} when a comparison removed it */
};

struct br_kv_store {
    struct br_alloc *alloc;
    struct br_kv_limits limits;
    struct br_kv_context context;
    struct br_kv_tree tree;
    struct br_kv_order order;
    struct br_table by_name;
    struct br_kv_slots keys;     /* struct br_kv_key */
    struct br_kv_slots siblings; /* struct br_kv_sibling */
    struct br_heap alarms;       /* siblings by the time the module set or their expiry */
    struct br_heap graves;       /* tombstones by the time of collection */
    struct br_ring changes;      /* struct br_kv_change */
    uint64_t change_next;        /* number of the next change; the ring holds the ones before */
    uint64_t actor;              /* ours */
    uint64_t counter;            /* of our last write */
    uint64_t bytes;              /* keys, values and owners held */
    uint32_t live_keys;          /* keys with something to show */
    uint32_t live_siblings;
    uint32_t empty_keys; /* without siblings, of which changes are remembered */
    uint32_t grave_count;
    uint32_t owned_count; /* siblings that die with a member */
    bool is_impersonated; /* somebody has seen writes of our actor that we have not made: take a new actor */
    uint8_t secret[16];
    struct br_kv_stats stats;
};

/* ---- life ---------------------------------------------------------------------------------------------- */

/*
 * `actor` is not 0 and has never been used for a store before; `secret` is known to nobody else (it keys the tables).
 * Holds no memory yet.
 */
void br_kv_store_init(struct br_kv_store *s, struct br_alloc *alloc, const struct br_kv_limits *limits, uint64_t actor,
                      const uint64_t secret[2]);
void br_kv_store_fini(struct br_kv_store *s);

/* Forgets all keys, changes and the context, and goes on as a new actor: for a store that was away too long. */
void br_kv_store_reset(struct br_kv_store *s, uint64_t actor);

/* Goes on as another actor; what the old one wrote stays. `counter`: its last write (from the disk; 0: a new one). */
void br_kv_store_be(struct br_kv_store *s, uint64_t actor, uint64_t counter);

/* ---- reading ------------------------------------------------------------------------------------------- */

/* The hash of a key that all members share. */
uint64_t br_kv_hash(struct bruit_bytes key);

/* The slot of a key, or BR_KV_NONE; keys with tombstones alone are found, too. */
uint32_t br_kv_store_find(const struct br_kv_store *s, struct bruit_bytes key);
const struct br_kv_key *br_kv_store_key(const struct br_kv_store *s, uint32_t key);
struct bruit_bytes br_kv_store_name(const struct br_kv_store *s, uint32_t key);

/* The siblings of a key, the winner first, tombstones among them: slots, or BR_KV_NONE after the last. */
uint32_t br_kv_store_first(const struct br_kv_store *s, uint32_t key);
uint32_t br_kv_store_next(const struct br_kv_store *s, uint32_t sibling);
const struct br_kv_sibling *br_kv_store_sibling(const struct br_kv_store *s, uint32_t sibling);
struct br_kv_dot br_kv_store_dot(const struct br_kv_store *s, uint32_t sibling);
struct bruit_bytes br_kv_store_value(const struct br_kv_store *s, uint32_t sibling);
struct bruit_bytes br_kv_store_owner(const struct br_kv_store *s, uint32_t sibling);

/* The sibling of that dot at that key, or BR_KV_NONE. */
uint32_t br_kv_store_find_dot(const struct br_kv_store *s, uint32_t key, struct br_kv_dot dot);

/*
 * The sibling as it is told to others: what is left of its ttl at `now` (at least 1 ms), and what it has pending in
 * `past` (room for BR_KV_PAST_MAX).
 */
void br_kv_store_tell(const struct br_kv_store *s, uint32_t sibling, bruit_time now, struct br_kv_write *write,
                      struct br_kv_past *past);

/* The version of a key for compare-and-set: on all nodes equal for the same live siblings; 0: nothing live. */
uint64_t br_kv_store_version(const struct br_kv_store *s, uint32_t key);

/* Bytes of one key in all: names, values, slots. */
size_t br_kv_store_key_size(const struct br_kv_store *s, uint32_t key);

/*
 * The first key in the order of names that is > `after`, or >= with `or_equal`; live ones only. O(log keys). A prefix
 * is walked from itself until a name does not begin with it. BR_KV_NONE: no more.
 */
uint32_t br_kv_store_walk(const struct br_kv_store *s, struct bruit_bytes after, bool or_equal);

/* The first owned sibling in a slot >= *cursor whose owner that is, looking at `budget` slots; *cursor moves on.
 * BR_KV_NONE: none in these; *cursor BR_KV_NONE: that was all. */
uint32_t br_kv_store_walk_owned(const struct br_kv_store *s, uint32_t *cursor, struct bruit_bytes owner,
                                uint32_t budget);

/* ---- the hash tree; see kv_tree.h for short hashes ----------------------------------------------------- */

uint64_t br_kv_store_root(const struct br_kv_store *s);

/* The sum and the number of live keys below a path. O(1) down to the depth of the tree, below that O(leaf). */
struct br_kv_sum br_kv_store_sum(const struct br_kv_store *s, struct br_kv_path path);

/*
 * The live keys below a path in ascending order of (hash, name), at most `capacity` (BR_KV_LEAVES_MAX or fewer) into
 * `keys`; returns how many there are in all: when more, look at the children instead.
 */
uint32_t br_kv_store_below(const struct br_kv_store *s, struct br_kv_path path, uint32_t *keys, uint32_t capacity);

/* ---- local writes -------------------------------------------------------------------------------------- */

/* What a write or a merge did. */
struct br_kv_merged {
    uint32_t added;   /* live siblings that went in */
    uint32_t removed; /* live siblings that went out */
    bool is_more;     /* the key changed, news or not: persist it. A write that is here may tell more of its past */
    bool is_news;     /* something was learnt (also of a dead write): pass it on, persist the key and the context */
    bool has_gap;     /* a dot came before others of its actor: compare with somebody soon */
    bool is_conflict; /* the key now has several live siblings */
    uint32_t key;     /* its slot, or BR_KV_NONE when it is not (or no longer) here */
    enum br_kv_refusal refusal;
};

struct br_kv_put {
    struct bruit_bytes key;
    struct bruit_bytes value;
    bool is_delete;
    enum br_kv_life life;
    uint64_t ttl_ms; /* > 0 with BR_KV_EXPIRES */
    struct bruit_bytes owner;
    uint64_t hlc;
    /* What it replaces: all that we hold of the key; or these dots (of a read, perhaps elsewhere) and nothing else. */
    bool replaces_all;
    const struct br_kv_dot *replaces;
    uint32_t replaces_count;
};

/*
 * Writes. Fills `write` for telling others, `write->past` being in `past` (room for BR_KV_PAST_MAX), the bytes those
 * of `put`. *merged says what it did here; merged->key is BR_KV_NONE after a delete that left nothing to remember.
 * A delete that would replace nothing (no sibling here, no dots given) is BRUIT_ENOENT.
 * BRUIT_EINVAL: an empty or too long key, a lifetime without what it needs. BRUIT_ETOOBIG: the value.
 * BRUIT_EFULL, BRUIT_ENOMEM: merged->refusal says which bound.
 */
int br_kv_store_put(struct br_kv_store *s, const struct br_kv_put *put, bruit_time now, struct br_kv_write *write,
                    struct br_kv_past *past, struct br_kv_merged *merged);

/* ---- merging ------------------------------------------------------------------------------------------- */

/*
 * Merges one write of somebody else. 0 (with nothing new: is_news is false), or, and then nothing changed and the
 * context does not cover it: BRUIT_EFULL, BRUIT_ENOMEM, BRUIT_EINVAL (malformed; or a dot of ours that we have not
 * given).
 */
int br_kv_store_merge(struct br_kv_store *s, const struct br_kv_write *write, bruit_time now,
                      struct br_kv_merged *merged);

/*
 * Merges one key as somebody else holds it: `writes` are all its siblings there (tombstones may be left out), each
 * with the same key and with what is pending there as its past. What we hold and they lack goes when it is in
 * `gone`, or covered by `context` (theirs at that moment or before; NULL: only `gone` counts). Errors as above.
 */
struct br_kv_state {
    struct bruit_bytes key;
    const struct br_kv_write *writes;
    uint32_t write_count; /* at most BR_KV_SIBLINGS_MAX */
    const struct br_kv_dot *gone;
    uint32_t gone_count;
    const struct br_kv_context *context;
    /*
     * Their context that will be joined if the comparison at hand completes, or NULL. What it covers is not kept as
     * pending when there is more of that than a list holds: a key that is refused would keep the comparison from
     * completing, and so the list from ever growing shorter. Should the comparison not complete, a late copy of such a
     * write shows as a sibling until the next one does.
     */
    const struct br_kv_context *joining;
};
int br_kv_store_merge_key(struct br_kv_store *s, const struct br_kv_state *state, bruit_time now,
                          struct br_kv_merged *merged);

/* Which dots that somebody holds of a key we have seen and do not hold alive: into `gone`; returns how many. */
uint32_t br_kv_store_gone(const struct br_kv_store *s, uint32_t key, const struct br_kv_dot *dots, uint32_t count,
                          struct br_kv_dot *gone);

/*
 * Joins the context of somebody all of whose keys have been merged or found equal since it was told. 0, BRUIT_EFULL,
 * BRUIT_ENOMEM. A part about our own actor that we do not know is left out and sets is_impersonated.
 */
int br_kv_store_join(struct br_kv_store *s, const struct br_kv_context *context, bruit_time now);

/*
 * From the disk, before anything else: one key with all its siblings, whether the context covers them or not; all or
 * nothing, no change is noted. The context then covers them. Dots of our own raise our counter.
 */
int br_kv_store_load(struct br_kv_store *s, struct bruit_bytes key, const struct br_kv_write *writes, uint32_t count,
                     bruit_time now);

/* ---- time ---------------------------------------------------------------------------------------------- */

/*
 * Alarms: a sibling that expires has one at that time; the module may set others (owners that died, second attempts).
 * They go with the sibling. BRUIT_NEVER takes one away. 0, BRUIT_ENOMEM.
 */
int br_kv_store_set_alarm(struct br_kv_store *s, uint32_t sibling, bruit_time time);
/* The sibling whose alarm is due, which has none afterwards; or BR_KV_NONE. */
uint32_t br_kv_store_pop_alarm(struct br_kv_store *s, bruit_time now);
bruit_time br_kv_store_next_alarm(const struct br_kv_store *s);

/* Collects at most `budget` tombstones that are due: how many were. Those with something pending come up later. */
uint32_t br_kv_store_collect(struct br_kv_store *s, bruit_time now, uint32_t budget);
bruit_time br_kv_store_next_collect(const struct br_kv_store *s);

/* ---- changes ------------------------------------------------------------------------------------------- */

/* The number that the next change will have: a new cursor. Numbers begin with 1. */
uint64_t br_kv_store_cursor(const struct br_kv_store *s);

/*
 * The change of number *cursor, which moves on. 0; BRUIT_ENOENT when there is none yet; BRUIT_ERESET when it is no
 * longer known: *cursor was set to the oldest that is, and the difference is what was missed.
 */
int br_kv_store_change(const struct br_kv_store *s, uint64_t *cursor, struct br_kv_change *change);

#endif
