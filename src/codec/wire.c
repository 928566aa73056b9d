/*
 * What packets and streams share (wire.h): working memory, expanding, and knowing a stranger's protocol.
 */
#include "codec/wire.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"

/* The first size of a buffer: most datagrams expand to less, so most engines never grow theirs. */
#define BUFFER_SIZE_MIN 4096

bool br_wire_has_keys(const struct br_wire *wire)
{
    return br_keyring_has_keys(wire->keyring);
}

bool br_wire_seals(const struct br_wire *wire)
{
    return wire->verify_outgoing && br_wire_has_keys(wire);
}

/* ---- working memory ---------------------------------------------------------------------------------- */

void br_scratch_init(struct br_scratch *scratch, struct br_alloc *alloc)
{
    *scratch = (struct br_scratch){.alloc = alloc};
}

void br_scratch_fini(struct br_scratch *scratch)
{
    br_alloc_free(scratch->alloc, scratch->decoder, sizeof *scratch->decoder);
    br_alloc_free(scratch->alloc, scratch->encoder, sizeof *scratch->encoder);
    br_buffer_free(&scratch->opened, scratch->alloc);
    br_buffer_free(&scratch->packed, scratch->alloc);
    for (size_t i = 0; i < BR_LAYERS_MAX; i++)
        br_buffer_free(&scratch->inflated[i], scratch->alloc);
    br_scratch_init(scratch, scratch->alloc);
}

struct br_lzw_decoder *br_scratch_decoder(struct br_scratch *scratch)
{
    if (scratch->decoder == NULL)
        scratch->decoder = br_alloc_resize(scratch->alloc, NULL, 0, sizeof *scratch->decoder);
    return scratch->decoder;
}

struct br_lzw_encoder *br_scratch_encoder(struct br_scratch *scratch)
{
    if (scratch->encoder == NULL)
        scratch->encoder = br_alloc_resize(scratch->alloc, NULL, 0, sizeof *scratch->encoder);
    return scratch->encoder;
}

int br_buffer_reserve(struct br_buffer *buffer, struct br_alloc *alloc, size_t capacity)
{
    if (capacity <= buffer->capacity)
        return 0;
    if (capacity < BUFFER_SIZE_MIN)
        capacity = BUFFER_SIZE_MIN;
    uint8_t *data = br_alloc_resize(alloc, buffer->data, buffer->capacity, capacity);
    if (data == NULL)
        return BRUIT_ENOMEM;
    buffer->data = data;
    buffer->capacity = capacity;
    return 0;
}

void br_buffer_free(struct br_buffer *buffer, struct br_alloc *alloc)
{
    br_alloc_free(alloc, buffer->data, buffer->capacity);
    *buffer = (struct br_buffer){.data = NULL};
}

/* ---- compress ---------------------------------------------------------------------------------------- */

static int refuse(enum bruit_drop *drop, enum bruit_drop reason);
static int expand(struct br_scratch *scratch, struct br_buffer *buffer, struct bruit_bytes packed,
                  size_t size_max, size_t *size);

int br_inflate(struct br_scratch *scratch, struct br_buffer *buffer, struct bruit_bytes body, size_t size_max,
               struct bruit_bytes *out, enum bruit_drop *drop)
{
    struct br_compress compress;
    size_t size = 0;

    if (br_compress_decode(&compress, body) != 0)
        return refuse(drop, BRUIT_DROP_MALFORMED);
    if (compress.algo != 0)
        return refuse(drop, BRUIT_DROP_COMPRESS_ALGO);
    int error = expand(scratch, buffer, compress.buf, size_max, &size);
    if (error == BRUIT_ETOOBIG)
        return refuse(drop, BRUIT_DROP_COMPRESS_BOMB);
    if (error == BRUIT_EFORMAT)
        return refuse(drop, BRUIT_DROP_COMPRESS_BROKEN);
    if (error != 0)
        return error;
    if (size == 0)
        return refuse(drop, BRUIT_DROP_EMPTY);
    *out = br_bytes(buffer->data, size);
    return 0;
}

static int refuse(enum bruit_drop *drop, enum bruit_drop reason)
{
    *drop = reason;
    return BRUIT_EFORMAT;
}

/*
 * The size of the output is not announced, so the buffer doubles until it is large enough, from a guess
 * at what LZW does with our messages (2 to 4 times). The declared sizes of a bomb never cost more than
 * twice what it really wrote.
 */
static int expand(struct br_scratch *scratch, struct br_buffer *buffer, struct bruit_bytes packed,
                  size_t size_max, size_t *size)
{
    struct br_lzw_decoder *decoder = br_scratch_decoder(scratch);
    size_t wanted = packed.size <= size_max / 4 ? 4 * packed.size : size_max;

    if (decoder == NULL)
        return BRUIT_ENOMEM;
    br_lzw_decode_begin(decoder, packed);
    for (;;) {
        if (wanted < BUFFER_SIZE_MIN)
            wanted = BUFFER_SIZE_MIN;
        if (wanted > size_max)
            wanted = size_max;
        if (br_buffer_reserve(buffer, scratch->alloc, wanted) != 0)
            return BRUIT_ENOMEM;
        size_t capacity = buffer->capacity < size_max ? buffer->capacity : size_max;
        int result = br_lzw_decode(decoder, buffer->data, capacity);
        *size = decoder->size;
        if (result != BRUIT_ETOOBIG || capacity == size_max)
            return result;
        wanted = capacity <= size_max / 2 ? 2 * capacity : size_max;
    }
}

/* ---- strangers --------------------------------------------------------------------------------------- */

/*
 * Methods of HTTP, its version as a misled server sends it, and the start of HTTP/2; TLS records of the
 * types handshake and alert. None begins like a gossip message: those begin with a byte below 14, or with
 * 244.
 */
enum bruit_drop br_recognise_foreign(struct bruit_bytes bytes)
{
    static const char *const words[] = {"GET ", "HEAD", "POST", "PUT ", "DELE", "CONN",
                                        "OPTI", "TRAC", "PATC", "PRI ", "HTTP"};

    if (bytes.size >= 2 && (bytes.data[0] == 0x16 || bytes.data[0] == 0x15) && bytes.data[1] == 3)
        return BRUIT_DROP_FOREIGN_TLS;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (bytes.size >= 4 && memcmp(bytes.data, words[i], 4) == 0)
            return BRUIT_DROP_FOREIGN_HTTP;
    return BRUIT_DROP_NONE;
}
