/*
 * Heartbeat gossip: who is told what, and for how many bytes (anti-entropy by digests: van Renesse, Dumitriu, Gough,
 * Thomas: "Efficient reconciliation and flow control for anti-entropy protocols", 2008, which calls it scuttlebutt).
 *
 * A round goes to k live members, and now and then to a dead one. Its message says, in this order and as far as its
 * share of the budget reaches:
 *
 *   news      entries of members of whom something changed lately, each told a few times (spread/gossip.h's limit)
 *   buckets   all live members by turns, a bucket at a time: who agrees on the bucket's checksum takes heartbeats by
 *             their place in it. With some 600 members or more at 2 kB/s a round no longer reaches around; the next
 *             one goes on where it stopped
 *
 * and what the other side answers is said in heartbeat.h of codec/. Answers have a budget of their own, so that
 * nobody can make us spend what our own rounds need.
 *
 * Order: members by id, so that a bucket is a run of it. 4 bytes a member, and 8 a name for ids in the roster.
 *
 * Timer: the next round; on a grid of config.heartbeat.interval with a random phase.
 */
#ifndef BR_SPREAD_DIGEST_H
#define BR_SPREAD_DIGEST_H

#include "base/rng.h"
#include "codec/heartbeat.h"
#include "codec/packet.h"
#include "member/core.h"
#include "member/pick.h"
#include "member/send.h"

/* News that waits at once. More than this is found by the buckets' checksums, some rounds later. */
#define BR_DIGEST_NEWS_MAX 256

/* Members of one bucket on average: 8 to 16. Larger ones cost less at rest, and more for each that differs. */
#define BR_DIGEST_BUCKET 16

/* Rounds with news of our own (goodbye, metadata) before it counts as told: 3 times k members, who tell it on. */
#define BR_DIGEST_TOLD 3

struct br_digest_news {
    uint32_t slot;
    uint32_t told;
};

struct br_digest {
    struct br_core *core;
    struct br_rng rng;
    uint32_t *order; /* slots of all members, by id */
    uint32_t count;
    uint32_t capacity;
    bruit_time next_round; /* BRUIT_NEVER: after we have left */
    uint64_t cursor;       /* the id at which the next round's buckets begin */
    uint32_t targets[BR_PICK_MAX + 1];
    uint32_t target_count;
    uint32_t target_next;
    struct br_digest_news news[BR_DIGEST_NEWS_MAX];
    uint32_t news_count;
    uint64_t savings; /* bytes that answers may cost */
    bruit_time saved_at;
    uint64_t rounds; /* so far */
};

void br_digest_init(struct br_digest *d, struct br_core *core, bruit_time now);
void br_digest_fini(struct br_digest *d);

/* ---- members ---- */

/* Room for `capacity` members: 0, or BRUIT_ENOMEM. */
int br_digest_reserve(struct br_digest *d, uint32_t capacity);
/* A member of the view; and one that is to be forgotten. Cost: moves half the order on average. */
void br_digest_insert(struct br_digest *d, uint32_t slot);
void br_digest_remove(struct br_digest *d, uint32_t slot);
/* Puts all members of the view in order at once. */
void br_digest_sort(struct br_digest *d);
/* The slot with this id, or 0. */
uint32_t br_digest_find(const struct br_digest *d, uint64_t id);

/* Something of this member changed: to be told. */
void br_digest_tell(struct br_digest *d, uint32_t slot);
void br_digest_forget_news(struct br_digest *d);

/* ---- buckets ---- */

/*
 * The members of a bucket, in the order of their ids: all of them, or (`whole` false) those who have not left. Whom we
 * hold dead is in it until forgotten: a verdict is ours alone, and must not let our bucket differ from everybody's.
 * (When it did, a false verdict made heartbeats of its bucket travel as entries, that is, much slower, which made more
 * false verdicts: 1,000 members at 2 kB/s never came to rest.) False when there are more than 255.
 */
struct br_digest_run {
    uint32_t slots[BR_BEAT_BUCKET_MAX];
    uint32_t count;
};
bool br_digest_run(const struct br_digest *d, const struct br_beat_bucket *bucket, bool whole,
                   struct br_digest_run *out);
/* Over all that two sides must know alike before they can speak of the run by places. */
uint32_t br_digest_checksum(const struct br_digest *d, const struct br_digest_run *run);

/* ---- rounds ---- */

static inline bruit_time br_digest_deadline(const struct br_digest *d)
{
    return d->next_round;
}
/* Whether a round begins: then its targets are chosen. */
bool br_digest_tick(struct br_digest *d, bruit_time now);
/* How long it takes until our rounds have spoken of everybody; 0 when one round is enough. */
bruit_time br_digest_turn(const struct br_digest *d);
/* The next round comes now, and not when its time is. */
void br_digest_hurry(struct br_digest *d, bruit_time now);
void br_digest_stop(struct br_digest *d);

/* The next member to be told (BR_SEND_BEAT); false when the round is over. */
bool br_digest_next(struct br_digest *d, struct br_send *send);
/* Writes the message for it; at most `room` bytes. */
void br_digest_write(struct br_digest *d, struct br_writer *w, uint32_t slot, size_t room);

/* ---- answers ---- */

/* What an answer may cost now, in bytes of the datagram; and what one did cost. */
size_t br_digest_afford(struct br_digest *d, bruit_time now);
void br_digest_spend(struct br_digest *d, size_t size);

/* The plain entry of a member: numbers alone. */
struct br_beat_entry br_digest_entry(const struct br_core *core, uint32_t slot);
/* News, as far as it fits into `room`; each entry is thereby told once more. */
void br_digest_write_news(struct br_digest *d, struct br_writer *w, size_t room);

#endif
