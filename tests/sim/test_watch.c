/*
 * bruit-sim watch in a terminal that is made up: what it shows, what its keys do, and that the terminal comes back
 * whatever ends it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "sim/tool.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define PATIENCE_MS 20000
#define ENTER "\033[?1049h"
#define LEAVE "\033[?25h\033[?1049l"

struct terminal {
    int master, slave;
    pid_t pid;
    struct termios before;
    char seen[4u << 20];
    size_t size;
};

static struct terminal terminal;

static void open_terminal(void)
{
    struct winsize window = {.ws_row = 24, .ws_col = 100};
    terminal.size = 0;
    terminal.master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(terminal.master >= 0);
    assert_int_equal(grantpt(terminal.master), 0);
    assert_int_equal(unlockpt(terminal.master), 0);
    terminal.slave = open(ptsname(terminal.master), O_RDWR | O_NOCTTY);
    assert_true(terminal.slave >= 0);
    assert_int_equal(ioctl(terminal.slave, TIOCSWINSZ, &window), 0);
    assert_int_equal(tcgetattr(terminal.slave, &terminal.before), 0);
}

/* The command with these words, in the terminal or (`out` >= 0) with its output there. */
static void start(int out, int argc, char **argv)
{
    struct rlimit none = {0, 0};
    open_terminal();
    (void)fflush(NULL);
    terminal.pid = fork();
    assert_true(terminal.pid >= 0);
    if (terminal.pid != 0)
        return;
    (void)setrlimit(RLIMIT_CORE, &none);
    /* A group of its own with a parent outside it, as a shell gives: in an orphaned group nothing stops. */
    (void)setpgid(0, 0);
    (void)dup2(terminal.slave, 0);
    (void)dup2(out >= 0 ? out : terminal.slave, 1);
    (void)dup2(out >= 0 ? out : terminal.slave, 2);
    int code = br_tool_watch.run(argc, argv);
    (void)fflush(NULL);
    _exit(code);
}

/* Reads until `text` was seen behind what had been seen at `from`; where it ends. */
static size_t wait_for(size_t from, const char *text)
{
    struct pollfd master = {.fd = terminal.master, .events = POLLIN};
    for (int waited = 0; waited < PATIENCE_MS;) {
        terminal.seen[terminal.size] = 0;
        const char *found = memmem(terminal.seen + from, terminal.size - from, text, strlen(text));
        if (found != NULL)
            return (size_t)(found - terminal.seen) + strlen(text);
        if (poll(&master, 1, 100) <= 0) {
            waited += 100;
            continue;
        }
        ssize_t size =
            read(terminal.master, terminal.seen + terminal.size, sizeof terminal.seen - terminal.size - 1);
        if (size > 0)
            terminal.size += (size_t)size;
    }
    fail_msg("\"%s\" was never shown", text);
    return 0;
}

/* A key, and what it must lead to. */
static size_t press(size_t from, const char *key, const char *text)
{
    assert_int_equal(write(terminal.master, key, strlen(key)), strlen(key));
    return wait_for(from, text);
}

/* It ends; returns the status. The terminal must be as it was. */
static int end(size_t from)
{
    int status = 0;
    struct termios after;
    (void)wait_for(from, LEAVE);
    assert_int_equal(waitpid(terminal.pid, &status, 0), terminal.pid);
    assert_int_equal(tcgetattr(terminal.slave, &after), 0);
    assert_int_equal(after.c_lflag, terminal.before.c_lflag);
    assert_int_equal(after.c_iflag, terminal.before.c_iflag);
    (void)close(terminal.master);
    (void)close(terminal.slave);
    return status;
}

#define START(...)                                               \
    do {                                                         \
        char *words[] = {__VA_ARGS__};                           \
        start(-1, (int)(sizeof words / sizeof words[0]), words); \
    } while (0)

/* ---- keys ---- */

/* Somebody plays: pauses, steps, kills, brings back, cuts off and heals, changes the speed, and quits. */
static void test_keys_do_what_they_say(void **state)
{
    (void)state;
    START("--nodes", "30", "--seed", "2", "--speed", "5");
    size_t at = wait_for(0, "bruit-sim watch: 30 nodes, loss 0 %, seed 2");
    assert_non_null(strstr(terminal.seen, ENTER));
    at = wait_for(at, "30 run, 0 suspected, 0 held dead");
    at = press(at, " ", "PAUSED");
    at = press(at, "k", "is killed");
    at = wait_for(at, "29 run, 0 suspected");
    at = press(at, "s", "29 run");
    at = press(at, "+", "x10");
    at = press(at, "-", "x5");
    at = press(at, " ", "suspects n");
    at = wait_for(at, "29 run, 0 suspected, 1 held dead");
    at = press(at, "b", "is back");
    at = wait_for(at, "30 run, 0 suspected, 0 held dead");
    at = press(at, "p", "are cut off");
    at = wait_for(at, "which lives");
    at = press(at, "p", "has healed");
    at = press(at, "r", "has a rumour to tell");
    at = wait_for(at, "30 have heard");
    at = press(at, "v", "green: alive to all");
    at = press(at, "q", LEAVE);
    assert_int_equal(end(at - strlen(LEAVE)), 0);
}

/* A screen that is too small for all says so. */
static void test_more_nodes_than_fit_are_said(void **state)
{
    (void)state;
    START("--nodes", "3000", "--speed", "0.1");
    size_t at = wait_for(0, "more nodes than fit here");
    at = press(at, "q", LEAVE);
    assert_int_equal(end(at - strlen(LEAVE)), 0);
}

/* ---- the terminal comes back ---- */

/* Whatever signal ends it: the cursor, the screen and the keyboard are as before. */
static void test_signals_give_the_terminal_back(void **state)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGABRT, SIGBUS};
    (void)state;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        START("--nodes", "10");
        size_t at = wait_for(0, "10 run");
        assert_int_equal(kill(terminal.pid, signals[i]), 0);
        int status = end(at);
        if (signals[i] == SIGINT || signals[i] == SIGTERM)
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) == BR_TOOL_INTERRUPTED);
        else
            assert_true(WIFSIGNALED(status) && WTERMSIG(status) == signals[i]);
    }
}

/*
 * Ctrl-Z: the terminal is given back for the time, and taken again. Like a shell, go on only once it has stopped: it
 * writes LEAVE before, and a SIGCONT in between is lost.
 */
static void test_a_stop_gives_the_terminal_back_for_a_while(void **state)
{
    int status = 0;
    (void)state;
    START("--nodes", "10");
    size_t at = wait_for(0, "10 run");
    assert_int_equal(kill(terminal.pid, SIGTSTP), 0);
    at = wait_for(at, LEAVE);
    assert_int_equal(waitpid(terminal.pid, &status, WUNTRACED), terminal.pid);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(kill(terminal.pid, SIGCONT), 0);
    at = wait_for(at, ENTER);
    at = wait_for(at, "10 run");
    at = press(at, "q", LEAVE);
    assert_int_equal(end(at - strlen(LEAVE)), 0);
}

/* ---- without a terminal ---- */

/* What it writes into a pipe, and how it ends. */
static int piped(int argc, char **argv, char *text, size_t room)
{
    int ends[2], status = 0;
    size_t size = 0;
    ssize_t got;
    assert_int_equal(pipe(ends), 0);
    start(ends[1], argc, argv);
    (void)close(ends[1]);
    while ((got = read(ends[0], text + size, room - 1 - size)) > 0)
        size += (size_t)got;
    text[size] = 0;
    (void)close(ends[0]);
    assert_int_equal(waitpid(terminal.pid, &status, 0), terminal.pid);
    (void)close(terminal.master);
    (void)close(terminal.slave);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static char output[65536];

/* Into a file: a line for each second of the cluster, and not one escape. */
static void test_a_pipe_gets_a_line_a_second(void **state)
{
    char *words[] = {"--nodes", "20", "--for", "5s", "--speed", "100"};
    (void)state;
    assert_int_equal(piped(6, words, output, sizeof output), 0);
    assert_non_null(strstr(output, "seed 1"));
    assert_non_null(strstr(output, "\n5.0 s: 20 run, 0 suspected, 0 held dead"));
    assert_null(strstr(output, "\n6.0 s"));
    assert_null(strchr(output, '\033'));
}

/* A scenario is watched to its end; one that does not exist, or has a mistake, is refused with its name. */
static void test_scenarios_can_be_watched(void **state)
{
    char path[] = "/tmp/bruit-watch-XXXXXX";
    static const char text[] = "nodes 20\nseed 3\nat 2s kill n4\nat 3s expect n4 dead within 20s\n";
    (void)state;
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, text, sizeof text - 1), sizeof text - 1);
    char *words[] = {"--speed", "100", path};
    assert_int_equal(piped(3, words, output, sizeof output), 0);
    assert_non_null(strstr(output, "20 nodes, loss 0 %, seed 3"));
    assert_non_null(strstr(output, "\n20.0 s: 19 run, 0 suspected, 1 held dead"));
    assert_int_equal(write(file, "oops\n", 5), 5);
    assert_int_equal(piped(3, words, output, sizeof output), 1);
    assert_non_null(strstr(output, path));
    (void)close(file);
    (void)unlink(path);
    assert_int_equal(piped(3, words, output, sizeof output), 1);
}

/* Mistakes get a sentence. */
static void test_mistakes_get_a_sentence(void **state)
{
    char *few[] = {"--nodes", "2"}, *typo[] = {"--spee", "2"}, *slow[] = {"--speed", "0"};
    char *many[] = {"a.scn", "b.scn"};
    (void)state;
    assert_int_equal(piped(2, few, output, sizeof output), 1);
    assert_non_null(strstr(output, "give --nodes 3 to 10000"));
    assert_int_equal(piped(2, typo, output, sizeof output), 1);
    assert_non_null(strstr(output, "did you mean --speed?"));
    assert_int_equal(piped(2, slow, output, sizeof output), 1);
    assert_non_null(strstr(output, "0.01 to 100"));
    assert_int_equal(piped(2, many, output, sizeof output), 1);
    assert_non_null(strstr(output, "b.scn"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_do_what_they_say),
        cmocka_unit_test(test_more_nodes_than_fit_are_said),
        cmocka_unit_test(test_signals_give_the_terminal_back),
        cmocka_unit_test(test_a_stop_gives_the_terminal_back_for_a_while),
        cmocka_unit_test(test_a_pipe_gets_a_line_a_second),
        cmocka_unit_test(test_scenarios_can_be_watched),
        cmocka_unit_test(test_mistakes_get_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
