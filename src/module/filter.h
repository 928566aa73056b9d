/*
 * The filters of a query: whom it is meant for (docs/wire/serf.md, section 7.3).
 *
 * All must let a member through. Filters come from the network: there may be so many and no more, matching costs so
 * much and no more, and what cannot be understood lets nobody through, as with Serf.
 */
#ifndef BR_MODULE_FILTER_H
#define BR_MODULE_FILTER_H

#include "base/pattern.h"
#include "codec/serf.h"

/* A query of Serf's 1,024 bytes has room for some 60 of the shortest. */
#define BR_FILTERS_MAX 64

/* Steps times characters that one query may cost a member: about a millisecond. */
#define BR_FILTER_BUDGET 200000

struct br_filters {
    struct br_serf_filter items[BR_FILTERS_MAX];
    struct br_pattern *patterns[BR_FILTERS_MAX]; /* of tag filters */
    size_t count;
    size_t budget;
    const char *trouble; /* why nobody passes, or NULL; a static sentence */
};

/* Reads the filters of a query; its bytes are borrowed until br_filters_fini(). */
void br_filters_init(struct br_filters *filters, struct br_alloc *alloc, struct br_mp_list list,
                     size_t budget);
void br_filters_fini(struct br_filters *filters);

/* Does a member of this name and metadata pass? Without budget left, nobody does. */
bool br_filters_pass(struct br_filters *filters, struct bruit_bytes name, struct bruit_bytes meta);

#endif
