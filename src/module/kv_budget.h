/*
 * Bytes a second: a bucket that fills at a steady rate and holds one second's worth. What is taken may overdraw it;
 * then nothing is to be sent until it is full enough again. So a message longer than a second's worth goes out, too.
 */
#ifndef BR_MODULE_KV_BUDGET_H
#define BR_MODULE_KV_BUDGET_H

#include "base/time.h"

struct br_kv_budget {
    uint64_t rate; /* bytes a second; at least 1 */
    int64_t left;
    bruit_time at; /* when `left` was true */
};

static inline void br_kv_budget_init(struct br_kv_budget *b, uint64_t rate, bruit_time now)
{
    *b = (struct br_kv_budget){.rate = rate == 0 ? 1 : rate, .left = (int64_t)rate, .at = now};
}

static inline void br_kv_budget_fill(struct br_kv_budget *b, bruit_time now)
{
    bruit_time gone = br_time_since(b->at, now);
    int64_t full = (int64_t)b->rate;
    if (gone >= 3600 * BRUIT_SECOND) {
        b->left = full; /* and no product that could overflow: an hour pays for every message there is */
    } else {
        bruit_time step = gone / BRUIT_MICROSECOND;
        b->left += (int64_t)(step / 1000000 * b->rate + step % 1000000 * b->rate / 1000000);
        now = b->at + step * BRUIT_MICROSECOND;
        if (b->left > full)
            b->left = full;
    }
    b->at = now > b->at ? now : b->at;
}

static inline bool br_kv_budget_has(struct br_kv_budget *b, bruit_time now)
{
    br_kv_budget_fill(b, now);
    return b->left > 0;
}

static inline void br_kv_budget_take(struct br_kv_budget *b, size_t bytes)
{
    b->left -= (int64_t)bytes;
}

/* When there will be something in it. */
static inline bruit_time br_kv_budget_when(const struct br_kv_budget *b)
{
    if (b->left > 0)
        return b->at;
    uint64_t missing = (uint64_t)(1 - b->left);
    bruit_time wait = missing / b->rate * BRUIT_SECOND + missing % b->rate * BRUIT_SECOND / b->rate;
    return br_time_add(b->at, wait + BRUIT_MILLISECOND);
}

#endif
