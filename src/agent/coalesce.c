/* Gathering member events; see coalesce.h. */
#include "agent/coalesce.h"

#include "base/bytes.h"
#include "base/siphash.h"
#include "base/time.h"

#include <stdlib.h>
#include <string.h>

/* An event that waits to be told. Most of the time nothing does, so it is a piece of memory of its own. */
struct waiting {
    uint8_t change;                    /* enum bruit_status_change */
    struct bruit_status_member member; /* its name is the entry's, its metadata the bytes below */
    uint8_t meta[];
};

/* What was last told of a member, and what waits. */
struct br_coalesce_entry {
    struct waiting *waiting; /* or NULL */
    uint32_t index;
    uint8_t told; /* enum bruit_status_change, 0: nothing yet */
    uint8_t name_size;
    uint8_t name[];
};

struct wanted {
    const struct br_coalescer *c;
    struct bruit_bytes name;
};

static struct br_coalesce_entry *find_or_add(struct br_coalescer *c, struct bruit_bytes name);
static void forget(struct br_coalescer *c, struct br_coalesce_entry *entry);
static void tell_kind(struct br_coalescer *c, enum bruit_status_change change,
                      struct bruit_status_member *members);

void br_coalescer_init(struct br_coalescer *c, uint64_t seed, br_coalesce_fn tell, void *context)
{
    memset(c, 0, sizeof *c);
    c->tell = tell;
    c->context = context;
    br_alloc_init(&c->alloc, NULL, 0);
    br_table_init(&c->table, &c->alloc);
    br_store_u64(c->hash_key, seed);
    br_store_u64(c->hash_key + 8, seed ^ UINT64_MAX);
}

void br_coalescer_fini(struct br_coalescer *c)
{
    for (uint32_t i = 0; i < c->count; i++) {
        free(c->entries[i]->waiting);
        free(c->entries[i]);
    }
    free(c->entries);
    br_table_fini(&c->table);
    c->entries = NULL;
    c->count = 0;
}

int br_coalescer_add(struct br_coalescer *c, enum bruit_status_change change,
                     const struct bruit_status_member *member, bruit_time now)
{
    struct br_coalesce_entry *entry = find_or_add(c, member->name);
    struct waiting *waiting = entry == NULL ? NULL : malloc(sizeof *waiting + member->meta.size);
    if (waiting == NULL)
        return BRUIT_ENOMEM;
    waiting->change = (uint8_t)change;
    waiting->member = *member;
    waiting->member.meta = br_bytes(waiting->meta, member->meta.size);
    waiting->member.name = br_bytes(entry->name, entry->name_size);
    if (member->meta.size > 0)
        memcpy(waiting->meta, member->meta.data, member->meta.size);
    if (c->pending == 0)
        c->deadline_period = br_time_add(now, BR_COALESCE_PERIOD);
    c->deadline_quiet = br_time_add(now, BR_COALESCE_QUIET);
    c->pending += entry->waiting == NULL;
    free(entry->waiting);
    entry->waiting = waiting;
    return 0;
}

bruit_time br_coalescer_deadline(const struct br_coalescer *c)
{
    return c->pending == 0 ? BRUIT_NEVER : br_time_min(c->deadline_quiet, c->deadline_period);
}

void br_coalescer_flush(struct br_coalescer *c)
{
    if (c->pending == 0)
        return;
    struct bruit_status_member *members = malloc(c->pending * sizeof *members);
    if (members == NULL)
        return; /* the events wait; the next one sets a new deadline */
    c->pending = 0;
    tell_kind(c, BRUIT_MEMBER_JOIN, members);
    tell_kind(c, BRUIT_MEMBER_LEAVE, members);
    tell_kind(c, BRUIT_MEMBER_FAILED, members);
    tell_kind(c, BRUIT_MEMBER_UPDATE, members);
    tell_kind(c, BRUIT_MEMBER_REAP, members);
    free(members);
    for (uint32_t i = c->count; i-- > 0;) {
        struct br_coalesce_entry *entry = c->entries[i];
        free(entry->waiting);
        entry->waiting = NULL;
        if (entry->told == BRUIT_MEMBER_REAP)
            forget(c, entry);
    }
}

static void tell_kind(struct br_coalescer *c, enum bruit_status_change change,
                      struct bruit_status_member *members)
{
    size_t count = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        struct br_coalesce_entry *entry = c->entries[i];
        if (entry->waiting == NULL || entry->waiting->change != (uint8_t)change)
            continue;
        if (entry->told != (uint8_t)change || change == BRUIT_MEMBER_UPDATE)
            members[count++] = entry->waiting->member;
        entry->told = (uint8_t)change;
    }
    if (count > 0)
        c->tell(c->context, change, members, count);
}

/* ------------------------------------------------------------------ entries */

static bool is_wanted(const void *context, uint32_t index)
{
    const struct wanted *wanted = context;
    const struct br_coalesce_entry *entry = wanted->c->entries[index];
    return br_bytes_equal(wanted->name, br_bytes(entry->name, entry->name_size));
}

static bool reserve_place(struct br_coalescer *c)
{
    if (c->count == c->capacity) {
        uint32_t capacity = c->capacity == 0 ? 8 : c->capacity * 2;
        struct br_coalesce_entry **entries = realloc(c->entries, capacity * sizeof *entries);
        if (entries == NULL)
            return false;
        c->entries = entries;
        c->capacity = capacity;
    }
    return br_table_reserve(&c->table, 1) == 0;
}

static struct br_coalesce_entry *find_or_add(struct br_coalescer *c, struct bruit_bytes name)
{
    uint64_t hash = br_siphash13(c->hash_key, name);
    struct wanted wanted = {.c = c, .name = name};
    uint32_t index = br_table_find(&c->table, hash, is_wanted, &wanted);
    if (index != BR_TABLE_NONE)
        return c->entries[index];
    if (name.size > BRUIT_NAME_MAX || !reserve_place(c))
        return NULL;
    struct br_coalesce_entry *entry = calloc(1, sizeof *entry + name.size);
    if (entry == NULL)
        return NULL;
    entry->index = c->count;
    entry->name_size = (uint8_t)name.size;
    memcpy(entry->name, name.data, name.size);
    c->entries[c->count++] = entry;
    br_table_insert(&c->table, hash, entry->index);
    return entry;
}

static uint64_t hash_of(const struct br_coalescer *c, const struct br_coalesce_entry *entry)
{
    return br_siphash13(c->hash_key, br_bytes(entry->name, entry->name_size));
}

/* The last entry takes its place. */
static void forget(struct br_coalescer *c, struct br_coalesce_entry *entry)
{
    struct br_coalesce_entry *last = c->entries[c->count - 1];
    (void)br_table_remove(&c->table, hash_of(c, entry), entry->index);
    if (last != entry) {
        (void)br_table_replace(&c->table, hash_of(c, last), last->index, entry->index);
        last->index = entry->index;
        c->entries[last->index] = last;
    }
    c->count--;
    free(entry->waiting);
    free(entry);
}
