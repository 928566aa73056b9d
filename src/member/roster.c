/*
 * The roster: see roster.h. Names and records are two arrays with free lists and one hash table over the
 * names; the records of a name hang on a chain, which has one link except while a member changes.
 */
#include "member/roster.h"

#include "base/check.h"
#include "base/rng.h"
#include "base/siphash.h"
#include "codec/heartbeat.h"

/* Grown by half: a table of 65,536 members is reached in some 20 steps. Nothing special about 16. */
#define CAPACITY_MIN 16

/* Of the identity hash, which must agree between machines: a fixed key (digits of pi), not a secret. */
static const uint8_t identity_key[16] = {0x24, 0x3f, 0x6a, 0x88, 0x85, 0xa3, 0x08, 0xd3,
                                         0x13, 0x19, 0x8a, 0x2e, 0x03, 0x70, 0x73, 0x44};

struct name_query {
    const struct br_roster *roster;
    struct bruit_bytes text;
};

static bool is_named(const void *context, uint32_t index)
{
    const struct name_query *query = context;
    const struct br_roster_name *name = &query->roster->names[index];
    return name->text_size == query->text.size && memcmp(name->text, query->text.data, query->text.size) == 0;
}

static uint64_t hash_of(const struct br_roster *roster, struct bruit_bytes text)
{
    return br_siphash13(roster->key, text);
}

void br_roster_init(struct br_roster *roster, struct br_alloc *alloc, uint64_t seed)
{
    *roster = (struct br_roster){.alloc = alloc, .name_count = 1, .record_count = 1};
    br_table_init(&roster->by_name, alloc);
    struct br_rng rng;
    br_rng_init(&rng, seed, "roster");
    br_store_u64(roster->key, br_rng_u64(&rng));
    br_store_u64(roster->key + 8, br_rng_u64(&rng));
}

void br_roster_fini(struct br_roster *roster)
{
    for (uint32_t i = 1; i < roster->record_count; i++)
        if (roster->records[i].fragment != NULL)
            br_alloc_free(roster->alloc, roster->records[i].fragment,
                          br_fragment_total(roster->records[i].fragment));
    for (uint32_t i = 1; i < roster->name_count; i++)
        br_alloc_free(roster->alloc, roster->names[i].text, roster->names[i].text_size);
    br_alloc_free(roster->alloc, roster->records, roster->record_capacity * sizeof *roster->records);
    br_alloc_free(roster->alloc, roster->names, roster->name_capacity * sizeof *roster->names);
    br_table_fini(&roster->by_name);
}

/* ---- names ---- */

uint32_t br_roster_find(const struct br_roster *roster, struct bruit_bytes name)
{
    struct name_query query = {roster, name};
    uint32_t index = br_table_find(&roster->by_name, hash_of(roster, name), is_named, &query);
    return index == BR_TABLE_NONE ? 0 : index;
}

/* One more item of `item_size` in an array that grows by half; 0, or BRUIT_ENOMEM. */
static int grow(struct br_alloc *alloc, void **items, uint32_t *capacity, uint32_t needed, size_t item_size)
{
    if (needed <= *capacity)
        return 0;
    uint32_t wanted = *capacity + *capacity / 2 < CAPACITY_MIN ? CAPACITY_MIN : *capacity + *capacity / 2;
    void *grown = br_alloc_resize(alloc, *items, *capacity * item_size, wanted * item_size);
    if (grown == NULL)
        return BRUIT_ENOMEM;
    *items = grown;
    *capacity = wanted;
    return 0;
}

static uint32_t name_number(struct br_roster *roster)
{
    if (roster->name_free != 0) {
        uint32_t number = roster->name_free;
        roster->name_free = roster->names[number].first;
        return number;
    }
    void *names = roster->names;
    if (grow(roster->alloc, &names, &roster->name_capacity, roster->name_count + 1, sizeof *roster->names) !=
        0)
        return 0;
    roster->names = names;
    return roster->name_count++;
}

static void name_number_free(struct br_roster *roster, uint32_t number)
{
    roster->names[number] = (struct br_roster_name){.first = roster->name_free};
    roster->name_free = number;
}

static uint32_t name_new(struct br_roster *roster, struct bruit_bytes text, uint64_t hash)
{
    if (br_table_reserve(&roster->by_name, 1) != 0)
        return 0;
    uint32_t number = name_number(roster);
    if (number == 0)
        return 0;
    uint8_t *copy = br_alloc_resize(roster->alloc, NULL, 0, text.size);
    if (copy == NULL) {
        name_number_free(roster, number);
        return 0;
    }
    memcpy(copy, text.data, text.size);
    roster->names[number] =
        (struct br_roster_name){.text = copy, .text_size = (uint8_t)text.size, .holders = 1, .id = br_beat_id(text)};
    br_table_insert(&roster->by_name, hash, number);
    return number;
}

uint32_t br_roster_name_intern(struct br_roster *roster, struct bruit_bytes name)
{
    BR_ASSERT(name.size >= 1 && name.size <= BRUIT_NAME_MAX);
    struct name_query query = {roster, name};
    uint64_t hash = hash_of(roster, name);
    uint32_t number = br_table_find(&roster->by_name, hash, is_named, &query);
    if (number == BR_TABLE_NONE)
        return name_new(roster, name, hash);
    roster->names[number].holders++;
    return number;
}

void br_roster_name_hold(struct br_roster *roster, uint32_t name)
{
    BR_ASSERT(name != 0 && roster->names[name].holders > 0);
    roster->names[name].holders++;
}

void br_roster_name_drop(struct br_roster *roster, uint32_t name)
{
    if (name == 0)
        return;
    struct br_roster_name *entry = &roster->names[name];
    BR_ASSERT(entry->holders > 0);
    if (--entry->holders > 0)
        return;
    BR_ASSERT(entry->first == 0);
    br_table_remove(&roster->by_name, hash_of(roster, br_roster_name_text(roster, name)), name);
    br_alloc_free(roster->alloc, entry->text, entry->text_size);
    name_number_free(roster, name);
}

struct bruit_bytes br_roster_name_text(const struct br_roster *roster, uint32_t name)
{
    return br_bytes(roster->names[name].text, roster->names[name].text_size);
}

/* ---- records ---- */

static uint32_t record_number(struct br_roster *roster)
{
    if (roster->record_free != 0) {
        uint32_t number = roster->record_free;
        roster->record_free = roster->records[number].next;
        return number;
    }
    void *records = roster->records;
    if (grow(roster->alloc, &records, &roster->record_capacity, roster->record_count + 1,
             sizeof *roster->records) != 0)
        return 0;
    roster->records = records;
    return roster->record_count++;
}

static void record_number_free(struct br_roster *roster, uint32_t number)
{
    roster->records[number] = (struct br_record){.next = roster->record_free};
    roster->record_free = number;
}

static uint64_t identity_of(const struct br_fragment *fragment)
{
    return br_siphash24(identity_key, br_bytes(fragment->bytes, fragment->size));
}

/* Of an entry in a full table (table.h), and of one in the view's name index. */
#define TABLE_COST (10 + sizeof(uint32_t))

static uint32_t cost_of(const struct br_roster *roster, uint32_t name, size_t fragment_size)
{
    return (uint32_t)(fragment_size + sizeof(struct br_record) + sizeof(struct br_roster_name) + TABLE_COST) +
           roster->names[name].text_size;
}

/* A record of an identity that has none; takes over one hold of `name` on success. */
static uint32_t record_new(struct br_roster *roster, const struct br_alive *identity, uint32_t name)
{
    size_t size = br_fragment_size(identity);
    uint32_t number = size == 0 ? 0 : record_number(roster);
    if (number == 0)
        return 0;
    struct br_fragment *fragment = br_alloc_resize(roster->alloc, NULL, 0, size);
    if (fragment == NULL) {
        record_number_free(roster, number);
        return 0;
    }
    br_fragment_build(fragment, identity);
    roster->records[number] = (struct br_record){.fragment = fragment,
                                                 .identity = identity_of(fragment),
                                                 .holders = 1,
                                                 .name = name,
                                                 .next = roster->names[name].first,
                                                 .cost = cost_of(roster, name, size)};
    roster->names[name].first = number;
    return number;
}

static uint32_t record_find(const struct br_roster *roster, const struct br_alive *identity, uint32_t name)
{
    for (uint32_t r = roster->names[name].first; r != 0; r = roster->records[r].next)
        if (br_fragment_matches_alive(roster->records[r].fragment, identity))
            return r;
    return 0;
}

uint32_t br_roster_intern(struct br_roster *roster, const struct br_alive *identity)
{
    uint32_t name = br_roster_name_intern(roster, identity->node);
    if (name == 0)
        return 0;
    uint32_t record = record_find(roster, identity, name);
    if (record != 0) {
        roster->records[record].holders++;
        br_roster_name_drop(roster, name);
        return record;
    }
    record = record_new(roster, identity, name);
    if (record == 0)
        br_roster_name_drop(roster, name);
    return record;
}

void br_roster_hold(struct br_roster *roster, uint32_t record)
{
    BR_ASSERT(record != 0 && roster->records[record].holders > 0);
    roster->records[record].holders++;
}

static void unchain(struct br_roster *roster, uint32_t record)
{
    uint32_t *link = &roster->names[roster->records[record].name].first;
    while (*link != record)
        link = &roster->records[*link].next;
    *link = roster->records[record].next;
}

void br_roster_drop(struct br_roster *roster, uint32_t record)
{
    if (record == 0)
        return;
    struct br_record *entry = &roster->records[record];
    BR_ASSERT(entry->holders > 0);
    if (--entry->holders > 0)
        return;
    uint32_t name = entry->name;
    unchain(roster, record);
    br_alloc_free(roster->alloc, entry->fragment, br_fragment_total(entry->fragment));
    record_number_free(roster, record);
    br_roster_name_drop(roster, name);
}
