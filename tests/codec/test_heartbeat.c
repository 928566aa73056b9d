/*
 * The messages of heartbeat gossip: what was written is what is read, what is malformed is refused as a whole, and
 * the bytes are those that docs/heartbeat.md draws.
 */
#include "codec/heartbeat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t ip[4] = {10, 0, 0, 1};
static const uint8_t vsn[6] = {1, 5, 2, 2, 5, 5};

static struct br_alive identity(void)
{
    return (struct br_alive){.incarnation = 3,
                             .node = br_bytes_string("n1"),
                             .addr = br_bytes(ip, 4),
                             .port = 7946,
                             .vsn = br_bytes(vsn, 6),
                             .meta = br_bytes_string("role=web")};
}

/* An entry with numbers of each length, identity and items comes out as it went in. */
static void test_entries_come_back(void **state)
{
    uint8_t buffer[512];
    uint8_t items[128];
    struct br_writer w;
    struct br_reader r;
    struct br_beat_block block;
    (void)state;
    br_writer_init(&w, items, sizeof items);
    struct br_beat_item first = {.version = 5, .ttl = 300, .key = br_bytes_string("a"), .value = br_bytes_string("1")};
    struct br_beat_item second = {.version = 300, .is_deleted = true, .key = br_bytes_string("b")};
    br_beat_item_encode(&w, &first);
    br_beat_item_encode(&w, &second);
    assert_int_equal(br_writer_size(&w), br_beat_item_size(&first) + br_beat_item_size(&second));
    struct br_beat_entry entry = {.id = br_beat_id(br_bytes_string("n1")),
                                  .generation = 1,
                                  .heartbeat = 0x12345678,
                                  .version = 300,
                                  .floor = 4,
                                  .tag = 0xabcd,
                                  .flags = BR_BEAT_IDENTITY | BR_BEAT_ITEMS | BR_BEAT_LEFT | BR_BEAT_RESET,
                                  .item_count = 2,
                                  .identity = identity(),
                                  .items = br_writer_bytes(&w)};
    br_writer_init(&w, buffer, sizeof buffer);
    br_beat_entry_encode(&w, &entry);
    assert_false(w.failed);
    br_reader_init(&r, br_writer_bytes(&w));
    assert_int_equal(br_beat_check(r), 0);
    assert_int_equal(br_beat_block_decode(&block, &r), BR_BEAT_BLOCK_ENTRY);
    assert_true(block.entry.id == entry.id);
    assert_int_equal(block.entry.generation, 1);
    assert_int_equal(block.entry.heartbeat, 0x12345678);
    assert_int_equal(block.entry.version, 300);
    assert_int_equal(block.entry.floor, 4);
    assert_int_equal(block.entry.tag, 0xabcd);
    assert_int_equal(block.entry.flags, entry.flags);
    assert_int_equal(block.entry.identity.incarnation, 3);
    assert_int_equal(block.entry.identity.port, 7946);
    assert_true(br_bytes_equal(block.entry.identity.node, br_bytes_string("n1")));
    assert_true(br_bytes_equal(block.entry.identity.meta, br_bytes_string("role=web")));
    struct br_beat_item item;
    struct bruit_bytes left = block.entry.items;
    assert_true(br_beat_item_next(&left, &item));
    assert_int_equal(item.ttl, 300);
    assert_true(br_beat_item_next(&left, &item));
    assert_true(item.is_deleted);
    assert_int_equal(item.version, 300);
    assert_false(br_beat_item_next(&left, &item));
    assert_int_equal(br_beat_block_decode(&block, &r), BR_BEAT_END);
}

/* Buckets: heartbeats by place, and those alone that are in the set. */
static void test_buckets_come_back(void **state)
{
    uint8_t buffer[256];
    struct br_writer w;
    struct br_reader r;
    struct br_beat_block block;
    struct br_beat_bucket bucket = {.depth = 6, .index = 37, .checksum = 0xdeadbeef, .count = 10};
    (void)state;
    for (unsigned i = 0; i < 10; i++)
        bucket.beats[i] = 1u << (3 * i);
    br_beat_bucket_add(&bucket, 0);
    br_beat_bucket_add(&bucket, 9);
    br_writer_init(&w, buffer, sizeof buffer);
    br_beat_beats_encode(&w, &bucket);
    br_beat_newer_encode(&w, &bucket);
    bucket.count = 0;
    br_beat_list_encode(&w, &bucket);
    br_reader_init(&r, br_writer_bytes(&w));
    assert_int_equal(br_beat_check(r), 0);
    assert_int_equal(br_beat_block_decode(&block, &r), BR_BEAT_BLOCK_BEATS);
    assert_int_equal(block.bucket.depth, 6);
    assert_int_equal(block.bucket.index, 37);
    assert_true(block.bucket.checksum == 0xdeadbeef);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(block.bucket.beats[i], 1u << (3 * i));
    assert_int_equal(br_beat_block_decode(&block, &r), BR_BEAT_BLOCK_NEWER);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(block.bucket.beats[i], i == 0 || i == 9 ? 1u << (3 * i) : 0);
    assert_int_equal(br_beat_block_decode(&block, &r), BR_BEAT_BLOCK_LIST);
    assert_int_equal(br_beat_block_decode(&block, &r), BR_BEAT_END);
}

/* The header of a message, byte by byte. */
static void test_the_header_is_as_drawn(void **state)
{
    static const uint8_t drawn[] = {48, 1, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 2, 0x80, 1, 1, 0xab, 0xcd};
    uint8_t buffer[64];
    struct br_writer w;
    struct br_reader r;
    struct br_beat_header header;
    (void)state;
    br_writer_init(&w, buffer, sizeof buffer);
    br_beat_header_encode(
        &w, BR_BEAT_SYN,
        &(struct br_beat_entry){.id = 7, .generation = 2, .heartbeat = 128, .version = 1, .tag = 0xabcd});
    assert_int_equal(br_writer_size(&w), sizeof drawn);
    assert_memory_equal(buffer, drawn, sizeof drawn);
    br_reader_init(&r, br_bytes(drawn + 1, sizeof drawn - 1));
    assert_int_equal(br_beat_header_decode(&header, &r), 0);
    assert_int_equal(header.kind, BR_BEAT_SYN);
    assert_int_equal(header.sender.heartbeat, 128);
}

/* Every beginning of a message is refused, and read nowhere beyond its end (the buffer is cut to size). */
static void test_cut_messages_are_refused(void **state)
{
    uint8_t buffer[256];
    struct br_writer w;
    (void)state;
    br_writer_init(&w, buffer, sizeof buffer);
    br_beat_entry_encode(&w, &(struct br_beat_entry){.id = 1,
                                                     .flags = BR_BEAT_IDENTITY,
                                                     .heartbeat = 99999,
                                                     .identity = identity()});
    for (size_t size = 1; size < br_writer_size(&w); size++) {
        uint8_t *cut = malloc(size);
        struct br_reader r;
        assert_non_null(cut);
        memcpy(cut, buffer, size);
        br_reader_init(&r, br_bytes(cut, size));
        assert_int_equal(br_beat_check(r), BRUIT_EFORMAT);
        free(cut);
    }
}

static int check(const uint8_t *bytes, size_t size)
{
    struct br_reader r;
    br_reader_init(&r, br_bytes(bytes, size));
    return br_beat_check(r);
}

/* What nobody of ours writes: unknown blocks, numbers beyond 32 bits (a generation of 2^63 is one), a bucket beyond
 * its depth, a list that announces more than comes, flags of the future. */
static void test_nonsense_is_refused(void **state)
{
    static const uint8_t unknown[] = {9};
    static const uint8_t generation[] = {1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0x80, 0x80, 0x80, 0x80,
                                         0x80, 0x80, 0x80, 0x80, 0x80, 1, 0, 0, 0, 0};
    static const uint8_t index[] = {4, 2, 4, 0};
    static const uint8_t depth[] = {4, 40, 0, 0};
    static const uint8_t list[] = {4, 0, 0, 1};
    static const uint8_t flags[] = {1, 0, 0, 0, 0, 0, 0, 0, 1, 0x40, 1, 1, 1, 0, 0};
    static const uint8_t good[] = {4, 2, 3, 0};
    (void)state;
    assert_int_equal(check(unknown, sizeof unknown), BRUIT_EFORMAT);
    assert_int_equal(check(generation, sizeof generation), BRUIT_EFORMAT);
    assert_int_equal(check(index, sizeof index), BRUIT_EFORMAT);
    assert_int_equal(check(depth, sizeof depth), BRUIT_EFORMAT);
    assert_int_equal(check(list, sizeof list), BRUIT_EFORMAT);
    assert_int_equal(check(flags, sizeof flags), BRUIT_EFORMAT);
    assert_int_equal(check(good, sizeof good), 0);
}

/* A stream's header needs its twelve bytes, and no document or block may be longer than what follows. */
static void test_the_state_header_grows(void **state)
{
    uint8_t buffer[BR_BEAT_STATE_HEADER];
    struct br_writer w;
    struct br_beat_header header = {.join = true, .blocks_size = 1000, .document_size = 7};
    struct br_beat_header read;
    size_t size;
    (void)state;
    br_writer_init(&w, buffer, sizeof buffer);
    br_beat_state_encode(&w, &header);
    assert_int_equal(br_writer_size(&w), BR_BEAT_STATE_HEADER);
    for (size_t i = 0; i + 1 < sizeof buffer; i++)
        assert_int_equal(br_beat_state_decode(&read, br_bytes(buffer + 1, i), &size), BR_MP_MORE);
    assert_int_equal(br_beat_state_decode(&read, br_bytes(buffer + 1, sizeof buffer - 1), &size), 0);
    assert_int_equal(size, BR_BEAT_STATE_HEADER - 1);
    assert_true(read.join);
    assert_int_equal(read.blocks_size, 1000);
    assert_int_equal(read.document_size, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries_come_back),       cmocka_unit_test(test_buckets_come_back),
        cmocka_unit_test(test_the_header_is_as_drawn),  cmocka_unit_test(test_cut_messages_are_refused),
        cmocka_unit_test(test_nonsense_is_refused),     cmocka_unit_test(test_the_state_header_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
