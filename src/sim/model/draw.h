/*
 * Draws for crowds: what a million independent nodes do in one round, at the price of a few numbers.
 *
 * Nodes in the same state are interchangeable, so the models never ask which node did something, only how many.
 * "How many of n coins fall" is one binomial draw; "how many different nodes do m messages reach" is m balls
 * thrown into boxes, which is done for 65,536 boxes at a time, in a bitset that fits the first cache: it takes a
 * nanosecond a ball and 8 KiB whatever the number of nodes. Both are exact, not approximations for large n.
 * The arithmetic is base/num's, so a seed gives the same result on every machine.
 */
#ifndef BR_SIM_MODEL_DRAW_H
#define BR_SIM_MODEL_DRAW_H

#include "base/rng.h"

#define BR_DRAW_CHUNK 65536u /* boxes thrown at together: 16 bits of a draw name one */

/* A place to throw balls at; all zero between calls. */
struct br_boxes {
    uint64_t a[BR_DRAW_CHUNK / 64];
    uint64_t b[BR_DRAW_CHUNK / 64];
    uint8_t *nodes; /* for a model that must keep nodes apart: 2 bytes for each; else NULL. The caller's */
};

/* Uniform in [0, 1), 53 bits. */
static inline double br_draw_unit(struct br_rng *rng)
{
    return (double)(br_rng_u64(rng) >> 11) * 0x1p-53;
}

/* How many of `n` independent trials succeed, each with probability `p`. */
uint64_t br_draw_binomial(struct br_rng *rng, uint64_t n, double p);

/*
 * Shares `n` out among `count` outcomes of the given weights (whose sum need not be 1): out[i] of them had
 * outcome i.
 */
void br_draw_multinomial(struct br_rng *rng, uint64_t n, const double *weights, uint32_t count,
                         uint64_t *out);

/* How many of `box_count` boxes are hit when `balls` fall, each into any of them. */
uint32_t br_draw_hit(struct br_rng *rng, struct br_boxes *boxes, uint32_t box_count, uint64_t balls);

/*
 * The same for groups of balls that fall into different boxes each, one sender's messages to different nodes:
 * groups[i] of them have i balls, i at most `size_max` and, where there is such a group, `box_count`; and there
 * are at most BR_DRAW_CHUNK boxes.
 */
uint32_t br_draw_hit_groups(struct br_rng *rng, struct br_boxes *boxes, uint32_t box_count,
                            const uint64_t *groups, uint32_t size_max);

/* Two kinds of balls: *a boxes are hit by the first kind, and *b by the second alone. */
void br_draw_hit_both(struct br_rng *rng, struct br_boxes *boxes, uint32_t box_count, uint64_t balls_a,
                      uint64_t balls_b, uint32_t *a, uint32_t *b);

#endif
