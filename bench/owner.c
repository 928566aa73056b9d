/*
 * Ways to place keys on members, side by side: what bruit does (weighted rendezvous) and what else is in use. Memory,
 * the time of a lookup, balance, and what moves when a member joins or one in the middle leaves.
 *
 *     bench/owner [KEYS [WORD]]    a table in Markdown; KEYS (1,000,000) for balance and movement; only those ways
 *                                  whose name has the WORD
 *
 * The others are written here as their papers have them, without weights and zones, which bruit's figures include.
 * Used by docs/ownership.md and docs/decisions/0007-ownership.md.
 */
#include "base/siphash.h"
#include "module/owner_map.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MEMBERS_MAX 10001
#define OWNERS 3

/* One way. `make` gets the members that are there, by number; `find` the first owner, as an index into those. */
struct way {
    const char *name;
    void (*make)(const uint32_t *members, uint32_t count);
    uint32_t (*find)(uint64_t key);
    size_t (*memory)(void);
    uint32_t most;    /* members */
    bool is_linear;   /* a lookup costs something for each member */
    bool is_the_same; /* as the way before, save for the time */
};

static uint32_t present[MEMBERS_MAX], present_count;

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* What a name's hash would be. */
static uint64_t hash_of(uint32_t member, uint32_t copy)
{
    return mix((uint64_t)member << 32 | (copy + 1));
}

static void set_present(const uint32_t *members, uint32_t count)
{
    memcpy(present, members, count * sizeof present[0]);
    present_count = count;
}

/* ---- rendezvous, as shipped ---- */

static struct br_owner_map map;
static size_t wanted = 1;
static bruit_node owners[BRUIT_OWNERS_MAX];

/* `zones` 0: two, one of which has one member. */
static void make_map(const uint32_t *members, uint32_t count, uint32_t zones)
{
    set_present(members, count);
    map.entries = realloc(map.entries, count * sizeof map.entries[0]);
    map.count = count;
    for (uint32_t i = 0; i < count; i++) {
        char name[16], zone[16];
        snprintf(name, sizeof name, "n%u", members[i]);
        snprintf(zone, sizeof zone, "z%u", zones == 0 ? i == 0 : members[i] % zones);
        map.entries[i] = br_owner_entry(br_bytes(name, strlen(name)), i, 1, br_bytes(zone, strlen(zone)));
    }
    br_owner_map_finish(&map);
}

static void rendezvous_make(const uint32_t *members, uint32_t count)
{
    wanted = 1;
    make_map(members, count, 1);
}

static void three_make(const uint32_t *members, uint32_t count)
{
    wanted = OWNERS;
    make_map(members, count, 5);
}

static void crowded_make(const uint32_t *members, uint32_t count)
{
    wanted = OWNERS;
    make_map(members, count, 2);
}

static void most_make(const uint32_t *members, uint32_t count)
{
    wanted = BRUIT_OWNERS_MAX;
    make_map(members, count, 0);
}

static uint32_t rendezvous_find(uint64_t key)
{
    (void)br_owner_map_find(&map, br_bytes(&key, sizeof key), owners, wanted);
    return owners[0];
}

static size_t rendezvous_memory(void)
{
    return map.count * sizeof map.entries[0];
}

/* ---- a ring with virtual nodes (Karger et al. 1997) ---- */

struct point {
    uint32_t hash;
    uint32_t member;
};

static struct point *points;
static uint32_t point_count;

static int by_hash(const void *a, const void *b)
{
    uint32_t x = ((const struct point *)a)->hash, y = ((const struct point *)b)->hash;
    return (x > y) - (x < y);
}

static void ring_make(const uint32_t *members, uint32_t count, uint32_t copies)
{
    set_present(members, count);
    point_count = count * copies;
    points = realloc(points, point_count * sizeof points[0]);
    for (uint32_t i = 0; i < point_count; i++)
        points[i] = (struct point){(uint32_t)(hash_of(members[i / copies], i % copies) >> 32), i / copies};
    qsort(points, point_count, sizeof points[0], by_hash);
}

static void ring_80_make(const uint32_t *members, uint32_t count)
{
    ring_make(members, count, 80); /* what 64 KB hold at 100 members */
}

static void ring_1000_make(const uint32_t *members, uint32_t count)
{
    ring_make(members, count, 1000);
}

/* The first point at or after `hash`, around the end. */
static uint32_t point_after(uint32_t hash)
{
    uint32_t low = 0, high = point_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (points[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low == point_count ? 0 : low;
}

static const uint8_t key_key[16] = "key";

static uint64_t hash_key(uint64_t key)
{
    return br_siphash13(key_key, br_bytes(&key, sizeof key));
}

static uint32_t ring_find(uint64_t key)
{
    return points[point_after((uint32_t)(hash_key(key) >> 32))].member;
}

static size_t ring_memory(void)
{
    return point_count * sizeof points[0];
}

/* ---- multi-probe (Appleton and O'Reilly 2015): one point a member, the nearest to any of 21 probes ---- */

static void probe_make(const uint32_t *members, uint32_t count)
{
    ring_make(members, count, 1);
}

static uint32_t probe_find(uint64_t key)
{
    uint64_t hash = hash_key(key);
    uint32_t best = UINT32_MAX, member = 0;
    for (uint32_t probe = 0; probe < 21; probe++) {
        uint32_t at = (uint32_t)(mix(hash + probe) >> 32);
        const struct point *point = &points[point_after(at)];
        if (point->hash - at < best) {
            best = point->hash - at;
            member = point->member;
        }
    }
    return member;
}

/* ---- Maglev (Eisenbud et al. 2016): a table that members fill in turn, each in an order of its own ---- */

#define SLOTS_MAX 1000003
static uint16_t slots[SLOTS_MAX];
static uint32_t slot_count;

static void maglev_make(const uint32_t *members, uint32_t count, uint32_t size)
{
    uint32_t *next = calloc(count, sizeof *next), filled = 0;
    set_present(members, count);
    slot_count = size;
    memset(slots, 0xff, sizeof slots);
    for (uint32_t i = 0; filled < size; i = (i + 1) % count) {
        uint64_t hash = hash_of(members[i], 0);
        uint32_t offset = (uint32_t)(hash >> 32) % size, skip = (uint32_t)hash % (size - 1) + 1, at;
        do
            at = (uint32_t)((offset + (uint64_t)next[i]++ * skip) % size);
        while (slots[at] != UINT16_MAX);
        slots[at] = (uint16_t)i;
        filled++;
    }
    free(next);
}

static void maglev_32k_make(const uint32_t *members, uint32_t count)
{
    maglev_make(members, count, 32749); /* what 64 KB hold */
}

static void maglev_1m_make(const uint32_t *members, uint32_t count)
{
    maglev_make(members, count, SLOTS_MAX);
}

static uint32_t maglev_find(uint64_t key)
{
    return slots[hash_key(key) % slot_count];
}

static size_t maglev_memory(void)
{
    return slot_count * sizeof slots[0];
}

/* ---- jump (Lamping and Veach 2014): numbered buckets, so that members must agree on numbers ---- */

static uint32_t jump_find(uint64_t key)
{
    uint64_t hash = hash_key(key);
    int64_t bucket = -1, next = 0;
    while (next < (int64_t)present_count) {
        bucket = next;
        hash = hash * UINT64_C(2862933555777941757) + 1;
        next = (int64_t)((double)(bucket + 1) * ((double)(1LL << 31) / (double)((hash >> 33) + 1)));
    }
    return (uint32_t)bucket;
}

static size_t no_memory(void)
{
    return 0;
}

/* ---- measuring ---- */

static const struct way ways[] = {
    {"rendezvous (bruit)", rendezvous_make, rendezvous_find, rendezvous_memory, MEMBERS_MAX, true, false},
    {"the same, 3 owners of 5 zones", three_make, rendezvous_find, rendezvous_memory, MEMBERS_MAX, true, true},
    {"the same, 3 owners of 2 zones", crowded_make, rendezvous_find, rendezvous_memory, MEMBERS_MAX, true, true},
    {"32 owners, a zone of one", most_make, rendezvous_find, rendezvous_memory, MEMBERS_MAX, true, true},
    {"ring, 80 points a member", ring_80_make, ring_find, ring_memory, MEMBERS_MAX, false, false},
    {"ring, 1,000 points a member", ring_1000_make, ring_find, ring_memory, 1001, false, false},
    {"multi-probe, 21 probes", probe_make, probe_find, ring_memory, MEMBERS_MAX, false, false},
    {"Maglev, 32,749 slots", maglev_32k_make, maglev_find, maglev_memory, 1001, false, false},
    {"Maglev, 1,000,003 slots", maglev_1m_make, maglev_find, maglev_memory, MEMBERS_MAX, false, false},
    {"jump", set_present, jump_find, no_memory, MEMBERS_MAX, false, false},
};

/* This process's own time: others on the machine do not count, save for the caches they share. */
static double now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static uint32_t sink;

/* The best of five. */
static double time_of(const struct way *way, uint32_t count)
{
    uint64_t lookups = way->is_linear ? 10000000 / count + 100 : 300000;
    double best = 1e18;
    for (int round = 0; round < 5; round++) {
        double start = now_ns();
        for (uint64_t key = 0; key < lookups; key++)
            sink += way->find(key);
        double each = (now_ns() - start) / (double)lookups;
        best = each < best ? each : best;
    }
    return best;
}

/* Where all keys are, as members. */
static void place(const struct way *way, uint32_t keys, uint32_t *where)
{
    for (uint32_t key = 0; key < keys; key++)
        where[key] = present[way->find(key)];
}

/* The most over the mean, in per cent above it. */
static double excess(const uint32_t *where, uint32_t keys, uint32_t count)
{
    static uint32_t keys_of[MEMBERS_MAX];
    uint32_t most = 0;
    memset(keys_of, 0, sizeof keys_of);
    for (uint32_t key = 0; key < keys; key++) {
        uint32_t of = ++keys_of[where[key]];
        most = of > most ? of : most;
    }
    return 100.0 * ((double)most * count / keys - 1);
}

struct moves {
    double all, needless; /* per cent of all keys: that moved; of these, neither to the newcomer nor from the leaver */
};

static struct moves moves_of(const uint32_t *before, const uint32_t *after, uint32_t keys, uint32_t who)
{
    uint32_t all = 0, needless = 0;
    for (uint32_t key = 0; key < keys; key++) {
        all += before[key] != after[key];
        needless += before[key] != after[key] && before[key] != who && after[key] != who;
    }
    return (struct moves){100.0 * all / keys, 100.0 * needless / keys};
}

static void measure_moves(const struct way *way, uint32_t *members, uint32_t count, uint32_t keys)
{
    uint32_t *before = calloc(keys, sizeof *before), *after = calloc(keys, sizeof *after);
    place(way, keys, before);
    double above = excess(before, keys, count);
    way->make(members, count + 1);
    place(way, keys, after);
    struct moves join = moves_of(before, after, keys, count);
    for (uint32_t i = count / 2; i < count; i++)
        members[i] = i + 1; /* one in the middle goes */
    way->make(members, count - 1);
    place(way, keys, after);
    struct moves leave = moves_of(before, after, keys, count / 2);
    printf("+%.1f %% | %.2f %% (%.2f) | %.2f %% (%.2f) |", above, join.all, join.needless, leave.all,
           leave.needless);
    free(before);
    free(after);
}

static void measure(const struct way *way, uint32_t count, uint32_t keys)
{
    static uint32_t members[MEMBERS_MAX];
    for (uint32_t i = 0; i < count + 1; i++)
        members[i] = i;
    double start = now_ns();
    way->make(members, count);
    double making = now_ns() - start;
    double memory = (double)way->memory() / 1024, each = time_of(way, count);
    printf("| %s | %u | %.1f KB | %.0f ns | %.3f ms | ", way->name, count, memory, each, making / 1e6);
    if (way->is_the_same)
        printf("as above | | |");
    else
        measure_moves(way, members, count, keys);
    printf("\n");
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    static const uint32_t counts[] = {10, 100, 1000, 10000};
    uint32_t keys = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000000;
    printf("| way | members | memory | a lookup | making it | heaviest | a join moves (needlessly) | a leave |\n"
           "|---|---|---|---|---|---|---|---|\n");
    for (size_t way = 0; way < sizeof ways / sizeof ways[0]; way++)
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
            if (counts[i] < ways[way].most && (argc < 3 || strstr(ways[way].name, argv[2]) != NULL))
                measure(&ways[way], counts[i], keys);
    return sink == 1;
}
