/*
 * Sends recorded packets to a UDP address as fast as its replies come back, or at a fixed rate.
 *
 *     flood CORPUS TARGET_IP PORT SOURCE_IP PORT LOOPS WINDOW [RATE BURST]
 *
 * The corpus (written by go/mkcorpus.go) is a row of packets: length (16 bits, big-endian), one byte that
 * says whether a reply is expected, the packet. At most WINDOW replies are outstanding. With RATE, packets
 * leave in bursts of BURST, so many a second; a burst that comes late is not made up for. One line of JSON
 * tells what was sent, and what came back.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 500 /* replies that are later than this are lost */
#define HEADER_SIZE 3

struct flood {
    int fd;
    unsigned char *corpus;
    size_t corpus_size;
    long window;
    long burst;
    double rate;
    double next; /* when the next burst is due */
    long in_burst;
    long sent, data, asked, replies, lost;
    long bytes, reply_bytes;
};

static _Noreturn void fail(const char *what)
{
    perror(what);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int open_socket(char **to_text, char **from_text)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(to_text[1]))};
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(from_text[1]))};
    int size = 4 * 1024 * 1024;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || inet_pton(AF_INET, to_text[0], &to.sin_addr) != 1 ||
        inet_pton(AF_INET, from_text[0], &from.sin_addr) != 1 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) != 0 ||
        bind(fd, (const struct sockaddr *)&from, sizeof from) != 0 ||
        connect(fd, (const struct sockaddr *)&to, sizeof to) != 0)
        fail("flood: the addresses");
    return fd;
}

static void load(struct flood *f, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0)
        fail(path);
    long size = ftell(file);
    rewind(file);
    f->corpus_size = size > 0 ? (size_t)size : 0;
    f->corpus = malloc(f->corpus_size + 1);
    if (f->corpus == NULL || fread(f->corpus, 1, f->corpus_size, file) != f->corpus_size)
        fail(path);
    fclose(file);
}

static void take_replies(struct flood *f)
{
    static char reply[65536];
    for (;;) {
        ssize_t size = recv(f->fd, reply, sizeof reply, MSG_DONTWAIT);
        if (size < 0 && errno == ECONNREFUSED)
            continue;
        if (size < 0)
            return;
        f->replies++;
        f->reply_bytes += size;
    }
}

static void wait_for_window(struct flood *f, long window)
{
    while (f->asked - f->replies - f->lost >= window) {
        struct pollfd readable = {f->fd, POLLIN, 0};
        if (poll(&readable, 1, PATIENCE_MS) == 0)
            f->lost = f->asked - f->replies;
        take_replies(f);
    }
}

static void keep_pace(struct flood *f)
{
    if (f->rate <= 0 || ++f->in_burst < f->burst)
        return;
    f->in_burst = 0;
    f->next += (double)f->burst / f->rate;
    double early = f->next - now();
    if (early < 0) {
        f->next -= early;
        return;
    }
    struct timespec pause = {(time_t)early, (long)((early - (double)(time_t)early) * 1e9)};
    nanosleep(&pause, NULL);
}

static void send_all(struct flood *f)
{
    for (size_t at = 0; at + HEADER_SIZE <= f->corpus_size;) {
        size_t size = (size_t)f->corpus[at] << 8 | f->corpus[at + 1];
        int expects_reply = f->corpus[at + 2];
        at += HEADER_SIZE;
        wait_for_window(f, f->window);
        while (send(f->fd, f->corpus + at, size, 0) < 0) {
            if (errno != ECONNREFUSED && errno != EINTR && errno != ENOBUFS)
                fail("flood: send");
        }
        at += size;
        f->sent++;
        f->bytes += (long)size;
        if (expects_reply)
            f->asked++;
        else
            f->data++;
        keep_pace(f);
    }
}

int main(int argc, char **argv)
{
    struct flood f = {.burst = 1};
    if (argc != 8 && argc != 10)
        return fprintf(stderr, "usage: flood CORPUS IP PORT SOURCE_IP PORT LOOPS WINDOW [RATE BURST]\n"), 2;
    load(&f, argv[1]);
    f.fd = open_socket(argv + 2, argv + 4);
    f.window = atol(argv[7]);
    if (argc == 10) {
        f.rate = atof(argv[8]);
        f.burst = atol(argv[9]);
    }
    prctl(PR_SET_TIMERSLACK, 1); /* or pauses would be 50 us longer than asked for */
    double start = f.next = now();
    for (long loops = atol(argv[6]); loops > 0; loops--)
        send_all(&f);
    wait_for_window(&f, 1);
    printf("{\"sent\": %ld, \"data\": %ld, \"asked\": %ld, \"replies\": %ld, \"bytes\": %ld, "
           "\"reply_bytes\": %ld, \"secs\": %.6f}\n",
           f.sent, f.data, f.asked, f.replies, f.bytes, f.reply_bytes, now() - start);
    return 0;
}
