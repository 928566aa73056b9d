/*
 * Many engines in one process: see shared.h.
 */
#include "engine/shared.h"

#include "base/num.h"
#include "base/time.h"

/* As if they had come one by one, each to a random place (claim.c). */
static void shuffle(struct bruit_engine *engine)
{
    struct br_view *view = &engine->core.view;
    br_rng_shuffle(&engine->rng, view->order, view->count);
    for (uint32_t place = 0; place < view->count; place++)
        view->place[view->order[place]] = place;
}

/*
 * Somewhere in the interval that so many members have, as after a long time, and not one short interval from
 * now.
 */
static void schedule_sync(struct bruit_engine *engine)
{
    const struct br_core *core = &engine->core;
    bruit_time interval = core->config.push_pull_interval;
    if (interval == 0)
        return;
    interval = br_num_push_pull_scale(interval, core->view.count);
    engine->sync.periodic_at = br_time_add(core->now, br_rng_time_below(&engine->sync.rng, interval));
}

static void tell_modules(struct bruit_engine *engine, uint32_t from)
{
    for (uint32_t slot = from; slot < engine->core.view.used && engine->host_count > 0; slot++)
        br_hosts_told(engine, slot,
                      BRUIT_CHANGE_JOINED | (engine->core.view.carries[slot] != 0 ? BRUIT_CHANGE_PEER : 0));
}

static int add(struct bruit_engine *engine, const uint32_t *records, const uint32_t *incarnations,
               uint32_t count)
{
    struct br_view *view = &engine->core.view;
    uint32_t from = view->used;
    int status = br_view_add_all(view, records, incarnations, count, engine->core.now);
    if (status != 0)
        return status;
    shuffle(engine);
    if (br_beat_is_on(engine) && (status = br_beat_preload(engine, from)) != 0)
        return status;
    br_gossip_forget(&engine->gossip);
    schedule_sync(engine);
    return 0;
}

/* What they carry is known of all whose record was told, also of those whom the engine knew before. */
static void carry_all(struct bruit_engine *engine, const uint32_t *records, const uint8_t *carries, uint32_t count)
{
    struct br_core *core = &engine->core;
    for (uint32_t i = 0; i < count && core->carries != 0; i++) {
        uint32_t slot = br_view_find(&core->view, br_roster_name_of(core->roster, records[i]));
        if (slot != 0 && slot != core->self)
            br_view_carry(&core->view, slot, carries[i]);
    }
}

int br_engine_preload(struct bruit_engine *engine, const uint32_t *records, const uint32_t *incarnations,
                      const uint8_t *carries, uint32_t count)
{
    const struct br_core *core = &engine->core;
    struct br_alloc *alloc = &engine->core.alloc;
    uint32_t *fresh = br_alloc_array(alloc, 2 * (size_t)count + 1, sizeof *fresh);
    uint32_t known = 0;
    if (fresh == NULL)
        return BRUIT_ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        if (br_view_find(&core->view, br_roster_name_of(core->roster, records[i])) != 0) {
            known++;
            continue;
        }
        fresh[i - known] = records[i];
        fresh[count + i - known] = incarnations[i];
    }
    uint32_t from = core->view.used;
    int status = add(engine, fresh, fresh + count, count - known);
    if (status == 0) {
        carry_all(engine, records, carries, count);
        tell_modules(engine, from);
    }
    br_alloc_free(alloc, fresh, (2 * (size_t)count + 1) * sizeof *fresh);
    return status;
}
