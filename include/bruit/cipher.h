/*
 * A cipher and an entropy source for struct bruit_env, from OpenSSL's libcrypto and the operating system.
 *
 * They live outside the core library: the engine itself depends on C alone, and whoever has an AES-GCM of
 * their own fills a struct bruit_cipher with that. libcrypto is loaded when bruit_cipher_openssl() is called
 * and not before, so a program that was built with it but has no keys pays nothing for it.
 */
#ifndef BRUIT_CIPHER_H
#define BRUIT_CIPHER_H

#include <bruit/env.h>
#include <bruit/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Loads libcrypto (3 or 1.1) and fills `out`. Keys hold prepared contexts, so sealing and opening allocate
 * nothing. One thread at a time for each cipher and its keys. Returns 0, or
 *   BRUIT_ENOSYS  no usable libcrypto: bruit_cipher_openssl_hint() says what to do.
 *   BRUIT_ENOMEM
 */
BRUIT_API int bruit_cipher_openssl(struct bruit_cipher *out);

/* Frees what bruit_cipher_openssl() filled in, after all its keys were freed, and unloads the library. */
BRUIT_API void bruit_cipher_openssl_close(struct bruit_cipher *cipher);

/* The sentence to show when bruit_cipher_openssl() returned BRUIT_ENOSYS; a static string. */
BRUIT_API const char *bruit_cipher_openssl_hint(void);

/*
 * Unpredictable bytes from the kernel, in the shape of bruit_env.entropy; `context` is not used. Returns 0,
 * or BRUIT_EIO.
 */
BRUIT_API int bruit_entropy_os(void *context, uint8_t *out, size_t size);

#ifdef __cplusplus
}
#endif

#endif
