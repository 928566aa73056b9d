/*
 * Serf's push/pull document, composed of what modules contribute by key (docs/wire/serf.md, sections 3.3 and 6).
 */
#ifndef BR_ENGINE_DOCUMENT_H
#define BR_ENGINE_DOCUMENT_H

#include "codec/serf.h"
#include "codec/wire.h"

#include <bruit/module.h>

struct bruit_document {
    struct br_alloc *alloc;
    struct br_buffer buffer; /* being written */
    size_t size;
    const struct br_serf_state *state; /* being read */
};

/* Writes ours, type byte included: 0, or BRUIT_ENOMEM. Without any module's section it stays empty. */
int br_document_export(struct bruit_document *document, struct bruit_engine *engine, bool join);
void br_document_free(struct bruit_document *document);

/*
 * Hands the other side's to the modules. One of the wrong type, or that cannot be decoded to the end, is counted
 * and nothing of it is used.
 */
void br_document_merge(struct bruit_engine *engine, struct bruit_bytes bytes, bool join, bool active);

/* The place of a key in the document, or BR_SERF_STATE_KEYS: what modules may claim. */
enum br_serf_state_key br_document_key(const char *key);

#endif
