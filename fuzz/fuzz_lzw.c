/*
 * LZW both ways: the input as a compressed stream, decoded at once and in pieces with the same result,
 * and the input as a message, encoded and decoded back.
 */
#include "fuzz.h"

#include "base/bytes.h"
#include "base/check.h"
#include "codec/lzw.h"

#include <stdlib.h>

#define OUT_MAX (1u << 16)
#define IN_MAX (1u << 14)

static struct br_lzw_decoder decoder;
static struct br_lzw_encoder encoder;

/* Into memory of exactly that size, so that a byte too many is found. */
static int decode(struct bruit_bytes in, uint8_t *out, size_t capacity)
{
    br_lzw_decode_begin(&decoder, in);
    return br_lzw_decode(&decoder, out, capacity);
}

static void decode_both_ways(struct bruit_bytes in)
{
    uint8_t *whole = malloc(OUT_MAX);
    int result = decode(in, whole, OUT_MAX);
    size_t size = decoder.size;

    uint8_t *pieces = NULL;
    int again = BRUIT_ETOOBIG;
    br_lzw_decode_begin(&decoder, in);
    for (size_t capacity = 1; again == BRUIT_ETOOBIG && capacity <= OUT_MAX; capacity *= 2) {
        pieces = realloc(pieces, capacity);
        again = br_lzw_decode(&decoder, pieces, capacity);
    }
    BR_ASSERT(again == result);
    BR_ASSERT(decoder.size == size);
    BR_ASSERT(size == 0 || memcmp(whole, pieces, size) == 0);
    free(pieces);
    free(whole);
}

static void round_trip(struct bruit_bytes in)
{
    size_t capacity = BR_LZW_BOUND(in.size);
    uint8_t *packed = malloc(capacity);
    uint8_t *out = malloc(in.size + 1);
    size_t packed_size = 0;
    size_t tight_size = 0;
    BR_ASSERT(br_lzw_encode(&encoder, in, packed, capacity, &packed_size) == 0);
    BR_ASSERT(decode(br_bytes(packed, packed_size), out, in.size) == 0);
    BR_ASSERT(decoder.size == in.size);
    BR_ASSERT(in.size == 0 || memcmp(out, in.data, in.size) == 0);

    uint8_t *tight = malloc(packed_size);
    BR_ASSERT(br_lzw_encode(&encoder, in, tight, packed_size, &tight_size) == 0);
    BR_ASSERT(tight_size == packed_size);
    BR_ASSERT(br_lzw_encode(&encoder, in, tight, packed_size - 1, &tight_size) == BRUIT_ETOOBIG);
    free(tight);
    free(out);
    free(packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bruit_bytes in = br_bytes(data, size < IN_MAX ? size : IN_MAX);
    decode_both_ways(in);
    round_trip(in);
    return 0;
}
