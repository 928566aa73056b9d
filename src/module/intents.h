/*
 * Recent intents: joins and leaves announced by members that nobody has introduced yet.
 *
 * An intent may overtake the alive message of the member it names. It is kept here for a while, so that the
 * member begins with it when it comes (docs/wire/serf.md, 5.2). One per name, the one with the greatest
 * Lamport time; bounded, since names come from the network.
 */
#ifndef BR_MODULE_INTENTS_H
#define BR_MODULE_INTENTS_H

#include "base/alloc.h"
#include "base/table.h"

/* Serf has no bound. 8,192 names are far more than ever wait, and cost at most some 2.5 MB. */
#define BR_INTENTS_MAX 8192

struct br_intent {
    uint8_t *name; /* NULL: free */
    uint8_t name_size;
    bool is_leave;
    uint64_t time;
    bruit_time stored;
};

struct br_intents {
    struct br_alloc *alloc;
    struct br_table by_name;
    struct br_intent *items;
    uint32_t used; /* items ever used */
    uint32_t count;
    uint32_t capacity;
    uint8_t key[16];
};

void br_intents_init(struct br_intents *intents, struct br_alloc *alloc, const uint8_t key[16]);
void br_intents_fini(struct br_intents *intents);

/* Stores it if it is the newest of its name: true means "pass it on". Full or out of memory: false. */
bool br_intents_put(struct br_intents *intents, struct bruit_bytes name, bool is_leave, uint64_t time,
                    bruit_time now);

/* The intent kept for `name`, or NULL. Using one does not remove it. */
const struct br_intent *br_intents_find(const struct br_intents *intents, struct bruit_bytes name);

/* Forgets those stored before `horizon`. */
void br_intents_expire(struct br_intents *intents, bruit_time horizon);

#endif
