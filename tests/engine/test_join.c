/*
 * Joining, and repairing early what gossip lost: docs/wire/memberlist.md sections 6.8 and 6.9; docs/protocol.md on
 * early syncs.
 */
#include "support/peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define S BRUIT_SECOND
#define MS BRUIT_MILLISECOND

static const struct world_event *join_done(const struct world *w, uint32_t node)
{
    return world_last_event(w, node, BRUIT_EVENT_JOIN_DONE);
}

/* Three seeds, of which the first refuses, the second is cut off, and the third lives: one is enough, and the event
 * comes when all are decided. */
static void test_one_seed_of_three_is_enough(void **state)
{
    struct world *w = world_new(141);
    struct bruit_join_target targets[3] = {{{{0}, 0, 0, 0}, {0}}};
    uint32_t request;
    (void)state;
    for (int i = 0; i < 4; i++)
        (void)world_add(w);
    assert_int_equal(world_start(w, 0), 0); /* n1 is not running: it refuses */
    assert_int_equal(world_start(w, 2), 0);
    assert_int_equal(world_start(w, 3), 0);
    world_cut(w, 0, 2, true);
    for (uint32_t i = 0; i < 3; i++)
        targets[i].addr = w->nodes[i + 1].addr;
    assert_int_equal(bruit_join(w->nodes[0].engine, targets, 3, 0, &request, w->now), 0);
    world_settle(w, 0);
    bruit_time asked = w->now;
    world_run(w, S);
    assert_int_equal(world_state(w, 0, 3), BRUIT_ALIVE);
    assert_int_equal(world_state(w, 3, 0), BRUIT_ALIVE);
    assert_null(join_done(w, 0));
    world_run_until(w, asked + 11 * S);
    assert_non_null(join_done(w, 0));
    assert_int_equal(join_done(w, 0)->contacted, 1);
    assert_int_equal(join_done(w, 0)->request, request);
    world_free(w);
}

/* Each target's result stands in the order of the request, with its address, name and reason. */
static void test_results_stand_in_the_order_asked(void **state)
{
    struct world *w = world_new(142);
    uint32_t request;
    struct bruit_event event;
    (void)state;
    for (int i = 0; i < 3; i++)
        (void)world_add(w);
    assert_int_equal(world_start(w, 0), 0);
    assert_int_equal(world_start(w, 2), 0);
    struct bruit_join_target targets[2] = {{w->nodes[1].addr, world_bytes("one")},
                                           {w->nodes[2].addr, world_bytes("two")}};
    struct bruit_engine *engine = w->nodes[0].engine;
    assert_int_equal(bruit_join(engine, targets, 2, 0, &request, w->now), 0);
    struct bruit_stream_op op;
    uint32_t streams[2];
    for (int i = 0; i < 2; i++) {
        assert_true(bruit_next_stream_op(engine, &op));
        assert_int_equal(op.type, BRUIT_STREAM_OPEN);
        streams[op.to.ip[3] - 2] = op.stream;
    }
    /* The second is decided first. */
    assert_int_equal(bruit_stream_closed(engine, streams[1], BRUIT_EUNREACHABLE, w->now), 0);
    assert_int_equal(bruit_stream_closed(engine, streams[0], BRUIT_EREFUSED, w->now), 0);
    while (bruit_next_event(engine, &event) && event.type != BRUIT_EVENT_JOIN_DONE)
        ;
    assert_int_equal(event.type, BRUIT_EVENT_JOIN_DONE);
    assert_int_equal(event.join.contacted, 0);
    assert_int_equal(event.join.count, 2);
    assert_true(br_bytes_equal(event.join.results[0].name, world_bytes("one")));
    assert_int_equal(event.join.results[0].error, BRUIT_EREFUSED);
    assert_true(br_bytes_equal(event.join.results[1].name, world_bytes("two")));
    assert_int_equal(event.join.results[1].error, BRUIT_EUNREACHABLE);
    assert_int_equal(event.join.results[1].addr.ip[3], 3);
    world_free(w);
}

/* A program asks again until its seed has started: nothing of the failed attempts stands in the way. */
static void test_joins_can_be_repeated(void **state)
{
    struct world *w = world_new(143);
    (void)state;
    (void)world_add(w);
    (void)world_add(w);
    assert_int_equal(world_start(w, 0), 0);
    for (int i = 0; i < 40; i++) {
        assert_int_equal(world_join(w, 0, 1), 0);
        world_run(w, 100 * MS);
        assert_int_equal(join_done(w, 0)->error, BRUIT_EREFUSED);
    }
    assert_int_equal(world_start(w, 1), 0);
    assert_int_equal(world_join(w, 0, 1), 0);
    world_run(w, 100 * MS);
    assert_int_equal(join_done(w, 0)->contacted, 1);
    assert_int_equal(world_state(w, 1, 0), BRUIT_ALIVE);
    world_free(w);
}

/* What is no request is refused: no target, 65, one without a port; sixteen wait at once, the seventeenth does not. */
static void test_bounds_of_requests(void **state)
{
    struct world *w = world_new(144);
    struct bruit_join_target targets[65] = {{{{0}, 0, 0, 0}, {0}}};
    uint32_t request;
    (void)state;
    (void)world_add(w);
    assert_int_equal(world_start(w, 0), 0);
    struct bruit_engine *engine = w->nodes[0].engine;
    for (int i = 0; i < 65; i++)
        targets[i].addr = world_addr(9, (uint8_t)i, 7946);
    assert_int_equal(bruit_join(engine, targets, 0, 0, &request, w->now), BRUIT_EINVAL);
    assert_int_equal(bruit_join(engine, targets, 65, 0, &request, w->now), BRUIT_EINVAL);
    targets[1].addr.port = 0;
    assert_int_equal(bruit_join(engine, targets, 2, 0, &request, w->now), BRUIT_EINVAL);
    targets[1].addr.port = 1;
    for (int i = 0; i < 16; i++)
        assert_int_equal(bruit_join(engine, targets, 64, 0, &request, w->now), 0);
    assert_int_equal(bruit_join(engine, targets, 1, 0, &request, w->now), BRUIT_EFULL);
    world_settle(w, 0);
    world_run(w, 11 * S);
    assert_int_equal(world_events(w, 0, BRUIT_EVENT_JOIN_DONE, NULL, 0), 16);
    assert_int_equal(bruit_join(engine, targets, 1, 0, &request, w->now), 0);
    world_free(w);
}

/* ---- early syncs ---- */

/* Lets only datagrams pass that tell nothing of anybody: bare pings and acks, with or without a checksum. */
static bool no_news(const struct world *w, uint32_t from, uint32_t to, struct bruit_bytes packet)
{
    (void)w;
    (void)from;
    (void)to;
    uint8_t type = packet.data[0] == BR_HAS_CRC && packet.size > 5 ? packet.data[5] : packet.data[0];
    return type == BR_PING || type == BR_ACK || type == BR_INDIRECT_PING || type == BR_NACK;
}

/* Ten members in full view. Then all gossip is lost, and one more joins through n0. */
static struct world *lossy_world(uint64_t seed, uint32_t budget)
{
    struct world *w = world_new(seed);
    w->config.early_sync_budget = budget;
    world_cluster(w, 10);
    assert_true(world_wait_all_alive(w, 120 * S));
    world_run(w, 30 * S); /* savings are full again, and no sync is owed any more */
    w->passes = no_news;
    uint32_t node = world_add(w);
    assert_int_equal(world_start(w, node), 0);
    assert_int_equal(world_join(w, node, 0), 0);
    return w;
}

/* Gossip loses a join entirely: syncs that whoever heard of it makes early bring it to everybody within 4 s, in each
 * of twenty runs; in half of them within 2.5 s. */
static void test_early_syncs_repair_a_lost_join(void **state)
{
    uint32_t quick = 0;
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct world *w = lossy_world(1000 + seed, 16384);
        bruit_time joined = w->now;
        assert_true(world_wait_all_alive(w, 4 * S));
        quick += w->now - joined <= 2500 * MS;
        world_free(w);
    }
    assert_true(quick >= 10);
}

/* Without a budget the same join waits for the periodic syncs, half a minute and more. */
static void test_without_early_syncs_a_lost_join_waits(void **state)
{
    uint64_t slow = 0;
    (void)state;
    for (uint64_t seed = 0; seed < 5; seed++) {
        struct world *w = lossy_world(1000 + seed, 0);
        slow += !world_wait(w, world_all_alive, 10 * S);
        world_free(w);
    }
    assert_int_equal(slow, 5);
}

/* Whoever has just joined syncs early, too, so that it learns of those who joined at the same time elsewhere: twenty
 * join through n0 at once, and all see all within 2 s, in each of ten runs, although a tenth of datagrams is lost. */
static void test_a_crowd_that_joins_at_once(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct world *w = world_new(2000 + seed);
        w->loss = 100;
        for (uint32_t i = 0; i < 20; i++)
            assert_int_equal(world_start(w, world_add(w)), 0);
        for (uint32_t i = 1; i < 20; i++)
            assert_int_equal(world_join(w, i, 0), 0);
        assert_true(world_wait_all_alive(w, 2 * S));
        world_free(w);
    }
}

/* A view of 1,000 members costs some 200 kB a sync, more than four seconds of the budget can ever save: no early sync
 * is made for the join of one more. Among ten members one is. */
static void test_early_syncs_keep_to_their_budget(void **state)
{
    (void)state;
    for (unsigned members = 10; members <= 1000; members *= 100) {
        struct world *w = world_new(150);
        w->config.probe_interval = 0;
        w->config.push_pull_interval = 0;
        (void)world_add(w);
        assert_int_equal(world_start(w, 0), 0);
        struct peer *p = peer_new(w, 0, "p", 1);
        for (unsigned i = 0; i < members; i++) {
            char name[16];
            snprintf(name, sizeof name, "m%u", i);
            struct br_alive alive = peer_other(p, name, (uint8_t)i, 1);
            peer_add_alive(p, &alive);
            if (p->count == 20 || i == members - 1)
                assert_int_equal(peer_send(p), 0);
        }
        world_run(w, 30 * S);
        uint64_t before = w->connections;
        struct br_alive alive = peer_other(p, "one more", 200, 1);
        peer_add_alive(p, &alive);
        assert_int_equal(peer_send(p), 0);
        world_run(w, S);
        assert_int_equal(w->connections - before, members == 10 ? 1 : 0);
        peer_free(p);
        world_free(w);
        if (members == 1000)
            break;
    }
}

/* Joins without end: what early syncs cost in a minute stays below the budget and what was saved up before. */
static void test_early_syncs_cost_no_more_than_allowed(void **state)
{
    struct world *w = world_new(151);
    (void)state;
    w->config.probe_interval = 0;
    w->config.push_pull_interval = 0;
    w->config.early_sync_budget = 16384;
    (void)world_add(w);
    assert_int_equal(world_start(w, 0), 0);
    struct peer *p = peer_new(w, 0, "p", 1);
    uint64_t bytes = 0;
    for (unsigned i = 0; i < 60; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%u", i);
        struct br_alive alive = peer_other(p, name, (uint8_t)i, 1);
        peer_add_alive(p, &alive);
        assert_int_equal(peer_send(p), 0);
        uint64_t before = w->connections;
        world_run(w, S);
        bytes += (w->connections - before) * 2 * 96 * (i + 2);
        for (size_t k = 0; k < w->line_count; k++)
            if (w->lines[k].is_open[0])
                world_line_close(w, &w->lines[k], BRUIT_EREFUSED);
    }
    assert_true(bytes > 0);
    assert_true(bytes <= (60 + 4) * 16384);
    peer_free(p);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_seed_of_three_is_enough),
        cmocka_unit_test(test_results_stand_in_the_order_asked),
        cmocka_unit_test(test_joins_can_be_repeated),
        cmocka_unit_test(test_bounds_of_requests),
        cmocka_unit_test(test_early_syncs_repair_a_lost_join),
        cmocka_unit_test(test_without_early_syncs_a_lost_join_waits),
        cmocka_unit_test(test_a_crowd_that_joins_at_once),
        cmocka_unit_test(test_early_syncs_keep_to_their_budget),
        cmocka_unit_test(test_early_syncs_cost_no_more_than_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
