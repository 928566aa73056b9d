/*
 * Completeness (Chandra and Toueg 1996; SWIM, Das et al. 2002, section 3.1): who is gone is found out by everybody.
 *
 * A node that does not run is believed alive or suspect by nobody, once trouble has been over for so long that each
 * member has probed it, suspected it for the longest time, and synced. Who is found out does not come back either:
 * that is looked at as long as it does not run.
 */
#include "sim/scenario_run.h"

static void look_at(struct br_run *run, uint32_t node, bruit_time since)
{
    for (uint32_t x = 0; x < run->count; x++) {
        const struct br_run_node *gone = &run->nodes[x];
        if (x == node || gone->is_odd || gone->stopped == BRUIT_NEVER || gone->stopped > since)
            continue;
        int state = bruit_sim_belief(run->sim, node, x);
        if (state == BRUIT_ALIVE || state == BRUIT_SUSPECT) {
            br_run_find(run, &br_check_completeness,
                        "n%u still takes n%u for %s, which ended %.1f s ago; nothing was wrong for %.1f s",
                        (unsigned)node, (unsigned)x, state == BRUIT_ALIVE ? "alive" : "suspect",
                        (double)(br_run_now(run) - gone->stopped) / 1e9,
                        (double)(br_run_now(run) - br_run_calm_since(run)) / 1e9);
            return;
        }
    }
}

static void look(struct br_run *run, void *state)
{
    bruit_time now = br_run_now(run), limit = br_run_detection_max(run), calm = br_run_calm_since(run);
    const struct bruit_config *config = &run->scenario->config.engine;
    bool detects = config->probe_interval > 0 || config->detector == BRUIT_DETECTOR_HEARTBEAT;
    (void)state;
    if (!run->has_fair_network || !detects || calm == BRUIT_NEVER || now < limit || calm > now - limit)
        return;
    for (uint32_t i = 0; i < run->count; i++)
        if (br_run_is_member(run, i) && run->nodes[i].started <= now - limit)
            look_at(run, i, now - limit);
}

const struct br_check br_check_completeness = {
    .name = "completeness",
    .sentence = "who is gone is found out by everybody",
    .is_liveness = true,
    .look = look,
};
