/*
 * Heartbeat gossip: see digest.h.
 */
#include "spread/digest.h"

#include "base/check.h"
#include "base/num.h"
#include "base/time.h"

#include <string.h>

/* A plain entry at most: block and flags, id, three numbers of five bytes, tag. */
#define ENTRY_MAX 27
/* What stands around a bucket's heartbeats at most. */
#define BUCKET_HEAD_MAX 12
/* What a datagram takes around our message (IP and UDP headers are not counted): nothing, or label and seal. */
#define ROUND_MIN 160

/*
 * Of the budget: what rounds may have when they are answered, and when they are not, in sixteenths. An answer takes
 * some 0.6 of what it answers, and questions come in bursts: what is answered must not be dropped.
 */
#define SHARES 16u
#define ROUNDS_ANSWERED 9u
#define ROUNDS_UNANSWERED 14u
/* Answers may be saved up for this long. */
#define ANSWERS_SAVED (4 * BRUIT_SECOND)

void br_digest_init(struct br_digest *d, struct br_core *core, bruit_time now)
{
    const struct bruit_heartbeat_config *config = &core->config.heartbeat;
    *d = (struct br_digest){.core = core, .saved_at = now, .next_round = BRUIT_NEVER};
    br_rng_init(&d->rng, core->config.seed, "heartbeat");
    d->cursor = br_rng_u64(&d->rng);
    d->savings = config->rate;
    if (core->config.detector == BRUIT_DETECTOR_HEARTBEAT)
        d->next_round = br_time_add(now, br_rng_time_below(&d->rng, config->interval));
}

void br_digest_fini(struct br_digest *d)
{
    br_alloc_free(&d->core->alloc, d->order, d->capacity * sizeof *d->order);
    d->order = NULL;
    d->capacity = d->count = 0;
}

/* ---- members ---- */

int br_digest_reserve(struct br_digest *d, uint32_t capacity)
{
    if (capacity <= d->capacity)
        return 0;
    uint32_t *order = br_alloc_resize(&d->core->alloc, d->order, d->capacity * sizeof *order,
                                      capacity * sizeof *order);
    if (order == NULL)
        return BRUIT_ENOMEM;
    d->order = order;
    d->capacity = capacity;
    return 0;
}

static uint64_t id_of(const struct br_core *core, uint32_t slot)
{
    return br_roster_name_id(core->roster, br_roster_name_of(core->roster, core->view.record[slot]));
}

/* The first place whose id is not below `id`. */
static uint32_t place_of(const struct br_digest *d, uint64_t id)
{
    uint32_t low = 0;
    uint32_t high = d->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (id_of(d->core, d->order[middle]) < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t br_digest_find(const struct br_digest *d, uint64_t id)
{
    uint32_t place = place_of(d, id);
    return place < d->count && id_of(d->core, d->order[place]) == id ? d->order[place] : 0;
}

void br_digest_insert(struct br_digest *d, uint32_t slot)
{
    uint32_t place = place_of(d, id_of(d->core, slot));
    BR_ASSERT(d->count < d->capacity);
    memmove(d->order + place + 1, d->order + place, (d->count - place) * sizeof *d->order);
    d->order[place] = slot;
    d->count++;
}

void br_digest_remove(struct br_digest *d, uint32_t slot)
{
    uint32_t place = place_of(d, id_of(d->core, slot));
    while (place < d->count && d->order[place] != slot)
        place++;
    BR_ASSERT(place < d->count);
    d->count--;
    memmove(d->order + place, d->order + place + 1, (d->count - place) * sizeof *d->order);
    for (uint32_t i = 0; i < d->news_count; i++)
        if (d->news[i].slot == slot)
            d->news[i--] = d->news[--d->news_count];
}

/* Sifts down the heap with the greatest id on top. */
static void sift(const struct br_core *core, uint32_t *heap, uint32_t at, uint32_t count)
{
    uint32_t slot = heap[at];
    uint64_t id = id_of(core, slot);
    for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && id_of(core, heap[child]) < id_of(core, heap[child + 1]))
            child++;
        if (id_of(core, heap[child]) <= id)
            break;
        heap[at] = heap[child];
    }
    heap[at] = slot;
}

void br_digest_sort(struct br_digest *d)
{
    const struct br_view *view = &d->core->view;
    BR_ASSERT(view->count <= d->capacity);
    d->count = view->count;
    memcpy(d->order, view->order, d->count * sizeof *d->order);
    for (uint32_t i = d->count / 2; i-- > 0;)
        sift(d->core, d->order, i, d->count);
    for (uint32_t last = d->count; last > 1;) {
        uint32_t greatest = d->order[0];
        d->order[0] = d->order[--last];
        d->order[last] = greatest;
        sift(d->core, d->order, 0, last);
    }
}

/* ---- news ---- */

void br_digest_tell(struct br_digest *d, uint32_t slot)
{
    for (uint32_t i = 0; i < d->news_count; i++)
        if (d->news[i].slot == slot) {
            d->news[i].told = 0;
            return;
        }
    if (d->news_count < BR_DIGEST_NEWS_MAX)
        d->news[d->news_count++] = (struct br_digest_news){slot, 0};
}

void br_digest_forget_news(struct br_digest *d)
{
    d->news_count = 0;
}

struct br_beat_entry br_digest_entry(const struct br_core *core, uint32_t slot)
{
    const struct br_view *view = &core->view;
    uint32_t version = core->pulse.version[slot];
    return (struct br_beat_entry){
        .id = id_of(core, slot),
        .generation = view->incarnation[slot],
        .heartbeat = core->pulse.heartbeat[slot],
        .version = version,
        .tag = version == 0 ? 0 : br_pulse_tag(view, slot),
        .flags = view->state[slot] == BRUIT_LEFT ? BR_BEAT_LEFT : 0,
    };
}

/* What was told least comes first; the list is turned so that ties take turns. */
void br_digest_write_news(struct br_digest *d, struct br_writer *w, size_t room)
{
    uint32_t limit = br_num_retransmit_limit(d->core->config.retransmit_mult, d->core->view.count);
    uint32_t kept = 0;
    for (uint32_t told = 0; told < limit && room >= ENTRY_MAX; told++) {
        for (uint32_t i = 0; i < d->news_count && room >= ENTRY_MAX; i++) {
            if (d->news[i].told != told)
                continue;
            struct br_beat_entry entry = br_digest_entry(d->core, d->news[i].slot);
            size_t before = br_writer_size(w);
            br_beat_entry_encode(w, &entry);
            room -= br_writer_size(w) - before;
            d->news[i].told = told + limit + 1; /* told just now: not again in this message */
        }
    }
    for (uint32_t i = 0; i < d->news_count; i++) {
        struct br_digest_news news = d->news[i];
        if (news.told > limit)
            news.told -= limit;
        if (news.told < limit)
            d->news[kept++] = news;
    }
    d->news_count = kept;
}

/* ---- buckets ---- */

static uint64_t first_id(const struct br_beat_bucket *bucket)
{
    return bucket->depth == 0 ? 0 : (uint64_t)bucket->index << (64 - bucket->depth);
}

static bool is_in(const struct br_beat_bucket *bucket, uint64_t id)
{
    return bucket->depth == 0 || id >> (64 - bucket->depth) == bucket->index;
}

bool br_digest_run(const struct br_digest *d, const struct br_beat_bucket *bucket, bool whole,
                   struct br_digest_run *out)
{
    const struct br_core *core = d->core;
    out->count = 0;
    for (uint32_t place = place_of(d, first_id(bucket)); place < d->count; place++) {
        uint32_t slot = d->order[place];
        if (!is_in(bucket, id_of(core, slot)))
            break;
        if (!whole && core->view.state[slot] == BRUIT_LEFT)
            continue;
        if (out->count == BR_BEAT_BUCKET_MAX)
            return false;
        out->slots[out->count++] = slot;
    }
    return true;
}

uint32_t br_digest_checksum(const struct br_digest *d, const struct br_digest_run *run)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < run->count; i++)
        sum ^= br_pulse_digest(&d->core->pulse, &d->core->view, run->slots[i]);
    return (uint32_t)(sum ^ sum >> 32);
}

static uint8_t depth_of(const struct br_digest *d)
{
    uint8_t depth = 0;
    while (d->core->view.state_count[BRUIT_ALIVE] >> depth > BR_DIGEST_BUCKET && depth < BR_BEAT_DEPTH_MAX)
        depth++;
    return depth;
}

/* What it takes with the heartbeats that are in it; a little more at most. */
static size_t bucket_size(const struct br_beat_bucket *bucket)
{
    size_t size = BUCKET_HEAD_MAX;
    for (unsigned i = 0; i < bucket->count; i++)
        size += bucket->beats[i] < 0x80 ? 1u : bucket->beats[i] < 0x4000 ? 2u : bucket->beats[i] < 0x200000 ? 3u : 5u;
    return size;
}

static void fill_bucket(const struct br_digest *d, struct br_beat_bucket *bucket)
{
    struct br_digest_run run;
    bucket->count = 0;
    if (!br_digest_run(d, bucket, false, &run))
        return;
    bucket->checksum = br_digest_checksum(d, &run);
    bucket->count = (uint8_t)run.count;
    for (uint32_t i = 0; i < run.count; i++)
        bucket->beats[i] = d->core->pulse.heartbeat[run.slots[i]];
}

/* From where the last round stopped, until the room is used up or we are around. An empty bucket is said, too: the
 * other side may know somebody in it. */
static void write_buckets(struct br_digest *d, struct br_writer *w, size_t room)
{
    uint8_t depth = depth_of(d);
    struct br_beat_bucket bucket = {.depth = depth};
    size_t end = br_writer_size(w) + room;
    for (uint32_t i = 0; i < UINT32_C(1) << depth; i++) {
        bucket.index = depth == 0 ? 0 : (uint32_t)(d->cursor >> (64 - depth));
        fill_bucket(d, &bucket);
        if (br_writer_size(w) + bucket_size(&bucket) > end)
            return;
        br_beat_beats_encode(w, &bucket);
        if (depth > 0)
            d->cursor = (uint64_t)(bucket.index + 1) << (64 - depth);
    }
}

/* ---- rounds ---- */

static bool is_answered(const struct br_digest *d)
{
    return d->core->config.heartbeat.mode != BRUIT_HEARTBEAT_PUSH;
}

/* The share of one message of a round in the budget. */
static size_t share(const struct br_digest *d)
{
    const struct bruit_heartbeat_config *config = &d->core->config.heartbeat;
    uint64_t bytes = br_time_mul(config->interval, config->rate) / BRUIT_SECOND;
    bytes = bytes * (is_answered(d) ? ROUNDS_ANSWERED : ROUNDS_UNANSWERED) / SHARES / config->nodes;
    return bytes < ROUND_MIN ? ROUND_MIN : bytes > UINT16_MAX ? UINT16_MAX : (size_t)bytes;
}

/* A heartbeat of a day to 24 days takes 3 bytes, its share of a bucket's head half a byte to one. */
#define MEMBER_BYTES 4

bruit_time br_digest_turn(const struct br_digest *d)
{
    const struct bruit_heartbeat_config *config = &d->core->config.heartbeat;
    uint64_t reach = share(d) / MEMBER_BYTES;
    if (d->count <= reach)
        return 0;
    return br_time_mul(config->interval, d->count) / (reach * config->nodes);
}

static bool is_live_other(const void *context, uint32_t slot)
{
    const struct br_core *core = context;
    return slot != core->self && core->view.state[slot] == BRUIT_ALIVE;
}

static bool is_dead(const void *context, uint32_t slot)
{
    const struct br_core *core = context;
    return slot != core->self && core->view.state[slot] == BRUIT_DEAD &&
           br_time_since(core->view.since[slot], core->now) <= core->config.gossip_to_the_dead;
}

/*
 * k live ones; and a dead one as often as the dead are many beside the living (Cassandra's rule), so that two halves
 * of a cluster that could not reach each other find together again.
 */
static void choose_targets(struct br_digest *d)
{
    const struct br_core *core = d->core;
    const struct br_view *view = &core->view;
    d->target_next = 0;
    d->target_count = br_pick(view, &d->rng, core->config.heartbeat.nodes, is_live_other, core, d->targets);
    uint32_t dead = view->state_count[BRUIT_DEAD];
    if (dead > 0 && br_rng_below(&d->rng, view->state_count[BRUIT_ALIVE] + 1) < dead)
        d->target_count += br_pick(view, &d->rng, 1, is_dead, core, d->targets + d->target_count);
}

bool br_digest_tick(struct br_digest *d, bruit_time now)
{
    if (d->next_round > now)
        return false;
    bruit_time interval = d->core->config.heartbeat.interval;
    d->next_round = br_time_add(d->next_round, interval);
    if (d->next_round <= now) /* we were late by a round or more */
        d->next_round = br_time_add(now, interval);
    d->rounds++;
    choose_targets(d);
    return true;
}

void br_digest_hurry(struct br_digest *d, bruit_time now)
{
    d->next_round = br_time_min(d->next_round, now);
}

void br_digest_stop(struct br_digest *d)
{
    d->next_round = BRUIT_NEVER;
    d->target_count = d->target_next = 0;
}

bool br_digest_next(struct br_digest *d, struct br_send *send)
{
    while (d->target_next < d->target_count) {
        uint32_t slot = d->targets[d->target_next++];
        if (!br_view_is_listed(&d->core->view, slot))
            continue;
        *send = (struct br_send){.kind = BR_SEND_BEAT, .slot = slot, .to = br_core_addr(d->core, slot)};
        return true;
    }
    return false;
}

static enum br_beat_kind kind_of(const struct br_digest *d)
{
    switch (d->core->config.heartbeat.mode) {
    case BRUIT_HEARTBEAT_PUSH: return BR_BEAT_ACK2;
    case BRUIT_HEARTBEAT_PULL: return BR_BEAT_PULL;
    default: return BR_BEAT_SYN;
    }
}

/* Entries of some members, the next ones in order: who only pushes is never asked for what differs. */
#define PUSHED_ENTRIES 4

static void write_some(struct br_digest *d, struct br_writer *w, size_t room)
{
    uint32_t place = place_of(d, d->cursor);
    for (uint32_t i = 0; i < PUSHED_ENTRIES && i < d->count && room >= ENTRY_MAX; i++) {
        uint32_t slot = d->order[(place + i) % d->count];
        struct br_beat_entry entry = br_digest_entry(d->core, slot);
        if (d->core->view.state[slot] != BRUIT_DEAD)
            br_beat_entry_encode(w, &entry);
        room -= ENTRY_MAX;
    }
}

/* A dead one is told that we are there, and the news, among which it will find itself. */
void br_digest_write(struct br_digest *d, struct br_writer *w, uint32_t slot, size_t room)
{
    struct br_beat_entry self = br_digest_entry(d->core, d->core->self);
    bool is_alive = d->core->view.state[slot] == BRUIT_ALIVE;
    size_t most = is_alive ? share(d) : ROUND_MIN;
    room = room < most ? room : most;
    br_beat_header_encode(w, kind_of(d), &self);
    size_t used = br_writer_size(w);
    if (used < room)
        br_digest_write_news(d, w, (room - used) / 2);
    if (!is_alive) {
        struct br_beat_entry entry = br_digest_entry(d->core, slot);
        br_beat_entry_encode(w, &entry);
        return;
    }
    used = br_writer_size(w);
    if (used < room && !is_answered(d))
        write_some(d, w, room - used);
    used = br_writer_size(w);
    if (used < room)
        write_buckets(d, w, room - used);
}

/* ---- answers ---- */

size_t br_digest_afford(struct br_digest *d, bruit_time now)
{
    uint64_t rate = (uint64_t)d->core->config.heartbeat.rate *
                    (SHARES - (is_answered(d) ? ROUNDS_ANSWERED : ROUNDS_UNANSWERED)) / SHARES;
    uint64_t most = rate * (ANSWERS_SAVED / BRUIT_SECOND);
    bruit_time passed = br_time_min(br_time_since(d->saved_at, now), ANSWERS_SAVED);
    uint64_t earned = rate * (passed / BRUIT_MICROSECOND) / 1000000;
    if (earned > 0) { /* else too soon to count: the fraction must not be lost */
        d->savings += earned;
        d->saved_at = now;
    }
    if (d->savings > most)
        d->savings = most;
    return (size_t)d->savings;
}

void br_digest_spend(struct br_digest *d, size_t size)
{
    d->savings -= size < d->savings ? size : d->savings;
}
