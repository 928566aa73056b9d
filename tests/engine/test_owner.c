/*
 * Ownership among whole members: who counts, what moves keys and what does not, and above all that engines with equal
 * view checksums give equal answers, whatever way each came to its view.
 */
#include "codec/serf.h"
#include "support/peer.h"

#include <bruit/owner.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define S BRUIT_SECOND
#define KEYS 200

static const struct bruit_module *const modules[] = {&bruit_owner_module};

/* Metadata with the tags `zone` and `weight`; NULL: without that one. */
static struct bruit_bytes meta_of(const char *zone, const char *weight)
{
    static uint8_t bytes[BRUIT_META_MAX];
    struct br_serf_tag tags[2];
    struct br_writer w;
    size_t count = 0;
    if (weight != NULL)
        tags[count++] = (struct br_serf_tag){br_bytes_text("weight"), br_bytes_string(weight)};
    if (zone != NULL)
        tags[count++] = (struct br_serf_tag){br_bytes_text("zone"), br_bytes_string(zone)};
    br_writer_init(&w, bytes, sizeof bytes);
    assert_int_equal(br_serf_tags_encode(&w, tags, count), 0);
    return br_writer_bytes(&w);
}

static struct world *owner_world(uint64_t seed)
{
    struct world *w = world_new(seed);
    w->config.modules = modules;
    w->config.module_count = 1;
    return w;
}

static void start(struct world *w, uint32_t node)
{
    assert_int_equal(world_start(w, node), 0);
    assert_int_equal(bruit_owner_configure(w->nodes[node].engine, bruit_owner_site_of_tags, NULL), 0);
}

/* `count` members that know each other. */
static struct world *owner_cluster(uint64_t seed, uint32_t count)
{
    struct world *w = owner_world(seed);
    for (uint32_t i = 0; i < count; i++) {
        start(w, world_add(w));
        if (i > 0)
            assert_int_equal(world_join(w, i, 0), 0);
        world_run(w, S);
    }
    assert_true(world_wait_all_alive(w, 10 * S));
    return w;
}

static struct bruit_bytes key_of(uint32_t key)
{
    static char text[16];
    int size = snprintf(text, sizeof text, "key-%u", key);
    return br_bytes(text, (size_t)size);
}

static int find(const struct world *w, uint32_t node, uint32_t key, bruit_node *owners, size_t count)
{
    return bruit_owner_find(w->nodes[node].engine, key_of(key), owners, count);
}

/* The name of the first owner as `node` sees it. */
static struct bruit_bytes first_owner(const struct world *w, uint32_t node, uint32_t key)
{
    bruit_node owner = 0;
    return find(w, node, key, &owner, 1) == 1 ? bruit_member_name(w->nodes[node].engine, owner)
                                              : br_bytes(NULL, 0);
}

static void set_meta(struct world *w, uint32_t node, struct bruit_bytes meta)
{
    assert_int_equal(bruit_set_meta(w->nodes[node].engine, meta, w->now), 0);
    world_settle(w, node);
}

/* The first owners of all keys as `node` sees them, as numbers of the world's nodes. */
static void snapshot(const struct world *w, uint32_t node, uint32_t owners[KEYS])
{
    for (uint32_t key = 0; key < KEYS; key++) {
        struct bruit_bytes name = first_owner(w, node, key);
        owners[key] = WORLD_OUTSIDE;
        for (uint32_t i = 0; i < w->count; i++)
            if (br_bytes_equal(name, world_bytes(w->nodes[i].name)))
                owners[key] = i;
    }
}

static uint32_t keys_of(const uint32_t owners[KEYS], uint32_t node)
{
    uint32_t count = 0;
    for (uint32_t key = 0; key < KEYS; key++)
        count += owners[key] == node;
    return count;
}

/* ------------------------------------------------------------------ the same everywhere */

/* Whether the two agree, owner by owner. */
static bool agree(const struct world *w, uint32_t a, uint32_t b, size_t count)
{
    bruit_node one[BRUIT_OWNERS_MAX], other[BRUIT_OWNERS_MAX];
    for (uint32_t key = 0; key < KEYS; key++) {
        int found = find(w, a, key, one, count);
        if (found != find(w, b, key, other, count))
            return false;
        for (int i = 0; i < found; i++)
            if (!br_bytes_equal(bruit_member_name(w->nodes[a].engine, one[i]),
                                bruit_member_name(w->nodes[b].engine, other[i])))
                return false;
    }
    return true;
}

/* Whether the two number somebody differently. */
static bool is_numbered_differently(const struct world *w, uint32_t a, uint32_t b)
{
    for (uint32_t i = 0; i < w->count; i++) {
        struct bruit_bytes name = world_bytes(w->nodes[i].name);
        if (bruit_member_find(w->nodes[a].engine, name) != bruit_member_find(w->nodes[b].engine, name))
            return true;
    }
    return false;
}

/* Something happens to somebody: he goes and comes back, leaves, or changes his tags. */
static void disturb(struct world *w, struct br_rng *rng)
{
    static const char *const zones[] = {NULL, "a", "b", "c"}, *const weights[] = {NULL, "0", "1", "5", "x"};
    uint32_t node = br_rng_below(rng, w->count), act = br_rng_below(rng, 4);
    if (w->nodes[node].engine == NULL) {
        start(w, node);
        for (uint32_t other = 0; other < w->count; other++)
            if (other != node && w->nodes[other].engine != NULL)
                assert_int_equal(world_join(w, node, other), 0);
    } else if (act == 0) {
        world_kill(w, node);
    } else {
        set_meta(w, node, meta_of(zones[br_rng_below(rng, 4)], weights[br_rng_below(rng, 5)]));
    }
}

/*
 * Eight members come, go and change, and learn of it in different orders: whenever two have equal checksums they give
 * the same three owners for all keys, though they number the members differently. And it says something: most of the
 * time somebody's checksum is equal, now and then one is not.
 */
static void test_equal_checksums_mean_equal_owners(void **state)
{
    uint32_t equal = 0, unequal = 0, renumbered = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct br_rng rng;
        br_rng_init(&rng, seed, "disturbances");
        struct world *w = owner_cluster(seed, 8);
        for (uint32_t step = 0; step < 60; step++) {
            disturb(w, &rng);
            world_run(w, (1 + br_rng_below(&rng, 12)) * S / 4);
            for (uint32_t a = 0; a < w->count; a++)
                for (uint32_t b = 0; b < a; b++) {
                    if (w->nodes[a].engine == NULL || w->nodes[b].engine == NULL)
                        continue;
                    if (bruit_view_checksum(w->nodes[a].engine) != bruit_view_checksum(w->nodes[b].engine)) {
                        unequal++;
                        continue;
                    }
                    equal++;
                    renumbered += is_numbered_differently(w, a, b);
                    if (!agree(w, a, b, 3))
                        fail_msg("seed %u, step %u: n%u and n%u disagree", (unsigned)seed, step, a, b);
                }
        }
        world_free(w);
    }
    assert_true(equal > 500 && unequal > 100 && renumbered > 100);
}

/* What the checksum does not cover decides nothing: two engines that heard the same at different times. */
static void test_time_decides_nothing(void **state)
{
    (void)state;
    struct world *w = owner_cluster(4, 4);
    uint32_t before[KEYS], after[KEYS];
    snapshot(w, 1, before);
    world_run(w, 600 * S);
    snapshot(w, 1, after);
    assert_memory_equal(before, after, sizeof before);
    world_free(w);
}

/* ------------------------------------------------------------------ what moves keys */

/* A member falls silent. While it is suspected nothing moves; when it is dead its keys do, and no others. */
static void test_suspicion_moves_nothing_and_death_the_dead_ones_keys(void **state)
{
    (void)state;
    struct world *w = owner_cluster(5, 5);
    uint32_t before[KEYS], now[KEYS];
    snapshot(w, 0, before);
    assert_true(keys_of(before, 3) > 0);
    world_kill(w, 3);
    assert_true(world_wait_state(w, 0, 3, BRUIT_SUSPECT, 60 * S));
    snapshot(w, 0, now);
    assert_memory_equal(now, before, sizeof now);
    assert_true(world_wait_state(w, 0, 3, BRUIT_DEAD, 60 * S));
    snapshot(w, 0, now);
    assert_int_equal(keys_of(now, 3), 0);
    for (uint32_t key = 0; key < KEYS; key++)
        assert_true(now[key] == before[key] || before[key] == 3);
    world_free(w);
}

static void test_who_leaves_owns_nothing_any_more(void **state)
{
    (void)state;
    struct world *w = owner_cluster(6, 4);
    uint32_t before[KEYS], now[KEYS];
    snapshot(w, 1, before);
    assert_true(keys_of(before, 2) > 0);
    world_leave(w, 2, S);
    assert_true(world_wait_state(w, 1, 2, BRUIT_LEFT, 10 * S));
    snapshot(w, 1, now);
    assert_int_equal(keys_of(now, 2), 0);
    for (uint32_t key = 0; key < KEYS; key++)
        assert_true(now[key] == before[key] || before[key] == 2);
    world_free(w);
}

/* Tags change: everybody follows as soon as they hear it, the member itself at once. */
static void test_tags_decide_weight_and_zone(void **state)
{
    (void)state;
    struct world *w = owner_cluster(7, 4);
    struct bruit_owner_info info;
    uint32_t now[KEYS];
    bruit_node owners[4];
    set_meta(w, 1, meta_of("left", "0"));
    assert_int_equal(bruit_owner_get(w->nodes[1].engine, bruit_member_self(w->nodes[1].engine), &info), 0);
    assert_int_equal(info.site.weight, 0);
    assert_true(info.share == 0.0);
    set_meta(w, 2, meta_of("right", "3"));
    world_run(w, 3 * S);
    snapshot(w, 0, now);
    assert_int_equal(keys_of(now, 1), 0);
    assert_true(keys_of(now, 2) > KEYS / 2 - 30); /* 3 of 5 */
    for (uint32_t key = 0; key < KEYS; key++) {
        assert_int_equal(find(w, 0, key, owners, 4), 3);
        /* Two zones: right, and none. n2 alone is in one of them. */
        bruit_node n2 = bruit_member_find(w->nodes[0].engine, world_bytes("n2"));
        assert_true(owners[0] == n2 || owners[1] == n2);
    }
    bruit_node n2 = bruit_member_find(w->nodes[0].engine, world_bytes("n2"));
    assert_int_equal(bruit_owner_get(w->nodes[0].engine, n2, &info), 0);
    assert_int_equal(info.site.weight, 3);
    assert_true(br_bytes_equal(info.site.zone, br_bytes_text("right")));
    assert_true(info.share > 0.599 && info.share < 0.601);
    world_free(w);
}

/* ------------------------------------------------------------------ what a tag may hold */

static struct bruit_owner_site site_of(struct bruit_bytes meta)
{
    struct bruit_member member = {.meta = meta};
    struct bruit_owner_site site = {.weight = 1};
    bruit_owner_site_of_tags(NULL, &member, &site);
    return site;
}

static void test_weights_that_are_none_count_as_one(void **state)
{
    static const struct {
        const char *text;
        uint32_t weight;
    } rows[] = {{"0", 0},         {"1", 1},   {"007", 7}, {"65535", 65535}, {"65536", 65536}, {"-1", 1},
                {"", 1},          {"1.5", 1}, {"+2", 1},  {" 3", 1},        {"3 ", 1},        {"ten", 1},
                {"0x10", 1}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(site_of(meta_of("z", rows[i].text)).weight, rows[i].weight);
    /* However long: it counts as the greatest, which the module makes of all that is above. */
    assert_true(site_of(meta_of(NULL, "99999999999999999999999")).weight >= BRUIT_OWNER_WEIGHT_MAX);
    assert_int_equal(site_of(meta_of(NULL, NULL)).weight, 1);
    assert_int_equal(site_of(meta_of(NULL, NULL)).zone.size, 0);
    /* No map of tags, and half a map. */
    assert_int_equal(site_of(br_bytes_text("weight=3")).weight, 1);
    assert_int_equal(site_of(br_bytes_text("\xff\x82\xa6weight")).weight, 1);
    assert_int_equal(site_of(br_bytes(NULL, 0)).weight, 1);
}

/* ------------------------------------------------------------------ being asked wrongly */

static void test_errors_say_what_is_missing(void **state)
{
    (void)state;
    struct world *w = owner_world(8);
    struct bruit_owner_info info;
    bruit_node owners[BRUIT_OWNERS_MAX];
    start(w, world_add(w));
    struct bruit_engine *engine = w->nodes[0].engine;
    assert_int_equal(bruit_owner_find(engine, key_of(1), owners, 0), BRUIT_EINVAL);
    assert_int_equal(bruit_owner_find(engine, key_of(1), owners, BRUIT_OWNERS_MAX + 1), BRUIT_EINVAL);
    assert_int_equal(bruit_owner_find(engine, key_of(1), owners, BRUIT_OWNERS_MAX), 1);
    assert_int_equal(owners[0], bruit_member_self(engine));
    assert_int_equal(bruit_owner_get(engine, 77, &info), BRUIT_ENOENT);
    /* All weights are 0: nobody. */
    set_meta(w, 0, meta_of(NULL, "0"));
    assert_int_equal(bruit_owner_find(engine, key_of(1), owners, 1), 0);
    w->config.module_count = 0;
    uint32_t plain = world_add(w);
    assert_int_equal(world_start(w, plain), 0);
    engine = w->nodes[plain].engine;
    assert_int_equal(bruit_owner_configure(engine, NULL, NULL), BRUIT_ENOENT);
    assert_int_equal(bruit_owner_find(engine, key_of(1), owners, 1), BRUIT_ENOENT);
    assert_int_equal(bruit_owner_get(engine, bruit_member_self(engine), &info), BRUIT_ENOENT);
    world_free(w);
}

/* No memory for the table: the answer is an error, not a wrong owner, and right once there is memory again. */
static void test_without_memory_nobody_is_named(void **state)
{
    (void)state;
    struct world *w = owner_cluster(9, 3);
    bruit_node owners[3];
    w->nodes[0].memory.fail_at = w->nodes[0].memory.count + 1;
    assert_int_equal(find(w, 0, 1, owners, 3), BRUIT_ENOMEM);
    assert_int_equal(find(w, 0, 1, owners, 3), 3);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_checksums_mean_equal_owners),
        cmocka_unit_test(test_time_decides_nothing),
        cmocka_unit_test(test_suspicion_moves_nothing_and_death_the_dead_ones_keys),
        cmocka_unit_test(test_who_leaves_owns_nothing_any_more),
        cmocka_unit_test(test_tags_decide_weight_and_zone),
        cmocka_unit_test(test_weights_that_are_none_count_as_one),
        cmocka_unit_test(test_errors_say_what_is_missing),
        cmocka_unit_test(test_without_memory_nobody_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
