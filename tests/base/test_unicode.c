/* The tables of Unicode, walked from end to end: every character has one place, and comes back to itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/unicode.h"

#define RUNE_LAST 0x10ffffu

static size_t count_of(const char *name)
{
    br_unicode_class class = br_unicode_class_named(br_bytes_string(name));
    size_t count = 0;
    assert_int_not_equal(class, 0);
    for (uint32_t rune = 0; rune <= RUNE_LAST; rune++)
        count += br_unicode_is(br_unicode_kind_of(rune), class);
    return count;
}

/* How many characters Go's package unicode has in each, in the version that the tables are of. */
static void test_classes_hold_as_many_as_in_go(void **state)
{
    static const struct {
        const char *name;
        size_t count;
    } rows[] = {
        {"Lu", 1831},   {"Ll", 2233},       {"Lo", 131612},
        {"Nd", 680},    {"Zs", 17},         {"Sm", 948},
        {"L", 136104},  {"M", 2450},        {"N", 1831},
        {"P", 842},     {"S", 7770},        {"Z", 19},
        {"Greek", 518}, {"Latin", 1481},    {"Common", 8301},
        {"Han", 98408}, {"Old_Italic", 39}, {"Zanabazar_Square", 72},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (count_of(rows[i].name) != rows[i].count)
            fail_msg("%s: %zu", rows[i].name, count_of(rows[i].name));
    assert_int_equal(count_of("Any"), RUNE_LAST + 1);
}

/* What differs in case alone is a circle of two to four; its links, all together, are those of Go's SimpleFold. */
static void test_folding_goes_in_circles(void **state)
{
    size_t count = 0;
    uint64_t sum = 0;
    (void)state;
    for (uint32_t rune = 0; rune <= RUNE_LAST; rune++) {
        uint32_t next = br_unicode_fold(rune), each = next;
        if (next == rune)
            continue;
        count++;
        sum = sum * 31 + (uint64_t)rune * 7 + next;
        for (unsigned i = 1; each != rune; i++, each = br_unicode_fold(each))
            assert_true(i < BR_UNICODE_ORBIT_MAX);
    }
    assert_int_equal(count, 2878);
    assert_int_equal(sum, UINT64_C(6164152731685516368));
}

/* Names are taken as they are written, and nothing else is: as RE2 does. */
static void test_other_names_are_none(void **state)
{
    static const char *const rows[] = {"",     "X",      "Lx", "lu",     "LU", "greek",
                                       "Gree", "Greekk", "Cn", "Letter", "any"};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (br_unicode_class_named(br_bytes_string(rows[i])) != 0)
            fail_msg("%s is taken", rows[i]);
    assert_int_equal(br_unicode_fold(0x110000), 0x110000);
    assert_int_equal(br_unicode_kind_of(0x110000).category, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes_hold_as_many_as_in_go),
        cmocka_unit_test(test_folding_goes_in_circles),
        cmocka_unit_test(test_other_names_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
