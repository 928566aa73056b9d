/*
 * The network of the simulated world: what it does to datagrams and streams, measured against what was asked
 * for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bruit/bruit.h>
#include <bruit/sim.h>

#include <string.h>

#define MS BRUIT_MILLISECOND
#define S BRUIT_SECOND

/* What a test watches: when datagrams leave and arrive. */
struct watch {
    bruit_time sent[4096]; /* by a hash of what it says */
    bruit_time delay_min;
    bruit_time delay_max;
    bruit_time delay_sum;
    uint64_t delays;
    uint64_t above; /* delays above `mark` */
    bruit_time mark;
    int join_error;
    bool has_joined;
};

static size_t key_of(struct bruit_bytes bytes)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < bytes.size; i++)
        hash = (hash ^ bytes.data[i]) * 16777619u;
    return hash % 4096;
}

static bool on_packet(void *context, struct bruit_sim *sim, const struct bruit_sim_packet *packet)
{
    struct watch *watch = context;
    (void)sim;
    watch->sent[key_of(packet->bytes)] = packet->time;
    return true;
}

/* Sequence numbers make all datagrams differ. */
static void on_input(void *context, struct bruit_sim *sim, uint32_t node, const struct bruit_sim_input *input)
{
    struct watch *watch = context;
    if (input->type != BRUIT_SIM_IN_DATAGRAM)
        return;
    bruit_time delay = bruit_sim_time(sim, node) - watch->sent[key_of(input->bytes)];
    watch->delay_min = watch->delays == 0 || delay < watch->delay_min ? delay : watch->delay_min;
    watch->delay_max = delay > watch->delay_max ? delay : watch->delay_max;
    watch->delay_sum += delay;
    watch->delays++;
    watch->above += delay > watch->mark;
}

static void on_event(void *context, struct bruit_sim *sim, uint32_t node, const struct bruit_event *event)
{
    struct watch *watch = context;
    (void)sim;
    (void)node;
    if (event->type != BRUIT_EVENT_JOIN_DONE)
        return;
    watch->has_joined = true;
    watch->join_error = event->join.results[0].error;
}

static struct bruit_sim_config config_of(uint32_t nodes, struct watch *watch)
{
    struct bruit_sim_config config;
    memset(watch, 0, sizeof *watch);
    bruit_sim_config_default(&config);
    config.nodes = nodes;
    config.seed = 11;
    config.on_packet = on_packet;
    config.on_input = on_input;
    config.on_event = on_event;
    config.context = watch;
    return config;
}

static struct bruit_sim *world_of(const struct bruit_sim_config *config)
{
    struct bruit_sim *sim = NULL;
    char why[200] = "";
    if (bruit_sim_new(&sim, config, why, sizeof why) != 0)
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

/* The part of all that was sent, in millionths. */
static void expect_part(const char *what, uint64_t count, const struct bruit_sim *sim, double low,
                        double high)
{
    double part = 1e6 * (double)count / (double)stats_of(sim).datagrams_sent;
    if (part < low || part > high)
        fail_msg("%s: %.0f in a million, not %.0f to %.0f", what, part, low, high);
}

/* ---- datagrams ---- */

/*
 * 2 % loss, 1 % duplicates, 1 % with a flipped bit, each by itself: that many, and the cluster lives with it.
 */
static void test_chance_hits_as_often_as_asked_for(void **state)
{
    (void)state;
    struct watch watch;
    struct bruit_sim_config config = config_of(50, &watch);
    config.link.loss = 20000;
    config.link.duplicate = config.link.corrupt = 10000;
    struct bruit_sim *sim = full_view(&config);
    bruit_sim_run(sim, 600 * S);
    expect_part("lost", stats_of(sim).lost[BRUIT_SIM_LOST_CHANCE], sim, 18500, 21500);
    expect_part("twice", stats_of(sim).duplicated, sim, 8800, 11000);
    expect_part("corrupt", stats_of(sim).corrupted, sim, 8800, 11000);
    assert_true(bruit_sim_wait(sim, bruit_sim_all_agree, NULL, 60 * S, 0));
    bruit_sim_free(sim);
}

/*
 * Bursts of 100 ms every 2 s in which half is lost: one in 40, and never more than half the time between two.
 */
static void test_bursts_lose_in_bursts(void **state)
{
    (void)state;
    struct watch watch;
    struct bruit_sim_config config = config_of(50, &watch);
    config.link.burst_every = 2 * S;
    config.link.burst_length = 100 * MS;
    config.link.burst_loss = 500000;
    struct bruit_sim *sim = full_view(&config);
    bruit_sim_run(sim, 600 * S);
    expect_part("lost", stats_of(sim).lost[BRUIT_SIM_LOST_BURST], sim, 22000, 28000);
    assert_int_equal(stats_of(sim).lost[BRUIT_SIM_LOST_CHANCE], 0);
    bruit_sim_free(sim);
}

static void test_latency_stays_in_its_range(void **state)
{
    (void)state;
    struct watch watch;
    struct bruit_sim_config config = config_of(2, &watch);
    config.link.latency = 10 * MS;
    config.link.jitter = 20 * MS;
    struct bruit_sim *sim = full_view(&config);
    bruit_sim_run(sim, 1000 * S);
    assert_in_range(watch.delay_min, 10 * MS, 10 * MS + MS / 2);
    assert_in_range(watch.delay_max, 30 * MS - MS / 2, 30 * MS);
    assert_in_range(watch.delay_sum / watch.delays, 19 * MS, 21 * MS);
    bruit_sim_free(sim);
}

/* The long tail: half above the median, a tenth above 3.6 medians. */
static void test_lognormal_latency_has_its_median_and_tail(void **state)
{
    (void)state;
    const struct {
        bruit_time mark;
        double low, high;
    } rows[] = {{11 * MS, 0.47, 0.53}, {1 * MS + 36 * MS, 0.08, 0.12}};
    for (size_t i = 0; i < 2; i++) {
        struct watch watch;
        struct bruit_sim_config config = config_of(2, &watch);
        config.link.latency = MS;
        config.link.jitter = 10 * MS;
        config.link.shape = BRUIT_SIM_LOGNORMAL;
        watch.mark = rows[i].mark;
        struct bruit_sim *sim = full_view(&config);
        bruit_sim_run(sim, 1000 * S);
        double part = (double)watch.above / (double)watch.delays;
        if (part < rows[i].low || part > rows[i].high)
            fail_msg("%.3f of the delays are above the mark", part);
        bruit_sim_free(sim);
    }
}

/* Two zones, 1 ms inside and 50 ms between them: the mean tells how often the pings crossed. */
static void test_zones_have_links_of_their_own(void **state)
{
    (void)state;
    struct watch watch;
    struct bruit_sim_link links[4];
    struct bruit_sim_config config = config_of(2, &watch);
    for (int i = 0; i < 4; i++) {
        bruit_sim_link_default(&links[i]);
        links[i].latency = i == 1 || i == 2 ? 50 * MS : MS;
        links[i].jitter = 0;
    }
    config.zones = 2;
    config.links = links;
    struct bruit_sim *sim = full_view(&config);
    assert_int_equal(bruit_sim_zone(sim, 0), 0);
    assert_int_equal(bruit_sim_zone(sim, 1), 1);
    bruit_sim_run(sim, 100 * S);
    assert_int_equal(watch.delay_min, 50 * MS);
    assert_int_equal(watch.delay_max, 50 * MS);
    bruit_sim_free(sim);
}

/* What is longer than the way's MTU vanishes, and nothing else does. */
static void test_a_black_hole_swallows_what_is_long(void **state)
{
    (void)state;
    struct watch watch;
    struct bruit_sim_config config = config_of(20, &watch);
    config.link.mtu = 150;
    struct bruit_sim *sim = full_view(&config);
    bruit_sim_run(sim, 5 * S);
    assert_int_equal(stats_of(sim).lost[BRUIT_SIM_LOST_MTU], 0); /* pings are short */
    for (uint32_t i = 0; i < 4; i++)
        bruit_sim_kill(sim, i);
    bruit_sim_run(sim, 20 * S);
    assert_true(stats_of(sim).lost[BRUIT_SIM_LOST_MTU] > 0); /* news of four is not */
    bruit_sim_free(sim);
}

/* 2 kB/s take a ping of some 60 bytes 30 ms; more than the queue holds is lost. */
static void test_a_narrow_line_takes_its_time(void **state)
{
    (void)state;
    struct watch watch;
    struct bruit_sim_config config = config_of(2, &watch);
    config.bandwidth_up = 2000;
    struct bruit_sim *sim = full_view(&config);
    bruit_sim_run(sim, 100 * S);
    assert_in_range(watch.delay_max, 20 * MS, 60 * MS);
    assert_int_equal(stats_of(sim).lost[BRUIT_SIM_LOST_QUEUE], 0);
    bruit_sim_free(sim);
    config.bandwidth_up = 20;
    config.queue_max = 100;
    sim = full_view(&config);
    bruit_sim_run(sim, 100 * S);
    assert_true(stats_of(sim).lost[BRUIT_SIM_LOST_QUEUE] > 0);
    bruit_sim_free(sim);
}

/* ---- rules ---- */

static struct bruit_sim_rule from_to(const uint32_t *from, const uint32_t *to)
{
    struct bruit_sim_rule rule;
    bruit_sim_rule_default(&rule);
    rule.from = (struct bruit_sim_set){from, 1, false};
    rule.to = (struct bruit_sim_set){to, 1, false};
    return rule;
}

static uint64_t heard(const struct bruit_sim *sim, uint32_t node)
{
    struct bruit_stats stats;
    bruit_stats_get(bruit_sim_engine(sim, node), &stats);
    return stats.datagrams_in;
}

/* 0 cannot reach 1, but 1 can reach 0; healed, both can. */
static void test_a_one_way_cut_is_one_way(void **state)
{
    (void)state;
    struct watch watch;
    struct bruit_sim_config config = config_of(2, &watch);
    struct bruit_sim *sim = full_view(&config);
    const uint32_t nodes[] = {0, 1};
    struct bruit_sim_rule rule = from_to(&nodes[0], &nodes[1]);
    uint32_t id;
    rule.block = true;
    rule.traffic = BRUIT_SIM_DATAGRAMS;
    assert_int_equal(bruit_sim_rule_add(sim, &rule, &id), 0);
    bruit_sim_run(sim, 3 * S);
    assert_int_equal(heard(sim, 1), 0);
    assert_true(heard(sim, 0) >= 2);
    assert_true(stats_of(sim).lost[BRUIT_SIM_LOST_RULE] >= 3);
    assert_int_equal(bruit_sim_rule_remove(sim, id), 0);
    assert_int_equal(bruit_sim_rule_remove(sim, id), BRUIT_ENOENT);
    bruit_sim_run(sim, 3 * S);
    assert_true(heard(sim, 1) > 0);
    bruit_sim_free(sim);
}

/*
 * A partition of 3 from 17 for five minutes: each side thinks the other dead. Healed, and told of each other,
 * they agree.
 */
static void test_a_partition_splits_and_heals(void **state)
{
    (void)state;
    struct watch watch;
    struct bruit_sim_config config = config_of(20, &watch);
    struct bruit_sim *sim = full_view(&config);
    const uint32_t few[] = {0, 1, 2}, other = 10;
    assert_int_equal(bruit_sim_partition(sim, few, 3, NULL), 0);
    bruit_sim_run(sim, 300 * S);
    assert_int_equal(bruit_member_alive_count(bruit_sim_engine(sim, 0)), 3);
    assert_int_equal(bruit_member_alive_count(bruit_sim_engine(sim, 10)), 17);
    bruit_sim_heal(sim);
    assert_int_equal(bruit_sim_join(sim, 0, &other, 1, NULL), 0);
    assert_true(bruit_sim_wait(sim, bruit_sim_all_agree, NULL, 30 * S, 0));
    bruit_sim_free(sim);
}

/* Clogged until the tenth second, nothing arrives; then all of it does. */
static void test_a_clog_holds_and_lets_go(void **state)
{
    (void)state;
    struct watch watch;
    struct bruit_sim_config config = config_of(2, &watch);
    config.engine.stream_pings = false;
    struct bruit_sim *sim = full_view(&config);
    struct bruit_sim_rule rule;
    bruit_sim_rule_default(&rule);
    rule.from = rule.to = (struct bruit_sim_set){.complement = true};
    rule.clog = 2 * S;
    assert_int_equal(bruit_sim_rule_add(sim, &rule, NULL), 0);
    bruit_sim_run_until(sim, 2 * S - 1);
    assert_int_equal(heard(sim, 0) + heard(sim, 1), 0);
    uint64_t waiting = stats_of(sim).in_flight;
    assert_true(waiting >= 2);
    bruit_sim_run_until(sim, 2 * S);
    assert_true(heard(sim, 0) + heard(sim, 1) >= waiting);
    bruit_sim_free(sim);
}

/* Half of the pairs are cut, the same ones all the time. */
static void test_some_pairs_are_cut_for_good(void **state)
{
    (void)state;
    struct watch watch;
    struct bruit_sim_config config = config_of(30, &watch);
    struct bruit_sim *sim = full_view(&config);
    struct bruit_sim_rule rule;
    bruit_sim_rule_default(&rule);
    rule.from = rule.to = (struct bruit_sim_set){.complement = true};
    rule.both_ways = rule.block = true;
    rule.traffic = BRUIT_SIM_DATAGRAMS;
    rule.pairs = 100000;
    assert_int_equal(bruit_sim_rule_add(sim, &rule, NULL), 0);
    bruit_sim_run(sim, 120 * S);
    expect_part("blocked", stats_of(sim).lost[BRUIT_SIM_LOST_RULE], sim, 50000, 150000);
    assert_true(bruit_sim_all_agree(sim, NULL)); /* others could reach them */
    bruit_sim_free(sim);
}

static void test_impossible_rules_are_refused(void **state)
{
    (void)state;
    struct watch watch;
    struct bruit_sim_config config = config_of(2, &watch);
    struct bruit_sim *sim = world_of(&config);
    const uint32_t nodes[] = {0, 2};
    struct bruit_sim_rule rule = from_to(&nodes[0], &nodes[1]);
    assert_int_equal(bruit_sim_rule_add(sim, &rule, NULL), BRUIT_EINVAL);
    rule = from_to(&nodes[0], &nodes[0]);
    rule.loss = BRUIT_SIM_MILLION + 1;
    assert_int_equal(bruit_sim_rule_add(sim, &rule, NULL), BRUIT_EINVAL);
    struct bruit_sim_link link;
    bruit_sim_link_default(&link);
    link.latency = BRUIT_MICROSECOND; /* below what the shards' windows rely on */
    assert_int_equal(bruit_sim_set_link(sim, 0, 0, &link), BRUIT_EINVAL);
    bruit_sim_free(sim);
}

/* ---- streams ---- */

/* Joins 1 to 0, which is not there: says what became of it within `most`. */
static int join_error(struct bruit_sim *sim, struct watch *watch, bruit_time most)
{
    const uint32_t target = 0;
    assert_int_equal(bruit_sim_join(sim, 1, &target, 1, NULL), 0);
    bruit_sim_run(sim, most);
    assert_true(watch->has_joined);
    return watch->join_error;
}

static void test_a_port_where_nobody_listens_refuses(void **state)
{
    (void)state;
    struct watch watch;
    struct bruit_sim_config config = config_of(2, &watch);
    struct bruit_sim *sim = world_of(&config);
    assert_int_equal(bruit_sim_start(sim, 1), 0);
    assert_int_equal(join_error(sim, &watch, 10 * MS), BRUIT_EREFUSED);
    assert_int_equal(stats_of(sim).streams_refused, 1);
    bruit_sim_free(sim);
}

static void test_behind_a_cut_nobody_answers(void **state)
{
    (void)state;
    struct watch watch;
    struct bruit_sim_config config = config_of(2, &watch);
    struct bruit_sim *sim = world_of(&config);
    const uint32_t first = 0;
    assert_int_equal(bruit_sim_start(sim, 0), 0);
    assert_int_equal(bruit_sim_start(sim, 1), 0);
    assert_int_equal(bruit_sim_partition(sim, &first, 1, NULL), 0);
    assert_int_equal(join_error(sim, &watch, 11 * S), BRUIT_ETIMEOUT);
    bruit_sim_run(sim, 30 * S);
    assert_int_equal(stats_of(sim).in_flight, 0); /* the kernels have given up, too */
    bruit_sim_free(sim);
}

/* A cut that is healed within seconds: the connection comes through by itself. */
static void test_a_stream_waits_for_a_cut_to_heal(void **state)
{
    (void)state;
    struct watch watch;
    struct bruit_sim_config config = config_of(2, &watch);
    struct bruit_sim *sim = world_of(&config);
    const uint32_t first = 0;
    assert_int_equal(bruit_sim_start(sim, 0), 0);
    assert_int_equal(bruit_sim_start(sim, 1), 0);
    assert_int_equal(bruit_sim_partition(sim, &first, 1, NULL), 0);
    assert_int_equal(bruit_sim_join(sim, 1, &first, 1, NULL), 0);
    bruit_sim_run(sim, 2 * S);
    assert_false(watch.has_joined);
    bruit_sim_heal(sim);
    bruit_sim_run(sim, 4 * S);
    assert_true(watch.has_joined);
    assert_int_equal(watch.join_error, 0);
    assert_true(bruit_sim_all_agree(sim, NULL));
    bruit_sim_free(sim);
}

/* A third of the segments is lost: late, but whole. */
static void test_a_lossy_way_delays_streams(void **state)
{
    (void)state;
    struct watch watch;
    struct bruit_sim_config config = config_of(300, &watch);
    config.link.loss = 333333;
    config.engine.stream_timeout = 60 * S;
    struct bruit_sim *sim = world_of(&config);
    assert_int_equal(bruit_sim_preload_some(sim, 1, 299), 0);
    assert_int_equal(bruit_sim_start(sim, 0), 0);
    const uint32_t target = 100;
    assert_int_equal(bruit_sim_join(sim, 0, &target, 1, NULL), 0);
    bruit_sim_run(sim, 20 * S);
    assert_true(watch.has_joined);
    assert_int_equal(watch.join_error, 0);
    assert_int_equal(bruit_member_count(bruit_sim_engine(sim, 0)), 300);
    bruit_sim_free(sim);
}

/*
 * It dies when the connection stands but nothing was answered yet, on a slow machine: the other side hears of
 * it.
 */
static void test_a_death_resets_connections(void **state)
{
    (void)state;
    struct watch watch;
    struct bruit_sim_config config = config_of(2, &watch);
    struct bruit_sim *sim = world_of(&config);
    const uint32_t target = 0;
    assert_int_equal(bruit_sim_start(sim, 0), 0);
    assert_int_equal(bruit_sim_start(sim, 1), 0);
    bruit_sim_set_cpu(sim, 0, 50 * MS);
    assert_int_equal(bruit_sim_join(sim, 1, &target, 1, NULL), 0);
    bruit_sim_run(sim, 80 * MS);
    assert_int_equal(stats_of(sim).streams_opened, 1);
    bruit_sim_kill(sim, 0);
    bruit_sim_run(sim, 2 * MS);
    assert_true(watch.has_joined);
    assert_int_equal(watch.join_error, BRUIT_ERESET);
    bruit_sim_free(sim);
}

/* Stopped, it did not even accept; when it is killed, its kernel refuses. */
static void test_a_death_refuses_what_waits(void **state)
{
    (void)state;
    struct watch watch;
    struct bruit_sim_config config = config_of(2, &watch);
    struct bruit_sim *sim = world_of(&config);
    const uint32_t target = 0;
    assert_int_equal(bruit_sim_start(sim, 0), 0);
    assert_int_equal(bruit_sim_start(sim, 1), 0);
    bruit_sim_pause(sim, 0);
    assert_int_equal(bruit_sim_join(sim, 1, &target, 1, NULL), 0);
    bruit_sim_run(sim, S);
    assert_false(watch.has_joined);
    bruit_sim_kill(sim, 0);
    bruit_sim_run(sim, 2 * MS);
    assert_true(watch.has_joined);
    assert_int_equal(watch.join_error, BRUIT_EREFUSED);
    bruit_sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chance_hits_as_often_as_asked_for),
        cmocka_unit_test(test_bursts_lose_in_bursts),
        cmocka_unit_test(test_latency_stays_in_its_range),
        cmocka_unit_test(test_lognormal_latency_has_its_median_and_tail),
        cmocka_unit_test(test_zones_have_links_of_their_own),
        cmocka_unit_test(test_a_black_hole_swallows_what_is_long),
        cmocka_unit_test(test_a_narrow_line_takes_its_time),
        cmocka_unit_test(test_a_one_way_cut_is_one_way),
        cmocka_unit_test(test_a_partition_splits_and_heals),
        cmocka_unit_test(test_a_clog_holds_and_lets_go),
        cmocka_unit_test(test_some_pairs_are_cut_for_good),
        cmocka_unit_test(test_impossible_rules_are_refused),
        cmocka_unit_test(test_a_port_where_nobody_listens_refuses),
        cmocka_unit_test(test_behind_a_cut_nobody_answers),
        cmocka_unit_test(test_a_stream_waits_for_a_cut_to_heal),
        cmocka_unit_test(test_a_lossy_way_delays_streams),
        cmocka_unit_test(test_a_death_resets_connections),
        cmocka_unit_test(test_a_death_refuses_what_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
