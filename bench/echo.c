/*
 * The bare socket work of the packet path: what a gossip agent's packets would cost if nobody looked into
 * them.
 *
 *     echo IP PORT [BATCH]
 *
 * Receives with recvmmsg and answers every datagram of at most 200 bytes, which in the packet benchmark
 * are the pings, with one of 14 bytes, which is an ack's size; larger ones are gossip and are swallowed.
 * All answers of a batch leave in one sendmmsg. There is no event loop and no timer: a blocking recvmmsg
 * is the least that a receiver can do. It runs until stopped; at SIGTERM or SIGINT it writes one line of
 * JSON with its counts.
 *
 * bench/ shows it as a third column beside memberlist and bruit: what bruit takes over sockets is to be at
 * most this plus a tenth of what memberlist takes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH_MAX 64
#define PING_SIZE_MAX 200
#define ACK_SIZE 14

struct batch {
    struct mmsghdr in[BATCH_MAX], out[BATCH_MAX];
    struct iovec in_bytes[BATCH_MAX], out_bytes[BATCH_MAX];
    struct sockaddr_in from[BATCH_MAX];
    unsigned char bytes[BATCH_MAX][65536];
};

static volatile sig_atomic_t is_stopped;

static void on_signal(int number)
{
    (void)number;
    is_stopped = 1;
}

static int open_socket(const char *ip, const char *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    int size = 2 * 1024 * 1024; /* as memberlist and bruit ask for */
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || inet_pton(AF_INET, ip, &at.sin_addr) != 1 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) != 0 ||
        bind(fd, (const struct sockaddr *)&at, sizeof at) != 0) {
        perror("echo: cannot listen there");
        exit(1);
    }
    return fd;
}

static void prepare(struct batch *batch)
{
    static unsigned char ack[ACK_SIZE];
    for (unsigned i = 0; i < BATCH_MAX; i++) {
        batch->in_bytes[i] = (struct iovec){batch->bytes[i], sizeof batch->bytes[i]};
        batch->in[i].msg_hdr = (struct msghdr){.msg_name = &batch->from[i],
                                               .msg_namelen = sizeof batch->from[i],
                                               .msg_iov = &batch->in_bytes[i],
                                               .msg_iovlen = 1};
        batch->out_bytes[i] = (struct iovec){ack, sizeof ack};
        batch->out[i].msg_hdr = (struct msghdr){.msg_iov = &batch->out_bytes[i], .msg_iovlen = 1};
    }
}

/* The answers to the first `count` received; how many there are. */
static unsigned answer(struct batch *batch, unsigned count)
{
    unsigned answers = 0;
    for (unsigned i = 0; i < count; i++) {
        batch->in[i].msg_hdr.msg_namelen = sizeof batch->from[i];
        if (batch->in[i].msg_len > PING_SIZE_MAX)
            continue;
        batch->out[answers].msg_hdr.msg_name = &batch->from[i];
        batch->out[answers].msg_hdr.msg_namelen = sizeof batch->from[i];
        answers++;
    }
    return answers;
}

int main(int argc, char **argv)
{
    unsigned long received = 0, sent = 0, receive_calls = 0, send_calls = 0;
    struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: it ends the wait */
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: echo IP PORT [BATCH]\n");
        return 2;
    }
    unsigned size = argc == 4 ? (unsigned)atoi(argv[3]) : BATCH_MAX;
    size = size == 0 || size > BATCH_MAX ? BATCH_MAX : size;
    struct batch *batch = calloc(1, sizeof *batch);
    int fd = open_socket(argv[1], argv[2]);
    if (batch == NULL || sigaction(SIGTERM, &action, NULL) != 0 || sigaction(SIGINT, &action, NULL) != 0) {
        perror("echo");
        return 1;
    }
    prepare(batch);
    while (!is_stopped) {
        int count = recvmmsg(fd, batch->in, size, MSG_WAITFORONE, NULL);
        receive_calls++;
        if (count <= 0)
            continue; /* a signal, or an earlier datagram's error */
        received += (unsigned)count;
        unsigned answers = answer(batch, (unsigned)count);
        for (unsigned done = 0; done < answers;) {
            int took = sendmmsg(fd, batch->out + done, answers - done, 0);
            send_calls++;
            done += took > 0 ? (unsigned)took : 1; /* one that is refused is lost */
            sent += took > 0 ? (unsigned)took : 0;
        }
    }
    printf("{\"received\": %lu, \"sent\": %lu, \"receive_calls\": %lu, \"send_calls\": %lu}\n", received,
           sent, receive_calls, send_calls);
    return 0;
}
