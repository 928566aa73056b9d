/*
 * LZW as Go's standard library writes and reads it in LSB order with 8-bit literals, which is what the
 * compress message holds (docs/wire/memberlist.md section 3.5).
 *
 *     codes 0..255 literals, 256 clear, 257 end, from 258 on learned strings; 9 to 12 bits, least
 *     significant bit first; the last byte is padded with zero bits
 *
 * The decoder takes what any writer of this flavour may produce; the encoder produces Go's bytes exactly.
 * Both work in memory that the caller lends, since neither fits on a small stack, and neither allocates.
 */
#ifndef BR_CODEC_LZW_H
#define BR_CODEC_LZW_H

#include <bruit/error.h>
#include <bruit/types.h>

#define BR_LZW_CODES 4096 /* 12 bits, the widest code */

/*
 * A decoder and what it has learned: 16 KiB. A learned string is a piece of the output already written
 * and the byte that followed it there, so all there is to remember of string k is where it begins: it
 * ends with the byte at which string k + 1 begins. Hence the output must stay together in one buffer.
 */
struct br_lzw_decoder {
    const uint8_t *next; /* first input byte not read */
    const uint8_t *end;
    uint64_t bits; /* read ahead, the next code in the lowest bits */
    uint32_t bit_count;
    uint32_t width;   /* of the next code */
    uint32_t highest; /* the highest code that may come next */
    size_t size;      /* output bytes written */
    uint32_t begin[BR_LZW_CODES + 2];
};

/* Before the first call of br_lzw_decode. `in` is borrowed until the last. */
void br_lzw_decode_begin(struct br_lzw_decoder *decoder, struct bruit_bytes in);

/*
 * Decodes into `out` of `capacity` bytes, in which decoder->size are written already, until the end code.
 * What follows the end code is ignored. Output beyond `capacity` is never written; bytes between
 * decoder->size and `capacity` may be. Returns 0 with the output complete, or
 *   BRUIT_ETOOBIG  the next string does not fit. Call again with a larger buffer that begins with the same
 *                  decoder->size bytes, or give up: that is how a bomb is refused.
 *   BRUIT_EFORMAT  a code that cannot be, or the input ended before the end code.
 */
int br_lzw_decode(struct br_lzw_decoder *decoder, uint8_t *out, size_t capacity);

/*
 * What the encoder has learned: a hash table from (string, next byte) to code, 32 KiB, and what each code
 * stands for, 16 KiB. Small inputs use and clear a small part of it only.
 */
#define BR_LZW_SLOT_BITS 14

struct br_lzw_encoder {
    uint16_t slots[1 << BR_LZW_SLOT_BITS]; /* a code; 0 is free */
    uint32_t learned[BR_LZW_CODES];        /* by code: string << 8 | byte */
};

/* The most that `size` bytes can become: 12 bits each, a clear for each full table, and both ends. */
#define BR_LZW_BOUND(size) ((size) + (size) / 2 + (size) / 2048 + 16)

/*
 * Encodes `in` into `out`. Returns 0 with the size in *out_size, or BRUIT_ETOOBIG as soon as it is
 * certain that `capacity` does not do; with a capacity of the input's size that is how trying to compress
 * noise stays cheap.
 */
int br_lzw_encode(struct br_lzw_encoder *encoder, struct bruit_bytes in, uint8_t *out, size_t capacity,
                  size_t *out_size);

#endif
