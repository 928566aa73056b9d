/*
 * Events, queries and coordinates, between the engine's modules and whoever uses the agent: see agent.h.
 *
 * What arrives passes two stations before handlers and streams hear of it: queries of modules end here, and user
 * events that may be coalesced are gathered (docs/wire/serf.md section 11). What clients ask goes straight to the
 * modules, and refusals come back in Serf's words.
 */
#include "agent/agent.h"

#include <bruit/conflict.h>
#include <bruit/coord.h>
#include <bruit/event.h>
#include <bruit/query.h>

#include <stdio.h>
#include <stdlib.h>

/* Names and tags that one query may be restricted to. Its own size limit lets fewer through. */
#define FILTERS_MAX 1024

/* ------------------------------------------------------------------ user events arrive */

static void tell_user(void *context, const struct bruit_user_event *event)
{
    struct br_agent *agent = context;
    char shown[BR_LOG_SHOWN_MAX];
    br_log(&agent->log, BRUIT_TRACE_INFO, "agent", "Received event: user-event: %s",
           br_log_shown(event->name, shown));
    if (agent->rpc != NULL)
        br_rpc_user_event(agent->rpc, event);
    br_agent_react_to_user_event(agent, event);
}

static void on_users_timer(uv_timer_t *timer);

static void arm_users_timer(struct br_agent *agent)
{
    bruit_time deadline = br_user_coalescer_deadline(&agent->users);
    bruit_time now = bruit_uv_now(agent->uv);
    if (deadline == BRUIT_NEVER || agent->phase == BR_AGENT_STOPPED)
        return;
    /* The loop's clock has milliseconds: one more, lest it come early. */
    uint64_t delay = deadline > now ? (deadline - now) / BRUIT_MILLISECOND + 1 : 0;
    (void)uv_timer_start(&agent->users_timer, on_users_timer, delay, 0);
}

static void on_users_timer(uv_timer_t *timer)
{
    struct br_agent *agent = timer->data;
    if (br_user_coalescer_deadline(&agent->users) <= bruit_uv_now(agent->uv))
        br_user_coalescer_flush(&agent->users);
    else
        arm_users_timer(agent);
}

static void user_event(struct br_agent *agent, const struct bruit_event *event)
{
    struct bruit_user_event user;
    if (bruit_event_read(event, &user) != 0)
        return;
    if (!user.coalesce || br_user_coalescer_add(&agent->users, &user, bruit_uv_now(agent->uv)) != 0)
        tell_user(agent, &user);
    /* Armed already for the end of the period, or for an earlier quiet second that moves on when it comes. */
    if (!uv_is_active((const uv_handle_t *)&agent->users_timer))
        arm_users_timer(agent);
}

void br_agent_news_init(struct br_agent *agent)
{
    br_user_coalescer_init(&agent->users, tell_user, agent);
}

/* ------------------------------------------------------------------ queries, and answers to ours */

static void query_event(struct br_agent *agent, const struct bruit_event *event)
{
    struct bruit_query query;
    char shown[BR_LOG_SHOWN_MAX];
    if (bruit_query_read(event, &query) != 0 || query.is_internal)
        return;
    br_log(&agent->log, BRUIT_TRACE_INFO, "agent", "Received event: query: %s",
           br_log_shown(query.name, shown));
    if (agent->rpc != NULL)
        br_rpc_query_event(agent->rpc, &query);
    br_agent_react_to_query(agent, &query);
}

static void query_answer(struct br_agent *agent, const struct bruit_event *event)
{
    struct bruit_query_answer answer;
    if (agent->rpc != NULL && bruit_query_answer_read(event, &answer) == 0)
        br_rpc_query_answer(agent->rpc, event->request, &answer);
}

void br_agent_news(struct br_agent *agent, const struct bruit_event *event)
{
    switch (event->type) {
    case BRUIT_EVENT_USER: user_event(agent, event); break;
    case BRUIT_EVENT_QUERY: query_event(agent, event); break;
    case BRUIT_EVENT_QUERY_ACK:
    case BRUIT_EVENT_QUERY_RESPONSE: query_answer(agent, event); break;
    case BRUIT_EVENT_QUERY_DONE:
        if (agent->rpc != NULL)
            br_rpc_query_answer(agent->rpc, event->request, NULL);
        break;
    /* Others go on under our name: to say goodbye would take it away from them. */
    case BRUIT_EVENT_NAME_LOST: br_agent_stop(agent, 0); break;
    default: break; /* the trace tells people of the rest */
    }
}

/* ------------------------------------------------------------------ what clients send */

static int send_event(void *context, const struct br_rpc_request *request, char why[BR_WHY_MAX])
{
    struct br_agent *agent = context;
    struct bruit_engine *engine = bruit_uv_engine(agent->uv);
    char name[BR_LOG_SHOWN_MAX], payload[BR_LOG_SHOWN_MAX];
    br_log(&agent->log, BRUIT_TRACE_DEBUG, "agent",
           "Requesting user event send: %s. Coalesced: %s. Payload: \"%s\"",
           br_log_shown(request->name, name), request->coalesce ? "true" : "false",
           br_log_shown(request->payload, payload));
    int error =
        bruit_user_event(engine, request->name, request->payload, request->coalesce, bruit_uv_now(agent->uv));
    if (error == BRUIT_ETOOBIG)
        (void)bruit_user_event_check(engine, request->name, request->payload, why, BR_WHY_MAX);
    else if (error != 0)
        (void)snprintf(why, BR_WHY_MAX, "%s", bruit_strerror(error));
    if (error != 0)
        br_log(&agent->log, BRUIT_TRACE_WARN, "agent", "failed to send user event: %s", why);
    return error;
}

/* The lists of a request, as the engine takes them. */
struct filters {
    struct bruit_bytes *nodes;
    struct bruit_tag_filter *tags;
};

static bool make_filters(struct filters *filters, const struct br_rpc_request *request)
{
    struct br_mp_list nodes = request->nodes, tags = request->tags;
    filters->nodes = calloc(nodes.count + 1, sizeof *filters->nodes);
    filters->tags = calloc(tags.count + 1, sizeof *filters->tags);
    if (filters->nodes == NULL || filters->tags == NULL)
        return false;
    for (size_t i = 0; br_rpc_next_text(&nodes, &filters->nodes[i]); i++)
        continue;
    for (size_t i = 0; br_rpc_next_pair(&tags, &filters->tags[i].tag, &filters->tags[i].expr); i++)
        continue;
    return true;
}

/* Serf takes a time in the past, and the query is over at once. */
static bruit_time timeout_of(int64_t timeout)
{
    return timeout < 0 ? 1 : (bruit_time)timeout;
}

/* When it may end before its time: what the enum of <bruit/query.h> says, in words. False: no such word. */
static bool until_of(struct bruit_bytes word, enum bruit_query_until *out)
{
    static const char *const words[] = {
        [BRUIT_QUERY_UNTIL_TIMEOUT] = "timeout",
        [BRUIT_QUERY_UNTIL_ACKED] = "acked",
        [BRUIT_QUERY_UNTIL_RESPONDED] = "responded",
    };
    *out = BRUIT_QUERY_UNTIL_TIMEOUT;
    if (word.size == 0)
        return true;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (br_bytes_equal(word, br_bytes_string(words[i]))) {
            *out = (enum bruit_query_until)i;
            return true;
        }
    return false;
}

static int start_query(struct br_agent *agent, const struct br_rpc_request *request, uint32_t *query)
{
    struct filters filters = {.nodes = NULL};
    struct bruit_query_params params = {
        .struct_size = sizeof params,
        .name = request->name,
        .payload = request->payload,
        .node_count = request->nodes.count,
        .tag_count = request->tags.count,
        .ack = request->ack,
        .relay_factor = request->relay_factor,
        .timeout = timeout_of(request->timeout),
    };
    if (!until_of(request->until, &params.until))
        return BRUIT_EINVAL;
    if (request->nodes.count > FILTERS_MAX || request->tags.count > FILTERS_MAX)
        return BRUIT_ETOOBIG;
    int error = make_filters(&filters, request) ? 0 : BRUIT_ENOMEM;
    params.nodes = filters.nodes;
    params.tags = filters.tags;
    if (error == 0)
        error = bruit_query_start(bruit_uv_engine(agent->uv), &params, query, bruit_uv_now(agent->uv));
    free(filters.nodes);
    free(filters.tags);
    return error;
}

static int query(void *context, const struct br_rpc_request *request, uint32_t *out, char why[BR_WHY_MAX])
{
    struct br_agent *agent = context;
    char name[BR_LOG_SHOWN_MAX], payload[BR_LOG_SHOWN_MAX];
    br_log(&agent->log, BRUIT_TRACE_DEBUG, "agent", "Requesting query send: %s. Payload: \"%s\"",
           br_log_shown(request->name, name), br_log_shown(request->payload, payload));
    int error = start_query(agent, request, out);
    if (error != 0) {
        bruit_query_start_text(bruit_uv_engine(agent->uv), error, why, BR_WHY_MAX);
        br_log(&agent->log, BRUIT_TRACE_WARN, "agent", "failed to start query: %s", why);
    }
    return error;
}

static void end_query(void *context, uint32_t number)
{
    struct br_agent *agent = context;
    if (agent->uv != NULL)
        (void)bruit_query_stop(bruit_uv_engine(agent->uv), number, bruit_uv_now(agent->uv));
}

int br_agent_respond(struct br_agent *agent, uint64_t handle, struct bruit_bytes payload,
                     char why[BR_WHY_MAX])
{
    char text[BR_WHY_MAX / 2];
    struct bruit_engine *engine = bruit_uv_engine(agent->uv);
    int error = bruit_query_respond(engine, handle, payload, bruit_uv_now(agent->uv));
    if (error == 0)
        return 0;
    bruit_query_respond_text(engine, handle, payload, error, text, sizeof text);
    (void)snprintf(why, BR_WHY_MAX, "failed to respond to key query: %s", text);
    return error;
}

static int respond(void *context, uint64_t handle, struct bruit_bytes payload, char why[BR_WHY_MAX])
{
    return br_agent_respond(context, handle, payload, why);
}

static bool coordinate(void *context, struct bruit_bytes node, struct bruit_coordinate *out)
{
    const struct br_agent *agent = context;
    return bruit_coord_get(bruit_uv_engine(agent->uv), node, out) == 0;
}

static bruit_time now(void *context)
{
    const struct br_agent *agent = context;
    return bruit_uv_now(agent->uv);
}

static void kick(void *context)
{
    const struct br_agent *agent = context;
    if (agent->uv != NULL)
        bruit_uv_kick(agent->uv);
}

void br_agent_news_backend(struct br_rpc_backend *backend)
{
    backend->send_event = send_event;
    backend->query = query;
    backend->respond = respond;
    backend->end_query = end_query;
    backend->coordinate = coordinate;
    backend->now = now;
    backend->kick = kick;
}
