/*
 * The commands against a recorded agent: a thread plays the server's side of a real conversation, so the
 * output can be compared with what Serf's own command line printed, and a server that misbehaves can be
 * played too.
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

struct server {
    int listener;
    char address[32];
    struct br_blob expected; /* what the client is to send */
    struct br_blob replies;  /* what it gets */
    struct br_blob got;
    pthread_t thread;
};

static struct server server;

/*
 * Answers everything at once, as if the agent knew the questions, and takes what comes until the client
 * closes.
 */
static void *serve(void *context)
{
    uint8_t bytes[4096];
    int fd = accept(server.listener, NULL, NULL);
    (void)context;
    (void)send(fd, server.replies.data, server.replies.size, MSG_NOSIGNAL);
    (void)shutdown(fd, SHUT_WR);
    for (ssize_t size; (size = recv(fd, bytes, sizeof bytes, 0)) > 0;)
        br_blob_add(&server.got, br_bytes(bytes, (size_t)size));
    close(fd);
    return NULL;
}

static int setup(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof at;
    (void)state;
    memset(&server, 0, sizeof server);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server.listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(server.listener, 4), 0);
    assert_int_equal(getsockname(server.listener, (struct sockaddr *)&at, &size), 0);
    snprintf(server.address, sizeof server.address, "127.0.0.1:%u", ntohs(at.sin_port));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close(server.listener);
    br_blob_release(&server.expected);
    br_blob_release(&server.replies);
    br_blob_release(&server.got);
    return 0;
}

static void add_hex(struct br_blob *out, const char *text)
{
    for (; text[0] != 0; text += 2) {
        char digits[3] = {text[0], text[1], 0};
        uint8_t byte = (uint8_t)strtoul(digits, NULL, 16);
        br_blob_add(out, br_bytes(&byte, 1));
    }
}

static void load(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/serf/%s.json", BRUIT_TEST_VECTORS, name);
    json_t *vector = json_load_file(path, 0, NULL);
    assert_non_null(vector);
    add_hex(&server.expected, json_string_value(json_object_get(vector, "hex")));
    add_hex(&server.replies, json_string_value(json_object_get(vector, "hex_reply")));
    json_decref(vector);
}

/* Runs a command with stdout caught; its address is filled in. Returns the exit code. */
static int run(const struct br_command *command, char output[16384], char **words)
{
    char *argv[16], where[48];
    int argc = 0, caught = open("/tmp", O_TMPFILE | O_RDWR, 0600), saved = dup(STDOUT_FILENO);
    snprintf(where, sizeof where, "-rpc-addr=%s", server.address);
    argv[argc++] = where;
    for (; *words != NULL; words++)
        argv[argc++] = *words;
    argv[argc] = NULL;
    assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
    fflush(stdout);
    assert_true(caught >= 0 && dup2(caught, STDOUT_FILENO) >= 0);
    int code = command->run(argc, argv);
    fflush(stdout);
    assert_true(dup2(saved, STDOUT_FILENO) >= 0);
    close(saved);
    pthread_join(server.thread, NULL);
    ssize_t size = pread(caught, output, 16383, 0);
    output[size < 0 ? 0 : size] = 0;
    close(caught);
    return code;
}

#define WORDS(...) ((char *[]){__VA_ARGS__, NULL})

static void expect_same_questions(void)
{
    assert_int_equal(server.got.size, server.expected.size);
    assert_memory_equal(server.got.data, server.expected.data, server.got.size);
}

/*
 * What goes over the wire is what Serf's command line sends, to the byte; what is printed is what it
 * prints.
 */
static void test_join_asks_and_prints_as_serf_does(void **state)
{
    char output[16384];
    (void)state;
    load("rpc-cli-join");
    assert_int_equal(run(&br_command_join, output, WORDS("127.0.1.2", "127.0.1.3:7946")), 0);
    assert_string_equal(output, "Successfully joined cluster by contacting 2 nodes.\n");
    expect_same_questions();
}

static void test_failed_join_prints_every_reason(void **state)
{
    char output[16384];
    (void)state;
    load("rpc-cli-join-fail");
    assert_int_equal(run(&br_command_join, output, WORDS("127.0.1.77")), 1);
    assert_string_equal(output,
                        "Error joining the cluster: 1 error occurred:\n"
                        "\t* Failed to join 127.0.1.77: dial tcp 127.0.1.77:7946: connect: connection "
                        "refused\n\n\n");
    expect_same_questions();
}

static void test_leave_force_leave_and_tags_ask_as_serf_does(void **state)
{
    static const struct {
        const struct br_command *command;
        const char *vector, *output;
        char *words[5];
    } rows[] = {
        {&br_command_leave, "rpc-cli-leave", "Graceful leave complete\n", {NULL}},
        {&br_command_force_leave, "rpc-cli-force-leave-prune", "", {"-prune", "gamma", NULL}},
        {&br_command_tags,
         "rpc-cli-tags",
         "Successfully updated agent tags\n",
         {"-set", "a=b", "-delete", "role", NULL}},
    };
    char output[16384];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        load(rows[i].vector);
        assert_int_equal(run(rows[i].command, output, (char **)rows[i].words), 0);
        assert_string_equal(output, rows[i].output);
        expect_same_questions();
        (void)teardown(state);
        (void)setup(state);
    }
}

static void test_members_asks_and_prints_as_serf_does(void **state)
{
    char output[16384];
    (void)state;
    load("rpc-cli-members-filter");
    assert_int_equal(
        run(&br_command_members, output, WORDS("-tag", "role=.*b", "-status", "alive", "-name", "a.*|b.*")),
        0);
    assert_string_equal(output, "beta   127.0.1.2:7946  alive  role=db\n"
                                "alpha  127.0.1.1:7946  alive  a-b.c=x,y,dc=east one,role=web\n");
    expect_same_questions();
}

static void test_members_as_json_is_serfs_to_the_byte(void **state)
{
    char output[16384];
    (void)state;
    load("rpc-cli-members-filter");
    assert_int_equal(run(&br_command_members, output,
                         WORDS("-format=json", "-tag", "role=.*b", "-status", "alive", "-name", "a.*|b.*")),
                     0);
    assert_non_null(strstr(output, "{\n"
                                   "  \"members\": [\n"
                                   "    {\n"
                                   "      \"name\": \"beta\",\n"
                                   "      \"addr\": \"127.0.1.2:7946\",\n"
                                   "      \"port\": 7946,\n"
                                   "      \"tags\": {\n"
                                   "        \"role\": \"db\"\n"
                                   "      },\n"
                                   "      \"status\": \"alive\",\n"
                                   "      \"protocol\": {\n"
                                   "        \"max\": 5,\n"
                                   "        \"min\": 2,\n"
                                   "        \"version\": 5\n"
                                   "      }\n"
                                   "    },\n"));
}

static void test_info_prints_sorted_sections(void **state)
{
    char output[16384];
    (void)state;
    load("rpc-cli-info");
    assert_int_equal(run(&br_command_info, output, WORDS("-format", "text")), 0);
    assert_memory_equal(output, "agent:\n\tname = ", 15);
    const char *runtime = strstr(output, "\nruntime:\n\tarch = amd64\n\tcpu_count = ");
    const char *serf = strstr(output, "\nserf:\n\tcoordinate_resets = ");
    assert_non_null(runtime);
    assert_non_null(serf);
    assert_true(runtime < serf);
    assert_non_null(strstr(serf, "\ntags:\n"));
}

/* Questions to the byte, and what Serf's command line printed of the answers. */
static void test_event_query_and_rtt_ask_and_print_as_serf_does(void **state)
{
    static char long_payload[600 + 1];
    static const struct {
        const struct br_command *command;
        const char *vector, *output;
        int code;
        char *words[8];
    } rows[] = {
        {&br_command_event, "rpc-cli-event", "Event 'deploy' dispatched! Coalescing enabled: true\n", 0,
         {"deploy", "abc", NULL}},
        {&br_command_event, "rpc-cli-event-no-payload", "Event 'nop' dispatched! Coalescing enabled: false\n", 0,
         {"-coalesce=false", "nop", NULL}},
        {&br_command_event, "rpc-cli-event-too-big",
         "Error sending event: user event exceeds configured limit of 512 bytes before encoding\n", 1,
         {"long", long_payload, NULL}},
        {&br_command_query, "rpc-cli-query-forbidden-name",
         "Error sending query: Queries cannot contain the '_serf_' prefix\n", 1, {"_serf_ping", "x", NULL}},
        {&br_command_query, "rpc-cli-query-relay",
         "Query 'ask' dispatched\nAck from 'va'\nAck from 'vb'\nAck from 'vd'\nAck from 'vc'\n"
         "Total Acks: 4\nTotal Responses: 0\n", 0,
         {"-timeout", "700ms", "-relay-factor", "2", "ask", "payload", NULL}},
        {&br_command_query, "rpc-cli-query-responses",
         "Query 'uptime' dispatched\nAck from 'alpha'\nResponse from 'alpha': up 5\nAck from 'beta'\n"
         "Ack from 'gamma'\nResponse from 'beta': beta-up\nTotal Acks: 3\nTotal Responses: 2\n", 0,
         {"-timeout=1s", "-relay-factor=1", "uptime", NULL}},
        {&br_command_query, "rpc-cli-query-responses",
         "{\n  \"Acks\": [\n    \"alpha\",\n    \"beta\",\n    \"gamma\"\n  ],\n"
         "  \"Responses\": {\n    \"alpha\": \"up 5\\n\",\n    \"beta\": \"beta-up\\n\"\n  }\n}\n", 0,
         {"-format=json", "-timeout=1s", "-relay-factor=1", "uptime", NULL}},
        {&br_command_keys, "rpc-cli-keys-install",
         "==> Installing key on all members...\n==> Successfully installed key!\n", 0,
         {"-install=gXQJloeiZiH04s3XzAOz2s7bP7liJVsar9Azyr6DFTA=", NULL}},
        {&br_command_keys, "rpc-cli-keys-list",
         "==> Asking all members for installed keys...\n==> Keys gathered, listing cluster keys...\n\n"
         "qBlAjOUBDKLgnvWaw9ifX/hZXQK1JOYb+K+olKldWU8=  [3/3]\n"
         "gXQJloeiZiH04s3XzAOz2s7bP7liJVsar9Azyr6DFTA=  [3/3]\n", 0,
         {"-list", NULL}},
        {&br_command_keys, "rpc-cli-keys-list-no-encryption",
         "==> Asking all members for installed keys...\n"
         "failed:  va  Keyring is empty (encryption not enabled)\n"
         "failed:  vd  Keyring is empty (encryption not enabled)\n"
         "failed:  vc  Keyring is empty (encryption not enabled)\n"
         "failed:  vb  Keyring is empty (encryption not enabled)\n\n"
         "Failed to gather member keys: 4/5 nodes reported failure\n", 1,
         {"-list", NULL}},
        {&br_command_keys, "rpc-cli-keys-use-missing",
         "==> Changing primary key on all members...\n"
         "failed:  ka  Requested key is not in the keyring\n"
         "failed:  kb  Requested key is not in the keyring\n"
         "failed:  kc  Requested key is not in the keyring\n\n"
         "Error changing primary key: 3/3 nodes reported failure\n", 1,
         {"-use=sQJTdkyLIz+zdULiNAHHtFDlpvl1HztaAU9vZ+i8mZ0=", NULL}},
        {&br_command_rtt, "rpc-cli-rtt", "Estimated vb <-> vd rtt: 0.401 ms\n", 0, {"vb", "vd", NULL}},
    };
    char output[16384];
    memset(long_payload, 'x', sizeof long_payload - 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        load(rows[i].vector);
        assert_int_equal(run(rows[i].command, output, (char **)rows[i].words), rows[i].code);
        assert_string_equal(output, rows[i].output);
        expect_same_questions();
        (void)teardown(state);
        (void)setup(state);
    }
}

/* The recorded cluster had five live members, and four answered. */
static void test_reachability_asks_and_prints_as_serf_does(void **state)
{
    char output[16384];
    (void)state;
    load("rpc-cli-reachability");
    assert_int_equal(run(&br_command_reachability, output, WORDS("-verbose=false")), 1);
    assert_string_equal(output, "Total members: 5, live members: 5\nStarting reachability test...\n"
                                "Received less acks than live nodes! Missing acks from:\n\trec\n"
                                "This could mean Serf gossip packets are being lost due to a misconfiguration or "
                                "network issue.\n\nTroubleshooting tips:\n"
                                "* Ensure that the bind addr:port is accessible by all other nodes\n"
                                "* If an advertise address is set, ensure it routes to the bind address\n"
                                "* Check that no nodes are behind a NAT\n"
                                "* If nodes are behind firewalls or iptables, check that Serf traffic is permitted "
                                "(UDP and TCP)\n"
                                "* Verify networking equipment is functional\n");
    expect_same_questions();
}

/* Two answer in one name, and one is not alive as far as the agent knows: both are told, and the exit code is 1. */
static void test_reachability_tells_who_answers_and_should_not(void **state)
{
    static const char members[] = "\x81\xa7Members\x92\x82\xa4Name\xa1" "a\xa6Status\xa5" "alive"
                                  "\x82\xa4Name\xa1" "b\xa6Status\xa6" "failed";
    static const char answers[] =
        "\x82\xa5" "Error\xa0\xa3Seq\x03\x83\xa4" "From\xa1" "a\xa7Payload\xc0\xa4Type\xa3" "ack"
        "\x82\xa5" "Error\xa0\xa3Seq\x03\x83\xa4" "From\xa1" "b\xa7Payload\xc0\xa4Type\xa3" "ack"
        "\x82\xa5" "Error\xa0\xa3Seq\x03\x83\xa4" "From\xa1" "a\xa7Payload\xc0\xa4Type\xa3" "ack"
        "\x82\xa5" "Error\xa0\xa3Seq\x03\x83\xa4" "From\xa0\xa7Payload\xc0\xa4Type\xa4" "done";
    char output[16384];
    (void)state;
    for (uint8_t seq = 1; seq <= 3; seq++) {
        br_blob_text(&server.replies, "\x82\xa5" "Error\xa0\xa3Seq");
        br_blob_add(&server.replies, br_bytes(&seq, 1));
        if (seq == 2)
            br_blob_add(&server.replies, br_bytes(members, sizeof members - 1));
    }
    br_blob_add(&server.replies, br_bytes(answers, sizeof answers - 1));
    assert_int_equal(run(&br_command_reachability, output, WORDS("-verbose=false")), 1);
    assert_non_null(strstr(output, "Total members: 2, live members: 1\nStarting reachability test...\n"
                                   "Duplicate response from 'a'\n"
                                   "Duplicate responses means there is a misconfiguration. Verify that node "
                                   "names are unique.\n"
                                   "Received more acks than live nodes! Acks from non-live nodes:\n\tb\n"
                                   "This could mean Serf is detecting false-failures"));
}

/*
 * The agent ends the conversation, or answers with something else: a sentence and exit code 1, whatever it
 * sent.
 */
static void test_broken_answers_get_a_sentence(void **state)
{
    static const char handshake[] = "\x82\xa5"
                                    "Error\xa0\xa3Seq\x01";
    static const char header[] = "\x82\xa5"
                                 "Error\xa0\xa3Seq\x02";
    static const struct {
        struct bruit_bytes rest;
        const char *output;
    } rows[] = {
        {{NULL, 0}, "Error retrieving members: client closed\n"},
        {{(const uint8_t *)"\xc1", 1},
         "Error retrieving members: the agent sent something that is no answer\n"},
        {{(const uint8_t *)"\x81\xa7Members\x91", 10}, "Error retrieving members: client closed\n"},
        {{(const uint8_t *)"\x81\xa7Members\x91\x05", 11},
         "Error retrieving members: the agent sent something that is no list of members\n"},
        {{(const uint8_t *)"\x05", 1},
         "Error retrieving members: the agent sent something that is no list of members\n"},
    };
    char output[16384];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        br_blob_add(&server.replies, br_bytes(handshake, sizeof handshake - 1));
        br_blob_add(&server.replies, br_bytes(header, sizeof header - 1));
        br_blob_add(&server.replies, rows[i].rest);
        assert_int_equal(run(&br_command_members, output, WORDS("-format=text")), 1);
        assert_string_equal(output, rows[i].output);
        (void)teardown(state);
        (void)setup(state);
    }
}

/* A server that speaks another protocol, or says no at once. */
static void test_refusal_at_the_door_is_told(void **state)
{
    char output[16384];
    (void)state;
    br_blob_add(&server.replies, br_bytes_text("HTTP/1.1 400 Bad Request\r\n\r\n"));
    assert_int_equal(run(&br_command_leave, output, WORDS("-rpc-auth=")), 1);
    assert_string_equal(output,
                        "Error connecting to Serf agent: the agent sent something that is no answer\n");
    (void)teardown(state);
    (void)setup(state);
    br_blob_add(&server.replies, br_bytes_text("\x82\xa5"
                                               "Error\xa0\xa3Seq\x01\x82\xa5"
                                               "Error\xbcInvalid authentication token\xa3Seq\x02"));
    assert_int_equal(run(&br_command_leave, output, WORDS("-rpc-auth=wrong")), 1);
    assert_string_equal(output, "Error connecting to Serf agent: Invalid authentication token\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_join_asks_and_prints_as_serf_does, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failed_join_prints_every_reason, setup, teardown),
        cmocka_unit_test_setup_teardown(test_leave_force_leave_and_tags_ask_as_serf_does, setup, teardown),
        cmocka_unit_test_setup_teardown(test_members_asks_and_prints_as_serf_does, setup, teardown),
        cmocka_unit_test_setup_teardown(test_members_as_json_is_serfs_to_the_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(test_info_prints_sorted_sections, setup, teardown),
        cmocka_unit_test_setup_teardown(test_event_query_and_rtt_ask_and_print_as_serf_does, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reachability_asks_and_prints_as_serf_does, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reachability_tells_who_answers_and_should_not, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken_answers_get_a_sentence, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusal_at_the_door_is_told, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
