/*
 * Figures of a list of numbers or of texts: the arithmetic of exact aggregates.
 *
 * Equal lists in any order give equal bits on every machine: numbers are sorted first and added in ascending order,
 * with the compensation of Neumaier (1974), so that the order of owners cannot show; only + - * / of IEEE doubles,
 * never contracted. No memory of its own: lists are the caller's and are sorted in place.
 */
#ifndef BR_MODULE_AGGREGATE_FIGURE_H
#define BR_MODULE_AGGREGATE_FIGURE_H

#include "base/bytes.h"

/* Ascending, in place, without further memory: n log n. Numbers are finite. */
void br_figure_sort(double *numbers, uint32_t count);
/* The same for texts, in the order of their bytes. */
void br_figure_sort_texts(struct bruit_bytes *texts, uint32_t count);

/* These take sorted numbers; `count` is not 0. */
double br_figure_sum(const double *numbers, uint32_t count);
double br_figure_mean(const double *numbers, uint32_t count);
/* Of the population: the mean of the squares of the distances from the mean, in two passes. */
double br_figure_variance(const double *numbers, uint32_t count);
/* Between two neighbours in proportion, so that 0 is the lowest, 0.5 the median and 1 the highest. */
double br_figure_quantile(const double *numbers, uint32_t count, double q);
uint32_t br_figure_distinct(const double *numbers, uint32_t count);
uint32_t br_figure_distinct_texts(const struct bruit_bytes *texts, uint32_t count);

#endif
