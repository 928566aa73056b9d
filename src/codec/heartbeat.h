/*
 * The messages of heartbeat gossip: message type 48 of memberlist's type space, which memberlist does not use.
 *
 *     30  format:u8  kind:u8  entry of the sender  block block ...                    on datagrams
 *     30  format:u8  05       join:u8  blocks:u32  document:u32  block ...  document    on streams
 *
 * A block is an *entry* (one member, by the hash of its name), or speaks of a *bucket*: all live members whose ids
 * begin with the same bits, in the order of their ids. Two sides whose buckets have the same checksum agree about
 * who is in it, about everybody's generation, version and identity; then heartbeats alone need be said, and the ids
 * need not (2 to 4 bytes a member, and 8 for each bucket). Where checksums differ, entries are exchanged.
 *
 *     entry   01  id:u64  flags:u8  generation  heartbeat  version  tag:u16  [floor]  [identity]  [items]
 *     beats   02  depth:u8  bucket  checksum:u32  count:u8  count heartbeats
 *     newer   03  depth:u8  bucket  checksum:u32  count:u8  bit set of count bits  heartbeats of those in it
 *     list    04  depth:u8  bucket  count:u8   the next `count` entries are all that the sender knows there
 *
 * Numbers without a size are varints, least significant seven bits first. The reader checks form and bounds; a
 * message is read to its end before anything of it is used. What the numbers mean is detect/heartbeat.h's business,
 * and who is told what spread/digest.h's.
 */
#ifndef BR_CODEC_HEARTBEAT_H
#define BR_CODEC_HEARTBEAT_H

#include "codec/pushpull.h"

#define BR_BEAT_FORMAT 1

/* Members of one bucket at most: a count is a byte. What is in a larger one travels as entries. */
#define BR_BEAT_BUCKET_MAX 255

/* Leading bits of an id that a bucket may have; 2^20 buckets are more than there can be members. */
#define BR_BEAT_DEPTH_MAX 20

/* Of node-owned state: what one entry may carry. */
#define BR_BEAT_KEY_MAX 64
#define BR_BEAT_VALUE_MAX 512
#define BR_BEAT_ITEMS_MAX 64

enum br_beat_kind {
    BR_BEAT_SYN = 0,   /* push-pull: answered with an ACK */
    BR_BEAT_ACK = 1,   /* answered with an ACK2 when the other side lacks something */
    BR_BEAT_ACK2 = 2,  /* answered with a DELTA when something is wanted */
    BR_BEAT_DELTA = 3, /* what was wanted; never answered */
    BR_BEAT_PULL = 4,  /* a SYN that tells nothing: answered with an ACK2 */
    BR_BEAT_STATE = 5, /* on streams: everything */
};

enum br_beat_flag {
    BR_BEAT_LEFT = 1,     /* it said goodbye */
    BR_BEAT_WANTED = 2,   /* "I have up to `version`, and what is above `floor`: tell me the rest" */
    BR_BEAT_IDENTITY = 4, /* who it is, follows */
    BR_BEAT_ITEMS = 8,    /* items of its state follow, in the order of their versions */
    BR_BEAT_RESET = 16,   /* with ITEMS: forget all earlier items first */
    BR_BEAT_FLAGS = 31,
};

/* One key of node-owned state. `ttl` is what is left of its life in seconds; 0: it has no end. */
struct br_beat_item {
    uint32_t version;
    uint32_t ttl;
    bool is_deleted;
    struct bruit_bytes key;
    struct bruit_bytes value;
};

struct br_beat_entry {
    uint64_t id;
    uint32_t generation;
    uint32_t heartbeat;
    uint32_t version; /* how far the sender's knowledge goes; with content: how far it goes once that is taken in */
    uint32_t floor;   /* with WANTED or ITEMS: deletions up to this version may be forgotten */
    uint16_t tag;     /* of the identity: the lower half of its hash; 0: not known */
    uint8_t flags;
    uint8_t item_count;
    struct br_alive identity;  /* with IDENTITY; its incarnation is the version at which it was last changed */
    struct bruit_bytes items; /* of the message: br_beat_item_next() */
};

enum br_beat_block_type {
    BR_BEAT_END = 0,
    BR_BEAT_BLOCK_ENTRY = 1,
    BR_BEAT_BLOCK_BEATS = 2,
    BR_BEAT_BLOCK_NEWER = 3,
    BR_BEAT_BLOCK_LIST = 4,
};

struct br_beat_bucket {
    uint8_t depth;
    uint8_t count;
    uint32_t index; /* its leading `depth` bits */
    uint32_t checksum;
    uint8_t set[32];                      /* NEWER: whose heartbeats are there */
    uint32_t beats[BR_BEAT_BUCKET_MAX]; /* by place in the bucket; of those not in the set: 0 */
};

struct br_beat_block {
    struct br_beat_entry entry;
    struct br_beat_bucket bucket;
};

struct br_beat_header {
    enum br_beat_kind kind;
    struct br_beat_entry sender; /* datagrams */
    bool join;                   /* streams */
    uint32_t blocks_size;
    uint32_t document_size;
};

/* ---- reading ------------------------------------------------------------------------------------------- */

/* The header of a datagram's message, `r` behind it then: 0, or BRUIT_EFORMAT. */
int br_beat_header_decode(struct br_beat_header *out, struct br_reader *r);

/*
 * The next block: an enum br_beat_block_type (END at the end), or BRUIT_EFORMAT. Only the member of `out` that the
 * type names is filled. What it borrows lives as long as the message.
 */
int br_beat_block_decode(struct br_beat_block *out, struct br_reader *r);

/* Whether all blocks can be decoded: 0, or BRUIT_EFORMAT. `r` is where it was. */
int br_beat_check(struct br_reader r);

/* The next item of an entry, from `items`, which was checked with the entry: false at the end. */
bool br_beat_item_next(struct bruit_bytes *items, struct br_beat_item *out);

/*
 * The header of a STATE, from the body (what follows the type byte) as far as it has come: 0 with its size in *size,
 * BR_MP_MORE, or BRUIT_EFORMAT.
 */
int br_beat_state_decode(struct br_beat_header *out, struct bruit_bytes growing, size_t *size);

/* ---- writing ------------------------------------------------------------------------------------------- */

/* The type byte and the header; a full writer says so itself, here and below. */
void br_beat_header_encode(struct br_writer *w, enum br_beat_kind kind, const struct br_beat_entry *sender);
void br_beat_state_encode(struct br_writer *w, const struct br_beat_header *header);
#define BR_BEAT_STATE_HEADER 12 /* bytes of it, type byte included */

/* An entry; with IDENTITY the identity is `identity`, with ITEMS the items are `items` as they are. */
void br_beat_entry_encode(struct br_writer *w, const struct br_beat_entry *entry);
void br_beat_item_encode(struct br_writer *w, const struct br_beat_item *item);
size_t br_beat_item_size(const struct br_beat_item *item);
void br_beat_beats_encode(struct br_writer *w, const struct br_beat_bucket *bucket);
void br_beat_newer_encode(struct br_writer *w, const struct br_beat_bucket *bucket);
void br_beat_list_encode(struct br_writer *w, const struct br_beat_bucket *bucket);

static inline bool br_beat_bucket_has(const struct br_beat_bucket *bucket, unsigned place)
{
    return (bucket->set[place / 8] & 1u << (place % 8)) != 0;
}

static inline void br_beat_bucket_add(struct br_beat_bucket *bucket, unsigned place)
{
    bucket->set[place / 8] |= (uint8_t)(1u << (place % 8));
}

/* The id of a member: the hash of its name with a fixed key, the same on every machine. */
uint64_t br_beat_id(struct bruit_bytes name);

#endif
