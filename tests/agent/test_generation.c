/*
 * The counter of lives in its file: it starts at 1, rises with each start, follows what the cluster said, and a file
 * with something else in it is left alone.
 */
#include "agent/generation.h"

#include <bruit/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/bruit-generation-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(path, sizeof path, "%s/generation", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

static void write_text(const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void test_each_start_is_one_more(void **state)
{
    char why[BR_WHY_MAX] = "";
    uint64_t generation = 0;
    (void)state;
    (void)unlink(path);
    for (uint64_t start = 1; start <= 3; start++) {
        assert_int_equal(br_generation_next(path, &generation, why), 0);
        assert_true(generation == start);
    }
    assert_int_equal(br_generation_write(path, 40, why), 0);
    assert_int_equal(br_generation_next(path, &generation, why), 0);
    assert_true(generation == 41);
}

static void test_what_is_no_number_is_left_alone(void **state)
{
    static const char *const texts[] = {"", "seven", "7 lives", "2147483648", "99999999999999999999"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char why[BR_WHY_MAX] = "", kept[64] = "";
        uint64_t generation;
        write_text(texts[i]);
        assert_int_equal(br_generation_next(path, &generation, why), BRUIT_EINVAL);
        assert_non_null(strstr(why, "is not a number below 2^31"));
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        size_t size = fread(kept, 1, sizeof kept - 1, file);
        assert_int_equal(size, strlen(texts[i]));
        assert_int_equal(fclose(file), 0);
    }
}

static void test_a_folder_that_is_not_there_is_said(void **state)
{
    char why[BR_WHY_MAX] = "";
    uint64_t generation;
    (void)state;
    assert_int_equal(br_generation_next("/nowhere/at/all", &generation, why), BRUIT_EIO);
    assert_non_null(strstr(why, "Failed to write generation file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_start_is_one_more),
        cmocka_unit_test(test_what_is_no_number_is_left_alone),
        cmocka_unit_test(test_a_folder_that_is_not_there_is_said),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
