/*
 * Faults of nodes: death and return, standing still, slowness, clocks, memory.
 */
#include "base/time.h"
#include "sim/clock.h"

#include <bruit/event.h>
#include <bruit/status.h>

#include <stdlib.h>

/* ---- the disk ---- */

/* What an agent's snapshot would hold by now: the members alive, and the clocks of what modules there are. */
void br_sim_disk_write(struct br_sim_node *node)
{
    const struct bruit_engine *engine = node->engine;
    struct bruit_member member;
    if (engine == NULL || (node->disk == NULL && (node->disk = calloc(1, sizeof *node->disk)) == NULL))
        return;
    struct br_sim_disk *disk = node->disk;
    *disk = (struct br_sim_disk){0};
    for (bruit_node n = 0; (n = bruit_member_next(engine, n)) != 0 && disk->count < BR_SIM_DISK_MAX;)
        if (bruit_member_get(engine, n, &member) == 0 && member.state == BRUIT_ALIVE && !member.is_self)
            disk->members[disk->count++] = member.addr;
    if (bruit_engine_module(engine, &bruit_status_module) != NULL) {
        struct bruit_status_counts counts;
        bruit_status_counts(engine, &counts);
        disk->member_time = counts.member_time;
    }
    if (bruit_engine_module(engine, &bruit_event_module) != NULL)
        disk->event_time = bruit_event_time(engine);
}

void bruit_sim_lose_disk(struct bruit_sim *sim, uint32_t index)
{
    struct br_sim_node *node = br_sim_node(sim, index);
    free(node->disk);
    node->disk = NULL;
    br_sim_store_wipe(node);
}

/* An agent that comes back goes on from its clocks, and joins whom it knew. */
static int rejoin(struct br_sim_node *node)
{
    const struct br_sim_disk *disk = node->disk;
    struct bruit_join_target targets[BR_SIM_DISK_MAX];
    uint32_t request;
    if (bruit_engine_module(node->engine, &bruit_status_module) != NULL)
        bruit_status_witness(node->engine, disk->member_time);
    if (bruit_engine_module(node->engine, &bruit_event_module) != NULL)
        bruit_event_witness(node->engine, disk->event_time);
    if (disk->count == 0)
        return 0;
    for (uint32_t i = 0; i < disk->count; i++)
        targets[i] = (struct bruit_join_target){.addr = disk->members[i]};
    struct bruit_sim_input input = {
        .type = BRUIT_SIM_IN_JOIN, .targets = targets, .count = disk->count, .flags = BRUIT_JOIN_IGNORE_OLD};
    br_sim_input(node, input);
    int status = bruit_join(node->engine, targets, disk->count, BRUIT_JOIN_IGNORE_OLD, &request,
                            bruit_sim_clock(node->sim, node->index));
    bruit_sim_kick(node->sim, node->index);
    return status;
}

/* ---- death and return ---- */

void br_sim_die(struct br_sim_node *node)
{
    if (node->engine == NULL)
        return;
    br_sim_disk_write(node);
    br_sim_store_crash(node);
    br_sim_streams_reset(node);
    br_sim_stop(node);
}

void bruit_sim_kill(struct bruit_sim *sim, uint32_t index)
{
    struct br_sim_node *node = br_sim_node(sim, index);
    if (node->is_told)
        node->is_doomed = true;
    else
        br_sim_die(node);
}

int bruit_sim_restart(struct bruit_sim *sim, uint32_t index, bool state)
{
    struct br_sim_node *node = br_sim_node(sim, index);
    bruit_sim_kill(sim, index);
    int status = br_sim_start(node, state);
    if (status == 0 && state && node->disk != NULL)
        status = rejoin(node);
    return status;
}

int bruit_sim_clone(struct bruit_sim *sim, uint32_t index, uint32_t *clone)
{
    struct br_sim_node *node = br_sim_node(sim, index);
    struct bruit_sim_node options;
    uint32_t made;
    bruit_sim_node_default(sim, &options);
    options.name = bruit_sim_name(sim, index);
    options.zone = node->zone;
    options.bandwidth_up = node->bandwidth_up;
    options.bandwidth_down = node->bandwidth_down;
    options.cpu = node->cpu;
    int status = bruit_sim_add(sim, &options, &made);
    if (status != 0)
        return status;
    br_sim_disk_write(node);
    struct br_sim_node *copy = br_sim_node(sim, made);
    if (node->disk != NULL && (copy->disk = malloc(sizeof *copy->disk)) != NULL)
        *copy->disk = *node->disk;
    status = br_sim_store_copy(copy, node);
    if (clone != NULL)
        *clone = made;
    return status;
}

/* ---- standing still, and slowness ---- */

void bruit_sim_pause(struct bruit_sim *sim, uint32_t index)
{
    struct br_sim_node *node = br_sim_node(sim, index);
    node->is_paused = node->engine != NULL;
}

/* Its turn comes at this very moment. */
void bruit_sim_resume(struct bruit_sim *sim, uint32_t index)
{
    struct br_sim_node *node = br_sim_node(sim, index);
    if (!node->is_paused)
        return;
    node->is_paused = false;
    bruit_sim_kick(sim, index);
}

void bruit_sim_set_cpu(struct bruit_sim *sim, uint32_t index, bruit_time cost)
{
    struct br_sim_node *node = br_sim_node(sim, index);
    node->cpu = cost;
    if (cost == 0)
        node->busy_until = BRUIT_NEVER;
    br_sim_rearm(node);
}

void bruit_sim_starve(struct bruit_sim *sim, uint32_t index, bruit_time run, bruit_time stall)
{
    struct br_sim_node *node = br_sim_node(sim, index);
    node->starve_run = run;
    node->starve_stall = stall;
    node->starve_next = node->shard->now;
    br_sim_rearm(node);
}

/* ---- the rest ---- */

void bruit_sim_set_clock(struct bruit_sim *sim, uint32_t index, int64_t jump, int32_t drift)
{
    struct br_sim_node *node = br_sim_node(sim, index);
    struct br_sim_clock *clock = &node->clock;
    bruit_time now = node->shard->now;
    bruit_time raw = br_sim_clock_raw(clock, now);
    (void)br_sim_clock_show(clock, now);
    if (drift > BR_SIM_DRIFT_MAX)
        drift = BR_SIM_DRIFT_MAX;
    if (drift < -BR_SIM_DRIFT_MAX)
        drift = -BR_SIM_DRIFT_MAX;
    if (jump >= 0)
        clock->base = br_time_add(raw, (bruit_time)jump);
    else
        clock->base = raw > (bruit_time)-jump ? raw - (bruit_time)-jump : 0;
    clock->since = now;
    clock->drift = drift;
    if (node->engine != NULL)
        node->due = br_sim_clock_when(clock, bruit_deadline(node->engine), now);
    br_sim_rearm(node);
}

void bruit_sim_set_bandwidth(struct bruit_sim *sim, uint32_t index, uint64_t up, uint64_t down)
{
    struct br_sim_node *node = br_sim_node(sim, index);
    node->bandwidth_up = up;
    node->bandwidth_down = down;
}

void bruit_sim_fail_memory(struct bruit_sim *sim, uint32_t index, uint32_t fraction)
{
    uint32_t most = fraction < BRUIT_SIM_MILLION ? fraction : BRUIT_SIM_MILLION - 1;
    br_sim_node(sim, index)->fail_memory = (uint32_t)br_sim_threshold(most);
}
