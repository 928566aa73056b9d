/*
 * A laboratory for the RPC server, shared by its tests: the server on a loop of its own, a backend of the test's
 * making, and clients that speak byte by byte over real connections. Each program has its own: everything is static.
 */
#ifndef BRUIT_TEST_AGENT_RPC_LAB_H
#define BRUIT_TEST_AGENT_RPC_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/rpc.h"
#include "codec/addr.h"

#include <errno.h>
#include <fcntl.h>
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
    uint32_t patience_ms; /* of the next server */
    struct bruit_status_member members[3];
    size_t member_count;
    struct br_rpc_call *call; /* the last one that the backend was given */
    unsigned joins;           /* how many joins it was asked for */
    char joined[256];         /* their addresses */
    bool answers_at_once;
    bool fails;     /* joins and key commands do, at once */
    int sink;       /* the log's console */
    uint32_t query; /* the last one that was started, and what was asked of it */
    bool wants_ack, wants_response;
    unsigned ended;      /* queries that nobody waits for any more */
    const char *refusal; /* what the cluster answers instead of doing as it is told, or NULL */
    uint64_t handle;     /* of the last query that was responded to */
    bruit_time now;
    struct bruit_engine *engine; /* for features of bruit's own; NULL unless the test makes one */
};

static struct fixture f;

/* ------------------------------------------------------------------ the backend */

static inline bool next_member(void *context, size_t *position, struct bruit_status_member *out)
{
    (void)context;
    if (*position >= f.member_count)
        return false;
    *out = f.members[*position % 3];
    (*position)++;
    return true;
}

static inline void take_call(struct br_rpc_call *call)
{
    if (f.fails) {
        br_rpc_answer(call, "it failed", 0);
        return;
    }
    f.call = call;
    if (f.answers_at_once) {
        f.call = NULL;
        br_rpc_answer(call, "", 2);
    }
}

static inline void on_join(void *context, struct br_rpc_call *call, const char *const *names, size_t count,
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

static inline void on_force_leave(void *context, struct br_rpc_call *call, struct bruit_bytes node,
                                  bool prune)
{
    (void)context;
    (void)node;
    (void)prune;
    take_call(call);
}

static inline void on_change_tags(void *context, struct br_rpc_call *call,
                                  const struct br_rpc_request *request)
{
    (void)context;
    (void)request;
    take_call(call);
}

static inline void on_leave(void *context, struct br_rpc_call *call)
{
    (void)context;
    take_call(call);
}

static inline void on_keys(void *context, struct br_rpc_call *call, enum br_rpc_command command,
                           struct bruit_bytes key)
{
    (void)context;
    (void)key;
    if (f.fails)
        br_rpc_answer(call, "it failed", 0);
    else if (command == BR_RPC_LIST_KEYS)
        br_rpc_answer(call, "agent is shutting down", 0);
    else
        br_rpc_answer_keys(call, "", &(struct br_rpc_keys){.nodes = 3, .responses = 3});
}

static inline void on_stats(void *context, struct br_blob *out)
{
    (void)context;
    br_rpc_write_map(out, 0);
}

static inline int refuse(char why[BR_WHY_MAX])
{
    if (f.refusal == NULL)
        return 0;
    snprintf(why, BR_WHY_MAX, "%s", f.refusal);
    return BRUIT_EINVAL;
}

static inline int on_send_event(void *context, const struct br_rpc_request *request, char why[BR_WHY_MAX])
{
    (void)context;
    (void)request;
    return refuse(why);
}

static inline int on_query(void *context, const struct br_rpc_request *request, uint32_t *query,
                           char why[BR_WHY_MAX])
{
    (void)context;
    *query = ++f.query;
    f.wants_ack = request->ack;
    f.wants_response = br_bytes_equal(request->name, br_bytes_text("qq"));
    return refuse(why);
}

static inline int on_respond(void *context, uint64_t handle, struct bruit_bytes payload, char why[BR_WHY_MAX])
{
    (void)context;
    (void)payload;
    f.handle = handle;
    return refuse(why);
}

static inline void on_end_query(void *context, uint32_t query)
{
    (void)context;
    assert_true(query > 0 && query <= f.query);
    f.ended++;
}

static inline bool on_coordinate(void *context, struct bruit_bytes node, struct bruit_coordinate *out)
{
    (void)context;
    *out = (struct bruit_coordinate){.error = 1.5, .height = 1e-5};
    return br_bytes_equal(node, br_bytes_text("ra"));
}

static inline bruit_time on_now(void *context)
{
    (void)context;
    return f.now;
}

static inline struct bruit_engine *on_engine(void *context)
{
    (void)context;
    assert_non_null(f.engine);
    return f.engine;
}

/* The whole life of a query at once, as a cluster of one would have it. */
static inline void on_kick(void *context)
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

static inline struct bruit_status_member member(const char *name, uint8_t last, const char *meta,
                                                size_t meta_size)
{
    return (struct bruit_status_member){
        .name = br_bytes_string(name),
        .meta = br_bytes(meta, meta_size),
        .addr = {.ip = {127, 0, 3, last}, .port = 7946, .size = 4},
        .versions = {1, 5, 2, 2, 5, 5},
        .status = BRUIT_STATUS_ALIVE,
    };
}

static inline void start(const char *auth)
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
                    .kick = on_kick,
                    .engine = on_engine},
        .patience_ms = f.patience_ms,
    };
    assert_int_equal(br_rpc_new(&f.rpc, &f.loop, &options, why), 0);
}

static inline int setup(void **state)
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

static inline int teardown(void **state)
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

static inline struct client open_client(int receive_buffer)
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

static inline void close_client(struct client *client)
{
    close(client->fd);
    br_blob_release(&client->got);
}

/* Turns the loop a few times, which is plenty over loopback, without reading. */
static inline void turn(void)
{
    for (unsigned i = 0; i < 20; i++)
        (void)uv_run(&f.loop, UV_RUN_NOWAIT);
}

static inline void receive(struct client *client)
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
        } else {
            (void)usleep(60); /* the server may have put something off for a millisecond */
        }
    }
}

/* Until all is said, or nobody listens any more. */
static inline void say(struct client *client, struct bruit_bytes bytes)
{
    for (unsigned refused = 0; bytes.size > 0 && refused < 50; turn()) {
        ssize_t size = send(client->fd, bytes.data, bytes.size, MSG_NOSIGNAL);
        if (size < 0 && errno != EAGAIN)
            return;
        refused = size < 0 ? refused + 1 : 0;
        if (size > 0)
            bytes = br_bytes(bytes.data + size, bytes.size - (size_t)size);
    }
}

static inline void write_header(struct br_blob *out, const char *command, uint64_t seq)
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
static inline void command(struct client *client, const char *name, uint64_t seq, const char *key,
                           const char *value)
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

static inline void handshake(struct client *client)
{
    static const char bytes[] = "\x82\xa7"
                                "Command\xa9handshake\xa3Seq\x00\x81\xa7Version\x01";
    say(client, br_bytes(bytes, sizeof bytes - 1));
    receive(client);
    assert_int_equal(client->got.size, 13); /* {Error: "", Seq: 0} */
    br_blob_consume(&client->got, 13);
}

/* Takes the next header off what the client got. */
static inline bool take_header(struct client *client, uint64_t *seq, char error[160])
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

static inline void expect_header(struct client *client, uint64_t seq, const char *error)
{
    uint64_t got_seq = 0;
    char got[160] = "nothing came";
    (void)take_header(client, &got_seq, got);
    assert_string_equal(got, error);
    assert_int_equal(got_seq, seq);
}

/* Takes one object, a body, off what the client got; returns its size. */
static inline size_t skip_body(struct client *client)
{
    size_t size;
    assert_int_equal(br_mp_scan(br_blob_bytes(&client->got), &size), 0);
    br_blob_consume(&client->got, size);
    return size;
}

#endif
