/*
 * The numbers of heartbeat gossip, by slot of the view: how far each member's heart has come as far as we know, and
 * how much of what it says of itself we have. The generation stands in the view's `incarnation`.
 *
 * detect/ and spread/ both work from these; who changes them is the engine (engine/beat.c). 8 bytes a member, held by
 * engines whose detector is BRUIT_DETECTOR_HEARTBEAT alone.
 */
#ifndef BR_MEMBER_PULSE_H
#define BR_MEMBER_PULSE_H

#include "member/view.h"

struct br_pulse {
    struct br_alloc *alloc;
    uint32_t *heartbeat;
    uint32_t *version; /* of its identity and items, as far as we have them; 0: they are still to come */
    uint32_t capacity; /* slots */
};

void br_pulse_init(struct br_pulse *pulse, struct br_alloc *alloc);
void br_pulse_fini(struct br_pulse *pulse);

/* Room for the slots below `capacity`: 0, or BRUIT_ENOMEM. */
int br_pulse_reserve(struct br_pulse *pulse, uint32_t capacity);

/* The lower half of the identity's hash: tells two identities with the same numbers apart. */
uint16_t br_pulse_tag(const struct br_view *view, uint32_t slot);

/* What two members who know the same of `slot` come to alike: of id, generation, version and identity. */
uint64_t br_pulse_digest(const struct br_pulse *pulse, const struct br_view *view, uint32_t slot);

#endif
