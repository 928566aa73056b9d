/*
 * The engine: one member of a gossip cluster, without any input or output of its own.
 *
 * It is a value that turns inputs into outputs. Whoever hosts it (a *driver*: <bruit/uv.h>, a simulator,
 * your own event loop) tells it what happened, then pulls what it wants done:
 *
 *     wait until bruit_deadline(), or a socket is readable
 *     tell it: bruit_recv_datagram, bruit_recv_stream, ... ; then bruit_tick if the deadline passed
 *     pull until none: bruit_next_datagram   -> send it
 *                      bruit_next_stream_op  -> do it
 *                      bruit_next_store_op   -> write it (only with config.has_store)
 *                      bruit_next_event      -> hand it to the program
 *     re-arm the timer with bruit_deadline()
 *
 * Lifetimes: what is handed in is borrowed for the call; what a pull returned is valid until the next
 * input. Time is an argument of every input and must never decrease. One thread at a time per engine;
 * different engines share nothing. docs/embedding.md walks through a driver and ends in a checklist.
 */
#ifndef BRUIT_ENGINE_H
#define BRUIT_ENGINE_H

#include <bruit/config.h>
#include <bruit/env.h>
#include <bruit/error.h>
#include <bruit/member.h>
#include <bruit/stats.h>
#include <bruit/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bruit_engine;

/*
 * Makes an engine that knows itself alone, alive with incarnation 1. `env` is copied; `config` and what
 * it points to is copied as far as it is kept. Returns 0, or
 *   BRUIT_EINVAL  bruit_config_check() says why; or env.struct_size is not this library's.
 *   BRUIT_ENOMEM  memory_max is too small for the tables (1 MiB is ample for one with few members).
 *   BRUIT_ENOSYS  keys without env.cipher or env.entropy.
 *   BRUIT_EKEY    the cipher refused a key.
 */
BRUIT_API int bruit_engine_new(struct bruit_engine **out, const struct bruit_config *config,
                               const struct bruit_env *env, bruit_time now);

/* Frees the engine and all it holds; NULL is fine. Peers are told nothing: see bruit_leave(). */
BRUIT_API void bruit_engine_free(struct bruit_engine *engine);

/* ------------------------------------------------------------------ inputs: datagrams and time */

/*
 * Takes one datagram from the network. `from` is its source address, which may differ from the sender's
 * advertised one. Malformed, foreign or undecryptable packets are not errors: they are counted
 * (bruit_stats_get) and traced. Returns 0, or
 *   BRUIT_ENOMEM   memory_max reached; the message at hand had no effect, those before it in the packet did.
 * Cost: one hash lookup per message; no allocation unless a member is new.
 */
BRUIT_API int bruit_recv_datagram(struct bruit_engine *engine, const struct bruit_addr *from,
                                  struct bruit_bytes packet, bruit_time now);

/*
 * Lets time pass. Call it when bruit_deadline() has come; calling it earlier does no harm, except that a
 * call much later than the deadline is taken as proof that this process was stalled: local health
 * worsens, pending deadlines get the gap back, and nobody is accused for it. Drain the sockets first.
 * Returns 0.
 */
BRUIT_API int bruit_tick(struct bruit_engine *engine, bruit_time now);

/* When bruit_tick() is next due; BRUIT_NEVER when there is nothing to wait for. May be in the past. */
BRUIT_API bruit_time bruit_deadline(const struct bruit_engine *engine);

/* ------------------------------------------------------------------ outputs: datagrams */

struct bruit_datagram {
    size_t size;          /* bytes written into the buffer */
    struct bruit_addr to; /* IPv4 in its 4-byte form, whatever form the member advertises */
    uint64_t token;       /* for bruit_send_failed() */
};

/*
 * Writes the next datagram that is owed into `buffer` of `capacity` bytes (config.packet_size_max + 8 is
 * always enough) and says where it goes. It is encoded now, with the newest gossip that fits, and counts
 * as sent now: a driver that cannot send must keep it and pull no more. Returns false when none is owed.
 */
BRUIT_API bool bruit_next_datagram(struct bruit_engine *engine, uint8_t *buffer, size_t capacity,
                                   struct bruit_datagram *out, bruit_time now);

/*
 * The datagram of `token` could not be sent, for the reason `error` (BRUIT_EUNREACHABLE, BRUIT_ETOOBIG,
 * BRUIT_EIO). Our own trouble is not the peer's fault: a probe among them is given up without a verdict.
 * Returns 0; a token of long ago is ignored.
 */
BRUIT_API int bruit_send_failed(struct bruit_engine *engine, uint64_t token, int error, bruit_time now);

/* ------------------------------------------------------------------ streams, both ways */

/* The inputs below return 0 where nothing else is said. */

enum bruit_stream_op_type {
    BRUIT_STREAM_OPEN,  /* connect to `to`; answer with bruit_stream_opened or bruit_stream_closed */
    BRUIT_STREAM_SEND,  /* write `bytes` (valid until the next input); answer with bruit_stream_sent */
    BRUIT_STREAM_CLOSE, /* flush what was written, then close; no answer, the number is free at once */
};

struct bruit_stream_op {
    enum bruit_stream_op_type type;
    uint32_t stream;         /* the engine's number for it, never 0 */
    struct bruit_addr to;    /* OPEN */
    struct bruit_bytes bytes; /* SEND: at most 64 KiB */
};

/* The next thing to be done with streams; false when there is none. */
BRUIT_API bool bruit_next_stream_op(struct bruit_engine *engine, struct bruit_stream_op *out);

/*
 * A peer connected to us. Fills `*stream` with a new number. Returns 0, or BRUIT_EFULL when
 * config.streams_max are open, or BRUIT_ENOMEM: close the connection then.
 */
BRUIT_API int bruit_stream_accepted(struct bruit_engine *engine, const struct bruit_addr *from,
                                    uint32_t *stream, bruit_time now);

/* The connection asked for by BRUIT_STREAM_OPEN stands. Unknown streams are ignored, here and below. */
BRUIT_API int bruit_stream_opened(struct bruit_engine *engine, uint32_t stream, bruit_time now);

/* Bytes came in. Any split is fine. Returns 0, or BRUIT_ENOMEM: its BRUIT_STREAM_CLOSE follows. */
BRUIT_API int bruit_recv_stream(struct bruit_engine *engine, uint32_t stream, struct bruit_bytes bytes,
                                bruit_time now);

/* What the last BRUIT_STREAM_SEND said is with the kernel; the engine will offer more if there is more. */
BRUIT_API int bruit_stream_sent(struct bruit_engine *engine, uint32_t stream, bruit_time now);

/*
 * The stream ended: `error` is 0 for the peer's orderly end, else why (BRUIT_EREFUSED, BRUIT_EUNREACHABLE,
 * BRUIT_ERESET, BRUIT_ETIMEOUT, BRUIT_EIO). The number must not be used again. After a
 * BRUIT_STREAM_CLOSE this is not needed.
 */
BRUIT_API int bruit_stream_closed(struct bruit_engine *engine, uint32_t stream, int error, bruit_time now);

/* ------------------------------------------------------------------ the store */

/* One write of a module to the disk of whoever hosts the engine; only with config.has_store. */
struct bruit_store_op {
    uint64_t token;           /* grows by 1 from operation to operation, from 1 */
    struct bruit_bytes space; /* the module's name: keys of different modules are different keys */
    struct bruit_bytes key;   /* at most 512 bytes */
    struct bruit_bytes value; /* replaces what was there; these three live until the next input */
    bool is_delete;           /* no value: the key goes */
};

/*
 * The next write; false when there is none. Do them in order; many may share one transaction. Answer with
 * bruit_stored() once they are durable. Until then what depends on them is not acknowledged to anybody.
 */
BRUIT_API bool bruit_next_store_op(struct bruit_engine *engine, struct bruit_store_op *out);

/*
 * All writes up to and with `token` are on the disk (`status` 0), or could not be written (BRUIT_EIO; BRUIT_EFULL: no
 * room): then they may be lost, the modules tell whoever waited, and go on in memory. Returns 0.
 */
BRUIT_API int bruit_stored(struct bruit_engine *engine, uint64_t token, int status, bruit_time now);

/* ------------------------------------------------------------------ requests */

struct bruit_join_target {
    struct bruit_addr addr;
    struct bruit_bytes name; /* whom we expect there, or empty; for logs */
};

/*
 * Joins the cluster through the given members, all at once: one sync with each. One that answers is
 * enough. Fills `*request`, which may not be NULL; BRUIT_EVENT_JOIN_DONE with that number follows in any
 * case. `flags` is handed to modules (see <bruit/event.h>). Returns 0, or
 *   BRUIT_EINVAL   not 1 to 64 targets; or one without port or address, or with a name that is too long
 *   BRUIT_ECLOSED  after bruit_leave()
 *   BRUIT_ENOMEM
 */
BRUIT_API int bruit_join(struct bruit_engine *engine, const struct bruit_join_target *targets, size_t count,
                         uint32_t flags, uint32_t *request, bruit_time now);

/*
 * Leaves the cluster in good order: modules say goodbye, then membership does. BRUIT_EVENT_LEAVE_DONE
 * follows when everybody who can be told has been, or after `timeout`, which modules have and then
 * membership has once more. The engine answers probes until it is freed. Returns 0, or BRUIT_EBUSY while
 * leaving, BRUIT_ECLOSED after.
 */
BRUIT_API int bruit_leave(struct bruit_engine *engine, bruit_time timeout, bruit_time now);

/*
 * Changes our metadata and tells everybody. BRUIT_EVENT_META_DONE follows when the news has been sent as
 * often as it will be. Returns 0, or BRUIT_ETOOBIG (BRUIT_META_MAX), BRUIT_ENOMEM, or BRUIT_ECLOSED after
 * bruit_leave().
 */
BRUIT_API int bruit_set_meta(struct bruit_engine *engine, struct bruit_bytes meta, bruit_time now);

/*
 * The keyring, at run time. Added keys decrypt; the one in use also encrypts. Each returns 0, or
 *   BRUIT_EINVAL  not 16, 24 or 32 bytes; or the key to be removed is in use
 *   BRUIT_ENOENT  the key to be used is not in the ring
 *   BRUIT_ENOSYS  the engine was made without a cipher; BRUIT_EFULL 64 keys are in the ring.
 */
BRUIT_API int bruit_key_add(struct bruit_engine *engine, struct bruit_bytes key);
BRUIT_API int bruit_key_use(struct bruit_engine *engine, struct bruit_bytes key);
BRUIT_API int bruit_key_remove(struct bruit_engine *engine, struct bruit_bytes key);
/* The keys in ring order, the one in use first: index 0, 1, ... until empty. */
BRUIT_API struct bruit_bytes bruit_key_get(const struct bruit_engine *engine, size_t index);

/* ------------------------------------------------------------------ outputs: events */

enum bruit_event_type {
    BRUIT_EVENT_MEMBER = 1, /* `node` changed as `changes` says */
    BRUIT_EVENT_CONFLICT,   /* somebody at `addr` claims the name of `node` */
    BRUIT_EVENT_JOIN_DONE,  /* `request`, `join` */
    BRUIT_EVENT_LEAVE_DONE, /* `error`: 0, or BRUIT_ETIMEOUT */
    BRUIT_EVENT_META_DONE,
    BRUIT_EVENT_STATUS, /* <bruit/status.h>: Serf's member events; `node`, `changes` (one bit) */
    BRUIT_EVENT_GENERATION, /* <bruit/heartbeat.h>: we took a greater generation; `node` is ourselves */
    /* And above: a module's own, as its header says. +0 status, +8 event, +16 query, +32 conflict; yours from +1000. */
    BRUIT_EVENT_MODULE = 64,
};

/*
 * What happened to a member since its last event; bits, because an event that was not pulled yet
 * gathers. For BRUIT_EVENT_MEMBER.
 */
enum bruit_change {
    BRUIT_CHANGE_JOINED = 1,     /* new, or back from dead or left */
    BRUIT_CHANGE_UPDATED = 2,    /* other metadata */
    BRUIT_CHANGE_SUSPECTED = 4,  /* alive -> suspect */
    BRUIT_CHANGE_CLEARED = 8,    /* suspect -> alive */
    BRUIT_CHANGE_FAILED = 16,    /* -> dead */
    BRUIT_CHANGE_LEFT = 32,      /* -> left */
    BRUIT_CHANGE_FORGOTTEN = 64, /* reaped: `node` is readable until the next input, then nobody */
    BRUIT_CHANGE_CONFLICT = 128, /* told to modules only: another address claims its name (BRUIT_EVENT_CONFLICT) */
    BRUIT_CHANGE_PEER = 256,     /* told to modules only: what bruit modules it carries, as far as we know */
};

/* What became of one target of a join. */
struct bruit_join_result {
    struct bruit_addr addr;
    struct bruit_bytes name;
    int error;               /* 0 when the sync succeeded; else the same code that the driver told, or ours */
    struct bruit_bytes text; /* with BRUIT_EREMOTE, what the other side said; else empty */
};

struct bruit_event {
    uint32_t type; /* enum bruit_event_type */
    bruit_node node;
    uint32_t changes;
    uint32_t request;
    int error;
    struct bruit_addr addr;
    struct {
        uint32_t contacted; /* how many targets were synced with */
        uint32_t count;
        const struct bruit_join_result *results; /* `count` of them, in the order of the request */
    } join;
    struct bruit_bytes data;
};

/* The next event; false when there is none. */
BRUIT_API bool bruit_next_event(struct bruit_engine *engine, struct bruit_event *out);

/* ------------------------------------------------------------------ odds and ends */

/* Fills `out` with the counters of <bruit/stats.h>. Cost: a copy. */
BRUIT_API void bruit_stats_get(const struct bruit_engine *engine, struct bruit_stats *out);

/* The state of a module of this engine, for the functions of the module's header; NULL when absent. */
BRUIT_API void *bruit_engine_module(const struct bruit_engine *engine, const struct bruit_module *module);

/* A number that changes when any member's state, incarnation or identity does: equal views, equal numbers. */
BRUIT_API uint64_t bruit_view_checksum(const struct bruit_engine *engine);

#ifdef __cplusplus
}
#endif

#endif
