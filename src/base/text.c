/*
 * The text writer and the renderings that the trace and the address functions share.
 */
#include "base/text.h"

#include <string.h>

static size_t utf8_size(const uint8_t *p, size_t left);
static bool is_plain(const uint8_t *p, size_t size);
static void text_raw(struct br_text *t, const void *data, size_t size);
static void text_ip6(struct br_text *t, const uint8_t ip[16]);

static const char hex_digits[] = "0123456789abcdef";

void br_text_init(struct br_text *t, char *buffer, size_t capacity)
{
    *t = (struct br_text){.buffer = buffer, .capacity = capacity};
}

size_t br_text_end(struct br_text *t)
{
    if (t->capacity > 0)
        t->buffer[t->size < t->capacity ? t->size : t->capacity - 1] = '\0';
    return t->size;
}

void br_text_char(struct br_text *t, char c)
{
    if (t->size < t->capacity)
        t->buffer[t->size] = c;
    t->size++;
}

static void text_raw(struct br_text *t, const void *data, size_t size)
{
    if (t->size < t->capacity) {
        size_t room = t->capacity - t->size;
        memcpy(t->buffer + t->size, data, size < room ? size : room);
    }
    t->size += size;
}

void br_text_string(struct br_text *t, const char *string)
{
    text_raw(t, string, strlen(string));
}

void br_text_u64(struct br_text *t, uint64_t v)
{
    char digits[20];
    size_t first = sizeof digits;
    do {
        digits[--first] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    text_raw(t, digits + first, sizeof digits - first);
}

void br_text_i64(struct br_text *t, int64_t v)
{
    if (v < 0)
        br_text_char(t, '-');
    br_text_u64(t, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

static void text_hex_byte(struct br_text *t, uint8_t byte)
{
    br_text_char(t, hex_digits[byte >> 4]);
    br_text_char(t, hex_digits[byte & 15]);
}

void br_text_hex(struct br_text *t, struct bruit_bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        text_hex_byte(t, bytes.data[i]);
}

/* The short escapes that C and JSON have in common; 0 for other bytes. */
static char short_escape(uint8_t byte)
{
    switch (byte) {
    case '\n': return 'n';
    case '\r': return 'r';
    case '\t': return 't';
    case '\\': return '\\';
    default: return 0;
    }
}

void br_text_escaped(struct br_text *t, struct bruit_bytes bytes)
{
    size_t i = 0;
    while (i < bytes.size) {
        const uint8_t *p = bytes.data + i;
        size_t size = utf8_size(p, bytes.size - i);
        char escape = short_escape(*p);
        if (escape != 0) {
            br_text_char(t, '\\');
            br_text_char(t, escape);
            size = 1;
        } else if (size > 0 && is_plain(p, size)) {
            text_raw(t, p, size);
        } else {
            br_text_string(t, "\\x");
            text_hex_byte(t, *p);
            size = 1; /* what is left of a sequence is no sequence, and is escaped as well */
        }
        i += size;
    }
}

void br_text_json(struct br_text *t, struct bruit_bytes bytes)
{
    size_t i = 0;
    while (i < bytes.size) {
        const uint8_t *p = bytes.data + i;
        size_t size = utf8_size(p, bytes.size - i);
        char escape = *p == '"' ? '"' : short_escape(*p);
        if (escape != 0) {
            br_text_char(t, '\\');
            br_text_char(t, escape);
        } else if (*p < 0x20 || *p == 0x7f) {
            br_text_string(t, "\\u00");
            text_hex_byte(t, *p);
        } else if (size > 0) {
            text_raw(t, p, size);
        } else {
            br_text_string(t, "\xef\xbf\xbd"); /* U+FFFD */
        }
        i += size > 0 ? size : 1;
    }
}

/* The size of the UTF-8 sequence at `p`, or 0 when there is none: RFC 3629, so without overlong forms,
 * surrogates, and what is beyond U+10FFFF. */
static size_t utf8_size(const uint8_t *p, size_t left)
{
    if (p[0] < 0x80)
        return 1;
    size_t size = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || left < size)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool is_overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool is_surrogate = p[0] == 0xed && p[1] >= 0xa0;
    bool is_beyond = p[0] == 0xf4 && p[1] >= 0x90;
    return is_overlong || is_surrogate || is_beyond ? 0 : size;
}

/* Can a well-formed sequence be shown as it is? Not if it is a control character of either set, or one
 * of those that end a line or turn the direction of the text around it (U+2028 to U+202E, U+2066 to
 * U+2069, U+200E, U+200F), with which a name could pretend to be another log line. */
static bool is_plain(const uint8_t *p, size_t size)
{
    if (size == 1)
        return p[0] >= 0x20 && p[0] != 0x7f;
    if (size == 2)
        return !(p[0] == 0xc2 && p[1] < 0xa0);
    if (size == 3 && p[0] == 0xe2 && p[1] == 0x80)
        return !(p[2] == 0x8e || p[2] == 0x8f || (p[2] >= 0xa8 && p[2] <= 0xae));
    if (size == 3 && p[0] == 0xe2 && p[1] == 0x81)
        return !(p[2] >= 0xa6 && p[2] <= 0xa9);
    return true;
}

/* `thousandths` of a unit: as many decimals as it takes. */
static void text_thousandths(struct br_text *t, uint64_t thousandths, const char *unit)
{
    br_text_u64(t, thousandths / 1000);
    unsigned rest = (unsigned)(thousandths % 1000);
    if (rest != 0) {
        br_text_char(t, '.');
        for (unsigned place = 100; rest != 0; place /= 10) {
            br_text_char(t, (char)('0' + rest / place));
            rest %= place;
        }
    }
    br_text_string(t, unit);
}

void br_text_duration(struct br_text *t, bruit_time duration)
{
    if (duration == BRUIT_NEVER)
        br_text_string(t, "never");
    else if (duration >= BRUIT_SECOND || duration == 0)
        text_thousandths(t, duration / BRUIT_MILLISECOND, " s");
    else if (duration >= BRUIT_MILLISECOND)
        text_thousandths(t, duration / BRUIT_MICROSECOND, " ms");
    else if (duration >= BRUIT_MICROSECOND)
        text_thousandths(t, duration, " us");
    else
        text_thousandths(t, duration * 1000, " ns");
}

static void text_ip4(struct br_text *t, const uint8_t ip[4])
{
    for (int i = 0; i < 4; i++) {
        if (i > 0)
            br_text_char(t, '.');
        br_text_u64(t, ip[i]);
    }
}

static bool is_mapped(const struct bruit_addr *addr)
{
    static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return addr->size == 16 && memcmp(addr->ip, prefix, sizeof prefix) == 0;
}

void br_text_ip(struct br_text *t, const struct bruit_addr *addr)
{
    if (addr->size == 4)
        text_ip4(t, addr->ip);
    else if (is_mapped(addr))
        text_ip4(t, addr->ip + 12);
    else if (addr->size == 16)
        text_ip6(t, addr->ip);
    else
        br_text_string(t, "none");
}

void br_text_addr(struct br_text *t, const struct bruit_addr *addr)
{
    bool is_ip6 = addr->size == 16 && !is_mapped(addr);
    if (is_ip6)
        br_text_char(t, '[');
    br_text_ip(t, addr);
    if (is_ip6)
        br_text_char(t, ']');
    if (addr->size != 0) {
        br_text_char(t, ':');
        br_text_u64(t, addr->port);
    }
}

static void text_group(struct br_text *t, const uint8_t group[2])
{
    unsigned value = (unsigned)group[0] << 8 | group[1];
    int shift = 12;
    while (shift > 0 && value >> shift == 0)
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        br_text_char(t, hex_digits[value >> shift & 15]);
}

/* RFC 5952: eight groups without leading zeros, the first of the longest runs of at least two zero groups
 * as "::". */
static void text_ip6(struct br_text *t, const uint8_t ip[16])
{
    int run_start = -1, run_length = 1;
    for (int i = 0; i < 8; i++) {
        int length = 0;
        while (i + length < 8 && ip[2 * (i + length)] == 0 && ip[2 * (i + length) + 1] == 0)
            length++;
        if (length > run_length) {
            run_start = i;
            run_length = length;
        }
    }
    for (int i = 0; i < 8; i++) {
        if (i == run_start) {
            br_text_string(t, "::");
            i += run_length - 1;
            continue;
        }
        if (i > 0 && !(run_start >= 0 && i == run_start + run_length))
            br_text_char(t, ':');
        text_group(t, ip + 2 * i);
    }
}
