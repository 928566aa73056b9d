/* The UDP socket alone: batches over loopback, and a kernel that refuses, played by a stand-in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "codec/addr.h"
#include "driver/uv/udp.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct bruit_addr addr_of(const char *text)
{
    struct bruit_addr addr;
    assert_int_equal(br_addr_parse(&addr, text, 0), 0);
    return addr;
}

static struct bruit_addr open_on(struct br_udp *udp, const char *text, const struct br_udp_calls *calls,
                                 unsigned batch, size_t size_max)
{
    struct br_udp_options options = {batch, batch, size_max, calls};
    struct bruit_addr bind = addr_of(text);
    assert_int_equal(br_udp_init(udp, &options), 0);
    assert_int_equal(br_udp_open(udp, &bind), 0);
    return bind;
}

static void put(struct br_udp *udp, const struct bruit_addr *to, uint64_t token, const void *bytes,
                size_t size)
{
    uint8_t *room = br_udp_room(udp);
    assert_non_null(room);
    memcpy(room, bytes, size);
    br_udp_queue(udp, size, to, token);
}

static void wait_readable(const struct br_udp *udp)
{
    struct pollfd pollfd = {.fd = udp->fd, .events = POLLIN};
    assert_int_equal(poll(&pollfd, 1, 2000), 1);
}

static void exchange(const struct br_udp_calls *calls)
{
    struct br_udp a, b;
    struct bruit_addr from, at_a = open_on(&a, "127.83.1.1:0", calls, 64, 1408);
    struct bruit_addr at_b = open_on(&b, "127.83.1.2:0", calls, 64, 1408);
    struct bruit_bytes bytes;
    char text[32];

    for (int i = 0; i < 40; i++)
        put(&a, &at_b, (uint64_t)i, text, (size_t)snprintf(text, sizeof text, "datagram %d", i));
    assert_true(br_udp_flush(&a));
    wait_readable(&b);
    assert_int_equal(br_udp_receive(&b), 40);
    for (unsigned i = 0; i < 40; i++) {
        assert_true(br_udp_received(&b, i, &from, &bytes));
        (void)snprintf(text, sizeof text, "datagram %u", i);
        assert_int_equal(bytes.size, strlen(text));
        assert_memory_equal(bytes.data, text, bytes.size);
        assert_true(br_addr_equal(&from, &at_a));
    }
    assert_int_equal(br_udp_receive(&b), 0);
    assert_int_equal(a.failure_count, 0);
    if (calls == &br_udp_batched) {
        assert_int_equal(a.send_calls, 1);
        assert_int_equal(b.receive_calls, 2);
    }
    br_udp_fini(&a);
    br_udp_fini(&b);
}

/* Forty datagrams at once take one call each way, and arrive in order with their source. */
static void test_a_batch_goes_in_one_call(void **state)
{
    (void)state;
    exchange(&br_udp_batched);
}

/* The same where the system has no batches. */
static void test_one_by_one_gives_the_same(void **state)
{
    (void)state;
    exchange(&br_udp_single);
}

/* Two rounds through the same slots: a longer sender name or datagram of the first must not show in the
 * second. */
static void test_slots_are_clean_for_the_next_round(void **state)
{
    (void)state;
    struct br_udp a, b;
    struct bruit_addr from;
    (void)open_on(&a, "127.83.1.1:0", &br_udp_batched, 8, 1408);
    struct bruit_addr at_b = open_on(&b, "127.83.1.2:0", &br_udp_batched, 8, 1408);
    struct bruit_bytes bytes;
    for (size_t size = 900; size > 0; size -= 300) {
        uint8_t payload[1000];
        memset(payload, (int)size / 300, sizeof payload);
        put(&a, &at_b, 1, payload, size);
        assert_true(br_udp_flush(&a));
        wait_readable(&b);
        assert_int_equal(br_udp_receive(&b), 1);
        assert_true(br_udp_received(&b, 0, &from, &bytes));
        assert_int_equal(bytes.size, size);
        assert_memory_equal(bytes.data, payload, size);
    }
    br_udp_fini(&a);
    br_udp_fini(&b);
}

/* Others may have a larger packet budget: the largest datagram there is must come through whole. */
static void test_a_large_datagram_is_put_together(void **state)
{
    (void)state;
    enum { SIZE = 65507 };
    struct br_udp a, b;
    struct bruit_addr from;
    struct bruit_bytes bytes;
    uint8_t *payload = malloc(SIZE);
    (void)open_on(&a, "127.83.1.1:0", &br_udp_batched, 4, SIZE);
    struct bruit_addr at_b = open_on(&b, "127.83.1.2:0", &br_udp_batched, 4, 1408);
    assert_non_null(payload);
    for (size_t i = 0; i < SIZE; i++)
        payload[i] = (uint8_t)(i * 7 + i / 251);
    put(&a, &at_b, 1, payload, SIZE);
    assert_true(br_udp_flush(&a));
    wait_readable(&b);
    assert_int_equal(br_udp_receive(&b), 1);
    assert_true(br_udp_received(&b, 0, &from, &bytes));
    assert_int_equal(bytes.size, SIZE);
    assert_memory_equal(bytes.data, payload, SIZE);
    free(payload);
    br_udp_fini(&a);
    br_udp_fini(&b);
}

/* What the kernel had to cut is no packet. The slot is made smaller here: a real one holds all there can
 * be. */
static void test_a_truncated_datagram_is_refused(void **state)
{
    (void)state;
    struct br_udp a, b;
    struct bruit_addr from;
    struct bruit_bytes bytes;
    uint8_t payload[1600] = {1};
    (void)open_on(&a, "127.83.1.1:0", &br_udp_batched, 4, 2000);
    struct bruit_addr at_b = open_on(&b, "127.83.1.2:0", &br_udp_batched, 4, 1400);
    b.in_pieces[1].iov_len = 10;
    put(&a, &at_b, 1, payload, b.in_pieces[0].iov_len + 11);
    put(&a, &at_b, 2, "next", 4);
    assert_true(br_udp_flush(&a));
    wait_readable(&b);
    assert_int_equal(br_udp_receive(&b), 2);
    assert_false(br_udp_received(&b, 0, &from, &bytes));
    assert_true(br_udp_received(&b, 1, &from, &bytes));
    assert_int_equal(bytes.size, 4);
    br_udp_fini(&a);
    br_udp_fini(&b);
}

/* False on hosts where IPv6 is switched off, whole or in part. */
static bool has_ipv6(void)
{
    struct br_udp udp = {.fd = -1};
    struct bruit_addr one = addr_of("[::1]:0"), any = addr_of("[::]:0");
    bool works = br_udp_open(&udp, &one) == 0;
    br_udp_close(&udp);
    works = works && br_udp_open(&udp, &any) == 0;
    br_udp_close(&udp);
    return works;
}

/* A socket on `::` hears IPv4 too. The engine must see such a source in 4 bytes, as it would on an IPv4
 * socket, and a reply to these 4 bytes must arrive. */
static void test_dual_stack_shows_ipv4_in_four_bytes(void **state)
{
    (void)state;
    if (!has_ipv6())
        skip();
    struct br_udp a, b;
    struct bruit_addr from, at_a = open_on(&a, "127.83.1.1:0", &br_udp_batched, 4, 1408);
    struct bruit_addr at_b = open_on(&b, "[::]:0", &br_udp_batched, 4, 1408);
    struct bruit_addr to_b = addr_of("127.83.1.9");
    struct bruit_bytes bytes;
    to_b.port = at_b.port;
    put(&a, &to_b, 1, "over v4", 7);
    assert_true(br_udp_flush(&a));
    wait_readable(&b);
    assert_int_equal(br_udp_receive(&b), 1);
    assert_true(br_udp_received(&b, 0, &from, &bytes));
    assert_int_equal(from.size, 4);
    assert_true(br_addr_equal(&from, &at_a));

    put(&b, &from, 2, "and back", 8);
    assert_true(br_udp_flush(&b));
    wait_readable(&a);
    assert_int_equal(br_udp_receive(&a), 1);
    br_udp_fini(&a);
    br_udp_fini(&b);
}

/* IPv6 proper, on a socket bound to one address. */
static void test_ipv6_keeps_sixteen_bytes(void **state)
{
    (void)state;
    if (!has_ipv6())
        skip();
    struct br_udp a;
    struct bruit_addr from, at_a = open_on(&a, "[::1]:0", &br_udp_batched, 4, 1408);
    struct bruit_bytes bytes;
    put(&a, &at_a, 1, "to myself", 9);
    assert_true(br_udp_flush(&a));
    wait_readable(&a);
    assert_int_equal(br_udp_receive(&a), 1);
    assert_true(br_udp_received(&a, 0, &from, &bytes));
    assert_int_equal(from.size, 16);
    assert_true(br_addr_equal(&from, &at_a));
    br_udp_fini(&a);
}

/* An IPv6 member in an IPv4 agent's table: sending there fails at once, for that datagram alone. */
static void test_an_address_of_the_other_family_is_unreachable(void **state)
{
    (void)state;
    struct br_udp a;
    struct bruit_addr at_a = open_on(&a, "127.83.1.1:0", &br_udp_batched, 4, 1408);
    struct bruit_addr v6 = addr_of("[2001:db8::1]:7946");
    put(&a, &v6, 41, "lost", 4);
    put(&a, &at_a, 42, "kept", 4);
    assert_true(br_udp_flush(&a));
    assert_int_equal(a.failure_count, 1);
    assert_int_equal(a.failures[0].token, 41);
    assert_int_equal(a.failures[0].error, BRUIT_EUNREACHABLE);
    wait_readable(&a);
    assert_int_equal(br_udp_receive(&a), 1);
    br_udp_fini(&a);
}

/* One datagram is too long for UDP: it fails, those before and after it go out. */
static void test_a_refused_datagram_does_not_hold_up_others(void **state)
{
    (void)state;
    enum { TOO_LONG = 65508 };
    struct br_udp a;
    uint8_t *payload = calloc(1, TOO_LONG);
    struct bruit_addr at_a = open_on(&a, "127.83.1.1:0", &br_udp_batched, 4, TOO_LONG);
    assert_non_null(payload);
    free(a.out_area);
    a.out_area = calloc(2, TOO_LONG);
    a.out_area_size = 2 * TOO_LONG;
    assert_non_null(a.out_area);
    put(&a, &at_a, 1, "first", 5);
    put(&a, &at_a, 2, payload, TOO_LONG - 10);
    a.out_pieces[1].iov_len = TOO_LONG;
    a.out_datagram_max = 5;
    put(&a, &at_a, 3, "third", 5);
    assert_true(br_udp_flush(&a));
    assert_int_equal(a.failure_count, 1);
    assert_int_equal(a.failures[0].token, 2);
    assert_int_equal(a.failures[0].error, BRUIT_ETOOBIG);
    wait_readable(&a);
    assert_int_equal(br_udp_receive(&a), 2);
    free(payload);
    br_udp_fini(&a);
}

/* ------------------------------------------------------------------ a kernel of our own making */

static struct {
    int script[16]; /* each call: how many it takes, or -errno; 0 ends the script: all are taken */
    size_t step;
    char sent[256]; /* first bytes of what was taken */
} kernel;

static int scripted_send(int fd, struct br_message *messages, unsigned count)
{
    (void)fd;
    int answer = kernel.script[kernel.step];
    if (answer != 0)
        kernel.step++;
    if (answer < 0) {
        errno = -answer;
        return -1;
    }
    int taken = answer == 0 || answer > (int)count ? (int)count : answer;
    for (int i = 0; i < taken; i++)
        strncat(kernel.sent, messages[i].msg_hdr.msg_iov->iov_base, 1);
    return taken;
}

static int scripted_receive(int fd, struct br_message *messages, unsigned count)
{
    (void)fd, (void)messages, (void)count;
    int answer = kernel.script[kernel.step];
    if (answer != 0)
        kernel.step++;
    errno = answer < 0 ? -answer : EAGAIN;
    return answer > 0 ? answer : -1;
}

static const struct br_udp_calls scripted = {scripted_receive, scripted_send};

static void script(struct br_udp *udp, const int *answers, size_t count)
{
    memset(&kernel, 0, sizeof kernel);
    memcpy(kernel.script, answers, count * sizeof *answers);
    (void)open_on(udp, "127.83.1.1:0", &scripted, 8, 100);
}
#define SCRIPT(udp, ...) \
    script(udp, (const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int))

static void put_letters(struct br_udp *udp, const char *letters)
{
    struct bruit_addr to = addr_of("127.83.1.2:7946");
    for (; *letters != '\0'; letters++)
        put(udp, &to, (uint64_t)*letters, letters, 1);
}

/* The kernel's buffer fills in the middle of a batch: the rest is kept, in order, and nothing is lost or
 * doubled. */
static void test_a_full_kernel_keeps_the_rest(void **state)
{
    (void)state;
    struct br_udp udp;
    SCRIPT(&udp, 2, -EAGAIN, 1, -EAGAIN);
    put_letters(&udp, "abcde");
    assert_false(br_udp_flush(&udp));
    assert_string_equal(kernel.sent, "ab");
    assert_false(br_udp_flush(&udp));
    assert_string_equal(kernel.sent, "abc");
    assert_true(br_udp_flush(&udp));
    assert_string_equal(kernel.sent, "abcde");
    assert_int_equal(udp.failure_count, 0);
    put_letters(&udp, "fghijklm"); /* and the whole batch is free again */
    assert_null(br_udp_room(&udp));
    assert_true(br_udp_flush(&udp));
    br_udp_fini(&udp);
}

/* An ICMP error of an earlier datagram comes back with a later one: that one is innocent and goes out. */
static void test_an_old_error_is_not_the_new_datagrams_fault(void **state)
{
    (void)state;
    struct br_udp udp;
    SCRIPT(&udp, -ECONNREFUSED, 3);
    put_letters(&udp, "abc");
    assert_true(br_udp_flush(&udp));
    assert_string_equal(kernel.sent, "abc");
    assert_int_equal(udp.failure_count, 0);
    br_udp_fini(&udp);
}

/* Twice the same refusal is meant: each kind is reported as what it is, and only the one refused. */
static void test_hard_errors_are_reported_with_their_token(void **state)
{
    (void)state;
    static const struct {
        int error, meaning;
    } cases[] = {
        {EMSGSIZE, BRUIT_ETOOBIG},
        {ENETUNREACH, BRUIT_EUNREACHABLE},
        {EHOSTUNREACH, BRUIT_EUNREACHABLE},
        {ECONNREFUSED, BRUIT_EUNREACHABLE},
        {EPERM, BRUIT_EIO},
        {ENOBUFS, BRUIT_EIO},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct br_udp udp;
        SCRIPT(&udp, 1, -cases[i].error, -cases[i].error, 1);
        put_letters(&udp, "abc");
        assert_true(br_udp_flush(&udp));
        assert_string_equal(kernel.sent, "ac");
        assert_int_equal(udp.failure_count, 1);
        assert_int_equal(udp.failures[0].token, 'b');
        assert_int_equal(udp.failures[0].error, cases[i].meaning);
        br_udp_fini(&udp);
    }
}

/* A whole batch fails, half of it before it was queued: every token is reported, none twice. */
static void test_failures_never_outgrow_their_list(void **state)
{
    (void)state;
    struct br_udp udp;
    struct bruit_addr v6 = addr_of("[2001:db8::1]:7946");
    SCRIPT(&udp, -EPERM, -EPERM, -EPERM, -EPERM, -EPERM, -EPERM, -EPERM, -EPERM);
    for (int i = 0; i < 4; i++)
        put(&udp, &v6, (uint64_t)i, "x", 1);
    put_letters(&udp, "abcd");
    assert_null(br_udp_room(&udp));
    assert_true(br_udp_flush(&udp));
    assert_int_equal(udp.failure_count, 8);
    br_udp_fini(&udp);
}

/* Errors on receiving are an earlier datagram's too: they must not stop us, nor spin for ever. */
static void test_an_error_on_receiving_is_passed_over(void **state)
{
    (void)state;
    struct br_udp udp;
    SCRIPT(&udp, -ECONNREFUSED, 5);
    assert_int_equal(br_udp_receive(&udp), 5);
    br_udp_fini(&udp);
    SCRIPT(&udp, -EIO, -EIO, -EIO, -EIO, -EIO, -EIO, -EIO);
    assert_int_equal(br_udp_receive(&udp), 0);
    br_udp_fini(&udp);
}

/* The receive buffer is asked for, and two sockets never share a port by accident. */
static void test_a_port_belongs_to_one_socket(void **state)
{
    (void)state;
    struct br_udp a, b;
    struct bruit_addr at_a = open_on(&a, "127.83.1.1:0", &br_udp_batched, 1, 100);
    struct br_udp_options options = {1, 1, 100, &br_udp_batched};
    int size = 0;
    socklen_t size_size = sizeof size;
    assert_int_equal(br_udp_init(&b, &options), 0);
    assert_int_equal(br_udp_open(&b, &at_a), -EADDRINUSE);
    assert_int_equal(b.fd, -1);
    assert_int_equal(getsockopt(a.fd, SOL_SOCKET, SO_RCVBUF, &size, &size_size), 0);
    assert_true(size >= 200 * 1024); /* what every Linux allows; 2 MiB where net.core.rmem_max does */
    br_udp_fini(&a);
    br_udp_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_batch_goes_in_one_call),
        cmocka_unit_test(test_one_by_one_gives_the_same),
        cmocka_unit_test(test_slots_are_clean_for_the_next_round),
        cmocka_unit_test(test_a_large_datagram_is_put_together),
        cmocka_unit_test(test_a_truncated_datagram_is_refused),
        cmocka_unit_test(test_dual_stack_shows_ipv4_in_four_bytes),
        cmocka_unit_test(test_ipv6_keeps_sixteen_bytes),
        cmocka_unit_test(test_an_address_of_the_other_family_is_unreachable),
        cmocka_unit_test(test_a_refused_datagram_does_not_hold_up_others),
        cmocka_unit_test(test_a_full_kernel_keeps_the_rest),
        cmocka_unit_test(test_an_old_error_is_not_the_new_datagrams_fault),
        cmocka_unit_test(test_hard_errors_are_reported_with_their_token),
        cmocka_unit_test(test_failures_never_outgrow_their_list),
        cmocka_unit_test(test_an_error_on_receiving_is_passed_over),
        cmocka_unit_test(test_a_port_belongs_to_one_socket),
    };
    return cmocka_run_group_tests_name("udp", tests, NULL, NULL);
}
