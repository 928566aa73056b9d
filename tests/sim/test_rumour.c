/*
 * The model of rumours is checked against the shipped engine, at 1,000 and 10,000 nodes.
 *
 * Engines in rounds (sim/rumour.h) tell a user event; the model plays push with the same fan-out, and with a counter
 * that gives each node as many messages. They differ on purpose in two things, which the bands have to hold: one of an
 * engine's targets is its successor on a ring, and nobody is told in two rounds running; and after two rounds the
 * copies that an engine hears count as if it had sent them, so it sends fewer.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "sim/model/model.h"
#include "sim/rumour.h"

#include <bruit/error.h>

#include <math.h>
#include <string.h>

#define SEED 3
#define FANOUT 4 /* divides the 16 and 20 messages that each node sends among 1,000 and 10,000 */

static struct br_rumour_result engine;
static struct br_model_result model;

static void run_engine(const struct br_rumour_config *config)
{
    char why[200] = "";
    if (br_rumour_run(config, NULL, NULL, &engine, why, sizeof why) != 0)
        fail_msg("%s", why);
}

/* The round in which the mean curve first passes a height, between whole rounds in a straight line. */
static double passes(const double *curve, uint32_t count, double height)
{
    for (uint32_t i = 1; i < count; i++)
        if (curve[i] >= height)
            return i - (curve[i] - height) / (curve[i] - curve[i - 1]);
    return count;
}

static void compare(uint32_t nodes, uint32_t trials, double loss)
{
    struct br_rumour_config rumour = {
        .nodes = nodes, .fanout = FANOUT, .loss = loss, .trials = trials, .seed = SEED, .in_rounds = true};
    struct br_model_config config;
    run_engine(&rumour);
    br_model_config_default(&config);
    config.nodes = nodes;
    config.fanout = FANOUT;
    config.loss = loss;
    config.forget = BR_MODEL_COUNTER;
    config.interest = engine.limit / FANOUT;
    config.trials = 1000;
    config.seed = SEED;
    assert_int_equal(br_model_run(&config, NULL, NULL, &model), 0);
    double half[2] = {passes(engine.curve, engine.curve_count, 0.5),
                      passes(model.curve, model.curve_count, 0.5)};
    double most[2] = {passes(engine.curve, engine.curve_count, 0.99),
                      passes(model.curve, model.curve_count, 0.99)};
    print_message(
        "  n %u k %u loss %g seed %d, engine and model: half in round %.2f %.2f, 99 %% in %.2f %.2f, all in "
        "%.2f %.2f, messages %.2f %.2f, residue %.5f %.5f\n",
        nodes, FANOUT, loss, SEED, half[0], half[1], most[0], most[1], engine.all, model.rounds.mean,
        engine.messages, model.messages.mean, engine.residue, model.residue.mean);
    assert_true(fabs(half[0] - half[1]) < 0.25);
    assert_true(fabs(most[0] - most[1]) < 0.25);
    assert_true(engine.all <= model.rounds.mean); /* the ring leaves nobody to chance */
    assert_true(engine.all > model.rounds.mean - 1.25);
    assert_true(engine.messages <= model.messages.mean);
    assert_true(engine.messages >= 2 * FANOUT);
    assert_true(fabs(engine.residue - model.residue.mean) < 0.001);
}

/* A thousand engines: they inform each other in the rounds that the model says. */
static void test_the_model_agrees_with_a_thousand_engines(void **state)
{
    (void)state;
    compare(1000, 20, 0);
    compare(1000, 20, 0.2);
}

/* Ten thousand, where the model takes over. */
static void test_the_model_agrees_with_ten_thousand_engines(void **state)
{
    (void)state;
    compare(10000, 2, 0);
}

/* As shipped, an event does not wait for the grid: all 1,000 have it within the first gossip interval. */
static void test_as_shipped_all_hear_within_an_interval(void **state)
{
    (void)state;
    struct br_rumour_config rumour = {.nodes = 1000, .fanout = 3, .trials = 10, .seed = SEED};
    run_engine(&rumour);
    print_message("  half %.1f ms, 99 %% %.1f ms, all %.1f ms (%.1f to %.1f), %.2f messages, %u complete\n",
                  engine.half, engine.most, engine.all, engine.all_least, engine.all_most, engine.messages,
                  engine.complete);
    assert_int_equal(engine.complete, 10);
    assert_true(engine.most < 100);
    assert_true(engine.all_most < 600);
}

/* A fifth is dead and a tenth of the datagrams is lost: whoever lives hears all the same. */
static void test_the_living_hear_in_spite_of_loss_and_the_dead(void **state)
{
    (void)state;
    struct br_rumour_config rumour = {
        .nodes = 500, .fanout = 3, .loss = 0.1, .dead = 0.2, .trials = 5, .seed = SEED};
    run_engine(&rumour);
    assert_int_equal(engine.alive, 400);
    assert_int_equal(engine.complete, 5);
}

/* More than the engine-hosted mode takes, or nothing: refused with a sentence. */
static void test_impossible_rumours_are_refused(void **state)
{
    (void)state;
    struct br_rumour_config good = {.nodes = 10, .fanout = 3, .trials = 1}, bad;
    assert_null(br_rumour_check(&good));
    bad = good, bad.nodes = BR_RUMOUR_NODES_MAX + 1;
    assert_non_null(br_rumour_check(&bad));
    bad = good, bad.nodes = 1;
    assert_non_null(br_rumour_check(&bad));
    bad = good, bad.fanout = 33;
    assert_non_null(br_rumour_check(&bad));
    bad = good, bad.loss = 1;
    assert_non_null(br_rumour_check(&bad));
    bad = good, bad.dead = 1;
    assert_non_null(br_rumour_check(&bad));
    bad = good, bad.trials = 0;
    assert_non_null(br_rumour_check(&bad));
}

/* A thousand engines in a megabyte: refused before anything runs, with what it would take. */
static void test_what_does_not_fit_is_said_before(void **state)
{
    (void)state;
    char why[200] = "";
    struct br_rumour_config rumour = {.nodes = 1000, .fanout = 3, .trials = 1, .memory_max = 1 << 20};
    assert_int_equal(br_rumour_run(&rumour, NULL, NULL, &engine, why, sizeof why), BRUIT_ETOOBIG);
    print_message("  %s\n", why);
    assert_true(strlen(why) > 20);
    assert_int_equal(engine.trials, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_model_agrees_with_a_thousand_engines),
        cmocka_unit_test(test_the_model_agrees_with_ten_thousand_engines),
        cmocka_unit_test(test_as_shipped_all_hear_within_an_interval),
        cmocka_unit_test(test_the_living_hear_in_spite_of_loss_and_the_dead),
        cmocka_unit_test(test_what_does_not_fit_is_said_before),
        cmocka_unit_test(test_impossible_rumours_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
