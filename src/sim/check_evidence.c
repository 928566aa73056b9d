/*
 * Every verdict has its evidence in the trace.
 *
 * Whoever is told that a member failed can read why: at this moment this engine wrote `declared` (its own suspicion
 * ended, or somebody said so); if it was its own, it has written `suspicion_expired` (with it, or before: its own
 * words may come back to it), and `suspected`. And somewhere somebody's probe of the member failed, and was written
 * down: no verdict out of nothing. With heartbeats the verdict is one's own, and `heart_silent` is all of it.
 */
#include "sim/scenario_run.h"

#include "base/trace.h"

#include <stdlib.h>
#include <string.h>

/* What one engine wrote about one member; `declared`: when, plus 1. */
struct cell {
    bruit_time declared;
    bool by_itself;    /* `declared` names the engine itself */
    bool is_suspected; /* in any life */
    bool is_expired;
};

struct evidence {
    bool *is_probed;    /* by subject: somebody's probe of it failed */
    struct cell *cells; /* by observer and subject */
    uint64_t memory[];
};

static int begin(struct br_run *run, void **state)
{
    size_t pairs = (size_t)run->capacity * run->capacity;
    struct evidence *evidence = calloc(1, sizeof *evidence + pairs * sizeof(struct cell) + run->capacity);
    *state = evidence;
    if (evidence == NULL)
        return BRUIT_ENOMEM;
    evidence->cells = (struct cell *)evidence->memory;
    evidence->is_probed = (bool *)(evidence->cells + pairs);
    return 0;
}

static struct cell *cell_of(struct br_run *run, struct evidence *evidence, uint32_t node,
                            struct bruit_bytes name)
{
    uint32_t about = bruit_sim_named(run->sim, name);
    return about == BRUIT_SIM_NOBODY ? NULL : &evidence->cells[(size_t)node * run->capacity + about];
}

static void on_start(struct br_run *run, void *state, uint32_t node)
{
    struct evidence *evidence = state;
    for (uint32_t x = 0; x < run->capacity; x++)
        evidence->cells[(size_t)node * run->capacity + x].declared = 0;
}

static bool is_same(struct bruit_bytes a, struct bruit_bytes b)
{
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

static void on_trace(struct br_run *run, void *state, uint32_t node, const struct bruit_trace_record *record)
{
    struct evidence *evidence = state;
    bruit_time now = br_run_now(run);
    struct cell *cell;
    if (record->id == br_trace_id_heart_silent) {
        const struct br_trace_heart_silent *fields = record->fields;
        if ((cell = cell_of(run, evidence, node, fields->node)) == NULL)
            return;
        *cell = (struct cell){.declared = now + 1};
        evidence->is_probed[bruit_sim_named(run->sim, fields->node)] = true;
    } else if (record->id == br_trace_id_probe_failed) {
        const struct br_trace_probe_failed *fields = record->fields;
        uint32_t about = bruit_sim_named(run->sim, fields->node);
        if (about != BRUIT_SIM_NOBODY)
            evidence->is_probed[about] = true;
    } else if (record->id == br_trace_id_suspected) {
        const struct br_trace_suspected *fields = record->fields;
        if ((cell = cell_of(run, evidence, node, fields->node)) != NULL)
            cell->is_suspected = true;
    } else if (record->id == br_trace_id_suspicion_expired) {
        const struct br_trace_suspicion_expired *fields = record->fields;
        if ((cell = cell_of(run, evidence, node, fields->node)) != NULL)
            cell->is_expired = true;
    } else if (record->id == br_trace_id_declared) {
        const struct br_trace_declared *fields = record->fields;
        if ((cell = cell_of(run, evidence, node, fields->node)) != NULL) {
            cell->declared = now + 1;
            cell->by_itself = is_same(fields->from, bruit_sim_name(run->sim, node));
        }
    }
}

static void on_told(struct br_run *run, void *state, uint32_t node, const struct br_told *told)
{
    struct evidence *evidence = state;
    bruit_time now = br_run_now(run);
    if (!(told->changes & BRUIT_CHANGE_FAILED) || told->about == BRUIT_SIM_NOBODY)
        return;
    const struct cell *cell = &evidence->cells[(size_t)node * run->capacity + told->about];
    const char *missing = cell->declared != now + 1                ? "who declared it"
                          : cell->by_itself && !cell->is_expired   ? "that its suspicion ended"
                          : cell->by_itself && !cell->is_suspected ? "that it was suspected"
                          : !evidence->is_probed[told->about] && !run->is_forgeable ? "whose probe failed"
                                                                                    : NULL;
    if (missing != NULL)
        br_run_find(run, &br_check_evidence, "n%u was told that n%u failed, and the trace does not say %s",
                    (unsigned)node, (unsigned)told->about, missing);
}

const struct br_check br_check_evidence = {
    .name = "evidence",
    .sentence = "every verdict has its evidence in the trace",
    .begin = begin,
    .on_start = on_start,
    .on_trace = on_trace,
    .on_told = on_told,
};
