/*
 * The encryption envelope (seal.h).
 */
#include "codec/seal.h"

#include "base/bytes.h"
#include "base/check.h"

#define BLOCK 16

static size_t padding(uint8_t version, size_t size);
static bool unpad(struct bruit_bytes *plain);

size_t br_seal_overhead(uint8_t version)
{
    return version == 0 ? BR_SEAL_OVERHEAD_V0 : BR_SEAL_OVERHEAD_V1;
}

size_t br_seal_size(uint8_t version, size_t size)
{
    return BR_SEAL_HEAD + size + padding(version, size) + BR_SEAL_TAG;
}

int br_seal(const struct br_keyring *ring, uint8_t version, const uint8_t nonce[BR_SEAL_NONCE],
            struct bruit_bytes aad, uint8_t *envelope, size_t size)
{
    BR_ASSERT(br_keyring_has_keys(ring));
    BR_ASSERT(version <= 1);
    uint8_t *message = envelope + BR_SEAL_HEAD;
    size_t pad = padding(version, size);

    memset(message + size, (int)pad, pad);
    envelope[0] = version;
    memcpy(envelope + 1, nonce, BR_SEAL_NONCE);
    return ring->cipher->seal(ring->cipher->context, ring->keys[0].prepared, nonce, aad, message, size + pad,
                              message);
}

int br_unseal(const struct br_keyring *ring, struct bruit_bytes aad, struct bruit_bytes sealed, uint8_t *out,
              struct br_unsealed *unsealed)
{
    struct br_reader r;

    br_reader_init(&r, sealed);
    uint8_t version = br_read_u8(&r);
    struct bruit_bytes nonce = br_read_bytes(&r, BR_SEAL_NONCE);
    struct bruit_bytes body = br_reader_rest(&r);
    if (r.failed || version > 1 || sealed.size < br_seal_overhead(version))
        return BRUIT_EKEY;
    for (uint32_t i = 0; i < ring->count; i++) {
        if (ring->cipher->open(ring->cipher->context, ring->keys[i].prepared, nonce.data, aad, body.data,
                               body.size, out) != 0)
            continue;
        unsealed->plain = br_bytes(out, body.size - BR_SEAL_TAG);
        unsealed->version = version;
        unsealed->key_index = (uint8_t)i;
        return version == 1 || unpad(&unsealed->plain) ? 0 : BRUIT_EKEY;
    }
    return BRUIT_EKEY;
}

/* A message that fills its last block gets a whole block of padding. */
static size_t padding(uint8_t version, size_t size)
{
    return version == 0 ? BLOCK - size % BLOCK : 0;
}

/*
 * Stricter than upstream, which looks at the last byte alone and crashes if it is larger than the
 * message: there must be 1 to 16 bytes of padding, all saying how many.
 */
static bool unpad(struct bruit_bytes *plain)
{
    if (plain->size == 0)
        return false;
    uint8_t pad = plain->data[plain->size - 1];
    if (pad < 1 || pad > BLOCK || pad > plain->size)
        return false;
    for (size_t i = plain->size - pad; i < plain->size; i++)
        if (plain->data[i] != pad)
            return false;
    plain->size -= pad;
    return true;
}
