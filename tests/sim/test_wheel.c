/*
 * The wheel of wake times, against a plain search through all of them.
 */
#include "sim/wheel.h"
#include "support/memory.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define IDS 50

static const bruit_time spans[] = {0,
                                   BRUIT_MICROSECOND,
                                   4 * BRUIT_MILLISECOND,
                                   500 * BRUIT_MILLISECOND,
                                   4294 * BRUIT_MILLISECOND, /* just within a turn */
                                   4300 * BRUIT_MILLISECOND, /* just beyond it */
                                   60 * BRUIT_SECOND,
                                   UINT64_C(400) * 24 * 3600 * BRUIT_SECOND};

static bruit_time earliest(const bruit_time *times)
{
    bruit_time least = BRUIT_NEVER;
    for (int i = 0; i < IDS; i++)
        least = times[i] < least ? times[i] : least;
    return least;
}

/* Times are set, moved and taken out at random, near and far; what comes first is always what a search finds. */
static void test_the_first_is_always_the_first(void **state)
{
    (void)state;
    struct test_memory memory;
    struct br_alloc alloc;
    struct br_sim_wheel wheel;
    struct br_rng rng;
    bruit_time times[IDS], now = 0;
    test_memory_init(&memory);
    struct bruit_env env = test_memory_env(&memory);
    br_alloc_init(&alloc, &env, 0);
    br_rng_init(&rng, test_seed(), "wheel");
    br_sim_wheel_init(&wheel, &alloc);
    assert_int_equal(br_sim_wheel_reserve(&wheel, IDS), 0);
    for (int i = 0; i < IDS; i++)
        times[i] = BRUIT_NEVER;
    for (int step = 0; step < 200000; step++) {
        uint32_t id = br_rng_below(&rng, IDS);
        bruit_time span = spans[br_rng_below(&rng, sizeof spans / sizeof *spans)];
        bool takes_out = br_rng_below(&rng, 10) == 0;
        times[id] = takes_out ? BRUIT_NEVER : now + br_rng_time_below(&rng, span + 1);
        br_sim_wheel_set(&wheel, id, times[id]);
        assert_int_equal(br_sim_wheel_time(&wheel, id), times[id]);
        assert_int_equal(br_sim_wheel_min_time(&wheel), earliest(times));
        if (earliest(times) == BRUIT_NEVER || br_rng_below(&rng, 3) != 0)
            continue;
        now = earliest(times); /* it comes, and is set anew or goes */
        id = br_sim_wheel_min(&wheel);
        assert_int_equal(times[id], now);
        times[id] = BRUIT_NEVER;
        br_sim_wheel_set(&wheel, id, BRUIT_NEVER);
    }
    br_sim_wheel_fini(&wheel);
    assert_int_equal(memory.in_use, 0);
}

/* Equal times: nobody is lost. */
static void test_nobody_is_lost_among_equals(void **state)
{
    (void)state;
    struct test_memory memory;
    struct br_alloc alloc;
    struct br_sim_wheel wheel;
    uint64_t seen = 0;
    test_memory_init(&memory);
    struct bruit_env env = test_memory_env(&memory);
    br_alloc_init(&alloc, &env, 0);
    br_sim_wheel_init(&wheel, &alloc);
    assert_int_equal(br_sim_wheel_reserve(&wheel, IDS), 0);
    for (uint32_t i = 0; i < IDS; i++)
        br_sim_wheel_set(&wheel, i, 100 * BRUIT_SECOND);
    while (br_sim_wheel_min_time(&wheel) != BRUIT_NEVER) {
        assert_int_equal(br_sim_wheel_min_time(&wheel), 100 * BRUIT_SECOND);
        seen |= UINT64_C(1) << br_sim_wheel_min(&wheel);
        br_sim_wheel_set(&wheel, br_sim_wheel_min(&wheel), BRUIT_NEVER);
    }
    assert_int_equal(seen, (UINT64_C(1) << IDS) - 1);
    br_sim_wheel_fini(&wheel);
    assert_int_equal(memory.in_use, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_is_always_the_first),
        cmocka_unit_test(test_nobody_is_lost_among_equals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
