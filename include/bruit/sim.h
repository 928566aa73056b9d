/*
 * The simulator: a cluster of real engines on a network that is made up, with a clock that jumps.
 *
 * It hosts the engine of this library itself, not a model of it, so a program that embeds bruit can be tested
 * on a cluster of a thousand, under every fault, in milliseconds, and comes out the same each time:
 *
 *     struct bruit_sim_config config;
 *     bruit_sim_config_default(&config);
 *     config.seed = 1;
 *     config.nodes = 1000;
 *     config.link.loss = 20000;                          2 % of the datagrams
 *     bruit_sim_new(&sim, &config, why, sizeof why);
 *     bruit_sim_preload(sim);                            everybody knows everybody, without a storm of joins
 *     bruit_sim_run(sim, 10 * BRUIT_SECOND);
 *     bruit_sim_kill(sim, 17);
 *     bruit_sim_wait(sim, everybody_noticed, NULL, 60 * BRUIT_SECOND, 0);
 *     bruit_sim_free(sim);
 *
 * **Nodes** are numbered from 0 and never disappear; each runs at most one engine at a time. What everybody
 * knows as a *member* is an engine's own number for it (bruit_node): bruit_sim_find() and bruit_sim_node_of()
 * translate.
 *
 * **Time** is true time since the start of the world, in nanoseconds. Each node has a clock of its own, which
 * may drift and jump: requests to its engine take bruit_sim_clock(), not bruit_sim_now(). At one moment,
 * datagrams and stream chunks arrive in the order of their senders' numbers, then disks answer and timers are
 * served; the engine is pulled after each.
 *
 * **Same seed, same run**: on every machine, with every compiler, in one shard or in many. bruit_sim_hash()
 * says so.
 *
 * **Threads.** All functions belong to the thread that made the world. With `shards` above 1 the world starts
 * threads of its own, and the callbacks marked *node* run on them while bruit_sim_run() and its like are
 * under way: such a callback may touch the engine of its own node and the state its program keeps for that
 * node, nothing else. With one shard everything runs on the caller's thread. on_event and on_alarm may then
 * call all functions but those that let time pass: a node that kills itself is gone when its callback
 * returns, and can be started again after that. on_packet, on_input and on_trace only look, whatever the
 * shards.
 *
 * **Fractions** are parts in a million: 10000 is 1 %. Chance comes from the seed; no floating point decides
 * anything.
 */
#ifndef BRUIT_SIM_H
#define BRUIT_SIM_H

#include <bruit/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bruit_sim;
struct bruit_trace_record; /* <bruit/trace.h> */

#define BRUIT_SIM_MILLION 1000000u
#define BRUIT_SIM_NODES_MAX 1000000u
#define BRUIT_SIM_ZONES_MAX 64u
#define BRUIT_SIM_SHARDS_MAX 64u
#define BRUIT_SIM_NOBODY UINT32_MAX

/* ------------------------------------------------------------------ the network */

/* How the part of the latency that varies is distributed. */
enum bruit_sim_shape {
    BRUIT_SIM_UNIFORM,   /* between 0 and `jitter` */
    BRUIT_SIM_LOGNORMAL, /* median `jitter`, sigma 1: one in 10 is above 3.6 medians */
};

/*
 * One direction between two zones. The latency of a datagram is `latency`, and a share of `spread` that
 * belongs to the pair of nodes and never changes, and a share of `jitter` that is drawn for each. Streams
 * have the same latency, keep their order, and suffer from loss by waiting for retransmissions.
 *
 * Loss comes in two kinds. `loss` hits each datagram by itself. Bursts (Gilbert and Elliott's bad state) come
 * to each pair of nodes once in `burst_every` on average and last `burst_length` on average; `burst_loss` is
 * what is lost in them. 0 for `burst_every` is no bursts.
 */
struct bruit_sim_link {
    bruit_time latency; /* at least BRUIT_SIM_LATENCY_MIN */
    bruit_time spread;
    bruit_time jitter;
    enum bruit_sim_shape shape;
    uint32_t loss;
    uint32_t burst_loss;
    bruit_time burst_every;
    bruit_time burst_length; /* below burst_every */
    uint32_t duplicate;      /* arrives twice, the second some `reorder_delay` later */
    uint32_t reorder;        /* is delayed by up to `reorder_delay` more, so that others overtake it */
    bruit_time reorder_delay;
    uint32_t corrupt; /* one to four of its bits are flipped */
    uint32_t mtu;     /* longer datagrams vanish without a word; 0: none do */
};

#define BRUIT_SIM_LATENCY_MIN BRUIT_MICROSECOND

/* 0.5 ms and up to 0.5 ms more, uniform; nothing is lost. */
BRUIT_API void bruit_sim_link_default(struct bruit_sim_link *link);

/* ------------------------------------------------------------------ the world */

struct bruit_sim_packet;
struct bruit_sim_input;

struct bruit_sim_config {
    size_t struct_size; /* set by bruit_sim_config_default() */
    uint64_t seed;      /* of everything; engines get seeds drawn from it */
    uint32_t nodes;     /* how many there are at first: as bruit_sim_add() with no options. None is running */
    uint32_t shards;    /* threads, 1 to 64; default 1. Never changes what happens */

    /*
     * What each node's engine is configured as: LAN defaults without compression. Borrowed for the call, but
     * what it points to (modules, keys, label) must outlive the world. `name`, `advertise` and `seed` are
     * filled in for each node: "n17"; 10.x.y.z:7946, where x.y.z is the number and 1; a draw from the seed.
     */
    struct bruit_config engine;

    /*
     * Or NULL: may change the configuration of `node` before each start of its engine: mixed versions,
     * modules of the embedder's own, keys. Everything is filled in. What it points to is borrowed until the
     * callback is called again. Return 0, or an error that the start then fails with. The caller's thread.
     */
    int (*configure)(void *context, struct bruit_sim *sim, uint32_t node, struct bruit_config *engine);

    /* Or NULL: the engine of `node` has just been made, or is about to be freed. The caller's thread. */
    void (*on_start)(void *context, struct bruit_sim *sim, uint32_t node, struct bruit_engine *engine);
    void (*on_stop)(void *context, struct bruit_sim *sim, uint32_t node, struct bruit_engine *engine);

    /*
     * Or NULL: a restart with state finds this on its disk, right after on_start() and before any input: hand it to the
     * module whose name `space` is (kv: bruit_kv_load). One call a record, in the order of their names; the bytes are
     * valid for the call. Return 0, or an error that the start then fails with. The caller's thread.
     */
    int (*on_load)(void *context, struct bruit_sim *sim, uint32_t node, struct bruit_engine *engine,
                   struct bruit_bytes space, struct bruit_bytes key, struct bruit_bytes value);

    /*
     * Or NULL (*node*): each event of a node's engine. It lives until the next input. May make requests on
     * this engine (time: bruit_sim_clock()); what they produce is sent when the callback returns.
     */
    void (*on_event)(void *context, struct bruit_sim *sim, uint32_t node, const struct bruit_event *event);
    /*
     * Or NULL (*node*): the alarm that bruit_sim_alarm() set has come. For programs with timers of their own.
     */
    void (*on_alarm)(void *context, struct bruit_sim *sim, uint32_t node);
    /* Or NULL (*node*: the sender's): a datagram leaves. Return false to lose it (BRUIT_SIM_LOST_FILTER). */
    bool (*on_packet)(void *context, struct bruit_sim *sim, const struct bruit_sim_packet *packet);
    /* Or NULL (*node*): what an engine is told, before it is: enough to replay that engine alone. */
    void (*on_input)(void *context, struct bruit_sim *sim, uint32_t node,
                     const struct bruit_sim_input *input);
    /* Or NULL (*node*): each trace record up to `trace_level`; its times are the node's clock's. */
    void (*on_trace)(void *context, struct bruit_sim *sim, uint32_t node,
                     const struct bruit_trace_record *record);
    void *context; /* for all of them */

    /*
     * What is traced, and covered by the hash; BRUIT_TRACE_OFF by default. All decisions: BRUIT_TRACE_DEBUG.
     */
    int trace_level;

    /* The network inside a zone and, with `zones` 1 (the default), everywhere. */
    struct bruit_sim_link link;
    /*
     * More zones: `links[from * zones + to]`; NULL: `link` everywhere. Borrowed for the call. Node i is put
     * into zone i * zones / nodes unless its options say otherwise.
     */
    uint32_t zones;
    const struct bruit_sim_link *links;

    /*
     * What a node can send and take in bytes a second, 0: any; beyond it bytes queue, and beyond `queue_max`
     * bytes (default 256 KiB) datagrams are lost. Default of each node's options.
     */
    uint64_t bandwidth_up;
    uint64_t bandwidth_down;
    uint32_t queue_max;
    /* Bytes that wait for a node that is paused or slow; default 2 MiB. Datagrams beyond are lost. */
    uint32_t socket_max;

    /*
     * Disks, with engine.has_store. All that is owed when a disk is idle is one transaction; it is durable, and the
     * engine told, `disk_latency` and up to `disk_jitter` later (2 ms and up to 2 ms more by default: a database that
     * waits for its SSD). A crash loses what was not durable; with `disk_torn` some first part of it, drawn, is
     * there nevertheless, which nobody was told of. Order is kept in any case.
     */
    bruit_time disk_latency;
    bruit_time disk_jitter;
    bool disk_torn;

    /* All engines probe at the same instants, as the SWIM paper reckons. Default: their phases are drawn. */
    bool in_step;
    /* Or NULL: the engines' cipher, needed with keys. With several shards it must bear several threads. */
    const struct bruit_cipher *cipher;
    bool keep_events;    /* bruit_sim_next_event() tells them */
    uint64_t memory_max; /* of the whole world, in bytes; see bruit_sim_memory_needed(). 0: no limit */

    /* For tests of bruit itself: neither may change what happens. */
    uint64_t permute; /* not 0: the rosters number names and identities in an order drawn from this */
    int poison;       /* 1 to 255: memory is handed out filled with this byte; 0: as it comes */
    /* Each engine its own roster, as in production. Costs memory by the square; with bruit_sim_fail_memory()
     * another run, since its tables ask for memory, too. */
    bool private_rosters;
};

BRUIT_API void bruit_sim_config_default(struct bruit_sim_config *config);

/*
 * Says what is wrong with `config`: NULL when nothing is, else a static sentence that says what to do. The
 * engines' configuration is looked at, too, as it stands before `configure`.
 */
BRUIT_API const char *bruit_sim_config_check(const struct bruit_sim_config *config);

/* How many bytes a world of this configuration takes when everybody knows everybody; a little too much. */
BRUIT_API uint64_t bruit_sim_memory_needed(const struct bruit_sim_config *config);

/*
 * Makes a world at time 0 in which nothing runs yet. Says in `why` (`why_size` bytes, may be NULL) what is
 * wrong:
 *   BRUIT_EINVAL   the configuration
 *   BRUIT_ETOOBIG  more than memory_max would be needed
 *   BRUIT_ENOMEM   no memory, or no threads
 */
BRUIT_API int bruit_sim_new(struct bruit_sim **out, const struct bruit_sim_config *config, char *why,
                            size_t why_size);
BRUIT_API void bruit_sim_free(struct bruit_sim *sim); /* NULL is fine */

/* ------------------------------------------------------------------ nodes */

/* What one node is. Take the defaults, change what you need. */
struct bruit_sim_node {
    size_t struct_size;
    struct bruit_bytes name; /* empty: "n" and the number. Two nodes of one name are a clone or a mistake */
    struct bruit_addr addr;  /* size 0: 10.x.y.z:7946. An address that another node has: that one loses it */
    uint32_t zone;           /* UINT32_MAX: as the configuration says */
    uint64_t bandwidth_up;   /* bytes a second; 0: any */
    uint64_t bandwidth_down;
    bruit_time clock; /* what its clock shows at time 0; default 10,000 s. Engines must not care */
    int32_t drift;    /* its clock runs this many parts in a million too fast */
    bruit_time cpu;   /* how long it takes over each input; 0: no time at all */
};

BRUIT_API void bruit_sim_node_default(const struct bruit_sim *sim, struct bruit_sim_node *node);

/*
 * One more node, not running; `options` NULL: the defaults. `node` may be NULL. 0, BRUIT_EINVAL (zone, name or
 * address), BRUIT_ENOMEM.
 */
BRUIT_API int bruit_sim_add(struct bruit_sim *sim, const struct bruit_sim_node *options, uint32_t *node);
BRUIT_API uint32_t bruit_sim_count(const struct bruit_sim *sim);

/*
 * `node` must exist, here and below. 0, BRUIT_EEXIST when it runs, or the error of `configure` or
 * bruit_engine_new().
 */
BRUIT_API int bruit_sim_start(struct bruit_sim *sim, uint32_t node);

/*
 * Starts whoever is not running, and gives everybody who is running the full view: all are alive, nobody has
 * news to tell, and the order in which each will probe is drawn. Nodes that share a name or an address are
 * left out, except the first. Returns 0, or an error as bruit_sim_start(). Cost: some 40 bytes and 15 ns for
 * each pair of nodes.
 */
BRUIT_API int bruit_sim_preload(struct bruit_sim *sim);
/*
 * The same for the nodes `first` to `first + count - 1` among themselves: two clusters, or newcomers to come.
 */
BRUIT_API int bruit_sim_preload_some(struct bruit_sim *sim, uint32_t first, uint32_t count);

/*
 * bruit_join() and bruit_leave() for `node`; the targets are nodes, and `request` may be NULL. They return what
 * those do, or BRUIT_ENOENT when it is not running.
 */
BRUIT_API int bruit_sim_join(struct bruit_sim *sim, uint32_t node, const uint32_t *targets, size_t count,
                             uint32_t *request);
BRUIT_API int bruit_sim_leave(struct bruit_sim *sim, uint32_t node, bruit_time timeout);

/* The engine of `node`, for requests and for reading; NULL when none is running. */
BRUIT_API struct bruit_engine *bruit_sim_engine(const struct bruit_sim *sim, uint32_t node);
/* What its clock shows: the time for requests on its engine. */
BRUIT_API bruit_time bruit_sim_clock(const struct bruit_sim *sim, uint32_t node);
/* True time where `node` is: what bruit_sim_now() is outside of callbacks, and in them with one shard. */
BRUIT_API bruit_time bruit_sim_time(const struct bruit_sim *sim, uint32_t node);
/*
 * After requests made directly on its engine, except from within on_event and on_alarm: sends what they
 * produced.
 */
BRUIT_API void bruit_sim_kick(struct bruit_sim *sim, uint32_t node);
/*
 * Lets on_alarm() be called at `time` (true time; BRUIT_NEVER: not at all); the earlier alarm of the node is
 * gone.
 */
BRUIT_API void bruit_sim_alarm(struct bruit_sim *sim, uint32_t node, bruit_time time);

/*
 * The member that `node` knows under the name of `about`, or 0; and which node a member of `node` is, or
 * NOBODY.
 */
BRUIT_API bruit_node bruit_sim_find(const struct bruit_sim *sim, uint32_t node, uint32_t about);
BRUIT_API uint32_t bruit_sim_node_of(const struct bruit_sim *sim, uint32_t node, bruit_node member);
/* What `node` believes of `about`: an enum bruit_state, or -1 when it does not know it, or is not running. */
BRUIT_API int bruit_sim_belief(const struct bruit_sim *sim, uint32_t node, uint32_t about);

enum bruit_sim_condition {
    BRUIT_SIM_STOPPED, /* no engine */
    BRUIT_SIM_RUNNING,
    BRUIT_SIM_PAUSED,
};
BRUIT_API enum bruit_sim_condition bruit_sim_condition(const struct bruit_sim *sim, uint32_t node);
BRUIT_API struct bruit_bytes bruit_sim_name(const struct bruit_sim *sim, uint32_t node);
BRUIT_API struct bruit_addr bruit_sim_addr(const struct bruit_sim *sim, uint32_t node);
BRUIT_API uint32_t bruit_sim_zone(const struct bruit_sim *sim, uint32_t node);
/*
 * The node with this name, the first if there are more; who has this address now. BRUIT_SIM_NOBODY when there
 * is none.
 */
BRUIT_API uint32_t bruit_sim_named(const struct bruit_sim *sim, struct bruit_bytes name);
BRUIT_API uint32_t bruit_sim_at_addr(const struct bruit_sim *sim, const struct bruit_addr *addr);
/* How often it was started. */
BRUIT_API uint32_t bruit_sim_starts(const struct bruit_sim *sim, uint32_t node);

/* ------------------------------------------------------------------ letting time pass */

BRUIT_API bruit_time bruit_sim_now(const struct bruit_sim *sim);

/* Lets `duration` pass; what is due at its last moment has happened when it returns. */
BRUIT_API void bruit_sim_run(struct bruit_sim *sim, bruit_time duration);
BRUIT_API void bruit_sim_run_until(struct bruit_sim *sim, bruit_time time);

/*
 * Goes to the next moment at which anything happens, at most to `until`, and lets all of that moment happen.
 * False when there was nothing: the time is then `until`.
 */
BRUIT_API bool bruit_sim_step(struct bruit_sim *sim, bruit_time until);

/*
 * Runs until `holds` returns true, at most for `most`; looks every `every` (0: 10 ms), at times that are
 * multiples of it from now on, and at the end. Returns whether it held. bruit_sim_interrupt() ends it early,
 * too.
 */
typedef bool (*bruit_sim_predicate)(struct bruit_sim *sim, void *context);
BRUIT_API bool bruit_sim_wait(struct bruit_sim *sim, bruit_sim_predicate holds, void *context,
                              bruit_time most, bruit_time every);

/* Everybody who runs believes exactly those alive who run. A predicate; `context` is not used. */
BRUIT_API bool bruit_sim_all_agree(struct bruit_sim *sim, void *context);

/*
 * Calls `act` at `time`, before anything else of that moment, in the order of these calls, on the caller's
 * thread: it may do everything but let time pass. In the past: at the next moment. 0, or BRUIT_ENOMEM.
 */
typedef void (*bruit_sim_act)(struct bruit_sim *sim, void *context);
BRUIT_API int bruit_sim_at(struct bruit_sim *sim, bruit_time time, bruit_sim_act act, void *context);

/*
 * Ends bruit_sim_run() and its like at the next opportunity. The one function for signal handlers and other
 * threads.
 */
BRUIT_API void bruit_sim_interrupt(struct bruit_sim *sim);
/* Whether it was called; forgets it. */
BRUIT_API bool bruit_sim_interrupted(struct bruit_sim *sim);

/* ------------------------------------------------------------------ faults of nodes */

/*
 * The process is gone without a word. A peer that talks to its port is refused. Nothing when it is not
 * running.
 */
BRUIT_API void bruit_sim_kill(struct bruit_sim *sim, uint32_t node);

/*
 * Kills it if need be and starts it again. With `state` it finds on its disk what an agent keeps there (what modules
 * stored: on_load(); the members it believed alive, and the logical clocks of Serf's modules), and joins them again;
 * without, and after bruit_sim_start(), its disk is empty and it knows nobody. Returns what bruit_sim_start() does, or
 * the error of on_load().
 */
BRUIT_API int bruit_sim_restart(struct bruit_sim *sim, uint32_t node, bool state);
/* What was on its disk is gone. What a running engine writes from then on is kept: kill it first. */
BRUIT_API void bruit_sim_lose_disk(struct bruit_sim *sim, uint32_t node);
/*
 * Transactions that begin from now on fail with `error` (BRUIT_EIO, BRUIT_EFULL) when they would be durable, and leave
 * nothing; 0: no more. Also after a restart. 0, or BRUIT_ENOMEM.
 */
BRUIT_API int bruit_sim_fail_disk(struct bruit_sim *sim, uint32_t node, int error);
/* What is durable there under a module's key: false when nothing is. Valid until time passes. */
BRUIT_API bool bruit_sim_disk_read(const struct bruit_sim *sim, uint32_t node, struct bruit_bytes space,
                                   struct bruit_bytes key, struct bruit_bytes *value);
/* How many records are durable there. */
BRUIT_API size_t bruit_sim_disk_count(const struct bruit_sim *sim, uint32_t node);
/*
 * Another node with the same name, configuration and disk at an address of its own: a copied virtual machine.
 * Not running. `clone` may be NULL. Returns what bruit_sim_add() does.
 */
BRUIT_API int bruit_sim_clone(struct bruit_sim *sim, uint32_t node, uint32_t *clone);

/*
 * SIGSTOP and SIGCONT: what arrives meanwhile waits in its sockets and is read before its timers are looked
 * at.
 */
BRUIT_API void bruit_sim_pause(struct bruit_sim *sim, uint32_t node);
BRUIT_API void bruit_sim_resume(struct bruit_sim *sim, uint32_t node);
/* It takes `cost` over each input from now on, and inputs wait for each other. 0: it is fast again. */
BRUIT_API void bruit_sim_set_cpu(struct bruit_sim *sim, uint32_t node, bruit_time cost);
/*
 * Its CPU is stolen: it runs for about `run`, stands still for about `stall`, and so on. `stall` 0: no more.
 */
BRUIT_API void bruit_sim_starve(struct bruit_sim *sim, uint32_t node, bruit_time run, bruit_time stall);

/*
 * Its clock is set forward by `jump` (below 0: back; since engines are told a clock that never goes back, it
 * then stands still until it has caught up), and runs `drift` parts in a million too fast from now on.
 */
BRUIT_API void bruit_sim_set_clock(struct bruit_sim *sim, uint32_t node, int64_t jump, int32_t drift);

/*
 * It has another address now. A running engine is not told and goes on to advertise the old one, until it is
 * started again. Whoever had the address loses it, and is reached by nobody. BRUIT_EINVAL: not an address.
 */
BRUIT_API int bruit_sim_set_addr(struct bruit_sim *sim, uint32_t node, const struct bruit_addr *addr);
BRUIT_API void bruit_sim_set_bandwidth(struct bruit_sim *sim, uint32_t node, uint64_t up, uint64_t down);
/* This part of its requests for memory is refused from now on; 0: none. */
BRUIT_API void bruit_sim_fail_memory(struct bruit_sim *sim, uint32_t node, uint32_t fraction);

/* ------------------------------------------------------------------ faults of the network */

/* Some nodes: `count` of them, or (`complement`) all but them, nodes added later included. */
struct bruit_sim_set {
    const uint32_t *nodes;
    size_t count;
    bool complement;
};

enum bruit_sim_traffic {
    BRUIT_SIM_DATAGRAMS = 1,
    BRUIT_SIM_STREAMS = 2,
    BRUIT_SIM_ALL = 3,
};

/*
 * A fault on the way from one set to another, on top of what the link does. Several add up. A datagram that
 * is blocked is lost; a stream waits for retransmissions, and is given up after 15 s.
 */
struct bruit_sim_rule {
    size_t struct_size;
    struct bruit_sim_set from;
    struct bruit_sim_set to;
    bool both_ways;
    uint32_t traffic; /* enum bruit_sim_traffic bits */
    uint32_t pairs;   /* this part of the pairs of nodes, the same ones all the time; a million: all */
    bool block;
    bool refuse;       /* connections are refused at once instead of left waiting; with `block` */
    uint32_t loss;     /* of each datagram */
    bruit_time delay;  /* more latency */
    bruit_time jitter; /* and up to this much more */
    bruit_time clog;   /* until this time (true time) everything waits, and then arrives; 0: no */
    uint32_t duplicate;
    uint32_t corrupt;
    uint32_t mtu; /* 0: no limit */
};

/* Everything from nobody to nobody, all pairs, both kinds of traffic, one way, no effect. */
BRUIT_API void bruit_sim_rule_default(struct bruit_sim_rule *rule);
/*
 * Copied. `id` may be NULL. 0, BRUIT_EINVAL (a node that does not exist, a fraction above a million),
 * BRUIT_ENOMEM.
 */
BRUIT_API int bruit_sim_rule_add(struct bruit_sim *sim, const struct bruit_sim_rule *rule, uint32_t *id);
BRUIT_API int bruit_sim_rule_remove(struct bruit_sim *sim, uint32_t id); /* BRUIT_ENOENT */
BRUIT_API void bruit_sim_heal(struct bruit_sim *sim);                    /* removes all rules */

/* Cuts `nodes` off from all others, both ways, by a rule: returns what bruit_sim_rule_add() does. */
BRUIT_API int bruit_sim_partition(struct bruit_sim *sim, const uint32_t *nodes, size_t count, uint32_t *id);

/*
 * What the links from one zone to another do from now on. 0, or BRUIT_EINVAL: no such zone, not a link, or its
 * latency is below the least of the configuration.
 */
BRUIT_API int bruit_sim_set_link(struct bruit_sim *sim, uint32_t from_zone, uint32_t to_zone,
                                 const struct bruit_sim_link *link);

/* ------------------------------------------------------------------ looking */

/* A datagram that leaves, for on_packet(). */
struct bruit_sim_packet {
    bruit_time time;
    uint32_t from;
    uint32_t to; /* BRUIT_SIM_NOBODY: nobody has that address */
    struct bruit_addr addr;
    struct bruit_bytes bytes;
};

enum bruit_sim_input_type {
    BRUIT_SIM_IN_DATAGRAM, /* addr, bytes */
    BRUIT_SIM_IN_TICK,
    BRUIT_SIM_IN_ACCEPTED, /* addr; `stream` is what the engine answered, 0: refused. Told afterwards */
    BRUIT_SIM_IN_OPENED,   /* stream */
    BRUIT_SIM_IN_BYTES,    /* stream, bytes */
    BRUIT_SIM_IN_SENT,     /* stream */
    BRUIT_SIM_IN_CLOSED,   /* stream, error */
    BRUIT_SIM_IN_JOIN,     /* of bruit_sim_join(): targets, count */
    BRUIT_SIM_IN_LEAVE,    /* of bruit_sim_leave(): timeout */
    BRUIT_SIM_IN_PULLED,   /* all outputs have been pulled until there were none, at this time */
    BRUIT_SIM_IN_STORED,   /* token, error */
    BRUIT_SIM_IN_LOADED,   /* space, key, bytes: what on_load() is about to hand over */
};

/*
 * What an engine is told. Requests that the embedder makes directly on the engine are the embedder's to
 * record.
 */
struct bruit_sim_input {
    enum bruit_sim_input_type type;
    bruit_time now; /* by the node's clock */
    struct bruit_addr addr;
    struct bruit_bytes bytes;
    uint32_t stream;
    int error;
    const struct bruit_join_target *targets;
    size_t count;
    uint32_t flags; /* of the join */
    bruit_time timeout;
    uint64_t token;
    struct bruit_bytes space;
    struct bruit_bytes key;
};

/*
 * An event, for those who would rather pull (config.keep_events). A copy: nothing in it depends on the
 * engine.
 */
struct bruit_sim_event {
    bruit_time time; /* true time */
    uint32_t node;   /* who was told */
    uint32_t about;  /* the node it is about, or BRUIT_SIM_NOBODY */
    uint32_t type;
    uint32_t changes;
    uint32_t incarnation; /* of the member that it is about, as it is when it is told */
    uint32_t request;
    int error;          /* of the event; JOIN_DONE: of its first target */
    uint32_t contacted; /* JOIN_DONE */
};

/* The next one in the order of time and node, false when there is none. Call it when no time passes. */
BRUIT_API bool bruit_sim_next_event(struct bruit_sim *sim, struct bruit_sim_event *event);

/* Why something did not arrive.
 *        name         sentence */
#define BRUIT_SIM_LOSSES(X)                                       \
    X(CHANCE, "lost by chance")                                   \
    X(BURST, "lost in a burst")                                   \
    X(RULE, "blocked or lost by a rule: a partition, for one")    \
    X(MTU, "longer than the way could take")                      \
    X(QUEUE, "the sender's or the receiver's line was full")      \
    X(SOCKET, "the receiver did not read its socket in time")     \
    X(NOBODY, "nobody has that address, or nobody listens there") \
    X(FILTER, "the program that watches said no")

enum bruit_sim_loss {
#define BRUIT_SIM_LOSS_ENUM(name, text) BRUIT_SIM_LOST_##name,
    BRUIT_SIM_LOSSES(BRUIT_SIM_LOSS_ENUM)
#undef BRUIT_SIM_LOSS_ENUM
        BRUIT_SIM_LOST_COUNT,
};
#define BRUIT_SIM_LOST_MAX 16

BRUIT_API const char *bruit_sim_loss_name(enum bruit_sim_loss reason); /* "CHANCE", ... */
BRUIT_API const char *bruit_sim_loss_text(enum bruit_sim_loss reason);

struct bruit_sim_stats {
    uint64_t events;              /* datagrams and stream chunks delivered, and deadlines served */
    uint64_t datagrams_sent;      /* by engines; copies that the network made are not in it */
    uint64_t datagrams_delivered; /* to engines */
    uint64_t bytes_sent;          /* of datagrams */
    uint64_t bytes_delivered;
    uint64_t duplicated;
    uint64_t reordered;
    uint64_t corrupted;
    uint64_t deadlines; /* served */
    uint64_t streams_opened;
    uint64_t streams_refused; /* by rule, because nobody listens, or because the engine said no */
    uint64_t streams_reset;   /* ended by a death, or given up */
    uint64_t chunks_delivered;
    uint64_t stream_bytes;             /* delivered */
    uint64_t engine_events;            /* what programs were told */
    uint64_t lost[BRUIT_SIM_LOST_MAX]; /* datagrams, by enum bruit_sim_loss */
    uint64_t disk_writes; /* of modules, durable; and what they were long, names included */
    uint64_t disk_bytes;
    uint64_t disk_failed; /* by bruit_sim_fail_disk() */
    uint64_t disk_lost;   /* in crashes */
    uint64_t starts;
    uint64_t kills;
    uint64_t running;     /* now */
    uint64_t in_flight;   /* datagrams and chunks on their way now */
    uint64_t memory;      /* of all engines together now, each charged as if it were alone */
    uint64_t memory_held; /* by the whole world: what it really takes */
    uint64_t memory_held_peak;
    uint64_t
        short_of_memory; /* things the world lost because the system had no memory: then believe nothing */
};

BRUIT_API void bruit_sim_stats_get(const struct bruit_sim *sim, struct bruit_sim_stats *out);

/*
 * The hash of all that happened to all nodes: what arrived where and when, and what was traced (trace_level).
 * Equal for equal seeds, whatever the compiler, the shards and the memory. And that of one node.
 */
BRUIT_API uint64_t bruit_sim_hash(const struct bruit_sim *sim);
BRUIT_API uint64_t bruit_sim_node_hash(const struct bruit_sim *sim, uint32_t node);

/*
 * A number below `bound` > 0 from a random stream that belongs to the caller: it never disturbs the world's.
 */
BRUIT_API uint64_t bruit_sim_random(struct bruit_sim *sim, uint64_t bound);

#ifdef __cplusplus
}
#endif

#endif
