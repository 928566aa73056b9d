/* Regular expressions: RE2's answers, and no pattern that costs more than steps times characters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/pattern.h"

#include <stdlib.h>

static struct br_alloc memory = {.resize = NULL};

static struct br_alloc *heap(void)
{
    if (memory.resize == NULL)
        br_alloc_init(&memory, NULL, 0);
    return &memory;
}

static bool matches(const char *pattern, const char *text)
{
    struct br_pattern *p;
    assert_int_equal(br_pattern_new(&p, heap(), br_bytes_string(pattern)), 0);
    bool is_match = br_pattern_matches(p, br_bytes_string(text));
    /* A second time: nothing of the first is left over. */
    assert_int_equal(br_pattern_matches(p, br_bytes_string(text)), is_match);
    br_pattern_free(p);
    return is_match;
}

static int refused(const char *pattern)
{
    struct br_pattern *p = NULL;
    int error = br_pattern_new(&p, heap(), br_bytes_string(pattern));
    br_pattern_free(p);
    return error;
}

/* What Go's regexp.MatchString says of each, "+" for true. */
static void test_matches_what_go_matches(void **state)
{
    static const char *const rows[][3] = {
        {"", "", "+"},
        {"", "abc", "+"},
        {"a", "cab", "+"},
        {"^a", "ba", "-"},
        {"a$", "ab", "-"},
        {"^a.*|b.*$", "alpha", "+"},
        {"^a.*|b.*$", "xbeta", "+"},
        {"^a.*|b.*$", "gamma", "-"},
        {"^a.*|b.*$", "xyz", "-"},
        {"^(foo|ba[rz]{2,3})$", "barz", "+"},
        {"^(foo|ba[rz]{2,3})$", "bar", "-"},
        {"^(foo|ba[rz]{2,3})$", "barzzz", "-"},
        {"^\\d+\\.\\w*$", "12.a_", "+"},
        {"^\\d+\\.\\w*$", "12", "-"},
        {"^\\D\\S\\W$", "a.!", "+"},
        {"^(?i)AbC$", "aBc", "+"},
        {"^(?i:a)b$", "AB", "-"},
        {"^[^a-c]+$", "xyz", "+"},
        {"^[^a-c]+$", "xaz", "-"},
        {"^[]a]$", "]", "+"},
        {"^[a-]$", "-", "+"},
        {"^[[:alpha:]_]+$", "ab_", "+"},
        {"^[[:^alpha:]]+$", "12", "+"},
        {"^[[:^alpha:]]+$", "1a", "-"},
        {"^.$", "\xc3\xa9", "+"},
        {"^.$", "ab", "-"},
        {"^..$", "\xff\xfe", "+"},
        {"^.$", "\n", "-"},
        {"^(?s).$", "\n", "+"},
        {"^b$", "a\nb", "-"},
        {"(?m)^b$", "a\nb", "+"},
        {"^a{3}$", "aaa", "+"},
        {"^a{3}$", "aa", "-"},
        {"^a{2,}$", "aaaaa", "+"},
        {"^a{2,}$", "a", "-"},
        {"^a{,2}$", "a{,2}", "+"},
        {"^a{0}$", "", "+"},
        {"\\bfoo\\b", "a foo b", "+"},
        {"\\bfoo\\b", "xfoo", "-"},
        {"\\Boo\\b", "foo", "+"},
        {"^x*$", "xx", "+"},
        {"^(x*)*$", "xy", "-"},
        {"^(a|)+$", "aa", "+"},
        {"^a*?b??c+?$", "aabc", "+"},
        {"^\\Qa.b\\E$", "a.b", "+"},
        {"^\\Qa.b\\E$", "axb", "-"},
        {"^(?P<n>a)(?:b)$", "ab", "+"},
        {"^\\x41\\x{e9}\\101$",
         "A\xc3\xa9"
         "A",
         "+"},
        {"^\\t\\.\\_$", "\t._", "+"},
        {"^[\\d.-]+$", "127.0-1", "+"},
        {"^^a$$", "a", "+"},
        {"^*a", "ba", "+"},
        {"()", "", "+"},
        {"a||b", "", "+"},
        {"^\\Aa\\z$", "a", "+"},
        {"^\\pL+$", "a\xc3\xa9\xd0\xaf\xe4\xb8\xad", "+"}, /* e with an accent, Ya, a Han character */
        {"^\\pL+$", "a1", "-"},
        {"^\\PL+$", "1-\xe2\x82\xac", "+"}, /* the euro */
        {"^\\p{Greek}$", "\xce\xb1", "+"},
        {"^\\p{Greek}$", "a", "-"},
        {"^\\p{^Greek}\\P{Greek}$", "ab", "+"},
        {"^\\P{^Greek}$", "\xce\xb1", "+"},
        {"^[\\p{Lu}\\d]+$",
         "A\xc3\x89"
         "7",
         "+"},
        {"^[^\\p{Lu}\\d]+$", "a\xc3\xa9", "+"},
        {"^[\\P{Lu}\\PL]$", "A", "-"},
        {"^\\p{Any}$", "\xff", "+"},
        {"^(?i)\\p{Lu}$", "\xc3\xa9", "+"},
        {"^\\p{Lu}$", "\xc3\xa9", "-"},
        {"^(?i)\xc3\x89$", "\xc3\xa9", "+"},
        {"^(?i)\xce\xb8$", "\xcf\x91", "+"}, /* theta and its symbol */
        {"^(?i)k$", "\xe2\x84\xaa", "+"},    /* the sign of kelvin */
        {"^(?i)[a-z]$", "\xc5\xbf", "+"},    /* the long s */
        {"^(?i)\\W$", "\xc5\xbf", "-"},
        {"^(?i)[[:^upper:]]$", "a", "-"},
        {"^(?i)[^\xc3\xa9]$", "\xc3\x89", "-"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (matches(rows[i][0], rows[i][1]) != (rows[i][2][0] == '+'))
            fail_msg("%s on %s: not %s", rows[i][0], rows[i][1], rows[i][2]);
    }
}

/* What Go's compiler refuses. */
static void test_refuses_what_is_no_pattern(void **state)
{
    static const char *const rows[] = {
        "(",
        ")",
        "a)",
        "(a",
        "[a",
        "[",
        "[]",
        "[z-a]",
        "a**",
        "a*+",
        "*a",
        "+",
        "a|*b",
        "\\",
        "\\1",
        "\\y",
        "\\8",
        "[\\1]",
        "a{2,1}",
        "a{1001}",
        "a{99999999999}",
        "a{1,99999999999}",
        "(?z)a",
        "(?P<>a)",
        "(?P<a",
        "(?",
        "(?i",
        "\\x",
        "\\x{}",
        "\\x{110000}",
        "[[:nope:]]",
        "\\p",
        "\\pX",
        "\\p{",
        "\\p{}",
        "\\p{Greek",
        "\\p{greek}",
        "\\p{^}",
        "[\\p{Nope}]",
        "\xff",
        "a\xc3",
        "(?<a!>x)",
        "(?i-)a",
        "a{2}{3}",
        "(?=a)",
        "\\x{41",
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (refused(rows[i]) != BRUIT_EFORMAT)
            fail_msg("%s: %d", rows[i], refused(rows[i]));
}

/* A client sends the patterns that hang backtracking matchers, or that grow when they are compiled. */
static void test_no_pattern_costs_more_than_steps_times_characters(void **state)
{
    char text[256];
    (void)state;
    memset(text, 'a', sizeof text - 2);
    memcpy(text + sizeof text - 2, "b", 2);
    assert_false(matches("^(a*)*c$", text));
    assert_false(matches("^(a|a)*c$", text));
    assert_false(matches("^(a?){100}a{100}c$", text));
    assert_true(matches("^(a?){100}a{100}a*b$", text));
    assert_int_equal(refused("((((a{1000}){1000}){1000}){1000})"), BRUIT_ETOOBIG);
    assert_int_equal(refused("((((x{0}){1000}){1000}){1000})"), BRUIT_ETOOBIG);
}

/* A pattern of 512 bytes is the longest; one of 101 brackets within each other is too deep. */
static void test_size_and_depth_are_bounded(void **state)
{
    char text[2 * BR_PATTERN_SIZE_MAX];
    (void)state;
    memset(text, 'a', sizeof text);
    text[BR_PATTERN_SIZE_MAX] = 0;
    assert_int_equal(refused(text), 0);
    memcpy(text + BR_PATTERN_SIZE_MAX, "a", 2);
    assert_int_equal(refused(text), BRUIT_ETOOBIG);
    memset(text, '(', 101);
    memset(text + 101, ')', 101);
    text[202] = 0;
    assert_int_equal(refused(text), BRUIT_ETOOBIG);
    assert_int_equal(refused("((((((((((a))))))))))"), 0);
}

/* Random bytes as pattern and text: nothing but an answer or a refusal may come of it. */
static void test_random_patterns_do_no_harm(void **state)
{
    static const char letters[] = "ab()[]{}*+?|\\^$.-:,019PQEdwx<>i\n\xc3\xa9";
    unsigned seed = 20260101;
    (void)state;
    print_message("seed %u\n", seed);
    srand(seed);
    for (unsigned round = 0; round < 20000; round++) {
        char pattern[24], text[16];
        for (size_t i = 0; i < sizeof pattern; i++)
            pattern[i] = letters[(unsigned)rand() % (sizeof letters - 1)];
        for (size_t i = 0; i < sizeof text; i++)
            text[i] = letters[(unsigned)rand() % (sizeof letters - 1)];
        struct br_pattern *p;
        if (br_pattern_new(&p, heap(), br_bytes(pattern, (unsigned)rand() % sizeof pattern)) == 0) {
            (void)br_pattern_matches(p, br_bytes(text, (unsigned)rand() % sizeof text));
            br_pattern_free(p);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches_what_go_matches),
        cmocka_unit_test(test_refuses_what_is_no_pattern),
        cmocka_unit_test(test_no_pattern_costs_more_than_steps_times_characters),
        cmocka_unit_test(test_size_and_depth_are_bounded),
        cmocka_unit_test(test_random_patterns_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
