/*
 * What pairs of nodes average: see aggregate_mass.h.
 *
 * Conservation is the one rule here: whatever leaves one side is written in the message exactly as it was taken, and
 * what does not fit into the message is not taken. Cells are rounded to 32 bits before they are taken, not after.
 */
#include "module/aggregate_mass.h"

#include "base/check.h"
#include "base/num.h"
#include "base/siphash.h"

/* ------------------------------------------------------------------ cells of numbers */

/* Numbers below 2^-64 in size share the cell 0; its neighbours begin there. */
#define EXPONENT_MIN (1023 - 64)

int32_t br_mass_index(double number, unsigned resolution)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    uint64_t size = (bits & ~(UINT64_C(1) << 63)) >> (52 - resolution);
    uint64_t least = (uint64_t)EXPONENT_MIN << resolution;
    int32_t index = size < least ? 0 : (int32_t)(size - least) + 1;
    return bits >> 63 != 0 ? -index : index;
}

/* The size at which the cell `index` > 0 begins. */
static double low_size(int32_t index, unsigned resolution)
{
    uint64_t bits = ((uint64_t)(index - 1) + ((uint64_t)EXPONENT_MIN << resolution)) << (52 - resolution);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

double br_mass_cell_low(int32_t index, unsigned resolution)
{
    if (index > 0)
        return low_size(index, resolution);
    return -low_size(1 - index, resolution); /* of negative ones the end further from 0 is lower; 0: -2^-64 */
}

static double cell_high(int32_t index, unsigned resolution)
{
    return index >= 0 ? low_size(index + 1, resolution) : -low_size(-index, resolution);
}

/* The cell that this one becomes part of with one bit less. */
static int32_t coarser(int32_t index)
{
    if (index > 0)
        return (index - 1) / 2 + 1;
    return index < 0 ? -((-index - 1) / 2 + 1) : 0;
}

/* ------------------------------------------------------------------ lists of cells */

static struct bruit_bytes text_of(const struct br_mass_cell *cell)
{
    return br_bytes(cell->text, cell->text_size);
}

static int compare_cells(const struct br_mass *m, const struct br_mass_cell *a, const struct br_mass_cell *b)
{
    if (m->is_text)
        return br_bytes_compare(text_of(a), text_of(b));
    return (a->index > b->index) - (a->index < b->index);
}

/* Neighbours that have become one. */
static void join_equal(struct br_mass *m)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < m->cell_count; i++)
        if (kept > 0 && compare_cells(m, &m->cells[kept - 1], &m->cells[i]) == 0)
            m->cells[kept - 1].mass += m->cells[i].mass;
        else
            m->cells[kept++] = m->cells[i];
    m->cell_count = kept;
}

static void coarsen_to(struct br_mass *m, unsigned resolution)
{
    for (; m->resolution > resolution; m->resolution--) {
        for (uint32_t i = 0; i < m->cell_count; i++)
            m->cells[i].index = coarser(m->cells[i].index);
        join_equal(m);
    }
}

static void remove_cell(struct br_mass *m, uint32_t at)
{
    memmove(m->cells + at, m->cells + at + 1, (m->cell_count - at - 1) * sizeof *m->cells);
    m->cell_count--;
}

static double size_of(double x)
{
    return x < 0 ? -x : x;
}

static uint32_t lightest(const struct br_mass *m)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < m->cell_count; i++)
        if (size_of(m->cells[i].mass) < size_of(m->cells[best].mass))
            best = i;
    return best;
}

/* At no resolution at all, numbers over more than a hundred powers of two: the smallest are as good as 0. */
static void fold_smallest(struct br_mass *m)
{
    uint32_t best = m->cell_count;
    for (uint32_t i = 0; i < m->cell_count; i++)
        if (m->cells[i].index != 0 &&
            (best == m->cell_count || size_of(m->cells[i].index) < size_of(m->cells[best].index)))
            best = i;
    m->cells[best].index = 0;
    join_equal(m);
}

static size_t texts_size(const struct br_mass *m)
{
    size_t size = 0;
    for (uint32_t i = 0; i < m->cell_count; i++)
        size += 5u + m->cells[i].text_size;
    return size;
}

/* A cell of a number takes 4 bytes and an index: one byte mostly, two at the ends. */
static uint32_t cells_that_fit(size_t room)
{
    size_t cells = room < BR_MASS_SIZE_MIN ? 0 : (room - BR_MASS_SIZE_MIN) / 6;
    return cells < BR_AGGREGATE_CELLS_MAX ? (uint32_t)cells : BR_AGGREGATE_CELLS_MAX;
}

static void fit_texts(struct br_mass *m, size_t room, uint32_t most)
{
    while (m->cell_count > 0 && (m->cell_count > most || BR_MASS_SIZE_MIN + texts_size(m) > room)) {
        uint32_t at = lightest(m);
        m->rest += m->cells[at].mass;
        remove_cell(m, at);
    }
}

void br_mass_fit(struct br_mass *m, size_t room)
{
    if (m->is_text) {
        fit_texts(m, room, BR_MASS_TEXTS_MAX);
        return;
    }
    uint32_t most = cells_that_fit(room);
    while (m->cell_count > most && m->resolution > 0)
        coarsen_to(m, m->resolution - 1u);
    while (m->cell_count > most && m->cell_count > 1)
        fold_smallest(m);
}

/* ------------------------------------------------------------------ what is merged, not added */

static void keep_extrema(struct br_mass *m, const struct br_mass *other)
{
    if (!other->has_extrema)
        return;
    if (!m->has_extrema || other->min < m->min)
        m->min = other->min;
    if (!m->has_extrema || other->max > m->max)
        m->max = other->max;
    m->has_extrema = true;
}

static bool is_above(const struct br_mass_top *a, const struct br_mass_top *b)
{
    if (a->number > b->number || a->number < b->number)
        return a->number > b->number;
    return br_bytes_compare(br_bytes(a->node, a->node_size), br_bytes(b->node, b->node_size)) < 0;
}

static bool has_top(const struct br_mass *m, const struct br_mass_top *top)
{
    for (uint32_t i = 0; i < m->top_count; i++)
        if (br_bytes_equal(br_bytes(m->tops[i].node, m->tops[i].node_size),
                           br_bytes(top->node, top->node_size)))
            return true;
    return false;
}

static void add_top(struct br_mass *m, const struct br_mass_top *top)
{
    uint32_t at = m->top_count;
    if (has_top(m, top))
        return;
    while (at > 0 && is_above(top, &m->tops[at - 1]))
        at--;
    if (at == BR_AGGREGATE_TOPS_MAX)
        return;
    if (m->top_count == BR_AGGREGATE_TOPS_MAX)
        m->top_count--;
    memmove(m->tops + at + 1, m->tops + at, (m->top_count - at) * sizeof *m->tops);
    m->tops[at] = *top;
    m->top_count++;
}

static void merge(struct br_mass *m, const struct br_mass *other)
{
    keep_extrema(m, other);
    for (uint32_t i = 0; i < other->top_count; i++)
        add_top(m, &other->tops[i]);
    for (unsigned i = 0; i < BR_AGGREGATE_REGISTERS; i++)
        if (other->registers[i] > m->registers[i])
            m->registers[i] = other->registers[i];
}

/* The register is chosen by the low byte; it keeps where the first 1 of the rest stood at most. */
static void count_value(struct br_mass *m, uint8_t kind, struct bruit_bytes value)
{
    static const uint8_t key[16] = "bruit distinct";
    uint8_t buffer[1 + BR_AGGREGATE_TEXT_MAX];
    buffer[0] = kind;
    memcpy(buffer + 1, value.data, value.size);
    uint64_t hash = br_siphash24(key, br_bytes(buffer, 1 + value.size));
    uint64_t rest = hash >> 8;
    uint8_t rank = rest == 0 ? 57 : (uint8_t)(__builtin_ctzll(rest) + 1);
    uint8_t *at = &m->registers[hash % BR_AGGREGATE_REGISTERS];
    *at = rank > *at ? rank : *at;
}

/* ------------------------------------------------------------------ beginning */

void br_mass_clear(struct br_mass *m, bool is_text)
{
    memset(m, 0, sizeof *m);
    m->is_text = is_text;
    m->resolution = BR_AGGREGATE_RESOLUTION_MAX;
}

void br_mass_begin_number(struct br_mass *m, struct bruit_bytes node, double number)
{
    uint8_t bytes[8];
    uint64_t bits;
    br_mass_clear(m, false);
    m->has = 1;
    m->sum = number;
    m->square = number * number;
    m->min = m->max = number;
    m->has_extrema = true;
    m->cells[m->cell_count++] =
        (struct br_mass_cell){.mass = 1, .index = br_mass_index(number, m->resolution)};
    m->tops[0] = (struct br_mass_top){.number = number, .node_size = (uint8_t)node.size};
    memcpy(m->tops[0].node, node.data, node.size);
    m->top_count = 1;
    memcpy(&bits, &number, sizeof bits);
    br_store_u64(bytes, bits);
    count_value(m, BR_AGGREGATE_NUMBER, br_bytes(bytes, sizeof bytes));
}

void br_mass_begin_text(struct br_mass *m, struct bruit_bytes text)
{
    br_mass_clear(m, true);
    m->has = 1;
    m->cells[m->cell_count++] = (struct br_mass_cell){.mass = 1, .text_size = (uint8_t)text.size};
    memcpy(m->cells[0].text, text.data, text.size);
    count_value(m, BR_AGGREGATE_TEXT, text);
}

bool br_mass_is_empty(const struct br_mass *m)
{
    return m->has == 0 && m->cell_count == 0 && m->rest == 0 && !m->has_extrema;
}

/* ------------------------------------------------------------------ on the wire */

void br_mass_read(struct br_mass *m, const struct br_aggregate_mass *wire)
{
    struct bruit_bytes cells = wire->cells;
    struct bruit_bytes tops = wire->tops;
    struct br_aggregate_cell cell = {0};
    struct br_aggregate_top top;
    br_mass_clear(m, wire->is_text);
    m->has_extrema = wire->has_extrema;
    m->has = wire->has;
    m->sum = wire->sum;
    m->square = wire->square;
    m->rest = wire->rest;
    m->min = wire->min;
    m->max = wire->max;
    m->resolution = wire->resolution;
    memcpy(m->registers, wire->registers.data, sizeof m->registers);
    while (br_aggregate_next_cell(&cells, m->is_text, &cell)) {
        struct br_mass_cell *mine = &m->cells[m->cell_count++];
        *mine = (struct br_mass_cell){.mass = cell.mass};
        if (m->is_text) {
            mine->text_size = (uint8_t)cell.text.size;
            memcpy(mine->text, cell.text.data, cell.text.size);
        } else {
            mine->index = cell.index;
        }
    }
    while (br_aggregate_next_top(&tops, &top)) {
        struct br_mass_top mine = {.number = top.number, .node_size = (uint8_t)top.node.size};
        memcpy(mine.node, top.node.data, top.node.size);
        add_top(m, &mine);
    }
}

void br_mass_write(const struct br_mass *m, struct br_writer *w, size_t room)
{
    size_t start = br_writer_size(w);
    br_aggregate_write_mass(w, &(struct br_aggregate_mass){.is_text = m->is_text,
                                                            .has_extrema = m->has_extrema,
                                                            .has = m->has,
                                                            .sum = m->sum,
                                                            .square = m->square,
                                                            .rest = m->rest,
                                                            .min = m->min,
                                                            .max = m->max,
                                                            .registers = br_bytes(m->registers, sizeof m->registers),
                                                            .resolution = m->resolution,
                                                            .cell_count = m->cell_count});
    for (uint32_t i = 0; i < m->cell_count; i++)
        br_aggregate_write_cell(w, m->is_text, i == 0 ? INT32_MIN : m->cells[i - 1].index,
                                &(struct br_aggregate_cell){.text = text_of(&m->cells[i]),
                                                            .index = m->cells[i].index,
                                                            .mass = (float)m->cells[i].mass});
    size_t count_at = br_aggregate_write_tops(w);
    for (uint32_t i = 0; i < m->top_count && !w->failed; i++) {
        const struct br_mass_top *top = &m->tops[i];
        if (br_writer_size(w) - start + 9 + top->node_size > room)
            break;
        br_aggregate_write_top(w, &(struct br_aggregate_top){top->number, br_bytes(top->node, top->node_size)});
        br_write_u8_at(w, count_at, (uint8_t)(i + 1));
    }
}

/* ------------------------------------------------------------------ averaging */

/* A difference as it travels. */
static double as_sent(double x)
{
    return (double)(float)x;
}

/* Half of what we have more than they, cell by cell, in `gift`. Both lists are ascending. */
static void halve_cells(const struct br_mass *mine, const struct br_mass *theirs, struct br_mass *gift)
{
    uint32_t a = 0;
    uint32_t b = 0;
    while ((a < mine->cell_count || b < theirs->cell_count) && gift->cell_count < BR_AGGREGATE_CELLS_MAX) {
        int order = a == mine->cell_count     ? 1
                    : b == theirs->cell_count ? -1
                                              : compare_cells(mine, &mine->cells[a], &theirs->cells[b]);
        struct br_mass_cell *cell = &gift->cells[gift->cell_count++];
        *cell = order <= 0 ? mine->cells[a] : theirs->cells[b];
        double ours = order <= 0 ? mine->cells[a++].mass : 0;
        double others = order >= 0 ? theirs->cells[b++].mass : 0;
        cell->mass = as_sent((ours - others) / 2);
    }
}

/* How many cells both have together. */
static uint32_t union_count(const struct br_mass *mine, const struct br_mass *theirs)
{
    uint32_t count = 0;
    uint32_t b = 0;
    for (uint32_t a = 0; a < mine->cell_count; a++, count++) {
        while (b < theirs->cell_count && compare_cells(mine, &theirs->cells[b], &mine->cells[a]) < 0) {
            b++;
            count++;
        }
        if (b < theirs->cell_count && compare_cells(mine, &theirs->cells[b], &mine->cells[a]) == 0)
            b++;
    }
    return count + theirs->cell_count - b;
}

/* As coarse as each other, and so that both together fit. */
static void match_numbers(struct br_mass *mine, struct br_mass *theirs, size_t room)
{
    uint32_t most = cells_that_fit(room);
    coarsen_to(mine, theirs->resolution);
    coarsen_to(theirs, mine->resolution);
    while (union_count(mine, theirs) > most && mine->resolution > 0) {
        coarsen_to(mine, mine->resolution - 1u);
        coarsen_to(theirs, mine->resolution);
    }
}

/* What does not fit stays where it is: dropped from the gift, it is not taken either. */
static void fit_gift(struct br_mass *gift, size_t room)
{
    uint32_t most = gift->is_text ? BR_AGGREGATE_CELLS_MAX : cells_that_fit(room);
    while (gift->cell_count > most ||
           (gift->is_text && gift->cell_count > 0 && BR_MASS_SIZE_MIN + texts_size(gift) > room))
        remove_cell(gift, lightest(gift));
}

/* Adds cells, `sign` 1 or -1, of as coarse a mass. False: no room for all. */
static void add_cells(struct br_mass *m, const struct br_mass *other, double sign)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < other->cell_count; i++) {
        const struct br_mass_cell *cell = &other->cells[i];
        while (at < m->cell_count && compare_cells(m, &m->cells[at], cell) < 0)
            at++;
        bool is_there = at < m->cell_count && compare_cells(m, &m->cells[at], cell) == 0;
        if (!is_there && m->cell_count == BR_AGGREGATE_CELLS_MAX) {
            m->rest += sign * cell->mass; /* kept, if not told apart */
            continue;
        }
        if (!is_there) {
            memmove(m->cells + at + 1, m->cells + at, (m->cell_count - at) * sizeof *m->cells);
            m->cells[at] = *cell;
            m->cells[at].mass = 0;
            m->cell_count++;
        }
        m->cells[at].mass += sign * cell->mass;
    }
}

static void add_all(struct br_mass *m, const struct br_mass *gift, double sign)
{
    m->has += sign * gift->has;
    m->sum += sign * gift->sum;
    m->square += sign * gift->square;
    m->rest += sign * gift->rest;
    add_cells(m, gift, sign);
}

void br_mass_average(struct br_mass *mine, struct br_mass *theirs, struct br_mass *gift, size_t room)
{
    BR_ASSERT(mine->is_text == theirs->is_text);
    br_mass_clear(gift, mine->is_text);
    if (!mine->is_text)
        match_numbers(mine, theirs, room);
    gift->resolution = mine->resolution;
    gift->has = (mine->has - theirs->has) / 2;
    gift->sum = (mine->sum - theirs->sum) / 2;
    gift->square = (mine->square - theirs->square) / 2;
    gift->rest = (mine->rest - theirs->rest) / 2;
    halve_cells(mine, theirs, gift);
    fit_gift(gift, room);
    add_all(mine, gift, -1);
    br_mass_fit(mine, room);
    merge(mine, theirs);
    merge(gift, mine);
}

void br_mass_add(struct br_mass *mine, struct br_mass *gift, size_t room)
{
    BR_ASSERT(mine->is_text == gift->is_text);
    if (!mine->is_text)
        match_numbers(mine, gift, room);
    add_all(mine, gift, 1);
    br_mass_fit(mine, room);
    merge(mine, gift);
}

/* ------------------------------------------------------------------ reading */

double br_mass_mean(const struct br_mass *m)
{
    return m->sum / m->has;
}

double br_mass_variance(const struct br_mass *m)
{
    double mean = br_mass_mean(m);
    double variance = m->square / m->has - mean * mean;
    return variance > 0 ? variance : 0;
}

static double clamped(const struct br_mass *m, double x)
{
    if (m->has_extrema && x < m->min)
        return m->min;
    return m->has_extrema && x > m->max ? m->max : x;
}

/* Losses on the way leave a cell a little below 0 at times: such a one is passed over. */
static double weight_of(const struct br_mass_cell *cell)
{
    return cell->mass > 0 ? cell->mass : 0;
}

static double total_weight(const struct br_mass *m)
{
    double total = 0;
    for (uint32_t i = 0; i < m->cell_count; i++)
        total += weight_of(&m->cells[i]);
    return total;
}

double br_mass_quantile(const struct br_mass *m, double q, double *error)
{
    double target = q * total_weight(m);
    double before = 0;
    uint32_t last = 0;
    for (uint32_t i = 0; i < m->cell_count; i++) {
        if (weight_of(&m->cells[i]) == 0)
            continue;
        last = i;
        if (before + weight_of(&m->cells[i]) >= target)
            break;
        before += weight_of(&m->cells[i]);
    }
    double weight = weight_of(&m->cells[last]);
    double low = clamped(m, br_mass_cell_low(m->cells[last].index, m->resolution));
    double high = clamped(m, cell_high(m->cells[last].index, m->resolution));
    double part = weight > 0 ? (target - before) / weight : 0;
    part = part < 0 ? 0 : part > 1 ? 1 : part;
    double value = low + (high - low) * part;
    *error = value - low > high - value ? value - low : high - value;
    return value;
}

/* The paper's estimate, and its correction for few values: how many registers are still empty. */
double br_mass_distinct(const struct br_mass *m, double *error)
{
    const double count = BR_AGGREGATE_REGISTERS;
    double sum = 0;
    double empty = 0;
    for (unsigned i = 0; i < BR_AGGREGATE_REGISTERS; i++) {
        sum += 1 / (double)(UINT64_C(1) << m->registers[i] % 64);
        empty += m->registers[i] == 0 ? 1 : 0;
    }
    double estimate = 0.7213 / (1 + 1.079 / count) * count * count / sum; /* figure 3 of the paper */
    if (estimate <= 2.5 * count && empty > 0)
        estimate = count * br_num_log(count / empty);
    *error = 1.04 / br_num_sqrt(count) * estimate;
    return estimate;
}
