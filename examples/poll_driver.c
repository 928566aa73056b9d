/*
 * A driver in one file: two engines on poll(2), with nothing but POSIX sockets and <bruit/bruit.h>.
 *
 * docs/embedding.md explains it step by step. Beta joins alpha over loopback; the program ends when both see
 * both. It does everything a driver must do, in the plainest way: IPv4 only, one datagram a call, 16 streams.
 * <bruit/uv.h> is the same with batches, IPv6 and names.
 */
#define _POSIX_C_SOURCE 200809L
#include <bruit/bruit.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STREAMS 16
#define DATAGRAM_MAX (1400 + 8) /* config.packet_size_max + 8 */

struct stream {
    uint32_t number; /* the engine's; 0: flushing what it said before it closed */
    int fd;          /* -1: free */
    bool connecting;
    uint8_t *rest; /* what the kernel has not taken of the last SEND */
    size_t rest_at, rest_size;
};

struct host {
    struct bruit_engine *engine;
    int udp, listener;
    struct stream streams[STREAMS];
    uint8_t held[DATAGRAM_MAX]; /* a datagram that the kernel would not take yet */
    struct bruit_datagram held_info;
    bool holds;
};

/* ------------------------------------------------------------------ time and addresses */

static bruit_time now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t); /* never the wall clock: it jumps */
    return (bruit_time)t.tv_sec * BRUIT_SECOND + (bruit_time)t.tv_nsec;
}

static struct sockaddr_in to_system(const struct bruit_addr *addr)
{
    struct sockaddr_in out = {.sin_family = AF_INET, .sin_port = htons(addr->port)};
    memcpy(&out.sin_addr, addr->ip, 4);
    return out;
}

static struct bruit_addr from_system(const struct sockaddr_in *in)
{
    struct bruit_addr out = {.size = 4, .port = ntohs(in->sin_port)};
    memcpy(out.ip, &in->sin_addr, 4);
    return out;
}

/* ------------------------------------------------------------------ datagrams */

static void receive_datagrams(struct host *host)
{
    static uint8_t buffer[65536];
    struct sockaddr_in from;
    socklen_t from_size = sizeof from;
    ssize_t size;
    while ((size = recvfrom(host->udp, buffer, sizeof buffer, MSG_DONTWAIT, (struct sockaddr *)&from,
                            &from_size)) >= 0) {
        struct bruit_addr source = from_system(&from);
        (void)bruit_recv_datagram(host->engine, &source, (struct bruit_bytes){buffer, (size_t)size}, now());
        from_size = sizeof from;
    }
}

static void send_datagrams(struct host *host)
{
    for (;;) {
        if (!host->holds &&
            !bruit_next_datagram(host->engine, host->held, sizeof host->held, &host->held_info, now()))
            return;
        struct sockaddr_in to = to_system(&host->held_info.to);
        ssize_t sent = sendto(host->udp, host->held, host->held_info.size, MSG_DONTWAIT,
                              (const struct sockaddr *)&to, sizeof to);
        host->holds = sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
        if (host->holds)
            return; /* Pulled counts as sent: keep it, pull no more, and wait for POLLOUT. */
        if (sent < 0)
            (void)bruit_send_failed(host->engine, host->held_info.token, BRUIT_EUNREACHABLE, now());
    }
}

/* ------------------------------------------------------------------ streams */

static struct stream *find_stream(struct host *host, uint32_t number)
{
    for (int i = 0; i < STREAMS; i++) {
        if (host->streams[i].fd >= 0 && host->streams[i].number == number)
            return &host->streams[i];
    }
    return NULL;
}

static struct stream *add_stream(struct host *host, int fd)
{
    for (int i = 0; fd >= 0 && i < STREAMS; i++) {
        if (host->streams[i].fd < 0) {
            fcntl(fd, F_SETFL, O_NONBLOCK);
            host->streams[i] = (struct stream){.fd = fd};
            return &host->streams[i];
        }
    }
    if (fd >= 0)
        close(fd);
    return NULL;
}

static void drop_stream(struct stream *stream)
{
    close(stream->fd);
    free(stream->rest);
    *stream = (struct stream){.fd = -1};
}

static void end_stream(struct host *host, struct stream *stream, int error)
{
    uint32_t number = stream->number;
    drop_stream(stream);
    if (number != 0)
        (void)bruit_stream_closed(host->engine, number, error, now());
}

static void accept_stream(struct host *host)
{
    struct sockaddr_in from;
    socklen_t from_size = sizeof from;
    struct stream *stream = add_stream(host, accept(host->listener, (struct sockaddr *)&from, &from_size));
    if (stream == NULL)
        return;
    struct bruit_addr source = from_system(&from);
    if (bruit_stream_accepted(host->engine, &source, &stream->number, now()) != 0)
        drop_stream(stream); /* The engine has as many as it wants. */
}

static void open_stream(struct host *host, const struct bruit_stream_op *op)
{
    struct sockaddr_in to = to_system(&op->to);
    struct stream *stream = add_stream(host, socket(AF_INET, SOCK_STREAM, 0));
    if (stream == NULL) {
        (void)bruit_stream_closed(host->engine, op->stream, BRUIT_EIO, now());
        return;
    }
    stream->number = op->stream;
    stream->connecting = true; /* POLLOUT tells when it stands, also if it does at once. */
    if (connect(stream->fd, (const struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS)
        end_stream(host, stream, BRUIT_EREFUSED);
}

static void flush_stream(struct host *host, struct stream *stream)
{
    ssize_t sent = send(stream->fd, stream->rest + stream->rest_at, stream->rest_size - stream->rest_at,
                        MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
        end_stream(host, stream, BRUIT_ERESET);
        return;
    }
    stream->rest_at += sent > 0 ? (size_t)sent : 0;
    if (stream->rest_at < stream->rest_size)
        return; /* POLLOUT brings us back. */
    free(stream->rest);
    stream->rest = NULL;
    if (stream->number == 0)
        drop_stream(stream);
    else
        (void)bruit_stream_sent(host->engine, stream->number, now());
}

static void send_on_stream(struct host *host, struct stream *stream, struct bruit_bytes bytes)
{
    stream->rest = malloc(bytes.size); /* The bytes are ours only until the next input. */
    stream->rest_at = 0;
    stream->rest_size = bytes.size;
    if (stream->rest == NULL) {
        end_stream(host, stream, BRUIT_EIO);
        return;
    }
    memcpy(stream->rest, bytes.data, bytes.size);
    flush_stream(host, stream);
}

/* True when there was something to do: the engine may then want more. */
static bool run_stream_ops(struct host *host)
{
    struct bruit_stream_op op;
    bool any = false;
    while (bruit_next_stream_op(host->engine, &op)) {
        any = true;
        struct stream *stream = find_stream(host, op.stream);
        if (op.type == BRUIT_STREAM_OPEN) {
            open_stream(host, &op);
        } else if (stream != NULL && op.type == BRUIT_STREAM_SEND) {
            send_on_stream(host, stream, op.bytes);
        } else if (stream != NULL) {
            stream->number = 0; /* Free at once, for the engine. */
            if (stream->rest == NULL)
                drop_stream(stream);
        }
    }
    return any;
}

static void read_stream(struct host *host, struct stream *stream)
{
    static uint8_t buffer[65536];
    ssize_t size = recv(stream->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (size > 0)
        (void)bruit_recv_stream(host->engine, stream->number, (struct bruit_bytes){buffer, (size_t)size},
                                now());
    else if (size == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
        end_stream(host, stream, size == 0 ? 0 : BRUIT_ERESET);
}

static void stream_ready(struct host *host, struct stream *stream, short events)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (stream->connecting) {
        stream->connecting = false;
        if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0)
            end_stream(host, stream, BRUIT_EREFUSED);
        else if (stream->number != 0)
            (void)bruit_stream_opened(host->engine, stream->number, now());
        return;
    }
    if ((events & (POLLOUT | POLLERR)) != 0 && stream->rest != NULL) {
        flush_stream(host, stream);
        return; /* It may be gone now; what else is ready, poll says again. */
    }
    if (stream->number != 0)
        read_stream(host, stream);
}

/* ------------------------------------------------------------------ the turn */

static void hand_over_events(struct host *host)
{
    struct bruit_event event;
    while (bruit_next_event(host->engine, &event)) {
        if (event.type == BRUIT_EVENT_JOIN_DONE)
            printf("joined through %u of %u\n", event.join.contacted, event.join.count);
    }
}

/* After every input, and after every request: pull until there is nothing. */
static void pull(struct host *host)
{
    do {
        send_datagrams(host);
        hand_over_events(host);
    } while (run_stream_ops(host));
}

static short wanted_events(const struct stream *stream)
{
    if (stream->connecting || stream->number == 0)
        return POLLOUT;
    return stream->rest != NULL ? POLLIN | POLLOUT : POLLIN;
}

static nfds_t list_sockets(struct host *host, struct pollfd *out)
{
    nfds_t count = 0;
    out[count++] = (struct pollfd){.fd = host->udp, .events = host->holds ? POLLIN | POLLOUT : POLLIN};
    out[count++] = (struct pollfd){.fd = host->listener, .events = POLLIN};
    for (int i = 0; i < STREAMS; i++) /* A negative fd is skipped by poll. */
        out[count++] = (struct pollfd){.fd = host->streams[i].fd, .events = wanted_events(&host->streams[i])};
    return count;
}

static void serve(struct host *host, const struct pollfd *ready)
{
    if (ready[0].revents != 0)
        receive_datagrams(host);
    if (ready[1].revents != 0)
        accept_stream(host);
    for (int i = 0; i < STREAMS; i++) {
        /* The slot may be another stream's by now: then poll did not speak of it. */
        if (ready[2 + i].revents != 0 && host->streams[i].fd == ready[2 + i].fd)
            stream_ready(host, &host->streams[i], ready[2 + i].revents);
    }
    if (bruit_deadline(host->engine) <= now())
        (void)bruit_tick(host->engine, now()); /* Last: what came in first was there first. */
    pull(host);
}

/* Milliseconds until the earlier deadline, rounded up: a timer that is early would make us spin. */
static int patience(struct host *hosts)
{
    bruit_time first = bruit_deadline(hosts[0].engine), second = bruit_deadline(hosts[1].engine);
    bruit_time deadline = first < second ? first : second, at = now();
    if (deadline <= at)
        return 0;
    bruit_time wait = (deadline - at + BRUIT_MILLISECOND - 1) / BRUIT_MILLISECOND;
    return wait > 1000 ? 1000 : (int)wait;
}

static void turn(struct host *hosts)
{
    struct pollfd sockets[2 * (2 + STREAMS)];
    nfds_t first = list_sockets(&hosts[0], sockets);
    nfds_t count = first + list_sockets(&hosts[1], sockets + first);
    if (poll(sockets, count, patience(hosts)) < 0)
        return;
    serve(&hosts[0], sockets);
    serve(&hosts[1], sockets + first);
}

/* ------------------------------------------------------------------ a cluster of two */

/* -1 when it cannot be had; errno says why. */
static int open_socket(int type, struct bruit_addr *at)
{
    struct sockaddr_in address = to_system(at);
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, type, 0);
    if (fd < 0)
        return -1;
    if (bind(fd, (const struct sockaddr *)&address, size) != 0 ||
        (type == SOCK_STREAM && listen(fd, 16) != 0) ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        close(fd);
        return -1;
    }
    *at = from_system(&address);
    return fd;
}

/*
 * Datagrams and streams come to the same address and port: peers know only one. A port that is free for datagrams may
 * be taken for streams; then another is tried.
 */
static void open_both(struct host *host, struct bruit_addr *at)
{
    for (int tries = 0; tries < 16; tries++) {
        struct bruit_addr free_port = *at;
        host->udp = open_socket(SOCK_DGRAM, &free_port);
        host->listener = host->udp < 0 ? -1 : open_socket(SOCK_STREAM, &free_port);
        if (host->listener >= 0) {
            *at = free_port;
            return;
        }
        if (host->udp >= 0)
            close(host->udp);
    }
    perror("cannot open a socket on loopback");
    exit(1);
}

static struct bruit_addr start(struct host *host, const char *name, uint64_t seed)
{
    struct bruit_addr at = {.ip = {127, 0, 0, 1}, .size = 4}; /* port 0: a free one */
    struct bruit_env env = {.struct_size = sizeof env};
    struct bruit_config config;
    memset(host, 0, sizeof *host);
    for (int i = 0; i < STREAMS; i++)
        host->streams[i].fd = -1;
    open_both(host, &at);
    bruit_config_local(&config);
    config.name = (struct bruit_bytes){(const uint8_t *)name, strlen(name)};
    config.advertise = at;
    config.seed = seed; /* a real program takes it from the operating system */
    if (bruit_engine_new(&host->engine, &config, &env, now()) != 0) {
        fprintf(stderr, "%s: %s\n", name, bruit_config_check(&config));
        exit(1);
    }
    return at;
}

static void stop(struct host *host)
{
    for (int i = 0; i < STREAMS; i++) {
        if (host->streams[i].fd >= 0)
            drop_stream(&host->streams[i]);
    }
    close(host->udp);
    close(host->listener);
    bruit_engine_free(host->engine);
}

int main(void)
{
    static struct host hosts[2];
    uint32_t request;
    struct bruit_join_target seed = {.addr = start(&hosts[0], "alpha", 1)};
    (void)start(&hosts[1], "beta", 2);
    if (bruit_join(hosts[1].engine, &seed, 1, 0, &request, now()) != 0)
        return 1;
    pull(&hosts[1]);
    bruit_time limit = now() + 10 * BRUIT_SECOND;
    bool done = false;
    while (!done && now() < limit) {
        turn(hosts);
        done =
            bruit_member_alive_count(hosts[0].engine) == 2 && bruit_member_alive_count(hosts[1].engine) == 2;
    }
    printf(done ? "alpha and beta see each other\n" : "they did not find each other in 10 s\n");
    stop(&hosts[0]);
    stop(&hosts[1]);
    return done ? 0 : 1;
}
