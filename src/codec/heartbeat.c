/*
 * The messages of heartbeat gossip: see heartbeat.h. Reader and writer of each piece stand together.
 */
#include "codec/heartbeat.h"

#include "base/siphash.h"

#include <string.h>

/* Digits of e; no secret, since every member has to come to the same ids. */
static const uint8_t id_key[16] = {0xad, 0xf8, 0x54, 0x58, 0xa2, 0xbb, 0x4a, 0x9a,
                                   0xaf, 0xdc, 0x56, 0x20, 0x27, 0x3d, 0x3c, 0xf1};

uint64_t br_beat_id(struct bruit_bytes name)
{
    return br_siphash13(id_key, name);
}

/* ---- numbers ---- */

/* Five bytes hold 32 bits; more is nothing that we wrote. */
static uint32_t read_number(struct br_reader *r)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        uint8_t byte = br_read_u8(r);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            if (value > UINT32_MAX)
                br_reader_fail(r);
            return (uint32_t)value;
        }
    }
    br_reader_fail(r);
    return 0;
}

static void write_number(struct br_writer *w, uint32_t value)
{
    for (; value >= 0x80; value >>= 7)
        br_write_u8(w, (uint8_t)(value | 0x80));
    br_write_u8(w, (uint8_t)value);
}

static size_t number_size(uint32_t value)
{
    size_t size = 1;
    for (; value >= 0x80; value >>= 7)
        size++;
    return size;
}

static struct bruit_bytes read_short(struct br_reader *r)
{
    return br_read_bytes(r, br_read_u8(r));
}

static void write_short(struct br_writer *w, struct bruit_bytes bytes)
{
    br_write_u8(w, (uint8_t)bytes.size);
    br_write_bytes(w, bytes);
}

static struct bruit_bytes read_long(struct br_reader *r)
{
    return br_read_bytes(r, br_read_u16(r));
}

static void write_long(struct br_writer *w, struct bruit_bytes bytes)
{
    br_write_u16(w, (uint16_t)bytes.size);
    br_write_bytes(w, bytes);
}

/* ---- items ---- */

static void read_item(struct br_reader *r, struct br_beat_item *out)
{
    out->version = read_number(r);
    uint8_t deleted = br_read_u8(r);
    out->is_deleted = deleted == 1;
    out->ttl = read_number(r);
    out->key = read_short(r);
    out->value = read_long(r);
    if (deleted > 1 || out->key.size == 0 || out->key.size > BR_BEAT_KEY_MAX ||
        out->value.size > BR_BEAT_VALUE_MAX)
        br_reader_fail(r);
}

void br_beat_item_encode(struct br_writer *w, const struct br_beat_item *item)
{
    write_number(w, item->version);
    br_write_u8(w, item->is_deleted);
    write_number(w, item->ttl);
    write_short(w, item->key);
    write_long(w, item->value);
}

size_t br_beat_item_size(const struct br_beat_item *item)
{
    return number_size(item->version) + 1 + number_size(item->ttl) + 1 + item->key.size + 2 + item->value.size;
}

bool br_beat_item_next(struct bruit_bytes *items, struct br_beat_item *out)
{
    struct br_reader r;
    if (items->size == 0)
        return false;
    br_reader_init(&r, *items);
    read_item(&r, out);
    *items = br_reader_rest(&r);
    return !r.failed;
}

/* All of them in one slice; versions must rise. */
static struct bruit_bytes read_items(struct br_reader *r, uint8_t count)
{
    struct bruit_bytes from = br_reader_rest(r);
    struct br_beat_item item;
    uint32_t last = 0;
    for (unsigned i = 0; i < count && !r->failed; i++) {
        read_item(r, &item);
        if (item.version <= last)
            br_reader_fail(r);
        last = item.version;
    }
    return br_bytes(from.data, from.size - br_reader_rest(r).size);
}

/* ---- entries ---- */

static void read_identity(struct br_reader *r, struct br_alive *out)
{
    out->incarnation = read_number(r);
    out->node = read_short(r);
    out->addr = read_short(r);
    out->port = br_read_u16(r);
    out->vsn = br_read_bytes(r, BR_VSN_SIZE);
    out->carries = br_read_u8(r);
    out->meta = read_long(r);
    if (out->node.size == 0 || out->meta.size > BRUIT_META_MAX)
        br_reader_fail(r);
}

static void write_identity(struct br_writer *w, const struct br_alive *identity)
{
    write_number(w, identity->incarnation);
    write_short(w, identity->node);
    write_short(w, identity->addr);
    br_write_u16(w, identity->port);
    br_write_bytes(w, br_bytes(identity->vsn.data, BR_VSN_SIZE));
    br_write_u8(w, identity->carries);
    write_long(w, identity->meta);
}

static void read_entry(struct br_reader *r, struct br_beat_entry *out)
{
    *out = (struct br_beat_entry){.id = br_read_u64(r), .flags = br_read_u8(r)};
    out->generation = read_number(r);
    out->heartbeat = read_number(r);
    out->version = read_number(r);
    out->tag = br_read_u16(r);
    if (out->flags & (BR_BEAT_WANTED | BR_BEAT_ITEMS))
        out->floor = read_number(r);
    if (out->flags & BR_BEAT_IDENTITY)
        read_identity(r, &out->identity);
    if (out->flags & BR_BEAT_ITEMS) {
        out->item_count = br_read_u8(r);
        if (out->item_count > BR_BEAT_ITEMS_MAX)
            br_reader_fail(r);
        out->items = read_items(r, out->item_count);
    }
    if (out->flags & ~BR_BEAT_FLAGS || (out->flags & BR_BEAT_RESET && !(out->flags & BR_BEAT_ITEMS)))
        br_reader_fail(r);
}

static void write_entry(struct br_writer *w, const struct br_beat_entry *entry)
{
    br_write_u64(w, entry->id);
    br_write_u8(w, entry->flags);
    write_number(w, entry->generation);
    write_number(w, entry->heartbeat);
    write_number(w, entry->version);
    br_write_u16(w, entry->tag);
    if (entry->flags & (BR_BEAT_WANTED | BR_BEAT_ITEMS))
        write_number(w, entry->floor);
    if (entry->flags & BR_BEAT_IDENTITY)
        write_identity(w, &entry->identity);
    if (entry->flags & BR_BEAT_ITEMS) {
        br_write_u8(w, entry->item_count);
        br_write_bytes(w, entry->items);
    }
}

void br_beat_entry_encode(struct br_writer *w, const struct br_beat_entry *entry)
{
    br_write_u8(w, BR_BEAT_BLOCK_ENTRY);
    write_entry(w, entry);
}

/* ---- headers ---- */

int br_beat_header_decode(struct br_beat_header *out, struct br_reader *r)
{
    *out = (struct br_beat_header){0};
    uint8_t format = br_read_u8(r);
    uint8_t kind = br_read_u8(r);
    read_entry(r, &out->sender);
    out->kind = (enum br_beat_kind)kind;
    bool is_plain = (out->sender.flags & (BR_BEAT_FLAGS & ~(BR_BEAT_LEFT | BR_BEAT_IDENTITY))) == 0;
    return r->failed || format != BR_BEAT_FORMAT || kind > BR_BEAT_PULL || !is_plain ? BRUIT_EFORMAT : 0;
}

void br_beat_header_encode(struct br_writer *w, enum br_beat_kind kind, const struct br_beat_entry *sender)
{
    br_write_u8(w, BR_HEARTBEAT);
    br_write_u8(w, BR_BEAT_FORMAT);
    br_write_u8(w, (uint8_t)kind);
    write_entry(w, sender);
}

int br_beat_state_decode(struct br_beat_header *out, struct bruit_bytes growing, size_t *size)
{
    struct br_reader r;
    if (growing.size < BR_BEAT_STATE_HEADER - 1)
        return BR_MP_MORE;
    br_reader_init(&r, growing);
    uint8_t format = br_read_u8(&r);
    uint8_t kind = br_read_u8(&r);
    uint8_t join = br_read_u8(&r);
    *out = (struct br_beat_header){.kind = BR_BEAT_STATE, .join = join == 1};
    out->blocks_size = br_read_u32(&r);
    out->document_size = br_read_u32(&r);
    *size = BR_BEAT_STATE_HEADER - 1;
    return format != BR_BEAT_FORMAT || kind != BR_BEAT_STATE || join > 1 ? BRUIT_EFORMAT : 0;
}

void br_beat_state_encode(struct br_writer *w, const struct br_beat_header *header)
{
    br_write_u8(w, BR_HEARTBEAT);
    br_write_u8(w, BR_BEAT_FORMAT);
    br_write_u8(w, BR_BEAT_STATE);
    br_write_u8(w, header->join);
    br_write_u32(w, header->blocks_size);
    br_write_u32(w, header->document_size);
}

/* ---- buckets ---- */

static void read_place(struct br_reader *r, struct br_beat_bucket *out)
{
    out->depth = br_read_u8(r);
    out->index = read_number(r);
    if (out->depth > BR_BEAT_DEPTH_MAX || out->index >> out->depth != 0)
        br_reader_fail(r);
}

static void write_place(struct br_writer *w, uint8_t type, const struct br_beat_bucket *bucket)
{
    br_write_u8(w, type);
    br_write_u8(w, bucket->depth);
    write_number(w, bucket->index);
}

static size_t set_size(const struct br_beat_bucket *bucket)
{
    return ((size_t)bucket->count + 7) / 8;
}

static void read_beats(struct br_reader *r, struct br_beat_bucket *out)
{
    read_place(r, out);
    out->checksum = br_read_u32(r);
    out->count = br_read_u8(r);
    memset(out->set, 0xff, sizeof out->set);
    for (unsigned i = 0; i < out->count; i++)
        out->beats[i] = read_number(r);
}

void br_beat_beats_encode(struct br_writer *w, const struct br_beat_bucket *bucket)
{
    write_place(w, BR_BEAT_BLOCK_BEATS, bucket);
    br_write_u32(w, bucket->checksum);
    br_write_u8(w, bucket->count);
    for (unsigned i = 0; i < bucket->count; i++)
        write_number(w, bucket->beats[i]);
}

static void read_newer(struct br_reader *r, struct br_beat_bucket *out)
{
    read_place(r, out);
    out->checksum = br_read_u32(r);
    out->count = br_read_u8(r);
    struct bruit_bytes set = br_read_bytes(r, set_size(out));
    memset(out->set, 0, sizeof out->set);
    if (set.size > 0)
        memcpy(out->set, set.data, set.size);
    for (unsigned i = 0; i < out->count; i++)
        out->beats[i] = br_beat_bucket_has(out, i) ? read_number(r) : 0;
}

void br_beat_newer_encode(struct br_writer *w, const struct br_beat_bucket *bucket)
{
    write_place(w, BR_BEAT_BLOCK_NEWER, bucket);
    br_write_u32(w, bucket->checksum);
    br_write_u8(w, bucket->count);
    br_write_bytes(w, br_bytes(bucket->set, set_size(bucket)));
    for (unsigned i = 0; i < bucket->count; i++)
        if (br_beat_bucket_has(bucket, i))
            write_number(w, bucket->beats[i]);
}

static void read_list(struct br_reader *r, struct br_beat_bucket *out)
{
    read_place(r, out);
    out->count = br_read_u8(r);
}

void br_beat_list_encode(struct br_writer *w, const struct br_beat_bucket *bucket)
{
    write_place(w, BR_BEAT_BLOCK_LIST, bucket);
    br_write_u8(w, bucket->count);
}

/* ---- blocks ---- */

int br_beat_block_decode(struct br_beat_block *out, struct br_reader *r)
{
    if (br_reader_left(r) == 0 && !r->failed)
        return BR_BEAT_END;
    uint8_t type = br_read_u8(r);
    switch (type) {
    case BR_BEAT_BLOCK_ENTRY: read_entry(r, &out->entry); break;
    case BR_BEAT_BLOCK_BEATS: read_beats(r, &out->bucket); break;
    case BR_BEAT_BLOCK_NEWER: read_newer(r, &out->bucket); break;
    case BR_BEAT_BLOCK_LIST: read_list(r, &out->bucket); break;
    default: return BRUIT_EFORMAT;
    }
    return r->failed ? BRUIT_EFORMAT : type;
}

int br_beat_check(struct br_reader r)
{
    struct br_beat_block block;
    int type;
    unsigned listed = 0; /* entries that a list announced and that have not come */
    while ((type = br_beat_block_decode(&block, &r)) > 0) {
        if (listed > 0 && type != BR_BEAT_BLOCK_ENTRY)
            return BRUIT_EFORMAT;
        listed = type == BR_BEAT_BLOCK_LIST ? block.bucket.count : listed > 0 ? listed - 1 : 0;
    }
    return type < 0 || listed > 0 ? BRUIT_EFORMAT : 0;
}
