/*
 * The keyring (keyring.h).
 *
 * The list grows by moving to new memory, not by resizing: a resize may leave a copy of the keys behind
 * in memory that has been given back.
 */
#include "codec/keyring.h"

#include "base/alloc.h"
#include "base/bytes.h"

static struct br_key *find(const struct br_keyring *ring, struct bruit_bytes key);
static int grow(struct br_keyring *ring);

void br_keyring_init(struct br_keyring *ring, const struct bruit_cipher *cipher, struct br_alloc *alloc)
{
    *ring = (struct br_keyring){.cipher = cipher, .alloc = alloc};
}

void br_keyring_fini(struct br_keyring *ring)
{
    for (uint32_t i = 0; i < ring->count; i++)
        ring->cipher->key_free(ring->cipher->context, ring->keys[i].prepared);
    br_wipe(ring->keys, ring->capacity * sizeof *ring->keys);
    br_alloc_free(ring->alloc, ring->keys, ring->capacity * sizeof *ring->keys);
    ring->keys = NULL;
    ring->count = 0;
    ring->capacity = 0;
}

int br_keyring_add(struct br_keyring *ring, struct bruit_bytes key)
{
    if (key.size != 16 && key.size != 24 && key.size != 32)
        return BRUIT_EINVAL;
    if (ring->cipher == NULL)
        return BRUIT_ENOSYS;
    if (find(ring, key) != NULL)
        return 0;
    if (ring->count == BR_KEYRING_MAX)
        return BRUIT_EFULL;
    int error = grow(ring);
    if (error != 0)
        return error;
    struct br_key *slot = &ring->keys[ring->count];
    slot->prepared = ring->cipher->key_new(ring->cipher->context, key.data, key.size);
    if (slot->prepared == NULL)
        return BRUIT_EKEY;
    memcpy(slot->bytes, key.data, key.size);
    slot->size = (uint8_t)key.size;
    ring->count++;
    return 0;
}

int br_keyring_use(struct br_keyring *ring, struct bruit_bytes key)
{
    struct br_key *slot = find(ring, key);

    if (slot == NULL)
        return BRUIT_ENOENT;
    struct br_key chosen = *slot;
    memmove(ring->keys + 1, ring->keys, (size_t)(slot - ring->keys) * sizeof *slot);
    ring->keys[0] = chosen;
    br_wipe(&chosen, sizeof chosen);
    return 0;
}

int br_keyring_remove(struct br_keyring *ring, struct bruit_bytes key)
{
    struct br_key *slot = find(ring, key);

    if (slot == NULL)
        return 0;
    if (slot == ring->keys)
        return BRUIT_EINVAL;
    ring->cipher->key_free(ring->cipher->context, slot->prepared);
    ring->count--;
    size_t after = ring->count - (size_t)(slot - ring->keys);
    memmove(slot, slot + 1, after * sizeof *slot);
    br_wipe(&ring->keys[ring->count], sizeof *slot);
    return 0;
}

struct bruit_bytes br_keyring_get(const struct br_keyring *ring, size_t index)
{
    if (index >= ring->count)
        return br_bytes(NULL, 0);
    return br_bytes(ring->keys[index].bytes, ring->keys[index].size);
}

bool br_keyring_has_keys(const struct br_keyring *ring)
{
    return ring != NULL && ring->count > 0;
}

/* The pointer is volatile, so the call has to be made: the compiler cannot know that it is memset. */
void br_wipe(void *memory, size_t size)
{
    void *(*volatile set)(void *, int, size_t) = memset;

    if (size > 0)
        set(memory, 0, size);
}

static struct br_key *find(const struct br_keyring *ring, struct bruit_bytes key)
{
    for (uint32_t i = 0; i < ring->count; i++)
        if (br_bytes_equal(br_keyring_get(ring, i), key))
            return &ring->keys[i];
    return NULL;
}

/* Makes room for one more. */
static int grow(struct br_keyring *ring)
{
    if (ring->count < ring->capacity)
        return 0;
    uint32_t capacity = ring->capacity == 0 ? 2 : 2 * ring->capacity;
    struct br_key *keys = br_alloc_array(ring->alloc, capacity, sizeof *keys);
    if (keys == NULL)
        return BRUIT_ENOMEM;
    if (ring->count > 0)
        memcpy(keys, ring->keys, ring->count * sizeof *keys);
    br_wipe(ring->keys, ring->capacity * sizeof *keys);
    br_alloc_free(ring->alloc, ring->keys, ring->capacity * sizeof *keys);
    ring->keys = keys;
    ring->capacity = capacity;
    return 0;
}
