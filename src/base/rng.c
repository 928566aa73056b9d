/*
 * Seeding and drawing; see rng.h for the generators.
 */
#include "base/rng.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/siphash.h"

/* splitmix64 (Steele, Lea and Flood, 2014), which xoshiro's authors name for filling its state: it is a
 * bijection of a counter, so of its four outputs at most one is zero, and all-zero is the one state
 * xoshiro must not have. */
static uint64_t splitmix(uint64_t *counter)
{
    *counter += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *counter;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void br_rng_init(struct br_rng *rng, uint64_t seed, const char *name)
{
    uint8_t key[16] = {0};
    br_store_u64(key, seed);
    uint64_t counter = br_siphash24(key, br_bytes_string(name));
    for (size_t i = 0; i < 4; i++)
        rng->state[i] = splitmix(&counter);
}

/* Lemire's method (2019): the upper half of a 32 x 32 bit product, with the few products drawn again that
 * would make some results likelier. The upper bits of the generator are the better ones. */
uint32_t br_rng_below(struct br_rng *rng, uint32_t n)
{
    BR_ASSERT(n > 0);
    uint64_t product = (br_rng_u64(rng) >> 32) * n;
    if (BR_UNLIKELY((uint32_t)product < n)) {
        uint32_t threshold = (0 - n) % n;
        while ((uint32_t)product < threshold)
            product = (br_rng_u64(rng) >> 32) * n;
    }
    return (uint32_t)(product >> 32);
}

/* Draws as many bits as n - 1 has until they are below n: two draws on average at worst. */
bruit_time br_rng_time_below(struct br_rng *rng, bruit_time n)
{
    if (n <= 1)
        return 0;
    unsigned shift = 0;
    while ((n - 1) >> (63 - shift) == 0)
        shift++;
    for (;;) {
        bruit_time drawn = br_rng_u64(rng) >> shift;
        if (drawn < n)
            return drawn;
    }
}

/* Fisher and Yates. */
void br_rng_shuffle(struct br_rng *rng, uint32_t *items, uint32_t count)
{
    for (uint32_t left = count; left > 1; left--) {
        uint32_t chosen = br_rng_below(rng, left);
        uint32_t item = items[chosen];
        items[chosen] = items[left - 1];
        items[left - 1] = item;
    }
}
