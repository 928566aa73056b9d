/*
 * Lamport clocks (Lamport 1978), as Serf counts them (docs/wire/serf.md, section 4): a counter that starts
 * at 1 and is pushed past every time it sees.
 */
#ifndef BR_MODULE_LAMPORT_H
#define BR_MODULE_LAMPORT_H

#include <stdint.h>

struct br_lamport {
    uint64_t time;
};

static inline void br_lamport_init(struct br_lamport *clock)
{
    clock->time = 1;
}

static inline void br_lamport_increment(struct br_lamport *clock)
{
    clock->time++;
}

/*
 * Moves past `seen`. A forged 2^64 - 1 would wrap the clock to 0 and set all of us back for ever; upstream
 * does not guard against that, we do.
 */
static inline void br_lamport_witness(struct br_lamport *clock, uint64_t seen)
{
    if (seen >= clock->time && seen != UINT64_MAX)
        clock->time = seen + 1;
}

#endif
