/*
 * Long runs: a progress bar, Ctrl-C, and how a report is begun and ended; see tool.h.
 */
#include "sim/tool.h"

#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#define BAR 30
#define NS_PER_SECOND UINT64_C(1000000000)

static atomic_bool stopped;
static void (*told)(void);

static uint64_t now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * NS_PER_SECOND + (uint64_t)time.tv_nsec;
}

static void on_signal(int number)
{
    (void)number;
    atomic_store(&stopped, true);
    if (told != NULL)
        told();
}

void br_tool_catch_stop(void (*on_stop)(void))
{
    /* SA_RESETHAND: the second one does what it always does. */
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_RESTART};
    (void)sigemptyset(&action.sa_mask);
    told = on_stop;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

bool br_tool_stopped(void)
{
    return atomic_load(&stopped);
}

/* ------------------------------------------------------------------ the bar */

static uint64_t started, drawn;

void br_tool_progress(const char *what, double share)
{
    static int is_terminal = -1;
    if (is_terminal < 0)
        is_terminal = isatty(STDERR_FILENO);
    if (is_terminal == 0)
        return;
    uint64_t time = now();
    if (started == 0)
        started = time;
    if (time - started < NS_PER_SECOND || time - drawn < NS_PER_SECOND / 10)
        return;
    drawn = time;
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    int filled = (int)(share * BAR);
    (void)fprintf(stderr, "\r\033[K%s [", what);
    for (int i = 0; i < BAR; i++)
        (void)fputs(i < filled ? "█" : "·", stderr);
    (void)fprintf(stderr, "] %3.0f %%", share * 100);
    if (share > 0)
        (void)fprintf(stderr, ", %.0f s left", (double)(time - started) / 1e9 * (1 - share) / share);
    (void)fflush(stderr);
}

void br_tool_progress_end(void)
{
    if (drawn != 0)
        (void)fputs("\r\033[K", stderr);
    started = drawn = 0;
}

/* ------------------------------------------------------------------ reports */

void br_tool_begin(const struct br_report *report, const struct br_tool_output *output)
{
    if (!output->json && !output->csv)
        (void)br_report_print_head(report, stdout);
    (void)fflush(stdout);
    started = now();
}

int br_tool_end(const char *command, const struct br_report *report, const struct br_tool_output *output)
{
    char why[512];
    int code;
    br_tool_progress_end();
    if (output->json)
        code = br_report_print_json(report, stdout);
    else if (output->csv)
        code = br_report_print_csv(report, stdout);
    else
        code = br_report_print_text(report, stdout);
    if (code != 0)
        return br_tool_fail(command,
                            "the result could not be written to stdout: make room, or send it elsewhere.");
    if (output->html != NULL && br_report_write_html(report, output->html, why, sizeof why) != 0)
        return br_tool_fail(command, "%s", why);
    if (output->html != NULL)
        (void)fprintf(stderr, "%s: the page is in %s.\n", command, output->html);
    return br_tool_stopped() ? BR_TOOL_INTERRUPTED : 0;
}
