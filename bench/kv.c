/*
 * What the replicated store costs: no network, no disk, one core.
 *
 *     kv [KEYS [ROUNDS]]       default 100,000 keys, 5 rounds; prints one line a case
 *
 * Writes of 100 actors, keys of 16 bytes and values of 64, are encoded before the clock runs; what is timed is decoding
 * one from its bytes and merging it. `new`: every key for the first time. `known`: the same again, as gossip brings it.
 * `replaced`: every key written anew by another actor that had seen the first. `shuffled`: the same in any order, so
 * that most writes come before others of their actor. `deleted`: every key. `tree`: what one change costs the hash
 * tree. `walk`: one key of a listing. Times are CPU time of this process, the median of the rounds with the smallest
 * and the largest. `memory`: what a store of so many keys holds in all, by its own allocator's count, for each key.
 */
#include "base/alloc.h"
#include "base/rng.h"
#include "codec/kv.h"
#include "module/kv_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ACTORS 100
#define ROUNDS_MAX 99
#define ITEM_MAX 160

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

enum { NEW, KNOWN, REPLACED, SHUFFLED, DELETED, TREE, WALK, CASES };
static const char *const case_names[CASES] = {"new", "known", "replaced", "shuffled", "deleted", "tree", "walk"};

struct items {
    uint8_t *bytes; /* ITEM_MAX each */
    size_t *sizes;
};

struct bench {
    uint32_t keys;
    struct items first, second, third;
    uint32_t *order;
    struct br_alloc alloc;
    struct br_kv_store store;
    double times[CASES][ROUNDS_MAX];
    size_t memory; /* a key */
};

static struct br_kv_dot dot_of(uint32_t generation, uint32_t key)
{
    return (struct br_kv_dot){1000 + (key + generation) % ACTORS, generation * 1000000u + key / ACTORS + 1};
}

static void make(struct bench *b, struct items *items, uint32_t generation, bool is_delete)
{
    static const uint8_t value[64] = "value";
    items->bytes = calloc(b->keys, ITEM_MAX);
    items->sizes = calloc(b->keys, sizeof *items->sizes);
    for (uint32_t i = 0; i < b->keys; i++) {
        char name[32];
        snprintf(name, sizeof name, "bench/%010u", i * 2654435761u); /* in no order, none twice */
        struct br_kv_past past = {dot_of(generation - 1, i), false};
        struct br_kv_write write = {.key = br_bytes(name, 16),
                                    .dot = dot_of(generation, i),
                                    .hlc = generation,
                                    .is_delete = is_delete,
                                    .value = br_bytes(value, is_delete ? 0 : sizeof value),
                                    .past = &past,
                                    .past_count = generation > 0};
        struct br_writer writer;
        br_writer_init(&writer, items->bytes + (size_t)i * ITEM_MAX, ITEM_MAX);
        br_kv_write_item(&writer, &write, true);
        items->sizes[i] = br_writer_size(&writer);
        if (writer.failed)
            exit(1);
    }
}

static double merge_all(struct bench *b, const struct items *items, const uint32_t *order)
{
    double start = cpu_now();
    for (uint32_t i = 0; i < b->keys; i++) {
        uint32_t at = order == NULL ? i : order[i];
        struct br_reader reader;
        struct br_kv_write write;
        struct br_kv_past past[BR_KV_PAST_MAX];
        struct br_kv_merged merged;
        br_reader_init(&reader, br_bytes(items->bytes + (size_t)at * ITEM_MAX, items->sizes[at]));
        br_kv_read_item(&reader, br_bytes(NULL, 0), &write, past);
        if (reader.failed || br_kv_store_merge(&b->store, &write, 1, &merged) != 0) {
            fprintf(stderr, "kv: a write was refused\n");
            exit(1);
        }
    }
    return (cpu_now() - start) / b->keys;
}

static double change_tree(struct bench *b)
{
    double start = cpu_now();
    for (uint32_t i = 0; i < b->keys; i++)
        br_kv_tree_change(&b->store.tree, i * UINT64_C(0x9e3779b97f4a7c15), i, 0);
    return (cpu_now() - start) / b->keys;
}

static double walk(struct bench *b)
{
    double start = cpu_now();
    uint32_t count = 0;
    for (uint32_t key = br_kv_store_walk(&b->store, br_bytes(NULL, 0), true); key != BR_KV_NONE; count++)
        key = br_kv_store_walk(&b->store, br_kv_store_name(&b->store, key), false);
    if (count != b->keys)
        exit(1);
    return (cpu_now() - start) / b->keys;
}

static void begin(struct bench *b)
{
    static const uint64_t secret[2] = {1, 2};
    struct br_kv_limits limits = br_kv_limits_default();
    limits.bytes_max = UINT64_MAX / 2;
    limits.keys_max = b->keys;
    limits.runs_max = b->keys;
    br_alloc_init(&b->alloc, NULL, 0);
    br_kv_store_init(&b->store, &b->alloc, &limits, 1, secret);
}

static void run_round(struct bench *b, uint32_t round)
{
    begin(b);
    b->times[NEW][round] = merge_all(b, &b->first, NULL);
    b->memory = b->alloc.in_use / b->keys;
    b->times[KNOWN][round] = merge_all(b, &b->first, NULL);
    b->times[REPLACED][round] = merge_all(b, &b->second, NULL);
    b->times[TREE][round] = change_tree(b);
    b->times[WALK][round] = walk(b);
    b->times[DELETED][round] = merge_all(b, &b->third, NULL);
    br_kv_store_fini(&b->store);
    begin(b);
    (void)merge_all(b, &b->first, NULL);
    b->times[SHUFFLED][round] = merge_all(b, &b->second, b->order);
    br_kv_store_fini(&b->store);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static struct bench b;
    b.keys = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100000;
    uint32_t rounds = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 5;
    if (b.keys == 0 || b.keys > 10000000 || rounds == 0 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: kv [KEYS (1 to 10000000) [ROUNDS (1 to 99)]]\n");
        return 2;
    }
    make(&b, &b.first, 0, false);
    make(&b, &b.second, 1, false);
    make(&b, &b.third, 2, true);
    b.order = calloc(b.keys, sizeof *b.order);
    for (uint32_t i = 0; i < b.keys; i++)
        b.order[i] = i;
    struct br_rng rng;
    br_rng_init(&rng, 1, "order");
    br_rng_shuffle(&rng, b.order, b.keys);
    for (uint32_t round = 0; round < rounds; round++)
        run_round(&b, round);
    for (int i = 0; i < CASES; i++) {
        qsort(b.times[i], rounds, sizeof(double), compare);
        double median = b.times[i][rounds / 2];
        printf("%-9s %8.1f ns (%.1f-%.1f), %.2f million a second\n", case_names[i], median * 1e9,
               b.times[i][0] * 1e9, b.times[i][rounds - 1] * 1e9, 1e-6 / median);
    }
    printf("memory    %8zu bytes a key, %u keys of 16 bytes with values of 64\n", b.memory, b.keys);
    return 0;
}
