/*
 * Local health (awareness.h).
 */
#include "detect/awareness.h"

#include "base/time.h"

void br_awareness_init(struct br_awareness *a, struct br_core *core)
{
    *a = (struct br_awareness){.core = core};
}

void br_awareness_apply(struct br_awareness *a, int32_t delta)
{
    uint32_t max = a->core->config.awareness_max;
    int64_t highest = max == 0 ? 0 : (int64_t)max - 1;
    int64_t score = (int64_t)a->score + delta;
    score = score < 0 ? 0 : score > highest ? highest : score;
    a->score = (uint32_t)score;
}

bruit_time br_awareness_scale(const struct br_awareness *a, bruit_time interval)
{
    return br_time_mul(interval, (uint64_t)a->score + 1);
}
