/*
 * Serf's push/pull document: see document.h.
 */
#include "engine/document.h"

#include "engine/engine.h"

#include <string.h>

static const char *const keys[BR_SERF_STATE_KEYS] = {
    [BR_SERF_STATE_EVENT_LTIME] = "EventLTime",
    [BR_SERF_STATE_EVENTS] = "Events",
    [BR_SERF_STATE_LTIME] = "LTime",
    [BR_SERF_STATE_LEFT_MEMBERS] = "LeftMembers",
    [BR_SERF_STATE_QUERY_LTIME] = "QueryLTime",
    [BR_SERF_STATE_STATUS_LTIMES] = "StatusLTimes",
};

enum br_serf_state_key br_document_key(const char *key)
{
    for (unsigned i = 0; i < BR_SERF_STATE_KEYS; i++)
        if (strcmp(keys[i], key) == 0)
            return (enum br_serf_state_key)i;
    return BR_SERF_STATE_KEYS;
}

/* ---- writing ---- */

int bruit_document_write(struct bruit_document *document, struct bruit_bytes msgpack)
{
    if (document->alloc == NULL)
        return BRUIT_EINVAL;
    size_t needed = document->size + msgpack.size;
    if (needed > document->buffer.capacity &&
        br_buffer_reserve(&document->buffer, document->alloc, needed + needed / 2) != 0)
        return BRUIT_ENOMEM;
    memcpy(document->buffer.data + document->size, msgpack.data, msgpack.size);
    document->size = needed;
    return 0;
}

/* A value that no module writes: that of a Serf without history. */
static void write_default(struct br_writer *w, enum br_serf_state_key key)
{
    switch (key) {
    case BR_SERF_STATE_EVENT_LTIME:
    case BR_SERF_STATE_LTIME:
    case BR_SERF_STATE_QUERY_LTIME: br_mp_write_uint(w, 1); break;
    case BR_SERF_STATE_EVENTS: br_serf_state_write_no_events(w); break;
    case BR_SERF_STATE_LEFT_MEMBERS: br_mp_write_array(w, 0); break;
    case BR_SERF_STATE_STATUS_LTIMES: br_mp_write_map(w, 0); break;
    case BR_SERF_STATE_KEYS: break;
    }
}

static const struct bruit_host *owner_of(const struct bruit_engine *engine, const char *key)
{
    for (size_t i = 0; i < engine->host_count; i++) {
        const struct bruit_module *module = engine->hosts[i].module;
        for (size_t j = 0; j < module->section_key_count; j++)
            if (strcmp(module->section_keys[j], key) == 0)
                return &engine->hosts[i];
    }
    return NULL;
}

/* The largest of the small pieces: the empty event ring. */
#define PIECE_SIZE_MAX (BR_SERF_EVENT_SLOTS + 32)

static int export_key(struct bruit_document *document, struct bruit_engine *engine,
                      enum br_serf_state_key key, bool join)
{
    uint8_t piece[PIECE_SIZE_MAX];
    struct br_writer w;
    br_writer_init(&w, piece, sizeof piece);
    if (key == 0)
        br_serf_state_begin(&w);
    br_serf_state_write_key(&w, key);
    const struct bruit_host *owner = owner_of(engine, keys[key]);
    if (owner == NULL)
        write_default(&w, key);
    int status = bruit_document_write(document, br_writer_bytes(&w));
    if (status != 0 || owner == NULL)
        return status;
    return owner->module->export_section(owner->state, document, keys[key], join);
}

int br_document_export(struct bruit_document *document, struct bruit_engine *engine, bool join)
{
    *document = (struct bruit_document){.alloc = &engine->core.alloc};
    if (!engine->has_document)
        return 0;
    for (unsigned key = 0; key < BR_SERF_STATE_KEYS; key++) {
        int status = export_key(document, engine, (enum br_serf_state_key)key, join);
        if (status != 0)
            return status;
    }
    return 0;
}

void br_document_free(struct bruit_document *document)
{
    br_buffer_free(&document->buffer, document->alloc);
}

/* ---- reading ---- */

struct bruit_bytes bruit_document_find(const struct bruit_document *document, const char *key)
{
    enum br_serf_state_key place = br_document_key(key);
    if (document->state == NULL || place == BR_SERF_STATE_KEYS)
        return br_bytes(NULL, 0);
    return document->state->raw[place];
}

void br_document_merge(struct bruit_engine *engine, struct bruit_bytes bytes, bool join, bool active)
{
    struct br_serf_state state;
    struct br_reader r;
    br_reader_init(&r, bytes);
    if (!engine->has_document || bytes.size == 0)
        return;
    if (br_read_u8(&r) != BR_SERF_PUSHPULL || br_serf_state_decode(&state, br_reader_rest(&r)) != 0) {
        br_core_drop(&engine->core, BRUIT_DROP_BAD_DOCUMENT);
        return;
    }
    struct bruit_document document = {.state = &state};
    for (size_t i = 0; i < engine->host_count; i++)
        if (engine->hosts[i].module->merge_sections != NULL)
            engine->hosts[i].module->merge_sections(engine->hosts[i].state, &document, join, active);
}
