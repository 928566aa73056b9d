/*
 * Portable arithmetic, in IEEE doubles and in a fixed order of operations.
 *
 * Each operation below is rounded once, to double, by the standard; nothing else is allowed to happen:
 * no fused multiply-add, no wider registers, no reordering. The build sets -ffp-contract=off; this file
 * refuses what it can see.
 */
#include "base/num.h"

#include "base/time.h"

#include <float.h>
#include <string.h>

#if defined(__FAST_MATH__)
#error "br_num needs IEEE arithmetic: build without -ffast-math"
#endif
#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD != 0
#error "br_num needs doubles evaluated as doubles: on i386 build with -msse2 -mfpmath=sse"
#endif
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("-ffp-contract=off")
#endif

_Static_assert(sizeof(double) == 8 && DBL_MANT_DIG == 53, "br_num needs IEEE 754 doubles");

/* ln 2 = HIGH + LOW; HIGH has so few significant bits that k * HIGH is exact for every exponent k. */
#define LN2_HIGH 0x1.62e42fee00000p-1
#define LN2_LOW 0x1.a39ef35793c76p-33

/* Written out as doubles, since a quotient of two rounded constants may round differently. */
#define ONE_OVER_LN2 1.44269504088896340735992468100189214
#define LN2_OVER_LN10 0.301029995663981195213738894724493027
#define SQRT_HALF 0.707106781186547524400844362104849039

#define NS_PER_SECOND 1000000000

static double split(double x, int *exponent);
static double power_of_two(int exponent);
static double seconds(bruit_time duration);

uint32_t br_num_retransmit_limit(uint32_t mult, uint32_t n)
{
    /* At most 10 for any n: the product is cut only for a mult nobody means. */
    double scale = br_num_ceil(br_num_log10((double)n + 1.0));
    uint64_t limit = (uint64_t)mult * (uint64_t)scale;
    return limit > UINT32_MAX ? UINT32_MAX : (uint32_t)limit;
}

bruit_time br_num_suspicion_timeout(uint32_t mult, uint32_t n, bruit_time probe_interval_ns)
{
    double scale = n <= 1 ? 1.0 : br_num_log10((double)n);
    if (scale < 1.0)
        scale = 1.0;
    /* Whole thousandths, cut: log10(1000), which comes out just below 3, counts as 2.999. */
    uint64_t milli_scale = (uint64_t)(scale * 1000.0);
    bruit_time timeout = br_time_mul(br_time_mul(probe_interval_ns, milli_scale), mult);
    return timeout == BRUIT_NEVER ? BRUIT_NEVER : timeout / 1000;
}

bruit_time br_num_push_pull_scale(bruit_time interval_ns, uint32_t n)
{
    if (n <= 32)
        return interval_ns;
    double doublings = br_num_ceil(br_num_log2((double)n) - 5.0);
    return br_time_mul(interval_ns, (uint64_t)doublings + 1);
}

int64_t br_num_remaining_suspicion(uint32_t confirmations, uint32_t k, bruit_time elapsed_ns,
                                   bruit_time min_ns, bruit_time max_ns)
{
    /* Some 146 years: keeps every sum and difference below in range. */
    const bruit_time limit = INT64_MAX / 2;
    int64_t elapsed = (int64_t)br_time_min(elapsed_ns, limit);
    int64_t min = (int64_t)br_time_min(min_ns, limit);
    if (k == 0)
        return min - elapsed;
    double max_seconds = seconds(br_time_min(max_ns, limit));
    double min_seconds = seconds((bruit_time)min);
    double fraction = br_num_log((double)confirmations + 1.0) / br_num_log((double)k + 1.0);
    double spent = fraction * (max_seconds - min_seconds);
    double milliseconds = br_num_floor((max_seconds - spent) * 1000.0);
    if (!(milliseconds > 0.0))
        return min - elapsed;
    bruit_time timeout = br_time_mul((uint64_t)milliseconds, BRUIT_MILLISECOND);
    int64_t bounded = (int64_t)br_time_min(timeout, limit);
    return (bounded < min ? min : bounded) - elapsed;
}

/* Whole seconds and the rest are converted apart: what Go's Duration.Seconds rounds to. */
static double seconds(bruit_time duration)
{
    double whole = (double)(duration / NS_PER_SECOND);
    double rest = (double)(duration % NS_PER_SECOND) / 1e9;
    return whole + rest;
}

static double double_of_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint64_t bits_of_double(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double infinity(void)
{
    return double_of_bits(UINT64_C(0x7ff0000000000000));
}

static double not_a_number(void)
{
    return double_of_bits(UINT64_C(0x7ff8000000000000));
}

/*
 * ln x = k ln 2 + ln(1 + f) with 1 + f in [sqrt 1/2, sqrt 2), and with s = f / (2 + f)
 * ln(1 + f) = 2 artanh s = 2 s + s R(s^2). R is the minimax polynomial of the freely distributable libm
 * (Sun, 1993), odd and even terms summed apart. Coefficients and order of operations are theirs because
 * Go's are: the formulas above have to fall on the same side of an integer as a Go peer's do.
 */
double br_num_log(double x)
{
    if (x != x || x == infinity())
        return x;
    if (x < 0.0)
        return not_a_number();
    if (x == 0.0)
        return -infinity();
    int exponent;
    double fraction = split(x, &exponent);
    if (fraction < SQRT_HALF) {
        fraction = fraction * 2.0;
        exponent--;
    }
    double f = fraction - 1.0;
    double k = (double)exponent;
    double s = f / (2.0 + f);
    double s2 = s * s;
    double s4 = s2 * s2;

    double odd = 0x1.2f112df3e5244p-3;
    odd = 0x1.7466496cb03dep-3 + s4 * odd;
    odd = 0x1.2492494229359p-2 + s4 * odd;
    odd = 0x1.5555555555593p-1 + s4 * odd;
    double even = 0x1.39a09d078c69fp-3;
    even = 0x1.c71c51d8e78afp-3 + s4 * even;
    even = 0x1.999999997fa04p-2 + s4 * even;
    double r = s2 * odd + s4 * even;

    double half_f2 = 0.5 * f * f;
    return k * LN2_HIGH - ((half_f2 - (s * (half_f2 + r) + k * LN2_LOW)) - f);
}

/* Exact for powers of two. */
double br_num_log2(double x)
{
    if (!(x > 0.0) || x == infinity())
        return br_num_log(x);
    int exponent;
    double fraction = split(x, &exponent);
    if (fraction == 0.5)
        return (double)(exponent - 1);
    return br_num_log(fraction) * ONE_OVER_LN2 + (double)exponent;
}

double br_num_log10(double x)
{
    return br_num_log2(x) * LN2_OVER_LN10;
}

/*
 * e^x = 2^k e^r, k the integer nearest to x / ln 2, so that |r| <= 0.35; e^r by its Taylor series, whose
 * term 14 is below 2^-57.
 */
double br_num_exp(double x)
{
    if (x != x)
        return x;
    if (x > 0x1.62e42fefa39efp+9) /* ln of the largest double */
        return infinity();
    if (x < -0x1.6232bdd7abcd2p+9) /* ln of the smallest normal double */
        return 0.0;
    double k = br_num_floor(x * ONE_OVER_LN2 + 0.5);
    double r = (x - k * LN2_HIGH) - k * LN2_LOW;
    double sum = 1.0;
    for (int term = 13; term > 0; term--)
        sum = 1.0 + sum * r / (double)term;
    /* In two steps, since 2^1024 is no double. */
    int half = (int)k / 2;
    return sum * power_of_two(half) * power_of_two((int)k - half);
}

/* Newton's iteration for the fraction in [1/2, 2), from a straight line that is within 6 %: the error
 * squares each time, so four steps pass the last bit. */
double br_num_sqrt(double x)
{
    if (x != x || x == 0.0 || x == infinity())
        return x;
    if (x < 0.0)
        return not_a_number();
    int exponent;
    double fraction = split(x, &exponent);
    if (exponent % 2 != 0) {
        fraction = fraction * 2.0;
        exponent--;
    }
    double root = 0.485 + 0.485 * fraction;
    for (int i = 0; i < 5; i++)
        root = 0.5 * (root + fraction / root);
    return root * power_of_two(exponent / 2);
}

/* Density of the normal distribution. */
static double normal_density(double z)
{
    return 0.398942280401432677939946059934381868 * br_num_exp(-0.5 * z * z);
}

/*
 * P(Z > z) for 0 <= z < 2: one half less the density times z + z^3/3 + z^5/(3 5) + ..., whose term 40 is below 2^-60
 * there.
 */
static double normal_tail_near(double z)
{
    double term = z;
    double sum = z;
    for (int i = 1; i <= 40; i++) {
        term = term * z * z / (double)(2 * i + 1);
        sum = sum + term;
    }
    return 0.5 - normal_density(z) * sum;
}

/* z >= 2: the density by Laplace's continued fraction z + 1/(z + 2/(z + 3/(z + ...))), as a factor of the density. */
static double normal_tail_factor(double z)
{
    double below = z;
    for (int i = 120; i > 0; i--)
        below = z + (double)i / below;
    return 1.0 / below;
}

double br_num_normal_digits(double z)
{
    if (z < 0.0)
        return -br_num_log10(1.0 - (z > -2.0 ? normal_tail_near(-z) : normal_density(z) * normal_tail_factor(-z)));
    if (z < 2.0)
        return -br_num_log10(normal_tail_near(z));
    /* In logarithms, so that nothing underflows. log10 e / 2, and log10 of sqrt(2 pi). */
    return 0.217147240951625913752 * z * z + 0.399089934179057573 - br_num_log10(normal_tail_factor(z));
}

/* By halving: 60 times, from a span that holds 400 digits. */
double br_num_normal_quantile(double digits)
{
    double low = -8.0;
    double high = 43.0;
    for (int i = 0; i < 60; i++) {
        double middle = 0.5 * (low + high);
        if (br_num_normal_digits(middle) < digits)
            low = middle;
        else
            high = middle;
    }
    return high;
}

double br_num_floor(double x)
{
    /* From 2^52 on every double is an integer; this passes infinities and NaNs too. */
    if (!(x > -0x1p52 && x < 0x1p52))
        return x;
    double cut = (double)(int64_t)x;
    return cut > x ? cut - 1.0 : cut;
}

double br_num_ceil(double x)
{
    return -br_num_floor(-x);
}

/* x > 0, finite: x = fraction * 2^exponent with the fraction in [1/2, 1). */
static double split(double x, int *exponent)
{
    int extra = 0;
    if (x < DBL_MIN) {
        x = x * 0x1p54; /* denormal */
        extra = -54;
    }
    uint64_t bits = bits_of_double(x);
    *exponent = (int)(bits >> 52 & 0x7ff) - 1022 + extra;
    return double_of_bits((bits & UINT64_C(0x800fffffffffffff)) | UINT64_C(1022) << 52);
}

/* -1022 <= exponent <= 1023. */
static double power_of_two(int exponent)
{
    return double_of_bits((uint64_t)(exponent + 1023) << 52);
}
