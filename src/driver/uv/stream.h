/*
 * Streams: the engine's numbers on one side, libuv's TCP handles on the other.
 *
 * A stream the engine knows stands in a table by its number. When the engine closes one whose bytes are not
 * all with the kernel yet, it leaves the table and lingers until they are, or until the engine's own stream
 * timeout has passed: its number may be somebody else's by then. Outgoing connections are not bound to an
 * address, as memberlist's are not (docs/wire/memberlist.md, facts before section 1).
 */
#ifndef BR_UV_STREAM_H
#define BR_UV_STREAM_H

#include <bruit/engine.h>

#include <uv.h>

struct br_uv_stream;
struct bruit_uv;

#define BR_STREAM_BUCKETS 64 /* streams_max is 128 by default: chains of two */

struct br_uv_streams {
    uv_tcp_t listener;
    struct br_uv_stream *buckets[BR_STREAM_BUCKETS];
    struct br_uv_stream *lingering; /* oldest last */
    bool accept_waits;              /* a connection that libuv holds for us */
    bruit_time linger_max;
};

/* A listening socket on `bind`, or a negative errno. */
int br_uv_streams_listen_fd(const struct bruit_addr *bind);

/* Takes over `fd` in any case. 0 or libuv's error. Counts its handle. */
int br_uv_streams_init(struct bruit_uv *uv, int fd, bruit_time linger_max);

/* Does everything the engine wants done with streams. */
void br_uv_streams_run(struct bruit_uv *uv);

/* When the next lingering stream has to go; BRUIT_NEVER when there is none. And: those that have to, go. */
bruit_time br_uv_streams_deadline(const struct br_uv_streams *streams);
void br_uv_streams_expire(struct bruit_uv *uv, bruit_time now);

/* Closes the listener and every stream without a word to the engine. */
void br_uv_streams_close(struct bruit_uv *uv);

#endif
