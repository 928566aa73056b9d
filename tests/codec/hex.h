/*
 * Bytes written as text, for tests: hex("82 a4 4e6f6465 ...") and its inverse.
 *
 * What is returned lives until eight more calls have been made: long enough for one comparison, and no test
 * has to free anything.
 */
#ifndef TEST_HEX_H
#define TEST_HEX_H

#include "base/bytes.h"

#include <stdio.h>
#include <stdlib.h>

#define HEX_SIZE_MAX 65536

static inline int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static inline struct bruit_bytes hex(const char *text)
{
    static uint8_t buffers[8][HEX_SIZE_MAX];
    static unsigned next;
    uint8_t *out = buffers[next++ % 8];
    size_t size = 0;
    while (*text != '\0') {
        if (*text == ' ') {
            text++;
            continue;
        }
        if (hex_digit(text[0]) < 0 || hex_digit(text[1]) < 0 || size == HEX_SIZE_MAX) {
            fprintf(stderr, "bad hex in a test: %.20s\n", text);
            abort();
        }
        out[size++] = (uint8_t)(hex_digit(text[0]) * 16 + hex_digit(text[1]));
        text += 2;
    }
    return br_bytes(out, size);
}

static inline const char *to_hex(struct bruit_bytes bytes)
{
    static char buffers[8][2 * HEX_SIZE_MAX + 1];
    static unsigned next;
    char *out = buffers[next++ % 8];
    for (size_t i = 0; i < bytes.size && i < HEX_SIZE_MAX; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", bytes.data[i]);
    out[2 * bytes.size] = '\0';
    return out;
}

/* What was written into a writer, as text. */
static inline const char *written(const struct br_writer *w)
{
    return w->failed ? "failed" : to_hex(br_writer_bytes(w));
}

#endif
