/*
 * A stalled process accuses nobody: the scheduler held it, a laptop slept, somebody sent SIGSTOP. Its late tick is
 * proof of its own trouble: health worsens, pending deadlines get the gap back (docs/wire/memberlist.md 7.4 knows no
 * such rule; docs/protocol.md says why we have it).
 */
#include "support/peer.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define S BRUIT_SECOND
#define MS BRUIT_MILLISECOND

/* One of five is stopped for 20 s. The others rightly give it up; when it goes on it accuses nobody for the time
 * it lost, says it lives, and within seconds all see all. */
static void test_a_stopped_member_accuses_nobody(void **state)
{
    struct world *w = world_new(21);
    (void)state;
    world_cluster(w, 5);
    assert_true(world_wait_all_alive(w, 5 * S));
    world_run(w, 3 * S);
    world_pause(w, 0);
    world_run(w, 20 * S);
    assert_int_not_equal(world_state(w, 1, 0), BRUIT_ALIVE);
    world_resume(w, 0);
    assert_int_equal(world_stats(w, 0).stalls, 1);
    assert_true(world_expect_trace(w, 0, "This process was stalled for"));
    world_run(w, 10 * S);
    assert_int_equal(world_events(w, 0, BRUIT_EVENT_MEMBER, NULL, BRUIT_CHANGE_SUSPECTED), 0);
    assert_true(world_wait_all_alive(w, 10 * S));
    world_free(w);
}

/* A tick that is late by half the probe timeout (250 ms) is an ordinary busy machine; one millisecond more is a
 * stall, and costs one point of health. */
static void test_a_little_late_is_no_stall(void **state)
{
    struct world *w = world_new(22);
    uint32_t a = world_add(w);
    (void)state;
    assert_int_equal(world_start(w, a), 0);
    struct bruit_engine *engine = w->nodes[a].engine;
    assert_int_equal(bruit_tick(engine, bruit_deadline(engine) + 250 * MS), 0);
    assert_int_equal(world_stats(w, a).stalls, 0);
    assert_int_equal(world_stats(w, a).health, 0);
    assert_int_equal(bruit_tick(engine, bruit_deadline(engine) + 251 * MS), 0);
    assert_int_equal(world_stats(w, a).stalls, 1);
    assert_int_equal(world_stats(w, a).health, 1);
    world_free(w);
}

/* Alone with one peer: all news has been told, and one probe has just been sent, whose ack is not given yet. */
static struct peer *probed_peer(struct world *w, struct br_ping *ping)
{
    struct peer *p = peer_new(w, 0, "p", 1);
    peer_alive(p, 1);
    assert_int_equal(peer_send(p), 0);
    peer_live(p, 10 * S);
    assert_int_equal(world_stats(w, 0).rumours, 0);
    for (int i = 0; i < 3000; i++) {
        world_run(w, MS);
        peer_hear(p);
        if (peer_heard_ping(p, "p", ping))
            return p;
    }
    fail_msg("no ping came");
    return p;
}

/* A probe waits for its ack; the process stops for 5 s. Who was probed gets the time back and is no suspect until
 * its whole probe interval has passed once more. */
static void test_a_pending_probe_gets_the_gap_back(void **state)
{
    struct world *w = world_new(23);
    struct br_ping ping;
    w->config.stream_pings = false;
    (void)world_add(w);
    (void)state;
    assert_int_equal(world_start(w, 0), 0);
    struct peer *p = probed_peer(w, &ping);
    bruit_time sent = w->now;
    world_pause(w, 0);
    world_run(w, 5 * S);
    world_resume(w, 0);
    assert_int_equal(world_state_of(w, 0, "p"), BRUIT_ALIVE);
    /* The ask at 500 ms came 4.5 s late: the verdict at 1 s is put off to 5.5 s at least. */
    world_run_until(w, sent + 5400 * MS);
    assert_int_equal(world_state_of(w, 0, "p"), BRUIT_ALIVE);
    world_run_until(w, sent + 7 * S);
    assert_int_equal(world_state_of(w, 0, "p"), BRUIT_SUSPECT);
    peer_free(p);
    world_free(w);
}

/* The driver drains its socket before it ticks, as it should: the ack that waited there ends the probe, and with it
 * the only deadline that was missed. The stall is noticed all the same, and its round trip is not taken for one. */
static void test_a_drained_ack_does_not_hide_the_stall(void **state)
{
    struct world *w = world_new(24);
    struct br_ping ping;
    (void)world_add(w);
    (void)state;
    assert_int_equal(world_start(w, 0), 0);
    struct peer *p = probed_peer(w, &ping);
    w->now += 5 * S; /* nobody called the engine */
    peer_ack(p, ping.seq);
    assert_int_equal(peer_send(p), 0);
    (void)bruit_tick(w->nodes[0].engine, w->now);
    assert_int_equal(world_stats(w, 0).stalls, 1);
    assert_int_equal(world_state_of(w, 0, "p"), BRUIT_ALIVE);
    peer_free(p);
    world_free(w);
}

/* A suspect had 2.5 s left to defend itself when we were stopped for 20 s, which we know from the first deadline that
 * we missed, within a second. It still has the rest when we go on: what it said meanwhile may have been lost. */
static void test_a_suspect_gets_the_gap_back(void **state)
{
    struct world *w = world_new(25);
    struct br_ping ping;
    (void)world_add(w);
    (void)state;
    assert_int_equal(world_start(w, 0), 0);
    struct peer *p = probed_peer(w, &ping);
    peer_ack(p, ping.seq);
    peer_suspect(p, "p", 1, "q"); /* two members: min and max are 4 s */
    assert_int_equal(peer_send(p), 0);
    assert_int_equal(world_state_of(w, 0, "p"), BRUIT_SUSPECT);
    bruit_time accused = w->now;
    peer_live(p, 1500 * MS);
    world_pause(w, 0);
    world_run(w, 20 * S);
    world_resume(w, 0);
    peer_live(p, 1400 * MS);
    assert_int_equal(world_state_of(w, 0, "p"), BRUIT_SUSPECT);
    assert_true(w->now - accused > 22 * S);
    peer_alive(p, 2);
    assert_int_equal(peer_send(p), 0);
    assert_int_equal(world_state_of(w, 0, "p"), BRUIT_ALIVE);
    peer_free(p);
    world_free(w);
}

/* The same, with the refutation of somebody else's making: first a datagram is drained, at a time when the suspicion's
 * own deadline has just been missed by less than counts as late. */
static void test_a_drained_datagram_does_not_cost_the_suspect_its_time(void **state)
{
    struct world *w = world_new(27);
    struct br_ping ping;
    w->config.gossip_interval = 0; /* no other deadline gives the stall away */
    (void)world_add(w);
    (void)state;
    assert_int_equal(world_start(w, 0), 0);
    struct peer *p = probed_peer(w, &ping);
    bruit_time accused = w->now;
    peer_suspect(p, "p", 1, "q");
    assert_int_equal(peer_send(p), 0);
    world_run(w, 400 * MS); /* the ack is due in 100 ms */
    w->now = accused + 4 * S + 100 * MS;
    peer_ack(p, ping.seq);
    assert_int_equal(peer_send(p), 0);
    (void)bruit_tick(w->nodes[0].engine, w->now);
    assert_int_equal(world_stats(w, 0).stalls, 1);
    assert_int_equal(world_state_of(w, 0, "p"), BRUIT_SUSPECT);
    peer_free(p);
    world_free(w);
}

/* One long stall that several deadlines missed, seen by a drained datagram, a tick and another tick: it counts once. */
static void test_a_stall_counts_once(void **state)
{
    struct world *w = world_new(26);
    struct br_ping ping;
    (void)world_add(w);
    (void)state;
    assert_int_equal(world_start(w, 0), 0);
    struct peer *p = probed_peer(w, &ping);
    w->now += 120 * S; /* past a sync, too */
    peer_ack(p, 1);
    assert_int_equal(peer_send(p), 0);
    (void)bruit_tick(w->nodes[0].engine, w->now);
    (void)bruit_tick(w->nodes[0].engine, w->now);
    assert_int_equal(world_stats(w, 0).stalls, 1);
    assert_int_equal(world_stats(w, 0).health, 1);
    peer_free(p);
    world_free(w);
}

/* Asked to do as memberlist does, it takes no notice of its own lateness. */
static void test_without_the_guard_a_stall_is_nothing(void **state)
{
    struct world *w = world_new(27);
    w->config.stall_guard = false;
    uint32_t a = world_add(w);
    (void)state;
    assert_int_equal(world_start(w, a), 0);
    struct bruit_engine *engine = w->nodes[a].engine;
    assert_int_equal(bruit_tick(engine, bruit_deadline(engine) + 5 * S), 0);
    assert_int_equal(world_stats(w, a).stalls, 0);
    assert_int_equal(world_stats(w, a).health, 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_stopped_member_accuses_nobody),
        cmocka_unit_test(test_a_little_late_is_no_stall),
        cmocka_unit_test(test_a_pending_probe_gets_the_gap_back),
        cmocka_unit_test(test_a_drained_ack_does_not_hide_the_stall),
        cmocka_unit_test(test_a_suspect_gets_the_gap_back),
        cmocka_unit_test(test_a_drained_datagram_does_not_cost_the_suspect_its_time),
        cmocka_unit_test(test_a_stall_counts_once),
        cmocka_unit_test(test_without_the_guard_a_stall_is_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
