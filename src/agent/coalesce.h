/*
 * Member events, gathered before they are told.
 *
 * Handlers and streams hear of a hundred joins as of one event with a hundred members (docs/wire/serf.md
 * section 11): events are collected until 3 s have passed since the first or 1 s since the latest. Of each
 * member only its latest event counts, and it is left out when it is of the kind that was last told of
 * that member, save updates.
 *
 * Serf does not empty its table after telling, so that a member whose latest event is an update is told
 * again every time; that is a mistake which nobody can want, and is not repeated here: see
 * docs/protocol.md.
 *
 * No clock and no timer: whoever owns it passes the time and wakes it at the deadline.
 */
#ifndef BR_AGENT_COALESCE_H
#define BR_AGENT_COALESCE_H

#include "base/table.h"

#include <bruit/status.h>

/* Serf's agent has these two built in. */
#define BR_COALESCE_PERIOD (3 * BRUIT_SECOND)
#define BR_COALESCE_QUIET (1 * BRUIT_SECOND)

/* One event about several members; `change` is one of enum bruit_status_change. */
typedef void (*br_coalesce_fn)(void *context, enum bruit_status_change change,
                               const struct bruit_status_member *members, size_t count);

struct br_coalesce_entry;

struct br_coalescer {
    br_coalesce_fn tell;
    void *context;
    struct br_alloc alloc;
    struct br_table table; /* names to indices of `entries` */
    uint8_t hash_key[16];
    struct br_coalesce_entry **entries; /* one for each member told of and not reaped since */
    uint32_t count;
    uint32_t capacity;
    uint32_t pending;
    bruit_time deadline_quiet;
    bruit_time deadline_period;
};

void br_coalescer_init(struct br_coalescer *c, uint64_t seed, br_coalesce_fn tell, void *context);
/* Drops what was not told. */
void br_coalescer_fini(struct br_coalescer *c);

/* `member` is copied. Returns 0 or BRUIT_ENOMEM. */
int br_coalescer_add(struct br_coalescer *c, enum bruit_status_change change,
                     const struct bruit_status_member *member, bruit_time now);

/* When br_coalescer_flush is due; BRUIT_NEVER when nothing waits. */
bruit_time br_coalescer_deadline(const struct br_coalescer *c);

/* Tells everything that waits, one event for each kind. */
void br_coalescer_flush(struct br_coalescer *c);

#endif
