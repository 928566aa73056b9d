/*
 * What was heard lately: the last 512 Lamport times, and under each the items that were heard of it.
 *
 * Serf's rings of events and of queries (docs/wire/serf.md, 7.1 and 7.3) know a copy when it comes, and what is
 * older than the ring is not taken at all. Here the ring is bounded twice over: in items of one time, since a hostile
 * peer may make up any number of them, and in bytes. When the bytes run out the oldest time is forgotten, and what
 * is as old as that counts as too old from then on: nothing is ever taken twice.
 *
 * Items are bytes of the caller's, one after the other; a ring that holds nothing costs nothing.
 */
#ifndef BR_MODULE_RECALL_H
#define BR_MODULE_RECALL_H

#include "base/alloc.h"

/* Serf's size of both rings. */
#define BR_RECALL_TIMES 512

/* Items of one time. Senders share a time when neither has heard the other yet: 1,024 at once are none that live. */
#define BR_RECALL_ITEMS_MAX 1024

struct br_recall_time {
    uint64_t ltime;
    uint32_t count; /* items */
    uint32_t size;  /* bytes */
    uint32_t capacity;
    uint8_t bytes[];
};

struct br_recall {
    struct br_alloc *alloc;
    struct br_recall_time **times; /* by time modulo BR_RECALL_TIMES; NULL before the first item */
    size_t memory;                 /* of all times */
    size_t memory_max;
    uint64_t oldest; /* times below were forgotten */
};

void br_recall_init(struct br_recall *recall, struct br_alloc *alloc, size_t memory_max);
void br_recall_fini(struct br_recall *recall);

/* Is `ltime` beyond what is remembered when the clock stands at `clock`? */
bool br_recall_is_old(const struct br_recall *recall, uint64_t clock, uint64_t ltime);

/* The items of exactly this time, or NULL when there are none. */
const struct br_recall_time *br_recall_find(const struct br_recall *recall, uint64_t ltime);

/*
 * Adds an item. A time that stood in its place is forgotten; so are the oldest, as memory_max demands. Returns 0,
 * BRUIT_ENOMEM, or BRUIT_EFULL when no room can be had for one more of this time.
 */
int br_recall_add(struct br_recall *recall, uint64_t ltime, struct bruit_bytes item);

#endif
