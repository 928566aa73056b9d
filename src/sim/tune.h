/*
 * A configuration for given goals, or the goal that cannot be had.
 *
 * A formula guesses (tune_guess.c), engines decide (tune.c). What depends on the size of the cluster is simulated at
 * that size, up to 3,000 nodes: traffic, and a few crashes. What depends on it by a known formula only is simulated
 * with fewer, where crashes and losses are cheap: the time of a crash to be known by everybody differs by the shortest
 * suspicion (log10 of the size); a false death of one node depends on how often it is probed and on the length of
 * suspicions, and these are kept.
 *
 * Rare false deaths cannot be waited for. As in any accelerated test the load is raised, here the loss, until they can
 * be counted at several losses; a power law is fitted to the counts and continued to the real loss, with its error.
 * Each packet that has to be lost for a false death contributes one power of the loss; what saturates at high loss
 * makes the curve flatter there than further down, so the power law errs on the side of too many.
 */
#ifndef BR_SIM_TUNE_H
#define BR_SIM_TUNE_H

#include "sim/detect.h"

#define BR_TUNE_LEVELS_MAX 6
#define BR_TUNE_WITHIN_MAX (3600 * BRUIT_SECOND)
#define BR_TUNE_MULT_MIN 2u
#define BR_TUNE_MULT_MAX 8u

struct br_tune_goals {
    uint32_t nodes;
    bruit_time within;   /* everybody knows of a crash after this, */
    double sure;         /* in this part of the crashes */
    double loss;         /* of the datagrams */
    double false_deaths; /* a month in the whole cluster at most; INFINITY: any */
    double bandwidth;    /* bytes a second and node at most, IP and UDP headers included; INFINITY: any */
    bruit_time latency;  /* one way, at least; up to twice as much */
};

enum br_tune_limit {
    BR_TUNE_FITS,
    BR_TUNE_BANDWIDTH, /* fights with the time: probes often enough would cost more */
    BR_TUNE_LATENCY,   /* so does it: acks could not be back in time */
    BR_TUNE_TOO_SLOW,  /* simulated: not in time, whatever the formula says */
    BR_TUNE_TOO_DEAR,  /* simulated: costs more */
    BR_TUNE_TOO_FALSE, /* simulated: too many false deaths */
};

/* What the formula says of a configuration. */
struct br_tune_guess {
    double seconds;   /* until everybody knows, in `sure` of the crashes */
    double bandwidth; /* as the goal */
};

/* NULL, or a sentence that says what to do. */
const char *br_tune_check(const struct br_tune_goals *goals);
struct br_tune_guess br_tune_estimate(const struct br_tune_goals *goals, const struct bruit_config *engine);
/*
 * Fills in the parameters for a suspicion of `mult`, a LAN configuration otherwise: as slow as the time allows, or
 * `hurry` times faster (1: not). Says which limit it breaks.
 */
enum br_tune_limit br_tune_propose(const struct br_tune_goals *goals, uint32_t mult, double hurry,
                                   struct bruit_config *engine);

struct br_tune_level {
    double loss;
    double node_hours;
    uint64_t deaths;
};

/* What the simulation found. */
struct br_tune_evidence {
    enum br_tune_limit limit; /* FITS: all goals are met */
    /* Crashes among few: all samples shifted to the size that was asked for. */
    uint32_t few_nodes, few_crashes, few_in_time;
    double shift;      /* s */
    double few_p50;    /* s */
    double few_sure;   /* s: `sure` of them were known to everybody by then */
    double least_part; /* of all crashes are known in time, with 95 % confidence */
    /* The cluster at its size. */
    uint32_t many_nodes, many_crashes, many_in_time;
    double many_most;                               /* s */
    double packets, bytes, stream_bytes, bandwidth; /* a second and node */
    /* False deaths. */
    uint32_t false_nodes;
    struct br_tune_level levels[BR_TUNE_LEVELS_MAX]; /* the accelerated ones, in falling order of loss */
    uint32_t level_count;
    struct br_tune_level direct; /* at the loss of the goals */
    double power;                /* of the loss; NAN: too few deaths to tell */
    double monthly_most;         /* in the whole cluster, with 95 % confidence */
};

/* Asked all the time; false ends the search. `share` of the work for this candidate is done. */
typedef bool (*br_tune_watch)(void *context, const char *what, double share);

/*
 * Tries `engine` on simulated clusters, the cheap goals first; stops at the first that is not met. 0; BRUIT_ECLOSED
 * when `watch` said no; or an error with a sentence in `why`.
 */
int br_tune_try(const struct br_tune_goals *goals, const struct bruit_config *engine, uint64_t seed,
                uint32_t threads, uint64_t memory_max, br_tune_watch watch, void *context,
                struct br_tune_evidence *evidence, char *why, size_t why_size);

/* The part of which `hits` of `count` say that it is not less, with 95 % confidence (Wilson 1927). */
double br_tune_least_part(uint32_t hits, uint32_t count);
/*
 * How many deaths a month of `nodes` nodes there are at most at `loss`, with 95 % confidence; fills in the power. Three
 * levels are needed, two of them with five deaths: INFINITY and NAN without. See above.
 */
double br_tune_extrapolate(const struct br_tune_level *levels, uint32_t count, double loss, uint32_t nodes,
                           double *power);

#endif
