/*
 * Picking members at random: gossip targets, relays, partners for a sync.
 *
 * memberlist's way (docs/wire/memberlist.md 8.2, as of June 2026): small lists are shuffled, so that nobody who fits
 * is missed; in large ones members are drawn with replacement, at most three times as often as there are members,
 * which may find fewer than there are.
 */
#ifndef BR_MEMBER_PICK_H
#define BR_MEMBER_PICK_H

#include "base/rng.h"
#include "member/view.h"

/* The most that can be asked for: config.gossip_nodes goes up to it. */
#define BR_PICK_MAX 32

/* May this member be picked? */
typedef bool (*br_pick_fits)(const void *context, uint32_t slot);

/* Writes at most `k` <= BR_PICK_MAX different slots that fit into `out`, and returns how many. */
uint32_t br_pick(const struct br_view *view, struct br_rng *rng, uint32_t k, br_pick_fits fits,
                 const void *context, uint32_t *out);

#endif
