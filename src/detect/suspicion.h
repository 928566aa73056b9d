/*
 * The running suspicions: how long a suspect has to defend itself.
 *
 * Lifeguard's dynamic timeout (docs/wire/memberlist.md 7.7): a suspicion begins with the longest timeout and comes
 * down with each further accuser, to the shortest when k of them agree. The timer only says when; that the suspect
 * becomes dead is for the owner to decide. view.suspicion[slot] is the index of this table.
 *
 * Timer: one deadline for each suspicion.
 */
#ifndef BR_DETECT_SUSPICION_H
#define BR_DETECT_SUSPICION_H

#include "base/heap.h"
#include "member/core.h"

struct br_suspicion_entry {
    bruit_time start;
    bruit_time min;
    bruit_time max;
    uint32_t slot; /* of a free entry: 0 */
    uint32_t k;    /* confirmations expected; 0: nobody is */
    uint32_t confirmations;
    uint32_t next_free;
};

struct br_suspicion {
    struct br_core *core;
    struct br_suspicion_entry *entries; /* index 0 unused */
    uint64_t *accusers;       /* `stride` for each entry: hashes of the names, the first accuser first */
    struct br_heap deadlines; /* by index of entries */
    uint32_t stride;
    uint32_t capacity;
    uint32_t used; /* entries ever used, 0 included */
    uint32_t free;
    uint32_t count; /* that run */
    uint8_t key[16];
};

void br_suspicion_init(struct br_suspicion *s, struct br_core *core);
void br_suspicion_fini(struct br_suspicion *s);

/* The next `extra` starts will not fail: 0, or BRUIT_ENOMEM. */
int br_suspicion_reserve(struct br_suspicion *s, uint32_t extra);

/*
 * Starts the suspicion of `slot`, accused by the member called `accuser` first; replaces one that runs. n is
 * view.count. Room must have been reserved.
 */
void br_suspicion_start(struct br_suspicion *s, uint32_t slot, struct bruit_bytes accuser, bruit_time now);

/*
 * One more accuser. True when it counts (a suspicion runs, the name is new, and fewer than k came before): the
 * deadline has then moved, possibly to `now`, and the claim is worth passing on.
 */
bool br_suspicion_confirm(struct br_suspicion *s, uint32_t slot, struct bruit_bytes accuser, bruit_time now);

static inline bool br_suspicion_is_running(const struct br_suspicion *s, uint32_t slot)
{
    return s->core->view.suspicion[slot] != 0;
}

/* Forgets the suspicion of `slot`, if there is one. Call it before the slot is released. */
void br_suspicion_cancel(struct br_suspicion *s, uint32_t slot);

/* The earliest deadline, or BRUIT_NEVER. */
bruit_time br_suspicion_deadline(const struct br_suspicion *s);

/*
 * Takes the next suspicion that is over at `now`: false when there is none. Its subject is suspect still: those
 * that were overtaken by other news are forgotten on the way. `confirmations` may be NULL.
 */
bool br_suspicion_pop_due(struct br_suspicion *s, bruit_time now, uint32_t *slot, uint32_t *confirmations);

/* We were stalled for `gap`: every suspect gets it back. */
void br_suspicion_delay(struct br_suspicion *s, bruit_time gap);

#endif
