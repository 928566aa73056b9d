/*
 * Random choice of k members (pick.h).
 */
#include "member/pick.h"

#include "base/check.h"

/* Below this many members for each one asked for, all are looked at: memberlist's bound. */
#define SMALL 3

static uint32_t pick_shuffled(const struct br_view *view, struct br_rng *rng, uint32_t k, br_pick_fits fits,
                              const void *context, uint32_t *out)
{
    uint32_t slots[SMALL * BR_PICK_MAX];
    for (uint32_t i = 0; i < view->count; i++)
        slots[i] = view->order[i];
    br_rng_shuffle(rng, slots, view->count);
    uint32_t count = 0;
    for (uint32_t i = 0; i < view->count && count < k; i++)
        if (fits(context, slots[i]))
            out[count++] = slots[i];
    return count;
}

static bool is_in(const uint32_t *slots, uint32_t count, uint32_t slot)
{
    for (uint32_t i = 0; i < count; i++)
        if (slots[i] == slot)
            return true;
    return false;
}

static uint32_t pick_drawn(const struct br_view *view, struct br_rng *rng, uint32_t k, br_pick_fits fits,
                           const void *context, uint32_t *out)
{
    uint32_t count = 0;
    for (uint64_t draws = 0; draws < (uint64_t)SMALL * view->count && count < k; draws++) {
        uint32_t slot = view->order[br_rng_below(rng, view->count)];
        if (fits(context, slot) && !is_in(out, count, slot))
            out[count++] = slot;
    }
    return count;
}

uint32_t br_pick(const struct br_view *view, struct br_rng *rng, uint32_t k, br_pick_fits fits,
                 const void *context, uint32_t *out)
{
    BR_ASSERT(k <= BR_PICK_MAX);
    if (k == 0 || view->count == 0)
        return 0;
    if (view->count < SMALL * k)
        return pick_shuffled(view, rng, k, fits, context, out);
    return pick_drawn(view, rng, k, fits, context, out);
}
