/*
 * Bytes that grow: the answer being built, the bytes that have come in so far, a line of text.
 *
 * Above the engine nothing is accounted, so these take the C library's memory. Running out of it is a sticky
 * error, as in the cursors of base/bytes.h: add everything, look at `failed` once. A blob that is empty
 * holds no memory after br_blob_release, which is what connections at rest rely on.
 */
#ifndef BR_AGENT_BLOB_H
#define BR_AGENT_BLOB_H

#include "base/bytes.h"

struct br_blob {
    uint8_t *data;
    size_t size;
    size_t capacity;
    bool failed;
};

#define BR_BLOB_EMPTY ((struct br_blob){.data = NULL})

/* Frees what it holds; it is empty, and as good as new, afterwards. */
void br_blob_release(struct br_blob *blob);

/* Room for `extra` bytes behind what is there: the place of the first, or NULL (and `failed`). */
uint8_t *br_blob_reserve(struct br_blob *blob, size_t extra);

void br_blob_add(struct br_blob *blob, struct bruit_bytes bytes);
void br_blob_text(struct br_blob *blob, const char *text);
void br_blob_printf(struct br_blob *blob, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Takes away the first `size` bytes. */
void br_blob_consume(struct br_blob *blob, size_t size);

/* Gives back the room that is not used: for what is to wait. */
void br_blob_trim(struct br_blob *blob);

/* The text so far, ended by a zero that does not count; "" when memory ran out. */
const char *br_blob_string(struct br_blob *blob);

/*
 * A msgpack writer over room for `bound` more bytes, and back: what was written becomes part of the blob.
 * A bound that was too small sets `failed`.
 */
struct br_writer br_blob_writer(struct br_blob *blob, size_t bound);
void br_blob_written(struct br_blob *blob, const struct br_writer *writer);

static inline struct bruit_bytes br_blob_bytes(const struct br_blob *blob)
{
    return br_bytes(blob->data, blob->size);
}

#endif
