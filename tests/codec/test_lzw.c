/*
 * LZW against a plain model of Go's rules, and against everything a stranger may put into a stream.
 */
#include "codec/lzw.h"

#include "base/bytes.h"
#include "base/rng.h"
#include "support/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- a model of the encoder: no hash, no packing tricks ---- */

struct model {
    uint8_t *out;
    size_t bit_count;
    unsigned width;
    unsigned highest;
    unsigned overflow;
    struct {
        unsigned string;
        uint8_t byte;
    } entries[4096];
};

static void model_put(struct model *m, unsigned code)
{
    for (unsigned i = 0; i < m->width; i++, m->bit_count++) {
        if (m->bit_count % 8 == 0)
            m->out[m->bit_count / 8] = 0;
        m->out[m->bit_count / 8] |= (uint8_t)((code >> i & 1) << m->bit_count % 8);
    }
}

static void model_reset(struct model *m)
{
    m->width = 9;
    m->highest = 257;
    m->overflow = 512;
}

/* The counter after each data code; false when the table was given up for a clear. */
static bool model_count(struct model *m)
{
    if (++m->highest == m->overflow) {
        m->width++;
        m->overflow *= 2;
    }
    if (m->highest != 4095)
        return true;
    model_put(m, 256);
    model_reset(m);
    return false;
}

static unsigned model_find(const struct model *m, unsigned string, uint8_t byte)
{
    for (unsigned code = 258; code <= m->highest; code++)
        if (m->entries[code].string == string && m->entries[code].byte == byte)
            return code;
    return 0;
}

static size_t model_encode(const uint8_t *in, size_t size, uint8_t *out)
{
    static struct model m;
    m.out = out;
    m.bit_count = 0;
    model_reset(&m);
    model_put(&m, 256);
    unsigned string = size > 0 ? in[0] : 0;
    for (size_t i = 1; i < size; i++) {
        unsigned found = model_find(&m, string, in[i]);
        if (found != 0) {
            string = found;
            continue;
        }
        model_put(&m, string);
        if (model_count(&m)) {
            m.entries[m.highest].string = string;
            m.entries[m.highest].byte = in[i];
        }
        string = in[i];
    }
    if (size > 0) {
        model_put(&m, string);
        (void)model_count(&m);
    }
    model_put(&m, 257);
    return (m.bit_count + 7) / 8;
}

/* ---- helpers ---- */

static struct br_lzw_encoder encoder;
static struct br_lzw_decoder decoder;

/* Decodes from memory that ends where the stream ends, into memory that ends where the capacity does. */
static int decode(struct bruit_bytes in, uint8_t *out, size_t capacity, size_t *size)
{
    uint8_t *in_copy = malloc(in.size == 0 ? 1 : in.size);
    uint8_t *tight = malloc(capacity == 0 ? 1 : capacity);
    if (in.size > 0)
        memcpy(in_copy, in.data, in.size);
    br_lzw_decode_begin(&decoder, br_bytes(in_copy, in.size));
    int result = br_lzw_decode(&decoder, tight, capacity);
    *size = decoder.size;
    assert_true(decoder.size <= capacity);
    memcpy(out, tight, decoder.size);
    free(tight);
    free(in_copy);
    return result;
}

static void assert_round_trip(const uint8_t *in, size_t size)
{
    uint8_t *packed = malloc(BR_LZW_BOUND(size));
    uint8_t *expected = malloc(BR_LZW_BOUND(size));
    uint8_t *out = malloc(size + 1);
    size_t packed_size = 0;
    size_t out_size = 0;
    assert_int_equal(br_lzw_encode(&encoder, br_bytes(in, size), packed, BR_LZW_BOUND(size), &packed_size),
                     0);
    size_t expected_size = model_encode(in, size, expected);
    assert_int_equal(packed_size, expected_size);
    assert_memory_equal(packed, expected, packed_size);
    assert_int_equal(decode(br_bytes(packed, packed_size), out, size, &out_size), 0);
    assert_int_equal(out_size, size);
    assert_memory_equal(out, in, size);
    free(out);
    free(expected);
    free(packed);
}

/* A stream written code by code. */
struct stream {
    uint8_t bytes[1 << 16];
    size_t bit_count;
};

static void put(struct stream *s, unsigned code, unsigned width)
{
    for (unsigned i = 0; i < width; i++, s->bit_count++) {
        if (s->bit_count % 8 == 0)
            s->bytes[s->bit_count / 8] = 0;
        s->bytes[s->bit_count / 8] |= (uint8_t)((code >> i & 1) << s->bit_count % 8);
    }
}

static struct bruit_bytes stream_bytes(const struct stream *s)
{
    return br_bytes(s->bytes, (s->bit_count + 7) / 8);
}

static struct stream stream;
static uint8_t out[1 << 20];

static void fill_noise(struct br_rng *rng, uint8_t *bytes, size_t size, uint32_t alphabet)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(br_rng_below(rng, alphabet) * 7);
}

/* ---- tests ---- */

/* Nothing at all is a clear and an end. */
/* conformance: memberlist 14 */
static void test_encodes_nothing_as_clear_and_end(void **state)
{
    uint8_t packed[8];
    size_t size = 0;
    (void)state;
    assert_int_equal(br_lzw_encode(&encoder, br_bytes(NULL, 0), packed, sizeof packed, &size), 0);
    assert_int_equal(size, 3);
    assert_memory_equal(packed, "\x00\x03\x02", 3);
    assert_int_equal(decode(br_bytes(packed, size), out, 0, &size), 0);
    assert_int_equal(size, 0);
}

/* One byte is the smallest message there can be; then every size up to where codes get wider, and beyond. */
/* conformance: memberlist 14 */
static void test_writes_what_go_writes_at_every_small_size(void **state)
{
    uint8_t bytes[1200];
    struct br_rng rng;
    (void)state;
    br_rng_init(&rng, 1, "lzw");
    fill_noise(&rng, bytes, sizeof bytes, 256);
    for (size_t size = 1; size < 300; size++)
        assert_round_trip(bytes, size);
    for (size_t size = 300; size < sizeof bytes; size += 13)
        assert_round_trip(bytes, size);
}

/*
 * Widths grow at 512, 1024 and 2048 and the table is cleared at 4095: pass each crossing one byte at a
 * time.
 */
/* conformance: memberlist 14 */
static void test_writes_what_go_writes_across_every_width_and_the_clear(void **state)
{
    static uint8_t bytes[9000];
    struct br_rng rng;
    (void)state;
    br_rng_init(&rng, 2, "lzw");
    fill_noise(&rng, bytes, sizeof bytes, 256);
    const size_t crossings[] = {254, 766, 1790, 3837, 2 * 3838, 8000};
    for (size_t i = 0; i < sizeof crossings / sizeof crossings[0]; i++)
        for (size_t size = crossings[i] - 4; size < crossings[i] + 8; size++)
            assert_round_trip(bytes, size);
}

/* Messages repeat themselves: equal bytes, short alphabets, long runs, each larger than several tables. */
static void test_writes_what_go_writes_for_repetitive_bytes(void **state)
{
    static uint8_t bytes[40000];
    struct br_rng rng;
    (void)state;
    br_rng_init(&rng, test_seed(), "lzw");
    memset(bytes, 'a', sizeof bytes);
    assert_round_trip(bytes, 1);
    assert_round_trip(bytes, 2);
    assert_round_trip(bytes, 30000);
    for (uint32_t alphabet = 1; alphabet <= 256; alphabet = alphabet * 3 + 1) {
        fill_noise(&rng, bytes, sizeof bytes, alphabet);
        assert_round_trip(bytes, (size_t)br_rng_below(&rng, 40000));
    }
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = i % 97 == 0 ? (uint8_t)(i / 97) : (uint8_t) "node-Addr\xa4\x85"[i % 11];
    assert_round_trip(bytes, sizeof bytes);
}

/*
 * The encoder's caller gives as much room as would pay off: one byte less than needed must be refused,
 * not written.
 */
static void test_encoding_stops_at_the_capacity(void **state)
{
    uint8_t bytes[500];
    uint8_t packed[BR_LZW_BOUND(500)];
    struct br_rng rng;
    size_t needed = 0;
    (void)state;
    br_rng_init(&rng, 3, "lzw");
    fill_noise(&rng, bytes, sizeof bytes, 30);
    assert_int_equal(br_lzw_encode(&encoder, br_bytes(bytes, sizeof bytes), packed, sizeof packed, &needed),
                     0);
    for (size_t capacity = 0; capacity <= needed; capacity++) {
        uint8_t *tight = malloc(capacity == 0 ? 1 : capacity);
        size_t size = 0;
        int result = br_lzw_encode(&encoder, br_bytes(bytes, sizeof bytes), tight, capacity, &size);
        assert_int_equal(result, capacity < needed ? BRUIT_ETOOBIG : 0);
        if (result == 0)
            assert_memory_equal(tight, packed, needed);
        free(tight);
    }
}

/* BR_LZW_BOUND is a promise: noise, the worst there is, keeps it. */
static void test_noise_stays_within_the_bound(void **state)
{
    static uint8_t bytes[70000];
    static uint8_t packed[BR_LZW_BOUND(70000)];
    struct br_rng rng;
    size_t size = 0;
    (void)state;
    br_rng_init(&rng, 4, "lzw");
    fill_noise(&rng, bytes, sizeof bytes, 256);
    for (size_t in_size = 0; in_size < sizeof bytes; in_size = in_size * 2 + 1)
        assert_int_equal(
            br_lzw_encode(&encoder, br_bytes(bytes, in_size), packed, BR_LZW_BOUND(in_size), &size), 0);
}

/* A writer may leave the first clear out: the decoder starts as if it had been there. */
static void test_decodes_without_a_leading_clear(void **state)
{
    size_t size = 0;
    (void)state;
    stream.bit_count = 0;
    put(&stream, 'h', 9);
    put(&stream, 'i', 9);
    put(&stream, 258, 9);
    put(&stream, 257, 9);
    assert_int_equal(decode(stream_bytes(&stream), out, sizeof out, &size), 0);
    assert_int_equal(size, 4);
    assert_memory_equal(out, "hihi", 4);
}

/* Clears may come anywhere, even one after the other; what was learned before is gone. */
/* conformance: memberlist 14 */
static void test_a_clear_forgets_everything(void **state)
{
    size_t size = 0;
    (void)state;
    stream.bit_count = 0;
    put(&stream, 256, 9);
    put(&stream, 256, 9);
    put(&stream, 'a', 9);
    put(&stream, 'b', 9);
    put(&stream, 256, 9);
    put(&stream, 'c', 9);
    put(&stream, 257, 9);
    assert_int_equal(decode(stream_bytes(&stream), out, sizeof out, &size), 0);
    assert_int_equal(size, 3);
    assert_memory_equal(out, "abc", 3);

    stream.bit_count = 0;
    put(&stream, 'a', 9);
    put(&stream, 'b', 9);
    put(&stream, 256, 9);
    put(&stream, 258, 9);
    put(&stream, 257, 9);
    assert_int_equal(decode(stream_bytes(&stream), out, sizeof out, &size), BRUIT_EFORMAT);
}

/* A code may name the very string that it completes: its last byte is its first. */
static void test_decodes_a_code_that_is_just_being_learned(void **state)
{
    size_t size = 0;
    (void)state;
    stream.bit_count = 0;
    put(&stream, 'x', 9);
    put(&stream, 258, 9); /* xx */
    put(&stream, 259, 9); /* xxx */
    put(&stream, 257, 9);
    assert_int_equal(decode(stream_bytes(&stream), out, sizeof out, &size), 0);
    assert_int_equal(size, 6);
    assert_memory_equal(out, "xxxxxx", 6);
}

static unsigned width_at(unsigned highest)
{
    return highest >= 2048 ? 12 : highest >= 1024 ? 11 : highest >= 512 ? 10 : 9;
}

/* A writer need not clear a full table: then it stays as it is, 12 bits wide, all 4096 codes in use. */
/* conformance: memberlist 14 */
static void test_a_full_table_without_a_clear_stays_as_it_is(void **state)
{
    unsigned highest = 257;
    size_t size = 0;
    size_t expected = 0;
    static uint8_t wanted[1 << 20];
    (void)state;
    stream.bit_count = 0;
    for (; highest < 4096; highest++) {
        put(&stream, highest % 256, width_at(highest));
        wanted[expected++] = (uint8_t)(highest % 256);
    }
    /* String 258 is the first two literals, 4095 the last two. */
    for (int i = 0; i < 3; i++) {
        put(&stream, 4095, 12);
        wanted[expected++] = (uint8_t)(4094 % 256);
        wanted[expected++] = (uint8_t)(4095 % 256);
        put(&stream, 258, 12);
        wanted[expected++] = (uint8_t)(257 % 256);
        wanted[expected++] = (uint8_t)(258 % 256);
        put(&stream, 'z', 12);
        wanted[expected++] = 'z';
    }
    put(&stream, 256, 12);
    put(&stream, 'y', 9);
    put(&stream, 257, 9);
    wanted[expected++] = 'y';
    assert_int_equal(decode(stream_bytes(&stream), out, sizeof out, &size), 0);
    assert_int_equal(size, expected);
    assert_memory_equal(out, wanted, expected);
}

/* The last code of all, 4095, may also be the one that is just being learned. */
static void test_learns_the_last_code_while_using_it(void **state)
{
    size_t size = 0;
    (void)state;
    stream.bit_count = 0;
    for (unsigned highest = 257; highest < 4095; highest++)
        put(&stream, 'a', width_at(highest));
    put(&stream, 4095, 12);
    put(&stream, 4095, 12);
    put(&stream, 257, 12);
    assert_int_equal(decode(stream_bytes(&stream), out, sizeof out, &size), 0);
    assert_int_equal(size, 3838 + 2 + 2);
}

/* A stream that was cut anywhere is an error, never a shorter message. */
/* conformance: memberlist 14 */
static void test_refuses_a_missing_end(void **state)
{
    uint8_t bytes[700];
    uint8_t packed[BR_LZW_BOUND(700)];
    struct br_rng rng;
    size_t packed_size = 0;
    size_t size = 0;
    (void)state;
    br_rng_init(&rng, 5, "lzw");
    fill_noise(&rng, bytes, sizeof bytes, 12);
    assert_int_equal(
        br_lzw_encode(&encoder, br_bytes(bytes, sizeof bytes), packed, sizeof packed, &packed_size), 0);
    for (size_t cut = 0; cut < packed_size; cut++)
        assert_int_equal(decode(br_bytes(packed, cut), out, sizeof out, &size), BRUIT_EFORMAT);
    assert_int_equal(decode(br_bytes(packed, packed_size), out, sizeof out, &size), 0);
}

/* What stands behind the end code is somebody else's business. */
/* conformance: memberlist 14 */
static void test_ignores_what_follows_the_end(void **state)
{
    uint8_t packed[40];
    size_t packed_size = 0;
    size_t size = 0;
    (void)state;
    memset(packed, 0xff, sizeof packed);
    assert_int_equal(br_lzw_encode(&encoder, br_bytes_text("trailing"), packed, 30, &packed_size), 0);
    assert_int_equal(decode(br_bytes(packed, sizeof packed), out, sizeof out, &size), 0);
    assert_int_equal(size, 8);
    assert_memory_equal(out, "trailing", 8);
}

/* A code above the next free one was never learned: at the very start, later, and one above the limit. */
/* conformance: memberlist 14 */
static void test_refuses_a_code_that_cannot_be(void **state)
{
    size_t size = 0;
    (void)state;
    stream.bit_count = 0;
    put(&stream, 258, 9);
    put(&stream, 257, 9);
    assert_int_equal(decode(stream_bytes(&stream), out, sizeof out, &size), BRUIT_EFORMAT);

    stream.bit_count = 0;
    put(&stream, 'a', 9);
    put(&stream, 258, 9);
    put(&stream, 260, 9);
    put(&stream, 257, 9);
    assert_int_equal(decode(stream_bytes(&stream), out, sizeof out, &size), BRUIT_EFORMAT);

    stream.bit_count = 0;
    put(&stream, 'a', 9);
    put(&stream, 258, 9);
    put(&stream, 259, 9);
    put(&stream, 257, 9);
    assert_int_equal(decode(stream_bytes(&stream), out, sizeof out, &size), 0);
}

/* The output is decoded in pieces of whatever room there is, and comes out the same as in one go. */
static void test_goes_on_in_a_larger_buffer(void **state)
{
    static uint8_t bytes[20000];
    static uint8_t packed[BR_LZW_BOUND(20000)];
    static uint8_t pieces[20000];
    struct br_rng rng;
    size_t packed_size = 0;
    int result = BRUIT_ETOOBIG;
    (void)state;
    br_rng_init(&rng, 6, "lzw");
    fill_noise(&rng, bytes, sizeof bytes, 3);
    assert_int_equal(
        br_lzw_encode(&encoder, br_bytes(bytes, sizeof bytes), packed, sizeof packed, &packed_size), 0);
    br_lzw_decode_begin(&decoder, br_bytes(packed, packed_size));
    for (size_t capacity = 0; result == BRUIT_ETOOBIG; capacity += 1 + capacity / 16) {
        assert_true(capacity <= 2 * sizeof bytes);
        result = br_lzw_decode(&decoder, pieces, capacity < sizeof pieces ? capacity : sizeof pieces);
    }
    assert_int_equal(result, 0);
    assert_int_equal(decoder.size, sizeof bytes);
    assert_memory_equal(pieces, bytes, sizeof bytes);
}

/* A bomb is refused at the very byte that no longer fits, and nothing was written behind it. */
/* conformance: memberlist 15 */
static void test_a_bomb_ends_at_the_capacity(void **state)
{
    static uint8_t bytes[100000];
    static uint8_t packed[4096];
    size_t packed_size = 0;
    size_t size = 0;
    (void)state;
    assert_int_equal(
        br_lzw_encode(&encoder, br_bytes(bytes, sizeof bytes), packed, sizeof packed, &packed_size), 0);
    assert_true(packed_size < 1000);
    assert_int_equal(decode(br_bytes(packed, packed_size), out, sizeof bytes - 1, &size), BRUIT_ETOOBIG);
    assert_int_equal(decode(br_bytes(packed, packed_size), out, sizeof bytes, &size), 0);
}

/* Any bytes at all may come: they decode or they do not, within bounds (the sanitizers look on). */
static void test_survives_noise(void **state)
{
    uint8_t noise[400];
    struct br_rng rng;
    size_t size = 0;
    (void)state;
    br_rng_init(&rng, test_seed(), "lzw");
    for (int i = 0; i < 20000; i++) {
        size_t in_size = br_rng_below(&rng, sizeof noise);
        fill_noise(&rng, noise, in_size, 256);
        noise[0] = 0; /* a clear in front and literals most of the time keep it going for a while */
        for (size_t k = 1; k < in_size; k += 9)
            noise[k] &= (uint8_t)br_rng_below(&rng, 4);
        (void)decode(br_bytes(noise, in_size), out, 2000, &size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encodes_nothing_as_clear_and_end),
        cmocka_unit_test(test_writes_what_go_writes_at_every_small_size),
        cmocka_unit_test(test_writes_what_go_writes_across_every_width_and_the_clear),
        cmocka_unit_test(test_writes_what_go_writes_for_repetitive_bytes),
        cmocka_unit_test(test_encoding_stops_at_the_capacity),
        cmocka_unit_test(test_noise_stays_within_the_bound),
        cmocka_unit_test(test_decodes_without_a_leading_clear),
        cmocka_unit_test(test_a_clear_forgets_everything),
        cmocka_unit_test(test_decodes_a_code_that_is_just_being_learned),
        cmocka_unit_test(test_a_full_table_without_a_clear_stays_as_it_is),
        cmocka_unit_test(test_learns_the_last_code_while_using_it),
        cmocka_unit_test(test_refuses_a_missing_end),
        cmocka_unit_test(test_ignores_what_follows_the_end),
        cmocka_unit_test(test_refuses_a_code_that_cannot_be),
        cmocka_unit_test(test_goes_on_in_a_larger_buffer),
        cmocka_unit_test(test_a_bomb_ends_at_the_capacity),
        cmocka_unit_test(test_survives_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
