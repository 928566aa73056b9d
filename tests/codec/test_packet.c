/*
 * The datagram pipeline: what is peeled off, what is dropped and under which name, what is built.
 */
#include "codec/packet.h"

#include "base/rng.h"
#include "support/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PACKET_MAX 70000

static uint8_t buffer[PACKET_MAX];
static uint8_t other[PACKET_MAX];

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

#define user(text) br_bytes_text("\x08" text)

static struct bruit_bytes build(struct test_wire *t, bool crc, const struct bruit_bytes *messages,
                                size_t count)
{
    return br_bytes(buffer, test_wire_build(t, crc, messages, count, buffer, sizeof buffer));
}

static struct bruit_bytes build_one(struct test_wire *t, bool crc, struct bruit_bytes message)
{
    return build(t, crc, &message, 1);
}

static void assert_leaf(struct test_wire *t, size_t index, const char *body)
{
    assert_int_equal(t->leaves[index].type, BR_USER);
    assert_true(br_bytes_equal(test_wire_leaf(t, index), br_bytes_string(body)));
}

static void assert_opens_to(struct test_wire *t, struct bruit_bytes packet, const char *body)
{
    assert_int_equal(test_wire_open(t, packet), 0);
    assert_int_equal(t->drop_count, 0);
    assert_int_equal(t->leaf_count, 1);
    assert_leaf(t, 0, body);
}

static void assert_drops(struct test_wire *t, struct bruit_bytes packet, enum bruit_drop reason)
{
    assert_int_equal(test_wire_open(t, packet), 0);
    test_wire_assert_dropped(t, reason);
}

/* Wraps `inner` into a compress message at `at`. */
static struct bruit_bytes wrap_compress(struct bruit_bytes inner, uint8_t algo, uint8_t *at)
{
    static struct br_lzw_encoder encoder;
    uint8_t *packed = malloc(BR_LZW_BOUND(inner.size));
    struct br_writer w;
    size_t size = 0;
    assert_int_equal(br_lzw_encode(&encoder, inner, packed, BR_LZW_BOUND(inner.size), &size), 0);
    struct br_compress compress = {.algo = algo, .buf = br_bytes(packed, size)};
    br_writer_init(&w, at, PACKET_MAX);
    br_compress_encode(&w, &compress);
    assert_false(w.failed);
    free(packed);
    return br_writer_bytes(&w);
}

/* Wraps `inner` into a compound of one part at `at`. */
static struct bruit_bytes wrap_compound(struct bruit_bytes inner, uint8_t *at)
{
    uint16_t size = (uint16_t)inner.size;
    memmove(at + BR_COMPOUND_HEAD(1), inner.data, inner.size);
    br_compound_write_head(at, &size, 1);
    return br_bytes(at, BR_COMPOUND_HEAD(1) + inner.size);
}

/* ---- outside ---- */

/* Each type that may come in a datagram is handed on with its body, and no other. */
static void test_hands_on_leaves_and_only_leaves(void **state)
{
    struct test_wire *t = *state;
    for (unsigned type = 0; type < 256; type++) {
        uint8_t packet[] = {(uint8_t)type, 'b', 'o', 'd', 'y'};
        bool is_leaf = type <= BR_DEAD || type == BR_USER || type == BR_NACK || type == BR_HEARTBEAT;
        assert_int_equal(test_wire_open(t, br_bytes(packet, sizeof packet)), 0);
        assert_int_equal(t->leaf_count, is_leaf);
        assert_int_equal(t->drop_count, !is_leaf);
        if (is_leaf)
            assert_int_equal(t->leaves[0].type, type);
        else if (type != BR_COMPOUND && type != BR_COMPRESS && type != BR_HAS_CRC && type != BR_HAS_LABEL)
            assert_int_equal(t->drops[0], BRUIT_DROP_UNKNOWN_TYPE);
    }
}

/*
 * Nothing at all is a packet too, and crashed old members in some places. An empty user message is a
 * message.
 */
static void test_drops_empty_packets_wherever_they_are_empty(void **state)
{
    struct test_wire *t = *state;
    assert_drops(t, br_bytes(NULL, 0), BRUIT_DROP_EMPTY);
    assert_drops(t, br_bytes_text("\x0c\x00\x00\x00\x00"), BRUIT_DROP_EMPTY);
    t->wire.label.label = br_bytes_text("blue");
    assert_drops(t,
                 br_bytes_text("\xf4\x04"
                               "blue"),
                 BRUIT_DROP_EMPTY);
    t->wire.label.label = br_bytes(NULL, 0);
    assert_opens_to(t, br_bytes_text("\x08"), "");
}

/* Equal labels pass; another, none, a double one, an empty one and a cut one do not. */
/* conformance: memberlist 16 */
static void test_lets_in_packets_with_our_label_only(void **state)
{
    struct test_wire *t = *state;
    t->wire.label.label = br_bytes_text("blue");
    struct bruit_bytes packet = build_one(t, true, user("hello"));
    assert_memory_equal(packet.data,
                        "\xf4\x04"
                        "blue\x0c",
                        7);
    assert_opens_to(t, packet, "hello");
    assert_true(t->info.labelled);
    assert_true(t->info.checked);
    assert_drops(t,
                 br_bytes_text("\xf4\x05"
                               "green\x08x"),
                 BRUIT_DROP_LABEL_WRONG);
    assert_drops(t, user("x"), BRUIT_DROP_LABEL_MISSING);
    assert_drops(t,
                 br_bytes_text("\xf4\x04"
                               "blue\xf4\x04"
                               "blue\x08x"),
                 BRUIT_DROP_UNKNOWN_TYPE);
    assert_drops(t, br_bytes_text("\xf4\x00\x08x"), BRUIT_DROP_LABEL_MALFORMED);
    assert_drops(t,
                 br_bytes_text("\xf4\x04"
                               "blu"),
                 BRUIT_DROP_LABEL_MALFORMED);
    assert_drops(t, br_bytes_text("\xf4"), BRUIT_DROP_LABEL_MALFORMED);
    t->wire.label.label = br_bytes(NULL, 0);
    assert_drops(t, packet, BRUIT_DROP_LABEL_UNEXPECTED);
}

/* A front strips labels: none may come through, and ours is still what sealed packets are bound to. */
/* conformance: memberlist 16 */
static void test_behind_a_front_the_label_still_binds_sealed_packets(void **state)
{
    struct test_wire *t = *state;
    test_wire_key(t, 0, 16);
    t->wire.label.label = br_bytes_text("blue");
    struct bruit_bytes packet = build_one(t, false, user("hello"));
    t->wire.label.skip_inbound = true;
    assert_drops(t, packet, BRUIT_DROP_LABEL_UNEXPECTED);
    assert_opens_to(t, br_bytes(packet.data + 6, packet.size - 6), "hello");
}

/*
 * A right checksum is taken off, a wrong one drops the packet, none is needed, and only the outermost
 * counts.
 */
/* conformance: memberlist 11 */
static void test_checks_the_outermost_checksum_only(void **state)
{
    struct test_wire *t = *state;
    struct bruit_bytes packet = build_one(t, true, user("hello"));
    assert_int_equal(packet.size, 5 + 6);
    assert_opens_to(t, packet, "hello");
    assert_true(t->info.checked);
    assert_opens_to(t, user("hello"), "hello");
    assert_false(t->info.checked);
    for (size_t bit = 8; bit < 8 * packet.size; bit++) {
        buffer[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_drops(t, packet, BRUIT_DROP_CRC_MISMATCH);
        buffer[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    struct bruit_bytes inside = wrap_compound(packet, other);
    assert_drops(t, inside, BRUIT_DROP_UNKNOWN_TYPE);
    assert_drops(t, br_bytes_text("\x0c\x00\x00\x00"), BRUIT_DROP_UNKNOWN_TYPE);
}

/* The member we send to does not know checksums: there is none, only what it understands. */
/* conformance: memberlist 17 */
static void test_writes_no_checksum_unless_told(void **state)
{
    struct test_wire *t = *state;
    struct bruit_bytes packet = build_one(t, false, user("hello"));
    assert_true(br_bytes_equal(packet, user("hello")));
}

/* ---- sealed ---- */

/* The label is authenticated with the packet: another one, or none, and no key fits. */
/* conformance: memberlist 20 */
static void test_a_sealed_packet_is_bound_to_its_label(void **state)
{
    struct test_wire *t = *state;
    test_wire_key(t, 0, 32);
    t->wire.label.label = br_bytes_text("blue");
    struct bruit_bytes packet = build_one(t, true, user("hello"));
    assert_int_equal(packet.size, 6 + 29 + 5 + 6);
    assert_opens_to(t, packet, "hello");
    assert_true(t->info.sealed);
    t->wire.label.label = br_bytes_text("bluf");
    buffer[5] = 'f';
    assert_drops(t, packet, BRUIT_DROP_UNDECRYPTABLE);
    t->wire.label.label = br_bytes(NULL, 0);
    assert_drops(t, br_bytes(packet.data + 6, packet.size - 6), BRUIT_DROP_UNDECRYPTABLE);
}

/*
 * A member of protocol version 1 seals with padding, one of any other without; a packet of 16 bytes gets
 * 16 more.
 */
/* conformance: memberlist 19 */
static void test_seals_in_the_version_it_is_configured_for(void **state)
{
    struct test_wire *t = *state;
    test_wire_key(t, 0, 16);
    struct bruit_bytes packet = build_one(t, false, user("fifteen bytes!!"));
    assert_int_equal(packet.data[0], 1);
    assert_int_equal(packet.size, 29 + 16);
    assert_opens_to(t, packet, "fifteen bytes!!");
    t->wire.seal_version = 0;
    packet = build_one(t, false, user("fifteen bytes!!"));
    assert_int_equal(packet.data[0], 0);
    assert_int_equal(packet.size, 29 + 16 + 16);
    assert_opens_to(t, packet, "fifteen bytes!!");
    assert_int_equal(t->info.seal_version, 0);
}

/* Somebody plays with a sealed packet on its way: each bit of it. */
/* conformance: memberlist 21 */
static void test_drops_a_sealed_packet_with_any_bit_flipped(void **state)
{
    struct test_wire *t = *state;
    test_wire_key(t, 0, 16);
    test_wire_key(t, 1, 24);
    struct bruit_bytes packet = build_one(t, false, user("hello"));
    for (size_t bit = 0; bit < 8 * packet.size; bit++) {
        buffer[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_drops(t, packet, BRUIT_DROP_UNDECRYPTABLE);
        buffer[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t size = 1; size < packet.size; size++)
        assert_drops(t, br_bytes(packet.data, size), BRUIT_DROP_UNDECRYPTABLE);
    assert_opens_to(t, packet, "hello");
    br_keyring_fini(&t->ring);
    test_wire_key(t, 2, 16);
    assert_drops(t, packet, BRUIT_DROP_UNDECRYPTABLE);
}

/* While a cluster migrates to encryption plain packets pass; by default they must not. */
/* conformance: memberlist 22 */
static void test_plain_packets_pass_only_while_migrating(void **state)
{
    struct test_wire *t = *state;
    test_wire_key(t, 0, 16);
    assert_drops(t, user("hello"), BRUIT_DROP_UNDECRYPTABLE);
    t->wire.verify_incoming = false;
    assert_opens_to(t, user("hello"), "hello");
    assert_true(t->info.plaintext_accepted);
    assert_opens_to(t, build_one(t, true, user("sealed")), "sealed");
    assert_true(t->info.sealed);
    assert_false(t->info.plaintext_accepted);
}

/* With keys, but told not to seal yet: packets go out plain. */
/* conformance: memberlist 22 */
static void test_seals_nothing_while_told_not_to(void **state)
{
    struct test_wire *t = *state;
    test_wire_key(t, 0, 16);
    t->wire.verify_outgoing = false;
    assert_true(br_bytes_equal(build_one(t, false, user("hello")), user("hello")));
}

/* An envelope with nothing in it, from somebody who has the key, crashed members. */
/* conformance: memberlist 24 */
static void test_drops_an_empty_plaintext(void **state)
{
    struct test_wire *t = *state;
    test_wire_key(t, 0, 16);
    for (uint8_t version = 0; version <= 1; version++) {
        assert_int_equal(br_seal(&t->ring, version, t->nonce, br_bytes(NULL, 0), buffer, 0), 0);
        assert_drops(t, br_bytes(buffer, br_seal_size(version, 0)), BRUIT_DROP_EMPTY);
    }
}

/* No nonce, no packet: sending it with an old one would give the key away. */
static void test_does_not_send_without_entropy(void **state)
{
    struct test_wire *t = *state;
    struct br_packet_builder builder;
    size_t size = 0;
    test_wire_key(t, 0, 16);
    t->entropy_error = BRUIT_EIO;
    br_packet_begin(&builder, &t->wire, &t->scratch, buffer, 1400, false);
    assert_int_equal(br_packet_add(&builder, user("hello")), 0);
    assert_int_equal(br_packet_finish(&builder, &size), BRUIT_EIO);
}

/* ---- compound ---- */

/* 255 parts are the most a compound can have; all of them come out in order. */
/* conformance: memberlist 12 */
static void test_a_compound_of_255_parts_comes_out_whole(void **state)
{
    struct test_wire *t = *state;
    struct bruit_bytes messages[BR_COMPOUND_PARTS_MAX];
    char texts[BR_COMPOUND_PARTS_MAX][8];
    for (unsigned i = 0; i < BR_COMPOUND_PARTS_MAX; i++) {
        texts[i][0] = BR_USER;
        texts[i][1] = (char)i;
        messages[i] = br_bytes(texts[i], 2 + i % 3);
        memset(texts[i] + 2, 'x', 2);
    }
    assert_int_equal(test_wire_open(t, build(t, true, messages, BR_COMPOUND_PARTS_MAX)), 0);
    assert_int_equal(t->leaf_count, BR_COMPOUND_PARTS_MAX);
    assert_int_equal(t->drop_count, 0);
    for (size_t i = 0; i < BR_COMPOUND_PARTS_MAX; i++)
        assert_true(br_bytes_equal(test_wire_leaf(t, i), br_bytes(texts[i] + 1, messages[i].size - 1)));
}

/* A packet that lost its end: what is complete counts, what is cut does not, whatever the cut. */
/* conformance: memberlist 12 */
static void test_parts_before_a_cut_are_processed(void **state)
{
    struct test_wire *t = *state;
    const struct bruit_bytes messages[] = {user("one"), user("two"), user("three")};
    struct bruit_bytes packet = build(t, false, messages, 3);
    const size_t ends[] = {8 + 4, 8 + 4 + 4, 8 + 4 + 4 + 6}; /* of the parts */
    for (size_t cut = 1; cut <= packet.size; cut++) {
        size_t whole = (size_t)(cut >= ends[0]) + (cut >= ends[1]) + (cut >= ends[2]);
        assert_int_equal(test_wire_open(t, br_bytes(packet.data, cut)), 0);
        assert_int_equal(t->leaf_count, whole);
        assert_int_equal(t->drop_count, whole < 3);
        if (whole < 3)
            assert_int_equal(t->drops[0], BRUIT_DROP_TRUNCATED_COMPOUND);
    }
}

/* Lengths that are not there: nothing is processed. A count above 127 overflowed an old member's 8 bits. */
/* conformance: memberlist 12 */
static void test_a_compound_without_its_lengths_is_dropped_whole(void **state)
{
    struct test_wire *t = *state;
    assert_drops(t, br_bytes_text("\x07"), BRUIT_DROP_TRUNCATED_COMPOUND);
    assert_drops(t, br_bytes_text("\x07\x02\x00\x02\x00"), BRUIT_DROP_TRUNCATED_COMPOUND);
    memset(buffer, 0, 600);
    buffer[0] = BR_COMPOUND;
    buffer[1] = 200;
    assert_drops(t, br_bytes(buffer, 2 + 399), BRUIT_DROP_TRUNCATED_COMPOUND);
    assert_int_equal(test_wire_open(t, br_bytes(buffer, 2 + 400)), 0);
    assert_int_equal(t->drop_count, 200); /* 200 empty parts */
    assert_int_equal(t->drops[0], BRUIT_DROP_EMPTY);
}

/* Empty parts crash old members. Here they are nothing but counted, and what follows them is read. */
/* conformance: memberlist 12 */
static void test_empty_parts_do_no_harm(void **state)
{
    struct test_wire *t = *state;
    assert_int_equal(test_wire_open(t, br_bytes_text("\x07\x03\x00\x00\x00\x03\x00\x00\x08hi")), 0);
    assert_int_equal(t->leaf_count, 1);
    assert_true(br_bytes_equal(test_wire_leaf(t, 0), br_bytes_text("hi")));
    assert_int_equal(t->drop_count, 2);
    assert_int_equal(t->drops[0], BRUIT_DROP_EMPTY);
    assert_int_equal(test_wire_open(t, br_bytes_text("\x07\x00")), 0);
    assert_int_equal(t->leaf_count + t->drop_count, 0);
}

/*
 * One part is of a type nobody knows: the others are as good as ever. Bytes after the last part are
 * nobody's.
 */
static void test_a_bad_part_spoils_no_other(void **state)
{
    struct test_wire *t = *state;
    assert_int_equal(test_wire_open(t, br_bytes_text("\x07\x03\x00\x02\x00\x03\x00\x02\x08"
                                                     "a\x63zz\x08"
                                                     "btrailing")),
                     0);
    assert_int_equal(t->leaf_count, 2);
    assert_int_equal(t->drop_count, 1);
    assert_int_equal(t->drops[0], BRUIT_DROP_UNKNOWN_TYPE);
    assert_leaf(t, 0, "a");
    assert_leaf(t, 1, "b");
}

/* ---- compress ---- */

/* A packet that gets shorter is sent compressed, one that does not is sent as it is. */
/* conformance: memberlist 13 */
static void test_compresses_only_what_gets_shorter(void **state)
{
    struct test_wire *t = *state;
    const struct bruit_bytes repetitive =
        user("abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc");
    const struct bruit_bytes varied = user("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUV");
    t->wire.compression = true;
    struct bruit_bytes packet = build_one(t, true, repetitive);
    assert_int_equal(packet.data[5], BR_COMPRESS);
    assert_true(packet.size < 5 + repetitive.size);
    assert_opens_to(t, packet, (const char *)repetitive.data + 1);
    assert_int_equal(t->info.inflated, repetitive.size);
    packet = build_one(t, false, varied);
    assert_true(br_bytes_equal(packet, varied));
    t->wire.compression = false;
    packet = build_one(t, false, repetitive);
    assert_true(br_bytes_equal(packet, repetitive));
}

/*
 * The rule is "strictly shorter": compare with compressing everything, at each size of the easiest text
 * there is.
 */
/* conformance: memberlist 13 */
static void test_compresses_exactly_when_shorter(void **state)
{
    struct test_wire *t = *state;
    uint8_t message[200];
    bool compressed = false;
    memset(message, 'a', sizeof message);
    message[0] = BR_USER;
    for (size_t size = 1; size < sizeof message; size++) {
        t->wire.compression = true;
        struct bruit_bytes packet = build_one(t, false, br_bytes(message, size));
        struct bruit_bytes whole = wrap_compress(br_bytes(message, size), 0, other);
        if (whole.size < size)
            assert_true(br_bytes_equal(packet, whole));
        else
            assert_true(br_bytes_equal(packet, br_bytes(message, size)));
        compressed = compressed || whole.size < size;
    }
    memset(message, BR_USER, sizeof message); /* equal to the type byte: nothing compresses better */
    for (size_t size = 1; size < sizeof message; size++) {
        struct bruit_bytes packet = build_one(t, false, br_bytes(message, size));
        struct bruit_bytes whole = wrap_compress(br_bytes(message, size), 0, other);
        assert_true(br_bytes_equal(packet, whole.size < size ? whole : br_bytes(message, size)));
    }
    assert_true(compressed);
}

/* Algorithms other than LZW, broken streams, broken maps, and nothing inside. */
/* conformance: memberlist 15 */
static void test_drops_compressed_packets_that_cannot_be_expanded(void **state)
{
    struct test_wire *t = *state;
    assert_drops(t, wrap_compress(user("x"), 1, other), BRUIT_DROP_COMPRESS_ALGO);
    assert_drops(t, wrap_compress(br_bytes(NULL, 0), 0, other), BRUIT_DROP_EMPTY);
    struct bruit_bytes packet = wrap_compress(user("hello hello hello"), 0, other);
    for (size_t cut = 1; cut < packet.size; cut++)
        assert_drops(t, br_bytes(packet.data, cut), BRUIT_DROP_MALFORMED);
    assert_drops(t,
                 br_bytes_text("\x09\x82\xa4"
                               "Algo\x00\xa3"
                               "Buf\xa2\x00\x03"),
                 BRUIT_DROP_COMPRESS_BROKEN);
    assert_drops(t,
                 br_bytes_text("\x09\x82\xa4"
                               "Algo\x00\xa3"
                               "Buf\xc0"),
                 BRUIT_DROP_COMPRESS_BROKEN);
    assert_drops(t,
                 br_bytes_text("\x09\x81\xa4"
                               "Algo\x00"),
                 BRUIT_DROP_COMPRESS_BROKEN);
    assert_drops(t, br_bytes_text("\x09\x07"), BRUIT_DROP_MALFORMED);
}

/*
 * 33 kilobytes that want to be 40 megabytes: refused, the memory held meanwhile bounded, and none of it
 * kept.
 */
/* conformance: memberlist 15 */
static void test_refuses_a_bomb_with_bounded_memory(void **state)
{
    struct test_wire *t = *state;
    size_t size = (size_t)40 << 20;
    uint8_t *bomb = calloc(1, size);
    bomb[0] = BR_USER;
    struct bruit_bytes packet = wrap_compress(br_bytes(bomb, size), 0, other);
    free(bomb);
    assert_true(packet.size < 65507);
    assert_drops(t, packet, BRUIT_DROP_COMPRESS_BOMB);
    assert_true(t->alloc.peak <= BR_PACKET_INFLATE_MAX + sizeof(struct br_lzw_decoder) + 65536);
    assert_true(t->alloc.in_use <= sizeof(struct br_lzw_decoder) + 65536);
}

/*
 * The limit counts what all layers of a packet expand to: exactly that much passes, one byte more does
 * not.
 */
/* conformance: memberlist 15 */
static void test_the_limit_covers_the_whole_packet(void **state)
{
    struct test_wire *t = *state;
    uint8_t message[1000] = {BR_USER};
    uint8_t parts[2000];
    struct bruit_bytes one = wrap_compress(br_bytes(message, sizeof message), 0, parts);
    struct bruit_bytes two = br_bytes(parts, one.size);
    const struct bruit_bytes both[] = {one, two};
    struct bruit_bytes packet = build(t, false, both, 2);
    t->wire.packet_inflate_max = 2000;
    assert_int_equal(test_wire_open(t, packet), 0);
    assert_int_equal(t->leaf_count, 2);
    assert_int_equal(t->info.inflated, 2000);
    t->wire.packet_inflate_max = 1999;
    assert_int_equal(test_wire_open(t, packet), 0);
    assert_int_equal(t->leaf_count, 1);
    assert_int_equal(t->drops[0], BRUIT_DROP_COMPRESS_BOMB);
}

/*
 * Compress in compound in compress, as real members accept without end: four layers pass, the fifth does
 * not, whichever of the two it is.
 */
/* conformance: memberlist 15 */
static void test_nested_layers_are_bounded(void **state)
{
    struct test_wire *t = *state;
    for (int innermost = 0; innermost < 2; innermost++) {
        struct bruit_bytes message = user("deep");
        memcpy(buffer, message.data, message.size);
        message.data = buffer;
        for (int layer = 1; layer <= 8; layer++) {
            message =
                layer % 2 == innermost ? wrap_compress(message, 0, other) : wrap_compound(message, other);
            memcpy(buffer, message.data, message.size);
            message.data = buffer;
            if (layer <= BR_LAYERS_MAX)
                assert_opens_to(t, message, "deep");
            else
                assert_drops(t, message, BRUIT_DROP_TOO_DEEP);
        }
    }
}

/* Compounds in compounds multiply: 1024 parts in one packet are looked at, and not one more. */
/* conformance: memberlist 15 */
static void test_messages_in_one_packet_are_bounded(void **state)
{
    struct test_wire *t = *state;
    struct bruit_bytes messages[BR_COMPOUND_PARTS_MAX];
    for (size_t i = 0; i < BR_COMPOUND_PARTS_MAX; i++)
        messages[i] = user("m");
    size_t size = test_wire_build(t, false, messages, BR_COMPOUND_PARTS_MAX, other, sizeof other);
    for (size_t i = 0; i < 4; i++)
        messages[i] = br_bytes(other, size);
    /* Four compounds and their 255 parts each are 1024. */
    assert_int_equal(test_wire_open(t, build(t, false, messages, 4)), 0);
    assert_int_equal(t->leaf_count, 4 * BR_COMPOUND_PARTS_MAX);
    assert_int_equal(t->drop_count, 0);
    /* The next is one too many, and the end of the packet. */
    assert_int_equal(test_wire_open(t, build(t, false, messages, 7)), 0);
    assert_int_equal(t->leaf_count, 4 * BR_COMPOUND_PARTS_MAX);
    assert_int_equal(t->drop_count, 1);
    assert_int_equal(t->drops[0], BRUIT_DROP_TOO_MANY_MESSAGES);
}

/* ---- strangers ---- */

/*
 * Somebody points a browser, a scanner or a TLS client at the port. The drop says what it was, keys or
 * label or not.
 */
static void test_recognises_http_and_tls(void **state)
{
    struct test_wire *t = *state;
    const struct bruit_bytes http[] = {
        br_bytes_text("GET / HTTP/1.1\r\nHost: x\r\n"),    br_bytes_text("POST /x HTTP/1.1\r\n"),
        br_bytes_text("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), br_bytes_text("OPTIONS * HTTP/1.1\r\n"),
        br_bytes_text("HTTP/1.1 400 Bad Request\r\n"),
    };
    const struct bruit_bytes tls = br_bytes_text("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < sizeof http / sizeof http[0]; i++)
            assert_drops(t, http[i], BRUIT_DROP_FOREIGN_HTTP);
        assert_drops(t, tls, BRUIT_DROP_FOREIGN_TLS);
        if (round == 0)
            t->wire.label.label = br_bytes_text("blue");
        if (round == 1)
            test_wire_key(t, 0, 16);
        if (round == 2)
            t->wire.label.label = br_bytes(NULL, 0);
    }
    t->wire.verify_incoming = false;
    assert_drops(t, http[0], BRUIT_DROP_FOREIGN_HTTP);
    assert_drops(t, br_bytes_text("GETTING"), BRUIT_DROP_UNKNOWN_TYPE);
}

/* ---- building ---- */

/* What is counted against the budget is what a sealed, labelled packet of any version really takes. */
static void test_a_full_budget_never_exceeds_the_packet_size(void **state)
{
    struct test_wire *t = *state;
    enum { SIZE_MAX_WANTED = 1400 };
    for (int variant = 0; variant < 12; variant++) {
        br_keyring_fini(&t->ring);
        t->wire.seal_version = (uint8_t)(variant % 2);
        t->wire.label.label = variant / 2 % 2 == 0 ? br_bytes(NULL, 0) : br_bytes_text("some label");
        t->wire.compression = variant / 4 == 2;
        if (variant / 4 >= 1)
            test_wire_key(t, 0, 16);
        size_t budget = br_packet_budget(&t->wire, SIZE_MAX_WANTED);
        for (size_t message_size = 1; message_size < 200; message_size += 7) {
            struct br_packet_builder builder;
            uint8_t *tight = malloc(SIZE_MAX_WANTED + 5);
            uint8_t message[200];
            size_t size = 0;
            size_t left = budget;
            struct br_rng rng;
            br_rng_init(&rng, message_size, "packet");
            br_packet_begin(&builder, &t->wire, &t->scratch, tight, SIZE_MAX_WANTED + 5, true);
            while (left >= message_size + BR_PACKET_MESSAGE_OVERHEAD &&
                   builder.count < BR_COMPOUND_PARTS_MAX) {
                for (size_t i = 0; i < message_size; i++)
                    message[i] = i == 0 ? BR_USER : (uint8_t)br_rng_below(&rng, 256);
                assert_int_equal(br_packet_add(&builder, br_bytes(message, message_size)), 0);
                left -= message_size + BR_PACKET_MESSAGE_OVERHEAD;
            }
            size_t count = builder.count;
            assert_int_equal(br_packet_finish(&builder, &size), 0);
            assert_true(size <= SIZE_MAX_WANTED + 5);
            assert_int_equal(test_wire_open(t, br_bytes(tight, size)), 0);
            assert_int_equal(t->leaf_count, count);
            free(tight);
        }
    }
}

/* The numbers themselves, from memberlist's description of its budget. */
static void test_the_budget_is_memberlists(void **state)
{
    struct test_wire *t = *state;
    assert_int_equal(br_packet_budget(&t->wire, 1400), 1398);
    t->wire.label.label = br_bytes_text("blue");
    assert_int_equal(br_packet_budget(&t->wire, 1400), 1398 - 6);
    test_wire_key(t, 0, 16);
    assert_int_equal(br_packet_budget(&t->wire, 1400), 1398 - 6 - 29);
    t->wire.seal_version = 0;
    assert_int_equal(br_packet_budget(&t->wire, 1400), 1398 - 6 - 45);
    assert_int_equal(br_packet_budget(&t->wire, 40), 0);
}

/*
 * A message for which there is no room is refused, in one piece or written in place, and the packet is as
 * before.
 */
static void test_what_does_not_fit_changes_nothing(void **state)
{
    struct test_wire *t = *state;
    for (size_t capacity = 8; capacity < 40; capacity++) {
        struct br_packet_builder builder;
        uint8_t *tight = malloc(capacity);
        size_t size = 0;
        br_packet_begin(&builder, &t->wire, &t->scratch, tight, capacity, true);
        assert_int_equal(br_packet_add(&builder, user("ab")), 0);
        size_t room = br_packet_room(&builder);
        int second = br_packet_add(&builder, user("0123456789"));
        assert_int_equal(second, room >= 11 ? 0 : BRUIT_ETOOBIG);
        struct br_writer leaf = br_packet_leaf(&builder);
        br_write_bytes(&leaf, user("a message that never fits in here at all"));
        assert_int_equal(br_packet_leaf_end(&builder, &leaf), BRUIT_ETOOBIG);
        assert_int_equal(br_packet_finish(&builder, &size), 0);
        assert_int_equal(test_wire_open(t, br_bytes(tight, size)), 0);
        assert_int_equal(t->leaf_count, second == 0 ? 2 : 1);
        assert_leaf(t, 0, "ab");
        free(tight);
    }
}

/* Whatever the buffer's size, a message that fills the room to the last byte still gets its layers. */
static void test_what_fills_the_room_fits_with_all_its_layers(void **state)
{
    struct test_wire *t = *state;
    uint8_t message[200] = {BR_USER};
    test_wire_key(t, 0, 16);
    t->wire.label.label = br_bytes_text("blue");
    for (uint8_t version = 0; version <= 1; version++) {
        t->wire.seal_version = version;
        for (size_t capacity = 60; capacity < 200; capacity++) {
            struct br_packet_builder builder;
            uint8_t *tight = malloc(capacity);
            size_t size = 0;
            br_packet_begin(&builder, &t->wire, &t->scratch, tight, capacity, true);
            size_t room = br_packet_room(&builder);
            assert_true(room > 0);
            assert_int_equal(br_packet_add(&builder, br_bytes(message, room)), 0);
            assert_int_equal(br_packet_room(&builder), 0);
            assert_int_equal(br_packet_finish(&builder, &size), 0);
            assert_true(size <= capacity);
            assert_int_equal(test_wire_open(t, br_bytes(tight, size)), 0);
            assert_int_equal(test_wire_leaf(t, 0).size, room - 1);
            free(tight);
        }
    }
}

/* The 256th message does not fit, however much room there is. */
static void test_a_packet_takes_255_messages(void **state)
{
    struct test_wire *t = *state;
    struct br_packet_builder builder;
    size_t size = 0;
    br_packet_begin(&builder, &t->wire, &t->scratch, buffer, sizeof buffer, false);
    for (int i = 0; i < BR_COMPOUND_PARTS_MAX; i++)
        assert_int_equal(br_packet_add(&builder, user("m")), 0);
    assert_int_equal(br_packet_room(&builder), 0);
    assert_int_equal(br_packet_add(&builder, user("m")), BRUIT_ETOOBIG);
    assert_int_equal(br_packet_finish(&builder, &size), 0);
    assert_int_equal(test_wire_open(t, br_bytes(buffer, size)), 0);
    assert_int_equal(t->leaf_count, BR_COMPOUND_PARTS_MAX);
}

/* Packets keep coming, of every kind: after the first of each, none costs an allocation. */
static void test_steady_state_allocates_nothing(void **state)
{
    struct test_wire *t = *state;
    const struct bruit_bytes messages[] = {user("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
                                           user("hello")};
    uint64_t asked = 0;
    t->wire.compression = true;
    test_wire_key(t, 0, 32);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(test_wire_open(t, build(t, true, messages, 2)), 0);
        assert_int_equal(t->leaf_count, 2);
        if (i == 0)
            asked = t->memory.count;
    }
    assert_int_equal(t->memory.count, asked);
}

/*
 * Memory runs out, at each allocation in turn: the packet is lost, or goes out uncompressed; nothing else
 * happens.
 */
static void test_survives_every_allocation_failing(void **state)
{
    struct test_wire *t = *state;
    const struct bruit_bytes message = user("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    test_wire_key(t, 0, 32);
    t->wire.compression = true;
    struct bruit_bytes packet = build_one(t, true, message);
    memcpy(other, packet.data, packet.size);
    packet.data = other;
    int failures = 0;
    for (uint64_t nth = 1; nth <= 10; nth++) {
        br_scratch_fini(&t->scratch);
        t->memory.fail_at = t->memory.count + nth;
        int result = test_wire_open(t, packet);
        assert_true(result == 0 || result == BRUIT_ENOMEM);
        assert_int_equal(t->leaf_count, result == 0);
        assert_int_equal(t->drop_count, 0);
        failures += result != 0;
        br_scratch_fini(&t->scratch);
        t->memory.fail_at = t->memory.count + nth;
        struct bruit_bytes sent = build_one(t, true, message);
        t->memory.fail_at = 0;
        assert_opens_to(t, sent, (const char *)message.data + 1);
    }
    assert_true(failures >= 3); /* the opened packet, the decoder, the expanded packet */
}

/* The sink gives up in the middle of a compound: the packet ends there, with its error. */
static void test_an_error_of_the_sink_ends_the_packet(void **state)
{
    struct test_wire *t = *state;
    const struct bruit_bytes messages[] = {user("one"), user("two")};
    t->leaf_error = BRUIT_ENOMEM;
    assert_int_equal(test_wire_open(t, build(t, false, messages, 2)), BRUIT_ENOMEM);
    assert_int_equal(t->info.messages, 1);
}

/* Changed packets of every kind: whatever is left of them, within bounds (the sanitizers look on). */
static void test_survives_mutated_packets(void **state)
{
    struct test_wire *t = *state;
    const struct bruit_bytes messages[] = {user("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
                                           user("bbbbbbbbbbbbbbbbbb")};
    struct br_rng rng;
    br_rng_init(&rng, test_seed(), "packet");
    for (int i = 0; i < 20000; i++) {
        t->wire.compression = br_rng_below(&rng, 2) == 0;
        struct bruit_bytes packet = build(t, false, messages, 1 + br_rng_below(&rng, 2));
        for (uint32_t changes = 1 + br_rng_below(&rng, 3); changes > 0; changes--)
            buffer[br_rng_below(&rng, (uint32_t)packet.size)] = (uint8_t)br_rng_below(&rng, 256);
        packet.size -= br_rng_below(&rng, 4);
        assert_int_equal(test_wire_open(t, packet), 0);
    }
}

int main(void)
{
#define WITH_WIRE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_WIRE(test_hands_on_leaves_and_only_leaves),
        WITH_WIRE(test_drops_empty_packets_wherever_they_are_empty),
        WITH_WIRE(test_lets_in_packets_with_our_label_only),
        WITH_WIRE(test_behind_a_front_the_label_still_binds_sealed_packets),
        WITH_WIRE(test_checks_the_outermost_checksum_only),
        WITH_WIRE(test_writes_no_checksum_unless_told),
        WITH_WIRE(test_a_sealed_packet_is_bound_to_its_label),
        WITH_WIRE(test_seals_in_the_version_it_is_configured_for),
        WITH_WIRE(test_drops_a_sealed_packet_with_any_bit_flipped),
        WITH_WIRE(test_plain_packets_pass_only_while_migrating),
        WITH_WIRE(test_seals_nothing_while_told_not_to),
        WITH_WIRE(test_drops_an_empty_plaintext),
        WITH_WIRE(test_does_not_send_without_entropy),
        WITH_WIRE(test_a_compound_of_255_parts_comes_out_whole),
        WITH_WIRE(test_parts_before_a_cut_are_processed),
        WITH_WIRE(test_a_compound_without_its_lengths_is_dropped_whole),
        WITH_WIRE(test_empty_parts_do_no_harm),
        WITH_WIRE(test_a_bad_part_spoils_no_other),
        WITH_WIRE(test_compresses_only_what_gets_shorter),
        WITH_WIRE(test_compresses_exactly_when_shorter),
        WITH_WIRE(test_drops_compressed_packets_that_cannot_be_expanded),
        WITH_WIRE(test_refuses_a_bomb_with_bounded_memory),
        WITH_WIRE(test_the_limit_covers_the_whole_packet),
        WITH_WIRE(test_nested_layers_are_bounded),
        WITH_WIRE(test_messages_in_one_packet_are_bounded),
        WITH_WIRE(test_recognises_http_and_tls),
        WITH_WIRE(test_a_full_budget_never_exceeds_the_packet_size),
        WITH_WIRE(test_the_budget_is_memberlists),
        WITH_WIRE(test_what_does_not_fit_changes_nothing),
        WITH_WIRE(test_what_fills_the_room_fits_with_all_its_layers),
        WITH_WIRE(test_a_packet_takes_255_messages),
        WITH_WIRE(test_steady_state_allocates_nothing),
        WITH_WIRE(test_survives_every_allocation_failing),
        WITH_WIRE(test_an_error_of_the_sink_ends_the_packet),
        WITH_WIRE(test_survives_mutated_packets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
