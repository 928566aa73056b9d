/*
 * A rumour among real engines: a user event of Serf's in a simulated cluster, and when each node was handed it.
 *
 * Nothing else is going on: no probes, no syncs, no compression, and everybody knows everybody. Two ways:
 *
 *   as shipped  news goes out within milliseconds to the ring's successor and others at random, and again on each
 *               node's own grid of gossip intervals; times count
 *   in rounds   nothing goes out early, and all grids are one: then the engine does what the model of push with a
 *               counter does (model/model.h), save that one of the targets is the successor, that nobody is told in
 *               two rounds running, and that after two rounds the copies heard count as sent; rounds count
 */
#ifndef BR_SIM_RUMOUR_H
#define BR_SIM_RUMOUR_H

#include <bruit/types.h>

#define BR_RUMOUR_NODES_MAX 10000u
#define BR_RUMOUR_TRIALS_MAX 1000u
#define BR_RUMOUR_POINTS 3000u /* of the curve; as shipped, 3 s: whoever has not heard by then hardly will */

struct br_rumour_config {
    uint32_t nodes;
    uint32_t fanout; /* config.gossip_nodes: 1 to 32 */
    double loss;     /* of each datagram */
    double dead;     /* this part of the nodes crashes just before the first rumour, and nobody notices */
    uint32_t trials; /* one rumour after the other, from different nodes */
    uint64_t seed;
    bool in_rounds;
    uint64_t memory_max; /* in bytes; 0: any */
};

struct br_rumour_result {
    uint32_t trials;
    uint32_t complete; /* in which all live nodes were handed it */
    uint32_t alive;
    double unit; /* in seconds: what times below are counted in: milliseconds, or a gossip interval */
    double half; /* mean time until half of the live nodes had it, */
    double most; /* 99 in 100 of them, */
    double all;  /* and the last one that was handed it at all */
    double all_least, all_most, all_deviation;
    double messages; /* datagrams sent for each live node */
    double bytes;    /* of them, for each live node */
    double residue;  /* part of the live nodes that never heard */
    uint32_t limit;  /* how often each node sends it, at least: 4 ceil(log10(n + 1)) */
    double step;     /* units between the points of the curve */
    uint32_t curve_count;
    double curve[BR_RUMOUR_POINTS]; /* mean part of the live nodes that had it by then */
};

/* NULL, or a sentence that says what to do. */
const char *br_rumour_check(const struct br_rumour_config *config);

/* Asked after each trial; false ends the run with what there is. */
typedef bool (*br_rumour_watch)(void *context, uint32_t done, uint32_t trials);

/* 0, or an error with a sentence in `why`. `watch` may be NULL. */
int br_rumour_run(const struct br_rumour_config *config, br_rumour_watch watch, void *context,
                  struct br_rumour_result *result, char *why, size_t why_size);

#endif
