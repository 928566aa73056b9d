/*
 * The key-value module of a whole engine, told anything by two peers in any order: messages as they are, answers to the
 * question that is out, pushes, writes; between them writes of its own, records from a disk, a disk that lags or fails,
 * time, and memory that runs out.
 *
 * Besides not crashing: all outputs are pulled after each act, time does not stand still, what is counted is held, and
 * in the end no memory is left. Kinds of acts are below; what an act needs stands behind its byte, and 0 past the end.
 */
#include "fuzz.h"

#include "base/check.h"
#include "engine/engine.h"
#include "module/kv_core.h"
#include "support/memory.h"

#include <bruit/bruit.h>

#include <string.h>

enum act {
    MESSAGE,   /* kind, size, bytes behind the head */
    SESSION,   /* kind, flags, who, size, bytes behind the name: of the question that is out */
    PUT,       /* key, size, mode, lifetime */
    DELETE,    /* key */
    TICK,      /* u16 milliseconds */
    DEADLINE,  /* until the next deadline */
    STORED,    /* status */
    NO_MEMORY, /* after how many */
    READ,      /* key */
    PEERS,     /* one dies, or comes back */
    ACTS,
};

struct fuzzed {
    struct test_memory memory;
    struct bruit_engine *engine;
    struct br_kv *kv;
    bruit_time now;
    uint64_t token;
};

static uint8_t message[1 << 17];

static uint8_t take(struct br_reader *in)
{
    return br_reader_left(in) == 0 ? 0 : br_read_u8(in);
}

static struct bruit_bytes take_bytes(struct br_reader *in)
{
    size_t size = (size_t)take(in) << 8;
    size |= take(in);
    return br_read_bytes(in, size < br_reader_left(in) ? size : br_reader_left(in));
}

static void pull(struct fuzzed *f)
{
    uint8_t buffer[1408];
    struct bruit_datagram datagram;
    struct bruit_stream_op op;
    struct bruit_store_op write;
    struct bruit_event event;
    while (bruit_next_datagram(f->engine, buffer, sizeof buffer, &datagram, f->now))
        BR_ASSERT(datagram.size <= 1400);
    while (bruit_next_stream_op(f->engine, &op))
        if (op.type == BRUIT_STREAM_OPEN)
            (void)bruit_stream_closed(f->engine, op.stream, BRUIT_EREFUSED, f->now);
    while (bruit_next_store_op(f->engine, &write)) {
        BR_ASSERT(write.token == f->token + 1);
        f->token = write.token;
    }
    while (bruit_next_event(f->engine, &event))
        ;
}

/* Two members that carry the module, at addresses where nobody is. */
static void add_peers(struct fuzzed *f)
{
    static const uint8_t vsn[6] = {1, 5, 2, 2, 5, 5};
    for (uint8_t i = 0; i < 2; i++) {
        uint8_t ip[4] = {10, 0, 0, (uint8_t)(2 + i)};
        struct br_alive alive = {.incarnation = 1,
                                 .node = br_bytes_string(i == 0 ? "a" : "b"),
                                 .addr = br_bytes(ip, 4),
                                 .port = 7946,
                                 .vsn = br_bytes(vsn, 6)};
        BR_ASSERT(br_claim_alive(f->engine, &alive) == 0);
        bruit_node node = bruit_member_find(f->engine, alive.node);
        br_claim_own_carries(f->engine, node, 1);
    }
}

static void start(struct fuzzed *f, struct br_reader *in)
{
    static const struct bruit_module *const modules[] = {&bruit_kv_module};
    struct bruit_config config;
    uint8_t options = take(in);
    test_memory_init(&f->memory);
    struct bruit_env env = test_memory_env(&f->memory);
    bruit_config_lan(&config);
    config.name = br_bytes_string("self");
    config.advertise = (struct bruit_addr){.ip = {10, 0, 0, 1}, .size = 4, .port = 7946};
    config.modules = modules;
    config.module_count = 1;
    config.probe_interval = 0;
    config.push_pull_interval = 0;
    config.has_store = (options & 1) != 0;
    f->now = 1000 * BRUIT_SECOND;
    BR_ASSERT(bruit_engine_new(&f->engine, &config, &env, f->now) == 0);
    f->kv = br_kv_of(f->engine);
    struct bruit_kv_options kv;
    bruit_kv_options_default(&kv);
    kv.keys_max = (options & 2) != 0 ? 4 : 1000;
    kv.actors_max = (options & 4) != 0 ? 3 : 100;
    kv.horizon = (options & 8) != 0 ? 20 * BRUIT_SECOND : 3600 * BRUIT_SECOND;
    kv.sync_budget = (options & 16) != 0 ? 100 : 262144;
    BR_ASSERT(bruit_kv_configure(f->engine, &kv) == 0);
    for (uint8_t records = options >> 5; records > 0; records--) {
        struct bruit_bytes key = take_bytes(in);
        (void)bruit_kv_load(f->engine, key, take_bytes(in));
    }
    add_peers(f);
    bruit_kv_wall_time(f->engine, 1700000000 * BRUIT_SECOND, f->now);
    pull(f);
}

static void deliver(struct fuzzed *f, const struct br_writer *w)
{
    static const struct bruit_addr from = {.ip = {10, 0, 0, 2}, .size = 4, .port = 7946};
    struct bruit_bytes all = br_writer_bytes(w);
    br_engine_input(f->engine, f->now);
    bruit_kv_module.on_message(f->kv, all, br_bytes(all.data + 1, all.size - 1), &from);
}

static void tell_message(struct fuzzed *f, struct br_reader *in)
{
    struct br_writer w;
    br_writer_init(&w, message, sizeof message);
    br_kv_write_head(&w, BR_KV_MESSAGE, (enum br_kv_kind)(take(in) % BR_KV_KIND_END));
    br_write_bytes(&w, take_bytes(in));
    deliver(f, &w);
}

static void tell_session(struct fuzzed *f, struct br_reader *in)
{
    struct br_writer w;
    br_writer_init(&w, message, sizeof message);
    br_kv_write_head(&w, BR_KV_MESSAGE, (enum br_kv_kind)(take(in) % BR_KV_KIND_END));
    uint8_t flags = take(in), who = take(in);
    br_kv_write_session(&w, &(struct br_kv_session){.id = who & 2 ? 0 : f->kv->sync.id, .flags = flags});
    br_kv_write_from(&w, br_bytes_string(who & 1 ? "a" : "b"));
    if (flags & BR_KV_ANSWER)
        br_write_u32(&w, 0);
    br_write_bytes(&w, take_bytes(in));
    deliver(f, &w);
}

static struct bruit_bytes key_of(uint8_t number)
{
    static const char *const names[] = {"k", "l", "m", "n", "some/longer/key", "o", "p", ""};
    return br_bytes_string(names[number % 8]);
}

static void put(struct fuzzed *f, struct br_reader *in)
{
    struct bruit_bytes key = key_of(take(in));
    size_t size = (size_t)take(in) * 300;
    uint8_t mode = take(in);
    uint32_t request;
    struct bruit_kv_write how = {.struct_size = sizeof how,
                                 .mode = (enum bruit_kv_mode)(mode % 3),
                                 .lifetime = (enum bruit_kv_lifetime)(mode / 4 % 3),
                                 .ttl = 5 * BRUIT_SECOND,
                                 .owner = br_bytes_string(mode & 16 ? "a" : ""),
                                 .ack = mode >> 5};
    memset(message, 'v', size);
    (void)bruit_kv_put(f->engine, key, br_bytes(message, size), &how, &request, f->now);
}

static void pass(struct fuzzed *f, bruit_time by)
{
    f->now += by;
    for (int i = 0; i < 100 && bruit_deadline(f->engine) <= f->now; i++) {
        (void)bruit_tick(f->engine, f->now);
        pull(f);
    }
}

static void read(struct fuzzed *f, struct br_reader *in)
{
    struct bruit_kv_entry entry = {0};
    struct bruit_kv_change change;
    struct bruit_kv_stat stat;
    struct bruit_bytes key = key_of(take(in));
    uint64_t keys = 0;
    for (uint32_t i = 0; bruit_kv_get(f->engine, key, i, &entry) == 0; i++)
        BR_ASSERT(i < entry.sibling_count);
    entry.key = br_bytes(NULL, 0);
    while (bruit_kv_list(f->engine, br_bytes(NULL, 0), entry.key, &entry))
        keys++;
    BR_ASSERT(bruit_kv_stat(f->engine, &stat) == 0 && keys <= stat.keys);
    uint64_t cursor = 0;
    for (int i = 0; bruit_kv_next_change(f->engine, cursor, br_bytes(NULL, 0), &change); i++)
        BR_ASSERT(i < 3 && (cursor = change.cursor) != 0);
}

static void change_peer(struct fuzzed *f, uint8_t how)
{
    struct br_dead dead = {.incarnation = 1000000, .node = br_bytes_string("a"), .from = br_bytes_string("b")};
    br_engine_input(f->engine, f->now);
    if (how & 1)
        (void)br_claim_dead(f->engine, &dead);
    else
        br_claim_own_carries(f->engine, bruit_member_find(f->engine, br_bytes_string("b")), how & 2 ? 1 : 0);
}

static void act(struct fuzzed *f, struct br_reader *in)
{
    switch (br_read_u8(in) % ACTS) {
    case MESSAGE: tell_message(f, in); break;
    case SESSION: tell_session(f, in); break;
    case PUT: put(f, in); break;
    case DELETE: (void)bruit_kv_delete(f->engine, key_of(take(in)), NULL, NULL, f->now); break;
    case TICK: pass(f, ((bruit_time)take(in) << 8 | take(in)) * BRUIT_MILLISECOND); break;
    case DEADLINE:
        if (bruit_deadline(f->engine) != BRUIT_NEVER && bruit_deadline(f->engine) > f->now)
            pass(f, bruit_deadline(f->engine) - f->now);
        break;
    case STORED: (void)bruit_stored(f->engine, f->token, take(in) == 7 ? BRUIT_EIO : 0, f->now); break;
    case NO_MEMORY: f->memory.fail_at = f->memory.count + 1 + take(in) % 16; break;
    case READ: read(f, in); break;
    default: change_peer(f, take(in)); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzzed f = {0};
    struct br_reader in;
    br_reader_init(&in, br_bytes(data, size));
    start(&f, &in);
    for (int steps = 0; br_reader_left(&in) > 0 && steps < 300; steps++) {
        act(&f, &in);
        pull(&f);
        struct bruit_stats stats;
        bruit_stats_get(f.engine, &stats);
        BR_ASSERT(stats.memory == f.memory.in_use);
    }
    f.memory.fail_at = 0;
    pass(&f, 60 * BRUIT_SECOND);
    bruit_engine_free(f.engine);
    BR_ASSERT(f.memory.in_use == 0);
    return 0;
}
