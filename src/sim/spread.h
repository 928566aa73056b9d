/*
 * What the two halves of `bruit-sim spread` share: the question, as it was asked.
 */
#ifndef BR_SIM_SPREAD_H
#define BR_SIM_SPREAD_H

#include "sim/tool.h"

#define BR_SPREAD_COMMAND "bruit-sim spread"

struct br_spread_question {
    struct br_tool_list nodes, fanout, loss, dead; /* none empty */
    uint64_t trials;                               /* 0: as many as is usual */
    uint64_t seed;
    bool in_rounds;
    struct br_tool_output output;
};

/* Asks real engines (rumour.h). Returns the exit code. */
int br_spread_on_engines(const struct br_spread_question *question);

#endif
