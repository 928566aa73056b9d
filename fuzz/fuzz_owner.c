/*
 * Ownership: metadata that members may make up, and what is placed on them by it.
 *
 * The first byte says how many owners are wanted, the second how long the key is; the rest is metadata, cut into pieces
 * by their first bytes, one for each member. Whatever they hold: as many owners as there can be, each once, in as many
 * zones as there are, the first of more when fewer are asked for, and the same when members come in another order.
 */
#include "fuzz.h"

#include "module/owner_map.h"

#include <stdio.h>
#include <stdlib.h>

#define MEMBERS_MAX 200

static void must(bool holds)
{
    if (!holds)
        abort();
}

static struct bruit_bytes take(const uint8_t **data, size_t *left, size_t wanted)
{
    size_t size = wanted < *left ? wanted : *left;
    struct bruit_bytes bytes = br_bytes(*data, size);
    *data += size;
    *left -= size;
    return bytes;
}

static void add(struct br_owner_map *map, struct br_owner_entry *entries, uint32_t member, struct bruit_bytes meta)
{
    struct bruit_member described = {.meta = meta};
    struct bruit_owner_site site = {.weight = 1};
    char name[16];
    bruit_owner_site_of_tags(NULL, &described, &site);
    must(site.zone.size <= meta.size);
    if (site.weight == 0)
        return;
    int size = snprintf(name, sizeof name, "n%u", member);
    uint32_t weight = site.weight < BRUIT_OWNER_WEIGHT_MAX ? site.weight : BRUIT_OWNER_WEIGHT_MAX;
    entries[map->count++] = br_owner_entry(br_bytes(name, (size_t)size), member + 1, weight, site.zone);
}

static uint64_t zone_of(const struct br_owner_map *map, bruit_node node)
{
    for (uint32_t i = 0; i < map->count; i++)
        if (map->entries[i].node == node)
            return map->entries[i].zone;
    abort();
}

/* Each once, and in `zones` zones or as many as they are. */
static void check_spread(const struct br_owner_map *map, const bruit_node *owners, size_t count)
{
    size_t zones = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_new = true;
        for (size_t j = 0; j < i; j++) {
            must(owners[i] != owners[j]);
            is_new = is_new && zone_of(map, owners[i]) != zone_of(map, owners[j]);
        }
        zones += is_new;
    }
    must(zones == (count < map->in_rounds[1] ? count : map->in_rounds[1]));
}

static void reverse(struct br_owner_map *map)
{
    for (uint32_t i = 0, j = map->count; i + 1 < j; i++) {
        struct br_owner_entry moved = map->entries[i];
        map->entries[i] = map->entries[--j];
        map->entries[j] = moved;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct br_owner_entry entries[MEMBERS_MAX];
    struct br_owner_map map = {.entries = entries};
    bruit_node owners[BRUIT_OWNERS_MAX], others[BRUIT_OWNERS_MAX];
    if (size < 2)
        return 0;
    size_t wanted = 1 + data[0] % BRUIT_OWNERS_MAX, left = size - 2;
    const uint8_t *at = data + 2;
    struct bruit_bytes key = take(&at, &left, data[1]);
    for (uint32_t i = 0; i < MEMBERS_MAX && left > 0; i++) {
        size_t length = *take(&at, &left, 1).data;
        add(&map, entries, i, take(&at, &left, length));
    }
    br_owner_map_finish(&map);
    size_t count = br_owner_map_find(&map, key, owners, wanted);
    must(count == (wanted < map.count ? wanted : map.count));
    check_spread(&map, owners, count);
    reverse(&map);
    for (size_t fewer = 1; fewer <= wanted; fewer++) {
        must(br_owner_map_find(&map, key, others, fewer) == (fewer < map.count ? fewer : map.count));
        for (size_t i = 0; i < fewer && i < map.count; i++)
            must(owners[i] == others[i]);
    }
    return 0;
}
