/*
 * The formulas of tune.h.
 *
 * A crash is known to everybody after: the first probe that reaches the dead one, of which one comes each interval (so
 * a part s of the crashes has seen it after -ln(1-s) intervals); the end of that probe, one interval; the shortest
 * suspicion, mult log10(n) intervals; and the spread of the news.
 *
 * At rest a node sends a ping and an ack each interval, and exchanges the full state with one other each push/pull
 * interval.
 */
#include "sim/tune.h"

#include "base/num.h"

#include <math.h>

#define HEADERS 28.0     /* of IPv4 and UDP */
#define PING_BYTES 45.0  /* a ping, or an ack, with names of some five letters */
#define STATE_BYTES 66.0 /* of one member in an exchange, one way, likewise */
#define SPREAD 0.2       /* s: news at once, then a few more rounds for those it missed */
#define RESERVE 0.97     /* of the time goal */
#define NEWS_SHARE 0.25  /* of the bandwidth is left for news and indirect probes */
#define STATE_SHARE 0.25 /* and as much for exchanges */
#define ROUND_TRIPS 3    /* that fit into a probe timeout at least */

static double seconds(bruit_time time)
{
    return (double)time / (double)BRUIT_SECOND;
}

const char *br_tune_check(const struct br_tune_goals *goals)
{
    if (goals->nodes < 5 || goals->nodes > BR_DETECT_NODES_MAX)
        return "give --nodes 5 to 10000.";
    if (goals->within < 50 * BRUIT_MILLISECOND || goals->within > BR_TUNE_WITHIN_MAX)
        return "give --detect-within 50ms to 1h.";
    if (!(goals->sure >= 0.5 && goals->sure <= 0.99))
        return "--sure is proven with some hundred crashes: give it 50% to 99%.";
    if (!(goals->loss >= 0 && goals->loss <= 0.3))
        return "give --loss 0 to 30%: beyond that a network needs mending, not tuning.";
    if (!(goals->false_deaths > 0))
        return "--false-deaths 0 cannot be proven by any number of trials: give it a rate, such as 1/year.";
    if (!(goals->bandwidth > 0))
        return "--bandwidth must be more than nothing: a node that may not send cannot be found alive.";
    if (goals->latency < BRUIT_SIM_LATENCY_MIN || goals->latency > 10 * BRUIT_SECOND)
        return "give --latency 1us to 10s: the least time one way.";
    return NULL;
}

/* Intervals of a crash that is known late: all but the suspicion's min. */
static double fixed_intervals(const struct br_tune_goals *goals)
{
    return -log(1 - goals->sure) + 1;
}

static double state_bandwidth(const struct br_tune_goals *goals, bruit_time push_pull)
{
    if (push_pull == 0)
        return 0;
    return 2 * STATE_BYTES * goals->nodes / seconds(br_num_push_pull_scale(push_pull, goals->nodes));
}

struct br_tune_guess br_tune_estimate(const struct br_tune_goals *goals, const struct bruit_config *engine)
{
    double interval = seconds(engine->probe_interval);
    bruit_time least = br_num_suspicion_timeout(engine->suspicion_mult, goals->nodes, engine->probe_interval);
    return (struct br_tune_guess){
        .seconds = fixed_intervals(goals) * interval + seconds(least) + SPREAD,
        .bandwidth =
            2 * (PING_BYTES + HEADERS) / interval + state_bandwidth(goals, engine->push_pull_interval),
    };
}

/* Down to two digits, so that people can read and remember it. */
static bruit_time nice(double seconds_exact)
{
    double scale = pow(10, floor(log10(seconds_exact)) - 1);
    return (bruit_time)(floor(seconds_exact / scale * (1 + 1e-9)) * scale * 1e9 + 0.5);
}

static bruit_time clamp(bruit_time value, bruit_time least, bruit_time most)
{
    return value < least ? least : value > most ? most : value;
}

/* Full exchanges get rarer in a large cluster until they cost their share. */
static bruit_time choose_push_pull(const struct br_tune_goals *goals)
{
    const bruit_time usual = 30 * BRUIT_SECOND, longest = 3600 * BRUIT_SECOND;
    double times = state_bandwidth(goals, usual) / (STATE_SHARE * goals->bandwidth);
    return times <= 1 ? usual : clamp((bruit_time)(times * 30 + 1) * BRUIT_SECOND, usual, longest);
}

enum br_tune_limit br_tune_propose(const struct br_tune_goals *goals, uint32_t mult, double hurry,
                                   struct bruit_config *engine)
{
    bruit_config_lan(engine);
    engine->compression = false;
    engine->suspicion_mult = mult;
    double intervals =
        fixed_intervals(goals) + seconds(br_num_suspicion_timeout(mult, goals->nodes, BRUIT_SECOND));
    double room = seconds(goals->within) * RESERVE - SPREAD;
    if (room < 0.1 * seconds(goals->within))
        room = 0.1 * seconds(goals->within);
    engine->probe_interval = nice(room / intervals / hurry);
    engine->probe_timeout = engine->probe_interval / 2;
    engine->gossip_interval =
        clamp(engine->probe_interval / 5, 20 * BRUIT_MILLISECOND, 200 * BRUIT_MILLISECOND);
    engine->push_pull_interval = choose_push_pull(goals);
    engine->early_sync_delay =
        clamp(engine->probe_interval / 4, 50 * BRUIT_MILLISECOND, 250 * BRUIT_MILLISECOND);
    /* Each way takes up to twice the least latency. */
    if (engine->probe_timeout < 2 * 2 * ROUND_TRIPS * goals->latency)
        return BR_TUNE_LATENCY;
    double left = 1 - NEWS_SHARE * (goals->loss > 0);
    return br_tune_estimate(goals, engine).bandwidth > left * goals->bandwidth ? BR_TUNE_BANDWIDTH
                                                                               : BR_TUNE_FITS;
}
