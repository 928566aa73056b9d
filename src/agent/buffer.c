/* Growing byte buffers; see buffer.h. */
#include "agent/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* The first piece of memory taken: most answers and lines fit. Nothing special about 256. */
#define FIRST_SIZE 256

void br_buffer_release(struct br_buffer *buffer)
{
    free(buffer->data);
    *buffer = BR_BUFFER_EMPTY;
}

uint8_t *br_buffer_reserve(struct br_buffer *buffer, size_t extra)
{
    if (buffer->failed || extra > SIZE_MAX / 4 - buffer->size) {
        buffer->failed = true;
        return NULL;
    }
    size_t needed = buffer->size + extra;
    if (needed > buffer->capacity) {
        size_t capacity = buffer->capacity == 0 ? FIRST_SIZE : buffer->capacity;
        while (capacity < needed)
            capacity *= 2;
        uint8_t *data = realloc(buffer->data, capacity);
        if (data == NULL) {
            buffer->failed = true;
            return NULL;
        }
        buffer->data = data;
        buffer->capacity = capacity;
    }
    return buffer->data + buffer->size;
}

void br_buffer_add(struct br_buffer *buffer, struct bruit_bytes bytes)
{
    uint8_t *place = bytes.size == 0 ? NULL : br_buffer_reserve(buffer, bytes.size);
    if (place == NULL)
        return;
    memcpy(place, bytes.data, bytes.size);
    buffer->size += bytes.size;
}

void br_buffer_text(struct br_buffer *buffer, const char *text)
{
    br_buffer_add(buffer, br_bytes_string(text));
}

void br_buffer_printf(struct br_buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    uint8_t *place = size < 0 ? NULL : br_buffer_reserve(buffer, (size_t)size + 1);
    if (place == NULL) {
        buffer->failed = true;
        return;
    }
    va_start(arguments, format);
    (void)vsnprintf((char *)place, (size_t)size + 1, format, arguments);
    va_end(arguments);
    buffer->size += (size_t)size;
}

void br_buffer_consume(struct br_buffer *buffer, size_t size)
{
    buffer->size -= size;
    if (buffer->size > 0)
        memmove(buffer->data, buffer->data + size, buffer->size);
}

const char *br_buffer_string(struct br_buffer *buffer)
{
    uint8_t *end = br_buffer_reserve(buffer, 1);
    if (end == NULL)
        return "";
    *end = 0;
    return (const char *)buffer->data;
}

struct br_writer br_buffer_writer(struct br_buffer *buffer, size_t bound)
{
    struct br_writer writer;
    br_writer_init(&writer, br_buffer_reserve(buffer, bound), bound);
    return writer;
}

void br_buffer_written(struct br_buffer *buffer, const struct br_writer *writer)
{
    if (writer->failed)
        buffer->failed = true;
    if (!buffer->failed)
        buffer->size += br_writer_size(writer);
}
