/*
 * Writing and merging: what goes in, what goes out, and what is remembered as pending.
 *
 * A write of our own, a write of somebody else's, a whole key as somebody else holds it and a key from the disk are one
 * thing: some writes of one key, and perhaps a list of what is gone. A merge is planned without touching the store,
 * then all memory that it needs is taken, then it is carried out and cannot fail.
 *
 * Each write has a fate. SKIP: nothing new. DEAD: its dot is new, but something here was said to replace it. LEARN: a
 * tombstone that has nothing to bury and nothing to wait for; its dot is all there is to it. ADD: it goes in. What a
 * removed sibling had pending, and what a dead write replaces, goes to an heir: a write that is added, else a sibling
 * that stays, else a removed one stays as a tombstone.
 */
#include "module/kv_keep.h"
#include "module/kv_store.h"

#include "base/check.h"

#include <bruit/error.h>

#include <string.h>

enum fate { SKIP, DEAD, LEARN, ADD };

enum origin { FROM_US, FROM_THEM, FROM_DISK };

struct merge {
    struct br_kv_store *s;
    enum origin origin;
    bruit_time now;
    struct bruit_bytes name;
    uint32_t key; /* or BR_KV_NONE */
    const struct br_kv_write *writes;
    uint32_t count;
    const struct br_kv_state *state; /* of a whole key; or NULL */
    bool is_tight;                   /* pending is only what `state->joining` does not cover either */

    /* The plan. */
    enum fate fates[BR_KV_SIBLINGS_MAX];
    bool is_held[BR_KV_SIBLINGS_MAX]; /* its very dot is here: it can only tell more of what it replaced */
    uint64_t leaving; /* bit i: the sibling at place i of the key's list goes */
    uint32_t places;  /* siblings of the key */
    uint32_t removed; /* of those leaving: live ones */
    uint32_t add_count;
    uint32_t heir_write;   /* which inherits what is pending; or BR_KV_NONE */
    uint32_t heir_sibling; /* slot; or BR_KV_NONE */
    bool has_more;         /* something is inherited from a write that was here */
    bool heir_is_leaving;  /* it stays as a tombstone */
    struct br_kv_past past[BR_KV_PAST_MAX]; /* what is inherited */
    uint32_t past_count;

    /* The memory. */
    uint8_t *new_name;
    uint8_t *data[BR_KV_SIBLINGS_MAX];
    struct br_kv_pending *pending[BR_KV_SIBLINGS_MAX];
    struct br_kv_pending *heir_pending;
};

static enum br_kv_refusal plan(struct merge *m);
static enum br_kv_refusal reserve(struct merge *m);
static void give_back(struct merge *m);
static void carry_out(struct merge *m, struct br_kv_merged *merged);

static int status_of(enum br_kv_refusal refusal)
{
    switch (refusal) {
    case BR_KV_ACCEPTED: return 0;
    case BR_KV_NO_MEMORY: return BRUIT_ENOMEM;
    case BR_KV_NOT_MINE:
    case BR_KV_MALFORMED: return BRUIT_EINVAL;
    default: return BRUIT_EFULL;
    }
}

static enum br_kv_refusal prepare(struct merge *m)
{
    enum br_kv_refusal refusal = plan(m);
    if (refusal != BR_KV_ACCEPTED)
        return refusal;
    refusal = reserve(m);
    if (refusal != BR_KV_ACCEPTED)
        give_back(m);
    return refusal;
}

/* Once more from the beginning, with as little pending as will do. */
static enum br_kv_refusal prepare_tightly(struct merge *m)
{
    *m = (struct merge){.s = m->s,
                        .origin = m->origin,
                        .now = m->now,
                        .name = m->name,
                        .key = m->key,
                        .writes = m->writes,
                        .count = m->count,
                        .state = m->state,
                        .is_tight = true};
    return prepare(m);
}

static int apply(struct merge *m, struct br_kv_merged *merged)
{
    *merged = (struct br_kv_merged){.key = BR_KV_NONE};
    m->key = br_kv_store_find(m->s, m->name);
    enum br_kv_refusal refusal = prepare(m);
    if (refusal == BR_KV_PAST_FULL && m->state != NULL && m->state->joining != NULL)
        refusal = prepare_tightly(m);
    if (refusal == BR_KV_ACCEPTED)
        carry_out(m, merged);
    else
        m->s->stats.refused[refusal]++;
    merged->refusal = refusal;
    return status_of(refusal);
}

/* ---- the plan ------------------------------------------------------------------------------------------ */

static bool is_sane(const struct br_kv_write *write)
{
    bool is_owned = write->life == BR_KV_OWNED;
    return write->value.size <= BR_KV_VALUE_MAX && write->past_count <= BR_KV_PAST_MAX &&
           write->owner.size <= BRUIT_NAME_MAX && is_owned == (write->owner.size > 0) && write->dot.actor != 0 &&
           write->dot.counter != 0 && write->dot.counter <= BR_KV_COUNTER_MAX &&
           (!write->is_delete || (write->life == BR_KV_FOREVER && write->value.size == 0));
}

static bool names(const struct br_kv_past *past, struct br_kv_dot dot)
{
    if (past->dot.actor != dot.actor)
        return false;
    return past->is_prefix ? dot.counter <= past->dot.counter : dot.counter == past->dot.counter;
}

static bool any_names(const struct br_kv_past *past, uint32_t count, struct br_kv_dot dot)
{
    for (uint32_t i = 0; i < count; i++)
        if (names(&past[i], dot))
            return true;
    return false;
}

static uint32_t first_sibling(const struct merge *m)
{
    return m->key == BR_KV_NONE ? BR_KV_NONE : br_kv_store_first(m->s, m->key);
}

/* Was it said of this dot that it is replaced, by what we hold or by another write of the same merge? */
static bool is_dead(const struct merge *m, uint32_t index)
{
    struct br_kv_dot dot = m->writes[index].dot;
    for (uint32_t at = first_sibling(m); at != BR_KV_NONE; at = br_kv_store_next(m->s, at)) {
        const struct br_kv_pending *pending = br_kv_store_sibling(m->s, at)->pending;
        if (pending != NULL && any_names(pending->past, pending->count, dot))
            return true;
    }
    for (uint32_t i = 0; i < m->count; i++)
        if (i != index && any_names(m->writes[i].past, m->writes[i].past_count, dot))
            return true;
    return false;
}

/* The place of a dot in the key's list, and its slot; or BR_KV_NONE. */
static uint32_t find_place(const struct merge *m, struct br_kv_dot dot, uint32_t *slot)
{
    uint32_t place = 0;
    for (*slot = first_sibling(m); *slot != BR_KV_NONE; *slot = br_kv_store_next(m->s, *slot), place++)
        if (br_kv_dot_equal(br_kv_store_dot(m->s, *slot), dot))
            return place;
    return BR_KV_NONE;
}

/*
 * A live sibling that is a tombstone elsewhere was replaced there, and kept for what is pending with it: it is no more.
 * Two live writes of one dot: somebody runs a copy of our or of another's disk. The later stamp stays, everywhere.
 */
static enum fate fate_of_held(struct merge *m, const struct br_kv_write *write, uint32_t place, uint32_t slot)
{
    const struct br_kv_sibling *held = br_kv_store_sibling(m->s, slot);
    if (m->origin != FROM_THEM || held->is_delete)
        return SKIP;
    if (!write->is_delete) {
        if (held->hlc == write->hlc)
            return SKIP;
        m->s->stats.clashes++;
        m->s->is_impersonated = m->s->is_impersonated || write->dot.actor == m->s->actor;
        if (write->hlc < held->hlc)
            return SKIP;
    }
    m->leaving |= UINT64_C(1) << place;
    return ADD;
}

static bool is_repeated(const struct merge *m, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++)
        if (br_kv_dot_equal(m->writes[i].dot, m->writes[index].dot))
            return true;
    return false;
}

/*
 * A write of ours that we have not made: our actor is in use elsewhere, or somebody makes it up. One that we have made
 * may well be news, when we crashed after the key was written to the disk without it, and before the context was.
 */
static bool is_forged(struct br_kv_store *s, struct br_kv_dot dot)
{
    if (dot.actor != s->actor || dot.counter <= s->counter)
        return false;
    s->is_impersonated = true;
    return true;
}

static enum br_kv_refusal plan_write(struct merge *m, uint32_t index)
{
    const struct br_kv_write *write = &m->writes[index];
    uint32_t slot, place = find_place(m, write->dot, &slot);
    m->fates[index] = SKIP;
    if (!is_sane(write))
        return BR_KV_MALFORMED;
    if (is_repeated(m, index))
        return BR_KV_ACCEPTED;
    if (place != BR_KV_NONE) {
        m->fates[index] = fate_of_held(m, write, place, slot);
        m->is_held[index] = m->origin == FROM_THEM && m->fates[index] == SKIP;
    } else if (m->origin != FROM_THEM) {
        m->fates[index] = ADD;
    } else if (!br_kv_context_covers(&m->s->context, write->dot)) {
        if (is_forged(m->s, write->dot))
            return BR_KV_NOT_MINE;
        for (uint32_t i = 0; i < write->past_count; i++)
            if (is_forged(m->s, write->past[i].dot))
                return BR_KV_NOT_MINE;
        m->fates[index] = is_dead(m, index) ? DEAD : ADD;
    }
    return BR_KV_ACCEPTED;
}

/* Does a write of this merge replace it, or do they not have it any more? */
static bool is_leaving(const struct merge *m, struct br_kv_dot dot)
{
    for (uint32_t i = 0; i < m->count; i++)
        if ((m->fates[i] != SKIP || m->is_held[i]) && any_names(m->writes[i].past, m->writes[i].past_count, dot))
            return true;
    if (m->state == NULL)
        return false;
    for (uint32_t i = 0; i < m->count; i++)
        if (br_kv_dot_equal(m->writes[i].dot, dot))
            return false;
    for (uint32_t i = 0; i < m->state->gone_count; i++)
        if (br_kv_dot_equal(m->state->gone[i], dot))
            return true;
    return m->state->context != NULL && br_kv_context_covers(m->state->context, dot);
}

static void plan_leaving(struct merge *m)
{
    for (uint32_t at = first_sibling(m); at != BR_KV_NONE; at = br_kv_store_next(m->s, at), m->places++) {
        uint64_t bit = UINT64_C(1) << m->places;
        if (is_leaving(m, br_kv_store_dot(m->s, at)))
            m->leaving |= bit;
        if ((m->leaving & bit) != 0 && !br_kv_store_sibling(m->s, at)->is_delete)
            m->removed++;
    }
}

/* Need we not wait for it any more? */
static bool is_settled(const struct merge *m, const struct br_kv_past *past)
{
    if (br_kv_keep_is_settled(m->s, past))
        return true;
    if (!m->is_tight)
        return false;
    return past->is_prefix ? br_kv_context_covers_all(m->state->joining, past->dot)
                           : br_kv_context_covers(m->state->joining, past->dot);
}

/* Adds what the context does not cover to a list. False: more than may be pending. */
static bool add_pending(const struct merge *m, struct br_kv_past *list, uint32_t *count,
                        const struct br_kv_past *past, uint32_t past_count)
{
    for (uint32_t i = 0; i < past_count; i++) {
        bool is_listed = false;
        for (uint32_t j = 0; j < *count && !is_listed; j++)
            is_listed = br_kv_dot_equal(list[j].dot, past[i].dot) && list[j].is_prefix >= past[i].is_prefix;
        if (is_listed || is_settled(m, &past[i]))
            continue;
        if (*count == BR_KV_PAST_MAX)
            return false;
        list[(*count)++] = past[i];
    }
    return true;
}

static bool is_pending(const struct merge *m, const struct br_kv_past *past)
{
    for (uint32_t at = first_sibling(m); at != BR_KV_NONE; at = br_kv_store_next(m->s, at)) {
        const struct br_kv_pending *pending = br_kv_store_sibling(m->s, at)->pending;
        for (uint32_t i = 0; pending != NULL && i < pending->count; i++)
            if (br_kv_dot_equal(pending->past[i].dot, past->dot) && pending->past[i].is_prefix >= past->is_prefix)
                return true;
    }
    return false;
}

/*
 * A write that is here, told once more by somebody who knows what it replaced: it may have come by a comparison, which
 * tells values alone, and that did not come to its end.
 */
static bool plan_learning_more(struct merge *m, const struct br_kv_write *write)
{
    bool fits = true;
    for (uint32_t i = 0; i < write->past_count; i++)
        if (!is_pending(m, &write->past[i]))
            fits = fits && add_pending(m, m->past, &m->past_count, &write->past[i], 1);
    return fits;
}

static bool plan_inheritance(struct merge *m)
{
    bool fits = true;
    uint32_t place = 0;
    for (uint32_t at = first_sibling(m); at != BR_KV_NONE; at = br_kv_store_next(m->s, at), place++) {
        const struct br_kv_pending *pending = br_kv_store_sibling(m->s, at)->pending;
        if (pending != NULL && (m->leaving >> place & 1) != 0)
            fits = fits && add_pending(m, m->past, &m->past_count, pending->past, pending->count);
    }
    uint32_t before = m->past_count;
    for (uint32_t i = 0; i < m->count; i++)
        if (m->is_held[i])
            fits = fits && plan_learning_more(m, &m->writes[i]);
    m->has_more = m->past_count > before;
    for (uint32_t i = 0; i < m->count; i++)
        if (m->fates[i] == DEAD)
            fits = fits && add_pending(m, m->past, &m->past_count, m->writes[i].past, m->writes[i].past_count);
    return fits;
}

/* A tombstone that took nothing away here and waits for nothing is not worth a slot. */
static void plan_learning(struct merge *m)
{
    for (uint32_t i = 0; i < m->count; i++) {
        const struct br_kv_write *write = &m->writes[i];
        if (m->fates[i] != ADD || !write->is_delete || m->past_count > 0)
            continue;
        bool is_waiting = false;
        for (uint32_t j = 0; j < write->past_count && !is_waiting; j++)
            is_waiting = !br_kv_keep_is_settled(m->s, &write->past[j]);
        if (!is_waiting && (m->removed == 0 || m->s->limits.tombstone_ns == 0))
            m->fates[i] = LEARN;
    }
}

static void plan_heir(struct merge *m)
{
    m->heir_write = m->heir_sibling = BR_KV_NONE;
    if (m->past_count == 0)
        return;
    for (uint32_t i = 0; i < m->count && m->heir_write == BR_KV_NONE; i++)
        if (m->fates[i] == ADD)
            m->heir_write = i;
    if (m->heir_write != BR_KV_NONE)
        return;
    uint32_t place = 0;
    for (uint32_t at = first_sibling(m); at != BR_KV_NONE; at = br_kv_store_next(m->s, at), place++) {
        bool is_staying = (m->leaving >> place & 1) == 0;
        if (m->heir_sibling == BR_KV_NONE || is_staying) {
            m->heir_sibling = at;
            m->heir_is_leaving = !is_staying;
        }
        if (is_staying)
            break;
    }
}

/* When a key has too many siblings, tombstones that wait for nothing go first. */
static enum br_kv_refusal plan_room(struct merge *m)
{
    for (uint32_t i = 0; i < m->count; i++)
        m->add_count += m->fates[i] == ADD;
    uint32_t count = m->add_count + m->places - (uint32_t)__builtin_popcountll(m->leaving);
    uint32_t place = 0;
    for (uint32_t at = first_sibling(m); at != BR_KV_NONE; at = br_kv_store_next(m->s, at), place++) {
        const struct br_kv_sibling *sibling = br_kv_store_sibling(m->s, at);
        uint64_t bit = UINT64_C(1) << place;
        if (count > m->s->limits.siblings_max && sibling->is_delete && sibling->pending == NULL &&
            (m->leaving & bit) == 0 && at != m->heir_sibling) {
            m->leaving |= bit;
            count--;
        }
    }
    return m->add_count > 0 && count > m->s->limits.siblings_max ? BR_KV_SIBLINGS_FULL : BR_KV_ACCEPTED;
}

static enum br_kv_refusal plan_bytes(struct merge *m)
{
    const struct br_kv_store *s = m->s;
    uint64_t more = 0, less = 0;
    if (m->key == BR_KV_NONE && m->add_count > 0)
        more = m->name.size;
    if (m->places == 0 && m->add_count > 0 &&
        br_kv_slots_count(&s->keys) - s->empty_keys >= s->limits.keys_max)
        return BR_KV_KEYS_FULL;
    for (uint32_t i = 0; i < m->count; i++)
        if (m->fates[i] == ADD)
            more += m->writes[i].value.size + m->writes[i].owner.size;
    uint32_t place = 0;
    for (uint32_t at = first_sibling(m); at != BR_KV_NONE; at = br_kv_store_next(s, at), place++) {
        const struct br_kv_sibling *sibling = br_kv_store_sibling(s, at);
        if ((m->leaving >> place & 1) != 0)
            less += sibling->value_size + sibling->owner_size;
    }
    return more > less && s->bytes + (more - less) > s->limits.bytes_max ? BR_KV_BYTES_FULL : BR_KV_ACCEPTED;
}

static enum br_kv_refusal plan(struct merge *m)
{
    if (m->name.size == 0 || m->name.size > BR_KV_KEY_MAX || m->count > BR_KV_SIBLINGS_MAX)
        return BR_KV_MALFORMED;
    for (uint32_t i = 0; i < m->count; i++) {
        enum br_kv_refusal refusal = plan_write(m, i);
        if (refusal != BR_KV_ACCEPTED)
            return refusal;
    }
    plan_leaving(m);
    if (!plan_inheritance(m))
        return BR_KV_PAST_FULL;
    plan_learning(m);
    plan_heir(m);
    enum br_kv_refusal refusal = plan_room(m);
    return refusal != BR_KV_ACCEPTED ? refusal : plan_bytes(m);
}

/* ---- the memory ---------------------------------------------------------------------------------------- */

/* A list of `past` and `more` without what is covered. */
static enum br_kv_refusal make_pending(struct merge *m, const struct br_kv_past *past, uint32_t count,
                                       bool inherits, struct br_kv_pending **pending)
{
    struct br_kv_past list[BR_KV_PAST_MAX];
    uint32_t listed = 0;
    if (!add_pending(m, list, &listed, past, count) ||
        (inherits && !add_pending(m, list, &listed, m->past, m->past_count)))
        return BR_KV_PAST_FULL;
    if (listed == 0)
        return BR_KV_ACCEPTED;
    *pending = br_alloc_resize(m->s->alloc, NULL, 0, br_kv_keep_pending_size(listed));
    if (*pending == NULL)
        return BR_KV_NO_MEMORY;
    (*pending)->count = listed;
    memcpy((*pending)->past, list, listed * sizeof *list);
    return BR_KV_ACCEPTED;
}

static enum br_kv_refusal make_write(struct merge *m, uint32_t index)
{
    const struct br_kv_write *write = &m->writes[index];
    size_t size = write->value.size + write->owner.size;
    if (size > 0) {
        m->data[index] = br_alloc_resize(m->s->alloc, NULL, 0, size);
        if (m->data[index] == NULL)
            return BR_KV_NO_MEMORY;
        if (write->value.size > 0)
            memcpy(m->data[index], write->value.data, write->value.size);
        if (write->owner.size > 0)
            memcpy(m->data[index] + write->value.size, write->owner.data, write->owner.size);
    }
    bool inherits = index == m->heir_write;
    if (write->past_count == 0 && !inherits)
        return BR_KV_ACCEPTED;
    return make_pending(m, write->past, write->past_count, inherits, &m->pending[index]);
}

static enum br_kv_refusal make_name(struct merge *m)
{
    struct br_kv_store *s = m->s;
    if (br_kv_slots_reserve(&s->keys, 1) != 0 || br_table_reserve(&s->by_name, 1) != 0 ||
        br_kv_tree_reserve(&s->tree, &s->keys, br_kv_slots_count(&s->keys) + 1) != 0)
        return BR_KV_NO_MEMORY;
    m->new_name = br_alloc_resize(s->alloc, NULL, 0, m->name.size);
    if (m->new_name == NULL)
        return BR_KV_NO_MEMORY;
    memcpy(m->new_name, m->name.data, m->name.size);
    return BR_KV_ACCEPTED;
}

/* Slots for the siblings, and places in the heaps for those that need one. */
static enum br_kv_refusal reserve_siblings(struct merge *m)
{
    struct br_kv_store *s = m->s;
    uint32_t alarms = 0, graves = m->heir_is_leaving;
    for (uint32_t i = 0; i < m->count; i++) {
        alarms += m->fates[i] == ADD && m->writes[i].life == BR_KV_EXPIRES;
        graves += m->fates[i] == ADD && m->writes[i].is_delete;
    }
    if (m->add_count > 0 && br_kv_slots_reserve(&s->siblings, m->add_count) != 0)
        return BR_KV_NO_MEMORY;
    uint32_t slots = br_kv_slots_end(&s->siblings);
    if (alarms > 0 && br_heap_reserve(&s->alarms, s->alarms.count + alarms, slots) != 0)
        return BR_KV_NO_MEMORY;
    if (graves > 0 && br_heap_reserve(&s->graves, s->graves.count + graves, slots) != 0)
        return BR_KV_NO_MEMORY;
    return BR_KV_ACCEPTED;
}

static enum br_kv_refusal reserve_change(struct merge *m)
{
    struct br_ring *changes = &m->s->changes;
    if (m->origin == FROM_DISK || br_ring_is_full(changes))
        return BR_KV_ACCEPTED;
    return br_ring_reserve(changes, 1) == 0 ? BR_KV_ACCEPTED : BR_KV_NO_MEMORY;
}

static enum br_kv_refusal reserve_dots(struct merge *m)
{
    struct br_kv_dot dots[BR_KV_SIBLINGS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < m->count; i++)
        if (m->fates[i] != SKIP)
            dots[count++] = m->writes[i].dot;
    return br_kv_context_reserve(&m->s->context, dots, count);
}

/* The context comes last: it makes actors known, and nothing after it may fail. */
static enum br_kv_refusal reserve(struct merge *m)
{
    enum br_kv_refusal refusal = reserve_siblings(m);
    if (refusal == BR_KV_ACCEPTED && m->key == BR_KV_NONE && m->add_count > 0)
        refusal = make_name(m);
    for (uint32_t i = 0; i < m->count && refusal == BR_KV_ACCEPTED; i++)
        if (m->fates[i] == ADD)
            refusal = make_write(m, i);
    if (refusal == BR_KV_ACCEPTED && m->heir_sibling != BR_KV_NONE) {
        const struct br_kv_pending *old = br_kv_store_sibling(m->s, m->heir_sibling)->pending;
        refusal = make_pending(m, old == NULL ? NULL : old->past, old == NULL ? 0 : old->count, true,
                               &m->heir_pending);
    }
    if (refusal == BR_KV_ACCEPTED)
        refusal = reserve_change(m);
    return refusal != BR_KV_ACCEPTED ? refusal : reserve_dots(m);
}

static void free_pending(struct merge *m, struct br_kv_pending *pending)
{
    if (pending != NULL)
        br_alloc_free(m->s->alloc, pending, br_kv_keep_pending_size(pending->count));
}

static void give_back(struct merge *m)
{
    br_alloc_free(m->s->alloc, m->new_name, m->name.size);
    for (uint32_t i = 0; i < m->count; i++) {
        br_alloc_free(m->s->alloc, m->data[i], m->writes[i].value.size + m->writes[i].owner.size);
        free_pending(m, m->pending[i]);
    }
    free_pending(m, m->heir_pending);
}

/* ---- carrying out -------------------------------------------------------------------------------------- */

static void remove_leaving(struct merge *m)
{
    uint32_t place = 0;
    for (uint32_t at = first_sibling(m), next; at != BR_KV_NONE; at = next, place++) {
        next = br_kv_store_next(m->s, at);
        if ((m->leaving >> place & 1) == 0)
            continue;
        if (at == m->heir_sibling)
            br_kv_keep_bury(m->s, at, m->now);
        else
            br_kv_keep_remove(m->s, at);
    }
    if (m->heir_sibling != BR_KV_NONE)
        br_kv_keep_pending(m->s, m->heir_sibling, m->heir_pending);
}

/* Its dot is covered from now on, and it is added when it is to be. */
static void learn(struct merge *m, uint32_t index, struct br_kv_merged *merged)
{
    struct br_kv_store *s = m->s;
    const struct br_kv_write *write = &m->writes[index];
    if (m->fates[index] == SKIP)
        return;
    uint32_t actor = br_kv_context_add(&s->context, write->dot, m->now);
    merged->is_news = true;
    merged->has_gap = merged->has_gap || s->context.actors[actor].base < write->dot.counter;
    if (write->dot.actor == s->actor && write->dot.counter > s->counter)
        s->counter = write->dot.counter;
    if (m->fates[index] != ADD)
        return;
    (void)br_kv_keep_add(s, m->key, write, actor, m->data[index], m->pending[index], m->now);
    merged->added += !write->is_delete;
}

static void count_fates(struct merge *m)
{
    for (uint32_t i = 0; i < m->count && m->origin == FROM_THEM; i++) {
        m->s->stats.known += m->fates[i] == SKIP;
        m->s->stats.dead += m->fates[i] == DEAD;
        m->s->stats.merged += m->fates[i] >= LEARN;
    }
}

static void note_change(struct merge *m, const struct br_kv_merged *merged)
{
    struct br_kv_dot dot = {0};
    for (uint32_t i = m->count; i-- > 0;)
        if (m->fates[i] != SKIP)
            dot = m->writes[i].dot;
    if (m->origin != FROM_DISK && (merged->added > 0 || merged->removed > 0))
        br_kv_keep_change(m->s, m->key, merged->added > 0 ? BR_KV_CHANGE_WRITE : BR_KV_CHANGE_REMOVE, dot);
}

/* The key is held meanwhile: noting a change forgets an older one, perhaps the last that it had. */
static void carry_out(struct merge *m, struct br_kv_merged *merged)
{
    struct br_kv_store *s = m->s;
    count_fates(m);
    if (m->new_name != NULL)
        m->key = br_kv_keep_key(s, m->new_name, (uint16_t)m->name.size);
    if (m->key == BR_KV_NONE) {
        for (uint32_t i = 0; i < m->count; i++)
            learn(m, i, merged);
        return;
    }
    br_kv_key_at(&s->keys, m->key)->change_count++;
    remove_leaving(m);
    merged->removed = m->removed;
    merged->is_news = m->removed > 0 && m->state != NULL;
    merged->is_more = m->removed > 0 || m->has_more;
    for (uint32_t i = 0; i < m->count; i++)
        learn(m, i, merged);
    note_change(m, merged);
    br_kv_key_at(&s->keys, m->key)->change_count--;
    merged->is_conflict = br_kv_key_at(&s->keys, m->key)->live_count > 1;
    merged->key = br_kv_keep_release(s, m->key) ? BR_KV_NONE : m->key;
}

/* ---- the doors ----------------------------------------------------------------------------------------- */

int br_kv_store_merge(struct br_kv_store *s, const struct br_kv_write *write, bruit_time now,
                      struct br_kv_merged *merged)
{
    struct merge m = {.s = s, .origin = FROM_THEM, .now = now, .name = write->key, .writes = write, .count = 1};
    return apply(&m, merged);
}

int br_kv_store_merge_key(struct br_kv_store *s, const struct br_kv_state *state, bruit_time now,
                          struct br_kv_merged *merged)
{
    struct merge m = {.s = s,
                      .origin = FROM_THEM,
                      .now = now,
                      .name = state->key,
                      .writes = state->writes,
                      .count = state->write_count,
                      .state = state};
    return apply(&m, merged);
}

int br_kv_store_load(struct br_kv_store *s, struct bruit_bytes key, const struct br_kv_write *writes, uint32_t count,
                     bruit_time now)
{
    struct br_kv_merged merged;
    struct merge m = {
        .s = s, .origin = FROM_DISK, .now = now, .name = key, .writes = writes, .count = count};
    return apply(&m, &merged);
}

/* ---- writing ------------------------------------------------------------------------------------------- */

static bool is_replaced(const struct br_kv_put *put, struct br_kv_dot dot)
{
    if (put->replaces_all)
        return true;
    for (uint32_t i = 0; i < put->replaces_count; i++)
        if (br_kv_dot_equal(put->replaces[i], dot))
            return true;
    return false;
}

/*
 * May we say "all of that actor's up to this one"? When we have seen them all, and nothing that we hold of the key is
 * left standing: then whatever replaced one of them came before this write, too.
 */
static bool is_whole(const struct br_kv_store *s, uint32_t key, const struct br_kv_put *put)
{
    uint32_t at = key == BR_KV_NONE ? BR_KV_NONE : br_kv_store_first(s, key);
    while (at != BR_KV_NONE && is_replaced(put, br_kv_store_dot(s, at)))
        at = br_kv_store_next(s, at);
    return at == BR_KV_NONE;
}

/* One entry for each dot; a longer prefix takes in what is below it. False: too many. */
static bool add_past(struct br_kv_write *write, struct br_kv_past *list, struct br_kv_past past)
{
    for (uint32_t i = 0; i < write->past_count; i++) {
        if (names(&list[i], past.dot) && list[i].is_prefix >= past.is_prefix)
            return true;
        if (past.is_prefix && names(&past, list[i].dot)) {
            list[i] = past;
            return true;
        }
    }
    if (write->past_count == BR_KV_PAST_MAX)
        return false;
    list[write->past_count++] = past;
    return true;
}

/* What the write replaces, and what that had pending. */
static bool describe(const struct br_kv_store *s, uint32_t key, const struct br_kv_put *put,
                     struct br_kv_write *write, struct br_kv_past *list)
{
    bool fits = true;
    bool whole = is_whole(s, key, put);
    for (uint32_t i = 0; i < put->replaces_count && !put->replaces_all; i++) {
        struct br_kv_dot dot = put->replaces[i];
        if (dot.actor == s->actor && dot.counter > s->counter)
            continue; /* seen before a crash that took it away: the dot will be another write's */
        bool is_prefix = whole && br_kv_context_covers_all(&s->context, dot);
        fits = fits && add_past(write, list, (struct br_kv_past){dot, is_prefix});
    }
    uint32_t at = key == BR_KV_NONE ? BR_KV_NONE : br_kv_store_first(s, key);
    for (; at != BR_KV_NONE; at = br_kv_store_next(s, at)) {
        struct br_kv_dot dot = br_kv_store_dot(s, at);
        if (!is_replaced(put, dot))
            continue;
        bool is_prefix = whole && br_kv_context_covers_all(&s->context, dot);
        fits = fits && add_past(write, list, (struct br_kv_past){dot, is_prefix});
        const struct br_kv_pending *pending = br_kv_store_sibling(s, at)->pending;
        for (uint32_t i = 0; pending != NULL && i < pending->count; i++)
            if (!br_kv_keep_is_settled(s, &pending->past[i]))
                fits = fits && add_past(write, list, pending->past[i]);
    }
    return fits;
}

static int check_put(const struct br_kv_put *put)
{
    if (put->value.size > BR_KV_VALUE_MAX)
        return BRUIT_ETOOBIG;
    bool is_owned = put->life == BR_KV_OWNED;
    bool is_timed = put->life == BR_KV_EXPIRES;
    bool is_good = put->key.size > 0 && put->key.size <= BR_KV_KEY_MAX && is_owned == (put->owner.size > 0) &&
                   put->owner.size <= BRUIT_NAME_MAX && is_timed == (put->ttl_ms > 0) &&
                   (!put->is_delete || (put->life == BR_KV_FOREVER && put->value.size == 0));
    return is_good ? 0 : BRUIT_EINVAL;
}

int br_kv_store_put(struct br_kv_store *s, const struct br_kv_put *put, bruit_time now, struct br_kv_write *write,
                    struct br_kv_past *past, struct br_kv_merged *merged)
{
    *merged = (struct br_kv_merged){.key = BR_KV_NONE};
    int status = check_put(put);
    if (status != 0)
        return status;
    uint32_t key = br_kv_store_find(s, put->key);
    bool has_live = key != BR_KV_NONE && br_kv_store_key(s, key)->live_count > 0;
    if (put->is_delete && !(put->replaces_all ? has_live : put->replaces_count > 0))
        return BRUIT_ENOENT;
    *write = (struct br_kv_write){.key = put->key,
                                  .dot = {s->actor, s->counter + 1},
                                  .hlc = put->hlc,
                                  .is_delete = put->is_delete,
                                  .life = put->life,
                                  .ttl_ms = put->ttl_ms,
                                  .owner = put->owner,
                                  .value = put->value,
                                  .past = past};
    if (!describe(s, key, put, write, past)) {
        merged->refusal = BR_KV_PAST_FULL;
        return BRUIT_EFULL;
    }
    struct merge m = {.s = s, .origin = FROM_US, .now = now, .name = put->key, .writes = write, .count = 1};
    return apply(&m, merged);
}
