/*
 * The configuration of one engine.
 *
 * Start from a profile, change what you need, and hand it to bruit_engine_new(), which copies what it
 * keeps:
 *
 *     struct bruit_config config;
 *     bruit_config_lan(&config);
 *     config.name = ...;
 *     config.advertise = ...;
 *
 * The numbers of the profiles are memberlist's (docs/wire/memberlist.md, section 10), because members of
 * one cluster that disagree about time accuse each other.
 */
#ifndef BRUIT_CONFIG_H
#define BRUIT_CONFIG_H

#include <bruit/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bruit_module; /* <bruit/module.h> */

/* A range of addresses, such as 10.0.0.0/8. `size` is 4 or 16, `bits` at most 8 * size. */
struct bruit_cidr {
    uint8_t ip[16];
    uint8_t size;
    uint8_t bits;
};

/* How it is found out who is dead; all members of a cluster must have the same. docs/heartbeat.md compares them. */
enum bruit_detector {
    BRUIT_DETECTOR_SWIM = 0,      /* probes, suspicion, Lifeguard: memberlist's, and compatible with it */
    BRUIT_DETECTOR_HEARTBEAT = 1, /* heartbeats by gossip: <bruit/heartbeat.h>. Ours alone: no memberlist joins */
};

/* What a round of heartbeat gossip says, and hears. */
enum bruit_heartbeat_mode {
    BRUIT_HEARTBEAT_PUSH_PULL = 0, /* digest, what the other lacks and asks for, what it asked for */
    BRUIT_HEARTBEAT_PUSH = 1,      /* what we know */
    BRUIT_HEARTBEAT_PULL = 2,      /* digest, and what we lack */
};

/* When a silence is too long. */
enum bruit_heartbeat_rule {
    BRUIT_HEARTBEAT_PHI = 0,    /* phi accrual (Hayashibara et al. 2004) */
    BRUIT_HEARTBEAT_ROUNDS = 1, /* no progress for `rounds` intervals */
};

/* Heartbeat gossip: read with BRUIT_DETECTOR_HEARTBEAT only. The defaults are right for most, save `generation`. */
struct bruit_heartbeat_config {
    bruit_time interval; /* of heartbeats and of rounds, 10 ms to an hour; 1 s */
    uint32_t nodes;      /* fan-out k: how many members each round goes to, 1 to 32; 2 */
    enum bruit_heartbeat_mode mode;
    uint32_t rate; /* bytes a second that we may send of it, at least 500; 2,000. What does not fit waits its turn */
    enum bruit_heartbeat_rule rule;
    uint32_t threshold;        /* phi, in thousandths, 500 to 30,000; 8,000 */
    bruit_time deviation_min;  /* phi: no smaller deviation is believed */
    bruit_time first_interval; /* phi: the mean before anything was measured; the deviation is then a quarter of it */
    uint32_t window;           /* phi: how many arrivals the moments remember, 2 to 10,000 */
    uint32_t rounds;           /* the plain rule: 2 to 10,000 */
    /*
     * Of this process: greater than any that a member of this name had before. A counter that the program keeps on
     * disk and raises before each start, never a clock. 1 to 2^31; 0 counts as 1, for those who have no disk: the
     * cluster then tells us what we were, and we go above it, within a round or two.
     */
    uint64_t generation;
};

struct bruit_config {
    size_t struct_size; /* set by the profile functions */

    /* --- Who we are --- */

    struct bruit_bytes name;     /* 1 to BRUIT_NAME_MAX bytes, unique in the cluster */
    struct bruit_addr advertise; /* what others are told to send to; port and a size of 4 or 16 */
    struct bruit_bytes meta;     /* at most BRUIT_META_MAX bytes, told to everybody */
    uint16_t bind_port;          /* stands for port 0 in what peers send; 0: advertise.port */
    uint8_t protocol;            /* memberlist protocol we speak, 1 to 5; default 2. 1 changes sealing */
    uint8_t delegate_min;        /* versions of the application protocol; Serf: 2, 5, 5 */
    uint8_t delegate_max;
    uint8_t delegate_current;

    /* --- Randomness and limits --- */

    uint64_t seed;        /* of every random choice; the same seed and inputs give the same outputs */
    size_t memory_max;    /* hard cap of this engine's memory in bytes; default 256 MiB */
    uint32_t members_max; /* cap of known members; default 65,536. More are dropped and counted */

    /* --- Failure detection --- */

    enum bruit_detector detector; /* of this engine's whole life */
    struct bruit_heartbeat_config heartbeat;

    /* --- Failure detection (SWIM, Lifeguard) --- */

    bruit_time
        probe_interval; /* one member is probed each interval; 0: never, and suspicions count with 1 s */
    bruit_time probe_timeout;    /* how long a direct ack may take before others are asked; < interval */
    uint32_t indirect_checks;    /* how many others are asked, 0 to 16 */
    uint32_t suspicion_mult;     /* suspicion lasts at least mult * log10(n) * probe_interval */
    uint32_t suspicion_max_mult; /* and at most this many times longer */
    uint32_t awareness_max;      /* Lifeguard's local health runs from 0 to this less one */
    bool stream_pings;           /* fall back to a ping over a stream when datagrams get lost */
    bool buddy_pings; /* Lifeguard: the ping to a suspect says that it is suspected. Default true */
    /*
     * An engine that was itself stalled (its timer is served late by more than half a probe timeout) gives its
     * pending probes and suspicions the lost time back, and accuses nobody for it. Default true.
     */
    bool stall_guard;

    /* --- Dissemination --- */

    bruit_time gossip_interval;    /* 0: news travels on probes and syncs only */
    uint32_t gossip_nodes;         /* fan-out: how many members each gossip round sends to, up to 32 */
    uint32_t retransmit_mult;      /* each rumour is sent mult * ceil(log10(n + 1)) times */
    bruit_time gossip_to_the_dead; /* dead members get gossip, and are remembered, for this long */
    bruit_time push_pull_interval; /* full sync with one random member; grows with log2(n). 0: never */
    bruit_time dead_reclaim;       /* after this a dead name may return from another address. 0: never */
    uint32_t packet_size_max;      /* datagram budget in bytes, 1,152 to 65,507; default 1,400 */
    bool compression;              /* LZW: datagrams when it makes them shorter, streams always */

    /*
     * Early repair. Whoever hears news of a join, or has just joined, soon exchanges full state with one
     * random member, so that a lost rumour is repaired in a fraction of a second instead of at the next
     * push_pull_interval. This is the bytes a second that such syncs may cost us on average; a cluster
     * whose full state is larger than a few seconds' budget repairs at the old pace. 0: never.
     */
    uint32_t early_sync_budget;
    bruit_time early_sync_delay; /* news is given this long, and up to twice this, to arrive by gossip */

    bruit_time stream_timeout; /* one deadline for each half of a stream exchange */
    uint32_t streams_max;      /* inbound streams at once; more are refused. Default 128 */

    /* --- Who belongs --- */

    struct bruit_bytes label;       /* cluster label, at most BRUIT_LABEL_MAX bytes; empty: none */
    bool label_skip_inbound;        /* a front strips labels: refuse inbound ones */
    const struct bruit_bytes *keys; /* 16, 24 or 32 bytes each; the first is primary. Needs env.cipher */
    size_t key_count;               /* at most 64 */
    bool verify_incoming;           /* with keys: refuse what is not sealed. Default true */
    bool verify_outgoing;           /* with keys: seal what we send. Default true */
    const struct bruit_cidr *cidrs; /* if any: members and packets must come from one of these */
    size_t cidr_count;              /* at most 64 */
    bool strict_relay;              /* probe and acknowledge known members at their known address only */

    /* --- Features --- */

    const struct bruit_module *const *modules; /* what the engine carries besides membership */
    size_t module_count;                       /* at most 16 */
    bool has_store; /* the driver pulls bruit_next_store_op(). Default false: modules keep their state in memory */
};

/* The profiles. Each fills every field; name, advertise and seed stay empty. */
BRUIT_API void bruit_config_lan(struct bruit_config *config);
BRUIT_API void bruit_config_wan(struct bruit_config *config);
BRUIT_API void bruit_config_local(struct bruit_config *config);

/*
 * Says what is wrong with `config`: NULL when nothing is, else a static sentence that says what to do.
 * bruit_engine_new() refuses exactly what this refuses.
 */
BRUIT_API const char *bruit_config_check(const struct bruit_config *config);

#ifdef __cplusplus
}
#endif

#endif
