/* Columns and JSON: the forms in which the commands answer, to the byte as Serf's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/json.h"
#include "cli/table.h"

/* Lays out the rows, each a text with '|' between the fields. */
static struct br_blob lay_out(const char *const *rows)
{
    struct br_columns columns = {.rows = BR_BLOB_EMPTY};
    struct br_blob out = BR_BLOB_EMPTY;
    for (; *rows != NULL; rows++) {
        br_blob_text(&columns.rows, *rows);
        br_columns_end_row(&columns);
    }
    br_columns_format(&columns, &out);
    return out;
}

#define EXPECT(expected, ...)                                                   \
    do {                                                                        \
        struct br_blob out = lay_out((const char *const[]){__VA_ARGS__, NULL}); \
        assert_string_equal(br_blob_string(&out), expected);                    \
        br_blob_release(&out);                                                  \
    } while (0)

/* Recorded with the real command line: a row whose last column is empty ends in blanks, save the last row. */
static void test_columns_are_as_wide_as_their_longest_field(void **state)
{
    (void)state;
    EXPECT("alpha  127.0.1.1:7946  alive  dc=east one\nrec    127.0.1.9:7946  alive",
           "alpha|127.0.1.1:7946|alive|dc=east one", "rec|127.0.1.9:7946|alive|");
    EXPECT("rec    127.0.1.9:7946  alive  \nalpha  127.0.1.1:7946  alive  dc=east one",
           "rec|127.0.1.9:7946|alive|", "alpha|127.0.1.1:7946|alive|dc=east one");
    EXPECT("", NULL);
}

/* Recorded too: a '|' in a name makes another column, and every field is trimmed. */
static void test_a_bar_in_a_name_makes_a_column(void **state)
{
    (void)state;
    EXPECT("be     ta               127.44.0.3:7946  alive     x=y\n"
           "alpha  127.44.0.1:7946  alive            role=web",
           "be|ta|127.44.0.3:7946|alive|x=y", "alpha| 127.44.0.1:7946 |alive|role=web");
}

/* Names in other scripts: a column is as wide as its characters, not as its bytes. */
static void test_width_counts_characters(void **state)
{
    (void)state;
    EXPECT("n\xc3\xa9  x\nab  y", "n\xc3\xa9|x", "ab|y");
}

/* A hostile name with a newline cannot begin a row of its own. */
static void test_newlines_in_fields_become_blanks(void **state)
{
    struct br_columns columns = {.rows = BR_BLOB_EMPTY};
    struct br_blob out = BR_BLOB_EMPTY;
    (void)state;
    br_columns_add(&columns, br_bytes_text("a\nb"));
    br_blob_text(&columns.rows, "|c");
    br_columns_end_row(&columns);
    br_columns_format(&columns, &out);
    assert_string_equal(br_blob_string(&out), "a b  c");
    br_blob_release(&out);
}

/* A name of nothing but bars has more columns than any table: it is printed, unaligned. */
static void test_a_hundred_columns_do_no_harm(void **state)
{
    char row[201];
    (void)state;
    memset(row, '|', 200);
    row[200] = 0;
    EXPECT("a", row, "a|");
}

static void test_json_is_indented_and_escaped_as_go_does(void **state)
{
    struct br_json json = {.depth = 0};
    (void)state;
    br_json_open(&json, '{');
    br_json_key(&json, br_bytes_text("members"));
    br_json_open(&json, '[');
    br_json_item(&json);
    br_json_open(&json, '{');
    br_json_key(&json, br_bytes_text("name"));
    br_json_text(&json, br_bytes_text("<a>&\"\\\n\t\x01\xc3\xa9\xff\xe2\x80\xa8"));
    br_json_key(&json, br_bytes_text("port"));
    br_json_number(&json, 7946);
    br_json_key(&json, br_bytes_text("tags"));
    br_json_open(&json, '{');
    br_json_close(&json, '}');
    br_json_close(&json, '}');
    br_json_item(&json);
    br_json_null(&json);
    br_json_close(&json, ']');
    br_json_close(&json, '}');
    assert_string_equal(br_blob_string(&json.out),
                        "{\n"
                        "  \"members\": [\n"
                        "    {\n"
                        "      \"name\": \"\\u003ca\\u003e\\u0026\\\"\\\\\\n\\t\\u0001"
                        "\xc3\xa9\\ufffd\\u2028\",\n"
                        "      \"port\": 7946,\n"
                        "      \"tags\": {}\n"
                        "    },\n"
                        "    null\n"
                        "  ]\n"
                        "}");
    br_blob_release(&json.out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns_are_as_wide_as_their_longest_field),
        cmocka_unit_test(test_a_bar_in_a_name_makes_a_column),
        cmocka_unit_test(test_width_counts_characters),
        cmocka_unit_test(test_newlines_in_fields_become_blanks),
        cmocka_unit_test(test_a_hundred_columns_do_no_harm),
        cmocka_unit_test(test_json_is_indented_and_escaped_as_go_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
