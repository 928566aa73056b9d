/*
 * The snapshot file: whatever the disk made of it, or somebody wrote there.
 *
 * The first byte says whether we rejoin. What the file says is read, a life adds to it, and the next life must know all
 * of both: nothing that was whole is lost, nothing that was torn begins to count.
 */
#include "fuzz.h"

#include "agent/snapshot.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char path[64];
static struct br_log log_;

static void prepare(void)
{
    /* Where there is one in memory: a snapshot goes to the disk when it is closed. */
    const char *folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    if (path[0] != 0)
        return;
    (void)snprintf(path, sizeof path, "%s/bruit-fuzz-XXXXXX", folder);
    if (mkdtemp(path) == NULL)
        abort();
    strcat(path, "/snapshot");
    br_log_init(&log_, open("/dev/null", O_WRONLY), BRUIT_TRACE_ERROR);
}

static void clean_up(void)
{
    (void)unlink(path);
    *strrchr(path, '/') = 0;
    (void)rmdir(path);
    br_log_fini(&log_);
}

static void write_file(const uint8_t *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size || close(fd) != 0)
        abort();
}

static struct br_snapshot *open_it(bool rejoin)
{
    struct br_snapshot *s = NULL;
    char why[BR_WHY_MAX];
    if (br_snapshot_open(&s, path, rejoin, &log_, why) != 0)
        abort();
    return s;
}

static bool knows(const struct br_snapshot *s, struct bruit_bytes name, const char *addr)
{
    for (size_t i = 0; i < br_snapshot_count(s); i++)
        if (br_bytes_equal(br_snapshot_name(s, i), name))
            return strcmp(br_snapshot_addr(s, i), addr) == 0;
    return false;
}

static void compare(const struct br_snapshot *before, const struct br_snapshot *after)
{
    struct br_snapshot_clocks a = br_snapshot_clocks(before), b = br_snapshot_clocks(after);
    if (a.member != b.member || a.event != b.event || a.query != b.query ||
        br_snapshot_count(before) != br_snapshot_count(after))
        abort();
    for (size_t i = 0; i < br_snapshot_count(before); i++)
        if (!knows(after, br_snapshot_name(before, i), br_snapshot_addr(before, i)))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool is_registered;
    static const struct bruit_addr addr = {.ip = {10, 0, 0, 9}, .port = 7946, .size = 4};
    if (size < 1 || size > 65536)
        return 0;
    prepare();
    if (!is_registered)
        is_registered = atexit(clean_up) == 0;
    bool rejoin = (data[0] & 1) != 0;
    write_file(data + 1, size - 1);
    struct br_snapshot *life = open_it(rejoin);
    uint64_t clock = br_snapshot_clocks(life).member;
    br_snapshot_alive(life, br_bytes_text("fuzz x"), &addr, BRUIT_SECOND);
    if (clock < UINT64_MAX)
        br_snapshot_member_clock(life, clock + 1, BRUIT_SECOND);
    (void)br_snapshot_flush(life, 2 * BRUIT_SECOND);
    struct br_snapshot *next = open_it(rejoin);
    compare(life, next);
    br_snapshot_close(next);
    br_snapshot_close(life);
    return 0;
}
