/*
 * The running suspicions: how long they last, who shortens them, and what ends them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/num.h"
#include "detect/suspicion.h"
#include "support/core.h"

#include <bruit/error.h>
#include <stdio.h>
#include <string.h>

#define START (100 * BRUIT_SECOND)

struct fixture {
    struct test_core t;
    struct br_suspicion s;
    uint32_t suspect; /* the slot of m1 */
};

static void start(struct fixture *f, uint32_t members)
{
    test_core_init(&f->t, members, 1);
    f->t.core.now = START;
    br_suspicion_init(&f->s, &f->t.core);
    f->suspect = test_core_member(&f->t, 1);
}

static void finish(struct fixture *f)
{
    br_suspicion_fini(&f->s);
    test_core_fini(&f->t);
}

static void suspect(struct fixture *f, uint32_t slot, const char *accuser, bruit_time now)
{
    assert_int_equal(br_suspicion_reserve(&f->s, 1), 0);
    f->t.core.now = now;
    test_core_believe(&f->t, slot, BRUIT_SUSPECT, 1);
    br_suspicion_start(&f->s, slot, br_bytes_string(accuser), now);
}

static bool confirm(struct fixture *f, const char *accuser, bruit_time now)
{
    return br_suspicion_confirm(&f->s, f->suspect, br_bytes_string(accuser), now);
}

/* Is exactly this suspicion over at `time`, and not a nanosecond before? */
static void assert_over_at(struct fixture *f, uint32_t slot, bruit_time time, uint32_t confirmations)
{
    uint32_t got, count;
    assert_true(br_suspicion_deadline(&f->s) == time);
    assert_false(br_suspicion_pop_due(&f->s, time - 1, &got, &count));
    assert_true(br_suspicion_pop_due(&f->s, time, &got, &count));
    assert_int_equal(got, slot);
    assert_int_equal(count, confirmations);
    assert_false(br_suspicion_is_running(&f->s, slot));
}

/* LAN, up to 10 members: 4 s at least, 24 s at most, two confirmations expected. */

/* Nobody else accuses m1: it has the longest time to defend itself. */
/* conformance: memberlist 56 */
static void test_lasts_longest_while_one_accuses(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 10);
    suspect(&f, f.suspect, "m2", START);
    assert_over_at(&f, f.suspect, START + 24 * BRUIT_SECOND, 0);
    assert_true(br_suspicion_deadline(&f.s) == BRUIT_NEVER);
    finish(&f);
}

/* One more accuser brings it down to 11.381 s, the second to 4 s; counted from the start, whenever they come. */
/* conformance: memberlist 56 */
static void test_each_confirmation_shortens_it(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 10);
    suspect(&f, f.suspect, "m2", START);
    assert_true(confirm(&f, "m3", START + BRUIT_SECOND));
    bruit_time one = (bruit_time)br_num_remaining_suspicion(1, 2, 0, 4 * BRUIT_SECOND, 24 * BRUIT_SECOND);
    assert_true(one == 11381 * BRUIT_MILLISECOND);
    assert_true(br_suspicion_deadline(&f.s) == START + one);
    assert_true(confirm(&f, "m4", START + 2 * BRUIT_SECOND));
    assert_over_at(&f, f.suspect, START + 4 * BRUIT_SECOND, 2);
    finish(&f);
}

/* The last confirmation comes after the shortest time has passed: it is over at once. */
static void test_is_over_at_once_when_confirmed_late(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 10);
    suspect(&f, f.suspect, "m2", START);
    assert_true(confirm(&f, "m3", START + 5 * BRUIT_SECOND));
    assert_true(confirm(&f, "m4", START + 5 * BRUIT_SECOND));
    assert_over_at(&f, f.suspect, START + 5 * BRUIT_SECOND, 2);
    finish(&f);
}

/* The first accuser repeats itself, another comes twice, a third is one too many: none of these counts. */
/* conformance: memberlist 56 */
static void test_counts_each_accuser_once(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 10);
    suspect(&f, f.suspect, "m2", START);
    assert_false(confirm(&f, "m2", START));
    assert_true(confirm(&f, "m3", START));
    assert_false(confirm(&f, "m3", START));
    assert_false(confirm(&f, "m2", START));
    assert_true(confirm(&f, "", START)); /* a nameless accuser is one as well */
    assert_false(confirm(&f, "m4", START));
    finish(&f);
}

/* Three members: only one could confirm, two are expected, so nobody is waited for. From four on they are. */
/* conformance: memberlist 56 */
static void test_small_clusters_wait_for_nobody(void **state)
{
    (void)state;
    for (uint32_t members = 2; members <= 4; members++) {
        struct fixture f;
        start(&f, members);
        suspect(&f, f.suspect, "m0", START);
        bool waits = members >= 4;
        assert_true(confirm(&f, "m2", START) == waits);
        assert_true(br_suspicion_deadline(&f.s) == START + (waits ? 11381 : 4000) * BRUIT_MILLISECOND);
        finish(&f);
    }
}

/* A hundred members have twice as long: the minimum grows with the logarithm of the cluster. */
static void test_grows_with_the_cluster(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 100);
    suspect(&f, f.suspect, "m2", START);
    assert_true(br_suspicion_deadline(&f.s) == START + 48 * BRUIT_SECOND);
    finish(&f);
}

/* m1 defended itself and is alive again; the owner did not even tell the timer. It fires into nothing. */
/* conformance: memberlist 57 */
static void test_does_nothing_to_the_revived(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 10);
    suspect(&f, f.suspect, "m2", START);
    test_core_believe(&f.t, f.suspect, BRUIT_ALIVE, 2);
    uint32_t slot;
    assert_false(br_suspicion_pop_due(&f.s, START + 100 * BRUIT_SECOND, &slot, NULL));
    assert_false(br_suspicion_is_running(&f.s, f.suspect));
    finish(&f);
}

/* A suspect is forgotten, timer and all; its slot goes to another, which is suspect too: each timer knows its own. */
/* conformance: memberlist 57 */
static void test_a_reused_slot_has_its_own_time(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 10);
    suspect(&f, f.suspect, "m2", START);
    test_core_forget(&f.t, f.suspect);
    assert_int_equal(test_core_add(&f.t, "heir", 5), f.suspect);
    suspect(&f, f.suspect, "m2", START + BRUIT_SECOND);
    assert_true(br_suspicion_deadline(&f.s) >= START + 24 * BRUIT_SECOND);
    uint32_t slot;
    assert_false(br_suspicion_pop_due(&f.s, START + 25 * BRUIT_SECOND - 1, &slot, NULL));
    assert_true(br_suspicion_pop_due(&f.s, START + 25 * BRUIT_SECOND, &slot, NULL));
    assert_int_equal(slot, f.suspect);
    finish(&f);
}

/* Cancelled, then suspected anew by others: the second suspicion has its own full time and its own accusers. */
/* conformance: memberlist 57 */
static void test_starts_afresh_after_a_revival(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 10);
    suspect(&f, f.suspect, "m2", START);
    assert_true(confirm(&f, "m3", START));
    br_suspicion_cancel(&f.s, f.suspect);
    assert_false(confirm(&f, "m4", START));
    br_suspicion_cancel(&f.s, f.suspect); /* twice does no harm */
    test_core_believe(&f.t, f.suspect, BRUIT_ALIVE, 2);
    suspect(&f, f.suspect, "m3", START + 2 * BRUIT_SECOND);
    assert_true(confirm(&f, "m2", START + 2 * BRUIT_SECOND));
    assert_true(confirm(&f, "m4", START + 2 * BRUIT_SECOND));
    assert_over_at(&f, f.suspect, START + 6 * BRUIT_SECOND, 2);
    finish(&f);
}

/* Suspected again while suspected: the new one replaces the old. */
static void test_a_new_start_replaces_the_old(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 10);
    suspect(&f, f.suspect, "m2", START);
    suspect(&f, f.suspect, "m2", START + BRUIT_SECOND);
    assert_int_equal(f.s.count, 1);
    assert_over_at(&f, f.suspect, START + 25 * BRUIT_SECOND, 0);
    finish(&f);
}

/* We slept for 10 s: each suspect gets them back, and what counts as elapsed does not include them. */
static void test_gives_a_stall_back(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 10);
    suspect(&f, f.suspect, "m2", START);
    suspect(&f, test_core_member(&f.t, 5), "m2", START + BRUIT_SECOND);
    br_suspicion_delay(&f.s, 10 * BRUIT_SECOND);
    assert_true(confirm(&f, "m3", START + 11 * BRUIT_SECOND));
    assert_true(confirm(&f, "m4", START + 11 * BRUIT_SECOND));
    assert_over_at(&f, f.suspect, START + 14 * BRUIT_SECOND, 2);
    assert_over_at(&f, test_core_member(&f.t, 5), START + 35 * BRUIT_SECOND, 0);
    finish(&f);
}

/* Half the cluster is suspect at once; all get their time, in the order in which they were accused. */
static void test_many_at_once(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 200);
    for (uint32_t i = 1; i <= 150; i++)
        suspect(&f, test_core_member(&f.t, i), "m0", START + i);
    for (uint32_t i = 2; i <= 150; i += 2)
        br_suspicion_cancel(&f.s, test_core_member(&f.t, i));
    assert_int_equal(f.s.count, 75);
    uint64_t allocations = f.t.core.alloc.count;
    for (uint32_t i = 1; i <= 150; i += 2) {
        uint32_t slot;
        assert_true(br_suspicion_pop_due(&f.s, START + 3600 * BRUIT_SECOND, &slot, NULL));
        assert_int_equal(slot, test_core_member(&f.t, i));
    }
    for (uint32_t i = 1; i <= 150; i++)
        suspect(&f, test_core_member(&f.t, i), "m0", START + i);
    assert_true(f.t.core.alloc.count == allocations); /* the second wave needs no memory */
    finish(&f);
}

/* Accusers are told apart by a hash that nobody outside can compute: its key is the engine's own. */
static void test_hashes_names_with_a_key_of_its_own(void **state)
{
    (void)state;
    uint8_t keys[2][16];
    for (uint64_t seed = 0; seed < 2; seed++) {
        struct test_core t;
        test_core_init(&t, 1, seed);
        struct br_suspicion s;
        br_suspicion_init(&s, &t.core);
        memcpy(keys[seed], s.key, sizeof s.key);
        br_suspicion_fini(&s);
        test_core_fini(&t);
    }
    assert_memory_not_equal(keys[0], keys[1], 8);
    assert_memory_not_equal(keys[0] + 8, keys[1] + 8, 8);
}

/* Every allocation fails once: the reserve says so, what runs goes on, and trying again works. */
static void test_survives_failing_memory(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth <= 8; nth++) {
        struct fixture f;
        start(&f, 40);
        suspect(&f, f.suspect, "m2", START);
        f.t.memory.fail_at = f.t.memory.count + nth;
        int failures = 0;
        for (uint32_t i = 2; i < 30; i++) {
            while (br_suspicion_reserve(&f.s, 1) != 0)
                failures++;
            suspect(&f, test_core_member(&f.t, i), "m0", START);
        }
        assert_int_equal(failures, f.t.memory.count >= f.t.memory.fail_at ? 1 : 0);
        assert_int_equal(f.s.count, 29);
        assert_false(confirm(&f, "m2", START)); /* the first accuser is not forgotten as the table grows */
        assert_true(confirm(&f, "m3", START));
        finish(&f);
    }
}

/* A member that never probes (probe_interval 0) hears of a suspicion: the suspect gets the time of a one-second
 * interval to defend itself, and is not dead at once. */
static void test_who_never_probes_is_patient_all_the_same(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    f.t.core.config.probe_interval = 0;
    suspect(&f, f.suspect, "other", START);
    assert_over_at(&f, f.suspect, START + 4 * BRUIT_SECOND, 0);
    finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_never_probes_is_patient_all_the_same),
        cmocka_unit_test(test_lasts_longest_while_one_accuses),
        cmocka_unit_test(test_each_confirmation_shortens_it),
        cmocka_unit_test(test_is_over_at_once_when_confirmed_late),
        cmocka_unit_test(test_counts_each_accuser_once),
        cmocka_unit_test(test_small_clusters_wait_for_nobody),
        cmocka_unit_test(test_grows_with_the_cluster),
        cmocka_unit_test(test_does_nothing_to_the_revived),
        cmocka_unit_test(test_a_reused_slot_has_its_own_time),
        cmocka_unit_test(test_starts_afresh_after_a_revival),
        cmocka_unit_test(test_a_new_start_replaces_the_old),
        cmocka_unit_test(test_gives_a_stall_back),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_hashes_names_with_a_key_of_its_own),
        cmocka_unit_test(test_survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
