/*
 * Stream framing: both ends against each other, in any split, and against everything that must be refused.
 */
#include "codec/frame.h"

#include "base/rng.h"
#include "support/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int set_up(void **state)
{
    *state = test_wire_new();
    return 0;
}

static int tear_down(void **state)
{
    test_wire_free(*state);
    return 0;
}

/* A message of type err: any of the five types would do. */
#define MESSAGE                  \
    br_bytes_text("\x0d\x81\xa5" \
                  "Error\xa4"    \
                  "oops")

struct outcome {
    int step;
    enum bruit_drop drop;
    bool answer;
    bool complete;
    bool sealed;
    bool compressed;
    uint8_t type;
    uint8_t body[256];
    size_t body_size;
};

/* Hands `bytes` over in pieces of `piece`, each time in new memory that ends where they do. */
static struct outcome receive_in_pieces(struct test_wire *t, struct bruit_bytes bytes, bool accepted,
                                        size_t piece)
{
    struct br_frame_reader reader;
    struct br_frame_message message;
    struct outcome o = {.step = BR_FRAME_MORE};
    br_frame_reader_init(&reader, &t->wire, &t->scratch, accepted);
    for (size_t size = 0; o.step == BR_FRAME_MORE || (o.step == BR_FRAME_MESSAGE && !o.complete);) {
        size = size + piece < bytes.size ? size + piece : bytes.size;
        uint8_t *received = malloc(size + 1);
        if (size > 0)
            memcpy(received, bytes.data, size);
        o.step = br_frame_read(&reader, br_bytes(received, size), &message);
        if (o.step == BR_FRAME_MESSAGE) {
            o.type = message.type;
            o.complete = message.complete;
            o.body_size = message.body.size;
            memcpy(o.body, message.body.data, o.body_size < sizeof o.body ? o.body_size : sizeof o.body);
        }
        free(received);
        if (size == bytes.size)
            break;
    }
    o.drop = reader.drop;
    o.answer = reader.answer;
    o.sealed = reader.sealed;
    o.compressed = reader.compressed;
    br_frame_reader_fini(&reader);
    return o;
}

static struct outcome receive(struct test_wire *t, struct bruit_bytes bytes, bool accepted)
{
    return receive_in_pieces(t, bytes, accepted, bytes.size);
}

static void assert_message(const struct outcome *o)
{
    assert_int_equal(o->step, BR_FRAME_MESSAGE);
    assert_int_equal(o->type, BR_ERR);
    assert_true(
        br_bytes_equal(br_bytes(o->body, o->body_size), br_bytes(MESSAGE.data + 1, MESSAGE.size - 1)));
}

static void assert_refused(struct test_wire *t, struct bruit_bytes bytes, enum bruit_drop drop, bool answer)
{
    for (size_t piece = 1; piece<bytes.size + 2; piece += bytes.size> 30 ? bytes.size / 3 : 1) {
        struct outcome o = receive_in_pieces(t, bytes, true, piece);
        assert_int_equal(o.step, BR_FRAME_REFUSED);
        assert_string_equal(bruit_drop_name(o.drop), bruit_drop_name(drop));
        assert_int_equal(o.answer, answer);
    }
    /* Who dialled never answers an answer. */
    assert_false(receive(t, bytes, false).answer);
}

static struct br_frame write_message(struct test_wire *t, struct bruit_bytes message, bool dialled)
{
    struct br_frame frame;
    assert_int_equal(br_frame_write(&t->wire, &t->scratch, message, dialled, &frame), 0);
    return frame;
}

/* Every configuration of the two ends, in every split: the message comes out, and as soon as it can. */
static void test_both_ends_agree_in_any_split(void **state)
{
    struct test_wire *t = *state;
    for (unsigned variant = 0; variant < 16; variant++) {
        bool dialled = variant & 1;
        t->wire.compression = variant & 2;
        t->wire.seal_version = variant >> 2 & 1;
        t->wire.label.label = variant & 4 ? br_bytes_text("blue") : br_bytes(NULL, 0);
        if (variant == 8)
            test_wire_key(t, 0, 32);
        struct br_frame frame = write_message(t, MESSAGE, dialled);
        assert_int_equal(br_frame_is_plain(&t->wire), variant < 8 && !t->wire.compression);
        for (size_t piece = 1; piece <= frame.bytes.size; piece++) {
            struct outcome o = receive_in_pieces(t, frame.bytes, dialled, piece);
            assert_message(&o);
            assert_int_equal(o.sealed, variant >= 8);
            assert_int_equal(o.compressed, t->wire.compression);
            assert_int_equal(o.complete, o.sealed || o.compressed);
        }
        for (size_t cut = 0; cut < frame.bytes.size; cut++) {
            struct outcome o = receive(t, br_bytes(frame.bytes.data, cut), dialled);
            assert_true(o.step == BR_FRAME_MORE || (o.step == BR_FRAME_MESSAGE && !o.complete));
        }
        br_frame_free(&frame, &t->alloc);
    }
}

/* Streams are always compressed when compression is on, even when that makes them longer. */
/* conformance: memberlist 13 */
static void test_compresses_streams_always(void **state)
{
    struct test_wire *t = *state;
    t->wire.compression = true;
    struct br_frame frame = write_message(t, MESSAGE, true);
    assert_int_equal(frame.bytes.data[0], BR_COMPRESS);
    assert_true(frame.bytes.size > MESSAGE.size);
    struct outcome o = receive(t, frame.bytes, true);
    assert_message(&o);
    br_frame_free(&frame, &t->alloc);
}

/*
 * The head of the compress message is written in place: it must be what the encoder of that message
 * writes.
 */
static void test_the_compress_head_is_the_encoders(void **state)
{
    struct test_wire *t = *state;
    static uint8_t message[200000];
    static uint8_t expected[BR_LZW_BOUND(200000) + 32];
    struct br_rng rng;
    br_rng_init(&rng, 7, "frame");
    for (size_t i = 0; i < sizeof message; i++)
        message[i] = i == 0 ? BR_USER : (uint8_t)br_rng_below(&rng, 256);
    t->wire.compression = true;
    /* Buf of up to 31 bytes, of up to 65535, and above. */
    const size_t sizes[] = {1, 10, 20, 25, 27, 100, 40000, 50000, 200000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct br_frame frame = write_message(t, br_bytes(message, sizes[i]), true);
        struct br_compress compress;
        struct br_writer w;
        assert_int_equal(br_compress_decode(&compress, br_bytes(frame.bytes.data + 1, frame.bytes.size - 1)),
                         0);
        br_writer_init(&w, expected, sizeof expected);
        br_compress_encode(&w, &compress);
        assert_false(w.failed);
        assert_true(br_bytes_equal(br_writer_bytes(&w), frame.bytes));
        br_frame_free(&frame, &t->alloc);
    }
}

/* A wrong, missing, unexpected or broken label: closed without a word. A cut one may still come. */
/* conformance: memberlist 16 */
static void test_closes_silently_on_a_wrong_label(void **state)
{
    struct test_wire *t = *state;
    t->wire.label.label = br_bytes_text("blue");
    assert_refused(t,
                   br_bytes_text("\xf4\x03"
                                 "red\x0dx"),
                   BRUIT_DROP_LABEL_WRONG, false);
    assert_refused(t, MESSAGE, BRUIT_DROP_LABEL_MISSING, false);
    assert_refused(t, br_bytes_text("\xf4\x00\x0dx"), BRUIT_DROP_LABEL_MALFORMED, false);
    assert_refused(t,
                   br_bytes_text("\xf4\x04"
                                 "blue\xf4\x04"
                                 "blue\x0d"),
                   BRUIT_DROP_UNKNOWN_TYPE, false);
    assert_int_equal(receive(t,
                             br_bytes_text("\xf4\x04"
                                           "blu"),
                             true)
                         .step,
                     BR_FRAME_MORE);
    t->wire.label.label = br_bytes(NULL, 0);
    assert_refused(t,
                   br_bytes_text("\xf4\x04"
                                 "blue\x0dx"),
                   BRUIT_DROP_LABEL_UNEXPECTED, false);
}

/*
 * Answers carry no label header, yet the label is authenticated in them; a header in an answer is an
 * error.
 */
/* conformance: memberlist 20 */
static void test_answers_use_the_label_without_a_header(void **state)
{
    struct test_wire *t = *state;
    test_wire_key(t, 0, 16);
    t->wire.label.label = br_bytes_text("blue");
    struct br_frame answer = write_message(t, MESSAGE, false);
    assert_int_equal(answer.bytes.data[0], BR_ENCRYPT);
    struct outcome o = receive(t, answer.bytes, false);
    assert_message(&o);
    t->wire.label.label = br_bytes_text("blux");
    o = receive(t, answer.bytes, false);
    assert_int_equal(o.drop, BRUIT_DROP_UNDECRYPTABLE);
    br_frame_free(&answer, &t->alloc);

    t->wire.label.label = br_bytes_text("blue");
    t->wire.verify_incoming = false;
    o = receive(t,
                br_bytes_text("\xf4\x04"
                              "blue\x0d\x80"),
                false);
    assert_int_equal(o.drop, BRUIT_DROP_UNKNOWN_TYPE);
}

/* The five bytes before the envelope are authenticated with it, and so is every byte of the envelope. */
/* conformance: memberlist 20, 21 */
static void test_refuses_a_frame_with_any_bit_flipped(void **state)
{
    struct test_wire *t = *state;
    test_wire_key(t, 0, 16);
    struct br_frame frame = write_message(t, MESSAGE, true);
    uint8_t bytes[200];
    memcpy(bytes, frame.bytes.data, frame.bytes.size);
    for (size_t bit = 8 * 5; bit < 8 * frame.bytes.size; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct outcome o = receive(t, br_bytes(bytes, frame.bytes.size), true);
        assert_int_equal(o.step, BR_FRAME_REFUSED);
        assert_int_equal(o.drop, BRUIT_DROP_UNDECRYPTABLE);
        assert_true(o.answer);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    /* Another length, with as many bytes there: the tag covers the five bytes before the envelope. */
    bytes[4]--;
    assert_int_equal(receive(t, br_bytes(bytes, frame.bytes.size), true).drop, BRUIT_DROP_UNDECRYPTABLE);
    br_frame_free(&frame, &t->alloc);
}

/*
 * Plain streams to a member with keys are answered with an error, unless it is migrating; sealed ones
 * that fail always.
 */
/* conformance: memberlist 22 */
static void test_verify_incoming_decides_about_plain_streams_only(void **state)
{
    struct test_wire *t = *state;
    uint8_t bad[5 + 40] = {BR_ENCRYPT, 0, 0, 0, 40, 1};
    test_wire_key(t, 0, 16);
    assert_refused(t, MESSAGE, BRUIT_DROP_NOT_SEALED, true);
    assert_refused(t, br_bytes(bad, sizeof bad), BRUIT_DROP_UNDECRYPTABLE, true);
    t->wire.verify_incoming = false;
    struct outcome o = receive(t, MESSAGE, true);
    assert_message(&o);
    assert_refused(t, br_bytes(bad, sizeof bad), BRUIT_DROP_UNDECRYPTABLE, true);
}

/* A sealed stream reaches a member without keys: it says so. */
static void test_answers_a_sealed_stream_without_keys(void **state)
{
    struct test_wire *t = *state;
    assert_refused(t, br_bytes_text("\x0a\x00\x00\x00\x1d\x01"), BRUIT_DROP_SEALED_WITHOUT_KEYS, true);
}

/* 20 MiB may be announced; one byte more is refused before any of it is there. */
/* conformance: memberlist 23 */
static void test_refuses_a_frame_above_20_mib_before_reading_it(void **state)
{
    struct test_wire *t = *state;
    test_wire_key(t, 0, 16);
    assert_refused(t, br_bytes_text("\x0a\x01\x40\x00\x01"), BRUIT_DROP_FRAME_TOO_BIG, true);
    assert_refused(t, br_bytes_text("\x0a\xff\xff\xff\xff"), BRUIT_DROP_FRAME_TOO_BIG, true);
    assert_int_equal(receive(t, br_bytes_text("\x0a\x01\x40\x00\x00"), true).step, BR_FRAME_MORE);
    assert_true(t->alloc.peak < 4096);
}

/* The largest frame there may be is read, and a larger one not written. */
/* conformance: memberlist 23 */
static void test_carries_a_frame_of_exactly_20_mib(void **state)
{
    struct test_wire *t = *state;
    size_t size = BR_FRAME_SIZE_MAX - BR_SEAL_OVERHEAD_V1;
    uint8_t *message = calloc(1, size + 1);
    struct br_frame_reader reader;
    struct br_frame_message got;
    struct br_frame frame;
    test_wire_key(t, 0, 16);
    message[0] = BR_USER;
    frame = write_message(t, br_bytes(message, size), true);
    assert_int_equal(frame.bytes.size, 5 + BR_FRAME_SIZE_MAX);
    br_frame_reader_init(&reader, &t->wire, &t->scratch, true);
    assert_int_equal(br_frame_read(&reader, br_bytes(frame.bytes.data, 5), &got), BR_FRAME_MORE);
    assert_int_equal(br_frame_expected(&reader), frame.bytes.size);
    assert_int_equal(br_frame_read(&reader, frame.bytes, &got), BR_FRAME_MESSAGE);
    assert_int_equal(got.body.size, size - 1);
    br_frame_reader_fini(&reader);
    br_frame_free(&frame, &t->alloc);
    assert_int_equal(br_frame_write(&t->wire, &t->scratch, br_bytes(message, size + 1), true, &frame),
                     BRUIT_ETOOBIG);
    free(message);
}

/*
 * Length 29 with a valid tag and nothing inside crashed members; version 0 with a block of padding alone
 * is the same.
 */
/* conformance: memberlist 24 */
static void test_answers_an_empty_plaintext_with_an_error(void **state)
{
    struct test_wire *t = *state;
    test_wire_key(t, 0, 16);
    for (uint8_t version = 0; version <= 1; version++) {
        uint8_t bytes[5 + 64] = {BR_ENCRYPT};
        size_t size = br_seal_size(version, 0);
        bytes[4] = (uint8_t)size;
        assert_int_equal(br_seal(&t->ring, version, t->nonce, br_bytes(bytes, 5), bytes + 5, 0), 0);
        assert_refused(t, br_bytes(bytes, 5 + size), BRUIT_DROP_EMPTY, true);
    }
}

/* Compressed streams that cannot be expanded are answered, whether sealed or not. */
static void test_answers_broken_compression_with_an_error(void **state)
{
    struct test_wire *t = *state;
    struct {
        struct bruit_bytes bytes;
        enum bruit_drop drop;
    } cases[] = {
        {br_bytes_text("\x09\x82\xa4"
                       "Algo\x00\xa3"
                       "Buf\xa3\x00\x03\x02"),
         BRUIT_DROP_EMPTY},
        {br_bytes_text("\x09\x82\xa4"
                       "Algo\x01\xa3"
                       "Buf\xa3\x00\x03\x02"),
         BRUIT_DROP_COMPRESS_ALGO},
        {br_bytes_text("\x09\x82\xa4"
                       "Algo\x00\xa3"
                       "Buf\xa2\x00\x03"),
         BRUIT_DROP_COMPRESS_BROKEN},
        {br_bytes_text("\x09\xc1"), BRUIT_DROP_MALFORMED},
    };
    for (int sealed = 0; sealed < 2; sealed++) {
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            struct br_frame frame = write_message(t, cases[i].bytes, true);
            assert_refused(t, frame.bytes, cases[i].drop, true);
            br_frame_free(&frame, &t->alloc);
        }
        test_wire_key(t, 0, 16);
    }
    /* Sealed, a map that is cut short will never be longer. */
    struct br_frame frame = write_message(t,
                                          br_bytes_text("\x09\x82\xa4"
                                                        "Algo"),
                                          true);
    assert_refused(t, frame.bytes, BRUIT_DROP_MALFORMED, true);
    br_frame_free(&frame, &t->alloc);
}

/*
 * One compress layer is taken off a stream, not two; other containers and unknown types are closed
 * without a word.
 */
static void test_closes_silently_on_unknown_types(void **state)
{
    struct test_wire *t = *state;
    for (unsigned type = 0; type < 256; type++) {
        uint8_t bytes[] = {(uint8_t)type, 0x80, 0, 0, 0, 0};
        struct outcome o = receive(t, br_bytes(bytes, sizeof bytes), true);
        if (type == BR_PING || type == BR_ACK || type == BR_PUSHPULL || type == BR_USER || type == BR_ERR ||
            type == BR_HEARTBEAT) {
            assert_int_equal(o.step, BR_FRAME_MESSAGE);
            assert_int_equal(o.type, type);
        } else if (type != BR_COMPRESS && type != BR_ENCRYPT && type != BR_HAS_LABEL) {
            assert_int_equal(o.step, BR_FRAME_REFUSED);
            assert_int_equal(o.drop, BRUIT_DROP_UNKNOWN_TYPE);
            assert_false(o.answer);
        }
    }
    t->wire.compression = true;
    struct br_frame once = write_message(t, MESSAGE, true);
    struct br_frame twice = write_message(t, once.bytes, true);
    assert_refused(t, twice.bytes, BRUIT_DROP_UNKNOWN_TYPE, false);
    br_frame_free(&once, &t->alloc);
    br_frame_free(&twice, &t->alloc);
}

/*
 * A browser and a TLS client on the gossip port: named, closed, not answered; with keys and label or
 * without.
 */
static void test_recognises_http_and_tls(void **state)
{
    struct test_wire *t = *state;
    for (int round = 0; round < 3; round++) {
        assert_refused(t, br_bytes_text("GET / HTTP/1.1\r\n\r\n"), BRUIT_DROP_FOREIGN_HTTP, false);
        assert_refused(t, br_bytes_text("HEAD"), BRUIT_DROP_FOREIGN_HTTP, false);
        assert_refused(t, br_bytes_text("\x16\x03\x01\x02\x00\x01"), BRUIT_DROP_FOREIGN_TLS, false);
        if (round == 0)
            test_wire_key(t, 0, 16);
        if (round == 1)
            t->wire.label.label = br_bytes_text("blue");
    }
    assert_int_equal(receive(t, br_bytes_text("GE"), true).step, BR_FRAME_MORE);
    t->wire.label.label = br_bytes(NULL, 0);
    t->wire.verify_incoming = false;
    assert_refused(t, br_bytes_text("GETTING"), BRUIT_DROP_UNKNOWN_TYPE, false);
}

/* The err answer goes out as everything else does, compressed and sealed, with the sentence of the reason. */
/* conformance: memberlist 32 */
static void test_writes_error_answers_that_the_other_side_reads(void **state)
{
    struct test_wire *t = *state;
    for (unsigned variant = 0; variant < 4; variant++) {
        struct br_frame frame;
        struct br_err err;
        t->wire.compression = variant & 1;
        if (variant == 2)
            test_wire_key(t, 0, 16);
        for (unsigned reason = 0; reason < BRUIT_DROP_COUNT; reason++) {
            assert_int_equal(br_frame_write_error(&t->wire, &t->scratch, (enum bruit_drop)reason, &frame), 0);
            struct outcome o = receive(t, frame.bytes, false);
            assert_int_equal(o.step, BR_FRAME_MESSAGE);
            assert_int_equal(o.type, BR_ERR);
            assert_int_equal(o.sealed, variant >= 2);
            assert_int_equal(br_err_decode(&err, br_bytes(o.body, o.body_size)), 0);
            assert_true(br_bytes_equal(err.error, br_bytes_string(bruit_drop_text((enum bruit_drop)reason))));
            br_frame_free(&frame, &t->alloc);
        }
    }
}

/*
 * 40 MiB of nothing, sealed by somebody with the key or not: refused at the limit, answered, and given
 * back.
 */
/* conformance: memberlist 15 */
static void test_refuses_a_bomb_with_bounded_memory(void **state)
{
    struct test_wire *t = *state;
    size_t size = BR_STREAM_INFLATE_MAX + 1;
    uint8_t *packed = malloc(1 << 17);
    uint8_t *bomb = calloc(1, size);
    struct br_writer w;
    size_t packed_size = 0;
    assert_int_equal(
        br_lzw_encode(br_scratch_encoder(&t->scratch), br_bytes(bomb, size), packed, 1 << 17, &packed_size),
        0);
    struct br_compress compress = {.buf = br_bytes(packed, packed_size)};
    br_writer_init(&w, bomb, size);
    br_compress_encode(&w, &compress);
    struct outcome o = receive(t, br_writer_bytes(&w), true);
    assert_int_equal(o.drop, BRUIT_DROP_COMPRESS_BOMB);
    assert_true(o.answer);
    assert_true(t->alloc.peak <= BR_STREAM_INFLATE_MAX + 100000);
    assert_true(t->alloc.in_use < 100000);
    free(bomb);
    free(packed);
}

/* Plain streams have no length of their own: ours ends them at 40 MiB, compressed or not. */
static void test_bounds_plain_streams(void **state)
{
    struct test_wire *t = *state;
    size_t size = BR_STREAM_SIZE_MAX + 1;
    uint8_t *stream = calloc(1, size);
    stream[0] = BR_PUSHPULL;
    struct outcome o = receive(t, br_bytes(stream, size - 1), true);
    assert_int_equal(o.step, BR_FRAME_MESSAGE);
    o = receive(t, br_bytes(stream, size), true);
    assert_int_equal(o.drop, BRUIT_DROP_STREAM_TOO_BIG);
    memcpy(stream,
           "\x09\x82\xa3"
           "Buf\xdb\xff\xff\xff\xff",
           11);
    assert_int_equal(receive(t, br_bytes(stream, size - 1), true).step, BR_FRAME_MORE);
    assert_int_equal(receive(t, br_bytes(stream, size), true).drop, BRUIT_DROP_STREAM_TOO_BIG);
    free(stream);
}

/* Memory runs out, at each allocation in turn: the call says so, nothing leaks, and a later try works. */
static void test_survives_every_allocation_failing(void **state)
{
    struct test_wire *t = *state;
    test_wire_key(t, 0, 16);
    t->wire.compression = true;
    struct br_frame good = write_message(t, MESSAGE, true);
    int read_failures = 0;
    int write_failures = 0;
    for (uint64_t nth = 1; nth <= 10; nth++) {
        struct br_frame frame;
        br_scratch_fini(&t->scratch);
        t->memory.fail_at = t->memory.count + nth;
        struct outcome o = receive(t, good.bytes, true);
        assert_true(o.step == BR_FRAME_MESSAGE || o.step == BRUIT_ENOMEM);
        read_failures += o.step == BRUIT_ENOMEM;
        br_scratch_fini(&t->scratch);
        t->memory.fail_at = t->memory.count + nth;
        int error = br_frame_write(&t->wire, &t->scratch, MESSAGE, true, &frame);
        t->memory.fail_at = 0;
        assert_true(error == 0 || error == BRUIT_ENOMEM);
        write_failures += error != 0;
        if (error == 0)
            assert_int_equal(frame.bytes.size, good.bytes.size);
        br_frame_free(&frame, &t->alloc);
    }
    assert_true(read_failures >= 3);  /* the opened frame, the decoder, the expanded message */
    assert_true(write_failures >= 2); /* the encoder, the frame */
    br_frame_free(&good, &t->alloc);
}

/* No nonce, no frame. */
static void test_does_not_send_without_entropy(void **state)
{
    struct test_wire *t = *state;
    struct br_frame frame;
    test_wire_key(t, 0, 16);
    t->entropy_error = BRUIT_EIO;
    assert_int_equal(br_frame_write(&t->wire, &t->scratch, MESSAGE, true, &frame), BRUIT_EIO);
    assert_null(frame.memory.data);
}

int main(void)
{
#define WITH_WIRE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_WIRE(test_both_ends_agree_in_any_split),
        WITH_WIRE(test_compresses_streams_always),
        WITH_WIRE(test_the_compress_head_is_the_encoders),
        WITH_WIRE(test_closes_silently_on_a_wrong_label),
        WITH_WIRE(test_answers_use_the_label_without_a_header),
        WITH_WIRE(test_refuses_a_frame_with_any_bit_flipped),
        WITH_WIRE(test_verify_incoming_decides_about_plain_streams_only),
        WITH_WIRE(test_answers_a_sealed_stream_without_keys),
        WITH_WIRE(test_refuses_a_frame_above_20_mib_before_reading_it),
        WITH_WIRE(test_carries_a_frame_of_exactly_20_mib),
        WITH_WIRE(test_answers_an_empty_plaintext_with_an_error),
        WITH_WIRE(test_answers_broken_compression_with_an_error),
        WITH_WIRE(test_closes_silently_on_unknown_types),
        WITH_WIRE(test_recognises_http_and_tls),
        WITH_WIRE(test_writes_error_answers_that_the_other_side_reads),
        WITH_WIRE(test_refuses_a_bomb_with_bounded_memory),
        WITH_WIRE(test_bounds_plain_streams),
        WITH_WIRE(test_survives_every_allocation_failing),
        WITH_WIRE(test_does_not_send_without_entropy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
