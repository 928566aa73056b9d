/*
 * The table against a plain array of what should be in it, also when memory runs out at any moment.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/rng.h"
#include "base/table.h"
#include "support/memory.h"

#include <bruit/error.h>

#define THINGS 600

/* The model: thing i has hash hashes[i]; is_in[i] says whether it should be in the table. */
struct model {
    uint64_t hashes[THINGS];
    bool is_in[THINGS];
    uint32_t count;
};

static bool is_thing(const void *context, uint32_t index)
{
    const uint32_t *wanted = context;
    return *wanted == index;
}

static bool is_nothing(const void *context, uint32_t index)
{
    (void)context;
    (void)index;
    return false;
}

static uint32_t find(const struct br_table *t, const struct model *m, uint32_t thing)
{
    return br_table_find(t, m->hashes[thing], is_thing, &thing);
}

static void assert_agrees(const struct br_table *t, const struct model *m)
{
    assert_int_equal(br_table_count(t), m->count);
    for (uint32_t i = 0; i < THINGS; i++)
        assert_int_equal(find(t, m, i), m->is_in[i] ? i : BR_TABLE_NONE);
}

/* kind 0: hashes all over; 1: a few homes, so that runs are long; 2: all in the last home, so that runs
 * wrap; 3: equal hashes. */
static void draw_hashes(struct model *m, struct br_rng *rng, int kind)
{
    for (uint32_t i = 0; i < THINGS; i++) {
        uint64_t drawn = br_rng_u64(rng);
        switch (kind) {
        case 0: m->hashes[i] = drawn; break;
        case 1: m->hashes[i] = (drawn & UINT64_C(0xe0000000ffffffff)) | i; break;
        case 2: m->hashes[i] = drawn | UINT64_C(0xffffff0000000000); break;
        default: m->hashes[i] = drawn & UINT64_C(0x8000000000000000); break;
        }
    }
}

static void step(struct br_table *t, struct model *m, struct br_rng *rng, uint32_t insert_of_10)
{
    uint32_t thing = br_rng_below(rng, THINGS);
    if (br_rng_below(rng, 10) < insert_of_10) {
        if (m->is_in[thing] || br_table_reserve(t, 1) != 0)
            return;
        br_table_insert(t, m->hashes[thing], thing);
        m->is_in[thing] = true;
        m->count++;
    } else {
        bool removed = br_table_remove(t, m->hashes[thing], thing);
        assert_true(removed == m->is_in[thing]);
        m->count -= removed;
        m->is_in[thing] = false;
    }
}

static void run(struct test_memory *memory, struct br_rng *rng, int kind, int steps)
{
    struct bruit_env env = test_memory_env(memory);
    struct br_alloc alloc;
    struct br_table t;
    struct model m = {.count = 0};
    br_alloc_init(&alloc, &env, 0);
    br_table_init(&t, &alloc);
    draw_hashes(&m, rng, kind);
    for (int i = 0; i < steps; i++) {
        step(&t, &m, rng, i < steps / 2 ? 7 : 3);
        if (i % 97 == 0)
            assert_agrees(&t, &m);
    }
    assert_agrees(&t, &m);
    br_table_fini(&t);
    assert_int_equal(alloc.in_use, 0);
    assert_int_equal(memory->in_use, 0);
}

/* Members come and go for a long time: the table must hold exactly those that are there. */
static void test_holds_what_the_model_holds(void **state)
{
    (void)state;
    struct br_rng rng;
    br_rng_init(&rng, test_seed(), "table");
    for (int kind = 0; kind < 4; kind++)
        for (int band = 0; band < 5; band++) {
            struct test_memory memory;
            test_memory_init(&memory);
            run(&memory, &rng, kind, 4000);
        }
}

/* The same while one allocation fails, whichever it is, and while all fail from then on. */
static void test_any_failed_allocation_leaves_the_table_as_it_was(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (int after = 0; after < 2; after++) {
        uint64_t fail_at = 0, count;
        do {
            struct br_rng rng;
            struct test_memory memory;
            br_rng_init(&rng, seed, "table");
            test_memory_init(&memory);
            memory.fail_at = ++fail_at;
            memory.fail_after = after;
            run(&memory, &rng, 0, 1500);
            count = memory.count;
        } while (fail_at <= count && fail_at < 40);
        assert_true(fail_at > 3);
    }
}

/* 200,000 members come and as many go, in a table of 100: lookups must not get slower, which they would if
 * removed entries left marks. So as many slots are taken as there are entries, and the table did not grow. */
static void test_churn_leaves_nothing_behind(void **state)
{
    (void)state;
    struct test_memory memory;
    struct br_alloc alloc;
    struct br_table t;
    struct br_rng rng;
    test_memory_init(&memory);
    struct bruit_env env = test_memory_env(&memory);
    br_alloc_init(&alloc, &env, 0);
    br_table_init(&t, &alloc);
    br_rng_init(&rng, test_seed(), "table");
    uint64_t hashes[100];
    assert_int_equal(br_table_reserve(&t, 100), 0);
    size_t in_use = alloc.in_use;
    for (uint32_t i = 0; i < 100; i++) {
        hashes[i] = br_rng_u64(&rng);
        br_table_insert(&t, hashes[i], i);
    }
    for (uint32_t round = 0; round < 200000; round++) {
        uint32_t i = round % 100;
        assert_true(br_table_remove(&t, hashes[i], i));
        hashes[i] = br_rng_u64(&rng);
        assert_int_equal(br_table_reserve(&t, 1), 0);
        br_table_insert(&t, hashes[i], i);
    }
    assert_int_equal(alloc.in_use, in_use);
    uint32_t taken = 0;
    for (uint32_t at = 0; at < t.bucket_count; at++)
        for (uint32_t slot = 0; slot < BR_TABLE_BUCKET; slot++)
            taken += t.buckets[at].indices[slot] != BR_TABLE_NONE;
    assert_int_equal(taken, 100);
    br_table_fini(&t);
    assert_int_equal(memory.in_use, 0);
}

/* One entry in memory for 10,000 must cost at most 14 bytes after growing one by one. */
static void test_an_entry_costs_few_bytes(void **state)
{
    (void)state;
    struct br_alloc alloc;
    struct br_table t;
    struct br_rng rng;
    br_alloc_init(&alloc, NULL, 0);
    br_table_init(&t, &alloc);
    br_rng_init(&rng, 1, "table");
    for (uint32_t i = 0; i < 10000; i++) {
        assert_int_equal(br_table_reserve(&t, 1), 0);
        br_table_insert(&t, br_rng_u64(&rng), i);
        if (i > 100)
            assert_true(alloc.in_use <= 14 * (i + 1) + 64);
    }
    br_table_fini(&t);

    assert_int_equal(br_table_reserve(&t, 10000), 0); /* known beforehand: no more than 9.2 */
    assert_true(alloc.in_use <= 92000);
    br_table_fini(&t);
    assert_int_equal(alloc.in_use, 0);
}

/* An engine moves a member to another slot: the same hash must lead to the new index, and only to it. */
static void test_an_index_can_be_replaced(void **state)
{
    (void)state;
    struct br_alloc alloc;
    struct br_table t;
    br_alloc_init(&alloc, NULL, 0);
    br_table_init(&t, &alloc);
    assert_false(br_table_remove(&t, 5, 5));
    assert_int_equal(br_table_find(&t, 5, is_nothing, NULL), BR_TABLE_NONE);
    assert_int_equal(br_table_reserve(&t, 1), 0);
    br_table_insert(&t, 5, 5);
    assert_true(br_table_replace(&t, 5, 5, 6));
    assert_false(br_table_replace(&t, 5, 5, 7));
    uint32_t old_index = 5, new_index = 6;
    assert_int_equal(br_table_find(&t, 5, is_thing, &old_index), BR_TABLE_NONE);
    assert_int_equal(br_table_find(&t, 5, is_thing, &new_index), 6);
    br_table_fini(&t);
}

/* A count nobody can mean is refused before any memory is asked for. */
static void test_an_absurd_reservation_is_refused(void **state)
{
    (void)state;
    struct br_alloc alloc;
    struct br_table t;
    br_alloc_init(&alloc, NULL, 1 << 20);
    br_table_init(&t, &alloc);
    assert_int_equal(br_table_reserve(&t, UINT32_MAX), BRUIT_ENOMEM);
    assert_int_equal(br_table_reserve(&t, 1 << 20), BRUIT_ENOMEM);
    assert_int_equal(alloc.in_use, 0);
    assert_int_equal(br_table_reserve(&t, 100), 0);
    br_table_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_holds_what_the_model_holds),
        cmocka_unit_test(test_any_failed_allocation_leaves_the_table_as_it_was),
        cmocka_unit_test(test_churn_leaves_nothing_behind),
        cmocka_unit_test(test_an_entry_costs_few_bytes),
        cmocka_unit_test(test_an_index_can_be_replaced),
        cmocka_unit_test(test_an_absurd_reservation_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
