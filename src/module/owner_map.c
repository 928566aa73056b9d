/* Weighted rendezvous hashing; see owner_map.h. */
#include "module/owner_map.h"

#include "base/check.h"
#include "base/num.h"
#include "base/siphash.h"

#include <float.h>

/*
 * All members must agree on these for ever, so they are no secret: digits of e. One for each use, so that a name never
 * meets a key or a zone of the same bytes.
 */
static const uint8_t name_key[16] = "name 2.71828182";
static const uint8_t tie_key[16] = "tie 2.718281828";
static const uint8_t zone_key[16] = "zone 2.71828182";
static const uint8_t key_key[16] = "key 2.718281828";

/* A member that may become an owner. */
struct choice {
    double time;
    const struct br_owner_entry *entry;
    uint32_t rank; /* within its zone, from 1 */
};

struct choices {
    struct choice items[BRUIT_OWNERS_MAX + 1]; /* by (rank, time) */
    size_t count;
    double limit; /* a time above this changes nothing */
};

static void arrange(struct br_owner_map *map);
static double draw(uint64_t key, const struct br_owner_entry *entry, double limit);
static void consider(struct choices *chosen, const struct br_owner_entry *entry, double time, size_t wanted,
                     const uint32_t *in_rounds);

struct br_owner_entry br_owner_entry(struct bruit_bytes name, bruit_node node, uint32_t weight,
                                     struct bruit_bytes zone)
{
    BR_ASSERT(weight > 0 && weight <= BRUIT_OWNER_WEIGHT_MAX);
    return (struct br_owner_entry){
        .id = br_siphash13(name_key, name),
        .tie = br_siphash13(tie_key, name),
        .scale = 1.0 / (double)weight,
        .zone = br_siphash13(zone_key, zone),
        .node = node,
        .weight = (uint16_t)weight,
    };
}

void br_owner_map_finish(struct br_owner_map *map)
{
    map->total_weight = 0;
    for (uint32_t i = 0; i < map->count; i++)
        map->total_weight += map->entries[i].weight;
    arrange(map);
}

size_t br_owner_map_find(const struct br_owner_map *map, struct bruit_bytes key, bruit_node *owners,
                         size_t count)
{
    struct choices chosen = {.count = 0, .limit = DBL_MAX};
    uint64_t hash = br_siphash13(key_key, key);
    BR_ASSERT(count > 0 && count <= BRUIT_OWNERS_MAX);
    for (uint32_t i = 0; i < map->count; i++) {
        double time = draw(hash, &map->entries[i], chosen.limit);
        if (time <= chosen.limit)
            consider(&chosen, &map->entries[i], time, count, map->in_rounds);
    }
    for (size_t i = 0; i < chosen.count; i++)
        owners[i] = chosen.items[i].entry->node;
    return chosen.count;
}

/* ---- drawing ---- */

/* The finalizer of splitmix64: a single different bit changes half of all. */
static inline uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/*
 * The member's time for the key, or something above `limit` if it is above.
 *
 * p is uniform in (0, 1), in the middle of one of 2^52 steps, so it and 1 - p are exact; -ln(1 - p) is exponential. It
 * is never less than p, which costs no logarithm and sorts nearly all members out. 2^-40 is far more than the
 * logarithm is off, so what is sorted out is above the limit indeed: what remains does not depend on the order.
 */
static double draw(uint64_t key, const struct br_owner_entry *entry, double limit)
{
    double p = ((double)(mix(key ^ entry->id) >> 12) + 0.5) * 0x1p-52;
    if (BR_LIKELY(p * entry->scale * (1.0 - 0x1p-40) > limit))
        return DBL_MAX;
    return -br_num_log(1.0 - p) * entry->scale;
}

/* ---- choosing ---- */

static bool is_earlier(const struct choice *a, const struct choice *b)
{
    if (a->time != b->time)
        return a->time < b->time;
    return a->entry->tie < b->entry->tie;
}

static bool is_before(const struct choice *a, const struct choice *b)
{
    return a->rank != b->rank ? a->rank < b->rank : is_earlier(a, b);
}

/* One more than those of its zone that are earlier. */
static uint32_t rank_of(const struct choices *chosen, const struct choice *new)
{
    uint32_t rank = 1;
    for (size_t i = 0; i < chosen->count; i++)
        rank += chosen->items[i].entry->zone == new->entry->zone && is_earlier(&chosen->items[i], new);
    return rank;
}

/* Those of its zone that are later fall back by one. */
static void push_back(struct choices *chosen, const struct choice *new)
{
    for (size_t i = 0; i < chosen->count; i++)
        chosen->items[i].rank +=
            chosen->items[i].entry->zone == new->entry->zone && is_earlier(new, &chosen->items[i]);
}

/* Nearly in order already, and few. */
static void sort(struct choices *chosen)
{
    for (size_t i = 1; i < chosen->count; i++) {
        struct choice moved = chosen->items[i];
        size_t at = i;
        for (; at > 0 && is_before(&moved, &chosen->items[at - 1]); at--)
            chosen->items[at] = chosen->items[at - 1];
        chosen->items[at] = moved;
    }
}

/*
 * As soon as every zone has given all that it can in the rounds before the last, nobody gets in who is later than all
 * that are chosen of his zone and in the last round: he would be in the last round, too, or beyond. A zone with nobody
 * in the last two rounds has nobody left, and of the others the last one chosen is in these. Until then a zone may be
 * missing, and everybody must be looked at.
 */
static void set_limit(struct choices *chosen, const uint32_t *in_rounds)
{
    uint32_t last = chosen->items[chosen->count - 1].rank;
    size_t before = 0;
    double latest = 0;
    for (size_t i = 0; i < chosen->count; i++) {
        before += chosen->items[i].rank < last;
        if (chosen->items[i].rank + 1 >= last && chosen->items[i].time > latest)
            latest = chosen->items[i].time;
    }
    chosen->limit = before == in_rounds[last - 1] ? latest : DBL_MAX;
}

/*
 * The choice among the members so far, and one more. It is enough to know the former choice: who was not in it will not
 * be in this one.
 */
static void consider(struct choices *chosen, const struct br_owner_entry *entry, double time, size_t wanted,
                     const uint32_t *in_rounds)
{
    struct choice new = {.time = time, .entry = entry};
    new.rank = rank_of(chosen, &new);
    if (chosen->count == wanted && is_before(&chosen->items[wanted - 1], &new))
        return;
    push_back(chosen, &new);
    chosen->items[chosen->count++] = new;
    sort(chosen);
    if (chosen->count < wanted)
        return;
    chosen->count = wanted;
    set_limit(chosen, in_rounds);
}

/* ---- order ---- */

typedef bool (*precedes_fn)(const struct br_owner_entry *a, const struct br_owner_entry *b);

static bool precedes_by_zone(const struct br_owner_entry *a, const struct br_owner_entry *b)
{
    return a->zone < b->zone;
}

static bool precedes_by_round(const struct br_owner_entry *a, const struct br_owner_entry *b)
{
    return a->round < b->round;
}

static void sift_down(struct br_owner_entry *entries, uint32_t at, uint32_t count, precedes_fn precedes)
{
    struct br_owner_entry moved = entries[at];
    for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && precedes(&entries[child], &entries[child + 1]))
            child++;
        if (!precedes(&moved, &entries[child]))
            break;
        entries[at] = entries[child];
    }
    entries[at] = moved;
}

static void heap_sort(struct br_owner_entry *entries, uint32_t count, precedes_fn precedes)
{
    for (uint32_t i = count / 2; i-- > 0;)
        sift_down(entries, i, count, precedes);
    for (uint32_t left = count; left-- > 1;) {
        struct br_owner_entry last = entries[left];
        entries[left] = entries[0];
        entries[0] = last;
        sift_down(entries, 0, left, precedes);
    }
}

/* Says of each how many of its zone stand before it; they are in the order of zones. Returns the number of zones. */
static uint32_t number(struct br_owner_entry *entries, uint32_t count)
{
    uint32_t zones = 0, round = 0;
    for (uint32_t i = 0; i < count; i++) {
        bool is_first = i == 0 || entries[i].zone != entries[i - 1].zone;
        round = is_first ? 0 : round + (round < BRUIT_OWNERS_MAX);
        entries[i].round = (uint16_t)round;
        zones += is_first;
    }
    return zones;
}

/*
 * One of each zone first, then a second of each, and so on: every round is complete as soon as it can be, and from then
 * on set_limit() has a limit. In the order of zones three owners among 10,000 members took six times as long.
 */
static void arrange(struct br_owner_map *map)
{
    heap_sort(map->entries, map->count, precedes_by_zone);
    if (number(map->entries, map->count) > 1) /* else they are in order */
        heap_sort(map->entries, map->count, precedes_by_round);
    uint32_t at = 0;
    for (uint32_t round = 0; round <= BRUIT_OWNERS_MAX; round++) {
        while (at < map->count && map->entries[at].round < round)
            at++;
        map->in_rounds[round] = at;
    }
}
