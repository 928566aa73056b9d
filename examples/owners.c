/*
 * Who stores what: twelve members in three data centres keep three copies of each key, in one member of each, and the
 * four large ones keep twice as much. Every member works out the same places by itself. Then a member dies, and what it
 * had is copied to others; nothing else moves.
 *
 * Weight and data centre are the program's own two bytes of metadata here. (Programs whose members are Serf's pass
 * bruit_owner_site_of_tags instead, and use the tags `weight` and `zone`.)
 *
 *     cc owners.c -lbruit-sim -lbruit
 */
#include <bruit/bruit.h>
#include <bruit/sim.h>

#include <stdio.h>
#include <string.h>

#define MEMBERS 12
#define CENTRES 3
#define COPIES 3
#define KEYS 12000

/* Reads the metadata that start() sets: nothing that others could see differently. */
static void site(void *context, const struct bruit_member *member, struct bruit_owner_site *out)
{
    (void)context;
    if (member->meta.size != 2)
        return; /* weight 1, no zone */
    out->weight = member->meta.data[0];
    out->zone = (struct bruit_bytes){member->meta.data + 1, 1};
}

static bool start(struct bruit_sim *sim, uint32_t node)
{
    uint8_t meta[2] = {node < 4 ? 2 : 1, (uint8_t)('a' + node % CENTRES)};
    uint32_t first = 0;
    if (bruit_sim_start(sim, node) != 0)
        return false;
    struct bruit_engine *engine = bruit_sim_engine(sim, node);
    bruit_owner_configure(engine, site, NULL);
    bruit_set_meta(engine, (struct bruit_bytes){meta, sizeof meta}, bruit_sim_clock(sim, node));
    if (node > 0)
        bruit_sim_join(sim, node, &first, 1, 0);
    bruit_sim_kick(sim, node);
    bruit_sim_run(sim, BRUIT_SECOND);
    return true;
}

static bool all_agree(struct bruit_sim *sim, void *context)
{
    uint64_t checksum = 0;
    (void)context;
    for (uint32_t i = 0; i < bruit_sim_count(sim); i++) {
        const struct bruit_engine *engine = bruit_sim_engine(sim, i);
        if (engine == NULL)
            continue;
        if (checksum != 0 && bruit_view_checksum(engine) != checksum)
            return false;
        checksum = bruit_view_checksum(engine);
    }
    return bruit_member_alive_count(bruit_sim_engine(sim, 0)) == *(const size_t *)context;
}

/* The owners of a key as `node` sees them, as numbers of the world. */
static int find(struct bruit_sim *sim, uint32_t node, uint32_t key, uint32_t owners[COPIES])
{
    bruit_node found[COPIES];
    int count = bruit_owner_find(bruit_sim_engine(sim, node), (struct bruit_bytes){(uint8_t *)&key, sizeof key},
                                 found, COPIES);
    for (int i = 0; i < count; i++)
        owners[i] = bruit_sim_node_of(sim, node, found[i]);
    return count;
}

static bool has(const uint32_t owners[COPIES], uint32_t node)
{
    return owners[0] == node || owners[1] == node || owners[2] == node;
}

/* Places all keys; false when two members disagree, or two copies would be in one data centre. */
static bool place(struct bruit_sim *sim, uint32_t owners[KEYS][COPIES])
{
    uint32_t other[COPIES];
    for (uint32_t key = 0; key < KEYS; key++) {
        uint32_t *o = owners[key];
        if (find(sim, 0, key, o) != COPIES || find(sim, 1 + key % 4, key, other) != COPIES ||
            memcmp(o, other, sizeof other) != 0)
            return false;
        if (o[0] % CENTRES == o[1] % CENTRES || o[0] % CENTRES == o[2] % CENTRES ||
            o[1] % CENTRES == o[2] % CENTRES)
            return false;
    }
    return true;
}

int main(void)
{
    static uint32_t before[KEYS][COPIES], after[KEYS][COPIES];
    const struct bruit_module *modules[] = {&bruit_owner_module};
    const uint32_t dead = 7;
    struct bruit_sim_config config;
    struct bruit_sim *sim;
    size_t alive = MEMBERS;
    char why[200];

    bruit_sim_config_default(&config);
    config.nodes = MEMBERS;
    config.seed = 42;
    config.engine.modules = modules;
    config.engine.module_count = 1;
    if (bruit_sim_new(&sim, &config, why, sizeof why) != 0) {
        fprintf(stderr, "no world: %s\n", why);
        return 1;
    }
    bool right = true;
    for (uint32_t i = 0; i < MEMBERS && right; i++)
        right = start(sim, i);
    right = right && bruit_sim_wait(sim, all_agree, &alive, 60 * BRUIT_SECOND, 0) && place(sim, before);
    bruit_sim_kill(sim, dead);
    alive--;
    right = right && bruit_sim_wait(sim, all_agree, &alive, 120 * BRUIT_SECOND, 0) && place(sim, after);

    uint32_t copied = 0, lost = 0;
    for (uint32_t key = 0; key < KEYS; key++) {
        lost += has(before[key], dead);
        for (int i = 0; i < COPIES; i++)
            copied += !has(before[key], after[key][i]);
    }
    right = right && copied == lost;
    printf("n7 had copies of %u of %u keys; %u were made again, in other members of its data centre: %s\n", lost,
           KEYS, copied, right ? "all members agree" : "SOMETHING IS WRONG");
    bruit_sim_free(sim);
    return right ? 0 : 1;
}
