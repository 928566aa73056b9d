/*
 * Immutable bytes with a count of their holders, for what is encoded once and queued in several places.
 */
#ifndef BR_BASE_BUF_H
#define BR_BASE_BUF_H

#include "base/alloc.h"

struct br_buf {
    uint32_t holders;
    uint32_t size;
    uint8_t data[];
};

/* A copy of `bytes`, held once; NULL when there is no memory. */
struct br_buf *br_buf_new(struct br_alloc *alloc, struct bruit_bytes bytes);

/* `size` zeroed bytes, held once, for the caller to fill in before anybody else sees them; or NULL. */
struct br_buf *br_buf_space(struct br_alloc *alloc, size_t size);

/* One more holder. Returns `buf`; NULL stays NULL. */
struct br_buf *br_buf_hold(struct br_buf *buf);

/* One holder less; the last one frees, with the allocator it came from. NULL is fine. */
void br_buf_drop(struct br_alloc *alloc, struct br_buf *buf);

static inline struct bruit_bytes br_buf_bytes(const struct br_buf *buf)
{
    return (struct bruit_bytes){.data = buf == NULL ? NULL : buf->data, .size = buf == NULL ? 0 : buf->size};
}

#endif
