/*
 * User events: short messages by name that reach every member of the cluster once. A module.
 *
 * Whoever sends one broadcasts it by gossip; every member passes it on the first time it hears it, and is handed it
 * then. A Lamport clock of their own orders events, and the last 512 times of it are remembered: to know a copy when
 * it comes, and to tell those who join later. Two events with one name and payload are one event only when they have
 * the same time, too.
 *
 * Rules: docs/wire/serf.md, sections 4, 6 and 7.1. Gathering events of one name ("coalescing") is the program's
 * business: `coalesce` is carried along for it.
 */
#ifndef BRUIT_EVENT_H
#define BRUIT_EVENT_H

#include <bruit/engine.h>
#include <bruit/module.h>

#ifdef __cplusplus
extern "C" {
#endif

/* For bruit_config.modules. */
BRUIT_API extern const struct bruit_module bruit_event_module;

/* A module event of this module: a user event arrived, or was sent by ourselves. Read it with bruit_event_read(). */
#define BRUIT_EVENT_USER (BRUIT_EVENT_MODULE + 8)

/* A flag of bruit_join(): the events that the members joined remember are old, and not handed to us. */
#define BRUIT_JOIN_IGNORE_OLD 1u

/* Serf's limits, in bytes. The configured one may be changed up to the hard one. */
#define BRUIT_USER_EVENT_SIZE_LIMIT 512
#define BRUIT_USER_EVENT_SIZE_MAX 9216

struct bruit_event_options {
    size_t struct_size; /* set by bruit_event_options_default() */
    uint32_t size_limit; /* of an event that we send: 512, at most 9,216. What others send has no limit but the next */
    size_t memory_max;   /* of the events remembered: 1 MiB. Beyond it the oldest times are forgotten early, and
                            what is older than the youngest forgotten is no longer taken */
};

BRUIT_API void bruit_event_options_default(struct bruit_event_options *options);
/*
 * Returns 0, BRUIT_ENOENT when the engine has no event module, or BRUIT_EINVAL for a size_limit above
 * BRUIT_USER_EVENT_SIZE_MAX, or a struct_size that is not this library's.
 */
BRUIT_API int bruit_event_configure(struct bruit_engine *engine, const struct bruit_event_options *options);

/*
 * Sends an event to everybody, ourselves included. The bytes are copied. Returns 0, or
 *   BRUIT_ETOOBIG  bruit_user_event_check() says why
 *   BRUIT_ENOMEM   no memory to remember it, and nothing was sent; or none to send it, and it travels by syncs
 *   BRUIT_EFULL    as many events of this moment are remembered as can be, or the clock is at its end
 *   BRUIT_ENOENT   the engine has no event module.
 * An event that does not fit a datagram (some 1,390 bytes) travels by syncs alone, and loses `coalesce` there.
 */
BRUIT_API int bruit_user_event(struct bruit_engine *engine, struct bruit_bytes name, struct bruit_bytes payload,
                               bool coalesce, bruit_time now);

/*
 * Is this event small enough? Returns 0, or BRUIT_ETOOBIG with Serf's sentence in `text`, cut to `size` bytes with
 * the final zero. bruit_user_event() refuses exactly what this refuses.
 */
BRUIT_API int bruit_user_event_check(const struct bruit_engine *engine, struct bruit_bytes name,
                                     struct bruit_bytes payload, char *text, size_t size);

/* What a BRUIT_EVENT_USER carries. */
struct bruit_user_event {
    uint64_t ltime;
    struct bruit_bytes name; /* these two live as long as the event */
    struct bruit_bytes payload;
    bool coalesce;
    bool is_replayed; /* it came with a sync: it may be old */
};

/* Returns 0, or BRUIT_EINVAL for another event. */
BRUIT_API int bruit_event_read(const struct bruit_event *event, struct bruit_user_event *out);

/*
 * Events with a time below `ltime` will not be handed out. It never goes back. For a program that remembers the
 * last time it saw: that one, plus 1.
 */
BRUIT_API void bruit_event_ignore_before(struct bruit_engine *engine, uint64_t ltime);

/* The event clock: the time of our next event. And past `seen` with it, as after a restart. */
BRUIT_API uint64_t bruit_event_time(const struct bruit_engine *engine);
BRUIT_API void bruit_event_witness(struct bruit_engine *engine, uint64_t seen);

/* How many events wait to be gossiped. */
BRUIT_API size_t bruit_event_queued(const struct bruit_engine *engine);

#ifdef __cplusplus
}
#endif

#endif
