/*
 * The 13 rows of Demers et al. 1987, held to an independent simulation's figures; the paper's are printed beside.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "sim/model/demers.h"

#include <math.h>

#define SEED 1
#define BAND 0.05

/* `measured` may have been rounded: "0.04" stands for anything that is written so. */
static bool is_within(double ours, double measured, double rounding)
{
    return fabs(ours - measured) <= BAND * measured + rounding;
}

/*
 * Somebody doubts the simulator. Residue s, updates m and the last cycle of each row come out within 5 % of the
 * figures measured by others.
 */
static void test_the_tables_of_demers_come_out(void **state)
{
    (void)state;
    static struct br_model_result result;
    int off = 0;
    print_message("seed %d; each: ours, measured by others, the paper's\n", SEED);
    for (size_t i = 0; i < BR_DEMERS_ROWS; i++) {
        const struct br_demers_row *row = &br_demers_rows[i];
        struct br_model_config config;
        br_demers_config(row, &config);
        config.seed = SEED;
        config.threads = 2;
        assert_int_equal(br_model_run(&config, NULL, NULL, &result), 0);
        double s = result.residue.mean, m = result.copies.mean, last = result.rounds.mean;
        print_message("%-23s k=%u  s %.3g %.3g %.3g  m %.3f %.2f %.2f  t_last %.2f %.2f %.2f  (%u trials)\n",
                      row->variant, row->k, s, row->residue, row->residue_paper, m, row->updates,
                      row->updates_paper, last, row->last, row->last_paper, result.trials);
        off += !is_within(s, row->residue, 0) + !is_within(m, row->updates, m < 0.1 ? 0.0005 : 0) +
               !is_within(last, row->last, 0);
    }
    assert_int_equal(off, 0);
}

/* The law of the paper behind its push rows: whoever is missed by all of m messages a site never hears. */
static void test_the_residue_of_push_is_e_to_the_minus_m(void **state)
{
    (void)state;
    static struct br_model_result result;
    for (size_t i = 0; i < BR_DEMERS_ROWS && br_demers_rows[i].mode == BR_MODEL_PUSH; i++) {
        struct br_model_config config;
        br_demers_config(&br_demers_rows[i], &config);
        config.trials = 1000;
        assert_int_equal(br_model_run(&config, NULL, NULL, &result), 0);
        print_message("%-23s k=%u  s %.4g, e^-m %.4g\n", br_demers_rows[i].variant, config.interest,
                      result.residue.mean, exp(-result.copies.mean));
        assert_true(fabs(result.residue.mean / exp(-result.copies.mean) - 1) < 0.15);
    }
}

/*
 * Push and pull together, of two that know only the one with the smaller counter counts: "the smallest residue we've
 * seen so far", says the paper, and gives no figures. It leaves fewer than all its other variants of the same k.
 */
static void test_minimisation_leaves_the_fewest(void **state)
{
    (void)state;
    static struct br_model_result result;
    struct br_model_config config;
    br_demers_config(&br_demers_rows[0], &config);
    config.mode = BR_MODEL_PUSH_PULL;
    config.minimise = true;
    config.trials = 1000;
    config.threads = 2;
    for (config.interest = 1; config.interest <= 2; config.interest++) {
        assert_int_equal(br_model_run(&config, NULL, NULL, &result), 0);
        double s = result.residue.mean, m = result.copies.mean;
        print_message("minimisation k=%u  s %.3g m %.3f t_last %.2f, e^-m %.3g\n", config.interest, s, m,
                      result.rounds.mean, exp(-m));
        for (size_t i = 0; i < BR_DEMERS_ROWS; i++)
            if (br_demers_rows[i].k == config.interest)
                assert_true(s < br_demers_rows[i].residue);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_tables_of_demers_come_out),
        cmocka_unit_test(test_minimisation_leaves_the_fewest),
        cmocka_unit_test(test_the_residue_of_push_is_e_to_the_minus_m),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
