/*
 * The rumour models against the plainest program there is: an array of nodes, each of which draws its peers.
 *
 * The models keep counts and no nodes; the reference below keeps nodes and no counts. Whatever is asked of both
 * must come out the same, but for chance: the bands are five standard errors of the two means.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "sim/model/model.h"

#include <bruit/error.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SEED 11
#define NODES_MAX 1024

static struct br_model_result result;

static void run(const struct br_model_config *config)
{
    assert_int_equal(br_model_run(config, NULL, NULL, &result), 0);
    assert_int_equal(result.trials, config->trials);
}

static struct br_model_config push(uint32_t nodes, uint32_t fanout, uint32_t trials)
{
    struct br_model_config config;
    br_model_config_default(&config);
    config.nodes = nodes;
    config.fanout = fanout;
    config.trials = trials;
    config.seed = SEED;
    return config;
}

/* ------------------------------------------------------------------ the reference */

struct outcome {
    double rounds, messages, informed;
};

static struct br_rng dice;

static bool arrives(const struct br_model_config *config)
{
    return br_draw_unit(&dice) >= config->loss;
}

/* `fanout` different peers of `self`. */
static void pick_peers(const struct br_model_config *config, uint32_t self, uint32_t *peers)
{
    for (uint32_t i = 0; i < config->fanout; i++) {
        bool again;
        do {
            peers[i] = br_rng_below(&dice, config->nodes);
            again = peers[i] == self && !config->self_too;
            for (uint32_t j = 0; j < i; j++)
                again = again || peers[j] == peers[i];
        } while (again);
    }
}

/* Push, pull and push-pull among nodes; those from `alive` on are dead. With `interest`, talking has an end. */
static struct outcome play(const struct br_model_config *config)
{
    static bool knows[NODES_MAX], next[NODES_MAX];
    static uint32_t talked[NODES_MAX];
    uint32_t alive = br_model_alive(config), informed = 1, round = 0, peers[8];
    struct outcome outcome = {0};
    bool somebody_talks = true;
    memset(knows, 0, sizeof knows);
    memset(next, 0, sizeof next);
    memset(talked, 0, sizeof talked);
    knows[0] = next[0] = true;
    while ((config->interest > 0 || informed < alive) && somebody_talks) {
        round++;
        for (uint32_t node = 0; node < alive; node++) {
            bool talks = knows[node] && (config->interest == 0 || talked[node] < config->interest);
            bool asks = !knows[node] && config->mode != BR_MODEL_PUSH;
            bool tells = talks && config->mode != BR_MODEL_PULL;
            talked[node] += talks;
            if (!asks && !tells)
                continue;
            pick_peers(config, node, peers);
            for (uint32_t i = 0; i < config->fanout; i++) {
                outcome.messages++;
                if (!arrives(config) || peers[i] >= alive || peers[i] == node)
                    continue;
                if (tells) {
                    next[peers[i]] = true;
                } else if (knows[peers[i]]) {
                    outcome.messages++;
                    if (arrives(config))
                        next[node] = true;
                }
            }
        }
        uint32_t before = informed;
        informed = 0;
        somebody_talks = config->interest == 0;
        for (uint32_t node = 0; node < alive; node++) {
            knows[node] = next[node];
            informed += knows[node];
            somebody_talks = somebody_talks || (knows[node] && talked[node] < config->interest);
        }
        if (informed > before)
            outcome.rounds = round;
    }
    outcome.informed = informed;
    return outcome;
}

/* Flooding over a graph that is drawn first: outgoing[i] are the connections that i opened. */
static struct outcome flood(const struct br_model_config *config)
{
    static uint32_t outgoing[NODES_MAX][8];
    static uint32_t heard_in[NODES_MAX]; /* the round, + 1; 0: not yet */
    uint32_t alive = br_model_alive(config), round = 0;
    struct outcome outcome = {.informed = 1};
    memset(heard_in, 0, sizeof heard_in);
    for (uint32_t node = 0; node < config->nodes; node++)
        for (uint32_t i = 0; i < config->fanout; i++)
            do
                outgoing[node][i] = br_rng_below(&dice, config->nodes);
            while (outgoing[node][i] == node);
    heard_in[0] = 1;
    for (bool goes_on = true; goes_on;) {
        goes_on = false;
        round++;
        for (uint32_t node = 0; node < alive; node++)
            for (uint32_t i = 0; i < config->fanout; i++) {
                uint32_t peer = outgoing[node][i];
                /* Each end that was informed in the last round announces, unless the other has before. */
                if (heard_in[node] == round && (heard_in[peer] == 0 || heard_in[peer] >= round)) {
                    outcome.messages++;
                    if (arrives(config) && peer < alive && heard_in[peer] == 0)
                        heard_in[peer] = round + 1;
                }
                if (heard_in[peer] == round && (heard_in[node] == 0 || heard_in[node] >= round)) {
                    outcome.messages++;
                    if (arrives(config) && heard_in[node] == 0)
                        heard_in[node] = round + 1;
                }
            }
        for (uint32_t node = 0; node < alive; node++)
            if (heard_in[node] == round + 1) {
                outcome.informed++;
                outcome.messages += 2;
                outcome.rounds = round;
                goes_on = true;
            }
    }
    return outcome;
}

static void compare(const char *what, double ours, double ours_deviation, double sum, double squares,
                    uint32_t trials)
{
    double mean = sum / trials, variance = squares / trials - mean * mean;
    variance = variance > 0 ? variance : 0;
    double error = sqrt((variance + ours_deviation * ours_deviation) / trials);
    print_message("    %-9s model %.4f, nodes %.4f +- %.4f\n", what, ours, mean, error);
    assert_true(fabs(ours - mean) <= 5 * error + 1e-9);
}

static void compare_with_reference(const struct br_model_config *config)
{
    double rounds[2] = {0}, messages[2] = {0}, informed[2] = {0};
    br_rng_init(&dice, config->seed, "reference");
    for (uint32_t i = 0; i < config->trials; i++) {
        struct outcome outcome = config->mode == BR_MODEL_FLOOD ? flood(config) : play(config);
        double alive = br_model_alive(config);
        rounds[0] += outcome.rounds;
        rounds[1] += outcome.rounds * outcome.rounds;
        messages[0] += outcome.messages / alive;
        messages[1] += outcome.messages / alive * (outcome.messages / alive);
        informed[0] += outcome.informed / alive;
        informed[1] += outcome.informed / alive * (outcome.informed / alive);
    }
    run(config);
    print_message("  mode %d, n %u, k %u, loss %g, dead %g, interest %u; %u trials, seed %d\n",
                  (int)config->mode, config->nodes, config->fanout, config->loss, config->dead,
                  config->interest, config->trials, SEED);
    compare("rounds", result.rounds.mean, result.rounds.deviation, rounds[0], rounds[1], config->trials);
    compare("messages", result.messages.mean, result.messages.deviation, messages[0], messages[1],
            config->trials);
    compare("informed", 1 - result.residue.mean, result.residue.deviation, informed[0], informed[1],
            config->trials);
}

/* ------------------------------------------------------------------ the model is the process */

/* Every mode, few nodes and many, fan-out, loss and dead nodes: counts and nodes agree. */
static void test_the_model_agrees_with_node_after_node(void **state)
{
    (void)state;
    static const struct {
        uint32_t nodes, fanout;
        double loss, dead;
    } cases[] = {
        {2, 1, 0, 0}, {5, 3, 0, 0}, {10, 2, 0.3, 0}, {50, 1, 0, 0.2}, {300, 3, 0, 0}, {300, 2, 0.1, 0.25},
    };
    for (unsigned mode = 0; mode < 3; mode++)
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            struct br_model_config config = push(cases[i].nodes, cases[i].fanout, 1500);
            config.mode = (enum br_model_mode)mode;
            config.loss = cases[i].loss;
            config.dead = cases[i].dead;
            compare_with_reference(&config);
        }
}

/* The same when a node may draw itself, and nothing comes of it. */
static void test_a_turn_may_be_lost_on_oneself(void **state)
{
    (void)state;
    for (unsigned mode = 0; mode < 3; mode++) {
        struct br_model_config config = push(6, 2, 3000);
        config.mode = (enum br_model_mode)mode;
        config.self_too = true;
        compare_with_reference(&config);
    }
}

/* Serf's kind of rumour, told in a few rounds and then no more: who never hears is the same part, too. */
static void test_rumours_that_end_agree_with_node_after_node(void **state)
{
    (void)state;
    static const uint32_t interests[] = {1, 2, 4};
    for (size_t i = 0; i < 3; i++) {
        struct br_model_config config = push(300, 3, 1500);
        config.loss = i == 1 ? 0.2 : 0;
        config.forget = BR_MODEL_COUNTER;
        config.interest = interests[i];
        compare_with_reference(&config);
    }
}

/* A graph that is drawn first, and one that is revealed by the flood, are flooded alike. */
static void test_flooding_agrees_with_a_graph(void **state)
{
    (void)state;
    static const struct {
        uint32_t nodes, fanout;
        double dead;
    } cases[] = {{3, 1, 0}, {10, 2, 0}, {300, 1, 0}, {300, 3, 0}, {1000, 8, 0}, {300, 3, 0.3}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct br_model_config config = push(cases[i].nodes, cases[i].fanout, 1500);
        config.mode = BR_MODEL_FLOOD;
        config.dead = cases[i].dead;
        compare_with_reference(&config);
    }
}

/* ------------------------------------------------------------------ the literature */

/* Mean rounds of push and of push-pull to one peer, measured by others: within 2 %, from 10^3 to 10^6 nodes. */
static void test_rounds_are_those_measured(void **state)
{
    (void)state;
    static const struct {
        uint32_t nodes, trials;
        double push, push_pull;
    } rows[] = {{1000, 10000, 17.88, 9.13},
                {10000, 4000, 23.66, 11.60},
                {100000, 1000, 29.38, 14.00},
                {1000000, 100, 35.12, 16.12}};
    print_message("seed %d; ours, measured\n", SEED);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct br_model_config config = push(rows[i].nodes, 1, rows[i].trials);
        run(&config);
        double pushed = result.rounds.mean;
        config.mode = BR_MODEL_PUSH_PULL;
        run(&config);
        print_message("  n %7u: push %.2f %.2f, push-pull %.2f %.2f\n", rows[i].nodes, pushed, rows[i].push,
                      result.rounds.mean, rows[i].push_pull);
        assert_true(fabs(pushed / rows[i].push - 1) < 0.02);
        assert_true(fabs(result.rounds.mean / rows[i].push_pull - 1) < 0.02);
    }
}

/* Push until all know costs this many transmissions a node, as others measured in fewer trials: within 3 %. */
static void test_messages_are_those_measured(void **state)
{
    (void)state;
    static const struct {
        uint32_t nodes, trials;
        double messages;
    } rows[] = {{1000, 10000, 7.8}, {10000, 4000, 10.3}, {100000, 1000, 12.7}, {1000000, 100, 15.1}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct br_model_config config = push(rows[i].nodes, 1, rows[i].trials);
        run(&config);
        print_message("  n %7u: %.2f messages a node, measured %.1f\n", rows[i].nodes, result.messages.mean,
                      rows[i].messages);
        assert_true(fabs(result.messages.mean / rows[i].messages - 1) < 0.03);
    }
}

/* The formulas are off by a constant and no more, and nothing is faster than the bound. */
static void test_formulas_stand_beside_what_is_simulated(void **state)
{
    (void)state;
    for (uint32_t fanout = 1; fanout <= 4; fanout++)
        for (uint32_t nodes = 1000; nodes <= 100000; nodes *= 10) {
            struct br_model_config config = push(nodes, fanout, 50);
            run(&config);
            double formula = br_model_theory_rounds(&config), bound = br_model_lower_bound(&config);
            print_message("  n %u k %u: %.2f, formula %.2f, bound %.2f, mean field %u\n", nodes, fanout,
                          result.rounds.mean, formula, bound, br_model_mean_field_rounds(&config));
            assert_true(fabs(result.rounds.mean - formula) < 2);
            assert_true(result.rounds.least >= bound - 1e-9);
            assert_true(fabs(result.rounds.mean - br_model_mean_field_rounds(&config)) < 2.5);
        }
}

/* ------------------------------------------------------------------ the house's promises */

/* Two runs, one with one thread and one with three, give the same numbers to the last bit. */
static void test_threads_change_nothing(void **state)
{
    (void)state;
    static struct br_model_result other;
    struct br_model_config config = push(1000, 2, 333);
    config.loss = 0.1;
    run(&config);
    other = result;
    config.threads = 3;
    run(&config);
    assert_memory_equal(&other, &result, sizeof result);
    config.seed++;
    run(&config);
    assert_true(other.rounds.mean != result.rounds.mean);
}

/* A recorded result is compared years later: the seed still gives it. */
static void test_a_seed_gives_what_it_gave(void **state)
{
    (void)state;
    static struct br_boxes boxes;
    static struct br_model_trial trial;
    struct br_model_config config = push(100000, 3, 1);
    br_model_trial(&config, 5, &boxes, &trial);
    print_message("  rounds %u, messages %llu\n", trial.rounds, (unsigned long long)trial.messages);
    assert_int_equal(trial.rounds, 13);
    assert_int_equal(trial.messages, 1350582);
}

/* The curve begins with one node, never falls, and ends with those who were informed. */
static void test_the_curve_is_one_of_growth(void **state)
{
    (void)state;
    for (unsigned mode = 0; mode < 4; mode++) {
        struct br_model_config config = push(500, 2, 200);
        config.mode = (enum br_model_mode)mode;
        run(&config);
        assert_true(fabs(result.curve[0] - 1.0 / 500) < 1e-12);
        for (uint32_t i = 0; i < result.curve_count; i++) {
            assert_true(result.curve_low[i] <= result.curve[i] + 1e-12);
            assert_true(result.curve_high[i] >= result.curve[i] - 1e-12);
            assert_true(i == 0 || result.curve[i] >= result.curve[i - 1]);
        }
        assert_true(fabs(result.curve[result.curve_count - 1] - (1 - result.residue.mean)) < 1e-9);
    }
}

static bool stop_at_ten(void *context, uint32_t done, uint32_t trials)
{
    (void)context;
    (void)trials;
    return done < 10;
}

/* Ctrl-C after ten of a hundred trials: what was found so far is there, and says of how many it is. */
static void test_a_run_that_is_stopped_keeps_what_it_has(void **state)
{
    (void)state;
    struct br_model_config config = push(100, 1, 100);
    assert_int_equal(br_model_run(&config, stop_at_ten, NULL, &result), 0);
    assert_int_equal(result.trials, 10);
    assert_true(result.rounds.mean > 5);
}

/* A user asks for the impossible: each is refused with a sentence, and nothing runs. */
static void test_impossible_parameters_are_refused(void **state)
{
    (void)state;
    struct br_model_config good = push(1000, 1, 1), bad;
    assert_null(br_model_config_check(&good));
#define REFUSED(change)                                                          \
    do {                                                                         \
        bad = good;                                                              \
        change;                                                                  \
        assert_non_null(br_model_config_check(&bad));                            \
        assert_int_equal(br_model_run(&bad, NULL, NULL, &result), BRUIT_EINVAL); \
    } while (0)
    REFUSED(bad.nodes = 1);
    REFUSED(bad.nodes = BR_MODEL_NODES_MAX + 1);
    REFUSED(bad.fanout = 0);
    REFUSED(bad.fanout = BR_MODEL_FANOUT_MAX + 1);
    REFUSED(bad.nodes = bad.fanout = 5);
    REFUSED(bad.loss = 1);
    REFUSED(bad.loss = -0.1);
    REFUSED(bad.loss = NAN);
    REFUSED(bad.dead = 1);
    REFUSED(bad.trials = 0);
    REFUSED(bad.threads = 0);
    REFUSED(bad.feedback = true);
    REFUSED(bad.forget = BR_MODEL_COIN);
    REFUSED(bad.forget = BR_MODEL_COUNTER; bad.interest = 65);
    REFUSED(bad.forget = BR_MODEL_COUNTER; bad.interest = 2; bad.feedback = true; bad.fanout = 2);
    REFUSED(bad.forget = BR_MODEL_COUNTER; bad.interest = 2; bad.mode = BR_MODEL_FLOOD);
    REFUSED(bad.forget = BR_MODEL_COUNTER; bad.interest = 2; bad.minimise = true);
    REFUSED(bad.self_too = true; bad.mode = BR_MODEL_FLOOD);
#undef REFUSED
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_model_agrees_with_node_after_node),
        cmocka_unit_test(test_a_turn_may_be_lost_on_oneself),
        cmocka_unit_test(test_rumours_that_end_agree_with_node_after_node),
        cmocka_unit_test(test_flooding_agrees_with_a_graph),
        cmocka_unit_test(test_rounds_are_those_measured),
        cmocka_unit_test(test_messages_are_those_measured),
        cmocka_unit_test(test_formulas_stand_beside_what_is_simulated),
        cmocka_unit_test(test_threads_change_nothing),
        cmocka_unit_test(test_a_seed_gives_what_it_gave),
        cmocka_unit_test(test_the_curve_is_one_of_growth),
        cmocka_unit_test(test_a_run_that_is_stopped_keeps_what_it_has),
        cmocka_unit_test(test_impossible_parameters_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
