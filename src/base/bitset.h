/*
 * A set of small numbers, one bit each. Numbers at or beyond the size are never in.
 */
#ifndef BR_BASE_BITSET_H
#define BR_BASE_BITSET_H

#include "base/alloc.h"

#define BR_BITSET_NONE UINT32_MAX

struct br_bitset {
    struct br_alloc *alloc;
    uint64_t *words;
    uint32_t word_count;
};

void br_bitset_init(struct br_bitset *b, struct br_alloc *alloc);
void br_bitset_fini(struct br_bitset *b);

/* Room for the numbers below `size`: 0, or BRUIT_ENOMEM. New ones are not in. Never shrinks. */
int br_bitset_reserve(struct br_bitset *b, uint32_t size);

/* Empties the set and keeps its memory. */
void br_bitset_clear_all(struct br_bitset *b);

/* How many are in. */
uint32_t br_bitset_count(const struct br_bitset *b);

/* The smallest member that is at least `from`, or BR_BITSET_NONE. */
uint32_t br_bitset_next(const struct br_bitset *b, uint32_t from);

static inline bool br_bitset_has(const struct br_bitset *b, uint32_t n)
{
    return n / 64 < b->word_count && (b->words[n / 64] >> (n % 64) & 1) != 0;
}

/* Room must have been reserved. */
static inline void br_bitset_set(struct br_bitset *b, uint32_t n)
{
    b->words[n / 64] |= UINT64_C(1) << (n % 64);
}

static inline void br_bitset_clear(struct br_bitset *b, uint32_t n)
{
    if (n / 64 < b->word_count)
        b->words[n / 64] &= ~(UINT64_C(1) << (n % 64));
}

#endif
