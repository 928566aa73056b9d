/*
 * A cluster that detects failures by heartbeats: somebody says what it serves, is killed, is doubted more and more by
 * everybody for himself, and comes back as a new life of its own.
 *
 *     cc heartbeat.c -lbruit-sim -lbruit
 */
#include <bruit/bruit.h>
#include <bruit/heartbeat.h>
#include <bruit/sim.h>

#include <stdio.h>
#include <string.h>

#define NODES 20
#define WATCHER 0
#define VICTIM 7

static struct bruit_bytes text(const char *string)
{
    return (struct bruit_bytes){(const uint8_t *)string, strlen(string)};
}

/* The simulator counts the lives of its nodes; a driver of yours keeps that counter on disk. */
static int say(struct bruit_sim *sim, const char *what)
{
    struct bruit_engine *engine = bruit_sim_engine(sim, VICTIM);
    int status = bruit_heartbeat_set(engine, text("serves"), text(what), 0, bruit_sim_clock(sim, VICTIM));
    bruit_sim_kick(sim, VICTIM);
    return status;
}

static void show(struct bruit_sim *sim)
{
    static const char *const states[] = {"alive", "suspect", "dead", "left"};
    const struct bruit_engine *engine = bruit_sim_engine(sim, WATCHER);
    bruit_node node = bruit_sim_find(sim, WATCHER, VICTIM);
    struct bruit_heartbeat_info info;
    struct bruit_heartbeat_item item;
    struct bruit_member member;
    if (bruit_heartbeat_get(engine, node, &info) != 0 || bruit_member_get(engine, node, &member) != 0)
        return;
    printf("%5.1f s  n%u is %s, generation %u, silent for %4.1f s, phi %5.1f", (double)bruit_sim_now(sim) / 1e9, VICTIM,
           states[member.state], (unsigned)info.generation, (double)info.silence / 1e9, info.phi_milli / 1000.0);
    if (bruit_heartbeat_value(engine, node, text("serves"), &item) == 0)
        printf(", serves %.*s", (int)item.value.size, (const char *)item.value.data);
    printf("\n");
}

static bool is_dead(const struct bruit_sim *sim)
{
    return bruit_sim_belief(sim, WATCHER, VICTIM) == BRUIT_DEAD;
}

static void live(struct bruit_sim *sim, int seconds)
{
    for (int i = 0; i < seconds; i++) {
        bruit_sim_run(sim, BRUIT_SECOND);
        if (i % 2 == 1)
            show(sim);
    }
}

int main(void)
{
    struct bruit_sim_config config;
    struct bruit_sim *sim;
    char why[200];
    bruit_sim_config_default(&config);
    config.nodes = NODES;
    config.seed = 1;
    config.link.loss = 50000; /* 5 % of the datagrams */
    config.engine.detector = BRUIT_DETECTOR_HEARTBEAT;
    if (bruit_sim_new(&sim, &config, why, sizeof why) != 0 || bruit_sim_preload(sim) != 0) {
        fprintf(stderr, "no world: %s\n", why);
        return 1;
    }
    bool right = say(sim, "cats") == 0;
    live(sim, 10);
    bruit_sim_kill(sim, VICTIM);
    printf("         n%u is killed\n", VICTIM);
    live(sim, 14);
    right = right && is_dead(sim);
    right = right && bruit_sim_start(sim, VICTIM) == 0;
    right = right && bruit_sim_join(sim, VICTIM, &(uint32_t){3}, 1, NULL) == 0 && say(sim, "dogs") == 0;
    printf("         n%u is started again\n", VICTIM);
    live(sim, 6);
    right = right && !is_dead(sim);
    bruit_sim_free(sim);
    return right ? 0 : 1;
}
