/*
 * The engine: the map of the machine.
 *
 *                         inputs                                  outputs
 *      input.c    datagrams -> leaf messages             output.c   owed sends -> datagrams
 *      stream.c   stream bytes -> messages               stream.c   stream operations
 *      request.c  join, leave, metadata, keys            event.c    events
 *                       \                                   /
 *      claim.c     what is said of a member: table, then the effects of its verdict
 *      beat.c      the same with heartbeats, whose messages it takes apart and answers
 *      exchange.c  the push/pull message: written, judged, merged
 *      host.c      the module door                 document.c  Serf's one document of modules' sections
 *
 * This layer routes. It knows every machine below and holds no rule of the protocol that one of them could hold.
 */
#ifndef BR_ENGINE_ENGINE_H
#define BR_ENGINE_ENGINE_H

#include "base/buf.h"
#include "base/ring.h"
#include "codec/frame.h"
#include "codec/packet.h"
#include "detect/answer.h"
#include "detect/awareness.h"
#include "detect/heartbeat.h"
#include "detect/probe.h"
#include "detect/suspicion.h"
#include "engine/stream.h"
#include "member/core.h"
#include "module/host.h"
#include "spread/broadcast.h"
#include "spread/digest.h"
#include "spread/gossip.h"
#include "spread/join.h"
#include "spread/sync.h"

#include <bruit/engine.h>
#include <bruit/module.h>

#define BR_MODULES_MAX 16

/* The versions of memberlist's protocol that we understand: all of them (docs/wire/memberlist.md section 11.1). */
#define BR_PROTOCOL_MIN 1
#define BR_PROTOCOL_MAX 5

/* Events of modules and requests that the program has not fetched; member news has no bound but the members. */
#define BR_EVENTS_MAX 4096

/* A write of a module to the host's disk that was not fetched, or was since the last input. */
struct br_store_write {
    struct br_buf *key;
    struct br_buf *value; /* NULL: the key is deleted */
    uint64_t token;
    uint32_t host; /* the module's index */
    bool is_delete;
};

/* Beyond the bytes, which BRUIT_STORE_QUEUE_MAX bounds. */
#define BR_STORE_WRITES_MAX 1048576

/* Direct messages of modules that wait to be sent. */
#define BR_USER_SENDS_MAX 1024

enum br_leave_stage {
    BR_LEAVE_NOT,
    BR_LEAVE_MODULES, /* modules say goodbye */
    BR_LEAVE_MEMBER,  /* our death as a member is being told */
    BR_LEAVE_DONE,
};

struct bruit_host {
    struct bruit_engine *engine;
    const struct bruit_module *module;
    void *state;
    struct br_rng rng;
};

struct br_user_send {
    struct bruit_addr to;
    struct br_buf *message;
};

struct br_queued_event {
    struct bruit_event event;
    struct br_buf *data; /* what event.data points to, or NULL */
};

struct bruit_engine {
    struct br_core core;
    struct br_roster own_roster;
    struct bruit_env env;
    struct br_keyring keyring;
    struct br_wire wire;
    struct br_scratch scratch;
    struct br_rng rng; /* the places of new members */
    uint8_t *strings;  /* copies of what the configuration points to */
    size_t strings_size;

    struct br_heartbeat heartbeat; /* these three with BRUIT_DETECTOR_HEARTBEAT: then the next four are idle */
    struct br_digest digest;
    struct br_ring beat_sends; /* struct br_user_send: answers */
    struct br_awareness awareness;
    struct br_suspicion suspicion;
    struct br_probe probe;
    struct br_answer answer;
    struct br_gossip gossip;
    struct br_broadcast broadcast;
    struct br_sync sync;
    struct br_join join;
    struct br_streams streams;

    struct bruit_host hosts[BR_MODULES_MAX];
    size_t host_count;
    bool has_document;          /* some module claims a section */
    bool wants_payload;         /* some module puts something into acks */
    uint8_t message_owner[256]; /* module index + 1, by the first byte of a user message */
    struct br_carrier carrier;  /* of modules' questions, or all zero */
    struct bruit_addr claimant; /* of the last conflict about a name */

    struct br_ring user_sends; /* struct br_user_send */
    struct br_ring events;     /* struct br_queued_event */
    struct br_ring spent;      /* struct br_queued_event that were fetched: freed at the next input */
    struct br_ring store;      /* struct br_store_write; the first `store_fetched` were pulled */
    uint32_t store_fetched;
    size_t store_size;    /* bytes of keys and values in it */
    uint64_t store_token; /* the last one given */
    struct br_ring forgotten;  /* uint32_t slots whose last event was fetched: released at the next input */

    const struct bruit_addr *packet_from; /* of the datagram at hand, else NULL */
    bruit_time lossy_until;   /* somebody did not answer a ping lately: packets get lost, it seems */
    bool is_repairing;        /* merging a state that is no part of a join */
    bruit_time stalled_until; /* when the last stall was noticed: the gap before it was given back */
    bruit_time quiet_until;   /* that a key is missing is told to people once a minute at most */
    bruit_time differs_quiet_until; /* the same of another detector */

    enum br_leave_stage leave_stage;
    bruit_time leave_timeout; /* of each stage */
    bruit_time leave_deadline;
    uint32_t leave_watch; /* of the rumour of our leaving */
    uint32_t meta_watch;  /* of the rumour of our new metadata */
    uint64_t leave_told;  /* heartbeats: the round at which our goodbye, and new metadata, count as told */
    uint64_t meta_told;
    uint32_t identity_version; /* heartbeats: at which our identity last changed */
};

/* Begins an input: its time becomes the engine's, and what earlier pulls lent is taken back. */
void br_engine_input(struct bruit_engine *engine, bruit_time now);
/* The first half of it, which pulls need, too. A stall is noticed here. */
void br_engine_pass_time(struct bruit_engine *engine, bruit_time now);
/* Counts what was dropped of a packet, or of a stream, from `from`, and tells people what they should know of it. */
void br_engine_drop(struct bruit_engine *engine, const struct bruit_addr *from, bool is_stream,
                    enum bruit_drop reason);

/* ---- claim.c ---- */

/*
 * Claims about members: 0, or BRUIT_ENOMEM and nothing has changed. A claim that moves nothing is no error. Port
 * and versions of an alive are put in order where they stand: a copy of what was decoded a moment ago would make
 * the processor wait until all of it has reached the cache, which took as long as the rest of the judging.
 */
int br_claim_alive(struct bruit_engine *engine, struct br_alive *alive);
/* The same when it is known whose name that is: the slot, or 0 for nobody we know. */
int br_claim_alive_of(struct bruit_engine *engine, uint32_t slot, struct br_alive *alive);
int br_claim_suspect(struct bruit_engine *engine, const struct br_suspect *suspect);
int br_claim_dead(struct bruit_engine *engine, const struct br_dead *dead);

/* Ourselves, at birth and with new metadata: incarnation + 1. `identity` has our name. */
int br_claim_self(struct bruit_engine *engine, const struct br_alive *identity);

/* Forgets the members who have been dead or left for long enough (section 9.3). */
void br_claim_reap(struct bruit_engine *engine);

/*
 * What is said of the modules that a member carries: by somebody (then only what was not known is learnt, of a live
 * member in its present incarnation), or by itself.
 */
void br_claim_carries(struct bruit_engine *engine, uint32_t slot, uint32_t incarnation, uint8_t carries);
void br_claim_own_carries(struct bruit_engine *engine, uint32_t slot, uint8_t carries);

/* Parts of it that heartbeats need: is a record sane, of versions that fit, and from where we allow? Counts if not. */
bool br_claim_is_fit(struct bruit_engine *engine, struct br_alive *alive);
/* A member known from elsewhere is claimed from another address. */
void br_claim_conflict(struct bruit_engine *engine, uint32_t slot, const struct br_alive *alive);
/* A name we did not know, at a random place of the probe round; takes over the hold of `record`. 0 without memory. */
uint32_t br_claim_add(struct bruit_engine *engine, uint32_t record);

/* ---- beat.c ---- */

static inline bool br_beat_is_on(const struct bruit_engine *engine)
{
    return engine->core.config.detector == BRUIT_DETECTOR_HEARTBEAT;
}

void br_beat_init(struct bruit_engine *engine, bruit_time now);
void br_beat_fini(struct bruit_engine *engine);
/* Room for all slots that the view has: 0, or BRUIT_ENOMEM. */
int br_beat_reserve(struct bruit_engine *engine);

/* Ourselves, at birth and with a new identity. */
int br_beat_self(struct bruit_engine *engine, const struct br_alive *identity);

/* A datagram's message, without its type byte: 0, or BRUIT_ENOMEM. */
int br_beat_take(struct bruit_engine *engine, struct bruit_bytes body);
/* The message of a stream: everything (`join`) or modules' document alone. */
int br_beat_state_write(struct bruit_engine *engine, bool join, struct br_buffer *out, struct bruit_bytes *message);
/* `rest` is what follows the header: all blocks and the document. 0, BRUIT_EFORMAT or BRUIT_ENOMEM. */
int br_beat_state_merge(struct bruit_engine *engine, const struct br_beat_header *header, struct bruit_bytes rest,
                        bool active);

/* A round, when its time has come: our heart beats, the silent are convicted, the long dead forgotten. */
void br_beat_tick(struct bruit_engine *engine);
/* A member is about to be forgotten by the view. */
void br_beat_forget(struct bruit_engine *engine, uint32_t slot);
/* We are gone: to be told. False when nobody can be. */
void br_beat_leave(struct bruit_engine *engine);
/* Many members at once, as in shared.h: they have been there for a day. */
int br_beat_preload(struct bruit_engine *engine, uint32_t from);

/* A message of the other detector came from there: counted, and people are told once a minute. */
void br_beat_differs(struct bruit_engine *engine, const struct bruit_addr *from, bool is_stream);

/* ---- exchange.c ---- */

/* The push/pull message of our state, in `out` (freed by the caller): 0, or BRUIT_ENOMEM. */
int br_exchange_write(struct bruit_engine *engine, bool join, struct br_buffer *out,
                      struct bruit_bytes *message);

/*
 * Judges and merges a push/pull body that was read to its end, with the header and the versions found on the way:
 * 0, BRUIT_EVERSION, BRUIT_EFORMAT or BRUIT_ENOMEM.
 */
int br_exchange_merge(struct bruit_engine *engine, const struct br_pushpull_header *header,
                      struct bruit_bytes body, struct br_versions *versions, bool active);

/* ---- store.c ---- */

int br_store_write(struct bruit_engine *engine, uint32_t host, struct bruit_bytes key, struct bruit_bytes value,
                   uint64_t *token);
/* What was fetched goes. */
void br_store_release(struct bruit_engine *engine);
void br_store_fini(struct bruit_engine *engine);

/* ---- event.c ---- */

int br_event_push(struct bruit_engine *engine, const struct bruit_event *event);
void br_event_release(struct bruit_engine *engine);

/* ---- host.c ---- */

void br_hosts_changed(struct bruit_engine *engine, uint32_t slot, uint32_t changes);
/* The same for modules alone: nothing that the program is told about as news of a member. */
void br_hosts_told(struct bruit_engine *engine, uint32_t slot, uint32_t changes);
void br_hosts_user_message(struct bruit_engine *engine, struct bruit_bytes message,
                           const struct bruit_addr *from);
void br_hosts_broadcast_done(struct bruit_engine *engine);
/* Lets gossip know what modules have to tell; `fresh`: something is new. */
void br_hosts_wake(struct bruit_engine *engine, bool fresh);
bruit_time br_hosts_deadline(const struct bruit_engine *engine);
void br_hosts_tick(struct bruit_engine *engine);

/* ---- request.c ---- */

/* Membership's own goodbye, after the modules'. */
void br_leave_member(struct bruit_engine *engine);
/* Rumours that were watched for and have been told, or time that ran out. */
void br_requests_progress(struct bruit_engine *engine);
/* One target of a join is decided. */
void br_requests_joined(struct bruit_engine *engine, uint32_t request, uint32_t index, int error,
                        struct bruit_bytes text);

#endif
