/*
 * The modules' messages to everybody: the same transmit-limited queue, in three orders of urgency, in what room the
 * rumours have left (docs/wire/memberlist.md 8.5; docs/wire/serf.md, the three queues).
 *
 * A message is copied once. One that is longer than a packet's budget is kept and never fits, as upstream: it is
 * counted as waiting, but no round is held for its sake.
 */
#ifndef BR_SPREAD_BROADCAST_H
#define BR_SPREAD_BROADCAST_H

#include "base/buf.h"
#include "codec/packet.h"
#include "member/core.h"
#include "spread/queue.h"

#define BR_BROADCAST_ORDERS 3
/* And one for each capability of <bruit/module.h>: what only members that carry that module may be told. */
#define BR_BROADCAST_QUEUES (BR_BROADCAST_ORDERS + 8)
/*
 * Serf's MaxQueueDepth. Beyond it an order drops what was told most often, the shortest and oldest of that first, and
 * says so. Serf looks every 30 s and cuts down then; here an order is never longer.
 */
#define BR_BROADCAST_MAX 4096
/* What each message costs besides its bytes: its length in the compound, and the type byte of a user message. */
#define BR_BROADCAST_OVERHEAD (BR_PACKET_MESSAGE_OVERHEAD + 1)

struct br_broadcast_item {
    struct br_buf *message; /* NULL: free, or done */
    uint64_t handle;
    uint32_t next; /* of a free item, or of one that is done: the next such */
};

struct br_broadcast_order {
    struct br_queue queue;
    struct br_broadcast_item *items; /* index 0 unused */
    uint32_t capacity;
    uint32_t used;
    uint32_t free;
    uint32_t done_first;
    uint32_t done_last;
    bruit_time complain_at; /* not before this again: a flood would fill the log */
};

struct br_broadcast {
    struct br_core *core;
    struct br_broadcast_order orders[BR_BROADCAST_QUEUES];
    uint64_t handle;   /* the last one given */
    size_t room_whole; /* of an empty packet */
    uint32_t members;  /* n of the retransmit limit; 0: view.count */
    bool stuck;        /* what waits did not even fit an empty packet */
    uint8_t stuck_peers; /* the same of what waits for peers, by capability */
};

void br_broadcast_init(struct br_broadcast *b, struct br_core *core);
void br_broadcast_fini(struct br_broadcast *b);

/* The budget of an empty packet, whenever it changes (keys, label). Until it is told every message may fit. */
void br_broadcast_set_room(struct br_broadcast *b, size_t room);

/* How many members the retransmit limit counts with (Serf: its own table); 0: those of the view. */
void br_broadcast_set_members(struct br_broadcast *b, uint32_t members);

/* The order of what is for members with this capability (one bit) alone. */
uint32_t br_broadcast_order_of(uint8_t capability);

/* Queues a copy: 0 with a handle that is never 0 nor used again; BRUIT_EINVAL (order), BRUIT_ENOMEM, or
 * BRUIT_ETOOBIG (beyond 65,535 bytes). */
int br_broadcast_add(struct br_broadcast *b, struct bruit_bytes message, uint32_t order, uint64_t *handle);

/* How many wait in one order. */
uint32_t br_broadcast_count(const struct br_broadcast *b, uint32_t order);

/* Is there anything for everybody that gossip rounds should be held for? */
bool br_broadcast_waits(const struct br_broadcast *b);
/* The capabilities that messages for peers alone wait for, as far as there are such peers. */
uint8_t br_broadcast_peers(const struct br_broadcast *b);
/* Is there anything for everybody that nobody was told yet? And the same for those capabilities. */
bool br_broadcast_has_untold(const struct br_broadcast *b);
uint8_t br_broadcast_untold_peers(const struct br_broadcast *b);

/*
 * As br_gossip_fill(); each message goes in as a user message (08 and its bytes). What is for peers alone goes in as
 * far as whoever gets the packet `carries` the capability; with `peers_only` nothing else does.
 */
size_t br_broadcast_fill(struct br_broadcast *b, struct br_packet_builder *builder, size_t room, uint8_t carries,
                         bool peers_only);

/*
 * A copy of a message of ours was heard: somebody else tells it, too. It counts as a transmission, once the message
 * went out to the targets of two rounds: whoever relies on us has been told twice then, and the one after it once.
 */
void br_broadcast_heard(struct br_broadcast *b, uint64_t handle);

/* A broadcast that was sent as often as it will be: its handle, or 0. */
uint64_t br_broadcast_next_done(struct br_broadcast *b);

#endif
