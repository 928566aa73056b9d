/*
 * A hash table that holds nothing but the caller's indices.
 *
 * The things themselves live in the caller's array; the table maps a 64-bit hash to 32-bit indices, and
 * the caller says which of the candidates is meant. It cannot be iterated: an order that depends on the
 * hash must not reach a decision. Open addressing with linear probing, kept in Robin Hood order, removal
 * by shifting back, so there are no tombstones and the cost does not depend on history. 8 bytes a slot,
 * full to at most 7/8; any capacity, not only powers of two, so at worst some 14 bytes an entry.
 */
#ifndef BR_BASE_TABLE_H
#define BR_BASE_TABLE_H

#include "base/alloc.h"

#define BR_TABLE_NONE UINT32_MAX

struct br_table_slot {
    uint32_t hash;
    uint32_t index; /* BR_TABLE_NONE: free */
};

struct br_table {
    struct br_alloc *alloc;
    struct br_table_slot *slots;
    uint32_t capacity;
    uint32_t count;
};

/* Is the thing at `index` the one looked for? */
typedef bool (*br_table_eq)(const void *context, uint32_t index);

/* An empty table holds no memory. `alloc` must outlive it. */
void br_table_init(struct br_table *t, struct br_alloc *alloc);
void br_table_fini(struct br_table *t);

/* Makes room for `extra` more entries: 0, or BRUIT_ENOMEM, and then nothing changed. */
int br_table_reserve(struct br_table *t, uint32_t extra);

/* The index with this hash that `eq` says yes to, or BR_TABLE_NONE. */
static inline uint32_t br_table_find(const struct br_table *t, uint64_t hash, br_table_eq eq,
                                     const void *context);

/* Room must have been reserved. The same thing must not be in the table yet. */
void br_table_insert(struct br_table *t, uint64_t hash, uint32_t index);

/* Takes out the entry of exactly this hash and index; false when there is none. */
bool br_table_remove(struct br_table *t, uint64_t hash, uint32_t index);

/* Lets the index of an entry become another, when the caller moved the thing. */
bool br_table_replace(struct br_table *t, uint64_t hash, uint32_t index, uint32_t new_index);

static inline uint32_t br_table_count(const struct br_table *t)
{
    return t->count;
}

/* ---- bodies ---- */

/* The upper half of the hash, scaled: order of homes is order of hashes. */
static inline uint32_t br_table_home(const struct br_table *t, uint32_t hash)
{
    return (uint32_t)((uint64_t)hash * t->capacity >> 32);
}

static inline uint32_t br_table_find(const struct br_table *t, uint64_t hash, br_table_eq eq,
                                     const void *context)
{
    if (t->count == 0)
        return BR_TABLE_NONE;
    uint32_t want = (uint32_t)(hash >> 32);
    uint32_t at = br_table_home(t, want);
    for (uint32_t distance = 0;; distance++) {
        const struct br_table_slot *slot = &t->slots[at];
        if (slot->index == BR_TABLE_NONE)
            return BR_TABLE_NONE;
        if (slot->hash == want) {
            if (eq(context, slot->index))
                return slot->index;
        } else {
            /* An entry nearer to its home than we are to ours: ours would have taken that slot. */
            uint32_t home = br_table_home(t, slot->hash);
            uint32_t theirs = at >= home ? at - home : at + t->capacity - home;
            if (theirs < distance)
                return BR_TABLE_NONE;
        }
        if (++at == t->capacity)
            at = 0;
    }
}

#endif
