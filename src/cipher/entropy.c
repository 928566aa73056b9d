/*
 * Entropy from the operating system (<bruit/cipher.h>). Nonces must never repeat under one key, so this
 * and nothing deterministic belongs into a program that talks to others.
 */
#include <bruit/cipher.h>

#include <errno.h>
#include <sys/random.h>

int bruit_entropy_os(void *context, uint8_t *out, size_t size)
{
    (void)context;
    while (size > 0) {
        ssize_t got = getrandom(out, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return BRUIT_EIO;
        out += got;
        size -= (size_t)got;
    }
    return 0;
}
