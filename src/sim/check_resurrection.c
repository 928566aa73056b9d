/*
 * Nothing is resurrected: whom an engine has declared dead or gone, it takes for alive again only with a newer
 * incarnation, which the member alone can give itself.
 *
 * An engine that has forgotten the member may learn of it anew with any number: dead members are remembered for
 * gossip_to_the_dead and no longer, which is all that this wire allows (docs/simulator.md, known gaps).
 */
#include "sim/scenario_run.h"

#include <stdlib.h>

/* By observer and subject: the incarnation that died, and 1; 0: none. */
static int begin(struct br_run *run, void **state)
{
    *state = calloc((size_t)run->capacity * run->capacity, sizeof(uint64_t));
    return *state == NULL ? BRUIT_ENOMEM : 0;
}

static void on_start(struct br_run *run, void *state, uint32_t node)
{
    uint64_t *dead = state;
    for (uint32_t x = 0; x < run->capacity; x++)
        dead[(size_t)node * run->capacity + x] = 0;
}

static void on_told(struct br_run *run, void *state, uint32_t node, const struct br_told *told)
{
    uint64_t *dead = state;
    if (told->about == BRUIT_SIM_NOBODY || run->nodes[told->about].is_odd ||
        run->nodes[told->about].has_moved)
        return;
    /* With heartbeats a verdict is one's own, and a heart that goes on is reason enough to change it. */
    if (run->scenario->config.engine.detector == BRUIT_DETECTOR_HEARTBEAT)
        return;
    uint64_t *died = &dead[(size_t)node * run->capacity + told->about];
    /* Bits gather between two pulls, but the runner pulls after each input: one input, one change at most. */
    if (told->changes & BRUIT_CHANGE_JOINED && *died > 0 && told->member.incarnation < *died)
        br_run_find(run, &br_check_resurrection,
                    "n%u takes n%u for alive again with incarnation %u, dead was %u", (unsigned)node,
                    (unsigned)told->about, (unsigned)told->member.incarnation, (unsigned)(*died - 1));
    if (told->changes & (BRUIT_CHANGE_JOINED | BRUIT_CHANGE_FORGOTTEN))
        *died = 0;
    if (told->changes & (BRUIT_CHANGE_FAILED | BRUIT_CHANGE_LEFT))
        *died = (uint64_t)told->member.incarnation + 1;
}

const struct br_check br_check_resurrection = {
    .name = "resurrection",
    .sentence = "the dead come back only with a newer incarnation",
    .begin = begin,
    .on_start = on_start,
    .on_told = on_told,
};
