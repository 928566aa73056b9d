/* Streams with an engine that plays along: numbers, pieces, ends and errors, seen from both sides. */
#include "uv/fake_engine.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <unistd.h>

static int connect_to_rig(struct rig *rig)
{
    union br_sockaddr address;
    struct bruit_addr bound = bruit_uv_bound(rig->uv);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t size = br_sockaddr_write(&address, &bound, AF_INET);
    struct timeval timeout = {.tv_sec = 2};
    assert_int_equal(connect(fd, &address.any, size), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), 0);
    return fd;
}

/* A listener of the test's, to which the driver connects. */
static int listen_at(struct bruit_addr *at)
{
    union br_sockaddr address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t size = br_sockaddr_write(&address, at, AF_INET);
    assert_int_equal(bind(fd, &address.any, size), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, &address.any, &size), 0);
    assert_true(br_sockaddr_read(at, &address));
    return fd;
}

static void rig_start_plain(struct rig *rig)
{
    rig_init(rig, addr4(127, 83, 3, 1, 0));
    rig_start(rig);
}

static const char *awaited;
static bool has_awaited(struct rig *rig)
{
    (void)rig;
    return fake_line(awaited) >= 0;
}

static void await_line(struct rig *rig, const char *prefix)
{
    awaited = prefix;
    rig_run(rig, has_awaited);
}

static void open_stream(struct rig *rig, uint32_t number, const struct bruit_addr *to)
{
    fake_op(fake, BRUIT_STREAM_OPEN, number, to, (struct bruit_bytes){0});
    bruit_uv_kick(rig->uv);
}

static struct bruit_bytes bytes_of(const char *text)
{
    return (struct bruit_bytes){(const uint8_t *)text, strlen(text)};
}

static void expect_end(int fd)
{
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

/* ------------------------------------------------------------------ a whole exchange */

static void answer_and_close(struct bruit_engine *engine, const char *input, uint32_t stream)
{
    if (strcmp(input, "stream") == 0) {
        fake_op(engine, BRUIT_STREAM_SEND, stream, NULL, bytes_of("answer"));
        fake_op(engine, BRUIT_STREAM_CLOSE, stream, NULL, (struct bruit_bytes){0});
    }
}

/* A peer connects and asks; the answer and the end of the stream reach it. */
static void test_an_accepted_stream_is_answered_and_closed(void **state)
{
    (void)state;
    struct rig rig;
    char buffer[16];
    rig_start_plain(&rig);
    fake->hook = answer_and_close;
    int fd = connect_to_rig(&rig);
    assert_int_equal(write(fd, "question", 8), 8);
    await_line(&rig, "sent 1000");
    assert_int_equal(fake_lines("accepted 127.0.0.1"), 1);
    assert_int_equal(fake_lines("stream 1000 question"), 1);
    assert_int_equal(recv(fd, buffer, 6, MSG_WAITALL), 6);
    assert_memory_equal(buffer, "answer", 6);
    rig_run_for(&rig, 5 * BRUIT_MILLISECOND);
    expect_end(fd);
    assert_int_equal(fake_lines("closed"), 0); /* the engine closed it and needs no word about it */
    struct bruit_uv_stats stats;
    bruit_uv_stats_get(rig.uv, &stats);
    assert_int_equal(stats.streams_open, 0);
    close(fd);
    rig_end(&rig);
}

static void ask(struct bruit_engine *engine, const char *input, uint32_t stream)
{
    if (strcmp(input, "opened") == 0)
        fake_op(engine, BRUIT_STREAM_SEND, stream, NULL, bytes_of("question"));
}

/* We connect, send, read the answer, and the peer ends the stream in good order. Small frames are not held
 * back. */
static void test_an_opened_stream_asks_and_hears(void **state)
{
    (void)state;
    struct rig rig;
    char buffer[16];
    struct bruit_addr at = addr4(127, 83, 3, 9, 0);
    int listener = listen_at(&at);
    rig_start_plain(&rig);
    fake->hook = ask;
    open_stream(&rig, 7, &at);
    int fd = accept(listener, NULL, NULL);
    await_line(&rig, "sent 7");
    assert_true(fake_line("opened 7") < fake_line("sent 7"));
    assert_int_equal(recv(fd, buffer, 8, MSG_WAITALL), 8);
    assert_int_equal(write(fd, "answer", 6), 6);
    await_line(&rig, "stream 7 answer");
    close(fd);
    await_line(&rig, "closed 7 BRUIT_OK");
    close(listener);
    rig_end(&rig);
}

/* The mapped form of an IPv4 address is one that a member may advertise: the connection goes to IPv4. */
static void test_connects_to_a_mapped_address(void **state)
{
    (void)state;
    struct rig rig;
    struct bruit_addr at = addr4(127, 83, 3, 9, 0), mapped = {.size = 16, .ip = {[10] = 0xff, [11] = 0xff}};
    int listener = listen_at(&at);
    memcpy(mapped.ip + 12, at.ip, 4);
    mapped.port = at.port;
    rig_start_plain(&rig);
    open_stream(&rig, 7, &mapped);
    await_line(&rig, "opened 7");
    close(listener);
    rig_end(&rig);
}

static void expect_failure(const struct bruit_addr *to, const char *line)
{
    struct rig rig;
    rig_start_plain(&rig);
    open_stream(&rig, 7, to);
    await_line(&rig, line);
    assert_int_equal(fake_lines("closed 7"), 1);
    assert_int_equal(fake_lines("opened 7"), 0);
    rig_end(&rig);
}

/* Nobody listens there: the engine hears so, by name. */
static void test_a_refused_connection_is_named(void **state)
{
    (void)state;
    struct bruit_addr at = addr4(127, 83, 3, 9, 0);
    close(listen_at(&at));
    expect_failure(&at, "closed 7 BRUIT_EREFUSED");
}

/* An address that leads nowhere fails at once, in the call itself. */
static void test_an_unreachable_address_is_named(void **state)
{
    (void)state;
    struct bruit_addr none = {.size = 0}, unroutable = addr4(255, 255, 255, 255, 7946);
    expect_failure(&none, "closed 7 BRUIT_EUNREACHABLE");
    expect_failure(&unroutable, "closed 7 BRUIT_EUNREACHABLE");
}

/* The peer's process dies in the middle. */
static void test_a_reset_is_named(void **state)
{
    (void)state;
    struct rig rig;
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    rig_start_plain(&rig);
    int fd = connect_to_rig(&rig);
    assert_int_equal(write(fd, "half a que", 10), 10);
    await_line(&rig, "stream 1000");
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
    close(fd);
    await_line(&rig, "closed 1000 BRUIT_ERESET");
    rig_end(&rig);
}

/* The engine has as many streams as it will have: the peer finds its connection closed, and nothing was
 * told. */
static void test_a_stream_too_many_is_closed(void **state)
{
    (void)state;
    struct rig rig;
    struct bruit_uv_stats stats;
    rig_start_plain(&rig);
    fake->accept_error = BRUIT_EFULL;
    int fd = connect_to_rig(&rig);
    await_line(&rig, "accepted");
    rig_run_for(&rig, 5 * BRUIT_MILLISECOND);
    expect_end(fd);
    bruit_uv_stats_get(rig.uv, &stats);
    assert_int_equal(stats.streams_refused, 1);
    assert_int_equal(stats.streams_open, 0);
    close(fd);
    rig_end(&rig);
}

/* ------------------------------------------------------------------ more than the kernel takes at once */

enum { PIECE = 65536, PIECES = 128 };
static uint8_t piece[PIECE];
static int pieces_sent;

/* Offers the next piece when the last one is with the kernel; after the last one, closes. */
static void send_pieces(struct bruit_engine *engine, const char *input, uint32_t stream)
{
    if (strcmp(input, "accepted") != 0 && strcmp(input, "sent") != 0)
        return;
    memset(piece, pieces_sent, PIECE); /* the driver must have copied what it could not write */
    if (pieces_sent++ < PIECES)
        fake_op(engine, BRUIT_STREAM_SEND, stream, NULL, (struct bruit_bytes){piece, PIECE});
    if (pieces_sent == PIECES)
        fake_op(engine, BRUIT_STREAM_CLOSE, stream, NULL, (struct bruit_bytes){0});
}

static size_t received;
static int receiver;

static bool has_ended(struct rig *rig)
{
    static uint8_t buffer[PIECE];
    (void)rig;
    ssize_t size = recv(receiver, buffer, 7000, MSG_DONTWAIT);
    for (ssize_t i = 0; i < size; i++)
        assert_int_equal(buffer[i], (uint8_t)((received + (size_t)i) / PIECE));
    received += size > 0 ? (size_t)size : 0;
    return size == 0;
}

/* Eight mebibytes to a slow reader, closed together with the last piece: every byte arrives, in order, and
 * only then the end. */
static void test_a_large_state_is_flushed_before_the_close(void **state)
{
    (void)state;
    struct rig rig;
    rig_start_plain(&rig);
    fake->hook = send_pieces;
    pieces_sent = 0;
    received = 0;
    receiver = connect_to_rig(&rig);
    uint64_t end = uv_hrtime() + 10 * BRUIT_SECOND;
    while (!has_ended(&rig)) {
        assert_true(uv_hrtime() < end);
        uv_run(&rig.loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(received, (size_t)PIECE * PIECES);
    close(receiver);
    rig_end(&rig);
}

/* A peer that never reads: the engine has closed its stream long ago, and the driver gives up after the
 * engine's own timeout instead of holding the bytes for ever. */
static void test_a_close_that_cannot_flush_ends_in_time(void **state)
{
    (void)state;
    struct rig rig;
    struct bruit_uv_stats stats;
    rig_init(&rig, addr4(127, 83, 3, 1, 0));
    rig.config.stream_timeout = 50 * BRUIT_MILLISECOND;
    rig_start(&rig);
    int fd = connect_to_rig(&rig);
    await_line(&rig, "accepted");
    for (int i = 0; i < 400; i++)
        fake_op(fake, BRUIT_STREAM_SEND, 1000, NULL, (struct bruit_bytes){piece, PIECE});
    fake_op(fake, BRUIT_STREAM_CLOSE, 1000, NULL, (struct bruit_bytes){0});
    fake_op(fake, BRUIT_STREAM_SEND, 1000, NULL, bytes_of("too late")); /* the number is nobody's now */
    bruit_uv_kick(rig.uv);
    bruit_uv_stats_get(rig.uv, &stats);
    assert_int_equal(stats.streams_open, 1);
    rig_run_for(&rig, 100 * BRUIT_MILLISECOND);
    bruit_uv_stats_get(rig.uv, &stats);
    assert_int_equal(stats.streams_open, 0);
    assert_int_equal(fake_lines("closed"), 0);
    close(fd);
    rig_end(&rig);
}

/* The same number for the next stream, while the old one still flushes: bytes of one never reach the
 * other. */
static void test_a_number_is_free_at_once(void **state)
{
    (void)state;
    struct rig rig;
    char buffer[8];
    rig_start_plain(&rig);
    int first = connect_to_rig(&rig);
    await_line(&rig, "accepted");
    for (int i = 0; i < 400; i++)
        fake_op(fake, BRUIT_STREAM_SEND, 1000, NULL, (struct bruit_bytes){piece, PIECE});
    fake_op(fake, BRUIT_STREAM_CLOSE, 1000, NULL, (struct bruit_bytes){0});
    bruit_uv_kick(rig.uv);
    fake->next_stream = 1000;
    fake->log_count = 0;
    memset(fake->log, 0, sizeof fake->log);
    int second = connect_to_rig(&rig);
    await_line(&rig, "accepted");
    fake_op(fake, BRUIT_STREAM_SEND, 1000, NULL, bytes_of("second"));
    bruit_uv_kick(rig.uv);
    assert_int_equal(recv(second, buffer, 6, MSG_WAITALL), 6);
    assert_memory_equal(buffer, "second", 6);
    close(first); /* with unread bytes: a reset, of a stream the engine has forgotten */
    rig_run_for(&rig, 20 * BRUIT_MILLISECOND);
    assert_int_equal(fake_lines("closed"), 0);
    close(second);
    await_line(&rig, "closed 1000 BRUIT_OK");
    rig_end(&rig);
}

/* The engine closes a stream that is still connecting: nobody hears of it again. */
static void test_closes_while_connecting(void **state)
{
    (void)state;
    struct rig rig;
    struct bruit_addr at = addr4(127, 83, 3, 9, 0);
    int listener = listen_at(&at);
    rig_start_plain(&rig);
    fake_op(fake, BRUIT_STREAM_OPEN, 7, &at, (struct bruit_bytes){0});
    fake_op(fake, BRUIT_STREAM_CLOSE, 7, NULL, (struct bruit_bytes){0});
    bruit_uv_kick(rig.uv);
    rig_run_for(&rig, 20 * BRUIT_MILLISECOND);
    assert_int_equal(fake->log_count, 0);
    close(listener);
    rig_end(&rig);
}

/* Streams by the hundred: each number finds its own connection. */
static void test_many_streams_are_told_apart(void **state)
{
    (void)state;
    enum { COUNT = 200 };
    struct rig rig;
    int fds[COUNT];
    char answer[16];
    rig_start_plain(&rig);
    for (uint32_t i = 0; i < COUNT; i++) {
        fds[i] = connect_to_rig(&rig);
        while (fake->next_stream < 1000 + i + 1)
            uv_run(&rig.loop, UV_RUN_NOWAIT);
    }
    static char texts[COUNT][16];
    for (uint32_t i = 0; i < COUNT; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "for %03u", i);
        fake_op(fake, BRUIT_STREAM_SEND, 1000 + i, NULL, bytes_of(texts[i]));
    }
    bruit_uv_kick(rig.uv);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(recv(fds[i], answer, 7, MSG_WAITALL), 7);
        assert_memory_equal(answer, texts[i], 7);
        close(fds[i]);
    }
    rig_end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_accepted_stream_is_answered_and_closed),
        cmocka_unit_test(test_an_opened_stream_asks_and_hears),
        cmocka_unit_test(test_connects_to_a_mapped_address),
        cmocka_unit_test(test_a_refused_connection_is_named),
        cmocka_unit_test(test_an_unreachable_address_is_named),
        cmocka_unit_test(test_a_reset_is_named),
        cmocka_unit_test(test_a_stream_too_many_is_closed),
        cmocka_unit_test(test_a_large_state_is_flushed_before_the_close),
        cmocka_unit_test(test_a_close_that_cannot_flush_ends_in_time),
        cmocka_unit_test(test_a_number_is_free_at_once),
        cmocka_unit_test(test_closes_while_connecting),
        cmocka_unit_test(test_many_streams_are_told_apart),
    };
    return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
