/*
 * Claims: what is said of a member, by whomever (docs/wire/memberlist.md sections 6.3 to 6.6 and 9.3).
 *
 * Each claim is first checked for sense and for belonging, then looked up in the transition table, and its verdict
 * is carried out: memory is reserved, the rumour queued, the belief changed, timers started or stopped, modules and
 * program told. News comes from gossip, from syncs and from our own detector, all through here.
 *
 * Where we differ from memberlist: an alive with incarnation 0, which can never become alive, makes no record at
 * all; and versions that could not be merged later are refused at once (section 12 item 2).
 */
#include "base/check.h"
#include "base/time.h"
#include "codec/addr.h"
#include "engine/engine.h"
#include "member/transition.h"

/* ---- who belongs ---- */

static bool is_in_cidr(const struct bruit_cidr *cidr, const struct bruit_addr *addr)
{
    if (cidr->size != addr->size)
        return false;
    uint32_t whole = cidr->bits / 8u;
    uint32_t rest = cidr->bits % 8u;
    if (memcmp(cidr->ip, addr->ip, whole) != 0)
        return false;
    uint8_t mask = (uint8_t)(0xff00u >> rest);
    return rest == 0 || ((cidr->ip[whole] ^ addr->ip[whole]) & mask) == 0;
}

static bool is_allowed(const struct br_core *core, const struct bruit_addr *addr)
{
    if (core->config.cidr_count == 0)
        return true;
    struct bruit_addr plain = br_addr_unmapped(addr);
    for (size_t i = 0; i < core->config.cidr_count; i++)
        if (is_in_cidr(&core->config.cidrs[i], &plain))
            return true;
    return false;
}

/* The packet's source and the address it speaks of (section 6.3, steps 0, 4 and 5). */
static bool is_welcome(const struct bruit_engine *engine, const struct br_alive *alive)
{
    struct bruit_addr addr;
    if (engine->core.config.cidr_count == 0)
        return true;
    if (engine->packet_from != NULL && !is_allowed(&engine->core, engine->packet_from))
        return false;
    return br_addr_make(&addr, alive->addr, alive->port) == 0 && is_allowed(&engine->core, &addr);
}

/*
 * Versions that no merge with ours could accept would spoil every later sync of everybody who took them in.
 */
static bool is_compatible(const struct br_core *core, const struct br_alive *alive)
{
    const struct bruit_config *c = &core->config;
    const uint8_t *vsn = alive->vsn.data;
    return c->delegate_current >= vsn[BR_VSN_DMIN] && c->delegate_current <= vsn[BR_VSN_DMAX] &&
           vsn[BR_VSN_DCUR] >= c->delegate_min && vsn[BR_VSN_DCUR] <= c->delegate_max &&
           c->protocol >= vsn[BR_VSN_PMIN] && c->protocol <= vsn[BR_VSN_PMAX] &&
           vsn[BR_VSN_PCUR] >= BR_PROTOCOL_MIN && vsn[BR_VSN_PCUR] <= BR_PROTOCOL_MAX;
}

/* ---- carrying out ---- */

static bool is_self(const struct bruit_engine *engine, uint32_t slot)
{
    return slot == engine->core.self;
}

static uint32_t name_number(const struct bruit_engine *engine, uint32_t slot)
{
    return br_roster_name_of(engine->core.roster, engine->core.view.record[slot]);
}

static void believe(struct bruit_engine *engine, uint32_t slot, enum bruit_state state, uint32_t incarnation)
{
    BR_ASSERT(br_transition_is_allowed((enum bruit_state)engine->core.view.state[slot], state));
    br_view_believe(&engine->core.view, slot, state, incarnation, engine->core.now);
}

/*
 * The answer to an accusation: an incarnation above it (section 6.6). Above the last number there is none: then we
 * keep silent rather than wrap to 0, which nobody would believe ever again, and wait to be forgotten.
 */
static int refute(struct bruit_engine *engine, uint32_t accused, const char *what, struct bruit_bytes from)
{
    struct br_core *core = &engine->core;
    uint32_t slot = core->self;
    if (accused == UINT32_MAX || core->incarnation == UINT32_MAX) {
        BR_TRACE(&core->tracer, cannot_refute, .from = from);
        br_core_drop(core, BRUIT_DROP_INCARNATION_MAX);
        return 0;
    }
    uint32_t incarnation = (accused > core->incarnation ? accused : core->incarnation) + 1;
    int status = br_gossip_refute(&engine->gossip, core->view.record[slot], incarnation, core->now);
    if (status != 0)
        return status;
    BR_TRACE(&core->tracer, refuting, .what = what, .from = from, .theirs = accused, .ours = incarnation);
    core->incarnation = incarnation;
    br_awareness_apply(&engine->awareness, BR_AWARENESS_REFUTED);
    br_view_believe(&core->view, slot, (enum bruit_state)core->view.state[slot], incarnation, core->now);
    return 0;
}

/* ---- what a member carries ---- */

static void tell_peer(struct bruit_engine *engine, uint32_t slot)
{
    br_gossip_peers_changed(&engine->gossip);
    br_hosts_told(engine, slot, BRUIT_CHANGE_PEER);
}

static void learn_carries(struct bruit_engine *engine, uint32_t slot, uint8_t carries)
{
    struct br_view *view = &engine->core.view;
    if (view->carries[slot] == carries || !br_view_is_live(view, slot) || is_self(engine, slot))
        return;
    br_view_carry(view, slot, carries);
    tell_peer(engine, slot);
}

void br_claim_own_carries(struct bruit_engine *engine, uint32_t slot, uint8_t carries)
{
    learn_carries(engine, slot, carries);
}

void br_claim_carries(struct bruit_engine *engine, uint32_t slot, uint32_t incarnation, uint8_t carries)
{
    const struct br_core *core = &engine->core;
    if (slot == 0 || carries == 0 || core->carries == 0 || core->view.incarnation[slot] != incarnation)
        return;
    learn_carries(engine, slot, core->view.carries[slot] | carries);
}

/* ---- alive ---- */

static void report_conflict(struct bruit_engine *engine, uint32_t slot, const struct br_alive *alive)
{
    struct bruit_event event = {.type = BRUIT_EVENT_CONFLICT, .node = slot};
    (void)br_addr_make(&event.addr, alive->addr, alive->port); /* checked: 4 or 16 bytes */
    struct bruit_addr ours = br_core_addr(&engine->core, slot);
    BR_TRACE(&engine->core.tracer, conflict, .name = alive->node, .ours = ours, .theirs = event.addr);
    br_core_drop(&engine->core, BRUIT_DROP_NAME_CONFLICT);
    (void)br_event_push(engine, &event); /* counted already; a full queue loses the repetition */
    engine->claimant = event.addr;
    br_hosts_told(engine, slot, BRUIT_CHANGE_CONFLICT);
}

/* May this name move to another address? Left members may, dead ones after a while (section 6.3 step 5). */
static bool may_move(const struct br_core *core, uint32_t slot)
{
    if (core->view.state[slot] == BRUIT_LEFT)
        return true;
    return core->view.state[slot] == BRUIT_DEAD && core->config.dead_reclaim > 0 &&
           br_time_since(core->view.since[slot], core->now) > core->config.dead_reclaim;
}

/* A name we did not know: a dead record at a random place of the probe round (section 6.3 step 4). */
static uint32_t add_member(struct bruit_engine *engine, uint32_t record)
{
    struct br_view *view = &engine->core.view;
    uint32_t known = view->count;
    uint32_t slot = br_view_add(view, record);
    if (slot != 0 && known > 0)
        br_view_swap(view, br_rng_below(&engine->rng, known), known);
    return slot;
}

/* The verdict BECOME of an alive: identity, belief, rumour, and whoever wants to know. */
static int become_alive(struct bruit_engine *engine, uint32_t slot, const struct br_alive *alive)
{
    struct br_core *core = &engine->core;
    uint64_t checksum_before = core->view.checksum;
    uint32_t record = br_roster_intern(core->roster, alive);
    if (record == 0)
        return BRUIT_ENOMEM;
    int status = slot == 0 ? br_view_reserve(&core->view, record) : 0;
    if (status == 0)
        status = br_gossip_alive(&engine->gossip, record, alive->incarnation, core->now);
    if (status != 0) {
        br_roster_drop(core->roster, record);
        return status;
    }
    if (slot == 0) {
        br_roster_hold(core->roster, record);
        slot = add_member(engine, record);
        BR_ASSERT(slot != 0); /* reserved */
    }
    /*
     * Whoever is new, comes back, or has a new incarnation may be another program than the one we knew, at the same
     * address. Go members lose the key when they pass an alive on: then its next ping or ack tells us again.
     */
    uint8_t carries = core->carries == 0 ? 0 : alive->carries;
    bool is_changed = !is_self(engine, slot) && core->view.carries[slot] != carries;
    if (is_changed)
        br_view_carry(&core->view, slot, carries);
    bool same_meta = br_bytes_equal(br_fragment_meta(br_core_fragment(core, slot)), alive->meta);
    uint32_t changes = br_transition_change((enum bruit_state)core->view.state[slot], BRUIT_ALIVE);
    if (!same_meta && !(changes & BRUIT_CHANGE_JOINED))
        changes |= BRUIT_CHANGE_UPDATED;
    br_suspicion_cancel(&engine->suspicion, slot);
    br_view_identify(&core->view, slot, record);
    believe(engine, slot, BRUIT_ALIVE, alive->incarnation);
    br_gossip_follow(&engine->gossip, slot, checksum_before);
    if (changes & BRUIT_CHANGE_JOINED && !is_self(engine, slot))
        br_sync_heard_join(&engine->sync, engine->is_repairing, core->now);
    br_hosts_changed(engine, slot, changes);
    if (is_changed)
        tell_peer(engine, slot);
    return 0;
}

/* Somebody tells us who we are. The address was compared before. */
static int alive_about_self(struct bruit_engine *engine, const struct br_alive *alive)
{
    const struct br_core *core = &engine->core;
    bool differs = !br_fragment_matches_alive(br_core_fragment(core, core->self), alive);
    enum br_relation relation = br_relation_of(alive->incarnation, core->incarnation);
    enum br_verdict verdict = br_transition_self(
        BRUIT_ALIVE, relation, (enum bruit_state)core->view.state[core->self], core->leaving, differs);
    return verdict == BR_REFUTE ? refute(engine, alive->incarnation, "an alive", alive->node) : 0;
}

static int alive_about_known(struct bruit_engine *engine, uint32_t slot, const struct br_alive *alive)
{
    const struct br_core *core = &engine->core;
    bool moves = !br_fragment_same_address(br_core_fragment(core, slot), alive);
    if (BR_UNLIKELY(moves) && (is_self(engine, slot) || !may_move(core, slot))) {
        if (is_welcome(engine, alive) && !(is_self(engine, slot) && core->leaving))
            report_conflict(engine, slot, alive);
        return 0;
    }
    if (is_self(engine, slot))
        return alive_about_self(engine, alive);
    enum br_relation relation = br_relation_of(alive->incarnation, core->view.incarnation[slot]);
    enum br_verdict verdict = br_transition(BRUIT_ALIVE, relation, (enum bruit_state)core->view.state[slot]);
    if (verdict != BR_BECOME && !moves)
        return 0;
    if (!is_welcome(engine, alive)) {
        br_core_drop(&engine->core, BRUIT_DROP_NOT_ALLOWED);
        return 0;
    }
    return become_alive(engine, slot, alive);
}

static int alive_about_unknown(struct bruit_engine *engine, const struct br_alive *alive)
{
    struct br_core *core = &engine->core;
    if (alive->incarnation == 0)
        return 0;
    if (!is_welcome(engine, alive)) {
        br_core_drop(core, BRUIT_DROP_NOT_ALLOWED);
        return 0;
    }
    if (core->view.count >= core->config.members_max) {
        br_core_drop(core, BRUIT_DROP_MEMBERS_FULL);
        return 0;
    }
    return become_alive(engine, 0, alive);
}

int br_claim_alive(struct bruit_engine *engine, struct br_alive *alive)
{
    return br_claim_alive_of(engine, br_view_find_text(&engine->core.view, alive->node), alive);
}

void br_claim_conflict(struct bruit_engine *engine, uint32_t slot, const struct br_alive *alive)
{
    report_conflict(engine, slot, alive);
}

uint32_t br_claim_add(struct bruit_engine *engine, uint32_t record)
{
    return add_member(engine, record);
}

/* Puts port and versions in order, and says whether it may be taken in at all. */
static bool is_sane(struct br_core *core, struct br_alive *alive)
{
    if (alive->port == 0 || core->config.protocol == 1)
        alive->port = core->config.bind_port;
    if (BR_UNLIKELY(!br_alive_is_sane(alive) || !is_compatible(core, alive) ||
                    alive->meta.size > BRUIT_META_MAX)) {
        br_core_drop(core, BRUIT_DROP_BAD_ALIVE);
        return false;
    }
    alive->vsn.size = BR_VSN_SIZE; /* bytes to come mean nothing to us, and would not be passed on upstream */
    return true;
}

bool br_claim_is_fit(struct bruit_engine *engine, struct br_alive *alive)
{
    if (!is_sane(&engine->core, alive))
        return false;
    if (is_welcome(engine, alive))
        return true;
    br_core_drop(&engine->core, BRUIT_DROP_NOT_ALLOWED);
    return false;
}

int br_claim_alive_of(struct bruit_engine *engine, uint32_t slot, struct br_alive *alive)
{
    if (!is_sane(&engine->core, alive))
        return 0;
    int status = slot == 0 ? alive_about_unknown(engine, alive) : alive_about_known(engine, slot, alive);
    /* Not of another of this name, elsewhere. */
    if (BR_UNLIKELY(alive->carries != 0) && slot != 0 &&
        br_fragment_same_address(br_core_fragment(&engine->core, slot), alive))
        br_claim_carries(engine, slot, alive->incarnation, alive->carries);
    return status;
}

/* Our own record comes first, so that whoever is told of our birth can see that it is ours. */
static int be_born(struct bruit_engine *engine, const struct br_alive *identity)
{
    struct br_core *core = &engine->core;
    uint32_t record = br_roster_intern(core->roster, identity);
    if (record == 0)
        return BRUIT_ENOMEM;
    core->self = add_member(engine, record);
    if (core->self != 0)
        return 0;
    br_roster_drop(core->roster, record);
    return BRUIT_ENOMEM;
}

int br_claim_self(struct bruit_engine *engine, const struct br_alive *identity)
{
    struct br_core *core = &engine->core;
    struct br_alive alive = *identity;
    if (br_beat_is_on(engine))
        return br_beat_self(engine, identity);
    if (core->incarnation == UINT32_MAX)
        return BRUIT_EFULL;
    alive.incarnation = core->incarnation + 1;
    int status = core->self == 0 ? be_born(engine, &alive) : 0;
    if (status == 0)
        status = become_alive(engine, core->self, &alive);
    if (status == 0)
        core->incarnation = alive.incarnation;
    return status;
}

/* ---- suspect ---- */

static int become_suspect(struct bruit_engine *engine, uint32_t slot, const struct br_suspect *suspect)
{
    struct br_core *core = &engine->core;
    int status = br_suspicion_reserve(&engine->suspicion, 1);
    if (status == 0)
        status = br_gossip_suspect(&engine->gossip, name_number(engine, slot), suspect->incarnation,
                                   suspect->from, core->now);
    if (status != 0)
        return status;
    BR_TRACE(&core->tracer, suspected, .node = suspect->node, .from = suspect->from,
             .incarnation = suspect->incarnation);
    believe(engine, slot, BRUIT_SUSPECT, suspect->incarnation);
    br_suspicion_start(&engine->suspicion, slot, suspect->from, core->now);
    br_hosts_changed(engine, slot, BRUIT_CHANGE_SUSPECTED);
    return 0;
}

static int confirm_suspect(struct bruit_engine *engine, uint32_t slot, const struct br_suspect *suspect)
{
    struct br_core *core = &engine->core;
    uint32_t from = 0;
    int status = br_gossip_reserve(&engine->gossip, 1);
    /* The rumour will hold the accuser's name: with it in the roster nothing after the confirmation can fail. */
    if (status == 0 && suspect->from.size > 0 &&
        (from = br_roster_name_intern(core->roster, suspect->from)) == 0)
        status = BRUIT_ENOMEM;
    if (status == 0 && br_suspicion_confirm(&engine->suspicion, slot, suspect->from, core->now)) {
        BR_TRACE(&core->tracer, confirmed, .node = suspect->node, .from = suspect->from);
        status = br_gossip_suspect(&engine->gossip, name_number(engine, slot), suspect->incarnation,
                                   suspect->from, core->now);
    }
    if (from != 0)
        br_roster_name_drop(core->roster, from);
    return status;
}

static enum br_verdict verdict_of(const struct bruit_engine *engine, uint32_t slot, enum bruit_state claim,
                                  uint32_t incarnation)
{
    const struct br_core *core = &engine->core;
    enum bruit_state state = (enum bruit_state)core->view.state[slot];
    enum br_relation relation = br_relation_of(incarnation, core->view.incarnation[slot]);
    if (is_self(engine, slot))
        return br_transition_self(claim, relation, state, core->leaving, true);
    return br_transition(claim, relation, state);
}

int br_claim_suspect(struct bruit_engine *engine, const struct br_suspect *suspect)
{
    uint32_t slot = br_view_find_text(&engine->core.view, suspect->node);
    if (slot == 0 || suspect->from.size > BRUIT_NAME_MAX)
        return 0;
    switch (verdict_of(engine, slot, BRUIT_SUSPECT, suspect->incarnation)) {
    case BR_BECOME: return become_suspect(engine, slot, suspect);
    case BR_CONFIRM: return confirm_suspect(engine, slot, suspect);
    case BR_REFUTE: return refute(engine, suspect->incarnation, "a suspect", suspect->from);
    case BR_IGNORE: break;
    }
    return 0;
}

/* ---- dead and left ---- */

static int become_dead(struct bruit_engine *engine, uint32_t slot, const struct br_dead *dead,
                       enum bruit_state state)
{
    struct br_core *core = &engine->core;
    uint64_t checksum_before = core->view.checksum;
    int status =
        br_gossip_dead(&engine->gossip, name_number(engine, slot), dead->incarnation, dead->from, core->now);
    if (status != 0)
        return status;
    uint32_t changes = br_transition_change((enum bruit_state)core->view.state[slot], state);
    BR_TRACE(&core->tracer, declared, .node = dead->node, .what = state == BRUIT_LEFT ? "gone" : "dead",
             .incarnation = dead->incarnation, .from = dead->from);
    br_suspicion_cancel(&engine->suspicion, slot);
    believe(engine, slot, state, dead->incarnation);
    br_gossip_follow(&engine->gossip, slot, checksum_before);
    br_hosts_changed(engine, slot, changes);
    return 0;
}

int br_claim_dead(struct bruit_engine *engine, const struct br_dead *dead)
{
    uint32_t slot = br_view_find_text(&engine->core.view, dead->node);
    if (slot == 0 || dead->from.size > BRUIT_NAME_MAX)
        return 0;
    enum bruit_state state = br_bytes_equal(dead->node, dead->from) ? BRUIT_LEFT : BRUIT_DEAD;
    switch (verdict_of(engine, slot, state, dead->incarnation)) {
    case BR_BECOME: return become_dead(engine, slot, dead, state);
    case BR_REFUTE: return refute(engine, dead->incarnation, "a dead", dead->from);
    case BR_CONFIRM:
    case BR_IGNORE: break;
    }
    return 0;
}

/* ---- reaping ---- */

static bool is_reapable(const struct br_core *core, uint32_t slot)
{
    return core->view.state[slot] >= BRUIT_DEAD &&
           br_time_since(core->view.since[slot], core->now) > core->config.gossip_to_the_dead;
}

/*
 * A left self stays in our own table, unlike upstream's: programs ask who they are to the end, and nobody asks us
 * for more.
 */
void br_claim_reap(struct bruit_engine *engine)
{
    struct br_core *core = &engine->core;
    for (uint32_t place = 0; place < core->view.count;) {
        uint32_t slot = core->view.order[place];
        if (is_self(engine, slot) || !is_reapable(core, slot)) {
            place++;
            continue;
        }
        br_hosts_changed(engine, slot, BRUIT_CHANGE_FORGOTTEN);
        if (br_beat_is_on(engine))
            br_beat_forget(engine, slot);
        br_view_remove(&core->view, slot);
    }
}
