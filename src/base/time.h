/*
 * Arithmetic on times and durations that stops at BRUIT_NEVER and at 0 instead of wrapping.
 */
#ifndef BR_BASE_TIME_H
#define BR_BASE_TIME_H

#include <bruit/types.h>

/* `duration` after `time`; BRUIT_NEVER when either is, or when it is later than every real time. */
static inline bruit_time br_time_add(bruit_time time, bruit_time duration)
{
    return duration > BRUIT_NEVER - time ? BRUIT_NEVER : time + duration;
}

/* From `start` to `end`, 0 when `end` is not later. */
static inline bruit_time br_time_since(bruit_time start, bruit_time end)
{
    return end > start ? end - start : 0;
}

static inline bruit_time br_time_mul(bruit_time duration, uint64_t by)
{
    return by != 0 && duration > BRUIT_NEVER / by ? BRUIT_NEVER : duration * by;
}

static inline bruit_time br_time_min(bruit_time a, bruit_time b)
{
    return a < b ? a : b;
}

static inline bruit_time br_time_max(bruit_time a, bruit_time b)
{
    return a > b ? a : b;
}

#endif
