/*
 * Key-value state on disks: what is acknowledged outlives kill -9 at any moment, and nothing is shown to others before.
 *
 * The disk of the world is the host's: writes are durable some time after they were made, in order; a process that dies
 * takes with it what was under way.
 */
#include "base/bytes.h"
#include "codec/kv.h"
#include "support/kv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S BRUIT_SECOND
#define MS BRUIT_MILLISECOND

static struct world *disk_cluster(uint64_t seed, uint32_t count)
{
    struct world *w = kv_world(seed);
    w->has_disks = true;
    w->config.has_store = true;
    world_cluster(w, count);
    assert_true(world_wait_all_alive(w, 5 * S));
    for (uint32_t i = 0; i < count; i++)
        kv_tell_time(w, i, 0);
    world_run(w, 5 * S);
    return w;
}

/* A disk that takes two seconds: until then the writer shows it, but nobody else has heard of it, nor is it done. */
static void test_nothing_is_told_before_it_is_durable(void **state)
{
    (void)state;
    struct world *w = disk_cluster(1, 4);
    uint32_t request;
    kv_put(w, 0, "k", "old");
    world_run(w, 15 * S);
    w->disk_delay = 30 * S; /* comparisons come and go meanwhile */
    assert_int_equal(kv_put_how(w, 0, "k", "new", NULL, &request), 0);
    kv_put(w, 0, "other", "x");
    world_run(w, 29900 * MS);
    struct bruit_kv_entry entry;
    assert_int_equal(bruit_kv_get(w->nodes[0].engine, world_bytes("k"), 0, &entry), 0);
    assert_false(entry.is_durable);
    assert_null(kv_done(0, request));
    for (uint32_t i = 1; i < 4; i++) {
        assert_true(kv_has(w, i, "k", "old"));
        assert_null(kv_get(w, i, "other"));
    }
    world_run(w, 1100 * MS);
    assert_non_null(kv_done(0, request));
    assert_int_equal(kv_done(0, request)->error, 0);
    for (uint32_t i = 1; i < 4; i++) {
        assert_true(kv_has(w, i, "k", "new"));
        assert_int_equal(kv_siblings(w, i, "k"), 1);
    }
    world_free(w);
}

/* Killed before it was durable: the write never happened, for anybody; what was there before still is. */
static void test_a_write_that_was_not_durable_never_happened(void **state)
{
    (void)state;
    struct world *w = disk_cluster(2, 3);
    kv_put(w, 0, "k", "old");
    world_run(w, 15 * S);
    w->disk_delay = 20 * S;
    kv_put(w, 0, "k", "new");
    kv_delete(w, 0, "k");
    kv_put(w, 0, "lost", "x");
    world_run(w, 15 * S);
    world_kill(w, 0);
    w->disk_delay = 5 * MS;
    kv_restart(w, 0, 1);
    kv_put(w, 0, "after", "y"); /* with a counter that was given before */
    world_run(w, 60 * S);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(kv_has(w, i, "k", "old"));
        assert_int_equal(kv_siblings(w, i, "k"), 1);
        assert_null(kv_get(w, i, "lost"));
        assert_true(kv_has(w, i, "after", "y"));
    }
    assert_true(kv_all_equal(w));
    world_free(w);
}

/* What was deleted and replaced elsewhere while a member was down is not brought back by its disk. */
static void test_a_restart_keeps_and_forgets(void **state)
{
    (void)state;
    struct world *w = disk_cluster(3, 4);
    kv_put(w, 3, "kept", "1");
    kv_put(w, 3, "deleted", "1");
    kv_put(w, 2, "replaced", "1");
    kv_put(w, 3, "gone before", "1");
    world_run(w, 5 * S);
    kv_delete(w, 3, "gone before");
    world_run(w, 60 * S); /* its tombstone is gone, too */
    uint64_t actor = kv_stat(w, 3).actor;
    world_kill(w, 3);
    kv_delete(w, 0, "deleted");
    kv_put(w, 0, "replaced", "2");
    world_run(w, 600 * S);
    kv_restart(w, 3, 0);
    assert_true(kv_has(w, 3, "kept", "1"));
    assert_true(kv_has(w, 3, "deleted", "1")); /* it does not know yet */
    assert_null(kv_get(w, 3, "gone before"));
    assert_int_equal(kv_stat(w, 3).actor, actor);
    world_run(w, 30 * S);
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(kv_has(w, i, "kept", "1"));
        assert_null(kv_get(w, i, "deleted"));
        assert_null(kv_get(w, i, "gone before"));
        assert_true(kv_has(w, i, "replaced", "2"));
        assert_int_equal(kv_siblings(w, i, "replaced"), 1);
    }
    assert_true(kv_all_equal(w));
    world_free(w);
}

/* All go down at once, and come back: the context on disk knows what was deleted, whoever is first. */
static void test_all_restart(void **state)
{
    (void)state;
    struct world *w = disk_cluster(4, 3);
    for (uint32_t i = 0; i < 600; i++) { /* enough for whole contexts to be written between */
        char key[16];
        snprintf(key, sizeof key, "k%u", i % 40);
        if (i % 7 == 6 && kv_get(w, i % 3, key) != NULL)
            kv_delete(w, i % 3, key);
        else
            kv_put(w, i % 3, key, "v");
        world_run(w, 50 * MS);
    }
    world_run(w, 60 * S);
    assert_true(kv_all_equal(w));
    uint64_t root = kv_stat(w, 0).root, keys = kv_stat(w, 0).keys;
    for (uint32_t i = 0; i < 3; i++)
        world_kill(w, i);
    kv_restart(w, 0, 0);
    kv_restart(w, 1, 0);
    kv_restart(w, 2, 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(kv_stat(w, i).root == root);
        assert_int_equal(kv_stat(w, i).keys, keys);
    }
    kv_put(w, 1, "k1", "once more");
    world_run(w, 30 * S);
    assert_true(kv_all_equal(w));
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(kv_siblings(w, i, "k1"), 1);
    world_free(w);
}

/* A peer says that it holds a write only once it is on its disk. */
static void test_peers_acknowledge_what_is_durable(void **state)
{
    (void)state;
    struct world *w = disk_cluster(5, 3);
    w->disk_delay = 700 * MS;
    uint32_t request;
    struct bruit_kv_write how = {.struct_size = sizeof how, .ack = 3};
    assert_int_equal(kv_put_how(w, 0, "k", "v", &how, &request), 0);
    world_run(w, 1350 * MS); /* ours is durable, theirs is not */
    assert_true(kv_has(w, 1, "k", "v"));
    assert_null(kv_done(0, request));
    world_run(w, 200 * MS);
    assert_non_null(kv_done(0, request));
    assert_int_equal(kv_done(0, request)->held, 3);
    world_free(w);
}

/* As many may wait as there are numbers; one more is refused, and all are told in the end, each by its own. */
static void test_many_wait_at_once(void **state)
{
    (void)state;
    struct world *w = disk_cluster(11, 2);
    static uint32_t requests[BRUIT_KV_REQUESTS_MAX];
    uint32_t one_more;
    w->disk_delay = 2 * S;
    for (uint32_t i = 0; i < BRUIT_KV_REQUESTS_MAX; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(kv_put_how(w, 0, key, "v", NULL, &requests[i]), 0);
    }
    assert_int_equal(kv_put_how(w, 0, "more", "v", NULL, &one_more), BRUIT_EFULL);
    assert_null(kv_get(w, 0, "more"));
    kv_put(w, 0, "more", "nobody waits for it");
    assert_int_equal(kv_stat(w, 0).requests, BRUIT_KV_REQUESTS_MAX);
    world_run(w, 3 * S);
    for (uint32_t i = 0; i < BRUIT_KV_REQUESTS_MAX; i++) {
        assert_non_null(kv_done(0, requests[i]));
        assert_int_equal(kv_done(0, requests[i])->error, 0);
    }
    assert_int_equal(kv_stat(w, 0).requests, 0);
    assert_int_equal(kv_put_how(w, 0, "more", "v", NULL, &one_more), 0);
    world_run(w, 60 * S);
    assert_true(kv_all_equal(w));
    world_free(w);
}

/* The disk fails: who waits is told, the state goes on in memory and spreads, and a restart does no harm. */
static void test_a_failed_disk_is_told(void **state)
{
    (void)state;
    struct world *w = disk_cluster(6, 3);
    uint32_t request, second;
    kv_put(w, 0, "k", "old");
    world_run(w, 15 * S);
    w->nodes[0].disk_error = BRUIT_EIO;
    assert_int_equal(kv_put_how(w, 0, "k", "new", NULL, &request), 0);
    assert_int_equal(kv_put_how(w, 0, "k", "newer", NULL, &second), 0);
    world_run(w, 1 * S);
    assert_int_equal(kv_done(0, request)->error, BRUIT_EIO);
    assert_int_equal(kv_done(0, second)->error, BRUIT_EIO);
    assert_true(kv_stat(w, 0).is_failed);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(kv_has(w, i, "k", "newer"));
        assert_int_equal(kv_siblings(w, i, "k"), 1);
    }
    kv_put(w, 0, "memory", "x");
    assert_int_equal(kv_put_how(w, 0, "memory", "y", NULL, &request), 0);
    world_run(w, 30 * S);
    assert_int_equal(kv_done(0, request)->error, BRUIT_EIO); /* it spreads, but it is on no disk of ours */
    assert_true(kv_has(w, 2, "memory", "y"));
    world_kill(w, 0);
    w->nodes[0].disk_error = 0;
    world_run(w, 30 * S);
    kv_restart(w, 0, 1);
    for (uint32_t i = 0; i < 3; i++) { /* counters that were given before, once more */
        char key[8];
        snprintf(key, sizeof key, "a%u", i);
        kv_put(w, 0, key, "again");
    }
    world_run(w, 30 * S);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(kv_has(w, i, "k", "newer"));
        assert_true(kv_has(w, i, "memory", "y"));
        assert_true(kv_has(w, i, "a0", "again"));
        assert_true(kv_has(w, i, "a1", "again"));
        assert_true(kv_has(w, i, "a2", "again"));
    }
    assert_true(kv_all_equal(w));
    world_free(w);
}

/*
 * A write that was never durable is replaced by another one, and the disk fails for both: the second is told as another
 * store's. It must not name the first, whose number a restart gives to the next write, perhaps of the same key.
 */
static void test_what_a_failed_disk_lost_is_named_by_nobody(void **state)
{
    (void)state;
    struct world *w = disk_cluster(13, 3);
    kv_put(w, 0, "k", "old");
    world_run(w, 15 * S);
    w->nodes[0].disk_error = BRUIT_EIO;
    kv_put(w, 0, "k", "new");
    kv_put(w, 0, "k", "newer");
    world_run(w, 30 * S);
    assert_true(kv_has(w, 2, "k", "newer"));
    world_kill(w, 0);
    w->nodes[0].disk_error = 0;
    world_run(w, 30 * S);
    kv_restart(w, 0, 0);
    kv_put(w, 0, "k", "after"); /* it knows of "old" alone */
    world_run(w, 1 * S);
    assert_int_equal(world_join(w, 0, 1), 0);
    world_run(w, 60 * S);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(kv_has(w, i, "k", "after"));
        assert_int_equal(kv_siblings(w, i, "k"), 2); /* "newer" had not seen it, nor the other way round */
    }
    assert_true(kv_all_equal(w));
    world_free(w);
}

/* A disk of the past (a restored backup): writes under dots that others know as something else would be lost. */
static void test_a_disk_of_the_past_gets_a_new_name(void **state)
{
    (void)state;
    struct world *w = disk_cluster(7, 3);
    kv_put(w, 0, "a", "1");
    world_run(w, 15 * S);
    w->nodes[0].disk_error = BRUIT_EIO; /* nothing more is kept; nobody notices */
    struct world_node *node = &w->nodes[0];
    struct world_record *records = node->records;
    size_t count = node->record_count;
    node->disk_error = 0;
    node->records = calloc(64, sizeof *records);
    node->record_count = 0;
    for (size_t i = 0; i < count; i++) { /* the backup goes on living; the original is lost */
        node->records[i] = records[i];
        node->records[i].bytes = malloc(records[i].key_size + records[i].value_size);
        memcpy(node->records[i].bytes, records[i].bytes, records[i].key_size + records[i].value_size);
    }
    node->record_count = count;
    kv_put(w, 0, "b", "2");
    kv_put(w, 0, "c", "3");
    world_run(w, 15 * S);
    world_kill(w, 0);
    for (size_t i = 0; i < node->record_count; i++)
        free(node->records[i].bytes);
    free(node->records);
    node->records = records;
    node->record_count = count;
    kv_restart(w, 0, 1);
    uint64_t actor = kv_stat(w, 0).actor;
    world_run(w, 15 * S);
    assert_true(kv_stat(w, 0).actor != actor);
    assert_true(kv_has(w, 0, "b", "2"));
    kv_put(w, 0, "d", "4");
    world_run(w, 15 * S);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(kv_has(w, i, "d", "4"));
    assert_true(kv_all_equal(w));
    world_free(w);
}

static struct world_record *copy_disk(const struct world_node *node)
{
    struct world_record *records = calloc(4096, sizeof *records);
    for (size_t i = 0; i < node->record_count; i++) {
        records[i] = node->records[i];
        records[i].bytes = malloc(records[i].key_size + records[i].value_size);
        memcpy(records[i].bytes, node->records[i].bytes, records[i].key_size + records[i].value_size);
    }
    return records;
}

/* The same while it writes all the time, on a disk that always lags: it gets its new name all the same. */
static void test_a_new_name_under_load(void **state)
{
    (void)state;
    struct world *w = disk_cluster(16, 3);
    struct world_node *node = &w->nodes[0];
    kv_put(w, 0, "a", "1");
    world_run(w, 15 * S);
    size_t count = node->record_count;
    struct world_record *backup = copy_disk(node);
    for (uint32_t i = 0; i < 3000; i++) { /* more than it will write in the test */
        kv_put(w, 0, "b", "2");
        world_run(w, 5 * MS);
    }
    world_run(w, 15 * S);
    world_kill(w, 0);
    for (size_t i = 0; i < node->record_count; i++)
        free(node->records[i].bytes);
    free(node->records);
    node->records = backup;
    node->record_count = count;
    w->disk_delay = 100 * MS;
    kv_restart(w, 0, 1);
    uint64_t actor = kv_stat(w, 0).actor;
    char key[16];
    uint32_t taken = 0;
    for (uint32_t i = 0; i < 600; i++) {
        snprintf(key, sizeof key, "k%u", i);
        int status = kv_put_how(w, 0, key, "v", NULL, NULL);
        assert_true(status == 0 || status == BRUIT_EFULL); /* a moment without a name */
        taken += status == 0;
        world_run(w, 50 * MS);
    }
    assert_true(taken > 590);
    assert_true(kv_stat(w, 0).actor != actor);
    world_run(w, 15 * S);
    for (uint32_t i = 200; i < 600; i++) {
        snprintf(key, sizeof key, "k%u", i);
        assert_true(kv_has(w, 0, key, "v"));
        assert_true(kv_has(w, 2, key, "v"));
    }
    assert_true(kv_all_equal(w));
    world_free(w);
}

/* A member restarts with a clock a year ahead: what would expire in an hour is still there for everybody. */
static void test_a_wrong_clock_at_a_restart_expires_nothing(void **state)
{
    (void)state;
    struct world *w = disk_cluster(18, 3);
    struct bruit_kv_write how = {.struct_size = sizeof how, .lifetime = BRUIT_KV_EXPIRES, .ttl = 3600 * S};
    assert_int_equal(kv_put_how(w, 1, "k", "v", &how, NULL), 0);
    world_run(w, 15 * S);
    world_kill(w, 0);
    struct world_node *node = &w->nodes[0];
    assert_int_equal(world_start(w, 0), 0);
    kv_tell_time(w, 0, UINT64_C(365) * 24 * 3600 * S);
    for (size_t j = 0; j < node->record_count; j++) {
        struct world_record *r = &node->records[j];
        struct bruit_bytes key = {r->bytes, r->key_size}, value = {r->bytes + r->key_size, r->value_size};
        assert_int_equal(bruit_kv_load(node->engine, key, value), 0);
    }
    assert_int_equal(world_join(w, 0, 1), 0);
    world_run(w, 60 * S);
    assert_true(kv_has(w, 1, "k", "v"));
    assert_null(kv_get(w, 0, "k")); /* as far as it knows */
    world_run(w, 3600 * S);
    assert_null(kv_get(w, 1, "k"));
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(kv_stat(w, i).values, 0); /* and it is gone, not hidden */
    world_free(w);
}

/* Records that are damaged are refused one by one, and nothing of them is taken. */
static void test_damaged_records_are_refused(void **state)
{
    (void)state;
    struct world *w = disk_cluster(8, 1);
    kv_put(w, 0, "k", "value");
    kv_put(w, 0, "k", "other");
    world_run(w, 5 * S);
    world_kill(w, 0);
    struct world_node *node = &w->nodes[0];
    assert_true(node->record_count >= 3); /* k, d, a */
    for (size_t i = 0; i < node->record_count; i++) {
        struct world_record *r = &node->records[i];
        for (size_t size = 0; size < r->value_size; size++) {
            assert_int_equal(world_start(w, 0), 0);
            int status = bruit_kv_load(node->engine, (struct bruit_bytes){r->bytes, r->key_size},
                                       (struct bruit_bytes){r->bytes + r->key_size, size});
            if (r->bytes[0] != 'd') /* a list: it may end after any dot */
                assert_int_equal(status, BRUIT_EFORMAT);
            assert_int_equal(kv_stat(w, 0).keys, 0);
            world_kill(w, 0);
        }
    }
    assert_int_equal(world_start(w, 0), 0);
    assert_int_equal(bruit_kv_load(node->engine, world_bytes("x"), world_bytes("y")), BRUIT_EFORMAT);
    assert_int_equal(bruit_kv_load(node->engine, world_bytes("k"), world_bytes("y")), BRUIT_EFORMAT);
    kv_put(w, 0, "k", "v");
    assert_int_equal(bruit_kv_load(node->engine, world_bytes("a"), world_bytes("y")), BRUIT_EBUSY);
    world_free(w);
}

/* A member that starts alone with what its disk kept does not know its owners yet, and leaves them their values. */
static void test_owners_are_waited_for_after_a_restart(void **state)
{
    (void)state;
    struct world *w = disk_cluster(10, 3);
    struct bruit_kv_write how = {.struct_size = sizeof how, .lifetime = BRUIT_KV_OWNED};
    assert_int_equal(kv_put_how(w, 1, "service", "n1:80", &how, NULL), 0);
    world_run(w, 5 * S);
    world_kill(w, 0);
    kv_restart(w, 0, 0); /* joins nobody */
    world_run(w, 600 * S);
    assert_true(kv_has(w, 0, "service", "n1:80"));
    assert_int_equal(world_join(w, 0, 2), 0);
    world_run(w, 600 * S);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(kv_has(w, i, "service", "n1:80"));
    world_kill(w, 1);
    world_run(w, 200 * S);
    assert_null(kv_get(w, 0, "service"));
    assert_null(kv_get(w, 2, "service"));
    world_free(w);
}

/*
 * A member is away for longer than the horizon, in which the others delete, and forget who had written it: what comes
 * back with it is dropped, but not what it wrote while nobody could hear it.
 */
static void test_beyond_the_horizon_a_store_is_reset(void **state)
{
    (void)state;
    struct world *w = kv_world(9);
    struct bruit_kv_options options;
    w->has_disks = true;
    w->config.has_store = true;
    for (uint32_t i = 0; i < 4; i++) {
        (void)world_add(w);
        assert_int_equal(world_start(w, i), 0);
        bruit_kv_options_default(&options);
        options.horizon = 3600 * S;
        options.actors_max = 4; /* few, so that they are forgotten */
        assert_int_equal(bruit_kv_configure(w->nodes[i].engine, &options), 0);
        kv_tell_time(w, i, 0);
        if (i > 0)
            assert_int_equal(world_join(w, i, 0), 0);
    }
    world_run(w, 5 * S);
    kv_put(w, 3, "deleted", "by n3"); /* whose actor will be forgotten */
    kv_put(w, 3, "replaced", "by n3");
    kv_put(w, 1, "kept", "by n1");
    world_run(w, 60 * S);
    world_partition(w, 3, true);
    world_run(w, 60 * S);
    kv_put(w, 3, "new", "by n3, alone");
    kv_delete(w, 0, "deleted");
    kv_put(w, 1, "replaced", "by n1");
    world_run(w, 300 * 60 * S); /* the others go on, and meet each other */
    assert_int_equal(kv_stat(w, 0).actors, 2); /* n1's and its own: n3's has nothing left */
    world_partition(w, 3, false);
    assert_int_equal(world_join(w, 3, 0), 0);
    world_run(w, 60 * S);
    for (uint32_t i = 0; i < 4; i++) {
        assert_null(kv_get(w, i, "deleted"));
        assert_true(kv_has(w, i, "replaced", "by n1"));
        assert_int_equal(kv_siblings(w, i, "replaced"), 1);
        assert_true(kv_has(w, i, "kept", "by n1"));
        assert_true(kv_has(w, i, "new", "by n3, alone"));
    }
    assert_true(kv_all_equal(w));
    assert_int_equal(kv_stat(w, 3).resets, 1);
    kv_put(w, 3, "again", "x");
    world_run(w, 2 * S);
    assert_true(kv_has(w, 0, "again", "x"));
    world_free(w);
}

static void set_hour(struct world *w, uint32_t i)
{
    struct bruit_kv_options options;
    bruit_kv_options_default(&options);
    options.horizon = 3600 * S;
    options.actors_max = 4; /* few, so that they are forgotten */
    assert_int_equal(bruit_kv_configure(w->nodes[i].engine, &options), 0);
    kv_tell_time(w, i, 0);
}

/* A crash a moment after very many deletes: what the disk has of them is cleared away bit by bit, not in one go. */
static void test_many_tombstones_on_disk_are_no_burst(void **state)
{
    (void)state;
    enum { COUNT = 45000, SIZE = 400 };
    struct world *w = disk_cluster(14, 2);
    world_kill(w, 0);
    assert_int_equal(world_start(w, 0), 0);
    uint8_t key[1 + SIZE] = {'k'}, value[64];
    memset(key + 1, 'x', SIZE);
    for (uint32_t i = 0; i < COUNT; i++) {
        struct br_writer wr;
        br_store_u32(key + 1, i);
        br_writer_init(&wr, value, sizeof value);
        br_kv_write_key_record(&wr, &(struct br_kv_key_record){.sibling_count = 1});
        br_kv_write_item(&wr, &(struct br_kv_write){.dot = {7, i + 1}, .is_delete = true}, false);
        assert_int_equal(bruit_kv_load(w->nodes[0].engine, br_bytes(key, sizeof key), br_writer_bytes(&wr)), 0);
    }
    uint32_t request;
    assert_int_equal(kv_put_how(w, 0, "k", "v", NULL, &request), 0);
    world_run(w, 1 * S);
    assert_false(kv_stat(w, 0).is_failed);
    assert_int_equal(kv_done(0, request)->error, 0);
    world_free(w);
}

/*
 * A member comes back and finds nobody for minutes: it does not know the owners of what its disk has, which says
 * nothing about them. What lives with a member that was there all the time is still there afterwards.
 */
static void test_who_knows_nobody_buries_nobody(void **state)
{
    (void)state;
    struct world *w = disk_cluster(15, 3);
    struct bruit_kv_write how = {.struct_size = sizeof how, .lifetime = BRUIT_KV_OWNED};
    assert_int_equal(kv_put_how(w, 1, "service", "n1", &how, NULL), 0);
    assert_int_equal(kv_put_how(w, 0, "other", "n0", &how, NULL), 0);
    world_run(w, 15 * S);
    world_kill(w, 2);
    world_partition(w, 2, true);
    world_run(w, 5 * S);
    kv_restart(w, 2, 2); /* finds nobody */
    world_run(w, 300 * S);
    assert_true(kv_has(w, 2, "service", "n1"));
    world_kill(w, 0); /* this one dies meanwhile */
    world_run(w, 30 * S);
    world_partition(w, 2, false);
    assert_int_equal(world_join(w, 2, 1), 0);
    world_run(w, 120 * S);
    for (uint32_t i = 1; i < 3; i++) {
        assert_true(kv_has(w, i, "service", "n1"));
        assert_null(kv_get(w, i, "other"));
    }
    world_free(w);
}

/* Starts `count` members with disks and a horizon of an hour. */
static struct world *hour_cluster(uint64_t seed, uint32_t count)
{
    struct world *w = kv_world(seed);
    w->has_disks = true;
    w->config.has_store = true;
    for (uint32_t i = 0; i < count; i++) {
        (void)world_add(w);
        assert_int_equal(world_start(w, i), 0);
        set_hour(w, i);
        if (i > 0)
            assert_int_equal(world_join(w, i, 0), 0);
    }
    world_run(w, 5 * S);
    return w;
}

/*
 * An actor is retired a horizon after its last write, and forgotten a horizon later, since a store that was away for
 * less may still hold what it wrote. A restart of everybody else in between must not forget it at once: the delete of
 * a moment ago would be undone.
 */
static void test_a_restart_does_not_forget_who_is_retired(void **state)
{
    (void)state;
    struct world *w = hour_cluster(10, 3);
    kv_put(w, 2, "deleted", "by n2");
    world_run(w, 20 * 60 * S);
    world_partition(w, 2, true);
    kv_delete(w, 0, "deleted");
    world_run(w, 49 * 60 * S); /* its writer is retired meanwhile */
    for (uint32_t i = 0; i < 300; i++) { /* and the disks of the others say so */
        kv_put(w, 0, "x", "y");
        world_run(w, 100 * MS);
    }
    world_run(w, 10 * S);
    for (uint32_t i = 0; i < 2; i++)
        world_kill(w, i);
    kv_restart(w, 0, 0);
    kv_restart(w, 1, 0);
    world_run(w, 60 * S);
    world_partition(w, 2, false);
    assert_int_equal(world_join(w, 2, 0), 0);
    world_run(w, 60 * S);
    for (uint32_t i = 0; i < 3; i++) {
        assert_null(kv_get(w, i, "deleted"));
        assert_true(kv_has(w, i, "x", "y"));
    }
    assert_true(kv_all_equal(w));
    world_free(w);
}

static bool loses_secret(const struct world *w, uint32_t from, uint32_t to, struct bruit_bytes packet)
{
    (void)w, (void)from, (void)to;
    for (size_t i = 0; i + 6 <= packet.size; i++)
        if (memcmp(packet.data + i, "secret", 6) == 0)
            return false;
    return true;
}

/*
 * What a comparison pushed to the other side may be lost. Nobody has seen it then, and a store that is away beyond the
 * horizon afterwards comes back with it.
 */
static void test_what_was_pushed_and_lost_is_not_seen(void **state)
{
    (void)state;
    struct world *w = hour_cluster(11, 4);
    for (uint32_t i = 0; i < 2; i++) { /* whom the others will forget */
        kv_put(w, i, "x", "y");
        world_run(w, 30 * S);
        kv_delete(w, i, "x");
    }
    world_run(w, 60 * S);
    w->passes = loses_secret;
    kv_put(w, 3, "k", "secret");
    world_run(w, 60 * S);
    assert_null(kv_get(w, 0, "k"));
    world_partition(w, 3, true);
    w->passes = NULL;
    world_run(w, 300 * 60 * S);
    world_partition(w, 3, false);
    assert_int_equal(world_join(w, 3, 0), 0);
    world_run(w, 60 * S);
    assert_int_equal(kv_stat(w, 3).resets, 1);
    for (uint32_t i = 0; i < 4; i++)
        assert_true(kv_has(w, i, "k", "secret"));
    world_free(w);
}

/*
 * The other way round: what was seen and deleted by others stays deleted, even when everybody has forgotten its writer
 * and the writer crashed a moment after it was seen.
 */
static void test_what_was_seen_is_not_new_after_a_crash(void **state)
{
    (void)state;
    struct world *w = hour_cluster(12, 4);
    world_run(w, 60 * S);
    kv_put(w, 3, "k", "v");
    world_run(w, 30 * S);
    assert_true(kv_has(w, 0, "k", "v"));
    world_kill(w, 3);
    kv_delete(w, 0, "k");
    world_run(w, 300 * 60 * S);
    assert_int_equal(world_start(w, 3), 0);
    set_hour(w, 3);
    struct world_node *node = &w->nodes[3];
    for (size_t j = 0; j < node->record_count; j++) {
        struct world_record *r = &node->records[j];
        struct bruit_bytes key = {r->bytes, r->key_size}, value = {r->bytes + r->key_size, r->value_size};
        assert_int_equal(bruit_kv_load(node->engine, key, value), 0);
    }
    assert_true(kv_has(w, 3, "k", "v"));
    assert_int_equal(world_join(w, 3, 0), 0);
    world_run(w, 60 * S);
    for (uint32_t i = 0; i < 4; i++)
        assert_null(kv_get(w, i, "k"));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_told_before_it_is_durable),
        cmocka_unit_test(test_a_write_that_was_not_durable_never_happened),
        cmocka_unit_test(test_a_restart_keeps_and_forgets),
        cmocka_unit_test(test_all_restart),
        cmocka_unit_test(test_peers_acknowledge_what_is_durable),
        cmocka_unit_test(test_many_wait_at_once),
        cmocka_unit_test(test_a_failed_disk_is_told),
        cmocka_unit_test(test_what_a_failed_disk_lost_is_named_by_nobody),
        cmocka_unit_test(test_a_disk_of_the_past_gets_a_new_name),
        cmocka_unit_test(test_a_new_name_under_load),
        cmocka_unit_test(test_a_wrong_clock_at_a_restart_expires_nothing),
        cmocka_unit_test(test_damaged_records_are_refused),
        cmocka_unit_test(test_many_tombstones_on_disk_are_no_burst),
        cmocka_unit_test(test_who_knows_nobody_buries_nobody),
        cmocka_unit_test(test_owners_are_waited_for_after_a_restart),
        cmocka_unit_test(test_beyond_the_horizon_a_store_is_reset),
        cmocka_unit_test(test_a_restart_does_not_forget_who_is_retired),
        cmocka_unit_test(test_what_was_pushed_and_lost_is_not_seen),
        cmocka_unit_test(test_what_was_seen_is_not_new_after_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
