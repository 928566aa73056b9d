/*
 * Whole agents as processes: how they start, what they say, how they end and with which exit code
 * (docs/wire/serf-agent.md sections 3.5, 4.1, 4.2 and 4.4).
 *
 * Each runs in a child of the test and takes free ports, which it tells on its console. Under a sanitizer
 * a leak in an agent changes its exit code.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/agent.h"
#include "cli/session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How long anything may take before the test gives up; sanitizers are slow. */
#define PATIENCE_MS 20000

struct process {
    pid_t pid;
    int console;
    char text[65536];
    size_t size;
};

#define WORDS(...) ((char *[]){__VA_ARGS__, NULL})

static struct process *start(char **words)
{
    int ends[2], argc = 0;
    char *argv[32];
    struct process *process = calloc(1, sizeof *process);
    assert_int_equal(pipe(ends), 0);
    argv[argc++] = "-rpc-addr=127.0.0.1:0";
    argv[argc++] = "-bind=127.0.0.1:0";
    argv[argc++] = "-profile=local";
    for (; *words != NULL; words++)
        argv[argc++] = *words;
    argv[argc] = NULL;
    process->pid = fork();
    if (process->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        exit(br_agent_main(argc, argv));
    }
    close(ends[1]);
    process->console = ends[0];
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    return process;
}

static bool read_console(struct process *process, int wait_ms)
{
    struct pollfd ready = {.fd = process->console, .events = POLLIN};
    if (poll(&ready, 1, wait_ms) <= 0)
        return true;
    ssize_t size =
        read(process->console, process->text + process->size, sizeof process->text - 1 - process->size);
    if (size > 0)
        process->size += (size_t)size;
    process->text[process->size] = 0;
    return size > 0 || (size < 0 && errno == EAGAIN);
}

static void expect(struct process *process, const char *text)
{
    for (int waited = 0; strstr(process->text, text) == NULL; waited += 20)
        if (!read_console(process, 20) || waited > PATIENCE_MS)
            fail_msg("\"%s\" was not said; what was:\n%s", text, process->text);
}

static int end_of(struct process *process)
{
    int status = 0;
    while (read_console(process, 100))
        continue;
    for (int waited = 0; waitpid(process->pid, &status, WNOHANG) == 0; waited += 10) {
        if (waited > PATIENCE_MS) {
            (void)kill(process->pid, SIGKILL);
            fail_msg("still running; what it said:\n%s", process->text);
        }
        (void)usleep(10000);
    }
    close(process->console);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Ends one that must end with `code`. */
static void expect_end(struct process *process, int code)
{
    int got = end_of(process);
    if (got != code)
        fail_msg("exit code %d instead of %d; what it said:\n%s", got, code, process->text);
    free(process);
}

/* What stands between the quotes behind a label. */
static const char *told(struct process *process, const char *label, char out[64])
{
    const char *at = strstr(process->text, label);
    assert_non_null(at);
    at += strlen(label);
    size_t size = strcspn(at, "'");
    assert_true(size < 64);
    memcpy(out, at, size);
    out[size] = 0;
    return out;
}

static void await_running(struct process *process)
{
    expect(process, "Log data will now stream in as it occurs:");
}

static void open_rpc(struct process *process, struct br_session *session)
{
    char address[64];
    assert_int_equal(br_session_open(session, told(process, "RPC addr: '", address), ""), 0);
}

/* ------------------------------------------------------------------ starting */

/* The console in the form that people and scripts know, and the first log lines behind it. */
static void test_console_has_serfs_form(void **state)
{
    char bind[64], rpc[64], expected[1024];
    (void)state;
    struct process *process = start(WORDS("-node", "n1", "-tag", "role=web"));
    await_running(process);
    expect(process, "EventMemberJoin: n1 127.0.0.1\n");
    snprintf(expected, sizeof expected,
             "==> Starting Bruit agent...\n"
             "==> Starting Bruit agent RPC...\n"
             "==> Bruit agent running!\n"
             "                      Node name: 'n1'\n"
             "                      Bind addr: '%s'\n"
             "                       RPC addr: '%s'\n"
             "                      Encrypted: false\n"
             "                       Snapshot: false\n"
             "                        Profile: local\n"
             "    Message Compression Enabled: true\n"
             "\n"
             "==> Log data will now stream in as it occurs:\n"
             "\n"
             "    20",
             told(process, "Bind addr: '", bind), told(process, "RPC addr: '", rpc));
    assert_memory_equal(process->text, expected, strlen(expected));
    expect(process, "[INFO] agent: Bruit agent starting\n");
    expect(process, "[INFO] serf: EventMemberJoin: n1 127.0.0.1\n");
    expect(process, "[INFO] agent: Received event: member-join\n");
    (void)kill(process->pid, SIGTERM);
    expect_end(process, 1);
}

/* What is wrong is said in one line, and nothing is left running. */
static void test_mistakes_end_with_one_sentence_and_code_1(void **state)
{
    static const struct {
        char *flag, *value;
        const char *said;
    } rows[] = {
        {"-encrypt", "xxx",
         "==> Invalid encryption key: illegal base64 data at input byte 0: "
         "\"bruit keygen\" makes a good one\n"},
        {"-advertise", "0.0.0.0",
         "==> Invalid advertise address: nobody can reach 0.0.0.0: "
         "give one that the other members can send to\n"},
        {"-retry-interval", "5",
         "==> Error: time: missing unit in duration \"5\": "
         "write -retry-interval with a unit, such as 30s or 1m30s\n"},
        {"-rpc-addr", "127.0.0.1:99999",
         "==> Starting Bruit agent...\n"
         "==> Error starting RPC listener: listen tcp: address 99999: invalid port: write host:port\n"},
        {"-rpc-addr", "192.0.2.1:7373",
         "==> Starting Bruit agent...\n==> Starting Bruit agent RPC...\n"
         "==> Error starting RPC listener: "
         "listen tcp 192.0.2.1:7373: bind: cannot assign requested address: "
         "give -rpc-addr one of this host's\n"},
        {"-protocol", "6",
         "==> Starting Bruit agent...\n"
         "==> Failed to start the Bruit agent: Error creating Serf: "
         "Protocol version '6' too high. Must be in range: [2, 5]\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct process *process = start(WORDS(rows[i].flag, rows[i].value));
        int code = end_of(process);
        assert_string_equal(process->text, rows[i].said);
        assert_int_equal(code, 1);
        free(process);
    }
}

/* The gossip address is somebody else's. */
static void test_an_address_in_use_is_told(void **state)
{
    char bind[64], flag[96];
    (void)state;
    struct process *first = start(WORDS("-node", "a"));
    await_running(first);
    snprintf(flag, sizeof flag, "-bind=%s", told(first, "Bind addr: '", bind));
    struct process *second = start(WORDS("-node", "b", flag));
    expect(second, "==> Failed to start the Bruit agent: ");
    expect_end(second, 1);
    (void)kill(first->pid, SIGTERM);
    expect_end(first, 1);
}

/* ------------------------------------------------------------------ signals */

/* conformance: agent 5 */
static void test_interrupt_leaves_and_ends_with_0(void **state)
{
    (void)state;
    struct process *process = start(WORDS("-node", "n"));
    await_running(process);
    (void)kill(process->pid, SIGINT);
    expect(process, "==> Caught signal: interrupt\n==> Gracefully shutting down agent...\n");
    expect(process, "[INFO] agent: requesting graceful leave from Serf\n");
    expect(process, "[INFO] serf: EventMemberLeave: n 127.0.0.1\n");
    expect(process, "[INFO] agent: requesting serf shutdown\n");
    expect(process, "[INFO] agent: shutdown complete\n");
    expect_end(process, 0);
}

/* conformance: agent 5 */
static void test_second_signal_ends_the_patience(void **state)
{
    (void)state;
    struct process *process = start(WORDS("-node", "n"));
    await_running(process);
    (void)kill(process->pid, SIGINT);
    expect(process, "Gracefully shutting down agent...");
    (void)kill(process->pid, SIGHUP);
    expect_end(process, 1);

    process = start(WORDS("-node", "n"));
    await_running(process);
    (void)kill(process->pid, SIGINT);
    expect(process, "Gracefully shutting down agent...");
    (void)kill(process->pid, SIGINT);
    expect_end(process, 1);
}

/* conformance: agent 5 */
static void test_terminate_ends_at_once_with_1(void **state)
{
    (void)state;
    struct process *process = start(WORDS("-node", "n"));
    await_running(process);
    (void)kill(process->pid, SIGTERM);
    expect(process, "==> Caught signal: terminated\n");
    expect(process, "[WARN] serf: Shutdown without a Leave\n");
    expect_end(process, 1);
}

/* conformance: agent 5 */
static void test_what_signals_do_can_be_turned_round(void **state)
{
    (void)state;
    struct process *leaver = start(WORDS("-node", "a", "-leave-on-terminate"));
    struct process *quitter = start(WORDS("-node", "b", "-skip-leave-on-interrupt"));
    await_running(leaver);
    await_running(quitter);
    (void)kill(leaver->pid, SIGTERM);
    (void)kill(quitter->pid, SIGINT);
    expect_end(leaver, 0);
    expect_end(quitter, 1);
}

static uint64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/*
 * On a network as slow as WAN's, with the only peer stopped, telling that we leave takes longer than anybody waits for
 * after a signal: the agent is gone after 3 s, and says by its exit code that it was not done.
 */
/* conformance: agent 6 */
static void test_patience_with_a_leave_ends_after_3_seconds(void **state)
{
    char bind[64], flag[96];
    (void)state;
    struct process *peer = start(WORDS("-node", "a", "-profile=wan"));
    await_running(peer);
    snprintf(flag, sizeof flag, "-join=%s", told(peer, "Bind addr: '", bind));
    struct process *leaver = start(WORDS("-node", "b", "-profile=wan", "-broadcast-timeout=30s", flag));
    await_running(leaver);
    expect(leaver, "EventMemberJoin: a 127.0.0.1\n");
    (void)kill(peer->pid, SIGSTOP);
    (void)kill(leaver->pid, SIGINT);
    expect(leaver, "==> Gracefully shutting down agent...\n");
    uint64_t started = now_ms();
    expect_end(leaver, 1);
    uint64_t took = now_ms() - started;
    if (took < 2900 || took > 4500)
        fail_msg("the patience took %llu ms", (unsigned long long)took);
    (void)kill(peer->pid, SIGCONT);
    (void)kill(peer->pid, SIGTERM);
    expect_end(peer, 1);
}

/* Nothing has happened in the last minute but a start: SIGUSR1 ends nothing, and SIGHUP means a reload after it. */
static void test_usr1_tells_metrics_and_ends_nothing(void **state)
{
    (void)state;
    struct process *process = start(WORDS("-node", "n"));
    await_running(process);
    (void)kill(process->pid, SIGUSR1);
    (void)kill(process->pid, SIGHUP);
    expect(process, "==> Reloading configuration...\n");
    (void)kill(process->pid, SIGINT);
    expect_end(process, 0);
}

static void test_hangup_reloads_and_goes_on(void **state)
{
    (void)state;
    struct process *process = start(WORDS("-node", "n"));
    await_running(process);
    (void)kill(process->pid, SIGHUP);
    expect(process, "==> Caught signal: hangup\n==> Reloading configuration...\n");
    (void)kill(process->pid, SIGTERM);
    expect_end(process, 1);
}

/*
 * The file is changed in every way while the agent runs: level, tags, handlers and what signals do are taken over, the
 * name and the RPC's token are not. Then it is broken: all stays.
 */
/* conformance: agent 4, 7 */
static void test_hangup_takes_over_four_things_and_nothing_else(void **state)
{
    char path[] = "/tmp/bruit-life-XXXXXX", flag[64];
    struct br_session session;
    int fd = mkstemp(path);
    (void)state;
    (void)snprintf(flag, sizeof flag, "-config-file=%s", path);
    (void)dprintf(fd, "{\"node_name\": \"before\", \"tags\": {\"a\": \"1\"}}");
    struct process *process = start(WORDS(flag));
    await_running(process);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    (void)dprintf(fd,
                  "{\"node_name\": \"after\", \"tags\": {\"b\": \"2\"}, \"log_level\": \"debug\","
                  "\"leave_on_terminate\": true, \"profile\": \"wan\", \"rpc_auth\": \"secret\","
                  "\"event_handlers\": [\"member-update=echo $SERF_SELF_NAME has $SERF_TAG_A$SERF_TAG_B\"]}");
    (void)kill(process->pid, SIGHUP);
    expect(process, "EventMemberUpdate: before\n");
    expect(process, "[DEBUG] agent: Event 'member-update' script output: before has 2\n");
    open_rpc(process, &session);
    assert_int_equal(br_session_call(&session, "members", br_bytes(NULL, 0)), 0);
    br_session_close(&session);
    assert_int_equal(ftruncate(fd, 1), 0);
    (void)kill(process->pid, SIGHUP);
    expect(process, "==> Failed to reload configs\n");
    (void)kill(process->pid, SIGTERM);
    expect_end(process, 0);
    (void)close(fd);
    (void)unlink(path);
}

/* ------------------------------------------------------------------ joining */

/* Nobody is at the address: the reason is told, and the agent is gone without a goodbye. */
/* conformance: agent 5 */
static void test_failed_start_join_ends_with_1(void **state)
{
    (void)state;
    struct process *process = start(WORDS("-node", "n", "-join", "127.0.0.1:1"));
    expect(process, "==> Joining cluster...(replay: false)\n"
                    "==> 1 error occurred:\n"
                    "\t* Failed to join 127.0.0.1: dial tcp 127.0.0.1:1: connect: connection refused\n\n\n");
    expect_end(process, 1);
}

static unsigned count_of(const char *text, const char *what)
{
    unsigned count = 0;
    for (; (text = strstr(text, what)) != NULL; text++)
        count++;
    return count;
}

/* retry-max 1: two attempts, a second apart, and the end. */
/* conformance: agent 5, 13 */
static void test_retry_join_makes_one_attempt_more_than_its_maximum(void **state)
{
    (void)state;
    struct process *process =
        start(WORDS("-node", "n", "-retry-join", "127.0.0.1:1", "-retry-max", "1", "-retry-interval", "1s"));
    expect(process, ", retrying in 1s\n");
    expect(process, "[ERR] agent: maximum retry join attempts made, exiting\n");
    int code = end_of(process);
    assert_int_equal(count_of(process->text, "agent: joining: [127.0.0.1:1] replay: false"), 2);
    assert_int_equal(code, 1);
    free(process);
}

/*
 * Two agents: one joins the other when it is there at last, both see each other, one is asked to leave
 * over RPC: it answers, ends with 0, and the other calls it left.
 */
/* conformance: agent 5 */
static void test_two_agents_meet_and_part(void **state)
{
    char bind[64], flag[96];
    struct br_session session;
    (void)state;
    struct process *first = start(WORDS("-node", "first"));
    await_running(first);
    snprintf(flag, sizeof flag, "-join=%s", told(first, "Bind addr: '", bind));
    struct process *second = start(WORDS("-node", "second", "-tag", "role=db", flag));
    expect(second, "    Join completed. Synced with 1 initial agents\n");
    await_running(second);
    expect(second, "EventMemberJoin: first 127.0.0.1\n");
    expect(first, "EventMemberJoin: second 127.0.0.1\n");
    open_rpc(second, &session);
    assert_int_equal(br_session_call(&session, "leave", br_bytes(NULL, 0)), 0);
    br_session_close(&session);
    expect_end(second, 0);
    expect(first, "EventMemberLeave: second 127.0.0.1\n");
    assert_null(strstr(first->text, "EventMemberFailed"));
    (void)kill(first->pid, SIGINT);
    expect_end(first, 0);
}

/*
 * Two that know each other, and a third with the name of one of them: asked whose it is, both say the older one's, and
 * the newcomer ends, with 0 and without a goodbye that would take the name away.
 */
/* conformance: agent 5 */
static void test_the_newcomer_that_loses_its_name_ends_with_0(void **state)
{
    char bind[64], flag[96];
    (void)state;
    struct process *first = start(WORDS("-node", "first"));
    await_running(first);
    snprintf(flag, sizeof flag, "-join=%s", told(first, "Bind addr: '", bind));
    struct process *second = start(WORDS("-node", "second", flag));
    await_running(second);
    expect(first, "EventMemberJoin: second 127.0.0.1\n");
    struct process *thief = start(WORDS("-node", "second", flag));
    expect(thief, "minority in name conflict resolution");
    expect_end(thief, 0);
    (void)kill(second->pid, SIGINT);
    expect_end(second, 0);
    (void)kill(first->pid, SIGINT);
    expect_end(first, 0);
}

/* A second leave while the first is under way: it is refused, and the agent is gone at once, with 0. */
static void test_second_leave_over_rpc_kills_the_agent(void **state)
{
    struct br_session first, second;
    static const char leave[] = "\x82\xa7"
                                "Command\xa5leave\xa3Seq\x02";
    (void)state;
    struct process *process = start(WORDS("-node", "n"));
    await_running(process);
    open_rpc(process, &first);
    open_rpc(process, &second);
    assert_true(write(first.fd, leave, sizeof leave - 1) == (ssize_t)sizeof leave - 1);
    expect(process, "requesting graceful leave");
    assert_int_equal(br_session_call(&second, "leave", br_bytes(NULL, 0)), BRUIT_EREMOTE);
    assert_string_equal(second.why, "Leave already in progress");
    br_session_close(&first);
    br_session_close(&second);
    expect_end(process, 0);
}

/*
 * Tags set over RPC are there at once, too large ones are refused, and a hangup brings the configured ones
 * back.
 */
static void test_tags_change_over_rpc_and_come_back_with_hangup(void **state)
{
    struct br_session session;
    struct br_blob body = BR_BLOB_EMPTY;
    struct bruit_bytes answer;
    (void)state;
    struct process *process = start(WORDS("-node", "n", "-tag", "a=1", "-tag", "b=2"));
    await_running(process);
    open_rpc(process, &session);
    assert_int_equal(br_session_call(&session, "tags",
                                     br_bytes_text("\x82\xaa"
                                                   "DeleteTags\x92\xa1"
                                                   "a\xa1z\xa4Tags\x81\xa1z\xa1"
                                                   "3")),
                     0);
    assert_int_equal(br_session_call(&session, "members", br_bytes(NULL, 0)), 0);
    assert_int_equal(br_session_read(&session, &answer), 0);
    assert_non_null(memmem(answer.data, answer.size,
                           "\x82\xa1"
                           "b\xa1"
                           "2\xa1z\xa1"
                           "3",
                           9));

    br_blob_text(&body, "\x81\xa4Tags\x81\xa1k\xda\x01\xff");
    for (unsigned i = 0; i < 511; i++)
        br_blob_text(&body, "x");
    assert_int_equal(br_session_call(&session, "tags", br_blob_bytes(&body)), BRUIT_EREMOTE);
    assert_string_equal(session.why, "Encoded length of tags exceeds limit of 512 bytes");
    br_blob_release(&body);

    (void)kill(process->pid, SIGHUP);
    expect(process, "Reloading configuration");
    assert_int_equal(br_session_call(&session, "members", br_bytes(NULL, 0)), 0);
    assert_int_equal(br_session_read(&session, &answer), 0);
    assert_non_null(memmem(answer.data, answer.size,
                           "\x82\xa1"
                           "a\xa1"
                           "1\xa1"
                           "b\xa1"
                           "2",
                           9));
    br_session_close(&session);
    (void)kill(process->pid, SIGTERM);
    expect_end(process, 1);
}

/* A client that monitors sees the kept lines, the new ones, and the end. */
static void test_monitor_tells_old_and_new_lines_until_the_end(void **state)
{
    struct br_session session;
    struct bruit_bytes error, line;
    uint64_t seq;
    (void)state;
    struct process *process = start(WORDS("-node", "n", "-log-level", "err"));
    await_running(process);
    open_rpc(process, &session);
    assert_int_equal(br_session_call(&session, "monitor", br_bytes_text("\x81\xa8LogLevel\xa4INFO")), 0);
    (void)kill(process->pid, SIGTERM);
    bool has_old = false, has_new = false;
    while (br_session_read_header(&session, &seq, &error) == 0 && br_session_read(&session, &line) == 0) {
        has_old |= memmem(line.data, line.size, "agent: Bruit agent starting", 27) != NULL;
        has_new |= memmem(line.data, line.size, "serf: Shutdown without a Leave", 30) != NULL;
    }
    assert_true(has_old);
    assert_true(has_new);
    br_session_close(&session);
    int code = end_of(process);
    assert_null(strstr(process->text, "[INFO]"));
    assert_int_equal(code, 1);
    free(process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_console_has_serfs_form),
        cmocka_unit_test(test_mistakes_end_with_one_sentence_and_code_1),
        cmocka_unit_test(test_an_address_in_use_is_told),
        cmocka_unit_test(test_interrupt_leaves_and_ends_with_0),
        cmocka_unit_test(test_second_signal_ends_the_patience),
        cmocka_unit_test(test_terminate_ends_at_once_with_1),
        cmocka_unit_test(test_what_signals_do_can_be_turned_round),
        cmocka_unit_test(test_patience_with_a_leave_ends_after_3_seconds),
        cmocka_unit_test(test_usr1_tells_metrics_and_ends_nothing),
        cmocka_unit_test(test_hangup_reloads_and_goes_on),
        cmocka_unit_test(test_hangup_takes_over_four_things_and_nothing_else),
        cmocka_unit_test(test_failed_start_join_ends_with_1),
        cmocka_unit_test(test_retry_join_makes_one_attempt_more_than_its_maximum),
        cmocka_unit_test(test_two_agents_meet_and_part),
        cmocka_unit_test(test_the_newcomer_that_loses_its_name_ends_with_0),
        cmocka_unit_test(test_second_leave_over_rpc_kills_the_agent),
        cmocka_unit_test(test_tags_change_over_rpc_and_come_back_with_hangup),
        cmocka_unit_test(test_monitor_tells_old_and_new_lines_until_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
