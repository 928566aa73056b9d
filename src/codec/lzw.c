/*
 * LZW, least significant bit first, 8-bit literals (lzw.h).
 *
 * Both directions count codes the same way: after each data code the highest code in use goes up by one,
 * from 257 after a clear; when it reaches 512, 1024 or 2048 the next code is one bit wider. The decoder
 * lags one string behind the encoder, because it learns the last byte of a string only from the code that
 * follows. Encoders clear at 4095; decoders must also bear one that does not: then nothing more is
 * learned, and the width stays 12.
 */
#include "codec/lzw.h"

#include "base/bytes.h"
#include "base/check.h"

enum {
    CODE_CLEAR = 256,
    CODE_END = 257,
    WIDTH_FIRST = 9,
    WIDTH_MAX = 12,
    ENCODER_FULL = 4095, /* Go's encoder never uses the last code: it clears instead */
};

static uint64_t load_little(const uint8_t *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
           (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

static void store_little(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)(v >> 16);
    p[3] = (uint8_t)(v >> 24);
}

/* ---- decoding ---------------------------------------------------------------------------------------- */

void br_lzw_decode_begin(struct br_lzw_decoder *d, struct bruit_bytes in)
{
    d->next = in.size == 0 ? br_bytes_nothing : in.data;
    d->end = d->next + in.size;
    d->bits = 0;
    d->bit_count = 0;
    d->width = WIDTH_FIRST;
    d->highest = CODE_END;
    d->size = 0;
}

/*
 * Reads ahead as many whole bytes as fit. What is read ahead twice is the same bits twice: OR does no
 * harm.
 */
static inline void refill(struct br_lzw_decoder *d)
{
    if (d->end - d->next >= 8) {
        d->bits |= load_little(d->next) << d->bit_count;
        d->next += (63 - d->bit_count) >> 3;
        d->bit_count |= 56;
        return;
    }
    while (d->bit_count <= 56 && d->next < d->end) {
        d->bits |= (uint64_t)*d->next++ << d->bit_count;
        d->bit_count += 8;
    }
}

/*
 * Writes a learned string of `size` bytes, which begins at `from` in the output, at the output's end
 * `to`. The string being learned right now ends with its own first byte, which is the first one written
 * here: hence the last byte is copied last. Everything before it lies before `to`, so pieces of eight
 * never overtake themselves; the pieces may spill over the string's end if there is room.
 */
static inline void copy_string(uint8_t *to, const uint8_t *from, size_t size, size_t room)
{
    if (BR_LIKELY(room >= size + 8)) {
        for (size_t i = 0; i < size; i += 8)
            memcpy(to + i, from + i, 8);
        to[size - 1] = from[size - 1];
        return;
    }
    for (size_t i = 0; i < size; i++)
        to[i] = from[i];
}

/*
 * begin[highest + 1] is where the string of the code at hand begins. That is all the learning there is:
 * string k runs from begin[k] to begin[k + 1], both included, and k is `highest` while its last byte is
 * being learned. Once the table is full the entry behind its end is written again and again, and read by
 * nobody.
 */
int br_lzw_decode(struct br_lzw_decoder *decoder, uint8_t *out, size_t capacity)
{
    BR_ASSERT(capacity <= UINT32_MAX);
    BR_ASSERT(decoder->size <= capacity);
    uint32_t *begin = decoder->begin;
    uint32_t width = decoder->width;
    uint32_t highest = decoder->highest;
    size_t size = decoder->size;
    int result;

    for (;;) {
        if (decoder->bit_count < width)
            refill(decoder);
        if (BR_UNLIKELY(decoder->bit_count < width)) {
            result = BRUIT_EFORMAT;
            break;
        }
        uint32_t code = (uint32_t)decoder->bits & ((1u << width) - 1);

        begin[highest + 1] = (uint32_t)size;
        if (code < CODE_CLEAR) {
            if (BR_UNLIKELY(size == capacity)) {
                result = BRUIT_ETOOBIG;
                break;
            }
            out[size++] = (uint8_t)code;
        } else if (BR_LIKELY(code > CODE_END)) {
            if (BR_UNLIKELY(code > highest)) {
                result = BRUIT_EFORMAT;
                break;
            }
            size_t string_size = begin[code + 1] - begin[code] + 1;
            if (BR_UNLIKELY(string_size > capacity - size)) {
                result = BRUIT_ETOOBIG;
                break;
            }
            copy_string(out + size, out + begin[code], string_size, capacity - size);
            size += string_size;
        } else if (code == CODE_END) {
            result = 0;
            break;
        }
        decoder->bits >>= width;
        decoder->bit_count -= width;
        if (BR_UNLIKELY(code == CODE_CLEAR)) {
            width = WIDTH_FIRST;
            highest = CODE_END;
        } else if (highest < BR_LZW_CODES) {
            highest++;
            if (highest >> width != 0 && width < WIDTH_MAX)
                width++;
        }
    }
    decoder->width = width;
    decoder->highest = highest;
    decoder->size = size;
    return result;
}

/* ---- encoding ---------------------------------------------------------------------------------------- */

/* Codes being packed into bytes. */
struct packer {
    uint8_t *at;
    uint8_t *end;
    uint64_t bits;
    uint32_t bit_count;
};

/* False when there is no room for bytes that are certain by now. */
static inline bool put(struct packer *p, uint32_t code, uint32_t width)
{
    p->bits |= (uint64_t)code << p->bit_count;
    p->bit_count += width;
    if (p->bit_count < 32)
        return true;
    if (BR_UNLIKELY(p->end - p->at < 4))
        return false;
    store_little(p->at, (uint32_t)p->bits);
    p->at += 4;
    p->bits >>= 32;
    p->bit_count -= 32;
    return true;
}

static bool flush(struct packer *p)
{
    for (; p->bit_count > 0; p->bits >>= 8) {
        if (p->at == p->end)
            return false;
        *p->at++ = (uint8_t)p->bits;
        p->bit_count -= p->bit_count < 8 ? p->bit_count : 8;
    }
    return true;
}

/*
 * Bits of the slot's number: four slots for each code that `size` bytes can teach, so that hardly two strings
 * meet; the smaller the table, the less there is to clear, and the more of it stays in the first cache.
 */
static uint32_t slot_bits(size_t size)
{
    uint32_t bits = 10;

    while (bits < BR_LZW_SLOT_BITS && (size_t)1 << bits < 4 * (size + CODE_END + 1))
        bits++;
    return bits;
}

/*
 * Slot for `string` followed by `byte`. The byte's share does not wait for the string's, which comes out
 * of the slot before: that load is what the speed of the encoder hangs on, so next to nothing is done
 * between one and the next.
 */
static inline uint32_t slot_of(uint32_t string, uint32_t byte, uint32_t bits)
{
    return (byte * UINT32_C(0x9e3779b1) >> (32 - bits)) ^ string << 2;
}

/* Emits the code of the string at hand, and counts the next one as learned. */
static inline bool emit(struct packer *p, uint32_t string, uint32_t *highest, uint32_t *width)
{
    if (BR_UNLIKELY(!put(p, string, *width)))
        return false;
    ++*highest;
    *width += *highest >> *width != 0;
    return *highest != ENCODER_FULL || put(p, CODE_CLEAR, *width);
}

int br_lzw_encode(struct br_lzw_encoder *encoder, struct bruit_bytes in, uint8_t *out, size_t capacity,
                  size_t *out_size)
{
    uint16_t *slots = encoder->slots;
    uint32_t *learned = encoder->learned;
    uint32_t bits = slot_bits(in.size);
    uint32_t count = 1u << bits;
    uint32_t width = WIDTH_FIRST;
    uint32_t highest = CODE_END;
    struct packer p = {.at = out, .end = out + capacity};

    memset(slots, 0, count * sizeof *slots);
    learned[0] = UINT32_MAX; /* a free slot holds no string: one comparison tells both */
    bool fits = put(&p, CODE_CLEAR, width);
    uint32_t string = in.size > 0 ? in.data[0] : 0;
    for (size_t i = 1; i < in.size; i++) {
        uint32_t byte = in.data[i];
        uint32_t key = string << 8 | byte;
        uint32_t slot = slot_of(string, byte, bits);
        uint32_t code = slots[slot];

        while (learned[code] != key && code != 0) {
            slot = (slot + 1) & (count - 1);
            code = slots[slot];
        }
        if (code != 0) {
            string = code;
            continue;
        }
        if (!emit(&p, string, &highest, &width))
            return BRUIT_ETOOBIG;
        string = byte;
        if (BR_UNLIKELY(highest == ENCODER_FULL)) {
            width = WIDTH_FIRST;
            highest = CODE_END;
            memset(slots, 0, count * sizeof *slots);
        } else {
            slots[slot] = (uint16_t)highest;
            learned[highest] = key;
        }
    }
    if (in.size > 0)
        fits = fits && emit(&p, string, &highest, &width);
    if (highest == ENCODER_FULL)
        width = WIDTH_FIRST;
    if (!fits || !put(&p, CODE_END, width) || !flush(&p))
        return BRUIT_ETOOBIG;
    *out_size = (size_t)(p.at - out);
    return 0;
}
