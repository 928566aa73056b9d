/*
 * A set of tags: what -tag collects, what a member's metadata holds, what the RPC changes.
 *
 * Kept sorted by key, one value a key: Go's maps have no order, and a fixed one makes output comparable.
 * The bytes are borrowed, and a set is a value on somebody's stack, so whatever outlives it is encoded
 * (docs/wire/serf.md section 9).
 */
#ifndef BR_AGENT_TAGS_H
#define BR_AGENT_TAGS_H

#include "codec/serf.h"

/* Metadata of 512 bytes has room for 254 tags of an empty key and an empty value at most. */
#define BR_TAGS_MAX 256

struct br_tag_set {
    size_t count;
    struct br_serf_tag tags[BR_TAGS_MAX];
};

/* Sets `key`, replacing what it had. BRUIT_EFULL beyond BR_TAGS_MAX. */
int br_tag_set_put(struct br_tag_set *set, struct bruit_bytes key, struct bruit_bytes value);

/* Removes `key` if it is there. */
void br_tag_set_remove(struct br_tag_set *set, struct bruit_bytes key);

/* The value of `key`, empty when there is none: an absent tag counts as the empty text. */
struct bruit_bytes br_tag_set_get(const struct br_tag_set *set, struct bruit_bytes key);

/* All tags in a member's metadata; more than fit are ignored. */
void br_tag_set_read(struct br_tag_set *set, struct bruit_bytes meta);

/*
 * Metadata from tags: of Serf protocol 2 the role alone. Returns 0 with its size in *size (room
 * BRUIT_META_MAX in `out`), or BRUIT_ETOOBIG.
 */
int br_tag_set_encode(const struct br_tag_set *set, unsigned protocol, uint8_t out[BRUIT_META_MAX],
                      size_t *size);

#endif
