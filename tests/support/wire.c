/*
 * Both ends of the packet pipeline for tests; see wire.h.
 */
#include "support/wire.h"

#include <bruit/cipher.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int give_nonce(void *context, uint8_t *out, size_t size)
{
    struct test_wire *t = context;
    if (t->entropy_error != 0)
        return t->entropy_error;
    assert_int_equal(size, sizeof t->nonce);
    memcpy(out, t->nonce, size);
    t->nonce[11]++;
    return 0;
}

static int take_leaf(void *context, enum br_message_type type, struct bruit_bytes body)
{
    struct test_wire *t = context;
    if (t->leaf_error != 0)
        return t->leaf_error;
    assert_true(t->leaf_count < TEST_LEAVES_MAX);
    assert_true(body.size <= sizeof t->bodies - t->bodies_size);
    t->leaves[t->leaf_count++] =
        (struct test_leaf){.type = type, .offset = t->bodies_size, .size = body.size};
    if (body.size > 0)
        memcpy(t->bodies + t->bodies_size, body.data, body.size);
    t->bodies_size += body.size;
    return 0;
}

static void take_drop(void *context, enum bruit_drop reason)
{
    struct test_wire *t = context;
    assert_true(t->drop_count < TEST_DROPS_MAX);
    t->drops[t->drop_count++] = reason;
}

struct test_wire *test_wire_new(void)
{
    struct test_wire *t = calloc(1, sizeof *t);
    assert_non_null(t);
    test_memory_init(&t->memory);
    t->env = test_memory_env(&t->memory);
    br_alloc_init(&t->alloc, &t->env, 0);
    assert_int_equal(bruit_cipher_openssl(&t->cipher), 0);
    br_keyring_init(&t->ring, &t->cipher, &t->alloc);
    br_scratch_init(&t->scratch, &t->alloc);
    t->wire = (struct br_wire){
        .keyring = &t->ring,
        .verify_incoming = true,
        .verify_outgoing = true,
        .seal_version = 1,
        .entropy = give_nonce,
        .entropy_context = t,
    };
    return t;
}

void test_wire_free(struct test_wire *t)
{
    br_keyring_fini(&t->ring);
    br_scratch_fini(&t->scratch);
    bruit_cipher_openssl_close(&t->cipher);
    assert_int_equal(t->alloc.in_use, 0);
    assert_int_equal(t->memory.in_use, 0);
    free(t);
}

void test_wire_key(struct test_wire *t, uint8_t start, size_t size)
{
    uint8_t key[BRUIT_KEY_MAX];
    for (size_t i = 0; i < size; i++)
        key[i] = (uint8_t)(start + i);
    assert_int_equal(br_keyring_add(&t->ring, br_bytes(key, size)), 0);
}

int test_wire_open(struct test_wire *t, struct bruit_bytes packet)
{
    const struct br_packet_sink sink = {.context = t, .leaf = take_leaf, .drop = take_drop};
    uint8_t *copy = malloc(packet.size);
    t->leaf_count = 0;
    t->drop_count = 0;
    t->bodies_size = 0;
    if (packet.size > 0)
        memcpy(copy, packet.data, packet.size);
    int result = br_packet_open(&t->wire, &t->scratch, br_bytes(copy, packet.size), &sink, &t->info);
    free(copy);
    if (t->leaf_error == 0)
        assert_int_equal(t->info.messages, t->leaf_count);
    assert_int_equal(t->info.drops, t->drop_count);
    return result;
}

struct bruit_bytes test_wire_leaf(const struct test_wire *t, size_t index)
{
    assert_true(index < t->leaf_count);
    return br_bytes(t->bodies + t->leaves[index].offset, t->leaves[index].size);
}

size_t test_wire_build(struct test_wire *t, bool crc, const struct bruit_bytes *messages, size_t count,
                       uint8_t *buffer, size_t capacity)
{
    struct br_packet_builder builder;
    size_t size = 0;
    br_packet_begin(&builder, &t->wire, &t->scratch, buffer, capacity, crc);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(br_packet_add(&builder, messages[i]), 0);
    assert_int_equal(br_packet_finish(&builder, &size), 0);
    assert_true(size <= capacity);
    return size;
}

void test_wire_assert_dropped(const struct test_wire *t, enum bruit_drop reason)
{
    assert_int_equal(t->leaf_count, 0);
    assert_int_equal(t->drop_count, 1);
    assert_string_equal(bruit_drop_name(t->drops[0]), bruit_drop_name(reason));
}
