/* How the agent joins: at start, again and again, and when asked to; see agent.h. */
#include "agent/agent.h"

#include "agent/blob.h"
#include "agent/value.h"
#include "codec/addr.h"

#include <bruit/event.h>

#include <stdio.h>
#include <stdlib.h>

/* What Serf says when its own state forbids it. */
#define TOO_LATE "Serf can't Join after Leave or Shutdown"

/* What bruit_uv_join_names() takes at once. */
#define NAMES_MAX 1024

/* One of the RPC's joins under way. */
struct rpc_join {
    struct br_agent *agent;
    struct br_rpc_call *call;
};

static void on_start_joined(struct bruit_uv *uv, void *context, const struct bruit_uv_joined *joined);
static void on_retry_joined(struct bruit_uv *uv, void *context, const struct bruit_uv_joined *joined);
static void on_rpc_joined(struct bruit_uv *uv, void *context, const struct bruit_uv_joined *joined);
static void on_found_joined(struct bruit_uv *uv, void *context, const struct bruit_uv_joined *joined);

/* ------------------------------------------------------------------ what went wrong, in Go's words */

/* What the driver's sentence has behind the words of the error, else these. */
static const char *detail_of(const struct bruit_uv_join_result *result)
{
    const char *reason = bruit_strerror(result->error);
    const char *at = strstr(result->text, reason);
    size_t size = strlen(reason);
    return at != NULL && strncmp(at + size, ": ", 2) == 0 ? at + size + 2 : reason;
}

static void describe(const struct bruit_uv_join_result *result, struct br_blob *out)
{
    char ip[BRUIT_ADDR_TEXT_MAX], addr[BRUIT_ADDR_TEXT_MAX];
    if (result->addr.size == 0) {
        br_blob_text(out, result->text);
        return;
    }
    struct bruit_addr shown = br_addr_unmapped(&result->addr);
    br_addr_format_ip(&shown, ip);
    br_addr_format(&shown, addr);
    br_blob_printf(out, "Failed to join %s: ", ip);
    switch (result->error) {
    case BRUIT_EREFUSED: br_blob_printf(out, "dial tcp %s: connect: connection refused", addr); break;
    case BRUIT_EUNREACHABLE: br_blob_printf(out, "dial tcp %s: connect: no route to host", addr); break;
    case BRUIT_ETIMEOUT: br_blob_printf(out, "dial tcp %s: i/o timeout", addr); break;
    case BRUIT_ERESET: br_blob_printf(out, "read tcp %s: read: connection reset by peer", addr); break;
    case BRUIT_EREMOTE: br_blob_printf(out, "remote error: %s", detail_of(result)); break;
    default: br_blob_text(out, detail_of(result)); break;
    }
}

void br_join_error(const struct bruit_uv_joined *joined, struct br_blob *out)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < joined->count; i++)
        count += joined->results[i].error != 0;
    br_blob_printf(out, "%u error%s occurred:\n", count, count == 1 ? "" : "s");
    for (uint32_t i = 0; i < joined->count; i++) {
        if (joined->results[i].error == 0)
            continue;
        br_blob_text(out, "\t* ");
        describe(&joined->results[i], out);
        br_blob_text(out, "\n");
    }
    br_blob_text(out, "\n");
}

/* Logs how a join ended; returns its error text in `out`, which stays empty when somebody was reached. */
static void conclude(struct br_agent *agent, const struct bruit_uv_joined *joined, struct br_blob *out)
{
    if (joined->contacted > 0) {
        br_log(&agent->log, BRUIT_TRACE_INFO, "agent", "joined: %u nodes", joined->contacted);
        return;
    }
    if (agent->phase == BR_AGENT_LEAVING || agent->phase == BR_AGENT_STOPPED)
        br_blob_text(out, TOO_LATE);
    else
        br_join_error(joined, out);
    br_log(&agent->log, BRUIT_TRACE_WARN, "agent", "error joining: %s", br_blob_string(out));
}

static int begin(struct br_agent *agent, const char *const *names, size_t count, bool replay,
                 bruit_uv_joined_fn done, void *context)
{
    struct br_blob list = BR_BLOB_EMPTY;
    char shown[BR_LOG_SHOWN_MAX];
    for (size_t i = 0; i < count; i++)
        br_blob_printf(&list, "%s%s", i == 0 ? "" : " ", br_log_shown(br_bytes_string(names[i]), shown));
    br_log(&agent->log, BRUIT_TRACE_INFO, "agent", "joining: [%s] replay: %s", br_blob_string(&list),
           replay ? "true" : "false");
    br_blob_release(&list);
    return bruit_uv_join_names(agent->uv, names, count, replay ? 0 : BRUIT_JOIN_IGNORE_OLD, done, context);
}

static const char *reason_of(int error)
{
    return error == BRUIT_ECLOSED ? TOO_LATE : bruit_strerror(error);
}

/* ------------------------------------------------------------------ at start */

void br_agent_start_join(struct br_agent *agent)
{
    const struct br_values *names = &agent->options.join;
    if (names->count == 0) {
        br_agent_joined(agent);
        return;
    }
    bool replay = agent->options.replay;
    br_log_note(&agent->log, "Joining cluster...(replay: %s)", replay ? "true" : "false");
    int error = begin(agent, names->items, names->count, replay, on_start_joined, agent);
    if (error == 0)
        return;
    br_log_note(&agent->log, "%s", reason_of(error));
    br_agent_stop(agent, 1);
}

static void on_start_joined(struct bruit_uv *uv, void *context, const struct bruit_uv_joined *joined)
{
    struct br_agent *agent = context;
    struct br_blob error = BR_BLOB_EMPTY;
    (void)uv;
    if (agent->phase != BR_AGENT_STARTING)
        return;
    conclude(agent, joined, &error);
    if (joined->contacted > 0) {
        br_log_detail(&agent->log, "Join completed. Synced with %u initial agents", joined->contacted);
        br_agent_joined(agent);
    } else {
        br_log_note(&agent->log, "%s", br_blob_string(&error));
        br_agent_stop(agent, 1);
    }
    br_blob_release(&error);
}

/* ------------------------------------------------------------------ again and again */

static void on_retry_timer(uv_timer_t *timer)
{
    br_agent_retry_join(timer->data);
}

/* One attempt in the first place, and retry_max more. */
static void retry_later(struct br_agent *agent, const char *reason)
{
    char interval[32];
    int64_t max = agent->options.retry_max;
    agent->retries++;
    if (max > 0 && agent->retries > max) {
        br_log(&agent->log, BRUIT_TRACE_ERROR, "agent", "maximum retry join attempts made, exiting");
        br_agent_stop(agent, 1);
        return;
    }
    br_duration_format(agent->options.retry_interval, interval);
    br_log(&agent->log, BRUIT_TRACE_WARN, "agent", "Join failed: %s, retrying in %s", reason, interval);
    (void)uv_timer_start(&agent->retry_timer, on_retry_timer,
                         agent->options.retry_interval / BRUIT_MILLISECOND, 0);
}

void br_agent_retry_join(struct br_agent *agent)
{
    const struct br_values *names = &agent->options.retry_join;
    if (names->count == 0 || agent->phase != BR_AGENT_RUNNING)
        return;
    bool replay = agent->options.replay;
    br_log(&agent->log, BRUIT_TRACE_INFO, "agent", "Joining cluster...(replay: %s)", replay ? "true" : "false");
    int error = begin(agent, names->items, names->count, replay, on_retry_joined, agent);
    if (error != 0)
        retry_later(agent, reason_of(error));
}

static void on_retry_joined(struct bruit_uv *uv, void *context, const struct bruit_uv_joined *joined)
{
    struct br_agent *agent = context;
    struct br_blob error = BR_BLOB_EMPTY;
    (void)uv;
    if (agent->phase != BR_AGENT_RUNNING)
        return;
    conclude(agent, joined, &error);
    if (joined->contacted > 0)
        br_log(&agent->log, BRUIT_TRACE_INFO, "agent", "Join completed. Synced with %u initial agents",
               joined->contacted);
    else
        retry_later(agent, br_blob_string(&error));
    br_blob_release(&error);
}

/* ------------------------------------------------------------------ when asked to */

void br_agent_rpc_join(struct br_agent *agent, struct br_rpc_call *call, const char *const *names,
                       size_t count, bool replay)
{
    struct rpc_join *join = malloc(sizeof *join);
    int error = BRUIT_ENOMEM;
    if (join != NULL) {
        *join = (struct rpc_join){.agent = agent, .call = call};
        error = agent->phase == BR_AGENT_LEAVING ? BRUIT_ECLOSED
                                                 : begin(agent, names, count, replay, on_rpc_joined, join);
    }
    if (error == 0)
        return;
    free(join);
    br_rpc_answer(call, reason_of(error), 0);
}

static void on_rpc_joined(struct bruit_uv *uv, void *context, const struct bruit_uv_joined *joined)
{
    struct rpc_join *join = context;
    struct br_blob error = BR_BLOB_EMPTY;
    (void)uv;
    conclude(join->agent, joined, &error);
    br_rpc_answer(join->call, br_blob_string(&error), joined->contacted);
    br_blob_release(&error);
    free(join);
}

/* ------------------------------------------------------------------ what discovery found */

static void tell_found(struct br_agent *agent, const char *error)
{
    br_log(&agent->log, BRUIT_TRACE_ERROR, "agent.mdns", "Failed to join: %s", error);
}

/* One join of at most so many as a join may have. */
static void join_some(struct br_agent *agent, const struct bruit_addr *addrs, size_t count)
{
    char(*texts)[BRUIT_ADDR_TEXT_MAX] = malloc(count * sizeof *texts);
    const char **names = malloc(count * sizeof *names);
    int error = BRUIT_ENOMEM;
    if (texts != NULL && names != NULL) {
        for (size_t i = 0; i < count; i++) {
            (void)br_addr_format(&addrs[i], texts[i]);
            names[i] = texts[i];
        }
        error = begin(agent, names, count, agent->options.replay, on_found_joined, agent);
    }
    if (error != 0)
        tell_found(agent, reason_of(error));
    free(texts);
    free(names);
}

void br_agent_join_found(struct br_agent *agent, const struct bruit_addr *addrs, size_t count)
{
    while (count > 0 && agent->uv != NULL && agent->phase < BR_AGENT_LEAVING) {
        size_t some = count < NAMES_MAX ? count : NAMES_MAX;
        join_some(agent, addrs, some);
        addrs += some;
        count -= some;
    }
}

static void on_found_joined(struct bruit_uv *uv, void *context, const struct bruit_uv_joined *joined)
{
    struct br_agent *agent = context;
    struct br_blob error = BR_BLOB_EMPTY;
    (void)uv;
    if (agent->phase >= BR_AGENT_LEAVING)
        return;
    conclude(agent, joined, &error);
    if (joined->contacted > 0)
        br_log(&agent->log, BRUIT_TRACE_INFO, "agent.mdns", "Joined %u hosts", joined->contacted);
    else
        tell_found(agent, br_blob_string(&error));
    br_blob_release(&error);
}
