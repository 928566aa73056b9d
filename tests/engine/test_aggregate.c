/*
 * Aggregates among whole members: exact ones and estimates, under loss, churn, restarts and lies.
 */
#include "codec/aggregate.h"
#include "support/peer.h"

#include <bruit/aggregate.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define S BRUIT_SECOND
#define MS BRUIT_MILLISECOND

static const struct bruit_module *const modules[] = {&bruit_aggregate_module};

static struct world *world_of(uint64_t seed, uint32_t count)
{
    struct world *w = world_new(seed);
    w->config.modules = modules;
    w->config.module_count = 1;
    world_cluster(w, count);
    assert_true(world_wait_all_alive(w, 60 * S));
    return w;
}

static void publish(struct world *w, uint32_t node, const char *name, double value)
{
    int status = bruit_aggregate_publish_number(w->nodes[node].engine, world_bytes(name), value, w->now);
    assert_int_equal(status, 0);
    world_settle(w, node);
}

static void publish_text(struct world *w, uint32_t node, const char *name, const char *text)
{
    int status =
        bruit_aggregate_publish_text(w->nodes[node].engine, world_bytes(name), world_bytes(text), w->now);
    assert_int_equal(status, 0);
    world_settle(w, node);
}

static struct bruit_aggregate_answer ask(struct world *w, uint32_t node, const char *name,
                                         enum bruit_aggregate_what what, double argument)
{
    struct bruit_aggregate_answer answer = {.value = NAN};
    int status = bruit_aggregate_ask(w->nodes[node].engine, world_bytes(name), what, argument, &answer, w->now);
    if (status != 0)
        answer.value = NAN;
    return answer;
}

static double value(struct world *w, uint32_t node, const char *name, enum bruit_aggregate_what what)
{
    return ask(w, node, name, what, 0.5).value;
}

static struct bruit_aggregate_stats stats_of(const struct world *w, uint32_t node)
{
    struct bruit_aggregate_stats stats;
    assert_int_equal(bruit_aggregate_stats(w->nodes[node].engine, &stats), 0);
    return stats;
}

static uint64_t drops(const struct world *w, uint32_t node, enum bruit_drop reason)
{
    return world_stats(w, node).drops[reason];
}

/* Five members publish; after a few rounds each answers for all, to the bit. */
static void test_everybody_answers_for_all(void **state)
{
    (void)state;
    struct world *w = world_of(1, 5);
    for (uint32_t i = 0; i < 5; i++) {
        publish(w, i, "load", 0.1 * (i + 1));
        publish_text(w, i, "version", i < 3 ? "1.1" : "1.2");
    }
    world_run(w, 3 * S);
    for (uint32_t i = 0; i < 5; i++) {
        struct bruit_aggregate_answer answer = ask(w, i, "load", BRUIT_AGGREGATE_MEAN, 0);
        assert_true(answer.value == value(w, 0, "load", BRUIT_AGGREGATE_MEAN));
        assert_true(fabs(answer.value - 0.3) < 1e-15);
        assert_true(answer.error == 0 && answer.is_exact);
        assert_int_equal(answer.nodes, 5);
        assert_int_equal(answer.members, 5);
        assert_true(value(w, i, "load", BRUIT_AGGREGATE_QUANTILE) == 0.1 * 3);
        assert_true(value(w, i, "load", BRUIT_AGGREGATE_MAX) == 0.5);
        assert_true(value(w, i, "load", BRUIT_AGGREGATE_MIN) == 0.1);
        assert_true(value(w, i, "version", BRUIT_AGGREGATE_COUNT) == 5);
        assert_true(value(w, i, "version", BRUIT_AGGREGATE_DISTINCT) == 2);
        assert_true(isnan(value(w, i, "version", BRUIT_AGGREGATE_MEAN)));
        assert_true(value(w, i, "nothing", BRUIT_AGGREGATE_COUNT) == 0);
        struct bruit_aggregate_item items[4];
        size_t count = 4;
        struct bruit_engine *engine = w->nodes[i].engine;
        assert_int_equal(bruit_aggregate_top(engine, world_bytes("version"), items, &count, NULL, w->now), 0);
        assert_int_equal(count, 2);
        assert_true(items[0].count == 3 && memcmp(items[0].text.data, "1.1", 3) == 0);
        count = 2;
        assert_int_equal(bruit_aggregate_top(engine, world_bytes("load"), items, &count, NULL, w->now), 0);
        assert_int_equal(count, 2);
        assert_true(items[0].number == 0.5 && memcmp(items[0].node.data, "n4", 2) == 0);
    }
    world_run(w, 60 * S);
    for (uint32_t i = 0; i < 5; i++)
        assert_true(ask(w, i, "load", BRUIT_AGGREGATE_SUM, 0).age < 40 * S);
    world_free(w);
}

/* Two of five are other people's agents: they hear no word of it, and are in no answer. */
static void test_members_without_it_hear_nothing(void **state)
{
    (void)state;
    struct world *w = world_new(2);
    for (uint32_t i = 0; i < 5; i++) {
        (void)world_add(w);
        w->nodes[i].config.modules = modules;
        w->nodes[i].config.module_count = i < 3 ? 1 : 0;
        assert_int_equal(world_start(w, i), 0);
        if (i > 0)
            assert_int_equal(world_join(w, i, 0), 0);
        world_run(w, 100 * MS);
    }
    assert_true(world_wait_all_alive(w, 60 * S));
    world_run(w, 30 * S);
    for (uint32_t k = 0; k < 20; k++) {
        publish(w, k % 3, "x", k);
        world_run(w, S);
    }
    for (uint32_t i = 0; i < 3; i++) {
        struct bruit_aggregate_answer answer = ask(w, i, "x", BRUIT_AGGREGATE_SUM, 0);
        assert_true(answer.value == 17 + 18 + 19);
        assert_int_equal(answer.members, 3);
    }
    assert_int_equal(drops(w, 3, BRUIT_DROP_UNCLAIMED_MESSAGE), 0);
    assert_int_equal(drops(w, 4, BRUIT_DROP_UNCLAIMED_MESSAGE), 0);
    world_free(w);
}

/* One dies: out of answers as soon as that is known. It comes back with less to say: the old life's rest is gone. */
static void test_a_new_life_wins_and_the_dead_do_not_count(void **state)
{
    (void)state;
    struct world *w = world_of(3, 4);
    for (uint32_t i = 0; i < 4; i++) {
        publish(w, i, "x", i);
        publish(w, i, "y", 1);
    }
    for (uint32_t k = 0; k < 30; k++)
        publish(w, 3, "x", 100 + k);
    world_run(w, 3 * S);
    assert_true(value(w, 0, "x", BRUIT_AGGREGATE_SUM) == 3 + 129);
    world_kill(w, 3);
    assert_true(world_wait_state(w, 0, 3, BRUIT_DEAD, 60 * S));
    assert_true(value(w, 0, "x", BRUIT_AGGREGATE_SUM) == 3);
    assert_int_equal(world_start(w, 3), 0);
    assert_int_equal(world_join(w, 3, 0), 0);
    assert_true(world_wait_all_alive(w, 60 * S));
    publish(w, 3, "x", 7);
    world_run(w, 5 * S);
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(value(w, i, "x", BRUIT_AGGREGATE_SUM) == 3 + 7);
        assert_true(value(w, i, "y", BRUIT_AGGREGATE_COUNT) == 3);
    }
    world_free(w);
}

/* It restarts so fast that nobody notices, and many times: each new life's word is everybody's within two seconds. */
static void test_a_restart_that_nobody_noticed_wins_at_once(void **state)
{
    (void)state;
    struct world *w = world_of(4, 5);
    publish(w, 0, "x", 1);
    for (uint32_t life = 0; life < 12; life++) {
        world_kill(w, 4);
        world_run(w, 50 * MS);
        assert_int_equal(world_start(w, 4), 0);
        assert_int_equal(world_join(w, 4, 0), 0);
        world_run(w, 500 * MS);
        publish(w, 4, "x", 100 + life);
        world_run(w, 2 * S);
        for (uint32_t i = 0; i < 5; i++)
            assert_true(value(w, i, "x", BRUIT_AGGREGATE_SUM) == 101 + life);
    }
    world_free(w);
}

/* A third of all datagrams is lost, two halves are apart for a while, values change all the time: in the end all
 * agree on the last values. */
static void test_loss_and_partitions_leave_no_difference(void **state)
{
    (void)state;
    struct world *w = world_of(5, 20);
    w->loss = 300;
    for (uint32_t k = 0; k < 300; k++) {
        if (k == 100)
            world_partition(w, 10, true);
        if (k == 160)
            world_partition(w, 10, false);
        publish(w, k % 20, k % 3 == 0 ? "x" : "y", k);
        world_run(w, 100 * MS);
    }
    assert_true(world_wait_all_alive(w, 120 * S));
    world_run(w, 100 * S);
    double sum = value(w, 0, "y", BRUIT_AGGREGATE_SUM);
    assert_true(value(w, 0, "x", BRUIT_AGGREGATE_COUNT) == 20);
    for (uint32_t i = 0; i < 20; i++) {
        struct bruit_aggregate_answer answer = ask(w, i, "y", BRUIT_AGGREGATE_SUM, 0);
        assert_true(answer.value == sum);
        assert_int_equal(answer.nodes, 20);
        assert_true(answer.age < 100 * S);
    }
    world_free(w);
}

/* The same on the other detector: membership by heartbeats, one dies, and the rest answer without it. */
static void test_heartbeat_clusters_have_aggregates_too(void **state)
{
    (void)state;
    struct world *w = world_new(14);
    w->config.modules = modules;
    w->config.module_count = 1;
    w->config.detector = BRUIT_DETECTOR_HEARTBEAT;
    world_cluster(w, 6);
    assert_true(world_wait_all_alive(w, 60 * S));
    for (uint32_t i = 0; i < 6; i++)
        publish(w, i, "x", i);
    world_run(w, 5 * S);
    for (uint32_t i = 0; i < 6; i++)
        assert_true(value(w, i, "x", BRUIT_AGGREGATE_SUM) == 15);
    world_kill(w, 5);
    assert_true(world_wait_state(w, 0, 5, BRUIT_DEAD, 60 * S));
    assert_true(value(w, 0, "x", BRUIT_AGGREGATE_SUM) == 10);
    world_free(w);
}

/* ------------------------------------------------------------------ lies */

/* Says to n0, in the name of `sender`, that `owner` published x = 666 in this epoch and version. */
static void forge(struct peer *p, const char *sender, const char *owner, uint64_t epoch, uint64_t version)
{
    uint8_t bytes[512];
    struct br_writer writer;
    struct br_aggregate_record record = {.kind = BR_AGGREGATE_NUMBER, .name = world_bytes("x"), .number = 666};
    struct br_aggregate_group group = {.owner = world_bytes(owner), .epoch = epoch, .to = version, .count = 1};
    record.version = version;
    br_writer_init(&writer, bytes, sizeof bytes);
    br_write_u8(&writer, BR_USER);
    br_aggregate_begin(&writer, BR_AGGREGATE_TELL, world_bytes(sender));
    br_write_u8(&writer, 0);
    br_aggregate_write_group(&writer, &group);
    br_aggregate_write_record(&writer, &record);
    peer_raw(p, br_writer_bytes(&writer));
    assert_int_equal(peer_send(p), 0);
}

/* Somebody publishes for others: what is told to the owner, and what is told to a third member, is overridden. */
static void test_nobody_publishes_for_somebody_else(void **state)
{
    (void)state;
    struct world *w = world_of(6, 4);
    struct peer *p = peer_new(w, 0, "evil", 1);
    for (uint32_t i = 0; i < 4; i++)
        publish(w, i, "x", i);
    world_run(w, 3 * S);
    forge(p, "n1", "n0", UINT64_C(1) << 30, 5);
    world_run(w, 2 * S);
    assert_int_equal(stats_of(w, 0).overrides, 1);
    forge(p, "n1", "n2", UINT64_C(1) << 40, 9);
    assert_true(value(w, 0, "x", BRUIT_AGGREGATE_SUM) == 0 + 1 + 666 + 3);
    world_run(w, 2 * S);
    assert_int_equal(stats_of(w, 2).overrides, 1);
    for (uint32_t i = 0; i < 4; i++)
        assert_true(value(w, i, "x", BRUIT_AGGREGATE_SUM) == 6);
    peer_free(p);
    world_free(w);
}

/* Epochs that cannot be, strangers' words, and what was true once: counted, and nothing changes. */
static void test_forged_epochs_and_replays_change_nothing(void **state)
{
    (void)state;
    struct world *w = world_of(7, 3);
    struct peer *p = peer_new(w, 0, "evil", 1);
    for (uint32_t i = 0; i < 3; i++)
        publish(w, i, "x", i);
    world_run(w, 3 * S);
    forge(p, "n1", "n2", UINT64_C(1) << 63, 1);
    forge(p, "n1", "n2", (UINT64_C(1) << 62) - 1, 1);
    forge(p, "n1", "n0", UINT64_C(1) << 63, 1);
    assert_int_equal(drops(w, 0, BRUIT_DROP_AGGREGATE_EPOCH), 3);
    forge(p, "nobody", "n2", 2000000, 1);
    forge(p, "n0", "n2", 2000000, 1);
    assert_int_equal(drops(w, 0, BRUIT_DROP_AGGREGATE_STRANGER), 2);
    uint64_t known = stats_of(w, 0).records_known;
    forge(p, "n1", "n2", 1, 1);
    assert_int_equal(stats_of(w, 0).records_known, known + 1);
    uint64_t unknown = stats_of(w, 0).records_unknown;
    forge(p, "n1", "evil", 5, 1);
    assert_int_equal(stats_of(w, 0).records_unknown, unknown + 1);
    world_run(w, 5 * S);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(value(w, i, "x", BRUIT_AGGREGATE_SUM) == 3);
    peer_free(p);
    world_free(w);
}

/* A newcomer that knows nothing yet is told of an impossible epoch first: the owner's own word takes it back. */
static void test_what_a_newcomer_was_told_is_taken_back(void **state)
{
    (void)state;
    struct world *w = world_of(8, 3);
    struct peer *p = peer_new(w, 0, "evil", 1);
    publish(w, 1, "x", 1);
    world_run(w, 3 * S);
    forge(p, "n1", "n2", (UINT64_C(1) << 62) - 1, 1); /* n2 has published nothing, so nobody knows its epoch */
    assert_true(value(w, 0, "x", BRUIT_AGGREGATE_SUM) == 667);
    publish(w, 2, "x", 2);
    world_run(w, 60 * S);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(value(w, i, "x", BRUIT_AGGREGATE_SUM) == 3);
    peer_free(p);
    world_free(w);
}

/* Somebody wants one owner's values three hundred times in one message, and asks so forty times: it is told once for
 * each of the 32 messages that are answered in a second. */
static void test_who_wants_too_much_gets_little(void **state)
{
    (void)state;
    struct world *w = world_of(15, 3);
    struct peer *p = peer_new(w, 0, "evil", 1);
    uint8_t bytes[4096];
    for (uint32_t i = 0; i < 3; i++)
        publish(w, i, "x", i);
    world_run(w, 10 * S);
    uint64_t before = stats_of(w, 0).bytes_out;
    for (unsigned message = 0; message < 40; message++) {
        struct br_writer writer;
        br_writer_init(&writer, bytes, sizeof bytes);
        br_write_u8(&writer, BR_USER);
        br_aggregate_begin(&writer, BR_AGGREGATE_WANT, world_bytes("n1"));
        for (unsigned i = 0; i < 300; i++)
            br_aggregate_write_entry(&writer, &(struct br_aggregate_entry){world_bytes("n2"), 1, 0});
        assert_false(writer.failed);
        peer_raw(p, br_writer_bytes(&writer));
        assert_int_equal(peer_send(p), 0);
    }
    assert_in_range(stats_of(w, 0).bytes_out - before, 32 * 20, 32 * 60);
    peer_free(p);
    world_free(w);
}

/* ------------------------------------------------------------------ the rest */

static void test_what_cannot_be_published_is_refused(void **state)
{
    (void)state;
    struct world *w = world_of(9, 1);
    struct bruit_engine *engine = w->nodes[0].engine;
    static const char long_text[] = "0123456789012345678901234567890123456789012345678901234567890123456789";
    volatile double zero = 0;
    char name[16];
    assert_int_equal(bruit_aggregate_publish_number(engine, world_bytes("x"), zero / zero, w->now), BRUIT_EINVAL);
    assert_int_equal(bruit_aggregate_publish_number(engine, world_bytes("x"), 1 / zero, w->now), BRUIT_EINVAL);
    assert_int_equal(bruit_aggregate_publish_number(engine, world_bytes("x"), 2e150, w->now), BRUIT_EINVAL);
    assert_int_equal(bruit_aggregate_publish_number(engine, world_bytes(""), 1, w->now), BRUIT_EINVAL);
    assert_int_equal(bruit_aggregate_publish_number(engine, world_bytes(long_text), 1, w->now), BRUIT_ETOOBIG);
    assert_int_equal(bruit_aggregate_publish_text(engine, world_bytes("x"), world_bytes(long_text), w->now),
                     BRUIT_ETOOBIG);
    for (unsigned i = 0; i < 16; i++) {
        (void)snprintf(name, sizeof name, "name%u", i);
        publish(w, 0, name, i);
    }
    assert_int_equal(bruit_aggregate_publish_number(engine, world_bytes("x"), 1, w->now), BRUIT_EFULL);
    assert_int_equal(bruit_aggregate_withdraw(engine, world_bytes("name3"), w->now), 0);
    assert_int_equal(bruit_aggregate_withdraw(engine, world_bytes("name3"), w->now), BRUIT_ENOENT);
    publish(w, 0, "x", 1);
    assert_true(value(w, 0, "name3", BRUIT_AGGREGATE_COUNT) == 0);
    assert_true(value(w, 0, "x", BRUIT_AGGREGATE_COUNT) == 1);
    struct bruit_aggregate_answer answer;
    assert_int_equal(bruit_aggregate_ask(engine, world_bytes("x"), BRUIT_AGGREGATE_QUANTILE, 1.5, &answer, w->now),
                     BRUIT_EINVAL);
    world_free(w);
}

/* All see the same; then one is cut off and thinks otherwise, and the survey says who. */
static void test_a_survey_finds_who_sees_otherwise(void **state)
{
    (void)state;
    struct world *w = world_of(10, 6);
    struct bruit_aggregate_views views;
    world_run(w, 10 * S);
    assert_int_equal(bruit_aggregate_survey(w->nodes[2].engine, w->now), 0);
    assert_int_equal(bruit_aggregate_survey(w->nodes[2].engine, w->now), BRUIT_EBUSY);
    world_settle(w, 2);
    world_run(w, S);
    assert_int_equal(world_events(w, 2, BRUIT_EVENT_AGGREGATE_VIEWS, NULL, 0), 1);
    assert_int_equal(bruit_aggregate_views(w->nodes[2].engine, &views), 0);
    assert_true(views.is_over);
    assert_int_equal(views.answered, 6);
    assert_int_equal(views.different, 1);
    assert_int_equal(views.agreeing, 6);
    for (uint32_t i = 0; i < 5; i++)
        world_cut(w, i, 5, true);
    world_run(w, 3 * S); /* not dead yet to all */
    assert_int_equal(bruit_aggregate_survey(w->nodes[2].engine, w->now), 0);
    world_settle(w, 2);
    world_run(w, 4 * S);
    assert_int_equal(bruit_aggregate_views(w->nodes[2].engine, &views), 0);
    assert_true(views.is_over);
    assert_int_equal(views.answered, 5);
    uint64_t cursor = 0;
    struct bruit_aggregate_view view;
    uint32_t silent = 0;
    while (bruit_aggregate_next_view(w->nodes[2].engine, &cursor, &view))
        silent += view.has_answered ? 0 : 1;
    assert_int_equal(silent, 1);
    world_free(w);
}

/* ------------------------------------------------------------------ estimates */

static struct world *estimating_world(uint64_t seed, uint32_t count)
{
    struct world *w = world_of(seed, count);
    for (uint32_t i = 0; i < count; i++) {
        struct bruit_aggregate_options options;
        bruit_aggregate_options_default(&options);
        options.mode = BRUIT_AGGREGATE_ESTIMATE;
        assert_int_equal(bruit_aggregate_configure(w->nodes[i].engine, &options), 0);
    }
    return w;
}

static bool is_within(double found, double truth, double part)
{
    if (!(fabs(found - truth) <= part * fabs(truth)))
        print_message("%g, not %g\n", found, truth);
    return fabs(found - truth) <= part * fabs(truth);
}

/* 60 members, 10 % loss, half of them publish; then one third die. Nobody holds others' values; all come close. */
static void test_estimates_come_close_under_loss_and_deaths(void **state)
{
    (void)state;
    struct world *w = estimating_world(11, 60);
    w->loss = 100;
    for (uint32_t i = 0; i < 60; i += 2)
        publish(w, i, "x", 100 + i);
    world_run(w, 30 * S);
    for (uint32_t i = 0; i < 60; i++) {
        assert_true(is_within(value(w, i, "x", BRUIT_AGGREGATE_COUNT), 30, 0.01));
        assert_true(is_within(value(w, i, "x", BRUIT_AGGREGATE_MEAN), 129, 0.005));
        assert_true(is_within(value(w, i, "x", BRUIT_AGGREGATE_SUM), 30 * 129, 0.01));
        assert_true(is_within(value(w, i, "x", BRUIT_AGGREGATE_QUANTILE), 129, 0.02));
        assert_true(is_within(value(w, i, "x", BRUIT_AGGREGATE_VARIANCE), 4 * (30 * 30 - 1) / 12., 0.05));
        assert_true(value(w, i, "x", BRUIT_AGGREGATE_MAX) == 158);
        assert_false(ask(w, i, "x", BRUIT_AGGREGATE_MEAN, 0).is_exact);
        assert_true(ask(w, i, "x", BRUIT_AGGREGATE_MEAN, 0).age < 25 * S);
        assert_int_equal(stats_of(w, i).held, 0);
    }
    for (uint32_t i = 0; i < 20; i++)
        world_kill(w, i);
    world_run(w, 60 * S);
    for (uint32_t i = 20; i < 60; i++) {
        assert_true(is_within(value(w, i, "x", BRUIT_AGGREGATE_COUNT), 20, 0.01));
        assert_true(is_within(value(w, i, "x", BRUIT_AGGREGATE_MEAN), 139, 0.005));
        assert_true(value(w, i, "x", BRUIT_AGGREGATE_MIN) == 120);
    }
    world_free(w);
}

/* A newcomer answers as soon as an epoch that it was in is over; a name that all took back is forgotten. */
static void test_newcomers_take_part_and_old_names_go(void **state)
{
    (void)state;
    struct world *w = estimating_world(12, 10);
    struct bruit_aggregate_options options;
    bruit_aggregate_options_default(&options);
    options.mode = BRUIT_AGGREGATE_ESTIMATE;
    for (uint32_t i = 0; i < 10; i++)
        publish(w, i, "x", 1);
    world_run(w, 20 * S);
    uint32_t late = world_add(w);
    assert_int_equal(world_start(w, late), 0);
    assert_int_equal(world_join(w, late, 0), 0);
    world_run(w, S);
    assert_int_equal(bruit_aggregate_configure(w->nodes[late].engine, &options), 0);
    publish(w, late, "x", 12);
    world_run(w, 25 * S);
    for (uint32_t i = 0; i < 11; i++)
        assert_true(is_within(value(w, i, "x", BRUIT_AGGREGATE_SUM), 22, 0.01));
    for (uint32_t i = 0; i < 11; i++)
        assert_int_equal(bruit_aggregate_withdraw(w->nodes[i].engine, world_bytes("x"), w->now), 0);
    world_run(w, 60 * S);
    uint64_t messages = stats_of(w, 0).messages_out;
    world_run(w, 100 * S);
    assert_true(stats_of(w, 0).messages_out - messages < 30); /* comparisons alone */
    world_free(w);
}

/* More members than exact_max: what was exact goes over to estimates, and comes back when they are fewer. */
static void test_a_growing_cluster_goes_over_to_estimates(void **state)
{
    (void)state;
    struct world *w = world_of(13, 8);
    for (uint32_t i = 0; i < 16; i++) {
        struct bruit_aggregate_options options;
        bruit_aggregate_options_default(&options);
        options.exact_max = 10;
        if (i >= 8) {
            assert_int_equal(world_add(w), i);
            assert_int_equal(world_start(w, i), 0);
            assert_int_equal(world_join(w, i, 0), 0);
        }
        assert_int_equal(bruit_aggregate_configure(w->nodes[i].engine, &options), 0);
        publish(w, i, "x", i);
        world_run(w, S);
        if (i == 8)
            assert_true(ask(w, 0, "x", BRUIT_AGGREGATE_COUNT, 0).is_exact);
    }
    assert_true(world_wait_all_alive(w, 60 * S));
    world_run(w, 30 * S);
    for (uint32_t i = 0; i < 16; i++) {
        assert_false(ask(w, i, "x", BRUIT_AGGREGATE_COUNT, 0).is_exact);
        assert_true(is_within(value(w, i, "x", BRUIT_AGGREGATE_MEAN), 7.5, 0.01));
        assert_int_equal(stats_of(w, i).held, 0);
    }
    for (uint32_t i = 6; i < 16; i++)
        world_leave(w, i, S);
    world_run(w, 30 * S);
    for (uint32_t i = 0; i < 6; i++) {
        assert_true(ask(w, i, "x", BRUIT_AGGREGATE_COUNT, 0).is_exact);
        assert_true(value(w, i, "x", BRUIT_AGGREGATE_SUM) == 15);
    }
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everybody_answers_for_all),
        cmocka_unit_test(test_members_without_it_hear_nothing),
        cmocka_unit_test(test_a_new_life_wins_and_the_dead_do_not_count),
        cmocka_unit_test(test_a_restart_that_nobody_noticed_wins_at_once),
        cmocka_unit_test(test_loss_and_partitions_leave_no_difference),
        cmocka_unit_test(test_heartbeat_clusters_have_aggregates_too),
        cmocka_unit_test(test_nobody_publishes_for_somebody_else),
        cmocka_unit_test(test_forged_epochs_and_replays_change_nothing),
        cmocka_unit_test(test_what_a_newcomer_was_told_is_taken_back),
        cmocka_unit_test(test_who_wants_too_much_gets_little),
        cmocka_unit_test(test_what_cannot_be_published_is_refused),
        cmocka_unit_test(test_a_survey_finds_who_sees_otherwise),
        cmocka_unit_test(test_estimates_come_close_under_loss_and_deaths),
        cmocka_unit_test(test_newcomers_take_part_and_old_names_go),
        cmocka_unit_test(test_a_growing_cluster_goes_over_to_estimates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
