/*
 * The datagram pipeline (docs/wire/memberlist.md sections 3.1 to 3.5, 4.3, 8.1 and 8.4).
 *
 *     label [ sealed [ checksum [ compress [ compound [ leaf leaf ... ]]]]]
 *
 * In: the layers are peeled off and each leaf message is handed to a sink; what cannot be peeled is
 * dropped for a named reason, and what came before it stays. Out: leaves are written into the driver's
 * own buffer, and the layers are put around them there. Neither direction allocates once the scratch is
 * warm.
 */
#ifndef BR_CODEC_PACKET_H
#define BR_CODEC_PACKET_H

#include "base/bytes.h"
#include "codec/compound.h"
#include "codec/wire.h"

/* ---- in ---------------------------------------------------------------------------------------------- */

/* Where what a datagram holds goes to. */
struct br_packet_sink {
    void *context;
    /*
     * One leaf message: 0, 1, 2, 3, 4, 5, 8, 11 or 48. `body` follows the type byte, is not decoded yet, may
     * be empty, and lives for the call. Returns 0, or a negative error that ends the packet and is
     * br_packet_open's.
     */
    int (*leaf)(void *context, enum br_message_type type, struct bruit_bytes body);
    /* A drop: of the whole packet, or of one part of it. */
    void (*drop)(void *context, enum bruit_drop reason);
};

/* What was peeled off, for the trace and for tests. */
struct br_packet_info {
    bool labelled;
    bool sealed;
    bool plaintext_accepted; /* there are keys, but it came plain, and verify_incoming is off */
    bool checked;            /* it had a checksum */
    uint8_t seal_version;
    uint8_t key_index;
    uint16_t messages; /* leaves handed over */
    uint16_t drops;
    size_t inflated; /* bytes that compress layers expanded to */
};

/*
 * Takes one datagram apart. `info` may be NULL. What is refused is not an error. Returns 0; BRUIT_ENOMEM
 * when the scratch cannot grow (leaves handed over before stay); or what the sink returned.
 */
int br_packet_open(const struct br_wire *wire, struct br_scratch *scratch, struct bruit_bytes packet,
                   const struct br_packet_sink *sink, struct br_packet_info *info);

/* ---- out --------------------------------------------------------------------------------------------- */

/* Budget that every message takes besides its bytes: its length in a compound. */
#define BR_PACKET_MESSAGE_OVERHEAD 2

/*
 * What is left of `packet_size_max` for messages and BR_PACKET_MESSAGE_OVERHEAD for each: label, envelope
 * and the head of a compound taken off, as memberlist does. The checksum is not: a packet with one may be
 * 5 bytes over. A message that gossip is piggybacked on costs its own length only.
 */
size_t br_packet_budget(const struct br_wire *wire, size_t packet_size_max);

/*
 * A datagram in the making. Leaves stand one after the other at their final place, the first layers' room
 * already before them; only if there are several are they moved, once, to let the compound's head in.
 */
struct br_packet_builder {
    const struct br_wire *wire;
    struct br_scratch *scratch;
    uint8_t *buffer;
    size_t capacity;
    size_t lead; /* label, envelope head, checksum: what stands before the messages */
    size_t tail; /* tag and padding, at most */
    size_t used; /* bytes of the messages so far */
    size_t count;
    bool crc;
    bool seals;
    uint16_t sizes[BR_COMPOUND_PARTS_MAX];
};

/*
 * Starts a packet in `buffer`. A capacity of packet_size_max + 5 holds every packet that keeps to its budget.
 * `crc`: the receiver's PMax is at least 5 and its record at hand (section 3.4).
 */
void br_packet_begin(struct br_packet_builder *builder, const struct br_wire *wire,
                     struct br_scratch *scratch, uint8_t *buffer, size_t capacity, bool crc);

/* The size of the largest message for which there is still room in the buffer; the budget is the caller's. */
size_t br_packet_room(const struct br_packet_builder *builder);

/* Adds a complete message with its type byte: 0, or BRUIT_ETOOBIG and nothing has changed. */
int br_packet_add(struct br_packet_builder *builder, struct bruit_bytes message);

/*
 * The same without a copy: a cursor over the room that is left, in which the caller writes one message,
 * type byte included, and which br_packet_leaf_end() takes: 0, or BRUIT_ETOOBIG when it overflowed
 * (nothing was added).
 */
struct br_writer br_packet_leaf(struct br_packet_builder *builder);
int br_packet_leaf_end(struct br_packet_builder *builder, const struct br_writer *leaf);

/*
 * Puts the layers around the messages, of which there must be one at least. Returns 0 with the size of
 * the packet, which begins at buffer[0], in *size; or BRUIT_EIO when entropy or cipher failed.
 */
int br_packet_finish(struct br_packet_builder *builder, size_t *size);

#endif
