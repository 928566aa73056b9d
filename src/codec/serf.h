/*
 * Serf's messages, which travel inside memberlist's (docs/wire/serf.md sections 3, 9 and 10.1).
 *
 * Each is one type byte and one MessagePack struct in the old-spec profile. Decoders take the body, what
 * follows the type byte; encoders write the type byte too; slices are borrowed. What has a Lamport time is
 * rebroadcast as the bytes that came, never re-encoded: that is the caller's job. Meaning belongs to the
 * modules.
 */
#ifndef BR_CODEC_SERF_H
#define BR_CODEC_SERF_H

#include "codec/msgpack.h"

/* The first byte of every message (section 3). */
enum br_serf_type {
    BR_SERF_LEAVE = 0,
    BR_SERF_JOIN = 1,
    BR_SERF_PUSHPULL = 2,
    BR_SERF_USER_EVENT = 3,
    BR_SERF_QUERY = 4,
    BR_SERF_QUERY_RESPONSE = 5,
    BR_SERF_CONFLICT_RESPONSE = 6,
    BR_SERF_KEY_REQUEST = 7,
    BR_SERF_KEY_RESPONSE = 8,
    BR_SERF_RELAY = 9,
};

/* ---- intents ------------------------------------------------------------------------------------------- */

struct br_serf_join {
    uint64_t ltime;
    struct bruit_bytes node;
};

struct br_serf_leave {
    uint64_t ltime;
    struct bruit_bytes node;
    bool prune; /* forget the member altogether; absent from old peers */
};

int br_serf_join_decode(struct br_serf_join *out, struct bruit_bytes body);
int br_serf_leave_decode(struct br_serf_leave *out, struct bruit_bytes body);
void br_serf_join_encode(struct br_writer *w, const struct br_serf_join *join);
void br_serf_leave_encode(struct br_writer *w, const struct br_serf_leave *leave);

/* ---- the push/pull document ---------------------------------------------------------------------------- */

/* The sender's event ring always travels with all its slots, nil where unused; slot = LTime mod 512. */
#define BR_SERF_EVENT_SLOTS 512

/*
 * Its six keys in the order in which they are written. Modules contribute values, the document is one: begin
 * it, then for each key in turn br_serf_state_write_key and exactly one value.
 */
enum br_serf_state_key {
    BR_SERF_STATE_EVENT_LTIME,   /* uint */
    BR_SERF_STATE_EVENTS,        /* array of BR_SERF_EVENT_SLOTS: each nil, or a slot (see below) */
    BR_SERF_STATE_LTIME,         /* uint */
    BR_SERF_STATE_LEFT_MEMBERS,  /* array of names */
    BR_SERF_STATE_QUERY_LTIME,   /* uint */
    BR_SERF_STATE_STATUS_LTIMES, /* map of name to uint, every known member */
    BR_SERF_STATE_KEYS,
};

void br_serf_state_begin(struct br_writer *w); /* type byte and map header */
void br_serf_state_write_key(struct br_writer *w, enum br_serf_state_key key);

/* The value of Events when there are none: 512 nils behind dc 0200. */
void br_serf_state_write_no_events(struct br_writer *w);

/*
 * A used slot: its time, and `count` events, which must follow as br_serf_state_write_slot_event each.
 * Upstream's key order puts the events first, so the time is written by br_serf_state_end_slot after them.
 */
void br_serf_state_begin_slot(struct br_writer *w, uint32_t count);
void br_serf_state_write_slot_event(struct br_writer *w, struct bruit_bytes name, struct bruit_bytes payload);
void br_serf_state_end_slot(struct br_writer *w, uint64_t ltime);

/*
 * A received document. Decoding checks all of it, elements included, so the walks below cannot fail: they
 * end. Take a copy of a list to walk it, since walking consumes.
 */
struct br_serf_state {
    uint64_t ltime;
    uint64_t event_ltime;
    uint64_t query_ltime;
    struct br_mp_list status_ltimes;            /* pairs: name, LTime */
    struct br_mp_list left_members;             /* names */
    struct br_mp_list events;                   /* slots, nil or {Events, LTime}; any length */
    struct bruit_bytes raw[BR_SERF_STATE_KEYS]; /* each value as it came, empty when missing */
};

struct br_serf_slot {
    uint64_t ltime;
    struct br_mp_list events;
};

int br_serf_state_decode(struct br_serf_state *out, struct bruit_bytes body);

/*
 * The checks that decoding applies to one value alone, for a module that is handed its section raw: 0, or
 * BRUIT_EFORMAT. Then br_mp_list_of or br_mp_pairs_of gives the list.
 */
int br_serf_state_check(enum br_serf_state_key key, struct bruit_bytes raw);

/* The next element, or false at the end. */
bool br_serf_next_status(struct br_mp_list *status_ltimes, struct bruit_bytes *name, uint64_t *ltime);
bool br_serf_next_name(struct br_mp_list *names, struct bruit_bytes *name);
/* Skips slots that are nil. */
bool br_serf_next_slot(struct br_mp_list *events, struct br_serf_slot *slot);
bool br_serf_next_slot_event(struct br_mp_list *events, struct bruit_bytes *name,
                             struct bruit_bytes *payload);

/* ---- tags ---------------------------------------------------------------------------------------------- */

/* The first byte of metadata that holds a map of tags; anything else is a bare role (Serf protocol 2). */
#define BR_SERF_TAGS_MAGIC 0xff

struct br_serf_tag {
    struct bruit_bytes key;
    struct bruit_bytes value;
};

/* A walk over the tags in a member's metadata. */
struct br_serf_tags {
    struct br_reader reader;
    struct bruit_bytes role; /* when it is a bare role */
    uint32_t left;
    bool is_role;
    bool malformed; /* the map broke off; what was yielded before stands, as with upstream */
};

/* Begins a walk. Metadata that is empty, or no map of tags, yields one tag `role` with all of it as value. */
void br_serf_tags_open(struct br_serf_tags *tags, struct bruit_bytes meta);
bool br_serf_tags_next(struct br_serf_tags *tags, struct br_serf_tag *tag);

/* The value of `key`, of its last occurrence as a Go map keeps it. */
bool br_serf_tags_find(struct bruit_bytes meta, struct bruit_bytes key, struct bruit_bytes *value);

/*
 * Writes metadata from tags in the order given: ff and a map. Returns 0, or BRUIT_ETOOBIG when it exceeds
 * BRUIT_META_MAX (or the writer's room); nothing of use is in `w` then.
 */
int br_serf_tags_encode(struct br_writer *w, const struct br_serf_tag *tags, size_t count);

/* The same for protocol 2: the value of the tag `role` and nothing else. */
int br_serf_role_encode(struct br_writer *w, const struct br_serf_tag *tags, size_t count);

/* ---- events and queries -------------------------------------------------------------------------------- */

struct br_serf_event {
    uint64_t ltime;
    struct bruit_bytes name;
    struct bruit_bytes payload; /* empty: nil */
    bool coalesce;
};

#define BR_SERF_QUERY_ACK 1u          /* Flags: an ack is wanted */
#define BR_SERF_QUERY_NO_BROADCAST 2u /* Flags: do not gossip it on */

struct br_serf_query {
    uint64_t ltime;
    uint32_t id;
    uint32_t flags;
    int64_t timeout_ns;
    struct bruit_bytes name;
    struct bruit_bytes payload;
    struct bruit_bytes addr; /* the originator's, 4 or 16 bytes */
    uint16_t port;
    uint8_t relay_factor;
    struct bruit_bytes source_node; /* absent from old peers */
    struct br_mp_list filters;      /* byte strings, checked to be such; nil when none */
};

#define BR_SERF_RESPONSE_ACK 1u /* Flags: this is the ack, without payload */

struct br_serf_response {
    uint64_t ltime;
    uint32_t id;
    uint32_t flags;
    struct bruit_bytes from;
    struct bruit_bytes payload;
};

enum br_serf_filter_kind {
    BR_SERF_FILTER_NODE = 0,
    BR_SERF_FILTER_TAG = 1,
};

/* One filter of a query: its kind byte taken apart. Other kinds decode, match nothing, and earn a warning. */
struct br_serf_filter {
    uint8_t kind;
    struct br_mp_list nodes; /* NODE: names */
    struct bruit_bytes tag;  /* TAG: the tag whose value must match ... */
    struct bruit_bytes expr; /* ... this RE2 expression somewhere */
};

int br_serf_event_decode(struct br_serf_event *out, struct bruit_bytes body);
int br_serf_query_decode(struct br_serf_query *out, struct bruit_bytes body);
int br_serf_response_decode(struct br_serf_response *out, struct bruit_bytes body);
void br_serf_event_encode(struct br_writer *w, const struct br_serf_event *event);
void br_serf_query_encode(struct br_writer *w, const struct br_serf_query *query);
void br_serf_response_encode(struct br_writer *w, const struct br_serf_response *response);

/*
 * The next element of a query's Filters (walk a copy), then its inside: 0, or BRUIT_EFORMAT: the filter
 * fails.
 */
bool br_serf_next_filter(struct br_mp_list *filters, struct bruit_bytes *filter);
int br_serf_filter_decode(struct br_serf_filter *out, struct bruit_bytes filter);
/* Writes kind byte and body; as an element of Filters it still wants br_mp_write_str around it. */
void br_serf_filter_encode(struct br_writer *w, const struct br_serf_filter *filter);

/* ---- answers to internal queries ----------------------------------------------------------------------- */

/*
 * Section 3.7: a full member. An unknown name is answered with nil, which decodes as all zero, `known`
 * false.
 */
struct br_serf_member {
    bool known;
    struct bruit_bytes name;
    struct bruit_bytes addr;
    uint16_t port;
    struct br_mp_list tags; /* pairs of text, checked */
    int64_t status;         /* 0 none, 1 alive, 2 leaving, 3 left, 4 failed */
    uint8_t protocol_min, protocol_max, protocol_current;
    uint8_t delegate_min, delegate_max, delegate_current;
};

struct br_serf_key_request {
    struct bruit_bytes key; /* raw; empty for list-keys */
};

struct br_serf_key_response {
    bool result;
    struct bruit_bytes message;
    struct br_mp_list keys; /* texts in base64; nil when it is no list */
    struct bruit_bytes primary_key;
};

int br_serf_member_decode(struct br_serf_member *out, struct bruit_bytes body);
int br_serf_key_request_decode(struct br_serf_key_request *out, struct bruit_bytes body);
int br_serf_key_response_decode(struct br_serf_key_response *out, struct bruit_bytes body);
void br_serf_member_encode(struct br_writer *w, const struct br_serf_member *member);
void br_serf_key_request_encode(struct br_writer *w, const struct br_serf_key_request *request);
void br_serf_key_response_encode(struct br_writer *w, const struct br_serf_key_response *response);

/* The next pair of text, of a member's tags. */
bool br_serf_next_tag(struct br_mp_list *pairs, struct br_serf_tag *tag);

/* ---- relays -------------------------------------------------------------------------------------------- */

/* Section 3.10: forward `message`, all that follows the header, unchanged to ip:port. */
struct br_serf_relay {
    struct bruit_bytes ip;
    uint16_t port;
    struct bruit_bytes zone;
    struct bruit_bytes node; /* DestName */
    struct bruit_bytes message;
};

int br_serf_relay_decode(struct br_serf_relay *out, struct bruit_bytes body);
void br_serf_relay_encode(struct br_writer *w, const struct br_serf_relay *relay);

/* ---- coordinates --------------------------------------------------------------------------------------- */

#define BR_SERF_DIMENSIONS 8
#define BR_SERF_PING_VERSION 1

/* Seconds, save `error`. Nothing is checked to be finite: that is the coordinate module's rule 10.3.1. */
struct br_serf_coordinate {
    double adjustment;
    double error;
    double height;
    double vec[BR_SERF_DIMENSIONS];
    uint32_t dimensions; /* as sent; above BR_SERF_DIMENSIONS the rest was dropped: reject it */
};

/*
 * The payload of an ack: 0, BRUIT_EVERSION when the first byte is not BR_SERF_PING_VERSION, or
 * BRUIT_EFORMAT.
 */
int br_serf_coordinate_decode(struct br_serf_coordinate *out, struct bruit_bytes payload);
void br_serf_coordinate_encode(struct br_writer *w, const struct br_serf_coordinate *coordinate);

#endif
