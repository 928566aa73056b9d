/*
 * Joins by name: every name is resolved, every address found is contacted, and the results come back
 * together.
 *
 * A join goes through two phases. *Resolving*: literal addresses at once, names by uv_getaddrinfo, all at
 * the same time. *Contacting*: bruit_join() with up to 64 addresses at a time, the next ones when these
 * are done, so that a name with a thousand addresses does not open a thousand connections.
 *
 * Rules: docs/wire/memberlist.md section 6.9. memberlist's extra question over TCP is left out: the
 * system's resolver falls back to TCP by itself.
 */
#ifndef BR_UV_RESOLVE_H
#define BR_UV_RESOLVE_H

#include <bruit/uv.h>

#define BR_JOIN_NAMES_MAX 1024
#define BR_JOIN_NAME_SIZE_MAX 512
#define BR_JOIN_ADDRESSES_MAX 64 /* of one name that are contacted; and targets of one bruit_join() */

struct br_uv_join;

struct br_uv_joins {
    struct br_uv_join *first;
};

/* What stands between the slashes and colons of `NAME/host:port`; pointers into the text given. */
struct br_uv_target {
    struct bruit_bytes name; /* empty: none */
    struct bruit_bytes host; /* without brackets */
    uint16_t port;           /* 0: none given */
};

/* NULL, or a static text that says what is wrong. */
const char *br_uv_target_parse(struct br_uv_target *out, const char *text);

/* Starts what is ready to start: on the loop's turn after bruit_uv_join_names(). */
void br_uv_joins_run(struct bruit_uv *uv);
/* True when this end of a join was one of ours; it is taken note of. */
bool br_uv_joins_take(struct bruit_uv *uv, const struct bruit_event *event);
/* Ends all joins with BRUIT_ECLOSED. */
void br_uv_joins_close(struct bruit_uv *uv);

#endif
