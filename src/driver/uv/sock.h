/*
 * Between bruit's addresses and the socket API's, and between its errors and libuv's.
 *
 * An IPv4 address enters and leaves an IPv6 socket in its mapped form; on our side it always has 4 bytes, so
 * that the engine sees one form of each source. Nothing here opens anything.
 */
#ifndef BR_UV_SOCK_H
#define BR_UV_SOCK_H

#include <bruit/error.h>
#include <bruit/types.h>

#include <netinet/in.h>
#include <sys/socket.h>

union br_sockaddr {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/*
 * `addr` as a socket of `family` (AF_INET, AF_INET6, or AF_UNSPEC for the address's own) wants it. Returns
 * its size, or 0 when such a socket cannot express it.
 */
socklen_t br_sockaddr_write(union br_sockaddr *out, const struct bruit_addr *addr, int family);

/* False when it is no IP address. A mapped IPv4 address becomes 4 bytes. */
bool br_sockaddr_read(struct bruit_addr *out, const union br_sockaddr *in);

/* libuv's status (or a negative errno, which on POSIX is the same) as one of ours. */
int br_uv_error(int status);

#endif
