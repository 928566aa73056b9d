/*
 * One trial of detect.h: a world, its faults, a crash, and the stopwatches.
 *
 * Who crashes and who suffers is drawn from the seed and the number of the trial alone: the first of a shuffled
 * order crashes, the next ones suffer.
 */
#include "sim/detect_trial.h"

#include "base/num.h"
#include "base/rng.h"
#include "base/time.h"
#include "engine/engine.h"

#include <bruit/bruit.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define FAULTS 3
enum { PAUSED, STARVED, CUT_OFF };

/* Until the faults have done what they do to local health, and until phases no longer show. */
#define WARM_UP_PROBES 10
/* No chance of a probe that comes later than this many periods, and a verdict within two of the longest suspicions. */
#define PATIENCE_PROBES 60
/* Heartbeats: moments need some arrivals to have forgotten the first estimate; and so many missing ones are enough. */
#define WARM_UP_BEATS 120
#define PATIENCE_BEATS 400
#define LOOK_EVERY (100 * BRUIT_MILLISECOND)

struct play;

/* Whom a fault befalls again and again. */
struct sufferer {
    struct play *play;
    const struct br_detect_fault *fault;
    uint32_t node;
    uint32_t rule;
    bool suffers;
};

struct play {
    const struct br_detect_config *config;
    br_detect_stop stop;
    void *context;
    bool is_stopped;
    struct br_detect_trial *out;
    struct bruit_sim *sim;
    struct br_rng rng;
    uint32_t *order;      /* nodes: the victim, then those who suffer, then the healthy */
    uint8_t *is_impaired; /* by node */
    uint32_t *held_dead;  /* by node: how many healthy observers hold it dead though it lives */
    struct sufferer *sufferers;
    uint32_t counts[FAULTS];
    uint32_t victim;
    uint32_t observers; /* healthy nodes besides the victim */
    uint32_t verdicts;  /* of theirs about it */
    bruit_time crash;   /* BRUIT_NEVER: not yet */
    bool counts_false;  /* verdicts and suspicions */
    bool is_out_of_memory;
};

void br_detect_count_impaired(const struct br_detect_config *config, uint32_t counts[FAULTS])
{
    const double parts[FAULTS] = {config->pause.part, config->starve.part, config->partition.part};
    for (int i = 0; i < FAULTS; i++) {
        counts[i] = (uint32_t)(parts[i] * config->nodes + 0.5);
        if (counts[i] == 0 && parts[i] > 0)
            counts[i] = 1;
    }
}

bruit_time br_detect_patience(const struct br_detect_config *config)
{
    const struct bruit_config *engine = &config->engine;
    if (engine->detector == BRUIT_DETECTOR_HEARTBEAT)
        return br_time_mul(engine->heartbeat.interval, PATIENCE_BEATS);
    bruit_time shortest =
        br_num_suspicion_timeout(engine->suspicion_mult, config->nodes, engine->probe_interval);
    bruit_time longest = br_time_mul(shortest, engine->suspicion_max_mult);
    return br_time_add(br_time_mul(longest, 2), br_time_mul(engine->probe_interval, PATIENCE_PROBES));
}

/* ------------------------------------------------------------------ what is seen */

static double seconds_since(bruit_time start, bruit_time now)
{
    return (double)(now - start) / (double)BRUIT_SECOND;
}

static void time_once(double *watch, const struct play *play)
{
    if (!isfinite(*watch))
        *watch = seconds_since(play->crash, bruit_sim_now(play->sim));
}

static void see_victim(struct play *play, uint32_t node, uint32_t changes)
{
    if (changes & BRUIT_CHANGE_SUSPECTED)
        time_once(&play->out->suspected, play);
    if (!(changes & BRUIT_CHANGE_FAILED))
        return;
    time_once(&play->out->first, play);
    if (!play->is_impaired[node] && ++play->verdicts == play->observers)
        time_once(&play->out->all, play);
}

/* Verdicts of those who suffer themselves are their own; but they count when the healthy believe them. */
static void see_living(struct play *play, uint32_t node, uint32_t about, uint32_t changes)
{
    struct br_detect_trial *out = play->out;
    bool is_healthy = !play->is_impaired[about];
    if (play->is_impaired[node])
        return;
    if ((changes & BRUIT_CHANGE_JOINED) && play->held_dead[about] > 0)
        play->held_dead[about]--;
    bool is_first = play->held_dead[about] == 0;
    if (changes & BRUIT_CHANGE_FAILED)
        play->held_dead[about]++;
    if (!play->counts_false)
        return;
    if (changes & BRUIT_CHANGE_FAILED) {
        out->false_deaths += is_healthy && is_first;
        out->false_reports += is_healthy;
        out->impaired_deaths += !is_healthy && is_first;
    }
    if (changes & BRUIT_CHANGE_SUSPECTED)
        out->false_suspicions += is_healthy;
}

static void on_event(void *context, struct bruit_sim *sim, uint32_t node, const struct bruit_event *event)
{
    struct play *play = context;
    if (event->type != BRUIT_EVENT_MEMBER)
        return;
    uint32_t about = bruit_sim_node_of(sim, node, event->node);
    if (about == BRUIT_SIM_NOBODY)
        return;
    if (about == play->victim && play->crash != BRUIT_NEVER)
        see_victim(play, node, event->changes);
    else
        see_living(play, node, about, event->changes);
}

static bool on_packet(void *context, struct bruit_sim *sim, const struct bruit_sim_packet *packet)
{
    struct play *play = context;
    (void)sim;
    if (packet->to == play->victim && play->crash != BRUIT_NEVER)
        time_once(&play->out->probed, play);
    return true;
}

static void on_start(void *context, struct bruit_sim *sim, uint32_t node, struct bruit_engine *engine)
{
    const struct play *play = context;
    (void)sim;
    (void)node;
    engine->gossip.eager = play->config->eager;
}

/* ------------------------------------------------------------------ what goes wrong */

static void do_at(struct play *play, bruit_time time, bruit_sim_act act, void *context)
{
    if (bruit_sim_at(play->sim, time, act, context) != 0)
        play->is_out_of_memory = true;
}

static void turn_pause(struct bruit_sim *sim, void *context)
{
    struct sufferer *s = context;
    s->suffers = !s->suffers;
    if (s->suffers)
        bruit_sim_pause(sim, s->node);
    else
        bruit_sim_resume(sim, s->node);
    bruit_time wait = s->suffers ? s->fault->length : s->fault->every - s->fault->length;
    do_at(s->play, bruit_sim_now(sim) + wait, turn_pause, s);
}

static void turn_partition(struct bruit_sim *sim, void *context)
{
    struct sufferer *s = context;
    struct play *play = s->play;
    const uint32_t *nodes = play->order + 1 + play->counts[PAUSED] + play->counts[STARVED];
    s->suffers = !s->suffers;
    if (!s->suffers)
        (void)bruit_sim_rule_remove(sim, s->rule);
    else if (bruit_sim_partition(sim, nodes, play->counts[CUT_OFF], &s->rule) != 0)
        play->is_out_of_memory = true;
    bruit_time wait = s->suffers ? s->fault->length : s->fault->every - s->fault->length;
    do_at(play, bruit_sim_now(sim) + wait, turn_partition, s);
}

static void begin_faults(struct play *play)
{
    const struct br_detect_config *config = play->config;
    const uint32_t *next = play->order + 1;
    struct sufferer *s = play->sufferers;
    for (uint32_t i = 0; i < play->counts[PAUSED]; i++, s++) {
        *s = (struct sufferer){.play = play, .fault = &config->pause, .node = *next++};
        do_at(play, br_rng_time_below(&play->rng, config->pause.every), turn_pause, s);
    }
    for (uint32_t i = 0; i < play->counts[STARVED]; i++)
        bruit_sim_starve(play->sim, *next++, config->starve.every, config->starve.length);
    if (play->counts[CUT_OFF] == 0)
        return;
    *s = (struct sufferer){.play = play, .fault = &config->partition};
    do_at(play, br_rng_time_below(&play->rng, config->partition.every), turn_partition, s);
}

/* ------------------------------------------------------------------ the world */

static int draw_roles(struct play *play, uint32_t number)
{
    uint32_t nodes = play->config->nodes;
    char name[32];
    (void)snprintf(name, sizeof name, "detect.%u", (unsigned)number);
    br_rng_init(&play->rng, play->config->seed, name);
    br_detect_count_impaired(play->config, play->counts);
    uint32_t impaired = play->counts[PAUSED] + play->counts[STARVED] + play->counts[CUT_OFF];
    play->order = calloc(nodes, sizeof play->order[0]);
    play->is_impaired = calloc(nodes, sizeof play->is_impaired[0]);
    play->held_dead = calloc(nodes, sizeof play->held_dead[0]);
    play->sufferers = calloc((size_t)play->counts[PAUSED] + 1, sizeof play->sufferers[0]);
    if (play->order == NULL || play->is_impaired == NULL || play->held_dead == NULL ||
        play->sufferers == NULL)
        return BRUIT_ENOMEM;
    for (uint32_t i = 0; i < nodes; i++)
        play->order[i] = i;
    br_rng_shuffle(&play->rng, play->order, nodes);
    play->victim = play->order[0];
    for (uint32_t i = 0; i < impaired; i++)
        play->is_impaired[play->order[1 + i]] = 1;
    play->observers = nodes - 1 - impaired;
    return 0;
}

static int make_world(struct play *play, char *why, size_t why_size)
{
    const struct br_detect_config *config = play->config;
    struct bruit_sim_config world;
    bruit_sim_config_default(&world);
    world.nodes = config->nodes;
    world.seed = br_rng_u64(&play->rng);
    world.engine = config->engine;
    world.in_step = config->in_step;
    world.link.latency = world.link.jitter = config->latency;
    if (config->jitter > 0) {
        world.link.jitter = config->jitter;
        world.link.shape = BRUIT_SIM_LOGNORMAL;
    }
    world.link.loss = (uint32_t)(config->loss * BRUIT_SIM_MILLION + 0.5);
    world.on_event = on_event;
    world.on_packet = on_packet;
    world.on_start = on_start;
    world.context = play;
    int status = bruit_sim_new(&play->sim, &world, why, why_size);
    if (status != 0)
        return status;
    status = bruit_sim_preload(play->sim);
    if (status != 0)
        (void)snprintf(why, why_size, "%s", bruit_strerror(status));
    return status;
}

/* ------------------------------------------------------------------ the course of it */

static bool is_stopped(struct bruit_sim *sim, void *context)
{
    struct play *play = context;
    (void)sim;
    play->is_stopped = play->is_stopped || play->stop(play->context);
    return play->is_stopped || play->is_out_of_memory;
}

static bool is_known_to_all(struct bruit_sim *sim, void *context)
{
    const struct play *play = context;
    return is_stopped(sim, context) || play->verdicts == play->observers;
}

static void watch_calm(struct play *play)
{
    struct bruit_sim_stats before, after;
    bruit_time watch = play->config->watch;
    bruit_sim_stats_get(play->sim, &before);
    if (watch == 0 || bruit_sim_wait(play->sim, is_stopped, play, watch, LOOK_EVERY))
        return;
    bruit_sim_stats_get(play->sim, &after);
    double share = play->config->nodes * seconds_since(0, watch);
    play->out->packets = (double)(after.datagrams_sent - before.datagrams_sent) / share;
    play->out->bytes = (double)(after.bytes_sent - before.bytes_sent) / share;
    play->out->stream_bytes = (double)(after.stream_bytes - before.stream_bytes) / share;
}

static void let_it_happen(struct play *play)
{
    const struct br_detect_config *config = play->config;
    bruit_time interval = config->engine.probe_interval;
    struct bruit_sim *sim = play->sim;
    begin_faults(play);
    uint32_t periods = WARM_UP_PROBES;
    if (config->engine.detector == BRUIT_DETECTOR_HEARTBEAT) {
        interval = config->engine.heartbeat.interval;
        periods = WARM_UP_BEATS;
    }
    bruit_time warm_up = br_time_mul(interval, periods) + br_rng_time_below(&play->rng, interval);
    if (bruit_sim_wait(sim, is_stopped, play, warm_up, LOOK_EVERY))
        return;
    bruit_time start = bruit_sim_now(sim);
    play->counts_false = true;
    watch_calm(play);
    bruit_sim_kill(sim, play->victim);
    play->crash = bruit_sim_now(sim);
    (void)bruit_sim_wait(sim, is_known_to_all, play, br_detect_patience(config), LOOK_EVERY);
    play->out->hours = seconds_since(start, bruit_sim_now(sim)) / 3600;
}

static void clear(struct play *play)
{
    bruit_sim_free(play->sim);
    free(play->order);
    free(play->is_impaired);
    free(play->held_dead);
    free(play->sufferers);
}

int br_detect_trial_play(const struct br_detect_config *config, uint32_t number, br_detect_stop stop,
                         void *context, struct br_detect_trial *out, char *why, size_t why_size)
{
    struct bruit_sim_stats stats = {.short_of_memory = 0};
    struct play play = {.config = config, .stop = stop, .context = context, .out = out, .crash = BRUIT_NEVER};
    *out = (struct br_detect_trial){
        .probed = INFINITY, .suspected = INFINITY, .first = INFINITY, .all = INFINITY};
    (void)snprintf(why, why_size, "%s", bruit_strerror(BRUIT_ENOMEM));
    int status = draw_roles(&play, number);
    if (status == 0)
        status = make_world(&play, why, why_size);
    if (status == 0) {
        let_it_happen(&play);
        bruit_sim_stats_get(play.sim, &stats);
        if (play.is_out_of_memory || stats.short_of_memory != 0)
            status = BRUIT_ENOMEM;
        else if (play.is_stopped)
            status = BRUIT_ECLOSED;
    }
    clear(&play);
    return status;
}
