/*
 * memberlist's leaf messages, field by field (docs/wire/memberlist.md sections 2.1 and 2.2).
 *
 * Decoders take the body, what follows the type byte; encoders write the type byte too. Decoded slices are
 * borrowed from the body. Decoders check form, not sense: whether an address has 4 or 16 bytes, a version
 * vector six, or a name any, is asked by those who act on it (br_alive_is_sane helps). Bytes after the map
 * are ignored, as upstream does on UDP. What is written is upstream's form to the bit.
 *
 * One key is bruit's own, and left out when it is 0: "Bruit", a byte with a bit for each of our modules that the sender
 * (of a ping or ack) or the subject (of an alive) carries. Go decoders skip keys that they do not know, and forget them
 * when they pass an alive on.
 */
#ifndef BR_CODEC_MEMBERLIST_H
#define BR_CODEC_MEMBERLIST_H

#include "base/bytes.h"

#include <bruit/error.h>
#include <bruit/types.h>

/* The first byte of every message. */
enum br_message_type {
    BR_PING = 0,
    BR_INDIRECT_PING = 1,
    BR_ACK = 2,
    BR_SUSPECT = 3,
    BR_ALIVE = 4,
    BR_DEAD = 5,
    BR_PUSHPULL = 6,
    BR_COMPOUND = 7,
    BR_USER = 8,
    BR_COMPRESS = 9,
    BR_ENCRYPT = 10,
    BR_NACK = 11,
    BR_HAS_CRC = 12,
    BR_ERR = 13,
    BR_HEARTBEAT = 48, /* ours: heartbeat gossip (heartbeat.h); memberlist counts up from 0 and does not know it */
    BR_HAS_LABEL = 244,
};

/* The six bytes of a version vector, in order. */
enum br_vsn_index {
    BR_VSN_PMIN,
    BR_VSN_PMAX,
    BR_VSN_PCUR,
    BR_VSN_DMIN,
    BR_VSN_DMAX,
    BR_VSN_DCUR,
    BR_VSN_SIZE,
};

/*
 * A probe. `node` is who is meant (empty: whoever reads it). The ack goes to source_addr:source_port when
 * both are there, else to where the datagram came from; all three source fields are left out when empty.
 */
struct br_ping {
    uint32_t seq;
    struct bruit_bytes node;
    struct bruit_bytes source_addr;
    uint16_t source_port;
    uint8_t carries;
    struct bruit_bytes source_node;
};

/* A request to probe target:port, named `node`, for somebody. port 0: the receiver's own bind port. */
struct br_indirect_ping {
    uint32_t seq;
    struct bruit_bytes target;
    uint16_t port;
    struct bruit_bytes node;
    bool nack; /* a nack is wanted when the target keeps silent */
    struct bruit_bytes source_addr;
    uint16_t source_port;
    struct bruit_bytes source_node;
};

struct br_ack {
    uint32_t seq;
    uint8_t carries;
    struct bruit_bytes payload; /* empty: nil */
};

struct br_nack {
    uint32_t seq;
};

struct br_suspect {
    uint32_t incarnation;
    struct bruit_bytes node;
    struct bruit_bytes from; /* the accuser */
};

/* from equal to node: it left on purpose. */
struct br_dead {
    uint32_t incarnation;
    struct bruit_bytes node;
    struct bruit_bytes from;
};

/*
 * Who a member says it is. Everything but the incarnation is its identity (pushpull.h: struct br_fragment).
 */
struct br_alive {
    uint32_t incarnation;
    uint16_t port; /* 0: the receiver's own bind port */
    uint8_t carries; /* no part of the identity: not all who tell of a member know it */
    struct bruit_bytes node;
    struct bruit_bytes addr;
    struct bruit_bytes meta; /* empty: nil */
    struct bruit_bytes vsn;
};

/* What the key "Bruit" with its value takes at most. */
#define BR_CARRIES_SIZE 8

struct br_err {
    struct bruit_bytes error; /* free text, for logs only */
};

struct br_compress {
    uint8_t algo; /* 0: LZW; there is no other */
    struct bruit_bytes buf;
};

/* The head of a user message on a stream; the payload follows it. On UDP a user message has no map at all. */
struct br_user_header {
    uint32_t size;
};

/* memberlist's limit since July 2026; older ones have none. */
#define BR_USER_SIZE_MAX 20971520

/* What br_user_header_encode() writes at most: type byte, map of one key, the largest number. */
#define BR_USER_HEADER_SIZE 24

/*
 * The header map takes 13 to 18 bytes. One that has not ended here never will: whoever sends it plays for
 * time.
 */
#define BR_USER_HEADER_SIZE_MAX 1024

/* Each returns 0, or BRUIT_EFORMAT and *out is then meaningless. */
int br_ping_decode(struct br_ping *out, struct bruit_bytes body);
int br_indirect_ping_decode(struct br_indirect_ping *out, struct bruit_bytes body);
int br_ack_decode(struct br_ack *out, struct bruit_bytes body);
int br_nack_decode(struct br_nack *out, struct bruit_bytes body);
int br_suspect_decode(struct br_suspect *out, struct bruit_bytes body);
int br_dead_decode(struct br_dead *out, struct bruit_bytes body);
int br_alive_decode(struct br_alive *out, struct bruit_bytes body);
int br_err_decode(struct br_err *out, struct bruit_bytes body);
int br_compress_decode(struct br_compress *out, struct bruit_bytes body);

/*
 * The user header may be all there is yet: returns 0 with the size of the map in *size, BR_MP_MORE
 * (msgpack.h), BRUIT_EFORMAT, or BRUIT_ETOOBIG when the announced payload is negative or above
 * BR_USER_SIZE_MAX.
 */
int br_user_header_decode(struct br_user_header *out, struct bruit_bytes growing, size_t *size);

/* Each writes type byte and map; a full writer says so itself. */
void br_ping_encode(struct br_writer *w, const struct br_ping *ping);
void br_indirect_ping_encode(struct br_writer *w, const struct br_indirect_ping *ping);
void br_ack_encode(struct br_writer *w, const struct br_ack *ack);
void br_nack_encode(struct br_writer *w, const struct br_nack *nack);
void br_suspect_encode(struct br_writer *w, const struct br_suspect *suspect);
void br_dead_encode(struct br_writer *w, const struct br_dead *dead);
void br_alive_encode(struct br_writer *w, const struct br_alive *alive);
void br_err_encode(struct br_writer *w, const struct br_err *err);
void br_compress_encode(struct br_writer *w, const struct br_compress *compress);
void br_user_header_encode(struct br_writer *w, const struct br_user_header *user);

/*
 * The size of what is written around a compress message's Buf of `size` bytes: type byte, map, keys and
 * headers. Lets a caller compress in place, or see beforehand whether it pays.
 */
size_t br_compress_overhead(size_t size);

/*
 * Whether an alive may enter a member table at all (sections 1 and 12): a name of 1 to BRUIT_NAME_MAX bytes,
 * an address of 4 or 16, at least six version bytes with 0 < pmin <= pcur <= pmax and dmin <= dcur <= dmax.
 */
bool br_alive_is_sane(const struct br_alive *alive);

#endif
