/*
 * The prober (probe.h): one function for each thing that can happen to a probe.
 *
 *     IDLE --tick--> OWED --pull--> TAKEN --sent--> DIRECT --timeout--> ASKED --end--> failed
 *
 * An ack in DIRECT or ASKED, or a ping over a stream in ASKED, is success. From everywhere the probe may end without
 * consequence: the target is gone, or what went wrong was ours.
 */
#include "detect/probe.h"

#include "base/check.h"
#include "base/time.h"
#include "codec/memberlist.h"
#include "member/pick.h"

/* The first protocol version in which relays nack, and the first with pings over streams (7.2 step 3). */
#define PMAX_NACK 4
#define PMAX_STREAM_PING 3

void br_probe_init(struct br_probe *p, struct br_core *core, struct br_awareness *awareness, bruit_time now)
{
    *p = (struct br_probe){.core = core, .awareness = awareness, .next_tick = BRUIT_NEVER};
    br_rng_init(&p->rng, core->config.seed, "probe");
    /* A number that strangers cannot guess: acks are matched by it alone. */
    p->seq = (uint32_t)br_rng_u64(&p->rng) & ~UINT32_C(1);
    bruit_time interval = core->config.probe_interval;
    if (interval != 0)
        p->next_tick = br_time_add(now, br_rng_time_below(&p->rng, interval));
}

void br_probe_fini(struct br_probe *p)
{
    if (p->stage != BR_PROBE_IDLE)
        br_roster_name_drop(p->core->roster, p->name);
    p->stage = BR_PROBE_IDLE;
}

/* ---- the schedule ---- */

/* The ticks before `time` are lost. */
static void skip_ticks_before(struct br_probe *p, bruit_time time)
{
    bruit_time interval = p->core->config.probe_interval;
    if (p->next_tick >= time || interval == 0)
        return;
    bruit_time lost = (time - p->next_tick - 1) / interval + 1;
    p->next_tick = br_time_add(p->next_tick, br_time_mul(interval, lost));
}

static void begin_probe(struct br_probe *p, uint32_t slot, bruit_time now)
{
    struct br_core *core = p->core;
    p->stage = BR_PROBE_OWED;
    p->seq += 2;
    p->slot = slot;
    p->name = br_roster_name_of(core->roster, core->view.record[slot]);
    br_roster_name_hold(core->roster, p->name);
    p->incarnation = core->view.incarnation[slot];
    p->scaled = br_awareness_scale(p->awareness, core->config.probe_interval);
    p->deadline = br_time_add(now, p->scaled);
    p->relays_failed = p->relays_nack = 0;
    p->relay_count = p->relays_taken = p->nacks = 0;
    p->direct_failed = p->stream_ping_wanted = p->stalled = false;
}

/* `end` is when it was over, which may be a little before now: a tick at that very time is not lost. */
static void end_probe(struct br_probe *p, bruit_time end)
{
    br_roster_name_drop(p->core->roster, p->name);
    p->name = 0;
    p->stage = BR_PROBE_IDLE;
    p->stream_ping_wanted = false;
    skip_ticks_before(p, end);
}

/* Goes on with the search for somebody to probe; gives the tick up when a round had nobody. */
static enum br_probe_event search(struct br_probe *p, bruit_time now)
{
    const struct br_view *view = &p->core->view;
    while (p->considered < view->count) {
        if (p->index >= view->count)
            return BR_PROBE_ROUND_ENDED;
        uint32_t slot = view->order[p->index++];
        p->considered++;
        if (slot != p->core->self && br_view_is_live(view, slot)) {
            begin_probe(p, slot, now);
            break;
        }
    }
    p->searching = false;
    return BR_PROBE_NOTHING;
}

void br_probe_round_begin(struct br_probe *p)
{
    struct br_view *view = &p->core->view;
    for (uint32_t i = view->count; i > 1; i--)
        br_view_swap(view, i - 1, br_rng_below(&p->rng, i));
    p->index = 0;
    p->considered = 0; /* the tick at hand may look at everybody once more: among two, it finds the other */
}

/* ---- one probe ---- */

/* Whom we probe is still who it was, and should still answer. */
static bool is_target_there(const struct br_probe *p)
{
    const struct br_view *view = &p->core->view;
    return br_view_find(view, p->name) == p->slot && br_view_is_live(view, p->slot);
}

static bool fits_relay(const void *context, uint32_t slot)
{
    const struct br_probe *p = context;
    return slot != p->core->self && slot != p->slot && p->core->view.state[slot] == BRUIT_ALIVE;
}

/* No direct ack: others shall try. */
static void ask_others(struct br_probe *p, bruit_time now)
{
    const struct br_core *core = p->core;
    if (!is_target_there(p)) {
        end_probe(p, now);
        return;
    }
    uint32_t wanted = core->config.indirect_checks < BR_PROBE_RELAYS_MAX ? core->config.indirect_checks
                                                                         : BR_PROBE_RELAYS_MAX;
    p->relay_count = (uint8_t)br_pick(&core->view, &p->rng, wanted, fits_relay, p, p->relays);
    for (unsigned i = 0; i < p->relay_count; i++)
        if (br_core_version(core, p->relays[i], BR_VSN_PMAX) >= PMAX_NACK)
            p->relays_nack |= UINT32_C(1) << i;
    p->stream_ping_wanted =
        core->config.stream_pings && br_core_version(core, p->slot, BR_VSN_PMAX) >= PMAX_STREAM_PING;
    p->stage = BR_PROBE_ASKED;
    /* We are late ourselves. Nobody is judged before the others had their time. */
    if (p->deadline <= now)
        p->deadline = br_time_add(now, p->scaled - br_time_min(p->scaled, core->config.probe_timeout));
}

static void succeed(struct br_probe *p, bruit_time now)
{
    if (!p->direct_failed)
        br_awareness_apply(p->awareness, -1);
    end_probe(p, now);
}

static unsigned count_bits(uint32_t bits)
{
    unsigned count = 0;
    for (; bits != 0; bits &= bits - 1)
        count++;
    return count;
}

/* The relays that were really asked, by bit. */
static uint32_t relays_asked(const struct br_probe *p)
{
    return ((UINT32_C(1) << p->relays_taken) - 1) & ~p->relays_failed;
}

/* What a failure says about ourselves (table 7.4): relays that should have nacked and kept silent point at us; if none
 * could be expected to, there is no telling, and it counts one. */
static int32_t failure_delta(const struct br_probe *p)
{
    int32_t expected = (int32_t)count_bits(relays_asked(p) & p->relays_nack);
    if (expected == 0)
        return 1;
    return p->nacks < expected ? expected - p->nacks : 0;
}

/* Nothing we sent reached anybody: that is our own trouble. */
static bool is_own_fault(const struct br_probe *p)
{
    return relays_asked(p) == 0 && (p->direct_failed || p->relay_count != 0);
}

static enum br_probe_event judge(struct br_probe *p, bruit_time now)
{
    if (!is_target_there(p) || is_own_fault(p)) {
        end_probe(p, p->deadline);
        return BR_PROBE_NOTHING;
    }
    br_awareness_apply(p->awareness, failure_delta(p));
    p->verdict = (struct br_probe_verdict){
        .slot = p->slot,
        .incarnation = p->incarnation,
        .waited = br_time_since(p->sent, now),
        .relays = count_bits(relays_asked(p)),
        .nacks = p->nacks,
    };
    BR_TRACE(&p->core->tracer, probe_failed, .node = br_core_name(p->core, p->slot),
             .waited = p->verdict.waited, .relays = p->verdict.relays, .nacks = p->verdict.nacks);
    end_probe(p, p->deadline);
    return BR_PROBE_FAILED;
}

static enum br_probe_event let_time_pass(struct br_probe *p, bruit_time now)
{
    if (p->stage == BR_PROBE_DIRECT && now >= p->ask_at)
        ask_others(p, now);
    if (p->stage == BR_PROBE_ASKED && now >= p->deadline)
        return judge(p, now);
    if ((p->stage == BR_PROBE_OWED || p->stage == BR_PROBE_TAKEN) && now >= p->deadline)
        end_probe(p, p->deadline); /* the ping never left: nobody is to blame */
    return BR_PROBE_NOTHING;
}

bruit_time br_probe_deadline(const struct br_probe *p)
{
    switch ((enum br_probe_stage)p->stage) {
    case BR_PROBE_OWED:
    case BR_PROBE_TAKEN:
    case BR_PROBE_ASKED: return p->deadline;
    case BR_PROBE_DIRECT: return p->ask_at;
    case BR_PROBE_IDLE: break;
    }
    return p->next_tick;
}

enum br_probe_event br_probe_tick(struct br_probe *p, bruit_time now)
{
    if (let_time_pass(p, now) == BR_PROBE_FAILED)
        return BR_PROBE_FAILED;
    if (p->stage != BR_PROBE_IDLE)
        return BR_PROBE_NOTHING;
    if (!p->searching) {
        if (now < p->next_tick)
            return BR_PROBE_NOTHING;
        skip_ticks_before(p, now + 1);
        p->searching = true;
        p->considered = 0;
    }
    return search(p, now);
}

/* ---- what is sent ---- */

static bool next_ping(struct br_probe *p, struct br_send *send)
{
    if (!is_target_there(p)) {
        end_probe(p, p->core->now);
        return false;
    }
    *send = (struct br_send){
        .kind = BR_SEND_PING,
        .to = br_core_addr(p->core, p->slot),
        .seq = p->seq,
        .slot = p->slot,
        .about = p->slot,
    };
    p->stage = BR_PROBE_TAKEN;
    return true;
}

static bool next_indirect(struct br_probe *p, struct br_send *send)
{
    if (!is_target_there(p))
        return false;
    while (p->relays_taken < p->relay_count) {
        uint32_t index = p->relays_taken++;
        uint32_t slot = p->relays[index];
        if (!br_view_is_known(&p->core->view, slot)) {
            p->relays_failed |= UINT32_C(1) << index;
            continue;
        }
        *send = (struct br_send){
            .kind = BR_SEND_INDIRECT,
            .to = br_core_addr(p->core, slot),
            .seq = p->seq,
            .slot = slot,
            .about = p->slot,
            .token = index,
            .nack = (p->relays_nack >> index & 1) != 0,
        };
        return true;
    }
    return false;
}

bool br_probe_next(struct br_probe *p, struct br_send *send)
{
    if (p->stage == BR_PROBE_OWED)
        return next_ping(p, send);
    if (p->stage == BR_PROBE_ASKED)
        return next_indirect(p, send);
    return false;
}

void br_probe_sent(struct br_probe *p, uint32_t seq, bruit_time now)
{
    if (p->stage != BR_PROBE_TAKEN || p->seq != seq)
        return;
    const struct bruit_config *config = &p->core->config;
    p->stage = BR_PROBE_DIRECT;
    p->sent = now;
    p->ask_at = br_time_add(now, config->probe_timeout);
    p->deadline = br_time_add(now, p->scaled);
    p->next_tick = br_time_add(now, config->probe_interval);
}

bool br_probe_next_stream(struct br_probe *p, uint32_t *seq, uint32_t *slot, bruit_time *until)
{
    if (p->stage != BR_PROBE_ASKED || !p->stream_ping_wanted || !is_target_there(p))
        return false;
    p->stream_ping_wanted = false;
    *seq = p->seq;
    *slot = p->slot;
    *until = p->deadline;
    return true;
}

/* ---- what comes back ---- */

void br_probe_stream_result(struct br_probe *p, uint32_t seq, bool ok, bruit_time now)
{
    if (p->stage != BR_PROBE_ASKED || p->seq != seq || !ok)
        return;
    if (is_target_there(p))
        BR_TRACE(&p->core->tracer, datagrams_lost, .node = br_core_name(p->core, p->slot));
    succeed(p, now);
}

bool br_probe_ack(struct br_probe *p, uint32_t seq, bruit_time now, uint32_t *slot, bruit_time *rtt)
{
    bool is_direct = p->stage == BR_PROBE_DIRECT;
    if ((!is_direct && p->stage != BR_PROBE_ASKED) || p->seq != seq || !is_target_there(p))
        return false;
    *slot = p->slot;
    *rtt = 0;
    if (is_direct && !p->stalled && now <= p->ask_at)
        *rtt = br_time_max(br_time_since(p->sent, now), 1);
    succeed(p, now);
    return true;
}

bool br_probe_nack(struct br_probe *p, uint32_t seq)
{
    if (p->stage != BR_PROBE_ASKED || p->seq != seq ||
        p->nacks >= count_bits(relays_asked(p) & p->relays_nack))
        return false;
    p->nacks++;
    return true;
}

static void ping_failed(struct br_probe *p, int error, bruit_time now)
{
    if (error != BRUIT_EUNREACHABLE) {
        end_probe(p, now);
        return;
    }
    p->direct_failed = true;
    if (p->stage != BR_PROBE_ASKED)
        ask_others(p, now);
}

void br_probe_send_failed(struct br_probe *p, enum br_send_kind kind, uint32_t seq, uint32_t token, int error,
                          bruit_time now)
{
    if (p->stage == BR_PROBE_IDLE || p->stage == BR_PROBE_OWED || p->seq != seq)
        return;
    if (kind == BR_SEND_PING)
        ping_failed(p, error, now);
    else if (kind == BR_SEND_INDIRECT && token < p->relays_taken)
        p->relays_failed |= UINT32_C(1) << token;
}

void br_probe_delay(struct br_probe *p, bruit_time gap)
{
    p->next_tick = br_time_add(p->next_tick, gap);
    p->ask_at = br_time_add(p->ask_at, gap);
    p->deadline = br_time_add(p->deadline, gap);
    p->stalled = true;
}
