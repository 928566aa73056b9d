/*
 * A node's own clock: true time, from some origin, too fast or too slow, which may be set but never goes
 * back.
 *
 * Engines are told this clock's time. Their deadlines are turned back into true time such that the clock then
 * shows the deadline or a nanosecond more, never less: a tick that came early would have to be repeated.
 */
#ifndef BR_SIM_CLOCK_H
#define BR_SIM_CLOCK_H

#include "base/time.h"
#include "sim/sim.h"

#define BR_SIM_DRIFT_MAX 500000 /* half as fast again, or half as slow: beyond it is no clock */

static inline bruit_time br_sim_clock_raw(const struct br_sim_clock *clock, bruit_time now)
{
    bruit_time passed = now - clock->since;
    if (clock->drift == 0)
        return clock->base + passed;
    uint64_t rate = (uint64_t)((int64_t)BRUIT_SIM_MILLION + clock->drift);
    return clock->base + passed / BRUIT_SIM_MILLION * rate +
           passed % BRUIT_SIM_MILLION * rate / BRUIT_SIM_MILLION;
}

/* What it shows, having been looked at. */
static inline bruit_time br_sim_clock_show(struct br_sim_clock *clock, bruit_time now)
{
    bruit_time raw = br_sim_clock_raw(clock, now);
    if (raw > clock->shown)
        clock->shown = raw;
    return clock->shown;
}

/* The first true time, not before `now`, at which it shows `time`. */
static inline bruit_time br_sim_clock_when(const struct br_sim_clock *clock, bruit_time time, bruit_time now)
{
    if (time == BRUIT_NEVER)
        return BRUIT_NEVER;
    if (time <= clock->shown || time <= clock->base)
        return now;
    bruit_time ahead = time - clock->base;
    if (clock->drift != 0) {
        uint64_t rate = (uint64_t)((int64_t)BRUIT_SIM_MILLION + clock->drift);
        bruit_time part = (ahead % rate * BRUIT_SIM_MILLION + rate - 1) / rate;
        ahead = br_time_add(br_time_mul(ahead / rate, BRUIT_SIM_MILLION), part);
    }
    return br_time_max(now, br_time_add(clock->since, ahead));
}

#endif
