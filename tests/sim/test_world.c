/*
 * The simulated world: it runs, everybody knows everybody, and the same seed is the same run whatever else
 * changes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bruit/bruit.h>
#include <bruit/sim.h>

#include <stdio.h>
#include <string.h>

static struct bruit_sim_config config_of(uint32_t nodes)
{
    struct bruit_sim_config config;
    bruit_sim_config_default(&config);
    config.nodes = nodes;
    config.seed = 7;
    return config;
}

static struct bruit_sim *world_of(const struct bruit_sim_config *config)
{
    struct bruit_sim *sim = NULL;
    char why[200] = "";
    int status = bruit_sim_new(&sim, config, why, sizeof why);
    if (status != 0)
        fail_msg("%s", why);
    return sim;
}

static struct bruit_sim *full_view(const struct bruit_sim_config *config)
{
    struct bruit_sim *sim = world_of(config);
    assert_int_equal(bruit_sim_preload(sim), 0);
    return sim;
}

static struct bruit_sim_stats stats_of(const struct bruit_sim *sim)
{
    struct bruit_sim_stats stats;
    bruit_sim_stats_get(sim, &stats);
    return stats;
}

/* ---- knowing each other ---- */

/* Twenty nodes join the first: after a few seconds all agree, as real ones would. */
static void test_nodes_that_join_one_know_all(void **state)
{
    (void)state;
    struct bruit_sim_config config = config_of(20);
    struct bruit_sim *sim = world_of(&config);
    const uint32_t first = 0;
    for (uint32_t i = 0; i < 20; i++) {
        assert_int_equal(bruit_sim_start(sim, i), 0);
        if (i > 0)
            assert_int_equal(bruit_sim_join(sim, i, &first, 1, NULL), 0);
    }
    assert_false(bruit_sim_all_agree(sim, NULL));
    assert_true(bruit_sim_wait(sim, bruit_sim_all_agree, NULL, 10 * BRUIT_SECOND, 0));
    assert_true(stats_of(sim).streams_opened >= 19);
    bruit_sim_free(sim);
}

/* Preloaded, they agree before any time has passed, tell nobody about it, and go on agreeing. */
static void test_a_full_view_needs_no_word(void **state)
{
    (void)state;
    struct bruit_sim_config config = config_of(50);
    struct bruit_sim *sim = full_view(&config);
    assert_true(bruit_sim_all_agree(sim, NULL));
    struct bruit_sim_stats before = stats_of(sim);
    assert_int_equal(before.datagrams_sent, 0);
    bruit_sim_run(sim, 20 * BRUIT_SECOND);
    assert_true(bruit_sim_all_agree(sim, NULL));
    for (uint32_t i = 0; i < 50; i++) {
        struct bruit_stats stats;
        bruit_stats_get(bruit_sim_engine(sim, i), &stats);
        assert_int_equal(stats.rumours, 0);
    }
    bruit_sim_free(sim);
}

/* A full view with Serf's modules: their members are there, too. */
static void test_a_full_view_reaches_modules(void **state)
{
    (void)state;
    static const struct bruit_module *const modules[] = {&bruit_status_module, &bruit_event_module};
    struct bruit_sim_config config = config_of(10);
    config.engine.modules = modules;
    config.engine.module_count = 2;
    struct bruit_sim *sim = full_view(&config);
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(bruit_status_count(bruit_sim_engine(sim, i)), 10);
    bruit_sim_free(sim);
}

/* At rest each node sends one ping a second and answers one: 2.0 packets, as real memberlist does. */
static void test_two_packets_a_second_at_rest(void **state)
{
    (void)state;
    struct bruit_sim_config config = config_of(100);
    struct bruit_sim *sim = full_view(&config);
    bruit_sim_run(sim, 100 * BRUIT_SECOND);
    struct bruit_sim_stats stats = stats_of(sim);
    double rate = (double)stats.datagrams_sent / 100 / 100;
    if (rate < 1.95 || rate > 2.05)
        fail_msg("%.3f packets a second and node", rate);
    bruit_sim_free(sim);
}

static int make_some_old(void *context, struct bruit_sim *sim, uint32_t node, struct bruit_config *engine)
{
    (void)context;
    (void)sim;
    if (node == 19)
        return BRUIT_EIO; /* this one cannot even start */
    if (node % 2 == 0)
        engine->protocol = 4;
    else
        engine->gossip_interval = 500 * BRUIT_MILLISECOND;
    return 0;
}

/* A rolling upgrade: half speak another protocol version, half gossip more slowly. They are one cluster. */
static void test_versions_and_configurations_mix(void **state)
{
    (void)state;
    struct bruit_sim_config config = config_of(20);
    config.configure = make_some_old;
    struct bruit_sim *sim = world_of(&config);
    const uint32_t first = 0;
    assert_int_equal(bruit_sim_start(sim, 19), BRUIT_EIO);
    for (uint32_t i = 0; i < 19; i++) {
        assert_int_equal(bruit_sim_start(sim, i), 0);
        if (i > 0)
            assert_int_equal(bruit_sim_join(sim, i, &first, 1, NULL), 0);
    }
    assert_true(bruit_sim_wait(sim, bruit_sim_all_agree, NULL, 20 * BRUIT_SECOND, 0));
    struct bruit_member member;
    const struct bruit_engine *engine = bruit_sim_engine(sim, 1);
    assert_int_equal(bruit_member_get(engine, bruit_sim_find(sim, 1, 2), &member), 0);
    assert_int_equal(member.versions[2], 4);
    assert_int_equal(bruit_sim_node_of(sim, 1, member.node), 2);
    bruit_sim_free(sim);
}

struct beats {
    bruit_time first[10]; /* when each node's first datagram left */
};

static bool note_beat(void *context, struct bruit_sim *sim, const struct bruit_sim_packet *packet)
{
    struct beats *beats = context;
    (void)sim;
    if (beats->first[packet->from] == 0)
        beats->first[packet->from] = packet->time;
    return true;
}

/* In step, all probe at the same instants, multiples of the interval; else each in its own time. */
static void test_probes_fall_into_step_when_told_to(void **state)
{
    (void)state;
    for (int in_step = 0; in_step < 2; in_step++) {
        struct beats beats = {{0}};
        struct bruit_sim_config config = config_of(10);
        uint32_t together = 0;
        config.in_step = in_step == 1;
        config.on_packet = note_beat;
        config.context = &beats;
        struct bruit_sim *sim = full_view(&config);
        bruit_sim_run(sim, 1500 * BRUIT_MILLISECOND);
        for (int i = 0; i < 10; i++)
            together += beats.first[i] == BRUIT_SECOND;
        assert_int_equal(together, in_step == 1 ? 10 : 0);
        bruit_sim_free(sim);
    }
}

/* What is said before a world is made: a little more than it then takes. */
static void test_memory_is_foretold(void **state)
{
    (void)state;
    struct bruit_sim_config config = config_of(1000);
    uint64_t needed = bruit_sim_memory_needed(&config);
    struct bruit_sim *sim = full_view(&config);
    uint64_t held = stats_of(sim).memory_held;
    if (held > needed || held * 2 < needed)
        fail_msg("%llu were foretold, %llu are held", (unsigned long long)needed, (unsigned long long)held);
    assert_int_equal(stats_of(sim).short_of_memory, 0);
    bruit_sim_free(sim);
}

struct late {
    bruit_time asked; /* when a callback asked for an act at that very moment */
    bruit_time done;
};

static void act_late(struct bruit_sim *sim, void *context)
{
    ((struct late *)context)->done = bruit_sim_now(sim);
}

static void ask_late(void *context, struct bruit_sim *sim, uint32_t node, const struct bruit_event *event)
{
    struct late *late = context;
    (void)node;
    if (event->type != BRUIT_EVENT_JOIN_DONE || late->asked != 0)
        return;
    late->asked = bruit_sim_now(sim);
    assert_int_equal(bruit_sim_at(sim, late->asked, act_late, late), 0);
}

/* An act that a callback asks for at once comes as soon as it can; time does not go back for it. */
static void test_time_never_goes_back_for_an_act(void **state)
{
    (void)state;
    struct late late = {0, 0};
    struct bruit_sim_config config = config_of(5);
    const uint32_t first = 0;
    config.on_event = ask_late;
    config.context = &late;
    struct bruit_sim *sim = world_of(&config);
    assert_int_equal(bruit_sim_start(sim, 0), 0);
    assert_int_equal(bruit_sim_start(sim, 1), 0);
    assert_int_equal(bruit_sim_join(sim, 1, &first, 1, NULL), 0);
    bruit_sim_run(sim, 10 * BRUIT_SECOND);
    assert_true(late.asked > 0);
    assert_true(late.done >= late.asked);
    assert_int_equal(bruit_sim_now(sim), 10 * BRUIT_SECOND);
    bruit_sim_free(sim);
}

/* ---- the same run ---- */

/* An eventful half minute, whose hash must not depend on what `change` changes. */
static uint64_t tell_story(void (*change)(struct bruit_sim_config *))
{
    struct bruit_sim_config config = config_of(40);
    config.trace_level = BRUIT_TRACE_TRACE;
    config.link.loss = 30000;
    config.link.burst_every = 5 * BRUIT_SECOND;
    config.link.burst_length = 200 * BRUIT_MILLISECOND;
    config.link.burst_loss = 800000;
    config.link.duplicate = config.link.reorder = config.link.corrupt = 5000;
    config.link.reorder_delay = 5 * BRUIT_MILLISECOND;
    config.link.spread = BRUIT_MILLISECOND;
    config.engine.push_pull_interval = 5 * BRUIT_SECOND;
    if (change != NULL)
        change(&config);
    struct bruit_sim *sim = full_view(&config);
    const uint32_t few[] = {3, 4, 5};
    uint32_t cut;
    bruit_sim_set_clock(sim, 9, 0, 200);
    bruit_sim_starve(sim, 10, 200 * BRUIT_MILLISECOND, 800 * BRUIT_MILLISECOND);
    bruit_sim_set_cpu(sim, 11, 300 * BRUIT_MICROSECOND);
    bruit_sim_set_bandwidth(sim, 12, 20000, 20000);
    bruit_sim_run(sim, 3 * BRUIT_SECOND);
    bruit_sim_kill(sim, 7);
    assert_int_equal(bruit_sim_partition(sim, few, 3, &cut), 0);
    bruit_sim_run(sim, 12 * BRUIT_SECOND);
    assert_int_equal(bruit_sim_rule_remove(sim, cut), 0);
    assert_int_equal(bruit_sim_restart(sim, 7, true), 0);
    bruit_sim_pause(sim, 8);
    bruit_sim_run(sim, 5 * BRUIT_SECOND);
    bruit_sim_resume(sim, 8);
    assert_int_equal(bruit_sim_leave(sim, 20, 5 * BRUIT_SECOND), 0);
    bruit_sim_run(sim, 10 * BRUIT_SECOND);
    uint64_t hash = bruit_sim_hash(sim);
    bruit_sim_free(sim);
    return hash;
}

static void with_two_shards(struct bruit_sim_config *config)
{
    config->shards = 2;
}

static void with_five_shards(struct bruit_sim_config *config)
{
    config->shards = 5;
}

static void with_permuted_rosters(struct bruit_sim_config *config)
{
    config->permute = 12345;
}

static void with_poison(struct bruit_sim_config *config)
{
    config->poison = 0xa5;
}

static void with_private_rosters(struct bruit_sim_config *config)
{
    config->private_rosters = true;
}

static void with_another_seed(struct bruit_sim_config *config)
{
    config->seed++;
}

static void test_the_same_seed_is_the_same_run(void **state)
{
    (void)state;
    assert_int_equal(tell_story(NULL), tell_story(NULL));
}

static void test_another_seed_is_another_run(void **state)
{
    (void)state;
    assert_int_not_equal(tell_story(NULL), tell_story(with_another_seed));
}

static void test_shards_change_nothing(void **state)
{
    (void)state;
    uint64_t alone = tell_story(NULL);
    assert_int_equal(tell_story(with_two_shards), alone);
    assert_int_equal(tell_story(with_five_shards), alone);
}

/* Whom the roster numbers how must not reach a decision; nor what fresh memory holds. */
static void test_roster_numbers_and_poison_change_nothing(void **state)
{
    (void)state;
    uint64_t plain = tell_story(NULL);
    assert_int_equal(tell_story(with_permuted_rosters), plain);
    assert_int_equal(tell_story(with_poison), plain);
}

/* In production each engine has a roster of its own: what is simulated must be what is shipped. */
static void test_a_shared_roster_is_as_good_as_private_ones(void **state)
{
    (void)state;
    assert_int_equal(tell_story(with_private_rosters), tell_story(NULL));
}

/* ... and it is charged for as much, to within a fifth: growing tables overshoot by what they please. */
static void test_a_shared_roster_is_charged_like_private_ones(void **state)
{
    (void)state;
    uint64_t memory[2];
    for (int i = 0; i < 2; i++) {
        struct bruit_sim_config config = config_of(200);
        config.private_rosters = i == 1;
        struct bruit_sim *sim = full_view(&config);
        memory[i] = stats_of(sim).memory;
        bruit_sim_free(sim);
    }
    if (memory[0] * 5 < memory[1] * 4 || memory[0] * 4 > memory[1] * 5)
        fail_msg("shared %llu, private %llu", (unsigned long long)memory[0], (unsigned long long)memory[1]);
}

/* ---- time ---- */

static void note_time(struct bruit_sim *sim, void *context)
{
    *(bruit_time *)context = bruit_sim_now(sim);
}

/* An act comes at its moment, in the order in which they were asked for; a step stops at it. */
static void test_acts_come_when_asked_for(void **state)
{
    (void)state;
    struct bruit_sim_config config = config_of(0);
    struct bruit_sim *sim = world_of(&config);
    bruit_time first = 0, second = 0;
    assert_int_equal(bruit_sim_at(sim, 20 * BRUIT_SECOND, note_time, &second), 0);
    assert_int_equal(bruit_sim_at(sim, 10 * BRUIT_SECOND, note_time, &first), 0);
    assert_true(bruit_sim_step(sim, BRUIT_NEVER - 1));
    assert_int_equal(bruit_sim_now(sim), 10 * BRUIT_SECOND);
    assert_int_equal(first, 10 * BRUIT_SECOND);
    assert_int_equal(second, 0);
    bruit_sim_run_until(sim, 19 * BRUIT_SECOND);
    assert_int_equal(second, 0);
    bruit_sim_run_until(sim, 20 * BRUIT_SECOND);
    assert_int_equal(second, 20 * BRUIT_SECOND);
    assert_false(bruit_sim_step(sim, 25 * BRUIT_SECOND));
    assert_int_equal(bruit_sim_now(sim), 25 * BRUIT_SECOND);
    bruit_sim_free(sim);
}

static void interrupt(struct bruit_sim *sim, void *context)
{
    (void)context;
    bruit_sim_interrupt(sim);
}

/* Ctrl-C in the middle of a long run: it stops there, and says so once. */
static void test_an_interrupt_ends_a_run(void **state)
{
    (void)state;
    struct bruit_sim_config config = config_of(10);
    struct bruit_sim *sim = full_view(&config);
    assert_int_equal(bruit_sim_at(sim, 5 * BRUIT_SECOND, interrupt, NULL), 0);
    bruit_sim_run(sim, 3600 * BRUIT_SECOND);
    assert_true(bruit_sim_now(sim) < 6 * BRUIT_SECOND);
    assert_true(bruit_sim_interrupted(sim));
    assert_false(bruit_sim_interrupted(sim));
    bruit_sim_run(sim, 10 * BRUIT_SECOND);
    assert_true(bruit_sim_now(sim) >= 15 * BRUIT_SECOND);
    bruit_sim_free(sim);
}

/* ---- what is refused ---- */

static void expect_refusal(const struct bruit_sim_config *config, int status, const char *word)
{
    struct bruit_sim *sim = NULL;
    char why[200] = "";
    assert_int_equal(bruit_sim_new(&sim, config, why, sizeof why), status);
    assert_null(sim);
    if (strstr(why, word) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", why, word);
}

/* Impossible worlds get the reason. */
static void test_impossible_worlds_are_refused_with_the_reason(void **state)
{
    (void)state;
    struct bruit_sim_config config = config_of(BRUIT_SIM_NODES_MAX + 1);
    expect_refusal(&config, BRUIT_EINVAL, "million nodes");
    config = config_of(10);
    config.link.loss = BRUIT_SIM_MILLION + 1;
    expect_refusal(&config, BRUIT_EINVAL, "parts in a million");
    config = config_of(10);
    config.link.latency = 0;
    expect_refusal(&config, BRUIT_EINVAL, "latency");
    config = config_of(10);
    config.shards = 65;
    expect_refusal(&config, BRUIT_EINVAL, "shards");
    config = config_of(10);
    config.engine.gossip_nodes = 1000;
    expect_refusal(&config, BRUIT_EINVAL, "gossip_nodes");
    config = config_of(100000);
    config.memory_max = (uint64_t)8 << 30;
    expect_refusal(&config, BRUIT_ETOOBIG, "GiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nodes_that_join_one_know_all),
        cmocka_unit_test(test_a_full_view_needs_no_word),
        cmocka_unit_test(test_a_full_view_reaches_modules),
        cmocka_unit_test(test_two_packets_a_second_at_rest),
        cmocka_unit_test(test_versions_and_configurations_mix),
        cmocka_unit_test(test_probes_fall_into_step_when_told_to),
        cmocka_unit_test(test_memory_is_foretold),
        cmocka_unit_test(test_time_never_goes_back_for_an_act),
        cmocka_unit_test(test_the_same_seed_is_the_same_run),
        cmocka_unit_test(test_another_seed_is_another_run),
        cmocka_unit_test(test_shards_change_nothing),
        cmocka_unit_test(test_roster_numbers_and_poison_change_nothing),
        cmocka_unit_test(test_a_shared_roster_is_as_good_as_private_ones),
        cmocka_unit_test(test_a_shared_roster_is_charged_like_private_ones),
        cmocka_unit_test(test_acts_come_when_asked_for),
        cmocka_unit_test(test_an_interrupt_ends_a_run),
        cmocka_unit_test(test_impossible_worlds_are_refused_with_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
