/* The values that people type: durations, keys, pairs, levels, endpoints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/value.h"

#include <bruit/trace.h>

static char why[BR_WHY_MAX];

static uint64_t duration(const char *text)
{
    bruit_time out = 77;
    assert_int_equal(br_duration_parse(&out, text, why), 0);
    return out;
}

static const char *no_duration(const char *text)
{
    bruit_time out = 77;
    assert_int_equal(br_duration_parse(&out, text, why), BRUIT_EINVAL);
    assert_int_equal(out, 77);
    return why;
}

/* An operator writes 1h30m, 1.5s, 300ms or a bare 0, as Go's programs take them. */
static void test_duration_is_a_sequence_of_numbers_with_units(void **state)
{
    (void)state;
    assert_int_equal(duration("0"), 0);
    assert_int_equal(duration("30s"), 30 * BRUIT_SECOND);
    assert_int_equal(duration("1h30m"), 5400 * BRUIT_SECOND);
    assert_int_equal(duration("1.5s"), 1500 * BRUIT_MILLISECOND);
    assert_int_equal(duration(".5s"), 500 * BRUIT_MILLISECOND);
    assert_int_equal(duration("300ms"), 300 * BRUIT_MILLISECOND);
    assert_int_equal(duration("2\xc2\xb5s"), 2000);
    assert_int_equal(duration("7ns"), 7);
    assert_int_equal(duration("0.5h"), 1800 * BRUIT_SECOND);
}

/* The same operator forgets the unit, or mistypes it: Go's sentence says so. */
static void test_duration_without_a_known_unit_is_refused_in_gos_words(void **state)
{
    (void)state;
    assert_string_equal(no_duration("5"), "time: missing unit in duration \"5\"");
    assert_string_equal(no_duration("5x"), "time: unknown unit \"x\" in duration \"5x\"");
    assert_string_equal(no_duration("foo"), "time: invalid duration \"foo\"");
    assert_string_equal(no_duration(""), "time: invalid duration \"\"");
    assert_string_equal(no_duration("."), "time: invalid duration \".\"");
    assert_string_equal(no_duration("-5s"), "time: invalid duration \"-5s\"");
}

/*
 * Somebody asks for more nanoseconds than 63 bits hold: the last duration that fits passes, the next does
 * not.
 */
static void test_duration_beyond_63_bits_is_refused(void **state)
{
    (void)state;
    assert_int_equal(duration("9223372036854775807ns"), INT64_MAX);
    no_duration("9223372036854775808ns");
    no_duration("2562048h");
    no_duration("99999999999999999999999999h");
}

/* The log shows a retry interval as Go prints it. */
static void test_duration_prints_as_go_does(void **state)
{
    static const struct {
        bruit_time duration;
        const char *text;
    } rows[] = {
        {0, "0s"},
        {17, "17ns"},
        {1500, "1.5\xc2\xb5s"},
        {300 * BRUIT_MILLISECOND, "300ms"},
        {BRUIT_SECOND, "1s"},
        {1500 * BRUIT_MILLISECOND, "1.5s"},
        {90 * BRUIT_SECOND, "1m30s"},
        {3600 * BRUIT_SECOND, "1h0m0s"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[32];
        br_duration_format(rows[i].duration, text);
        assert_string_equal(text, rows[i].text);
    }
}

/* A key makes the round trip, in every length of padding. */
static void test_base64_reads_what_it_writes(void **state)
{
    (void)state;
    for (size_t size = 0; size <= 32; size++) {
        uint8_t bytes[32], back[32];
        char text[64];
        size_t back_size = sizeof back;
        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)(i * 37 + size);
        br_base64_encode(br_bytes(bytes, size), text);
        assert_int_equal(br_base64_decode(text, back, &back_size, why), 0);
        assert_int_equal(back_size, size);
        assert_memory_equal(back, bytes, size);
    }
}

/* A key that was copied badly: the place of the mistake is the one that Serf tells. */
static void test_base64_says_where_it_is_wrong(void **state)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"xxx", "illegal base64 data at input byte 0"},   {"AAA*", "illegal base64 data at input byte 3"},
        {"AAAAA", "illegal base64 data at input byte 4"}, {"AA=A", "illegal base64 data at input byte 2"},
        {"A===", "illegal base64 data at input byte 1"},  {"AAA=AAAA", "illegal base64 data at input byte 4"},
    };
    uint8_t out[32];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t size = sizeof out;
        assert_int_equal(br_base64_decode(rows[i].text, out, &size, why), BRUIT_EINVAL);
        assert_string_equal(why, rows[i].why);
    }
}

/* A key of 32 bytes fits a room of 32; one of 33 does not, and nothing is written past it. */
static void test_base64_never_writes_past_its_room(void **state)
{
    uint8_t bytes[33] = {1}, out[33];
    char text[64];
    size_t size = 32;
    (void)state;
    br_base64_encode(br_bytes(bytes, 32), text);
    assert_int_equal(br_base64_decode(text, out, &size, why), 0);
    br_base64_encode(br_bytes(bytes, 33), text);
    size = 32;
    out[32] = 0xee;
    assert_int_equal(br_base64_decode(text, out, &size, why), BRUIT_ETOOBIG);
    assert_int_equal(out[32], 0xee);
}

static void test_level_is_read_in_any_case(void **state)
{
    (void)state;
    assert_int_equal(br_level_parse("info", 4), BRUIT_TRACE_INFO);
    assert_int_equal(br_level_parse("ErR", 3), BRUIT_TRACE_ERROR);
    assert_int_equal(br_level_parse("TRACE", 5), BRUIT_TRACE_TRACE);
    assert_int_equal(br_level_parse("loud", 4), -1);
    assert_int_equal(br_level_parse("off", 3), -1);
    assert_int_equal(br_level_parse("", 0), -1);
}

static void endpoint(const char *text, const char *host, unsigned port)
{
    char got[256];
    uint16_t got_port = 7946;
    assert_int_equal(br_endpoint_parse(text, got, &got_port, why), 0);
    assert_string_equal(got, host);
    assert_int_equal(got_port, port);
}

/* Hosts and ports come with and without each other, and IPv6 with and without brackets. */
static void test_endpoint_takes_all_forms_of_an_address(void **state)
{
    (void)state;
    endpoint("10.0.0.1", "10.0.0.1", 7946);
    endpoint("10.0.0.1:80", "10.0.0.1", 80);
    endpoint(":80", "", 80);
    endpoint("host.example", "host.example", 7946);
    endpoint("::1", "::1", 7946);
    endpoint("[::1]", "::1", 7946);
    endpoint("[::1]:65535", "::1", 65535);
}

static void test_endpoint_refuses_ports_that_are_none(void **state)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"127.0.0.1:99999", "address 99999: invalid port"},
        {"127.0.0.1:65536", "address 65536: invalid port"},
        {"127.0.0.1:abc", "address tcp/abc: unknown port"},
        {"127.0.0.1:", "address tcp/: unknown port"},
        {"[::1", "address [::1: missing ']' in address"},
        {"[::1]7946", "address [::1]7946: missing ']' in address"},
    };
    char host[256];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint16_t port = 0;
        assert_int_equal(br_endpoint_parse(rows[i].text, host, &port, why), BRUIT_EINVAL);
        assert_string_equal(why, rows[i].why);
    }
}

static void test_pair_splits_at_its_first_sign(void **state)
{
    struct bruit_bytes key, value;
    (void)state;
    assert_true(br_pair_split("a=b=c", &key, &value));
    assert_true(br_bytes_equal(key, br_bytes_text("a")) && br_bytes_equal(value, br_bytes_text("b=c")));
    assert_true(br_pair_split("a=", &key, &value));
    assert_int_equal(value.size, 0);
    assert_false(br_pair_split("a", &key, &value));
    assert_false(br_pair_split("=b", &key, &value));
    assert_false(br_pair_split("", &key, &value));
}

/* Somebody mistypes a word: the nearest known one is meant, and one that is far from all is a guess nobody needs. */
static void test_nearest_word_is_by_letters(void **state)
{
    static const char *const known[] = {"join", "node", "mode", "sitting"};
    static const struct {
        const char *typed, *nearest;
    } rows[] = {
        {"node", "node"},      {"nod", "node"}, {"ndoe", "node"}, {"mdoe", "mode"}, {"jonn", "join"},
        {"sittings", "sitting"}, {"kitten", NULL}, {"x", NULL},   {"", NULL},       {"joi", "join"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        unsigned best = br_word_reach(rows[i].typed);
        const char *found = NULL;
        for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
            if (br_word_is_nearer(rows[i].typed, known[k], &best))
                found = known[k];
        if (rows[i].nearest == NULL)
            assert_null(found);
        else
            assert_string_equal(found, rows[i].nearest);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_duration_is_a_sequence_of_numbers_with_units),
        cmocka_unit_test(test_duration_without_a_known_unit_is_refused_in_gos_words),
        cmocka_unit_test(test_duration_beyond_63_bits_is_refused),
        cmocka_unit_test(test_duration_prints_as_go_does),
        cmocka_unit_test(test_base64_reads_what_it_writes),
        cmocka_unit_test(test_base64_says_where_it_is_wrong),
        cmocka_unit_test(test_base64_never_writes_past_its_room),
        cmocka_unit_test(test_level_is_read_in_any_case),
        cmocka_unit_test(test_endpoint_takes_all_forms_of_an_address),
        cmocka_unit_test(test_endpoint_refuses_ports_that_are_none),
        cmocka_unit_test(test_pair_splits_at_its_first_sign),
        cmocka_unit_test(test_nearest_word_is_by_letters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
