/*
 * The datagram pipeline (packet.h).
 */
#include "codec/packet.h"

#include "base/alloc.h"
#include "base/check.h"
#include "codec/crc32.h"

#define CRC_FRAME 5 /* type byte and checksum */

/* A compress message without Buf's own header: type byte, map of two, "Algo", 0, "Buf". */
#define COMPRESS_FIXED 12

/*
 * Below this many bytes compressing cannot win and is not tried: 24 equal bytes, the easiest there are,
 * take 7 codes of 9 bits with a clear and an end around them, which is 11 bytes, behind 13 bytes of
 * compress message.
 */
#define COMPRESS_SIZE_MIN 25

/* What a buffer of the scratch may keep between packets. An honest datagram needs a few kilobytes. */
#define BUFFER_KEEP_MAX ((size_t)64 << 10)

/* What the helpers below return when nothing more of this packet is to be looked at; errors are negative. */
#define STOP 1

/* ---- in ---------------------------------------------------------------------------------------------- */

/* One datagram on its way in. */
struct opening {
    const struct br_wire *wire;
    struct br_scratch *scratch;
    const struct br_packet_sink *sink;
    struct br_packet_info *info;
    size_t inflate_left; /* bytes that compress layers may still expand to */
    size_t parts;        /* of compounds, so far */
};

static int open_outside(struct opening *o, struct bruit_bytes *packet);
static int strip_label(struct opening *o, struct bruit_bytes *packet);
static int decrypt(struct opening *o, struct bruit_bytes *packet);
static int strip_crc(struct opening *o, struct bruit_bytes *packet);
static int open_message(struct opening *o, struct bruit_bytes message, size_t depth);
static int open_compound(struct opening *o, struct bruit_bytes body, size_t depth);
static int open_compress(struct opening *o, struct bruit_bytes body, size_t depth);
static int drop_packet(struct opening *o, enum bruit_drop reason);
static int drop_part(struct opening *o, enum bruit_drop reason);
static int drop_stranger(struct opening *o, struct bruit_bytes packet, enum bruit_drop reason);
static void shrink(struct br_scratch *scratch);

int br_packet_open(const struct br_wire *wire, struct br_scratch *scratch, struct bruit_bytes packet,
                   const struct br_packet_sink *sink, struct br_packet_info *info)
{
    struct br_packet_info unasked;
    struct opening o = {
        .wire = wire, .scratch = scratch, .sink = sink, .info = info == NULL ? &unasked : info};

    *o.info = (struct br_packet_info){.labelled = false};
    o.inflate_left = wire->packet_inflate_max == 0 ? BR_PACKET_INFLATE_MAX : wire->packet_inflate_max;
    int result = open_outside(&o, &packet);
    if (result == 0)
        result = open_message(&o, packet, 0);
    shrink(scratch);
    return result == STOP ? 0 : result;
}

/* Label, seal and checksum come once, outermost, in this order. 0: `packet` is now what they enclosed. */
static int open_outside(struct opening *o, struct bruit_bytes *packet)
{
    if (packet->size == 0)
        return drop_packet(o, BRUIT_DROP_EMPTY);
    int result = strip_label(o, packet);
    if (result == 0 && br_wire_has_keys(o->wire))
        result = decrypt(o, packet);
    if (result == 0)
        result = strip_crc(o, packet);
    return result;
}

static int strip_label(struct opening *o, struct bruit_bytes *packet)
{
    size_t header;
    size_t needed;
    enum bruit_drop reason = br_label_check(&o->wire->label, *packet, &header, &needed);

    if (reason != BRUIT_DROP_NONE)
        return drop_stranger(o, *packet, reason);
    *packet = br_bytes(packet->data + header, packet->size - header);
    o->info->labelled = header != 0;
    return 0;
}

/*
 * What does not open is dropped, or, while a cluster migrates to encryption, taken for plain (section
 * 4.6).
 */
static int decrypt(struct opening *o, struct bruit_bytes *packet)
{
    struct br_scratch *scratch = o->scratch;
    struct br_unsealed unsealed;

    if (br_buffer_reserve(&scratch->opened, scratch->alloc, packet->size) != 0)
        return BRUIT_ENOMEM;
    if (br_unseal(o->wire->keyring, o->wire->label.label, *packet, scratch->opened.data, &unsealed) == 0) {
        *packet = unsealed.plain;
        o->info->sealed = true;
        o->info->seal_version = unsealed.version;
        o->info->key_index = unsealed.key_index;
        return 0;
    }
    if (o->wire->verify_incoming)
        return drop_stranger(o, *packet, BRUIT_DROP_UNDECRYPTABLE);
    o->info->plaintext_accepted = true;
    return 0;
}

/* A shorter packet that begins like a checksum goes on, and is then a message of an unknown type. */
static int strip_crc(struct opening *o, struct bruit_bytes *packet)
{
    struct br_reader r;

    if (packet->size < CRC_FRAME || packet->data[0] != BR_HAS_CRC)
        return 0;
    br_reader_init(&r, *packet);
    (void)br_read_u8(&r);
    uint32_t crc = br_read_u32(&r);
    struct bruit_bytes rest = br_reader_rest(&r);
    if (br_crc32(rest) != crc)
        return drop_packet(o, BRUIT_DROP_CRC_MISMATCH);
    *packet = rest;
    o->info->checked = true;
    return 0;
}

/* One message, `depth` containers deep. */
static int open_message(struct opening *o, struct bruit_bytes message, size_t depth)
{
    if (message.size == 0)
        return drop_part(o, BRUIT_DROP_EMPTY);
    struct bruit_bytes body = br_bytes(message.data + 1, message.size - 1);
    switch (message.data[0]) {
    case BR_PING:
    case BR_INDIRECT_PING:
    case BR_ACK:
    case BR_NACK:
    case BR_SUSPECT:
    case BR_ALIVE:
    case BR_DEAD:
    case BR_USER:
    case BR_HEARTBEAT:
        o->info->messages++;
        return o->sink->leaf(o->sink->context, (enum br_message_type)message.data[0], body);
    case BR_COMPOUND:
        return depth < BR_LAYERS_MAX ? open_compound(o, body, depth + 1) : drop_part(o, BRUIT_DROP_TOO_DEEP);
    case BR_COMPRESS:
        return depth < BR_LAYERS_MAX ? open_compress(o, body, depth + 1) : drop_part(o, BRUIT_DROP_TOO_DEEP);
    default:
        return depth == 0 ? drop_stranger(o, message, BRUIT_DROP_UNKNOWN_TYPE)
                          : drop_part(o, BRUIT_DROP_UNKNOWN_TYPE);
    }
}

/* What is wrong with one part is its own affair: the next part is looked at all the same. */
static int open_compound(struct opening *o, struct bruit_bytes body, size_t depth)
{
    struct br_compound walk;
    struct bruit_bytes part;
    int more;

    if (br_compound_begin(&walk, body) != 0)
        return drop_part(o, BRUIT_DROP_TRUNCATED_COMPOUND);
    while ((more = br_compound_next(&walk, &part)) > 0) {
        if (++o->parts > BR_MESSAGES_MAX)
            return drop_packet(o, BRUIT_DROP_TOO_MANY_MESSAGES);
        /* An empty part is nothing at all, and old members crash on it: nobody sends one. */
        int result = part.size == 0 ? drop_part(o, BRUIT_DROP_EMPTY) : open_message(o, part, depth);
        if (result != 0)
            return result;
    }
    return more == 0 ? 0 : drop_part(o, BRUIT_DROP_TRUNCATED_COMPOUND);
}

static int open_compress(struct opening *o, struct bruit_bytes body, size_t depth)
{
    enum bruit_drop reason = BRUIT_DROP_NONE;
    struct bruit_bytes inner = {.data = NULL};
    int error =
        br_inflate(o->scratch, &o->scratch->inflated[depth - 1], body, o->inflate_left, &inner, &reason);

    if (reason != BRUIT_DROP_NONE)
        return drop_part(o, reason);
    if (error != 0)
        return error;
    o->inflate_left -= inner.size;
    o->info->inflated += inner.size;
    return open_message(o, inner, depth);
}

static int drop_packet(struct opening *o, enum bruit_drop reason)
{
    (void)drop_part(o, reason);
    return STOP;
}

static int drop_part(struct opening *o, enum bruit_drop reason)
{
    o->info->drops++;
    o->sink->drop(o->sink->context, reason);
    return 0;
}

/* A packet that is wrong from the outside: if it is somebody else's protocol, saying so helps more. */
static int drop_stranger(struct opening *o, struct bruit_bytes packet, enum bruit_drop reason)
{
    enum bruit_drop foreign = br_recognise_foreign(packet);

    return drop_packet(o, foreign != BRUIT_DROP_NONE ? foreign : reason);
}

/* What a bomb made us grow to is not kept. */
static void shrink(struct br_scratch *scratch)
{
    for (size_t i = 0; i < BR_LAYERS_MAX; i++)
        if (scratch->inflated[i].capacity > BUFFER_KEEP_MAX)
            br_buffer_free(&scratch->inflated[i], scratch->alloc);
}

/* ---- out --------------------------------------------------------------------------------------------- */

static void assemble(struct br_packet_builder *b);
static void compress(struct br_packet_builder *b);
static void write_crc(struct br_packet_builder *b);
static int seal(struct br_packet_builder *b, size_t *size);

size_t br_packet_budget(const struct br_wire *wire, size_t packet_size_max)
{
    size_t taken = BR_COMPOUND_HEAD(0) + br_label_size(wire->label.label);

    if (br_wire_seals(wire))
        taken += br_seal_overhead(wire->seal_version);
    return packet_size_max > taken ? packet_size_max - taken : 0;
}

void br_packet_begin(struct br_packet_builder *builder, const struct br_wire *wire,
                     struct br_scratch *scratch, uint8_t *buffer, size_t capacity, bool crc)
{
    builder->wire = wire;
    builder->scratch = scratch;
    builder->buffer = buffer;
    builder->capacity = capacity;
    builder->used = 0;
    builder->count = 0;
    builder->crc = crc;
    builder->seals = br_wire_seals(wire);
    builder->lead =
        br_label_size(wire->label.label) + (builder->seals ? BR_SEAL_HEAD : 0) + (crc ? CRC_FRAME : 0);
    /* Budgets count the largest padding, so the buffer must too. */
    builder->tail = builder->seals ? br_seal_overhead(wire->seal_version) - BR_SEAL_HEAD : 0;
}

size_t br_packet_room(const struct br_packet_builder *builder)
{
    size_t taken = builder->lead + builder->used + builder->tail;

    if (builder->count == BR_COMPOUND_PARTS_MAX)
        return 0;
    if (builder->count > 0)
        taken += BR_COMPOUND_HEAD(builder->count + 1);
    size_t room = builder->capacity > taken ? builder->capacity - taken : 0;
    return room < UINT16_MAX ? room : UINT16_MAX;
}

int br_packet_add(struct br_packet_builder *builder, struct bruit_bytes message)
{
    struct br_writer leaf = br_packet_leaf(builder);

    br_write_bytes(&leaf, message);
    return br_packet_leaf_end(builder, &leaf);
}

struct br_writer br_packet_leaf(struct br_packet_builder *builder)
{
    struct br_writer leaf;
    size_t room = br_packet_room(builder);

    br_writer_init(&leaf, room == 0 ? NULL : builder->buffer + builder->lead + builder->used, room);
    return leaf;
}

int br_packet_leaf_end(struct br_packet_builder *builder, const struct br_writer *leaf)
{
    size_t size = br_writer_size(leaf);

    if (leaf->failed)
        return BRUIT_ETOOBIG;
    BR_ASSERT(size > 0); /* every message has a type byte */
    BR_ASSERT(leaf->start == builder->buffer + builder->lead + builder->used);
    builder->sizes[builder->count++] = (uint16_t)size;
    builder->used += size;
    return 0;
}

int br_packet_finish(struct br_packet_builder *builder, size_t *size)
{
    BR_ASSERT(builder->count > 0);
    if (builder->count > 1)
        assemble(builder);
    if (builder->wire->compression && builder->used >= COMPRESS_SIZE_MIN)
        compress(builder);
    if (builder->crc)
        write_crc(builder);
    size_t label_size = br_label_write(builder->buffer, builder->wire->label.label);
    BR_ASSERT(label_size <= builder->lead);
    if (builder->seals)
        return seal(builder, size);
    *size = builder->lead + builder->used;
    return 0;
}

static void assemble(struct br_packet_builder *b)
{
    uint8_t *messages = b->buffer + b->lead;
    size_t head = BR_COMPOUND_HEAD(b->count);

    memmove(messages + head, messages, b->used);
    br_compound_write_head(messages, b->sizes, b->count);
    b->used += head;
}

/*
 * Replaces the message by its compressed form if that is shorter. Everything that can go wrong here,
 * memory included, only means that the packet goes out as it is, which is always right.
 */
static void compress(struct br_packet_builder *b)
{
    struct br_scratch *scratch = b->scratch;
    struct br_lzw_encoder *encoder = br_scratch_encoder(scratch);
    struct bruit_bytes message = br_bytes(b->buffer + b->lead, b->used);
    size_t packed_max = b->used - COMPRESS_FIXED - 1; /* Buf's header takes one byte at least */
    size_t packed_size = 0;

    if (encoder == NULL || br_buffer_reserve(&scratch->packed, scratch->alloc, packed_max) != 0)
        return;
    if (br_lzw_encode(encoder, message, scratch->packed.data, packed_max, &packed_size) != 0)
        return;
    if (br_compress_overhead(packed_size) + packed_size >= b->used)
        return;
    struct br_writer w;
    struct br_compress whole = {.algo = 0, .buf = br_bytes(scratch->packed.data, packed_size)};
    br_writer_init(&w, b->buffer + b->lead, b->used);
    br_compress_encode(&w, &whole);
    BR_ASSERT(!w.failed);
    b->used = br_writer_size(&w);
}

static void write_crc(struct br_packet_builder *b)
{
    uint8_t *message = b->buffer + b->lead;

    message[-CRC_FRAME] = BR_HAS_CRC;
    br_store_u32(message - 4, br_crc32(br_bytes(message, b->used)));
}

static int seal(struct br_packet_builder *b, size_t *size)
{
    const struct br_wire *wire = b->wire;
    size_t label_size = br_label_size(wire->label.label);
    size_t plain_size = b->used + (b->crc ? CRC_FRAME : 0);
    uint8_t nonce[BR_SEAL_NONCE];

    if (wire->entropy(wire->entropy_context, nonce, sizeof nonce) != 0)
        return BRUIT_EIO;
    *size = label_size + br_seal_size(wire->seal_version, plain_size);
    BR_ASSERT(*size <= b->capacity);
    return br_seal(wire->keyring, wire->seal_version, nonce, wire->label.label, b->buffer + label_size,
                   plain_size);
}
