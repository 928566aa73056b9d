/*
 * Lifetimes: what expires, what dies with its owner, and tombstones that have served.
 *
 * An expired value is hidden at once by everybody's own clock. To be gone for good it is deleted, as by a program, and
 * the delete names that value alone: a newer one that was written meanwhile stays. Whoever wrote it does that; is it
 * silent for a grace, the live peer that comes first in rendezvous order of the key does, and after one grace more
 * anybody, so that a peer who is slow costs time only. Two who delete the same do no harm.
 *
 * A value dies with its owner in the same way, once the owner has been dead, gone or forgotten for a grace. Each such
 * value has an alarm, set when it comes while its owner is away or when its owner goes. An owner that is not known is
 * a forgotten one only for who has known somebody for a grace.
 */
#include "base/bytes.h"
#include "base/siphash.h"
#include "module/kv_core.h"

/* Alarms and tombstones of one tick, and siblings looked at: what more there is waits for the next, a moment later. */
#define BUDGET 256
#define WALK_BUDGET 4096

/* ------------------------------------------------------------------ who removes it */

static uint64_t rank(struct bruit_bytes name, uint64_t hash)
{
    uint8_t key[16] = {0};
    br_store_u64(key, hash);
    return br_siphash24(key, name);
}

/* Rendezvous hashing (Thaler and Ravishankar, 1998): do we come first among the live peers? */
static bool is_first(const struct br_kv *kv, uint64_t hash)
{
    const struct bruit_engine *engine = bruit_host_engine(kv->host);
    uint64_t ours = rank(br_kv_own_name(kv), hash);
    for (bruit_node node = 0; (node = bruit_member_next(engine, node)) != 0;)
        if (node != bruit_member_self(engine) && bruit_host_is_peer(kv->host, node) &&
            rank(bruit_member_name(engine, node), hash) > ours)
            return false;
    return true;
}

/* Since when a member of that name is dead or left; BRUIT_NEVER: it lives. One that is not known: since ever. */
static bruit_time gone_since(const struct br_kv *kv, struct bruit_bytes name)
{
    struct bruit_member member;
    const struct bruit_engine *engine = bruit_host_engine(kv->host);
    bruit_node node = bruit_member_find(engine, name);
    if (node == 0 || bruit_member_get(engine, node, &member) != 0)
        return 0;
    return member.state == BRUIT_ALIVE || member.state == BRUIT_SUSPECT ? BRUIT_NEVER : member.since;
}

static void set_alarm(struct br_kv *kv, uint32_t sibling, bruit_time time)
{
    /* Without memory nobody here removes it; somebody else will, and hidden it is in any case. */
    (void)br_kv_store_set_alarm(&kv->store, sibling, time);
}

static void remove_sibling(struct br_kv *kv, uint32_t sibling)
{
    uint8_t name[BR_KV_KEY_MAX]; /* the store's own goes while it deletes */
    struct bruit_bytes key = br_kv_store_name(&kv->store, br_kv_store_sibling(&kv->store, sibling)->key);
    struct br_kv_dot dot = br_kv_store_dot(&kv->store, sibling);
    memcpy(name, key.data, key.size);
    struct br_kv_put put = {.key = br_bytes(name, key.size),
                            .is_delete = true,
                            .hlc = br_kv_clock_tick(&kv->clock, br_kv_now(kv)),
                            .replaces = &dot,
                            .replaces_count = 1};
    if (kv->is_left || br_kv_put_local(kv, &put, 0) != 0)
        set_alarm(kv, sibling, br_time_add(br_kv_now(kv), BRUIT_SECOND));
}

/* ------------------------------------------------------------------ alarms */

/*
 * It should be gone since `since`: its remover's turn comes then, that of the first in order a grace later, and
 * everybody's after another.
 */
static void remove_in_turn(struct br_kv *kv, uint32_t sibling, bruit_time since, bool is_ours, bruit_time grace)
{
    const struct br_kv_sibling *s = br_kv_store_sibling(&kv->store, sibling);
    bruit_time late = br_time_since(since, br_kv_now(kv));
    uint64_t hash = br_kv_store_key(&kv->store, s->key)->hash;
    if (is_ours || late >= 2 * grace || (late >= grace && is_first(kv, hash)))
        remove_sibling(kv, sibling);
    else
        set_alarm(kv, sibling, br_time_add(since, late >= grace ? 2 * grace : grace));
}

/* When its owner has been gone for a grace: that of the first in order; a grace later everybody's. */
static void set_owner_alarm(struct br_kv *kv, uint32_t sibling, bruit_time since)
{
    uint64_t hash = br_kv_store_key(&kv->store, br_kv_store_sibling(&kv->store, sibling)->key)->hash;
    bruit_time grace = kv->options.owner_grace;
    set_alarm(kv, sibling, br_time_add(since, is_first(kv, hash) ? grace : 2 * grace));
}

/*
 * Has some live peer been known for a grace? Who has just started and has found nobody yet knows no owners, which says
 * nothing about them; from a peer we have all members within less.
 */
static bool is_settled_in(const struct br_kv *kv)
{
    struct bruit_member member;
    const struct bruit_engine *engine = bruit_host_engine(kv->host);
    for (bruit_node node = 0; (node = bruit_member_next(engine, node)) != 0;)
        if (node != bruit_member_self(engine) && bruit_host_is_peer(kv->host, node) &&
            bruit_member_get(engine, node, &member) == 0 &&
            br_time_since(member.since, br_kv_now(kv)) >= kv->options.owner_grace)
            return true;
    return false;
}

/* An owner that was back meanwhile has its grace anew. */
static void ring_owned(struct br_kv *kv, uint32_t sibling)
{
    struct bruit_bytes owner = br_kv_store_owner(&kv->store, sibling);
    bruit_time since = gone_since(kv, owner), now = br_kv_now(kv);
    bool is_unknown = bruit_member_find(bruit_host_engine(kv->host), owner) == 0;
    if (since == BRUIT_NEVER)
        return;
    if (is_unknown && !is_settled_in(kv))
        set_alarm(kv, sibling, br_time_add(now, br_time_max(kv->options.owner_grace, BRUIT_SECOND)));
    else if (br_time_since(since, now) < kv->options.owner_grace)
        set_owner_alarm(kv, sibling, since);
    else
        remove_sibling(kv, sibling);
}

static void ring(struct br_kv *kv, uint32_t sibling)
{
    const struct br_kv_sibling *s = br_kv_store_sibling(&kv->store, sibling);
    if (s->life == BR_KV_OWNED) {
        ring_owned(kv, sibling);
    } else if (s->life == BR_KV_EXPIRES && s->expires > br_kv_now(kv)) {
        set_alarm(kv, sibling, s->expires);
    } else if (s->life == BR_KV_EXPIRES) {
        bool is_ours = br_kv_store_dot(&kv->store, sibling).actor == kv->store.actor;
        remove_in_turn(kv, sibling, s->expires, is_ours, kv->options.ttl_grace);
    }
}

void br_kv_life_added(struct br_kv *kv, struct bruit_bytes key)
{
    const struct br_kv_store *s = &kv->store;
    uint32_t slot = s->owned_count == 0 ? BR_KV_NONE : br_kv_store_find(s, key);
    if (slot == BR_KV_NONE)
        return;
    for (uint32_t i = br_kv_store_first(s, slot); i != BR_KV_NONE; i = br_kv_store_next(s, i))
        if (br_kv_store_sibling(s, i)->life == BR_KV_OWNED && gone_since(kv, br_kv_store_owner(s, i)) != BRUIT_NEVER)
            set_owner_alarm(kv, i, br_kv_now(kv));
}

/* ------------------------------------------------------------------ owners that go */

static void drop_orphan(struct br_kv *kv)
{
    br_buf_drop(kv->alloc, kv->orphans[0]);
    kv->orphan_count--;
    memmove(kv->orphans, kv->orphans + 1, kv->orphan_count * sizeof *kv->orphans);
    kv->orphan_cursor = 0;
}

void br_kv_life_fini(struct br_kv *kv)
{
    while (kv->orphan_count > 0)
        drop_orphan(kv);
    (void)bruit_host_resize(kv->host, kv->orphans, kv->orphan_capacity * sizeof *kv->orphans, 0);
}

static bool grow_orphans(struct br_kv *kv)
{
    if (kv->orphan_count < kv->orphan_capacity)
        return true;
    uint32_t capacity = kv->orphan_capacity == 0 ? 8 : 2 * kv->orphan_capacity;
    void *more = bruit_host_resize(kv->host, kv->orphans, kv->orphan_capacity * sizeof *kv->orphans,
                                   capacity * sizeof *kv->orphans);
    if (more == NULL)
        return false;
    kv->orphans = more;
    kv->orphan_capacity = capacity;
    return true;
}

/* Members who go are as many as there are members: that bounds the list. */
void br_kv_life_member(struct br_kv *kv, bruit_node node, uint32_t changes)
{
    if (kv->store.owned_count == 0 ||
        !(changes & (BRUIT_CHANGE_FAILED | BRUIT_CHANGE_LEFT | BRUIT_CHANGE_FORGOTTEN)))
        return;
    struct bruit_bytes name = bruit_member_name(bruit_host_engine(kv->host), node);
    if (name.size == 0 || !grow_orphans(kv))
        return;
    struct br_buf *copy = br_buf_new(kv->alloc, name);
    if (copy != NULL)
        kv->orphans[kv->orphan_count++] = copy;
}

static void walk_orphans(struct br_kv *kv)
{
    struct bruit_bytes owner = br_buf_bytes(kv->orphans[0]);
    uint32_t sibling = BR_KV_NONE, budget = BUDGET;
    while (budget-- > 0 && kv->orphan_cursor != BR_KV_NONE &&
           (sibling = br_kv_store_walk_owned(&kv->store, &kv->orphan_cursor, owner, WALK_BUDGET)) != BR_KV_NONE)
        set_owner_alarm(kv, sibling, br_kv_now(kv));
    if (kv->orphan_cursor == BR_KV_NONE)
        drop_orphan(kv);
}

/* ------------------------------------------------------------------ time */

bruit_time br_kv_life_deadline(const struct br_kv *kv)
{
    if (kv->orphan_count > 0)
        return 0;
    return br_time_min(br_kv_store_next_alarm(&kv->store), br_kv_store_next_collect(&kv->store));
}

/* One tombstone; the record of its key, which shows it, is written anew. */
static void collect_one(struct br_kv *kv)
{
    uint8_t name[BR_KV_KEY_MAX]; /* the store's own may go */
    struct br_kv_before before;
    const struct br_kv_sibling *grave = br_kv_store_sibling(&kv->store, br_heap_min(&kv->store.graves));
    struct bruit_bytes key = br_kv_store_name(&kv->store, grave->key);
    memcpy(name, key.data, key.size);
    key.data = name;
    br_kv_before(kv, key, &before);
    if (br_kv_store_collect(&kv->store, br_kv_now(kv), 1) > 0)
        br_kv_disk_key(kv, key, &before);
}

static void collect(struct br_kv *kv)
{
    bruit_time now = br_kv_now(kv);
    if (!kv->disk.is_on)
        (void)br_kv_store_collect(&kv->store, now, BUDGET);
    else
        for (uint32_t i = 0; i < BUDGET && br_kv_store_next_collect(&kv->store) <= now; i++)
            collect_one(kv);
}

void br_kv_life_tick(struct br_kv *kv)
{
    bruit_time now = br_kv_now(kv);
    if (kv->orphan_count > 0)
        walk_orphans(kv);
    for (uint32_t i = 0; i < BUDGET && br_kv_store_next_alarm(&kv->store) <= now; i++)
        ring(kv, br_kv_store_pop_alarm(&kv->store, now));
    if (br_kv_store_next_collect(&kv->store) <= now)
        collect(kv);
}
