/*
 * How a record gets into the trace: BR_TRACE(tracer, name, .field = value, ...).
 *
 * The arguments are not evaluated unless the record's level is wanted, so a call that is switched off
 * costs one compare and a predictable branch. Records, fields and sentences are in trace.def.
 */
#ifndef BR_BASE_TRACE_H
#define BR_BASE_TRACE_H

#include <bruit/trace.h>

/* Where an engine's records go. The engine sets `now` with each input. */
struct br_tracer {
    void (*fn)(void *context, const struct bruit_trace_record *record);
    void *ctx;
    int level_max; /* BRUIT_TRACE_OFF when there is no fn */
    bruit_time now;
};

/* `fn` NULL: no trace. */
void br_tracer_init(struct br_tracer *tracer, void (*fn)(void *, const struct bruit_trace_record *),
                    void *ctx, int level_max);

/* A record with fields. */
#define BR_TRACE(tracer, name, ...)                                                      \
    do {                                                                                 \
        if (BR_TRACE_WANTS((tracer), br_trace_level_##name))                             \
            br_trace_emit((tracer), br_trace_id_##name, br_trace_level_##name,           \
                          &(const struct br_trace_##name){.br_unused = 0, __VA_ARGS__}); \
    } while (0)

/* A record without fields. */
#define BR_TRACE_BARE(tracer, name)                                                   \
    do {                                                                              \
        if (BR_TRACE_WANTS((tracer), br_trace_level_##name))                          \
            br_trace_emit((tracer), br_trace_id_##name, br_trace_level_##name, NULL); \
    } while (0)

/* Is a record worth gathering what it needs? BR_TRACE_IS_WANTED(tracer, name) is for an `if`. */
#define BR_TRACE_WANTS(tracer, level) (__builtin_expect((int)(level) <= (tracer)->level_max, 0))
#define BR_TRACE_IS_WANTED(tracer, name) BR_TRACE_WANTS((tracer), br_trace_level_##name)

void br_trace_emit(const struct br_tracer *tracer, unsigned id, int level, const void *fields);

/* ---- what trace.def makes ---- */

/* The C types of the field types. */
#define BR_TRACE_C_TEXT struct bruit_bytes  /* a name or text; escaped when shown */
#define BR_TRACE_C_BYTES struct bruit_bytes /* shown in hex */
#define BR_TRACE_C_U32 uint32_t
#define BR_TRACE_C_U64 uint64_t
#define BR_TRACE_C_I64 int64_t
#define BR_TRACE_C_BOOL bool
#define BR_TRACE_C_TIME bruit_time        /* a duration */
#define BR_TRACE_C_ADDR struct bruit_addr /* shown with its port */
#define BR_TRACE_C_IP struct bruit_addr   /* shown without */
#define BR_TRACE_C_WORD const char *      /* static; NULL shows as nothing */

#define RECORD(name, level, component, sentence, fields) br_trace_id_##name,
#define FIELD(type, name)
enum br_trace_id {
#include "base/trace.def"
    br_trace_count,
};
#undef RECORD
#undef FIELD

#define RECORD(name, level, component, sentence, fields) br_trace_level_##name = BRUIT_TRACE_##level,
#define FIELD(type, name)
enum br_trace_record_level {
#include "base/trace.def"
};
#undef RECORD
#undef FIELD

#define RECORD(name, level, component, sentence, fields) \
    struct br_trace_##name {                             \
        uint8_t br_unused;                               \
        fields                                           \
    };
#define FIELD(type, name) BR_TRACE_C_##type name;
#include "base/trace.def"
#undef RECORD
#undef FIELD

#endif
