/* The address to advertise: see advertise.h. */
#include "driver/uv/advertise.h"

#include "base/text.h"
#include "codec/addr.h"
#include "driver/uv/sock.h"

#include <bruit/uv.h>

#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>

#define CANDIDATES_MAX 256

struct network {
    uint8_t ip[16];
    uint8_t bits;
};

/* Special-purpose networks of RFC 6890 that may be forwarded: what its tables mark otherwise (loopback, link
 * local, documentation and so on) is left out here, which is what go-sockaddr's two lists come to. */
static const struct network private_v4[] = {
    {{10}, 8}, {{100, 64}, 10}, {{172, 16}, 12}, {{192, 88, 99}, 24}, {{192, 168}, 16}, {{198, 18}, 15},
};
static const struct network private_v6[] = {
    {{0x00, 0x64, 0xff, 0x9b}, 96}, {{0x01}, 64}, {{0x20, 0x01}, 16}, {{0x20, 0x02}, 16}, {{0xfc}, 7},
};
/* Of 2001::/16 these two are not forwarded: documentation and ORCHID. */
static const struct network blocked_v6[] = {
    {{0x20, 0x01, 0x0d, 0xb8}, 32},
    {{0x20, 0x01, 0x00, 0x10}, 28},
};

static bool is_in(const uint8_t *ip, const struct network *networks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned whole = networks[i].bits / 8u, rest = networks[i].bits % 8u;
        unsigned mask = (0xff00u >> rest) & 0xffu;
        if (memcmp(ip, networks[i].ip, whole) == 0 &&
            (rest == 0 || ((ip[whole] ^ networks[i].ip[whole]) & mask) == 0))
            return true;
    }
    return false;
}

#define IS_IN(ip, networks) is_in(ip, networks, sizeof(networks) / sizeof(networks)[0])

bool br_address_is_private(const struct bruit_addr *addr)
{
    if (addr->size == 4)
        return IS_IN(addr->ip, private_v4);
    return addr->size == 16 && IS_IN(addr->ip, private_v6) && !IS_IN(addr->ip, blocked_v6);
}

static bool is_better(const struct br_candidate *a, const struct br_candidate *b)
{
    if (a->is_default != b->is_default)
        return a->is_default;
    if (a->addr.size != b->addr.size)
        return a->addr.size < b->addr.size;
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix;
    return a->interface < b->interface; /* Equal: the one that came first stays. */
}

const struct br_candidate *br_advertise_choose(const struct br_candidate *candidates, size_t count, bool ipv6)
{
    const struct br_candidate *best = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct br_candidate *candidate = &candidates[i];
        if (!br_address_is_private(&candidate->addr) || (candidate->addr.size == 16 && !ipv6))
            continue;
        if (best == NULL || is_better(candidate, best))
            best = candidate;
    }
    return best;
}

/* ------------------------------------------------------------------ what this host has */

bool br_default_interface(FILE *routes, char *out, size_t size)
{
    char line[256], name[64];
    unsigned long destination, gateway, flags, mask;
    while (fgets(line, sizeof line, routes) != NULL) {
        /* Columns: interface, destination, gateway, flags, three counters, mask. Flag 2 is "via a
         * gateway". */
        if (sscanf(line, "%63s %lx %lx %lx %*u %*u %*u %lx", name, &destination, &gateway, &flags, &mask) !=
            5)
            continue;
        if (destination == 0 && mask == 0 && (flags & 2) != 0 && strlen(name) < size) {
            memcpy(out, name, strlen(name) + 1);
            return true;
        }
    }
    return false;
}

static void find_default_interface(char *out, size_t size)
{
    out[0] = '\0';
    FILE *routes = fopen("/proc/net/route", "r");
    if (routes == NULL)
        return; /* Not Linux, or hidden from us: no interface is preferred then. */
    if (!br_default_interface(routes, out, size))
        out[0] = '\0';
    (void)fclose(routes); /* Only read from. */
}

static uint8_t prefix_of(const struct sockaddr *mask, uint8_t size)
{
    uint8_t bits = 0;
    const uint8_t *bytes =
        size == 4 ? (const uint8_t *)&((const struct sockaddr_in *)(const void *)mask)->sin_addr
                  : (const uint8_t *)&((const struct sockaddr_in6 *)(const void *)mask)->sin6_addr;
    for (unsigned i = 0; i < size * 8u && (bytes[i / 8] >> (7 - i % 8) & 1) != 0; i++)
        bits++;
    return bits;
}

static bool read_candidate(struct br_candidate *out, const struct ifaddrs *at, const char *default_interface)
{
    union br_sockaddr address = {0};
    if (at->ifa_addr == NULL || at->ifa_netmask == NULL || (at->ifa_flags & IFF_UP) == 0)
        return false;
    if (at->ifa_addr->sa_family == AF_INET)
        memcpy(&address.v4, at->ifa_addr, sizeof address.v4);
    else if (at->ifa_addr->sa_family == AF_INET6)
        memcpy(&address.v6, at->ifa_addr, sizeof address.v6);
    if (!br_sockaddr_read(&out->addr, &address))
        return false;
    out->addr.scope = 0;
    out->prefix = prefix_of(at->ifa_netmask, out->addr.size);
    out->interface = if_nametoindex(at->ifa_name);
    out->is_default = strcmp(at->ifa_name, default_interface) == 0;
    return true;
}

static size_t list_candidates(struct br_candidate *out, size_t max)
{
    struct ifaddrs *all;
    char default_interface[64];
    size_t count = 0;
    if (getifaddrs(&all) != 0)
        return 0;
    find_default_interface(default_interface, sizeof default_interface);
    for (const struct ifaddrs *at = all; at != NULL && count < max; at = at->ifa_next) {
        if (read_candidate(&out[count], at, default_interface))
            count++;
    }
    freeifaddrs(all);
    return count;
}

static bool choose_here(struct bruit_addr *out, bool ipv6)
{
    struct br_candidate candidates[CANDIDATES_MAX];
    size_t count = list_candidates(candidates, CANDIDATES_MAX);
    const struct br_candidate *best = br_advertise_choose(candidates, count, ipv6);
    if (best == NULL)
        return false;
    *out = best->addr;
    return true;
}

/* ------------------------------------------------------------------ the rule */

static int refuse(int error, const char *sentence, char *why, size_t why_size)
{
    struct br_text t;
    br_text_init(&t, why, why == NULL ? 0 : why_size);
    br_text_string(&t, sentence);
    (void)br_text_end(&t); /* Cut is fine. */
    return error;
}

/* The 16 bytes in which Go keeps an IPv4 address that it parsed from text: ::ffff:a.b.c.d. */
static void map(struct bruit_addr *addr)
{
    struct bruit_addr plain = *addr;
    if (plain.size != 4)
        return;
    *addr = (struct bruit_addr){.ip = {[10] = 0xff, [11] = 0xff}, .size = 16, .port = plain.port};
    memcpy(addr->ip + 12, plain.ip, 4);
}

int bruit_uv_advertise(const struct bruit_addr *bind, const struct bruit_addr *advertise,
                       struct bruit_addr *out, char *why, size_t why_size)
{
    struct bruit_addr result;
    bool is_given = advertise != NULL && advertise->size != 0;
    if (is_given && br_addr_is_unspecified(advertise))
        return refuse(BRUIT_EINVAL,
                      "0.0.0.0 and :: cannot be advertised, since nobody could reach them: "
                      "advertise an address of this host that the other members can reach",
                      why, why_size);
    if (is_given || !br_addr_is_unspecified(bind)) {
        result = br_addr_unmapped(is_given ? advertise : bind);
    } else {
        if (!choose_here(&result, br_addr_unmapped(bind).size == 16))
            return refuse(BRUIT_ENOENT,
                          "this host has no private address to advertise: "
                          "bind to, or advertise, one that the other members can reach",
                          why, why_size);
        map(&result);
    }
    result.port = advertise != NULL && advertise->port != 0 ? advertise->port : bind->port;
    result.scope = 0;
    *out = result;
    return 0;
}
