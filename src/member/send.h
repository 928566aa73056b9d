/*
 * What is owed to the network: an intention, not a packet.
 *
 * The machines of detect/ and spread/ say what they want sent; the engine encodes it when the driver asks,
 * with the newest gossip that fits. Small enough to be queued by the hundred.
 */
#ifndef BR_MEMBER_SEND_H
#define BR_MEMBER_SEND_H

#include <bruit/types.h>

enum br_send_kind {
    BR_SEND_NONE,
    BR_SEND_PING,     /* our own probe of `slot` (compound with a suspect message if it is suspect) */
    BR_SEND_INDIRECT, /* asks `slot` to probe `about` for us */
    BR_SEND_RELAYED,  /* a ping to `to` that we send for somebody else; `about` when we know who is meant */
    BR_SEND_ACK,      /* an answer to `to`; `payload`: with what the modules put into acks */
    BR_SEND_NACK,
    BR_SEND_GOSSIP, /* rumours to `slot` */
    BR_SEND_USER,   /* a module's message to `to` */
    BR_SEND_BEAT,   /* a round of heartbeat gossip to `slot` */
};

struct br_send {
    struct bruit_addr to; /* where the datagram goes, IPv4 in 4 bytes */
    uint32_t seq;         /* of the ping, indirect ping, ack or nack */
    uint32_t slot;        /* the member it goes to; 0 when it is not known as one */
    uint32_t about;       /* the member it is about, or 0 */
    uint32_t token;       /* the owner's own number for it */
    uint8_t kind;         /* enum br_send_kind */
    bool nack;            /* INDIRECT: a nack is wanted */
    bool payload;         /* ACK: direct answers carry a payload, relayed ones do not */
};

#endif
