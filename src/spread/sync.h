/*
 * Full state exchange (push/pull): when, with whom, and what is said. Anti-entropy in the sense of Demers et al.
 * (1987); docs/wire/memberlist.md sections 5.2, 6.7, 9.1, 9.2 and 11.2.
 *
 * Two schedules. The *periodic* one is memberlist's: every push_pull_interval, stretched with the logarithm of the
 * membership, with one random live member. The *early* one is ours: each join that we hear of earns one exchange,
 * up to SYNC_EARLY_MAX, which follow each other at about early_sync_delay while a budget of bytes a second lasts.
 * Gossip alone misses about 1 in 25 members of 50 with each join (docs/performance.md), and the periodic exchange
 * finds that after 30 s or more; the early one after a fraction of a second.
 *
 * Streams, frames and the merge itself are the engine's.
 */
#ifndef BR_SPREAD_SYNC_H
#define BR_SPREAD_SYNC_H

#include "base/rng.h"
#include "codec/pushpull.h"
#include "member/core.h"

/*
 * Exchanges that a burst of joins may earn. With 25 of 50 members each making 16 with different ones, a peer that makes
 * none itself is reached by nobody with a probability of (1 - 16/49)^25 = 0.005 %, and would then have to be one that
 * gossip missed, too. With 8 it is 1 %: of 35 starts of 25 Go agents among 25 of ours, 3 waited for a periodic one.
 */
#define BR_SYNC_EARLY_MAX 16

struct br_sync {
    struct br_core *core;
    struct br_rng rng;
    bruit_time periodic_at;
    bruit_time early_at; /* BRUIT_NEVER: none is owed */
    bruit_time saved_at; /* when `savings` was reckoned */
    uint64_t savings;    /* bytes that early exchanges may still cost */
    uint32_t early_owed;
    uint32_t walk;     /* how far the early ones have come through the members */
    uint32_t doubted;  /* with whom the next early exchange is to be, or 0 */
    uint32_t doc_size; /* of the application's state when it was last written: for the estimate */
};

void br_sync_init(struct br_sync *sync, struct br_core *core, bruit_time now);

/*
 * A member joined, as far as we know just now. `late`: a sync had to tell us, which is no part of anybody's join. Then
 * gossip has lost it, for others as well, and it is passed on with all the exchanges a burst may earn: where gossip
 * loses everything a join is known to eleven members after 3.2 s at most (40 runs), instead of 32 s with one each,
 * and where it loses little this hardly ever happens.
 */
void br_sync_heard_join(struct br_sync *sync, bool late, bruit_time now);

/*
 * News was told on a network that loses packets: `slot`, which relies on us to hear it, may not have. One early
 * exchange with it, after news had its time to arrive.
 */
void br_sync_doubt(struct br_sync *sync, uint32_t slot, bruit_time now);

bruit_time br_sync_deadline(const struct br_sync *sync);

/* The member with whom an exchange is due, or 0; ask until 0. */
uint32_t br_sync_tick(struct br_sync *sync, bruit_time now);

/* ---- what is said ---- */

/* Bytes of a push/pull message (type byte included) with `user_size` bytes of application state. */
size_t br_sync_size(const struct br_core *core, size_t user_size);

/* Writes it: every member we know, in whatever state, in the order of the probe round. */
void br_sync_write(struct br_writer *w, const struct br_core *core, bool join, struct bruit_bytes user_state);

/* ---- may it be merged? ---- */

/*
 * The versions of everybody on one side (section 11.2): what the live ones understand at the least, and what
 * anybody speaks. Gathered entry by entry; two sides fit when every one spoken is understood by all that live.
 */
struct br_versions {
    uint8_t protocol_min_max; /* the largest of the minima */
    uint8_t protocol_max_min; /* the smallest of the maxima */
    uint8_t protocol_low;     /* the lowest and the highest spoken */
    uint8_t protocol_high;
    uint8_t delegate_min_max;
    uint8_t delegate_max_min;
    uint8_t delegate_low;
    uint8_t delegate_high;
    uint8_t last[BR_VSN_SIZE]; /* what was added last: the same again changes nothing */
    bool last_is_whole;        /* alive, and all six were there */
    bool has_last;
};

void br_versions_init(struct br_versions *versions);
/* `vsn` shorter than six bytes counts as speaking 0, and fits nobody. */
void br_versions_add(struct br_versions *versions, struct bruit_bytes vsn, bool alive);
/* Adds everybody we know, then says whether all fit. */
bool br_versions_fit(struct br_versions *versions, const struct br_core *core);

#endif
