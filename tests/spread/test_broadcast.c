/*
 * The modules' broadcasts: order, room, copies, and the word that one is done.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "spread/broadcast.h"
#include "support/core.h"

#include <bruit/error.h>
#include <string.h>

#define BUDGET 1398

struct fixture {
    struct test_core t;
    struct br_broadcast b;
    struct br_wire wire;
    struct br_scratch scratch;
    uint8_t buffer[2000];
};

static void start(struct fixture *f, uint32_t members)
{
    test_core_init(&f->t, members, 1);
    memset(&f->wire, 0, sizeof f->wire);
    br_scratch_init(&f->scratch, &f->t.core.alloc);
    br_broadcast_init(&f->b, &f->t.core);
}

static void finish(struct fixture *f)
{
    br_broadcast_fini(&f->b);
    br_scratch_fini(&f->scratch);
    test_core_fini(&f->t);
}

struct packet {
    uint32_t count;
    size_t used;
    size_t sizes[255];   /* of the payloads */
    uint8_t firsts[255]; /* their first bytes */
};

static int note_leaf(void *context, enum br_message_type type, struct bruit_bytes body)
{
    struct packet *packet = context;
    assert_int_equal(type, BR_USER);
    packet->sizes[packet->count] = body.size;
    packet->firsts[packet->count++] = body.size == 0 ? 0 : body.data[0];
    return 0;
}

static void note_drop(void *context, enum bruit_drop reason)
{
    (void)context;
    fail_msg("a packet of ours was dropped: %d", (int)reason);
}

static struct packet fill(struct fixture *f, size_t room)
{
    struct packet packet = {.count = 0};
    struct br_packet_builder builder;
    br_packet_begin(&builder, &f->wire, &f->scratch, f->buffer, sizeof f->buffer, false);
    packet.used = br_broadcast_fill(&f->b, &builder, room, 0, false);
    if (builder.count == 0)
        return packet;
    size_t size;
    assert_int_equal(br_packet_finish(&builder, &size), 0);
    struct br_packet_sink sink = {.context = &packet, .leaf = note_leaf, .drop = note_drop};
    assert_int_equal(br_packet_open(&f->wire, &f->scratch, br_bytes(f->buffer, size), &sink, NULL), 0);
    return packet;
}

/* Queues `size` times the byte `letter`. */
static uint64_t add(struct fixture *f, char letter, size_t size, uint32_t order)
{
    uint8_t message[2000];
    memset(message, letter, size);
    uint64_t handle = 0;
    assert_int_equal(br_broadcast_add(&f->b, br_bytes(message, size), order, &handle), 0);
    assert_true(handle != 0);
    return handle;
}

/* Queued last and of the first order: it goes out first all the same. Within an order, the longest. */
static void test_urgent_orders_go_first(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 5);
    add(&f, 'e', 500, 2);
    add(&f, 'q', 10, 1);
    add(&f, 'i', 5, 0);
    add(&f, 'j', 7, 0);
    struct packet packet = fill(&f, BUDGET);
    assert_int_equal(packet.count, 4);
    assert_memory_equal(packet.firsts, "jiqe", 4);
    assert_int_equal(packet.sizes[3], 500);
    assert_int_equal(packet.used, 522 + 4 * 3);
    finish(&f);
}

/* Each message costs three bytes more: its length, and the type byte that makes it a user message. */
/* conformance: memberlist 64 */
static void test_keeps_to_the_room_that_is_left(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 5);
    add(&f, 'a', 100, 0);
    assert_int_equal(fill(&f, 102).count, 0);
    assert_int_equal(fill(&f, 3).count, 0);
    assert_int_equal(fill(&f, 0).count, 0);
    struct packet packet = fill(&f, 103);
    assert_int_equal(packet.count, 1);
    assert_int_equal(packet.used, 103);
    finish(&f);
}

/* Four times among 5 members, eight times among the 10 that the module counts; then the module hears of it. */
static void test_says_when_it_is_done(void **state)
{
    (void)state;
    for (int i = 0; i <= 1; i++) {
        struct fixture f;
        start(&f, 5);
        if (i == 1)
            br_broadcast_set_members(&f.b, 10);
        uint64_t handle = add(&f, 'a', 20, 1);
        for (int sent = 1; sent < (i == 1 ? 8 : 4); sent++) {
            assert_int_equal(fill(&f, BUDGET).count, 1);
            assert_true(br_broadcast_next_done(&f.b) == 0);
            assert_true(br_broadcast_waits(&f.b));
        }
        assert_int_equal(fill(&f, BUDGET).count, 1);
        assert_false(br_broadcast_waits(&f.b));
        assert_true(br_broadcast_next_done(&f.b) == handle);
        assert_true(br_broadcast_next_done(&f.b) == 0);
        assert_int_equal(fill(&f, BUDGET).count, 0);
        finish(&f);
    }
}

/* Two end in the same packet: both are reported, in the order in which they went. */
static void test_reports_all_that_are_done(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 5);
    uint64_t shorter = add(&f, 'a', 20, 1), longer = add(&f, 'b', 30, 1), other = add(&f, 'c', 30, 2);
    for (int sent = 0; sent < 4; sent++)
        assert_int_equal(fill(&f, BUDGET).count, 3);
    assert_true(br_broadcast_next_done(&f.b) == longer);
    assert_true(br_broadcast_next_done(&f.b) == shorter);
    assert_true(br_broadcast_next_done(&f.b) == other);
    assert_true(br_broadcast_next_done(&f.b) == 0);
    finish(&f);
}

/* Handles are never used again, though the places are. */
static void test_handles_are_unique(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 5);
    uint64_t last = 0;
    for (uint32_t i = 0; i < 100; i++) {
        uint64_t handle = add(&f, 'a', 20, i % 3);
        assert_true(handle > last);
        last = handle;
        for (int sent = 0; sent < 4; sent++)
            fill(&f, BUDGET);
        assert_true(br_broadcast_next_done(&f.b) == handle);
    }
    assert_true(f.b.orders[0].used <= 3);
    finish(&f);
}

/* A message is longer than any packet: it is counted, never sent, and no round is held for it. Shorter ones go. */
static void test_a_message_that_never_fits_holds_nothing_up(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 5);
    br_broadcast_set_room(&f.b, BUDGET);
    add(&f, 'a', BUDGET - 2, 0);
    assert_true(br_broadcast_waits(&f.b));
    assert_int_equal(fill(&f, 100).count, 0);
    assert_true(br_broadcast_waits(&f.b)); /* in a whole packet it might fit */
    assert_int_equal(fill(&f, BUDGET).count, 0);
    assert_false(br_broadcast_waits(&f.b));
    assert_int_equal(br_broadcast_count(&f.b, 0), 1);
    add(&f, 'b', BUDGET - 3, 1);
    assert_true(br_broadcast_waits(&f.b));
    struct packet packet = fill(&f, BUDGET);
    assert_int_equal(packet.count, 1);
    assert_int_equal(packet.firsts[0], 'b');
    for (int i = 0; i < 3; i++)
        assert_int_equal(fill(&f, BUDGET).count, 1);
    assert_int_equal(fill(&f, BUDGET).count, 0);
    assert_false(br_broadcast_waits(&f.b));
    br_broadcast_set_room(&f.b, BUDGET + 1); /* a label was dropped: now it fits */
    assert_true(br_broadcast_waits(&f.b));
    assert_int_equal(fill(&f, BUDGET + 1).firsts[0], 'a');
    finish(&f);
}

/*
 * An order holds 4,096 messages. One more, and what was told most often goes, and is done; of those told equally
 * often the shortest, and of those the oldest.
 */
/* conformance: serf 62 */
static void test_a_full_order_drops_what_was_told_most(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 5);
    uint64_t told = add(&f, 't', 1300, 2);
    for (int target = 0; target < 3; target++) /* one whole round */
        assert_int_equal(fill(&f, BUDGET).count, 1);
    uint64_t first = add(&f, 'f', 1, 2);
    for (uint32_t i = 2; i < BR_BROADCAST_MAX; i++)
        add(&f, 'x', 2, 2);
    assert_int_equal(br_broadcast_count(&f.b, 2), BR_BROADCAST_MAX);
    assert_true(br_broadcast_next_done(&f.b) == 0);
    add(&f, 'y', 2, 2);
    assert_int_equal(br_broadcast_count(&f.b, 2), BR_BROADCAST_MAX);
    assert_true(br_broadcast_next_done(&f.b) == told);
    add(&f, 'z', 2, 2);
    assert_true(br_broadcast_next_done(&f.b) == first);
    assert_int_equal(br_broadcast_count(&f.b, 2), BR_BROADCAST_MAX);
    assert_int_equal(f.t.core.stats.drops[BRUIT_DROP_BROADCASTS_FULL], 2);
    finish(&f);
}

/*
 * A flood: 30 messages wait, and a packet holds 13. The three targets of a round are told the same 13, then the next 13
 * go to the three of the next round: each message reaches our successor, who is the first target of each.
 */
static void test_the_targets_of_a_round_are_told_the_same(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 50);
    for (char i = 0; i < 30; i++)
        add(&f, (char)('A' + i), 100, 2);
    for (int round = 0; round < 2; round++) {
        struct packet first = fill(&f, BUDGET);
        assert_int_equal(first.count, 13);
        for (int target = 1; target < 3; target++) {
            struct packet other = fill(&f, BUDGET);
            assert_memory_equal(other.firsts, first.firsts, 13);
        }
        assert_true(br_broadcast_has_untold(&f.b));
    }
    assert_int_equal(fill(&f, BUDGET).count, 13);
    assert_false(br_broadcast_has_untold(&f.b));
    finish(&f);
}

/* Copies that come back count as transmissions, but not before two rounds of three targets were told. */
static void test_copies_that_come_back_are_counted(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 50); /* eight transmissions */
    uint64_t handle = add(&f, 'a', 20, 2), other = add(&f, 'b', 20, 2);
    for (int sent = 0; sent < 6; sent++) {
        br_broadcast_heard(&f.b, handle);
        assert_int_equal(fill(&f, BUDGET).count, 2);
    }
    br_broadcast_heard(&f.b, handle);
    assert_true(br_broadcast_next_done(&f.b) == 0);
    br_broadcast_heard(&f.b, handle);
    assert_true(br_broadcast_next_done(&f.b) == handle);
    br_broadcast_heard(&f.b, handle); /* too late, and of nobody */
    br_broadcast_heard(&f.b, 0);
    assert_int_equal(fill(&f, BUDGET).count, 1);
    assert_int_equal(fill(&f, BUDGET).count, 1);
    assert_true(br_broadcast_next_done(&f.b) == other);
    finish(&f);
}

/* The bounds: three orders and a queue for each capability, 65,535 bytes; an empty message is one too. */
static void test_refuses_beyond_its_bounds(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 5);
    static const uint8_t bytes[65536];
    uint64_t handle;
    assert_int_equal(br_broadcast_add(&f.b, br_bytes(bytes, 1), BR_BROADCAST_QUEUES, &handle), BRUIT_EINVAL);
    assert_int_equal(br_broadcast_add(&f.b, br_bytes(bytes, 65536), 0, &handle), BRUIT_ETOOBIG);
    assert_int_equal(br_broadcast_add(&f.b, br_bytes(bytes, 65535), 0, &handle), 0);
    assert_int_equal(br_broadcast_add(&f.b, br_bytes(NULL, 0), 1, &handle), 0);
    assert_int_equal(fill(&f, BUDGET).sizes[0], 0);
    assert_int_equal(br_broadcast_count(&f.b, 7), 0);
    finish(&f);
}

/* Every allocation fails once: refused, nothing lost, nothing leaked. */
static void test_survives_failing_memory(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth <= 60; nth++) {
        struct fixture f;
        start(&f, 5);
        f.t.memory.fail_at = f.t.memory.count + nth;
        uint64_t handle;
        int refused = 0;
        for (uint32_t i = 0; i < 50; i++) {
            while (br_broadcast_add(&f.b, br_bytes_text("message"), i % 3, &handle) != 0)
                refused++;
        }
        assert_int_equal(refused, f.t.memory.count >= f.t.memory.fail_at ? 1 : 0);
        assert_int_equal(br_broadcast_count(&f.b, 0), 17);
        assert_true(handle >> 16 == 50);
        finish(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urgent_orders_go_first),
        cmocka_unit_test(test_keeps_to_the_room_that_is_left),
        cmocka_unit_test(test_says_when_it_is_done),
        cmocka_unit_test(test_a_full_order_drops_what_was_told_most),
        cmocka_unit_test(test_the_targets_of_a_round_are_told_the_same),
        cmocka_unit_test(test_copies_that_come_back_are_counted),
        cmocka_unit_test(test_reports_all_that_are_done),
        cmocka_unit_test(test_handles_are_unique),
        cmocka_unit_test(test_a_message_that_never_fits_holds_nothing_up),
        cmocka_unit_test(test_refuses_beyond_its_bounds),
        cmocka_unit_test(test_survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
