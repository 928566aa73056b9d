/*
 * A run, told to people and machines: what it is made of before it starts, what was found when it ends.
 */
#ifndef BR_SIM_SCENARIO_REPORT_H
#define BR_SIM_SCENARIO_REPORT_H

#include "sim/report.h"
#include "sim/scenario_run.h"

/* Fills in seed, revision and the whole configuration. */
void br_run_describe(struct br_report *report, const struct br_scenario *scenario);
/* The tables of what was found and counted. `is_whole` false: it was ended early. */
void br_run_summarize(struct br_report *report, const struct br_run *run, bool is_whole);
/* "nothing wrong", ... */
const char *br_outcome_name(enum br_outcome outcome);

/* Signals that say the program is broken end it with BR_OUTCOME_CRASH, after `line` was written. */
void br_catch_crashes(const char *line);

#endif
