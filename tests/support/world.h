/*
 * A small world for tests of whole engines: members of a cluster, a network between them, and a clock that jumps.
 *
 * The network delays, loses and cuts; what is sent to an address that no member of the world has is kept for the
 * test (support/peer.h plays whoever lives there). Everything follows from the seed, which is printed whenever a
 * word here finds something wrong. Words that wait return false when what they wait for did not happen.
 */
#ifndef BR_TEST_SUPPORT_WORLD_H
#define BR_TEST_SUPPORT_WORLD_H

#include "base/rng.h"
#include "support/memory.h"

#include <bruit/bruit.h>

#define WORLD_NODES_MAX 128
#define WORLD_OUTSIDE UINT32_MAX
#define WORLD_START (10000 * BRUIT_SECOND)

struct world_event {
    uint32_t type;
    uint32_t changes;
    uint32_t request;
    uint32_t contacted;
    int error;     /* of the event; JOIN_DONE: of its first target */
    char name[64]; /* of the member it is about */
    char text[64]; /* JOIN_DONE: what the first target answered */
};

/* A record of a module on a member's disk, or a write on its way there. */
struct world_record {
    uint64_t token; /* of a write that is not there yet */
    size_t key_size;
    size_t value_size;
    bool is_delete;
    uint8_t *bytes; /* key, then value */
};

struct world_node {
    struct world *world;
    struct bruit_engine *engine; /* NULL: not running */
    struct test_memory memory;
    struct bruit_config config; /* of the next start */
    struct bruit_addr addr;
    char name[16];
    uint8_t *buffer; /* of exactly the size that engines are promised */
    bool is_paused;
    bool is_touched; /* has to be pulled */
    uint64_t ticks;
    uint64_t trace_hash; /* over all its records */
    uint8_t nonce[12];
    struct world_event *events;
    size_t event_count;
    struct world_record *records; /* its disk, with world.has_disks: outlives the process */
    size_t record_count;
    struct world_record *writes; /* fetched and not on it yet: lost with the process */
    size_t write_count;
    int disk_error; /* what the disk says to all further writes, which it does not keep */
    uint32_t life;  /* how often it was started */
};

/* A datagram to nobody of this world. */
struct world_letter {
    uint32_t from;
    struct bruit_addr to;
    size_t size;
    uint8_t bytes[];
};

/* A connection: `side` 0 dialled. */
struct world_line {
    uint32_t node[2]; /* or WORLD_OUTSIDE */
    uint32_t stream[2];
    struct bruit_addr to;
    bool is_open[2];
    uint8_t *bytes; /* written towards the outside */
    size_t size;
};

struct world {
    uint64_t seed;
    struct br_rng rng;
    bruit_time now;
    struct bruit_config config; /* what world_add() starts from: LAN defaults without compression */
    struct bruit_cipher cipher;
    int trace_level; /* DEBUG by default */
    struct world_node nodes[WORLD_NODES_MAX];
    uint32_t count;

    bruit_time latency;
    uint32_t loss; /* of 1,000 datagrams */
    uint8_t cut[WORLD_NODES_MAX][WORLD_NODES_MAX];
    /* Or NULL: may this datagram pass? */
    bool (*passes)(const struct world *world, uint32_t from, uint32_t to, struct bruit_bytes packet);
    /* Or NULL: sees each event before it is noted, with all that it carries. */
    void (*hears)(struct world *world, uint32_t node, const struct bruit_event *event);
    void *hearing; /* the test's own */
    bool has_disks; /* what engines write is kept, and durable after `disk_delay` */
    bruit_time disk_delay;
    uint64_t datagrams;
    uint64_t datagram_bytes;
    uint64_t stream_bytes;
    uint64_t connections;

    struct world_flight *flights;
    size_t flight_count;
    uint64_t flight_order;
    struct world_line *lines;
    size_t line_count;
    struct world_letter **letters;
    size_t letter_count;
    char *trace; /* lines: "NODE TEXT\n" */
    size_t trace_size;
    size_t trace_capacity;
};

struct world *world_new(uint64_t seed);
/* Ends all engines and checks, with abort(), that they gave all memory back and their views were consistent. */
void world_free(struct world *world);

/* One more member, not running: n0, n1, ... at 10.0.x.y:7946; change its .config, then start it. */
uint32_t world_add(struct world *world);
/* 0, or the error of bruit_engine_new(). */
int world_start(struct world *world, uint32_t node);
/* Adds and starts `count`; all but n0 join n0, one after the other. */
void world_cluster(struct world *world, uint32_t count);

/* The process is gone without a word; world_start() brings it back as new. */
void world_kill(struct world *world, uint32_t node);
/* SIGSTOP and SIGCONT: what arrives meanwhile is drained before anything else happens. */
void world_pause(struct world *world, uint32_t node);
void world_resume(struct world *world, uint32_t node);
/* Cuts (or heals) both directions between two; between those below `border` and the others. */
void world_cut(struct world *world, uint32_t a, uint32_t b, bool cut);
void world_partition(struct world *world, uint32_t border, bool cut);

int world_join(struct world *world, uint32_t node, uint32_t seed_node);
void world_leave(struct world *world, uint32_t node, bruit_time timeout);

/* Lets everybody do what is owed at this moment. Call it after inputs that the test makes itself. */
void world_settle(struct world *world, uint32_t node);
void world_run(struct world *world, bruit_time duration);
void world_run_until(struct world *world, bruit_time time);
typedef bool (*world_condition)(const struct world *world);
/* Runs until it holds, at most for `most`. */
bool world_wait(struct world *world, world_condition condition, bruit_time most);

/* Every running member sees exactly the running ones alive. */
bool world_all_alive(const struct world *world);
bool world_wait_all_alive(struct world *world, bruit_time most);

#define WORLD_UNKNOWN (-1)
/* What `a` believes of `b`: enum bruit_state, or WORLD_UNKNOWN. */
int world_state(const struct world *world, uint32_t a, uint32_t b);
bool world_wait_state(struct world *world, uint32_t a, uint32_t b, int state, bruit_time most);
/* What `node` believes of whoever has this name. */
int world_state_of(const struct world *world, uint32_t node, const char *name);
uint32_t world_incarnation_of(const struct world *world, uint32_t node, const char *name);

/* Events of one type about `name` (NULL: any) with one of `changes` (0: any) that `node` was given. */
size_t world_events(const struct world *world, uint32_t node, uint32_t type, const char *name,
                    uint32_t changes);
const struct world_event *world_last_event(const struct world *world, uint32_t node, uint32_t type);

/* How many lines `node` traced that contain `text`. */
size_t world_traced(const struct world *world, uint32_t node, const char *text);
bool world_expect_trace(const struct world *world, uint32_t node, const char *text);

struct bruit_stats world_stats(const struct world *world, uint32_t node);
uint64_t world_drops(const struct world *world, uint32_t node); /* of all reasons */

struct bruit_bytes world_bytes(const char *text);
struct bruit_addr world_addr(uint8_t a, uint8_t b, uint16_t port); /* 10.0.a.b */

/* The outside's ends of connections: what its test does with them. The index of a new line, or -1: refused. */
int world_dial(struct world *world, uint32_t node, const struct bruit_addr *from);
struct world_line *world_line_to(struct world *world, const struct bruit_addr *to); /* newest open; or NULL */
void world_line_opened(struct world *world, struct world_line *line);
void world_line_write(struct world *world, struct world_line *line, struct bruit_bytes bytes);
void world_line_close(struct world *world, struct world_line *line, int error);

#endif
