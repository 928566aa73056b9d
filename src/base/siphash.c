/*
 * SipHash, after section 2 of "SipHash: a fast short-input PRF" (Aumasson and Bernstein, 2012).
 *
 * Four words of state, keyed; each 8 bytes of input (little endian) are xored into v3, c rounds, xored
 * into v0. The last word carries the input's length in its top byte. Then 0xff into v2, and d rounds.
 */
#include "base/siphash.h"

#include <string.h>

struct state {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotl(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

/* Written out so that every compiler makes one load of it on little-endian machines. */
static inline uint64_t load_little(const uint8_t *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
           (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

static inline uint64_t load_little_u32(const uint8_t *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24;
}

static inline void sip_round(struct state *s)
{
    s->v0 += s->v1;
    s->v1 = rotl(s->v1, 13) ^ s->v0;
    s->v0 = rotl(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotl(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotl(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotl(s->v1, 17) ^ s->v2;
    s->v2 = rotl(s->v2, 32);
}

/* The last 0 to 7 bytes, without reading past them: two overlapping loads from 4 bytes up. */
static inline uint64_t load_tail(const uint8_t *p, size_t size)
{
    if (size >= 4)
        return load_little_u32(p) | load_little_u32(p + size - 4) << 8 * (size - 4);
    if (size == 0)
        return 0;
    return (uint64_t)p[0] | (uint64_t)p[size / 2] << 8 * (size / 2) | (uint64_t)p[size - 1] << 8 * (size - 1);
}

static inline uint64_t siphash(const uint8_t key[16], struct bruit_bytes input, int c, int d)
{
    uint64_t k0 = load_little(key);
    uint64_t k1 = load_little(key + 8);
    struct state s = {
        .v0 = k0 ^ UINT64_C(0x736f6d6570736575),
        .v1 = k1 ^ UINT64_C(0x646f72616e646f6d),
        .v2 = k0 ^ UINT64_C(0x6c7967656e657261),
        .v3 = k1 ^ UINT64_C(0x7465646279746573),
    };
    size_t whole = input.size - input.size % 8;
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t m = load_little(input.data + i);
        s.v3 ^= m;
        for (int r = 0; r < c; r++)
            sip_round(&s);
        s.v0 ^= m;
    }
    uint64_t last = (uint64_t)input.size << 56;
    if (input.size != whole)
        last |= load_tail(input.data + whole, input.size - whole);
    s.v3 ^= last;
    for (int r = 0; r < c; r++)
        sip_round(&s);
    s.v0 ^= last;
    s.v2 ^= 0xff;
    for (int r = 0; r < d; r++)
        sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t br_siphash13(const uint8_t key[16], struct bruit_bytes input)
{
    return siphash(key, input, 1, 3);
}

uint64_t br_siphash24(const uint8_t key[16], struct bruit_bytes input)
{
    return siphash(key, input, 2, 4);
}
