/*
 * Event handlers: what scripts are told, what becomes of what they say, and that none of them holds up anything
 * (docs/wire/serf-agent.md section 5). Real scripts of the real shell on a real loop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/blob.h"
#include "agent/handler.h"
#include "agent/tags.h"
#include "codec/addr.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Nothing here takes longer, even under a sanitizer on a busy machine. */
#define PATIENCE_MS 20000

static uv_loop_t loop;
static struct br_log log_;
static struct br_handlers *handlers;
static struct br_scripts scripts;
static struct br_blob logged, response;
static uint64_t responses;
static char folder[64], out_path[128], why[BR_WHY_MAX];
static uint8_t meta[BRUIT_META_MAX];
static struct br_handler_self self;

static void on_line(void *context, const struct br_log_line *line)
{
    (void)context;
    br_blob_add(&logged, br_bytes(line->text, line->size));
    br_blob_text(&logged, "\n");
}

static void on_respond(void *context, uint64_t query, struct bruit_bytes name, struct bruit_bytes output)
{
    (void)context;
    (void)name;
    assert_int_equal(query, 77);
    responses++;
    br_blob_release(&response);
    br_blob_add(&response, output);
}

static int setup_test(void **state)
{
    struct br_tag_set tags = {.count = 0};
    size_t size;
    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    br_log_init(&log_, -1, BRUIT_TRACE_OFF);
    log_.listener = on_line;
    (void)snprintf(folder, sizeof folder, "/tmp/bruit-handler-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(out_path, sizeof out_path, "%s/out", folder);
    assert_int_equal(setenv("OUT", out_path, 1), 0);
    assert_int_equal(br_tag_set_put(&tags, br_bytes_text("role"), br_bytes_text("web")), 0);
    assert_int_equal(br_tag_set_put(&tags, br_bytes_text("a-b.c"), br_bytes_text("x,y z")), 0);
    assert_int_equal(br_tag_set_encode(&tags, 5, meta, &size), 0);
    self = (struct br_handler_self){.name = br_bytes_text("me"), .meta = br_bytes(meta, size)};
    responses = 0;
    return 0;
}

static void begin_with(bruit_time timeout)
{
    struct br_handlers_options options = {
        .loop = &loop, .log = &log_, .timeout = timeout, .respond = on_respond};
    handlers = br_handlers_new(&options);
    assert_non_null(handlers);
    assert_int_equal(br_handlers_set(handlers, &scripts), 0);
}

static void add(const char *text)
{
    assert_int_equal(br_scripts_add(&scripts, text, why), 0);
}

static int teardown_test(void **state)
{
    char command[128];
    (void)state;
    br_handlers_close(handlers);
    handlers = NULL;
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    br_scripts_release(&scripts);
    br_blob_release(&logged);
    br_blob_release(&response);
    br_log_fini(&log_);
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static struct br_handlers_stats stats_now(void)
{
    struct br_handlers_stats stats;
    br_handlers_stats_get(handlers, &stats);
    return stats;
}

static void on_wake(uv_timer_t *timer)
{
    (void)timer;
}

/* Turns the loop for a time, or until nothing runs and nothing waits. */
static void run_for(uint64_t ms, bool until_idle)
{
    uv_timer_t wake;
    (void)uv_timer_init(&loop, &wake);
    (void)uv_timer_start(&wake, on_wake, 5, 5);
    uv_update_time(&loop);
    uint64_t end = uv_now(&loop) + ms;
    while (uv_now(&loop) < end) {
        struct br_handlers_stats stats = stats_now();
        if (until_idle && stats.running == 0 && stats.waiting == 0)
            break;
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    assert_true(!until_idle || uv_now(&loop) < end);
    uv_close((uv_handle_t *)&wake, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
}

static void settle(void)
{
    run_for(PATIENCE_MS, true);
}

static const char *output(void)
{
    static char text[65536];
    FILE *file = fopen(out_path, "r");
    text[0] = 0;
    if (file == NULL)
        return text;
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    (void)fclose(file);
    return text;
}

static void user(const char *name, const char *payload)
{
    struct bruit_user_event event = {
        .ltime = 12, .name = br_bytes_string(name), .payload = br_bytes_string(payload)};
    br_handlers_user(handlers, &self, &event);
}

static void query(const char *name, const char *payload)
{
    struct bruit_query event = {
        .handle = 77, .ltime = 34, .name = br_bytes_string(name), .payload = br_bytes_string(payload)};
    br_handlers_query(handlers, &self, &event);
}

static bool has_logged(const char *text)
{
    return strstr(br_blob_string(&logged), text) != NULL;
}

static void join(const char *name)
{
    struct bruit_status_member member = {.name = br_bytes_string(name), .meta = self.meta};
    assert_int_equal(br_addr_parse_ip(&member.addr, "::ffff:10.1.2.3"), 0);
    br_handlers_member(handlers, &self, BRUIT_MEMBER_JOIN, &member, 1);
}

/* ------------------------------------------------------------------ what scripts are told */

/* A member with a tab in its name fails: fields, escapes, address without a port. No metadata is an empty role. */
/* conformance: agent 8 */
static void test_member_events_are_lines_of_four_fields(void **state)
{
    struct bruit_status_member members[2] = {{.name = br_bytes_text("a\tb\nc"), .meta = self.meta},
                                             {.name = br_bytes_text("plain")}};
    (void)state;
    assert_int_equal(br_addr_parse_ip(&members[0].addr, "10.0.0.1"), 0);
    assert_int_equal(br_addr_parse_ip(&members[1].addr, "::1"), 0);
    add("member-failed=cat > $OUT");
    begin_with(0);
    br_handlers_member(handlers, &self, BRUIT_MEMBER_JOIN, members, 2); /* nobody wants this one */
    br_handlers_member(handlers, &self, BRUIT_MEMBER_FAILED, members, 2);
    settle();
    assert_string_equal(output(), "a\\tb\\nc\t10.0.0.1\tweb\ta-b.c=x,y z,role=web\nplain\t::1\t\trole=\n");
    assert_int_equal(stats_now().started, 1);
}

/* conformance: agent 8 */
static void test_the_environment_is_serfs_over_our_own(void **state)
{
    (void)state;
    assert_int_equal(setenv("SERF_EVENT", "stale", 1), 0);
    assert_int_equal(setenv("SERF_KEPT", "kept", 1), 0);
    add("user:deploy=echo \"$SERF_EVENT|$SERF_SELF_NAME|$SERF_SELF_ROLE|$SERF_TAG_A_B_C|$SERF_USER_EVENT|"
        "$SERF_USER_LTIME|$SERF_KEPT|$(env | grep -c ^SERF_EVENT=)\" > $OUT; cat >> $OUT");
    begin_with(0);
    user("other", "x");
    user("deploy", "v2");
    settle();
    assert_string_equal(output(), "user|me|web|x,y z|deploy|12|kept|1\nv2\n");
    assert_int_equal(unsetenv("SERF_EVENT"), 0);
}

/* An agent without a role, a payload with a line end, and an empty one. */
/* conformance: agent 8 */
static void test_payloads_end_with_a_line_end_if_they_are_not_empty(void **state)
{
    (void)state;
    self.meta = br_bytes("", 0);
    add("user=printf '[%s]' \"${SERF_SELF_ROLE-unset}\" >> $OUT; cat >> $OUT; printf . >> $OUT");
    begin_with(0);
    user("e", "one");
    user("e", "two\n");
    user("e", "");
    settle();
    assert_string_equal(output(), "[]one\n.[]two\n.[].");
}

/* ------------------------------------------------------------------ what scripts say */

/* A query is answered with what was printed to either stream, if the script ended well and printed anything. */
/* conformance: agent 9 */
static void test_output_of_a_query_is_its_response(void **state)
{
    (void)state;
    add("query:up=echo \"$SERF_QUERY_NAME $SERF_QUERY_LTIME\"; cat; echo err >&2");
    add("query:silent=true");
    add("query:fails=echo no; exit 3");
    begin_with(0);
    query("silent", "");
    query("fails", "");
    settle();
    assert_int_equal(responses, 0);
    assert_true(has_logged("[ERR] agent: Error invoking script 'echo no; exit 3': exit status 3"));
    assert_true(has_logged("[DEBUG] agent: Event 'query' script output: no"));
    query("up", "q");
    settle();
    assert_int_equal(responses, 1);
    assert_string_equal(br_blob_string(&response), "up 34\nq\nerr\n");
}

/* 100,000 bytes: the last 8,192 are kept. A script that does not read 200,000 bytes it is given is no failure. */
/* conformance: agent 9 */
static void test_the_last_8192_bytes_count(void **state)
{
    char *big = malloc(200001);
    (void)state;
    memset(big, 'p', 200000);
    big[200000] = 0;
    add("query=i=0; while [ $i -lt 1000 ]; do printf '%0100d' $i; i=$((i+1)); done; printf END");
    begin_with(0);
    query("q", big);
    settle();
    assert_int_equal(response.size, BR_HANDLER_OUTPUT_MAX);
    assert_memory_equal(response.data + response.size - 6, "999END", 6);
    assert_true(has_logged("generated 100003 bytes of output, truncated to 8192"));
    assert_int_equal(stats_now().failed, 0);
    free(big);
}

static void test_a_script_that_is_not_there_is_told(void **state)
{
    (void)state;
    add("/nowhere/script.sh");
    begin_with(0);
    user("e", "");
    settle();
    assert_true(has_logged("Error invoking script '/nowhere/script.sh': exit status 127"));
}

/* ------------------------------------------------------------------ scripts that misbehave */

/* One hangs for ever: others, and the loop, go on; events wait for it, and it is told; then it is killed. */
/* conformance: agent 11 */
static void test_a_script_that_hangs_blocks_nobody_and_is_killed(void **state)
{
    (void)state;
    add("user:a=sleep 1000");
    add("user=echo x >> $OUT");
    begin_with(2 * BRUIT_SECOND);
    for (int i = 0; i < 17; i++)
        user("a", "");
    uint64_t before = uv_hrtime();
    run_for(1500, false);
    assert_int_equal(strlen(output()), 17 * 2);
    assert_true(has_logged("[WARN] agent: Script 'sleep 1000' slow, execution exceeding 1s"));
    assert_true(has_logged("[WARN] agent: 16 events wait for script 'sleep 1000'"));
    assert_int_equal(stats_now().running, 1);
    assert_int_equal(stats_now().waiting, 16);
    run_for(1500, false);
    assert_true(uv_hrtime() - before < 10 * (uint64_t)BRUIT_SECOND);
    assert_true(has_logged("[ERR] agent: Error invoking script 'sleep 1000': it did not end within 2s"));
    assert_int_equal(stats_now().killed, 1);
    assert_int_equal(stats_now().waiting, 15); /* the next one's turn */
}

/* It ends at once but leaves a child behind that keeps the output open: killed with it when the time is over. */
/* conformance: agent 11 */
static void test_a_script_that_forks_is_killed_with_its_children(void **state)
{
    (void)state;
    add("user=sleep 1000 & echo $! > $OUT");
    begin_with(1500 * BRUIT_MILLISECOND);
    user("e", "");
    settle();
    int pid = atoi(output());
    assert_true(pid > 0);
    for (int i = 0; i < 200 && kill(pid, 0) == 0; i++) {
        char path[64], text[64] = "";
        (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
        FILE *file = fopen(path, "r");
        if (file == NULL || fgets(text, sizeof text, file) == NULL || strstr(text, ") Z") != NULL) {
            if (file != NULL)
                (void)fclose(file);
            break; /* gone, or waiting for somebody to look */
        }
        (void)fclose(file);
        assert_true(i < 199);
        (void)usleep(10000);
    }
    assert_int_equal(stats_now().killed, 1);
}

/* It prints without end: the loop turns on, memory stays, and the pace is bounded. */
/* conformance: agent 11 */
static void test_a_script_that_prints_without_end_is_read_at_a_bounded_pace(void **state)
{
    (void)state;
    add("query=yes yes yes yes");
    add("user=echo x >> $OUT");
    begin_with(1 * BRUIT_SECOND);
    query("q", "");
    for (int i = 0; i < 5; i++) {
        user("e", "");
        run_for(100, false);
    }
    assert_int_equal(strlen(output()), 5 * 2);
    settle();
    assert_int_equal(stats_now().killed, 1);
    assert_int_equal(responses, 0);
    const char *told = strstr(br_blob_string(&logged), "generated ");
    assert_non_null(told);
    assert_true(strtoull(told + strlen("generated "), NULL, 10) < 20000000);
}

/* More than may wait: the oldest wait, later ones are dropped and counted. */
static void test_what_waits_is_bounded(void **state)
{
    (void)state;
    add("sleep 1000");
    begin_with(0);
    for (int i = 0; i < BR_HANDLER_WAITING_MAX + 10; i++)
        user("e", "");
    assert_int_equal(stats_now().waiting, BR_HANDLER_WAITING_MAX);
    assert_int_equal(stats_now().dropped, 9);
    assert_true(has_logged("too many events wait for script 'sleep 1000': 8 events were dropped so far"));
}

/* One handler's events keep their order, whatever they take. */
static void test_events_of_one_handler_keep_their_order(void **state)
{
    (void)state;
    add("user=sleep 0.0$SERF_USER_EVENT; echo $SERF_USER_EVENT >> $OUT");
    begin_with(0);
    user("5", "");
    user("1", "");
    user("3", "");
    settle();
    assert_string_equal(output(), "5\n1\n3\n");
}

/* A reload while a script runs: it may end, what it has waiting is done, and then only the new ones count. */
static void test_new_handlers_do_not_disturb_the_old_ones(void **state)
{
    (void)state;
    add("user=sleep 0.2; echo old >> $OUT");
    begin_with(0);
    user("e", "");
    user("e", "");
    br_scripts_release(&scripts);
    add("user=echo new >> $OUT");
    assert_int_equal(br_handlers_set(handlers, &scripts), 0);
    user("e", "");
    settle();
    assert_string_equal(output(), "new\nold\nold\n");
    user("e", "");
    settle();
    assert_string_equal(output(), "new\nold\nold\nnew\n");
}

/* The agent stops: what runs gets its input and a second; what waits is dropped and told. */
static void test_closing_lets_what_runs_end(void **state)
{
    (void)state;
    add("member-join=sleep 0.1; cat > $OUT");
    begin_with(0);
    join("first");
    join("second");
    br_handlers_close(handlers);
    handlers = NULL;
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_string_equal(output(), "first\t10.1.2.3\tweb\ta-b.c=x,y z,role=web\n");
    assert_true(has_logged("1 events that waited for handlers were dropped"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_test, teardown_test)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_member_events_are_lines_of_four_fields),
        TEST(test_the_environment_is_serfs_over_our_own),
        TEST(test_payloads_end_with_a_line_end_if_they_are_not_empty),
        TEST(test_output_of_a_query_is_its_response),
        TEST(test_the_last_8192_bytes_count),
        TEST(test_a_script_that_is_not_there_is_told),
        TEST(test_a_script_that_hangs_blocks_nobody_and_is_killed),
        TEST(test_a_script_that_forks_is_killed_with_its_children),
        TEST(test_a_script_that_prints_without_end_is_read_at_a_bounded_pace),
        TEST(test_what_waits_is_bounded),
        TEST(test_events_of_one_handler_keep_their_order),
        TEST(test_new_handlers_do_not_disturb_the_old_ones),
        TEST(test_closing_lets_what_runs_end),
    };
    (void)signal(SIGPIPE, SIG_IGN); /* as the agent does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
