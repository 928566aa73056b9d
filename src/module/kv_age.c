/*
 * The horizon: how long a store may be away and still be merged, and what may be forgotten because of it.
 *
 * Actors that have nothing left in the store and wrote nothing for a horizon are retired once there are many, and
 * forgotten a horizon later (kv_context.h). Whoever forgot an actor would take an old value of it for a new one. So who
 * has forgotten any, or learnt from somebody who has, says so; and a store that has not been equal with anybody for a
 * horizon is *stale*: it does not answer those, and when it compares with one of them, what it holds of actors that
 * the other does not know goes, as dropped and forgotten there. Only writes of its own that nobody is known to have
 * seen stay, since nobody can have dropped those.
 *
 * Each store measures its own absence: by its monotonic clock while it runs, by the wall clock of one machine over a
 * restart. Clocks of different members are never compared. A store that has met nobody but other stale ones for
 * several comparisons is merged as usual, as when a whole cluster was down: there is nobody who would know better.
 *
 * What this leaves open: two groups, each of which goes on by itself for longer than two horizons while more actors
 * come and go than there is room for. Neither is stale, and each may have forgotten what the other still holds.
 */
#include "module/kv_core.h"

#define MS BRUIT_MILLISECOND

/* So many stale peers in a row, chosen at random, are taken for all there are. */
#define MEETINGS 6

/* Nothing is retired while this fraction of actors_max is not reached. */
#define ROOMY 4

/* How much of a horizon the record of the last comparison may be late: we seem to be away that much longer. */
#define PRECISION 16

static bool was_away(const struct br_kv *kv)
{
    bruit_time now = br_kv_now(kv);
    if (kv->sync.equal_at != 0)
        return br_time_since(kv->sync.equal_at, now) > kv->options.horizon;
    uint64_t wall = br_kv_clock_wall(&kv->clock, now) / MS, synced = kv->disk.synced_ms;
    return synced != 0 && wall > synced && wall - synced > kv->options.horizon / MS;
}

bool br_kv_is_stale(const struct br_kv *kv)
{
    return kv->stale_meetings < MEETINGS && was_away(kv);
}

uint8_t br_kv_age_flags(const struct br_kv *kv)
{
    return (uint8_t)((br_kv_is_stale(kv) ? BR_KV_STALE : 0) | (kv->has_forgotten ? BR_KV_FORGOT : 0));
}

void br_kv_forgot(struct br_kv *kv)
{
    if (kv->has_forgotten)
        return;
    kv->has_forgotten = true;
    br_kv_disk_forgot(kv);
}

bool br_kv_is_unseen(const struct br_kv *kv, struct br_kv_dot dot)
{
    return dot.actor == kv->store.actor && dot.counter > kv->disk.synced_counter;
}

void br_kv_met_stale(struct br_kv *kv)
{
    if (was_away(kv))
        kv->stale_meetings++;
}

/* ------------------------------------------------------------------ forgetting */

static void retire(struct br_kv *kv, bruit_time now)
{
    struct br_kv_context *c = &kv->store.context;
    bruit_time horizon = kv->options.horizon;
    if (c->actor_count <= c->actors_max / ROOMY)
        return; /* what is remembered can harm nobody */
    for (uint32_t i = 0; i < c->slot_count; i++) {
        const struct br_kv_actor *actor = &c->actors[i];
        if (actor->is_used && !actor->is_retired && actor->sibling_count == 0 &&
            br_time_since(actor->changed, now) > horizon)
            (void)br_kv_context_retire(c, actor->id, now);
    }
    if (now > horizon && br_kv_context_forget(c, now - horizon) > 0)
        br_kv_forgot(kv);
}

/* How many of our own writes somebody has seen, from the first on: what we push may still get lost. */
static uint64_t seen_by(const struct br_kv *kv, const struct br_kv_context *theirs)
{
    if (theirs == NULL)
        return kv->sync.ours_counter;
    uint32_t own = br_kv_context_find(theirs, kv->store.actor);
    return own == BR_KV_ACTOR_NONE ? 0 : theirs->actors[own].base;
}

void br_kv_met(struct br_kv *kv, const struct br_kv_context *theirs)
{
    bruit_time now = br_kv_now(kv), step = kv->options.horizon / PRECISION;
    uint64_t seen = seen_by(kv, theirs);
    bool is_more = seen > kv->disk.synced_counter;
    bool is_time = kv->aged_at == 0 || br_time_since(kv->aged_at, now) >= step;
    kv->sync.equal_at = now;
    kv->stale_meetings = 0;
    if (is_more)
        kv->disk.synced_counter = seen;
    if (is_time) {
        kv->aged_at = now;
        retire(kv, now);
    }
    if (kv->disk.is_on && (is_time || is_more)) /* what was seen, after a crash as well, may have been deleted */
        br_kv_disk_actor(kv);
}
