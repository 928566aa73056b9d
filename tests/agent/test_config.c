/*
 * Configuration files and how sources are merged (docs/wire/serf-agent.md sections 3.1 to 3.3). Whole recorded cases
 * are replayed by config_cases.py; here is what those do not show.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char why[BR_WHY_MAX];
static char folder[64];
static struct br_options options;

#define WORDS(...) ((char *[]){__VA_ARGS__, NULL})

static const char *in_folder(const char *name)
{
    static char path[4][128];
    static unsigned turn;
    char *out = path[turn++ % 4];
    (void)snprintf(out, sizeof path[0], "%s/%s", folder, name);
    return out;
}

static char *flag_for(const char *name)
{
    static char flag[4][160];
    static unsigned turn;
    char *out = flag[turn++ % 4];
    (void)snprintf(out, sizeof flag[0], "-config-file=%s", in_folder(name));
    return out;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(in_folder(name), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static void ignore_note(void *context, const char *sentence)
{
    (void)context;
    (void)sentence;
}

static int read_words(char **words)
{
    int count = 0;
    while (words[count] != NULL)
        count++;
    br_options_release(&options);
    why[0] = 0;
    assert_int_equal(br_options_parse(&options, count, words, why), BR_FLAGS_OK);
    return br_options_read(&options, ignore_note, NULL, why);
}

static int setup(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/bruit-config-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int teardown(void **state)
{
    char command[128];
    (void)state;
    br_options_release(&options);
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static const char *refusal_of(const char *text)
{
    write_file("bad.json", text);
    assert_true(read_words(WORDS(flag_for("bad.json"))) < 0);
    const char *reason = strstr(why, "': ");
    assert_non_null(reason);
    return reason + 3;
}

/* Each kind of setting, from a file, on top of another file, under a flag. */
/* conformance: agent 2 */
static void test_later_sources_win_by_the_rule_of_their_kind(void **state)
{
    (void)state;
    write_file("a.json",
               "{\"node_name\": \"a\", \"profile\": \"wan\", \"protocol\": 4, \"retry_interval\": \"2m\","
               "\"rejoin_after_leave\": true, \"tags\": {\"k\": \"a\", \"x\": \"1\"},"
               "\"start_join\": [\"one\"], \"retry_max_attempts\": 7, \"query_size_limit\": 99}");
    write_file("b.json",
               "{\"node_name\": \"\", \"profile\": \"local\", \"protocol\": 0, \"retry_interval\": \"0\","
               "\"rejoin_after_leave\": false, \"tags\": {\"k\": \"b\"},"
               "\"start_join\": [\"two\"], \"retry_max_attempts\": 0, \"query_size_limit\": -5}");
    assert_int_equal(read_words(WORDS(flag_for("a.json"), flag_for("b.json"), "-join=three", "-tag=k=c",
                                      "-rejoin=false", "-protocol=0")),
                     0);
    assert_string_equal(options.node, "a");
    assert_string_equal(options.profile, "local");
    assert_int_equal(options.protocol, 4);
    assert_int_equal(options.retry_interval, 120 * BRUIT_SECOND);
    assert_true(options.rejoin);
    assert_int_equal(options.retry_max, 7);
    assert_int_equal(options.query_size_limit, -5);
    assert_int_equal(options.join.count, 3);
    assert_string_equal(options.join.items[0], "one");
    assert_string_equal(options.join.items[2], "three");
    assert_int_equal(br_options_encode_tags(&options, why), 0);
    struct br_tag_set set;
    br_tag_set_read(&set, br_bytes(options.meta, options.meta_size));
    assert_int_equal(set.count, 2);
    assert_true(br_bytes_equal(br_tag_set_get(&set, br_bytes_text("k")), br_bytes_text("c")));
}

/* A folder with ten.json, nine.JSON, a subfolder called x.json and others: names ending in .json, by byte order. */
/* conformance: agent 2 */
static void test_a_folder_gives_its_json_files_by_name(void **state)
{
    (void)state;
    assert_int_equal(mkdir(in_folder("d"), 0755), 0);
    assert_int_equal(mkdir(in_folder("d/x.json"), 0755), 0);
    write_file("d/b.json", "{\"start_join\": [\"b\"]}");
    write_file("d/a.json", "{\"start_join\": [\"a\"]}");
    write_file("d/Z.json", "{\"start_join\": [\"Z\"]}");
    write_file("d/c.JSON", "nonsense");
    write_file("d/x.json/deep.json", "nonsense");
    assert_int_equal(read_words(WORDS(flag_for("d"))), 0);
    assert_int_equal(options.join.count, 3);
    assert_string_equal(options.join.items[0], "Z");
    assert_string_equal(options.join.items[1], "a");
    assert_string_equal(options.join.items[2], "b");
}

/* Keys that do nothing in Serf are taken, of the right type only. */
/* conformance: agent 3 */
static void test_keys_without_effect_are_taken(void **state)
{
    (void)state;
    write_file("a.json",
               "{\"enable_compression\": false, \"disable_coordinates\": true, \"validate_node_names\": true,"
               "\"mdns\": {\"disable_ipv4\": true}, \"MsgpackUseNewTimeFormat\": true}");
    assert_int_equal(read_words(WORDS(flag_for("a.json"))), 0);
    assert_false(options.disable_compression);
    assert_string_equal(
        refusal_of("{\"enable_compression\": 1}"),
        "1 error(s) decoding:\n\n* 'enable_compression' expected type 'bool', got unconvertible type "
        "'float64', value: '1'");
}

/* What a file may not say, each in the words that people search for. */
/* conformance: agent 4 */
static void test_mistakes_of_a_file_are_told_in_gos_words(void **state)
{
    (void)state;
    assert_string_equal(refusal_of(""), "EOF");
    assert_string_equal(refusal_of(" \n"), "EOF");
    assert_string_equal(refusal_of("\"text\""), "'' expected a map, got 'string'");
    assert_string_equal(refusal_of("{\"mdns\": {\"x\": 1}}"),
                        "1 error(s) decoding:\n\n* 'mdns' has invalid keys: x: most keys are called like the "
                        "flags of \"bruit agent -help\", with _ for -");
    assert_string_equal(refusal_of("{\"nod_name\": \"a\"}"),
                        "1 error(s) decoding:\n\n* '' has invalid keys: nod_name: did you mean 'node_name'?");
    assert_string_equal(
        refusal_of("{\"mdns\": {\"interfac\": 1}}"),
        "1 error(s) decoding:\n\n* 'mdns' has invalid keys: interfac: did you mean 'mdns.interface'?");
    assert_string_equal(refusal_of("{\"tags\": [\"a\"], \"z\": 0, \"start_join\": {}}"),
                        "3 error(s) decoding:\n\n* '' has invalid keys: z\n"
                        "* 'start_join': source data must be an array or slice, got map\n"
                        "* 'tags' expected a map, got 'slice': most keys are called like the flags of "
                        "\"bruit agent -help\", with _ for -");
    assert_string_equal(
        refusal_of("{\"protocol\": 1e300}"),
        "1 error(s) decoding:\n\n* 'protocol' expected type 'int', got unconvertible type 'float64', "
        "value: '1e+300'");
    assert_string_equal(refusal_of("{\"tombstone_timeout\": \"1d\"}"),
                        "time: unknown unit \"d\" in duration \"1d\"");
    assert_memory_equal(refusal_of("{\"node_name\": \"x\""), "unexpected EOF", 14);
    assert_int_equal(read_words(WORDS(flag_for("none.json"))), BRUIT_ENOENT);
    assert_non_null(strstr(why, "/none.json: no such file or directory"));
}

/* Hostile files end in a sentence: thousands of mistakes, deep nesting, no end, a megabyte of name. */
static void test_hostile_files_are_bounded(void **state)
{
    (void)state;
    (void)refusal_of("{\"\\u0000\": 1}");
    (void)refusal_of("\xff\xfe{");
    size_t size = 1 << 20;
    char *big = malloc(size + 16);
    memset(big, '[', size);
    big[size] = 0;
    (void)refusal_of(big);
    memset(big, 'k', size);
    memcpy(big, "{\"", 2);
    memcpy(big + size - 1, "\":1}", 5);
    (void)refusal_of(big);
    free(big);
    write_file("null.json", "null garbage");
    assert_int_equal(read_words(WORDS(flag_for("null.json"))), 0);
    assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
    assert_true(read_words(WORDS(flag_for("pipe"))) < 0); /* and without waiting for a writer */
}

/* `-config-file <(command)`: a pipe, whose writer takes a moment. */
static void test_a_pipe_is_read_as_a_file(void **state)
{
    int ends[2];
    char flag[64];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    pid_t writer = fork();
    if (writer == 0) {
        (void)usleep(50000);
        (void)!write(ends[1], "{\"node_name\": \"piped\"}", 22);
        _exit(0);
    }
    (void)close(ends[1]);
    (void)snprintf(flag, sizeof flag, "-config-file=/dev/fd/%d", ends[0]);
    assert_int_equal(read_words(WORDS(flag)), 0);
    assert_string_equal(options.node, "piped");
    (void)close(ends[0]);
    assert_int_equal(waitpid(writer, NULL, 0), writer);
}

/* The grammar of handlers: filters, names with colons, and the first '=' that ends the filters. */
/* conformance: agent 10 */
static void test_handlers_are_written_in_serfs_grammar(void **state)
{
    struct br_scripts scripts = {.items = NULL};
    (void)state;
    assert_int_equal(br_scripts_add(&scripts, "all.sh", why), 0);
    assert_int_equal(br_scripts_add(&scripts, "=also-all.sh", why), 0);
    assert_int_equal(br_scripts_add(&scripts, "*=echo a=b", why), 0);
    assert_int_equal(br_scripts_add(&scripts, "member-join,user:a:b,query:=two.sh", why), 0);
    assert_int_equal(scripts.count, 6);
    assert_string_equal(scripts.items[2].command, "echo a=b");
    assert_true(br_script_wants(&scripts.items[0], br_bytes_text("member-reap"), br_bytes_text("")));
    assert_true(br_script_wants(&scripts.items[1], br_bytes_text("query"), br_bytes_text("x")));
    assert_true(br_script_wants(&scripts.items[3], br_bytes_text("member-join"), br_bytes_text("")));
    assert_false(br_script_wants(&scripts.items[3], br_bytes_text("member-leave"), br_bytes_text("")));
    assert_true(br_script_wants(&scripts.items[4], br_bytes_text("user"), br_bytes_text("a:b")));
    assert_false(br_script_wants(&scripts.items[4], br_bytes_text("user"), br_bytes_text("a")));
    assert_true(br_script_wants(&scripts.items[5], br_bytes_text("query"), br_bytes_text("anything")));
    br_scripts_release(&scripts);
    assert_int_equal(br_scripts_add(&scripts, "echo a=b", why), BRUIT_EINVAL);
    assert_string_equal(why, "Invalid event script: Event 'echo a' invoking 'b': the event is one of member-join, "
                             "member-leave, member-failed, member-update, member-reap, user, user:NAME, query, "
                             "query:NAME and *");
    assert_int_equal(br_scripts_add(&scripts, "user:x, query=s", why), BRUIT_EINVAL); /* no trimming */
    assert_non_null(strstr(why, "Invalid event script: Event ' query' invoking 's': "));
    assert_int_equal(br_scripts_add(&scripts, "member-join,=s", why), BRUIT_EINVAL);
    assert_int_equal(br_scripts_add(&scripts, "users:x=s", why), BRUIT_EINVAL);
    br_scripts_release(&scripts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_later_sources_win_by_the_rule_of_their_kind),
        cmocka_unit_test(test_a_folder_gives_its_json_files_by_name),
        cmocka_unit_test(test_keys_without_effect_are_taken),
        cmocka_unit_test(test_mistakes_of_a_file_are_told_in_gos_words),
        cmocka_unit_test(test_hostile_files_are_bounded),
        cmocka_unit_test(test_a_pipe_is_read_as_a_file),
        cmocka_unit_test(test_handlers_are_written_in_serfs_grammar),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
