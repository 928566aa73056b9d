/*
 * The roster: identities are stored once, held by number, and gone with their last holder.
 */
#include "member/roster.h"
#include "support/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct test_memory memory;
static struct br_alloc alloc;
static struct br_roster roster;

static int setup(void **state)
{
    (void)state;
    test_memory_init(&memory);
    struct bruit_env env = test_memory_env(&memory);
    br_alloc_init(&alloc, &env, 0);
    br_roster_init(&roster, &alloc, 42);
    return 0;
}

/* Every test ends with nobody holding anything, so nothing may be left. */
static int teardown(void **state)
{
    (void)state;
    for (uint32_t i = 1; i < roster.name_count; i++)
        assert_null(roster.names[i].text);
    br_roster_fini(&roster);
    assert_int_equal(memory.in_use, 0);
    return 0;
}

static const uint8_t vsn[6] = {1, 5, 2, 2, 5, 5};
static const uint8_t ip[4] = {10, 0, 0, 1};

static struct br_alive identity(const char *name, const char *meta)
{
    return (struct br_alive){.node = br_bytes_string(name),
                             .addr = br_bytes(ip, 4),
                             .port = 7946,
                             .meta = br_bytes_string(meta),
                             .vsn = br_bytes(vsn, 6)};
}

/* Two who heard of the same member share one record; a third holder's leaving takes nothing from them. */
static void test_the_same_identity_is_the_same_record(void **state)
{
    (void)state;
    struct br_alive a = identity("a", "meta");
    uint32_t first = br_roster_intern(&roster, &a);
    a.incarnation = 9; /* which is no part of who somebody is */
    uint32_t second = br_roster_intern(&roster, &a);
    assert_int_equal(first, second);
    br_roster_drop(&roster, first);
    assert_true(br_bytes_equal(br_fragment_name(br_roster_fragment(&roster, second)), br_bytes_text("a")));
    br_roster_drop(&roster, second);
}

/* A member changed its metadata: two records under one name, until the old one is let go. */
static void test_another_identity_is_another_record_of_the_name(void **state)
{
    (void)state;
    struct br_alive old = identity("a", "old");
    struct br_alive new = identity("a", "new");
    uint32_t first = br_roster_intern(&roster, &old);
    uint32_t second = br_roster_intern(&roster, &new);
    assert_int_not_equal(first, second);
    assert_int_equal(br_roster_name_of(&roster, first), br_roster_name_of(&roster, second));
    assert_int_equal(br_roster_find(&roster, br_bytes_text("a")), br_roster_name_of(&roster, first));
    br_roster_drop(&roster, first);
    assert_int_not_equal(br_roster_find(&roster, br_bytes_text("a")), 0);
    br_roster_drop(&roster, second);
    assert_int_equal(br_roster_find(&roster, br_bytes_text("a")), 0);
}

/* An accuser nobody knows is a name without a record; it outlives records of that name while it is held. */
static void test_a_name_can_be_held_without_a_record(void **state)
{
    (void)state;
    struct br_alive a = identity("accuser", "");
    uint32_t name = br_roster_name_intern(&roster, br_bytes_text("accuser"));
    uint32_t record = br_roster_intern(&roster, &a);
    assert_int_equal(br_roster_name_of(&roster, record), name);
    br_roster_drop(&roster, record);
    assert_true(br_bytes_equal(br_roster_name_text(&roster, name), br_bytes_text("accuser")));
    br_roster_name_drop(&roster, name);
}

/* Numbers are reused, so that tables indexed by them stay small however many come and go. */
static void test_numbers_are_reused(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%d", i);
        struct br_alive a = identity(name, "");
        uint32_t record = br_roster_intern(&roster, &a);
        assert_in_range(record, 1, 2);
        assert_in_range(br_roster_name_of(&roster, record), 1, 2);
        br_roster_drop(&roster, record);
    }
}

/* What a record says can be sent as it came: the 4-byte and the mapped form of an address are two identities. */
static void test_the_form_of_an_address_is_part_of_the_identity(void **state)
{
    (void)state;
    static const uint8_t mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1};
    struct br_alive four = identity("a", "");
    struct br_alive sixteen = four;
    sixteen.addr = br_bytes(mapped, 16);
    uint32_t first = br_roster_intern(&roster, &four);
    uint32_t second = br_roster_intern(&roster, &sixteen);
    assert_int_not_equal(first, second);
    assert_false(roster.records[first].identity == roster.records[second].identity);
    br_roster_drop(&roster, first);
    br_roster_drop(&roster, second);
}

/* What fits no record is refused and leaves no name behind. */
static void test_an_unfit_identity_leaves_nothing(void **state)
{
    (void)state;
    struct br_alive a = identity("a", "");
    a.addr.size = 3;
    assert_int_equal(br_roster_intern(&roster, &a), 0);
    a = identity("a", "");
    a.vsn.size = 5;
    assert_int_equal(br_roster_intern(&roster, &a), 0);
    assert_int_equal(br_roster_find(&roster, br_bytes_text("a")), 0);
}

/* Memory fails at each place in turn: either the record is there, or nothing at all. */
static void test_without_memory_nothing_is_interned(void **state)
{
    (void)state;
    struct br_alive a = identity("a", "meta");
    bool done = false;
    for (uint64_t n = 1; n < 20 && !done; n++) {
        memory.fail_at = memory.count + n;
        uint32_t record = br_roster_intern(&roster, &a);
        memory.fail_at = 0;
        done = record != 0;
        assert_int_equal(br_roster_find(&roster, br_bytes_text("a")) != 0, done);
        br_roster_drop(&roster, record);
    }
    assert_true(done);
}

#define ROSTER_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROSTER_TEST(test_the_same_identity_is_the_same_record),
        ROSTER_TEST(test_another_identity_is_another_record_of_the_name),
        ROSTER_TEST(test_a_name_can_be_held_without_a_record),
        ROSTER_TEST(test_numbers_are_reused),
        ROSTER_TEST(test_the_form_of_an_address_is_part_of_the_identity),
        ROSTER_TEST(test_an_unfit_identity_leaves_nothing),
        ROSTER_TEST(test_without_memory_nothing_is_interned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
