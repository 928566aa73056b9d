/*
 * MessagePack: which bytes the writer chooses, which the reader accepts, and how far it trusts what it is
 * told.
 */
#include "codec/msgpack.h"

#include "hex.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static uint8_t buffer[HEX_SIZE_MAX];

static struct br_writer new_writer(void)
{
    struct br_writer w;
    br_writer_init(&w, buffer, sizeof buffer);
    return w;
}

static struct br_reader reader_of(const char *text)
{
    struct br_reader r;
    br_reader_init(&r, hex(text));
    return r;
}

/* ---- writing ---- */

/* Peers compare nothing, but golden bytes do: each number must take the smallest unsigned form. */
static void test_writes_numbers_in_their_smallest_form(void **state)
{
    (void)state;
    static const struct {
        uint64_t value;
        const char *bytes;
    } rows[] = {
        {0, "00"},
        {127, "7f"},
        {128, "cc80"},
        {255, "ccff"},
        {256, "cd0100"},
        {65535, "cdffff"},
        {65536, "ce00010000"},
        {UINT32_MAX, "ceffffffff"},
        {UINT64_C(4294967296), "cf0000000100000000"},
        {UINT64_MAX, "cfffffffffffffffff"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct br_writer w = new_writer();
        br_mp_write_uint(&w, rows[i].value);
        assert_string_equal(written(&w), rows[i].bytes);
    }
}

static void test_writes_negative_numbers_in_their_smallest_form(void **state)
{
    (void)state;
    static const struct {
        int64_t value;
        const char *bytes;
    } rows[] = {
        {200, "ccc8"},
        {-1, "ff"},
        {-32, "e0"},
        {-33, "d0df"},
        {-128, "d080"},
        {-129, "d1ff7f"},
        {-32768, "d18000"},
        {-32769, "d2ffff7fff"},
        {INT32_MIN, "d280000000"},
        {INT64_MIN, "d38000000000000000"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct br_writer w = new_writer();
        br_mp_write_int(&w, rows[i].value);
        assert_string_equal(written(&w), rows[i].bytes);
    }
}

/*
 * A name of 32 bytes is where the old spec leaves modern MessagePack: da and two bytes, where d9 is shorter.
 */
/* conformance: memberlist 2 */
/* conformance: serf 5 */
static void test_writes_long_strings_the_old_way(void **state)
{
    (void)state;
    uint8_t text[65536];
    memset(text, 'x', sizeof text);
    static const struct {
        size_t size;
        const char *header;
    } rows[] = {{0, "a0"}, {31, "bf"}, {32, "da0020"}, {255, "da00ff"}, {256, "da0100"}, {65535, "daffff"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct br_writer w;
        uint8_t out[65540];
        br_writer_init(&w, out, sizeof out);
        br_mp_write_str(&w, br_bytes(text, rows[i].size));
        assert_false(w.failed);
        size_t header_size = br_writer_size(&w) - rows[i].size;
        assert_string_equal(to_hex(br_bytes(out, header_size)), rows[i].header);
        assert_memory_equal(out + header_size, text, rows[i].size);
    }
    struct br_writer w;
    static uint8_t large[65536 + 5];
    br_writer_init(&w, large, sizeof large);
    br_mp_write_str(&w, br_bytes(text, sizeof text));
    assert_string_equal(to_hex(br_bytes(large, 5)), "db00010000");
}

/* The RPC speaks the modern profile: text has d9, bytes are of the bin family, and nil is not empty. */
static void test_writes_the_modern_profile_for_rpc(void **state)
{
    (void)state;
    uint8_t text[256] = {0};
    struct br_writer w = new_writer();
    br_mp_write_str8(&w, br_bytes(text, 31));
    br_mp_write_str8(&w, br_bytes(text, 32));
    br_mp_write_str8(&w, br_bytes(text, 256));
    assert_int_equal(buffer[0], 0xbf);
    assert_string_equal(to_hex(br_bytes(buffer + 32, 2)), "d920");
    assert_string_equal(to_hex(br_bytes(buffer + 66, 3)), "da0100");
    w = new_writer();
    br_mp_write_bin(&w, br_bytes(NULL, 0));
    br_mp_write_bin(&w, br_bytes(text, 0));
    br_mp_write_bin(&w, br_bytes(text, 1));
    assert_string_equal(written(&w), "c0c400c40100");
    w = new_writer();
    br_mp_write_bin(&w, br_bytes(text, 256));
    assert_string_equal(to_hex(br_bytes(buffer, 3)), "c50100");
}

static void test_writes_containers_in_their_smallest_form(void **state)
{
    (void)state;
    struct br_writer w = new_writer();
    br_mp_write_array(&w, 15);
    br_mp_write_array(&w, 16);
    br_mp_write_array(&w, 65536);
    br_mp_write_map(&w, 15);
    br_mp_write_map(&w, 16);
    br_mp_write_map(&w, 65536);
    assert_string_equal(written(&w), "9fdc0010dd000100008fde0010df00010000");
}

/* A writer without room must say so, and must never have written beyond its end. */
static void test_a_full_writer_fails_and_keeps_within_its_bounds(void **state)
{
    (void)state;
    uint8_t small[4] = {0xee, 0xee, 0xee, 0xee};
    struct br_writer w;
    br_writer_init(&w, small, 3);
    br_mp_write_uint(&w, 65536);
    assert_true(w.failed);
    assert_int_equal(small[3], 0xee);
}

/* ---- reading ---- */

/* New Go codecs write 200 as d1 00 c8, old ones as cc c8; a C peer might choose any width. All are 200. */
/* conformance: memberlist 6 */
static void test_reads_numbers_of_any_width_and_sign(void **state)
{
    (void)state;
    static const char *const forms[] = {"ccc8",   "cd00c8",     "ce000000c8",        "cf00000000000000c8",
                                        "d100c8", "d2000000c8", "d300000000000000c8"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct br_reader r = reader_of(forms[i]);
        assert_int_equal(br_mp_read_uint(&r, 255), 200);
        assert_false(r.failed);
        r = reader_of(forms[i]);
        assert_int_equal(br_mp_read_int(&r, -1000, 1000), 200);
        assert_false(r.failed);
    }
}

/* An unsigned field with a negative number, or one beyond its width, spoils the message. */
/* conformance: memberlist 6 */
static void test_refuses_numbers_that_do_not_fit(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        uint64_t max;
    } rows[] = {
        {"cd0100", 255},       /* 256 for a u8 */
        {"ce00010000", 65535}, /* 65536 for a u16 */
        {"cf0000000100000000", UINT32_MAX},
        {"ff", UINT64_MAX}, /* -1 in every form */
        {"d0ff", UINT64_MAX},
        {"d1ffff", UINT64_MAX},
        {"d2ffffffff", UINT64_MAX},
        {"d3ffffffffffffffff", UINT64_MAX},
        {"cb3ff0000000000000", 9}, /* a float */
        {"a131", 9},               /* text */
        {"c3", 9},                 /* a bool */
        {"c1", 9},
        {"cd01", 65535}, /* cut short */
        {"", 9},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct br_reader r = reader_of(rows[i].bytes);
        assert_int_equal(br_mp_read_uint(&r, rows[i].max), 0);
        assert_true(r.failed);
    }
    struct br_reader r = reader_of("cf8000000000000000"); /* 2^63 for a signed field */
    assert_int_equal(br_mp_read_int(&r, INT64_MIN, INT64_MAX), 0);
    assert_true(r.failed);
    r = reader_of("ccc8");
    assert_int_equal(br_mp_read_int(&r, -100, 199), 0);
    assert_true(r.failed);
}

/* conformance: memberlist 3 */
static void test_nil_and_empty_read_alike(void **state)
{
    (void)state;
    static const char *const forms[] = {"c0",         "a0",   "d900",   "da0000",
                                        "db00000000", "c400", "c50000", "c600000000"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct br_reader r = reader_of(forms[i]);
        assert_int_equal(br_mp_read_bytes(&r).size, 0);
        assert_false(r.failed);
        assert_int_equal(br_reader_left(&r), 0);
    }
    struct br_writer w = new_writer();
    br_mp_write_bytes(&w, br_bytes("", 0));
    assert_string_equal(written(&w), "c0");
}

/* conformance: serf 3 */
static void test_reads_strings_of_any_family(void **state)
{
    (void)state;
    static const char *const forms[] = {"a3616263",   "d903616263",   "da0003616263",    "db00000003616263",
                                        "c403616263", "c50003616263", "c600000003616263"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct br_reader r = reader_of(forms[i]);
        assert_true(br_bytes_equal(br_mp_read_bytes(&r), br_bytes_text("abc")));
        assert_false(r.failed);
    }
    static const char *const wrong[] = {"80",   "93010203",    "05", "c3", "cb0000000000000000",
                                        "a361", "db7fffffff61"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct br_reader r = reader_of(wrong[i]);
        assert_int_equal(br_mp_read_bytes(&r).size, 0);
        assert_true(r.failed);
    }
}

static void test_reads_bools_and_the_integers_that_stand_for_them(void **state)
{
    (void)state;
    struct br_reader r = reader_of("c2 c3 00 01 c0 cc01");
    assert_false(br_mp_read_bool(&r));
    assert_true(br_mp_read_bool(&r));
    assert_false(br_mp_read_bool(&r));
    assert_true(br_mp_read_bool(&r));
    assert_false(br_mp_read_bool(&r));
    assert_true(br_mp_read_bool(&r));
    assert_false(r.failed);
    r = reader_of("02");
    (void)br_mp_read_bool(&r);
    assert_true(r.failed);
}

static void test_reads_floats_of_both_sizes_and_integers(void **state)
{
    (void)state;
    struct br_reader r = reader_of("cb3ff8000000000000 ca3fc00000 02 ff c0");
    assert_true(br_mp_read_float(&r) == 1.5);
    assert_true(br_mp_read_float(&r) == 1.5);
    assert_true(br_mp_read_float(&r) == 2.0);
    assert_true(br_mp_read_float(&r) == -1.0);
    assert_true(br_mp_read_float(&r) == 0.0);
    assert_false(r.failed);
}

/*
 * Five bytes that announce four billion elements: believing them is how the old Go codec runs out of memory.
 */
static void test_never_believes_a_count_beyond_the_bytes_left(void **state)
{
    (void)state;
    struct br_reader r = reader_of("ddffffffff01");
    assert_int_equal(br_mp_read_array(&r), 0);
    assert_true(r.failed);
    r = reader_of("9301 02"); /* three announced, two there */
    assert_int_equal(br_mp_read_array(&r), 0);
    assert_true(r.failed);
    r = reader_of("82 01 02 03"); /* two pairs announced, one and a half there */
    assert_int_equal(br_mp_read_map(&r), 0);
    assert_true(r.failed);
    r = reader_of("82 01 02 03 04");
    assert_int_equal(br_mp_read_map(&r), 2);
}

/* Every kind of value, nested, is one value to a skip. */
static void test_skips_one_value_of_any_kind(void **state)
{
    (void)state;
    static const char *const values[] = {
        "05",
        "e5",
        "c0",
        "c2",
        "c3",
        "c40161",
        "c5000161",
        "c60000000161",
        "c7020561 62",
        "c800020561 62",
        "c9000000020561 62",
        "ca00000000",
        "cb0000000000000000",
        "cc01",
        "cd0001",
        "ce00000001",
        "cf0000000000000001",
        "d001",
        "d10001",
        "d200000001",
        "d30000000000000001",
        "d40501",
        "d5050102",
        "d60501020304",
        "d7050102030405060708",
        "d80501020304050607080102030405060708",
        "d90161",
        "da000161",
        "db0000000161",
        "9201 9101",
        "dc0001c0",
        "dd00000001c0",
        "8101 8101 02",
        "de00010102",
        "df000000010102",
        "90",
        "80",
        "a0",
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char text[128];
        (void)snprintf(text, sizeof text, "%s 07", values[i]);
        struct br_reader r = reader_of(text);
        br_mp_skip(&r);
        assert_int_equal(br_mp_read_uint(&r, 255), 7);
        assert_false(r.failed);
        assert_int_equal(br_reader_left(&r), 0);
    }
    struct br_reader r = reader_of("c1 07");
    br_mp_skip(&r);
    assert_true(r.failed);
}

/*
 * A packet of 64 KiB of "array of one" is 65,535 levels deep: followed with recursion it is a stack
 * overflow.
 */
/* conformance: memberlist 7 */
static void test_refuses_nesting_beyond_the_limit(void **state)
{
    (void)state;
    static uint8_t deep[65536];
    memset(deep, 0x91, sizeof deep);
    deep[BR_MP_DEPTH_MAX] = 0x07;
    struct br_reader r;
    br_reader_init(&r, br_bytes(deep, BR_MP_DEPTH_MAX + 1));
    br_mp_skip(&r);
    assert_false(r.failed);
    deep[BR_MP_DEPTH_MAX] = 0x91;
    deep[BR_MP_DEPTH_MAX + 1] = 0x07;
    br_reader_init(&r, br_bytes(deep, BR_MP_DEPTH_MAX + 2));
    br_mp_skip(&r);
    assert_true(r.failed);
    deep[BR_MP_DEPTH_MAX + 1] = 0x91;
    br_reader_init(&r, br_bytes(deep, sizeof deep));
    br_mp_skip(&r);
    assert_true(r.failed);
}

/* ---- growing input ---- */

/* A stream that trickles: at every byte but the last there is more to come, and the last one ends it. */
static void test_scanner_says_more_until_the_last_byte(void **state)
{
    (void)state;
    struct bruit_bytes whole = hex("83 a161 93 01 cd0102 da0003616263 a162 81 c0 c40102 a163 d505aabb");
    struct br_mp_scanner scanner;
    size_t size = 0;
    br_mp_scanner_init(&scanner);
    for (size_t n = 0; n < whole.size; n++)
        assert_int_equal(br_mp_scanner_feed(&scanner, br_bytes(whole.data, n), &size), BR_MP_MORE);
    assert_int_equal(br_mp_scanner_feed(&scanner, whole, &size), 0);
    assert_int_equal(size, whole.size);
    for (size_t n = 0; n < whole.size; n++)
        assert_int_equal(br_mp_scan(br_bytes(whole.data, n), &size), BR_MP_MORE);
}

static void test_scanner_stops_at_the_end_of_the_first_value(void **state)
{
    (void)state;
    size_t size = 0;
    assert_int_equal(br_mp_scan(hex("8101 9102 ffff"), &size), 0);
    assert_int_equal(size, 4);
    assert_int_equal(br_mp_scan(hex("9101c1"), &size), 0);
    assert_int_equal(br_mp_scan(hex("91c1"), &size), BRUIT_EFORMAT);
}

/* ---- structs ---- */

struct sample {
    uint32_t number;
    struct bruit_bytes text;
    bool flag;
    struct br_mp_list list;
};

static const struct br_mp_field sample_fields[] = {
    BR_MP_FIELD(struct sample, flag, "Flag", BR_MP_FLAG, 2, true),
    BR_MP_FIELD(struct sample, list, "List", BR_MP_LIST, 3, false),
    BR_MP_FIELD(struct sample, number, "Number", BR_MP_U32, 0, false),
    BR_MP_FIELD(struct sample, text, "Text", BR_MP_TEXT, 1, false),
};

static bool read_sample(const char *text, struct sample *out)
{
    struct br_reader r = reader_of(text);
    memset(out, 0xee, sizeof *out);
    br_mp_read_struct(&r, sample_fields, 4, out);
    return !r.failed;
}

/* The whole struct as an array in declaration order: real agents accept it, so somebody may send it. */
static void test_reads_a_struct_given_as_an_array(void **state)
{
    (void)state;
    struct sample s;
    assert_true(read_sample("94 05 a161 c3 920102", &s));
    assert_int_equal(s.number, 5);
    assert_true(br_bytes_equal(s.text, br_bytes_text("a")));
    assert_true(s.flag);
    assert_int_equal(s.list.count, 2);
    assert_true(read_sample("92 05 a161", &s)); /* shorter: the rest is zero */
    assert_false(s.flag);
    assert_int_equal(s.list.count, 0);
    assert_true(read_sample("95 05 a161 c3 90 8101", &s) == false);
    assert_true(read_sample("95 05 a161 c3 90 810102", &s)); /* longer: the rest is skipped */
    assert_true(read_sample("dc0002 05 a161", &s));
}

static void test_reads_a_struct_with_keys_in_any_order(void **state)
{
    (void)state;
    struct sample s;
    assert_true(read_sample("83 a454657874 a161 a64e756d626572 07 a4466c6167 c3", &s));
    assert_int_equal(s.number, 7);
    assert_true(s.flag);
    assert_true(br_bytes_equal(s.text, br_bytes_text("a")));
}

/* Missing, nil, and a nil in place of the whole map: zero values. Twice the same key: the last one counts. */
static void test_missing_and_nil_fields_are_zero_and_duplicates_override(void **state)
{
    (void)state;
    struct sample s;
    assert_true(read_sample("80", &s));
    assert_int_equal(s.number, 0);
    assert_true(read_sample("c0", &s));
    assert_int_equal(s.text.size, 0);
    assert_true(read_sample("82 a64e756d626572 c0 a44c697374 c0", &s));
    assert_int_equal(s.number, 0);
    assert_null(s.list.items.data);
    assert_true(read_sample("82 a64e756d626572 05 a64e756d626572 06", &s));
    assert_int_equal(s.number, 6);
    assert_false(read_sample("82 a64e756d626572 a0 a64e756d626572 06", &s)); /* but the first must be valid */
}

static void test_writes_a_struct_without_its_omitted_fields(void **state)
{
    (void)state;
    struct sample s = {.number = 300, .text = br_bytes_text("a")};
    struct br_writer w = new_writer();
    br_mp_write_struct(&w, sample_fields, 4, &s);
    assert_string_equal(written(&w), "83a44c697374c0a64e756d626572cd012ca454657874a161");
    s.flag = true;
    w = new_writer();
    br_mp_write_struct(&w, sample_fields, 4, &s);
    assert_string_equal(written(&w), "84a4466c6167c3a44c697374c0a64e756d626572cd012ca454657874a161");
}

static void test_finds_the_last_value_of_a_key_in_a_map(void **state)
{
    (void)state;
    struct bruit_bytes value;
    struct bruit_bytes map = hex("83 a161 01 a162 9102 a161 cc80");
    assert_true(br_mp_find(map, br_bytes_text("a"), &value));
    assert_string_equal(to_hex(value), "cc80");
    assert_true(br_mp_find(map, br_bytes_text("b"), &value));
    assert_string_equal(to_hex(value), "9102");
    assert_false(br_mp_find(map, br_bytes_text("c"), &value));
    assert_int_equal(value.size, 0);
    assert_false(br_mp_find(hex("82 a161 01 a162"), br_bytes_text("a"), &value));
    assert_false(br_mp_find(hex("05"), br_bytes_text("a"), &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writes_numbers_in_their_smallest_form),
        cmocka_unit_test(test_writes_negative_numbers_in_their_smallest_form),
        cmocka_unit_test(test_writes_long_strings_the_old_way),
        cmocka_unit_test(test_writes_the_modern_profile_for_rpc),
        cmocka_unit_test(test_writes_containers_in_their_smallest_form),
        cmocka_unit_test(test_a_full_writer_fails_and_keeps_within_its_bounds),
        cmocka_unit_test(test_reads_numbers_of_any_width_and_sign),
        cmocka_unit_test(test_refuses_numbers_that_do_not_fit),
        cmocka_unit_test(test_nil_and_empty_read_alike),
        cmocka_unit_test(test_reads_strings_of_any_family),
        cmocka_unit_test(test_reads_bools_and_the_integers_that_stand_for_them),
        cmocka_unit_test(test_reads_floats_of_both_sizes_and_integers),
        cmocka_unit_test(test_never_believes_a_count_beyond_the_bytes_left),
        cmocka_unit_test(test_skips_one_value_of_any_kind),
        cmocka_unit_test(test_refuses_nesting_beyond_the_limit),
        cmocka_unit_test(test_scanner_says_more_until_the_last_byte),
        cmocka_unit_test(test_scanner_stops_at_the_end_of_the_first_value),
        cmocka_unit_test(test_reads_a_struct_given_as_an_array),
        cmocka_unit_test(test_reads_a_struct_with_keys_in_any_order),
        cmocka_unit_test(test_missing_and_nil_fields_are_zero_and_duplicates_override),
        cmocka_unit_test(test_writes_a_struct_without_its_omitted_fields),
        cmocka_unit_test(test_finds_the_last_value_of_a_key_in_a_map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
