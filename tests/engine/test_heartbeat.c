/*
 * Clusters whose members hear each other's hearts (docs/heartbeat.md): they gather, find out who crashed, believe who
 * comes back, say goodbye, and keep the other detector out. Members of ours alone, on a network that delays and loses.
 */
#include "support/world.h"

#include "codec/heartbeat.h"
#include "engine/engine.h"

#include <bruit/heartbeat.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define S BRUIT_SECOND
#define MS BRUIT_MILLISECOND

static struct world *beating_world(uint64_t seed)
{
    struct world *w = world_new(seed);
    w->config.detector = BRUIT_DETECTOR_HEARTBEAT;
    return w;
}

static uint64_t dropped(const struct world *w, uint32_t node, enum bruit_drop reason)
{
    return world_stats(w, node).drops[reason];
}

/* Twelve members come one after the other. Everybody knows everybody soon, nobody is called dead while nothing
 * happens for ten minutes, and all views are equal. */
static void test_a_cluster_gathers_and_rests(void **state)
{
    struct world *w = beating_world(1);
    (void)state;
    world_cluster(w, 12);
    assert_true(world_wait_all_alive(w, 20 * S));
    world_run(w, 600 * S);
    assert_true(world_all_alive(w));
    for (uint32_t i = 0; i < 12; i++) {
        assert_int_equal(world_events(w, i, BRUIT_EVENT_MEMBER, NULL, BRUIT_CHANGE_FAILED), 0);
        assert_int_equal(world_drops(w, i), 0);
        assert_true(bruit_view_checksum(w->nodes[i].engine) == bruit_view_checksum(w->nodes[0].engine));
    }
    world_free(w);
}

/* A member is killed: everybody finds out by himself, nobody brings it back, and in the end it is forgotten. */
static void test_a_crash_is_found_by_everybody(void **state)
{
    struct world *w = beating_world(2);
    (void)state;
    world_cluster(w, 10);
    assert_true(world_wait_all_alive(w, 20 * S));
    world_run(w, 60 * S);
    world_kill(w, 3);
    world_run(w, 30 * S);
    for (uint32_t i = 0; i < 10; i++)
        if (i != 3)
            assert_int_equal(world_events(w, i, BRUIT_EVENT_MEMBER, "n3", BRUIT_CHANGE_FAILED), 1);
    world_run(w, 60 * S);
    for (uint32_t i = 0; i < 10; i++)
        if (i != 3) {
            assert_int_equal(world_state(w, i, 3), WORLD_UNKNOWN);
            assert_int_equal(world_events(w, i, BRUIT_EVENT_MEMBER, "n3", BRUIT_CHANGE_JOINED), 1);
        }
    world_free(w);
}

/* It starts again with its counter raised: the new life wins at once, before the old one was even missed. */
static void test_a_new_generation_wins_at_once(void **state)
{
    struct world *w = beating_world(3);
    (void)state;
    world_cluster(w, 8);
    assert_true(world_wait_all_alive(w, 20 * S));
    world_run(w, 60 * S);
    world_kill(w, 5);
    w->nodes[5].config.heartbeat.generation = 2;
    assert_int_equal(world_start(w, 5), 0);
    assert_int_equal(world_join(w, 5, 0), 0);
    world_run(w, 6 * S);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(world_state(w, i, 5), BRUIT_ALIVE);
        assert_int_equal(world_incarnation_of(w, i, "n5"), 2);
        assert_int_equal(world_events(w, i, BRUIT_EVENT_MEMBER, "n5", BRUIT_CHANGE_FAILED), 0);
    }
    world_free(w);
}

/* The file with the counter is lost: the member begins with 1 again, hears that it was at 7, and takes 8. */
static void test_a_lost_counter_heals(void **state)
{
    struct world *w = beating_world(4);
    (void)state;
    world_add(w);
    w->nodes[0].config.heartbeat.generation = 7;
    assert_int_equal(world_start(w, 0), 0);
    for (uint32_t i = 1; i < 6; i++) {
        world_add(w);
        assert_int_equal(world_start(w, i), 0);
        assert_int_equal(world_join(w, i, 0), 0);
    }
    assert_true(world_wait_all_alive(w, 20 * S));
    world_kill(w, 0);
    w->nodes[0].config.heartbeat.generation = 0;
    assert_int_equal(world_start(w, 0), 0);
    assert_int_equal(world_join(w, 0, 1), 0);
    world_run(w, 8 * S);
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(world_incarnation_of(w, i, "n0"), 8);
    assert_int_equal(bruit_heartbeat_generation(w->nodes[0].engine), 8);
    assert_int_equal(world_events(w, 0, BRUIT_EVENT_GENERATION, NULL, 0), 1);
    assert_true(world_expect_trace(w, 0, "answered with generation 8"));
    world_free(w);
}

/* A member says goodbye: everybody knows it left, nobody calls it dead, and its leaving ends well. */
static void test_a_goodbye_is_heard(void **state)
{
    struct world *w = beating_world(5);
    (void)state;
    world_cluster(w, 10);
    assert_true(world_wait_all_alive(w, 20 * S));
    world_run(w, 30 * S);
    world_leave(w, 4, 5 * S);
    world_run(w, 8 * S);
    assert_int_equal(world_events(w, 4, BRUIT_EVENT_LEAVE_DONE, NULL, 0), 1);
    assert_int_equal(world_last_event(w, 4, BRUIT_EVENT_LEAVE_DONE)->error, 0);
    for (uint32_t i = 0; i < 10; i++) {
        if (i == 4)
            continue;
        assert_int_equal(world_state(w, i, 4), BRUIT_LEFT);
        assert_int_equal(world_events(w, i, BRUIT_EVENT_MEMBER, "n4", BRUIT_CHANGE_FAILED), 0);
    }
    world_kill(w, 4);
    world_run(w, 120 * S);
    for (uint32_t i = 0; i < 10; i++)
        if (i != 4)
            assert_int_equal(world_state(w, i, 4), WORLD_UNKNOWN);
    world_free(w);
}

/* A process is stopped for a minute. The others call it dead; when it goes on it accuses nobody, and is alive again
 * for everybody within seconds, since its heart counts the time it was stopped. */
static void test_who_was_stopped_accuses_nobody(void **state)
{
    struct world *w = beating_world(6);
    (void)state;
    world_cluster(w, 10);
    assert_true(world_wait_all_alive(w, 20 * S));
    world_run(w, 30 * S);
    world_pause(w, 2);
    world_run(w, 25 * S);
    assert_int_equal(world_state(w, 0, 2), BRUIT_DEAD);
    world_resume(w, 2);
    world_run(w, 10 * S);
    assert_true(world_all_alive(w));
    for (uint32_t i = 0; i < 10; i++)
        if (i != 2) {
            char name[16];
            snprintf(name, sizeof name, "n%u", i);
            assert_int_equal(world_events(w, 2, BRUIT_EVENT_MEMBER, name, BRUIT_CHANGE_FAILED), 0);
        }
    assert_int_equal(world_stats(w, 2).stalls, 1);
    world_free(w);
}

/* New metadata arrives everywhere, and its author hears that it was told. */
static void test_metadata_travels(void **state)
{
    struct world *w = beating_world(7);
    (void)state;
    world_cluster(w, 10);
    assert_true(world_wait_all_alive(w, 20 * S));
    assert_int_equal(bruit_set_meta(w->nodes[1].engine, world_bytes("role=db"), w->now), 0);
    world_settle(w, 1);
    world_run(w, 8 * S);
    assert_int_equal(world_events(w, 1, BRUIT_EVENT_META_DONE, NULL, 0), 1);
    for (uint32_t i = 0; i < 10; i++) {
        struct bruit_member member;
        const struct bruit_engine *engine = w->nodes[i].engine;
        assert_int_equal(bruit_member_get(engine, bruit_member_find(engine, world_bytes("n1")), &member), 0);
        assert_true(br_bytes_equal(member.meta, world_bytes("role=db")));
    }
    world_free(w);
}

/* Cut in two for 20 seconds: each half buries the other; healed, they find together by themselves. */
static void test_a_cut_cluster_grows_together(void **state)
{
    struct world *w = beating_world(8);
    (void)state;
    world_cluster(w, 10);
    assert_true(world_wait_all_alive(w, 20 * S));
    world_run(w, 30 * S);
    world_partition(w, 5, true);
    world_run(w, 25 * S);
    assert_int_equal(world_state(w, 0, 9), BRUIT_DEAD);
    world_partition(w, 5, false);
    assert_true(world_wait_all_alive(w, 20 * S));
    world_free(w);
}

/* A member with SWIM wants to join members with heartbeats, and the other way round: refused in both directions, the
 * one who asked is told why, and each side says once what to do. */
static void test_the_other_detector_is_refused(void **state)
{
    (void)state;
    for (unsigned swims = 0; swims < 2; swims++) {
        struct world *w = beating_world(9);
        world_cluster(w, 3);
        assert_true(world_wait_all_alive(w, 20 * S));
        uint32_t odd = world_add(w);
        w->nodes[odd].config.detector = BRUIT_DETECTOR_SWIM;
        assert_int_equal(world_start(w, odd), 0);
        if (swims == 0)
            assert_int_equal(world_join(w, odd, 0), 0);
        else
            assert_int_equal(world_join(w, 0, odd), 0);
        world_run(w, 10 * S);
        uint32_t asker = swims == 0 ? odd : 0;
        const struct world_event *done = world_last_event(w, asker, BRUIT_EVENT_JOIN_DONE);
        assert_non_null(done);
        assert_int_equal(done->contacted, 0);
        assert_int_equal(done->error, BRUIT_EREMOTE);
        assert_non_null(strstr(done->text, "the other failure detector"));
        uint32_t asked = swims == 0 ? 0 : odd;
        assert_int_equal(dropped(w, asked, BRUIT_DROP_OTHER_DETECTOR), 1);
        assert_true(world_expect_trace(w, asked, swims == 0 ? "-detector=heartbeat" : "-detector=swim"));
        assert_int_equal(world_state(w, 0, odd), WORLD_UNKNOWN);
        assert_int_equal(world_state(w, odd, 0), WORLD_UNKNOWN);
        world_free(w);
    }
}

/* Somebody forges digests: of a member with a heartbeat far in the future, of itself with the highest generation.
 * The one is answered with a new generation and is over within seconds; the other is refused and counted. */
static void test_forgery_is_bounded(void **state)
{
    struct world *w = beating_world(10);
    uint8_t packet[128];
    struct br_writer writer;
    struct bruit_addr from = world_addr(9, 9, 7946);
    (void)state;
    world_cluster(w, 8);
    assert_true(world_wait_all_alive(w, 20 * S));
    world_run(w, 30 * S);
    struct br_beat_entry stranger = {.id = 1, .generation = 1, .heartbeat = 1, .version = 1};
    struct br_beat_entry lie = {
        .id = br_beat_id(world_bytes("n3")), .generation = 1, .heartbeat = 100000, .version = 1};
    struct br_beat_entry worse = {
        .id = br_beat_id(world_bytes("n4")), .generation = UINT32_MAX, .heartbeat = 1, .version = 1};
    br_writer_init(&writer, packet, sizeof packet);
    br_beat_header_encode(&writer, BR_BEAT_DELTA, &stranger);
    br_beat_entry_encode(&writer, &lie);
    br_beat_entry_encode(&writer, &worse);
    assert_int_equal(bruit_recv_datagram(w->nodes[0].engine, &from, br_writer_bytes(&writer), w->now), 0);
    world_settle(w, 0);
    assert_int_equal(dropped(w, 0, BRUIT_DROP_HEARTBEAT_FORGED), 1);
    world_run(w, 30 * S);
    assert_true(world_all_alive(w));
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(world_incarnation_of(w, i, "n3"), 2);
        assert_int_equal(world_incarnation_of(w, i, "n4"), 1);
        assert_int_equal(world_events(w, i, BRUIT_EVENT_MEMBER, "n3", BRUIT_CHANGE_FAILED), 0);
    }
    world_free(w);
}

/* A member that was forgotten is not brought back by an old digest. */
static void test_the_forgotten_stay_forgotten(void **state)
{
    struct world *w = beating_world(11);
    uint8_t packet[512];
    struct br_writer writer;
    struct bruit_addr from = world_addr(9, 9, 7946);
    (void)state;
    world_cluster(w, 6);
    assert_true(world_wait_all_alive(w, 20 * S));
    world_run(w, 30 * S);
    const struct br_core *core = &w->nodes[0].engine->core;
    uint32_t slot = bruit_member_find(w->nodes[0].engine, world_bytes("n5"));
    struct br_alive identity = br_fragment_alive(br_core_fragment(core, slot), 1);
    struct br_beat_entry stranger = {.id = 1, .generation = 1, .heartbeat = 1, .version = 1};
    struct br_beat_entry old = {.id = br_beat_id(world_bytes("n5")),
                                .generation = 1,
                                .heartbeat = core->pulse.heartbeat[slot],
                                .version = 1,
                                .flags = BR_BEAT_IDENTITY,
                                .identity = identity};
    br_writer_init(&writer, packet, sizeof packet);
    br_beat_header_encode(&writer, BR_BEAT_DELTA, &stranger);
    br_beat_entry_encode(&writer, &old);
    assert_false(writer.failed);
    world_kill(w, 5);
    world_run(w, 120 * S);
    assert_int_equal(world_state(w, 0, 5), WORLD_UNKNOWN);
    uint64_t before = dropped(w, 0, BRUIT_DROP_HEARTBEAT_BURIED); /* of others who forgot it a little later */
    assert_int_equal(bruit_recv_datagram(w->nodes[0].engine, &from, br_writer_bytes(&writer), w->now), 0);
    world_settle(w, 0);
    assert_int_equal(world_state(w, 0, 5), WORLD_UNKNOWN);
    assert_int_equal(dropped(w, 0, BRUIT_DROP_HEARTBEAT_BURIED), before + 1);
    world_free(w);
}

/* With a third of all datagrams lost nobody is called dead for five minutes, and a crash is still found. */
static void test_loss_convicts_nobody(void **state)
{
    struct world *w = beating_world(12);
    (void)state;
    world_cluster(w, 20);
    assert_true(world_wait_all_alive(w, 20 * S));
    w->loss = 200;
    world_run(w, 300 * S);
    for (uint32_t i = 0; i < 20; i++)
        assert_int_equal(world_events(w, i, BRUIT_EVENT_MEMBER, NULL, BRUIT_CHANGE_FAILED), 0);
    world_kill(w, 7);
    assert_true(world_wait_state(w, 0, 7, BRUIT_DEAD, 30 * S));
    world_free(w);
}

/* Pushing alone and pulling alone gather a cluster as well, and find a crash; so does the plain rule. */
static void test_each_mode_works(void **state)
{
    (void)state;
    for (unsigned mode = BRUIT_HEARTBEAT_PUSH; mode <= BRUIT_HEARTBEAT_PULL; mode++) {
        struct world *w = beating_world(13);
        w->config.heartbeat.mode = (enum bruit_heartbeat_mode)mode;
        w->config.heartbeat.rule = BRUIT_HEARTBEAT_ROUNDS;
        world_cluster(w, 10);
        assert_true(world_wait_all_alive(w, 30 * S));
        world_run(w, 100 * S);
        assert_true(world_all_alive(w));
        world_kill(w, 7);
        world_run(w, 30 * S);
        for (uint32_t i = 0; i < 10; i++)
            if (i != 7)
                assert_int_equal(world_state(w, i, 7), BRUIT_DEAD);
        world_free(w);
    }
}

/* What n1 says of itself under `key`, as `node` knows it; NULL: nothing. */
static bool knows(const struct world *w, uint32_t node, const char *key, const char *value)
{
    const struct bruit_engine *engine = w->nodes[node].engine;
    struct bruit_heartbeat_item item;
    int status = bruit_heartbeat_value(engine, bruit_member_find(engine, world_bytes("n1")), world_bytes(key), &item);
    if (value == NULL)
        return status == BRUIT_ENOENT;
    return status == 0 && br_bytes_equal(item.value, world_bytes(value));
}

static void set(struct world *w, const char *key, const char *value, uint32_t ttl)
{
    struct bruit_engine *engine = w->nodes[1].engine;
    if (value == NULL)
        assert_int_equal(bruit_heartbeat_delete(engine, world_bytes(key), w->now), 0);
    else
        assert_int_equal(bruit_heartbeat_set(engine, world_bytes(key), world_bytes(value), ttl, w->now), 0);
    world_settle(w, 1);
}

/* A member sets, changes and deletes keys of its own; everybody has them within seconds, and so has who joins later.
 * One of them ends by itself. When the member starts again, what it had said is gone. */
static void test_state_of_its_own_travels(void **state)
{
    struct world *w = beating_world(14);
    (void)state;
    world_cluster(w, 10);
    assert_true(world_wait_all_alive(w, 20 * S));
    set(w, "load", "0.3", 0);
    set(w, "disk", "70 %", 0);
    set(w, "lease", "mine", 15);
    set(w, "load", "0.4", 0);
    set(w, "disk", NULL, 0);
    world_run(w, 8 * S);
    uint32_t late = world_add(w);
    assert_int_equal(world_start(w, late), 0);
    assert_int_equal(world_join(w, late, 0), 0);
    world_run(w, 2 * S);
    for (uint32_t i = 0; i <= late; i++) {
        assert_true(knows(w, i, "load", "0.4"));
        assert_true(knows(w, i, "disk", NULL));
        assert_true(knows(w, i, "lease", "mine"));
    }
    world_run(w, 10 * S);
    for (uint32_t i = 0; i <= late; i++)
        assert_true(knows(w, i, "lease", NULL));
    world_kill(w, 1);
    w->nodes[1].config.heartbeat.generation = 2;
    assert_int_equal(world_start(w, 1), 0);
    assert_int_equal(world_join(w, 1, 0), 0);
    world_run(w, 8 * S);
    for (uint32_t i = 0; i <= late; i++)
        assert_true(knows(w, i, "load", NULL));
    world_free(w);
}

/* One member is stopped while another deletes a key, and sets and deletes so many others that it no longer remembers
 * the deletion. Let go on, the first is reset: the deleted key is gone there, too, and the live ones are there. */
static void test_who_is_older_than_the_floor_is_reset(void **state)
{
    struct world *w = beating_world(15);
    char key[16];
    (void)state;
    w->config.gossip_to_the_dead = 3600 * S;
    world_cluster(w, 5);
    assert_true(world_wait_all_alive(w, 20 * S));
    set(w, "gone", "still here", 0);
    set(w, "kept", "yes", 0);
    world_run(w, 8 * S);
    assert_true(knows(w, 3, "gone", "still here"));
    world_pause(w, 3);
    set(w, "gone", NULL, 0);
    for (unsigned i = 0; i < 200; i++) {
        snprintf(key, sizeof key, "k%u", i);
        set(w, key, "v", 0);
        set(w, key, NULL, 0);
    }
    world_run(w, 8 * S);
    world_resume(w, 3);
    world_run(w, 30 * S);
    for (uint32_t i = 0; i < 5; i++) {
        assert_true(knows(w, i, "gone", NULL));
        assert_true(knows(w, i, "kept", "yes"));
        assert_true(knows(w, i, "k199", NULL));
        struct bruit_heartbeat_info info;
        const struct bruit_engine *engine = w->nodes[i].engine;
        assert_int_equal(bruit_heartbeat_get(engine, bruit_member_find(engine, world_bytes("n1")), &info), 0);
        assert_int_equal(info.version, 1 + 2 + 1 + 400);
    }
    world_free(w);
}

/* 64 keys of 100 bytes are more than a datagram: they arrive in pieces, in order, and are all there in the end. */
static void test_more_state_than_a_datagram_arrives(void **state)
{
    struct world *w = beating_world(16);
    char key[16];
    (void)state;
    world_cluster(w, 5);
    assert_true(world_wait_all_alive(w, 20 * S));
    for (unsigned i = 0; i < 64; i++) {
        snprintf(key, sizeof key, "k%u", i);
        set(w, key, "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567", 0);
    }
    world_run(w, 60 * S);
    for (uint32_t i = 0; i < 5; i++) {
        const struct bruit_engine *engine = w->nodes[i].engine;
        struct bruit_heartbeat_item item;
        uint32_t at = 0;
        unsigned count = 0;
        while (bruit_heartbeat_next(engine, bruit_member_find(engine, world_bytes("n1")), &at, &item))
            count++;
        assert_int_equal(count, 64);
    }
    assert_int_equal(bruit_heartbeat_set(w->nodes[1].engine, world_bytes("one more"), world_bytes(""), 0, w->now),
                     BRUIT_EFULL);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_cluster_gathers_and_rests),
        cmocka_unit_test(test_a_crash_is_found_by_everybody),
        cmocka_unit_test(test_a_new_generation_wins_at_once),
        cmocka_unit_test(test_a_lost_counter_heals),
        cmocka_unit_test(test_a_goodbye_is_heard),
        cmocka_unit_test(test_who_was_stopped_accuses_nobody),
        cmocka_unit_test(test_metadata_travels),
        cmocka_unit_test(test_a_cut_cluster_grows_together),
        cmocka_unit_test(test_the_other_detector_is_refused),
        cmocka_unit_test(test_forgery_is_bounded),
        cmocka_unit_test(test_the_forgotten_stay_forgotten),
        cmocka_unit_test(test_loss_convicts_nobody),
        cmocka_unit_test(test_each_mode_works),
        cmocka_unit_test(test_state_of_its_own_travels),
        cmocka_unit_test(test_who_is_older_than_the_floor_is_reset),
        cmocka_unit_test(test_more_state_than_a_datagram_arrives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
