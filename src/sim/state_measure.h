/* What replicated state costs; see state_measure.c. */
#ifndef BR_SIM_STATE_MEASURE_H
#define BR_SIM_STATE_MEASURE_H

#include <bruit/types.h>

#define BR_MEASURE_TRIALS_MAX 1000

struct br_measure_config {
    uint64_t seed;
    uint32_t nodes;
    uint32_t loss;   /* parts in a million */
    uint32_t trials; /* of a write and an event each, at most BR_MEASURE_TRIALS_MAX */
    bool has_disk;   /* writes are told to others once they are durable */
    uint32_t keys;
    uint32_t changes; /* while a node was away */
    bruit_time away;
    void (*on_progress)(double share); /* or NULL */
};

/* In milliseconds: the means of when half and 99 % of the nodes had it, and of all nodes the median and the worst. */
struct br_reach_row {
    double half;
    double most;
    double median;
    double worst;
    double alls[BR_MEASURE_TRIALS_MAX];
    uint32_t trials;
};

struct br_reach {
    struct br_reach_row write;
    struct br_reach_row event;
};

/* What the node that came back was told and told others, in messages of the module, and how long it took. */
struct br_away {
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t keys;
    uint64_t resets;
    double seconds;
};

/* 0, or an error and a sentence. */
int br_measure_reach(const struct br_measure_config *config, struct br_reach *out, char *why, size_t why_size);
int br_measure_away(const struct br_measure_config *config, struct br_away *out, char *why, size_t why_size);

#endif
