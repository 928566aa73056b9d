/*
 * The simulated world: what its files share. <bruit/sim.h> is the manual.
 *
 *     world.c    configuration, birth and end          node.c     nodes: who, where, started and stopped
 *     host.c     the driver loop of one engine         stream.c   connections between engines
 *     net.c      the way of a datagram                 rule.c     faults on that way
 *     fault.c    faults of nodes                       preload.c  everybody knows everybody
 *     shard.c    time passes, on several threads       look.c     statistics, hashes, events
 *     clock.h    a node's own clock                    packet.c   memory of what is on its way
 *     store.c    what modules keep on a node's disk
 *
 * Nothing that happens may depend on how nodes are spread over shards: each node draws from a random stream
 * of its own, counts what it sends itself, and hears of others only through packets, whose order is time,
 * sender, count.
 */
#ifndef BR_SIM_SIM_H
#define BR_SIM_SIM_H

#include "base/rng.h"
#include "base/table.h"
#include "member/roster.h"
#include "sim/queue.h"
#include "sim/wheel.h"

#include <bruit/sim.h>
#include <bruit/trace.h>

#include <pthread.h>
#include <stdatomic.h>

/* Largest datagram an engine may write (config.packet_size_max + 8), and then some. */
#define BR_SIM_BUFFER 65600

/* Nodes stand in blocks of this many, so that a node never moves. */
#define BR_SIM_BLOCK 1024u

/* An agent's snapshot names all members; a join takes at most this many of them. */
#define BR_SIM_DISK_MAX 64

#define BR_SIM_PACKET_CLASSES 6

/* Large blocks of engines that are kept for the next who wants one. */
#define BR_SIM_KEPT_MAX 16

enum br_sim_kind {
    BR_SIM_DATAGRAM,
    BR_SIM_CONNECT,
    BR_SIM_OPENED,
    BR_SIM_BYTES,
    BR_SIM_END,
    BR_SIM_SENT,  /* of our own kernel: it has taken a chunk */
    BR_SIM_RETRY, /* a packet of a stream that has to be sent again */
};

struct br_sim_packet {
    struct br_sim_packet *next; /* in a pool or an inbox */
    uint64_t line;              /* number of the connection */
    struct bruit_addr from_addr;
    bruit_time born;     /* streams: when it was first tried */
    bruit_time released; /* streams: when the next may follow it */
    uint32_t from;
    uint32_t to;
    uint32_t size;
    int32_t error;      /* END */
    uint8_t kind;       /* enum br_sim_kind */
    uint8_t is;         /* RETRY: what it is */
    uint8_t size_class; /* of the pool; BR_SIM_PACKET_CLASSES: none */
    bool has_queued;    /* it has passed the receiver's line */
    uint8_t bytes[];
};

/* One end of a connection, at the node it belongs to. */
struct br_sim_line {
    uint64_t number; /* the dialler's number and count: the same at both ends */
    uint32_t stream; /* the engine's; 0: the engine is done with it */
    uint32_t peer;
    bruit_time last_arrival; /* of what we sent: nothing may overtake it */
    bruit_time retry_at;     /* what is sent before this waits for it */
    uint8_t tries;
    bool is_dialler;
};

/* What an agent's snapshot would tell it. */
struct br_sim_disk {
    struct bruit_addr members[BR_SIM_DISK_MAX];
    uint32_t count;
    uint64_t member_time;
    uint64_t event_time;
};

struct br_sim_clock {
    bruit_time base;  /* what it showed at `since` */
    bruit_time since; /* true time */
    bruit_time shown; /* the latest it ever showed, as far as we know: it does not go back */
    int32_t drift;
};

struct br_sim_shard;
struct br_sim_store; /* store.c */
struct guests;

struct br_sim_node {
    struct bruit_sim *sim;
    struct bruit_engine *engine;
    struct br_sim_shard *shard;
    uint32_t index;
    uint32_t zone;
    bool is_paused;
    bool is_stolen; /* starving: somebody else has the CPU */
    bool is_told;   /* a callback of the program is running */
    bool is_moved;  /* its address is not the one its number says */
    bool is_doomed; /* killed from one of its own callbacks: when that returns */
    bruit_time due; /* when its engine wants its tick, in true time */
    bruit_time alarm;
    bruit_time busy_until; /* a slow CPU works on something; BRUIT_NEVER: it is idle */
    bruit_time starve_next;
    uint64_t order; /* of the next thing it sends */
    uint64_t hash;
    uint64_t events; /* told so far */
    struct br_sim_clock clock;
    struct br_rng rng; /* of the way of what it sends, and of its own faults */
    uint64_t bandwidth_up;
    uint64_t bandwidth_down;
    bruit_time up_free; /* when its line is free again */
    bruit_time down_free;
    bruit_time cpu;
    bruit_time starve_run;
    bruit_time starve_stall;
    struct br_sim_packet *inbox; /* what waits in its sockets */
    struct br_sim_packet *inbox_last;
    uint64_t inbox_size;
    uint32_t inbox_since_tick;
    struct br_sim_line *lines;
    uint32_t line_count;
    uint32_t line_capacity;
    uint64_t line_next;
    struct bruit_addr addr;
    struct bruit_addr source; /* the same as packets show it: IPv4 in 4 bytes */
    uint8_t *name;
    uint32_t name_size;
    uint32_t starts;
    struct br_sim_disk *disk;
    struct br_sim_store *store; /* NULL: nothing was ever written */
    bool has_store;             /* its engine has */
    uint64_t nonce;
    uint32_t fail_memory; /* threshold of a 32-bit draw */
    struct br_rng fail_rng;
};

/* A link, with its fractions as thresholds of a 32-bit draw. */
struct br_sim_way {
    struct bruit_sim_link link;
    uint64_t loss;
    uint64_t burst_loss;
    uint64_t duplicate;
    uint64_t reorder;
    uint64_t corrupt;
    bool is_plain; /* latency and jitter only */
};

struct br_sim_rule {
    struct br_sim_rule *next;
    uint32_t id;
    struct bruit_sim_rule rule; /* without the sets */
    uint64_t *from;             /* one bit a node */
    uint64_t *to;
    size_t from_words;
    size_t to_words;
};

/* What all rules together do to one packet. */
struct br_sim_effect {
    bruit_time delay;
    bruit_time clog;
    uint64_t duplicate;
    uint64_t corrupt;
    uint32_t mtu;
    bool block;
    bool refuse;
    bool lose;
};

struct br_sim_box {
    struct br_sim_item *items;
    size_t count;
    size_t capacity;
};

struct br_sim_kept {
    void *memory;
    size_t size;
};

/*
 * Some nodes and what is on its way to them, on one thread. Lines of the cache are not shared with the next.
 */
struct br_sim_shard {
    _Alignas(64) struct bruit_sim *sim;
    uint32_t index;
    bruit_time now;
    struct br_sim_queue queue;
    struct br_alloc alloc;     /* of the shard's own things */
    struct br_sim_wheel wakes; /* by node / shards: when the node has something to do of its own accord */
    struct br_alloc roster_alloc;
    struct br_roster roster;
    struct br_sim_box *outbox[2]; /* by receiving shard: written in windows of this parity */
    bruit_time outbox_min[2];
    struct br_sim_packet *pool[BR_SIM_PACKET_CLASSES];
    struct bruit_sim_stats stats;
    uint64_t in_flight; /* modulo 2^64: sent by us less arrived at us */
    struct bruit_sim_event *told;
    uint64_t *told_order;
    size_t told_count;
    size_t told_capacity;
    struct br_sim_kept kept[BR_SIM_KEPT_MAX];
    uint32_t kept_count;
    size_t held; /* bytes of its engines and of the roster */
    uint8_t *buffer;
    pthread_t thread;
    bool has_thread;
    int job_status;
};

struct br_sim_act {
    bruit_time time;
    uint64_t order;
    bruit_sim_act act;
    void *context;
};

struct bruit_sim {
    struct bruit_sim_config config;
    struct br_sim_node **blocks;
    uint32_t count;
    uint32_t block_count;
    bruit_time now;
    struct br_sim_shard *shards;
    uint32_t shard_count;
    bruit_time window; /* no way is shorter */
    struct br_sim_way *ways;
    uint8_t *places; /* by node: its zone; PLACE_MOVED when the address is not the number's */
    struct br_alloc alloc;
    struct br_table by_addr; /* of moved nodes */
    struct br_table by_name;
    struct br_sim_rule *rules;
    uint32_t rule_last;
    struct br_sim_act *acts; /* a heap */
    size_t act_count;
    size_t act_capacity;
    uint64_t act_order;
    struct br_rng rng; /* the embedder's */
    struct bruit_sim_event *events;
    uint64_t *event_orders;
    size_t event_count;
    size_t event_next;
    size_t held_peak;
    atomic_bool interrupted;
    bool is_running; /* time passes: shards may be at work */
    uint32_t parity;
    const struct guests *guests; /* preload.c */
    bruit_time window_end;

    /* shard.c: work for all threads */
    void (*job)(struct br_sim_shard *shard);
    atomic_uint job_number;
    atomic_uint job_pending;
    atomic_bool is_ending;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    pthread_cond_t done;
    bool has_mutex;
};

#define BR_SIM_PLACE_MOVED 0x80u
#define BR_SIM_PLACE_ZONE 0x3fu

static inline struct br_sim_node *br_sim_node(const struct bruit_sim *sim, uint32_t index)
{
    return &sim->blocks[index / BR_SIM_BLOCK][index % BR_SIM_BLOCK];
}

static inline uint32_t br_sim_wake_id(const struct br_sim_node *node)
{
    uint32_t shards = node->sim->shard_count;
    return shards == 1 ? node->index : node->index / shards;
}

/* A 64-bit number made of others: the finalizer of splitmix64. */
static inline uint64_t br_sim_mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* A part of a million as what a 32-bit draw has to be below. */
static inline uint64_t br_sim_threshold(uint32_t fraction)
{
    return ((uint64_t)fraction << 32) / BRUIT_SIM_MILLION;
}

static inline bool br_sim_chance(struct br_rng *rng, uint64_t threshold)
{
    return threshold != 0 && br_rng_u64(rng) >> 32 < threshold;
}

/* Uniform in [0, most], cheap for what is below 4 s. */
bruit_time br_sim_up_to(struct br_rng *rng, bruit_time most);

/* ---- packet.c ---- */

/* Room for `size` bytes; NULL: no memory, which is noted. */
struct br_sim_packet *br_sim_packet_new(struct br_sim_shard *shard, size_t size);
void br_sim_packet_free(struct br_sim_shard *shard, struct br_sim_packet *packet);
void br_sim_packets_fini(struct br_sim_shard *shard);
/* Hands it to the shard of its receiver, or of `node` for what concerns the sender alone. Takes it over. */
void br_sim_launch(struct br_sim_node *sender, struct br_sim_packet *packet, uint32_t to, bruit_time at);

/* ---- net.c ---- */

void br_sim_way_init(struct br_sim_way *way, const struct bruit_sim_link *link);
const char *br_sim_link_check(const struct bruit_sim_link *link);
const struct br_sim_way *br_sim_way_of(const struct bruit_sim *sim, uint32_t from, uint32_t to);
/* The latency of one packet from `from` to `to`, drawn. */
bruit_time br_sim_latency(struct br_sim_node *from, uint32_t to, const struct br_sim_way *way);
/* When the last of `size` bytes has left; BRUIT_NEVER when too many wait already and `may_drop`. */
bruit_time br_sim_depart(struct br_sim_node *node, size_t size, bool may_drop);
/* The same for arrivals: BRUIT_NEVER when they do not fit; `now` when they are there. */
bruit_time br_sim_pass_line(struct br_sim_node *node, size_t size, bool may_drop);
void br_sim_send(struct br_sim_node *node, const struct bruit_datagram *datagram, const uint8_t *bytes);
void br_sim_lose(struct br_sim_shard *shard, enum bruit_sim_loss reason);

/* ---- rule.c ---- */

void br_sim_effect_of(struct br_sim_node *from, uint32_t to, uint32_t traffic, struct br_sim_effect *effect);
void br_sim_rules_fini(struct bruit_sim *sim);

/* ---- stream.c ---- */

void br_sim_stream_op(struct br_sim_node *node, const struct bruit_stream_op *op);
/* Tells the engine what came over a connection. */
void br_sim_stream_arrive(struct br_sim_node *node, struct br_sim_packet *packet);
/* Sends it now or waits; takes it over. */
void br_sim_stream_transmit(struct br_sim_node *node, struct br_sim_packet *packet);
/* Nobody listens there any more. */
void br_sim_stream_refuse(struct br_sim_node *node, const struct br_sim_packet *packet);
/* The process is gone: its kernel resets what was open. */
void br_sim_streams_reset(struct br_sim_node *node);

/* ---- host.c ---- */

/* Something has arrived at `node`; takes it over. */
void br_sim_arrive(struct br_sim_node *node, struct br_sim_packet *packet);
/* It is time for what the node does of its own accord. */
void br_sim_wake(struct br_sim_node *node);
/* Pulls all outputs, and asks the engine when it wants to be called. */
void br_sim_settle(struct br_sim_node *node);
/* Puts it into its shard's wakes as it now is. */
void br_sim_rearm(struct br_sim_node *node);
void br_sim_inbox_clear(struct br_sim_node *node);
void br_sim_input(struct br_sim_node *node, struct bruit_sim_input input);
static inline void br_sim_note(struct br_sim_node *node, uint64_t what)
{
    node->hash = (node->hash ^ what ^ node->shard->now) * UINT64_C(0x9e3779b97f4a7c15);
    node->hash ^= node->hash >> 32;
}

/* ---- node.c ---- */

int br_sim_nodes_reserve(struct bruit_sim *sim, uint32_t count);
/* bruit_sim_start(), with what is on its disk or with an empty one. */
int br_sim_start(struct br_sim_node *node, bool has_state);
void br_sim_stop(struct br_sim_node *node);
/* Who has this address: BRUIT_SIM_NOBODY when nobody has. */
uint32_t br_sim_whose(const struct bruit_sim *sim, const struct bruit_addr *addr);
void br_sim_disk_write(struct br_sim_node *node);

/* ---- store.c ---- */

void br_sim_disk_defaults(struct bruit_sim_config *config);
/* Takes over what the engine wants written, and begins to write it. */
void br_sim_store_pull(struct br_sim_node *node);
/* When br_sim_store_tell() has something to say. */
bruit_time br_sim_store_time(const struct br_sim_node *node);
void br_sim_store_tell(struct br_sim_node *node);
/* Hands everything to the program: 0, or its error. */
int br_sim_store_load(struct br_sim_node *node);
void br_sim_store_crash(struct br_sim_node *node);
void br_sim_store_wipe(struct br_sim_node *node);
int br_sim_store_copy(struct br_sim_node *to, const struct br_sim_node *from);
void br_sim_store_free(struct br_sim_node *node);

/* ---- fault.c ---- */

/* Without a word to anybody but what its kernel says. */
void br_sim_die(struct br_sim_node *node);

/* ---- shard.c ---- */

const char *br_sim_shards_init(struct bruit_sim *sim);
void br_sim_shards_fini(struct bruit_sim *sim);
/* Does `job` for all shards, on their threads, and waits until all are done. */
void br_sim_parallel(struct bruit_sim *sim, void (*job)(struct br_sim_shard *shard));

/* ---- memory of engines: packet.c ---- */

void br_sim_kept_fini(struct br_sim_shard *shard);
void *br_sim_node_resize(void *context, void *old, size_t old_size, size_t new_size);
void *br_sim_shard_resize(void *context, void *old, size_t old_size, size_t new_size);

/* ---- look.c ---- */

void br_sim_tell(struct br_sim_node *node, const struct bruit_event *event);
void br_sim_trace(void *context, const struct bruit_trace_record *record);

#endif
