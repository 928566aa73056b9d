/*
 * Leaving: docs/wire/memberlist.md section 6.9. The goodbye is told to those who live, the program hears when that is
 * done or took too long, and the one who left goes on answering until it is gone.
 */
#include "support/peer.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define S BRUIT_SECOND
#define MS BRUIT_MILLISECOND

static struct world *alone(uint64_t seed)
{
    struct world *w = world_new(seed);
    w->config.stream_pings = false;
    (void)world_add(w);
    assert_int_equal(world_start(w, 0), 0);
    return w;
}

static const struct world_event *leave_done(const struct world *w, uint32_t node)
{
    assert_true(world_events(w, node, BRUIT_EVENT_LEAVE_DONE, NULL, 0) <= 1);
    return world_last_event(w, node, BRUIT_EVENT_LEAVE_DONE);
}

/* conformance: memberlist 46 */
/* We leave: dead by our own word, with the incarnation we have. From then on nobody's word that we live counts, and in
 * a state we stand as left. */
static void test_says_goodbye_in_its_own_name(void **state)
{
    struct world *w = alone(131);
    struct peer *p = peer_new(w, 0, "p", 1);
    struct br_dead dead;
    struct peer_answer answer;
    (void)state;
    peer_alive(p, 1);
    peer_suspect(p, "n0", 4, "q"); /* our incarnation is 5 now */
    assert_int_equal(peer_send(p), 0);
    world_leave(w, 0, 5 * S);
    world_run(w, S);
    peer_hear(p);
    assert_true(peer_heard_dead(p, "n0", &dead));
    assert_true(br_bytes_equal(dead.from, world_bytes("n0")));
    assert_int_equal(dead.incarnation, 5);
    assert_int_equal(world_state_of(w, 0, "n0"), BRUIT_LEFT);

    struct br_alive alive = {.incarnation = 9,
                             .port = 7946,
                             .node = world_bytes("n0"),
                             .addr = br_bytes(w->nodes[0].addr.ip, 4),
                             .vsn = br_bytes(p->vsn, 6)};
    uint64_t before = bruit_view_checksum(w->nodes[0].engine);
    peer_add_alive(p, &alive);
    peer_suspect(p, "n0", 9, "q");
    peer_dead(p, "n0", 9, "q");
    assert_int_equal(peer_send(p), 0);
    assert_int_equal(bruit_view_checksum(w->nodes[0].engine), before);

    peer_sync(p, false, NULL, 0, &answer);
    assert_int_equal(answer.type, BR_PUSHPULL);
    for (size_t i = 0; i < answer.count; i++)
        if (br_bytes_equal(answer.entries[i].alive.node, world_bytes("n0")))
            assert_int_equal(answer.entries[i].state, BR_ENTRY_LEFT);
    peer_ping(p, 7, "n0");
    assert_int_equal(peer_send(p), 0);
    peer_hear(p);
    assert_true(peer_heard_ack(p, 7));
    peer_free(p);
    world_free(w);
}

/* Alone there is nobody to tell: done at once. */
static void test_leaves_alone_at_once(void **state)
{
    struct world *w = alone(132);
    (void)state;
    world_leave(w, 0, 5 * S);
    assert_non_null(leave_done(w, 0));
    assert_int_equal(leave_done(w, 0)->error, 0);
    assert_int_equal(world_state(w, 0, 0), BRUIT_LEFT);
    world_free(w);
}

/* One of five leaves: everybody sees it left, nobody sees it fail, well within its time. */
static void test_everybody_sees_it_leave(void **state)
{
    struct world *w = world_new(133);
    (void)state;
    world_cluster(w, 5);
    assert_true(world_wait_all_alive(w, 5 * S));
    world_leave(w, 2, 5 * S);
    assert_null(leave_done(w, 2));
    for (uint32_t i = 0; i < 5; i++)
        assert_true(world_wait_state(w, i, 2, BRUIT_LEFT, 3 * S));
    world_run(w, 3 * S);
    assert_non_null(leave_done(w, 2));
    assert_int_equal(leave_done(w, 2)->error, 0);
    world_kill(w, 2);
    world_run(w, 20 * S);
    for (uint32_t i = 0; i < 5; i++)
        if (i != 2) {
            assert_int_equal(world_events(w, i, BRUIT_EVENT_MEMBER, "n2", BRUIT_CHANGE_FAILED), 0);
            assert_int_equal(world_events(w, i, BRUIT_EVENT_MEMBER, "n2", BRUIT_CHANGE_LEFT), 1);
        }
    world_free(w);
}

static void no_gossip(struct bruit_config *config)
{
    config->gossip_interval = 0;
    config->probe_interval = 0;
}

/* Nobody is told, since there is no gossip and no probing: the time runs out, and the event says so. */
static void test_a_goodbye_that_cannot_be_told_times_out(void **state)
{
    struct world *w = world_new(134);
    (void)state;
    no_gossip(&w->config);
    world_cluster(w, 2);
    assert_true(world_wait_all_alive(w, 5 * S));
    world_leave(w, 0, 5 * S);
    bruit_time asked = w->now;
    world_run_until(w, asked + 5 * S - 1);
    assert_null(leave_done(w, 0));
    world_run_until(w, asked + 5 * S);
    assert_non_null(leave_done(w, 0));
    assert_int_equal(leave_done(w, 0)->error, BRUIT_ETIMEOUT);
    world_free(w);
}

/* While leaving, and after, requests are refused. */
static void test_requests_after_leaving_are_refused(void **state)
{
    struct world *w = world_new(135);
    struct bruit_join_target target;
    uint32_t request;
    (void)state;
    world_cluster(w, 3);
    assert_true(world_wait_all_alive(w, 5 * S));
    struct bruit_engine *engine = w->nodes[0].engine;
    target = (struct bruit_join_target){.addr = w->nodes[1].addr};
    world_leave(w, 0, 5 * S);
    assert_int_equal(bruit_leave(engine, S, w->now), BRUIT_EBUSY);
    assert_int_equal(bruit_join(engine, &target, 1, 0, &request, w->now), BRUIT_ECLOSED);
    assert_int_equal(bruit_set_meta(engine, world_bytes("m"), w->now), BRUIT_ECLOSED);
    world_run(w, 6 * S);
    assert_int_equal(bruit_leave(engine, S, w->now), BRUIT_ECLOSED);
    assert_int_equal(bruit_join(engine, &target, 1, 0, &request, w->now), BRUIT_ECLOSED);
    world_free(w);
}

/* Three of four leave one after the other, the last one alone in the end; then all four at once, which real members
 * cannot finish either (left members get no gossip): none waits for longer than its timeout. */
static void test_several_leave(void **state)
{
    struct world *w = world_new(136);
    (void)state;
    world_cluster(w, 4);
    assert_true(world_wait_all_alive(w, 5 * S));
    for (uint32_t i = 0; i < 4; i++) {
        world_leave(w, i, 5 * S);
        world_run(w, 5 * S);
        assert_non_null(leave_done(w, i));
        assert_int_equal(leave_done(w, i)->error, 0);
    }
    world_free(w);
    w = world_new(137);
    world_cluster(w, 4);
    assert_true(world_wait_all_alive(w, 5 * S));
    for (uint32_t i = 0; i < 4; i++)
        world_leave(w, i, 5 * S);
    world_run(w, 5 * S);
    for (uint32_t i = 0; i < 4; i++)
        assert_non_null(leave_done(w, i));
    world_free(w);
}

/* A module that has something to say first. */
static struct bruit_host *hosted;
static bool holds;

static int keep_host(void *self, struct bruit_host *host)
{
    (void)self;
    hosted = host;
    return 0;
}

static bool hold_on(void *self)
{
    (void)self;
    return holds;
}

static const struct bruit_module polite = {
    .struct_size = sizeof polite, .name = "polite", .init = keep_host, .on_leave = hold_on};
static const struct bruit_module *const modules[] = {&polite};

/* It holds the goodbye up until it is ready, or until the timeout; each stage has the whole of it. */
static void test_modules_say_goodbye_first(void **state)
{
    struct world *w = world_new(138);
    (void)state;
    no_gossip(&w->config);
    w->config.modules = modules;
    w->config.module_count = 1;
    holds = true;
    world_cluster(w, 2);
    assert_true(world_wait_all_alive(w, 5 * S));
    world_leave(w, 1, 5 * S); /* n1 was made last: `hosted` is its */
    world_run(w, 2 * S);
    assert_int_equal(world_state(w, 1, 1), BRUIT_ALIVE);
    bruit_host_leave_ready(hosted);
    assert_int_equal(world_state(w, 1, 1), BRUIT_LEFT);
    bruit_host_leave_ready(hosted); /* once more does nothing */
    world_leave(w, 0, 5 * S);
    bruit_time asked = w->now;
    world_run_until(w, asked + 5 * S - 1);
    assert_int_equal(world_state(w, 0, 0), BRUIT_ALIVE);
    world_run_until(w, asked + 5 * S);
    assert_int_equal(world_state(w, 0, 0), BRUIT_LEFT);
    holds = false;
    world_free(w);
}

/* Left members are not asked to relay nor probed, and answer all the same; nobody accuses them. */
static void test_a_left_member_is_not_accused(void **state)
{
    struct world *w = world_new(139);
    (void)state;
    world_cluster(w, 3);
    assert_true(world_wait_all_alive(w, 5 * S));
    world_leave(w, 2, 5 * S);
    world_run(w, 25 * S);
    assert_int_equal(world_state(w, 0, 2), BRUIT_LEFT);
    assert_int_equal(world_events(w, 0, BRUIT_EVENT_MEMBER, NULL, BRUIT_CHANGE_SUSPECTED), 0);
    assert_int_equal(world_events(w, 2, BRUIT_EVENT_MEMBER, NULL, BRUIT_CHANGE_SUSPECTED), 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_says_goodbye_in_its_own_name),
        cmocka_unit_test(test_leaves_alone_at_once),
        cmocka_unit_test(test_everybody_sees_it_leave),
        cmocka_unit_test(test_a_goodbye_that_cannot_be_told_times_out),
        cmocka_unit_test(test_requests_after_leaving_are_refused),
        cmocka_unit_test(test_several_leave),
        cmocka_unit_test(test_modules_say_goodbye_first),
        cmocka_unit_test(test_a_left_member_is_not_accused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
