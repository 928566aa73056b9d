/*
 * Heartbeat gossip on hostile bytes. The input is a row of messages, each behind its size in two bytes; the first
 * byte chooses the mode. Each message is decoded (what decodes is encoded again to the same blocks), then told to a
 * member of such a cluster as a datagram, and its body as a stream; between messages time passes.
 *
 * What must hold: no answer is longer than a datagram may be, each can be decoded, the view stays consistent, nobody
 * becomes a member beyond the bound, and all memory is given back.
 */
#include "fuzz.h"

#include "base/check.h"
#include "codec/heartbeat.h"
#include "engine/engine.h"

#include <bruit/bruit.h>

#include <string.h>

#define MEMBERS_MAX 40
#define PACKET_MAX 1400

static uint8_t copy[1 << 16];

static struct bruit_engine *member_of(uint8_t choice)
{
    static const struct bruit_module *const modules[] = {&bruit_status_module};
    struct bruit_config config;
    struct bruit_env env = {.struct_size = sizeof env};
    struct bruit_engine *engine = NULL;
    bruit_config_lan(&config);
    config.name = br_bytes_string("n0");
    config.advertise = (struct bruit_addr){.ip = {10, 0, 0, 1}, .size = 4, .port = 7946};
    config.seed = choice;
    config.members_max = MEMBERS_MAX;
    config.memory_max = 4 << 20;
    config.compression = false;
    config.detector = BRUIT_DETECTOR_HEARTBEAT;
    config.heartbeat.mode = (enum bruit_heartbeat_mode)(choice % 3);
    config.heartbeat.rule = (enum bruit_heartbeat_rule)(choice / 3 % 2);
    config.modules = modules;
    config.module_count = choice / 6 % 2;
    BR_ASSERT(bruit_engine_new(&engine, &config, &env, BRUIT_SECOND) == 0);
    return engine;
}

static void encode(struct br_writer *w, int type, const struct br_beat_block *block)
{
    switch (type) {
    case BR_BEAT_BLOCK_ENTRY: br_beat_entry_encode(w, &block->entry); break;
    case BR_BEAT_BLOCK_BEATS: br_beat_beats_encode(w, &block->bucket); break;
    case BR_BEAT_BLOCK_NEWER: br_beat_newer_encode(w, &block->bucket); break;
    default: br_beat_list_encode(w, &block->bucket); break;
    }
}

/* What is decoded and encoded decodes to something that is encoded alike. */
static void decode(struct bruit_bytes blocks)
{
    static uint8_t again[sizeof copy];
    struct br_beat_block block;
    struct br_reader r;
    br_reader_init(&r, blocks);
    for (int type; (type = br_beat_block_decode(&block, &r)) > 0;) {
        struct br_writer w;
        struct br_writer v;
        struct br_reader s;
        struct br_beat_block second;
        br_writer_init(&w, copy, sizeof copy);
        encode(&w, type, &block);
        BR_ASSERT(!w.failed);
        br_reader_init(&s, br_writer_bytes(&w));
        BR_ASSERT(br_beat_block_decode(&second, &s) == type);
        br_writer_init(&v, again, sizeof again);
        encode(&v, type, &second);
        BR_ASSERT(br_bytes_equal(br_writer_bytes(&w), br_writer_bytes(&v)));
    }
}

static void check_answer(struct bruit_bytes packet)
{
    struct br_beat_header header;
    struct br_reader r;
    if (packet.size == 0 || packet.data[0] != BR_HEARTBEAT)
        return; /* a compound, or modules' news */
    br_reader_init(&r, br_bytes(packet.data + 1, packet.size - 1));
    BR_ASSERT(br_beat_header_decode(&header, &r) == 0);
    BR_ASSERT(br_beat_check(r) == 0);
}

static void pull(struct bruit_engine *engine, bruit_time now)
{
    uint8_t buffer[PACKET_MAX + 8];
    struct bruit_datagram out;
    struct bruit_stream_op op;
    struct bruit_event event;
    while (bruit_next_datagram(engine, buffer, sizeof buffer, &out, now)) {
        BR_ASSERT(out.size <= PACKET_MAX + 5);
        check_answer(br_bytes(buffer, out.size));
    }
    while (bruit_next_stream_op(engine, &op))
        continue;
    while (bruit_next_event(engine, &event))
        continue;
}

static void tell(struct bruit_engine *engine, struct bruit_bytes message, bruit_time now)
{
    const struct bruit_addr from = {.ip = {10, 0, 0, 9}, .size = 4, .port = 7946};
    uint32_t stream;
    copy[0] = BR_HEARTBEAT;
    memcpy(copy + 1, message.data, message.size);
    struct bruit_bytes whole = br_bytes(copy, message.size + 1);
    (void)bruit_recv_datagram(engine, &from, whole, now);
    pull(engine, now);
    if (message.size > 1 && message.data[1] == BR_BEAT_STATE &&
        bruit_stream_accepted(engine, &from, &stream, now) == 0) {
        (void)bruit_recv_stream(engine, stream, whole, now);
        pull(engine, now);
        (void)bruit_stream_closed(engine, stream, 0, now);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct br_reader r;
    br_reader_init(&r, br_bytes(data, size));
    uint8_t choice = br_read_u8(&r);
    if (r.failed || size > sizeof copy / 2)
        return 0;
    struct bruit_engine *engine = member_of(choice);
    bruit_time now = BRUIT_SECOND;
    for (int count = 0; br_reader_left(&r) > 2 && count < 64; count++) {
        size_t wanted = br_read_u16(&r);
        struct bruit_bytes message =
            br_read_bytes(&r, wanted < br_reader_left(&r) ? wanted : br_reader_left(&r));
        if (message.size == 0)
            continue;
        decode(message);
        tell(engine, message, now);
        now += message.data[0] % 4 * (BRUIT_SECOND / 2);
        (void)bruit_tick(engine, now);
        pull(engine, now);
        BR_ASSERT(br_view_is_consistent(&engine->core.view));
        BR_ASSERT(engine->core.view.count <= MEMBERS_MAX);
        BR_ASSERT(engine->digest.count == engine->core.view.count);
    }
    bruit_engine_free(engine);
    return 0;
}
