/*
 * Shortcuts that are there for speed alone must not change what comes out: a sync's entries are looked for where the
 * last one's neighbour stands, successors on the ring are kept instead of searched.
 */
#include "engine/engine.h"
#include "support/peer.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>

#define S BRUIT_SECOND
#define OTHERS 60

/* Members who do nothing by themselves: no probes, no gossip, no syncs that were not asked for. */
static struct world *quiet_world(uint64_t seed, uint32_t count)
{
    struct world *w = world_new(seed);
    w->config.probe_interval = 0;
    w->config.gossip_interval = 0;
    w->config.push_pull_interval = 0;
    w->config.early_sync_budget = 0;
    for (uint32_t i = 0; i < count; i++) {
        (void)world_add(w);
        assert_int_equal(world_start(w, i), 0);
    }
    return w;
}

static void tell(struct peer *p, uint32_t other, uint32_t incarnation)
{
    char name[8];
    snprintf(name, sizeof name, "x%02u", other);
    struct br_alive alive = peer_other(p, name, (uint8_t)other, incarnation);
    peer_add_alive(p, &alive);
    assert_int_equal(peer_send(p), 0);
}

static void shuffle(uint32_t *order, uint32_t count, struct br_rng *rng)
{
    for (uint32_t i = count; i > 1; i--) {
        uint32_t j = br_rng_below(rng, i);
        uint32_t swapped = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swapped;
    }
}

/* n0 knows everybody in order; n1 some of them, in an order of its own, of some of them something newer. */
static void sync_two(uint64_t seed, uint32_t known, bool is_shuffled)
{
    uint32_t order[OTHERS];
    struct world *w = quiet_world(seed, 2);
    struct peer *p0 = peer_new(w, 0, "p", 1);
    struct peer *p1 = peer_new(w, 1, "p", 1);
    for (uint32_t i = 0; i < OTHERS; i++) {
        order[i] = i;
        tell(p0, i, 1 + i % 3);
    }
    if (is_shuffled)
        shuffle(order, OTHERS, &w->rng);
    for (uint32_t i = 0; i < known; i++)
        tell(p1, order[i], 1 + order[i] * 7 % 5);
    assert_int_equal(world_join(w, 1, 0), 0);
    world_run(w, 2 * S);
    assert_int_equal(bruit_member_count(w->nodes[1].engine), OTHERS + 2);
    assert_int_equal(bruit_view_checksum(w->nodes[0].engine), bruit_view_checksum(w->nodes[1].engine));
    for (uint32_t i = 0; i < OTHERS; i++) {
        char name[8];
        snprintf(name, sizeof name, "x%02u", i);
        assert_int_equal(world_incarnation_of(w, 1, name), world_incarnation_of(w, 0, name));
    }
    peer_free(p0);
    peer_free(p1);
    world_free(w);
}

/* Two members who came to know the others in the same order, in another one, or not all of them, sync: then both
 * believe the same of everybody. */
static void test_a_sync_merges_the_same_in_any_order(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        sync_two(seed, OTHERS, false);
        sync_two(seed, OTHERS, true);
        sync_two(seed, OTHERS / 2, false);
        sync_two(seed, OTHERS / 2, true);
        sync_two(seed, 0, false);
    }
}

/* The successors found anew, by looking at everybody. */
static void assert_successors(struct br_gossip *g, uint64_t seed, uint32_t step)
{
    uint32_t kept[BR_GOSSIP_SUCCESSORS];
    (void)br_gossip_successor(g);
    memcpy(kept, g->successors, sizeof kept);
    g->ring_checksum = ~g->core->view.checksum;
    (void)br_gossip_successor(g);
    if (memcmp(kept, g->successors, sizeof kept) != 0)
        fail_msg("seed %llu, step %u: kept %u %u, found %u %u", (unsigned long long)seed, step, kept[0],
                 kept[1], g->successors[0], g->successors[1]);
}

/* Members come, move to a new incarnation, are suspected, die, leave and come back in an order by lot: who is next
 * on the ring is known at any moment, however many changes passed since it was last asked for. */
static void test_successors_follow_every_change(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct world *w = quiet_world(seed, 1);
        struct peer *p = peer_new(w, 0, "p", 1);
        for (uint32_t step = 1; step <= 400; step++) {
            char name[8];
            uint32_t other = br_rng_below(&w->rng, 12);
            snprintf(name, sizeof name, "x%02u", other);
            switch (br_rng_below(&w->rng, 5)) {
            case 0: peer_suspect(p, name, step, "p"); break;
            case 1: peer_dead(p, name, step, "p"); break;
            case 2: peer_dead(p, name, step, name); break;
            default: {
                struct br_alive alive = peer_other(p, name, (uint8_t)other, step);
                peer_add_alive(p, &alive);
            }
            }
            assert_int_equal(peer_send(p), 0);
            if (br_rng_below(&w->rng, 3) == 0)
                assert_successors(&w->nodes[0].engine->gossip, seed, step);
        }
        peer_free(p);
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sync_merges_the_same_in_any_order),
        cmocka_unit_test(test_successors_follow_every_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
