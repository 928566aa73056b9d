/*
 * The small containers (ring, bitset, list) against plain arrays, and the arithmetic of times.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/bitset.h"
#include "base/list.h"
#include "base/ring.h"
#include "base/rng.h"
#include "base/time.h"
#include "support/memory.h"

#include <bruit/error.h>

/* ---- ring ---- */

#define RING_MAX 50

static void assert_ring_agrees(const struct br_ring *r, const uint32_t *model, uint32_t count)
{
    assert_int_equal(br_ring_count(r), count);
    assert_true(br_ring_is_full(r) == (count == RING_MAX));
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t *item = br_ring_at(r, i);
        assert_int_equal(*item, model[i]);
    }
    assert_null(br_ring_at(r, count));
    assert_ptr_equal(br_ring_front(r), br_ring_at(r, 0));
}

static void run_ring(struct test_memory *memory, struct br_rng *rng)
{
    struct bruit_env env = test_memory_env(memory);
    struct br_alloc a;
    struct br_ring r;
    uint32_t model[RING_MAX], count = 0;
    br_alloc_init(&a, &env, 0);
    br_ring_init(&r, &a, sizeof(uint32_t), RING_MAX);
    for (int i = 0; i < 3000; i++) {
        /* It fills in one half of the run and drains in the other. */
        if (br_rng_below(rng, 10) < (i % 600 < 300 ? 7 : 3)) {
            bool is_reserved = br_ring_reserve(&r, 1) == 0;
            uint32_t *item = br_ring_push(&r);
            if (is_reserved)
                assert_non_null(item);
            if (count == RING_MAX)
                assert_null(item);
            if (item != NULL) {
                assert_int_equal(*item, 0);
                *item = model[count++] = (uint32_t)i + 1;
            }
        } else {
            assert_true(br_ring_pop(&r) == (count > 0));
            if (count > 0)
                memmove(model, model + 1, --count * sizeof *model);
        }
        assert_ring_agrees(&r, model, count);
    }
    br_ring_fini(&r);
    assert_int_equal(memory->in_use, 0);
}

/* Intents are queued and taken: first in, first out, never more than the bound. */
static void test_ring_gives_what_the_model_gives(void **state)
{
    (void)state;
    struct br_rng rng;
    struct test_memory memory;
    br_rng_init(&rng, test_seed(), "ring");
    test_memory_init(&memory);
    run_ring(&memory, &rng);
}

/* The same while the nth allocation fails, for every n, or all from the nth on. */
static void test_any_failed_allocation_leaves_the_ring_as_it_was(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (int after = 0; after < 2; after++)
        for (uint64_t fail_at = 1; fail_at < 8; fail_at++) {
            struct br_rng rng;
            struct test_memory memory;
            br_rng_init(&rng, seed, "ring");
            test_memory_init(&memory);
            memory.fail_at = fail_at;
            memory.fail_after = after;
            run_ring(&memory, &rng);
        }
}

/* Room for 49 more of 50 is there with one item in, room for 50 more is not. */
static void test_ring_refuses_beyond_its_bound(void **state)
{
    (void)state;
    struct br_alloc a;
    struct br_ring r;
    br_alloc_init(&a, NULL, 0);
    br_ring_init(&r, &a, 3, RING_MAX);
    assert_non_null(br_ring_push(&r));
    assert_int_equal(br_ring_reserve(&r, 50), BRUIT_EFULL);
    assert_int_equal(br_ring_reserve(&r, 49), 0);
    uint64_t count = a.count;
    for (int i = 0; i < 49; i++)
        assert_non_null(br_ring_push(&r));
    assert_int_equal(a.count, count);
    assert_null(br_ring_push(&r));
    br_ring_clear(&r);
    assert_null(br_ring_front(&r));
    assert_non_null(br_ring_push(&r));
    br_ring_fini(&r);
    assert_int_equal(a.in_use, 0);
}

/* ---- bitset ---- */

#define NUMBERS 1000

static void run_bitset(struct test_memory *memory, struct br_rng *rng)
{
    struct bruit_env env = test_memory_env(memory);
    struct br_alloc a;
    struct br_bitset b;
    bool model[NUMBERS] = {false};
    br_alloc_init(&a, &env, 0);
    br_bitset_init(&b, &a);
    for (int i = 0; i < 3000; i++) {
        uint32_t n = br_rng_below(rng, NUMBERS);
        if (br_rng_below(rng, 2) == 0) {
            br_bitset_clear(&b, n);
            model[n] = false;
        } else if (br_bitset_reserve(&b, n + 1) == 0) {
            br_bitset_set(&b, n);
            model[n] = true;
        }
        assert_true(br_bitset_has(&b, n) == model[n]);
    }
    uint32_t count = 0, next = br_bitset_next(&b, 0);
    for (uint32_t n = 0; n < NUMBERS; n++) {
        assert_true(br_bitset_has(&b, n) == model[n]);
        assert_true((next == n) == model[n]);
        if (next == n)
            next = br_bitset_next(&b, n + 1);
        count += model[n];
    }
    assert_int_equal(next, BR_BITSET_NONE);
    assert_int_equal(br_bitset_count(&b), count);
    br_bitset_clear_all(&b);
    assert_int_equal(br_bitset_count(&b), 0);
    br_bitset_fini(&b);
    assert_int_equal(memory->in_use, 0);
}

/* Numbers go in and out: asked, counted and walked, the set must be the model's, failing memory or not. */
static void test_bitset_holds_what_the_model_holds(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (uint64_t fail_at = 0; fail_at < 10; fail_at++) {
        struct br_rng rng;
        struct test_memory memory;
        br_rng_init(&rng, seed, "bitset");
        test_memory_init(&memory);
        memory.fail_at = fail_at;
        run_bitset(&memory, &rng);
    }
}

/* Numbers that no set can hold are not in any, and asking costs nothing. */
static void test_bitset_has_no_numbers_beyond_its_size(void **state)
{
    (void)state;
    struct br_alloc a;
    struct br_bitset b;
    br_alloc_init(&a, NULL, 0);
    br_bitset_init(&b, &a);
    assert_false(br_bitset_has(&b, 0));
    assert_false(br_bitset_has(&b, UINT32_MAX));
    br_bitset_clear(&b, UINT32_MAX);
    br_bitset_clear_all(&b);
    assert_int_equal(br_bitset_next(&b, 0), BR_BITSET_NONE);
    assert_int_equal(br_bitset_reserve(&b, 64), 0);
    br_bitset_set(&b, 63);
    assert_false(br_bitset_has(&b, 64));
    assert_int_equal(br_bitset_next(&b, 63), 63);
    assert_int_equal(br_bitset_next(&b, 64), BR_BITSET_NONE);
    br_bitset_fini(&b);
}

/* ---- list ---- */

struct item {
    int number;
    struct br_list link;
};

static int number_of(struct br_list *link)
{
    return BR_LIST_OF(link, struct item, link)->number;
}

static void assert_list_is(struct br_list *head, const char *numbers)
{
    size_t i = 0;
    BR_LIST_EACH(link, head)
    {
        assert_ptr_equal(link->next->prev, link);
        assert_int_equal(number_of(link), numbers[i++] - '0');
    }
    assert_int_equal(numbers[i], '\0');
}

/* Items enter at both ends and leave from the middle, some twice: order must be kept. */
static void test_list_keeps_its_order(void **state)
{
    (void)state;
    struct br_list head;
    struct item items[5];
    br_list_init(&head);
    assert_true(br_list_is_empty(&head));
    assert_null(br_list_front(&head));
    assert_null(br_list_back(&head));
    assert_null(br_list_pop_front(&head));
    for (int i = 0; i < 5; i++)
        items[i].number = i;
    br_list_push_back(&head, &items[1].link);
    br_list_push_back(&head, &items[2].link);
    br_list_push_front(&head, &items[0].link);
    br_list_push_back(&head, &items[4].link);
    br_list_insert_before(&items[4].link, &items[3].link);
    assert_list_is(&head, "01234");
    br_list_remove(&items[2].link);
    br_list_remove(&items[2].link);
    assert_list_is(&head, "0134");
    assert_int_equal(number_of(br_list_back(&head)), 4);
    assert_int_equal(number_of(br_list_pop_front(&head)), 0);
    assert_list_is(&head, "134");
    BR_LIST_EACH_SAFE(link, &head)
    if (number_of(link) != 3)
        br_list_remove(link);
    assert_list_is(&head, "3");
}

/* ---- time ---- */

/* A deadline so far off that the sum would wrap must be never, not long ago. */
static void test_times_stop_at_their_ends(void **state)
{
    (void)state;
    assert_true(br_time_add(5, 6) == 11);
    assert_true(br_time_add(BRUIT_NEVER - 5, 5) == BRUIT_NEVER);
    assert_true(br_time_add(BRUIT_NEVER - 5, 6) == BRUIT_NEVER);
    assert_true(br_time_add(BRUIT_NEVER, 1) == BRUIT_NEVER);
    assert_true(br_time_add(1, BRUIT_NEVER) == BRUIT_NEVER);
    assert_true(br_time_since(5, 7) == 2);
    assert_true(br_time_since(7, 5) == 0);
    assert_true(br_time_mul(BRUIT_NEVER / 2, 2) == BRUIT_NEVER - 1);
    assert_true(br_time_mul(BRUIT_NEVER / 2, 3) == BRUIT_NEVER);
    assert_true(br_time_mul(BRUIT_NEVER, 0) == 0);
    assert_true(br_time_min(3, BRUIT_NEVER) == 3);
    assert_true(br_time_max(3, 4) == 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring_gives_what_the_model_gives),
        cmocka_unit_test(test_any_failed_allocation_leaves_the_ring_as_it_was),
        cmocka_unit_test(test_ring_refuses_beyond_its_bound),
        cmocka_unit_test(test_bitset_holds_what_the_model_holds),
        cmocka_unit_test(test_bitset_has_no_numbers_beyond_its_size),
        cmocka_unit_test(test_list_keeps_its_order),
        cmocka_unit_test(test_times_stop_at_their_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
