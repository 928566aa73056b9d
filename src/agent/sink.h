/*
 * Where metrics go outside: statsd, a datagram of lines, and statsite, the same lines over TCP (docs/wire/serf-
 * agent.md section 3.3, `statsd_addr` and `statsite_addr`).
 *
 * A line is `NAME:VALUE|TYPE`, with types g, c and ms. Lines are gathered for 100 ms. Names are resolved and
 * connections made in the background; who does not take the lines loses them, and the agent neither waits nor keeps
 * more than a bounded number. There is one only when it was asked for.
 */
#ifndef BR_AGENT_SINK_H
#define BR_AGENT_SINK_H

#include "agent/log.h"
#include "agent/metrics.h"
#include "agent/value.h"

#include <uv.h>

/* Serf's numbers: when lines leave, how long a datagram may be, and when a lost connection is tried again. */
#define BR_SINK_FLUSH_MS 100
#define BR_SINK_DATAGRAM_MAX 1400
#define BR_SINK_RETRY_MS 5000

/* What may wait for a connection. */
#define BR_SINK_WAITING_MAX 65536

enum br_sink_kind { BR_SINK_STATSD, BR_SINK_STATSITE };

struct br_sink;

/* `addr` is host:port, and borrowed. Returns 0, or an error with a sentence in `why`. */
int br_sink_new(struct br_sink **out, enum br_sink_kind kind, const char *addr, uv_loop_t *loop,
                struct br_log *log, char why[BR_WHY_MAX]);

void br_sink_add(struct br_sink *sink, enum br_metric_kind kind, const char *name, double value);

/* Sends what has been gathered, if that is possible at once; frees on a later turn of the loop. NULL is fine. */
void br_sink_close(struct br_sink *sink);

#endif
