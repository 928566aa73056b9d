/*
 * Bad input: each item of docs/wire/memberlist.md section 12, told to a whole engine with Serf's module. What is
 * refused is counted under the reason that its test names, and nothing else happens: no member changes, no rumour
 * starts, no memory stays. Each is said many times over, since what leaks a little is found by saying it again.
 */
#include "support/peer.h"

#include <bruit/status.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define S BRUIT_SECOND
#define MS BRUIT_MILLISECOND
#define TIMES 20

struct scene {
    struct world *w;
    struct peer *p;
};

static const uint8_t key_bytes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const struct bruit_bytes keys[] = {{key_bytes, 16}};
static const struct bruit_module *const modules[] = {&bruit_status_module};

static void with_keys(struct bruit_config *config)
{
    config->keys = keys;
    config->key_count = 1;
}

static void with_label(struct bruit_config *config)
{
    config->label = world_bytes("red");
}

/* n0 knows x, and the peer has the key, if there is one. */
static struct scene scene_with(uint64_t seed, void (*change)(struct bruit_config *config))
{
    struct scene s = {.w = world_new(seed)};
    s.w->config.modules = modules;
    s.w->config.module_count = 1;
    if (change != NULL)
        change(&s.w->config);
    (void)world_add(s.w);
    assert_int_equal(world_start(s.w, 0), 0);
    s.p = peer_new(s.w, 0, "p", 1);
    if (change == with_keys)
        test_wire_key(s.p->wire, 0, 16);
    struct br_alive x = peer_other(s.p, "x", 1, 5);
    peer_add_alive(s.p, &x);
    assert_int_equal(peer_send(s.p), 0);
    /* The first stream makes room for a few; and what events lent is given back. */
    int line = world_dial(s.w, 0, &s.p->addr);
    world_line_close(s.w, &s.w->lines[line], 0);
    assert_int_equal(bruit_tick(s.w->nodes[0].engine, s.w->now), 0);
    return s;
}

static struct scene scene(uint64_t seed)
{
    return scene_with(seed, NULL);
}

static void end(struct scene *s)
{
    assert_int_equal(world_state_of(s->w, 0, "x"), BRUIT_ALIVE);
    peer_free(s->p);
    world_free(s->w);
}

struct before {
    uint64_t checksum;
    uint64_t drops;
    struct bruit_stats stats;
};

static struct before note(const struct scene *s)
{
    return (struct before){bruit_view_checksum(s->w->nodes[0].engine), world_drops(s->w, 0),
                           world_stats(s->w, 0)};
}

/* `times` drops of this reason, none of another, and nothing else. */
static void assert_only_dropped(const struct scene *s, const struct before *before, enum bruit_drop reason,
                                uint64_t times)
{
    struct bruit_stats now = world_stats(s->w, 0);
    if (now.drops[reason] - before->stats.drops[reason] != times)
        for (int i = 0; i < BRUIT_DROP_COUNT; i++)
            if (now.drops[i] != before->stats.drops[i])
                printf("dropped: %s\n", bruit_drop_name((enum bruit_drop)i));
    assert_int_equal(now.drops[reason] - before->stats.drops[reason], times);
    assert_int_equal(world_drops(s->w, 0) - before->drops, times);
    assert_int_equal(bruit_view_checksum(s->w->nodes[0].engine), before->checksum);
    assert_int_equal(now.rumours, before->stats.rumours);
    assert_int_equal(now.memory, before->stats.memory);
}

static void send_many(struct scene *s, struct bruit_bytes packet)
{
    for (int i = 0; i < TIMES; i++)
        assert_int_equal(peer_send_bytes(s->p, packet), 0);
}

/* A datagram as it is. The first may warm up the working memory. */
static void refuse_packet(struct scene *s, struct bruit_bytes packet, enum bruit_drop reason)
{
    assert_int_equal(peer_send_bytes(s->p, packet), 0);
    struct before before = note(s);
    send_many(s, packet);
    assert_only_dropped(s, &before, reason, TIMES);
    assert_int_equal(world_stats(s->w, 0).allocations, before.stats.allocations);
}

/* A message, in the peer's usual packet. */
static void refuse_message(struct scene *s, struct bruit_bytes message, enum bruit_drop reason)
{
    uint8_t packet[8192];
    size_t size = test_wire_build(s->p->wire, false, &message, 1, packet, sizeof packet);
    refuse_packet(s, br_bytes(packet, size), reason);
}

#define TEXT(literal) br_bytes((const uint8_t *)(literal), sizeof(literal) - 1)

/* A stream of raw bytes, after which the peer closes: no answer, and counted once each. */
static void refuse_stream(struct scene *s, struct bruit_bytes bytes, enum bruit_drop reason)
{
    struct before before = {0};
    for (int i = 0; i <= TIMES; i++) {
        if (i == 1)
            before = note(s);
        int line = world_dial(s->w, 0, &s->p->addr);
        world_line_write(s->w, &s->w->lines[line], bytes);
        assert_int_equal(s->w->lines[line].size, 0);
        if (s->w->lines[line].is_open[1])
            world_line_close(s->w, &s->w->lines[line], 0);
    }
    assert_only_dropped(s, &before, reason, TIMES);
}

/* The same, and each is answered with an err message that says why. */
static void refuse_stream_aloud(struct scene *s, struct bruit_bytes bytes, enum bruit_drop reason)
{
    struct before before = {0};
    for (int i = 0; i <= TIMES; i++) {
        struct peer_answer answer;
        if (i == 1)
            before = note(s);
        int line = world_dial(s->w, 0, &s->p->addr);
        world_line_write(s->w, &s->w->lines[line], bytes);
        peer_read_answer(s->p, &s->w->lines[line], &answer);
        assert_int_equal(answer.type, BR_ERR);
        assert_true(answer.closed);
        assert_string_equal(answer.text, bruit_drop_text(reason));
    }
    assert_only_dropped(s, &before, reason, TIMES);
}

/* A message in the peer's usual frame. */
static void refuse_framed(struct scene *s, struct bruit_bytes message, enum bruit_drop reason)
{
    struct br_frame frame = {0};
    assert_int_equal(br_frame_write(&s->p->wire->wire, &s->p->wire->scratch, message, true, &frame), 0);
    refuse_stream(s, frame.bytes, reason);
    br_frame_free(&frame, &s->p->wire->alloc);
}

static struct bruit_bytes encoded_alive(uint8_t *buffer, size_t capacity, const struct br_alive *alive)
{
    struct br_writer w;
    br_writer_init(&w, buffer, capacity);
    br_alive_encode(&w, alive);
    assert_false(w.failed);
    return br_writer_bytes(&w);
}

/* Item 1: version vectors of every length below six, in gossip and in a state. */
static void test_item_1_short_versions(void **state)
{
    struct scene s = scene(201);
    uint8_t buffer[512];
    (void)state;
    for (size_t size = 0; size < 6; size++) {
        struct br_alive y = peer_other(s.p, "y", 2, 1);
        y.vsn.size = size;
        refuse_message(&s, encoded_alive(buffer, sizeof buffer, &y), BRUIT_DROP_BAD_ALIVE);
        struct br_entry entry = {.alive = y, .state = BR_ENTRY_ALIVE};
        struct peer_answer answer;
        struct before before = note(&s);
        for (int i = 0; i < TIMES; i++)
            peer_sync(s.p, false, &entry, 1, &answer);
        assert_only_dropped(&s, &before, BRUIT_DROP_VERSIONS, TIMES);
    }
    end(&s);
}

/* Item 2: versions that would spoil every later merge: test_claims.c has each; here one, and the merge that works. */
static void test_item_2_poisonous_versions(void **state)
{
    static const uint8_t poison[6] = {1, 5, 2, 2, 9, 9};
    struct scene s = scene(202);
    uint8_t buffer[512];
    struct br_alive y = peer_other(s.p, "y", 2, 1);
    struct peer_answer answer;
    (void)state;
    y.vsn = br_bytes(poison, 6);
    refuse_message(&s, encoded_alive(buffer, sizeof buffer, &y), BRUIT_DROP_BAD_ALIVE);
    struct br_entry entry = peer_entry(s.p, "z", 3, 1, BR_ENTRY_ALIVE);
    peer_sync(s.p, false, &entry, 1, &answer);
    assert_int_equal(world_state_of(s.w, 0, "z"), BRUIT_ALIVE);
    end(&s);
}

/* A compress message around `plain`. */
static struct bruit_bytes compressed(struct scene *s, struct bruit_bytes plain, uint8_t *buffer,
                                     size_t capacity)
{
    struct br_lzw_encoder *encoder = br_scratch_encoder(&s->p->wire->scratch);
    uint8_t *packed = malloc(capacity);
    size_t size = 0;
    struct br_writer w;
    assert_int_equal(br_lzw_encode(encoder, plain, packed, capacity, &size), 0);
    br_writer_init(&w, buffer, capacity);
    br_compress_encode(&w, &(struct br_compress){.algo = 0, .buf = br_bytes(packed, size)});
    assert_false(w.failed);
    free(packed);
    return br_writer_bytes(&w);
}

/* Item 3: a packet of some 4 kB that expands to 2 MiB, a stream of some 100 kB that expands to 41 MiB. What is
 * expanded before the cap is seen is given back. */
static void test_item_3_bombs(void **state)
{
    struct scene s = scene(203);
    size_t large = (size_t)41 << 20;
    uint8_t *plain = calloc(1, large);
    uint8_t *buffer = malloc(1 << 20);
    (void)state;
    struct bruit_bytes bomb = compressed(&s, br_bytes(plain, 2 << 20), buffer, 65000);
    assert_int_equal(peer_send_bytes(s.p, bomb), 0);
    struct before before = note(&s);
    send_many(&s, bomb);
    assert_only_dropped(&s, &before, BRUIT_DROP_COMPRESS_BOMB, TIMES);
    assert_true(world_stats(s.w, 0).memory < (4 << 20));
    bomb = compressed(&s, br_bytes(plain, large), buffer, 1 << 20);
    int line = world_dial(s.w, 0, &s.p->addr);
    before = note(&s);
    world_line_write(s.w, &s.w->lines[line], bomb);
    assert_int_equal(world_stats(s.w, 0).drops[BRUIT_DROP_COMPRESS_BOMB] -
                         before.stats.drops[BRUIT_DROP_COMPRESS_BOMB],
                     1);
    world_line_close(s.w, &s.w->lines[line], 0);
    assert_true(world_stats(s.w, 0).memory < (4 << 20));
    free(plain);
    free(buffer);
    end(&s);
}

/* Item 4: compressed nothing. */
static void test_item_4_empty_expansion(void **state)
{
    static const char empty[] = "\x09\x82\xa4"
                                "Algo\x00\xa3"
                                "Buf\xa3\x00\x03\x02";
    struct scene s = scene(204);
    (void)state;
    refuse_packet(&s, TEXT(empty), BRUIT_DROP_EMPTY);
    refuse_stream_aloud(&s, TEXT(empty), BRUIT_DROP_EMPTY);
    end(&s);
}

/* Item 5: nothing at all, a checksum around nothing, a compound of nothing, of empty parts; sealed nothing. */
static void test_item_5_empty_insides(void **state)
{
    static const uint8_t crc_of_nothing[] = {BR_HAS_CRC, 0, 0, 0, 0};
    static const uint8_t empty_part[] = {BR_COMPOUND, 1, 0, 0};
    struct scene s = scene(205);
    (void)state;
    refuse_packet(&s, br_bytes(NULL, 0), BRUIT_DROP_EMPTY);
    refuse_packet(&s, br_bytes(crc_of_nothing, 5), BRUIT_DROP_EMPTY);
    refuse_packet(&s, br_bytes(crc_of_nothing, 4), BRUIT_DROP_UNKNOWN_TYPE);
    refuse_packet(&s, br_bytes(empty_part, 4), BRUIT_DROP_EMPTY);
    end(&s);
}

/* Seals `plain` for a stream or, with `aad` empty, for a datagram. */
static size_t sealed(struct scene *s, uint8_t version, struct bruit_bytes plain, struct bruit_bytes aad,
                     uint8_t *envelope)
{
    static const uint8_t nonce[12] = {1};
    if (plain.size > 0)
        memcpy(envelope + BR_SEAL_HEAD, plain.data, plain.size);
    assert_int_equal(br_seal(&s->p->wire->ring, version, nonce, aad, envelope, plain.size), 0);
    return br_seal_size(version, plain.size);
}

/* Item 6: an empty plaintext that verifies, in a datagram and in a stream's frame; padding longer than the message. */
static void test_item_6_sealed_nothing(void **state)
{
    struct scene s = scene_with(206, with_keys);
    uint8_t bytes[128];
    (void)state;
    size_t size = sealed(&s, 1, br_bytes(NULL, 0), br_bytes(NULL, 0), bytes);
    refuse_packet(&s, br_bytes(bytes, size), BRUIT_DROP_EMPTY);
    const uint8_t head[5] = {BR_ENCRYPT, 0, 0, 0, 29};
    memcpy(bytes, head, 5);
    size = sealed(&s, 1, br_bytes(NULL, 0), br_bytes(head, 5), bytes + 5);
    refuse_stream_aloud(&s, br_bytes(bytes, 5 + size), BRUIT_DROP_EMPTY);
    /* Version 0, sixteen bytes sealed by hand whose last says 17. */
    uint8_t plain[16] = {0};
    plain[15] = 17;
    size = sealed(&s, 1, br_bytes(plain, 16), br_bytes(NULL, 0), bytes);
    bytes[0] = 0;
    refuse_packet(&s, br_bytes(bytes, size), BRUIT_DROP_UNDECRYPTABLE);
    end(&s);
}

/* Items 7 and 8: numbers of entries and sizes that are negative or absurd; nothing is set aside for them. */
static void test_items_7_and_8_announced_sizes(void **state)
{
    struct scene s = scene(207);
    size_t peak;
    (void)state;
    peak = world_stats(s.w, 0).memory_peak;
    refuse_stream(&s, TEXT("\x06\x83\xa4Join\xc2\xa5Nodes\xce\x00\x10\x00\x01\xacUserStateLen\x00"),
                  BRUIT_DROP_MALFORMED);
    refuse_stream(&s, TEXT("\x06\x83\xa4Join\xc2\xa5Nodes\xff\xacUserStateLen\x00"), BRUIT_DROP_MALFORMED);
    refuse_stream(&s, TEXT("\x06\x83\xa4Join\xc2\xa5Nodes\x00\xacUserStateLen\xce\x01\x40\x00\x01"),
                  BRUIT_DROP_MALFORMED);
    refuse_stream(&s, TEXT("\x08\x81\xaaUserMsgLen\xce\x01\x40\x00\x01"), BRUIT_DROP_MALFORMED);
    refuse_stream(&s, TEXT("\x08\x81\xaaUserMsgLen\xff"), BRUIT_DROP_MALFORMED);
    refuse_stream(&s, TEXT("\x08\x81\xaaUserMsgLen\xd3\xff\xff\xff\xff\xff\xff\xff\xff"),
                  BRUIT_DROP_MALFORMED);
    /* Allowed, but they never come. */
    refuse_stream(
        &s, TEXT("\x06\x83\xa4Join\xc2\xa5Nodes\xce\x00\x10\x00\x00\xacUserStateLen\xce\x01\x40\x00\x00"),
        BRUIT_DROP_STREAM_TRUNCATED);
    refuse_stream(&s, TEXT("\x08\x81\xaaUserMsgLen\xce\x01\x40\x00\x00"), BRUIT_DROP_STREAM_TRUNCATED);
    assert_true(world_stats(s.w, 0).memory_peak < peak + 65536);
    end(&s);
}

/* Item 9: a compound without its table; with half of it; whose second part is longer than what is left (the first is
 * good: an ack nobody waits for). */
static void test_item_9_compound_tables(void **state)
{
    static const uint8_t no_count[] = {BR_COMPOUND};
    static const uint8_t half[] = {BR_COMPOUND, 200, 0, 1, 0, 1};
    static const uint8_t cut[] = {BR_COMPOUND, 2,   0,   9,   1,   0, BR_ACK, 0x81, 0xa5,
                                  'S',         'e', 'q', 'N', 'o', 9, 4,      0x86};
    struct scene s = scene(209);
    (void)state;
    refuse_packet(&s, br_bytes(no_count, 1), BRUIT_DROP_TRUNCATED_COMPOUND);
    refuse_packet(&s, br_bytes(half, sizeof half), BRUIT_DROP_TRUNCATED_COMPOUND);
    struct before before = note(&s);
    send_many(&s, br_bytes(cut, sizeof cut));
    struct bruit_stats now = world_stats(s.w, 0);
    assert_int_equal(
        now.drops[BRUIT_DROP_TRUNCATED_COMPOUND] - before.stats.drops[BRUIT_DROP_TRUNCATED_COMPOUND], TIMES);
    assert_int_equal(now.drops[BRUIT_DROP_UNKNOWN_ACK] - before.stats.drops[BRUIT_DROP_UNKNOWN_ACK], TIMES);
    assert_int_equal(now.memory, before.stats.memory);
    end(&s);
}

/* Item 10: lengths beyond what is there, nesting without end, numbers out of range, wrong families; and duplicate keys,
 * which harm nobody. */
static void test_item_10_msgpack(void **state)
{
    struct scene s = scene(210);
    static uint8_t deep[2000];
    (void)state;
    refuse_message(&s,
                   TEXT("\x03\x83\xa4"
                        "From\xdb\xff\xff\xff\xff"
                        "p"),
                   BRUIT_DROP_MALFORMED);
    refuse_message(&s, TEXT("\x03\xdf\xff\xff\xff\xff"), BRUIT_DROP_MALFORMED);
    refuse_message(&s, TEXT("\x04\xdd\xff\xff\xff\xff"), BRUIT_DROP_MALFORMED);
    refuse_message(&s, TEXT("\x02\x81\xa5SeqNo\xff"), BRUIT_DROP_MALFORMED);
    refuse_message(&s, TEXT("\x02\x81\xa5SeqNo\xcf\x00\x00\x00\x01\x00\x00\x00\x00"), BRUIT_DROP_MALFORMED);
    refuse_message(&s, TEXT("\x02\x81\xa5SeqNo\xcb\x00\x00\x00\x00\x00\x00\x00\x00"), BRUIT_DROP_MALFORMED);
    refuse_message(&s,
                   TEXT("\x02\x81\xa5SeqNo\xa1"
                        "1"),
                   BRUIT_DROP_MALFORMED);
    refuse_message(&s,
                   TEXT("\x02\xa1"
                        "1"),
                   BRUIT_DROP_MALFORMED);
    refuse_message(&s, TEXT("\x02"), BRUIT_DROP_MALFORMED);
    memset(deep, 0x91, sizeof deep);
    memcpy(deep, "\x02\x82\xa1?", 4);
    refuse_message(&s, br_bytes(deep, sizeof deep), BRUIT_DROP_MALFORMED);
    refuse_message(&s, TEXT("\x02\x82\xa5SeqNo\x01\xa5SeqNo\x02"), BRUIT_DROP_UNKNOWN_ACK);
    end(&s);
}

/* Item 11: layers in layers; thousands of parts. */
static void test_item_11_layers_and_parts(void **state)
{
    struct scene s = scene(211);
    uint8_t nested[64];
    static uint8_t many[65000];
    size_t size = 0;
    (void)state;
    /* Compound in compound, six deep, each of one part. */
    const uint8_t leaf[] = {BR_NACK, 0x80};
    memcpy(nested + 48, leaf, 2);
    size_t start = 48;
    for (int i = 0; i < 6; i++) {
        uint8_t head[4] = {BR_COMPOUND, 1, 0, (uint8_t)(50 - start)};
        start -= 4;
        memcpy(nested + start, head, 4);
    }
    refuse_packet(&s, br_bytes(nested + start, 50 - start), BRUIT_DROP_TOO_DEEP);
    /* 8 x 255 acks that nobody waits for: 1,024 parts are looked at, the containers among them, and no more. */
    many[size++] = BR_COMPOUND;
    many[size++] = 8;
    size_t inner = 2 + 2 * 255 + 255 * 2;
    for (int i = 0; i < 8; i++) {
        many[size++] = (uint8_t)(inner >> 8);
        many[size++] = (uint8_t)inner;
    }
    for (int i = 0; i < 8; i++) {
        many[size++] = BR_COMPOUND;
        many[size++] = 255;
        for (int k = 0; k < 255; k++) {
            many[size++] = 0;
            many[size++] = 2;
        }
        for (int k = 0; k < 255; k++) {
            many[size++] = BR_NACK;
            many[size++] = 0x80;
        }
    }
    struct before before = note(&s);
    assert_int_equal(peer_send_bytes(s.p, br_bytes(many, size)), 0);
    struct bruit_stats now = world_stats(s.w, 0);
    assert_true(now.drops[BRUIT_DROP_TOO_MANY_MESSAGES] > before.stats.drops[BRUIT_DROP_TOO_MANY_MESSAGES]);
    assert_true(now.drops[BRUIT_DROP_UNKNOWN_ACK] - before.stats.drops[BRUIT_DROP_UNKNOWN_ACK] <= 1024);
    assert_int_equal(now.memory, before.stats.memory);
    end(&s);
}

/* Item 12: label headers that are empty, cut short, of another cluster, missing or doubled; each stream is closed once
 * (the world would stop at a second close). */
static void test_item_12_labels(void **state)
{
    struct scene s = scene_with(212, with_label);
    (void)state;
    refuse_packet(&s, TEXT("\xf4"), BRUIT_DROP_LABEL_MALFORMED);
    refuse_packet(&s, TEXT("\xf4\x00\x0b\x80"), BRUIT_DROP_LABEL_MALFORMED);
    refuse_packet(&s, TEXT("\xf4\x09red"), BRUIT_DROP_LABEL_MALFORMED);
    refuse_packet(&s,
                  TEXT("\xf4\x04"
                       "blue\x0b\x80"),
                  BRUIT_DROP_LABEL_WRONG);
    refuse_packet(&s, TEXT("\x0b\x80"), BRUIT_DROP_LABEL_MISSING);
    refuse_packet(&s, TEXT("\xf4\x03red\xf4\x03red\x0b\x80"), BRUIT_DROP_UNKNOWN_TYPE);
    refuse_packet(&s, TEXT("\xf4\x03red"), BRUIT_DROP_EMPTY);
    refuse_stream(&s, TEXT("\xf4\x00\x0b\x80"), BRUIT_DROP_LABEL_MALFORMED);
    refuse_stream(&s,
                  TEXT("\xf4\x04"
                       "blue\x0b\x80"),
                  BRUIT_DROP_LABEL_WRONG);
    refuse_stream(&s, TEXT("\x00\x80"), BRUIT_DROP_LABEL_MISSING);
    end(&s);
    s = scene(212);
    refuse_packet(&s, TEXT("\xf4\x03red\x0b\x80"), BRUIT_DROP_LABEL_UNEXPECTED);
    refuse_stream(&s, TEXT("\xf4\x03red\x00\x80"), BRUIT_DROP_LABEL_UNEXPECTED);
    end(&s);
}

/* Items 14 and 21: an ack that comes in the very moment of the ping finds its probe; a guessed number, an old one and a
 * second one do not, and the numbers do not begin at 1. */
static void test_items_14_and_21_ack_numbers(void **state)
{
    struct scene s = scene(214);
    struct br_ping ping = {0};
    (void)state;
    for (int i = 0; i < 2000 && !peer_heard_ping(s.p, "x", &ping); i++) {
        world_run(s.w, MS);
        peer_hear_at(s.p, NULL);
    }
    assert_true(ping.seq > 1000);
    uint64_t before = world_stats(s.w, 0).drops[BRUIT_DROP_UNKNOWN_ACK];
    peer_ack(s.p, ping.seq + 1);
    peer_ack(s.p, ping.seq - 2);
    assert_int_equal(peer_send(s.p), 0);
    assert_int_equal(world_stats(s.w, 0).drops[BRUIT_DROP_UNKNOWN_ACK], before + 2);
    peer_ack(s.p, ping.seq);
    assert_int_equal(peer_send(s.p), 0);
    assert_int_equal(world_stats(s.w, 0).drops[BRUIT_DROP_UNKNOWN_ACK], before + 2);
    peer_ack(s.p, ping.seq);
    peer_nack(s.p, ping.seq);
    assert_int_equal(peer_send(s.p), 0);
    assert_int_equal(world_stats(s.w, 0).drops[BRUIT_DROP_UNKNOWN_ACK], before + 4);
    struct scene other = scene(2140);
    struct br_ping second = {0};
    for (int i = 0; i < 2000 && !peer_heard_ping(other.p, "x", &second); i++) {
        world_run(other.w, MS);
        peer_hear_at(other.p, NULL);
    }
    assert_int_not_equal(ping.seq, second.seq);
    end(&other);
    end(&s);
}

/* Item 15: of three members the only possible relay is always asked. */
static void test_item_15_the_only_relay_is_asked(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct world *w = world_new(seed);
        w->config.stream_pings = false;
        world_cluster(w, 3);
        assert_true(world_wait_all_alive(w, 5 * S));
        world_cut(w, 0, 1, true);
        world_run(w, 10 * S);
        assert_int_equal(world_events(w, 0, BRUIT_EVENT_MEMBER, "n1", BRUIT_CHANGE_SUSPECTED), 0);
        world_free(w);
    }
}

/* Item 16: a frame of 20 MiB is waited for, one byte more is refused before any of it is read, aloud; and a plain
 * stream ends at 40 MiB. */
static void test_item_16_stream_sizes(void **state)
{
    static const uint8_t allowed[] = {BR_ENCRYPT, 0x01, 0x40, 0x00, 0x00};
    static const uint8_t refused[] = {BR_ENCRYPT, 0x01, 0x40, 0x00, 0x01};
    struct scene s = scene_with(216, with_keys);
    (void)state;
    int line = world_dial(s.w, 0, &s.p->addr);
    world_line_write(s.w, &s.w->lines[line], br_bytes(allowed, 5));
    assert_true(s.w->lines[line].is_open[1]);
    assert_int_equal(s.w->lines[line].size, 0);
    world_line_close(s.w, &s.w->lines[line], 0);
    refuse_stream_aloud(&s, br_bytes(refused, 5), BRUIT_DROP_FRAME_TOO_BIG);
    end(&s);
    s = scene(216);
    uint8_t *piece = calloc(1, 1 << 20);
    struct before before = note(&s);
    line = world_dial(s.w, 0, &s.p->addr);
    world_line_write(s.w, &s.w->lines[line], TEXT("\x00\x81\xa1?\xdb\x7f\xff\xff\xff"));
    int sent = 0;
    for (; s.w->lines[line].is_open[1] && sent < 60; sent++)
        world_line_write(s.w, &s.w->lines[line], br_bytes(piece, 1 << 20));
    assert_int_equal(sent, 40);
    assert_only_dropped(&s, &before, BRUIT_DROP_STREAM_TOO_BIG, 1);
    free(piece);
    end(&s);
}

/* Item 19: 1,100 pings before the driver pulls: 1,024 are answered, the newest are not, and are counted. The same for
 * relayed pings, of which 256 may run. */
static void test_item_19_answers_are_bounded(void **state)
{
    struct scene s = scene(219);
    struct bruit_engine *engine = s.w->nodes[0].engine;
    struct bruit_addr from = s.p->addr;
    uint8_t bytes[256];
    struct br_writer w;
    (void)state;
    world_run(s.w, 10 * MS);
    for (uint32_t i = 0; i < 1100; i++) {
        br_writer_init(&w, bytes, sizeof bytes);
        br_ping_encode(&w, &(struct br_ping){.seq = i, .node = world_bytes("n0")});
        assert_int_equal(bruit_recv_datagram(engine, &from, br_writer_bytes(&w), s.w->now), 0);
    }
    assert_int_equal(world_stats(s.w, 0).drops[BRUIT_DROP_ANSWERS_FULL], 76);
    world_settle(s.w, 0);
    peer_hear(s.p);
    assert_true(peer_heard_ack(s.p, 0) && peer_heard_ack(s.p, 1023) && !peer_heard_ack(s.p, 1024));
    for (uint32_t i = 0; i < 300; i++) {
        uint8_t target[4] = {10, 8, 0, 200};
        br_writer_init(&w, bytes, sizeof bytes);
        br_indirect_ping_encode(
            &w, &(struct br_indirect_ping){
                    .seq = i, .target = br_bytes(target, 4), .port = 1, .node = world_bytes("y")});
        assert_int_equal(bruit_recv_datagram(engine, &from, br_writer_bytes(&w), s.w->now), 0);
    }
    assert_int_equal(world_stats(s.w, 0).drops[BRUIT_DROP_RELAYS_FULL], 44);
    end(&s);
}

/* Item 27: the goodbye of our earlier life is said again by somebody: refuted. */
static void test_item_27_a_replayed_goodbye(void **state)
{
    struct scene s = scene(227);
    (void)state;
    peer_dead(s.p, "n0", 1, "n0");
    assert_int_equal(peer_send(s.p), 0);
    assert_int_equal(world_state_of(s.w, 0, "n0"), BRUIT_ALIVE);
    assert_int_equal(world_incarnation_of(s.w, 0, "n0"), 2);
    end(&s);
}

/* Item 28: with keys nothing plain is taken, and nothing that does not verify is taken for plain. */
static void test_item_28_nothing_plain_with_keys(void **state)
{
    struct scene s = scene_with(228, with_keys);
    uint8_t bytes[128];
    (void)state;
    refuse_packet(&s,
                  TEXT("\x05\x83\xa4"
                       "From\xa1p\xabIncarnation\x09\xa4Node\xa1x"),
                  BRUIT_DROP_UNDECRYPTABLE);
    size_t size = sealed(&s, 1,
                         TEXT("\x05\x83\xa4"
                              "From\xa1p\xabIncarnation\x09\xa4Node\xa1x"),
                         br_bytes(NULL, 0), bytes);
    bytes[20] ^= 1;
    refuse_packet(&s, br_bytes(bytes, size), BRUIT_DROP_UNDECRYPTABLE);
    bytes[20] ^= 1;
    bytes[0] = 2;
    refuse_packet(&s, br_bytes(bytes, size), BRUIT_DROP_UNDECRYPTABLE);
    end(&s);
}

/* Item 29: no nonce is used twice in a row of packets. */
static void test_item_29_nonces_differ(void **state)
{
    struct scene s = scene_with(229, with_keys);
    (void)state;
    for (uint32_t i = 0; i < 50; i++) {
        peer_ping(s.p, i, "n0");
        assert_int_equal(peer_send(s.p), 0);
    }
    assert_true(s.w->letter_count >= 50);
    for (size_t i = 0; i < s.w->letter_count; i++)
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(s.w->letters[i]->bytes + 1, s.w->letters[k]->bytes + 1, 12);
    end(&s);
}

/* Item 30: no line of the trace, at the most talkative level, shows a key, in hex or as it is. */
static void test_item_30_keys_are_not_traced(void **state)
{
    static const uint8_t secret[16] = "SECRETSECRETSECR";
    struct world *w = world_new(230);
    struct bruit_bytes key = br_bytes(secret, 16);
    (void)state;
    w->trace_level = BRUIT_TRACE_TRACE;
    w->config.keys = &key;
    w->config.key_count = 1;
    world_cluster(w, 3);
    assert_true(world_wait_all_alive(w, 5 * S));
    assert_int_equal(bruit_key_add(w->nodes[0].engine, br_bytes(key_bytes, 16)), 0);
    assert_int_equal(bruit_key_use(w->nodes[0].engine, br_bytes(key_bytes, 16)), 0);
    world_run(w, 30 * S);
    assert_true(w->trace_size > 0);
    assert_null(strstr(w->trace, "SECRET"));
    assert_null(strstr(w->trace, "534543524554"));
    assert_null(strstr(w->trace, "000102030405"));
    world_free(w);
}

/* Strangers: somebody's browser, somebody's TLS client, on both transports. Each gets a line that says what it is. */
static void test_strangers_are_named(void **state)
{
    struct scene s = scene(231);
    (void)state;
    refuse_packet(&s, TEXT("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), BRUIT_DROP_FOREIGN_HTTP);
    refuse_packet(&s, TEXT("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), BRUIT_DROP_FOREIGN_TLS);
    refuse_stream(&s, TEXT("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), BRUIT_DROP_FOREIGN_HTTP);
    refuse_stream(&s, TEXT("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), BRUIT_DROP_FOREIGN_TLS);
    assert_true(world_expect_trace(
        s.w, 0, "A datagram from 10.9.0.1:7946 is an HTTP request: this port speaks gossip"));
    assert_true(world_expect_trace(s.w, 0, "A connection from 10.9.0.1:7946 brought a TLS client hello"));
    end(&s);
}

/* Other refusals that have a name: unknown types, checksums, unknown ways of compression, broken ones, documents. */
static void test_other_refusals(void **state)
{
    struct scene s = scene(232);
    uint8_t buffer[256];
    (void)state;
    refuse_packet(&s, TEXT("\x63garbage"), BRUIT_DROP_UNKNOWN_TYPE);
    refuse_packet(&s, TEXT("\x06garbage"), BRUIT_DROP_UNKNOWN_TYPE);
    refuse_packet(&s, TEXT("\x0c\x00\x00\x00\x00\x0b\x80"), BRUIT_DROP_CRC_MISMATCH);
    refuse_packet(&s,
                  TEXT("\x09\x82\xa4"
                       "Algo\x01\xa3"
                       "Buf\xa1?"),
                  BRUIT_DROP_COMPRESS_ALGO);
    refuse_packet(&s,
                  TEXT("\x09\x82\xa4"
                       "Algo\x00\xa3"
                       "Buf\xa2\xff\xff"),
                  BRUIT_DROP_COMPRESS_BROKEN);
    refuse_packet(&s, TEXT("\x08!nobody's"), BRUIT_DROP_UNCLAIMED_MESSAGE);
    refuse_stream(&s, TEXT("\x63"), BRUIT_DROP_UNKNOWN_TYPE);
    refuse_stream_aloud(&s, TEXT("\x0a\x00\x00\x00\x40"), BRUIT_DROP_SEALED_WITHOUT_KEYS);
    refuse_framed(&s, TEXT("\x00\x81\xa4Node\xa2n9"), BRUIT_DROP_NOT_FOR_US);
    size_t size = peer_write_state(buffer, sizeof buffer, false, NULL, 0, TEXT("\x02not a map"));
    struct before before = note(&s);
    struct peer_answer answer;
    for (int i = 0; i < TIMES; i++)
        peer_ask(s.p, br_bytes(buffer, size), &answer, NULL);
    assert_only_dropped(&s, &before, BRUIT_DROP_BAD_DOCUMENT, TIMES);
    end(&s);
}

/* Every vector of bytes, cut at every place, changes nothing it should not: all prefixes of a good packet and of a
 * good stream, then single flipped bits of a sealed packet. */
static void test_cuts_and_flips(void **state)
{
    struct scene s = scene_with(233, with_keys);
    uint8_t bytes[256], buffer[512];
    (void)state;
    size_t size = sealed(&s, 1,
                         TEXT("\x05\x83\xa4"
                              "From\xa1p\xabIncarnation\x09\xa4Node\xa1x"),
                         br_bytes(NULL, 0), bytes);
    uint64_t before = bruit_view_checksum(s.w->nodes[0].engine);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(peer_send_bytes(s.p, br_bytes(bytes, cut)), 0);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(peer_send_bytes(s.p, br_bytes(bytes, size)), 0);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(bruit_view_checksum(s.w->nodes[0].engine), before);
    struct br_entry entry = peer_entry(s.p, "y", 2, 1, BR_ENTRY_ALIVE);
    size_t state_size = peer_write_state(buffer, sizeof buffer, true, &entry, 1, br_bytes(NULL, 0));
    struct br_frame frame = {0};
    assert_int_equal(
        br_frame_write(&s.p->wire->wire, &s.p->wire->scratch, br_bytes(buffer, state_size), true, &frame), 0);
    for (size_t cut = 0; cut < frame.bytes.size; cut++) {
        int line = world_dial(s.w, 0, &s.p->addr);
        world_line_write(s.w, &s.w->lines[line], br_bytes(frame.bytes.data, cut));
        if (s.w->lines[line].is_open[1])
            world_line_close(s.w, &s.w->lines[line], 0);
    }
    assert_int_equal(bruit_view_checksum(s.w->nodes[0].engine), before);
    br_frame_free(&frame, &s.p->wire->alloc);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_item_1_short_versions),
        cmocka_unit_test(test_item_2_poisonous_versions),
        cmocka_unit_test(test_item_3_bombs),
        cmocka_unit_test(test_item_4_empty_expansion),
        cmocka_unit_test(test_item_5_empty_insides),
        cmocka_unit_test(test_item_6_sealed_nothing),
        cmocka_unit_test(test_items_7_and_8_announced_sizes),
        cmocka_unit_test(test_item_9_compound_tables),
        cmocka_unit_test(test_item_10_msgpack),
        cmocka_unit_test(test_item_11_layers_and_parts),
        cmocka_unit_test(test_item_12_labels),
        cmocka_unit_test(test_items_14_and_21_ack_numbers),
        cmocka_unit_test(test_item_15_the_only_relay_is_asked),
        cmocka_unit_test(test_item_16_stream_sizes),
        cmocka_unit_test(test_item_19_answers_are_bounded),
        cmocka_unit_test(test_item_27_a_replayed_goodbye),
        cmocka_unit_test(test_item_28_nothing_plain_with_keys),
        cmocka_unit_test(test_item_29_nonces_differ),
        cmocka_unit_test(test_item_30_keys_are_not_traced),
        cmocka_unit_test(test_strangers_are_named),
        cmocka_unit_test(test_other_refusals),
        cmocka_unit_test(test_cuts_and_flips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
