/*
 * memberlist's leaf messages: the exact bytes they are written in, and everything a receiver must take.
 *
 * The recorded packets go through the whole pipeline in test_vectors.c; here is what recordings do not show:
 * the other forms Go accepts, and where a message stops being one.
 */
#include "codec/memberlist.h"
#include "codec/msgpack.h"

#include "hex.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static uint8_t buffer[4096];

static struct br_writer new_writer(void)
{
    struct br_writer w;
    br_writer_init(&w, buffer, sizeof buffer);
    return w;
}

static void assert_bytes(struct bruit_bytes got, const char *expected)
{
    assert_string_equal(to_hex(got), to_hex(hex(expected)));
}

/* The message written, then read again: it must say the same. */
#define ROUND_TRIP(name, message, text, out)                                                            \
    do {                                                                                                \
        struct br_writer w_ = new_writer();                                                             \
        br_##name##_encode(&w_, &(message));                                                            \
        assert_string_equal(written(&w_), to_hex(hex(text)));                                           \
        assert_int_equal(br_##name##_decode(&(out), br_bytes(buffer + 1, br_writer_size(&w_) - 1)), 0); \
    } while (0)

/* ---- our own key ---- */

/* Who carries modules of ours says so under one key more, which is read in Go's form and in any other. */
static void test_what_is_carried_stands_under_a_key_of_our_own(void **state)
{
    (void)state;
    struct br_ping ping_out, ping = {.seq = 1,
                                     .node = br_bytes_text("b"),
                                     .source_addr = hex("7f000001"),
                                     .source_port = 5,
                                     .carries = 3,
                                     .source_node = br_bytes_text("a")};
    ROUND_TRIP(ping, ping,
               "00 86 a54272756974 03 a44e6f6465 a162 a55365714e6f 01 aa536f7572636541646472 a47f000001"
               "aa536f757263654e6f6465 a161 aa536f75726365506f7274 05",
               ping_out);
    assert_int_equal(ping_out.carries, 3);
    struct br_ack ack_out, ack = {.seq = 7, .carries = 255};
    ROUND_TRIP(ack, ack, "02 83 a54272756974 ccff a75061796c6f6164 c0 a55365714e6f 07", ack_out);
    assert_int_equal(ack_out.carries, 255);
    struct bruit_bytes last = hex("82 a55365714e6f 07 a54272756974 02");
    assert_int_equal(br_ack_decode(&ack_out, last), 0);
    assert_int_equal(ack_out.carries, 2);
    assert_int_equal(br_ack_decode(&ack_out, hex("81 a55365714e6f 07")), 0);
    assert_int_equal(ack_out.carries, 0);
    assert_int_equal(br_ack_decode(&ack_out, hex("82 a55365714e6f 07 a54272756974 cd0100")), BRUIT_EFORMAT);
}

/* ---- the exact form ---- */

/* Example of the wire specification, 2.2: what a real ping looks like. */
/* conformance: memberlist 1, 4 */
static void test_ping_with_a_source_has_five_sorted_keys(void **state)
{
    (void)state;
    struct br_ping out, ping = {.seq = 1,
                                .node = br_bytes_text("beta"),
                                .source_addr = hex("7f000001"),
                                .source_port = 17946,
                                .source_node = br_bytes_text("alpha")};
    ROUND_TRIP(ping, ping,
               "00 85 a44e6f6465 a462657461 a55365714e6f 01 aa536f7572636541646472 a47f000001"
               "aa536f757263654e6f6465 a5616c706861 aa536f75726365506f7274 cd461a",
               out);
    assert_int_equal(out.seq, 1);
    assert_int_equal(out.source_port, 17946);
    assert_bytes(out.node, "62657461");
    assert_bytes(out.source_addr, "7f000001");
    assert_bytes(out.source_node, "616c706861");
}

/* conformance: memberlist 4 */
static void test_ping_without_a_source_has_two_keys(void **state)
{
    (void)state;
    struct br_ping out, ping = {.seq = 300, .node = br_bytes_text("beta")};
    ROUND_TRIP(ping, ping, "00 82 a44e6f6465 a462657461 a55365714e6f cd012c", out);
    assert_int_equal(out.seq, 300);
    assert_int_equal(out.source_addr.size, 0);
    assert_int_equal(out.source_port, 0);
}

/* conformance: memberlist 1 */
static void test_indirect_ping_is_written_with_sorted_keys(void **state)
{
    (void)state;
    struct br_indirect_ping out, ping = {.seq = 7,
                                         .target = hex("0a000001"),
                                         .port = 7946,
                                         .node = br_bytes_text("b"),
                                         .nack = true,
                                         .source_addr = hex("0a000002"),
                                         .source_port = 7947,
                                         .source_node = br_bytes_text("a")};
    ROUND_TRIP(
        indirect_ping, ping,
        "01 88 a44e61636b c3 a44e6f6465 a162 a4506f7274 cd1f0a a55365714e6f 07 aa536f7572636541646472"
        "a40a000002 aa536f757263654e6f6465 a161 aa536f75726365506f7274 cd1f0b a6546172676574 a40a000001",
        out);
    assert_true(out.nack);
    assert_int_equal(out.port, 7946);
    assert_int_equal(out.source_port, 7947);
    assert_bytes(out.target, "0a000001");
}

/* conformance: memberlist 1, 3 */
static void test_ack_without_payload_carries_nil(void **state)
{
    (void)state;
    struct br_ack out, ack = {.seq = 1};
    ROUND_TRIP(ack, ack, "02 82 a75061796c6f6164 c0 a55365714e6f 01", out);
    assert_int_equal(out.payload.size, 0);
    ack.payload = hex("01ff");
    ROUND_TRIP(ack, ack, "02 82 a75061796c6f6164 a201ff a55365714e6f 01", out);
    assert_bytes(out.payload, "01ff");
}

/* conformance: memberlist 1 */
static void test_small_messages_are_written_with_sorted_keys(void **state)
{
    (void)state;
    struct br_nack nack_out, nack = {.seq = 70000};
    ROUND_TRIP(nack, nack, "0b 81 a55365714e6f ce00011170", nack_out);
    assert_int_equal(nack_out.seq, 70000);
    struct br_suspect suspect_out,
        suspect = {.incarnation = 3, .node = br_bytes_text("b"), .from = br_bytes_text("a")};
    ROUND_TRIP(suspect, suspect, "03 83 a446726f6d a161 ab496e6361726e6174696f6e 03 a44e6f6465 a162",
               suspect_out);
    assert_bytes(suspect_out.from, "61");
    struct br_dead dead_out,
        dead = {.incarnation = 200, .node = br_bytes_text("b"), .from = br_bytes_text("b")};
    ROUND_TRIP(dead, dead, "05 83 a446726f6d a162 ab496e6361726e6174696f6e ccc8 a44e6f6465 a162", dead_out);
    assert_int_equal(dead_out.incarnation, 200);
    struct br_err err_out, err = {.error = br_bytes_text("no")};
    ROUND_TRIP(err, err, "0d 81 a54572726f72 a26e6f", err_out);
    assert_bytes(err_out.error, "6e6f");
}

/* conformance: memberlist 1, 3, 5 */
static void test_alive_has_six_raw_version_bytes_and_nil_for_no_meta(void **state)
{
    (void)state;
    struct br_alive out, alive = {.incarnation = 1,
                                  .node = br_bytes_text("a"),
                                  .addr = hex("7f000001"),
                                  .port = 7946,
                                  .vsn = hex("010502020505")};
    ROUND_TRIP(alive, alive,
               "04 86 a441646472 a47f000001 ab496e6361726e6174696f6e 01 a44d657461 c0 a44e6f6465 a161"
               "a4506f7274 cd1f0a a356736e a6010502020505",
               out);
    assert_bytes(out.vsn, "010502020505");
    assert_int_equal(out.meta.size, 0);
    assert_true(br_alive_is_sane(&out));
}

/* conformance: memberlist 2 */
static void test_a_name_of_32_bytes_goes_behind_da(void **state)
{
    (void)state;
    struct br_dead out,
        dead = {.node = br_bytes_text("0123456789012345678901234567890"), .from = br_bytes_text("")};
    ROUND_TRIP(dead, dead,
               "05 83 a446726f6d a0 ab496e6361726e6174696f6e 00 a44e6f6465"
               "bf 30313233343536373839303132333435363738393031323334353637383930",
               out);
    dead.node = br_bytes_text("01234567890123456789012345678901");
    ROUND_TRIP(dead, dead,
               "05 83 a446726f6d a0 ab496e6361726e6174696f6e 00 a44e6f6465"
               "da0020 3031323334353637383930313233343536373839303132333435363738393031",
               out);
    assert_int_equal(out.node.size, 32);
}

/* What is written around a compressed message decides whether compressing pays. */
static void test_compress_overhead_is_what_is_written_around_the_bytes(void **state)
{
    (void)state;
    static uint8_t large[70000];
    static uint8_t out[70100];
    static const size_t sizes[] = {0, 1, 31, 32, 255, 256, 65535, 65536};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct br_writer w;
        br_writer_init(&w, out, sizeof out);
        struct br_compress compress = {.buf = br_bytes(large, sizes[i])};
        br_compress_encode(&w, &compress);
        assert_false(w.failed);
        assert_int_equal(br_writer_size(&w), br_compress_overhead(sizes[i]) + sizes[i]);
        struct br_compress back;
        assert_int_equal(br_compress_decode(&back, br_bytes(out + 1, br_writer_size(&w) - 1)), 0);
        assert_int_equal(back.buf.size, sizes[i]);
        assert_int_equal(back.algo, 0);
    }
}

/* ---- what a receiver must take ---- */

/* Unknown key with nesting first, keys in reverse, bin8, int64, str8, map16, and bytes behind the map. */
/* conformance: memberlist 6, 7, 8 */
static void test_takes_a_ping_in_every_liberty_at_once(void **state)
{
    (void)state;
    struct br_ping ping;
    assert_int_equal(
        br_ping_decode(&ping, hex("de0005a35a7a7a930181a161c0c3aa536f75726365506f7274cd461aaa536f757263"
                                  "6541646472c4047f000002a55365714e6fd30000000000001b62d9044e6f6465d905"
                                  "616c706861545241494c4552")),
        0);
    assert_int_equal(ping.seq, 7010);
    assert_int_equal(ping.source_port, 17946);
    assert_bytes(ping.source_addr, "7f000002");
    assert_bytes(ping.node, "616c706861");
}

/* A ping as [SeqNo, Node, SourceAddr, SourcePort, SourceNode], as both Go codecs take it. */
static void test_takes_a_struct_given_as_an_array(void **state)
{
    (void)state;
    struct br_ping ping;
    assert_int_equal(br_ping_decode(&ping, hex("95 05 a162 a40a000001 cd1f0a a161")), 0);
    assert_int_equal(ping.seq, 5);
    assert_int_equal(ping.source_port, 7946);
    assert_bytes(ping.source_node, "61");
    struct br_alive alive;
    assert_int_equal(br_alive_decode(&alive, hex("96 01 a161 a47f000001 cd1f0a c0 a6010502020505")), 0);
    assert_int_equal(alive.incarnation, 1);
    assert_int_equal(alive.port, 7946);
    assert_bytes(alive.vsn, "010502020505");
}

/* nil for a field and nil for everything are zero values. */
/* conformance: memberlist 3 */
static void test_takes_nil_for_fields_and_for_the_whole_map(void **state)
{
    (void)state;
    struct br_dead dead;
    assert_int_equal(br_dead_decode(&dead, hex("c0")), 0);
    assert_int_equal(dead.node.size, 0);
    assert_int_equal(br_dead_decode(&dead, hex("82 ab496e6361726e6174696f6e c0 a44e6f6465 c0")), 0);
    assert_int_equal(dead.incarnation, 0);
}

/* A key in lower case is an unknown key. */
static void test_keys_are_case_sensitive(void **state)
{
    (void)state;
    struct br_nack nack;
    assert_int_equal(br_nack_decode(&nack, hex("82 a57365716e6f 07 a55365714e6f 09")), 0);
    assert_int_equal(nack.seq, 9);
    assert_int_equal(br_nack_decode(&nack, hex("81 a57365716e6f 07")), 0);
    assert_int_equal(nack.seq, 0);
}

/* Unknown keys may hold anything; nested beyond the limit they are refused, and no stack overflows. */
/* conformance: memberlist 7 */
static void test_skips_unknown_keys_down_to_the_nesting_limit(void **state)
{
    (void)state;
    static uint8_t body[70000];
    for (int depth = BR_MP_DEPTH_MAX; depth <= 60000;
         depth = depth == BR_MP_DEPTH_MAX ? depth + 1 : depth * 30) {
        struct br_writer w;
        br_writer_init(&w, body, sizeof body);
        br_mp_write_map(&w, 2);
        br_mp_write_key(&w, "Zzz");
        for (int i = 0; i < depth; i++)
            br_mp_write_array(&w, 1);
        br_mp_write_nil(&w);
        br_mp_write_key(&w, "SeqNo");
        br_mp_write_uint(&w, 9);
        struct br_nack nack;
        int expected = depth <= BR_MP_DEPTH_MAX ? 0 : BRUIT_EFORMAT;
        assert_int_equal(br_nack_decode(&nack, br_writer_bytes(&w)), expected);
    }
}

/* ---- what makes a message none ---- */

/* A negative or oversized number, a wrong family, a body that is no map: the whole message goes. */
/* conformance: memberlist 6 */
static void test_refuses_values_of_the_wrong_kind(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "81 a55365714e6f ff",                   /* SeqNo -1 */
        "81 a55365714e6f cf0000000100000000",   /* SeqNo 2^32 */
        "81 a55365714e6f cb3ff0000000000000",   /* SeqNo 1.0 */
        "81 a44e6f6465 80",                     /* Node a map */
        "81 a44e6f6465 05",                     /* Node a number */
        "81 aa536f75726365506f7274 ce00010000", /* SourcePort 65536 */
        "05",
        "a161",
        "c3",
        "",
    };
    struct br_ping ping;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        assert_int_equal(br_ping_decode(&ping, hex(bodies[i])), BRUIT_EFORMAT);
}

/* A canonical alive cut at any byte is refused; whole, it is taken. */
static void test_refuses_an_alive_cut_at_any_byte(void **state)
{
    (void)state;
    struct bruit_bytes body = hex("86 a441646472 a47f000001 ab496e6361726e6174696f6e cd0100 a44d657461 a2ff80"
                                  "a44e6f6465 a161 a4506f7274 cd1f0a a356736e a6010502020505");
    struct br_alive alive;
    for (size_t size = 0; size < body.size; size++) {
        uint8_t *exact = malloc(size + (size == 0));
        assert_non_null(exact);
        memcpy(exact, body.data, size);
        assert_int_equal(br_alive_decode(&alive, br_bytes(exact, size)), BRUIT_EFORMAT);
        free(exact);
    }
    assert_int_equal(br_alive_decode(&alive, body), 0);
    assert_int_equal(alive.incarnation, 256);
}

/* What may not enter a member table: the poison of section 12, items 1, 2, 24 and 26. */
static void test_tells_sane_alives_from_poison(void **state)
{
    (void)state;
    struct br_alive good = {.node = br_bytes_text("a"), .addr = hex("7f000001"), .vsn = hex("010502020505")};
    assert_true(br_alive_is_sane(&good));
    struct br_alive bad = good;
    bad.node.size = 0;
    assert_false(br_alive_is_sane(&bad));
    static uint8_t long_name[BRUIT_NAME_MAX + 1];
    bad.node = br_bytes(long_name, BRUIT_NAME_MAX);
    assert_true(br_alive_is_sane(&bad));
    bad.node = br_bytes(long_name, BRUIT_NAME_MAX + 1);
    assert_false(br_alive_is_sane(&bad));
    bad = good;
    bad.addr = hex("7f00");
    assert_false(br_alive_is_sane(&bad));
    bad.addr = hex("00000000000000000000ffff7f000001");
    assert_true(br_alive_is_sane(&bad));
    static const char *const versions[] = {"0105020205",   "000502020505", "010506020505", "020501020505",
                                           "010502020501", "010502020506", "000000000000", ""};
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        bad = good;
        bad.vsn = hex(versions[i]);
        assert_false(br_alive_is_sane(&bad));
    }
}

/* ---- user messages on a stream ---- */

/* 200 as an old and as a new Go codec writes it. */
/* conformance: memberlist 9 */
static void test_user_header_reads_both_forms_of_a_go_int(void **state)
{
    (void)state;
    struct br_user_header header;
    size_t size;
    assert_int_equal(br_user_header_decode(&header, hex("81 aa557365724d73674c656e ccc8 6162"), &size), 0);
    assert_int_equal(header.size, 200);
    assert_int_equal(size, 14);
    assert_int_equal(br_user_header_decode(&header, hex("81 aa557365724d73674c656e d100c8"), &size), 0);
    assert_int_equal(header.size, 200);
    struct br_writer w = new_writer();
    br_user_header_encode(&w, &header);
    assert_string_equal(written(&w), "0881aa557365724d73674c656eccc8");
}

static void test_user_header_waits_for_its_end_and_refuses_absurd_sizes(void **state)
{
    (void)state;
    struct br_user_header header;
    size_t size;
    struct bruit_bytes whole = hex("81 aa557365724d73674c656e ce01400000");
    for (size_t n = 0; n < whole.size; n++)
        assert_int_equal(br_user_header_decode(&header, br_bytes(whole.data, n), &size), BR_MP_MORE);
    assert_int_equal(br_user_header_decode(&header, whole, &size), 0);
    assert_int_equal(header.size, BR_USER_SIZE_MAX);
    assert_int_equal(br_user_header_decode(&header, hex("81 aa557365724d73674c656e ce01400001"), &size),
                     BRUIT_ETOOBIG);
    assert_int_equal(br_user_header_decode(&header, hex("81 aa557365724d73674c656e ff"), &size),
                     BRUIT_ETOOBIG);
    assert_int_equal(br_user_header_decode(&header, hex("81 aa557365724d73674c656e a0"), &size),
                     BRUIT_EFORMAT);
    static uint8_t endless[BR_USER_HEADER_SIZE_MAX + 1];
    memset(endless, 0xc0, sizeof endless);
    memcpy(endless, "\xdf\xff\xff\xff\xff", 5);
    assert_int_equal(br_user_header_decode(&header, br_bytes(endless, sizeof endless - 1), &size),
                     BR_MP_MORE);
    assert_int_equal(br_user_header_decode(&header, br_bytes(endless, sizeof endless), &size), BRUIT_EFORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_carried_stands_under_a_key_of_our_own),
        cmocka_unit_test(test_ping_with_a_source_has_five_sorted_keys),
        cmocka_unit_test(test_ping_without_a_source_has_two_keys),
        cmocka_unit_test(test_indirect_ping_is_written_with_sorted_keys),
        cmocka_unit_test(test_ack_without_payload_carries_nil),
        cmocka_unit_test(test_small_messages_are_written_with_sorted_keys),
        cmocka_unit_test(test_alive_has_six_raw_version_bytes_and_nil_for_no_meta),
        cmocka_unit_test(test_a_name_of_32_bytes_goes_behind_da),
        cmocka_unit_test(test_compress_overhead_is_what_is_written_around_the_bytes),
        cmocka_unit_test(test_takes_a_ping_in_every_liberty_at_once),
        cmocka_unit_test(test_takes_a_struct_given_as_an_array),
        cmocka_unit_test(test_takes_nil_for_fields_and_for_the_whole_map),
        cmocka_unit_test(test_keys_are_case_sensitive),
        cmocka_unit_test(test_skips_unknown_keys_down_to_the_nesting_limit),
        cmocka_unit_test(test_refuses_values_of_the_wrong_kind),
        cmocka_unit_test(test_refuses_an_alive_cut_at_any_byte),
        cmocka_unit_test(test_tells_sane_alives_from_poison),
        cmocka_unit_test(test_user_header_reads_both_forms_of_a_go_int),
        cmocka_unit_test(test_user_header_waits_for_its_end_and_refuses_absurd_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
