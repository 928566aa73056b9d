/* Reading a recording, and one engine that lives through it again; see record.h and record_parts.h. */
#include "sim/record_parts.h"

#include "base/bytes.h"
#include "engine/shared.h"
#include "sim/scenario.h"

#include <bruit/cipher.h>
#include <bruit/event.h>
#include <bruit/query.h>
#include <bruit/status.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Some minutes of a busy node; what is larger is not one of ours. */
#define FILE_SIZE_MAX (UINT64_C(4) << 30)
#define KEYS_MAX 64
#define TARGETS_MAX 64

struct replay {
    struct br_reader reader;
    struct bruit_engine *engine;
    struct br_replay_result *result;
    struct bruit_cipher cipher;
    bool has_cipher;
    void (*on_trace)(void *context, const struct bruit_trace_record *record);
    void *context;
    uint64_t nonce;
    bool is_fresh;   /* an input came, and nothing was pulled since */
    bool is_pulling; /* stream operations are being pulled: datagrams were */
    uint8_t buffer[65600];
    const char *mistake; /* what is wrong with the file; NULL: nothing yet */
};

/* ------------------------------------------------------------------ parts */

static struct bruit_bytes get_bytes(struct br_reader *r)
{
    return br_read_bytes(r, br_read_u32(r));
}

static struct bruit_addr get_addr(struct br_reader *r)
{
    struct bruit_addr addr = {.size = br_read_u8(r)};
    struct bruit_bytes ip = br_read_bytes(r, sizeof addr.ip);
    if (ip.size == sizeof addr.ip)
        memcpy(addr.ip, ip.data, sizeof addr.ip);
    addr.port = br_read_u16(r);
    if (addr.size != 0 && addr.size != 4 && addr.size != 16)
        br_reader_fail(r);
    return addr;
}

/* ------------------------------------------------------------------ the engine's surroundings */

static void trace(void *context, const struct bruit_trace_record *record)
{
    struct replay *p = context;
    p->result->hash = bruit_trace_hash(p->result->hash, record);
    p->result->records++;
    if (p->on_trace != NULL)
        p->on_trace(p->context, record);
}

/* Nonces decide nothing; they only have to differ. */
static int entropy(void *context, uint8_t *out, size_t size)
{
    struct replay *p = context;
    uint8_t number[8];
    br_store_u64(number, ++p->nonce);
    for (size_t i = 0; i < size; i++)
        out[i] = number[7 - i % 8];
    return 0;
}

static void pull_datagrams(struct replay *p, bruit_time now)
{
    struct bruit_datagram datagram;
    while (bruit_next_datagram(p->engine, p->buffer, sizeof p->buffer, &datagram, now))
        ;
}

static bool pull_events(struct replay *p)
{
    struct bruit_event event;
    bool any = false;
    struct bruit_query query;
    bruit_time now = p->engine->core.now;
    while (bruit_next_event(p->engine, &event)) {
        any = true; /* the runner's program answers queries at once (scenario_ask.c) */
        if (event.type == BRUIT_EVENT_QUERY && bruit_query_read(&event, &query) == 0 && !query.is_internal)
            (void)bruit_query_respond(p->engine, query.handle, br_bytes(NULL, 0), now);
    }
    return any;
}

/* The disk is the recording's: it says when something was durable. */
static void pull_store(struct replay *p)
{
    struct bruit_store_op op;
    while (bruit_next_store_op(p->engine, &op))
        ;
}

/* As host.c pulls: datagrams, then stream operations, then writes, then events, until there is nothing. */
static void pull(struct replay *p, bruit_time now)
{
    struct bruit_stream_op op;
    bool again;
    do {
        if (!p->is_pulling)
            pull_datagrams(p, now);
        again = p->is_pulling; /* some operations were pulled already */
        p->is_pulling = false;
        while (bruit_next_stream_op(p->engine, &op))
            again = true;
        pull_store(p);
        again |= pull_events(p);
    } while (again);
}

/*
 * The kernel takes what is sent at once as long as it has room: the world says so while it still pulls, that is,
 * before the next operation. Outside of a pull, nothing is to be found here and the loop ends at once.
 */
static void pull_until_sent(struct replay *p, uint32_t stream, bruit_time now)
{
    struct bruit_stream_op op;
    bool any;
    do {
        any = false;
        if (!p->is_pulling)
            pull_datagrams(p, now);
        p->is_pulling = true;
        while (bruit_next_stream_op(p->engine, &op)) {
            if (op.type == BRUIT_STREAM_SEND && op.stream == stream)
                return;
            any = true;
        }
        pull_store(p);
        any |= pull_events(p);
        p->is_pulling = false;
    } while (any);
}

/* ------------------------------------------------------------------ beginnings */

static bool read_settings(struct replay *p, struct bruit_config *config, struct bruit_bytes text)
{
    struct br_scenario *scenario;
    struct br_scenario_error error;
    if (br_scenario_parse(&scenario, text, &error) != 0)
        return false;
    struct bruit_config parsed = scenario->config.engine;
    const char *name;
    char value[300];
    for (uint32_t i = 0; br_scenario_key(&parsed, i, &name, value, sizeof value); i++)
        if (strcmp(name, "label") != 0)
            br_scenario_key_copy(config, &parsed, i);
    br_scenario_free(scenario);
    (void)p;
    return true;
}

static void start(struct replay *p, bruit_time now)
{
    struct br_reader *r = &p->reader;
    const struct bruit_module *modules[16];
    struct bruit_bytes keys[KEYS_MAX];
    struct bruit_config config;
    bruit_config_lan(&config);
    config.seed = br_read_u64(r);
    config.bind_port = br_read_u16(r);
    config.name = get_bytes(r);
    config.advertise = get_addr(r);
    config.meta = get_bytes(r);
    config.label = get_bytes(r);
    uint32_t bits = br_read_u32(r);
    for (size_t i = 0; i < br_scenario_module_count; i++)
        if (bits >> i & 1u)
            modules[config.module_count++] = br_scenario_modules[i].module;
    config.modules = modules;
    config.key_count = br_read_u8(r);
    config.keys = keys;
    for (size_t i = 0; i < config.key_count && i < KEYS_MAX; i++)
        keys[i] = get_bytes(r);
    struct bruit_bytes settings = get_bytes(r);
    if (r->failed || p->engine != NULL || config.key_count > KEYS_MAX ||
        !read_settings(p, &config, settings)) {
        p->mistake = "the beginning of a life cannot be read";
        return;
    }
    if (config.key_count > 0 && !p->has_cipher) {
        p->has_cipher = bruit_cipher_openssl(&p->cipher) == 0;
        if (!p->has_cipher) {
            p->mistake = bruit_cipher_openssl_hint();
            return;
        }
    }
    struct bruit_env env = {.struct_size = sizeof env,
                            .context = p,
                            .entropy = entropy,
                            .cipher = p->has_cipher ? &p->cipher : NULL,
                            .trace = trace,
                            .trace_level = BRUIT_TRACE_DEBUG};
    p->result->lives++;
    if (bruit_engine_new(&p->engine, &config, &env, now) != 0)
        p->mistake = "the engine does not take its configuration";
}

static bool meet(struct replay *p, uint32_t *record, uint32_t *incarnation, uint8_t *carries)
{
    struct br_reader *r = &p->reader;
    struct br_alive alive = {.incarnation = br_read_u32(r), .port = br_read_u16(r)};
    *carries = br_read_u8(r);
    alive.node = get_bytes(r);
    alive.addr = get_bytes(r);
    alive.meta = get_bytes(r);
    alive.vsn = get_bytes(r);
    if (r->failed || !br_alive_is_sane(&alive) || alive.vsn.size != BR_VSN_SIZE ||
        alive.meta.size > BRUIT_META_MAX)
        return false;
    *record = br_roster_intern(p->engine->core.roster, &alive);
    *incarnation = alive.incarnation;
    return *record != 0;
}

static void know(struct replay *p)
{
    struct br_reader *r = &p->reader;
    uint32_t count = br_read_u32(r), met = 0;
    if (count > br_reader_left(r)) {
        p->mistake = "more members than bytes";
        return;
    }
    uint32_t *records = calloc((size_t)count + 1, sizeof *records);
    uint32_t *incarnations = calloc((size_t)count + 1, sizeof *incarnations);
    uint8_t *carries = calloc((size_t)count + 1, 1);
    bool ok = records != NULL && incarnations != NULL && carries != NULL;
    while (ok && met < count && meet(p, &records[met], &incarnations[met], &carries[met]))
        met++;
    if (!ok || met < count || br_engine_preload(p->engine, records, incarnations, carries, count) != 0)
        p->mistake = "the members known from the beginning cannot be read";
    while (met > 0)
        br_roster_drop(p->engine->core.roster, records[--met]);
    free(records);
    free(incarnations);
    free(carries);
    struct bruit_event event;
    while (bruit_next_event(p->engine, &event))
        ; /* as preload.c: it has been so for long */
}

static void set_clocks(struct replay *p)
{
    uint64_t members = br_read_u64(&p->reader), events = br_read_u64(&p->reader);
    if (bruit_engine_module(p->engine, &bruit_status_module) != NULL && members > 0)
        bruit_status_witness(p->engine, members - 1);
    if (bruit_engine_module(p->engine, &bruit_event_module) != NULL && events > 0)
        bruit_event_witness(p->engine, events - 1);
}

/* ------------------------------------------------------------------ inputs */

static void join(struct replay *p, bruit_time now)
{
    struct br_reader *r = &p->reader;
    struct bruit_join_target targets[TARGETS_MAX];
    uint32_t flags = br_read_u32(r), count = br_read_u32(r), request;
    if (count > TARGETS_MAX) {
        br_reader_fail(r);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        targets[i].addr = get_addr(r);
        targets[i].name = get_bytes(r);
    }
    if (!r->failed)
        (void)bruit_join(p->engine, targets, count, flags, &request, now);
}

static void accept_stream(struct replay *p, bruit_time now)
{
    struct bruit_addr addr = get_addr(&p->reader);
    uint32_t expected = br_read_u32(&p->reader), stream = 0;
    if (p->reader.failed)
        return;
    if (bruit_stream_accepted(p->engine, &addr, &stream, now) != 0)
        stream = 0;
    if (stream != expected)
        p->mistake = "the engine gave a connection another number: it is not the engine that was recorded";
}

static void stored(struct replay *p, bruit_time now)
{
    uint64_t token = br_read_u64(&p->reader);
    int status = (int)(int32_t)br_read_u32(&p->reader);
    if (!p->reader.failed)
        (void)bruit_stored(p->engine, token, status, now);
}

static void loaded(struct replay *p)
{
    struct bruit_bytes space = get_bytes(&p->reader), key = get_bytes(&p->reader),
                       value = get_bytes(&p->reader);
    if (!p->reader.failed && br_scenario_load(p->engine, space, key, value) != 0)
        p->mistake = "a module does not take what it had stored";
}

static void input(struct replay *p, bruit_time now)
{
    struct br_reader *r = &p->reader;
    struct bruit_addr addr;
    struct bruit_bytes bytes;
    uint32_t stream;
    int error;
    bool is_fresh = p->is_fresh;
    p->result->inputs++;
    p->is_fresh = r->at < r->end && *r->at != BRUIT_SIM_IN_PULLED;
    switch ((enum bruit_sim_input_type)br_read_u8(r)) {
    case BRUIT_SIM_IN_DATAGRAM:
        addr = get_addr(r);
        bytes = get_bytes(r);
        if (!r->failed)
            (void)bruit_recv_datagram(p->engine, &addr, bytes, now);
        return;
    case BRUIT_SIM_IN_TICK: (void)bruit_tick(p->engine, now); return;
    case BRUIT_SIM_IN_ACCEPTED: accept_stream(p, now); return;
    case BRUIT_SIM_IN_OPENED: (void)bruit_stream_opened(p->engine, br_read_u32(r), now); return;
    case BRUIT_SIM_IN_SENT:
        stream = br_read_u32(r);
        if (is_fresh)
            pull_until_sent(p, stream, now);
        (void)bruit_stream_sent(p->engine, stream, now);
        return;
    case BRUIT_SIM_IN_BYTES:
        stream = br_read_u32(r);
        bytes = get_bytes(r);
        (void)bruit_recv_stream(p->engine, stream, bytes, now);
        return;
    case BRUIT_SIM_IN_CLOSED:
        stream = br_read_u32(r);
        error = (int)(int32_t)br_read_u32(r);
        (void)bruit_stream_closed(p->engine, stream, error, now);
        return;
    case BRUIT_SIM_IN_JOIN: join(p, now); return;
    case BRUIT_SIM_IN_LEAVE: (void)bruit_leave(p->engine, br_read_u64(r), now); return;
    case BRUIT_SIM_IN_PULLED: pull(p, now); return;
    case BRUIT_SIM_IN_STORED: stored(p, now); return;
    case BRUIT_SIM_IN_LOADED: loaded(p); return;
    }
    br_reader_fail(r);
}

/* The payload is zeros. */
static void send_event(struct replay *p, bruit_time now)
{
    struct bruit_bytes name = get_bytes(&p->reader);
    uint32_t size = br_read_u32(&p->reader);
    uint8_t *payload = size > (1u << 24) ? NULL : calloc(1, (size_t)size + 1);
    if (payload == NULL)
        br_reader_fail(&p->reader);
    if (!p->reader.failed)
        (void)bruit_user_event(p->engine, name, br_bytes(payload, size), false, now);
    free(payload);
}

static void start_query(struct replay *p, bruit_time now)
{
    struct bruit_query_params params = {.struct_size = sizeof params, .until = BRUIT_QUERY_UNTIL_RESPONDED};
    uint32_t request;
    params.name = get_bytes(&p->reader);
    params.timeout = br_read_u64(&p->reader);
    if (!p->reader.failed)
        (void)bruit_query_start(p->engine, &params, &request, now);
}

static void change_key(struct replay *p)
{
    uint8_t how = br_read_u8(&p->reader);
    struct bruit_bytes key = get_bytes(&p->reader);
    if (how == BR_SECRET_ADD)
        (void)bruit_key_add(p->engine, key);
    else if (how == BR_SECRET_USE)
        (void)bruit_key_use(p->engine, key);
    else
        (void)bruit_key_remove(p->engine, key);
}

/* ------------------------------------------------------------------ the whole */

static void stop(struct replay *p)
{
    if (br_read_u64(&p->reader) != bruit_view_checksum(p->engine))
        p->mistake = "at the end of a life the members are not those that were recorded";
    bruit_engine_free(p->engine);
    p->engine = NULL;
}

static void end(struct replay *p)
{
    p->result->recorded_hash = br_read_u64(&p->reader);
    (void)br_read_u64(&p->reader);
    p->result->has_end = !p->reader.failed;
}

static void replay_entry(struct replay *p)
{
    struct br_reader *r = &p->reader;
    enum br_record_type type = (enum br_record_type)br_read_u8(r);
    bruit_time now = br_read_u64(r);
    uint32_t request;
    if (type == BR_RECORD_START) {
        start(p, now);
    } else if (type == BR_RECORD_END) {
        end(p);
    } else if (p->engine == NULL || now < p->engine->core.now * (type != BR_RECORD_STOP)) {
        p->mistake = "an input to no engine, or from the past";
    } else {
        struct bruit_bytes bytes;
        switch (type) {
        case BR_RECORD_KNOWN: know(p); break;
        case BR_RECORD_CLOCKS: set_clocks(p); break;
        case BR_RECORD_INPUT: input(p, now); break;
        case BR_RECORD_META:
            bytes = get_bytes(r);
            (void)bruit_set_meta(p->engine, bytes, now);
            break;
        case BR_RECORD_KEY: change_key(p); break;
        case BR_RECORD_FORGET:
            bytes = get_bytes(r);
            (void)bruit_force_leave(p->engine, bytes, true, &request, now);
            break;
        case BR_RECORD_EVENT: send_event(p, now); break;
        case BR_RECORD_QUERY: start_query(p, now); break;
        case BR_RECORD_STOP: stop(p); break;
        default: br_reader_fail(r); break;
        }
    }
    if (r->failed && p->mistake == NULL)
        p->mistake = "an entry is cut short, or of a kind that does not exist";
}

static uint8_t *load(const char *path, size_t *size, char *why, size_t why_size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    size_t capacity = 1 << 16;
    *size = 0;
    while (file != NULL && capacity <= FILE_SIZE_MAX) {
        uint8_t *more = realloc(data, capacity);
        if (more == NULL)
            break;
        data = more;
        *size += fread(data + *size, 1, capacity - *size, file);
        if (*size < capacity)
            break;
        capacity *= 2;
    }
    bool is_bad = file == NULL || data == NULL || ferror(file) != 0 || capacity > FILE_SIZE_MAX;
    if (is_bad)
        (void)snprintf(why, why_size, "cannot read %s: %s", path,
                       file == NULL ? strerror(errno) : "too large, or no memory");
    if (file != NULL)
        (void)fclose(file);
    if (is_bad) {
        free(data);
        return NULL;
    }
    return data;
}

int br_replay(const char *path, void (*on_trace)(void *context, const struct bruit_trace_record *record),
              void *context, struct br_replay_result *result, char *why, size_t why_size)
{
    size_t size;
    *result = (struct br_replay_result){0};
    uint8_t *data = load(path, &size, why, why_size);
    struct replay *p = calloc(1, sizeof *p);
    int status = data == NULL ? BRUIT_EIO : p == NULL ? BRUIT_ENOMEM : 0;
    if (status == 0) {
        p->result = result;
        p->on_trace = on_trace;
        p->context = context;
        br_reader_init(&p->reader, br_bytes(data, size));
        struct bruit_bytes magic = br_read_bytes(&p->reader, BR_RECORD_MAGIC_SIZE);
        if (!br_bytes_equal(magic, br_bytes_text(BR_RECORD_MAGIC)))
            p->mistake =
                "it begins as no recording of this version does: make one with bruit sim run --record";
        while (p->mistake == NULL && !result->has_end && br_reader_left(&p->reader) > 0)
            replay_entry(p);
        if (p->mistake != NULL) {
            (void)snprintf(why, why_size, "%s, at byte %zu: %s", path, size - br_reader_left(&p->reader),
                           p->mistake);
            status = BRUIT_EFORMAT;
        }
        bruit_engine_free(p->engine);
        if (p->has_cipher)
            bruit_cipher_openssl_close(&p->cipher);
    }
    free(p);
    free(data);
    return status;
}
