/*
 * What bruit-sim tune reckons with, and that simulated clusters have the last word.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "sim/tune.h"

#include <bruit/error.h>

#include <math.h>

#define SEED 5

static struct br_tune_goals goals_of(uint32_t nodes, bruit_time within)
{
    return (struct br_tune_goals){.nodes = nodes,
                                  .within = within,
                                  .sure = 0.9,
                                  .false_deaths = INFINITY,
                                  .bandwidth = INFINITY,
                                  .latency = BRUIT_MILLISECOND / 2};
}

static bool go_on(void *context, const char *what, double share)
{
    (void)context;
    (void)what;
    assert_true(share >= 0 && share <= 1);
    return true;
}

static int try(const struct br_tune_goals *goals, const struct bruit_config *engine, br_tune_watch watch,
               struct br_tune_evidence *evidence)
{
    char why[200] = "";
    int status = br_tune_try(goals, engine, SEED, 2, 0, watch, NULL, evidence, why, sizeof why);
    if (status != 0 && status != BRUIT_ECLOSED)
        fail_msg("%s", why);
    return status;
}

/* ---- the formula ---- */

/* Half the time, half the interval and twice the price of probes; never slower than was asked for. */
static void test_less_time_takes_faster_probes(void **state)
{
    struct bruit_config slow, fast;
    (void)state;
    struct br_tune_goals goals = goals_of(1000, 20 * BRUIT_SECOND);
    assert_int_equal(br_tune_propose(&goals, 4, 1, &slow), BR_TUNE_FITS);
    assert_true(br_tune_estimate(&goals, &slow).seconds <= 20);
    goals.within = 10 * BRUIT_SECOND;
    assert_int_equal(br_tune_propose(&goals, 4, 1, &fast), BR_TUNE_FITS);
    assert_true(br_tune_estimate(&goals, &fast).seconds <= 10);
    assert_in_range(fast.probe_interval, slow.probe_interval * 4 / 10, slow.probe_interval * 6 / 10);
    assert_true(br_tune_estimate(&goals, &fast).bandwidth > br_tune_estimate(&goals, &slow).bandwidth);
}

/* A thousand nodes within a second for 100 bytes: the bandwidth forbids it. Over 200 ms: the way does. */
static void test_the_formula_says_which_goals_fight(void **state)
{
    struct bruit_config engine;
    (void)state;
    struct br_tune_goals goals = goals_of(1000, BRUIT_SECOND);
    assert_int_equal(br_tune_propose(&goals, 2, 1, &engine), BR_TUNE_FITS);
    goals.bandwidth = 100;
    assert_int_equal(br_tune_propose(&goals, 2, 1, &engine), BR_TUNE_BANDWIDTH);
    goals.latency = 200 * BRUIT_MILLISECOND;
    assert_int_equal(br_tune_propose(&goals, 2, 1, &engine), BR_TUNE_LATENCY);
}

/* Impossible goals are refused before anything runs. */
static void test_impossible_goals_are_refused(void **state)
{
    (void)state;
    struct br_tune_goals goals = goals_of(100, 10 * BRUIT_SECOND);
    assert_null(br_tune_check(&goals));
    goals.false_deaths = 0;
    assert_non_null(br_tune_check(&goals));
    goals = goals_of(4, 10 * BRUIT_SECOND);
    assert_non_null(br_tune_check(&goals));
    goals = goals_of(100, 10 * BRUIT_MILLISECOND);
    assert_non_null(br_tune_check(&goals));
    goals = goals_of(100, 10 * BRUIT_SECOND);
    goals.loss = 0.5;
    assert_non_null(br_tune_check(&goals));
}

/* ---- statistics ---- */

/* All of 150 crashes in time prove 98.2 %; nothing proves nothing; 5 of 10 prove 27 %. */
static void test_a_part_is_proven_by_many(void **state)
{
    (void)state;
    assert_true(fabs(br_tune_least_part(150, 150) - 0.9823) < 0.001);
    assert_true(br_tune_least_part(0, 0) <= 0);
    assert_true(fabs(br_tune_least_part(5, 10) - 0.269) < 0.01);
}

/* Counts that follow loss^6 exactly are continued as that; few counts make the bound wide, none make none. */
static void test_rare_deaths_follow_a_power_of_the_loss(void **state)
{
    struct br_tune_level levels[3] = {{0.64, 1000, 4096000}, {0.32, 1000, 64000}, {0.16, 1000, 1000}};
    double power;
    (void)state;
    double most = br_tune_extrapolate(levels, 3, 0.01, 10, &power);
    assert_true(fabs(power - 6) < 0.01);
    double exact = pow(0.01 / 0.16, 6) * BR_DETECT_MONTH * 10;
    assert_true(most > exact && most < exact * 1.2);
    for (int i = 0; i < 3; i++)
        levels[i].deaths /= 1000;
    double wider = br_tune_extrapolate(levels, 3, 0.01, 10, &power);
    assert_true(fabs(power - 6) < 0.05);
    assert_true(1000 * wider > 1.2 * most); /* a thousandth of the rate, and less sure of it */
    levels[1].deaths = 4;
    assert_true(isinf(br_tune_extrapolate(levels, 3, 0.01, 10, &power)));
    assert_true(isnan(power));
    assert_true(isinf(br_tune_extrapolate(levels, 2, 0.01, 10, &power)));
}

/* ---- simulated clusters ---- */

/* The LAN profile among 60: known to all within 14 s nine times in ten, not within 8.5 s; as its evidence says. */
static void test_clusters_have_the_last_word(void **state)
{
    struct br_tune_evidence evidence;
    struct bruit_config engine;
    (void)state;
    bruit_config_lan(&engine);
    engine.compression = false;
    struct br_tune_goals goals = goals_of(60, 14 * BRUIT_SECOND);
    assert_int_equal(try(&goals, &engine, go_on, &evidence), 0);
    assert_int_equal(evidence.limit, BR_TUNE_FITS);
    assert_true(evidence.least_part >= 0.9);
    assert_true(evidence.bandwidth > 100 && evidence.bandwidth < 1000);
    goals.within = 8500 * BRUIT_MILLISECOND;
    assert_int_equal(try(&goals, &engine, go_on, &evidence), 0);
    assert_int_equal(evidence.limit, BR_TUNE_TOO_SLOW);
    goals.within = 14 * BRUIT_SECOND;
    goals.bandwidth = 100;
    assert_int_equal(try(&goals, &engine, go_on, &evidence), 0);
    assert_int_equal(evidence.limit, BR_TUNE_TOO_DEAR);
}

/* Times of 100 nodes, shifted, are those of 400: the formula of the suspicion holds. */
static void test_few_nodes_tell_the_time_of_many(void **state)
{
    struct br_detect_config many;
    struct br_detect_result result;
    struct br_tune_evidence evidence;
    char why[200] = "";
    (void)state;
    br_detect_config_default(&many);
    many.nodes = 400;
    many.trials = 60;
    many.threads = 2;
    many.watch = 0;
    many.seed = SEED;
    struct br_tune_goals goals = goals_of(400, 30 * BRUIT_SECOND);
    assert_int_equal(try(&goals, &many.engine, go_on, &evidence), 0);
    assert_int_equal(br_detect_run(&many, NULL, NULL, &result, why, sizeof why), 0);
    print_message("             p50 %.2f s reckoned with %u nodes, %.2f s among 400 (seed %d)\n",
                  evidence.few_p50, (unsigned)evidence.few_nodes, result.all.p50, SEED);
    assert_true(fabs(evidence.few_p50 - result.all.p50) < 0.4);
    br_detect_result_free(&result);
}

static bool stop(void *context, const char *what, double share)
{
    (void)context;
    (void)what;
    return share < 0.05;
}

/* Ctrl-C ends it, and that is told. */
static void test_a_search_can_be_stopped(void **state)
{
    struct br_tune_evidence evidence;
    struct bruit_config engine;
    (void)state;
    bruit_config_lan(&engine);
    engine.compression = false;
    struct br_tune_goals goals = goals_of(60, 14 * BRUIT_SECOND);
    assert_int_equal(try(&goals, &engine, stop, &evidence), BRUIT_ECLOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_less_time_takes_faster_probes),
        cmocka_unit_test(test_the_formula_says_which_goals_fight),
        cmocka_unit_test(test_impossible_goals_are_refused),
        cmocka_unit_test(test_a_part_is_proven_by_many),
        cmocka_unit_test(test_rare_deaths_follow_a_power_of_the_loss),
        cmocka_unit_test(test_clusters_have_the_last_word),
        cmocka_unit_test(test_few_nodes_tell_the_time_of_many),
        cmocka_unit_test(test_a_search_can_be_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
