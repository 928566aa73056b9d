/*
 * -format=json of the commands for which Serf has none: the shapes that docs/cli.md promises, from the answers that a
 * real agent gave to Serf's own command line; and what goes wrong, as {"error": ...} with exit code 1.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/command.h"

#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
    int listener;
    char address[32];
    struct br_blob replies;
} server;

/* Answers everything at once, and takes what comes until the client closes. */
static void *serve(void *context)
{
    uint8_t bytes[4096];
    int fd = accept(server.listener, NULL, NULL);
    (void)context;
    (void)send(fd, server.replies.data, server.replies.size, MSG_NOSIGNAL);
    (void)shutdown(fd, SHUT_WR);
    while (recv(fd, bytes, sizeof bytes, 0) > 0)
        continue;
    close(fd);
    return NULL;
}

static int setup(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof at;
    (void)state;
    server.replies = BR_BLOB_EMPTY;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server.listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(server.listener, 4), 0);
    assert_int_equal(getsockname(server.listener, (struct sockaddr *)&at, &size), 0);
    snprintf(server.address, sizeof server.address, "-rpc-addr=127.0.0.1:%u", ntohs(at.sin_port));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close(server.listener);
    br_blob_release(&server.replies);
    return 0;
}

static void load(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/serf/%s.json", BRUIT_TEST_VECTORS, name);
    json_t *vector = json_load_file(path, 0, NULL);
    assert_non_null(vector);
    for (const char *text = json_string_value(json_object_get(vector, "hex_reply")); text[0] != 0;
         text += 2) {
        char digits[3] = {text[0], text[1], 0};
        uint8_t byte = (uint8_t)strtoul(digits, NULL, 16);
        br_blob_add(&server.replies, br_bytes(&byte, 1));
    }
    json_decref(vector);
}

#define WORDS(...) ((char *[]){__VA_ARGS__, NULL})

static char output[65536];

/* With stdout caught; `address`: NULL for a command that asks nobody. */
static int run(const struct br_command *command, char *address, char **words)
{
    char *argv[16];
    int argc = 0, caught = open("/tmp", O_TMPFILE | O_RDWR, 0600), saved = dup(STDOUT_FILENO);
    if (address != NULL)
        argv[argc++] = address;
    argv[argc++] = "-format=json";
    for (; *words != NULL; words++)
        argv[argc++] = *words;
    argv[argc] = NULL;
    fflush(stdout);
    assert_true(caught >= 0 && dup2(caught, STDOUT_FILENO) >= 0);
    int code = command->run(argc, argv);
    fflush(stdout);
    assert_true(dup2(saved, STDOUT_FILENO) >= 0);
    close(saved);
    ssize_t size = pread(caught, output, sizeof output - 1, 0);
    output[size < 0 ? 0 : size] = 0;
    close(caught);
    return code;
}

static int ask(const struct br_command *command, const char *vector, char **words)
{
    pthread_t thread;
    if (vector != NULL)
        load(vector);
    assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
    int code = run(command, server.address, words);
    pthread_join(thread, NULL);
    return code;
}

static void test_every_command_prints_its_shape(void **state)
{
    static const struct {
        const struct br_command *command;
        const char *vector, *output;
        int code;
        char *words[6];
    } rows[] = {
        {&br_command_event,
         "rpc-cli-event",
         "{\n  \"event\": \"deploy\",\n  \"coalesce\": true\n}\n",
         0,
         {"deploy", "abc"}},
        {&br_command_join, "rpc-cli-join", "{\n  \"contacted\": 2\n}\n", 0, {"127.0.1.2", "127.0.1.3:7946"}},
        {&br_command_leave, "rpc-cli-leave", "{\n  \"left\": true\n}\n", 0, {NULL}},
        {&br_command_force_leave,
         "rpc-cli-force-leave-prune",
         "{\n  \"node\": \"gamma\",\n  \"prune\": true\n}\n",
         0,
         {"-prune", "gamma"}},
        {&br_command_tags,
         "rpc-cli-tags",
         "{\n  \"set\": {\n    \"a\": \"b\"\n  },\n  \"deleted\": [\n    \"role\"\n  ]\n}\n",
         0,
         {"-set", "a=b", "-delete", "role"}},
        {&br_command_rtt,
         "rpc-cli-rtt",
         "{\n  \"from\": \"vb\",\n  \"to\": \"vd\",\n  \"rtt_ms\": 0.401\n}\n",
         0,
         {"vb", "vd"}},
        {&br_command_keys,
         "rpc-cli-keys-install",
         "{\n  \"messages\": {},\n  \"members\": 3,\n  \"answers\": 3,\n  \"failures\": 0\n}\n",
         0,
         {"-install=gXQJloeiZiH04s3XzAOz2s7bP7liJVsar9Azyr6DFTA="}},
        {&br_command_keys,
         "rpc-cli-keys-list",
         "{\n  \"keys\": {\n    \"qBlAjOUBDKLgnvWaw9ifX/hZXQK1JOYb+K+olKldWU8=\": 3,\n"
         "    \"gXQJloeiZiH04s3XzAOz2s7bP7liJVsar9Azyr6DFTA=\": 3\n  },\n"
         "  \"messages\": {},\n  \"members\": 3,\n  \"answers\": 3,\n  \"failures\": 0\n}\n",
         0,
         {"-list"}},
        {&br_command_keys,
         "rpc-cli-keys-use-missing",
         "{\n  \"error\": \"Error changing primary key: 3/3 nodes reported failure\",\n  \"messages\": {\n"
         "    \"ka\": \"Requested key is not in the keyring\",\n"
         "    \"kb\": \"Requested key is not in the keyring\",\n"
         "    \"kc\": \"Requested key is not in the keyring\"\n  },\n"
         "  \"members\": 3,\n  \"answers\": 3,\n  \"failures\": 3\n}\n",
         1,
         {"-use=sQJTdkyLIz+zdULiNAHHtFDlpvl1HztaAU9vZ+i8mZ0="}},
        {&br_command_join,
         "rpc-cli-join-fail",
         "{\"error\":\"Error joining the cluster: 1 error occurred:\\n\\t* Failed to join 127.0.1.77: "
         "dial tcp 127.0.1.77:7946: connect: connection refused\"}\n",
         1,
         {"127.0.1.77"}},
        {&br_command_monitor,
         "rpc-cli-monitor",
         "{\"log\":\"2026/11/22 06:55:54 [ERR] serf: Keyring is empty (encryption not enabled)\"}\n"
         "{\"event\":\"user\",\"name\":\"deploy\",\"payload\":\"x\",\"coalesce\":false,\"ltime\":3}\n",
         1,
         {"-log-level=warn"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int code = ask(rows[i].command, rows[i].vector, (char **)rows[i].words);
        if (code != rows[i].code || strncmp(output, rows[i].output, strlen(rows[i].output)) != 0)
            fail_msg("bruit %s: exit code %d, not %d, and\n%sinstead of\n%s", rows[i].command->name, code,
                     rows[i].code, output, rows[i].output);
        (void)teardown(state);
        (void)setup(state);
    }
}

/* Five are said to be alive, and one of them is silent. */
static void test_reachability_lists_who_is_missing(void **state)
{
    (void)state;
    assert_int_equal(ask(&br_command_reachability, "rpc-cli-reachability", WORDS("-verbose")), 1);
    json_t *said = json_loads(output, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(said, "error")),
                        "Received less acks than live nodes!");
    assert_int_equal(json_integer_value(json_object_get(said, "alive")), 5);
    assert_int_equal(json_array_size(json_object_get(said, "acks")), 4);
    assert_int_equal(json_array_size(json_object_get(said, "missing")), 1);
    assert_string_equal(json_string_value(json_array_get(json_object_get(said, "missing"), 0)), "rec");
    assert_int_equal(json_array_size(json_object_get(said, "unexpected")), 0);
    assert_int_equal(json_array_size(json_object_get(said, "duplicates")), 0);
    assert_true(json_real_value(json_object_get(said, "seconds")) >= 0);
    json_decref(said);
}

static void test_version_and_keygen_need_no_agent(void **state)
{
    (void)state;
    assert_int_equal(run(&br_command_version, NULL, WORDS(NULL)), 0);
    assert_non_null(strstr(output, "\",\n  \"protocol\": {\n    \"max\": 5,\n    \"min\": 2\n  }\n}\n"));
    assert_memory_equal(output, "{\n  \"version\": \"", 16);
    assert_int_equal(run(&br_command_keygen, NULL, WORDS(NULL)), 0);
    assert_memory_equal(output, "{\n  \"key\": \"", 12);
    assert_int_equal(strlen(output), 12 + 44 + strlen("\"\n}\n"));
}

/*
 * A payload that is no text comes in base64, so that nothing is lost; members come as `bruit members` writes them. The
 * first event happens between the two subscriptions, before the agent has answered the second.
 */
static void test_monitor_loses_nothing_of_an_event(void **state)
{
    static const char answers[] = "\x82\xa5"
                                  "Error\xa0\xa3Seq\x01\x82\xa5"
                                  "Error\xa0\xa3Seq\x02";
    static const char monitored[] = "\x82\xa5"
                                    "Error\xa0\xa3Seq\x03";
    static const char record[] = "\x82\xa5"
                                 "Error\xa0\xa3Seq\x02";
    static const char query[] =
        "\x85\xa5"
        "Event\xa5query\xa2ID\x07\xa5LTime\x09\xa4Name\xa1q\xa7Payload\xc4\x02\xff\x00";
    static const char join[] = "\x82\xa5"
                               "Event\xabmember-join\xa7Members\x91\x84\xa4"
                               "Addr\xc4\x04\x7f\x00\x00\x01"
                               "\xa4Name\xa1"
                               "a\xa4Port\xcd\x1f\x0a\xa6Status\xa5"
                               "alive";
    (void)state;
    br_blob_add(&server.replies, br_bytes(answers, sizeof answers - 1));
    br_blob_add(&server.replies, br_bytes(record, sizeof record - 1));
    br_blob_add(&server.replies, br_bytes(query, sizeof query - 1));
    br_blob_add(&server.replies, br_bytes(monitored, sizeof monitored - 1));
    br_blob_add(&server.replies, br_bytes(record, sizeof record - 1));
    br_blob_add(&server.replies, br_bytes(join, sizeof join - 1));
    assert_int_equal(ask(&br_command_monitor, NULL, WORDS(NULL)), 1);
    assert_string_equal(
        output, "{\"event\":\"query\",\"name\":\"q\",\"payload_base64\":\"/wA=\",\"id\":7,\"ltime\":9}\n"
                "{\"event\":\"member-join\",\"members\":[{\"name\":\"a\",\"addr\":\"127.0.0.1:7946\","
                "\"port\":7946,\"tags\":{},\"status\":\"alive\","
                "\"protocol\":{\"max\":0,\"min\":0,\"version\":0}}]}\n"
                "{\"error\":\"Remote side ended the monitor! This usually means that the remote side has "
                "exited or crashed.\"}\n");
}

/* Whatever goes wrong, and wherever: one object with an "error", and exit code 1. Serf's own JSON commands too. */
static void test_errors_are_json_too(void **state)
{
    static const struct {
        const struct br_command *command;
        const char *output;
        char *words[4];
    } rows[] = {
        {&br_command_members,
         "{\"error\":\"Error connecting to Serf agent: dial tcp 127.0.0.1:1: connect: "
         "connection refused\"}\n",
         {"-rpc-addr=127.0.0.1:1"}},
        {&br_command_join, "{\"error\":\"At least one address to join must be specified.\"}\n", {NULL}},
        {&br_command_keys, "{\"error\":\"Usage: bruit keys [options]\"}\n", {NULL}},
        {&br_command_keys,
         "{\"error\":\"Only one of -install, -use, -remove, or -list allowed\"}\n",
         {"-list", "-use=x"}},
        {&br_command_query,
         "{\"error\":\"Relay factor must be between 0 and 255\"}\n",
         {"-relay-factor=256", "x"}},
        {&br_command_event,
         "{\"error\":\"bruit event: flag provided but not defined: -colesce; did you mean "
         "-coalesce? \\\"bruit event -help\\\" lists all\"}\n",
         {"-colesce", "x"}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(run(rows[i].command, NULL, (char **)rows[i].words), 1);
        assert_string_equal(output, rows[i].output);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_command_prints_its_shape, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reachability_lists_who_is_missing, setup, teardown),
        cmocka_unit_test(test_version_and_keygen_need_no_agent),
        cmocka_unit_test_setup_teardown(test_monitor_loses_nothing_of_an_event, setup, teardown),
        cmocka_unit_test(test_errors_are_json_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
