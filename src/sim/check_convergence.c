/*
 * Convergence: when trouble is over, all who run believe exactly those alive who run.
 *
 * Halves that have given each other up find together because members try those that failed again (Serf's reconnect:
 * every 30 s, with the chance failed : alive; docs/wire/serf.md section 6), so the module that does it must be there,
 * and it takes minutes. Nodes that were never told to join anybody, clones, and names that moved are beyond it.
 */
#include "sim/scenario_run.h"

#define LIMIT (600 * BRUIT_SECOND)

static bool is_owed(const struct br_run *run)
{
    if (!run->has_fair_network || !(run->scenario->modules & 1u))
        return false;
    for (uint32_t i = 0; i < run->count; i++)
        if (run->nodes[i].is_odd || (br_run_is_member(run, i) && run->nodes[i].join == BR_JOIN_ALONE))
            return false;
    return true;
}

static void tell(struct br_run *run, bruit_time still)
{
    double time = (double)(br_run_now(run) - still) / 1e9;
    for (uint32_t o = 0; o < run->count; o++)
        for (uint32_t x = 0; x < run->count && bruit_sim_engine(run->sim, o) != NULL; x++) {
            int state = bruit_sim_belief(run->sim, o, x);
            bool runs = bruit_sim_engine(run->sim, x) != NULL;
            if (o == x || (runs ? state == BRUIT_ALIVE : state != BRUIT_ALIVE && state != BRUIT_SUSPECT))
                continue;
            br_run_find(run, &br_check_convergence,
                        "n%u still does not believe that n%u %s (state %d); nothing has changed for %.0f s",
                        (unsigned)o, (unsigned)x, runs ? "runs" : "ended", state, time);
            return;
        }
    br_run_find(run, &br_check_convergence,
                "members are known that no node is; nothing has changed for %.0f s", time);
}

static void look(struct br_run *run, void *state)
{
    bruit_time now = br_run_now(run), still = br_run_still_since(run);
    (void)state;
    if (still == BRUIT_NEVER || now < LIMIT || still > now - LIMIT || !is_owed(run) ||
        bruit_sim_all_agree(run->sim, NULL))
        return;
    tell(run, still);
}

const struct br_check br_check_convergence = {
    .name = "convergence",
    .sentence = "when trouble is over, all who run agree on who runs",
    .is_liveness = true,
    .look = look,
};
