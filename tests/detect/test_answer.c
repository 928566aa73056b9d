/*
 * What others get from us: acks, relayed pings, and what becomes of them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "codec/addr.h"
#include "detect/answer.h"
#include "support/core.h"

#include <bruit/error.h>
#include <stdio.h>

#define MS BRUIT_MILLISECOND
#define TIMEOUT (500 * MS)
#define NOW (100 * BRUIT_SECOND)

struct fixture {
    struct test_core t;
    struct br_answer a;
};

static const struct bruit_addr stranger = {.ip = {192, 0, 2, 9}, .size = 4, .port = 5353};
static const uint8_t elsewhere[4] = {192, 0, 2, 77};

static void start(struct fixture *f, uint32_t members)
{
    test_core_init(&f->t, members, 1);
    f->t.core.now = NOW;
    br_answer_init(&f->a, &f->t.core);
}

static void finish(struct fixture *f)
{
    br_answer_fini(&f->a);
    test_core_fini(&f->t);
}

static struct br_send next(struct fixture *f)
{
    struct br_send send;
    assert_true(br_answer_next(&f->a, &send));
    return send;
}

static void assert_nothing_owed(struct fixture *f)
{
    struct br_send send;
    assert_false(br_answer_next(&f->a, &send));
}

static void assert_to(const struct br_send *send, const struct bruit_addr *addr)
{
    assert_true(br_addr_equal(&send->to, addr));
}

/* The address of m<index>, and its bytes for a message. */
static struct bruit_addr addr_of(const struct fixture *f, uint32_t index)
{
    return br_core_addr(&f->t.core, test_core_member(&f->t, index));
}

/* ---- acks ---- */

/* A stranger's bare ping is answered to where it came from, with the modules' payload. */
/* conformance: memberlist 49 */
static void test_acks_to_the_datagrams_source(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    struct br_ping ping = {.seq = 42, .node = br_bytes_text("m0")};
    assert_int_equal(br_answer_ping(&f.a, &ping, &stranger), BRUIT_DROP_NONE);
    struct br_send send = next(&f);
    assert_int_equal(send.kind, BR_SEND_ACK);
    assert_int_equal(send.seq, 42);
    assert_int_equal(send.slot, 0);
    assert_true(send.payload);
    assert_to(&send, &stranger);
    assert_nothing_owed(&f);
    finish(&f);
}

/* The ping says where to answer: there it goes, whoever lives there. Half a source triple says nothing. */
/* conformance: memberlist 49 */
static void test_acks_to_the_source_triple(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    struct bruit_addr there;
    assert_int_equal(br_addr_make(&there, br_bytes(elsewhere, 4), 7000), 0);
    struct br_ping ping = {.seq = 1, .source_addr = br_bytes(elsewhere, 4), .source_port = 7000};
    assert_int_equal(br_answer_ping(&f.a, &ping, &stranger), BRUIT_DROP_NONE);
    struct br_send send = next(&f);
    assert_to(&send, &there);

    struct br_ping odd[] = {
        {.seq = 2, .source_addr = br_bytes(elsewhere, 4)},                       /* no port */
        {.seq = 2, .source_port = 7000},                                         /* no address */
        {.seq = 2, .source_port = 7000, .source_addr = br_bytes(elsewhere, 3)},  /* not an address */
        {.seq = 2, .source_port = 7000, .source_addr = br_bytes("\0\0\0\0", 4)}, /* nobody's */
    };
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        assert_int_equal(br_answer_ping(&f.a, &odd[i], &stranger), BRUIT_DROP_NONE);
        send = next(&f);
        assert_to(&send, &stranger);
    }
    finish(&f);
}

/* A ping by a member at its known address: the answer knows who it goes to. A mapped IPv4 address is the same one. */
static void test_knows_the_member_that_asks(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 3);
    struct bruit_addr from = addr_of(&f, 2);
    uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff};
    for (int i = 0; i < 4; i++)
        mapped[12 + i] = from.ip[i];
    struct br_ping ping = {.seq = 1,
                           .source_node = br_bytes_text("m2"),
                           .source_port = from.port,
                           .source_addr = br_bytes(mapped, sizeof mapped)};
    assert_int_equal(br_answer_ping(&f.a, &ping, &stranger), BRUIT_DROP_NONE);
    struct br_send send = next(&f);
    assert_int_equal(send.slot, test_core_member(&f.t, 2));
    assert_to(&send, &from);
    finish(&f);
}

/* A link-local address means nothing without the interface, which only the datagram tells. */
static void test_keeps_the_interface_of_link_local_addresses(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 1);
    struct bruit_addr from = {.ip = {0xfe, 0x80, [15] = 1}, .size = 16, .port = 7946, .scope = 3};
    uint8_t ip[16] = {0xfe, 0x80, [15] = 2};
    struct br_ping ping = {.seq = 1, .source_port = 7946, .source_addr = br_bytes(ip, 16)};
    assert_int_equal(br_answer_ping(&f.a, &ping, &from), BRUIT_DROP_NONE);
    assert_int_equal(next(&f).to.scope, 3);
    struct br_indirect_ping request = {.target = br_bytes(ip, 16), .port = 7946};
    assert_int_equal(br_answer_indirect(&f.a, &request, &from, NOW), BRUIT_DROP_NONE);
    assert_int_equal(next(&f).to.scope, 3);
    ip[0] = 0x20;
    assert_int_equal(br_answer_ping(&f.a, &ping, &from), BRUIT_DROP_NONE);
    assert_int_equal(next(&f).to.scope, 0);
    finish(&f);
}

/* A ping for the member that had our address before us is not answered; one that names nobody is. */
/* conformance: memberlist 50 */
static void test_answers_for_itself_only(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    struct br_ping other = {.seq = 1, .node = br_bytes_text("M0")}, any = {.seq = 2};
    assert_int_equal(br_answer_ping(&f.a, &other, &stranger), BRUIT_DROP_NOT_FOR_US);
    assert_int_equal(f.t.core.stats.drops[BRUIT_DROP_NOT_FOR_US], 1);
    assert_nothing_owed(&f);
    assert_int_equal(br_answer_ping(&f.a, &any, &stranger), BRUIT_DROP_NONE);
    assert_int_equal(next(&f).seq, 2);
    finish(&f);
}

/* Somebody floods us while the driver cannot send: the first 1,024 are answered, the rest are counted. */
static void test_owes_a_bounded_number(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 1);
    for (uint32_t i = 0; i < BR_ANSWER_MAX + 10; i++) {
        struct br_ping ping = {.seq = i};
        enum bruit_drop drop = br_answer_ping(&f.a, &ping, &stranger);
        assert_int_equal(drop, i < BR_ANSWER_MAX ? BRUIT_DROP_NONE : BRUIT_DROP_ANSWERS_FULL);
    }
    assert_int_equal(f.t.core.stats.drops[BRUIT_DROP_ANSWERS_FULL], 10);
    for (uint32_t i = 0; i < BR_ANSWER_MAX; i++)
        assert_int_equal(next(&f).seq, i);
    assert_nothing_owed(&f);
    finish(&f);
}

/* ---- as a relay ---- */

/* m1 asks us to ping m2. */
static struct br_indirect_ping request_for(const struct fixture *f, uint8_t ip[4], uint32_t seq, bool nack)
{
    struct bruit_addr target = addr_of(f, 2);
    for (int i = 0; i < 4; i++)
        ip[i] = target.ip[i];
    return (struct br_indirect_ping){.seq = seq,
                                     .target = br_bytes(ip, 4),
                                     .port = target.port,
                                     .node = br_bytes_text("m2"),
                                     .nack = nack};
}

/* m2 answers us: m1 gets an ack of its own number, without payload, and no nack after it. */
/* conformance: memberlist 51 */
static void test_relays_a_ping_and_its_ack(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 3);
    uint8_t ip[4];
    struct bruit_addr from = addr_of(&f, 1), target = addr_of(&f, 2);
    struct br_indirect_ping request = request_for(&f, ip, 77, true);
    assert_int_equal(br_answer_indirect(&f.a, &request, &from, NOW), BRUIT_DROP_NONE);
    struct br_send ping = next(&f);
    assert_int_equal(ping.kind, BR_SEND_RELAYED);
    assert_to(&ping, &target);
    assert_int_equal(ping.about, test_core_member(&f.t, 2));
    assert_int_equal(ping.slot, test_core_member(&f.t, 2));
    assert_int_not_equal(ping.seq, 77);
    assert_int_equal(ping.seq % 2, 1); /* never a number of our own probes */
    assert_true(br_bytes_equal(br_answer_relayed_name(&f.a, ping.seq), br_bytes_text("m2")));

    assert_false(br_answer_ack(&f.a, ping.seq + 1, NOW));
    assert_false(br_answer_ack(&f.a, ping.seq + 2, NOW));
    assert_false(br_answer_ack(&f.a, ping.seq - 2, NOW));
    assert_true(br_answer_ack(&f.a, ping.seq, NOW + 10 * MS));
    struct br_send ack = next(&f);
    assert_int_equal(ack.kind, BR_SEND_ACK);
    assert_int_equal(ack.seq, 77);
    assert_false(ack.payload);
    assert_to(&ack, &from);
    assert_false(br_answer_ack(&f.a, ping.seq, NOW + 11 * MS)); /* once */
    br_answer_tick(&f.a, NOW + TIMEOUT);
    assert_nothing_owed(&f);
    assert_true(br_answer_deadline(&f.a) == BRUIT_NEVER);
    finish(&f);
}

/* m2 keeps silent: m1 hears so exactly one probe timeout after it asked, if it asked for that. */
/* conformance: memberlist 51 */
static void test_nacks_after_the_probe_timeout_if_wanted(void **state)
{
    (void)state;
    for (int wanted = 0; wanted <= 1; wanted++) {
        struct fixture f;
        start(&f, 3);
        uint8_t ip[4];
        struct bruit_addr from = addr_of(&f, 1);
        struct br_indirect_ping request = request_for(&f, ip, 77, wanted);
        assert_int_equal(br_answer_indirect(&f.a, &request, &from, NOW), BRUIT_DROP_NONE);
        struct br_send ping = next(&f);
        assert_true(br_answer_deadline(&f.a) == NOW + TIMEOUT);
        br_answer_tick(&f.a, NOW + TIMEOUT - 1);
        assert_nothing_owed(&f);
        br_answer_tick(&f.a, NOW + TIMEOUT);
        if (wanted) {
            struct br_send nack = next(&f);
            assert_int_equal(nack.kind, BR_SEND_NACK);
            assert_int_equal(nack.seq, 77);
            assert_to(&nack, &from);
        }
        assert_nothing_owed(&f);
        assert_false(br_answer_ack(&f.a, ping.seq, NOW + TIMEOUT)); /* too late */
        assert_nothing_owed(&f);
        finish(&f);
    }
}

/* The request names a source: the answer goes there. Port 0 of the target stands for our own. */
static void test_reads_all_of_the_request(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 3);
    f.t.core.config.bind_port = 7777;
    uint8_t ip[4];
    struct bruit_addr from = addr_of(&f, 1), there;
    assert_int_equal(br_addr_make(&there, br_bytes(elsewhere, 4), 7000), 0);
    struct br_indirect_ping request = request_for(&f, ip, 77, true);
    request.port = 0;
    request.source_addr = br_bytes(elsewhere, 4);
    request.source_port = 7000;
    assert_int_equal(br_answer_indirect(&f.a, &request, &from, NOW), BRUIT_DROP_NONE);
    struct br_send ping = next(&f);
    assert_int_equal(ping.to.port, 7777);
    assert_int_equal(ping.slot, 0); /* m2 is not known to be there */
    assert_int_equal(ping.about, test_core_member(&f.t, 2));
    assert_true(br_answer_ack(&f.a, ping.seq, NOW));
    struct br_send ack = next(&f);
    assert_to(&ack, &there);
    finish(&f);
}

/* We do not know whom m1 means: the ping carries the name it gave, so that nobody else answers it. */
static void test_relays_to_somebody_unknown_by_name(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    struct br_indirect_ping request = {
        .seq = 5, .target = br_bytes(elsewhere, 4), .port = 7946, .node = br_bytes_text("newcomer")};
    assert_int_equal(br_answer_indirect(&f.a, &request, &stranger, NOW), BRUIT_DROP_NONE);
    struct br_send ping = next(&f);
    assert_int_equal(ping.about, 0);
    assert_true(br_bytes_equal(br_answer_relayed_name(&f.a, ping.seq), br_bytes_text("newcomer")));
    br_answer_tick(&f.a, NOW + TIMEOUT);
    assert_int_equal(br_roster_find(&f.t.roster, br_bytes_text("newcomer")), 0); /* and is forgotten */
    assert_int_equal(br_answer_relayed_name(&f.a, ping.seq).size, 0);
    request.node = br_bytes(NULL, 0);
    assert_int_equal(br_answer_indirect(&f.a, &request, &stranger, NOW), BRUIT_DROP_NONE);
    assert_int_equal(br_answer_relayed_name(&f.a, next(&f).seq).size, 0);
    finish(&f);
}

/* Targets that are no addresses, and a name longer than names are. */
static void test_refuses_nonsense(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    static const uint8_t zeros[300];
    struct br_indirect_ping odd[] = {
        {.target = br_bytes(elsewhere, 3), .port = 1},
        {.port = 1},
        {.target = br_bytes(zeros, 4), .port = 1},
        {.target = br_bytes(zeros, 16), .port = 1},
        {.target = br_bytes(elsewhere, 4), .port = 1, .node = br_bytes(zeros, 256)},
    };
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        assert_int_equal(br_answer_indirect(&f.a, &odd[i], &stranger, NOW), BRUIT_DROP_MALFORMED);
    assert_int_equal(f.t.core.stats.drops[BRUIT_DROP_MALFORMED], 5);
    assert_nothing_owed(&f);
    assert_true(br_answer_deadline(&f.a) == BRUIT_NEVER);
    odd[4].node.size = 255; /* is a name */
    assert_int_equal(br_answer_indirect(&f.a, &odd[4], &stranger, NOW), BRUIT_DROP_NONE);
    finish(&f);
}

/* The numbers of relayed pings begin at random: who cannot see them cannot answer in the target's place. */
static void test_numbers_begin_at_random(void **state)
{
    (void)state;
    uint32_t previous = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct test_core t;
        test_core_init(&t, 1, seed);
        struct br_answer a;
        br_answer_init(&a, &t.core);
        assert_int_equal(a.seq % 2, 1);
        assert_int_not_equal(a.seq, previous);
        previous = a.seq;
        br_answer_fini(&a);
        test_core_fini(&t);
    }
}

/* In strict mode nobody can use us to ping, or to answer to, a third party: not even under a member's name. */
static void test_strict_mode_sends_to_members_only(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 3);
    f.t.core.config.strict_relay = true;
    struct br_indirect_ping bad[] = {
        {.target = br_bytes(elsewhere, 4), .port = 7946, .node = br_bytes_text("newcomer")},
        {.target = br_bytes(elsewhere, 4), .port = 7946, .node = br_bytes_text("m2")},
        {.target = br_bytes(elsewhere, 4), .port = 7946},
    };
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(br_answer_indirect(&f.a, &bad[i], &stranger, NOW), BRUIT_DROP_RELAY_REFUSED);
    assert_int_equal(f.t.core.stats.drops[BRUIT_DROP_RELAY_REFUSED], 3);
    assert_nothing_owed(&f);

    uint8_t ip[4];
    struct bruit_addr m1 = addr_of(&f, 1);
    struct br_indirect_ping good = request_for(&f, ip, 77, true);
    good.source_node = br_bytes_text("m1");
    good.source_addr = br_bytes(elsewhere, 4); /* m1 is not there */
    good.source_port = 7946;
    assert_int_equal(br_answer_indirect(&f.a, &good, &m1, NOW), BRUIT_DROP_NONE);
    assert_true(br_answer_ack(&f.a, next(&f).seq, NOW));
    struct br_send ack = next(&f);
    assert_to(&ack, &m1);

    struct br_ping ping = {.seq = 1, .source_addr = br_bytes(m1.ip, 4), .source_port = m1.port};
    assert_int_equal(br_answer_ping(&f.a, &ping, &stranger), BRUIT_DROP_NONE);
    ack = next(&f);
    assert_to(&ack, &stranger); /* the triple names no member */
    ping.source_node = br_bytes_text("m1");
    assert_int_equal(br_answer_ping(&f.a, &ping, &stranger), BRUIT_DROP_NONE);
    ack = next(&f);
    assert_to(&ack, &m1);
    finish(&f);
}

/* 256 relayed pings are under way: the next is refused, until the first ones are over. */
static void test_relays_a_bounded_number(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 3);
    uint8_t ip[4];
    uint32_t first = f.a.seq;
    for (uint32_t i = 0; i <= BR_ANSWER_RELAYS_MAX; i++) {
        struct br_indirect_ping request = request_for(&f, ip, i, false);
        enum bruit_drop drop = br_answer_indirect(&f.a, &request, &stranger, NOW + i);
        assert_int_equal(drop, i < BR_ANSWER_RELAYS_MAX ? BRUIT_DROP_NONE : BRUIT_DROP_RELAYS_FULL);
    }
    assert_int_equal(f.t.core.stats.drops[BRUIT_DROP_RELAYS_FULL], 1);
    assert_true(br_answer_ack(&f.a, first, NOW + MS)); /* the oldest makes room at once */
    struct br_indirect_ping request = request_for(&f, ip, 1000, false);
    assert_int_equal(br_answer_indirect(&f.a, &request, &stranger, NOW + MS), BRUIT_DROP_NONE);
    br_answer_tick(&f.a, NOW + TIMEOUT + MS);
    assert_true(br_answer_deadline(&f.a) == BRUIT_NEVER);
    finish(&f);
}

/* Acks come back in any order, and each finds its requester, even when numbers wrap around. */
static void test_matches_acks_in_any_order(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 3);
    f.a.seq = UINT32_MAX - 4; /* odd: wraps in the middle */
    uint8_t ip[4];
    uint32_t seqs[8];
    for (uint32_t i = 0; i < 8; i++) {
        struct br_indirect_ping request = request_for(&f, ip, 100 + i, true);
        assert_int_equal(br_answer_indirect(&f.a, &request, &stranger, NOW), BRUIT_DROP_NONE);
        seqs[i] = next(&f).seq;
    }
    const uint32_t order[8] = {5, 0, 7, 2, 1, 6, 4, 3};
    for (int i = 0; i < 8; i++) {
        assert_true(br_answer_ack(&f.a, seqs[order[i]], NOW + MS));
        assert_int_equal(next(&f).seq, 100 + order[i]);
    }
    assert_true(br_answer_deadline(&f.a) == BRUIT_NEVER);
    finish(&f);
}

/* The driver was stuck: the requester has its nack by now, and a ping whose answer nobody wants is not sent. */
static void test_sends_no_ping_after_its_nack(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 3);
    uint8_t ip[4];
    struct br_indirect_ping request = request_for(&f, ip, 77, true);
    assert_int_equal(br_answer_indirect(&f.a, &request, &stranger, NOW), BRUIT_DROP_NONE);
    br_answer_tick(&f.a, NOW + TIMEOUT);
    assert_int_equal(next(&f).kind, BR_SEND_NACK);
    assert_nothing_owed(&f);
    finish(&f);
}

/* We slept: the target gets the time back, and the nack comes as much later. */
static void test_gives_a_stall_back(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 3);
    uint8_t ip[4];
    struct br_indirect_ping request = request_for(&f, ip, 77, true);
    assert_int_equal(br_answer_indirect(&f.a, &request, &stranger, NOW), BRUIT_DROP_NONE);
    br_answer_delay(&f.a, BRUIT_SECOND);
    assert_true(br_answer_deadline(&f.a) == NOW + TIMEOUT + BRUIT_SECOND);
    uint32_t seq = next(&f).seq;
    assert_true(br_answer_ack(&f.a, seq, NOW + BRUIT_SECOND));
    finish(&f);
}

/* A member that was forgotten before its answer could be sent is answered all the same, as a stranger. */
static void test_answers_those_who_were_forgotten(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 3);
    struct bruit_addr m2 = addr_of(&f, 2);
    struct br_ping ping = {.seq = 1, .source_node = br_bytes_text("m2")};
    assert_int_equal(br_answer_ping(&f.a, &ping, &m2), BRUIT_DROP_NONE);
    test_core_forget(&f.t, test_core_member(&f.t, 2));
    struct br_send send = next(&f);
    assert_int_equal(send.slot, 0);
    assert_to(&send, &m2);
    finish(&f);
}

/* Every allocation fails once: what is not answered is counted, and nothing leaks. */
static void test_survives_failing_memory(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth <= 12; nth++) {
        struct fixture f;
        start(&f, 3);
        f.t.memory.fail_at = f.t.memory.count + nth;
        uint32_t answered = 0;
        for (uint32_t i = 0; i < 40; i++) {
            char name[16];
            snprintf(name, sizeof name, "unknown%u", (unsigned)i);
            struct br_indirect_ping request = {.target = br_bytes(elsewhere, 4),
                                               .node = br_bytes_string(name)};
            answered += br_answer_indirect(&f.a, &request, &stranger, NOW) == BRUIT_DROP_NONE;
            struct br_ping ping = {.seq = i};
            answered += br_answer_ping(&f.a, &ping, &stranger) == BRUIT_DROP_NONE;
        }
        const uint64_t *drops = f.t.core.stats.drops;
        assert_int_equal(answered + drops[BRUIT_DROP_ANSWERS_FULL] + drops[BRUIT_DROP_RELAYS_FULL], 80);
        br_answer_tick(&f.a, NOW + TIMEOUT);
        finish(&f);
    }
}

/* Once the rings have grown, answering needs no memory. */
static void test_allocates_nothing_in_steady_state(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 3);
    uint64_t before = 0;
    for (uint32_t i = 0; i < 100; i++) {
        uint8_t ip[4];
        struct br_indirect_ping request = request_for(&f, ip, i, true);
        struct br_ping ping = {.seq = i};
        assert_int_equal(br_answer_indirect(&f.a, &request, &stranger, NOW + i), BRUIT_DROP_NONE);
        assert_int_equal(br_answer_ping(&f.a, &ping, &stranger), BRUIT_DROP_NONE);
        struct br_send send;
        while (br_answer_next(&f.a, &send)) {
            if (send.kind == BR_SEND_RELAYED)
                assert_true(br_answer_ack(&f.a, send.seq, NOW + i));
        }
        if (i == 4)
            before = f.t.core.alloc.count;
    }
    assert_true(f.t.core.alloc.count == before);
    finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_acks_to_the_datagrams_source),
        cmocka_unit_test(test_acks_to_the_source_triple),
        cmocka_unit_test(test_knows_the_member_that_asks),
        cmocka_unit_test(test_keeps_the_interface_of_link_local_addresses),
        cmocka_unit_test(test_answers_for_itself_only),
        cmocka_unit_test(test_owes_a_bounded_number),
        cmocka_unit_test(test_relays_a_ping_and_its_ack),
        cmocka_unit_test(test_nacks_after_the_probe_timeout_if_wanted),
        cmocka_unit_test(test_reads_all_of_the_request),
        cmocka_unit_test(test_relays_to_somebody_unknown_by_name),
        cmocka_unit_test(test_refuses_nonsense),
        cmocka_unit_test(test_numbers_begin_at_random),
        cmocka_unit_test(test_strict_mode_sends_to_members_only),
        cmocka_unit_test(test_relays_a_bounded_number),
        cmocka_unit_test(test_matches_acks_in_any_order),
        cmocka_unit_test(test_sends_no_ping_after_its_nack),
        cmocka_unit_test(test_gives_a_stall_back),
        cmocka_unit_test(test_answers_those_who_were_forgotten),
        cmocka_unit_test(test_survives_failing_memory),
        cmocka_unit_test(test_allocates_nothing_in_steady_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
