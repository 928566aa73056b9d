/* Values that people type; see value.h. */
#include "agent/value.h"

#include <bruit/trace.h>

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* ------------------------------------------------------------------ durations */

struct unit {
    const char *name;
    uint64_t ns;
};

/* Go writes micro with either of two Unicode letters, and accepts a plain u. */
static const struct unit units[] = {
    {"ns", 1},
    {"us", 1000},
    {"\xc2\xb5s", 1000},
    {"\xce\xbcs", 1000},
    {"ms", 1000000},
    {"s", UINT64_C(1000000000)},
    {"m", 60 * UINT64_C(1000000000)},
    {"h", 3600 * UINT64_C(1000000000)},
};

/* A Go duration is 63 bits of nanoseconds, 292 years. */
#define DURATION_MAX ((uint64_t)INT64_MAX)

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int duration_invalid(const char *text, char why[BR_WHY_MAX])
{
    (void)snprintf(why, BR_WHY_MAX, "time: invalid duration \"%.100s\"", text);
    return BRUIT_EINVAL;
}

/* Digits, and a fraction in billionths; false when there is neither. */
static bool read_number(const char **at, uint64_t *whole, uint64_t *billionths)
{
    const char *start = *at;
    *whole = 0;
    *billionths = 0;
    for (; is_digit(**at); (*at)++)
        *whole = *whole > DURATION_MAX / 10 ? DURATION_MAX : *whole * 10 + (uint64_t)(**at - '0');
    size_t digits = (size_t)(*at - start);
    if (**at == '.') {
        uint64_t scale = 100000000;
        for ((*at)++; is_digit(**at); (*at)++, digits++) {
            *billionths += scale * (uint64_t)(**at - '0');
            scale /= 10;
        }
    }
    return digits > 0;
}

static const struct unit *read_unit(const char **at, size_t *size)
{
    *size = strcspn(*at, ".0123456789");
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strlen(units[i].name) == *size && memcmp(units[i].name, *at, *size) == 0)
            return &units[i];
    return NULL;
}

int br_duration_parse(bruit_time *out, const char *text, char why[BR_WHY_MAX])
{
    const char *at = text + (*text == '+');
    uint64_t total = 0;
    if (strcmp(at, "0") == 0) {
        *out = 0;
        return 0;
    }
    if (*at == 0 || *at == '-')
        return duration_invalid(text, why);
    while (*at != 0) {
        uint64_t whole, billionths;
        size_t size;
        if (!read_number(&at, &whole, &billionths))
            return duration_invalid(text, why);
        const struct unit *unit = read_unit(&at, &size);
        if (size == 0) {
            (void)snprintf(why, BR_WHY_MAX, "time: missing unit in duration \"%.100s\"", text);
            return BRUIT_EINVAL;
        }
        if (unit == NULL) {
            (void)snprintf(why, BR_WHY_MAX, "time: unknown unit \"%.*s\" in duration \"%.100s\"",
                           (int)(size > 40 ? 40 : size), at, text);
            return BRUIT_EINVAL;
        }
        at += size;
        uint64_t fraction =
            unit->ns > 1000000000 ? billionths * (unit->ns / 1000000000) : billionths * unit->ns / 1000000000;
        if (whole > DURATION_MAX / unit->ns || fraction > DURATION_MAX - whole * unit->ns ||
            total > DURATION_MAX - whole * unit->ns - fraction)
            return duration_invalid(text, why);
        total += whole * unit->ns + fraction;
    }
    *out = total;
    return 0;
}

/* `whole` of `unit` and `rest` of `scale` parts of it, without trailing zeros. */
static int print_decimal(char *out, size_t size, uint64_t whole, uint64_t rest, unsigned digits,
                         const char *unit)
{
    while (digits > 0 && rest % 10 == 0) {
        rest /= 10;
        digits--;
    }
    if (digits == 0)
        return snprintf(out, size, "%llu%s", (unsigned long long)whole, unit);
    return snprintf(out, size, "%llu.%0*llu%s", (unsigned long long)whole, (int)digits,
                    (unsigned long long)rest, unit);
}

void br_duration_format(bruit_time duration, char out[32])
{
    uint64_t seconds = duration / BRUIT_SECOND;
    uint64_t rest = duration % BRUIT_SECOND;
    size_t used = 0;
    if (duration == 0) {
        (void)snprintf(out, 32, "0s");
    } else if (duration < BRUIT_MICROSECOND) {
        (void)print_decimal(out, 32, duration, 0, 0, "ns");
    } else if (duration < BRUIT_MILLISECOND) {
        (void)print_decimal(out, 32, duration / 1000, duration % 1000, 3, "\xc2\xb5s");
    } else if (duration < BRUIT_SECOND) {
        (void)print_decimal(out, 32, duration / 1000000, duration % 1000000, 6, "ms");
    } else {
        if (seconds >= 3600)
            used += (size_t)snprintf(out, 32, "%lluh", (unsigned long long)(seconds / 3600));
        if (seconds >= 60)
            used += (size_t)snprintf(out + used, 32 - used, "%llum", (unsigned long long)(seconds / 60 % 60));
        (void)print_decimal(out + used, 32 - used, seconds % 60, rest, 9, "s");
    }
}

/* ------------------------------------------------------------------ base64 */

static const char base64_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* 0 to 63, or -1. */
static int base64_value(char c)
{
    const char *at = c == 0 ? NULL : strchr(base64_letters, c);
    return at == NULL ? -1 : (int)(at - base64_letters);
}

static void skip_line_breaks(const char *text, size_t *at)
{
    while (text[*at] == '\n' || text[*at] == '\r')
        (*at)++;
}

/*
 * One group of four letters from `*at`, with the number of letters before any padding in *count: 0 at the
 * end of the text. Returns -1, or the place of the mistake as Go counts it.
 */
static long read_group(const char *text, size_t *at, uint32_t *bits, unsigned *count)
{
    *bits = 0;
    for (*count = 0; *count < 4; (*count)++) {
        skip_line_breaks(text, at);
        if (text[*at] == 0)
            return *count == 0 ? -1 : (long)(*at - *count);
        int value = base64_value(text[*at]);
        if (value < 0)
            break;
        *bits |= (uint32_t)value << (18 - 6 * *count);
        (*at)++;
    }
    if (*count == 4)
        return -1;
    if (text[*at] != '=' || *count < 2)
        return (long)*at;
    (*at)++;
    if (*count == 2) {
        skip_line_breaks(text, at);
        if (text[*at] != '=')
            return (long)(text[*at] == 0 ? *at : *at - 1);
        (*at)++;
    }
    skip_line_breaks(text, at);
    return text[*at] == 0 ? -1 : (long)*at;
}

int br_base64_decode(const char *text, uint8_t *out, size_t *size, char why[BR_WHY_MAX])
{
    size_t room = *size, used = 0, at = 0;
    for (;;) {
        uint32_t bits;
        unsigned count;
        long mistake = read_group(text, &at, &bits, &count);
        if (mistake >= 0) {
            (void)snprintf(why, BR_WHY_MAX, "illegal base64 data at input byte %ld", mistake);
            return BRUIT_EINVAL;
        }
        size_t bytes = count == 0 ? 0 : count - 1;
        if (bytes > room - used) {
            (void)snprintf(why, BR_WHY_MAX, "more than %zu bytes of key", room);
            return BRUIT_ETOOBIG;
        }
        for (size_t i = 0; i < bytes; i++)
            out[used++] = (uint8_t)(bits >> (16 - 8 * i));
        if (count < 4)
            break;
    }
    *size = used;
    return 0;
}

void br_base64_encode(struct bruit_bytes bytes, char *out)
{
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t left = bytes.size - i;
        uint32_t bits = (uint32_t)bytes.data[i] << 16 | (left > 1 ? (uint32_t)bytes.data[i + 1] << 8 : 0) |
                        (left > 2 ? (uint32_t)bytes.data[i + 2] : 0);
        *out++ = base64_letters[bits >> 18];
        *out++ = base64_letters[bits >> 12 & 63];
        *out++ = left > 1 ? base64_letters[bits >> 6 & 63] : '=';
        *out++ = left > 2 ? base64_letters[bits & 63] : '=';
    }
    *out = 0;
}

/* ------------------------------------------------------------------ pairs, levels, words */

bool br_pair_split(const char *text, struct bruit_bytes *key, struct bruit_bytes *value)
{
    const char *sign = strchr(text, '=');
    if (sign == NULL || sign == text)
        return false;
    *key = br_bytes(text, (size_t)(sign - text));
    *value = br_bytes_string(sign + 1);
    return true;
}

static const char *const level_names[] = {
    [BRUIT_TRACE_OFF] = "OFF",   [BRUIT_TRACE_ERROR] = "ERR",   [BRUIT_TRACE_WARN] = "WARN",
    [BRUIT_TRACE_INFO] = "INFO", [BRUIT_TRACE_DEBUG] = "DEBUG", [BRUIT_TRACE_TRACE] = "TRACE",
};

int br_level_parse(const char *text, size_t size)
{
    for (int level = BRUIT_TRACE_ERROR; level <= BRUIT_TRACE_TRACE; level++)
        if (strlen(level_names[level]) == size && strncasecmp(level_names[level], text, size) == 0)
            return level;
    return -1;
}

const char *br_level_name(int level)
{
    return level >= BRUIT_TRACE_OFF && level <= BRUIT_TRACE_TRACE ? level_names[level] : "?";
}

/* Levenshtein's distance, one row of his table at a time. */
static unsigned distance_of(const char *a, const char *b)
{
    enum { LONGEST = 40 };
    size_t b_size = strlen(b);
    unsigned row[LONGEST + 1];
    if (strlen(a) > LONGEST || b_size > LONGEST)
        return 99;
    for (unsigned j = 0; j <= b_size; j++)
        row[j] = j;
    for (; *a != 0; a++) {
        unsigned diagonal = row[0]++;
        for (size_t j = 1; j <= b_size; j++) {
            unsigned change = diagonal + (*a != b[j - 1]);
            unsigned shorter = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = change < shorter ? change : shorter;
        }
    }
    return row[b_size];
}

unsigned br_word_reach(const char *typed)
{
    return strlen(typed) < 4 ? 2 : 3; /* distances from here on are guesses nobody is helped by */
}

bool br_word_is_nearer(const char *typed, const char *known, unsigned *best)
{
    unsigned distance = distance_of(typed, known);
    if (distance >= *best)
        return false;
    *best = distance;
    return true;
}

/* ------------------------------------------------------------------ endpoints */

static int parse_port(const char *text, uint16_t *port, char why[BR_WHY_MAX])
{
    unsigned value = 0;
    size_t digits = strspn(text, "0123456789");
    if (*text == 0 || text[digits] != 0) {
        (void)snprintf(why, BR_WHY_MAX, "address tcp/%.60s: unknown port", text);
        return BRUIT_EINVAL;
    }
    for (const char *at = text; *at != 0 && value <= UINT16_MAX; at++)
        value = value * 10 + (unsigned)(*at - '0');
    if (value > UINT16_MAX) {
        (void)snprintf(why, BR_WHY_MAX, "address %.60s: invalid port", text);
        return BRUIT_EINVAL;
    }
    *port = (uint16_t)value;
    return 0;
}

/* What stands between the two pointers becomes the host. */
static int take_host(const char *start, const char *end, char host[256], char why[BR_WHY_MAX])
{
    size_t size = (size_t)(end - start);
    if (size > 255) {
        (void)snprintf(why, BR_WHY_MAX, "a host name longer than 255 bytes");
        return BRUIT_EINVAL;
    }
    memcpy(host, start, size);
    host[size] = 0;
    return 0;
}

int br_endpoint_parse(const char *text, char host[256], uint16_t *port, char why[BR_WHY_MAX])
{
    const char *colon = strrchr(text, ':');
    if (*text == '[') {
        const char *end = strchr(text, ']');
        if (end == NULL || (end[1] != 0 && end[1] != ':')) {
            (void)snprintf(why, BR_WHY_MAX, "address %.100s: missing ']' in address", text);
            return BRUIT_EINVAL;
        }
        int error = take_host(text + 1, end, host, why);
        return error != 0 || end[1] == 0 ? error : parse_port(end + 2, port, why);
    }
    /* More than one colon without brackets is an IPv6 address without a port. */
    if (colon == NULL || strchr(text, ':') != colon)
        return take_host(text, text + strlen(text), host, why);
    int error = take_host(text, colon, host, why);
    return error != 0 ? error : parse_port(colon + 1, port, why);
}
