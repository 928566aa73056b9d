/*
 * The hybrid logical clock of key-value stamps (Kulkarni, Demirbas, Madappa, Avva and Leone, 2014): nanoseconds after
 * 1970 as far as we are told them, and otherwise one more than the greatest stamp seen.
 *
 * A stamp only chooses which of two concurrent siblings is shown first, so a clock that is wrong does no other harm.
 * It does not even that for long: what is `ahead_max` beyond our wall time does not move our clock.
 */
#ifndef BR_MODULE_KV_CLOCK_H
#define BR_MODULE_KV_CLOCK_H

#include "base/time.h"

struct br_kv_clock {
    uint64_t last;       /* no stamp of ours is at or below it */
    uint64_t wall;       /* nanoseconds after 1970 at `told_at`; 0: nobody told us */
    bruit_time told_at;
    bruit_time ahead_max;
};

/* Stamps end here: who counts on from a forged one must not wrap. It is the year 2262. */
#define BR_KV_STAMP_MAX ((uint64_t)1 << 63)

static inline void br_kv_clock_set(struct br_kv_clock *clock, uint64_t unix_ns, bruit_time now)
{
    clock->wall = unix_ns < BR_KV_STAMP_MAX ? unix_ns : BR_KV_STAMP_MAX - 1;
    clock->told_at = now;
}

/* What the wall shows, or 0. */
static inline uint64_t br_kv_clock_wall(const struct br_kv_clock *clock, bruit_time now)
{
    if (clock->wall == 0)
        return 0;
    uint64_t wall = br_time_add(clock->wall, br_time_since(clock->told_at, now));
    return wall < BR_KV_STAMP_MAX ? wall : BR_KV_STAMP_MAX - 1;
}

/* The stamp of a write of ours. */
static inline uint64_t br_kv_clock_tick(struct br_kv_clock *clock, bruit_time now)
{
    uint64_t wall = br_kv_clock_wall(clock, now);
    if (wall > clock->last)
        clock->last = wall;
    else if (clock->last < BR_KV_STAMP_MAX)
        clock->last++;
    return clock->last;
}

/* A stamp of somebody else. False: it is too far ahead, and our clock does not follow. */
static inline bool br_kv_clock_see(struct br_kv_clock *clock, uint64_t stamp, bruit_time now)
{
    uint64_t wall = br_kv_clock_wall(clock, now);
    if (stamp >= BR_KV_STAMP_MAX || (wall != 0 && stamp > br_time_add(wall, clock->ahead_max)))
        return false;
    if (stamp > clock->last)
        clock->last = stamp;
    return true;
}

#endif
