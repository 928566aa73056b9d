/* A conversation with an agent; see session.h. */
#include "cli/session.h"

#include <bruit/error.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 10000
#define READ_SIZE 65536

static int fail(struct br_session *session, int error, const char *text)
{
    (void)snprintf(session->why, sizeof session->why, "%s", text);
    return error;
}

/* How long poll may wait before the session's deadline, at most `most`; -1 is for ever. */
static int patience_of(const struct br_session *session, int most)
{
    struct timespec now;
    if (session->deadline == 0)
        return most;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    bruit_time passed = (bruit_time)now.tv_sec * BRUIT_SECOND + (bruit_time)now.tv_nsec;
    bruit_time left = session->deadline > passed ? (session->deadline - passed) / BRUIT_MILLISECOND + 1 : 0;
    bruit_time bound = most < 0 ? INT32_MAX : (bruit_time)most;
    return (int)(left < bound ? left : bound);
}

/* ------------------------------------------------------------------ connecting */

static const char *connect_text(int error)
{
    switch (error) {
    case ECONNREFUSED: return "connect: connection refused";
    case EHOSTUNREACH: return "connect: no route to host";
    case ENETUNREACH: return "connect: network is unreachable";
    case EADDRNOTAVAIL: return "connect: cannot assign requested address";
    case ETIMEDOUT: return "i/o timeout";
    default: return strerror(error);
    }
}

/* 0, or an errno. */
static int connect_in_time(int fd, const struct addrinfo *to, int patience_ms)
{
    int error = 0;
    socklen_t size = sizeof error;
    int flags = fcntl(fd, F_GETFL);
    (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    if (connect(fd, to->ai_addr, to->ai_addrlen) != 0) {
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        if (errno != EINPROGRESS)
            return errno;
        if (poll(&ready, 1, patience_ms) != 1)
            return ETIMEDOUT;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
            return errno;
    }
    (void)fcntl(fd, F_SETFL, flags);
    return error;
}

/* Without a host it is this one, and Go names the port alone. */
static void describe_address(const struct addrinfo *to, bool has_host, char *out, size_t size)
{
    char host[64] = "?", port[16] = "?";
    (void)getnameinfo(to->ai_addr, to->ai_addrlen, host, sizeof host, port, sizeof port,
                      NI_NUMERICHOST | NI_NUMERICSERV);
    (void)snprintf(out, size, strchr(host, ':') != NULL && has_host ? "[%s]:%s" : "%s:%s",
                   has_host ? host : "", port);
}

static int dial_one(struct br_session *session, const struct addrinfo *to, bool has_host)
{
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    int one = 1;
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int error = fd < 0 ? errno : connect_in_time(fd, to, patience_of(session, PATIENCE_MS));
    if (error != 0) {
        char address[96];
        describe_address(to, has_host, address, sizeof address);
        (void)snprintf(session->why, sizeof session->why, "dial tcp %s: %s", address, connect_text(error));
        if (fd >= 0)
            (void)close(fd);
        return BRUIT_EREFUSED;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    session->fd = fd;
    return 0;
}

/* Takes "host:port" or "[v6]:port" apart; NULL, or what Go says is wrong with it. */
static const char *take_apart(const char *address, struct bruit_bytes *host, const char **port)
{
    const char *colon = strrchr(address, ':'), *end;
    if (colon == NULL)
        return "missing port in address";
    if (address[0] == '[') {
        end = strchr(++address, ']');
        if (end == NULL)
            return "missing ']' in address";
        if (end + 1 != colon)
            return end[1] == ':' ? "too many colons in address" : "missing port in address";
    } else {
        end = colon;
        if (memchr(address, ':', (size_t)(colon - address)) != NULL)
            return "too many colons in address";
    }
    *host = br_bytes(address, (size_t)(end - address));
    *port = colon + 1;
    return host->size < NI_MAXHOST ? NULL : "name too long";
}

/* A number above a port's is wrong; what is no number at all may be the name of a service. */
static bool is_bad_port(const char *text)
{
    char *end;
    long long value = strtoll(text, &end, 10);
    return *end == 0 && (value < 0 || value > UINT16_MAX);
}

static int look_up(struct br_session *session, struct bruit_bytes host, const char *port,
                   struct addrinfo **out)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    char name[NI_MAXHOST];
    (void)snprintf(name, sizeof name, "%.*s", (int)host.size, (const char *)host.data);
    if (is_bad_port(port)) {
        (void)snprintf(session->why, sizeof session->why, "dial tcp: address %.200s: invalid port", port);
        return BRUIT_EINVAL;
    }
    int error = getaddrinfo(host.size == 0 ? NULL : name, port[0] == 0 ? "0" : port, &hints, out);
    if (error == 0)
        return 0;
    if (error == EAI_SERVICE)
        (void)snprintf(session->why, sizeof session->why, "dial tcp: address tcp/%.200s: unknown port", port);
    else
        (void)snprintf(session->why, sizeof session->why, "dial tcp: lookup %.900s: no such host", name);
    return BRUIT_ENOENT;
}

/* In Go's words, since these are what Serf's users know. */
static int dial(struct br_session *session, const char *address)
{
    struct addrinfo *list;
    struct bruit_bytes host;
    const char *port;
    if (address[0] == 0)
        return fail(session, BRUIT_EINVAL, "dial tcp: missing address");
    const char *wrong = take_apart(address, &host, &port);
    if (wrong != NULL) {
        (void)snprintf(session->why, sizeof session->why, "dial tcp: address %.200s: %s", address, wrong);
        return BRUIT_EINVAL;
    }
    int error = look_up(session, host, port, &list);
    if (error != 0)
        return error;
    error = BRUIT_ENOENT;
    for (const struct addrinfo *to = list; to != NULL && error != 0; to = to->ai_next)
        error = dial_one(session, to, host.size > 0);
    freeaddrinfo(list);
    return error;
}

static int shake_hands(struct br_session *session)
{
    uint8_t bytes[32];
    struct br_writer w;
    br_writer_init(&w, bytes, sizeof bytes);
    br_mp_write_map(&w, 1);
    br_mp_write_key(&w, "Version");
    br_mp_write_uint(&w, 1);
    return br_session_call(session, "handshake", br_writer_bytes(&w));
}

int br_session_open(struct br_session *session, const char *address, const char *auth)
{
    return br_session_open_until(session, address, auth, 0);
}

int br_session_open_until(struct br_session *session, const char *address, const char *auth,
                          bruit_time deadline)
{
    *session = (struct br_session){.fd = -1, .deadline = deadline};
    int error = dial(session, address);
    if (error == 0)
        error = shake_hands(session);
    if (error == 0 && auth != NULL && auth[0] != 0)
        error = br_session_call_text(session, "auth", "AuthKey", auth);
    return error;
}

void br_session_close(struct br_session *session)
{
    if (session->fd >= 0)
        (void)close(session->fd);
    session->fd = -1;
    br_blob_release(&session->input);
}

/* ------------------------------------------------------------------ asking */

static int write_all(struct br_session *session, struct bruit_bytes bytes)
{
    while (bytes.size > 0) {
        ssize_t size = send(session->fd, bytes.data, bytes.size, MSG_NOSIGNAL);
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0)
            return fail(session, BRUIT_ERESET, size < 0 && errno == EAGAIN ? "i/o timeout" : "client closed");
        bytes = br_bytes(bytes.data + size, bytes.size - (size_t)size);
    }
    return 0;
}

/* The header of the answer to the command sent last. A stream that was begun before may tell something first. */
static int read_answer(struct br_session *session, struct bruit_bytes *text)
{
    struct bruit_bytes object;
    uint64_t seq = 0;
    int error = br_session_read_header(session, &seq, text);
    while (error == 0 && seq != session->seq) {
        if (session->on_record == NULL)
            return fail(session, BRUIT_EFORMAT, "the answer belongs to another command");
        error = br_session_read(session, &object);
        if (error == 0)
            session->on_record(object);
        if (error == 0)
            error = br_session_read_header(session, &seq, text);
    }
    return error;
}

int br_session_call(struct br_session *session, const char *command, struct bruit_bytes body)
{
    struct br_blob out = BR_BLOB_EMPTY;
    struct bruit_bytes text;
    struct br_writer w = br_blob_writer(&out, 64 + strlen(command));
    br_mp_write_map(&w, 2);
    br_mp_write_key(&w, "Command");
    br_mp_write_key(&w, command);
    br_mp_write_key(&w, "Seq");
    br_mp_write_uint(&w, ++session->seq);
    br_blob_written(&out, &w);
    br_blob_add(&out, body);
    int error =
        out.failed ? fail(session, BRUIT_ENOMEM, "out of memory") : write_all(session, br_blob_bytes(&out));
    br_blob_release(&out);
    if (error == 0)
        error = read_answer(session, &text);
    if (error == 0 && text.size > 0) {
        (void)snprintf(session->why, sizeof session->why, "%.*s", (int)(text.size < 1000 ? text.size : 1000),
                       (const char *)text.data);
        return BRUIT_EREMOTE;
    }
    return error;
}

/* Serf's agents answer these words to what they do not know, and hang up. */
int br_session_call_own(struct br_session *session, const char *command, struct bruit_bytes body)
{
    int error = br_session_call(session, command, body);
    if (error == BRUIT_EREMOTE && strcmp(session->why, "Unsupported command") == 0)
        (void)snprintf(session->why, sizeof session->why,
                       "this agent is Serf's, or a bruit older than this one, and has no \"%s\": with -rpc-addr ask "
                       "an agent that has",
                       command);
    return error;
}

int br_session_call_text(struct br_session *session, const char *command, const char *key, const char *value)
{
    struct br_blob body = BR_BLOB_EMPTY;
    struct br_writer w = br_blob_writer(&body, 16 + strlen(key) + strlen(value));
    br_mp_write_map(&w, 1);
    br_mp_write_key(&w, key);
    br_mp_write_str8(&w, br_bytes_string(value));
    br_blob_written(&body, &w);
    int error = br_session_call(session, command, br_blob_bytes(&body));
    br_blob_release(&body);
    return error;
}

/* ------------------------------------------------------------------ listening */

static int await_bytes(struct br_session *session)
{
    struct pollfd ready = {.fd = session->fd, .events = POLLIN};
    if (session->deadline == 0 || poll(&ready, 1, patience_of(session, -1)) != 0)
        return 0;
    return fail(session, BRUIT_ETIMEOUT, "i/o timeout");
}

static int read_more(struct br_session *session)
{
    uint8_t *place = br_blob_reserve(&session->input, READ_SIZE);
    if (place == NULL || session->input.size > BR_SESSION_OBJECT_MAX)
        return fail(session, BRUIT_ETOOBIG, "the agent's answer is too large");
    for (;;) {
        int error = await_bytes(session);
        if (error != 0)
            return error;
        ssize_t size = recv(session->fd, place, READ_SIZE, 0);
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0)
            return fail(session, BRUIT_ERESET, "client closed");
        session->input.size += (size_t)size;
        return 0;
    }
}

int br_session_read(struct br_session *session, struct bruit_bytes *object)
{
    struct br_mp_scanner scanner;
    br_blob_consume(&session->input, session->done);
    session->done = 0;
    br_mp_scanner_init(&scanner);
    for (;;) {
        size_t size;
        int step = session->input.size == 0
                       ? BR_MP_MORE
                       : br_mp_scanner_feed(&scanner, br_blob_bytes(&session->input), &size);
        if (step == 0) {
            *object = br_bytes(session->input.data, size);
            session->done = size;
            return 0;
        }
        if (step < 0)
            return fail(session, BRUIT_EFORMAT, "the agent sent something that is no answer");
        int error = read_more(session);
        if (error != 0)
            return error;
    }
}

struct header {
    struct bruit_bytes error;
    uint64_t seq;
};

static const struct br_mp_field header_fields[] = {
    BR_MP_FIELD(struct header, error, "Error", BR_MP_TEXT, 1, 0),
    BR_MP_FIELD(struct header, seq, "Seq", BR_MP_U64, 0, 0),
};

int br_session_read_header(struct br_session *session, uint64_t *seq, struct bruit_bytes *error)
{
    struct bruit_bytes object;
    struct header header;
    struct br_reader r;
    int failure = br_session_read(session, &object);
    if (failure != 0)
        return failure;
    br_reader_init(&r, object);
    br_mp_read_struct(&r, header_fields, 2, &header);
    if (r.failed)
        return fail(session, BRUIT_EFORMAT, "the agent sent something that is no answer");
    *seq = header.seq;
    *error = header.error;
    return 0;
}
