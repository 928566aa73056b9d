/*
 * The common ground of one engine: what every machine above the member layer shares.
 *
 * Configuration, the time of the input at hand, memory, trace, counters, and the two tables of the
 * membership: the roster (who they are) and the view (what we believe). detect/, spread/ and module/ each
 * hold a pointer to it and know nothing of each other.
 */
#ifndef BR_MEMBER_CORE_H
#define BR_MEMBER_CORE_H

#include "base/alloc.h"
#include "base/rng.h"
#include "base/trace.h"
#include "member/items.h"
#include "member/pulse.h"
#include "member/roster.h"
#include "member/view.h"

#include <bruit/config.h>
#include <bruit/stats.h>

struct br_core {
    struct bruit_config config; /* a copy; what it points to lives as long as the engine */
    struct br_alloc alloc;
    struct br_tracer tracer;
    struct bruit_stats stats;
    struct br_roster *roster; /* our own, or shared with the other engines of a simulation */
    struct br_view view;
    struct br_pulse pulse; /* these two with heartbeats only */
    struct br_items items;
    bruit_time now;       /* of the input at hand; never decreases */
    uint32_t self;        /* our own slot in the view; stays ours even after we left */
    uint32_t incarnation; /* the highest number we ever used for ourselves */
    uint8_t carries;      /* the capabilities of our modules: 0 as long as bruit need not know bruit */
    bool leaving;         /* we said goodbye: news that we are alive is not ours any more */
};

/* The fragment and the name behind a slot: who that member is. The slot must be in use. */
static inline const struct br_fragment *br_core_fragment(const struct br_core *core, uint32_t slot);
static inline struct bruit_bytes br_core_name(const struct br_core *core, uint32_t slot);

/* The socket address of a member: IPv4 in 4 bytes whatever it advertises. */
struct bruit_addr br_core_addr(const struct br_core *core, uint32_t slot);

/* One of the six version bytes of a member (enum br_vsn_index). */
static inline uint8_t br_core_version(const struct br_core *core, uint32_t slot, unsigned index);

static inline void br_core_drop(struct br_core *core, enum bruit_drop reason);

/* ---- bodies ---- */

static inline const struct br_fragment *br_core_fragment(const struct br_core *core, uint32_t slot)
{
    return br_roster_fragment(core->roster, core->view.record[slot]);
}

static inline struct bruit_bytes br_core_name(const struct br_core *core, uint32_t slot)
{
    return br_fragment_name(br_core_fragment(core, slot));
}

static inline uint8_t br_core_version(const struct br_core *core, uint32_t slot, unsigned index)
{
    return br_fragment_vsn(br_core_fragment(core, slot)).data[index];
}

static inline void br_core_drop(struct br_core *core, enum bruit_drop reason)
{
    core->stats.drops[reason]++;
}

#endif
