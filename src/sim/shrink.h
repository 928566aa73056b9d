/*
 * Shrinking: from a scenario that fails to the shortest that still fails in the same way.
 *
 * Lines are left out in ever smaller groups (delta debugging: Zeller and Hildebrandt 2002, ddmin), then words within
 * lines, then numbers become smaller and rounder and the cluster smaller, until nothing more can be done without or
 * the runs are used up. "The same way" is the same kind of outcome found by the same check, or by the same line.
 */
#ifndef BR_SIM_SHRINK_H
#define BR_SIM_SHRINK_H

#include "sim/swarm.h"

struct br_shrink_options {
    /* Runs a candidate. NULL: br_swarm_judge_apart(). */
    void (*judge)(struct bruit_bytes text, struct br_judgement *verdict);
    uint32_t runs_max;
    bool (*is_stopped)(void);                         /* or NULL */
    void (*on_progress)(uint32_t runs, size_t lines); /* or NULL */
};

struct br_shrink_result {
    char *text; /* with a final zero, to be freed */
    size_t size;
    uint32_t lines_before;
    uint32_t lines;
    uint32_t runs;
    struct br_judgement verdict; /* of what is left */
};

/*
 * 0, or BRUIT_ENOENT when the text does not fail at all, BRUIT_EFORMAT when it cannot be run (`result->verdict` says
 * why, in both cases there is no text), BRUIT_ENOMEM.
 */
int br_shrink(struct bruit_bytes text, const struct br_shrink_options *options,
              struct br_shrink_result *result);

#endif
