/*
 * Serf's warning about broadcasts that wait (docs/wire/serf.md sections 13 and 16): every 30 s, when 128 or more of
 * one kind do.
 *
 * The timer runs while a queue is that deep and for one look longer; at rest there is none. What is dropped beyond
 * 4,096 the engine tells itself (spread/broadcast.c).
 */
#include "agent/agent.h"

#include <bruit/event.h>
#include <bruit/query.h>
#include <bruit/status.h>

/* Both are Serf's numbers. */
#define DEPTH_WARNED 128
#define LOOK_MS 30000

static bool look(struct br_agent *agent, bool is_told)
{
    const struct bruit_engine *engine = bruit_uv_engine(agent->uv);
    const struct {
        const char *name;
        size_t depth;
    } queues[] = {
        {"Intent", bruit_status_queued(engine)},
        {"Query", bruit_query_queued(engine)},
        {"Event", bruit_event_queued(engine)},
    };
    bool is_deep = false;
    for (size_t i = 0; i < sizeof queues / sizeof queues[0]; i++) {
        if (queues[i].depth < DEPTH_WARNED)
            continue;
        is_deep = true;
        if (is_told)
            br_log(&agent->log, BRUIT_TRACE_WARN, "serf", "%s queue depth: %zu", queues[i].name,
                   queues[i].depth);
    }
    return is_deep;
}

static void on_depth_timer(uv_timer_t *timer)
{
    struct br_agent *agent = timer->data;
    if (agent->phase != BR_AGENT_STOPPED && agent->uv != NULL && look(agent, true))
        (void)uv_timer_start(timer, on_depth_timer, LOOK_MS, 0);
}

void br_agent_watch_queues(struct br_agent *agent)
{
    if (!uv_is_active((const uv_handle_t *)&agent->depth_timer) && look(agent, false))
        (void)uv_timer_start(&agent->depth_timer, on_depth_timer, LOOK_MS, 0);
}
