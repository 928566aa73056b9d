/* Where metrics go outside; see sink.h. */
#include "agent/sink.h"

#include "agent/blob.h"

#include <bruit/error.h>

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

enum state { CONNECTING, READY, WAITING };

struct br_sink {
    enum br_sink_kind kind;
    enum state state;
    struct br_log *log;
    uv_loop_t *loop;
    char host[256];
    char port[8];
    union {
        uv_handle_t any;
        uv_stream_t stream;
        uv_udp_t udp;
        uv_tcp_t tcp;
    } socket;
    uv_timer_t timer; /* until what was gathered leaves, or the next attempt */
    uv_getaddrinfo_t lookup;
    uv_connect_t connection;
    uv_write_t write;
    struct sockaddr_storage addr;
    struct br_blob waiting; /* lines */
    struct br_blob writing; /* those that the socket has */
    bool has_socket, is_looking_up, is_writing, has_timer, is_closing;
};

static void begin(struct br_sink *sink);
static void on_flush(uv_timer_t *timer);

static const char *name_of(const struct br_sink *sink)
{
    return sink->kind == BR_SINK_STATSD ? "statsd" : "statsite";
}

int br_sink_new(struct br_sink **out, enum br_sink_kind kind, const char *addr, uv_loop_t *loop,
                struct br_log *log, char why[BR_WHY_MAX])
{
    uint16_t port = 0;
    struct br_sink *sink = calloc(1, sizeof *sink);
    if (sink == NULL) {
        (void)snprintf(why, BR_WHY_MAX, "out of memory");
        return BRUIT_ENOMEM;
    }
    sink->kind = kind;
    sink->log = log;
    sink->loop = loop;
    int error = br_endpoint_parse(addr, sink->host, &port, why);
    if (error == 0 && (port == 0 || sink->host[0] == 0)) {
        (void)snprintf(why, BR_WHY_MAX, "address %.200s: write host:port", addr);
        error = BRUIT_EINVAL;
    }
    if (error == 0)
        error = uv_timer_init(loop, &sink->timer);
    if (error != 0) {
        free(sink);
        return error;
    }
    sink->has_timer = true;
    sink->timer.data = sink;
    (void)snprintf(sink->port, sizeof sink->port, "%u", port);
    begin(sink);
    *out = sink;
    return 0;
}

/* ------------------------------------------------------------------ the end */

static void free_if_closed(struct br_sink *sink)
{
    if (!sink->is_closing || sink->has_timer || sink->has_socket || sink->is_looking_up || sink->is_writing)
        return;
    br_blob_release(&sink->waiting);
    br_blob_release(&sink->writing);
    free(sink);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct br_sink *sink = handle->data;
    sink->has_timer = false;
    free_if_closed(sink);
}

static void on_socket_closed(uv_handle_t *handle)
{
    struct br_sink *sink = handle->data;
    sink->has_socket = false;
    free_if_closed(sink);
}

static void close_socket(struct br_sink *sink)
{
    if (sink->has_socket && !uv_is_closing(&sink->socket.any))
        uv_close(&sink->socket.any, on_socket_closed);
}

void br_sink_close(struct br_sink *sink)
{
    if (sink == NULL)
        return;
    if (sink->state == READY)
        on_flush(&sink->timer);
    sink->is_closing = true;
    if (sink->is_looking_up)
        (void)uv_cancel((uv_req_t *)&sink->lookup); /* where it has begun, its end is waited for */
    close_socket(sink);
    uv_close((uv_handle_t *)&sink->timer, on_timer_closed);
}

/* ------------------------------------------------------------------ getting there */

static void on_retry(uv_timer_t *timer)
{
    struct br_sink *sink = timer->data;
    if (sink->has_socket) /* its end is on its way */
        (void)uv_timer_start(timer, on_retry, BR_SINK_FLUSH_MS, 0);
    else
        begin(sink);
}

/* What was gathered meanwhile is lost: it is out of date when there is a connection again. */
static void lost(struct br_sink *sink, const char *what, int error)
{
    if (sink->is_closing || sink->state == WAITING)
        return;
    br_log(sink->log, BRUIT_TRACE_ERROR, "agent", "Error %s %s! Err: %s", what, name_of(sink),
           uv_strerror(error));
    sink->state = WAITING;
    br_blob_release(&sink->waiting);
    close_socket(sink);
    (void)uv_timer_start(&sink->timer, on_retry, BR_SINK_RETRY_MS, 0);
}

static void ready(struct br_sink *sink)
{
    sink->state = READY;
    if (sink->waiting.size > 0)
        (void)uv_timer_start(&sink->timer, on_flush, BR_SINK_FLUSH_MS, 0);
}

/* Whoever collects metrics says nothing: this only learns of the end. */
static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    static char nowhere[256];
    (void)handle;
    (void)suggested;
    *out = uv_buf_init(nowhere, sizeof nowhere);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    (void)buffer;
    if (size < 0)
        lost(stream->data, "reading from", (int)size);
}

static void on_connected(uv_connect_t *connection, int error)
{
    struct br_sink *sink = connection->data;
    if (error != 0)
        lost(sink, "connecting to", error);
    else if (!sink->is_closing && uv_read_start(&sink->socket.stream, on_room, on_read) == 0)
        ready(sink);
}

static int open_statsd(struct br_sink *sink)
{
    int error = uv_udp_init(sink->loop, &sink->socket.udp);
    if (error != 0)
        return error;
    sink->has_socket = true;
    sink->socket.any.data = sink;
    error = uv_udp_connect(&sink->socket.udp, (const struct sockaddr *)&sink->addr);
    if (error == 0)
        ready(sink);
    return error;
}

static int open_statsite(struct br_sink *sink)
{
    int error = uv_tcp_init(sink->loop, &sink->socket.tcp);
    if (error != 0)
        return error;
    sink->has_socket = true;
    sink->socket.any.data = sink;
    sink->connection.data = sink;
    error = uv_tcp_connect(&sink->connection, &sink->socket.tcp, (const struct sockaddr *)&sink->addr,
                           on_connected);
    return error;
}

static void on_looked_up(uv_getaddrinfo_t *lookup, int error, struct addrinfo *found)
{
    struct br_sink *sink = lookup->data;
    sink->is_looking_up = false;
    if (error == 0 && !sink->is_closing) {
        memcpy(&sink->addr, found->ai_addr, found->ai_addrlen);
        error = sink->kind == BR_SINK_STATSD ? open_statsd(sink) : open_statsite(sink);
    }
    uv_freeaddrinfo(found);
    if (error != 0)
        lost(sink, "connecting to", error);
    free_if_closed(sink);
}

/* The name is looked up each time: its address may have moved. */
static void begin(struct br_sink *sink)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = sink->kind == BR_SINK_STATSD ? SOCK_DGRAM : SOCK_STREAM,
    };
    sink->state = CONNECTING;
    sink->lookup.data = sink;
    int error = uv_getaddrinfo(sink->loop, &sink->lookup, on_looked_up, sink->host, sink->port, &hints);
    sink->is_looking_up = error == 0;
    if (error != 0)
        lost(sink, "connecting to", error);
}

/* ------------------------------------------------------------------ lines */

static void send_datagram(struct br_sink *sink)
{
    uv_buf_t buffer = uv_buf_init((char *)sink->waiting.data, (unsigned)sink->waiting.size);
    int size = uv_udp_try_send(&sink->socket.udp, &buffer, 1, NULL);
    br_blob_release(&sink->waiting);
    if (size < 0 && size != UV_EAGAIN && size != UV_ECONNREFUSED) /* nobody there yet: as with any datagram */
        lost(sink, "flushing to", size);
}

static void on_written(uv_write_t *write, int error)
{
    struct br_sink *sink = write->data;
    sink->is_writing = false;
    br_blob_release(&sink->writing);
    if (error != 0)
        lost(sink, "writing to", error);
    else if (sink->waiting.size > 0 && sink->state == READY && !sink->is_closing)
        (void)uv_timer_start(&sink->timer, on_flush, BR_SINK_FLUSH_MS, 0);
    free_if_closed(sink);
}

static void write_stream(struct br_sink *sink)
{
    if (sink->is_writing)
        return;
    sink->writing = sink->waiting;
    sink->waiting = BR_BLOB_EMPTY;
    sink->write.data = sink;
    uv_buf_t buffer = uv_buf_init((char *)sink->writing.data, (unsigned)sink->writing.size);
    int error = uv_write(&sink->write, &sink->socket.stream, &buffer, 1, on_written);
    sink->is_writing = error == 0;
    if (error == 0)
        return;
    br_blob_release(&sink->writing);
    lost(sink, "writing to", error);
}

static void on_flush(uv_timer_t *timer)
{
    struct br_sink *sink = timer->data;
    if (sink->state != READY || sink->waiting.size == 0)
        return;
    if (sink->kind == BR_SINK_STATSD)
        send_datagram(sink);
    else
        write_stream(sink);
}

static bool has_room(const struct br_sink *sink, size_t size)
{
    size_t max = sink->kind == BR_SINK_STATSD ? BR_SINK_DATAGRAM_MAX : BR_SINK_WAITING_MAX;
    return sink->waiting.size + size <= max;
}

/* These separate the parts of a line. */
static void write_name(char *out, size_t room, const char *name)
{
    size_t i = 0;
    for (; name[i] != 0 && i + 1 < room; i++)
        out[i] = strchr(":|@", name[i]) != NULL ? '_' : name[i];
    out[i] = 0;
}

void br_sink_add(struct br_sink *sink, enum br_metric_kind kind, const char *name, double value)
{
    static const char *const types[] = {"g", "c", "ms"};
    char line[BR_METRICS_NAME_MAX + 400], cleaned[BR_METRICS_NAME_MAX];
    if (sink->is_closing || sink->state == WAITING)
        return;
    write_name(cleaned, sizeof cleaned, name);
    int size = snprintf(line, sizeof line, "%s:%f|%s\n", cleaned, value, types[kind]);
    if (size < 0 || (size_t)size >= sizeof line)
        return;
    if (!has_room(sink, (size_t)size))
        on_flush(&sink->timer);
    if (!has_room(sink, (size_t)size) || sink->state == WAITING)
        return;
    br_blob_add(&sink->waiting, br_bytes(line, (size_t)size));
    if (sink->state == READY && !sink->is_writing && !uv_is_active((uv_handle_t *)&sink->timer))
        (void)uv_timer_start(&sink->timer, on_flush, BR_SINK_FLUSH_MS, 0);
}
