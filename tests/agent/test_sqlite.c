/*
 * The state on disk: what was written is there after a restart, whole batches or nothing of them; and whatever is
 * wrong with the directory or the file is told in one sentence that says what to do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/sqlite.h"
#include "base/bytes.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];
static char why[BR_WHY_MAX];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/bruit-test-sqlite-XXXXXX");
    why[0] = 0;
    return mkdtemp(folder) == NULL;
}

static int teardown(void **state)
{
    char command[128];
    (void)state;
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static struct br_sqlite *open_store(void)
{
    struct br_sqlite *store;
    if (br_sqlite_open(&store, folder, why) != 0)
        fail_msg("%s", why);
    return store;
}

static struct bruit_store_op put(const char *space, const char *key, const char *value)
{
    struct bruit_store_op op = {
        .space = br_bytes_string(space), .key = br_bytes_string(key), .is_delete = value == NULL};
    if (value != NULL)
        op.value = br_bytes_string(value);
    return op;
}

static int add_record(void *context, struct bruit_bytes space, struct bruit_bytes key,
                      struct bruit_bytes value)
{
    char *text = context;
    (void)sprintf(text + strlen(text), "%.*s.%.*s=%.*s ", (int)space.size, (const char *)space.data,
                  (int)key.size, (const char *)key.data, (int)value.size, (const char *)value.data);
    return 0;
}

static const char *all_of(struct br_sqlite *store)
{
    static char text[65536];
    text[0] = 0;
    if (br_sqlite_read(store, add_record, text, why) != 0)
        fail_msg("%s", why);
    return text;
}

/* Written, replaced and deleted in one life, read in the next; keys of different modules are different keys. */
static void test_what_was_written_is_read_after_a_restart(void **state)
{
    (void)state;
    struct br_sqlite *store = open_store();
    struct bruit_store_op first[] = {put("kv", "a", "1"), put("kv", "b", "2"), put("other", "a", "3")};
    struct bruit_store_op second[] = {put("kv", "a", "4"), put("kv", "b", NULL), put("kv", "c", "")};
    assert_int_equal(br_sqlite_write(store, first, 3, why), 0);
    assert_int_equal(br_sqlite_write(store, second, 3, why), 0);
    br_sqlite_close(store);
    store = open_store();
    assert_string_equal(all_of(store), "kv.a=4 kv.c= other.a=3 ");
    br_sqlite_close(store);
}

static int expect_bytes(void *context, struct bruit_bytes space, struct bruit_bytes key,
                        struct bruit_bytes value)
{
    const struct bruit_store_op *op = context;
    assert_true(br_bytes_equal(space, op->space));
    assert_true(br_bytes_equal(key, op->key));
    assert_true(br_bytes_equal(value, op->value));
    return 0;
}

/* Any bytes may be a key, and a value may be larger than any page. */
static void test_keeps_any_bytes(void **state)
{
    static uint8_t key[512], value[300000];
    (void)state;
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = (uint8_t)(i * i / 7);
    memset(key, 0, sizeof key);
    struct br_sqlite *store = open_store();
    struct bruit_store_op op = {.space = br_bytes_text("kv"),
                                .key = br_bytes(key, sizeof key),
                                .value = br_bytes(value, sizeof value)};
    assert_int_equal(br_sqlite_write(store, &op, 1, why), 0);
    br_sqlite_close(store);
    store = open_store();
    assert_int_equal(br_sqlite_read(store, expect_bytes, &op, why), 0);
    br_sqlite_close(store);
}

static int stop(void *context, struct bruit_bytes space, struct bruit_bytes key, struct bruit_bytes value)
{
    (void)space;
    (void)key;
    (void)value;
    ++*(int *)context;
    return BRUIT_EFORMAT;
}

/* Whoever reads a record that he does not understand ends the walk, and is told his own error. */
static void test_a_reader_may_refuse(void **state)
{
    int calls = 0;
    (void)state;
    struct br_sqlite *store = open_store();
    struct bruit_store_op ops[] = {put("kv", "a", "1"), put("kv", "b", "2")};
    assert_int_equal(br_sqlite_write(store, ops, 2, why), 0);
    assert_int_equal(br_sqlite_read(store, stop, &calls, why), BRUIT_EFORMAT);
    assert_int_equal(calls, 1);
    br_sqlite_close(store);
}

/* ------------------------------------------------------------------ crashes */

#define BATCH 10

/* Batches without end, each of the same number under ten keys; every one that is durable is told to the pipe. */
static void write_until_killed(int pipe_fd)
{
    struct br_sqlite *store;
    if (br_sqlite_open(&store, folder, why) != 0)
        _exit(1);
    for (uint32_t n = 1;; n++) {
        char keys[BATCH][16];
        struct bruit_store_op ops[BATCH];
        for (int i = 0; i < BATCH; i++) {
            (void)snprintf(keys[i], sizeof keys[i], "k%d", i);
            ops[i] = put("kv", keys[i], "");
            ops[i].value = br_bytes(&n, sizeof n);
        }
        if (br_sqlite_write(store, ops, BATCH, why) != 0 || write(pipe_fd, &n, sizeof n) != sizeof n)
            _exit(2);
    }
}

struct seen {
    uint32_t value;
    int records;
};

static int look(void *context, struct bruit_bytes space, struct bruit_bytes key, struct bruit_bytes value)
{
    struct seen *seen = context;
    uint32_t n;
    (void)space;
    (void)key;
    assert_int_equal(value.size, sizeof n);
    memcpy(&n, value.data, sizeof n);
    if (seen->records++ > 0)
        assert_int_equal(n, seen->value); /* of one batch, all of them */
    seen->value = n;
    return 0;
}

/* Kills the writer after some milliseconds, and checks what it left: at least what it said was durable. */
static uint32_t one_crash(useconds_t after)
{
    int ends[2];
    uint32_t told = 0, n;
    struct seen seen = {.records = 0};
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0)
        write_until_killed(ends[1]);
    close(ends[1]);
    usleep(after);
    assert_int_equal(kill(child, SIGKILL), 0);
    while (read(ends[0], &n, sizeof n) == sizeof n)
        told = n;
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    struct br_sqlite *store = open_store();
    assert_int_equal(br_sqlite_read(store, look, &seen, why), 0);
    br_sqlite_close(store);
    if (told > 0)
        assert_int_equal(seen.records, BATCH);
    assert_true(seen.records == 0 || seen.value >= told);
    return told;
}

/* 30 times killed with SIGKILL while it writes: no batch that was confirmed is missing, and none is torn. */
static void test_a_kill_loses_nothing_and_tears_nothing(void **state)
{
    uint64_t confirmed = 0;
    (void)state;
    for (useconds_t i = 0; i < 30; i++)
        confirmed += one_crash(500 + i * i * 40);
    print_message("%llu batches were confirmed\n", (unsigned long long)confirmed);
    assert_true(confirmed > 0);
}

/* No room: the batch is refused whole, with a sentence; once there is room the store goes on. */
static void test_a_disk_without_room_is_told(void **state)
{
    static uint8_t value[60000];
    (void)state;
    struct br_sqlite *store = open_store();
    struct bruit_store_op small = put("kv", "a", "1");
    struct bruit_store_op large[] = {put("kv", "a", "2"), put("kv", "b", "")};
    large[1].value = br_bytes(value, sizeof value);
    assert_int_equal(br_sqlite_write(store, &small, 1, why), 0);
    struct rlimit before, tight = {.rlim_cur = 40000};
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    int error = br_sqlite_write(store, large, 2, why);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(error == BRUIT_EIO || error == BRUIT_EFULL);
    assert_non_null(strstr(why, "state.db"));
    assert_string_equal(all_of(store), "kv.a=1 ");
    large[1].value = br_bytes_text("3");
    assert_int_equal(br_sqlite_write(store, large, 2, why), 0);
    br_sqlite_close(store);
    store = open_store();
    assert_string_equal(all_of(store), "kv.a=2 kv.b=3 ");
    br_sqlite_close(store);
}

/* ------------------------------------------------------------------ what may be wrong */

static void expect_refusal(const char *path, int error, const char *first, const char *second)
{
    struct br_sqlite *store;
    why[0] = 0;
    assert_int_equal(br_sqlite_open(&store, path, why), error);
    assert_null(store);
    if (strstr(why, first) == NULL || strstr(why, second) == NULL)
        fail_msg("\"%s\" does not say \"%s\" and \"%s\"", why, first, second);
}

static void write_file(const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void test_two_agents_cannot_have_one_directory(void **state)
{
    (void)state;
    struct br_sqlite *store = open_store();
    expect_refusal(folder, BRUIT_EBUSY, "in use by another agent", "directory of its own");
    br_sqlite_close(store);
    br_sqlite_close(open_store());
}

/* What is not ours stays as it is. */
static void test_refuses_what_is_no_store(void **state)
{
    char text[64], path[128], found[64] = "";
    (void)state;
    (void)snprintf(text, sizeof text, "%s", "These are somebody's notes and no database at all, is that so?");
    write_file("state.db", text);
    expect_refusal(folder, BRUIT_EFORMAT, "is no state of bruit's", "move it away");
    (void)snprintf(path, sizeof path, "%s/state.db", folder);
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, found, sizeof found - 1), strlen(text));
    assert_string_equal(found, text);
    close(fd);
}

/* The header's bytes 60 to 63 are the format's version. */
static void test_refuses_what_a_newer_one_wrote(void **state)
{
    char path[128];
    (void)state;
    br_sqlite_close(open_store());
    (void)snprintf(path, sizeof path, "%s/state.db", folder);
    int fd = open(path, O_RDWR);
    assert_int_equal(pwrite(fd, "\0\0\0\2", 4, 60), 4);
    close(fd);
    expect_refusal(folder, BRUIT_EFORMAT, "has format 2", "run the one that wrote it");
}

/* Somebody else's SQLite file: bytes 68 to 71 say whose it is. */
static void test_refuses_the_database_of_another_program(void **state)
{
    char path[128];
    (void)state;
    br_sqlite_close(open_store());
    (void)snprintf(path, sizeof path, "%s/state.db", folder);
    int fd = open(path, O_RDWR);
    assert_int_equal(pwrite(fd, "mail", 4, 68), 4);
    close(fd);
    expect_refusal(folder, BRUIT_EFORMAT, "is no state of bruit's", "move it away");
}

/* An empty file is a start that was cut off: it becomes a store. */
static void test_an_empty_file_is_a_new_store(void **state)
{
    (void)state;
    write_file("state.db", "");
    struct br_sqlite *store = open_store();
    assert_string_equal(all_of(store), "");
    br_sqlite_close(store);
}

static void test_says_what_is_wrong_with_the_directory(void **state)
{
    char path[160];
    (void)state;
    write_file("file", "");
    (void)snprintf(path, sizeof path, "%s/file", folder);
    expect_refusal(path, BRUIT_EIO, "is a file", "name of a directory");
    (void)snprintf(path, sizeof path, "%s/not/there", folder);
    expect_refusal(path, BRUIT_EIO, "cannot be made: No such file or directory", "name another");
    expect_refusal("/proc", BRUIT_EIO, "cannot be written", "to this user");
}

/* Only the last part of the path is made; it and the file are for this user alone. */
static void test_makes_the_directory(void **state)
{
    struct br_sqlite *store;
    struct stat about;
    char path[128];
    (void)state;
    (void)snprintf(path, sizeof path, "%s/new", folder);
    assert_int_equal(br_sqlite_open(&store, path, why), 0);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0700);
    assert_int_equal(stat(br_sqlite_path(store), &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    br_sqlite_close(store);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_written_is_read_after_a_restart),
        TEST(test_keeps_any_bytes),
        TEST(test_a_reader_may_refuse),
        TEST(test_a_kill_loses_nothing_and_tears_nothing),
        TEST(test_a_disk_without_room_is_told),
        TEST(test_two_agents_cannot_have_one_directory),
        TEST(test_refuses_what_is_no_store),
        TEST(test_refuses_what_a_newer_one_wrote),
        TEST(test_refuses_the_database_of_another_program),
        TEST(test_an_empty_file_is_a_new_store),
        TEST(test_says_what_is_wrong_with_the_directory),
        TEST(test_makes_the_directory),
    };
    return cmocka_run_group_tests_name("sqlite", tests, NULL, NULL);
}
