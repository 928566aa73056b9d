/*
 * Local health: the bounds of the score, and what it stretches. Which event moves it by how much is the prober's:
 * test_probe.c.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "detect/awareness.h"
#include "support/core.h"

/* Nine refutations, then a long run of successes: the score ends at 7, and at 0, and never leaves them. */
/* conformance: memberlist 55 */
static void test_stays_between_0_and_7(void **state)
{
    (void)state;
    struct test_core t;
    test_core_init(&t, 1, 1);
    struct br_awareness a;
    br_awareness_init(&a, &t.core);
    br_awareness_apply(&a, -1);
    assert_int_equal(a.score, 0);
    for (uint32_t i = 1; i <= 7; i++) {
        br_awareness_apply(&a, BR_AWARENESS_REFUTED);
        assert_int_equal(a.score, i);
    }
    br_awareness_apply(&a, BR_AWARENESS_REFUTED);
    assert_int_equal(a.score, 7);
    br_awareness_apply(&a, -3);
    assert_int_equal(a.score, 4);
    br_awareness_apply(&a, INT32_MIN);
    assert_int_equal(a.score, 0);
    br_awareness_apply(&a, INT32_MAX);
    assert_int_equal(a.score, 7);
    test_core_fini(&t);
}

/* A score of 3 makes the interval four times as long; without an interval there is nothing to stretch. */
static void test_stretches_the_interval(void **state)
{
    (void)state;
    struct test_core t;
    test_core_init(&t, 1, 1);
    struct br_awareness a;
    br_awareness_init(&a, &t.core);
    assert_true(br_awareness_scale(&a, BRUIT_SECOND) == BRUIT_SECOND);
    br_awareness_apply(&a, 3);
    assert_true(br_awareness_scale(&a, BRUIT_SECOND) == 4 * BRUIT_SECOND);
    assert_true(br_awareness_scale(&a, 0) == 0);
    assert_true(br_awareness_scale(&a, BRUIT_NEVER) == BRUIT_NEVER);
    test_core_fini(&t);
}

/* With a maximum of 1 (or none at all) Lifeguard's local health is switched off. */
static void test_can_be_switched_off(void **state)
{
    (void)state;
    for (uint32_t max = 0; max <= 1; max++) {
        struct test_core t;
        test_core_init(&t, 1, 1);
        t.core.config.awareness_max = max;
        struct br_awareness a;
        br_awareness_init(&a, &t.core);
        br_awareness_apply(&a, 5);
        assert_int_equal(a.score, 0);
        test_core_fini(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stays_between_0_and_7),
        cmocka_unit_test(test_stretches_the_interval),
        cmocka_unit_test(test_can_be_switched_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
