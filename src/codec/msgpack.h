/*
 * MessagePack, as memberlist and Serf speak it: a reader that accepts what their Go decoders accept, and a
 * writer of the forms their encoders produce (docs/wire/memberlist.md section 2.3, serf.md section 2).
 *
 * Reading: any integer width and sign that fits; fixstr, str8/16/32 and bin8/16/32 alike for text and for
 * bytes; nil as the zero of whatever is wanted; structs as maps in any key order, with unknown keys skipped
 * and the last of duplicate keys winning, or as arrays in declaration order. Byte fields as arrays of small
 * integers, which Go also accepts and nobody sends, are refused: a borrowed slice cannot point at them.
 *
 * Nothing here allocates or recurses. A declared length is believed only as far as bytes are there; nesting
 * is followed to BR_MP_DEPTH_MAX levels. Errors stick to the cursor (base/bytes.h): read all, check once.
 */
#ifndef BR_CODEC_MSGPACK_H
#define BR_CODEC_MSGPACK_H

#include "base/bytes.h"

#include <bruit/error.h>
#include <bruit/types.h>

/* Upstream's newest codec stops at 1024 levels, its old one never; no message has more than four. */
#define BR_MP_DEPTH_MAX 64

/* What br_mp_scan says besides 0 and BRUIT_EFORMAT: good so far, and not at its end. */
#define BR_MP_MORE 1

/* What the first byte of a value announces. */
enum br_mp_type {
    BR_MP_NIL,
    BR_MP_BOOL,
    BR_MP_INTEGER,
    BR_MP_FLOAT,
    BR_MP_STRING, /* of the raw/str family */
    BR_MP_BINARY, /* of the bin family */
    BR_MP_ARRAY,
    BR_MP_MAP,
    BR_MP_EXTENSION,
    BR_MP_INVALID, /* c1, which is never used; also at the end of input */
};

/*
 * A list (or map) that has been checked and is walked later: its elements, still encoded, one after the
 * other. `items.data` is NULL for nil, which Go tells from an empty list when it writes, never when it
 * reads.
 */
struct br_mp_list {
    struct bruit_bytes items;
    uint32_t count; /* elements; of a map: pairs */
};

/* ---- reading ------------------------------------------------------------------------------------------- */

/* The type of the value the cursor stands before; consumes nothing. */
enum br_mp_type br_mp_peek(const struct br_reader *r);

/* An integer in [0, max], nil being 0. Anything else fails the reader and returns 0. */
uint64_t br_mp_read_uint(struct br_reader *r, uint64_t max);

/* An integer in [min, max], nil being 0 (which must lie in the range). */
int64_t br_mp_read_int(struct br_reader *r, int64_t min, int64_t max);

/* A bool; the integers 0 and 1, and nil, pass for one. */
bool br_mp_read_bool(struct br_reader *r);

/* A float of either size, or an integer, as the nearest double; nil is 0. */
double br_mp_read_float(struct br_reader *r);

/* Text or bytes of any family, borrowed; nil is empty with a NULL `data`. */
struct bruit_bytes br_mp_read_bytes(struct br_reader *r);

/*
 * The header of an array or map: how many elements (pairs) follow, never more than there are bytes left.
 * Nil counts 0.
 */
uint32_t br_mp_read_array(struct br_reader *r);
uint32_t br_mp_read_map(struct br_reader *r);

/* The same for a map whose first pairs count even when later ones are cut off: the number as claimed. */
uint32_t br_mp_read_map_claim(struct br_reader *r);

/* Any one value, nested ones included. Fails the reader beyond BR_MP_DEPTH_MAX. */
void br_mp_skip(struct br_reader *r);

/* Any one value, returned as its encoded bytes. */
struct bruit_bytes br_mp_read_raw(struct br_reader *r);

/*
 * An array (a map) whose elements are whole values, for a later walk. The elements' own types are not
 * checked.
 */
struct br_mp_list br_mp_read_list(struct br_reader *r);
struct br_mp_list br_mp_read_pairs(struct br_reader *r);

/* The same from a value's encoded bytes (br_mp_read_raw); an empty list when it is nil or none. */
struct br_mp_list br_mp_list_of(struct bruit_bytes raw);
struct br_mp_list br_mp_pairs_of(struct bruit_bytes raw);

/*
 * The encoded value of `key` in an encoded map, the last one if it is there twice. False, and *value empty,
 * when it is missing or `map` is no map that is whole.
 */
bool br_mp_find(struct bruit_bytes map, struct bruit_bytes key, struct bruit_bytes *value);

/* ---- structs ------------------------------------------------------------------------------------------- */

enum br_mp_kind {
    BR_MP_U8,    /* uint8_t */
    BR_MP_U16,   /* uint16_t */
    BR_MP_U32,   /* uint32_t */
    BR_MP_U64,   /* uint64_t */
    BR_MP_I64,   /* int64_t, a Go int: written unsigned when it is not negative, read in every form */
    BR_MP_FLAG,  /* bool */
    BR_MP_F64,   /* double */
    BR_MP_BYTES, /* struct bruit_bytes; empty is written as nil */
    BR_MP_TEXT,  /* struct bruit_bytes; empty is written as "" */
    BR_MP_LIST,  /* struct br_mp_list of anything */
    BR_MP_PAIRS, /* struct br_mp_list of a map's pairs */
    BR_MP_RAW,   /* struct bruit_bytes: one encoded value; written as nil when empty */
};

/*
 * One field of a Go struct: the row serves reader and writer alike. A table lists the fields in ascending
 * byte order of their keys, as upstream writes them; `position` is the field's place in the declaration,
 * which is its place when the struct comes as an array. `omit`: left out when zero or empty.
 */
struct br_mp_field {
    const char *key;
    uint8_t key_size;
    uint8_t kind; /* enum br_mp_kind */
    uint8_t position;
    uint8_t omit;
    uint16_t offset; /* of the member in the C struct */
};

/* The position of a field that no Go struct declares: it comes in maps only. */
#define BR_MP_NO_PLACE 255

#define BR_MP_FIELD(type, member, name, kind_, position_, omit_)                                     \
    {                                                                                                \
        name, (uint8_t)(sizeof(name) - 1), kind_, position_, omit_, (uint16_t)offsetof(type, member) \
    }

/*
 * Reads one struct, map or array or nil, into `out`, whose described members start out zero. Borrowed slices
 * point into the reader's bytes.
 */
void br_mp_read_struct(struct br_reader *r, const struct br_mp_field *fields, size_t count, void *out);

/* Writes `in` as a map with sorted keys, without the omitted fields. At most 15 fields. */
void br_mp_write_struct(struct br_writer *w, const struct br_mp_field *fields, size_t count, const void *in);

/* ---- growing input ------------------------------------------------------------------------------------- */

/*
 * Finds where one value ends in bytes that are still arriving. The scanner remembers how far it came, so a
 * value that trickles in byte by byte costs no more than one that comes whole.
 */
struct br_mp_scanner {
    size_t offset;                     /* of the first byte not looked at */
    uint32_t depth;                    /* open containers */
    uint64_t pending[BR_MP_DEPTH_MAX]; /* values each of them still needs */
};

void br_mp_scanner_init(struct br_mp_scanner *scanner);

/*
 * Goes on in `bytes`, which begin with the value's first byte in every call and only ever grow.
 * Returns 0 with the value's size in *size, BR_MP_MORE, or BRUIT_EFORMAT when no continuation can be valid.
 */
int br_mp_scanner_feed(struct br_mp_scanner *scanner, struct bruit_bytes bytes, size_t *size);

/* The same for bytes seen once: 0, BR_MP_MORE or BRUIT_EFORMAT. */
int br_mp_scan(struct bruit_bytes bytes, size_t *size);

/* ---- writing ------------------------------------------------------------------------------------------- */

void br_mp_write_nil(struct br_writer *w);
void br_mp_write_bool(struct br_writer *w, bool value);
void br_mp_write_uint(struct br_writer *w, uint64_t value); /* the smallest unsigned form */
void br_mp_write_int(struct br_writer *w, int64_t value);  /* the same unless negative: the old codec's way */
void br_mp_write_float(struct br_writer *w, double value); /* always float64 */
void br_mp_write_array(struct br_writer *w, uint32_t count);
void br_mp_write_map(struct br_writer *w, uint32_t count);

/* Old-spec profile, the only one on the gossip wire: fixstr, da, db; never d9, never bin. */
void br_mp_write_str(struct br_writer *w, struct bruit_bytes text);    /* empty: a0 */
void br_mp_write_bytes(struct br_writer *w, struct bruit_bytes bytes); /* the same, but empty: nil */

/* Modern profile, for the RPC: str8 exists, bytes are bin. */
void br_mp_write_str8(struct br_writer *w, struct bruit_bytes text);
void br_mp_write_bin(struct br_writer *w, struct bruit_bytes bytes); /* empty with NULL data: nil */

/* A key, at most 31 bytes: the same in both profiles. */
void br_mp_write_key(struct br_writer *w, const char *key);

/* A list as br_mp_read_list took it: nil when items.data is NULL. */
void br_mp_write_list(struct br_writer *w, const struct br_mp_list *list);
void br_mp_write_pairs(struct br_writer *w, const struct br_mp_list *pairs);

#endif
