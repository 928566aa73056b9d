/*
 * The messages of the aggregate module (docs/aggregates.md). Only bruit's own members see them.
 *
 *     0xB2 | kind (1) | sender's name (length 1, bytes) | body
 *
 * Numbers are varints (7 bits a byte, lowest first, at most 10 bytes) unless said otherwise; strings have a length of
 * one byte; floats are IEEE, big-endian. Decoders check all of a message, so that walking over its lists cannot fail:
 * limits, NaN, infinities, order, and that nothing is left over. Slices are borrowed.
 *
 *     TELL     part (1: 0 is news; else of an answer, BR_AGGREGATE_PART_MORE or how many parts it had), groups
 *     SUMMARY  hash (8) of all that the sender holds, and of how many owners
 *     BUCKETS  BR_AGGREGATE_BUCKETS hashes (4 each)
 *     HAVE     mask of buckets (1 bit each), then an entry for each owner in them
 *     WANT     entries: send me what is newer than this
 *     ASK      exchange (4), epoch, elapsed, name, mass: let us average
 *     GIVE     exchange (4), epoch, elapsed, name, mass: what goes from the sender to the receiver of it
 *     DONE     exchange (4): it arrived
 *     VIEW     nonce (4): what is the checksum of your view?
 *     VIEW_IS  nonce (4), checksum (8), members alive
 */
#ifndef BR_CODEC_AGGREGATE_H
#define BR_CODEC_AGGREGATE_H

#include "base/bytes.h"

#define BR_AGGREGATE_TYPE 0xb2
#define BR_AGGREGATE_BUCKETS 128
#define BR_AGGREGATE_PART_MORE 255
#define BR_AGGREGATE_MASK_SIZE (BR_AGGREGATE_BUCKETS / 8)
#define BR_AGGREGATE_SLOTS 16
#define BR_AGGREGATE_NAME_MAX 64
#define BR_AGGREGATE_TEXT_MAX 64
#define BR_AGGREGATE_NUMBER_MAX 1e150

/*
 * Epochs at or beyond this are refused: an owner goes up by one to override a forged one, and must always have room
 * to. Lives start below 2^61 (module/aggregate_store.h).
 */
#define BR_AGGREGATE_EPOCH_MAX (UINT64_C(1) << 62)

enum br_aggregate_kind {
    BR_AGGREGATE_TELL = 1,
    BR_AGGREGATE_SUMMARY,
    BR_AGGREGATE_BUCKET_HASHES,
    BR_AGGREGATE_HAVE,
    BR_AGGREGATE_WANT,
    BR_AGGREGATE_ASK,
    BR_AGGREGATE_GIVE,
    BR_AGGREGATE_DONE,
    BR_AGGREGATE_VIEW,
    BR_AGGREGATE_VIEW_IS,
};

/* ---- published values ---- */

enum br_aggregate_value_kind {
    BR_AGGREGATE_NOTHING = 0, /* withdrawn */
    BR_AGGREGATE_NUMBER = 1,
    BR_AGGREGATE_TEXT = 2,
};

/* `slot` is below BR_AGGREGATE_SLOTS: an owner can never take more room than that at anybody. */
struct br_aggregate_record {
    uint64_t version; /* grows by one with each change of its owner, whatever the slot; from 1 */
    double number;
    struct bruit_bytes name;
    struct bruit_bytes text;
    uint8_t slot;
    uint8_t kind;
};

/*
 * All records of `owner` in `epoch` whose version is above `from` and up to `to`, as far as they were not replaced by
 * later ones. Who holds everything up to `from` holds everything up to `to` afterwards.
 */
struct br_aggregate_group {
    struct bruit_bytes owner;
    uint64_t epoch;
    uint64_t from;
    uint64_t to;
    uint32_t count;
    struct bruit_bytes records;
};

/* What somebody holds of an owner: everything up to version `complete`. */
struct br_aggregate_entry {
    struct bruit_bytes owner;
    uint64_t epoch;
    uint64_t complete;
};

/* ---- estimates ---- */

#define BR_AGGREGATE_CELLS_MAX 128
#define BR_AGGREGATE_TOPS_MAX 16
#define BR_AGGREGATE_REGISTERS 256 /* of the count of distinct values */
#define BR_AGGREGATE_RESOLUTION_MAX 8
#define BR_AGGREGATE_INDEX_MAX 564 /* of a cell at resolution 0: BR_AGGREGATE_NUMBER_MAX is below 2^499 */

/*
 * In ASK, what the sender has; in GIVE, what goes over: `has` to `rest` and the cells are added to the receiver's,
 * and were taken from the sender's. The others are merged: highest and lowest, register by register.
 */
struct br_aggregate_mass {
    bool is_text;
    bool has_extrema;
    double has;    /* nodes that publish it, of nodes */
    double sum;    /* the next two 0 for texts */
    double square;
    double rest;   /* texts: of cells that there was no room for */
    double min;
    double max;
    struct bruit_bytes registers; /* BR_AGGREGATE_REGISTERS bytes, each at most 64 */
    uint8_t resolution;           /* numbers: of the cells (module/aggregate_mass.h) */
    uint32_t cell_count;
    struct bruit_bytes cells;
    uint32_t top_count;
    struct bruit_bytes tops;
};

struct br_aggregate_cell {
    struct bruit_bytes text; /* texts: in ascending order */
    int32_t index;           /* numbers: ascending */
    float mass;
};

struct br_aggregate_top {
    double number;
    struct bruit_bytes node;
};

/* ---- messages ---- */

struct br_aggregate_message {
    enum br_aggregate_kind kind;
    struct bruit_bytes sender;
    struct bruit_bytes list;      /* TELL: groups; HAVE, WANT: entries */
    struct bruit_bytes buckets;   /* BUCKETS */
    struct bruit_bytes mask;      /* HAVE */
    uint64_t hash;                /* SUMMARY; VIEW_IS: the checksum */
    uint64_t count;               /* SUMMARY: owners; VIEW_IS: alive */
    uint32_t number;              /* TELL: part; ASK, GIVE, DONE: exchange; VIEW, VIEW_IS: nonce */
    uint64_t epoch;               /* ASK, GIVE */
    uint64_t elapsed;             /* ASK, GIVE: milliseconds since it began at the sender */
    struct bruit_bytes name;      /* ASK, GIVE */
    struct br_aggregate_mass mass; /* ASK, GIVE */
};

/* `body` is what follows the type byte. 0, or BRUIT_EFORMAT: then nothing of it may be used. */
int br_aggregate_decode(struct br_aggregate_message *out, struct bruit_bytes body);

/* Walking: each takes the next off the front of a checked list; false at its end. */
bool br_aggregate_next_group(struct bruit_bytes *list, struct br_aggregate_group *out);
bool br_aggregate_next_record(struct bruit_bytes *records, struct br_aggregate_record *out);
bool br_aggregate_next_entry(struct bruit_bytes *list, struct br_aggregate_entry *out);
bool br_aggregate_next_cell(struct bruit_bytes *cells, bool is_text, struct br_aggregate_cell *out);
bool br_aggregate_next_top(struct bruit_bytes *tops, struct br_aggregate_top *out);
uint32_t br_aggregate_bucket(struct bruit_bytes buckets, unsigned index);

/* May this be published? Not NaN, not infinite, not beyond BR_AGGREGATE_NUMBER_MAX. */
bool br_aggregate_is_number(double value);

/* Writing: begin a message, then its parts. */
void br_aggregate_begin(struct br_writer *w, enum br_aggregate_kind kind, struct bruit_bytes sender);
/* `count` records follow, each by br_aggregate_write_record(). */
void br_aggregate_write_group(struct br_writer *w, const struct br_aggregate_group *group);
void br_aggregate_write_record(struct br_writer *w, const struct br_aggregate_record *record);
void br_aggregate_write_entry(struct br_writer *w, const struct br_aggregate_entry *entry);
void br_aggregate_write_summary(struct br_writer *w, uint64_t hash, uint64_t owners);
/* What ASK and GIVE begin with; the mass follows. */
void br_aggregate_write_exchange(struct br_writer *w, uint32_t exchange, uint64_t epoch, uint64_t elapsed,
                                 struct bruit_bytes name);
/* All but the lists: `cell_count` cells follow (br_aggregate_write_cell), then the tops with their own count. */
void br_aggregate_write_mass(struct br_writer *w, const struct br_aggregate_mass *mass);
/* `previous`: the index of the cell before; INT32_MIN for the first. */
void br_aggregate_write_cell(struct br_writer *w, bool is_text, int32_t previous,
                             const struct br_aggregate_cell *cell);
/* Begins the list of tops and returns where its count is; br_write_u8_at() changes it. */
size_t br_aggregate_write_tops(struct br_writer *w);
void br_aggregate_write_top(struct br_writer *w, const struct br_aggregate_top *top);
void br_aggregate_write_view_is(struct br_writer *w, uint32_t nonce, uint64_t checksum, uint64_t alive);

#endif
