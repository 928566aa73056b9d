/*
 * The streams: the generator's published numbers, independence of names, and draws without bias.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/rng.h"

/* The authors' generator, started with the state 1, 2, 3, 4, gives these numbers. */
static void test_generator_is_xoshiro256starstar(void **state)
{
    (void)state;
    static const uint64_t expected[] = {
        11520,
        0,
        1509978240,
        1215971899390074240,
    };
    struct br_rng rng = {{1, 2, 3, 4}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_true(br_rng_u64(&rng) == expected[i]);
}

/* A recorded run is replayed on another machine: seed and name must give the same stream for ever. */
static void test_streams_are_those_recorded(void **state)
{
    (void)state;
    struct br_rng rng;
    br_rng_init(&rng, 42, "probe");
    uint64_t first = br_rng_u64(&rng);
    assert_true(first == UINT64_C(0x0fce134b29640bd6));
    br_rng_init(&rng, 42, "probe");
    assert_true(br_rng_u64(&rng) == first);
}

/* Two parts of the engine draw: neither name nor seed may lead to the same stream. */
static void test_names_and_seeds_make_different_streams(void **state)
{
    (void)state;
    struct br_rng probe, gossip, other_seed;
    br_rng_init(&probe, 1, "probe");
    br_rng_init(&gossip, 1, "gossip");
    br_rng_init(&other_seed, 2, "probe");
    for (int i = 0; i < 100; i++) {
        uint64_t drawn = br_rng_u64(&probe);
        assert_true(drawn != br_rng_u64(&gossip));
        assert_true(drawn != br_rng_u64(&other_seed));
    }
}

/* Targets are drawn from n members: each must be as likely as any other, and none beyond n. The seed is
 * fixed, so this passes always or never: five standard deviations of 10,000 draws each. */
static void test_below_is_uniform(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 2, 3, 7, 64, 100};
    struct br_rng rng;
    br_rng_init(&rng, 7, "below");
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        uint32_t n = sizes[s], counts[2][100] = {{0}};
        for (uint32_t i = 0; i < n * 10000; i++) {
            uint32_t drawn = br_rng_below(&rng, n);
            bruit_time time = br_rng_time_below(&rng, n);
            assert_true(drawn < n && time < n);
            counts[0][drawn]++;
            counts[1][time]++;
        }
        for (uint32_t i = 0; i < n; i++) {
            assert_in_range(counts[0][i], 9500, 10500);
            assert_in_range(counts[1][i], 9500, 10500);
        }
    }
}

/* With n at three quarters of the range a careless reduction makes some numbers twice as likely: the low third
 * if it takes the remainder, every third if it scales. */
static void test_large_ranges_have_no_bias(void **state)
{
    (void)state;
    struct br_rng rng;
    br_rng_init(&rng, 7, "bias");
    const uint32_t n = UINT32_C(3) << 30;
    const bruit_time time_n = UINT64_C(3) << 62;
    uint32_t low = 0, third = 0, time_low = 0, time_third = 0;
    for (int i = 0; i < 90000; i++) {
        uint32_t drawn = br_rng_below(&rng, n);
        bruit_time time = br_rng_time_below(&rng, time_n);
        low += drawn < n / 3;
        third += drawn % 3 == 0;
        time_low += time < time_n / 3;
        time_third += time % 3 == 0;
    }
    assert_in_range(low, 29300, 30700);
    assert_in_range(third, 29300, 30700);
    assert_in_range(time_low, 29300, 30700);
    assert_in_range(time_third, 29300, 30700);
    assert_true(br_rng_time_below(&rng, 0) == 0);
    assert_true(br_rng_time_below(&rng, 1) == 0);
}

/* A probe round is shuffled: all stay in, and each of the 24 orders of four is as likely. */
static void test_shuffle_gives_every_order(void **state)
{
    (void)state;
    struct br_rng rng;
    br_rng_init(&rng, 7, "shuffle");
    uint32_t counts[256] = {0}, orders = 0;
    for (int i = 0; i < 24000; i++) {
        uint32_t items[4] = {0, 1, 2, 3};
        br_rng_shuffle(&rng, items, 4);
        counts[items[0] | items[1] << 2 | items[2] << 4 | items[3] << 6]++;
    }
    for (int i = 0; i < 256; i++) {
        orders += counts[i] > 0;
        if (counts[i] > 0)
            assert_in_range(counts[i], 840, 1160);
    }
    assert_int_equal(orders, 24);
    br_rng_shuffle(&rng, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generator_is_xoshiro256starstar),
        cmocka_unit_test(test_streams_are_those_recorded),
        cmocka_unit_test(test_names_and_seeds_make_different_streams),
        cmocka_unit_test(test_below_is_uniform),
        cmocka_unit_test(test_large_ranges_have_no_bias),
        cmocka_unit_test(test_shuffle_gives_every_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
