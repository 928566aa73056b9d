/*
 * Which writes a store has seen: for each actor all dots up to a base, and runs of dots above it.
 *
 * After "Concise server-wide causality management for eventually consistent data stores" (Gonçalves, Almeida, Baquero
 * and Fonte, 2015): one context for all keys of a store. A dot that the context covers and the store does not hold was
 * replaced or deleted; so a context may cover a dot only when that write was merged, or all of the state of somebody
 * was whose context covers it. Gossip comes out of order, hence the runs; comparing with a peer closes the gaps.
 *
 * An actor has a number here that stays its own as long as it is known. Bounded in actors and in runs of all actors.
 * An actor that is gone for long is *retired*: it still covers what it covered, but is no longer part of the digest
 * and is told as retired, so that others retire it, too; later it is forgotten.
 */
#ifndef BR_MODULE_KV_CONTEXT_H
#define BR_MODULE_KV_CONTEXT_H

#include "base/alloc.h"
#include "base/table.h"
#include "codec/kv.h"
#include "module/kv_item.h"

#define BR_KV_ACTOR_NONE UINT32_MAX

struct br_kv_actor {
    uint64_t id;
    uint64_t base;
    struct br_kv_run *runs; /* ascending, apart from each other and from base; owned */
    uint32_t run_count;
    uint32_t run_capacity;
    uint32_t sibling_count; /* the store's: siblings of that actor, tombstones included */
    bool is_retired;
    bool is_used;       /* else the slot is free */
    bruit_time changed; /* when a dot of it was first seen here, or when it was retired */
};

struct br_kv_context {
    struct br_alloc *alloc;
    struct br_table by_id;
    struct br_kv_actor *actors; /* slots; owned */
    uint32_t slot_count;        /* ever used: walk 0 .. slot_count - 1, skipping those that are not is_used */
    uint32_t slot_capacity;
    uint32_t free;   /* the first free slot, linked by their `run_capacity`, or BR_KV_ACTOR_NONE */
    uint32_t *order; /* the slots in use, by id; owned, slot_capacity of them */
    uint32_t actor_count;
    uint32_t actors_max;
    uint64_t own;       /* an actor for which one of them is kept free, and that is not forgotten; 0: nobody */
    uint32_t run_count; /* of all actors */
    uint32_t runs_max;
    uint64_t secret; /* of the table */
};

void br_kv_context_init(struct br_kv_context *c, struct br_alloc *alloc, uint32_t actors_max, uint32_t runs_max,
                        uint64_t secret);
void br_kv_context_fini(struct br_kv_context *c);

/* The number of an actor, or BR_KV_ACTOR_NONE. */
uint32_t br_kv_context_find(const struct br_kv_context *c, uint64_t actor);

bool br_kv_context_covers(const struct br_kv_context *c, struct br_kv_dot dot);

/* Does it cover all dots of that actor up to the counter? */
bool br_kv_context_covers_all(const struct br_kv_context *c, struct br_kv_dot last);

/* The greatest counter covered of an actor, 0 when there is none. */
uint64_t br_kv_context_last(const struct br_kv_context *c, uint64_t actor);

/* Room for adding all of these dots: BR_KV_ACCEPTED, or why not. Covered ones need none. */
enum br_kv_refusal br_kv_context_reserve(struct br_kv_context *c, const struct br_kv_dot *dots, uint32_t count);

/* Adds a dot for which room was reserved; returns the actor's number. A retired actor is in service again by it. */
uint32_t br_kv_context_add(struct br_kv_context *c, struct br_kv_dot dot, bruit_time now);

/*
 * Unites: afterwards `c` covers what either covered. Actors that `other` tells as retired are retired in `c` when
 * they have no siblings here, and not made known. `except` (0: nobody) is left as it is. BR_KV_ACCEPTED, or why not.
 */
enum br_kv_refusal br_kv_context_join(struct br_kv_context *c, const struct br_kv_context *other, uint64_t except,
                                      bruit_time now);

/*
 * The same with what was saved of ours: here retired actors are made known, and count as retired from now on. What
 * they cover may still be alive in a store that is away, and only a whole horizon after retiring nobody has it.
 */
enum br_kv_refusal br_kv_context_restore(struct br_kv_context *c, const struct br_kv_context *saved, bruit_time now);

/* Equal for equal contexts (retired actors aside); of the names of the actors alone. O(actors + runs). */
uint64_t br_kv_context_digest(const struct br_kv_context *c);
uint64_t br_kv_context_actors_digest(const struct br_kv_context *c);

/* Dots below the greatest seen that are missing, over all actors (saturating); 0: no gaps. */
uint64_t br_kv_context_gaps(const struct br_kv_context *c);

/* Bytes br_kv_context_encode() may need at most. */
size_t br_kv_context_size_max(const struct br_kv_context *c);

/*
 * All of it with a version in front, actors in ascending order. Without names it can be read only where the digest of
 * the actors is the same. That it fits is the writer's affair.
 */
void br_kv_context_encode(const struct br_kv_context *c, struct br_writer *w, bool has_names);

/*
 * Reads one, to the end of the input, into `c`, which is empty and bounded. `names`: whose actors to take when the
 * bytes are without names (NULL: such bytes are refused). 0, BRUIT_EFORMAT, BRUIT_EFULL, BRUIT_ENOMEM; on error `c` is
 * empty.
 */
int br_kv_context_decode(struct br_kv_context *c, struct bruit_bytes input, const struct br_kv_context *names);

/* Retires an actor; false: it is unknown, retired already, or has siblings. */
bool br_kv_context_retire(struct br_kv_context *c, uint64_t actor, bruit_time now);

/* Forgets the actors that were retired before `horizon`, but never our own: how many. */
uint32_t br_kv_context_forget(struct br_kv_context *c, bruit_time horizon);

#endif
