/*
 * The random choice of members: never one that does not fit, nobody twice, nobody preferred.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "member/pick.h"
#include "support/core.h"

static bool is_alive(const void *context, uint32_t slot)
{
    const struct br_core *core = context;
    return slot != core->self && core->view.state[slot] == BRUIT_ALIVE;
}

static void assert_different(const uint32_t *slots, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < i; j++)
            assert_int_not_equal(slots[i], slots[j]);
}

/* Five members, two of which fit: choosing relays with replacement would often miss one; we never do. */
static void test_misses_nobody_in_a_small_list(void **state)
{
    (void)state;
    struct test_core t;
    test_core_init(&t, 5, 1);
    test_core_believe(&t, test_core_member(&t, 1), BRUIT_DEAD, 1);
    test_core_believe(&t, test_core_member(&t, 3), BRUIT_SUSPECT, 1);
    struct br_rng rng;
    br_rng_init(&rng, test_seed(), "test");
    for (int i = 0; i < 200; i++) {
        uint32_t slots[3];
        assert_int_equal(br_pick(&t.core.view, &rng, 3, is_alive, &t.core, slots), 2);
        assert_different(slots, 2);
        for (int j = 0; j < 2; j++)
            assert_true(is_alive(&t.core, slots[j]));
    }
    test_core_fini(&t);
}

/* The bound between the two methods: k and 3k members and their neighbours, and the most that can be asked for. */
static void test_keeps_to_k(void **state)
{
    (void)state;
    for (uint32_t members = 1; members <= 100; members++) {
        struct test_core t;
        test_core_init(&t, members, members);
        struct br_rng rng;
        br_rng_init(&rng, members, "test");
        for (uint32_t k = 0; k <= BR_PICK_MAX; k += 4) {
            uint32_t slots[BR_PICK_MAX];
            uint32_t count = br_pick(&t.core.view, &rng, k, is_alive, &t.core, slots);
            assert_true(count <= k && count < members);
            if (members < 3 * k)
                assert_int_equal(count, k < members - 1 ? k : members - 1);
            assert_different(slots, count);
        }
        test_core_fini(&t);
    }
}

/* In 12,000 choices of 3 among 40 each member is chosen 900 times on average; five standard deviations are 150. */
static void test_prefers_nobody(void **state)
{
    (void)state;
    struct test_core t;
    test_core_init(&t, 41, 1);
    struct br_rng rng;
    br_rng_init(&rng, test_seed(), "test");
    uint32_t chosen[64] = {0};
    for (int i = 0; i < 12000; i++) {
        uint32_t slots[3];
        assert_int_equal(br_pick(&t.core.view, &rng, 3, is_alive, &t.core, slots), 3);
        for (int j = 0; j < 3; j++)
            chosen[slots[j]]++;
    }
    for (uint32_t i = 1; i <= 40; i++)
        assert_in_range(chosen[test_core_member(&t, i)], 750, 1050);
    assert_int_equal(chosen[t.core.self], 0);
    test_core_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_misses_nobody_in_a_small_list),
        cmocka_unit_test(test_keeps_to_k),
        cmocka_unit_test(test_prefers_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
