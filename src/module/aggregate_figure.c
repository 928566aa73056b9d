/*
 * Figures of lists: see aggregate_figure.h. Sorting is heapsort: in place, and never worse than n log n, whatever a
 * peer publishes.
 */
#include "module/aggregate_figure.h"

#include "base/num.h"

/* ------------------------------------------------------------------ sorting */

static void sift_number(double *numbers, uint32_t at, uint32_t count)
{
    double moved = numbers[at];
    for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && numbers[child + 1] > numbers[child])
            child++;
        if (numbers[child] <= moved)
            break;
        numbers[at] = numbers[child];
    }
    numbers[at] = moved;
}

void br_figure_sort(double *numbers, uint32_t count)
{
    for (uint32_t i = count / 2; i-- > 0;)
        sift_number(numbers, i, count);
    for (uint32_t end = count; end-- > 1;) {
        double highest = numbers[0];
        numbers[0] = numbers[end];
        numbers[end] = highest;
        sift_number(numbers, 0, end);
    }
}

static void sift_text(struct bruit_bytes *texts, uint32_t at, uint32_t count)
{
    struct bruit_bytes moved = texts[at];
    for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && br_bytes_compare(texts[child + 1], texts[child]) > 0)
            child++;
        if (br_bytes_compare(texts[child], moved) <= 0)
            break;
        texts[at] = texts[child];
    }
    texts[at] = moved;
}

void br_figure_sort_texts(struct bruit_bytes *texts, uint32_t count)
{
    for (uint32_t i = count / 2; i-- > 0;)
        sift_text(texts, i, count);
    for (uint32_t end = count; end-- > 1;) {
        struct bruit_bytes highest = texts[0];
        texts[0] = texts[end];
        texts[end] = highest;
        sift_text(texts, 0, end);
    }
}

/* ------------------------------------------------------------------ figures */

/* What the last addition rounded away is kept, and added in the end. */
struct sum {
    double total;
    double lost;
};

static double size_of(double x)
{
    return x < 0 ? -x : x;
}

static void add(struct sum *sum, double x)
{
    double total = sum->total + x;
    if (size_of(sum->total) >= size_of(x))
        sum->lost += (sum->total - total) + x;
    else
        sum->lost += (x - total) + sum->total;
    sum->total = total;
}

double br_figure_sum(const double *numbers, uint32_t count)
{
    struct sum sum = {0};
    for (uint32_t i = 0; i < count; i++)
        add(&sum, numbers[i]);
    return sum.total + sum.lost;
}

double br_figure_mean(const double *numbers, uint32_t count)
{
    return br_figure_sum(numbers, count) / count;
}

double br_figure_variance(const double *numbers, uint32_t count)
{
    double mean = br_figure_mean(numbers, count);
    struct sum squares = {0};
    for (uint32_t i = 0; i < count; i++)
        add(&squares, (numbers[i] - mean) * (numbers[i] - mean));
    return (squares.total + squares.lost) / count;
}

double br_figure_quantile(const double *numbers, uint32_t count, double q)
{
    double place = q * (count - 1);
    double below = br_num_floor(place);
    uint32_t i = (uint32_t)below;
    double part = place - below;
    if (i + 1 >= count)
        return numbers[count - 1];
    return part == 0 ? numbers[i] : numbers[i] * (1 - part) + numbers[i + 1] * part;
}

uint32_t br_figure_distinct(const double *numbers, uint32_t count)
{
    uint32_t distinct = count > 0 ? 1 : 0;
    for (uint32_t i = 1; i < count; i++)
        distinct += numbers[i] != numbers[i - 1] ? 1 : 0;
    return distinct;
}

uint32_t br_figure_distinct_texts(const struct bruit_bytes *texts, uint32_t count)
{
    uint32_t distinct = count > 0 ? 1 : 0;
    for (uint32_t i = 1; i < count; i++)
        distinct += br_bytes_equal(texts[i], texts[i - 1]) ? 0 : 1;
    return distinct;
}
