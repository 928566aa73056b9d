/* Discovery by multicast DNS; see mdns.h. */
#include "agent/mdns.h"

#include "agent/mdns_find.h"
#include "codec/addr.h"

#include <bruit/error.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

static const uint8_t group4[4] = {224, 0, 0, 251};
static const uint8_t group6[16] = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfb};

/* The sockets. */
enum { LISTEN4, LISTEN6, ASK4, ASK6, SOCKETS };

struct br_mdns {
    struct br_mdns_options options;
    uv_udp_t sockets[SOCKETS];
    bool is_bound[SOCKETS];
    uv_timer_t ask_timer;   /* until the next question, or until we no longer listen for answers */
    uv_timer_t quiet_timer; /* until what has come is handed out */
    unsigned open_handles;
    struct br_mdns_finder *finder; /* while we listen */
    struct bruit_addr *seen;       /* those handed out, then those that wait for it */
    size_t seen_count, told_count, seen_capacity;
    bool is_full_told;
    uint64_t window; /* the second in which `answers` were given */
    unsigned answers;
    uint8_t buffer[BR_MDNS_MESSAGE_MAX];
};

static void begin_asking(uv_timer_t *timer);
static void on_message(uv_udp_t *socket, ssize_t size, const uv_buf_t *buffer, const struct sockaddr *from,
                       unsigned flags);

/* ------------------------------------------------------------------ sockets */

union endpoint {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

static union endpoint group_of(const struct br_mdns *mdns, bool is_ipv6)
{
    union endpoint group;
    memset(&group, 0, sizeof group);
    if (is_ipv6) {
        group.in6.sin6_family = AF_INET6;
        group.in6.sin6_port = htons(BR_MDNS_PORT);
        group.in6.sin6_scope_id = mdns->options.interface;
        memcpy(&group.in6.sin6_addr, group6, sizeof group6);
    } else {
        group.in.sin_family = AF_INET;
        group.in.sin_port = htons(BR_MDNS_PORT);
        memcpy(&group.in.sin_addr, group4, sizeof group4);
    }
    return group;
}

static int set_option(int fd, int level, int name, const void *value, size_t size)
{
    return setsockopt(fd, level, name, value, (socklen_t)size) == 0 ? 0 : uv_translate_sys_error(errno);
}

/* Membership of the group, for the responder; where to send, for the asker. */
static int join_group4(const struct br_mdns *mdns, int fd, bool is_listener)
{
    struct ip_mreqn request = {.imr_ifindex = (int)mdns->options.interface};
    if (is_listener)
        memcpy(&request.imr_multiaddr, group4, sizeof group4);
    return set_option(fd, IPPROTO_IP, is_listener ? IP_ADD_MEMBERSHIP : IP_MULTICAST_IF, &request,
                      sizeof request);
}

static int join_group6(const struct br_mdns *mdns, int fd, bool is_listener)
{
    struct ipv6_mreq request = {.ipv6mr_interface = mdns->options.interface};
    if (!is_listener)
        return set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &mdns->options.interface,
                          sizeof mdns->options.interface);
    memcpy(&request.ipv6mr_multiaddr, group6, sizeof group6);
    return set_option(fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &request, sizeof request);
}

/*
 * A responder is bound to its group on IPv4, so that it hears nothing else: whoever can send to us by unicast may be
 * anywhere, and would have us answer to whom he names. IPv6 wants an interface for that, so there `is_on_link` decides.
 */
static int bind_socket(struct br_mdns *mdns, uv_udp_t *socket, bool is_ipv6, bool is_listener)
{
    union endpoint to = group_of(mdns, is_ipv6);
    if (is_ipv6)
        memset(&to.in6.sin6_addr, 0, sizeof to.in6.sin6_addr);
    else if (!is_listener)
        memset(&to.in.sin_addr, 0, sizeof to.in.sin_addr);
    if (is_ipv6)
        to.in6.sin6_scope_id = 0;
    if (!is_listener)
        to.in.sin_port = 0; /* in the same place in both */
    return uv_udp_bind(socket, &to.any,
                       is_listener ? UV_UDP_REUSEADDR | (is_ipv6 ? UV_UDP_IPV6ONLY : 0)
                                   : (is_ipv6 ? UV_UDP_IPV6ONLY : 0));
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct br_mdns *mdns = handle->data;
    (void)suggested;
    *out = uv_buf_init((char *)mdns->buffer, sizeof mdns->buffer);
}

static void on_closed(uv_handle_t *handle)
{
    struct br_mdns *mdns = handle->data;
    if (--mdns->open_handles > 0)
        return;
    free(mdns->finder);
    free(mdns->seen);
    free(mdns);
}

static int open_socket(struct br_mdns *mdns, int which)
{
    uv_udp_t *socket = &mdns->sockets[which];
    bool is_ipv6 = which == LISTEN6 || which == ASK6, is_listener = which == LISTEN4 || which == LISTEN6;
    uv_os_fd_t fd;
    int error = uv_udp_init(mdns->options.loop, socket);
    if (error != 0)
        return error;
    socket->data = mdns;
    mdns->open_handles++;
    error = bind_socket(mdns, socket, is_ipv6, is_listener);
    if (error == 0)
        error = uv_fileno((uv_handle_t *)socket, &fd);
    if (error == 0)
        error = is_ipv6 ? join_group6(mdns, fd, is_listener) : join_group4(mdns, fd, is_listener);
    if (error == 0)
        error = uv_udp_recv_start(socket, on_room, on_message);
    if (error != 0)
        uv_close((uv_handle_t *)socket, on_closed);
    mdns->is_bound[which] = error == 0;
    return error;
}

static void init_timer(struct br_mdns *mdns, uv_timer_t *timer)
{
    (void)uv_timer_init(mdns->options.loop, timer);
    timer->data = mdns;
    mdns->open_handles++;
}

int br_mdns_new(struct br_mdns **out, const struct br_mdns_options *options, char why[BR_WHY_MAX])
{
    int errors[SOCKETS];
    struct br_mdns *mdns = calloc(1, sizeof *mdns);
    if (mdns == NULL) {
        (void)snprintf(why, BR_WHY_MAX, "out of memory");
        return BRUIT_ENOMEM;
    }
    mdns->options = *options;
    init_timer(mdns, &mdns->ask_timer);
    init_timer(mdns, &mdns->quiet_timer);
    for (int i = 0; i < SOCKETS; i++) {
        bool is_off = (i == ASK4 && options->no_ipv4) || (i == ASK6 && options->no_ipv6);
        errors[i] = is_off ? 0 : open_socket(mdns, i);
    }
    if (!mdns->is_bound[LISTEN4] && !mdns->is_bound[LISTEN6]) {
        (void)snprintf(
            why, BR_WHY_MAX,
            "no multicast listener could be started (IPv4: %s, IPv6: %s): name an interface that can do "
            "multicast with -mdns-iface",
            uv_strerror(errors[LISTEN4]), uv_strerror(errors[LISTEN6]));
        br_mdns_close(mdns);
        return BRUIT_EIO;
    }
    (void)uv_timer_start(&mdns->ask_timer, begin_asking, 0, 0);
    *out = mdns;
    return 0;
}

void br_mdns_close(struct br_mdns *mdns)
{
    if (mdns == NULL)
        return;
    for (int i = 0; i < SOCKETS; i++)
        if (mdns->is_bound[i])
            uv_close((uv_handle_t *)&mdns->sockets[i], on_closed);
    uv_close((uv_handle_t *)&mdns->ask_timer, on_closed);
    uv_close((uv_handle_t *)&mdns->quiet_timer, on_closed);
}

/* ------------------------------------------------------------------ asking */

/* To both groups. Returns how many took it. */
static unsigned ask(struct br_mdns *mdns, const struct br_mdns_name *name, uint16_t type)
{
    uint8_t question[BR_MDNS_NAME_MAX + 32];
    size_t size = br_mdns_ask(name, type, question, sizeof question);
    uv_buf_t buffer = uv_buf_init((char *)question, (unsigned)size);
    unsigned count = 0;
    for (int i = ASK4; i <= ASK6; i++) {
        union endpoint to = group_of(mdns, i == ASK6);
        if (mdns->is_bound[i] && uv_udp_try_send(&mdns->sockets[i], &buffer, 1, &to.any) > 0)
            count++;
    }
    return count;
}

static void end_asking(uv_timer_t *timer)
{
    struct br_mdns *mdns = timer->data;
    free(mdns->finder);
    mdns->finder = NULL;
    (void)uv_timer_start(timer, begin_asking, BR_MDNS_ASK_EVERY_MS - BR_MDNS_LISTEN_MS, 0);
}

static void begin_asking(uv_timer_t *timer)
{
    struct br_mdns *mdns = timer->data;
    const struct br_mdns_name *service = &mdns->options.service.service;
    mdns->finder = malloc(sizeof *mdns->finder);
    if (mdns->finder != NULL)
        br_mdns_finder_init(mdns->finder, service);
    if (ask(mdns, service, BR_MDNS_PTR) == 0)
        br_log(mdns->options.log, BRUIT_TRACE_ERROR, "agent.mdns",
               "Failed to poll for new hosts: no network took the question");
    (void)uv_timer_start(timer, end_asking, BR_MDNS_LISTEN_MS, 0);
}

/* ------------------------------------------------------------------ what was found */

static void on_quiet(uv_timer_t *timer)
{
    struct br_mdns *mdns = timer->data;
    size_t first = mdns->told_count;
    mdns->told_count = mdns->seen_count;
    if (mdns->told_count > first)
        mdns->options.found(mdns->options.context, mdns->seen + first, mdns->told_count - first);
}

static bool is_known(const struct br_mdns *mdns, const struct bruit_addr *addr)
{
    if (br_addr_equal(&mdns->options.service.addr, addr))
        return true;
    for (size_t i = 0; i < mdns->seen_count; i++)
        if (br_addr_equal(&mdns->seen[i], addr))
            return true;
    return false;
}

static bool remember(struct br_mdns *mdns, const struct bruit_addr *addr)
{
    if (mdns->seen_count == mdns->seen_capacity) {
        size_t capacity = mdns->seen_capacity == 0 ? 8 : 2 * mdns->seen_capacity;
        struct bruit_addr *grown =
            capacity > BR_MDNS_SEEN_MAX ? NULL : realloc(mdns->seen, capacity * sizeof *grown);
        if (grown == NULL)
            return false;
        mdns->seen = grown;
        mdns->seen_capacity = capacity;
    }
    mdns->seen[mdns->seen_count++] = *addr;
    return true;
}

static void take_response(struct br_mdns *mdns, struct bruit_bytes message)
{
    struct bruit_addr addr;
    struct br_mdns_name missing;
    if (!br_mdns_finder_take(mdns->finder, message))
        return;
    while (br_mdns_finder_found(mdns->finder, &addr)) {
        addr = br_addr_unmapped(&addr);
        if (is_known(mdns, &addr))
            continue;
        if (remember(mdns, &addr))
            (void)uv_timer_start(&mdns->quiet_timer, on_quiet, BR_MDNS_QUIET_MS, 0);
        else if (!mdns->is_full_told)
            br_log(mdns->options.log, BRUIT_TRACE_WARN, "agent.mdns",
                   "more than %d hosts: no new ones are joined: use -retry-join", BR_MDNS_SEEN_MAX);
        mdns->is_full_told = mdns->is_full_told || mdns->seen_count == BR_MDNS_SEEN_MAX;
    }
    while (br_mdns_finder_missing(mdns->finder, &missing))
        (void)ask(mdns, &missing, BR_MDNS_ANY);
}

/* ------------------------------------------------------------------ answering */

static bool is_on_link(const struct sockaddr *from)
{
    const struct sockaddr_in6 *in6 = (const void *)from;
    if (from->sa_family != AF_INET6)
        return true;
    return IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr) || IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

/* RFC 6762 (6): answers come from the port of multicast DNS, or are none. */
static bool is_from_responder(const struct sockaddr *from)
{
    const struct sockaddr_in *in = (const void *)from; /* the port is in the same place in both families */
    return in->sin_port == htons(BR_MDNS_PORT);
}

static bool may_answer(struct br_mdns *mdns)
{
    uint64_t window = uv_now(mdns->options.loop) / 1000;
    if (window != mdns->window)
        mdns->answers = 0;
    mdns->window = window;
    return mdns->answers++ < BR_MDNS_ANSWERS_MAX;
}

static void answer(struct br_mdns *mdns, uv_udp_t *socket, struct bruit_bytes query,
                   const struct sockaddr *to)
{
    uint8_t out[BR_MDNS_ANSWER_MAX];
    for (int by_unicast = 0; by_unicast < 2; by_unicast++) {
        size_t size = br_mdns_answer(&mdns->options.service, query, by_unicast != 0, out, sizeof out);
        uv_buf_t buffer = uv_buf_init((char *)out, (unsigned)size);
        if (size > 0 && may_answer(mdns))
            (void)uv_udp_try_send(socket, &buffer, 1,
                                  to); /* what the kernel does not take is lost, as on the way */
    }
}

static void on_message(uv_udp_t *socket, ssize_t size, const uv_buf_t *buffer, const struct sockaddr *from,
                       unsigned flags)
{
    struct br_mdns *mdns = socket->data;
    bool is_listener = socket == &mdns->sockets[LISTEN4] || socket == &mdns->sockets[LISTEN6];
    if (size <= 0 || from == NULL || (flags & UV_UDP_PARTIAL) != 0 || !is_on_link(from))
        return;
    struct bruit_bytes message = br_bytes(buffer->base, (size_t)size);
    if (is_listener)
        answer(mdns, socket, message, from);
    if (mdns->finder != NULL && is_from_responder(from))
        take_response(mdns, message);
}
