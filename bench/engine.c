/*
 * What the engine alone costs: no sockets, no driver, one core.
 *
 *     bench-engine [SECONDS]        default 0.3 a case; prints one line a case
 *
 * The packets are those of the peers' benchmark (bench/README.md): a ping that is answered, a compound of 20 alive
 * messages about known members with an old incarnation, one about new members; plain, compressed, sealed with
 * AES-256; and a push/pull of 10,000 members between two engines. Times are CPU time of this process: the median of
 * several batches, with the smallest and the largest.
 */
#include "base/alloc.h"
#include "base/bytes.h"
#include "codec/packet.h"
#include "codec/pushpull.h"

#include <bruit/bruit.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCHES 9
#define KNOWN 1000
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

static struct bruit_engine *engine_new(const char *name, uint8_t last, bool sealed, bool compression)
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
    config.compression = compression;
    config.probe_interval = 0; /* the members are made up */
    config.push_pull_interval = 0;
    config.gossip_interval = 0;
    config.early_sync_budget = 0;
    config.modules = modules;
    config.module_count = 1;
    if (sealed) {
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

static struct packets make_alives(uint32_t first, uint32_t members, uint32_t incarnation, bool sealed,
                                  bool compress)
{
    struct sender s;
    struct packets p = packets_new(members / PER_PACKET);
    sender_init(&s, sealed, compress);
    for (size_t i = 0; i < p.count; i++) {
        struct br_packet_builder b;
        br_packet_begin(&b, &s.wire, &s.scratch, p.data[i], sizeof p.data[i], false);
        for (uint32_t j = 0; j < PER_PACKET; j++) {
            struct br_writer w = br_packet_leaf(&b);
            encode_alive(&w, first + (uint32_t)i * PER_PACKET + j, incarnation);
            (void)br_packet_leaf_end(&b, &w);
        }
        (void)br_packet_finish(&b, &p.size[i]);
    }
    br_keyring_fini(&s.keyring);
    return p;
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
    if (after.allocations != before.allocations)
        printf("%-10s %-9s %9llu allocations: there should be none\n", name, variant,
               (unsigned long long)(after.allocations - before.allocations));
}

static void bench_ping(const char *variant, bool sealed, bool compression)
{
    struct bruit_engine *engine = engine_new("target", 1, sealed, compression);
    struct packets p = make_pings(sealed);
    if (feed(engine, &p, true) != p.count)
        printf("ping: not all answered\n");
    repeat("ping", variant, engine, &p, true);
    packets_free(&p);
    bruit_engine_free(engine);
}

static void bench_known(const char *variant, bool sealed, bool compress)
{
    struct bruit_engine *engine = engine_new("target", 1, sealed, true);
    struct packets fresh = make_alives(0, KNOWN, 10, sealed, false);
    struct packets stale = make_alives(0, KNOWN, 5, sealed, compress);
    feed(engine, &fresh, false);
    drain(engine);
    repeat("known", variant, engine, &stale, false);
    packets_free(&fresh);
    packets_free(&stale);
    bruit_engine_free(engine);
}

static void bench_new(const char *variant, bool sealed, bool compress)
{
    double samples[BATCHES];
    struct packets p = make_alives(0, 10000, 5, sealed, compress);
    for (int b = 0; b < BATCHES; b++) {
        struct bruit_engine *engine = engine_new("target", 1, sealed, true);
        double start = cpu_now();
        feed(engine, &p, false);
        samples[b] = cpu_now() - start;
        if (bruit_member_count(engine) != 10001)
            printf("new: %zu members\n", bruit_member_count(engine));
        if (b == 0) {
            struct bruit_stats stats;
            bruit_stats_get(engine, &stats);
            printf("%-10s %-9s %9.1f bytes/member, rumours and status included\n", "memory", variant,
                   (double)stats.memory / 10001);
        }
        bruit_engine_free(engine);
    }
    print_case("new", variant, samples, BATCHES, (double)p.count, "packet");
    packets_free(&p);
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

static void bench_sync(const char *variant, bool compression)
{
    double samples[BATCHES];
    struct bruit_engine *a = engine_new("alpha", 3, false, compression);
    struct bruit_engine *b = engine_new("beta", 2, false, compression);
    struct packets p = make_alives(0, 10000, 5, false, false);
    feed(a, &p, false);
    feed(b, &p, false);
    for (uint32_t i = 0; i < BATCHES; i++)
        samples[i] = sync_once(a, b, i + 1);
    print_case("sync", variant, samples, BATCHES, 1, "10,000 members, both sides");
    print_case("", variant, samples, BATCHES, 20000, "entry (written, read, judged, merged)");
    packets_free(&p);
    bruit_engine_free(a);
    bruit_engine_free(b);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seconds_per_case = atof(argv[1]);
    if (bruit_cipher_openssl(&cipher) != 0)
        return fprintf(stderr, "%s\n", bruit_cipher_openssl_hint()), 1;
    bench_ping("plain", false, true);
    bench_ping("nocomp", false, false);
    bench_ping("sealed", true, true);
    bench_known("plain", false, false);
    bench_known("comp", false, true);
    bench_known("sealed", true, false);
    bench_known("comp+seal", true, true);
    bench_new("plain", false, false);
    bench_new("comp", false, true);
    bench_new("sealed", true, false);
    bench_sync("plain", false);
    bench_sync("comp", true);
    bruit_cipher_openssl_close(&cipher);
    return 0;
}
