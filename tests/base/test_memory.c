/*
 * The accounted allocator, and the containers that only hold memory: pool, arena, buf.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdalign.h>
#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/pool.h"
#include "base/rng.h"
#include "support/memory.h"

#include <bruit/error.h>

/* An engine may hold 100 bytes: 100 are given, 101 are not, and giving back makes room again. */
static void test_the_cap_holds_to_the_byte(void **state)
{
    (void)state;
    struct test_memory memory;
    struct br_alloc a;
    test_memory_init(&memory);
    struct bruit_env env = test_memory_env(&memory);
    br_alloc_init(&a, &env, 100);
    void *p = br_alloc_new(&a, 60);
    void *q = br_alloc_new(&a, 40);
    assert_non_null(p);
    assert_non_null(q);
    assert_null(br_alloc_new(&a, 1));
    assert_int_equal(a.refused, 1);
    assert_null(br_alloc_resize(&a, q, 40, 41));
    q = br_alloc_resize(&a, q, 40, 10);
    assert_int_equal(a.in_use, 70);
    assert_int_equal(a.peak, 100);
    assert_int_equal(memory.in_use, 70);
    assert_null(br_alloc_new(&a, SIZE_MAX));
    assert_null(br_alloc_array(&a, SIZE_MAX / 2, 3));
    br_alloc_free(&a, p, 60);
    br_alloc_free(&a, NULL, 0);
    assert_null(br_alloc_resize(&a, q, 10, 0));
    assert_int_equal(a.in_use, 0);
    assert_int_equal(memory.in_use, 0);
}

/* The environment is out of memory: nothing may be counted as held, and the old block must survive. */
static void test_a_refusal_of_the_environment_changes_nothing(void **state)
{
    (void)state;
    struct test_memory memory;
    struct br_alloc a;
    test_memory_init(&memory);
    struct bruit_env env = test_memory_env(&memory);
    br_alloc_init(&a, &env, 0);
    char *p = br_alloc_new(&a, 4);
    memcpy(p, "abc", 4);
    memory.fail_at = memory.count + 1;
    assert_null(br_alloc_resize(&a, p, 4, 8));
    assert_string_equal(p, "abc");
    assert_int_equal(a.in_use, 4);
    assert_int_equal(a.refused, 1);
    br_alloc_free(&a, p, 4);
}

/* The steady state allocates nothing: the count says so, and moves with each request for more. */
static void test_counts_requests_for_more(void **state)
{
    (void)state;
    struct br_alloc a;
    br_alloc_init(&a, NULL, 0);
    void *p = br_alloc_array(&a, 3, 5);
    assert_int_equal(a.count, 1);
    p = br_alloc_resize(&a, p, 15, 16);
    assert_int_equal(a.count, 2);
    p = br_alloc_resize(&a, p, 16, 8);
    br_alloc_free(&a, p, 8);
    assert_int_equal(a.count, 2);
}

/* ---- pool ---- */

struct object {
    max_align_t first;
    uint32_t number;
};

#define OBJECTS 100

static void run_pool(struct test_memory *memory, struct br_rng *rng)
{
    struct bruit_env env = test_memory_env(memory);
    struct br_alloc a;
    struct br_pool p;
    struct object *objects[OBJECTS] = {NULL};
    br_alloc_init(&a, &env, 0);
    br_pool_init(&p, &a, sizeof(struct object), 7);
    for (int i = 0; i < 2000; i++) {
        uint32_t n = br_rng_below(rng, OBJECTS);
        if (objects[n] != NULL) {
            assert_int_equal(objects[n]->number, n);
            br_pool_free(&p, objects[n]);
            objects[n] = NULL;
            continue;
        }
        bool is_reserved = br_rng_below(rng, 2) == 0 && br_pool_reserve(&p, 3) == 0;
        objects[n] = br_pool_new(&p);
        if (is_reserved)
            assert_non_null(objects[n]);
        if (objects[n] == NULL)
            continue;
        assert_int_equal((uintptr_t)objects[n] % alignof(max_align_t), 0);
        assert_int_equal(objects[n]->number, 0);
        objects[n]->number = n;
    }
    for (uint32_t n = 0; n < OBJECTS; n++)
        br_pool_free(&p, objects[n]);
    br_pool_fini(&p);
    assert_int_equal(a.in_use, 0);
    assert_int_equal(memory->in_use, 0);
}

/* Objects are taken and given back at random: each keeps what was written to it, comes zeroed and aligned. */
static void test_pool_objects_do_not_overlap(void **state)
{
    (void)state;
    struct br_rng rng;
    struct test_memory memory;
    br_rng_init(&rng, test_seed(), "pool");
    test_memory_init(&memory);
    run_pool(&memory, &rng);
}

/* The same while the nth allocation fails, for every n: what was reserved is always there. */
static void test_pool_keeps_its_promises_when_memory_fails(void **state)
{
    (void)state;
    uint64_t seed = test_seed(), fail_at = 0, count;
    do {
        struct br_rng rng;
        struct test_memory memory;
        br_rng_init(&rng, seed, "pool");
        test_memory_init(&memory);
        memory.fail_at = ++fail_at;
        run_pool(&memory, &rng);
        count = memory.count;
    } while (fail_at <= count && fail_at < 100);
    assert_true(fail_at > 5);
}

/* ---- arena ---- */

/* A call takes pieces of many sizes; none overlaps another; after the reset the same call asks for no
 * memory any more. */
static void test_arena_reuses_its_memory(void **state)
{
    (void)state;
    struct test_memory memory;
    struct br_alloc a;
    struct br_arena arena;
    uint64_t seed = test_seed();
    test_memory_init(&memory);
    struct bruit_env env = test_memory_env(&memory);
    br_alloc_init(&a, &env, 0);
    br_arena_init(&arena, &a, 1024, 1 << 20);
    uint64_t count = 0;
    for (int call = 0; call < 5; call++) {
        struct br_rng rng;
        uint8_t *pieces[200];
        size_t sizes[200];
        br_rng_init(&rng, seed, "arena");
        for (uint8_t i = 0; i < 200; i++) {
            sizes[i] = br_rng_below(&rng, i % 10 == 0 ? 3000 : 100);
            pieces[i] = br_arena_new(&arena, sizes[i]);
            assert_non_null(pieces[i]);
            assert_int_equal((uintptr_t)pieces[i] % alignof(max_align_t), 0);
            memset(pieces[i], i, sizes[i]);
        }
        for (uint8_t i = 0; i < 200; i++)
            for (size_t k = 0; k < sizes[i]; k++)
                assert_int_equal(pieces[i][k], i);
        br_arena_reset(&arena);
        if (call > 0)
            assert_int_equal(a.count, count);
        count = a.count;
    }
    br_arena_fini(&arena);
    assert_int_equal(memory.in_use, 0);
}

/* One exchange was huge: after it at most keep_max is held, and small calls still cost nothing. */
static void test_arena_gives_back_what_is_too_much_to_keep(void **state)
{
    (void)state;
    struct br_alloc a;
    struct br_arena arena;
    br_alloc_init(&a, NULL, 0);
    br_arena_init(&arena, &a, 1024, 2048);
    assert_non_null(br_arena_new(&arena, 100));
    assert_non_null(br_arena_new(&arena, 1 << 20));
    br_arena_reset(&arena);
    assert_int_equal(a.in_use, 1024);
    uint64_t count = a.count;
    assert_non_null(br_arena_array(&arena, 10, 50));
    assert_int_equal(a.count, count);
    assert_null(br_arena_array(&arena, SIZE_MAX / 4, 8));
    assert_null(br_arena_new(&arena, SIZE_MAX));
    br_arena_fini(&arena);
    assert_int_equal(a.in_use, 0);
}

/* Memory ends in the middle of a call: the pieces taken so far stay good. */
static void test_arena_survives_a_failed_allocation(void **state)
{
    (void)state;
    struct test_memory memory;
    struct br_alloc a;
    struct br_arena arena;
    test_memory_init(&memory);
    struct bruit_env env = test_memory_env(&memory);
    br_alloc_init(&a, &env, 0);
    br_arena_init(&arena, &a, 256, 256);
    memory.fail_at = 2;
    memory.fail_after = true;
    char *p = br_arena_new(&arena, 16);
    assert_non_null(p);
    memcpy(p, "still here", 11);
    assert_null(br_arena_new(&arena, 1000));
    assert_non_null(br_arena_new(&arena, 16));
    assert_string_equal(p, "still here");
    br_arena_fini(&arena);
    assert_int_equal(memory.in_use, 0);
}

/* ---- buf ---- */

/* Two queues hold one encoded message: it lives until the second lets go. */
static void test_buf_lives_as_long_as_it_is_held(void **state)
{
    (void)state;
    struct br_alloc a;
    br_alloc_init(&a, NULL, 0);
    struct br_buf *buf = br_buf_new(&a, br_bytes_text("hello"));
    assert_ptr_equal(br_buf_hold(buf), buf);
    br_buf_drop(&a, buf);
    assert_true(br_bytes_equal(br_buf_bytes(buf), br_bytes_text("hello")));
    assert_int_not_equal(a.in_use, 0);
    br_buf_drop(&a, buf);
    assert_int_equal(a.in_use, 0);
    br_buf_drop(&a, NULL);
    assert_null(br_buf_hold(NULL));
    assert_int_equal(br_buf_bytes(NULL).size, 0);
    assert_null(br_buf_space(&a, SIZE_MAX));
    br_alloc_init(&a, NULL, 4);
    assert_null(br_buf_new(&a, br_bytes_text("hello")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_cap_holds_to_the_byte),
        cmocka_unit_test(test_a_refusal_of_the_environment_changes_nothing),
        cmocka_unit_test(test_counts_requests_for_more),
        cmocka_unit_test(test_pool_objects_do_not_overlap),
        cmocka_unit_test(test_pool_keeps_its_promises_when_memory_fails),
        cmocka_unit_test(test_arena_reuses_its_memory),
        cmocka_unit_test(test_arena_gives_back_what_is_too_much_to_keep),
        cmocka_unit_test(test_arena_survives_a_failed_allocation),
        cmocka_unit_test(test_buf_lives_as_long_as_it_is_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
