/*
 * What pairs of nodes average in an estimate: for one name, a vector that fits a datagram.
 *
 * Averages (Jelasity, Montresor and Babaoglu 2005): `has` is 1 at whoever publishes the name and 0 elsewhere, `sum` its
 * number, `square` that squared; and a histogram, so that quantiles are sums of averages, too. What one side gives the
 * other takes: nothing is made or lost, and all converge to the mean over everybody. So the mean of the numbers is
 * sum / has, and their count is has times the number of nodes, which membership knows.
 *
 * Cells of numbers are the leading bits of the number itself: sign, exponent and `resolution` bits of the mantissa.
 * That needs no logarithm, keeps the order, is the same everywhere, and one bit less merges pairs of cells exactly: a
 * relative-error sketch like DDSketch (Masson, Rim and Lee 2019), whose cells are shared by all without agreement.
 * Cells of texts are the texts; when there are too many, the lightest is folded into `rest`, which bounds the error of
 * all others, as in Space-Saving (Metwally, Agrawal and El Abbadi 2005).
 *
 * Lowest, highest, the top list and the registers of the distinct count (HyperLogLog: Flajolet, Fusy, Gandouet and
 * Meunier 2007) are merged instead: the union does not care how often.
 */
#ifndef BR_MODULE_AGGREGATE_MASS_H
#define BR_MODULE_AGGREGATE_MASS_H

#include "codec/aggregate.h"

#define BR_MASS_TEXTS_MAX 24

/* What all but cells and tops take when written. */
#define BR_MASS_SIZE_MIN 320

struct br_mass_cell {
    double mass;
    int32_t index;
    uint8_t text_size;
    uint8_t text[BR_AGGREGATE_TEXT_MAX];
};

struct br_mass_top {
    double number;
    uint8_t node_size;
    uint8_t node[BRUIT_NAME_MAX];
};

struct br_mass {
    bool is_text;
    bool has_extrema;
    double has;
    double sum;
    double square;
    double rest;
    double min;
    double max;
    uint32_t cell_count;
    uint32_t top_count;
    uint8_t resolution;
    uint8_t registers[BR_AGGREGATE_REGISTERS];
    struct br_mass_cell cells[BR_AGGREGATE_CELLS_MAX]; /* ascending */
    struct br_mass_top tops[BR_AGGREGATE_TOPS_MAX];    /* largest first, equal ones by node */
};

/* Nothing. */
void br_mass_clear(struct br_mass *m, bool is_text);
/* Nothing, and what we publish. */
void br_mass_begin_number(struct br_mass *m, struct bruit_bytes node, double number);
void br_mass_begin_text(struct br_mass *m, struct bruit_bytes text);

/* Does it hold anything that is not 0? */
bool br_mass_is_empty(const struct br_mass *m);

/* Takes over what a message held. */
void br_mass_read(struct br_mass *m, const struct br_aggregate_mass *wire);

/*
 * Writes it; `room` is what the mass may take, at least BR_MASS_SIZE_MIN + 6. Tops that do not fit are left out; cells
 * were made to fit by br_mass_fit().
 */
void br_mass_write(const struct br_mass *m, struct br_writer *w, size_t room);

/* Makes the cells fit: coarser numbers, fewer texts. Mass stays. */
void br_mass_fit(struct br_mass *m, size_t room);

/*
 * They asked with `theirs` (which becomes as coarse as ours): makes ours the mean of both as far as a message of `room`
 * can tell it, and fills `gift` with what they must add to theirs. Both must be texts, or both numbers.
 */
void br_mass_average(struct br_mass *mine, struct br_mass *theirs, struct br_mass *gift, size_t room);

/* The gift arrived. */
void br_mass_add(struct br_mass *mine, struct br_mass *gift, size_t room);

/* ---- reading ---- */

/* Of the numbers, given has > 0. */
double br_mass_mean(const struct br_mass *m);
double br_mass_variance(const struct br_mass *m);
/* Within a cell in proportion; `error`: as far as the cell's further end. Needs a cell with mass. */
double br_mass_quantile(const struct br_mass *m, double q, double *error);
/* `error`: one standard deviation. */
double br_mass_distinct(const struct br_mass *m, double *error);

/* The cell of a number, and where it begins; the end is where the next begins. */
int32_t br_mass_index(double number, unsigned resolution);
double br_mass_cell_low(int32_t index, unsigned resolution);

#endif
