/*
 * Memory and queues are bounded: what an engine holds depends on how many members it knows and not on what it has
 * lived through, and what it has to tell is told and then gone.
 */
#include "sim/scenario_run.h"

#include <inttypes.h>

#define LOOK_EVERY 5 /* seconds */

/*
 * Tables, queues and scratch of an engine alone, and what each member costs: a view's row, a rumour, a status row, a
 * share of a sync's document. Over 1,500 seeds no engine ever held more than 106 KiB alone, 151 KiB among 8, and
 * 248 KiB among 40 members; with 4,000 the two numbers are far above what is needed.
 */
#define BYTES_ALONE (UINT64_C(192) * 1024)
#define BYTES_A_MEMBER UINT64_C(4096)
/* What the event module remembers of events by default, and what a query module may (module/recall.h). */
#define BYTES_OF_EVENTS (UINT64_C(2) << 20)

static void look_at(struct br_run *run, uint32_t node, const struct bruit_engine *engine, bool is_quiet)
{
    struct bruit_stats stats;
    bruit_stats_get(engine, &stats);
    uint64_t members = bruit_member_count(engine), limit = BYTES_ALONE + members * BYTES_A_MEMBER;
    if (run->has_events)
        limit += BYTES_OF_EVENTS;
    if (stats.memory > limit)
        br_run_find(run, &br_check_bounds,
                    "n%u holds %" PRIu64 " bytes for %" PRIu64 " members: more than %" PRIu64, (unsigned)node,
                    stats.memory, members, limit);
    /* One rumour for each member, living or forgotten a moment ago, and a refutation. */
    if (stats.rumours > 2 * (uint64_t)run->capacity + 2)
        br_run_find(run, &br_check_bounds, "n%u has %u rumours to tell in a cluster of %u", (unsigned)node,
                    (unsigned)stats.rumours, (unsigned)run->capacity);
    if (is_quiet && stats.rumours > 0 && bruit_member_alive_count(engine) > 1)
        br_run_find(run, &br_check_bounds, "n%u has %u rumours to tell, and nothing has happened for minutes",
                    (unsigned)node, (unsigned)stats.rumours);
}

/* All is told by now: nothing has changed for minutes, and no two disagree. */
static bool is_quiet(struct br_run *run)
{
    bruit_time now = br_run_now(run), still = br_run_still_since(run);
    return still != BRUIT_NEVER && now > still + 660 * BRUIT_SECOND && run->scenario->config.link.loss == 0 &&
           bruit_sim_all_agree(run->sim, NULL);
}

static void look(struct br_run *run, void *state)
{
    (void)state;
    if (br_run_now(run) / BRUIT_SECOND % LOOK_EVERY != 0)
        return;
    bool quiet = is_quiet(run);
    for (uint32_t i = 0; i < run->count; i++)
        if (bruit_sim_engine(run->sim, i) != NULL)
            look_at(run, i, bruit_sim_engine(run->sim, i), quiet);
}

const struct br_check br_check_bounds = {
    .name = "bounds",
    .sentence = "memory and queues are bounded by the number of members",
    .look = look,
};
