/*
 * <bruit/wire.h>, through which other programs' tools look at single messages.
 */
#include <bruit/error.h>
#include <bruit/wire.h>

#include "codec/pushpull.h"
#include "hex.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_text(struct bruit_bytes got, const char *expected)
{
    assert_true(br_bytes_equal(got, br_bytes_string(expected)));
}

/* A capture holds one message of each type: each must show what it says, and nothing of the one before. */
static void test_shows_the_fields_of_every_leaf_message(void **state)
{
    (void)state;
    struct bruit_wire_message m;
    assert_int_equal(
        bruit_wire_decode(&m, hex("0085a44e6f6465a462657461a55365714e6f07aa536f7572636541646472a47f000001"
                                  "aa536f757263654e6f6465a5616c706861aa536f75726365506f7274cd461a")),
        0);
    assert_int_equal(m.type, BRUIT_WIRE_PING);
    assert_int_equal(m.seq, 7);
    assert_text(m.node, "beta");
    assert_text(m.source_node, "alpha");
    assert_int_equal(m.source_port, 17946);
    assert_int_equal(bruit_wire_decode(&m, hex("0183a44e61636bc3a4506f7274cd1f0aa6546172676574a47f000001")),
                     0);
    assert_true(m.wants_nack);
    assert_int_equal(m.port, 7946);
    assert_int_equal(m.addr.size, 4);
    assert_int_equal(m.source_node.size, 0);
    assert_int_equal(bruit_wire_decode(&m, hex("0282a75061796c6f6164a2 0102 a55365714e6f05")), 0);
    assert_int_equal(m.payload.size, 2);
    assert_int_equal(bruit_wire_decode(&m, hex("0b81a55365714e6f05")), 0);
    assert_int_equal(m.seq, 5);
    assert_int_equal(m.payload.size, 0);
    assert_int_equal(bruit_wire_decode(&m, hex("0383a446726f6da161ab496e6361726e6174696f6e03a44e6f6465a162")),
                     0);
    assert_text(m.from, "a");
    assert_text(m.node, "b");
    assert_int_equal(bruit_wire_decode(&m, hex("0583a446726f6da162ab496e6361726e6174696f6e09a44e6f6465a162")),
                     0);
    assert_int_equal(m.incarnation, 9);
    assert_int_equal(
        bruit_wire_decode(&m, hex("0486a441646472a47f000001ab496e6361726e6174696f6e01a44d657461a2ff80"
                                  "a44e6f6465a161a4506f7274cd1f0aa356736ea6010502020505")),
        0);
    assert_int_equal(m.meta.size, 2);
    assert_int_equal(m.versions.size, 6);
    assert_int_equal(bruit_wire_decode(&m, hex("08616263")), 0);
    assert_text(m.payload, "abc");
    assert_int_equal(bruit_wire_decode(&m, hex("0d81a54572726f72a26e6f")), 0);
    assert_text(m.text, "no");
}

static void test_names_types_and_says_what_it_does_not_decode(void **state)
{
    (void)state;
    struct bruit_wire_message m;
    assert_int_equal(bruit_wire_decode(&m, hex("")), BRUIT_EFORMAT);
    assert_int_equal(bruit_wire_decode(&m, hex("00 05")), BRUIT_EFORMAT);
    static const int others[] = {6, 7, 9, 10, 12, 14, 200, 244};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        uint8_t message[] = {(uint8_t)others[i], 0x80};
        assert_int_equal(bruit_wire_decode(&m, br_bytes(message, 2)), BRUIT_ENOSYS);
        assert_int_equal(m.type, others[i]);
    }
    assert_string_equal(bruit_wire_type_name(BRUIT_WIRE_NACK), "nack");
    assert_string_equal(bruit_wire_type_name(BRUIT_WIRE_HAS_LABEL), "label");
    assert_string_equal(bruit_wire_type_name(14), "unknown");
    assert_string_equal(bruit_wire_type_name(-1), "unknown");
    assert_string_equal(bruit_wire_serf_type_name(BRUIT_WIRE_SERF_RELAY), "relay");
    assert_string_equal(bruit_wire_serf_type_name(10), "unknown");
}

/* A whole exchange of two members and a user state, then the same cut at any byte. */
static void test_walks_over_a_state_exchange(void **state)
{
    (void)state;
    static uint8_t buffer[1024];
    struct br_writer w;
    br_writer_init(&w, buffer, sizeof buffer);
    struct br_pushpull_header header = {.nodes = 2, .user_state_size = 5, .join = true};
    br_pushpull_header_encode(&w, &header);
    for (uint8_t i = 0; i < 2; i++) {
        struct br_entry entry = {.state = i == 0 ? BR_ENTRY_ALIVE : BR_ENTRY_LEFT};
        entry.alive.node = br_bytes_text("n");
        entry.alive.incarnation = i;
        br_entry_encode(&w, &entry);
    }
    br_write_bytes(&w, br_bytes_text("state"));
    assert_false(w.failed);

    struct bruit_wire_exchange exchange;
    struct bruit_wire_message entry;
    int belief;
    assert_int_equal(bruit_wire_exchange_open(&exchange, br_writer_bytes(&w)), 0);
    assert_true(exchange.join);
    assert_int_equal(exchange.nodes, 2);
    assert_int_equal(bruit_wire_exchange_next(&exchange, &entry, &belief), 1);
    assert_int_equal(belief, 0);
    assert_int_equal(bruit_wire_exchange_next(&exchange, &entry, &belief), 1);
    assert_int_equal(belief, 3);
    assert_int_equal(entry.incarnation, 1);
    assert_int_equal(bruit_wire_exchange_next(&exchange, &entry, &belief), 0);
    assert_int_equal(bruit_wire_exchange_next(&exchange, &entry, &belief), 0);
    assert_text(exchange.user_state, "state");

    for (size_t size = 0; size < br_writer_size(&w); size++) {
        int step = bruit_wire_exchange_open(&exchange, br_bytes(buffer, size));
        if (step == 0)
            do {
                step = bruit_wire_exchange_next(&exchange, &entry, &belief);
            } while (step == 1);
        assert_int_equal(step, BRUIT_EFORMAT);
    }
    assert_int_equal(bruit_wire_exchange_open(&exchange, hex("06 81 a54e6f646573 ff")), BRUIT_ETOOBIG);
}

static void test_shows_serf_messages_and_tags(void **state)
{
    (void)state;
    struct bruit_wire_serf m;
    assert_int_equal(bruit_wire_serf_decode(&m, hex("0083a54c54696d6505a44e6f6465a161a55072756e65c3")), 0);
    assert_int_equal(m.ltime, 5);
    assert_true(m.prune);
    assert_int_equal(
        bruit_wire_serf_decode(&m, hex("0384a24343c3a54c54696d6502a44e616d65a470696e67a75061796c6f6164a178")),
        0);
    assert_text(m.name, "ping");
    assert_text(m.payload, "x");
    assert_true(m.coalesce);
    assert_false(m.prune);
    assert_int_equal(bruit_wire_serf_decode(&m, hex("0281ac5374617475734c54696d657382a16101a16202")), 0);
    assert_int_equal(m.status_count, 2);
    assert_int_equal(bruit_wire_serf_decode(&m, hex("0a80")), BRUIT_ENOSYS);
    assert_int_equal(bruit_wire_serf_decode(&m, hex("01")), BRUIT_EFORMAT);
    struct bruit_bytes key, value;
    assert_int_equal(bruit_wire_tag(hex("ff82a161a162a163a164"), 1, &key, &value), 0);
    assert_text(key, "c");
    assert_text(value, "d");
    assert_int_equal(bruit_wire_tag(hex("ff82a161a162a163a164"), 2, &key, &value), BRUIT_ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shows_the_fields_of_every_leaf_message),
        cmocka_unit_test(test_names_types_and_says_what_it_does_not_decode),
        cmocka_unit_test(test_walks_over_a_state_exchange),
        cmocka_unit_test(test_shows_serf_messages_and_tags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
