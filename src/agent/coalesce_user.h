/*
 * Gathering user events before handlers and streams are told (docs/wire/serf.md section 11).
 *
 * Events that may be coalesced wait until 3 s after the first of them or 1 s after the latest, whichever comes first;
 * then, of each name, only those with the highest Lamport time are told, in the order in which they came. Events that
 * may not be coalesced never come here, and overtake. (Member events have a gathering of their own: coalesce.h.)
 *
 * No clock and no timer: whoever owns it passes the time and wakes it at the deadline.
 */
#ifndef BR_AGENT_COALESCE_USER_H
#define BR_AGENT_COALESCE_USER_H

#include "agent/coalesce.h"

#include <bruit/event.h>

/* Events that wait at most; a further one lets all of them go at once. */
#define BR_COALESCE_USER_MAX 256

typedef void (*br_coalesce_user_fn)(void *context, const struct bruit_user_event *event);

struct br_coalesce_user_entry;

struct br_user_coalescer {
    br_coalesce_user_fn tell;
    void *context;
    struct br_coalesce_user_entry *entries[BR_COALESCE_USER_MAX];
    uint32_t count;
    bruit_time deadline_quiet;
    bruit_time deadline_period;
};

void br_user_coalescer_init(struct br_user_coalescer *c, br_coalesce_user_fn tell, void *context);
/* Drops what was not told. */
void br_user_coalescer_fini(struct br_user_coalescer *c);

/* `event` is copied. Returns 0, or BRUIT_ENOMEM: then tell it yourself. */
int br_user_coalescer_add(struct br_user_coalescer *c, const struct bruit_user_event *event, bruit_time now);

/* When br_user_coalescer_flush is due; BRUIT_NEVER when nothing waits. */
bruit_time br_user_coalescer_deadline(const struct br_user_coalescer *c);

/* Tells everything that waits. `tell` must not add. */
void br_user_coalescer_flush(struct br_user_coalescer *c);

#endif
