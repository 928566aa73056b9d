/*
 * Command-line flags, described once: a table of name, kind, default and help drives parsing and --help.
 *
 * The grammar is Go's, which Serf's scripts are written in (docs/wire/serf-agent.md section 1): one dash
 * or two, -name value or -name=value, switches take a value only as -name=false, and flags end at the
 * first word that is none, or after "--".
 */
#ifndef BR_AGENT_FLAGS_H
#define BR_AGENT_FLAGS_H

#include "agent/value.h"

enum br_flag_kind {
    BR_FLAG_TEXT,     /* const char *, borrowed from argv */
    BR_FLAG_SWITCH,   /* bool */
    BR_FLAG_INT,      /* int64_t */
    BR_FLAG_DURATION, /* bruit_time */
    BR_FLAG_LIST,     /* struct br_values: may be given again and again */
};

struct br_flag {
    const char *name;
    enum br_flag_kind kind;
    size_t offset;        /* of the member in the target */
    const char *argument; /* what the value is called in the help; NULL: none */
    const char *fallback; /* the default, as one would type it; NULL: none, and the member starts as zero */
    const char *help;     /* a sentence or two; "-help" wraps them */
};

/* What a BR_FLAG_LIST collects. */
struct br_values {
    const char **items;
    size_t count;
};

/* False when memory ran out. `text` is borrowed. */
bool br_values_add(struct br_values *values, const char *text);

enum br_flags_result {
    BR_FLAGS_OK = 0,
    BR_FLAGS_HELP = 1,         /* -h or -help was given */
    BR_FLAGS_BAD_USAGE = -1,   /* the grammar: an unknown flag, a missing value */
    BR_FLAGS_BAD_VALUE = -2,   /* a value that cannot be read */
};

/*
 * Fills `target` with the defaults, then with what `argv` says; `*rest` is the index of the first word
 * that is no flag. Unless it returns BR_FLAGS_OK or BR_FLAGS_HELP, `why` is a sentence that says what is
 * wrong and what to do; `command` ("bruit agent") is what it names for more.
 */
enum br_flags_result br_flags_parse(const struct br_flag *flags, size_t count, void *target,
                                    const char *command, int argc, char **argv, int *rest,
                                    char why[BR_WHY_MAX]);

/* The two halves of it: only the defaults, and only what `argv` says. */
void br_flags_defaults(const struct br_flag *flags, size_t count, void *target);
enum br_flags_result br_flags_read(const struct br_flag *flags, size_t count, void *target,
                                   const char *command, int argc, char **argv, int *rest,
                                   char why[BR_WHY_MAX]);

/* Frees the lists that parsing filled. */
void br_flags_release(const struct br_flag *flags, size_t count, void *target);

struct br_blob;

/* The lines of "Options:", one flag after the other. */
void br_flags_help(const struct br_flag *flags, size_t count, struct br_blob *out);

#endif
