/*
 * What replicated key-value state looks like in bytes: the messages between members and the records on disk.
 *
 * Every message is: the module's type byte, a version byte, a kind, and what the kind says below. Numbers are
 * varints (7 bits a byte, least significant first, at most 10 bytes, no longer than needed) unless a fixed size is
 * given; identities (actors, hashes) are 8 bytes, big endian. Lists have no count: they end with the message, so that
 * a sender fills its room item by item (br_writer_rewind takes back the one that did not fit) and a receiver reads
 * item by item until br_reader_left() is 0.
 *
 *   write     tags key dot hlc [past...] [ttl] [owner] [value]    one sibling as it travels and as it is kept
 *   message   type version kind ...
 *   record    version ...
 *
 * Decoding allocates nothing: bytes are borrowed from the input, and lists of dots go into arrays of the caller's,
 * whose bounds are below. What is out of bounds fails the reader, like everything else that is wrong.
 */
#ifndef BR_CODEC_KV_H
#define BR_CODEC_KV_H

#include "base/bytes.h"

#include <bruit/error.h>
#include <bruit/types.h>

#define BR_KV_VERSION 1 /* of messages and records alike */

#define BR_KV_KEY_MAX 512
#define BR_KV_VALUE_MAX 65536
#define BR_KV_SIBLINGS_MAX 64 /* of one key, tombstones included */

/* What one write may say that it replaces: all siblings of a key, and as much inherited from them. */
#define BR_KV_PAST_MAX 128

/* Counters stay below: no sum of two of them overflows, and no actor writes that often. */
#define BR_KV_COUNTER_MAX (UINT64_C(1) << 62)

/* ---- what is said of a write --------------------------------------------------------------------------- */

/* The name of one write, unique for all time: who wrote (64 random bits), and its how manyth write it was (from 1). */
struct br_kv_dot {
    uint64_t actor;
    uint64_t counter;
};

/*
 * What a write replaces. Plain: the write of that dot. `is_prefix`: all writes of that actor *on this key* up to and
 * with that counter; said when the writer knew all of them, it lets one message stand in for others that got lost.
 */
struct br_kv_past {
    struct br_kv_dot dot;
    bool is_prefix;
};

enum br_kv_life {
    BR_KV_FOREVER,
    BR_KV_EXPIRES, /* ttl_ms from now on */
    BR_KV_OWNED,   /* dies with the member named by `owner` */
};

struct br_kv_write {
    struct bruit_bytes key; /* 1 to BR_KV_KEY_MAX */
    struct br_kv_dot dot;
    uint64_t hlc;
    bool is_delete;         /* a tombstone: no value, no lifetime */
    enum br_kv_life life;
    uint64_t ttl_ms;          /* what is left of it; with BR_KV_EXPIRES */
    struct bruit_bytes owner; /* 1 to BRUIT_NAME_MAX; with BR_KV_OWNED */
    struct bruit_bytes value; /* at most BR_KV_VALUE_MAX */
    const struct br_kv_past *past;
    uint32_t past_count; /* at most BR_KV_PAST_MAX */
};

bool br_kv_dot_equal(struct br_kv_dot a, struct br_kv_dot b);

/* By counter within an actor, actors by number: an order for lists, without a meaning. */
int br_kv_dot_compare(struct br_kv_dot a, struct br_kv_dot b);

/* Who wins among siblings: the greatest (hlc, actor, counter). > 0: a beats b. */
int br_kv_write_compare(uint64_t hlc_a, struct br_kv_dot a, uint64_t hlc_b, struct br_kv_dot b);

/* ---- primitives ---------------------------------------------------------------------------------------- */

uint64_t br_kv_read_number(struct br_reader *r, uint64_t max);
void br_kv_write_number(struct br_writer *w, uint64_t v);
void br_kv_read_dot(struct br_reader *r, struct br_kv_dot *dot); /* counter 1 to BR_KV_COUNTER_MAX */
void br_kv_write_dot(struct br_writer *w, struct br_kv_dot dot);

/*
 * One write. `past` is room for BR_KV_PAST_MAX, which write->past then points to. With `key.data` given to the reader
 * (not NULL), the write is read as one of that key, which the bytes do not repeat; likewise br_kv_write_item() with
 * `has_key` false.
 */
void br_kv_read_item(struct br_reader *r, struct bruit_bytes key, struct br_kv_write *write,
                     struct br_kv_past *past);
void br_kv_write_item(struct br_writer *w, const struct br_kv_write *write, bool has_key);

/* An upper bound of what br_kv_write_item() needs, key included. */
size_t br_kv_item_size_max(const struct br_kv_write *write);

/* ---- messages ------------------------------------------------------------------------------------------ */

enum br_kv_kind {
    BR_KV_WRITE = 1, /* one write, told to everybody, or with a request to be acknowledged */
    BR_KV_ANNOUNCE,  /* there is such a write, too large for a datagram: who lacks it sends BR_KV_WANT */
    BR_KV_ACK,       /* a write that asked for it is held (durably, where there is a disk) */
    BR_KV_WANT,      /* send me these keys, of which I hold these dots */
    BR_KV_KEYS,      /* these keys as I hold them, and which of your dots are gone here */
    BR_KV_DIGEST,    /* what I hold in a few words */
    BR_KV_CONTEXT,   /* my whole context, as of this moment or an earlier one of the session */
    BR_KV_BRANCHES,  /* branches of my hash tree */
    BR_KV_LEAVES,    /* keys below branches */
    BR_KV_DONE,      /* I have told you all that you asked in this session */
    BR_KV_RESET,     /* you were away beyond the horizon: take my state whole */
    BR_KV_KIND_END
};

/* The head of a message: its type byte is the caller's. The reader starts behind the type byte; 0: failed. */
void br_kv_write_head(struct br_writer *w, uint8_t type, enum br_kv_kind kind);
enum br_kv_kind br_kv_read_head(struct br_reader *r);

/* BR_KV_WRITE: this, then br_kv_write_item() with the key. ack 0: no acknowledgement is wanted. */
struct br_kv_tell {
    uint64_t ack; /* the sender's number for it, below 2^32 */
};
void br_kv_read_tell(struct br_reader *r, struct br_kv_tell *tell);
void br_kv_write_tell(struct br_writer *w, const struct br_kv_tell *tell);

struct br_kv_announce {
    struct bruit_bytes key;
    struct br_kv_dot dot;
    uint32_t size; /* of the value */
};
void br_kv_read_announce(struct br_reader *r, struct br_kv_announce *announce);
void br_kv_write_announce(struct br_writer *w, const struct br_kv_announce *announce);

struct br_kv_ack {
    uint64_t ack;
    struct br_kv_dot dot; /* of the write */
    uint8_t status;       /* 0: held; else an enum of the module's why not */
};
void br_kv_read_ack(struct br_reader *r, struct br_kv_ack *ack);
void br_kv_write_ack(struct br_writer *w, const struct br_kv_ack *ack);

/*
 * All messages of a comparison (WANT to RESET) begin with the session: a number that the side which began it chose; 0
 * outside of a comparison. DONE has nothing else but a status (0: complete), RESET nothing at all.
 */
struct br_kv_session {
    uint64_t id;   /* below 2^32 */
    uint8_t flags; /* the module's: who is answered, what is last */
};
void br_kv_read_session(struct br_reader *r, struct br_kv_session *session);
void br_kv_write_session(struct br_writer *w, const struct br_kv_session *session);

/* An item of WANT: a key by name, or by hash when the name is not known (all keys of that hash are meant). */
struct br_kv_want {
    struct bruit_bytes key; /* empty: by hash */
    uint64_t hash;
    const struct br_kv_dot *dots; /* what we hold of it, tombstones included */
    uint32_t dot_count;           /* at most BR_KV_SIBLINGS_MAX */
};
void br_kv_read_want(struct br_reader *r, struct br_kv_want *want, struct br_kv_dot *dots);
void br_kv_write_want(struct br_writer *w, const struct br_kv_want *want);

/*
 * An item of KEYS begins with this and goes on with `sibling_count` writes without the key. `gone`: dots that the
 * other side said it holds, which we have seen and do not hold any more.
 */
struct br_kv_key_head {
    struct bruit_bytes key;
    const struct br_kv_dot *gone;
    uint32_t gone_count;    /* at most BR_KV_SIBLINGS_MAX */
    uint32_t sibling_count; /* at most BR_KV_SIBLINGS_MAX */
};
void br_kv_read_key_head(struct br_reader *r, struct br_kv_key_head *head, struct br_kv_dot *gone);
void br_kv_write_key_head(struct br_writer *w, const struct br_kv_key_head *head);

/* DIGEST. Equal roots: equal stores. Equal contexts: nothing to learn. Equal actors: CONTEXT may leave names out. */
struct br_kv_digest {
    uint64_t root;
    uint64_t context;
    uint64_t actors;
    uint64_t salt; /* for the short hashes of this session */
    uint64_t key_count;
};
void br_kv_read_digest(struct br_reader *r, struct br_kv_digest *digest);
void br_kv_write_digest(struct br_writer *w, const struct br_kv_digest *digest);

/* A branch: the keys whose hash begins with the first `depth` (0 to 16) half bytes of `prefix`; the rest is 0. */
struct br_kv_path {
    uint64_t prefix;
    uint8_t depth;
};
/* Child 0 to 15 of a path whose depth is below 16. Does the hash of a key lie below the path? */
struct br_kv_path br_kv_path_child(struct br_kv_path path, uint32_t child);
bool br_kv_path_has(struct br_kv_path path, uint64_t hash);
void br_kv_read_path(struct br_reader *r, struct br_kv_path *path);
void br_kv_write_path(struct br_writer *w, struct br_kv_path path);

/* Short hashes have 48 bits: why so many, kv_tree.h says. */
#define BR_KV_SHORT_MASK ((UINT64_C(1) << 48) - 1)

/* An item of BRANCHES: the children of `path` that are not empty, with their short hashes (salted, see kv_tree.h). */
struct br_kv_branch {
    struct br_kv_path path; /* depth below 16 */
    uint64_t key_count;     /* below path in all */
    uint16_t present;       /* bit i: child i is not empty */
    uint64_t hashes[16];    /* of those present; else 0 */
};
void br_kv_read_branch(struct br_reader *r, struct br_kv_branch *branch);
void br_kv_write_branch(struct br_writer *w, const struct br_kv_branch *branch);

/* An item of LEAVES begins with this, and goes on with `key_count` leaves of it in ascending order of hash. */
struct br_kv_leaf_head {
    struct br_kv_path path;
    uint32_t key_count; /* at most BR_KV_LEAVES_MAX */
};
#define BR_KV_LEAVES_MAX 256
struct br_kv_leaf {
    uint64_t hash;  /* of the key: below the path, of which the bytes repeat nothing */
    uint64_t state; /* the short hash of its siblings */
};
void br_kv_read_leaf_head(struct br_reader *r, struct br_kv_leaf_head *head);
void br_kv_write_leaf_head(struct br_writer *w, const struct br_kv_leaf_head *head);
void br_kv_read_leaf(struct br_reader *r, struct br_kv_path path, struct br_kv_leaf *leaf);
void br_kv_write_leaf(struct br_writer *w, struct br_kv_path path, const struct br_kv_leaf *leaf);

/*
 * One actor of a context, in a CONTEXT message or in the record "c" on disk: all dots up to `base`, and `run_count`
 * runs above it, which follow (each from - to, both included, ascending, apart from each other and from base). The
 * whole of it is read and written by kv_context.h; names may be left out in a message to somebody with the same actors.
 */
struct br_kv_actor_item {
    uint64_t actor;
    uint64_t base;
    uint32_t run_count;
    bool is_retired;
};
struct br_kv_run {
    uint64_t from;
    uint64_t to;
};
void br_kv_read_actor(struct br_reader *r, bool has_name, struct br_kv_actor_item *item);
void br_kv_write_actor(struct br_writer *w, bool has_name, const struct br_kv_actor_item *item);
/* `after`: the end of what is covered before this run. */
void br_kv_read_run(struct br_reader *r, uint64_t after, struct br_kv_run *run);
void br_kv_write_run(struct br_writer *w, uint64_t after, struct br_kv_run run);

/* ---- records of the store on disk ---------------------------------------------------------------------- */

/* Under "k" + key: this, then the siblings as writes without the key (past: what they replace that is not yet seen). */
struct br_kv_key_record {
    uint64_t saved_ms;      /* wall time of saving: what is left of a ttl goes on from there; the module's */
    uint32_t sibling_count; /* at most BR_KV_SIBLINGS_MAX */
};
void br_kv_read_key_record(struct br_reader *r, struct br_kv_key_record *record);
void br_kv_write_key_record(struct br_writer *w, const struct br_kv_key_record *record);

/* Under "a". */
struct br_kv_actor_record {
    uint64_t actor;
    uint64_t counter;   /* of the last own write */
    uint64_t synced_ms; /* wall time of the last completed comparison, for ourselves alone; 0: never */
};
void br_kv_read_actor_record(struct br_reader *r, struct br_kv_actor_record *record);
void br_kv_write_actor_record(struct br_writer *w, const struct br_kv_actor_record *record);

#endif
