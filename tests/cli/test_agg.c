/*
 * bruit agg, against an agent that a thread plays: what is printed, and what is said of words that are wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/played.h"

#define RUN(asks, ...) \
    run(&br_command_agg, asks, sizeof((char *[]){__VA_ARGS__}) / sizeof(char *), (char *[]){__VA_ARGS__})

/* ------------------------------------------------------------------ answers */

static void text(const char *key, const char *value)
{
    br_rpc_write_text(&server.replies, br_bytes_string(key));
    br_rpc_write_text(&server.replies, br_bytes_string(value));
}

static void number(const char *key, uint64_t value)
{
    br_rpc_write_text(&server.replies, br_bytes_string(key));
    br_rpc_write_number(&server.replies, value);
}

static void real(const char *key, double value)
{
    br_rpc_write_text(&server.replies, br_bytes_string(key));
    struct br_writer w = br_blob_writer(&server.replies, 9);
    br_mp_write_float(&w, value);
    br_blob_written(&server.replies, &w);
}

static void flag(const char *key, bool value)
{
    br_rpc_write_text(&server.replies, br_bytes_string(key));
    struct br_writer w = br_blob_writer(&server.replies, 1);
    br_mp_write_bool(&w, value);
    br_blob_written(&server.replies, &w);
}

static void answer(size_t pairs)
{
    reply("");
    br_rpc_write_map(&server.replies, pairs);
    number("Age", 1500000000);
    real("Error", 0.25);
    flag("Exact", false);
    number("Members", 7);
    number("Nodes", 5);
    real("Value", 0.1);
}

static void item(const char *value, double count, double error)
{
    br_rpc_write_map(&server.replies, 5);
    real("Count", count);
    real("Error", error);
    text("Node", "");
    real("Number", 0);
    text("Text", value);
}

/* ------------------------------------------------------------------ tests */

static void test_a_figure_is_one_line(void **state)
{
    (void)state;
    answer(6);
    assert_int_equal(RUN(true, "mean", "load"), 0);
    assert_string_equal(output, "0.1  error=0.25  nodes=5  members=7  age=1.5s  estimate\n");
    assert_non_null(memmem(server.got.data, server.got.size, "agg-ask", 7));
    assert_non_null(memmem(server.got.data, server.got.size, "mean", 4));
}

static void test_a_figure_in_json_reads_back_as_it_was(void **state)
{
    (void)state;
    answer(6);
    assert_int_equal(RUN(true, "quantile", "-format=json", "load", "0.9"), 0);
    assert_string_equal(output, "{\n  \"value\": 0.1,\n  \"error\": 0.25,\n  \"nodes\": 5,\n  \"members\": 7,\n"
                                "  \"age_seconds\": 1.5,\n  \"exact\": false\n}\n");
}

static void test_a_top_list_is_a_line_each(void **state)
{
    (void)state;
    answer(7);
    br_rpc_write_text(&server.replies, br_bytes_text("Items"));
    br_rpc_write_array(&server.replies, 2);
    item("1.2.3", 4, 0.5);
    item("1.2", 1, 0);
    assert_int_equal(RUN(true, "top", "-n=5", "version"), 0);
    assert_string_equal(output, "1.2.3  4  error=0.5\n1.2    1\n");
}

static void views(uint32_t agreeing)
{
    reply("");
    br_rpc_write_map(&server.replies, 6);
    number("Agreeing", agreeing);
    number("Answered", 2);
    number("Asked", 3);
    number("Different", 1);
    br_rpc_write_text(&server.replies, br_bytes_text("Others"));
    br_rpc_write_array(&server.replies, 1);
    br_rpc_write_map(&server.replies, 3);
    number("Alive", 0);
    text("Node", "c");
    text("View", "");
    text("View", "0123456789abcdef");
}

/* One of three does not answer: that is no agreement, and the exit code says so. */
static void test_checksum_fails_when_not_all_agree(void **state)
{
    (void)state;
    views(2);
    assert_int_equal(RUN(true, "checksum"), 1);
    assert_string_equal(output, "0123456789abcdef  agreeing=2  answered=2  asked=3  different=1\n"
                                "c                 no answer\n");
}

/* What looks like a number is one, unless it is to be a text; what is published needs no answer but the header. */
static void test_values_are_numbers_or_texts(void **state)
{
    (void)state;
    reply("");
    assert_int_equal(RUN(true, "publish", "load", "-0.5"), 0);
    assert_string_equal(output, "");
    assert_non_null(memmem(server.got.data, server.got.size, "Number", 6));
    teardown(state);
    setup(state);
    reply("");
    assert_int_equal(RUN(true, "publish", "-text", "version", "12"), 0);
    assert_non_null(memmem(server.got.data, server.got.size, "Text", 4));
    assert_null(memmem(server.got.data, server.got.size, "Number", 6));
}

static void test_an_agent_of_serfs_is_told_apart(void **state)
{
    (void)state;
    reply("Unsupported command");
    assert_int_equal(RUN(true, "count", "load"), 1);
    assert_non_null(strstr(output, "this agent is Serf's, or a bruit older than this one"));
}

static void test_wrong_words_are_told(void **state)
{
    (void)state;
    assert_int_equal(run(&br_command_agg, false, 0, NULL), 1);
    assert_non_null(strstr(output, "It takes a word that says what to do."));
    assert_int_equal(RUN(false, "median", "load"), 1);
    assert_non_null(strstr(output, "There is no such word of bruit agg."));
    assert_int_equal(RUN(false, "mean"), 1);
    assert_non_null(strstr(output, "Too few command line arguments."));
    assert_int_equal(RUN(false, "size", "load"), 1);
    assert_non_null(strstr(output, "Too many command line arguments."));
    assert_int_equal(RUN(false, "quantile", "load", "1.5"), 1);
    assert_string_equal(output, "Invalid quantile: write a number from 0 to 1, such as 0.99\n");
    assert_int_equal(RUN(false, "top", "-n=0", "load"), 1);
    assert_string_equal(output, "Invalid number of lines: write -n=1 to -n=1000\n");
}

static void test_answers_that_are_none_are_told(void **state)
{
    static char *const words[][3] = {
        {"mean", "x"}, {"top", "x"}, {"list"}, {"size"}, {"checksum"},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        int count = words[i][1] == NULL ? 1 : 2;
        reply("");
        br_rpc_write_number(&server.replies, 5);
        assert_int_equal(run(&br_command_agg, true, count, (char **)(uintptr_t)words[i]), 1);
        assert_string_equal(output,
                            "Error asking for aggregates: the agent sent something that is no answer\n");
        teardown(state);
        setup(state);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_figure_is_one_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_figure_in_json_reads_back_as_it_was, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_top_list_is_a_line_each, setup, teardown),
        cmocka_unit_test_setup_teardown(test_checksum_fails_when_not_all_agree, setup, teardown),
        cmocka_unit_test_setup_teardown(test_values_are_numbers_or_texts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_agent_of_serfs_is_told_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_words_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_answers_that_are_none_are_told, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
