/*
 * The snapshot file: what real agents wrote is read as they read it, what happens is written as they write it, and
 * nothing that can become of a file does harm (docs/wire/serf.md section 12).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/blob.h"
#include "agent/snapshot.h"
#include "codec/addr.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], path[128], why[BR_WHY_MAX];
static struct br_log log_;
static char logged[8192];

static void on_line(void *context, const struct br_log_line *line)
{
    (void)context;
    strncat(logged, line->text, line->size);
    strcat(logged, "\n");
}

static int setup(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/bruit-snapshot-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return 1;
    (void)snprintf(path, sizeof path, "%s/snap", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(folder);
}

static int setup_test(void **state)
{
    (void)state;
    br_log_init(&log_, -1, BRUIT_TRACE_OFF);
    log_.listener = on_line;
    logged[0] = 0;
    return 0;
}

static int teardown_test(void **state)
{
    (void)state;
    br_log_fini(&log_);
    (void)unlink(path);
    return 0;
}

static void write_bytes(const char *text, size_t size)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static char *text_of_file(void)
{
    FILE *file = fopen(path, "r");
    char *text = calloc(1, 1 << 20);
    assert_non_null(file);
    text[fread(text, 1, (1 << 20) - 1, file)] = 0;
    assert_int_equal(fclose(file), 0);
    return text;
}

static struct br_snapshot *open_it(bool rejoin)
{
    struct br_snapshot *s = NULL;
    assert_int_equal(br_snapshot_open(&s, path, rejoin, &log_, why), 0);
    return s;
}

static void alive(struct br_snapshot *s, const char *name, const char *ip, bruit_time now)
{
    struct bruit_addr addr;
    assert_int_equal(br_addr_parse_ip(&addr, ip), 0);
    addr.port = 7946;
    br_snapshot_alive(s, br_bytes_string(name), &addr, now);
}

static bool knows(const struct br_snapshot *s, const char *name)
{
    for (size_t i = 0; i < br_snapshot_count(s); i++)
        if (br_bytes_equal(br_snapshot_name(s, i), br_bytes_string(name)))
            return true;
    return false;
}

/* ------------------------------------------------------------------ recorded cases */

/* What a recorded agent went through: the steps that are not told by the files themselves. */
struct life {
    const char *name;
    bool met_peer;
    uint64_t clock_before_leave, clock_after_leave; /* 0: it did not leave */
    struct br_snapshot_clocks restored;
    const char *known; /* whom it tries to join, or NULL */
};

static const struct life lives[] = {
    {"snapshot-after-leave-no-rejoin", false, 0, 0, {41, 0, 0}, NULL},
    {"snapshot-after-leave-rejoin", true, 43, 44, {41, 3, 2}, "peer"},
    {"snapshot-crlf", false, 0, 0, {0, 0, 0}, "peer"},
    {"snapshot-fresh-kill", false, 0, 0, {0, 0, 0}, NULL},
    {"snapshot-int", true, 46, 47, {5, 0, 0}, "peer"},
    {"snapshot-rejoin-then-leave", true, 40, 41, {40, 0, 0}, "peer"},
    {"snapshot-rejoin", true, 0, 0, {40, 7, 9}, "peer"},
    {"snapshot-unreachable", false, 0, 0, {5, 0, 0}, "gone"},
    {"snapshot-weird-lines", true, 0, 0, {12, 0, 0}, "peer"},
};

static json_t *load_case(const char *name)
{
    char file[512];
    (void)snprintf(file, sizeof file, "%s/serf/snapshot/%s.json", BRUIT_TEST_VECTORS, name);
    json_t *root = json_load_file(file, 0, NULL);
    assert_non_null(root);
    return root;
}

static const char *text_in(const json_t *root, const char *key)
{
    return json_string_value(json_object_get(root, key));
}

static bool is_rejoin(const json_t *root)
{
    return json_array_size(json_object_get(root, "args")) > 0;
}

/* Lines that the file itself caused; the others are about joining, which is not this part's. */
static void expect_logged(const json_t *root)
{
    size_t i;
    json_t *line;
    json_array_foreach(json_object_get(root, "log"), i, line)
    {
        const char *text = json_string_value(line);
        if (strstr(text, "convert") != NULL || strstr(text, "parse address") != NULL ||
            strstr(text, "Unrecognized") != NULL || strstr(text, "Ignoring") != NULL)
            if (strstr(logged, strstr(text, "serf: ")) == NULL &&
                !(strstr(text, "\\r") != NULL && strstr(logged, "\"5\\r\": invalid syntax") != NULL))
                fail_msg("not logged: %s, but:\n%s", text, logged);
    }
}

/*
 * What is in the file afterwards. The real agent glued its first line to one that was cut short; ours takes that one
 * away.
 * Carriage returns got lost when the file was recorded.
 */
static char *expected_file(const json_t *root)
{
    const char *before = text_in(root, "file_before_start"), *after = text_in(root, "file_after_stop");
    size_t size = strlen(before);
    char *out = calloc(1, size + strlen(after) + 2);
    for (size_t i = 0; i < size; i++)
        if (before[i] != '\r')
            assert_int_equal(before[i], *after++);
    while (size > 0 && before[size - 1] != '\n')
        size--;
    (void)sprintf(out, "%.*s%s", (int)size, before, after);
    return out;
}

static void live(const struct life *life)
{
    json_t *root = load_case(life->name);
    const char *before = text_in(root, "file_before_start");
    bruit_time now = 1000 * BRUIT_SECOND;
    logged[0] = 0;
    write_bytes(before, strlen(before));
    struct br_snapshot *s = open_it(is_rejoin(root));
    struct br_snapshot_clocks clocks = br_snapshot_clocks(s);
    assert_int_equal(clocks.member, life->restored.member);
    assert_int_equal(clocks.event, life->restored.event);
    assert_int_equal(clocks.query, life->restored.query);
    if (life->known == NULL)
        assert_int_equal(br_snapshot_count(s), 0);
    else
        assert_true(knows(s, life->known));
    assert_false(knows(s, "trunc"));
    expect_logged(root);
    alive(s, "s1", "127.0.6.1", now);
    if (life->met_peer)
        alive(s, "peer", "127.0.6.2", now + BRUIT_MILLISECOND);
    if (life->clock_before_leave > 0) {
        br_snapshot_member_clock(s, life->clock_before_leave, now + 2 * BRUIT_MILLISECOND);
        br_snapshot_leave(s, now + BRUIT_SECOND);
        alive(s, "nobody", "127.0.6.9", now + BRUIT_SECOND);
        br_snapshot_member_clock(s, life->clock_after_leave, now + BRUIT_SECOND);
        br_snapshot_close(s);
        s = NULL;
    }
    char *expected = expected_file(root),
         *text = text_of_file(); /* what a kill would leave: nothing more is flushed */
    assert_string_equal(text, expected);
    free(expected);
    free(text);
    br_snapshot_close(s);
    json_decref(root);
}

/* Nine lives of a real agent: read as it read, written as it wrote, to the byte. */
/* conformance: serf 56, 57, 59 */
static void test_recorded_lives_leave_the_same_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lives / sizeof lives[0]; i++)
        live(&lives[i]);
}

/* The tenth: 9,000 query clocks, 160 KB, one member. The first line that is added makes five lines of it. */
/* conformance: serf 56, 58 */
static void test_an_oversized_file_is_written_anew_at_the_first_line(void **state)
{
    struct br_blob text = BR_BLOB_EMPTY;
    struct stat status;
    json_t *root = load_case("snapshot-compact");
    (void)state;
    br_blob_text(&text, "alive: peer 127.0.6.2:7946\n");
    for (int i = 1; text.size < 160 * 1024; i++)
        br_blob_printf(&text, "query-clock: %d\n", i % 9000 == 0 ? 8999 : i % 9000);
    br_blob_text(&text, "query-clock: 8999\n");
    write_bytes((const char *)text.data, text.size);
    br_blob_release(&text);
    struct br_snapshot *s = open_it(false);
    assert_int_equal(br_snapshot_clocks(s).query, 8999);
    alive(s, "s1", "127.0.6.1", BRUIT_SECOND);
    char *after = text_of_file();
    assert_string_equal(after, text_in(root, "file_after_stop"));
    free(after);
    assert_int_equal(stat(path, &status), 0);
    br_snapshot_member_clock(s, 50, 2 * BRUIT_SECOND);
    br_snapshot_close(s);
    after = text_of_file();
    assert_non_null(strstr(after, "query-clock: 8999\nclock: 50\n"));
    free(after);
    json_decref(root);
}

/* ------------------------------------------------------------------ what else may happen */

/*
 * A life of everything is cut at each of its bytes: what was whole is known, and the next line is whole again. The torn
 * line never counts, not in the life after the next either, where half a `leave` would be one.
 */
/* conformance: serf 59 */
static void test_a_file_torn_at_every_byte_does_no_harm(void **state)
{
    static const char whole[] = "alive: a b 10.0.0.1:7946\nclock: 17\nalive: c [::1]:7946\nevent-clock: 9\n"
                                "not-alive: a b\nquery-clock: 20\nleave\nclock: 18\nalive: d 10.0.0.4:7946\n";
    static const size_t known[] = {0, 1, 1, 2, 2, 1, 1, 0, 0, 1};
    (void)state;
    for (size_t cut = 0; cut < sizeof whole; cut++) {
        size_t lines = 0;
        for (size_t i = 0; i < cut; i++)
            lines += whole[i] == '\n';
        write_bytes(whole, cut);
        struct br_snapshot *s = open_it(false);
        assert_int_equal(br_snapshot_clocks(s).member, lines < 2 ? 0 : lines < 7 ? 17 : lines < 8 ? 0 : 18);
        assert_int_equal(br_snapshot_count(s), known[lines]);
        struct br_snapshot_clocks clocks = br_snapshot_clocks(s);
        alive(s, "new", "10.0.0.9", BRUIT_SECOND);
        br_snapshot_close(s);
        s = open_it(false);
        assert_true(knows(s, "new"));
        assert_int_equal(br_snapshot_count(s), known[lines] + 1);
        struct br_snapshot_clocks again = br_snapshot_clocks(s);
        assert_memory_equal(&again, &clocks, sizeof clocks);
        br_snapshot_close(s);
    }
    assert_null(strstr(logged, "Unrecognized snapshot line"));
}

/* A member calls itself "x\nleave": the line it would write for us is not written. */
static void test_a_name_cannot_write_lines(void **state)
{
    (void)state;
    struct br_snapshot *s = open_it(false);
    alive(s, "x\nleave", "10.0.0.1", BRUIT_SECOND);
    br_snapshot_not_alive(s, br_bytes_text("y\nleave"), BRUIT_SECOND);
    alive(s, "name with blanks ", "10.0.0.2", BRUIT_SECOND);
    br_snapshot_close(s);
    s = open_it(false);
    assert_int_equal(br_snapshot_count(s), 1);
    assert_true(knows(s, "name with blanks "));
    assert_string_equal(br_snapshot_addr(s, 0), "10.0.0.2:7946");
    br_snapshot_close(s);
}

/* Lines wait half a second at most when somebody flushes, and go out with the next line else. */
static void test_lines_wait_for_half_a_second(void **state)
{
    char *text;
    (void)state;
    struct br_snapshot *s = open_it(false);
    alive(s, "a", "10.0.0.1", BRUIT_SECOND);
    br_snapshot_event_clock(s, 7, BRUIT_SECOND + 500 * BRUIT_MILLISECOND);
    text = text_of_file();
    assert_string_equal(text, "alive: a 10.0.0.1:7946\n");
    free(text);
    br_snapshot_event_clock(s, 7, BRUIT_SECOND + 501 * BRUIT_MILLISECOND); /* no news */
    br_snapshot_query_clock(s, 3, BRUIT_SECOND + 501 * BRUIT_MILLISECOND);
    text = text_of_file();
    assert_string_equal(text, "alive: a 10.0.0.1:7946\nevent-clock: 7\nquery-clock: 3\n");
    free(text);
    assert_false(br_snapshot_flush(s, 2 * BRUIT_SECOND));
    br_snapshot_not_alive(s, br_bytes_text("a"), BRUIT_SECOND + 502 * BRUIT_MILLISECOND);
    assert_true(br_snapshot_flush(s, 2 * BRUIT_SECOND));
    br_snapshot_close(s);
    text = text_of_file();
    assert_non_null(strstr(text, "\nnot-alive: a\n"));
    free(text);
}

/* Members come and go for ever: the file stays small, and knows at the end whom it knew. */
static void test_a_long_life_stays_small(void **state)
{
    char name[32];
    struct stat status;
    (void)state;
    struct br_snapshot *s = open_it(true);
    for (unsigned i = 0; i < 40000; i++) {
        (void)snprintf(name, sizeof name, "node-%u", i % 97);
        if (i % 3 == 0)
            br_snapshot_not_alive(s, br_bytes_string(name), i * BRUIT_MILLISECOND);
        else
            alive(s, name, "10.1.2.3", i * BRUIT_MILLISECOND);
        br_snapshot_member_clock(s, i, i * BRUIT_MILLISECOND);
    }
    size_t count = br_snapshot_count(s);
    br_snapshot_close(s);
    assert_int_equal(stat(path, &status), 0);
    assert_true(status.st_size < (off_t)(BR_SNAPSHOT_SIZE_MIN + 8192));
    s = open_it(true);
    assert_int_equal(br_snapshot_count(s), count);
    assert_int_equal(br_snapshot_clocks(s).member, 39999);
    br_snapshot_close(s);
}

/* An endless line, a zero byte, a name of 300 bytes, a member without a name: told, and nothing else. */
static void test_hostile_files_are_bounded(void **state)
{
    struct br_blob text = BR_BLOB_EMPTY;
    (void)state;
    br_blob_text(&text, "alive: ");
    for (int i = 0; i < 300; i++)
        br_blob_text(&text, "n");
    br_blob_text(&text, " 1.2.3.4:5\nalive: z ");
    br_blob_add(&text, br_bytes("a\0b", 3));
    br_blob_text(&text, "\nclock: 18446744073709551615\nclock: 18446744073709551616\n");
    for (int i = 0; i < 100000; i++)
        br_blob_text(&text, "clock: 7 ");
    br_blob_text(&text, "\nalive: ok 1.2.3.4:5\n");
    write_bytes((const char *)text.data, text.size);
    br_blob_release(&text);
    struct br_snapshot *s = open_it(false);
    assert_int_equal(br_snapshot_count(s), 1);
    assert_true(knows(s, "ok"));
    assert_true(br_snapshot_clocks(s).member == UINT64_MAX);
    br_snapshot_close(s);
}

/* A folder, and a place where nothing can be: Serf's sentence. */
static void test_what_is_no_file_is_refused(void **state)
{
    struct br_snapshot *s = NULL;
    (void)state;
    assert_true(br_snapshot_open(&s, folder, false, &log_, why) < 0);
    assert_non_null(strstr(why, "Failed to setup snapshot: failed to open snapshot: open "));
    assert_true(br_snapshot_open(&s, "/nowhere/at/all", false, &log_, why) < 0);
    assert_string_equal(why, "Failed to setup snapshot: failed to open snapshot: open /nowhere/at/all: "
                             "no such file or directory: its folder must exist");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_test, teardown_test)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_recorded_lives_leave_the_same_bytes),
        TEST(test_an_oversized_file_is_written_anew_at_the_first_line),
        TEST(test_a_file_torn_at_every_byte_does_no_harm),
        TEST(test_a_name_cannot_write_lines),
        TEST(test_lines_wait_for_half_a_second),
        TEST(test_a_long_life_stays_small),
        TEST(test_hostile_files_are_bounded),
        TEST(test_what_is_no_file_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
