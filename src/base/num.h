/*
 * Arithmetic that gives the same bits everywhere, and the formulas of the protocol that need it.
 *
 * Two members of a cluster must come to the same timeouts, and a recorded run must replay on any
 * machine with any compiler. libm gives neither: its last bit differs between versions. So log, exp and
 * sqrt are written here in plain IEEE double operations in a fixed order, never contracted. The formulas
 * are those of the memberlist wire description (7.7, 8.3 and 9.1), including how Go's arithmetic rounds
 * them: log10(1000) comes out just below 3 there, and is taken as that.
 */
#ifndef BR_BASE_NUM_H
#define BR_BASE_NUM_H

#include <bruit/types.h>

/* How often a broadcast is sent among `n` members: mult * ceil(log10(n + 1)). */
uint32_t br_num_retransmit_limit(uint32_t mult, uint32_t n);

/* The shortest suspicion among `n` members: mult * floor_milli(max(1, log10(max(1, n)))) * interval. */
bruit_time br_num_suspicion_timeout(uint32_t mult, uint32_t n, bruit_time probe_interval_ns);

/* The push/pull interval among `n` members: one more interval for each doubling beyond 32. */
bruit_time br_num_push_pull_scale(bruit_time interval_ns, uint32_t n);

/*
 * What remains of a suspicion after `confirmations` of the `k` expected ones, `elapsed_ns` after its
 * start: from max towards min with the logarithm of the confirmations, less what has elapsed. Zero or
 * less: it is over. k = 0: min, nobody is expected to confirm.
 */
int64_t br_num_remaining_suspicion(uint32_t confirmations, uint32_t k, bruit_time elapsed_ns,
                                   bruit_time min_ns, bruit_time max_ns);

/*
 * log, exp and sqrt of the reals, to within 1e-14 of the true value, relative. Domain as in C: log of 0 is
 * -infinity, of a negative a NaN; exp overflows to infinity and underflows to 0 (without denormals).
 * log2 and log10 are computed as Go does, in two parts that cancel near 1: there they are within 1e-14
 * absolutely.
 */
double br_num_log(double x);
double br_num_log2(double x);
double br_num_log10(double x);
double br_num_exp(double x);
double br_num_sqrt(double x);

/*
 * The tail of the normal distribution in decimal digits: -log10 P(Z > z), and the z that has so many. Between 0.3 and
 * 30 digits within 1e-9 of the true value. The first is phi of Hayashibara et al. (2004).
 */
double br_num_normal_digits(double z);
double br_num_normal_quantile(double digits);

/* The largest integer not above x, and the smallest not below it. */
double br_num_floor(double x);
double br_num_ceil(double x);

#endif
