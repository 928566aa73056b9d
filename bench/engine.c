/*
 * What the engine alone costs: no sockets, no driver, one core.
 *
 *     engine [SECONDS [CASE]]       default 0.3 a case, all of them; prints one line a case
 *
 * The packets are those of the peers' benchmark (bench/README.md): a ping that is answered, a compound of 20 alive
 * messages about known members with an old incarnation, one about new members; plain, compressed, sealed with
 * AES-256. `sync` is a push/pull of 10,000 known members between two engines, `serf` the same with Serf's document
 * in it (the status module), `entry` what a receiver takes for each entry of one that says nothing new, when it
 * knows the members in the same order, or in any (shuffled). Times are CPU time of this process: the median of
 * several batches, with the smallest and the largest. `allocs` counts how often the engine asked for memory while it
 * handled packets that say nothing new: never. `memory` is what an engine that knows 10,000 members, and has passed
 * all of it on, holds for each of them.
 */
#include "base/alloc.h"
#include "base/bytes.h"
#include "base/rng.h"
#include "codec/packet.h"
#include "codec/pushpull.h"

#include <bruit/bruit.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCHES 9
#define SYNCS 21
#define KNOWN 1000
#define MANY 10000
#define PER_PACKET 20

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- a member ---- */

static struct bruit_cipher cipher;
static bruit_time now = 1000 * BRUIT_SECOND;
static const uint8_t key[32] = {1, 2, 3};

enum { SEALED = 1, COMPRESSION = 2, SERF = 4, GOSSIP = 8 };

static struct bruit_engine *engine_new(const char *name, uint8_t last, unsigned options)
{
    static const struct bruit_module *const modules[] = {&bruit_status_module};
    struct bruit_bytes keys[] = {br_bytes(key, sizeof key)};
    struct bruit_config config;
    struct bruit_env env = {.struct_size = sizeof env, .entropy = bruit_entropy_os};
    struct bruit_engine *engine = NULL;
    bruit_config_lan(&config);
    config.name = br_bytes_string(name);
    config.advertise = (struct bruit_addr){.ip = {127, 79, 0, last}, .size = 4, .port = 7946};
    config.seed = last;
    config.compression = options & COMPRESSION;
    config.probe_interval = 0; /* the members are made up */
    config.push_pull_interval = 0;
    if (!(options & GOSSIP))
        config.gossip_interval = 0;
    config.early_sync_budget = 0;
    config.modules = modules;
    config.module_count = options & SERF ? 1 : 0;
    if (options & SEALED) {
        env.cipher = &cipher;
        config.keys = keys;
        config.key_count = 1;
    }
    int status = bruit_engine_new(&engine, &config, &env, now);
    if (status != 0) {
        fprintf(stderr, "engine: %s\n", bruit_strerror(status));
        exit(1);
    }
    return engine;
}

static void drain(struct bruit_engine *engine)
{
    uint8_t buffer[2048];
    struct bruit_datagram out;
    struct bruit_event event;
    while (bruit_next_datagram(engine, buffer, sizeof buffer, &out, now))
        ;
    while (bruit_next_event(engine, &event))
        ;
}

/* ---- packets ---- */

struct packets {
    uint8_t (*data)[1500];
    size_t *size;
    size_t count;
};

/* The sender's pipeline is our own: its bytes are memberlist's, as the vectors show. */
struct sender {
    struct br_alloc alloc;
    struct br_keyring keyring;
    struct br_wire wire;
    struct br_scratch scratch;
};

static void sender_init(struct sender *s, bool sealed, bool compression)
{
    br_alloc_init(&s->alloc, NULL, 0);
    br_keyring_init(&s->keyring, &cipher, &s->alloc);
    if (sealed)
        (void)br_keyring_add(&s->keyring, br_bytes(key, sizeof key));
    s->wire = (struct br_wire){.keyring = &s->keyring,
                               .verify_incoming = true,
                               .verify_outgoing = true,
                               .compression = compression,
                               .seal_version = 1,
                               .entropy = bruit_entropy_os};
    br_scratch_init(&s->scratch, &s->alloc);
}

static struct packets packets_new(size_t count)
{
    struct packets p = {calloc(count, sizeof *p.data), calloc(count, sizeof *p.size), count};
    if (p.data == NULL || p.size == NULL)
        exit(1);
    return p;
}

static void packets_free(struct packets *p)
{
    free(p->data);
    free(p->size);
}

static struct packets make_pings(bool sealed)
{
    struct sender s;
    struct packets p = packets_new(64);
    const uint8_t ip[4] = {127, 79, 200, 1};
    sender_init(&s, sealed, false);
    for (size_t i = 0; i < p.count; i++) {
        struct br_packet_builder b;
        br_packet_begin(&b, &s.wire, &s.scratch, p.data[i], sizeof p.data[i], false);
        struct br_writer w = br_packet_leaf(&b);
        br_ping_encode(&w, &(struct br_ping){.seq = 1000000 + (uint32_t)i,
                                             .node = br_bytes_text("target"),
                                             .source_addr = br_bytes(ip, 4),
                                             .source_port = 9000,
                                             .source_node = br_bytes_text("flooder")});
        (void)br_packet_leaf_end(&b, &w);
        (void)br_packet_finish(&b, &p.size[i]);
    }
    br_keyring_fini(&s.keyring);
    return p;
}

static void encode_alive(struct br_writer *w, uint32_t i, uint32_t incarnation)
{
    const uint8_t ip[4] = {127, 80, (uint8_t)(i >> 8), (uint8_t)i};
    const uint8_t vsn[6] = {1, 5, 2, 2, 5, 4};
    char name[16];
    snprintf(name, sizeof name, "node-%05u", i);
    br_alive_encode(w, &(struct br_alive){.incarnation = incarnation,
                                          .node = br_bytes_string(name),
                                          .addr = br_bytes(ip, 4),
                                          .port = 7946,
                                          .vsn = br_bytes(vsn, 6)});
}

static struct packets make_alives_of(uint32_t per_packet, uint32_t first, uint32_t members,
                                     uint32_t incarnation, bool sealed, bool compress)
{
    struct sender s;
    struct packets p = packets_new(members / per_packet);
    sender_init(&s, sealed, compress);
    for (size_t i = 0; i < p.count; i++) {
        struct br_packet_builder b;
        br_packet_begin(&b, &s.wire, &s.scratch, p.data[i], sizeof p.data[i], false);
        for (uint32_t j = 0; j < per_packet; j++) {
            struct br_writer w = br_packet_leaf(&b);
            encode_alive(&w, first + (uint32_t)i * per_packet + j, incarnation);
            (void)br_packet_leaf_end(&b, &w);
        }
        (void)br_packet_finish(&b, &p.size[i]);
    }
    br_keyring_fini(&s.keyring);
    return p;
}

static struct packets make_alives(uint32_t first, uint32_t members, uint32_t incarnation, bool sealed,
                                  bool compress)
{
    return make_alives_of(PER_PACKET, first, members, incarnation, sealed, compress);
}

static const struct bruit_addr flooder = {.ip = {127, 79, 200, 1}, .size = 4, .port = 9000};

static size_t feed(struct bruit_engine *engine, const struct packets *p, bool answered)
{
    uint8_t buffer[2048];
    struct bruit_datagram out;
    size_t answers = 0;
    for (size_t i = 0; i < p->count; i++) {
        (void)bruit_recv_datagram(engine, &flooder, br_bytes(p->data[i], p->size[i]), now);
        while (answered && bruit_next_datagram(engine, buffer, sizeof buffer, &out, now))
            answers++;
    }
    return answers;
}

/* ---- measuring ---- */

static double seconds_per_case = 0.3;

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_case(const char *name, const char *variant, double *samples, size_t count, double per,
                       const char *unit)
{
    qsort(samples, count, sizeof *samples, compare);
    printf("%-10s %-9s %9.3f us/%s (%.3f-%.3f)\n", name, variant, samples[count / 2] / per * 1e6, unit,
           samples[0] / per * 1e6, samples[count - 1] / per * 1e6);
}

static uint64_t allocations;

static void repeat(const char *name, const char *variant, struct bruit_engine *engine,
                   const struct packets *p, bool answered)
{
    double samples[BATCHES];
    struct bruit_stats before;
    struct bruit_stats after;
    feed(engine, p, answered);
    double start = cpu_now();
    feed(engine, p, answered);
    double once = cpu_now() - start;
    size_t loops = (size_t)(seconds_per_case / BATCHES / (once > 1e-7 ? once : 1e-7)) + 1;
    bruit_stats_get(engine, &before);
    for (int b = 0; b < BATCHES; b++) {
        start = cpu_now();
        for (size_t i = 0; i < loops; i++)
            feed(engine, p, answered);
        samples[b] = (cpu_now() - start) / (double)loops;
    }
    bruit_stats_get(engine, &after);
    print_case(name, variant, samples, BATCHES, (double)p->count, "packet");
    allocations += after.allocations - before.allocations;
}

static void bench_ping(const char *variant, unsigned options)
{
    struct bruit_engine *engine = engine_new("target", 1, options);
    struct packets p = make_pings(options & SEALED);
    if (feed(engine, &p, true) != p.count)
        printf("ping: not all answered\n");
    repeat("ping", variant, engine, &p, true);
    packets_free(&p);
    bruit_engine_free(engine);
}

static void bench_known(const char *variant, unsigned options)
{
    struct bruit_engine *engine = engine_new("target", 1, options | COMPRESSION);
    struct packets fresh = make_alives(0, KNOWN, 10, options & SEALED, false);
    struct packets stale = make_alives(0, KNOWN, 5, options & SEALED, options & COMPRESSION);
    feed(engine, &fresh, false);
    drain(engine);
    repeat("known", variant, engine, &stale, false);
    packets_free(&fresh);
    packets_free(&stale);
    bruit_engine_free(engine);
}

static void bench_new(const char *variant, unsigned options)
{
    double samples[BATCHES];
    struct packets p = make_alives(0, MANY, 5, options & SEALED, options & COMPRESSION);
    for (int b = 0; b < BATCHES; b++) {
        struct bruit_engine *engine = engine_new("target", 1, options | COMPRESSION);
        double start = cpu_now();
        feed(engine, &p, false);
        samples[b] = cpu_now() - start;
        if (bruit_member_count(engine) != MANY + 1)
            printf("new: %zu members\n", bruit_member_count(engine));
        bruit_engine_free(engine);
    }
    print_case("new", variant, samples, BATCHES, (double)p.count, "packet");
    packets_free(&p);
}

/* ---- memory ---- */

static void bench_memory(const char *variant, unsigned options)
{
    struct bruit_stats stats;
    struct bruit_engine *engine = engine_new("target", 1, options | GOSSIP);
    struct packets p = make_alives(0, MANY, 5, false, false);
    bruit_stats_get(engine, &stats);
    uint64_t empty = stats.memory;
    feed(engine, &p, false);
    do {
        now = bruit_deadline(engine) > now ? bruit_deadline(engine) : now;
        (void)bruit_tick(engine, now);
        drain(engine);
        bruit_stats_get(engine, &stats);
    } while (stats.rumours > 0);
    printf("%-10s %-9s %9.1f bytes/member\n", "memory", variant, (double)(stats.memory - empty) / MANY);
    packets_free(&p);
    bruit_engine_free(engine);
}

/* ---- push/pull ---- */

/* What `from` wants done with streams, done to `to`: true when it has closed. */
static bool pump(struct bruit_engine *from, struct bruit_engine *to, uint32_t *to_stream)
{
    struct bruit_stream_op op;
    bool closed = false;
    while (bruit_next_stream_op(from, &op)) {
        if (op.type == BRUIT_STREAM_OPEN) {
            (void)bruit_stream_accepted(to, &flooder, to_stream, now);
            (void)bruit_stream_opened(from, op.stream, now);
        } else if (op.type == BRUIT_STREAM_SEND) {
            (void)bruit_recv_stream(to, *to_stream, op.bytes, now);
            (void)bruit_stream_sent(from, op.stream, now);
        } else {
            closed = true;
        }
    }
    return closed;
}

/* The dialling side's numbers go up by one a sync: `number` is the one of this. */
static double sync_once(struct bruit_engine *a, struct bruit_engine *b, uint32_t number)
{
    const struct bruit_join_target target = {.addr = {.ip = {127, 79, 0, 2}, .size = 4, .port = 7946}};
    uint32_t request;
    uint32_t theirs = 0;
    double start = cpu_now();
    (void)bruit_join(a, &target, 1, 0, &request, now);
    int rounds = 0;
    while (!pump(a, b, &theirs) && rounds++ < 200)
        (void)pump(b, a, &number);
    double taken = cpu_now() - start;
    if (rounds >= 200)
        printf("sync: not done\n");
    drain(a);
    drain(b);
    return taken;
}

static void bench_sync(const char *name, const char *variant, unsigned options)
{
    double samples[SYNCS];
    struct bruit_engine *a = engine_new("alpha", 3, options);
    struct bruit_engine *b = engine_new("beta", 2, options);
    struct packets p = make_alives(0, MANY, 5, options & SEALED, false);
    feed(a, &p, false);
    feed(b, &p, false);
    for (uint32_t i = 0; i < SYNCS; i++)
        samples[i] = sync_once(a, b, i + 1);
    print_case(name, variant, samples, SYNCS, 1, "exchange");
    packets_free(&p);
    bruit_engine_free(a);
    bruit_engine_free(b);
}

/* A whole push/pull message of `engine`, taken off a stream it dialled; its size in *size. */
static uint8_t *state_of(struct bruit_engine *engine, size_t *size)
{
    const struct bruit_join_target target = {.addr = {.ip = {127, 79, 0, 2}, .size = 4, .port = 7946}};
    struct bruit_stream_op op;
    uint8_t *bytes = malloc(4 << 20);
    uint32_t request;
    *size = 0;
    if (bytes == NULL)
        exit(1);
    (void)bruit_join(engine, &target, 1, 0, &request, now);
    while (bruit_next_stream_op(engine, &op)) {
        if (op.type == BRUIT_STREAM_OPEN) {
            (void)bruit_stream_opened(engine, op.stream, now);
        } else if (op.type == BRUIT_STREAM_SEND && *size + op.bytes.size <= 4 << 20) {
            memcpy(bytes + *size, op.bytes.data, op.bytes.size);
            *size += op.bytes.size;
            (void)bruit_stream_sent(engine, op.stream, now);
        }
    }
    return bytes;
}

/* Packets in an order by lot, so that whoever is fed them knows members in another order than others do. */
static void shuffle(struct packets *p)
{
    struct br_rng rng;
    br_rng_init(&rng, 1, "shuffle");
    for (size_t i = p->count; i > 1; i--) {
        size_t j = br_rng_below(&rng, (uint32_t)i);
        uint8_t packet[1500];
        size_t size = p->size[i - 1];
        memcpy(packet, p->data[i - 1], sizeof packet);
        memcpy(p->data[i - 1], p->data[j], sizeof packet);
        memcpy(p->data[j], packet, sizeof packet);
        p->size[i - 1] = p->size[j];
        p->size[j] = size;
    }
}

/* Only the receiving: in pieces as the driver reads them, up to the moment when all is merged. */
static void bench_entry(const char *variant, bool is_shuffled)
{
    double samples[SYNCS];
    struct bruit_engine *a = engine_new("alpha", 3, 0);
    struct bruit_engine *b = engine_new("beta", 2, 0);
    struct packets p = make_alives(0, MANY, 5, false, false);
    struct bruit_stream_op op;
    uint32_t stream;
    size_t size;
    feed(a, &p, false);
    if (is_shuffled) {
        packets_free(&p);
        p = make_alives_of(1, 0, MANY, 5, false, false);
        shuffle(&p);
    }
    feed(b, &p, false);
    uint8_t *state = state_of(a, &size);
    for (uint32_t i = 0; i < SYNCS; i++) {
        (void)bruit_stream_accepted(b, &flooder, &stream, now);
        double start = cpu_now();
        for (size_t at = 0; at < size; at += 65536)
            (void)bruit_recv_stream(b, stream, br_bytes(state + at, size - at < 65536 ? size - at : 65536),
                                    now);
        samples[i] = cpu_now() - start;
        while (bruit_next_stream_op(b, &op))
            (void)bruit_stream_sent(b, stream, now);
        (void)bruit_stream_closed(b, stream, 0, now);
    }
    print_case("entry", variant, samples, SYNCS, MANY + 1, "entry");
    free(state);
    packets_free(&p);
    bruit_engine_free(a);
    bruit_engine_free(b);
}

static const char *only;

static bool is_wanted(const char *name)
{
    return only == NULL || strcmp(only, name) == 0;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seconds_per_case = atof(argv[1]);
    if (argc > 2)
        only = argv[2];
    if (bruit_cipher_openssl(&cipher) != 0)
        return fprintf(stderr, "%s\n", bruit_cipher_openssl_hint()), 1;
    if (is_wanted("ping")) {
        bench_ping("plain", COMPRESSION);
        bench_ping("nocomp", 0);
        bench_ping("sealed", SEALED | COMPRESSION);
    }
    if (is_wanted("known")) {
        bench_known("plain", 0);
        bench_known("comp", COMPRESSION);
        bench_known("sealed", SEALED);
        bench_known("comp+seal", SEALED | COMPRESSION);
    }
    printf("%-10s %-9s %9llu in all of the above\n", "allocs", "plain", (unsigned long long)allocations);
    if (is_wanted("new")) {
        bench_new("plain", 0);
        bench_new("comp", COMPRESSION);
        bench_new("sealed", SEALED);
    }
    if (is_wanted("sync")) {
        bench_sync("sync", "nocomp", 0);
        bench_sync("sync", "plain", COMPRESSION);
        bench_sync("sync", "sealed", SEALED | COMPRESSION);
        bench_sync("serf", "nocomp", SERF);
        bench_sync("serf", "plain", SERF | COMPRESSION);
    }
    if (is_wanted("entry")) {
        bench_entry("plain", false);
        bench_entry("shuffled", true);
    }
    if (is_wanted("memory")) {
        bench_memory("plain", 0);
        bench_memory("serf", SERF);
    }
    bruit_cipher_openssl_close(&cipher);
    return 0;
}
