/*
 * The cursors: what they read and write, and that nothing gets past an end.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/bytes.h"
#include "base/rng.h"
#include "support/memory.h"

/* A message holds one number of each width; each must come back, in network order. */
static void test_reads_numbers_in_network_order(void **state)
{
    (void)state;
    static const uint8_t input[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
                                    0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x8f};
    struct br_reader r;
    br_reader_init(&r, br_bytes(input, sizeof input));
    assert_int_equal(br_peek_u8(&r), 0x01);
    assert_int_equal(br_read_u8(&r), 0x01);
    assert_int_equal(br_read_u16(&r), 0x0203);
    assert_int_equal(br_read_u32(&r), 0x04050607);
    assert_true(br_read_u64(&r) == UINT64_C(0x08090a0b0c0d0e8f));
    assert_int_equal(br_reader_left(&r), 0);
    assert_false(r.failed);
}

/* A sender cut its message short; the reader asks once, at the end, and must have been given zeros. */
static void test_a_failed_read_gives_zero_and_sticks(void **state)
{
    (void)state;
    static const uint8_t input[] = {1, 2, 3};
    struct br_reader r;
    br_reader_init(&r, br_bytes(input, sizeof input));
    assert_int_equal(br_read_u32(&r), 0);
    assert_true(r.failed);
    /* Three bytes are there, but after a failure nothing is. */
    assert_int_equal(br_read_u8(&r), 0);
    assert_int_equal(br_peek_u8(&r), 0);
    assert_int_equal(br_read_bytes(&r, 1).size, 0);
    assert_int_equal(br_reader_left(&r), 0);
    assert_true(r.failed);
}

/* A declared length is one more than what is left, then exactly what is left, then absurd. */
static void test_bytes_are_borrowed_up_to_the_end_and_not_beyond(void **state)
{
    (void)state;
    static const uint8_t input[] = {1, 2, 3};
    struct br_reader r;
    br_reader_init(&r, br_bytes(input, sizeof input));
    struct bruit_bytes all = br_read_bytes(&r, 3);
    assert_ptr_equal(all.data, input);
    assert_int_equal(all.size, 3);
    assert_false(r.failed);

    br_reader_init(&r, br_bytes(input, sizeof input));
    assert_int_equal(br_read_bytes(&r, 4).size, 0);
    assert_true(r.failed);

    br_reader_init(&r, br_bytes(input, sizeof input));
    assert_int_equal(br_read_bytes(&r, SIZE_MAX).size, 0);
    assert_true(r.failed);
}

/* An empty datagram may come with a null pointer: no read may follow it. */
static void test_nothing_can_be_read_from_nothing(void **state)
{
    (void)state;
    struct br_reader r;
    br_reader_init(&r, br_bytes(NULL, 0));
    assert_int_equal(br_read_bytes(&r, 0).size, 0);
    assert_false(r.failed);
    assert_int_equal(br_reader_rest(&r).size, 0);
    assert_int_equal(br_read_u8(&r), 0);
    assert_true(r.failed);
}

/* What is written with the writer is read with the reader, over random sequences of fields. */
static void test_a_reader_reads_what_a_writer_wrote(void **state)
{
    (void)state;
    struct br_rng rng;
    br_rng_init(&rng, test_seed(), "bytes");
    for (int round = 0; round < 500; round++) {
        uint8_t *buffer = malloc(64);
        uint64_t values[64];
        unsigned kinds[64], count = 0;
        struct br_writer w;
        br_writer_init(&w, buffer, 64);
        while (!w.failed) {
            kinds[count] = br_rng_below(&rng, 4);
            values[count] = br_rng_u64(&rng);
            switch (kinds[count]) {
            case 0: br_write_u8(&w, (uint8_t)values[count]); break;
            case 1: br_write_u16(&w, (uint16_t)values[count]); break;
            case 2: br_write_u32(&w, (uint32_t)values[count]); break;
            default: br_write_u64(&w, values[count]); break;
            }
            count++;
        }
        assert_true(br_writer_size(&w) <= 64);
        assert_true(br_writer_size(&w) > 64 - 8);
        struct br_reader r;
        br_reader_init(&r, br_writer_bytes(&w));
        for (unsigned i = 0; i + 1 < count; i++) {
            switch (kinds[i]) {
            case 0: assert_int_equal(br_read_u8(&r), (uint8_t)values[i]); break;
            case 1: assert_int_equal(br_read_u16(&r), (uint16_t)values[i]); break;
            case 2: assert_int_equal(br_read_u32(&r), (uint32_t)values[i]); break;
            default: assert_true(br_read_u64(&r) == values[i]); break;
            }
        }
        assert_int_equal(br_reader_left(&r), 0);
        assert_false(r.failed);
        free(buffer);
    }
}

/* The buffer takes 99 bytes, then 100, and not 101; what did not fit must leave no part behind. */
static void test_what_does_not_fit_is_not_written(void **state)
{
    (void)state;
    uint8_t buffer[101], hundred[101] = {0};
    memset(buffer, 0x77, sizeof buffer);
    struct br_writer w;
    br_writer_init(&w, buffer, 100);
    br_write_bytes(&w, br_bytes(hundred, 99));
    assert_int_equal(br_writer_room(&w), 1);
    br_write_u16(&w, 0xffff);
    assert_true(w.failed);
    assert_int_equal(buffer[99], 0x77);
    assert_int_equal(br_writer_room(&w), 0);
    br_write_u8(&w, 0xff);
    assert_int_equal(buffer[99], 0x77);

    br_writer_init(&w, buffer, 100);
    br_write_bytes(&w, br_bytes(hundred, 100));
    assert_false(w.failed);
    br_write_u8(&w, 1);
    assert_true(w.failed);
    assert_int_equal(buffer[100], 0x77);
}

/* A compound does not know its count when it begins: it is patched in afterwards, within what was written. */
static void test_patches_only_what_was_written(void **state)
{
    (void)state;
    uint8_t buffer[16];
    struct br_writer w;
    br_writer_init(&w, buffer, sizeof buffer);
    br_write_u32(&w, 0);
    br_write_u16(&w, 0);
    br_write_u16_at(&w, 1, 0xabcd);
    br_write_u8_at(&w, 0, 0x11);
    br_write_u16_at(&w, 4, 0x2233);
    assert_false(w.failed);
    static const uint8_t expected[] = {0x11, 0xab, 0xcd, 0x00, 0x22, 0x33};
    assert_memory_equal(buffer, expected, sizeof expected);
    br_write_u32_at(&w, 2, 0x01020304);
    assert_false(w.failed);
    br_write_u32_at(&w, 3, 0);
    assert_true(w.failed);
}

/* A message is tried and does not fit: taken back, the packet goes on as if it had not been. */
static void test_rewinding_takes_back_the_failure_too(void **state)
{
    (void)state;
    uint8_t buffer[4];
    struct br_writer w;
    br_writer_init(&w, buffer, sizeof buffer);
    br_write_u16(&w, 0x0102);
    size_t before = br_writer_size(&w);
    br_write_u8(&w, 3);
    br_write_u32(&w, 4);
    assert_true(w.failed);
    br_writer_rewind(&w, before);
    assert_false(w.failed);
    assert_int_equal(br_writer_room(&w), 2);
    br_write_u16(&w, 0x0506);
    assert_false(w.failed);
    static const uint8_t expected[] = {1, 2, 5, 6};
    assert_memory_equal(buffer, expected, sizeof expected);
}

/* Names are compared as Go compares strings: bytes first, then the shorter one. */
static void test_compares_bytes_as_go_does(void **state)
{
    (void)state;
    assert_true(br_bytes_equal(br_bytes_text("n7"), br_bytes_string("n7")));
    assert_false(br_bytes_equal(br_bytes_text("n7"), br_bytes_text("n70")));
    assert_true(br_bytes_equal(br_bytes(NULL, 0), br_bytes_text("")));
    assert_true(br_bytes_compare(br_bytes_text("a"), br_bytes_text("ab")) < 0);
    assert_true(br_bytes_compare(br_bytes_text("b"), br_bytes_text("ab")) > 0);
    assert_true(br_bytes_compare(br_bytes_text("\xff"), br_bytes_text("a")) > 0);
    assert_int_equal(br_bytes_compare(br_bytes(NULL, 0), br_bytes_text("")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_numbers_in_network_order),
        cmocka_unit_test(test_a_failed_read_gives_zero_and_sticks),
        cmocka_unit_test(test_bytes_are_borrowed_up_to_the_end_and_not_beyond),
        cmocka_unit_test(test_nothing_can_be_read_from_nothing),
        cmocka_unit_test(test_a_reader_reads_what_a_writer_wrote),
        cmocka_unit_test(test_what_does_not_fit_is_not_written),
        cmocka_unit_test(test_patches_only_what_was_written),
        cmocka_unit_test(test_rewinding_takes_back_the_failure_too),
        cmocka_unit_test(test_compares_bytes_as_go_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
