/*
 * An engine that stores is recorded and lives again: what its disk answered, and what it found there after each crash,
 * are inputs like all others.
 *
 * Ten nodes share replicated state. One of them, which writes nothing itself, is recorded through writes of the
 * others, a crash with its disk, a disk that fails, and another crash.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sim/record.h"

#include <bruit/bruit.h>
#include <bruit/kv.h>
#include <bruit/sim.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NODE 3u

struct tape {
    struct br_recorder *recorder;
    uint32_t stored;
    uint32_t loaded;
};

static int configured(void *context, struct bruit_sim *sim, uint32_t node, struct bruit_config *engine)
{
    struct tape *tape = context;
    (void)sim;
    if (tape->recorder != NULL)
        br_recorder_configured(tape->recorder, node, engine);
    return 0;
}

static void started(void *context, struct bruit_sim *sim, uint32_t node, struct bruit_engine *engine)
{
    struct tape *tape = context;
    (void)engine;
    br_recorder_started(tape->recorder, node, bruit_sim_clock(sim, node));
}

static void stopped(void *context, struct bruit_sim *sim, uint32_t node, struct bruit_engine *engine)
{
    struct tape *tape = context;
    (void)sim;
    if (tape->recorder != NULL)
        br_recorder_stopped(tape->recorder, node, engine);
}

static void told(void *context, struct bruit_sim *sim, uint32_t node, const struct bruit_sim_input *input)
{
    struct tape *tape = context;
    br_recorder_input(tape->recorder, sim, node, input);
    tape->stored += node == NODE && input->type == BRUIT_SIM_IN_STORED;
    tape->loaded += node == NODE && input->type == BRUIT_SIM_IN_LOADED;
}

static void traced(void *context, struct bruit_sim *sim, uint32_t node, const struct bruit_trace_record *record)
{
    struct tape *tape = context;
    (void)sim;
    br_recorder_trace(tape->recorder, node, record);
}

static int on_load(void *context, struct bruit_sim *sim, uint32_t node, struct bruit_engine *engine,
                   struct bruit_bytes space, struct bruit_bytes key, struct bruit_bytes value)
{
    (void)context;
    (void)sim;
    (void)node;
    (void)space;
    return bruit_kv_load(engine, key, value);
}

static void write_some(struct bruit_sim *sim, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char key[16], value[64];
        uint32_t node = (NODE + 1 + i) % 10 == NODE ? 0 : (NODE + 1 + i) % 10;
        int key_size = snprintf(key, sizeof key, "key %u", (unsigned)(i % 7));
        int value_size = snprintf(value, sizeof value, "written by n%u as its %u", (unsigned)node, (unsigned)i);
        (void)bruit_kv_put(bruit_sim_engine(sim, node),
                           (struct bruit_bytes){(const uint8_t *)key, (size_t)key_size},
                           (struct bruit_bytes){(const uint8_t *)value, (size_t)value_size}, NULL, NULL,
                           bruit_sim_clock(sim, node));
        bruit_sim_kick(sim, node);
        bruit_sim_run(sim, 100 * BRUIT_MILLISECOND);
    }
}

static void live(struct bruit_sim *sim)
{
    write_some(sim, 30);
    assert_int_equal(bruit_sim_restart(sim, NODE, true), 0);
    write_some(sim, 10);
    assert_int_equal(bruit_sim_fail_disk(sim, NODE, BRUIT_EIO), 0);
    write_some(sim, 10);
    assert_int_equal(bruit_sim_fail_disk(sim, NODE, 0), 0);
    assert_int_equal(bruit_sim_restart(sim, NODE, true), 0);
    write_some(sim, 10);
    bruit_sim_run(sim, 30 * BRUIT_SECOND);
}

static void test_a_disk_is_part_of_a_recording(void **state)
{
    (void)state;
    static const struct bruit_module *const modules[] = {&bruit_status_module, &bruit_kv_module};
    char path[] = "/tmp/bruit-test-store-XXXXXX", why[300] = "";
    struct tape tape = {0};
    struct bruit_sim_config config;
    struct bruit_sim *sim;
    struct br_replay_result result;
    int file = mkstemp(path);
    assert_true(file >= 0);
    (void)close(file);
    assert_int_equal(br_recorder_new(&tape.recorder, NODE, path, why, sizeof why), 0);
    bruit_sim_config_default(&config);
    config.nodes = 10;
    config.engine.modules = modules;
    config.engine.module_count = 2;
    config.engine.has_store = true;
    config.disk_torn = true;
    config.trace_level = BRUIT_TRACE_DEBUG;
    config.configure = configured;
    config.on_start = started;
    config.on_stop = stopped;
    config.on_load = on_load;
    config.on_input = told;
    config.on_trace = traced;
    config.context = &tape;
    assert_int_equal(bruit_sim_new(&sim, &config, why, sizeof why), 0);
    assert_int_equal(bruit_sim_preload(sim), 0);
    br_recorder_preloaded(tape.recorder, sim);
    live(sim);
    bruit_sim_kill(sim, NODE);
    uint64_t hash = br_recorder_hash(tape.recorder);
    assert_int_equal(br_recorder_close(tape.recorder), 0);
    tape.recorder = NULL;
    config.on_input = NULL;
    assert_true(tape.stored > 20);
    assert_true(tape.loaded > 7);
    if (br_replay(path, NULL, NULL, &result, why, sizeof why) != 0)
        fail_msg("%s", why);
    (void)unlink(path);
    assert_int_equal(result.lives, 3);
    assert_true(result.has_end);
    assert_true(result.hash == hash && result.recorded_hash == hash);
    bruit_sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_disk_is_part_of_a_recording)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
