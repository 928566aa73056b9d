/* Metrics: what SIGUSR1 shows of the last minute, and what goes over the network to statsd and statsite. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/blob.h"
#include "agent/metrics.h"
#include "agent/sink.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* 1970-01-12 13:46:40 */
#define NOW 1000000

static const struct bruit_bytes none = {.data = NULL, .size = 0};

static void count(struct br_metrics *metrics, int64_t now, const char *name)
{
    br_metrics_add(metrics, now, BR_METRIC_COUNTER, "serf.events", br_bytes_string(name), 1, 1);
}

static void expect_dump(const struct br_metrics *metrics, int64_t now, const char *expected)
{
    struct br_blob text = BR_BLOB_EMPTY;
    br_metrics_dump(metrics, now, &text);
    assert_string_equal(br_blob_string(&text), expected);
    br_blob_release(&text);
}

/* Gauges, counters and samples of one interval, in the form in which Serf prints them. */
static void test_an_interval_is_told_as_serf_does(void **state)
{
    struct br_metrics metrics;
    (void)state;
    br_metrics_init(&metrics);
    br_metrics_add(&metrics, NOW, BR_METRIC_SAMPLE, "agent.invoke", br_bytes_text("echo hi\n"), 1, 1);
    br_metrics_add(&metrics, NOW + 1, BR_METRIC_SAMPLE, "agent.invoke", br_bytes_text("echo hi\n"), 3, 1);
    br_metrics_add(&metrics, NOW + 2, BR_METRIC_GAUGE, "memberlist.health.score", none, 2, 1);
    br_metrics_add(&metrics, NOW + 3, BR_METRIC_GAUGE, "memberlist.health.score", none, 1, 1);
    br_metrics_add(&metrics, NOW + 4, BR_METRIC_COUNTER, "serf.events", none, 1, 5);
    expect_dump(
        &metrics, NOW + 10,
        "[1970-01-12 13:46:40 +0000 UTC][G] 'serf-agent.memberlist.health.score': 1.000\n"
        "[1970-01-12 13:46:40 +0000 UTC][C] 'serf-agent.serf.events': Count: 5 Sum: 5.000 "
        "LastUpdated: 1970-01-12 13:46:44 +0000 UTC\n"
        "[1970-01-12 13:46:40 +0000 UTC][S] 'serf-agent.agent.invoke.echo_hi_': Count: 2 Min: 1.000 "
        "Mean: 2.000 Max: 3.000 Stddev: 1.414 Sum: 4.000 LastUpdated: 1970-01-12 13:46:41 +0000 UTC\n");
    br_metrics_fini(&metrics);
}

/* The open interval is not told, nor what is more than a minute old. */
static void test_only_closed_intervals_of_the_last_minute_are_told(void **state)
{
    struct br_metrics metrics;
    struct br_blob text = BR_BLOB_EMPTY;
    (void)state;
    br_metrics_init(&metrics);
    count(&metrics, NOW, "old");
    expect_dump(&metrics, NOW + 9, "");
    for (int64_t i = 1; i < 6; i++)
        count(&metrics, NOW + 10 * i, "new");
    br_metrics_dump(&metrics, NOW + 59, &text);
    assert_non_null(strstr(br_blob_string(&text), "13:46:40 +0000 UTC][C] 'serf-agent.serf.events.old'"));
    assert_null(strstr(br_blob_string(&text), "13:47:30 +0000 UTC]["));
    br_blob_release(&text);
    br_metrics_dump(&metrics, NOW + 60, &text);
    assert_null(strstr(br_blob_string(&text), "old"));
    assert_non_null(strstr(br_blob_string(&text), "13:46:50 +0000 UTC]["));
    br_blob_release(&text);
    expect_dump(&metrics, NOW + 600, "");
    br_metrics_fini(&metrics);
}

/* A flood of events of different names: so many are kept, the rest is one number. */
static void test_names_are_bounded(void **state)
{
    struct br_metrics metrics;
    char name[600];
    (void)state;
    br_metrics_init(&metrics);
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof name, "%04u%0500u", i, i);
        count(&metrics, NOW, name);
    }
    struct br_metrics_interval *interval = NULL;
    for (size_t i = 0; i < BR_METRICS_INTERVALS; i++)
        if (metrics.intervals[i].start != 0)
            interval = &metrics.intervals[i];
    assert_non_null(interval);
    assert_int_equal(interval->count, BR_METRICS_NAMES_MAX);
    const struct br_metric *last = &interval->metrics[BR_METRICS_NAMES_MAX - 1];
    assert_string_equal(last->name, "serf-agent.metrics.dropped");
    assert_int_equal(last->count, 1000 - (BR_METRICS_NAMES_MAX - 1));
    assert_true(strlen(interval->metrics[0].name) < BR_METRICS_NAME_MAX);
    br_metrics_fini(&metrics);
}

/* ------------------------------------------------------------------ sinks */

static uv_loop_t loop;
static struct br_log log_;
static char why[BR_WHY_MAX];

static int setup(void **state)
{
    (void)state;
    br_log_init(&log_, open("/dev/null", O_WRONLY), BRUIT_TRACE_INFO);
    return uv_loop_init(&loop);
}

static int teardown(void **state)
{
    (void)state;
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    close(log_.fd);
    br_log_fini(&log_);
    return uv_loop_close(&loop);
}

static int listen_on(int kind, char addr[32])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, kind | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    if (kind == SOCK_STREAM)
        assert_int_equal(listen(fd, 4), 0);
    (void)snprintf(addr, 32, "127.0.0.1:%u", ntohs(at.sin_port));
    return fd;
}

static void on_turn(uv_timer_t *timer)
{
    (void)timer;
}

/* Runs the loop for so many milliseconds. */
static void pass(uint64_t ms)
{
    uv_timer_t turn;
    uint64_t end = uv_hrtime() / 1000000 + ms;
    assert_int_equal(uv_timer_init(&loop, &turn), 0);
    assert_int_equal(uv_timer_start(&turn, on_turn, 5, 5), 0);
    while (uv_hrtime() / 1000000 < end)
        (void)uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&turn, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
}

static void receive(int fd, const char *expected)
{
    char text[65536];
    for (int i = 0; i < 200; i++) {
        ssize_t size = recv(fd, text, sizeof text - 1, 0);
        if (size > 0) {
            text[size] = 0;
            assert_string_equal(text, expected);
            return;
        }
        pass(20);
    }
    fail_msg("nothing came");
}

/*
 * A counter, a sample and a gauge leave together in one datagram; what separates the parts of a line is no
 * part of a name.
 */
static void test_statsd_gets_lines_in_a_datagram(void **state)
{
    struct br_sink *sink;
    char addr[32];
    int fd = listen_on(SOCK_DGRAM, addr);
    (void)state;
    assert_int_equal(br_sink_new(&sink, BR_SINK_STATSD, addr, &loop, &log_, why), 0);
    br_sink_add(sink, BR_METRIC_COUNTER, "serf-agent.serf.events.a:b|c@d", 2);
    br_sink_add(sink, BR_METRIC_SAMPLE, "serf-agent.agent.invoke.x", 1.5);
    br_sink_add(sink, BR_METRIC_GAUGE, "serf-agent.h.memberlist.health.score", 0);
    receive(fd, "serf-agent.serf.events.a_b_c_d:2.000000|c\nserf-agent.agent.invoke.x:1.500000|ms\n"
                "serf-agent.h.memberlist.health.score:0.000000|g\n");
    br_sink_close(sink);
    close(fd);
}

/* More than a datagram holds goes in several, each of whole lines. */
static void test_datagrams_are_bounded(void **state)
{
    struct br_sink *sink;
    char addr[32], text[4096];
    size_t lines = 0, total = 0;
    int fd = listen_on(SOCK_DGRAM, addr);
    (void)state;
    assert_int_equal(br_sink_new(&sink, BR_SINK_STATSD, addr, &loop, &log_, why), 0);
    pass(100); /* its address is looked up */
    for (int i = 0; i < 100; i++)
        br_sink_add(sink, BR_METRIC_COUNTER, "serf-agent.serf.events", 1);
    pass(300);
    for (ssize_t size; (size = recv(fd, text, sizeof text, 0)) > 0; total++) {
        assert_true(size <= BR_SINK_DATAGRAM_MAX);
        assert_int_equal(text[size - 1], '\n');
        for (ssize_t i = 0; i < size; i++)
            lines += text[i] == '\n';
    }
    assert_int_equal(lines, 100);
    assert_true(total >= 3);
    br_sink_close(sink);
    close(fd);
}

/* The same lines over TCP; the other end goes away: one line in the log, and the agent goes on. */
static void test_statsite_gets_lines_and_may_go_away(void **state)
{
    struct br_sink *sink;
    char addr[32];
    int fd = listen_on(SOCK_STREAM, addr), peer = -1;
    (void)state;
    assert_int_equal(br_sink_new(&sink, BR_SINK_STATSITE, addr, &loop, &log_, why), 0);
    br_sink_add(sink, BR_METRIC_COUNTER, "serf-agent.serf.events", 1);
    for (int i = 0; i < 100 && peer < 0; i++, pass(20))
        peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK);
    receive(peer, "serf-agent.serf.events:1.000000|c\n");
    close(peer);
    close(fd);
    pass(100);
    for (int i = 0; i < 100000; i++)
        br_sink_add(sink, BR_METRIC_COUNTER, "serf-agent.serf.events", 1);
    const struct br_log_line *line = br_log_kept(&log_, 0);
    assert_non_null(line);
    assert_non_null(memmem(line->text, line->size, "[ERR] agent: Error reading from statsite! Err: ", 47));
    assert_null(br_log_kept(&log_, 1));
    br_sink_close(sink);
}

/* Nobody reads what was sent: what waits stays bounded, and closing does not wait either. */
static void test_a_statsite_that_does_not_read_costs_little(void **state)
{
    struct br_sink *sink;
    char addr[32];
    int fd = listen_on(SOCK_STREAM, addr);
    (void)state;
    assert_int_equal(br_sink_new(&sink, BR_SINK_STATSITE, addr, &loop, &log_, why), 0);
    pass(100);
    for (int i = 0; i < 200; i++) {
        for (int j = 0; j < 2000; j++)
            br_sink_add(sink, BR_METRIC_COUNTER, "serf-agent.serf.events", 1);
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    }
    br_sink_close(sink);
    uint64_t before = uv_hrtime();
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(uv_hrtime() - before < UINT64_C(2000000000));
    close(fd);
}

/* An address without a port cannot be used, and that is said at the start. */
static void test_bad_addresses_are_refused(void **state)
{
    struct br_sink *sink;
    (void)state;
    assert_true(br_sink_new(&sink, BR_SINK_STATSD, "127.0.0.1", &loop, &log_, why) < 0);
    assert_non_null(strstr(why, "host:port"));
    assert_true(br_sink_new(&sink, BR_SINK_STATSD, "127.0.0.1:99999", &loop, &log_, why) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_interval_is_told_as_serf_does),
        cmocka_unit_test(test_only_closed_intervals_of_the_last_minute_are_told),
        cmocka_unit_test(test_names_are_bounded),
        cmocka_unit_test_setup_teardown(test_statsd_gets_lines_in_a_datagram, setup, teardown),
        cmocka_unit_test_setup_teardown(test_datagrams_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_statsite_gets_lines_and_may_go_away, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_statsite_that_does_not_read_costs_little, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_addresses_are_refused, setup, teardown),
    };
    (void)setenv("TZ", "UTC", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
