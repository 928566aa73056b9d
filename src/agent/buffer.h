/*
 * Bytes that grow: the answer being built, the bytes that have come in so far, a line of text.
 *
 * Above the engine nothing is accounted, so these take the C library's memory. Running out of it is a sticky
 * error, as in the cursors of base/bytes.h: add everything, look at `failed` once. A buffer that is empty
 * holds no memory after br_buffer_release, which is what connections at rest rely on.
 */
#ifndef BR_AGENT_BUFFER_H
#define BR_AGENT_BUFFER_H

#include "base/bytes.h"

struct br_buffer {
    uint8_t *data;
    size_t size;
    size_t capacity;
    bool failed;
};

#define BR_BUFFER_EMPTY ((struct br_buffer){.data = NULL})

/* Frees what it holds; it is empty, and as good as new, afterwards. */
void br_buffer_release(struct br_buffer *buffer);

/* Room for `extra` bytes behind what is there: the place of the first, or NULL (and `failed`). */
uint8_t *br_buffer_reserve(struct br_buffer *buffer, size_t extra);

void br_buffer_add(struct br_buffer *buffer, struct bruit_bytes bytes);
void br_buffer_text(struct br_buffer *buffer, const char *text);
void br_buffer_printf(struct br_buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Takes away the first `size` bytes. */
void br_buffer_consume(struct br_buffer *buffer, size_t size);

/* The text so far, ended by a zero that does not count; "" when memory ran out. */
const char *br_buffer_string(struct br_buffer *buffer);

/*
 * A msgpack writer over room for `bound` more bytes, and back: what was written becomes part of the buffer.
 * A bound that was too small sets `failed`.
 */
struct br_writer br_buffer_writer(struct br_buffer *buffer, size_t bound);
void br_buffer_written(struct br_buffer *buffer, const struct br_writer *writer);

static inline struct bruit_bytes br_buffer_bytes(const struct br_buffer *buffer)
{
    return br_bytes(buffer->data, buffer->size);
}

#endif
