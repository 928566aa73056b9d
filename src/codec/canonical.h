/*
 * The form in which Go's encoder writes messages, matched straight through.
 *
 * Nearly all that ever arrives has its keys sorted and its numbers and strings in their shortest form. Here
 * such bytes are compared with what they must be, one piece after the other, without looking any key up. A
 * mismatch means nothing but "not this form": the caller then decodes the general way from the start.
 * Whatever both ways accept, they read the same (fuzz/fuzz_memberlist.c compares them).
 */
#ifndef BR_CODEC_CANONICAL_H
#define BR_CODEC_CANONICAL_H

#include "base/bytes.h"
#include "base/check.h"
#include "codec/memberlist.h"

/*
 * Consumes exactly these bytes, or nothing. Headers in the literals are octal, \244 for a4, since a
 * hexadecimal escape would swallow the letters behind it.
 */
#define br_canon_literal(r, literal) br_canon_match((r), (literal), sizeof(literal) - 1)

static inline bool br_canon_match(struct br_reader *r, const char *expected, size_t size)
{
    if (BR_UNLIKELY(br_reader_left(r) < size || memcmp(r->at, expected, size) != 0))
        return false;
    r->at += size;
    return true;
}

/* An unsigned number of at most 32 bits, in any unsigned form. */
static inline bool br_canon_uint(struct br_reader *r, uint32_t *value)
{
    uint8_t first = br_read_u8(r);
    if (first <= 0x7f)
        *value = first;
    else if (first == 0xcd)
        *value = br_read_u16(r);
    else if (first == 0xcc)
        *value = br_read_u8(r);
    else if (first == 0xce)
        *value = br_read_u32(r);
    else
        return false;
    return !r->failed;
}

static inline bool br_canon_u16(struct br_reader *r, uint16_t *value)
{
    uint32_t wide;
    if (!br_canon_uint(r, &wide) || wide > UINT16_MAX)
        return false;
    *value = (uint16_t)wide;
    return true;
}

static inline bool br_canon_u8(struct br_reader *r, uint8_t *value)
{
    uint32_t wide;
    if (!br_canon_uint(r, &wide) || wide > UINT8_MAX)
        return false;
    *value = (uint8_t)wide;
    return true;
}

/* The header of a map of `fields` keys, or of one more of which the first is ours. */
static inline bool br_canon_carries(struct br_reader *r, uint8_t fields, uint8_t *value)
{
    uint8_t first = br_read_u8(r);
    *value = 0;
    if (first == (0x80 | fields))
        return true;
    return first == (0x80 | (fields + 1)) && br_canon_literal(r, "\245Bruit") && br_canon_u8(r, value);
}

/* Text or bytes of the raw family up to 65,535, or nil. */
static inline bool br_canon_bytes(struct br_reader *r, struct bruit_bytes *value)
{
    uint8_t first = br_read_u8(r);
    if (BR_LIKELY((first & 0xe0) == 0xa0))
        *value = br_read_bytes(r, first & 0x1f);
    else if (first == 0xda)
        *value = br_read_bytes(r, br_read_u16(r));
    else if (first == 0xc0)
        *value = br_bytes(NULL, 0);
    else
        return false;
    return !r->failed;
}

/*
 * What an alive message and a push/pull entry have in common: Addr to Port, then State in an entry, then Vsn.
 * `name_key` is the name's key with its header, five bytes.
 */
static inline bool br_canon_identity(struct br_reader *r, const char name_key[5], struct br_alive *out)
{
    return br_canon_literal(r, "\244Addr") && br_canon_bytes(r, &out->addr) &&
           br_canon_literal(r, "\253Incarnation") && br_canon_uint(r, &out->incarnation) &&
           br_canon_literal(r, "\244Meta") && br_canon_bytes(r, &out->meta) &&
           br_canon_match(r, name_key, 5) && br_canon_bytes(r, &out->node) &&
           br_canon_literal(r, "\244Port") && br_canon_u16(r, &out->port);
}

static inline bool br_canon_vsn(struct br_reader *r, struct br_alive *out)
{
    if (!br_canon_literal(r, "\243Vsn\246"))
        return false;
    out->vsn = br_read_bytes(r, BR_VSN_SIZE);
    return !r->failed;
}

#endif
