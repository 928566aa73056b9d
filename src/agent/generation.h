/*
 * The counter of this member's lives, for -detector=heartbeat: a number in a file of its own.
 *
 * It is raised and on disk before the engine is made, so that no two lives ever have the same, however a life ends.
 */
#ifndef BR_AGENT_GENERATION_H
#define BR_AGENT_GENERATION_H

#include "agent/value.h"

#include <stdint.h>

/*
 * The next generation: one more than what stands in the file at `path` (nothing there: 1), which then says so. Returns
 * 0, or an error with a sentence in `why`: a file with something else in it is not touched.
 */
int br_generation_next(const char *path, uint64_t *out, char why[BR_WHY_MAX]);

/* Writes it, whole or not at all, and waits until it is on disk. 0, or an error with a sentence in `why`. */
int br_generation_write(const char *path, uint64_t generation, char why[BR_WHY_MAX]);

#endif
