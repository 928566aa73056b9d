/* Addresses of agents: what is wrong with one is said in the words that Serf's command line has for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/session.h"

static void expect(const char *address, const char *why)
{
    struct br_session session;
    assert_true(br_session_open(&session, address, NULL) < 0);
    assert_string_equal(session.why, why);
    br_session_close(&session);
}

/* Each recorded with the real one. Nobody listens at port 1. */
static void test_bad_addresses_are_told_in_gos_words(void **state)
{
    (void)state;
    expect("", "dial tcp: missing address");
    expect("127.0.0.1", "dial tcp: address 127.0.0.1: missing port in address");
    expect("[::1]", "dial tcp: address [::1]: missing port in address");
    expect("[::1:1", "dial tcp: address [::1:1: missing ']' in address");
    expect(":::", "dial tcp: address :::: too many colons in address");
    expect("::1:1", "dial tcp: address ::1:1: too many colons in address");
    expect("[::1]::1", "dial tcp: address [::1]::1: too many colons in address");
    expect("127.0.0.1:-1", "dial tcp: address -1: invalid port");
    expect("127.0.0.1:65536", "dial tcp: address 65536: invalid port");
    expect("127.0.0.1:http7", "dial tcp: address tcp/http7: unknown port");
    expect("127.0.0.1:", "dial tcp 127.0.0.1:0: connect: connection refused");
    expect(":1", "dial tcp :1: connect: connection refused");
    expect("127.0.0.1:1", "dial tcp 127.0.0.1:1: connect: connection refused");
}

/* A name of more than a thousand characters fits nowhere, and does no harm. */
static void test_an_endless_address_is_refused(void **state)
{
    char address[4096];
    struct br_session session;
    (void)state;
    memset(address, 'x', sizeof address);
    memcpy(address + sizeof address - 4, ":80", 4);
    assert_true(br_session_open(&session, address, NULL) < 0);
    assert_non_null(strstr(session.why, "name too long"));
    br_session_close(&session);
    address[sizeof address - 1] = 0;
    memset(address, '7', sizeof address - 1);
    memcpy(address, "h:", 2);
    assert_true(br_session_open(&session, address, NULL) < 0);
    assert_non_null(strstr(session.why, "invalid port"));
    br_session_close(&session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_addresses_are_told_in_gos_words),
        cmocka_unit_test(test_an_endless_address_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
