/* Lines for the system's log; see syslog.h. */
#include "agent/syslog.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* RFC 5424, table 1, in its order. */
static const char *const facilities[] = {
    "KERN",   "USER",   "MAIL",     "DAEMON", "AUTH",   "SYSLOG",   "LPR",      "NEWS",
    "UUCP",   "CRON",   "AUTHPRIV", "FTP",    "NTP",    "LOGAUDIT", "LOGALERT", "CLOCK",
    "LOCAL0", "LOCAL1", "LOCAL2",   "LOCAL3", "LOCAL4", "LOCAL5",   "LOCAL6",   "LOCAL7",
};

/* ERR to error, WARN to warning, INFO to notice, DEBUG to info, TRACE to debug: Serf's choice. */
static const int severities[] = {
    [BRUIT_TRACE_OFF] = 7,  [BRUIT_TRACE_ERROR] = 3, [BRUIT_TRACE_WARN] = 4,
    [BRUIT_TRACE_INFO] = 5, [BRUIT_TRACE_DEBUG] = 6, [BRUIT_TRACE_TRACE] = 7,
};

static int dial(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof addr.sun_path)
        return -1;
    memcpy(addr.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&addr, sizeof addr) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

int br_syslog_open(struct br_syslog *out, const char *facility, const char *path, char why[BR_WHY_MAX])
{
    static const char *const usual[] = {"/dev/log", "/var/run/syslog", "/var/run/log"};
    *out = (struct br_syslog){.fd = -1, .facility = -1};
    for (size_t i = 0; i < sizeof facilities / sizeof facilities[0]; i++)
        if (strcasecmp(facility, facilities[i]) == 0)
            out->facility = (int)i;
    if (out->facility < 0) {
        (void)snprintf(why, BR_WHY_MAX, "invalid syslog facility: %.60s", facility);
        return BRUIT_EINVAL;
    }
    for (size_t i = 0; i < sizeof usual / sizeof usual[0] && out->fd < 0; i++) {
        out->path = path == NULL ? usual[i] : path;
        out->fd = dial(out->path);
    }
    if (out->fd >= 0)
        return 0;
    (void)snprintf(why, BR_WHY_MAX, "Unix syslog delivery error: start a syslog daemon, or do without -syslog");
    return BRUIT_EIO;
}

void br_syslog_close(struct br_syslog *syslog)
{
    if (syslog->fd >= 0)
        (void)close(syslog->fd);
    syslog->fd = -1;
}

/* What follows "[LEVEL] " in a line. */
static struct bruit_bytes message_of(const struct br_log_line *line)
{
    const char *at = memmem(line->text, line->size, "] ", 2);
    size_t head = at == NULL ? 0 : (size_t)(at + 2 - line->text);
    return br_bytes(line->text + head, line->size - head);
}

void br_syslog_line(void *context, const struct br_log_line *line)
{
    struct br_syslog *syslog = context;
    struct bruit_bytes text = message_of(line);
    char packet[BR_LOG_LINE_MAX + 96], stamp[32];
    time_t now = time(NULL);
    struct tm parts;
    if (localtime_r(&now, &parts) == NULL || strftime(stamp, sizeof stamp, "%b %e %H:%M:%S", &parts) == 0)
        return;
    int level =
        line->level >= BRUIT_TRACE_OFF && line->level <= BRUIT_TRACE_TRACE ? line->level : BRUIT_TRACE_TRACE;
    int size =
        snprintf(packet, sizeof packet, "<%d>%s serf[%ld]: %.*s", syslog->facility * 8 + severities[level],
                 stamp, (long)getpid(), (int)text.size, (const char *)text.data);
    if (size <= 0)
        return;
    if ((size_t)size >= sizeof packet)
        size = (int)sizeof packet - 1;
    ssize_t sent = send(syslog->fd, packet, (size_t)size, MSG_NOSIGNAL);
    if (sent < 0 && (errno == ECONNREFUSED || errno == ENOTCONN || errno == ECONNRESET || errno == EBADF)) {
        br_syslog_close(syslog); /* it was started anew */
        syslog->fd = dial(syslog->path);
        sent = syslog->fd < 0 ? -1 : send(syslog->fd, packet, (size_t)size, MSG_NOSIGNAL);
    }
    if (sent < 0)
        syslog->lost++;
}
