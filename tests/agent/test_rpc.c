/*
 * The RPC server over real connections, with a backend of the test's making: what the recorded
 * conversations with a real agent got, what hostile clients get, and what a client that does not read
 * costs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/rpc.h"
#include "codec/addr.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct fixture {
    uv_loop_t loop;
    struct br_log log;
    struct br_rpc *rpc;
    struct bruit_status_member members[3];
    size_t member_count;
    struct br_rpc_call *call; /* the last one that the backend was given */
    unsigned joins;           /* how many joins it was asked for */
    char joined[256];         /* their addresses */
    bool answers_at_once;
    int sink; /* the log's console */
    uint32_t query; /* the last one that was started, and what was asked of it */
    bool wants_ack, wants_response;
    unsigned ended; /* queries that nobody waits for any more */
    const char *refusal; /* what the cluster answers instead of doing as it is told, or NULL */
    uint64_t handle;     /* of the last query that was responded to */
    bruit_time now;
};

static struct fixture f;

/* ------------------------------------------------------------------ the backend */

static bool next_member(void *context, size_t *position, struct bruit_status_member *out)
{
    (void)context;
    if (*position >= f.member_count)
        return false;
    *out = f.members[*position % 3];
    (*position)++;
    return true;
}

static void take_call(struct br_rpc_call *call)
{
    f.call = call;
    if (f.answers_at_once) {
        f.call = NULL;
        br_rpc_answer(call, "", 2);
    }
}

static void on_join(void *context, struct br_rpc_call *call, const char *const *names, size_t count,
                    bool replay)
{
    (void)context;
    f.joins++;
    f.joined[0] = 0;
    for (size_t i = 0; i < count && i < 3; i++) {
        strncat(f.joined, names[i], 60);
        strcat(f.joined, replay ? "! " : " ");
    }
    take_call(call);
}

static void on_force_leave(void *context, struct br_rpc_call *call, struct bruit_bytes node, bool prune)
{
    (void)context;
    (void)node;
    (void)prune;
    take_call(call);
}

static void on_change_tags(void *context, struct br_rpc_call *call, const struct br_rpc_request *request)
{
    (void)context;
    (void)request;
    take_call(call);
}

static void on_leave(void *context, struct br_rpc_call *call)
{
    (void)context;
    take_call(call);
}

static void on_keys(void *context, struct br_rpc_call *call, enum br_rpc_command command, struct bruit_bytes key)
{
    (void)context;
    (void)key;
    if (command == BR_RPC_LIST_KEYS)
        br_rpc_answer(call, "agent is shutting down", 0);
    else
        br_rpc_answer_keys(call, "", &(struct br_rpc_keys){.nodes = 3, .responses = 3});
}

static void on_stats(void *context, struct br_blob *out)
{
    (void)context;
    br_rpc_write_map(out, 0);
}

static int refuse(char why[BR_WHY_MAX])
{
    if (f.refusal == NULL)
        return 0;
    snprintf(why, BR_WHY_MAX, "%s", f.refusal);
    return BRUIT_EINVAL;
}

static int on_send_event(void *context, const struct br_rpc_request *request, char why[BR_WHY_MAX])
{
    (void)context;
    (void)request;
    return refuse(why);
}

static int on_query(void *context, const struct br_rpc_request *request, uint32_t *query, char why[BR_WHY_MAX])
{
    (void)context;
    *query = ++f.query;
    f.wants_ack = request->ack;
    f.wants_response = br_bytes_equal(request->name, br_bytes_text("qq"));
    return refuse(why);
}

static int on_respond(void *context, uint64_t handle, struct bruit_bytes payload, char why[BR_WHY_MAX])
{
    (void)context;
    (void)payload;
    f.handle = handle;
    return refuse(why);
}

static void on_end_query(void *context, uint32_t query)
{
    (void)context;
    assert_true(query > 0 && query <= f.query);
    f.ended++;
}

static bool on_coordinate(void *context, struct bruit_bytes node, struct bruit_coordinate *out)
{
    (void)context;
    *out = (struct bruit_coordinate){.error = 1.5, .height = 1e-5};
    return br_bytes_equal(node, br_bytes_text("ra"));
}

static bruit_time on_now(void *context)
{
    (void)context;
    return f.now;
}

/* The whole life of a query at once, as a cluster of one would have it. */
static void on_kick(void *context)
{
    static const struct bruit_query_answer ack = {.from = {(const uint8_t *)"ra", 2}, .is_ack = true};
    static const struct bruit_query_answer response = {.from = {(const uint8_t *)"ra", 2},
                                                       .payload = {(const uint8_t *)"my answer", 9}};
    (void)context;
    if (!f.answers_at_once)
        return;
    if (f.wants_ack)
        br_rpc_query_answer(f.rpc, f.query, &ack);
    if (f.wants_response)
        br_rpc_query_answer(f.rpc, f.query, &response);
    br_rpc_query_answer(f.rpc, f.query, NULL);
}

static struct bruit_status_member member(const char *name, uint8_t last, const char *meta, size_t meta_size)
{
    return (struct bruit_status_member){
        .name = br_bytes_string(name),
        .meta = br_bytes(meta, meta_size),
        .addr = {.ip = {127, 0, 3, last}, .port = 7946, .size = 4},
        .versions = {1, 5, 2, 2, 5, 5},
        .status = BRUIT_STATUS_ALIVE,
    };
}

static void start(const char *auth)
{
    char why[BR_WHY_MAX];
    struct br_rpc_options options = {
        .bind = {.ip = {127, 0, 0, 1}, .size = 4},
        .auth = auth,
        .log = &f.log,
        .backend = {.next_member = next_member,
                    .join = on_join,
                    .force_leave = on_force_leave,
                    .change_tags = on_change_tags,
                    .leave = on_leave,
                    .keys = on_keys,
                    .stats = on_stats,
                    .send_event = on_send_event,
                    .query = on_query,
                    .respond = on_respond,
                    .end_query = on_end_query,
                    .coordinate = on_coordinate,
                    .now = on_now,
                    .kick = on_kick},
    };
    assert_int_equal(br_rpc_new(&f.rpc, &f.loop, &options, why), 0);
}

static int setup(void **state)
{
    (void)state;
    memset(&f, 0, sizeof f);
    assert_int_equal(uv_loop_init(&f.loop), 0);
    f.sink = open("/dev/null", O_WRONLY | O_CLOEXEC);
    br_log_init(&f.log, f.sink, BRUIT_TRACE_INFO);
    f.members[0] = member("ra", 1, "\xff\x81\xa4role\xa1x", 9);
    f.members[1] = member("rb", 2, "\xff\x80", 2);
    f.members[2] = member("rc", 3, "bare", 4);
    f.member_count = 1;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (f.call != NULL)
        br_rpc_answer(f.call, "the test ends", 0);
    br_rpc_close(f.rpc);
    (void)uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f.loop), 0);
    br_log_fini(&f.log);
    close(f.sink);
    return 0;
}

/* ------------------------------------------------------------------ the client */

/* What one client got; `is_closed` when the server has ended the connection. */
struct client {
    int fd;
    struct br_blob got;
    bool is_closed;
};

static struct client open_client(int receive_buffer)
{
    struct bruit_addr bound = br_rpc_bound(f.rpc);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(bound.port)};
    struct client client = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (receive_buffer > 0)
        assert_int_equal(setsockopt(client.fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer),
                         0);
    /* Pieces are to arrive as pieces, and at once. */
    assert_int_equal(setsockopt(client.fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)), 0);
    assert_int_equal(connect(client.fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(fcntl(client.fd, F_SETFL, O_NONBLOCK), 0);
    return client;
}

static void close_client(struct client *client)
{
    close(client->fd);
    br_blob_release(&client->got);
}

/* Turns the loop a few times, which is plenty over loopback, without reading. */
static void turn(void)
{
    for (unsigned i = 0; i < 20; i++)
        (void)uv_run(&f.loop, UV_RUN_NOWAIT);
}

static void receive(struct client *client)
{
    for (unsigned quiet = 0; quiet < 20 && !client->is_closed; quiet++) {
        uint8_t bytes[65536];
        (void)uv_run(&f.loop, UV_RUN_NOWAIT);
        ssize_t size = recv(client->fd, bytes, sizeof bytes, 0);
        if (size > 0) {
            br_blob_add(&client->got, br_bytes(bytes, (size_t)size));
            quiet = 0;
        } else if (size == 0 || errno == ECONNRESET) {
            client->is_closed = true;
        }
    }
}

static void say(struct client *client, struct bruit_bytes bytes)
{
    while (bytes.size > 0) {
        ssize_t size = send(client->fd, bytes.data, bytes.size, MSG_NOSIGNAL);
        if (size <= 0)
            return;
        bytes = br_bytes(bytes.data + size, bytes.size - (size_t)size);
        turn();
    }
}

static void write_header(struct br_blob *out, const char *command, uint64_t seq)
{
    struct br_writer w = br_blob_writer(out, 64);
    br_mp_write_map(&w, 2);
    br_mp_write_key(&w, "Command");
    br_mp_write_key(&w, command);
    br_mp_write_key(&w, "Seq");
    br_mp_write_uint(&w, seq);
    br_blob_written(out, &w);
}

/* A command with a body of one text, or without one. */
static void command(struct client *client, const char *name, uint64_t seq, const char *key, const char *value)
{
    struct br_blob out = BR_BLOB_EMPTY;
    write_header(&out, name, seq);
    if (key != NULL) {
        br_rpc_write_map(&out, 1);
        br_rpc_write_text(&out, br_bytes_string(key));
        br_rpc_write_text(&out, br_bytes_string(value));
    }
    say(client, br_blob_bytes(&out));
    br_blob_release(&out);
}

static void handshake(struct client *client)
{
    static const char bytes[] = "\x82\xa7"
                                "Command\xa9handshake\xa3Seq\x00\x81\xa7Version\x01";
    say(client, br_bytes(bytes, sizeof bytes - 1));
    receive(client);
    assert_int_equal(client->got.size, 13); /* {Error: "", Seq: 0} */
    br_blob_consume(&client->got, 13);
}

/* Takes the next header off what the client got. */
static bool take_header(struct client *client, uint64_t *seq, char error[160])
{
    struct br_reader r;
    size_t size;
    if (client->got.size == 0 || br_mp_scan(br_blob_bytes(&client->got), &size) != 0)
        return false;
    br_reader_init(&r, br_bytes(client->got.data, size));
    assert_int_equal(br_mp_read_map(&r), 2);
    assert_true(br_bytes_equal(br_mp_read_bytes(&r), br_bytes_text("Error")));
    struct bruit_bytes text = br_mp_read_bytes(&r);
    snprintf(error, 160, "%.*s", (int)text.size, text.size == 0 ? "" : (const char *)text.data);
    assert_true(br_bytes_equal(br_mp_read_bytes(&r), br_bytes_text("Seq")));
    *seq = br_mp_read_uint(&r, UINT64_MAX);
    br_blob_consume(&client->got, size);
    return true;
}

static void expect_header(struct client *client, uint64_t seq, const char *error)
{
    uint64_t got_seq = 0;
    char got[160] = "nothing came";
    (void)take_header(client, &got_seq, got);
    assert_string_equal(got, error);
    assert_int_equal(got_seq, seq);
}

/* Takes one object, a body, off what the client got; returns its size. */
static size_t skip_body(struct client *client)
{
    size_t size;
    assert_int_equal(br_mp_scan(br_blob_bytes(&client->got), &size), 0);
    br_blob_consume(&client->got, size);
    return size;
}

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

static void test_recorded_authentication_gets_the_same_answers(void **state)
{
    (void)state;
    f.members[0] = f.members[1];
    start("sekrit");
    replay("rpc-raw-auth-required", 1 << 20, false);
    replay("rpc-raw-auth-required", 1, false);
}

/* What the real command line asks and was answered: commands that take their time, answered at once. */
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
    struct bruit_user_event event = {.ltime = 5, .name = br_bytes_string(name), .payload = br_bytes_text("g")};
    br_rpc_user_event(f.rpc, &event);
}

static void tell_query(const char *name, uint64_t handle, bruit_time deadline)
{
    struct bruit_query query = {.handle = handle, .ltime = 1, .deadline = deadline, .name = br_bytes_string(name)};
    query.payload = br_bytes_text("pl");
    br_rpc_query_event(f.rpc, &query);
}

#define USER_BODY(name) "\x85\xa8" "Coalesce\xc2\xa5" "Event\xa4user\xa5LTime\x05\xa4Name" name "\xa7Payload\xc4\x01g"
#define QUERY_BODY(id) "\x85\xa5" "Event\xa5query\xa2ID" id "\xa5LTime\x01\xa4Name\xa2qq\xa7Payload\xc4\x02pl"
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

/* ------------------------------------------------------------------ commands that take their time */

/* While a join runs, later commands of the connection wait, and another connection is served. */
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

/*
 * A client subscribes and never reads: after what the kernel holds and 512 records more, events are
 * dropped and counted; another client gets all of them, and the first finds whole records when it reads at
 * last.
 */
static void test_slow_reader_loses_events_and_stops_nobody(void **state)
{
    struct br_rpc_stats stats;
    (void)state;
    start("");
    struct client slow = open_client(4096), quick = open_client(0);
    handshake(&slow);
    handshake(&quick);
    command(&slow, "stream", 2, "Type", "*");
    command(&quick, "stream", 2, "Type", "*");
    receive(&slow);
    receive(&quick);
    expect_header(&slow, 2, "");
    expect_header(&quick, 2, "");
    /* Loopback holds some megabytes; each record has about 600 bytes. */
    unsigned sent = 0;
    for (; sent < 60000; sent++) {
        br_rpc_member_event(f.rpc, BRUIT_MEMBER_JOIN, f.members, 3);
        if (sent % 100 == 0)
            receive(&quick);
        br_rpc_stats_get(f.rpc, &stats);
        if (stats.records_dropped >= 1000)
            break;
    }
    sent++;
    receive(&quick);
    unsigned got = 0;
    size_t at = 0, size;
    while (at < quick.got.size) {
        assert_int_equal(br_mp_scan(br_bytes(quick.got.data + at, quick.got.size - at), &size), 0);
        at += size;
        got++;
    }
    assert_int_equal(got, 2 * sent);
    assert_true(stats.records_dropped >= 1000);

    receive(&slow);
    unsigned slow_got = 0;
    for (at = 0; at < slow.got.size; at += size, slow_got++)
        assert_int_equal(br_mp_scan(br_bytes(slow.got.data + at, slow.got.size - at), &size), 0);
    br_rpc_stats_get(f.rpc, &stats);
    assert_int_equal(slow_got / 2 + stats.records_dropped, sent);
    close_client(&slow);
    close_client(&quick);
}

/* A client asks a hundred thousand times and never reads: it is not read from either, and memory stays. */
static void test_client_that_does_not_read_is_not_read_from(void **state)
{
    struct br_blob out = BR_BLOB_EMPTY;
    (void)state;
    start("");
    f.member_count = 10000; /* some 1.5 MB an answer */
    struct client client = open_client(4096);
    handshake(&client);
    for (unsigned i = 0; i < 100; i++)
        write_header(&out, "members", i);
    say(&client, br_blob_bytes(&out));
    turn();
    f.member_count = 1;
    receive(&client);
    unsigned large = 0, small = 0;
    while (client.got.size > 0) {
        uint64_t seq;
        char error[160];
        assert_true(take_header(&client, &seq, error));
        assert_int_equal(seq, large + small);
        if (skip_body(&client) > 1000)
            large++;
        else
            small++;
    }
    assert_int_equal(large + small, 100);
    assert_true(large < 20);
    br_blob_release(&out);
    close_client(&client);
}

/* ------------------------------------------------------------------ hostile clients */

/* One client sends what cannot be decoded: it is cut off and counted, its neighbour hears nothing of it. */
static void test_undecodable_input_ends_one_connection_only(void **state)
{
    struct br_rpc_stats stats;
    (void)state;
    start("");
    struct client good = open_client(0), bad = open_client(0), web = open_client(0);
    handshake(&good);
    say(&bad, br_bytes_text("\xc1"));
    say(&web, br_bytes_text("GET /members HTTP/1.1\r\nHost: x\r\n\r\n"));
    receive(&bad);
    receive(&web);
    assert_true(bad.is_closed);
    assert_true(web.is_closed);
    br_rpc_stats_get(f.rpc, &stats);
    assert_int_equal(stats.cut_malformed, 2);
    command(&good, "members", 1, NULL, NULL);
    receive(&good);
    expect_header(&good, 1, "");
    close_client(&good);
    close_client(&bad);
    close_client(&web);
}

/* A text of 2 MiB: cut off at one, and what it had sent is given back. */
static void test_oversized_object_is_cut_off(void **state)
{
    struct br_rpc_stats stats;
    uint8_t *large = calloc(1, 2u << 20);
    (void)state;
    start("");
    struct client client = open_client(0);
    memcpy(large, "\xdb\x00\x20\x00\x00", 5);
    say(&client, br_bytes(large, 2u << 20));
    receive(&client);
    assert_true(client.is_closed);
    br_rpc_stats_get(f.rpc, &stats);
    assert_int_equal(stats.cut_too_big, 1);
    free(large);
    close_client(&client);
}

/*
 * A hundred thousand members and a pattern of a thousand steps: the loop that answers probes is not held
 * up for it.
 */
static void test_filter_that_takes_too_long_is_cut_off(void **state)
{
    struct br_rpc_stats stats;
    (void)state;
    start("");
    f.member_count = 100000;
    struct client quick = open_client(0), slow = open_client(0);
    handshake(&quick);
    handshake(&slow);
    command(&quick, "members-filtered", 1, "Name", "r[ab]|nobody");
    receive(&quick);
    expect_header(&quick, 1, "");
    command(&slow, "members-filtered", 1, "Name", "(.?.?){200}z");
    receive(&slow);
    assert_true(slow.is_closed);
    assert_int_equal(slow.got.size, 0);
    br_rpc_stats_get(f.rpc, &stats);
    assert_int_equal(stats.cut_too_big, 1);
    close_client(&quick);
    close_client(&slow);
}

/* One client opens streams without end, another connections without end. */
static void test_streams_and_connections_are_bounded(void **state)
{
    struct br_rpc_stats stats;
    static struct client many[600];
    (void)state;
    start("");
    struct client client = open_client(0);
    handshake(&client);
    for (unsigned i = 1; i <= 65; i++)
        command(&client, "stream", i, "Type", "*");
    receive(&client);
    for (unsigned i = 1; i <= 64; i++)
        expect_header(&client, i, "");
    expect_header(&client, 65, "Too many streams on one connection");
    for (unsigned i = 0; i < 600; i++) {
        many[i] = open_client(0);
        turn();
    }
    br_rpc_stats_get(f.rpc, &stats);
    assert_int_equal(stats.accepted, 512);
    assert_int_equal(stats.refused, 601 - 512);
    for (unsigned i = 0; i < 600; i++)
        close_client(&many[i]);
    turn();
    close_client(&client);
    /* The places are free again. */
    turn();
    struct client late = open_client(0);
    handshake(&late);
    close_client(&late);
}

/*
 * Random bytes after a handshake, many times: the server answers, waits or closes, and is there
 * afterwards.
 */
static void test_random_bytes_do_no_harm(void **state)
{
    unsigned seed = 20260103;
    (void)state;
    print_message("seed %u\n", seed);
    srand(seed);
    start("");
    f.answers_at_once = true;
    for (unsigned round = 0; round < 300; round++) {
        uint8_t bytes[200];
        struct client client = open_client(0);
        handshake(&client);
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)rand();
        say(&client, br_bytes(bytes, 1 + (size_t)rand() % sizeof bytes));
        turn();
        close_client(&client);
    }
    struct client last = open_client(0);
    handshake(&last);
    close_client(&last);
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
        cmocka_unit_test_setup_teardown(test_query_is_responded_to_by_the_number_it_was_told_with, setup, teardown),
        cmocka_unit_test_setup_teardown(test_query_ends_with_the_client_that_asked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_event_and_query_are_answered_with_the_reason, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_pattern_ends_the_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(test_later_commands_wait_for_the_one_that_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_client_may_leave_before_its_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_server_may_close_before_the_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_join_of_nobody_and_of_too_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_streams_and_monitor_share_a_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop_ends_streams_and_monitor, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_reader_loses_events_and_stops_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(test_client_that_does_not_read_is_not_read_from, setup, teardown),
        cmocka_unit_test_setup_teardown(test_undecodable_input_ends_one_connection_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_oversized_object_is_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_filter_that_takes_too_long_is_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_streams_and_connections_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_bytes_do_no_harm, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
