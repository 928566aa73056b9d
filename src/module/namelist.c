/*
 * A set of borrowed names: see namelist.h.
 */
#include "module/namelist.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/siphash.h"

#include <bruit/error.h>

struct query {
    const struct br_namelist *list;
    struct bruit_bytes name;
};

static bool is_same(const void *context, uint32_t index)
{
    const struct query *query = context;
    return br_bytes_equal(query->list->names[index], query->name);
}

static uint32_t find(const struct br_namelist *list, struct bruit_bytes name, uint64_t hash)
{
    struct query query = {list, name};
    return br_table_find(&list->table, hash, is_same, &query);
}

void br_namelist_init(struct br_namelist *list, struct br_alloc *alloc, const uint8_t key[16])
{
    *list = (struct br_namelist){.alloc = alloc};
    memcpy(list->key, key, sizeof list->key);
    br_table_init(&list->table, alloc);
}

void br_namelist_fini(struct br_namelist *list)
{
    br_table_fini(&list->table);
    br_alloc_free(list->alloc, list->names, list->capacity * sizeof *list->names);
}

static int reserve(struct br_namelist *list, uint32_t count)
{
    if (br_table_reserve(&list->table, count) != 0)
        return BRUIT_ENOMEM;
    if (count <= list->capacity)
        return 0;
    struct bruit_bytes *names =
        br_alloc_resize(list->alloc, list->names, list->capacity * sizeof *names, count * sizeof *names);
    if (names == NULL)
        return BRUIT_ENOMEM;
    list->names = names;
    list->capacity = count;
    return 0;
}

int br_namelist_reset(struct br_namelist *list, uint32_t count)
{
    BR_ASSERT(br_table_count(&list->table) == 0);
    list->count = 0;
    list->taken = 0;
    return reserve(list, count);
}

void br_namelist_put(struct br_namelist *list, struct bruit_bytes name)
{
    uint64_t hash = br_siphash13(list->key, name);
    if (find(list, name, hash) != BR_TABLE_NONE)
        return;
    list->names[list->count] = name;
    br_table_insert(&list->table, hash, list->count++);
}

bool br_namelist_take(struct br_namelist *list, struct bruit_bytes name)
{
    if (br_table_count(&list->table) == 0)
        return false;
    uint64_t hash = br_siphash13(list->key, name);
    uint32_t index = find(list, name, hash);
    return index != BR_TABLE_NONE && br_table_remove(&list->table, hash, index);
}

bool br_namelist_take_any(struct br_namelist *list, struct bruit_bytes *name)
{
    while (list->taken < list->count && br_table_count(&list->table) > 0) {
        *name = list->names[list->taken++];
        if (br_namelist_take(list, *name))
            return true;
    }
    return false;
}
