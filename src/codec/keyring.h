/*
 * The keyring (docs/wire/memberlist.md section 4.5): an ordered list of AES keys without duplicates. The
 * first is primary and alone encrypts; opening tries all in order. An empty ring means that nothing is
 * encrypted.
 *
 * Rotating is: add everywhere, use everywhere, remove everywhere. Key bytes are wiped as soon as they are
 * not needed, and are never handed to a trace.
 */
#ifndef BR_CODEC_KEYRING_H
#define BR_CODEC_KEYRING_H

#include <bruit/env.h>
#include <bruit/error.h>
#include <bruit/types.h>

struct br_alloc;

/*
 * memberlist has no bound; a Serf member with 60 keys was recorded. Each more key costs every stranger's
 * packet one more decryption in vain (some 300 ns), so there is one here.
 */
#define BR_KEYRING_MAX 64

struct br_key {
    void *prepared; /* the cipher's; owned */
    uint8_t bytes[BRUIT_KEY_MAX];
    uint8_t size;
};

struct br_keyring {
    const struct bruit_cipher *cipher; /* borrowed; NULL: keys are refused */
    struct br_alloc *alloc;            /* borrowed */
    struct br_key *keys;               /* owned; NULL while empty */
    uint32_t count;
    uint32_t capacity;
};

void br_keyring_init(struct br_keyring *ring, const struct bruit_cipher *cipher, struct br_alloc *alloc);

/* Wipes and frees every key. */
void br_keyring_fini(struct br_keyring *ring);

/*
 * Appends a key; it becomes primary when the ring was empty. One that is there already is no error.
 * Returns 0, or
 *   BRUIT_EINVAL  not 16, 24 or 32 bytes
 *   BRUIT_ENOSYS  there is no cipher
 *   BRUIT_EFULL   BR_KEYRING_MAX keys are in the ring
 *   BRUIT_EKEY    the cipher refused it; BRUIT_ENOMEM.
 */
int br_keyring_add(struct br_keyring *ring, struct bruit_bytes key);

/* Makes a key primary; the others keep their order. BRUIT_ENOENT when it is not in the ring. */
int br_keyring_use(struct br_keyring *ring, struct bruit_bytes key);

/* Removes a key: BRUIT_EINVAL for the primary. One that is not there is no error. */
int br_keyring_remove(struct br_keyring *ring, struct bruit_bytes key);

/* The key at `index`, 0 being the primary; empty beyond the last. Borrowed until the ring changes. */
struct bruit_bytes br_keyring_get(const struct br_keyring *ring, size_t index);

/* Whether there is any key. A NULL ring has none. */
bool br_keyring_has_keys(const struct br_keyring *ring);

/* Overwrites secrets in a way that the compiler may not leave out. */
void br_wipe(void *memory, size_t size);

#endif
