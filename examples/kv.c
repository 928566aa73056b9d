/*
 * Configuration that every member has: a hundred members of a made-up cluster share keys, write some of them at the
 * same time, and agree on what they hold without anybody being in charge.
 *
 *     cc kv.c -lbruit-sim -lbruit
 */
#include <bruit/bruit.h>
#include <bruit/kv.h>
#include <bruit/sim.h>

#include <stdio.h>
#include <string.h>

#define NODES 100

static struct bruit_bytes text(const char *string)
{
    return (struct bruit_bytes){(const uint8_t *)string, strlen(string)};
}

/* What a write that somebody waits for came to. */
static void on_event(void *context, struct bruit_sim *sim, uint32_t node, const struct bruit_event *event)
{
    struct bruit_kv_done done;
    (void)context;
    if (bruit_kv_done_read(event, &done) == 0)
        printf("%6.2f s  n%u: write %u is held by %u\n", (double)bruit_sim_now(sim) / 1e9, node, done.request,
               done.held);
}

static int put(struct bruit_sim *sim, uint32_t node, const char *key, const char *value,
               const struct bruit_kv_write *how, uint32_t *request)
{
    struct bruit_engine *engine = bruit_sim_engine(sim, node);
    int status = bruit_kv_put(engine, text(key), text(value), how, request, bruit_sim_clock(sim, node));
    bruit_sim_kick(sim, node); /* sends what that produced, as a driver does after each call */
    return status;
}

static void show(struct bruit_sim *sim, uint32_t node, const char *key)
{
    struct bruit_kv_entry entry;
    printf("%6.2f s  n%u: %s =", (double)bruit_sim_now(sim) / 1e9, node, key);
    for (uint32_t i = 0; bruit_kv_get(bruit_sim_engine(sim, node), text(key), i, &entry) == 0; i++)
        printf(" %.*s", (int)entry.value.size, (const char *)entry.value.data);
    printf("\n");
}

/* Does every member hold what the first does? */
static bool are_equal(struct bruit_sim *sim, void *context)
{
    struct bruit_kv_stat first, other;
    (void)context;
    (void)bruit_kv_stat(bruit_sim_engine(sim, 0), &first);
    for (uint32_t i = 1; i < NODES; i++)
        if (bruit_kv_stat(bruit_sim_engine(sim, i), &other) != 0 || other.root != first.root)
            return false;
    return first.keys > 0;
}

/* Two wrote at once: a program that has seen both says what becomes of them. */
static int resolve(struct bruit_sim *sim, uint32_t node, const char *key, const char *value)
{
    struct bruit_kv_entry entry;
    struct bruit_kv_write how = {.struct_size = sizeof how, .mode = BRUIT_KV_SEEN};
    if (bruit_kv_get(bruit_sim_engine(sim, node), text(key), 0, &entry) != 0)
        return BRUIT_ENOENT;
    how.seen = entry.seen; /* a copy, if anything else were done in between */
    return put(sim, node, key, value, &how, NULL);
}

int main(void)
{
    const struct bruit_module *modules[] = {&bruit_kv_module};
    struct bruit_kv_write how = {.struct_size = sizeof how, .ack = 3};
    struct bruit_sim_config config;
    struct bruit_sim *sim;
    uint32_t request;
    char why[200];

    bruit_sim_config_default(&config);
    config.nodes = NODES;
    config.seed = 7;
    config.link.loss = 10000; /* 1 % of the datagrams */
    config.engine.modules = modules;
    config.engine.module_count = 1;
    config.on_event = on_event;
    if (bruit_sim_new(&sim, &config, why, sizeof why) != 0) {
        fprintf(stderr, "no world: %s\n", why);
        return 1;
    }
    bool right = bruit_sim_preload(sim) == 0;
    bruit_sim_run(sim, 5 * BRUIT_SECOND);
    right = right && put(sim, 3, "motd", "hello", &how, &request) == 0; /* three members are to hold it */
    right = right && bruit_sim_wait(sim, are_equal, NULL, 30 * BRUIT_SECOND, 0);
    show(sim, 77, "motd");

    right = right && put(sim, 10, "leader", "n10", NULL, NULL) == 0 && put(sim, 90, "leader", "n90", NULL, NULL) == 0;
    right = right && bruit_sim_wait(sim, are_equal, NULL, 30 * BRUIT_SECOND, 0);
    show(sim, 50, "leader");
    right = right && resolve(sim, 50, "leader", "n50") == 0;
    right = right && bruit_sim_wait(sim, are_equal, NULL, 30 * BRUIT_SECOND, 0);
    show(sim, 10, "leader");
    bruit_sim_free(sim);
    return right ? 0 : 1;
}
