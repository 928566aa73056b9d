/* The agent's console and log; see log.h. */
#include "agent/log.h"

#include "agent/blob.h"
#include "agent/value.h"
#include "base/text.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void keep(struct br_log *log, struct br_log_line *line);
static void print_line(struct br_log *log, const struct br_log_line *line);

void br_log_init(struct br_log *log, int fd, int level)
{
    *log = (struct br_log){.fd = fd, .level = level, .is_held = true, .second = -1};
}

void br_log_fini(struct br_log *log)
{
    for (size_t i = 0; log->lines != NULL && i < BR_LOG_LINES; i++)
        free(log->lines[i]);
    free(log->lines);
    log->lines = NULL;
    log->count = 0;
}

/* ------------------------------------------------------------------ making lines */

/* Now, as text; made anew once a second at most. */
static const char *stamp(struct br_log *log)
{
    time_t now = time(NULL);
    struct tm parts;
    if (now != log->second && localtime_r(&now, &parts) != NULL) {
        log->second = now;
        (void)strftime(log->stamp, sizeof log->stamp, "%Y/%m/%d %H:%M:%S", &parts);
    }
    return log->stamp;
}

static void add(struct br_log *log, int level, const char *component, const char *text, size_t text_size)
{
    char head[96];
    int head_size =
        snprintf(head, sizeof head, "%s [%s] %.40s: ", stamp(log), br_level_name(level), component);
    if (head_size < 0)
        return;
    if (text_size > 0 && text[text_size - 1] == '\n')
        text_size--; /* the line has an end of its own */
    if (text_size > BR_LOG_LINE_MAX - (size_t)head_size)
        text_size = BR_LOG_LINE_MAX - (size_t)head_size;
    struct br_log_line *line = malloc(sizeof *line + (size_t)head_size + text_size);
    if (line == NULL)
        return;
    line->level = level;
    line->size = (uint32_t)head_size + (uint32_t)text_size;
    memcpy(line->text, head, (size_t)head_size);
    memcpy(line->text + head_size, text, text_size);
    if (log->listener != NULL)
        log->listener(log->listener_context, line);
    if (log->sink != NULL && level <= log->level)
        log->sink(log->sink_context, line);
    if (!log->is_held)
        print_line(log, line);
    keep(log, line);
}

void br_log(struct br_log *log, int level, const char *component, const char *format, ...)
{
    char text[BR_LOG_LINE_MAX];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (size >= 0)
        add(log, level, component, text, (size_t)size < sizeof text ? (size_t)size : sizeof text - 1);
}

const char *br_log_shown(struct bruit_bytes bytes, char out[BR_LOG_SHOWN_MAX])
{
    struct br_text text;
    br_text_init(&text, out, BR_LOG_SHOWN_MAX);
    br_text_escaped(&text, bytes);
    (void)br_text_end(&text);
    return out;
}

void br_log_trace(void *context, const struct bruit_trace_record *record)
{
    char text[1024]; /* a sentence with a name or two of 255 bytes, escaped, fits nearly always */
    size_t size = bruit_trace_text(record, text, sizeof text);
    add(context, record->level, bruit_trace_component(record), text,
        size < sizeof text ? size : sizeof text - 1);
}

static void keep(struct br_log *log, struct br_log_line *line)
{
    if (log->lines == NULL)
        log->lines = calloc(BR_LOG_LINES, sizeof *log->lines);
    if (log->lines == NULL) {
        free(line);
        return;
    }
    if (log->count == BR_LOG_LINES) {
        free(log->lines[log->first]);
        log->lines[log->first] = NULL;
        log->first = (log->first + 1) % BR_LOG_LINES;
        log->count--;
    }
    log->lines[(log->first + log->count) % BR_LOG_LINES] = line;
    log->count++;
    if (log->is_held && log->held < log->count)
        log->held++;
}

const struct br_log_line *br_log_kept(const struct br_log *log, size_t index)
{
    return index < log->count ? log->lines[(log->first + index) % BR_LOG_LINES] : NULL;
}

void br_log_release(struct br_log *log)
{
    log->is_held = false;
    for (; log->held > 0; log->held--)
        print_line(log, br_log_kept(log, log->count - log->held));
}

/* ------------------------------------------------------------------ the console */

/*
 * Poll says that a pipe is writable when a page of it is free, so a write of at most a page cannot block;
 * on a file it always says so. What does not go out whole within that is lost, and counted.
 */
static bool write_all(struct br_log *log, struct bruit_bytes bytes)
{
    enum { PAGE = 4096 };
    while (bytes.size > 0) {
        struct pollfd console = {.fd = log->fd, .events = POLLOUT};
        if (poll(&console, 1, 0) != 1 || (console.revents & (POLLERR | POLLNVAL)) != 0)
            return false;
        ssize_t size = write(log->fd, bytes.data, bytes.size < PAGE ? bytes.size : PAGE);
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0)
            return false;
        bytes = br_bytes(bytes.data + size, bytes.size - (size_t)size);
    }
    return true;
}

static void print(struct br_log *log, const char *prefix, const char *text, size_t size)
{
    struct br_blob out = BR_BLOB_EMPTY;
    if (log->dropped > 0)
        br_blob_printf(&out, "==> %llu lines were lost because nobody read the console\n",
                       (unsigned long long)log->dropped);
    br_blob_text(&out, prefix);
    br_blob_add(&out, br_bytes(text, size));
    br_blob_text(&out, "\n");
    if (!out.failed && write_all(log, br_blob_bytes(&out)))
        log->dropped = 0;
    else
        log->dropped++;
    br_blob_release(&out);
}

static void print_line(struct br_log *log, const struct br_log_line *line)
{
    if (line->level <= log->level)
        print(log, "    ", line->text, line->size);
}

static void print_formatted(struct br_log *log, const char *prefix, const char *format, va_list arguments)
{
    char text[BR_LOG_LINE_MAX];
    int size = vsnprintf(text, sizeof text, format, arguments);
    if (size >= 0)
        print(log, prefix, text, (size_t)size < sizeof text ? (size_t)size : sizeof text - 1);
}

void br_log_note(struct br_log *log, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_formatted(log, "==> ", format, arguments);
    va_end(arguments);
}

void br_log_detail(struct br_log *log, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_formatted(log, "    ", format, arguments);
    va_end(arguments);
}

void br_log_blank(struct br_log *log)
{
    print(log, "", "", 0);
}
