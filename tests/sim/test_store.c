/*
 * Disks of the simulated world: what a module stored is there after a crash, if and only if it was told so; in the
 * order in which it was stored; and the same seed loses the same.
 *
 * The module here is the smallest that stores: it counts upwards, each number under a key of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bruit/bruit.h>
#include <bruit/module.h>
#include <bruit/sim.h>

#include <stdio.h>
#include <string.h>

#define NUMBERS_MAX 512

/* ---- a module that stores ---- */

struct counter {
    struct bruit_host *host;
    uint32_t next;     /* number to be written */
    uint64_t token;    /* of the last one */
    uint64_t answered; /* up to this token, in good order */
    uint64_t failed;   /* up to this one, not */
    int error;
    uint32_t loaded; /* numbers handed back */
    uint32_t highest;
};

static int counter_init(void *self, struct bruit_host *host)
{
    ((struct counter *)self)->host = host;
    return 0;
}

static void counter_on_stored(void *self, uint64_t token, int status)
{
    struct counter *c = self;
    if (status == 0) {
        c->answered = token;
    } else {
        c->failed = token;
        c->error = status;
    }
}

static const struct bruit_module counter_module = {
    .struct_size = sizeof counter_module,
    .name = "counter",
    .state_size = sizeof(struct counter),
    .init = counter_init,
    .on_stored = counter_on_stored,
};
static const struct bruit_module *const modules[] = {&counter_module};

static struct bruit_bytes bytes_of(const char *text)
{
    return (struct bruit_bytes){(const uint8_t *)text, strlen(text)};
}

static struct counter *counter_at(const struct bruit_sim *sim, uint32_t node)
{
    return bruit_engine_module(bruit_sim_engine(sim, node), &counter_module);
}

static void store(struct bruit_sim *sim, uint32_t node, const char *key, const char *value)
{
    struct counter *c = counter_at(sim, node);
    struct bruit_bytes bytes = value == NULL ? (struct bruit_bytes){0} : bytes_of(value);
    assert_int_equal(bruit_host_store(c->host, bytes_of(key), bytes, &c->token), 0);
    bruit_sim_kick(sim, node);
}

static void count_up(struct bruit_sim *sim, uint32_t node)
{
    char key[16], value[16];
    uint32_t number = counter_at(sim, node)->next++;
    (void)snprintf(key, sizeof key, "%03u", (unsigned)number);
    (void)snprintf(value, sizeof value, "is %u", (unsigned)number);
    store(sim, node, key, value);
}

/* ---- a world ---- */

struct witness {
    char order[4096]; /* the keys in the order in which they came back */
    uint32_t refuse;  /* the load of this many is an error; 0: none is */
    uint64_t inputs[2]; /* stored, loaded */
};

static int on_load(void *context, struct bruit_sim *sim, uint32_t node, struct bruit_engine *engine,
                   struct bruit_bytes space, struct bruit_bytes key, struct bruit_bytes value)
{
    struct witness *witness = context;
    struct counter *c = bruit_engine_module(engine, &counter_module);
    char text[16] = "";
    unsigned number;
    (void)sim;
    (void)node;
    assert_int_equal(space.size, strlen("counter"));
    assert_memory_equal(space.data, "counter", space.size);
    (void)strncat(witness->order, (const char *)key.data, key.size);
    (void)strcat(witness->order, " ");
    c->loaded++;
    if (value.size < sizeof text && value.size > 0)
        memcpy(text, value.data, value.size);
    if (sscanf(text, "is %u", &number) == 1 && number + 1 > c->next)
        c->next = number + 1;
    return witness->refuse == c->loaded ? BRUIT_EFORMAT : 0;
}

static void on_input(void *context, struct bruit_sim *sim, uint32_t node, const struct bruit_sim_input *input)
{
    struct witness *witness = context;
    (void)sim;
    (void)node;
    witness->inputs[0] += input->type == BRUIT_SIM_IN_STORED;
    witness->inputs[1] += input->type == BRUIT_SIM_IN_LOADED;
}

static struct bruit_sim_config config_of(struct witness *witness)
{
    struct bruit_sim_config config;
    bruit_sim_config_default(&config);
    config.nodes = 3;
    config.seed = 11;
    config.engine.modules = modules;
    config.engine.module_count = 1;
    config.engine.has_store = true;
    config.disk_latency = 4 * BRUIT_MILLISECOND;
    config.disk_jitter = 0;
    config.on_load = on_load;
    config.on_input = on_input;
    config.context = witness;
    return config;
}

static struct bruit_sim *world_of(const struct bruit_sim_config *config)
{
    struct bruit_sim *sim = NULL;
    char why[200] = "";
    if (bruit_sim_new(&sim, config, why, sizeof why) != 0)
        fail_msg("%s", why);
    for (uint32_t i = 0; i < config->nodes; i++)
        assert_int_equal(bruit_sim_start(sim, i), 0);
    return sim;
}

static struct bruit_sim_stats stats_of(const struct bruit_sim *sim)
{
    struct bruit_sim_stats stats;
    bruit_sim_stats_get(sim, &stats);
    return stats;
}

/* ---- the tests ---- */

/* A write takes its time; until then nobody is told, and nothing is there. */
static void test_a_write_is_durable_when_it_is_told(void **state)
{
    (void)state;
    struct witness witness = {.refuse = 0};
    struct bruit_sim_config config = config_of(&witness);
    struct bruit_sim *sim = world_of(&config);
    struct bruit_bytes value;
    count_up(sim, 1);
    bruit_sim_run(sim, 3999 * BRUIT_MICROSECOND);
    assert_int_equal(counter_at(sim, 1)->answered, 0);
    assert_false(bruit_sim_disk_read(sim, 1, bytes_of("counter"), bytes_of("000"), &value));
    bruit_sim_run(sim, BRUIT_MICROSECOND);
    assert_int_equal(counter_at(sim, 1)->answered, 1);
    assert_true(bruit_sim_disk_read(sim, 1, bytes_of("counter"), bytes_of("000"), &value));
    assert_int_equal(value.size, 4);
    assert_memory_equal(value.data, "is 0", 4);
    assert_int_equal(bruit_sim_disk_count(sim, 0), 0);
    assert_int_equal(bruit_sim_disk_count(sim, 1), 1);
    assert_int_equal(witness.inputs[0], 1);
    bruit_sim_free(sim);
}

/* What comes while the disk is at work goes with the next transaction, all of it, and is answered once. */
static void test_what_waits_shares_a_transaction(void **state)
{
    (void)state;
    struct witness witness = {.refuse = 0};
    struct bruit_sim_config config = config_of(&witness);
    struct bruit_sim *sim = world_of(&config);
    count_up(sim, 0);
    bruit_sim_run(sim, BRUIT_MILLISECOND);
    for (int i = 0; i < 5; i++)
        count_up(sim, 0);
    bruit_sim_run(sim, 3 * BRUIT_MILLISECOND);
    assert_int_equal(counter_at(sim, 0)->answered, 1);
    bruit_sim_run(sim, 4 * BRUIT_MILLISECOND);
    assert_int_equal(counter_at(sim, 0)->answered, 6);
    assert_int_equal(witness.inputs[0], 2);
    assert_int_equal(stats_of(sim).disk_writes, 6);
    bruit_sim_free(sim);
}

/* A crash loses what nobody was told of, and nothing else; a restart hands the rest back, by name. */
static void test_a_crash_loses_what_was_not_durable(void **state)
{
    (void)state;
    struct witness witness = {.refuse = 0};
    struct bruit_sim_config config = config_of(&witness);
    struct bruit_sim *sim = world_of(&config);
    store(sim, 2, "b", "old");
    store(sim, 2, "a", "there");
    store(sim, 2, "c", "there");
    bruit_sim_run(sim, 10 * BRUIT_MILLISECOND);
    store(sim, 2, "b", "new");
    store(sim, 2, "c", NULL);
    bruit_sim_run(sim, 10 * BRUIT_MILLISECOND);
    store(sim, 2, "d", "too late");
    bruit_sim_run(sim, 2 * BRUIT_MILLISECOND);
    store(sim, 2, "e", "later still");
    bruit_sim_kill(sim, 2);
    assert_int_equal(stats_of(sim).disk_lost, 2);
    bruit_sim_run(sim, BRUIT_SECOND);
    assert_int_equal(bruit_sim_restart(sim, 2, true), 0);
    assert_string_equal(witness.order, "a b ");
    assert_int_equal(witness.inputs[1], 2);
    struct bruit_bytes value;
    assert_true(bruit_sim_disk_read(sim, 2, bytes_of("counter"), bytes_of("b"), &value));
    assert_memory_equal(value.data, "new", 3);
    bruit_sim_free(sim);
}

/* Stopped by a debugger while the disk works: it is durable all the same, though nobody could be told. */
static void test_a_disk_works_while_its_process_stands_still(void **state)
{
    (void)state;
    struct witness witness = {.refuse = 0};
    struct bruit_sim_config config = config_of(&witness);
    struct bruit_sim *sim = world_of(&config);
    for (int crashes = 0; crashes < 2; crashes++) {
        count_up(sim, 0);
        uint64_t token = counter_at(sim, 0)->token;
        bruit_sim_pause(sim, 0);
        bruit_sim_run(sim, BRUIT_SECOND);
        assert_int_not_equal(counter_at(sim, 0)->answered, token);
        if (crashes == 1) {
            assert_int_equal(bruit_sim_restart(sim, 0, true), 0);
            assert_int_equal(counter_at(sim, 0)->loaded, 2);
        } else {
            bruit_sim_resume(sim, 0);
            bruit_sim_run(sim, BRUIT_MILLISECOND);
            assert_int_equal(counter_at(sim, 0)->answered, token);
        }
    }
    bruit_sim_free(sim);
}

/* A restart without state, a start and a lost disk: three ways to come back with nothing. */
static void test_a_disk_can_be_lost(void **state)
{
    (void)state;
    struct witness witness = {.refuse = 0};
    struct bruit_sim_config config = config_of(&witness);
    struct bruit_sim *sim = world_of(&config);
    for (int way = 0; way < 3; way++) {
        count_up(sim, 1);
        bruit_sim_run(sim, BRUIT_SECOND);
        assert_int_equal(bruit_sim_disk_count(sim, 1), 1);
        bruit_sim_kill(sim, 1);
        if (way == 0)
            bruit_sim_lose_disk(sim, 1);
        assert_int_equal(way == 2 ? bruit_sim_start(sim, 1) : bruit_sim_restart(sim, 1, way == 0), 0);
        assert_int_equal(counter_at(sim, 1)->loaded, 0);
        assert_int_equal(bruit_sim_disk_count(sim, 1), 0);
    }
    bruit_sim_free(sim);
}

/* Torn: after any crash the numbers that are there are 0, 1, 2, ... without a gap, and all that were told of. */
static void test_a_torn_crash_keeps_the_order(void **state)
{
    (void)state;
    uint32_t more = 0, all = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct witness witness = {.refuse = 0};
        struct bruit_sim_config config = config_of(&witness);
        config.seed = seed;
        config.disk_torn = true;
        config.disk_jitter = 5 * BRUIT_MILLISECOND;
        struct bruit_sim *sim = world_of(&config);
        for (uint32_t i = 0; i < 30; i++) {
            count_up(sim, 0);
            bruit_sim_run(sim, BRUIT_MILLISECOND);
        }
        uint64_t told = counter_at(sim, 0)->answered;
        assert_int_equal(bruit_sim_restart(sim, 0, true), 0);
        const struct counter *c = counter_at(sim, 0);
        assert_int_equal(c->loaded, c->next); /* no gap */
        assert_true(c->loaded >= told);
        more += c->loaded > told;
        all += c->loaded == 30;
        bruit_sim_free(sim);
    }
    assert_true(more > 10);
    assert_true(all > 0 && all < 40);
}

/* A disk that fails says so, keeps what it had, and is good again when it is. */
static void test_a_disk_can_fail(void **state)
{
    (void)state;
    struct witness witness = {.refuse = 0};
    struct bruit_sim_config config = config_of(&witness);
    struct bruit_sim *sim = world_of(&config);
    count_up(sim, 0);
    bruit_sim_run(sim, BRUIT_SECOND);
    assert_int_equal(bruit_sim_fail_disk(sim, 0, BRUIT_EIO), 0);
    count_up(sim, 0);
    count_up(sim, 0);
    bruit_sim_run(sim, BRUIT_SECOND);
    struct counter *c = counter_at(sim, 0);
    assert_int_equal(c->answered, 1);
    assert_int_equal(c->failed, 3);
    assert_int_equal(c->error, BRUIT_EIO);
    assert_int_equal(stats_of(sim).disk_failed, 2);
    assert_int_equal(bruit_sim_disk_count(sim, 0), 1);
    assert_int_equal(bruit_sim_fail_disk(sim, 0, 0), 0);
    count_up(sim, 0);
    bruit_sim_run(sim, BRUIT_SECOND);
    assert_int_equal(c->answered, 4);
    assert_int_equal(bruit_sim_disk_count(sim, 0), 2);
    bruit_sim_free(sim);
}

/* What is on the disk cannot be read: the start fails, and says why; the node does not run. */
static void test_a_bad_record_fails_the_start(void **state)
{
    (void)state;
    struct witness witness = {.refuse = 2};
    struct bruit_sim_config config = config_of(&witness);
    struct bruit_sim *sim = world_of(&config);
    for (int i = 0; i < 3; i++)
        count_up(sim, 0);
    bruit_sim_run(sim, BRUIT_SECOND);
    assert_int_equal(bruit_sim_restart(sim, 0, true), BRUIT_EFORMAT);
    assert_int_equal(bruit_sim_condition(sim, 0), BRUIT_SIM_STOPPED);
    assert_string_equal(witness.order, "000 001 ");
    witness.refuse = 0;
    assert_int_equal(bruit_sim_restart(sim, 0, true), 0);
    assert_int_equal(counter_at(sim, 0)->loaded, 3);
    bruit_sim_free(sim);
}

/* A clone has the disk of whom it is a clone of; from then on each has its own. */
static void test_a_clone_has_a_copy_of_the_disk(void **state)
{
    (void)state;
    struct witness witness = {.refuse = 0};
    struct bruit_sim_config config = config_of(&witness);
    struct bruit_sim *sim = world_of(&config);
    uint32_t clone;
    count_up(sim, 0);
    bruit_sim_run(sim, BRUIT_SECOND);
    assert_int_equal(bruit_sim_clone(sim, 0, &clone), 0);
    count_up(sim, 0);
    bruit_sim_run(sim, BRUIT_SECOND);
    assert_int_equal(bruit_sim_disk_count(sim, clone), 1);
    assert_int_equal(bruit_sim_restart(sim, clone, true), 0);
    assert_int_equal(counter_at(sim, clone)->loaded, 1);
    assert_int_equal(bruit_sim_disk_count(sim, 0), 2);
    bruit_sim_free(sim);
}

/* A key that is written again and again does not grow the disk, and what is next to it stays what it is. */
static void test_what_was_replaced_is_forgotten(void **state)
{
    (void)state;
    struct witness witness = {.refuse = 0};
    struct bruit_sim_config config = config_of(&witness);
    config.disk_latency = BRUIT_MICROSECOND;
    struct bruit_sim *sim = world_of(&config);
    char text[300], key[16];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    for (uint32_t i = 0; i < 2000; i++) {
        (void)snprintf(text, 8, "%07u", (unsigned)i);
        (void)snprintf(key, sizeof key, "k%02u", (unsigned)(i * 7 % 20));
        store(sim, 0, key, text);
        bruit_sim_run(sim, 2 * BRUIT_MICROSECOND);
    }
    assert_int_equal(bruit_sim_disk_count(sim, 0), 20);
    for (uint32_t i = 1980; i < 2000; i++) {
        struct bruit_bytes value;
        (void)snprintf(text, 8, "%07u", (unsigned)i);
        (void)snprintf(key, sizeof key, "k%02u", (unsigned)(i * 7 % 20));
        assert_true(bruit_sim_disk_read(sim, 0, bytes_of("counter"), bytes_of(key), &value));
        assert_memory_equal(value.data, text, 7);
    }
    assert_int_equal(bruit_sim_restart(sim, 0, true), 0);
    assert_int_equal(counter_at(sim, 0)->loaded, 20);
    bruit_sim_free(sim);
}

/* Crashes, tears and failures: the same in one shard and in many, and another with another seed. */
static uint64_t tell_story(uint32_t shards, uint64_t seed)
{
    struct witness witness = {.refuse = 0};
    struct bruit_sim_config config = config_of(&witness);
    config.nodes = 12;
    config.shards = shards;
    config.seed = seed;
    config.disk_torn = true;
    config.disk_jitter = 3 * BRUIT_MILLISECOND;
    config.on_input = NULL;
    struct bruit_sim *sim = world_of(&config);
    for (uint32_t i = 0; i < 300; i++) {
        count_up(sim, i % 12);
        bruit_sim_run(sim, 500 * BRUIT_MICROSECOND);
        if (i % 20 == 19)
            assert_int_equal(bruit_sim_restart(sim, i % 12, true), 0);
        if (i % 50 == 49)
            assert_int_equal(bruit_sim_fail_disk(sim, i % 12, i % 100 == 99 ? 0 : BRUIT_EIO), 0);
    }
    uint64_t hash = bruit_sim_hash(sim) ^ stats_of(sim).disk_writes;
    bruit_sim_free(sim);
    return hash;
}

static void test_the_same_seed_loses_the_same(void **state)
{
    (void)state;
    uint64_t hash = tell_story(1, 5);
    assert_true(hash == tell_story(1, 5));
    assert_true(hash == tell_story(2, 5));
    assert_true(hash == tell_story(5, 5));
    assert_true(hash != tell_story(1, 6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_write_is_durable_when_it_is_told),
        cmocka_unit_test(test_what_waits_shares_a_transaction),
        cmocka_unit_test(test_a_crash_loses_what_was_not_durable),
        cmocka_unit_test(test_a_disk_works_while_its_process_stands_still),
        cmocka_unit_test(test_a_disk_can_be_lost),
        cmocka_unit_test(test_a_torn_crash_keeps_the_order),
        cmocka_unit_test(test_a_disk_can_fail),
        cmocka_unit_test(test_a_bad_record_fails_the_start),
        cmocka_unit_test(test_a_clone_has_a_copy_of_the_disk),
        cmocka_unit_test(test_what_was_replaced_is_forgotten),
        cmocka_unit_test(test_the_same_seed_loses_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
