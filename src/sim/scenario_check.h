/*
 * What must hold in every run, whatever befalls the cluster: the property checkers, check_NAME.c each.
 *
 * A checker watches what engines are told, what they trace and what they send, looks at everybody once a second,
 * and reports what should not be. *Safety* (nothing wrong ever happens) is reported the moment it is broken.
 * *Liveness* (what should happen does, in the end) is owed only when trouble has stopped: the runner keeps the
 * ledger of who is in trouble and since when nobody is (`struct br_run_node`, br_run_calm_since).
 *
 * Checkers know faults only from that ledger, and nothing of scenarios.
 */
#ifndef BR_SIM_SCENARIO_CHECK_H
#define BR_SIM_SCENARIO_CHECK_H

#include "base/trace.h"

#include <bruit/engine.h>
#include <bruit/sim.h>

enum br_check_id {
    BR_CHECK_COMPLETENESS,
    BR_CHECK_ACCURACY,
    BR_CHECK_CONVERGENCE,
    BR_CHECK_INCARNATIONS,
    BR_CHECK_RESURRECTION,
    BR_CHECK_BOUNDS,
    BR_CHECK_BUDGET,
    BR_CHECK_EVIDENCE,
    BR_CHECK_COUNT,
};

struct br_run;

/* A change of a member that an engine told its program. */
struct br_told {
    uint32_t changes;
    uint32_t about; /* the node, or BRUIT_SIM_NOBODY: a name that no node has */
    struct bruit_member member;
};

struct br_check {
    const char *name;
    const char *sentence; /* what must hold */
    bool is_liveness;
    /* Makes `*state`; 0 or BRUIT_ENOMEM. NULL: nothing is needed. It is freed with free(), after `end`. */
    int (*begin)(struct br_run *run, void **state);
    void (*end)(void *state);
    /* Each may be NULL. The engine of `node` has just been made; it told its program; it wrote; it sent. */
    void (*on_start)(struct br_run *run, void *state, uint32_t node);
    void (*on_told)(struct br_run *run, void *state, uint32_t node, const struct br_told *told);
    void (*on_trace)(struct br_run *run, void *state, uint32_t node, const struct bruit_trace_record *record);
    void (*on_packet)(struct br_run *run, void *state, const struct bruit_sim_packet *packet);
    void (*look)(struct br_run *run, void *state); /* once a second of true time */
};

extern const struct br_check *const br_checks[BR_CHECK_COUNT];

extern const struct br_check br_check_completeness;
extern const struct br_check br_check_accuracy;
extern const struct br_check br_check_convergence;
extern const struct br_check br_check_incarnations;
extern const struct br_check br_check_resurrection;
extern const struct br_check br_check_bounds;
extern const struct br_check br_check_budget;
extern const struct br_check br_check_evidence;

#endif
