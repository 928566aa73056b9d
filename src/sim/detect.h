/*
 * How a crash is detected among real engines, what it costs, and who is declared dead without being so.
 *
 * One trial: everybody knows everybody; for a warm-up the faults do their work; for `watch` false verdicts and
 * traffic are counted; then one healthy node crashes, and each verdict about it is timed until all healthy nodes have
 * one. False verdicts are counted to the end of the trial.
 *
 * The same seed gives the same crashes and the same impaired nodes whatever the engine's configuration, so that
 * configurations are compared under the same fate. Trials are worlds of their own and run on several threads; that
 * never changes the answer.
 */
#ifndef BR_SIM_DETECT_H
#define BR_SIM_DETECT_H

#include <bruit/sim.h>

#define BR_DETECT_NODES_MAX 10000u
#define BR_DETECT_TRIALS_MAX 10000u
#define BR_DETECT_THREADS_MAX 64u

/* One way in which a part of the nodes suffers, again and again, each at times of its own. */
struct br_detect_fault {
    double part;       /* of the nodes */
    bruit_time length; /* a pause, a stall, a partition lasts this long */
    bruit_time every;  /* and begins this long after the last began; starved: runs this long between stalls */
};

struct br_detect_config {
    uint32_t nodes;
    uint32_t trials;
    uint32_t threads;
    uint64_t seed;
    double loss;                      /* of each datagram */
    bruit_time latency;               /* one way, and up to as much more */
    bruit_time jitter;                /* and this is the median of what comes on top, log-normal; 0: nothing */
    struct br_detect_fault pause;     /* SIGSTOP and SIGCONT */
    struct br_detect_fault starve;    /* its CPU is stolen */
    struct br_detect_fault partition; /* all of them together, cut off from the others */
    bruit_time watch;
    bool in_step;
    struct bruit_config engine; /* as in bruit_sim_config */
    bool eager;          /* news goes out at once, as bruit does, or on the grid alone, as memberlist does */
    uint64_t memory_max; /* for all threads together; 0: any */
};

/* What the engine is told to be. */
enum br_detect_variant {
    BR_DETECT_SWIM,       /* SWIM alone: suspicion with one fixed timeout */
    BR_DETECT_HEALTH,     /* and local health */
    BR_DETECT_SUSPICION,  /* SWIM and suspicion that starts long and is shortened by who agrees */
    BR_DETECT_BUDDY,      /* SWIM and pings that tell the suspect */
    BR_DETECT_MEMBERLIST, /* all three parts of Lifeguard, and nothing else: memberlist's own parameters */
    BR_DETECT_BRUIT,      /* all that, the stall guard, eager gossip and early syncs: as shipped */
    BR_DETECT_HEARTBEAT,  /* no SWIM at all: heartbeats by gossip, judged by phi or by rounds */
    BR_DETECT_VARIANTS,
};

/* For machines, and for people. */
const char *br_detect_name(enum br_detect_variant variant);
const char *br_detect_text(enum br_detect_variant variant);
/* Changes config->engine, which has the other parameters already, and config->eager. */
void br_detect_become(struct br_detect_config *config, enum br_detect_variant variant);

/* 100 nodes, 30 trials, bruit as shipped, nothing goes wrong; one thread. */
void br_detect_config_default(struct br_detect_config *config);

/* NULL, or a sentence that says what to do. */
const char *br_detect_check(const struct br_detect_config *config);

/* Of times in seconds since the crash. Trials in which it did not happen count as infinite in p50 and p99. */
struct br_detect_times {
    double mean, least, p50, p99, most;
    uint32_t missed;
};

struct br_detect_result {
    uint32_t trials;
    double *first_samples; /* `trials` of them, ascending; NULL: freed */
    double *all_samples;
    struct br_detect_times
        probed; /* the first datagram that goes to the dead node: in calm, the first probe */
    struct br_detect_times suspected; /* the first suspicion */
    struct br_detect_times first;     /* the first verdict */
    struct br_detect_times all;       /* every healthy node has the verdict */
    uint32_t waited;                  /* gave up after this many seconds; those trials are `missed` */
    double hours;                     /* that the clusters were watched for false verdicts */
    uint64_t false_deaths;            /* healthy nodes that somebody declared dead; once, however many did */
    uint64_t false_reports;           /* verdicts about them, of all observers */
    uint64_t impaired_deaths;         /* the same for paused, starved and partitioned ones that live */
    uint64_t false_suspicions;        /* suspicions of healthy nodes, of all observers */
    double packets;                   /* datagrams sent for each node and second, while watched */
    double bytes;                     /* their payload */
    double stream_bytes;
};

/* A month has this many hours, here. */
#define BR_DETECT_MONTH 730.5

/* In a month, from a count and the hours it took. */
double br_detect_monthly(double count, double hours);
/* The rate above which a count so low would have had a chance of less than 5 %. */
double br_detect_monthly_most(uint64_t count, double hours);

/* Asked now and then, on the caller's thread; false ends the run with what there is. */
typedef bool (*br_detect_watch)(void *context, uint32_t done, uint32_t trials);

/* 0, or an error with a sentence in `why`. `watch` may be NULL. The result is to be freed in any case. */
int br_detect_run(const struct br_detect_config *config, br_detect_watch watch, void *context,
                  struct br_detect_result *result, char *why, size_t why_size);
void br_detect_result_free(struct br_detect_result *result);

#endif
