/*
 * What bruit speaks and Serf does not: members that carry a module of ours know each other, nobody else hears of it.
 *
 * A tiny module with a capability ("whisper") broadcasts one message, passes on what is new, and writes to a store.
 * Members without it stand for real Serf agents: they must never be sent a word of it.
 */
#include "support/world.h"

#include <bruit/module.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define S BRUIT_SECOND
#define MS BRUIT_MILLISECOND
#define TYPE 0xb7
#define BIT 64

struct whisper {
    struct bruit_host *host;
    uint32_t heard; /* messages, copies included */
    bool knows[256]; /* by the byte after the type */
    size_t longest;
    uint32_t peers; /* how often somebody turned out to be one, or not */
    uint64_t stored;
    int stored_status;
};

static int init(void *self, struct bruit_host *host)
{
    ((struct whisper *)self)->host = host;
    return 0;
}

static void on_message(void *self, struct bruit_bytes message, struct bruit_bytes body, const struct bruit_addr *from)
{
    struct whisper *w = self;
    (void)from;
    w->heard++;
    w->longest = body.size > w->longest ? body.size : w->longest;
    if (body.size == 0 || w->knows[body.data[0]])
        return;
    w->knows[body.data[0]] = true;
    if (body.size < 1000)
        (void)bruit_host_broadcast(w->host, message, 0);
}

static void on_member(void *self, bruit_node node, uint32_t changes)
{
    (void)node;
    ((struct whisper *)self)->peers += (changes & BRUIT_CHANGE_PEER) != 0;
}

static void on_stored(void *self, uint64_t token, int status)
{
    struct whisper *w = self;
    w->stored = token;
    w->stored_status = status;
}

static const uint8_t types[] = {TYPE};
static const struct bruit_module whisper_module = {
    .struct_size = sizeof(struct bruit_module),
    .name = "whisper",
    .state_size = sizeof(struct whisper),
    .message_types = types,
    .message_type_count = 1,
    .capability = BIT,
    .init = init,
    .on_message = on_message,
    .on_member = on_member,
    .on_stored = on_stored,
};
static const struct bruit_module *const modules[] = {&whisper_module};

static struct whisper *whisper_of(const struct world *w, uint32_t node)
{
    return bruit_engine_module(w->nodes[node].engine, &whisper_module);
}

/* `count` members, of whom each `every`-th carries the module (n0 does not, if every is above 1). */
static struct world *mixed_world(uint64_t seed, uint32_t count, uint32_t every)
{
    struct world *w = world_new(seed);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(world_add(w), i);
        w->nodes[i].config.modules = modules;
        w->nodes[i].config.module_count = i % every == every - 1;
        assert_int_equal(world_start(w, i), 0);
        if (i > 0)
            assert_int_equal(world_join(w, i, 0), 0);
        world_run(w, 100 * MS);
    }
    assert_true(world_wait_all_alive(w, 60 * S));
    return w;
}

static bool is_peer(const struct world *w, uint32_t a, uint32_t b)
{
    char name[16];
    snprintf(name, sizeof name, "n%u", b);
    bruit_node node = bruit_member_find(w->nodes[a].engine, world_bytes(name));
    return bruit_host_is_peer(whisper_of(w, a)->host, node);
}

static bool all_peers_are_known(const struct world *w)
{
    for (uint32_t a = 0; a < w->count; a++)
        for (uint32_t b = 0; b < w->count && w->nodes[a].config.module_count > 0; b++)
            if (is_peer(w, a, b) != (w->nodes[b].config.module_count > 0))
                return false;
    return true;
}

static void say(struct world *w, uint32_t node, uint8_t what)
{
    uint8_t message[2] = {TYPE, what};
    whisper_of(w, node)->knows[what] = true;
    assert_true(bruit_host_broadcast(whisper_of(w, node)->host, (struct bruit_bytes){message, 2}, 0) != 0);
    world_settle(w, node);
}

static uint32_t knowing(const struct world *w, uint8_t what)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < w->count; i++)
        if (w->nodes[i].config.module_count > 0)
            count += whisper_of(w, i)->knows[what];
    return count;
}

static uint64_t unclaimed(const struct world *w)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < w->count; i++)
        count += world_stats(w, i).drops[BRUIT_DROP_UNCLAIMED_MESSAGE];
    return count;
}

/* Everybody carries it: all know it as soon as they know each other, and a message takes the time of an event. */
static void test_a_cluster_of_ours_alone(void **state)
{
    (void)state;
    struct world *w = mixed_world(1, 30, 1);
    assert_true(all_peers_are_known(w));
    for (uint8_t what = 1; what <= 20; what++) {
        say(w, what, what);
        world_run(w, 100 * MS);
        assert_int_equal(knowing(w, what), 30);
    }
    world_free(w);
}

/* One in three carries it, and all have joined by one that does not: they find each other by and by, all of them. */
static void test_peers_among_strangers_find_each_other(void **state)
{
    (void)state;
    struct world *w = mixed_world(2, 30, 3);
    assert_true(world_wait(w, all_peers_are_known, 90 * S));
    for (uint8_t what = 1; what <= 20; what++) {
        say(w, 2 + 3 * (what % 10u), what);
        world_run(w, 300 * MS);
        assert_int_equal(knowing(w, what), 10);
    }
    assert_int_equal(unclaimed(w), 0);
    world_free(w);
}

/* The other detector tells identities in messages of its own, and what is carried with them. */
static void test_heartbeat_clusters_know_their_peers(void **state)
{
    (void)state;
    struct world *w = world_new(10);
    for (uint32_t i = 0; i < 12; i++) {
        assert_int_equal(world_add(w), i);
        w->nodes[i].config.detector = BRUIT_DETECTOR_HEARTBEAT;
        w->nodes[i].config.modules = modules;
        w->nodes[i].config.module_count = i % 3 != 0;
        assert_int_equal(world_start(w, i), 0);
        if (i > 0)
            assert_int_equal(world_join(w, i, 0), 0);
        world_run(w, 100 * MS);
    }
    assert_true(world_wait_all_alive(w, 60 * S));
    assert_true(world_wait(w, all_peers_are_known, 30 * S));
    say(w, 1, 1);
    world_run(w, 1 * S);
    assert_int_equal(knowing(w, 1), 8);
    assert_int_equal(unclaimed(w), 0);
    world_free(w);
}

/* In a cluster without such modules nothing on the wire is ours. */
static bool is_plain(const struct world *w, uint32_t from, uint32_t to, struct bruit_bytes packet)
{
    (void)w, (void)from, (void)to;
    assert_null(memmem(packet.data, packet.size, "Bruit", 5));
    return true;
}

static void test_without_the_module_the_wire_is_serfs(void **state)
{
    (void)state;
    struct world *w = world_new(3);
    w->passes = is_plain;
    world_cluster(w, 5);
    world_run(w, 60 * S);
    world_free(w);
}

/* It comes back as a program without the module, and while nobody noticed that it was gone: its first ack says so. */
static void test_who_comes_back_as_another_program_is_no_peer(void **state)
{
    (void)state;
    struct world *w = mixed_world(4, 4, 1);
    assert_true(is_peer(w, 1, 3));
    world_kill(w, 3);
    w->nodes[3].config.module_count = 0;
    assert_int_equal(world_start(w, 3), 0);
    assert_int_equal(world_join(w, 3, 0), 0);
    world_run(w, 10 * S);
    assert_false(is_peer(w, 1, 3));
    say(w, 1, 9);
    world_run(w, 2 * S);
    assert_int_equal(knowing(w, 9), 3);
    assert_int_equal(world_stats(w, 3).drops[BRUIT_DROP_UNCLAIMED_MESSAGE], 0);
    world_free(w);
}

/* A program of ours claims the name of a stranger, from another address: that does not make the stranger a peer. */
static void test_another_of_a_name_is_no_proof(void **state)
{
    (void)state;
    struct world *w = mixed_world(11, 4, 2); /* n1 and n3 carry it */
    assert_int_equal(world_add(w), 4);
    w->nodes[4].config.modules = modules;
    w->nodes[4].config.module_count = 1;
    w->nodes[4].config.name = world_bytes("n2");
    assert_int_equal(world_start(w, 4), 0);
    assert_int_equal(world_join(w, 4, 1), 0);
    for (int i = 0; i < 200; i++) { /* its own pings would put it right by and by */
        world_run(w, 5 * MS);
        assert_false(is_peer(w, 1, 2) || is_peer(w, 3, 2));
    }
    say(w, 1, 7);
    world_run(w, 2 * S);
    assert_int_equal(unclaimed(w), 0);
    world_free(w);
}

/* It is replaced at once by a program without the module, which learns that it was here, and goes above. */
static void test_a_new_incarnation_starts_from_nothing(void **state)
{
    (void)state;
    struct world *w = mixed_world(12, 4, 1);
    world_kill(w, 3);
    w->nodes[3].config.module_count = 0;
    w->nodes[3].config.meta = world_bytes("other");
    assert_int_equal(world_start(w, 3), 0);
    assert_int_equal(world_join(w, 3, 0), 0);
    world_run(w, 200 * MS);
    assert_false(is_peer(w, 0, 3) || is_peer(w, 1, 3) || is_peer(w, 2, 3));
    world_free(w);
}

/* What is said to nobody, or fits no packet, does not wait: the engine comes to rest. */
static void test_nothing_waits_for_nobody(void **state)
{
    (void)state;
    static uint8_t message[1400] = {TYPE, 1};
    struct world *w = mixed_world(5, 3, 3);
    struct bruit_host *host = whisper_of(w, 2)->host;
    assert_int_equal(bruit_host_broadcast(host, (struct bruit_bytes){message, 2}, 0), 0);
    world_free(w);
    w = mixed_world(6, 3, 1);
    host = whisper_of(w, 2)->host;
    size_t room = bruit_host_message_room(host);
    assert_int_equal(bruit_host_broadcast(host, (struct bruit_bytes){message, room + 1}, 0), 0);
    assert_true(bruit_host_broadcast(host, (struct bruit_bytes){message, room}, 0) != 0);
    world_settle(w, 2);
    world_run(w, 20 * S);
    assert_int_equal(bruit_host_queued(host, 0), 0);
    assert_true(whisper_of(w, 0)->knows[1] && whisper_of(w, 1)->knows[1]);
    uint64_t before = w->datagrams;
    world_run(w, 10 * S);
    assert_true(w->datagrams - before < 3 * 10 * 2 + 10); /* probes and their acks */
    world_free(w);
}

/* A long message takes a stream; too many at once, or too long ones, are refused. */
static void test_long_messages_take_a_stream(void **state)
{
    (void)state;
    static uint8_t message[BRUIT_STREAM_MESSAGE_MAX + 1] = {TYPE, 1};
    struct world *w = mixed_world(7, 2, 1);
    struct bruit_host *host = whisper_of(w, 0)->host;
    struct bruit_bytes bytes = {message, 65536 + 2};
    assert_int_equal(bruit_host_send_stream(host, &w->nodes[1].addr, bytes), 0);
    world_settle(w, 0);
    world_run(w, 1 * S);
    assert_int_equal(whisper_of(w, 1)->longest, 65536 + 1);
    bytes.size = sizeof message;
    assert_int_equal(bruit_host_send_stream(host, &w->nodes[1].addr, bytes), BRUIT_ETOOBIG);
    bytes.size = 100;
    for (int i = 0; i < BRUIT_MODULE_STREAMS_MAX; i++)
        assert_int_equal(bruit_host_send_stream(host, &w->nodes[1].addr, bytes), 0);
    assert_int_equal(bruit_host_send_stream(host, &w->nodes[1].addr, bytes), BRUIT_EFULL);
    world_settle(w, 0);
    world_run(w, 1 * S);
    assert_int_equal(whisper_of(w, 1)->heard, 1 + BRUIT_MODULE_STREAMS_MAX);
    assert_int_equal(bruit_host_send_stream(host, &w->nodes[1].addr, bytes), 0); /* there is room again */
    world_settle(w, 0);
    world_run(w, 1 * S);
    world_free(w);
}

static struct bruit_bytes text(const char *string)
{
    return world_bytes(string);
}

/* Writes come out in order, are readable until the next input, and are answered for together. */
static void test_writes_are_pulled_in_order(void **state)
{
    (void)state;
    struct world *w = world_new(8);
    struct bruit_store_op op;
    uint64_t token;
    w->config.modules = modules;
    w->config.module_count = 1;
    w->config.has_store = true;
    world_cluster(w, 1);
    struct bruit_engine *engine = w->nodes[0].engine;
    struct bruit_host *host = whisper_of(w, 0)->host;
    assert_false(bruit_next_store_op(engine, &op));
    assert_int_equal(bruit_host_store(host, text("a"), text("one"), &token), 0);
    assert_int_equal(bruit_host_store(host, text("b"), text(""), &token), 0);
    assert_int_equal(bruit_host_store(host, text("a"), (struct bruit_bytes){NULL, 0}, &token), 0);
    assert_int_equal(token, 3);
    struct bruit_store_op first;
    assert_true(bruit_next_store_op(engine, &first));
    assert_true(bruit_next_store_op(engine, &op));
    assert_int_equal(first.token, 1);
    assert_memory_equal(first.space.data, "whisper", first.space.size);
    assert_memory_equal(first.key.data, "a", 1);
    assert_memory_equal(first.value.data, "one", 3);
    assert_true(op.value.size == 0 && !op.is_delete);
    assert_true(bruit_next_store_op(engine, &op));
    assert_true(op.token == 3 && op.is_delete);
    assert_false(bruit_next_store_op(engine, &op));
    assert_int_equal(bruit_stored(engine, 2, 0, w->now), 0);
    assert_int_equal(whisper_of(w, 0)->stored, 2);
    assert_int_equal(bruit_stored(engine, 3, BRUIT_EIO, w->now), 0);
    assert_int_equal(whisper_of(w, 0)->stored_status, BRUIT_EIO);
    assert_int_equal(bruit_stored(engine, 4, 0, w->now), BRUIT_EINVAL); /* which was never given */
    world_free(w);
}

/* A host without a disk is told nothing; one that never pulls is bounded. */
static void test_writes_are_bounded(void **state)
{
    (void)state;
    static uint8_t value[1u << 20];
    struct world *w = world_new(9);
    uint64_t token;
    w->config.modules = modules;
    w->config.module_count = 1;
    world_cluster(w, 1);
    assert_int_equal(bruit_host_store(whisper_of(w, 0)->host, text("a"), text("b"), &token), BRUIT_ENOSYS);
    world_free(w);
    w = world_new(9);
    w->config.modules = modules;
    w->config.module_count = 1;
    w->config.has_store = true;
    world_cluster(w, 1);
    struct bruit_host *host = whisper_of(w, 0)->host;
    assert_int_equal(bruit_host_store(host, text(""), text("b"), &token), BRUIT_EINVAL);
    assert_int_equal(bruit_host_store(host, (struct bruit_bytes){value, 513}, text("b"), &token), BRUIT_EINVAL);
    for (int i = 0; i < 15; i++)
        assert_int_equal(bruit_host_store(host, text("a"), (struct bruit_bytes){value, sizeof value}, &token), 0);
    assert_int_equal(bruit_host_store(host, text("a"), (struct bruit_bytes){value, sizeof value}, &token),
                     BRUIT_EFULL);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_cluster_of_ours_alone),
        cmocka_unit_test(test_peers_among_strangers_find_each_other),
        cmocka_unit_test(test_heartbeat_clusters_know_their_peers),
        cmocka_unit_test(test_without_the_module_the_wire_is_serfs),
        cmocka_unit_test(test_who_comes_back_as_another_program_is_no_peer),
        cmocka_unit_test(test_another_of_a_name_is_no_proof),
        cmocka_unit_test(test_a_new_incarnation_starts_from_nothing),
        cmocka_unit_test(test_nothing_waits_for_nobody),
        cmocka_unit_test(test_long_messages_take_a_stream),
        cmocka_unit_test(test_writes_are_pulled_in_order),
        cmocka_unit_test(test_writes_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
