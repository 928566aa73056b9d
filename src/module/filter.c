/*
 * The filters of a query: see filter.h.
 */
#include "module/filter.h"

static const char *add(struct br_filters *filters, struct br_alloc *alloc, struct bruit_bytes raw)
{
    struct br_serf_filter *item = &filters->items[filters->count];
    struct br_pattern **pattern = &filters->patterns[filters->count];
    if (br_serf_filter_decode(item, raw) != 0)
        return "it cannot be decoded";
    if (item->kind != BR_SERF_FILTER_NODE && item->kind != BR_SERF_FILTER_TAG)
        return "it is of an unknown kind";
    *pattern = NULL;
    int status = item->kind == BR_SERF_FILTER_TAG ? br_pattern_new(pattern, alloc, item->expr) : 0;
    if (status != 0)
        return status == BRUIT_EFORMAT ? "its expression is none" : "its expression is too big";
    filters->count++;
    return NULL;
}

void br_filters_init(struct br_filters *filters, struct br_alloc *alloc, struct br_mp_list list,
                     size_t budget)
{
    struct bruit_bytes raw;
    filters->count = 0;
    filters->budget = budget;
    filters->trouble = list.count > BR_FILTERS_MAX ? "there are too many" : NULL;
    while (filters->trouble == NULL && br_serf_next_filter(&list, &raw))
        filters->trouble = add(filters, alloc, raw);
}

void br_filters_fini(struct br_filters *filters)
{
    for (size_t i = 0; i < filters->count; i++)
        br_pattern_free(filters->patterns[i]);
    filters->count = 0;
}

static bool is_named(struct br_mp_list names, struct bruit_bytes name)
{
    struct bruit_bytes one;
    while (br_serf_next_name(&names, &one))
        if (br_bytes_equal(one, name))
            return true;
    return false;
}

/* A tag that a member has not is the empty text. */
static bool has_tag(struct br_filters *filters, size_t index, struct bruit_bytes meta)
{
    struct bruit_bytes value = {0};
    (void)br_serf_tags_find(meta, filters->items[index].tag, &value);
    size_t cost = br_pattern_steps(filters->patterns[index]) * (value.size + 1);
    if (cost > filters->budget) {
        filters->budget = 0;
        filters->trouble = "it costs too much";
        return false;
    }
    filters->budget -= cost;
    return br_pattern_matches(filters->patterns[index], value);
}

bool br_filters_pass(struct br_filters *filters, struct bruit_bytes name, struct bruit_bytes meta)
{
    for (size_t i = 0; i < filters->count && filters->trouble == NULL; i++) {
        bool passes = filters->items[i].kind == BR_SERF_FILTER_NODE ? is_named(filters->items[i].nodes, name)
                                                                    : has_tag(filters, i, meta);
        if (!passes)
            return false;
    }
    return filters->trouble == NULL;
}
