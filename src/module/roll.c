/*
 * The roll: see roll.h.
 */
#include "module/roll.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/siphash.h"

struct query {
    const struct br_roll *roll;
    struct bruit_bytes name;
};

struct bruit_bytes br_roll_name(const struct br_roll *roll, uint32_t entry)
{
    const struct br_roll_entry *e = &roll->entries[entry];
    return e->copy != NULL ? br_bytes(e->copy, e->name_size) : bruit_member_name(roll->engine, e->node);
}

/* Only copies are in the table. */
static bool is_named(const void *context, uint32_t entry)
{
    const struct query *query = context;
    const struct br_roll_entry *e = &query->roll->entries[entry];
    return br_bytes_equal(br_bytes(e->copy, e->name_size), query->name);
}

static uint64_t hash_of(const struct br_roll *roll, struct bruit_bytes name)
{
    return br_siphash13(roll->key, name);
}

void br_roll_init(struct br_roll *roll, struct br_alloc *alloc, const struct bruit_engine *engine,
                  const uint8_t key[16])
{
    *roll = (struct br_roll){.alloc = alloc, .engine = engine};
    memcpy(roll->key, key, sizeof roll->key);
    br_table_init(&roll->by_name, alloc);
}

void br_roll_fini(struct br_roll *roll)
{
    for (uint32_t i = 0; i < roll->used; i++)
        br_alloc_free(roll->alloc, roll->entries[i].copy, roll->entries[i].copy_size);
    br_alloc_free(roll->alloc, roll->entries, roll->capacity * sizeof *roll->entries);
    br_alloc_free(roll->alloc, roll->of_node, roll->of_node_size * sizeof *roll->of_node);
    br_table_fini(&roll->by_name);
}

uint32_t br_roll_find(const struct br_roll *roll, struct bruit_bytes name)
{
    struct query query = {roll, name};
    uint32_t entry = br_roll_of_node(roll, bruit_member_find(roll->engine, name));
    if (entry != BR_ROLL_NONE || br_table_count(&roll->by_name) == 0)
        return entry;
    return br_table_find(&roll->by_name, hash_of(roll, name), is_named, &query);
}

uint32_t br_roll_of_node(const struct br_roll *roll, bruit_node node)
{
    if (node >= roll->of_node_size || roll->of_node[node] == 0)
        return BR_ROLL_NONE;
    return roll->of_node[node] - 1;
}

/* ---- room ---- */

static int reserve_node(struct br_roll *roll, bruit_node node)
{
    if (node < roll->of_node_size)
        return 0;
    uint32_t grown = node + node / 2 + 8;
    uint32_t *of_node = br_alloc_resize(roll->alloc, roll->of_node, roll->of_node_size * sizeof *of_node,
                                        grown * sizeof *of_node);
    if (of_node == NULL)
        return BRUIT_ENOMEM;
    memset(of_node + roll->of_node_size, 0, (grown - roll->of_node_size) * sizeof *of_node);
    roll->of_node = of_node;
    roll->of_node_size = grown;
    return 0;
}

static int reserve_entry(struct br_roll *roll)
{
    if (roll->free_count > 0 || roll->used < roll->capacity)
        return 0;
    uint32_t grown = roll->capacity + roll->capacity / 2 + 8;
    struct br_roll_entry *entries = br_alloc_resize(
        roll->alloc, roll->entries, roll->capacity * sizeof *entries, grown * sizeof *entries);
    if (entries == NULL)
        return BRUIT_ENOMEM;
    roll->entries = entries;
    roll->capacity = grown;
    return 0;
}

/* Holes are rare (a member was erased), so they are looked for rather than chained. */
static uint32_t take_entry(struct br_roll *roll)
{
    if (roll->free_count == 0)
        return roll->used++;
    roll->free_count--;
    for (uint32_t i = 0;; i++)
        if (!roll->entries[i].used)
            return i;
}

/* ---- members ---- */

uint32_t br_roll_add(struct br_roll *roll, bruit_node node)
{
    if (reserve_node(roll, node) != 0 || reserve_entry(roll) != 0)
        return BR_ROLL_NONE;
    uint32_t entry = take_entry(roll);
    roll->entries[entry] = (struct br_roll_entry){.used = true, .node = node, .prune_at = BRUIT_NEVER};
    roll->of_node[node] = entry + 1;
    roll->count[BRUIT_STATUS_NONE]++;
    return entry;
}

static void drop_copy(struct br_roll *roll, uint32_t entry)
{
    struct br_roll_entry *e = &roll->entries[entry];
    if (e->copy == NULL)
        return;
    br_table_remove(&roll->by_name, hash_of(roll, br_roll_name(roll, entry)), entry);
    br_alloc_free(roll->alloc, e->copy, e->copy_size);
    e->copy = NULL;
    e->copy_size = 0;
}

int br_roll_bind(struct br_roll *roll, uint32_t entry, bruit_node node)
{
    struct br_roll_entry *e = &roll->entries[entry];
    if (e->node == node)
        return 0;
    if (reserve_node(roll, node) != 0)
        return BRUIT_ENOMEM;
    e->node = node;
    roll->of_node[node] = entry + 1;
    drop_copy(roll, entry);
    return 0;
}

int br_roll_unbind(struct br_roll *roll, uint32_t entry)
{
    struct br_roll_entry *e = &roll->entries[entry];
    struct bruit_member member;
    if (bruit_member_get(roll->engine, e->node, &member) != 0)
        return BRUIT_ENOENT;
    size_t size = member.name.size + member.meta.size;
    bool fits = size <= UINT16_MAX && br_table_reserve(&roll->by_name, 1) == 0;
    uint8_t *copy = fits ? br_alloc_resize(roll->alloc, NULL, 0, size) : NULL;
    if (copy == NULL) {
        br_roll_erase(roll, entry);
        return BRUIT_ENOMEM;
    }
    memcpy(copy, member.name.data, member.name.size);
    if (member.meta.size > 0)
        memcpy(copy + member.name.size, member.meta.data, member.meta.size);
    roll->of_node[e->node] = 0;
    e->node = 0;
    e->copy = copy;
    e->copy_size = (uint16_t)size;
    e->name_size = (uint8_t)member.name.size;
    e->addr = member.addr;
    memcpy(e->versions, member.versions, sizeof e->versions);
    br_table_insert(&roll->by_name, hash_of(roll, member.name), entry);
    return 0;
}

void br_roll_erase(struct br_roll *roll, uint32_t entry)
{
    struct br_roll_entry *e = &roll->entries[entry];
    roll->count[e->status]--;
    if (e->node != 0)
        roll->of_node[e->node] = 0;
    drop_copy(roll, entry);
    *e = (struct br_roll_entry){0};
    roll->free_count++;
}

void br_roll_set_status(struct br_roll *roll, uint32_t entry, enum bruit_status status)
{
    struct br_roll_entry *e = &roll->entries[entry];
    roll->count[e->status]--;
    roll->count[status]++;
    e->status = (uint8_t)status;
}

static void describe_known(const struct br_roll *roll, const struct br_roll_entry *e,
                           struct bruit_status_member *out)
{
    struct bruit_member member = {0};
    int status = bruit_member_get(roll->engine, e->node, &member);
    BR_ASSERT(status == 0);
    out->name = member.name;
    out->meta = member.meta;
    out->addr = member.addr;
    out->is_self = member.is_self;
    memcpy(out->versions, member.versions, sizeof out->versions);
}

void br_roll_describe(const struct br_roll *roll, uint32_t entry, struct bruit_status_member *out)
{
    const struct br_roll_entry *e = &roll->entries[entry];
    *out = (struct bruit_status_member){
        .status = (enum bruit_status)e->status, .status_time = e->status_time, .leave_time = e->leave_time};
    if (e->copy == NULL) {
        describe_known(roll, e, out);
        return;
    }
    out->name = br_bytes(e->copy, e->name_size);
    out->meta = br_bytes(e->copy + e->name_size, (size_t)(e->copy_size - e->name_size));
    out->addr = e->addr;
    memcpy(out->versions, e->versions, sizeof out->versions);
}

uint32_t br_roll_count(const struct br_roll *roll)
{
    return roll->used - roll->free_count;
}
