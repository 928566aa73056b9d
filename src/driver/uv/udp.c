/* Datagrams in batches: see udp.h. */
#include "driver/uv/udp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As much as memberlist asks for, halved until the kernel agrees (docs/wire/memberlist.md section 1). */
#define RECEIVE_BUFFER (2 * 1024 * 1024)
#define RECEIVE_BUFFER_MIN (16 * 1024)

/* A packet of the default budget (1,400) with its CRC frame fits into the small piece of a slot. */
#define SMALL_MIN 1536

/* Outgoing datagrams stand end to end: room for a batch of full ones at the default budget is 90 KiB, but a
 * batch is nearly always some acks. One that does not fit is sent in two calls. */
#define OUT_AREA_MIN (64 * 1024)

/* ------------------------------------------------------------------ the two ways into the kernel */

static int receive_single(int fd, struct br_message *messages, unsigned count)
{
    unsigned done = 0;
    for (; done < count; done++) {
        ssize_t size = recvmsg(fd, &messages[done].msg_hdr, MSG_DONTWAIT);
        if (size < 0)
            break;
        messages[done].msg_len = (unsigned)size;
    }
    return done > 0 ? (int)done : -1;
}

static int send_single(int fd, struct br_message *messages, unsigned count)
{
    unsigned done = 0;
    for (; done < count; done++) {
        if (sendmsg(fd, &messages[done].msg_hdr, MSG_DONTWAIT) < 0)
            break;
    }
    return done > 0 ? (int)done : -1;
}

const struct br_udp_calls br_udp_single = {receive_single, send_single};

#if defined(__linux__)
static int receive_batch(int fd, struct br_message *messages, unsigned count)
{
    return recvmmsg(fd, messages, count, MSG_DONTWAIT, NULL);
}

static int send_batch(int fd, struct br_message *messages, unsigned count)
{
    return sendmmsg(fd, messages, count, MSG_DONTWAIT);
}

const struct br_udp_calls br_udp_batched = {receive_batch, send_batch};
#else
const struct br_udp_calls br_udp_batched = {receive_single, send_single};
#endif

/* ------------------------------------------------------------------ the socket */

static void ask_for_buffer(int fd)
{
    for (int size = RECEIVE_BUFFER; size >= RECEIVE_BUFFER_MIN; size /= 2) {
        if (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) == 0)
            return;
    }
    /* The system's own size will do. */
}

static int prepare(int fd, int family)
{
    int off = 0;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        return -errno;
    if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0)
        return -errno;
    ask_for_buffer(fd);
    return 0;
}

static int bind_to(int fd, int family, struct bruit_addr *bind_addr)
{
    union br_sockaddr local;
    socklen_t size = br_sockaddr_write(&local, bind_addr, family);
    if (size == 0)
        return -EAFNOSUPPORT;
    if (bind(fd, &local.any, size) != 0 || getsockname(fd, &local.any, &size) != 0)
        return -errno;
    bind_addr->port = ntohs(family == AF_INET ? local.v4.sin_port : local.v6.sin6_port);
    return 0;
}

int br_udp_open(struct br_udp *udp, struct bruit_addr *bind_addr)
{
    union br_sockaddr probe;
    if (br_sockaddr_write(&probe, bind_addr, AF_UNSPEC) == 0)
        return -EINVAL;
    udp->family = probe.any.sa_family;
    udp->fd = socket(udp->family, SOCK_DGRAM, 0);
    if (udp->fd < 0)
        return -errno;
    int error = prepare(udp->fd, udp->family);
    if (error == 0)
        error = bind_to(udp->fd, udp->family, bind_addr);
    if (error != 0)
        br_udp_close(udp);
    return error;
}

void br_udp_close(struct br_udp *udp)
{
    if (udp->fd >= 0)
        (void)close(udp->fd); /* Nothing buffered could be lost by it. */
    udp->fd = -1;
}

void br_udp_clear_error(struct br_udp *udp)
{
    int error;
    socklen_t size = sizeof error;
    (void)getsockopt(udp->fd, SOL_SOCKET, SO_ERROR, &error, &size); /* Reading it is what clears it. */
}

/* ------------------------------------------------------------------ memory */

static int init_in(struct br_udp *udp, const struct br_udp_options *options);
static int init_out(struct br_udp *udp, const struct br_udp_options *options);

int br_udp_init(struct br_udp *udp, const struct br_udp_options *options)
{
    *udp = (struct br_udp){.fd = -1, .calls = options->calls};
    udp->scratch = malloc(BR_UDP_DATAGRAM_MAX);
    if (udp->scratch == NULL || init_in(udp, options) != 0 || init_out(udp, options) != 0) {
        br_udp_fini(udp);
        return BRUIT_ENOMEM;
    }
    return 0;
}

void br_udp_fini(struct br_udp *udp)
{
    br_udp_close(udp);
    free(udp->scratch);
    free(udp->in);
    free(udp->in_pieces);
    free(udp->in_from);
    free(udp->in_small);
    free(udp->in_large);
    free(udp->out);
    free(udp->out_pieces);
    free(udp->out_to);
    free(udp->out_tokens);
    free(udp->out_area);
    free(udp->failures);
    *udp = (struct br_udp){.fd = -1};
}

static int init_in(struct br_udp *udp, const struct br_udp_options *options)
{
    /* Room beyond our own budget, since others may have a larger one. */
    size_t small = options->send_size_max + 128;
    small = small < SMALL_MIN ? SMALL_MIN : small;
    small = small > BR_UDP_DATAGRAM_MAX - 1 ? BR_UDP_DATAGRAM_MAX - 1 : small;
    size_t large = BR_UDP_DATAGRAM_MAX - small;
    unsigned count = options->receive_batch;

    udp->in_count = count;
    udp->in_small_size = small;
    udp->in = calloc(count, sizeof *udp->in);
    udp->in_pieces = calloc((size_t)count * 2, sizeof *udp->in_pieces);
    udp->in_from = calloc(count, sizeof *udp->in_from);
    udp->in_small = malloc(count * small);
    udp->in_large = malloc(count * large);
    if (!udp->in || !udp->in_pieces || !udp->in_from || !udp->in_small || !udp->in_large)
        return BRUIT_ENOMEM;
    for (unsigned i = 0; i < count; i++) {
        udp->in_pieces[2 * i] = (struct iovec){udp->in_small + i * small, small};
        udp->in_pieces[2 * i + 1] = (struct iovec){udp->in_large + i * large, large};
        udp->in[i].msg_hdr.msg_iov = &udp->in_pieces[2 * i];
        udp->in[i].msg_hdr.msg_iovlen = 2;
        udp->in[i].msg_hdr.msg_name = &udp->in_from[i];
        udp->in[i].msg_hdr.msg_namelen = sizeof udp->in_from[i];
    }
    return 0;
}

static int init_out(struct br_udp *udp, const struct br_udp_options *options)
{
    unsigned count = options->send_batch;
    size_t area = options->send_size_max > OUT_AREA_MIN ? options->send_size_max : OUT_AREA_MIN;

    udp->out_count = count;
    udp->out_datagram_max = options->send_size_max;
    udp->out_area_size = area;
    udp->out = calloc(count, sizeof *udp->out);
    udp->out_pieces = calloc(count, sizeof *udp->out_pieces);
    udp->out_to = calloc(count, sizeof *udp->out_to);
    udp->out_tokens = calloc(count, sizeof *udp->out_tokens);
    udp->failures = calloc(count, sizeof *udp->failures);
    udp->out_area = malloc(area);
    if (!udp->out || !udp->out_pieces || !udp->out_to || !udp->out_tokens || !udp->failures || !udp->out_area)
        return BRUIT_ENOMEM;
    for (unsigned i = 0; i < count; i++) {
        udp->out[i].msg_hdr.msg_iov = &udp->out_pieces[i];
        udp->out[i].msg_hdr.msg_iovlen = 1;
        udp->out[i].msg_hdr.msg_name = &udp->out_to[i];
    }
    return 0;
}

/* ------------------------------------------------------------------ receiving */

unsigned br_udp_receive(struct br_udp *udp)
{
    /* An error here is an earlier datagram's (an ICMP message came back) and says nothing about what waits:
     * ask again, but not for ever. */
    for (int attempt = 0; attempt < 4; attempt++) {
        udp->receive_calls++;
        int count = udp->calls->receive(udp->fd, udp->in, udp->in_count);
        if (count >= 0)
            return (unsigned)count;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return 0;
    }
    return 0;
}

/* Puts the two pieces of a large datagram together. */
static const uint8_t *joined(struct br_udp *udp, unsigned index, size_t size)
{
    const struct iovec *pieces = &udp->in_pieces[2 * index];
    memcpy(udp->scratch, pieces[0].iov_base, pieces[0].iov_len);
    memcpy(udp->scratch + pieces[0].iov_len, pieces[1].iov_base, size - pieces[0].iov_len);
    return udp->scratch;
}

bool br_udp_received(struct br_udp *udp, unsigned index, struct bruit_addr *from, struct bruit_bytes *bytes)
{
    struct br_message *message = &udp->in[index];
    size_t size = message->msg_len;
    bool whole = (message->msg_hdr.msg_flags & MSG_TRUNC) == 0 && size <= BR_UDP_DATAGRAM_MAX;
    bool known = message->msg_hdr.msg_namelen >= sizeof(struct sockaddr_in) &&
                 br_sockaddr_read(from, &udp->in_from[index]);
    message->msg_hdr.msg_namelen = sizeof udp->in_from[index]; /* The kernel wrote into it. */
    if (!whole || !known)
        return false;
    bytes->data = size <= udp->in_small_size ? udp->in_pieces[2 * index].iov_base : joined(udp, index, size);
    bytes->size = size;
    return true;
}

/* ------------------------------------------------------------------ sending */

uint8_t *br_udp_room(struct br_udp *udp)
{
    if (udp->out_queued + udp->failure_count >= udp->out_count)
        return NULL;
    if (udp->out_area_size - udp->out_area_used < udp->out_datagram_max)
        return NULL;
    return udp->out_area + udp->out_area_used;
}

static void fail(struct br_udp *udp, uint64_t token, int error)
{
    if (udp->failure_count < udp->out_count)
        udp->failures[udp->failure_count++] = (struct br_udp_failure){token, error};
}

void br_udp_queue(struct br_udp *udp, size_t size, const struct bruit_addr *to, uint64_t token)
{
    unsigned slot = udp->out_queued;
    socklen_t name_size = br_sockaddr_write(&udp->out_to[slot], to, udp->family);
    if (name_size == 0) {
        fail(udp, token, BRUIT_EUNREACHABLE);
        return;
    }
    udp->out_pieces[slot] = (struct iovec){udp->out_area + udp->out_area_used, size};
    udp->out[slot].msg_hdr.msg_namelen = name_size;
    udp->out_tokens[slot] = token;
    udp->out_area_used += size;
    udp->out_queued++;
}

/* What a refusal means to the engine (bruit_send_failed). */
static int send_error(int error)
{
    switch (error) {
    case EMSGSIZE: return BRUIT_ETOOBIG;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case EADDRNOTAVAIL:
    case ECONNREFUSED: return BRUIT_EUNREACHABLE;
    default: return BRUIT_EIO;
    }
}

bool br_udp_flush(struct br_udp *udp)
{
    bool retried = false;
    while (udp->out_sent < udp->out_queued) {
        udp->send_calls++;
        int count = udp->calls->send(udp->fd, udp->out + udp->out_sent, udp->out_queued - udp->out_sent);
        if (count > 0) {
            udp->out_sent += (unsigned)count;
            retried = false;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return false;
        } else if (!retried) {
            /* Perhaps an earlier datagram's error that the socket kept for us: this one gets another go. */
            retried = true;
        } else {
            fail(udp, udp->out_tokens[udp->out_sent++], send_error(errno));
            retried = false;
        }
    }
    udp->out_queued = udp->out_sent = 0;
    udp->out_area_used = 0;
    return true;
}
