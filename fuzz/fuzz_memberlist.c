/*
 * memberlist's leaf messages on hostile bytes: the first byte is the type, the rest the body.
 *
 * Besides not crashing: what decodes can be written, what was written decodes to the same, which written
 * again gives the same bytes; and what Go's form is read straight through, the general decoder reads alike.
 * The latter is made to run by giving the same map a wider header.
 */
#include "codec/memberlist.h"
#include "codec/msgpack.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition) \
    do {                   \
        if (!(condition))  \
            abort();       \
    } while (0)

enum {
    OUTPUT_MAX = 1 << 20,
};

static uint8_t first[OUTPUT_MAX], second[OUTPUT_MAX];

#define FIXPOINT(name, body)                                                                     \
    do {                                                                                         \
        struct br_##name message_, again_;                                                       \
        struct br_writer w_, v_;                                                                 \
        if (br_##name##_decode(&message_, (body)) != 0)                                          \
            return 0;                                                                            \
        br_writer_init(&w_, first, sizeof first);                                                \
        br_##name##_encode(&w_, &message_);                                                      \
        REQUIRE(!w_.failed);                                                                     \
        REQUIRE(br_##name##_decode(&again_, br_bytes(first + 1, br_writer_size(&w_) - 1)) == 0); \
        br_writer_init(&v_, second, sizeof second);                                              \
        br_##name##_encode(&v_, &again_);                                                        \
        REQUIRE(br_bytes_equal(br_writer_bytes(&w_), br_writer_bytes(&v_)));                     \
        return br_writer_size(&w_);                                                              \
    } while (0)

/* 0 if it does not decode, else the size of its written form in `first`. */
static size_t check(uint8_t type, struct bruit_bytes body)
{
    switch (type) {
    case BR_PING: FIXPOINT(ping, body);
    case BR_INDIRECT_PING: FIXPOINT(indirect_ping, body);
    case BR_ACK: FIXPOINT(ack, body);
    case BR_NACK: FIXPOINT(nack, body);
    case BR_SUSPECT: FIXPOINT(suspect, body);
    case BR_DEAD: FIXPOINT(dead, body);
    case BR_ALIVE: FIXPOINT(alive, body);
    case BR_ERR: FIXPOINT(err, body);
    case BR_COMPRESS: FIXPOINT(compress, body);
    default: return 0;
    }
}

static void check_user(struct bruit_bytes body)
{
    struct br_user_header header;
    size_t size = 0;
    int status = br_user_header_decode(&header, body, &size);
    REQUIRE(status != 0 || (size <= body.size && header.size <= BR_USER_SIZE_MAX));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t expected[OUTPUT_MAX];
    if (size == 0 || size > OUTPUT_MAX / 4)
        return 0;
    struct bruit_bytes body = br_bytes(data + 1, size - 1);
    if (data[0] == BR_USER)
        check_user(body);
    size_t expected_size = check(data[0], body);
    if (body.size == 0 || (body.data[0] & 0xf0) != 0x80)
        return 0;
    memcpy(expected, first, expected_size);

    /* 8n becomes de 00 0n. */
    uint8_t *wide = malloc(body.size + 2);
    if (wide == NULL)
        return 0;
    wide[0] = 0xde;
    wide[1] = 0;
    wide[2] = body.data[0] & 0x0f;
    memcpy(wide + 3, body.data + 1, body.size - 1);
    REQUIRE(check(data[0], br_bytes(wide, body.size + 2)) == expected_size);
    REQUIRE(memcmp(first, expected, expected_size) == 0);
    free(wide);
    return 0;
}
