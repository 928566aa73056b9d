/*
 * The program bruit-sim: its commands, and what they share.
 *
 * A command is a file cmd_NAME.c with one function. Results go to stdout; progress, warnings and errors to
 * stderr, an error as one sentence that says what to do. Exit codes: 0 the answer was found, 1 it was not or the
 * question was wrong, 130 Ctrl-C ended it early (what was found so far has been printed).
 */
#ifndef BR_SIM_TOOL_H
#define BR_SIM_TOOL_H

#include "sim/report.h"

#define BR_TOOL_INTERRUPTED 130

struct br_tool_command {
    const char *name;
    const char *synopsis;
    int (*run)(int argc, char **argv); /* of what follows the name; returns the exit code */
};

extern const struct br_tool_command br_tool_spread;
extern const struct br_tool_command br_tool_detect;
extern const struct br_tool_command br_tool_tune;
extern const struct br_tool_command br_tool_aggregate;
extern const struct br_tool_command br_tool_watch;
extern const struct br_tool_command br_tool_run;
extern const struct br_tool_command br_tool_replay;
extern const struct br_tool_command br_tool_swarm;
extern const struct br_tool_command br_tool_shrink;
extern const struct br_tool_command br_tool_state;

/* ------------------------------------------------------------------ flags (flags.c) */

enum br_tool_flag_kind {
    BR_TOOL_SWITCH, /* bool */
    BR_TOOL_TEXT,   /* const char *, borrowed from argv */
    BR_TOOL_FILE,   /* the same, and it can be written: known before a long run, not after it */
    BR_TOOL_FOLDER, /* the same, and there is such a folder, in which files can be made */
    BR_TOOL_COUNT,  /* uint64_t: 20000, 20k, 1M, 1e6 */
    BR_TOOL_SOME,   /* the same, at least 1 */
    BR_TOOL_PART,   /* double: 0.02 or 2% */
    BR_TOOL_TIME,   /* bruit_time: 200ms, 1.5s, 2m, 1h; a unit is a must */
    BR_TOOL_COUNTS, /* struct br_tool_list: 10,1k,1M; given again, it adds */
    BR_TOOL_PARTS,  /* struct br_tool_list: 0,1%,0.02 */
};

#define BR_TOOL_LIST_MAX 64

struct br_tool_list {
    double items[BR_TOOL_LIST_MAX];
    size_t count;
};

/* `help` NULL: a heading, and `name` is its text. */
struct br_tool_flag {
    const char *name; /* without the dashes */
    enum br_tool_flag_kind kind;
    size_t offset;        /* of the member in the target */
    const char *argument; /* what the value is called; NULL for switches */
    const char *help;
};

struct br_tool_usage {
    const char *command;  /* "bruit-sim spread" */
    const char *synopsis; /* what follows it in the first line of the help */
    const char *about;    /* paragraphs, each line indented by two */
    const struct br_tool_flag *flags;
    size_t flag_count;
    const char *examples; /* lines, likewise */
};

/*
 * Sets in `target`, which holds the defaults, what the words say. Flags may stand before and
 * behind the other words, up to "--"; the words are put in order, flags first. Returns the number of words that
 * are flags and their values: what follows is the caller's. -1: help was asked for and given: exit with 0. -2: a
 * word was wrong and a sentence said so: exit with 1.
 */
int br_tool_parse(const struct br_tool_usage *usage, void *target, int argc, char **argv);

/* "bruit-sim spread: SENTENCE" on stderr; returns 1, the exit code. */
int br_tool_fail(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The one of `names` that a mistyped word is closest to, or NULL when none is close. */
const char *br_tool_nearest(const char *word, const char *const *names, size_t count);

/* ------------------------------------------------------------------ how it is shown */

/* Every experiment has these flags; the macro goes into its table. */
struct br_tool_output {
    bool json;
    bool csv;
    const char *html;
};

#define BR_TOOL_OUTPUT_FLAGS(type, member)                                                            \
    {"Output", BR_TOOL_SWITCH, 0, NULL, NULL},                                                        \
        {"json", BR_TOOL_SWITCH, offsetof(type, member.json), NULL, "Print everything as JSON."},     \
        {"csv", BR_TOOL_SWITCH, offsetof(type, member.csv), NULL, "Print tables and curves as CSV."}, \
    {                                                                                                 \
        "html", BR_TOOL_FILE, offsetof(type, member.html), "FILE",                                    \
            "Also write one page with the plots, which needs no network."                             \
    }

/* Before the run: the title and the configuration, unless a machine reads. */
void br_tool_begin(const struct br_report *report, const struct br_tool_output *output);
/* After it: the rest in the form asked for. Returns the exit code: 0, or 1 when it could not be written. */
int br_tool_end(const char *command, const struct br_report *report, const struct br_tool_output *output);

/* ------------------------------------------------------------------ long runs (progress.c) */

/*
 * From here on Ctrl-C asks to stop: br_tool_stopped() says so, and the command ends with what it has. A second
 * Ctrl-C ends the program at once. A signal handler may be told too: `on_stop` runs in signal context; NULL: none.
 */
void br_tool_catch_stop(void (*on_stop)(void));
bool br_tool_stopped(void);

/*
 * A bar on stderr, of work of which `share` (0 to 1) is done. Shows nothing in the first second, and nothing at
 * all when stderr is not a terminal. `what` is a few words; call it as often as you like.
 */
void br_tool_progress(const char *what, double share);
/* Wipes the bar. */
void br_tool_progress_end(void);

#endif
