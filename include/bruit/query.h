/*
 * Queries: a question to the whole cluster, or to those whom its filters let through, and answers that come back to
 * whoever asked, for a limited time. A module.
 *
 * A query spreads as events do. A member that it is meant for acknowledges it, if asked to, and hands it to its
 * program, which may answer once until the deadline. Answers are single datagrams; `relay_factor` other members pass
 * each on, too, for networks that lose many.
 *
 * Queries whose name begins with "_serf_" are questions of modules to modules (<bruit/module.h>, bruit_host_ask);
 * `_serf_ping` is one that only wants the acknowledgement.
 *
 * Rules: docs/wire/serf.md, sections 4, 7 and 8.
 */
#ifndef BRUIT_QUERY_H
#define BRUIT_QUERY_H

#include <bruit/engine.h>
#include <bruit/module.h>

#ifdef __cplusplus
extern "C" {
#endif

/* For bruit_config.modules. */
BRUIT_API extern const struct bruit_module bruit_query_module;

/* Module events of this module. */
#define BRUIT_EVENT_QUERY (BRUIT_EVENT_MODULE + 16)          /* somebody asks: bruit_query_read() */
#define BRUIT_EVENT_QUERY_ACK (BRUIT_EVENT_MODULE + 17)      /* `request`: bruit_query_answer_read() */
#define BRUIT_EVENT_QUERY_RESPONSE (BRUIT_EVENT_MODULE + 18) /* `request`: bruit_query_answer_read() */
#define BRUIT_EVENT_QUERY_DONE (BRUIT_EVENT_MODULE + 19)     /* `request`: bruit_query_done_read() */

struct bruit_query_options {
    size_t struct_size;           /* set by bruit_query_options_default() */
    uint32_t query_size_limit;    /* of a whole query message, 1,024 bytes */
    uint32_t response_size_limit; /* of a whole response message, 1,024 bytes */
    uint32_t timeout_mult;        /* of the default timeout, 16 */
    uint32_t running_max;         /* queries of ours at once, 256 */
};

BRUIT_API void bruit_query_options_default(struct bruit_query_options *options);
/*
 * For queries from now on. Returns 0, BRUIT_ENOENT when the engine has no query module, or BRUIT_EINVAL for a
 * limit of 0 or above 65,535, or a struct_size that is not this library's.
 */
BRUIT_API int bruit_query_configure(struct bruit_engine *engine, const struct bruit_query_options *options);

/* ------------------------------------------------------------------ asking */

struct bruit_tag_filter {
    struct bruit_bytes tag;
    struct bruit_bytes expr; /* RE2's language; found anywhere in the tag's value */
};

enum bruit_query_until {
    BRUIT_QUERY_UNTIL_TIMEOUT = 0,
    BRUIT_QUERY_UNTIL_ACKED,     /* or until everybody that it is meant for has acknowledged; needs `ack` */
    BRUIT_QUERY_UNTIL_RESPONDED, /* or until everybody that it is meant for has responded, and acknowledged if `ack` */
};

/* Zero it, set struct_size, and fill in what you need. All of it is borrowed for the call. */
struct bruit_query_params {
    size_t struct_size; /* sizeof(struct bruit_query_params) */
    struct bruit_bytes name;
    struct bruit_bytes payload; /* with name, filters and our address it must fit into query_size_limit */
    const struct bruit_bytes *nodes; /* only members of these names; none: everybody */
    size_t node_count;
    const struct bruit_tag_filter *tags; /* only members whose tags match all of these */
    size_t tag_count;
    bool ack;             /* everybody whom it is meant for says that it came */
    uint8_t relay_factor; /* so many members pass each answer on, too; 0: none */
    bruit_time timeout;   /* how long from now; 0: bruit_query_default_timeout() */
    enum bruit_query_until until;
};

/*
 * Asks. Fills *request; BRUIT_EVENT_QUERY_ACK and _RESPONSE with that number follow, then _DONE in any case. The
 * query is handed to ourselves, too. "Everybody it is meant for" are the members who are alive when it starts and
 * pass its filters as far as we know them; who dies meanwhile is not waited for. Returns 0, or
 *   BRUIT_ETOOBIG  longer than query_size_limit
 *   BRUIT_ENOSYS   our delegate version is below 4
 *   BRUIT_EBUSY    running_max queries are under way
 *   BRUIT_EFULL    the clock is at its end
 *   BRUIT_EINVAL   struct_size is not this library's; or UNTIL_ACKED without `ack`
 *   BRUIT_ENOMEM, or BRUIT_ENOENT when the engine has no query module.
 */
BRUIT_API int bruit_query_start(struct bruit_engine *engine, const struct bruit_query_params *params,
                                uint32_t *request, bruit_time now);

/* Ends a query of ours early. _DONE follows. 0, or BRUIT_ENOENT. */
BRUIT_API int bruit_query_stop(struct bruit_engine *engine, uint32_t request, bruit_time now);

/* Serf's sentence for what bruit_query_start() returned, in `text`, cut to `size` bytes with the final zero. */
BRUIT_API void bruit_query_start_text(const struct bruit_engine *engine, int error, char *text, size_t size);

/* gossip_interval * timeout_mult * ceil(log10(n + 1)) with the members that are alive or suspect. */
BRUIT_API bruit_time bruit_query_default_timeout(const struct bruit_engine *engine);

struct bruit_query_answer {
    struct bruit_bytes from; /* these two live as long as the event */
    struct bruit_bytes payload;
    bool is_ack;
};

/* An ACK or a RESPONSE. Returns 0, or BRUIT_EINVAL when it is another event. */
BRUIT_API int bruit_query_answer_read(const struct bruit_event *event, struct bruit_query_answer *out);

struct bruit_query_done {
    uint32_t expected; /* how many it was meant for, as far as we know */
    uint32_t acks;
    uint32_t responses;
    bool is_early; /* everybody answered, or it was stopped: before the timeout */
};

/* A DONE. Returns 0, or BRUIT_EINVAL when it is another event. */
BRUIT_API int bruit_query_done_read(const struct bruit_event *event, struct bruit_query_done *out);

/* ------------------------------------------------------------------ being asked */

/* What a BRUIT_EVENT_QUERY carries. */
struct bruit_query {
    uint64_t handle; /* for bruit_query_respond() */
    uint64_t ltime;
    uint32_t id;
    bool wants_ack; /* which was given */
    bool is_internal; /* of modules: not for handlers. It is told for those who keep the query clock */
    uint8_t relay_factor;
    bruit_time deadline;       /* on the clock that the engine is told */
    struct bruit_addr addr;    /* of whoever asks */
    struct bruit_bytes source; /* its name; empty from old peers. These three live as long as the event */
    struct bruit_bytes name;
    struct bruit_bytes payload;
};

/* Returns 0, or BRUIT_EINVAL when it is another event. */
BRUIT_API int bruit_query_read(const struct bruit_event *event, struct bruit_query *out);

/*
 * Responds, once. A failed attempt does not count. Returns 0, or
 *   BRUIT_ETOOBIG   longer than response_size_limit, alone or inside a relay (then it was sent, but not relayed)
 *   BRUIT_EEXIST    it was responded to
 *   BRUIT_ETIMEOUT  the deadline is over, or so many queries came since that this one was forgotten
 *   BRUIT_ENOMEM, BRUIT_EFULL, or BRUIT_ENOENT when the engine has no query module.
 */
BRUIT_API int bruit_query_respond(struct bruit_engine *engine, uint64_t handle, struct bruit_bytes payload,
                                  bruit_time now);

/*
 * Serf's sentence for what bruit_query_respond() returned for the same handle and payload, in `text`, cut to `size`
 * bytes with the final zero.
 */
BRUIT_API void bruit_query_respond_text(const struct bruit_engine *engine, uint64_t handle,
                                        struct bruit_bytes payload, int error, char *text, size_t size);

/* ------------------------------------------------------------------ the clock */

/* Queries with a time below `ltime` are not answered. It never goes back. */
BRUIT_API void bruit_query_ignore_before(struct bruit_engine *engine, uint64_t ltime);

/* The query clock: the time of our next query. And past `seen` with it, as after a restart. */
BRUIT_API uint64_t bruit_query_time(const struct bruit_engine *engine);
BRUIT_API void bruit_query_witness(struct bruit_engine *engine, uint64_t seen);

/* How many queries wait to be gossiped. */
BRUIT_API size_t bruit_query_queued(const struct bruit_engine *engine);

#ifdef __cplusplus
}
#endif

#endif
