/*
 * Ownership in a crowd: a hundred members on a lossy network, of whom somebody is always dying, coming back or changing
 * his tags. At every moment all who have the same view checksum must place all keys alike.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/rng.h"

#include <bruit/bruit.h>
#include <bruit/sim.h>
#include <stdio.h>

#define NODES 100
#define KEYS 100
#define OWNERS 3

static const struct bruit_module *const modules[] = {&bruit_owner_module};

/* Metadata of two bytes: weight and zone. */
static void site(void *context, const struct bruit_member *member, struct bruit_owner_site *out)
{
    (void)context;
    if (member->meta.size != 2)
        return;
    out->weight = member->meta.data[0];
    out->zone = br_bytes(member->meta.data + 1, 1);
}

static void set_meta(struct bruit_sim *sim, uint32_t node, struct br_rng *rng)
{
    uint8_t meta[2] = {(uint8_t)br_rng_below(rng, 4), (uint8_t)('a' + br_rng_below(rng, 5))};
    struct bruit_engine *engine = bruit_sim_engine(sim, node);
    assert_int_equal(bruit_owner_configure(engine, site, NULL), 0);
    assert_int_equal(bruit_set_meta(engine, br_bytes(meta, sizeof meta), bruit_sim_clock(sim, node)), 0);
    bruit_sim_kick(sim, node);
}

/* Dies, comes back, or changes his mind. */
static void disturb(struct bruit_sim *sim, struct br_rng *rng)
{
    uint32_t node = br_rng_below(rng, NODES), seed = br_rng_below(rng, NODES);
    if (bruit_sim_engine(sim, node) != NULL && br_rng_below(rng, 3) > 0) {
        set_meta(sim, node, rng);
    } else if (bruit_sim_engine(sim, node) != NULL) {
        bruit_sim_kill(sim, node);
    } else {
        assert_int_equal(bruit_sim_start(sim, node), 0);
        set_meta(sim, node, rng);
        if (seed != node)
            assert_int_equal(bruit_sim_join(sim, node, &seed, 1, NULL), 0);
        bruit_sim_kick(sim, node);
    }
}

/* All owners of all keys as this member sees them, summed up by name. */
static uint64_t placement(struct bruit_sim *sim, uint32_t node)
{
    struct bruit_engine *engine = bruit_sim_engine(sim, node);
    uint64_t sum = 0;
    for (uint32_t key = 0; key < KEYS; key++) {
        bruit_node owners[OWNERS];
        int count = bruit_owner_find(engine, br_bytes(&key, sizeof key), owners, OWNERS);
        assert_true(count >= 0);
        for (int i = 0; i < count; i++)
            sum = (sum ^ (bruit_sim_node_of(sim, node, owners[i]) + 1)) * UINT64_C(1099511628211);
        sum = (sum ^ (unsigned)count) * UINT64_C(1099511628211);
    }
    return sum;
}

/* Compares each with the first who has his checksum. Adds up those who had one before them, and how many views are. */
static void compare(struct bruit_sim *sim, uint64_t seed, uint32_t *equal, uint32_t *views)
{
    uint64_t checksums[NODES], placements[NODES];
    uint32_t seen = 0;
    for (uint32_t node = 0; node < NODES; node++) {
        uint32_t at = 0;
        if (bruit_sim_engine(sim, node) == NULL)
            continue;
        uint64_t checksum = bruit_view_checksum(bruit_sim_engine(sim, node)), sum = placement(sim, node);
        while (at < seen && checksums[at] != checksum)
            at++;
        if (at == seen) {
            checksums[seen] = checksum;
            placements[seen++] = sum;
        } else {
            (*equal)++;
            if (placements[at] != sum)
                fail_msg("seed %u: n%u disagrees with one of the same checksum", (unsigned)seed, node);
        }
    }
    *views += seen;
}

static void test_equal_checksums_mean_equal_owners_in_a_crowd(void **state)
{
    uint32_t equal = 0, views = 0, looks = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        struct bruit_sim_config config;
        struct bruit_sim *sim;
        struct br_rng rng;
        char why[200];
        bruit_sim_config_default(&config);
        config.nodes = NODES;
        config.seed = seed;
        config.link.loss = 20000; /* 2 % */
        config.engine.modules = modules;
        config.engine.module_count = 1;
        assert_int_equal(bruit_sim_new(&sim, &config, why, sizeof why), 0);
        assert_int_equal(bruit_sim_preload(sim), 0);
        br_rng_init(&rng, seed, "disturbances");
        for (uint32_t node = 0; node < NODES; node++)
            set_meta(sim, node, &rng);
        for (uint32_t step = 0; step < 60; step++) {
            disturb(sim, &rng);
            /* News needs a second or so to reach everybody: now and then they are looked at on its way. */
            bruit_sim_run(sim, br_rng_below(&rng, step % 2 == 0 ? 300 : 3000) * BRUIT_MILLISECOND);
            compare(sim, seed, &equal, &views);
            looks++;
        }
        bruit_sim_free(sim);
    }
    /* It says something only if many agree, and if there is often more than one view. */
    assert_true(equal > 5000 && views > 2 * looks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_checksums_mean_equal_owners_in_a_crowd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
