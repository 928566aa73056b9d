/*
 * Event handlers at work: scripts that the agent runs when something happens (docs/wire/serf-agent.md section 5).
 *
 * What a script is given (environment, standard input) and what becomes of its output is Serf's. When it runs is ours,
 * since one script that hangs stops all of Serf's handlers, its RPC streams and its responses to queries: every
 * configured handler has a lane of its own, in which events wait for each other in their order; lanes run side by
 * side, up to a number; a script is killed, with all it started, when its time is over; what waits is bounded and told.
 * Nothing here ever blocks the loop, and a script that prints without end is read at a bounded pace.
 *
 * At rest it has no process, no timer and no thread.
 */
#ifndef BR_AGENT_HANDLER_H
#define BR_AGENT_HANDLER_H

#include "agent/log.h"
#include "agent/script.h"

#include <bruit/event.h>
#include <bruit/query.h>
#include <bruit/status.h>
#include <uv.h>

/* The tail of a script's output that is kept: Serf's number. */
#define BR_HANDLER_OUTPUT_MAX 8192

/* Scripts at once. Each is a process of somebody else's making. */
#define BR_HANDLERS_RUNNING_MAX 32

/* What may wait: events of one handler, and bytes of all of them. */
#define BR_HANDLER_WAITING_MAX 1024
#define BR_HANDLERS_BYTES_MAX ((size_t)16 << 20)

struct br_handlers;

struct br_handlers_options {
    uv_loop_t *loop;
    struct br_log *log;
    bruit_time timeout; /* of one run; 0: none */
    /* The output of a script that a query made run, if it ended well and printed something. */
    void (*respond)(void *context, uint64_t query, struct bruit_bytes name, struct bruit_bytes output);
    /* A script ran for so long; NULL: nobody wants to know. */
    void (*ran)(void *context, struct bruit_bytes command, uint64_t ns);
    void *context;
};

/* Whose events they are. */
struct br_handler_self {
    struct bruit_bytes name;
    struct bruit_bytes meta;
};

struct br_handlers_stats {
    uint32_t running;
    uint64_t waiting; /* events that wait for their script, now */
    uint64_t started;
    uint64_t failed;  /* ended with another status than 0, or could not be started */
    uint64_t killed;  /* their time was over */
    uint64_t dropped; /* events, since too many waited */
};

/* NULL without memory. */
struct br_handlers *br_handlers_new(const struct br_handlers_options *options);

/*
 * From now on, these (copied). What runs and waits for the ones there were goes on. Returns 0 or BRUIT_ENOMEM, and then
 * nothing changed.
 */
int br_handlers_set(struct br_handlers *handlers, const struct br_scripts *scripts);

/*
 * Something happened: everything is borrowed for the call. Costs little when no handler wants it.
 */
void br_handlers_member(struct br_handlers *handlers, const struct br_handler_self *self,
                        enum bruit_status_change change, const struct bruit_status_member *members,
                        size_t count);
void br_handlers_user(struct br_handlers *handlers, const struct br_handler_self *self,
                      const struct bruit_user_event *event);
void br_handlers_query(struct br_handlers *handlers, const struct br_handler_self *self,
                       const struct bruit_query *query);

/*
 * Nothing new is begun and what waits is dropped. What runs has a second to end, and is left alone then: it is not
 * killed. Frees on a later turn of the loop. NULL is fine.
 */
void br_handlers_close(struct br_handlers *handlers);

void br_handlers_stats_get(const struct br_handlers *handlers, struct br_handlers_stats *out);

#endif
