/*
 * The counter of lives: see generation.h.
 */
#include "agent/generation.h"

#include <bruit/error.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the engine takes at most (<bruit/config.h>). */
#define GENERATION_MAX UINT64_C(0x80000000)

static int fail(const char *what, const char *path, char *why)
{
    (void)snprintf(why, BR_WHY_MAX, "Failed to %s generation file %.600s: %s", what, path, strerror(errno));
    return BRUIT_EIO;
}

static int read_number(const char *path, uint64_t *out, char *why)
{
    char text[32] = "";
    char *end;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    *out = 0;
    if (fd < 0)
        return errno == ENOENT ? 0 : fail("read", path, why);
    ssize_t size = read(fd, text, sizeof text - 1);
    int error = size < 0 ? fail("read", path, why) : 0;
    (void)close(fd);
    if (error != 0)
        return error;
    text[size] = 0;
    *out = strtoull(text, &end, 10);
    if (end != text && strspn(end, " \r\n") == strlen(end) && *out < GENERATION_MAX)
        return 0;
    (void)snprintf(why, BR_WHY_MAX,
                   "Generation file %.600s is not a number below 2^31: write the last one there, or remove the file "
                   "(then the cluster tells us)",
                   path);
    return BRUIT_EINVAL;
}

int br_generation_write(const char *path, uint64_t generation, char why[BR_WHY_MAX])
{
    char beside[4096], text[32];
    int size = snprintf(text, sizeof text, "%" PRIu64 "\n", generation);
    if (snprintf(beside, sizeof beside, "%s.new", path) >= (int)sizeof beside) {
        errno = ENAMETOOLONG;
        return fail("write", path, why);
    }
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return fail("write", beside, why);
    bool is_written = write(fd, text, (size_t)size) == size && fsync(fd) == 0;
    int error = is_written ? 0 : fail("write", beside, why);
    (void)close(fd);
    if (error == 0 && rename(beside, path) != 0)
        error = fail("write", path, why);
    return error;
}

int br_generation_next(const char *path, uint64_t *out, char why[BR_WHY_MAX])
{
    uint64_t last;
    int error = read_number(path, &last, why);
    if (error != 0)
        return error;
    *out = last + 1;
    return br_generation_write(path, *out, why);
}
