/*
 * A whole engine, with Serf's modules, told anything in any order.
 *
 * The first two bytes choose the configuration; the rest is a list of acts: a byte that says which, and what it needs
 * behind it. Acts are datagrams and streams (raw, or sealed by somebody who knows the key), well-made claims about a
 * few names, time, closes, failures to send, requests, and memory that runs out. After each act all outputs are
 * pulled, as a driver does.
 *
 * Besides not crashing: what the engine sends can be read by a receiver to the last byte; stream operations are about
 * streams that exist; the memory in use is what was counted; time does not stand still; and in the end the view is
 * consistent and no memory is left.
 */
#include "fuzz.h"

#include "base/check.h"
#include "codec/frame.h"
#include "codec/packet.h"
#include "codec/pushpull.h"
#include "engine/engine.h"
#include "support/memory.h"

#include <bruit/bruit.h>
#include <bruit/cipher.h>

#include <stdlib.h>
#include <string.h>

enum {
    HAS_KEYS = 1,
    HAS_LABEL = 2,
    COMPRESSES = 4,
    IS_STRICT = 8,
    HAS_STATUS = 16,
    MIGRATING = 32,
    FEW_MEMBERS = 64,
    HAS_RANGES = 128,
};

enum act {
    DATAGRAM,        /* address, size, bytes */
    SEALED_DATAGRAM, /* the same, but through the pipeline */
    TICK,            /* u16 milliseconds */
    NEXT_DEADLINE,
    ACCEPT,
    STREAM_BYTES,  /* which, size, bytes */
    STREAM_FRAMED, /* which, size, bytes: in the frame of somebody who has the key */
    STREAM_OPENED, /* which */
    STREAM_SENT,   /* which */
    STREAM_CLOSED, /* which, error */
    SEND_FAILED,   /* error */
    REQUEST,       /* which, ... */
    NO_MEMORY,     /* after how many */
    CLAIM,         /* kind, subject, accuser, incarnation, more */
    SYNC,          /* which, flags, then entries as claims */
    PROBE_MESSAGE, /* kind, sequence number */
    ACTS,
};

#define STREAMS_MAX 64
#define STEPS_MAX 400
#define PACKET_MAX 1400

struct world {
    struct test_memory memory;
    struct bruit_engine *engine;
    bruit_time now;
    uint32_t streams[STREAMS_MAX];
    uint8_t is_ours[STREAMS_MAX];
    size_t stream_count;
    uint64_t token;
    uint32_t seq;   /* of the last ping that was sent */
    uint64_t query; /* the last that we were asked */
    bool was_short; /* memory has failed: what is sent may be cut */
};

/* The other end: reads what is sent, seals what is said. Its memory never fails. */
static struct test_memory other_memory;
static struct br_alloc other_alloc;
static struct bruit_cipher cipher;
static struct br_keyring ring;
static struct br_scratch scratch;
static struct br_wire wire;
static uint8_t packet[PACKET_MAX + 8];
static uint8_t message[1 << 17];

static uint8_t const the_key[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static int give_nonce(void *context, uint8_t *out, size_t size)
{
    (void)context;
    memset(out, 7, size);
    return 0;
}

static void set_up_once(void)
{
    static bool done;
    if (done)
        return;
    done = true;
    struct bruit_env env = test_memory_env(&other_memory);
    br_alloc_init(&other_alloc, &env, 0);
    BR_ASSERT(bruit_cipher_openssl(&cipher) == 0);
    br_keyring_init(&ring, &cipher, &other_alloc);
    BR_ASSERT(br_keyring_add(&ring, br_bytes(the_key, sizeof the_key)) == 0);
    br_scratch_init(&scratch, &other_alloc);
}

/* ---- the input as a list of choices; past its end everything is 0 ---- */

static uint8_t take(struct br_reader *in)
{
    return br_reader_left(in) == 0 ? 0 : br_read_u8(in);
}

static struct bruit_bytes take_bytes(struct br_reader *in)
{
    size_t size = (size_t)take(in) << 8;
    size |= take(in);
    if (size > br_reader_left(in))
        size = br_reader_left(in);
    return br_read_bytes(in, size);
}

static struct bruit_bytes name_of(uint8_t number)
{
    static const char *const names[] = {"self", "a", "b", "c", "d", "e", "f", ""};
    return br_bytes_string(names[number % 8]);
}

/* Few addresses, so that they meet; sometimes that of the engine itself. */
static struct bruit_addr addr_of(uint8_t number)
{
    return (struct bruit_addr){.ip = {10, 0, 0, (uint8_t)(number % 8 + 1)}, .size = 4, .port = 7946};
}

/* ---- birth ---- */

static void start(struct world *w, uint8_t options, uint8_t profile)
{
    static const struct bruit_module *const modules[] = {&bruit_status_module, &bruit_event_module,
                                                         &bruit_query_module};
    static const struct bruit_cidr range = {.ip = {10, 0, 0, 0}, .size = 4, .bits = 29};
    const struct bruit_bytes key = br_bytes(the_key, sizeof the_key);
    struct bruit_config config;
    if (profile & 1)
        bruit_config_local(&config);
    else
        bruit_config_lan(&config);
    config.name = name_of(0);
    config.advertise = addr_of(0);
    config.seed = profile;
    config.compression = (options & COMPRESSES) != 0;
    config.strict_relay = (options & IS_STRICT) != 0;
    config.verify_incoming = config.verify_outgoing = (options & MIGRATING) == 0;
    config.members_max = options & FEW_MEMBERS ? 4 : 1000;
    config.memory_max = (size_t)8 << 20;
    config.streams_max = 8;
    config.packet_size_max = PACKET_MAX;
    config.protocol = profile & 2 ? 1 : 2;
    config.dead_reclaim = profile & 4 ? BRUIT_SECOND : 0;
    if (options & HAS_KEYS) {
        config.keys = &key;
        config.key_count = 1;
    }
    if (options & HAS_LABEL)
        config.label = br_bytes_string("red");
    if (options & HAS_STATUS) {
        config.modules = modules;
        config.module_count = sizeof modules / sizeof modules[0];
    }
    if (options & HAS_RANGES) {
        config.cidrs = &range;
        config.cidr_count = 1;
    }
    struct bruit_env env = test_memory_env(&w->memory);
    env.cipher = &cipher;
    env.entropy = give_nonce;
    w->now = BRUIT_SECOND;
    BR_ASSERT(bruit_engine_new(&w->engine, &config, &env, w->now) == 0);
    wire = (struct br_wire){
        .label = {.label = options & HAS_LABEL ? br_bytes_string("red") : br_bytes(NULL, 0)},
        .keyring = options & HAS_KEYS ? &ring : NULL,
        .verify_incoming = false,
        .verify_outgoing = true,
        .compression = config.compression,
        .seal_version = profile & 2 ? 0 : 1,
        .entropy = give_nonce,
    };
}

/* ---- outputs ---- */

static int take_leaf(void *context, enum br_message_type type, struct bruit_bytes body)
{
    struct world *w = context;
    struct br_ping ping;
    if (type == BR_PING) {
        BR_ASSERT(br_ping_decode(&ping, body) == 0);
        w->seq = ping.seq;
    }
    return 0;
}

static void take_drop(void *context, enum bruit_drop reason)
{
    (void)context;
    BR_ASSERT(reason == BRUIT_DROP_NONE); /* never: a receiver can read all that is sent */
}

/* Keys may be changed at run time; while the primary is another than the receiver's, nothing is looked at. */
static bool can_read(const struct world *w)
{
    struct bruit_bytes primary = bruit_key_get(w->engine, 0);
    return br_bytes_equal(primary,
                          wire.keyring == NULL ? br_bytes(NULL, 0) : br_bytes(the_key, sizeof the_key));
}

static void pull_datagrams(struct world *w)
{
    const struct br_packet_sink sink = {w, take_leaf, take_drop};
    struct bruit_datagram out;
    for (uint32_t i = 0; bruit_next_datagram(w->engine, packet, sizeof packet, &out, w->now); i++) {
        BR_ASSERT(out.size > 0 && out.size <= sizeof packet);
        BR_ASSERT(i < 100000);
        w->token = out.token;
        if (can_read(w))
            BR_ASSERT(br_packet_open(&wire, &scratch, br_bytes(packet, out.size), &sink, NULL) == 0);
    }
}

static size_t find_stream(const struct world *w, uint32_t number)
{
    size_t i = 0;
    while (i < w->stream_count && w->streams[i] != number)
        i++;
    return i;
}

static void add_stream(struct world *w, uint32_t number, bool ours)
{
    BR_ASSERT(number != 0 && find_stream(w, number) == w->stream_count);
    if (w->stream_count == STREAMS_MAX) {
        (void)bruit_stream_closed(w->engine, number, BRUIT_EREFUSED, w->now);
        return;
    }
    w->is_ours[w->stream_count] = ours;
    w->streams[w->stream_count++] = number;
}

static void remove_stream(struct world *w, size_t i)
{
    w->stream_count--;
    w->streams[i] = w->streams[w->stream_count];
    w->is_ours[i] = w->is_ours[w->stream_count];
}

/* With more streams than we keep, those beyond are refused at once, and no operation about them may come. */
static void pull_streams(struct world *w)
{
    struct bruit_stream_op op;
    for (uint32_t i = 0; bruit_next_stream_op(w->engine, &op); i++) {
        BR_ASSERT(i < 100000);
        if (op.type == BRUIT_STREAM_OPEN) {
            BR_ASSERT(op.to.size == 4 || op.to.size == 16);
            add_stream(w, op.stream, true);
            continue;
        }
        size_t at = find_stream(w, op.stream);
        BR_ASSERT(at < w->stream_count);
        if (op.type == BRUIT_STREAM_SEND)
            BR_ASSERT(op.bytes.size > 0 && op.bytes.size <= 65536);
        else
            remove_stream(w, at);
    }
}

/* Reads all that an event lends. */
static void look_at(struct bruit_bytes bytes)
{
    static volatile uint8_t sum;
    for (size_t i = 0; i < bytes.size; i++)
        sum = sum ^ bytes.data[i];
}

static void look_at_event(struct world *w, const struct bruit_event *event)
{
    struct bruit_member member;
    struct bruit_status_member status;
    struct bruit_user_event user;
    struct bruit_query query;
    struct bruit_query_answer answer;
    if (event->type == BRUIT_EVENT_MEMBER) {
        BR_ASSERT(bruit_member_get(w->engine, event->node, &member) == 0);
        look_at(member.name);
        look_at(member.meta);
    }
    for (uint32_t i = 0; event->type == BRUIT_EVENT_JOIN_DONE && i < event->join.count; i++)
        look_at(event->join.results[i].text);
    if (bruit_status_event(event, &status) == 0)
        look_at(status.name);
    if (bruit_event_read(event, &user) == 0)
        look_at(user.payload);
    if (bruit_query_answer_read(event, &answer) == 0)
        look_at(answer.from);
    if (bruit_query_read(event, &query) == 0) {
        look_at(query.payload);
        w->query = query.handle;
    }
}

static void pull_events(struct world *w)
{
    struct bruit_event event;
    while (bruit_next_event(w->engine, &event))
        look_at_event(w, &event);
}

static void pull(struct world *w)
{
    pull_datagrams(w);
    pull_streams(w);
    pull_events(w);
}

/* ---- acts ---- */

static void act_datagram(struct world *w, struct br_reader *in, bool through_pipeline)
{
    struct bruit_addr from = addr_of(take(in));
    struct bruit_bytes bytes = take_bytes(in);
    uint8_t *copy = malloc(bytes.size + 200);
    size_t size = bytes.size;
    if (through_pipeline && bytes.size > 0) {
        struct br_packet_builder builder;
        br_packet_begin(&builder, &wire, &scratch, copy, bytes.size + 200, (bytes.data[0] & 1) != 0);
        if (br_packet_add(&builder, bytes) != 0 || br_packet_finish(&builder, &size) != 0)
            size = 0;
    } else if (size > 0) {
        memcpy(copy, bytes.data, size);
    }
    uint8_t *exact = malloc(size == 0 ? 1 : size);
    memcpy(exact, copy, size);
    free(copy);
    (void)bruit_recv_datagram(w->engine, &from, br_bytes(exact, size), w->now);
    free(exact);
}

static void send_packet(struct world *w, const struct br_writer *writer)
{
    uint8_t out[sizeof packet];
    struct br_packet_builder builder;
    struct bruit_addr from = addr_of(3);
    size_t size;
    br_packet_begin(&builder, &wire, &scratch, out, sizeof out, false);
    if (!writer->failed && br_packet_add(&builder, br_writer_bytes(writer)) == 0 &&
        br_packet_finish(&builder, &size) == 0)
        (void)bruit_recv_datagram(w->engine, &from, br_bytes(out, size), w->now);
}

static struct br_alive take_alive(struct br_reader *in, struct bruit_addr *addr)
{
    static const uint8_t versions[][6] = {
        {1, 5, 2, 2, 5, 5}, {1, 5, 2, 2, 5, 4}, {1, 3, 2, 2, 5, 5}, {1, 5, 6, 2, 5, 5}};
    uint8_t subject = take(in);
    uint8_t more = take(in);
    *addr = addr_of(more & 0x80 ? more : subject);
    return (struct br_alive){
        .node = name_of(subject),
        .addr = br_bytes(addr->ip, 4),
        .port = more & 0x40 ? 0 : 7946,
        .incarnation = take(in),
        .meta = br_bytes((const uint8_t *)"\xff\x80meta", more & 7 ? (size_t)(more & 7) : 0),
        .vsn = br_bytes(versions[more >> 4 & 3], 6),
    };
}

static void act_claim(struct world *w, struct br_reader *in)
{
    struct br_writer writer;
    struct bruit_addr addr;
    uint8_t kind = take(in);
    br_writer_init(&writer, message, sizeof message);
    if (kind % 3 == 0) {
        struct br_alive alive = take_alive(in, &addr);
        br_alive_encode(&writer, &alive);
    } else {
        struct bruit_bytes node = name_of(take(in)), from = name_of(take(in));
        uint32_t incarnation = take(in);
        if (incarnation == 255)
            incarnation = UINT32_MAX;
        if (kind % 3 == 1)
            br_suspect_encode(&writer, &(struct br_suspect){incarnation, node, from});
        else
            br_dead_encode(&writer, &(struct br_dead){incarnation, node, from});
    }
    send_packet(w, &writer);
}

static void act_probe_message(struct world *w, struct br_reader *in)
{
    struct br_writer writer;
    uint8_t kind = take(in);
    uint32_t seq = w->seq + take(in);
    struct bruit_addr source = addr_of(kind >> 4);
    br_writer_init(&writer, message, sizeof message);
    if (kind % 4 == 0)
        br_ack_encode(&writer, &(struct br_ack){.seq = seq});
    else if (kind % 4 == 1)
        br_nack_encode(&writer, &(struct br_nack){seq});
    else if (kind % 4 == 2)
        br_ping_encode(&writer, &(struct br_ping){.seq = seq,
                                                  .node = name_of(kind & 0x40 ? 7 : 0),
                                                  .source_addr = br_bytes(source.ip, kind & 0x80 ? 4 : 0),
                                                  .source_port = source.port,
                                                  .source_node = name_of(kind >> 4)});
    else
        br_indirect_ping_encode(&writer, &(struct br_indirect_ping){.seq = seq,
                                                                    .target = br_bytes(source.ip, 4),
                                                                    .port = source.port,
                                                                    .node = name_of(kind >> 4),
                                                                    .nack = (kind & 0x80) != 0});
    send_packet(w, &writer);
}

static size_t pick_stream(const struct world *w, struct br_reader *in)
{
    uint8_t which = take(in);
    return w->stream_count == 0 ? 0 : which % w->stream_count;
}

/* In pieces, since any split is fine; the stream may be gone after each. */
static void feed(struct world *w, uint32_t number, struct bruit_bytes bytes)
{
    size_t piece = bytes.size / 3 + 1;
    for (size_t at = 0; at < bytes.size; at += piece) {
        size_t size = bytes.size - at < piece ? bytes.size - at : piece;
        uint8_t *exact = malloc(size);
        memcpy(exact, bytes.data + at, size);
        (void)bruit_recv_stream(w->engine, number, br_bytes(exact, size), w->now);
        free(exact);
    }
}

static void feed_framed(struct world *w, size_t at, struct bruit_bytes bytes)
{
    struct br_frame frame = {0};
    if (bytes.size > 0 && br_frame_write(&wire, &scratch, bytes, !w->is_ours[at], &frame) == 0)
        feed(w, w->streams[at], frame.bytes);
    br_frame_free(&frame, &other_alloc);
}

static void act_sync(struct world *w, struct br_reader *in)
{
    struct br_writer writer;
    struct bruit_addr addr;
    size_t at = pick_stream(w, in);
    uint8_t flags = take(in);
    br_writer_init(&writer, message, sizeof message);
    br_pushpull_header_encode(&writer,
                              &(struct br_pushpull_header){.nodes = flags & 7, .join = (flags & 8) != 0});
    for (int i = 0; i < (flags & 7); i++) {
        struct br_entry entry = {.state = take(in) % 5};
        entry.alive = take_alive(in, &addr);
        br_entry_encode(&writer, &entry);
    }
    if (w->stream_count > 0)
        feed_framed(w, at, br_writer_bytes(&writer));
}

static int take_error(struct br_reader *in)
{
    static const int errors[] = {0,         BRUIT_EUNREACHABLE, BRUIT_EREFUSED, BRUIT_ERESET, BRUIT_ETIMEOUT,
                                 BRUIT_EIO, BRUIT_ETOOBIG};
    return errors[take(in) % 7];
}

static void act_on_stream(struct world *w, struct br_reader *in, enum act act)
{
    size_t at = pick_stream(w, in);
    struct bruit_bytes bytes = br_bytes(NULL, 0);
    int error = act == STREAM_CLOSED ? take_error(in) : 0;
    if (act == STREAM_BYTES || act == STREAM_FRAMED)
        bytes = take_bytes(in);
    if (w->stream_count == 0)
        return;
    if (act == STREAM_BYTES) {
        feed(w, w->streams[at], bytes);
    } else if (act == STREAM_FRAMED) {
        feed_framed(w, at, bytes);
    } else if (act == STREAM_OPENED) {
        (void)bruit_stream_opened(w->engine, w->streams[at], w->now);
    } else if (act == STREAM_SENT) {
        (void)bruit_stream_sent(w->engine, w->streams[at], w->now);
    } else {
        (void)bruit_stream_closed(w->engine, w->streams[at], error, w->now);
        remove_stream(w, at);
    }
}

static void act_request(struct world *w, struct br_reader *in)
{
    static const uint8_t other_key[32] = {9};
    uint8_t which = take(in);
    uint32_t request;
    struct bruit_join_target targets[2] = {{.addr = addr_of(which >> 4), .name = name_of(which >> 4)},
                                           {.addr = addr_of((uint8_t)((which >> 4) + 1))}};
    switch (which & 15) {
    case 0: (void)bruit_leave(w->engine, take(in) * 100 * BRUIT_MILLISECOND, w->now); break;
    case 1:
    case 2: (void)bruit_join(w->engine, targets, which & 15, 0, &request, w->now); break;
    case 3: (void)bruit_set_meta(w->engine, br_bytes(the_key, which >> 4), w->now); break;
    case 4: (void)bruit_key_add(w->engine, br_bytes(other_key, 32)); break;
    case 5:
        (void)bruit_key_use(w->engine, br_bytes(which & 16 ? other_key : the_key, which & 16 ? 32 : 16));
        break;
    case 6:
        (void)bruit_key_remove(w->engine, br_bytes(which & 16 ? other_key : the_key, which & 16 ? 32 : 16));
        break;
    default:
        (void)bruit_force_leave(w->engine, name_of(which >> 4), (which & 128) != 0, &request, w->now);
        break;
    }
}

static void tick_until_done(struct world *w)
{
    for (int i = 0; i < 1000; i++) {
        (void)bruit_tick(w->engine, w->now);
        pull(w);
        if (bruit_deadline(w->engine) > w->now)
            return;
    }
    bool stays_in_the_past = !w->was_short;
    BR_ASSERT(!stays_in_the_past);
}

static void act(struct world *w, struct br_reader *in)
{
    uint32_t number;
    struct bruit_addr from;
    uint8_t first = take(in);
    enum act which = (enum act)(first % ACTS);
    switch (which) {
    case DATAGRAM:
    case SEALED_DATAGRAM: act_datagram(w, in, which == SEALED_DATAGRAM); break;
    case TICK:
        w->now += ((bruit_time)take(in) << 8 | take(in)) * BRUIT_MILLISECOND;
        (void)bruit_tick(w->engine, w->now);
        break;
    case NEXT_DEADLINE:
        if (bruit_deadline(w->engine) != BRUIT_NEVER && bruit_deadline(w->engine) > w->now)
            w->now = bruit_deadline(w->engine);
        tick_until_done(w);
        break;
    case ACCEPT:
        from = addr_of(take(in));
        if (bruit_stream_accepted(w->engine, &from, &number, w->now) == 0)
            add_stream(w, number, false);
        break;
    case STREAM_BYTES:
    case STREAM_FRAMED:
    case STREAM_OPENED:
    case STREAM_SENT:
    case STREAM_CLOSED: act_on_stream(w, in, which); break;
    case SEND_FAILED: (void)bruit_send_failed(w->engine, w->token, take_error(in), w->now); break;
    case REQUEST: act_request(w, in); break;
    case NO_MEMORY:
        w->memory.fail_at = w->memory.count + 1 + take(in) % 32;
        w->was_short = true;
        break;
    case CLAIM: act_claim(w, in); break;
    case SYNC: act_sync(w, in); break;
    case PROBE_MESSAGE: act_probe_message(w, in); break;
    case ACTS: break;
    }
    if ((first & 0x80) == 0) /* else several inputs come before the pulls, as from a full socket */
        pull(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = {.now = 0};
    struct br_reader in;
    struct bruit_stats stats;
    set_up_once();
    br_reader_init(&in, br_bytes(data, size));
    uint8_t options = take(&in);
    test_memory_init(&w.memory);
    start(&w, options, take(&in));
    for (int i = 0; i < STEPS_MAX && br_reader_left(&in) > 0; i++)
        act(&w, &in);
    pull(&w);
    w.memory.fail_at = 0;
    tick_until_done(&w);
    bruit_stats_get(w.engine, &stats);
    BR_ASSERT(stats.memory == w.memory.in_use);
    BR_ASSERT(br_view_is_consistent(&w.engine->core.view));
    BR_ASSERT(br_queue_is_consistent(&w.engine->gossip.queue));
    bruit_engine_free(w.engine);
    BR_ASSERT(w.memory.in_use == 0);
    return 0;
}
