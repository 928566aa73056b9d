/*
 * bruit owner, against an agent that a thread plays: what is printed, that many keys are asked for in several requests,
 * what is said of an agent of Serf's, and of answers that are none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/played.h"

#define RUN(asks, ...) \
    run(&br_command_owner, asks, sizeof((char *[]){__VA_ARGS__}) / sizeof(char *), (char *[]){__VA_ARGS__})

/* ------------------------------------------------------------------ answers */

static void text(const char *value)
{
    br_rpc_write_text(&server.replies, br_bytes_string(value));
}

static void pair(const char *key, const char *value)
{
    text(key);
    text(value);
}

static void begin(const char *list, size_t count)
{
    reply("");
    br_rpc_write_map(&server.replies, 2);
    text(list);
    br_rpc_write_array(&server.replies, count);
}

static void owner(const char *name, const char *zone)
{
    br_rpc_write_map(&server.replies, 3);
    pair("Addr", "127.0.0.1:7946");
    pair("Name", name);
    pair("Zone", zone);
}

/* `a` in one zone and `b` in another. */
static void two_owners(void)
{
    br_rpc_write_array(&server.replies, 2);
    owner("a", "z1");
    owner("b", "");
}

static void share(const char *name, double part, uint32_t weight)
{
    br_rpc_write_map(&server.replies, 5);
    pair("Addr", "127.0.0.1:7946");
    pair("Name", name);
    text("Share");
    struct br_writer w = br_blob_writer(&server.replies, 9);
    br_mp_write_float(&w, part);
    br_blob_written(&server.replies, &w);
    text("Weight");
    br_rpc_write_number(&server.replies, weight);
    pair("Zone", "z1");
}

static void end(void)
{
    pair("View", "0123456789abcdef");
}

static void answer_keys(size_t count)
{
    begin("Owners", count);
    for (size_t i = 0; i < count; i++)
        two_owners();
    end();
}

/* ------------------------------------------------------------------ tests */

static void test_owners_are_printed_a_line_each(void **state)
{
    (void)state;
    answer_keys(2);
    assert_int_equal(RUN(true, "-n=2", "user:1", "user:17"), 0);
    assert_string_equal(output, "user:1   a  127.0.0.1:7946  zone=z1\n"
                                "user:1   b  127.0.0.1:7946  zone=\n"
                                "user:17  a  127.0.0.1:7946  zone=z1\n"
                                "user:17  b  127.0.0.1:7946  zone=\n");
}

static void test_owners_in_json_come_with_the_view(void **state)
{
    (void)state;
    answer_keys(1);
    assert_int_equal(RUN(true, "-format=json", "-n", "2", "k"), 0);
    assert_string_equal(output, "{\n  \"keys\": [\n    {\n      \"key\": \"k\",\n"
                                "      \"view\": \"0123456789abcdef\",\n      \"owners\": [\n"
                                "        {\n          \"name\": \"a\",\n          \"addr\": \"127.0.0.1:7946\",\n"
                                "          \"zone\": \"z1\"\n        },\n"
                                "        {\n          \"name\": \"b\",\n          \"addr\": \"127.0.0.1:7946\",\n"
                                "          \"zone\": \"\"\n        }\n      ]\n    }\n  ]\n}\n");
}

/* Nobody owns anything: all weights are 0. */
static void test_no_owner_is_no_error(void **state)
{
    (void)state;
    begin("Owners", 1);
    br_rpc_write_array(&server.replies, 0);
    end();
    assert_int_equal(RUN(true, "k"), 0);
    assert_string_equal(output, "");
}

/* 600 keys go out as 256, 256 and 88, and come back as one list. */
static void test_many_keys_are_asked_for_in_several_requests(void **state)
{
    static char names[600][16];
    char *words[600];
    size_t lines = 0, requests = 0;
    (void)state;
    for (int i = 0; i < 600; i++) {
        snprintf(names[i], sizeof names[i], "%d", i);
        words[i] = names[i];
    }
    answer_keys(256);
    answer_keys(256);
    answer_keys(88);
    assert_int_equal(run(&br_command_owner, true, 600, words), 0);
    for (const char *at = output; (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    for (size_t i = 0; i + 5 < server.got.size; i++)
        requests += memcmp(server.got.data + i, "owner", 5) == 0;
    assert_int_equal(lines, 1200);
    assert_int_equal(requests, 3);
    assert_non_null(strstr(output, "\n599  b  127.0.0.1:7946  zone=\n"));
}

static void test_shares_are_sorted_by_name(void **state)
{
    (void)state;
    begin("Members", 2);
    share("b", 0.25, 1);
    share("a", 0.75, 3);
    end();
    assert_int_equal(RUN(true, "-share"), 0);
    assert_string_equal(output, "a  127.0.0.1:7946  75.000 %  weight=3  zone=z1\n"
                                "b  127.0.0.1:7946  25.000 %  weight=1  zone=z1\n");
}

/* The words of Serf's own agent, after which it hangs up. */
static void test_agent_of_serfs_is_told_apart(void **state)
{
    (void)state;
    reply("Unsupported command");
    assert_int_equal(RUN(true, "k"), 1);
    assert_string_equal(output, "Error asking for owners: this agent is Serf's, or a bruit older than this one, and "
                                "has no \"owner\": with -rpc-addr ask an agent that has\n");
}

static void test_agent_of_serfs_is_told_apart_in_json(void **state)
{
    (void)state;
    reply("Unsupported command");
    assert_int_equal(RUN(true, "-share", "-format=json"), 1);
    assert_memory_equal(output, "{\"error\":\"Error asking for owners: this agent is Serf's", 55);
}

/* An agent that answers what was not asked: a sentence and exit code 1, whatever it is. */
static void test_answers_that_are_none_are_refused(void **state)
{
    for (int kind = 0; kind < 6; kind++) {
        if (kind > 0)
            setup(state);
        if (kind == 0) { /* another list */
            begin("Members", 1);
            two_owners();
            end();
        } else if (kind == 1) { /* one key too few */
            answer_keys(1);
        } else if (kind == 2) { /* no view */
            reply("");
            br_rpc_write_map(&server.replies, 1);
            text("Owners");
            br_rpc_write_array(&server.replies, 2);
            two_owners();
            two_owners();
        } else if (kind == 3) { /* an owner that is none */
            begin("Owners", 2);
            text("a");
            text("b");
            end();
        } else if (kind == 4) { /* not even a map */
            reply("");
            text("hello");
        } else { /* nothing */
            reply("");
        }
        assert_int_equal(RUN(true, "k", "l"), 1);
        assert_memory_equal(output, "Error asking for owners: ", 25);
        if (kind < 5) {
            assert_non_null(strstr(output, "the agent sent something that is no answer\n"));
            teardown(state);
        }
    }
}

static void test_misuse_is_told_before_anybody_is_asked(void **state)
{
    (void)state;
    assert_int_equal(RUN(false, "-n=0", "k"), 1);
    assert_string_equal(output, "Invalid number of owners: write -n=1 to -n=32\n");
    assert_int_equal(RUN(false, "-n=33", "k"), 1);
    assert_int_equal(RUN(false, "-share", "k"), 1);
    assert_non_null(strstr(output, "-share takes no keys.\n\nUsage: bruit owner"));
    assert_int_equal(RUN(false, "-n=2"), 1);
    assert_non_null(strstr(output, "At least one key must be specified, or -share.\n\nUsage: bruit owner"));
    assert_int_equal(RUN(false, "-format=xml", "k"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_owners_are_printed_a_line_each, setup, teardown),
        cmocka_unit_test_setup_teardown(test_owners_in_json_come_with_the_view, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_owner_is_no_error, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_keys_are_asked_for_in_several_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shares_are_sorted_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_of_serfs_is_told_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_of_serfs_is_told_apart_in_json, setup, teardown),
        cmocka_unit_test_setup_teardown(test_answers_that_are_none_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_misuse_is_told_before_anybody_is_asked, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
