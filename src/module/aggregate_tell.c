/*
 * Exact aggregates: how what is published gets around.
 *
 * Telling. News is told TELL_TIMES times by everybody who hears it, to FANOUT random peers a round, least told first,
 * as much as fits into a datagram. A value that changes while it is news is told with its latest value, so changes
 * faster than a round cost nothing, and however much changes a node sends FANOUT_MAX datagrams a round at most. Of push
 * gossip with a fixed number of copies a part e^-TELL_TIMES is missed (Demers et al. 1987; 1 in 400 for 6); that, and
 * what had no room, is for
 *
 * Comparing. Every compare_interval, with one random peer:
 *
 *     SUMMARY   ->                     one hash of all that we hold
 *               <-  BUCKETS            only if theirs is another: 128 hashes
 *     HAVE      ->                     owners and versions in the buckets that differ
 *               <-  TELL, WANT         what we lack; what they lack
 *     TELL      ->
 *
 * At rest that is one datagram of some 30 bytes an interval. What is large goes over a stream. No side keeps a session:
 * each message says all that the next step needs. The sender alone notes when it said what it has, to know how complete
 * it is when all parts of the answer are here.
 *
 * Whose word. A record about us with a version that we did not make (forged, or of a life that we do not remember) is
 * overridden: our values go into an epoch above it and are news everywhere. An epoch too far ahead is refused and
 * counted instead (aggregate_store.h), so that one forged record cannot end our epochs. Somebody who knows nothing of
 * an owner cannot tell what is too far; it takes back what it took when the owner itself says otherwise.
 */
#include "module/aggregate_state.h"

#include "base/time.h"

#include <bruit/error.h>

#define TELL_TIMES 6
#define FANOUT 2

/* With more news than these datagrams would hold soon, to some more peers: a burst, such as everybody's first word. */
#define NEWS_PER_PEER 200
#define FANOUT_MAX 6

/* More than this many datagrams go over a stream instead. */
#define DATAGRAMS_MAX 4

/* Large answers (all but a summary) that we give in a second, at most: whoever asks more is asked to wait. */
#define ANSWERS_MAX 32

/* The first comparison of a newcomer, and those while much is missing. */
#define COMPARE_SOON (200 * BRUIT_MILLISECOND)

#define HURRY 4

/* Much: an answer brought this part of all values or more. */
#define MUCH_PART 10

#define BITS_OF(mask, bucket) ((mask)[(bucket) / 8] >> ((bucket) % 8) & 1)

void br_aggregate_tell_init(struct br_aggregate *a)
{
    a->telling.tell_at = BRUIT_NEVER;
    a->telling.compare_at = BRUIT_NEVER;
}

bruit_time br_aggregate_tell_deadline(const struct br_aggregate *a)
{
    return br_time_min(a->telling.tell_at, a->telling.compare_at);
}

/* ------------------------------------------------------------------ telling news */

void br_aggregate_tell_soon(struct br_aggregate *a)
{
    struct br_aggregate_telling *t = &a->telling;
    bruit_time now = bruit_host_now(a->host);
    if (t->tell_at != BRUIT_NEVER || a->store.news_count == 0 || t->compare_at == BRUIT_NEVER)
        return;
    /* At once when nothing was told of late; rounds of different nodes need no common phase. */
    bruit_time next = t->told_at == 0 ? now : br_time_add(t->told_at, a->options.tell_interval);
    t->tell_at = br_time_max(now, next);
}

static void tell_one(struct br_aggregate *a, bruit_node to)
{
    struct br_writer w;
    br_aggregate_begin_ours(a, &w, a->buffer, a->room, BR_AGGREGATE_TELL);
    br_write_u8(&w, 0);
    if (br_aggregate_tell(&a->store, &w, TELL_TIMES) > 0)
        br_aggregate_send(a, to, &w);
}

static void tell_round(struct br_aggregate *a)
{
    struct br_aggregate_telling *t = &a->telling;
    bruit_node last = 0;
    t->told_at = bruit_host_now(a->host);
    uint32_t fanout = FANOUT + a->store.news_count / NEWS_PER_PEER;
    for (unsigned i = 0; i < fanout && i < FANOUT_MAX && a->store.news_count > 0; i++) {
        bruit_node to = br_aggregate_draw(a, last);
        if (to == 0)
            break;
        tell_one(a, to);
        last = to;
    }
    t->tell_at = BRUIT_NEVER;
    br_aggregate_tell_soon(a);
}

/* ------------------------------------------------------------------ comparing: what we say */

static bruit_time around(struct br_aggregate *a, bruit_time interval)
{
    return interval - interval / 4 + bruit_host_random_below(a->host, interval / 2);
}

void br_aggregate_compare_soon(struct br_aggregate *a)
{
    bruit_time soon = br_time_add(bruit_host_now(a->host), bruit_host_random_below(a->host, COMPARE_SOON));
    a->telling.compare_at = br_time_min(a->telling.compare_at, soon);
}

void br_aggregate_peers_changed(struct br_aggregate *a)
{
    struct br_aggregate_telling *t = &a->telling;
    bool is_alone = a->store.count < 2;
    if (is_alone) {
        t->compare_at = t->tell_at = BRUIT_NEVER;
        return;
    }
    if (t->compare_at != BRUIT_NEVER)
        return;
    t->confirmed = bruit_host_now(a->host);
    br_aggregate_compare_soon(a);
    br_aggregate_tell_soon(a);
}

static void begin_comparison(struct br_aggregate *a, bruit_node with)
{
    a->telling.comparison =
        (struct br_aggregate_comparison){.with = with, .began = bruit_host_now(a->host)};
}

static void send_summary(struct br_aggregate *a, bruit_node to)
{
    struct br_writer w;
    br_aggregate_begin_ours(a, &w, a->buffer, a->room, BR_AGGREGATE_SUMMARY);
    br_aggregate_write_summary(&w, a->store.hash, a->store.count);
    br_aggregate_send(a, to, &w);
}

static void compare_round(struct br_aggregate *a)
{
    bruit_node to = br_aggregate_draw(a, 0);
    /* Who knows that something is missing does not wait so long. */
    bruit_time interval = a->options.compare_interval / (a->store.incomplete > 0 ? HURRY : 1);
    a->telling.compare_at = br_time_add(bruit_host_now(a->host), around(a, interval));
    if (to != 0)
        send_summary(a, to);
}

void br_aggregate_tell_on_time(struct br_aggregate *a)
{
    bruit_time now = bruit_host_now(a->host);
    if (a->telling.tell_at <= now)
        tell_round(a);
    if (a->telling.compare_at <= now)
        compare_round(a);
}

/* May another large answer be given? */
static bool may_answer(struct br_aggregate *a)
{
    struct br_aggregate_telling *t = &a->telling;
    bruit_time now = bruit_host_now(a->host);
    if (br_time_since(t->answers_since, now) >= BRUIT_SECOND) {
        t->answers_since = now;
        t->answers = 0;
    }
    return t->answers++ < ANSWERS_MAX;
}

void br_aggregate_on_summary(struct br_aggregate *a, const struct br_aggregate_message *message,
                             bruit_node sender)
{
    struct br_writer w;
    a->stats.compared++;
    if (message->hash == a->store.hash) {
        a->stats.equal++;
        if (a->store.incomplete == 0)
            a->telling.confirmed = bruit_host_now(a->host);
        return;
    }
    if (!may_answer(a))
        return;
    br_aggregate_begin_ours(a, &w, a->buffer, a->room, BR_AGGREGATE_BUCKET_HASHES);
    for (unsigned i = 0; i < BR_AGGREGATE_BUCKETS; i++)
        br_write_u32(&w, a->store.buckets[i]);
    br_aggregate_send(a, sender, &w);
}

/* ------------------------------------------------------------------ large messages */

/* A message that is written in parts: into datagrams, or, when it is long, into one stream. */
struct parts {
    struct br_aggregate *a;
    struct br_writer w;
    bruit_node to;
    uint8_t *buffer; /* ours, or the host's memory for a stream */
    size_t size;
    uint32_t sent;
};

static int open_parts(struct parts *p, struct br_aggregate *a, bruit_node to, size_t bytes)
{
    *p = (struct parts){.a = a, .to = to, .buffer = a->buffer, .size = a->room};
    if (bytes <= DATAGRAMS_MAX * a->room)
        return 0;
    p->size = bytes + BRUIT_NAME_MAX + 64;
    if (p->size > BRUIT_STREAM_MESSAGE_MAX)
        p->size = BRUIT_STREAM_MESSAGE_MAX;
    p->buffer = bruit_host_resize(a->host, NULL, 0, p->size);
    return p->buffer == NULL ? BRUIT_ENOMEM : 0;
}

static void send_part(struct parts *p)
{
    struct bruit_member member;
    if (p->buffer == p->a->buffer) {
        br_aggregate_send(p->a, p->to, &p->w);
        return;
    }
    if (!bruit_host_is_peer(p->a->host, p->to) ||
        bruit_member_get(bruit_host_engine(p->a->host), p->to, &member) != 0)
        return;
    if (bruit_host_send_stream(p->a->host, &member.addr, br_writer_bytes(&p->w)) == 0) {
        p->a->stats.streams_out++;
        p->a->stats.bytes_out += br_writer_size(&p->w);
    }
}

static void close_parts(struct parts *p)
{
    if (p->buffer != p->a->buffer)
        (void)bruit_host_resize(p->a->host, p->buffer, p->size, 0); /* frees */
}

/* ------------------------------------------------------------------ HAVE */

/* All owners of the buckets in `mask` that published anything. */
static size_t have_size(const struct br_aggregate *a, const uint8_t *mask)
{
    size_t size = 0;
    for (uint32_t i = 0; i < a->store.count; i++) {
        const struct br_aggregate_owner *owner = br_aggregate_owner(&a->store, a->store.order[i]);
        if (BITS_OF(mask, br_aggregate_bucket_of(owner)) != 0)
            size += 12u + owner->name_size; /* versions and epochs of usual sizes; a hint, not a bound */
    }
    return size;
}

static void begin_have(struct parts *p, size_t *mask_at)
{
    static const uint8_t nothing[BR_AGGREGATE_MASK_SIZE] = {0};
    br_aggregate_begin_ours(p->a, &p->w, p->buffer, p->size, BR_AGGREGATE_HAVE);
    *mask_at = br_writer_size(&p->w);
    br_write_bytes(&p->w, br_bytes(nothing, sizeof nothing));
}

/* All of a bucket, or nothing of it: false. */
static bool write_bucket(struct parts *p, unsigned bucket, size_t mask_at)
{
    const struct br_aggregate_store *s = &p->a->store;
    size_t before = br_writer_size(&p->w);
    uint32_t end = br_aggregate_bucket_start(s, bucket + 1);
    for (uint32_t i = br_aggregate_bucket_start(s, bucket); i < end; i++) {
        const struct br_aggregate_owner *owner = br_aggregate_owner(s, s->order[i]);
        if (owner->complete > 0)
            br_aggregate_write_entry(&p->w, &(struct br_aggregate_entry){br_aggregate_owner_name(owner),
                                                                          owner->epoch, owner->complete});
    }
    if (p->w.failed) {
        br_writer_rewind(&p->w, before);
        return false;
    }
    p->w.start[mask_at + bucket / 8] |= (uint8_t)(1u << bucket % 8);
    return true;
}

/* Returns whether all buckets of `mask` were sent. */
static bool send_have(struct br_aggregate *a, bruit_node to, const uint8_t *mask)
{
    struct parts p;
    size_t mask_at;
    bool is_all = true;
    uint32_t buckets = 0;
    if (open_parts(&p, a, to, have_size(a, mask)) != 0)
        return false;
    begin_have(&p, &mask_at);
    for (unsigned bucket = 0; bucket < BR_AGGREGATE_BUCKETS; bucket++) {
        if (BITS_OF(mask, bucket) == 0)
            continue;
        bool fits = write_bucket(&p, bucket, mask_at);
        if (!fits && buckets > 0 && ++p.sent < 2 * DATAGRAMS_MAX) { /* the next datagram */
            send_part(&p);
            begin_have(&p, &mask_at);
            buckets = 0;
            fits = write_bucket(&p, bucket, mask_at);
        }
        buckets += fits ? 1 : 0;
        is_all = is_all && fits;
    }
    if (buckets > 0)
        send_part(&p);
    is_all = is_all && p.sent == 0; /* two questions get two answers, which we do not tell apart */
    close_parts(&p);
    return is_all;
}

void br_aggregate_on_buckets(struct br_aggregate *a, const struct br_aggregate_message *message,
                             bruit_node sender)
{
    uint8_t mask[BR_AGGREGATE_MASK_SIZE] = {0};
    if (!may_answer(a))
        return;
    for (unsigned i = 0; i < BR_AGGREGATE_BUCKETS; i++)
        if (br_aggregate_bucket(message->buckets, i) != a->store.buckets[i])
            mask[i / 8] |= (uint8_t)(1u << i % 8);
    begin_comparison(a, sender);
    if (!send_have(a, sender, mask))
        a->telling.comparison.with = 0;
}

/* ------------------------------------------------------------------ answering */

/* What somebody lacks: owners, and from where on. */
struct lack {
    bruit_node node;
    uint64_t epoch;
    uint64_t complete;
};

struct lacks {
    struct lack *items;
    uint32_t count;
    uint32_t capacity;
};

static void begin_answer(struct parts *p, size_t *part_at)
{
    br_aggregate_begin_ours(p->a, &p->w, p->buffer, p->size, BR_AGGREGATE_TELL);
    *part_at = br_writer_size(&p->w);
    br_write_u8(&p->w, BR_AGGREGATE_PART_MORE);
}

/* How long it is: written into our buffer, owner by owner. */
static size_t answer_size(struct br_aggregate *a, const struct lacks *lacks)
{
    uint8_t buffer[BR_AGGREGATE_SLOTS * (BR_AGGREGATE_NAME_MAX + BR_AGGREGATE_TEXT_MAX + 16) + BRUIT_NAME_MAX + 64];
    size_t size = 0;
    for (uint32_t i = 0; i < lacks->count; i++) {
        struct br_writer w;
        br_writer_init(&w, buffer, sizeof buffer);
        (void)br_aggregate_write_newer(br_aggregate_owner(&a->store, lacks->items[i].node), &w,
                                       lacks->items[i].epoch, lacks->items[i].complete); /* all of it fits */
        size += br_writer_size(&w);
    }
    return size;
}

/* An empty answer says that nothing is newer. Sixteen long texts take more than a datagram: they go in parts. */
static void send_answer(struct br_aggregate *a, bruit_node to, const struct lacks *lacks)
{
    struct parts p;
    size_t part_at;
    if (open_parts(&p, a, to, answer_size(a, lacks)) != 0)
        return;
    begin_answer(&p, &part_at);
    for (uint32_t i = 0; i < lacks->count; i++) {
        struct lack from = lacks->items[i];
        const struct br_aggregate_owner *owner = br_aggregate_owner(&a->store, from.node);
        for (unsigned tries = 0; tries < 2 * BR_AGGREGATE_SLOTS; tries++) {
            if (br_aggregate_write_newer(owner, &p.w, from.epoch, from.complete))
                break;
            /* What fitted of it is in this part; the next part tells it again from where it began. */
            p.sent++;
            send_part(&p);
            struct bruit_bytes groups = br_bytes(p.w.start + part_at + 1, br_writer_size(&p.w) - part_at - 1);
            struct br_aggregate_group group;
            while (br_aggregate_next_group(&groups, &group))
                if (br_bytes_equal(group.owner, br_aggregate_owner_name(owner))) {
                    from.epoch = group.epoch;
                    from.complete = group.to;
                }
            begin_answer(&p, &part_at);
        }
    }
    p.sent++;
    br_write_u8_at(&p.w, part_at, p.sent < BR_AGGREGATE_PART_MORE ? (uint8_t)p.sent : BR_AGGREGATE_PART_MORE);
    send_part(&p);
    close_parts(&p);
}

static void send_want(struct br_aggregate *a, bruit_node to, const struct lacks *lacks)
{
    struct parts p;
    if (lacks->count == 0 || open_parts(&p, a, to, lacks->count * (size_t)40) != 0)
        return;
    br_aggregate_begin_ours(a, &p.w, p.buffer, p.size, BR_AGGREGATE_WANT);
    for (uint32_t i = 0; i < lacks->count; i++) {
        const struct br_aggregate_owner *owner = br_aggregate_owner(&a->store, lacks->items[i].node);
        size_t before = br_writer_size(&p.w);
        br_aggregate_write_entry(&p.w, &(struct br_aggregate_entry){br_aggregate_owner_name(owner), owner->epoch,
                                                                     owner->complete});
        if (p.w.failed) { /* the rest comes with another comparison */
            br_writer_rewind(&p.w, before);
            break;
        }
    }
    send_part(&p);
    close_parts(&p);
    begin_comparison(a, to);
}

static int open_lacks(struct br_aggregate *a, struct lacks *lacks)
{
    *lacks = (struct lacks){.capacity = a->store.count};
    lacks->items = bruit_host_resize(a->host, NULL, 0, lacks->capacity * sizeof *lacks->items);
    return lacks->items == NULL ? BRUIT_ENOMEM : 0;
}

static void close_lacks(struct br_aggregate *a, struct lacks *lacks)
{
    (void)bruit_host_resize(a->host, lacks->items, lacks->capacity * sizeof *lacks->items, 0); /* frees */
}

static void add_lack(struct lacks *lacks, bruit_node node, uint64_t epoch, uint64_t complete)
{
    if (lacks->count < lacks->capacity) /* always: nobody is in it twice */
        lacks->items[lacks->count++] = (struct lack){node, epoch, complete};
}

/* ------------------------------------------------------------------ whose word */

/* Somebody holds of us what we did not make: ours goes above it. */
static void override(struct br_aggregate *a, bruit_node self, uint64_t epoch)
{
    if (!br_aggregate_is_likely(br_aggregate_owner(&a->store, self), epoch) ||
        epoch == BR_AGGREGATE_EPOCH_MAX) {
        br_host_drop(a->host, BRUIT_DROP_AGGREGATE_EPOCH);
        return;
    }
    a->stats.overrides++;
    br_aggregate_renew(&a->store, self, epoch + 1);
    br_aggregate_tell_soon(a);
}

static bool is_ahead(const struct br_aggregate_owner *owner, uint64_t epoch, uint64_t version)
{
    return epoch > owner->epoch || (epoch == owner->epoch && version > owner->complete);
}

/* What they say they have of an owner that counts here. True: they have what we have not. */
static bool is_wanted(struct br_aggregate *a, bruit_node node, const struct br_aggregate_entry *entry)
{
    const struct br_aggregate_owner *owner = br_aggregate_owner(&a->store, node);
    if (!is_ahead(owner, entry->epoch, entry->complete))
        return false;
    if (node == bruit_member_self(bruit_host_engine(a->host))) {
        override(a, node, entry->epoch);
        return false;
    }
    if (br_aggregate_is_likely(owner, entry->epoch))
        return true;
    br_host_drop(a->host, BRUIT_DROP_AGGREGATE_EPOCH);
    return false;
}

static bruit_node counted(const struct br_aggregate *a, struct bruit_bytes name)
{
    bruit_node node = bruit_member_find(bruit_host_engine(a->host), name);
    const struct br_aggregate_owner *owner = br_aggregate_owner(&a->store, node);
    return owner != NULL && owner->is_counted ? node : 0;
}

/* ------------------------------------------------------------------ HAVE and WANT arrive */

/*
 * The owner that an entry is about, once in each message, so that a list that repeats itself costs no more than one
 * that does not; 0: no peer here (yet), or listed before.
 */
static bruit_node listed(struct br_aggregate *a, struct bruit_bytes name)
{
    bruit_node node = counted(a, name);
    struct br_aggregate_owner *owner = br_aggregate_owner(&a->store, node);
    if (node == 0 || owner->listed == a->telling.listing)
        return 0;
    owner->listed = a->telling.listing;
    return node;
}

static void sort_entries(struct br_aggregate *a, struct bruit_bytes list, struct lacks *theirs, struct lacks *ours)
{
    struct br_aggregate_entry entry;
    a->telling.listing++;
    while (br_aggregate_next_entry(&list, &entry)) {
        bruit_node node = listed(a, entry.owner);
        if (node == 0)
            continue;
        const struct br_aggregate_owner *owner = br_aggregate_owner(&a->store, node);
        if (is_wanted(a, node, &entry))
            add_lack(ours, node, 0, 0);
        else if (owner->complete > 0 && !is_ahead(owner, entry.epoch, entry.complete) &&
                 (entry.epoch != owner->epoch || entry.complete != owner->complete))
            add_lack(theirs, node, entry.epoch, entry.complete);
    }
}

/* Whoever is in the buckets of the message, and not in its list: they have nothing of it. */
static void add_unlisted(struct br_aggregate *a, const uint8_t *mask, struct lacks *lacks)
{
    for (uint32_t i = 0; i < a->store.count; i++) {
        bruit_node node = a->store.order[i];
        const struct br_aggregate_owner *owner = br_aggregate_owner(&a->store, node);
        if (owner->complete > 0 && owner->listed != a->telling.listing &&
            BITS_OF(mask, br_aggregate_bucket_of(owner)) != 0)
            add_lack(lacks, node, 0, 0);
    }
}

void br_aggregate_on_have(struct br_aggregate *a, const struct br_aggregate_message *message,
                          bruit_node sender)
{
    struct lacks theirs;
    struct lacks ours;
    if (!may_answer(a) || a->store.count == 0 || open_lacks(a, &theirs) != 0)
        return;
    if (open_lacks(a, &ours) == 0) {
        sort_entries(a, message->list, &theirs, &ours);
        add_unlisted(a, message->mask.data, &theirs);
        send_answer(a, sender, &theirs);
        send_want(a, sender, &ours);
        close_lacks(a, &ours);
    }
    close_lacks(a, &theirs);
}

void br_aggregate_on_want(struct br_aggregate *a, const struct br_aggregate_message *message,
                          bruit_node sender)
{
    struct lacks lacks;
    struct bruit_bytes list = message->list;
    struct br_aggregate_entry entry;
    if (!may_answer(a) || a->store.count == 0 || open_lacks(a, &lacks) != 0)
        return;
    a->telling.listing++;
    while (br_aggregate_next_entry(&list, &entry)) {
        bruit_node node = listed(a, entry.owner);
        if (node != 0)
            add_lack(&lacks, node, entry.epoch, entry.complete);
    }
    send_answer(a, sender, &lacks);
    close_lacks(a, &lacks);
}

/* ------------------------------------------------------------------ TELL arrives */

/* The owner itself speaks, of an epoch below what we hold: it does not know its former life, and hears of it. */
static void remind(struct br_aggregate *a, bruit_node owner)
{
    struct lack lack = {.node = owner};
    if (may_answer(a))
        send_answer(a, owner, &(struct lacks){.items = &lack, .count = 1, .capacity = 1});
}

static bool is_same_addr(const struct bruit_addr *x, const struct bruit_addr *y)
{
    return x->port == y->port && x->size == y->size && memcmp(x->ip, y->ip, sizeof x->ip) == 0;
}

/* Its own word, from its own address, against an epoch that it cannot have reached: that one was forged. */
static bool is_taken_back(struct br_aggregate *a, bruit_node node, const struct br_aggregate_group *group,
                          const struct bruit_addr *from)
{
    struct bruit_member member;
    const struct br_aggregate_owner *owner = br_aggregate_owner(&a->store, node);
    return owner->epoch > group->epoch && owner->epoch - group->epoch > BR_AGGREGATE_EPOCH_STEP &&
           bruit_member_get(bruit_host_engine(a->host), node, &member) == 0 && is_same_addr(&member.addr, from);
}

static uint32_t bits_in(uint32_t bits)
{
    return (uint32_t)__builtin_popcount(bits);
}

/* Returns how many values changed; they are news, as if told `told` times. */
static uint32_t take_group(struct br_aggregate *a, bruit_node node, const struct br_aggregate_group *group,
                           unsigned told)
{
    int32_t changed = br_aggregate_take(&a->store, node, group, bruit_host_now(a->host));
    if (changed == BRUIT_ENOMEM) {
        br_host_drop(a->host, BRUIT_DROP_AGGREGATE_FULL);
        return 0;
    }
    a->stats.records_taken += bits_in((uint32_t)changed);
    a->stats.records_known += group->count - bits_in((uint32_t)changed);
    if (told < TELL_TIMES)
        br_aggregate_note_news(&a->store, node, (uint32_t)changed, told);
    return bits_in((uint32_t)changed);
}

static uint32_t hear_group(struct br_aggregate *a, const struct br_aggregate_group *group, bruit_node sender,
                           const struct bruit_addr *from, unsigned told)
{
    bruit_node node = counted(a, group->owner);
    if (node == 0) {
        a->stats.records_unknown += group->count;
        return 0;
    }
    struct br_aggregate_owner *owner = br_aggregate_owner(&a->store, node);
    if (node == bruit_member_self(bruit_host_engine(a->host))) {
        if (is_ahead(owner, group->epoch, group->to))
            override(a, node, group->epoch);
        return 0;
    }
    if (!br_aggregate_is_likely(owner, group->epoch)) {
        br_host_drop(a->host, BRUIT_DROP_AGGREGATE_EPOCH);
        return 0;
    }
    if (is_taken_back(a, node, group, from))
        br_aggregate_restart(&a->store, owner, group->epoch);
    else if (group->epoch < owner->epoch && sender == node)
        remind(a, node);
    return take_group(a, node, group, told);
}

/* All parts of the answer to what we said we have: what they had then we have now. */
static void end_comparison(struct br_aggregate *a)
{
    struct br_aggregate_comparison *c = &a->telling.comparison;
    if (a->store.incomplete == 0)
        a->telling.confirmed = br_time_max(a->telling.confirmed, c->began);
    /* Much was missing: a newcomer, or a partition that has healed. Others have more of it. */
    if (c->changed * MUCH_PART > a->store.held + 4 * MUCH_PART)
        br_aggregate_compare_soon(a);
    c->with = 0;
}

/*
 * Who missed something is not the only one: what a comparison brings is told on, too, half as often. What came over a
 * stream is not: that is what a newcomer lacks, and nobody else.
 */
static unsigned told_before(const struct br_aggregate *a, const struct br_aggregate_message *message)
{
    if (message->number == 0)
        return 0;
    return message->list.size <= a->room ? TELL_TIMES / 2 : TELL_TIMES;
}

void br_aggregate_on_tell(struct br_aggregate *a, const struct br_aggregate_message *message,
                          bruit_node sender, const struct bruit_addr *from)
{
    struct br_aggregate_comparison *c = &a->telling.comparison;
    struct bruit_bytes list = message->list;
    struct br_aggregate_group group;
    uint32_t changed = 0;
    while (br_aggregate_next_group(&list, &group))
        changed += hear_group(a, &group, sender, from, told_before(a, message));
    br_aggregate_tell_soon(a);
    if (message->number == 0 || c->with != sender)
        return;
    c->parts++;
    c->changed += changed;
    if (message->number == c->parts)
        end_comparison(a);
}
