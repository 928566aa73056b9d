/*
 * Contexts; see kv_context.h.
 *
 * An actor's dots are [1, base] and its runs: ascending, each at least one missing dot away from what is before it.
 * Whatever is added or united keeps that form, so equal sets have equal runs, and so equal digests.
 */
#include "module/kv_context.h"

#include "base/check.h"
#include "base/siphash.h"

#include <bruit/error.h>

#include <string.h>

/* Digests are compared between members: any fixed key will do. */
static const uint8_t digest_key[16] = "bruit kv context";

static uint64_t table_hash(const struct br_kv_context *c, uint64_t id)
{
    uint8_t key[16] = {0};
    uint8_t bytes[8];
    br_store_u64(key, c->secret);
    br_store_u64(bytes, id);
    return br_siphash13(key, br_bytes(bytes, sizeof bytes));
}

void br_kv_context_init(struct br_kv_context *c, struct br_alloc *alloc, uint32_t actors_max, uint32_t runs_max,
                        uint64_t secret)
{
    *c = (struct br_kv_context){.alloc = alloc,
                                .actors_max = actors_max,
                                .runs_max = runs_max,
                                .secret = secret,
                                .free = BR_KV_ACTOR_NONE};
    br_table_init(&c->by_id, alloc);
}

static void free_runs(struct br_kv_context *c, struct br_kv_actor *actor)
{
    br_alloc_free(c->alloc, actor->runs, actor->run_capacity * sizeof *actor->runs);
    actor->runs = NULL;
    actor->run_count = actor->run_capacity = 0;
}

void br_kv_context_fini(struct br_kv_context *c)
{
    for (uint32_t i = 0; i < c->slot_count; i++)
        if (c->actors[i].is_used)
            free_runs(c, &c->actors[i]);
    br_alloc_free(c->alloc, c->actors, c->slot_capacity * sizeof *c->actors);
    br_alloc_free(c->alloc, c->order, c->slot_capacity * sizeof *c->order);
    br_table_fini(&c->by_id);
    br_kv_context_init(c, c->alloc, c->actors_max, c->runs_max, c->secret); /* own is nobody */
}

/* ---- asking -------------------------------------------------------------------------------------------- */

struct wanted {
    const struct br_kv_actor *actors;
    uint64_t id;
};

static bool is_wanted(const void *context, uint32_t index)
{
    const struct wanted *wanted = context;
    return wanted->actors[index].id == wanted->id;
}

uint32_t br_kv_context_find(const struct br_kv_context *c, uint64_t id)
{
    struct wanted wanted = {.actors = c->actors, .id = id};
    return br_table_find(&c->by_id, table_hash(c, id), is_wanted, &wanted);
}

/* The first run that ends at or behind `counter`. */
static uint32_t find_run(const struct br_kv_actor *actor, uint64_t counter)
{
    uint32_t low = 0;
    for (uint32_t high = actor->run_count; low < high;) {
        uint32_t middle = low + (high - low) / 2;
        if (actor->runs[middle].to < counter)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool actor_covers(const struct br_kv_actor *actor, uint64_t counter)
{
    if (counter <= actor->base)
        return true;
    uint32_t at = find_run(actor, counter);
    return at < actor->run_count && actor->runs[at].from <= counter;
}

bool br_kv_context_covers(const struct br_kv_context *c, struct br_kv_dot dot)
{
    uint32_t at = br_kv_context_find(c, dot.actor);
    return at != BR_KV_ACTOR_NONE && actor_covers(&c->actors[at], dot.counter);
}

bool br_kv_context_covers_all(const struct br_kv_context *c, struct br_kv_dot last)
{
    uint32_t at = br_kv_context_find(c, last.actor);
    return at != BR_KV_ACTOR_NONE && last.counter <= c->actors[at].base;
}

static uint64_t last_of(const struct br_kv_actor *actor)
{
    return actor->run_count == 0 ? actor->base : actor->runs[actor->run_count - 1].to;
}

uint64_t br_kv_context_last(const struct br_kv_context *c, uint64_t id)
{
    uint32_t at = br_kv_context_find(c, id);
    return at == BR_KV_ACTOR_NONE ? 0 : last_of(&c->actors[at]);
}

static uint64_t missing(const struct br_kv_actor *actor)
{
    uint64_t held = actor->base;
    for (uint32_t i = 0; i < actor->run_count; i++)
        held += actor->runs[i].to - actor->runs[i].from + 1;
    return last_of(actor) - held;
}

uint64_t br_kv_context_gaps(const struct br_kv_context *c)
{
    uint64_t gaps = 0;
    for (uint32_t i = 0; i < c->actor_count; i++) {
        uint64_t more = missing(&c->actors[c->order[i]]);
        gaps = more > UINT64_MAX - gaps ? UINT64_MAX : gaps + more;
    }
    return gaps;
}

static uint64_t fold(uint64_t so_far, uint64_t a, uint64_t b)
{
    uint8_t bytes[24];
    br_store_u64(bytes, so_far);
    br_store_u64(bytes + 8, a);
    br_store_u64(bytes + 16, b);
    return br_siphash24(digest_key, br_bytes(bytes, sizeof bytes));
}

/* Actors of which nothing is covered, and retired ones, say nothing. */
uint64_t br_kv_context_digest(const struct br_kv_context *c)
{
    uint64_t digest = 0;
    for (uint32_t i = 0; i < c->actor_count; i++) {
        const struct br_kv_actor *actor = &c->actors[c->order[i]];
        if (actor->is_retired || last_of(actor) == 0)
            continue;
        uint64_t one = fold(0, actor->id, actor->base);
        for (uint32_t j = 0; j < actor->run_count; j++)
            one = fold(one, actor->runs[j].from, actor->runs[j].to);
        digest += one;
    }
    return digest;
}

uint64_t br_kv_context_actors_digest(const struct br_kv_context *c)
{
    uint64_t digest = 0;
    for (uint32_t i = 0; i < c->actor_count; i++)
        digest += fold(1, c->actors[c->order[i]].id, 0);
    return digest;
}

/* ---- actors -------------------------------------------------------------------------------------------- */

/* Room for `extra` more actors. */
static enum br_kv_refusal reserve_actors(struct br_kv_context *c, uint32_t extra)
{
    if (br_table_reserve(&c->by_id, extra) != 0)
        return BR_KV_NO_MEMORY;
    uint32_t count = c->actor_count + extra; /* free slots are used first */
    if (count <= c->slot_capacity)
        return BR_KV_ACCEPTED;
    uint32_t capacity = c->slot_capacity + c->slot_capacity / 2;
    capacity = capacity < count ? count : capacity;
    size_t size = sizeof *c->actors;
    size_t order_size = sizeof *c->order;
    uint32_t *order = br_alloc_array(c->alloc, capacity, order_size);
    if (order == NULL)
        return BR_KV_NO_MEMORY;
    struct br_kv_actor *actors = br_alloc_resize(c->alloc, c->actors, c->slot_capacity * size, capacity * size);
    if (actors == NULL) {
        br_alloc_free(c->alloc, order, capacity * order_size);
        return BR_KV_NO_MEMORY;
    }
    if (c->actor_count > 0)
        memcpy(order, c->order, c->actor_count * order_size);
    br_alloc_free(c->alloc, c->order, c->slot_capacity * order_size);
    c->order = order;
    c->actors = actors;
    c->slot_capacity = capacity;
    return BR_KV_ACCEPTED;
}

/* Room for `extra` more actors other than our own, for which one place is kept. */
static enum br_kv_refusal reserve_others(struct br_kv_context *c, uint32_t extra)
{
    bool is_kept_free = c->own != 0 && br_kv_context_find(c, c->own) == BR_KV_ACTOR_NONE;
    if ((uint64_t)c->actor_count + extra + is_kept_free > c->actors_max)
        return BR_KV_ACTORS_FULL;
    return reserve_actors(c, extra);
}

/* Where an actor is, or would be, in the order. */
static uint32_t find_place(const struct br_kv_context *c, uint64_t id)
{
    uint32_t low = 0;
    for (uint32_t high = c->actor_count; low < high;) {
        uint32_t middle = low + (high - low) / 2;
        if (c->actors[c->order[middle]].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A new actor of which nothing is covered; room was reserved. */
static uint32_t add_actor(struct br_kv_context *c, uint64_t id)
{
    uint32_t at = c->free;
    if (at == BR_KV_ACTOR_NONE)
        at = c->slot_count++;
    else
        c->free = c->actors[at].run_capacity;
    BR_ASSERT(at < c->slot_capacity);
    c->actors[at] = (struct br_kv_actor){.id = id, .is_used = true};
    uint32_t place = find_place(c, id);
    memmove(c->order + place + 1, c->order + place, (c->actor_count - place) * sizeof *c->order);
    c->order[place] = at;
    c->actor_count++;
    br_table_insert(&c->by_id, table_hash(c, id), at);
    return at;
}

static void drop_actor(struct br_kv_context *c, uint32_t at)
{
    struct br_kv_actor *actor = &c->actors[at];
    uint32_t place = find_place(c, actor->id);
    BR_ASSERT(c->order[place] == at);
    c->actor_count--;
    memmove(c->order + place, c->order + place + 1, (c->actor_count - place) * sizeof *c->order);
    (void)br_table_remove(&c->by_id, table_hash(c, actor->id), at); /* it is in */
    c->run_count -= actor->run_count;
    free_runs(c, actor);
    *actor = (struct br_kv_actor){.run_capacity = c->free};
    c->free = at;
}

/* ---- adding -------------------------------------------------------------------------------------------- */

static enum br_kv_refusal reserve_runs(struct br_kv_context *c, struct br_kv_actor *actor, uint32_t extra)
{
    if (extra > c->runs_max || c->run_count > c->runs_max - extra)
        return BR_KV_RUNS_FULL;
    uint32_t count = actor->run_count + extra;
    if (count <= actor->run_capacity)
        return BR_KV_ACCEPTED;
    uint32_t capacity = actor->run_capacity * 2;
    capacity = capacity < count ? count : capacity;
    size_t size = sizeof *actor->runs;
    void *runs = br_alloc_resize(c->alloc, actor->runs, actor->run_capacity * size, capacity * size);
    if (runs == NULL)
        return BR_KV_NO_MEMORY;
    actor->runs = runs;
    actor->run_capacity = capacity;
    return BR_KV_ACCEPTED;
}

/* Does the dot need a run of its own, as things are? */
static bool needs_run(const struct br_kv_actor *actor, uint64_t counter)
{
    if (counter <= actor->base + 1)
        return false;
    uint32_t at = find_run(actor, counter);
    bool touches_next = at < actor->run_count && actor->runs[at].from <= counter + 1;
    return !touches_next && (at == 0 || actor->runs[at - 1].to + 1 != counter);
}

/* Actors that only a failed reservation made known. */
static void drop_empty(struct br_kv_context *c, const struct br_kv_dot *dots, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = br_kv_context_find(c, dots[i].actor);
        if (at != BR_KV_ACTOR_NONE && last_of(&c->actors[at]) == 0 && c->actors[at].sibling_count == 0)
            drop_actor(c, at);
    }
}

static enum br_kv_refusal reserve_dot(struct br_kv_context *c, struct br_kv_dot dot, uint32_t before)
{
    uint32_t at = br_kv_context_find(c, dot.actor);
    if (at == BR_KV_ACTOR_NONE) {
        enum br_kv_refusal refusal = dot.actor == c->own ? reserve_actors(c, 1) : reserve_others(c, 1);
        if (refusal != BR_KV_ACCEPTED)
            return refusal;
        at = add_actor(c, dot.actor);
    }
    struct br_kv_actor *actor = &c->actors[at];
    return needs_run(actor, dot.counter) ? reserve_runs(c, actor, before + 1) : BR_KV_ACCEPTED;
}

/* Each dot reserves for those before it, too, as if all of them were the same actor's. */
enum br_kv_refusal br_kv_context_reserve(struct br_kv_context *c, const struct br_kv_dot *dots, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        enum br_kv_refusal refusal = reserve_dot(c, dots[i], i);
        if (refusal != BR_KV_ACCEPTED) {
            drop_empty(c, dots, i + 1);
            return refusal;
        }
    }
    return BR_KV_ACCEPTED;
}

static void remove_run(struct br_kv_context *c, struct br_kv_actor *actor, uint32_t at)
{
    actor->run_count--;
    c->run_count--;
    memmove(actor->runs + at, actor->runs + at + 1, (actor->run_count - at) * sizeof *actor->runs);
}

static void insert_run(struct br_kv_context *c, struct br_kv_actor *actor, uint32_t at, uint64_t counter)
{
    BR_ASSERT(actor->run_count < actor->run_capacity);
    memmove(actor->runs + at + 1, actor->runs + at, (actor->run_count - at) * sizeof *actor->runs);
    actor->runs[at] = (struct br_kv_run){.from = counter, .to = counter};
    actor->run_count++;
    c->run_count++;
}

/* The base takes up the first run once nothing is missing between them. */
static void raise_base(struct br_kv_context *c, struct br_kv_actor *actor, uint64_t base)
{
    actor->base = base;
    if (actor->run_count == 0 || actor->runs[0].from != base + 1)
        return;
    actor->base = actor->runs[0].to;
    remove_run(c, actor, 0);
}

static void add_counter(struct br_kv_context *c, struct br_kv_actor *actor, uint64_t counter)
{
    if (counter == actor->base + 1) {
        raise_base(c, actor, counter);
        return;
    }
    uint32_t at = find_run(actor, counter);
    bool joins_next = at < actor->run_count && actor->runs[at].from == counter + 1;
    bool joins_last = at > 0 && actor->runs[at - 1].to + 1 == counter;
    if (joins_next && joins_last) {
        actor->runs[at - 1].to = actor->runs[at].to;
        remove_run(c, actor, at);
    } else if (joins_next) {
        actor->runs[at].from = counter;
    } else if (joins_last) {
        actor->runs[at - 1].to = counter;
    } else {
        insert_run(c, actor, at, counter);
    }
}

uint32_t br_kv_context_add(struct br_kv_context *c, struct br_kv_dot dot, bruit_time now)
{
    uint32_t at = br_kv_context_find(c, dot.actor);
    BR_ASSERT(at != BR_KV_ACTOR_NONE);
    struct br_kv_actor *actor = &c->actors[at];
    if (actor_covers(actor, dot.counter))
        return at;
    add_counter(c, actor, dot.counter);
    actor->changed = now;
    actor->is_retired = false;
    return at;
}

/* ---- joining ------------------------------------------------------------------------------------------- */

/* What one of our actors will be: decided, and its memory taken, before anything changes. */
struct plan {
    uint32_t ours; /* or BR_KV_ACTOR_NONE: a new one */
    bool is_wanted;
    uint64_t base;
    struct br_kv_run *runs;
    uint32_t run_count;
    uint32_t run_capacity;
};

/* The pieces of an actor in order, the base being the first when there is one. */
static bool next_piece(const struct br_kv_actor *actor, uint32_t *at, struct br_kv_run *piece)
{
    uint32_t has_base = actor->base > 0;
    if (*at >= actor->run_count + has_base)
        return false;
    *piece = *at < has_base ? (struct br_kv_run){.from = 1, .to = actor->base} : actor->runs[*at - has_base];
    ++*at;
    return true;
}

static void add_piece(struct plan *plan, struct br_kv_run piece)
{
    uint64_t *last = plan->run_count > 0 ? &plan->runs[plan->run_count - 1].to : &plan->base;
    if (piece.from <= *last + 1) {
        *last = piece.to > *last ? piece.to : *last;
        return;
    }
    BR_ASSERT(plan->run_count < plan->run_capacity);
    plan->runs[plan->run_count++] = piece;
}

static void unite(struct plan *plan, const struct br_kv_actor *a, const struct br_kv_actor *b)
{
    uint32_t at_a = 0, at_b = 0;
    struct br_kv_run piece_a = {0}, piece_b = {0}; /* gcc at -O3 cannot see that they are set before they are used */
    bool has_a = next_piece(a, &at_a, &piece_a);
    bool has_b = next_piece(b, &at_b, &piece_b);
    while (has_a || has_b) {
        if (has_a && (!has_b || piece_a.from <= piece_b.from)) {
            add_piece(plan, piece_a);
            has_a = next_piece(a, &at_a, &piece_a);
        } else {
            add_piece(plan, piece_b);
            has_b = next_piece(b, &at_b, &piece_b);
        }
    }
}

static const struct br_kv_actor nobody;

static enum br_kv_refusal plan_actor(struct br_kv_context *c, const struct br_kv_actor *theirs, bool takes_retired,
                                     struct plan *plan)
{
    plan->ours = br_kv_context_find(c, theirs->id);
    bool is_new = last_of(theirs) > 0 && (takes_retired || !theirs->is_retired);
    plan->is_wanted = plan->ours != BR_KV_ACTOR_NONE || is_new;
    if (!plan->is_wanted)
        return BR_KV_ACCEPTED;
    const struct br_kv_actor *ours = plan->ours == BR_KV_ACTOR_NONE ? &nobody : &c->actors[plan->ours];
    plan->run_capacity = ours->run_count + theirs->run_count;
    if (plan->run_capacity > 0) {
        plan->runs = br_alloc_array(c->alloc, plan->run_capacity, sizeof *plan->runs);
        if (plan->runs == NULL)
            return BR_KV_NO_MEMORY;
    }
    unite(plan, ours, theirs);
    return BR_KV_ACCEPTED;
}

static enum br_kv_refusal plan_join(struct br_kv_context *c, const struct br_kv_context *other, uint64_t except,
                                    bool takes_retired, struct plan *plans)
{
    uint32_t new_actors = 0;
    uint64_t runs = c->run_count;
    for (uint32_t i = 0; i < other->actor_count; i++) {
        const struct br_kv_actor *theirs = &other->actors[other->order[i]];
        if (theirs->id == except)
            continue;
        enum br_kv_refusal refusal = plan_actor(c, theirs, takes_retired, &plans[i]);
        if (refusal != BR_KV_ACCEPTED)
            return refusal;
        if (!plans[i].is_wanted)
            continue;
        runs += plans[i].run_count;
        if (plans[i].ours == BR_KV_ACTOR_NONE)
            new_actors++;
        else
            runs -= c->actors[plans[i].ours].run_count;
    }
    return runs > c->runs_max ? BR_KV_RUNS_FULL : reserve_others(c, new_actors);
}

static void carry_out(struct br_kv_context *c, const struct br_kv_actor *theirs, struct plan *plan, bruit_time now)
{
    if (plan->ours == BR_KV_ACTOR_NONE)
        plan->ours = add_actor(c, theirs->id);
    struct br_kv_actor *ours = &c->actors[plan->ours];
    uint64_t last = last_of(ours);
    c->run_count += plan->run_count - ours->run_count;
    free_runs(c, ours);
    ours->base = plan->base;
    if (plan->run_count > 0) {
        ours->runs = plan->runs;
        ours->run_count = plan->run_count;
        ours->run_capacity = plan->run_capacity;
        plan->runs = NULL;
    }
    if (last_of(ours) > last) {
        ours->changed = now;
        ours->is_retired = ours->is_retired && theirs->is_retired;
    }
    /* Somebody who retired it and then missed that it is back is not believed. */
    if (theirs->is_retired && last_of(theirs) >= last)
        (void)br_kv_context_retire(c, ours->id, now); /* unless it has siblings here */
}

static enum br_kv_refusal join(struct br_kv_context *c, const struct br_kv_context *other, uint64_t except,
                               bool takes_retired, bruit_time now)
{
    if (other->actor_count == 0)
        return BR_KV_ACCEPTED;
    struct plan *plans = br_alloc_array(c->alloc, other->actor_count, sizeof *plans);
    if (plans == NULL)
        return BR_KV_NO_MEMORY;
    enum br_kv_refusal refusal = plan_join(c, other, except, takes_retired, plans);
    for (uint32_t i = 0; i < other->actor_count; i++) {
        if (refusal == BR_KV_ACCEPTED && plans[i].is_wanted)
            carry_out(c, &other->actors[other->order[i]], &plans[i], now);
        br_alloc_free(c->alloc, plans[i].runs, plans[i].run_capacity * sizeof *plans[i].runs);
    }
    br_alloc_free(c->alloc, plans, other->actor_count * sizeof *plans);
    return refusal;
}

enum br_kv_refusal br_kv_context_join(struct br_kv_context *c, const struct br_kv_context *other, uint64_t except,
                                      bruit_time now)
{
    return join(c, other, except, false, now);
}

enum br_kv_refusal br_kv_context_restore(struct br_kv_context *c, const struct br_kv_context *saved, bruit_time now)
{
    return join(c, saved, 0, true, now);
}

/* ---- retiring ------------------------------------------------------------------------------------------ */

bool br_kv_context_retire(struct br_kv_context *c, uint64_t id, bruit_time now)
{
    uint32_t at = br_kv_context_find(c, id);
    if (at == BR_KV_ACTOR_NONE || c->actors[at].is_retired || c->actors[at].sibling_count > 0)
        return false;
    c->actors[at].is_retired = true;
    c->actors[at].changed = now;
    return true;
}

uint32_t br_kv_context_forget(struct br_kv_context *c, bruit_time horizon)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->slot_count; i++) {
        const struct br_kv_actor *actor = &c->actors[i];
        if (!actor->is_used || !actor->is_retired || actor->changed >= horizon || actor->sibling_count > 0 ||
            actor->id == c->own)
            continue;
        drop_actor(c, i);
        count++;
    }
    return count;
}

/* ---- bytes --------------------------------------------------------------------------------------------- */

/* version, has_names (0 or 1), then the actors to the end, each followed by its runs */

size_t br_kv_context_size_max(const struct br_kv_context *c)
{
    return 2 + (size_t)c->actor_count * (8 + 2 * 10) + (size_t)c->run_count * 2 * 10;
}

void br_kv_context_encode(const struct br_kv_context *c, struct br_writer *w, bool has_names)
{
    br_write_u8(w, BR_KV_VERSION);
    br_write_u8(w, has_names ? 1 : 0);
    for (uint32_t i = 0; i < c->actor_count; i++) {
        const struct br_kv_actor *actor = &c->actors[c->order[i]];
        struct br_kv_actor_item item = {.actor = actor->id,
                                        .base = actor->base,
                                        .run_count = actor->run_count,
                                        .is_retired = actor->is_retired};
        br_kv_write_actor(w, has_names, &item);
        uint64_t after = actor->base;
        for (uint32_t j = 0; j < actor->run_count; j++) {
            br_kv_write_run(w, after, actor->runs[j]);
            after = actor->runs[j].to;
        }
    }
}

/* Two bytes a run at least: a count that the input cannot hold asks for no memory. */
static int decode_runs(struct br_kv_context *c, struct br_reader *r, struct br_kv_actor *actor, uint32_t count)
{
    if (count > br_reader_left(r) / 2)
        return BRUIT_EFORMAT;
    enum br_kv_refusal refusal = count == 0 ? BR_KV_ACCEPTED : reserve_runs(c, actor, count);
    if (refusal != BR_KV_ACCEPTED)
        return refusal == BR_KV_NO_MEMORY ? BRUIT_ENOMEM : BRUIT_EFULL;
    uint64_t after = actor->base;
    for (uint32_t i = 0; i < count; i++) {
        br_kv_read_run(r, after, &actor->runs[i]);
        if (r->failed)
            return BRUIT_EFORMAT;
        after = actor->runs[i].to;
        actor->run_count++;
        c->run_count++;
    }
    return 0;
}

/* Actors come in ascending order, so that none comes twice. */
static int decode_actor(struct br_kv_context *c, struct br_reader *r, const struct br_kv_context *names)
{
    uint32_t place = c->actor_count;
    if (names != NULL && place == names->actor_count)
        return BRUIT_EFORMAT;
    struct br_kv_actor_item item;
    br_kv_read_actor(r, names == NULL, &item);
    if (r->failed)
        return BRUIT_EFORMAT;
    uint64_t id = names == NULL ? item.actor : names->actors[names->order[place]].id;
    if (place > 0 && id <= c->actors[c->order[place - 1]].id)
        return BRUIT_EFORMAT;
    enum br_kv_refusal refusal = reserve_others(c, 1);
    if (refusal != BR_KV_ACCEPTED)
        return refusal == BR_KV_NO_MEMORY ? BRUIT_ENOMEM : BRUIT_EFULL;
    struct br_kv_actor *actor = &c->actors[add_actor(c, id)];
    actor->base = item.base;
    actor->is_retired = item.is_retired;
    return decode_runs(c, r, actor, item.run_count);
}

int br_kv_context_decode(struct br_kv_context *c, struct bruit_bytes input, const struct br_kv_context *names)
{
    struct br_reader r;
    br_reader_init(&r, input);
    uint8_t version = br_read_u8(&r);
    uint8_t has_names = br_read_u8(&r);
    bool is_bad = r.failed || version != BR_KV_VERSION || has_names > 1 || (has_names == 0 && names == NULL);
    int status = is_bad ? BRUIT_EFORMAT : 0;
    while (status == 0 && br_reader_left(&r) > 0)
        status = decode_actor(c, &r, has_names == 1 ? NULL : names);
    if (status == 0 && has_names == 0 && c->actor_count != names->actor_count)
        status = BRUIT_EFORMAT;
    if (status != 0)
        br_kv_context_fini(c);
    return status;
}
