/*
 * The messages of aggregates: what is written can be read, and what a hostile peer may try is refused as a whole.
 */
#include "codec/aggregate.h"

#include <bruit/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static uint8_t buffer[4096];
static struct br_writer w;

static void begin(enum br_aggregate_kind kind)
{
    br_writer_init(&w, buffer, sizeof buffer);
    br_aggregate_begin(&w, kind, br_bytes_text("n1"));
    if (kind == BR_AGGREGATE_TELL)
        br_write_u8(&w, 0);
}

/* As it arrives: the type byte is the module host's. */
static int decode(struct br_aggregate_message *message)
{
    assert_false(w.failed);
    assert_int_equal(buffer[0], BR_AGGREGATE_TYPE);
    return br_aggregate_decode(message, br_bytes(buffer + 1, br_writer_size(&w) - 1));
}

static void write_group_of(uint64_t from, uint64_t to, uint32_t count)
{
    br_aggregate_write_group(&w, &(struct br_aggregate_group){.owner = br_bytes_text("n2"),
                                                               .epoch = 1000,
                                                               .from = from,
                                                               .to = to,
                                                               .count = count});
}

static void write_number(uint8_t slot, uint64_t version, double number)
{
    br_aggregate_write_record(&w, &(struct br_aggregate_record){.slot = slot,
                                                                 .version = version,
                                                                 .kind = BR_AGGREGATE_NUMBER,
                                                                 .name = br_bytes_text("load"),
                                                                 .number = number});
}

/* An owner tells two values and takes back a third. */
static void test_records_come_back_as_they_went(void **state)
{
    (void)state;
    struct br_aggregate_message message;
    struct br_aggregate_group group;
    struct br_aggregate_record record;
    begin(BR_AGGREGATE_TELL);
    write_group_of(4, 7, 3);
    write_number(0, 5, -0.75);
    br_aggregate_write_record(&w, &(struct br_aggregate_record){.slot = 15,
                                                                 .version = 6,
                                                                 .kind = BR_AGGREGATE_TEXT,
                                                                 .name = br_bytes_text("version"),
                                                                 .text = br_bytes_text("1.2.3")});
    br_aggregate_write_record(&w, &(struct br_aggregate_record){.slot = 3, .version = 7});
    assert_int_equal(decode(&message), 0);
    assert_int_equal(message.kind, BR_AGGREGATE_TELL);
    assert_true(br_bytes_equal(message.sender, br_bytes_text("n1")));
    assert_true(br_aggregate_next_group(&message.list, &group));
    assert_true(br_bytes_equal(group.owner, br_bytes_text("n2")));
    assert_int_equal(group.epoch, 1000);
    assert_int_equal(group.from, 4);
    assert_int_equal(group.to, 7);
    assert_true(br_aggregate_next_record(&group.records, &record));
    assert_true(record.number == -0.75 && record.version == 5 && record.slot == 0);
    assert_true(br_aggregate_next_record(&group.records, &record));
    assert_true(br_bytes_equal(record.text, br_bytes_text("1.2.3")));
    assert_true(br_aggregate_next_record(&group.records, &record));
    assert_int_equal(record.kind, BR_AGGREGATE_NOTHING);
    assert_false(br_aggregate_next_record(&group.records, &record));
    assert_false(br_aggregate_next_group(&message.list, &group));
}

static int decode_number(double number)
{
    struct br_aggregate_message message;
    begin(BR_AGGREGATE_TELL);
    write_group_of(0, 1, 1);
    write_number(0, 1, number);
    return decode(&message);
}

/* A peer publishes what is no number: 1e150 passes, what is above, infinite or no number at all does not. */
static void test_what_is_no_number_is_refused(void **state)
{
    (void)state;
    volatile double zero = 0;
    assert_int_equal(decode_number(1e150), 0);
    assert_int_equal(decode_number(-1e150), 0);
    assert_int_equal(decode_number(1.1e150), BRUIT_EFORMAT);
    assert_int_equal(decode_number(1 / zero), BRUIT_EFORMAT);
    assert_int_equal(decode_number(-1 / zero), BRUIT_EFORMAT);
    assert_int_equal(decode_number(zero / zero), BRUIT_EFORMAT);
}

/* A peer wants more room than it may have, or says of its records what they are not. */
static void test_records_beyond_their_group_are_refused(void **state)
{
    (void)state;
    struct br_aggregate_message message;
    begin(BR_AGGREGATE_TELL);
    write_group_of(0, 1, 1);
    write_number(16, 1, 1); /* there are 16 slots, from 0 */
    assert_int_equal(decode(&message), BRUIT_EFORMAT);
    begin(BR_AGGREGATE_TELL);
    write_group_of(0, 1, 1);
    write_number(0, 2, 1); /* version beyond `to` */
    assert_int_equal(decode(&message), BRUIT_EFORMAT);
    begin(BR_AGGREGATE_TELL);
    write_group_of(1, 2, 1);
    write_number(0, 1, 1); /* version not above `from` */
    assert_int_equal(decode(&message), BRUIT_EFORMAT);
    begin(BR_AGGREGATE_TELL);
    write_group_of(0, 2, 2);
    write_number(0, 1, 1);
    write_number(0, 2, 1); /* one slot twice */
    assert_int_equal(decode(&message), BRUIT_EFORMAT);
    begin(BR_AGGREGATE_TELL);
    write_group_of(0, 2, 2);
    write_number(0, 1, 1); /* one record less than it says */
    assert_int_equal(decode(&message), BRUIT_EFORMAT);
    begin(BR_AGGREGATE_TELL);
    write_group_of(2, 1, 0); /* backwards */
    assert_int_equal(decode(&message), BRUIT_EFORMAT);
}

/* Every message that is cut anywhere, and every one with a byte more, is refused, or reads as a shorter list. */
static void test_a_cut_message_is_refused_as_a_whole(void **state)
{
    (void)state;
    struct br_aggregate_message message;
    static uint8_t registers[BR_AGGREGATE_REGISTERS];
    begin(BR_AGGREGATE_ASK);
    br_aggregate_write_exchange(&w, 7, 3, 4, br_bytes_text("load"));
    br_aggregate_write_mass(&w, &(struct br_aggregate_mass){.has = 1,
                                                             .sum = 5,
                                                             .has_extrema = true,
                                                             .min = 5,
                                                             .max = 5,
                                                             .registers = br_bytes(registers, sizeof registers),
                                                             .resolution = 8,
                                                             .cell_count = 2});
    br_aggregate_write_cell(&w, false, INT32_MIN, &(struct br_aggregate_cell){.index = -300, .mass = 0.5F});
    br_aggregate_write_cell(&w, false, -300, &(struct br_aggregate_cell){.index = 4000, .mass = -0.25F});
    br_write_u8_at(&w, br_aggregate_write_tops(&w), 1);
    br_aggregate_write_top(&w, &(struct br_aggregate_top){.number = 5, .node = br_bytes_text("n1")});
    size_t size = br_writer_size(&w);
    assert_int_equal(decode(&message), 0);
    struct br_aggregate_cell cell = {0};
    assert_true(br_aggregate_next_cell(&message.mass.cells, false, &cell));
    assert_int_equal(cell.index, -300);
    assert_true(br_aggregate_next_cell(&message.mass.cells, false, &cell));
    assert_int_equal(cell.index, 4000);
    assert_true(cell.mass == -0.25F);
    assert_false(br_aggregate_next_cell(&message.mass.cells, false, &cell));
    for (size_t cut = 1; cut < size; cut++)
        assert_int_equal(br_aggregate_decode(&message, br_bytes(buffer + 1, cut - 1)), BRUIT_EFORMAT);
    buffer[size] = 0;
    assert_int_equal(br_aggregate_decode(&message, br_bytes(buffer + 1, size)), BRUIT_EFORMAT);
}

static void test_the_small_ones_come_back(void **state)
{
    (void)state;
    struct br_aggregate_message message;
    struct br_aggregate_entry entry;
    begin(BR_AGGREGATE_SUMMARY);
    br_aggregate_write_summary(&w, UINT64_C(0x123456789abcdef0), 1000);
    assert_int_equal(decode(&message), 0);
    assert_true(message.hash == UINT64_C(0x123456789abcdef0) && message.count == 1000);
    begin(BR_AGGREGATE_HAVE);
    br_write_bytes(&w, br_bytes("0123456789abcdef", BR_AGGREGATE_MASK_SIZE));
    br_aggregate_write_entry(&w, &(struct br_aggregate_entry){br_bytes_text("x"), UINT64_C(1) << 62, 300});
    assert_int_equal(decode(&message), 0);
    assert_true(br_aggregate_next_entry(&message.list, &entry));
    assert_true(entry.epoch == UINT64_C(1) << 62 && entry.complete == 300);
    begin(BR_AGGREGATE_VIEW_IS);
    br_aggregate_write_view_is(&w, 5, 77, 3);
    assert_int_equal(decode(&message), 0);
    assert_true(message.number == 5 && message.hash == 77 && message.count == 3);
    begin(BR_AGGREGATE_DONE);
    br_write_u32(&w, 9);
    assert_int_equal(decode(&message), 0);
    assert_int_equal(message.number, 9);
    begin((enum br_aggregate_kind)11);
    assert_int_equal(decode(&message), BRUIT_EFORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_come_back_as_they_went),
        cmocka_unit_test(test_what_is_no_number_is_refused),
        cmocka_unit_test(test_records_beyond_their_group_are_refused),
        cmocka_unit_test(test_a_cut_message_is_refused_as_a_whole),
        cmocka_unit_test(test_the_small_ones_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
