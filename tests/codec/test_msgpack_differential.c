/*
 * Two readers, one truth: what libmsgpack makes of random bytes, ours must make of them too.
 *
 * Objects are drawn at random in every form the format has, valid ones first, then with bytes changed or cut
 * off. Each run draws anew and prints its seed; BRUIT_TEST_SEED repeats one.
 */
#include "codec/msgpack.h"

#include "base/rng.h"
#include "hex.h"
#include "support/memory.h"

#include <msgpack.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum {
    ROUNDS = 20000,
    OBJECT_SIZE_MAX = 8192,
    NESTING_MAX = 8,
};

static struct br_rng rng;
static uint64_t first_seed;

static uint64_t random_u64(void)
{
    return br_rng_u64(&rng);
}

static uint32_t random_below(uint32_t bound)
{
    return br_rng_below(&rng, bound);
}

static int setup(void **state)
{
    (void)state;
    first_seed = test_seed();
    br_rng_init(&rng, first_seed, "msgpack");
    return 0;
}

#define CHECK(condition)                                                                            \
    do {                                                                                            \
        if (!(condition))                                                                           \
            fail_msg("seed %llu, bytes %s: %s", (unsigned long long)first_seed, to_hex(under_test), \
                     #condition);                                                                   \
    } while (0)

static struct bruit_bytes under_test;

/* ---- drawing ---- */

static void draw_number(struct br_writer *w)
{
    uint64_t value = random_u64() >> random_below(64);
    switch (random_below(10)) {
    case 0: br_write_u8(w, (uint8_t)(value & 0x7f)); break;
    case 1: br_write_u8(w, (uint8_t)(value | 0xe0)); break;
    case 2: br_write_u8(w, 0xcc), br_write_u8(w, (uint8_t)value); break;
    case 3: br_write_u8(w, 0xcd), br_write_u16(w, (uint16_t)value); break;
    case 4: br_write_u8(w, 0xce), br_write_u32(w, (uint32_t)value); break;
    case 5: br_write_u8(w, 0xcf), br_write_u64(w, value); break;
    case 6: br_write_u8(w, 0xd0), br_write_u8(w, (uint8_t)value); break;
    case 7: br_write_u8(w, 0xd1), br_write_u16(w, (uint16_t)value); break;
    case 8: br_write_u8(w, 0xd2), br_write_u32(w, (uint32_t)value); break;
    case 9: br_write_u8(w, 0xd3), br_write_u64(w, value); break;
    }
}

static void draw_payload(struct br_writer *w, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        br_write_u8(w, (uint8_t)random_u64());
}

static void draw_string(struct br_writer *w)
{
    uint32_t size = random_below(4) == 0 ? random_below(300) : random_below(32);
    static const uint8_t headers[] = {0xd9, 0xda, 0xdb, 0xc4, 0xc5, 0xc6};
    uint8_t header = headers[random_below(6)];
    if (size <= 31 && random_below(2) == 0) {
        br_write_u8(w, (uint8_t)(0xa0 | size));
    } else if (header == 0xd9 || header == 0xc4) {
        size &= 0xff;
        br_write_u8(w, header), br_write_u8(w, (uint8_t)size);
    } else if (header == 0xda || header == 0xc5) {
        br_write_u8(w, header), br_write_u16(w, (uint16_t)size);
    } else {
        br_write_u8(w, header), br_write_u32(w, size);
    }
    draw_payload(w, size);
}

static void draw_extension(struct br_writer *w)
{
    uint32_t size = random_below(40);
    switch (random_below(4)) {
    case 0:
        size = random_below(5);
        br_write_u8(w, (uint8_t)(0xd4 + size));
        size = 1u << size;
        break;
    case 1: br_write_u8(w, 0xc7), br_write_u8(w, (uint8_t)size); break;
    case 2: br_write_u8(w, 0xc8), br_write_u16(w, (uint16_t)size); break;
    case 3: br_write_u8(w, 0xc9), br_write_u32(w, size); break;
    }
    br_write_u8(w, (uint8_t)random_below(128));
    draw_payload(w, size);
}

static uint32_t draw_header(struct br_writer *w, uint8_t fixed, uint8_t wide)
{
    uint32_t count = random_below(5) == 0 ? random_below(20) : random_below(4);
    uint32_t form = random_below(6);
    if (form > 1 && count <= 15)
        br_write_u8(w, (uint8_t)(fixed | count));
    else if (form != 0)
        br_write_u8(w, wide), br_write_u16(w, (uint16_t)count);
    else
        br_write_u8(w, (uint8_t)(wide + 1)), br_write_u32(w, count);
    return count;
}

static void draw_object(struct br_writer *w, unsigned depth)
{
    uint32_t kind = random_below(depth < NESTING_MAX ? 11 : 7);
    if (br_writer_room(w) < OBJECT_SIZE_MAX / 2)
        kind = 0;
    switch (kind) {
    case 0: br_write_u8(w, (uint8_t)(random_below(3) == 0 ? 0xc0 : 0xc2 + random_below(2))); break;
    case 1:
    case 2: draw_number(w); break;
    case 3:
    case 4: draw_string(w); break;
    case 5: br_write_u8(w, 0xcb), br_write_u64(w, random_u64()); break;
    case 6:
        if (random_below(2) == 0)
            br_write_u8(w, 0xca), br_write_u32(w, (uint32_t)random_u64());
        else
            draw_extension(w);
        break;
    case 7:
    case 8:
        for (uint32_t count = draw_header(w, 0x90, 0xdc); count > 0; count--)
            draw_object(w, depth + 1);
        break;
    default:
        for (uint32_t count = draw_header(w, 0x80, 0xde); count > 0; count--) {
            draw_object(w, depth + 1);
            draw_object(w, depth + 1);
        }
    }
}

/* ---- comparing ---- */

static void compare(const msgpack_object *expected, struct br_reader *r)
{
    struct br_reader before = *r;
    struct bruit_bytes bytes;
    switch (expected->type) {
    case MSGPACK_OBJECT_NIL:
        CHECK(br_mp_peek(r) == BR_MP_NIL);
        br_mp_skip(r);
        break;
    case MSGPACK_OBJECT_BOOLEAN:
        CHECK(br_mp_peek(r) == BR_MP_BOOL);
        CHECK(br_mp_read_bool(r) == expected->via.boolean);
        break;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        CHECK(br_mp_peek(r) == BR_MP_INTEGER);
        CHECK(br_mp_read_uint(r, UINT64_MAX) == expected->via.u64);
        (void)br_mp_read_int(&before, INT64_MIN, INT64_MAX);
        CHECK(before.failed == (expected->via.u64 > INT64_MAX));
        break;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        CHECK(br_mp_peek(r) == BR_MP_INTEGER);
        CHECK(br_mp_read_int(r, INT64_MIN, INT64_MAX) == expected->via.i64);
        (void)br_mp_read_uint(&before, UINT64_MAX);
        CHECK(before.failed);
        break;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64: {
        CHECK(br_mp_peek(r) == BR_MP_FLOAT);
        double value = br_mp_read_float(r);
        CHECK(value == expected->via.f64 || (value != value && expected->via.f64 != expected->via.f64));
        break;
    }
    case MSGPACK_OBJECT_STR:
        CHECK(br_mp_peek(r) == BR_MP_STRING);
        bytes = br_mp_read_bytes(r);
        CHECK(br_bytes_equal(bytes, br_bytes(expected->via.str.ptr, expected->via.str.size)));
        break;
    case MSGPACK_OBJECT_BIN:
        CHECK(br_mp_peek(r) == BR_MP_BINARY);
        bytes = br_mp_read_bytes(r);
        CHECK(br_bytes_equal(bytes, br_bytes(expected->via.bin.ptr, expected->via.bin.size)));
        break;
    case MSGPACK_OBJECT_EXT: {
        CHECK(br_mp_peek(r) == BR_MP_EXTENSION);
        bytes = br_mp_read_raw(r);
        size_t size = expected->via.ext.size;
        CHECK(bytes.size > size);
        CHECK(br_bytes_equal(br_bytes(bytes.data + bytes.size - size, size),
                             br_bytes(expected->via.ext.ptr, size)));
        break;
    }
    case MSGPACK_OBJECT_ARRAY:
        CHECK(br_mp_peek(r) == BR_MP_ARRAY);
        CHECK(br_mp_read_array(r) == expected->via.array.size);
        for (uint32_t i = 0; i < expected->via.array.size; i++)
            compare(&expected->via.array.ptr[i], r);
        break;
    case MSGPACK_OBJECT_MAP:
        CHECK(br_mp_peek(r) == BR_MP_MAP);
        CHECK(br_mp_read_map(r) == expected->via.map.size);
        for (uint32_t i = 0; i < expected->via.map.size; i++) {
            compare(&expected->via.map.ptr[i].key, r);
            compare(&expected->via.map.ptr[i].val, r);
        }
        break;
    }
    CHECK(!r->failed);
}

/* The deepest nesting at the start of `bytes`, as far as it goes. */
static unsigned depth_of(struct bruit_bytes bytes)
{
    struct br_mp_scanner scanner;
    unsigned deepest = 0;
    br_mp_scanner_init(&scanner);
    for (size_t n = 1; n <= bytes.size; n++) {
        size_t size;
        int status = br_mp_scanner_feed(&scanner, br_bytes(bytes.data, n), &size);
        deepest = scanner.depth > deepest ? scanner.depth : deepest;
        if (status != BR_MP_MORE)
            break;
    }
    return deepest;
}

static void compare_bytes(struct bruit_bytes bytes)
{
    msgpack_unpacked unpacked;
    size_t offset = 0, size = 0;
    under_test = bytes;
    msgpack_unpacked_init(&unpacked);
    int status = br_mp_scan(bytes, &size);
    msgpack_unpack_return expected =
        msgpack_unpack_next(&unpacked, (const char *)bytes.data, bytes.size, &offset);
    if (expected == MSGPACK_UNPACK_SUCCESS) {
        CHECK(status == 0);
        CHECK(size == offset);
        struct br_reader r;
        br_reader_init(&r, bytes);
        compare(&unpacked.data, &r);
        CHECK(bytes.size - br_reader_left(&r) == size);
    } else if (expected == MSGPACK_UNPACK_CONTINUE) {
        CHECK(status == BR_MP_MORE);
    } else {
        CHECK(status == BRUIT_EFORMAT);
    }
    msgpack_unpacked_destroy(&unpacked);
}

static uint8_t object[OBJECT_SIZE_MAX + 65536];

static struct bruit_bytes draw(void)
{
    struct br_writer w;
    do {
        br_writer_init(&w, object, OBJECT_SIZE_MAX);
        draw_object(&w, 0);
    } while (w.failed);
    return br_writer_bytes(&w);
}

static void test_agrees_with_libmsgpack_on_valid_objects(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++)
        compare_bytes(draw());
}

static void test_agrees_with_libmsgpack_on_objects_cut_short(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        struct bruit_bytes whole = draw();
        compare_bytes(br_bytes(whole.data, random_below((uint32_t)whole.size + 1)));
    }
}

/*
 * Any byte may become any other. Left out: headers of 32-bit containers, for whose count libmsgpack
 * allocates at once, and more than the 31 levels that it can follow.
 */
static void test_agrees_with_libmsgpack_on_mutated_bytes(void **state)
{
    (void)state;
    int compared = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct bruit_bytes bytes = draw();
        for (uint32_t changes = 1 + random_below(4); changes > 0; changes--)
            object[random_below((uint32_t)bytes.size)] = (uint8_t)random_u64();
        if (memchr(object, 0xdd, bytes.size) != NULL || memchr(object, 0xdf, bytes.size) != NULL)
            continue;
        if (depth_of(bytes) > 30)
            continue;
        compare_bytes(bytes);
        compared++;
    }
    assert_true(compared > ROUNDS / 4);
}

/* What is written in the modern profile is what libmsgpack writes, byte for byte. */
static void test_writes_what_libmsgpack_writes(void **state)
{
    (void)state;
    static uint8_t text[70000];
    for (int i = 0; i < ROUNDS / 10; i++) {
        msgpack_sbuffer expected;
        msgpack_packer packer;
        struct br_writer w;
        static uint8_t out[4 * 70000];
        msgpack_sbuffer_init(&expected);
        msgpack_packer_init(&packer, &expected, msgpack_sbuffer_write);
        br_writer_init(&w, out, sizeof out);

        uint64_t number = random_u64() >> random_below(64);
        uint32_t count = (uint32_t)random_u64() >> random_below(32);
        size_t size = random_below(300) * (random_below(20) == 0 ? 230 : 1);
        msgpack_pack_uint64(&packer, number);
        br_mp_write_uint(&w, number);
        msgpack_pack_int64(&packer, (int64_t)number >> 1);
        br_mp_write_int(&w, (int64_t)number >> 1);
        msgpack_pack_int64(&packer, -(int64_t)(number >> 1));
        br_mp_write_int(&w, -(int64_t)(number >> 1));
        msgpack_pack_str(&packer, size);
        msgpack_pack_str_body(&packer, text, size);
        br_mp_write_str8(&w, br_bytes(text, size));
        msgpack_pack_bin(&packer, size);
        msgpack_pack_bin_body(&packer, text, size);
        br_mp_write_bin(&w, br_bytes(text, size));
        msgpack_pack_array(&packer, count);
        br_mp_write_array(&w, count);
        msgpack_pack_map(&packer, count);
        br_mp_write_map(&w, count);
        msgpack_pack_double(&packer, (double)number);
        br_mp_write_float(&w, (double)number);

        under_test = br_writer_bytes(&w);
        if (under_test.size > HEX_SIZE_MAX)
            under_test.size = 32;
        CHECK(!w.failed);
        CHECK(br_bytes_equal(br_writer_bytes(&w), br_bytes(expected.data, expected.size)));
        msgpack_sbuffer_destroy(&expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agrees_with_libmsgpack_on_valid_objects),
        cmocka_unit_test(test_agrees_with_libmsgpack_on_objects_cut_short),
        cmocka_unit_test(test_agrees_with_libmsgpack_on_mutated_bytes),
        cmocka_unit_test(test_writes_what_libmsgpack_writes),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
