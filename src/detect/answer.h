/*
 * What we owe to those who probe: acks, and pings, acks and nacks as somebody's relay (docs/wire/memberlist.md 2.2,
 * 7.3 and 12 item 20).
 *
 * Nobody needs to be a member to be answered. Answers wait in a bounded ring: when it is full the newest is not
 * given, and counted (BRUIT_DROP_ANSWERS_FULL); so it is with probes to be relayed (BRUIT_DROP_RELAYS_FULL). With
 * config.strict_relay we ping known members at their known addresses only, and an ack goes to the address that a
 * ping names only when it is that of the member it names; otherwise to where the datagram came from.
 *
 * Timer: the nack of each relayed ping, one probe timeout after the request.
 */
#ifndef BR_DETECT_ANSWER_H
#define BR_DETECT_ANSWER_H

#include "base/ring.h"
#include "codec/memberlist.h"
#include "member/core.h"
#include "member/send.h"

#define BR_ANSWER_MAX 1024
#define BR_ANSWER_RELAYS_MAX 256

/* One ping that we send for somebody else. */
struct br_relay {
    bruit_time deadline;
    struct bruit_addr to; /* who asked */
    uint32_t seq;         /* ours */
    uint32_t their_seq;
    uint32_t their_slot; /* or 0 */
    uint32_t name;       /* of the target, held; 0: the request named nobody */
    bool nack;           /* wanted */
    bool done;
};

struct br_answer {
    struct br_core *core;
    struct br_ring sends; /* struct br_send */
    struct br_ring
        relays;   /* struct br_relay: numbers and deadlines ascend, so the ring is both index and queue */
    uint32_t seq; /* of the next relayed ping; odd */
};

void br_answer_init(struct br_answer *a, struct br_core *core);
void br_answer_fini(struct br_answer *a);

/*
 * A ping came. What is not answered is counted under its drop reason, which is returned; BRUIT_DROP_NONE when it is
 * answered.
 */
enum bruit_drop br_answer_ping(struct br_answer *a, const struct br_ping *ping,
                               const struct bruit_addr *from);

/* Somebody wants us to ping; returned and counted as above. */
enum bruit_drop br_answer_indirect(struct br_answer *a, const struct br_indirect_ping *request,
                                   const struct bruit_addr *from, bruit_time now);

/* An ack came that no probe of ours was waiting for. True: it was for a relayed ping, and is passed on. */
bool br_answer_ack(struct br_answer *a, uint32_t seq, bruit_time now);

/* The name to put into the relayed ping of this number: empty when its request named nobody. */
struct bruit_bytes br_answer_relayed_name(const struct br_answer *a, uint32_t seq);

/* What is owed: BR_SEND_ACK, BR_SEND_NACK or BR_SEND_RELAYED; false when nothing. */
bool br_answer_next(struct br_answer *a, struct br_send *send);

bruit_time br_answer_deadline(const struct br_answer *a);
void br_answer_tick(struct br_answer *a, bruit_time now);

/* We were stalled for `gap`: those whom we ping for others get it back. */
void br_answer_delay(struct br_answer *a, bruit_time gap);

#endif
