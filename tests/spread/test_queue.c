/*
 * The transmit-limited queue: upstream's own trace, a plain model searched from end to end, and its bounds.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/num.h"
#include "spread/queue.h"
#include "support/memory.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bruit/error.h>

struct fixture {
    struct test_memory memory;
    struct br_alloc alloc;
    struct br_queue queue;
};

static void start(struct fixture *f, uint32_t items)
{
    test_memory_init(&f->memory);
    struct bruit_env env = test_memory_env(&f->memory);
    br_alloc_init(&f->alloc, &env, 0);
    br_queue_init(&f->queue, &f->alloc, 1);
    assert_int_equal(br_queue_reserve(&f->queue, items), 0);
}

static void finish(struct fixture *f)
{
    br_queue_fini(&f->queue);
    assert_int_equal(f->memory.in_use, 0);
}

/* What a take visited, in order. */
struct taken {
    uint32_t items[512];
    uint32_t count;
};

static void note(void *context, uint32_t item)
{
    struct taken *taken = context;
    assert_true(taken->count < 512);
    taken->items[taken->count++] = item;
}

static struct taken take(struct br_queue *q, size_t overhead, size_t room, uint32_t limit)
{
    struct taken taken = {.count = 0};
    br_queue_take(q, overhead, room, 255, limit, note, &taken);
    return taken;
}

static void forget_done(struct br_queue *q)
{
    while (br_queue_next_done(q) != 0) {
    }
}

/* ---- the trace of the formula file ---- */

/* Queued under a name: the item of that name is replaced, as the owners of a queue do. Items are 'a' = 1, ... */
static void replay_insert(struct br_queue *q, const json_t *step)
{
    uint32_t item = (uint32_t)(json_string_value(json_array_get(step, 1))[0] - 'a' + 1);
    br_queue_remove(q, item);
    br_queue_insert(q, item, (uint16_t)json_integer_value(json_array_get(step, 2)));
}

static void replay_take(struct br_queue *q, const json_t *step)
{
    struct taken taken = take(q, (size_t)json_integer_value(json_array_get(step, 1)),
                              (size_t)json_integer_value(json_array_get(step, 2)), 2);
    const json_t *expected = json_array_get(step, 3);
    assert_int_equal(taken.count, json_array_size(expected)); /* null: nothing */
    for (uint32_t i = 0; i < taken.count; i++) {
        char text[16];
        uint32_t item = taken.items[i];
        snprintf(text, sizeof text, "%c%u", (char)('a' + item - 1), (unsigned)q->nodes[item].length);
        assert_string_equal(text, json_string_value(json_array_get(expected, i)));
    }
    forget_done(q);
    assert_int_equal(br_queue_count(q), json_integer_value(json_array_get(step, 4)));
}

/* The takes that memberlist made of a queue, message for message: ours must make the same. */
/* conformance: memberlist 59 */
static void test_reproduces_the_recorded_trace(void **state)
{
    (void)state;
    json_t *file = json_load_file(BRUIT_TEST_VECTORS "/memberlist-formulas.json", 0, NULL);
    assert_non_null(file);
    const char *key;
    json_t *value, *trace = NULL;
    json_object_foreach(file, key, value) if (strncmp(key, "queue_trace", 11) == 0) trace = value;
    assert_true(json_array_size(trace) > 10);
    struct fixture f;
    start(&f, 26);
    size_t index;
    json_t *step;
    json_array_foreach(trace, index, step)
    {
        if (strcmp(json_string_value(json_array_get(step, 0)), "queue") == 0)
            replay_insert(&f.queue, step);
        else
            replay_take(&f.queue, step);
        assert_true(br_queue_is_consistent(&f.queue));
    }
    finish(&f);
    json_decref(file);
}

/* How often something is sent among n members: each row of the formula file, and the queue keeps to it. */
/* conformance: memberlist 61 */
static void test_sends_as_often_as_the_formula_says(void **state)
{
    (void)state;
    json_t *file = json_load_file(BRUIT_TEST_VECTORS "/memberlist-formulas.json", 0, NULL);
    const char *key;
    json_t *value, *rows = NULL;
    json_object_foreach(file, key, value) if (strncmp(key, "retransmit_limit", 16) == 0) rows = value;
    assert_true(json_array_size(rows) > 50);
    size_t index;
    json_t *row;
    json_array_foreach(rows, index, row)
    {
        uint32_t limit = br_num_retransmit_limit((uint32_t)json_integer_value(json_array_get(row, 0)),
                                                 (uint32_t)json_integer_value(json_array_get(row, 1)));
        assert_int_equal(limit, json_integer_value(json_array_get(row, 2)));
        struct fixture f;
        start(&f, 1);
        br_queue_insert(&f.queue, 1, 10);
        for (uint32_t sent = 1; sent < limit; sent++) {
            assert_int_equal(take(&f.queue, 2, 100, limit).count, 1);
            assert_int_equal(br_queue_next_done(&f.queue), 0);
        }
        assert_int_equal(take(&f.queue, 2, 100, limit).count, 1);
        assert_int_equal(br_queue_next_done(&f.queue), 1);
        assert_int_equal(br_queue_count(&f.queue), 0);
        finish(&f);
    }
    json_decref(file);
}

/* ---- one rule each ---- */

/* A message of 20 and its overhead of 2 need 22 bytes: in 21 it stays where it is, uncounted. */
/* conformance: memberlist 62 */
static void test_takes_nothing_that_does_not_fit(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 1);
    br_queue_insert(&f.queue, 1, 20);
    assert_int_equal(take(&f.queue, 2, 21, 4).count, 0);
    assert_int_equal(take(&f.queue, 2, 0, 4).count, 0);
    assert_int_equal(f.queue.nodes[1].transmits, 0);
    assert_int_equal(take(&f.queue, 2, 22, 4).count, 1);
    finish(&f);
}

/* One take must not send the same thing twice, however much room it has. */
static void test_takes_nothing_twice_in_one_take(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    br_queue_insert(&f.queue, 1, 5);
    br_queue_insert(&f.queue, 2, 5);
    struct taken taken = take(&f.queue, 2, 60000, 10);
    assert_int_equal(taken.count, 2);
    assert_int_equal(taken.items[0], 2); /* of two equals, the newer */
    assert_int_equal(taken.items[1], 1);
    finish(&f);
}

/* A compound has 255 parts at most: the 256th waits for the next. */
static void test_keeps_to_the_count(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 300);
    for (uint32_t i = 1; i <= 300; i++)
        br_queue_insert(&f.queue, i, 3);
    assert_int_equal(take(&f.queue, 2, 60000, 2).count, 255);
    struct taken rest = take(&f.queue, 2, 60000, 2);
    assert_int_equal(rest.count, 255); /* the 45 not sent yet, then some a second time */
    assert_int_equal(rest.items[0], 45);
    assert_int_equal(rest.items[44], 1);
    assert_int_equal(rest.items[45], 300);
    finish(&f);
}

/* Several items reach their limit in one take: each is reported once, in the order of the take. */
static void test_reports_all_that_are_done(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 4);
    for (uint32_t i = 1; i <= 4; i++)
        br_queue_insert(&f.queue, i, (uint16_t)(10 * i));
    assert_int_equal(take(&f.queue, 2, 1000, 1).count, 4);
    for (uint32_t i = 4; i >= 1; i--)
        assert_int_equal(br_queue_next_done(&f.queue), i);
    assert_int_equal(br_queue_next_done(&f.queue), 0);
    assert_int_equal(br_queue_count(&f.queue), 0);
    finish(&f);
}

/* A prune drops what was sent most often, of these the shortest, of these the oldest. */
static void test_drops_the_worst_first(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 4);
    br_queue_insert(&f.queue, 1, 50);
    assert_int_equal(take(&f.queue, 2, 100, 10).count, 1); /* 1 was sent once */
    br_queue_insert(&f.queue, 2, 30);
    br_queue_insert(&f.queue, 3, 10);
    br_queue_insert(&f.queue, 4, 10);
    assert_int_equal(br_queue_drop_worst(&f.queue), 1);
    assert_int_equal(br_queue_drop_worst(&f.queue), 3);
    assert_int_equal(br_queue_drop_worst(&f.queue), 4);
    assert_int_equal(br_queue_drop_worst(&f.queue), 2);
    assert_int_equal(br_queue_drop_worst(&f.queue), 0);
    finish(&f);
}

/* Memory runs out as the queue grows: it says so and goes on with what it has. */
static void test_survives_failing_memory(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 15);
    br_queue_insert(&f.queue, 15, 10);
    f.memory.fail_at = f.memory.count + 1;
    assert_int_equal(br_queue_reserve(&f.queue, 16), BRUIT_ENOMEM);
    assert_true(br_queue_has(&f.queue, 15));
    assert_int_equal(br_queue_reserve(&f.queue, 16), 0);
    assert_true(br_queue_has(&f.queue, 15));
    assert_false(br_queue_has(&f.queue, 16));
    finish(&f);
}

static void test_spends_at_most_32_bytes_an_item(void **state)
{
    (void)state;
    assert_true(sizeof(struct br_queue_node) <= 32);
}

/* ---- against a model ---- */

#define ITEMS 300
#define LIMIT 6

/* All items in an array; the best is found by looking at each. */
struct model {
    uint64_t ids[ITEMS + 1]; /* 0: not in */
    uint32_t transmits[ITEMS + 1];
    uint32_t lengths[ITEMS + 1];
    bool taken[ITEMS + 1];
    uint64_t id;
    uint32_t count;
};

static bool is_better(const struct model *m, uint32_t a, uint32_t b)
{
    if (m->transmits[a] != m->transmits[b])
        return m->transmits[a] < m->transmits[b];
    if (m->lengths[a] != m->lengths[b])
        return m->lengths[a] > m->lengths[b];
    return m->ids[a] > m->ids[b];
}

/* The best item of tier `tier` that fits and was not taken in this take. */
static uint32_t model_best(const struct model *m, uint32_t tier, size_t room)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i <= ITEMS; i++)
        if (m->ids[i] != 0 && !m->taken[i] && m->transmits[i] == tier && m->lengths[i] <= room &&
            (best == 0 || is_better(m, i, best)))
            best = i;
    return best;
}

static struct taken model_take(struct model *m, size_t overhead, size_t room, uint32_t limit)
{
    struct taken taken = {.count = 0};
    size_t used = 0;
    memset(m->taken, 0, sizeof m->taken);
    for (uint32_t tier = 0; tier < limit; tier++) {
        while (used + overhead < room && taken.count < 255) {
            uint32_t item = model_best(m, tier, room - used - overhead);
            if (item == 0)
                break;
            taken.items[taken.count++] = item;
            m->taken[item] = true;
            used += overhead + m->lengths[item];
        }
    }
    for (uint32_t i = 0; i < taken.count; i++) {
        uint32_t item = taken.items[i];
        if (++m->transmits[item] >= limit) {
            m->ids[item] = 0;
            m->count--;
        }
    }
    return taken;
}

static void compare_take(struct br_queue *q, struct model *m, struct br_rng *rng)
{
    size_t room = br_rng_below(rng, 1500);
    struct taken expected = model_take(m, 2, room, LIMIT);
    struct taken taken = take(q, 2, room, LIMIT);
    assert_int_equal(taken.count, expected.count);
    assert_memory_equal(taken.items, expected.items, taken.count * sizeof taken.items[0]);
    forget_done(q);
}

static void compare_insert(struct br_queue *q, struct model *m, uint32_t item, uint32_t length)
{
    assert_true(br_queue_remove(q, item) == (m->ids[item] != 0));
    if (m->ids[item] == 0)
        m->count++;
    br_queue_insert(q, item, (uint16_t)length);
    m->ids[item] = ++m->id;
    m->transmits[item] = 0;
    m->lengths[item] = length;
}

/* Random inserts, replacements, removals and takes: the treap and the array agree after each. */
static void test_agrees_with_a_plain_model(void **state)
{
    (void)state;
    struct br_rng rng;
    br_rng_init(&rng, test_seed(), "test");
    struct fixture f;
    start(&f, ITEMS);
    struct model m = {.id = 0};
    for (unsigned round = 0; round < 4000; round++) {
        uint32_t item = 1 + br_rng_below(&rng, ITEMS);
        switch (br_rng_below(&rng, 8)) {
        case 0: compare_take(&f.queue, &m, &rng); break;
        case 1:
            assert_true(br_queue_remove(&f.queue, item) == (m.ids[item] != 0));
            m.count -= m.ids[item] != 0;
            m.ids[item] = 0;
            break;
        default:
            compare_insert(&f.queue, &m, item, br_rng_below(&rng, 3) == 0 ? 50 : br_rng_below(&rng, 600));
        }
        assert_int_equal(br_queue_count(&f.queue), m.count);
        if (round % 16 == 0)
            assert_true(br_queue_is_consistent(&f.queue));
    }
    finish(&f);
}

/* A rumour may fit nowhere (longer than any packet): what is behind it must not starve. */
static void test_passes_over_what_never_fits(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    br_queue_insert(&f.queue, 1, 5000);
    br_queue_insert(&f.queue, 2, 100);
    for (int i = 0; i < 3; i++) {
        struct taken taken = take(&f.queue, 2, 1398, 10);
        assert_int_equal(taken.count, 1);
        assert_int_equal(taken.items[0], 2);
    }
    finish(&f);
}

/* Once there is room for its items, a queue never asks for memory again. */
static void test_allocates_nothing_in_steady_state(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 1000);
    uint64_t before = f.alloc.count;
    for (uint32_t i = 1; i <= 1000; i++)
        br_queue_insert(&f.queue, i, (uint16_t)(30 + i % 50));
    for (unsigned round = 0; round < 500; round++) {
        take(&f.queue, 2, 1398, 8);
        uint32_t item;
        while ((item = br_queue_next_done(&f.queue)) != 0)
            br_queue_insert(&f.queue, item, 40);
    }
    assert_int_equal(f.alloc.count, before);
    finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reproduces_the_recorded_trace),
        cmocka_unit_test(test_sends_as_often_as_the_formula_says),
        cmocka_unit_test(test_takes_nothing_that_does_not_fit),
        cmocka_unit_test(test_takes_nothing_twice_in_one_take),
        cmocka_unit_test(test_keeps_to_the_count),
        cmocka_unit_test(test_reports_all_that_are_done),
        cmocka_unit_test(test_drops_the_worst_first),
        cmocka_unit_test(test_survives_failing_memory),
        cmocka_unit_test(test_spends_at_most_32_bytes_an_item),
        cmocka_unit_test(test_agrees_with_a_plain_model),
        cmocka_unit_test(test_passes_over_what_never_fits),
        cmocka_unit_test(test_allocates_nothing_in_steady_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
