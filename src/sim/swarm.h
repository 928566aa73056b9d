/*
 * The swarm: whole configurations and fault schedules drawn from seeds, and what must hold in all of them.
 *
 * A seed becomes the text of a scenario, and nothing but that text is run: what a failing seed did can be read,
 * cut down (shrink.h) and kept. Faults run, then `calm` ends them, then liveness must follow.
 */
#ifndef BR_SIM_SWARM_H
#define BR_SIM_SWARM_H

#include "sim/scenario_run.h"

#define BR_SWARM_TEXT_MAX 8192
#define BR_SWARM_FAILURES_MAX 16
#define BR_FIGURES_MAX 24

/* The scenario of a seed, as text with a final zero. Returns its size. */
size_t br_swarm_text(uint64_t seed, char text[BR_SWARM_TEXT_MAX]);

/* How the run of a text ended. Everything in it is a value: it crosses process borders. */
struct br_judgement {
    enum br_outcome outcome;
    uint32_t line;                    /* of the statement that was violated, or 0 */
    char check[BR_SCENARIO_NAME_MAX]; /* or "" */
    char text[BR_FINDING_TEXT_MAX];
    bruit_time time;
    uint64_t events; /* engine events */
    uint64_t hash;
    uint64_t figures[BR_FIGURES_MAX]; /* of other judges, as they like */
};

/* Runs a text in this process, to the first finding. */
void br_swarm_judge(struct bruit_bytes text, struct br_judgement *verdict);
/* The same in a process of its own, so that a crash is a verdict, too; so is not coming to an end in `seconds`. */
void br_swarm_judge_apart(struct bruit_bytes text, unsigned seconds, struct br_judgement *verdict);

struct br_swarm_failure {
    uint64_t seed;
    struct br_judgement verdict;
};

struct br_swarm_options {
    uint64_t first;
    uint64_t count;
    uint32_t jobs;
    bruit_time most; /* real time; 0: any */
    bool keep_going; /* after the first failure */
    /* Another judge than br_swarm_judge() of br_swarm_text(); NULL: that one. And how long one run may take. */
    void (*judge)(void *context, uint64_t seed, struct br_judgement *verdict);
    void *context;
    unsigned seconds_max; /* 0: two minutes */
    bool (*is_stopped)(void);
    void (*on_progress)(double share, uint64_t done);
};

struct br_swarm_result {
    uint64_t done;
    uint64_t events;
    uint64_t figures[BR_FIGURES_MAX];                        /* sums */
    uint64_t failed;                                         /* all of them, also those not listed */
    struct br_swarm_failure failures[BR_SWARM_FAILURES_MAX]; /* in the order of their seeds */
    uint32_t failure_count;
    bool is_whole; /* all seeds were run */
};

/* 0, or BRUIT_ENOMEM when no process could be started. */
int br_swarm(const struct br_swarm_options *options, struct br_swarm_result *result);

#endif
