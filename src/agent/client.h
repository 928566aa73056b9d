/*
 * One RPC client, between the bytes (rpc.c) and what its commands do (command.c). Nobody else includes this.
 */
#ifndef BR_AGENT_CLIENT_H
#define BR_AGENT_CLIENT_H

#include "agent/rpc.h"
#include "base/list.h"

/* Clients at once. Serf has no bound; each costs us about 1 KiB. */
#define BR_RPC_CLIENTS_MAX 512

/* Streams of one client; each record is written once for each of them. */
#define BR_RPC_STREAMS_MAX 64

/* Who has lost records and reads nothing for so long is not slow, but stuck. Ours: Serf's agent keeps it for ever. */
#define BR_RPC_PATIENCE_MS 30000

/* Records that may wait for a client to read, per stream and per monitor: Serf's number. */
#define BR_RPC_RECORDS_MAX 512

/*
 * Bytes that may wait: beyond the first no further command is read and no record is written, beyond the
 * second the client is cut off. An answer about 65,536 members has some 20 MB.
 */
#define BR_RPC_OUTPUT_PAUSE ((size_t)4 << 20)
#define BR_RPC_OUTPUT_MAX ((size_t)64 << 20)

/*
 * Bytes that all clients together may make us hold, with what stands around them: unread requests, answers, records.
 * At half of it no more records are kept; beyond it whoever needs more is cut off. Room for an answer of the size
 * above and as much again; 200 clients that do not read 512 records each hold some 80 MB.
 */
#define BR_RPC_HELD_MAX ((size_t)192 << 20)

/*
 * How long the commands of all clients may run before everything else has its turn: far below the 500 ms in which a
 * probe wants its ack, and long enough for thousands of plain commands. One command may take longer (see below).
 */
#define BR_RPC_TURN (20 * BRUIT_MILLISECOND)

/* Members (patterns on tags) that a filter may ask for, and names that one join may have. */
#define BR_RPC_FILTERS_MAX 64
#define BR_RPC_JOIN_MAX 1024

/*
 * Steps of patterns times characters that one filter may cost: some 100 ms, after which the client is cut
 * off. A pattern of ten steps over 65,536 names of twenty characters costs a tenth of it.
 */
#define BR_RPC_MATCHING_MAX 100000000u

struct br_rpc {
    uv_tcp_t listener;
    struct br_rpc_options options;
    struct br_list clients;
    size_t client_count;
    struct br_rpc_stats stats;
    size_t
        handle_count; /* the listener, the timer, and the clients that are not closed yet; the last one frees */
    size_t held;      /* bytes, by all clients */
    uv_timer_t turn_timer;
    struct br_list turns; /* of struct br_client: those whose commands wait for the next turn */
    uint64_t turn;        /* the loop's clock, ms */
    bruit_time spent;     /* on commands in this turn */
    struct br_list kv_waits, kv_watches; /* rpc_kv.c's */
};

/* The longest filter of a stream, and how many queries a client may still respond to: it forgets the oldest. */
#define BR_RPC_FILTER_MAX ((size_t)16 << 10)
#define BR_RPC_ASKED_MAX 1024

/* A subscription to events, to the answers to a query, or to the log: records carry its sequence number. */
struct br_rpc_stream {
    struct br_list link;
    uint64_t seq;
    uint32_t mask;  /* enum bruit_status_change bits that are wanted, and of all user events and queries */
    uint32_t query; /* of a query: the engine's number for it */
    struct br_blob named; /* the filter, when it names user events or queries */
    uint32_t waiting;     /* records written and not yet with the kernel */
};

/* A query that a stream told of, and that may be responded to. */
struct br_rpc_asked {
    struct br_list link;
    uint64_t id; /* as told: 1, 2, 3... for each client */
    uint64_t handle;
    bruit_time deadline;
};

struct br_client {
    uv_tcp_t tcp;
    struct br_list link;
    struct br_list turn; /* in br_rpc.turns, or in no list */
    struct br_rpc *rpc;
    struct bruit_addr peer;
    struct br_rpc_decoder decoder;
    struct br_blob input;
    size_t input_held; /* bytes of it that count in br_rpc.held */
    uv_shutdown_t shutdown;
    struct br_rpc_call *call; /* the command that is being carried out, or NULL */
    struct br_list streams;
    struct br_list queries; /* of struct br_rpc_stream: what this client asked the cluster */
    struct br_list asked;   /* of struct br_rpc_asked, the oldest first */
    size_t asked_count;
    uint64_t asked_last; /* the last id given */
    struct br_rpc_stream monitor;
    int monitor_level; /* 0: no monitor */
    bool has_shaken_hands;
    bool is_authenticated;
    bool is_reading;
    bool is_taking; /* commands are being carried out, up the stack */
    bool is_ending; /* it was told the last thing, and may read that */
    bool is_closing;
    bool is_dropping;     /* records, and the log was told */
    uint64_t dropped;     /* records, since then */
    uint64_t stuck_since; /* the same: since when it has read nothing; while is_dropping */
    uint64_t quiet_until; /* the loop's clock, ms: before, the log is not told again */
    size_t thrown_away;   /* bytes that came after the end */
};

struct br_rpc_call {
    struct br_client *client; /* NULL: it went away meanwhile */
    uint64_t seq;
    enum br_rpc_command command;
};

/* ---- rpc.c: bytes ---- */

/* Sends what is in `out` and leaves it empty. `stream` NULL: an answer; else a record of that stream. */
void br_client_send(struct br_client *client, struct br_blob *out, struct br_rpc_stream *stream);

/* Ends it because of something it did: counted under `counter`, and logged. */
void br_client_cut_off(struct br_client *client, uint64_t *counter, const char *reason);

/* Ends the connection. The client stays readable until the loop turns. */
void br_client_close(struct br_client *client);

/*
 * Ends it after an answer: no more is taken from the client or sent to it, but what waits goes out. To close at once
 * would lose that, and what the kernel holds too if something of the client's was not read.
 */
void br_client_finish(struct br_client *client);

/* After a call was answered, or a turn has come: goes on with the commands that came meanwhile. */
void br_client_resume(struct br_client *client);

/* ---- flow.c: how much ---- */

/* Whether another command may be carried out in this turn of the loop; if not, br_client_resume will be called. */
bool br_client_may_go_on(struct br_client *client);
void br_client_spend(struct br_client *client, bruit_time elapsed);
void br_client_wait_for_turn(struct br_client *client);

/* Whether that many bytes more may be held for it; and that they are, or are not any more. */
bool br_client_can_hold(const struct br_client *client, size_t size);
void br_client_hold(struct br_client *client, size_t size);
void br_client_let_go(struct br_client *client, size_t size);

bool br_client_is_output_full(const struct br_client *client);

/* Whether a record of this stream may be sent now; counts it as dropped if not. */
bool br_client_has_room(struct br_client *client, const struct br_rpc_stream *stream);

/* Tells the log when records of the client began to be dropped; to be called after records were sent. */
void br_client_tell_dropping(struct br_client *client);
/* The same when it has read all that waited, and when it goes away. */
void br_client_has_read(struct br_client *client);
void br_client_is_gone(struct br_client *client);

/* ---- command.c: meaning ---- */

void br_client_execute(struct br_client *client, const struct br_rpc_request *request);
void br_client_log_line(struct br_client *client, const struct br_log_line *line);
void br_client_member_event(struct br_client *client, enum bruit_status_change change,
                            const struct bruit_status_member *members, size_t count);
void br_client_user_event(struct br_client *client, const struct bruit_user_event *event);
void br_client_query_event(struct br_client *client, const struct bruit_query *query);
void br_client_forget_streams(struct br_client *client);
void br_client_answer(struct br_client *client, uint64_t seq, const char *error);

/* ---- question.c: what clients ask of the cluster, and answer it ---- */

void br_client_send_event(struct br_client *client, const struct br_rpc_request *request);
void br_client_query(struct br_client *client, const struct br_rpc_request *request);
void br_client_respond(struct br_client *client, const struct br_rpc_request *request);
void br_client_get_coordinate(struct br_client *client, const struct br_rpc_request *request);
/* An answer to a query, or, NULL, its end. False: the query is not this client's. */
bool br_client_query_answer(struct br_client *client, uint32_t query,
                            const struct bruit_query_answer *answer);
/* The id by which the client may respond to it; 0 without memory. */
uint64_t br_client_remember(struct br_client *client, const struct bruit_query *query);
void br_client_forget_queries(struct br_client *client);

#endif
