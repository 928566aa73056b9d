/*
 * Which address to tell the others: see bruit_uv_advertise() in <bruit/uv.h>.
 *
 * The choice among a host's addresses is go-sockaddr's "private IP": interfaces that are up, addresses of the
 * special-purpose registries (RFC 6890) that routers may forward; the interface of the default route first,
 * IPv4 before IPv6, larger networks first. The choice is a pure function of what the host has, so that it can
 * be tested without one.
 */
#ifndef BR_UV_ADVERTISE_H
#define BR_UV_ADVERTISE_H

#include <bruit/types.h>

#include <stdio.h>

struct br_candidate {
    struct bruit_addr addr; /* IPv4 in 4 bytes */
    uint8_t prefix;         /* bits of its network */
    unsigned interface;     /* its index */
    bool is_default;        /* the default route goes through its interface */
};

/* Whether go-sockaddr would call it private: special purpose, and forwarded by routers. */
bool br_address_is_private(const struct bruit_addr *addr);

/* The best of them, or NULL when none is private. */
const struct br_candidate *br_advertise_choose(const struct br_candidate *candidates, size_t count,
                                               bool ipv6);

/* The interface of the first default route in a table as in /proc/net/route; false: there is none. */
bool br_default_interface(FILE *routes, char *out, size_t size);

#endif
