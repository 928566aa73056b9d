/*
 * Node-owned versioned state: versions rise, deletions are kept until the floor passes them, bounds hold, lives end,
 * and what is written for a peer is what it lacks, oldest first.
 */
#include "member/items.h"
#include "support/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define S BRUIT_SECOND

struct lab {
    struct br_alloc alloc;
    struct br_items items;
    uint32_t version;
};

static void begin(struct lab *lab)
{
    *lab = (struct lab){.version = 0};
    br_alloc_init(&lab->alloc, NULL, 0);
    br_items_init(&lab->items, &lab->alloc);
}

static void end(struct lab *lab)
{
    br_items_fini(&lab->items);
    assert_int_equal(lab->alloc.in_use, 0);
}

static int put(struct lab *lab, uint32_t slot, const char *key, const char *value, uint32_t ttl, bruit_time now)
{
    struct br_items_owner *owner = br_items_owner(&lab->items, slot);
    assert_non_null(owner);
    return br_items_put(&lab->items, owner,
                        &(struct br_beat_item){.version = ++lab->version,
                                               .ttl = ttl,
                                               .is_deleted = value == NULL,
                                               .key = br_bytes_string(key),
                                               .value = br_bytes_string(value == NULL ? "" : value)},
                        now);
}

static bool is_value(const struct lab *lab, uint32_t slot, const char *key, const char *value, bruit_time now)
{
    const struct br_items_owner *owner = br_items_find(&lab->items, slot);
    const struct br_item *item = owner == NULL ? NULL : br_items_get(owner, br_bytes_string(key), now);
    if (item == NULL || value == NULL)
        return item == NULL && value == NULL;
    return br_bytes_equal(br_item_value(item), br_bytes_string(value));
}

static void test_keys_are_set_changed_and_deleted(void **state)
{
    struct lab lab;
    (void)state;
    begin(&lab);
    assert_int_equal(put(&lab, 3, "role", "db", 0, S), 0);
    assert_int_equal(put(&lab, 7, "role", "web", 0, S), 0);
    assert_int_equal(put(&lab, 3, "role", "cache", 0, S), 0);
    assert_true(is_value(&lab, 3, "role", "cache", S));
    assert_true(is_value(&lab, 7, "role", "web", S));
    assert_int_equal(br_items_find(&lab.items, 3)->count, 1);
    assert_int_equal(put(&lab, 3, "role", NULL, 0, S), 0);
    assert_true(is_value(&lab, 3, "role", NULL, S));
    br_items_forget(&lab.items, 3);
    assert_null(br_items_find(&lab.items, 3));
    assert_true(is_value(&lab, 7, "role", "web", S));
    end(&lab);
}

/* 64 keys and no more; 8 KiB and no more; a deletion makes room; what is refused changes nothing. */
static void test_bounds_hold(void **state)
{
    struct lab lab;
    char key[16];
    char value[BR_BEAT_VALUE_MAX + 1];
    (void)state;
    begin(&lab);
    for (unsigned i = 0; i < BR_ITEMS_MAX; i++) {
        snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(put(&lab, 1, key, "v", 0, S), 0);
    }
    assert_int_equal(put(&lab, 1, "more", "v", 0, S), BRUIT_EFULL);
    assert_int_equal(put(&lab, 1, "k5", "w", 0, S), 0);
    assert_int_equal(put(&lab, 1, "k6", NULL, 0, S), 0);
    assert_int_equal(put(&lab, 1, "more", "v", 0, S), 0);
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = 0;
    for (unsigned i = 0; i < 15; i++) {
        snprintf(key, sizeof key, "b%02u", i);
        assert_int_equal(put(&lab, 2, key, value, 0, S), 0);
    }
    assert_int_equal(put(&lab, 2, "b15", value, 0, S), BRUIT_EFULL);
    assert_true(is_value(&lab, 2, "b15", NULL, S));
    end(&lab);
}

/* Set and deleted for ever: tombstones stay within their places, the floor rises instead. */
static void test_tombstones_are_bounded(void **state)
{
    struct lab lab;
    char key[16];
    (void)state;
    begin(&lab);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(put(&lab, 1, key, "v", 0, S), 0);
        assert_int_equal(put(&lab, 1, key, NULL, 0, S), 0);
    }
    const struct br_items_owner *owner = br_items_find(&lab.items, 1);
    assert_true(owner->count <= 2 * BR_ITEMS_MAX);
    assert_true(owner->floor > 1000);
    assert_int_equal(owner->live, 0);
    end(&lab);
}

static void test_lives_end(void **state)
{
    struct lab lab;
    (void)state;
    begin(&lab);
    assert_int_equal(put(&lab, 1, "lease", "mine", 10, 100 * S), 0);
    assert_true(is_value(&lab, 1, "lease", "mine", 110 * S - 1));
    assert_true(is_value(&lab, 1, "lease", NULL, 110 * S));
    end(&lab);
}

/* A peer has up to version 2 and little room: it gets 3, and is told how far that goes. */
static void test_what_a_peer_lacks_comes_oldest_first(void **state)
{
    struct lab lab;
    uint8_t buffer[24];
    struct br_writer w;
    struct br_beat_item item;
    uint32_t last;
    bool whole;
    (void)state;
    begin(&lab);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(put(&lab, 1, (const char *[]){"a", "b", "c", "d"}[i], "0123456789", 0, S), 0);
    br_writer_init(&w, buffer, sizeof buffer);
    assert_int_equal(br_items_write(br_items_find(&lab.items, 1), 2, &w, S, &last, &whole), 1);
    assert_false(whole);
    assert_int_equal(last, 3);
    struct bruit_bytes left = br_writer_bytes(&w);
    assert_true(br_beat_item_next(&left, &item));
    assert_true(br_bytes_equal(item.key, br_bytes_string("c")));
    assert_false(br_beat_item_next(&left, &item));
    br_writer_init(&w, buffer, sizeof buffer);
    assert_int_equal(br_items_write(br_items_find(&lab.items, 1), 3, &w, S, &last, &whole), 1);
    assert_true(whole);
    end(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_are_set_changed_and_deleted),
        cmocka_unit_test(test_bounds_hold),
        cmocka_unit_test(test_tombstones_are_bounded),
        cmocka_unit_test(test_lives_end),
        cmocka_unit_test(test_what_a_peer_lacks_comes_oldest_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
