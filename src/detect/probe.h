/*
 * The prober: is the next member of the round alive? (SWIM: Das et al. 2002, sections 3.1 and 4.3; Lifeguard 4.1;
 * docs/wire/memberlist.md 7.1, 7.2, 7.4 and 7.5.)
 *
 * One probe at a time. It is owed (a ping waits to be pulled), then waits for the direct ack until the probe
 * timeout, then asks relays and perhaps opens a stream, and is judged when the scaled probe interval is over.
 *
 * Timers: the next tick; when to ask relays; the end of the probe. The time of a probe starts when its ping is really
 * sent, so a slow driver accuses nobody; and the next tick comes one interval after that. A tick during a probe is
 * lost; the one that coincides with its end is not.
 *
 * Numbers of probes are even, those of relayed pings (answer.h) odd: an ack never fits both.
 */
#ifndef BR_DETECT_PROBE_H
#define BR_DETECT_PROBE_H

#include "base/rng.h"
#include "detect/awareness.h"
#include "member/core.h"
#include "member/send.h"

/* config.indirect_checks goes up to it. */
#define BR_PROBE_RELAYS_MAX 16

enum br_probe_stage {
    BR_PROBE_IDLE,
    BR_PROBE_OWED,  /* the ping was not pulled yet */
    BR_PROBE_TAKEN, /* it was, but br_probe_sent() has not been told */
    BR_PROBE_DIRECT,
    BR_PROBE_ASKED, /* relays, and over a stream */
};

enum br_probe_event {
    BR_PROBE_NOTHING,     /* all is done: wait for the deadline */
    BR_PROBE_ROUND_ENDED, /* reap, call br_probe_round_begin(), tick again */
    BR_PROBE_FAILED,      /* read `verdict` and suspect that member, then tick again */
};

/* Why a member is to be suspected. */
struct br_probe_verdict {
    uint32_t slot;
    uint32_t incarnation; /* as known when the probe began */
    bruit_time waited;
    uint32_t relays;
    uint32_t nacks;
};

struct br_probe {
    struct br_core *core;
    struct br_awareness *awareness;
    struct br_rng rng;
    struct br_probe_verdict verdict; /* valid after BR_PROBE_FAILED until the next call */
    bruit_time next_tick;
    bruit_time scaled;   /* the length of this probe */
    bruit_time sent;     /* when the ping went out */
    bruit_time ask_at;   /* when the relays are asked */
    bruit_time deadline; /* when it is judged; before it was sent: given up */
    uint32_t index;      /* of the next one in view.order */
    uint32_t considered; /* in this tick, since the round began */
    uint32_t seq;
    uint32_t name; /* the target's, held while a probe runs */
    uint32_t slot;
    uint32_t incarnation;
    uint32_t relays[BR_PROBE_RELAYS_MAX];
    uint32_t relays_failed; /* by bit: this relay could not be asked */
    uint32_t relays_nack;   /* by bit: a nack is expected of it */
    uint8_t stage;          /* enum br_probe_stage */
    uint8_t relay_count;
    uint8_t relays_taken; /* how far the pulls have come */
    uint8_t nacks;
    bool searching;          /* the tick at hand goes on after the end of the round */
    bool direct_failed;      /* the ping could not be sent to the target */
    bool stream_ping_wanted; /* see br_probe_next_stream */
    bool stalled;            /* since the ping: its round trip tells nothing */
};

/* `awareness` must outlive it. Ticks begin within one interval from `now`, at random; none if the interval is 0. */
void br_probe_init(struct br_probe *p, struct br_core *core, struct br_awareness *awareness, bruit_time now);
void br_probe_fini(struct br_probe *p);

bruit_time br_probe_deadline(const struct br_probe *p);

/* Lets time pass. Repeat until it says NOTHING. */
enum br_probe_event br_probe_tick(struct br_probe *p, bruit_time now);

/* Puts the members into a new random order and starts the round at the first. */
void br_probe_round_begin(struct br_probe *p);

/*
 * What the prober wants sent: BR_SEND_PING or BR_SEND_INDIRECT; false when nothing. A ping that was taken must be
 * followed by br_probe_sent() once its datagram was handed to the driver, else the probe has no consequence.
 */
bool br_probe_next(struct br_probe *p, struct br_send *send);
void br_probe_sent(struct br_probe *p, uint32_t seq, bruit_time now);

/*
 * The ping over a stream that is wanted now, once a probe: false when none. Report the result as soon as it is
 * known; after `until` nobody waits for it.
 */
bool br_probe_next_stream(struct br_probe *p, uint32_t *seq, uint32_t *slot, bruit_time *until);
void br_probe_stream_result(struct br_probe *p, uint32_t seq, bool ok, bruit_time now);

/*
 * An ack came. False: not for a probe that runs. `*slot` is the member that answered; `*rtt` is the round trip, or 0
 * when it says nothing (late, relayed, or we were stalled).
 */
bool br_probe_ack(struct br_probe *p, uint32_t seq, bruit_time now, uint32_t *slot, bruit_time *rtt);

/* A nack came. False: not for a probe that waits for one. */
bool br_probe_nack(struct br_probe *p, uint32_t seq);

/*
 * What br_probe_next() gave (its kind, seq and token) could not be sent. A ping that found the target unreachable
 * (BRUIT_EUNREACHABLE) lets the relays decide at once, as long as these can be reached; with any other error the
 * probe is given up without consequence.
 */
void br_probe_send_failed(struct br_probe *p, enum br_send_kind kind, uint32_t seq, uint32_t token, int error,
                          bruit_time now);

/* We were stalled for `gap`: the probe at hand gets it back. */
void br_probe_delay(struct br_probe *p, bruit_time gap);

#endif
