/*
 * What an engine counts, and the names of everything it refuses.
 *
 * What a peer did wrong is never an error of ours: the packet, the message or the stream is dropped, and the
 * drop is counted under one of the reasons below. Counters and trace share this list, so a number in the
 * statistics and a line in the log always say the same thing.
 */
#ifndef BRUIT_STATS_H
#define BRUIT_STATS_H

#include <bruit/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Reasons to drop; new ones are added at the end. The sentence is for people: the log shows it, and where the
 * protocol asks for an answer to a refused stream it is the answer's text, so it must betray nothing.
 *
 *        name                 sentence                                                                      */
#define BRUIT_DROPS(X)                                                                                        \
    /* --- the outside of a datagram or stream --- */                                                        \
    X(EMPTY, "nothing inside: the packet, or what was left of it after unpacking, is empty")                  \
    X(LABEL_MISSING, "no label, but this cluster has one")                                                    \
    X(LABEL_WRONG, "the label of another cluster")                                                            \
    X(LABEL_UNEXPECTED, "a label, but this member expects none")                                              \
    X(LABEL_MALFORMED, "a label header that is empty or cut short")                                           \
    X(NOT_SEALED, "not encrypted, but encryption is required here")                                           \
    X(SEALED_WITHOUT_KEYS, "encrypted, but no key is installed here")                                         \
    X(UNDECRYPTABLE, "no installed key opens it: another key, another label, or a changed byte")              \
    X(CRC_MISMATCH, "the checksum does not match")                                                            \
    X(FOREIGN_HTTP, "an HTTP request: this port speaks gossip")                                               \
    X(FOREIGN_TLS, "a TLS client hello: this port speaks gossip")                                             \
    /* --- the inside --- */                                                                                 \
    X(UNKNOWN_TYPE, "a message of a type that does not exist, or does not belong here")                       \
    X(MALFORMED, "a message that cannot be decoded")                                                          \
    X(TRUNCATED_COMPOUND, "a compound whose parts are cut short")                                             \
    X(COMPRESS_ALGO, "compressed in an unknown way")                                                          \
    X(COMPRESS_BROKEN, "compressed bytes that cannot be expanded")                                            \
    X(COMPRESS_BOMB, "compressed bytes that expand beyond the limit")                                         \
    X(TOO_DEEP, "compound and compressed layers nested too deeply")                                           \
    X(TOO_MANY_MESSAGES, "too many messages in one packet")                                                   \
    X(FRAME_TOO_BIG, "an encrypted frame larger than the limit")                                              \
    X(STREAM_TOO_BIG, "a stream larger than the limit")                                                       \
    X(STREAM_TRUNCATED, "a stream that ended before its message did")                                        \
    /* --- probes --- */                                                                                     \
    X(NOT_FOR_US, "a ping that is meant for another member")                                                 \
    X(ANSWERS_FULL, "more answers are owed than are kept: the newest is not given")                          \
    X(RELAYS_FULL, "more pings are relayed than are kept: the newest is not sent")                           \
    X(RELAY_REFUSED, "a ping to be relayed to an address that is not the known member's")                    \
    X(UNKNOWN_ACK, "an ack or nack that nobody waits for: late, or made up")                                 \
    /* --- membership --- */                                                                                 \
    X(BAD_ALIVE, "a member without a sane name, address, metadata or compatible versions")                   \
    X(NAME_CONFLICT, "a known name claimed from another address")                                            \
    X(NOT_ALLOWED, "a member from outside the allowed addresses")                                            \
    X(MEMBERS_FULL, "one member more than members_max allows")                                               \
    X(INCARNATION_MAX, "an accusation with the highest incarnation, which cannot be refuted")                \
    X(VERSIONS, "a state whose members' versions do not fit ours: nothing of it was merged")                 \
    X(BAD_DOCUMENT, "an application state that is not Serf's, or cannot be decoded")                         \
    X(UNCLAIMED_MESSAGE, "a user message of a type that no module has claimed")                              \
    X(SYNCS_FULL, "one state exchange more than may run at once")                                            \
    X(STREAMS_FULL, "one inbound stream more than streams_max allows")                                       \
    X(BROADCASTS_FULL, "a module's broadcast beyond the bound of its queue, or without memory")              \
    X(TOO_LONG_TO_SEND, "a module's direct message that does not fit a datagram")                            \
    X(EVENT_OLD, "a user event or a query older than those that are remembered")                             \
    X(EVENT_FULL, "one user event or query more than are remembered of one time")                            \
    X(ANSWER_UNKNOWN, "an answer to a query that is not running, or one answer more than there are members") \
    X(QUERY_FILTER, "a query with a filter that cannot be decoded, or costs too much")                       \
    /* --- heartbeats --- */                                                                                 \
    X(OTHER_DETECTOR, "the other failure detector: one cluster runs either SWIM or heartbeats, never both")  \
    X(HEARTBEAT_FORGED, "a generation or heartbeat too far above what is known, or above the ceiling")       \
    X(HEARTBEAT_BURIED, "old news of a member who was forgotten")                                            \
    X(HEARTBEAT_STATE, "node-owned state beyond what is kept of one member")                                 \
    /* --- key-value state --- */                                                                            \
    X(KV_STRANGER, "a key-value message that wants an answer, from nobody who carries the module")           \
    X(KV_FULL, "a key-value write beyond a bound of this store, or of its disk")                             \
    X(KV_CLOCK, "a key-value write with a stamp too far ahead: our clock does not follow it")                \
    X(KV_BUSY, "a key-value comparison that asks while others wait for the budget")                          \
    X(KV_IMPERSONATED, "key-value writes in our name that we have not made: we go on under another")         \
    /* --- aggregates --- */                                                                                 \
    X(AGGREGATE_STRANGER, "an aggregate message in the name of somebody who is no peer")                     \
    X(AGGREGATE_EPOCH, "an aggregate record or exchange of an epoch that cannot have been reached yet")      \
    X(AGGREGATE_FULL, "one aggregate more than are estimated at once, or no memory for a member's values")

enum bruit_drop {
#define BRUIT_DROP_ENUM(name, text) BRUIT_DROP_##name,
    BRUIT_DROPS(BRUIT_DROP_ENUM)
#undef BRUIT_DROP_ENUM
    BRUIT_DROP_COUNT,
    BRUIT_DROP_NONE = 255, /* nothing was dropped */
};

/* Room for reasons to come: the struct below must not change its size with each. */
#define BRUIT_DROP_MAX 96

/* "EMPTY", "LABEL_MISSING", ...; "NONE" for anything else. A static string. */
BRUIT_API const char *bruit_drop_name(enum bruit_drop reason);

/* The sentence of a reason; a static string. */
BRUIT_API const char *bruit_drop_text(enum bruit_drop reason);

struct bruit_stats {
    uint64_t datagrams_in;
    uint64_t datagrams_out;
    uint64_t bytes_in; /* of datagrams */
    uint64_t bytes_out;
    uint64_t messages_in; /* leaf messages that datagrams held */
    uint64_t streams_in;
    uint64_t streams_out;
    uint64_t stream_bytes_in;
    uint64_t stream_bytes_out;
    uint64_t send_failures; /* datagrams that the driver could not send */
    uint64_t stalls;        /* times this process came so late that its deadlines got the gap back */
    uint32_t health;        /* Lifeguard's local health: 0 is best */
    uint32_t rumours;       /* member news that waits to be told */
    uint64_t allocations;   /* times memory was asked for: at rest this stands still */
    uint64_t memory;      /* bytes allocated now */
    uint64_t memory_peak; /* and at most so far */
    uint64_t drops[BRUIT_DROP_MAX]; /* by enum bruit_drop */
};

#ifdef __cplusplus
}
#endif

#endif
