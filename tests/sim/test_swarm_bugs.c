/*
 * Each checker of the swarm finds the mistake that it is there for.
 *
 * Somebody breaks the engine in one place. The swarm must notice within some hundred seeds, by the check whose
 * business it is, and what shrinking leaves of the scenario must be short enough to be read.
 *
 * The mistakes are put in by the linker (-Wl,--wrap, see cmake/tests.cmake): calls between the engine's files come
 * here first. The engine's sources know nothing of it, and no other program is linked so.
 */
#include "engine/engine.h"
#include "member/transition.h"
#include "sim/shrink.h"
#include "sim/swarm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEEDS 600
#define RUNS 400
#define LINES 20

enum bug {
    NO_BUG,
    NEVER_DECLARES,     /* suspicions end, and nobody is declared dead */
    IGNORES_REFUTATION, /* who was suspected dies, whatever it says; and some acks are mislaid */
    NEVER_FORGIVES,     /* the dead stay dead, and are not forgotten */
    BELIEVES_OLD_NEWS,  /* an alive with an older incarnation is believed */
    RAISES_THE_DEAD,    /* and one with the incarnation that died */
    KEEPS_MEMORY,       /* what is given back is not given back */
    TALKS_TOO_MUCH,     /* rumours are told three times as often */
    DECLARES_AT_ONCE,   /* a probe that failed is a death */
};

static enum bug bug;

/* ------------------------------------------------------------------ the mistakes */

bool __real_br_suspicion_pop_due(struct br_suspicion *s, bruit_time now, uint32_t *slot,
                                 uint32_t *confirmations);
bool __wrap_br_suspicion_pop_due(struct br_suspicion *s, bruit_time now, uint32_t *slot,
                                 uint32_t *confirmations);
bool __wrap_br_suspicion_pop_due(struct br_suspicion *s, bruit_time now, uint32_t *slot,
                                 uint32_t *confirmations)
{
    while (__real_br_suspicion_pop_due(s, now, slot, confirmations))
        if (bug != NEVER_DECLARES)
            return true;
    return false;
}

enum br_verdict __real_br_transition(enum bruit_state claim, enum br_relation relation,
                                     enum bruit_state state);
enum br_verdict __wrap_br_transition(enum bruit_state claim, enum br_relation relation,
                                     enum bruit_state state);
enum br_verdict __wrap_br_transition(enum bruit_state claim, enum br_relation relation,
                                     enum bruit_state state)
{
    if (claim == BRUIT_ALIVE) {
        if (bug == IGNORES_REFUTATION && state == BRUIT_SUSPECT)
            return BR_IGNORE;
        if (bug == NEVER_FORGIVES && state >= BRUIT_DEAD)
            return BR_IGNORE;
        if (bug == BELIEVES_OLD_NEWS && relation == BR_OLDER && state == BRUIT_ALIVE)
            return BR_BECOME;
        if (bug == RAISES_THE_DEAD && relation == BR_EQUAL && state >= BRUIT_DEAD)
            return BR_BECOME;
    }
    return __real_br_transition(claim, relation, state);
}

bool __real_br_probe_ack(struct br_probe *p, uint32_t seq, bruit_time now, uint32_t *slot, bruit_time *rtt);
bool __wrap_br_probe_ack(struct br_probe *p, uint32_t seq, bruit_time now, uint32_t *slot, bruit_time *rtt);
bool __wrap_br_probe_ack(struct br_probe *p, uint32_t seq, bruit_time now, uint32_t *slot, bruit_time *rtt)
{
    if (bug == IGNORES_REFUTATION && seq / 2 % 16 == 0)
        return false;
    return __real_br_probe_ack(p, seq, now, slot, rtt);
}

void __real_br_claim_reap(struct bruit_engine *engine);
void __wrap_br_claim_reap(struct bruit_engine *engine);
void __wrap_br_claim_reap(struct bruit_engine *engine)
{
    if (bug != NEVER_FORGIVES)
        __real_br_claim_reap(engine);
}

void __real_br_alloc_free(struct br_alloc *a, void *block, size_t size);
void __wrap_br_alloc_free(struct br_alloc *a, void *block, size_t size);
void __wrap_br_alloc_free(struct br_alloc *a, void *block, size_t size)
{
    __real_br_alloc_free(a, block, size);
    if (bug == KEEPS_MEMORY && block != NULL)
        br_alloc_charge(a, size); /* the machine gets it, the account does not */
}

size_t __real_br_queue_take(struct br_queue *q, size_t overhead, size_t room, uint32_t count_max,
                            uint32_t limit, void (*visit)(void *context, uint32_t item), void *context);
size_t __wrap_br_queue_take(struct br_queue *q, size_t overhead, size_t room, uint32_t count_max,
                            uint32_t limit, void (*visit)(void *context, uint32_t item), void *context);
size_t __wrap_br_queue_take(struct br_queue *q, size_t overhead, size_t room, uint32_t count_max,
                            uint32_t limit, void (*visit)(void *context, uint32_t item), void *context)
{
    return __real_br_queue_take(q, overhead, room, count_max, bug == TALKS_TOO_MUCH ? 3 * limit : limit,
                                visit, context);
}

int __real_br_claim_suspect(struct bruit_engine *engine, const struct br_suspect *suspect);
int __wrap_br_claim_suspect(struct bruit_engine *engine, const struct br_suspect *suspect);
int __wrap_br_claim_suspect(struct bruit_engine *engine, const struct br_suspect *suspect)
{
    struct br_dead dead = {.incarnation = suspect->incarnation, .node = suspect->node, .from = suspect->from};
    struct bruit_bytes self = br_core_name(&engine->core, engine->core.self);
    if (bug == DECLARES_AT_ONCE && br_bytes_equal(self, suspect->from) &&
        !br_bytes_equal(self, suspect->node))
        return br_claim_dead(engine, &dead);
    return __real_br_claim_suspect(engine, suspect);
}

/* ------------------------------------------------------------------ finding and shrinking */

static struct bruit_bytes bytes(const char *text, size_t size)
{
    return (struct bruit_bytes){(const uint8_t *)text, size};
}

/* The first seed in which this check is the first to notice; 0: none. */
static uint64_t find_seed(const char *check, char text[BR_SWARM_TEXT_MAX], size_t *size,
                          struct br_judgement *verdict)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        *size = br_swarm_text(seed, text);
        br_swarm_judge(bytes(text, *size), verdict);
        if (strcmp(verdict->check, check) == 0)
            return seed;
    }
    return 0;
}

static void expect_found(enum bug which, const char *check)
{
    char text[BR_SWARM_TEXT_MAX];
    size_t size;
    struct br_judgement verdict;
    struct br_shrink_options options = {.judge = br_swarm_judge, .runs_max = RUNS};
    struct br_shrink_result result;
    bug = which;
    uint64_t seed = find_seed(check, text, &size, &verdict);
    printf("seed %llu: %s: %s\n", (unsigned long long)seed, verdict.check, verdict.text);
    assert_int_not_equal(seed, 0);
    assert_int_equal(br_shrink(bytes(text, size), &options, &result), 0);
    printf("%u lines after %u runs:\n%s", (unsigned)result.lines, (unsigned)result.runs, result.text);
    assert_true(result.lines < LINES);
    br_swarm_judge(bytes(result.text, result.size), &verdict);
    assert_string_equal(verdict.check, check);
    bug = NO_BUG;
    br_swarm_judge(bytes(result.text, result.size), &verdict);
    assert_int_equal(verdict.outcome, BR_OUTCOME_GOOD); /* it was the mistake, and nothing else */
    free(result.text);
}

static int mend(void **state)
{
    (void)state;
    bug = NO_BUG;
    return 0;
}

static void test_completeness_finds_deaths_that_are_not_declared(void **state)
{
    (void)state;
    expect_found(NEVER_DECLARES, "completeness");
}

static void test_accuracy_finds_refutations_that_are_ignored(void **state)
{
    (void)state;
    expect_found(IGNORES_REFUTATION, "accuracy");
}

static void test_convergence_finds_the_dead_that_are_never_taken_back(void **state)
{
    (void)state;
    expect_found(NEVER_FORGIVES, "convergence");
}

static void test_incarnations_finds_old_news_that_is_believed(void **state)
{
    (void)state;
    expect_found(BELIEVES_OLD_NEWS, "incarnations");
}

static void test_resurrection_finds_the_dead_that_are_raised(void **state)
{
    (void)state;
    expect_found(RAISES_THE_DEAD, "resurrection");
}

static void test_bounds_finds_memory_that_is_kept(void **state)
{
    (void)state;
    expect_found(KEEPS_MEMORY, "bounds");
}

static void test_budget_finds_rumours_that_are_told_too_often(void **state)
{
    (void)state;
    expect_found(TALKS_TOO_MUCH, "budget");
}

static void test_evidence_finds_verdicts_without_suspicion(void **state)
{
    (void)state;
    expect_found(DECLARES_AT_ONCE, "evidence");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_completeness_finds_deaths_that_are_not_declared, mend),
        cmocka_unit_test_teardown(test_accuracy_finds_refutations_that_are_ignored, mend),
        cmocka_unit_test_teardown(test_convergence_finds_the_dead_that_are_never_taken_back, mend),
        cmocka_unit_test_teardown(test_incarnations_finds_old_news_that_is_believed, mend),
        cmocka_unit_test_teardown(test_resurrection_finds_the_dead_that_are_raised, mend),
        cmocka_unit_test_teardown(test_bounds_finds_memory_that_is_kept, mend),
        cmocka_unit_test_teardown(test_budget_finds_rumours_that_are_told_too_often, mend),
        cmocka_unit_test_teardown(test_evidence_finds_verdicts_without_suspicion, mend),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
