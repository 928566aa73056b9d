/*
 * The view: what one engine believes about each member it knows.
 *
 * A structure of arrays over slots, since the hot paths each want one or two of them. A slot's number is
 * the bruit_node that programs see; slot 0 is nobody. At most 48 bytes a member, every index included
 * (tests/member/test_view.c adds them up): 39 here and 4 for each name of the roster.
 *
 * The view only stores. Which changes are allowed is transition.h's business, and who hears of them the
 * engine's.
 */
#ifndef BR_MEMBER_VIEW_H
#define BR_MEMBER_VIEW_H

#include "member/roster.h"

#include <bruit/engine.h>

struct br_view {
    struct br_alloc *alloc;
    struct br_roster *roster;

    /* By slot. */
    uint32_t *record;      /* who; 0: the slot is free */
    uint32_t *incarnation; /* as far as we know */
    bruit_time *since;     /* when the state began */
    uint32_t *place;       /* where in `order`; of a free slot: the next free one */
    uint32_t *suspicion;   /* detect/'s number for the suspicion that runs, or 0 */
    uint32_t *dirty_next;  /* the queue of members with news; see br_view_take_news */
    uint8_t *state;        /* enum bruit_state */
    uint8_t *news;         /* enum bruit_change bits since the program last looked */
    uint8_t *carries;      /* which of bruit's modules it carries, as far as we know: a bit each */

    uint32_t *slot_of; /* by the roster's name number */
    uint32_t slot_of_size;

    uint32_t *order; /* the slots in use, in the order of the probe round */
    uint32_t count;  /* of `order`: members known, in any state */
    uint32_t state_count[4];
    uint32_t peer_count[8]; /* live members, ourselves included, that carry the module of each bit */

    uint32_t capacity; /* slots, slot 0 included */
    uint32_t used;     /* slots ever used, slot 0 included */
    uint32_t free;     /* head of the free slots */
    uint32_t dirty_first;
    uint32_t dirty_last;
    uint64_t checksum;
};

void br_view_init(struct br_view *view, struct br_alloc *alloc, struct br_roster *roster);
void br_view_fini(struct br_view *view);

/* The slot of a name of the roster, or 0. */
static inline uint32_t br_view_find(const struct br_view *view, uint32_t name);
/* The slot of the member called `name`, or 0. */
uint32_t br_view_find_text(const struct br_view *view, struct bruit_bytes name);

/*
 * A new member of this identity: dead, with incarnation 0, since 0 (what memberlist gives a record before
 * the first alive is judged). It takes the last place of the order; br_view_swap() moves it. Takes over
 * the caller's hold of `record`. Returns its slot, or 0 without memory, and then the hold stays the caller's.
 */
uint32_t br_view_add(struct br_view *view, uint32_t record);
/* The next br_view_add() of this record will not fail: 0, or BRUIT_ENOMEM. */
int br_view_reserve(struct br_view *view, uint32_t record);

/*
 * `count` new members at once, all alive since `now`, with `incarnations`, in the order of the records; each
 * record and its name must be unknown to the view, and gets one more holder. For a host of many engines. 0,
 * or BRUIT_ENOMEM and nothing has changed.
 */
int br_view_add_all(struct br_view *view, const uint32_t *records, const uint32_t *incarnations,
                    uint32_t count, bruit_time now);

/* Another identity of the same name; takes over the hold of `record`, drops the old one's. */
void br_view_identify(struct br_view *view, uint32_t slot, uint32_t record);

/* A new belief. `since` changes only with the state. */
void br_view_believe(struct br_view *view, uint32_t slot, enum bruit_state state, uint32_t incarnation,
                     bruit_time now);

/* What it carries. Whoever dies and comes back may be another program: see the engine's claims. */
void br_view_carry(struct br_view *view, uint32_t slot, uint8_t carries);

/* Swaps two places of the order. */
void br_view_swap(struct br_view *view, uint32_t place_a, uint32_t place_b);

/*
 * Forgets a member: it leaves the order and the name index at once, while the slot stays readable until
 * br_view_release(), so that the last event can still say who it was.
 */
void br_view_remove(struct br_view *view, uint32_t slot);
/* Frees a removed slot and drops its record. */
void br_view_release(struct br_view *view, uint32_t slot);

/* Adds news (enum bruit_change bits) about a member to what the program has not seen yet. */
void br_view_note(struct br_view *view, uint32_t slot, uint32_t changes);
/* Takes the member whose news is oldest, with all of it; false when there is none. */
bool br_view_take_news(struct br_view *view, uint32_t *slot, uint32_t *changes);

/* In use, forgotten members whose slot was not released yet included; and only those of the order. */
static inline bool br_view_is_known(const struct br_view *view, uint32_t slot);
bool br_view_is_listed(const struct br_view *view, uint32_t slot);
/* Alive or suspect: one that should answer. */
static inline bool br_view_is_live(const struct br_view *view, uint32_t slot);
static inline uint32_t br_view_live_count(const struct br_view *view);

/* What a member adds to the checksum: the XOR over all members is the view's. */
uint64_t br_view_digest(const struct br_view *view, uint32_t slot);

/* Walks everything and checks that the indexes agree; for tests and BR_ASSERT_SLOW. */
bool br_view_is_consistent(const struct br_view *view);

/* ---- bodies ---- */

static inline uint32_t br_view_find(const struct br_view *view, uint32_t name)
{
    return name < view->slot_of_size ? view->slot_of[name] : 0;
}

static inline bool br_view_is_known(const struct br_view *view, uint32_t slot)
{
    return slot != 0 && slot < view->used && view->record[slot] != 0;
}

static inline bool br_view_is_live(const struct br_view *view, uint32_t slot)
{
    return view->state[slot] <= BRUIT_SUSPECT;
}

static inline uint32_t br_view_live_count(const struct br_view *view)
{
    return view->state_count[BRUIT_ALIVE] + view->state_count[BRUIT_SUSPECT];
}

#endif
