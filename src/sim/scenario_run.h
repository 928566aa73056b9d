/*
 * One run of a scenario: the world, what is done to it, what is expected of it, and what was found.
 *
 * The ledger says for each node whether something is wrong with it by our doing, and since when nothing is; the
 * checkers (scenario_check.h) and nobody else read it. Runs use one shard, since they watch everything.
 */
#ifndef BR_SIM_SCENARIO_RUN_H
#define BR_SIM_SCENARIO_RUN_H

#include "sim/scenario.h"
#include "sim/scenario_check.h"

#include <bruit/env.h>

#include <stdio.h>

#define BR_FINDINGS_MAX 20
#define BR_FINDING_TEXT_MAX 300

/* How a run ended, and the exit code of the program. */
enum br_outcome {
    BR_OUTCOME_GOOD = 0,
    BR_OUTCOME_WRONG = 1,   /* something happened that must not */
    BR_OUTCOME_STUCK = 2,   /* something did not happen that must */
    BR_OUTCOME_CRASH = 3,   /* the program died */
    BR_OUTCOME_REFUSED = 4, /* it did not run: a mistake in the scenario, or no memory */
};

struct br_finding {
    bruit_time time;
    enum br_outcome kind;
    uint32_t line;     /* of the scenario; 0: a check */
    const char *check; /* or NULL */
    char text[BR_FINDING_TEXT_MAX];
};

struct br_run_node {
    struct br_run *run;
    bruit_time started;    /* this life */
    bruit_time stopped;    /* BRUIT_NEVER while it runs */
    bruit_time well_since; /* nothing is wrong with it since; BRUIT_NEVER while something is */
    uint32_t troubles;     /* how many things are wrong with it */
    uint32_t incarnation;  /* the highest it ever gave itself, in all lives */
    bool has_left;         /* it said goodbye */
    bool has_moved;        /* came back at another address */
    bool is_odd;           /* a clone, or has had another's name or address: nobody knows what is right */
    enum br_join_how join;
    uint32_t target; /* BR_JOIN_WHOM: the first it was told to join */
    bool has_retry;
    bool is_answered;     /* its last query: by everybody */
    uint64_t refused;     /* events and queries that its engine did not take */
    uint32_t ending_life; /* which life ends after its goodbye */
};

/* The others of one statement, and how far it has come. */
struct br_run_statement {
    struct br_run *run;
    const struct br_statement *statement;
    uint32_t *nodes; /* whose turn comes in this order */
    uint32_t count;
    uint32_t next;
    uint32_t undone; /* how many of them were set right again */
    uint32_t rule;   /* RULE: its number */
    uint32_t rounds; /* of what is done again and again */
    bool has_rule;
    uint8_t *observers; /* by node; NULL: all */
    uint8_t *subjects;
    bruit_time held_since; /* expect; BRUIT_NEVER: it does not hold */
    bool is_over;
    bool is_seen; /* expect trace */
};

struct br_run {
    const struct br_scenario *scenario;
    struct bruit_sim *sim;
    struct br_run_node *nodes;
    uint32_t count;    /* of nodes now */
    uint32_t capacity; /* clones included */
    struct br_run_statement *statements;
    uint32_t rules;                /* active */
    bool has_odd_network;          /* `network` changed it */
    bruit_time network_well_since; /* BRUIT_NEVER while rules are active */
    bruit_time changed;            /* the last time a process was started, ended, or asked to leave */
    bool has_events;               /* some statement sends events or queries */
    bool is_forgeable;             /* bytes may be changed, or come from outside: anything may be claimed */
    bool has_fair_network; /* the links of the settings lose so little that false verdicts are mistakes */
    uint32_t addresses;    /* new ones given so far */
    void *check_state[BR_CHECK_COUNT];
    uint32_t checks_on; /* bits */
    struct br_finding findings[BR_FINDINGS_MAX];
    uint32_t finding_count;
    uint64_t finding_total;
    struct bruit_cipher cipher;
    bool has_cipher;
    const struct bruit_module **modules; /* what the world's configuration points to */
    bruit_time end;                      /* when it is over, as far as that is known */
    bool wants_stop;                     /* at the first finding */
    bool is_stopping;
    struct br_recorder *recorder;      /* or NULL */
    FILE *trace;                       /* or NULL */
    void (*on_progress)(double share); /* or NULL */
};

struct br_run_options {
    bool stop_at_first;
    uint64_t memory_max;               /* 0: what the machine has free */
    FILE *trace;                       /* or NULL: every record as a line */
    void (*on_progress)(double share); /* or NULL: once a second of virtual time */
    struct br_recorder *recorder;
};

/*
 * Makes the world and all that is needed. On failure (BRUIT_ENOMEM, BRUIT_ETOOBIG, BRUIT_EINVAL) `why` says what
 * to do. The scenario is borrowed.
 */
int br_run_new(struct br_run **out, const struct br_scenario *scenario, const struct br_run_options *options,
               char *why, size_t why_size);
void br_run_free(struct br_run *run);

/* Runs to the end, to the first finding (stop_at_first), or until bruit_sim_interrupt(). False: interrupted. */
bool br_run_all(struct br_run *run);
enum br_outcome br_run_outcome(const struct br_run *run);

/* ------------------------------------------------------------------ for checkers */

/* Safety is broken, or liveness overdue. The time is now. */
void br_run_find(struct br_run *run, const struct br_check *check, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Since when nothing is wrong with the network nor any node; BRUIT_NEVER: something is. */
bruit_time br_run_calm_since(const struct br_run *run);
/* The same, and nobody was started, stopped or asked to leave either. */
bruit_time br_run_still_since(const struct br_run *run);

/* Whether all who run believe exactly those here who run (check_convergence.c). */
bool br_run_agrees(const struct br_run *run);

/* True time. */
bruit_time br_run_now(const struct br_run *run);
/* Whether a node takes part: its engine runs, and it has not said goodbye. */
bool br_run_is_member(const struct br_run *run, uint32_t node);

/* The highest incarnation that this node ever gave itself. */
uint32_t br_run_incarnation(struct br_run *run, uint32_t node);
/* An upper bound of how long a suspicion lasts in a cluster of this size, with one configuration for all. */
bruit_time br_run_suspicion_max(const struct br_run *run);
/* And of how long it takes until everybody has found out who is gone. */
bruit_time br_run_detection_max(const struct br_run *run);

/* ------------------------------------------------------------------ for the files of the runner */

/* The first node of a set that is not `but`; BRUIT_SIM_NOBODY when there is none. */
uint32_t br_run_first(const struct br_run *run, const struct br_node_set *set, uint32_t but);

/* scenario_do.c */
int br_run_schedule(struct br_run *run);
void br_run_heard(struct br_run *run, uint32_t node, const struct bruit_event *event);
void br_run_note_start(struct br_run *run, uint32_t node);
void br_run_note_stop(struct br_run *run, uint32_t node);

/* scenario_ask.c */
void br_run_ask(struct br_run_statement *st, uint32_t node);
void br_run_answered(struct br_run *run, uint32_t node, const struct bruit_event *event);

/* scenario_judge.c */
void br_run_judge_told(struct br_run *run, uint32_t node, const struct br_told *told);
void br_run_judge_trace(struct br_run *run, uint32_t node, const struct bruit_trace_record *record);
/* Looks at what is expected now; at the end of the run, nothing is left to hope for. */
void br_run_judge(struct br_run *run, bool is_end);
/* Whether an expectation is pending at this time, so that somebody should look soon. */
bool br_run_has_pending(const struct br_run *run);

void br_run_find_line(struct br_run *run, const struct br_statement *s, enum br_outcome kind,
                      const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
