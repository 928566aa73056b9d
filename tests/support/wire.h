/*
 * Both ends of the packet pipeline for tests: counted memory, a real cipher with a nonce of the test's
 * choice, a keyring, and a sink that remembers what was handed to it.
 */
#ifndef BR_TEST_SUPPORT_WIRE_H
#define BR_TEST_SUPPORT_WIRE_H

#include "base/alloc.h"
#include "codec/frame.h"
#include "codec/packet.h"
#include "support/memory.h"

#define TEST_LEAVES_MAX 2048
#define TEST_DROPS_MAX 2048

struct test_leaf {
    enum br_message_type type;
    size_t offset; /* of the body in `bodies` */
    size_t size;
};

struct test_wire {
    struct test_memory memory;
    struct bruit_env env; /* points at `memory` */
    struct br_alloc alloc;
    struct bruit_cipher cipher;
    struct br_keyring ring;
    struct br_scratch scratch;
    struct br_wire wire;
    struct br_packet_info info; /* of the last packet opened */
    uint8_t nonce[12];          /* what entropy gives; its last byte counts up */
    int entropy_error;          /* what entropy returns */
    int leaf_error;             /* what the sink returns */
    size_t leaf_count;
    size_t drop_count;
    struct test_leaf leaves[TEST_LEAVES_MAX];
    enum bruit_drop drops[TEST_DROPS_MAX];
    uint8_t bodies[2u << 20];
    size_t bodies_size;
};

/* Plain, no label, no compression, everything verified once there are keys. */
struct test_wire *test_wire_new(void);

/* Frees all of it and fails the test if anything leaked. */
void test_wire_free(struct test_wire *t);

/* Adds the key 00 01 02 ... shifted by `start`, of `size` bytes. */
void test_wire_key(struct test_wire *t, uint8_t start, size_t size);

/* Opens a packet into the sink, which is emptied first, from a copy of exactly its size. */
int test_wire_open(struct test_wire *t, struct bruit_bytes packet);

/* The body of a leaf the sink was given. */
struct bruit_bytes test_wire_leaf(const struct test_wire *t, size_t index);

/* Builds a packet of `count` messages into `buffer`; fails the test if that fails. Returns its size. */
size_t test_wire_build(struct test_wire *t, bool crc, const struct bruit_bytes *messages, size_t count,
                       uint8_t *buffer, size_t capacity);

/* Asserts that the last packet gave no leaf and exactly one drop, of this reason. */
void test_wire_assert_dropped(const struct test_wire *t, enum bruit_drop reason);

#endif
