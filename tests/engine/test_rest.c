/*
 * A cluster at rest: what it costs to do nothing. No allocation on the way of datagrams, no tick but for probes and
 * syncs, no gossip round while there is nothing to tell.
 */
#include "support/world.h"

#include <bruit/status.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define S BRUIT_SECOND
#define MS BRUIT_MILLISECOND

static const struct bruit_module *const modules[] = {&bruit_status_module};
static const uint8_t key_bytes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const struct bruit_bytes keys[] = {{key_bytes, 16}};

static struct world *resting(uint64_t seed, uint32_t members, bruit_time push_pull_interval, bool sealed)
{
    struct world *w = world_new(seed);
    w->config.modules = modules;
    w->config.module_count = 1;
    w->config.push_pull_interval = push_pull_interval;
    w->config.compression = true;
    w->config.keys = keys;
    w->config.key_count = sealed ? 1 : 0;
    w->trace_level = BRUIT_TRACE_OFF;
    world_cluster(w, members);
    assert_true(world_wait_all_alive(w, 10 * S));
    world_run(w, 60 * S); /* early syncs are made, news is old, rings have their size */
    return w;
}

/* Fifty members, plain and sealed, for a minute without syncs: not one allocation in any of them. */
static void test_datagrams_allocate_nothing(void **state)
{
    (void)state;
    for (int sealed = 0; sealed < 2; sealed++) {
        struct world *w = resting(301, 50, 0, sealed == 1);
        uint64_t before[50], datagrams = w->datagrams;
        for (uint32_t i = 0; i < 50; i++)
            before[i] = world_stats(w, i).allocations;
        world_run(w, 60 * S);
        for (uint32_t i = 0; i < 50; i++)
            assert_int_equal(world_stats(w, i).allocations, before[i]);
        assert_true(w->datagrams - datagrams > 50 * 100);
        world_free(w);
    }
}

/* The same with syncs every 30 s scaled to 60: the streams are all that allocates, some 20 times each, and all of it is
 * given back. */
static void test_syncs_give_back_what_they_take(void **state)
{
    struct world *w = resting(302, 50, 30 * S, false);
    uint64_t before = 0, after = 0, memory[50], connections = w->connections;
    (void)state;
    for (uint32_t i = 0; i < 50; i++) {
        before += world_stats(w, i).allocations;
        memory[i] = world_stats(w, i).memory;
    }
    world_run(w, 600 * S);
    for (uint32_t i = 0; i < 50; i++) {
        after += world_stats(w, i).allocations;
        assert_true(world_stats(w, i).memory <= memory[i] + 4096);
    }
    uint64_t syncs = w->connections - connections;
    printf("%llu syncs, %llu allocations at both sides\n", (unsigned long long)syncs,
           (unsigned long long)(after - before));
    assert_true(syncs >= 300);
    assert_true(after - before <= 40 * syncs);
    world_free(w);
}

/* Five members, a minute: each is ticked for its own probe once a second, and for syncs; nothing else. */
static void test_nothing_ticks_at_rest(void **state)
{
    struct world *w = resting(303, 5, 30 * S, false);
    uint64_t before[5];
    (void)state;
    for (uint32_t i = 0; i < 5; i++)
        before[i] = w->nodes[i].ticks;
    world_run(w, 60 * S);
    for (uint32_t i = 0; i < 5; i++) {
        uint64_t ticks = w->nodes[i].ticks - before[i];
        assert_true(ticks >= 59);
        /* 60 probes, at most 3 syncs, and the module's clocks: reaping each 15 s, reconnecting each 30 s. */
        assert_true(ticks <= 60 + 3 + 4 + 2 + 2);
    }
    world_free(w);
}

/* Alone a member waits for nothing at all but its module's clock and a sync that finds nobody. */
static void test_alone_hardly_anything_ticks(void **state)
{
    struct world *w = world_new(304);
    (void)state;
    uint32_t node = world_add(w);
    assert_int_equal(world_start(w, node), 0);
    world_run(w, 60 * S);
    uint64_t before = w->nodes[0].ticks;
    world_run(w, 600 * S);
    assert_int_equal(w->datagrams, 0);
    /* A probe tick each second looks whether there is somebody: no more than that. */
    assert_true(w->nodes[0].ticks - before <= 600 + 20 + 1);
    world_free(w);
}

/* Without probes and syncs there is no deadline at rest. */
static void test_no_deadline_without_probes_and_syncs(void **state)
{
    struct world *w = world_new(305);
    (void)state;
    w->config.probe_interval = 0;
    w->config.push_pull_interval = 0;
    world_cluster(w, 3);
    assert_true(world_wait_all_alive(w, 10 * S));
    world_run(w, 30 * S);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(bruit_deadline(w->nodes[i].engine) == BRUIT_NEVER);
    world_free(w);
}

/* The traffic of fifty at rest: a ping and an ack for each probe, and no gossip. */
static void test_traffic_at_rest(void **state)
{
    struct world *w = resting(306, 50, 0, false);
    uint64_t datagrams = w->datagrams;
    (void)state;
    world_run(w, 60 * S);
    assert_true(w->datagrams - datagrams <= 50 * 61 * 2);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_datagrams_allocate_nothing),
        cmocka_unit_test(test_syncs_give_back_what_they_take),
        cmocka_unit_test(test_nothing_ticks_at_rest),
        cmocka_unit_test(test_alone_hardly_anything_ticks),
        cmocka_unit_test(test_no_deadline_without_probes_and_syncs),
        cmocka_unit_test(test_traffic_at_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
