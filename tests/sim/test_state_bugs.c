/*
 * The campaign of replicated state finds the mistakes that it is there for.
 *
 * Somebody breaks the store in one place: a write is told to be on the disk and is not; what was deleted is taken for
 * news; stores that differ say that they are equal; a write leaves beside it what it had seen; a count of holders is
 * made up. Within some dozens of small runs the campaign must notice, by the check whose business it is, and say which
 * key and which write.
 *
 * The mistakes are put in by the linker (-Wl,--wrap, see cmake/tests.cmake): calls between the module's files come
 * here first. The module's sources know nothing of it, and no other program is linked so.
 */
#include "module/kv_context.h"
#include "module/kv_store.h"
#include "sim/state.h"

#include <bruit/module.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEEDS 100

enum bug {
    NO_BUG,
    FORGETS_TO_STORE, /* one in twenty keys is not written to the disk, and said to be */
    RAISES_DELETED,   /* one in ten times a write that was replaced or deleted is taken for one that was never seen */
    SAYS_EQUAL,       /* all stores have the same root, whatever is in them */
    LEAVES_SEEN,      /* one in ten writes replaces nothing */
    MISCOUNTS,        /* acknowledgements of one are told as of three */
};

static enum bug bug;
static uint32_t calls; /* since the run began */

static bool happens(enum bug which, uint32_t every)
{
    return bug == which && ++calls % every == 0;
}

/* ------------------------------------------------------------------ the mistakes */

int __real_bruit_host_store(struct bruit_host *host, struct bruit_bytes key, struct bruit_bytes value,
                            uint64_t *token);
int __wrap_bruit_host_store(struct bruit_host *host, struct bruit_bytes key, struct bruit_bytes value,
                            uint64_t *token);
int __wrap_bruit_host_store(struct bruit_host *host, struct bruit_bytes key, struct bruit_bytes value,
                            uint64_t *token)
{
    static const struct bruit_bytes nobody = {(const uint8_t *)"no such key", 11};
    if (key.size > 4 && happens(FORGETS_TO_STORE, 20)) /* a key of the program's: "kkey-17" */
        return __real_bruit_host_store(host, nobody, (struct bruit_bytes){NULL, 0}, token);
    return __real_bruit_host_store(host, key, value, token);
}

bool __real_br_kv_context_covers(const struct br_kv_context *c, struct br_kv_dot dot);
bool __wrap_br_kv_context_covers(const struct br_kv_context *c, struct br_kv_dot dot);
bool __wrap_br_kv_context_covers(const struct br_kv_context *c, struct br_kv_dot dot)
{
    return __real_br_kv_context_covers(c, dot) && !happens(RAISES_DELETED, 10);
}

uint64_t __real_br_kv_store_root(const struct br_kv_store *s);
uint64_t __wrap_br_kv_store_root(const struct br_kv_store *s);
uint64_t __wrap_br_kv_store_root(const struct br_kv_store *s)
{
    return bug == SAYS_EQUAL ? 17 : __real_br_kv_store_root(s);
}

int __real_br_kv_store_put(struct br_kv_store *s, const struct br_kv_put *put, bruit_time now,
                           struct br_kv_write *write, struct br_kv_past *past, enum br_kv_refusal *refusal);
int __wrap_br_kv_store_put(struct br_kv_store *s, const struct br_kv_put *put, bruit_time now,
                           struct br_kv_write *write, struct br_kv_past *past, enum br_kv_refusal *refusal);
int __wrap_br_kv_store_put(struct br_kv_store *s, const struct br_kv_put *put, bruit_time now,
                           struct br_kv_write *write, struct br_kv_past *past, enum br_kv_refusal *refusal)
{
    struct br_kv_put blind = *put;
    if (!put->is_delete && happens(LEAVES_SEEN, 10)) {
        blind.replaces_all = false;
        blind.replaces_count = 0;
    }
    return __real_br_kv_store_put(s, &blind, now, write, past, refusal);
}

int __real_bruit_kv_done_read(const struct bruit_event *event, struct bruit_kv_done *out);
int __wrap_bruit_kv_done_read(const struct bruit_event *event, struct bruit_kv_done *out);
int __wrap_bruit_kv_done_read(const struct bruit_event *event, struct bruit_kv_done *out)
{
    int status = __real_bruit_kv_done_read(event, out);
    if (status == 0 && bug == MISCOUNTS && out->held == 1)
        out->held = 3;
    return status;
}

/* ------------------------------------------------------------------ finding */

static struct br_judgement judge(enum bug which, uint64_t seed)
{
    struct br_state_config config = {.seed = seed, .nodes = 10, .keys = 20, .writes = 60, .loss = 10000};
    struct br_judgement verdict;
    bug = which;
    calls = 0;
    br_state_judge(&config, &verdict);
    bug = NO_BUG;
    return verdict;
}

static void expect_found(enum bug which, const char *check)
{
    uint32_t found = 0, others = 0;
    struct br_judgement first = {.outcome = BR_OUTCOME_GOOD};
    for (uint64_t seed = 1; seed <= SEEDS && found < 3; seed++) {
        struct br_judgement verdict = judge(which, seed);
        bool is_it = verdict.outcome == BR_OUTCOME_WRONG && strcmp(verdict.check, check) == 0;
        others += verdict.outcome != BR_OUTCOME_GOOD && !is_it;
        if (is_it && found++ == 0)
            first = verdict;
    }
    if (found == 0)
        fail_msg("no seed up to %d was found to be \"%s\" (%u to be something else)", SEEDS, check, others);
    assert_non_null(strstr(first.text, "key-")); /* which key, and where */
    print_message("%s: %s\n", check, first.text);
}

static void test_nothing_is_found_where_nothing_is_wrong(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct br_judgement verdict = judge(NO_BUG, seed);
        if (verdict.outcome != BR_OUTCOME_GOOD)
            fail_msg("seed %u: %s: %s", (unsigned)seed, verdict.check, verdict.text);
        assert_true(verdict.figures[BR_STATE_ACKED] > 20);
    }
}

static void test_a_lost_acknowledged_write_is_found(void **state)
{
    (void)state;
    expect_found(FORGETS_TO_STORE, "lost");
}

static void test_a_resurrection_is_found(void **state)
{
    (void)state;
    expect_found(RAISES_DELETED, "resurrected");
}

static void test_unequal_stores_are_found(void **state)
{
    (void)state;
    expect_found(SAYS_EQUAL, "unequal");
}

static void test_a_wrong_sibling_is_found(void **state)
{
    (void)state;
    expect_found(LEAVES_SEEN, "siblings");
}

static void test_an_untrue_acknowledgement_is_found(void **state)
{
    (void)state;
    expect_found(MISCOUNTS, "acknowledged");
}

/* Same seed, same run: what is told about a failure can be told again. */
static void test_a_run_can_be_repeated(void **state)
{
    (void)state;
    struct br_judgement first = judge(NO_BUG, 7), again = judge(NO_BUG, 7), other = judge(NO_BUG, 8);
    assert_true(first.hash == again.hash);
    assert_true(first.hash != other.hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_found_where_nothing_is_wrong),
        cmocka_unit_test(test_a_lost_acknowledged_write_is_found),
        cmocka_unit_test(test_a_resurrection_is_found),
        cmocka_unit_test(test_unequal_stores_are_found),
        cmocka_unit_test(test_a_wrong_sibling_is_found),
        cmocka_unit_test(test_an_untrue_acknowledgement_is_found),
        cmocka_unit_test(test_a_run_can_be_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
