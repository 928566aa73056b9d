/* What the agent counts for people; see metrics.h. */
#include "agent/metrics.h"

#include "agent/blob.h"
#include "agent/sink.h"
#include "base/num.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SERVICE "serf-agent"

static struct br_metric *metric_of(struct br_metrics_interval *interval, enum br_metric_kind kind,
                                   const char *name);

void br_metrics_init(struct br_metrics *metrics)
{
    *metrics = (struct br_metrics){.host = ""};
}

static void empty(struct br_metrics_interval *interval)
{
    for (size_t i = 0; i < interval->count; i++)
        free(interval->metrics[i].name);
    free(interval->metrics);
    *interval = (struct br_metrics_interval){.start = 0};
}

void br_metrics_fini(struct br_metrics *metrics)
{
    for (size_t i = 0; i < BR_METRICS_INTERVALS; i++)
        empty(&metrics->intervals[i]);
}

/* ------------------------------------------------------------------ counting */

/* Blanks, line ends and what else would break a line of text are no part of a name. */
static void append(char name[BR_METRICS_NAME_MAX], size_t *size, struct bruit_bytes text)
{
    for (size_t i = 0; i < text.size && *size + 1 < BR_METRICS_NAME_MAX; i++) {
        uint8_t c = text.data[i];
        name[(*size)++] = (char)(c <= ' ' || c == 0x7f ? '_' : c);
    }
    name[*size] = 0;
}

static void compose(char out[BR_METRICS_NAME_MAX], const char *host, const char *key, struct bruit_bytes name)
{
    size_t size = 0;
    append(out, &size, br_bytes_text(SERVICE "."));
    if (host[0] != 0) {
        append(out, &size, br_bytes_string(host));
        append(out, &size, br_bytes_text("."));
    }
    append(out, &size, br_bytes_string(key));
    if (name.size > 0)
        append(out, &size, br_bytes_text("."));
    append(out, &size, name);
}

/* The one of ten seconds that `now` is in. The place was that of a minute ago. */
static struct br_metrics_interval *interval_of(struct br_metrics *metrics, int64_t now)
{
    int64_t start = now - now % BR_METRICS_INTERVAL;
    struct br_metrics_interval *interval =
        &metrics->intervals[start / BR_METRICS_INTERVAL % BR_METRICS_INTERVALS];
    if (interval->start != start)
        empty(interval);
    interval->start = start;
    return interval;
}

static void record(struct br_metrics_interval *interval, enum br_metric_kind kind, const char *name,
                   double value, uint64_t times, int64_t now)
{
    struct br_metric *metric = metric_of(interval, kind, name);
    if (metric == NULL)
        return;
    double n = (double)times;
    metric->min = metric->count == 0 || value < metric->min ? value : metric->min;
    metric->max = metric->count == 0 || value > metric->max ? value : metric->max;
    metric->count += times;
    metric->last = value;
    metric->sum += n * value;
    metric->sum_of_squares += n * value * value;
    metric->updated = now;
}

void br_metrics_add(struct br_metrics *metrics, int64_t now, enum br_metric_kind kind, const char *key,
                    struct bruit_bytes name, double value, uint64_t times)
{
    char text[BR_METRICS_NAME_MAX];
    bool has_sinks = metrics->sinks[0] != NULL || metrics->sinks[1] != NULL;
    if (times == 0 || now <= 0)
        return;
    compose(text, has_sinks && kind == BR_METRIC_GAUGE ? metrics->host : "", key, name);
    record(interval_of(metrics, now), kind, text, value, times, now);
    for (size_t i = 0; i < 2; i++)
        if (metrics->sinks[i] != NULL)
            br_sink_add(metrics->sinks[i], kind, text,
                        kind == BR_METRIC_COUNTER ? value * (double)times : value);
}

static struct br_metric *add_metric(struct br_metrics_interval *interval, enum br_metric_kind kind,
                                    const char *name)
{
    if (interval->count == interval->capacity) {
        size_t capacity = interval->capacity == 0 ? 8 : 2 * interval->capacity;
        struct br_metric *grown = realloc(interval->metrics, capacity * sizeof *grown);
        if (grown == NULL)
            return NULL;
        interval->metrics = grown;
        interval->capacity = capacity;
    }
    struct br_metric *metric = &interval->metrics[interval->count];
    *metric = (struct br_metric){.kind = kind, .name = strdup(name)};
    interval->count += metric->name != NULL;
    return metric->name != NULL ? metric : NULL;
}

static struct br_metric *metric_of(struct br_metrics_interval *interval, enum br_metric_kind kind,
                                   const char *name)
{
    for (size_t i = 0; i < interval->count; i++)
        if (interval->metrics[i].kind == kind && strcmp(interval->metrics[i].name, name) == 0)
            return &interval->metrics[i];
    if (interval->count < BR_METRICS_NAMES_MAX - 1)
        return add_metric(interval, kind, name);
    struct br_metric *last = &interval->metrics[interval->count - 1];
    return interval->count == BR_METRICS_NAMES_MAX
               ? last
               : add_metric(interval, BR_METRIC_COUNTER, SERVICE ".metrics.dropped");
}

/* ------------------------------------------------------------------ telling */

static void tell_time(struct br_blob *out, int64_t second)
{
    char text[64];
    struct tm parts;
    time_t at = (time_t)second;
    size_t size =
        localtime_r(&at, &parts) == NULL ? 0 : strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %z %Z", &parts);
    br_blob_add(out, br_bytes(text, size));
}

/* The unbiased one, as Serf's library has it. */
static double deviation_of(const struct br_metric *metric)
{
    double n = (double)metric->count, above = n * metric->sum_of_squares - metric->sum * metric->sum;
    return metric->count < 2 || above <= 0 ? 0 : br_num_sqrt(above / (n * (n - 1)));
}

static void tell_aggregate(struct br_blob *out, const struct br_metric *metric)
{
    double deviation = deviation_of(metric);
    br_blob_printf(out, "Count: %llu ", (unsigned long long)metric->count);
    if (deviation > 0)
        br_blob_printf(out, "Min: %.3f Mean: %.3f Max: %.3f Stddev: %.3f ", metric->min,
                       metric->sum / (double)metric->count, metric->max, deviation);
    br_blob_printf(out, "Sum: %.3f LastUpdated: ", metric->sum);
    tell_time(out, metric->updated);
}

static void tell_interval(struct br_blob *out, const struct br_metrics_interval *interval,
                          enum br_metric_kind kind)
{
    for (size_t i = 0; i < interval->count; i++) {
        const struct br_metric *metric = &interval->metrics[i];
        if (metric->kind != kind)
            continue;
        br_blob_text(out, "[");
        tell_time(out, interval->start);
        br_blob_printf(out, "][%c] '%s': ", "GCS"[kind], metric -> name);
        if (kind == BR_METRIC_GAUGE)
            br_blob_printf(out, "%.3f", metric->last);
        else
            tell_aggregate(out, metric);
        br_blob_text(out, "\n");
    }
}

void br_metrics_dump(const struct br_metrics *metrics, int64_t now, struct br_blob *out)
{
    int64_t open = now - now % BR_METRICS_INTERVAL;
    for (int64_t back = BR_METRICS_INTERVALS - 1; back > 0; back--) {
        int64_t start = open - back * BR_METRICS_INTERVAL;
        for (size_t i = 0; i < BR_METRICS_INTERVALS; i++) {
            const struct br_metrics_interval *interval = &metrics->intervals[i];
            if (interval->start != start || start <= 0)
                continue;
            tell_interval(out, interval, BR_METRIC_GAUGE);
            tell_interval(out, interval, BR_METRIC_COUNTER);
            tell_interval(out, interval, BR_METRIC_SAMPLE);
        }
    }
}
