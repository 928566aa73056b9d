/*
 * The driver's inside: what its files share. struct bruit_uv is the map of the machine.
 *
 *   driver.c   new, close, and the turn: receive, tick, pull, send, re-arm
 *   udp.c      the socket and its batches           stream.c   TCP, the engine's numbers mapped to handles
 *   resolve.c  joins by name                        post.c     calls from other threads
 *   advertise.c  which address to tell              sock.c     translation of addresses and errors
 *   store.c    batches for the disk
 *
 * One turn is: take what the sockets have, tick if the deadline has come, then pull until a whole round gave
 * nothing new. Callbacks of the user run inside a turn; what they ask for lengthens it (`again`). After
 * bruit_uv_close() nothing is told to the engine or pulled from it any more; it is freed when the last handle
 * has closed.
 */
#ifndef BR_UV_DRIVER_H
#define BR_UV_DRIVER_H

#include <bruit/uv.h>

#include "driver/uv/post.h"
#include "driver/uv/resolve.h"
#include "driver/uv/store.h"
#include "driver/uv/stream.h"
#include "driver/uv/udp.h"

#include <uv.h>

struct bruit_uv {
    uv_loop_t *loop;
    struct bruit_engine *engine;
    bruit_time now; /* the latest time the engine may have been told */

    void (*on_event)(struct bruit_uv *uv, void *context, const struct bruit_event *event);
    void *context;

    struct bruit_addr bound;
    struct br_udp udp;
    struct br_uv_streams streams;
    struct br_uv_post post;
    struct br_uv_joins joins;
    struct br_uv_store store;

    uv_poll_t poll;
    uv_timer_t timer;
    uint64_t armed_ms;  /* when the timer fires, on libuv's clock; 0: not armed */
    bool wants_write;   /* the kernel's buffer is full, and poll tells us when it is not */
    bool late;          /* the tick is late, and sockets are being drained before it */
    bool may_tick_late; /* they were */

    bool in_turn;
    bool again; /* the engine was told something: pull another round */

    unsigned handle_count; /* open libuv handles, streams included, and a last batch for the disk */
    bool closing;
    bruit_uv_closed_fn on_closed;
    void *closed_context;

    struct bruit_uv_stats stats;
};

/* Pulls and does what the engine wants until it wants nothing, then re-arms the timer. */
void br_uv_turn(struct bruit_uv *uv);

/* Of every handle: its close callback calls this once it is done with its own memory. */
void br_uv_handle_closed(struct bruit_uv *uv);

#endif
