/*
 * An engine that does what the test says: the functions of <bruit/engine.h> that the driver calls, defined
 * in the test program itself, so that the linker takes no others.
 *
 * Every input is written into a log of lines ("datagram 127.0.0.1:7 abc", "tick", "sent 5"); tests compare
 * lines, and so the order of inputs. Outputs are taken from queues that the test fills, or from a hook
 * that is called with every input.
 */
#ifndef BR_TEST_FAKE_ENGINE_H
#define BR_TEST_FAKE_ENGINE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "codec/addr.h"
#include "driver/uv/driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAKE_QUEUE 4096

struct fake_datagram {
    struct bruit_addr to;
    uint64_t token;
    size_t size;
    uint8_t bytes[64];
};

struct fake_store_op {
    struct bruit_store_op op;
    char key[16], value[32]; /* overwritten once another is pulled: nobody may look at them any more */
};

struct bruit_engine {
    struct bruit_config config;
    char log[256][160]; /* the latest lines */
    size_t log_count;
    size_t datagram_count; /* handed in */
    size_t datagram_bytes;
    size_t stream_bytes;
    size_t pulls; /* of datagrams, successful ones */
    bruit_time now;
    bruit_time deadline;

    struct fake_datagram out[FAKE_QUEUE];
    size_t out_first, out_end;
    struct bruit_stream_op ops[FAKE_QUEUE];
    size_t op_first, op_end;
    struct bruit_event events[FAKE_QUEUE];
    size_t event_first, event_end;
    struct fake_store_op stores[FAKE_QUEUE];
    size_t store_first, store_end;
    uint64_t stored; /* the latest token that was answered */

    int accept_error;
    uint32_t next_stream; /* handed out to accepted ones */
    uint32_t next_request;
    size_t join_count; /* targets of all joins */
    size_t join_calls;

    void (*hook)(struct bruit_engine *engine, const char *input, uint32_t stream);
    void *hook_context;
};

static struct bruit_engine *fake; /* the latest, for tests to look at; NULL once it is freed */
static int fake_new_error;

static inline void fake_log(struct bruit_engine *engine, bruit_time now, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static inline void fake_log(struct bruit_engine *engine, bruit_time now, const char *format, ...)
{
    va_list arguments;
    assert_true(now >= engine->now); /* time never goes back */
    engine->now = now;
    va_start(arguments, format);
    (void)vsnprintf(engine->log[engine->log_count++ % 256], 160, format, arguments);
    va_end(arguments);
}

/* How many of the latest lines begin with `prefix`; and the place of the first one, or -1. */
static inline size_t fake_lines(const char *prefix)
{
    size_t count = 0;
    for (size_t i = 0; i < fake->log_count && i < 256; i++)
        count += strncmp(fake->log[i], prefix, strlen(prefix)) == 0;
    return count;
}

static inline int fake_line(const char *prefix)
{
    for (size_t i = 0; i < fake->log_count && i < 256; i++) {
        if (strncmp(fake->log[i], prefix, strlen(prefix)) == 0)
            return (int)i;
    }
    return -1;
}

static inline void fake_send(struct bruit_engine *engine, const struct bruit_addr *to, uint64_t token,
                             const char *text)
{
    struct fake_datagram *datagram = &engine->out[engine->out_end++ % FAKE_QUEUE];
    datagram->to = *to;
    datagram->token = token;
    datagram->size = strlen(text);
    memcpy(datagram->bytes, text, datagram->size);
}

static inline void fake_op(struct bruit_engine *engine, enum bruit_stream_op_type type, uint32_t stream,
                           const struct bruit_addr *to, struct bruit_bytes bytes)
{
    struct bruit_stream_op *op = &engine->ops[engine->op_end++ % FAKE_QUEUE];
    *op = (struct bruit_stream_op){.type = type, .stream = stream, .bytes = bytes};
    if (to != NULL)
        op->to = *to;
}

static inline void fake_event(struct bruit_engine *engine, const struct bruit_event *event)
{
    engine->events[engine->event_end++ % FAKE_QUEUE] = *event;
}

/* Wants `value` stored under `key`; NULL: the key is to go. */
static inline void fake_store(struct bruit_engine *engine, const char *key, const char *value)
{
    struct fake_store_op *store = &engine->stores[engine->store_end++ % FAKE_QUEUE];
    *store = (struct fake_store_op){.op = {.token = engine->store_end, .is_delete = value == NULL}};
    (void)snprintf(store->key, sizeof store->key, "%s", key);
    (void)snprintf(store->value, sizeof store->value, "%s", value == NULL ? "" : value);
    store->op.space = br_bytes_text("kv");
    store->op.key = br_bytes_string(store->key);
    store->op.value = value == NULL ? (struct bruit_bytes){NULL, 0} : br_bytes_string(store->value);
}

static inline void fake_tell(struct bruit_engine *engine, const char *input, uint32_t stream)
{
    if (engine->hook != NULL)
        engine->hook(engine, input, stream);
}

int bruit_engine_new(struct bruit_engine **out, const struct bruit_config *config,
                     const struct bruit_env *env, bruit_time now)
{
    uint8_t random[8];
    if (fake_new_error != 0)
        return fake_new_error;
    assert_non_null(env->entropy);
    assert_int_equal(env->entropy(env->context, random, sizeof random), 0);
    struct bruit_engine *engine = calloc(1, sizeof *engine);
    assert_non_null(engine);
    engine->config = *config;
    engine->now = now;
    engine->deadline = BRUIT_NEVER;
    engine->next_stream = 1000;
    *out = fake = engine;
    return 0;
}

void bruit_engine_free(struct bruit_engine *engine)
{
    if (engine == fake)
        fake = NULL;
    free(engine);
}

const char *bruit_config_check(const struct bruit_config *config)
{
    (void)config;
    return "the fake engine was told to refuse this";
}

int bruit_recv_datagram(struct bruit_engine *engine, const struct bruit_addr *from, struct bruit_bytes packet,
                        bruit_time now)
{
    char text[BRUIT_ADDR_TEXT_MAX];
    br_addr_format(from, text);
    engine->datagram_count++;
    engine->datagram_bytes += packet.size;
    fake_log(engine, now, "datagram %s %.*s", text, (int)(packet.size < 40 ? packet.size : 40),
             (const char *)packet.data);
    fake_tell(engine, engine->log[(engine->log_count - 1) % 256], 0);
    return 0;
}

int bruit_tick(struct bruit_engine *engine, bruit_time now)
{
    fake_log(engine, now, "tick");
    assert_true(now >= engine->deadline);
    engine->deadline = BRUIT_NEVER;
    fake_tell(engine, "tick", 0);
    return 0;
}

bruit_time bruit_deadline(const struct bruit_engine *engine)
{
    return engine->deadline;
}

bool bruit_next_datagram(struct bruit_engine *engine, uint8_t *buffer, size_t capacity,
                         struct bruit_datagram *out, bruit_time now)
{
    assert_true(now >= engine->now);
    engine->now = now;
    if (engine->out_first == engine->out_end)
        return false;
    const struct fake_datagram *datagram = &engine->out[engine->out_first++ % FAKE_QUEUE];
    assert_true(datagram->size <= capacity);
    memcpy(buffer, datagram->bytes, datagram->size);
    *out = (struct bruit_datagram){datagram->size, datagram->to, datagram->token};
    engine->pulls++;
    return true;
}

int bruit_send_failed(struct bruit_engine *engine, uint64_t token, int error, bruit_time now)
{
    fake_log(engine, now, "send_failed %d %s", (int)token, bruit_error_name(error));
    fake_tell(engine, "send_failed", 0);
    return 0;
}

bool bruit_next_stream_op(struct bruit_engine *engine, struct bruit_stream_op *out)
{
    if (engine->op_first == engine->op_end)
        return false;
    *out = engine->ops[engine->op_first++ % FAKE_QUEUE];
    return true;
}

int bruit_stream_accepted(struct bruit_engine *engine, const struct bruit_addr *from, uint32_t *stream,
                          bruit_time now)
{
    char text[BRUIT_ADDR_TEXT_MAX];
    br_addr_format_ip(from, text);
    fake_log(engine, now, "accepted %s", text);
    if (engine->accept_error != 0)
        return engine->accept_error;
    *stream = engine->next_stream++;
    fake_tell(engine, "accepted", *stream);
    return 0;
}

int bruit_stream_opened(struct bruit_engine *engine, uint32_t stream, bruit_time now)
{
    fake_log(engine, now, "opened %u", stream);
    fake_tell(engine, "opened", stream);
    return 0;
}

int bruit_recv_stream(struct bruit_engine *engine, uint32_t stream, struct bruit_bytes bytes, bruit_time now)
{
    engine->stream_bytes += bytes.size;
    fake_log(engine, now, "stream %u %.*s", stream, (int)(bytes.size < 40 ? bytes.size : 40),
             (const char *)bytes.data);
    fake_tell(engine, "stream", stream);
    return 0;
}

int bruit_stream_sent(struct bruit_engine *engine, uint32_t stream, bruit_time now)
{
    fake_log(engine, now, "sent %u", stream);
    fake_tell(engine, "sent", stream);
    return 0;
}

int bruit_stream_closed(struct bruit_engine *engine, uint32_t stream, int error, bruit_time now)
{
    fake_log(engine, now, "closed %u %s", stream, bruit_error_name(error));
    fake_tell(engine, "closed", stream);
    return 0;
}

int bruit_join(struct bruit_engine *engine, const struct bruit_join_target *targets, size_t count,
               uint32_t flags, uint32_t *request, bruit_time now)
{
    (void)flags;
    for (size_t i = 0; i < count; i++) {
        char text[BRUIT_ADDR_TEXT_MAX];
        br_addr_format(&targets[i].addr, text);
        fake_log(engine, now, "join %s %.*s", text, (int)targets[i].name.size,
                 (const char *)targets[i].name.data);
    }
    *request = ++engine->next_request;
    engine->join_calls++;
    engine->join_count += count;
    fake_tell(engine, "join", (uint32_t)count);
    return 0;
}

bool bruit_next_event(struct bruit_engine *engine, struct bruit_event *out)
{
    if (engine->event_first == engine->event_end)
        return false;
    *out = engine->events[engine->event_first++ % FAKE_QUEUE];
    return true;
}

static inline void fake_forget_store(struct bruit_engine *engine)
{
    if (engine->store_first == 0)
        return;
    struct fake_store_op *last = &engine->stores[(engine->store_first - 1) % FAKE_QUEUE];
    memset(last->key, '!', sizeof last->key);
    memset(last->value, '!', sizeof last->value);
}

bool bruit_next_store_op(struct bruit_engine *engine, struct bruit_store_op *out)
{
    assert_true(engine->config.has_store);
    fake_forget_store(engine);
    if (engine->store_first == engine->store_end)
        return false;
    *out = engine->stores[engine->store_first++ % FAKE_QUEUE].op;
    return true;
}

int bruit_stored(struct bruit_engine *engine, uint64_t token, int status, bruit_time now)
{
    fake_forget_store(engine);
    assert_true(token > engine->stored);
    assert_true(token <= engine->store_first); /* only what was given away */
    engine->stored = token;
    fake_log(engine, now, "stored %d %s", (int)token, status == 0 ? "ok" : bruit_error_name(status));
    fake_tell(engine, "stored", (uint32_t)token);
    return 0;
}

/* ------------------------------------------------------------------ a driver on a loop of the test's own */

struct rig {
    uv_loop_t loop;
    struct bruit_uv *uv;
    struct bruit_config config;
    struct bruit_uv_options options;
    int closed; /* how often on_closed was called */
    size_t events;
    char why[256];
};

static inline struct bruit_addr addr4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port)
{
    return (struct bruit_addr){.ip = {a, b, c, d}, .size = 4, .port = port};
}

static inline struct bruit_addr addr_of(const char *text)
{
    struct bruit_addr addr;
    assert_int_equal(br_addr_parse(&addr, text, 0), 0);
    return addr;
}

static inline void rig_on_closed(void *context)
{
    struct rig *rig = context;
    rig->closed++;
    assert_null(fake); /* the engine went first */
}

static inline void rig_init(struct rig *rig, struct bruit_addr bind)
{
    *rig = (struct rig){.uv = NULL};
    assert_int_equal(uv_loop_init(&rig->loop), 0);
    rig->config = (struct bruit_config){
        .struct_size = sizeof rig->config, .packet_size_max = 1400, .stream_timeout = 10 * BRUIT_SECOND};
    bruit_uv_options_init(&rig->options);
    rig->options.bind = bind;
    rig->options.config = &rig->config;
    rig->options.context = rig;
}

static inline void rig_start(struct rig *rig)
{
    int error = bruit_uv_new(&rig->uv, &rig->loop, &rig->options, rig->why, sizeof rig->why);
    if (error != 0)
        fail_msg("%s: %s", bruit_error_name(error), rig->why);
}

/* Runs the loop until `done` says so, or fails after 5 s. */
static inline void rig_run(struct rig *rig, bool (*done)(struct rig *rig))
{
    uint64_t end = uv_hrtime() + 5 * BRUIT_SECOND;
    while (!done(rig)) {
        if (uv_hrtime() > end)
            fail_msg("nothing came of it in 5 s");
        uv_run(&rig->loop, UV_RUN_NOWAIT);
        usleep(500);
    }
}

static inline void rig_run_for(struct rig *rig, bruit_time duration)
{
    uint64_t end = uv_hrtime() + duration;
    while (uv_hrtime() < end) {
        uv_run(&rig->loop, UV_RUN_NOWAIT);
        usleep(500);
    }
}

static inline void rig_end(struct rig *rig)
{
    if (rig->uv != NULL && rig->closed == 0)
        bruit_uv_close(rig->uv, rig_on_closed, rig);
    uv_run(&rig->loop, UV_RUN_DEFAULT);
    assert_int_equal(rig->closed, rig->uv != NULL);
    assert_int_equal(uv_loop_close(&rig->loop), 0);
}

#endif
