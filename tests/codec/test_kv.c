/*
 * Messages and records of replicated state: everything that is written is read back the same; whatever is cut short,
 * out of bounds or written in a second way is refused.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "codec/kv.h"
#include "support/memory.h"

#define ROUNDS 500

static uint8_t bytes[1 << 18];

/* A number of any size: small ones are as likely as large ones. */
static uint64_t draw_number(struct br_rng *rng, uint64_t max)
{
    uint64_t v = br_rng_u64(rng) >> br_rng_below(rng, 64);
    return v > max ? max : v;
}

static struct br_kv_dot draw_dot(struct br_rng *rng)
{
    return (struct br_kv_dot){br_rng_u64(rng) | 1, 1 + draw_number(rng, BR_KV_COUNTER_MAX - 1)};
}

static void assert_dot(struct br_kv_dot a, struct br_kv_dot b)
{
    assert_true(br_kv_dot_equal(a, b));
}

static void assert_bytes(struct bruit_bytes a, struct bruit_bytes b)
{
    assert_true(br_bytes_equal(a, b));
}

/* ---- numbers and dots ---------------------------------------------------------------------------------- */

static uint64_t read_number(const uint8_t *data, size_t size, uint64_t max, bool *failed)
{
    struct br_reader r;
    br_reader_init(&r, br_bytes(data, size));
    uint64_t v = br_kv_read_number(&r, max);
    *failed = r.failed;
    return v;
}

static void test_numbers_have_one_form_and_a_bound(void **state)
{
    (void)state;
    const uint64_t numbers[] = {0, 1, 127, 128, 16383, 16384, UINT32_MAX, UINT64_MAX >> 1, UINT64_MAX};
    bool failed;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct br_writer w;
        br_writer_init(&w, bytes, sizeof bytes);
        br_kv_write_number(&w, numbers[i]);
        assert_int_equal(read_number(bytes, br_writer_size(&w), UINT64_MAX, &failed), numbers[i]);
        assert_false(failed);
        for (size_t cut = 0; cut < br_writer_size(&w); cut++) {
            (void)read_number(bytes, cut, UINT64_MAX, &failed);
            assert_true(failed);
        }
        if (numbers[i] > 0) {
            (void)read_number(bytes, br_writer_size(&w), numbers[i] - 1, &failed);
            assert_true(failed);
        }
    }
    const uint8_t long_zero[] = {0x80, 0};
    const uint8_t long_one[] = {0x81, 0x80, 0};
    const uint8_t too_large[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2};
    const uint8_t endless[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81, 0};
    (void)read_number(long_zero, sizeof long_zero, UINT64_MAX, &failed);
    assert_true(failed);
    (void)read_number(long_one, sizeof long_one, UINT64_MAX, &failed);
    assert_true(failed);
    (void)read_number(too_large, sizeof too_large, UINT64_MAX, &failed);
    assert_true(failed);
    (void)read_number(endless, sizeof endless, UINT64_MAX, &failed);
    assert_true(failed);
}

static void test_no_dot_is_zero_or_beyond_the_last_counter(void **state)
{
    (void)state;
    const struct br_kv_dot bad[] = {{0, 1}, {1, 0}, {1, BR_KV_COUNTER_MAX + 1}};
    for (size_t i = 0; i < 3; i++) {
        struct br_writer w;
        struct br_reader r;
        struct br_kv_dot dot;
        br_writer_init(&w, bytes, sizeof bytes);
        br_kv_write_dot(&w, bad[i]);
        br_reader_init(&r, br_writer_bytes(&w));
        br_kv_read_dot(&r, &dot);
        assert_true(r.failed);
    }
}

/* ---- items --------------------------------------------------------------------------------------------- */

static uint8_t filler[BR_KV_VALUE_MAX + 1];

static struct br_kv_write draw_write(struct br_rng *rng, struct br_kv_past *past)
{
    struct br_kv_write write = {.key = br_bytes(filler, 1 + br_rng_below(rng, BR_KV_KEY_MAX)),
                                .dot = draw_dot(rng),
                                .hlc = br_rng_u64(rng),
                                .is_delete = br_rng_below(rng, 4) == 0,
                                .past = past,
                                .past_count = br_rng_below(rng, 3) == 0 ? br_rng_below(rng, BR_KV_PAST_MAX + 1) : 1};
    for (uint32_t i = 0; i < write.past_count; i++) {
        past[i] = (struct br_kv_past){draw_dot(rng), br_rng_below(rng, 2) == 0};
        if (br_rng_below(rng, 2) == 0)
            past[i].dot.actor = write.dot.actor;
    }
    if (write.is_delete)
        return write;
    write.value = br_bytes(filler, (size_t)draw_number(rng, BR_KV_VALUE_MAX));
    write.life = (enum br_kv_life)br_rng_below(rng, 3);
    if (write.life == BR_KV_EXPIRES)
        write.ttl_ms = draw_number(rng, UINT64_MAX);
    if (write.life == BR_KV_OWNED)
        write.owner = br_bytes(filler, 1 + br_rng_below(rng, BRUIT_NAME_MAX));
    return write;
}

static void assert_write(const struct br_kv_write *a, const struct br_kv_write *b)
{
    assert_bytes(a->key, b->key);
    assert_dot(a->dot, b->dot);
    assert_int_equal(a->hlc, b->hlc);
    assert_int_equal(a->is_delete, b->is_delete);
    assert_int_equal(a->life, b->life);
    assert_int_equal(a->ttl_ms, b->ttl_ms);
    assert_bytes(a->owner, b->owner);
    assert_bytes(a->value, b->value);
    assert_int_equal(a->past_count, b->past_count);
    for (uint32_t i = 0; i < a->past_count; i++) {
        assert_dot(a->past[i].dot, b->past[i].dot);
        assert_int_equal(a->past[i].is_prefix, b->past[i].is_prefix);
    }
}

static void test_writes_come_back_as_they_went(void **state)
{
    (void)state;
    struct br_rng rng;
    br_rng_init(&rng, test_seed(), "items");
    for (uint32_t i = 0; i < sizeof filler; i++)
        filler[i] = (uint8_t)br_rng_u64(&rng);
    struct br_kv_past past[BR_KV_PAST_MAX], read_past[BR_KV_PAST_MAX];
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct br_kv_write write = draw_write(&rng, past), read;
        bool has_key = br_rng_below(&rng, 2) == 0;
        struct br_writer w;
        struct br_reader r;
        br_writer_init(&w, bytes, sizeof bytes);
        br_kv_write_item(&w, &write, has_key);
        size_t size = br_writer_size(&w);
        assert_true(size <= br_kv_item_size_max(&write));
        br_reader_init(&r, br_bytes(bytes, size));
        br_kv_read_item(&r, has_key ? br_bytes(NULL, 0) : write.key, &read, read_past);
        assert_false(r.failed);
        assert_int_equal(br_reader_left(&r), 0);
        assert_write(&write, &read);
        /* Cut anywhere, it is refused; a room that is too small is noticed. */
        size_t cut = br_rng_below(&rng, (uint32_t)size);
        br_reader_init(&r, br_bytes(bytes, cut));
        br_kv_read_item(&r, has_key ? br_bytes(NULL, 0) : write.key, &read, read_past);
        assert_true(r.failed);
        br_writer_init(&w, bytes, cut);
        br_kv_write_item(&w, &write, has_key);
        assert_true(w.failed);
    }
}

static bool is_refused(const struct br_kv_write *write)
{
    struct br_writer w;
    struct br_reader r;
    struct br_kv_write read;
    struct br_kv_past past[BR_KV_PAST_MAX];
    br_writer_init(&w, bytes, sizeof bytes);
    br_kv_write_item(&w, write, true);
    br_reader_init(&r, br_writer_bytes(&w));
    br_kv_read_item(&r, br_bytes(NULL, 0), &read, past);
    return r.failed;
}

/* 64 KiB pass and one byte more does not; the same for keys, owners and pasts. */
static void test_sizes_are_bounded(void **state)
{
    (void)state;
    struct br_kv_past past[BR_KV_PAST_MAX + 1];
    for (uint32_t i = 0; i <= BR_KV_PAST_MAX; i++)
        past[i] = (struct br_kv_past){{1, 1 + i}, false};
    struct br_kv_write good = {.key = br_bytes(filler, BR_KV_KEY_MAX),
                               .dot = {1, 1},
                               .life = BR_KV_OWNED,
                               .owner = br_bytes(filler, BRUIT_NAME_MAX),
                               .value = br_bytes(filler, BR_KV_VALUE_MAX),
                               .past = past,
                               .past_count = BR_KV_PAST_MAX};
    assert_false(is_refused(&good));
    struct br_kv_write bad = good;
    bad.value.size++;
    assert_true(is_refused(&bad));
    bad = good;
    bad.key.size++;
    assert_true(is_refused(&bad));
    bad = good;
    bad.key.size = 0;
    assert_true(is_refused(&bad));
    bad = good;
    bad.owner.size++;
    assert_true(is_refused(&bad));
    bad = good;
    bad.owner.size = 0;
    assert_true(is_refused(&bad));
    bad = good;
    bad.past_count++;
    assert_true(is_refused(&bad));
    bad = good;
    bad.is_delete = true; /* with a lifetime */
    assert_true(is_refused(&bad));
}

/* ---- messages ------------------------------------------------------------------------------------------ */

static struct br_writer writer;
static struct br_reader reader;

static void begin(void)
{
    br_writer_init(&writer, bytes, sizeof bytes);
}

static void turn(void)
{
    assert_false(writer.failed);
    br_reader_init(&reader, br_writer_bytes(&writer));
}

static void end(void)
{
    assert_false(reader.failed);
    assert_int_equal(br_reader_left(&reader), 0);
}

static void test_heads(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 256; kind++) {
        begin();
        br_kv_write_head(&writer, 0xb1, (enum br_kv_kind)kind);
        turn();
        assert_int_equal(br_read_u8(&reader), 0xb1);
        unsigned read = br_kv_read_head(&reader);
        assert_int_equal(read, kind < BR_KV_KIND_END ? kind : 0);
        assert_int_equal(reader.failed, read == 0);
    }
    bytes[1] = BR_KV_VERSION + 1;
    bytes[2] = BR_KV_WRITE;
    br_reader_init(&reader, br_bytes(bytes + 1, 2));
    assert_int_equal(br_kv_read_head(&reader), 0);
}

static void test_small_messages_come_back(void **state)
{
    (void)state;
    struct br_rng rng;
    br_rng_init(&rng, test_seed(), "messages");
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct br_kv_tell tell = {draw_number(&rng, UINT32_MAX)}, tell2;
        struct br_kv_announce announce = {br_bytes(filler, 1 + br_rng_below(&rng, 512)), draw_dot(&rng), 65536};
        struct br_kv_announce announce2;
        struct br_kv_ack ack = {draw_number(&rng, UINT32_MAX), draw_dot(&rng), 3}, ack2;
        struct br_kv_session session = {draw_number(&rng, UINT32_MAX), 0xa5}, session2;
        struct br_kv_digest digest = {1, UINT64_MAX, br_rng_u64(&rng), 4, draw_number(&rng, UINT32_MAX)}, digest2;
        begin();
        br_kv_write_tell(&writer, &tell);
        br_kv_write_announce(&writer, &announce);
        br_kv_write_ack(&writer, &ack);
        br_kv_write_session(&writer, &session);
        br_kv_write_digest(&writer, &digest);
        turn();
        br_kv_read_tell(&reader, &tell2);
        br_kv_read_announce(&reader, &announce2);
        br_kv_read_ack(&reader, &ack2);
        br_kv_read_session(&reader, &session2);
        br_kv_read_digest(&reader, &digest2);
        end();
        assert_int_equal(tell.ack, tell2.ack);
        assert_bytes(announce.key, announce2.key);
        assert_dot(announce.dot, announce2.dot);
        assert_int_equal(announce.size, announce2.size);
        assert_int_equal(ack.ack, ack2.ack);
        assert_dot(ack.dot, ack2.dot);
        assert_int_equal(ack.status, ack2.status);
        assert_int_equal(session.id, session2.id);
        assert_int_equal(session.flags, session2.flags);
        assert_memory_equal(&digest, &digest2, sizeof digest);
    }
}

static void test_lists_of_keys_come_back(void **state)
{
    (void)state;
    struct br_rng rng;
    br_rng_init(&rng, test_seed(), "keys");
    struct br_kv_dot dots[BR_KV_SIBLINGS_MAX], read[BR_KV_SIBLINGS_MAX];
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t count = br_rng_below(&rng, BR_KV_SIBLINGS_MAX + 1);
        for (uint32_t i = 0; i < count; i++)
            dots[i] = draw_dot(&rng);
        bool by_name = br_rng_below(&rng, 2) == 0;
        struct br_kv_want want = {.key = br_bytes(filler, by_name ? 7 : 0),
                                  .hash = by_name ? 0 : br_rng_u64(&rng),
                                  .dots = dots,
                                  .dot_count = count};
        struct br_kv_key_head head = {
            .key = br_bytes(filler, 9), .gone = dots, .gone_count = count, .sibling_count = round % 65};
        struct br_kv_want want2;
        struct br_kv_key_head head2;
        begin();
        br_kv_write_want(&writer, &want);
        br_kv_write_key_head(&writer, &head);
        turn();
        br_kv_read_want(&reader, &want2, read);
        for (uint32_t i = 0; i < count; i++)
            assert_dot(read[i], dots[i]);
        br_kv_read_key_head(&reader, &head2, read);
        end();
        assert_bytes(want.key, want2.key);
        assert_int_equal(want.hash, want2.hash);
        assert_int_equal(want2.dot_count, count);
        assert_bytes(head.key, head2.key);
        assert_int_equal(head2.gone_count, count);
        assert_int_equal(head2.sibling_count, head.sibling_count);
        for (uint32_t i = 0; i < count; i++)
            assert_dot(read[i], dots[i]);
    }
    begin();
    br_write_u8(&writer, 1);
    br_write_u8(&writer, 'k');
    br_kv_write_number(&writer, BR_KV_SIBLINGS_MAX + 1);
    for (uint32_t i = 0; i <= BR_KV_SIBLINGS_MAX; i++)
        br_kv_write_dot(&writer, dots[0]);
    turn();
    struct br_kv_want want;
    br_kv_read_want(&reader, &want, read);
    assert_true(reader.failed);
    assert_int_equal(want.dot_count, 0);
}

/* ---- the tree ------------------------------------------------------------------------------------------ */

static struct br_kv_path draw_path(struct br_rng *rng, uint8_t depth_max)
{
    struct br_kv_path path = {0};
    uint32_t depth = br_rng_below(rng, depth_max + 1u);
    while (path.depth < depth)
        path = br_kv_path_child(path, br_rng_below(rng, 16));
    return path;
}

static void test_paths_branches_and_leaves_come_back(void **state)
{
    (void)state;
    struct br_rng rng;
    br_rng_init(&rng, test_seed(), "tree");
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct br_kv_branch branch = {.path = draw_path(&rng, 15),
                                      .key_count = draw_number(&rng, UINT32_MAX),
                                      .present = (uint16_t)br_rng_u64(&rng)};
        struct br_kv_branch branch2;
        for (uint32_t i = 0; i < 16; i++)
            branch.hashes[i] = (branch.present >> i & 1) != 0 ? br_rng_u64(&rng) & BR_KV_SHORT_MASK : 0;
        struct br_kv_leaf_head head = {draw_path(&rng, 16), br_rng_below(&rng, BR_KV_LEAVES_MAX + 1)}, head2;
        uint64_t below = head.path.depth == 16 ? 0 : br_rng_u64(&rng) >> 4 * head.path.depth;
        struct br_kv_leaf leaf = {head.path.prefix | below, (uint32_t)br_rng_u64(&rng)}, leaf2;
        assert_true(br_kv_path_has(head.path, leaf.hash));
        begin();
        br_kv_write_branch(&writer, &branch);
        br_kv_write_leaf_head(&writer, &head);
        br_kv_write_leaf(&writer, head.path, &leaf);
        turn();
        br_kv_read_branch(&reader, &branch2);
        br_kv_read_leaf_head(&reader, &head2);
        br_kv_read_leaf(&reader, head2.path, &leaf2);
        end();
        assert_int_equal(branch.path.prefix, branch2.path.prefix);
        assert_int_equal(branch.path.depth, branch2.path.depth);
        assert_int_equal(branch.key_count, branch2.key_count);
        assert_int_equal(branch.present, branch2.present);
        assert_memory_equal(branch.hashes, branch2.hashes, sizeof branch.hashes);
        assert_int_equal(head.path.prefix, head2.path.prefix);
        assert_int_equal(head.path.depth, head2.path.depth);
        assert_int_equal(head.key_count, head2.key_count);
        assert_int_equal(leaf.hash, leaf2.hash);
        assert_int_equal(leaf.state, leaf2.state);
    }
}

static void test_paths_that_are_none(void **state)
{
    (void)state;
    struct br_kv_path path;
    struct br_kv_leaf leaf;
    const uint8_t too_deep[] = {17, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    br_reader_init(&reader, br_bytes(too_deep, sizeof too_deep));
    br_kv_read_path(&reader, &path);
    assert_true(reader.failed);
    const uint8_t stray_bits[] = {1, 0x12};
    br_reader_init(&reader, br_bytes(stray_bits, sizeof stray_bits));
    br_kv_read_path(&reader, &path);
    assert_true(reader.failed);
    /* A leaf whose repeated half byte is another branch's. */
    const uint8_t stray_leaf[] = {0x20, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4};
    br_reader_init(&reader, br_bytes(stray_leaf, sizeof stray_leaf));
    br_kv_read_leaf(&reader, (struct br_kv_path){UINT64_C(1) << 60, 1}, &leaf);
    assert_true(reader.failed);
}

/* ---- contexts and records ------------------------------------------------------------------------------ */

static void test_actors_runs_and_records_come_back(void **state)
{
    (void)state;
    struct br_rng rng;
    br_rng_init(&rng, test_seed(), "records");
    for (uint32_t round = 0; round < ROUNDS; round++) {
        bool has_name = round % 2 == 0;
        struct br_kv_actor_item item = {.actor = has_name ? br_rng_u64(&rng) | 1 : 0,
                                        .base = draw_number(&rng, BR_KV_COUNTER_MAX / 4),
                                        .run_count = (uint32_t)draw_number(&rng, UINT32_MAX >> 1),
                                        .is_retired = br_rng_below(&rng, 2) == 0};
        struct br_kv_actor_item item2;
        struct br_kv_run run = {item.base + 2 + draw_number(&rng, BR_KV_COUNTER_MAX / 4), 0}, run2;
        run.to = run.from + draw_number(&rng, BR_KV_COUNTER_MAX / 4);
        struct br_kv_key_record key = {draw_number(&rng, UINT64_MAX), br_rng_below(&rng, 65)}, key2;
        struct br_kv_actor_record actor = {br_rng_u64(&rng) | 1, draw_number(&rng, BR_KV_COUNTER_MAX),
                                           draw_number(&rng, UINT64_MAX)};
        struct br_kv_actor_record actor2;
        begin();
        br_kv_write_actor(&writer, has_name, &item);
        br_kv_write_run(&writer, item.base, run);
        br_kv_write_key_record(&writer, &key);
        br_kv_write_actor_record(&writer, &actor);
        turn();
        br_kv_read_actor(&reader, has_name, &item2);
        br_kv_read_run(&reader, item2.base, &run2);
        br_kv_read_key_record(&reader, &key2);
        br_kv_read_actor_record(&reader, &actor2);
        end();
        assert_int_equal(item.actor, item2.actor);
        assert_int_equal(item.base, item2.base);
        assert_int_equal(item.run_count, item2.run_count);
        assert_int_equal(item.is_retired, item2.is_retired);
        assert_memory_equal(&run, &run2, sizeof run);
        assert_int_equal(key.saved_ms, key2.saved_ms);
        assert_int_equal(key.sibling_count, key2.sibling_count);
        assert_memory_equal(&actor, &actor2, sizeof actor);
    }
    /* The last counter is the end: a run beyond it is refused. */
    begin();
    br_kv_write_number(&writer, BR_KV_COUNTER_MAX);
    br_kv_write_number(&writer, 0);
    turn();
    struct br_kv_run run;
    br_kv_read_run(&reader, 1, &run);
    assert_true(reader.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_have_one_form_and_a_bound),
        cmocka_unit_test(test_no_dot_is_zero_or_beyond_the_last_counter),
        cmocka_unit_test(test_writes_come_back_as_they_went),
        cmocka_unit_test(test_sizes_are_bounded),
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_small_messages_come_back),
        cmocka_unit_test(test_lists_of_keys_come_back),
        cmocka_unit_test(test_paths_branches_and_leaves_come_back),
        cmocka_unit_test(test_paths_that_are_none),
        cmocka_unit_test(test_actors_runs_and_records_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
