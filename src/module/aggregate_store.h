/*
 * What every node published, as this node holds it: the exact side of aggregates.
 *
 * Owner by owner, as in Scuttlebutt reconciliation (van Renesse, Dumitriu, Gough and Thomas 2008): each owner numbers
 * its changes, and who holds "everything up to version v" of it needs to say no more than v. Ours differ in two ways.
 * An owner has 16 slots and no more, so that what it can make others hold is bounded whatever it sends; and a
 * withdrawn name is a slot that holds nothing, so that there is nothing to collect. An epoch stands above the version:
 * another life of the owner, or an override (aggregate.c).
 *
 * The store also knows which values are news that still has to be told, and hashes of all it holds in
 * BR_AGGREGATE_BUCKETS buckets, for comparing with others. No time of its own, no network: aggregate.c has those.
 */
#ifndef BR_MODULE_AGGREGATE_STORE_H
#define BR_MODULE_AGGREGATE_STORE_H

#include "base/alloc.h"
#include "codec/aggregate.h"

/*
 * How far an epoch may go up at once. Lives are 32 bits above 20 random ones, so an honest step is below 2^52; and one
 * forged record cannot take an owner to the end of all epochs, where it could not override it any more.
 */
#define BR_AGGREGATE_EPOCH_STEP (UINT64_C(1) << 53)

struct br_aggregate_slot {
    uint64_t version; /* 0: never used */
    bruit_time since; /* when we learnt it */
    double number;
    uint8_t *bytes; /* the name, then the text */
    uint8_t name_size;
    uint8_t text_size;
    uint8_t kind;
    uint8_t told; /* how often, while it is news */
    bool is_news;
};

/* One owner. */
struct br_aggregate_owner {
    uint64_t key; /* of its place in the order: the same at every node */
    uint64_t epoch;
    uint64_t complete; /* we have everything up to this version */
    uint64_t newest;   /* the highest version we have seen: `complete`, unless something is missing */
    uint64_t hash;     /* what it adds to the store's, while it counts */
    uint64_t listed; /* the number of the last message that listed it (aggregate_tell.c) */
    struct br_aggregate_slot *slots;
    bool is_counted;
    uint8_t slot_count;
    uint8_t name_size;
    uint8_t name[];
};

struct br_aggregate_news {
    bruit_node node;
    uint8_t slot;
};

/* News that waits at most; what comes beyond is told by comparisons alone. */
#define BR_AGGREGATE_NEWS_MAX 1024

struct br_aggregate_store {
    struct br_alloc *alloc;
    struct br_aggregate_owner **by_node; /* NULL: nothing known */
    uint32_t by_node_size;
    bruit_node *order; /* who counts, by key */
    uint32_t count;
    uint32_t order_capacity;
    struct br_aggregate_news *news;
    uint32_t news_count;
    uint64_t news_dropped;
    uint64_t hash; /* the sum of all that count */
    uint32_t buckets[BR_AGGREGATE_BUCKETS];
    uint32_t incomplete; /* owners that count and of whom something is missing here */
    uint32_t held;       /* values */
    size_t memory;
};

void br_aggregate_store_init(struct br_aggregate_store *s, struct br_alloc *alloc);
void br_aggregate_store_fini(struct br_aggregate_store *s);

/* What the order goes by, and with its top seven bits the bucket. The key of the hash is public. */
uint64_t br_aggregate_key(struct bruit_bytes name);

/* NULL: nothing known. */
struct br_aggregate_owner *br_aggregate_owner(const struct br_aggregate_store *s, bruit_node node);
struct bruit_bytes br_aggregate_owner_name(const struct br_aggregate_owner *owner);
struct bruit_bytes br_aggregate_slot_name(const struct br_aggregate_slot *slot);
struct bruit_bytes br_aggregate_slot_text(const struct br_aggregate_slot *slot);

/* `node` counts from now on: what it published before is back. 0 or BRUIT_ENOMEM. Twice is once. */
int br_aggregate_enter(struct br_aggregate_store *s, bruit_node node, struct bruit_bytes name);
/* It does not any more: out of answers and hashes, but remembered. */
void br_aggregate_leave(struct br_aggregate_store *s, bruit_node node);
/* And forgotten. */
void br_aggregate_forget(struct br_aggregate_store *s, bruit_node node);

/* Is this epoch within what the owner can have reached, as far as we know? */
bool br_aggregate_is_likely(const struct br_aggregate_owner *owner, uint64_t epoch);

/*
 * Takes what is new of a group about a known owner. Returns the slots that changed, one bit each, or BRUIT_ENOMEM:
 * then what was taken before it is kept, and nothing counts as complete that is not.
 */
int32_t br_aggregate_take(struct br_aggregate_store *s, bruit_node node,
                          const struct br_aggregate_group *group, bruit_time now);

/* Forgets all values of an owner and begins `epoch`, in which nothing is known. */
void br_aggregate_restart(struct br_aggregate_store *s, struct br_aggregate_owner *owner, uint64_t epoch);

/* Our own: puts a record, whose version is filled in, into our slot. 0 or BRUIT_ENOMEM. */
int br_aggregate_put(struct br_aggregate_store *s, bruit_node self, struct br_aggregate_record *record,
                     bruit_time now);
/* Our own once more, in an epoch that nobody has seen: all is news again. */
void br_aggregate_renew(struct br_aggregate_store *s, bruit_node self, uint64_t epoch);

/* ---- telling ---- */

/* These slots of `node` are news, as if they had been told `told` times. */
void br_aggregate_note_news(struct br_aggregate_store *s, bruit_node node, uint32_t slots, unsigned told);

/*
 * Writes news that were told fewer than `times` times as groups, least told first, until `w` is full; what was
 * written counts as told once more, and after `times` is no news. Returns how many records.
 */
uint32_t br_aggregate_tell(struct br_aggregate_store *s, struct br_writer *w, unsigned times);

/*
 * Writes what `owner` published after (epoch, complete), oldest first, as one group. False: not all of it fits; what
 * does is complete up to the version that its group says. Nothing is written when nothing is newer.
 */
bool br_aggregate_write_newer(const struct br_aggregate_owner *owner, struct br_writer *w, uint64_t epoch,
                              uint64_t complete);

/* ---- comparing ---- */

unsigned br_aggregate_bucket_of(const struct br_aggregate_owner *owner);
/* The first in the order whose bucket is `bucket` or above. */
uint32_t br_aggregate_bucket_start(const struct br_aggregate_store *s, unsigned bucket);

/* ---- reading ---- */

/* The slot in which `owner` publishes `name`; NULL: it does not. */
const struct br_aggregate_slot *br_aggregate_find(const struct br_aggregate_owner *owner,
                                                  struct bruit_bytes name);

#endif
