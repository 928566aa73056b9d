/*
 * Accuracy (Chandra and Toueg 1996): who is well is not declared dead.
 *
 * No detector is accurate in every network. What is owed: when no node and no link has been in trouble for so long
 * that old news has died out, and links lose a hundredth of the datagrams at most, nobody is told of the failure of a
 * node that runs. Others may come and go meanwhile.
 */
#include "sim/scenario_run.h"

/* With loopback timers (profile local), one relay and 5 % loss, a death in some hours of a node is chance. */
#define LOSS_MAX 10000u

static bool is_owed(const struct br_run *run)
{
    const struct br_scenario *scenario = run->scenario;
    /* In a small cluster, retransmit_mult 1 is one transmission of a refutation: one loss is one death. */
    bool is_sturdy = scenario->config.link.loss == 0 || scenario->config.engine.retransmit_mult > 1;
    return is_sturdy && run->has_fair_network && scenario->config.link.loss <= LOSS_MAX &&
           (!scenario->has_across || scenario->across.loss <= LOSS_MAX);
}

static bruit_time memory_of_trouble(const struct br_run *run)
{
    const struct bruit_config *config = &run->scenario->config.engine;
    return 2 * br_run_suspicion_max(run) + config->gossip_to_the_dead + 2 * config->push_pull_interval +
           30 * BRUIT_SECOND;
}

static void on_told(struct br_run *run, void *state, uint32_t node, const struct br_told *told)
{
    (void)state;
    if (!(told->changes & BRUIT_CHANGE_FAILED) || told->about == BRUIT_SIM_NOBODY || !is_owed(run))
        return;
    const struct br_run_node *subject = &run->nodes[told->about];
    bruit_time now = br_run_now(run), limit = memory_of_trouble(run), calm = br_run_calm_since(run);
    if (now < limit || calm == BRUIT_NEVER || calm > now - limit || subject->is_odd ||
        !br_run_is_member(run, told->about) || subject->started > now - limit ||
        run->nodes[node].started > now - limit)
        return;
    br_run_find(run, &br_check_accuracy,
                "n%u was told that n%u failed, which runs; nothing was wrong for %.1f s", (unsigned)node,
                (unsigned)told->about, (double)(now - calm) / 1e9);
}

const struct br_check br_check_accuracy = {
    .name = "accuracy",
    .sentence = "who is well is not declared dead",
    .on_told = on_told,
};
