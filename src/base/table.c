/*
 * The table's changes; see table.h for the layout.
 *
 * The invariant: an entry that is not in its home bucket found every bucket from there to its own full, and
 * they still are. A search therefore ends at the first bucket with a free slot.
 */
#include "base/table.h"

#include "base/check.h"

#include <bruit/error.h>

/* Seven of eight slots taken: about one search in eight looks at a second bucket, and there is always a free
 * slot for a search to end at. */
#define LOAD_MAX 7

#define CACHE_LINE 64
_Static_assert(sizeof(struct br_table_bucket) == CACHE_LINE, "a bucket is a cache line");

static int grow(struct br_table *t, uint64_t bucket_count);
static void place(struct br_table *t, uint32_t hash, uint32_t index);
static bool find_slot(const struct br_table *t, uint64_t hash, uint32_t index, uint32_t *at, uint32_t *slot);
static void take_out(struct br_table_bucket *bucket, uint32_t slot);

void br_table_init(struct br_table *t, struct br_alloc *alloc)
{
    *t = (struct br_table){.alloc = alloc};
}

/* Memory is aligned for any type, which is 8 or 16: the rest of the way to a cache line is added. */
static size_t memory_size(size_t bucket_count)
{
    return bucket_count == 0 ? 0 : bucket_count * sizeof(struct br_table_bucket) + CACHE_LINE - 8;
}

void br_table_fini(struct br_table *t)
{
    br_alloc_free(t->alloc, t->memory, memory_size(t->bucket_count));
    br_table_init(t, t->alloc);
}

int br_table_reserve(struct br_table *t, uint32_t extra)
{
    uint64_t count = (uint64_t)t->count + extra;
    if (count <= (uint64_t)t->bucket_count * LOAD_MAX)
        return 0;
    /* By half at least, so that entries added one by one are moved twice on average. */
    uint64_t bucket_count = (count + LOAD_MAX - 1) / LOAD_MAX;
    uint64_t larger = (uint64_t)t->bucket_count + t->bucket_count / 2;
    return grow(t, bucket_count < larger ? larger : bucket_count);
}

static int grow(struct br_table *t, uint64_t bucket_count)
{
    if (bucket_count > UINT32_MAX / BR_TABLE_BUCKET || bucket_count > SIZE_MAX / CACHE_LINE - 1)
        return BRUIT_ENOMEM;
    struct br_table old = *t;
    uint8_t *memory = br_alloc_resize(t->alloc, NULL, 0, memory_size((size_t)bucket_count));
    if (memory == NULL)
        return BRUIT_ENOMEM;
    t->memory = memory;
    t->buckets = (struct br_table_bucket *)(void *)(memory + (0 - (uintptr_t)memory) % CACHE_LINE);
    t->bucket_count = (uint32_t)bucket_count;
    for (uint32_t at = 0; at < t->bucket_count; at++)
        for (uint32_t slot = 0; slot < BR_TABLE_BUCKET; slot++) {
            t->buckets[at].hashes[slot] = 0;
            t->buckets[at].indices[slot] = BR_TABLE_NONE;
        }
    for (uint32_t at = 0; at < old.bucket_count; at++) {
        const struct br_table_bucket *bucket = &old.buckets[at];
        for (uint32_t slot = 0; slot < BR_TABLE_BUCKET && bucket->indices[slot] != BR_TABLE_NONE; slot++)
            place(t, bucket->hashes[slot], bucket->indices[slot]);
    }
    br_alloc_free(t->alloc, old.memory, memory_size(old.bucket_count));
    return 0;
}

static uint32_t next_bucket(const struct br_table *t, uint32_t at)
{
    return at + 1 == t->bucket_count ? 0 : at + 1;
}

static bool is_full(const struct br_table_bucket *bucket)
{
    return bucket->indices[BR_TABLE_BUCKET - 1] != BR_TABLE_NONE;
}

void br_table_insert(struct br_table *t, uint64_t hash, uint32_t index)
{
    BR_ASSERT(index != BR_TABLE_NONE);
    BR_ASSERT(t->count < (uint64_t)t->bucket_count * LOAD_MAX);
    place(t, (uint32_t)(hash >> 32), index);
    t->count++;
}

static void place(struct br_table *t, uint32_t hash, uint32_t index)
{
    uint32_t at = br_table_home(t, hash);
    while (is_full(&t->buckets[at]))
        at = next_bucket(t, at);
    struct br_table_bucket *bucket = &t->buckets[at];
    uint32_t slot = 0;
    while (bucket->indices[slot] != BR_TABLE_NONE)
        slot++;
    bucket->hashes[slot] = hash;
    bucket->indices[slot] = index;
}

/* From one bucket forward to another. */
static uint32_t distance(const struct br_table *t, uint32_t from, uint32_t to)
{
    return to >= from ? to - from : to + t->bucket_count - from;
}

/* A slot in bucket `at` whose entry was pushed on from `hole` or from before it, or BR_TABLE_BUCKET. */
static uint32_t find_pushed(const struct br_table *t, uint32_t hole, uint32_t at)
{
    const struct br_table_bucket *bucket = &t->buckets[at];
    uint32_t slot = 0;
    for (; slot < BR_TABLE_BUCKET && bucket->indices[slot] != BR_TABLE_NONE; slot++)
        if (distance(t, br_table_home(t, bucket->hashes[slot]), at) >= distance(t, hole, at))
            return slot;
    return BR_TABLE_BUCKET;
}

/* A hole in a bucket that was full breaks the invariant for what had been pushed on from there. One such
 * entry fills it and leaves a hole itself, until a hole is in a bucket that was not full. */
bool br_table_remove(struct br_table *t, uint64_t hash, uint32_t index)
{
    uint32_t hole, slot;
    if (!find_slot(t, hash, index, &hole, &slot))
        return false;
    bool was_full = is_full(&t->buckets[hole]);
    take_out(&t->buckets[hole], slot);
    t->count--;
    uint32_t at = hole;
    while (was_full && (at = next_bucket(t, at)) != hole) {
        was_full = is_full(&t->buckets[at]);
        slot = find_pushed(t, hole, at);
        if (slot == BR_TABLE_BUCKET)
            continue;
        struct br_table_bucket *bucket = &t->buckets[hole];
        bucket->hashes[BR_TABLE_BUCKET - 1] = t->buckets[at].hashes[slot];
        bucket->indices[BR_TABLE_BUCKET - 1] = t->buckets[at].indices[slot];
        take_out(&t->buckets[at], slot);
        hole = at;
    }
    return true;
}

/* The last taken slot fills the one given up. */
static void take_out(struct br_table_bucket *bucket, uint32_t slot)
{
    uint32_t last = slot;
    while (last + 1 < BR_TABLE_BUCKET && bucket->indices[last + 1] != BR_TABLE_NONE)
        last++;
    bucket->hashes[slot] = bucket->hashes[last];
    bucket->indices[slot] = bucket->indices[last];
    bucket->hashes[last] = 0;
    bucket->indices[last] = BR_TABLE_NONE;
}

bool br_table_replace(struct br_table *t, uint64_t hash, uint32_t index, uint32_t new_index)
{
    BR_ASSERT(new_index != BR_TABLE_NONE);
    uint32_t at, slot;
    if (!find_slot(t, hash, index, &at, &slot))
        return false;
    t->buckets[at].indices[slot] = new_index;
    return true;
}

static bool find_slot(const struct br_table *t, uint64_t hash, uint32_t index, uint32_t *at, uint32_t *slot)
{
    if (t->count == 0 || index == BR_TABLE_NONE)
        return false;
    uint32_t wanted = (uint32_t)(hash >> 32);
    for (*at = br_table_home(t, wanted);; *at = next_bucket(t, *at)) {
        const struct br_table_bucket *bucket = &t->buckets[*at];
        for (*slot = 0; *slot < BR_TABLE_BUCKET; ++*slot)
            if (bucket->indices[*slot] == index && bucket->hashes[*slot] == wanted)
                return true;
        if (!is_full(bucket))
            return false;
    }
}
