/*
 * What an agent keeps in files, and the system's log: formats, modes and sentences (docs/wire/serf-agent.md sections
 * 3.6, 6.1 and 6.2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/files.h"
#include "agent/syslog.h"
#include "codec/addr.h"

#include <bruit/cipher.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char folder[64], path[128], why[BR_WHY_MAX];

static void write_text(const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static const char *text_of_file(void)
{
    static char text[4096];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    assert_int_equal(fclose(file), 0);
    return text;
}

static unsigned mode_of_file(void)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 0777;
}

static int setup(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/bruit-files-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return 1;
    (void)snprintf(path, sizeof path, "%s/file", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

static int setup_test(void **state)
{
    (void)state;
    (void)unlink(path);
    return 0;
}

static int read_tags(size_t *count, bool *is_there)
{
    uint8_t meta[BRUIT_META_MAX];
    size_t size;
    return br_tags_file_read(path, 5, meta, &size, count, is_there, why);
}

/* Tags with every kind of letter go to the file sorted, for the owner only, and come back. */
/* conformance: agent 12 */
static void test_tags_are_written_as_go_does_and_read_back(void **state)
{
    struct br_tag_set set = {.count = 0}, back = {.count = 0};
    uint8_t meta[BRUIT_META_MAX];
    size_t size, count;
    bool is_there;
    (void)state;
    assert_int_equal(br_tag_set_put(&set, br_bytes_text("z"), br_bytes_text("<&>\"\\\n\x01\xc3\xa9")), 0);
    assert_int_equal(br_tag_set_put(&set, br_bytes_text("a=b"), br_bytes_text("")), 0);
    assert_int_equal(br_tags_file_write(path, &set, why), 0);
    assert_string_equal(text_of_file(), "{\n  \"a=b\": \"\",\n"
                                        "  \"z\": \"\\u003c\\u0026\\u003e\\\"\\\\\\n\\u0001\xc3\xa9\"\n}");
    assert_int_equal(mode_of_file(), 0600);
    assert_int_equal(br_tags_file_read(path, 5, meta, &size, &count, &is_there, why), 0);
    assert_true(is_there);
    assert_int_equal(count, 2);
    br_tag_set_read(&back, br_bytes(meta, size));
    assert_true(br_bytes_equal(br_tag_set_get(&back, br_bytes_text("z")), set.tags[1].value));
    assert_int_equal(chmod(path, 0644), 0);
    set.count = 0;
    assert_int_equal(br_tags_file_write(path, &set, why), 0);
    assert_string_equal(text_of_file(), "{}");
    assert_int_equal(mode_of_file(), 0644);
}

/* conformance: agent 12 */
static void test_bad_tags_files_are_refused_in_serfs_words(void **state)
{
    size_t count;
    bool is_there;
    (void)state;
    assert_int_equal(read_tags(&count, &is_there), 0); /* none is fine */
    assert_false(is_there);
    write_text("[]");
    assert_true(read_tags(&count, &is_there) < 0);
    assert_string_equal(
        why,
        "Failed to decode tags file: json: cannot unmarshal array into Go value of type map[string]string");
    write_text("{\"a\": 1}");
    assert_true(read_tags(&count, &is_there) < 0);
    assert_string_equal(
        why, "Failed to decode tags file: json: cannot unmarshal number into Go value of type string");
    write_text("{} {}");
    assert_true(read_tags(&count, &is_there) < 0);
    write_text("");
    assert_true(read_tags(&count, &is_there) < 0);
    assert_non_null(strstr(why, "unexpected end of JSON input"));
    char text[700];
    memset(text, 'x', sizeof text);
    memcpy(text, "{\"a\": \"", 7);
    memcpy(text + sizeof text - 3, "\"}", 3);
    write_text(text);
    assert_true(read_tags(&count, &is_there) < 0);
    assert_string_equal(why, "Encoded length of tags exceeds limit of 512 bytes");
}

static void expect_keyring(const char *text, const char *sentence)
{
    struct br_keyring_file keys;
    write_text(text);
    assert_true(br_keyring_file_read(path, &keys, why) < 0);
    assert_string_equal(why, sentence);
}

/* conformance: agent 12 */
static void test_bad_keyring_files_are_refused_in_serfs_words(void **state)
{
    struct br_keyring_file keys;
    char sentence[256];
    (void)state;
    assert_true(br_keyring_file_read(path, &keys, why) < 0);
    (void)snprintf(sentence, sizeof sentence,
                   "stat %s: no such file or directory: write a JSON list of keys, which \"bruit keygen\" makes",
                   path);
    assert_string_equal(why, sentence);
    expect_keyring("[]", "Keyring file contains no keys");
    expect_keyring(
        "{}", "Failed to decode keyring file: json: cannot unmarshal object into Go value of type []string");
    expect_keyring("[\"zz\"]", "Failed to decode key from keyring: illegal base64 data at input byte 0");
    expect_keyring("[\"AAAA\"]", "Failed to restore keyring: key size must be 16, 24 or 32 bytes");
    expect_keyring("[\"AAAAAAAAAAAAAAAAAAAAAA==\", \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"]",
                   "Failed to restore keyring: key size must be 16, 24 or 32 bytes");
    char many[65 * 28 + 4] = "[";
    for (int i = 0; i < 65; i++)
        strcat(many, i == 0 ? "\"AAAAAAAAAAAAAAAAAAAAAA==\"" : ",\"AAAAAAAAAAAAAAAAAAAAAA==\"");
    strcat(many, "]");
    expect_keyring(many, "Failed to restore keyring: more than 64 keys");
}

/* A key is added and used while the agent runs: the file has it first, and keeps the mode it had. */
/* conformance: agent 12 */
static void test_keys_are_written_the_primary_first(void **state)
{
    struct bruit_cipher cipher;
    struct bruit_config config;
    struct bruit_engine *engine;
    struct br_keyring_file keys;
    uint8_t one[16] = {1}, two[32] = {2};
    struct bruit_bytes first = {one, sizeof one};
    (void)state;
    if (bruit_cipher_openssl(&cipher) != 0)
        skip();
    bruit_config_local(&config);
    config.name = br_bytes_text("n");
    assert_int_equal(br_addr_parse_ip(&config.advertise, "127.0.0.1"), 0);
    config.advertise.port = 1;
    config.keys = &first;
    config.key_count = 1;
    struct bruit_env env = {.struct_size = sizeof env, .cipher = &cipher, .entropy = bruit_entropy_os};
    assert_int_equal(bruit_engine_new(&engine, &config, &env, 0), 0);
    write_text("");
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(bruit_key_add(engine, br_bytes(two, sizeof two)), 0);
    assert_int_equal(bruit_key_use(engine, br_bytes(two, sizeof two)), 0);
    assert_int_equal(br_keyring_file_write(path, engine, why), 0);
    assert_string_equal(text_of_file(), "[\n  \"AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\n"
                                        "  \"AQAAAAAAAAAAAAAAAAAAAA==\"\n]");
    assert_int_equal(mode_of_file(), 0640);
    assert_int_equal(br_keyring_file_read(path, &keys, why), 0);
    assert_int_equal(keys.count, 2);
    assert_memory_equal(keys.keys[0].bytes, two, 32);
    bruit_engine_free(engine);
    bruit_cipher_openssl_close(&cipher);
}

/* A socket in the place of the system's: lines that pass the level arrive with the right number in front. */
static void test_syslog_gets_the_lines_that_pass_the_level(void **state)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct br_syslog syslog;
    struct br_log log;
    char packet[512], expected[64];
    (void)state;
    assert_int_equal(br_syslog_open(&syslog, "nonsense", path, why), BRUIT_EINVAL);
    assert_int_equal(br_syslog_open(&syslog, "LOCAL0", path, why), BRUIT_EIO);
    assert_string_equal(why, "Unix syslog delivery error: start a syslog daemon, or do without -syslog");
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_true(strlen(path) < sizeof addr.sun_path);
    memcpy(addr.sun_path, path, strlen(path) + 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(br_syslog_open(&syslog, "local3", path, why), 0);
    br_log_init(&log, open("/dev/null", 1), BRUIT_TRACE_INFO);
    log.sink = br_syslog_line;
    log.sink_context = &syslog;
    br_log(&log, BRUIT_TRACE_DEBUG, "agent", "not this");
    br_log(&log, BRUIT_TRACE_WARN, "agent", "but this");
    ssize_t size = recv(fd, packet, sizeof packet - 1, 0);
    assert_true(size > 0);
    packet[size] = 0;
    assert_memory_equal(packet, "<156>", 5); /* 19 * 8 + 4 */
    (void)snprintf(expected, sizeof expected, "serf[%ld]: agent: but this", (long)getpid());
    assert_non_null(strstr(packet, expected));
    assert_int_equal(close(fd), 0);
    br_log(&log, BRUIT_TRACE_WARN, "agent", "nobody is there");
    assert_int_equal(syslog.lost, 1);
    br_syslog_close(&syslog);
    (void)close(log.fd);
    br_log_fini(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_tags_are_written_as_go_does_and_read_back, setup_test),
        cmocka_unit_test_setup(test_bad_tags_files_are_refused_in_serfs_words, setup_test),
        cmocka_unit_test_setup(test_bad_keyring_files_are_refused_in_serfs_words, setup_test),
        cmocka_unit_test_setup(test_keys_are_written_the_primary_first, setup_test),
        cmocka_unit_test_setup(test_syslog_gets_the_lines_that_pass_the_level, setup_test),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
