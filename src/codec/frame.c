/*
 * Stream framing (frame.h).
 *
 * The reader goes through stages, each of which may wait for more bytes:
 *
 *     label -> type -> frame -> message        (0a: sealed)
 *                   -> compress -> message     (09: plain, compressed)
 *                   -> growing                 (plain: handed on as it comes)
 *
 * What is wrong before the message's own type is known is answered with an err message when the stream
 * was dialled by the other side; label trouble, strangers and unknown types are not (section 5.1).
 */
#include "codec/frame.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"

#define FRAME_HEAD 5 /* type byte and length, authenticated together with the label */

enum stage {
    STAGE_LABEL,
    STAGE_TYPE,
    STAGE_FRAME,
    STAGE_COMPRESS,
    STAGE_GROWING,
    STAGE_MESSAGE,
    STAGE_REFUSED,
};

/* A stage is done, go on with the next; not one of enum br_frame_step. */
#define NEXT 0

/* ---- in ---------------------------------------------------------------------------------------------- */

static int step(struct br_frame_reader *reader, struct bruit_bytes received);
static int read_label(struct br_frame_reader *reader, struct bruit_bytes received);
static int read_type(struct br_frame_reader *reader, struct bruit_bytes received);
static int read_frame_head(struct br_frame_reader *reader, struct bruit_bytes received);
static int read_frame(struct br_frame_reader *reader, struct bruit_bytes received);
static int read_compress(struct br_frame_reader *reader, struct bruit_bytes received);
static int read_growing(struct br_frame_reader *reader, struct bruit_bytes received);
static int inflate(struct br_frame_reader *reader, struct bruit_bytes body);
static int take_message(struct br_frame_reader *reader, struct bruit_bytes whole, bool complete);
static bool may_become_foreign(struct bruit_bytes bytes);
static int answer(struct br_frame_reader *reader, enum bruit_drop reason);
static int refuse(struct br_frame_reader *reader, enum bruit_drop reason);

void br_frame_reader_init(struct br_frame_reader *reader, const struct br_wire *wire,
                          struct br_scratch *scratch, bool accepted)
{
    *reader = (struct br_frame_reader){
        .wire = wire,
        .scratch = scratch,
        .stage = STAGE_LABEL,
        .accepted = accepted,
        .drop = BRUIT_DROP_NONE,
    };
}

void br_frame_reader_fini(struct br_frame_reader *reader)
{
    br_buffer_free(&reader->plain, reader->scratch->alloc);
    br_buffer_free(&reader->inflated, reader->scratch->alloc);
}

int br_frame_read(struct br_frame_reader *reader, struct bruit_bytes received,
                  struct br_frame_message *message)
{
    int result;

    do
        result = step(reader, received);
    while (result == NEXT);
    if (result == BR_FRAME_MESSAGE)
        *message = reader->message;
    return result;
}

size_t br_frame_expected(const struct br_frame_reader *reader)
{
    return reader->stage == STAGE_FRAME ? reader->offset + FRAME_HEAD + reader->frame_size : 0;
}

static int step(struct br_frame_reader *reader, struct bruit_bytes received)
{
    switch ((enum stage)reader->stage) {
    case STAGE_LABEL: return read_label(reader, received);
    case STAGE_TYPE: return read_type(reader, received);
    case STAGE_FRAME: return read_frame(reader, received);
    case STAGE_COMPRESS: return read_compress(reader, received);
    case STAGE_GROWING: return read_growing(reader, received);
    case STAGE_MESSAGE: return BR_FRAME_MESSAGE;
    case STAGE_REFUSED: break;
    }
    return BR_FRAME_REFUSED;
}

/* Only who dials sends a label header. In an answer, it would be a message of an unknown type. */
static int read_label(struct br_frame_reader *reader, struct bruit_bytes received)
{
    size_t header = 0;
    size_t needed = 0;
    enum bruit_drop reason = BRUIT_DROP_NONE;

    if (received.size == 0 || may_become_foreign(received))
        return BR_FRAME_MORE;
    enum bruit_drop foreign = br_recognise_foreign(received);
    if (foreign != BRUIT_DROP_NONE)
        return refuse(reader, foreign);
    if (reader->accepted)
        reason = br_label_check(&reader->wire->label, received, &header, &needed);
    if (needed > received.size)
        return BR_FRAME_MORE;
    if (reason != BRUIT_DROP_NONE)
        return refuse(reader, reason);
    reader->offset = header;
    reader->stage = STAGE_TYPE;
    return NEXT;
}

/* The outermost type decides: sealed, compressed, or plain. */
static int read_type(struct br_frame_reader *reader, struct bruit_bytes received)
{
    if (received.size == reader->offset)
        return BR_FRAME_MORE;
    uint8_t type = received.data[reader->offset];
    if (type == BR_ENCRYPT)
        return br_wire_has_keys(reader->wire) ? read_frame_head(reader, received)
                                              : answer(reader, BRUIT_DROP_SEALED_WITHOUT_KEYS);
    if (br_wire_has_keys(reader->wire) && reader->wire->verify_incoming)
        return answer(reader, BRUIT_DROP_NOT_SEALED);
    br_mp_scanner_init(&reader->scanner);
    reader->stage = type == BR_COMPRESS ? STAGE_COMPRESS : STAGE_GROWING;
    return NEXT;
}

/* A frame that is too large is refused here, before any of it is kept. */
static int read_frame_head(struct br_frame_reader *reader, struct bruit_bytes received)
{
    struct br_reader r;

    br_reader_init(&r, br_bytes(received.data + reader->offset, received.size - reader->offset));
    (void)br_read_u8(&r);
    reader->frame_size = br_read_u32(&r);
    if (r.failed)
        return BR_FRAME_MORE;
    if (reader->frame_size > BR_FRAME_SIZE_MAX)
        return answer(reader, BRUIT_DROP_FRAME_TOO_BIG);
    reader->stage = STAGE_FRAME;
    return NEXT;
}

static int read_frame(struct br_frame_reader *reader, struct bruit_bytes received)
{
    const struct bruit_bytes label = reader->wire->label.label;
    uint8_t aad[FRAME_HEAD + BRUIT_LABEL_MAX];
    struct br_unsealed unsealed;
    struct br_reader r;

    br_reader_init(&r, br_bytes(received.data + reader->offset, received.size - reader->offset));
    struct bruit_bytes head = br_read_bytes(&r, FRAME_HEAD);
    struct bruit_bytes sealed = br_read_bytes(&r, reader->frame_size);
    if (r.failed)
        return BR_FRAME_MORE;
    memcpy(aad, head.data, FRAME_HEAD);
    if (label.size > 0)
        memcpy(aad + FRAME_HEAD, label.data, label.size);
    if (br_buffer_reserve(&reader->plain, reader->scratch->alloc, sealed.size) != 0)
        return BRUIT_ENOMEM;
    if (br_unseal(reader->wire->keyring, br_bytes(aad, FRAME_HEAD + label.size), sealed, reader->plain.data,
                  &unsealed) != 0)
        return answer(reader, BRUIT_DROP_UNDECRYPTABLE);
    reader->sealed = true;
    reader->seal_version = unsealed.version;
    reader->key_index = unsealed.key_index;
    if (unsealed.plain.size == 0)
        return answer(reader, BRUIT_DROP_EMPTY);
    if (unsealed.plain.data[0] == BR_COMPRESS)
        return inflate(reader, br_bytes(unsealed.plain.data + 1, unsealed.plain.size - 1));
    return take_message(reader, unsealed.plain, true);
}

/* A compress message without a frame: its map says where it ends. */
static int read_compress(struct br_frame_reader *reader, struct bruit_bytes received)
{
    struct bruit_bytes body =
        br_bytes(received.data + reader->offset + 1, received.size - reader->offset - 1);
    size_t size = 0;
    int result = br_mp_scanner_feed(&reader->scanner, body, &size);

    if (result == 0)
        return inflate(reader, br_bytes(body.data, size));
    if (result != BR_MP_MORE)
        return answer(reader, BRUIT_DROP_MALFORMED);
    return received.size > BR_STREAM_SIZE_MAX ? refuse(reader, BRUIT_DROP_STREAM_TOO_BIG) : BR_FRAME_MORE;
}

static int read_growing(struct br_frame_reader *reader, struct bruit_bytes received)
{
    if (received.size > BR_STREAM_SIZE_MAX)
        return refuse(reader, BRUIT_DROP_STREAM_TOO_BIG);
    return take_message(reader, br_bytes(received.data + reader->offset, received.size - reader->offset),
                        false);
}

static int inflate(struct br_frame_reader *reader, struct bruit_bytes body)
{
    enum bruit_drop reason = BRUIT_DROP_NONE;
    struct bruit_bytes whole = {.data = NULL};
    int error = br_inflate(reader->scratch, &reader->inflated, body, BR_STREAM_INFLATE_MAX, &whole, &reason);

    if (reason != BRUIT_DROP_NONE)
        return answer(reader, reason);
    if (error != 0)
        return error;
    reader->compressed = true;
    br_buffer_free(&reader->plain, reader->scratch->alloc);
    return take_message(reader, whole, true);
}

/* One compress layer is taken off a stream, and no other container may come. */
static int take_message(struct br_frame_reader *reader, struct bruit_bytes whole, bool complete)
{
    uint8_t type = whole.data[0];

    if (type != BR_PING && type != BR_ACK && type != BR_PUSHPULL && type != BR_USER && type != BR_ERR &&
        type != BR_HEARTBEAT)
        return refuse(reader, BRUIT_DROP_UNKNOWN_TYPE);
    reader->message.type = type;
    reader->message.complete = complete;
    reader->message.body = br_bytes(whole.data + 1, whole.size - 1);
    reader->stage = complete ? STAGE_MESSAGE : STAGE_GROWING;
    return BR_FRAME_MESSAGE;
}

/* Too short to tell, and no gossip: a capital letter, or the first byte of a TLS record. */
static bool may_become_foreign(struct bruit_bytes bytes)
{
    uint8_t first = bytes.data[0];

    return bytes.size < 4 && ((first >= 'A' && first <= 'Z') || first == 0x15 || first == 0x16);
}

static int answer(struct br_frame_reader *reader, enum bruit_drop reason)
{
    reader->answer = reader->accepted;
    return refuse(reader, reason);
}

static int refuse(struct br_frame_reader *reader, enum bruit_drop reason)
{
    br_frame_reader_fini(reader);
    reader->drop = reason;
    reader->stage = STAGE_REFUSED;
    return BR_FRAME_REFUSED;
}

/* ---- out --------------------------------------------------------------------------------------------- */

/* The most that stands around Buf in a compress message: br_compress_overhead() of the largest size. */
#define COMPRESS_HEAD_MAX 17

static int lay_out(const struct br_wire *wire, struct br_scratch *scratch, struct bruit_bytes message,
                   size_t head, size_t tail, struct br_frame *out);
static void write_compress_head(uint8_t *end, size_t packed_size);
static int seal_frame(const struct br_wire *wire, struct br_frame *out);
static void trim(struct br_frame *out, struct br_alloc *alloc);

bool br_frame_is_plain(const struct br_wire *wire)
{
    return !wire->compression && !br_wire_seals(wire);
}

bool br_frame_take(const struct br_wire *wire, struct br_buffer *buffer, struct bruit_bytes message,
                   bool dialled, struct br_frame *out)
{
    if (!br_frame_is_plain(wire) || (dialled && wire->label.label.size > 0))
        return false;
    *out = (struct br_frame){.memory = *buffer, .bytes = message};
    *buffer = (struct br_buffer){0};
    return true;
}

/*
 * The message is laid down once, compressed or copied, with room before it for everything that comes
 * before it; the layers then grow outwards from there.
 */
int br_frame_write(const struct br_wire *wire, struct br_scratch *scratch, struct bruit_bytes message,
                   bool dialled, struct br_frame *out)
{
    struct bruit_bytes label = dialled ? wire->label.label : br_bytes(NULL, 0);
    size_t label_size = br_label_size(label);
    bool seals = br_wire_seals(wire);
    size_t head =
        label_size + (seals ? FRAME_HEAD + BR_SEAL_HEAD : 0) + (wire->compression ? COMPRESS_HEAD_MAX : 0);
    size_t tail = seals ? br_seal_overhead(wire->seal_version) - BR_SEAL_HEAD : 0;

    BR_ASSERT(message.size > 0); /* every message has a type byte */
    *out = (struct br_frame){.bytes = {.data = NULL}};
    if (message.size > BR_STREAM_SIZE_MAX)
        return BRUIT_ETOOBIG;
    int error = lay_out(wire, scratch, message, head, tail, out);
    if (error == 0 && seals)
        error = seal_frame(wire, out);
    if (error != 0) {
        br_frame_free(out, scratch->alloc);
        return error;
    }
    if (label_size > 0) {
        uint8_t *start = out->memory.data + (out->bytes.data - out->memory.data) - label_size;
        (void)br_label_write(start, label);
        out->bytes = br_bytes(start, out->bytes.size + label_size);
    }
    trim(out, scratch->alloc);
    return 0;
}

int br_frame_write_error(const struct br_wire *wire, struct br_scratch *scratch, enum bruit_drop reason,
                         struct br_frame *out)
{
    uint8_t text[256];
    struct br_err err = {.error = br_bytes_string(bruit_drop_text(reason))};
    struct br_writer w;

    br_writer_init(&w, text, sizeof text);
    br_err_encode(&w, &err);
    BR_ASSERT(!w.failed);
    return br_frame_write(wire, scratch, br_writer_bytes(&w), false, out);
}

void br_frame_free(struct br_frame *frame, struct br_alloc *alloc)
{
    br_buffer_free(&frame->memory, alloc);
    frame->bytes = br_bytes(NULL, 0);
}

static int lay_out(const struct br_wire *wire, struct br_scratch *scratch, struct bruit_bytes message,
                   size_t head, size_t tail, struct br_frame *out)
{
    struct br_lzw_encoder *encoder = wire->compression ? br_scratch_encoder(scratch) : NULL;
    size_t body_max = wire->compression ? BR_LZW_BOUND(message.size) : message.size;
    size_t size = message.size;

    if (wire->compression && encoder == NULL)
        return BRUIT_ENOMEM;
    if (br_buffer_reserve(&out->memory, scratch->alloc, head + body_max + tail) != 0)
        return BRUIT_ENOMEM;
    uint8_t *body = out->memory.data + head;
    if (!wire->compression) {
        memcpy(body, message.data, size);
        out->bytes = br_bytes(body, size);
        return 0;
    }
    int error = br_lzw_encode(encoder, message, body, body_max, &size);
    BR_ASSERT(error == 0);
    size_t overhead = br_compress_overhead(size);
    BR_ASSERT(overhead <= COMPRESS_HEAD_MAX);
    write_compress_head(body - overhead, size);
    out->bytes = br_bytes(body - overhead, overhead + size);
    return 0;
}

/* What br_compress_encode() writes before Buf's bytes, which stand where they belong already. */
static void write_compress_head(uint8_t *at, size_t packed_size)
{
    struct br_writer w;

    br_writer_init(&w, at, br_compress_overhead(packed_size));
    br_write_u8(&w, BR_COMPRESS);
    br_mp_write_map(&w, 2);
    br_mp_write_key(&w, "Algo");
    br_mp_write_uint(&w, 0);
    br_mp_write_key(&w, "Buf");
    if (packed_size < 32) {
        br_write_u8(&w, (uint8_t)(0xa0 | packed_size));
    } else if (packed_size <= UINT16_MAX) {
        br_write_u8(&w, 0xda);
        br_write_u16(&w, (uint16_t)packed_size);
    } else {
        br_write_u8(&w, 0xdb);
        br_write_u32(&w, (uint32_t)packed_size);
    }
    BR_ASSERT(!w.failed);
    BR_ASSERT(w.at == w.end);
}

/* The bytes laid out so far become the plaintext of a frame around them. */
static int seal_frame(const struct br_wire *wire, struct br_frame *out)
{
    const struct bruit_bytes label = wire->label.label;
    uint8_t aad[FRAME_HEAD + BRUIT_LABEL_MAX];
    uint8_t nonce[BR_SEAL_NONCE];
    size_t plain_size = out->bytes.size;
    size_t sealed_size = br_seal_size(wire->seal_version, plain_size);
    uint8_t *envelope = out->memory.data + (out->bytes.data - out->memory.data) - BR_SEAL_HEAD;

    if (sealed_size > BR_FRAME_SIZE_MAX)
        return BRUIT_ETOOBIG;
    if (wire->entropy(wire->entropy_context, nonce, sizeof nonce) != 0)
        return BRUIT_EIO;
    aad[0] = BR_ENCRYPT;
    br_store_u32(aad + 1, (uint32_t)sealed_size);
    if (label.size > 0)
        memcpy(aad + FRAME_HEAD, label.data, label.size);
    memcpy(envelope - FRAME_HEAD, aad, FRAME_HEAD);
    out->bytes = br_bytes(envelope - FRAME_HEAD, FRAME_HEAD + sealed_size);
    return br_seal(wire->keyring, wire->seal_version, nonce, br_bytes(aad, FRAME_HEAD + label.size), envelope,
                   plain_size);
}

/*
 * Gives back what the largest case would have needed, if it is worth it. It may move; it cannot fail to
 * be valid.
 */
static void trim(struct br_frame *out, struct br_alloc *alloc)
{
    size_t offset = (size_t)(out->bytes.data - out->memory.data);
    size_t needed = offset + out->bytes.size;

    if (out->memory.capacity - needed < needed / 4)
        return;
    uint8_t *data = br_alloc_resize(alloc, out->memory.data, out->memory.capacity, needed);
    if (data == NULL)
        return;
    out->memory = (struct br_buffer){.data = data, .capacity = needed};
    out->bytes.data = data + offset;
}
