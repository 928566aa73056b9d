/*
 * Heartbeat gossip: messages are taken apart, judged and answered (docs/heartbeat.md).
 *
 * detect/heartbeat judges numbers, spread/digest knows buckets and budgets; here a claim that is newer becomes
 * belief, whoever wants to know is told, and what the other side lacks goes into one answer. The rules of an
 * exchange, by the kind of message that came:
 *
 *     SYN    we take what is newer; the ACK says where we know better, and asks for what we lack
 *     ACK    the same, and the answer is an ACK2
 *     ACK2   we take what is newer; only what is wanted is answered (what is newer here is not asked about)
 *     DELTA  we take what is newer
 *     PULL   we take nothing; the ACK2 says where we know better
 */
#include "base/check.h"
#include "base/time.h"
#include "codec/addr.h"
#include "engine/document.h"
#include "engine/engine.h"
#include "member/transition.h"

#include <bruit/heartbeat.h>

/* One answer, and so one datagram: nobody may make us send more for one of theirs. */
#define ANSWER_MAX 1400

/* Answers that wait to be sent; a driver that drains its socket first may have as many at hand. */
#define ANSWERS_MAX 256

/* What members who are made known by a host of many engines have beaten: a day of one a second. So their numbers take
 * as many bytes as those of a cluster that has been up for a while. */
#define PRELOAD_HEARTBEAT 86400

/* Deletions are remembered by their owner for this long; who was away for longer is reset. Others follow its floor. */
#define TOMBSTONE_TIME (3600 * BRUIT_SECOND)

/* People are told of another detector once a minute at most, like of a missing key. */
#define DIFFERS_QUIET (60 * BRUIT_SECOND)

struct exchange {
    struct bruit_engine *engine;
    enum br_beat_kind kind; /* of the message at hand */
    struct br_writer answer;
    bool is_wanting; /* the answer asks for something */
    bool is_news;    /* the answer says something else */
    /* Entries that belong to a list: their ids, in any order. */
    struct br_beat_bucket list;
    uint64_t listed[BR_BEAT_BUCKET_MAX];
    unsigned listed_count;
    unsigned listed_left;
};

/* ---- life ---- */

void br_beat_init(struct bruit_engine *engine, bruit_time now)
{
    struct br_core *core = &engine->core;
    const struct bruit_heartbeat_config *config = &core->config.heartbeat;
    br_pulse_init(&core->pulse, &core->alloc);
    br_items_init(&core->items, &core->alloc);
    br_heartbeat_init(&engine->heartbeat, core);
    br_digest_init(&engine->digest, core, now);
    br_ring_init(&engine->beat_sends, &core->alloc, sizeof(struct br_user_send), ANSWERS_MAX);
    if (br_beat_is_on(engine))
        core->incarnation = config->generation == 0 ? 1 : (uint32_t)config->generation;
}

void br_beat_fini(struct bruit_engine *engine)
{
    for (struct br_user_send *s; (s = br_ring_front(&engine->beat_sends)) != NULL;
         br_ring_pop(&engine->beat_sends))
        br_buf_drop(&engine->core.alloc, s->message);
    br_ring_fini(&engine->beat_sends);
    br_digest_fini(&engine->digest);
    br_heartbeat_fini(&engine->heartbeat);
    br_items_fini(&engine->core.items);
    br_pulse_fini(&engine->core.pulse);
}

int br_beat_reserve(struct bruit_engine *engine)
{
    uint32_t capacity = engine->core.view.capacity;
    int status = br_pulse_reserve(&engine->core.pulse, capacity);
    if (status == 0)
        status = br_heartbeat_reserve(&engine->heartbeat, capacity);
    return status == 0 ? br_digest_reserve(&engine->digest, capacity) : status;
}

/* ---- beliefs ---- */

static bool is_self(const struct bruit_engine *engine, uint32_t slot)
{
    return slot == engine->core.self;
}

/* Somebody new: alive until silent. 0 without memory, and then the hold of `record` is still the caller's. */
static uint32_t add(struct bruit_engine *engine, uint32_t record, uint32_t generation, uint32_t heartbeat)
{
    struct br_core *core = &engine->core;
    if (br_view_reserve(&core->view, record) != 0 || br_beat_reserve(engine) != 0)
        return 0;
    uint32_t slot = br_claim_add(engine, record);
    BR_ASSERT(slot != 0); /* reserved */
    core->pulse.heartbeat[slot] = heartbeat;
    core->pulse.version[slot] = 0;
    br_view_believe(&core->view, slot, BRUIT_ALIVE, generation, core->now);
    br_digest_insert(&engine->digest, slot);
    br_heartbeat_begin(&engine->heartbeat, slot);
    return slot;
}

int br_beat_self(struct bruit_engine *engine, const struct br_alive *identity)
{
    struct br_core *core = &engine->core;
    uint32_t changes = core->self == 0 ? BRUIT_CHANGE_JOINED : BRUIT_CHANGE_UPDATED;
    uint32_t record = br_roster_intern(core->roster, identity);
    if (record == 0)
        return BRUIT_ENOMEM;
    if (core->self != 0) {
        br_view_identify(&core->view, core->self, record);
    } else {
        core->self = add(engine, record, core->incarnation, 1);
        if (core->self == 0) {
            br_roster_drop(core->roster, record);
            return BRUIT_ENOMEM;
        }
    }
    core->pulse.version[core->self]++;
    engine->identity_version = core->pulse.version[core->self];
    br_digest_tell(&engine->digest, core->self);
    br_hosts_changed(engine, core->self, changes);
    return 0;
}

static void become(struct bruit_engine *engine, uint32_t slot, enum bruit_state state)
{
    struct br_core *core = &engine->core;
    enum bruit_state before = (enum bruit_state)core->view.state[slot];
    if (before == state)
        return;
    BR_ASSERT(br_transition_is_allowed(before, state));
    br_view_believe(&core->view, slot, state, core->view.incarnation[slot], core->now);
    if (state != BRUIT_DEAD) /* which is our own verdict, and nobody else's */
        br_digest_tell(&engine->digest, slot);
    br_hosts_changed(engine, slot, br_transition_change(before, state));
}

/* Of whom we know all numbers, heartbeats go up; a heart that stood still and goes on may be a life's sign. */
static void hear_beat(struct bruit_engine *engine, uint32_t slot, uint32_t heartbeat)
{
    struct br_core *core = &engine->core;
    bool lives = core->view.state[slot] == BRUIT_DEAD && br_heartbeat_lives(&engine->heartbeat, slot, heartbeat);
    if (heartbeat <= core->pulse.heartbeat[slot] || is_self(engine, slot))
        return;
    if (core->view.state[slot] == BRUIT_DEAD && !lives)
        return;
    core->pulse.heartbeat[slot] = heartbeat;
    br_heartbeat_arrived(&engine->heartbeat, slot);
    if (lives)
        become(engine, slot, BRUIT_ALIVE);
}

/* A restart wins at once, whatever we thought of the life before. What it said of itself then counts no more. */
static void be_reborn(struct bruit_engine *engine, uint32_t slot, const struct br_beat_entry *entry)
{
    struct br_core *core = &engine->core;
    BR_TRACE(&core->tracer, reborn, .node = br_core_name(core, slot), .generation = entry->generation);
    core->pulse.heartbeat[slot] = entry->heartbeat;
    core->pulse.version[slot] = 0;
    br_items_forget(&core->items, slot);
    br_view_believe(&core->view, slot, (enum bruit_state)core->view.state[slot], entry->generation, core->now);
    br_heartbeat_begin(&engine->heartbeat, slot);
    if (core->view.state[slot] == BRUIT_ALIVE)
        br_digest_tell(&engine->digest, slot);
    if (!(entry->flags & BR_BEAT_LEFT))
        become(engine, slot, BRUIT_ALIVE);
    else if (core->view.state[slot] == BRUIT_ALIVE)
        become(engine, slot, BRUIT_LEFT);
}

/* Somebody knows more of us than we said: an earlier life of ours, or a lie. We outbid it. */
static void defend(struct bruit_engine *engine, const struct br_beat_entry *entry)
{
    struct br_core *core = &engine->core;
    uint32_t generation = br_heartbeat_defence(&engine->heartbeat, entry->generation);
    if (generation == 0)
        return;
    BR_TRACE(&core->tracer, generation_raised, .theirs = entry->generation, .heartbeat = entry->heartbeat,
             .ours = generation);
    core->incarnation = generation;
    br_view_believe(&core->view, core->self, (enum bruit_state)core->view.state[core->self], generation,
                    core->now);
    br_digest_tell(&engine->digest, core->self);
    (void)br_event_push(engine, &(struct bruit_event){.type = BRUIT_EVENT_GENERATION, .node = core->self});
}

/* ---- answering ---- */

/* What is around items in an entry: block, flags, numbers, tag, count. */
#define ITEMS_AROUND 40

/* Where the bytes of items stand until they are written. */
struct content {
    uint8_t items[BR_ITEMS_ENCODED_MAX];
};

static uint32_t identity_version(const struct bruit_engine *engine, uint32_t slot)
{
    const struct br_items_owner *owner = br_items_find(&engine->core.items, slot);
    if (is_self(engine, slot))
        return engine->identity_version;
    return owner == NULL ? engine->core.pulse.version[slot] : owner->identity_version;
}

/* Items above what the other side has; all of them when it may hold what was deleted since. */
static void add_items(const struct bruit_engine *engine, struct br_beat_entry *entry, uint32_t slot,
                      uint32_t version, uint32_t floor, size_t room, struct content *content)
{
    const struct br_items_owner *owner = br_items_find(&engine->core.items, slot);
    struct br_writer w;
    uint32_t last;
    bool whole;
    if (owner == NULL)
        return;
    bool resets = version < owner->floor && floor < owner->floor && version > 0;
    br_writer_init(&w, content->items, room < sizeof content->items ? room : sizeof content->items);
    entry->item_count = br_items_write(owner, resets ? 0 : version, &w, engine->core.now, &last, &whole);
    entry->items = br_writer_bytes(&w);
    entry->flags |= BR_BEAT_ITEMS | (resets ? BR_BEAT_RESET : 0);
    entry->floor = owner->floor;
    if (!whole)
        entry->version = last;
}

/*
 * What a member says of itself, for somebody who has it up to `version` and knows of deletions up to `floor`; in
 * `room` bytes. Lives as long as `content`.
 */
static struct br_beat_entry content_of(const struct bruit_engine *engine, uint32_t slot, uint32_t version,
                                       uint32_t floor, size_t room, struct content *content)
{
    const struct br_core *core = &engine->core;
    struct br_beat_entry entry = br_digest_entry(core, slot);
    size_t used = ITEMS_AROUND;
    if (entry.version == 0)
        return entry; /* we lack it ourselves */
    if (version < identity_version(engine, slot)) {
        entry.flags |= BR_BEAT_IDENTITY;
        entry.identity = br_fragment_alive(br_core_fragment(core, slot), 0);
        entry.identity.incarnation = identity_version(engine, slot);
        entry.identity.carries = core->view.carries[slot];
        used += br_core_fragment(core, slot)->size;
    }
    add_items(engine, &entry, slot, version, floor, room > used ? room - used : 0, content);
    return entry;
}

/* What does not fit is said another time. */
static void answer_with(struct exchange *x, const struct br_beat_entry *entry)
{
    size_t before = br_writer_size(&x->answer);
    if (x->answer.failed) /* there was not even room for its header */
        return;
    br_beat_entry_encode(&x->answer, entry);
    if (x->answer.failed)
        br_writer_rewind(&x->answer, before);
    else if (entry->flags & BR_BEAT_WANTED)
        x->is_wanting = true;
    else
        x->is_news = true;
}

static void want(struct exchange *x, const struct br_beat_entry *entry, uint32_t version)
{
    if (x->kind == BR_BEAT_PULL || x->kind == BR_BEAT_DELTA)
        return;
    uint32_t slot = br_digest_find(&x->engine->digest, entry->id);
    const struct br_items_owner *owner = slot == 0 ? NULL : br_items_find(&x->engine->core.items, slot);
    answer_with(x, &(struct br_beat_entry){.id = entry->id,
                                           .flags = BR_BEAT_WANTED,
                                           .generation = entry->generation,
                                           .version = version,
                                           .floor = owner == NULL ? 0 : owner->floor});
}

static bool may_correct(const struct exchange *x)
{
    return x->kind == BR_BEAT_SYN || x->kind == BR_BEAT_ACK || x->kind == BR_BEAT_PULL;
}

/* Where we know better than what was said. */
static void correct(struct exchange *x, uint32_t slot, const struct br_beat_entry *entry)
{
    const struct br_core *core = &x->engine->core;
    if (!may_correct(x) || core->view.state[slot] == BRUIT_DEAD)
        return;
    const struct br_items_owner *owner = br_items_find(&core->items, slot);
    bool is_older = entry->generation < core->view.incarnation[slot];
    uint32_t version = is_older ? 0 : entry->version;
    /* Whoever may have to be reset says in its question how far it is with that. */
    bool must_ask = version > 0 && owner != NULL && version < owner->floor;
    struct content content;
    struct br_beat_entry ours = br_digest_entry(core, slot);
    if ((is_older || version < core->pulse.version[slot]) && !must_ask)
        ours = content_of(x->engine, slot, version, 0, br_writer_room(&x->answer), &content);
    answer_with(x, &ours);
}

/* ---- entries ---- */

/* Says what another's `identity` is worth: may the name stand at this address? */
static bool may_stand(struct bruit_engine *engine, uint32_t slot, const struct br_alive *identity, bool is_reborn)
{
    struct br_core *core = &engine->core;
    if (br_fragment_same_address(br_core_fragment(core, slot), identity))
        return true;
    if (core->view.state[slot] == BRUIT_DEAD || core->view.state[slot] == BRUIT_LEFT)
        return true;
    br_claim_conflict(engine, slot, identity);
    return is_reborn; /* the greater generation wins, but people hear of it */
}

static int take_identity(struct bruit_engine *engine, uint32_t slot, const struct br_beat_entry *entry)
{
    struct br_core *core = &engine->core;
    struct br_alive identity = entry->identity;
    if (!br_claim_is_fit(engine, &identity) ||
        !may_stand(engine, slot, &identity, core->pulse.version[slot] == 0))
        return 0;
    uint32_t record = br_roster_intern(core->roster, &identity);
    if (record == 0)
        return BRUIT_ENOMEM;
    bool same_meta = br_bytes_equal(br_fragment_meta(br_core_fragment(core, slot)), identity.meta);
    br_view_identify(&core->view, slot, record);
    if (!same_meta)
        br_hosts_changed(engine, slot, BRUIT_CHANGE_UPDATED);
    br_claim_own_carries(engine, slot, identity.carries);
    return 0;
}

/* Items in the order of their versions; what we have already is passed over. */
static int take_items(struct bruit_engine *engine, uint32_t slot, const struct br_beat_entry *entry)
{
    struct br_core *core = &engine->core;
    struct br_items_owner *owner = br_items_owner(&core->items, slot);
    struct bruit_bytes left = entry->items;
    struct br_beat_item item;
    if (owner == NULL)
        return BRUIT_ENOMEM;
    if (entry->flags & BR_BEAT_IDENTITY)
        owner->identity_version = entry->identity.incarnation;
    else if (owner->identity_version == 0) /* its first items: who it is, we had before */
        owner->identity_version = core->pulse.version[slot];
    if (entry->flags & BR_BEAT_RESET)
        br_items_reset(&core->items, owner);
    br_items_raise_floor(&core->items, owner, entry->floor);
    while (br_beat_item_next(&left, &item)) {
        if (owner->count > 0 && item.version <= owner->items[owner->count - 1].version)
            continue;
        int status = br_items_put(&core->items, owner, &item, core->now);
        if (status == BRUIT_ENOMEM)
            return status;
        if (status != 0)
            br_core_drop(core, BRUIT_DROP_HEARTBEAT_STATE);
    }
    return 0;
}

/* How far we are with a member when its identity and items are taken in. */
static int take_all(struct bruit_engine *engine, uint32_t slot, const struct br_beat_entry *entry)
{
    struct br_core *core = &engine->core;
    int status = 0;
    if (entry->flags & BR_BEAT_IDENTITY)
        status = take_identity(engine, slot, entry);
    if (status == 0 && entry->flags & BR_BEAT_ITEMS)
        status = take_items(engine, slot, entry);
    if (status != 0)
        return status;
    core->pulse.version[slot] = entry->version;
    br_digest_tell(&engine->digest, slot);
    return 0;
}

/* Content of the life that we know, or a hint that there is some. */
static int take_content(struct exchange *x, uint32_t slot, const struct br_beat_entry *entry)
{
    struct bruit_engine *engine = x->engine;
    const struct br_core *core = &engine->core;
    uint32_t version = core->pulse.version[slot];
    bool differs = entry->version == version && entry->tag != 0 && version != 0 &&
                   entry->tag != br_pulse_tag(&core->view, slot);
    if (entry->generation != core->view.incarnation[slot])
        return 0;
    const struct br_items_owner *owner = br_items_find(&core->items, slot);
    bool resets = entry->flags & BR_BEAT_RESET && version > 0 && owner != NULL && entry->floor > owner->floor;
    if (entry->flags & BR_BEAT_IDENTITY && differs && version == entry->version)
        return take_identity(engine, slot, entry);
    if (entry->flags & (BR_BEAT_IDENTITY | BR_BEAT_ITEMS) && (entry->version > version || resets))
        return version == 0 && !(entry->flags & BR_BEAT_IDENTITY) ? 0 : take_all(engine, slot, entry);
    if (entry->version > version)
        want(x, entry, version);
    else if (differs)
        want(x, entry, 0); /* two of one name: at least one of us hears from the other who it is */
    return 0;
}

static int take_about_self(struct exchange *x, const struct br_beat_entry *entry)
{
    struct bruit_engine *engine = x->engine;
    struct br_core *core = &engine->core;
    uint32_t slot = core->self;
    struct br_alive identity = entry->identity;
    bool is_other = entry->tag != 0 && entry->tag != br_pulse_tag(&core->view, slot);
    bool knows_more = entry->heartbeat > core->pulse.heartbeat[slot] || entry->flags & BR_BEAT_LEFT ||
                      entry->version > core->pulse.version[slot] || is_other;
    if (core->leaving)
        return 0;
    if (entry->flags & BR_BEAT_IDENTITY && br_claim_is_fit(engine, &identity) &&
        !br_fragment_same_address(br_core_fragment(core, slot), &identity))
        br_claim_conflict(engine, slot, &identity);
    else if (is_other)
        want(x, entry, 0);
    if (entry->generation > BR_HEARTBEAT_GENERATION_MAX)
        br_core_drop(core, BRUIT_DROP_HEARTBEAT_FORGED);
    else if (entry->generation > core->incarnation || (entry->generation == core->incarnation && knows_more))
        defend(engine, entry);
    else
        correct(x, slot, entry);
    return 0;
}

static int take_unknown(struct exchange *x, const struct br_beat_entry *entry)
{
    struct bruit_engine *engine = x->engine;
    struct br_core *core = &engine->core;
    struct br_alive identity = entry->identity;
    if (br_heartbeat_is_buried(&engine->heartbeat, entry)) {
        br_core_drop(core, BRUIT_DROP_HEARTBEAT_BURIED);
        return 0;
    }
    if (entry->generation == 0 || entry->generation > BR_HEARTBEAT_GENERATION_MAX) {
        br_core_drop(core, BRUIT_DROP_HEARTBEAT_FORGED);
        return 0;
    }
    if (entry->flags & BR_BEAT_LEFT)
        return 0;
    if (!(entry->flags & BR_BEAT_IDENTITY)) {
        want(x, entry, 0);
        return 0;
    }
    if (!br_claim_is_fit(engine, &identity))
        return 0;
    if (core->view.count >= core->config.members_max) {
        br_core_drop(core, BRUIT_DROP_MEMBERS_FULL);
        return 0;
    }
    uint32_t record = br_roster_intern(core->roster, &identity);
    uint32_t slot = record == 0 ? 0 : add(engine, record, entry->generation, entry->heartbeat);
    if (slot == 0) {
        if (record != 0)
            br_roster_drop(core->roster, record);
        return BRUIT_ENOMEM;
    }
    int status = entry->flags & BR_BEAT_ITEMS ? take_items(engine, slot, entry) : 0;
    core->pulse.version[slot] = status == 0 ? entry->version : 0;
    br_digest_tell(&engine->digest, slot);
    br_hosts_changed(engine, slot, BRUIT_CHANGE_JOINED);
    br_claim_own_carries(engine, slot, identity.carries);
    return status;
}

static int take_known(struct exchange *x, uint32_t slot, const struct br_beat_entry *entry)
{
    struct bruit_engine *engine = x->engine;
    struct br_core *core = &engine->core;
    switch (br_heartbeat_relation(&engine->heartbeat, slot, entry)) {
    case BR_BEAT_FORGED: br_core_drop(core, BRUIT_DROP_HEARTBEAT_FORGED); return 0;
    case BR_BEAT_OLDER: correct(x, slot, entry); break;
    case BR_BEAT_REBORN: be_reborn(engine, slot, entry); break;
    case BR_BEAT_GONE: become(engine, slot, BRUIT_LEFT); break;
    case BR_BEAT_NEWER: hear_beat(engine, slot, entry->heartbeat); break;
    case BR_BEAT_SAME: break;
    }
    int status = take_content(x, slot, entry);
    if (status == 0 && entry->generation == core->view.incarnation[slot] &&
        entry->version < core->pulse.version[slot] && entry->heartbeat >= core->pulse.heartbeat[slot])
        correct(x, slot, entry); /* the heartbeat was not older, or this has been said */
    return status;
}

static void answer_wanted(struct exchange *x, uint32_t slot, const struct br_beat_entry *asked)
{
    struct content content;
    if (slot == 0 || x->engine->core.view.state[slot] == BRUIT_DEAD)
        return;
    bool is_same = asked->generation == x->engine->core.view.incarnation[slot];
    struct br_beat_entry ours = content_of(x->engine, slot, is_same ? asked->version : 0, asked->floor,
                                           br_writer_room(&x->answer), &content);
    answer_with(x, &ours);
}

static int take_entry(struct exchange *x, const struct br_beat_entry *entry)
{
    uint32_t slot = br_digest_find(&x->engine->digest, entry->id);
    if (entry->flags & BR_BEAT_IDENTITY && br_beat_id(entry->identity.node) != entry->id) {
        br_core_drop(&x->engine->core, BRUIT_DROP_BAD_ALIVE);
        return 0;
    }
    if (entry->flags & BR_BEAT_WANTED) {
        answer_wanted(x, slot, entry);
        return 0;
    }
    if (x->kind == BR_BEAT_PULL) { /* they only ask */
        if (slot != 0)
            correct(x, slot, entry);
        return 0;
    }
    if (slot == 0)
        return take_unknown(x, entry);
    return is_self(x->engine, slot) ? take_about_self(x, entry) : take_known(x, slot, entry);
}

/* ---- buckets ---- */

/* The other side knows the bucket's members, versions and identities as we do. */
static bool agree(const struct exchange *x, const struct br_beat_bucket *theirs, struct br_digest_run *run)
{
    return br_digest_run(&x->engine->digest, theirs, false, run) && run->count == theirs->count &&
           br_digest_checksum(&x->engine->digest, run) == theirs->checksum;
}

/* Beats by place: theirs taken, and ours said where they are greater. */
static void take_places(struct exchange *x, const struct br_beat_bucket *theirs, const struct br_digest_run *run)
{
    const uint32_t *beats = x->engine->core.pulse.heartbeat;
    struct br_beat_bucket ours = {
        .depth = theirs->depth, .index = theirs->index, .count = theirs->count, .checksum = theirs->checksum};
    bool is_newer = false;
    for (unsigned i = 0; i < run->count; i++) {
        uint32_t slot = run->slots[i];
        struct br_beat_entry claim = {.generation = x->engine->core.view.incarnation[slot],
                                      .heartbeat = theirs->beats[i]};
        if (!br_beat_bucket_has(theirs, i))
            continue;
        ours.beats[i] = beats[slot];
        if (beats[slot] > theirs->beats[i]) {
            br_beat_bucket_add(&ours, i);
            is_newer = true;
        } else if (x->kind == BR_BEAT_PULL) {
            continue;
        } else if (is_self(x->engine, slot)) {
            claim.id = 0;
            claim.version = x->engine->core.pulse.version[slot];
            (void)take_about_self(x, &claim);
        } else if (br_heartbeat_relation(&x->engine->heartbeat, slot, &claim) == BR_BEAT_NEWER) {
            hear_beat(x->engine, slot, claim.heartbeat);
        } else if (claim.heartbeat > beats[slot]) {
            br_core_drop(&x->engine->core, BRUIT_DROP_HEARTBEAT_FORGED);
        }
    }
    if (!is_newer || !may_correct(x) || x->answer.failed)
        return;
    size_t before = br_writer_size(&x->answer);
    br_beat_newer_encode(&x->answer, &ours);
    if (x->answer.failed)
        br_writer_rewind(&x->answer, before);
    else
        x->is_news = true;
}

/* We see another bucket: all that we know of it, the dead and the gone included, is said, if it fits. */
static void list_bucket(struct exchange *x, const struct br_beat_bucket *theirs)
{
    struct br_digest_run run;
    struct br_beat_bucket list = {.depth = theirs->depth, .index = theirs->index};
    size_t before = br_writer_size(&x->answer);
    if (!may_correct(x) || x->answer.failed || !br_digest_run(&x->engine->digest, theirs, true, &run))
        return;
    list.count = (uint8_t)run.count;
    br_beat_list_encode(&x->answer, &list);
    for (unsigned i = 0; i < run.count; i++) {
        struct br_beat_entry entry = br_digest_entry(&x->engine->core, run.slots[i]);
        br_beat_entry_encode(&x->answer, &entry);
    }
    if (x->answer.failed)
        br_writer_rewind(&x->answer, before);
    else
        x->is_news = true;
}

static bool is_listed(const struct exchange *x, uint64_t id)
{
    for (unsigned i = 0; i < x->listed_count; i++)
        if (x->listed[i] == id)
            return true;
    return false;
}

/* Their list is complete: whom we know alive and they do not is told to them, numbers first. */
static void end_list(struct exchange *x)
{
    struct br_digest_run run;
    if (!may_correct(x) || !br_digest_run(&x->engine->digest, &x->list, false, &run))
        return;
    for (unsigned i = 0; i < run.count; i++) {
        struct br_beat_entry entry = br_digest_entry(&x->engine->core, run.slots[i]);
        if (x->engine->core.view.state[run.slots[i]] == BRUIT_ALIVE && !is_listed(x, entry.id))
            answer_with(x, &entry);
    }
}

static int take_block(struct exchange *x, int type, const struct br_beat_block *block)
{
    struct br_digest_run run;
    int status;
    switch (type) {
    case BR_BEAT_BLOCK_BEATS:
        if (agree(x, &block->bucket, &run))
            take_places(x, &block->bucket, &run);
        else
            list_bucket(x, &block->bucket);
        return 0;
    case BR_BEAT_BLOCK_NEWER:
        if (agree(x, &block->bucket, &run))
            take_places(x, &block->bucket, &run);
        return 0;
    case BR_BEAT_BLOCK_LIST:
        x->list = block->bucket;
        x->listed_left = block->bucket.count;
        x->listed_count = 0;
        if (x->listed_left == 0)
            end_list(x);
        return 0;
    default:
        status = take_entry(x, &block->entry);
        if (x->listed_left == 0)
            return status;
        x->listed[x->listed_count++] = block->entry.id;
        if (--x->listed_left == 0)
            end_list(x);
        return status;
    }
}

/* ---- messages ---- */

static enum br_beat_kind answer_kind(const struct exchange *x)
{
    switch (x->kind) {
    case BR_BEAT_SYN: return BR_BEAT_ACK;
    case BR_BEAT_ACK:
    case BR_BEAT_PULL: return BR_BEAT_ACK2;
    default: return x->is_wanting ? BR_BEAT_ACK2 : BR_BEAT_DELTA;
    }
}

/* The answer's kind is known when all of it is: it stands in the third byte. */
static void queue_answer(struct exchange *x, const struct br_beat_header *header)
{
    struct bruit_engine *engine = x->engine;
    uint32_t slot = br_digest_find(&engine->digest, header->sender.id);
    struct bruit_addr to = slot != 0 ? br_core_addr(&engine->core, slot) : *engine->packet_from;
    if (x->kind == BR_BEAT_SYN || x->kind == BR_BEAT_PULL) {
        size_t before = br_writer_size(&x->answer);
        br_digest_write_news(&engine->digest, &x->answer, br_writer_room(&x->answer) / 2);
        x->is_news |= br_writer_size(&x->answer) > before;
    }
    if (!x->is_wanting && !x->is_news)
        return;
    br_write_u8_at(&x->answer, 2, (uint8_t)answer_kind(x));
    struct br_buf *message = br_buf_new(&engine->core.alloc, br_writer_bytes(&x->answer));
    struct br_user_send *send = message == NULL ? NULL : br_ring_push(&engine->beat_sends);
    if (send == NULL) {
        br_core_drop(&engine->core, BRUIT_DROP_ANSWERS_FULL);
        br_buf_drop(&engine->core.alloc, message);
        return;
    }
    *send = (struct br_user_send){br_addr_unmapped(&to), message};
}

static size_t answer_room(struct bruit_engine *engine)
{
    size_t room = br_packet_budget(&engine->wire, engine->core.config.packet_size_max);
    size_t afford = br_digest_afford(&engine->digest, engine->core.now);
    size_t around = engine->core.config.packet_size_max - room;
    if (br_ring_is_full(&engine->beat_sends) || afford < around)
        return 0;
    room = room < afford - around ? room : afford - around;
    return room < ANSWER_MAX ? room : ANSWER_MAX;
}

int br_beat_take(struct bruit_engine *engine, struct bruit_bytes body)
{
    struct br_beat_header header;
    struct br_beat_block block;
    struct br_reader r;
    uint8_t buffer[ANSWER_MAX];
    br_reader_init(&r, body);
    if (br_beat_header_decode(&header, &r) != 0 || br_beat_check(r) != 0) {
        br_core_drop(&engine->core, BRUIT_DROP_MALFORMED);
        return 0;
    }
    struct exchange x = {.engine = engine, .kind = header.kind};
    br_writer_init(&x.answer, buffer, answer_room(engine));
    struct br_beat_entry self = br_digest_entry(&engine->core, engine->core.self);
    br_beat_header_encode(&x.answer, BR_BEAT_ACK, &self);
    int status = header.kind == BR_BEAT_PULL ? 0 : take_entry(&x, &header.sender);
    int type;
    while (status == 0 && (type = br_beat_block_decode(&block, &r)) > 0)
        status = take_block(&x, type, &block);
    if (!x.answer.failed)
        queue_answer(&x, &header);
    return status;
}

/* ---- streams ---- */

static bool is_told(const struct br_core *core, uint32_t slot)
{
    return br_view_is_listed(&core->view, slot) && core->view.state[slot] == BRUIT_ALIVE;
}

static void write_members(struct bruit_engine *engine, struct br_writer *w)
{
    const struct br_core *core = &engine->core;
    struct content content;
    for (uint32_t slot = 1; slot < core->view.used; slot++) {
        if (!is_told(core, slot))
            continue;
        struct br_beat_entry entry = content_of(engine, slot, 0, 0, sizeof content.items, &content);
        if (entry.version != 0)
            br_beat_entry_encode(w, &entry);
    }
}

/* Block and flags, id, four numbers, tag; name, address, port, versions, metadata with their lengths. */
#define MEMBER_SIZE_MAX(core, slot) (96 + (size_t)br_core_fragment(core, slot)->size)

static size_t members_size_max(const struct br_core *core)
{
    size_t size = 0;
    for (uint32_t slot = 1; slot < core->view.used; slot++)
        if (is_told(core, slot))
            size += MEMBER_SIZE_MAX(core, slot) +
                    (br_items_find(&core->items, slot) == NULL ? 0 : BR_ITEMS_ENCODED_MAX);
    return size;
}

int br_beat_state_write(struct bruit_engine *engine, bool join, struct br_buffer *out, struct bruit_bytes *message)
{
    struct bruit_document document;
    int status = br_document_export(&document, engine, join);
    size_t size = BR_BEAT_STATE_HEADER + document.size + (join ? members_size_max(&engine->core) : 0);
    if (status == 0)
        status = br_buffer_reserve(out, &engine->core.alloc, size);
    if (status == 0) {
        struct br_writer w;
        struct br_beat_header header = {.join = join, .document_size = (uint32_t)document.size};
        br_writer_init(&w, out->data, size);
        br_beat_state_encode(&w, &header);
        if (join)
            write_members(engine, &w);
        header.blocks_size = (uint32_t)(br_writer_size(&w) - BR_BEAT_STATE_HEADER);
        br_write_bytes(&w, br_bytes(document.buffer.data, document.size));
        BR_ASSERT(!w.failed);
        *message = br_writer_bytes(&w);
        br_writer_rewind(&w, 0);
        br_beat_state_encode(&w, &header);
        engine->sync.doc_size = (uint32_t)document.size;
    }
    br_document_free(&document);
    return status;
}

int br_beat_state_merge(struct bruit_engine *engine, const struct br_beat_header *header, struct bruit_bytes rest,
                        bool active)
{
    struct exchange x = {.engine = engine, .kind = BR_BEAT_DELTA};
    struct br_beat_block block;
    struct br_reader r;
    br_reader_init(&r, br_bytes(rest.data, header->blocks_size));
    if (br_beat_check(r) != 0) {
        br_core_drop(&engine->core, BRUIT_DROP_MALFORMED);
        return BRUIT_EFORMAT;
    }
    int status = 0;
    int type;
    br_writer_init(&x.answer, NULL, 0);
    br_writer_fail(&x.answer);
    while (status == 0 && (type = br_beat_block_decode(&block, &r)) > 0)
        if (type == BR_BEAT_BLOCK_ENTRY)
            status = take_entry(&x, &block.entry);
    if (status == 0 && header->document_size > 0)
        br_document_merge(engine, br_bytes(rest.data + header->blocks_size, header->document_size), header->join,
                          active);
    return status;
}

/* ---- our own state ---- */

static int change_item(struct bruit_engine *engine, struct bruit_bytes key, struct bruit_bytes value, uint32_t ttl,
                       bool is_deleted)
{
    struct br_core *core = &engine->core;
    uint32_t *version = &core->pulse.version[core->self];
    struct br_items_owner *owner = br_items_owner(&core->items, core->self);
    if (owner == NULL)
        return BRUIT_ENOMEM;
    if (*version == UINT32_MAX)
        return BRUIT_EFULL;
    int status = br_items_put(
        &core->items, owner,
        &(struct br_beat_item){
            .version = *version + 1, .ttl = ttl, .is_deleted = is_deleted, .key = key, .value = value},
        core->now);
    if (status != 0)
        return status;
    (*version)++;
    br_digest_tell(&engine->digest, core->self);
    return 0;
}

int bruit_heartbeat_set(struct bruit_engine *engine, struct bruit_bytes key, struct bruit_bytes value,
                        uint32_t ttl_seconds, bruit_time now)
{
    br_engine_input(engine, now);
    if (!br_beat_is_on(engine))
        return BRUIT_ENOSYS;
    if (key.size == 0 || key.size > BRUIT_HEARTBEAT_KEY_MAX)
        return BRUIT_EINVAL;
    if (value.size > BRUIT_HEARTBEAT_VALUE_MAX)
        return BRUIT_ETOOBIG;
    if (engine->leave_stage != BR_LEAVE_NOT)
        return BRUIT_ECLOSED;
    return change_item(engine, key, value, ttl_seconds, false);
}

int bruit_heartbeat_delete(struct bruit_engine *engine, struct bruit_bytes key, bruit_time now)
{
    br_engine_input(engine, now);
    const struct br_items_owner *owner = br_items_find(&engine->core.items, engine->core.self);
    if (!br_beat_is_on(engine))
        return BRUIT_ENOSYS;
    if (owner == NULL || br_items_get(owner, key, now) == NULL)
        return BRUIT_ENOENT;
    if (engine->leave_stage != BR_LEAVE_NOT)
        return BRUIT_ECLOSED;
    return change_item(engine, key, br_bytes(NULL, 0), 0, true);
}

/* ---- rounds ---- */

static void convict_silent(struct bruit_engine *engine)
{
    struct br_core *core = &engine->core;
    for (uint32_t slot = 0; (slot = br_heartbeat_next_silent(&engine->heartbeat, slot)) != 0;) {
        BR_TRACE(&core->tracer, heart_silent, .node = br_core_name(core, slot),
                 .generation = core->view.incarnation[slot], .heartbeat = core->pulse.heartbeat[slot],
                 .silence = br_heartbeat_silence(&engine->heartbeat, slot));
        become(engine, slot, BRUIT_DEAD);
    }
}

/* Our own: lives that are over become deletions, and deletions are forgotten behind the horizon. */
static void end_items(struct bruit_engine *engine)
{
    struct br_core *core = &engine->core;
    struct br_items_owner *owner = br_items_find(&core->items, core->self);
    if (owner == NULL || core->leaving)
        return;
    for (uint32_t i = 0; i < owner->count; i++) {
        const struct br_item *item = &owner->items[i];
        if (item->is_deleted && br_time_since(item->until, core->now) > TOMBSTONE_TIME)
            br_items_raise_floor(&core->items, owner, item->version);
        else if (!item->is_deleted && item->until <= core->now)
            (void)change_item(engine, br_item_key(item), br_bytes(NULL, 0), 0, true);
        else
            continue;
        return; /* the list has changed; the next one in the next round */
    }
}

void br_beat_tick(struct bruit_engine *engine)
{
    struct br_core *core = &engine->core;
    if (!br_digest_tick(&engine->digest, core->now))
        return;
    if (!core->leaving)
        br_heartbeat_beat(&engine->heartbeat);
    br_accrual_rule_turn(&engine->heartbeat.rule, br_digest_turn(&engine->digest));
    convict_silent(engine);
    end_items(engine);
    if (core->view.state_count[BRUIT_DEAD] + core->view.state_count[BRUIT_LEFT] > 0)
        br_claim_reap(engine);
    if (engine->leave_stage == BR_LEAVE_MEMBER) /* whoever leaves is in a hurry */
        br_digest_hurry(&engine->digest, br_time_add(core->now, core->config.heartbeat.interval / 4));
}

void br_beat_forget(struct bruit_engine *engine, uint32_t slot)
{
    br_heartbeat_bury(&engine->heartbeat, slot);
    br_items_forget(&engine->core.items, slot);
    br_digest_remove(&engine->digest, slot);
}

void br_beat_leave(struct bruit_engine *engine)
{
    struct br_core *core = &engine->core;
    br_heartbeat_beat(&engine->heartbeat);
    become(engine, core->self, BRUIT_LEFT);
    br_digest_hurry(&engine->digest, core->now);
    engine->leave_told = engine->digest.rounds + BR_DIGEST_TOLD + 1;
}

int br_beat_preload(struct bruit_engine *engine, uint32_t from)
{
    struct br_core *core = &engine->core;
    int status = br_beat_reserve(engine);
    if (status != 0)
        return status;
    core->pulse.heartbeat[core->self] = PRELOAD_HEARTBEAT;
    br_digest_sort(&engine->digest);
    br_accrual_rule_turn(&engine->heartbeat.rule, br_digest_turn(&engine->digest));
    for (uint32_t slot = from; slot < core->view.used; slot++) {
        core->pulse.heartbeat[slot] = PRELOAD_HEARTBEAT;
        core->pulse.version[slot] = 1;
        br_heartbeat_begin(&engine->heartbeat, slot);
    }
    br_digest_forget_news(&engine->digest);
    return 0;
}

/* ---- reading (<bruit/heartbeat.h>) ---- */

uint64_t bruit_heartbeat_generation(const struct bruit_engine *engine)
{
    return br_beat_is_on(engine) ? engine->core.incarnation : 0;
}

int bruit_heartbeat_get(const struct bruit_engine *engine, bruit_node node, struct bruit_heartbeat_info *out)
{
    const struct br_core *core = &engine->core;
    const struct br_heartbeat *hb = &engine->heartbeat;
    if (!br_beat_is_on(engine))
        return BRUIT_ENOSYS;
    if (!br_view_is_known(&core->view, node))
        return BRUIT_ENOENT;
    *out = (struct bruit_heartbeat_info){.generation = core->view.incarnation[node],
                                         .heartbeat = core->pulse.heartbeat[node],
                                         .version = core->pulse.version[node],
                                         .limit = br_accrual_limit(&hb->pairs[node], &hb->rule)};
    if (is_self(engine, node))
        return 0;
    double phi = 1000.0 * br_heartbeat_phi(hb, node);
    out->silence = br_heartbeat_silence(hb, node);
    out->phi_milli = phi < 1e6 ? (uint32_t)phi : 1000000;
    return 0;
}

static void show_item(struct bruit_heartbeat_item *out, const struct br_item *item, bruit_time now)
{
    *out = (struct bruit_heartbeat_item){.key = br_item_key(item),
                                         .value = br_item_value(item),
                                         .version = item->version,
                                         .ttl = item->until == BRUIT_NEVER ? BRUIT_NEVER : item->until - now};
}

int bruit_heartbeat_value(const struct bruit_engine *engine, bruit_node node, struct bruit_bytes key,
                          struct bruit_heartbeat_item *out)
{
    const struct br_core *core = &engine->core;
    const struct br_items_owner *owner = br_items_find(&core->items, node);
    const struct br_item *item = owner == NULL ? NULL : br_items_get(owner, key, core->now);
    if (!br_beat_is_on(engine))
        return BRUIT_ENOSYS;
    if (item == NULL)
        return BRUIT_ENOENT;
    show_item(out, item, core->now);
    return 0;
}

bool bruit_heartbeat_next(const struct bruit_engine *engine, bruit_node node, uint32_t *at,
                          struct bruit_heartbeat_item *out)
{
    const struct br_items_owner *owner = br_items_find(&engine->core.items, node);
    for (uint32_t i = 0; owner != NULL && i < owner->count; i++) {
        const struct br_item *item = &owner->items[i];
        if (item->version <= *at || !br_item_is_live(item, engine->core.now))
            continue;
        *at = item->version;
        show_item(out, item, engine->core.now);
        return true;
    }
    return false;
}

/* ---- the other detector ---- */

void br_beat_differs(struct bruit_engine *engine, const struct bruit_addr *from, bool is_stream)
{
    br_engine_drop(engine, from, is_stream, BRUIT_DROP_OTHER_DETECTOR);
    if (engine->core.now < engine->differs_quiet_until)
        return;
    engine->differs_quiet_until = br_time_add(engine->core.now, DIFFERS_QUIET);
    BR_TRACE(&engine->core.tracer, detector_differs, .from = *from,
             .ours = br_beat_is_on(engine) ? "heartbeat" : "swim");
}
