/*
 * Vivaldi: the recorded run of Serf's own client, step by step, and what must not move us.
 */
#include "module/vivaldi.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NODES_MAX 64

static struct br_rng rng;

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static struct bruit_coordinate place_of(const json_t *object)
{
    struct bruit_coordinate place = {.error = number(object, "Error"),
                                     .adjustment = number(object, "Adjustment"),
                                     .height = number(object, "Height")};
    for (size_t i = 0; i < BRUIT_COORD_DIMENSIONS; i++)
        place.vec[i] = json_number_value(json_array_get(json_object_get(object, "Vec"), i));
    return place;
}

/* Relative to the larger, as the issue of the recording says: 1e-12. */
static bool is_near(double a, double b)
{
    double scale = fmax(fabs(a), fabs(b));
    return fabs(a - b) <= 1e-12 * fmax(scale, 1e-3);
}

static void check_place(size_t step, const struct bruit_coordinate *got,
                        const struct bruit_coordinate *expected)
{
    bool same = is_near(got->error, expected->error) && is_near(got->adjustment, expected->adjustment) &&
                is_near(got->height, expected->height);
    for (size_t i = 0; i < BRUIT_COORD_DIMENSIONS; i++)
        same = same && is_near(got->vec[i], expected->vec[i]);
    if (!same)
        fail_msg("step %zu: error %.17g, expected %.17g; height %.17g, expected %.17g", step, got->error,
                 expected->error, got->height, expected->height);
}

static json_t *load(void)
{
    json_error_t error;
    json_t *root = json_load_file(BRUIT_TEST_VECTORS "/serf/coordinate-updates.json", 0, &error);
    if (root == NULL)
        fail_msg("%s:%d: %s", error.source, error.line, error.text);
    return root;
}

/* The filters of the members in the recording, by name. */
static struct br_vivaldi_filter *filter_of(const char *name)
{
    static char names[NODES_MAX][16];
    static struct br_vivaldi_filter filters[NODES_MAX];
    for (size_t i = 0; i < NODES_MAX; i++) {
        if (names[i][0] == '\0')
            (void)snprintf(names[i], sizeof names[i], "%s", name);
        if (strcmp(names[i], name) == 0)
            return &filters[i];
    }
    fail_msg("more members than the test keeps");
    return NULL;
}

/* The special operations of the recording say by name what is wrong with the coordinate. */
static struct bruit_coordinate broken_place(const char *op, uint32_t *dimensions)
{
    struct bruit_coordinate place = br_vivaldi_origin();
    if (strcmp(op, "update-dims-7") == 0)
        *dimensions = 7;
    else if (strcmp(op, "update-nan-vec3") == 0)
        place.vec[3] = (double)NAN;
    else if (strcmp(op, "update-inf-error") == 0)
        place.error = (double)INFINITY;
    else
        fail_msg("the recording has an operation that the test does not know: %s", op);
    return place;
}

static void run_step(struct br_vivaldi *client, size_t index, const json_t *step)
{
    const char *op = json_string_value(json_object_get(step, "op"));
    const json_t *other = json_object_get(step, "other");
    const char *error = json_string_value(json_object_get(step, "error"));
    uint32_t dimensions = BRUIT_COORD_DIMENSIONS;
    struct bruit_coordinate place = other != NULL ? place_of(other) : broken_place(op, &dimensions);
    struct br_vivaldi_filter *filter = filter_of(json_string_value(json_object_get(step, "node")));
    if (strcmp(op, "forget-n1-then-update") == 0)
        *filter = (struct br_vivaldi_filter){0};
    struct br_vivaldi before = *client;
    enum br_vivaldi_refusal refusal = br_vivaldi_update(
        client, filter, &place, dimensions, json_integer_value(json_object_get(step, "rtt_ns")), &rng);
    assert_int_equal(refusal != BR_VIVALDI_TAKEN, error != NULL);
    assert_int_equal(client->resets, json_integer_value(json_object_get(step, "resets")));
    if (error != NULL)
        assert_memory_equal(&before, client, sizeof before);
    if (json_object_get(step, "after") != NULL) {
        struct bruit_coordinate after = place_of(json_object_get(step, "after"));
        check_place(index, &client->place, &after);
    }
    if (other != NULL && error == NULL && client->resets == 0)
        assert_true(llabs((long long)bruit_coord_distance(&client->place, &place) -
                          json_integer_value(json_object_get(step, "distance_to_other_after_ns"))) <= 1);
}

/* 45 steps that Serf's own client went, refusals and a reset among them: ours goes the same way. */
/* conformance: serf 53, 54 */
static void test_the_recorded_run_is_reproduced(void **state)
{
    (void)state;
    json_t *root = load();
    json_t *steps = json_object_get(root, "steps");
    struct br_vivaldi client;
    br_vivaldi_init(&client);
    br_rng_init(&rng, 1, "vivaldi");
    assert_true(json_array_size(steps) >= 45);
    for (size_t i = 0; i < json_array_size(steps); i++)
        run_step(&client, i, json_array_get(steps, i));
    json_decref(root);
}

/* Distances between recorded places, adjustments included, to the nanosecond. */
/* conformance: serf 53 */
static void test_recorded_distances(void **state)
{
    (void)state;
    json_t *root = load();
    json_t *rows = json_object_get(root, "distances");
    assert_true(json_array_size(rows) > 0);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        json_t *row = json_array_get(rows, i);
        struct bruit_coordinate a = place_of(json_object_get(row, "a"));
        struct bruit_coordinate b = place_of(json_object_get(row, "b"));
        assert_int_equal(bruit_coord_distance(&a, &b),
                         json_integer_value(json_object_get(row, "distance_ns")));
    }
    json_decref(root);
}

/* A place at infinity: the distance is the longest there is, not undefined. */
static void test_an_infinite_distance_is_the_longest(void **state)
{
    (void)state;
    struct bruit_coordinate a = br_vivaldi_origin();
    struct bruit_coordinate b = br_vivaldi_origin();
    b.vec[0] = 1e300;
    assert_true(bruit_coord_distance(&a, &b) == INT64_MAX);
    b.vec[0] = (double)NAN;
    assert_true(bruit_coord_distance(&a, &b) == INT64_MAX);
}

/* The longest round trip that counts is ten seconds. */
static void test_ten_seconds_is_the_longest_round_trip(void **state)
{
    (void)state;
    struct br_vivaldi client;
    struct br_vivaldi_filter filter = {0};
    struct bruit_coordinate other = br_vivaldi_origin();
    br_vivaldi_init(&client);
    br_rng_init(&rng, 2, "vivaldi");
    assert_int_equal(br_vivaldi_update(&client, &filter, &other, 8, 10000000000, &rng), BR_VIVALDI_TAKEN);
    assert_int_equal(br_vivaldi_update(&client, &filter, &other, 8, 10000000001, &rng), BR_VIVALDI_RTT);
    assert_int_equal(br_vivaldi_update(&client, &filter, &other, 8, 0, &rng), BR_VIVALDI_TAKEN);
    assert_int_equal(br_vivaldi_update(&client, &filter, &other, 8, -1, &rng), BR_VIVALDI_RTT);
}

/*
 * Sixteen members on a ring of 40 ms that measure each other at random: after a while the typical estimate is within
 * a few per cent of the truth.
 */
static void test_members_on_a_ring_find_their_places(void **state)
{
    (void)state;
    enum { N = 16 };
    struct br_vivaldi clients[N];
    static struct br_vivaldi_filter filters[N][N];
    struct br_rng dice;
    br_rng_init(&rng, 3, "vivaldi");
    br_rng_init(&dice, 3, "pairs");
    for (size_t i = 0; i < N; i++)
        br_vivaldi_init(&clients[i]);
    double off = 0;
    for (int step = 0; step < 40000; step++) {
        uint32_t a = br_rng_below(&dice, N);
        uint32_t b = (a + 1 + br_rng_below(&dice, N - 1)) % N;
        uint32_t apart = a < b ? b - a : a - b;
        double rtt = 0.0025 + 0.04 * sin(M_PI * (double)apart / N);
        struct bruit_coordinate other = clients[b].place;
        double estimate = (double)bruit_coord_distance(&clients[a].place, &other) / 1e9;
        (void)br_vivaldi_update(&clients[a], &filters[a][b], &other, 8, (int64_t)(rtt * 1e9), &rng);
        if (step >= 39000)
            off += fabs(estimate - rtt) / rtt / 1000;
    }
    if (off > 0.10)
        print_message("off by %.1f %% on average\n", off * 100);
    assert_true(off <= 0.10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_recorded_run_is_reproduced),
        cmocka_unit_test(test_recorded_distances),
        cmocka_unit_test(test_an_infinite_distance_is_the_longest),
        cmocka_unit_test(test_ten_seconds_is_the_longest_round_trip),
        cmocka_unit_test(test_members_on_a_ring_find_their_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
