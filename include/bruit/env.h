/*
 * What an engine needs from the world around it: memory, entropy, a cipher, and somewhere to trace to.
 *
 * These are the only functions the engine ever calls. They are leaves: none of them may call back into
 * the engine. Everything else goes the other way round: inputs are told to the engine, outputs are
 * pulled from it (engine.h).
 */
#ifndef BRUIT_ENV_H
#define BRUIT_ENV_H

#include <bruit/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The authenticated cipher of the gossip wire: AES-GCM with a 12-byte nonce and a 16-byte tag.
 * bruit_cipher_openssl() of <bruit/cipher.h> is one; without a cipher, keys are refused.
 */
struct bruit_cipher {
    size_t struct_size;
    void *context;
    /* Prepares a key of 16, 24 or 32 bytes; NULL when it cannot. `key` is copied. */
    void *(*key_new)(void *context, const uint8_t *key, size_t key_size);
    /* Wipes and frees what key_new returned. */
    void (*key_free)(void *context, void *key);
    /*
     * Encrypts `size` bytes of `plain` into `out`, which has room for size + 16 and may be the same
     * memory as `plain`; the tag comes last. Returns 0, or BRUIT_EIO.
     */
    int (*seal)(void *context, void *key, const uint8_t nonce[12], struct bruit_bytes aad,
                const uint8_t *plain, size_t size, uint8_t *out);
    /*
     * Decrypts `size` bytes, the last 16 of which are the tag, into `out` (room for size - 16; may be
     * the same memory as `sealed`). Returns 0, or BRUIT_EKEY when the tag does not verify; `out` is then
     * garbage that nobody may look at.
     */
    int (*open)(void *context, void *key, const uint8_t nonce[12], struct bruit_bytes aad,
                const uint8_t *sealed, size_t size, uint8_t *out);
};

struct bruit_trace_record; /* <bruit/trace.h> */

struct bruit_env {
    size_t struct_size; /* sizeof(struct bruit_env) */
    void *context;      /* handed to each function below */

    /*
     * Memory. `old` of `old_size` bytes becomes `new_size` bytes: `old` NULL allocates, `new_size` 0
     * frees and returns NULL. Returns NULL when there is none, and `old` is then untouched. Alignment as
     * malloc's. NULL: the C library's.
     */
    void *(*resize)(void *context, void *old, size_t old_size, size_t new_size);

    /*
     * Fills `out` with unpredictable bytes for nonces. Returns 0, or BRUIT_EIO, and the packet at hand
     * is then not sent. Needed only with keys; NULL otherwise.
     */
    int (*entropy)(void *context, uint8_t *out, size_t size);

    /* The cipher, or NULL for none. Borrowed: must outlive the engine. */
    const struct bruit_cipher *cipher;

    /*
     * Is handed each trace record whose level passes `trace_level` (see trace.h); NULL: no trace. The
     * record and all it points to live until the function returns.
     */
    void (*trace)(void *context, const struct bruit_trace_record *record);
    int trace_level;
};

#ifdef __cplusplus
}
#endif

#endif
