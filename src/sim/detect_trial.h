/*
 * One trial of detect.h: what it is given, and what it tells.
 */
#ifndef BR_SIM_DETECT_TRIAL_H
#define BR_SIM_DETECT_TRIAL_H

#include "sim/detect.h"

struct br_detect_trial {
    /* Seconds since the crash; INFINITY: did not happen while we waited. */
    double probed, suspected, first, all;
    double hours;
    uint64_t false_deaths, false_reports, impaired_deaths, false_suspicions;
    double packets, bytes, stream_bytes; /* for each node and second, while watched */
};

/* How many nodes suffer from each fault: paused, starved, cut off. */
void br_detect_count_impaired(const struct br_detect_config *config, uint32_t counts[3]);

/* We wait this long for a crash to be known to all. */
bruit_time br_detect_patience(const struct br_detect_config *config);

/*
 * Plays trial `number`; asks `stop` all the time. 0; BRUIT_ECLOSED when it said yes; or an error of the world, with a
 * sentence in `why`.
 */
typedef bool (*br_detect_stop)(void *context);
int br_detect_trial_play(const struct br_detect_config *config, uint32_t number, br_detect_stop stop,
                         void *context, struct br_detect_trial *out, char *why, size_t why_size);

#endif
