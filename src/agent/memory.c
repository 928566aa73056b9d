/*
 * What the agent remembers between two lives: the snapshot file, kept up to date from the engine's events, and the
 * way back into the cluster that it knew (docs/wire/serf.md section 12.5); see agent.h.
 */
#include "agent/agent.h"

#include "agent/snapshot.h"

#include <bruit/event.h>
#include <bruit/query.h>
#include <bruit/status.h>

#include <stdio.h>
#include <stdlib.h>

/*
 * The member clock moves without events, too. Serf looks at it every 500 ms; we do as long as something is written,
 * and ten times as rarely at rest. What a crash can lose of it a push/pull brings back.
 */
#define BUSY_TICK_MS 500
#define REST_TICK_MS 5000

struct known {
    char *name;
    char *addr;
};

/* Who was there, in the order in which they are tried. */
struct br_agent_memory {
    struct br_snapshot *snapshot;
    struct known *known;
    size_t count;
    size_t next;
};

static void shuffle(struct br_agent_memory *memory);
static bool copy_known(struct br_agent_memory *memory, struct bruit_bytes self);
static void try_next(struct br_agent *agent);

int br_agent_memory_open(struct br_agent *agent, char why[BR_WHY_MAX])
{
    const struct br_options *options = &agent->options;
    struct br_agent_memory *memory;
    if (options->snapshot == NULL || options->snapshot[0] == 0)
        return 0;
    memory = agent->memory = calloc(1, sizeof *memory);
    int error = BRUIT_ENOMEM;
    if (memory != NULL)
        error = br_snapshot_open(&memory->snapshot, options->snapshot, options->rejoin, &agent->log, why);
    if (error == 0 && !copy_known(memory, br_bytes_string(options->name)))
        error = BRUIT_ENOMEM;
    if (error == BRUIT_ENOMEM)
        (void)snprintf(why, BR_WHY_MAX, "out of memory");
    return error;
}

void br_agent_memory_restore(struct br_agent *agent)
{
    struct bruit_engine *engine = bruit_uv_engine(agent->uv);
    if (agent->memory == NULL)
        return;
    struct br_snapshot_clocks clocks = br_snapshot_clocks(agent->memory->snapshot);
    bruit_status_witness(engine, clocks.member);
    bruit_event_witness(engine, clocks.event);
    bruit_query_witness(engine, clocks.query);
    if (clocks.event < UINT64_MAX)
        bruit_event_ignore_before(engine, clocks.event + 1);
    if (clocks.query < UINT64_MAX)
        bruit_query_ignore_before(engine, clocks.query + 1);
}

void br_agent_memory_close(struct br_agent *agent)
{
    struct br_agent_memory *memory = agent->memory;
    if (memory == NULL)
        return;
    br_snapshot_close(memory->snapshot);
    for (size_t i = 0; i < memory->count; i++) {
        free(memory->known[i].name);
        free(memory->known[i].addr);
    }
    free(memory->known);
    free(memory);
    agent->memory = NULL;
}

/* ------------------------------------------------------------------ keeping it up to date */

static void look_at_clock(struct br_agent *agent)
{
    struct bruit_status_counts counts;
    bruit_status_counts(bruit_uv_engine(agent->uv), &counts);
    if (counts.member_time > 0)
        br_snapshot_member_clock(agent->memory->snapshot, counts.member_time - 1, bruit_uv_now(agent->uv));
}

static void arm(struct br_agent *agent, uint64_t delay_ms);

static void on_tick(uv_timer_t *timer)
{
    struct br_agent *agent = timer->data;
    if (agent->memory == NULL || agent->uv == NULL || agent->phase == BR_AGENT_STOPPED)
        return;
    look_at_clock(agent);
    arm(agent,
        br_snapshot_flush(agent->memory->snapshot, bruit_uv_now(agent->uv)) ? BUSY_TICK_MS : REST_TICK_MS);
}

static void arm(struct br_agent *agent, uint64_t delay_ms)
{
    (void)uv_timer_start(&agent->memory_timer, on_tick, delay_ms, 0);
}

static void keep_member(struct br_agent *agent, const struct bruit_event *event)
{
    struct br_snapshot *snapshot = agent->memory->snapshot;
    bruit_time now = bruit_uv_now(agent->uv);
    struct bruit_status_member member;
    if (bruit_status_event(event, &member) != 0)
        return;
    if (event->changes == BRUIT_MEMBER_JOIN)
        br_snapshot_alive(snapshot, member.name, &member.addr, now);
    else if (event->changes == BRUIT_MEMBER_LEAVE || event->changes == BRUIT_MEMBER_FAILED)
        br_snapshot_not_alive(snapshot, member.name, now);
    look_at_clock(agent);
}

void br_agent_memory_keep(struct br_agent *agent, const struct bruit_event *event)
{
    struct bruit_user_event user;
    struct bruit_query query;
    if (agent->memory == NULL)
        return;
    struct br_snapshot *snapshot = agent->memory->snapshot;
    bruit_time now = bruit_uv_now(agent->uv);
    uint64_t began = uv_hrtime(), compactions = br_snapshot_compactions(snapshot);
    if (event->type == BRUIT_EVENT_STATUS)
        keep_member(agent, event);
    else if (event->type == BRUIT_EVENT_USER && bruit_event_read(event, &user) == 0)
        br_snapshot_event_clock(snapshot, user.ltime, now);
    else if (event->type == BRUIT_EVENT_QUERY && bruit_query_read(event, &query) == 0)
        br_snapshot_query_clock(snapshot, query.ltime, now);
    else
        return;
    br_agent_measure_time(agent, "serf.snapshot.appendLine", br_bytes("", 0), uv_hrtime() - began);
    if (br_snapshot_compactions(snapshot) != compactions)
        br_agent_measure_time(agent, "serf.snapshot.compact", br_bytes("", 0), uv_hrtime() - began);
    if (!uv_is_active((uv_handle_t *)&agent->memory_timer) ||
        uv_timer_get_due_in(&agent->memory_timer) > BUSY_TICK_MS)
        arm(agent, BUSY_TICK_MS);
}

void br_agent_memory_leave(struct br_agent *agent)
{
    if (agent->memory != NULL)
        br_snapshot_leave(agent->memory->snapshot, bruit_uv_now(agent->uv));
}

void br_agent_memory_stop(struct br_agent *agent)
{
    if (agent->memory == NULL || agent->uv == NULL)
        return;
    look_at_clock(agent);
    (void)br_snapshot_flush(agent->memory->snapshot, bruit_uv_now(agent->uv));
}

/* ------------------------------------------------------------------ the way back */

/* Copies, since the table changes while we try: all but ourselves. */
static bool copy_known(struct br_agent_memory *memory, struct bruit_bytes self)
{
    const struct br_snapshot *snapshot = memory->snapshot;
    size_t count = br_snapshot_count(snapshot);
    memory->known = calloc(count > 0 ? count : 1, sizeof *memory->known);
    if (memory->known == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct bruit_bytes name = br_snapshot_name(snapshot, i);
        struct known *known = &memory->known[memory->count];
        if (br_bytes_equal(name, self))
            continue;
        known->name = strndup((const char *)name.data, name.size);
        known->addr = strdup(br_snapshot_addr(snapshot, i));
        memory->count++;
        if (known->name == NULL || known->addr == NULL)
            return false;
    }
    shuffle(memory);
    return true;
}

/* So that not all of a restarted cluster ask the same member. */
static void shuffle(struct br_agent_memory *memory)
{
    for (size_t i = memory->count; i > 1; i--) {
        uint64_t random = 0;
        (void)bruit_entropy_os(NULL, (uint8_t *)&random, sizeof random); /* in order, then */
        size_t other = (size_t)(random % i);
        struct known swapped = memory->known[i - 1];
        memory->known[i - 1] = memory->known[other];
        memory->known[other] = swapped;
    }
}

/* A name may have bytes in it that a log line must not. */
static void tell(struct br_agent *agent, const char *what, const struct known *known)
{
    char name[BR_LOG_SHOWN_MAX], addr[BR_LOG_SHOWN_MAX];
    br_log(&agent->log, BRUIT_TRACE_INFO, "serf", "%s previously known node: %s: %s", what,
           br_log_shown(br_bytes_string(known->name), name),
           br_log_shown(br_bytes_string(known->addr), addr));
}

static void on_rejoined(struct bruit_uv *uv, void *context, const struct bruit_uv_joined *joined)
{
    struct br_agent *agent = context;
    (void)uv;
    if (agent->memory == NULL || agent->phase == BR_AGENT_LEAVING || agent->phase == BR_AGENT_STOPPED)
        return;
    if (joined->contacted > 0)
        tell(agent, "Re-joined to", &agent->memory->known[agent->memory->next - 1]);
    else
        try_next(agent);
}

static void try_next(struct br_agent *agent)
{
    struct br_agent_memory *memory = agent->memory;
    while (memory->next < memory->count) {
        const struct known *known = &memory->known[memory->next++];
        const char *addr = known->addr;
        tell(agent, "Attempting re-join to", known);
        if (bruit_uv_join_names(agent->uv, &addr, 1, 0, on_rejoined, agent) == 0)
            return;
    }
    br_log(&agent->log, BRUIT_TRACE_WARN, "serf", "Failed to re-join any previously known node");
}

void br_agent_rejoin(struct br_agent *agent)
{
    if (agent->memory == NULL)
        return;
    arm(agent, BUSY_TICK_MS);
    if (agent->memory->count > 0)
        try_next(agent);
}
