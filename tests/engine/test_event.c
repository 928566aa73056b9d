/*
 * User events: taken once, in the order of their clock, by everybody (docs/wire/serf.md, sections 6 and 7.1).
 *
 * A small cluster of members with the event module, and a testing peer who says what a Serf agent could say.
 */
#include "codec/addr.h"
#include "codec/serf.h"
#include "support/peer.h"

#include <bruit/event.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S BRUIT_SECOND
#define MS BRUIT_MILLISECOND

static const struct bruit_module *const modules[] = {&bruit_event_module, &bruit_status_module};

/* What members were handed, in order. */
struct heard {
    uint32_t node;
    uint64_t ltime;
    char name[32];
    char payload[32];
    size_t payload_size;
    bool coalesce;
    bool is_replayed;
};

#define HEARD_MAX 4096
static struct heard heard[HEARD_MAX];
static size_t heard_count;

static void hears(struct world *w, uint32_t node, const struct bruit_event *event)
{
    struct bruit_user_event user;
    (void)w;
    if (bruit_event_read(event, &user) != 0)
        return;
    assert_true(heard_count < HEARD_MAX);
    struct heard *h = &heard[heard_count++];
    *h = (struct heard){.node = node,
                        .ltime = user.ltime,
                        .payload_size = user.payload.size,
                        .coalesce = user.coalesce,
                        .is_replayed = user.is_replayed};
    snprintf(h->name, sizeof h->name, "%.*s", (int)user.name.size, (const char *)user.name.data);
    snprintf(h->payload, sizeof h->payload, "%.*s", (int)user.payload.size, (const char *)user.payload.data);
}

static size_t times_heard(uint32_t node, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < heard_count; i++)
        count += heard[i].node == node && strcmp(heard[i].name, name) == 0;
    return count;
}

static const struct heard *last_heard(uint32_t node)
{
    for (size_t i = heard_count; i-- > 0;)
        if (heard[i].node == node)
            return &heard[i];
    return NULL;
}

static struct world *event_world(uint64_t seed, uint32_t count)
{
    struct world *w = world_new(seed);
    heard_count = 0;
    w->hears = hears;
    w->config.modules = modules;
    w->config.module_count = 2;
    world_cluster(w, count);
    assert_true(world_wait_all_alive(w, 5 * S));
    return w;
}

static int fire(struct world *w, uint32_t node, const char *name, const char *payload, bool coalesce)
{
    int status =
        bruit_user_event(w->nodes[node].engine, world_bytes(name), world_bytes(payload), coalesce, w->now);
    world_settle(w, node);
    return status;
}

static struct bruit_bytes event_message(uint8_t *buffer, size_t capacity, uint64_t ltime, const char *name,
                                        const char *payload, bool coalesce)
{
    struct br_writer w;
    br_writer_init(&w, buffer, capacity);
    br_write_u8(&w, BR_USER);
    br_serf_event_encode(&w, &(struct br_serf_event){.ltime = ltime,
                                                     .name = world_bytes(name),
                                                     .payload = world_bytes(payload),
                                                     .coalesce = coalesce});
    assert_false(w.failed);
    return br_writer_bytes(&w);
}

static void say_event(struct peer *p, uint64_t ltime, const char *name, const char *payload)
{
    uint8_t buffer[512];
    peer_raw(p, event_message(buffer, sizeof buffer, ltime, name, payload, false));
    assert_int_equal(peer_send(p), 0);
}

/* ---- sending and passing on ---- */

/* One member fires an event: each of eight is handed it once, with time 1 and all that it carried. */
static void test_an_event_reaches_everybody_once(void **state)
{
    (void)state;
    struct world *w = event_world(1, 8);
    assert_int_equal(fire(w, 3, "deploy", "v1", true), 0);
    world_run(w, 2 * S);
    assert_int_equal(heard_count, 8);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(times_heard(i, "deploy"), 1);
        assert_int_equal(last_heard(i)->ltime, 1);
        assert_string_equal(last_heard(i)->payload, "v1");
        assert_true(last_heard(i)->coalesce);
        assert_false(last_heard(i)->is_replayed);
        assert_int_equal(bruit_event_time(w->nodes[i].engine), 2);
    }
    world_free(w);
}

/* A fresh member's event clock stands at 1, and moves by one with each event of its own. */
/* conformance: serf 9 */
static void test_the_event_clock_begins_at_1(void **state)
{
    (void)state;
    struct world *w = event_world(2, 1);
    assert_int_equal(bruit_event_time(w->nodes[0].engine), 1);
    assert_int_equal(fire(w, 0, "a", "", false), 0);
    assert_int_equal(fire(w, 0, "a", "", false), 0);
    assert_int_equal(bruit_event_time(w->nodes[0].engine), 3);
    assert_int_equal(times_heard(0, "a"), 2); /* the same name at another time is another event */
    world_free(w);
}

/* A peer of another make writes keys in another order: what is passed on are its bytes, not ours. */
/* conformance: serf 6 */
static void test_passes_on_the_bytes_that_came(void **state)
{
    (void)state;
    /* 08, 03, a map of Name, LTime, and an unknown key; payload as bin8, CC missing. */
    static const uint8_t odd[] = {8,    3,   0x84, 0xa4, 'N', 'a', 'm',  'e',  0xa3, 'o', 'd',  'd',
                                  0xa5, 'L', 'T',  'i',  'm', 'e', 7,    0xa1, 'X',  1,   0xa7, 'P',
                                  'a',  'y', 'l',  'o',  'a', 'd', 0xc4, 2,    'h',  'i'};
    struct world *w = event_world(3, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    peer_alive(p, 1);
    assert_int_equal(peer_send(p), 0);
    peer_raw(p, br_bytes(odd, sizeof odd));
    assert_int_equal(peer_send(p), 0);
    assert_int_equal(times_heard(0, "odd"), 1);
    assert_string_equal(last_heard(0)->payload, "hi");
    size_t copies = 0;
    for (bruit_time end = w->now + S; w->now < end;) {
        size_t from = 0;
        const struct peer_leaf *leaf;
        peer_live(p, MS);
        while ((leaf = peer_next(p, BR_USER, &from)) != NULL)
            if (leaf->body.data[0] == BR_SERF_USER_EVENT) {
                copies++;
                assert_true(br_bytes_equal(leaf->body, br_bytes(odd + 1, sizeof odd - 1)));
            }
    }
    assert_true(copies > 0);
    peer_free(p);
    world_free(w);
}

/* Five copies of an event come; another payload, and another time, are other events. */
/* conformance: serf 27 */
static void test_copies_are_known_by_time_name_and_payload(void **state)
{
    (void)state;
    struct world *w = event_world(4, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    for (int i = 0; i < 5; i++)
        say_event(p, 10, "a", "x");
    world_settle(w, 0);
    assert_int_equal(heard_count, 1);
    say_event(p, 10, "a", "y");
    world_settle(w, 0);
    assert_int_equal(heard_count, 2);
    say_event(p, 10, "b", "x");
    world_settle(w, 0);
    assert_int_equal(heard_count, 3);
    say_event(p, 11, "a", "x");
    world_settle(w, 0);
    assert_int_equal(heard_count, 4);
    peer_free(p);
    world_free(w);
}

/* The clock stands at 701. Time 189 is the oldest that the ring of 512 holds; 188 is dropped, with Serf's warning. */
/* conformance: serf 28 */
static void test_what_is_older_than_the_ring_is_dropped(void **state)
{
    (void)state;
    struct world *w = event_world(5, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    say_event(p, 700, "now", "");
    world_settle(w, 0);
    assert_int_equal(bruit_event_time(w->nodes[0].engine), 701);
    say_event(p, 189, "edge", "");
    say_event(p, 188, "past", "");
    world_settle(w, 0);
    assert_int_equal(times_heard(0, "edge"), 1);
    assert_int_equal(times_heard(0, "past"), 0);
    assert_true(world_expect_trace(w, 0, "received old event past from time 188 (current: 701)"));
    assert_int_equal(world_stats(w, 0).drops[BRUIT_DROP_EVENT_OLD], 1);
    peer_free(p);
    world_free(w);
}

/* One forged message must not set the clock back to 0, nor be taken again and again. */
static void test_the_largest_time_is_not_taken(void **state)
{
    (void)state;
    struct world *w = event_world(6, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    say_event(p, UINT64_MAX, "end", "");
    say_event(p, UINT64_MAX, "end", "");
    world_settle(w, 0);
    assert_int_equal(heard_count, 0);
    assert_int_equal(bruit_event_time(w->nodes[0].engine), 1);
    say_event(p, UINT64_MAX - 1, "nearly", "");
    world_settle(w, 0);
    assert_int_equal(times_heard(0, "nearly"), 1);
    assert_int_equal(fire(w, 0, "mine", "", false), BRUIT_EFULL);
    peer_free(p);
    world_free(w);
}

/* ---- sizes ---- */

static int check(struct world *w, size_t name_size, size_t payload_size, char *text, size_t size)
{
    static uint8_t bytes[20000];
    memset(bytes, 'x', sizeof bytes);
    text[0] = 0;
    return bruit_user_event_check(w->nodes[0].engine, br_bytes(bytes, name_size),
                                  br_bytes(bytes, payload_size), text, size);
}

/* The four limits, each at its edge, with Serf's sentences. */
/* conformance: serf 29 */
static void test_size_limits_and_their_sentences(void **state)
{
    (void)state;
    char text[128];
    struct world *w = event_world(7, 1);
    assert_int_equal(check(w, 2, 480, text, sizeof text), 0);
    assert_int_equal(check(w, 2, 481, text, sizeof text), BRUIT_ETOOBIG);
    assert_string_equal(text, "encoded user event exceeds configured limit of 512 bytes after encoding");
    assert_int_equal(check(w, 2, 510, text, sizeof text), BRUIT_ETOOBIG);
    assert_string_equal(text, "encoded user event exceeds configured limit of 512 bytes after encoding");
    assert_int_equal(check(w, 2, 511, text, sizeof text), BRUIT_ETOOBIG);
    assert_string_equal(text, "user event exceeds configured limit of 512 bytes before encoding");

    struct bruit_event_options options;
    bruit_event_options_default(&options);
    options.size_limit = 9217;
    assert_int_equal(bruit_event_configure(w->nodes[0].engine, &options), BRUIT_EINVAL);
    options.size_limit = 9216;
    assert_int_equal(bruit_event_configure(w->nodes[0].engine, &options), 0);
    assert_int_equal(check(w, 2, 9216 - 32, text, sizeof text), 0);
    assert_int_equal(check(w, 2, 9216 - 31, text, sizeof text), BRUIT_ETOOBIG);
    assert_string_equal(text, "encoded user event exceeds configured limit of 9216 bytes after encoding");
    assert_int_equal(check(w, 9217, 0, text, sizeof text), BRUIT_ETOOBIG);
    assert_string_equal(text, "user event exceeds configured limit of 9216 bytes before encoding");
    assert_int_equal(check(w, 9217, 0, text, 11), BRUIT_ETOOBIG);
    assert_string_equal(text, "user event");
    world_free(w);
}

/* A refused event leaves no trace: the clock stands still, nobody hears anything. */
static void test_a_refused_event_changes_nothing(void **state)
{
    (void)state;
    static char payload[600];
    struct world *w = event_world(8, 1);
    memset(payload, 'x', sizeof payload - 1);
    assert_int_equal(fire(w, 0, "big", payload, false), BRUIT_ETOOBIG);
    assert_int_equal(bruit_event_time(w->nodes[0].engine), 1);
    assert_int_equal(heard_count, 0);
    world_free(w);
}

/* ---- syncs ---- */

static void join(struct world *w, uint32_t node, uint32_t seed_node, uint32_t flags)
{
    struct bruit_join_target target = {.addr = w->nodes[seed_node].addr};
    uint32_t request;
    assert_int_equal(bruit_join(w->nodes[node].engine, &target, 1, flags, &request, w->now), 0);
    world_settle(w, node);
    world_run(w, 3 * S);
}

/* Two strangers, each with an event of its own in memory. */
static struct world *two_strangers(uint64_t seed)
{
    struct world *w = event_world(seed, 1);
    assert_int_equal(world_start(w, world_add(w)), 0);
    assert_int_equal(fire(w, 0, "theirs", "1", true), 0);
    assert_int_equal(fire(w, 0, "theirs", "2", true), 0);
    assert_int_equal(fire(w, 1, "ours", "3", true), 0);
    world_run(w, S);
    assert_int_equal(heard_count, 3);
    return w;
}

/*
 * Joining with replay: the old events of the member joined come, once each, marked as replayed and without the flag
 * that they were sent with. Its clock is past them.
 */
/* conformance: serf 25 */
static void test_joining_replays_old_events(void **state)
{
    (void)state;
    struct world *w = two_strangers(9);
    join(w, 1, 0, 0);
    assert_int_equal(times_heard(1, "theirs"), 2);
    for (size_t i = 3; i < heard_count; i++) {
        assert_true(heard[i].is_replayed);
        assert_false(heard[i].coalesce);
    }
    assert_int_equal(bruit_event_time(w->nodes[1].engine), 3);
    world_free(w);
}

/* Joining with BRUIT_JOIN_IGNORE_OLD: none of them come, later ones do. */
/* conformance: serf 25 */
static void test_joining_can_ignore_old_events(void **state)
{
    (void)state;
    struct world *w = two_strangers(10);
    join(w, 1, 0, BRUIT_JOIN_IGNORE_OLD);
    assert_int_equal(times_heard(1, "theirs"), 0);
    world_run(w, 70 * S); /* syncs do not bring them either */
    assert_int_equal(times_heard(1, "theirs"), 0);
    assert_int_equal(fire(w, 0, "theirs", "new", false), 0);
    world_run(w, S);
    assert_int_equal(times_heard(1, "theirs"), 1);
    world_free(w);
}

/* Whoever is joined hears the joiner's old events, whatever the joiner wants to ignore. */
/* conformance: serf 26 */
static void test_the_member_joined_hears_old_events(void **state)
{
    (void)state;
    struct world *w = two_strangers(11);
    join(w, 1, 0, BRUIT_JOIN_IGNORE_OLD);
    assert_int_equal(times_heard(0, "ours"), 1);
    world_free(w);
}

/* The document has 512 places, an event of time t in place t mod 512, and wraps around. */
/* conformance: serf 23 */
static void test_the_document_has_a_place_for_each_time(void **state)
{
    (void)state;
    struct world *w = event_world(12, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    struct peer_answer answer = {0};
    struct br_serf_state document;
    say_event(p, 511, "last", "");
    say_event(p, 513, "wrapped", "payload");
    say_event(p, 513, "wrapped too", "");
    peer_sync(p, false, NULL, 0, &answer);
    assert_int_equal(answer.state.data[0], BR_SERF_PUSHPULL);
    assert_int_equal(br_serf_state_decode(&document, br_bytes(answer.state.data + 1, answer.state.size - 1)),
                     0);
    assert_int_equal(document.event_ltime, 514);
    assert_int_equal(document.events.count, 512);
    struct br_reader r;
    br_reader_init(&r, document.events.items);
    for (uint32_t i = 0; i < 512; i++) {
        bool is_nil = br_mp_peek(&r) == BR_MP_NIL;
        assert_int_equal(is_nil, i != 1 && i != 511);
        br_mp_skip(&r);
    }
    struct br_serf_slot slot;
    struct bruit_bytes name, payload;
    assert_true(br_serf_next_slot(&document.events, &slot));
    assert_int_equal(slot.ltime, 513);
    assert_int_equal(slot.events.count, 2);
    assert_true(br_serf_next_slot_event(&slot.events, &name, &payload));
    assert_true(br_bytes_equal(name, world_bytes("wrapped")));
    assert_true(br_bytes_equal(payload, world_bytes("payload")));
    assert_true(br_serf_next_slot(&document.events, &slot));
    assert_int_equal(slot.ltime, 511);
    peer_free(p);
    world_free(w);
}

/* A sync moves the clock to what the other side's stands at, and no further: its 0 moves nothing. */
/* conformance: serf 11 */
static void test_a_sync_witnesses_the_event_clock_less_one(void **state)
{
    (void)state;
    static uint8_t document[2048], message[4096];
    struct world *w = event_world(13, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    const uint64_t times[] = {0, 40, 40, 39};
    const uint64_t clocks[] = {1, 40, 40, 40};
    for (size_t i = 0; i < 4; i++) {
        struct peer_answer answer = {0};
        struct br_entry self = peer_entry(p, p->name, 1, 1, BR_ENTRY_ALIVE);
        struct br_writer d;
        br_writer_init(&d, document, sizeof document);
        br_write_u8(&d, BR_SERF_PUSHPULL);
        br_mp_write_map(&d, 1);
        br_mp_write_key(&d, "EventLTime");
        br_mp_write_uint(&d, times[i]);
        self.alive.addr = br_addr_ip(&p->addr);
        size_t size = peer_write_state(message, sizeof message, false, &self, 1, br_writer_bytes(&d));
        peer_ask(p, br_bytes(message, size), &answer, NULL);
        assert_int_equal(bruit_event_time(w->nodes[0].engine), clocks[i]);
    }
    peer_free(p);
    world_free(w);
}

/* A program that restarts says what it saw last: nothing up to that is handed out again. */
/* conformance: serf 60 */
static void test_events_before_the_restored_time_are_not_handed_out(void **state)
{
    (void)state;
    struct world *w = event_world(14, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    bruit_event_witness(w->nodes[0].engine, 20);
    bruit_event_ignore_before(w->nodes[0].engine, 21);
    assert_int_equal(bruit_event_time(w->nodes[0].engine), 21);
    say_event(p, 20, "seen", "");
    say_event(p, 21, "unseen", "");
    world_settle(w, 0);
    assert_int_equal(times_heard(0, "seen"), 0);
    assert_int_equal(times_heard(0, "unseen"), 1);
    bruit_event_ignore_before(w->nodes[0].engine, 5); /* it never goes back */
    say_event(p, 19, "seen", "");
    world_settle(w, 0);
    assert_int_equal(times_heard(0, "seen"), 0);
    peer_free(p);
    world_free(w);
}

/* ---- hostile peers ---- */

/* A hostile peer makes up ten thousand events of one time: a bounded number of them is taken, then none. */
static void test_events_of_one_time_are_bounded(void **state)
{
    (void)state;
    char name[32];
    struct world *w = event_world(15, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    for (int i = 0; i < 1100; i++) {
        snprintf(name, sizeof name, "e%d", i);
        say_event(p, 5, name, "");
        world_settle(w, 0);
    }
    assert_int_equal(heard_count, 1024);
    assert_int_equal(world_stats(w, 0).drops[BRUIT_DROP_EVENT_FULL], 76);
    say_event(p, 6, "later", ""); /* and nobody else is kept out */
    world_settle(w, 0);
    assert_int_equal(times_heard(0, "later"), 1);
    peer_free(p);
    world_free(w);
}

/*
 * Large events at many times: what is remembered stays below its limit, since the oldest times are forgotten; what
 * was forgotten counts as old, so that none is handed out twice.
 */
static void test_the_memory_of_events_is_bounded(void **state)
{
    (void)state;
    static char payload[1000];
    static uint8_t buffer[2048];
    struct world *w = event_world(16, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    struct bruit_event_options options;
    bruit_event_options_default(&options);
    options.memory_max = 16384;
    assert_int_equal(bruit_event_configure(w->nodes[0].engine, &options), 0);
    memset(payload, 'x', sizeof payload - 1);
    for (uint64_t t = 1; t <= 200; t++) {
        peer_raw(p, event_message(buffer, sizeof buffer, t, "big", payload, false));
        assert_int_equal(peer_send(p), 0);
        world_settle(w, 0);
        world_run(w, 10 * MS);
    }
    assert_int_equal(times_heard(0, "big"), 200);
    struct peer_answer answer = {0};
    peer_sync(p, false, NULL, 0, &answer);
    assert_in_range(answer.state.size, 12000, 18000); /* what is remembered is what a sync carries */
    for (uint64_t t = 1; t <= 200; t++) {
        peer_raw(p, event_message(buffer, sizeof buffer, t, "big", payload, false));
        assert_int_equal(peer_send(p), 0);
    }
    world_settle(w, 0);
    assert_int_equal(times_heard(0, "big"), 200);
    peer_free(p);
    world_free(w);
}

/* Truncated, empty, and of the wrong shape: counted, and nothing happens. */
/* conformance: serf 7 */
static void test_what_cannot_be_decoded_is_dropped(void **state)
{
    (void)state;
    static const uint8_t wrong[] = {BR_USER, BR_SERF_USER_EVENT, 0xa3, 'a', 'b', 'c'};
    uint8_t buffer[128];
    struct world *w = event_world(17, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    struct bruit_bytes whole = event_message(buffer, sizeof buffer, 5, "name", "payload", true);
    for (size_t size = 1; size < whole.size; size++) {
        peer_raw(p, br_bytes(whole.data, size));
        assert_int_equal(peer_send(p), 0);
    }
    peer_raw(p, br_bytes(wrong, sizeof wrong));
    assert_int_equal(peer_send(p), 0);
    world_settle(w, 0);
    assert_int_equal(heard_count, 0);
    assert_true(world_stats(w, 0).drops[BRUIT_DROP_MALFORMED] > 0);
    peer_free(p);
    world_free(w);
}

/* No payload comes as nil, as empty, or not at all: the same event each time. */
/* conformance: serf 8 */
static void test_nil_and_empty_payloads_are_the_same(void **state)
{
    (void)state;
    static const uint8_t nil[] = {8,   3,   0x83, 0xa4, 'N',  'a', 'm', 'e', 0xa1, 'n', 0xa5, 'L', 'T',
                                  'i', 'm', 'e',  7,    0xa7, 'P', 'a', 'y', 'l',  'o', 'a',  'd', 0xc0};
    uint8_t empty[sizeof nil];
    struct world *w = event_world(18, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    memcpy(empty, nil, sizeof nil);
    empty[sizeof nil - 1] = 0xa0;
    peer_raw(p, br_bytes(nil, sizeof nil));
    assert_int_equal(peer_send(p), 0);
    peer_raw(p, br_bytes(empty, sizeof empty));
    assert_int_equal(peer_send(p), 0);
    say_event(p, 7, "n", "");
    world_settle(w, 0);
    assert_int_equal(heard_count, 1);
    assert_int_equal(last_heard(0)->payload_size, 0);
    peer_free(p);
    world_free(w);
}

/* ---- how fast ---- */

/* Fires `count` events from random members of `members`; how long the slowest took until everybody had it. */
static bruit_time slowest(struct world *w, uint32_t members, int count, bruit_time most)
{
    bruit_time worst = 0;
    for (int i = 0; i < count; i++) {
        heard_count = 0;
        bruit_time begin = w->now;
        assert_int_equal(fire(w, br_rng_below(&w->rng, members), "e", "", false), 0);
        while (heard_count < members && w->now < begin + most)
            world_run(w, MS);
        if (heard_count < members)
            return BRUIT_NEVER;
        worst = w->now - begin > worst ? w->now - begin : worst;
        world_run(w, br_rng_time_below(&w->rng, 1500 * MS));
    }
    return worst;
}

/* Fifty members on a network that loses nothing: no event of a hundred misses anybody, and each is fast. */
static void test_without_loss_everybody_is_reached_in_a_blink(void **state)
{
    (void)state;
    struct world *w = event_world(21, 50);
    world_run(w, 20 * S);
    assert_true(slowest(w, 50, 100, 2 * S) <= 50 * MS);
    world_free(w);
}

/*
 * Three datagrams in ten are lost, so that gossip alone misses somebody in one event of thirty: unanswered pings say
 * that packets get lost, and a sync with the successor repairs what it missed. Everybody has each event within 2 s.
 */
static void test_under_loss_everybody_is_reached_within_two_seconds(void **state)
{
    (void)state;
    struct world *w = event_world(22, 50);
    world_run(w, 20 * S);
    w->loss = 300;
    assert_true(slowest(w, 50, 60, 10 * S) <= 2 * S);
    world_free(w);
}

/* ---- the queues ---- */

/* A member that reaches nobody fires more events than the queue holds: it stays at 4,096, with Serf's warning. */
/* conformance: serf 62 */
static void test_the_queue_of_events_is_bounded(void **state)
{
    (void)state;
    struct world *w = event_world(23, 2);
    world_cut(w, 0, 1, true);
    for (int i = 0; i < 4100; i++) {
        heard_count = 0;
        assert_int_equal(fire(w, 0, "e", "", false), 0);
        assert_int_equal(heard_count, 1);
    }
    assert_int_equal(world_stats(w, 0).drops[BRUIT_DROP_BROADCASTS_FULL], 4);
    assert_int_equal(world_traced(w, 0, "Event queue depth (4097) exceeds limit (4096), dropping messages!"),
                     1);
    world_free(w);
}

/* A lone member publishes for hours: there is nobody to tell, so nothing waits (hashicorp/serf#78). */
static void test_alone_nothing_waits_to_be_told(void **state)
{
    (void)state;
    struct world *w = event_world(24, 1);
    for (int i = 0; i < 1000; i++) {
        heard_count = 0;
        assert_int_equal(fire(w, 0, "e", "", false), 0);
        assert_int_equal(heard_count, 1);
        assert_int_equal(bruit_event_queued(w->nodes[0].engine), 0);
        world_run(w, 10 * S);
    }
    world_free(w);
}

/* An engine without the module: its functions say so, its messages are nobody's. */
static void test_without_the_module_there_are_no_events(void **state)
{
    (void)state;
    struct world *w = world_new(19);
    world_cluster(w, 1);
    heard_count = 0;
    assert_int_equal(fire(w, 0, "a", "", false), BRUIT_ENOENT);
    assert_int_equal(bruit_event_time(w->nodes[0].engine), 0);
    world_free(w);
}

/* An event at rest costs what it is: a member that never heard one holds no ring. */
static void test_a_ring_without_events_costs_nothing(void **state)
{
    (void)state;
    struct world *w = event_world(20, 1);
    uint64_t before = world_stats(w, 0).memory;
    struct peer *p = peer_new(w, 0, "peer", 1);
    say_event(p, 188, "one", "");
    world_settle(w, 0);
    assert_true(world_stats(w, 0).memory >= before + 512 * sizeof(void *));
    assert_true(before < 200000);
    peer_free(p);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_event_reaches_everybody_once),
        cmocka_unit_test(test_the_event_clock_begins_at_1),
        cmocka_unit_test(test_passes_on_the_bytes_that_came),
        cmocka_unit_test(test_copies_are_known_by_time_name_and_payload),
        cmocka_unit_test(test_what_is_older_than_the_ring_is_dropped),
        cmocka_unit_test(test_the_largest_time_is_not_taken),
        cmocka_unit_test(test_size_limits_and_their_sentences),
        cmocka_unit_test(test_a_refused_event_changes_nothing),
        cmocka_unit_test(test_joining_replays_old_events),
        cmocka_unit_test(test_joining_can_ignore_old_events),
        cmocka_unit_test(test_the_member_joined_hears_old_events),
        cmocka_unit_test(test_the_document_has_a_place_for_each_time),
        cmocka_unit_test(test_a_sync_witnesses_the_event_clock_less_one),
        cmocka_unit_test(test_events_before_the_restored_time_are_not_handed_out),
        cmocka_unit_test(test_events_of_one_time_are_bounded),
        cmocka_unit_test(test_the_memory_of_events_is_bounded),
        cmocka_unit_test(test_what_cannot_be_decoded_is_dropped),
        cmocka_unit_test(test_nil_and_empty_payloads_are_the_same),
        cmocka_unit_test(test_without_loss_everybody_is_reached_in_a_blink),
        cmocka_unit_test(test_under_loss_everybody_is_reached_within_two_seconds),
        cmocka_unit_test(test_the_queue_of_events_is_bounded),
        cmocka_unit_test(test_alone_nothing_waits_to_be_told),
        cmocka_unit_test(test_without_the_module_there_are_no_events),
        cmocka_unit_test(test_a_ring_without_events_costs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
