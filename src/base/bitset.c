/*
 * The set's memory and walks.
 */
#include "base/bitset.h"

#include <bruit/error.h>

#include <string.h>

void br_bitset_init(struct br_bitset *b, struct br_alloc *alloc)
{
    *b = (struct br_bitset){.alloc = alloc};
}

void br_bitset_fini(struct br_bitset *b)
{
    br_alloc_free(b->alloc, b->words, b->word_count * sizeof *b->words);
    br_bitset_init(b, b->alloc);
}

int br_bitset_reserve(struct br_bitset *b, uint32_t size)
{
    uint32_t need = size / 64 + (size % 64 != 0);
    if (need <= b->word_count)
        return 0;
    uint32_t count = b->word_count + b->word_count / 2; /* at most 2^26 words: no overflow */
    if (count < need)
        count = need;
    size_t old_size = b->word_count * sizeof *b->words;
    size_t new_size = count * sizeof *b->words;
    uint64_t *words = br_alloc_resize(b->alloc, b->words, old_size, new_size);
    if (words == NULL)
        return BRUIT_ENOMEM;
    memset(words + b->word_count, 0, new_size - old_size);
    b->words = words;
    b->word_count = count;
    return 0;
}

void br_bitset_clear_all(struct br_bitset *b)
{
    if (b->word_count > 0)
        memset(b->words, 0, b->word_count * sizeof *b->words);
}

uint32_t br_bitset_count(const struct br_bitset *b)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < b->word_count; i++)
        count += (uint32_t)__builtin_popcountll(b->words[i]);
    return count;
}

uint32_t br_bitset_next(const struct br_bitset *b, uint32_t from)
{
    uint32_t i = from / 64;
    if (i >= b->word_count)
        return BR_BITSET_NONE;
    uint64_t word = b->words[i] >> (from % 64) << (from % 64);
    while (word == 0) {
        if (++i == b->word_count)
            return BR_BITSET_NONE;
        word = b->words[i];
    }
    return i * 64 + (uint32_t)__builtin_ctzll(word);
}
