/*
 * The life of shared bytes.
 */
#include "base/buf.h"

#include "base/check.h"

#include <string.h>

struct br_buf *br_buf_space(struct br_alloc *alloc, size_t size)
{
    if (size > UINT32_MAX - sizeof(struct br_buf))
        return NULL;
    struct br_buf *buf = br_alloc_new(alloc, sizeof *buf + size);
    if (buf == NULL)
        return NULL;
    buf->holders = 1;
    buf->size = (uint32_t)size;
    return buf;
}

struct br_buf *br_buf_new(struct br_alloc *alloc, struct bruit_bytes bytes)
{
    struct br_buf *buf = br_buf_space(alloc, bytes.size);
    if (buf != NULL && bytes.size != 0)
        memcpy(buf->data, bytes.data, bytes.size);
    return buf;
}

struct br_buf *br_buf_hold(struct br_buf *buf)
{
    if (buf != NULL) {
        BR_ASSERT(buf->holders > 0 && buf->holders < UINT32_MAX);
        buf->holders++;
    }
    return buf;
}

void br_buf_drop(struct br_alloc *alloc, struct br_buf *buf)
{
    if (buf == NULL)
        return;
    BR_ASSERT(buf->holders > 0);
    if (--buf->holders == 0)
        br_alloc_free(alloc, buf, sizeof *buf + buf->size);
}
