/*
 * The agent's event handlers: what happens goes to the scripts, what they answer to queries goes back; see agent.h.
 *
 * The scripts themselves are handler.c's. They are made when there is something to run for the first time, so that an
 * agent without handlers has nothing of it.
 */
#include "agent/agent.h"

#include "agent/handler.h"

#include <bruit/member.h>
#include <bruit/query.h>

/* The output of a script is the response; the first counts, and what is wrong with it goes to the log. */
static void respond(void *context, uint64_t query, struct bruit_bytes name, struct bruit_bytes output)
{
    struct br_agent *agent = context;
    char why[BR_WHY_MAX], shown[BR_LOG_SHOWN_MAX];
    if (agent->uv == NULL || agent->phase == BR_AGENT_STOPPED)
        return;
    if (br_agent_respond(agent, query, output, why) != 0)
        br_log(&agent->log, BRUIT_TRACE_WARN, "agent", "Failed to respond to query 'query: %s': %s",
               br_log_shown(name, shown), why);
    bruit_uv_kick(agent->uv);
}

static void ran(void *context, struct bruit_bytes command, uint64_t ns)
{
    br_agent_measure_time(context, "agent.invoke", command, ns);
}

int br_agent_set_handlers(struct br_agent *agent, const struct br_scripts *scripts)
{
    const struct br_handlers_options options = {
        .loop = &agent->loop,
        .log = &agent->log,
        .timeout = agent->options.handler_timeout,
        .respond = respond,
        .ran = ran,
        .context = agent,
    };
    if (agent->handlers == NULL && scripts->count == 0)
        return 0;
    if (agent->handlers == NULL)
        agent->handlers = br_handlers_new(&options);
    return agent->handlers == NULL ? BRUIT_ENOMEM : br_handlers_set(agent->handlers, scripts);
}

void br_agent_close_handlers(struct br_agent *agent)
{
    br_handlers_close(agent->handlers);
    agent->handlers = NULL;
}

/* As we are now: tags may have changed since the start. */
static struct br_handler_self self_of(const struct br_agent *agent)
{
    const struct bruit_engine *engine = bruit_uv_engine(agent->uv);
    struct br_handler_self self = {.name = br_bytes_string(agent->options.name), .meta = br_bytes("", 0)};
    struct bruit_member member;
    if (bruit_member_get(engine, bruit_member_self(engine), &member) == 0)
        self.meta = member.meta;
    return self;
}

void br_agent_react_to_members(struct br_agent *agent, enum bruit_status_change change,
                               const struct bruit_status_member *members, size_t count)
{
    if (agent->handlers == NULL || agent->uv == NULL)
        return;
    struct br_handler_self self = self_of(agent);
    br_handlers_member(agent->handlers, &self, change, members, count);
}

void br_agent_react_to_user_event(struct br_agent *agent, const struct bruit_user_event *event)
{
    if (agent->handlers == NULL || agent->uv == NULL)
        return;
    struct br_handler_self self = self_of(agent);
    br_handlers_user(agent->handlers, &self, event);
}

void br_agent_react_to_query(struct br_agent *agent, const struct bruit_query *query)
{
    if (agent->handlers == NULL || agent->uv == NULL)
        return;
    struct br_handler_self self = self_of(agent);
    br_handlers_query(agent->handlers, &self, query);
}
