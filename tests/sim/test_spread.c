/*
 * The command `bruit-sim spread`, as somebody types it.
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
#include <unistd.h>

/* What was written to a stream since `capture`. */
struct captured {
    FILE *stream;
    int saved;
    FILE *file;
};

static void capture(struct captured *c, FILE *stream)
{
    (void)fflush(stream);
    c->stream = stream;
    c->file = tmpfile();
    assert_non_null(c->file);
    c->saved = dup(fileno(stream));
    assert_true(dup2(fileno(c->file), fileno(stream)) >= 0);
}

static char *captured(struct captured *c)
{
    (void)fflush(c->stream);
    assert_true(dup2(c->saved, fileno(c->stream)) >= 0);
    (void)close(c->saved);
    long size = ftell(c->file);
    if (size <= 0) {
        (void)fseek(c->file, 0, SEEK_END);
        size = ftell(c->file);
    }
    char *text = calloc(1, (size_t)size + 1);
    assert_non_null(text);
    rewind(c->file);
    assert_int_equal(fread(text, 1, (size_t)size, c->file), size);
    (void)fclose(c->file);
    return text;
}

struct said {
    int code;
    char *out;
    char *err;
};

/* Types a line; its words are separated by blanks. */
static struct said type(const char *line)
{
    char room[512], *words[32], *state = NULL;
    int count = 0;
    struct captured out, err;
    (void)snprintf(room, sizeof room, "%s", line);
    for (char *word = strtok_r(room, " ", &state); word != NULL; word = strtok_r(NULL, " ", &state))
        words[count++] = word;
    capture(&out, stdout);
    capture(&err, stderr);
    struct said said = {.code = br_tool_spread.run(count, words)};
    said.err = captured(&err);
    said.out = captured(&out);
    return said;
}

static void forget(struct said *said)
{
    free(said->out);
    free(said->err);
}

/* The seed and all that was asked stand before the answer, so that a line from a terminal can be repeated. */
static void test_the_configuration_comes_first(void **state)
{
    (void)state;
    struct said said = type("--nodes 100 --trials 10 --seed 77");
    assert_int_equal(said.code, 0);
    const char *seed = strstr(said.out, "seed     77\n");
    const char *model = strstr(said.out, "a model");
    const char *answer = strstr(said.out, "What it took");
    assert_non_null(seed);
    assert_non_null(model);
    assert_non_null(answer);
    assert_true(seed < answer && model < answer);
    assert_string_equal(said.err, "");
    forget(&said);
}

/* The same question again, with other threads, is answered with the same bytes; another seed with others. */
static void test_the_same_question_gets_the_same_bytes(void **state)
{
    (void)state;
    struct said first = type("--nodes 500,1k --fanout 1,2 --loss 10% --trials 50 --threads 1 --json");
    struct said again = type("--nodes 500,1k --fanout 1,2 --loss 10% --trials 50 --threads 3 --json");
    struct said other = type("--nodes 500,1k --fanout 1,2 --loss 10% --trials 50 --seed 2 --json");
    assert_string_equal(first.out, again.out);
    assert_string_not_equal(first.out, other.out);
    forget(&first);
    forget(&again);
    forget(&other);
}

/* Lists make one case for each combination, in the order in which they were given. */
static void test_lists_make_all_combinations(void **state)
{
    (void)state;
    struct said said = type("--push --flood --nodes 50,60 --fanout 2,3 --loss 0,1% --trials 2 --json");
    json_t *root = json_loads(said.out, 0, NULL);
    assert_non_null(root);
    json_t *rows = json_object_get(json_object_get(root, "tables"), "summary");
    assert_int_equal(json_array_size(rows), 16);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(rows, 0), "nodes")), 50);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(rows, 7), "nodes")), 60);
    assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 8), "mode")), "flood");
    json_decref(root);
    forget(&said);
}

/* Every mistake is one sentence that says what to do, and nothing runs. */
static void test_mistakes_get_one_sentence(void **state)
{
    (void)state;
    static const char *const lines[][2] = {
        {"--nodes 1", "give it 2 to"},
        {"--nodes 2G", "give it 2 to"},
        {"--nodes 10 --fanout 10", "smaller than --nodes"},
        {"--fanout 0", "give it 1 to 64"},
        {"--loss 1", "less than 1"},
        {"--dead 100%", "less than 1"},
        {"--variant feedback-conter", "did you mean \"feedback-counter\""},
        {"--variant feedback-coin --push-pull", "choose one of them"},
        {"--variant feedback-coin --fanout 2", "use --fanout 1"},
        {"--interest 3", "choose one with --variant"},
        {"--trials 0.5", "whole number"},
        {"--threads 0", "give it 1 to 64"},
        {"--fan-out 3", "did you mean --fanout"},
        {"extra", "takes nothing else"},
        {"--json --csv", "choose one"},
        {"--engine --pull", "by push"},
        {"--engine --nodes 20k", "2 to 10000"},
        {"--engine --demers", "leave out --engine"},
        {"--in-rounds", "for --engine"},
        {"--flood --self", "leave it out"},
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct said said = type(lines[i][0]);
        print_message("  %s", said.err);
        assert_int_equal(said.code, 1);
        assert_string_equal(said.out, "");
        assert_non_null(strstr(said.err, lines[i][1]));
        assert_ptr_equal(strchr(said.err, '\n'), said.err + strlen(said.err) - 1);
        forget(&said);
    }
}

/* --help is no mistake: it goes to stdout, and shows how to begin. */
static void test_help_has_examples(void **state)
{
    (void)state;
    struct said said = type("--nodes 5 --help");
    assert_int_equal(said.code, 0);
    assert_non_null(strstr(said.out, "\nExamples\n  bruit sim spread --nodes 1M"));
    forget(&said);
}

/* Engines answer under the same roof: their table says who answered. */
static void test_engines_say_that_they_are_engines(void **state)
{
    (void)state;
    struct said said = type("--engine --in-rounds --nodes 50 --trials 2 --json");
    json_t *root = json_loads(said.out, 0, NULL);
    assert_non_null(root);
    json_t *rows = json_object_get(json_object_get(root, "tables"), "summary");
    assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "made_by")), "engine");
    assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 1), "made_by")), "model");
    json_decref(root);
    forget(&said);
}

static void interrupt_soon(int number)
{
    (void)number;
    (void)raise(SIGINT);
}

/* Ctrl-C in a run that would take hours: what was found so far is printed, and the exit code says so. Runs last. */
static void test_an_interrupt_prints_what_was_found(void **state)
{
    (void)state;
    (void)signal(SIGALRM, interrupt_soon);
    (void)alarm(1);
    struct said said = type("--nodes 1000 --trials 100M --json");
    assert_int_equal(said.code, BR_TOOL_INTERRUPTED);
    json_t *root = json_loads(said.out, 0, NULL);
    assert_non_null(root);
    json_t *row = json_array_get(json_object_get(json_object_get(root, "tables"), "summary"), 0);
    assert_true(json_number_value(json_object_get(row, "trials")) > 100);
    assert_true(json_number_value(json_object_get(row, "trials")) < 1e8);
    assert_true(json_number_value(json_object_get(row, "rounds")) > 17);
    json_decref(root);
    forget(&said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_configuration_comes_first),
        cmocka_unit_test(test_the_same_question_gets_the_same_bytes),
        cmocka_unit_test(test_lists_make_all_combinations),
        cmocka_unit_test(test_mistakes_get_one_sentence),
        cmocka_unit_test(test_help_has_examples),
        cmocka_unit_test(test_engines_say_that_they_are_engines),
        cmocka_unit_test(test_an_interrupt_prints_what_was_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
