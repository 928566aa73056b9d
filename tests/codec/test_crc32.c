/*
 * The checksum against its published check value and against the definition, bit by bit.
 */
#include "codec/crc32.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static uint32_t crc_by_definition(const uint8_t *bytes, size_t size)
{
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

/* The catalogue of CRCs gives this value for this text; nobody who has another one speaks CRC-32/IEEE. */
static void test_gives_the_check_value(void **state)
{
    (void)state;
    assert_int_equal(br_crc32(br_bytes_text("123456789")), 0xcbf43926);
    assert_int_equal(br_crc32(br_bytes(NULL, 0)), 0);
}

/* Eight bytes go at a time: every size around that, at every alignment, must be what single bits give. */
static void test_agrees_with_the_definition_at_every_size_and_alignment(void **state)
{
    uint8_t bytes[600];
    uint32_t noise = 1;
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++) {
        noise = noise * 1103515245u + 12345u;
        bytes[i] = (uint8_t)(noise >> 16);
    }
    for (size_t start = 0; start < 8; start++)
        for (size_t size = 0; size + start <= sizeof bytes; size += size < 40 ? 1 : 37)
            assert_int_equal(br_crc32(br_bytes(bytes + start, size)), crc_by_definition(bytes + start, size));
}

/* One changed bit anywhere in a packet must show. */
static void test_notices_every_single_bit(void **state)
{
    uint8_t bytes[64] = {7, 1, 2, 3};
    (void)state;
    uint32_t crc = br_crc32(br_bytes(bytes, sizeof bytes));
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(br_crc32(br_bytes(bytes, sizeof bytes)), crc);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gives_the_check_value),
        cmocka_unit_test(test_agrees_with_the_definition_at_every_size_and_alignment),
        cmocka_unit_test(test_notices_every_single_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
