/*
 * The whole datagram pipeline. The first byte chooses the receiver's configuration; the rest is taken as
 * a datagram as it is, and as what stands inside a sealed and checked one, since no fuzzer finds a tag or
 * a checksum by itself. What came out is then built into a packet again, which must open to the same
 * messages.
 */
#include "fuzz.h"

#include "base/alloc.h"
#include "base/check.h"
#include "codec/crc32.h"
#include "codec/packet.h"

#include <bruit/cipher.h>

#include <stdlib.h>

enum {
    HAS_KEYS = 1,
    HAS_LABEL = 2,
    MIGRATING = 4,
    BEHIND_A_FRONT = 8,
    SEAL_IT = 16,
    CHECK_IT = 32,
    COMPRESS_IT = 64,
    LITTLE_MEMORY = 128,
};

#define PACKET_MAX 65536
#define LEAVES_MAX BR_COMPOUND_PARTS_MAX

struct receiver {
    struct br_alloc alloc;
    struct br_keyring ring;
    struct br_scratch scratch;
    struct br_wire wire;
    size_t count;
    size_t drops;
    uint32_t checksum; /* over types and bodies */
    /* The first leaves, to be sent again. */
    uint8_t leaves[PACKET_MAX];
    size_t leaves_size;
    size_t sizes[LEAVES_MAX];
    size_t kept;
};

static struct receiver receiver;

/* Those of the recorded vectors, so that they open as they are: 00.., 20.. and 40... */
static void add_keys(struct br_keyring *keys)
{
    uint8_t bytes[BRUIT_KEY_MAX];
    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < sizeof bytes; k++)
            bytes[k] = (uint8_t)(32 * i + k);
        BR_ASSERT(br_keyring_add(keys, br_bytes(bytes, 16 + 8 * i)) == 0);
    }
}

static int count_nonce(void *context, uint8_t *out, size_t size)
{
    (void)context;
    memset(out, 7, size);
    return 0;
}

static int take_leaf(void *context, enum br_message_type type, struct bruit_bytes body)
{
    struct receiver *r = context;
    BR_ASSERT(type <= BR_NACK || type == BR_HEARTBEAT);
    r->checksum = r->checksum * 31 + (uint32_t)type + br_crc32(body);
    if (r->kept < LEAVES_MAX && r->count == r->kept && body.size < sizeof r->leaves - r->leaves_size) {
        uint8_t *leaf = r->leaves + r->leaves_size;
        leaf[0] = (uint8_t)type;
        if (body.size > 0)
            memcpy(leaf + 1, body.data, body.size);
        r->sizes[r->kept++] = body.size + 1;
        r->leaves_size += body.size + 1;
    }
    r->count++;
    return 0;
}

static void take_drop(void *context, enum bruit_drop reason)
{
    struct receiver *r = context;
    BR_ASSERT((unsigned)reason < BRUIT_DROP_COUNT);
    r->drops++;
}

static void open_packet(struct receiver *r, struct bruit_bytes packet)
{
    const struct br_packet_sink sink = {.context = r, .leaf = take_leaf, .drop = take_drop};
    struct br_packet_info info;
    uint8_t *exact = malloc(packet.size + 1);
    if (packet.size > 0)
        memcpy(exact, packet.data, packet.size);
    r->count = r->drops = r->kept = r->leaves_size = 0;
    r->checksum = 0;
    int result = br_packet_open(&r->wire, &r->scratch, br_bytes(exact, packet.size), &sink, &info);
    BR_ASSERT(result == 0 || result == BRUIT_ENOMEM);
    BR_ASSERT(info.messages == r->count && info.drops == r->drops);
    BR_ASSERT(info.inflated <= BR_PACKET_INFLATE_MAX);
    free(exact);
}

/* Around `inside`, what the receiver will take off; with room for it before and behind. */
static struct bruit_bytes wrap(struct receiver *r, unsigned options, struct bruit_bytes inside, uint8_t *out)
{
    size_t label_size = options & BEHIND_A_FRONT ? 0 : br_label_size(r->wire.label.label);
    uint8_t *message = out + 300;
    size_t size = inside.size;
    if (size > 0)
        memcpy(message, inside.data, size);
    if (options & CHECK_IT) {
        br_store_u32(message - 4, br_crc32(br_bytes(message, size)));
        message -= 5;
        message[0] = BR_HAS_CRC;
        size += 5;
    }
    if ((options & SEAL_IT) && br_wire_has_keys(&r->wire)) {
        uint8_t nonce[BR_SEAL_NONCE] = {9};
        message -= BR_SEAL_HEAD;
        BR_ASSERT(br_seal(&r->ring, inside.size & 1, nonce, r->wire.label.label, message, size) == 0);
        size = br_seal_size(inside.size & 1, size);
    }
    message -= label_size;
    if (label_size > 0)
        (void)br_label_write(message, r->wire.label.label);
    return br_bytes(message, size + label_size);
}

/* Messages that came in alone, or as the first of several, go out again in one packet. */
static void send_back(struct receiver *r)
{
    static uint8_t buffer[2 * PACKET_MAX];
    static struct br_packet_builder builder;
    size_t size = 0;
    size_t at = 0;
    uint32_t checksum = r->checksum;
    size_t count = r->count;
    if (r->kept == 0 || r->kept != count)
        return;
    br_packet_begin(&builder, &r->wire, &r->scratch, buffer, sizeof buffer, count & 1);
    for (size_t i = 0; i < count; at += r->sizes[i++])
        BR_ASSERT(br_packet_add(&builder, br_bytes(r->leaves + at, r->sizes[i])) == 0);
    BR_ASSERT(br_packet_finish(&builder, &size) == 0);
    if (r->wire.label.skip_inbound && r->wire.label.label.size > 0)
        return;
    open_packet(r, br_bytes(buffer, size));
    BR_ASSERT(r->count == count);
    BR_ASSERT(r->checksum == checksum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t out[2 * PACKET_MAX];
    static struct bruit_cipher cipher;
    struct receiver *r = &receiver;
    if (size < 1 || size > PACKET_MAX)
        return 0;
    if (cipher.context == NULL)
        BR_ASSERT(bruit_cipher_openssl(&cipher) == 0);
    unsigned options = data[0];
    struct bruit_bytes inside = br_bytes(data + 1, size - 1);

    br_alloc_init(&r->alloc, NULL, options & LITTLE_MEMORY ? 40000 : 0);
    br_keyring_init(&r->ring, &cipher, &r->alloc);
    br_scratch_init(&r->scratch, &r->alloc);
    r->wire = (struct br_wire){
        .label = {.label = options & HAS_LABEL ? br_bytes_text("blue") : br_bytes(NULL, 0),
                  .skip_inbound = options & BEHIND_A_FRONT},
        .keyring = &r->ring,
        .verify_incoming = !(options & MIGRATING),
        .verify_outgoing = true,
        .compression = options & COMPRESS_IT,
        .seal_version = size & 1,
        .entropy = count_nonce,
    };
    if (options & HAS_KEYS)
        add_keys(&r->ring);
    open_packet(r, inside);
    open_packet(r, wrap(r, options, inside, out));
    if (!(options & LITTLE_MEMORY))
        send_back(r);
    br_keyring_fini(&r->ring);
    br_scratch_fini(&r->scratch);
    BR_ASSERT(r->alloc.in_use == 0);
    return 0;
}
