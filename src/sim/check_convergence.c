/*
 * Convergence: when trouble is over, all who run believe exactly those alive who run.
 *
 * Halves that have given each other up find together because members try those that failed again (Serf's reconnect:
 * every 30 s, with the chance failed : alive; docs/wire/serf.md section 6), so the module that does it must be there,
 * and it takes minutes. On links that lose datagrams suspicions come and go: a suspect counts as one who runs.
 *
 * Not owed: to nodes that were never told to join anybody; among clones; when nodes came back at other addresses, where
 * those who remember have the old ones; and between islands of which none remembers another, because all of one were
 * started without state where the other could not be reached (docs/simulator.md, known gaps).
 */
#include "sim/scenario_run.h"

#include <bruit/status.h>

#include <stdlib.h>

/* For reconnecting; the dead have to be found out first. */
#define LIMIT (600 * BRUIT_SECOND)
/* Where links lose much and suspicions are short, somebody may be wrong at any time, but not all the time. */
#define LAPSE (300 * BRUIT_SECOND)

static int begin(struct br_run *run, void **state)
{
    (void)run;
    *state = calloc(1, sizeof(bruit_time)); /* when all agreed, the last time */
    return *state == NULL ? BRUIT_ENOMEM : 0;
}

static bool is_owed(const struct br_run *run)
{
    if (!run->has_fair_network || !(run->scenario->modules & 1u))
        return false;
    for (uint32_t i = 0; i < run->count; i++)
        if (run->nodes[i].is_odd || run->nodes[i].has_moved ||
            (br_run_is_member(run, i) && run->nodes[i].join == BR_JOIN_ALONE))
            return false;
    return true;
}

/* Who runs is alive, or suspect where links lose something; who does not is neither. */
static bool fits(const struct br_run *run, int state, bool runs)
{
    bool is_here = state == BRUIT_ALIVE || state == BRUIT_SUSPECT;
    return !runs ? !is_here : run->scenario->config.link.loss > 0 ? is_here : state == BRUIT_ALIVE;
}

/* Somebody who is wrong about somebody; false: nobody is. */
static bool find_dissent(const struct br_run *run, uint32_t *observer, uint32_t *about)
{
    for (uint32_t o = 0; o < run->count; o++)
        for (uint32_t x = 0; x < run->count && bruit_sim_engine(run->sim, o) != NULL; x++) {
            bool runs = bruit_sim_engine(run->sim, x) != NULL;
            if (o == x || fits(run, bruit_sim_belief(run->sim, o, x), runs))
                continue;
            *observer = o;
            *about = x;
            return true;
        }
    return false;
}

/* Names that no node has, known as alive: a bit was flipped in one, or the engine made it up. */
static bool knows_strangers(const struct br_run *run)
{
    uint64_t running = 0;
    for (uint32_t i = 0; i < run->count; i++)
        running += bruit_sim_engine(run->sim, i) != NULL;
    for (uint32_t i = 0; i < run->count; i++) {
        const struct bruit_engine *engine = bruit_sim_engine(run->sim, i);
        if (engine != NULL && bruit_member_alive_count(engine) > running)
            return true;
    }
    return false;
}

bool br_run_agrees(const struct br_run *run)
{
    uint32_t observer, about;
    return !find_dissent(run, &observer, &about) && !knows_strangers(run);
}

/* Whether one of two remembers the other, if only as one who failed. */
static bool remembers(const struct br_run *run, uint32_t a, uint32_t b)
{
    struct bruit_status_member member;
    return bruit_status_find(bruit_sim_engine(run->sim, a), bruit_sim_name(run->sim, b), &member) == 0 ||
           bruit_status_find(bruit_sim_engine(run->sim, b), bruit_sim_name(run->sim, a), &member) == 0;
}

/* Whether everybody can be reached from the first one who runs, over those who remember. */
static bool is_one_island(const struct br_run *run)
{
    uint32_t *queue = calloc((size_t)run->count * 2, sizeof *queue), first = 0, last = 0, running = 0;
    uint32_t *is_in = queue + run->count;
    if (queue == NULL)
        return true;
    for (uint32_t i = 0; i < run->count; i++) {
        if (bruit_sim_engine(run->sim, i) == NULL)
            continue;
        if (running++ == 0) {
            queue[last++] = i;
            is_in[i] = 1;
        }
    }
    for (; first < last; first++)
        for (uint32_t i = 0; i < run->count; i++)
            if (!is_in[i] && bruit_sim_engine(run->sim, i) != NULL && remembers(run, queue[first], i)) {
                queue[last++] = i;
                is_in[i] = 1;
            }
    free(queue);
    return last == running;
}

static void tell(struct br_run *run, bruit_time still)
{
    double time = (double)(br_run_now(run) - still) / 1e9;
    uint32_t o, x;
    if (!find_dissent(run, &o, &x))
        br_run_find(run, &br_check_convergence,
                    "members are known that no node is; nothing has changed for %.0f s", time);
    else
        br_run_find(run, &br_check_convergence,
                    "n%u still does not believe that n%u %s (state %d); nothing has changed for %.0f s",
                    (unsigned)o, (unsigned)x, bruit_sim_engine(run->sim, x) != NULL ? "runs" : "ended",
                    bruit_sim_belief(run->sim, o, x), time);
}

static void look(struct br_run *run, void *state)
{
    bruit_time now = br_run_now(run), still = br_run_still_since(run), *agreed = state;
    bruit_time limit = LIMIT + br_run_detection_max(run);
    if (still == BRUIT_NEVER || now < still + limit - LAPSE || !is_owed(run))
        return;
    if (br_run_agrees(run))
        *agreed = now;
    else if (now >= still + limit && now >= *agreed + LAPSE && is_one_island(run))
        tell(run, still);
}

const struct br_check br_check_convergence = {
    .name = "convergence",
    .sentence = "when trouble is over, all who run agree on who runs",
    .is_liveness = true,
    .begin = begin,
    .look = look,
};
