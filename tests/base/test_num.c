/*
 * The portable arithmetic: the recorded rows of the protocol's formulas, and closeness to libm.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/num.h"
#include "base/rng.h"
#include "support/memory.h"

#define MS BRUIT_MILLISECOND

static json_t *load_rows(const char *prefix)
{
    json_error_t error;
    json_t *all = json_load_file(BRUIT_TEST_VECTORS "/memberlist-formulas.json", 0, &error);
    if (all == NULL)
        fail_msg("%s: %s", error.source, error.text);
    const char *key;
    json_t *value, *rows = NULL;
    json_object_foreach(all, key, value) if (strncmp(key, prefix, strlen(prefix)) == 0) rows =
        json_incref(value);
    json_decref(all);
    assert_non_null(rows);
    return rows;
}

static int64_t at(json_t *row, size_t index)
{
    return json_integer_value(json_array_get(row, index));
}

/* A broadcast in a cluster of n must be sent as often as a Go member would send it. */
/* conformance: memberlist 61 */
static void test_retransmit_limit_is_that_of_every_recorded_row(void **state)
{
    (void)state;
    json_t *row, *rows = load_rows("retransmit_limit");
    size_t i;
    assert_int_equal(json_array_size(rows), 90);
    json_array_foreach(rows, i, row)
        assert_int_equal(br_num_retransmit_limit((uint32_t)at(row, 0), (uint32_t)at(row, 1)), at(row, 2));
    json_decref(rows);
}

/* Two members of one cluster must give a suspect the same time to refute, to the nanosecond. */
/* conformance: memberlist 56 */
static void test_suspicion_timeout_is_that_of_every_recorded_row(void **state)
{
    (void)state;
    json_t *row, *rows = load_rows("suspicion_timeout");
    size_t i;
    assert_int_equal(json_array_size(rows), 360);
    json_array_foreach(rows, i, row)
    {
        bruit_time interval = (bruit_time)at(row, 2) * MS;
        bruit_time timeout = br_num_suspicion_timeout((uint32_t)at(row, 0), (uint32_t)at(row, 1), interval);
        assert_int_equal(timeout, at(row, 3));
    }
    json_decref(rows);
}

/* Confirmations arrive: what remains of the suspicion shrinks as it does at a Go member. */
/* conformance: memberlist 56 */
static void test_remaining_suspicion_is_that_of_every_recorded_row(void **state)
{
    (void)state;
    json_t *row, *rows = load_rows("remaining_suspicion");
    size_t i;
    assert_int_equal(json_array_size(rows), 216);
    json_array_foreach(rows, i, row)
    {
        int64_t remaining = br_num_remaining_suspicion(
            (uint32_t)at(row, 0), (uint32_t)at(row, 1), (bruit_time)at(row, 2) * MS,
            (bruit_time)at(row, 3) * MS, (bruit_time)at(row, 4) * MS);
        assert_int_equal(remaining, at(row, 5));
    }
    json_decref(rows);
}

/* A large cluster must not exchange full states more often than Go members do. */
static void test_push_pull_scale_is_that_of_every_recorded_row(void **state)
{
    (void)state;
    json_t *row, *rows = load_rows("push_pull_scale");
    size_t i;
    assert_int_equal(json_array_size(rows), 30);
    json_array_foreach(rows, i, row)
    {
        bruit_time scaled = br_num_push_pull_scale((bruit_time)at(row, 0) * MS, (uint32_t)at(row, 1));
        assert_int_equal(scaled, (bruit_time)at(row, 2) * MS);
    }
    json_decref(rows);
}

/* Beyond the recorded rows the formulas must go on growing and stop at the ends of their types. */
static void test_formulas_hold_at_the_ends_of_their_ranges(void **state)
{
    (void)state;
    assert_int_equal(br_num_retransmit_limit(4, 0), 0); /* log10(1): nobody to tell */
    assert_int_equal(br_num_retransmit_limit(4, UINT32_MAX), 40);
    assert_int_equal(br_num_retransmit_limit(UINT32_MAX, UINT32_MAX), UINT32_MAX);
    assert_int_equal(br_num_suspicion_timeout(4, 0, 1000 * MS), 4000 * MS);
    assert_true(br_num_suspicion_timeout(UINT32_MAX, 10, BRUIT_NEVER / 2) == BRUIT_NEVER);
    assert_true(br_num_push_pull_scale(BRUIT_NEVER, 1000) == BRUIT_NEVER);
    assert_int_equal(br_num_push_pull_scale(0, 1000), 0);
    /* Nobody is expected to confirm: the minimum. */
    assert_int_equal(br_num_remaining_suspicion(0, 0, 500 * MS, 2000 * MS, 30000 * MS), 1500 * MS);
    /* Times nobody means are cut, not wrapped. */
    assert_true(br_num_remaining_suspicion(0, 3, 0, BRUIT_NEVER, BRUIT_NEVER) > 0);
    assert_true(br_num_remaining_suspicion(0, 3, BRUIT_NEVER, 0, BRUIT_NEVER) <= 0);
    assert_true(br_num_remaining_suspicion(UINT32_MAX, 3, 0, 2000 * MS, 30000 * MS) == (int64_t)(2000 * MS));
}

static void assert_close(double ours, double theirs)
{
    double scale = fabs(theirs);
    if (!(fabs(ours - theirs) <= 1e-14 * scale))
        fail_msg("%a is not %a", ours, theirs);
}

/* Go computes log2 and log10 in two parts that cancel near 1: there only the difference is small. */
static void assert_near(double ours, double theirs)
{
    if (!(fabs(ours - theirs) <= 1e-14 * fmax(1.0, fabs(theirs))))
        fail_msg("%a is not near %a", ours, theirs);
}

/* A double with a random fraction and an exponent in [-range, range]. */
static double draw_double(struct br_rng *rng, int range)
{
    double fraction = 1.0 + (double)(br_rng_u64(rng) >> 12) * 0x1p-52;
    int exponent = (int)br_rng_below(rng, 2 * (uint32_t)range + 1) - range;
    return ldexp(fraction, exponent);
}

/* Accrual and coordinates compute with these functions: they must be as good as libm's. */
static void test_functions_are_as_close_as_promised(void **state)
{
    (void)state;
    struct br_rng rng;
    br_rng_init(&rng, test_seed(), "num");
    for (int i = 0; i < 200000; i++) {
        double x = draw_double(&rng, i % 2 == 0 ? 3 : 1000);
        assert_close(br_num_log(x), log(x));
        assert_near(br_num_log2(x), log2(x));
        assert_near(br_num_log10(x), log10(x));
        assert_close(br_num_sqrt(x), sqrt(x));
        double power = ((double)(br_rng_u64(&rng) >> 11) * 0x1p-53 * 2.0 - 1.0) * (i % 2 == 0 ? 5.0 : 708.0);
        assert_close(br_num_exp(power), exp(power));
        double rounded = power * 1e4;
        assert_true(br_num_floor(rounded) == floor(rounded));
        assert_true(br_num_ceil(rounded) == ceil(rounded));
    }
    assert_close(br_num_log(0x1.23p-1060), log(0x1.23p-1060)); /* denormal */
    assert_close(br_num_sqrt(0x1.23p-1060), sqrt(0x1.23p-1060));
}

/* Where the functions have no value they must say so as C's do, not return a number. */
static void test_functions_at_the_ends_of_their_domains(void **state)
{
    (void)state;
    assert_true(br_num_log(0.0) == -INFINITY);
    assert_true(isnan(br_num_log(-1.0)));
    assert_true(isnan(br_num_log(NAN)));
    assert_true(br_num_log(INFINITY) == INFINITY);
    assert_true(br_num_log(1.0) == 0.0);
    assert_true(br_num_log2(1024.0) == 10.0);
    assert_true(br_num_exp(0.0) == 1.0);
    assert_true(br_num_exp(710.0) == INFINITY);
    assert_true(br_num_exp(-800.0) == 0.0);
    assert_true(br_num_exp(-INFINITY) == 0.0);
    assert_close(br_num_exp(709.78), exp(709.78));
    assert_true(isnan(br_num_exp(NAN)));
    assert_true(br_num_sqrt(0.0) == 0.0);
    assert_true(br_num_sqrt(INFINITY) == INFINITY);
    assert_true(isnan(br_num_sqrt(-1.0)));
    assert_true(br_num_floor(-0.5) == -1.0);
    assert_true(br_num_ceil(1e300) == 1e300);
}

/* Another compiler computes the same inputs: each bit of each result must be what it was here, with gcc
 * at -O2, when the number below was recorded. */
static void test_results_have_the_recorded_bits(void **state)
{
    (void)state;
    struct br_rng rng;
    br_rng_init(&rng, 1, "bits");
    uint64_t hash = 0;
    for (int i = 0; i < 20000; i++) {
        double x = draw_double(&rng, 40);
        double results[5] = {br_num_log(x), br_num_log2(x), br_num_log10(x), br_num_sqrt(x),
                             br_num_exp(x < 700.0 ? -x : 1.0 / x)};
        for (size_t k = 0; k < 5; k++) {
            uint64_t bits;
            memcpy(&bits, &results[k], sizeof bits);
            hash = (hash ^ bits) * UINT64_C(0x9e3779b97f4a7c15);
            hash ^= hash >> 32;
        }
    }
    if (hash != UINT64_C(0x5a87a615f8655957))
        fail_msg("the hash of the results is 0x%llx", (unsigned long long)hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retransmit_limit_is_that_of_every_recorded_row),
        cmocka_unit_test(test_suspicion_timeout_is_that_of_every_recorded_row),
        cmocka_unit_test(test_remaining_suspicion_is_that_of_every_recorded_row),
        cmocka_unit_test(test_push_pull_scale_is_that_of_every_recorded_row),
        cmocka_unit_test(test_formulas_hold_at_the_ends_of_their_ranges),
        cmocka_unit_test(test_functions_are_as_close_as_promised),
        cmocka_unit_test(test_functions_at_the_ends_of_their_domains),
        cmocka_unit_test(test_results_have_the_recorded_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
