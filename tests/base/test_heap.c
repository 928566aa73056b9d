/*
 * The heap against a plain array of deadlines searched from end to end.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/heap.h"
#include "base/rng.h"
#include "base/time.h"
#include "support/memory.h"

#include <bruit/error.h>

#define IDS 200

/* The model: by id, its time and the number of the operation that put it there; 0: not in. */
struct model {
    bruit_time times[IDS];
    uint64_t since[IDS];
    uint64_t operations;
    uint32_t count;
};

static uint32_t model_min(const struct model *m)
{
    uint32_t best = IDS;
    for (uint32_t i = 0; i < IDS; i++) {
        if (m->since[i] == 0)
            continue;
        if (best == IDS || m->times[i] < m->times[best] ||
            (m->times[i] == m->times[best] && m->since[i] < m->since[best]))
            best = i;
    }
    return best;
}

static void assert_agrees(const struct br_heap *h, const struct model *m)
{
    assert_int_equal(h->count, m->count);
    uint32_t min = model_min(m);
    if (min < IDS)
        assert_int_equal(br_heap_min(h), min);
    assert_true(br_heap_min_time(h) == (min < IDS ? m->times[min] : BRUIT_NEVER));
    for (uint32_t i = 0; i < IDS; i++) {
        assert_true(br_heap_has(h, i) == (m->since[i] != 0));
        assert_true(br_heap_time(h, i) == (m->since[i] != 0 ? m->times[i] : BRUIT_NEVER));
    }
}

static void forget(struct model *m, uint32_t id)
{
    m->count -= m->since[id] != 0;
    m->since[id] = 0;
}

static void put(struct br_heap *h, struct model *m, uint32_t id, bruit_time time)
{
    if (br_heap_reserve(h, m->count + 1, id + 1) != 0)
        return;
    br_heap_set(h, id, time);
    m->count += m->since[id] == 0;
    m->times[id] = time;
    m->since[id] = ++m->operations;
}

static void delay(struct br_heap *h, struct model *m, bruit_time by)
{
    br_heap_delay(h, by);
    for (uint32_t i = 0; i < IDS; i++)
        m->times[i] = br_time_add(m->times[i], by);
}

/* Few different times, so that there are many equals, and now and then BRUIT_NEVER. */
static bruit_time draw_time(struct br_rng *rng)
{
    uint32_t drawn = br_rng_below(rng, 50);
    return drawn == 0 ? BRUIT_NEVER : drawn == 1 ? BRUIT_NEVER - 1 : drawn;
}

static void step(struct br_heap *h, struct model *m, struct br_rng *rng)
{
    uint32_t id = br_rng_below(rng, IDS);
    uint32_t popped = 0;
    switch (br_rng_below(rng, 10)) {
    case 0:
    case 1:
        assert_true(br_heap_remove(h, id) == (m->since[id] != 0));
        forget(m, id);
        break;
    case 2: {
        bruit_time now = draw_time(rng);
        uint32_t min = model_min(m);
        bool is_due = min < IDS && m->times[min] <= now;
        assert_true(br_heap_pop_due(h, now, &popped) == is_due);
        if (is_due) {
            assert_int_equal(popped, min);
            forget(m, min);
        }
        break;
    }
    case 3:
        if (br_rng_below(rng, 20) == 0)
            delay(h, m, br_rng_below(rng, 3));
        break;
    default: put(h, m, id, draw_time(rng)); break;
    }
}

static void run(struct test_memory *memory, struct br_rng *rng, int steps)
{
    struct bruit_env env = test_memory_env(memory);
    struct br_alloc alloc;
    struct br_heap h;
    struct model m = {.count = 0};
    br_alloc_init(&alloc, &env, 0);
    br_heap_init(&h, &alloc);
    for (int i = 0; i < steps; i++) {
        step(&h, &m, rng);
        if (i % 7 == 0)
            assert_agrees(&h, &m);
    }
    while (h.count > 0) {
        uint32_t min = model_min(&m);
        assert_int_equal(br_heap_pop(&h), min);
        forget(&m, min);
    }
    br_heap_fini(&h);
    assert_int_equal(memory->in_use, 0);
}

/* Timers are set, moved and cancelled: the earliest must always be the model's, equals in order. */
static void test_gives_deadlines_in_the_order_of_the_model(void **state)
{
    (void)state;
    struct br_rng rng;
    br_rng_init(&rng, test_seed(), "heap");
    for (int band = 0; band < 20; band++) {
        struct test_memory memory;
        test_memory_init(&memory);
        run(&memory, &rng, 3000);
    }
}

/* The same while the nth allocation fails, for every n. */
static void test_any_failed_allocation_leaves_the_heap_as_it_was(void **state)
{
    (void)state;
    uint64_t seed = test_seed(), fail_at = 0, count;
    do {
        struct br_rng rng;
        struct test_memory memory;
        br_rng_init(&rng, seed, "heap");
        test_memory_init(&memory);
        memory.fail_at = ++fail_at;
        run(&memory, &rng, 1500);
        count = memory.count;
    } while (fail_at <= count);
    assert_true(fail_at > 5);
}

/* Three timers fall due at the same moment: they must fire in the order in which they were set. */
static void test_equals_come_in_the_order_they_were_set(void **state)
{
    (void)state;
    struct br_alloc alloc;
    struct br_heap h;
    br_alloc_init(&alloc, NULL, 0);
    br_heap_init(&h, &alloc);
    assert_int_equal(br_heap_reserve(&h, 3, 10), 0);
    br_heap_push(&h, 9, 100);
    br_heap_push(&h, 1, 100);
    br_heap_push(&h, 5, 100);
    br_heap_set(&h, 9, 100); /* set anew: behind the others */
    uint32_t id = 0;
    assert_false(br_heap_pop_due(&h, 99, &id));
    assert_true(br_heap_pop_due(&h, 100, &id));
    assert_int_equal(id, 1);
    assert_int_equal(br_heap_pop(&h), 5);
    assert_int_equal(br_heap_pop(&h), 9);
    assert_true(br_heap_min_time(&h) == BRUIT_NEVER);
    assert_false(br_heap_remove(&h, 9));
    assert_false(br_heap_remove(&h, UINT32_MAX));
    br_heap_fini(&h);
    assert_int_equal(alloc.in_use, 0);
}

/* A stall is given back, which pushes one deadline to never, where another was set before it: equals again. */
static void test_deadlines_delayed_to_never_keep_the_order_they_were_set(void **state)
{
    (void)state;
    struct br_alloc alloc;
    struct br_heap h;
    br_alloc_init(&alloc, NULL, 0);
    br_heap_init(&h, &alloc);
    assert_int_equal(br_heap_reserve(&h, 2, 2), 0);
    br_heap_push(&h, 0, BRUIT_NEVER);
    br_heap_push(&h, 1, BRUIT_NEVER - 1);
    br_heap_delay(&h, 5);
    assert_true(br_heap_time(&h, 1) == BRUIT_NEVER);
    assert_int_equal(br_heap_pop(&h), 0);
    assert_int_equal(br_heap_pop(&h), 1);
    br_heap_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gives_deadlines_in_the_order_of_the_model),
        cmocka_unit_test(test_any_failed_allocation_leaves_the_heap_as_it_was),
        cmocka_unit_test(test_equals_come_in_the_order_they_were_set),
        cmocka_unit_test(test_deadlines_delayed_to_never_keep_the_order_they_were_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
