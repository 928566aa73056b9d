/* Socket addresses and errors, translated: see sock.h. */
#include "driver/uv/sock.h"

#include <uv.h>

#include <string.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool is_ipv4(const struct bruit_addr *addr)
{
    return addr->size == 4 ||
           (addr->size == 16 && memcmp(addr->ip, mapped_prefix, sizeof mapped_prefix) == 0);
}

static socklen_t write_v4(union br_sockaddr *out, const struct bruit_addr *addr)
{
    out->v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(addr->port)};
    memcpy(&out->v4.sin_addr, addr->size == 4 ? addr->ip : addr->ip + 12, 4);
    return sizeof out->v4;
}

static socklen_t write_v6(union br_sockaddr *out, const struct bruit_addr *addr)
{
    out->v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(addr->port)};
    if (addr->size == 16) {
        memcpy(&out->v6.sin6_addr, addr->ip, 16);
        out->v6.sin6_scope_id = addr->scope;
    } else {
        memcpy(&out->v6.sin6_addr, mapped_prefix, 12);
        memcpy((uint8_t *)&out->v6.sin6_addr + 12, addr->ip, 4);
    }
    return sizeof out->v6;
}

socklen_t br_sockaddr_write(union br_sockaddr *out, const struct bruit_addr *addr, int family)
{
    if (addr->size != 4 && addr->size != 16)
        return 0;
    if (family == AF_UNSPEC)
        family = is_ipv4(addr) ? AF_INET : AF_INET6;
    if (family == AF_INET6)
        return write_v6(out, addr);
    return is_ipv4(addr) ? write_v4(out, addr) : 0;
}

bool br_sockaddr_read(struct bruit_addr *out, const union br_sockaddr *in)
{
    *out = (struct bruit_addr){0};
    if (in->any.sa_family == AF_INET) {
        out->size = 4;
        out->port = ntohs(in->v4.sin_port);
        memcpy(out->ip, &in->v4.sin_addr, 4);
        return true;
    }
    if (in->any.sa_family != AF_INET6)
        return false;
    const uint8_t *ip = (const uint8_t *)&in->v6.sin6_addr;
    bool mapped = memcmp(ip, mapped_prefix, sizeof mapped_prefix) == 0;
    out->size = mapped ? 4 : 16;
    out->port = ntohs(in->v6.sin6_port);
    out->scope = mapped ? 0 : in->v6.sin6_scope_id;
    memcpy(out->ip, mapped ? ip + 12 : ip, out->size);
    return true;
}

int br_uv_error(int status)
{
    switch (status) {
    case 0: return 0;
    case UV_EOF: return 0;
    case UV_ECONNREFUSED: return BRUIT_EREFUSED;
    case UV_ENETUNREACH:
    case UV_EHOSTUNREACH:
    case UV_EADDRNOTAVAIL:
    case UV_EAFNOSUPPORT: return BRUIT_EUNREACHABLE;
    case UV_ECONNRESET:
    case UV_ECONNABORTED:
    case UV_EPIPE: return BRUIT_ERESET;
    case UV_ETIMEDOUT: return BRUIT_ETIMEOUT;
    case UV_EMSGSIZE: return BRUIT_ETOOBIG;
    case UV_ENOMEM: return BRUIT_ENOMEM;
    case UV_EADDRINUSE: return BRUIT_EEXIST;
    default: return BRUIT_EIO;
    }
}
