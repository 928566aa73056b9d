/*
 * Key-value state in a world where everything goes wrong at once, against a history.
 *
 * Members write, delete and compare-and-set a few keys while packets are lost, the network is cut and healed, and
 * processes are killed and come back with what their disks kept. Each write has a value of its own and remembers which
 * values it replaced. In the end, when all is quiet, all stores are equal, and
 *
 *   no acknowledged write is lost: its value is there, or some write that replaced it was made;
 *   nothing comes back: no value is there that an acknowledged write replaced;
 *   nothing was invented: each value that is there was written to that key.
 */
#include "support/kv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S BRUIT_SECOND
#define MS BRUIT_MILLISECOND

#define NODES 6
#define KEYS 12
#define WRITES 4000
#define PARENTS 64

struct write {
    uint32_t key;
    uint32_t node;
    uint32_t request;
    bool is_delete;
    bool is_acked;
    bool is_there; /* in the end */
    uint32_t ack;
    uint32_t parents[PARENTS];
    uint32_t parent_count;
};

static struct write writes[WRITES];
static uint32_t write_count;

static void name_of(uint32_t key, char name[16])
{
    snprintf(name, 16, "key%u", key);
}

/* The numbers of the values that a member shows. */
static uint32_t shown(const struct world *w, uint32_t node, uint32_t key, uint32_t *numbers)
{
    char name[16];
    struct bruit_kv_entry entry;
    uint32_t count = 0;
    name_of(key, name);
    while (bruit_kv_get(w->nodes[node].engine, world_bytes(name), count, &entry) == 0) {
        char text[16] = {0};
        memcpy(text, entry.value.data, entry.value.size < 15 ? entry.value.size : 15);
        numbers[count++] = (uint32_t)strtoul(text, NULL, 10);
    }
    return count;
}

static void write_something(struct world *w, struct br_rng *rng, uint32_t node)
{
    struct write *write = &writes[write_count];
    char name[16], value[4000];
    *write = (struct write){.key = br_rng_below(rng, KEYS), .node = node, .is_delete = br_rng_below(rng, 5) == 0};
    write->parent_count = shown(w, node, write->key, write->parents);
    name_of(write->key, name);
    int digits = snprintf(value, sizeof value, "%u ", write_count);
    size_t size = br_rng_below(rng, 10) == 0 ? sizeof value - 1 : (size_t)digits; /* some do not fit a datagram */
    memset(value + digits, '.', sizeof value - 1 - (size_t)digits);
    value[size] = '\0';
    struct bruit_kv_write how = {.struct_size = sizeof how, .ack = br_rng_below(rng, 4)};
    write->ack = how.ack;
    if (br_rng_below(rng, 8) == 0) { /* adds a sibling on purpose */
        how.mode = BRUIT_KV_SEEN;
        write->parent_count = 0;
        write->is_delete = false;
    }
    if (write->is_delete && write->parent_count == 0)
        return;
    struct bruit_engine *engine = w->nodes[node].engine;
    int status = write->is_delete
                     ? bruit_kv_delete(engine, world_bytes(name), &how, &write->request, w->now)
                     : bruit_kv_put(engine, world_bytes(name), world_bytes(value), &how, &write->request, w->now);
    world_settle(w, node);
    if (status == BRUIT_EFULL) /* so many siblings */
        return;
    assert_int_equal(status, 0);
    write_count++;
}

static void note_acks(void)
{
    for (uint32_t i = 0; i < write_count; i++) {
        if (writes[i].request == 0)
            continue;
        const struct bruit_kv_done *done = kv_done(writes[i].node, writes[i].request);
        if (done == NULL)
            continue;
        writes[i].is_acked = done->error == 0;
        writes[i].request = 0;
    }
}

/* Its numbers begin anew with the next life. */
static void forget_requests(uint32_t node)
{
    for (uint32_t i = 0; i < write_count; i++)
        if (writes[i].node == node)
            writes[i].request = 0;
}

static bool was_replaced(uint32_t number)
{
    for (uint32_t i = number + 1; i < write_count; i++)
        for (uint32_t j = 0; j < writes[i].parent_count; j++)
            if (writes[i].parents[j] == number)
                return true;
    return false;
}

/* By an acknowledged write, or by one that is there, and so on upwards. */
static bool was_surely_replaced(uint32_t number)
{
    for (uint32_t i = number + 1; i < write_count; i++) {
        if (!writes[i].is_acked && !writes[i].is_there)
            continue;
        for (uint32_t j = 0; j < writes[i].parent_count; j++)
            if (writes[i].parents[j] == number)
                return true;
    }
    return false;
}

static void judge(const struct world *w, uint64_t seed)
{
    uint32_t numbers[64], lost = 0, back = 0;
    for (uint32_t key = 0; key < KEYS; key++) {
        uint32_t count = shown(w, 0, key, numbers);
        for (uint32_t i = 0; i < count; i++) {
            assert_true(numbers[i] < write_count);
            assert_int_equal(writes[numbers[i]].key, key);
            writes[numbers[i]].is_there = true;
        }
    }
    for (uint32_t i = 0; i < write_count; i++) {
        bool is_lost = writes[i].is_acked && !writes[i].is_delete && !writes[i].is_there && !was_replaced(i);
        bool is_back = writes[i].is_there && was_surely_replaced(i);
        if (is_lost || is_back)
            print_error("seed %llu: write %u of key%u by n%u %s\n", (unsigned long long)seed, i, writes[i].key,
                        writes[i].node, is_lost ? "is lost" : "is back");
        lost += is_lost;
        back += is_back;
    }
    assert_int_equal(lost, 0);
    assert_int_equal(back, 0);
}

static void heal(struct world *w)
{
    w->loss = 0;
    memset(w->cut, 0, sizeof w->cut);
    for (uint32_t i = 0; i < NODES; i++)
        if (w->nodes[i].engine == NULL)
            kv_restart(w, i, (i + 1) % NODES);
    for (uint32_t i = 1; i < NODES; i++)
        (void)world_join(w, i, 0);
}

static bool is_quiet(const struct world *w)
{
    if (!kv_all_equal(w))
        return false;
    for (uint32_t i = 0; i < NODES; i++)
        if (kv_stat(w, i).sync != BRUIT_KV_EQUAL)
            return false;
    return true;
}

static void run_chaos(uint64_t seed)
{
    struct world *w = kv_world(seed);
    struct br_rng rng;
    br_rng_init(&rng, seed, "kv chaos");
    write_count = 0;
    w->has_disks = true;
    w->config.has_store = true;
    w->trace_level = BRUIT_TRACE_WARN;
    w->disk_delay = 1 * MS + br_rng_below(&rng, 3) * 40 * MS;
    struct bruit_kv_options options;
    bruit_kv_options_default(&options);
    if (seed % 4 == 0) /* stores that are away for two minutes are reset */
        options.horizon = 120 * S;
    kv_options = &options;
    for (uint32_t i = 0; i < NODES; i++) {
        kv_start(w, world_add(w));
        world_run(w, 500 * MS);
    }
    for (uint32_t step = 0; step < 600 && write_count < WRITES - 8; step++) {
        uint32_t node = br_rng_below(&rng, NODES), act = br_rng_below(&rng, 40);
        if (act == 0 && w->nodes[node].engine != NULL) {
            note_acks();
            forget_requests(node);
            world_kill(w, node);
        } else if (act <= 2 && w->nodes[node].engine == NULL) {
            kv_restart(w, node, (node + 1) % NODES);
        } else if (act == 3) {
            world_partition(w, 1 + br_rng_below(&rng, NODES - 1), true);
        } else if (act == 4) {
            memset(w->cut, 0, sizeof w->cut);
        } else if (act == 5) {
            w->loss = br_rng_below(&rng, 3) * 150;
        } else if (w->nodes[node].engine != NULL) {
            write_something(w, &rng, node);
        }
        world_run(w, br_rng_below(&rng, 10) == 0 ? br_rng_below(&rng, 20) * S : br_rng_below(&rng, 50) * MS);
        note_acks();
    }
    heal(w);
    for (int i = 0; i < 60 && !is_quiet(w); i++)
        world_run(w, 10 * S);
    note_acks();
    if (!is_quiet(w))
        print_error("seed %llu: stores differ in the end\n", (unsigned long long)seed);
    assert_true(is_quiet(w));
    judge(w, seed);
    kv_options = NULL;
    world_free(w);
}

static void test_chaos(void **state)
{
    (void)state;
    const char *one = getenv("BRUIT_TEST_SEED");
    if (one != NULL) {
        run_chaos(strtoull(one, NULL, 10));
        return;
    }
    const char *many = getenv("BRUIT_TEST_RUNS");
    uint64_t runs = many != NULL ? strtoull(many, NULL, 10) : 40;
    for (uint64_t seed = 1; seed <= runs; seed++)
        run_chaos(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_chaos)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
