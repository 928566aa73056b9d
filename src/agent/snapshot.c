/* The snapshot file; see snapshot.h. */
#include "agent/snapshot.h"

#include "agent/blob.h"
#include "base/siphash.h"
#include "base/table.h"
#include "codec/addr.h"

#include <bruit/cipher.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A name, an address and a keyword need 320 bytes; what is much longer is none of our lines. */
#define LINE_MAX_SIZE 4096

/* Serf's buffer: beyond this, lines do not wait. */
#define BUFFER_SIZE 4096

struct node {
    char addr[BRUIT_ADDR_TEXT_MAX > 280 ? BRUIT_ADDR_TEXT_MAX : 280]; /* a host name may stand there, too */
    uint32_t index;
    size_t name_size;
    uint8_t name[];
};

struct br_snapshot {
    const char *path;
    struct br_log *log;
    int fd; /* -1: lost, after an error */
    bool rejoins;
    bool has_left;
    bool is_cut;    /* the file ends within a line */
    uint64_t whole; /* bytes of the file before that line */
    struct br_snapshot_clocks clocks;
    struct br_blob waiting;
    uint64_t size; /* of the file and of what waits */
    uint64_t compactions;
    bool has_flushed;
    bruit_time flushed;
    bool has_failed;
    bruit_time failed;
    struct br_alloc alloc;
    struct br_table table; /* names to indices of `nodes` */
    uint8_t hash_key[16];
    struct node **nodes;
    uint32_t count, capacity;
};

struct wanted {
    const struct br_snapshot *snapshot;
    struct bruit_bytes name;
};

static int read_file(struct br_snapshot *s, char why[BR_WHY_MAX]);
static void take_line(struct br_snapshot *s, struct bruit_bytes line);
static void append(struct br_snapshot *s, struct br_blob *line, bruit_time now);
static void compact(struct br_snapshot *s, bruit_time now);
static void remember(struct br_snapshot *s, struct bruit_bytes name, const char *addr);
static void forget(struct br_snapshot *s, struct bruit_bytes name);
static void forget_all(struct br_snapshot *s);

/* ------------------------------------------------------------------ from start to end */

static int refuse(const struct br_snapshot *s, const char *what, const char *reason, char why[BR_WHY_MAX])
{
    (void)snprintf(why, BR_WHY_MAX, "Failed to setup snapshot: failed to open snapshot: %s %.400s: %.200s",
                   what, s->path, reason);
    return BRUIT_EIO;
}

static int open_file(struct br_snapshot *s, char why[BR_WHY_MAX])
{
    struct stat status;
    s->fd = open(s->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
    if (s->fd < 0)
        return refuse(s, "open",
                      errno == ENOENT ? "no such file or directory: its folder must exist" : strerror(errno), why);
    if (fstat(s->fd, &status) != 0 || !S_ISREG(status.st_mode))
        return refuse(s, "open", "it is not a file", why);
    s->size = (uint64_t)status.st_size;
    return 0;
}

int br_snapshot_open(struct br_snapshot **out, const char *path, bool rejoin, struct br_log *log,
                     char why[BR_WHY_MAX])
{
    struct br_snapshot *s = calloc(1, sizeof *s);
    if (s == NULL) {
        (void)snprintf(why, BR_WHY_MAX, "Failed to setup snapshot: out of memory");
        return BRUIT_ENOMEM;
    }
    s->path = path;
    s->log = log;
    s->rejoins = rejoin;
    br_alloc_init(&s->alloc, NULL, 0);
    br_table_init(&s->table, &s->alloc);
    (void)bruit_entropy_os(NULL, s->hash_key,
                           sizeof s->hash_key); /* without it names could be made to collide */
    int error = open_file(s, why);
    if (error == 0)
        error = read_file(s, why);
    if (error == 0) {
        *out = s;
        return 0;
    }
    br_snapshot_close(s);
    return error;
}

void br_snapshot_close(struct br_snapshot *s)
{
    if (s == NULL)
        return;
    if (s->fd >= 0) {
        (void)br_snapshot_flush(s, 0);
        (void)fsync(s->fd); /* the process ends: there is nobody left to tell */
        (void)close(s->fd);
    }
    forget_all(s);
    free(s->nodes);
    br_table_fini(&s->table);
    br_blob_release(&s->waiting);
    free(s);
}

struct br_snapshot_clocks br_snapshot_clocks(const struct br_snapshot *s)
{
    return s->clocks;
}

size_t br_snapshot_count(const struct br_snapshot *s)
{
    return s->count;
}

struct bruit_bytes br_snapshot_name(const struct br_snapshot *s, size_t index)
{
    return br_bytes(s->nodes[index]->name, s->nodes[index]->name_size);
}

uint64_t br_snapshot_compactions(const struct br_snapshot *s)
{
    return s->compactions;
}

const char *br_snapshot_addr(const struct br_snapshot *s, size_t index)
{
    return s->nodes[index]->addr;
}

/* ------------------------------------------------------------------ reading */

/* Whole lines only; of one that is too long the end is looked for, and nothing else. */
static void take_lines(struct br_snapshot *s, struct br_blob *text, bool *is_skipping)
{
    size_t done = 0;
    const uint8_t *end;
    while ((end = memchr(text->data + done, '\n', text->size - done)) != NULL) {
        struct bruit_bytes line = br_bytes(text->data + done, (size_t)(end - text->data) - done);
        if (!*is_skipping)
            take_line(s, line);
        *is_skipping = false;
        done += line.size + 1;
    }
    br_blob_consume(text, done);
    if (text->size > LINE_MAX_SIZE) {
        if (!*is_skipping)
            br_log(s->log, BRUIT_TRACE_WARN, "serf", "Unrecognized snapshot line: one of more than %d bytes",
                   LINE_MAX_SIZE);
        *is_skipping = true;
        br_blob_consume(text, text->size);
    }
}

static int read_file(struct br_snapshot *s, char why[BR_WHY_MAX])
{
    struct br_blob text = BR_BLOB_EMPTY;
    bool is_skipping = false;
    uint64_t done = 0;
    ssize_t size = -1;
    for (uint8_t *place; (place = br_blob_reserve(&text, BUFFER_SIZE)) != NULL;) {
        size = read(s->fd, place, BUFFER_SIZE);
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0)
            break;
        const uint8_t *end = memrchr(place, '\n', (size_t)size);
        if (end != NULL)
            s->whole = done + (uint64_t)(end - place) + 1;
        done += (uint64_t)size;
        text.size += (size_t)size;
        take_lines(s, &text, &is_skipping);
    }
    s->is_cut = done > s->whole;
    br_blob_release(&text);
    return size == 0 ? 0 : refuse(s, "read", strerror(errno), why);
}

static bool take_prefix(struct bruit_bytes *line, const char *prefix)
{
    size_t size = strlen(prefix);
    if (line->size < size || memcmp(line->data, prefix, size) != 0)
        return false;
    *line = br_bytes(line->data + size, line->size - size);
    return true;
}

/* An unsigned decimal of 64 bits, with Go's sentence about anything else. */
static void take_clock(struct br_snapshot *s, struct bruit_bytes text, const char *what, uint64_t *clock)
{
    uint64_t value = 0;
    bool is_number = text.size > 0, is_too_large = false;
    char shown[BR_LOG_SHOWN_MAX];
    for (size_t i = 0; i < text.size && is_number; i++) {
        uint8_t digit = (uint8_t)(text.data[i] - '0');
        is_number = digit <= 9;
        if (is_number && value > (UINT64_MAX - digit) / 10)
            is_too_large = true;
        value = value * 10 + digit;
    }
    if (is_number && !is_too_large)
        *clock = value;
    else
        br_log(s->log, BRUIT_TRACE_WARN, "serf",
               "Failed to convert %s time: strconv.ParseUint: parsing \"%s\": %s", what,
               br_log_shown(text, shown), is_number ? "value out of range" : "invalid syntax");
}

static void take_alive(struct br_snapshot *s, struct bruit_bytes line, struct bruit_bytes whole)
{
    char shown[BR_LOG_SHOWN_MAX], addr[sizeof s->nodes[0]->addr];
    const uint8_t *blank = line.size == 0 ? NULL : memrchr(line.data, ' ', line.size);
    size_t name_size = blank == NULL ? 0 : (size_t)(blank - line.data);
    size_t addr_size = blank == NULL ? 0 : line.size - name_size - 1;
    if (blank == NULL || name_size > BRUIT_NAME_MAX || addr_size >= sizeof addr ||
        memchr(blank, 0, addr_size + 1) != NULL) {
        br_log(s->log, BRUIT_TRACE_WARN, "serf", "Failed to parse address: %s", br_log_shown(whole, shown));
        return;
    }
    memcpy(addr, blank + 1, addr_size);
    addr[addr_size] = 0;
    remember(s, br_bytes(line.data, name_size), addr);
}

static void take_line(struct br_snapshot *s, struct bruit_bytes line)
{
    struct bruit_bytes whole = line;
    char shown[BR_LOG_SHOWN_MAX];
    if (take_prefix(&line, "alive: ")) {
        take_alive(s, line, whole);
    } else if (take_prefix(&line, "not-alive: ")) {
        forget(s, line);
    } else if (take_prefix(&line, "clock: ")) {
        take_clock(s, line, "clock", &s->clocks.member);
    } else if (take_prefix(&line, "event-clock: ")) {
        take_clock(s, line, "event clock", &s->clocks.event);
    } else if (take_prefix(&line, "query-clock: ")) {
        take_clock(s, line, "query clock", &s->clocks.query);
    } else if (br_bytes_equal(line, br_bytes_text("leave"))) {
        if (s->rejoins) {
            br_log(s->log, BRUIT_TRACE_INFO, "serf", "Ignoring previous leave in snapshot");
            return;
        }
        forget_all(s);
        s->clocks = (struct br_snapshot_clocks){0};
    } else if (!take_prefix(&line, "coordinate: ") && !take_prefix(&line, "#")) {
        br_log(s->log, BRUIT_TRACE_WARN, "serf", "Unrecognized snapshot line: %s",
               br_log_shown(whole, shown));
    }
}

/* ------------------------------------------------------------------ writing */

static bool write_whole(int fd, struct bruit_bytes bytes)
{
    while (bytes.size > 0) {
        ssize_t size = write(fd, bytes.data, bytes.size);
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0)
            return false;
        bytes = br_bytes(bytes.data + size, bytes.size - (size_t)size);
    }
    return true;
}

/* A file that cannot be written may still be replaced by a shorter one. Not at every line, though. */
static void write_failed(struct br_snapshot *s, bruit_time now)
{
    if (s->has_failed && now - s->failed < BR_SNAPSHOT_RETRY)
        return;
    br_log(s->log, BRUIT_TRACE_ERROR, "serf", "Failed to update snapshot: %s", strerror(errno));
    s->has_failed = true;
    s->failed = now;
    compact(s, now);
}

/*
 * Half a line at the end of the file, of a life that was killed or a disk that was full: it has not counted and must
 * not begin to, as half a `not-alive: n12` would about `n1`. Where it cannot be taken away it is ended at least.
 */
static bool cut_torn_line(struct br_snapshot *s)
{
    if (!s->is_cut)
        return true;
    off_t end = lseek(s->fd, 0, SEEK_END);
    uint64_t size = end < 0 ? 0 : (uint64_t)end;
    if (size <= s->whole) { /* not a byte of it was written, or somebody else has emptied the file */
        s->whole = size;
        return true;
    }
    if (ftruncate(s->fd, (off_t)s->whole) == 0)
        return true;
    if (!write_whole(s->fd, br_bytes_text("\n")))
        return false;
    s->whole = size + 1;
    return true;
}

bool br_snapshot_flush(struct br_snapshot *s, bruit_time now)
{
    if (s->waiting.size == 0)
        return false;
    struct bruit_bytes bytes = br_blob_bytes(&s->waiting);
    bool is_written = s->fd >= 0 && cut_torn_line(s) && write_whole(s->fd, bytes);
    if (is_written)
        s->whole += bytes.size;
    s->waiting.size = 0; /* half a line may be there now */
    s->is_cut = !is_written;
    s->has_flushed = true;
    s->flushed = now;
    if (!is_written)
        write_failed(s, now);
    br_blob_release(&s->waiting);
    return true;
}

static void append(struct br_snapshot *s, struct br_blob *line, bruit_time now)
{
    br_blob_add(&s->waiting, br_blob_bytes(line));
    s->size += line->size;
    s->waiting.failed = false; /* without memory the line is lost: the next life learns it from its peers */
    br_blob_release(line);
    if (!s->has_flushed || now - s->flushed > BR_SNAPSHOT_FLUSH || s->waiting.size > BUFFER_SIZE)
        (void)br_snapshot_flush(s, now);
    size_t room = s->count * BR_SNAPSHOT_NODE_SIZE;
    if (s->size > (room > BR_SNAPSHOT_SIZE_MIN ? room : BR_SNAPSHOT_SIZE_MIN))
        compact(s, now);
}

static void add_name(struct br_blob *line, const char *prefix, struct bruit_bytes name)
{
    br_blob_text(line, prefix);
    br_blob_add(line, name);
}

static bool is_writable(struct bruit_bytes name)
{
    return name.size > 0 && memchr(name.data, '\n', name.size) == NULL;
}

void br_snapshot_alive(struct br_snapshot *s, struct bruit_bytes name, const struct bruit_addr *addr,
                       bruit_time now)
{
    struct br_blob line = BR_BLOB_EMPTY;
    struct bruit_addr shown = br_addr_unmapped(addr);
    char text[BRUIT_ADDR_TEXT_MAX];
    if (s->has_left || !is_writable(name))
        return;
    br_addr_format(&shown, text);
    remember(s, name, text);
    add_name(&line, "alive: ", name);
    br_blob_printf(&line, " %s\n", text);
    append(s, &line, now);
}

void br_snapshot_not_alive(struct br_snapshot *s, struct bruit_bytes name, bruit_time now)
{
    struct br_blob line = BR_BLOB_EMPTY;
    if (s->has_left || !is_writable(name))
        return;
    forget(s, name);
    add_name(&line, "not-alive: ", name);
    br_blob_text(&line, "\n");
    append(s, &line, now);
}

static void append_clock(struct br_snapshot *s, const char *prefix, uint64_t *clock, uint64_t time,
                         bruit_time now)
{
    struct br_blob line = BR_BLOB_EMPTY;
    if (time <= *clock)
        return;
    *clock = time;
    br_blob_printf(&line, "%s%llu\n", prefix, (unsigned long long)time);
    append(s, &line, now);
}

void br_snapshot_member_clock(struct br_snapshot *s, uint64_t time, bruit_time now)
{
    append_clock(s, "clock: ", &s->clocks.member, time, now);
}

void br_snapshot_event_clock(struct br_snapshot *s, uint64_t time, bruit_time now)
{
    if (!s->has_left)
        append_clock(s, "event-clock: ", &s->clocks.event, time, now);
}

void br_snapshot_query_clock(struct br_snapshot *s, uint64_t time, bruit_time now)
{
    if (!s->has_left)
        append_clock(s, "query-clock: ", &s->clocks.query, time, now);
}

/* It must be on the disk: who comes back after all would be a member that had said goodbye. */
void br_snapshot_leave(struct br_snapshot *s, bruit_time now)
{
    struct br_blob line = BR_BLOB_EMPTY;
    if (s->has_left)
        return;
    s->has_left = true;
    if (!s->rejoins)
        forget_all(s);
    br_blob_text(&line, "leave\n");
    append(s, &line, now);
    (void)br_snapshot_flush(s, now);
    if (s->fd >= 0)
        (void)fsync(s->fd); /* best effort: the leave goes on */
}

/* ------------------------------------------------------------------ writing it anew */

static void write_everything(const struct br_snapshot *s, struct br_blob *out)
{
    for (uint32_t i = 0; i < s->count; i++) {
        add_name(out, "alive: ", br_snapshot_name(s, i));
        br_blob_printf(out, " %s\n", s->nodes[i]->addr);
    }
    if (s->has_left)
        br_blob_text(out, "leave\n"); /* Serf forgets it here, and would come back as if it had not left */
    br_blob_printf(out, "clock: %llu\nevent-clock: %llu\nquery-clock: %llu\n",
                   (unsigned long long)s->clocks.member, (unsigned long long)s->clocks.event,
                   (unsigned long long)s->clocks.query);
}

/* The new file beside the old one, on the disk; its descriptor, open for appending, or -1. */
static int write_beside(const char *path, struct bruit_bytes bytes)
{
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    if (fd < 0)
        return -1;
    if (write_whole(fd, bytes) && fsync(fd) == 0)
        return fd;
    int reason = errno;
    (void)close(fd);
    (void)unlink(path); /* half a file is of no use to anybody */
    errno = reason;
    return -1;
}

static void compact(struct br_snapshot *s, bruit_time now)
{
    struct br_blob text = BR_BLOB_EMPTY, path = BR_BLOB_EMPTY;
    br_blob_printf(&path, "%s.compact", s->path);
    write_everything(s, &text);
    const char *beside = br_blob_string(&path);
    int fd = text.failed || path.failed ? -1 : write_beside(beside, br_blob_bytes(&text));
    if (fd >= 0 && rename(beside, s->path) == 0) {
        if (s->fd >= 0)
            (void)close(s->fd);
        s->fd = fd;
        s->size = s->whole = text.size;
        s->is_cut = false;
        s->waiting.size = 0; /* it is all in there */
        s->compactions++;
        s->flushed = now;
    } else {
        br_log(s->log, BRUIT_TRACE_ERROR, "serf", "Failed to compact snapshot: %s", strerror(errno));
        if (fd >= 0)
            (void)close(fd);
        s->size = 0; /* not again before as much has been added once more */
    }
    br_blob_release(&text);
    br_blob_release(&path);
}

/* ------------------------------------------------------------------ whom we know */

static bool is_wanted(const void *context, uint32_t index)
{
    const struct wanted *wanted = context;
    return br_bytes_equal(wanted->name, br_snapshot_name(wanted->snapshot, index));
}

static uint32_t find(const struct br_snapshot *s, struct bruit_bytes name)
{
    struct wanted wanted = {.snapshot = s, .name = name};
    return br_table_find(&s->table, br_siphash13(s->hash_key, name), is_wanted, &wanted);
}

static bool reserve_place(struct br_snapshot *s)
{
    if (s->count == s->capacity) {
        uint32_t capacity = s->capacity == 0 ? 8 : s->capacity * 2;
        struct node **nodes = realloc(s->nodes, capacity * sizeof *nodes);
        if (nodes == NULL)
            return false;
        s->nodes = nodes;
        s->capacity = capacity;
    }
    return br_table_reserve(&s->table, 1) == 0;
}

static void remember(struct br_snapshot *s, struct bruit_bytes name, const char *addr)
{
    uint32_t index = find(s, name);
    if (index == BR_TABLE_NONE && s->count < BR_SNAPSHOT_NODES_MAX && reserve_place(s)) {
        struct node *node = calloc(1, sizeof *node + name.size);
        if (node == NULL)
            return;
        index = node->index = s->count;
        node->name_size = name.size;
        if (name.size > 0)
            memcpy(node->name, name.data, name.size);
        s->nodes[s->count++] = node;
        br_table_insert(&s->table, br_siphash13(s->hash_key, name), index);
    }
    if (index != BR_TABLE_NONE)
        (void)snprintf(s->nodes[index]->addr, sizeof s->nodes[index]->addr, "%s", addr);
}

/* The last one takes its place. */
static void forget(struct br_snapshot *s, struct bruit_bytes name)
{
    uint32_t index = find(s, name);
    if (index == BR_TABLE_NONE)
        return;
    struct node *node = s->nodes[index], *last = s->nodes[s->count - 1];
    (void)br_table_remove(&s->table, br_siphash13(s->hash_key, name), index);
    if (last != node) {
        struct bruit_bytes moved = br_bytes(last->name, last->name_size);
        (void)br_table_replace(&s->table, br_siphash13(s->hash_key, moved), last->index, index);
        last->index = index;
        s->nodes[index] = last;
    }
    s->count--;
    free(node);
}

static void forget_all(struct br_snapshot *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        free(s->nodes[i]);
    s->count = 0;
    br_table_fini(&s->table);
    br_table_init(&s->table, &s->alloc);
}
