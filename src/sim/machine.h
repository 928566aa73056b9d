/*
 * What this machine has for an experiment.
 */
#ifndef BR_SIM_MACHINE_H
#define BR_SIM_MACHINE_H

#include <stdint.h>

/*
 * Nine tenths of the memory that this process can still have, caches given back: what is free, but no more than
 * its limit (RLIMIT_AS, or that of its control group). 0: not known, so no limit.
 */
uint64_t br_machine_memory(void);

/* Processors, 1 to 64: a world has no more threads than that. */
uint32_t br_machine_processors(void);

#endif
