/*
 * Gossip (gossip.h): the rumours, the rounds, the packets.
 */
#include "spread/gossip.h"

#include "base/check.h"
#include "base/num.h"
#include "base/time.h"

#include <string.h>

#define CAPACITY_MIN 16
/* Watches that ended and were not looked at yet. Each input can end a handful at most. */
#define DONE_MAX 65536

void br_gossip_init(struct br_gossip *g, struct br_core *core, bruit_time now)
{
    const struct bruit_config *config = &core->config;
    *g = (struct br_gossip){
        .core = core,
        .next_round = BRUIT_NEVER,
        .saved_at = now,
        .savings = BR_GOSSIP_EAGER_BURST,
        .used = 1,
        .eager = true,
    };
    br_rng_init(&g->rng, config->seed, "gossip");
    br_queue_init(&g->queue, &core->alloc, config->seed);
    br_table_init(&g->by_name, &core->alloc);
    br_ring_init(&g->done, &core->alloc, sizeof(uint32_t), DONE_MAX);
    g->phase = br_time_add(now, br_rng_time_below(&g->rng, config->gossip_interval));
}

/* Gives back what a rumour holds. */
static void let_go(struct br_gossip *g, const struct br_rumour *rumour)
{
    struct br_roster *roster = g->core->roster;
    if (rumour->kind == BR_RUMOUR_FREE)
        return;
    if (rumour->record != 0)
        br_roster_drop(roster, rumour->record);
    if (rumour->from != 0)
        br_roster_name_drop(roster, rumour->from);
    br_roster_name_drop(roster, rumour->name);
}

void br_gossip_fini(struct br_gossip *g)
{
    for (uint32_t i = 1; i < g->used; i++)
        let_go(g, &g->rumours[i]);
    br_alloc_free(&g->core->alloc, g->rumours, g->capacity * sizeof g->rumours[0]);
    g->rumours = NULL;
    g->capacity = g->used = 0;
    br_queue_fini(&g->queue);
    br_table_fini(&g->by_name);
    br_ring_fini(&g->done);
}

/* ---- the table of rumours ---- */

/* Numbers of names are small and our own: nobody outside can choose them, so a plain multiplication will do
 * (2^64 divided by the golden ratio, Knuth). */
static uint64_t hash_of(uint32_t name)
{
    return (uint64_t)name * UINT64_C(0x9e3779b97f4a7c15);
}

struct wanted {
    const struct br_gossip *gossip;
    uint32_t name;
};

static bool is_wanted(const void *context, uint32_t index)
{
    const struct wanted *wanted = context;
    return wanted->gossip->rumours[index].name == wanted->name;
}

static uint32_t find_rumour(const struct br_gossip *g, uint32_t name)
{
    struct wanted wanted = {g, name};
    uint32_t index = br_table_find(&g->by_name, hash_of(name), is_wanted, &wanted);
    return index == BR_TABLE_NONE ? 0 : index;
}

static int grow(struct br_gossip *g, uint32_t want)
{
    uint64_t capacity = g->capacity < CAPACITY_MIN ? CAPACITY_MIN : (uint64_t)g->capacity * 2;
    if (capacity < want)
        capacity = want;
    if (capacity > UINT32_MAX || br_queue_reserve(&g->queue, (uint32_t)capacity - 1) != 0)
        return BRUIT_ENOMEM;
    struct br_rumour *rumours = br_alloc_resize(&g->core->alloc, g->rumours, g->capacity * sizeof rumours[0],
                                                (size_t)capacity * sizeof rumours[0]);
    if (rumours == NULL)
        return BRUIT_ENOMEM;
    g->rumours = rumours;
    g->capacity = (uint32_t)capacity;
    return 0;
}

int br_gossip_reserve(struct br_gossip *g, uint32_t extra)
{
    uint64_t want = (uint64_t)br_queue_count(&g->queue) + extra + 1;
    if (want > UINT32_MAX || br_table_reserve(&g->by_name, extra) != 0)
        return BRUIT_ENOMEM;
    return want <= g->capacity ? 0 : grow(g, (uint32_t)want);
}

static uint32_t take_entry(struct br_gossip *g)
{
    uint32_t index = g->free;
    if (index != 0)
        g->free = g->rumours[index].name;
    else
        index = g->used++;
    BR_ASSERT(index < g->capacity);
    return index;
}

/* The rumour is over, told often enough or displaced: whoever watches it hears of it. */
static void end_watch(struct br_gossip *g, const struct br_rumour *rumour)
{
    if (rumour->watch == 0)
        return;
    uint32_t *place = br_ring_push(&g->done);
    BR_ASSERT(place != NULL); /* reserved when the watch began */
    *place = rumour->watch;
    g->watching--;
}

/* Frees an entry that is no longer in the queue. */
static void free_entry(struct br_gossip *g, uint32_t index)
{
    struct br_rumour *rumour = &g->rumours[index];
    if (index == g->refutation)
        g->refutation = 0;
    else
        br_table_remove(&g->by_name, hash_of(rumour->name), index);
    end_watch(g, rumour);
    let_go(g, rumour);
    *rumour = (struct br_rumour){.name = g->free};
    g->free = index;
}

void br_gossip_forget(struct br_gossip *g)
{
    for (uint32_t index; (index = br_queue_drop_worst(&g->queue)) != 0;)
        free_entry(g, index);
    g->target_count = g->target_next = 0;
    if (!g->modules_wait)
        g->next_round = BRUIT_NEVER;
}

uint32_t br_gossip_watch(struct br_gossip *g, uint32_t name)
{
    uint32_t index = find_rumour(g, name);
    if (index == 0)
        return 0;
    struct br_rumour *rumour = &g->rumours[index];
    if (rumour->watch != 0)
        return rumour->watch;
    if (br_ring_reserve(&g->done, g->watching + 1) != 0)
        return 0;
    g->watching++;
    if (++g->watch == 0)
        g->watch = 1;
    rumour->watch = g->watch;
    return rumour->watch;
}

uint32_t br_gossip_next_done(struct br_gossip *g)
{
    const uint32_t *first = br_ring_front(&g->done);
    uint32_t watch = first == NULL ? 0 : *first;
    br_ring_pop(&g->done);
    return watch;
}

/* ---- when ---- */

static bool others_wait(const struct br_gossip *g)
{
    return br_queue_count(&g->queue) != 0 || g->modules_wait;
}

static bool is_waiting(const struct br_gossip *g)
{
    return others_wait(g) || g->peers_wait != 0;
}

/* The first time on the grid after `now`. */
static bruit_time next_on_grid(const struct br_gossip *g, bruit_time now)
{
    bruit_time interval = g->core->config.gossip_interval;
    if (now < g->phase)
        return g->phase;
    return br_time_add(g->phase, br_time_mul(interval, (now - g->phase) / interval + 1));
}

static void save_up(struct br_gossip *g, bruit_time now)
{
    bruit_time elapsed = br_time_since(g->saved_at, now);
    /* More than this fills the burst whatever the debts; and the product below stays small. */
    if (elapsed > 60 * BRUIT_SECOND)
        elapsed = 60 * BRUIT_SECOND;
    int64_t earned = (int64_t)(elapsed * BR_GOSSIP_EAGER_RATE / BRUIT_SECOND);
    if (earned == 0)
        return; /* too soon to count: the fraction must not be lost */
    g->saved_at = now;
    g->savings += earned;
    if (g->savings > BR_GOSSIP_EAGER_BURST)
        g->savings = BR_GOSSIP_EAGER_BURST;
}

static bool can_be_eager(struct br_gossip *g, bruit_time now)
{
    save_up(g, now);
    return g->eager && g->savings > 0;
}

/* There is something to tell: lets a round come, soon if it is news. `was_waiting`: something was before. */
static void want_round(struct br_gossip *g, bool was_waiting, bool fresh, bruit_time jitter, bruit_time now)
{
    if (g->core->config.gossip_interval == 0)
        return;
    g->has_news |= fresh;
    if (!was_waiting) {
        g->next_round = BRUIT_NEVER; /* of an earlier time */
        g->next_eager = false;
    }
    g->next_round = br_time_min(g->next_round, next_on_grid(g, now));
    if (!fresh || g->next_round <= br_time_add(now, jitter) || !can_be_eager(g, now))
        return;
    g->next_round = br_time_add(now, br_rng_time_below(&g->rng, jitter));
    g->next_eager = true;
}

void br_gossip_wake(struct br_gossip *g, bool wait, bool fresh, bruit_time now)
{
    bool was_waiting = is_waiting(g);
    bool is_new = wait && (fresh || !g->modules_wait);
    g->modules_wait = wait;
    if (is_new)
        want_round(g, was_waiting, fresh, BR_GOSSIP_JITTER_MODULES, now);
}

void br_gossip_wake_peers(struct br_gossip *g, uint8_t peers, bool fresh, bruit_time now)
{
    bool was_waiting = is_waiting(g);
    bool is_new = peers != 0 && (fresh || (peers & ~g->peers_wait) != 0);
    g->peers_wait = peers;
    if (is_new)
        want_round(g, was_waiting, fresh, BR_GOSSIP_JITTER_MODULES, now);
}

bruit_time br_gossip_deadline(const struct br_gossip *g)
{
    return is_waiting(g) ? g->next_round : BRUIT_NEVER;
}

/* ---- news ---- */

/* Queues `news`, which holds all that it names, in the place of an older rumour of the same key if there is one. */
static int put_rumour(struct br_gossip *g, const struct br_rumour *news, size_t size, bool refutes,
                      bruit_time now)
{
    bool was_waiting = is_waiting(g);
    uint32_t index = refutes ? g->refutation : find_rumour(g, news->name);
    if (index == 0) {
        if (br_gossip_reserve(g, 1) != 0)
            return BRUIT_ENOMEM;
        index = take_entry(g);
        if (refutes)
            g->refutation = index;
        else
            br_table_insert(&g->by_name, hash_of(news->name), index);
    } else {
        br_queue_remove(&g->queue, index);
        end_watch(g, &g->rumours[index]);
        let_go(g, &g->rumours[index]);
    }
    g->rumours[index] = *news;
    br_queue_insert(&g->queue, index, (uint16_t)size);
    want_round(g, was_waiting, true, BR_GOSSIP_JITTER, now);
    return 0;
}

static int put_held(struct br_gossip *g, const struct br_rumour *news, size_t size, bool refutes,
                    bruit_time now)
{
    int status = put_rumour(g, news, size, refutes, now);
    if (status != 0)
        let_go(g, news);
    return status;
}

static int put_alive(struct br_gossip *g, uint32_t record, uint32_t incarnation, bool refutes, bruit_time now)
{
    struct br_roster *roster = g->core->roster;
    size_t size = br_fragment_alive_size(br_roster_fragment(roster, record), incarnation);
    size += g->core->carries != 0 ? BR_CARRIES_SIZE : 0; /* of the subject, if it carries something: see write_rumour */
    if (size > UINT16_MAX)
        return BRUIT_ETOOBIG;
    struct br_rumour news = {
        .kind = BR_RUMOUR_ALIVE,
        .name = br_roster_name_of(roster, record),
        .record = record,
        .incarnation = incarnation,
    };
    br_roster_hold(roster, record);
    br_roster_name_hold(roster, news.name);
    return put_held(g, &news, size, refutes, now);
}

int br_gossip_alive(struct br_gossip *g, uint32_t record, uint32_t incarnation, bruit_time now)
{
    return put_alive(g, record, incarnation, false, now);
}

int br_gossip_refute(struct br_gossip *g, uint32_t record, uint32_t incarnation, bruit_time now)
{
    return put_alive(g, record, incarnation, true, now);
}

/* What MessagePack takes for a string of up to 65,535 bytes, and for a number. */
static size_t string_size(size_t size)
{
    return size < 32 ? 1 + size : 3 + size;
}

static size_t number_size(uint32_t number)
{
    return number < 128 ? 1 : number < 256 ? 2 : number < 65536 ? 3 : 5;
}

/* A suspect or dead message: type byte, map, and the keys From, Incarnation and Node with their values. */
static size_t accusation_size(size_t node_size, size_t from_size, uint32_t incarnation)
{
    return 2 + string_size(4) + string_size(from_size) + string_size(11) + number_size(incarnation) +
           string_size(4) + string_size(node_size);
}

static int put_accusation(struct br_gossip *g, enum br_rumour_kind kind, uint32_t name, uint32_t incarnation,
                          struct bruit_bytes from, bruit_time now)
{
    struct br_roster *roster = g->core->roster;
    if (from.size > BRUIT_NAME_MAX)
        return BRUIT_ETOOBIG;
    struct br_rumour news = {.kind = (uint8_t)kind, .name = name, .incarnation = incarnation};
    if (from.size != 0 && (news.from = br_roster_name_intern(roster, from)) == 0)
        return BRUIT_ENOMEM;
    br_roster_name_hold(roster, name);
    size_t size = accusation_size(br_roster_name_text(roster, name).size, from.size, incarnation);
    return put_held(g, &news, size, false, now);
}

int br_gossip_suspect(struct br_gossip *g, uint32_t name, uint32_t incarnation, struct bruit_bytes from,
                      bruit_time now)
{
    return put_accusation(g, BR_RUMOUR_SUSPECT, name, incarnation, from, now);
}

int br_gossip_dead(struct br_gossip *g, uint32_t name, uint32_t incarnation, struct bruit_bytes from,
                   bruit_time now)
{
    return put_accusation(g, BR_RUMOUR_DEAD, name, incarnation, from, now);
}

/* ---- rounds ---- */

struct round {
    const struct br_core *core;
    bruit_time now;
    uint8_t carries; /* 0, or targets have some of these capabilities and are alive */
    const uint32_t *excluded; /* slots that are not picked: chosen already, or told in the last round */
    uint32_t excluded_count;
};

static bool is_among(const uint32_t *slots, uint32_t count, uint32_t slot)
{
    for (uint32_t i = 0; i < count; i++)
        if (slots[i] == slot)
            return true;
    return false;
}

/* Alive, suspect, or dead for not too long: it may live after all, and should hear what is said of it. */
static bool fits_gossip(const void *context, uint32_t slot)
{
    const struct round *round = context;
    const struct br_view *view = &round->core->view;
    if (slot == round->core->self || is_among(round->excluded, round->excluded_count, slot))
        return false;
    if (round->carries != 0)
        return br_view_is_live(view, slot) && (view->carries[slot] & round->carries) != 0;
    if (view->state[slot] == BRUIT_DEAD)
        return br_time_since(view->since[slot], round->now) <= round->core->config.gossip_to_the_dead;
    return br_view_is_live(view, slot);
}

/* Is anybody but us known who may have to be told? News of one wakes us, so it is safe to sleep until then. */
static bool has_company(const struct br_core *core)
{
    const struct br_view *view = &core->view;
    uint32_t self = br_view_is_known(view, core->self) && view->state[core->self] != BRUIT_LEFT ? 1 : 0;
    return br_view_live_count(view) + view->state_count[BRUIT_DEAD] > self;
}

/* How far a member is ahead of us on the ring: the order of identity hashes, which are the same everywhere. */
static uint64_t distance_to(const struct br_core *core, uint32_t slot)
{
    const struct br_record *records = core->roster->records;
    const struct br_view *view = &core->view;
    return records[view->record[slot]].identity - records[view->record[core->self]].identity;
}

/* Puts `slot` in its place among the `nearest`. */
static void offer_successor(const struct br_gossip *g, uint32_t *nearest, uint32_t slot)
{
    for (unsigned i = 0; i < BR_GOSSIP_SUCCESSORS; i++) {
        uint32_t held = nearest[i];
        if (held != 0 && distance_to(g->core, held) <= distance_to(g->core, slot))
            continue;
        nearest[i] = slot;
        if (held == 0)
            return;
        slot = held;
    }
}

static void find_successors(struct br_gossip *g)
{
    const struct br_view *view = &g->core->view;
    if (g->ring_checksum == view->checksum)
        return;
    g->ring_checksum = view->checksum;
    g->ring_carries = 0;
    for (unsigned i = 0; i < BR_GOSSIP_SUCCESSORS; i++)
        g->successors[i] = 0;
    for (uint32_t place = 0; place < view->count; place++) {
        uint32_t slot = view->order[place];
        if (slot != g->core->self && br_view_is_live(view, slot))
            offer_successor(g, g->successors, slot);
    }
}

/* The nearest of those who have some of the capabilities that messages wait for. */
static void find_peers(struct br_gossip *g)
{
    const struct br_view *view = &g->core->view;
    find_successors(g);
    if (g->ring_carries == g->peers_wait)
        return;
    g->ring_carries = g->peers_wait;
    for (unsigned i = 0; i < BR_GOSSIP_SUCCESSORS; i++)
        g->peers[i] = 0;
    struct round round = {.core = g->core, .carries = g->peers_wait};
    for (uint32_t place = 0; place < view->count; place++)
        if (fits_gossip(&round, view->order[place]))
            offer_successor(g, g->peers, view->order[place]);
}

void br_gossip_peers_changed(struct br_gossip *g)
{
    g->ring_carries = 0;
}

void br_gossip_follow(struct br_gossip *g, uint32_t slot, uint64_t checksum_before)
{
    const struct br_view *view = &g->core->view;
    if (g->ring_checksum != checksum_before || slot == g->core->self)
        return;
    for (unsigned i = 0; i < BR_GOSSIP_SUCCESSORS; i++)
        if (g->successors[i] == slot)
            return; /* it may have died, or moved on the ring */
    if (br_view_is_live(view, slot))
        offer_successor(g, g->successors, slot);
    g->ring_checksum = view->checksum;
    g->ring_carries = 0;
}

uint32_t br_gossip_successor(struct br_gossip *g)
{
    if (!br_view_is_known(&g->core->view, g->core->self))
        return 0;
    find_successors(g);
    return g->successors[0];
}

/* How many of the nearest are ours to tell at once: up to the first of our make, or one where makes are not known. */
static unsigned count_duty(const struct br_gossip *g, const uint32_t *nearest)
{
    unsigned count = 1;
    while (g->core->carries != 0 && count < BR_GOSSIP_SUCCESSORS && nearest[count] != 0 &&
           g->core->view.carries[nearest[count - 1]] == 0)
        count++;
    return count;
}

/*
 * Puts the successors that this round tells into `slots`, at most `most`: how many. News goes to the nearest. A round
 * that has only what was told already begins with those that the last round left out, the farther first: the nearest
 * may be dead without anybody knowing.
 */
static uint32_t choose_successors(struct br_gossip *g, uint32_t *slots, uint32_t most)
{
    if (br_gossip_successor(g) == 0 || most == 0)
        return 0;
    if (g->round_peers)
        find_peers(g);
    const uint32_t *nearest = g->round_peers ? g->peers : g->successors;
    const struct br_gossip_told *told = &g->told[g->round_peers];
    unsigned duty = count_duty(g, nearest);
    unsigned reach = duty > BR_GOSSIP_SUCCESSORS_USUAL ? duty : BR_GOSSIP_SUCCESSORS_USUAL;
    uint32_t count = 0;
    most = duty < most ? duty : most;
    for (unsigned i = 0; g->has_news && i < most && nearest[i] != 0; i++)
        slots[count++] = nearest[i];
    for (unsigned i = reach; !g->has_news && i-- > 0 && count < most;)
        if (nearest[i] != 0 && !is_among(told->slots, told->count, nearest[i]))
            slots[count++] = nearest[i];
    return count;
}

/*
 * Writes the targets of a round: successors, then members at random of whom none was told in the last round, so that
 * the few transmissions of a small cluster reach different members. At least one stays random.
 */
static uint32_t choose_targets(struct br_gossip *g, uint32_t fan_out, bruit_time now)
{
    const struct br_view *view = &g->core->view;
    uint32_t slots[2 * BR_PICK_MAX];
    uint32_t count = choose_successors(g, slots, fan_out > 1 ? fan_out - 1 : 0);
    const struct br_gossip_told *told = &g->told[g->round_peers];
    memcpy(slots + count, told->slots, told->count * sizeof slots[0]);
    struct round round = {g->core, now, g->round_peers ? g->peers_wait : 0, slots, count + told->count};
    memcpy(g->targets, slots, count * sizeof slots[0]);
    count += br_pick(view, &g->rng, fan_out - count, fits_gossip, &round, g->targets + count);
    if (count != 0)
        return count;
    round.excluded_count = 0; /* everybody was told: once more, for what was lost */
    return br_pick(view, &g->rng, fan_out, fits_gossip, &round, g->targets);
}

/* Has every live member all the capabilities that messages wait for? Then one round does for both kinds of news. */
static bool are_all_peers(const struct br_gossip *g)
{
    const struct br_view *view = &g->core->view;
    for (unsigned bit = 0; bit < 8; bit++)
        if (g->peers_wait >> bit & 1 && view->peer_count[bit] < br_view_live_count(view))
            return false;
    return true;
}

/* Which kind of round it is. */
static void choose_kind(struct br_gossip *g)
{
    g->round_peers = g->peers_wait != 0 && !are_all_peers(g) && (!others_wait(g) || g->next_peers);
    g->next_peers = !g->round_peers;
}

void br_gossip_tick(struct br_gossip *g, bruit_time now)
{
    if (now < br_gossip_deadline(g))
        return;
    const struct br_core *core = g->core;
    choose_kind(g);
    uint32_t fan_out = core->config.gossip_nodes < BR_PICK_MAX ? core->config.gossip_nodes : BR_PICK_MAX;
    g->target_count = choose_targets(g, fan_out, now);
    g->target_next = 0;
    g->told[g->round_peers].count = 0;
    g->round_eager = g->next_eager;
    if (g->round_peers && others_wait(g))
        return; /* their round follows at once: it is due, and as it was */
    g->next_eager = g->has_news = false;
    g->next_round = has_company(core) ? next_on_grid(g, now) : BRUIT_NEVER;
}

bool br_gossip_next(struct br_gossip *g, struct br_send *send)
{
    const struct br_view *view = &g->core->view;
    while (g->target_next < g->target_count && is_waiting(g)) {
        uint32_t slot = g->targets[g->target_next++];
        if (!br_view_is_known(view, slot) || view->state[slot] == BRUIT_LEFT)
            continue;
        struct br_gossip_told *told = &g->told[g->round_peers];
        told->slots[told->count++] = slot;
        *send = (struct br_send){.kind = BR_SEND_GOSSIP, .to = br_core_addr(g->core, slot), .slot = slot};
        return true;
    }
    g->target_count = g->target_next = 0;
    return false;
}

void br_gossip_sent(struct br_gossip *g, size_t size, bruit_time now)
{
    if (!g->round_eager)
        return;
    save_up(g, now);
    g->savings -= (int64_t)size;
}

/* ---- packets ---- */

struct filling {
    struct br_gossip *gossip;
    struct br_packet_builder *builder;
};

/* What we know that the member of this name carries; who carries nothing itself need not tell. */
static uint8_t carried_by(const struct br_core *core, uint32_t name)
{
    return core->carries == 0 ? 0 : core->view.carries[br_view_find(&core->view, name)];
}

static void write_rumour(struct br_writer *w, const struct br_gossip *g, const struct br_rumour *rumour)
{
    const struct br_roster *roster = g->core->roster;
    struct bruit_bytes from =
        rumour->from == 0 ? br_bytes(NULL, 0) : br_roster_name_text(roster, rumour->from);
    switch ((enum br_rumour_kind)rumour->kind) {
    case BR_RUMOUR_ALIVE:
        br_fragment_write_alive(w, br_roster_fragment(roster, rumour->record), rumour->incarnation,
                                carried_by(g->core, rumour->name));
        break;
    case BR_RUMOUR_SUSPECT:
        br_suspect_encode(w, &(struct br_suspect){.incarnation = rumour->incarnation,
                                                  .node = br_roster_name_text(roster, rumour->name),
                                                  .from = from});
        break;
    case BR_RUMOUR_DEAD:
        br_dead_encode(w, &(struct br_dead){.incarnation = rumour->incarnation,
                                            .node = br_roster_name_text(roster, rumour->name),
                                            .from = from});
        break;
    case BR_RUMOUR_FREE: BR_ASSERT(false);
    }
}

static void add_rumour(void *context, uint32_t index)
{
    const struct filling *filling = context;
    const struct br_gossip *g = filling->gossip;
    struct br_writer leaf = br_packet_leaf(filling->builder);
    write_rumour(&leaf, g, &g->rumours[index]);
    /* A caller whose buffer is smaller than the budget it gave loses this one transmission, no more. */
    (void)br_packet_leaf_end(filling->builder, &leaf);
}

static uint32_t transmit_limit(struct br_gossip *g)
{
    const struct br_core *core = g->core;
    if (g->limit == 0 || g->limit_members != core->view.count) {
        g->limit_members = core->view.count;
        g->limit = br_num_retransmit_limit(core->config.retransmit_mult, g->limit_members);
    }
    return g->limit;
}

size_t br_gossip_fill(struct br_gossip *g, struct br_packet_builder *builder, size_t room)
{
    if (br_queue_count(&g->queue) == 0)
        return 0;
    struct filling filling = {g, builder};
    uint32_t count_max = (uint32_t)(BR_COMPOUND_PARTS_MAX - builder->count);
    size_t used = br_queue_take(&g->queue, BR_PACKET_MESSAGE_OVERHEAD, room, count_max, transmit_limit(g),
                                add_rumour, &filling);
    uint32_t index;
    while ((index = br_queue_next_done(&g->queue)) != 0)
        free_entry(g, index);
    return used;
}
