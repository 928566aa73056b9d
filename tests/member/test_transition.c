/*
 * The transition table, rule by rule: SWIM's precedence (Das et al. 2002, section 4.2) as memberlist has it
 * (docs/wire/memberlist.md, 6.3 to 6.5). What is not named here as moving must not move.
 */
#include "member/transition.h"

#include <bruit/engine.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const enum bruit_state states[] = {BRUIT_ALIVE, BRUIT_SUSPECT, BRUIT_DEAD, BRUIT_LEFT};
static const enum br_relation relations[] = {BR_OLDER, BR_EQUAL, BR_NEWER};

#define FOR_EACH_STATE(name) for (size_t name = 0; name < 4; name++)
#define FOR_EACH_RELATION(name) for (size_t name = 0; name < 3; name++)

/* Incarnations are compared as unsigned numbers to the very end of their range. */
static void test_incarnations_are_compared_as_numbers(void **state)
{
    (void)state;
    assert_int_equal(br_relation_of(6, 7), BR_OLDER);
    assert_int_equal(br_relation_of(7, 7), BR_EQUAL);
    assert_int_equal(br_relation_of(8, 7), BR_NEWER);
    assert_int_equal(br_relation_of(UINT32_MAX, 0), BR_NEWER);
    assert_int_equal(br_relation_of(0, UINT32_MAX), BR_OLDER);
}

/* Whatever is claimed with an older incarnation is old news. */
static void test_older_claims_never_count(void **state)
{
    (void)state;
    FOR_EACH_STATE(claim)
    FOR_EACH_STATE(held)
    {
        assert_int_equal(br_transition(states[claim], BR_OLDER, states[held]), BR_IGNORE);
        assert_int_equal(br_transition_self(states[claim], BR_OLDER, states[held], false, true), BR_IGNORE);
        assert_int_equal(br_transition_self(states[claim], BR_OLDER, states[held], true, true), BR_IGNORE);
    }
}

/* Only the member itself raises its incarnation: alive with a newer one revives from any state, with an equal one
 * from none, not even from suspicion. */
static void test_alive_needs_a_newer_incarnation(void **state)
{
    (void)state;
    FOR_EACH_STATE(held)
    {
        assert_int_equal(br_transition(BRUIT_ALIVE, BR_EQUAL, states[held]), BR_IGNORE);
        assert_int_equal(br_transition(BRUIT_ALIVE, BR_NEWER, states[held]), BR_BECOME);
    }
}

/* A suspicion holds against the living, is one more accuser of a suspect, and nothing to the dead and the left. */
static void test_suspicion_holds_against_the_living(void **state)
{
    (void)state;
    for (size_t r = 1; r < 3; r++) {
        assert_int_equal(br_transition(BRUIT_SUSPECT, relations[r], BRUIT_ALIVE), BR_BECOME);
        assert_int_equal(br_transition(BRUIT_SUSPECT, relations[r], BRUIT_SUSPECT), BR_CONFIRM);
        assert_int_equal(br_transition(BRUIT_SUSPECT, relations[r], BRUIT_DEAD), BR_IGNORE);
        assert_int_equal(br_transition(BRUIT_SUSPECT, relations[r], BRUIT_LEFT), BR_IGNORE);
    }
}

/* Nobody dies twice: dead does not become left, nor left dead. */
static void test_nobody_dies_twice(void **state)
{
    (void)state;
    const enum bruit_state claims[] = {BRUIT_DEAD, BRUIT_LEFT};
    for (size_t c = 0; c < 2; c++)
        for (size_t r = 1; r < 3; r++) {
            assert_int_equal(br_transition(claims[c], relations[r], BRUIT_ALIVE), BR_BECOME);
            assert_int_equal(br_transition(claims[c], relations[r], BRUIT_SUSPECT), BR_BECOME);
            assert_int_equal(br_transition(claims[c], relations[r], BRUIT_DEAD), BR_IGNORE);
            assert_int_equal(br_transition(claims[c], relations[r], BRUIT_LEFT), BR_IGNORE);
        }
}

/* Accused while alive we answer; of ourselves we never become suspect or dead on somebody else's word. */
static void test_accusations_of_ourselves_are_refuted(void **state)
{
    (void)state;
    for (size_t c = 1; c < 4; c++)
        for (size_t r = 1; r < 3; r++)
            assert_int_equal(br_transition_self(states[c], relations[r], BRUIT_ALIVE, false, false),
                             BR_REFUTE);
}

/* Told who we are: identical is fine, other facts with our own incarnation or any newer one are not. */
static void test_alive_about_ourselves(void **state)
{
    (void)state;
    assert_int_equal(br_transition_self(BRUIT_ALIVE, BR_EQUAL, BRUIT_ALIVE, false, false), BR_IGNORE);
    assert_int_equal(br_transition_self(BRUIT_ALIVE, BR_EQUAL, BRUIT_ALIVE, false, true), BR_REFUTE);
    assert_int_equal(br_transition_self(BRUIT_ALIVE, BR_NEWER, BRUIT_ALIVE, false, false), BR_REFUTE);
    assert_int_equal(br_transition_self(BRUIT_ALIVE, BR_NEWER, BRUIT_ALIVE, true, true), BR_IGNORE);
}

/* While leaving, our goodbye is carried out, once; after it nothing about us matters. */
static void test_leaving_is_final(void **state)
{
    (void)state;
    assert_int_equal(br_transition_self(BRUIT_LEFT, BR_EQUAL, BRUIT_ALIVE, true, false), BR_BECOME);
    assert_int_equal(br_transition_self(BRUIT_DEAD, BR_EQUAL, BRUIT_ALIVE, true, false), BR_BECOME);
    for (size_t c = 0; c < 4; c++)
        FOR_EACH_RELATION(r)
    assert_int_equal(br_transition_self(states[c], relations[r], BRUIT_LEFT, true, true), BR_IGNORE);
}

/* The invariant: what the tables let a belief become is what may ever happen, and the program is told of it. */
static void test_every_move_is_allowed_and_told(void **state)
{
    (void)state;
    FOR_EACH_STATE(claim)
    FOR_EACH_RELATION(r)
    FOR_EACH_STATE(held)
    {
        if (br_transition(states[claim], relations[r], states[held]) != BR_BECOME)
            continue;
        assert_true(br_transition_is_allowed(states[held], states[claim]));
        if (states[held] != states[claim])
            assert_int_not_equal(br_transition_change(states[held], states[claim]), 0);
    }
    assert_false(br_transition_is_allowed(BRUIT_DEAD, BRUIT_LEFT));
    assert_false(br_transition_is_allowed(BRUIT_LEFT, BRUIT_DEAD));
    assert_false(br_transition_is_allowed(BRUIT_DEAD, BRUIT_SUSPECT));
    FOR_EACH_STATE(same)
    assert_int_equal(br_transition_change(states[same], states[same]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_incarnations_are_compared_as_numbers),
        cmocka_unit_test(test_older_claims_never_count),
        cmocka_unit_test(test_alive_needs_a_newer_incarnation),
        cmocka_unit_test(test_suspicion_holds_against_the_living),
        cmocka_unit_test(test_nobody_dies_twice),
        cmocka_unit_test(test_accusations_of_ourselves_are_refuted),
        cmocka_unit_test(test_alive_about_ourselves),
        cmocka_unit_test(test_leaving_is_final),
        cmocka_unit_test(test_every_move_is_allowed_and_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
