/*
 * Queries of ours that are running, and who has answered each (docs/wire/serf.md, section 7.5).
 *
 * A query is known by its Lamport time. Relays and lossy networks bring the same answer more than once: of each
 * member one acknowledgement and one response count. Names are remembered as keyed hashes of 64 bits.
 *
 * A query may end as soon as everybody it was meant for has answered; that is our own, Serf always waits.
 */
#ifndef BR_MODULE_COLLECT_H
#define BR_MODULE_COLLECT_H

#include "base/alloc.h"
#include "base/buf.h"

#include <bruit/query.h>

struct br_party {
    uint64_t name; /* its hash */
    uint32_t flags;
};

struct br_collector {
    uint64_t ltime;
    uint32_t id;
    uint32_t request;
    uint32_t asker; /* the module that asks, plus 1; 0: the program */
    bool wants_ack;
    bool is_early;
    uint8_t until; /* enum bruit_query_until */
    bruit_time deadline;
    struct br_party *parties; /* who answered, and with `until` who is to */
    uint32_t party_count;
    uint32_t party_capacity;
    uint32_t party_max;
    uint32_t waiting; /* of those who are to answer, who have not */
    uint32_t expected;
    uint32_t acks;
    uint32_t responses;
    struct br_buf *question; /* a module's, which ourselves are still to be asked; or NULL */
    uint64_t question_handle;
    bruit_time question_at;
};

struct br_collectors {
    struct br_alloc *alloc;
    struct br_collector **items;
    uint32_t count;
    uint32_t capacity;
    uint32_t request_last;
    uint8_t key[16];
};

void br_collectors_init(struct br_collectors *cs, struct br_alloc *alloc, const uint8_t key[16]);
void br_collectors_fini(struct br_collectors *cs);

/* A new one, all zero but its request and a deadline of never; NULL without memory. */
struct br_collector *br_collectors_add(struct br_collectors *cs);
/* Takes it out, for the caller to tell its end; then br_collector_free(). */
void br_collectors_remove(struct br_collectors *cs, struct br_collector *c);
void br_collector_free(struct br_collectors *cs, struct br_collector *c);

struct br_collector *br_collectors_at(const struct br_collectors *cs, uint64_t ltime);
struct br_collector *br_collectors_find(const struct br_collectors *cs, uint32_t request);
/* One whose deadline has come, or that has a question to be told; or NULL. */
struct br_collector *br_collectors_due(const struct br_collectors *cs, bruit_time now);
bruit_time br_collectors_deadline(const struct br_collectors *cs);

/* Somebody is to answer: 0, or BRUIT_ENOMEM. */
int br_collector_expect(struct br_collectors *cs, struct br_collector *c, struct bruit_bytes name);

/*
 * Somebody answered: 0, BRUIT_EEXIST when that is known, BRUIT_EFULL when more answered than there are, or
 * BRUIT_ENOMEM. When nobody is waited for any more, its deadline is `now`.
 */
int br_collector_hear(struct br_collectors *cs, struct br_collector *c, struct bruit_bytes from, bool is_ack,
                      bruit_time now);

/* A member died or left: nobody waits for it. */
void br_collectors_forget(struct br_collectors *cs, struct bruit_bytes name, bruit_time now);

/* Ends now what waits for nobody. */
void br_collector_check(struct br_collector *c, bruit_time now);

#endif
