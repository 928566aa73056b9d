/*
 * The log's second reader: the system's (docs/wire/serf-agent.md section 3.6).
 *
 * Written to its socket without waiting, since the C library's function waits, and a stalled agent is accused by its
 * peers; what the socket does not take is lost, and counted.
 */
#ifndef BR_AGENT_SYSLOG_H
#define BR_AGENT_SYSLOG_H

#include "agent/log.h"
#include "agent/value.h"

struct br_syslog {
    int fd; /* -1: not open */
    int facility;
    const char *path; /* of the socket that was found */
    uint64_t lost;
};

/*
 * `facility` is LOCAL0, DAEMON, ... in any case. `path` is the socket; NULL: where systems have it. Returns 0, or an
 * error with Serf's sentence behind "Syslog setup failed: " in `why`.
 */
int br_syslog_open(struct br_syslog *out, const char *facility, const char *path, char why[BR_WHY_MAX]);
void br_syslog_close(struct br_syslog *syslog);

/* One line of the log, in the shape of br_log.sink. */
void br_syslog_line(void *syslog, const struct br_log_line *line);

#endif
