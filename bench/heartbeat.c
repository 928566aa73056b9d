/*
 * Heartbeat gossip among real engines in the simulator: the tables of docs/heartbeat.md that no command of bruit-sim
 * makes.
 *
 *     bench-heartbeat spread N [PER-CENT-LOSS]   rounds until all N know a new member, by mode and fan-out
 *     bench-heartbeat rest N ...                 bytes, messages and silences at rest, for each N
 */
#include <bruit/bruit.h>
#include <bruit/sim.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WARM_UP (20 * BRUIT_SECOND)
#define ROUNDS_MAX 60

struct run {
    uint32_t newcomer;
    uint32_t known;
    double *at; /* rounds after the join, in the order in which nodes came to know it */
    bruit_time joined;
};

static const char *const modes[] = {"push-pull", "push", "pull"};

static void on_event(void *context, struct bruit_sim *sim, uint32_t node, const struct bruit_event *event)
{
    struct run *run = context;
    if (event->type != BRUIT_EVENT_MEMBER || !(event->changes & BRUIT_CHANGE_JOINED) || run->at == NULL ||
        node == run->newcomer || bruit_sim_node_of(sim, node, event->node) != run->newcomer)
        return;
    run->at[run->known++] = (double)(bruit_sim_now(sim) - run->joined) / (double)BRUIT_SECOND;
}

static struct bruit_sim *world_of(uint32_t nodes, uint32_t loss, enum bruit_heartbeat_mode mode, uint32_t fan_out,
                                  struct run *run)
{
    struct bruit_sim_config config;
    struct bruit_sim *sim = NULL;
    char why[200] = "";
    bruit_sim_config_default(&config);
    config.nodes = nodes;
    config.link.loss = loss * (BRUIT_SIM_MILLION / 100);
    config.engine.detector = BRUIT_DETECTOR_HEARTBEAT;
    config.engine.heartbeat.mode = mode;
    config.engine.heartbeat.nodes = fan_out;
    config.on_event = on_event;
    config.context = run;
    if (bruit_sim_new(&sim, &config, why, sizeof why) != 0 || bruit_sim_preload(sim) != 0) {
        fprintf(stderr, "bench-heartbeat: no world of %u nodes: %s\n", (unsigned)nodes, why);
        exit(1);
    }
    return sim;
}

/* ---- spread ---- */

static void spread_one(uint32_t nodes, uint32_t loss, enum bruit_heartbeat_mode mode, uint32_t fan_out)
{
    struct run run = {.newcomer = nodes};
    struct bruit_sim_stats before, after;
    struct bruit_sim *sim = world_of(nodes, loss, mode, fan_out, &run);
    uint32_t index;
    bruit_sim_run(sim, nodes > 2000 ? WARM_UP / 4 : WARM_UP);
    run.at = calloc(nodes + 1, sizeof *run.at);
    if (run.at == NULL || bruit_sim_add(sim, NULL, &index) != 0 || bruit_sim_start(sim, index) != 0) {
        fprintf(stderr, "bench-heartbeat: no memory for a newcomer\n");
        exit(1);
    }
    bruit_sim_stats_get(sim, &before);
    run.joined = bruit_sim_now(sim);
    const uint32_t first = 0;
    (void)bruit_sim_join(sim, index, &first, 1, 0);
    for (int round = 0; round < ROUNDS_MAX && run.known < nodes; round++)
        bruit_sim_run(sim, BRUIT_SECOND);
    bruit_sim_stats_get(sim, &after);
    double rounds = (double)(bruit_sim_now(sim) - run.joined) / (double)BRUIT_SECOND;
    double messages = (double)(after.datagrams_sent - before.datagrams_sent);
    printf("%6u  %-9s  %2u  %5.1f  %5.1f  %5.1f  %8.2f  %10.0f%s\n", (unsigned)nodes, modes[mode],
           (unsigned)fan_out, run.at[nodes / 2], run.at[nodes * 99 / 100], run.at[run.known - 1],
           messages / rounds / nodes, messages, run.known < nodes ? "  not all" : "");
    fflush(stdout);
    free(run.at);
    bruit_sim_free(sim);
}

static void spread(uint32_t nodes, uint32_t loss)
{
    static const uint32_t fan_outs[] = {1, 2, 4};
    printf(" nodes  mode        k    50%%    99%%    all  msgs/node  msgs until all\n");
    for (int mode = BRUIT_HEARTBEAT_PUSH_PULL; mode <= BRUIT_HEARTBEAT_PULL; mode++)
        for (int i = 0; i < 3; i++)
            if (nodes <= 2000 || fan_outs[i] == 2)
                spread_one(nodes, loss, (enum bruit_heartbeat_mode)mode, fan_outs[i]);
}

/* ---- rest ---- */

static void rest_one(uint32_t nodes)
{
    struct run run = {.at = NULL};
    struct bruit_sim_stats before, after;
    struct bruit_sim *sim = world_of(nodes, 0, BRUIT_HEARTBEAT_PUSH_PULL, 2, &run);
    bruit_sim_run(sim, nodes > 2000 ? WARM_UP / 2 : 6 * WARM_UP);
    bruit_sim_stats_get(sim, &before);
    bruit_time watched = nodes > 2000 ? 10 * BRUIT_SECOND : 60 * BRUIT_SECOND;
    bruit_sim_run(sim, watched);
    bruit_sim_stats_get(sim, &after);
    double share = (double)nodes * (double)(watched / BRUIT_SECOND);
    double silence = 0, longest = 0, limit = 0;
    const struct bruit_engine *engine = bruit_sim_engine(sim, 0);
    for (bruit_node node = 0; (node = bruit_member_next(engine, node)) != 0;) {
        struct bruit_heartbeat_info info;
        if (node == bruit_member_self(engine) || bruit_heartbeat_get(engine, node, &info) != 0)
            continue;
        double s = (double)info.silence / 1e9;
        silence += s / (nodes - 1);
        limit += (double)info.limit / 1e9 / (nodes - 1);
        longest = s > longest ? s : longest;
    }
    struct bruit_stats stats;
    bruit_stats_get(engine, &stats);
    printf("%6u  %7.0f  %6.2f  %9.2f  %8.2f  %7.2f  %10.0f\n", (unsigned)nodes,
           (double)(after.bytes_sent - before.bytes_sent) / share,
           (double)(after.datagrams_sent - before.datagrams_sent) / share, silence, longest, limit,
           (double)stats.memory / nodes);
    fflush(stdout);
    bruit_sim_free(sim);
}

int main(int argc, char **argv)
{
    if (argc >= 3 && strcmp(argv[1], "spread") == 0) {
        spread((uint32_t)strtoul(argv[2], NULL, 10), argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0);
        return 0;
    }
    if (argc >= 3 && strcmp(argv[1], "rest") == 0) {
        printf(" nodes  bytes/s  msgs/s  silence s  longest  limit s  memory/member\n");
        for (int i = 2; i < argc; i++)
            rest_one((uint32_t)strtoul(argv[i], NULL, 10));
        return 0;
    }
    fprintf(stderr, "usage: bench-heartbeat spread N [PER-CENT-LOSS] | rest N ...\n");
    return 1;
}
