/* Streams over libuv: see stream.h. Every callback here ends in a turn, since the engine was told
 * something. */
#include "driver/uv/stream.h"

#include "driver/uv/driver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* libuv's backlog argument; the kernel caps it (net.core.somaxconn). Go's is the system's maximum. */
#define BACKLOG 128

struct br_uv_stream {
    uv_tcp_t tcp;
    uv_connect_t connect;
    struct bruit_uv *uv;
    struct br_uv_stream *next; /* in its bucket, or among the lingering */
    uint32_t number;           /* 0: the engine does not know it, or not any more */
    unsigned writes;           /* under way */
    bool is_lingering;
    bruit_time linger_deadline;
};

/* The part of a SEND that the kernel did not take at once. */
struct write {
    uv_write_t request;
    struct br_uv_stream *stream;
    uint8_t bytes[];
};

/* ------------------------------------------------------------------ the table */

static struct br_uv_stream **bucket_of(struct br_uv_streams *streams, uint32_t number)
{
    return &streams->buckets[number % BR_STREAM_BUCKETS];
}

static struct br_uv_stream *find(struct br_uv_streams *streams, uint32_t number)
{
    struct br_uv_stream *stream = *bucket_of(streams, number);
    while (stream != NULL && stream->number != number)
        stream = stream->next;
    return stream;
}

static void enter(struct br_uv_stream *stream, uint32_t number)
{
    struct br_uv_stream **bucket = bucket_of(&stream->uv->streams, number);
    stream->number = number;
    stream->next = *bucket;
    *bucket = stream;
}

static void remove_from(struct br_uv_stream **list, struct br_uv_stream *stream)
{
    while (*list != stream)
        list = &(*list)->next;
    *list = stream->next;
    stream->next = NULL;
}

/* The engine's number is free from here on. */
static void forget(struct br_uv_stream *stream)
{
    if (stream->number != 0)
        remove_from(bucket_of(&stream->uv->streams, stream->number), stream);
    stream->number = 0;
}

/* ------------------------------------------------------------------ birth and death */

static struct br_uv_stream *make(struct bruit_uv *uv)
{
    struct br_uv_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return NULL;
    if (uv_tcp_init(uv->loop, &stream->tcp) != 0) {
        free(stream);
        return NULL;
    }
    stream->uv = uv;
    stream->tcp.data = stream;
    uv->handle_count++;
    uv->stats.streams_open++;
    return stream;
}

static void on_closed(uv_handle_t *handle)
{
    struct br_uv_stream *stream = handle->data;
    struct bruit_uv *uv = stream->uv;
    uv->stats.streams_open--;
    free(stream);
    br_uv_handle_closed(uv);
}

/* Drops the connection without another word to the engine. */
static void drop(struct br_uv_stream *stream)
{
    forget(stream);
    if (stream->is_lingering)
        remove_from(&stream->uv->streams.lingering, stream);
    stream->is_lingering = false;
    if (!uv_is_closing((uv_handle_t *)&stream->tcp))
        uv_close((uv_handle_t *)&stream->tcp, on_closed);
}

/* Tells the engine that the stream ended, and why. */
static void end(struct br_uv_stream *stream, int error)
{
    struct bruit_uv *uv = stream->uv;
    uint32_t number = stream->number;
    drop(stream);
    if (number != 0 && !uv->closing) {
        (void)bruit_stream_closed(uv->engine, number, error,
                                  bruit_uv_now(uv)); /* Its troubles are its own. */
        uv->again = true;
    }
}

/* The engine knows nothing of memory trouble in its driver. */
static int stream_error(int status)
{
    int error = br_uv_error(status);
    return error == BRUIT_ENOMEM || error == BRUIT_EEXIST || error == BRUIT_ETOOBIG ? BRUIT_EIO : error;
}

/* ------------------------------------------------------------------ reading */

/* All streams read into the one buffer, which the engine has used up when the callback returns. */
static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    const struct br_uv_stream *stream = handle->data;
    (void)suggested;
    *out = uv_buf_init((char *)stream->uv->udp.scratch, BR_UDP_DATAGRAM_MAX);
}

static void on_read(uv_stream_t *handle, ssize_t size, const uv_buf_t *buffer)
{
    struct br_uv_stream *stream = handle->data;
    struct bruit_uv *uv = stream->uv;
    if (size == 0 || stream->number == 0)
        return;
    uv->stats.wakeups++;
    if (size < 0) {
        end(stream, stream_error((int)size));
    } else {
        struct bruit_bytes bytes = {(const uint8_t *)buffer->base, (size_t)size};
        (void)bruit_recv_stream(uv->engine, stream->number, bytes,
                                bruit_uv_now(uv)); /* It closes what it refuses. */
    }
    br_uv_turn(uv);
}

/* Reads from now on; false when libuv refuses, which it does for a socket that is broken already. */
static bool start(struct br_uv_stream *stream)
{
    /* Small frames go both ways and wait for each other: do not hold them back. Failing that, be slow. */
    (void)uv_tcp_nodelay(&stream->tcp, 1);
    return uv_read_start((uv_stream_t *)&stream->tcp, give_buffer, on_read) == 0;
}

/* ------------------------------------------------------------------ accepting */

static bool peer_of(uv_tcp_t *tcp, struct bruit_addr *out)
{
    union br_sockaddr peer;
    int size = sizeof peer;
    return uv_tcp_getpeername(tcp, &peer.any, &size) == 0 && br_sockaddr_read(out, &peer);
}

static void accept_one(struct bruit_uv *uv, struct br_uv_stream *stream)
{
    struct bruit_addr from;
    uint32_t number;
    if (uv_accept((uv_stream_t *)&uv->streams.listener, (uv_stream_t *)&stream->tcp) != 0 ||
        !peer_of(&stream->tcp, &from) || !start(stream)) {
        drop(stream); /* Gone before we came to it. */
        return;
    }
    if (bruit_stream_accepted(uv->engine, &from, &number, bruit_uv_now(uv)) != 0) {
        uv->stats.streams_refused++;
        drop(stream);
        return;
    }
    uv->stats.streams_accepted++;
    enter(stream, number);
    uv->again = true;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct bruit_uv *uv = listener->data;
    uv->stats.wakeups++;
    if (status != 0 || uv->closing)
        return; /* Out of descriptors, or the peer gave up: libuv goes on listening. */
    uv->streams.accept_waits = true;
    br_uv_turn(uv);
}

/* libuv holds a connection, and accepts no other, until somebody takes it: without memory now, try again with
 * every turn. */
static void accept_waiting(struct bruit_uv *uv)
{
    struct br_uv_stream *stream = make(uv);
    if (stream == NULL)
        return;
    uv->streams.accept_waits = false;
    accept_one(uv, stream);
}

static int prepare_listener(int fd, const struct bruit_addr *bind_addr, int family)
{
    int on = 1, off = 0;
    union br_sockaddr local;
    socklen_t size = br_sockaddr_write(&local, bind_addr, family);
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0) ||
        bind(fd, &local.any, size) != 0 || listen(fd, BACKLOG) != 0)
        return -errno;
    return 0;
}

int br_uv_streams_listen_fd(const struct bruit_addr *bind_addr)
{
    union br_sockaddr probe;
    if (br_sockaddr_write(&probe, bind_addr, AF_UNSPEC) == 0)
        return -EINVAL;
    int fd = socket(probe.any.sa_family, SOCK_STREAM, 0);
    if (fd < 0)
        return -errno;
    int error = prepare_listener(fd, bind_addr, probe.any.sa_family);
    if (error != 0) {
        (void)close(fd);
        return error;
    }
    return fd;
}

static void on_listener_closed(uv_handle_t *handle)
{
    br_uv_handle_closed(handle->data);
}

int br_uv_streams_init(struct bruit_uv *uv, int fd, bruit_time linger_max)
{
    struct br_uv_streams *streams = &uv->streams;
    *streams = (struct br_uv_streams){.linger_max = linger_max};
    int status = uv_tcp_init(uv->loop, &streams->listener);
    if (status != 0) {
        (void)close(fd);
        return status;
    }
    streams->listener.data = uv;
    uv->handle_count++;
    status = uv_tcp_open(&streams->listener, fd);
    if (status != 0) {
        (void)close(fd);
        return status;
    }
    return uv_listen((uv_stream_t *)&streams->listener, BACKLOG, on_connection);
}

/* ------------------------------------------------------------------ what the engine asks for */

static void on_connected(uv_connect_t *request, int status)
{
    struct br_uv_stream *stream = request->handle->data;
    struct bruit_uv *uv = stream->uv;
    if (stream->number == 0)
        return; /* Closed while connecting. */
    uv->stats.wakeups++;
    if (status == 0 && !start(stream))
        status = UV_ECONNRESET;
    if (status == 0) {
        uv->stats.streams_opened++;
        (void)bruit_stream_opened(uv->engine, stream->number, bruit_uv_now(uv)); /* Told is told. */
    } else {
        end(stream, stream_error(status));
    }
    br_uv_turn(uv);
}

static int connect_to(struct br_uv_stream *stream, const struct bruit_addr *to)
{
    union br_sockaddr target;
    if (br_sockaddr_write(&target, to, AF_UNSPEC) == 0)
        return UV_EHOSTUNREACH;
    return uv_tcp_connect(&stream->connect, &stream->tcp, &target.any, on_connected);
}

static void open_stream(struct bruit_uv *uv, const struct bruit_stream_op *op)
{
    struct br_uv_stream *stream = make(uv);
    if (stream == NULL) {
        (void)bruit_stream_closed(uv->engine, op->stream, BRUIT_EIO, bruit_uv_now(uv));
        uv->again = true;
        return;
    }
    enter(stream, op->stream);
    int status = connect_to(stream, &op->to);
    if (status != 0)
        end(stream, stream_error(status));
}

static void on_written(uv_write_t *request, int status)
{
    struct write *write = (struct write *)request->data;
    struct br_uv_stream *stream = write->stream;
    struct bruit_uv *uv = stream->uv;
    free(write);
    stream->writes--;
    if (stream->is_lingering && (status != 0 || stream->writes == 0))
        drop(stream);
    if (stream->number == 0)
        return;
    uv->stats.wakeups++;
    if (status == 0) {
        (void)bruit_stream_sent(uv->engine, stream->number, bruit_uv_now(uv));
    } else {
        end(stream, stream_error(status));
    }
    br_uv_turn(uv);
}

static int write_rest(struct br_uv_stream *stream, struct bruit_bytes rest)
{
    struct write *write = malloc(sizeof *write + rest.size);
    if (write == NULL)
        return UV_ENOMEM;
    memcpy(write->bytes, rest.data, rest.size);
    write->stream = stream;
    write->request.data = write;
    uv_buf_t buffer = uv_buf_init((char *)write->bytes, (unsigned)rest.size);
    int status = uv_write(&write->request, (uv_stream_t *)&stream->tcp, &buffer, 1, on_written);
    if (status != 0) {
        free(write);
        return status;
    }
    stream->writes++;
    return 0;
}

static void send_bytes(struct br_uv_stream *stream, struct bruit_bytes bytes)
{
    struct bruit_uv *uv = stream->uv;
    uv_buf_t buffer = uv_buf_init((char *)(uintptr_t)bytes.data, (unsigned)bytes.size); /* Only read from. */
    int taken = bytes.size == 0 ? 0 : uv_try_write((uv_stream_t *)&stream->tcp, &buffer, 1);
    if (taken == UV_EAGAIN)
        taken = 0;
    if (taken < 0) {
        end(stream, stream_error(taken));
        return;
    }
    if ((size_t)taken == bytes.size) {
        (void)bruit_stream_sent(uv->engine, stream->number, bruit_uv_now(uv));
        uv->again = true;
        return;
    }
    struct bruit_bytes rest = {bytes.data + taken, bytes.size - (size_t)taken};
    int status = write_rest(stream, rest);
    if (status != 0)
        end(stream, stream_error(status));
}

static void close_stream(struct br_uv_stream *stream)
{
    struct br_uv_streams *streams = &stream->uv->streams;
    if (stream->writes == 0) {
        drop(stream);
        return;
    }
    forget(stream);
    (void)uv_read_stop((uv_stream_t *)&stream->tcp); /* Always succeeds. */
    stream->is_lingering = true;
    stream->linger_deadline = bruit_uv_now(stream->uv) + streams->linger_max;
    stream->next = streams->lingering;
    streams->lingering = stream;
}

void br_uv_streams_run(struct bruit_uv *uv)
{
    struct bruit_stream_op op;
    if (uv->streams.accept_waits)
        accept_waiting(uv);
    while (bruit_next_stream_op(uv->engine, &op)) {
        if (op.type == BRUIT_STREAM_OPEN) {
            open_stream(uv, &op);
            continue;
        }
        /* It may have ended while the engine's wish was on its way. */
        struct br_uv_stream *stream = find(&uv->streams, op.stream);
        if (stream == NULL)
            continue;
        if (op.type == BRUIT_STREAM_SEND)
            send_bytes(stream, op.bytes);
        else
            close_stream(stream);
    }
}

/* ------------------------------------------------------------------ the end */

bruit_time br_uv_streams_deadline(const struct br_uv_streams *streams)
{
    bruit_time earliest = BRUIT_NEVER;
    for (const struct br_uv_stream *stream = streams->lingering; stream != NULL; stream = stream->next) {
        if (stream->linger_deadline < earliest)
            earliest = stream->linger_deadline;
    }
    return earliest;
}

void br_uv_streams_expire(struct bruit_uv *uv, bruit_time now)
{
    struct br_uv_stream *next;
    for (struct br_uv_stream *stream = uv->streams.lingering; stream != NULL; stream = next) {
        next = stream->next;
        if (stream->linger_deadline <= now)
            drop(stream);
    }
}

void br_uv_streams_close(struct bruit_uv *uv)
{
    struct br_uv_streams *streams = &uv->streams;
    uv_close((uv_handle_t *)&streams->listener, on_listener_closed);
    while (streams->lingering != NULL)
        drop(streams->lingering);
    for (size_t i = 0; i < BR_STREAM_BUCKETS; i++) {
        while (streams->buckets[i] != NULL)
            drop(streams->buckets[i]);
    }
}
