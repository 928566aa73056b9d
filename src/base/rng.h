/*
 * Named streams of random numbers from one seed.
 *
 * Each user has a stream of its own, named after what it is for ("probe", "gossip"): an extra draw in
 * one place then does not reshuffle the rest of the world, and a recorded run stays comparable. The
 * generator is xoshiro256** (Blackman and Vigna, 2018), its state filled by splitmix64 from
 * SipHash-2-4(seed, name). Nothing secret: nonces come from env.entropy.
 */
#ifndef BR_BASE_RNG_H
#define BR_BASE_RNG_H

#include <bruit/types.h>

struct br_rng {
    uint64_t state[4];
};

/* Streams of one seed and different names are independent; the same pair gives the same stream. */
void br_rng_init(struct br_rng *rng, uint64_t seed, const char *name);

/* Any 64 bits. */
static inline uint64_t br_rng_u64(struct br_rng *rng);

/* Uniform, without bias, in [0, n); n > 0. */
uint32_t br_rng_below(struct br_rng *rng, uint32_t n);

/* Uniform in [0, n), for spans of time; n = 0 gives 0. */
bruit_time br_rng_time_below(struct br_rng *rng, bruit_time n);

/* Puts `count` items into an order drawn uniformly. */
void br_rng_shuffle(struct br_rng *rng, uint32_t *items, uint32_t count);

/* ---- bodies ---- */

static inline uint64_t br_rotl64(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static inline uint64_t br_rng_u64(struct br_rng *rng)
{
    uint64_t *s = rng->state;
    uint64_t result = br_rotl64(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = br_rotl64(s[3], 45);
    return result;
}

#endif
