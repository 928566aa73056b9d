/*
 * A testing peer: somebody outside the world of world.h who speaks memberlist and says whatever a test wants.
 *
 * Messages are gathered and then sent to one member as one datagram, at once and without a network in between; what
 * that member sends to the peer's address is decoded into leaf messages. The same with streams, either way round.
 */
#ifndef BR_TEST_SUPPORT_PEER_H
#define BR_TEST_SUPPORT_PEER_H

#include "codec/pushpull.h"
#include "support/wire.h"
#include "support/world.h"

#define PEER_BODIES_MAX (1u << 20)

struct peer_leaf {
    uint8_t type;
    bool checked;    /* its datagram had a checksum */
    uint32_t packet; /* counted over all datagrams that the peer read */
    struct bruit_addr to;
    struct bruit_bytes body;
};

struct peer {
    struct world *world;
    uint32_t node; /* whom it talks to */
    struct test_wire *wire;
    const char *name;
    struct bruit_addr addr;
    struct bruit_addr from; /* of its datagrams: `addr`, unless a test changes it */
    uint8_t vsn[6];
    uint8_t messages[65536]; /* gathered */
    uint16_t sizes[BR_COMPOUND_PARTS_MAX];
    size_t count;
    size_t used;
    struct peer_leaf *leaves;
    size_t leaf_count;
    uint32_t packets;
    uint32_t seq;
};

/* 10.9.0.NUMBER:7946, versions 1 5 2 2 5 5. */
struct peer *peer_new(struct world *world, uint32_t node, const char *name, uint8_t number);
void peer_free(struct peer *peer);

/* ---- saying: each adds a message; peer_send() sends them all ---- */
void peer_ping(struct peer *peer, uint32_t seq, const char *node); /* with the source triple */
void peer_add_ping(struct peer *peer, const struct br_ping *ping);
void peer_add_indirect(struct peer *peer, const struct br_indirect_ping *ping);
void peer_ack(struct peer *peer, uint32_t seq);
void peer_nack(struct peer *peer, uint32_t seq);
void peer_suspect(struct peer *peer, const char *node, uint32_t incarnation, const char *from);
void peer_dead(struct peer *peer, const char *node, uint32_t incarnation, const char *from);
/* The peer itself, alive. */
void peer_alive(struct peer *peer, uint32_t incarnation);
/* Another member called `name`, at 10.8.0.NUMBER; `alive_as` lets the test change what it says. */
struct br_alive peer_other(const struct peer *peer, const char *name, uint8_t number, uint32_t incarnation);
void peer_add_alive(struct peer *peer, const struct br_alive *alive);
void peer_raw(struct peer *peer, struct bruit_bytes message);
/* 0, or what bruit_recv_datagram() returned. */
int peer_send(struct peer *peer);
int peer_send_bytes(struct peer *peer, struct bruit_bytes packet);

/* ---- hearing ---- */
/* Decodes what was sent to the peer (or, with NULL, to anybody outside) since the last call; forgets older leaves. */
void peer_hear_at(struct peer *peer, const struct bruit_addr *addr);
void peer_hear(struct peer *peer);
size_t peer_heard(const struct peer *peer, uint8_t type);
/* The first leaf of a type from index *from on, which moves behind it; NULL when there is none. */
const struct peer_leaf *peer_next(const struct peer *peer, uint8_t type, size_t *from);
bool peer_heard_alive(const struct peer *peer, const char *name, struct br_alive *out); /* the newest */
bool peer_heard_suspect(const struct peer *peer, const char *name, struct br_suspect *out);
bool peer_heard_dead(const struct peer *peer, const char *name, struct br_dead *out);
bool peer_heard_ack(const struct peer *peer, uint32_t seq);
bool peer_heard_nack(const struct peer *peer, uint32_t seq);
bool peer_heard_ping(const struct peer *peer, const char *node, struct br_ping *out);

/* Lets time pass in small steps, answering each ping for the peer's name: it stays a healthy member. */
void peer_live(struct peer *peer, bruit_time duration);

/* ---- streams ---- */
/* What came back: the answer's type, or -1 (closed without one), -2 (nothing yet). */
#define PEER_CLOSED (-1)
#define PEER_SILENCE (-2)
struct peer_answer {
    int type;
    bool closed;
    struct br_pushpull_header header;
    struct br_entry entries[64];
    size_t count;
    struct bruit_bytes state;
    char text[256]; /* of an err */
    struct br_ack ack;
};
/* Writes a push/pull message into `buffer`; returns its size. */
size_t peer_write_state(uint8_t *buffer, size_t capacity, bool join, const struct br_entry *entries,
                        size_t count, struct bruit_bytes state);
struct br_entry peer_entry(const struct peer *peer, const char *name, uint8_t number, uint32_t incarnation,
                           uint8_t state);
/* Dials, sends a message in the usual frame, reads the answer. The line is in *line (an index), if not NULL. */
void peer_ask(struct peer *peer, struct bruit_bytes message, struct peer_answer *answer, int *line);
void peer_sync(struct peer *peer, bool join, const struct br_entry *entries, size_t count,
               struct peer_answer *answer);
/* Reads what stands in `line` so far. */
void peer_read_answer(struct peer *peer, const struct world_line *line, struct peer_answer *answer);
/* The same for what the member asked us: it dialled, so a label may stand before it. */
void peer_read_request(struct peer *peer, const struct world_line *line, struct peer_answer *request);
/* A member has dialled the peer: accepts, reads its request, answers with `message` in the usual frame. */
bool peer_serve(struct peer *peer, struct bruit_bytes message, struct peer_answer *request);

#endif
