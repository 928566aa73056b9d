/*
 * Decoding single messages of the gossip wire: for dissectors, capture tools and tests of other programs.
 *
 * What comes in is one plain message: label, seal, checksum, compression and compound already taken off. All
 * functions are pure, allocate nothing and take hostile bytes; what they return borrows from the message.
 * Formats: docs/wire/memberlist.md sections 2 and 5.2, docs/wire/serf.md sections 3 and 9.
 */
#ifndef BRUIT_WIRE_H
#define BRUIT_WIRE_H

#include <bruit/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The first byte of a message. 7, 9, 10, 12 and 244 are wrappings, which are not taken off here. */
enum bruit_wire_type {
    BRUIT_WIRE_PING = 0,
    BRUIT_WIRE_INDIRECT_PING = 1,
    BRUIT_WIRE_ACK = 2,
    BRUIT_WIRE_SUSPECT = 3,
    BRUIT_WIRE_ALIVE = 4,
    BRUIT_WIRE_DEAD = 5,
    BRUIT_WIRE_PUSHPULL = 6,
    BRUIT_WIRE_COMPOUND = 7,
    BRUIT_WIRE_USER = 8,
    BRUIT_WIRE_COMPRESS = 9,
    BRUIT_WIRE_ENCRYPT = 10,
    BRUIT_WIRE_NACK = 11,
    BRUIT_WIRE_HAS_CRC = 12,
    BRUIT_WIRE_ERR = 13,
    BRUIT_WIRE_HEARTBEAT = 48, /* ours, not memberlist's: docs/heartbeat.md */
    BRUIT_WIRE_HAS_LABEL = 244,
};

/* "ping", "ack", ...; "unknown" for other numbers. A static string. */
BRUIT_API const char *bruit_wire_type_name(int type);

/* A leaf message. Fields that its type does not have are zero. */
struct bruit_wire_message {
    int type;                /* enum bruit_wire_type */
    uint32_t seq;            /* ping, indirect ping, ack, nack */
    uint32_t incarnation;    /* suspect, alive, dead */
    struct bruit_bytes node; /* whom it is about, or meant for */
    struct bruit_bytes from; /* suspect, dead: the accuser */
    struct bruit_bytes addr; /* alive: of the node; indirect ping: of the target; 4 or 16 bytes if sane */
    uint16_t port;           /* goes with addr */
    uint16_t source_port;    /* goes with source_addr */
    struct bruit_bytes source_addr; /* ping, indirect ping: where the ack goes */
    struct bruit_bytes source_node;
    struct bruit_bytes meta;     /* alive */
    struct bruit_bytes versions; /* alive: protocol min, max, current; delegate min, max, current */
    struct bruit_bytes payload;  /* ack; user: all that follows the type byte, as on UDP */
    struct bruit_bytes text;     /* err */
    bool wants_nack;             /* indirect ping */
};

/*
 * Decodes one leaf message, type byte first. Returns 0, BRUIT_EFORMAT when the bytes are none, or
 * BRUIT_ENOSYS for the wrappings, for a push/pull (see below), and for types nobody knows; `out->type` is
 * then set.
 */
BRUIT_API int bruit_wire_decode(struct bruit_wire_message *out, struct bruit_bytes message);

/* A state exchange, as it goes over a stream. */
struct bruit_wire_exchange {
    bool join;
    uint32_t nodes;                /* entries that follow */
    struct bruit_bytes user_state; /* set once the last entry was taken */
    struct bruit_bytes unread;
    uint32_t user_state_size;
};

/*
 * Begins to read a whole push/pull message, type byte first. Returns 0; BRUIT_EFORMAT when it is none;
 * BRUIT_ETOOBIG when it announces more than anybody accepts.
 */
BRUIT_API int bruit_wire_exchange_open(struct bruit_wire_exchange *exchange, struct bruit_bytes message);

/*
 * The next member: `entry` as of an alive message (type BRUIT_WIRE_ALIVE), with what the sender believes of
 * it in *state (enum bruit_state, or 255 for a number nobody knows). Returns 1; 0 after the last one; or
 * BRUIT_EFORMAT, when the bytes are malformed or end too soon.
 */
BRUIT_API int bruit_wire_exchange_next(struct bruit_wire_exchange *exchange, struct bruit_wire_message *entry,
                                       int *state);

/* ---- Serf ---- */

/* The first byte of a user message's payload, of the user state of an exchange, of some query payloads. */
enum bruit_wire_serf_type {
    BRUIT_WIRE_SERF_LEAVE = 0,
    BRUIT_WIRE_SERF_JOIN = 1,
    BRUIT_WIRE_SERF_PUSHPULL = 2,
    BRUIT_WIRE_SERF_USER_EVENT = 3,
    BRUIT_WIRE_SERF_QUERY = 4,
    BRUIT_WIRE_SERF_QUERY_RESPONSE = 5,
    BRUIT_WIRE_SERF_CONFLICT_RESPONSE = 6,
    BRUIT_WIRE_SERF_KEY_REQUEST = 7,
    BRUIT_WIRE_SERF_KEY_RESPONSE = 8,
    BRUIT_WIRE_SERF_RELAY = 9,
};

/* "leave", "join", ...; "unknown". A static string. */
BRUIT_API const char *bruit_wire_serf_type_name(int type);

/* One of Serf's messages. Fields that its type does not have are zero. */
struct bruit_wire_serf {
    int type; /* enum bruit_wire_serf_type */
    uint64_t ltime;
    uint64_t event_ltime;       /* push/pull; `ltime` is the member clock there */
    uint64_t query_ltime;       /* push/pull */
    uint32_t status_count;      /* push/pull: members in StatusLTimes, names in LeftMembers */
    uint32_t left_count;        /* push/pull */
    uint32_t id;                /* query, query response */
    uint32_t flags;             /* query, query response */
    int64_t timeout_ns;         /* query */
    struct bruit_bytes node;    /* join, leave: whom; query: from whom; response: From; relay: to whom */
    struct bruit_bytes name;    /* user event, query, conflict response */
    struct bruit_bytes payload; /* user event, query, query response; relay: the message inside */
    struct bruit_bytes addr;    /* query, conflict response, relay */
    uint16_t port;              /* goes with addr */
    uint8_t relay_factor;       /* query */
    bool prune;                 /* leave */
    bool coalesce;              /* user event */
    bool result;                /* key response; conflict response: the name is known */
    struct bruit_bytes text;    /* key response: its message */
};

/*
 * Decodes one Serf message, type byte first. Keys of key requests and responses are not shown. Returns 0,
 * BRUIT_EFORMAT, or BRUIT_ENOSYS for a type nobody knows.
 */
BRUIT_API int bruit_wire_serf_decode(struct bruit_wire_serf *out, struct bruit_bytes message);

/*
 * Tag number `index` of a member's metadata. Metadata that is no map of tags is one tag, "role". Returns 0,
 * or BRUIT_ENOENT when there are not so many. Cost: a walk from the first tag.
 */
BRUIT_API int bruit_wire_tag(struct bruit_bytes meta, size_t index, struct bruit_bytes *key,
                             struct bruit_bytes *value);

#ifdef __cplusplus
}
#endif

#endif
