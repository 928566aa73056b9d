/*
 * The encryption envelope (docs/wire/memberlist.md sections 4.1 and 4.2), AES-GCM:
 *
 *     version:u8  nonce[12]  ciphertext[n]  tag[16]
 *
 * Version 0 pads the message as PKCS#7 does, with 1 to 16 bytes; version 1 does not. Which one is written
 * follows from the protocol version we are configured for; both are always read. The bytes around the
 * envelope, and what is authenticated besides it, are the business of packet.h and frame.h.
 */
#ifndef BR_CODEC_SEAL_H
#define BR_CODEC_SEAL_H

#include "codec/keyring.h"

#define BR_SEAL_HEAD 13 /* version and nonce, before the ciphertext */
#define BR_SEAL_NONCE 12
#define BR_SEAL_TAG 16

/* The room that senders set aside for an envelope, whatever the padding will be: memberlist's numbers. */
#define BR_SEAL_OVERHEAD_V0 45
#define BR_SEAL_OVERHEAD_V1 29

size_t br_seal_overhead(uint8_t version);

/* The exact size of the envelope around `size` bytes. */
size_t br_seal_size(uint8_t version, size_t size);

/*
 * Seals in place with the primary key: the message of `size` bytes stands at envelope + BR_SEAL_HEAD, and
 * `envelope` has room for br_seal_size(). The ring must have a key. Returns 0, or BRUIT_EIO from the cipher.
 */
int br_seal(const struct br_keyring *ring, uint8_t version, const uint8_t nonce[BR_SEAL_NONCE],
            struct bruit_bytes aad, uint8_t *envelope, size_t size);

struct br_unsealed {
    struct bruit_bytes plain; /* in `out`; may be empty */
    uint8_t version;
    uint8_t key_index;
};

/*
 * Opens an envelope with the first key of the ring that fits, into `out`, which has room for sealed.size
 * bytes and is not the same memory. Returns 0, or BRUIT_EKEY: too short, an unknown version, no fitting
 * key, or padding that cannot be; `out` is then garbage.
 */
int br_unseal(const struct br_keyring *ring, struct bruit_bytes aad, struct bruit_bytes sealed, uint8_t *out,
              struct br_unsealed *unsealed);

#endif
