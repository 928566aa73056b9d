/*
 * The prober, told everything that can happen to a probe. Time is the test's: a ping pulled at once unless the test
 * says otherwise.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "detect/probe.h"
#include "support/core.h"

#include <bruit/error.h>
#include <string.h>

#define MS BRUIT_MILLISECOND
#define TIMEOUT (500 * MS)
#define INTERVAL BRUIT_SECOND

struct fixture {
    struct test_core t;
    struct br_awareness health;
    struct br_probe p;
    uint32_t rounds; /* that ended */
};

static void start_with(struct fixture *f, uint32_t members, uint64_t seed)
{
    memset(f, 0, sizeof *f);
    test_core_init(&f->t, members, seed);
    br_awareness_init(&f->health, &f->t.core);
    br_probe_init(&f->p, &f->t.core, &f->health, 0);
}

static void start(struct fixture *f, uint32_t members)
{
    start_with(f, members, 7);
}

static void finish(struct fixture *f)
{
    br_probe_fini(&f->p);
    test_core_fini(&f->t);
}

/* A tick as the engine makes it, without reaping; true when it ended in an accusation. */
static bool tick(struct fixture *f, bruit_time now)
{
    bool failed = false;
    f->t.core.now = now;
    for (;;) {
        switch (br_probe_tick(&f->p, now)) {
        case BR_PROBE_ROUND_ENDED:
            f->rounds++;
            br_probe_round_begin(&f->p);
            break;
        case BR_PROBE_FAILED:
            assert_false(failed);
            failed = true;
            break;
        case BR_PROBE_NOTHING: return failed;
        }
    }
}

/* Goes to the next tick that begins a probe and pulls its ping: the time at which it was sent. */
static bruit_time begin(struct fixture *f, struct br_send *ping)
{
    for (int i = 0; i < 10; i++) {
        bruit_time now = br_probe_deadline(&f->p);
        tick(f, now);
        while (br_probe_next(&f->p, ping)) {
            if (ping->kind == BR_SEND_INDIRECT)
                continue;
            br_probe_sent(&f->p, ping->seq, now);
            return now;
        }
    }
    fail_msg("nobody was probed");
    return 0;
}

/* Goes to the probe timeout and pulls the requests to relays: how many. */
static uint32_t ask(struct fixture *f, struct br_send *sends)
{
    tick(f, f->p.ask_at);
    uint32_t count = 0;
    while (br_probe_next(&f->p, &sends[count])) {
        assert_int_equal(sends[count].kind, BR_SEND_INDIRECT);
        count++;
    }
    return count;
}

static bool ack(struct fixture *f, uint32_t seq, bruit_time now, bruit_time *rtt)
{
    uint32_t slot;
    f->t.core.now = now;
    bool matched = br_probe_ack(&f->p, seq, now, &slot, rtt);
    if (matched)
        assert_int_equal(slot, f->p.slot);
    return matched;
}

/* ---- one probe ---- */

/* m1 answers after 3 ms: the round trip is reported, and nobody is asked or accused. */
static void test_a_direct_ack_gives_the_round_trip(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    struct br_send ping;
    bruit_time rtt, sent = begin(&f, &ping);
    assert_int_equal(ping.slot, test_core_member(&f.t, 1));
    assert_int_equal(ping.to.port, 7946);
    assert_false(ack(&f, ping.seq + 1, sent + 2 * MS, &rtt));
    assert_true(ack(&f, ping.seq, sent + 3 * MS, &rtt));
    assert_true(rtt == 3 * MS);
    assert_false(ack(&f, ping.seq, sent + 4 * MS, &rtt)); /* the first ack removes the handler */
    assert_false(tick(&f, sent + 999 * MS));
    assert_false(br_probe_next(&f.p, &ping));
    assert_true(br_probe_deadline(&f.p) == sent + INTERVAL);
    finish(&f);
}

/* The target is silent: at the timeout three relays and a stream are tried, at the end it is accused. */
/* conformance: memberlist 52 */
static void test_asks_others_before_it_accuses(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 10);
    struct br_send ping, sends[16];
    uint32_t seq, slot;
    bruit_time until, sent = begin(&f, &ping);
    assert_true(br_probe_deadline(&f.p) == sent + TIMEOUT);
    tick(&f, sent + TIMEOUT - 1);
    assert_false(br_probe_next(&f.p, &sends[0]));
    assert_false(br_probe_next_stream(&f.p, &seq, &slot, &until));

    assert_int_equal(ask(&f, sends), 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sends[i].seq, ping.seq);
        assert_int_equal(sends[i].about, ping.slot);
        assert_int_not_equal(sends[i].slot, ping.slot);
        assert_int_not_equal(sends[i].slot, f.t.core.self);
        assert_true(sends[i].nack);
    }
    assert_true(br_probe_next_stream(&f.p, &seq, &slot, &until));
    assert_int_equal(seq, ping.seq);
    assert_int_equal(slot, ping.slot);
    assert_true(until == sent + INTERVAL);
    assert_false(br_probe_next_stream(&f.p, &seq, &slot, &until)); /* once */

    assert_false(tick(&f, sent + INTERVAL - 1));
    assert_true(tick(&f, sent + INTERVAL));
    assert_int_equal(f.p.verdict.slot, ping.slot);
    assert_int_equal(f.p.verdict.incarnation, 1);
    assert_true(f.p.verdict.waited == INTERVAL);
    assert_int_equal(f.p.verdict.relays, 3);
    assert_int_equal(f.p.verdict.nacks, 0);
    finish(&f);
}

/* A relay reached the target: success, without a round trip. So it is when the direct ack comes late. */
static void test_a_late_ack_is_a_success_without_a_round_trip(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 10);
    struct br_send ping, sends[16];
    bruit_time rtt = 99, sent = begin(&f, &ping);
    ask(&f, sends);
    assert_true(ack(&f, ping.seq, sent + 999 * MS, &rtt));
    assert_true(rtt == 0);
    assert_false(tick(&f, sent + INTERVAL));
    finish(&f);
}

/* Datagrams get lost on the way to the target, a stream does not: it is not accused. */
/* conformance: memberlist 53 */
static void test_a_stream_alone_prevents_the_accusation(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 10);
    struct br_send ping, sends[16];
    bruit_time sent = begin(&f, &ping);
    ask(&f, sends);
    br_probe_stream_result(&f.p, ping.seq, false, sent + 600 * MS);
    br_probe_stream_result(&f.p, ping.seq + 2, true, sent + 600 * MS); /* of another probe */
    assert_int_equal(f.p.stage, BR_PROBE_ASKED);
    br_probe_stream_result(&f.p, ping.seq, true, sent + 700 * MS);
    assert_false(tick(&f, sent + INTERVAL));
    finish(&f);
}

/* A failed stream does not save it. */
static void test_a_failed_stream_changes_nothing(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 10);
    struct br_send ping, sends[16];
    bruit_time sent = begin(&f, &ping);
    ask(&f, sends);
    br_probe_stream_result(&f.p, ping.seq, false, sent + 600 * MS);
    assert_true(tick(&f, sent + INTERVAL));
    finish(&f);
}

struct records {
    char texts[4][256];
    uint32_t count;
};

static void note_record(void *context, const struct bruit_trace_record *record)
{
    struct records *records = context;
    assert_true(records->count < 4);
    bruit_trace_text(record, records->texts[records->count++], sizeof records->texts[0]);
}

/* What the prober finds out, in the words that people search their logs for, and why. */
static void test_says_what_it_found(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    struct records records = {.count = 0};
    br_tracer_init(&f.t.core.tracer, note_record, &records, BRUIT_TRACE_INFO);
    struct br_send ping, sends[16];
    bruit_time sent = begin(&f, &ping);
    ask(&f, sends);
    br_probe_stream_result(&f.p, ping.seq, true, sent + 600 * MS);
    sent = begin(&f, &ping);
    ask(&f, sends);
    assert_true(tick(&f, sent + INTERVAL));
    assert_int_equal(records.count, 2);
    assert_string_equal(records.texts[0],
                        "Was able to connect to m1 over TCP but UDP probes failed, network may be "
                        "misconfigured");
    assert_string_equal(records.texts[1],
                        "Suspect m1 has failed, no acks received (no ack in 1 s, 0 relays asked, 0 "
                        "nacks)");
    finish(&f);
}

/* Streams are switched off, or the target is too old for them. */
static void test_opens_no_stream_that_is_not_wanted(void **state)
{
    (void)state;
    for (int old = 0; old <= 1; old++) {
        struct fixture f;
        start(&f, 1);
        test_core_add(&f.t, "old", old ? 2 : 3);
        f.t.core.config.stream_pings = old;
        struct br_send ping, sends[16];
        uint32_t seq, slot;
        bruit_time until;
        begin(&f, &ping);
        ask(&f, sends);
        assert_false(br_probe_next_stream(&f.p, &seq, &slot, &until));
        finish(&f);
    }
}

/* Relays older than protocol 4 are not asked for nacks, nor expected to give them. */
static void test_wants_nacks_only_of_those_who_know_them(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 1);
    test_core_add(&f.t, "target", 5);
    uint32_t old = test_core_add(&f.t, "old", 3);
    test_core_add(&f.t, "new", 4);
    test_core_believe(&f.t, test_core_slot(&f.t, "new"), BRUIT_ALIVE, 1);
    struct br_send ping, sends[16];
    begin(&f, &ping);
    uint32_t count = ask(&f, sends);
    assert_int_equal(count, 2);
    for (uint32_t i = 0; i < count; i++)
        assert_true(sends[i].nack == (sends[i].slot != old));
    finish(&f);
}

/* Nobody else is there to ask, and the stream fails: the accusation comes all the same. */
static void test_accuses_without_relays(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    struct br_send ping, sends[16];
    bruit_time sent = begin(&f, &ping);
    assert_int_equal(ask(&f, sends), 0);
    assert_true(tick(&f, sent + INTERVAL));
    assert_int_equal(f.p.verdict.relays, 0);
    finish(&f);
}

/* ---- local health, table 7.4 row by row ---- */

/* Row 1: any success makes us healthier. */
/* conformance: memberlist 55 */
static void test_success_improves_health(void **state)
{
    (void)state;
    for (int way = 0; way < 3; way++) {
        struct fixture f;
        start(&f, 10);
        br_awareness_apply(&f.health, 3);
        struct br_send ping, sends[16];
        bruit_time rtt, sent = begin(&f, &ping);
        if (way > 0)
            ask(&f, sends);
        if (way == 2)
            br_probe_stream_result(&f.p, ping.seq, true, sent + 600 * MS);
        else
            assert_true(ack(&f, ping.seq, sent + (way ? 600 : 1) * MS, &rtt));
        assert_int_equal(f.health.score, 2);
        finish(&f);
    }
}

/* Row 2: our ping could not be sent, but a relay's was answered: the target lives, and we are no healthier. */
/* conformance: memberlist 55 */
static void test_an_unreachable_target_that_relays_reach_changes_nothing(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 10);
    br_awareness_apply(&f.health, 3);
    struct br_send ping, sends[16];
    bruit_time rtt, sent = begin(&f, &ping);
    br_probe_send_failed(&f.p, BR_SEND_PING, ping.seq, ping.token, BRUIT_EUNREACHABLE, sent + MS);
    uint32_t count = 0;
    while (br_probe_next(&f.p, &sends[count]))
        count++;
    assert_int_equal(count, 3); /* at once, not at the timeout */
    assert_true(ack(&f, ping.seq, sent + 20 * MS, &rtt));
    assert_true(rtt == 0);
    assert_int_equal(f.health.score, 3);
    finish(&f);
}

/* Row 3: nacks were expected; each that did not come points at our own network. */
/* conformance: memberlist 55 */
static void test_missing_nacks_worsen_health(void **state)
{
    (void)state;
    for (uint32_t nacks = 0; nacks <= 4; nacks++) {
        struct fixture f;
        start(&f, 10);
        struct br_send ping, sends[16];
        bruit_time sent = begin(&f, &ping);
        assert_false(br_probe_nack(&f.p, ping.seq)); /* nobody was asked yet */
        assert_int_equal(ask(&f, sends), 3);
        assert_false(br_probe_nack(&f.p, ping.seq + 2));
        for (uint32_t i = 0; i < nacks; i++)
            assert_true(br_probe_nack(&f.p, ping.seq) == (i < 3)); /* a fourth is not believed */
        assert_true(tick(&f, sent + INTERVAL));
        assert_int_equal(f.health.score, nacks < 3 ? 3 - nacks : 0);
        assert_int_equal(f.p.verdict.nacks, nacks < 3 ? nacks : 3);
        finish(&f);
    }
}

/* Row 4: there was nobody who could have nacked. */
/* conformance: memberlist 55 */
static void test_a_failure_without_nackers_costs_one(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 1);
    for (int i = 0; i < 4; i++)
        test_core_add(&f.t, (const char *[]){"a", "b", "c", "d"}[i], 3);
    struct br_send ping, sends[16];
    bruit_time sent = begin(&f, &ping);
    assert_int_equal(ask(&f, sends), 3);
    assert_true(tick(&f, sent + INTERVAL));
    assert_int_equal(f.health.score, 1);
    finish(&f);
}

/* Row 6: the ping was not sent, for a reason of our own: no consequence for anybody. */
/* conformance: memberlist 55 */
static void test_a_local_send_error_has_no_consequence(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 10);
    br_awareness_apply(&f.health, 3);
    struct br_send ping, other;
    bruit_time sent = begin(&f, &ping);
    br_probe_send_failed(&f.p, BR_SEND_PING, ping.seq, ping.token, BRUIT_EIO, sent);
    assert_int_equal(f.p.stage, BR_PROBE_IDLE);
    assert_false(tick(&f, sent + TIMEOUT));
    assert_false(br_probe_next(&f.p, &other));
    assert_int_equal(f.health.score, 3);
    assert_false(tick(&f, sent + INTERVAL)); /* and the next probe comes in its time */
    assert_true(br_probe_next(&f.p, &other));
    finish(&f);
}

/* The cable is out: neither the target nor any relay can be sent to. Nobody is accused for that. */
static void test_accuses_nobody_when_nothing_can_be_sent(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 10);
    struct br_send ping, sends[16];
    bruit_time sent = begin(&f, &ping);
    br_probe_send_failed(&f.p, BR_SEND_PING, ping.seq, ping.token, BRUIT_EUNREACHABLE, sent);
    for (uint32_t i = 0; br_probe_next(&f.p, &sends[i]); i++)
        br_probe_send_failed(&f.p, BR_SEND_INDIRECT, sends[i].seq, sends[i].token, BRUIT_EUNREACHABLE, sent);
    assert_false(tick(&f, sent + INTERVAL));
    assert_int_equal(f.p.stage, BR_PROBE_OWED); /* the next one has begun */
    assert_int_not_equal(f.p.seq, ping.seq);
    assert_int_equal(f.health.score, 0);
    finish(&f);
}

/* One relay of three could not be asked: nobody expects its nack, and the verdict says two. */
static void test_expects_nothing_of_a_relay_that_was_not_asked(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 10);
    struct br_send ping, sends[16];
    bruit_time sent = begin(&f, &ping);
    ask(&f, sends);
    br_probe_send_failed(&f.p, BR_SEND_INDIRECT, ping.seq, sends[1].token, BRUIT_EIO, sent + TIMEOUT);
    br_probe_send_failed(&f.p, BR_SEND_INDIRECT, ping.seq, sends[1].token, BRUIT_EIO, sent + TIMEOUT);
    assert_true(br_probe_nack(&f.p, ping.seq));
    assert_true(tick(&f, sent + INTERVAL));
    assert_int_equal(f.p.verdict.relays, 2);
    assert_int_equal(f.health.score, 1);
    finish(&f);
}

/* In bad health the direct ack has no more time, but everything after it has. */
/* conformance: memberlist 52 */
static void test_bad_health_stretches_the_interval_only(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 10);
    br_awareness_apply(&f.health, 2);
    struct br_send ping, sends[16];
    bruit_time sent = begin(&f, &ping);
    assert_true(br_probe_deadline(&f.p) == sent + TIMEOUT);
    assert_int_equal(ask(&f, sends), 3);
    assert_true(br_probe_deadline(&f.p) == sent + 3 * INTERVAL);
    assert_false(tick(&f, sent + 3 * INTERVAL - 1)); /* ticks in between are lost */
    assert_false(br_probe_next(&f.p, &sends[0]));
    assert_true(tick(&f, sent + 3 * INTERVAL));
    assert_true(br_probe_next(&f.p, &sends[0])); /* the one that coincides is not */
    finish(&f);
}

/* In bad health an ack comes after 1.5 intervals: the tick it missed is lost, not made up for. */
static void test_lost_ticks_stay_lost(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 10);
    br_awareness_apply(&f.health, 3);
    struct br_send ping, sends[16];
    bruit_time rtt, sent = begin(&f, &ping);
    ask(&f, sends);
    assert_true(ack(&f, ping.seq, sent + 1500 * MS, &rtt));
    assert_true(br_probe_deadline(&f.p) == sent + 2 * INTERVAL);
    finish(&f);
}

/* One probe had a relay that could not be asked; the next one starts with a clean sheet. */
static void test_each_probe_starts_afresh(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 10);
    struct br_send ping, sends[16];
    bruit_time sent = begin(&f, &ping);
    ask(&f, sends);
    for (uint32_t i = 0; i < 2; i++)
        br_probe_send_failed(&f.p, BR_SEND_INDIRECT, ping.seq, i, BRUIT_EIO, sent + TIMEOUT);
    assert_true(br_probe_nack(&f.p, ping.seq));
    assert_true(tick(&f, sent + INTERVAL));
    assert_int_equal(f.p.verdict.relays, 1);
    assert_int_equal(f.health.score, 0);
    sent = begin(&f, &ping);
    assert_int_equal(ask(&f, sends), 3);
    assert_true(tick(&f, sent + INTERVAL));
    assert_int_equal(f.p.verdict.relays, 3);
    assert_int_equal(f.p.verdict.nacks, 0);
    assert_int_equal(f.health.score, 3);
    finish(&f);
}

/* ---- our own slowness ---- */

/* The driver pulls the ping 400 ms late: the target has its full time from then on. */
static void test_time_starts_when_the_ping_leaves(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 10);
    struct br_send ping;
    bruit_time rtt, due = br_probe_deadline(&f.p);
    tick(&f, due);
    while (f.p.stage != BR_PROBE_OWED)
        tick(&f, due = br_probe_deadline(&f.p));
    assert_true(br_probe_next(&f.p, &ping));
    assert_false(ack(&f, ping.seq, due + MS, &rtt));   /* an ack before the ping is a lie */
    br_probe_sent(&f.p, ping.seq + 2, due + 300 * MS); /* of another probe */
    assert_int_equal(f.p.stage, BR_PROBE_TAKEN);
    br_probe_sent(&f.p, ping.seq, due + 400 * MS);
    assert_true(br_probe_deadline(&f.p) == due + 900 * MS);
    assert_true(ack(&f, ping.seq, due + 402 * MS, &rtt));
    assert_true(rtt == 2 * MS);
    assert_true(br_probe_deadline(&f.p) == due + 1400 * MS);
    finish(&f);
}

/* So it is with the accusation: one interval after the ping left, not after the tick. */
static void test_a_late_ping_is_judged_later(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 10);
    struct br_send ping, sends[16];
    bruit_time due = br_probe_deadline(&f.p);
    while (f.p.stage != BR_PROBE_OWED)
        tick(&f, due = br_probe_deadline(&f.p));
    assert_true(br_probe_next(&f.p, &ping));
    br_probe_sent(&f.p, ping.seq, due + 400 * MS);
    assert_int_equal(ask(&f, sends), 3);
    assert_false(tick(&f, due + 1400 * MS - 1));
    assert_true(tick(&f, due + 1400 * MS));
    assert_true(f.p.verdict.waited == INTERVAL);
    finish(&f);
}

/* The driver is so slow that the ping never leaves: the probe is given up, nobody is accused, health stays. */
static void test_a_ping_that_never_leaves_accuses_nobody(void **state)
{
    (void)state;
    for (int taken = 0; taken <= 1; taken++) {
        struct fixture f;
        start(&f, 10);
        br_awareness_apply(&f.health, 1);
        struct br_send ping;
        bruit_time due = br_probe_deadline(&f.p);
        while (f.p.stage != BR_PROBE_OWED)
            tick(&f, due = br_probe_deadline(&f.p));
        if (taken)
            assert_true(br_probe_next(&f.p, &ping));
        assert_false(tick(&f, due + 2 * INTERVAL - 1));
        assert_int_equal(f.p.stage, taken ? BR_PROBE_TAKEN : BR_PROBE_OWED);
        uint32_t seq = f.p.seq;
        assert_false(tick(&f, due + 2 * INTERVAL));
        assert_int_equal(f.p.seq, seq + 2); /* the next one begins */
        assert_int_equal(f.health.score, 1);
        finish(&f);
    }
}

/* The ping left, then the driver got stuck: the relays were never asked. That is our trouble. */
static void test_relays_that_were_never_asked_accuse_nobody(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 10);
    struct br_send ping;
    bruit_time sent = begin(&f, &ping);
    tick(&f, sent + TIMEOUT);
    assert_false(tick(&f, sent + INTERVAL));
    assert_int_equal(f.health.score, 0);
    finish(&f);
}

/* We slept for 10 s in the middle of a probe: it goes on where it was, and its round trip tells nothing. */
static void test_gives_a_stall_back(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 10);
    struct br_send ping;
    bruit_time rtt = 99, sent = begin(&f, &ping), woke = sent + 10 * BRUIT_SECOND;
    br_probe_delay(&f.p, 10 * BRUIT_SECOND);
    assert_false(tick(&f, woke + 100 * MS));
    assert_int_equal(f.p.stage, BR_PROBE_DIRECT);
    assert_true(br_probe_deadline(&f.p) == woke + TIMEOUT);
    assert_true(ack(&f, ping.seq, woke + 100 * MS, &rtt));
    assert_true(rtt == 0);
    assert_true(br_probe_deadline(&f.p) == woke + INTERVAL);
    br_probe_delay(&f.p, BRUIT_SECOND); /* between two probes: the next tick */
    assert_true(br_probe_deadline(&f.p) == woke + INTERVAL + BRUIT_SECOND);
    finish(&f);
}

/* We slept while the relays were at work: they get the time back as well. */
static void test_gives_a_stall_back_to_relays(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 10);
    struct br_send ping, sends[16];
    bruit_time sent = begin(&f, &ping);
    ask(&f, sends);
    br_probe_delay(&f.p, 10 * BRUIT_SECOND);
    assert_false(tick(&f, sent + 11 * BRUIT_SECOND - 1));
    assert_true(tick(&f, sent + 11 * BRUIT_SECOND));
    finish(&f);
}

/* A tick comes so late that both stages are over, and nobody gave the time back: others are asked all the same. */
static void test_a_late_tick_skips_no_stage(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 10);
    struct br_send ping, sends[16];
    bruit_time sent = begin(&f, &ping), late = sent + 3 * INTERVAL;
    assert_false(tick(&f, late));
    uint32_t count = 0;
    while (br_probe_next(&f.p, &sends[count]))
        count++;
    assert_int_equal(count, 3);
    assert_false(tick(&f, late + INTERVAL - TIMEOUT - 1));
    assert_true(tick(&f, late + INTERVAL - TIMEOUT));
    finish(&f);
}

/* ---- the round ---- */

/* Thirty members, three of them dead or left: in each round each of the others is probed once, in another order. */
/* conformance: memberlist 58 */
static void test_each_is_probed_once_a_round(void **state)
{
    (void)state;
    struct fixture f;
    start_with(&f, 30, test_seed());
    test_core_believe(&f.t, test_core_member(&f.t, 3), BRUIT_DEAD, 1);
    test_core_believe(&f.t, test_core_member(&f.t, 4), BRUIT_LEFT, 1);
    test_core_believe(&f.t, test_core_member(&f.t, 5), BRUIT_SUSPECT, 1);
    test_core_believe(&f.t, test_core_member(&f.t, 6), BRUIT_LEFT, 1);
    uint32_t orders[10][26];
    for (uint32_t round = 0; round < 10; round++) {
        uint32_t probed[64] = {0};
        for (uint32_t i = 0; i < 26; i++) {
            struct br_send ping;
            bruit_time rtt, sent = begin(&f, &ping);
            assert_int_equal(f.rounds, round);
            assert_int_equal(probed[ping.slot]++, 0);
            orders[round][i] = ping.slot;
            assert_true(ack(&f, ping.seq, sent + MS, &rtt));
        }
        assert_int_equal(probed[f.t.core.self], 0);
        assert_int_equal(probed[test_core_member(&f.t, 3)], 0);
        assert_int_equal(probed[test_core_member(&f.t, 4)], 0);
        assert_int_equal(probed[test_core_member(&f.t, 5)], 1);
        if (round > 0)
            assert_memory_not_equal(orders[round], orders[round - 1], sizeof orders[0]);
    }
    finish(&f);
}

/* The owner reaps between the rounds: the prober does not stumble over the members that are gone. */
static void test_reaping_at_the_end_of_the_round(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 20);
    bruit_time now = br_probe_deadline(&f.p);
    uint32_t next = 1;
    for (int i = 0; i < 400 && next < 19; i++, now += INTERVAL) {
        struct br_send ping;
        bruit_time rtt;
        f.t.core.now = now;
        enum br_probe_event event;
        while ((event = br_probe_tick(&f.p, now)) != BR_PROBE_NOTHING) {
            assert_int_equal(event, BR_PROBE_ROUND_ENDED);
            uint32_t slot = test_core_member(&f.t, next++);
            test_core_believe(&f.t, slot, BRUIT_DEAD, 1);
            test_core_forget(&f.t, slot);
            br_probe_round_begin(&f.p);
        }
        if (br_probe_next(&f.p, &ping)) {
            br_probe_sent(&f.p, ping.seq, now);
            assert_true(br_view_is_known(&f.t.core.view, ping.slot));
            assert_true(ack(&f, ping.seq, now + MS, &rtt));
        }
    }
    assert_int_equal(next, 19);
    finish(&f);
}

/* Alone, or among the dead, there is nobody to probe; the tick is given up after one look at each. */
static void test_gives_up_when_there_is_nobody(void **state)
{
    (void)state;
    for (uint32_t members = 1; members <= 5; members++) {
        struct fixture f;
        start(&f, members);
        for (uint32_t i = 1; i < members; i++)
            test_core_believe(&f.t, test_core_member(&f.t, i), i % 2 ? BRUIT_DEAD : BRUIT_LEFT, 1);
        struct br_send ping;
        bruit_time now = 0;
        for (int i = 0; i < 10; i++) {
            now = br_probe_deadline(&f.p);
            assert_false(tick(&f, now));
            assert_false(br_probe_next(&f.p, &ping));
        }
        assert_true(now >= 9 * INTERVAL && now <= 10 * INTERVAL);
        assert_true(f.rounds <= 10);
        finish(&f);
    }
}

/* Two members: every interval has its probe. */
static void test_two_members_probe_each_interval(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    struct br_send ping;
    bruit_time rtt, previous = begin(&f, &ping);
    assert_true(previous < 2 * INTERVAL);
    for (int i = 0; i < 10; i++) {
        assert_true(ack(&f, ping.seq, previous + MS, &rtt));
        bruit_time sent = begin(&f, &ping);
        assert_true(sent == previous + INTERVAL);
        previous = sent;
    }
    finish(&f);
}

/* The first tick comes at random, so that members of a cluster started at once do not probe at once. */
static void test_starts_at_random(void **state)
{
    (void)state;
    bruit_time least = BRUIT_NEVER, most = 0;
    uint32_t previous = 1;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct fixture f;
        start_with(&f, 2, seed);
        bruit_time first = br_probe_deadline(&f.p);
        assert_true(first < INTERVAL);
        least = first < least ? first : least;
        most = first > most ? first : most;
        assert_int_equal(f.p.seq % 2, 0);
        assert_int_not_equal(f.p.seq,
                             previous); /* numbers start at random too, so that acks cannot be guessed */
        previous = f.p.seq;
        finish(&f);
    }
    assert_true(least < INTERVAL / 10 && most > INTERVAL - INTERVAL / 10);
}

static void test_an_interval_of_zero_probes_never(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    f.t.core.config.probe_interval = 0;
    struct br_probe never;
    br_probe_init(&never, &f.t.core, &f.health, 5);
    assert_true(br_probe_deadline(&never) == BRUIT_NEVER);
    assert_int_equal(br_probe_tick(&never, 1000 * BRUIT_SECOND), BR_PROBE_NOTHING);
    br_probe_fini(&never);
    finish(&f);
}

/* The numbers wrap around at 2^32. */
static void test_numbers_wrap(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    f.p.seq = UINT32_MAX - 1;
    struct br_send ping;
    bruit_time rtt, sent = begin(&f, &ping);
    assert_int_equal(ping.seq, 0);
    assert_true(ack(&f, 0, sent + 1, &rtt));
    finish(&f);
}

/* ---- the target vanishes ---- */

/* In the middle of its probe the target leaves in good order, or somebody else finds it dead: nothing to accuse. */
static void test_a_target_that_left_is_not_accused(void **state)
{
    (void)state;
    for (int stage = 0; stage < 3; stage++) {
        struct fixture f;
        start(&f, 10);
        br_awareness_apply(&f.health, 2);
        struct br_send ping, sends[16];
        bruit_time due = br_probe_deadline(&f.p);
        while (f.p.stage != BR_PROBE_OWED)
            tick(&f, due = br_probe_deadline(&f.p));
        uint32_t slot = f.p.slot;
        if (stage > 0) {
            assert_true(br_probe_next(&f.p, &ping));
            br_probe_sent(&f.p, ping.seq, due);
        }
        if (stage > 1)
            assert_int_equal(ask(&f, sends), 3);
        test_core_believe(&f.t, slot, BRUIT_LEFT, 1);
        assert_false(br_probe_next(&f.p, &ping));
        assert_false(tick(&f, due + 3 * INTERVAL));
        assert_int_equal(f.health.score, 2);
        finish(&f);
    }
}

/* The target is forgotten, and another member gets its slot: the probe is about neither. */
static void test_a_reused_slot_is_not_accused(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 10);
    struct br_send ping, sends[16];
    bruit_time rtt, sent = begin(&f, &ping);
    ask(&f, sends);
    test_core_believe(&f.t, ping.slot, BRUIT_DEAD, 1);
    test_core_forget(&f.t, ping.slot);
    uint32_t heir = test_core_add(&f.t, "heir", 5);
    assert_int_equal(heir, ping.slot);
    assert_false(ack(&f, ping.seq, sent + 600 * MS, &rtt));
    assert_false(tick(&f, sent + INTERVAL));
    finish(&f);
}

/* Probing needs no memory at all. */
static void test_allocates_nothing(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 50);
    uint64_t before = f.t.core.alloc.count;
    for (int i = 0; i < 200; i++) {
        struct br_send ping, sends[16];
        bruit_time rtt, sent = begin(&f, &ping);
        if (i % 3 == 0)
            ask(&f, sends);
        if (i % 5 != 0)
            ack(&f, ping.seq, sent + 700 * MS, &rtt);
    }
    assert_true(f.t.core.alloc.count == before);
    finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_direct_ack_gives_the_round_trip),
        cmocka_unit_test(test_asks_others_before_it_accuses),
        cmocka_unit_test(test_a_late_ack_is_a_success_without_a_round_trip),
        cmocka_unit_test(test_a_stream_alone_prevents_the_accusation),
        cmocka_unit_test(test_a_failed_stream_changes_nothing),
        cmocka_unit_test(test_says_what_it_found),
        cmocka_unit_test(test_opens_no_stream_that_is_not_wanted),
        cmocka_unit_test(test_wants_nacks_only_of_those_who_know_them),
        cmocka_unit_test(test_accuses_without_relays),
        cmocka_unit_test(test_success_improves_health),
        cmocka_unit_test(test_an_unreachable_target_that_relays_reach_changes_nothing),
        cmocka_unit_test(test_missing_nacks_worsen_health),
        cmocka_unit_test(test_a_failure_without_nackers_costs_one),
        cmocka_unit_test(test_a_local_send_error_has_no_consequence),
        cmocka_unit_test(test_accuses_nobody_when_nothing_can_be_sent),
        cmocka_unit_test(test_expects_nothing_of_a_relay_that_was_not_asked),
        cmocka_unit_test(test_bad_health_stretches_the_interval_only),
        cmocka_unit_test(test_lost_ticks_stay_lost),
        cmocka_unit_test(test_each_probe_starts_afresh),
        cmocka_unit_test(test_time_starts_when_the_ping_leaves),
        cmocka_unit_test(test_a_late_ping_is_judged_later),
        cmocka_unit_test(test_a_ping_that_never_leaves_accuses_nobody),
        cmocka_unit_test(test_relays_that_were_never_asked_accuse_nobody),
        cmocka_unit_test(test_gives_a_stall_back),
        cmocka_unit_test(test_gives_a_stall_back_to_relays),
        cmocka_unit_test(test_a_late_tick_skips_no_stage),
        cmocka_unit_test(test_each_is_probed_once_a_round),
        cmocka_unit_test(test_reaping_at_the_end_of_the_round),
        cmocka_unit_test(test_gives_up_when_there_is_nobody),
        cmocka_unit_test(test_two_members_probe_each_interval),
        cmocka_unit_test(test_starts_at_random),
        cmocka_unit_test(test_an_interval_of_zero_probes_never),
        cmocka_unit_test(test_numbers_wrap),
        cmocka_unit_test(test_a_target_that_left_is_not_accused),
        cmocka_unit_test(test_a_reused_slot_is_not_accused),
        cmocka_unit_test(test_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
