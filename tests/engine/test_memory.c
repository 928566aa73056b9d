/*
 * Memory that runs out, at any place: nothing crashes, nothing leaks, and what the engine believes stays consistent.
 */
#include "support/peer.h"

#include "engine/engine.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define S BRUIT_SECOND
#define MS BRUIT_MILLISECOND

static struct world *alone(uint64_t seed)
{
    struct world *w = world_new(seed);
    (void)world_add(w);
    return w;
}

static void fail_after(struct world *w, uint64_t count)
{
    w->nodes[0].memory.fail_at = w->nodes[0].memory.count + count;
}

/* The ring that keeps what a fetched event lends cannot grow: the event is not lent, but comes later. (The fuzzer
 * found it lent and freed.) */
static void test_an_event_waits_for_memory(void **state)
{
    struct world *w = alone(61);
    struct bruit_event event;
    (void)state;
    assert_int_equal(world_start(w, 0), 0);
    struct bruit_engine *engine = w->nodes[0].engine;
    assert_int_equal(bruit_set_meta(engine, world_bytes("m"), w->now), 0);
    assert_true(bruit_next_event(engine, &event)); /* of ourselves */
    assert_int_equal(event.type, BRUIT_EVENT_MEMBER);
    fail_after(w, 1);
    assert_false(bruit_next_event(engine, &event));
    assert_true(bruit_next_event(engine, &event));
    assert_int_equal(event.type, BRUIT_EVENT_META_DONE);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_event_waits_for_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
