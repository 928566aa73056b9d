/*
 * Whole clusters in the small world: members find each other, notice who is gone, and take back who returns.
 */
#include "support/world.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define S BRUIT_SECOND
#define MS BRUIT_MILLISECOND

/* Five members start one after the other; within seconds each sees all, was told of each once, and nobody was
 * suspected on the way. */
static void test_five_members_find_each_other(void **state)
{
    struct world *w = world_new(1);
    (void)state;
    world_cluster(w, 5);
    assert_true(world_wait_all_alive(w, 2 * S));
    world_run(w, 60 * S);
    assert_true(world_all_alive(w));
    for (uint32_t a = 0; a < 5; a++) {
        for (uint32_t b = 0; b < 5; b++)
            if (a != b)
                assert_int_equal(
                    world_events(w, a, BRUIT_EVENT_MEMBER, w->nodes[b].name, BRUIT_CHANGE_JOINED), 1);
        assert_int_equal(world_events(w, a, BRUIT_EVENT_MEMBER, NULL, BRUIT_CHANGE_SUSPECTED), 0);
        assert_int_equal(world_drops(w, a), 0);
        assert_int_equal(world_stats(w, a).health, 0);
    }
    world_free(w);
}

/* Datagrams alone keep a cluster at rest together: nobody needs to ask over a stream. */
static void test_a_healthy_cluster_never_pings_over_streams(void **state)
{
    struct world *w = world_new(2);
    (void)state;
    w->config.push_pull_interval = 0;
    w->config.early_sync_budget = 0;
    world_cluster(w, 5);
    assert_true(world_wait_all_alive(w, 5 * S));
    uint64_t connections = w->connections;
    world_run(w, 60 * S);
    assert_int_equal(w->connections, connections);
    assert_true(world_all_alive(w));
    world_free(w);
}

/* One process is killed: it is suspected, accused, and dead to everybody after the shortest or longest suspicion; each
 * of the others is told so once. */
static void test_a_killed_member_is_dead_to_everybody(void **state)
{
    struct world *w = world_new(3);
    (void)state;
    world_cluster(w, 5);
    assert_true(world_wait_all_alive(w, 5 * S));
    world_kill(w, 4);
    for (uint32_t a = 0; a < 4; a++)
        assert_true(world_wait_state(w, a, 4, BRUIT_DEAD, 30 * S));
    for (uint32_t a = 0; a < 4; a++) {
        assert_int_equal(world_events(w, a, BRUIT_EVENT_MEMBER, "n4", BRUIT_CHANGE_FAILED), 1);
        assert_int_equal(world_events(w, a, BRUIT_EVENT_MEMBER, "n4", BRUIT_CHANGE_LEFT), 0);
    }
    assert_true(world_all_alive(w));
    world_free(w);
}

/* A log line says why, in memberlist's words, and once for each failure. */
static void test_the_accuser_says_why_once(void **state)
{
    struct world *w = world_new(4);
    (void)state;
    w->config.indirect_checks = 0;
    w->config.stream_pings = false;
    world_cluster(w, 2);
    assert_true(world_wait_all_alive(w, 5 * S));
    world_kill(w, 1);
    assert_true(world_wait_state(w, 0, 1, BRUIT_SUSPECT, 5 * S));
    assert_int_equal(world_traced(w, 0, "Suspect n1 has failed, no acks received"), 1);
    assert_true(world_wait_state(w, 0, 1, BRUIT_DEAD, 30 * S));
    assert_true(world_expect_trace(w, 0, "Marking n1 as failed, suspect timeout reached"));
    world_free(w);
}

/* conformance: memberlist 45 */
/* A member leaves, another is killed; both come back as new processes under name and address of old, while their
 * peers remember higher incarnations of them. */
static void test_rejoins_after_leave_and_after_kill(void **state)
{
    struct world *w = world_new(5);
    (void)state;
    world_cluster(w, 5);
    assert_true(world_wait_all_alive(w, 5 * S));
    for (int i = 0; i < 3; i++) { /* raises the incarnation that others remember */
        assert_int_equal(bruit_set_meta(w->nodes[3].engine, world_bytes("m"), w->now), 0);
        assert_int_equal(bruit_set_meta(w->nodes[4].engine, world_bytes("m"), w->now), 0);
        world_run(w, S);
    }
    world_leave(w, 3, 5 * S);
    assert_true(world_wait_state(w, 0, 3, BRUIT_LEFT, 5 * S));
    world_kill(w, 3);
    world_kill(w, 4);
    assert_true(world_wait_state(w, 0, 4, BRUIT_DEAD, 30 * S));
    for (uint32_t i = 3; i < 5; i++) {
        assert_int_equal(world_start(w, i), 0);
        assert_int_equal(world_join(w, i, 0), 0);
    }
    assert_true(world_wait_all_alive(w, 10 * S));
    assert_true(world_incarnation_of(w, 0, "n3") > 4);
    assert_true(world_expect_trace(w, 3, "Refuting a dead message"));
    world_run(w, 60 * S);
    assert_true(world_all_alive(w));
    world_free(w);
}

/* A restart so quick that nobody had noticed: the new process meets its old self, alive with a higher incarnation. */
static void test_rejoins_before_anybody_noticed(void **state)
{
    struct world *w = world_new(6);
    (void)state;
    world_cluster(w, 5);
    assert_true(world_wait_all_alive(w, 5 * S));
    assert_int_equal(bruit_set_meta(w->nodes[4].engine, world_bytes("old"), w->now), 0);
    world_run(w, 2 * S);
    world_kill(w, 4);
    assert_int_equal(world_start(w, 4), 0);
    assert_int_equal(world_join(w, 4, 0), 0);
    world_run(w, 5 * S);
    assert_true(world_all_alive(w));
    assert_true(world_incarnation_of(w, 0, "n4") >= 3);
    assert_int_equal(world_incarnation_of(w, 0, "n4"), world_incarnation_of(w, 4, "n4"));
    world_free(w);
}

/* The network is cut in two for 60 s: each half gives the other up; healed, both come together again, since dead
 * members are told what is said of them for a while, and refute it. */
static void test_a_short_partition_heals(void **state)
{
    struct world *w = world_new(7);
    (void)state;
    world_cluster(w, 6);
    assert_true(world_wait_all_alive(w, 5 * S));
    world_partition(w, 3, true);
    assert_true(world_wait_state(w, 0, 5, BRUIT_DEAD, 40 * S));
    assert_int_equal(world_state(w, 0, 1), BRUIT_ALIVE);
    world_partition(w, 3, false);
    /* What reconnects longer cuts is Serf's business (the status module): a join stands for it here. */
    assert_int_equal(world_join(w, 5, 0), 0);
    assert_true(world_wait_all_alive(w, 20 * S));
    world_free(w);
}

/* Suspected while it lives: only its datagrams from one member are lost, and the relays find it. */
static void test_a_bad_link_accuses_nobody(void **state)
{
    struct world *w = world_new(8);
    (void)state;
    w->config.stream_pings = false;
    world_cluster(w, 5);
    assert_true(world_wait_all_alive(w, 5 * S));
    world_cut(w, 0, 1, true);
    world_run(w, 120 * S);
    assert_int_equal(world_events(w, 0, BRUIT_EVENT_MEMBER, "n1", BRUIT_CHANGE_SUSPECTED), 0);
    assert_true(world_all_alive(w));
    world_free(w);
}

static bool no_datagrams_for_n1(const struct world *w, uint32_t from, uint32_t to, struct bruit_bytes packet)
{
    (void)w;
    (void)packet;
    return from != 1 && to != 1;
}

/* conformance: memberlist 53 */
/* All datagrams from and to one member are lost, connections work: the ping over a stream alone keeps it alive, and
 * the log says that datagrams are lost. */
static void test_stream_ping_alone_prevents_suspicion(void **state)
{
    struct world *w = world_new(9);
    (void)state;
    world_cluster(w, 2);
    assert_true(world_wait_all_alive(w, 5 * S));
    w->passes = no_datagrams_for_n1;
    world_run(w, 60 * S);
    assert_int_equal(world_events(w, 0, BRUIT_EVENT_MEMBER, "n1", BRUIT_CHANGE_SUSPECTED), 0);
    assert_true(world_expect_trace(w, 0, "Was able to connect to n1 over TCP but UDP probes failed"));
    assert_true(world_all_alive(w));
    /* Without stream pings the same network makes it a suspect. */
    world_kill(w, 0);
    w->passes = NULL;
    w->nodes[0].config.stream_pings = false;
    assert_int_equal(world_start(w, 0), 0);
    assert_int_equal(world_join(w, 0, 1), 0);
    assert_true(world_wait_state(w, 0, 1, BRUIT_ALIVE, 5 * S));
    w->passes = no_datagrams_for_n1;
    assert_true(world_wait_state(w, 0, 1, BRUIT_SUSPECT, 10 * S));
    world_free(w);
}

/* A third of all datagrams are lost: members may be suspected, but nobody stays dead. */
static void test_survives_heavy_loss(void **state)
{
    struct world *w = world_new(10);
    (void)state;
    world_cluster(w, 10);
    assert_true(world_wait_all_alive(w, 10 * S));
    w->loss = 300;
    world_run(w, 120 * S);
    w->loss = 0;
    world_run(w, 40 * S);
    assert_true(world_all_alive(w));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_five_members_find_each_other),
        cmocka_unit_test(test_a_healthy_cluster_never_pings_over_streams),
        cmocka_unit_test(test_a_killed_member_is_dead_to_everybody),
        cmocka_unit_test(test_the_accuser_says_why_once),
        cmocka_unit_test(test_rejoins_after_leave_and_after_kill),
        cmocka_unit_test(test_rejoins_before_anybody_noticed),
        cmocka_unit_test(test_a_short_partition_heals),
        cmocka_unit_test(test_a_bad_link_accuses_nobody),
        cmocka_unit_test(test_stream_ping_alone_prevents_suspicion),
        cmocka_unit_test(test_survives_heavy_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
