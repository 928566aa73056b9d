/*
 * The messages of the aggregate module: see aggregate.h for the layout, which this file follows in its order.
 *
 * Each list has one function that reads an element and one that walks; checking a list is walking over it.
 */
#include "codec/aggregate.h"

#include <bruit/error.h>

/* ------------------------------------------------------------------ primitives */

static uint64_t read_varint(struct br_reader *r)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = br_read_u8(r);
        if (shift == 63 && byte > 1)
            break; /* beyond 64 bits */
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            if (byte == 0 && shift > 0)
                br_reader_fail(r); /* one number, one form */
            return r->failed ? 0 : value;
        }
    }
    br_reader_fail(r);
    return 0;
}

static void write_varint(struct br_writer *w, uint64_t value)
{
    while (value >= 0x80) {
        br_write_u8(w, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    br_write_u8(w, (uint8_t)value);
}

/* A string of `least` to `most` bytes. */
static struct bruit_bytes read_string(struct br_reader *r, size_t least, size_t most)
{
    uint8_t size = br_read_u8(r);
    if (size < least || size > most)
        br_reader_fail(r);
    return br_read_bytes(r, size);
}

static void write_string(struct br_writer *w, struct bruit_bytes string)
{
    if (string.size > UINT8_MAX)
        br_writer_fail(w);
    br_write_u8(w, (uint8_t)string.size);
    br_write_bytes(w, string);
}

bool br_aggregate_is_number(double value)
{
    return value >= -BR_AGGREGATE_NUMBER_MAX && value <= BR_AGGREGATE_NUMBER_MAX; /* false for a NaN */
}

/* Sums of squares of numbers go to 1e300 and a little more. */
static double read_double(struct br_reader *r, double limit)
{
    uint64_t bits = br_read_u64(r);
    double value;
    memcpy(&value, &bits, sizeof value);
    if (!(value >= -limit && value <= limit)) {
        br_reader_fail(r);
        return 0;
    }
    return value == 0 ? 0 : value; /* -0 is 0 */
}

static void write_double(struct br_writer *w, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    br_write_u64(w, bits);
}

/* A part of all nodes, or a difference of two. */
static float read_part(struct br_reader *r)
{
    uint32_t bits = br_read_u32(r);
    float value;
    memcpy(&value, &bits, sizeof value);
    if (!(value >= -2 && value <= 2)) {
        br_reader_fail(r);
        return 0;
    }
    return value == 0 ? 0 : value;
}

static void write_part(struct br_writer *w, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    br_write_u32(w, bits);
}

/* ------------------------------------------------------------------ records, groups */

static void read_record(struct br_reader *r, struct br_aggregate_record *out)
{
    *out = (struct br_aggregate_record){.slot = br_read_u8(r)};
    out->version = read_varint(r);
    out->kind = br_read_u8(r);
    if (out->slot >= BR_AGGREGATE_SLOTS || out->kind > BR_AGGREGATE_TEXT || out->version == 0)
        br_reader_fail(r);
    if (out->kind == BR_AGGREGATE_NOTHING)
        return;
    out->name = read_string(r, 1, BR_AGGREGATE_NAME_MAX);
    if (out->kind == BR_AGGREGATE_NUMBER)
        out->number = read_double(r, BR_AGGREGATE_NUMBER_MAX);
    else
        out->text = read_string(r, 1, BR_AGGREGATE_TEXT_MAX);
}

void br_aggregate_write_record(struct br_writer *w, const struct br_aggregate_record *record)
{
    br_write_u8(w, record->slot);
    write_varint(w, record->version);
    br_write_u8(w, record->kind);
    if (record->kind == BR_AGGREGATE_NOTHING)
        return;
    write_string(w, record->name);
    if (record->kind == BR_AGGREGATE_NUMBER)
        write_double(w, record->number);
    else
        write_string(w, record->text);
}

bool br_aggregate_next_record(struct bruit_bytes *records, struct br_aggregate_record *out)
{
    struct br_reader r;
    br_reader_init(&r, *records);
    if (br_reader_left(&r) == 0)
        return false;
    read_record(&r, out);
    *records = br_reader_rest(&r);
    return !r.failed;
}

/* Its records are in slots of their own, and their versions within what the group covers. */
static struct bruit_bytes read_records(struct br_reader *r, const struct br_aggregate_group *group)
{
    struct bruit_bytes start = br_reader_rest(r);
    uint32_t seen = 0;
    for (uint32_t i = 0; i < group->count && !r->failed; i++) {
        struct br_aggregate_record record;
        read_record(r, &record);
        if (r->failed)
            break;
        if (record.version <= group->from || record.version > group->to || (seen >> record.slot & 1) != 0)
            br_reader_fail(r);
        seen |= UINT32_C(1) << record.slot;
    }
    return r->failed ? br_bytes(NULL, 0) : br_bytes(start.data, start.size - br_reader_left(r));
}

static void read_group(struct br_reader *r, struct br_aggregate_group *out)
{
    *out = (struct br_aggregate_group){.owner = read_string(r, 1, BRUIT_NAME_MAX)};
    out->epoch = read_varint(r);
    out->from = read_varint(r);
    out->to = read_varint(r);
    out->count = br_read_u8(r);
    if (out->to < out->from || out->to == UINT64_MAX || out->count > BR_AGGREGATE_SLOTS)
        br_reader_fail(r);
    out->records = read_records(r, out);
}

void br_aggregate_write_group(struct br_writer *w, const struct br_aggregate_group *group)
{
    write_string(w, group->owner);
    write_varint(w, group->epoch);
    write_varint(w, group->from);
    write_varint(w, group->to);
    br_write_u8(w, (uint8_t)group->count);
}

bool br_aggregate_next_group(struct bruit_bytes *list, struct br_aggregate_group *out)
{
    struct br_reader r;
    br_reader_init(&r, *list);
    if (br_reader_left(&r) == 0)
        return false;
    read_group(&r, out);
    *list = br_reader_rest(&r);
    return !r.failed;
}

/* ------------------------------------------------------------------ comparing */

void br_aggregate_write_summary(struct br_writer *w, uint64_t hash, uint64_t owners)
{
    br_write_u64(w, hash);
    write_varint(w, owners);
}

uint32_t br_aggregate_bucket(struct bruit_bytes buckets, unsigned index)
{
    return br_load_u32(buckets.data + 4 * (size_t)index);
}

static void read_entry(struct br_reader *r, struct br_aggregate_entry *out)
{
    *out = (struct br_aggregate_entry){.owner = read_string(r, 1, BRUIT_NAME_MAX)};
    out->epoch = read_varint(r);
    out->complete = read_varint(r);
}

void br_aggregate_write_entry(struct br_writer *w, const struct br_aggregate_entry *entry)
{
    write_string(w, entry->owner);
    write_varint(w, entry->epoch);
    write_varint(w, entry->complete);
}

bool br_aggregate_next_entry(struct bruit_bytes *list, struct br_aggregate_entry *out)
{
    struct br_reader r;
    br_reader_init(&r, *list);
    if (br_reader_left(&r) == 0)
        return false;
    read_entry(&r, out);
    *list = br_reader_rest(&r);
    return !r.failed;
}

/* ------------------------------------------------------------------ estimates */

static int32_t from_zigzag(uint64_t value)
{
    return (int32_t)((uint32_t)(value >> 1) ^ (0 - (uint32_t)(value & 1)));
}

static uint64_t to_zigzag(int32_t value)
{
    return (uint32_t)value << 1 ^ (value < 0 ? UINT32_MAX : 0);
}

/* The first index stands as it is, the others as how far they are from the one before: mostly one byte. */
static void read_cell(struct br_reader *r, bool is_text, bool is_first, struct br_aggregate_cell *cell)
{
    if (is_text) {
        struct bruit_bytes text = read_string(r, 1, BR_AGGREGATE_TEXT_MAX);
        if (!is_first && br_bytes_compare(text, cell->text) <= 0)
            br_reader_fail(r);
        cell->text = text;
    } else {
        uint64_t step = read_varint(r);
        int64_t index = is_first ? from_zigzag(step) : (int64_t)cell->index + (int64_t)(step & INT32_MAX);
        if (step > UINT32_MAX || (!is_first && (step == 0 || step > INT32_MAX)) || index > INT32_MAX)
            br_reader_fail(r);
        cell->index = (int32_t)index;
    }
    cell->mass = read_part(r);
}

void br_aggregate_write_cell(struct br_writer *w, bool is_text, int32_t previous,
                             const struct br_aggregate_cell *cell)
{
    if (is_text)
        write_string(w, cell->text);
    else if (previous == INT32_MIN)
        write_varint(w, to_zigzag(cell->index));
    else
        write_varint(w, (uint64_t)((int64_t)cell->index - previous));
    write_part(w, cell->mass);
}

/*
 * What was checked is not checked again, so the walk needs the cell before only for its index: `out` must be the
 * struct that the last call filled, and all zero before the first.
 */
bool br_aggregate_next_cell(struct bruit_bytes *cells, bool is_text, struct br_aggregate_cell *out)
{
    struct br_reader r;
    bool is_first = out->text.data == NULL;
    br_reader_init(&r, *cells);
    if (br_reader_left(&r) == 0)
        return false;
    read_cell(&r, is_text, is_first, out);
    if (!is_text)
        out->text.data = cells->data; /* a mark that there was one */
    *cells = br_reader_rest(&r);
    return !r.failed;
}

static struct bruit_bytes read_cells(struct br_reader *r, const struct br_aggregate_mass *mass)
{
    struct bruit_bytes start = br_reader_rest(r);
    struct br_aggregate_cell cell = {0};
    int32_t most = (int32_t)BR_AGGREGATE_INDEX_MAX << mass->resolution;
    for (uint32_t i = 0; i < mass->cell_count && !r->failed; i++) {
        read_cell(r, mass->is_text, i == 0, &cell);
        if (cell.index > most || cell.index < -most)
            br_reader_fail(r);
    }
    return r->failed ? br_bytes(NULL, 0) : br_bytes(start.data, start.size - br_reader_left(r));
}

static void read_top(struct br_reader *r, struct br_aggregate_top *out)
{
    *out = (struct br_aggregate_top){.number = read_double(r, BR_AGGREGATE_NUMBER_MAX)};
    out->node = read_string(r, 1, BRUIT_NAME_MAX);
}

size_t br_aggregate_write_tops(struct br_writer *w)
{
    size_t at = br_writer_size(w);
    br_write_u8(w, 0);
    return at;
}

void br_aggregate_write_top(struct br_writer *w, const struct br_aggregate_top *top)
{
    write_double(w, top->number);
    write_string(w, top->node);
}

bool br_aggregate_next_top(struct bruit_bytes *tops, struct br_aggregate_top *out)
{
    struct br_reader r;
    br_reader_init(&r, *tops);
    if (br_reader_left(&r) == 0)
        return false;
    read_top(&r, out);
    *tops = br_reader_rest(&r);
    return !r.failed;
}

static struct bruit_bytes read_tops(struct br_reader *r, uint32_t count)
{
    struct bruit_bytes start = br_reader_rest(r);
    struct br_aggregate_top top;
    for (uint32_t i = 0; i < count && !r->failed; i++)
        read_top(r, &top);
    return r->failed ? br_bytes(NULL, 0) : br_bytes(start.data, start.size - br_reader_left(r));
}

static struct bruit_bytes read_registers(struct br_reader *r)
{
    struct bruit_bytes registers = br_read_bytes(r, BR_AGGREGATE_REGISTERS);
    for (size_t i = 0; i < registers.size; i++)
        if (registers.data[i] > 64)
            br_reader_fail(r);
    return registers;
}

enum { MASS_IS_TEXT = 1, MASS_HAS_EXTREMA = 2, MASS_FLAGS = 3 };

static void read_mass(struct br_reader *r, struct br_aggregate_mass *out)
{
    uint8_t flags = br_read_u8(r);
    if (flags > MASS_FLAGS)
        br_reader_fail(r);
    *out = (struct br_aggregate_mass){.is_text = (flags & MASS_IS_TEXT) != 0,
                                      .has_extrema = (flags & MASS_HAS_EXTREMA) != 0};
    out->has = read_double(r, 2);
    out->sum = read_double(r, 2 * BR_AGGREGATE_NUMBER_MAX);
    out->square = read_double(r, 1e302);
    out->rest = read_double(r, 2);
    if (out->has_extrema) {
        out->min = read_double(r, BR_AGGREGATE_NUMBER_MAX);
        out->max = read_double(r, BR_AGGREGATE_NUMBER_MAX);
    }
    out->registers = read_registers(r);
    out->resolution = br_read_u8(r);
    out->cell_count = br_read_u8(r);
    if (out->resolution > BR_AGGREGATE_RESOLUTION_MAX || out->cell_count > BR_AGGREGATE_CELLS_MAX) {
        br_reader_fail(r);
        return;
    }
    out->cells = read_cells(r, out);
    out->top_count = br_read_u8(r);
    if (out->top_count > BR_AGGREGATE_TOPS_MAX)
        br_reader_fail(r);
    out->tops = read_tops(r, out->top_count);
}

void br_aggregate_write_mass(struct br_writer *w, const struct br_aggregate_mass *mass)
{
    br_write_u8(w, (uint8_t)((mass->is_text ? MASS_IS_TEXT : 0) | (mass->has_extrema ? MASS_HAS_EXTREMA : 0)));
    write_double(w, mass->has);
    write_double(w, mass->sum);
    write_double(w, mass->square);
    write_double(w, mass->rest);
    if (mass->has_extrema) {
        write_double(w, mass->min);
        write_double(w, mass->max);
    }
    br_write_bytes(w, mass->registers);
    br_write_u8(w, mass->resolution);
    br_write_u8(w, (uint8_t)mass->cell_count);
}

void br_aggregate_write_exchange(struct br_writer *w, uint32_t exchange, uint64_t epoch, uint64_t elapsed,
                                 struct bruit_bytes name)
{
    br_write_u32(w, exchange);
    write_varint(w, epoch);
    write_varint(w, elapsed);
    write_string(w, name);
}

static void read_exchange(struct br_reader *r, struct br_aggregate_message *out)
{
    out->number = br_read_u32(r);
    out->epoch = read_varint(r);
    out->elapsed = read_varint(r);
    out->name = read_string(r, 1, BR_AGGREGATE_NAME_MAX);
    read_mass(r, &out->mass);
}

void br_aggregate_write_view_is(struct br_writer *w, uint32_t nonce, uint64_t checksum, uint64_t alive)
{
    br_write_u32(w, nonce);
    br_write_u64(w, checksum);
    write_varint(w, alive);
}

/* ------------------------------------------------------------------ messages */

void br_aggregate_begin(struct br_writer *w, enum br_aggregate_kind kind, struct bruit_bytes sender)
{
    br_write_u8(w, BR_AGGREGATE_TYPE);
    br_write_u8(w, (uint8_t)kind);
    write_string(w, sender);
}

static void check_groups(struct br_reader *r)
{
    struct br_aggregate_group group;
    while (!r->failed && br_reader_left(r) > 0)
        read_group(r, &group);
}

static void check_entries(struct br_reader *r)
{
    struct br_aggregate_entry entry;
    while (!r->failed && br_reader_left(r) > 0)
        read_entry(r, &entry);
}

static void read_body(struct br_reader *r, struct br_aggregate_message *out)
{
    switch (out->kind) {
    case BR_AGGREGATE_TELL:
        out->number = br_read_u8(r);
        out->list = br_reader_rest(r);
        check_groups(r);
        return;
    case BR_AGGREGATE_SUMMARY:
        out->hash = br_read_u64(r);
        out->count = read_varint(r);
        return;
    case BR_AGGREGATE_BUCKET_HASHES: out->buckets = br_read_bytes(r, 4 * BR_AGGREGATE_BUCKETS); return;
    case BR_AGGREGATE_HAVE:
        out->mask = br_read_bytes(r, BR_AGGREGATE_MASK_SIZE);
        out->list = br_reader_rest(r);
        check_entries(r);
        return;
    case BR_AGGREGATE_WANT:
        out->list = br_reader_rest(r);
        check_entries(r);
        return;
    case BR_AGGREGATE_ASK:
    case BR_AGGREGATE_GIVE: read_exchange(r, out); return;
    case BR_AGGREGATE_DONE:
    case BR_AGGREGATE_VIEW: out->number = br_read_u32(r); return;
    case BR_AGGREGATE_VIEW_IS:
        out->number = br_read_u32(r);
        out->hash = br_read_u64(r);
        out->count = read_varint(r);
        return;
    }
    br_reader_fail(r);
}

int br_aggregate_decode(struct br_aggregate_message *out, struct bruit_bytes body)
{
    struct br_reader r;
    br_reader_init(&r, body);
    *out = (struct br_aggregate_message){.kind = (enum br_aggregate_kind)br_read_u8(&r)};
    out->sender = read_string(&r, 1, BRUIT_NAME_MAX);
    if (!r.failed)
        read_body(&r, out);
    return r.failed || br_reader_left(&r) != 0 ? BRUIT_EFORMAT : 0;
}
