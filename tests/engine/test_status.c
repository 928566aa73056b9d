/*
 * Serf's member status: what intents, deaths and syncs make of the roll (docs/wire/serf.md, sections 4 to 6 and 13).
 *
 * A small cluster of members with the status module, and a testing peer who says what a Serf agent could say.
 */
#include "codec/addr.h"
#include "codec/serf.h"
#include "support/peer.h"

#include <bruit/status.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define S BRUIT_SECOND
#define MS BRUIT_MILLISECOND

static const struct bruit_module *const modules[] = {&bruit_status_module};

static struct world *serf_world(uint64_t seed, uint32_t count)
{
    struct world *w = world_new(seed);
    w->config.modules = modules;
    w->config.module_count = 1;
    world_cluster(w, count);
    assert_true(world_wait_all_alive(w, 5 * S));
    return w;
}

/* ---- looking ---- */

static enum bruit_status status_of(const struct world *w, uint32_t node, const char *name)
{
    struct bruit_status_member member;
    if (bruit_status_find(w->nodes[node].engine, world_bytes(name), &member) != 0)
        return BRUIT_STATUS_NONE;
    return member.status;
}

static uint64_t time_of(const struct world *w, uint32_t node, const char *name)
{
    struct bruit_status_member member;
    int found = bruit_status_find(w->nodes[node].engine, world_bytes(name), &member);
    assert_int_equal(found, 0);
    return member.status_time;
}

static uint64_t clock_of(const struct world *w, uint32_t node)
{
    struct bruit_status_counts counts;
    bruit_status_counts(w->nodes[node].engine, &counts);
    return counts.member_time;
}

static size_t events(const struct world *w, uint32_t node, const char *name, uint32_t change)
{
    return world_events(w, node, BRUIT_EVENT_STATUS, name, change);
}

static bool wait_status(struct world *w, uint32_t node, const char *name, enum bruit_status status,
                        bruit_time most)
{
    bruit_time end = w->now + most;
    while (w->now < end && status_of(w, node, name) != status)
        world_run(w, 10 * MS);
    return status_of(w, node, name) == status;
}

static void configure(struct world *w, uint32_t node, const struct bruit_status_options *options)
{
    assert_int_equal(bruit_status_configure(w->nodes[node].engine, options), 0);
}

/* ---- saying ---- */

static struct bruit_bytes join_intent(uint8_t *buffer, uint64_t time, const char *name)
{
    struct br_writer w;
    br_writer_init(&w, buffer, 256);
    br_write_u8(&w, BR_USER);
    br_serf_join_encode(&w, &(struct br_serf_join){.ltime = time, .node = world_bytes(name)});
    return br_writer_bytes(&w);
}

static struct bruit_bytes leave_intent(uint8_t *buffer, uint64_t time, const char *name, bool prune)
{
    struct br_writer w;
    br_writer_init(&w, buffer, 256);
    br_write_u8(&w, BR_USER);
    br_serf_leave_encode(&w,
                         &(struct br_serf_leave){.ltime = time, .node = world_bytes(name), .prune = prune});
    return br_writer_bytes(&w);
}

static void say(struct peer *p, struct bruit_bytes message)
{
    peer_raw(p, message);
    assert_int_equal(peer_send(p), 0);
}

static void say_join(struct peer *p, uint64_t time, const char *name)
{
    uint8_t buffer[256];
    say(p, join_intent(buffer, time, name));
}

static void say_leave(struct peer *p, uint64_t time, const char *name, bool prune)
{
    uint8_t buffer[256];
    say(p, leave_intent(buffer, time, name, prune));
}

static void say_alive(struct peer *p, const char *name, uint8_t number, uint32_t incarnation)
{
    struct br_alive alive = peer_other(p, name, number, incarnation);
    peer_add_alive(p, &alive);
    assert_int_equal(peer_send(p), 0);
}

static void say_dead(struct peer *p, const char *name, uint32_t incarnation, const char *from)
{
    peer_dead(p, name, incarnation, from);
    assert_int_equal(peer_send(p), 0);
}

/* How many intents of this kind about `name` were just heard; the last one's time in *time. */
static size_t count_intents(struct peer *p, bool leaves, const char *name, uint64_t *time)
{
    size_t count = 0;
    size_t from = 0;
    const struct peer_leaf *leaf;
    while ((leaf = peer_next(p, BR_USER, &from)) != NULL) {
        struct bruit_bytes body = br_bytes(leaf->body.data + 1, leaf->body.size - 1);
        struct br_serf_join join;
        struct br_serf_leave leave;
        if (leaves && leaf->body.data[0] == BR_SERF_LEAVE && br_serf_leave_decode(&leave, body) == 0 &&
            br_bytes_equal(leave.node, world_bytes(name))) {
            *time = leave.ltime;
            count++;
        }
        if (!leaves && leaf->body.data[0] == BR_SERF_JOIN && br_serf_join_decode(&join, body) == 0 &&
            br_bytes_equal(join.node, world_bytes(name))) {
            *time = join.ltime;
            count++;
        }
    }
    return count;
}

/* The same over the next three seconds, in which the peer stays a healthy member. */
static size_t hear_intents(struct peer *p, bool leaves, const char *name, uint64_t *time)
{
    size_t count = 0;
    for (bruit_time end = p->world->now + 3 * S; p->world->now < end;) {
        peer_live(p, MS);
        count += count_intents(p, leaves, name, time);
    }
    return count;
}

/* A document as Serf writes it. */
struct document {
    uint64_t time;
    const char *left[4];
    const char *names[4];
    uint64_t times[4];
};

static struct bruit_bytes encode_document(uint8_t *buffer, size_t capacity, const struct document *d)
{
    struct br_writer w;
    uint32_t left = 0;
    uint32_t names = 0;
    while (left < 4 && d->left[left] != NULL)
        left++;
    while (names < 4 && d->names[names] != NULL)
        names++;
    br_writer_init(&w, buffer, capacity);
    br_serf_state_begin(&w);
    br_serf_state_write_key(&w, BR_SERF_STATE_EVENT_LTIME);
    br_mp_write_uint(&w, 1);
    br_serf_state_write_key(&w, BR_SERF_STATE_EVENTS);
    br_serf_state_write_no_events(&w);
    br_serf_state_write_key(&w, BR_SERF_STATE_LTIME);
    br_mp_write_uint(&w, d->time);
    br_serf_state_write_key(&w, BR_SERF_STATE_LEFT_MEMBERS);
    br_mp_write_array(&w, left);
    for (uint32_t i = 0; i < left; i++)
        br_mp_write_str(&w, world_bytes(d->left[i]));
    br_serf_state_write_key(&w, BR_SERF_STATE_QUERY_LTIME);
    br_mp_write_uint(&w, 1);
    br_serf_state_write_key(&w, BR_SERF_STATE_STATUS_LTIMES);
    br_mp_write_map(&w, names);
    for (uint32_t i = 0; i < names; i++) {
        br_mp_write_str(&w, world_bytes(d->names[i]));
        br_mp_write_uint(&w, d->times[i]);
    }
    assert_false(w.failed);
    return br_writer_bytes(&w);
}

static void sync_document(struct peer *p, const struct document *d, struct peer_answer *answer)
{
    uint8_t document[2048];
    uint8_t message[4096];
    struct br_entry self = peer_entry(p, p->name, 1, 1, BR_ENTRY_ALIVE);
    self.alive.addr = br_addr_ip(&p->addr);
    size_t size = peer_write_state(message, sizeof message, false, &self, 1,
                                   encode_document(document, sizeof document, d));
    memset(answer, 0, sizeof *answer);
    peer_ask(p, br_bytes(message, size), answer, NULL);
}

/* ---- clocks ---- */

/* A fresh member's clock stands at 1; its first successful join announces that 1 and moves it to 2. */
/* conformance: serf 9 */
static void test_the_clock_is_1_at_birth_and_2_after_the_first_join(void **state)
{
    (void)state;
    struct world *w = world_new(11);
    w->config.modules = modules;
    w->config.module_count = 1;
    for (int i = 0; i < 2; i++)
        assert_int_equal(world_start(w, world_add(w)), 0);
    assert_int_equal(clock_of(w, 0), 1);
    assert_int_equal(clock_of(w, 1), 1);
    assert_int_equal(world_join(w, 1, 0), 0);
    assert_true(world_wait_all_alive(w, 5 * S));
    assert_int_equal(clock_of(w, 1), 2);
    world_free(w);
}

/* Seeing the present moves the clock past it; seeing the past does not. */
/* conformance: serf 10 */
static void test_the_clock_moves_past_what_it_witnesses(void **state)
{
    (void)state;
    struct world *w = serf_world(12, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    say_join(p, 50, "stranger");
    assert_int_equal(clock_of(w, 0), 51);
    say_join(p, 50, "stranger");
    assert_int_equal(clock_of(w, 0), 51);
    say_join(p, 51, "stranger");
    assert_int_equal(clock_of(w, 0), 52);
    peer_free(p);
    world_free(w);
}

/* One forged message must not set everybody's clock back to 0: the largest time is not witnessed. */
static void test_the_largest_time_does_not_wrap_the_clock(void **state)
{
    (void)state;
    struct world *w = serf_world(13, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    say_join(p, UINT64_MAX, "stranger");
    assert_int_equal(clock_of(w, 0), 1);
    say_join(p, UINT64_MAX - 1, "stranger");
    assert_true(clock_of(w, 0) == UINT64_MAX);
    peer_free(p);
    world_free(w);
}

/* A sync shows the other side's clock as it stands: one less was used. 0 says nothing. */
/* conformance: serf 11 */
static void test_a_sync_witnesses_the_clock_less_one(void **state)
{
    (void)state;
    struct world *w = serf_world(14, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    struct peer_answer answer;
    sync_document(p, &(struct document){.time = 0}, &answer);
    assert_int_equal(clock_of(w, 0), 1);
    sync_document(p, &(struct document){.time = 40}, &answer);
    assert_int_equal(clock_of(w, 0), 40);
    sync_document(p, &(struct document){.time = 39}, &answer);
    assert_int_equal(clock_of(w, 0), 40);
    peer_free(p);
    world_free(w);
}

/* ---- leaving and failing ---- */

/* Two members go the same way on memberlist's wire; only one said so before. */
/* conformance: serf 12 */
static void test_only_an_announced_leave_is_a_leave(void **state)
{
    (void)state;
    struct world *w = serf_world(21, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    say_alive(p, "polite", 2, 1);
    say_alive(p, "rude", 3, 1);
    say_leave(p, 5, "polite", false);
    assert_int_equal(status_of(w, 0, "polite"), BRUIT_STATUS_LEAVING);
    say_dead(p, "polite", 1, "polite");
    say_dead(p, "rude", 1, "rude");
    assert_int_equal(status_of(w, 0, "polite"), BRUIT_STATUS_LEFT);
    assert_int_equal(status_of(w, 0, "rude"), BRUIT_STATUS_FAILED);
    world_settle(w, 0);
    assert_int_equal(events(w, 0, "polite", BRUIT_MEMBER_LEAVE), 1);
    assert_int_equal(events(w, 0, "rude", BRUIT_MEMBER_FAILED), 1);
    assert_true(world_expect_trace(w, 0, "EventMemberLeave: polite"));
    assert_true(world_expect_trace(w, 0, "EventMemberFailed: rude"));
    peer_free(p);
    world_free(w);
}

/* The whole of a leave, among five: everybody sees it as one. */
/* conformance: serf 12 */
static void test_a_member_that_leaves_is_left_to_everybody(void **state)
{
    (void)state;
    struct world *w = serf_world(22, 5);
    world_leave(w, 4, 5 * S);
    for (uint32_t a = 0; a < 4; a++) {
        assert_true(wait_status(w, a, "n4", BRUIT_STATUS_LEFT, 5 * S));
        assert_int_equal(events(w, a, "n4", BRUIT_MEMBER_FAILED), 0);
        assert_int_equal(events(w, a, "n4", BRUIT_MEMBER_LEAVE), 1);
    }
    world_run(w, S); /* they knew before all that it owed them was sent */
    const struct world_event *done = world_last_event(w, 4, BRUIT_EVENT_LEAVE_DONE);
    assert_non_null(done);
    assert_int_equal(done->error, 0);
    world_free(w);
}

/*
 * Nobody can be told, since there is no gossip and no probing: the intent is waited for until the broadcast timeout,
 * then the goodbye, and then it is over, one way or another.
 */
/* conformance: serf 63 */
static void test_a_leave_that_nobody_hears_takes_two_timeouts(void **state)
{
    (void)state;
    struct world *w = world_new(26);
    w->config.modules = modules;
    w->config.module_count = 1;
    w->config.gossip_interval = 0;
    w->config.probe_interval = 0;
    world_cluster(w, 2);
    assert_true(world_wait_all_alive(w, 5 * S));
    bruit_time asked = w->now;
    world_leave(w, 1, 5 * S);
    assert_int_equal(status_of(w, 1, "n1"), BRUIT_STATUS_LEAVING);
    world_run_until(w, asked + 10 * S - 1);
    assert_null(world_last_event(w, 1, BRUIT_EVENT_LEAVE_DONE));
    world_run_until(w, asked + 10 * S);
    assert_non_null(world_last_event(w, 1, BRUIT_EVENT_LEAVE_DONE));
    assert_int_equal(world_last_event(w, 1, BRUIT_EVENT_LEAVE_DONE)->error, BRUIT_ETIMEOUT);
    world_free(w);
}

/* The intent overtakes its member: when the member comes, it comes leaving, and is announced all the same. */
/* conformance: serf 13 */
static void test_an_early_leave_intent_awaits_its_member(void **state)
{
    (void)state;
    struct world *w = serf_world(23, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    say_leave(p, 7, "late", false);
    say_alive(p, "late", 2, 1);
    world_settle(w, 0);
    assert_int_equal(status_of(w, 0, "late"), BRUIT_STATUS_LEAVING);
    assert_int_equal(time_of(w, 0, "late"), 7);
    assert_int_equal(events(w, 0, "late", BRUIT_MEMBER_JOIN), 1);
    peer_free(p);
    world_free(w);
}

/* Of several intents the greatest counts; after five minutes none does. */
/* conformance: serf 14 */
static void test_the_newest_intent_is_kept_for_five_minutes(void **state)
{
    (void)state;
    struct world *w = serf_world(24, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    say_leave(p, 7, "kept", false);
    say_join(p, 9, "kept");
    say_leave(p, 8, "kept", false);
    say_leave(p, 7, "old", false);
    world_run(w, 299 * S);
    say_alive(p, "kept", 2, 1);
    assert_int_equal(status_of(w, 0, "kept"), BRUIT_STATUS_ALIVE);
    assert_int_equal(time_of(w, 0, "kept"), 9);
    world_run(w, 20 * S);
    say_alive(p, "old", 3, 1);
    assert_int_equal(status_of(w, 0, "old"), BRUIT_STATUS_ALIVE);
    assert_int_equal(time_of(w, 0, "old"), 0);
    peer_free(p);
    world_free(w);
}

/* A leaving member thinks better of it: a join intent of the same time is no news, one of a greater time is. */
/* conformance: serf 15 */
static void test_a_newer_join_intent_ends_leaving(void **state)
{
    (void)state;
    struct world *w = serf_world(25, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    say_alive(p, "fickle", 2, 1);
    say_leave(p, 7, "fickle", false);
    say_join(p, 7, "fickle");
    assert_int_equal(status_of(w, 0, "fickle"), BRUIT_STATUS_LEAVING);
    say_join(p, 8, "fickle");
    assert_int_equal(status_of(w, 0, "fickle"), BRUIT_STATUS_ALIVE);
    assert_int_equal(time_of(w, 0, "fickle"), 8);
    peer_free(p);
    world_free(w);
}

/* Somebody says that we leave; we do not. Our answer is a join intent with a greater time. */
/* conformance: serf 16 */
static void test_a_leave_intent_about_us_is_refuted(void **state)
{
    (void)state;
    struct world *w = serf_world(26, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    uint64_t time = 0;
    peer_alive(p, 1);
    assert_int_equal(peer_send(p), 0);
    say_leave(p, 30, "n0", false);
    assert_int_equal(status_of(w, 0, "n0"), BRUIT_STATUS_ALIVE);
    assert_true(hear_intents(p, false, "n0", &time) > 0);
    assert_true(time > 30);
    assert_int_equal(hear_intents(p, true, "n0", &time), 0);
    peer_free(p);
    world_free(w);
}

/* What was passed on once is old when it comes again, also about a member that has left by then. */
/* conformance: serf 17 */
static void test_an_intent_is_passed_on_once(void **state)
{
    (void)state;
    struct world *w = serf_world(27, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    uint64_t time = 0;
    peer_alive(p, 1);
    assert_int_equal(peer_send(p), 0);
    say_alive(p, "gone", 2, 1);
    say_leave(p, 7, "gone", false);
    assert_true(hear_intents(p, true, "gone", &time) > 0);
    say_leave(p, 7, "gone", false);
    assert_int_equal(hear_intents(p, true, "gone", &time), 0);
    say_dead(p, "gone", 1, "gone");
    say_leave(p, 8, "gone", false);
    assert_true(hear_intents(p, true, "gone", &time) > 0);
    say_leave(p, 8, "gone", false);
    assert_int_equal(hear_intents(p, true, "gone", &time), 0);
    peer_free(p);
    world_free(w);
}

/* ---- force-leave ---- */

/* A machine burnt down: its operator tells one member, and everybody takes it for left. */
/* conformance: serf 18 */
static void test_a_failed_member_can_be_forced_to_leave(void **state)
{
    (void)state;
    struct world *w = serf_world(31, 4);
    uint32_t request;
    world_kill(w, 3);
    for (uint32_t a = 0; a < 3; a++)
        assert_true(wait_status(w, a, "n3", BRUIT_STATUS_FAILED, 30 * S));
    assert_int_equal(bruit_force_leave(w->nodes[0].engine, world_bytes("n3"), false, &request, w->now), 0);
    world_settle(w, 0);
    for (uint32_t a = 0; a < 3; a++) {
        assert_true(wait_status(w, a, "n3", BRUIT_STATUS_LEFT, 5 * S));
        assert_int_equal(events(w, a, "n3", BRUIT_MEMBER_LEAVE), 1);
    }
    world_run(w, 6 * S);
    const struct world_event *done = world_last_event(w, 0, BRUIT_EVENT_FORCE_LEAVE);
    assert_non_null(done);
    assert_int_equal(done->request, request);
    assert_int_equal(done->error, 0);
    world_free(w);
}

/* The same with prune: it is gone from the roll. */
/* conformance: serf 18 */
static void test_prune_forgets_a_failed_member(void **state)
{
    (void)state;
    struct world *w = serf_world(32, 4);
    uint32_t request;
    world_kill(w, 3);
    for (uint32_t a = 0; a < 3; a++)
        assert_true(wait_status(w, a, "n3", BRUIT_STATUS_FAILED, 30 * S));
    assert_int_equal(bruit_force_leave(w->nodes[0].engine, world_bytes("n3"), true, &request, w->now), 0);
    world_settle(w, 0);
    for (uint32_t a = 0; a < 3; a++) {
        assert_true(wait_status(w, a, "n3", BRUIT_STATUS_NONE, 5 * S));
        assert_int_equal(events(w, a, "n3", BRUIT_MEMBER_REAP), 1);
    }
    world_free(w);
}

/* Nobody checks that the name exists: the news goes out, and the request succeeds. */
/* conformance: serf 19 */
static void test_forcing_a_stranger_to_leave_succeeds(void **state)
{
    (void)state;
    struct world *w = serf_world(33, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    uint32_t request;
    uint64_t time = 0;
    peer_alive(p, 1);
    assert_int_equal(peer_send(p), 0);
    assert_int_equal(bruit_force_leave(w->nodes[0].engine, world_bytes("nobody"), false, &request, w->now),
                     0);
    assert_true(hear_intents(p, true, "nobody", &time) > 0);
    const struct world_event *done = world_last_event(w, 0, BRUIT_EVENT_FORCE_LEAVE);
    assert_non_null(done);
    assert_int_equal(done->error, 0);
    peer_free(p);
    world_free(w);
}

/* A live member forced to leave says that it is here, and stays. */
static void test_a_live_member_refutes_being_forced_out(void **state)
{
    (void)state;
    struct world *w = serf_world(34, 3);
    uint32_t request;
    assert_int_equal(bruit_force_leave(w->nodes[0].engine, world_bytes("n2"), false, &request, w->now), 0);
    world_settle(w, 0);
    world_run(w, 5 * S);
    for (uint32_t a = 0; a < 3; a++)
        assert_int_equal(status_of(w, a, "n2"), BRUIT_STATUS_ALIVE);
    world_free(w);
}

/* Bad requests: an empty name, one that is too long, and more at once than are kept. */
static void test_force_leave_refuses_what_it_cannot_do(void **state)
{
    (void)state;
    struct world *w = serf_world(35, 2);
    char name[300];
    uint32_t request;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    struct bruit_engine *engine = w->nodes[0].engine;
    assert_int_equal(bruit_force_leave(engine, world_bytes(""), false, &request, w->now), BRUIT_EINVAL);
    assert_int_equal(bruit_force_leave(engine, world_bytes(name), false, &request, w->now), BRUIT_EINVAL);
    for (int i = 0; i < 16; i++)
        assert_int_equal(bruit_force_leave(engine, world_bytes("x"), false, &request, w->now), 0);
    assert_int_equal(bruit_force_leave(engine, world_bytes("x"), false, &request, w->now), BRUIT_EBUSY);
    world_free(w);
}

/* ---- returning, reaping, reconnecting ---- */

/* A failed member comes back under its name: alive, and nowhere counted as failed. */
/* conformance: serf 20 */
static void test_a_failed_member_that_returns_is_alive(void **state)
{
    (void)state;
    struct world *w = serf_world(41, 4);
    struct bruit_status_counts counts;
    world_kill(w, 3);
    for (uint32_t a = 0; a < 3; a++)
        assert_true(wait_status(w, a, "n3", BRUIT_STATUS_FAILED, 30 * S));
    bruit_status_counts(w->nodes[0].engine, &counts);
    assert_int_equal(counts.failed, 1);
    assert_int_equal(world_start(w, 3), 0);
    assert_int_equal(world_join(w, 3, 0), 0);
    for (uint32_t a = 0; a < 4; a++)
        assert_true(wait_status(w, a, "n3", BRUIT_STATUS_ALIVE, 10 * S));
    bruit_status_counts(w->nodes[0].engine, &counts);
    assert_int_equal(counts.failed, 0);
    assert_int_equal(counts.members, 4);
    assert_int_equal(events(w, 0, "n3", BRUIT_MEMBER_JOIN), 2);
    world_free(w);
}

/* Long after membership forgot a dead member Serf still shows it, with its address and metadata. */
static void test_the_roll_outlives_the_engine(void **state)
{
    (void)state;
    struct world *w = serf_world(42, 3);
    struct bruit_status_member member;
    world_kill(w, 2);
    world_run(w, 120 * S);
    assert_int_equal(bruit_member_find(w->nodes[0].engine, world_bytes("n2")), 0);
    assert_int_equal(bruit_status_find(w->nodes[0].engine, world_bytes("n2"), &member), 0);
    assert_int_equal(member.status, BRUIT_STATUS_FAILED);
    assert_memory_equal(member.addr.ip, w->nodes[2].addr.ip, 4);
    assert_int_equal(bruit_status_count(w->nodes[0].engine), 3);
    world_free(w);
}

/* Timeouts of a minute: a failed and a left member are gone at the first look after that, not before. */
/* conformance: serf 21 */
static void test_members_long_gone_are_reaped(void **state)
{
    (void)state;
    struct world *w = serf_world(43, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    struct bruit_status_options options;
    bruit_status_options_default(&options);
    options.reconnect_timeout = 60 * S;
    options.tombstone_timeout = 60 * S;
    options.reconnect_interval = 0;
    configure(w, 0, &options);
    say_alive(p, "left", 2, 1);
    say_alive(p, "failed", 3, 1);
    say_leave(p, 5, "left", false);
    say_dead(p, "left", 1, "left");
    say_dead(p, "failed", 1, "n0");
    world_run(w, 60 * S);
    assert_int_equal(status_of(w, 0, "left"), BRUIT_STATUS_LEFT);
    assert_int_equal(status_of(w, 0, "failed"), BRUIT_STATUS_FAILED);
    world_run(w, 16 * S);
    assert_int_equal(status_of(w, 0, "left"), BRUIT_STATUS_NONE);
    assert_int_equal(status_of(w, 0, "failed"), BRUIT_STATUS_NONE);
    assert_int_equal(events(w, 0, "left", BRUIT_MEMBER_REAP), 1);
    assert_int_equal(events(w, 0, "failed", BRUIT_MEMBER_REAP), 1);
    assert_true(world_expect_trace(w, 0, "EventMemberReap: failed"));
    peer_free(p);
    world_free(w);
}

/*
 * One failed among five: each of the other four tries with a probability of a quarter every 30 s, so in 200 s some
 * 6.7 tries are to be expected of four members in all, and in 25 runs some 167. Three standard deviations are 35.
 */
/* conformance: serf 22 */
static void test_failed_members_are_tried_again_now_and_then(void **state)
{
    (void)state;
    size_t tries = 0;
    for (uint64_t seed = 100; seed < 125; seed++) {
        struct world *w = serf_world(seed, 5);
        world_kill(w, 4);
        for (uint32_t a = 0; a < 4; a++)
            assert_true(wait_status(w, a, "n4", BRUIT_STATUS_FAILED, 30 * S));
        world_run(w, 201 * S);
        for (uint32_t a = 0; a < 4; a++)
            tries += world_traced(w, a, "attempting reconnect to n4");
        world_free(w);
    }
    if (tries < 115 || tries > 200)
        print_message("%zu tries in seeds 100 to 124\n", tries);
    assert_in_range(tries, 115, 200);
}

/* A network in two halves for five minutes: membership forgot the other half, reconnecting finds it again. */
static void test_halves_find_each_other_after_a_long_cut(void **state)
{
    (void)state;
    struct world *w = serf_world(44, 6);
    world_partition(w, 3, true);
    world_run(w, 300 * S);
    assert_int_equal(world_state(w, 0, 5), WORLD_UNKNOWN);
    world_partition(w, 3, false);
    assert_true(world_wait_all_alive(w, 120 * S));
    for (uint32_t a = 0; a < 6; a++)
        for (uint32_t b = 0; b < 6; b++)
            assert_int_equal(status_of(w, a, w->nodes[b].name), BRUIT_STATUS_ALIVE);
    world_free(w);
}

/* ---- push/pull ---- */

/* What we tell in a sync: our clock, our left members, everybody's times, and 512 event slots that are empty. */
/* conformance: serf 23 */
static void test_the_document_says_what_stands_on_the_roll(void **state)
{
    (void)state;
    struct world *w = serf_world(51, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    struct peer_answer answer;
    struct br_serf_state said;
    struct br_serf_slot slot;
    struct bruit_bytes name;
    say_alive(p, "left", 2, 1);
    say_leave(p, 5, "left", false);
    say_dead(p, "left", 1, "left");
    sync_document(p, &(struct document){.time = 1}, &answer);
    assert_int_equal(answer.state.data[0], BR_SERF_PUSHPULL);
    assert_int_equal(br_serf_state_decode(&said, br_bytes(answer.state.data + 1, answer.state.size - 1)), 0);
    assert_int_equal(said.ltime, 6);
    assert_int_equal(said.event_ltime, 1);
    assert_int_equal(said.query_ltime, 1);
    assert_int_equal(said.events.count, BR_SERF_EVENT_SLOTS);
    assert_false(br_serf_next_slot(&said.events, &slot));
    assert_int_equal(said.left_members.count, 1);
    assert_true(br_serf_next_name(&said.left_members, &name));
    assert_true(br_bytes_equal(name, world_bytes("left")));
    assert_int_equal(said.status_ltimes.count, 2);
    peer_free(p);
    world_free(w);
}

/* We missed the goodbye and took the member for failed: a sync with somebody who heard it puts that right. */
/* conformance: serf 24 */
static void test_a_sync_turns_failed_into_left(void **state)
{
    (void)state;
    struct world *w = serf_world(52, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    struct peer_answer answer;
    say_alive(p, "gone", 2, 1);
    say_dead(p, "gone", 1, "n0");
    assert_int_equal(status_of(w, 0, "gone"), BRUIT_STATUS_FAILED);
    sync_document(p, &(struct document){.time = 9, .left = {"gone"}, .names = {"gone"}, .times = {4}},
                  &answer);
    assert_int_equal(status_of(w, 0, "gone"), BRUIT_STATUS_LEFT);
    assert_int_equal(time_of(w, 0, "gone"), 5);
    assert_int_equal(events(w, 0, "gone", BRUIT_MEMBER_LEAVE), 1);
    peer_free(p);
    world_free(w);
}

/*
 * A member left and came back; the peer has not heard of its return and still lists it as left, with a time that has
 * crept past that of its join intent. It is alive, and stays so.
 */
static void test_a_stale_left_list_moves_nobody_who_has_returned(void **state)
{
    (void)state;
    struct world *w = serf_world(54, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    struct peer_answer answer;
    say_alive(p, "back", 2, 3);
    say_join(p, 8, "back");
    sync_document(p, &(struct document){.time = 19, .left = {"back"}, .names = {"back"}, .times = {12}},
                  &answer);
    assert_int_equal(status_of(w, 0, "back"), BRUIT_STATUS_ALIVE);
    assert_int_equal(time_of(w, 0, "back"), 8);
    assert_int_equal(clock_of(w, 0), 19);
    peer_free(p);
    world_free(w);
}

/*
 * In an earlier life we said goodbye with time 30 and were killed; we came back through somebody who had not heard
 * it. A peer who had, and never saw us gone, calls us leaving with 30. Its sync shows us that time, and we announce
 * our join with a later one: once, since ours is then the newest.
 */
static void test_a_newer_time_of_ourselves_is_answered_with_a_join(void **state)
{
    (void)state;
    struct world *w = serf_world(55, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    struct peer_answer answer;
    uint64_t time = 0;
    peer_alive(p, 1);
    assert_int_equal(peer_send(p), 0);
    sync_document(p, &(struct document){.time = 9, .names = {"n0"}, .times = {30}}, &answer);
    assert_true(hear_intents(p, false, "n0", &time) > 0);
    assert_true(time > 30);
    assert_int_equal(time_of(w, 0, "n0"), time);
    assert_int_equal(status_of(w, 0, "n0"), BRUIT_STATUS_ALIVE);
    sync_document(p, &(struct document){.time = 9, .names = {"n0"}, .times = {time}}, &answer);
    assert_int_equal(hear_intents(p, false, "n0", &time), 0);
    peer_free(p);
    world_free(w);
}

/* Left names that we do not know, with a time and without, wait as leave intents; others as joins. */
static void test_a_sync_leaves_intents_about_strangers(void **state)
{
    (void)state;
    struct world *w = serf_world(53, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    struct peer_answer answer;
    struct document d = {.time = 9, .left = {"a", "b"}, .names = {"a", "c"}, .times = {4, 6}};
    sync_document(p, &d, &answer);
    say_alive(p, "a", 2, 1);
    say_alive(p, "b", 3, 1);
    say_alive(p, "c", 4, 1);
    assert_int_equal(status_of(w, 0, "a"), BRUIT_STATUS_LEAVING);
    assert_int_equal(time_of(w, 0, "a"), 5);
    assert_int_equal(status_of(w, 0, "b"), BRUIT_STATUS_LEAVING);
    assert_int_equal(time_of(w, 0, "b"), 1);
    assert_int_equal(status_of(w, 0, "c"), BRUIT_STATUS_ALIVE);
    assert_int_equal(time_of(w, 0, "c"), 6);
    peer_free(p);
    world_free(w);
}

/* ---- bad input ---- */

/* Intents cut short, of a wrong shape, or without a name: no status, no clock and no memory changes. */
/* conformance: serf 7 */
static void test_broken_intents_change_nothing(void **state)
{
    (void)state;
    struct world *w = serf_world(61, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    uint8_t buffer[256];
    struct bruit_bytes whole = leave_intent(buffer, 30, "n0", true);
    world_run(w, 5 * S);
    uint64_t memory = world_stats(w, 0).memory;
    for (size_t size = 1; size < whole.size; size++)
        say(p, br_bytes(whole.data, size));
    say(p, br_bytes("\x08\x01\xc3", 3));
    say(p, br_bytes("\x08\x00\x93\x01\x02\x03", 6));
    say_leave(p, 0, "", false);
    assert_int_equal(status_of(w, 0, "n0"), BRUIT_STATUS_ALIVE);
    assert_int_equal(clock_of(w, 0), 1);
    assert_int_equal(world_stats(w, 0).memory, memory);
    peer_free(p);
    world_free(w);
}

/* A million strangers announce themselves: the table of intents stops at its bound, and empties again. */
static void test_intents_are_bounded(void **state)
{
    (void)state;
    struct world *w = serf_world(62, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    uint64_t before = world_stats(w, 0).memory;
    for (int i = 0; i < 20000; i++) {
        char name[32];
        snprintf(name, sizeof name, "stranger-%d", i);
        say_join(p, 2, name);
    }
    uint64_t full = world_stats(w, 0).memory - before;
    for (int i = 20000; i < 40000; i++) {
        char name[32];
        snprintf(name, sizeof name, "stranger-%d", i);
        say_join(p, 2, name);
    }
    assert_true(world_stats(w, 0).memory - before <= full + 65536);
    peer_free(p);
    world_free(w);
}

/* An engine without the module: the functions say so, nothing else. */
static void test_without_the_module_there_is_no_status(void **state)
{
    (void)state;
    struct world *w = world_new(63);
    world_cluster(w, 1);
    struct bruit_status_member member;
    struct bruit_status_counts counts;
    size_t position = 0;
    uint32_t request;
    struct bruit_engine *engine = w->nodes[0].engine;
    assert_int_equal(bruit_status_find(engine, world_bytes("n0"), &member), BRUIT_ENOENT);
    assert_int_equal(bruit_status_count(engine), 0);
    assert_false(bruit_status_next(engine, &position, &member));
    bruit_status_counts(engine, &counts);
    assert_int_equal(counts.members, 0);
    assert_int_equal(bruit_force_leave(engine, world_bytes("x"), false, &request, w->now), BRUIT_ENOENT);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_clock_is_1_at_birth_and_2_after_the_first_join),
        cmocka_unit_test(test_the_clock_moves_past_what_it_witnesses),
        cmocka_unit_test(test_the_largest_time_does_not_wrap_the_clock),
        cmocka_unit_test(test_a_sync_witnesses_the_clock_less_one),
        cmocka_unit_test(test_only_an_announced_leave_is_a_leave),
        cmocka_unit_test(test_a_member_that_leaves_is_left_to_everybody),
        cmocka_unit_test(test_a_leave_that_nobody_hears_takes_two_timeouts),
        cmocka_unit_test(test_an_early_leave_intent_awaits_its_member),
        cmocka_unit_test(test_the_newest_intent_is_kept_for_five_minutes),
        cmocka_unit_test(test_a_newer_join_intent_ends_leaving),
        cmocka_unit_test(test_a_leave_intent_about_us_is_refuted),
        cmocka_unit_test(test_an_intent_is_passed_on_once),
        cmocka_unit_test(test_a_failed_member_can_be_forced_to_leave),
        cmocka_unit_test(test_prune_forgets_a_failed_member),
        cmocka_unit_test(test_forcing_a_stranger_to_leave_succeeds),
        cmocka_unit_test(test_a_live_member_refutes_being_forced_out),
        cmocka_unit_test(test_force_leave_refuses_what_it_cannot_do),
        cmocka_unit_test(test_a_failed_member_that_returns_is_alive),
        cmocka_unit_test(test_the_roll_outlives_the_engine),
        cmocka_unit_test(test_members_long_gone_are_reaped),
        cmocka_unit_test(test_failed_members_are_tried_again_now_and_then),
        cmocka_unit_test(test_halves_find_each_other_after_a_long_cut),
        cmocka_unit_test(test_the_document_says_what_stands_on_the_roll),
        cmocka_unit_test(test_a_sync_turns_failed_into_left),
        cmocka_unit_test(test_a_stale_left_list_moves_nobody_who_has_returned),
        cmocka_unit_test(test_a_newer_time_of_ourselves_is_answered_with_a_join),
        cmocka_unit_test(test_a_sync_leaves_intents_about_strangers),
        cmocka_unit_test(test_broken_intents_change_nothing),
        cmocka_unit_test(test_intents_are_bounded),
        cmocka_unit_test(test_without_the_module_there_is_no_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
