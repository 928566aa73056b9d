/*
 * When a silence is too long: phi against the normal distribution's known values, moments that forget, the first
 * estimate, and the plain rule.
 */
#include "base/num.h"
#include "detect/accrual.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define S BRUIT_SECOND
#define MS BRUIT_MILLISECOND

static bool is_near(double a, double b, double by)
{
    double distance = a > b ? a - b : b - a;
    return distance <= by;
}

static struct br_accrual_rule rule_with(uint32_t threshold, bruit_time deviation_min)
{
    struct bruit_heartbeat_config config = {.interval = S,
                                            .threshold = threshold,
                                            .deviation_min = deviation_min,
                                            .first_interval = 2 * S,
                                            .window = 100,
                                            .rounds = 7};
    struct br_accrual_rule rule;
    br_accrual_rule_init(&rule, &config);
    return rule;
}

/* -log10 of erfc(z / sqrt 2) / 2, reckoned with 40 digits by another program. */
static void test_digits_are_the_tables(void **state)
{
    static const struct {
        double z;
        double digits;
    } known[] = {{0.0, 0.30102999566398}, {1.0, 0.79954554149197}, {2.0, 1.6430160801409},  {3.0, 2.8696990359294},
                 {4.0, 4.4993349075565},  {5.0, 6.5426456723907},  {6.0, 9.0058643274767},  {7.0, 11.892853637475},
                 {8.0, 15.206142551017},  {-1.0, 0.075026012957818}};
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        assert_true(is_near(br_num_normal_digits(known[i].z), known[i].digits, 1e-9));
}

/* Each threshold from 1 to 12 and its z are each other's inverse, and nothing jumps where the series are changed. */
static void test_thresholds_have_their_z(void **state)
{
    (void)state;
    for (unsigned phi = 1; phi <= 12; phi++)
        assert_true(is_near(br_num_normal_digits(br_num_normal_quantile((double)phi)), (double)phi, 1e-9));
    assert_true(is_near(br_num_normal_quantile(1.0), 1.281551565545, 1e-9));
    assert_true(is_near(br_num_normal_quantile(8.0), 5.612001244175, 1e-9));
    assert_true(is_near(br_num_normal_digits(1.9999999999), br_num_normal_digits(2.0000000001), 1e-8));
}

/* Beats each second, exactly: the deviation shrinks to the least that is believed, and the limit follows. */
static void test_a_regular_heart_is_judged_by_the_least_deviation(void **state)
{
    struct br_accrual_rule rule = rule_with(8000, 100 * MS);
    struct br_accrual pair;
    (void)state;
    br_accrual_begin(&pair, &rule, 10 * S);
    for (unsigned i = 1; i <= 2000; i++)
        br_accrual_beat(&pair, &rule, (10 + i) * S);
    assert_true(is_near((double)pair.mean, 1.0, 1e-3));
    assert_false(br_accrual_is_over(&pair, &rule, 2010 * S + 1550 * MS));
    assert_true(br_accrual_is_over(&pair, &rule, 2010 * S + 1570 * MS));
}

/* Before anything was measured: the first estimate, and a quarter of it as the deviation. */
static void test_the_first_beat_is_given_an_estimate(void **state)
{
    struct br_accrual_rule rule = rule_with(8000, 100 * MS);
    struct br_accrual pair;
    (void)state;
    br_accrual_begin(&pair, &rule, 0);
    assert_true(is_near((double)br_accrual_limit(&pair, &rule) / 1e9, 2.0 + 5.612001 * 0.5, 1e-3));
    assert_true(is_near(br_accrual_phi(&pair, &rule, 2 * S), 0.30103, 1e-4));
}

/* The heart slows down from 1 s to 3 s: after some windows nobody would call 4 s too long any more. */
static void test_moments_forget(void **state)
{
    struct br_accrual_rule rule = rule_with(8000, 500 * MS);
    struct br_accrual pair;
    bruit_time now = 0;
    (void)state;
    br_accrual_begin(&pair, &rule, now);
    for (unsigned i = 0; i < 500; i++)
        br_accrual_beat(&pair, &rule, now += S);
    assert_true(br_accrual_is_over(&pair, &rule, now + 4 * S));
    for (unsigned i = 0; i < 500; i++)
        br_accrual_beat(&pair, &rule, now += 3 * S);
    assert_false(br_accrual_is_over(&pair, &rule, now + 4 * S));
}

/* The moments are those of what arrived: 1 s and 3 s by turns have a mean of 2 and a deviation of 1. */
static void test_moments_are_right(void **state)
{
    struct br_accrual_rule rule = rule_with(8000, 1 * MS);
    struct br_accrual pair;
    bruit_time now = 0;
    (void)state;
    br_accrual_begin(&pair, &rule, now);
    for (unsigned i = 0; i < 3000; i++)
        br_accrual_beat(&pair, &rule, now += i % 2 == 0 ? S : 3 * S);
    assert_true(is_near((double)pair.mean, 2.0, 0.02));
    assert_true(is_near(br_num_sqrt((double)pair.variance), 1.0, 0.02));
}

/* The plain rule: seven rounds, whatever was measured. */
static void test_the_plain_rule_counts_rounds(void **state)
{
    struct br_accrual_rule rule = rule_with(8000, 100 * MS);
    struct br_accrual pair;
    (void)state;
    rule.is_plain = true;
    br_accrual_begin(&pair, &rule, S);
    assert_false(br_accrual_is_over(&pair, &rule, 8 * S));
    assert_true(br_accrual_is_over(&pair, &rule, 8 * S + 1));
}

/* What a pair costs is in the header's first paragraph. */
static void test_a_pair_takes_16_bytes(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct br_accrual), 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digits_are_the_tables),
        cmocka_unit_test(test_thresholds_have_their_z),
        cmocka_unit_test(test_a_regular_heart_is_judged_by_the_least_deviation),
        cmocka_unit_test(test_the_first_beat_is_given_an_estimate),
        cmocka_unit_test(test_moments_forget),
        cmocka_unit_test(test_moments_are_right),
        cmocka_unit_test(test_the_plain_rule_counts_rounds),
        cmocka_unit_test(test_a_pair_takes_16_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
