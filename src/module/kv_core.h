/*
 * What the files of the key-value module share: its state, and what each of them does for the others.
 *
 *     kv.c          the module's table, options, hooks: who gets what
 *     kv_api.c      reading and writing for the program (<bruit/kv.h>)
 *     kv_spread.c   writes as messages: told to everybody, passed on, announced and fetched when they are large
 *     kv_request.c  writes of ours that somebody waits for: durable here, held by k
 *     kv_disk.c     records: written in an order that a crash cannot hurt, loaded, and a disk that fails
 *     kv_sync.c     comparing with a peer: the side that learns
 *     kv_serve.c    comparing with a peer: the side that answers, within its budget
 *     kv_age.c      the horizon: stores that were away too long, actors that can be forgotten
 *     kv_life.c     what expires, what dies with its owner, tombstones
 *
 * The store itself (kv_store.h) knows no time, network or disk.
 *
 * One rule runs through all of it: a write of our own is shown to nobody before it is durable here. Its counter would
 * be used again after a crash, and then one dot would name two writes. What is not durable yet is `br_kv_is_exposed()`
 * false: such a key is left out of comparisons, which then do not count as complete.
 */
#ifndef BR_MODULE_KV_CORE_H
#define BR_MODULE_KV_CORE_H

#include "base/buf.h"
#include "base/ring.h"
#include "codec/kv.h"
#include "module/host.h"
#include "module/kv_budget.h"
#include "module/kv_clock.h"
#include "module/kv_store.h"
#include "module/told.h"

#include <bruit/kv.h>

/* The first byte of all our messages. */
#define BR_KV_MESSAGE 0xB1

/* What waits for the disk at most: writes of ours, and promises to others. */
#define BR_KV_WAITS_MAX 65536

/* Bytes of one answer of a comparison: a second's budget or so goes in a few of them. A longer value goes alone. */
#define BR_KV_CHUNK 49152

/* Comparisons that wait for our budget. Each holds a request of at most BR_KV_CHUNK bytes. */
#define BR_KV_PARKED_MAX 16

/* Large values that were announced and asked for: enough for what a second brings. */
#define BR_KV_FETCHES_MAX 64

/* ---- the disk ---- */

struct br_kv_wait {
    uint64_t token;
    struct br_buf *item; /* of a write of ours: it is told then */
    struct br_kv_dot dot;
    uint32_t request; /* 0: none */
    bool is_delete;
    uint64_t hash;    /* of the key */
    bool is_promise;  /* to acknowledge somebody's write: `ack`, `to` */
    uint64_t ack;
    struct bruit_addr to;
};

/* A dot that a record shows and the store, having loaded it, does not: a tombstone that has served. */
struct br_kv_owed {
    struct br_kv_dot dot;
    struct br_buf *key;
};

struct br_kv_disk {
    bool is_on;
    bool is_failed;
    bool is_broken;    /* something could not be handed over: gives up at the next opportunity */
    bool has_actor;    /* the record "a" is written */
    uint64_t synced_counter; /* of our writes up to this one somebody has said that he has seen them */
    uint64_t synced_ms; /* of the record loaded: wall time of the last comparison; 0: unknown */
    uint64_t token;    /* the last one given */
    uint64_t stored;   /* the last one that is durable */
    uint64_t durable;  /* our counter, as far as it is */
    size_t bytes;      /* handed over and not durable, at most */
    uint64_t mark;     /* a token, and */
    size_t mark_bytes; /* how much of `bytes` lies up to it */
    uint32_t deltas;   /* records "d" since the last "c" */
    struct br_kv_owed *owed; /* their records are to be written anew */
    uint32_t owed_count;
    uint32_t owed_capacity;
    struct br_ring waits; /* struct br_kv_wait, by token */
    uint32_t deletes;     /* of ours among them */
};

/* ---- requests ---- */

struct br_kv_asked {
    bruit_node node;
    bool has; /* said so */
    bool is_refused;
};

struct br_kv_request {
    uint32_t number; /* 0: free */
    uint32_t wanted;
    uint32_t held;
    int error;
    bool is_durable;
    bool is_over; /* its event could not be given yet */
    struct br_kv_dot dot;
    bruit_time deadline;
    bruit_time retry_at;
    struct br_buf *item;
    struct br_kv_asked *asked; /* `asked_capacity`; NULL when nobody is */
    uint32_t asked_count;
    uint32_t asked_capacity;
};

/* ---- comparing ---- */

enum br_kv_step {
    BR_KV_STEP_IDLE,
    BR_KV_STEP_DIGEST,   /* asked for their digest and context */
    BR_KV_STEP_BRANCHES, /* asked for branches or leaves */
    BR_KV_STEP_WANT,     /* asked for keys */
};

/* Keys of one hash that differ between the two sides. */
struct br_kv_wanted {
    uint64_t hash;
    bool is_asked;
    bool by_hash; /* they may have keys of it whose names we do not know */
};

struct br_kv_sync {
    enum br_kv_step step;
    bruit_node node;
    uint32_t id;     /* of the question that is out; each has its own */
    uint64_t salt;
    uint32_t life;   /* theirs, when they told their context */
    bool is_turn;    /* they told us to compare: do not tell them back */
    bool is_incomplete; /* something could not be had: contexts are not joined */
    bool with_stale;    /* they were away too long, and so were we */
    bool they_forgot;   /* BR_KV_FORGOT */
    bool is_reset;      /* we were away too long: what they do not hold goes */
    bool has_theirs;
    struct br_kv_context theirs; /* as of the beginning */
    struct br_kv_digest digest;  /* theirs, of that moment */
    struct br_kv_digest ours;    /* when we asked; and how many of our writes were durable then */
    uint64_t ours_counter;
    struct br_kv_path *paths;    /* to be looked at, the newest last */
    uint32_t path_count;
    uint32_t path_capacity;
    uint32_t asked_count; /* of them are asked for: they stand in `asked` */
    struct br_kv_path *asked;
    struct br_kv_wanted *wanted;
    uint32_t wanted_count;
    uint32_t wanted_capacity;
    struct br_buf *question; /* which is out, to be repeated */
    uint32_t attempts;
    bruit_time repeat_at;
    bruit_time end_at;
    bool is_due; /* the next question waits for the budget */
    uint8_t *push; /* what they lack, being gathered */
    size_t push_size;
    size_t push_capacity;

    bruit_time at;   /* the next comparison; BRUIT_NEVER: none is planned */
    bruit_node next; /* with whom, or 0: anybody */
    bool next_is_turn;
    enum bruit_kv_sync state;
    uint32_t failures; /* comparisons that were not complete, one after the other */
    bruit_time equal_at;
    uint64_t count;
};

struct br_kv_parked {
    struct br_buf *message;
    bruit_node node;
    uint64_t id;
};

struct br_kv_fetch {
    struct br_kv_dot dot;
    bruit_time at;
};

/* ---- all of it ---- */

struct br_kv {
    struct bruit_host *host;
    const struct br_tracer *tracer;
    struct br_alloc *alloc;
    struct bruit_kv_options options;
    struct br_kv_store store;
    struct br_kv_clock clock;
    struct br_kv_disk disk;
    struct br_kv_sync sync;
    struct br_kv_budget budget;
    uint32_t life; /* a number that no other process of this member has had, as far as can be */
    struct br_told told;
    bool is_started; /* something was written, received or compared: too late to configure or load */
    bool is_loaded;  /* something came from the disk */
    bool is_left;    /* bruit_leave() began */

    struct br_kv_request *requests; /* slots, at most BRUIT_KV_REQUESTS_MAX */
    uint32_t request_capacity;
    uint32_t request_count;
    uint32_t request_last; /* how many there were */
    bruit_time requests_at;

    struct br_kv_parked parked[BR_KV_PARKED_MAX]; /* in order */
    uint32_t parked_count;
    bruit_time parked_at; /* when they were last looked at */
    struct br_kv_fetch fetches[BR_KV_FETCHES_MAX];
    uint32_t fetch_next;

    uint64_t change_base;  /* added to the store's numbers of changes */
    uint64_t change_told;  /* the store's next number when we said that there are changes */
    bool is_change_told;

    uint32_t orphan_cursor; /* walking over siblings of members that are gone */
    struct br_buf **orphans; /* names of members that died and whose values have no alarm yet */
    uint32_t orphan_count;
    uint32_t orphan_capacity;

    uint8_t *scratch; /* for what is written once and copied by the engine */
    size_t scratch_size;
    uint8_t *seen; /* of the last read: BR_KV_SIBLINGS_MAX dots */

    uint32_t stale_meetings; /* comparisons in a row, while we are stale, with others who are */
    bool has_forgotten;      /* actors; or learnt from somebody who has */
    bruit_time aged_at;      /* when actors were last looked at for what can be forgotten; 0: never */

    bool is_incomplete;
    uint64_t writes, merged, resets, clock_ahead, bytes_out, bytes_in;
};

struct br_kv *br_kv_of(const struct bruit_engine *engine);

/* 64 bits that no store has had before. */
uint64_t br_kv_draw_actor(struct br_kv *kv);
/* Somebody has seen writes of ours that we have not made (a disk of the past, a copy): we go on as another actor. */
void br_kv_be_unique(struct br_kv *kv);

static inline bruit_time br_kv_now(const struct br_kv *kv)
{
    return bruit_host_now(kv->host);
}

/* `size` bytes of scratch, until the next call; NULL without memory. */
uint8_t *br_kv_scratch(struct br_kv *kv, size_t size);

/* Our own name, and the address of a peer of that name: 0, or BRUIT_ENOENT when nobody who carries kv has it. */
struct bruit_bytes br_kv_own_name(const struct br_kv *kv);
bruit_node br_kv_peer(const struct br_kv *kv, struct bruit_bytes name);
/* A random peer, or 0. */
bruit_node br_kv_random_peer(struct br_kv *kv);

/* Messages that are answered say whose they are, in a byte of size and the name: a stream's address is no way back. */
void br_kv_write_from(struct br_writer *w, struct bruit_bytes name);
struct bruit_bytes br_kv_read_from(struct br_reader *r);

/* To one member: as a datagram, or over a stream when it is too long. 0, or what the host says. */
int br_kv_send(struct br_kv *kv, bruit_node to, struct bruit_bytes message);
int br_kv_send_addr(struct br_kv *kv, const struct bruit_addr *to, struct bruit_bytes message);

/* May others see it? */
bool br_kv_is_exposed(const struct br_kv *kv, struct br_kv_dot dot);
/* Is everything of this key? */
bool br_kv_key_is_exposed(const struct br_kv *kv, uint32_t key);

/* The store changed: those who watch are told. */
void br_kv_changed(struct br_kv *kv);

/* ---- kv_disk.c ---- */

/*
 * The dots of a key, remembered before a change so that those which went can be told from those which stayed; and those
 * that the change brings, which may not stay: a write that was replaced before it came, a delete of which nothing is
 * left.
 */
struct br_kv_before {
    struct br_kv_dot dots[BR_KV_SIBLINGS_MAX];
    uint32_t count;
    struct br_kv_dot come[BR_KV_SIBLINGS_MAX];
    uint32_t come_count;
};
void br_kv_dots(const struct br_kv *kv, struct bruit_bytes key, struct br_kv_before *out);
/* The same when there is a disk, else none. A change follows. */
void br_kv_before(struct br_kv *kv, struct bruit_bytes key, struct br_kv_before *before);

void br_kv_disk_init(struct br_kv *kv);
void br_kv_disk_fini(struct br_kv *kv);
/* Is there room for a record of about that size, and for one more that waits? */
bool br_kv_disk_has_room(const struct br_kv *kv, struct bruit_bytes key, size_t size);
/* The key changed: its record, and before it what its old one will no longer tell. */
void br_kv_disk_key(struct br_kv *kv, struct bruit_bytes key, const struct br_kv_before *before);
void br_kv_disk_context(struct br_kv *kv);
void br_kv_disk_actor(struct br_kv *kv);
void br_kv_disk_forgot(struct br_kv *kv);
/* Something is to happen once all that was handed over so far is durable; at once when it is. Takes wait->item. */
void br_kv_disk_wait(struct br_kv *kv, const struct br_kv_wait *wait);
/* Is some key below the path deleted by us, but not durably yet? Rather yes than no. */
bool br_kv_disk_hides(const struct br_kv *kv, struct br_kv_path path);
void br_kv_disk_stored(struct br_kv *kv, uint64_t token, int status);
bruit_time br_kv_disk_deadline(const struct br_kv *kv);
void br_kv_disk_tick(struct br_kv *kv);

/* ---- kv_spread.c ---- */

/* A write as bytes, with its key: what messages carry. First room for it, which may be refused; then the bytes. */
struct br_buf *br_kv_item_space(struct br_kv *kv, const struct br_kv_put *put);
void br_kv_item_fill(struct br_buf *item, const struct br_kv_write *write);
struct bruit_bytes br_kv_item_bytes(const struct br_buf *item);
/* Tells everybody: the write itself, or that it is here. */
void br_kv_tell(struct br_kv *kv, struct br_kv_dot dot, struct br_buf *item);
/* A write to one member who is to acknowledge it. */
int br_kv_tell_one(struct br_kv *kv, bruit_node to, struct br_buf *item, uint64_t ack);
void br_kv_send_ack(struct br_kv *kv, const struct bruit_addr *to, uint64_t ack, struct br_kv_dot dot, uint8_t status);
void br_kv_on_write(struct br_kv *kv, struct br_reader *r, struct bruit_bytes message);
void br_kv_on_announce(struct br_kv *kv, struct br_reader *r);
void br_kv_on_ack(struct br_kv *kv, struct br_reader *r);
/* Merges one key as somebody told it, with all that follows. `tell`: what was learnt goes on to everybody. */
int br_kv_take_key(struct br_kv *kv, const struct br_kv_state *state, bool tell);

/* ---- kv_request.c ---- */

void br_kv_requests_fini(struct br_kv *kv);
/* A number for a write that somebody waits for; 0: too many, or no memory. */
uint32_t br_kv_request_new(struct br_kv *kv, uint32_t wanted, bruit_time timeout);
/* It was not written after all. */
void br_kv_request_drop(struct br_kv *kv, uint32_t number);
/* It is durable here (0), or will never be; `item` is kept as long as others are asked. */
void br_kv_request_durable(struct br_kv *kv, uint32_t number, struct br_kv_dot dot, struct br_buf *item, int error);
void br_kv_request_acked(struct br_kv *kv, uint64_t ack, struct br_kv_dot dot, bruit_node node, uint8_t status);
void br_kv_requests_tick(struct br_kv *kv);

/* ---- kv_sync.c and kv_serve.c ---- */

/* The flags of a session. */
enum {
    BR_KV_ANSWER = 1, /* to a question of the receiver */
    BR_KV_LAST = 2,   /* all of what was asked; what is missing cannot be had now */
    BR_KV_TURN = 4,   /* compare with me: I have something for you */
    BR_KV_PUSH = 8,   /* nobody asked, but you lack it */
    BR_KV_STALE = 16, /* the sender was away for longer than the horizon */
    BR_KV_FORGOT = 32, /* it has forgotten actors, or learnt from somebody who has */
};

/* What stands in front of an item of BR_KV_LEAVES. Half a leaf: keys that it does not show may still be there. */
enum { BR_KV_IS_BRANCH, BR_KV_IS_LEAF, BR_KV_IS_HALF_LEAF };

/* Questions ask for so many paths and keys at most. */
#define BR_KV_PATHS_MAX 128
#define BR_KV_WANTS_MAX 256

void br_kv_sync_init(struct br_kv *kv);
void br_kv_sync_fini(struct br_kv *kv);
/* Compare within `delay`, with `node` (0: anybody). */
void br_kv_sync_soon(struct br_kv *kv, bruit_node node, bruit_time delay);
/* `node` told us to compare with it. */
void br_kv_sync_turn(struct br_kv *kv, bruit_node node);
void br_kv_sync_member(struct br_kv *kv, bruit_node node, uint32_t changes);
bruit_time br_kv_sync_deadline(const struct br_kv *kv);
void br_kv_sync_tick(struct br_kv *kv);
/* An answer to a question of ours, or a push. `r` stands behind the name. */
void br_kv_sync_answer(struct br_kv *kv, enum br_kv_kind kind, const struct br_kv_session *session, bruit_node from,
                       struct br_reader *r);

void br_kv_serve_fini(struct br_kv *kv);
/* A question to us: answered now, or once there is budget for it. */
void br_kv_serve(struct br_kv *kv, bruit_node from, const struct br_kv_session *session, struct bruit_bytes message);
bruit_time br_kv_serve_deadline(const struct br_kv *kv);
void br_kv_serve_tick(struct br_kv *kv);

/* The head of a message of a comparison, up to and with our name. */
void br_kv_begin(struct br_kv *kv, struct br_writer *w, enum br_kv_kind kind, uint32_t id, uint8_t flags);
#define BR_KV_BEGIN_MAX 288
struct br_kv_digest br_kv_own_digest(const struct br_kv *kv, uint64_t salt);
/* An item of KEYS: siblings of a key (those not in `but`), and dots that are gone. Its size at most; its bytes. */
struct br_kv_telling {
    uint32_t key; /* BR_KV_NONE: none here */
    struct bruit_bytes name;
    const struct br_kv_dot *gone;
    uint32_t gone_count;
    uint32_t siblings[BR_KV_SIBLINGS_MAX];
    uint32_t sibling_count;
};
size_t br_kv_telling_size(const struct br_kv *kv, const struct br_kv_telling *telling);
void br_kv_write_telling(const struct br_kv *kv, struct br_writer *w, const struct br_kv_telling *telling);

/* ---- kv_age.c ---- */

/* What we say of ourselves in that respect: flags of a session. */
uint8_t br_kv_age_flags(const struct br_kv *kv);
/* Were we away for longer than the horizon, and not taken in again yet? */
bool br_kv_is_stale(const struct br_kv *kv);
/* A write of ours that nobody can have seen while we were away. */
bool br_kv_is_unseen(const struct br_kv *kv, struct br_kv_dot dot);
/* We are equal with somebody, whose context was this (NULL: ours when we asked). */
void br_kv_met(struct br_kv *kv, const struct br_kv_context *theirs);
/* We, who are stale, met somebody who is, too. */
void br_kv_met_stale(struct br_kv *kv);
/* Actors may be missing from our context from now on. */
void br_kv_forgot(struct br_kv *kv);

/* ---- kv_life.c ---- */

void br_kv_life_fini(struct br_kv *kv);
void br_kv_life_member(struct br_kv *kv, bruit_node node, uint32_t changes);
/* A sibling came: does it need somebody to look after it? */
void br_kv_life_added(struct br_kv *kv, struct bruit_bytes key);
bruit_time br_kv_life_deadline(const struct br_kv *kv);
void br_kv_life_tick(struct br_kv *kv);

/* ---- kv_api.c ---- */

/* A write of our own, from the store to the disk, the request and the others. */
int br_kv_put_local(struct br_kv *kv, const struct br_kv_put *put, uint32_t request);
/* Is it to be shown? */
bool br_kv_is_shown(const struct br_kv *kv, const struct br_kv_sibling *sibling);

#endif
