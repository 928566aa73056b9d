/*
 * The push/pull message: our state written, theirs judged and merged (docs/wire/memberlist.md, 5.2, 6.7, 11.2).
 *
 * Nothing is merged before all of it was decoded and everybody's versions were found to fit. What others call dead
 * is only suspected, with us as the accuser, so that it can say otherwise; what has left has left.
 */
#include "base/check.h"
#include "engine/document.h"
#include "engine/engine.h"

int br_exchange_write(struct bruit_engine *engine, bool join, struct br_buffer *out,
                      struct bruit_bytes *message)
{
    struct bruit_document document;
    int status = br_document_export(&document, engine, join);
    size_t size = br_sync_size(&engine->core, document.size);
    if (status == 0)
        status = br_buffer_reserve(out, &engine->core.alloc, size);
    if (status == 0) {
        struct br_writer w;
        br_writer_init(&w, out->data, size);
        br_sync_write(&w, &engine->core, join, br_bytes(document.buffer.data, document.size));
        BR_ASSERT(!w.failed);
        *message = br_writer_bytes(&w);
        engine->sync.doc_size = (uint32_t)document.size;
    }
    br_document_free(&document);
    return status;
}

/* One entry of theirs (section 6.7 step 3). Numbers that mean no state we know are ignored. */
static int merge_entry(struct bruit_engine *engine, uint32_t slot, struct br_entry *entry)
{
    struct bruit_bytes self = br_core_name(&engine->core, engine->core.self);
    uint32_t incarnation = entry->alive.incarnation;
    switch (entry->state) {
    case BR_ENTRY_ALIVE: return br_claim_alive_of(engine, slot, &entry->alive);
    case BR_ENTRY_LEFT:
        return br_claim_dead(engine, &(struct br_dead){incarnation, entry->alive.node, entry->alive.node});
    case BR_ENTRY_DEAD:
    case BR_ENTRY_SUSPECT:
        return br_claim_suspect(engine, &(struct br_suspect){incarnation, entry->alive.node, self});
    default: return 0;
    }
}

/*
 * The member called `name`, 0 for nobody. Syncs name the members in the order in which the sender came to know them,
 * and whoever joined by a sync came to know them in that order: while one member after the other is where it is then
 * expected, nothing has to be looked up. `*slot` is the last one found; `*is_run` says whether it was expected.
 */
static uint32_t find_next(const struct br_core *core, uint32_t *slot, bool *is_run, struct bruit_bytes name)
{
    const struct br_view *view = &core->view;
    uint32_t expected = *slot + 1;
    if (*is_run && br_view_is_listed(view, expected) && br_bytes_equal(br_core_name(core, expected), name)) {
        *slot = expected;
        return expected;
    }
    uint32_t found = br_view_find_text(view, name);
    *is_run = found == expected;
    *slot = found;
    return found;
}

/* Step by step through a body that was read to its end before. */
static int merge_entries(struct bruit_engine *engine, struct bruit_bytes body, struct bruit_bytes *state)
{
    struct br_pushpull_reader reader;
    struct br_entry entry;
    struct br_reader r;
    uint32_t slot = 0;
    uint32_t index = 0; /* of the entry */
    bool is_run = false;
    br_pushpull_reader_init(&reader);
    br_reader_init(&r, body);
    for (;;) {
        size_t consumed;
        int step = br_pushpull_read(&reader, br_reader_rest(&r), &consumed, &entry, state);
        if (step < 0 || step == BR_PUSHPULL_NEED_MORE)
            return BRUIT_EFORMAT;
        (void)br_read_bytes(&r, consumed);
        if (step == BR_PUSHPULL_DONE)
            break;
        if (step != BR_PUSHPULL_ENTRY)
            continue;
        if (index < reader.header.carries.size)
            entry.alive.carries = reader.header.carries.data[index];
        index++;
        uint32_t known = find_next(&engine->core, &slot, &is_run, entry.alive.node);
        int status = merge_entry(engine, known, &entry);
        if (status != 0)
            return status;
    }
    return 0;
}

int br_exchange_merge(struct bruit_engine *engine, const struct br_pushpull_header *header,
                      struct bruit_bytes body, struct br_versions *versions, bool active)
{
    struct bruit_bytes state = {0};
    if (!br_versions_fit(versions, &engine->core)) {
        br_core_drop(&engine->core, BRUIT_DROP_VERSIONS);
        return BRUIT_EVERSION;
    }
    engine->is_repairing = !header->join;
    int status = merge_entries(engine, body, &state);
    engine->is_repairing = false;
    if (status == 0 && header->user_state_size > 0)
        br_document_merge(engine, state, header->join, active);
    return status;
}
