/*
 * Draws for crowds; see draw.h.
 */
#include "sim/model/draw.h"

#include "base/check.h"
#include "base/num.h"

#include <string.h>

/* ------------------------------------------------------------------ binomials */

/* Below this many trials, one draw each is the fastest. */
#define COINS_MAX 32
/* Below this mean, stepping through the distribution from 0 is; and the other method is proven from here on. */
#define STEPS_MEAN_MAX 10.0

static uint64_t toss_coins(struct br_rng *rng, uint64_t n, double p)
{
    uint64_t successes = 0;
    while (n-- > 0)
        successes += br_draw_unit(rng) < p;
    return successes;
}

/* Inversion: walks up the probabilities until the draw is used up. Each is a quotient away from the last. */
static uint64_t step_through(struct br_rng *rng, uint64_t n, double p)
{
    double odds = p / (1 - p);
    double none = br_num_exp((double)n * br_num_log(1 - p));
    for (;;) {
        double left = br_draw_unit(rng);
        double probability = none;
        /* With a mean below 10, 120 successes are as good as impossible: only rounding leads there. */
        for (uint64_t x = 0; x <= n && x < 120; x++) {
            if (left < probability)
                return x;
            left -= probability;
            probability *= ((double)(n - x) / (double)(x + 1)) * odds;
        }
    }
}

/* ln(x!) less its Stirling approximation (x + 1/2) ln(x + 1) - (x + 1) + ln(2 pi) / 2, for whole x. */
static double stirling_rest(double x)
{
    static const double small[10] = {
        0.0810614667953272, 0.0413406959554092, 0.0276779256849983, 0.0207906721037650,  0.0166446911898211,
        0.0138761288230707, 0.0118967099458917, 0.0104112652619720, 0.00925546218271273, 0.00833056343336287,
    };
    if (x < 10)
        return small[(unsigned)x];
    double y = 1 / (x + 1), square = y * y;
    return (1.0 / 12 - (1.0 / 360 - square / 1260) * square) * y;
}

/*
 * Hormann's transformed rejection with squeeze ("The generation of binomial random variates", 1993, algorithm
 * BTRS; p <= 1/2 and a mean of at least 10). A hat over the distribution is drawn from with two uniforms, and
 * seven times out of eight accepted without a look at the distribution. The constants are the paper's.
 */
static uint64_t reject(struct br_rng *rng, uint64_t trials, double p)
{
    double n = (double)trials, q = 1 - p, odds = p / q;
    double deviation = br_num_sqrt(n * p * q);
    double b = 1.15 + 2.53 * deviation;
    double a = -0.0873 + 0.0248 * b + 0.01 * p;
    double c = n * p + 0.5;
    double squeeze = 0.92 - 4.2 / b;
    double alpha = (2.83 + 5.1 / b) * deviation;
    double mode = br_num_floor((n + 1) * p);
    for (;;) {
        double u = br_draw_unit(rng) - 0.5;
        double v = 1 - br_draw_unit(rng); /* above 0, for the logarithm */
        double edge = 0.5 - (u < 0 ? -u : u);
        if (edge <= 0)
            continue;
        double x = br_num_floor((2 * a / edge + b) * u + c);
        if (x < 0 || x > n)
            continue;
        if (edge >= 0.07 && v <= squeeze)
            return (uint64_t)x;
        double bound = (mode + 0.5) * br_num_log((mode + 1) / (odds * (n - mode + 1)));
        bound += (n + 1) * br_num_log((n - mode + 1) / (n - x + 1));
        bound += (x + 0.5) * br_num_log(odds * (n - x + 1) / (x + 1));
        bound += stirling_rest(mode) + stirling_rest(n - mode) - stirling_rest(x) - stirling_rest(n - x);
        if (br_num_log(v * alpha / (a / (edge * edge) + b)) <= bound)
            return (uint64_t)x;
    }
}

uint64_t br_draw_binomial(struct br_rng *rng, uint64_t n, double p)
{
    if (n == 0 || !(p > 0))
        return 0;
    if (p >= 1)
        return n;
    if (n <= COINS_MAX)
        return toss_coins(rng, n, p);
    if (p > 0.5)
        return n - br_draw_binomial(rng, n, 1 - p);
    return (double)n * p < STEPS_MEAN_MAX ? step_through(rng, n, p) : reject(rng, n, p);
}

void br_draw_multinomial(struct br_rng *rng, uint64_t n, const double *weights, uint32_t count, uint64_t *out)
{
    double rest = 0;
    uint32_t last = 0; /* that can happen at all: takes what rounding leaves */
    for (uint32_t i = 0; i < count; i++) {
        rest += weights[i];
        last = weights[i] > 0 ? i : last;
    }
    for (uint32_t i = 0; i < count; i++) {
        out[i] = i >= last ? n : br_draw_binomial(rng, n, weights[i] / rest);
        n -= out[i];
        rest -= weights[i];
    }
}

/* ------------------------------------------------------------------ balls */

#define FEW_FACTOR 16

static inline void mark(uint64_t *words, uint32_t box)
{
    words[box / 64] |= UINT64_C(1) << (box % 64);
}

/* Lemire's method, as br_rng_below(), on one half of a draw; false when it has to be drawn again. */
static inline bool below(uint32_t draw, uint32_t n, uint32_t threshold, uint32_t *out)
{
    uint64_t product = (uint64_t)draw * n;
    *out = (uint32_t)(product >> 32);
    return (uint32_t)product >= threshold;
}

/* A whole chunk: each 64 bits name four boxes. */
static void throw_whole(struct br_rng *rng, uint64_t *words, uint64_t balls)
{
    for (; balls >= 4; balls -= 4) {
        uint64_t draw = br_rng_u64(rng);
        mark(words, (uint32_t)(draw & 0xffff));
        mark(words, (uint32_t)(draw >> 16 & 0xffff));
        mark(words, (uint32_t)(draw >> 32 & 0xffff));
        mark(words, (uint32_t)(draw >> 48));
    }
    for (; balls > 0; balls--)
        mark(words, (uint32_t)(br_rng_u64(rng) >> 48));
}

/* Few boxes: 16 bits are enough for one ball, and are drawn again in less than one case of FEW_FACTOR. */
static void throw_few(struct br_rng *rng, uint64_t *words, uint32_t boxes, uint64_t balls)
{
    uint32_t threshold = BR_DRAW_CHUNK % boxes;
    while (balls > 0) {
        uint64_t draw = br_rng_u64(rng);
        for (unsigned i = 0; i < 4 && balls > 0; i++, draw >>= 16) {
            uint32_t product = (uint32_t)(draw & 0xffff) * boxes;
            if (BR_LIKELY((product & 0xffff) >= threshold)) {
                mark(words, product >> 16);
                balls--;
            }
        }
    }
}

static void throw_some(struct br_rng *rng, uint64_t *words, uint32_t boxes, uint64_t balls)
{
    if (boxes == BR_DRAW_CHUNK) {
        throw_whole(rng, words, balls);
        return;
    }
    if (boxes <= BR_DRAW_CHUNK / FEW_FACTOR) {
        throw_few(rng, words, boxes, balls);
        return;
    }
    uint32_t threshold = (0 - boxes) % boxes;
    while (balls > 0) {
        uint64_t draw = br_rng_u64(rng);
        uint32_t first, second;
        if (BR_LIKELY(below((uint32_t)(draw >> 32), boxes, threshold, &first))) {
            mark(words, first);
            balls--;
        }
        if (balls > 0 && BR_LIKELY(below((uint32_t)draw, boxes, threshold, &second))) {
            mark(words, second);
            balls--;
        }
    }
}

/* How many are marked; and unmarks them. */
static uint32_t take_marked(uint64_t *words, uint32_t boxes)
{
    uint32_t marked = 0;
    for (uint32_t i = 0; i < (boxes + 63) / 64; i++) {
        marked += (uint32_t)__builtin_popcountll(words[i]);
        words[i] = 0;
    }
    return marked;
}

/* The next chunk of the boxes that are left, and how many of the balls that are left fall into it. */
static uint32_t next_chunk(struct br_rng *rng, uint32_t boxes_left, uint64_t *balls_left, uint64_t *balls)
{
    if (boxes_left <= BR_DRAW_CHUNK) {
        *balls = *balls_left;
        return boxes_left;
    }
    *balls = br_draw_binomial(rng, *balls_left, (double)BR_DRAW_CHUNK / (double)boxes_left);
    *balls_left -= *balls;
    return BR_DRAW_CHUNK;
}

uint32_t br_draw_hit(struct br_rng *rng, struct br_boxes *boxes, uint32_t box_count, uint64_t balls)
{
    uint32_t hit = 0, chunk;
    uint64_t here;
    if (balls == 0 || box_count == 0)
        return 0;
    if (balls == 1)
        return 1;
    for (uint32_t left = box_count; left > 0; left -= chunk) {
        chunk = next_chunk(rng, left, &balls, &here);
        throw_some(rng, boxes->a, chunk, here);
        hit += take_marked(boxes->a, chunk);
    }
    return hit;
}

/* One group: `size` different boxes, by drawing again what it had already. */
static void throw_group(struct br_rng *rng, uint64_t *words, uint32_t boxes, uint32_t size)
{
    uint32_t had[BR_DRAW_CHUNK / 64];
    BR_ASSERT(size <= sizeof had / sizeof had[0]);
    for (uint32_t i = 0; i < size; i++) {
        uint32_t box, j;
        do {
            box = br_rng_below(rng, boxes);
            for (j = 0; j < i && had[j] != box; j++)
                ;
        } while (j < i);
        had[i] = box;
        mark(words, box);
    }
}

uint32_t br_draw_hit_groups(struct br_rng *rng, struct br_boxes *boxes, uint32_t box_count,
                            const uint64_t *groups, uint32_t size_max)
{
    BR_ASSERT(box_count <= BR_DRAW_CHUNK);
    if (box_count == 0)
        return 0;
    if (size_max >= 1)
        throw_some(rng, boxes->a, box_count, groups[1]);
    for (uint32_t size = 2; size <= size_max; size++) {
        BR_ASSERT(size <= box_count || groups[size] == 0);
        for (uint64_t i = 0; i < groups[size]; i++)
            throw_group(rng, boxes->a, box_count, size);
    }
    return take_marked(boxes->a, box_count);
}

void br_draw_hit_both(struct br_rng *rng, struct br_boxes *boxes, uint32_t box_count, uint64_t balls_a,
                      uint64_t balls_b, uint32_t *a, uint32_t *b)
{
    uint32_t chunk;
    uint64_t here_a, here_b;
    *a = 0;
    *b = 0;
    for (uint32_t left = box_count; left > 0; left -= chunk) {
        chunk = next_chunk(rng, left, &balls_a, &here_a);
        (void)next_chunk(rng, left, &balls_b, &here_b);
        throw_some(rng, boxes->a, chunk, here_a);
        throw_some(rng, boxes->b, chunk, here_b);
        for (uint32_t i = 0; i < (chunk + 63) / 64; i++)
            boxes->b[i] &= ~boxes->a[i];
        *a += take_marked(boxes->a, chunk);
        *b += take_marked(boxes->b, chunk);
    }
}
