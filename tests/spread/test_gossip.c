/*
 * Gossip: which rumours wait, whom they are told, when, and in how many bytes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/num.h"
#include "spread/gossip.h"
#include "support/core.h"

#include <bruit/error.h>
#include <stdio.h>
#include <string.h>

#define MS BRUIT_MILLISECOND
#define GRID (200 * MS)
#define NOW (100 * BRUIT_SECOND)
#define BUDGET 1398

struct fixture {
    struct test_core t;
    struct br_gossip g;
    struct br_wire wire;
    struct br_scratch scratch;
    uint8_t buffer[70000];
};

static void start_with(struct fixture *f, uint32_t members, uint64_t seed)
{
    test_core_init(&f->t, members, seed);
    f->t.core.now = NOW;
    memset(&f->wire, 0, sizeof f->wire);
    br_scratch_init(&f->scratch, &f->t.core.alloc);
    br_gossip_init(&f->g, &f->t.core, NOW);
}

static void start(struct fixture *f, uint32_t members)
{
    start_with(f, members, 3);
}

static void finish(struct fixture *f)
{
    br_gossip_fini(&f->g);
    br_scratch_fini(&f->scratch);
    test_core_fini(&f->t);
}

/* ---- what a packet holds ---- */

struct leaf {
    enum br_message_type type;
    uint32_t incarnation;
    size_t size; /* with the type byte */
    char node[16];
    char from[16];
};

struct packet {
    struct leaf leaves[255];
    uint32_t count;
    size_t used; /* of the budget, as the fill says */
    size_t size; /* of the datagram */
};

static void copy_text(char *out, struct bruit_bytes text)
{
    snprintf(out, 16, "%.*s", (int)text.size, text.data == NULL ? "" : (const char *)text.data);
}

static int note_leaf(void *context, enum br_message_type type, struct bruit_bytes body)
{
    struct packet *packet = context;
    struct leaf *leaf = &packet->leaves[packet->count++];
    struct br_alive alive;
    struct br_suspect suspect;
    struct br_dead dead;
    *leaf = (struct leaf){.type = type, .size = body.size + 1};
    if (type == BR_ALIVE) {
        assert_int_equal(br_alive_decode(&alive, body), 0);
        leaf->incarnation = alive.incarnation;
        copy_text(leaf->node, alive.node);
    } else if (type == BR_SUSPECT) {
        assert_int_equal(br_suspect_decode(&suspect, body), 0);
        leaf->incarnation = suspect.incarnation;
        copy_text(leaf->node, suspect.node);
        copy_text(leaf->from, suspect.from);
    } else if (type == BR_DEAD) {
        assert_int_equal(br_dead_decode(&dead, body), 0);
        leaf->incarnation = dead.incarnation;
        copy_text(leaf->node, dead.node);
        copy_text(leaf->from, dead.from);
    }
    return 0;
}

static void note_drop(void *context, enum bruit_drop reason)
{
    (void)context;
    fail_msg("a packet of ours was dropped: %d", (int)reason);
}

/* Fills one packet with what fits into `room` bytes of budget, and takes it apart again. */
static struct packet fill(struct fixture *f, size_t room)
{
    struct packet packet = {.count = 0};
    struct br_packet_builder builder;
    br_packet_begin(&builder, &f->wire, &f->scratch, f->buffer, sizeof f->buffer, false);
    packet.used = br_gossip_fill(&f->g, &builder, room);
    if (builder.count == 0)
        return packet;
    assert_int_equal(br_packet_finish(&builder, &packet.size), 0);
    struct br_packet_sink sink = {.context = &packet, .leaf = note_leaf, .drop = note_drop};
    assert_int_equal(br_packet_open(&f->wire, &f->scratch, br_bytes(f->buffer, packet.size), &sink, NULL), 0);
    return packet;
}

static void assert_leaf(const struct leaf *leaf, enum br_message_type type, const char *node,
                        uint32_t incarnation, const char *from)
{
    assert_int_equal(leaf->type, type);
    assert_string_equal(leaf->node, node);
    assert_int_equal(leaf->incarnation, incarnation);
    assert_string_equal(leaf->from, from);
}

static uint32_t name_of(struct fixture *f, uint32_t index)
{
    return test_core_name_number(&f->t, test_core_member(&f->t, index));
}

static uint32_t record_of(struct fixture *f, uint32_t index)
{
    return test_core_record(&f->t, test_core_member(&f->t, index));
}

static void tell_alive(struct fixture *f, uint32_t index, uint32_t incarnation, bruit_time now)
{
    assert_int_equal(br_gossip_alive(&f->g, record_of(f, index), incarnation, now), 0);
}

static void tell_suspect(struct fixture *f, uint32_t index, uint32_t incarnation, const char *from)
{
    assert_int_equal(br_gossip_suspect(&f->g, name_of(f, index), incarnation, br_bytes_string(from), NOW), 0);
}

static void tell_dead(struct fixture *f, uint32_t index, uint32_t incarnation, const char *from)
{
    assert_int_equal(br_gossip_dead(&f->g, name_of(f, index), incarnation, br_bytes_string(from), NOW), 0);
}

/* ---- rumours ---- */

/* One rumour of each kind: all that the message needs comes out again. */
static void test_tells_what_it_was_told(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 5);
    tell_alive(&f, 1, 300, NOW);
    tell_suspect(&f, 2, 70000, "m3");
    tell_dead(&f, 3, 4, "somebody");
    tell_dead(&f, 4, 5, ""); /* an accuser without a name is passed on as it came */
    struct packet packet = fill(&f, BUDGET);
    assert_int_equal(packet.count, 4); /* the longest first */
    assert_leaf(&packet.leaves[0], BR_ALIVE, "m1", 300, "");
    assert_leaf(&packet.leaves[1], BR_DEAD, "m3", 4, "somebody");
    assert_leaf(&packet.leaves[2], BR_SUSPECT, "m2", 70000, "m3");
    assert_leaf(&packet.leaves[3], BR_DEAD, "m4", 5, "");
    finish(&f);
}

/* The lengths are reckoned when a rumour comes in: they must be those of what is written later, at every boundary. */
static void test_knows_the_size_of_what_it_will_write(void **state)
{
    (void)state;
    static const uint32_t incarnations[] = {0, 127, 128, 255, 256, 65535, 65536, UINT32_MAX};
    static const char letters[256] = "";
    static const size_t sizes[] = {0, 1, 31, 32, 255};
    for (size_t i = 0; i < sizeof incarnations / sizeof incarnations[0]; i++) {
        for (size_t j = 0; j < sizeof sizes / sizeof sizes[0]; j++) {
            struct fixture f;
            start(&f, 3);
            struct bruit_bytes from = br_bytes(letters, sizes[j]);
            assert_int_equal(br_gossip_suspect(&f.g, name_of(&f, 1), incarnations[i], from, NOW), 0);
            assert_int_equal(br_gossip_dead(&f.g, name_of(&f, 2), incarnations[i], from, NOW), 0);
            tell_alive(&f, 0, incarnations[i], NOW);
            struct packet packet = fill(&f, BUDGET);
            assert_int_equal(packet.count, 3);
            size_t sum = 0;
            for (uint32_t k = 0; k < 3; k++)
                sum += packet.leaves[k].size + 2;
            assert_int_equal(packet.used, sum);
            finish(&f);
        }
    }
}

/* m1 is suspect, then dead, then alive again: only the last is told, from the beginning. */
/* conformance: memberlist 60 */
static void test_newer_news_replaces_older(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 5);
    tell_suspect(&f, 1, 1, "m3");
    tell_suspect(&f, 2, 1, "m3");
    assert_int_equal(fill(&f, BUDGET).count, 2);
    tell_dead(&f, 1, 1, "m3");
    tell_alive(&f, 1, 2, NOW);
    assert_int_equal(br_gossip_count(&f.g), 2);
    struct packet packet = fill(&f, BUDGET);
    assert_int_equal(packet.count, 2);
    assert_leaf(&packet.leaves[0], BR_ALIVE, "m1", 2, ""); /* never told yet: before m2, which was */
    assert_leaf(&packet.leaves[1], BR_SUSPECT, "m2", 1, "m3");
    finish(&f);
}

/* We are accused twice, while our new metadata is still being told: the refutations displace each other alone. */
/* conformance: memberlist 60 */
static void test_refutations_displace_only_each_other(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 5);
    tell_alive(&f, 0, 2, NOW);
    assert_int_equal(br_gossip_refute(&f.g, record_of(&f, 0), 3, NOW), 0);
    assert_int_equal(br_gossip_refute(&f.g, record_of(&f, 0), 4, NOW), 0);
    assert_int_equal(br_gossip_count(&f.g), 2);
    struct packet packet = fill(&f, BUDGET);
    assert_int_equal(packet.count, 2);
    assert_leaf(&packet.leaves[0], BR_ALIVE, "m0", 4, "");
    assert_leaf(&packet.leaves[1], BR_ALIVE, "m0", 2, "");
    tell_alive(&f, 0, 5, NOW); /* and the ordinary one leaves the refutation alone */
    assert_int_equal(br_gossip_count(&f.g), 2);
    for (int i = 0; i < 3; i++)
        fill(&f, BUDGET);
    assert_int_equal(br_gossip_count(&f.g), 1);
    assert_int_equal(br_gossip_refute(&f.g, record_of(&f, 0), 6, NOW), 0);
    assert_int_equal(br_gossip_count(&f.g), 2);
    finish(&f);
}

/* Five members, multiplier 4: a rumour is told 4 times, and then it is forgotten with all that it held. */
/* conformance: memberlist 61 */
static void test_tells_as_often_as_the_formula_says(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 5);
    tell_suspect(&f, 1, 1, "a stranger");
    for (int i = 0; i < 4; i++) {
        assert_int_not_equal(br_roster_find(&f.t.roster, br_bytes_text("a stranger")), 0);
        assert_int_equal(fill(&f, BUDGET).count, 1);
    }
    assert_int_equal(fill(&f, BUDGET).count, 0);
    assert_int_equal(br_gossip_count(&f.g), 0);
    assert_int_equal(br_roster_find(&f.t.roster, br_bytes_text("a stranger")), 0);
    finish(&f);
}

/* Nine rumours are over at once, and nine others take their places: none is lost, none is told under another. */
static void test_places_are_used_again(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 9);
    for (uint32_t wave = 0; wave < 3; wave++) {
        for (uint32_t i = 0; i < 9; i++)
            tell_suspect(&f, i, wave, "m0");
        for (int told = 0; told < 4; told++) {
            struct packet packet = fill(&f, BUDGET);
            assert_int_equal(packet.count, 9);
            uint32_t seen = 0;
            for (uint32_t i = 0; i < 9; i++) {
                assert_int_equal(packet.leaves[i].incarnation, wave);
                seen |= 1u << (packet.leaves[i].node[1] - '0');
            }
            assert_int_equal(seen, 0x1ff);
        }
        assert_int_equal(br_gossip_count(&f.g), 0);
    }
    assert_true(f.g.used <= 10);
    finish(&f);
}

/* The limit follows the cluster: among 10 it is twice what it is among 9. */
/* conformance: memberlist 61 */
static void test_the_limit_grows_with_the_cluster(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 9);
    tell_suspect(&f, 1, 1, "m2");
    for (int i = 0; i < 3; i++)
        assert_int_equal(fill(&f, BUDGET).count, 1);
    test_core_add(&f.t, "tenth", 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(fill(&f, BUDGET).count, 1);
    assert_int_equal(fill(&f, BUDGET).count, 0);
    finish(&f);
}

/* Sixty joins at once: no packet is ever over its budget, whatever the room. */
/* conformance: memberlist 62 */
static void test_keeps_to_the_budget(void **state)
{
    (void)state;
    struct br_rng rng;
    br_rng_init(&rng, test_seed(), "test");
    struct fixture f;
    start(&f, 61);
    for (uint32_t i = 1; i <= 60; i++)
        tell_alive(&f, i, 1, NOW);
    while (br_gossip_count(&f.g) != 0) {
        size_t room = br_rng_below(&rng, 1400);
        struct packet packet = fill(&f, room);
        assert_true(packet.used <= room);
        size_t sum = 0;
        for (uint32_t i = 0; i < packet.count; i++)
            sum += packet.leaves[i].size + 2;
        assert_int_equal(packet.used, sum);
        assert_true(packet.size <= room + 2);
    }
    finish(&f);
}

/* A packet of 64 KiB has room for more messages than a compound can count. */
static void test_fills_at_most_255_messages(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 301);
    for (uint32_t i = 1; i <= 300; i++)
        tell_suspect(&f, i, 1, "m0");
    assert_int_equal(fill(&f, 60000).count, 255);
    finish(&f);
}

/* The subject is forgotten while its death is still being told: the rumour keeps what it needs. */
static void test_outlives_its_subject(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 5);
    tell_dead(&f, 1, 1, "m1");
    tell_alive(&f, 2, 9, NOW);
    test_core_forget(&f.t, test_core_member(&f.t, 1));
    test_core_forget(&f.t, test_core_member(&f.t, 2));
    struct packet packet = fill(&f, BUDGET);
    assert_int_equal(packet.count, 2);
    assert_leaf(&packet.leaves[0], BR_ALIVE, "m2", 9, "");
    assert_leaf(&packet.leaves[1], BR_DEAD, "m1", 1, "m1");
    finish(&f);
}

static void test_refuses_an_accuser_with_too_long_a_name(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 5);
    static const char letters[256] = "";
    assert_int_equal(br_gossip_suspect(&f.g, name_of(&f, 1), 1, br_bytes(letters, 256), NOW), BRUIT_ETOOBIG);
    assert_int_equal(br_gossip_count(&f.g), 0);
    assert_true(br_gossip_deadline(&f.g) == BRUIT_NEVER);
    assert_int_equal(br_roster_find(&f.t.roster, br_bytes(letters, 256)), 0);
    finish(&f);
}

/* ---- watches ---- */

/* We leave: the watch ends with the fourth and last time the goodbye is told, not before. */
static void test_a_watch_ends_when_all_is_told(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 5);
    assert_int_equal(br_gossip_watch(&f.g, name_of(&f, 0)), 0); /* nothing is told of us yet */
    tell_dead(&f, 0, 1, "m0");
    uint32_t watch = br_gossip_watch(&f.g, name_of(&f, 0));
    assert_int_not_equal(watch, 0);
    assert_int_equal(br_gossip_watch(&f.g, name_of(&f, 0)), watch);
    for (int i = 0; i < 3; i++) {
        fill(&f, BUDGET);
        assert_int_equal(br_gossip_next_done(&f.g), 0);
    }
    fill(&f, BUDGET);
    assert_int_equal(br_gossip_next_done(&f.g), watch);
    assert_int_equal(br_gossip_next_done(&f.g), 0);
    finish(&f);
}

/* Metadata changes twice in a row: the first watch ends as its rumour is displaced, the second goes on. */
static void test_a_watch_ends_when_displaced(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 5);
    tell_alive(&f, 0, 2, NOW);
    uint32_t first = br_gossip_watch(&f.g, name_of(&f, 0));
    tell_alive(&f, 0, 3, NOW);
    uint32_t second = br_gossip_watch(&f.g, name_of(&f, 0));
    assert_int_not_equal(first, second);
    assert_int_equal(br_gossip_next_done(&f.g), first);
    assert_int_equal(br_gossip_next_done(&f.g), 0);
    assert_int_equal(br_gossip_refute(&f.g, record_of(&f, 0), 4, NOW), 0); /* displaces neither */
    assert_int_equal(br_gossip_next_done(&f.g), 0);
    finish(&f);
}

/* ---- rounds ---- */

/* The targets of the next round, at the time it is due. */
static uint32_t round_targets(struct fixture *f, uint32_t *slots, bruit_time *now)
{
    *now = br_gossip_deadline(&f->g);
    f->t.core.now = *now;
    br_gossip_tick(&f->g, *now);
    uint32_t count = 0;
    struct br_send send;
    while (br_gossip_next(&f->g, &send)) {
        assert_int_equal(send.kind, BR_SEND_GOSSIP);
        assert_int_equal(send.to.port, 7946);
        slots[count++] = send.slot;
    }
    return count;
}

/* Without anything to tell there is no timer; with it, rounds come on a grid of 200 ms until all is told. */
static void test_rounds_stand_on_a_grid(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 5);
    f.g.eager = false;
    assert_true(br_gossip_deadline(&f.g) == BRUIT_NEVER);
    tell_alive(&f, 1, 2, NOW + 3 * MS);
    bruit_time first = br_gossip_deadline(&f.g), now;
    assert_true(first > NOW + 3 * MS && first <= NOW + 3 * MS + GRID);
    uint32_t slots[BR_PICK_MAX];
    assert_int_equal(round_targets(&f, slots, &now), 3);
    assert_true(br_gossip_deadline(&f.g) == first + GRID);
    tell_alive(&f, 2, 2, now + MS); /* more news does not hurry */
    assert_true(br_gossip_deadline(&f.g) == first + GRID);
    br_gossip_tick(&f.g, first + 3 * GRID + MS); /* late: back to the grid */
    assert_true(br_gossip_deadline(&f.g) == first + 4 * GRID);
    while (fill(&f, BUDGET).count != 0) {
    }
    assert_true(br_gossip_deadline(&f.g) == BRUIT_NEVER);
    tell_alive(&f, 1, 3, NOW + BRUIT_SECOND + 7 * MS);
    assert_int_equal((br_gossip_deadline(&f.g) - first) % GRID, 0);
    assert_true(br_gossip_deadline(&f.g) > NOW + BRUIT_SECOND + 7 * MS);
    finish(&f);
}

/* Agents that were started together do not gossip together. */
static void test_the_phase_is_random(void **state)
{
    (void)state;
    bruit_time least = BRUIT_NEVER, most = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct fixture f;
        start_with(&f, 2, seed);
        f.g.eager = false;
        tell_alive(&f, 1, 2, NOW);
        bruit_time wait = br_gossip_deadline(&f.g) - NOW;
        assert_true(wait <= GRID);
        least = wait < least ? wait : least;
        most = wait > most ? wait : most;
        finish(&f);
    }
    assert_true(least < 20 * MS && most > 180 * MS);
}

/* m1 is suspect, m2 died 30 s ago, m3 a little longer, m4 left, m5 lives: whom are the rumours told? */
/* conformance: memberlist 63 */
static void test_tells_the_living_and_the_recently_dead(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 6);
    f.g.eager = false;
    tell_alive(&f, 5, 2, NOW);
    bruit_time due = br_gossip_deadline(&f.g);
    test_core_believe(&f.t, test_core_member(&f.t, 1), BRUIT_SUSPECT, 1);
    f.t.core.now = due - 30 * BRUIT_SECOND;
    test_core_believe(&f.t, test_core_member(&f.t, 2), BRUIT_DEAD, 1);
    f.t.core.now = due - 30 * BRUIT_SECOND - 1;
    test_core_believe(&f.t, test_core_member(&f.t, 3), BRUIT_DEAD, 1);
    f.t.core.now = due;
    test_core_believe(&f.t, test_core_member(&f.t, 4), BRUIT_LEFT, 1);
    uint32_t slots[BR_PICK_MAX];
    bruit_time now;
    assert_int_equal(round_targets(&f, slots, &now), 3);
    assert_true(now == due);
    bool told[6] = {false};
    for (int i = 0; i < 3; i++)
        for (uint32_t j = 0; j < 6; j++)
            told[j] = told[j] || slots[i] == test_core_member(&f.t, j);
    assert_false(told[0]);
    assert_true(told[1] && told[2] && told[5]);
    assert_false(told[3] || told[4]);
    finish(&f);
}

/* A target leaves between the draw and the pull. */
/* conformance: memberlist 63 */
static void test_tells_nothing_to_one_that_has_just_left(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 4);
    tell_alive(&f, 1, 2, NOW);
    br_gossip_tick(&f.g, br_gossip_deadline(&f.g));
    assert_int_equal(f.g.target_count, 3);
    test_core_believe(&f.t, f.g.targets[0], BRUIT_LEFT, 1);
    test_core_forget(&f.t, f.g.targets[1]);
    struct br_send send;
    assert_true(br_gossip_next(&f.g, &send));
    assert_int_equal(send.slot, f.g.targets[2]);
    assert_false(br_gossip_next(&f.g, &send));
    finish(&f);
}

/* The last rumour is told to the first of three targets for the last time: the other two get nothing. */
static void test_a_round_ends_when_all_is_told(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 5);
    tell_alive(&f, 1, 2, NOW);
    for (int i = 0; i < 3; i++)
        fill(&f, BUDGET);
    br_gossip_tick(&f.g, br_gossip_deadline(&f.g));
    struct br_send send;
    assert_true(br_gossip_next(&f.g, &send));
    assert_int_equal(fill(&f, BUDGET).count, 1);
    assert_false(br_gossip_next(&f.g, &send));
    assert_true(br_gossip_deadline(&f.g) == BRUIT_NEVER);
    finish(&f);
}

/* The driver sent one of three packets before the next round was due: that round is a whole one again. */
static void test_a_new_round_replaces_an_unfinished_one(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 5);
    tell_alive(&f, 1, 2, NOW);
    br_gossip_tick(&f.g, br_gossip_deadline(&f.g));
    struct br_send send;
    assert_true(br_gossip_next(&f.g, &send));
    uint32_t slots[BR_PICK_MAX];
    bruit_time now;
    assert_int_equal(round_targets(&f, slots, &now), 3);
    finish(&f);
}

/* Alone with news about ourselves: no timer runs until somebody is there to be told. */
static void test_sleeps_while_alone(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 1);
    tell_alive(&f, 0, 1, NOW);
    uint32_t slots[BR_PICK_MAX];
    bruit_time now;
    assert_int_equal(round_targets(&f, slots, &now), 0);
    assert_int_equal(br_gossip_count(&f.g), 1);
    assert_true(br_gossip_deadline(&f.g) == BRUIT_NEVER);
    test_core_add(&f.t, "m1", 5);
    tell_alive(&f, 1, 1, now + 10 * BRUIT_SECOND);
    assert_true(br_gossip_deadline(&f.g) <= now + 10 * BRUIT_SECOND + GRID);
    assert_int_equal(round_targets(&f, slots, &now), 1);
    assert_int_equal(fill(&f, BUDGET).count, 2);
    finish(&f);
}

/* We left, were even forgotten by ourselves, and gossip on until we are shut down: there is somebody to be told. */
static void test_goes_on_after_leaving(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    tell_dead(&f, 0, 1, "m0");
    test_core_believe(&f.t, f.t.core.self, BRUIT_LEFT, 1);
    uint32_t slots[BR_PICK_MAX];
    bruit_time now;
    assert_int_equal(round_targets(&f, slots, &now), 1);
    assert_true(br_gossip_deadline(&f.g) < BRUIT_NEVER);
    test_core_forget(&f.t, f.t.core.self);
    assert_int_equal(round_targets(&f, slots, &now), 1);
    assert_true(br_gossip_deadline(&f.g) < BRUIT_NEVER);
    finish(&f);
}

/* An eager round was planned, but all its news left on other packets: the next one is not taken for eager. */
static void test_a_plan_ends_with_its_news(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 5);
    tell_alive(&f, 1, 2, NOW);
    while (fill(&f, BUDGET).count != 0) {
    }
    f.g.eager = false;
    tell_alive(&f, 1, 3, NOW + MS);
    uint32_t slots[BR_PICK_MAX];
    bruit_time now;
    assert_int_equal(round_targets(&f, slots, &now), 3);
    assert_false(f.g.round_eager);
    assert_int_equal((now - f.g.phase) % GRID, 0);
    finish(&f);
}

/* A module has a broadcast: rounds are held for it, and no longer once it says that nothing waits. */
static void test_holds_rounds_for_modules(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 5);
    f.g.eager = false;
    br_gossip_wake(&f.g, true, true, NOW);
    uint32_t slots[BR_PICK_MAX];
    bruit_time now;
    assert_int_equal(round_targets(&f, slots, &now), 3);
    assert_true(br_gossip_deadline(&f.g) == now + GRID);
    br_gossip_wake(&f.g, false, false, now);
    assert_true(br_gossip_deadline(&f.g) == BRUIT_NEVER);
    br_gossip_wake(&f.g, true, false, now + 10 * GRID + 1);
    assert_true(br_gossip_deadline(&f.g) == now + 11 * GRID);
    finish(&f);
}

/* ---- the ring ---- */

/* The live member next to `slot` in the order of identity hashes, beginning anew after the last. */
static uint32_t next_on_ring(const struct test_core *t, uint32_t slot)
{
    const struct br_view *view = &t->core.view;
    const struct br_record *records = t->core.roster->records;
    uint64_t from = records[view->record[slot]].identity, best = UINT64_MAX;
    uint32_t next = 0;
    for (uint32_t i = 0; i < view->count; i++) {
        uint32_t other = view->order[i];
        uint64_t ahead = records[view->record[other]].identity - from;
        if (other != slot && other != t->core.self && br_view_is_live(view, other) && ahead < best) {
            best = ahead;
            next = other;
        }
    }
    return next;
}

static bool shares_a_slot(const uint32_t *a, const uint32_t *b, uint32_t count)
{
    for (uint32_t i = 0; i < count * count; i++)
        if (a[i / count] == b[i % count])
            return true;
    return false;
}

/*
 * Random targets alone would miss somebody sooner or later: news goes to our successor on the ring first, what the
 * grid repeats to its successor, then in turn; the last target is always random. Who dies is no successor any more.
 */
static void test_each_round_begins_with_one_of_our_successors(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct fixture f;
        uint32_t slots[3][BR_PICK_MAX];
        bruit_time now;
        start_with(&f, 30, seed);
        uint32_t first = next_on_ring(&f.t, f.t.core.self);
        uint32_t second = next_on_ring(&f.t, first);
        tell_alive(&f, 1, 2, NOW);
        assert_int_equal(round_targets(&f, slots[0], &now), 3);
        assert_int_equal(slots[0][0], first);
        assert_true(slots[0][1] != first && slots[0][2] != first && slots[0][1] != slots[0][2]);
        bool by_chance = slots[0][1] == second || slots[0][2] == second;
        assert_int_equal(round_targets(&f, slots[1], &now), 3);
        assert_true(by_chance || slots[1][0] == second);
        assert_int_equal(round_targets(&f, slots[2], &now), 3);
        assert_true(slots[2][0] == (by_chance && slots[1][0] != second ? second : first));
        assert_false(shares_a_slot(slots[0], slots[1], 3) || shares_a_slot(slots[1], slots[2], 3));
        test_core_believe(&f.t, first, BRUIT_DEAD, 1);
        tell_alive(&f, 1, 3, now);
        assert_int_equal(round_targets(&f, slots[0], &now), 3);
        assert_int_equal(slots[0][0], second);
        finish(&f);
    }
}

/* Among six, a message is sent four times: the four of the five others that get it are different ones. */
static void test_a_small_cluster_is_not_told_twice(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct fixture f;
        uint32_t slots[2][BR_PICK_MAX];
        bruit_time now;
        start_with(&f, 6, seed);
        tell_alive(&f, 1, 2, NOW);
        assert_int_equal(round_targets(&f, slots[0], &now), 3);
        assert_in_range(round_targets(&f, slots[1], &now), 1, 2);
        for (int i = 0; i < 3; i++)
            assert_int_not_equal(slots[0][i], slots[1][0]);
        finish(&f);
    }
}

/* Three in a row are of another make, and tell nobody in particular: all of them are told, and who comes after. */
static void test_strangers_on_the_ring_are_ours_to_tell(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct fixture f;
        uint32_t slots[BR_PICK_MAX], ring[5];
        bool is_told[64] = {false};
        bruit_time now;
        start_with(&f, 30, seed);
        f.t.core.carries = 1;
        ring[0] = next_on_ring(&f.t, f.t.core.self);
        for (int i = 1; i < 5; i++)
            ring[i] = next_on_ring(&f.t, ring[i - 1]);
        for (uint32_t slot = 1; slot <= 30; slot++)
            br_view_carry(&f.t.core.view, slot, 1);
        for (int i = 0; i < 3; i++)
            br_view_carry(&f.t.core.view, ring[i], 0);
        tell_alive(&f, 1, 2, NOW);
        assert_int_equal(round_targets(&f, slots, &now), 3);
        assert_true(slots[0] == ring[0] && slots[1] == ring[1]);
        for (int i = 0; i < 3; i++)
            is_told[slots[i]] = true;
        assert_int_equal(round_targets(&f, slots, &now), 3);
        for (int i = 0; i < 3; i++)
            is_told[slots[i]] = true;
        assert_true(is_told[ring[2]] && is_told[ring[3]]); /* the fourth is of our make: he tells who follows */
        finish(&f);
    }
}

/* With a single target a round, that one is random: a successor may be dead without anybody knowing. */
static void test_the_last_target_is_random(void **state)
{
    (void)state;
    struct fixture f;
    uint32_t seen = 0, last = 0, slots[BR_PICK_MAX];
    bruit_time now;
    start_with(&f, 30, 1);
    f.t.core.config.gossip_nodes = 1;
    tell_alive(&f, 1, 2, NOW);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(round_targets(&f, slots, &now), 1);
        seen += slots[0] != last;
        last = slots[0];
    }
    assert_true(seen >= 5);
    finish(&f);
}

/* ---- eagerness ---- */

/* News after a quiet time leaves within 20 ms; what has been told once goes on at the pace of the grid. */
static void test_news_does_not_wait_for_the_grid(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct fixture f;
        start_with(&f, 10, seed);
        tell_alive(&f, 1, 2, NOW);
        bruit_time now, first = br_gossip_deadline(&f.g);
        assert_true(first >= NOW && first < NOW + 20 * MS);
        tell_alive(&f, 2, 2, NOW + MS); /* in the same round */
        assert_true(br_gossip_deadline(&f.g) == first);
        uint32_t slots[BR_PICK_MAX];
        assert_int_equal(round_targets(&f, slots, &now), 3);
        assert_int_equal((br_gossip_deadline(&f.g) - f.g.phase) % GRID, 0);
        assert_int_equal(round_targets(&f, slots, &now), 3);
        assert_false(f.g.round_eager); /* and costs nothing of what eager rounds may */
        finish(&f);
    }
}

/* A storm of news, one piece every millisecond for 2 s, in packets of 1,400 bytes to three targets: the saved 128 KiB
 * and 128 KiB a second are spent, and one packet more, not thousands. */
static void test_a_storm_falls_back_to_the_grid(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 50);
    uint32_t eager_packets = 0, rounds = 0;
    for (uint32_t i = 0; i < 2000; i++) {
        bruit_time now = NOW + i * MS;
        tell_alive(&f, 1 + i % 49, i + 2, now);
        if (br_gossip_deadline(&f.g) > now)
            continue;
        rounds++;
        br_gossip_tick(&f.g, now);
        struct br_send send;
        while (br_gossip_next(&f.g, &send)) {
            eager_packets += f.g.round_eager;
            br_gossip_sent(&f.g, 1400, now);
        }
    }
    assert_in_range(eager_packets, 200, (131072 + 2 * 131072) / 1400 + 3);
    assert_true(rounds <= eager_packets / 3 + 11);
    /* After 4 s of quiet all is saved up again. */
    tell_alive(&f, 1, 9999, NOW + 6 * BRUIT_SECOND);
    assert_true(br_gossip_deadline(&f.g) <= NOW + 6 * BRUIT_SECOND + 20 * MS);
    /* And never more than that: a day of quiet buys no longer storm. */
    br_gossip_tick(&f.g, NOW + 86400 * BRUIT_SECOND);
    tell_alive(&f, 1, 10000, br_gossip_deadline(&f.g) - 100 * MS);
    assert_int_equal(f.g.savings, BR_GOSSIP_EAGER_BURST);
    finish(&f);
}

/* Sixty news in a burst at a 20 ms pace of ticks, then quiet: nothing is told more often than the limit allows. */
static void test_eagerness_tells_nothing_more_often(void **state)
{
    (void)state;
    uint32_t told[2];
    for (int eager = 0; eager <= 1; eager++) {
        struct fixture f;
        start(&f, 50);
        f.g.eager = eager;
        told[eager] = 0;
        for (uint32_t i = 1; i < 50; i++)
            tell_alive(&f, i, 2, NOW + i * MS);
        while (br_gossip_deadline(&f.g) != BRUIT_NEVER) {
            bruit_time now = br_gossip_deadline(&f.g);
            br_gossip_tick(&f.g, now);
            struct br_send send;
            while (br_gossip_next(&f.g, &send)) {
                struct packet packet = fill(&f, BUDGET);
                told[eager] += packet.count;
                br_gossip_sent(&f.g, packet.size, now);
            }
        }
        finish(&f);
    }
    assert_int_equal(told[0], 49 * 8);
    assert_int_equal(told[1], 49 * 8);
}

/* Without a gossip interval news travels on other packets only. */
static void test_an_interval_of_zero_holds_no_rounds(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 5);
    f.t.core.config.gossip_interval = 0;
    tell_alive(&f, 1, 2, NOW);
    br_gossip_wake(&f.g, true, true, NOW);
    assert_true(br_gossip_deadline(&f.g) == BRUIT_NEVER);
    assert_int_equal(fill(&f, BUDGET).count, 1);
    finish(&f);
}

/* ---- memory ---- */

/* Every allocation fails once: the news is refused, what waited waits on, the next attempt succeeds. */
static void test_survives_failing_memory(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth <= 30; nth++) {
        struct fixture f;
        start(&f, 60);
        f.t.memory.fail_at = f.t.memory.count + nth;
        int refused = 0;
        for (uint32_t i = 1; i < 60; i++) {
            char from[16];
            snprintf(from, sizeof from, "accuser%u", (unsigned)i);
            uint32_t before = br_gossip_count(&f.g);
            while (br_gossip_suspect(&f.g, name_of(&f, i), 1, br_bytes_string(from), NOW) != 0) {
                refused++;
                assert_int_equal(br_gossip_count(&f.g), before);
            }
            assert_int_equal(br_gossip_count(&f.g), before + 1);
            if (i == 30 && br_gossip_watch(&f.g, name_of(&f, 30)) == 0)
                refused++;
        }
        assert_int_equal(refused, f.t.memory.count >= f.t.memory.fail_at ? 1 : 0);
        finish(&f);
    }
}

/* Rumours come and go for a while: after the first round of them no memory is asked for. */
static void test_allocates_nothing_in_steady_state(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 40);
    uint64_t before = 0;
    for (uint32_t i = 0; i < 400; i++) {
        if (i == 40)
            before = f.t.core.alloc.count;
        tell_alive(&f, i % 40, i + 2, NOW + i * MS);
        tell_suspect(&f, (i + 7) % 40, i + 2, "m3");
        br_gossip_tick(&f.g, NOW + i * MS);
        struct br_packet_builder builder;
        br_packet_begin(&builder, &f.wire, &f.scratch, f.buffer, sizeof f.buffer, false);
        br_gossip_fill(&f.g, &builder, BUDGET);
    }
    assert_true(f.t.core.alloc.count == before);
    finish(&f);
}

/* What reserve promised is kept: with no memory left, that much news still gets in. */
static void test_reserve_is_a_promise(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 101);
    tell_alive(&f, 0, 2, NOW);
    assert_int_equal(br_gossip_reserve(&f.g, 100), 0);
    f.t.memory.fail_at = f.t.memory.count + 1;
    f.t.memory.fail_after = true;
    for (uint32_t i = 1; i <= 100; i++)
        tell_suspect(&f, i, 1, "m0");
    f.t.memory.fail_at = 0;
    finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tells_what_it_was_told),
        cmocka_unit_test(test_knows_the_size_of_what_it_will_write),
        cmocka_unit_test(test_newer_news_replaces_older),
        cmocka_unit_test(test_refutations_displace_only_each_other),
        cmocka_unit_test(test_tells_as_often_as_the_formula_says),
        cmocka_unit_test(test_places_are_used_again),
        cmocka_unit_test(test_the_limit_grows_with_the_cluster),
        cmocka_unit_test(test_keeps_to_the_budget),
        cmocka_unit_test(test_fills_at_most_255_messages),
        cmocka_unit_test(test_outlives_its_subject),
        cmocka_unit_test(test_refuses_an_accuser_with_too_long_a_name),
        cmocka_unit_test(test_a_watch_ends_when_all_is_told),
        cmocka_unit_test(test_a_watch_ends_when_displaced),
        cmocka_unit_test(test_rounds_stand_on_a_grid),
        cmocka_unit_test(test_the_phase_is_random),
        cmocka_unit_test(test_tells_the_living_and_the_recently_dead),
        cmocka_unit_test(test_tells_nothing_to_one_that_has_just_left),
        cmocka_unit_test(test_a_round_ends_when_all_is_told),
        cmocka_unit_test(test_a_new_round_replaces_an_unfinished_one),
        cmocka_unit_test(test_sleeps_while_alone),
        cmocka_unit_test(test_goes_on_after_leaving),
        cmocka_unit_test(test_a_plan_ends_with_its_news),
        cmocka_unit_test(test_holds_rounds_for_modules),
        cmocka_unit_test(test_each_round_begins_with_one_of_our_successors),
        cmocka_unit_test(test_a_small_cluster_is_not_told_twice),
        cmocka_unit_test(test_strangers_on_the_ring_are_ours_to_tell),
        cmocka_unit_test(test_the_last_target_is_random),
        cmocka_unit_test(test_news_does_not_wait_for_the_grid),
        cmocka_unit_test(test_a_storm_falls_back_to_the_grid),
        cmocka_unit_test(test_eagerness_tells_nothing_more_often),
        cmocka_unit_test(test_an_interval_of_zero_holds_no_rounds),
        cmocka_unit_test(test_survives_failing_memory),
        cmocka_unit_test(test_allocates_nothing_in_steady_state),
        cmocka_unit_test(test_reserve_is_a_promise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
