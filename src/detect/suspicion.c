/*
 * The running suspicions (suspicion.h).
 */
#include "detect/suspicion.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/num.h"
#include "base/rng.h"
#include "base/siphash.h"
#include "base/time.h"

#include <bruit/error.h>

#define CAPACITY_MIN 8

/* Who expects to be confirmed by how many others: k of the paper. */
static uint32_t expected_confirmations(const struct bruit_config *config, uint32_t members)
{
    uint32_t k = config->suspicion_mult < 2 ? 0 : config->suspicion_mult - 2;
    /* With fewer than k members besides us and the suspect nobody could shorten the timeout: start with the least. */
    return members < (uint64_t)k + 2 ? 0 : k;
}

void br_suspicion_init(struct br_suspicion *s, struct br_core *core)
{
    *s = (struct br_suspicion){.core = core, .used = 1};
    uint32_t mult = core->config.suspicion_mult;
    s->stride = mult < 2 ? 1 : mult - 1; /* the first accuser and k others */
    br_heap_init(&s->deadlines, &core->alloc);
    struct br_rng rng;
    br_rng_init(&rng, core->config.seed, "suspicion");
    br_store_u64(s->key, br_rng_u64(&rng));
    br_store_u64(s->key + 8, br_rng_u64(&rng));
}

void br_suspicion_fini(struct br_suspicion *s)
{
    struct br_alloc *alloc = &s->core->alloc;
    br_alloc_free(alloc, s->entries, s->capacity * sizeof s->entries[0]);
    br_alloc_free(alloc, s->accusers, (size_t)s->capacity * s->stride * sizeof s->accusers[0]);
    br_heap_fini(&s->deadlines);
    s->entries = NULL;
    s->accusers = NULL;
    s->capacity = 0;
}

/* New arrays instead of resized ones: a failure halfway would leave two of different length. */
static int grow(struct br_suspicion *s, uint32_t capacity)
{
    struct br_alloc *alloc = &s->core->alloc;
    struct br_suspicion_entry *entries = br_alloc_array(alloc, capacity, sizeof entries[0]);
    uint64_t *accusers = br_alloc_array(alloc, capacity, s->stride * sizeof accusers[0]);
    if (entries == NULL || accusers == NULL) {
        br_alloc_free(alloc, entries, capacity * sizeof entries[0]);
        br_alloc_free(alloc, accusers, (size_t)capacity * s->stride * sizeof accusers[0]);
        return BRUIT_ENOMEM;
    }
    if (s->capacity != 0) {
        memcpy(entries, s->entries, s->capacity * sizeof entries[0]);
        memcpy(accusers, s->accusers, (size_t)s->capacity * s->stride * sizeof accusers[0]);
    }
    br_alloc_free(alloc, s->entries, s->capacity * sizeof entries[0]);
    br_alloc_free(alloc, s->accusers, (size_t)s->capacity * s->stride * sizeof accusers[0]);
    s->entries = entries;
    s->accusers = accusers;
    s->capacity = capacity;
    return 0;
}

int br_suspicion_reserve(struct br_suspicion *s, uint32_t extra)
{
    uint64_t want = (uint64_t)s->count + extra + 1;
    if (want <= s->capacity)
        return br_heap_reserve(&s->deadlines, s->capacity, s->capacity);
    uint64_t capacity = s->capacity < CAPACITY_MIN ? CAPACITY_MIN : (uint64_t)s->capacity * 2;
    if (capacity < want)
        capacity = want;
    if (capacity > UINT32_MAX || br_heap_reserve(&s->deadlines, (uint32_t)capacity, (uint32_t)capacity) != 0)
        return BRUIT_ENOMEM;
    return grow(s, (uint32_t)capacity);
}

/* ---- start, confirm, end ---- */

static uint32_t take_entry(struct br_suspicion *s)
{
    uint32_t index = s->free;
    if (index != 0)
        s->free = s->entries[index].next_free;
    else
        index = s->used++;
    BR_ASSERT(index < s->capacity);
    s->count++;
    return index;
}

static uint64_t *accusers_of(const struct br_suspicion *s, uint32_t index)
{
    return &s->accusers[(size_t)index * s->stride];
}

void br_suspicion_start(struct br_suspicion *s, uint32_t slot, struct bruit_bytes accuser, bruit_time now)
{
    struct br_view *view = &s->core->view;
    const struct bruit_config *config = &s->core->config;
    br_suspicion_cancel(s, slot);
    uint32_t index = take_entry(s);
    struct br_suspicion_entry *entry = &s->entries[index];
    *entry = (struct br_suspicion_entry){.start = now, .slot = slot};
    entry->k = expected_confirmations(config, view->count);
    /* Who never probes still hears others' suspicions, and must give the suspect the time that they give it. */
    bruit_time interval = config->probe_interval > 0 ? config->probe_interval : BRUIT_SECOND;
    entry->min = br_num_suspicion_timeout(config->suspicion_mult, view->count, interval);
    entry->max = br_time_mul(entry->min, config->suspicion_max_mult);
    accusers_of(s, index)[0] = br_siphash13(s->key, accuser);
    view->suspicion[slot] = index;
    br_heap_push(&s->deadlines, index, br_time_add(now, entry->k == 0 ? entry->min : entry->max));
}

/* Adds the accuser; false when it is no new one. */
static bool add_accuser(struct br_suspicion *s, uint32_t index, struct bruit_bytes accuser)
{
    uint64_t *accusers = accusers_of(s, index);
    uint64_t hash = br_siphash13(s->key, accuser);
    uint32_t count = s->entries[index].confirmations + 1;
    for (uint32_t i = 0; i < count; i++)
        if (accusers[i] == hash)
            return false;
    accusers[count] = hash;
    return true;
}

bool br_suspicion_confirm(struct br_suspicion *s, uint32_t slot, struct bruit_bytes accuser, bruit_time now)
{
    uint32_t index = s->core->view.suspicion[slot];
    if (index == 0)
        return false;
    struct br_suspicion_entry *entry = &s->entries[index];
    if (entry->confirmations >= entry->k || !add_accuser(s, index, accuser))
        return false;
    entry->confirmations++;
    int64_t left = br_num_remaining_suspicion(entry->confirmations, entry->k,
                                              br_time_since(entry->start, now), entry->min, entry->max);
    br_heap_set(&s->deadlines, index, left <= 0 ? now : br_time_add(now, (bruit_time)left));
    return true;
}

/* Takes an entry, which is no longer among the deadlines, out of use. The slot may be another's by now. */
static void free_entry(struct br_suspicion *s, uint32_t index)
{
    uint32_t *number = &s->core->view.suspicion[s->entries[index].slot];
    if (*number == index)
        *number = 0;
    s->entries[index] = (struct br_suspicion_entry){.next_free = s->free};
    s->free = index;
    s->count--;
}

void br_suspicion_cancel(struct br_suspicion *s, uint32_t slot)
{
    uint32_t index = s->core->view.suspicion[slot];
    if (index == 0)
        return;
    br_heap_remove(&s->deadlines, index);
    free_entry(s, index);
}

/* ---- time ---- */

bruit_time br_suspicion_deadline(const struct br_suspicion *s)
{
    return br_heap_min_time(&s->deadlines);
}

bool br_suspicion_pop_due(struct br_suspicion *s, bruit_time now, uint32_t *slot, uint32_t *confirmations)
{
    const struct br_view *view = &s->core->view;
    uint32_t index;
    while (br_heap_pop_due(&s->deadlines, now, &index)) {
        struct br_suspicion_entry entry = s->entries[index];
        bool is_current = view->suspicion[entry.slot] == index;
        free_entry(s, index);
        if (!is_current || !br_view_is_known(view, entry.slot) || view->state[entry.slot] != BRUIT_SUSPECT)
            continue;
        *slot = entry.slot;
        if (confirmations != NULL)
            *confirmations = entry.confirmations;
        return true;
    }
    return false;
}

void br_suspicion_delay(struct br_suspicion *s, bruit_time gap)
{
    br_heap_delay(&s->deadlines, gap);
    for (uint32_t i = 1; i < s->used; i++)
        if (s->entries[i].slot != 0)
            s->entries[i].start = br_time_add(s->entries[i].start, gap);
}
