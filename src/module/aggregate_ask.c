/*
 * Answers, from what is here: exact ones from the values that are held, estimates from the last epoch that was
 * finished.
 */
#include "module/aggregate_figure.h"
#include "module/aggregate_state.h"

#include "base/num.h"
#include "base/time.h"

#include <bruit/error.h>

static struct br_aggregate *aggregate_of(const struct bruit_engine *engine)
{
    return bruit_engine_module(engine, &bruit_aggregate_module);
}

/* ------------------------------------------------------------------ what is held of a name */

/* All numbers and all texts of a name, sorted; lists in the host's memory. */
struct gathered {
    double *numbers;
    struct bruit_bytes *texts;
    uint32_t number_count;
    uint32_t text_count;
    uint32_t capacity;
};

static void drop(struct br_aggregate *a, struct gathered *g)
{
    if (g->numbers != NULL)
        (void)bruit_host_resize(a->host, g->numbers, g->capacity * sizeof *g->numbers, 0); /* frees, as the next */
    if (g->texts != NULL)
        (void)bruit_host_resize(a->host, g->texts, g->capacity * sizeof *g->texts, 0);
}

static const struct br_aggregate_slot *held(const struct br_aggregate *a, uint32_t at, struct bruit_bytes name)
{
    return br_aggregate_find(br_aggregate_owner(&a->store, a->store.order[at]), name);
}

static int gather(struct br_aggregate *a, struct bruit_bytes name, struct gathered *g)
{
    *g = (struct gathered){.capacity = a->store.count};
    if (g->capacity == 0)
        return 0;
    g->numbers = bruit_host_resize(a->host, NULL, 0, g->capacity * sizeof *g->numbers);
    g->texts = bruit_host_resize(a->host, NULL, 0, g->capacity * sizeof *g->texts);
    if (g->numbers == NULL || g->texts == NULL) {
        drop(a, g);
        return BRUIT_ENOMEM;
    }
    for (uint32_t i = 0; i < a->store.count; i++) {
        const struct br_aggregate_slot *slot = held(a, i, name);
        if (slot != NULL && slot->kind == BR_AGGREGATE_NUMBER)
            g->numbers[g->number_count++] = slot->number;
        else if (slot != NULL)
            g->texts[g->text_count++] = br_aggregate_slot_text(slot);
    }
    br_figure_sort(g->numbers, g->number_count);
    br_figure_sort_texts(g->texts, g->text_count);
    return 0;
}

/* ------------------------------------------------------------------ exact answers */

static void fill_exact(const struct br_aggregate *a, uint32_t nodes, struct bruit_aggregate_answer *answer,
                       bruit_time now)
{
    *answer = (struct bruit_aggregate_answer){.nodes = nodes, .members = a->store.count, .is_exact = true};
    if (a->telling.compare_at != BRUIT_NEVER)
        answer->age = br_time_since(a->telling.confirmed, now);
}

static double figure(const struct gathered *g, enum bruit_aggregate_what what, double argument)
{
    switch (what) {
    case BRUIT_AGGREGATE_COUNT: return g->number_count + g->text_count;
    case BRUIT_AGGREGATE_SUM: return br_figure_sum(g->numbers, g->number_count);
    case BRUIT_AGGREGATE_MEAN: return br_figure_mean(g->numbers, g->number_count);
    case BRUIT_AGGREGATE_MIN: return g->numbers[0];
    case BRUIT_AGGREGATE_MAX: return g->numbers[g->number_count - 1];
    case BRUIT_AGGREGATE_VARIANCE: return br_figure_variance(g->numbers, g->number_count);
    case BRUIT_AGGREGATE_QUANTILE: return br_figure_quantile(g->numbers, g->number_count, argument);
    case BRUIT_AGGREGATE_DISTINCT:
        return br_figure_distinct(g->numbers, g->number_count) + br_figure_distinct_texts(g->texts, g->text_count);
    }
    return 0;
}

/* Numbers and texts are one list where it is about how many, and not where it is about how much. */
static bool takes_texts(enum bruit_aggregate_what what)
{
    return what == BRUIT_AGGREGATE_COUNT || what == BRUIT_AGGREGATE_DISTINCT;
}

static int ask_exact(struct br_aggregate *a, struct bruit_bytes name, enum bruit_aggregate_what what,
                     double argument, struct bruit_aggregate_answer *answer, bruit_time now)
{
    struct gathered g;
    if (gather(a, name, &g) != 0)
        return BRUIT_ENOMEM;
    uint32_t nodes = g.number_count + (takes_texts(what) ? g.text_count : 0);
    if (nodes > 0 || what == BRUIT_AGGREGATE_COUNT) {
        fill_exact(a, nodes, answer, now);
        answer->value = figure(&g, what, argument);
    }
    drop(a, &g);
    return nodes > 0 || what == BRUIT_AGGREGATE_COUNT ? 0 : BRUIT_ENOENT;
}

/* ------------------------------------------------------------------ estimates */

static void fill_estimate(const struct br_aggregate *a, const struct br_estimate *estimate,
                          struct bruit_aggregate_answer *answer, bruit_time now)
{
    double nodes = br_num_floor(estimate->result.has * estimate->result_members + 0.5);
    *answer = (struct bruit_aggregate_answer){.age = br_time_since(estimate->result_began, now),
                                              .nodes = nodes > 0 ? (uint32_t)nodes : 0,
                                              .members = a->store.count};
}

static double size_of(double x)
{
    return x < 0 ? -x : x;
}

static bool is_known(const struct br_mass *m, enum bruit_aggregate_what what)
{
    if (m->has <= 0)
        return false;
    return takes_texts(what) || (!m->is_text && m->has_extrema && m->cell_count > 0);
}

static int ask_estimate(struct br_aggregate *a, struct bruit_bytes name, enum bruit_aggregate_what what,
                        double argument, struct bruit_aggregate_answer *answer, bruit_time now)
{
    const struct br_estimate *estimate = br_aggregate_estimate(a, name);
    if (estimate == NULL || !estimate->has_result || !is_known(&estimate->result, what))
        return BRUIT_ENOENT;
    const struct br_mass *m = &estimate->result;
    double members = estimate->result_members;
    fill_estimate(a, estimate, answer, now);
    switch (what) {
    case BRUIT_AGGREGATE_COUNT:
        answer->value = m->has * members;
        answer->error = estimate->has_error * members;
        break;
    case BRUIT_AGGREGATE_SUM:
        answer->value = m->sum * members;
        answer->error = (estimate->mean_error * m->has + size_of(br_mass_mean(m)) * estimate->has_error) * members;
        break;
    case BRUIT_AGGREGATE_MEAN:
        answer->value = br_mass_mean(m);
        answer->error = estimate->mean_error;
        break;
    case BRUIT_AGGREGATE_MIN: answer->value = m->min; break;
    case BRUIT_AGGREGATE_MAX: answer->value = m->max; break;
    case BRUIT_AGGREGATE_VARIANCE:
        answer->value = br_mass_variance(m);
        answer->error = 2 * estimate->mean_error * br_num_sqrt(answer->value) +
                        (m->square / m->has + br_mass_mean(m) * br_mass_mean(m)) * 1e-12;
        break;
    case BRUIT_AGGREGATE_QUANTILE: answer->value = br_mass_quantile(m, argument, &answer->error); break;
    case BRUIT_AGGREGATE_DISTINCT: answer->value = br_mass_distinct(m, &answer->error); break;
    }
    return 0;
}

int bruit_aggregate_ask(struct bruit_engine *engine, struct bruit_bytes name, enum bruit_aggregate_what what,
                        double argument, struct bruit_aggregate_answer *answer, bruit_time now)
{
    struct br_aggregate *a = aggregate_of(engine);
    if (a == NULL)
        return BRUIT_ENOENT;
    if (what > BRUIT_AGGREGATE_DISTINCT || (what == BRUIT_AGGREGATE_QUANTILE && !(argument >= 0 && argument <= 1)))
        return BRUIT_EINVAL;
    if (br_aggregate_mode_of(a, name) == BRUIT_AGGREGATE_ESTIMATE)
        return ask_estimate(a, name, what, argument, answer, now);
    return ask_exact(a, name, what, argument, answer, now);
}

/* ------------------------------------------------------------------ top lists */

static bool is_above(const struct bruit_aggregate_item *x, const struct bruit_aggregate_item *y)
{
    if (x->is_text) {
        if (x->count > y->count || x->count < y->count)
            return x->count > y->count;
        return br_bytes_compare(x->text, y->text) < 0;
    }
    if (x->number > y->number || x->number < y->number)
        return x->number > y->number;
    return br_bytes_compare(x->node, y->node) < 0;
}

/* Keeps the `most` uppermost, in order. */
static void keep(struct bruit_aggregate_item *items, size_t *count, size_t most,
                 const struct bruit_aggregate_item *item)
{
    size_t at = *count;
    while (at > 0 && is_above(item, &items[at - 1]))
        at--;
    if (at == most)
        return;
    *count += *count < most ? 1 : 0;
    memmove(items + at + 1, items + at, (*count - at - 1) * sizeof *items);
    items[at] = *item;
}

static void top_texts(const struct gathered *g, struct bruit_aggregate_item *items, size_t *count, size_t most)
{
    uint32_t end;
    for (uint32_t i = 0; i < g->text_count; i = end) {
        for (end = i; end < g->text_count && br_bytes_equal(g->texts[end], g->texts[i]);)
            end++;
        keep(items, count, most,
             &(struct bruit_aggregate_item){.is_text = true, .text = g->texts[i], .count = end - i});
    }
}

static void top_numbers(const struct br_aggregate *a, struct bruit_bytes name, struct bruit_aggregate_item *items,
                        size_t *count, size_t most)
{
    for (uint32_t i = 0; i < a->store.count; i++) {
        const struct br_aggregate_slot *slot = held(a, i, name);
        if (slot == NULL || slot->kind != BR_AGGREGATE_NUMBER)
            continue;
        const struct br_aggregate_owner *owner = br_aggregate_owner(&a->store, a->store.order[i]);
        keep(items, count, most,
             &(struct bruit_aggregate_item){
                 .number = slot->number, .count = 1, .node = br_aggregate_owner_name(owner)});
    }
}

/* What most nodes publish it as decides which list it is. */
static int top_exact(struct br_aggregate *a, struct bruit_bytes name, struct bruit_aggregate_item *items,
                     size_t *count, size_t most, struct bruit_aggregate_answer *answer, bruit_time now)
{
    struct gathered g;
    if (gather(a, name, &g) != 0)
        return BRUIT_ENOMEM;
    bool are_texts = g.text_count > g.number_count;
    uint32_t nodes = are_texts ? g.text_count : g.number_count;
    if (are_texts)
        top_texts(&g, items, count, most);
    else
        top_numbers(a, name, items, count, most);
    fill_exact(a, nodes, answer, now);
    drop(a, &g);
    return nodes == 0 ? BRUIT_ENOENT : 0;
}

static int top_estimate(struct br_aggregate *a, struct bruit_bytes name, struct bruit_aggregate_item *items,
                        size_t *count, size_t most, struct bruit_aggregate_answer *answer, bruit_time now)
{
    const struct br_estimate *estimate = br_aggregate_estimate(a, name);
    if (estimate == NULL || !estimate->has_result)
        return BRUIT_ENOENT;
    const struct br_mass *m = &estimate->result;
    double members = estimate->result_members;
    if (most > BRUIT_AGGREGATE_TOP_MAX)
        most = BRUIT_AGGREGATE_TOP_MAX;
    for (uint32_t i = 0; m->is_text && i < m->cell_count; i++)
        keep(items, count, most,
             &(struct bruit_aggregate_item){.is_text = true,
                                            .text = br_bytes(m->cells[i].text, m->cells[i].text_size),
                                            .count = m->cells[i].mass * members,
                                            .error = (size_of(m->rest) + estimate->has_error) * members});
    for (uint32_t i = 0; !m->is_text && i < m->top_count; i++)
        keep(items, count, most,
             &(struct bruit_aggregate_item){.number = m->tops[i].number,
                                            .count = 1,
                                            .node = br_bytes(m->tops[i].node, m->tops[i].node_size)});
    fill_estimate(a, estimate, answer, now);
    return *count == 0 ? BRUIT_ENOENT : 0;
}

int bruit_aggregate_top(struct bruit_engine *engine, struct bruit_bytes name, struct bruit_aggregate_item *items,
                        size_t *count, struct bruit_aggregate_answer *answer, bruit_time now)
{
    struct br_aggregate *a = aggregate_of(engine);
    struct bruit_aggregate_answer filled = {0};
    size_t most = *count;
    if (a == NULL)
        return BRUIT_ENOENT;
    *count = 0;
    int status = br_aggregate_mode_of(a, name) == BRUIT_AGGREGATE_ESTIMATE
                     ? top_estimate(a, name, items, count, most, &filled, now)
                     : top_exact(a, name, items, count, most, &filled, now);
    filled.value = (double)*count;
    if (status == 0 && answer != NULL)
        *answer = filled;
    return status;
}

/* ------------------------------------------------------------------ the walk */

/* The cursor: owners in order, 16 slots each; behind them our own that go by estimates. */
static bool next_held(const struct br_aggregate *a, uint64_t *cursor, struct bruit_aggregate_value *out)
{
    for (; *cursor < (uint64_t)a->store.count * BR_AGGREGATE_SLOTS; ++*cursor) {
        bruit_node node = a->store.order[*cursor / BR_AGGREGATE_SLOTS];
        const struct br_aggregate_owner *owner = br_aggregate_owner(&a->store, node);
        unsigned at = *cursor % BR_AGGREGATE_SLOTS;
        if (at >= owner->slot_count || owner->slots[at].kind == BR_AGGREGATE_NOTHING)
            continue;
        const struct br_aggregate_slot *slot = &owner->slots[at];
        *out = (struct bruit_aggregate_value){.node = node,
                                              .name = br_aggregate_slot_name(slot),
                                              .text = br_aggregate_slot_text(slot),
                                              .number = slot->number,
                                              .since = slot->since,
                                              .is_exact = true};
        ++*cursor;
        return true;
    }
    return false;
}

bool bruit_aggregate_next(const struct bruit_engine *engine, uint64_t *cursor, struct bruit_aggregate_value *out)
{
    const struct br_aggregate *a = aggregate_of(engine);
    if (a == NULL)
        return false;
    if (next_held(a, cursor, out))
        return true;
    uint64_t first = (uint64_t)a->store.count * BR_AGGREGATE_SLOTS;
    for (; *cursor - first < BRUIT_AGGREGATE_NAMES_MAX; ++*cursor) {
        const struct br_aggregate_own *own = &a->own[*cursor - first];
        if (own->kind == BR_AGGREGATE_NOTHING || own->is_exact)
            continue;
        *out = (struct bruit_aggregate_value){.node = bruit_member_self(engine),
                                              .name = br_bytes(own->name, own->name_size),
                                              .text = br_bytes(own->text, own->text_size),
                                              .number = own->number};
        ++*cursor;
        return true;
    }
    return false;
}
