/*
 * Weighted rendezvous hashing over a list of members: the arithmetic of ownership (owner.c has the members).
 *
 * Each member draws, for each key, a time from the exponential distribution whose rate is its weight (a hash of key and
 * member is the chance); the earliest is the owner. The earliest of several exponential times is each one's with a
 * probability in proportion to its rate, whoever else is drawing: hence shares by weight, and keys that move only to a
 * member that comes or from one that goes. (Thaler and Ravishankar 1998 for rendezvous; with weights by the logarithm
 * as in Schindelhauer and Schomaker 2005.)
 *
 * Several owners are taken in rounds: in each round every zone gives one more, its earliest that is left, and within a
 * round the earliest come first. That is the order of (rank within the zone, time). A member that comes can push out
 * one other and never let a third one in.
 */
#ifndef BR_MODULE_OWNER_MAP_H
#define BR_MODULE_OWNER_MAP_H

#include "base/bytes.h"

#include <bruit/owner.h>

struct br_owner_entry {
    uint64_t id;  /* hash of the name */
    uint64_t tie; /* another one: two names with the same first hash can be made */
    double scale; /* 1 / weight */
    uint64_t zone; /* hash of its name */
    bruit_node node;
    uint16_t weight;
    uint16_t round; /* how many of its zone stand before it; BRUIT_OWNERS_MAX for all that are more */
};

_Static_assert(BRUIT_OWNER_WEIGHT_MAX <= UINT16_MAX, "a weight has 16 bits");

/* The members that own something. Answers do not depend on their order, their cost does. */
struct br_owner_map {
    struct br_owner_entry *entries; /* the caller's memory */
    uint32_t count;
    uint32_t in_rounds[BRUIT_OWNERS_MAX + 1]; /* [r]: how many a zone's first r members are, of all zones together */
    uint64_t total_weight;                    /* of all */
};

/* 0 < weight <= BRUIT_OWNER_WEIGHT_MAX. */
struct br_owner_entry br_owner_entry(struct bruit_bytes name, bruit_node node, uint32_t weight,
                                     struct bruit_bytes zone);

/* After `entries` and `count` were set: counts, and brings the entries into an order. Cost: two sorts in place. */
void br_owner_map_finish(struct br_owner_map *map);

/* The owners of a key: see bruit_owner_find(). Returns how many. */
size_t br_owner_map_find(const struct br_owner_map *map, struct bruit_bytes key, bruit_node *owners,
                         size_t count);

#endif
