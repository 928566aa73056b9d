/*
 * Same seed, same inputs: the same run, on every machine and with every compiler.
 *
 * A cluster lives through an eventful three minutes of its own time, with loss, a stall, a kill, a return, a leave, a
 * cut and new metadata; in some variants with key-value state, aggregates and heartbeats. At each act the trace hash,
 * the view checksum and the state of every member are printed, so that the first line in which two builds differ says
 * when and who. `./check --all` compares the output of gcc and clang, -O0 and -O3. Here every story is also told twice:
 * other addresses in memory must not change it, and another seed must.
 */
#include "simulation.h"
#include "support/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMBERS 16
#define ACTS 9

struct variant {
    const char *name;
    uint64_t seed;
    bool is_compressed;
    bool is_sealed;
    bool has_state; /* keys are written, figures published */
    enum bruit_detector detector;
};

/* What a run looked like: of each act, the hash, the checksum and the state of each member. */
struct record {
    uint64_t state[ACTS][MEMBERS]; /* the root of its store, and the bits of a mean */
    uint64_t hash[ACTS][MEMBERS];
    uint64_t view[ACTS][MEMBERS];
    uint64_t datagrams[ACTS];
};

static void tell(const struct variant *variant, struct record *record);
static void print(const struct variant *variant, const struct record *record);

int main(void)
{
    static const struct variant variants[] = {
        {.name = "plain", .seed = 1},
        {.name = "another seed", .seed = 2},
        {.name = "compressed", .seed = 3, .is_compressed = true},
        {.name = "sealed", .seed = 4, .is_sealed = true},
        {.name = "both", .seed = 5, .is_compressed = true, .is_sealed = true},
        {.name = "state", .seed = 6, .has_state = true},
        {.name = "heartbeats", .seed = 7, .detector = BRUIT_DETECTOR_HEARTBEAT},
        {.name = "heartbeats and state", .seed = 8, .has_state = true, .detector = BRUIT_DETECTOR_HEARTBEAT},
    };
    struct record *first = calloc(sizeof variants / sizeof *variants, sizeof *first);
    struct record *again = calloc(1, sizeof *again);
    int failures = 0;
    if (first == NULL || again == NULL)
        return 1;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        tell(&variants[i], &first[i]);
        void *shift = malloc(12345); /* so that nothing lies where it lay */
        memset(again, 0, sizeof *again);
        tell(&variants[i], again);
        free(shift);
        print(&variants[i], &first[i]);
        if (memcmp(&first[i], again, sizeof *again) != 0) {
            fprintf(stderr, "%s: told twice, it went two ways\n", variants[i].name);
            failures++;
        }
    }
    if (memcmp(first[0].hash[ACTS - 1], first[1].hash[ACTS - 1], sizeof first[0].hash[0]) == 0) {
        fprintf(stderr, "two seeds, one story: the hash does not look\n");
        failures++;
    }
    free(first);
    free(again);
    failures += tell_simulation();
    return failures != 0;
}

static const struct bruit_module *const state_modules[] = {&bruit_kv_module, &bruit_aggregate_module};

/* Some write, one of them the same key as another; each publishes a number of its own. */
static void write_state(struct world *world, size_t act)
{
    for (uint32_t i = 0; i < world->count && world->config.module_count > 0; i++) {
        struct bruit_engine *engine = world->nodes[i].engine;
        if (engine == NULL)
            continue;
        char key[16];
        (void)snprintf(key, sizeof key, "key-%zu", (act + i) % 7);
        if (i % 3 == act % 3)
            (void)bruit_kv_put(engine, world_bytes(key), world_bytes(world->nodes[i].name), NULL, NULL, world->now);
        (void)bruit_aggregate_publish_number(engine, world_bytes("load"), (double)(act * 10 + i) / 7, world->now);
        world_settle(world, i);
    }
}

static uint64_t state_of(struct bruit_engine *engine, bruit_time now)
{
    struct bruit_kv_stat stat;
    struct bruit_aggregate_answer mean;
    uint64_t bits = 0;
    if (bruit_kv_stat(engine, &stat) != 0)
        return 0;
    if (bruit_aggregate_ask(engine, world_bytes("load"), BRUIT_AGGREGATE_MEAN, 0, &mean, now) == 0)
        memcpy(&bits, &mean.value, sizeof bits);
    return stat.root ^ bits;
}

static void note(const struct world *world, size_t act, struct record *record)
{
    record->datagrams[act] = world->datagrams;
    for (uint32_t i = 0; i < world->count; i++) {
        const struct world_node *node = &world->nodes[i];
        record->hash[act][i] = node->trace_hash;
        record->view[act][i] = node->engine == NULL ? 0 : bruit_view_checksum(node->engine);
        record->state[act][i] = node->engine == NULL ? 0 : state_of(node->engine, world->now);
    }
}

static struct world *found(const struct variant *variant)
{
    static const uint8_t key_bytes[16] = "sixteen bytes...";
    static const struct bruit_bytes key = {key_bytes, sizeof key_bytes};
    struct world *world = world_new(variant->seed);
    world->trace_level = BRUIT_TRACE_TRACE;
    world->loss = 50;
    world->config.compression = variant->is_compressed;
    world->config.detector = variant->detector;
    if (variant->has_state) {
        world->config.modules = state_modules;
        world->config.module_count = sizeof state_modules / sizeof *state_modules;
    }
    world->config.push_pull_interval = 10 * BRUIT_SECOND; /* several fit into the story */
    if (variant->is_sealed) {
        world->config.keys = &key;
        world->config.key_count = 1;
    }
    return world;
}

static void tell(const struct variant *variant, struct record *record)
{
    size_t act = 0;
    struct world *world = found(variant);
    world_cluster(world, MEMBERS);
    world_run(world, 5 * BRUIT_SECOND);
    note(world, act++, record);
    write_state(world, act);

    world_pause(world, 3);
    world_run(world, 7 * BRUIT_SECOND);
    world_resume(world, 3);
    world_run(world, 5 * BRUIT_SECOND);
    note(world, act++, record);
    write_state(world, act);

    world_kill(world, 5);
    world_run(world, 30 * BRUIT_SECOND);
    note(world, act++, record);
    write_state(world, act);

    (void)bruit_set_meta(world->nodes[1].engine, world_bytes("\xff\x81\xa4role\xa2xy"), world->now);
    world_settle(world, 1);
    world_run(world, 5 * BRUIT_SECOND);
    note(world, act++, record);
    write_state(world, act);

    if (world_start(world, 5) == 0)
        (void)world_join(world, 5, 0);
    world_run(world, 10 * BRUIT_SECOND);
    note(world, act++, record);
    write_state(world, act);

    world_partition(world, 6, true);
    world_run(world, 40 * BRUIT_SECOND);
    note(world, act++, record);
    write_state(world, act);

    world_partition(world, 6, false);
    (void)world_join(world, 0, 9);
    world_run(world, 20 * BRUIT_SECOND);
    note(world, act++, record);
    write_state(world, act);

    world_leave(world, 12, 5 * BRUIT_SECOND);
    world_run(world, 10 * BRUIT_SECOND);
    note(world, act++, record);
    write_state(world, act);

    world_run(world, 60 * BRUIT_SECOND);
    note(world, act++, record);
    world_free(world);
}

static void print(const struct variant *variant, const struct record *record)
{
    for (size_t act = 0; act < ACTS; act++) {
        printf("%s, act %zu: %" PRIu64 " datagrams\n", variant->name, act, record->datagrams[act]);
        for (size_t i = 0; i < MEMBERS; i++)
            printf("  n%zu trace %016" PRIx64 " view %016" PRIx64 " state %016" PRIx64 "\n", i, record->hash[act][i],
                   record->view[act][i], record->state[act][i]);
    }
}
