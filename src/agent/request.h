/*
 * The words of Serf's RPC: requests taken apart, answers put together (docs/wire/serf-rpc.md sections 1, 3
 * and 4).
 *
 * A client writes a header and, for the commands that have one, a body; there are no lengths, so the
 * decoder finds the end of each MessagePack object in bytes that may come in any split. It knows the
 * grammar and nothing of what a command does. What it refuses closes the connection without an answer, as
 * with Serf.
 */
#ifndef BR_AGENT_REQUEST_H
#define BR_AGENT_REQUEST_H

#include "agent/blob.h"
#include "codec/msgpack.h"

#include <bruit/coord.h>
#include <bruit/event.h>
#include <bruit/query.h>
#include <bruit/status.h>

/*
 * The largest object a client may send. Real ones have a few hundred bytes; a join of 1,024 long names, the
 * most that is accepted, still fits, and a text of 1 MiB is refused in words.
 */
#define BR_RPC_OBJECT_MAX ((1u << 20) + 4096)

enum br_rpc_command {
    BR_RPC_UNKNOWN,
    BR_RPC_HANDSHAKE,
    BR_RPC_AUTH,
    BR_RPC_EVENT,
    BR_RPC_FORCE_LEAVE,
    BR_RPC_JOIN,
    BR_RPC_MEMBERS,
    BR_RPC_MEMBERS_FILTERED,
    BR_RPC_STREAM,
    BR_RPC_MONITOR,
    BR_RPC_STOP,
    BR_RPC_LEAVE,
    BR_RPC_TAGS,
    BR_RPC_QUERY,
    BR_RPC_RESPOND,
    BR_RPC_INSTALL_KEY,
    BR_RPC_USE_KEY,
    BR_RPC_REMOVE_KEY,
    BR_RPC_LIST_KEYS,
    BR_RPC_STATS,
    BR_RPC_GET_COORDINATE,
    BR_RPC_FEATURE, /* one of bruit's own: agent/feature.h */
    BR_RPC_COMMANDS,
};

struct br_feature_command;

/*
 * A whole request. Slices are borrowed from the bytes it was decoded from; only its command's fields are
 * set.
 */
struct br_rpc_request {
    enum br_rpc_command command;
    const struct br_feature_command *feature; /* BR_RPC_FEATURE, and its body as it came */
    struct bruit_bytes body;
    uint64_t seq;
    int64_t version;               /* handshake */
    struct bruit_bytes auth_key;   /* auth */
    struct bruit_bytes node;       /* force-leave, get-coordinate */
    bool prune;                    /* force-leave */
    struct br_mp_list existing;    /* join: texts */
    bool replay;                   /* join */
    struct bruit_bytes name;       /* members-filtered: a pattern; event, query */
    struct bruit_bytes status;     /* members-filtered */
    struct br_mp_list tags;        /* members-filtered, tags, query: pairs of texts */
    struct br_mp_list delete_tags; /* tags: texts */
    struct bruit_bytes type;       /* stream */
    struct bruit_bytes log_level;  /* monitor */
    uint64_t stop;                 /* stop */
    bool coalesce;                 /* event */
    struct bruit_bytes payload;    /* event, query, respond */
    struct br_mp_list nodes;       /* query: texts */
    uint8_t relay_factor;          /* query */
    bool ack;                      /* query */
    int64_t timeout;               /* query: nanoseconds */
    struct bruit_bytes until;      /* query, ours alone: "timeout", "acked", "responded"; Serf skips it */
    uint64_t id;                   /* respond */
    struct bruit_bytes key;        /* install-key, use-key, remove-key */
};

struct br_rpc_decoder {
    struct br_mp_scanner scanner;
    uint64_t seq;                /* of the last header: one that has none inherits it (a quirk of Serf's) */
    enum br_rpc_command command; /* likewise */
    const struct br_feature_command *feature; /* with BR_RPC_FEATURE */
    bool expects_body;           /* the next object is the body of `command` */
    bool is_open; /* set by the caller once a handshake succeeded: before, bodies are not waited for */
};

void br_rpc_decoder_init(struct br_rpc_decoder *decoder);

/*
 * Takes the next request from `unread`, all bytes that were not consumed by earlier calls. `*consumed` bytes
 * are done with, also when more are needed. Returns 0 with a request, BR_MP_MORE, BRUIT_EFORMAT for what
 * cannot be decoded, or BRUIT_ETOOBIG for an object beyond BR_RPC_OBJECT_MAX.
 */
int br_rpc_decode(struct br_rpc_decoder *decoder, struct bruit_bytes unread, size_t *consumed,
                  struct br_rpc_request *out);

/* "handshake", "auth", ...; "?" for BR_RPC_UNKNOWN. */
const char *br_rpc_command_name(enum br_rpc_command command);

/* Whether a list holds texts only, `each` of them an element (1) or a pair (2). */
bool br_rpc_holds_texts(const struct br_mp_list *list, uint32_t each);

/* The next text of a list (pair of a map) that br_rpc_decode has checked; false at the end. Consumes. */
bool br_rpc_next_text(struct br_mp_list *list, struct bruit_bytes *text);
bool br_rpc_next_pair(struct br_mp_list *pairs, struct bruit_bytes *key, struct bruit_bytes *value);

/*
 * ---- answers and records: each appends one object
 * ----------------------------------------------------------
 */

void br_rpc_write_header(struct br_blob *out, uint64_t seq, const char *error);
void br_rpc_write_join(struct br_blob *out, uint64_t joined);
/* A map of one key whose value is a list of `count` members, which follow. */
void br_rpc_write_members(struct br_blob *out, size_t count);
void br_rpc_write_member(struct br_blob *out, const struct bruit_status_member *member);
/* The body of a member event, which `count` members follow. */
void br_rpc_write_event(struct br_blob *out, enum bruit_status_change change, size_t count);
void br_rpc_write_log(struct br_blob *out, struct bruit_bytes line);
/* The body of a user event, and of a query whose answer is to carry `id`. */
void br_rpc_write_user(struct br_blob *out, const struct bruit_user_event *event);
void br_rpc_write_asked(struct br_blob *out, const struct bruit_query *query, uint64_t id);
/* What became of a query: an answer to it, or, NULL, its end. */
void br_rpc_write_answer(struct br_blob *out, const struct bruit_query_answer *answer);
/* What became of a key command; the two maps are encoded, empty for none. */
struct br_rpc_keys {
    struct bruit_bytes keys, messages;
    uint64_t errors, nodes, responses;
};
void br_rpc_write_keys(struct br_blob *out, const struct br_rpc_keys *keys);
/* NULL: there is none. */
void br_rpc_write_coordinate(struct br_blob *out, const struct bruit_coordinate *coordinate);
/* A map of `count` pairs, a list of `count` items, which follow; and pieces of them. */
void br_rpc_write_map(struct br_blob *out, size_t count);
void br_rpc_write_array(struct br_blob *out, size_t count);
void br_rpc_write_text(struct br_blob *out, struct bruit_bytes text);
void br_rpc_write_number(struct br_blob *out, uint64_t number);

/* "member-join", "member-leave", ... */
const char *br_rpc_event_name(enum bruit_status_change change);

#endif
