/* Which address is told to the others: the rule, the choice among several, and the default route. */
#include "codec/addr.h"
#include "driver/uv/advertise.h"

#include <bruit/uv.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static struct bruit_addr addr_of(const char *text)
{
    struct bruit_addr addr;
    assert_int_equal(br_addr_parse(&addr, text, 0), 0);
    return addr;
}

/* ------------------------------------------------------------------ the rule */

/* Bound to one address, that one is told: IPv4 in 4 bytes, IPv6 in 16. */
static void test_a_bound_address_is_told_in_its_own_form(void **state)
{
    (void)state;
    struct bruit_addr out, bind = addr_of("10.1.2.3:7946");
    assert_int_equal(bruit_uv_advertise(&bind, NULL, &out, NULL, 0), 0);
    assert_int_equal(out.size, 4);
    assert_true(br_addr_equal(&out, &bind));
    bind = addr_of("[2001:db8::7]:7946");
    assert_int_equal(bruit_uv_advertise(&bind, NULL, &out, NULL, 0), 0);
    assert_int_equal(out.size, 16);
    assert_true(br_addr_equal(&out, &bind));
}

/* An explicit address wins, an IPv4 one in 4 bytes whatever form it came in; its port too, if it has one. */
static void test_an_explicit_address_wins(void **state)
{
    (void)state;
    struct bruit_addr out, bind = addr_of("0.0.0.0:7946"), advertise = addr_of("192.0.2.9:99");
    assert_int_equal(bruit_uv_advertise(&bind, &advertise, &out, NULL, 0), 0);
    assert_int_equal(out.size, 4);
    assert_true(br_addr_equal(&out, &advertise));
    advertise = addr_of("[::ffff:192.0.2.9]:0");
    advertise.size = 16;
    assert_int_equal(bruit_uv_advertise(&bind, &advertise, &out, NULL, 0), 0);
    assert_int_equal(out.size, 4);
    assert_int_equal(out.port, 7946);
}

/* Only a port is given: it goes with the address that is told otherwise. */
static void test_a_port_alone_may_be_given(void **state)
{
    (void)state;
    struct bruit_addr out, bind = addr_of("10.1.2.3:7946"), advertise = {.port = 99};
    assert_int_equal(bruit_uv_advertise(&bind, &advertise, &out, NULL, 0), 0);
    assert_int_equal(out.port, 99);
    assert_int_equal(out.ip[0], 10);
}

static void test_refuses_to_tell_no_address(void **state)
{
    (void)state;
    static const char *const none[] = {"0.0.0.0:7946", "[::]:7946", "[::ffff:0.0.0.0]:7946"};
    struct bruit_addr out, bind = addr_of("10.1.2.3:7946");
    char why[200];
    for (size_t i = 0; i < 3; i++) {
        struct bruit_addr advertise = addr_of(none[i]);
        assert_int_equal(bruit_uv_advertise(&bind, &advertise, &out, why, sizeof why), BRUIT_EINVAL);
        assert_non_null(strstr(why, "advertise an address"));
        assert_int_equal(bruit_uv_advertise(&bind, &advertise, &out, NULL, 0), BRUIT_EINVAL);
    }
}

/* Bound to 0.0.0.0: Serf tells a private address in the mapped form, and so do we; or, on a host that has
 * none, we say what to do. Either may be the case where this runs. */
static void test_an_unspecified_bind_tells_a_mapped_private_address(void **state)
{
    (void)state;
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    struct bruit_addr out, bind = addr_of("0.0.0.0:7946");
    char why[200];
    int error = bruit_uv_advertise(&bind, NULL, &out, why, sizeof why);
    if (error != 0) {
        assert_int_equal(error, BRUIT_ENOENT);
        assert_non_null(strstr(why, "no private address"));
        return;
    }
    assert_int_equal(out.size, 16);
    assert_memory_equal(out.ip, prefix, sizeof prefix);
    struct bruit_addr plain = br_addr_unmapped(&out);
    assert_true(br_address_is_private(&plain));
    assert_int_equal(out.port, 7946);
}

/* ------------------------------------------------------------------ private, and forwarded */

static void test_knows_what_is_private(void **state)
{
    (void)state;
    static const char *const yes[] = {
        "10.0.0.0",        "10.255.255.255", "172.16.0.0",     "172.31.255.255", "192.168.0.1", "100.64.0.0",
        "100.127.255.255", "198.18.0.1",     "198.19.255.255", "192.88.99.1",    "fc00::1",     "fdff::1",
        "2002::1",         "2001::1",        "64:ff9b::1",     "100::1",
    };
    static const char *const no[] = {
        "9.255.255.255",
        "11.0.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "192.169.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "8.8.8.8",
        "127.0.0.1",
        "169.254.1.1",
        "0.0.0.0",
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "240.0.0.1",
        "192.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "2001:db8::1",
        "2001:10::1",
        "2003::1",
        "fbff::1",
        "fe00::1",
        "2a00::1",
    };
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        struct bruit_addr addr;
        assert_int_equal(br_addr_parse_ip(&addr, yes[i]), 0);
        if (!br_address_is_private(&addr))
            fail_msg("%s", yes[i]);
    }
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        struct bruit_addr addr;
        assert_int_equal(br_addr_parse_ip(&addr, no[i]), 0);
        if (br_address_is_private(&addr))
            fail_msg("%s", no[i]);
    }
}

/* ------------------------------------------------------------------ the choice, as a real agent made it */

static struct br_candidate candidate(const char *ip, uint8_t prefix, unsigned interface, bool is_default)
{
    struct br_candidate out = {.prefix = prefix, .interface = interface, .is_default = is_default};
    assert_int_equal(br_addr_parse_ip(&out.addr, ip), 0);
    return out;
}

static void expect_choice(const struct br_candidate *candidates, size_t count, bool ipv6, const char *ip)
{
    const struct br_candidate *best = br_advertise_choose(candidates, count, ipv6);
    struct bruit_addr want;
    if (ip == NULL) {
        assert_null(best);
        return;
    }
    assert_non_null(best);
    assert_int_equal(br_addr_parse_ip(&want, ip), 0);
    assert_true(br_addr_same_host(&best->addr, &want));
}

/* These four were seen from serf 0.9.4 in a network namespace with the same interfaces and routes. */
static void test_chooses_as_a_serf_agent_does(void **state)
{
    (void)state;
    struct br_candidate hosts[] = {
        candidate("8.8.4.4", 24, 2, false),
        candidate("192.168.3.3", 24, 2, false),
        candidate("10.5.6.7", 24, 2, false),
        candidate("10.9.9.9", 24, 4, false),
    };
    expect_choice(hosts, 4, false, "192.168.3.3"); /* the first of equals, not the lowest */
    hosts[3].is_default = true;
    expect_choice(hosts, 4, false, "10.9.9.9");
    struct br_candidate shared = candidate("100.64.1.1", 24, 4, false),
                        link = candidate("169.254.1.1", 24, 2, true);
    struct br_candidate two[] = {link, shared};
    expect_choice(two, 2, false, "100.64.1.1");
    expect_choice(&link, 1, false, NULL);
}

/* Larger networks first, then lower interfaces; the default route before all. */
static void test_orders_by_route_family_network_and_interface(void **state)
{
    (void)state;
    struct br_candidate hosts[] = {
        candidate("172.16.1.1", 24, 2, false),
        candidate("172.17.1.1", 16, 5, false),
        candidate("172.18.1.1", 16, 4, false),
        candidate("fd00::1", 8, 1, false),
    };
    expect_choice(hosts, 4, true, "172.18.1.1");
    hosts[0].is_default = true;
    expect_choice(hosts, 4, true, "172.16.1.1");
    hosts[0].is_default = false;
    hosts[3].is_default = true;
    expect_choice(hosts, 4, true, "fd00::1");
    expect_choice(hosts, 4, false, "172.18.1.1"); /* a socket on 0.0.0.0 is not heard over IPv6 */
    expect_choice(hosts, 0, true, NULL);
}

static void expect_interface(const char *table, const char *name)
{
    char out[64] = "?";
    FILE *file = fmemopen((char *)(uintptr_t)table, strlen(table), "r");
    assert_non_null(file);
    assert_int_equal(br_default_interface(file, out, sizeof out), name != NULL);
    if (name != NULL)
        assert_string_equal(out, name);
    fclose(file);
}

/* The kernel's table: a default route goes to 0/0 through a gateway; the first one counts. */
static void test_reads_the_default_route(void **state)
{
    (void)state;
#define HEAD "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    expect_interface(HEAD "eth1\t0003A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
                          "eth0\t00000000\t0103A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
                          "eth2\t00000000\t0109090A\t0003\t0\t0\t200\t00000000\t0\t0\t0\n",
                     "eth0");
    expect_interface(HEAD "tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n", NULL);
    expect_interface(HEAD "eth0\t00000000\t0103A8C0\t0003\t0\t0\t0\t000000FF\t0\t0\t0\n", NULL);
    expect_interface(HEAD, NULL);
    expect_interface("no table at all", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_bound_address_is_told_in_its_own_form),
        cmocka_unit_test(test_an_explicit_address_wins),
        cmocka_unit_test(test_a_port_alone_may_be_given),
        cmocka_unit_test(test_refuses_to_tell_no_address),
        cmocka_unit_test(test_an_unspecified_bind_tells_a_mapped_private_address),
        cmocka_unit_test(test_knows_what_is_private),
        cmocka_unit_test(test_chooses_as_a_serf_agent_does),
        cmocka_unit_test(test_orders_by_route_family_network_and_interface),
        cmocka_unit_test(test_reads_the_default_route),
    };
    return cmocka_run_group_tests_name("advertise", tests, NULL, NULL);
}
