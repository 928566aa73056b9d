/*
 * Calls from other threads: a locked list and one uv_async_t, which wakes the loop.
 *
 * Each function posted is called exactly once: by the loop, or, when the driver closes first, at its end and
 * without a driver. The async handle also serves the loop's own thread, to be called back on a later turn.
 */
#ifndef BR_UV_POST_H
#define BR_UV_POST_H

#include <bruit/uv.h>

#include <uv.h>

struct br_uv_posted;

struct br_uv_post {
    uv_async_t async;
    uv_mutex_t lock; /* of the three below */
    struct br_uv_posted *first;
    struct br_uv_posted **last;
    bool is_closed;
};

/* 0 or libuv's error. Counts its handle. `on_wake` is called on the loop's thread. */
int br_uv_post_init(struct bruit_uv *uv, uv_async_cb on_wake);
/* The loop will call `on_wake` soon; for the loop's own thread, before br_uv_post_close(). */
void br_uv_post_wake(struct bruit_uv *uv);
/* Calls what was posted up to now; stops when one of the functions closes the driver. */
void br_uv_post_run(struct bruit_uv *uv);
/* Takes no more. */
void br_uv_post_close(struct bruit_uv *uv);
/* Calls what is left without a driver. */
void br_uv_post_drop(struct bruit_uv *uv);
/* After br_uv_post_drop, when no thread can be inside bruit_uv_post any more. */
void br_uv_post_fini(struct bruit_uv *uv);

#endif
