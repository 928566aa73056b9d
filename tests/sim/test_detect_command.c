/*
 * bruit-sim detect and tune as their users meet them: what is printed where, and what is refused with which sentence.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "sim/tool.h"

#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MAX 16

static char output[1u << 20]; /* what went to stdout, */
static char errors[1u << 16]; /* and to stderr */

static void read_back(FILE *file, char *text, size_t room)
{
    rewind(file);
    text[fread(text, 1, room - 1, file)] = 0;
    (void)fclose(file);
}

/* Runs a command in a process of its own; `kill_after` ms sends it Ctrl-C, 0: not. Returns its exit code. */
static int run(const struct br_tool_command *command, unsigned kill_after, const char *line)
{
    char text[300], *words[WORDS_MAX], *state = NULL;
    int count = 0, status = 0;
    FILE *out = tmpfile(), *err = tmpfile();
    assert_true(out != NULL && err != NULL);
    (void)snprintf(text, sizeof text, "%s", line);
    for (char *word = strtok_r(text, " ", &state); word != NULL; word = strtok_r(NULL, " ", &state))
        words[count++] = word;
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(fileno(out), 1);
        (void)dup2(fileno(err), 2);
        int code = command->run(count, words);
        (void)fflush(NULL);
        _exit(code);
    }
    if (kill_after > 0) {
        (void)usleep(kill_after * 1000);
        (void)kill(pid, SIGINT);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    read_back(out, output, sizeof output);
    read_back(err, errors, sizeof errors);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The configuration comes first, seed included; then a line for each of the six, twice. */
static void test_detect_tells_what_it_asked(void **state)
{
    (void)state;
    assert_int_equal(run(&br_tool_detect, 0, "--nodes 10 --trials 2 --watch 2s --loss 1% --seed 77"), 0);
    const char *seed = strstr(output, "seed       77"), *table = strstr(output, "A crash is known after");
    assert_true(seed != NULL && table != NULL && seed < table);
    static const char *const lines[] = {"SWIM alone",   "SWIM + local health",   "SWIM + dynamic suspicion",
                                        "SWIM + buddy", "all three: memberlist", "bruit"};
    for (size_t i = 0; i < 6; i++) {
        const char *first = strstr(table, lines[i]);
        assert_non_null(first);
        assert_non_null(strstr(first + 1, lines[i]));
    }
    assert_true(errors[0] == 0);
}

/* For machines: one object with two tables of as many rows as were asked for. */
static void test_detect_speaks_json(void **state)
{
    (void)state;
    assert_int_equal(run(&br_tool_detect, 0, "--nodes 10 --trials 2 --watch 2s --only swim,bruit --json"), 0);
    json_error_t error;
    json_t *root = json_loads(output, 0, &error);
    if (root == NULL)
        fail_msg("no JSON: %s", error.text);
    assert_non_null(strstr(output, "\"detection\""));
    assert_non_null(strstr(output, "\"false_verdicts\""));
    assert_non_null(strstr(output, "SWIM alone"));
    assert_null(strstr(output, "SWIM + buddy"));
    json_decref(root);
}

/* Ctrl-C: what was found so far, and the exit code that says so. */
static void test_ctrl_c_tells_what_was_found(void **state)
{
    (void)state;
    assert_int_equal(run(&br_tool_detect, 1500, "--nodes 20 --trials 10000 --watch 1s"), BR_TOOL_INTERRUPTED);
    assert_non_null(strstr(output, "SWIM alone"));
    assert_null(strstr(output, "all three: memberlist  "));
}

/* Mistakes get a sentence that says what to do, on stderr, before anything runs. */
static void test_mistakes_get_a_sentence(void **state)
{
    static const struct {
        bool is_tune;
        const char *line, *sentence;
    } mistakes[] = {
        {false, "--node 5", "did you mean --nodes?"},
        {false, "--only swmi", "did you mean \"swim\"?"},
        {false, "--nodes 2", "give --nodes 3 to 10000"},
        {false, "--nodes 10 --pause 90%", "let fewer suffer"},
        {false, "--pause 10% --pause-for 2m", "--pause-for less than --pause-every"},
        {false, "--json --csv", "choose one"},
        {false, "extra", "\"extra\" is no flag"},
        {false, "--probe-timeout 2s", "below probe_interval"},
        {true, "", "say how soon"},
        {true, "--detect-within 4s --false-deaths 1", "such as 1/month"},
        {true, "--detect-within 4s --false-deaths 0/month", "cannot be proven"},
        {true, "--detect-within 4s --bandwidth fast", "such as 2kB/s"},
        {true, "--detect-within 4s --sure 1", "50% to 99%"},
        {true, "--detect-within 4s --loss 60%", "0 to 30%"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        assert_int_equal(run(mistakes[i].is_tune ? &br_tool_tune : &br_tool_detect, 0, mistakes[i].line), 1);
        if (strstr(errors, mistakes[i].sentence) == NULL)
            fail_msg("\"%s\" was answered with: %s", mistakes[i].line, errors);
        assert_true(output[0] == 0);
    }
}

/* The default is good enough for a small cluster with time: tune says so, and which profile it is. */
static void test_tune_leaves_what_will_do(void **state)
{
    (void)state;
    assert_int_equal(run(&br_tool_tune, 0, "--detect-within 20s --nodes 30"), 0);
    assert_non_null(strstr(output, "bruit agent -profile lan"));
    assert_non_null(strstr(output, "crashes in time"));
    assert_non_null(strstr(output, "seed"));
}

/* Faster than the default: another interval, and the proof. */
static void test_tune_finds_a_faster_one(void **state)
{
    (void)state;
    assert_int_equal(run(&br_tool_tune, 0, "--detect-within 3s --nodes 30 --bandwidth 2kB/s"), 0);
    assert_null(strstr(output, "probe_interval      1s "));
    assert_non_null(strstr(output, "What the simulated clusters did"));
    assert_non_null(strstr(output, "struct bruit_config"));
}

/* A second for 500 bytes: both goals are named, and what could be had instead. */
static void test_tune_names_the_goals_that_fight(void **state)
{
    (void)state;
    assert_int_equal(run(&br_tool_tune, 0, "--detect-within 1s --nodes 1000 --bandwidth 500B/s"), 1);
    assert_non_null(strstr(errors, "--detect-within 1s fights with --bandwidth"));
    assert_non_null(strstr(errors, "Allow --bandwidth"));
    assert_non_null(strstr(output, "cannot be had together"));
    assert_int_equal(run(&br_tool_tune, 0, "--detect-within 1s --latency 100ms"), 1);
    assert_non_null(strstr(errors, "fights with the network"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_detect_tells_what_it_asked),
        cmocka_unit_test(test_detect_speaks_json),
        cmocka_unit_test(test_ctrl_c_tells_what_was_found),
        cmocka_unit_test(test_mistakes_get_a_sentence),
        cmocka_unit_test(test_tune_leaves_what_will_do),
        cmocka_unit_test(test_tune_finds_a_faster_one),
        cmocka_unit_test(test_tune_names_the_goals_that_fight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
