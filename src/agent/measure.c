/*
 * What becomes a metric: events of the engine as they come, and counters of others as they have grown since they were
 * looked at last; see agent.h and metrics.h.
 *
 * Counters are looked at when the loop wakes in another ten seconds than before, so an agent at rest is not woken for
 * them, and what they grew by belongs to the ten seconds before. Serf samples its queues every 30 s; so do we, if it is
 * awake.
 */
#include "agent/agent.h"

#include "agent/blob.h"
#include "agent/handler.h"
#include "agent/metrics.h"
#include "agent/sink.h"

#include <bruit/coord.h>
#include <bruit/event.h>
#include <bruit/query.h>
#include <bruit/stats.h>
#include <bruit/status.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Serf's numbers: who comes back this soon flaps, and when queues are sampled. */
#define FLAP_NS (60 * BRUIT_SECOND)
#define QUEUES_EVERY_S 30

/* Members that failed lately, of which one may come back. */
#define FAILED_MAX 64

struct failed {
    uint64_t name; /* its hash: a wrong hit is one flap too many */
    bruit_time when;
};

struct counted {
    uint64_t udp_sent, udp_received, tcp_sent, tcp_accepted, tcp_connected, rejected, zero_rtt, clients,
        commands;
};

struct br_agent_measure {
    struct br_metrics metrics;
    uv_signal_t dump;
    uv_check_t wake;
    unsigned handles;
    uint64_t window; /* ten seconds of the loop's clock */
    int64_t window_end;
    int64_t queues_sampled;
    struct counted counted;
    struct failed failed[FAILED_MAX];
    size_t failed_next;
};

static void on_dump(uv_signal_t *handle, int number);
static void on_wake(uv_check_t *handle);

static int64_t wall_seconds(void)
{
    return (int64_t)time(NULL);
}

/* ------------------------------------------------------------------ from start to end */

static int open_sink(struct br_agent *agent, enum br_sink_kind kind, const char *addr)
{
    static const char *const names[] = {"statsd", "statsite"};
    struct br_metrics *metrics = &agent->measure->metrics;
    char why[BR_WHY_MAX] = "";
    if (addr == NULL || addr[0] == 0)
        return 0;
    int error = br_sink_new(&metrics->sinks[kind], kind, addr, &agent->loop, &agent->log, why);
    if (error != 0)
        br_log_note(&agent->log, "Failed to start %s sink. Got: %s", names[kind], why);
    else
        (void)gethostname(metrics->host,
                          sizeof metrics->host - 1); /* without one, names have one part less */
    return error;
}

int br_agent_measure_open(struct br_agent *agent)
{
    struct br_agent_measure *measure = agent->measure = calloc(1, sizeof *measure);
    if (measure == NULL || uv_signal_init(&agent->loop, &measure->dump) != 0) {
        free(measure);
        agent->measure = NULL;
        br_log_note(&agent->log, "Failed to start the Bruit agent: out of memory or signals");
        return BRUIT_ENOMEM;
    }
    (void)uv_check_init(&agent->loop, &measure->wake);
    measure->handles = 2;
    measure->dump.data = measure->wake.data = agent;
    br_metrics_init(&measure->metrics);
    measure->window = uv_now(&agent->loop) / (1000 * BR_METRICS_INTERVAL);
    measure->window_end = wall_seconds();
    (void)uv_check_start(&measure->wake, on_wake);
    uv_unref((uv_handle_t *)&measure->wake);
    (void)uv_signal_start(&measure->dump, on_dump, SIGUSR1);
    int error = open_sink(agent, BR_SINK_STATSITE, agent->options.statsite_addr);
    return error != 0 ? error : open_sink(agent, BR_SINK_STATSD, agent->options.statsd_addr);
}

static void on_closed(uv_handle_t *handle)
{
    struct br_agent *agent = handle->data;
    if (--agent->measure->handles > 0)
        return;
    br_metrics_fini(&agent->measure->metrics);
    free(agent->measure);
    agent->measure = NULL;
}

void br_agent_measure_close(struct br_agent *agent)
{
    struct br_agent_measure *measure = agent->measure;
    if (measure == NULL)
        return;
    for (size_t i = 0; i < 2; i++) {
        br_sink_close(measure->metrics.sinks[i]);
        measure->metrics.sinks[i] = NULL;
    }
    uv_close((uv_handle_t *)&measure->wake, on_closed);
    uv_close((uv_handle_t *)&measure->dump, on_closed);
    (void)signal(SIGUSR1, SIG_IGN); /* to die of it on the way out would change how we ended */
}

/* ------------------------------------------------------------------ events */

static void count(struct br_agent *agent, const char *key, struct bruit_bytes name)
{
    br_metrics_add(&agent->measure->metrics, wall_seconds(), BR_METRIC_COUNTER, key, name, 1, 1);
}

static const struct bruit_bytes no_name = {.data = NULL, .size = 0};

static uint64_t hash_of(struct bruit_bytes name)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t i = 0; i < name.size; i++)
        hash = (hash ^ name.data[i]) * UINT64_C(1099511628211);
    return hash;
}

static bool has_failed_lately(const struct br_agent_measure *measure, struct bruit_bytes name, bruit_time now)
{
    uint64_t hash = hash_of(name);
    for (size_t i = 0; i < FAILED_MAX; i++)
        if (measure->failed[i].name == hash && measure->failed[i].when != 0 &&
            now - measure->failed[i].when < FLAP_NS)
            return true;
    return false;
}

static void measure_member(struct br_agent *agent, const struct bruit_event *event)
{
    struct br_agent_measure *measure = agent->measure;
    struct bruit_status_member member;
    bruit_time now = bruit_uv_now(agent->uv);
    if (bruit_status_event(event, &member) != 0)
        return;
    switch ((enum bruit_status_change)event->changes) {
    case BRUIT_MEMBER_JOIN:
        count(agent, "serf.member.join", no_name);
        if (has_failed_lately(measure, member.name, now))
            count(agent, "serf.member.flap", no_name);
        break;
    case BRUIT_MEMBER_FAILED:
        count(agent, "serf.member.failed", no_name);
        measure->failed[measure->failed_next++ % FAILED_MAX] =
            (struct failed){.name = hash_of(member.name), .when = now};
        break;
    case BRUIT_MEMBER_LEAVE: count(agent, "serf.member.left", no_name); break;
    case BRUIT_MEMBER_UPDATE: count(agent, "serf.member.update", no_name); break;
    case BRUIT_MEMBER_REAP: break;
    }
}

void br_agent_measure_event(struct br_agent *agent, const struct bruit_event *event)
{
    struct bruit_user_event user;
    struct bruit_query query;
    if (agent->measure == NULL)
        return;
    if (event->type == BRUIT_EVENT_STATUS) {
        measure_member(agent, event);
    } else if (event->type == BRUIT_EVENT_USER && bruit_event_read(event, &user) == 0) {
        count(agent, "serf.events", no_name);
        count(agent, "serf.events", user.name);
    } else if (event->type == BRUIT_EVENT_QUERY && bruit_query_read(event, &query) == 0) {
        count(agent, "serf.queries", no_name);
        count(agent, "serf.queries", query.name);
    } else if (event->type == BRUIT_EVENT_QUERY_ACK) {
        count(agent, "serf.query_acks", no_name);
    } else if (event->type == BRUIT_EVENT_QUERY_RESPONSE) {
        count(agent, "serf.query_responses", no_name);
    }
}

void br_agent_measure_time(struct br_agent *agent, const char *key, struct bruit_bytes name, uint64_t ns)
{
    if (agent->measure != NULL)
        br_metrics_add(&agent->measure->metrics, wall_seconds(), BR_METRIC_SAMPLE, key, name,
                       (double)ns / (double)BRUIT_MILLISECOND, 1);
}

/* ------------------------------------------------------------------ counters of others */

static void grow(struct br_agent *agent, const char *key, uint64_t *before, uint64_t now)
{
    br_metrics_add(&agent->measure->metrics, agent->measure->window_end, BR_METRIC_COUNTER, key, no_name, 1,
                   now - *before);
    *before = now;
}

/* Bytes: one value, and not so many of one. */
static void grow_bytes(struct br_agent *agent, const char *key, uint64_t *before, uint64_t now)
{
    if (now > *before)
        br_metrics_add(&agent->measure->metrics, agent->measure->window_end, BR_METRIC_COUNTER, key, no_name,
                       (double)(now - *before), 1);
    *before = now;
}

static void sample_queues(struct br_agent *agent)
{
    const struct bruit_engine *engine = bruit_uv_engine(agent->uv);
    struct br_metrics *metrics = &agent->measure->metrics;
    int64_t now = agent->measure->window_end;
    if (now - agent->measure->queues_sampled < QUEUES_EVERY_S)
        return;
    agent->measure->queues_sampled = now;
    br_metrics_add(metrics, now, BR_METRIC_SAMPLE, "serf.queue.Intent", no_name,
                   (double)bruit_status_queued(engine), 1);
    br_metrics_add(metrics, now, BR_METRIC_SAMPLE, "serf.queue.Event", no_name,
                   (double)bruit_event_queued(engine), 1);
    br_metrics_add(metrics, now, BR_METRIC_SAMPLE, "serf.queue.Query", no_name,
                   (double)bruit_query_queued(engine), 1);
}

static void look_at_counters(struct br_agent *agent)
{
    struct counted *before = &agent->measure->counted;
    const struct bruit_engine *engine = bruit_uv_engine(agent->uv);
    struct bruit_stats stats;
    struct bruit_coord_stats coord;
    struct br_rpc_stats rpc;
    bruit_stats_get(engine, &stats);
    grow_bytes(agent, "memberlist.udp.sent", &before->udp_sent, stats.bytes_out);
    grow_bytes(agent, "memberlist.udp.received", &before->udp_received, stats.bytes_in);
    grow_bytes(agent, "memberlist.tcp.sent", &before->tcp_sent, stats.stream_bytes_out);
    grow(agent, "memberlist.tcp.accept", &before->tcp_accepted, stats.streams_in);
    grow(agent, "memberlist.tcp.connect", &before->tcp_connected, stats.streams_out);
    br_metrics_add(&agent->measure->metrics, agent->measure->window_end, BR_METRIC_GAUGE,
                   "memberlist.health.score", no_name, (double)stats.health, 1);
    if (bruit_coord_stats(engine, &coord) == 0) {
        grow(agent, "serf.coordinate.rejected", &before->rejected, coord.rejected);
        grow(agent, "serf.coordinate.zero-rtt", &before->zero_rtt, coord.zero_rtt);
    }
    if (agent->rpc != NULL) {
        br_rpc_stats_get(agent->rpc, &rpc);
        grow(agent, "agent.ipc.accept", &before->clients, rpc.accepted);
        grow(agent, "agent.ipc.command", &before->commands, rpc.commands);
    }
    sample_queues(agent);
}

static void on_wake(uv_check_t *handle)
{
    struct br_agent *agent = handle->data;
    struct br_agent_measure *measure = agent->measure;
    uint64_t window = uv_now(&agent->loop) / (1000 * BR_METRICS_INTERVAL);
    if (window == measure->window || agent->uv == NULL || agent->phase == BR_AGENT_STOPPED)
        return;
    measure->window = window;
    look_at_counters(agent);
    measure->window_end = wall_seconds();
}

/* ------------------------------------------------------------------ SIGUSR1 */

/* Whoever reads it must read it: what a pipe does not take at once is lost, since the agent does not wait. */
static void write_out(struct br_log *log, struct bruit_bytes text)
{
    enum { PAGE = 4096 }; /* what a pipe takes whole when poll says that it takes something */
    while (text.size > 0) {
        struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
        ssize_t size = -1;
        if (poll(&out, 1, 0) == 1 && (out.revents & (POLLERR | POLLNVAL)) == 0)
            size = write(STDERR_FILENO, text.data, text.size < PAGE ? text.size : PAGE);
        if (size <= 0) {
            br_log(log, BRUIT_TRACE_WARN, "agent", "%zu bytes of metrics were lost: nobody reads stderr",
                   text.size);
            return;
        }
        text = br_bytes(text.data + size, text.size - (size_t)size);
    }
}

static void on_dump(uv_signal_t *handle, int number)
{
    struct br_agent *agent = handle->data;
    struct br_blob text = BR_BLOB_EMPTY;
    (void)number;
    on_wake(&agent->measure->wake); /* it may have slept */
    br_metrics_dump(&agent->measure->metrics, wall_seconds(), &text);
    write_out(&agent->log, br_blob_bytes(&text));
    br_blob_release(&text);
}
