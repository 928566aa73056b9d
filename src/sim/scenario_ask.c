/*
 * What a scenario asks engines for: metadata, keys, events, queries, removals; and what it throws at their ports.
 *
 * The world does not record such requests, so the recorder is told of each here. Here, too, the program that a node
 * would be answers queries.
 */
#include "sim/record.h"
#include "sim/scenario_run.h"

#include <bruit/event.h>
#include <bruit/query.h>
#include <bruit/status.h>

#include <stdlib.h>
#include <string.h>

static void set_meta(struct br_run *run, uint32_t node, struct bruit_bytes meta)
{
    struct bruit_engine *engine = bruit_sim_engine(run->sim, node);
    if (!br_run_is_member(run, node) || bruit_sim_condition(run->sim, node) != BRUIT_SIM_RUNNING)
        return;
    if (run->recorder != NULL)
        br_recorder_meta(run->recorder, node, meta, bruit_sim_clock(run->sim, node));
    (void)bruit_set_meta(engine, meta, bruit_sim_clock(run->sim, node));
    bruit_sim_kick(run->sim, node);
}

static void change_key(struct br_run *run, uint32_t node, enum br_secret_how how, struct bruit_bytes key)
{
    struct bruit_engine *engine = bruit_sim_engine(run->sim, node);
    if (engine == NULL)
        return;
    if (run->recorder != NULL)
        br_recorder_key(run->recorder, node, (uint32_t)how, key, bruit_sim_clock(run->sim, node));
    switch (how) {
    case BR_SECRET_ADD: (void)bruit_key_add(engine, key); break;
    case BR_SECRET_USE: (void)bruit_key_use(engine, key); break;
    case BR_SECRET_REMOVE: (void)bruit_key_remove(engine, key); break;
    }
}

/* A datagram from outside, or in the name of another node. */
static void throw_at(struct br_run_statement *st, uint32_t node)
{
    struct br_run *run = st->run;
    const struct br_statement *s = st->statement;
    struct bruit_addr from = {.ip = {192, 0, 2, 1}, .port = 50000, .size = 4}; /* RFC 5737: for examples */
    uint32_t sender = s->has_whom ? br_run_first(run, &s->whom, BRUIT_SIM_NOBODY) : BRUIT_SIM_NOBODY;
    if (sender != BRUIT_SIM_NOBODY)
        from = bruit_sim_addr(run->sim, sender);
    if (bruit_sim_condition(run->sim, node) != BRUIT_SIM_RUNNING)
        return;
    struct bruit_sim_input input = {.type = BRUIT_SIM_IN_DATAGRAM,
                                    .now = bruit_sim_clock(run->sim, node),
                                    .addr = from,
                                    .bytes = {s->text, s->text_size}};
    if (run->recorder != NULL)
        br_recorder_input(run->recorder, run->sim, node, &input);
    (void)bruit_recv_datagram(bruit_sim_engine(run->sim, node), &from, input.bytes, input.now);
    bruit_sim_kick(run->sim, node);
}

static void force_leave(struct br_run *run, uint32_t node, struct bruit_engine *engine,
                        struct bruit_bytes name)
{
    uint32_t request;
    if (run->recorder != NULL)
        br_recorder_forget(run->recorder, node, name, bruit_sim_clock(run->sim, node));
    (void)bruit_force_leave(engine, name, true, &request, bruit_sim_clock(run->sim, node));
}

static void forget(struct br_run_statement *st, uint32_t node)
{
    struct br_run *run = st->run;
    struct bruit_engine *engine = bruit_sim_engine(run->sim, node);
    if (!br_run_is_member(run, node) || bruit_sim_condition(run->sim, node) != BRUIT_SIM_RUNNING)
        return;
    for (uint32_t i = 0; i < run->count; i++)
        if (i != node && br_scenario_has(run->scenario, &st->statement->whom, run->scenario->config.seed, i))
            force_leave(run, node, engine, bruit_sim_name(run->sim, i));
    bruit_sim_kick(run->sim, node);
}

/* ------------------------------------------------------------------ events and queries */

static void send_event(struct br_run_statement *st, uint32_t node)
{
    struct br_run *run = st->run;
    struct bruit_bytes name = {st->statement->text, st->statement->text_size};
    bruit_time now = bruit_sim_clock(run->sim, node);
    uint8_t *payload = calloc(1, (size_t)st->statement->size + 1);
    if (payload == NULL)
        return;
    if (run->recorder != NULL)
        br_recorder_event(run->recorder, node, name, st->statement->size, now);
    int status = bruit_user_event(bruit_sim_engine(run->sim, node), name,
                                  (struct bruit_bytes){payload, (size_t)st->statement->size}, false, now);
    run->nodes[node].refused += status != 0;
    free(payload);
    bruit_sim_kick(run->sim, node);
}

static void start_query(struct br_run_statement *st, uint32_t node)
{
    struct br_run *run = st->run;
    bruit_time now = bruit_sim_clock(run->sim, node);
    uint32_t request;
    struct bruit_query_params params = {.struct_size = sizeof params,
                                        .name = {st->statement->text, st->statement->text_size},
                                        .timeout = st->statement->time,
                                        .until = BRUIT_QUERY_UNTIL_RESPONDED};
    if (run->recorder != NULL)
        br_recorder_query(run->recorder, node, params.name, params.timeout, now);
    int status = bruit_query_start(bruit_sim_engine(run->sim, node), &params, &request, now);
    run->nodes[node].refused += status != 0;
    run->nodes[node].is_answered = false;
    bruit_sim_kick(run->sim, node);
}

/* Expectations of events, by name. */
static void hear(struct br_run *run, uint32_t node, const struct bruit_event *event)
{
    struct bruit_user_event heard;
    if (bruit_event_read(event, &heard) != 0)
        return;
    for (uint32_t i = 0; i < run->scenario->statement_count; i++) {
        struct br_run_statement *st = &run->statements[i];
        const struct br_statement *s = st->statement;
        if (s->verb == BR_EXPECT_HEARD && s->text_size == heard.name.size &&
            memcmp(s->text, heard.name.data, s->text_size) == 0 && br_run_now(run) >= s->at)
            st->subjects[node] = 1;
    }
}

void br_run_answered(struct br_run *run, uint32_t node, const struct bruit_event *event)
{
    struct bruit_engine *engine = bruit_sim_engine(run->sim, node);
    struct bruit_query query;
    struct bruit_query_done done;
    if (event->type == BRUIT_EVENT_USER)
        hear(run, node, event);
    else if (event->type == BRUIT_EVENT_QUERY && bruit_query_read(event, &query) == 0 && !query.is_internal)
        (void)bruit_query_respond(engine, query.handle, (struct bruit_bytes){0},
                                  bruit_sim_clock(run->sim, node));
    else if (event->type == BRUIT_EVENT_QUERY_DONE && bruit_query_done_read(event, &done) == 0)
        run->nodes[node].is_answered = done.responses == done.expected;
}

void br_run_ask(struct br_run_statement *st, uint32_t node)
{
    const struct br_statement *s = st->statement;
    struct bruit_bytes text = {s->text, s->text_size};
    bool can_ask =
        br_run_is_member(st->run, node) && bruit_sim_condition(st->run->sim, node) == BRUIT_SIM_RUNNING;
    switch (s->verb) {
    case BR_ACT_META: set_meta(st->run, node, text); break;
    case BR_ACT_KEY: change_key(st->run, node, s->key, text); break;
    case BR_ACT_THROW: throw_at(st, node); break;
    case BR_ACT_FORGET: forget(st, node); break;
    case BR_ACT_EVENT:
        if (can_ask)
            send_event(st, node);
        break;
    case BR_ACT_QUERY:
        if (can_ask)
            start_query(st, node);
        break;
    default: break;
    }
}
