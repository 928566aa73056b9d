/* Growing byte buffers; see blob.h. */
#include "agent/blob.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* The first piece of memory taken: most answers and lines fit. Nothing special about 256. */
#define FIRST_SIZE 256

void br_blob_release(struct br_blob *blob)
{
    free(blob->data);
    *blob = BR_BLOB_EMPTY;
}

uint8_t *br_blob_reserve(struct br_blob *blob, size_t extra)
{
    if (blob->failed || extra > SIZE_MAX / 4 - blob->size) {
        blob->failed = true;
        return NULL;
    }
    size_t needed = blob->size + extra;
    if (needed > blob->capacity) {
        size_t capacity = blob->capacity == 0 ? FIRST_SIZE : blob->capacity;
        while (capacity < needed)
            capacity *= 2;
        uint8_t *data = realloc(blob->data, capacity);
        if (data == NULL) {
            blob->failed = true;
            return NULL;
        }
        blob->data = data;
        blob->capacity = capacity;
    }
    return blob->data + blob->size;
}

void br_blob_add(struct br_blob *blob, struct bruit_bytes bytes)
{
    uint8_t *place = bytes.size == 0 ? NULL : br_blob_reserve(blob, bytes.size);
    if (place == NULL)
        return;
    memcpy(place, bytes.data, bytes.size);
    blob->size += bytes.size;
}

void br_blob_trim(struct br_blob *blob)
{
    uint8_t *data = blob->size == 0 ? NULL : realloc(blob->data, blob->size);
    if (data == NULL)
        return; /* it is as large as it was */
    blob->data = data;
    blob->capacity = blob->size;
}

void br_blob_text(struct br_blob *blob, const char *text)
{
    br_blob_add(blob, br_bytes_string(text));
}

void br_blob_printf(struct br_blob *blob, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    uint8_t *place = size < 0 ? NULL : br_blob_reserve(blob, (size_t)size + 1);
    if (place == NULL) {
        blob->failed = true;
        return;
    }
    va_start(arguments, format);
    (void)vsnprintf((char *)place, (size_t)size + 1, format, arguments);
    va_end(arguments);
    blob->size += (size_t)size;
}

void br_blob_consume(struct br_blob *blob, size_t size)
{
    blob->size -= size;
    if (blob->size > 0)
        memmove(blob->data, blob->data + size, blob->size);
}

const char *br_blob_string(struct br_blob *blob)
{
    uint8_t *end = br_blob_reserve(blob, 1);
    if (end == NULL)
        return "";
    *end = 0;
    return (const char *)blob->data;
}

struct br_writer br_blob_writer(struct br_blob *blob, size_t bound)
{
    struct br_writer writer;
    br_writer_init(&writer, br_blob_reserve(blob, bound), bound);
    return writer;
}

void br_blob_written(struct br_blob *blob, const struct br_writer *writer)
{
    if (writer->failed)
        blob->failed = true;
    if (!blob->failed)
        blob->size += br_writer_size(writer);
}
