/*
 * Clients of the RPC server that do not read: what they lose, what they hold, who is told of it, and that nobody else
 * has to pay. And the log, which is followed like a stream.
 */
#include "agent/rpc_lab.h"

#include <inttypes.h>

/*
 * A client subscribes and never reads: after what the kernel holds and 512 records more, events are
 * dropped and counted; another client gets all of them, and the first finds whole records when it reads at
 * last.
 */
/* conformance: rpc 11 */
static void test_slow_reader_loses_events_and_stops_nobody(void **state)
{
    struct br_rpc_stats stats;
    (void)state;
    start("");
    struct client slow = open_client(4096), quick = open_client(0);
    handshake(&slow);
    handshake(&quick);
    command(&slow, "stream", 2, "Type", "*");
    command(&quick, "stream", 2, "Type", "*");
    receive(&slow);
    receive(&quick);
    expect_header(&slow, 2, "");
    expect_header(&quick, 2, "");
    /* Loopback holds some megabytes; each record has about 600 bytes. */
    unsigned sent = 0;
    for (; sent < 60000; sent++) {
        br_rpc_member_event(f.rpc, BRUIT_MEMBER_JOIN, f.members, 3);
        if (sent % 100 == 0)
            receive(&quick);
        br_rpc_stats_get(f.rpc, &stats);
        if (stats.records_dropped >= 1000)
            break;
    }
    sent++;
    receive(&quick);
    unsigned got = 0;
    size_t at = 0, size;
    while (at < quick.got.size) {
        assert_int_equal(br_mp_scan(br_bytes(quick.got.data + at, quick.got.size - at), &size), 0);
        at += size;
        got++;
    }
    assert_int_equal(got, 2 * sent);
    assert_true(stats.records_dropped >= 1000);

    receive(&slow);
    unsigned slow_got = 0;
    for (at = 0; at < slow.got.size; at += size, slow_got++)
        assert_int_equal(br_mp_scan(br_bytes(slow.got.data + at, slow.got.size - at), &size), 0);
    br_rpc_stats_get(f.rpc, &stats);
    assert_int_equal(slow_got / 2 + stats.records_dropped, sent);
    close_client(&slow);
    close_client(&quick);
}

/*
 * A client that has lost records reads nothing for as long as the server's patience lasts, and is cut off; one that
 * lost some as well but reads now and then stays.
 */
/* conformance: rpc 11 */
static void test_client_that_never_reads_is_cut_off(void **state)
{
    struct br_rpc_stats stats = {.cut_slow = 0};
    (void)state;
    f.patience_ms = 200;
    start("");
    f.patience_ms = 0;
    struct client slow = open_client(4096), lazy = open_client(4096);
    handshake(&slow);
    handshake(&lazy);
    command(&slow, "stream", 2, "Type", "*");
    command(&lazy, "stream", 2, "Type", "*");
    for (unsigned i = 0; i < 400 && stats.cut_slow == 0; i++) {
        for (unsigned sent = 0; sent < 500; sent++)
            br_rpc_member_event(f.rpc, BRUIT_MEMBER_JOIN, f.members, 3);
        receive(&lazy);
        lazy.got.size = 0;
        usleep(10000);
        br_rpc_stats_get(f.rpc, &stats);
    }
    assert_int_equal(stats.cut_slow, 1);
    turn();
    br_rpc_stats_get(f.rpc, &stats);
    assert_int_equal(stats.clients, 1);
    close_client(&slow);
    close_client(&lazy);
}

/* A client asks a hundred thousand times and never reads: it is not read from either, and memory stays. */
static void test_client_that_does_not_read_is_not_read_from(void **state)
{
    struct br_blob out = BR_BLOB_EMPTY;
    (void)state;
    start("");
    f.member_count = 10000; /* some 1.5 MB an answer */
    struct client client = open_client(4096);
    handshake(&client);
    for (unsigned i = 0; i < 100; i++)
        write_header(&out, "members", i);
    say(&client, br_blob_bytes(&out));
    turn();
    f.member_count = 1;
    receive(&client);
    unsigned large = 0, small = 0;
    while (client.got.size > 0) {
        uint64_t seq;
        char error[160];
        assert_true(take_header(&client, &seq, error));
        assert_int_equal(seq, large + small);
        if (skip_body(&client) > 1000)
            large++;
        else
            small++;
    }
    assert_int_equal(large + small, 100);
    assert_true(large < 20);
    br_blob_release(&out);
    close_client(&client);
}

/* ------------------------------------------------------------------ what waits */

/* Takes whole objects off what a client got, and counts them. */
static unsigned count_objects(struct client *client)
{
    unsigned count = 0;
    size_t at = 0, size;
    for (; at < client->got.size; at += size, count++)
        assert_int_equal(br_mp_scan(br_bytes(client->got.data + at, client->got.size - at), &size), 0);
    br_blob_consume(&client->got, at);
    return count;
}

/* How many lines of the log contain the text. */
static unsigned lines_with(const char *text)
{
    const struct br_log_line *line;
    unsigned count = 0;
    for (size_t i = 0; (line = br_log_kept(&f.log, i)) != NULL; i++)
        count += memmem(line->text, line->size, text, strlen(text)) != NULL;
    return count;
}

static struct client open_stream(int receive_buffer, const char *filter)
{
    struct client client = open_client(receive_buffer);
    handshake(&client);
    command(&client, "stream", 2, "Type", filter);
    receive(&client);
    expect_header(&client, 2, "");
    return client;
}

static void flood(unsigned events)
{
    static const uint8_t payload[400];
    struct bruit_user_event event = {
        .ltime = 5, .name = br_bytes_text("flood"), .payload = {payload, sizeof payload}};
    for (unsigned i = 0; i < events; i++)
        br_rpc_user_event(f.rpc, &event);
}

/*
 * A client does not read while events come by the thousand. It is told of in the log when the first is dropped and when
 * it has caught up, with their number, and hears of what comes from then on.
 */
/* conformance: rpc 11 */
static void test_dropping_is_told_when_it_begins_and_when_it_ends(void **state)
{
    struct br_rpc_stats before, after;
    (void)state;
    start("");
    struct client slow = open_stream(4096, "user");
    while (br_rpc_stats_get(f.rpc, &before), before.records_dropped == 0)
        flood(1);
    assert_int_equal(lines_with("Dropping records for client 127.0.0.1:"), 1);
    flood(999);
    br_rpc_stats_get(f.rpc, &before);
    assert_int_equal(before.records_dropped, 1000);
    assert_int_equal(lines_with("Dropping records"), 1);
    /* 512 of some 500 bytes, and what stands around each of them. */
    assert_in_range(before.held, 512 * 450, 512 * 800);
    receive(&slow);
    assert_int_equal(lines_with("reads again: 1000 records were dropped"), 1);
    (void)count_objects(&slow);
    flood(1);
    receive(&slow);
    assert_int_equal(count_objects(&slow), 2);
    br_rpc_stats_get(f.rpc, &after);
    assert_int_equal(after.records_dropped, 1000);
    assert_int_equal(after.held, 0);
    close_client(&slow);
}

/* It goes away instead: what it lost is told then. */
static void test_what_a_client_lost_is_told_when_it_goes_away(void **state)
{
    struct br_rpc_stats stats;
    (void)state;
    start("");
    struct client slow = open_stream(4096, "user");
    while (br_rpc_stats_get(f.rpc, &stats), stats.records_dropped < 7)
        flood(1);
    close_client(&slow);
    turn();
    assert_int_equal(lines_with("is gone: 7 records were dropped"), 1);
    br_rpc_stats_get(f.rpc, &stats);
    assert_int_equal(stats.clients, 0);
    assert_int_equal(stats.held, 0);
}

/* Somebody monitors and does not read; that lines were dropped is a line, too, and must not be told for ever. */
static void test_monitor_that_does_not_read_is_told_of_once(void **state)
{
    struct br_rpc_stats stats;
    (void)state;
    start("");
    struct client slow = open_client(4096);
    handshake(&slow);
    command(&slow, "monitor", 2, "LogLevel", "DEBUG");
    while (br_rpc_stats_get(f.rpc, &stats), stats.records_dropped == 0)
        br_log(&f.log, BRUIT_TRACE_INFO, "agent", "%0300d", 1);
    assert_int_equal(stats.records_dropped, 2); /* the line, and the one that tells of it */
    assert_int_equal(lines_with("Dropping records"), 1);
    close_client(&slow);
}

/*
 * Forty clients subscribe eight times to everything and none reads: what they hold together has a bound, far below what
 * 512 records of each stream would take, and a client that reads gets every event.
 */
/* conformance: rpc 11 */
static void test_many_slow_clients_hold_a_bounded_memory(void **state)
{
    enum { SLOW = 40, STREAMS = 8 };
    static struct client slow[SLOW];
    struct br_rpc_stats stats = {.held = 0};
    (void)state;
    start("");
    for (unsigned i = 0; i < SLOW; i++) {
        slow[i] = open_client(4096);
        handshake(&slow[i]);
        for (unsigned seq = 1; seq <= STREAMS; seq++)
            command(&slow[i], "stream", seq, "Type", "user");
    }
    struct client quick = open_stream(0, "user");
    unsigned sent = 0, got = 0;
    /* Loopback takes some megabytes for each of the slow ones; beyond that, they hold. */
    while (stats.records_dropped < 1000 * SLOW * STREAMS && sent < 20000) {
        flood(100);
        sent += 100;
        receive(&quick);
        got += count_objects(&quick);
        br_rpc_stats_get(f.rpc, &stats);
    }
    assert_int_equal(got, 2 * sent);
    print_message("%u slow clients hold %zu bytes; of %u events, %" PRIu64 " records were dropped\n", SLOW,
                  stats.held, sent, stats.records_dropped);
    assert_true(stats.records_dropped >= 1000 * SLOW * STREAMS);
    assert_in_range(stats.held, 1 << 20, ((size_t)96 << 20) + SLOW * 1024);
    for (unsigned i = 0; i < SLOW; i++)
        close_client(&slow[i]);
    close_client(&quick);
    turn();
    br_rpc_stats_get(f.rpc, &stats);
    assert_int_equal(stats.held, 0);
}

/*
 * A client asks for long lists, and then for what nobody knows, before it reads anything. The connection ends with
 * that, but not before the answers have gone out: to close at once would lose those that wait, and the last word.
 */
/* conformance: rpc 4 */
static void test_what_was_answered_before_the_end_still_arrives(void **state)
{
    (void)state;
    start("");
    f.member_count = 10000; /* some 1.5 MB an answer */
    struct client client = open_client(4096);
    handshake(&client);
    command(&client, "members", 1, NULL, NULL);
    command(&client, "members", 2, NULL, NULL);
    command(&client, "bogus", 3, NULL, NULL);
    command(&client, "members", 4, NULL, NULL);
    receive(&client);
    for (uint64_t seq = 1; seq <= 2; seq++) {
        expect_header(&client, seq, "");
        assert_true(skip_body(&client) > 1000000);
    }
    expect_header(&client, 3, "Unsupported command");
    assert_int_equal(client.got.size, 0);
    assert_true(client.is_closed);
    close_client(&client);
}

/* ------------------------------------------------------------------ the log */

/* Takes one record of a monitor; returns its line. */
static const char *take_line(struct client *client, uint64_t seq)
{
    static char text[256];
    struct br_reader r;
    size_t size;
    expect_header(client, seq, "");
    assert_int_equal(br_mp_scan(br_blob_bytes(&client->got), &size), 0);
    br_reader_init(&r, br_bytes(client->got.data, size));
    assert_int_equal(br_mp_read_map(&r), 1);
    assert_true(br_bytes_equal(br_mp_read_bytes(&r), br_bytes_text("Log")));
    struct bruit_bytes line = br_mp_read_bytes(&r);
    snprintf(text, sizeof text, "%.*s", (int)line.size, (const char *)line.data);
    br_blob_consume(&client->got, size);
    return text;
}

static void expect_line(struct client *client, uint64_t seq, const char *end)
{
    const char *line = take_line(client, seq);
    size_t size = strlen(line), end_size = strlen(end);
    assert_true(size >= end_size);
    assert_string_equal(line + size - end_size, end);
}

/*
 * 600 lines were logged, every other one a warning. Who monitors gets those of the last 512 that are loud enough, the
 * oldest first, and then the new ones; the same level decides about both.
 */
/* conformance: rpc 14 */
static void test_monitor_replays_the_last_512_lines_and_follows(void **state)
{
    char end[64];
    (void)state;
    start("");
    struct client all = open_client(0), loud = open_client(0);
    handshake(&all);
    handshake(&loud);
    for (unsigned i = 0; i < 600; i++)
        br_log(&f.log, i % 2 == 0 ? BRUIT_TRACE_WARN : BRUIT_TRACE_DEBUG, "agent", "line %u", i);
    command(&all, "monitor", 2, "LogLevel", "debug");
    command(&loud, "monitor", 3, "LogLevel", "WARN");
    br_log(&f.log, BRUIT_TRACE_DEBUG, "agent", "a quiet one");
    br_log(&f.log, BRUIT_TRACE_ERROR, "agent", "a loud one");
    receive(&all);
    receive(&loud);
    expect_header(&all, 2, "");
    expect_header(&loud, 3, "");
    for (unsigned i = 600 - 512; i < 600; i++) {
        snprintf(end, sizeof end, "[%s] agent: line %u", i % 2 == 0 ? "WARN" : "DEBUG", i);
        expect_line(&all, 2, end);
        if (i % 2 == 0)
            expect_line(&loud, 3, end);
    }
    expect_line(&all, 2, "[DEBUG] agent: a quiet one");
    expect_line(&all, 2, "[ERR] agent: a loud one");
    expect_line(&loud, 3, "[ERR] agent: a loud one");
    assert_int_equal(all.got.size, 0);
    assert_int_equal(loud.got.size, 0);
    close_client(&all);
    close_client(&loud);
}

/* The agent stops: a client that follows the log, one that waits for an answer and one that idles all see the end. */
/* conformance: rpc 15 */
static void test_shutdown_closes_every_connection(void **state)
{
    (void)state;
    start("");
    struct client follows = open_client(0), waits = open_client(0), idles = open_client(0);
    handshake(&follows);
    handshake(&waits);
    command(&follows, "monitor", 2, "LogLevel", "DEBUG");
    command(&waits, "leave", 2, NULL, NULL);
    turn();
    assert_non_null(f.call);
    br_rpc_close(f.rpc);
    receive(&follows);
    receive(&waits);
    receive(&idles);
    assert_true(follows.is_closed && waits.is_closed && idles.is_closed);
    br_rpc_answer(f.call, "", 0);
    f.call = NULL;
    close_client(&follows);
    close_client(&waits);
    close_client(&idles);
    start("");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_slow_reader_loses_events_and_stops_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(test_client_that_never_reads_is_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_client_that_does_not_read_is_not_read_from, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dropping_is_told_when_it_begins_and_when_it_ends, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_what_a_client_lost_is_told_when_it_goes_away, setup, teardown),
        cmocka_unit_test_setup_teardown(test_monitor_that_does_not_read_is_told_of_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_slow_clients_hold_a_bounded_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_was_answered_before_the_end_still_arrives, setup, teardown),
        cmocka_unit_test_setup_teardown(test_monitor_replays_the_last_512_lines_and_follows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shutdown_closes_every_connection, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
