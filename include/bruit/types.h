/*
 * The value types that every bruit header shares.
 *
 * All of them are plain values: they own nothing, and copying one copies all there is to it, save
 * `struct bruit_bytes`, which points at memory whose owner the function at hand names.
 */
#ifndef BRUIT_TYPES_H
#define BRUIT_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Marks what a shared libbruit exports; everything else is hidden. */
#if defined(__GNUC__)
#define BRUIT_API __attribute__((visibility("default")))
#else
#define BRUIT_API
#endif

/* Nanoseconds on a clock that never goes back. Any origin will do; a difference is a duration. */
typedef uint64_t bruit_time;

/* "No deadline": later than every real time. */
#define BRUIT_NEVER UINT64_MAX

#define BRUIT_MICROSECOND UINT64_C(1000)
#define BRUIT_MILLISECOND UINT64_C(1000000)
#define BRUIT_SECOND UINT64_C(1000000000)

/*
 * A member of the cluster as one engine names it. Stable for as long as the member is known (until it
 * is reaped and its last event was pulled); afterwards the number may name another. 0 is nobody.
 * Engines number independently: never send one over the network.
 */
typedef uint32_t bruit_node;

/* Borrowed bytes. `data` may be NULL when `size` is 0; absent and empty are the same. */
struct bruit_bytes {
    const uint8_t *data;
    size_t size;
};

/*
 * An IP address and port in the form in which memberlist carries them.
 *
 * `size` is 4 (IPv4), 16 (IPv6, or an IPv4 address in its mapped form ::ffff:a.b.c.d) or 0 (none).
 * Peers compare addresses byte for byte, so the 4-byte and the mapped form of one address are two
 * different addresses to them: keep the form that arrived. `ip` is in network order, unused bytes are
 * zero; `port` is in host order; `scope` is the interface index of a link-local IPv6 address, else 0,
 * and never travels.
 */
struct bruit_addr {
    uint8_t ip[16];
    uint32_t scope;
    uint16_t port;
    uint8_t size;
};

/* The longest text of an address: "[" IPv6 "]:" port and the final zero. */
#define BRUIT_ADDR_TEXT_MAX 56

/* Limits of the wire (memberlist's and Serf's), in bytes. A name may be shorter, never empty. */
#define BRUIT_NAME_MAX 255
#define BRUIT_META_MAX 512
#define BRUIT_LABEL_MAX 255
#define BRUIT_KEY_MAX 32

#ifdef __cplusplus
}
#endif

#endif
