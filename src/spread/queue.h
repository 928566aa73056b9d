/*
 * The transmit-limited queue: what is sent next, and when something has been sent often enough (SWIM section 4.1;
 * docs/wire/memberlist.md 8.3).
 *
 * Items are the caller's small numbers, from 1. Order: fewest transmissions first, then the longest, then the newest.
 * A take goes through the tiers of equal transmission counts and picks from each the longest that still fits; what it
 * took is counted after the whole take, so nothing is taken twice. With `group` above 1 so many transmissions share a
 * tier: the targets of one round are told the same, also when more waits than fits into a packet.
 *
 * A treap over the items' nodes: 32 bytes an item, logarithmic in all it does, no memory but the array.
 */
#ifndef BR_SPREAD_QUEUE_H
#define BR_SPREAD_QUEUE_H

#include "base/alloc.h"
#include "base/rng.h"

struct br_queue_node {
    uint64_t id;       /* age: the newest has the highest; 0: the item is not in the queue */
    uint32_t left;     /* items that come before; 0: none */
    uint32_t right;    /* and after */
    uint32_t priority; /* of the treap: parents have more */
    uint32_t next;     /* chain of the take at hand, or of the done */
    uint16_t length;
    uint16_t transmits;
    uint16_t tier; /* transmits / group */
};

struct br_queue {
    struct br_alloc *alloc;
    struct br_rng rng; /* shapes the tree, decides nothing */
    struct br_queue_node *nodes;
    uint64_t id;
    uint32_t root;
    uint32_t count;
    uint32_t capacity; /* nodes, the unused 0 included */
    uint32_t done_first;
    uint32_t done_last;
    uint32_t untold; /* items that were never transmitted */
    uint16_t group;  /* transmissions that share a tier: 1, unless set before the first item */
};

void br_queue_init(struct br_queue *q, struct br_alloc *alloc, uint64_t seed);
void br_queue_fini(struct br_queue *q);

/* Room for items up to and including `item`: 0, or BRUIT_ENOMEM. */
int br_queue_reserve(struct br_queue *q, uint32_t item);

/* A new item of `length` bytes, never sent. It must not be in, and room must have been reserved. */
void br_queue_insert(struct br_queue *q, uint32_t item, uint16_t length);

/* False when it was not in. */
bool br_queue_remove(struct br_queue *q, uint32_t item);
bool br_queue_has(const struct br_queue *q, uint32_t item);

/*
 * Takes what fits into `room` bytes when each item costs `overhead` more, at most `count_max` items, and calls `visit`
 * for each in that order; it must not touch the queue. Items that have now been sent `limit` times are out and wait
 * for br_queue_next_done(). Returns the bytes used, overheads included.
 */
size_t br_queue_take(struct br_queue *q, size_t overhead, size_t room, uint32_t count_max, uint32_t limit,
                     void (*visit)(void *context, uint32_t item), void *context);

/*
 * Counts one transmission that somebody else made, if the item was sent `least` times or more. At `limit` it is out
 * and waits for br_queue_next_done().
 */
void br_queue_count_one(struct br_queue *q, uint32_t item, uint32_t least, uint32_t limit);

/* The next item that reached its limit, or 0. Call until 0 after each take: till then the number is not free. */
uint32_t br_queue_next_done(struct br_queue *q);

/* Takes out the worst item, the last in the order: its number, or 0 when the queue is empty. For a prune. */
uint32_t br_queue_drop_worst(struct br_queue *q);

static inline uint32_t br_queue_count(const struct br_queue *q)
{
    return q->count;
}

/* Walks everything and checks the order; for tests. */
bool br_queue_is_consistent(const struct br_queue *q);

#endif
