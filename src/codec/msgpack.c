/*
 * MessagePack read and written on cursors: see msgpack.h for what is accepted and which forms are produced.
 *
 * The first byte of a value says its type and, for short values, its size:
 *
 *     00..7f  the number itself     80..8f  map of n pairs    90..9f  array of n   a0..bf  string of n bytes
 *     c0 nil  c1 never used  c2 c3 false true   c4 c5 c6 bytes   c7 c8 c9 extension   ca cb float
 *     cc..cf unsigned  d0..d3 signed  d4..d8 extension of 1 2 4 8 16   d9 da db string
 *     dc dd array  de df map     e0..ff  the number less 256
 *
 * Those in groups of three or four come with a size (or value) of 1, 2, 4, 8 bytes; nothing here is
 * recursive.
 */
#include "codec/msgpack.h"

#include "base/check.h"

enum {
    NIL = 0xc0,
    NEVER_USED = 0xc1,
    FALSE_BYTE = 0xc2,
    TRUE_BYTE = 0xc3,
    BIN8 = 0xc4,
    BIN16 = 0xc5,
    BIN32 = 0xc6,
    EXT8 = 0xc7,
    EXT16 = 0xc8,
    EXT32 = 0xc9,
    FLOAT32 = 0xca,
    FLOAT64 = 0xcb,
    UINT8 = 0xcc,
    UINT16 = 0xcd,
    UINT32 = 0xce,
    UINT64 = 0xcf,
    INT8 = 0xd0,
    INT16 = 0xd1,
    INT32 = 0xd2,
    INT64 = 0xd3,
    FIXEXT1 = 0xd4,
    FIXEXT16 = 0xd8,
    STR8 = 0xd9,
    STR16 = 0xda,
    STR32 = 0xdb,
    ARRAY16 = 0xdc,
    ARRAY32 = 0xdd,
    MAP16 = 0xde,
    MAP32 = 0xdf,
    NEGATIVE_FIXINT = 0xe0,
};

/* ---- reading ------------------------------------------------------------------------------------------- */

enum br_mp_type br_mp_peek(const struct br_reader *r)
{
    if (br_reader_left(r) == 0)
        return BR_MP_INVALID;
    uint8_t first = *r->at;
    if (first <= 0x7f || first >= NEGATIVE_FIXINT)
        return BR_MP_INTEGER;
    if (first <= 0x8f)
        return BR_MP_MAP;
    if (first <= 0x9f)
        return BR_MP_ARRAY;
    if (first <= 0xbf)
        return BR_MP_STRING;
    static const uint8_t types[] = {
        BR_MP_NIL,       BR_MP_INVALID,   BR_MP_BOOL,      BR_MP_BOOL,      BR_MP_BINARY,    BR_MP_BINARY,
        BR_MP_BINARY,    BR_MP_EXTENSION, BR_MP_EXTENSION, BR_MP_EXTENSION, BR_MP_FLOAT,     BR_MP_FLOAT,
        BR_MP_INTEGER,   BR_MP_INTEGER,   BR_MP_INTEGER,   BR_MP_INTEGER,   BR_MP_INTEGER,   BR_MP_INTEGER,
        BR_MP_INTEGER,   BR_MP_INTEGER,   BR_MP_EXTENSION, BR_MP_EXTENSION, BR_MP_EXTENSION, BR_MP_EXTENSION,
        BR_MP_EXTENSION, BR_MP_STRING,    BR_MP_STRING,    BR_MP_STRING,    BR_MP_ARRAY,     BR_MP_ARRAY,
        BR_MP_MAP,       BR_MP_MAP,
    };
    return types[first - NIL];
}

/* An integer of any form, or nil: its two's complement, and whether it is below zero. */
static uint64_t read_integer(struct br_reader *r, bool *negative)
{
    uint8_t first = br_read_u8(r);
    int64_t value;
    *negative = false;
    switch (first) {
    case NIL: return 0;
    case UINT8: return br_read_u8(r);
    case UINT16: return br_read_u16(r);
    case UINT32: return br_read_u32(r);
    case UINT64: return br_read_u64(r);
    case INT8: value = (int8_t)br_read_u8(r); break;
    case INT16: value = (int16_t)br_read_u16(r); break;
    case INT32: value = (int32_t)br_read_u32(r); break;
    case INT64: value = (int64_t)br_read_u64(r); break;
    default:
        if (first > 0x7f && first < NEGATIVE_FIXINT) {
            br_reader_fail(r);
            return 0;
        }
        value = (int8_t)first;
    }
    *negative = value < 0;
    return (uint64_t)value;
}

uint64_t br_mp_read_uint(struct br_reader *r, uint64_t max)
{
    bool negative;
    uint64_t value = read_integer(r, &negative);
    if (negative || value > max) {
        br_reader_fail(r);
        return 0;
    }
    return value;
}

int64_t br_mp_read_int(struct br_reader *r, int64_t min, int64_t max)
{
    BR_ASSERT(min <= 0);
    BR_ASSERT(max >= 0);
    bool negative;
    uint64_t value = read_integer(r, &negative);
    if (negative ? (int64_t)value < min : value > (uint64_t)max) {
        br_reader_fail(r);
        return 0;
    }
    return (int64_t)value;
}

bool br_mp_read_bool(struct br_reader *r)
{
    uint8_t first = br_peek_u8(r);
    if (first == FALSE_BYTE || first == TRUE_BYTE) {
        (void)br_read_u8(r);
        return first == TRUE_BYTE;
    }
    return br_mp_read_uint(r, 1) == 1;
}

double br_mp_read_float(struct br_reader *r)
{
    uint8_t first = br_peek_u8(r);
    if (first == FLOAT64) {
        (void)br_read_u8(r);
        uint64_t bits = br_read_u64(r);
        double value;
        memcpy(&value, &bits, sizeof value);
        return value;
    }
    if (first == FLOAT32) {
        (void)br_read_u8(r);
        uint32_t bits = br_read_u32(r);
        float value;
        memcpy(&value, &bits, sizeof value);
        return (double)value;
    }
    bool negative;
    uint64_t value = read_integer(r, &negative);
    return negative ? (double)(int64_t)value : (double)value;
}

struct bruit_bytes br_mp_read_bytes(struct br_reader *r)
{
    uint8_t first = br_read_u8(r);
    if ((first & 0xe0) == 0xa0)
        return br_read_bytes(r, first & 0x1f);
    switch (first) {
    case STR8:
    case BIN8: return br_read_bytes(r, br_read_u8(r));
    case STR16:
    case BIN16: return br_read_bytes(r, br_read_u16(r));
    case STR32:
    case BIN32: return br_read_bytes(r, br_read_u32(r));
    case NIL: break;
    default: br_reader_fail(r);
    }
    return br_bytes(NULL, 0);
}

/* Every element takes a byte at least, a pair two: more than that cannot be there. */
static uint32_t believe_count(struct br_reader *r, uint32_t count, size_t element_size)
{
    if (count <= br_reader_left(r) / element_size)
        return count;
    br_reader_fail(r);
    return 0;
}

uint32_t br_mp_read_array(struct br_reader *r)
{
    uint8_t first = br_read_u8(r);
    if ((first & 0xf0) == 0x90)
        return believe_count(r, first & 0x0f, 1);
    switch (first) {
    case ARRAY16: return believe_count(r, br_read_u16(r), 1);
    case ARRAY32: return believe_count(r, br_read_u32(r), 1);
    case NIL: return 0;
    default: br_reader_fail(r); return 0;
    }
}

uint32_t br_mp_read_map_claim(struct br_reader *r)
{
    uint8_t first = br_read_u8(r);
    if ((first & 0xf0) == 0x80)
        return first & 0x0f;
    switch (first) {
    case MAP16: return br_read_u16(r);
    case MAP32: return br_read_u32(r);
    case NIL: return 0;
    default: br_reader_fail(r); return 0;
    }
}

uint32_t br_mp_read_map(struct br_reader *r)
{
    uint32_t count = br_mp_read_map_claim(r);
    return believe_count(r, count, 2);
}

void br_mp_skip(struct br_reader *r)
{
    (void)br_mp_read_raw(r);
}

struct bruit_bytes br_mp_read_raw(struct br_reader *r)
{
    size_t size;
    if (br_mp_scan(br_reader_rest(r), &size) == 0)
        return br_read_bytes(r, size);
    br_reader_fail(r);
    return br_bytes(NULL, 0);
}

/* What a container holds, told from its encoded bytes: `is_map` says which of the two it must be. */
static struct br_mp_list read_container(struct br_reader *r, bool is_map)
{
    struct br_reader inner;
    br_reader_init(&inner, br_mp_read_raw(r));
    bool is_nil = br_mp_peek(&inner) == BR_MP_NIL;
    uint32_t count = is_map ? br_mp_read_map(&inner) : br_mp_read_array(&inner);
    if (inner.failed)
        br_reader_fail(r);
    if (is_nil || inner.failed)
        return (struct br_mp_list){{NULL, 0}, 0};
    return (struct br_mp_list){br_reader_rest(&inner), count};
}

struct br_mp_list br_mp_read_list(struct br_reader *r)
{
    return read_container(r, false);
}

struct br_mp_list br_mp_read_pairs(struct br_reader *r)
{
    return read_container(r, true);
}

struct br_mp_list br_mp_list_of(struct bruit_bytes raw)
{
    struct br_reader r;
    br_reader_init(&r, raw);
    return br_mp_read_list(&r);
}

struct br_mp_list br_mp_pairs_of(struct bruit_bytes raw)
{
    struct br_reader r;
    br_reader_init(&r, raw);
    return br_mp_read_pairs(&r);
}

bool br_mp_find(struct bruit_bytes map, struct bruit_bytes key, struct bruit_bytes *value)
{
    struct br_reader r;
    br_reader_init(&r, map);
    bool found = false;
    *value = br_bytes(NULL, 0);
    uint32_t count = br_mp_read_map(&r);
    for (uint32_t i = 0; i < count && !r.failed; i++) {
        struct bruit_bytes at = br_mp_read_bytes(&r);
        struct bruit_bytes raw = br_mp_read_raw(&r);
        if (r.failed || !br_bytes_equal(at, key))
            continue;
        *value = raw;
        found = true;
    }
    if (r.failed)
        *value = br_bytes(NULL, 0);
    return found && !r.failed;
}

/* ---- structs ------------------------------------------------------------------------------------------- */

static size_t kind_size(enum br_mp_kind kind)
{
    switch (kind) {
    case BR_MP_U8: return sizeof(uint8_t);
    case BR_MP_U16: return sizeof(uint16_t);
    case BR_MP_U32: return sizeof(uint32_t);
    case BR_MP_U64: return sizeof(uint64_t);
    case BR_MP_I64: return sizeof(int64_t);
    case BR_MP_FLAG: return sizeof(bool);
    case BR_MP_F64: return sizeof(double);
    case BR_MP_BYTES:
    case BR_MP_TEXT:
    case BR_MP_RAW: return sizeof(struct bruit_bytes);
    case BR_MP_LIST:
    case BR_MP_PAIRS: return sizeof(struct br_mp_list);
    }
    return 0;
}

static void read_field(struct br_reader *r, const struct br_mp_field *field, void *out)
{
    uint8_t *to = (uint8_t *)out + field->offset;
    union {
        uint8_t u8;
        uint16_t u16;
        uint32_t u32;
        uint64_t u64;
        int64_t i64;
        bool flag;
        double f64;
        struct bruit_bytes bytes;
        struct br_mp_list list;
    } v;
    switch ((enum br_mp_kind)field->kind) {
    case BR_MP_U8: v.u8 = (uint8_t)br_mp_read_uint(r, UINT8_MAX); break;
    case BR_MP_U16: v.u16 = (uint16_t)br_mp_read_uint(r, UINT16_MAX); break;
    case BR_MP_U32: v.u32 = (uint32_t)br_mp_read_uint(r, UINT32_MAX); break;
    case BR_MP_U64: v.u64 = br_mp_read_uint(r, UINT64_MAX); break;
    case BR_MP_I64: v.i64 = br_mp_read_int(r, INT64_MIN, INT64_MAX); break;
    case BR_MP_FLAG: v.flag = br_mp_read_bool(r); break;
    case BR_MP_F64: v.f64 = br_mp_read_float(r); break;
    case BR_MP_BYTES:
    case BR_MP_TEXT: v.bytes = br_mp_read_bytes(r); break;
    case BR_MP_RAW: v.bytes = br_mp_read_raw(r); break;
    case BR_MP_LIST: v.list = br_mp_read_list(r); break;
    case BR_MP_PAIRS: v.list = br_mp_read_pairs(r); break;
    }
    if (!r->failed)
        memcpy(to, &v, kind_size((enum br_mp_kind)field->kind));
}

static const struct br_mp_field *field_at(const struct br_mp_field *fields, size_t count, uint32_t position)
{
    for (size_t i = 0; i < count; i++)
        if (fields[i].position == position)
            return &fields[i];
    return NULL;
}

/* Senders write the keys in the table's order: look at `guess` first. */
static const struct br_mp_field *field_named(const struct br_mp_field *fields, size_t count, size_t guess,
                                             struct bruit_bytes key)
{
    for (size_t i = 0; i < count; i++) {
        size_t index = guess + i < count ? guess + i : guess + i - count;
        if (fields[index].key_size == key.size && memcmp(fields[index].key, key.data, key.size) == 0)
            return &fields[index];
    }
    return NULL;
}

static void read_struct_array(struct br_reader *r, const struct br_mp_field *fields, size_t count, void *out)
{
    uint32_t element_count = br_mp_read_array(r);
    for (uint32_t i = 0; i < element_count && !r->failed; i++) {
        const struct br_mp_field *field = field_at(fields, count, i);
        if (field != NULL)
            read_field(r, field, out);
        else
            br_mp_skip(r);
    }
}

static void read_struct_map(struct br_reader *r, const struct br_mp_field *fields, size_t count, void *out)
{
    size_t guess = 0;
    uint32_t pair_count = br_mp_read_map(r);
    for (uint32_t i = 0; i < pair_count && !r->failed; i++) {
        struct bruit_bytes key = br_mp_read_bytes(r);
        const struct br_mp_field *field = key.size == 0 ? NULL : field_named(fields, count, guess, key);
        if (field == NULL) {
            br_mp_skip(r);
            continue;
        }
        read_field(r, field, out);
        guess = (size_t)(field - fields) + 1 < count ? (size_t)(field - fields) + 1 : 0;
    }
}

void br_mp_read_struct(struct br_reader *r, const struct br_mp_field *fields, size_t count, void *out)
{
    for (size_t i = 0; i < count; i++)
        memset((uint8_t *)out + fields[i].offset, 0, kind_size((enum br_mp_kind)fields[i].kind));
    if (br_mp_peek(r) == BR_MP_ARRAY)
        read_struct_array(r, fields, count, out);
    else
        read_struct_map(r, fields, count, out);
}

/* What `omit` calls empty: a number of 0, a slice of no bytes. Only these kinds are ever omitted. */
static bool is_empty_field(const struct br_mp_field *field, const void *in)
{
    const uint8_t *from = (const uint8_t *)in + field->offset;
    if (field->kind == BR_MP_BYTES || field->kind == BR_MP_TEXT) {
        struct bruit_bytes bytes;
        memcpy(&bytes, from, sizeof bytes);
        return bytes.size == 0;
    }
    for (size_t i = 0; i < kind_size((enum br_mp_kind)field->kind); i++)
        if (from[i] != 0)
            return false;
    return true;
}

static void write_field(struct br_writer *w, const struct br_mp_field *field, const void *in)
{
    const uint8_t *from = (const uint8_t *)in + field->offset;
    union {
        uint8_t u8;
        uint16_t u16;
        uint32_t u32;
        uint64_t u64;
        int64_t i64;
        bool flag;
        double f64;
        struct bruit_bytes bytes;
        struct br_mp_list list;
    } v;
    memcpy(&v, from, kind_size((enum br_mp_kind)field->kind));
    switch ((enum br_mp_kind)field->kind) {
    case BR_MP_U8: br_mp_write_uint(w, v.u8); break;
    case BR_MP_U16: br_mp_write_uint(w, v.u16); break;
    case BR_MP_U32: br_mp_write_uint(w, v.u32); break;
    case BR_MP_U64: br_mp_write_uint(w, v.u64); break;
    case BR_MP_I64: br_mp_write_int(w, v.i64); break;
    case BR_MP_FLAG: br_mp_write_bool(w, v.flag); break;
    case BR_MP_F64: br_mp_write_float(w, v.f64); break;
    case BR_MP_BYTES: br_mp_write_bytes(w, v.bytes); break;
    case BR_MP_TEXT: br_mp_write_str(w, v.bytes); break;
    case BR_MP_RAW:
        if (v.bytes.size == 0)
            br_mp_write_nil(w);
        else
            br_write_bytes(w, v.bytes);
        break;
    case BR_MP_LIST: br_mp_write_list(w, &v.list); break;
    case BR_MP_PAIRS: br_mp_write_pairs(w, &v.list); break;
    }
}

void br_mp_write_struct(struct br_writer *w, const struct br_mp_field *fields, size_t count, const void *in)
{
    BR_ASSERT(count <= 15);
    uint32_t written = 0;
    for (size_t i = 0; i < count; i++)
        written += !fields[i].omit || !is_empty_field(&fields[i], in);
    br_mp_write_map(w, written);
    for (size_t i = 0; i < count; i++) {
        if (fields[i].omit && is_empty_field(&fields[i], in))
            continue;
        br_mp_write_str(w, br_bytes(fields[i].key, fields[i].key_size));
        write_field(w, &fields[i], in);
    }
}

/* ---- growing input ------------------------------------------------------------------------------------- */

void br_mp_scanner_init(struct br_mp_scanner *scanner)
{
    scanner->offset = 0;
    scanner->depth = 0;
}

/* One value without its children: 0 and how many values it contains, BR_MP_MORE, or BRUIT_EFORMAT. */
static int scan_value(struct br_reader *r, uint64_t *children)
{
    uint8_t first = br_read_u8(r);
    uint64_t payload = 0;
    *children = 0;
    if (first > 0x7f && first < NEGATIVE_FIXINT) {
        if (first <= 0x8f)
            *children = 2 * (uint64_t)(first & 0x0f);
        else if (first <= 0x9f)
            *children = first & 0x0f;
        else if (first <= 0xbf)
            payload = first & 0x1f;
        else if (first >= FIXEXT1 && first <= FIXEXT16)
            payload = 1 + (UINT64_C(1) << (first - FIXEXT1));
        else
            switch (first) {
            case NEVER_USED: return BRUIT_EFORMAT;
            case BIN8:
            case STR8: payload = br_read_u8(r); break;
            case BIN16:
            case STR16: payload = br_read_u16(r); break;
            case BIN32:
            case STR32: payload = br_read_u32(r); break;
            case EXT8: payload = 1 + (uint64_t)br_read_u8(r); break;
            case EXT16: payload = 1 + (uint64_t)br_read_u16(r); break;
            case EXT32: payload = 1 + (uint64_t)br_read_u32(r); break;
            case UINT8:
            case INT8: payload = 1; break;
            case UINT16:
            case INT16: payload = 2; break;
            case UINT32:
            case INT32:
            case FLOAT32: payload = 4; break;
            case UINT64:
            case INT64:
            case FLOAT64: payload = 8; break;
            case ARRAY16: *children = br_read_u16(r); break;
            case ARRAY32: *children = br_read_u32(r); break;
            case MAP16: *children = 2 * (uint64_t)br_read_u16(r); break;
            case MAP32: *children = 2 * (uint64_t)br_read_u32(r); break;
            default: break; /* nil, false, true */
            }
    }
    if (r->failed || br_reader_left(r) < payload)
        return BR_MP_MORE;
    (void)br_read_bytes(r, (size_t)payload);
    return 0;
}

int br_mp_scanner_feed(struct br_mp_scanner *scanner, struct bruit_bytes bytes, size_t *size)
{
    BR_ASSERT(scanner->offset <= bytes.size);
    struct br_reader r;
    br_reader_init(&r, bytes);
    (void)br_read_bytes(&r, scanner->offset);
    for (;;) {
        uint64_t children;
        int status = scan_value(&r, &children);
        if (status != 0)
            return status;
        scanner->offset = bytes.size - br_reader_left(&r);
        if (children != 0) {
            if (scanner->depth == BR_MP_DEPTH_MAX)
                return BRUIT_EFORMAT;
            scanner->pending[scanner->depth++] = children;
            continue;
        }
        /* A value is complete, and with it each container whose last value it was. */
        while (scanner->depth > 0 && --scanner->pending[scanner->depth - 1] == 0)
            scanner->depth--;
        if (scanner->depth == 0) {
            *size = scanner->offset;
            return 0;
        }
    }
}

int br_mp_scan(struct bruit_bytes bytes, size_t *size)
{
    struct br_mp_scanner scanner;
    br_mp_scanner_init(&scanner);
    return br_mp_scanner_feed(&scanner, bytes, size);
}

/* ---- writing ------------------------------------------------------------------------------------------- */

void br_mp_write_nil(struct br_writer *w)
{
    br_write_u8(w, NIL);
}

void br_mp_write_bool(struct br_writer *w, bool value)
{
    br_write_u8(w, value ? TRUE_BYTE : FALSE_BYTE);
}

/* A first byte with a number behind it. All or nothing: half a header must not look like room was left. */
static void write_u8_behind(struct br_writer *w, uint8_t first, uint8_t value)
{
    uint8_t *p = br_write_space(w, 2);
    if (p == NULL)
        return;
    p[0] = first;
    p[1] = value;
}

static void write_u16_behind(struct br_writer *w, uint8_t first, uint16_t value)
{
    uint8_t *p = br_write_space(w, 3);
    if (p == NULL)
        return;
    p[0] = first;
    br_store_u16(p + 1, value);
}

static void write_u32_behind(struct br_writer *w, uint8_t first, uint32_t value)
{
    uint8_t *p = br_write_space(w, 5);
    if (p == NULL)
        return;
    p[0] = first;
    br_store_u32(p + 1, value);
}

static void write_u64_behind(struct br_writer *w, uint8_t first, uint64_t value)
{
    uint8_t *p = br_write_space(w, 9);
    if (p == NULL)
        return;
    p[0] = first;
    br_store_u64(p + 1, value);
}

void br_mp_write_uint(struct br_writer *w, uint64_t value)
{
    if (value <= 0x7f)
        br_write_u8(w, (uint8_t)value);
    else if (value <= UINT8_MAX)
        write_u8_behind(w, UINT8, (uint8_t)value);
    else if (value <= UINT16_MAX)
        write_u16_behind(w, UINT16, (uint16_t)value);
    else if (value <= UINT32_MAX)
        write_u32_behind(w, UINT32, (uint32_t)value);
    else
        write_u64_behind(w, UINT64, value);
}

void br_mp_write_int(struct br_writer *w, int64_t value)
{
    if (value >= 0)
        br_mp_write_uint(w, (uint64_t)value);
    else if (value >= -32)
        br_write_u8(w, (uint8_t)value);
    else if (value >= INT8_MIN)
        write_u8_behind(w, INT8, (uint8_t)value);
    else if (value >= INT16_MIN)
        write_u16_behind(w, INT16, (uint16_t)value);
    else if (value >= INT32_MIN)
        write_u32_behind(w, INT32, (uint32_t)value);
    else
        write_u64_behind(w, INT64, (uint64_t)value);
}

void br_mp_write_float(struct br_writer *w, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    write_u64_behind(w, FLOAT64, bits);
}

void br_mp_write_array(struct br_writer *w, uint32_t count)
{
    if (count <= 15)
        br_write_u8(w, (uint8_t)(0x90 | count));
    else if (count <= UINT16_MAX)
        write_u16_behind(w, ARRAY16, (uint16_t)count);
    else
        write_u32_behind(w, ARRAY32, count);
}

void br_mp_write_map(struct br_writer *w, uint32_t count)
{
    if (count <= 15)
        br_write_u8(w, (uint8_t)(0x80 | count));
    else if (count <= UINT16_MAX)
        write_u16_behind(w, MAP16, (uint16_t)count);
    else
        write_u32_behind(w, MAP32, count);
}

void br_mp_write_str(struct br_writer *w, struct bruit_bytes text)
{
    BR_ASSERT(text.size <= UINT32_MAX);
    if (text.size <= 31)
        br_write_u8(w, (uint8_t)(0xa0 | text.size));
    else if (text.size <= UINT16_MAX)
        write_u16_behind(w, STR16, (uint16_t)text.size);
    else
        write_u32_behind(w, STR32, (uint32_t)text.size);
    br_write_bytes(w, text);
}

void br_mp_write_bytes(struct br_writer *w, struct bruit_bytes bytes)
{
    if (bytes.size == 0)
        br_mp_write_nil(w);
    else
        br_mp_write_str(w, bytes);
}

void br_mp_write_str8(struct br_writer *w, struct bruit_bytes text)
{
    if (text.size <= 31 || text.size > UINT8_MAX) {
        br_mp_write_str(w, text);
        return;
    }
    write_u8_behind(w, STR8, (uint8_t)text.size);
    br_write_bytes(w, text);
}

void br_mp_write_bin(struct br_writer *w, struct bruit_bytes bytes)
{
    BR_ASSERT(bytes.size <= UINT32_MAX);
    if (bytes.data == NULL) {
        br_mp_write_nil(w);
        return;
    }
    if (bytes.size <= UINT8_MAX)
        write_u8_behind(w, BIN8, (uint8_t)bytes.size);
    else if (bytes.size <= UINT16_MAX)
        write_u16_behind(w, BIN16, (uint16_t)bytes.size);
    else
        write_u32_behind(w, BIN32, (uint32_t)bytes.size);
    br_write_bytes(w, bytes);
}

void br_mp_write_key(struct br_writer *w, const char *key)
{
    struct bruit_bytes text = br_bytes_string(key);
    BR_ASSERT(text.size <= 31);
    br_mp_write_str(w, text);
}

void br_mp_write_list(struct br_writer *w, const struct br_mp_list *list)
{
    if (list->items.data == NULL) {
        br_mp_write_nil(w);
        return;
    }
    br_mp_write_array(w, list->count);
    br_write_bytes(w, list->items);
}

void br_mp_write_pairs(struct br_writer *w, const struct br_mp_list *pairs)
{
    if (pairs->items.data == NULL) {
        br_mp_write_nil(w);
        return;
    }
    br_mp_write_map(w, pairs->count);
    br_write_bytes(w, pairs->items);
}
