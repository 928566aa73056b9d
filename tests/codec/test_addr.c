/*
 * Addresses: the two forms of an IPv4 address are two addresses on the wire and one to people.
 */
#include "codec/addr.h"

#include "hex.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct bruit_addr make(const char *ip, uint16_t port)
{
    struct bruit_addr addr;
    assert_int_equal(br_addr_make(&addr, hex(ip), port), 0);
    return addr;
}

static const char mapped[] = "00000000000000000000ffff0a000001";

static void test_only_4_and_16_bytes_make_an_address(void **state)
{
    (void)state;
    struct bruit_addr addr;
    assert_int_equal(br_addr_make(&addr, hex("0a000001"), 7946), 0);
    assert_int_equal(addr.size, 4);
    assert_int_equal(addr.port, 7946);
    assert_int_equal(br_addr_make(&addr, hex("0a00"), 1), BRUIT_EFORMAT);
    assert_int_equal(br_addr_make(&addr, hex(""), 1), BRUIT_EFORMAT);
    assert_int_equal(br_addr_make(&addr, hex("0a0000010a000001"), 1), BRUIT_EFORMAT);
}

/*
 * A Serf bound to 0.0.0.0 advertises the mapped form: a peer with 4 bytes under its name is a conflict to
 * Go.
 */
static void test_the_two_forms_differ_on_the_wire_and_name_one_host(void **state)
{
    (void)state;
    struct bruit_addr plain = make("0a000001", 7946), wide = make(mapped, 7946);
    assert_false(br_addr_equal(&plain, &wide));
    assert_true(br_addr_same_host(&plain, &wide));
    struct bruit_addr sent = br_addr_unmapped(&wide);
    assert_true(br_addr_equal(&plain, &sent));
    struct bruit_addr other = make("0a000002", 7946), port = make("0a000001", 7947);
    assert_false(br_addr_same_host(&plain, &other));
    assert_false(br_addr_equal(&plain, &port));
    assert_true(br_addr_same_host(&plain, &port));
}

static void test_unspecified_addresses_are_recognised(void **state)
{
    (void)state;
    struct bruit_addr none = {0};
    struct bruit_addr v4 = make("00000000", 1), v6 = make("00000000000000000000000000000000", 1);
    struct bruit_addr wide = make("00000000000000000000ffff00000000", 1), real = make("0a000001", 1);
    assert_true(br_addr_is_unspecified(&none));
    assert_true(br_addr_is_unspecified(&v4));
    assert_true(br_addr_is_unspecified(&v6));
    assert_true(br_addr_is_unspecified(&wide));
    assert_false(br_addr_is_unspecified(&real));
}

static void test_text_is_what_go_would_print(void **state)
{
    (void)state;
    static const struct {
        const char *ip;
        const char *text;
    } rows[] = {
        {"0a000001", "10.0.0.1:7946"},
        {mapped, "10.0.0.1:7946"},
        {"20010db8000000000000000000000001", "[2001:db8::1]:7946"},
        {"00000000000000000000000000000001", "[::1]:7946"},
        {"ffffffffffffffffffffffffffffffff", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:7946"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bruit_addr addr = make(rows[i].ip, 7946);
        char text[BRUIT_ADDR_TEXT_MAX];
        assert_int_equal(br_addr_format(&addr, text), strlen(rows[i].text));
        assert_string_equal(text, rows[i].text);
    }
    struct bruit_addr addr = make("20010db8000000000000000000000001", 7946);
    char text[BRUIT_ADDR_TEXT_MAX];
    (void)br_addr_format_ip(&addr, text);
    assert_string_equal(text, "2001:db8::1");
}

static void test_parses_literal_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *ip;
        uint16_t port;
    } rows[] = {
        {"10.0.0.1", "0a000001", 7},
        {"10.0.0.1:7946", "0a000001", 7946},
        {"255.255.255.255:65535", "ffffffff", 65535},
        {"::", "00000000000000000000000000000000", 7},
        {"::1", "00000000000000000000000000000001", 7},
        {"[::1]", "00000000000000000000000000000001", 7},
        {"[::1]:80", "00000000000000000000000000000001", 80},
        {"[2001:DB8::a:1]:80", "20010db80000000000000000000a0001", 80},
        {"1:2:3:4:5:6:7:8", "00010002000300040005000600070008", 7},
        {"1:2:3:4:5:6:7::", "00010002000300040005000600070000", 7},
        {"::2:3:4:5:6:7:8", "00000002000300040005000600070008", 7},
        {"fe80::1", "fe800000000000000000000000000001", 7},
        {"::ffff:10.0.0.1", "00000000000000000000ffff0a000001", 7},
        {"1:2:3:4:5:6:10.0.0.1", "0001000200030004000500060a000001", 7},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bruit_addr addr;
        assert_int_equal(br_addr_parse(&addr, rows[i].text, 7), 0);
        assert_string_equal(to_hex(br_addr_ip(&addr)), rows[i].ip);
        assert_int_equal(addr.port, rows[i].port);
    }
}

/*
 * What is no literal may be a host name: the caller resolves it, so nothing odd may slip through as an
 * address.
 */
static void test_refuses_what_is_no_literal_address(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "a",
        "localhost",
        "localhost:80",
        "10.0.0",
        "10.0.0.",
        "10.0.0.256",
        "10.0.0.1.2",
        "010.0.0.1",
        "10.0.0.1:",
        "10.0.0.1:65536",
        "10.0.0.1:1x",
        "10.0.0.1 ",
        " 10.0.0.1",
        ":",
        ":::",
        "1:2",
        "1::2::3",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7:8::",
        "::1:2:3:4:5:6:7:8",
        "12345::",
        "[::1",
        "[::1]x",
        "[::1]:",
        "[10.0.0.1]:80",
        "::10.0.0",
        "1:2:3:4:5:6:7:10.0.0.1",
        "::1%eth0",
        ":1",
        "1:",
        "::1:",
        "-1.0.0.0",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct bruit_addr addr;
        if (br_addr_parse(&addr, texts[i], 7) != BRUIT_EFORMAT)
            fail_msg("taken for an address: '%s'", texts[i]);
    }
}

/* Whatever is printed is read back, mapped addresses as IPv4. */
static void test_text_parses_back(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252u;
    for (int i = 0; i < 2000; i++) {
        struct bruit_addr addr = {.size = i % 2 == 0 ? 4 : 16, .port = (uint16_t)(i * 31)}, back;
        for (int k = 0; k < addr.size; k++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            addr.ip[k] = seed % 3 == 0 ? 0 : (uint8_t)seed; /* runs of zeros are what :: is for */
        }
        char text[BRUIT_ADDR_TEXT_MAX];
        (void)br_addr_format(&addr, text);
        assert_int_equal(br_addr_parse(&back, text, 0), 0);
        struct bruit_addr plain = br_addr_unmapped(&addr);
        assert_true(br_addr_equal(&plain, &back));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_4_and_16_bytes_make_an_address),
        cmocka_unit_test(test_the_two_forms_differ_on_the_wire_and_name_one_host),
        cmocka_unit_test(test_unspecified_addresses_are_recognised),
        cmocka_unit_test(test_text_is_what_go_would_print),
        cmocka_unit_test(test_parses_literal_addresses),
        cmocka_unit_test(test_refuses_what_is_no_literal_address),
        cmocka_unit_test(test_text_parses_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
