/*
 * Streams, both ways: docs/wire/memberlist.md sections 5, 6.7 and 11.2. One member of ours, n0, and a peer that dials
 * it, or is dialled.
 */
#include "support/scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define S BRUIT_SECOND
#define MS BRUIT_MILLISECOND

static uint64_t dropped(const struct scene *s, enum bruit_drop reason)
{
    return world_stats(s->w, 0).drops[reason];
}

static const struct br_entry *entry_named(const struct peer_answer *answer, const char *name)
{
    for (size_t i = 0; i < answer->count; i++)
        if (br_bytes_equal(answer->entries[i].alive.node, world_bytes(name)))
            return &answer->entries[i];
    return NULL;
}

/* ---- push/pull, asked by the peer ---- */

/* conformance: memberlist 25 */
/* A peer joins through us: it is answered with all we knew before, its flag copied, and only then taken in. */
static void test_a_join_is_answered_with_the_state_before(void **state)
{
    struct scene s = scene(71);
    struct br_entry entry = peer_entry(s.p, "x", 1, 3, BR_ENTRY_ALIVE);
    struct peer_answer answer;
    (void)state;
    peer_sync(s.p, true, &entry, 1, &answer);
    assert_int_equal(answer.type, BR_PUSHPULL);
    assert_true(answer.header.join);
    assert_int_equal(answer.count, 1);
    assert_non_null(entry_named(&answer, "n0"));
    assert_int_equal(entry_named(&answer, "n0")->state, BR_ENTRY_ALIVE);
    assert_int_equal(entry_named(&answer, "n0")->alive.incarnation, 1);
    assert_int_equal(world_state_of(s.w, 0, "x"), BRUIT_ALIVE);
    assert_int_equal(world_incarnation_of(s.w, 0, "x"), 3);
    entry = peer_entry(s.p, "y", 2, 1, BR_ENTRY_ALIVE);
    peer_sync(s.p, false, &entry, 1, &answer);
    assert_false(answer.header.join);
    assert_int_equal(answer.count, 2);
    assert_non_null(entry_named(&answer, "x"));
    assert_null(entry_named(&answer, "y"));
    end(&s);
}

/* The state goes out whoever is in it: alive, suspect, dead and left. */
static void test_the_state_holds_everybody(void **state)
{
    struct scene s = scene(72);
    struct peer_answer answer;
    (void)state;
    for (uint8_t i = 0; i < 4; i++) {
        char name[4] = {(char)('a' + i), 0};
        struct br_alive alive = peer_other(s.p, name, i, 1);
        peer_add_alive(s.p, &alive);
    }
    peer_suspect(s.p, "b", 1, "p");
    peer_dead(s.p, "c", 1, "p");
    peer_dead(s.p, "d", 1, "d");
    assert_int_equal(peer_send(s.p), 0);
    peer_sync(s.p, false, NULL, 0, &answer);
    assert_int_equal(answer.count, 5);
    assert_int_equal(entry_named(&answer, "a")->state, BR_ENTRY_ALIVE);
    assert_int_equal(entry_named(&answer, "b")->state, BR_ENTRY_SUSPECT);
    assert_int_equal(entry_named(&answer, "c")->state, BR_ENTRY_DEAD);
    assert_int_equal(entry_named(&answer, "d")->state, BR_ENTRY_LEFT);
    end(&s);
}

/* Any split of the bytes is the same message: here each comes alone. */
static void test_a_state_may_come_byte_by_byte(void **state)
{
    struct scene s = scene(73);
    struct br_entry entry = peer_entry(s.p, "x", 1, 3, BR_ENTRY_ALIVE);
    uint8_t buffer[512];
    struct peer_answer answer;
    (void)state;
    size_t size = peer_write_state(buffer, sizeof buffer, true, &entry, 1, br_bytes(NULL, 0));
    int line = world_dial(s.w, 0, &s.p->addr);
    for (size_t i = 0; i < size; i++) {
        peer_read_answer(s.p, &s.w->lines[line], &answer);
        assert_int_equal(answer.type, PEER_SILENCE);
        world_line_write(s.w, &s.w->lines[line], br_bytes(buffer + i, 1));
    }
    peer_read_answer(s.p, &s.w->lines[line], &answer);
    assert_int_equal(answer.type, BR_PUSHPULL);
    assert_true(answer.closed);
    assert_int_equal(world_state_of(s.w, 0, "x"), BRUIT_ALIVE);
    end(&s);
}

/* conformance: memberlist 44 */
/* What another calls dead is suspected by us, so that it can defend itself; what it calls left has left; what it calls
 * by a number we do not know is left alone; and nobody becomes known as anything but alive. */
static void test_others_beliefs_are_merged_with_care(void **state)
{
    struct scene s = scene(74);
    struct peer_answer answer;
    (void)state;
    for (uint8_t i = 0; i < 4; i++) {
        char name[4] = {(char)('a' + i), 0};
        struct br_alive alive = peer_other(s.p, name, i, 2);
        peer_add_alive(s.p, &alive);
    }
    assert_int_equal(peer_send(s.p), 0);
    struct br_entry entries[] = {
        peer_entry(s.p, "a", 0, 2, BR_ENTRY_DEAD),
        peer_entry(s.p, "b", 1, 2, BR_ENTRY_LEFT),
        peer_entry(s.p, "c", 2, 2, 7),
        peer_entry(s.p, "d", 3, 2, BR_ENTRY_SUSPECT),
        peer_entry(s.p, "u", 20, 1, BR_ENTRY_DEAD),
        peer_entry(s.p, "v", 21, 1, BR_ENTRY_LEFT),
        peer_entry(s.p, "x", 22, 1, BR_ENTRY_SUSPECT),
        peer_entry(s.p, "y", 23, 1, 7),
    };
    peer_sync(s.p, false, entries, 8, &answer);
    assert_int_equal(world_state_of(s.w, 0, "a"), BRUIT_SUSPECT);
    assert_int_equal(world_state_of(s.w, 0, "b"), BRUIT_LEFT);
    assert_int_equal(world_state_of(s.w, 0, "c"), BRUIT_ALIVE);
    assert_int_equal(world_state_of(s.w, 0, "d"), BRUIT_SUSPECT);
    for (int i = 4; i < 8; i++)
        assert_int_equal(bruit_member_find(s.w->nodes[0].engine, entries[i].alive.node), 0);
    assert_true(world_expect_trace(s.w, 0, "a is suspected by n0"));
    end(&s);
}

/* A dead or left record of ourselves in somebody's state is refuted: without that nobody could rejoin. */
static void test_own_death_in_a_state_is_refuted(void **state)
{
    for (int how = BR_ENTRY_SUSPECT; how <= BR_ENTRY_LEFT; how++) {
        struct scene s = scene(75);
        struct br_entry entry = peer_entry(s.p, "n0", 1, 9, (uint8_t)how);
        struct peer_answer answer;
        (void)state;
        peer_sync(s.p, false, &entry, 1, &answer);
        assert_int_equal(world_state_of(s.w, 0, "n0"), BRUIT_ALIVE);
        assert_int_equal(world_incarnation_of(s.w, 0, "n0"), 10);
        end(&s);
    }
}

/* conformance: memberlist 67 */
/* One entry whose versions do not fit, in whatever state, and nothing of the state is merged; the peer still gets ours.
 * So does an entry without six version bytes. */
static void test_one_bad_entry_spoils_the_state(void **state)
{
    static const uint8_t other[6] = {1, 5, 2, 0, 0, 0};
    struct scene s = scene(76);
    struct peer_answer answer;
    (void)state;
    struct br_entry entries[] = {peer_entry(s.p, "x", 1, 1, BR_ENTRY_ALIVE),
                                 peer_entry(s.p, "y", 2, 1, BR_ENTRY_ALIVE)};
    entries[1].alive.vsn = br_bytes(other, 6);
    for (int how = BR_ENTRY_ALIVE; how <= BR_ENTRY_LEFT; how++) {
        entries[1].state = (uint8_t)how;
        peer_sync(s.p, true, entries, 2, &answer);
        assert_int_equal(answer.type, BR_PUSHPULL);
        assert_int_equal(world_state_of(s.w, 0, "x"), WORLD_UNKNOWN);
        assert_int_equal(dropped(&s, BRUIT_DROP_VERSIONS), how + 1);
    }
    entries[1].alive.vsn = br_bytes(other, 5);
    peer_sync(s.p, true, entries, 2, &answer);
    assert_int_equal(world_state_of(s.w, 0, "x"), WORLD_UNKNOWN);
    peer_sync(s.p, true, entries, 1, &answer);
    assert_int_equal(world_state_of(s.w, 0, "x"), BRUIT_ALIVE);
    end(&s);
}

/* conformance: memberlist 68 */
/* The application's versions are the program's to choose: a bare memberlist speaks 0, and then understands its like
 * and nobody who speaks Serf's 5; told otherwise it understands both. */
static void test_delegate_versions_are_configurable(void **state)
{
    struct world *w = world_new(79);
    (void)state;
    for (uint32_t i = 0; i < 4; i++)
        world_add(w);
    for (uint32_t i = 0; i < 2; i++)
        w->nodes[i].config.delegate_min = w->nodes[i].config.delegate_max =
            w->nodes[i].config.delegate_current = 0;
    w->nodes[3].config.delegate_min = w->nodes[3].config.delegate_current = 0;
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(world_start(w, i), 0);
    assert_int_equal(world_join(w, 1, 0), 0);
    world_run(w, S);
    struct bruit_member member;
    bruit_node node = bruit_member_find(w->nodes[0].engine, world_bytes("n1"));
    assert_int_equal(bruit_member_get(w->nodes[0].engine, node, &member), 0);
    assert_memory_equal(member.versions, "\x01\x05\x02\x00\x00\x00", 6);
    (void)world_join(w, 2, 0);
    world_run(w, S);
    assert_int_equal(world_state(w, 0, 2), WORLD_UNKNOWN);
    assert_int_equal(world_state(w, 2, 0), WORLD_UNKNOWN);
    assert_int_equal(world_join(w, 3, 0), 0);
    world_run(w, S);
    assert_int_equal(world_state(w, 0, 3), BRUIT_ALIVE);
    world_free(w);
}

/* conformance: memberlist 28 */
/* A header beyond the limits, or below them: closed without an answer, and nothing was set aside for it. */
static void test_a_header_beyond_the_limits_is_closed(void **state)
{
    static const char *const headers[] = {
        "\x06\x83\xa4Join\xc2\xa5Nodes\xce\x00\x10\x00\x01\xacUserStateLen\x00", /* 2^20 + 1 */
        "\x06\x83\xa4Join\xc2\xa5Nodes\xff\xacUserStateLen\x00",                 /* -1 */
        "\x06\x83\xa4Join\xc2\xa5Nodes\x00\xacUserStateLen\xce\x01\x40\x00\x01", /* 20 MiB + 1 */
        "\x06\x83\xa4Join\xc2\xa5Nodes\x00\xacUserStateLen\xff",
    };
    static const size_t sizes[] = {33, 29, 33, 29};
    struct scene s = scene(77);
    struct peer_answer answer;
    (void)state;
    size_t before = world_stats(s.w, 0).memory_peak;
    for (size_t i = 0; i < 4; i++) {
        peer_ask(s.p, br_bytes((const uint8_t *)headers[i], sizes[i]), &answer, NULL);
        assert_int_equal(answer.type, PEER_CLOSED);
        assert_int_equal(dropped(&s, BRUIT_DROP_MALFORMED), i + 1);
    }
    assert_true(world_stats(s.w, 0).memory_peak < before + 16384);
    /* The limits themselves are waited for. */
    static const char allowed[] =
        "\x06\x83\xa4Join\xc2\xa5Nodes\xce\x00\x10\x00\x00\xacUserStateLen\xce\x01\x40\x00\x00";
    peer_ask(s.p, br_bytes((const uint8_t *)allowed, sizeof allowed - 1), &answer, NULL);
    assert_int_equal(answer.type, PEER_SILENCE);
    end(&s);
}

/* conformance: memberlist 29 */
/* Ten bytes of application state are announced, nine come, then the end: a failure, counted, and nothing is merged. */
static void test_a_short_user_state_is_a_failure(void **state)
{
    struct scene s = scene(78);
    struct br_entry entry = peer_entry(s.p, "x", 1, 1, BR_ENTRY_ALIVE);
    uint8_t buffer[512];
    struct peer_answer answer;
    int line;
    (void)state;
    size_t size = peer_write_state(buffer, sizeof buffer, true, &entry, 1, world_bytes("0123456789"));
    peer_ask(s.p, br_bytes(buffer, size - 1), &answer, &line);
    assert_int_equal(answer.type, PEER_SILENCE);
    world_line_close(s.w, &s.w->lines[line], 0);
    assert_int_equal(dropped(&s, BRUIT_DROP_STREAM_TRUNCATED), 1);
    assert_int_equal(world_state_of(s.w, 0, "x"), WORLD_UNKNOWN);
    peer_ask(s.p, br_bytes(buffer, size), &answer, &line);
    assert_int_equal(world_state_of(s.w, 0, "x"), BRUIT_ALIVE);
    end(&s);
}

static void many_streams(struct bruit_config *config)
{
    config->streams_max = 1000;
}

/* conformance: memberlist 27 */
/* 127 exchanges hang half way; the 128th is closed as soon as it is seen to be one. When one ends there is room. */
static void test_the_128th_exchange_is_closed(void **state)
{
    struct scene s = scene_with(79, many_streams);
    struct peer_answer answer;
    int first = -1, line;
    (void)state;
    for (int i = 0; i < 127; i++) {
        peer_ask(s.p, world_bytes("\x06\x83\xa4Join"), &answer, &line);
        assert_int_equal(answer.type, PEER_SILENCE);
        if (first < 0)
            first = line;
    }
    peer_ask(s.p, world_bytes("\x06\x83\xa4Join"), &answer, NULL);
    assert_int_equal(answer.type, PEER_CLOSED);
    assert_int_equal(dropped(&s, BRUIT_DROP_SYNCS_FULL), 1);
    world_line_close(s.w, &s.w->lines[first], BRUIT_ERESET);
    peer_sync(s.p, false, NULL, 0, &answer);
    assert_int_equal(answer.type, BR_PUSHPULL);
    end(&s);
}

static void three_streams(struct bruit_config *config)
{
    config->streams_max = 3;
}

/* With streams_max 3 the fourth silent connection is refused; one that ends makes room. Our own do not count. */
static void test_streams_max(void **state)
{
    struct scene s = scene_with(80, three_streams);
    int lines[3];
    (void)state;
    for (int i = 0; i < 3; i++)
        lines[i] = world_dial(s.w, 0, &s.p->addr);
    assert_int_equal(world_dial(s.w, 0, &s.p->addr), -1);
    assert_int_equal(dropped(&s, BRUIT_DROP_STREAMS_FULL), 1);
    struct bruit_join_target target = {.addr = s.p->addr};
    uint32_t request;
    assert_int_equal(bruit_join(s.w->nodes[0].engine, &target, 1, 0, &request, s.w->now), 0);
    world_settle(s.w, 0);
    assert_non_null(world_line_to(s.w, &s.p->addr));
    world_line_close(s.w, &s.w->lines[lines[1]], 0);
    assert_true(world_dial(s.w, 0, &s.p->addr) >= 0);
    end(&s);
}

/* conformance: memberlist 33 */
/* Silent connections, and ones that play for time, are closed 10 s after they came, without an answer. */
static void test_a_silent_connection_is_closed(void **state)
{
    struct scene s = scene(81);
    struct peer_answer answer;
    (void)state;
    int silent = world_dial(s.w, 0, &s.p->addr);
    int slow = world_dial(s.w, 0, &s.p->addr);
    for (int i = 0; i < 9; i++) {
        world_line_write(s.w, &s.w->lines[slow],
                         br_bytes((const uint8_t *)"\x06\x83\xa4Join\xc2\xa5" + i, 1));
        world_run(s.w, S);
    }
    world_run_until(s.w, WORLD_START + 10 * S - 1);
    assert_true(s.w->lines[silent].is_open[1]);
    world_run_until(s.w, WORLD_START + 10 * S);
    assert_false(s.w->lines[silent].is_open[1]);
    assert_false(s.w->lines[slow].is_open[1]);
    peer_read_answer(s.p, &s.w->lines[silent], &answer);
    assert_int_equal(answer.type, PEER_CLOSED);
    assert_int_equal(s.w->lines[silent].size, 0);
    end(&s);
}

/* A connection that ends before its first byte is no mistake. */
static void test_an_empty_connection_is_silent(void **state)
{
    struct scene s = scene(82);
    (void)state;
    int line = world_dial(s.w, 0, &s.p->addr);
    world_line_close(s.w, &s.w->lines[line], 0);
    assert_int_equal(world_drops(s.w, 0), 0);
    end(&s);
}

/* ---- pings and user messages ---- */

static struct bruit_bytes ping_bytes(uint32_t seq, const char *node)
{
    static uint8_t buffer[128];
    struct br_writer w;
    br_writer_init(&w, buffer, sizeof buffer);
    br_ping_encode(&w, &(struct br_ping){.seq = seq, .node = world_bytes(node)});
    return br_writer_bytes(&w);
}

/* conformance: memberlist 30 */
/* A ping over a stream is acknowledged with its number and no payload, for us or for nobody in particular; for another
 * it is closed without a word. */
static void test_a_stream_ping_is_acknowledged(void **state)
{
    struct scene s = scene(83);
    struct peer_answer answer;
    (void)state;
    peer_ask(s.p, ping_bytes(4711, "n0"), &answer, NULL);
    assert_int_equal(answer.type, BR_ACK);
    assert_int_equal(answer.ack.seq, 4711);
    assert_int_equal(answer.ack.payload.size, 0);
    assert_true(answer.closed);
    peer_ask(s.p, ping_bytes(4712, ""), &answer, NULL);
    assert_int_equal(answer.type, BR_ACK);
    peer_ask(s.p, ping_bytes(4713, "n1"), &answer, NULL);
    assert_int_equal(answer.type, PEER_CLOSED);
    assert_int_equal(dropped(&s, BRUIT_DROP_NOT_FOR_US), 1);
    end(&s);
}

/* A module that counts what it is given. */
static struct {
    size_t count;
    size_t size;
    uint8_t first;
} given;

static void count_message(void *self, struct bruit_bytes message, struct bruit_bytes body,
                          const struct bruit_addr *from)
{
    (void)self;
    (void)body;
    (void)from;
    given.count++;
    given.size = message.size;
    given.first = message.data[0];
}

static const uint8_t counted_types[] = {'!'};
static const struct bruit_module counting = {.struct_size = sizeof counting,
                                             .name = "counting",
                                             .message_types = counted_types,
                                             .message_type_count = 1,
                                             .on_message = count_message};
static const struct bruit_module *const modules[] = {&counting};

static void with_counting(struct bruit_config *config)
{
    config->modules = modules;
    config->module_count = 1;
}

/* conformance: memberlist 31 */
/* A user message over a stream is delivered once, however it was cut; one of length 0 is not; none is answered. */
static void test_a_stream_user_message_is_delivered_once(void **state)
{
    struct scene s = scene_with(84, with_counting);
    struct peer_answer answer;
    int line;
    (void)state;
    given.count = 0;
    peer_ask(s.p, world_bytes("\x08\x81\xaaUserMsgLen\x05!he"), &answer, &line);
    assert_int_equal(given.count, 0);
    world_line_write(s.w, &s.w->lines[line], world_bytes("ll"));
    assert_int_equal(given.count, 1);
    assert_int_equal(given.size, 5);
    world_line_write(s.w, &s.w->lines[line], world_bytes("!hell"));
    assert_int_equal(given.count, 1);
    peer_read_answer(s.p, &s.w->lines[line], &answer);
    assert_int_equal(answer.type, PEER_CLOSED);
    peer_ask(s.p, br_bytes((const uint8_t *)"\x08\x81\xaaUserMsgLen\x00!hell", 18), &answer, NULL);
    assert_int_equal(given.count, 1);
    assert_int_equal(answer.type, PEER_CLOSED);
    peer_ask(s.p, world_bytes("\x08\x81\xaaUserMsgLen\x01?"), &answer, NULL);
    assert_int_equal(given.count, 1);
    assert_int_equal(dropped(&s, BRUIT_DROP_UNCLAIMED_MESSAGE), 1);
    end(&s);
}

/* In a datagram the message is the rest of it; an empty one belongs to nobody. */
static void test_a_user_datagram_is_delivered(void **state)
{
    struct scene s = scene_with(85, with_counting);
    (void)state;
    given.count = 0;
    peer_raw(s.p, world_bytes("\x08!hello"));
    assert_int_equal(peer_send(s.p), 0);
    assert_int_equal(given.count, 1);
    assert_int_equal(given.size, 6);
    peer_raw(s.p, world_bytes("\x08"));
    assert_int_equal(peer_send(s.p), 0);
    assert_int_equal(given.count, 1);
    end(&s);
}

/* Types that do not belong at the start of a stream close it. */
static void test_other_types_close_the_stream(void **state)
{
    static const uint8_t types[] = {1, 2, 3, 4, 5, 7, 11, 12, 13, 14, 99};
    struct scene s = scene(86);
    struct peer_answer answer;
    (void)state;
    for (size_t i = 0; i < sizeof types; i++) {
        peer_ask(s.p, br_bytes(&types[i], 1), &answer, NULL);
        assert_int_equal(answer.type, PEER_CLOSED);
    }
    assert_int_equal(world_drops(s.w, 0), sizeof types);
    assert_int_equal(dropped(&s, BRUIT_DROP_UNKNOWN_TYPE), sizeof types);
    end(&s);
}

/* ---- keys and labels ---- */

static const uint8_t key_bytes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const struct bruit_bytes keys[] = {{key_bytes, 16}};

static void with_key(struct bruit_config *config)
{
    config->keys = keys;
    config->key_count = 1;
}

static void with_key_and_label(struct bruit_config *config)
{
    with_key(config);
    config->label = world_bytes("red");
    config->compression = true;
}

/* conformance: memberlist 32 */
/* A plain stream to a member with keys: an err answer, encrypted, whose words tell the operator and betray nothing. */
static void test_a_plain_stream_gets_a_sealed_refusal(void **state)
{
    struct scene s = scene_with(87, with_key);
    struct peer_answer answer;
    int line;
    (void)state;
    peer_ask(s.p, ping_bytes(1, "n0"), &answer, &line); /* the peer has no key yet */
    assert_int_equal(s.w->lines[line].bytes[0], BR_ENCRYPT);
    test_wire_key(s.p->wire, 0, 16);
    peer_read_answer(s.p, &s.w->lines[line], &answer);
    assert_int_equal(answer.type, BR_ERR);
    assert_string_equal(answer.text, bruit_drop_text(BRUIT_DROP_NOT_SEALED));
    assert_true(answer.closed);
    assert_int_equal(dropped(&s, BRUIT_DROP_NOT_SEALED), 1);
    peer_ask(s.p, ping_bytes(2, "n0"), &answer, NULL);
    assert_int_equal(answer.type, BR_ACK);
    end(&s);
}

/* Label, compression and key together: a join is understood and answered in kind, without a label of its own. */
static void test_all_layers_of_a_stream_at_once(void **state)
{
    struct scene s = scene_with(88, with_key_and_label);
    struct br_entry entry = peer_entry(s.p, "x", 1, 3, BR_ENTRY_ALIVE);
    struct peer_answer answer;
    (void)state;
    test_wire_key(s.p->wire, 0, 16);
    s.p->wire->wire.compression = true;
    peer_sync(s.p, true, &entry, 1, &answer);
    assert_int_equal(answer.type, BR_PUSHPULL);
    assert_int_equal(world_state_of(s.w, 0, "x"), BRUIT_ALIVE);
    end(&s);
}

/* conformance: memberlist 16 */
/* The wrong label on a stream, or none: closed without a word. */
static void test_a_wrong_label_closes_silently(void **state)
{
    struct scene s = scene_with(89, with_key_and_label);
    struct peer_answer answer;
    int line;
    (void)state;
    test_wire_key(s.p->wire, 0, 16);
    s.p->wire->wire.label.label = world_bytes("blue");
    peer_ask(s.p, ping_bytes(1, "n0"), &answer, &line);
    assert_int_equal(answer.type, PEER_CLOSED);
    assert_int_equal(s.w->lines[line].size, 0);
    assert_int_equal(dropped(&s, BRUIT_DROP_LABEL_WRONG), 1);
    s.p->wire->wire.label.label = world_bytes("");
    peer_ask(s.p, ping_bytes(1, "n0"), &answer, &line);
    assert_int_equal(answer.type, PEER_CLOSED);
    assert_int_equal(s.w->lines[line].size, 0);
    assert_int_equal(dropped(&s, BRUIT_DROP_LABEL_MISSING), 1);
    end(&s);
}

/* ---- the answer to ours ---- */

struct joining {
    struct scene s;
    struct peer_answer request;
    const struct world_event *done;
};

/* n0 joins through the peer, which answers with `message`. */
static struct joining join_answered(uint64_t seed, struct bruit_bytes message)
{
    struct joining j = {.s = scene(seed)};
    struct bruit_join_target target = {.addr = j.s.p->addr, .name = world_bytes("p")};
    uint32_t request;
    assert_int_equal(bruit_join(j.s.w->nodes[0].engine, &target, 1, 0, &request, j.s.w->now), 0);
    world_settle(j.s.w, 0);
    assert_true(peer_serve(j.s.p, message, &j.request));
    j.done = world_last_event(j.s.w, 0, BRUIT_EVENT_JOIN_DONE);
    if (j.done != NULL)
        assert_int_equal(j.done->request, request);
    return j;
}

/* We join: our whole state goes out with the flag set; the answer is merged, and the event tells of one contacted. */
static void test_our_join_merges_the_answer(void **state)
{
    uint8_t buffer[512];
    struct scene helper = scene(90);
    struct br_entry entry = peer_entry(helper.p, "x", 1, 3, BR_ENTRY_ALIVE);
    size_t size = peer_write_state(buffer, sizeof buffer, true, &entry, 1, br_bytes(NULL, 0));
    (void)state;
    end(&helper);
    struct joining j = join_answered(90, br_bytes(buffer, size));
    assert_int_equal(j.request.type, BR_PUSHPULL);
    assert_true(j.request.header.join);
    assert_int_equal(j.request.count, 1);
    assert_non_null(j.done);
    assert_int_equal(j.done->contacted, 1);
    assert_int_equal(j.done->error, 0);
    assert_int_equal(world_state_of(j.s.w, 0, "x"), BRUIT_ALIVE);
    end(&j.s);
}

static struct bruit_bytes err_bytes(const char *text)
{
    static uint8_t buffer[512];
    struct br_writer w;
    br_writer_init(&w, buffer, sizeof buffer);
    br_err_encode(&w, &(struct br_err){world_bytes(text)});
    return br_writer_bytes(&w);
}

/* conformance: memberlist 26 */
/* The answer is an err: the join fails with its text, for people to read. */
static void test_an_err_answer_is_a_failure(void **state)
{
    struct joining j =
        join_answered(91, err_bytes("remote state is encrypted and encryption is not configured"));
    (void)state;
    assert_non_null(j.done);
    assert_int_equal(j.done->contacted, 0);
    assert_int_equal(j.done->error, BRUIT_EREMOTE);
    assert_string_equal(j.done->text, "remote state is encrypted and encryption is not configured");
    end(&j.s);
}

/* conformance: memberlist 26 */
/* The answer is of a type that does not belong there, or no message at all: a failure. */
static void test_an_unexpected_answer_is_a_failure(void **state)
{
    static const char *const answers[] = {"\x02\x82\xa7Payload\xc0\xa5SeqNo\x01",
                                          "\x08\x81\xaaUserMsgLen\x01!", "GET "};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct joining j = join_answered(92, world_bytes(answers[i]));
        assert_non_null(j.done);
        assert_int_equal(j.done->contacted, 0);
        assert_int_equal(j.done->error, BRUIT_EFORMAT);
        end(&j.s);
    }
}

/* conformance: memberlist 26 */
/* An answer whose versions do not fit, as a bare memberlist gives: a failure that says so, and nothing is merged. */
static void test_an_answer_of_other_versions_is_a_failure(void **state)
{
    static const uint8_t bare[6] = {1, 5, 2, 0, 0, 0};
    uint8_t buffer[512];
    struct scene helper = scene(93);
    struct br_entry entry = peer_entry(helper.p, "x", 1, 3, BR_ENTRY_ALIVE);
    (void)state;
    entry.alive.vsn = br_bytes(bare, 6);
    size_t size = peer_write_state(buffer, sizeof buffer, true, &entry, 1, br_bytes(NULL, 0));
    end(&helper);
    struct joining j = join_answered(93, br_bytes(buffer, size));
    assert_int_equal(j.done->error, BRUIT_EVERSION);
    assert_int_equal(world_state_of(j.s.w, 0, "x"), WORLD_UNKNOWN);
    end(&j.s);
}

/* The peer closes in the middle of its answer; or never accepts; or never answers. */
static void test_a_join_that_goes_wrong_says_how(void **state)
{
    struct joining j = join_answered(94, world_bytes("\x06\x83\xa4Join"));
    (void)state;
    assert_null(j.done);
    world_line_close(j.s.w, world_line_to(j.s.w, &j.s.p->addr), 0);
    assert_int_equal(world_last_event(j.s.w, 0, BRUIT_EVENT_JOIN_DONE)->error, BRUIT_ERESET);
    struct bruit_join_target target = {.addr = j.s.p->addr};
    uint32_t request;
    assert_int_equal(bruit_join(j.s.w->nodes[0].engine, &target, 1, 0, &request, j.s.w->now), 0);
    world_settle(j.s.w, 0);
    world_line_close(j.s.w, world_line_to(j.s.w, &j.s.p->addr), BRUIT_EREFUSED);
    assert_int_equal(world_last_event(j.s.w, 0, BRUIT_EVENT_JOIN_DONE)->error, BRUIT_EREFUSED);
    assert_int_equal(bruit_join(j.s.w->nodes[0].engine, &target, 1, 0, &request, j.s.w->now), 0);
    world_settle(j.s.w, 0);
    bruit_time started = j.s.w->now;
    world_run_until(j.s.w, started + 10 * S - 1);
    assert_int_equal(world_events(j.s.w, 0, BRUIT_EVENT_JOIN_DONE, NULL, 0), 2);
    world_run_until(j.s.w, started + 10 * S);
    assert_int_equal(world_last_event(j.s.w, 0, BRUIT_EVENT_JOIN_DONE)->error, BRUIT_ETIMEOUT);
    end(&j.s);
}

/* What is larger than a driver is handed at once goes out in pieces, each when the one before is sent. */
static void test_a_large_state_goes_out_in_pieces(void **state)
{
    static char meta[512];
    struct scene s = scene(95);
    struct peer_answer answer;
    (void)state;
    memset(meta, 'm', sizeof meta);
    for (unsigned i = 0; i < 400; i++) {
        char name[16];
        snprintf(name, sizeof name, "member%u", i);
        struct br_alive alive = peer_other(s.p, name, (uint8_t)i, 1);
        alive.meta = br_bytes(meta, sizeof meta);
        peer_add_alive(s.p, &alive);
        if (s.p->count == 100)
            assert_int_equal(peer_send(s.p), 0);
    }
    int line;
    uint8_t buffer[64];
    size_t size = peer_write_state(buffer, sizeof buffer, false, NULL, 0, br_bytes(NULL, 0));
    peer_ask(s.p, br_bytes(buffer, size), &answer, &line);
    assert_int_equal(answer.type, BR_PUSHPULL);
    assert_int_equal(answer.header.nodes, 401);
    assert_true(s.w->lines[line].size > 3 * 65536);
    assert_true(answer.closed);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_join_is_answered_with_the_state_before),
        cmocka_unit_test(test_the_state_holds_everybody),
        cmocka_unit_test(test_a_state_may_come_byte_by_byte),
        cmocka_unit_test(test_others_beliefs_are_merged_with_care),
        cmocka_unit_test(test_own_death_in_a_state_is_refuted),
        cmocka_unit_test(test_one_bad_entry_spoils_the_state),
        cmocka_unit_test(test_delegate_versions_are_configurable),
        cmocka_unit_test(test_a_header_beyond_the_limits_is_closed),
        cmocka_unit_test(test_a_short_user_state_is_a_failure),
        cmocka_unit_test(test_the_128th_exchange_is_closed),
        cmocka_unit_test(test_streams_max),
        cmocka_unit_test(test_a_silent_connection_is_closed),
        cmocka_unit_test(test_an_empty_connection_is_silent),
        cmocka_unit_test(test_a_stream_ping_is_acknowledged),
        cmocka_unit_test(test_a_stream_user_message_is_delivered_once),
        cmocka_unit_test(test_a_user_datagram_is_delivered),
        cmocka_unit_test(test_other_types_close_the_stream),
        cmocka_unit_test(test_a_plain_stream_gets_a_sealed_refusal),
        cmocka_unit_test(test_all_layers_of_a_stream_at_once),
        cmocka_unit_test(test_a_wrong_label_closes_silently),
        cmocka_unit_test(test_our_join_merges_the_answer),
        cmocka_unit_test(test_an_err_answer_is_a_failure),
        cmocka_unit_test(test_an_unexpected_answer_is_a_failure),
        cmocka_unit_test(test_an_answer_of_other_versions_is_a_failure),
        cmocka_unit_test(test_a_join_that_goes_wrong_says_how),
        cmocka_unit_test(test_a_large_state_goes_out_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
