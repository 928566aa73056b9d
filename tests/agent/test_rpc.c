/*
 * The RPC server over real connections: what the recorded conversations with a real agent got, who may do what, and
 * what each command does. What hostile and slow clients do to it is in test_rpc_hostile.c and test_rpc_slow.c.
 */
#include "agent/rpc_lab.h"

#include <jansson.h>

/* ------------------------------------------------------------------ recorded conversations */

static struct br_blob unhex(const char *text)
{
    struct br_blob out = BR_BLOB_EMPTY;
    for (; text[0] != 0; text += 2) {
        char digits[3] = {text[0], text[1], 0};
        uint8_t byte = (uint8_t)strtoul(digits, NULL, 16);
        br_blob_add(&out, br_bytes(&byte, 1));
    }
    return out;
}

/*
 * Sends what the recorded client sent, in pieces of `piece` bytes; what comes must be what the real agent
 * sent.
 */
static void replay(const char *name, size_t piece, bool ends)
{
    char path[512];
    snprintf(path, sizeof path, "%s/serf/%s.json", BRUIT_TEST_VECTORS, name);
    json_t *vector = json_load_file(path, 0, NULL);
    assert_non_null(vector);
    json_t *reply = json_object_get(vector, "hex_reply");
    struct br_blob sent = unhex(json_string_value(json_object_get(vector, "hex")));
    struct br_blob expected = unhex(reply == NULL ? "" : json_string_value(reply));
    struct client client = open_client(0);
    for (size_t at = 0; at < sent.size; at += piece)
        say(&client, br_bytes(sent.data + at, sent.size - at < piece ? sent.size - at : piece));
    receive(&client);
    assert_int_equal(client.got.size, expected.size);
    if (expected.size > 0)
        assert_memory_equal(client.got.data, expected.data, expected.size);
    assert_int_equal(client.is_closed, ends);
    close_client(&client);
    br_blob_release(&sent);
    br_blob_release(&expected);
    json_decref(vector);
}

/* What a real agent was recorded to answer, ours answers too, to the byte: whole, and in pieces. */
/* conformance: rpc 1, 5, 7, 13 */
static void test_recorded_conversations_get_the_same_answers(void **state)
{
    static const struct {
        const char *name;
        bool ends;
    } rows[] = {
        {"rpc-raw-handshake-bad-version", false},
        {"rpc-raw-no-handshake", true},
        {"rpc-raw-unsupported-command", true},
        {"rpc-raw-members-filtered", false},
        {"rpc-raw-auth-when-not-needed", false},
        {"rpc-raw-header-missing-seq-reuses-previous", false},
        {"rpc-raw-stream-exists", false},
        {"rpc-raw-stream-invalid", false},
        {"rpc-raw-garbage", true},
        {"rpc-raw-event-str-payload", false},
        {"rpc-raw-get-coordinate", false},
        {"rpc-raw-respond-unknown", false},
    };
    (void)state;
    start("");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        replay(rows[i].name, 1 << 20, rows[i].ends);
        replay(rows[i].name, 7, rows[i].ends);
        replay(rows[i].name, 1, rows[i].ends);
    }
}

/* conformance: rpc 1, 4, 7 */
static void test_recorded_authentication_gets_the_same_answers(void **state)
{
    (void)state;
    f.members[0] = f.members[1];
    start("sekrit");
    replay("rpc-raw-auth-required", 1 << 20, false);
    replay("rpc-raw-auth-required", 1, false);
}

/* What the real command line asks and was answered: commands that take their time, answered at once. */
/* conformance: rpc 7 */
static void test_recorded_command_line_gets_the_same_answers(void **state)
{
    (void)state;
    f.answers_at_once = true;
    start("");
    replay("rpc-cli-join", 1 << 20, false);
    assert_string_equal(f.joined, "127.0.1.2 127.0.1.3:7946 ");
    replay("rpc-cli-tags", 3, false);
    replay("rpc-cli-force-leave-prune", 1 << 20, false);
    replay("rpc-cli-leave", 1 << 20, false);
    replay("rpc-raw-query-same-prefix", 1 << 20, false);
    replay("rpc-raw-query-same-prefix", 1, false);
    replay("rpc-raw-query-conn-for-stream", 1 << 20, false);
    replay("rpc-cli-keys-install", 1 << 20, false);
    replay("rpc-cli-event", 1 << 20, false);
    replay("rpc-cli-event-no-payload", 1 << 20, false);
    replay("rpc-cli-query-forbidden-name", 1 << 20, false);
}

/* ------------------------------------------------------------------ who may do what */

/*
 * Without the token every command is refused; its body is skipped, where Serf takes it for another header and
 * answers twice.
 */
/* conformance: rpc 4 */
static void test_body_of_a_command_before_the_token_is_skipped(void **state)
{
    (void)state;
    start("sekrit");
    struct client client = open_client(0);
    handshake(&client);
    command(&client, "stream", 6, "Type", "*");
    command(&client, "auth", 7, "AuthKey", "sekri");
    command(&client, "auth", 8, "AuthKey", "sekritt");
    command(&client, "auth", 9, "AuthKey", "sekrit");
    command(&client, "stream", 10, "Type", "*");
    receive(&client);
    expect_header(&client, 6, "Authentication required");
    expect_header(&client, 7, "Invalid authentication token");
    expect_header(&client, 8, "Invalid authentication token");
    expect_header(&client, 9, "");
    expect_header(&client, 10, "");
    assert_int_equal(client.got.size, 0);
    close_client(&client);
}

/* conformance: rpc 4 */
static void test_second_handshake_is_refused_and_harmless(void **state)
{
    (void)state;
    start("");
    struct client client = open_client(0);
    handshake(&client);
    say(&client, br_bytes_text("\x82\xa7"
                               "Command\xa9handshake\xa3Seq\x01\x81\xa7Version\x01"));
    command(&client, "members", 2, NULL, NULL);
    receive(&client);
    expect_header(&client, 1, "Handshake already performed");
    expect_header(&client, 2, "");
    close_client(&client);
}

/* A pattern that is none ends the connection without an answer: that is what Serf's command line expects. */
/* conformance: rpc 13 */
static void test_bad_pattern_ends_the_connection(void **state)
{
    (void)state;
    start("");
    struct client client = open_client(0);
    handshake(&client);
    command(&client, "members-filtered", 1, "Name", "(");
    receive(&client);
    assert_true(client.is_closed);
    assert_int_equal(client.got.size, 0);
    close_client(&client);
}

/* ------------------------------------------------------------------ events and queries */

static void expect_body(struct client *client, const char *body, size_t size)
{
    size_t got;
    assert_int_equal(br_mp_scan(br_blob_bytes(&client->got), &got), 0);
    assert_int_equal(got, size);
    assert_memory_equal(client->got.data, body, size);
    br_blob_consume(&client->got, size);
}

static void tell_user(const char *name)
{
    struct bruit_user_event event = {
        .ltime = 5, .name = br_bytes_string(name), .payload = br_bytes_text("g")};
    br_rpc_user_event(f.rpc, &event);
}

static void tell_query(const char *name, uint64_t handle, bruit_time deadline)
{
    struct bruit_query query = {
        .handle = handle, .ltime = 1, .deadline = deadline, .name = br_bytes_string(name)};
    query.payload = br_bytes_text("pl");
    br_rpc_query_event(f.rpc, &query);
}

#define USER_BODY(name) \
    "\x85\xa8"          \
    "Coalesce\xc2\xa5"  \
    "Event\xa4user\xa5LTime\x05\xa4Name" name "\xa7Payload\xc4\x01g"
#define QUERY_BODY(id) \
    "\x85\xa5"         \
    "Event\xa5query\xa2ID" id "\xa5LTime\x01\xa4Name\xa2qq\xa7Payload\xc4\x02pl"
#define BODY_OF(text) text, sizeof(text) - 1

/* A filter that names events gets those and no others, each once though two of its words fit. */
/* conformance: rpc 10 */
static void test_stream_hears_of_the_events_that_it_names(void **state)
{
    (void)state;
    start("");
    struct client client = open_client(0);
    handshake(&client);
    command(&client, "stream", 5, "Type", "user:go,member-join,user:go,query:");
    receive(&client);
    expect_header(&client, 5, "");
    tell_user("nogo");
    tell_user("go");
    tell_query("qq", 1, 100);
    receive(&client);
    expect_header(&client, 5, "");
    expect_body(&client, BODY_OF(USER_BODY("\xa2go")));
    expect_header(&client, 5, "");
    expect_body(&client, BODY_OF(QUERY_BODY("\x01")));
    assert_int_equal(client.got.size, 0);
    close_client(&client);
}

static void respond(struct client *client, uint64_t seq, uint64_t id)
{
    struct br_blob out = BR_BLOB_EMPTY;
    write_header(&out, "respond", seq);
    struct br_writer w = br_blob_writer(&out, 32);
    br_mp_write_map(&w, 2);
    br_mp_write_key(&w, "ID");
    br_mp_write_uint(&w, id);
    br_mp_write_key(&w, "Payload");
    br_mp_write_bin(&w, br_bytes_text("x"));
    br_blob_written(&out, &w);
    say(client, br_blob_bytes(&out));
    br_blob_release(&out);
    receive(client);
}

/*
 * A query is told to two streams of one connection under two numbers; both lead to it until its deadline, what the
 * cluster says against a response is passed on, and another connection knows neither number.
 */
/* conformance: rpc 12 */
static void test_query_is_responded_to_by_the_number_it_was_told_with(void **state)
{
    (void)state;
    start("");
    struct client client = open_client(0), other = open_client(0);
    handshake(&client);
    handshake(&other);
    command(&client, "stream", 5, "Type", "query");
    command(&client, "stream", 6, "Type", "*");
    receive(&client);
    expect_header(&client, 5, "");
    expect_header(&client, 6, "");
    f.now = 10;
    tell_query("qq", 77, 100);
    receive(&client);
    expect_header(&client, 5, "");
    expect_body(&client, BODY_OF(QUERY_BODY("\x01")));
    expect_header(&client, 6, "");
    expect_body(&client, BODY_OF(QUERY_BODY("\x02")));
    respond(&other, 3, 1);
    expect_header(&other, 3, "No pending queries matching ID");
    respond(&client, 7, 2);
    expect_header(&client, 7, "");
    assert_int_equal(f.handle, 77);
    f.refusal = "failed to respond to key query: response already sent";
    respond(&client, 8, 1);
    expect_header(&client, 8, f.refusal);
    f.now = 100;
    respond(&client, 9, 1);
    expect_header(&client, 9, "No pending queries matching ID");
    close_client(&client);
    close_client(&other);
}

/* Whoever goes away while his query runs is not written to, and the query is over. */
static void test_query_ends_with_the_client_that_asked(void **state)
{
    static const struct bruit_query_answer ack = {.from = {(const uint8_t *)"ra", 2}, .is_ack = true};
    (void)state;
    start("");
    struct client client = open_client(0), other = open_client(0);
    handshake(&client);
    handshake(&other);
    command(&client, "query", 3, "Name", "up");
    receive(&client);
    expect_header(&client, 3, "");
    br_rpc_query_answer(f.rpc, 1, &ack);
    receive(&client);
    expect_header(&client, 3, "");
    (void)skip_body(&client);
    assert_int_equal(f.ended, 0);
    close_client(&client);
    turn();
    assert_int_equal(f.ended, 1);
    br_rpc_query_answer(f.rpc, 1, &ack);
    br_rpc_query_answer(f.rpc, 1, NULL);
    receive(&other);
    assert_int_equal(other.got.size, 0);
    close_client(&other);
}

/* What the cluster says against an event or a query is the answer, and no records follow. */
static void test_refused_event_and_query_are_answered_with_the_reason(void **state)
{
    (void)state;
    start("");
    struct client client = open_client(0);
    handshake(&client);
    f.refusal = "query exceeds limit of 1024 bytes";
    command(&client, "query", 3, "Name", "up");
    command(&client, "event", 4, "Name", "up");
    receive(&client);
    expect_header(&client, 3, f.refusal);
    expect_header(&client, 4, f.refusal);
    br_rpc_query_answer(f.rpc, 1, NULL);
    receive(&client);
    assert_int_equal(client.got.size, 0);
    close_client(&client);
    turn();
    assert_int_equal(f.ended, 0);
}

/* ------------------------------------------------------------------ how answers are written */

/* Joins and key commands that fail: the real command line waits for the body all the same. */
/* conformance: rpc 3 */
static void test_failed_join_and_key_commands_carry_a_body(void **state)
{
    static const char *const names[] = {"install-key", "use-key", "remove-key", "list-keys", "join"};
    (void)state;
    start("");
    struct client client = open_client(0);
    handshake(&client);
    f.fails = true;
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct br_blob out = BR_BLOB_EMPTY;
        bool is_join = strcmp(names[i], "join") == 0;
        write_header(&out, names[i], i);
        if (is_join)
            br_blob_add(&out, br_bytes_text("\x81\xa8"
                                            "Existing\x91\xa1x"));
        else if (strcmp(names[i], "list-keys") != 0)
            br_blob_add(&out, br_bytes_text("\x81\xa3Key\xa1x"));
        say(&client, br_blob_bytes(&out));
        receive(&client);
        expect_header(&client, i, "it failed");
        if (is_join)
            expect_body(&client, BODY_OF("\x81\xa3Num\x00"));
        else
            expect_body(
                &client,
                BODY_OF("\x85\xa4Keys\xc0\xa8Messages\x80\xa6NumErr\x00\xa8NumNodes\x00\xa7NumResp\x00"));
        assert_int_equal(client.got.size, 0);
        br_blob_release(&out);
    }
    close_client(&client);
}

static bool contains(const struct client *client, const char *bytes, size_t size)
{
    return memmem(client->got.data, client->got.size, bytes, size) != NULL;
}

/* Texts of 31, 32 and 255 bytes, an address of either family, a payload of 255 and of 256 bytes, and none. */
/* conformance: rpc 8 */
static void test_texts_are_str8_and_bytes_are_bin(void **state)
{
    static uint8_t payload[256];
    char name[257] = "";
    (void)state;
    start("");
    struct client client = open_client(0);
    handshake(&client);
    command(&client, "stream", 1, "Type", "user");
    memset(name, 'n', 255);
    f.member_count = 3;
    f.members[0].name = br_bytes(name, 31);
    f.members[1].name = br_bytes(name, 32);
    f.members[2].name = br_bytes(name, 255);
    f.members[2].addr =
        (struct bruit_addr){.ip = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7}, .size = 16};
    command(&client, "members", 2, NULL, NULL);
    receive(&client);
    assert_true(contains(&client, BODY_OF("\xa4Name\xbfnnn")));
    assert_true(contains(&client, BODY_OF("\xa4Name\xd9\x20nnn")));
    assert_true(contains(&client, BODY_OF("\xa4Name\xd9\xffnnn")));
    assert_true(contains(&client, BODY_OF("\xa4"
                                          "Addr\xc4\x04\x7f\x00\x03\x01")));
    assert_true(contains(
        &client, BODY_OF("\xa4"
                         "Addr\xc4\x10\xfe\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07")));
    struct bruit_user_event event = {.ltime = 200, .name = br_bytes_text("e")};
    br_rpc_user_event(f.rpc, &event);
    event.payload = br_bytes(payload, 255);
    br_rpc_user_event(f.rpc, &event);
    event.payload = br_bytes(payload, 256);
    br_rpc_user_event(f.rpc, &event);
    receive(&client);
    assert_true(contains(&client, BODY_OF("\xa7Payload\xc0")));
    assert_true(contains(&client, BODY_OF("\xa7Payload\xc4\xff\x00")));
    assert_true(contains(&client, BODY_OF("\xa7Payload\xc5\x01\x00\x00")));
    close_client(&client);
}

/* ------------------------------------------------------------------ commands that take their time */

/* While a join runs, later commands of the connection wait, and another connection is served. */
/* conformance: rpc 3, 7 */
static void test_later_commands_wait_for_the_one_that_runs(void **state)
{
    (void)state;
    start("");
    struct client slow = open_client(0), other = open_client(0);
    struct br_blob join = BR_BLOB_EMPTY;
    handshake(&slow);
    handshake(&other);
    write_header(&join, "join", 1);
    br_blob_add(&join, br_bytes_text("\x82\xa8"
                                     "Existing\x91\xa1x\xa6Replay\xc3"));
    write_header(&join, "members", 2);
    say(&slow, br_blob_bytes(&join));
    receive(&slow);
    assert_int_equal(slow.got.size, 0);
    assert_string_equal(f.joined, "x! ");
    command(&other, "members", 5, NULL, NULL);
    receive(&other);
    expect_header(&other, 5, "");
    struct br_rpc_call *call = f.call;
    f.call = NULL;
    br_rpc_answer(call, "1 error occurred:\n", 0);
    receive(&slow);
    /* The body comes with an error too: the real command line waits for it. */
    expect_header(&slow, 1, "1 error occurred:\n");
    assert_int_equal(skip_body(&slow), 6);
    expect_header(&slow, 2, "");
    br_blob_release(&join);
    close_client(&slow);
    close_client(&other);
}

/* The client is gone before its answer: the answer is for nobody, and harms nobody. */
static void test_client_may_leave_before_its_answer(void **state)
{
    (void)state;
    start("");
    struct client client = open_client(0);
    handshake(&client);
    command(&client, "leave", 1, NULL, NULL);
    turn();
    assert_non_null(f.call);
    close_client(&client);
    turn();
    struct br_rpc_call *call = f.call;
    f.call = NULL;
    br_rpc_answer(call, "", 0);
    turn();
}

/* The agent stops while a command runs. */
static void test_server_may_close_before_the_answer(void **state)
{
    (void)state;
    start("");
    struct client client = open_client(0);
    handshake(&client);
    command(&client, "leave", 1, NULL, NULL);
    turn();
    br_rpc_close(f.rpc);
    struct br_rpc_call *call = f.call;
    f.call = NULL;
    br_rpc_answer(call, "", 0);
    receive(&client);
    assert_true(client.is_closed);
    close_client(&client);
    start("");
}

/* Nothing to join is no error, and too much is one; neither reaches the backend. */
static void test_join_of_nobody_and_of_too_many(void **state)
{
    struct br_blob out = BR_BLOB_EMPTY;
    (void)state;
    start("");
    struct client client = open_client(0);
    handshake(&client);
    write_header(&out, "join", 1);
    br_blob_add(&out, br_bytes_text("\x80"));
    write_header(&out, "join", 2);
    br_blob_add(&out, br_bytes_text("\x81\xa8"
                                    "Existing\xdc\x04\x01"));
    for (unsigned i = 0; i < 1025; i++)
        br_blob_add(&out, br_bytes_text("\xa1x"));
    say(&client, br_blob_bytes(&out));
    receive(&client);
    expect_header(&client, 1, "");
    (void)skip_body(&client);
    expect_header(&client, 2, "Too many addresses to join: give at most 1024");
    (void)skip_body(&client);
    assert_int_equal(f.joins, 0);
    br_blob_release(&out);
    close_client(&client);
}

/* ------------------------------------------------------------------ records */

/* Two streams and a monitor on one connection: each record has its own number, and answers come between. */
/* conformance: rpc 10 */
static void test_streams_and_monitor_share_a_connection(void **state)
{
    (void)state;
    start("");
    br_log(&f.log, BRUIT_TRACE_WARN, "agent", "old");
    br_log(&f.log, BRUIT_TRACE_DEBUG, "agent", "too quiet");
    struct client client = open_client(0);
    handshake(&client);
    command(&client, "stream", 2, "Type", "member-join,member-failed");
    command(&client, "stream", 3, "Type", "*");
    command(&client, "monitor", 4, "LogLevel", "warn");
    command(&client, "monitor", 5, "LogLevel", "warn");
    command(&client, "monitor", 6, "LogLevel", "loud");
    receive(&client);
    expect_header(&client, 2, "");
    expect_header(&client, 3, "");
    expect_header(&client, 4, "");
    expect_header(&client, 4, "");
    (void)skip_body(&client); /* "old" */
    expect_header(&client, 5, "Monitor already exists");
    expect_header(&client, 6, "Unknown log level: LOUD");
    assert_int_equal(client.got.size, 0);

    br_rpc_member_event(f.rpc, BRUIT_MEMBER_LEAVE, f.members, 2);
    br_rpc_member_event(f.rpc, BRUIT_MEMBER_FAILED, f.members, 1);
    br_log(&f.log, BRUIT_TRACE_ERROR, "agent", "new");
    receive(&client);
    expect_header(&client, 3, "");
    (void)skip_body(&client);
    expect_header(&client, 2, "");
    (void)skip_body(&client);
    expect_header(&client, 3, "");
    (void)skip_body(&client);
    expect_header(&client, 4, "");
    (void)skip_body(&client);
    assert_int_equal(client.got.size, 0);
    close_client(&client);
}

static void stop(struct client *client, uint64_t seq, uint8_t what)
{
    struct br_blob out = BR_BLOB_EMPTY;
    write_header(&out, "stop", seq);
    br_blob_add(&out, br_bytes_text("\x81\xa4Stop"));
    br_blob_add(&out, br_bytes(&what, 1));
    say(client, br_blob_bytes(&out));
    br_blob_release(&out);
}

/* conformance: rpc 10 */
static void test_stop_ends_streams_and_monitor(void **state)
{
    (void)state;
    start("");
    struct client client = open_client(0);
    handshake(&client);
    command(&client, "stream", 2, "Type", "");
    command(&client, "monitor", 3, "LogLevel", "ERR");
    stop(&client, 4, 2);
    stop(&client, 5, 3);
    stop(&client, 6, 99);
    receive(&client);
    for (uint64_t seq = 2; seq <= 6; seq++)
        expect_header(&client, seq, "");
    br_rpc_member_event(f.rpc, BRUIT_MEMBER_JOIN, f.members, 1);
    br_log(&f.log, BRUIT_TRACE_ERROR, "agent", "new");
    receive(&client);
    assert_int_equal(client.got.size, 0);
    close_client(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_recorded_conversations_get_the_same_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recorded_authentication_gets_the_same_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recorded_command_line_gets_the_same_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_body_of_a_command_before_the_token_is_skipped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_second_handshake_is_refused_and_harmless, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stream_hears_of_the_events_that_it_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_query_is_responded_to_by_the_number_it_was_told_with, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_query_ends_with_the_client_that_asked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_event_and_query_are_answered_with_the_reason, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_bad_pattern_ends_the_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failed_join_and_key_commands_carry_a_body, setup, teardown),
        cmocka_unit_test_setup_teardown(test_texts_are_str8_and_bytes_are_bin, setup, teardown),
        cmocka_unit_test_setup_teardown(test_later_commands_wait_for_the_one_that_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_client_may_leave_before_its_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_server_may_close_before_the_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_join_of_nobody_and_of_too_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_streams_and_monitor_share_a_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop_ends_streams_and_monitor, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
