/*
 * What the agent counts for people: Serf's metrics (docs/wire/serf.md section 15), and where they go.
 *
 * The last minute is kept in intervals of ten seconds, for SIGUSR1; each value also goes to the sinks there are
 * (sink.h). Intervals begin when something is counted, so an agent at rest does nothing for this. Names may hold what
 * came from the network: they are bounded in number and length, and cleaned.
 *
 * No clock here: `now` is seconds of the wall clock, as an interval is named by when it began.
 */
#ifndef BR_AGENT_METRICS_H
#define BR_AGENT_METRICS_H

#include "base/bytes.h"

/* Serf's numbers. */
#define BR_METRICS_INTERVAL 10
#define BR_METRICS_INTERVALS 6

/* Different names in one interval. What comes beyond is counted under "metrics.dropped". */
#define BR_METRICS_NAMES_MAX 256
#define BR_METRICS_NAME_MAX 256

enum br_metric_kind {
    BR_METRIC_GAUGE,   /* the newest value counts */
    BR_METRIC_COUNTER, /* how often, and their sum */
    BR_METRIC_SAMPLE,  /* the same; times are in milliseconds */
};

struct br_metric {
    char *name;
    enum br_metric_kind kind;
    uint64_t count;
    double last, sum, sum_of_squares, min, max;
    int64_t updated;
};

struct br_metrics_interval {
    int64_t start; /* 0: none */
    struct br_metric *metrics;
    size_t count, capacity;
};

struct br_sink;

struct br_metrics {
    struct br_metrics_interval intervals[BR_METRICS_INTERVALS]; /* by the number of their ten seconds */
    struct br_sink *sinks[2];                                   /* NULL: none */
    char host[64];                                              /* goes into the names of gauges for sinks */
};

void br_metrics_init(struct br_metrics *metrics);
/* Sinks are the caller's. */
void br_metrics_fini(struct br_metrics *metrics);

/*
 * `key` in Serf's form, such as "serf.events", and behind it a dot and `name` unless that is empty. A counter may
 * count several at once, each of `value`.
 */
void br_metrics_add(struct br_metrics *metrics, int64_t now, enum br_metric_kind kind, const char *key,
                    struct bruit_bytes name, double value, uint64_t times);

/* The intervals that are over, oldest first, in Serf's form. */
struct br_blob;
void br_metrics_dump(const struct br_metrics *metrics, int64_t now, struct br_blob *out);

#endif
