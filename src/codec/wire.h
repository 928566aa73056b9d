/*
 * What every packet and stream of one engine has in common: who belongs (label, keys), what is required,
 * and the working memory of the pipeline. packet.h and frame.h work from this.
 */
#ifndef BR_CODEC_WIRE_H
#define BR_CODEC_WIRE_H

#include "codec/keyring.h"
#include "codec/label.h"
#include "codec/lzw.h"
#include "codec/memberlist.h"
#include "codec/seal.h"

struct br_alloc;

/* Containers (compress and compound) around a leaf message. Upstream senders never need more than two. */
#define BR_LAYERS_MAX 4

/* Parts of one datagram in all, nested ones included. A sane one has a few dozen. */
#define BR_MESSAGES_MAX 1024

/* A sane datagram expands to a few kilobytes. Bounds all that one datagram may expand to, nested or not. */
#define BR_PACKET_INFLATE_MAX ((size_t)1 << 20)

/* memberlist's limits: an encrypted frame, and what a compressed stream may expand to. */
#define BR_FRAME_SIZE_MAX ((size_t)20 << 20)
#define BR_STREAM_INFLATE_MAX ((size_t)40 << 20)

/* Ours, for all bytes of a stream; memberlist has none for plain ones (section 5.2). */
#define BR_STREAM_SIZE_MAX ((size_t)40 << 20)

struct br_wire {
    struct br_label_rule label; /* the bytes are borrowed */
    struct br_keyring *keyring; /* borrowed; NULL or empty: nothing is sealed */
    bool verify_incoming;       /* with keys: refuse what is not sealed */
    bool verify_outgoing;       /* with keys: seal what is sent */
    bool compression;           /* datagrams when that makes them shorter, streams always */
    uint8_t seal_version;       /* of what we send: 0 when the configured protocol version is 1, else 1 */
    int (*entropy)(void *context, uint8_t *out, size_t size); /* for nonces; needed with keys */
    void *entropy_context;
    size_t packet_inflate_max; /* 0: BR_PACKET_INFLATE_MAX */
};

/* Whether what is sent will be sealed, and what is received must be. */
bool br_wire_seals(const struct br_wire *wire);
bool br_wire_has_keys(const struct br_wire *wire);

/*
 * The working memory, one for an engine (or for many engines of one thread, since nothing survives a call
 * but capacity). Everything in it is allocated at first use, kept, and charged to `alloc`; what a bomb
 * made it grow to is given back at once.
 */
struct br_buffer {
    uint8_t *data;
    size_t capacity;
};

struct br_scratch {
    struct br_alloc *alloc; /* borrowed */
    struct br_lzw_decoder *decoder;
    struct br_lzw_encoder *encoder;
    struct br_buffer opened; /* the decrypted datagram */
    struct br_buffer
        inflated[BR_LAYERS_MAX]; /* one for each layer, since the outer ones are still being walked */
    struct br_buffer packed;     /* the compressed datagram before it is known to be shorter */
};

void br_scratch_init(struct br_scratch *scratch, struct br_alloc *alloc);
void br_scratch_fini(struct br_scratch *scratch);

/* The lenders: NULL, or BRUIT_ENOMEM, when the memory cap is reached. */
struct br_lzw_decoder *br_scratch_decoder(struct br_scratch *scratch);
struct br_lzw_encoder *br_scratch_encoder(struct br_scratch *scratch);
int br_buffer_reserve(struct br_buffer *buffer, struct br_alloc *alloc, size_t capacity);
void br_buffer_free(struct br_buffer *buffer, struct br_alloc *alloc);

/*
 * Expands the body of a compress message into `buffer`, which grows as needed but never for more than
 * `size_max` bytes. Returns 0 with *out filled (borrowed from `buffer`, never empty), BRUIT_ENOMEM, or
 * BRUIT_EFORMAT with the reason in *drop.
 */
int br_inflate(struct br_scratch *scratch, struct br_buffer *buffer, struct bruit_bytes body, size_t size_max,
               struct bruit_bytes *out, enum bruit_drop *drop);

/* Whether bytes that are no gossip begin like an HTTP request or a TLS hello; BRUIT_DROP_NONE otherwise. */
enum bruit_drop br_recognise_foreign(struct bruit_bytes bytes);

#endif
