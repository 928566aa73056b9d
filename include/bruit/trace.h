/*
 * The trace: everything an engine does that somebody may want to know, as one stream of typed records.
 *
 * The log of the agent is one rendering of it, golden tests compare another, and its running hash says
 * whether two runs were the same run. An engine hands each record to `env.trace`; the functions here say
 * what is in it. Records are listed in src/base/trace.def.
 */
#ifndef BRUIT_TRACE_H
#define BRUIT_TRACE_H

#include <bruit/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Each level includes those above it. */
enum bruit_trace_level {
    BRUIT_TRACE_OFF = 0,
    BRUIT_TRACE_ERROR = 1, /* somebody must do something */
    BRUIT_TRACE_WARN = 2,  /* somebody should know */
    BRUIT_TRACE_INFO = 3,  /* the state of the cluster changed */
    BRUIT_TRACE_DEBUG = 4, /* why */
    BRUIT_TRACE_TRACE = 5, /* every message */
};

/* One record. It and all it points to live until the function it was handed to returns. */
struct bruit_trace_record {
    uint16_t id;        /* which record of trace.def, counted from 0; not the same in every version */
    int level;          /* enum bruit_trace_level */
    bruit_time time;    /* when, on the engine's clock */
    const void *fields; /* read them with the functions below */
};

/*
 * Write a rendering of `record` into `buffer`, cut to `size` bytes with the final zero; `size` 0 writes
 * nothing. Return the length that the whole text has, without the zero.
 *
 * bruit_trace_text: the sentence, without time, level and component. One line: what a peer chose is
 * escaped. bruit_trace_json: one line of JSON, an object with "time" (ns), "level", "component", "event"
 * and one key for each field: durations as numbers of nanoseconds (null for "never"), addresses as text.
 */
BRUIT_API size_t bruit_trace_text(const struct bruit_trace_record *record, char *buffer, size_t size);
BRUIT_API size_t bruit_trace_json(const struct bruit_trace_record *record, char *buffer, size_t size);

/* The record's name, such as "member_join"; the part it comes from, such as "serf". Static strings. */
BRUIT_API const char *bruit_trace_name(const struct bruit_trace_record *record);
BRUIT_API const char *bruit_trace_component(const struct bruit_trace_record *record);

/* "ERROR", "WARN", "INFO", "DEBUG", "TRACE", "OFF"; "?" for what is no level. */
BRUIT_API const char *bruit_trace_level_name(int level);

/* The name of the record's field `index`, counted from 0; NULL past the last. */
BRUIT_API const char *bruit_trace_field_name(const struct bruit_trace_record *record, size_t index);

/*
 * Writes the field called `name` as the sentence shows it, cut as above. Returns the length of the whole
 * text, or BRUIT_ENOENT when the record has no such field.
 */
BRUIT_API int bruit_trace_field_text(const struct bruit_trace_record *record, const char *name, char *buffer,
                                     size_t size);

/* A number, duration or boolean field into `out`: 0, or BRUIT_ENOENT when there is no such. */
BRUIT_API int bruit_trace_field_number(const struct bruit_trace_record *record, const char *name,
                                       int64_t *out);

/*
 * The running hash of a stream of records: start with any `previous`, feed back what it returns. It
 * covers id, time and field contents, and is the same on every machine and with every compiler.
 */
BRUIT_API uint64_t bruit_trace_hash(uint64_t previous, const struct bruit_trace_record *record);

#ifdef __cplusplus
}
#endif

#endif
