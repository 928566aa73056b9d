/*
 * Queries: asked once, answered by those they are meant for, until their deadline (docs/wire/serf.md, 7.2 to 8.1).
 *
 * A small cluster of members with the query module, and a testing peer who says what a Serf agent could say.
 */
#include "codec/addr.h"
#include "codec/serf.h"
#include "support/peer.h"

#include <bruit/conflict.h>
#include <bruit/event.h>
#include <bruit/query.h>
#include <bruit/status.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S BRUIT_SECOND
#define MS BRUIT_MILLISECOND

static const struct bruit_module *const modules[] = {&bruit_query_module, &bruit_conflict_module};

/* ---- what members were told ---- */

struct asked {
    uint32_t node;
    uint64_t handle;
    char name[32];
    char payload[32];
    char source[32];
    bool is_internal;
    bruit_time deadline;
};

struct answer {
    uint32_t node;
    uint32_t request;
    char from[32];
    char payload[32];
    bool is_ack;
};

struct done {
    uint32_t node;
    uint32_t request;
    struct bruit_query_done done;
    bruit_time at;
};

static struct asked asked[1024];
static struct answer answers[4096];
static struct done dones[64];
static size_t asked_count, answer_count, done_count;
static const char *reply; /* what everybody responds, or NULL */

static void copy(char *out, size_t size, struct bruit_bytes text)
{
    snprintf(out, size, "%.*s", (int)text.size, text.size == 0 ? "" : (const char *)text.data);
}

static void hears_query(struct world *w, uint32_t node, const struct bruit_query *query)
{
    struct asked *a = &asked[asked_count++];
    *a = (struct asked){.node = node,
                        .handle = query->handle,
                        .is_internal = query->is_internal,
                        .deadline = query->deadline};
    copy(a->name, sizeof a->name, query->name);
    copy(a->payload, sizeof a->payload, query->payload);
    copy(a->source, sizeof a->source, query->source);
    if (reply != NULL && !query->is_internal)
        (void)bruit_query_respond(w->nodes[node].engine, query->handle, world_bytes(reply), w->now);
}

static void hears(struct world *w, uint32_t node, const struct bruit_event *event)
{
    struct bruit_query query;
    struct bruit_query_answer answer;
    struct bruit_query_done done;
    if (bruit_query_read(event, &query) == 0) {
        hears_query(w, node, &query);
    } else if (bruit_query_answer_read(event, &answer) == 0) {
        struct answer *a = &answers[answer_count++];
        *a = (struct answer){.node = node, .request = event->request, .is_ack = answer.is_ack};
        assert_int_equal(event->type, answer.is_ack ? BRUIT_EVENT_QUERY_ACK : BRUIT_EVENT_QUERY_RESPONSE);
        copy(a->from, sizeof a->from, answer.from);
        copy(a->payload, sizeof a->payload, answer.payload);
    } else if (bruit_query_done_read(event, &done) == 0) {
        dones[done_count++] = (struct done){node, event->request, done, w->now};
    }
}

static struct world *new_world(uint64_t seed)
{
    struct world *w = world_new(seed);
    asked_count = answer_count = done_count = 0;
    reply = NULL;
    w->hears = hears;
    w->config.modules = modules;
    w->config.module_count = 2;
    return w;
}

static struct world *query_world(uint64_t seed, uint32_t count)
{
    struct world *w = new_world(seed);
    world_cluster(w, count);
    assert_true(world_wait_all_alive(w, 5 * S));
    return w;
}

static size_t times_asked(uint32_t node, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < asked_count; i++)
        count += asked[i].node == node && strcmp(asked[i].name, name) == 0;
    return count;
}

static size_t answers_of(const char *from, bool is_ack)
{
    size_t count = 0;
    for (size_t i = 0; i < answer_count; i++)
        count += answers[i].is_ack == is_ack && (from == NULL || strcmp(answers[i].from, from) == 0);
    return count;
}

static uint32_t start(struct world *w, uint32_t node, struct bruit_query_params params)
{
    uint32_t request = 0;
    params.struct_size = sizeof params;
    assert_int_equal(bruit_query_start(w->nodes[node].engine, &params, &request, w->now), 0);
    world_settle(w, node);
    return request;
}

static int try(struct world *w, const struct bruit_query_params *params)
{
    uint32_t request = 0;
    int status = bruit_query_start(w->nodes[0].engine, params, &request, w->now);
    world_settle(w, 0);
    return status;
}

/* ---- what the peer says and hears ---- */

static const struct br_serf_query plain = {.ltime = 5, .id = 77, .timeout_ns = 3200000000, .port = 7946};

static void say_query(struct peer *p, struct br_serf_query query, const char *name)
{
    static uint8_t buffer[4096];
    struct br_writer w;
    br_writer_init(&w, buffer, sizeof buffer);
    br_write_u8(&w, BR_USER);
    query.name = world_bytes(name);
    query.source_node = world_bytes(p->name);
    if (query.addr.size == 0)
        query.addr = br_addr_ip(&p->addr);
    br_serf_query_encode(&w, &query);
    assert_false(w.failed);
    peer_raw(p, br_writer_bytes(&w));
    assert_int_equal(peer_send(p), 0);
    world_settle(p->world, p->node);
}

static void say_response(struct peer *p, uint64_t ltime, uint32_t id, const char *from, uint32_t flags,
                         const char *payload)
{
    uint8_t buffer[512];
    struct br_writer w;
    br_writer_init(&w, buffer, sizeof buffer);
    br_write_u8(&w, BR_USER);
    br_serf_response_encode(&w, &(struct br_serf_response){.ltime = ltime,
                                                           .id = id,
                                                           .from = world_bytes(from),
                                                           .flags = flags,
                                                           .payload = world_bytes(payload)});
    peer_raw(p, br_writer_bytes(&w));
    assert_int_equal(peer_send(p), 0);
    world_settle(p->world, p->node);
}

/* Answers that the peer was just sent: how many with these flags, the last in *out. */
static size_t hear_answers(struct peer *p, uint32_t flags, struct br_serf_response *out)
{
    size_t count = 0, from = 0;
    const struct peer_leaf *leaf;
    peer_hear(p);
    while ((leaf = peer_next(p, BR_USER, &from)) != NULL) {
        struct br_serf_response response;
        if (leaf->body.data[0] != BR_SERF_QUERY_RESPONSE ||
            br_serf_response_decode(&response, br_bytes(leaf->body.data + 1, leaf->body.size - 1)) != 0 ||
            response.flags != flags)
            continue;
        *out = response;
        count++;
    }
    return count;
}

/* Copies of messages of one type that gossip brings the peer within a second. */
static size_t hear_gossip(struct peer *p, uint8_t type)
{
    size_t count = 0;
    for (bruit_time end = p->world->now + S; p->world->now < end;) {
        size_t from = 0;
        const struct peer_leaf *leaf;
        peer_live(p, MS);
        while ((leaf = peer_next(p, BR_USER, &from)) != NULL)
            count += leaf->body.data[0] == type;
    }
    return count;
}

static struct peer *member_peer(struct world *w)
{
    struct peer *p = peer_new(w, 0, "peer", 1);
    peer_alive(p, 1);
    assert_int_equal(peer_send(p), 0);
    return p;
}

/* ---- asking ---- */

/* Eight members; one asks with acks. Everybody is asked once, acknowledges and responds once; then it is over. */
static void test_a_query_is_answered_by_everybody(void **state)
{
    (void)state;
    struct world *w = query_world(1, 8);
    reply = "fine";
    bruit_time begin = w->now;
    uint32_t request = start(w, 2,
                             (struct bruit_query_params){
                                 .name = world_bytes("how"), .payload = world_bytes("are you"), .ack = true});
    world_run(w, 4 * S);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(times_asked(i, "how"), 1);
        assert_int_equal(answers_of(w->nodes[i].name, true), 1);
        assert_int_equal(answers_of(w->nodes[i].name, false), 1);
    }
    assert_string_equal(asked[0].payload, "are you");
    assert_string_equal(asked[0].source, "n2");
    assert_int_equal(done_count, 1);
    assert_int_equal(dones[0].request, request);
    assert_int_equal(dones[0].done.acks, 8);
    assert_int_equal(dones[0].done.responses, 8);
    assert_int_equal(dones[0].done.expected, 8);
    assert_false(dones[0].done.is_early);
    assert_int_equal(dones[0].at - begin, 3200 * MS);
    world_free(w);
}

/* 200 ms of gossip, 16, and the logarithm of the members: 3.2 s up to 9, 6.4 s from 10 on. */
/* conformance: serf 31 */
static void test_the_default_timeout(void **state)
{
    (void)state;
    struct world *w = query_world(2, 9);
    assert_int_equal(bruit_query_default_timeout(w->nodes[0].engine), 3200 * MS);
    assert_int_equal(world_start(w, world_add(w)), 0);
    assert_int_equal(bruit_query_default_timeout(w->nodes[9].engine), 3200 * MS);
    assert_int_equal(world_join(w, 9, 0), 0);
    assert_true(world_wait_all_alive(w, 5 * S));
    assert_int_equal(bruit_query_default_timeout(w->nodes[0].engine), 6400 * MS);
    world_free(w);
}

/* Whoever asks for it need not wait for the timeout: the query ends when the last answer is in. */
static void test_ends_early_when_everybody_answered(void **state)
{
    (void)state;
    struct world *w = query_world(3, 8);
    reply = "yes";
    start(w, 0, (struct bruit_query_params){.name = world_bytes("q"), .until = BRUIT_QUERY_UNTIL_RESPONDED});
    world_run(w, S);
    assert_int_equal(done_count, 1);
    assert_true(dones[0].done.is_early);
    assert_int_equal(dones[0].done.responses, 8);
    start(w, 0,
          (struct bruit_query_params){
              .name = world_bytes("_serf_ping"), .ack = true, .until = BRUIT_QUERY_UNTIL_ACKED});
    world_run(w, S);
    assert_int_equal(done_count, 2);
    assert_int_equal(dones[1].done.acks, 8);
    assert_int_equal(dones[1].done.responses, 0);
    world_free(w);
}

/* Who dies while the query runs is not waited for, nor is anybody whom the filters keep out. */
static void test_ends_early_without_the_dead_and_the_filtered(void **state)
{
    (void)state;
    struct world *w = query_world(4, 4);
    struct bruit_bytes nodes[] = {world_bytes("n1"), world_bytes("n2")};
    reply = "yes";
    world_kill(w, 2);
    start(w, 0,
          (struct bruit_query_params){.name = world_bytes("q"),
                                      .nodes = nodes,
                                      .node_count = 2,
                                      .timeout = 600 * S,
                                      .until = BRUIT_QUERY_UNTIL_RESPONDED});
    world_run(w, S);
    assert_int_equal(answer_count, 1);
    assert_int_equal(done_count, 0);
    assert_true(world_wait_state(w, 0, 2, BRUIT_DEAD, 30 * S));
    world_run(w, 10 * MS);
    assert_int_equal(done_count, 1);
    assert_true(dones[0].done.is_early);
    assert_int_equal(dones[0].done.expected, 2);
    world_free(w);
}

/* A query for nobody is over at once. A query may be stopped. */
static void test_a_query_for_nobody_and_one_that_is_stopped(void **state)
{
    (void)state;
    struct world *w = query_world(5, 2);
    struct bruit_bytes nodes[] = {world_bytes("nobody")};
    start(
        w, 0,
        (struct bruit_query_params){
            .name = world_bytes("q"), .nodes = nodes, .node_count = 1, .until = BRUIT_QUERY_UNTIL_RESPONDED});
    world_run(w, MS);
    assert_int_equal(done_count, 1);
    uint32_t request = start(w, 0, (struct bruit_query_params){.name = world_bytes("q")});
    assert_int_equal(bruit_query_stop(w->nodes[0].engine, request, w->now), 0);
    assert_int_equal(bruit_query_stop(w->nodes[0].engine, request + 1, w->now), BRUIT_ENOENT);
    world_run(w, MS);
    assert_int_equal(done_count, 2);
    assert_true(dones[1].done.is_early);
    world_free(w);
}

/* 1,024 bytes are the limit of the whole message; one more is refused with Serf's sentence, and nothing happened. */
static void test_the_size_limit_of_queries(void **state)
{
    (void)state;
    static uint8_t payload[1024];
    char text[64];
    struct world *w = query_world(6, 1);
    struct bruit_query_params params = {.struct_size = sizeof params, .name = world_bytes("q")};
    size_t size = 800;
    for (params.payload = br_bytes(payload, size); try(w, &params) == 0; params.payload.size = ++size)
        ;
    assert_int_equal(try(w, &params), BRUIT_ETOOBIG);
    bruit_query_start_text(w->nodes[0].engine, BRUIT_ETOOBIG, text, sizeof text);
    assert_string_equal(text, "query exceeds limit of 1024 bytes");
    /* type 1, map 1, keys 71, Addr 5, Filters 1, Flags 1, ID 5, LTime 2, Name 2, Port 3, RelayFactor 1,
     * SourceNode 3, Timeout 5, header of Payload 3: the ID is the only one whose size is random. */
    assert_in_range(size - 1, 915, 915);
    world_free(w);
}

/* A program was compiled with the header of another version: its structs are refused, not misread. */
static void test_structs_of_another_size_are_refused(void **state)
{
    static const struct bruit_module *const all[] = {&bruit_query_module, &bruit_event_module,
                                                     &bruit_status_module};
    struct world *w = new_world(6);
    w->config.modules = all;
    w->config.module_count = 3;
    world_cluster(w, 1);
    struct bruit_engine *engine = w->nodes[0].engine;
    struct bruit_query_params params = {.struct_size = sizeof params - 8, .name = world_bytes("q")};
    struct bruit_query_options options;
    struct bruit_event_options events;
    struct bruit_status_options status;
    (void)state;
    assert_int_equal(try(w, &params), BRUIT_EINVAL);
    bruit_query_options_default(&options);
    options.struct_size += 8;
    assert_int_equal(bruit_query_configure(engine, &options), BRUIT_EINVAL);
    bruit_event_options_default(&events);
    events.struct_size += 8;
    assert_int_equal(bruit_event_configure(engine, &events), BRUIT_EINVAL);
    bruit_status_options_default(&status);
    status.struct_size += 8;
    assert_int_equal(bruit_status_configure(engine, &status), BRUIT_EINVAL);
    world_free(w);
}

/* Below Serf's protocol 4 nobody may ask; answering works. */
/* conformance: serf 42 */
static void test_asking_needs_protocol_4(void **state)
{
    (void)state;
    char text[64];
    struct br_serf_response ack;
    struct world *w = new_world(7);
    w->config.delegate_min = 2;
    w->config.delegate_current = 3;
    world_cluster(w, 1);
    struct bruit_query_params params = {.struct_size = sizeof params, .name = world_bytes("q")};
    assert_int_equal(try(w, &params), BRUIT_ENOSYS);
    bruit_query_start_text(w->nodes[0].engine, BRUIT_ENOSYS, text, sizeof text);
    assert_string_equal(text, "Feature not supported");
    struct peer *p = peer_new(w, 0, "peer", 1);
    struct br_serf_query query = plain;
    query.flags = BR_SERF_QUERY_ACK;
    say_query(p, query, "q");
    assert_int_equal(hear_answers(p, BR_SERF_RESPONSE_ACK, &ack), 1);
    peer_free(p);
    world_free(w);
}

/* 256 queries may run at once: the next is refused until one is over. */
static void test_running_queries_are_bounded(void **state)
{
    (void)state;
    struct world *w = query_world(8, 1);
    struct bruit_query_options options;
    bruit_query_options_default(&options);
    options.running_max = 3;
    assert_int_equal(bruit_query_configure(w->nodes[0].engine, &options), 0);
    struct bruit_query_params params = {.struct_size = sizeof params, .name = world_bytes("q")};
    for (int i = 0; i < 3; i++)
        assert_int_equal(try(w, &params), 0);
    assert_int_equal(try(w, &params), BRUIT_EBUSY);
    world_run(w, 4 * S);
    assert_int_equal(try(w, &params), 0);
    world_free(w);
}

/* ---- being asked ---- */

/* An ack goes to Addr:Port as type 5 with flags 1 and no payload, at once; a copy of the query is not acked again. */
/* conformance: serf 35, 36 */
static void test_acks_once_to_the_address_in_the_query(void **state)
{
    (void)state;
    struct br_serf_response ack;
    struct world *w = query_world(9, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    struct br_serf_query query = plain;
    query.flags = BR_SERF_QUERY_ACK;
    say_query(p, query, "q");
    assert_int_equal(hear_answers(p, BR_SERF_RESPONSE_ACK, &ack), 1);
    assert_int_equal(ack.ltime, 5);
    assert_int_equal(ack.id, 77);
    assert_true(br_bytes_equal(ack.from, world_bytes("n0")));
    assert_int_equal(ack.payload.size, 0);
    assert_int_equal(bruit_query_time(w->nodes[0].engine), 6);
    say_query(p, query, "q");
    assert_int_equal(hear_answers(p, BR_SERF_RESPONSE_ACK, &ack), 0);
    query.id = 78;
    say_query(p, query, "q");
    assert_int_equal(hear_answers(p, BR_SERF_RESPONSE_ACK, &ack), 1);
    assert_int_equal(times_asked(0, "q"), 2);
    peer_free(p);
    world_free(w);
}

/* Older than the ring of 512: dropped with Serf's warning. */
static void test_old_queries_are_dropped(void **state)
{
    (void)state;
    struct world *w = query_world(10, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    struct br_serf_query query = plain;
    query.ltime = 700;
    say_query(p, query, "now");
    query.ltime = 189;
    say_query(p, query, "edge");
    query.ltime = 188;
    say_query(p, query, "past");
    assert_int_equal(times_asked(0, "edge"), 1);
    assert_int_equal(times_asked(0, "past"), 0);
    assert_true(world_expect_trace(w, 0, "received old query past from time 188 (current: 701)"));
    bruit_query_ignore_before(w->nodes[0].engine, 702);
    query.ltime = 701;
    say_query(p, query, "ignored");
    assert_int_equal(times_asked(0, "ignored"), 0);
    peer_free(p);
    world_free(w);
}

/* Flag bit 1: answered, but not passed on; without it, passed on by gossip. */
/* conformance: serf 34 */
static void test_the_flag_against_passing_on(void **state)
{
    (void)state;
    struct br_serf_response ack;
    struct world *w = query_world(11, 1);
    struct peer *p = member_peer(w);
    struct br_serf_query query = plain;
    query.flags = BR_SERF_QUERY_ACK | BR_SERF_QUERY_NO_BROADCAST;
    say_query(p, query, "q");
    assert_int_equal(hear_answers(p, BR_SERF_RESPONSE_ACK, &ack), 1);
    assert_int_equal(hear_gossip(p, BR_SERF_QUERY), 0);
    query.flags = 0;
    query.id++;
    say_query(p, query, "q");
    assert_true(hear_gossip(p, BR_SERF_QUERY) > 0);
    peer_free(p);
    world_free(w);
}

/* ---- filters ---- */

static const struct bruit_tag_filter no_tag = {0};

/* A cluster whose members have a tag `role`: web1, web2, db. */
static struct world *tagged_world(uint64_t seed)
{
    static const char *const roles[] = {"web1", "web2", "db"};
    static uint8_t metas[3][64];
    struct world *w = new_world(seed);
    for (uint32_t i = 0; i < 3; i++) {
        struct br_writer m;
        struct br_serf_tag tag = {world_bytes("role"), world_bytes(roles[i])};
        uint32_t node = world_add(w);
        br_writer_init(&m, metas[i], sizeof metas[i]);
        assert_int_equal(br_serf_tags_encode(&m, &tag, 1), 0);
        w->nodes[node].config.meta = br_writer_bytes(&m);
        assert_int_equal(world_start(w, node), 0);
        if (i > 0)
            assert_int_equal(world_join(w, node, 0), 0);
    }
    assert_true(world_wait_all_alive(w, 5 * S));
    return w;
}

/* Who of the three is asked, as bits, when a query has these filters. */
static unsigned asked_with(struct world *w, const char *node, struct bruit_tag_filter tag)
{
    struct bruit_bytes name = world_bytes(node == NULL ? "" : node);
    unsigned who = 0;
    asked_count = 0;
    start(w, 0,
          (struct bruit_query_params){.name = world_bytes("q"),
                                      .nodes = &name,
                                      .node_count = node != NULL,
                                      .tags = &tag,
                                      .tag_count = tag.expr.data != NULL,
                                      .timeout = 100 * MS});
    world_run(w, S);
    for (size_t i = 0; i < asked_count; i++)
        who |= 1u << asked[i].node;
    return who;
}

static struct bruit_tag_filter by_tag(const char *tag, const char *expr)
{
    return (struct bruit_tag_filter){world_bytes(tag), world_bytes(expr)};
}

/* By name, by tag (found anywhere in the value), by both; a tag that is missing is empty. */
/* conformance: serf 32 */
static void test_filters_let_through_whom_they_name(void **state)
{
    (void)state;
    struct world *w = tagged_world(12);
    assert_int_equal(asked_with(w, NULL, no_tag), 7);
    assert_int_equal(asked_with(w, "n1", no_tag), 2);
    assert_int_equal(asked_with(w, "N1", no_tag), 0);
    assert_int_equal(asked_with(w, NULL, by_tag("role", "eb")), 3);
    assert_int_equal(asked_with(w, NULL, by_tag("role", "^web[2-9]$")), 2);
    assert_int_equal(asked_with(w, NULL, by_tag("role", "(?i)WEB|^db$")), 7);
    assert_int_equal(asked_with(w, "n1", by_tag("role", "db")), 0);
    assert_int_equal(asked_with(w, "n2", by_tag("role", "db")), 4);
    assert_int_equal(asked_with(w, NULL, by_tag("zone", "^$")), 7);
    assert_int_equal(asked_with(w, NULL, by_tag("zone", "x")), 0);
    assert_int_equal(asked_with(w, NULL, by_tag("role", "(web")), 0); /* no expression at all */
    assert_int_equal(asked_with(w, NULL, by_tag("role", "(a)\\1")), 0);
    assert_true(
        world_expect_trace(w, 1, "A filter of the query q lets nobody through: its expression is none"));
    world_free(w);
}

/* An element of Filters, raw, in a query of the peer's. */
static size_t acks_with_filter(struct peer *p, const uint8_t *raw, size_t size, uint32_t id)
{
    struct br_serf_response ack;
    uint8_t items[64];
    struct br_writer w;
    struct br_serf_query query = plain;
    br_writer_init(&w, items, sizeof items);
    br_mp_write_str(&w, br_bytes(raw, size));
    query.flags = BR_SERF_QUERY_ACK;
    query.id = id;
    query.filters = (struct br_mp_list){br_writer_bytes(&w), 1};
    say_query(p, query, "q");
    return hear_answers(p, BR_SERF_RESPONSE_ACK, &ack);
}

/* An unknown kind, an element of no bytes, one that is cut short: nobody passes, and nothing worse happens. */
/* conformance: serf 32 */
static void test_filters_that_are_none_let_nobody_through(void **state)
{
    (void)state;
    static const uint8_t named[] = {0, 0x91, 0xa2, 'n', '0'};
    static const uint8_t unknown[] = {7, 0x91, 0xa2, 'n', '0'};
    struct world *w = query_world(13, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    assert_int_equal(acks_with_filter(p, named, sizeof named, 1), 1);
    assert_int_equal(acks_with_filter(p, unknown, sizeof unknown, 2), 0);
    assert_int_equal(acks_with_filter(p, NULL, 0, 3), 0);
    assert_int_equal(acks_with_filter(p, named, 3, 4), 0);
    assert_int_equal(world_stats(w, 0).drops[BRUIT_DROP_QUERY_FILTER], 3);
    peer_free(p);
    world_free(w);
}

/* Whom the filters keep out sends neither ack nor response, is not handed the query, and still passes it on. */
/* conformance: serf 33 */
static void test_the_filtered_out_still_pass_it_on(void **state)
{
    (void)state;
    static const uint8_t other[] = {0, 0x91, 0xa2, 'n', '9'};
    struct world *w = query_world(14, 1);
    struct peer *p = member_peer(w);
    reply = "never";
    assert_int_equal(acks_with_filter(p, other, sizeof other, 1), 0);
    assert_int_equal(asked_count, 0);
    assert_true(hear_gossip(p, BR_SERF_QUERY) > 0);
    peer_free(p);
    world_free(w);
}

/* A hostile query has filters that would cost seconds: it is given up, and counted. */
static void test_filters_that_cost_too_much_let_nobody_through(void **state)
{
    (void)state;
    static uint8_t meta[512], items[4096];
    static char value[400];
    struct br_writer m, w_items;
    struct world *w = new_world(15);
    uint32_t node = world_add(w);
    memset(value, 'a', sizeof value - 1);
    struct br_serf_tag tag = {world_bytes("t"), world_bytes(value)};
    br_writer_init(&m, meta, sizeof meta);
    assert_int_equal(br_serf_tags_encode(&m, &tag, 1), 0);
    w->nodes[node].config.meta = br_writer_bytes(&m);
    assert_int_equal(world_start(w, node), 0);
    struct peer *p = peer_new(w, 0, "peer", 1);
    struct br_serf_query query = plain;
    br_writer_init(&w_items, items, sizeof items);
    uint8_t filter[128];
    for (int i = 0; i < 40; i++) {
        struct br_writer f;
        br_writer_init(&f, filter, sizeof filter);
        br_serf_filter_encode(&f, &(struct br_serf_filter){.kind = BR_SERF_FILTER_TAG,
                                                           .tag = world_bytes("t"),
                                                           .expr = world_bytes("(a?){400}$")});
        br_mp_write_str(&w_items, br_writer_bytes(&f));
    }
    query.filters = (struct br_mp_list){br_writer_bytes(&w_items), 40};
    say_query(p, query, "q");
    assert_int_equal(asked_count, 0);
    assert_int_equal(world_stats(w, 0).drops[BRUIT_DROP_QUERY_FILTER], 1);
    assert_true(world_expect_trace(w, 0, "it costs too much"));
    peer_free(p);
    world_free(w);
}

/* ---- responding ---- */

static int respond(struct world *w, uint64_t handle, struct bruit_bytes payload, char *text, size_t size)
{
    int status = bruit_query_respond(w->nodes[0].engine, handle, payload, w->now);
    bruit_query_respond_text(w->nodes[0].engine, handle, payload, status, text, size);
    world_settle(w, 0);
    return status;
}

/* The limit is that of the whole message, to the byte; a response that was too long has not used up the one there
 * is. */
/* conformance: serf 37 */
static void test_the_size_limit_of_responses(void **state)
{
    (void)state;
    static uint8_t payload[1024];
    char text[64];
    struct br_serf_response response;
    struct world *w = query_world(16, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    say_query(p, plain, "q");
    uint64_t handle = asked[0].handle;
    /* type 1, map 1, keys 29, Flags 1, From 3, ID 1, LTime 1, header of Payload 3: with an ID below 128 */
    assert_int_equal(respond(w, handle, br_bytes(payload, 986), text, sizeof text), BRUIT_ETOOBIG);
    assert_string_equal(text, "response exceeds limit of 1024 bytes");
    assert_int_equal(hear_answers(p, 0, &response), 0);
    assert_int_equal(respond(w, handle, br_bytes(payload, 985), text, sizeof text), 0);
    assert_int_equal(hear_answers(p, 0, &response), 1);
    assert_int_equal(response.payload.size, 985);
    peer_free(p);
    world_free(w);
}

/* A second response, and one after the deadline, are refused with Serf's sentences. */
/* conformance: serf 38 */
static void test_second_and_late_responses_are_refused(void **state)
{
    (void)state;
    char text[64];
    struct world *w = query_world(17, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    struct br_serf_query query = plain;
    say_query(p, query, "q");
    query.id++;
    say_query(p, query, "q");
    assert_int_equal(respond(w, asked[0].handle, world_bytes("1"), text, sizeof text), 0);
    assert_int_equal(respond(w, asked[0].handle, world_bytes("2"), text, sizeof text), BRUIT_EEXIST);
    assert_string_equal(text, "response already sent");
    world_run(w, 3200 * MS);
    assert_int_equal(asked[1].deadline, w->now);
    world_run(w, 1);
    assert_int_equal(respond(w, asked[1].handle, world_bytes("3"), text, sizeof text), BRUIT_ETIMEOUT);
    assert_string_equal(text, "response is past the deadline");
    assert_int_equal(respond(w, 12345, world_bytes("4"), text, sizeof text), BRUIT_ETIMEOUT);
    peer_free(p);
    world_free(w);
}

/* A flood of queries: what can still be answered is bounded, the newest are kept. */
static void test_queries_that_can_be_answered_are_bounded(void **state)
{
    (void)state;
    char text[64];
    struct world *w = query_world(18, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    struct br_serf_query query = plain;
    uint64_t first = 0, last = 0;
    query.flags = BR_SERF_QUERY_NO_BROADCAST;
    for (uint32_t i = 0; i < 2100; i++) {
        query.ltime = 5 + i;
        asked_count = 0;
        say_query(p, query, "q");
        assert_int_equal(asked_count, 1);
        last = asked[0].handle;
        first = i == 0 ? last : first;
    }
    assert_int_equal(respond(w, first, world_bytes("1"), text, sizeof text), BRUIT_ETIMEOUT);
    assert_int_equal(respond(w, last, world_bytes("1"), text, sizeof text), 0);
    peer_free(p);
    world_free(w);
}

/* ---- collecting ---- */

/* The peer hears a query of ours, and so learns its time and ID. */
static struct br_serf_query overhear(struct peer *p)
{
    struct br_serf_query query = {0};
    for (bruit_time end = p->world->now + S; p->world->now < end && query.id == 0;) {
        size_t from = 0;
        const struct peer_leaf *leaf;
        peer_live(p, MS);
        while ((leaf = peer_next(p, BR_USER, &from)) != NULL)
            if (leaf->body.data[0] == BR_SERF_QUERY)
                (void)br_serf_query_decode(&query, br_bytes(leaf->body.data + 1, leaf->body.size - 1));
    }
    assert_true(query.id != 0);
    return query;
}

/* An unknown time, a wrong ID: ignored with the warnings of Serf. A right one counts once for each member. */
/* conformance: serf 41 */
static void test_answers_to_other_queries_are_ignored(void **state)
{
    (void)state;
    struct world *w = query_world(19, 1);
    struct peer *p = member_peer(w);
    start(w, 0, (struct bruit_query_params){.name = world_bytes("q"), .ack = true});
    struct br_serf_query query = overhear(p);
    answer_count = 0;
    say_response(p, query.ltime + 1, query.id, "peer", 0, "x");
    assert_true(world_expect_trace(w, 0, "reply for non-running query (LTime: 2, ID: "));
    say_response(p, query.ltime, query.id ^ 1, "peer", 0, "x");
    assert_true(world_expect_trace(w, 0, "query reply ID mismatch (Local: "));
    assert_int_equal(answer_count, 0);
    assert_int_equal(world_stats(w, 0).drops[BRUIT_DROP_ANSWER_UNKNOWN], 2);
    for (int i = 0; i < 3; i++)
        say_response(p, query.ltime, query.id, "peer", 0, "x");
    for (int i = 0; i < 3; i++)
        say_response(p, query.ltime, query.id, "peer", BR_SERF_RESPONSE_ACK, "");
    assert_int_equal(answers_of("peer", false), 1);
    assert_int_equal(answers_of("peer", true), 1);
    world_run(w, 4 * S);
    say_response(p, query.ltime, query.id, "late", 0, "x");
    assert_int_equal(answers_of("late", false), 0);
    peer_free(p);
    world_free(w);
}

/* Acks that nobody asked for are dropped; made-up names may not go on for ever. */
static void test_answers_are_bounded(void **state)
{
    (void)state;
    char name[32];
    struct world *w = query_world(20, 1);
    struct peer *p = member_peer(w);
    start(w, 0, (struct bruit_query_params){.name = world_bytes("q")});
    struct br_serf_query query = overhear(p);
    say_response(p, query.ltime, query.id, "peer", BR_SERF_RESPONSE_ACK, "");
    assert_int_equal(answer_count, 0);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "made-up-%d", i);
        say_response(p, query.ltime, query.id, name, 0, "x");
    }
    assert_int_equal(answer_count, 20); /* twice the two members, and 16 */
    peer_free(p);
    world_free(w);
}

/* ---- relays ---- */

static uint64_t relays_sent(const struct world *w)
{
    size_t count = 0;
    for (uint32_t i = 0; i < w->count; i++)
        count += world_traced(w, i, "Relaying response to addr");
    return count;
}

/*
 * Relay factor 2 among five: each of five members has each of its answers passed on by two others, and the
 * collector counts each member once. With a factor of 5 there are too few members, and nobody relays.
 */
/* conformance: serf 39 */
static void test_relays_each_answer_and_counts_it_once(void **state)
{
    (void)state;
    struct world *w = query_world(21, 5);
    reply = "yes";
    start(w, 0, (struct bruit_query_params){.name = world_bytes("q"), .ack = true, .relay_factor = 2});
    world_run(w, 4 * S);
    assert_int_equal(relays_sent(w), 5 * 2 * 2);
    assert_int_equal(dones[0].done.acks, 5);
    assert_int_equal(dones[0].done.responses, 5);
    assert_int_equal(answers_of(NULL, false), 5);
    start(w, 0, (struct bruit_query_params){.name = world_bytes("q"), .ack = true, .relay_factor = 5});
    world_run(w, 4 * S);
    assert_int_equal(relays_sent(w), 5 * 2 * 2);
    assert_int_equal(dones[1].done.acks, 5);
    world_free(w);
}

/* A response that fits alone but not inside a relay is sent, and refused with a sentence of its own. */
static void test_a_response_too_long_to_be_relayed(void **state)
{
    (void)state;
    static uint8_t payload[1024];
    char text[64];
    struct br_serf_response response;
    struct world *w = query_world(22, 3);
    struct peer *p = peer_new(w, 0, "peer", 1);
    struct br_serf_query query = plain;
    query.relay_factor = 1;
    query.flags = BR_SERF_QUERY_NO_BROADCAST;
    say_query(p, query, "q");
    assert_int_equal(respond(w, asked[0].handle, br_bytes(payload, 985), text, sizeof text), BRUIT_ETOOBIG);
    assert_string_equal(text, "relayed response exceeds limit of 1024 bytes");
    assert_int_equal(hear_answers(p, 0, &response), 1);
    peer_free(p);
    world_free(w);
}

static void say_relay(struct peer *p, const struct bruit_addr *to, const char *node,
                      struct bruit_bytes message)
{
    uint8_t buffer[512];
    struct br_writer w;
    br_writer_init(&w, buffer, sizeof buffer);
    br_write_u8(&w, BR_USER);
    br_serf_relay_encode(
        &w, &(struct br_serf_relay){
                .ip = br_addr_ip(to), .port = to->port, .node = world_bytes(node), .message = message});
    peer_raw(p, br_writer_bytes(&w));
    assert_int_equal(peer_send(p), 0);
    world_settle(p->world, p->node);
}

/* What is to be relayed arrives byte for byte, whatever it is, at an address that we need not know. */
/* conformance: serf 40 */
static void test_a_relay_is_passed_on_byte_for_byte(void **state)
{
    (void)state;
    static const uint8_t odd[] = {5, 0xc1, 0xff, 0, 1, 2, 3};
    struct world *w = query_world(23, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    struct bruit_addr to = world_addr(77, 7, 999);
    size_t from = 0;
    say_relay(p, &to, "whoever", br_bytes(odd, sizeof odd));
    peer_hear_at(p, &to);
    const struct peer_leaf *leaf = peer_next(p, BR_USER, &from);
    assert_non_null(leaf);
    assert_true(br_bytes_equal(leaf->body, br_bytes(odd, sizeof odd)));
    peer_free(p);
    world_free(w);
}

/* With strict_relay, only to members at their own address. */
static void test_strict_relay_serves_members_only(void **state)
{
    (void)state;
    static const uint8_t odd[] = {5, 1};
    struct world *w = new_world(24);
    w->config.strict_relay = true;
    world_cluster(w, 1);
    struct peer *p = member_peer(w);
    struct bruit_addr elsewhere = world_addr(77, 7, 999);
    size_t from = 0;
    say_relay(p, &elsewhere, "peer", br_bytes(odd, sizeof odd));
    peer_hear_at(p, &elsewhere);
    assert_null(peer_next(p, BR_USER, &from));
    assert_int_equal(world_stats(w, 0).drops[BRUIT_DROP_RELAY_REFUSED], 1);
    say_relay(p, &p->addr, "peer", br_bytes(odd, sizeof odd));
    assert_int_equal(world_stats(w, 0).drops[BRUIT_DROP_RELAY_REFUSED], 1);
    peer_free(p);
    world_free(w);
}

/* ---- internal queries ---- */

/* A ping is acked; the program is told for its clock's sake, as internal. An unknown one is acked, too, and warned
 * of. */
/* conformance: serf 43 */
static void test_a_ping_only_wants_its_ack(void **state)
{
    (void)state;
    struct br_serf_response ack;
    struct world *w = query_world(25, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    struct br_serf_query query = plain;
    query.flags = BR_SERF_QUERY_ACK;
    say_query(p, query, "_serf_ping");
    assert_int_equal(hear_answers(p, BR_SERF_RESPONSE_ACK, &ack), 1);
    assert_int_equal(asked_count, 1);
    assert_true(asked[0].is_internal);
    assert_int_equal(world_traced(w, 0, "Unhandled"), 0);
    query.id++;
    say_query(p, query, "_serf_dance");
    assert_int_equal(hear_answers(p, BR_SERF_RESPONSE_ACK, &ack), 1);
    assert_true(world_expect_trace(w, 0, "Unhandled internal query 'dance'"));
    peer_free(p);
    world_free(w);
}

static size_t ask_conflict(struct peer *p, const char *name, uint32_t id, struct br_serf_response *response)
{
    struct br_serf_query query = plain;
    query.id = id;
    query.payload = world_bytes(name);
    say_query(p, query, "_serf_conflict");
    return hear_answers(p, 0, response);
}

/* Who has this name? The member as we know it; nil for a stranger; silence about ourselves. */
/* conformance: serf 44 */
static void test_answers_who_has_a_name(void **state)
{
    (void)state;
    struct br_serf_response response;
    struct br_serf_member member;
    struct world *w = query_world(26, 2);
    struct peer *p = peer_new(w, 0, "peer", 1);
    assert_int_equal(ask_conflict(p, "n1", 1, &response), 1);
    assert_int_equal(response.payload.data[0], BR_SERF_CONFLICT_RESPONSE);
    assert_int_equal(
        br_serf_member_decode(&member, br_bytes(response.payload.data + 1, response.payload.size - 1)), 0);
    assert_true(br_bytes_equal(member.name, world_bytes("n1")));
    assert_true(br_bytes_equal(member.addr, br_addr_ip(&w->nodes[1].addr)));
    assert_int_equal(member.port, 7946);
    assert_int_equal(member.status, 1);
    assert_int_equal(ask_conflict(p, "stranger", 2, &response), 1);
    assert_int_equal(response.payload.size, 2);
    assert_int_equal(response.payload.data[1], 0xc0);
    assert_int_equal(ask_conflict(p, "n0", 3, &response), 0);
    peer_free(p);
    world_free(w);
}

/*
 * Four members, and a fifth that calls itself n1, too. It is in the minority, and told so after the timeout of a
 * query; n1 keeps its name.
 */
/* conformance: serf 45 */
static void test_the_newcomer_of_two_with_one_name_loses_it(void **state)
{
    (void)state;
    struct world *w = query_world(27, 4);
    uint32_t newcomer = world_add(w);
    w->nodes[newcomer].config.name = world_bytes("n1");
    assert_int_equal(world_start(w, newcomer), 0);
    bruit_time begin = w->now;
    assert_int_equal(world_join(w, newcomer, 0), 0);
    while (world_events(w, newcomer, BRUIT_EVENT_NAME_LOST, NULL, 0) == 0 && w->now < begin + 10 * S)
        world_run(w, 10 * MS);
    assert_int_equal(world_events(w, newcomer, BRUIT_EVENT_NAME_LOST, NULL, 0), 1);
    assert_in_range(w->now - begin, 3200 * MS, 4500 * MS);
    world_kill(w, newcomer);
    world_run(w, 10 * S);
    assert_int_equal(world_events(w, 1, BRUIT_EVENT_NAME_LOST, NULL, 0), 0);
    assert_true(world_expect_trace(w, newcomer, "Names must be unique! (Resolution enabled: true)"));
    world_free(w);
}

/*
 * The two that claim one name are alone with each other: neither speaks about itself, so nobody answers. Serf's agents
 * would both give up; ours keep the name, say so, and ask again when they collide again.
 */
static void test_a_name_is_not_lost_to_silence(void **state)
{
    (void)state;
    struct world *w = query_world(31, 1);
    uint32_t newcomer = world_add(w);
    w->nodes[newcomer].config.name = world_bytes("n0");
    assert_int_equal(world_start(w, newcomer), 0);
    assert_int_equal(world_join(w, newcomer, 0), 0);
    world_run(w, 20 * S);
    assert_true(
        world_expect_trace(w, 0, "nobody answered in name conflict resolution, keeping the name [0 / 0]"));
    assert_int_equal(world_events(w, 0, BRUIT_EVENT_NAME_LOST, NULL, 0), 0);
    assert_int_equal(world_events(w, newcomer, BRUIT_EVENT_NAME_LOST, NULL, 0), 0);
    world_free(w);
}

/* With resolution switched off nobody asks. */
static void test_conflicts_are_not_resolved_when_that_is_off(void **state)
{
    (void)state;
    struct world *w = query_world(28, 3);
    uint32_t newcomer = world_add(w);
    w->nodes[newcomer].config.name = world_bytes("n1");
    assert_int_equal(world_start(w, newcomer), 0);
    assert_int_equal(bruit_conflict_resolve(w->nodes[newcomer].engine, false), 0);
    assert_int_equal(bruit_conflict_resolve(w->nodes[1].engine, false), 0);
    assert_int_equal(world_join(w, newcomer, 0), 0);
    world_run(w, 10 * S);
    assert_int_equal(world_events(w, newcomer, BRUIT_EVENT_NAME_LOST, NULL, 0), 0);
    assert_int_equal(times_asked(0, "_serf_conflict"), 0);
    world_free(w);
}

/* ---- questions of modules ---- */

/* A module that asks everybody for a number, and answers later than it is asked: at its next tick. */
struct counting {
    struct bruit_host *host;
    uint64_t question;
    bruit_time answer_at;
    uint32_t ask, answers, lasts;
    bool is_early;
    int status; /* of asking */
    size_t room;
};

static int counting_init(void *self, struct bruit_host *host)
{
    *(struct counting *)self = (struct counting){.host = host, .answer_at = BRUIT_NEVER};
    return 0;
}

static void counting_on_question(void *self, const struct bruit_question *question)
{
    struct counting *c = self;
    assert_true(br_bytes_equal(question->name, world_bytes("count")));
    assert_true(br_bytes_equal(question->payload, world_bytes("to three")));
    c->question = question->id;
    c->answer_at = bruit_host_now(c->host) + 100 * MS;
}

static bruit_time counting_deadline(const void *self)
{
    return ((const struct counting *)self)->answer_at;
}

static void counting_on_time(void *self)
{
    struct counting *c = self;
    c->answer_at = BRUIT_NEVER;
    c->room = bruit_host_answer_room(c->host, c->question);
    assert_int_equal(bruit_host_answer(c->host, c->question, world_bytes("1 2 3")), 0);
}

static void counting_on_answer(void *self, const struct bruit_answer *answer)
{
    struct counting *c = self;
    assert_int_equal(answer->ask, c->ask);
    assert_int_equal(c->lasts, 0);
    if (answer->is_last) {
        c->lasts++;
        c->is_early = answer->is_early;
        return;
    }
    assert_true(br_bytes_equal(answer->payload, world_bytes("1 2 3")));
    c->answers++;
}

/* It asks when our own metadata changes: any occasion would do. */
static void counting_on_member(void *self, bruit_node node, uint32_t changes)
{
    struct counting *c = self;
    if (changes & BRUIT_CHANGE_UPDATED && node == bruit_member_self(bruit_host_engine(c->host)))
        c->status = bruit_host_ask(c->host, "count", world_bytes("to three"), true, &c->ask);
}

static const char *const counting_questions[] = {"count"};
static const struct bruit_module counting_module = {
    .struct_size = sizeof counting_module,
    .name = "counting",
    .state_size = sizeof(struct counting),
    .questions = counting_questions,
    .question_count = 1,
    .init = counting_init,
    .on_member = counting_on_member,
    .on_question = counting_on_question,
    .on_answer = counting_on_answer,
    .deadline = counting_deadline,
    .on_time = counting_on_time,
};

/* A module of four members asks: each of the four answers once, itself included, and then it is over, early. */
static void test_modules_ask_each_other(void **state)
{
    (void)state;
    static const struct bruit_module *const two[] = {&counting_module, &bruit_query_module};
    struct world *w = new_world(40);
    w->config.modules = two;
    w->config.module_count = 2;
    world_cluster(w, 4);
    assert_true(world_wait_all_alive(w, 5 * S));
    struct counting *c = bruit_engine_module(w->nodes[2].engine, &counting_module);
    assert_int_equal(bruit_set_meta(w->nodes[2].engine, world_bytes("x"), w->now), 0);
    assert_int_equal(c->status, 0);
    world_settle(w, 2);
    world_run(w, S);
    assert_int_equal(c->answers, 4);
    assert_int_equal(c->lasts, 1);
    assert_true(c->is_early);
    assert_in_range(c->room, 900, 1000);
    assert_int_equal(times_asked(1, "_serf_count"), 1);
    world_free(w);
}

/* Without the query module there is nobody to carry questions. */
static void test_asking_needs_the_query_module(void **state)
{
    (void)state;
    static const struct bruit_module *const alone[] = {&counting_module};
    struct world *w = new_world(41);
    w->config.modules = alone;
    w->config.module_count = 1;
    world_cluster(w, 1);
    struct counting *c = bruit_engine_module(w->nodes[0].engine, &counting_module);
    assert_int_equal(bruit_set_meta(w->nodes[0].engine, world_bytes("x"), w->now), 0);
    assert_int_equal(c->status, BRUIT_ENOENT);
    world_free(w);
}

/* Two modules that answer one question are a mistake, and so is one that claims a question and cannot answer. */
static void test_claims_of_questions_are_checked(void **state)
{
    (void)state;
    struct bruit_module other = counting_module;
    const struct bruit_module *two[] = {&counting_module, &other};
    struct bruit_config config;
    bruit_config_lan(&config);
    config.name = world_bytes("a");
    config.advertise = world_addr(1, 1, 7946);
    config.modules = two;
    config.module_count = 2;
    other.name = "other";
    assert_string_equal(bruit_config_check(&config), "two modules claim the same question");
    other.question_count = 0;
    assert_null(bruit_config_check(&config));
    other.questions = (const char *const[]){"else"};
    other.question_count = 1;
    assert_null(bruit_config_check(&config));
    other.on_question = NULL;
    assert_string_equal(bruit_config_check(&config), "a module claims questions and has no on_question");
}

/* ---- the rest ---- */

/* Valid messages with random bytes changed, thousands of them: dropped, or taken for what they have become. */
static void test_changed_messages_do_no_harm(void **state)
{
    (void)state;
    static const struct bruit_module *const all[] = {&bruit_event_module, &bruit_query_module,
                                                     &bruit_conflict_module, &bruit_status_module};
    uint8_t buffer[512], items[64];
    struct br_writer m, f;
    struct world *w = new_world(42);
    w->config.modules = all;
    w->config.module_count = 4;
    w->hears = NULL;
    world_cluster(w, 2);
    struct peer *p = peer_new(w, 0, "peer", 1);
    br_writer_init(&f, items, sizeof items);
    br_mp_write_str(&f, br_bytes_text("\x01\x82\xa4"
                                      "Expr\xa4"
                                      "[a-z]\xa3"
                                      "Tag\xa4"
                                      "role"));
    for (int round = 0; round < 20000; round++) {
        struct br_serf_query query = plain;
        query.addr = br_addr_ip(&p->addr);
        query.ltime = 1 + (uint64_t)round / 50;
        query.id = (uint32_t)round;
        query.flags = (uint32_t)round % 4;
        query.relay_factor = round % 3 == 0;
        query.name = world_bytes(round % 2 ? "_serf_conflict" : "q");
        query.filters = (struct br_mp_list){br_writer_bytes(&f), 1};
        br_writer_init(&m, buffer, sizeof buffer);
        br_write_u8(&m, BR_USER);
        if (round % 4 == 0)
            br_serf_event_encode(&m, &(struct br_serf_event){.ltime = query.ltime, .name = world_bytes("e")});
        else if (round % 4 == 1)
            br_serf_relay_encode(&m,
                                 &(struct br_serf_relay){.ip = query.addr, .port = 7, .message = query.addr});
        else
            br_serf_query_encode(&m, &query);
        for (uint32_t i = 0; i < 1 + br_rng_below(&w->rng, 3); i++)
            buffer[1 + br_rng_below(&w->rng, (uint32_t)br_writer_size(&m) - 1)] =
                (uint8_t)br_rng_u64(&w->rng);
        peer_raw(p, br_writer_bytes(&m));
        assert_int_equal(peer_send(p), 0);
        if (round % 100 == 0) {
            world_run(w, 10 * MS);
            peer_hear(p);
        }
    }
    world_run(w, S);
    assert_int_equal(world_state(w, 0, 1), BRUIT_ALIVE);
    peer_free(p);
    world_free(w);
}

/* A query travels before an event of the same moment: intents, queries, events. */
/* conformance: serf 61 */
static void test_queries_go_out_before_events(void **state)
{
    (void)state;
    static const struct bruit_module *const three[] = {&bruit_event_module, &bruit_query_module,
                                                       &bruit_status_module};
    struct world *w = new_world(29);
    w->config.modules = three;
    w->config.module_count = 3;
    world_cluster(w, 1);
    struct peer *p = member_peer(w);
    hear_gossip(p, BR_SERF_JOIN);
    assert_int_equal(
        bruit_user_event(w->nodes[0].engine, world_bytes("event"), world_bytes(""), false, w->now), 0);
    struct bruit_query_params params = {.struct_size = sizeof params, .name = world_bytes("query")};
    uint32_t request;
    assert_int_equal(bruit_query_start(w->nodes[0].engine, &params, &request, w->now), 0);
    assert_int_equal(bruit_force_leave(w->nodes[0].engine, world_bytes("gone"), false, &request, w->now), 0);
    world_settle(w, 0);
    uint8_t types[8];
    size_t count = 0;
    for (int i = 0; i < 500 && count == 0; i++) {
        size_t from = 0;
        const struct peer_leaf *leaf;
        peer_live(p, MS);
        while ((leaf = peer_next(p, BR_USER, &from)) != NULL && count < 8)
            if (leaf->body.data[0] != BR_SERF_QUERY_RESPONSE)
                types[count++] = leaf->body.data[0];
    }
    assert_true(count >= 3);
    assert_int_equal(types[0], BR_SERF_LEAVE);
    assert_int_equal(types[1], BR_SERF_QUERY);
    assert_int_equal(types[2], BR_SERF_USER_EVENT);
    peer_free(p);
    world_free(w);
}

/* Every prefix of every message of the module: counted, no harm. */
/* conformance: serf 7 */
static void test_truncated_messages_do_no_harm(void **state)
{
    (void)state;
    uint8_t buffer[512];
    struct br_writer m;
    struct world *w = query_world(30, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    for (int kind = 0; kind < 3; kind++) {
        struct br_serf_query query = plain;
        query.addr = br_addr_ip(&p->addr);
        br_writer_init(&m, buffer, sizeof buffer);
        br_write_u8(&m, BR_USER);
        if (kind == 0)
            br_serf_query_encode(&m, &query);
        else if (kind == 1)
            br_serf_response_encode(
                &m, &(struct br_serf_response){.ltime = 1, .id = 2, .from = world_bytes("x")});
        else
            br_serf_relay_encode(
                &m, &(struct br_serf_relay){.ip = br_addr_ip(&p->addr), .port = 1, .node = world_bytes("x")});
        for (size_t size = 2; size < br_writer_size(&m); size++) {
            peer_raw(p, br_bytes(buffer, size));
            assert_int_equal(peer_send(p), 0);
        }
    }
    world_settle(w, 0);
    assert_int_equal(asked_count, 0);
    assert_true(world_stats(w, 0).drops[BRUIT_DROP_MALFORMED] > 100);
    peer_free(p);
    world_free(w);
}

/* A sync moves the query clock to the other side's; 0 moves nothing. Fresh, it stands at 1. */
/* conformance: serf 9, 11 */
static void test_the_query_clock_follows_syncs(void **state)
{
    (void)state;
    struct world *w = new_world(31);
    for (int i = 0; i < 2; i++)
        assert_int_equal(world_start(w, world_add(w)), 0);
    assert_int_equal(bruit_query_time(w->nodes[0].engine), 1);
    bruit_query_witness(w->nodes[0].engine, 41);
    assert_int_equal(bruit_query_time(w->nodes[0].engine), 42);
    assert_int_equal(world_join(w, 1, 0), 0);
    world_run(w, S);
    assert_int_equal(bruit_query_time(w->nodes[1].engine), 42);
    assert_int_equal(bruit_query_time(w->nodes[0].engine), 42);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_query_is_answered_by_everybody),
        cmocka_unit_test(test_the_default_timeout),
        cmocka_unit_test(test_ends_early_when_everybody_answered),
        cmocka_unit_test(test_ends_early_without_the_dead_and_the_filtered),
        cmocka_unit_test(test_a_query_for_nobody_and_one_that_is_stopped),
        cmocka_unit_test(test_the_size_limit_of_queries),
        cmocka_unit_test(test_asking_needs_protocol_4),
        cmocka_unit_test(test_running_queries_are_bounded),
        cmocka_unit_test(test_acks_once_to_the_address_in_the_query),
        cmocka_unit_test(test_old_queries_are_dropped),
        cmocka_unit_test(test_the_flag_against_passing_on),
        cmocka_unit_test(test_filters_let_through_whom_they_name),
        cmocka_unit_test(test_filters_that_are_none_let_nobody_through),
        cmocka_unit_test(test_the_filtered_out_still_pass_it_on),
        cmocka_unit_test(test_filters_that_cost_too_much_let_nobody_through),
        cmocka_unit_test(test_the_size_limit_of_responses),
        cmocka_unit_test(test_second_and_late_responses_are_refused),
        cmocka_unit_test(test_queries_that_can_be_answered_are_bounded),
        cmocka_unit_test(test_answers_to_other_queries_are_ignored),
        cmocka_unit_test(test_answers_are_bounded),
        cmocka_unit_test(test_relays_each_answer_and_counts_it_once),
        cmocka_unit_test(test_a_response_too_long_to_be_relayed),
        cmocka_unit_test(test_a_relay_is_passed_on_byte_for_byte),
        cmocka_unit_test(test_strict_relay_serves_members_only),
        cmocka_unit_test(test_a_ping_only_wants_its_ack),
        cmocka_unit_test(test_answers_who_has_a_name),
        cmocka_unit_test(test_the_newcomer_of_two_with_one_name_loses_it),
        cmocka_unit_test(test_a_name_is_not_lost_to_silence),
        cmocka_unit_test(test_conflicts_are_not_resolved_when_that_is_off),
        cmocka_unit_test(test_modules_ask_each_other),
        cmocka_unit_test(test_asking_needs_the_query_module),
        cmocka_unit_test(test_claims_of_questions_are_checked),
        cmocka_unit_test(test_changed_messages_do_no_harm),
        cmocka_unit_test(test_queries_go_out_before_events),
        cmocka_unit_test(test_structs_of_another_size_are_refused),
        cmocka_unit_test(test_truncated_messages_do_no_harm),
        cmocka_unit_test(test_the_query_clock_follows_syncs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
