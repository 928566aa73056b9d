/*
 * The trace: what trace.def says about each record, as tables, and the three readings of a record: the
 * sentence, the JSON line, the hash.
 *
 * A reading walks the record's field list, which knows each field's type and place in the struct, and
 * never its meaning.
 */
#include "base/trace.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/text.h"

#include <bruit/error.h>

#include <limits.h>

enum field_type { TEXT, BYTES, U32, U64, I64, BOOL, TIME, ADDR, IP, WORD };

struct field {
    const char *name; /* NULL ends a list */
    enum field_type type;
    uint16_t offset;
};

struct description {
    const char *name;
    const char *component;
    const char *sentence;
    const struct field *(*fields)(void);
};

/* A function a record, since only inside of one can `self` be the record's struct. */
#define RECORD(name, level, component, sentence, fields)                                       \
    static const struct field *fields_of_##name(void)                                          \
    {                                                                                          \
        typedef struct br_trace_##name self;                                                   \
        static const struct field list[] = {fields{NULL, TEXT, (uint16_t)(0 * sizeof(self))}}; \
        return list;                                                                           \
    }
#define FIELD(type, name) {#name, type, (uint16_t)offsetof(self, name)},
#include "base/trace.def"
#undef RECORD
#undef FIELD

#define RECORD(name, level, component, sentence, fields) {#name, component, sentence, fields_of_##name},
#define FIELD(type, name)
static const struct description descriptions[] = {
#include "base/trace.def"
};
#undef RECORD
#undef FIELD

static const struct description *describe(const struct bruit_trace_record *record);
static const struct field *first_field(const struct bruit_trace_record *record);
static const struct field *find_field(const struct bruit_trace_record *record, const char *name, size_t size);
static void text_field(struct br_text *t, const struct bruit_trace_record *record, const struct field *field);
static void json_field(struct br_text *t, const struct bruit_trace_record *record, const struct field *field);
static uint64_t hash_field(uint64_t hash, const struct bruit_trace_record *record, const struct field *field);

void br_tracer_init(struct br_tracer *tracer, void (*fn)(void *, const struct bruit_trace_record *),
                    void *ctx, int level_max)
{
    *tracer = (struct br_tracer){.fn = fn, .ctx = ctx, .level_max = fn == NULL ? BRUIT_TRACE_OFF : level_max};
}

void br_trace_emit(const struct br_tracer *tracer, unsigned id, int level, const void *fields)
{
    BR_ASSERT(id < br_trace_count);
    struct bruit_trace_record record = {
        .id = (uint16_t)id,
        .level = level,
        .time = tracer->now,
        .fields = fields,
    };
    tracer->fn(tracer->ctx, &record);
}

/* ---- what a record is ---- */

static const struct description *describe(const struct bruit_trace_record *record)
{
    static const struct description unknown = {"?", "?", "?", NULL};
    return record->id < br_trace_count ? &descriptions[record->id] : &unknown;
}

static const struct field *first_field(const struct bruit_trace_record *record)
{
    static const struct field none = {NULL, TEXT, 0};
    const struct description *description = describe(record);
    return description->fields == NULL || record->fields == NULL ? &none : description->fields();
}

const char *bruit_trace_name(const struct bruit_trace_record *record)
{
    return describe(record)->name;
}

const char *bruit_trace_component(const struct bruit_trace_record *record)
{
    return describe(record)->component;
}

const char *bruit_trace_level_name(int level)
{
    switch (level) {
    case BRUIT_TRACE_OFF: return "OFF";
    case BRUIT_TRACE_ERROR: return "ERROR";
    case BRUIT_TRACE_WARN: return "WARN";
    case BRUIT_TRACE_INFO: return "INFO";
    case BRUIT_TRACE_DEBUG: return "DEBUG";
    case BRUIT_TRACE_TRACE: return "TRACE";
    default: return "?";
    }
}

const char *bruit_trace_field_name(const struct bruit_trace_record *record, size_t index)
{
    const struct field *field = first_field(record);
    while (field->name != NULL && index > 0) {
        field++;
        index--;
    }
    return field->name;
}

static const struct field *find_field(const struct bruit_trace_record *record, const char *name, size_t size)
{
    for (const struct field *field = first_field(record); field->name != NULL; field++)
        if (strlen(field->name) == size && memcmp(field->name, name, size) == 0)
            return field;
    return NULL;
}

/* ---- field access: the one place that knows the types' layouts ---- */

static const void *place(const struct bruit_trace_record *record, const struct field *field)
{
    return (const uint8_t *)record->fields + field->offset;
}

static struct bruit_bytes bytes_at(const struct bruit_trace_record *record, const struct field *field)
{
    const struct bruit_bytes *bytes = place(record, field);
    return *bytes;
}

static const struct bruit_addr *addr_at(const struct bruit_trace_record *record, const struct field *field)
{
    return place(record, field);
}

static const char *word_at(const struct bruit_trace_record *record, const struct field *field)
{
    const char *const *word = place(record, field);
    return *word == NULL ? "" : *word;
}

/* Any of the number types as 64 bits; a negative one in two's complement. */
static uint64_t number_at(const struct bruit_trace_record *record, const struct field *field)
{
    const void *p = place(record, field);
    switch (field->type) {
    case U32: return *(const uint32_t *)p;
    case I64: return (uint64_t)(*(const int64_t *)p);
    case BOOL: return *(const bool *)p;
    default: return *(const uint64_t *)p; /* U64, TIME */
    }
}

static bool is_number(const struct field *field)
{
    return field->type >= U32 && field->type <= TIME;
}

int bruit_trace_field_number(const struct bruit_trace_record *record, const char *name, int64_t *out)
{
    const struct field *field = find_field(record, name, strlen(name));
    if (field == NULL || !is_number(field))
        return BRUIT_ENOENT;
    *out = (int64_t)number_at(record, field);
    return 0;
}

/* ---- the sentence ---- */

size_t bruit_trace_text(const struct bruit_trace_record *record, char *buffer, size_t size)
{
    struct br_text t;
    br_text_init(&t, buffer, size);
    for (const char *at = describe(record)->sentence; *at != '\0'; at++) {
        const char *end = *at == '{' ? strchr(at, '}') : NULL;
        const struct field *field = end == NULL ? NULL : find_field(record, at + 1, (size_t)(end - at - 1));
        if (field == NULL) {
            br_text_char(&t, *at);
            continue;
        }
        text_field(&t, record, field);
        at = end;
    }
    return br_text_end(&t);
}

int bruit_trace_field_text(const struct bruit_trace_record *record, const char *name, char *buffer,
                           size_t size)
{
    const struct field *field = find_field(record, name, strlen(name));
    if (field == NULL)
        return BRUIT_ENOENT;
    struct br_text t;
    br_text_init(&t, buffer, size);
    text_field(&t, record, field);
    size_t length = br_text_end(&t);
    return length > INT_MAX ? INT_MAX : (int)length;
}

static void text_field(struct br_text *t, const struct bruit_trace_record *record, const struct field *field)
{
    switch (field->type) {
    case TEXT: br_text_escaped(t, bytes_at(record, field)); break;
    case BYTES: br_text_hex(t, bytes_at(record, field)); break;
    case U32:
    case U64: br_text_u64(t, number_at(record, field)); break;
    case I64: br_text_i64(t, (int64_t)number_at(record, field)); break;
    case BOOL: br_text_string(t, number_at(record, field) != 0 ? "true" : "false"); break;
    case TIME: br_text_duration(t, number_at(record, field)); break;
    case ADDR: br_text_addr(t, addr_at(record, field)); break;
    case IP: br_text_ip(t, addr_at(record, field)); break;
    case WORD: br_text_string(t, word_at(record, field)); break;
    }
}

/* ---- the JSON line ---- */

static void json_string(struct br_text *t, struct bruit_bytes value)
{
    br_text_char(t, '"');
    br_text_json(t, value);
    br_text_char(t, '"');
}

static void json_key(struct br_text *t, const char *name)
{
    br_text_string(t, ",\"");
    br_text_string(t, name);
    br_text_string(t, "\":");
}

size_t bruit_trace_json(const struct bruit_trace_record *record, char *buffer, size_t size)
{
    struct br_text t;
    br_text_init(&t, buffer, size);
    br_text_string(&t, "{\"time\":");
    br_text_u64(&t, record->time);
    json_key(&t, "level");
    json_string(&t, br_bytes_string(bruit_trace_level_name(record->level)));
    json_key(&t, "component");
    json_string(&t, br_bytes_string(bruit_trace_component(record)));
    json_key(&t, "event");
    json_string(&t, br_bytes_string(bruit_trace_name(record)));
    for (const struct field *field = first_field(record); field->name != NULL; field++) {
        json_key(&t, field->name);
        json_field(&t, record, field);
    }
    br_text_char(&t, '}');
    return br_text_end(&t);
}

static void json_field(struct br_text *t, const struct bruit_trace_record *record, const struct field *field)
{
    switch (field->type) {
    case TEXT: json_string(t, bytes_at(record, field)); break;
    case WORD: json_string(t, br_bytes_string(word_at(record, field))); break;
    case TIME:
        if (number_at(record, field) == BRUIT_NEVER)
            br_text_string(t, "null");
        else
            br_text_u64(t, number_at(record, field));
        break;
    case BYTES:
    case ADDR:
    case IP:
        br_text_char(t, '"');
        text_field(t, record, field); /* nothing in these needs escaping */
        br_text_char(t, '"');
        break;
    default: text_field(t, record, field); break;
    }
}

/* ---- the hash ---- */

/* One word into the hash: multiply by an odd constant (splitmix64's increment, the golden ratio), fold
 * the upper half down. A fingerprint to compare runs by, no defence against forgers. */
static uint64_t absorb(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

static uint64_t absorb_bytes(uint64_t hash, struct bruit_bytes bytes)
{
    hash = absorb(hash, bytes.size);
    size_t i = 0;
    for (; bytes.size - i >= 8; i += 8)
        hash = absorb(hash, br_load_u64(bytes.data + i));
    uint64_t last = 0;
    for (; i < bytes.size; i++)
        last = last << 8 | bytes.data[i];
    return absorb(hash, last);
}

uint64_t bruit_trace_hash(uint64_t previous, const struct bruit_trace_record *record)
{
    uint64_t hash = absorb(previous, record->id + UINT64_C(1));
    hash = absorb(hash, record->time);
    for (const struct field *field = first_field(record); field->name != NULL; field++)
        hash = hash_field(hash, record, field);
    return hash;
}

static uint64_t hash_field(uint64_t hash, const struct bruit_trace_record *record, const struct field *field)
{
    switch (field->type) {
    case TEXT:
    case BYTES: return absorb_bytes(hash, bytes_at(record, field));
    case WORD: return absorb_bytes(hash, br_bytes_string(word_at(record, field)));
    case ADDR:
    case IP: {
        /* Not the scope, which is a number of this machine's. Nor the port where it is not shown. */
        const struct bruit_addr *addr = addr_at(record, field);
        size_t size = addr->size <= sizeof addr->ip ? addr->size : sizeof addr->ip;
        hash = absorb_bytes(hash, br_bytes(addr->ip, size));
        return field->type == ADDR ? absorb(hash, addr->port) : hash;
    }
    default: return absorb(hash, number_at(record, field));
    }
}
