/*
 * Text into a caller's buffer, in the manner of snprintf without its formats: what does not fit is cut,
 * the length goes on counting, and the buffer always ends in a zero.
 */
#ifndef BR_BASE_TEXT_H
#define BR_BASE_TEXT_H

#include <bruit/types.h>

struct br_text {
    char *buffer;
    size_t capacity; /* with the final zero; 0: only count */
    size_t size;     /* what the whole text needs, without the zero */
};

void br_text_init(struct br_text *t, char *buffer, size_t capacity);

void br_text_char(struct br_text *t, char c);
void br_text_string(struct br_text *t, const char *string);
void br_text_u64(struct br_text *t, uint64_t v);
void br_text_i64(struct br_text *t, int64_t v);
void br_text_hex(struct br_text *t, struct bruit_bytes bytes);

/* Bytes that somebody else chose: what could confuse a terminal or a log is written as \n, \\ or \xNN.
 * Well-formed UTF-8 stays as it is. */
void br_text_escaped(struct br_text *t, struct bruit_bytes bytes);

/* The inside of a JSON string: always valid JSON and UTF-8; a byte that is not UTF-8 becomes U+FFFD. */
void br_text_json(struct br_text *t, struct bruit_bytes bytes);

/* A duration for people, at most three decimals, rounded down: 0 s, 17 ns, 1.5 us, 500 ms, 30 s, never. */
void br_text_duration(struct br_text *t, bruit_time duration);

/*
 * An address as Go prints it: 10.0.0.1, fe80::1 (RFC 5952), an IPv4-mapped one as plain IPv4, "none"
 * when there is none. br_text_addr adds the port, and brackets around IPv6. The scope is not printed.
 */
void br_text_ip(struct br_text *t, const struct bruit_addr *addr);
void br_text_addr(struct br_text *t, const struct bruit_addr *addr);

/* Ends the text with its zero and returns the length it needed, which is beyond capacity if cut. */
size_t br_text_end(struct br_text *t);

#endif
