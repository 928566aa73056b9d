/*
 * Replicated key-value state: what one member writes all of them have, whatever the network does meanwhile.
 *
 * A small cluster of members with the module, on a network that loses, delays and cuts; disks that keep, lag or fail.
 */
#include "base/bytes.h"
#include "codec/kv.h"
#include "support/kv.h"
#include "support/peer.h"

#include <bruit/kv.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S BRUIT_SECOND
#define MS BRUIT_MILLISECOND

static const struct bruit_module *const plain_modules[] = {&bruit_status_module};

/* ---- spreading ---- */

/* One of eight writes a key: all have it within half a second, by gossip alone, and once. */
static void test_a_write_reaches_all(void **state)
{
    (void)state;
    struct world *w = kv_cluster(1, 8);
    kv_put(w, 3, "colour", "green");
    assert_true(kv_has(w, 3, "colour", "green"));
    world_run(w, 1 * S);
    for (uint32_t i = 0; i < 8; i++) {
        assert_true(kv_has(w, i, "colour", "green"));
        assert_int_equal(kv_siblings(w, i, "colour"), 1);
        assert_int_equal(kv_stat(w, i).merged, i == 3 ? 0 : 1);
    }
    assert_true(kv_all_equal(w));
    kv_put(w, 5, "colour", "blue"); /* which has seen the other */
    world_run(w, 1 * S);
    for (uint32_t i = 0; i < 8; i++) {
        assert_true(kv_has(w, i, "colour", "blue"));
        assert_int_equal(kv_siblings(w, i, "colour"), 1);
    }
    world_free(w);
}

/* Of five, two carry no such module: they are sent nothing of it, and drop nothing. */
static void test_members_without_the_module_hear_nothing(void **state)
{
    (void)state;
    struct world *w = kv_world(2);
    for (uint32_t i = 0; i < 5; i++) {
        uint32_t node = world_add(w);
        if (i >= 3) {
            w->nodes[node].config.modules = plain_modules;
            w->nodes[node].config.module_count = 1;
        }
        assert_int_equal(world_start(w, node), 0);
        if (i > 0)
            assert_int_equal(world_join(w, node, 0), 0);
        world_run(w, 100 * MS);
    }
    assert_true(world_wait_all_alive(w, 5 * S));
    world_run(w, 3 * S);
    char big[9000] = {0};
    memset(big, 'x', sizeof big - 1);
    for (uint32_t i = 0; i < 20; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%u", i);
        kv_put(w, i % 3, key, i % 5 == 0 ? big : "v");
        world_run(w, 200 * MS);
    }
    world_run(w, 30 * S);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(kv_stat(w, i).keys, 20);
        assert_int_equal(kv_stat(w, i).peers, 2);
        assert_int_equal(kv_stat(w, i).sync, BRUIT_KV_EQUAL);
    }
    for (uint32_t i = 3; i < 5; i++)
        assert_int_equal(kv_drops(w, i, BRUIT_DROP_UNCLAIMED_MESSAGE), 0);
    world_free(w);
}

/* Two write the same key in one moment: both values are kept everywhere, and all show the same winner. */
static void test_concurrent_writes_are_siblings(void **state)
{
    (void)state;
    struct world *w = kv_cluster(3, 6);
    kv_put(w, 1, "leader", "one");
    kv_put(w, 4, "leader", "four");
    world_run(w, 2 * S);
    const char *winner = kv_get(w, 0, "leader");
    assert_non_null(winner);
    char first[16];
    snprintf(first, sizeof first, "%s", winner);
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(kv_siblings(w, i, "leader"), 2);
        assert_true(kv_has(w, i, "leader", first));
    }
    struct bruit_kv_entry entry;
    assert_int_equal(bruit_kv_get(w->nodes[2].engine, world_bytes("leader"), 1, &entry), 0);
    assert_int_equal(entry.sibling, 1);
    assert_int_equal(bruit_kv_get(w->nodes[2].engine, world_bytes("leader"), 2, &entry), BRUIT_ENOENT);
    /* A program resolves them: what it has seen goes, and nothing else. */
    assert_int_equal(bruit_kv_get(w->nodes[2].engine, world_bytes("leader"), 0, &entry), 0);
    uint8_t seen[256];
    memcpy(seen, entry.seen.data, entry.seen.size);
    struct bruit_kv_write how = {.struct_size = sizeof how,
                                 .mode = BRUIT_KV_SEEN,
                                 .seen = {.data = seen, .size = entry.seen.size}};
    assert_int_equal(kv_put_how(w, 2, "leader", "one and four", &how, NULL), 0);
    world_run(w, 2 * S);
    for (uint32_t i = 0; i < 6; i++) {
        assert_true(kv_has(w, i, "leader", "one and four"));
        assert_int_equal(kv_siblings(w, i, "leader"), 1);
    }
    world_free(w);
}

/* A write that names what it has seen leaves what came meanwhile as a sibling. */
static void test_what_was_not_seen_stays(void **state)
{
    (void)state;
    struct world *w = kv_cluster(4, 3);
    kv_put(w, 0, "k", "a");
    world_run(w, 1 * S);
    struct bruit_kv_entry entry;
    uint8_t seen[64];
    assert_int_equal(bruit_kv_get(w->nodes[1].engine, world_bytes("k"), 0, &entry), 0);
    assert_int_equal(entry.seen.size, 16);
    memcpy(seen, entry.seen.data, entry.seen.size);
    kv_put(w, 0, "k", "b");
    world_run(w, 1 * S);
    struct bruit_kv_write how = {.struct_size = sizeof how, .mode = BRUIT_KV_SEEN, .seen = {seen, 16}};
    assert_int_equal(kv_put_how(w, 1, "k", "c", &how, NULL), 0);
    world_run(w, 1 * S);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(kv_siblings(w, i, "k"), 2);
    how.seen.size = 15;
    assert_int_equal(kv_put_how(w, 1, "k", "c", &how, NULL), BRUIT_EINVAL);
    world_free(w);
}

/* Compare-and-set succeeds with the version that is here, not with an older one, and with 0 only if there is none. */
static void test_compare_and_set(void **state)
{
    (void)state;
    struct world *w = kv_cluster(5, 3);
    struct bruit_kv_write how = {.struct_size = sizeof how, .mode = BRUIT_KV_COMPARE};
    assert_int_equal(kv_put_how(w, 0, "lock", "held", &how, NULL), 0);
    assert_int_equal(kv_put_how(w, 0, "lock", "again", &how, NULL), BRUIT_ECHANGED);
    world_run(w, 1 * S);
    struct bruit_kv_entry entry;
    assert_int_equal(bruit_kv_get(w->nodes[2].engine, world_bytes("lock"), 0, &entry), 0);
    how.version = entry.version;
    kv_put(w, 1, "lock", "stolen");
    world_run(w, 1 * S);
    assert_int_equal(kv_put_how(w, 2, "lock", "mine", &how, NULL), BRUIT_ECHANGED);
    assert_int_equal(bruit_kv_get(w->nodes[2].engine, world_bytes("lock"), 0, &entry), 0);
    how.version = entry.version;
    assert_int_equal(kv_put_how(w, 2, "lock", "mine", &how, NULL), 0);
    assert_true(kv_has(w, 2, "lock", "mine"));
    world_free(w);
}

/* ---- deleting ---- */

/* A member that is away during a delete still has the value; it does not come back from there. */
static void test_a_delete_stays_deleted_after_a_partition(void **state)
{
    (void)state;
    struct world *w = kv_cluster(6, 6);
    kv_put(w, 0, "old", "value");
    kv_put(w, 0, "kept", "value");
    world_run(w, 2 * S);
    world_partition(w, 5, true);
    kv_delete(w, 1, "old");
    world_run(w, 180 * S); /* tombstones are forgotten by now */
    assert_true(kv_has(w, 5, "old", "value"));
    assert_int_equal(kv_stat(w, 1).tombstones, 0);
    kv_put(w, 5, "new", "from the other side");
    world_partition(w, 5, false);
    world_run(w, 60 * S);
    for (uint32_t i = 0; i < 6; i++) {
        assert_null(kv_get(w, i, "old"));
        assert_true(kv_has(w, i, "kept", "value"));
        assert_true(kv_has(w, i, "new", "from the other side"));
    }
    assert_true(kv_all_equal(w));
    world_free(w);
}

/* ---- large values ---- */

/* 64 KiB go over streams to everybody; one byte more is refused with the limit in the sentence. */
static void test_a_value_of_64_kib_goes_over_a_stream(void **state)
{
    (void)state;
    struct world *w = kv_cluster(7, 5);
    uint8_t *value = malloc(BRUIT_KV_VALUE_MAX + 1);
    char text[128];
    for (size_t i = 0; i < BRUIT_KV_VALUE_MAX + 1; i++)
        value[i] = (uint8_t)(i * 7);
    struct bruit_engine *engine = w->nodes[2].engine;
    struct bruit_bytes whole = {value, BRUIT_KV_VALUE_MAX}, more = {value, BRUIT_KV_VALUE_MAX + 1};
    assert_int_equal(bruit_kv_put(engine, world_bytes("big"), more, NULL, NULL, w->now), BRUIT_ETOOBIG);
    assert_int_equal(bruit_kv_check(engine, world_bytes("big"), more, text, sizeof text), BRUIT_ETOOBIG);
    assert_string_equal(text, "the value is too large: the limit is 65536 bytes");
    assert_int_equal(bruit_kv_put(engine, world_bytes("big"), whole, NULL, NULL, w->now), 0);
    world_settle(w, 2);
    world_run(w, 5 * S);
    for (uint32_t i = 0; i < 5; i++) {
        struct bruit_kv_entry entry;
        assert_int_equal(bruit_kv_get(w->nodes[i].engine, world_bytes("big"), 0, &entry), 0);
        assert_int_equal(entry.value.size, BRUIT_KV_VALUE_MAX);
        assert_memory_equal(entry.value.data, value, BRUIT_KV_VALUE_MAX);
    }
    free(value);
    world_free(w);
}

/* ---- comparing ---- */

/* Who joins later gets all that is there, over several rounds of a budget. */
static void test_a_newcomer_gets_everything(void **state)
{
    (void)state;
    struct world *w = kv_cluster(8, 3);
    for (uint32_t i = 0; i < 3000; i++) {
        char key[16];
        snprintf(key, sizeof key, "key%u", i);
        kv_put(w, i % 3, key, "some value that is about as long as values are");
        if (i % 10 == 0)
            world_run(w, 20 * MS);
    }
    world_run(w, 30 * S);
    assert_true(kv_all_equal(w));
    uint32_t late = world_add(w);
    assert_int_equal(world_start(w, late), 0);
    assert_int_equal(world_join(w, late, 0), 0);
    world_run(w, 20 * S);
    assert_int_equal(kv_stat(w, late).keys, 3000);
    assert_true(kv_all_equal(w));
    world_free(w);
}

/* What all members sent since `before`, in whole packets and streams. */
static uint64_t traffic(const struct world *w)
{
    return w->datagram_bytes + w->stream_bytes;
}

static void fill(struct world *w, uint32_t node, uint32_t count)
{
    char key[24], value[65];
    for (uint32_t i = 0; i < count; i++) {
        snprintf(key, sizeof key, "some/key/%08u", i);
        snprintf(value, sizeof value, "%064u", i);
        assert_int_equal(bruit_kv_put(w->nodes[node].engine, world_bytes(key), world_bytes(value), NULL, NULL, w->now),
                         0);
        if (i % 200 == 0)
            world_run(w, 2 * MS);
    }
}

/*
 * Two hold 100,000 keys. One is cut off while the other changes 100 of them, deletes ten and adds ten: when it is
 * back, all that both send to become equal is below 50 KB.
 */
static void test_catching_up_costs_what_differs(void **state)
{
    (void)state;
    struct world *w = kv_cluster(9, 2);
    fill(w, 0, 100000);
    for (int i = 0; i < 60 && !kv_all_equal(w); i++)
        world_run(w, 10 * S);
    assert_true(kv_all_equal(w));
    assert_int_equal(kv_stat(w, 1).keys, 100000);
    world_run(w, 60 * S);
    world_cut(w, 0, 1, true);
    for (uint32_t i = 0; i < 100; i++) {
        char key[24], value[65];
        snprintf(key, sizeof key, "some/key/%08u", i * 997);
        snprintf(value, sizeof value, "%064u", i + 1);
        kv_put(w, 0, key, value);
    }
    for (uint32_t i = 0; i < 10; i++) {
        char key[24];
        snprintf(key, sizeof key, "some/key/%08u", i * 991 + 1);
        kv_delete(w, 0, key);
    }
    world_run(w, 3600 * S);
    assert_false(kv_all_equal(w));
    assert_int_equal(world_join(w, 1, 0), 0);
    world_cut(w, 0, 1, false);
    assert_int_equal(world_join(w, 1, 0), 0);
    uint64_t before = kv_bytes_sent(w, 0) + kv_bytes_sent(w, 1), all = traffic(w);
    for (int i = 0; i < 30 && !kv_all_equal(w); i++)
        world_run(w, 1 * S);
    assert_true(kv_all_equal(w));
    world_run(w, 30 * S); /* contexts, too */
    uint64_t cost = kv_bytes_sent(w, 0) + kv_bytes_sent(w, 1) - before;
    printf("catching up with 110 changes among 100,000 keys: %llu bytes of messages, %llu in all with membership\n",
           (unsigned long long)cost, (unsigned long long)(traffic(w) - all));
    assert_true(cost < 50000);
    assert_int_equal(kv_stat(w, 0).sync, BRUIT_KV_EQUAL);
    assert_int_equal(kv_stat(w, 1).sync, BRUIT_KV_EQUAL);
    before = kv_bytes_sent(w, 0) + kv_bytes_sent(w, 1);
    world_run(w, 100 * S);
    cost = kv_bytes_sent(w, 0) + kv_bytes_sent(w, 1) - before;
    printf("at rest: %llu bytes of messages a node in 100 s\n", (unsigned long long)cost / 2);
    assert_true(cost / 2 < 100 * 20);
    world_free(w);
}

/* ---- acknowledgements ---- */

/* A write that three are to hold is done when three do, and says how many did when they do not. */
static void test_held_by_k(void **state)
{
    (void)state;
    struct world *w = kv_cluster(10, 5);
    uint32_t request = 0;
    struct bruit_kv_write how = {.struct_size = sizeof how, .ack = 3};
    assert_int_equal(kv_put_how(w, 0, "k", "v", &how, &request), 0);
    assert_null(kv_done(0, request));
    world_run(w, 200 * MS);
    assert_non_null(kv_done(0, request));
    assert_int_equal(kv_done(0, request)->error, 0);
    assert_int_equal(kv_done(0, request)->held, 3);
    world_partition(w, 2, true); /* n0 and n1 alone */
    assert_int_equal(kv_put_how(w, 0, "k", "w", &how, &request), 0);
    world_run(w, 4900 * MS);
    assert_null(kv_done(0, request));
    world_run(w, 200 * MS);
    assert_int_equal(kv_done(0, request)->error, BRUIT_ETIMEOUT);
    assert_int_equal(kv_done(0, request)->held, 2);
    assert_int_equal(kv_done(0, request)->wanted, 3);
    assert_int_equal(kv_stat(w, 0).requests, 0);
    world_partition(w, 2, false);
    world_run(w, 60 * S);
    assert_true(kv_has(w, 4, "k", "w")); /* late is not lost */
    how.ack = BRUIT_KV_ACK_MAX + 1;
    assert_int_equal(kv_put_how(w, 0, "k", "w", &how, &request), BRUIT_EINVAL);
    world_free(w);
}

/* Half of all packets are lost: it takes longer, and the answer is still right. */
static void test_held_by_k_through_loss(void **state)
{
    (void)state;
    struct world *w = kv_cluster(11, 6);
    w->loss = 300;
    struct bruit_kv_write how = {.struct_size = sizeof how, .ack = 4, .ack_timeout = 20 * S};
    for (uint32_t i = 0; i < 20; i++) {
        uint32_t request;
        char key[8];
        snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(kv_put_how(w, i % 6, key, "v", &how, &request), 0);
        world_run(w, 8 * S);
        assert_non_null(kv_done(i % 6, request));
        assert_int_equal(kv_done(i % 6, request)->error, 0);
        uint32_t count = 0;
        for (uint32_t j = 0; j < 6; j++)
            count += kv_has(w, j, key, "v");
        assert_true(count >= 4);
    }
    world_free(w);
}

/* ---- lifetimes ---- */

/* A value with a time to live is shown until then, everywhere, and is gone from all stores a little later. */
static void test_a_value_expires(void **state)
{
    (void)state;
    struct world *w = kv_cluster(12, 4);
    struct bruit_kv_write how = {.struct_size = sizeof how, .lifetime = BRUIT_KV_EXPIRES, .ttl = 20 * S};
    assert_int_equal(kv_put_how(w, 1, "session", "x", &how, NULL), 0);
    world_run(w, 19 * S);
    for (uint32_t i = 0; i < 4; i++)
        assert_true(kv_has(w, i, "session", "x"));
    world_run(w, 1500 * MS);
    for (uint32_t i = 0; i < 4; i++)
        assert_null(kv_get(w, i, "session"));
    world_run(w, 1 * S);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(kv_stat(w, i).keys, 0); /* and not only hidden */
    how.ttl = 0;
    assert_int_equal(kv_put_how(w, 1, "session", "x", &how, NULL), BRUIT_EINVAL);
    world_free(w);
}

/* Its writer is gone when it expires: somebody else removes it, once. */
static void test_a_value_expires_without_its_writer(void **state)
{
    (void)state;
    struct world *w = kv_cluster(13, 4);
    struct bruit_kv_write how = {.struct_size = sizeof how, .lifetime = BRUIT_KV_EXPIRES, .ttl = 20 * S};
    assert_int_equal(kv_put_how(w, 1, "session", "x", &how, NULL), 0);
    world_run(w, 5 * S);
    world_kill(w, 1);
    world_run(w, 16 * S);
    for (uint32_t i = 0; i < 4; i++)
        if (i != 1)
            assert_null(kv_get(w, i, "session"));
    world_run(w, 30 * S);
    for (uint32_t i = 0; i < 4; i++)
        if (i != 1)
            assert_int_equal(kv_stat(w, i).keys, 0);
    assert_true(kv_all_equal(w));
    world_free(w);
}

/* What belongs to a member goes some time after it does, and stays while it lives. */
static void test_a_value_dies_with_its_owner(void **state)
{
    (void)state;
    struct world *w = kv_cluster(14, 5);
    struct bruit_kv_write how = {.struct_size = sizeof how, .lifetime = BRUIT_KV_OWNED};
    assert_int_equal(kv_put_how(w, 2, "service/a", "n2:80", &how, NULL), 0);
    how.owner = world_bytes("n3");
    assert_int_equal(kv_put_how(w, 2, "service/b", "n3:80", &how, NULL), 0);
    how.owner = world_bytes("nobody");
    assert_int_equal(kv_put_how(w, 2, "service/c", "?", &how, NULL), BRUIT_ENOENT);
    world_run(w, 60 * S);
    assert_true(kv_has(w, 4, "service/a", "n2:80"));
    world_kill(w, 2);
    assert_true(world_wait_state(w, 4, 2, BRUIT_DEAD, 60 * S));
    world_run(w, 20 * S);
    assert_true(kv_has(w, 4, "service/a", "n2:80"));
    world_run(w, 50 * S);
    for (uint32_t i = 0; i < 5; i++)
        if (i != 2) {
            assert_null(kv_get(w, i, "service/a"));
            assert_true(kv_has(w, i, "service/b", "n3:80"));
        }
    assert_true(kv_all_equal(w));
    world_free(w);
}

/* ---- watching ---- */

/* From a cursor each change is told; who fell behind, or comes from another life, is told that there is a gap. */
static void test_changes_from_a_cursor(void **state)
{
    (void)state;
    struct world *w = kv_world(15);
    world_cluster(w, 2);
    struct bruit_kv_options options;
    bruit_kv_options_default(&options);
    world_run(w, 5 * S);
    struct bruit_engine *engine = w->nodes[1].engine;
    struct bruit_kv_change change;
    assert_true(bruit_kv_next_change(engine, 0, world_bytes(""), &change));
    assert_true(change.is_gap);
    uint64_t cursor = change.cursor;
    assert_false(bruit_kv_next_change(engine, cursor, world_bytes(""), &change));
    size_t before = world_events(w, 1, BRUIT_EVENT_KV_CHANGED, NULL, 0);
    kv_put(w, 0, "a/1", "x");
    kv_put(w, 0, "b/1", "x");
    kv_put(w, 0, "a/2", "x");
    world_run(w, 1 * S);
    assert_int_equal(world_events(w, 1, BRUIT_EVENT_KV_CHANGED, NULL, 0), before + 1);
    char keys[64] = "";
    while (bruit_kv_next_change(engine, cursor, world_bytes("a/"), &change)) {
        assert_false(change.is_gap);
        strncat(keys, (const char *)change.key.data, change.key.size);
        cursor = change.cursor;
    }
    assert_int_equal(strlen(keys), 6);
    assert_non_null(strstr(keys, "a/1"));
    assert_non_null(strstr(keys, "a/2"));
    cursor = change.cursor; /* past b/1 */
    kv_delete(w, 0, "a/1");
    world_run(w, 1 * S);
    assert_int_equal(world_events(w, 1, BRUIT_EVENT_KV_CHANGED, NULL, 0), before + 2);
    assert_true(bruit_kv_next_change(engine, cursor, world_bytes(""), &change));
    assert_memory_equal(change.key.data, "a/1", 3);
    uint64_t old = cursor;
    for (uint32_t i = 0; i < 5000; i++)
        kv_put(w, 1, "busy", "x");
    assert_true(bruit_kv_next_change(engine, old, world_bytes(""), &change));
    assert_true(change.is_gap);
    assert_false(bruit_kv_next_change(engine, change.cursor, world_bytes(""), &change));
    assert_true(bruit_kv_next_change(engine, change.cursor + 1000, world_bytes(""), &change));
    assert_true(change.is_gap);
    world_free(w);
}

/* A walk shows each key once, in order, with a prefix and from anywhere. */
static void test_a_walk_by_prefix(void **state)
{
    (void)state;
    struct world *w = kv_world(16);
    world_cluster(w, 1);
    const char *names[] = {"b", "a/2", "a/10", "a", "c", "a/1", "a0"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        kv_put(w, 0, names[i], "v");
    struct bruit_kv_entry entry = {0};
    char all[64] = "";
    while (bruit_kv_list(w->nodes[0].engine, world_bytes("a/"), entry.key, &entry)) {
        strncat(all, (const char *)entry.key.data, entry.key.size);
        strcat(all, " ");
    }
    assert_string_equal(all, "a/1 a/10 a/2 ");
    all[0] = '\0';
    entry.key = world_bytes("");
    while (bruit_kv_list(w->nodes[0].engine, world_bytes(""), entry.key, &entry)) {
        strncat(all, (const char *)entry.key.data, entry.key.size);
        strcat(all, " ");
    }
    assert_string_equal(all, "a a/1 a/10 a/2 a0 b c ");
    assert_false(bruit_kv_list(w->nodes[0].engine, world_bytes("a/"), world_bytes("b"), &entry));
    world_free(w);
}

/* ---- little ---- */

/* Equal stores at rest: a small digest now and then, no memory asked for but the packets' own, and no change. */
static void test_at_rest(void **state)
{
    (void)state;
    struct world *w = kv_cluster(17, 4);
    for (uint32_t i = 0; i < 50; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%u", i);
        kv_put(w, i % 4, key, "v");
        world_run(w, 50 * MS);
    }
    world_run(w, 60 * S);
    uint64_t root = kv_stat(w, 0).root, sent = 0, memory[4];
    for (uint32_t i = 0; i < 4; i++) {
        sent -= kv_bytes_sent(w, i);
        memory[i] = world_stats(w, i).memory;
    }
    world_run(w, 1000 * S);
    for (uint32_t i = 0; i < 4; i++) {
        sent += kv_bytes_sent(w, i);
        assert_true(world_stats(w, i).memory <= memory[i] + 4096);
        assert_int_equal(kv_stat(w, i).sync, BRUIT_KV_EQUAL);
    }
    printf("four at rest: %.1f bytes/s each\n", (double)sent / 4000);
    assert_true(sent / 4000 < 16);
    assert_true(kv_stat(w, 0).root == root);
    world_free(w);
}

static void grind(struct world *w)
{
    char big[6000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    for (uint32_t i = 0; i < 24; i++) {
        char key[8];
        uint32_t request;
        struct bruit_kv_write how = {.struct_size = sizeof how, .ack = i % 3};
        snprintf(key, sizeof key, "k%u", i % 7);
        if (i % 6 == 5)
            (void)bruit_kv_delete(w->nodes[i % 3].engine, world_bytes(key), NULL, NULL, w->now);
        else
            (void)kv_put_how(w, i % 3, key, i % 8 == 7 ? big : "v", &how, &request);
        world_settle(w, i % 3);
        world_run(w, 40 * MS);
        if (i == 8)
            world_partition(w, 1, true);
        if (i == 16)
            world_partition(w, 1, false);
    }
    world_run(w, 20 * S);
}

/* Runs the story with the allocation of that number refused (0: none); returns how many there were. */
static uint64_t grind_without(uint64_t at, bool has_disks)
{
    struct world *w = kv_world(18);
    w->trace_level = BRUIT_TRACE_OFF;
    w->has_disks = has_disks;
    w->config.has_store = has_disks;
    world_cluster(w, 3);
    world_run(w, 3 * S);
    uint64_t before = w->nodes[0].memory.count;
    w->nodes[0].memory.fail_at = at == 0 ? 0 : before + at;
    grind(w);
    uint64_t count = w->nodes[0].memory.count - before;
    for (int i = 0; i < 12 && !kv_all_equal(w); i++)
        world_run(w, 10 * S);
    if (!kv_all_equal(w) || kv_stat(w, 0).requests != 0)
        print_error("the allocation %llu, %s\n", (unsigned long long)at, has_disks ? "with disks" : "without");
    assert_true(kv_all_equal(w));
    assert_int_equal(kv_stat(w, 0).requests, 0);
    world_free(w);
    return count;
}

/* Every allocation of one member fails once, in turn, with and without a disk: all end equal, and nothing leaks. */
static void test_memory_that_runs_out(void **state)
{
    (void)state;
    for (int has_disks = 0; has_disks < 2; has_disks++) {
        uint64_t most = grind_without(0, has_disks);
        for (uint64_t at = 1; at <= most; at++)
            (void)grind_without(at, has_disks);
        printf("%llu allocations, each refused once\n", (unsigned long long)most);
        assert_true(most > 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_write_reaches_all),
        cmocka_unit_test(test_members_without_the_module_hear_nothing),
        cmocka_unit_test(test_concurrent_writes_are_siblings),
        cmocka_unit_test(test_what_was_not_seen_stays),
        cmocka_unit_test(test_compare_and_set),
        cmocka_unit_test(test_a_delete_stays_deleted_after_a_partition),
        cmocka_unit_test(test_a_value_of_64_kib_goes_over_a_stream),
        cmocka_unit_test(test_a_newcomer_gets_everything),
        cmocka_unit_test(test_catching_up_costs_what_differs),
        cmocka_unit_test(test_held_by_k),
        cmocka_unit_test(test_held_by_k_through_loss),
        cmocka_unit_test(test_a_value_expires),
        cmocka_unit_test(test_a_value_expires_without_its_writer),
        cmocka_unit_test(test_a_value_dies_with_its_owner),
        cmocka_unit_test(test_changes_from_a_cursor),
        cmocka_unit_test(test_a_walk_by_prefix),
        cmocka_unit_test(test_at_rest),
        cmocka_unit_test(test_memory_that_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
