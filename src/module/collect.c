/*
 * Queries of ours that are running: see collect.h.
 */
#include "module/collect.h"

#include "base/siphash.h"
#include "base/time.h"

#include <string.h>

enum { ACKED = 1, RESPONDED = 2, EXPECTED = 4 };

void br_collectors_init(struct br_collectors *cs, struct br_alloc *alloc, const uint8_t key[16])
{
    *cs = (struct br_collectors){.alloc = alloc};
    memcpy(cs->key, key, sizeof cs->key);
}

void br_collectors_fini(struct br_collectors *cs)
{
    for (uint32_t i = 0; i < cs->count; i++)
        br_collector_free(cs, cs->items[i]);
    br_alloc_free(cs->alloc, cs->items, cs->capacity * sizeof cs->items[0]);
    cs->items = NULL;
    cs->count = cs->capacity = 0;
}

/* ---- the table ---- */

static bool reserve_item(struct br_collectors *cs)
{
    if (cs->count < cs->capacity)
        return true;
    uint32_t grown = cs->capacity == 0 ? 4 : 2 * cs->capacity;
    struct br_collector **items =
        br_alloc_resize(cs->alloc, cs->items, cs->capacity * sizeof items[0], grown * sizeof items[0]);
    if (items == NULL)
        return false;
    cs->items = items;
    cs->capacity = grown;
    return true;
}

struct br_collector *br_collectors_add(struct br_collectors *cs)
{
    struct br_collector *c = reserve_item(cs) ? br_alloc_new(cs->alloc, sizeof *c) : NULL;
    if (c == NULL)
        return NULL;
    if (++cs->request_last == 0)
        cs->request_last = 1;
    c->request = cs->request_last;
    c->deadline = BRUIT_NEVER;
    cs->items[cs->count++] = c;
    return c;
}

void br_collectors_remove(struct br_collectors *cs, struct br_collector *c)
{
    for (uint32_t i = 0; i < cs->count; i++)
        if (cs->items[i] == c) {
            memmove(&cs->items[i], &cs->items[i + 1], (cs->count - i - 1) * sizeof cs->items[0]);
            cs->count--;
            return;
        }
}

void br_collector_free(struct br_collectors *cs, struct br_collector *c)
{
    br_alloc_free(cs->alloc, c->parties, c->party_capacity * sizeof c->parties[0]);
    br_buf_drop(cs->alloc, c->question);
    br_alloc_free(cs->alloc, c, sizeof *c);
}

struct br_collector *br_collectors_at(const struct br_collectors *cs, uint64_t ltime)
{
    for (uint32_t i = 0; i < cs->count; i++)
        if (cs->items[i]->ltime == ltime)
            return cs->items[i];
    return NULL;
}

struct br_collector *br_collectors_find(const struct br_collectors *cs, uint32_t request)
{
    for (uint32_t i = 0; i < cs->count; i++)
        if (cs->items[i]->request == request)
            return cs->items[i];
    return NULL;
}

static bruit_time next_of(const struct br_collector *c)
{
    return c->question == NULL ? c->deadline : br_time_min(c->deadline, c->question_at);
}

struct br_collector *br_collectors_due(const struct br_collectors *cs, bruit_time now)
{
    for (uint32_t i = 0; i < cs->count; i++)
        if (next_of(cs->items[i]) <= now)
            return cs->items[i];
    return NULL;
}

bruit_time br_collectors_deadline(const struct br_collectors *cs)
{
    bruit_time next = BRUIT_NEVER;
    for (uint32_t i = 0; i < cs->count; i++)
        next = br_time_min(next, next_of(cs->items[i]));
    return next;
}

/* ---- who answered ---- */

static struct br_party *find_party(const struct br_collector *c, uint64_t name)
{
    for (uint32_t i = 0; i < c->party_count; i++)
        if (c->parties[i].name == name)
            return &c->parties[i];
    return NULL;
}

static struct br_party *add_party(struct br_collectors *cs, struct br_collector *c, uint64_t name)
{
    if (c->party_count == c->party_capacity) {
        uint32_t grown = c->party_capacity == 0 ? 8 : 2 * c->party_capacity;
        struct br_party *parties = br_alloc_resize(
            cs->alloc, c->parties, c->party_capacity * sizeof parties[0], grown * sizeof parties[0]);
        if (parties == NULL)
            return NULL;
        c->parties = parties;
        c->party_capacity = grown;
    }
    c->parties[c->party_count] = (struct br_party){.name = name};
    return &c->parties[c->party_count++];
}

/* What somebody has to do before we stop waiting. */
static uint32_t wanted_of(const struct br_collector *c)
{
    if (c->until == BRUIT_QUERY_UNTIL_ACKED)
        return ACKED;
    return RESPONDED | (c->wants_ack ? (uint32_t)ACKED : 0);
}

static bool is_waited_for(const struct br_collector *c, const struct br_party *party)
{
    return (party->flags & EXPECTED) && (party->flags & wanted_of(c)) != wanted_of(c);
}

int br_collector_expect(struct br_collectors *cs, struct br_collector *c, struct bruit_bytes name)
{
    struct br_party *party = add_party(cs, c, br_siphash13(cs->key, name));
    if (party == NULL)
        return BRUIT_ENOMEM;
    party->flags = EXPECTED;
    c->waiting++;
    return 0;
}

void br_collector_check(struct br_collector *c, bruit_time now)
{
    if (c->until == BRUIT_QUERY_UNTIL_TIMEOUT || c->waiting > 0 || c->deadline <= now)
        return;
    c->deadline = now;
    c->is_early = true;
}

int br_collector_hear(struct br_collectors *cs, struct br_collector *c, struct bruit_bytes from, bool is_ack,
                      bruit_time now)
{
    uint32_t flag = is_ack ? ACKED : RESPONDED;
    uint64_t name = br_siphash13(cs->key, from);
    struct br_party *party = find_party(c, name);
    if (party != NULL && (party->flags & flag))
        return BRUIT_EEXIST;
    if (party == NULL && c->party_count >= c->party_max)
        return BRUIT_EFULL;
    if (party == NULL && (party = add_party(cs, c, name)) == NULL)
        return BRUIT_ENOMEM;
    bool was_waited_for = is_waited_for(c, party);
    party->flags |= flag;
    if (was_waited_for && !is_waited_for(c, party))
        c->waiting--;
    if (is_ack)
        c->acks++;
    else
        c->responses++;
    br_collector_check(c, now);
    return 0;
}

void br_collectors_forget(struct br_collectors *cs, struct bruit_bytes name, bruit_time now)
{
    uint64_t hash = cs->count == 0 ? 0 : br_siphash13(cs->key, name);
    for (uint32_t i = 0; i < cs->count; i++) {
        struct br_party *party = find_party(cs->items[i], hash);
        if (party == NULL || !is_waited_for(cs->items[i], party))
            continue;
        party->flags &= ~(uint32_t)EXPECTED;
        cs->items[i]->waiting--;
        br_collector_check(cs->items[i], now);
    }
}
