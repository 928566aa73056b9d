/*
 * Probing and answering, as the network sees it: docs/wire/memberlist.md section 7. One member of ours, n0, and peers
 * whose datagrams are looked at. What the machines decide is tests/detect's; here it is who is sent what, and when.
 */
#include "support/scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define S BRUIT_SECOND
#define MS BRUIT_MILLISECOND

static struct bruit_addr addr_of(uint8_t number)
{
    return (struct bruit_addr){.ip = {10, 8, 0, number}, .size = 4, .port = 7946};
}

static void quiet(struct bruit_config *config)
{
    config->push_pull_interval = 0;
    config->early_sync_budget = 0;
    config->stream_pings = false;
}

/* ---- answering ---- */

/* conformance: memberlist 49 */
/* The ack goes to the address that the ping names, wherever the datagram came from; without address or port, there. */
static void test_acks_go_to_the_source_named(void **state)
{
    struct scene s = scene(101);
    struct bruit_addr elsewhere = {.ip = {10, 9, 7, 7}, .size = 4, .port = 5555};
    uint8_t named[4] = {10, 9, 0, 1};
    (void)state;
    s.p->from = elsewhere;
    peer_ping(s.p, 1, "n0");
    say(&s);
    peer_hear(s.p);
    assert_true(peer_heard_ack(s.p, 1));
    struct br_ping ping = {.seq = 2, .node = world_bytes("n0")};
    peer_add_ping(s.p, &ping);
    say(&s);
    peer_hear_at(s.p, &elsewhere);
    assert_true(peer_heard_ack(s.p, 2));
    ping = (struct br_ping){.seq = 3, .node = world_bytes("n0"), .source_addr = br_bytes(named, 4)};
    peer_add_ping(s.p, &ping);
    ping = (struct br_ping){.seq = 4, .node = world_bytes("n0"), .source_port = 7946};
    peer_add_ping(s.p, &ping);
    say(&s);
    peer_hear_at(s.p, &elsewhere);
    assert_true(peer_heard_ack(s.p, 3));
    assert_true(peer_heard_ack(s.p, 4));
    end(&s);
}

/* conformance: memberlist 50 */
/* A ping for somebody else is not answered, and counted; one for nobody in particular is. */
static void test_only_pings_for_us_are_answered(void **state)
{
    struct scene s = scene(102);
    (void)state;
    peer_ping(s.p, 1, "n1");
    say(&s);
    peer_ping(s.p, 2, "");
    say(&s);
    peer_hear(s.p);
    assert_false(peer_heard_ack(s.p, 1));
    assert_true(peer_heard_ack(s.p, 2));
    assert_int_equal(world_stats(s.w, 0).drops[BRUIT_DROP_NOT_FOR_US], 1);
    end(&s);
}

static void strict(struct bruit_config *config)
{
    quiet(config);
    config->strict_relay = true;
}

/* Strict: an ack goes to a named address only if it is the known one of the named member; no reflector for others. */
static void test_strict_acks_go_to_known_members(void **state)
{
    struct scene s = scene_with(103, strict);
    struct bruit_addr elsewhere = {.ip = {10, 9, 7, 7}, .size = 4, .port = 5555};
    (void)state;
    s.p->from = elsewhere;
    peer_ping(s.p, 1, "n0"); /* names 10.9.0.1, which nobody knows yet */
    say(&s);
    peer_hear(s.p);
    assert_false(peer_heard_ack(s.p, 1));
    peer_hear_at(s.p, &elsewhere);
    assert_true(peer_heard_ack(s.p, 1));
    peer_alive(s.p, 1);
    say(&s);
    peer_ping(s.p, 2, "n0");
    say(&s);
    peer_hear(s.p);
    assert_true(peer_heard_ack(s.p, 2));
    end(&s);
}

/* ---- as a relay ---- */

static void ask_relay(struct scene *s, uint32_t seq, const char *node, uint8_t number, bool nack)
{
    struct bruit_addr target = addr_of(number);
    peer_add_indirect(s->p, &(struct br_indirect_ping){.seq = seq,
                                                       .target = br_bytes(target.ip, 4),
                                                       .port = target.port,
                                                       .node = world_bytes(node),
                                                       .nack = nack,
                                                       .source_addr = br_bytes(s->p->addr.ip, 4),
                                                       .source_port = s->p->addr.port,
                                                       .source_node = world_bytes(s->p->name)});
    say(s);
}

static struct br_ping relayed_ping(struct scene *s, const char *node, uint8_t number)
{
    struct br_ping ping;
    struct bruit_addr target = addr_of(number);
    peer_hear_at(s->p, &target);
    assert_true(peer_heard_ping(s->p, node, &ping));
    return ping;
}

/* conformance: memberlist 51 */
/* We ping for somebody: with a number and a source of our own; the target's ack is passed on with the number of the
 * request and no payload, and then there is no nack. */
static void test_relays_a_ping_and_its_ack(void **state)
{
    struct scene s = scene_with(104, quiet);
    (void)state;
    ask_relay(&s, 77, "x", 1, true);
    struct br_ping ping = relayed_ping(&s, "x", 1);
    assert_int_not_equal(ping.seq, 77);
    assert_memory_equal(ping.source_addr.data, s.w->nodes[0].addr.ip, 4);
    assert_true(br_bytes_equal(ping.source_node, world_bytes("n0")));
    world_run(s.w, 499 * MS);
    peer_ack(s.p, ping.seq);
    say(&s);
    peer_hear(s.p);
    assert_true(peer_heard_ack(s.p, 77));
    size_t from = 0;
    struct br_ack ack;
    assert_int_equal(br_ack_decode(&ack, peer_next(s.p, BR_ACK, &from)->body), 0);
    assert_int_equal(ack.payload.size, 0);
    world_run(s.w, 2 * S);
    peer_hear(s.p);
    assert_int_equal(peer_heard(s.p, BR_NACK), 0);
    peer_ack(s.p, ping.seq); /* a second ack is nobody's */
    say(&s);
    assert_int_equal(world_stats(s.w, 0).drops[BRUIT_DROP_UNKNOWN_ACK], 1);
    end(&s);
}

/* conformance: memberlist 51 */
/* The target is silent: exactly one probe timeout after the request a nack, if one was asked for; else nothing. */
static void test_nacks_after_the_probe_timeout(void **state)
{
    struct scene s = scene_with(105, quiet);
    (void)state;
    ask_relay(&s, 77, "x", 1, true);
    ask_relay(&s, 78, "y", 2, false);
    world_run(s.w, 500 * MS - 1);
    peer_hear(s.p);
    assert_int_equal(peer_heard(s.p, BR_NACK), 0);
    world_run(s.w, 1);
    peer_hear(s.p);
    assert_true(peer_heard_nack(s.p, 77));
    world_run(s.w, 2 * S);
    peer_hear(s.p);
    assert_int_equal(peer_heard(s.p, BR_NACK), 0);
    /* An ack that comes after the nack is too late to be passed on. */
    struct br_ping ping = relayed_ping(&s, "x", 1);
    peer_ack(s.p, ping.seq);
    say(&s);
    peer_hear(s.p);
    assert_int_equal(peer_heard(s.p, BR_ACK), 0);
    end(&s);
}

/* Strict: we ping known members at their known address only, so that nobody uses us as a reflector. */
static void test_strict_relays_know_their_targets(void **state)
{
    struct scene s = scene_with(106, strict);
    struct bruit_addr elsewhere = addr_of(99);
    (void)state;
    ask_relay(&s, 77, "x", 99, true);
    peer_hear_at(s.p, &elsewhere);
    assert_int_equal(peer_heard(s.p, BR_PING), 0);
    assert_int_equal(world_stats(s.w, 0).drops[BRUIT_DROP_RELAY_REFUSED], 1);
    struct br_alive x = peer_other(s.p, "x", 1, 1);
    peer_add_alive(s.p, &x);
    say(&s);
    ask_relay(&s, 78, "x", 99, true);
    peer_hear_at(s.p, &elsewhere);
    assert_int_equal(peer_heard(s.p, BR_PING), 0);
    ask_relay(&s, 79, "x", 1, true);
    (void)relayed_ping(&s, "x", 1);
    end(&s);
}

/* ---- probing ---- */

static void say_alive(struct scene *s, const char *name, uint8_t number)
{
    struct br_alive alive = peer_other(s->p, name, number, 1);
    peer_add_alive(s->p, &alive);
    say(s);
}

/* Runs until a ping for `name` has been sent. */
static struct br_ping wait_ping(struct scene *s, const char *name)
{
    struct br_ping ping = {0};
    for (int i = 0; i < 20000; i++) {
        world_run(s->w, MS);
        peer_hear_at(s->p, NULL);
        if (peer_heard_ping(s->p, name, &ping))
            return ping;
    }
    fail_msg("no ping for %s", name);
    return ping;
}

/* conformance: memberlist 52 */
/* x is silent: after exactly 500 ms (the probe timeout) three others are asked with the same number, and a connection
 * is opened; at 1 s (the interval at health 0), and not before, x is suspect. */
static void test_order_of_a_failing_probe(void **state)
{
    struct scene s = scene(107);
    (void)state;
    say_alive(&s, "x", 1);
    struct br_ping ping = wait_ping(&s, "x");
    for (uint8_t i = 2; i < 7; i++) {
        char name[4] = {'m', (char)('0' + i), 0};
        say_alive(&s, name, i);
    }
    peer_hear_at(s.p, NULL);
    bruit_time sent = s.w->now;
    world_run_until(s.w, sent + 499 * MS);
    peer_hear_at(s.p, NULL);
    assert_int_equal(peer_heard(s.p, BR_INDIRECT_PING), 0);
    world_run_until(s.w, sent + 500 * MS);
    peer_hear_at(s.p, NULL);
    assert_int_equal(peer_heard(s.p, BR_INDIRECT_PING), 3);
    const struct peer_leaf *leaf;
    uint8_t asked[3];
    size_t count = 0;
    for (size_t from = 0; (leaf = peer_next(s.p, BR_INDIRECT_PING, &from)) != NULL; count++) {
        struct br_indirect_ping request;
        assert_int_equal(br_indirect_ping_decode(&request, leaf->body), 0);
        assert_int_equal(request.seq, ping.seq);
        assert_true(br_bytes_equal(request.node, world_bytes("x")));
        assert_memory_equal(request.target.data, addr_of(1).ip, 4);
        assert_true(request.nack);
        asked[count] = leaf->to.ip[3];
        assert_int_not_equal(asked[count], 1);
        for (size_t i = 0; i < count; i++)
            assert_int_not_equal(asked[i], asked[count]);
    }
    struct bruit_addr x = addr_of(1);
    assert_non_null(world_line_to(s.w, &x));
    world_run_until(s.w, sent + 999 * MS);
    assert_int_equal(world_state_of(s.w, 0, "x"), BRUIT_ALIVE);
    world_run_until(s.w, sent + 1000 * MS);
    assert_int_equal(world_state_of(s.w, 0, "x"), BRUIT_SUSPECT);
    assert_null(world_line_to(s.w, &x));
    assert_true(world_expect_trace(s.w, 0, "3 relays asked, 0 nacks"));
    end(&s);
}

/* A relay's ack, or a late one of x itself, is success up to the end of the interval. */
static void test_a_late_ack_is_success(void **state)
{
    struct scene s = scene_with(108, quiet);
    (void)state;
    say_alive(&s, "x", 1);
    struct br_ping ping = wait_ping(&s, "x");
    world_run(s.w, 999 * MS);
    peer_ack(s.p, ping.seq);
    say(&s);
    world_run(s.w, 10 * MS);
    assert_int_equal(world_state_of(s.w, 0, "x"), BRUIT_ALIVE);
    assert_int_equal(world_stats(s.w, 0).drops[BRUIT_DROP_UNKNOWN_ACK], 0);
    peer_ack(s.p, ping.seq);
    say(&s);
    assert_int_equal(world_stats(s.w, 0).drops[BRUIT_DROP_UNKNOWN_ACK], 1);
    end(&s);
}

/* conformance: memberlist 54 */
/* A suspect is pinged with the accusation beside it and nothing else, although other news waits. */
static void test_a_suspect_is_told_with_its_ping(void **state)
{
    struct scene s = scene_with(109, quiet);
    struct br_suspect suspect;
    (void)state;
    say_alive(&s, "x", 1);
    peer_suspect(s.p, "x", 1, "q");
    say(&s);
    (void)wait_ping(&s, "x");
    size_t from = 0;
    const struct peer_leaf *ping = peer_next(s.p, BR_PING, &from), *leaf;
    size_t beside = 0;
    for (size_t i = 0; i < s.p->leaf_count; i++)
        beside += s.p->leaves[i].packet == ping->packet;
    assert_int_equal(beside, 2);
    from = 0;
    while ((leaf = peer_next(s.p, BR_SUSPECT, &from)) != NULL && leaf->packet != ping->packet)
        ;
    assert_non_null(leaf);
    assert_int_equal(br_suspect_decode(&suspect, leaf->body), 0);
    assert_true(br_bytes_equal(suspect.from, world_bytes("n0")));
    assert_int_equal(suspect.incarnation, 1);
    assert_true(world_stats(s.w, 0).rumours > 0);
    end(&s);
}

static void without_buddies(struct bruit_config *config)
{
    quiet(config);
    config->buddy_pings = false;
}

/* Without that part of Lifeguard the ping to a suspect is as any other: no accusation of ours in it. */
static void test_without_buddy_pings_a_suspect_is_not_told(void **state)
{
    struct scene s = scene_with(109, without_buddies);
    struct br_suspect suspect;
    const struct peer_leaf *leaf;
    size_t from = 0;
    (void)state;
    say_alive(&s, "x", 1);
    peer_suspect(s.p, "x", 1, "q");
    say(&s);
    (void)wait_ping(&s, "x");
    while ((leaf = peer_next(s.p, BR_SUSPECT, &from)) != NULL) {
        assert_int_equal(br_suspect_decode(&suspect, leaf->body), 0);
        assert_true(br_bytes_equal(suspect.from, world_bytes("q")));
    }
    end(&s);
}

/* conformance: memberlist 58 */
/* Nine members, two of them dead or left: in each round every other one is probed exactly once, in an order that
 * changes from round to round. */
static void test_each_member_once_a_round(void **state)
{
    struct scene s = scene_with(110, quiet);
    char order[40][2] = {{0}};
    size_t count = 0;
    (void)state;
    s.w->nodes[0].config.gossip_interval = 0;
    world_kill(s.w, 0);
    s.w->nodes[0].config.gossip_to_the_dead = 3600 * S;
    assert_int_equal(world_start(s.w, 0), 0);
    for (uint8_t i = 0; i < 8; i++) {
        char name[2] = {(char)('a' + i), 0};
        say_alive(&s, name, i);
    }
    peer_dead(s.p, "a", 1, "p");
    peer_dead(s.p, "b", 1, "b");
    say(&s);
    while (count < 40) {
        world_run(s.w, MS);
        peer_hear_at(s.p, NULL);
        const struct peer_leaf *leaf;
        for (size_t from = 0; (leaf = peer_next(s.p, BR_PING, &from)) != NULL && count < 40;) {
            struct br_ping ping;
            assert_int_equal(br_ping_decode(&ping, leaf->body), 0);
            order[count++][0] = (char)ping.node.data[0];
            peer_ack(s.p, ping.seq);
            say(&s);
        }
    }
    /* The first round may have begun before all were known: look at the rounds after it. */
    size_t begin = 6;
    for (size_t round = begin; round + 6 <= 36; round += 6)
        for (char name = 'c'; name <= 'h'; name++) {
            size_t probed = 0;
            for (size_t i = round; i < round + 6; i++)
                probed += order[i][0] == name;
            assert_int_equal(probed, 1);
        }
    assert_true(memcmp(order[begin], order[begin + 6], 12) != 0 ||
                memcmp(order[begin], order[begin + 12], 12) != 0);
    end(&s);
}

/* ---- health ---- */

/* conformance: memberlist 55 */
/* A failed probe whose three relays keep silent costs three points, each nack spares one; a success gives one back;
 * the score ends at 7 and at 0, and stretches the interval. */
static void test_health_follows_the_table(void **state)
{
    (void)state;
    for (uint32_t nacks = 0; nacks <= 3; nacks++) {
        struct scene s = scene_with(111, quiet);
        say_alive(&s, "x", 1);
        struct br_ping ping = wait_ping(&s, "x");
        for (uint8_t i = 2; i < 5; i++) {
            char name[4] = {'m', (char)('0' + i), 0};
            say_alive(&s, name, i);
        }
        world_run(s.w, 501 * MS);
        for (uint32_t i = 0; i < nacks; i++)
            peer_nack(s.p, ping.seq);
        if (nacks > 0)
            say(&s);
        world_run(s.w, 500 * MS);
        assert_int_equal(world_state_of(s.w, 0, "x"), BRUIT_SUSPECT);
        assert_int_equal(world_stats(s.w, 0).health, 3 - nacks);
        end(&s);
    }
}

/* conformance: memberlist 55 */
/* Without a relay to be asked a failure costs one; accusations of ourselves one each, up to 7; successes bring it back
 * to 0 and no further; and at score 2 the probe takes three intervals. */
static void test_health_is_clamped_and_scales(void **state)
{
    struct scene s = scene_with(112, quiet);
    (void)state;
    peer_alive(s.p, 1);
    say(&s);
    for (uint32_t i = 1; i <= 9; i++) {
        peer_suspect(s.p, "n0", i, "q");
        say(&s);
        assert_int_equal(world_stats(s.w, 0).health, i < 7 ? i : 7);
    }
    peer_live(s.p, 60 * S);
    assert_int_equal(world_stats(s.w, 0).health, 0);
    peer_live(s.p, 5 * S);
    assert_int_equal(world_stats(s.w, 0).health, 0);
    (void)wait_ping(&s, "p"); /* not answered */
    bruit_time sent = s.w->now;
    world_run(s.w, S);
    assert_int_equal(world_state_of(s.w, 0, "p"), BRUIT_SUSPECT);
    assert_int_equal(world_stats(s.w, 0).health, 1);
    assert_true(s.w->now >= sent + S);
    end(&s);
}

/* At score 2 nobody is suspect before three intervals are over. */
static void test_bad_health_waits_longer(void **state)
{
    struct scene s = scene_with(113, quiet);
    (void)state;
    peer_suspect(s.p, "n0", 1, "q");
    peer_suspect(s.p, "n0", 2, "q");
    say(&s);
    assert_int_equal(world_stats(s.w, 0).health, 2);
    peer_alive(s.p, 1);
    say(&s);
    (void)wait_ping(&s, "p");
    bruit_time sent = s.w->now;
    world_run_until(s.w, sent + 2999 * MS);
    assert_int_equal(world_state_of(s.w, 0, "p"), BRUIT_ALIVE);
    world_run_until(s.w, sent + 3000 * MS);
    assert_int_equal(world_state_of(s.w, 0, "p"), BRUIT_SUSPECT);
    end(&s);
}

/* Pulls datagrams by hand, as a driver that cannot send: the token of the ping. */
static uint64_t pull_ping(struct scene *s)
{
    struct bruit_engine *engine = s->w->nodes[0].engine;
    uint8_t buffer[2048];
    struct bruit_datagram out;
    for (int i = 0; i < 10000; i++) {
        s->w->now += MS;
        if (bruit_deadline(engine) <= s->w->now)
            (void)bruit_tick(engine, s->w->now);
        while (bruit_next_datagram(engine, buffer, sizeof buffer, &out, s->w->now))
            if (buffer[0] == BR_PING || (buffer[0] == BR_COMPOUND && buffer[2 + 2 * buffer[1]] == BR_PING))
                return out.token;
    }
    fail_msg("no ping");
    return 0;
}

/* conformance: memberlist 55 */
/* Our own socket would not take the ping: nobody is to blame, and the score stays. */
static void test_a_local_send_error_blames_nobody(void **state)
{
    struct scene s = scene_with(114, quiet);
    (void)state;
    say_alive(&s, "x", 1);
    uint64_t token = pull_ping(&s);
    assert_int_equal(bruit_send_failed(s.w->nodes[0].engine, token, BRUIT_EIO, s.w->now), 0);
    assert_int_equal(world_stats(s.w, 0).send_failures, 1);
    bruit_time failed = s.w->now;
    world_run_until(s.w, failed + 900 * MS);
    assert_int_equal(world_state_of(s.w, 0, "x"), BRUIT_ALIVE);
    assert_int_equal(world_stats(s.w, 0).health, 0);
    end(&s);
}

/* The target cannot be reached from here: others are asked at once, not after 500 ms. */
static void test_an_unreachable_target_is_left_to_others(void **state)
{
    struct scene s = scene_with(115, quiet);
    (void)state;
    say_alive(&s, "x", 1);
    uint64_t token = pull_ping(&s);
    say_alive(&s, "y", 2);
    peer_hear_at(s.p, NULL);
    assert_int_equal(bruit_send_failed(s.w->nodes[0].engine, token, BRUIT_EUNREACHABLE, s.w->now), 0);
    world_settle(s.w, 0);
    peer_hear_at(s.p, NULL);
    assert_int_equal(peer_heard(s.p, BR_INDIRECT_PING), 1);
    end(&s);
}

/* ---- checksums ---- */

/* conformance: memberlist 17 */
/* Gossip to a peer whose PMax is 4 goes without a checksum, to one with 5 with one. */
static void test_no_checksum_for_old_peers(void **state)
{
    (void)state;
    for (uint8_t pmax = 4; pmax <= 5; pmax++) {
        struct scene s = scene_with(116, quiet);
        s.p->vsn[1] = pmax;
        peer_alive(s.p, 1);
        say(&s);
        world_run(s.w, 500 * MS);
        peer_hear(s.p);
        size_t gossip = 0;
        for (size_t i = 0; i < s.p->leaf_count; i++) {
            bool has_ping = false;
            for (size_t k = 0; k < s.p->leaf_count; k++)
                has_ping |= s.p->leaves[k].packet == s.p->leaves[i].packet && s.p->leaves[k].type == BR_PING;
            if (has_ping)
                continue;
            gossip++;
            assert_int_equal(s.p->leaves[i].checked, pmax == 5);
        }
        assert_true(gossip > 0);
        end(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_acks_go_to_the_source_named),
        cmocka_unit_test(test_only_pings_for_us_are_answered),
        cmocka_unit_test(test_strict_acks_go_to_known_members),
        cmocka_unit_test(test_relays_a_ping_and_its_ack),
        cmocka_unit_test(test_nacks_after_the_probe_timeout),
        cmocka_unit_test(test_strict_relays_know_their_targets),
        cmocka_unit_test(test_order_of_a_failing_probe),
        cmocka_unit_test(test_a_late_ack_is_success),
        cmocka_unit_test(test_a_suspect_is_told_with_its_ping),
        cmocka_unit_test(test_without_buddy_pings_a_suspect_is_not_told),
        cmocka_unit_test(test_each_member_once_a_round),
        cmocka_unit_test(test_health_follows_the_table),
        cmocka_unit_test(test_health_is_clamped_and_scales),
        cmocka_unit_test(test_bad_health_waits_longer),
        cmocka_unit_test(test_a_local_send_error_blames_nobody),
        cmocka_unit_test(test_an_unreachable_target_is_left_to_others),
        cmocka_unit_test(test_no_checksum_for_old_peers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
