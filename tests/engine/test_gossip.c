/*
 * What is told, to whom, how often, and in how large packets: docs/wire/memberlist.md sections 8 and 9. One member of
 * ours, n0, whose datagrams are all read.
 */
#include "support/scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define S BRUIT_SECOND
#define MS BRUIT_MILLISECOND

/* Nobody is probed and nothing is synced: all datagrams are gossip. */
static void only_gossip(struct bruit_config *config)
{
    config->probe_interval = 0;
    config->push_pull_interval = 0;
    config->early_sync_budget = 0;
}

static struct scene quiet_scene_with(uint64_t seed, void (*change)(struct bruit_config *config))
{
    return scene_new(seed, only_gossip, change);
}

static struct scene quiet_scene(uint64_t seed)
{
    return scene_new(seed, only_gossip, NULL);
}

static void say_alive(struct scene *s, const char *name, uint8_t number)
{
    struct br_alive alive = peer_other(s->p, name, number, 1);
    peer_add_alive(s->p, &alive);
    say(s);
}

static void say_members(struct scene *s, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%u", i);
        struct br_alive alive = peer_other(s->p, name, (uint8_t)i, 1);
        peer_add_alive(s->p, &alive);
        if (s->p->count == 20 || i == count - 1)
            say(s);
    }
}

/* How often an alive of `name` with `incarnation` was among what was just heard. */
static size_t told_alive(const struct peer *p, const char *name, uint32_t incarnation)
{
    const struct peer_leaf *leaf;
    size_t count = 0;
    for (size_t from = 0; (leaf = peer_next(p, BR_ALIVE, &from)) != NULL;) {
        struct br_alive alive;
        assert_int_equal(br_alive_decode(&alive, leaf->body), 0);
        count += br_bytes_equal(alive.node, world_bytes(name)) && alive.incarnation == incarnation;
    }
    return count;
}

static void hear_all(struct scene *s, bruit_time duration)
{
    world_run(s->w, duration);
    peer_hear_at(s->p, NULL);
}

/* conformance: memberlist 61 */
/* Each rumour is told retransmit_mult * ceil(log10(n + 1)) times and no more: 4 times among 9, 8 times among 10. */
static void test_a_rumour_is_told_so_often(void **state)
{
    (void)state;
    for (unsigned others = 8; others <= 9; others++) {
        struct scene s = quiet_scene(121);
        say_members(&s, others);
        hear_all(&s, 60 * S); /* the news of the others is old by now */
        struct br_alive again = peer_other(s.p, "m3", 3, 2);
        peer_add_alive(s.p, &again);
        say(&s);
        hear_all(&s, 60 * S);
        assert_int_equal(told_alive(s.p, "m3", 2), others == 8 ? 4 : 8);
        assert_int_equal(world_stats(s.w, 0).rumours, 0);
        end(&s);
    }
}

/* conformance: memberlist 60 */
/* Newer news of a member takes the place of older: who was alive and then died is only told to be dead. */
static void test_news_displaces_older_news(void **state)
{
    struct scene s = quiet_scene(122);
    (void)state;
    say_members(&s, 3);
    hear_all(&s, 30 * S);
    struct br_alive again = peer_other(s.p, "m1", 1, 2);
    peer_add_alive(s.p, &again);
    peer_dead(s.p, "m1", 2, "q");
    say(&s);
    assert_int_equal(world_stats(s.w, 0).rumours, 1);
    hear_all(&s, 3 * S);
    assert_int_equal(told_alive(s.p, "m1", 2), 0);
    assert_int_equal(peer_heard(s.p, BR_DEAD), 4);
    end(&s);
}

/* conformance: memberlist 60 */
/* Refutations displace each other, but not the other news about ourselves: new metadata that waits is told as well. */
static void test_refutations_are_apart(void **state)
{
    struct scene s = quiet_scene(123);
    (void)state;
    say_members(&s, 3);
    hear_all(&s, 30 * S);
    assert_int_equal(bruit_set_meta(s.w->nodes[0].engine, world_bytes("m"), s.w->now), 0);
    peer_suspect(s.p, "n0", 2, "q");
    say(&s);
    peer_suspect(s.p, "n0", 3, "q");
    say(&s);
    assert_int_equal(world_stats(s.w, 0).rumours, 2);
    hear_all(&s, 30 * S);
    assert_int_equal(told_alive(s.p, "n0", 2), 4);
    assert_int_equal(told_alive(s.p, "n0", 3), 0);
    assert_int_equal(told_alive(s.p, "n0", 4), 4);
    end(&s);
}

static const uint8_t key_bytes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const struct bruit_bytes keys[] = {{key_bytes, 16}};

static void sealed_and_labelled(struct bruit_config *config)
{
    config->keys = keys;
    config->key_count = 1;
    config->label = world_bytes("a label of thirty-two bytes .....");
}

static void old_seal(struct bruit_config *config)
{
    sealed_and_labelled(config);
    config->protocol = 1;
    config->packet_size_max = 1152;
}

/* conformance: memberlist 62 */
/* Hundreds of rumours wait: packets are filled, and none passes the budget by more than the checksum's five bytes,
 * whatever layers are around it. */
static void test_no_packet_passes_the_budget(void **state)
{
    void (*const changes[])(struct bruit_config *) = {NULL, sealed_and_labelled, old_seal};
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct scene s = quiet_scene_with(124, changes[i]);
        size_t largest = 0, packets = 0, budget = s.w->config.packet_size_max;
        if (i > 0)
            test_wire_key(s.p->wire, 0, 16);
        say_members(&s, 200);
        for (int step = 0; step < 20; step++) {
            world_run(s.w, 100 * MS);
            for (size_t k = 0; k < s.w->letter_count; k++, packets++) {
                assert_true(s.w->letters[k]->size <= budget + 5);
                if (s.w->letters[k]->size > largest)
                    largest = s.w->letters[k]->size;
            }
            peer_hear_at(s.p, NULL);
        }
        assert_true(packets > 10);
        assert_true(largest > budget - 100);
        end(&s);
    }
}

/* How many of the datagrams heard went to `number`. */
static size_t heard_at(const struct scene *s, uint8_t number)
{
    size_t count = 0;
    for (size_t i = 0; i < s->p->leaf_count; i++)
        count += s->p->leaves[i].to.ip[1] == 8 && s->p->leaves[i].to.ip[3] == number;
    return count;
}

/* conformance: memberlist 63 */
/* Who left is told nothing any more. Who is dead is, for 30 s, so that it may say otherwise. */
static void test_the_dead_are_told_and_the_left_are_not(void **state)
{
    struct scene s = quiet_scene(125);
    (void)state;
    say_members(&s, 4);
    hear_all(&s, 20 * S);
    peer_dead(s.p, "m1", 1, "q");
    peer_dead(s.p, "m2", 1, "m2");
    say(&s);
    hear_all(&s, 10 * S);
    assert_true(heard_at(&s, 1) > 0);
    assert_int_equal(heard_at(&s, 2), 0);
    world_run(s.w, 19 * S);
    say_alive(&s, "x", 50);
    hear_all(&s, 900 * MS); /* up to 29.9 s after its death */
    size_t before = heard_at(&s, 1);
    world_run(s.w, 101 * MS);
    peer_hear_at(s.p, NULL);
    say_alive(&s, "y", 51);
    hear_all(&s, 20 * S);
    assert_int_equal(heard_at(&s, 1), 0);
    assert_int_equal(heard_at(&s, 2), 0);
    assert_true(before > 0 || heard_at(&s, 3) > 0);
    end(&s);
}

/* ---- modules' broadcasts ---- */

static struct bruit_host *hosted;

static int keep_host(void *self, struct bruit_host *host)
{
    (void)self;
    hosted = host;
    return 0;
}

static const struct bruit_module speaking = {
    .struct_size = sizeof speaking, .name = "speaking", .init = keep_host};
static const struct bruit_module *const modules[] = {&speaking};

static void with_speaking(struct bruit_config *config)
{
    config->modules = modules;
    config->module_count = 1;
}

/* conformance: memberlist 64 */
/* A module has something large to say while news of a hundred members waits: members' news always wins, and the
 * broadcast goes out behind it as soon as a packet has room. */
static void test_broadcasts_take_what_room_is_left(void **state)
{
    static uint8_t message[900];
    struct scene s = quiet_scene_with(126, with_speaking);
    (void)state;
    memset(message, '!', sizeof message);
    say_members(&s, 100);
    hear_all(&s, 0);
    assert_true(bruit_host_broadcast(hosted, br_bytes(message, sizeof message), 2) != 0);
    uint32_t first_user = UINT32_MAX;
    size_t users = 0;
    for (int step = 0; step < 1000 && users == 0; step++) {
        hear_all(&s, 10 * MS);
        for (size_t i = 0; i < s.p->leaf_count; i++) {
            if (s.p->leaves[i].type != BR_USER)
                continue;
            users++;
            if (first_user == UINT32_MAX)
                first_user = s.p->leaves[i].packet;
            /* Nothing of a member stands behind it in its packet. */
            for (size_t k = i + 1; k < s.p->leaf_count && s.p->leaves[k].packet == s.p->leaves[i].packet; k++)
                assert_int_equal(s.p->leaves[k].type, BR_USER);
        }
    }
    assert_true(users > 0);
    assert_true(first_user >= 20); /* 100 rumours, 20 a packet, 12 times each: full packets come first */
    end(&s);
}

/* A broadcast longer than a packet's budget waits for ever and holds no rounds: at rest nothing ticks. */
static void test_a_broadcast_too_long_holds_no_rounds(void **state)
{
    static uint8_t message[2000];
    struct scene s = quiet_scene_with(127, with_speaking);
    (void)state;
    say_members(&s, 2);
    world_run(s.w, 20 * S);
    assert_true(bruit_host_broadcast(hosted, br_bytes(message, sizeof message), 0) != 0);
    world_settle(s.w, 0);
    world_run(s.w, S);
    uint64_t ticks = s.w->nodes[0].ticks;
    world_run(s.w, 60 * S);
    assert_true(s.w->nodes[0].ticks - ticks <= 1);
    assert_int_equal(bruit_host_queued(hosted, 0), 1);
    end(&s);
}

/* ---- anti-entropy and reaping ---- */

static void with_syncs(struct bruit_config *config)
{
    config->push_pull_interval = 30 * S;
}

/* Runs until n0 has dialled once more; when. */
static bruit_time next_sync(struct scene *s)
{
    uint64_t before = s->w->connections;
    while (s->w->connections == before)
        world_run(s->w, MS);
    for (size_t i = 0; i < s->w->line_count; i++)
        if (s->w->lines[i].is_open[0])
            world_line_close(s->w, &s->w->lines[i], BRUIT_EREFUSED);
    return s->w->now;
}

/* conformance: memberlist 65 */
/* 32 members sync every 30 s, 33 every 60 s. The first comes between 30 and 60 s after the start. */
static void test_syncs_come_at_scaled_intervals(void **state)
{
    (void)state;
    for (unsigned others = 31; others <= 32; others++) {
        struct scene s = quiet_scene_with(128, with_syncs);
        say_members(&s, others);
        bruit_time first = next_sync(&s);
        assert_true(first >= WORLD_START + 30 * S && first <= WORLD_START + 60 * S + MS);
        bruit_time second = next_sync(&s);
        assert_int_equal((second - first + MS / 2) / MS, others == 31 ? 30000 : 60000);
        end(&s);
    }
}

static void probing(struct bruit_config *config)
{
    config->probe_interval = S;
    config->stream_pings = false;
}

/* conformance: memberlist 66 */
/* Dead and left members are forgotten when the probe round wraps more than 30 s after; the program is told who it
 * was; and then anybody may use the name. */
static void test_the_gone_are_forgotten(void **state)
{
    struct scene s = quiet_scene_with(129, probing);
    (void)state;
    peer_alive(s.p, 1);
    say(&s);
    say_alive(&s, "x", 1);
    say_alive(&s, "y", 2);
    peer_dead(s.p, "x", 1, "q");
    peer_dead(s.p, "y", 1, "y");
    say(&s);
    peer_live(s.p, 30 * S);
    assert_int_equal(world_state_of(s.w, 0, "x"), BRUIT_DEAD);
    assert_int_equal(world_state_of(s.w, 0, "y"), BRUIT_LEFT);
    peer_live(s.p, 4 * S);
    assert_int_equal(world_state_of(s.w, 0, "x"), WORLD_UNKNOWN);
    assert_int_equal(world_state_of(s.w, 0, "y"), WORLD_UNKNOWN);
    assert_int_equal(world_events(s.w, 0, BRUIT_EVENT_MEMBER, "x", BRUIT_CHANGE_FORGOTTEN), 1);
    assert_int_equal(world_events(s.w, 0, BRUIT_EVENT_MEMBER, "y", BRUIT_CHANGE_FORGOTTEN), 1);
    say_alive(&s, "x", 77);
    assert_int_equal(world_state_of(s.w, 0, "x"), BRUIT_ALIVE);
    assert_int_equal(world_events(s.w, 0, BRUIT_EVENT_CONFLICT, NULL, 0), 0);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_rumour_is_told_so_often),
        cmocka_unit_test(test_news_displaces_older_news),
        cmocka_unit_test(test_refutations_are_apart),
        cmocka_unit_test(test_no_packet_passes_the_budget),
        cmocka_unit_test(test_the_dead_are_told_and_the_left_are_not),
        cmocka_unit_test(test_broadcasts_take_what_room_is_left),
        cmocka_unit_test(test_a_broadcast_too_long_holds_no_rounds),
        cmocka_unit_test(test_syncs_come_at_scaled_intervals),
        cmocka_unit_test(test_the_gone_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
