/*
 * The driver: one engine, two sockets, one timer, on a libuv loop. driver.h has the map.
 *
 * Time is CLOCK_MONOTONIC, which libuv's timers run on too: the timer is set for the first whole
 * millisecond at or after the deadline, so that it never fires too early and one deadline costs one
 * wakeup.
 *
 * A process that was stopped finds its timer due and its sockets full. The engine must hear what came in
 * before it is told how late it is, or it would take its own stall for the silence of others: every tick
 * comes after the UDP socket was drained, and a late one also after libuv has gone through its streams
 * once.
 */
#include "driver/uv/driver.h"

#include "base/text.h"
#include "codec/addr.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#define PORT_DEFAULT 7946

/* How often a free UDP port is looked for until TCP has the same one. Two tries are rare. */
#define PORT_TRIES 16

/* Batches taken in one turn before others get theirs: 1,024 datagrams, some milliseconds of work. */
#define TURN_BATCHES_MAX 16

/* Rounds of pulling in one turn; nothing special about 256. A long stream written in 64 KiB pieces takes
 * the most, and what is left then is done a millisecond later. */
#define TURN_ROUNDS_MAX 256

/* From here on a tick is late and waits until the streams were read as well. A timer of a machine that is
 * merely busy is some milliseconds late; the engine's own threshold is far above. */
#define LATE (10 * BRUIT_MILLISECOND)

static void on_socket(uv_poll_t *poll, int status, int events);
static void on_timer(uv_timer_t *timer);
static void on_wake(uv_async_t *async);
static void arm(struct bruit_uv *uv);

/* ------------------------------------------------------------------ making one */

void bruit_uv_options_init(struct bruit_uv_options *options)
{
    *options = (struct bruit_uv_options){.struct_size = sizeof *options};
}

static int say(char *why, size_t why_size, int error, const char *before, const struct bruit_addr *addr,
               const char *after)
{
    struct br_text t;
    br_text_init(&t, why, why == NULL ? 0 : why_size);
    br_text_string(&t, before);
    if (addr != NULL)
        br_text_addr(&t, addr);
    br_text_string(&t, after);
    (void)br_text_end(&t); /* Cut is fine. */
    return error;
}

/* What the operating system's refusal of an address means, and what to do. */
static int say_refused(char *why, size_t why_size, int status, const struct bruit_addr *bind)
{
    switch (status) {
    case UV_EADDRINUSE:
        return say(why, why_size, BRUIT_EEXIST, "", bind,
                   " is in use: end the other program, or bind to another port");
    case UV_EADDRNOTAVAIL:
        return say(why, why_size, BRUIT_EIO, "cannot listen on ", bind,
                   ": this host has no such address; bind to one of its own");
    case UV_EACCES:
    case UV_EPERM:
        return say(why, why_size, BRUIT_EIO, "no permission to listen on ", bind,
                   ": bind to a port above 1023, or run with the right to");
    case UV_EAFNOSUPPORT:
        return say(why, why_size, BRUIT_EIO, "cannot listen on ", bind,
                   ": this host has no IPv6; bind to an IPv4 address");
    default: {
        char reason[128];
        (void)snprintf(reason, sizeof reason, ": %s", uv_strerror(status)); /* Cut is fine. */
        return say(why, why_size, BRUIT_EIO, "cannot listen on ", bind, reason);
    }
    }
}

/* One port for both: UDP takes it (any, if `bind` has none), then TCP must get the same. */
static int open_both(struct br_udp *udp, int *listener, struct bruit_addr *bind)
{
    uint16_t wanted = bind->port;
    for (int tries = 1;; tries++) {
        bind->port = wanted;
        int status = br_udp_open(udp, bind);
        if (status != 0)
            return status;
        *listener = br_uv_streams_listen_fd(bind);
        if (*listener >= 0)
            return 0;
        br_udp_close(udp);
        if (wanted != 0 || *listener != UV_EADDRINUSE || tries == PORT_TRIES)
            return *listener;
    }
}

static int system_entropy(void *context, uint8_t *out, size_t size)
{
    (void)context;
    while (size > 0) {
        ssize_t got = getrandom(out, size, 0);
        if (got < 0)
            return BRUIT_EIO;
        out += got;
        size -= (size_t)got;
    }
    return 0;
}

/* The copies in which what the caller left empty is filled in. */
static int complete(struct bruit_config *config, struct bruit_env *env, const struct bruit_uv *uv, char *why,
                    size_t why_size)
{
    int error = bruit_uv_advertise(&uv->bound, &config->advertise, &config->advertise, why, why_size);
    if (error != 0)
        return error;
    if (config->bind_port == 0)
        config->bind_port = uv->bound.port;
    config->has_store = uv->store.write != NULL;
    if (env->entropy == NULL)
        env->entropy = system_entropy;
    if (config->seed == 0 && system_entropy(NULL, (uint8_t *)&config->seed, sizeof config->seed) != 0)
        return say(why, why_size, BRUIT_EIO, "the operating system gives no random numbers: set config.seed",
                   NULL, "");
    return 0;
}

static int make_engine(struct bruit_uv *uv, const struct bruit_uv_options *options, char *why,
                       size_t why_size)
{
    struct bruit_config config = *options->config;
    struct bruit_env env = {.struct_size = sizeof env};
    if (options->env != NULL)
        env = *options->env;
    int error = complete(&config, &env, uv, why, why_size);
    if (error != 0)
        return error;
    error = bruit_engine_new(&uv->engine, &config, &env, bruit_uv_now(uv));
    if (error == 0)
        return 0;
    const char *wrong = error == BRUIT_EINVAL ? bruit_config_check(&config) : NULL;
    return say(why, why_size, error, wrong != NULL ? wrong : bruit_strerror(error), NULL, "");
}

static int init_poll_and_timer(struct bruit_uv *uv)
{
    int status = uv_timer_init(uv->loop, &uv->timer);
    if (status != 0)
        return status;
    uv->timer.data = uv;
    uv->handle_count++;
    status = uv_poll_init(uv->loop, &uv->poll, uv->udp.fd);
    if (status != 0)
        return status;
    uv->poll.data = uv;
    uv->handle_count++;
    return uv_poll_start(&uv->poll, UV_READABLE, on_socket);
}

static void on_handle_closed(uv_handle_t *handle)
{
    br_uv_handle_closed(handle->data);
}

static void close_if_open(uv_handle_t *handle, uv_close_cb on_done)
{
    if (handle->data != NULL)
        uv_close(handle, on_done);
}

/* The loop's side. What fails here has left handles that only the loop can give back. */
static int init_handles(struct bruit_uv *uv, int listener, bruit_time linger_max)
{
    int status = br_uv_post_init(uv, on_wake);
    if (status != 0) {
        (void)close(listener);
        return status;
    }
    status = br_uv_streams_init(uv, listener, linger_max);
    return status != 0 ? status : init_poll_and_timer(uv);
}

static void close_handles(struct bruit_uv *uv)
{
    uv->closing = true;
    if (uv->post.async.data != NULL)
        br_uv_post_close(uv);
    if (uv->streams.listener.data != NULL)
        br_uv_streams_close(uv);
    br_uv_store_close(uv);
    close_if_open((uv_handle_t *)&uv->timer, on_handle_closed);
    close_if_open((uv_handle_t *)&uv->poll, on_handle_closed);
    br_udp_close(&uv->udp);
}

static void release(struct bruit_uv *uv)
{
    if (uv->engine != NULL)
        bruit_engine_free(uv->engine);
    uv->engine = NULL;
    br_uv_store_fini(&uv->store);
    br_udp_fini(&uv->udp);
}

static unsigned batch_of(uint32_t wanted)
{
    return wanted == 0 || wanted > BR_UDP_BATCH_MAX ? BR_UDP_BATCH_MAX : wanted;
}

static int init_udp(struct bruit_uv *uv, const struct bruit_uv_options *options)
{
    struct br_udp_options udp = {
        .receive_batch = batch_of(options->receive_batch),
        .send_batch = batch_of(options->send_batch),
        .send_size_max = (size_t)options->config->packet_size_max + 8, /* bruit_next_datagram() asks for it */
        .calls = options->one_by_one ? &br_udp_single : &br_udp_batched,
    };
    return br_udp_init(&uv->udp, &udp);
}

static int open_and_make(struct bruit_uv *uv, const struct bruit_uv_options *options, int *listener,
                         char *why, size_t why_size)
{
    uv->bound = (struct bruit_addr){.size = 4, .port = PORT_DEFAULT};
    if (options->bind.size != 0)
        uv->bound = br_addr_unmapped(&options->bind);
    if (init_udp(uv, options) != 0)
        return say(why, why_size, BRUIT_ENOMEM, bruit_strerror(BRUIT_ENOMEM), NULL, "");
    int status = open_both(&uv->udp, listener, &uv->bound);
    if (status != 0)
        return say_refused(why, why_size, status, &uv->bound);
    int error = make_engine(uv, options, why, why_size);
    if (error != 0)
        (void)close(*listener);
    return error;
}

int bruit_uv_new(struct bruit_uv **out, uv_loop_t *loop, const struct bruit_uv_options *options, char *why,
                 size_t why_size)
{
    int listener = -1;
    *out = NULL;
    if (options->struct_size != sizeof *options || options->config == NULL ||
        options->config->packet_size_max > UINT16_MAX)
        return say(why, why_size, BRUIT_EINVAL,
                   "call bruit_uv_options_init() and set `config` from a profile", NULL, "");
    struct bruit_uv *uv = calloc(1, sizeof *uv);
    if (uv == NULL)
        return say(why, why_size, BRUIT_ENOMEM, bruit_strerror(BRUIT_ENOMEM), NULL, "");
    uv->loop = loop;
    uv->on_event = options->on_event;
    uv->context = options->context;
    uv->store.write = options->store;
    uv->store.context = options->store_context;
    uv->udp.fd = -1;
    int error = open_and_make(uv, options, &listener, why, why_size);
    if (error != 0) {
        release(uv);
        free(uv);
        return error;
    }
    int status = init_handles(uv, listener, options->config->stream_timeout);
    if (status != 0) {
        error = say(why, why_size, BRUIT_EIO, "the event loop refuses: ", NULL, uv_strerror(status));
        release(uv); /* The engine goes now: its environment is the caller's. */
        close_handles(uv);
        if (uv->handle_count == 0)
            free(uv);
        return error;
    }
    br_uv_post_wake(uv); /* A first turn: the engine may owe something already. */
    *out = uv;
    return 0;
}

/* ------------------------------------------------------------------ closing one */

void bruit_uv_close(struct bruit_uv *uv, bruit_uv_closed_fn on_closed, void *context)
{
    if (uv->closing)
        return;
    uv->on_closed = on_closed;
    uv->closed_context = context;
    close_handles(uv);
}

void br_uv_handle_closed(struct bruit_uv *uv)
{
    bool had_post = uv->post.async.data != NULL;
    if (--uv->handle_count > 0)
        return;
    br_uv_joins_close(uv);
    if (had_post)
        br_uv_post_drop(uv);
    release(uv);
    if (uv->on_closed != NULL)
        uv->on_closed(uv->closed_context);
    if (had_post)
        br_uv_post_fini(uv);
    free(uv);
}

/* ------------------------------------------------------------------ one turn */

bruit_time bruit_uv_now(struct bruit_uv *uv)
{
    bruit_time now = uv_hrtime();
    if (now > uv->now)
        uv->now = now;
    return uv->now;
}

static void report_failures(struct bruit_uv *uv)
{
    struct br_udp *udp = &uv->udp;
    if (udp->failure_count == 0)
        return;
    bruit_time now = bruit_uv_now(uv);
    for (unsigned i = 0; i < udp->failure_count; i++)
        (void)bruit_send_failed(uv->engine, udp->failures[i].token, udp->failures[i].error, now);
    uv->stats.send_failed += udp->failure_count;
    udp->failure_count = 0;
    uv->again = true;
}

/* Asks to be called when the kernel takes datagrams again, or not any more. libuv tells the kernel only when
 * that changes. */
static void watch_writable(struct bruit_uv *uv, bool wanted)
{
    if (uv->wants_write == wanted)
        return;
    uv->wants_write = wanted;
    /* Starting again with another set cannot fail. */
    (void)uv_poll_start(&uv->poll, wanted ? UV_READABLE | UV_WRITABLE : UV_READABLE, on_socket);
}

/* False when the kernel is full: what is in the batch stays there, and no more may be pulled. */
static bool flush(struct bruit_uv *uv)
{
    bool flushed = br_udp_flush(&uv->udp);
    report_failures(uv);
    if (!flushed && !uv->wants_write)
        uv->stats.send_blocked++;
    watch_writable(uv, !flushed);
    return flushed;
}

static unsigned pull_batch(struct bruit_uv *uv, bruit_time now)
{
    struct bruit_datagram datagram;
    uint8_t *buffer;
    unsigned pulled = 0;
    while ((buffer = br_udp_room(&uv->udp)) != NULL &&
           bruit_next_datagram(uv->engine, buffer, uv->udp.out_datagram_max, &datagram, now)) {
        br_udp_queue(&uv->udp, datagram.size, &datagram.to, datagram.token);
        pulled++;
    }
    uv->stats.datagrams_sent += pulled;
    return pulled;
}

static void send_datagrams(struct bruit_uv *uv)
{
    if (uv->udp.out_queued > 0 && !flush(uv))
        return;
    bruit_time now = bruit_uv_now(uv);
    while (pull_batch(uv, now) > 0) {
        bool was_full = br_udp_room(&uv->udp) == NULL;
        if (!flush(uv) || !was_full)
            return;
    }
}

/* One batch for the engine; true when another may be waiting. */
static bool receive_batch(struct bruit_uv *uv)
{
    struct bruit_addr from;
    struct bruit_bytes packet;
    unsigned count = br_udp_receive(&uv->udp);
    if (count == 0)
        return false;
    bruit_time now = bruit_uv_now(uv);
    for (unsigned i = 0; i < count; i++) {
        if (br_udp_received(&uv->udp, i, &from, &packet)) {
            (void)bruit_recv_datagram(uv->engine, &from, packet, now); /* The engine counts what it drops. */
            uv->stats.datagrams_received++;
        } else {
            uv->stats.truncated++;
        }
    }
    return count == uv->udp.in_count;
}

/* Takes what waits, and answers each batch before the next, so that what the engine owes stays little. */
static void drain(struct bruit_uv *uv)
{
    for (int batch = 0; batch < TURN_BATCHES_MAX && receive_batch(uv); batch++)
        send_datagrams(uv);
}

static void tick_if_due(struct bruit_uv *uv)
{
    bruit_time deadline = bruit_deadline(uv->engine);
    bruit_time now = bruit_uv_now(uv);
    if (deadline > now)
        return;
    if (now - deadline > LATE && !uv->may_tick_late)
        return; /* The timer, which is due too, sees to it. */
    uv->stats.ticks++;
    (void)bruit_tick(uv->engine, now); /* Out of memory: the engine tries again at its next deadline. */
}

static void hand_over_events(struct bruit_uv *uv)
{
    struct bruit_event event;
    while (!uv->closing && bruit_next_event(uv->engine, &event)) {
        uv->again = true; /* Whoever is told something may ask for something. */
        if (event.type == BRUIT_EVENT_JOIN_DONE && br_uv_joins_take(uv, &event))
            continue;
        if (uv->on_event != NULL)
            uv->on_event(uv, uv->context, &event);
    }
}

static void one_round(struct bruit_uv *uv)
{
    uv->again = false;
    tick_if_due(uv);
    br_uv_joins_run(uv);
    if (uv->closing)
        return;
    send_datagrams(uv);
    br_uv_streams_run(uv);
    hand_over_events(uv);
}

void br_uv_turn(struct bruit_uv *uv)
{
    uv->again = true;
    if (uv->in_turn || uv->closing)
        return;
    uv->in_turn = true;
    for (int round = 0; round < TURN_ROUNDS_MAX && uv->again && !uv->closing; round++)
        one_round(uv);
    uv->in_turn = false;
    if (uv->closing)
        return;
    br_uv_store_run(uv); /* Once, at the end: all that the turn wants stored shares a batch. */
    arm(uv);
}

static void arm(struct bruit_uv *uv)
{
    bruit_time deadline = bruit_deadline(uv->engine);
    bruit_time linger = br_uv_streams_deadline(&uv->streams);
    bruit_time retry = br_uv_store_deadline(&uv->store);
    deadline = linger < deadline ? linger : deadline;
    deadline = retry < deadline ? retry : deadline;
    if (deadline == BRUIT_NEVER && !uv->again) {
        (void)uv_timer_stop(&uv->timer); /* Always succeeds. */
        uv->armed_ms = 0;
        return;
    }
    /* libuv counts whole milliseconds of the same clock, rounded down: at this one the deadline has come.
     * What is due already has to wait for the next, so that nothing can keep the loop from its other work. */
    uint64_t target = uv->again ? 0 : deadline / BRUIT_MILLISECOND + (deadline % BRUIT_MILLISECOND != 0);
    uint64_t earliest = uv_now(uv->loop) + 1;
    target = target < earliest ? earliest : target;
    if (target == uv->armed_ms)
        return;
    uv->armed_ms = target;
    /* It fails only without a callback. */
    (void)uv_timer_start(&uv->timer, on_timer, target - uv_now(uv->loop), 0);
}

/* ------------------------------------------------------------------ what wakes us */

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct bruit_uv *uv = poll->data;
    (void)events; /* Whether it is readable or writable: both are tried anyway. */
    uv->stats.wakeups++;
    if (status != 0) {
        /* libuv has stopped polling. An error of an earlier datagram is over once it is read. */
        br_udp_clear_error(&uv->udp);
        uv->wants_write = false;
        (void)uv_poll_start(&uv->poll, UV_READABLE, on_socket); /* Cannot fail. */
    }
    drain(uv);
    br_uv_turn(uv);
}

static void on_timer(uv_timer_t *timer)
{
    struct bruit_uv *uv = timer->data;
    uv->armed_ms = 0;
    uv->stats.wakeups++;
    drain(uv);
    bruit_time now = bruit_uv_now(uv);
    br_uv_streams_expire(uv, now);
    bruit_time deadline = bruit_deadline(uv->engine);
    bool is_late = deadline < now && now - deadline > LATE;
    uv->may_tick_late = is_late && uv->late; /* The second time: libuv has been through the streams. */
    uv->late = is_late && !uv->late;
    br_uv_turn(uv);
    uv->may_tick_late = false;
}

static void on_wake(uv_async_t *async)
{
    struct bruit_uv *uv = async->data;
    if (uv->closing)
        return;
    uv->stats.wakeups++;
    br_uv_post_run(uv);
    br_uv_turn(uv);
}

void bruit_uv_kick(struct bruit_uv *uv)
{
    br_uv_turn(uv);
}

/* ------------------------------------------------------------------ looking at it */

struct bruit_engine *bruit_uv_engine(const struct bruit_uv *uv)
{
    return uv->engine;
}

struct bruit_addr bruit_uv_bound(const struct bruit_uv *uv)
{
    return uv->bound;
}

void bruit_uv_stats_get(const struct bruit_uv *uv, struct bruit_uv_stats *out)
{
    *out = uv->stats;
    out->receive_calls = uv->udp.receive_calls;
    out->send_calls = uv->udp.send_calls;
    out->datagrams_sent -= uv->stats.send_failed + (uv->udp.out_queued - uv->udp.out_sent);
}
