/*
 * The tables of Demers et al.; see demers.h.
 */
#include "sim/model/demers.h"

#define FEEDBACK_PUSH(k, ...)                                                            \
    {                                                                                    \
        "push, feedback, counter", BR_MODEL_PUSH, BR_MODEL_COUNTER, true, k, __VA_ARGS__ \
    }
#define BLIND_PUSH(k, ...)                                                       \
    {                                                                            \
        "push, blind, coin", BR_MODEL_PUSH, BR_MODEL_COIN, false, k, __VA_ARGS__ \
    }
#define FEEDBACK_PULL(k, ...)                                                            \
    {                                                                                    \
        "pull, feedback, counter", BR_MODEL_PULL, BR_MODEL_COUNTER, true, k, __VA_ARGS__ \
    }

/* The rarer the residue, the more trials: its error is the square root of the number of nodes left over. */
const struct br_demers_row br_demers_rows[BR_DEMERS_ROWS] = {
    /*               s paper  measured  m paper  measured  t_last paper  measured  trials */
    FEEDBACK_PUSH(1, 0.18, 0.174, 1.7, 1.75, 16.8, 16.8, 2000),
    FEEDBACK_PUSH(2, 0.037, 0.0369, 3.3, 3.30, 16.9, 17.0, 2000),
    FEEDBACK_PUSH(3, 0.011, 0.0108, 4.5, 4.53, 17.4, 17.3, 4000),
    FEEDBACK_PUSH(4, 0.0036, 0.00354, 5.6, 5.64, 17.5, 17.6, 8000),
    FEEDBACK_PUSH(5, 0.0012, 0.00129, 6.7, 6.68, 17.7, 17.7, 20000),
    BLIND_PUSH(1, 0.96, 0.959, 0.04, 0.04, 38, 39.5, 10000),
    BLIND_PUSH(2, 0.20, 0.205, 1.6, 1.59, 33, 32.7, 10000),
    BLIND_PUSH(3, 0.060, 0.0599, 2.8, 2.82, 32, 31.6, 40000),
    BLIND_PUSH(4, 0.021, 0.0200, 3.9, 3.92, 32, 32.2, 40000),
    BLIND_PUSH(5, 0.008, 0.00703, 4.9, 4.97, 32, 32.2, 40000),
    FEEDBACK_PULL(1, 3.1e-2, 3.17e-2, 2.7, 2.70, 17.63, 17.57, 2000),
    FEEDBACK_PULL(2, 5.8e-4, 5.85e-4, 4.5, 4.49, 15.39, 15.20, 10000),
    FEEDBACK_PULL(3, 4.0e-6, 3.65e-6, 6.1, 6.09, 14.00, 13.97, 400000),
};

void br_demers_config(const struct br_demers_row *row, struct br_model_config *config)
{
    br_model_config_default(config);
    config->mode = row->mode;
    config->forget = row->forget;
    config->feedback = row->feedback;
    config->interest = row->k;
    config->self_too = row->mode == BR_MODEL_PULL;
    config->trials = row->trials;
}
