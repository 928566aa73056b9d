/*
 * bruit wait against whole agents: what it waits for, what it says when the time is up, and that nothing holds it
 * longer than that. The agents run in children of the test, on free ports of the loopback.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/agent.h"
#include "cli/command.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How long anything may take before the test gives up; sanitizers are slow. */
#define PATIENCE_MS 20000
#define AGENTS_MAX 4

struct agent {
    pid_t pid;
    char text[8192];
    char bind[64], rpc[64];
};

static struct agent agents[AGENTS_MAX];
static size_t agent_count;

#define WORDS(...) ((char *[]){__VA_ARGS__, NULL})

/* What stands between the quotes behind a label of the console; false as long as it is not there. */
static bool told(const char *text, const char *label, char out[64])
{
    const char *at = strstr(text, label), *end = at == NULL ? NULL : strchr(at + strlen(label), '\'');
    if (end == NULL)
        return false;
    snprintf(out, 64, "%.*s", (int)(end - at - (ptrdiff_t)strlen(label)), at + strlen(label));
    return true;
}

/* Starts an agent that joins the first one, `delay_ms` from now; without a delay, waits until its RPC listens. */
static struct agent *start(const char *name, int delay_ms)
{
    int ends[2];
    char node[32], join[80];
    struct agent *agent = &agents[agent_count++];
    *agent = (struct agent){.pid = 0};
    snprintf(node, sizeof node, "-node=%s", name);
    snprintf(join, sizeof join, "-retry-join=%s", agents[0].bind);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    agent->pid = fork();
    if (agent->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)poll(NULL, 0, delay_ms);
        exit(br_agent_main(agent_count == 1 ? 4 : 5, WORDS("-rpc-addr=127.0.0.1:0", "-bind=127.0.0.1:0",
                                                           "-profile=local", node, join)));
    }
    close(ends[1]);
    for (size_t size = 0; delay_ms == 0 && !(told(agent->text, "RPC addr: '", agent->rpc) &&
                                             told(agent->text, "Bind addr: '", agent->bind));) {
        struct pollfd ready = {.fd = ends[0], .events = POLLIN};
        assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
        ssize_t more = read(ends[0], agent->text + size, sizeof agent->text - 1 - size);
        assert_true(more > 0);
        size += (size_t)more;
    }
    /* The pipe stays open in this process: the agent must not stop for want of a reader, and says little. */
    return agent;
}

static int stop_all(void **state)
{
    (void)state;
    for (; agent_count > 0; agent_count--) {
        (void)kill(agents[agent_count - 1].pid, SIGKILL);
        (void)waitpid(agents[agent_count - 1].pid, NULL, 0);
    }
    return 0;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static char output[16384];
static double took;

/* Runs bruit wait with the first agent's address and stdout caught. Returns the exit code. */
static int wait_with(char **words)
{
    char *argv[16], where[80];
    int argc = 0, caught = open("/tmp", O_TMPFILE | O_RDWR, 0600), saved = dup(STDOUT_FILENO);
    snprintf(where, sizeof where, "-rpc-addr=%s", agent_count == 0 ? "127.0.0.1:1" : agents[0].rpc);
    argv[argc++] = where;
    for (; *words != NULL; words++)
        argv[argc++] = *words;
    argv[argc] = NULL;
    fflush(stdout);
    assert_true(caught >= 0 && dup2(caught, STDOUT_FILENO) >= 0);
    double begin = seconds();
    int code = br_command_wait.run(argc, argv);
    took = seconds() - begin;
    fflush(stdout);
    assert_true(dup2(saved, STDOUT_FILENO) >= 0);
    close(saved);
    ssize_t size = pread(caught, output, sizeof output - 1, 0);
    output[size < 0 ? 0 : size] = 0;
    close(caught);
    return code;
}

static void expect(int code, char **words, const char *said)
{
    int got = wait_with(words);
    if (strcmp(output, said) != 0 || got != code)
        fail_msg("exit code %d, not %d, and\n%sinstead of\n%s", got, code, output, said);
}

/* The third agent starts while somebody waits for three. */
static void test_members_are_waited_for(void **state)
{
    (void)state;
    start("a", 0);
    expect(0, WORDS("-members=1"), "1 member is alive.\n");
    start("b", 0);
    start("c", 700);
    expect(0, WORDS("-members=3", "-timeout=20s"), "3 members are alive.\n");
    assert_true(took > 0.5);
}

/* ------------------------------------------------------------------ an agent that is played */

/* It has one member, and a second one from 1.3 s after the first look on; then it rings, as a log line would. */
#define RING_MS 1300

static struct {
    int listener, fds[8];
    size_t fd_count;
    atomic_int looks;
    double first_look;
    bool has_rung;
} player;

/* Each header is answered with its number; the bodies behind them are skipped. */
static void play_answer(int fd, struct bruit_bytes bytes)
{
    static const char one[] = "\x81\xa7Members\x91\x82\xa4Name\xa1x\xa6Status\xa5"
                              "alive";
    static const char two[] = "\x81\xa7Members\x92\x82\xa4Name\xa1x\xa6Status\xa5"
                              "alive"
                              "\x82\xa4Name\xa1y\xa6Status\xa5"
                              "alive";
    for (size_t size; br_mp_scan(bytes, &size) == 0; bytes = br_bytes(bytes.data + size, bytes.size - size)) {
        struct bruit_bytes seq, command, object = br_bytes(bytes.data, size);
        if (!br_mp_find(object, br_bytes_text("Seq"), &seq))
            continue;
        assert_true(br_mp_find(object, br_bytes_text("Command"), &command));
        (void)send(fd,
                   "\x82\xa5"
                   "Error\xa0\xa3Seq",
                   12, MSG_NOSIGNAL);
        (void)send(fd, seq.data, seq.size, MSG_NOSIGNAL);
        if (!br_bytes_equal(command, br_bytes_text("\xa7members")))
            continue;
        if (atomic_fetch_add(&player.looks, 1) == 0)
            player.first_look = seconds();
        (void)send(fd, player.has_rung ? two : one, player.has_rung ? sizeof two - 1 : sizeof one - 1,
                   MSG_NOSIGNAL);
    }
}

/* Ends when the last of its clients has gone. */
static void *play(void *context)
{
    struct pollfd ready[9];
    uint8_t bytes[4096];
    (void)context;
    for (size_t gone = 0; gone == 0 || gone < player.fd_count;) {
        ready[0] = (struct pollfd){.fd = player.listener, .events = POLLIN};
        for (size_t i = 0; i < player.fd_count; i++)
            ready[i + 1] = (struct pollfd){.fd = player.fds[i], .events = POLLIN};
        (void)poll(ready, 1 + player.fd_count, 10);
        for (size_t i = 0; i < player.fd_count; i++) {
            ssize_t size =
                (ready[i + 1].revents & POLLIN) != 0 ? recv(player.fds[i], bytes, sizeof bytes, 0) : -1;
            if (size > 0)
                play_answer(player.fds[i], br_bytes(bytes, (size_t)size));
            gone += size == 0;
            if (size == 0) {
                close(player.fds[i]);
                player.fds[i] = -1;
            }
        }
        if ((ready[0].revents & POLLIN) != 0)
            player.fds[player.fd_count++] = accept(player.listener, NULL, NULL);
        if (!player.has_rung && player.looks > 0 && seconds() - player.first_look > RING_MS / 1e3) {
            player.has_rung = true;
            (void)send(player.fds[player.fd_count - 1], "line", 4,
                       MSG_NOSIGNAL); /* the last connection: the log */
        }
    }
    return NULL;
}

/*
 * Between two looks a second passes, and not less: nobody asks again and again. Unless the bell rings: then the next
 * look comes at once, 700 ms before it would have come.
 */
static void test_looks_when_the_bell_rings(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof at;
    pthread_t thread;
    (void)state;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    player.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(player.listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(player.listener, 8), 0);
    assert_int_equal(getsockname(player.listener, (struct sockaddr *)&at, &size), 0);
    snprintf(agents[0].rpc, sizeof agents[0].rpc, "127.0.0.1:%u", ntohs(at.sin_port));
    agent_count = 1;
    assert_int_equal(pthread_create(&thread, NULL, play, NULL), 0);
    expect(0, WORDS("-members=2", "-timeout=20s"), "2 members are alive.\n");
    agent_count = 0;
    pthread_join(thread, NULL);
    close(player.listener);
    assert_true(took > RING_MS / 1e3 && took < 1.95);
    assert_int_equal(player.looks, 3); /* at once, after a second, and after the bell */
}

/* ------------------------------------------------------------------ the end of the time */

/* When the time is up, the sentence says who was there, and that it was not who was wanted. */
static void test_time_up_says_what_was_seen(void **state)
{
    (void)state;
    start("a", 0);
    expect(1, WORDS("-members=3", "-timeout=200ms"), "Not within 200ms: 1 member is alive, not 3: a.\n");
    assert_true(took >= 0.2 && took < 5);
    expect(1, WORDS("-node=b", "-timeout=0s"), "Not within 0s: b is absent, not alive.\n");
    expect(1, WORDS("-members=0", "-timeout=0s"), "Not within 0s: 1 member is alive, not 0: a.\n");
    expect(1, WORDS("-node=a", "-status=left", "-timeout=0s"), "Not within 0s: a is alive, not left.\n");
}

/* A member that dies is waited for with -status: failed is what becomes of it, and all conditions must hold at once. */
static void test_status_is_waited_for(void **state)
{
    (void)state;
    start("a", 0);
    struct agent *b = start("b", 0);
    expect(0, WORDS("-node=b", "-timeout=20s"), "b is alive.\n");
    kill(b->pid, SIGKILL);
    expect(0, WORDS("-node=b", "-status=failed", "-members=1", "-timeout=20s"),
           "1 member is failed; b is failed.\n");
    expect(0, WORDS("-node=x", "-status=absent"), "x is absent.\n");
}

/* Two agents that know and hear each other have converged; a stopped one is in the list for a while, but is silent. */
static void test_converged_means_that_all_alive_answer(void **state)
{
    (void)state;
    start("a", 0);
    expect(0, WORDS("-converged", "-timeout=20s"),
           "1 alive member answers, and nothing changed for a second.\n");
    struct agent *b = start("b", 0);
    expect(0, WORDS("-members=2", "-converged", "-timeout=20s"),
           "2 members are alive; all 2 alive members answer, and nothing changed for a second.\n");
    assert_true(took >= 1);
    kill(b->pid, SIGSTOP);
    assert_int_equal(wait_with(WORDS("-converged", "-timeout=500ms")), 1);
    kill(b->pid, SIGCONT);
    assert_string_equal(output, "Not within 500ms: no answer from b (1 of 2 alive members answered).\n");
}

/* A script starts an agent and waits at once: until something listens it tries again, and says so in the end. */
static void test_agent_that_is_not_there_is_waited_for(void **state)
{
    (void)state;
    expect(1, WORDS("-members=1", "-timeout=300ms"),
           "Not within 300ms: no agent answers: dial tcp 127.0.0.1:1: connect: connection refused.\n");
    assert_true(took >= 0.3 && took < 5);
    struct agent *a = start("a", 0);
    kill(a->pid, SIGSTOP);
    expect(1, WORDS("-members=1", "-timeout=300ms"), "Not within 300ms: no agent answers: i/o timeout.\n");
    assert_true(took >= 0.3 && took < 5);
    kill(a->pid, SIGKILL);
    expect(1, WORDS("-members=1", "-rpc-addr=127.0.0.1", "-timeout=20s"),
           "Error connecting to Serf agent: dial tcp: address 127.0.0.1: missing port in address\n");
    assert_true(took < 5);
}

static void test_misuse_gets_a_sentence(void **state)
{
    static const struct {
        char *words[4];
        const char *said;
    } rows[] = {
        {{NULL}, "What to wait for must be specified: -members, -node or -converged.\n\nUsage: bruit wait"},
        {{"-members=1", "x"}, "Too many command line arguments: wait takes flags only.\n\nUsage: bruit wait"},
        {{"-members=-2"}, "Invalid number of members: write -members=0 or more\n"},
        {{"-node=a", "-status=dead"},
         "Invalid status \"dead\": write alive, leaving, left, failed or absent\n"},
        {{"-members=1", "-status=absent"},
         "Nobody can count absent members: write -status=absent with -node\n"},
        {{"-members=1", "-format=xml"}, "Invalid output format \"xml\": write text or json\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(wait_with((char **)rows[i].words), 1);
        assert_memory_equal(output, rows[i].said, strlen(rows[i].said));
    }
}

/* As JSON it is one object either way; one that has an "error" goes with exit code 1. */
static void test_json_says_the_same(void **state)
{
    (void)state;
    start("a", 0);
    assert_int_equal(wait_with(WORDS("-format=json", "-members=1")), 0);
    json_t *said = json_loads(output, 0, NULL);
    assert_true(json_is_true(json_object_get(said, "reached")));
    assert_string_equal(json_string_value(json_object_get(said, "seen")), "1 member is alive.");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(said, "members"), "alive")), 1);
    assert_null(json_object_get(said, "error"));
    json_decref(said);
    assert_int_equal(wait_with(WORDS("-format=json", "-members=2", "-timeout=0s")), 1);
    said = json_loads(output, 0, NULL);
    assert_true(json_is_false(json_object_get(said, "reached")));
    assert_string_equal(json_string_value(json_object_get(said, "error")),
                        "Not within 0s: 1 member is alive, not 2: a.");
    json_decref(said);
    expect(1, WORDS("-format=json"),
           "{\"error\":\"What to wait for must be specified: -members, -node or -converged.\"}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_members_are_waited_for, stop_all),
        cmocka_unit_test(test_looks_when_the_bell_rings),
        cmocka_unit_test_teardown(test_time_up_says_what_was_seen, stop_all),
        cmocka_unit_test_teardown(test_status_is_waited_for, stop_all),
        cmocka_unit_test_teardown(test_converged_means_that_all_alive_answer, stop_all),
        cmocka_unit_test_teardown(test_agent_that_is_not_there_is_waited_for, stop_all),
        cmocka_unit_test_teardown(test_misuse_gets_a_sentence, stop_all),
        cmocka_unit_test_teardown(test_json_says_the_same, stop_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
