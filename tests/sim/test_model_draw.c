/*
 * Draws for crowds, against what their distributions are known to be. Seeds are fixed and printed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "sim/model/draw.h"

#include <math.h>
#include <stdio.h>

#define SEED 7
#define DRAWS 40000

static struct br_rng stream(const char *name)
{
    struct br_rng rng;
    br_rng_init(&rng, SEED, name);
    print_message("  seed %d, stream %s\n", SEED, name);
    return rng;
}

/* Mean and variance of binomials of every size and method within 5 standard errors of n p and n p (1 - p). */
static void test_binomials_have_their_mean_and_variance(void **state)
{
    (void)state;
    static const struct {
        uint64_t n;
        double p;
    } cases[] = {
        {1, 0.3},       {16, 0.5},         {17, 0.02},       {40, 0.25},          {40, 0.249},
        {100, 0.97},    {1000, 0.001},     {1000, 0.0101},   {1000, 0.5},         {1000000, 1e-5},
        {1000000, 0.3}, {100000000, 1e-9}, {100000000, 0.7}, {6400000000u, 0.01},
    };
    struct br_rng rng = stream("binomial");
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        double n = (double)cases[c].n, p = cases[c].p, sum = 0, squares = 0;
        for (int i = 0; i < DRAWS; i++) {
            uint64_t drawn = br_draw_binomial(&rng, cases[c].n, p);
            assert_true(drawn <= cases[c].n);
            double off = (double)drawn - n * p;
            sum += off;
            squares += off * off;
        }
        double variance = n * p * (1 - p);
        double fourth = variance * (1 + (3 - 6.0 / n) * variance); /* fourth central moment */
        double mean_error = sqrt(variance / DRAWS),
               variance_error = sqrt((fourth - variance * variance) / DRAWS);
        print_message("  n %.0f p %g: mean off by %.2f, variance by %.2f standard errors\n", n, p,
                      sum / DRAWS / mean_error, (squares / DRAWS - variance) / variance_error);
        assert_true(fabs(sum / DRAWS) < 5 * mean_error);
        assert_true(fabs(squares / DRAWS - variance) < 5 * variance_error);
    }
}

/* The whole distribution, not two moments of it: chi-square of 25 coins, drawn by stepping and by rejection. */
static void test_binomials_have_the_right_shape(void **state)
{
    (void)state;
    static const double ps[] = {0.2, 0.45}; /* means 5 and 11.25: one method each */
    struct br_rng rng = stream("shape");
    for (size_t c = 0; c < 2; c++) {
        double expected[26], chi = 0, p = ps[c];
        uint32_t seen[26] = {0}, cells = 0;
        for (int x = 0; x <= 25; x++)
            expected[x] =
                DRAWS * exp(lgamma(26) - lgamma(x + 1) - lgamma(26 - x) + x * log(p) + (25 - x) * log(1 - p));
        for (int i = 0; i < DRAWS; i++)
            seen[br_draw_binomial(&rng, 25, p)]++;
        for (int x = 0; x <= 25; x++)
            if (expected[x] >= 5) {
                chi += (seen[x] - expected[x]) * (seen[x] - expected[x]) / expected[x];
                cells++;
            }
        print_message("  p %g: chi-square %.1f over %u cells\n", p, chi, cells);
        assert_true(chi < 45); /* 18 cells or fewer: beyond it once in 3,000 seeds */
    }
}

/* Nothing to draw, and nothing to choose. */
static void test_binomials_at_their_edges(void **state)
{
    (void)state;
    struct br_rng rng = stream("edges");
    assert_int_equal(br_draw_binomial(&rng, 0, 0.5), 0);
    assert_int_equal(br_draw_binomial(&rng, 1000, 0), 0);
    assert_int_equal(br_draw_binomial(&rng, 1000, -0.1), 0);
    assert_int_equal(br_draw_binomial(&rng, 1000, 1), 1000);
    assert_int_equal(br_draw_binomial(&rng, 1000, NAN), 0);
}

/* All of a crowd has some outcome, whatever the weights add up to. */
static void test_shares_of_a_crowd_add_up(void **state)
{
    (void)state;
    static const double weights[] = {0.5, 0, 2, 1e-12};
    struct br_rng rng = stream("shares");
    uint64_t out[4], total = 0;
    for (int i = 0; i < 100; i++) {
        br_draw_multinomial(&rng, 1000000, weights, 4, out);
        assert_int_equal(out[0] + out[1] + out[2] + out[3], 1000000);
        assert_int_equal(out[1], 0);
        total += out[0];
    }
    assert_true(fabs((double)total / 1e8 - 0.2) < 0.001);
}

static struct br_boxes boxes;

/* m balls hit b (1 - (1 - 1/b)^m) of b boxes on average: within a chunk, at its edge, and over several. */
static void test_balls_hit_as_many_boxes_as_they_should(void **state)
{
    (void)state;
    static const struct {
        uint32_t boxes;
        uint64_t balls;
        int draws;
    } cases[] = {{1, 5, 10},          {10, 7, 20000},      {64, 64, 5000},      {1000, 3000, 2000},
                 {65535, 40000, 100}, {65536, 65536, 100}, {65537, 65536, 100}, {1000000, 700000, 20}};
    struct br_rng rng = stream("boxes");
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        double b = cases[c].boxes, m = (double)cases[c].balls, sum = 0;
        for (int i = 0; i < cases[c].draws; i++)
            sum += br_draw_hit(&rng, &boxes, cases[c].boxes, cases[c].balls);
        double empty = exp(m * log1p(-1 / b)), pair = b > 1 ? exp(m * log1p(-2 / b)) : 0;
        double variance = b * empty + b * (b - 1) * pair - b * b * empty * empty;
        double error = sqrt((variance > 0 ? variance : 0) / cases[c].draws);
        print_message("  %.0f balls, %.0f boxes: %.3f, expected %.3f +- %.3f\n", m, b, sum / cases[c].draws,
                      b * (1 - empty), error);
        assert_true(fabs(sum / cases[c].draws - b * (1 - empty)) <= 5 * error + 1e-9);
    }
}

/* One sender's three messages go to three nodes: three boxes are all hit by one group, five by 3 or more. */
static void test_a_group_hits_different_boxes(void **state)
{
    (void)state;
    struct br_rng rng = stream("groups");
    static const uint64_t one_of_three[] = {0, 0, 0, 1};
    static const uint64_t two_of_three[] = {0, 0, 0, 2};
    double sum = 0;
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(br_draw_hit_groups(&rng, &boxes, 3, one_of_three, 3), 3);
        assert_int_equal(br_draw_hit_groups(&rng, &boxes, 100, one_of_three, 3), 3);
    }
    for (int i = 0; i < DRAWS; i++)
        sum += br_draw_hit_groups(&rng, &boxes, 5, two_of_three, 3);
    /* A box is missed by both groups with (2/5)^2. */
    assert_true(fabs(sum / DRAWS - 5 * (1 - 0.16)) < 0.02);
}

/* Two kinds of balls: those hit by the first, and by the second alone. */
static void test_two_kinds_of_balls(void **state)
{
    (void)state;
    struct br_rng rng = stream("kinds");
    uint32_t a, b;
    double sum_a = 0, sum_b = 0;
    for (int i = 0; i < 2000; i++) {
        br_draw_hit_both(&rng, &boxes, 1000, 300, 1000, &a, &b);
        sum_a += a;
        sum_b += b;
    }
    double missed_a = exp(300 * log1p(-0.001)), missed_b = exp(1000 * log1p(-0.001));
    assert_true(fabs(sum_a / 2000 - 1000 * (1 - missed_a)) < 1);
    assert_true(fabs(sum_b / 2000 - 1000 * missed_a * (1 - missed_b)) < 1.5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_binomials_have_their_mean_and_variance),
        cmocka_unit_test(test_binomials_have_the_right_shape),
        cmocka_unit_test(test_binomials_at_their_edges),
        cmocka_unit_test(test_shares_of_a_crowd_add_up),
        cmocka_unit_test(test_balls_hit_as_many_boxes_as_they_should),
        cmocka_unit_test(test_a_group_hits_different_boxes),
        cmocka_unit_test(test_two_kinds_of_balls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
