/*
 * The RPC server: Serf's, for its command line and every program that speaks to an agent (docs/wire/serf-
 * rpc.md).
 *
 * A TCP listener on the agent's loop. It knows connections, sequence numbers and who may do what; what
 * there is to tell and what a command does, it asks of its backend. A client at rest holds no buffer. One
 * that sends nonsense is cut off; one that does not read is not read from either, and its event records
 * are dropped and counted: no client can stop the agent, and all of them together cannot make it hold more than
 * BR_RPC_HELD_MAX (client.h).
 */
#ifndef BR_AGENT_RPC_H
#define BR_AGENT_RPC_H

#include "agent/log.h"
#include "agent/request.h"
#include "agent/value.h"

#include <bruit/status.h>
#include <uv.h>

/* A command that is answered later. Lives until br_rpc_answer. */
struct br_rpc_call;

/* The agent, as the server sees it. Lists and texts are borrowed for the call. */
struct br_rpc_backend {
    void *context;
    /* All members: *position is 0 at first; false at the end. */
    bool (*next_member)(void *context, size_t *position, struct bruit_status_member *out);
    /* These take `call` and answer it, now or later. */
    void (*join)(void *context, struct br_rpc_call *call, const char *const *names, size_t count,
                 bool replay);
    void (*force_leave)(void *context, struct br_rpc_call *call, struct bruit_bytes node, bool prune);
    void (*change_tags)(void *context, struct br_rpc_call *call, const struct br_rpc_request *request);
    void (*leave)(void *context, struct br_rpc_call *call);
    /* `command` is one of the four about keys. */
    void (*keys)(void *context, struct br_rpc_call *call, enum br_rpc_command command,
                 struct bruit_bytes key);
    /* Appends the body of the answer. */
    void (*stats)(void *context, struct br_blob *out);
    /* These return 0, or an error with the sentence to answer in `why`. */
    int (*send_event)(void *context, const struct br_rpc_request *request, char why[BR_WHY_MAX]);
    int (*query)(void *context, const struct br_rpc_request *request, uint32_t *query, char why[BR_WHY_MAX]);
    int (*respond)(void *context, uint64_t handle, struct bruit_bytes payload, char why[BR_WHY_MAX]);
    /* Nobody waits for the answers to a query any more. */
    void (*end_query)(void *context, uint32_t query);
    /* False: unknown. */
    bool (*coordinate)(void *context, struct bruit_bytes node, struct bruit_coordinate *out);
    bruit_time (*now)(void *context);
    /* What features of bruit's own ask: agent/feature.h. */
    struct bruit_engine *(*engine)(void *context);
    bool has_disk; /* -data-dir */
    /* What was asked for may go out; it may report events at once. */
    void (*kick)(void *context);
};

struct br_rpc_options {
    struct bruit_addr bind;
    const char *auth;   /* NULL or "": none needed; borrowed */
    struct br_log *log; /* hears of clients, and is what they monitor */
    struct br_rpc_backend backend;
    uint32_t patience_ms; /* with a client that loses records and reads nothing; 0: BR_RPC_PATIENCE_MS */
};

/* What happened to clients so far. */
struct br_rpc_stats {
    uint64_t accepted;
    uint64_t commands;        /* carried out, or refused in an answer */
    uint64_t refused;         /* beyond the number of clients that may be there at once */
    uint64_t cut_malformed;   /* cut off: sent what cannot be decoded */
    uint64_t cut_too_big;     /* cut off: a request beyond the limits */
    uint64_t cut_output;      /* cut off: too much to hold for it */
    uint64_t cut_slow;        /* cut off: lost records, and read nothing for a long time */
    uint64_t records_dropped; /* of streams, monitors and queries, since the client did not read */
    size_t clients;           /* now */
    size_t held;              /* now: bytes of requests that are not whole, and of what clients do not read */
};

struct br_rpc;

/* Listens. Returns 0, or an error with Go's sentence in `why`. */
int br_rpc_new(struct br_rpc **out, uv_loop_t *loop, const struct br_rpc_options *options,
               char why[BR_WHY_MAX]);

/*
 * Closes every connection and frees the server on a later turn of the loop; open calls may still be
 * answered.
 */
void br_rpc_close(struct br_rpc *rpc);

/* Where it listens, the port included. */
struct bruit_addr br_rpc_bound(const struct br_rpc *rpc);

/* Answers a command: "" or the error, and for a join how many addresses worked. Frees `call`. */
void br_rpc_answer(struct br_rpc_call *call, const char *error, uint64_t joined);

/* Answers a command about keys. Frees `call`. */
void br_rpc_answer_keys(struct br_rpc_call *call, const char *error, const struct br_rpc_keys *keys);

/* A member event, for the streams that want it. */
void br_rpc_member_event(struct br_rpc *rpc, enum bruit_status_change change,
                         const struct bruit_status_member *members, size_t count);

/* A user event, and a query, for the streams that want it. */
void br_rpc_user_event(struct br_rpc *rpc, const struct bruit_user_event *event);
void br_rpc_query_event(struct br_rpc *rpc, const struct bruit_query *query);

/* An answer to a query that a client started, or, NULL, its end. */
void br_rpc_query_answer(struct br_rpc *rpc, uint32_t query, const struct bruit_query_answer *answer);

void br_rpc_stats_get(const struct br_rpc *rpc, struct br_rpc_stats *out);

#endif
