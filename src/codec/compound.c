/*
 * The compound message (compound.h).
 */
#include "codec/compound.h"

#include "base/bytes.h"
#include "base/check.h"
#include "codec/memberlist.h"

int br_compound_begin(struct br_compound *walk, struct bruit_bytes body)
{
    struct br_reader r;

    br_reader_init(&r, body);
    size_t count = br_read_u8(&r);
    walk->lengths = br_read_bytes(&r, 2 * count);
    if (r.failed)
        return BRUIT_EFORMAT;
    walk->parts = br_reader_rest(&r);
    return 0;
}

int br_compound_next(struct br_compound *walk, struct bruit_bytes *part)
{
    struct br_reader lengths;
    struct br_reader parts;

    if (walk->lengths.size == 0)
        return 0;
    br_reader_init(&lengths, walk->lengths);
    br_reader_init(&parts, walk->parts);
    *part = br_read_bytes(&parts, br_read_u16(&lengths));
    if (parts.failed)
        return BRUIT_EFORMAT;
    walk->lengths = br_reader_rest(&lengths);
    walk->parts = br_reader_rest(&parts);
    return 1;
}

void br_compound_write_head(uint8_t *out, const uint16_t *sizes, size_t count)
{
    struct br_writer w;

    BR_ASSERT(count <= BR_COMPOUND_PARTS_MAX);
    br_writer_init(&w, out, BR_COMPOUND_HEAD(count));
    br_write_u8(&w, BR_COMPOUND);
    br_write_u8(&w, (uint8_t)count);
    for (size_t i = 0; i < count; i++)
        br_write_u16(&w, sizes[i]);
    BR_ASSERT(!w.failed);
}
