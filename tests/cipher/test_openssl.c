/*
 * The OpenSSL cipher against published AES-GCM test cases, and the operating system's entropy.
 */
#include <bruit/cipher.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct known {
    const char *key;
    const char *nonce;
    const char *aad;
    const char *plain;
    const char *sealed; /* with the tag */
};

/* Test cases 1, 2, 4, 7, 8, 10, 13, 14 and 16 of "The Galois/Counter Mode of Operation" (McGrew, Viega). */
static const struct known known[] = {
    {"00000000000000000000000000000000", "000000000000000000000000", "", "",
     "58e2fccefa7e3061367f1d57a4e7455a"},
    {"00000000000000000000000000000000", "000000000000000000000000", "", "00000000000000000000000000000000",
     "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf"},
    {"feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0d"
     "e657ba637b39",
     "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0a"
     "ac973d58e0915bc94fbc3221a5db94fae95ae7121a47"},
    {"000000000000000000000000000000000000000000000000", "000000000000000000000000", "", "",
     "cd33b28ac773f74ba00ed1f312572435"},
    {"000000000000000000000000000000000000000000000000", "000000000000000000000000", "",
     "00000000000000000000000000000000", "98e7247c07f0fe411c267e4384b0f6002ff58d80033927ab8ef4d4587514f0fb"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0d"
     "e657ba637b39",
     "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c7d773d00c144c525ac619d18c84a3f4718e2448b2fe3"
     "24d9ccda27102519498e80f1478f37ba55bd6d27618c"},
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000", "", "",
     "530f8afbc74536b9a963b4f1c4cb738b"},
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000", "",
     "00000000000000000000000000000000", "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0d"
     "e657ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba"
     "7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b"},
};

struct bytes {
    uint8_t data[256];
    size_t size;
};

static struct bytes parse_hex(const char *hex)
{
    struct bytes bytes = {.size = strlen(hex) / 2};
    assert_true(bytes.size <= sizeof bytes.data);
    for (size_t i = 0; i < bytes.size; i++) {
        unsigned byte = 0;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        bytes.data[i] = (uint8_t)byte;
    }
    return bytes;
}

static struct bruit_bytes borrow(const struct bytes *bytes)
{
    return (struct bruit_bytes){.data = bytes->data, .size = bytes->size};
}

static int set_up(void **state)
{
    static struct bruit_cipher cipher;
    assert_int_equal(bruit_cipher_openssl(&cipher), 0);
    *state = &cipher;
    return 0;
}

static int tear_down(void **state)
{
    bruit_cipher_openssl_close(*state);
    return 0;
}

/* Each key size, with and without additional data and text, into other memory and in place. */
static void test_gives_the_published_results(void **state)
{
    struct bruit_cipher *cipher = *state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        struct bytes key_bytes = parse_hex(known[i].key);
        struct bytes nonce = parse_hex(known[i].nonce);
        struct bytes aad = parse_hex(known[i].aad);
        struct bytes plain = parse_hex(known[i].plain);
        struct bytes sealed = parse_hex(known[i].sealed);
        uint8_t out[256];
        void *key = cipher->key_new(cipher->context, key_bytes.data, key_bytes.size);
        assert_non_null(key);
        assert_int_equal(
            cipher->seal(cipher->context, key, nonce.data, borrow(&aad), plain.data, plain.size, out), 0);
        assert_memory_equal(out, sealed.data, sealed.size);
        memcpy(out, plain.data, plain.size);
        assert_int_equal(cipher->seal(cipher->context, key, nonce.data, borrow(&aad), out, plain.size, out),
                         0);
        assert_memory_equal(out, sealed.data, sealed.size);
        assert_int_equal(cipher->open(cipher->context, key, nonce.data, borrow(&aad), out, sealed.size, out),
                         0);
        assert_memory_equal(out, plain.data, plain.size);
        cipher->key_free(cipher->context, key);
    }
}

/* One changed bit of the tag, the text, the nonce or the additional data: refused; and the key works on. */
static void test_refuses_every_flipped_bit(void **state)
{
    struct bruit_cipher *cipher = *state;
    struct bytes key_bytes = parse_hex(known[2].key);
    struct bytes parts[3] = {parse_hex(known[2].nonce), parse_hex(known[2].aad), parse_hex(known[2].sealed)};
    uint8_t out[256];
    void *key = cipher->key_new(cipher->context, key_bytes.data, key_bytes.size);
    assert_non_null(key);
    for (size_t part = 0; part < 3; part++) {
        for (size_t bit = 0; bit < 8 * parts[part].size; bit++) {
            uint8_t *byte = &parts[part].data[bit / 8];
            *byte ^= (uint8_t)(1u << bit % 8);
            assert_int_equal(cipher->open(cipher->context, key, parts[0].data, borrow(&parts[1]),
                                          parts[2].data, parts[2].size, out),
                             BRUIT_EKEY);
            *byte ^= (uint8_t)(1u << bit % 8);
        }
    }
    assert_int_equal(cipher->open(cipher->context, key, parts[0].data, borrow(&parts[1]), parts[2].data,
                                  parts[2].size, out),
                     0);
    cipher->key_free(cipher->context, key);
}

/* Less than a tag is nothing that could be opened. */
static void test_refuses_less_than_a_tag(void **state)
{
    struct bruit_cipher *cipher = *state;
    const uint8_t zeros[32] = {0};
    uint8_t out[32];
    void *key = cipher->key_new(cipher->context, zeros, 16);
    assert_non_null(key);
    for (size_t size = 0; size < 16; size++)
        assert_int_equal(
            cipher->open(cipher->context, key, zeros, (struct bruit_bytes){.data = NULL}, zeros, size, out),
            BRUIT_EKEY);
    cipher->key_free(cipher->context, key);
}

/* AES has no other key sizes. */
static void test_refuses_other_key_sizes(void **state)
{
    struct bruit_cipher *cipher = *state;
    const uint8_t zeros[64] = {0};
    for (size_t size = 0; size <= sizeof zeros; size++) {
        void *key = cipher->key_new(cipher->context, zeros, size);
        assert_int_equal(key != NULL, size == 16 || size == 24 || size == 32);
        if (key != NULL)
            cipher->key_free(cipher->context, key);
    }
}

/* Two keys of one cipher do not know each other. */
static void test_keys_are_independent(void **state)
{
    struct bruit_cipher *cipher = *state;
    const uint8_t nonce[12] = {1};
    const struct bruit_bytes none = {.data = NULL};
    uint8_t first_key[16] = {1};
    uint8_t second_key[16] = {2};
    uint8_t sealed[5 + 16];
    uint8_t out[5];
    void *first = cipher->key_new(cipher->context, first_key, sizeof first_key);
    void *second = cipher->key_new(cipher->context, second_key, sizeof second_key);
    memset(first_key, 0, sizeof first_key); /* the key was copied */
    assert_int_equal(cipher->seal(cipher->context, first, nonce, none, (const uint8_t *)"hello", 5, sealed),
                     0);
    assert_int_equal(cipher->open(cipher->context, second, nonce, none, sealed, sizeof sealed, out),
                     BRUIT_EKEY);
    assert_int_equal(cipher->open(cipher->context, first, nonce, none, sealed, sizeof sealed, out), 0);
    assert_memory_equal(out, "hello", 5);
    cipher->key_free(cipher->context, second);
    assert_int_equal(cipher->open(cipher->context, first, nonce, none, sealed, sizeof sealed, out), 0);
    cipher->key_free(cipher->context, first);
}

/* A program that switches keys off and on again: closing twice does no harm, and a new cipher works. */
static void test_can_be_closed_and_made_again(void **state)
{
    struct bruit_cipher again;
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(bruit_cipher_openssl(&again), 0);
        void *key = again.key_new(again.context, (const uint8_t *)"0123456789abcdef", 16);
        assert_non_null(key);
        again.key_free(again.context, key);
        bruit_cipher_openssl_close(&again);
        bruit_cipher_openssl_close(&again);
    }
    assert_non_null(strstr(bruit_cipher_openssl_hint(), "libssl3"));
}

/* Nonces must not repeat: a thousand of them, all different, and every byte position varies. */
static void test_entropy_does_not_repeat(void **state)
{
    enum { COUNT = 1000 };
    static uint8_t nonces[COUNT][12];
    uint8_t seen[12] = {0};
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(bruit_entropy_os(NULL, nonces[i], 12), 0);
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(nonces[i], nonces[k], 12);
        for (size_t k = 0; k < 12; k++)
            seen[k] |= nonces[i][k] ^ nonces[0][k];
    }
    for (size_t k = 0; k < 12; k++)
        assert_int_equal(seen[k], 0xff);
    assert_int_equal(bruit_entropy_os(NULL, nonces[0], 0), 0);
}

int main(void)
{
#define WITH_CIPHER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_CIPHER(test_gives_the_published_results),  WITH_CIPHER(test_refuses_every_flipped_bit),
        WITH_CIPHER(test_refuses_less_than_a_tag),      WITH_CIPHER(test_refuses_other_key_sizes),
        WITH_CIPHER(test_keys_are_independent),         cmocka_unit_test(test_can_be_closed_and_made_again),
        cmocka_unit_test(test_entropy_does_not_repeat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
