/*
 * Node-owned versioned state: keys and values that a member says of itself, and nobody else may change (what Cassandra
 * calls application state). Each change has a version, which the owner counts; what a peer has is told by one number.
 *
 * Deletions are kept as tombstones, so that they travel like any change. They are forgotten behind the *floor*: a
 * version up to which deletions may be missing. Whoever has less than that may hold keys that were deleted since, and
 * is *reset*: it forgets what it has, and takes everything anew.
 *
 * Owners are slots of the view. Held only for members that have items: a table, and a list for each of them.
 */
#ifndef BR_MEMBER_ITEMS_H
#define BR_MEMBER_ITEMS_H

#include "base/buf.h"
#include "base/table.h"
#include "codec/heartbeat.h"

/* Of one member: keys that live, and bytes of keys and values; tombstones may be as many again. */
#define BR_ITEMS_MAX 64
#define BR_ITEMS_BYTES_MAX 8192
/* What all of them take as items of an entry, at most. */
#define BR_ITEMS_ENCODED_MAX (BR_ITEMS_BYTES_MAX + 2 * BR_ITEMS_MAX * (16 + BR_BEAT_KEY_MAX))

struct br_item {
    struct br_buf *data; /* key, then value */
    bruit_time until;    /* BRUIT_NEVER, or when it ends; of a tombstone: when it was made */
    uint32_t version;
    uint8_t key_size;
    bool is_deleted;
};

struct br_items_owner {
    struct br_item *items; /* by version, rising; 2 * BR_ITEMS_MAX places, or NULL: free */
    uint32_t slot;
    uint32_t floor;
    uint32_t identity_version; /* at which the owner's identity last changed, as far as we know */
    uint32_t count;
    uint32_t live;
    uint32_t bytes; /* of live ones */
};

struct br_items {
    struct br_alloc *alloc;
    struct br_table by_slot;
    struct br_items_owner *owners;
    uint32_t count;
    uint32_t capacity;
};

void br_items_init(struct br_items *items, struct br_alloc *alloc);
void br_items_fini(struct br_items *items);

/* NULL: it has none. */
struct br_items_owner *br_items_find(const struct br_items *items, uint32_t slot);
/* Made if need be; NULL without memory. */
struct br_items_owner *br_items_owner(struct br_items *items, uint32_t slot);
/* All of a member's, tombstones and floor included. */
void br_items_forget(struct br_items *items, uint32_t slot);

/*
 * A change with a version above all of the owner's: 0, BRUIT_ENOMEM, or BRUIT_EFULL beyond the bounds; then nothing
 * has changed. `now` is when tombstones are born and lives begin.
 */
int br_items_put(struct br_items *items, struct br_items_owner *owner, const struct br_beat_item *change,
                 bruit_time now);
/* The live item of a key, expired ones not included; NULL: none. */
const struct br_item *br_items_get(const struct br_items_owner *owner, struct bruit_bytes key, bruit_time now);
/* Forgets the owner's items, and those of its tombstones that are not above `floor`, which is the floor then. */
void br_items_reset(struct br_items *items, struct br_items_owner *owner);
void br_items_raise_floor(struct br_items *items, struct br_items_owner *owner, uint32_t floor);

static inline struct bruit_bytes br_item_key(const struct br_item *item)
{
    return br_bytes(item->data->data, item->key_size);
}
static inline struct bruit_bytes br_item_value(const struct br_item *item)
{
    return br_bytes(item->data->data + item->key_size, item->data->size - item->key_size);
}
static inline bool br_item_is_live(const struct br_item *item, bruit_time now)
{
    return !item->is_deleted && item->until > now;
}

/*
 * Writes items above `above`, oldest first, as many as fit. Returns how many, and in *last the version of the last
 * one; *whole says whether these were all.
 */
uint8_t br_items_write(const struct br_items_owner *owner, uint32_t above, struct br_writer *w, bruit_time now,
                       uint32_t *last, bool *whole);

#endif
