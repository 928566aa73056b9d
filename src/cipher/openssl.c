/*
 * AES-GCM by OpenSSL's libcrypto (<bruit/cipher.h>).
 *
 * The library is looked up when a cipher is asked for: an agent without keys must not pay for it, and it
 * is by far the largest thing that an agent could load. Only functions that 1.1 and 3 share are used, and
 * they are declared here, so that building needs no OpenSSL at all.
 *
 * A key keeps two contexts, one for each direction, with the key schedule done; a packet sets the nonce
 * and goes. Nothing is allocated once a key is made.
 */
#include <bruit/cipher.h>

#include <dlfcn.h>
#include <limits.h>
#include <string.h>

#ifndef BRUIT_LIBCRYPTO_SONAME
#define BRUIT_LIBCRYPTO_SONAME "libcrypto.so.3"
#endif

#define TAG_SIZE 16

/* EVP_CTRL_AEAD_GET_TAG and EVP_CTRL_AEAD_SET_TAG of <openssl/evp.h>. */
enum { CONTROL_GET_TAG = 0x10, CONTROL_SET_TAG = 0x11 };

struct evp_cipher; /* OpenSSL's own, opaque here */
struct evp_context;

typedef struct evp_context *context_new_fn(void);
typedef void context_free_fn(struct evp_context *);
typedef int control_fn(struct evp_context *, int type, int size, void *data);
typedef const struct evp_cipher *cipher_fn(void);
typedef int init_fn(struct evp_context *, const struct evp_cipher *, void *engine, const uint8_t *key,
                    const uint8_t *nonce);
typedef int update_fn(struct evp_context *, uint8_t *out, int *out_size, const uint8_t *in, int in_size);
typedef int final_fn(struct evp_context *, uint8_t *out, int *out_size);
typedef void *allocate_fn(size_t size, const char *file, int line);
typedef void release_fn(void *memory, const char *file, int line);

/* The functions of libcrypto in use: type, our name, its name. */
#define FUNCTIONS(X)                                        \
    X(context_new_fn, context_new, "EVP_CIPHER_CTX_new")    \
    X(context_free_fn, context_free, "EVP_CIPHER_CTX_free") \
    X(control_fn, control, "EVP_CIPHER_CTX_ctrl")           \
    X(cipher_fn, aes_128_gcm, "EVP_aes_128_gcm")            \
    X(cipher_fn, aes_192_gcm, "EVP_aes_192_gcm")            \
    X(cipher_fn, aes_256_gcm, "EVP_aes_256_gcm")            \
    X(init_fn, encrypt_init, "EVP_EncryptInit_ex")          \
    X(update_fn, encrypt_update, "EVP_EncryptUpdate")       \
    X(final_fn, encrypt_final, "EVP_EncryptFinal_ex")       \
    X(init_fn, decrypt_init, "EVP_DecryptInit_ex")          \
    X(update_fn, decrypt_update, "EVP_DecryptUpdate")       \
    X(final_fn, decrypt_final, "EVP_DecryptFinal_ex")       \
    X(allocate_fn, allocate, "CRYPTO_zalloc")               \
    X(release_fn, release, "CRYPTO_free")

struct library {
    void *handle;
#define MEMBER(type, member, name) type *member;
    FUNCTIONS(MEMBER)
#undef MEMBER
};

struct key {
    struct evp_context *sealing;
    struct evp_context *opening;
};

static int load(struct library *library);
static bool resolve(struct library *library);
static void *key_new(void *context, const uint8_t *key, size_t key_size);
static void key_free(void *context, void *key);
static int seal(void *context, void *key, const uint8_t nonce[12], struct bruit_bytes aad,
                const uint8_t *plain, size_t size, uint8_t *out);
static int open_sealed(void *context, void *key, const uint8_t nonce[12], struct bruit_bytes aad,
                       const uint8_t *sealed, size_t size, uint8_t *out);

int bruit_cipher_openssl(struct bruit_cipher *out)
{
    struct library found;
    int error = load(&found);

    if (error != 0)
        return error;
    /*
     * libcrypto's allocator: this file is linked beside the engine, whose accounted memory it has no part
     * in.
     */
    struct library *library = found.allocate(sizeof *library, __FILE__, __LINE__);
    if (library == NULL) {
        (void)dlclose(found.handle);
        return BRUIT_ENOMEM;
    }
    *library = found;
    *out = (struct bruit_cipher){
        .struct_size = sizeof *out,
        .context = library,
        .key_new = key_new,
        .key_free = key_free,
        .seal = seal,
        .open = open_sealed,
    };
    return 0;
}

void bruit_cipher_openssl_close(struct bruit_cipher *cipher)
{
    struct library *library = cipher->context;

    cipher->context = NULL;
    if (library == NULL)
        return;
    void *handle = library->handle;
    library->release(library, __FILE__, __LINE__);
    (void)dlclose(handle); /* nothing to be done about a failure, and nothing lost */
}

const char *bruit_cipher_openssl_hint(void)
{
    return "encryption keys need OpenSSL's libcrypto, version 3 or 1.1, which was not found: install it "
           "(on Debian and Ubuntu: apt-get install libssl3), or run without keys";
}

/* The name the build chose first, then others under which a usable libcrypto may be installed. */
static int load(struct library *library)
{
    static const char *const names[] = {BRUIT_LIBCRYPTO_SONAME, "libcrypto.so.3", "libcrypto.so.1.1",
                                        "libcrypto.so"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        library->handle = dlopen(names[i], RTLD_LAZY | RTLD_LOCAL);
        if (library->handle == NULL)
            continue;
        if (resolve(library))
            return 0;
        (void)dlclose(library->handle);
    }
    return BRUIT_ENOSYS;
}

/* C has no cast from what dlsym returns to a function pointer; POSIX promises that the bytes are the same. */
static bool resolve(struct library *library)
{
    void *address;

#define RESOLVE(type, member, name)         \
    address = dlsym(library->handle, name); \
    if (address == NULL)                    \
        return false;                       \
    memcpy(&library->member, &address, sizeof address);
    FUNCTIONS(RESOLVE)
#undef RESOLVE
    return true;
}

static void *key_new(void *context, const uint8_t *bytes, size_t size)
{
    struct library *library = context;
    const struct evp_cipher *cipher = size == 16   ? library->aes_128_gcm()
                                      : size == 24 ? library->aes_192_gcm()
                                      : size == 32 ? library->aes_256_gcm()
                                                   : NULL;
    if (cipher == NULL)
        return NULL;
    struct key *key = library->allocate(sizeof *key, __FILE__, __LINE__);
    if (key == NULL)
        return NULL;
    key->sealing = library->context_new();
    key->opening = library->context_new();
    if (key->sealing != NULL && key->opening != NULL &&
        library->encrypt_init(key->sealing, cipher, NULL, bytes, NULL) == 1 &&
        library->decrypt_init(key->opening, cipher, NULL, bytes, NULL) == 1)
        return key;
    key_free(context, key);
    return NULL;
}

/* libcrypto wipes the key schedules itself; the contexts are all that knows the key. */
static void key_free(void *context, void *opaque)
{
    struct library *library = context;
    struct key *key = opaque;

    library->context_free(key->sealing);
    library->context_free(key->opening);
    library->release(key, __FILE__, __LINE__);
}

static int seal(void *context, void *opaque, const uint8_t nonce[12], struct bruit_bytes aad,
                const uint8_t *plain, size_t size, uint8_t *out)
{
    struct library *library = context;
    struct evp_context *evp = ((struct key *)opaque)->sealing;
    int written = 0;

    if (size > INT_MAX - TAG_SIZE || aad.size > INT_MAX)
        return BRUIT_EIO;
    if (library->encrypt_init(evp, NULL, NULL, NULL, nonce) != 1)
        return BRUIT_EIO;
    if (aad.size > 0 && library->encrypt_update(evp, NULL, &written, aad.data, (int)aad.size) != 1)
        return BRUIT_EIO;
    if (size > 0 && library->encrypt_update(evp, out, &written, plain, (int)size) != 1)
        return BRUIT_EIO;
    if (library->encrypt_final(evp, out + size, &written) != 1)
        return BRUIT_EIO;
    return library->control(evp, CONTROL_GET_TAG, TAG_SIZE, out + size) == 1 ? 0 : BRUIT_EIO;
}

/* decrypt_final compares the tags, in constant time. */
static int open_sealed(void *context, void *opaque, const uint8_t nonce[12], struct bruit_bytes aad,
                       const uint8_t *sealed, size_t size, uint8_t *out)
{
    struct library *library = context;
    struct evp_context *evp = ((struct key *)opaque)->opening;
    uint8_t tag[TAG_SIZE];
    int written = 0;

    if (size < TAG_SIZE || size > INT_MAX || aad.size > INT_MAX)
        return BRUIT_EKEY;
    size_t plain_size = size - TAG_SIZE;
    memcpy(tag, sealed + plain_size, TAG_SIZE); /* OpenSSL wants it in memory that is not const */
    if (library->decrypt_init(evp, NULL, NULL, NULL, nonce) != 1)
        return BRUIT_EKEY;
    if (aad.size > 0 && library->decrypt_update(evp, NULL, &written, aad.data, (int)aad.size) != 1)
        return BRUIT_EKEY;
    if (plain_size > 0 && library->decrypt_update(evp, out, &written, sealed, (int)plain_size) != 1)
        return BRUIT_EKEY;
    if (library->control(evp, CONTROL_SET_TAG, TAG_SIZE, tag) != 1)
        return BRUIT_EKEY;
    return library->decrypt_final(evp, out + plain_size, &written) == 1 ? 0 : BRUIT_EKEY;
}
