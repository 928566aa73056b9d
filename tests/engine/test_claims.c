/*
 * What is said of members, by gossip: docs/wire/memberlist.md sections 6.2 to 6.6. One member of ours, n0, and a peer
 * that says things to it.
 */
#include "support/scene.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define S BRUIT_SECOND
#define MS BRUIT_MILLISECOND

/* A third member called x, alive with this incarnation. */
static void say_x(struct scene *s, uint32_t incarnation)
{
    struct br_alive alive = peer_other(s->p, "x", 1, incarnation);
    peer_add_alive(s->p, &alive);
    say(s);
}

static void assert_x(const struct scene *s, int state, uint32_t incarnation)
{
    assert_int_equal(world_state_of(s->w, 0, "x"), state);
    assert_int_equal(world_incarnation_of(s->w, 0, "x"), incarnation);
}

/* Nothing about anybody changes by what `p` says next. */
static void say_in_vain(struct scene *s)
{
    uint64_t before = bruit_view_checksum(s->w->nodes[0].engine);
    uint32_t rumours = world_stats(s->w, 0).rumours;
    say(s);
    assert_int_equal(bruit_view_checksum(s->w->nodes[0].engine), before);
    assert_int_equal(world_stats(s->w, 0).rumours, rumours);
}

static struct bruit_bytes vsn_of(const struct scene *s)
{
    return br_bytes(s->p->vsn, 6);
}

/* ---- alive ---- */

/* conformance: memberlist 34 */
/* A new member is alive with incarnation 1, and says so with six sane version bytes. */
static void test_begins_with_incarnation_1(void **state)
{
    struct scene s = scene(31);
    struct br_alive alive;
    (void)state;
    assert_int_equal(world_incarnation_of(s.w, 0, "n0"), 1);
    peer_alive(s.p, 1);
    say(&s);
    world_run(s.w, S);
    peer_hear(s.p);
    assert_true(peer_heard_alive(s.p, "n0", &alive));
    assert_int_equal(alive.incarnation, 1);
    assert_memory_equal(alive.vsn.data, "\1\5\2\2\5\5", 6);
    assert_int_equal(alive.addr.size, 4);
    end(&s);
}

/* conformance: memberlist 35 */
/* Somebody nobody knew joins: the program is told, the news is passed on, its place in the probe round is random. */
static void test_new_member_joins(void **state)
{
    bool is_first = false, is_last = false;
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct scene s = scene(seed);
        say_x(&s, 7);
        assert_x(&s, BRUIT_ALIVE, 7);
        assert_int_equal(world_events(s.w, 0, BRUIT_EVENT_MEMBER, "x", BRUIT_CHANGE_JOINED), 1);
        assert_true(world_stats(s.w, 0).rumours >= 1);
        peer_alive(s.p, 1);
        say(&s);
        /* Three are known; in the end each place was seen to be given. What is probed first tells the place. */
        for (int i = 0; i < 3000 && peer_heard(s.p, BR_PING) == 0; i++) {
            world_run(s.w, MS);
            peer_hear_at(s.p, NULL);
        }
        if (peer_heard_ping(s.p, "x", NULL))
            is_first = true;
        else
            is_last = true;
        end(&s);
    }
    assert_true(is_first && is_last);
}

/* conformance: memberlist 36 */
/* Alive about another: an equal incarnation says nothing, even with other metadata; a higher one is believed. */
static void test_alive_needs_a_higher_incarnation(void **state)
{
    struct scene s = scene(33);
    struct br_alive alive = peer_other(s.p, "x", 1, 5);
    (void)state;
    say_x(&s, 5);
    alive.meta = world_bytes("role");
    peer_add_alive(s.p, &alive);
    say_in_vain(&s);
    alive.incarnation = 4;
    peer_add_alive(s.p, &alive);
    say_in_vain(&s);
    assert_int_equal(world_events(s.w, 0, BRUIT_EVENT_MEMBER, "x", BRUIT_CHANGE_UPDATED), 0);
    alive.incarnation = 6;
    peer_add_alive(s.p, &alive);
    say(&s);
    assert_x(&s, BRUIT_ALIVE, 6);
    assert_int_equal(world_events(s.w, 0, BRUIT_EVENT_MEMBER, "x", BRUIT_CHANGE_UPDATED), 1);
    /* The same metadata again with a higher number is no update. */
    alive.incarnation = 7;
    peer_add_alive(s.p, &alive);
    say(&s);
    assert_x(&s, BRUIT_ALIVE, 7);
    assert_int_equal(world_events(s.w, 0, BRUIT_EVENT_MEMBER, "x", BRUIT_CHANGE_UPDATED), 1);
    end(&s);
}

/* conformance: memberlist 37 */
/* A suspect is not cleared by an alive of the incarnation that is accused; by the next one it is, and nobody hears of
 * a join. */
static void test_only_a_higher_alive_clears_suspicion(void **state)
{
    struct scene s = scene(34);
    (void)state;
    say_x(&s, 5);
    peer_suspect(s.p, "x", 5, "p");
    say(&s);
    assert_x(&s, BRUIT_SUSPECT, 5);
    struct br_alive alive = peer_other(s.p, "x", 1, 5);
    peer_add_alive(s.p, &alive);
    say_in_vain(&s);
    say_x(&s, 6);
    assert_x(&s, BRUIT_ALIVE, 6);
    assert_int_equal(world_events(s.w, 0, BRUIT_EVENT_MEMBER, "x", BRUIT_CHANGE_JOINED), 1);
    end(&s);
}

/* conformance: memberlist 57 */
/* Suspected, refuted, and nothing more is heard: the old timer does nothing when its time comes. */
static void test_a_timer_after_a_revival_does_nothing(void **state)
{
    struct scene s = scene(35);
    (void)state;
    peer_alive(s.p, 1);
    peer_suspect(s.p, "p", 1, "x");
    say(&s);
    assert_int_equal(world_state_of(s.w, 0, "p"), BRUIT_SUSPECT);
    peer_alive(s.p, 2);
    say(&s);
    peer_live(s.p, 60 * S);
    assert_int_equal(world_state_of(s.w, 0, "p"), BRUIT_ALIVE);
    assert_int_equal(world_events(s.w, 0, BRUIT_EVENT_MEMBER, "p", BRUIT_CHANGE_FAILED), 0);
    end(&s);
}

/* Incarnation 0 makes nobody alive, and leaves no record behind. */
static void test_incarnation_0_is_nobody(void **state)
{
    struct scene s = scene(36);
    (void)state;
    struct br_alive alive = peer_other(s.p, "x", 1, 0);
    peer_add_alive(s.p, &alive);
    say_in_vain(&s);
    assert_int_equal(bruit_member_count(s.w->nodes[0].engine), 1);
    end(&s);
}

/* ---- conflicts ---- */

static void say_moved_x(struct scene *s, uint32_t incarnation)
{
    struct br_alive alive = peer_other(s->p, "x", 99, incarnation);
    peer_add_alive(s->p, &alive);
}

static size_t conflicts(const struct scene *s)
{
    return world_events(s->w, 0, BRUIT_EVENT_CONFLICT, "x", 0);
}

/* conformance: memberlist 38 */
/* Somebody claims a known name from another address, with a higher incarnation: alive, suspect or dead, the record
 * stays, and the program is told. */
static void test_a_known_name_does_not_move(void **state)
{
    struct scene s = scene(37);
    (void)state;
    say_x(&s, 5);
    say_moved_x(&s, 9);
    say_in_vain(&s);
    assert_int_equal(conflicts(&s), 1);
    peer_suspect(s.p, "x", 5, "p");
    say(&s);
    say_moved_x(&s, 9);
    say_in_vain(&s);
    assert_int_equal(conflicts(&s), 2);
    peer_dead(s.p, "x", 5, "p");
    say(&s);
    assert_x(&s, BRUIT_DEAD, 5);
    say_moved_x(&s, 9);
    say_in_vain(&s);
    assert_int_equal(conflicts(&s), 3);
    assert_int_equal(world_stats(s.w, 0).drops[BRUIT_DROP_NAME_CONFLICT], 3);
    assert_true(
        world_expect_trace(s.w, 0, "Conflicting address for x. Mine: 10.8.0.1:7946 Theirs: 10.8.0.99:7946"));
    end(&s);
}

/* conformance: memberlist 38 */
/* Who left may come back from another address, even with a lower incarnation. */
static void test_a_left_name_may_move(void **state)
{
    struct scene s = scene(38);
    (void)state;
    say_x(&s, 5);
    peer_dead(s.p, "x", 5, "x");
    say(&s);
    assert_x(&s, BRUIT_LEFT, 5);
    say_moved_x(&s, 2);
    say(&s);
    assert_x(&s, BRUIT_ALIVE, 2);
    assert_int_equal(conflicts(&s), 0);
    struct bruit_member x;
    assert_int_equal(
        bruit_member_get(s.w->nodes[0].engine, bruit_member_find(s.w->nodes[0].engine, world_bytes("x")), &x),
        0);
    assert_int_equal(x.addr.ip[3], 99);
    assert_int_equal(world_events(s.w, 0, BRUIT_EVENT_MEMBER, "x", BRUIT_CHANGE_JOINED), 2);
    end(&s);
}

static void reclaim_after_10_s(struct bruit_config *config)
{
    config->dead_reclaim = 10 * S;
}

/* conformance: memberlist 38 */
/* With dead_reclaim 10 s a dead name may move once more than 10 s have passed, and not before. */
static void test_a_dead_name_may_move_after_a_while(void **state)
{
    struct scene s = scene_with(39, reclaim_after_10_s);
    (void)state;
    say_x(&s, 5);
    peer_dead(s.p, "x", 5, "p");
    say(&s);
    world_run(s.w, 10 * S);
    say_moved_x(&s, 6);
    say_in_vain(&s);
    assert_int_equal(conflicts(&s), 1);
    world_run(s.w, 1);
    say_moved_x(&s, 6);
    say(&s);
    assert_x(&s, BRUIT_ALIVE, 6);
    assert_int_equal(conflicts(&s), 1);
    end(&s);
}

/* conformance: memberlist 39 */
/* 10.8.0.1 in four bytes and in sixteen are two addresses. The port counts, too. */
static void test_two_forms_of_one_address_conflict(void **state)
{
    static const uint8_t mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 8, 0, 1};
    struct scene s = scene(40);
    (void)state;
    say_x(&s, 5);
    struct br_alive alive = peer_other(s.p, "x", 1, 6);
    alive.addr = br_bytes(mapped, 16);
    peer_add_alive(s.p, &alive);
    say_in_vain(&s);
    assert_int_equal(conflicts(&s), 1);
    alive = peer_other(s.p, "x", 1, 6);
    alive.port = 7947;
    peer_add_alive(s.p, &alive);
    say_in_vain(&s);
    assert_int_equal(conflicts(&s), 2);
    end(&s);
}

/* An address in sixteen bytes is passed on in sixteen, and datagrams go to the four. */
static void test_an_address_is_passed_on_as_it_came(void **state)
{
    static const uint8_t mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 8, 0, 1};
    struct scene s = scene(41);
    struct bruit_addr plain = {.ip = {10, 8, 0, 1}, .size = 4, .port = 7946};
    (void)state;
    struct br_alive alive = peer_other(s.p, "x", 1, 6), heard;
    alive.addr = br_bytes(mapped, 16);
    peer_add_alive(s.p, &alive);
    peer_alive(s.p, 1);
    say(&s);
    world_run(s.w, 3 * S);
    peer_hear(s.p);
    assert_true(peer_heard_alive(s.p, "x", &heard));
    assert_int_equal(heard.addr.size, 16);
    assert_memory_equal(heard.addr.data, mapped, 16);
    peer_hear_at(s.p, &plain);
    assert_true(peer_heard_ping(s.p, "x", NULL));
    end(&s);
}

/* ---- about ourselves ---- */

/* What n0 says of itself after `p` said something; its answer is heard at p, who is a member. */
static uint32_t refutation(struct scene *s)
{
    peer_alive(s->p, 1);
    say(s);
    for (int i = 0; i < 1000; i++) {
        const struct peer_leaf *leaf;
        struct br_alive alive;
        world_run(s->w, MS);
        peer_hear(s->p);
        for (size_t from = 0; (leaf = peer_next(s->p, BR_ALIVE, &from)) != NULL;)
            if (br_alive_decode(&alive, leaf->body) == 0 && br_bytes_equal(alive.node, world_bytes("n0")) &&
                alive.incarnation == world_incarnation_of(s->w, 0, "n0"))
                return alive.incarnation;
    }
    return 0;
}

/* conformance: memberlist 40 */
/* Accused with our own incarnation we answer with the next; with a higher one, above that; each costs a point of
 * health, and we stay alive to ourselves. */
static void test_refutes_suspicion_about_self(void **state)
{
    struct scene s = scene(42);
    (void)state;
    peer_suspect(s.p, "n0", 1, "x");
    say(&s);
    assert_int_equal(world_stats(s.w, 0).health, 1);
    assert_int_equal(world_state_of(s.w, 0, "n0"), BRUIT_ALIVE);
    assert_true(world_expect_trace(s.w, 0, "Refuting a suspect message (from: x)"));
    assert_int_equal(refutation(&s), 2);
    peer_suspect(s.p, "n0", 41, "x");
    say(&s);
    assert_int_equal(world_stats(s.w, 0).health, 2);
    assert_int_equal(refutation(&s), 42);
    end(&s);
}

/* conformance: memberlist 40 */
/* The same for dead, and for a "left" that we never said. An accusation of an older incarnation is stale. */
static void test_refutes_death_and_leaving_of_self(void **state)
{
    struct scene s = scene(43);
    (void)state;
    peer_dead(s.p, "n0", 1, "x");
    say(&s);
    assert_int_equal(refutation(&s), 2);
    assert_true(world_expect_trace(s.w, 0, "Refuting a dead message (from: x)"));
    peer_dead(s.p, "n0", 5, "n0");
    say(&s);
    assert_int_equal(refutation(&s), 6);
    assert_int_equal(world_stats(s.w, 0).health, 2);
    peer_dead(s.p, "n0", 5, "x");
    say_in_vain(&s);
    peer_suspect(s.p, "n0", 5, "x");
    say_in_vain(&s);
    assert_int_equal(world_stats(s.w, 0).health, 2);
    assert_int_equal(world_state_of(s.w, 0, "n0"), BRUIT_ALIVE);
    end(&s);
}

static struct br_alive self_of(const struct scene *s, uint32_t incarnation)
{
    const struct world_node *n0 = &s->w->nodes[0];
    return (struct br_alive){.incarnation = incarnation,
                             .port = 7946,
                             .node = world_bytes("n0"),
                             .addr = br_bytes(n0->addr.ip, 4),
                             .vsn = vsn_of(s)};
}

/* conformance: memberlist 41 */
/* Somebody tells us who we are. Exactly that: fine. An older incarnation: stale, whatever it says. */
static void test_ignores_what_is_true_of_self(void **state)
{
    struct scene s = scene(44);
    (void)state;
    peer_suspect(s.p, "n0", 1, "x");
    say(&s); /* we are 2 now */
    struct br_alive alive = self_of(&s, 2);
    peer_add_alive(s.p, &alive);
    say_in_vain(&s);
    alive = self_of(&s, 1);
    alive.meta = world_bytes("old");
    peer_add_alive(s.p, &alive);
    say_in_vain(&s);
    assert_int_equal(world_stats(s.w, 0).health, 1);
    end(&s);
}

/* conformance: memberlist 41 */
/* Other metadata, other versions, or a higher incarnation than we ever used: refuted. */
static void test_refutes_what_is_false_of_self(void **state)
{
    static const uint8_t other[6] = {1, 5, 2, 2, 5, 4};
    struct scene s = scene(45);
    (void)state;
    struct br_alive alive = self_of(&s, 1);
    alive.meta = world_bytes("old");
    peer_add_alive(s.p, &alive);
    say(&s);
    assert_int_equal(refutation(&s), 2);
    alive = self_of(&s, 2);
    alive.vsn = br_bytes(other, 6);
    peer_add_alive(s.p, &alive);
    say(&s);
    assert_int_equal(refutation(&s), 3);
    alive = self_of(&s, 10);
    peer_add_alive(s.p, &alive);
    say(&s);
    assert_int_equal(refutation(&s), 11);
    assert_int_equal(world_stats(s.w, 0).health, 3);
    end(&s);
}

/* conformance: memberlist 41 */
/* Our name at another address: that is a conflict, and no refutation. */
static void test_another_address_of_self_is_a_conflict(void **state)
{
    struct scene s = scene(46);
    (void)state;
    struct br_alive alive = peer_other(s.p, "n0", 50, 9);
    peer_add_alive(s.p, &alive);
    say_in_vain(&s);
    assert_int_equal(world_events(s.w, 0, BRUIT_EVENT_CONFLICT, "n0", 0), 1);
    assert_int_equal(world_stats(s.w, 0).health, 0);
    end(&s);
}

/* conformance: memberlist 47 */
/* Accused with the highest incarnation of all we cannot answer. We do not wrap to 0, say so loudly, and go on. */
static void test_the_highest_incarnation_does_not_wrap(void **state)
{
    struct scene s = scene(47);
    (void)state;
    peer_suspect(s.p, "n0", UINT32_MAX, "x");
    say_in_vain(&s);
    peer_dead(s.p, "n0", UINT32_MAX, "x");
    say_in_vain(&s);
    assert_int_equal(world_incarnation_of(s.w, 0, "n0"), 1);
    assert_int_equal(world_state_of(s.w, 0, "n0"), BRUIT_ALIVE);
    assert_int_equal(world_stats(s.w, 0).drops[BRUIT_DROP_INCARNATION_MAX], 2);
    assert_true(world_expect_trace(s.w, 0, "x accuses us with the highest incarnation there is"));
    peer_suspect(s.p, "n0", UINT32_MAX - 1, "x");
    say(&s); /* the last that can be answered */
    assert_int_equal(world_incarnation_of(s.w, 0, "n0"), UINT32_MAX);
    peer_suspect(s.p, "n0", UINT32_MAX, "x");
    say_in_vain(&s);
    peer_ping(s.p, 77, "n0");
    say(&s);
    peer_hear(s.p);
    assert_true(peer_heard_ack(s.p, 77));
    assert_int_equal(bruit_set_meta(s.w->nodes[0].engine, world_bytes("m"), s.w->now), BRUIT_EFULL);
    end(&s);
}

/* One accusation costs one refutation: what is equal or lower starts nothing again. */
static void test_one_accusation_one_refutation(void **state)
{
    struct scene s = scene(48);
    (void)state;
    for (int i = 0; i < 20; i++)
        peer_suspect(s.p, "n0", 1, "x");
    say(&s);
    assert_int_equal(world_incarnation_of(s.w, 0, "n0"), 2);
    assert_int_equal(world_stats(s.w, 0).health, 1);
    end(&s);
}

/* ---- suspect, dead, left ---- */

/* conformance: memberlist 42 */
/* Dead by its own word is left, by another's dead; a second word of either kind changes nothing. */
static void test_dead_by_its_own_word_is_left(void **state)
{
    struct scene s = scene(49);
    (void)state;
    say_x(&s, 5);
    peer_dead(s.p, "x", 4, "x");
    say_in_vain(&s);
    peer_dead(s.p, "x", 5, "x");
    say(&s);
    assert_x(&s, BRUIT_LEFT, 5);
    assert_int_equal(world_events(s.w, 0, BRUIT_EVENT_MEMBER, "x", BRUIT_CHANGE_LEFT), 1);
    peer_dead(s.p, "x", 9, "p");
    say_in_vain(&s);
    peer_dead(s.p, "x", 9, "x");
    say_in_vain(&s);
    struct br_alive y = peer_other(s.p, "y", 2, 1);
    peer_add_alive(s.p, &y);
    peer_dead(s.p, "y", 1, "p");
    say(&s);
    assert_int_equal(world_state_of(s.w, 0, "y"), BRUIT_DEAD);
    peer_dead(s.p, "y", 1, "y");
    say_in_vain(&s);
    assert_int_equal(world_state_of(s.w, 0, "y"), BRUIT_DEAD);
    end(&s);
}

/* conformance: memberlist 43 */
/* Suspecting is for the living: who is dead, left or unknown, or was accused with an older incarnation, is not. */
static void test_only_the_living_are_suspected(void **state)
{
    struct scene s = scene(50);
    (void)state;
    peer_suspect(s.p, "x", 1, "p");
    say_in_vain(&s);
    peer_dead(s.p, "x", 1, "p");
    say_in_vain(&s);
    say_x(&s, 5);
    peer_suspect(s.p, "x", 4, "p");
    say_in_vain(&s);
    peer_dead(s.p, "x", 5, "p");
    say(&s);
    peer_suspect(s.p, "x", 9, "p");
    say_in_vain(&s);
    say_x(&s, 10);
    assert_x(&s, BRUIT_ALIVE, 10);
    peer_dead(s.p, "x", 10, "x");
    say(&s);
    peer_suspect(s.p, "x", 11, "p");
    say_in_vain(&s);
    assert_x(&s, BRUIT_LEFT, 10);
    end(&s);
}

/* conformance: memberlist 56 */
/* Ten members, k is 2: the first accuser does not confirm itself, each other name counts once and is passed on, the
 * third is beyond k. With two confirmations the suspect has the shortest time, 4 s, and not 24. */
static void test_confirmations_count_once_a_name(void **state)
{
    struct scene s = scene(51);
    (void)state;
    for (uint8_t i = 2; i < 10; i++) {
        char name[4] = {'m', (char)('0' + i), 0};
        struct br_alive alive = peer_other(s.p, name, i, 1);
        peer_add_alive(s.p, &alive);
    }
    say(&s);
    say_x(&s, 1);
    world_run(s.w, 100 * MS);
    peer_suspect(s.p, "x", 1, "a");
    say(&s);
    bruit_time accused = s.w->now;
    peer_suspect(s.p, "x", 1, "a");
    say(&s);
    assert_int_equal(world_traced(s.w, 0, "suspects x, too"), 0);
    peer_suspect(s.p, "x", 1, "b");
    peer_suspect(s.p, "x", 1, "b");
    say(&s);
    assert_int_equal(world_traced(s.w, 0, "suspects x, too"), 1);
    peer_suspect(s.p, "x", 1, "c");
    say(&s);
    assert_int_equal(world_traced(s.w, 0, "suspects x, too"), 2);
    peer_suspect(s.p, "x", 1, "d");
    say(&s);
    assert_int_equal(world_traced(s.w, 0, "suspects x, too"), 2);
    world_run_until(s.w, accused + 3999 * MS);
    assert_x(&s, BRUIT_SUSPECT, 1);
    world_run_until(s.w, accused + 4000 * MS);
    assert_x(&s, BRUIT_DEAD, 1);
    assert_true(
        world_expect_trace(s.w, 0, "Marking x as failed, suspect timeout reached (2 peer confirmations)"));
    end(&s);
}

/* A confirmation that counts is passed on in the accuser's name; one that does not is not. */
static void test_a_confirmation_is_passed_on(void **state)
{
    struct scene s = scene(52);
    struct br_suspect heard;
    (void)state;
    peer_alive(s.p, 1);
    for (uint8_t i = 2; i < 6; i++) {
        char name[4] = {'m', (char)('0' + i), 0};
        struct br_alive alive = peer_other(s.p, name, i, 1);
        peer_add_alive(s.p, &alive);
    }
    say(&s);
    say_x(&s, 1);
    peer_suspect(s.p, "x", 1, "a");
    peer_suspect(s.p, "x", 1, "b");
    say(&s);
    world_run(s.w, 500 * MS);
    peer_hear(s.p);
    assert_true(peer_heard_suspect(s.p, "x", &heard));
    assert_true(br_bytes_equal(heard.from, world_bytes("b")));
    assert_int_equal(heard.incarnation, 1);
    end(&s);
}

/* ---- who may be a member ---- */

/* conformance: memberlist 48 */
/* No alive without six sane and compatible version bytes ever enters the table: short ones, ranges turned round, a
 * current one outside its range, and ranges that do not meet ours. */
static void test_bad_versions_never_enter(void **state)
{
    static const struct {
        uint8_t vsn[6];
        uint8_t size;
    } bad[] = {
        {{0}, 0},
        {{1, 5, 2, 2, 5, 5}, 5},
        {{0, 5, 2, 2, 5, 5}, 6},
        {{1, 0, 2, 2, 5, 5}, 6},
        {{5, 1, 2, 2, 5, 5}, 6},
        {{1, 5, 6, 2, 5, 5}, 6},
        {{2, 5, 1, 2, 5, 5}, 6},
        {{1, 5, 2, 5, 2, 5}, 6},
        {{1, 5, 2, 2, 5, 6}, 6},
        {{1, 5, 2, 3, 5, 2}, 6},
        {{3, 5, 3, 2, 5, 5}, 6}, /* understands nothing below 3; we speak 2 */
        {{1, 1, 1, 2, 5, 5}, 6}, /* nothing above 1 */
        {{1, 9, 9, 2, 5, 5}, 6}, /* speaks 9; nobody of ours understands it */
        {{1, 6, 6, 2, 5, 5}, 6},
        {{1, 5, 2, 0, 4, 4}, 6}, /* does not understand Serf's 5 */
        {{1, 5, 2, 2, 9, 9}, 6},
        {{1, 5, 2, 0, 9, 1}, 6}, /* speaks Serf's 1 */
        {{0, 0, 0, 0, 0, 0}, 6},
    };
    struct scene s = scene(53);
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct br_alive alive = peer_other(s.p, "x", 1, 1);
        alive.vsn = br_bytes(bad[i].vsn, bad[i].size);
        peer_add_alive(s.p, &alive);
        say_in_vain(&s);
        if (world_stats(s.w, 0).drops[BRUIT_DROP_BAD_ALIVE] != i + 1)
            fail_msg("vector %zu was not refused", i);
    }
    assert_int_equal(bruit_member_count(s.w->nodes[0].engine), 1);
    static const uint8_t good[][6] = {
        {1, 5, 2, 2, 5, 5}, {1, 5, 5, 2, 5, 5}, {1, 5, 1, 0, 7, 2}, {1, 7, 2, 2, 5, 4}};
    for (uint8_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        char name[4] = {'g', (char)('0' + i), 0};
        struct br_alive alive = peer_other(s.p, name, i, 1);
        alive.vsn = br_bytes(good[i], 6);
        peer_add_alive(s.p, &alive);
        say(&s);
        assert_int_equal(world_state_of(s.w, 0, name), BRUIT_ALIVE);
    }
    /* And none of them spoils a sync with a healthy peer. */
    struct br_entry entry = peer_entry(s.p, "z", 9, 1, BR_ENTRY_ALIVE);
    struct peer_answer answer;
    peer_sync(s.p, false, &entry, 1, &answer);
    assert_int_equal(answer.type, BR_PUSHPULL);
    assert_int_equal(world_state_of(s.w, 0, "z"), BRUIT_ALIVE);
    end(&s);
}

/* A version vector that is longer than six bytes comes from the future: its first six are what counts. */
static void test_longer_versions_are_cut(void **state)
{
    static const uint8_t longer[9] = {1, 5, 2, 2, 5, 5, 9, 9, 9};
    struct scene s = scene(54);
    struct br_alive alive = peer_other(s.p, "x", 1, 1), heard;
    (void)state;
    alive.vsn = br_bytes(longer, 9);
    peer_add_alive(s.p, &alive);
    peer_alive(s.p, 1);
    say(&s);
    assert_x(&s, BRUIT_ALIVE, 1);
    world_run(s.w, S);
    peer_hear(s.p);
    assert_true(peer_heard_alive(s.p, "x", &heard));
    assert_int_equal(heard.vsn.size, 6);
    end(&s);
}

/* An alive of port 0 means our own bind port. */
static void test_port_0_is_our_own(void **state)
{
    struct scene s = scene(55);
    struct bruit_member x;
    (void)state;
    struct br_alive alive = peer_other(s.p, "x", 1, 1);
    alive.port = 0;
    peer_add_alive(s.p, &alive);
    say(&s);
    assert_int_equal(
        bruit_member_get(s.w->nodes[0].engine, bruit_member_find(s.w->nodes[0].engine, world_bytes("x")), &x),
        0);
    assert_int_equal(x.addr.port, 7946);
    end(&s);
}

static void protocol_1(struct bruit_config *config)
{
    config->protocol = 1;
    config->bind_port = 4000;
}

/* Who speaks protocol 1 knows no ports: all of them are its own bind port. */
static void test_protocol_1_knows_no_ports(void **state)
{
    struct scene s = scene_with(56, protocol_1);
    struct bruit_member x;
    (void)state;
    say_x(&s, 1);
    assert_int_equal(
        bruit_member_get(s.w->nodes[0].engine, bruit_member_find(s.w->nodes[0].engine, world_bytes("x")), &x),
        0);
    assert_int_equal(x.addr.port, 4000);
    end(&s);
}

static const struct bruit_cidr ten_eight = {.ip = {10, 8, 0, 0}, .size = 4, .bits = 16};
static const struct bruit_cidr both[] = {{.ip = {10, 8, 0, 0}, .size = 4, .bits = 24},
                                         {.ip = {10, 9, 0, 0}, .size = 4, .bits = 31}};

static void only_10_8(struct bruit_config *config)
{
    config->cidrs = &ten_eight;
    config->cidr_count = 1;
}

static void only_two_ranges(struct bruit_config *config)
{
    config->cidrs = both;
    config->cidr_count = 2;
}

/* With address ranges, a packet from outside of them brings in nobody, wherever its members live. */
static void test_packets_from_outside_the_ranges_bring_nobody(void **state)
{
    struct scene s = scene_with(57, only_10_8);
    (void)state;
    struct br_alive alive = peer_other(s.p, "x", 1, 1);
    peer_add_alive(s.p, &alive); /* from 10.9.0.1 */
    say_in_vain(&s);
    assert_int_equal(world_stats(s.w, 0).drops[BRUIT_DROP_NOT_ALLOWED], 1);
    s.p->from = (struct bruit_addr){.ip = {10, 8, 0, 7}, .size = 4, .port = 7946};
    say_x(&s, 1);
    assert_x(&s, BRUIT_ALIVE, 1);
    end(&s);
}

/* 10.8.0.0/24 and 10.9.0.0/31: the last address inside and the first outside, in both forms. */
static void test_members_live_inside_the_ranges(void **state)
{
    static const uint8_t inside[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 8, 0, 3};
    static const uint8_t outside[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 8, 1, 3};
    static const uint8_t next_net[4] = {10, 8, 1, 0}, one[4] = {10, 9, 0, 1}, two[4] = {10, 9, 0, 2};
    const struct {
        struct bruit_bytes addr;
        bool fits;
    } cases[] = {{br_bytes(next_net, 4), false},
                 {br_bytes(one, 4), true},
                 {br_bytes(two, 4), false},
                 {br_bytes(inside, 16), true},
                 {br_bytes(outside, 16), false}};
    struct scene s = scene_with(58, only_two_ranges);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char name[4] = {'c', (char)('0' + i), 0};
        struct br_alive alive = peer_other(s.p, name, 1, 1);
        alive.addr = cases[i].addr;
        peer_add_alive(s.p, &alive);
        say(&s);
        assert_int_equal(world_state_of(s.w, 0, name), cases[i].fits ? BRUIT_ALIVE : WORLD_UNKNOWN);
    }
    assert_int_equal(world_stats(s.w, 0).drops[BRUIT_DROP_NOT_ALLOWED], 3);
    /* In a sync there is no packet: only where members live counts. */
    struct br_entry entries[2] = {peer_entry(s.p, "in", 77, 1, BR_ENTRY_ALIVE),
                                  peer_entry(s.p, "out", 78, 1, BR_ENTRY_ALIVE)};
    struct peer_answer answer;
    entries[1].alive.addr = br_bytes(next_net, 4);
    s.p->from = (struct bruit_addr){.ip = {127, 0, 0, 1}, .size = 4, .port = 9};
    peer_sync(s.p, false, entries, 2, &answer);
    assert_int_equal(world_state_of(s.w, 0, "in"), BRUIT_ALIVE);
    assert_int_equal(world_state_of(s.w, 0, "out"), WORLD_UNKNOWN);
    end(&s);
}

static void four_members(struct bruit_config *config)
{
    config->members_max = 4;
}

/* With members_max 4 the fourth (we are the first) comes in and the fifth does not; who is known can still change. */
static void test_members_max(void **state)
{
    struct scene s = scene_with(59, four_members);
    (void)state;
    for (uint8_t i = 0; i < 4; i++) {
        char name[4] = {'m', (char)('0' + i), 0};
        struct br_alive alive = peer_other(s.p, name, i, 1);
        peer_add_alive(s.p, &alive);
    }
    say(&s);
    assert_int_equal(bruit_member_count(s.w->nodes[0].engine), 4);
    assert_int_equal(world_stats(s.w, 0).drops[BRUIT_DROP_MEMBERS_FULL], 1);
    assert_int_equal(world_state_of(s.w, 0, "m3"), WORLD_UNKNOWN);
    struct br_alive alive = peer_other(s.p, "m1", 1, 2);
    peer_add_alive(s.p, &alive);
    say(&s);
    assert_int_equal(world_incarnation_of(s.w, 0, "m1"), 2);
    end(&s);
}

/* Names of 255 bytes are members, of 256 and of none they are not; 512 bytes of metadata are welcome, absurd sizes
 * are not. */
static void test_limits_of_names_and_metadata(void **state)
{
    static char name[257], meta[4096];
    struct scene s = scene(60);
    (void)state;
    memset(name, 'a', 256);
    memset(meta, 'm', sizeof meta);
    struct br_alive alive = peer_other(s.p, name, 1, 1);
    peer_add_alive(s.p, &alive);
    say_in_vain(&s);
    alive.node = br_bytes(name, 0);
    peer_add_alive(s.p, &alive);
    say_in_vain(&s);
    assert_int_equal(world_stats(s.w, 0).drops[BRUIT_DROP_BAD_ALIVE], 2);
    alive.node = br_bytes(name, 255);
    alive.meta = br_bytes(meta, 512);
    peer_add_alive(s.p, &alive);
    say(&s);
    assert_int_equal(bruit_member_count(s.w->nodes[0].engine), 2);
    alive = peer_other(s.p, "y", 2, 1);
    alive.meta = br_bytes(meta, 513); /* nobody's: upstream stops rather than send more than 512 */
    peer_add_alive(s.p, &alive);
    say_in_vain(&s);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_begins_with_incarnation_1),
        cmocka_unit_test(test_new_member_joins),
        cmocka_unit_test(test_alive_needs_a_higher_incarnation),
        cmocka_unit_test(test_only_a_higher_alive_clears_suspicion),
        cmocka_unit_test(test_a_timer_after_a_revival_does_nothing),
        cmocka_unit_test(test_incarnation_0_is_nobody),
        cmocka_unit_test(test_a_known_name_does_not_move),
        cmocka_unit_test(test_a_left_name_may_move),
        cmocka_unit_test(test_a_dead_name_may_move_after_a_while),
        cmocka_unit_test(test_two_forms_of_one_address_conflict),
        cmocka_unit_test(test_an_address_is_passed_on_as_it_came),
        cmocka_unit_test(test_refutes_suspicion_about_self),
        cmocka_unit_test(test_refutes_death_and_leaving_of_self),
        cmocka_unit_test(test_ignores_what_is_true_of_self),
        cmocka_unit_test(test_refutes_what_is_false_of_self),
        cmocka_unit_test(test_another_address_of_self_is_a_conflict),
        cmocka_unit_test(test_the_highest_incarnation_does_not_wrap),
        cmocka_unit_test(test_one_accusation_one_refutation),
        cmocka_unit_test(test_dead_by_its_own_word_is_left),
        cmocka_unit_test(test_only_the_living_are_suspected),
        cmocka_unit_test(test_confirmations_count_once_a_name),
        cmocka_unit_test(test_a_confirmation_is_passed_on),
        cmocka_unit_test(test_bad_versions_never_enter),
        cmocka_unit_test(test_longer_versions_are_cut),
        cmocka_unit_test(test_port_0_is_our_own),
        cmocka_unit_test(test_protocol_1_knows_no_ports),
        cmocka_unit_test(test_packets_from_outside_the_ranges_bring_nobody),
        cmocka_unit_test(test_members_live_inside_the_ranges),
        cmocka_unit_test(test_members_max),
        cmocka_unit_test(test_limits_of_names_and_metadata),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
