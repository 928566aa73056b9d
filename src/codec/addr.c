/*
 * Addresses: raw bytes, comparison, text. See addr.h; the text itself is base/text.h's, as in the log.
 */
#include "codec/addr.h"

#include "base/bytes.h"
#include "base/text.h"

/* What stands before an IPv4 address in its IPv6 form. */
static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

int br_addr_make(struct bruit_addr *out, struct bruit_bytes ip, uint16_t port)
{
    if (ip.size != 4 && ip.size != 16)
        return BRUIT_EFORMAT;
    *out = (struct bruit_addr){.port = port, .size = (uint8_t)ip.size};
    memcpy(out->ip, ip.data, ip.size);
    return 0;
}

struct bruit_bytes br_addr_ip(const struct bruit_addr *addr)
{
    return br_bytes(addr->ip, addr->size);
}

bool br_addr_equal(const struct bruit_addr *a, const struct bruit_addr *b)
{
    return a->port == b->port && br_bytes_equal(br_addr_ip(a), br_addr_ip(b));
}

struct bruit_addr br_addr_unmapped(const struct bruit_addr *addr)
{
    if (addr->size != 16 || memcmp(addr->ip, mapped_prefix, sizeof mapped_prefix) != 0)
        return *addr;
    struct bruit_addr v4 = {.port = addr->port, .size = 4};
    memcpy(v4.ip, addr->ip + 12, 4);
    return v4;
}

bool br_addr_same_host(const struct bruit_addr *a, const struct bruit_addr *b)
{
    struct bruit_addr plain_a = br_addr_unmapped(a);
    struct bruit_addr plain_b = br_addr_unmapped(b);
    return br_bytes_equal(br_addr_ip(&plain_a), br_addr_ip(&plain_b));
}

bool br_addr_is_unspecified(const struct bruit_addr *addr)
{
    static const uint8_t zeros[16];
    bool is_mapped = addr->size == 16 && memcmp(addr->ip, mapped_prefix, sizeof mapped_prefix) == 0;
    const uint8_t *ip = is_mapped ? addr->ip + sizeof mapped_prefix : addr->ip;
    size_t size = is_mapped ? 4 : addr->size;
    return size == 0 || memcmp(ip, zeros, size) == 0;
}

size_t br_addr_format(const struct bruit_addr *addr, char *out)
{
    struct br_text text;
    br_text_init(&text, out, BRUIT_ADDR_TEXT_MAX);
    br_text_addr(&text, addr);
    return br_text_end(&text);
}

size_t br_addr_format_ip(const struct bruit_addr *addr, char *out)
{
    struct br_text text;
    br_text_init(&text, out, BRUIT_ADDR_TEXT_MAX);
    br_text_ip(&text, addr);
    return br_text_end(&text);
}

/* ---- parsing ------------------------------------------------------------------------------------------- */

/*
 * A decimal number up to `max` at *at, without leading zeros, which some read as octal; moves *at behind it.
 */
static bool parse_decimal(const char **at, unsigned max, unsigned *value)
{
    const char *p = *at;
    if (*p < '0' || *p > '9' || (*p == '0' && p[1] >= '0' && p[1] <= '9'))
        return false;
    *value = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        *value = *value * 10 + (unsigned)(*p - '0');
        if (*value > max)
            return false;
    }
    *at = p;
    return true;
}

/* a.b.c.d at *at. */
static bool parse_v4(const char **at, uint8_t ip[4])
{
    for (int i = 0; i < 4; i++) {
        unsigned value;
        if (i > 0 && *(*at)++ != '.')
            return false;
        if (!parse_decimal(at, 255, &value))
            return false;
        ip[i] = (uint8_t)value;
    }
    return true;
}

static bool parse_hex_digit(char c, unsigned *digit)
{
    if (c >= '0' && c <= '9')
        *digit = (unsigned)(c - '0');
    else if (c >= 'a' && c <= 'f')
        *digit = (unsigned)(c - 'a') + 10;
    else if (c >= 'A' && c <= 'F')
        *digit = (unsigned)(c - 'A') + 10;
    else
        return false;
    return true;
}

/* One to four hexadecimal digits at *at. */
static bool parse_group(const char **at, uint8_t group[2])
{
    unsigned value = 0, digit, count = 0;
    while (parse_hex_digit(**at, &digit)) {
        if (++count > 4)
            return false;
        value = value << 4 | digit;
        (*at)++;
    }
    group[0] = (uint8_t)(value >> 8);
    group[1] = (uint8_t)value;
    return count > 0;
}

/*
 * Groups of an IPv6 address at *at, at most one "::" among them, the last four bytes perhaps as a.b.c.d. The
 * bytes before the "::" go to the front of `ip`, those behind it to its end.
 */
static bool parse_v6(const char **at, uint8_t ip[16])
{
    uint8_t bytes[16] = {0};
    size_t size = 0, gap = SIZE_MAX;
    const char *p = *at;
    if (p[0] == ':' && p[1] == ':') {
        gap = 0;
        p += 2;
    }
    for (;;) {
        const char *start = p;
        if (size <= 12 && parse_v4(&p, bytes + size)) {
            size += 4;
            break;
        }
        p = start;
        unsigned digit;
        if (gap == size && !parse_hex_digit(*p, &digit))
            break; /* nothing behind the "::" */
        if (size == 16 || !parse_group(&p, bytes + size))
            return false;
        size += 2;
        if (p[0] == ':' && p[1] == ':' && gap == SIZE_MAX) {
            gap = size;
            p += 2;
        } else if (*p == ':' && size < 16) {
            p++;
            if (!parse_hex_digit(*p, &digit))
                return false;
        } else {
            break;
        }
    }
    if (gap == SIZE_MAX ? size != 16 : size > 14)
        return false;
    size_t front = gap == SIZE_MAX ? size : gap;
    memset(ip, 0, 16);
    memcpy(ip, bytes, front);
    memcpy(ip + 16 - (size - front), bytes + front, size - front);
    *at = p;
    return true;
}

static bool parse_ip(const char **at, struct bruit_addr *out)
{
    const char *start = *at;
    *out = (struct bruit_addr){.size = 4};
    if (parse_v4(at, out->ip))
        return true;
    *at = start;
    *out = (struct bruit_addr){.size = 16};
    return parse_v6(at, out->ip);
}

int br_addr_parse_ip(struct bruit_addr *out, const char *text)
{
    struct bruit_addr addr;
    if (!parse_ip(&text, &addr) || *text != '\0')
        return BRUIT_EFORMAT;
    *out = addr;
    return 0;
}

int br_addr_parse(struct bruit_addr *out, const char *text, uint16_t default_port)
{
    struct bruit_addr addr;
    unsigned port = default_port;
    bool bracketed = *text == '[';
    text += bracketed;
    if (!parse_ip(&text, &addr) || (bracketed && (addr.size != 16 || *text++ != ']')))
        return BRUIT_EFORMAT;
    if (*text == ':') {
        text++;
        if ((addr.size == 16 && !bracketed) || !parse_decimal(&text, UINT16_MAX, &port))
            return BRUIT_EFORMAT;
    }
    if (*text != '\0')
        return BRUIT_EFORMAT;
    addr.port = (uint16_t)port;
    *out = addr;
    return 0;
}
