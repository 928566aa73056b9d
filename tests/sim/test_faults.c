/*
 * Faults of nodes: what happens to the one, and what the others make of it.
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

/* What programs were told, all of them together. */
struct told {
    uint32_t suspected;
    uint32_t failed;
    uint32_t conflicts;
    uint32_t alarms;
    bruit_time alarm_at;
    uint32_t kill_on_join; /* this node kills itself when it hears of a member; NOBODY: none */
};

static void on_event(void *context, struct bruit_sim *sim, uint32_t node, const struct bruit_event *event)
{
    struct told *told = context;
    told->conflicts += event->type == BRUIT_EVENT_CONFLICT;
    if (event->type != BRUIT_EVENT_MEMBER)
        return;
    told->suspected += (event->changes & BRUIT_CHANGE_SUSPECTED) != 0;
    told->failed += (event->changes & BRUIT_CHANGE_FAILED) != 0;
    if (node == told->kill_on_join && event->changes & BRUIT_CHANGE_JOINED &&
        event->node != bruit_member_self(bruit_sim_engine(sim, node)))
        bruit_sim_kill(sim, node);
}

static void on_alarm(void *context, struct bruit_sim *sim, uint32_t node)
{
    struct told *told = context;
    told->alarms++;
    told->alarm_at = bruit_sim_time(sim, node);
    if (told->alarms < 3)
        bruit_sim_alarm(sim, node, told->alarm_at + S);
}

static struct bruit_sim *world_of(uint32_t nodes, struct told *told, bool full)
{
    struct bruit_sim_config config;
    struct bruit_sim *sim = NULL;
    char why[200] = "";
    *told = (struct told){.kill_on_join = BRUIT_SIM_NOBODY};
    bruit_sim_config_default(&config);
    config.nodes = nodes;
    config.seed = 3;
    config.on_event = on_event;
    config.on_alarm = on_alarm;
    config.context = told;
    config.keep_events = true;
    if (bruit_sim_new(&sim, &config, why, sizeof why) != 0)
        fail_msg("%s", why);
    if (full)
        assert_int_equal(bruit_sim_preload(sim), 0);
    return sim;
}

static bool thinks_dead(struct bruit_sim *sim, void *context)
{
    uint32_t dead = *(const uint32_t *)context;
    for (uint32_t i = 0; i < bruit_sim_count(sim); i++)
        if (i != dead && bruit_sim_engine(sim, i) != NULL && bruit_sim_belief(sim, i, dead) != BRUIT_DEAD)
            return false;
    return true;
}

/* ---- death and return ---- */

/* One of 50 dies. It is dead to everybody within half a minute, and nobody else is. */
static void test_a_death_is_noticed_by_all(void **state)
{
    (void)state;
    struct told told;
    struct bruit_sim *sim = world_of(50, &told, true);
    uint32_t dead = 17;
    bruit_sim_run(sim, 5 * S);
    bruit_sim_kill(sim, dead);
    assert_int_equal(bruit_sim_condition(sim, dead), BRUIT_SIM_STOPPED);
    assert_true(bruit_sim_wait(sim, thinks_dead, &dead, 30 * S, 0));
    assert_int_equal(told.failed, 49);
    assert_true(bruit_sim_all_agree(sim, NULL));
    bruit_sim_free(sim);
}

/* Back with its disk, it finds the others by itself; without, it waits to be told where they are. */
static void test_a_disk_knows_the_others(void **state)
{
    (void)state;
    struct told told;
    struct bruit_sim *sim = world_of(10, &told, true);
    bruit_sim_kill(sim, 4);
    bruit_sim_run(sim, 60 * S);
    assert_int_equal(bruit_sim_restart(sim, 4, true), 0);
    assert_true(bruit_sim_wait(sim, bruit_sim_all_agree, NULL, 10 * S, 0));
    assert_int_equal(bruit_sim_starts(sim, 4), 2);
    bruit_sim_kill(sim, 5);
    bruit_sim_lose_disk(sim, 5);
    bruit_sim_run(sim, 60 * S);
    assert_int_equal(bruit_sim_restart(sim, 5, true), 0);
    bruit_sim_run(sim, 60 * S);
    assert_int_equal(bruit_member_count(bruit_sim_engine(sim, 5)), 1);
    bruit_sim_free(sim);
}

/* A program that ends itself from within its own callback: it is gone when the callback returns. */
static void test_a_program_may_end_itself(void **state)
{
    (void)state;
    struct told told;
    struct bruit_sim *sim = world_of(2, &told, false);
    const uint32_t first = 0;
    told.kill_on_join = 0;
    assert_int_equal(bruit_sim_start(sim, 0), 0);
    assert_int_equal(bruit_sim_start(sim, 1), 0);
    assert_int_equal(bruit_sim_join(sim, 1, &first, 1, NULL), 0);
    bruit_sim_run(sim, 10 * MS);
    assert_int_equal(bruit_sim_condition(sim, 0), BRUIT_SIM_STOPPED);
    assert_null(bruit_sim_engine(sim, 0));
    assert_int_equal(bruit_sim_condition(sim, 1), BRUIT_SIM_RUNNING);
    bruit_sim_free(sim);
}

/* ---- standing still and slowness ---- */

/*
 * Stopped for 30 s: the others bury it. When it goes on it accuses nobody, refutes its death, and all agree
 * again.
 */
static void test_who_stood_still_accuses_nobody(void **state)
{
    (void)state;
    struct told told;
    struct bruit_sim *sim = world_of(20, &told, true);
    uint32_t still = 6;
    bruit_sim_run(sim, 3 * S);
    bruit_sim_pause(sim, still);
    assert_int_equal(bruit_sim_condition(sim, still), BRUIT_SIM_PAUSED);
    bruit_sim_run(sim, 25 * S);
    assert_int_equal(told.failed, 19);
    bruit_sim_resume(sim, still);
    assert_true(bruit_sim_wait(sim, bruit_sim_all_agree, NULL, 10 * S, 0));
    bruit_sim_run(sim, 30 * S);
    assert_int_equal(told.failed, 19);
    bruit_sim_free(sim);
}

/*
 * One process whose CPU is stolen four fifths of the time: none of the healthy is ever thought dead by the
 * healthy.
 */
static void test_a_starved_process_takes_nobody_with_it(void **state)
{
    (void)state;
    struct told told;
    struct bruit_sim *sim = world_of(20, &told, true);
    struct bruit_sim_event event;
    bruit_sim_starve(sim, 6, 500 * MS, 2 * S);
    bruit_sim_run(sim, 300 * S);
    while (bruit_sim_next_event(sim, &event))
        if (event.type == BRUIT_EVENT_MEMBER && event.changes & BRUIT_CHANGE_FAILED && event.about != 6)
            fail_msg("%u said that %u is dead", (unsigned)event.node, (unsigned)event.about);
    bruit_sim_starve(sim, 6, 0, 0);
    assert_true(bruit_sim_wait(sim, bruit_sim_all_agree, NULL, 60 * S, 0));
    bruit_sim_free(sim);
}

/* 20 ms over each input: an ack takes 20 ms and more, and no longer when it is fast again. */
static void test_a_slow_cpu_answers_late(void **state)
{
    (void)state;
    struct told told;
    struct bruit_sim *sim = world_of(2, &told, true);
    struct bruit_stats stats;
    bruit_sim_set_cpu(sim, 1, 700 * MS);
    bruit_sim_run(sim, 10 * S);
    bruit_stats_get(bruit_sim_engine(sim, 0), &stats);
    assert_true(told.suspected > 0); /* beyond the probe's timeout */
    bruit_sim_set_cpu(sim, 1, 20 * MS);
    assert_true(bruit_sim_wait(sim, bruit_sim_all_agree, NULL, 60 * S, 0));
    uint32_t before = told.suspected;
    bruit_sim_run(sim, 30 * S);
    assert_int_equal(told.suspected, before); /* within it */
    bruit_sim_free(sim);
}

/* What does not fit into the socket of a process that stands still is lost; the rest is read. */
static void test_a_full_socket_loses(void **state)
{
    (void)state;
    struct bruit_sim_config config;
    struct bruit_sim *sim = NULL;
    struct bruit_sim_stats stats;
    bruit_sim_config_default(&config);
    config.nodes = 20;
    config.socket_max = 200;
    assert_int_equal(bruit_sim_new(&sim, &config, NULL, 0), 0);
    assert_int_equal(bruit_sim_preload(sim), 0);
    bruit_sim_pause(sim, 3);
    bruit_sim_run(sim, 10 * S);
    bruit_sim_stats_get(sim, &stats);
    assert_true(stats.lost[BRUIT_SIM_LOST_SOCKET] > 0);
    bruit_sim_resume(sim, 3);
    assert_true(bruit_sim_wait(sim, bruit_sim_all_agree, NULL, 60 * S, 0));
    bruit_sim_free(sim);
}

/* ---- clocks ---- */

/* Half a percent fast and half a percent slow: nobody minds, and each shows what it should. */
static void test_clocks_drift(void **state)
{
    (void)state;
    struct told told;
    struct bruit_sim *sim = world_of(10, &told, true);
    bruit_time fast = bruit_sim_clock(sim, 0), slow = bruit_sim_clock(sim, 1);
    bruit_sim_set_clock(sim, 0, 0, 5000);
    bruit_sim_set_clock(sim, 1, 0, -5000);
    bruit_sim_run(sim, 1000 * S);
    assert_int_equal(bruit_sim_clock(sim, 0) - fast, 1005 * S);
    assert_int_equal(bruit_sim_clock(sim, 1) - slow, 995 * S);
    assert_int_equal(told.suspected, 0);
    bruit_sim_free(sim);
}

/*
 * An hour forward: taken for a stall, nobody is accused. An hour back: it stands still, and so does its
 * prober.
 */
static void test_clocks_jump(void **state)
{
    (void)state;
    struct told told;
    struct bruit_sim *sim = world_of(10, &told, true);
    bruit_sim_run(sim, 10 * S);
    bruit_sim_set_clock(sim, 0, (int64_t)(3600 * S), 0);
    bruit_sim_run(sim, 60 * S);
    assert_int_equal(told.failed, 0);
    bruit_time before = bruit_sim_clock(sim, 0);
    bruit_sim_set_clock(sim, 0, -(int64_t)(20 * S), 0);
    bruit_sim_run(sim, 10 * S);
    assert_int_equal(bruit_sim_clock(sim, 0), before);
    bruit_sim_run(sim, 15 * S);
    assert_int_equal(bruit_sim_clock(sim, 0), before + 5 * S);
    assert_true(bruit_sim_all_agree(sim, NULL));
    bruit_sim_free(sim);
}

/* ---- addresses ---- */

/* It moves and does not know: nobody reaches it. Started again it says where it is, and all agree. */
static void test_an_address_changes(void **state)
{
    (void)state;
    struct told told;
    struct bruit_sim *sim = world_of(10, &told, true);
    uint32_t moved = 2;
    const uint32_t other = 0;
    struct bruit_addr old = bruit_sim_addr(sim, moved);
    struct bruit_addr new = {.ip = {192, 168, 1, 2}, .size = 4, .port = 7000};
    assert_int_equal(bruit_sim_set_addr(sim, moved, &new), 0);
    assert_int_equal(bruit_sim_at_addr(sim, &old), BRUIT_SIM_NOBODY);
    assert_int_equal(bruit_sim_at_addr(sim, &new), moved);
    bruit_sim_kill(sim, moved);
    assert_true(bruit_sim_wait(sim, thinks_dead, &moved, 60 * S, 0));
    bruit_sim_run(sim, 60 * S); /* forgotten */
    assert_int_equal(bruit_sim_restart(sim, moved, false), 0);
    assert_int_equal(bruit_sim_join(sim, moved, &other, 1, NULL), 0);
    assert_true(bruit_sim_wait(sim, bruit_sim_all_agree, NULL, 10 * S, 0));
    bruit_sim_free(sim);
}

/* Two of one name: the copy of a machine. Both are named in a conflict; the first stays. */
static void test_a_clone_is_a_conflict(void **state)
{
    (void)state;
    struct told told;
    struct bruit_sim *sim = world_of(5, &told, true);
    uint32_t clone;
    assert_int_equal(bruit_sim_clone(sim, 3, &clone), 0);
    assert_int_equal(clone, 5);
    assert_int_equal(bruit_sim_restart(sim, clone, true), 0);
    bruit_sim_run(sim, 10 * S);
    assert_true(told.conflicts > 0);
    assert_int_equal(bruit_sim_belief(sim, 0, 3), BRUIT_ALIVE);
    bruit_sim_free(sim);
}

/* An address is given to somebody else, who speaks from it now; the former owner is reached by nobody. */
static void test_an_address_is_used_again(void **state)
{
    (void)state;
    struct told told;
    struct bruit_sim *sim = world_of(6, &told, false);
    struct bruit_addr wanted = bruit_sim_addr(sim, 1);
    assert_int_equal(bruit_sim_preload_some(sim, 0, 5), 0);
    bruit_sim_kill(sim, 1);
    assert_int_equal(bruit_sim_set_addr(sim, 5, &wanted), 0);
    assert_int_equal(bruit_sim_start(sim, 5), 0);
    assert_int_equal(bruit_sim_at_addr(sim, &wanted), 5);
    bruit_sim_run(sim, 60 * S);
    assert_int_equal(bruit_sim_belief(sim, 0, 5), -1); /* a stranger stays one */
    assert_int_equal(bruit_member_count(bruit_sim_engine(sim, 5)), 1);
    bruit_sim_free(sim);
}

/* ---- memory ---- */

/*
 * Half of all requests for memory are refused while others come and go: no crash, and afterwards all agree.
 */
static void test_refused_memory_is_survived(void **state)
{
    (void)state;
    struct told told;
    struct bruit_sim *sim = world_of(20, &told, true);
    for (uint32_t i = 0; i < 5; i++)
        bruit_sim_fail_memory(sim, i, 500000);
    for (uint32_t i = 10; i < 14; i++)
        bruit_sim_kill(sim, i);
    bruit_sim_run(sim, 60 * S);
    for (uint32_t i = 10; i < 14; i++)
        (void)bruit_sim_restart(sim, i, true);
    bruit_sim_run(sim, 60 * S);
    for (uint32_t i = 0; i < 5; i++)
        bruit_sim_fail_memory(sim, i, 0);
    assert_true(bruit_sim_wait(sim, bruit_sim_all_agree, NULL, 300 * S, 0));
    bruit_sim_free(sim);
}

/* ---- being told ---- */

static void test_alarms_ring_when_set(void **state)
{
    (void)state;
    struct told told;
    struct bruit_sim *sim = world_of(2, &told, true);
    bruit_sim_alarm(sim, 1, 5 * S);
    bruit_sim_run(sim, 20 * S);
    assert_int_equal(told.alarms, 3);
    assert_int_equal(told.alarm_at, 7 * S);
    bruit_sim_free(sim);
}

/* Kept events come in the order of time, name whom they are about, and end. */
static void test_kept_events_come_in_order(void **state)
{
    (void)state;
    struct told told;
    struct bruit_sim *sim = world_of(20, &told, true);
    struct bruit_sim_event event, last = {0};
    bruit_sim_kill(sim, 5);
    bruit_sim_run(sim, 30 * S);
    uint32_t failed = 0;
    while (bruit_sim_next_event(sim, &event)) {
        assert_true(event.time > last.time || (event.time == last.time && event.node >= last.node));
        failed += event.about == 5 && (event.changes & BRUIT_CHANGE_FAILED) != 0;
        last = event;
    }
    assert_int_equal(failed, 19);
    assert_false(bruit_sim_next_event(sim, &event));
    bruit_sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_death_is_noticed_by_all),
        cmocka_unit_test(test_a_disk_knows_the_others),
        cmocka_unit_test(test_a_program_may_end_itself),
        cmocka_unit_test(test_who_stood_still_accuses_nobody),
        cmocka_unit_test(test_a_starved_process_takes_nobody_with_it),
        cmocka_unit_test(test_a_slow_cpu_answers_late),
        cmocka_unit_test(test_a_full_socket_loses),
        cmocka_unit_test(test_clocks_drift),
        cmocka_unit_test(test_clocks_jump),
        cmocka_unit_test(test_an_address_changes),
        cmocka_unit_test(test_a_clone_is_a_conflict),
        cmocka_unit_test(test_an_address_is_used_again),
        cmocka_unit_test(test_refused_memory_is_survived),
        cmocka_unit_test(test_alarms_ring_when_set),
        cmocka_unit_test(test_kept_events_come_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
