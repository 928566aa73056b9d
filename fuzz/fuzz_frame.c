/*
 * Streams. The first byte chooses the receiver's configuration and the second the size of the pieces in
 * which the rest arrives; the same bytes in one piece must come to the same end. The rest is also sealed
 * into a frame and sent as a message, which must come out as it went in.
 */
#include "fuzz.h"

#include "base/alloc.h"
#include "base/check.h"
#include "codec/crc32.h"
#include "codec/frame.h"

#include <bruit/cipher.h>

#include <stdlib.h>

enum {
    HAS_KEYS = 1,
    HAS_LABEL = 2,
    MIGRATING = 4,
    BEHIND_A_FRONT = 8,
    ACCEPTED = 16,
    COMPRESS_IT = 32,
    OLD_SEAL = 64,
    SEAL_THE_BYTES = 128,
};

#define STREAM_MAX 8192

struct end {
    int step;
    enum bruit_drop drop;
    uint8_t type;
    bool complete;
    size_t size;
    uint32_t checksum;
};

static struct br_alloc alloc;
static struct br_keyring ring;
static struct br_scratch scratch;
static struct br_wire wire;

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

/* Reads a stream in pieces, each time in memory that ends where the bytes do. */
static struct end receive(struct bruit_bytes bytes, size_t piece, bool accepted)
{
    struct br_frame_reader reader;
    struct br_frame_message message = {.type = 0};
    struct end end = {.step = BR_FRAME_MORE};
    br_frame_reader_init(&reader, &wire, &scratch, accepted);
    for (size_t size = 0;; size = bytes.size - size > piece ? size + piece : bytes.size) {
        uint8_t *exact = malloc(size + 1);
        if (size > 0)
            memcpy(exact, bytes.data, size);
        end.step = br_frame_read(&reader, br_bytes(exact, size), &message);
        if (end.step == BR_FRAME_MESSAGE) {
            end.type = message.type;
            end.complete = message.complete;
            end.size = message.body.size;
            end.checksum = br_crc32(message.body);
        }
        free(exact);
        if (size == bytes.size || end.step == BR_FRAME_REFUSED ||
            (end.step == BR_FRAME_MESSAGE && end.complete))
            break;
    }
    BR_ASSERT(end.step == BR_FRAME_MORE || end.step == BR_FRAME_MESSAGE || end.step == BR_FRAME_REFUSED);
    BR_ASSERT((end.step == BR_FRAME_REFUSED) == (reader.drop != BRUIT_DROP_NONE));
    BR_ASSERT(!reader.answer || (accepted && end.step == BR_FRAME_REFUSED));
    end.drop = reader.drop;
    br_frame_reader_fini(&reader);
    return end;
}

static void receive_both_ways(struct bruit_bytes bytes, size_t piece, bool accepted)
{
    struct end pieces = receive(bytes, piece, accepted);
    struct end whole = receive(bytes, bytes.size == 0 ? 1 : bytes.size, accepted);
    BR_ASSERT(pieces.step == whole.step);
    BR_ASSERT(pieces.drop == whole.drop);
    BR_ASSERT(pieces.type == whole.type);
    BR_ASSERT(pieces.complete == whole.complete);
    BR_ASSERT(pieces.size == whole.size);
    BR_ASSERT(pieces.checksum == whole.checksum);
}

/* As a real sender would send them, whatever they are; but not nothing, which no sender has. */
static void send_and_receive(struct bruit_bytes message, size_t piece, bool accepted)
{
    struct br_frame frame;
    BR_ASSERT(br_frame_write(&wire, &scratch, message, accepted, &frame) == 0);
    if (!accepted || !wire.label.skip_inbound || wire.label.label.size == 0)
        receive_both_ways(frame.bytes, piece, accepted);
    br_frame_free(&frame, &alloc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bruit_cipher cipher;
    if (size < 2 || size > STREAM_MAX)
        return 0;
    if (cipher.context == NULL)
        BR_ASSERT(bruit_cipher_openssl(&cipher) == 0);
    unsigned options = data[0];
    /* Small pieces of large streams would take long and show nothing new. */
    size_t piece = 1 + data[1] + size / 64;
    struct bruit_bytes bytes = br_bytes(data + 2, size - 2);

    br_alloc_init(&alloc, NULL, 0);
    br_keyring_init(&ring, &cipher, &alloc);
    br_scratch_init(&scratch, &alloc);
    wire = (struct br_wire){
        .label = {.label = options & HAS_LABEL ? br_bytes_text("blue") : br_bytes(NULL, 0),
                  .skip_inbound = options & BEHIND_A_FRONT},
        .keyring = &ring,
        .verify_incoming = !(options & MIGRATING),
        .verify_outgoing = true,
        .compression = options & COMPRESS_IT,
        .seal_version = options & OLD_SEAL ? 0 : 1,
        .entropy = count_nonce,
    };
    if (options & HAS_KEYS)
        add_keys(&ring);
    receive_both_ways(bytes, piece, options & ACCEPTED);
    if ((options & SEAL_THE_BYTES) && bytes.size > 0)
        send_and_receive(bytes, piece, options & ACCEPTED);
    br_keyring_fini(&ring);
    br_scratch_fini(&scratch);
    BR_ASSERT(alloc.in_use == 0);
    return 0;
}
