/*
 * The text writer: what people and JSON readers are shown, whatever a peer chose to be called. Errors'
 * names too.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/rng.h"
#include "base/text.h"
#include "support/memory.h"

#include <arpa/inet.h>
#include <bruit/error.h>

static char shown[4096];

static struct br_text begin(void)
{
    struct br_text t;
    br_text_init(&t, shown, sizeof shown);
    return t;
}

static const char *escaped(struct bruit_bytes bytes)
{
    struct br_text t = begin();
    br_text_escaped(&t, bytes);
    br_text_end(&t);
    return shown;
}

static const char *duration(bruit_time time)
{
    struct br_text t = begin();
    br_text_duration(&t, time);
    br_text_end(&t);
    return shown;
}

static const char *address(const struct bruit_addr *addr)
{
    struct br_text t = begin();
    br_text_addr(&t, addr);
    assert_true(br_text_end(&t) < BRUIT_ADDR_TEXT_MAX);
    return shown;
}

/* The buffer is too small, by one, then by all: the text is cut, ended, and its full length returned. */
static void test_text_is_cut_and_counted(void **state)
{
    (void)state;
    char buffer[8];
    for (size_t capacity = 0; capacity <= sizeof buffer; capacity++) {
        struct br_text t;
        memset(buffer, 'x', sizeof buffer);
        br_text_init(&t, buffer, capacity);
        br_text_string(&t, "abc");
        br_text_u64(&t, 12345);
        assert_int_equal(br_text_end(&t), 8);
        if (capacity > 0) {
            assert_int_equal(strlen(buffer), capacity - 1);
            assert_memory_equal(buffer, "abc12345", capacity - 1);
        }
        for (size_t i = capacity; i < sizeof buffer; i++)
            assert_int_equal(buffer[i], 'x');
    }
}

/* Numbers at the ends of their types. */
static void test_numbers_are_written_whole(void **state)
{
    (void)state;
    struct br_text t = begin();
    br_text_u64(&t, UINT64_MAX);
    br_text_char(&t, ' ');
    br_text_i64(&t, INT64_MIN);
    br_text_char(&t, ' ');
    br_text_u64(&t, 0);
    br_text_char(&t, ' ');
    br_text_hex(&t, br_bytes_text("\x00\xff\x1a"));
    br_text_end(&t);
    assert_string_equal(shown, "18446744073709551615 -9223372036854775808 0 00ff1a");
}

/* A member calls itself by a name that would forge a log line or drive the terminal: it must be harmless. */
static void test_hostile_names_are_escaped(void **state)
{
    (void)state;
    assert_string_equal(escaped(br_bytes_text("n7.example")), "n7.example");
    assert_string_equal(escaped(br_bytes_text("a\n[ERR] fake")), "a\\n[ERR] fake");
    assert_string_equal(escaped(br_bytes_text("\\n")), "\\\\n");
    assert_string_equal(escaped(br_bytes_text("\x1b[2J")), "\\x1b[2J");
    assert_string_equal(escaped(br_bytes_text("a\0b")), "a\\x00b");
    assert_string_equal(escaped(br_bytes_text("\x7f")), "\\x7f");
    assert_string_equal(escaped(br_bytes_text("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80")),
                        "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
    assert_string_equal(escaped(br_bytes_text("\xc2\x9b")), "\\xc2\\x9b");          /* C1: a one-byte ESC [ */
    assert_string_equal(escaped(br_bytes_text("\xe2\x80\xae")), "\\xe2\\x80\\xae"); /* U+202E */
    assert_string_equal(escaped(br_bytes_text("\xe2\x81\xa7")), "\\xe2\\x81\\xa7"); /* U+2067 */
    assert_string_equal(escaped(br_bytes_text("\xe2\x80\xa8")), "\\xe2\\x80\\xa8"); /* U+2028 */
    assert_string_equal(escaped(br_bytes_text("\xc0\xaf")), "\\xc0\\xaf");          /* overlong */
    assert_string_equal(escaped(br_bytes_text("\xed\xa0\x80")), "\\xed\\xa0\\x80"); /* surrogate */
    assert_string_equal(escaped(br_bytes_text("\xe2\x82")), "\\xe2\\x82");          /* cut short */
    assert_string_equal(escaped(br_bytes_text("\xf4\x90\x80\x80")), "\\xf4\\x90\\x80\\x80"); /* > U+10FFFF */
    assert_string_equal(escaped(br_bytes(NULL, 0)), "");
}

/* Any bytes at all must make a JSON string that a JSON reader takes, and printable text comes back as it was. */
static void test_any_bytes_make_valid_json(void **state)
{
    (void)state;
    struct br_rng rng;
    br_rng_init(&rng, test_seed(), "json");
    for (int round = 0; round < 5000; round++) {
        uint8_t *input = malloc(40);
        size_t size = br_rng_below(&rng, 41);
        bool is_ascii = true;
        for (size_t i = 0; i < size; i++) {
            /* Half of the rounds are ASCII; of the others, half begin sequences that may be well-formed. */
            uint32_t range = round % 2 == 0 ? 128 : 256;
            input[i] = (uint8_t)(br_rng_below(&rng, range - 1) + 1);
            if (round % 4 == 1 && input[i] >= 0x80 && i % 3 != 0)
                input[i] = (uint8_t)(0x80 | (input[i] & 0x3f));
            is_ascii = is_ascii && input[i] < 0x80;
        }
        struct br_text t = begin();
        br_text_char(&t, '"');
        br_text_json(&t, br_bytes(input, size));
        br_text_char(&t, '"');
        size_t length = br_text_end(&t);
        json_error_t error;
        json_t *value = json_loadb(shown, length, JSON_DECODE_ANY, &error);
        if (value == NULL)
            fail_msg("%s: %s", error.text, shown);
        if (is_ascii) {
            assert_int_equal(json_string_length(value), size);
            assert_memory_equal(json_string_value(value), input, size);
        }
        json_decref(value);
        free(input);
    }
}

/* "no ack in 500 ms" is read at a glance, 500000000 is not. */
static void test_durations_are_for_people(void **state)
{
    (void)state;
    assert_string_equal(duration(0), "0 s");
    assert_string_equal(duration(17), "17 ns");
    assert_string_equal(duration(1500), "1.5 us");
    assert_string_equal(duration(500 * BRUIT_MILLISECOND), "500 ms");
    assert_string_equal(duration(1234567), "1.234 ms");
    assert_string_equal(duration(999999999), "999.999 ms");
    assert_string_equal(duration(BRUIT_SECOND), "1 s");
    assert_string_equal(duration(1500 * BRUIT_MILLISECOND), "1.5 s");
    assert_string_equal(duration(1050 * BRUIT_MILLISECOND), "1.05 s");
    assert_string_equal(duration(1001 * BRUIT_MILLISECOND), "1.001 s");
    assert_string_equal(duration(90 * BRUIT_SECOND), "90 s");
    assert_string_equal(duration(BRUIT_NEVER), "never");
}

static struct bruit_addr parse(const char *text, uint16_t port)
{
    struct bruit_addr addr = {.port = port};
    addr.size = inet_pton(AF_INET, text, addr.ip) == 1 ? 4 : 16;
    if (addr.size == 16)
        assert_int_equal(inet_pton(AF_INET6, text, addr.ip), 1);
    return addr;
}

/* Addresses are written in the one form RFC 5952 allows, whichever zeros they have. */
static void test_addresses_are_written_as_rfc_5952_says(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"10.0.0.255", "10.0.0.255:7946"},
        {"::ffff:10.0.0.1", "10.0.0.1:7946"}, /* as Go prints it */
        {"::", "[::]:7946"},
        {"::1", "[::1]:7946"},
        {"fe80::", "[fe80::]:7946"},
        {"2001:db8:0:0:1:0:0:1", "[2001:db8::1:0:0:1]:7946"},    /* the first of two equal runs */
        {"2001:db8:0:1:1:1:1:1", "[2001:db8:0:1:1:1:1:1]:7946"}, /* one zero is no run */
        {"2001:0:0:1:0:0:0:1", "[2001:0:0:1::1]:7946"},
        {"0:1:2:3:4:5:6:7", "[0:1:2:3:4:5:6:7]:7946"},
        {"ABCD:0ef0:0012:3000::", "[abcd:ef0:12:3000::]:7946"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:7946"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct bruit_addr addr = parse(pairs[i][0], 7946);
        assert_string_equal(address(&addr), pairs[i][1]);
    }
    struct bruit_addr none = {.size = 0};
    assert_string_equal(address(&none), "none");
}

/* The C library writes the same text for random addresses (it follows RFC 5952 where none is mapped). */
static void test_random_addresses_are_written_as_the_library_does(void **state)
{
    (void)state;
    struct br_rng rng;
    br_rng_init(&rng, test_seed(), "addr");
    for (int i = 0; i < 20000; i++) {
        struct bruit_addr addr = {.size = 16};
        char expected[INET6_ADDRSTRLEN];
        for (size_t k = 0; k < 16; k += 2)
            if (br_rng_below(&rng, 2) == 0)
                br_store_u16(addr.ip + k, (uint16_t)(br_rng_u64(&rng) >> br_rng_below(&rng, 17)));
        if (br_load_u64(addr.ip) == 0 && br_load_u32(addr.ip + 8) == 0)
            continue; /* the library writes ::a.b.c.d for these */
        struct br_text t = begin();
        br_text_ip(&t, &addr);
        br_text_end(&t);
        if (strchr(shown, '.') == NULL)
            assert_string_equal(shown, inet_ntop(AF_INET6, addr.ip, expected, sizeof expected));
    }
}

/* Every code has a name and a sentence of its own, and one that does not exist has some too. */
static void test_errors_have_names_and_sentences(void **state)
{
    (void)state;
    assert_string_equal(bruit_error_name(BRUIT_EINVAL), "BRUIT_EINVAL");
    assert_string_equal(bruit_error_name(0), "BRUIT_OK");
    assert_string_equal(bruit_error_name(-1000), "BRUIT_UNKNOWN");
    assert_string_equal(bruit_strerror(BRUIT_ENOENT), "not found");
    assert_string_equal(bruit_strerror(1), "unknown error");
    for (int code = -18; code < -1; code++) {
        assert_string_not_equal(bruit_strerror(code), bruit_strerror(code + 1));
        assert_string_not_equal(bruit_strerror(code), "unknown error");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_is_cut_and_counted),
        cmocka_unit_test(test_numbers_are_written_whole),
        cmocka_unit_test(test_hostile_names_are_escaped),
        cmocka_unit_test(test_any_bytes_make_valid_json),
        cmocka_unit_test(test_durations_are_for_people),
        cmocka_unit_test(test_addresses_are_written_as_rfc_5952_says),
        cmocka_unit_test(test_random_addresses_are_written_as_the_library_does),
        cmocka_unit_test(test_errors_have_names_and_sentences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
