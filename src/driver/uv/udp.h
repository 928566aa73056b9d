/*
 * The UDP socket: datagrams in batches, one system call for up to 64 of them each way.
 *
 * It knows the kernel and no engine. Receiving: br_udp_receive() fills the slots, br_udp_received() shows
 * one. Sending: br_udp_room() is where the next datagram is written, br_udp_queue() adds it,
 * br_udp_flush() hands all to the kernel; what the kernel does not take now stays and is offered first the
 * next time, and what it refuses for good is listed in `failures`.
 *
 * Memory: pages are touched only as far as datagrams reach. Each receive slot is two pieces: a small one
 * for what gossip sends, side by side with the others, and the rest of 64 KiB far away. Only a datagram
 * that spills into the second piece is put together in `scratch`. Outgoing datagrams stand end to end in
 * one area.
 */
#ifndef BR_UV_UDP_H
#define BR_UV_UDP_H

#include <bruit/types.h>

#include "driver/uv/sock.h"

#include <sys/uio.h>

#define BR_UDP_BATCH_MAX 64
#define BR_UDP_DATAGRAM_MAX 65536 /* memberlist's receive buffer (docs/wire/memberlist.md section 1) */

#if defined(__linux__)
#define br_message mmsghdr
#else
struct br_message {
    struct msghdr msg_hdr;
    unsigned msg_len;
};
#endif

/* How a batch reaches the kernel. Both never block and return how many datagrams passed, or -1 and errno. */
struct br_udp_calls {
    int (*receive)(int fd, struct br_message *messages, unsigned count);
    int (*send)(int fd, struct br_message *messages, unsigned count);
};

extern const struct br_udp_calls br_udp_batched; /* recvmmsg, sendmmsg; elsewhere the same as the next */
extern const struct br_udp_calls br_udp_single;  /* recvmsg and sendmsg, datagram by datagram */

struct br_udp_failure {
    uint64_t token;
    int error;
};

struct br_udp {
    int fd;     /* -1: not open */
    int family; /* AF_INET or AF_INET6 */
    const struct br_udp_calls *calls;
    uint8_t *scratch; /* BR_UDP_DATAGRAM_MAX bytes, shared with the streams' reads */

    struct br_message *in;
    struct iovec *in_pieces; /* two a slot */
    union br_sockaddr *in_from;
    uint8_t *in_small;
    uint8_t *in_large;
    size_t in_small_size;
    unsigned in_count;

    struct br_message *out;
    struct iovec *out_pieces;
    union br_sockaddr *out_to;
    uint64_t *out_tokens;
    uint8_t *out_area;
    size_t out_area_size;
    size_t out_area_used;
    size_t out_datagram_max;
    unsigned out_count;
    unsigned out_queued; /* datagrams in the batch, of which the first */
    unsigned out_sent;   /* are with the kernel already */

    struct br_udp_failure *failures; /* room for out_count */
    unsigned failure_count;

    uint64_t receive_calls;
    uint64_t send_calls;
};

struct br_udp_options {
    unsigned receive_batch; /* 1 to BR_UDP_BATCH_MAX */
    unsigned send_batch;
    size_t send_size_max; /* of one datagram */
    const struct br_udp_calls *calls;
};

/*
 * Opens a socket on `bind`, whose port becomes the one it got. Returns 0 or a negative errno. The pages
 * behind the slots are reserved, not touched.
 */
int br_udp_open(struct br_udp *udp, struct bruit_addr *bind);
/* BRUIT_ENOMEM, and nothing is held then. */
int br_udp_init(struct br_udp *udp, const struct br_udp_options *options);
/* Closes what is open and frees what is held; a zeroed one with fd -1 is fine. */
void br_udp_fini(struct br_udp *udp);
void br_udp_close(struct br_udp *udp);

/* How many slots were filled; 0 when nothing waits. Errors of the socket itself are taken note of and
 * over. */
unsigned br_udp_receive(struct br_udp *udp);
/* The datagram in a filled slot, valid until the next br_udp_received. False: truncated, or not from IP. */
bool br_udp_received(struct br_udp *udp, unsigned index, struct bruit_addr *from, struct bruit_bytes *bytes);

/* Where the next datagram may be written, or NULL when the batch is full. */
uint8_t *br_udp_room(struct br_udp *udp);
/* Adds what was written there. An address that this socket cannot reach becomes a failure at once. */
void br_udp_queue(struct br_udp *udp, size_t size, const struct bruit_addr *to, uint64_t token);
/* Hands over what is queued. True when the batch is empty now; false when the kernel's buffer is full. */
bool br_udp_flush(struct br_udp *udp);

/* Takes an error off the socket, where poll reported one. */
void br_udp_clear_error(struct br_udp *udp);

#endif
