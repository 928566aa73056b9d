/*
 * The full state exchange, memberlist's message 6 (docs/wire/memberlist.md section 5.2), and the pre-encoded
 * identity of a member from which both its entry there and its alive message are written.
 *
 *     06  header map  entry map * Nodes  UserStateLen raw bytes
 *
 * Nothing but MessagePack itself says where a piece ends, so the reader works on a prefix that grows: it
 * takes piece by piece and says when it needs more. Merging before all of it is read is wrong (one bad
 * version vector spoils the whole): run the reader twice over a complete body, once to judge and once to
 * merge.
 */
#ifndef BR_CODEC_PUSHPULL_H
#define BR_CODEC_PUSHPULL_H

#include "codec/memberlist.h"
#include "codec/msgpack.h"

/* Upstream's limits (since v0.6.0); beyond them, or negative, the stream is closed without an answer. */
#define BR_PUSHPULL_NODES_MAX 1048576
#define BR_PUSHPULL_STATE_MAX 20971520

/* What a peer believes of a member. Numbers from 4 up are ignored entry by entry (section 6.7). */
enum br_entry_state {
    BR_ENTRY_ALIVE = 0,
    BR_ENTRY_SUSPECT = 1,
    BR_ENTRY_DEAD = 2,
    BR_ENTRY_LEFT = 3,
    BR_ENTRY_UNKNOWN = 255, /* what every other number, negative ones included, is read as */
};

struct br_pushpull_header {
    uint32_t nodes;
    uint32_t user_state_size;
    bool join;
    /*
     * bruit's own key, "Bruit": for each entry in turn the byte that an alive has under this key; empty, and left out,
     * when all are 0. Borrowed from what was read: it is only good for as long as those bytes stay where they are.
     */
    struct bruit_bytes carries;
};

/* One member of the sender's table: what an alive says, and the state. */
struct br_entry {
    struct br_alive alive; /* `node` is the entry's Name */
    uint8_t state;         /* enum br_entry_state */
};

/* ---- reading ------------------------------------------------------------------------------------------- */

enum br_pushpull_step {
    BR_PUSHPULL_NEED_MORE = BR_MP_MORE, /* the next piece is not all there */
    BR_PUSHPULL_HEADER,                 /* reader->header is valid from now on */
    BR_PUSHPULL_ENTRY,                  /* *entry was filled */
    BR_PUSHPULL_STATE,                  /* *state was filled; only when user_state_size is not 0 */
    BR_PUSHPULL_DONE,                   /* nothing follows; bytes after it are ignored */
};

struct br_pushpull_reader {
    struct br_pushpull_header header;
    uint32_t entries_left;
    uint8_t expects; /* the step to come */
    struct br_mp_scanner scanner;
};

void br_pushpull_reader_init(struct br_pushpull_reader *reader);

/*
 * Takes the next piece of the body (what follows the type byte) from `unread`: all bytes not consumed by
 * earlier calls, which must begin at the same place until something was consumed.
 *
 * Returns a step, with the bytes it took in *consumed (0 for NEED_MORE and DONE); or BRUIT_EFORMAT; or
 * BRUIT_ETOOBIG when the header announces a negative or excessive number. `entry` and `state` are borrowed
 * from `unread`. The whole user state must be in `unread` to be taken: a caller bounds what it buffers.
 */
int br_pushpull_read(struct br_pushpull_reader *reader, struct bruit_bytes unread, size_t *consumed,
                     struct br_entry *entry, struct bruit_bytes *state);

/* One entry from the start of `bytes`, complete: 0 with its size in *size, or BRUIT_EFORMAT. */
int br_entry_decode(struct br_entry *out, struct bruit_bytes bytes, size_t *size);

/* ---- writing ------------------------------------------------------------------------------------------- */

/* The type byte and the header map. */
void br_pushpull_header_encode(struct br_writer *w, const struct br_pushpull_header *header);

void br_entry_encode(struct br_writer *w, const struct br_entry *entry);

/* ---- fragments ----------------------------------------------------------------------------------------- */

/*
 * The identity of a member (name, address, port, metadata, versions) as it goes over the wire, encoded once.
 *
 *     alive   04 86 |Addr a  Incarnation| i |Meta m  Node n  Port p|          |Vsn v|
 *     entry      87 |Addr a  Incarnation| i |Meta m  Name n  Port p| State s  |Vsn v|
 *                    head                    body                              tail
 *
 * Head, body and tail stand in `bytes` one after the other, so that writing an alive message is two copies
 * around the incarnation, and an entry three. The values stand in them too: a roster needs no other record
 * of who somebody is. A fragment is immutable, has no pointers, and may be moved with memcpy; 12 bytes of
 * offsets and 51 to 69 bytes of keys and numbers come on top of name and metadata.
 */
struct br_fragment {
    uint16_t size; /* of `bytes` */
    uint16_t body; /* offset of the body, which is the size of the head */
    uint16_t name; /* offset of the name's first byte */
    uint16_t name_size;
    uint16_t meta_size;
    uint16_t port;
    uint8_t bytes[];
};

/*
 * What a fragment of this identity takes, its offsets included; 0 when it has none: the address is not of 4
 * or 16 bytes, the version vector is not six bytes at least, or name and metadata pass what offsets can
 * count (some 65,000 bytes). The incarnation is not looked at.
 */
size_t br_fragment_size(const struct br_alive *identity);

/* Builds it in `out`, which has br_fragment_size(identity) bytes and alignment for uint16_t. */
void br_fragment_build(struct br_fragment *out, const struct br_alive *identity);

/* The size that br_fragment_size gave when it was built. */
size_t br_fragment_total(const struct br_fragment *fragment);

/*
 * Write an alive message (with its type byte), and an entry of a push/pull. `carries` 0 is left out; else it takes at
 * most BR_CARRIES_SIZE bytes more.
 */
void br_fragment_write_alive(struct br_writer *w, const struct br_fragment *fragment, uint32_t incarnation,
                             uint8_t carries);
void br_fragment_write_entry(struct br_writer *w, const struct br_fragment *fragment, uint32_t incarnation,
                             uint8_t state);

/* Exactly how many bytes those write, without `carries`. */
size_t br_fragment_alive_size(const struct br_fragment *fragment, uint32_t incarnation);
size_t br_fragment_entry_size(const struct br_fragment *fragment, uint32_t incarnation, uint8_t state);

/* Borrowed from the fragment. `vsn` has six bytes. */
static inline struct bruit_bytes br_fragment_name(const struct br_fragment *fragment);
static inline struct bruit_bytes br_fragment_addr(const struct br_fragment *fragment);
static inline struct bruit_bytes br_fragment_meta(const struct br_fragment *fragment);
static inline struct bruit_bytes br_fragment_vsn(const struct br_fragment *fragment);

/* All of it at once, with the incarnation given. */
struct br_alive br_fragment_alive(const struct br_fragment *fragment, uint32_t incarnation);

/*
 * Whether `alive` claims this very identity: address, port, metadata and versions byte for byte. The name is
 * not compared, since that is what the caller found the fragment by.
 */
bool br_fragment_matches_alive(const struct br_fragment *fragment, const struct br_alive *alive);

/* Whether address and port alone are those of the fragment (section 6.3 step 5: otherwise a conflict). */
bool br_fragment_same_address(const struct br_fragment *fragment, const struct br_alive *alive);

/* ---- bodies ---- */

static inline struct bruit_bytes br_fragment_name(const struct br_fragment *fragment)
{
    return br_bytes(fragment->bytes + fragment->name, fragment->name_size);
}

/* Behind the key "Addr" and the header of a fixstr. */
static inline struct bruit_bytes br_fragment_addr(const struct br_fragment *fragment)
{
    return br_bytes(fragment->bytes + 6, fragment->bytes[5] & 0x1f);
}

/* Behind the key "Meta" and the header of a fixstr, or of a string of two size bytes. */
static inline struct bruit_bytes br_fragment_meta(const struct br_fragment *fragment)
{
    return br_bytes(fragment->bytes + fragment->body + (fragment->meta_size <= 31 ? 6 : 8),
                    fragment->meta_size);
}

/* The last six bytes. */
static inline struct bruit_bytes br_fragment_vsn(const struct br_fragment *fragment)
{
    return br_bytes(fragment->bytes + fragment->size - BR_VSN_SIZE, BR_VSN_SIZE);
}

#endif
