/*
 * The newest changes of a store, for whoever watches it from a cursor: which keys changed, not what they are.
 *
 * Changes have consecutive numbers. The first is drawn anew in each life, so that a cursor of an earlier one is
 * recognized. Whoever is behind the oldest that is kept is told that there is a gap, and nothing is lost silently.
 */
#ifndef BR_MODULE_KV_LOG_H
#define BR_MODULE_KV_LOG_H

#include "base/buf.h"
#include "base/ring.h"

struct br_kv_log {
    struct br_alloc *alloc;
    struct br_ring keys; /* struct br_buf *; the newest last */
    uint64_t newest;     /* the number of the newest change; before any: where counting began */
};

/* `random`: any number. */
void br_kv_log_init(struct br_kv_log *log, struct br_alloc *alloc, uint32_t max, uint64_t random);
void br_kv_log_fini(struct br_kv_log *log);

/* `key` changed. Without memory for it all that is known is forgotten: those who watch see a gap. */
void br_kv_log_add(struct br_kv_log *log, struct bruit_bytes key);

/*
 * The number and the key of the first change after `cursor` that begins with `prefix`: 1; 0 when there is none, and
 * -1 for a gap. *number is where to go on in each case; *key lives until the next change.
 */
int br_kv_log_next(const struct br_kv_log *log, uint64_t cursor, struct bruit_bytes prefix, uint64_t *number,
                   struct bruit_bytes *key);

#endif
