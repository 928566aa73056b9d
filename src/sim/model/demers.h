/*
 * The tables of Demers et al. 1987 ("Epidemic algorithms for replicated database maintenance", Xerox CSL-89-1,
 * page 10), for 1,000 sites: what the paper printed, and what an independent simulation measured.
 *
 * The paper's figures are rounded to two digits or so; the measured ones are of the same rules at more trials,
 * and are what ours are held to. Push counts useless contacts in a row, judged by the state at the start of the
 * cycle; in pull, a site may draw itself and lose the cycle. With other rules the measured figures do not come
 * out: without the last, row 13 has a residue 6 % smaller; with it in push, too, row 10 has one 4 % larger, nearer
 * to the paper's.
 */
#ifndef BR_SIM_MODEL_DEMERS_H
#define BR_SIM_MODEL_DEMERS_H

#include "sim/model/model.h"

#define BR_DEMERS_ROWS 13

struct br_demers_row {
    const char *variant;
    enum br_model_mode mode;
    enum br_model_forget forget;
    bool feedback;
    uint32_t k;
    double residue_paper; /* s: who never hears */
    double residue;
    double updates_paper; /* m: copies sent per site */
    double updates;
    double last_paper; /* t_last: the cycle in which the last one hears */
    double last;
    uint32_t trials; /* with which ours come within 5 % */
};

extern const struct br_demers_row br_demers_rows[BR_DEMERS_ROWS];

/* The row as a configuration: 1,000 nodes and its number of trials. */
void br_demers_config(const struct br_demers_row *row, struct br_model_config *config);

#endif
