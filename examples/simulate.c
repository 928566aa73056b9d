/*
 * A program's own test on a thousand members: a module counts who is alive, and the simulator tells whether
 * it is right in all of them after ten crashes, in a fraction of a second and the same way each time.
 *
 *     cc simulate.c -lbruit-sim -lbruit
 */
#include <bruit/bruit.h>
#include <bruit/sim.h>

#include <stdio.h>

#define NODES 1000
#define CRASHES 10

/* ---- what is tested: a module that counts ---- */

struct counter {
    int64_t alive;
};

static void on_member(void *self, bruit_node node, uint32_t changes)
{
    struct counter *counter = self;
    (void)node;
    if (changes & BRUIT_CHANGE_JOINED)
        counter->alive++;
    if (changes & (BRUIT_CHANGE_FAILED | BRUIT_CHANGE_LEFT))
        counter->alive--;
}

static const struct bruit_module counter_module = {
    .struct_size = sizeof(struct bruit_module),
    .name = "counter",
    .state_size = sizeof(struct counter),
    .on_member = on_member,
};

/* ---- the test ---- */

static bool all_count(struct bruit_sim *sim, void *context)
{
    int64_t expected = *(const int64_t *)context;
    for (uint32_t i = 0; i < bruit_sim_count(sim); i++) {
        const struct bruit_engine *engine = bruit_sim_engine(sim, i);
        const struct counter *counter = engine == NULL ? NULL : bruit_engine_module(engine, &counter_module);
        if (counter != NULL && counter->alive != expected)
            return false;
    }
    return true;
}

int main(void)
{
    const struct bruit_module *modules[] = {&counter_module};
    struct bruit_sim_config config;
    struct bruit_sim *sim;
    char why[200];
    int64_t expected = NODES;

    bruit_sim_config_default(&config);
    config.nodes = NODES;
    config.seed = 42;
    config.link.loss = 10000; /* 1 % of the datagrams */
    config.engine.modules = modules;
    config.engine.module_count = 1;
    if (bruit_sim_new(&sim, &config, why, sizeof why) != 0) {
        fprintf(stderr, "no world: %s\n", why);
        return 1;
    }
    bool right = bruit_sim_preload(sim) == 0 && all_count(sim, &expected);
    for (uint32_t i = 0; i < CRASHES; i++)
        bruit_sim_kill(sim, 100 * i);
    expected -= CRASHES;
    right = right && bruit_sim_wait(sim, all_count, &expected, 60 * BRUIT_SECOND, 0);
    printf("%s after %.1f s, run %016llx\n", right ? "all count the same" : "NOT all count the same",
           (double)bruit_sim_now(sim) / 1e9, (unsigned long long)bruit_sim_hash(sim));
    bruit_sim_free(sim);
    return right ? 0 : 1;
}
