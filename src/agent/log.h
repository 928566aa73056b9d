/*
 * What the agent says: its console, and the last lines it logged.
 *
 * A line is `YYYY/MM/DD HH:MM:SS [LEVEL] component: text` in local time (docs/wire/serf-agent.md section
 * 3.6). The engine's lines are trace records rendered as text; the agent adds its own. Lines of any level
 * that were made are kept, the last 512, for `monitor`; those that pass the level go to the console, four
 * blanks in front. Notices of the program itself begin with `==> `.
 *
 * Nothing is buffered, so a reader sees a line when it happens; and a console that is not being read (a
 * full pipe, a stopped terminal) never stalls the agent, since a stalled agent is accused by its peers:
 * lines are dropped then, and their number is told later.
 */
#ifndef BR_AGENT_LOG_H
#define BR_AGENT_LOG_H

#include "base/bytes.h"

#include <bruit/trace.h>

#include <time.h>

/* Serf's number. */
#define BR_LOG_LINES 512

/* Longer lines are cut. A failed join of many addresses is the longest there is, some 100 bytes for each. */
#define BR_LOG_LINE_MAX 8192

struct br_log_line {
    int level;
    uint32_t size;
    char text[];
};

struct br_log {
    int fd;
    int level;        /* enum bruit_trace_level: what the console shows */
    bool is_held;     /* until the program has told about itself, lines wait for br_log_release */
    uint64_t dropped; /* lines the console did not take, since it was told last */
    size_t held;      /* how many of the kept lines wait */
    size_t first;     /* of the kept lines, the place of the oldest */
    size_t count;
    struct br_log_line **lines; /* BR_LOG_LINES places, or NULL while there is none */
    /* Hears every line as it is made; NULL: nobody does. */
    void (*listener)(void *context, const struct br_log_line *line);
    void *listener_context;
    /* Another console: hears the lines that pass the level. NULL: there is none. */
    void (*sink)(void *context, const struct br_log_line *line);
    void *sink_context;
    time_t second; /* of `stamp` */
    char stamp[24];
};

/* Starts held. `level` as in enum bruit_trace_level. */
void br_log_init(struct br_log *log, int fd, int level);
void br_log_fini(struct br_log *log);

void br_log(struct br_log *log, int level, const char *component, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Bytes that somebody else chose, cut and escaped for a line of the log. */
#define BR_LOG_SHOWN_MAX 320
const char *br_log_shown(struct bruit_bytes bytes, char out[BR_LOG_SHOWN_MAX]);

/* In the shape of bruit_env.trace, with the log as context. */
void br_log_trace(void *log, const struct bruit_trace_record *record);

/* The held lines go out, and from now on every line does. */
void br_log_release(struct br_log *log);

/* The kept lines, oldest first: index 0, 1, ... until NULL. */
const struct br_log_line *br_log_kept(const struct br_log *log, size_t index);

/* `==> text`, and a detail or an empty line below it. */
void br_log_note(struct br_log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
void br_log_detail(struct br_log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
void br_log_blank(struct br_log *log);

#endif
