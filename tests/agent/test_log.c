/* The log: what reaches the console, what is kept, and that nobody who does not read can stop it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct br_log logger;
static int ends[2];

static int setup(void **state)
{
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_true(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
    br_log_init(&logger, ends[1], BRUIT_TRACE_INFO);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    br_log_fini(&logger);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

/* All that has been written since, with times as they came. */
static const char *console(void)
{
    static char text[1 << 20];
    size_t size = 0;
    for (ssize_t n; (n = read(ends[0], text + size, sizeof text - 1 - size)) > 0;)
        size += (size_t)n;
    text[size] = 0;
    return text;
}

/* Lines wait until the program has told about itself, then come in order, and then at once. */
static void test_lines_wait_for_the_release(void **state)
{
    (void)state;
    br_log(&logger, BRUIT_TRACE_INFO, "agent", "first %d", 1);
    br_log_note(&logger, "running");
    assert_string_equal(console(), "==> running\n");
    br_log_release(&logger);
    const char *text = console();
    assert_non_null(strstr(text, " [INFO] agent: first 1\n"));
    assert_memory_equal(text, "    20", 6);
    br_log(&logger, BRUIT_TRACE_WARN, "serf", "second");
    text = console();
    assert_non_null(strstr(text, " [WARN] serf: second\n"));
    assert_null(strstr(text, "first"));
}

/* "    YYYY/MM/DD HH:MM:SS [LEVEL] component: text", which scripts take apart by columns. */
static void test_lines_have_serfs_form(void **state)
{
    int parts[6], end = 0;
    (void)state;
    br_log_release(&logger);
    br_log(&logger, BRUIT_TRACE_ERROR, "agent.ipc", "text");
    const char *text = console();
    assert_int_equal(sscanf(text, "    %4d/%2d/%2d %2d:%2d:%2d%n", &parts[0], &parts[1], &parts[2], &parts[3],
                            &parts[4], &parts[5], &end),
                     6);
    assert_int_equal(end, 23);
    assert_string_equal(text + end, " [ERR] agent.ipc: text\n");
}

/* A line below the level is not shown, but kept for those who monitor. */
static void test_level_filters_the_console_and_not_what_is_kept(void **state)
{
    (void)state;
    br_log_release(&logger);
    br_log(&logger, BRUIT_TRACE_DEBUG, "serf", "quiet");
    assert_string_equal(console(), "");
    assert_non_null(br_log_kept(&logger, 0));
    assert_int_equal(br_log_kept(&logger, 0)->level, BRUIT_TRACE_DEBUG);
    logger.level = BRUIT_TRACE_DEBUG;
    br_log(&logger, BRUIT_TRACE_DEBUG, "serf", "loud");
    assert_non_null(strstr(console(), "loud"));
}

/* 511, 512, 513 lines: the last 512 are kept, in order. */
static void test_the_last_512_lines_are_kept(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 511; i++)
        br_log(&logger, BRUIT_TRACE_DEBUG, "x", "line %u;", i);
    assert_null(br_log_kept(&logger, 511));
    br_log(&logger, BRUIT_TRACE_DEBUG, "x", "line 511;");
    assert_non_null(memmem(br_log_kept(&logger, 0)->text, br_log_kept(&logger, 0)->size, "line 0;", 7));
    br_log(&logger, BRUIT_TRACE_DEBUG, "x", "line 512;");
    assert_non_null(memmem(br_log_kept(&logger, 0)->text, br_log_kept(&logger, 0)->size, "line 1;", 7));
    assert_non_null(memmem(br_log_kept(&logger, 511)->text, br_log_kept(&logger, 511)->size, "line 512;", 9));
    assert_null(br_log_kept(&logger, 512));
}

/*
 * The console is a pipe that nobody reads: logging goes on, what is lost is counted, and told once it is
 * read.
 */
static void test_a_console_that_is_not_read_stops_nobody(void **state)
{
    char text[1001];
    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    br_log_release(&logger);
    for (unsigned i = 0; i < 1000; i++)
        br_log(&logger, BRUIT_TRACE_INFO, "agent", "%s", text);
    assert_true(logger.dropped > 800);
    (void)console();
    br_log(&logger, BRUIT_TRACE_INFO, "agent", "again");
    const char *rest = console();
    assert_non_null(strstr(rest, "lines were lost because nobody read the console\n"));
    assert_non_null(strstr(rest, "again\n"));
    assert_int_equal(logger.dropped, 0);
}

/* A text of any length, and one with a newline at its end: one line, cut, with one end. */
static void test_long_lines_are_cut_and_ends_are_not_doubled(void **state)
{
    char *text = malloc(100000);
    (void)state;
    memset(text, 'x', 99999);
    text[99999] = 0;
    br_log(&logger, BRUIT_TRACE_INFO, "agent", "%s", text);
    assert_int_equal(br_log_kept(&logger, 0)->size, BR_LOG_LINE_MAX);
    br_log(&logger, BRUIT_TRACE_INFO, "agent", "1 error occurred:\n\t* one\n\n");
    const struct br_log_line *line = br_log_kept(&logger, 1);
    assert_memory_equal(line->text + line->size - 7, "\t* one\n", 7);
    free(text);
}

/* What a client sends as a name must not move the cursor of the one who reads the log. */
static void test_names_are_shown_escaped(void **state)
{
    char out[BR_LOG_SHOWN_MAX];
    (void)state;
    assert_null(strchr(br_log_shown(br_bytes_text("a\x1b[2Jb\n"), out), '\x1b'));
    assert_null(strchr(out, '\n'));
    assert_string_equal(br_log_shown(br_bytes_text("n\xc3\xa9"), out), "n\xc3\xa9");
}

static void on_line(void *context, const struct br_log_line *line)
{
    (void)line;
    (*(unsigned *)context)++;
}

static void test_a_listener_hears_every_line(void **state)
{
    unsigned heard = 0;
    (void)state;
    logger.listener = on_line;
    logger.listener_context = &heard;
    br_log(&logger, BRUIT_TRACE_DEBUG, "agent", "one");
    br_log(&logger, BRUIT_TRACE_ERROR, "agent", "two");
    assert_int_equal(heard, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lines_wait_for_the_release, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lines_have_serfs_form, setup, teardown),
        cmocka_unit_test_setup_teardown(test_level_filters_the_console_and_not_what_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_last_512_lines_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_console_that_is_not_read_stops_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_lines_are_cut_and_ends_are_not_doubled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_are_shown_escaped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_listener_hears_every_line, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
