/*
 * Everything at once, drawn from seeds: whatever happens to a simulated cluster, it neither crashes nor
 * depends on the shards; and when all faults have ended, those who are left find together.
 */
#include "base/rng.h"
#include "support/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <bruit/bruit.h>
#include <bruit/sim.h>

#define SEEDS 12
#define STEPS 60
#define MS BRUIT_MILLISECOND
#define S BRUIT_SECOND

struct chaos {
    struct br_rng rng;
    struct bruit_sim *sim;
};

static uint32_t draw(struct chaos *chaos, uint32_t bound)
{
    return br_rng_below(&chaos->rng, bound);
}

static uint32_t some_node(struct chaos *chaos)
{
    return draw(chaos, bruit_sim_count(chaos->sim));
}

static struct bruit_sim_link some_link(struct chaos *chaos)
{
    struct bruit_sim_link link;
    bruit_sim_link_default(&link);
    link.shape = draw(chaos, 2) == 0 ? BRUIT_SIM_UNIFORM : BRUIT_SIM_LOGNORMAL;
    link.latency += draw(chaos, 3) * MS;
    link.jitter = draw(chaos, 3) * MS;
    link.spread = draw(chaos, 3) * MS;
    link.loss = draw(chaos, 3) == 0 ? draw(chaos, 100000) : 0;
    link.duplicate = draw(chaos, 3) == 0 ? draw(chaos, 50000) : 0;
    link.corrupt = draw(chaos, 3) == 0 ? draw(chaos, 50000) : 0;
    link.reorder = draw(chaos, 3) == 0 ? draw(chaos, 50000) : 0;
    link.reorder_delay = draw(chaos, 20) * MS;
    if (draw(chaos, 3) == 0) {
        link.burst_every = (1 + draw(chaos, 10)) * S;
        link.burst_length = draw(chaos, 500) * MS;
        link.burst_loss = draw(chaos, BRUIT_SIM_MILLION);
    }
    return link;
}

static void add_rule(struct chaos *chaos)
{
    struct bruit_sim_rule rule;
    uint32_t nodes[2] = {some_node(chaos), some_node(chaos)};
    bruit_sim_rule_default(&rule);
    rule.from = (struct bruit_sim_set){&nodes[0], 1, draw(chaos, 2) == 0};
    rule.to = (struct bruit_sim_set){&nodes[1], 1, draw(chaos, 2) == 0};
    rule.both_ways = draw(chaos, 2) == 0;
    rule.traffic = 1 + draw(chaos, 3);
    rule.pairs = draw(chaos, BRUIT_SIM_MILLION + 1);
    rule.block = draw(chaos, 2) == 0;
    rule.refuse = draw(chaos, 2) == 0;
    rule.loss = draw(chaos, 500000);
    rule.delay = draw(chaos, 200) * MS;
    rule.jitter = draw(chaos, 200) * MS;
    rule.clog = draw(chaos, 4) == 0 ? bruit_sim_now(chaos->sim) + draw(chaos, 5) * S : 0;
    rule.corrupt = draw(chaos, 4) == 0 ? draw(chaos, 100000) : 0;
    rule.mtu = draw(chaos, 4) == 0 ? 100 + draw(chaos, 1400) : 0;
    assert_int_equal(bruit_sim_rule_add(chaos->sim, &rule, NULL), 0);
}

static void change_addr(struct chaos *chaos, uint32_t node)
{
    struct bruit_addr addr = {.ip = {10, 0, 0, (uint8_t)(1 + draw(chaos, 40))}, .size = 4, .port = 7946};
    if (draw(chaos, 2) == 0)
        addr = bruit_sim_addr(chaos->sim, some_node(chaos));
    if (addr.size != 0)
        assert_int_equal(bruit_sim_set_addr(chaos->sim, node, &addr), 0);
}

/* One thing, anything. What is refused is refused: the world goes on. */
static void do_something(struct chaos *chaos)
{
    struct bruit_sim *sim = chaos->sim;
    uint32_t node = some_node(chaos), other = some_node(chaos);
    switch (draw(chaos, 18)) {
    case 0: bruit_sim_kill(sim, node); break;
    case 1: (void)bruit_sim_restart(sim, node, draw(chaos, 2) == 0); break;
    case 2: (void)bruit_sim_start(sim, node); break;
    case 3: (void)bruit_sim_join(sim, node, &other, 1, NULL); break;
    case 4: (void)bruit_sim_leave(sim, node, 5 * S); break;
    case 5: bruit_sim_pause(sim, node); break;
    case 6: bruit_sim_resume(sim, node); break;
    case 7: bruit_sim_set_cpu(sim, node, draw(chaos, 3) * draw(chaos, 20) * MS); break;
    case 8:
        bruit_sim_starve(sim, node, draw(chaos, 1000) * MS, draw(chaos, 2) * draw(chaos, 3000) * MS);
        break;
    case 9:
        bruit_sim_set_clock(sim, node, ((int64_t)draw(chaos, 20000) - 10000) * (int64_t)MS,
                            (int32_t)draw(chaos, 2000) - 1000);
        break;
    case 10: change_addr(chaos, node); break;
    case 11: bruit_sim_set_bandwidth(sim, node, draw(chaos, 2) * 5000, draw(chaos, 2) * 5000); break;
    case 12: bruit_sim_fail_memory(sim, node, draw(chaos, 2) * 300000); break;
    case 13: bruit_sim_lose_disk(sim, node); break;
    case 14:
        if (bruit_sim_count(sim) < 40)
            (void)bruit_sim_clone(sim, node, NULL);
        break;
    case 15: add_rule(chaos); break;
    case 16: bruit_sim_heal(sim); break;
    default: {
        struct bruit_sim_link link = some_link(chaos);
        (void)bruit_sim_set_link(sim, 0, draw(chaos, 2), &link);
        break;
    }
    }
}

static struct bruit_sim *world_of(uint64_t seed, uint32_t shards)
{
    static const struct bruit_module *const modules[] = {&bruit_status_module, &bruit_event_module,
                                                         &bruit_query_module};
    struct bruit_sim_config config;
    struct bruit_sim *sim = NULL;
    bruit_sim_config_default(&config);
    config.seed = seed;
    config.nodes = 24;
    config.zones = 2;
    config.shards = shards;
    config.trace_level = BRUIT_TRACE_DEBUG;
    config.engine.modules = modules;
    config.engine.module_count = seed % 2 == 0 ? 3 : 0;
    config.engine.push_pull_interval = 10 * S;
    config.poison = 0xa5;
    assert_int_equal(bruit_sim_new(&sim, &config, NULL, 0), 0);
    assert_int_equal(bruit_sim_preload(sim), 0);
    return sim;
}

static uint64_t rage(uint64_t seed, uint32_t shards)
{
    struct chaos chaos = {.sim = world_of(seed, shards)};
    br_rng_init(&chaos.rng, seed, "chaos");
    for (int step = 0; step < STEPS; step++) {
        do_something(&chaos);
        bruit_sim_run(chaos.sim, draw(&chaos, 2000) * MS);
    }
    uint64_t hash = bruit_sim_hash(chaos.sim);
    bruit_sim_free(chaos.sim);
    return hash;
}

static void test_chaos_does_not_depend_on_shards(void **state)
{
    (void)state;
    uint64_t first = test_seed();
    for (uint64_t seed = first; seed < first + SEEDS; seed++)
        if (rage(seed, 1) != rage(seed, 3))
            fail_msg("seed %llu: three shards are another run", (unsigned long long)seed);
}

/* ---- and after it ---- */

static void end_faults(struct bruit_sim *sim)
{
    struct bruit_sim_link link;
    bruit_sim_link_default(&link);
    bruit_sim_heal(sim);
    (void)bruit_sim_set_link(sim, 0, 0, &link);
    (void)bruit_sim_set_link(sim, 0, 1, &link);
    for (uint32_t i = 0; i < bruit_sim_count(sim); i++) {
        bruit_sim_resume(sim, i);
        bruit_sim_set_cpu(sim, i, 0);
        bruit_sim_starve(sim, i, 0, 0);
        bruit_sim_set_clock(sim, i, 0, 0);
        bruit_sim_set_bandwidth(sim, i, 0, 0);
        bruit_sim_fail_memory(sim, i, 0);
    }
}

/*
 * Started anew in a calm network, all who were there at first find together: nothing of the chaos is left
 * behind.
 */
static void test_after_the_chaos_comes_order(void **state)
{
    (void)state;
    uint64_t first = test_seed();
    for (uint64_t seed = first; seed < first + 5; seed++) {
        struct chaos chaos = {.sim = world_of(seed, 1)};
        struct bruit_sim *sim = chaos.sim;
        const uint32_t contact = 0;
        br_rng_init(&chaos.rng, seed, "chaos");
        for (int step = 0; step < STEPS; step++) {
            do_something(&chaos);
            bruit_sim_run(sim, draw(&chaos, 2000) * MS);
        }
        end_faults(sim);
        for (uint32_t i = 0; i < bruit_sim_count(sim); i++)
            bruit_sim_kill(sim, i);
        bruit_sim_run(sim, 60 * S);
        for (uint32_t i = 0; i < 24; i++) {
            struct bruit_addr addr = {.ip = {10, 9, 9, (uint8_t)(i + 1)}, .size = 4, .port = 7946};
            assert_int_equal(bruit_sim_set_addr(sim, i, &addr), 0);
            assert_int_equal(bruit_sim_start(sim, i), 0);
            if (i > 0)
                assert_int_equal(bruit_sim_join(sim, i, &contact, 1, NULL), 0);
        }
        if (!bruit_sim_wait(sim, bruit_sim_all_agree, NULL, 60 * S, 0))
            fail_msg("seed %llu: they did not find together", (unsigned long long)seed);
        bruit_sim_free(sim);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chaos_does_not_depend_on_shards),
        cmocka_unit_test(test_after_the_chaos_comes_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
