/*
 * A service starts each of its jobs as a member with a name of its own, and ends it seconds later: a hundred thousand
 * names come and go. Ten members stay all the time. What they hold must not grow with the names that have gone, and
 * each newcomer must find them. (hashicorp/consul#11970, quickwit-oss/quickwit#6653.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bruit/bruit.h>
#include <bruit/sim.h>
#include <bruit/status.h>

#include <stdio.h>
#include <stdlib.h>

#define MS BRUIT_MILLISECOND
#define S BRUIT_SECOND
#define STAY 10u
#define FIRST 1500u /* names after which as many are remembered as ever will be: a minute's, and memory is looked at */
#define USUAL 5000u /* names in all; more can be given on the command line: 100000 as in the incident */
#define MOST 1000000u
#define EVERY (100 * MS)
#define LIFE 5u /* newcomers that live at once: half a second each */

struct churn {
    struct bruit_sim *sim;
    uint32_t names;
    uint32_t newcomers[MOST];
    uint32_t lonely; /* newcomers that did not know all who stay when they left */
};

static struct churn churn = {.names = USUAL};

static void on_start(void *context, struct bruit_sim *sim, uint32_t node, struct bruit_engine *engine)
{
    struct bruit_status_options options;
    (void)context;
    (void)sim;
    (void)node;
    bruit_status_options_default(&options);
    /* Serf's own times, 24 hours and 5 minutes, would hold all of them, and shall. */
    options.tombstone_timeout = 60 * S;
    options.intent_timeout = 60 * S;
    assert_int_equal(bruit_status_configure(engine, &options), 0);
}

static void begin(void)
{
    static const struct bruit_module *const modules[] = {&bruit_status_module};
    struct bruit_sim_config config;
    char why[200] = "";
    bruit_sim_config_default(&config);
    config.nodes = STAY;
    config.seed = 11;
    config.private_rosters = true;
    config.engine.modules = modules;
    config.engine.module_count = 1;
    config.on_start = on_start;
    if (bruit_sim_new(&churn.sim, &config, why, sizeof why) != 0)
        fail_msg("%s", why);
    assert_int_equal(bruit_sim_preload(churn.sim), 0);
}

static void arrive(uint32_t cycle)
{
    uint32_t *node = &churn.newcomers[cycle], seed = cycle % STAY;
    assert_int_equal(bruit_sim_add(churn.sim, NULL, node), 0);
    assert_int_equal(bruit_sim_start(churn.sim, *node), 0);
    assert_int_equal(bruit_sim_join(churn.sim, *node, &seed, 1, NULL), 0);
}

static void leave(uint32_t cycle)
{
    uint32_t node = churn.newcomers[cycle], known = 0;
    for (uint32_t i = 0; i < STAY; i++)
        known += bruit_sim_belief(churn.sim, node, i) == BRUIT_ALIVE;
    churn.lonely += known < STAY;
    assert_int_equal(bruit_sim_leave(churn.sim, node, S), 0);
}

/* The names from `from` on; each joins, leaves when LIFE others have come, and is gone when LIFE more have. */
static void turn(uint32_t from, uint32_t until)
{
    for (uint32_t i = from; i < until + 2 * LIFE; i++) {
        if (i < until)
            arrive(i);
        if (i >= from + LIFE && i < until + LIFE)
            leave(i - LIFE);
        if (i >= from + 2 * LIFE)
            bruit_sim_kill(churn.sim, churn.newcomers[i - 2 * LIFE]);
        bruit_sim_run(churn.sim, EVERY);
    }
}

/* What those who stay hold, once what is owed to the dead is over. */
static uint64_t settled_memory(void)
{
    uint64_t memory = 0;
    bruit_sim_run(churn.sim, 300 * S);
    for (uint32_t i = 0; i < STAY; i++) {
        struct bruit_stats stats;
        bruit_stats_get(bruit_sim_engine(churn.sim, i), &stats);
        memory += stats.memory;
        assert_int_equal(bruit_member_count(bruit_sim_engine(churn.sim, i)), STAY);
    }
    return memory;
}

static void test_names_that_come_and_go_leave_nothing(void **state)
{
    (void)state;
    begin();
    turn(0, FIRST);
    uint64_t early = settled_memory();
    turn(FIRST, churn.names);
    uint64_t late = settled_memory();
    printf("held after %u names: %llu bytes, after %u: %llu; %u were lonely\n", FIRST, (unsigned long long)early,
           churn.names, (unsigned long long)late, churn.lonely);
    /* Tables keep the size that the largest minute needed, so that one or two grow by a step with the minutes. Seven
     * bytes kept for each name, by each of the ten, would be too much. */
    assert_in_range(late, 1, early + early / 10);
    assert_int_equal(churn.lonely, 0);
    bruit_sim_free(churn.sim);
}

int main(int argc, char **argv)
{
    unsigned long names = argc > 1 ? strtoul(argv[1], NULL, 10) : USUAL;
    churn.names = names > FIRST && names <= MOST ? (uint32_t)names : USUAL;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_that_come_and_go_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
