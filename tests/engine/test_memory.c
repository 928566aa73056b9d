/*
 * Memory that runs out, at any place: nothing crashes, nothing leaks, and what the engine believes stays consistent.
 */
#include "support/peer.h"

#include "engine/engine.h"

#include <bruit/status.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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

/* ---- every allocation fails once ---- */

struct story {
    struct world *w;
    struct peer *p;
    uint32_t refused; /* inputs that said BRUIT_ENOMEM */
};

/* What must hold between any two inputs. */
static void check(const struct story *t)
{
    const struct world_node *n0 = &t->w->nodes[0];
    struct bruit_stats stats = world_stats(t->w, 0);
    assert_int_equal(stats.memory, n0->memory.in_use);
    assert_true(br_view_is_consistent(&n0->engine->core.view));
    assert_true(br_queue_is_consistent(&n0->engine->gossip.queue));
    /* Who is suspected has a time to defend itself, and nobody else has. */
    const struct br_view *view = &n0->engine->core.view;
    for (uint32_t place = 0; place < view->count; place++) {
        uint32_t slot = view->order[place];
        assert_int_equal(view->suspicion[slot] != 0, view->state[slot] == BRUIT_SUSPECT);
    }
}

/* One message in a datagram: without memory it had no effect at all. */
static void tell(struct story *t)
{
    const struct bruit_engine *engine = t->w->nodes[0].engine;
    uint64_t checksum = bruit_view_checksum(engine);
    uint32_t rumours = world_stats(t->w, 0).rumours;
    uint32_t incarnation = engine->core.incarnation, health = world_stats(t->w, 0).health;
    int status = peer_send(t->p);
    if (status != 0) {
        assert_int_equal(status, BRUIT_ENOMEM);
        assert_true(bruit_view_checksum(engine) == checksum);
        assert_int_equal(world_stats(t->w, 0).rumours, rumours);
        assert_int_equal(engine->core.incarnation, incarnation);
        assert_int_equal(world_stats(t->w, 0).health, health);
        t->refused++;
    }
    check(t);
}

static void tell_alive(struct story *t, const char *name, uint8_t number, uint32_t incarnation)
{
    struct br_alive alive = peer_other(t->p, name, number, incarnation);
    peer_add_alive(t->p, &alive);
    tell(t);
}

static void tell_suspect(struct story *t, const char *name, uint32_t incarnation, const char *from)
{
    peer_suspect(t->p, name, incarnation, from);
    tell(t);
}

static void tell_dead(struct story *t, const char *name, uint32_t incarnation, const char *from)
{
    peer_dead(t->p, name, incarnation, from);
    tell(t);
}

static void ask_sync(struct story *t)
{
    uint8_t buffer[1024];
    struct br_entry entries[3] = {peer_entry(t->p, "s", 40, 1, BR_ENTRY_ALIVE),
                                  peer_entry(t->p, "b", 3, 1, BR_ENTRY_SUSPECT),
                                  peer_entry(t->p, "n0", 1, 9, BR_ENTRY_DEAD)};
    size_t size = peer_write_state(buffer, sizeof buffer, true, entries, 3, br_bytes(NULL, 0));
    struct br_frame frame = {0};
    int line = world_dial(t->w, 0, &t->p->addr);
    if (line < 0)
        return;
    assert_int_equal(
        br_frame_write(&t->p->wire->wire, &t->p->wire->scratch, br_bytes(buffer, size), true, &frame), 0);
    world_line_write(t->w, &t->w->lines[line], br_bytes(frame.bytes.data, frame.bytes.size / 2));
    check(t);
    if (t->w->lines[line].is_open[1])
        world_line_write(
            t->w, &t->w->lines[line],
            br_bytes(frame.bytes.data + frame.bytes.size / 2, frame.bytes.size - frame.bytes.size / 2));
    br_frame_free(&frame, &t->p->wire->alloc);
    check(t);
}

static void ask_join(struct story *t)
{
    struct bruit_join_target target = {.addr = t->p->addr, .name = world_bytes("p")};
    uint32_t request;
    uint8_t buffer[1024];
    struct br_entry entry = peer_entry(t->p, "j", 41, 1, BR_ENTRY_ALIVE);
    size_t size = peer_write_state(buffer, sizeof buffer, true, &entry, 1, br_bytes(NULL, 0));
    if (bruit_join(t->w->nodes[0].engine, &target, 1, 0, &request, t->w->now) != 0)
        return;
    world_settle(t->w, 0);
    struct world_line *line = world_line_to(t->w, &t->p->addr);
    if (line == NULL)
        return; /* decided already, without a stream */
    size_t index = (size_t)(line - t->w->lines);
    world_line_opened(t->w, line);
    struct br_frame frame = {0};
    assert_int_equal(
        br_frame_write(&t->p->wire->wire, &t->p->wire->scratch, br_bytes(buffer, size), false, &frame), 0);
    if (t->w->lines[index].is_open[0])
        world_line_write(t->w, &t->w->lines[index], frame.bytes);
    br_frame_free(&frame, &t->p->wire->alloc);
    check(t);
}

static void let_pass(struct story *t, bruit_time duration)
{
    bruit_time until = t->w->now + duration;
    while (t->w->now < until) {
        world_run_until(t->w, t->w->now + 200 * MS);
        check(t);
    }
    for (size_t i = 0; i < t->w->letter_count; i++)
        free(t->w->letters[i]);
    t->w->letter_count = 0;
}

static const struct bruit_module *const modules[] = {&bruit_status_module};

/* All that can happen to one member: who comes, is suspected, defends itself, dies and leaves; syncs and joins both
 * ways; probes, relays, metadata, a forced leave; and at last its own goodbye. */
static void live(struct story *t)
{
    struct bruit_engine *engine = t->w->nodes[0].engine;
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};
    uint8_t target[4] = {10, 8, 0, 3};
    uint32_t request;
    check(t);
    for (uint8_t i = 0; i < 9; i++)
        tell_alive(t, names[i], (uint8_t)(i + 2), 1);
    for (uint8_t i = 0; i < 40; i++) { /* enough that every table grows */
        char name[8];
        snprintf(name, sizeof name, "m%u", (unsigned)i);
        tell_alive(t, name, (uint8_t)(i + 100), 1);
        if (i % 2 == 0)
            tell_suspect(t, name, 1, "somebody");
    }
    let_pass(t, 600 * MS);
    tell_suspect(t, "a", 1, "somebody");
    tell_suspect(t, "a", 1, "somebody else");
    tell_alive(t, "a", 2, 2);
    tell_suspect(t, "n0", 1, "somebody");
    tell_dead(t, "n0", 4, "somebody");
    tell_alive(t, "c", 99, 9); /* a conflict */
    tell_dead(t, "d", 1, "d");
    tell_dead(t, "e", 1, "a stranger");
    tell_alive(t, "d", 98, 1); /* moved */
    ask_sync(t);
    let_pass(t, S);
    ask_join(t);
    peer_add_indirect(t->p, &(struct br_indirect_ping){.seq = 1,
                                                       .target = br_bytes(target, 4),
                                                       .port = 7946,
                                                       .node = world_bytes("nobody we know"),
                                                       .nack = true});
    tell(t);
    peer_ping(t->p, 9, "n0");
    tell(t);
    if (bruit_set_meta(engine, world_bytes("role"), t->w->now) == 0)
        world_settle(t->w, 0);
    (void)bruit_force_leave(engine, world_bytes("e"), false, &request, t->w->now);
    world_settle(t->w, 0);
    let_pass(t, 45 * S); /* all of them are silent: suspected, dead, and forgotten */
    tell_alive(t, "k", 50, 1);
    if (bruit_leave(engine, 5 * S, t->w->now) == 0)
        world_settle(t->w, 0);
    let_pass(t, 12 * S);
    assert_int_equal(world_events(t->w, 0, BRUIT_EVENT_LEAVE_DONE, NULL, 0), 1);
}

static struct story begin_story(bool sealed)
{
    static const uint8_t key_bytes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    static const struct bruit_bytes keys[] = {{key_bytes, 16}};
    struct story t = {.w = world_new(62)};
    t.w->config.modules = modules;
    t.w->config.module_count = 1;
    t.w->config.keys = keys;
    t.w->config.key_count = sealed ? 1 : 0;
    t.w->config.compression = sealed;
    t.w->trace_level = BRUIT_TRACE_OFF;
    (void)world_add(t.w);
    assert_int_equal(world_start(t.w, 0), 0);
    t.p = peer_new(t.w, 0, "p", 1);
    t.p->wire->wire.compression = sealed;
    if (sealed)
        test_wire_key(t.p->wire, 0, 16);
    return t;
}

static void end_story(struct story *t)
{
    peer_free(t->p);
    world_free(t->w);
}

/* The nth allocation after the start fails, for every n there is. */
static void test_every_allocation_fails_once(void **state)
{
    (void)state;
    for (int sealed = 0; sealed < 2; sealed++) {
        struct story t = begin_story(sealed == 1);
        uint64_t first = t.w->nodes[0].memory.count;
        live(&t);
        uint64_t count = t.w->nodes[0].memory.count - first;
        uint32_t refused = 0;
        end_story(&t);
        assert_true(count > 100);
        for (uint64_t n = 1; n <= count; n++) {
            t = begin_story(sealed == 1);
            t.w->nodes[0].memory.fail_at = first + n;
            live(&t);
            refused += t.refused;
            end_story(&t);
        }
        assert_true(refused > 5);
    }
}

/* From the nth on all fail, and then there is memory again: the engine goes on as if nothing had been. */
static void test_recovers_when_memory_returns(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 200; n += 7) {
        struct story t = begin_story(false);
        struct test_memory *memory = &t.w->nodes[0].memory;
        memory->fail_at = memory->count + n;
        memory->fail_after = true;
        live(&t);
        memory->fail_at = 0;
        memory->fail_after = false;
        let_pass(&t, S);
        peer_hear(t.p);
        peer_ping(t.p, 77, "n0");
        assert_int_equal(peer_send(t.p), 0);
        peer_hear(t.p);
        assert_true(peer_heard_ack(t.p, 77));
        end_story(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_event_waits_for_memory),
        cmocka_unit_test(test_every_allocation_fails_once),
        cmocka_unit_test(test_recovers_when_memory_returns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
