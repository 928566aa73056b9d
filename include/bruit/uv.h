/*
 * The libuv driver: one engine on a libuv loop, with its UDP socket and TCP listener.
 *
 *     struct bruit_uv_options options;
 *     bruit_uv_options_init(&options);
 *     options.config = &config;             name set, advertise left empty: derived from `bind`
 *     options.bind = ...;                   0.0.0.0:7946 when left empty
 *     options.on_event = on_event;
 *     bruit_uv_new(&uv, loop, &options, why, sizeof why);
 *     bruit_uv_join_names(uv, names, count, 0, on_joined, context);
 *     uv_run(loop, UV_RUN_DEFAULT);
 *
 * Everything here belongs to the loop's thread, except bruit_uv_post(). All requests of <bruit/engine.h>
 * may be made directly on bruit_uv_engine() with bruit_uv_now() as the time, from any callback of the
 * loop; call bruit_uv_kick() afterwards, so that what the engine now owes is sent. Inputs
 * (bruit_recv_..., bruit_stream_..., bruit_tick, bruit_send_failed) and pulls (bruit_next_...) are the
 * driver's alone.
 */
#ifndef BRUIT_UV_H
#define BRUIT_UV_H

#include <bruit/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

/* As in <uv.h>, which compiles only with POSIX declarations switched on; this header alone always does. */
typedef struct uv_loop_s uv_loop_t;

struct bruit_uv;

/*
 * Puts `count` operations on the disk, in this order, and returns once they are durable: 0, BRUIT_EFULL when there
 * is no room, BRUIT_EIO for everything else. They are borrowed for the call. All or nothing is best; after a crash
 * at any moment a prefix of all operations ever given must be there and nothing else. Called on a thread of libuv's
 * pool, one call at a time; meanwhile further operations gather for the next one. A batch that failed is given again
 * after a second, with newer ones behind it. The last calls may come after bruit_uv_close(), none after its
 * `on_closed`.
 */
typedef int (*bruit_uv_store_fn)(void *context, const struct bruit_store_op *ops, size_t count);

struct bruit_uv_options {
    size_t struct_size; /* set by bruit_uv_options_init() */

    /*
     * Where we listen, for datagrams and streams alike. Port 0: a free one for both. 0.0.0.0: every IPv4
     * address; `::`: every address, IPv4 as well. Empty (size 0): 0.0.0.0 with port 7946.
     */
    struct bruit_addr bind;

    /*
     * Borrowed for the call. What is left empty is filled in a copy: `advertise` by
     * bruit_uv_advertise() (of an advertise without an IP only the port counts), its port by the bound
     * port, `bind_port` likewise, `seed` by the operating system.
     */
    const struct bruit_config *config;

    /*
     * Borrowed for the call, or NULL for the defaults: the C library's memory, the operating system's
     * entropy, no cipher, no trace. An `entropy` of NULL is filled in. With keys set env.cipher, to
     * bruit_cipher_openssl()'s for one: the driver itself does not depend on OpenSSL.
     */
    const struct bruit_env *env;

    /*
     * Each event of the engine, except the end of a bruit_uv_join_names(). It lives until the callback
     * makes a request on the engine. The callback may call everything here, bruit_uv_close() included.
     */
    void (*on_event)(struct bruit_uv *uv, void *context, const struct bruit_event *event);
    void *context;

    /*
     * Where the modules' state is kept, or NULL: in memory alone. It decides over config.has_store. What was stored
     * before is the program's to load, right after bruit_uv_new() and before the loop runs: each module with state
     * has a function for it (kv: bruit_kv_load()). The pool should have two threads or more (UV_THREADPOOL_SIZE, 4
     * when it is not set): of two, libuv lets names being resolved keep only one from the disk.
     */
    bruit_uv_store_fn store;
    void *store_context;

    uint32_t receive_batch; /* datagrams taken from the kernel in one call, 1 to 64; 0: 64 */
    uint32_t send_batch;    /* datagrams handed to it in one call, 1 to 64; 0: 64 */
    bool one_by_one;        /* recvmsg and sendmsg for each datagram, as where batches do not exist */
};

BRUIT_API void bruit_uv_options_init(struct bruit_uv_options *options);

/*
 * Opens both sockets and makes the engine. From then on the loop drives it. Fails with nothing left open
 * (the loop may have to run once more to give memory back), and says in `why` (`why_size` bytes, may be
 * NULL) one sentence about what is wrong and what to do:
 *   BRUIT_EINVAL   the options or the configuration
 *   BRUIT_EEXIST   the address and port are in use
 *   BRUIT_ENOENT   nothing to advertise: see bruit_uv_advertise()
 *   BRUIT_EIO      another refusal of the operating system
 *   and all of bruit_engine_new().
 */
BRUIT_API int bruit_uv_new(struct bruit_uv **out, uv_loop_t *loop, const struct bruit_uv_options *options,
                           char *why, size_t why_size);

/*
 * Closes everything and frees `uv`: callable at any moment, from any callback, more than once (the first `on_closed`
 * counts). Peers are told nothing: leave first if they should be. What is under way ends first, on a later turn of
 * the loop: what waits for the disk is written, joins are reported with BRUIT_ECLOSED, posted functions are called
 * with a `uv` of NULL; then the engine is freed, then `on_closed` (may be NULL) is called, and `uv` is gone. A
 * resolver that is still waiting for its name server keeps the loop alive, but nothing else.
 */
typedef void (*bruit_uv_closed_fn)(void *context);
BRUIT_API void bruit_uv_close(struct bruit_uv *uv, bruit_uv_closed_fn on_closed, void *context);

/* The engine, as long as `uv` lives. For requests and for reading: see the top. */
BRUIT_API struct bruit_engine *bruit_uv_engine(const struct bruit_uv *uv);

/* The time to make requests with: CLOCK_MONOTONIC, never less than what the engine was told before. */
BRUIT_API bruit_time bruit_uv_now(struct bruit_uv *uv);

/* After requests made directly on the engine: sends what they produced and re-arms the timer. */
BRUIT_API void bruit_uv_kick(struct bruit_uv *uv);

/* Where we listen, the port included. */
BRUIT_API struct bruit_addr bruit_uv_bound(const struct bruit_uv *uv);

/* ------------------------------------------------------------------ joining by name */

/* What became of one address of one name, or of a name that has none. */
struct bruit_uv_join_result {
    const char *name;       /* the text that was given */
    struct bruit_addr addr; /* size 0: the name was not resolved */
    int error;              /* 0: synced with; BRUIT_ENOENT: no such name; else why not */
    const char *text;       /* a sentence when `error` is not 0, such as "Failed to resolve ...", else "" */
};

struct bruit_uv_joined {
    uint32_t contacted; /* how many addresses were synced with */
    uint32_t count;
    const struct bruit_uv_join_result *results; /* live until the callback returns */
};

typedef void (*bruit_uv_joined_fn)(struct bruit_uv *uv, void *context, const struct bruit_uv_joined *joined);

/*
 * Joins through names: `host`, `host:port`, `[v6]`, `[v6]:port`, each with `NAME/` in front if wished;
 * without a port it is our own. Names are resolved in the background, literal addresses at once; every
 * address found is contacted. `flags` as in bruit_join(). `done` (may be NULL) is called once, never
 * before this function returned 0. Returns 0, or BRUIT_EINVAL (no names, more than 1,024, or one longer than
 * 512 bytes), BRUIT_ENOMEM, BRUIT_ECLOSED.
 */
BRUIT_API int bruit_uv_join_names(struct bruit_uv *uv, const char *const *names, size_t count, uint32_t flags,
                                  bruit_uv_joined_fn done, void *context);

/*
 * Resolves one name now, and blocks while doing so: for configuration at start. Forms as above; the
 * first address wins, IPv4 before IPv6. Returns 0, or BRUIT_EINVAL or BRUIT_ENOENT with a sentence in `why`.
 */
BRUIT_API int bruit_uv_resolve(const char *name, uint16_t default_port, struct bruit_addr *out, char *why,
                               size_t why_size);

/* ------------------------------------------------------------------ other threads */

/*
 * Calls `fn` on the loop's thread, soon: the one function that other threads may call. `uv` is NULL in
 * `fn` when the driver closes before it got round to it: free `context` then, and do nothing else. The
 * driver kicks itself after `fn`. Returns 0, or BRUIT_ENOMEM, or BRUIT_ECLOSED once bruit_uv_close() was
 * called; keeping threads from calling after `on_closed` is the caller's duty.
 */
typedef void (*bruit_uv_post_fn)(struct bruit_uv *uv, void *context);
BRUIT_API int bruit_uv_post(struct bruit_uv *uv, bruit_uv_post_fn fn, void *context);

/* ------------------------------------------------------------------ what to advertise */

/*
 * The address that a Serf agent with the same `-bind` and `-advertise` would tell the others, byte for
 * byte, so that one may replace the other under its name:
 *   advertise->size not 0   that IP, IPv4 in 4 bytes; its port, or bind->port when 0
 *   bound to one IP         that IP, IPv4 in 4 bytes
 *   bound to 0.0.0.0        a private IPv4 of this host, in the 16-byte mapped form
 *   bound to `::`           the same, or a private IPv6; Serf would tell `::`, which nobody can reach
 * Of several private addresses: on the interface of the default route first, then IPv4, then the largest
 * network. `advertise` may be NULL. Returns 0, or with a sentence in `why`:
 *   BRUIT_EINVAL   `advertise` is 0.0.0.0 or `::`
 *   BRUIT_ENOENT   the host has no private address: an explicit one is needed
 */
BRUIT_API int bruit_uv_advertise(const struct bruit_addr *bind, const struct bruit_addr *advertise,
                                 struct bruit_addr *out, char *why, size_t why_size);

/* ------------------------------------------------------------------ counters */

struct bruit_uv_stats {
    uint64_t wakeups;            /* turns of the loop that had something for us */
    uint64_t ticks;              /* of them, the deadline had come */
    uint64_t datagrams_received; /* handed to the engine */
    uint64_t receive_calls;      /* system calls, those that found nothing included */
    uint64_t truncated;          /* longer than 64 KiB, or from no IP address: dropped */
    uint64_t datagrams_sent;
    uint64_t send_calls;
    uint64_t send_blocked; /* times the kernel's buffer was full */
    uint64_t send_failed;  /* datagrams the kernel refused for good */
    uint64_t streams_opened;
    uint64_t streams_accepted;
    uint64_t streams_refused; /* accepted by the kernel, but no room here */
    uint64_t streams_open;    /* now, those that are being flushed included */
    uint64_t store_batches;   /* calls of the program's `store` that have ended */
    uint64_t store_ops;       /* operations that are on the disk */
    uint64_t store_failed;    /* times the engine was told that some are not */
};

BRUIT_API void bruit_uv_stats_get(const struct bruit_uv *uv, struct bruit_uv_stats *out);

#ifdef __cplusplus
}
#endif

#endif
