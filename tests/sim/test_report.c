/*
 * Reports: one description, four readings. JSON is read back by a library that did not write it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "sim/report.h"
#include "sim/tool.h"

#include <jansson.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int (*printer)(const struct br_report *, FILE *);

static char *printed(const struct br_report *report, printer print)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    assert_int_equal(print(report, out), 0);
    assert_int_equal(fclose(out), 0);
    return text;
}

/* A report with everything that needs care: quotes, commas, markup, no number at all, several curves. */
static struct br_report *sample(void)
{
    struct br_report *report = br_report_new("sample", "A <b> & a \"quote\"");
    br_report_set_number(report, "seed", 900719925474099.0);
    br_report_set(report, "loss", "%g%%", 2.5);
    struct br_sheet *sheet = br_report_sheet(report, "summary", "What it took");
    br_sheet_column(sheet, "mode", "mode", -1);
    br_sheet_column(sheet, "rounds", "rounds", 2);
    br_sheet_text(sheet, "push, \"k\"=%d", 1);
    br_sheet_number(sheet, 17.875);
    br_sheet_text(sheet, "pull");
    br_sheet_number(sheet, NAN);
    struct br_chart *chart = br_report_chart(report, "informed", "Who has heard", "round", "part");
    struct br_line *line = br_chart_line(chart, "push", BR_LINE_SOLID);
    for (int i = 0; i <= 8; i++)
        br_line_point(line, i, i / 8.0);
    line = br_chart_line(chart, "theory", BR_LINE_DASHED);
    br_line_point(line, 0, 0.5);
    br_report_note(report, "One </script> note.");
    return report;
}

/* A script reads the numbers out of --json: they are what was put in, and what is no number is null. */
static void test_json_says_what_was_put_in(void **state)
{
    (void)state;
    struct br_report *report = sample();
    char *text = printed(report, br_report_print_json);
    json_error_t error;
    json_t *root = json_loads(text, 0, &error);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "title")), "A <b> & a \"quote\"");
    json_t *configuration = json_object_get(root, "configuration");
    assert_true(json_integer_value(json_object_get(configuration, "seed")) == 900719925474099);
    assert_string_equal(json_string_value(json_object_get(configuration, "loss")), "2.5%");
    json_t *rows = json_object_get(json_object_get(root, "tables"), "summary");
    assert_int_equal(json_array_size(rows), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "mode")), "push, \"k\"=1");
    assert_true(json_real_value(json_object_get(json_array_get(rows, 0), "rounds")) == 17.875);
    assert_true(json_is_null(json_object_get(json_array_get(rows, 1), "rounds")));
    json_t *chart = json_object_get(json_object_get(root, "charts"), "informed");
    json_t *line = json_array_get(json_object_get(chart, "lines"), 0);
    assert_int_equal(json_array_size(json_object_get(line, "points")), 9);
    json_decref(root);
    free(text);
    br_report_free(report);
}

/* A report without anything in it is JSON, too. */
static void test_an_empty_report_is_whole(void **state)
{
    (void)state;
    struct br_report *report = br_report_new("empty", "Nothing");
    char *text = printed(report, br_report_print_json);
    json_t *root = json_loads(text, 0, NULL);
    assert_non_null(root);
    json_decref(root);
    free(text);
    text = printed(report, br_report_print_text);
    assert_string_equal(text, "");
    free(text);
    br_report_free(report);
}

/* A spreadsheet opens --csv: quotes are doubled, what is no number is an empty field. */
static void test_csv_quotes_what_needs_it(void **state)
{
    (void)state;
    struct br_report *report = sample();
    char *text = printed(report, br_report_print_csv);
    assert_non_null(strstr(text, "# seed: 900719925474099\n"));
    assert_non_null(strstr(text, "# table: summary\nmode,rounds\n\"push, \"\"k\"\"=1\",17.875\npull,\n\n"));
    assert_non_null(strstr(text, "chart,line,x,y\ninformed,push,0,0\ninformed,push,1,0.125\n"));
    free(text);
    br_report_free(report);
}

/* Somebody reads it in a terminal: columns line up, and the curve rises from left to right. */
static void test_text_lines_up_and_draws(void **state)
{
    (void)state;
    struct br_report *report = sample();
    char *text = printed(report, br_report_print_head);
    assert_non_null(strstr(text, "  loss  2.5%\n"));
    free(text);
    text = printed(report, br_report_print_text);
    assert_non_null(strstr(text, "  mode         rounds\n  push, \"k\"=1   17.88\n  pull              -\n"));
    const char *top = strstr(text, "┤                                ████\n");
    const char *bottom = strstr(text, "┤▁▁▁▁████");
    assert_non_null(top);
    assert_non_null(bottom);
    assert_true(top < bottom);
    free(text);
    br_report_free(report);
}

/* The page stands alone: nothing is loaded from elsewhere, and no text of ours can end its script. */
static void test_the_page_needs_no_network(void **state)
{
    (void)state;
    struct br_report *report = sample();
    char *text = printed(report, br_report_print_html);
    assert_null(strstr(text, "src="));
    assert_null(strstr(text, "<link"));
    assert_null(strstr(text, "@import"));
    assert_non_null(strstr(text, "<title>A &lt;b> &amp; a \"quote\"</title>"));
    assert_non_null(strstr(text, "One &lt;/script> note."));
    assert_non_null(strstr(text, "Permission is hereby granted")); /* uPlot's licence goes with it */
    assert_non_null(strstr(text, "var uPlot="));
    size_t scripts = 0, ends = 0;
    for (const char *at = text; (at = strstr(at, "<script")) != NULL; at++)
        scripts++;
    for (const char *at = text; (at = strstr(at, "</script>")) != NULL; at++)
        ends++;
    assert_int_equal(scripts, 3);
    assert_int_equal(ends, 3);
    free(text);
    br_report_free(report);
}

/* The disk is full, or the folder is not there: the user is told, and what to do. */
static void test_a_page_that_cannot_be_written_is_an_error(void **state)
{
    (void)state;
    char why[256] = "";
    struct br_report *report = sample();
    assert_true(br_report_write_html(report, "/nonexistent/page.html", why, sizeof why) < 0);
    assert_non_null(strstr(why, "give --html another file"));
    why[0] = 0;
    if (access("/dev/full", W_OK) == 0) {
        assert_true(br_report_write_html(report, "/dev/full", why, sizeof why) < 0);
        assert_non_null(strstr(why, "make room"));
    }
    br_report_free(report);
}

/* ------------------------------------------------------------------ flags */

struct target {
    bool on;
    const char *text;
    uint64_t count;
    double part;
    bruit_time time;
    struct br_tool_list counts, parts;
};

static const struct br_tool_flag flags[] = {
    {"Heading", BR_TOOL_SWITCH, 0, NULL, NULL},
    {"on", BR_TOOL_SWITCH, offsetof(struct target, on), NULL, "A switch."},
    {"text", BR_TOOL_TEXT, offsetof(struct target, text), "TEXT", "A text."},
    {"count", BR_TOOL_COUNT, offsetof(struct target, count), "N", "A count."},
    {"part", BR_TOOL_PART, offsetof(struct target, part), "P", "A part."},
    {"time", BR_TOOL_TIME, offsetof(struct target, time), "TIME", "A time."},
    {"counts", BR_TOOL_COUNTS, offsetof(struct target, counts), "N", "Counts."},
    {"parts", BR_TOOL_PARTS, offsetof(struct target, parts), "P", "Parts."},
};

static const struct br_tool_usage usage = {"test", "[FLAGS]", "", flags, sizeof flags / sizeof flags[0],
                                           NULL};

static int parse(struct target *target, const char *first, const char *second)
{
    char words[2][256];
    (void)snprintf(words[0], sizeof words[0], "%s", first);
    (void)snprintf(words[1], sizeof words[1], "%s", second != NULL ? second : "");
    char *argv[] = {words[0], words[1]};
    *target = (struct target){0};
    return br_tool_parse(&usage, target, second != NULL ? 2 : 1, argv);
}

/* Numbers as people write them. */
static void test_values_are_read_as_people_write_them(void **state)
{
    (void)state;
    struct target target;
    assert_int_equal(parse(&target, "--count", "20k"), 2);
    assert_int_equal(target.count, 20000);
    assert_int_equal(parse(&target, "-count=1e6", NULL), 1);
    assert_int_equal(target.count, 1000000);
    assert_int_equal(parse(&target, "--part", "2.5%"), 2);
    assert_true(fabs(target.part - 0.025) < 1e-15);
    assert_int_equal(parse(&target, "--time", "1.5s"), 2);
    assert_int_equal(target.time, 1500000000);
    assert_int_equal(parse(&target, "--counts=10,1k,2M", NULL), 1);
    assert_int_equal(target.counts.count, 3);
    assert_true(target.counts.items[2] == 2e6);
    assert_int_equal(parse(&target, "--on", "rest"), 1);
    assert_true(target.on);
}

/* Each of these is a mistake, and none is taken for something else. */
static void test_bad_words_are_refused(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"--counnt", "1"},    {"--count", "1.5"},  {"--count", "-1"},   {"--count", "ten"},
        {"--count", "0x10"},  {"--count", "1e99"}, {"--count", "nan"},  {"--count", NULL},
        {"--part", "101%"},   {"--part", "1.01"},  {"--time", "5"},     {"--time", "5 s"},
        {"--counts", "1,,x"}, {"--counts", "1,x"}, {"--counts", ""},    {"--on=1", NULL},
        {"--text", ""},       {"--parts", "0,2"},  {"--Heading", NULL},
    };
    struct target target;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(parse(&target, bad[i][0], bad[i][1]), -2);
}

/* A typing error gets the word that was meant; nonsense gets none. */
static void test_the_nearest_word_is_offered(void **state)
{
    (void)state;
    static const char *const names[] = {"spread", "detect", "tune"};
    assert_string_equal(br_tool_nearest("spraed", names, 3), "spread");
    assert_string_equal(br_tool_nearest("tun", names, 3), "tune");
    assert_null(br_tool_nearest("xyzzy", names, 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_says_what_was_put_in),
        cmocka_unit_test(test_an_empty_report_is_whole),
        cmocka_unit_test(test_csv_quotes_what_needs_it),
        cmocka_unit_test(test_text_lines_up_and_draws),
        cmocka_unit_test(test_the_page_needs_no_network),
        cmocka_unit_test(test_a_page_that_cannot_be_written_is_an_error),
        cmocka_unit_test(test_values_are_read_as_people_write_them),
        cmocka_unit_test(test_bad_words_are_refused),
        cmocka_unit_test(test_the_nearest_word_is_offered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
