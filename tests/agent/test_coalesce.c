/* Member events gathered: when they are told, and which are left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/coalesce.h"
#include "base/bytes.h"

#include <stdio.h>
#include <string.h>

/* What was told, as text: "join: a b; failed: c; " */
static char told[65536];
static struct br_coalescer coalescer;

static const char *name_of(enum bruit_status_change change)
{
    return change == BRUIT_MEMBER_JOIN     ? "join"
           : change == BRUIT_MEMBER_LEAVE  ? "leave"
           : change == BRUIT_MEMBER_FAILED ? "failed"
           : change == BRUIT_MEMBER_UPDATE ? "update"
                                           : "reap";
}

static void on_told(void *context, enum bruit_status_change change, const struct bruit_status_member *members,
                    size_t count)
{
    (void)context;
    strcat(told, name_of(change));
    strcat(told, ":");
    for (size_t i = 0; i < count; i++) {
        size_t end = strlen(told);
        snprintf(told + end, sizeof told - end, " %.*s%s%.*s", (int)members[i].name.size,
                 (const char *)members[i].name.data, members[i].meta.size > 0 ? "=" : "",
                 (int)members[i].meta.size,
                 members[i].meta.size > 0 ? (const char *)members[i].meta.data : "");
    }
    strcat(told, "; ");
}

static int setup(void **state)
{
    (void)state;
    told[0] = 0;
    br_coalescer_init(&coalescer, 1, on_told, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    br_coalescer_fini(&coalescer);
    return 0;
}

static void add(enum bruit_status_change change, const char *name, const char *meta, bruit_time now)
{
    struct bruit_status_member member = {.name = br_bytes_string(name), .meta = br_bytes_string(meta)};
    assert_int_equal(br_coalescer_add(&coalescer, change, &member, now), 0);
}

static const char *flush(void)
{
    told[0] = 0;
    br_coalescer_flush(&coalescer);
    return told;
}

/* Three members join within a second: one event with three members, a second after the last. */
static void test_events_are_told_together_one_second_after_the_last(void **state)
{
    (void)state;
    assert_int_equal(br_coalescer_deadline(&coalescer), BRUIT_NEVER);
    add(BRUIT_MEMBER_JOIN, "a", "", 0);
    add(BRUIT_MEMBER_JOIN, "b", "", BRUIT_SECOND / 2);
    assert_int_equal(br_coalescer_deadline(&coalescer), BRUIT_SECOND * 3 / 2);
    add(BRUIT_MEMBER_FAILED, "c", "", BRUIT_SECOND);
    assert_int_equal(br_coalescer_deadline(&coalescer), 2 * BRUIT_SECOND);
    assert_string_equal(flush(), "join: a b; failed: c; ");
    assert_int_equal(br_coalescer_deadline(&coalescer), BRUIT_NEVER);
    assert_string_equal(flush(), "");
}

/* Members join every half second without end: nobody waits longer than three seconds. */
static void test_nobody_waits_longer_than_three_seconds(void **state)
{
    (void)state;
    for (unsigned i = 0; i <= 5; i++)
        add(BRUIT_MEMBER_JOIN, "a", "", i * BRUIT_SECOND / 2);
    assert_int_equal(br_coalescer_deadline(&coalescer), 3 * BRUIT_SECOND);
}

/*
 * A member fails and is back within the window: what counts is its latest event, and that was told
 * already.
 */
static void test_a_member_that_is_as_it_was_last_told_is_left_out(void **state)
{
    (void)state;
    add(BRUIT_MEMBER_JOIN, "a", "", 0);
    assert_string_equal(flush(), "join: a; ");
    add(BRUIT_MEMBER_FAILED, "a", "", 0);
    add(BRUIT_MEMBER_JOIN, "a", "", 0);
    add(BRUIT_MEMBER_JOIN, "b", "", 0);
    assert_string_equal(flush(), "join: b; ");
    add(BRUIT_MEMBER_FAILED, "a", "", 0);
    assert_string_equal(flush(), "failed: a; ");
}

/*
 * Tags change twice: both times it is told, and only the latest tags; but not again at the next flush, as
 * Serf does.
 */
static void test_updates_are_always_told_and_only_once(void **state)
{
    (void)state;
    add(BRUIT_MEMBER_UPDATE, "a", "1", 0);
    add(BRUIT_MEMBER_UPDATE, "a", "2", 0);
    assert_string_equal(flush(), "update: a=2; ");
    add(BRUIT_MEMBER_UPDATE, "a", "3", 0);
    assert_string_equal(flush(), "update: a=3; ");
    add(BRUIT_MEMBER_JOIN, "b", "", 0);
    assert_string_equal(flush(), "join: b; ");
}

/* The member is copied: what the engine's event pointed at is gone when it is told. */
static void test_members_are_copied(void **state)
{
    char name[] = "abc", meta[] = "xyz";
    struct bruit_status_member member = {.name = br_bytes(name, 3), .meta = br_bytes(meta, 3)};
    (void)state;
    assert_int_equal(br_coalescer_add(&coalescer, BRUIT_MEMBER_JOIN, &member, 0), 0);
    memset(name, '?', 3);
    memset(meta, '?', 3);
    assert_string_equal(flush(), "join: abc=xyz; ");
}

/*
 * Members come and go for ever under new names: who was reaped takes no memory, and comes back as somebody
 * new.
 */
static void test_reaped_members_are_forgotten(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        for (unsigned i = 0; i < 20; i++) {
            char name[32];
            snprintf(name, sizeof name, "m%u-%u", round, i);
            add(BRUIT_MEMBER_JOIN, name, "", 0);
        }
        flush();
        for (unsigned i = 0; i < 20; i++) {
            char name[32];
            snprintf(name, sizeof name, "m%u-%u", round, i);
            add(BRUIT_MEMBER_REAP, name, "", 0);
        }
        flush();
        assert_int_equal(coalescer.count, 0);
        assert_int_equal(br_table_count(&coalescer.table), 0);
    }
    add(BRUIT_MEMBER_JOIN, "m0-0", "", 0);
    assert_string_equal(flush(), "join: m0-0; ");
}

/* Some of many are reaped: the others' last events are still known under their names. */
static void test_forgetting_one_keeps_the_others(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%u", i);
        add(BRUIT_MEMBER_JOIN, name, "", 0);
    }
    flush();
    for (unsigned i = 0; i < 100; i += 2) {
        char name[16];
        snprintf(name, sizeof name, "m%u", i);
        add(BRUIT_MEMBER_REAP, name, "", 0);
    }
    flush();
    assert_int_equal(coalescer.count, 50);
    for (unsigned i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%u", i);
        add(BRUIT_MEMBER_JOIN, name, "", 0);
    }
    flush();
    assert_null(strstr(told, " m1 "));
    assert_non_null(strstr(told, " m98"));
    assert_int_equal(coalescer.count, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_events_are_told_together_one_second_after_the_last, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_nobody_waits_longer_than_three_seconds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_member_that_is_as_it_was_last_told_is_left_out, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_updates_are_always_told_and_only_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_members_are_copied, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reaped_members_are_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forgetting_one_keeps_the_others, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
