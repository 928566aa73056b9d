/*
 * A rumour in a crowd, as a model: rounds in step, peers drawn from everybody, no engine.
 *
 * For what the engine cannot be asked: a hundred million nodes, or a million trials. Time is a number of rounds.
 * In each round every node that has anything to do draws `fanout` different peers among all others, dead ones
 * included, and every message is lost with probability `loss`; all see the state at the start of the round.
 *
 *   push        who knows tells; a message is a copy of the rumour
 *   pull        who does not know asks; a question to somebody who knows brings a copy, if neither is lost
 *   push-pull   both at once
 *   flood       each node has opened `fanout` connections once, which go both ways. Who learns the rumour
 *               announces it on all of them but those on which it was announced to it; who hears of it for the
 *               first time asks one of the announcers for it and gets it in the same round, as Bitcoin relays
 *               (inv, getdata, tx). Loss falls on announcements: the rest goes over a connection that repeats.
 *
 * Variants (Demers et al., "Epidemic algorithms for replicated database maintenance", 1987): a node that knows
 * loses interest after some events and stays informed but silent. With a counter, after `interest` of them in a
 * row; with a coin, with probability 1/interest at each. Blind: each round of talking is an event. Feedback: only
 * one that was useless is, because nobody who was told or asked was without the rumour at the start of the round;
 * a useful one starts the count again. A source that is pulled from has one event a round at most, and none in a
 * round in which nobody asks it. In pull variants everybody asks in every round, for nobody can know.
 *
 * Minimisation: push-pull with feedback and counters, which are told with every contact. Of two that both know, only
 * the one with the smaller counter counts a useless contact, or both when they are equal; one that is silent already
 * has the largest. A contact is whole or lost: loss hits both ways at once.
 *
 * Serf's events are push, blind, with a counter: each node sends one 4 * ceil(log10(n + 1)) times, 3 a round.
 */
#ifndef BR_SIM_MODEL_H
#define BR_SIM_MODEL_H

#include "sim/model/draw.h"

#define BR_MODEL_NODES_MIN 2u
#define BR_MODEL_NODES_MAX 1000000000u
#define BR_MODEL_FANOUT_MAX 64u
#define BR_MODEL_INTEREST_MAX 64u
#define BR_MODEL_ROUNDS_MAX 2000u /* a trial that takes longer is cut there, and counts as incomplete */
#define BR_MODEL_TRIALS_MAX 100000000u
#define BR_MODEL_THREADS_MAX 64u

enum br_model_mode { BR_MODEL_PUSH, BR_MODEL_PULL, BR_MODEL_PUSH_PULL, BR_MODEL_FLOOD };
enum br_model_forget { BR_MODEL_NEVER, BR_MODEL_COUNTER, BR_MODEL_COIN };

struct br_model_config {
    enum br_model_mode mode;
    uint32_t nodes;  /* all of them, the dead included; the one that knows first is alive */
    uint32_t fanout; /* below `nodes` */
    double loss;     /* of each message; below 1 */
    double dead;     /* this part of the nodes is dead, and nobody knows; at least one node lives */
    enum br_model_forget forget;
    uint32_t interest; /* k of the variants; 0 with BR_MODEL_NEVER */
    bool feedback;     /* push or pull with fan-out 1 only, but for */
    bool minimise;     /* push-pull with feedback and a counter */
    bool self_too;     /* a node may draw itself, and loses the turn; not with flood. Demers' sites do so */
    uint32_t trials;
    uint32_t threads; /* of which trials make use; the result does not depend on it */
    uint64_t seed;
};

/* Push to one peer a round among 1,000 nodes, 100 trials, 1 thread, seed 1. */
void br_model_config_default(struct br_model_config *config);

/* NULL, or what is wrong with it: a sentence that says what to do. */
const char *br_model_config_check(const struct br_model_config *config);

/* How many nodes are alive. */
uint32_t br_model_alive(const struct br_model_config *config);

/* ------------------------------------------------------------------ one trial */

struct br_model_trial {
    uint32_t rounds; /* the round in which the last node that was informed was; the first knows in round 0 */
    uint32_t ended;  /* the round after which nothing could change any more */
    uint32_t informed; /* of the nodes that are alive */
    double mean_round; /* in which nodes were informed, the first left out; 0 when there was none */
    uint64_t messages; /* all that were sent */
    uint64_t copies;   /* of those, how many carried the rumour */
    uint32_t curve[BR_MODEL_ROUNDS_MAX + 1]; /* who knows after each round, up to `ended` */
};

/* Trial `index` of a configuration without fault. `boxes` is zero but for `nodes`, and is again afterwards. */
void br_model_trial(const struct br_model_config *config, uint32_t index, struct br_boxes *boxes,
                    struct br_model_trial *trial);

/* The three kinds of it; the stream is the trial's. */
void br_model_rumour(const struct br_model_config *config, struct br_rng *rng, struct br_boxes *boxes,
                     struct br_model_trial *trial);
void br_model_pairs(const struct br_model_config *config, struct br_rng *rng, struct br_boxes *boxes,
                    struct br_model_trial *trial);
void br_model_flood(const struct br_model_config *config, struct br_rng *rng, struct br_boxes *boxes,
                    struct br_model_trial *trial);

/* ------------------------------------------------------------------ many */

struct br_model_stat {
    double mean;
    double deviation; /* of a single trial; the mean's is smaller by sqrt(trials) */
    double least;
    double most;
};

struct br_model_result {
    uint32_t trials;   /* as many as were made */
    uint32_t complete; /* in which everybody alive was informed */
    uint32_t alive;
    struct br_model_stat rounds;   /* until the last was informed, in all trials */
    struct br_model_stat messages; /* per node alive */
    struct br_model_stat copies;
    struct br_model_stat residue;    /* part of the live nodes that never heard */
    struct br_model_stat mean_round; /* t_ave */
    uint32_t rounds_p50;             /* median and 99th percentile of the rounds */
    uint32_t rounds_p99;
    uint32_t curve_count;
    double curve[BR_MODEL_ROUNDS_MAX + 1];      /* mean part of the live nodes that know after each round */
    double curve_low[BR_MODEL_ROUNDS_MAX + 1];  /* in the trial in which it was the least, */
    double curve_high[BR_MODEL_ROUNDS_MAX + 1]; /* and the most */
};

/* Asked after each of the caller's thread's trials; false ends the run with what there is. */
typedef bool (*br_model_watch)(void *context, uint32_t done, uint32_t trials);

/* 0, BRUIT_EINVAL (see br_model_config_check()), or BRUIT_ENOMEM. `watch` may be NULL. */
int br_model_run(const struct br_model_config *config, br_model_watch watch, void *context,
                 struct br_model_result *result);

/* ------------------------------------------------------------------ theory */

/*
 * Rounds until everybody knows, as the literature has it, for nodes that do not lose interest:
 *   push       log2 n + ln n for k = 1 (Frieze and Grimmett 1985; Pittel 1987, + O(1)), and for k messages a
 *              round log_{1+k} n + (ln n) / k. Loss and dead nodes make k what arrives of it
 *   push-pull  log3 n + O(ln ln n) (Karp et al. 2000), taken as log_{1+2k} n + log_{1+k} ln n
 *   pull       the same with log_{1+k} n
 *   flood      the distance between nodes of such a graph, ln n / ln(2k - 1/2)
 * 0: it has none: with loss or dead nodes for all but push.
 */
double br_model_theory_rounds(const struct br_model_config *config);
/* The formula of it as text; a static string. */
const char *br_model_theory_formula(const struct br_model_config *config);

/* No scheme in which a node tells k others a round is faster: log_{k+1} n. */
double br_model_lower_bound(const struct br_model_config *config);

/*
 * The mean field: the part of the live nodes that know after the next round if `known` of them do now and
 * everything were infinitely many. Push, pull and push-pull without loss of interest.
 */
double br_model_mean_field(const struct br_model_config *config, double known);
/* The first round after which it leaves less than half a node without the rumour; 0: not for this one. */
uint32_t br_model_mean_field_rounds(const struct br_model_config *config);

/*
 * Serf's convergence simulator (a page of its documentation, not a simulation): who knows after `round`.
 * share = 1 / (1 + (n + 1) e^(-c n r)), c = (fanout / n) (1 - loss) (1 - dead) / 2.
 */
double br_model_serf_formula(const struct br_model_config *config, double round);

#endif
