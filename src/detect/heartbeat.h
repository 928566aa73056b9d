/*
 * The heartbeat detector: whose heart has stood still for too long (van Renesse, Minsky, Hayden: "A gossip-style
 * failure detection service", 1998; the rule for "too long" is accrual.h's).
 *
 * Each member raises its own heartbeat each round, and gossip spreads the numbers. What is judged here:
 *
 *   which of two claims is newer     greater generation, then goodbye, then greater heartbeat
 *   what nobody may claim            a generation or heartbeat too far above what is known, or above the ceiling
 *   what we do about claims on us    a generation above the one claimed, one sane step at a time
 *   who is dead                      alive, and silent for longer than the rule allows: our own verdict, which is not
 *                                    passed on, so that nobody is dead because somebody says so
 *   who is alive again               the dead whose heartbeat went on while we were deaf. An echo of old beats, which
 *                                    some member heard later than we did, is none: about as many beats must have gone
 *                                    by as the silence was long
 *   who stays forgotten              graves: numbers of members who were forgotten, and do not come back by old news
 *
 * Generations are counters that the driver keeps; no clock is ever compared with another's. What time we ourselves
 * were stalled counts for nobody's silence, and for our own heart it counts as beaten.
 */
#ifndef BR_DETECT_HEARTBEAT_H
#define BR_DETECT_HEARTBEAT_H

#include "base/table.h"
#include "codec/heartbeat.h"
#include "detect/accrual.h"
#include "member/core.h"

/* The highest generation anybody may claim, and how far a claim may be above what is known. A member that crashes
 * once a second while it is cut off needs 18 hours for the step, and 68 years for the ceiling; who forges needs
 * 32,768 claims, each of which has to spread, to push a member to the ceiling. */
#define BR_HEARTBEAT_GENERATION_MAX UINT32_C(0x80000000)
#define BR_HEARTBEAT_GENERATION_STEP 65536u
/* 194 days of one a second: a member is not cut off for so long and then believed. */
#define BR_HEARTBEAT_STEP (UINT32_C(1) << 24)

/* Members whose end is remembered, the newest; 24 bytes each and the table's. */
#define BR_GRAVES_MAX 4096
/* For so long. Longer than a machine is down with a stale view and then let back by itself. */
#define BR_GRAVE_TIME (UINT64_C(24) * 3600 * BRUIT_SECOND)

struct br_grave {
    uint64_t id;
    bruit_time since;
    uint32_t generation;
    uint32_t heartbeat;
};

struct br_heartbeat {
    struct br_core *core;
    struct br_accrual_rule rule;
    struct br_accrual *pairs; /* by slot */
    uint32_t capacity;
    bruit_time stalled; /* in all: the clock of `pairs` is behind by so much */
    bruit_time defended_at;
    struct br_grave *graves; /* a ring of BR_GRAVES_MAX once it is full */
    uint32_t grave_count;
    uint32_t grave_capacity;
    uint32_t grave_next;
    struct br_table grave_by_id;
};

/* What a claim is beside what we know. */
enum br_beat_relation {
    BR_BEAT_OLDER,   /* we know better */
    BR_BEAT_SAME,
    BR_BEAT_NEWER,   /* the heart went on */
    BR_BEAT_GONE,    /* it says goodbye, and we did not know */
    BR_BEAT_REBORN,  /* a greater generation */
    BR_BEAT_FORGED,  /* too far above */
};

void br_heartbeat_init(struct br_heartbeat *hb, struct br_core *core);
void br_heartbeat_fini(struct br_heartbeat *hb);
/* Room for the slots below `capacity`: 0, or BRUIT_ENOMEM. */
int br_heartbeat_reserve(struct br_heartbeat *hb, uint32_t capacity);

/* Our own heart beats once more. */
void br_heartbeat_beat(struct br_heartbeat *hb);

/* A member is alive from now on; and one more beat of it arrived. */
void br_heartbeat_begin(struct br_heartbeat *hb, uint32_t slot);
void br_heartbeat_arrived(struct br_heartbeat *hb, uint32_t slot);

/* The next member behind `slot` (0: the first) that has been silent for too long; 0 when there is none. */
uint32_t br_heartbeat_next_silent(const struct br_heartbeat *hb, uint32_t slot);
/* How long it has been, in time that we were awake. */
bruit_time br_heartbeat_silence(const struct br_heartbeat *hb, uint32_t slot);
double br_heartbeat_phi(const struct br_heartbeat *hb, uint32_t slot);

/* We were stalled for `gap`. */
void br_heartbeat_delay(struct br_heartbeat *hb, bruit_time gap);

/* A claim beside a known member. */
enum br_beat_relation br_heartbeat_relation(const struct br_heartbeat *hb, uint32_t slot,
                                            const struct br_beat_entry *claim);
/* Whether a dead member's new heartbeat means that it lives. */
bool br_heartbeat_lives(const struct br_heartbeat *hb, uint32_t slot, uint32_t heartbeat);

/*
 * Somebody claims `claimed` as our generation, or something newer than we said ourselves: the generation that we must
 * take, or 0 when it is absurd or we took one within this interval.
 */
uint32_t br_heartbeat_defence(struct br_heartbeat *hb, uint32_t claimed);

/* A member is forgotten: its numbers are not. Without memory they are. */
void br_heartbeat_bury(struct br_heartbeat *hb, uint32_t slot);
/* Whether a claim about somebody unknown is old news of the dead. */
bool br_heartbeat_is_buried(const struct br_heartbeat *hb, const struct br_beat_entry *claim);

#endif
