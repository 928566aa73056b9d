/*
 * A hash table that holds nothing but the caller's indices.
 *
 * The things themselves live in the caller's array; the table maps a 64-bit hash to 32-bit indices, and
 * the caller says which of the candidates is meant. It cannot be iterated: an order that depends on the
 * hash must not reach a decision.
 *
 * Entries live in buckets of eight, one cache line each, which are searched at once; what does not fit in
 * its home bucket is in the next one that has room. Removing fills the hole with an entry that had been
 * pushed on from there, so there are no tombstones and the cost does not depend on history. 8 bytes a slot,
 * full to at most 7/8; any number of buckets, not only powers of two, so at worst some 14 bytes an entry.
 */
#ifndef BR_BASE_TABLE_H
#define BR_BASE_TABLE_H

#include "base/alloc.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define BR_TABLE_NONE UINT32_MAX

#define BR_TABLE_BUCKET 8

/* Taken slots come first; a free one has index BR_TABLE_NONE. So a bucket is full when its last is taken. */
struct br_table_bucket {
    uint32_t hashes[BR_TABLE_BUCKET];
    uint32_t indices[BR_TABLE_BUCKET];
};

struct br_table {
    struct br_alloc *alloc;
    struct br_table_bucket *buckets; /* in `memory`, from the first boundary of a cache line on */
    void *memory;
    uint32_t bucket_count;
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

/* Says that this hash will soon be looked for: with several names at hand, say so for all of them first. */
static inline void br_table_prefetch(const struct br_table *t, uint64_t hash);

/* ---- bodies ---- */

/* The upper half of the hash, scaled to the number of buckets. */
static inline uint32_t br_table_home(const struct br_table *t, uint32_t hash)
{
    return (uint32_t)((uint64_t)hash * t->bucket_count >> 32);
}

/* One bit for each slot with this hash, free ones perhaps included. */
static inline unsigned br_table_match(const struct br_table_bucket *bucket, uint32_t hash)
{
#if defined(__SSE2__)
    __m128i wanted = _mm_set1_epi32((int)hash);
    __m128i low = _mm_cmpeq_epi32(_mm_load_si128((const __m128i *)(const void *)bucket->hashes), wanted);
    __m128i high =
        _mm_cmpeq_epi32(_mm_load_si128((const __m128i *)(const void *)(bucket->hashes + 4)), wanted);
    __m128i both = _mm_packs_epi16(_mm_packs_epi32(low, high), _mm_setzero_si128());
    return (unsigned)_mm_movemask_epi8(both);
#else
    unsigned matches = 0;
    for (unsigned i = 0; i < BR_TABLE_BUCKET; i++)
        matches |= (unsigned)(bucket->hashes[i] == hash) << i;
    return matches;
#endif
}

static inline uint32_t br_table_find(const struct br_table *t, uint64_t hash, br_table_eq eq,
                                     const void *context)
{
    if (t->count == 0)
        return BR_TABLE_NONE;
    uint32_t wanted = (uint32_t)(hash >> 32);
    uint32_t at = br_table_home(t, wanted);
    for (;;) {
        const struct br_table_bucket *bucket = &t->buckets[at];
        for (unsigned matches = br_table_match(bucket, wanted); matches != 0; matches &= matches - 1) {
            uint32_t index = bucket->indices[__builtin_ctz(matches)];
            if (index != BR_TABLE_NONE && eq(context, index))
                return index;
        }
        if (bucket->indices[BR_TABLE_BUCKET - 1] == BR_TABLE_NONE)
            return BR_TABLE_NONE;
        at = at + 1 == t->bucket_count ? 0 : at + 1;
    }
}

static inline void br_table_prefetch(const struct br_table *t, uint64_t hash)
{
    if (t->count != 0)
        __builtin_prefetch(&t->buckets[br_table_home(t, (uint32_t)(hash >> 32))]);
}

#endif
