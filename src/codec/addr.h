/*
 * Addresses as memberlist carries them: to and from raw bytes, compared byte for byte, shown, parsed.
 *
 * An IPv4 address may come in 4 bytes or in its 16-byte mapped form, and to peers these are two addresses
 * (docs/wire/memberlist.md section 1): what arrived is kept and sent on unchanged; br_addr_unmapped gives a
 * copy for the socket and for people. Nothing here resolves names.
 */
#ifndef BR_CODEC_ADDR_H
#define BR_CODEC_ADDR_H

#include <bruit/error.h>
#include <bruit/types.h>

/* From 4 or 16 bytes in network order; BRUIT_EFORMAT for any other size. The scope is 0. */
int br_addr_make(struct bruit_addr *out, struct bruit_bytes ip, uint16_t port);

/* The address bytes, borrowed from `addr`. */
struct bruit_bytes br_addr_ip(const struct bruit_addr *addr);

/* Same bytes, same form, same port; the scope never travels and does not count. */
bool br_addr_equal(const struct bruit_addr *a, const struct bruit_addr *b);

/* The same address with ::ffff:a.b.c.d turned into the 4 bytes a.b.c.d; others unchanged. */
struct bruit_addr br_addr_unmapped(const struct bruit_addr *addr);

/* Whether both mean the same host, whatever form either has. Ports do not count. */
bool br_addr_same_host(const struct bruit_addr *a, const struct bruit_addr *b);

/* Whether it is 0.0.0.0 or :: (mapped or not), or none at all: nothing anybody could be reached at. */
bool br_addr_is_unspecified(const struct bruit_addr *addr);

/*
 * Text: `a.b.c.d:port`, `[v6]:port`; a mapped IPv4 address is shown as IPv4, as Go does. `out` has room for
 * BRUIT_ADDR_TEXT_MAX. Returns the length without the final zero.
 */
size_t br_addr_format(const struct bruit_addr *addr, char *out);

/* The same without port and brackets. */
size_t br_addr_format_ip(const struct bruit_addr *addr, char *out);

/* An IP literal without brackets; the port is left 0. BRUIT_EFORMAT when it is none. */
int br_addr_parse_ip(struct bruit_addr *out, const char *text);

/*
 * `a.b.c.d`, `a.b.c.d:port`, `[v6]:port`, `[v6]`, `v6`; without a port, `default_port`. BRUIT_EFORMAT when it
 * is no literal address: it may be a host name then.
 */
int br_addr_parse(struct bruit_addr *out, const char *text, uint16_t default_port);

#endif
