/*
 * Gossip: news of members, told to a few at random until it has been told often enough (SWIM section 4.1;
 * docs/wire/memberlist.md 8.1, 8.3, 8.4).
 *
 * A *rumour* is an alive, suspect or dead message that waits to be sent. There is one for each member that there is
 * news of: newer news takes the place of older. Our own refutations are kept apart, as memberlist does: they displace
 * each other and nothing else. Rumours travel in packets of a round, and in what room other packets have left.
 *
 * Timer: the next round. Rounds stand on a grid of config.gossip_interval with a random phase, and come only while
 * there is something to tell and somebody to tell it to. Our improvement, `eager`: news does not wait for the grid but
 * goes out within BR_GOSSIP_JITTER, as long as a budget of bytes a second lasts; a burst falls back to the grid. Each
 * transmission still counts towards the limit, so the total stays what it was.
 */
#ifndef BR_SPREAD_GOSSIP_H
#define BR_SPREAD_GOSSIP_H

#include "base/ring.h"
#include "base/table.h"
#include "codec/packet.h"
#include "member/core.h"
#include "member/pick.h"
#include "member/send.h"
#include "spread/queue.h"

/* News waits this long at most, at random, so that what comes in one burst leaves in one packet. */
#define BR_GOSSIP_JITTER (20 * BRUIT_MILLISECOND)
/* Modules' news are single messages that somebody waits for: seven hops at 2 ms reach 50 members in some 20 ms. */
#define BR_GOSSIP_JITTER_MODULES (4 * BRUIT_MILLISECOND)
/* Successors on the ring that are told: the nearest of news, then by turns of what is repeated. */
#define BR_GOSSIP_SUCCESSORS_USUAL 2
/*
 * Members of other makes tell random members alone, so whoever follows one on the ring has nobody whose duty it is to
 * tell him. Where we know who is of our make, all are ours to tell from us to the next of those: at most so many, since
 * among 50 the eight transmissions of a message are three rounds with two successors in each.
 */
#define BR_GOSSIP_SUCCESSORS 6
/*
 * Eager rounds may cost this many bytes a second, a megabit, saved up to the burst: some 30 full rounds a second at
 * fan-out 3. Of 200 events of 128 bytes a second, ten agents miss none; with a quarter of it each missed 20 in 100.
 */
#define BR_GOSSIP_EAGER_RATE 131072
#define BR_GOSSIP_EAGER_BURST 131072

enum br_rumour_kind {
    BR_RUMOUR_FREE,
    BR_RUMOUR_ALIVE,
    BR_RUMOUR_SUSPECT,
    BR_RUMOUR_DEAD,
};

struct br_rumour {
    uint32_t name;   /* the subject's: held; of a free entry: next free */
    uint32_t record; /* ALIVE: held */
    uint32_t from;   /* SUSPECT, DEAD: the accuser's name, held; 0: none */
    uint32_t incarnation;
    uint32_t watch; /* or 0 */
    uint8_t kind;   /* enum br_rumour_kind */
};

struct br_gossip {
    struct br_core *core;
    struct br_rng rng;
    struct br_queue queue;     /* items are indexes of `rumours` */
    struct br_rumour *rumours; /* index 0 unused */
    struct br_table by_name;   /* name number -> index; the refutation is not in it */
    struct br_ring done;       /* uint32_t: watches that ended */
    bruit_time phase;          /* of the grid */
    bruit_time next_round;     /* BRUIT_NEVER: none is wanted */
    bruit_time saved_at;       /* when `savings` was reckoned */
    int64_t savings;           /* bytes that eager rounds may still cost; below 0: debts */
    uint32_t capacity;
    uint32_t used;
    uint32_t free;
    uint32_t refutation; /* its index, or 0 */
    uint32_t watch;      /* the last number given */
    uint32_t watching;   /* watches that have not ended */
    uint32_t targets[BR_PICK_MAX];
    uint32_t target_count;
    uint32_t target_next;
    struct br_gossip_told {
        uint32_t slots[BR_PICK_MAX]; /* in the last round */
        uint32_t count;
    } told[2]; /* of rounds for all, and of rounds for peers */
    uint32_t successors[BR_GOSSIP_SUCCESSORS]; /* slots, 0: none; as long as the view is the same */
    uint64_t ring_checksum;                    /* of the view they were found in */
    uint32_t peers[BR_GOSSIP_SUCCESSORS];      /* the same among those who carry something of `ring_carries` */
    uint8_t ring_carries;                      /* 0: not looked for */
    uint32_t limit;                            /* of transmissions, among `limit_members` */
    uint32_t limit_members;
    bool eager;        /* on by default; may be changed at any time */
    bool next_eager;   /* the next round is off the grid */
    bool round_eager;  /* the round at hand is */
    bool has_news;     /* something came in since the last round */
    bool modules_wait; /* something of the modules waits too: br_gossip_wake() */
    bool round_peers;  /* the round at hand is for peers alone: br_gossip_is_for_peers() */
    bool next_peers;   /* the next one is, if both kinds of news wait */
    uint8_t peers_wait; /* the capabilities that messages to peers alone wait for */
};

void br_gossip_init(struct br_gossip *g, struct br_core *core, bruit_time now);
void br_gossip_fini(struct br_gossip *g);

/*
 * News to be passed on. Each returns 0, or BRUIT_ENOMEM, or BRUIT_ETOOBIG (longer than a message can be, or an
 * accuser of more than BRUIT_NAME_MAX bytes), and has then changed nothing: call them before the view changes.
 * `record` and the member's name are held as long as needed. `name` is the roster's number of the subject, in use.
 */
int br_gossip_alive(struct br_gossip *g, uint32_t record, uint32_t incarnation, bruit_time now);
int br_gossip_suspect(struct br_gossip *g, uint32_t name, uint32_t incarnation, struct bruit_bytes from,
                      bruit_time now);
int br_gossip_dead(struct br_gossip *g, uint32_t name, uint32_t incarnation, struct bruit_bytes from,
                   bruit_time now);
/* An alive about ourselves that answers an accusation. */
int br_gossip_refute(struct br_gossip *g, uint32_t record, uint32_t incarnation, bruit_time now);

/* The next `extra` of the calls above need no memory but for the names of new accusers: 0, or BRUIT_ENOMEM. */
int br_gossip_reserve(struct br_gossip *g, uint32_t extra);

/* Nothing waits to be told any more; watches end. For a host that lets everybody know everything. */
void br_gossip_forget(struct br_gossip *g);

/*
 * Watches the rumour that waits about `name`: the number returned comes out of br_gossip_next_done() once it was told
 * as often as it will be, or was displaced. 0 when there is none, or no memory.
 */
uint32_t br_gossip_watch(struct br_gossip *g, uint32_t name);
/* A watch that ended, or 0. */
uint32_t br_gossip_next_done(struct br_gossip *g);

/*
 * Whether modules have something to be told (`wait`), and whether it is new (`fresh`: worth an eager round). To be
 * called when a module queues a broadcast, and with wait = false when nothing of theirs waits any more.
 */
void br_gossip_wake(struct br_gossip *g, bool wait, bool fresh, bruit_time now);

/*
 * The same for messages that only members with certain capabilities may be told (`peers`: their bits, 0: none waits).
 * Where everybody has them they travel in the same rounds as all other news. In a mixed cluster they have rounds of
 * their own, by turns: in others' rounds they would miss the successor they need, and others would miss theirs in ours.
 */
void br_gossip_wake_peers(struct br_gossip *g, uint8_t peers, bool fresh, bruit_time now);

/* Is the round at hand for peers alone? Then nothing else goes into its packets. */
static inline bool br_gossip_is_for_peers(const struct br_gossip *g);

/* What somebody carries has become known: who succeeds us among the peers must be found anew. */
void br_gossip_peers_changed(struct br_gossip *g);

bruit_time br_gossip_deadline(const struct br_gossip *g);
void br_gossip_tick(struct br_gossip *g, bruit_time now);

/*
 * The next member to be told something (BR_SEND_GOSSIP); false when the round is over. If nothing could be put into
 * its packet, forget it and ask again.
 */
bool br_gossip_next(struct br_gossip *g, struct br_send *send);
/* A packet of a round was made; `size` bytes of it count against what eager rounds may cost. */
void br_gossip_sent(struct br_gossip *g, size_t size, bruit_time now);

/* The next live member on the ring, who relies on us to hear news; 0 when there is nobody. */
uint32_t br_gossip_successor(struct br_gossip *g);
/*
 * A member has become what it is now; before that the view's checksum was `checksum_before`. Where this was not
 * called, all members are gone through to find the successors anew, which in a large cluster that is just gathering
 * would happen every round.
 */
void br_gossip_follow(struct br_gossip *g, uint32_t slot, uint64_t checksum_before);

/*
 * Puts rumours into a packet: what fits into `room` bytes of its budget, each with BR_PACKET_MESSAGE_OVERHEAD. Each is
 * thereby told once more. Returns the bytes of the budget that were used.
 */
size_t br_gossip_fill(struct br_gossip *g, struct br_packet_builder *builder, size_t room);

static inline bool br_gossip_is_for_peers(const struct br_gossip *g)
{
    return g->round_peers;
}

/* How many rumours wait. */
static inline uint32_t br_gossip_count(const struct br_gossip *g)
{
    return br_queue_count(&g->queue);
}

#endif
