/*
 * Aggregates: a hundred members publish how busy they are and which version they run, and any one of them is asked what
 * that comes to. Then ten die, and the answer follows.
 *
 *     cc aggregates.c -lbruit-sim -lbruit && ./a.out
 *
 * The cluster is the simulator's, so that it fits one program; with a real one the calls are the same, at each member
 * on its own engine.
 */
#include <bruit/bruit.h>
#include <bruit/sim.h>

#include <stdio.h>
#include <string.h>

#define NODES 100

static struct bruit_bytes bytes(const char *text)
{
    return (struct bruit_bytes){(const uint8_t *)text, strlen(text)};
}

/* ---- what each member does ---- */

static void publish(struct bruit_sim *sim, uint32_t node)
{
    struct bruit_engine *engine = bruit_sim_engine(sim, node);
    bruit_time now = bruit_sim_clock(sim, node);
    double load = (double)(node % 10) / 10;
    (void)bruit_aggregate_publish_number(engine, bytes(BRUIT_AGGREGATE_LOAD), load, now);
    (void)bruit_aggregate_publish_text(engine, bytes("version"), bytes(node < 70 ? "1.1" : "1.2"), now);
    bruit_sim_kick(sim, node); /* outputs are pulled: with libuv, bruit_uv_kick() */
}

/* ---- what any member may ask ---- */

static double ask(struct bruit_sim *sim, uint32_t node, const char *name, enum bruit_aggregate_what what,
                  double argument)
{
    struct bruit_aggregate_answer answer = {.value = -1};
    if (bruit_aggregate_ask(bruit_sim_engine(sim, node), bytes(name), what, argument, &answer,
                            bruit_sim_clock(sim, node)) != 0)
        return -1;
    printf("  %-8s %8.4f  +- %g, of %u of %u members, at most %.1f s old%s\n", name, answer.value, answer.error,
           answer.nodes, answer.members, (double)answer.age / 1e9, answer.is_exact ? "" : ", an estimate");
    return answer.value;
}

static void show_versions(struct bruit_sim *sim, uint32_t node)
{
    struct bruit_aggregate_item items[5];
    size_t count = 5;
    if (bruit_aggregate_top(bruit_sim_engine(sim, node), bytes("version"), items, &count, NULL,
                            bruit_sim_clock(sim, node)) != 0)
        return;
    for (size_t i = 0; i < count; i++)
        printf("  version  %.*s on %.0f members\n", (int)items[i].text.size, (const char *)items[i].text.data,
               items[i].count);
}

int main(void)
{
    const struct bruit_module *modules[] = {&bruit_aggregate_module};
    struct bruit_sim_config config;
    struct bruit_sim *sim;
    char why[200];

    bruit_sim_config_default(&config);
    config.seed = 1;
    config.nodes = NODES;
    config.engine.modules = modules;
    config.engine.module_count = 1;
    if (bruit_sim_new(&sim, &config, why, sizeof why) != 0) {
        printf("%s\n", why);
        return 1;
    }
    if (bruit_sim_preload(sim) != 0)
        return 1;
    bruit_sim_run(sim, BRUIT_SECOND);
    for (uint32_t i = 0; i < NODES; i++)
        publish(sim, i);
    bruit_sim_run(sim, 10 * BRUIT_SECOND);

    printf("member n3 says: count, mean and 90 %% quantile\n");
    bool is_right = ask(sim, 3, BRUIT_AGGREGATE_LOAD, BRUIT_AGGREGATE_COUNT, 0) == NODES;
    (void)ask(sim, 3, BRUIT_AGGREGATE_LOAD, BRUIT_AGGREGATE_MEAN, 0);
    (void)ask(sim, 3, BRUIT_AGGREGATE_LOAD, BRUIT_AGGREGATE_QUANTILE, 0.9);
    show_versions(sim, 3);

    for (uint32_t i = 90; i < NODES; i++)
        bruit_sim_kill(sim, i);
    bruit_sim_run(sim, 20 * BRUIT_SECOND);
    printf("ten have died; member n60 says:\n");
    is_right = ask(sim, 60, BRUIT_AGGREGATE_LOAD, BRUIT_AGGREGATE_COUNT, 0) == NODES - 10 && is_right;
    show_versions(sim, 60);
    bruit_sim_free(sim);
    return is_right ? 0 : 1;
}
