/*
 * The agent: one member of a cluster as a process of its own, in the place of `serf agent`.
 *
 * It ties together what others do: the driver runs the engine, the RPC server talks to clients, the log to
 * people. Its own are the order in which things start and stop, signals, and joining (docs/wire/serf-
 * agent.md sections 3.4, 3.5 and 4).
 *
 * At rest it has one thread and no timer but the engine's: every timer here is armed when something is
 * awaited.
 */
#ifndef BR_AGENT_AGENT_H
#define BR_AGENT_AGENT_H

#include "agent/coalesce.h"
#include "agent/coalesce_user.h"
#include "agent/log.h"
#include "agent/options.h"
#include "agent/rpc.h"
#include "agent/syslog.h"
#include "base/list.h"

#include <bruit/cipher.h>
#include <bruit/uv.h>
#include <uv.h>

/* Runs an agent until it is told to stop; `argv` is what follows `bruit agent`. Returns the exit code. */
int br_agent_main(int argc, char **argv);

enum br_agent_phase {
    BR_AGENT_STARTING, /* until the joins of the command line are done */
    BR_AGENT_RUNNING,
    BR_AGENT_LEAVING,
    BR_AGENT_STOPPED, /* everything is being closed */
};

/* A command of the RPC that waits for an event of the engine. */
struct br_agent_wait {
    struct br_list link;
    struct br_rpc_call *call;
    uint32_t request; /* which event; 0 when there is only one kind */
};

struct br_agent_memory;
struct br_agent_store;
struct br_handlers;
struct br_mdns;
struct br_agent_measure;
struct br_agent_keys;

struct br_agent {
    int argc; /* the command line, which a reload reads again */
    char **argv;
    struct br_options options;
    struct br_log log;
    struct br_syslog syslog;
    enum br_agent_phase phase;
    int exit_code;
    bool has_left;
    bool is_signalled; /* the next signal ends the patience */

    uv_loop_t loop;
    struct bruit_uv *uv;
    struct br_rpc *rpc;
    struct bruit_cipher cipher;
    bool has_cipher;
    struct br_coalescer coalescer;
    struct br_user_coalescer users; /* user events that are being gathered */

    uv_signal_t interrupt, terminate, hangup;
    uv_timer_t coalesce_timer;
    uv_timer_t users_timer;
    uv_timer_t leave_timer;  /* how long a leave asked for by a signal may take */
    uv_timer_t linger_timer; /* after leaving, how long we go on answering */
    uv_timer_t retry_timer;
    uv_timer_t tags_timer; /* how long the news of changed tags may take */
    uv_timer_t memory_timer;
    uv_timer_t depth_timer; /* until the depth of the queues is looked at again */
    bool has_handles;       /* the eleven above are initialised */

    struct br_handlers *handlers;   /* NULL: there are none, and were none */
    struct br_agent_memory *memory; /* NULL: there is no snapshot */
    struct br_agent_store *store;   /* NULL: no -data-dir */
    bruit_time wall_told_at;        /* rpc_kv.c: when replicated state last heard what time it is */
    struct br_mdns *mdns;           /* NULL: no -discover */
    struct br_agent_measure *measure;
    int64_t retries;              /* failures of -retry-join so far */
    struct br_list tags_waits;    /* of struct br_agent_wait */
    struct br_list removal_waits; /* force-leave */
    struct br_rpc_call *leave_call;
    struct br_agent_keys *keys; /* the key command that is under way, or NULL */
};

/* ---- agent.c ---- */

/* Closes everything; the process ends with `exit_code`. The first call counts. */
void br_agent_stop(struct br_agent *agent, int exit_code);

/* Begins to leave. Returns 0 or an error; BRUIT_EVENT_LEAVE_DONE follows 0. */
int br_agent_leave(struct br_agent *agent);

/* The joins of the command line are done: tell the world, and begin the ones that are tried again. */
void br_agent_joined(struct br_agent *agent);

/* ---- memory.c ---- */

/*
 * The snapshot: opened before there is an engine, restored into it, kept up to date, told of our leave, and stopped
 * while there still is one. All of them do nothing without -snapshot.
 */
int br_agent_memory_open(struct br_agent *agent, char why[BR_WHY_MAX]);
void br_agent_memory_restore(struct br_agent *agent);
void br_agent_memory_keep(struct br_agent *agent, const struct bruit_event *event);
void br_agent_memory_leave(struct br_agent *agent);
void br_agent_memory_stop(struct br_agent *agent);
void br_agent_memory_close(struct br_agent *agent);

/* Joins one after the other of those the snapshot knows, until one answers; in the background. */
void br_agent_rejoin(struct br_agent *agent);

/* ---- store.c ---- */

/*
 * -data-dir: opened before there is an engine, filling in the driver's options; loaded into the engine before
 * anything else is; closed when the driver is gone. Without -data-dir all of them do nothing.
 */
int br_agent_store_open(struct br_agent *agent, struct bruit_uv_options *uv, char why[BR_WHY_MAX]);
int br_agent_store_load(struct br_agent *agent, char why[BR_WHY_MAX]);
void br_agent_store_close(struct br_agent *agent);

/* ---- react.c ---- */

/* Event handlers: these from now on. Returns 0 or BRUIT_ENOMEM. */
int br_agent_set_handlers(struct br_agent *agent, const struct br_scripts *scripts);
void br_agent_close_handlers(struct br_agent *agent);

/* What happened, for the handlers that want it. Borrowed for the call. */
void br_agent_react_to_members(struct br_agent *agent, enum bruit_status_change change,
                               const struct bruit_status_member *members, size_t count);
struct bruit_user_event;
void br_agent_react_to_user_event(struct br_agent *agent, const struct bruit_user_event *event);
struct bruit_query;
void br_agent_react_to_query(struct br_agent *agent, const struct bruit_query *query);

/* ---- join.c ---- */

/* -join: once, then br_agent_joined; the agent stops when nobody was reached. */
void br_agent_start_join(struct br_agent *agent);

/* -retry-join: in the background, until somebody was reached. */
void br_agent_retry_join(struct br_agent *agent);

/* The RPC's. */
void br_agent_rpc_join(struct br_agent *agent, struct br_rpc_call *call, const char *const *names,
                       size_t count, bool replay);

/* What discovery found, all at once; in the background. */
void br_agent_join_found(struct br_agent *agent, const struct bruit_addr *addrs, size_t count);

/* Serf's text about a join that reached nobody: every failure on a line of its own. */
void br_join_error(const struct bruit_uv_joined *joined, struct br_blob *out);

/* ---- discover.c ---- */

/* -discover, if it was asked for. Returns 0, or an error that has been told. */
int br_agent_discover(struct br_agent *agent);
void br_agent_stop_discovery(struct br_agent *agent);

/* ---- measure.c ---- */

/* Metrics: SIGUSR1, and the sinks that were asked for. Returns 0, or an error that has been told. */
int br_agent_measure_open(struct br_agent *agent);
void br_agent_measure_close(struct br_agent *agent);

/* An event of the engine; something that took `ns`, under a key in Serf's form and a name that may be empty. */
void br_agent_measure_event(struct br_agent *agent, const struct bruit_event *event);
void br_agent_measure_time(struct br_agent *agent, const char *key, struct bruit_bytes name, uint64_t ns);

/* ---- news.c ---- */

/* Before the engine is there. */
void br_agent_news_init(struct br_agent *agent);

/* An event of the engine that is about user events, queries or our name. */
void br_agent_news(struct br_agent *agent, const struct bruit_event *event);

/* Answers a query that came to us; 0, or an error with Serf's sentence. Kick the driver afterwards. */
int br_agent_respond(struct br_agent *agent, uint64_t handle, struct bruit_bytes payload, char why[BR_WHY_MAX]);

/* Fills in what clients do with events, queries and coordinates. */
void br_agent_news_backend(struct br_rpc_backend *backend);

/* ---- depth.c ---- */

/* Something happened that may have been put into a queue of broadcasts. */
void br_agent_watch_queues(struct br_agent *agent);

/* ---- keyring.c ---- */

/* Has the ring kept in the keyring file, if there is one. */
void br_agent_keyring_init(struct br_agent *agent);

/* An event of the engine that is about the keys of the cluster. */
void br_agent_keyring_event(struct br_agent *agent, const struct bruit_event *event);

/* Answers whoever waits: the agent stops. */
void br_agent_keyring_give_up(struct br_agent *agent);

/* The RPC's. */
void br_agent_rpc_keys(void *context, struct br_rpc_call *call, enum br_rpc_command command,
                       struct bruit_bytes key);

/* ---- backend.c ---- */

/* What the RPC server asks of the agent. */
struct br_rpc_backend br_agent_backend(struct br_agent *agent);

/* Events of the engine that somebody waits for. */
void br_agent_meta_done(struct br_agent *agent, const char *error);
void br_agent_removal_done(struct br_agent *agent, uint32_t request, int error);

/* Answers everybody who still waits: the agent stops. */
void br_agent_give_up_waits(struct br_agent *agent);

/* Sets the tags to those of the command line. */
void br_agent_reset_tags(struct br_agent *agent);

#endif
