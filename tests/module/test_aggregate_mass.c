/*
 * The arithmetic of aggregates: figures of lists, and what pairs of nodes average.
 */
#include "module/aggregate_figure.h"
#include "module/aggregate_mass.h"

#include "base/rng.h"
#include "support/memory.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Any order of the same numbers gives the same bits, and what cancels is not lost. */
static void test_the_order_of_numbers_does_not_show(void **state)
{
    (void)state;
    struct br_rng rng;
    double first[500], again[500];
    br_rng_init(&rng, test_seed(), "numbers");
    for (unsigned i = 0; i < 500; i++)
        first[i] = again[499 - i] = ((double)br_rng_below(&rng, 2000000) - 1e6) * (i % 7 == 0 ? 1e-9 : 1e9);
    br_figure_sort(first, 500);
    br_figure_sort(again, 500);
    assert_memory_equal(first, again, sizeof first);
    for (unsigned i = 1; i < 500; i++)
        assert_true(first[i - 1] <= first[i]);
    double cancels[] = {1e100, 1, -1e100, 2};
    br_figure_sort(cancels, 4);
    assert_true(br_figure_sum(cancels, 4) == 3);
}

static void test_figures_of_a_short_list(void **state)
{
    (void)state;
    double numbers[] = {4, 1, 3, 2, 2};
    br_figure_sort(numbers, 5);
    assert_true(br_figure_mean(numbers, 5) == 2.4);
    assert_true(fabs(br_figure_variance(numbers, 5) - 1.04) < 1e-15);
    assert_true(br_figure_quantile(numbers, 5, 0) == 1);
    assert_true(br_figure_quantile(numbers, 5, 0.5) == 2);
    assert_true(br_figure_quantile(numbers, 5, 0.875) == 3.5);
    assert_true(br_figure_quantile(numbers, 5, 1) == 4);
    assert_int_equal(br_figure_distinct(numbers, 5), 4);
    struct bruit_bytes texts[] = {br_bytes_text("b"), br_bytes_text("a"), br_bytes_text("b")};
    br_figure_sort_texts(texts, 3);
    assert_true(br_bytes_equal(texts[0], br_bytes_text("a")));
    assert_int_equal(br_figure_distinct_texts(texts, 3), 2);
}

/* Cells keep the order of numbers, hold what they say, and one bit less merges whole ones. */
static void test_cells_keep_the_order_of_numbers(void **state)
{
    (void)state;
    static const double numbers[] = {-1e150, -7, -1, -0.3, -1e-30, 0, 1e-30, 0.3, 1, 1.001, 7, 1e150};
    for (unsigned resolution = 0; resolution <= 8; resolution++)
        for (unsigned i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
            int32_t index = br_mass_index(numbers[i], resolution);
            assert_true(index <= (int32_t)BR_AGGREGATE_INDEX_MAX << resolution);
            assert_true(br_mass_cell_low(index, resolution) <= numbers[i]);
            if (index >= 0)
                assert_true(br_mass_cell_low(index + 1, resolution) > numbers[i] || index == 0);
            if (i > 0)
                assert_true(index >= br_mass_index(numbers[i - 1], resolution));
            if (resolution > 0 && index > 0)
                assert_int_equal(br_mass_index(numbers[i], resolution - 1), (index - 1) / 2 + 1);
        }
}

#define NODES 200
#define ROOM 1200

static struct br_mass masses[NODES];

static double total_of(double (*part)(const struct br_mass *))
{
    double total = 0;
    for (unsigned i = 0; i < NODES; i++)
        total += part(&masses[i]);
    return total;
}

static double has_of(const struct br_mass *m)
{
    return m->has;
}

static double sum_of(const struct br_mass *m)
{
    return m->sum;
}

static double cells_of(const struct br_mass *m)
{
    double total = m->rest;
    for (uint32_t i = 0; i < m->cell_count; i++)
        total += m->cells[i].mass;
    return total;
}

/* One asks, over the wire, the other gives, over the wire. */
static void exchange(struct br_mass *a, struct br_mass *b)
{
    static struct br_mass theirs, gift;
    struct br_aggregate_message message;
    uint8_t bytes[2000];
    struct br_writer w;
    for (int way = 0; way < 2; way++) {
        br_writer_init(&w, bytes, sizeof bytes);
        br_aggregate_begin(&w, way == 0 ? BR_AGGREGATE_ASK : BR_AGGREGATE_GIVE, br_bytes_text("n"));
        br_aggregate_write_exchange(&w, 1, 1, 1, br_bytes_text("x"));
        size_t before = br_writer_size(&w);
        br_mass_write(way == 0 ? a : &gift, &w, ROOM);
        assert_false(w.failed);
        assert_true(br_writer_size(&w) - before <= ROOM);
        assert_int_equal(br_aggregate_decode(&message, br_bytes(bytes + 1, br_writer_size(&w) - 1)), 0);
        if (way == 0) {
            br_mass_read(&theirs, &message.mass);
            br_mass_average(b, &theirs, &gift, ROOM);
        } else {
            br_mass_read(&theirs, &message.mass);
            br_mass_add(a, &theirs, ROOM);
        }
    }
}

static void gossip(struct br_rng *rng, unsigned rounds)
{
    for (unsigned i = 0; i < rounds * NODES; i++) {
        uint32_t a = i % NODES;
        uint32_t b = br_rng_below(rng, NODES - 1);
        exchange(&masses[a], &masses[b >= a ? b + 1 : b]);
    }
}

/* 200 nodes, two thirds of which publish numbers of four magnitudes: after 20 rounds everybody knows. */
static void test_everybody_comes_to_the_mean_and_the_quantiles(void **state)
{
    (void)state;
    struct br_rng rng;
    double numbers[NODES];
    uint32_t count = 0;
    char name[16];
    br_rng_init(&rng, test_seed(), "masses");
    for (unsigned i = 0; i < NODES; i++) {
        (void)snprintf(name, sizeof name, "n%u", i);
        if (i % 3 == 0) {
            br_mass_clear(&masses[i], false);
            continue;
        }
        numbers[count] = exp((double)br_rng_below(&rng, 9000) / 1000);
        br_mass_begin_number(&masses[i], br_bytes(name, strlen(name)), numbers[count++]);
    }
    br_figure_sort(numbers, count);
    gossip(&rng, 20);
    assert_true(fabs(total_of(has_of) - count) < 1e-9);
    assert_true(fabs(total_of(sum_of) / br_figure_sum(numbers, count) - 1) < 1e-9);
    assert_true(fabs(total_of(cells_of) - count) < 1e-9);
    for (unsigned i = 0; i < NODES; i++) {
        double error;
        assert_true(fabs(masses[i].has * NODES / count - 1) < 0.001);
        assert_true(fabs(br_mass_mean(&masses[i]) / br_figure_mean(numbers, count) - 1) < 0.001);
        assert_true(fabs(br_mass_variance(&masses[i]) / br_figure_variance(numbers, count) - 1) < 0.002);
        assert_true(masses[i].min == numbers[0] && masses[i].max == numbers[count - 1]);
        assert_true(masses[i].tops[0].number == numbers[count - 1]);
        assert_true(masses[i].tops[7].number == numbers[count - 8]);
        for (double q = 0.1; q < 1; q += 0.1) {
            double found = br_mass_quantile(&masses[i], q, &error);
            double least = br_figure_quantile(numbers, count, q - 0.03);
            double most = br_figure_quantile(numbers, count, q + 0.03);
            if (found < least || found > most)
                print_message("q %g: %g, not %g to %g\n", q, found, least, most);
            assert_true(found >= least && found <= most);
            assert_true(error < found * 0.13);
        }
        double distinct = br_mass_distinct(&masses[i], &error);
        assert_true(fabs(distinct - count) < 4 * error);
    }
}

/* 200 nodes with few versions of a program and many nicknames: the frequent ones are found, and nothing is lost. */
static void test_frequent_texts_are_found_among_many(void **state)
{
    (void)state;
    struct br_rng rng;
    char text[64];
    br_rng_init(&rng, test_seed(), "texts");
    for (unsigned i = 0; i < NODES; i++) {
        (void)snprintf(text, sizeof text, i % 2 == 0 ? "1.2" : i % 4 == 1 ? "1.1" : "nickname-%u", i);
        br_mass_begin_text(&masses[i], br_bytes(text, strlen(text)));
    }
    gossip(&rng, 20);
    assert_true(fabs(total_of(cells_of) - NODES) < 1e-9);
    for (unsigned i = 0; i < NODES; i++) {
        double heaviest = 0;
        assert_true(masses[i].cell_count <= BR_MASS_TEXTS_MAX);
        for (uint32_t k = 0; k < masses[i].cell_count; k++) {
            const struct br_mass_cell *cell = &masses[i].cells[k];
            if (cell->mass > heaviest)
                heaviest = cell->mass;
            if (br_bytes_equal(br_bytes(cell->text, cell->text_size), br_bytes_text("1.1")))
                assert_true(fabs(cell->mass - 0.25) < 0.01);
        }
        assert_true(fabs(heaviest - 0.5) < 0.01);
        assert_true(masses[i].rest > 0.1);
    }
}

/* Numbers over more powers of two than there are cells: the smallest become 0, the largest stay. */
static void test_numbers_of_all_magnitudes_fit(void **state)
{
    (void)state;
    struct br_rng rng;
    br_rng_init(&rng, 1, "magnitudes");
    for (unsigned i = 0; i < NODES; i++)
        br_mass_begin_number(&masses[i], br_bytes_text("n"), ldexp(i % 2 == 0 ? 1 : -1, (int)(4 * i) - 400));
    gossip(&rng, 20);
    for (unsigned i = 0; i < NODES; i++) {
        double error;
        assert_true(masses[i].cell_count <= BR_AGGREGATE_CELLS_MAX);
        assert_true(fabs(cells_of(&masses[i]) - 1) < 0.01);
        assert_true(br_mass_quantile(&masses[i], 1, &error) == ldexp(1, 4 * 198 - 400));
        assert_true(br_mass_quantile(&masses[i], 0, &error) == -ldexp(1, 4 * 199 - 400));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_order_of_numbers_does_not_show),
        cmocka_unit_test(test_figures_of_a_short_list),
        cmocka_unit_test(test_cells_keep_the_order_of_numbers),
        cmocka_unit_test(test_everybody_comes_to_the_mean_and_the_quantiles),
        cmocka_unit_test(test_frequent_texts_are_found_among_many),
        cmocka_unit_test(test_numbers_of_all_magnitudes_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
