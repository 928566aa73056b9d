/*
 * Many trials of a model, on some threads, and what they say together.
 *
 * The result must not depend on how many threads there are, down to the last bit. So each trial has a random
 * stream of its own, and trials are added up in blocks that are cut by their number alone; threads take whole
 * blocks, and the blocks are added in order when all are done.
 */
#include "sim/model/model.h"

#include "base/num.h"

#include <bruit/error.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS 64

struct sum {
    double total;
    double squares;
    double least;
    double most;
};

/* What is remembered of the trials of one block. */
struct block {
    uint32_t trials;
    uint32_t complete;
    uint32_t last_round;
    struct sum rounds, messages, copies, residue, mean_round;
    uint32_t histogram[BR_MODEL_ROUNDS_MAX + 1]; /* of the rounds */
    /* Of the nodes informed after each round of trials that go on, and (ends) where they stand from then on. */
    struct sum curve[BR_MODEL_ROUNDS_MAX + 1];
    struct sum ends[BR_MODEL_ROUNDS_MAX + 2];
};

struct run {
    const struct br_model_config *config;
    struct block *blocks;
    uint32_t block_count;
    atomic_uint next_block;
    atomic_uint done;
    atomic_bool stop;
};

struct worker {
    struct run *run;
    br_model_watch watch; /* the caller's own thread's, else NULL */
    void *context;
    struct br_boxes boxes;
    struct br_model_trial trial;
};

/* ------------------------------------------------------------------ adding up */

static const struct sum nothing = {.least = 1e300, .most = -1e300};

static void add(struct sum *sum, double value)
{
    sum->total += value;
    sum->squares += value * value;
    sum->least = value < sum->least ? value : sum->least;
    sum->most = value > sum->most ? value : sum->most;
}

static void add_sum(struct sum *sum, const struct sum *more)
{
    sum->total += more->total;
    sum->squares += more->squares;
    sum->least = more->least < sum->least ? more->least : sum->least;
    sum->most = more->most > sum->most ? more->most : sum->most;
}

static void clear_block(struct block *block)
{
    memset(block, 0, sizeof *block);
    block->rounds = block->messages = block->copies = block->residue = block->mean_round = nothing;
    for (uint32_t i = 0; i <= BR_MODEL_ROUNDS_MAX; i++)
        block->curve[i] = block->ends[i] = nothing;
    block->ends[BR_MODEL_ROUNDS_MAX + 1] = nothing;
}

static void add_trial(struct block *block, const struct br_model_trial *trial, uint32_t alive)
{
    block->trials++;
    block->complete += trial->informed == alive;
    block->last_round = trial->ended > block->last_round ? trial->ended : block->last_round;
    block->histogram[trial->rounds]++;
    add(&block->rounds, trial->rounds);
    add(&block->messages, (double)trial->messages / alive);
    add(&block->copies, (double)trial->copies / alive);
    add(&block->residue, (double)(alive - trial->informed) / alive);
    add(&block->mean_round, trial->mean_round);
    for (uint32_t round = 0; round <= trial->ended; round++)
        add(&block->curve[round], (double)trial->curve[round] / alive);
    add(&block->ends[trial->ended + 1], (double)trial->informed / alive);
}

static void add_block(struct block *all, const struct block *block)
{
    all->trials += block->trials;
    all->complete += block->complete;
    all->last_round = block->last_round > all->last_round ? block->last_round : all->last_round;
    add_sum(&all->rounds, &block->rounds);
    add_sum(&all->messages, &block->messages);
    add_sum(&all->copies, &block->copies);
    add_sum(&all->residue, &block->residue);
    add_sum(&all->mean_round, &block->mean_round);
    for (uint32_t i = 0; i <= block->last_round; i++) {
        all->histogram[i] += block->histogram[i];
        add_sum(&all->curve[i], &block->curve[i]);
        add_sum(&all->ends[i + 1], &block->ends[i + 1]);
    }
}

static struct br_model_stat stat_of(const struct sum *sum, uint32_t trials)
{
    struct br_model_stat stat = {.mean = sum->total / trials, .least = sum->least, .most = sum->most};
    double variance = trials > 1 ? (sum->squares - sum->total * stat.mean) / (trials - 1) : 0;
    stat.deviation = variance > 0 ? br_num_sqrt(variance) : 0;
    return stat;
}

/* The smallest number of rounds that at least this part of the trials did with. */
static uint32_t quantile(const struct block *all, double part)
{
    uint32_t round = 0;
    double wanted = part * all->trials, had = all->histogram[0];
    while (had < wanted && round < BR_MODEL_ROUNDS_MAX)
        had += all->histogram[++round];
    return round;
}

static void conclude(const struct block *all, uint32_t alive, struct br_model_result *result)
{
    memset(result, 0, sizeof *result);
    result->trials = all->trials;
    result->complete = all->complete;
    result->alive = alive;
    if (all->trials == 0)
        return;
    result->rounds = stat_of(&all->rounds, all->trials);
    result->messages = stat_of(&all->messages, all->trials);
    result->copies = stat_of(&all->copies, all->trials);
    result->residue = stat_of(&all->residue, all->trials);
    result->mean_round = stat_of(&all->mean_round, all->trials);
    result->rounds_p50 = quantile(all, 0.5);
    result->rounds_p99 = quantile(all, 0.99);
    result->curve_count = all->last_round + 1;
    struct sum ended = nothing;
    for (uint32_t i = 0; i < result->curve_count; i++) {
        add_sum(&ended, &all->ends[i]);
        struct sum here = ended;
        add_sum(&here, &all->curve[i]);
        result->curve[i] = here.total / all->trials;
        result->curve_low[i] = here.least;
        result->curve_high[i] = here.most;
    }
}

/* ------------------------------------------------------------------ trials and threads */

void br_model_trial(const struct br_model_config *config, uint32_t index, struct br_boxes *boxes,
                    struct br_model_trial *trial)
{
    char name[32];
    struct br_rng rng;
    (void)snprintf(name, sizeof name, "rumour.%u", index);
    br_rng_init(&rng, config->seed, name);
    memset(trial, 0, offsetof(struct br_model_trial, curve));
    if (config->mode == BR_MODEL_FLOOD)
        br_model_flood(config, &rng, boxes, trial);
    else if (config->minimise)
        br_model_pairs(config, &rng, boxes, trial);
    else
        br_model_rumour(config, &rng, boxes, trial);
}

static void run_block(struct worker *worker, uint32_t number)
{
    struct run *run = worker->run;
    uint32_t alive = br_model_alive(run->config);
    uint64_t trials = run->config->trials;
    uint32_t first = (uint32_t)(trials * number / run->block_count);
    uint32_t end = (uint32_t)(trials * (number + 1) / run->block_count);
    for (uint32_t i = first; i < end && !atomic_load(&run->stop); i++) {
        br_model_trial(run->config, i, &worker->boxes, &worker->trial);
        add_trial(&run->blocks[number], &worker->trial, alive);
        uint32_t done = atomic_fetch_add(&run->done, 1) + 1;
        if (worker->watch != NULL && !worker->watch(worker->context, done, run->config->trials))
            atomic_store(&run->stop, true);
    }
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    for (;;) {
        uint32_t number = atomic_fetch_add(&worker->run->next_block, 1);
        if (number >= worker->run->block_count || atomic_load(&worker->run->stop))
            return NULL;
        run_block(worker, number);
    }
}

/* Starts as many helpers as it can get; one thread is enough. */
static void work_together(struct worker *workers, uint32_t count)
{
    pthread_t threads[BR_MODEL_THREADS_MAX];
    uint32_t started = 1;
    while (started < count && pthread_create(&threads[started], NULL, work, &workers[started]) == 0)
        started++;
    (void)work(&workers[0]);
    for (uint32_t i = 1; i < started; i++)
        (void)pthread_join(threads[i], NULL);
}

/* Room for a model that keeps nodes apart. False: there is none. */
static bool give_nodes(const struct br_model_config *config, struct worker *workers, uint32_t count)
{
    for (uint32_t i = 0; i < count && config->minimise; i++) {
        workers[i].boxes.nodes = calloc(config->nodes, 2);
        if (workers[i].boxes.nodes == NULL)
            return false;
    }
    return true;
}

int br_model_run(const struct br_model_config *config, br_model_watch watch, void *context,
                 struct br_model_result *result)
{
    if (br_model_config_check(config) != NULL)
        return BRUIT_EINVAL;
    struct run run = {.config = config};
    run.block_count = config->trials < BLOCKS ? config->trials : BLOCKS;
    uint32_t threads = config->threads < run.block_count ? config->threads : run.block_count;
    run.blocks = calloc(run.block_count + 1, sizeof *run.blocks);
    struct worker *workers = calloc(threads, sizeof *workers);
    int code =
        run.blocks == NULL || workers == NULL || !give_nodes(config, workers, threads) ? BRUIT_ENOMEM : 0;
    if (code == 0) {
        struct block *all = &run.blocks[run.block_count];
        for (uint32_t i = 0; i <= run.block_count; i++)
            clear_block(&run.blocks[i]);
        for (uint32_t i = 0; i < threads; i++)
            workers[i].run = &run;
        workers[0].watch = watch;
        workers[0].context = context;
        work_together(workers, threads);
        for (uint32_t i = 0; i < run.block_count; i++)
            add_block(all, &run.blocks[i]);
        conclude(all, br_model_alive(config), result);
    }
    for (uint32_t i = 0; i < threads && workers != NULL; i++)
        free(workers[i].boxes.nodes);
    free(workers);
    free(run.blocks);
    return code;
}

/* ------------------------------------------------------------------ configurations */

void br_model_config_default(struct br_model_config *config)
{
    *config = (struct br_model_config){
        .mode = BR_MODEL_PUSH, .nodes = 1000, .fanout = 1, .trials = 100, .threads = 1, .seed = 1};
}

uint32_t br_model_alive(const struct br_model_config *config)
{
    uint32_t dead = (uint32_t)(config->dead * config->nodes + 0.5);
    return dead < config->nodes ? config->nodes - dead : 1;
}

static const char *check_variant(const struct br_model_config *config)
{
    if (config->forget == BR_MODEL_NEVER) {
        if (config->interest != 0 || config->feedback || config->minimise)
            return "feedback and --interest belong to a variant: choose one with --variant.";
        return NULL;
    }
    if (config->mode == BR_MODEL_FLOOD)
        return "flooding has no variants: each node announces once; choose push or pull.";
    if (config->interest < 1 || config->interest > BR_MODEL_INTEREST_MAX)
        return "--interest is the k of the variant: give it 1 to 64.";
    if (config->minimise && (config->mode != BR_MODEL_PUSH_PULL || config->forget != BR_MODEL_COUNTER))
        return "minimisation is push-pull with counters: use it with --push-pull.";
    if (config->feedback && config->mode == BR_MODEL_PUSH_PULL && !config->minimise)
        return "feedback is defined for push and for pull: choose one of them, a blind variant, or minimisation.";
    if ((config->feedback || config->mode == BR_MODEL_PULL) && config->fanout != 1)
        return "feedback, and pull with loss of interest, are defined for one peer a round: use --fanout 1.";
    return NULL;
}

const char *br_model_config_check(const struct br_model_config *config)
{
    if (config->nodes < BR_MODEL_NODES_MIN || config->nodes > BR_MODEL_NODES_MAX)
        return "--nodes is how many there are: give it 2 to 1000000000.";
    if (config->fanout < 1 || config->fanout > BR_MODEL_FANOUT_MAX)
        return "--fanout is how many peers each node talks to in a round: give it 1 to 64.";
    if (config->fanout >= config->nodes)
        return "there are not that many peers: make --fanout smaller than --nodes.";
    if (!(config->loss >= 0 && config->loss < 1))
        return "--loss is the part of the messages that is lost: give it 0 or more, and less than 1 (100%).";
    if (!(config->dead >= 0 && config->dead < 1))
        return "--dead is the part of the nodes that is dead: give it 0 or more, and less than 1 (100%).";
    if (config->trials < 1 || config->trials > BR_MODEL_TRIALS_MAX)
        return "--trials is how often to try: give it 1 to 100000000.";
    if (config->threads < 1 || config->threads > BR_MODEL_THREADS_MAX)
        return "--threads is how many processors to use: give it 1 to 64.";
    if (config->self_too && config->mode == BR_MODEL_FLOOD)
        return "--self makes no sense with --flood, where connections are opened once: leave it out.";
    return check_variant(config);
}
