/*
 * The compound message, several messages in one packet (docs/wire/memberlist.md section 3.3):
 *
 *     07  count:u8  length[0]:u16 ... length[count-1]:u16  part[0] ... part[count-1]
 *
 * A part is a complete message with its type byte. Parts before a cut are good; bytes after the last are
 * ignored.
 */
#ifndef BR_CODEC_COMPOUND_H
#define BR_CODEC_COMPOUND_H

#include <bruit/error.h>
#include <bruit/types.h>

#define BR_COMPOUND_PARTS_MAX 255

/* Bytes before the parts, type byte included. */
#define BR_COMPOUND_HEAD(count) (2 + 2 * (size_t)(count))

/* A walk over the parts. */
struct br_compound {
    struct bruit_bytes lengths; /* the length table that is left */
    struct bruit_bytes parts;   /* the parts that are left */
};

/*
 * Starts a walk over the body, what follows the type byte: BRUIT_EFORMAT when the length table is
 * incomplete.
 */
int br_compound_begin(struct br_compound *walk, struct bruit_bytes body);

/*
 * The next part, which may be empty: 1 with *part filled, 0 after the last, BRUIT_EFORMAT when the part
 * is cut short: it and everything after it is lost.
 */
int br_compound_next(struct br_compound *walk, struct bruit_bytes *part);

/* Writes type byte, count and lengths: BR_COMPOUND_HEAD(count) bytes. */
void br_compound_write_head(uint8_t *out, const uint16_t *sizes, size_t count);

#endif
