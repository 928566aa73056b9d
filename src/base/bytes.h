/*
 * Cursors over bytes: the only pointer arithmetic on input in the project.
 *
 * Both cursors have a sticky error. A decoder reads all its fields and asks once, at the end, whether
 * `failed` is set: after the first read past the end every further read gives 0 or empty bytes and
 * leaves the cursor where it is. The writer is the same the other way round: what does not fit sets
 * `failed`, and nothing is written from there on. Numbers are big endian, as everything on this wire.
 */
#ifndef BR_BASE_BYTES_H
#define BR_BASE_BYTES_H

#include <bruit/types.h>

#include <string.h>

/* Borrowed input: at <= end always. */
struct br_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

/* A caller's buffer being filled: start <= at <= end always. */
struct br_writer {
    uint8_t *at;
    uint8_t *end;
    uint8_t *start;
    bool failed;
};

static inline void br_reader_init(struct br_reader *r, struct bruit_bytes input);
static inline void br_reader_fail(struct br_reader *r);
static inline size_t br_reader_left(const struct br_reader *r);
/* What is left, without consuming it. */
static inline struct bruit_bytes br_reader_rest(const struct br_reader *r);
static inline uint8_t br_read_u8(struct br_reader *r);
static inline uint16_t br_read_u16(struct br_reader *r);
static inline uint32_t br_read_u32(struct br_reader *r);
static inline uint64_t br_read_u64(struct br_reader *r);
/* The next byte without consuming it; fails at the end like a read. */
static inline uint8_t br_peek_u8(struct br_reader *r);
/* Exactly `size` bytes, borrowed from the input; empty after failure. */
static inline struct bruit_bytes br_read_bytes(struct br_reader *r, size_t size);

static inline void br_writer_init(struct br_writer *w, uint8_t *buffer, size_t capacity);
static inline void br_writer_fail(struct br_writer *w);
/* Bytes written so far, and bytes that still fit (0 after failure). */
static inline size_t br_writer_size(const struct br_writer *w);
static inline size_t br_writer_room(const struct br_writer *w);
static inline struct bruit_bytes br_writer_bytes(const struct br_writer *w);
static inline void br_write_u8(struct br_writer *w, uint8_t v);
static inline void br_write_u16(struct br_writer *w, uint16_t v);
static inline void br_write_u32(struct br_writer *w, uint32_t v);
static inline void br_write_u64(struct br_writer *w, uint64_t v);
static inline void br_write_bytes(struct br_writer *w, struct bruit_bytes v);
/* Claims `size` bytes for the caller to fill; NULL when they do not fit (and the writer has failed). */
static inline uint8_t *br_write_space(struct br_writer *w, size_t size);
/* Overwrite what was written at `offset` from the start. Out of range fails the writer. */
static inline void br_write_u8_at(struct br_writer *w, size_t offset, uint8_t v);
static inline void br_write_u16_at(struct br_writer *w, size_t offset, uint16_t v);
static inline void br_write_u32_at(struct br_writer *w, size_t offset, uint32_t v);
/* Takes back everything after `offset`, and a failure with it: for "does this one still fit?". */
static inline void br_writer_rewind(struct br_writer *w, size_t offset);

/* Bytes from a pointer and a size; of a string literal; of a zero-terminated string. */
static inline struct bruit_bytes br_bytes(const void *data, size_t size);
#define br_bytes_text(literal) br_bytes("" literal, sizeof(literal) - 1)
static inline struct bruit_bytes br_bytes_string(const char *string);
static inline bool br_bytes_equal(struct bruit_bytes a, struct bruit_bytes b);
/* < 0, 0, > 0 as memcmp over the common length, then the shorter first: Go's order of strings. */
static inline int br_bytes_compare(struct bruit_bytes a, struct bruit_bytes b);
/* Big-endian loads and stores at a place whose size the caller has checked. */
static inline uint16_t br_load_u16(const uint8_t *p);
static inline uint32_t br_load_u32(const uint8_t *p);
static inline uint64_t br_load_u64(const uint8_t *p);
static inline void br_store_u16(uint8_t *p, uint16_t v);
static inline void br_store_u32(uint8_t *p, uint32_t v);
static inline void br_store_u64(uint8_t *p, uint64_t v);

/* ---- bodies ---- */

/* Stands in for NULL, so that no cursor ever computes with a null pointer (undefined, even + 0). */
extern const uint8_t br_bytes_nothing[1];

static inline struct bruit_bytes br_bytes(const void *data, size_t size)
{
    return (struct bruit_bytes){.data = data, .size = size};
}

static inline struct bruit_bytes br_bytes_string(const char *string)
{
    return br_bytes(string, strlen(string));
}

static inline bool br_bytes_equal(struct bruit_bytes a, struct bruit_bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline int br_bytes_compare(struct bruit_bytes a, struct bruit_bytes b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
    if (order != 0)
        return order;
    return (a.size > b.size) - (a.size < b.size);
}

static inline uint16_t br_load_u16(const uint8_t *p)
{
    return (uint16_t)((uint16_t)p[0] << 8 | p[1]);
}

static inline uint32_t br_load_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

static inline uint64_t br_load_u64(const uint8_t *p)
{
    return (uint64_t)p[0] << 56 | (uint64_t)p[1] << 48 | (uint64_t)p[2] << 40 | (uint64_t)p[3] << 32 |
           (uint64_t)p[4] << 24 | (uint64_t)p[5] << 16 | (uint64_t)p[6] << 8 | (uint64_t)p[7];
}

static inline void br_store_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void br_store_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

static inline void br_store_u64(uint8_t *p, uint64_t v)
{
    br_store_u32(p, (uint32_t)(v >> 32));
    br_store_u32(p + 4, (uint32_t)v);
}

static inline void br_reader_init(struct br_reader *r, struct bruit_bytes input)
{
    r->at = input.data == NULL ? br_bytes_nothing : input.data;
    r->end = r->at + (input.data == NULL ? 0 : input.size);
    r->failed = false;
}

/* A failed reader has nothing left, so that the reads below need a single test. */
static inline void br_reader_fail(struct br_reader *r)
{
    r->failed = true;
    r->end = r->at;
}

static inline size_t br_reader_left(const struct br_reader *r)
{
    return (size_t)(r->end - r->at);
}

static inline struct bruit_bytes br_reader_rest(const struct br_reader *r)
{
    return br_bytes(r->at, br_reader_left(r));
}

static inline bool br_reader_has(struct br_reader *r, size_t size)
{
    if (__builtin_expect(br_reader_left(r) >= size, 1))
        return true;
    br_reader_fail(r);
    return false;
}

static inline uint8_t br_peek_u8(struct br_reader *r)
{
    return br_reader_has(r, 1) ? *r->at : 0;
}

static inline uint8_t br_read_u8(struct br_reader *r)
{
    if (!br_reader_has(r, 1))
        return 0;
    return *r->at++;
}

static inline uint16_t br_read_u16(struct br_reader *r)
{
    if (!br_reader_has(r, 2))
        return 0;
    uint16_t v = br_load_u16(r->at);
    r->at += 2;
    return v;
}

static inline uint32_t br_read_u32(struct br_reader *r)
{
    if (!br_reader_has(r, 4))
        return 0;
    uint32_t v = br_load_u32(r->at);
    r->at += 4;
    return v;
}

static inline uint64_t br_read_u64(struct br_reader *r)
{
    if (!br_reader_has(r, 8))
        return 0;
    uint64_t v = br_load_u64(r->at);
    r->at += 8;
    return v;
}

static inline struct bruit_bytes br_read_bytes(struct br_reader *r, size_t size)
{
    if (!br_reader_has(r, size))
        return br_bytes(NULL, 0);
    struct bruit_bytes v = br_bytes(r->at, size);
    r->at += size;
    return v;
}

static inline void br_writer_init(struct br_writer *w, uint8_t *buffer, size_t capacity)
{
    w->start = buffer == NULL ? (uint8_t *)(uintptr_t)br_bytes_nothing : buffer; /* never written */
    w->at = w->start;
    w->end = w->start + (buffer == NULL ? 0 : capacity);
    w->failed = false;
}

static inline void br_writer_fail(struct br_writer *w)
{
    w->failed = true;
}

static inline size_t br_writer_size(const struct br_writer *w)
{
    return (size_t)(w->at - w->start);
}

static inline size_t br_writer_room(const struct br_writer *w)
{
    return w->failed ? 0 : (size_t)(w->end - w->at);
}

static inline struct bruit_bytes br_writer_bytes(const struct br_writer *w)
{
    return br_bytes(w->start, br_writer_size(w));
}

static inline uint8_t *br_write_space(struct br_writer *w, size_t size)
{
    if (__builtin_expect(w->failed || (size_t)(w->end - w->at) < size, 0)) {
        w->failed = true;
        return NULL;
    }
    uint8_t *space = w->at;
    w->at += size;
    return space;
}

static inline void br_write_u8(struct br_writer *w, uint8_t v)
{
    uint8_t *p = br_write_space(w, 1);
    if (p != NULL)
        *p = v;
}

static inline void br_write_u16(struct br_writer *w, uint16_t v)
{
    uint8_t *p = br_write_space(w, 2);
    if (p != NULL)
        br_store_u16(p, v);
}

static inline void br_write_u32(struct br_writer *w, uint32_t v)
{
    uint8_t *p = br_write_space(w, 4);
    if (p != NULL)
        br_store_u32(p, v);
}

static inline void br_write_u64(struct br_writer *w, uint64_t v)
{
    uint8_t *p = br_write_space(w, 8);
    if (p != NULL)
        br_store_u64(p, v);
}

static inline void br_write_bytes(struct br_writer *w, struct bruit_bytes v)
{
    uint8_t *p = br_write_space(w, v.size);
    if (p != NULL && v.size != 0)
        memcpy(p, v.data, v.size);
}

static inline uint8_t *br_writer_at(struct br_writer *w, size_t offset, size_t size)
{
    size_t written = br_writer_size(w);
    if (w->failed || offset > written || written - offset < size) {
        w->failed = true;
        return NULL;
    }
    return w->start + offset;
}

static inline void br_write_u8_at(struct br_writer *w, size_t offset, uint8_t v)
{
    uint8_t *p = br_writer_at(w, offset, 1);
    if (p != NULL)
        *p = v;
}

static inline void br_write_u16_at(struct br_writer *w, size_t offset, uint16_t v)
{
    uint8_t *p = br_writer_at(w, offset, 2);
    if (p != NULL)
        br_store_u16(p, v);
}

static inline void br_write_u32_at(struct br_writer *w, size_t offset, uint32_t v)
{
    uint8_t *p = br_writer_at(w, offset, 4);
    if (p != NULL)
        br_store_u32(p, v);
}

static inline void br_writer_rewind(struct br_writer *w, size_t offset)
{
    if (offset <= br_writer_size(w)) {
        w->at = w->start + offset;
        w->failed = false;
    }
}

#endif
