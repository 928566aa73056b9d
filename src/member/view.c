/*
 * The view: see view.h. All arrays grow together; slot 0 exists so that 0 can mean nobody everywhere.
 */
#include "member/view.h"

#include "base/check.h"

#include <string.h>

#define CAPACITY_MIN 16

/* Of `dirty_next`: not in the queue of news (whose last member points at 0). Of `place`: not in the order. */
#define NOWHERE UINT32_MAX

void br_view_init(struct br_view *view, struct br_alloc *alloc, struct br_roster *roster)
{
    *view = (struct br_view){.alloc = alloc, .roster = roster, .used = 1};
}

/* Calls `act` with the address and item size of each array that is indexed by slot or holds one item a slot. */
#define SLOT_ARRAYS(act) \
    act(record);         \
    act(incarnation);    \
    act(since);          \
    act(place);          \
    act(suspicion);      \
    act(dirty_next);     \
    act(state);          \
    act(news);           \
    act(carries);        \
    act(order)

/* A record of a shared roster counts as if it were in one of our own. */
static void charge(struct br_view *view, uint32_t record)
{
    if (view->roster->is_shared)
        br_alloc_charge(view->alloc, br_roster_cost(view->roster, record));
}

static void discharge(struct br_view *view, uint32_t record)
{
    if (view->roster->is_shared && record != 0)
        br_alloc_discharge(view->alloc, br_roster_cost(view->roster, record));
}

/*
 * The name index is as long as the roster's numbers are high: with a shared roster that is others' doing, and so is
 * its memory. What it would take alone is part of the charge.
 */
static struct br_alloc *names_alloc(const struct br_view *view)
{
    return view->roster->is_shared ? view->roster->alloc : view->alloc;
}

void br_view_fini(struct br_view *view)
{
    for (uint32_t slot = 1; slot < view->used; slot++) {
        discharge(view, view->record[slot]);
        br_roster_drop(view->roster, view->record[slot]);
    }
#define FREE(array) br_alloc_free(view->alloc, view->array, view->capacity * sizeof *view->array)
    SLOT_ARRAYS(FREE);
#undef FREE
    br_alloc_free(names_alloc(view), view->slot_of, view->slot_of_size * sizeof *view->slot_of);
}

/* ---- growing ---- */

/* One array at a time: an array that is larger than `capacity` says does no harm if a later one fails. */
static int grow_slots(struct br_view *view, uint32_t wanted)
{
#define GROW(array)                                                                        \
    do {                                                                                   \
        void *grown = br_alloc_resize(view->alloc, NULL, 0, wanted * sizeof *view->array); \
        if (grown == NULL)                                                                 \
            goto no_memory;                                                                \
        fresh.array = grown;                                                               \
    } while (0)
#define MOVE(array)                                                                               \
    do {                                                                                          \
        if (view->array != NULL)                                                                  \
            memcpy(fresh.array, view->array, view->capacity * sizeof *view->array);               \
        memset(fresh.array + view->capacity, 0, (wanted - view->capacity) * sizeof *view->array); \
        br_alloc_free(view->alloc, view->array, view->capacity * sizeof *view->array);            \
        view->array = fresh.array;                                                                \
    } while (0)
#define UNDO(array) br_alloc_free(view->alloc, fresh.array, wanted * sizeof *fresh.array)
    struct br_view fresh = {0};
    SLOT_ARRAYS(GROW);
    SLOT_ARRAYS(MOVE);
    view->capacity = wanted;
    return 0;
no_memory:
    SLOT_ARRAYS(UNDO);
    return BRUIT_ENOMEM;
#undef GROW
#undef MOVE
#undef UNDO
}

static int reserve_slot(struct br_view *view)
{
    if (view->free != 0 || view->used < view->capacity)
        return 0;
    uint32_t grown = view->capacity + view->capacity / 2;
    return grow_slots(view, grown < CAPACITY_MIN ? CAPACITY_MIN : grown);
}

static int grow_names(struct br_view *view, uint32_t grown)
{
    uint32_t *slot_of = br_alloc_resize(names_alloc(view), view->slot_of,
                                        view->slot_of_size * sizeof *slot_of, grown * sizeof *slot_of);
    if (slot_of == NULL)
        return BRUIT_ENOMEM;
    memset(slot_of + view->slot_of_size, 0, (grown - view->slot_of_size) * sizeof *slot_of);
    view->slot_of = slot_of;
    view->slot_of_size = grown;
    return 0;
}

/* The name index follows the roster's numbers, which in a shared roster may be far above our own count. */
static int reserve_name(struct br_view *view, uint32_t name)
{
    if (name < view->slot_of_size)
        return 0;
    return grow_names(view, name + name / 2 < CAPACITY_MIN ? CAPACITY_MIN : name + name / 2);
}

/* ---- members ---- */

uint32_t br_view_find_text(const struct br_view *view, struct bruit_bytes name)
{
    return br_view_find(view, br_roster_find(view->roster, name));
}

static uint32_t take_slot(struct br_view *view)
{
    if (view->free == 0)
        return view->used++;
    uint32_t slot = view->free;
    view->free = view->place[slot];
    return slot;
}

int br_view_reserve(struct br_view *view, uint32_t record)
{
    if (view->roster->is_shared && !br_alloc_has_room(view->alloc, br_roster_cost(view->roster, record)))
        return BRUIT_ENOMEM;
    int status = reserve_slot(view);
    return status == 0 ? reserve_name(view, br_roster_name_of(view->roster, record)) : status;
}

uint32_t br_view_add(struct br_view *view, uint32_t record)
{
    uint32_t name = br_roster_name_of(view->roster, record);
    BR_ASSERT(br_view_find(view, name) == 0);
    if (br_view_reserve(view, record) != 0)
        return 0;
    uint32_t slot = take_slot(view);
    view->record[slot] = record;
    view->incarnation[slot] = 0;
    view->since[slot] = 0;
    view->state[slot] = BRUIT_DEAD;
    view->suspicion[slot] = 0;
    view->news[slot] = 0;
    view->carries[slot] = 0;
    view->dirty_next[slot] = NOWHERE;
    view->slot_of[name] = slot;
    view->place[slot] = view->count;
    view->order[view->count++] = slot;
    view->state_count[BRUIT_DEAD]++;
    view->checksum ^= br_view_digest(view, slot);
    charge(view, record);
    return slot;
}

static int reserve_all(struct br_view *view, const uint32_t *records, uint32_t count)
{
    uint32_t highest = 0;
    size_t cost = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t name = br_roster_name_of(view->roster, records[i]);
        highest = name > highest ? name : highest;
        cost += br_roster_cost(view->roster, records[i]);
    }
    if (view->roster->is_shared && !br_alloc_has_room(view->alloc, cost))
        return BRUIT_ENOMEM;
    uint32_t wanted = view->used + count;
    int status = wanted <= view->capacity ? 0 : grow_slots(view, wanted);
    return status == 0 && highest >= view->slot_of_size ? grow_names(view, highest + 1) : status;
}

int br_view_add_all(struct br_view *view, const uint32_t *records, const uint32_t *incarnations,
                    uint32_t count, bruit_time now)
{
    int status = reserve_all(view, records, count);
    for (uint32_t i = 0; i < count && status == 0; i++) {
        uint32_t slot = view->used++;
        view->record[slot] = records[i];
        view->incarnation[slot] = incarnations[i];
        view->since[slot] = now;
        view->state[slot] = BRUIT_ALIVE;
        view->suspicion[slot] = 0;
        view->news[slot] = 0;
        view->carries[slot] = 0;
        view->dirty_next[slot] = NOWHERE;
        view->slot_of[br_roster_name_of(view->roster, records[i])] = slot;
        view->place[slot] = view->count;
        view->order[view->count++] = slot;
        view->checksum ^= br_view_digest(view, slot);
        br_roster_hold(view->roster, records[i]);
        charge(view, records[i]);
    }
    if (status == 0)
        view->state_count[BRUIT_ALIVE] += count;
    return status;
}

void br_view_identify(struct br_view *view, uint32_t slot, uint32_t record)
{
    BR_ASSERT(br_roster_name_of(view->roster, record) == br_roster_name_of(view->roster, view->record[slot]));
    view->checksum ^= br_view_digest(view, slot);
    discharge(view, view->record[slot]);
    charge(view, record);
    br_roster_drop(view->roster, view->record[slot]);
    view->record[slot] = record;
    view->checksum ^= br_view_digest(view, slot);
}

/* A live member counts as a peer of those who carry the same: +1, or -1 (as 2^32 - 1). */
static void count_peer(struct br_view *view, uint32_t slot, uint32_t change)
{
    if (BR_LIKELY(view->carries[slot] == 0) || !br_view_is_live(view, slot))
        return;
    for (unsigned bit = 0; bit < 8; bit++)
        if (view->carries[slot] >> bit & 1)
            view->peer_count[bit] += change;
}

void br_view_carry(struct br_view *view, uint32_t slot, uint8_t carries)
{
    count_peer(view, slot, UINT32_MAX);
    view->carries[slot] = carries;
    count_peer(view, slot, 1);
}

void br_view_believe(struct br_view *view, uint32_t slot, enum bruit_state state, uint32_t incarnation,
                     bruit_time now)
{
    count_peer(view, slot, UINT32_MAX);
    view->checksum ^= br_view_digest(view, slot);
    view->state_count[view->state[slot]]--;
    view->state_count[state]++;
    if (view->state[slot] != (uint8_t)state)
        view->since[slot] = now;
    view->state[slot] = (uint8_t)state;
    view->incarnation[slot] = incarnation;
    view->checksum ^= br_view_digest(view, slot);
    count_peer(view, slot, 1);
}

void br_view_swap(struct br_view *view, uint32_t place_a, uint32_t place_b)
{
    uint32_t a = view->order[place_a];
    uint32_t b = view->order[place_b];
    view->order[place_a] = b;
    view->order[place_b] = a;
    view->place[b] = place_a;
    view->place[a] = place_b;
}

void br_view_remove(struct br_view *view, uint32_t slot)
{
    br_view_carry(view, slot, 0);
    view->checksum ^= br_view_digest(view, slot);
    view->slot_of[br_roster_name_of(view->roster, view->record[slot])] = 0;
    br_view_swap(view, view->place[slot], view->count - 1);
    view->count--;
    view->state_count[view->state[slot]]--;
    view->place[slot] = NOWHERE;
}

void br_view_release(struct br_view *view, uint32_t slot)
{
    BR_ASSERT(view->place[slot] == NOWHERE && view->dirty_next[slot] == NOWHERE);
    discharge(view, view->record[slot]);
    br_roster_drop(view->roster, view->record[slot]);
    view->record[slot] = 0;
    view->place[slot] = view->free;
    view->free = slot;
}

uint64_t br_view_digest(const struct br_view *view, uint32_t slot)
{
    /* The finalizer of splitmix64 over identity and belief: any single difference changes half the bits. */
    uint64_t x = view->roster->records[view->record[slot]].identity;
    x ^= ((uint64_t)view->incarnation[slot] << 8 | view->state[slot]) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

bool br_view_is_listed(const struct br_view *view, uint32_t slot)
{
    return br_view_is_known(view, slot) && view->place[slot] != NOWHERE;
}

/* ---- news ---- */

/*
 * A queue through dirty_next, so that a member is in it once however much happens to it. The last one points
 * at slot 0, which is nobody.
 */
void br_view_note(struct br_view *view, uint32_t slot, uint32_t changes)
{
    view->news[slot] |= (uint8_t)changes;
    if (view->dirty_next[slot] != NOWHERE)
        return;
    view->dirty_next[slot] = 0;
    if (view->dirty_first == 0)
        view->dirty_first = slot;
    else
        view->dirty_next[view->dirty_last] = slot;
    view->dirty_last = slot;
}

bool br_view_take_news(struct br_view *view, uint32_t *slot, uint32_t *changes)
{
    if (view->dirty_first == 0)
        return false;
    *slot = view->dirty_first;
    *changes = view->news[*slot];
    view->dirty_first = view->dirty_next[*slot];
    view->dirty_next[*slot] = NOWHERE;
    view->news[*slot] = 0;
    return true;
}

/* ---- checking ---- */

bool br_view_is_consistent(const struct br_view *view)
{
    uint32_t counts[4] = {0};
    uint32_t peers[8] = {0};
    uint64_t checksum = 0;
    for (uint32_t place = 0; place < view->count; place++) {
        uint32_t slot = view->order[place];
        if (!br_view_is_known(view, slot) || view->place[slot] != place)
            return false;
        if (br_view_find(view, br_roster_name_of(view->roster, view->record[slot])) != slot)
            return false;
        counts[view->state[slot]]++;
        for (unsigned bit = 0; bit < 8 && br_view_is_live(view, slot); bit++)
            peers[bit] += view->carries[slot] >> bit & 1;
        checksum ^= br_view_digest(view, slot);
    }
    return memcmp(counts, view->state_count, sizeof counts) == 0 &&
           memcmp(peers, view->peer_count, sizeof peers) == 0 && checksum == view->checksum;
}
