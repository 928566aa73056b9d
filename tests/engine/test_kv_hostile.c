/*
 * Key-value state and bad input: what is replayed, forged, too much or from the wrong time is refused or bounded, and
 * counted; nothing that was there is lost.
 */
#include "base/bytes.h"
#include "codec/kv.h"
#include "support/kv.h"
#include "support/peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S BRUIT_SECOND
#define MS BRUIT_MILLISECOND
#define YEAR (UINT64_C(365) * 24 * 3600 * S)

static uint64_t drops(const struct world *w, uint32_t node, enum bruit_drop reason)
{
    return kv_drops(w, node, reason);
}

/* A user message of ours, as whoever reaches the port can send it. */
static struct bruit_bytes begin(struct br_writer *w, uint8_t *buffer, size_t size, enum br_kv_kind kind)
{
    br_writer_init(w, buffer, size);
    br_write_u8(w, BR_USER);
    br_kv_write_head(w, 0xB1, kind);
    return br_writer_bytes(w);
}

static void say_write(struct peer *p, const struct br_kv_write *write)
{
    uint8_t buffer[1200];
    struct br_writer w;
    (void)begin(&w, buffer, sizeof buffer, BR_KV_WRITE);
    br_kv_write_tell(&w, &(struct br_kv_tell){0});
    br_kv_write_item(&w, write, true);
    assert_false(w.failed);
    peer_raw(p, br_writer_bytes(&w));
    assert_int_equal(peer_send(p), 0);
}

static void begin_session(struct br_writer *w, uint8_t *buffer, size_t size, enum br_kv_kind kind, uint64_t id,
                          uint8_t flags, const char *from)
{
    (void)begin(w, buffer, size, kind);
    br_kv_write_session(w, &(struct br_kv_session){.id = id, .flags = flags});
    br_write_u8(w, (uint8_t)strlen(from));
    br_write_bytes(w, world_bytes(from));
}

/* ---- the past ---- */

#define KEPT_MAX 4000
static struct {
    uint32_t to;
    struct bruit_addr from;
    size_t size;
    uint8_t bytes[1500];
} kept[KEPT_MAX];
static size_t kept_count;

static bool keep(const struct world *w, uint32_t from, uint32_t to, struct bruit_bytes packet)
{
    if (kept_count < KEPT_MAX && packet.size <= sizeof kept->bytes) {
        kept[kept_count].to = to;
        kept[kept_count].from = w->nodes[from].addr;
        kept[kept_count].size = packet.size;
        memcpy(kept[kept_count++].bytes, packet.data, packet.size);
    }
    return true;
}

/* Every datagram of an earlier time comes once more, old digests and deleted writes among them: nothing moves. */
static void test_replayed_packets_change_nothing(void **state)
{
    (void)state;
    struct world *w = kv_cluster(1, 4);
    kept_count = 0;
    w->passes = keep;
    for (uint32_t i = 0; i < 40; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%u", i);
        kv_put(w, i % 4, key, "first");
        world_run(w, 500 * MS);
    }
    w->passes = NULL;
    for (uint32_t i = 0; i < 40; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%u", i);
        if (i % 2 == 0)
            kv_delete(w, i % 3, key);
        else
            kv_put(w, i % 3, key, "second");
    }
    world_run(w, 120 * S);
    assert_true(kv_all_equal(w));
    uint64_t root = kv_stat(w, 0).root;
    assert_true(kept_count > 300);
    for (size_t i = 0; i < kept_count; i++) {
        struct bruit_engine *engine = w->nodes[kept[i].to].engine;
        (void)bruit_recv_datagram(engine, &kept[i].from, (struct bruit_bytes){kept[i].bytes, kept[i].size}, w->now);
        world_settle(w, kept[i].to);
        if (i % 50 == 0)
            world_run(w, 20 * MS);
    }
    world_run(w, 60 * S);
    assert_true(kv_all_equal(w));
    assert_true(kv_stat(w, 0).root == root);
    for (uint32_t i = 0; i < 40; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(kv_siblings(w, 1, key), i % 2);
    }
    world_free(w);
}

/* Somebody repeats an old digest, and asks for everything, a thousand times a second: the budget holds. */
static void test_questions_are_answered_within_the_budget(void **state)
{
    (void)state;
    struct world *w = kv_cluster(2, 3);
    for (uint32_t i = 0; i < 300; i++) {
        char key[8], value[101];
        snprintf(key, sizeof key, "k%u", i);
        snprintf(value, sizeof value, "%0100u", i);
        kv_put(w, 0, key, value);
        world_run(w, 10 * MS);
    }
    world_run(w, 30 * S);
    struct peer *p = peer_new(w, 0, "n1", 1); /* in the name of a member who carries the module */
    uint64_t before = kv_bytes_sent(w, 0);
    for (uint32_t i = 0; i < 10000; i++) {
        uint8_t buffer[1300];
        struct br_writer wr;
        begin_session(&wr, buffer, sizeof buffer, i % 2 == 0 ? BR_KV_WANT : BR_KV_DIGEST, i + 1, 0, "n1");
        if (i % 2 == 1)
            br_kv_write_digest(&wr, &(struct br_kv_digest){.root = 1, .context = 2, .actors = 3});
        for (uint32_t j = 0; i % 2 == 0 && j < 100; j++) {
            char key[8];
            snprintf(key, sizeof key, "k%u", (i + j) % 300);
            br_kv_write_want(&wr, &(struct br_kv_want){.key = world_bytes(key)});
        }
        assert_false(wr.failed);
        peer_raw(p, br_writer_bytes(&wr));
        assert_int_equal(peer_send(p), 0);
        world_run(w, 1 * MS);
    }
    world_run(w, 5 * S);
    uint64_t cost = kv_bytes_sent(w, 0) - before;
    assert_true(cost < 262144 * 17);
    assert_true(drops(w, 0, BRUIT_DROP_KV_BUSY) > 1000);
    assert_true(kv_all_equal(w));
    kv_put(w, 1, "still", "works");
    world_run(w, 1 * S);
    assert_true(kv_has(w, 0, "still", "works"));
    peer_free(p);
    world_free(w);
}

/* ---- clocks ---- */

/* One clock is an hour ahead, one a year, one a year behind: all agree, nothing is lost, and nobody's clock follows. */
static void test_wrong_clocks(void **state)
{
    (void)state;
    struct world *w = kv_cluster(3, 4);
    bruit_kv_wall_time(w->nodes[1].engine, UINT64_C(1700000000) * S + w->now + 3601 * S, w->now);
    bruit_kv_wall_time(w->nodes[2].engine, UINT64_C(1700000000) * S + w->now + YEAR, w->now);
    bruit_kv_wall_time(w->nodes[3].engine, UINT64_C(1700000000) * S + w->now - YEAR, w->now);
    for (uint32_t i = 0; i < 4; i++)
        kv_put(w, i, "k", "concurrent");
    kv_put(w, 2, "a", "from a year ahead");
    world_run(w, 2 * S);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(kv_siblings(w, i, "k"), 4);
    assert_true(kv_stat(w, 0).clock_ahead >= 2);
    kv_put(w, 3, "a", "seen, and replaced from a year behind");
    kv_put(w, 0, "k", "one");
    kv_put(w, 0, "stamp", "x");
    world_run(w, 2 * S);
    struct bruit_kv_entry entry;
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(kv_has(w, i, "a", "seen, and replaced from a year behind"));
        assert_true(kv_has(w, i, "k", "one"));
        assert_int_equal(kv_siblings(w, i, "k"), 1);
        assert_int_equal(bruit_kv_get(w->nodes[i].engine, world_bytes("stamp"), 0, &entry), 0);
        assert_true(entry.stamp < UINT64_C(1700000000) * S + w->now + 3600 * S);
    }
    assert_true(kv_all_equal(w));
    world_free(w);
}

/* ---- forgeries ---- */

/* Counters and stamps at the end of their numbers, dots of our own that we have not given. */
static void test_forged_counters(void **state)
{
    (void)state;
    struct world *w = kv_cluster(4, 3);
    struct peer *p = peer_new(w, 0, "x", 1);
    kv_put(w, 0, "mine", "1");
    world_run(w, 1 * S);
    uint64_t actor = kv_stat(w, 0).actor, malformed = drops(w, 0, BRUIT_DROP_MALFORMED);
    struct br_kv_write write = {.key = world_bytes("forged"), .value = world_bytes("x"), .hlc = UINT64_MAX};
    write.dot = (struct br_kv_dot){.actor = 77, .counter = UINT64_C(1) << 63};
    say_write(p, &write);
    assert_int_equal(drops(w, 0, BRUIT_DROP_MALFORMED), malformed + 1);
    assert_null(kv_get(w, 0, "forged"));
    write.dot.counter = UINT64_C(1) << 62; /* a number that is allowed, with a gap of all others before it */
    say_write(p, &write);
    assert_true(kv_has(w, 0, "forged", "x"));
    write.dot = (struct br_kv_dot){.actor = actor, .counter = 1000};
    write.key = world_bytes("mine");
    say_write(p, &write);
    assert_true(kv_has(w, 0, "mine", "1"));
    assert_int_equal(drops(w, 0, BRUIT_DROP_KV_IMPERSONATED), 1);
    assert_true(kv_stat(w, 0).actor != actor);
    kv_put(w, 0, "mine", "2");
    world_run(w, 30 * S);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(kv_has(w, i, "mine", "2"));
        assert_true(kv_has(w, i, "forged", "x"));
    }
    kv_put(w, 1, "forged", "replaced"); /* which saw the greatest stamp there is */
    world_run(w, 30 * S);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(kv_has(w, i, "forged", "replaced"));
    assert_true(kv_all_equal(w));
    peer_free(p);
    world_free(w);
}

/* Who is not known to carry the module gets no answer, whatever it asks. */
static void test_strangers_get_no_answer(void **state)
{
    (void)state;
    struct world *w = kv_cluster(5, 2);
    kv_put(w, 0, "k", "v");
    world_run(w, 20 * S);
    struct peer *p = peer_new(w, 0, "x", 1);
    uint8_t buffer[600];
    struct br_writer wr;
    uint64_t before = kv_bytes_sent(w, 0);
    begin_session(&wr, buffer, sizeof buffer, BR_KV_WANT, 5, 0, "x");
    br_kv_write_want(&wr, &(struct br_kv_want){.key = world_bytes("k")});
    peer_raw(p, br_writer_bytes(&wr));
    begin_session(&wr, buffer, sizeof buffer, BR_KV_DIGEST, 6, 0, "n0"); /* ourselves */
    br_kv_write_digest(&wr, &(struct br_kv_digest){0});
    peer_raw(p, br_writer_bytes(&wr));
    assert_int_equal(peer_send(p), 0);
    world_settle(w, 0);
    assert_int_equal(drops(w, 0, BRUIT_DROP_KV_STRANGER), 2);
    assert_int_equal(kv_bytes_sent(w, 0), before);
    peer_free(p);
    world_free(w);
}

/* ---- too much ---- */

/* A million keys from somebody: as many as keys_max allows are taken, the others are counted, and ours stay. */
static void test_a_million_keys(void **state)
{
    (void)state;
    struct world *w = kv_world(6);
    w->trace_level = BRUIT_TRACE_WARN;
    world_cluster(w, 3);
    struct bruit_kv_options options;
    bruit_kv_options_default(&options);
    options.keys_max = 5000;
    world_free(w);
    w = kv_world(6);
    w->trace_level = BRUIT_TRACE_WARN;
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t node = world_add(w);
        assert_int_equal(world_start(w, node), 0);
        assert_int_equal(bruit_kv_configure(w->nodes[node].engine, &options), 0);
        if (i > 0)
            assert_int_equal(world_join(w, node, 0), 0);
    }
    world_run(w, 5 * S);
    for (uint32_t i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof key, "ours%u", i);
        kv_put(w, i % 3, key, "v");
        world_run(w, 10 * MS);
    }
    world_run(w, 5 * S);
    struct peer *p = peer_new(w, 0, "x", 1);
    uint64_t memory = 0;
    for (uint32_t i = 0; i < 1000000; i++) {
        char key[16];
        snprintf(key, sizeof key, "spam%u", i);
        struct br_kv_write write = {
            .key = world_bytes(key), .value = world_bytes("x"), .hlc = i, .dot = {.actor = 9, .counter = i + 1}};
        if (i < 100000) {
            say_write(p, &write);
            continue;
        }
        uint8_t message[200];
        struct br_writer wr;
        br_writer_init(&wr, message, sizeof message);
        br_kv_write_head(&wr, 0xB1, BR_KV_WRITE);
        br_kv_write_tell(&wr, &(struct br_kv_tell){0});
        br_kv_write_item(&wr, &write, true);
        bruit_kv_module.on_message(bruit_engine_module(w->nodes[0].engine, &bruit_kv_module), br_writer_bytes(&wr),
                                   br_bytes(message + 1, br_writer_size(&wr) - 1), &p->addr);
        if (i == 500000)
            memory = world_stats(w, 0).memory;
    }
    assert_true(kv_stat(w, 0).keys <= 5000);
    assert_true(kv_stat(w, 0).is_incomplete);
    assert_true(world_stats(w, 0).memory <= memory + 65536);
    assert_true(drops(w, 0, BRUIT_DROP_KV_FULL) > 990000);
    char text[128];
    assert_int_equal(bruit_kv_put(w->nodes[0].engine, world_bytes("more"), world_bytes("x"), NULL, NULL, w->now),
                     BRUIT_EFULL);
    assert_int_equal(
        bruit_kv_check(w->nodes[0].engine, world_bytes("more"), world_bytes("x"), text, sizeof text), BRUIT_EFULL);
    assert_string_equal(text, "the store is full: keys_max is 5000 keys");
    world_run(w, 60 * S);
    for (uint32_t i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof key, "ours%u", i);
        for (uint32_t j = 0; j < 3; j++)
            assert_true(kv_has(w, j, key, "v"));
    }
    kv_put(w, 1, "ours1", "w"); /* a key that is there can be written */
    world_run(w, 30 * S);
    for (uint32_t j = 0; j < 3; j++)
        assert_true(kv_has(w, j, "ours1", "w"));
    uint64_t before = kv_bytes_sent(w, 0) + kv_bytes_sent(w, 1) + kv_bytes_sent(w, 2);
    world_run(w, 600 * S);
    uint64_t cost = kv_bytes_sent(w, 0) + kv_bytes_sent(w, 1) + kv_bytes_sent(w, 2) - before;
    printf("three stores that are full of different keys: %llu bytes/s each\n", (unsigned long long)cost / 1800);
    assert_true(cost / 1800 < 262144);
    peer_free(p);
    world_free(w);
}

/* 65 concurrent siblings: the bound holds, and one that has seen the others makes room. */
static void test_siblings_are_bounded(void **state)
{
    (void)state;
    struct world *w = kv_cluster(7, 2);
    struct bruit_kv_write how = {.struct_size = sizeof how, .mode = BRUIT_KV_SEEN};
    for (uint32_t i = 0; i < 64; i++)
        assert_int_equal(kv_put_how(w, i % 2, "k", "v", &how, NULL), 0);
    assert_int_equal(kv_put_how(w, 0, "l", "v", &how, NULL), 0);
    world_run(w, 5 * S);
    assert_int_equal(kv_siblings(w, 1, "k"), 64);
    assert_int_equal(kv_put_how(w, 0, "k", "v", &how, NULL), BRUIT_EFULL);
    kv_put(w, 1, "k", "all");
    world_run(w, 5 * S);
    assert_int_equal(kv_siblings(w, 0, "k"), 1);
    world_free(w);
}

/* Messages of every kind, real ones with a byte changed or cut: no crash, and what is written later still arrives. */
static void test_mutated_messages(void **state)
{
    (void)state;
    struct world *w = kv_cluster(8, 3);
    struct br_rng rng;
    br_rng_init(&rng, test_seed(), "mutate");
    kept_count = 0;
    w->passes = keep;
    for (uint32_t i = 0; i < 60; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%u", i % 20);
        kv_put(w, i % 3, key, "value");
        world_run(w, 300 * MS);
    }
    w->passes = NULL;
    for (size_t i = 0; i < 60000; i++) {
        size_t at = br_rng_below(&rng, (uint32_t)kept_count), size = kept[at].size;
        uint8_t bytes[1500];
        memcpy(bytes, kept[at].bytes, size);
        if (memchr(bytes, 0xB1, size) == NULL)
            continue;
        bytes[br_rng_below(&rng, (uint32_t)size)] = (uint8_t)br_rng_u64(&rng);
        if (i % 5 == 0)
            size = br_rng_below(&rng, (uint32_t)size);
        (void)bruit_recv_datagram(w->nodes[kept[at].to].engine, &kept[at].from, (struct bruit_bytes){bytes, size},
                                  w->now);
        world_settle(w, kept[at].to);
        if (i % 1000 == 0)
            world_run(w, 100 * MS);
    }
    world_run(w, 60 * S);
    /* Two writes that bear one dot cannot be told apart: who can change packets can do that. All else goes on. */
    for (uint32_t i = 0; i < 30; i++) {
        char key[12];
        snprintf(key, sizeof key, "after%u", i);
        kv_put(w, i % 3, key, "value");
    }
    world_run(w, 60 * S);
    for (uint32_t i = 0; i < 30; i++) {
        char key[12];
        snprintf(key, sizeof key, "after%u", i);
        for (uint32_t j = 0; j < 3; j++)
            assert_true(kv_has(w, j, key, "value"));
    }
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replayed_packets_change_nothing),
        cmocka_unit_test(test_questions_are_answered_within_the_budget),
        cmocka_unit_test(test_wrong_clocks),
        cmocka_unit_test(test_forged_counters),
        cmocka_unit_test(test_strangers_get_no_answer),
        cmocka_unit_test(test_a_million_keys),
        cmocka_unit_test(test_siblings_are_bounded),
        cmocka_unit_test(test_mutated_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
