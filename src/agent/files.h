/*
 * The tags file and the keyring file: what an agent keeps of itself from one life to the next (docs/wire/serf-agent.md
 * sections 6.1 and 6.2).
 *
 * JSON as Serf writes it, in place, so that links, mounts and modes stay; a new file is for its owner only.
 */
#ifndef BR_AGENT_FILES_H
#define BR_AGENT_FILES_H

#include "agent/tags.h"
#include "agent/value.h"

#include <bruit/config.h>
#include <bruit/engine.h>

/* More keys than this cost every stranger's packet too much: the engine's own limit. */
#define BR_KEYRING_KEYS_MAX 64

struct br_keyring_file {
    size_t count;
    struct {
        size_t size;
        uint8_t bytes[BRUIT_KEY_MAX];
    } keys[BR_KEYRING_KEYS_MAX]; /* the first is the one in use */
};

/*
 * The tags in a file, as metadata for a protocol, and their number. A file that is not there has none, and
 * *is_there tells. Returns 0, or an error with Serf's sentence in `why`.
 */
int br_tags_file_read(const char *path, unsigned protocol, uint8_t meta[BRUIT_META_MAX], size_t *meta_size,
                      size_t *count, bool *is_there, char why[BR_WHY_MAX]);
int br_tags_file_write(const char *path, const struct br_tag_set *set, char why[BR_WHY_MAX]);

/* Returns 0 with 1 to 64 keys of a right size, or an error with Serf's sentence in `why`. Wipe `out` after use. */
int br_keyring_file_read(const char *path, struct br_keyring_file *out, char why[BR_WHY_MAX]);

/* The engine's keys as they are now, the one in use first: for after a change. */
int br_keyring_file_write(const char *path, const struct bruit_engine *engine, char why[BR_WHY_MAX]);

#endif
