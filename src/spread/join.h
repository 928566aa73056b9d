/*
 * Joins under way: which targets were asked for, what became of each. The exchanges themselves are the engine's
 * streams; here they are only counted. One that worked is enough (docs/wire/memberlist.md 6.9).
 */
#ifndef BR_SPREAD_JOIN_H
#define BR_SPREAD_JOIN_H

#include "base/alloc.h"

#include <bruit/engine.h>

#define BR_JOIN_TARGETS_MAX 64

/* Requests at once; programs join once, or retry one after the other. */
#define BR_JOINS_MAX 16

struct br_join_request {
    struct bruit_join_result *results; /* with copies of names and texts behind them, in one block each */
    uint32_t number;                   /* 0: free */
    uint32_t flags;
    uint32_t count;
    uint32_t pending;
    uint32_t contacted;
};

struct br_join {
    struct br_alloc *alloc;
    struct br_join_request requests[BR_JOINS_MAX];
    uint32_t last; /* number given */
};

void br_join_init(struct br_join *join, struct br_alloc *alloc);
void br_join_fini(struct br_join *join);

/*
 * A new request for `count` targets (1 to BR_JOIN_TARGETS_MAX), all pending: its number, or 0 with the reason in
 * *error.
 */
uint32_t br_join_begin(struct br_join *join, const struct bruit_join_target *targets, size_t count,
                       uint32_t flags, int *error);

/*
 * What became of one target. Returns the request when it was the last one pending, else NULL; the caller reads
 * its results, and ends it when they were delivered.
 */
struct br_join_request *br_join_result(struct br_join *join, uint32_t number, uint32_t index, int error,
                                       struct bruit_bytes text);
/* The flags of all requests that have targets pending, or'ed. */
uint32_t br_join_flags(const struct br_join *join);
struct br_join_request *br_join_find(struct br_join *join, uint32_t number);
void br_join_end(struct br_join *join, struct br_join_request *request);

#endif
