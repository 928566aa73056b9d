/*
 * What every node published, as one node holds it: versions, epochs, gaps, news and hashes.
 */
#include "module/aggregate_store.h"

#include "support/memory.h"

#include <bruit/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define EPOCH 100

struct side {
    struct test_memory memory;
    struct br_alloc alloc;
    struct br_aggregate_store store;
};

static void open_side(struct side *side)
{
    test_memory_init(&side->memory);
    struct bruit_env env = test_memory_env(&side->memory);
    br_alloc_init(&side->alloc, &env, 0);
    br_aggregate_store_init(&side->store, &side->alloc);
}

static void close_side(struct side *side)
{
    br_aggregate_store_fini(&side->store);
    assert_int_equal(side->memory.in_use, 0);
    assert_int_equal(side->store.memory, 0);
    assert_int_equal(side->store.held, 0);
}

static void enter(struct side *side, bruit_node node, const char *name)
{
    assert_int_equal(br_aggregate_enter(&side->store, node, br_bytes(name, strlen(name))), 0);
}

static void publish(struct side *side, bruit_node self, uint8_t slot, const char *name, double number)
{
    struct br_aggregate_record record = {.slot = slot,
                                         .kind = BR_AGGREGATE_NUMBER,
                                         .name = br_bytes(name, strlen(name)),
                                         .number = number};
    if (br_aggregate_owner(&side->store, self)->epoch == 0)
        br_aggregate_restart(&side->store, br_aggregate_owner(&side->store, self), EPOCH);
    assert_int_equal(br_aggregate_put(&side->store, self, &record, 0), 0);
    br_aggregate_note_news(&side->store, self, UINT32_C(1) << slot, 0);
}

static double value_of(struct side *side, bruit_node node, const char *name)
{
    const struct br_aggregate_slot *slot =
        br_aggregate_find(br_aggregate_owner(&side->store, node), br_bytes(name, strlen(name)));
    return slot == NULL ? -1 : slot->number;
}

/* Takes all groups in `w` as about `node`; returns the slots that changed. */
static int32_t take(struct side *side, bruit_node node, const struct br_writer *w)
{
    struct bruit_bytes list = br_writer_bytes(w);
    struct br_aggregate_group group;
    int32_t changed = 0;
    while (br_aggregate_next_group(&list, &group))
        changed |= br_aggregate_take(&side->store, node, &group, 0);
    return changed;
}

/* The owner changes one value twice and another once; the middle message is lost; a comparison brings the rest. */
static void test_a_missed_change_leaves_a_gap_that_is_filled(void **state)
{
    (void)state;
    static struct side owner, other;
    uint8_t bytes[3][512];
    struct br_writer w[3];
    open_side(&owner);
    open_side(&other);
    enter(&owner, 1, "a");
    enter(&other, 5, "a");
    for (int i = 0; i < 3; i++) {
        publish(&owner, 1, (uint8_t)(i == 1), i == 1 ? "y" : "x", i);
        br_writer_init(&w[i], bytes[i], sizeof bytes[i]);
        assert_int_equal(br_aggregate_tell(&owner.store, &w[i], 1), 1);
    }
    assert_int_equal(take(&other, 5, &w[0]), 1);
    assert_true(owner.store.hash != other.store.hash);
    assert_int_equal(take(&other, 5, &w[2]), 1);
    assert_true(value_of(&other, 5, "x") == 2);
    assert_true(value_of(&other, 5, "y") == -1);
    assert_int_equal(br_aggregate_owner(&other.store, 5)->complete, 1);
    assert_int_equal(other.store.incomplete, 1);
    br_writer_init(&w[1], bytes[1], sizeof bytes[1]);
    assert_true(br_aggregate_write_newer(br_aggregate_owner(&owner.store, 1), &w[1], EPOCH, 1));
    assert_int_equal(take(&other, 5, &w[1]), 2);
    assert_true(value_of(&other, 5, "y") == 1);
    assert_true(owner.store.hash == other.store.hash);
    assert_int_equal(other.store.incomplete, 0);
    close_side(&owner);
    close_side(&other);
}

/* Who publishes one name alone is complete with each message, however many before it were lost. */
static void test_the_latest_of_one_value_is_all_there_is(void **state)
{
    (void)state;
    static struct side owner, other;
    uint8_t bytes[512];
    struct br_writer w;
    open_side(&owner);
    open_side(&other);
    enter(&owner, 1, "a");
    enter(&other, 1, "a");
    for (int i = 0; i < 50; i++)
        publish(&owner, 1, 0, "x", i);
    br_writer_init(&w, bytes, sizeof bytes);
    assert_int_equal(br_aggregate_tell(&owner.store, &w, 3), 1);
    assert_int_equal(take(&other, 1, &w), 1);
    assert_true(owner.store.hash == other.store.hash);
    assert_int_equal(take(&other, 1, &w), 0); /* a copy is no news */
    close_side(&owner);
    close_side(&other);
}

/* A node comes back and numbers anew: one record of the higher epoch and the old life's values are gone; a replay of
 * the old life then changes nothing. */
static void test_another_life_wins_at_once(void **state)
{
    (void)state;
    static struct side life, other;
    uint8_t old[512], bytes[512];
    struct br_writer before, w;
    open_side(&life);
    open_side(&other);
    enter(&life, 1, "a");
    enter(&other, 2, "a");
    for (uint8_t i = 0; i < 3; i++)
        publish(&life, 1, i, i == 0 ? "x" : i == 1 ? "y" : "z", 7);
    br_writer_init(&before, old, sizeof old);
    assert_int_equal(br_aggregate_tell(&life.store, &before, 3), 3);
    assert_int_equal(take(&other, 2, &before), 7);
    br_aggregate_restart(&life.store, br_aggregate_owner(&life.store, 1), EPOCH + 1);
    publish(&life, 1, 0, "y", 8);
    br_writer_init(&w, bytes, sizeof bytes);
    assert_int_equal(br_aggregate_tell(&life.store, &w, 3), 1);
    assert_int_equal(take(&other, 2, &w), 1);
    assert_true(value_of(&other, 2, "x") == -1);
    assert_true(value_of(&other, 2, "y") == 8);
    assert_int_equal(take(&other, 2, &before), 0);
    assert_true(value_of(&other, 2, "y") == 8);
    assert_int_equal(other.store.held, 1);
    close_side(&life);
    close_side(&other);
}

/* Another numbers its nodes otherwise, and hears in another order: the same hashes, buckets and order. */
static void test_equal_contents_have_equal_hashes(void **state)
{
    (void)state;
    static struct side a, b;
    char name[16];
    open_side(&a);
    open_side(&b);
    for (bruit_node i = 1; i <= 100; i++) {
        (void)snprintf(name, sizeof name, "n%u", (unsigned)i);
        enter(&a, i, name);
        publish(&a, i, 0, "x", i);
    }
    for (bruit_node i = 100; i >= 1; i--) {
        (void)snprintf(name, sizeof name, "n%u", (unsigned)i);
        enter(&b, 2 * (101 - i), name);
        publish(&b, 2 * (101 - i), 0, "x", i);
    }
    assert_true(a.store.hash == b.store.hash);
    assert_memory_equal(a.store.buckets, b.store.buckets, sizeof a.store.buckets);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(a.store.order[i], 101 - b.store.order[i] / 2);
    br_aggregate_leave(&a.store, 17);
    assert_true(a.store.hash != b.store.hash);
    enter(&a, 17, "n17");
    assert_true(a.store.hash == b.store.hash);
    assert_int_equal(br_aggregate_bucket_start(&a.store, BR_AGGREGATE_BUCKETS), 100);
    assert_int_equal(br_aggregate_bucket_start(&a.store, 0), 0);
    close_side(&a);
    close_side(&b);
}

/* Whoever floods with names takes 16 slots; whoever forges epochs steps too far. */
static void test_what_an_owner_can_take_is_bounded(void **state)
{
    (void)state;
    static struct side s;
    char name[16];
    open_side(&s);
    enter(&s, 1, "a");
    for (unsigned i = 0; i < 100000; i++) {
        (void)snprintf(name, sizeof name, "name%u", i);
        publish(&s, 1, (uint8_t)(i % 16), name, i);
    }
    assert_int_equal(s.store.held, 16);
    assert_true(s.store.memory < 16 * 100 + BR_AGGREGATE_NEWS_MAX * sizeof(struct br_aggregate_news) + 1000);
    struct br_aggregate_owner *owner = br_aggregate_owner(&s.store, 1);
    assert_true(br_aggregate_is_likely(owner, EPOCH + BR_AGGREGATE_EPOCH_STEP));
    assert_false(br_aggregate_is_likely(owner, EPOCH + BR_AGGREGATE_EPOCH_STEP + 1));
    assert_false(br_aggregate_is_likely(owner, UINT64_C(1) << 63));
    close_side(&s);
}

/* 16 long texts and little room: parts that each say how far they go, until nothing is left. */
static void test_what_does_not_fit_goes_in_parts(void **state)
{
    (void)state;
    static struct side owner, other;
    uint8_t bytes[300];
    static uint8_t text[64];
    open_side(&owner);
    open_side(&other);
    enter(&owner, 1, "a");
    enter(&other, 1, "a");
    br_aggregate_restart(&owner.store, br_aggregate_owner(&owner.store, 1), EPOCH);
    for (uint8_t i = 0; i < 16; i++) {
        struct br_aggregate_record record = {.slot = i,
                                             .kind = BR_AGGREGATE_TEXT,
                                             .name = br_bytes(&"abcdefghijklmnop"[i], 1),
                                             .text = br_bytes(text, sizeof text)};
        assert_int_equal(br_aggregate_put(&owner.store, 1, &record, 0), 0);
    }
    struct br_aggregate_owner *held = br_aggregate_owner(&other.store, 1);
    unsigned parts = 0;
    for (bool is_all = false; !is_all; parts++) {
        struct br_writer w;
        br_writer_init(&w, bytes, sizeof bytes);
        is_all = br_aggregate_write_newer(br_aggregate_owner(&owner.store, 1), &w, held->epoch, held->complete);
        assert_true(take(&other, 1, &w) > 0);
        assert_true(parts < 16);
    }
    assert_int_equal(parts, 4);
    assert_true(owner.store.hash == other.store.hash);
    assert_int_equal(other.store.held, 16);
    close_side(&owner);
    close_side(&other);
}

/* News is told so many times, the least told first; beyond its bound it is dropped and counted. */
static void test_news_is_told_so_often(void **state)
{
    (void)state;
    static struct side s;
    uint8_t bytes[64];
    char name[16];
    struct br_writer w;
    open_side(&s);
    for (bruit_node i = 1; i <= 1100; i++) {
        (void)snprintf(name, sizeof name, "n%u", (unsigned)i);
        enter(&s, i, name);
        publish(&s, i, 0, "x", i);
    }
    assert_int_equal(s.store.news_count, BR_AGGREGATE_NEWS_MAX);
    assert_int_equal(s.store.news_dropped, 1100 - BR_AGGREGATE_NEWS_MAX);
    uint64_t told = 0;
    while (s.store.news_count > 0) {
        br_writer_init(&w, bytes, sizeof bytes);
        uint32_t count = br_aggregate_tell(&s.store, &w, 3);
        assert_in_range(count, 1, 3);
        told += count;
    }
    assert_int_equal(told, 3 * BR_AGGREGATE_NEWS_MAX);
    close_side(&s);
}

/* Memory fails at each possible place: what is held stays consistent, and nothing leaks. */
static void test_without_memory_nothing_is_lost(void **state)
{
    (void)state;
    static struct side owner, other;
    uint8_t bytes[512];
    struct br_writer w;
    open_side(&owner);
    enter(&owner, 1, "a");
    for (uint8_t i = 0; i < 3; i++)
        publish(&owner, 1, i, i == 0 ? "x" : i == 1 ? "y" : "z", i);
    br_writer_init(&w, bytes, sizeof bytes);
    assert_true(br_aggregate_write_newer(br_aggregate_owner(&owner.store, 1), &w, 0, 0));
    for (uint64_t fail_at = 1; fail_at < 20; fail_at++) {
        struct br_aggregate_group group;
        struct bruit_bytes list = br_writer_bytes(&w);
        open_side(&other);
        other.memory.fail_at = fail_at;
        if (br_aggregate_enter(&other.store, 9, br_bytes_text("a")) != 0)
            assert_int_equal(br_aggregate_enter(&other.store, 9, br_bytes_text("a")), 0);
        assert_true(br_aggregate_next_group(&list, &group));
        if (br_aggregate_take(&other.store, 9, &group, 0) == BRUIT_ENOMEM)
            assert_true(other.store.hash != owner.store.hash);
        assert_true(br_aggregate_take(&other.store, 9, &group, 0) >= 0);
        assert_true(other.store.hash == owner.store.hash);
        assert_int_equal(other.store.held, 3);
        close_side(&other);
    }
    close_side(&owner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_missed_change_leaves_a_gap_that_is_filled),
        cmocka_unit_test(test_the_latest_of_one_value_is_all_there_is),
        cmocka_unit_test(test_another_life_wins_at_once),
        cmocka_unit_test(test_equal_contents_have_equal_hashes),
        cmocka_unit_test(test_what_an_owner_can_take_is_bounded),
        cmocka_unit_test(test_what_does_not_fit_goes_in_parts),
        cmocka_unit_test(test_news_is_told_so_often),
        cmocka_unit_test(test_without_memory_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
