/*
 * The cluster that is watched (watch.h): its own world, or that of a scenario.
 */
#include "sim/scenario_run.h"
#include "sim/watch.h"

#include <bruit/bruit.h>

#include <stdarg.h>
#include <stdlib.h>

/* Looking asks each of these about each node, some ten times a second. */
#define OBSERVERS_MAX 200u

static void tell_news(struct br_watch *watch, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void tell_news(struct br_watch *watch, const char *format, ...)
{
    va_list arguments;
    char text[BR_WATCH_LINE_MAX - 40];
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    (void)snprintf(watch->news, sizeof watch->news, "%.3f s: %s",
                   (double)bruit_sim_now(watch->sim) / (double)BRUIT_SECOND, text);
}

static void on_event(void *context, struct bruit_sim *sim, uint32_t node, const struct bruit_event *event)
{
    struct br_watch *watch = context;
    if (event->type == BRUIT_EVENT_USER) {
        watch->cells[node].has_heard = true;
        return;
    }
    if (event->type != BRUIT_EVENT_MEMBER)
        return;
    uint32_t about = bruit_sim_node_of(sim, node, event->node);
    if (about == BRUIT_SIM_NOBODY)
        return;
    bool lives = bruit_sim_condition(sim, about) != BRUIT_SIM_STOPPED;
    if (event->changes & BRUIT_CHANGE_FAILED)
        tell_news(watch, "n%u holds n%u dead%s", (unsigned)node, (unsigned)about,
                  lives ? ", which lives" : "");
    else if (event->changes & BRUIT_CHANGE_SUSPECTED)
        tell_news(watch, "n%u suspects n%u%s", (unsigned)node, (unsigned)about, lives ? ", which lives" : "");
}

static int make_own(struct br_watch *watch, const struct bruit_sim_config *config, char *why, size_t why_size)
{
    static const struct bruit_module *const modules[] = {&bruit_event_module};
    struct bruit_sim_config world = *config;
    world.engine.modules = modules;
    world.engine.module_count = 1;
    world.on_event = on_event;
    world.context = watch;
    int status = bruit_sim_new(&watch->sim, &world, why, why_size);
    if (status != 0)
        return status;
    status = bruit_sim_preload(watch->sim);
    if (status != 0)
        (void)snprintf(why, why_size, "%s", bruit_strerror(status));
    return status;
}

static int make_scenario(struct br_watch *watch, const struct br_scenario *scenario, char *why,
                         size_t why_size)
{
    struct br_run_options options = {.stop_at_first = false};
    int status = br_run_new(&watch->run, scenario, &options, why, why_size);
    if (status == 0)
        watch->sim = watch->run->sim;
    return status;
}

int br_watch_new(struct br_watch *watch, const struct bruit_sim_config *config,
                 const struct br_scenario *scenario, char *why, size_t why_size)
{
    const struct bruit_sim_config *settings = scenario != NULL ? &scenario->config : config;
    *watch = (struct br_watch){.nodes = settings->nodes,
                               .seed = settings->seed,
                               .loss = (double)settings->link.loss / BRUIT_SIM_MILLION};
    watch->cells = calloc((size_t)settings->nodes + 1, sizeof watch->cells[0]);
    if (watch->cells == NULL) {
        (void)snprintf(why, why_size, "%s", bruit_strerror(BRUIT_ENOMEM));
        return BRUIT_ENOMEM;
    }
    watch->observers = watch->nodes < OBSERVERS_MAX ? watch->nodes : OBSERVERS_MAX;
    int status = scenario != NULL ? make_scenario(watch, scenario, why, why_size)
                                  : make_own(watch, config, why, why_size);
    if (status != 0)
        br_watch_free(watch);
    return status;
}

void br_watch_free(struct br_watch *watch)
{
    if (watch->run != NULL)
        br_run_free(watch->run);
    else
        bruit_sim_free(watch->sim);
    free(watch->cells);
    *watch = (struct br_watch){.sim = NULL};
}

/* ------------------------------------------------------------------ looking */

static uint32_t observer(const struct br_watch *watch, uint32_t index)
{
    return (uint32_t)((uint64_t)index * watch->nodes / watch->observers);
}

static enum br_watch_belief believed(const struct br_watch *watch, uint32_t about)
{
    uint32_t asked = 0, suspects = 0, dead = 0;
    for (uint32_t i = 0; i < watch->observers; i++) {
        uint32_t node = observer(watch, i);
        if (node == about || bruit_sim_condition(watch->sim, node) != BRUIT_SIM_RUNNING)
            continue;
        int belief = bruit_sim_belief(watch->sim, node, about);
        asked++;
        suspects += belief == BRUIT_SUSPECT;
        dead += belief != BRUIT_SUSPECT && belief != BRUIT_ALIVE; /* or left, or forgotten, or never known */
    }
    if (dead > 0)
        return dead == asked ? BR_WATCH_ALL_DEAD : BR_WATCH_DEAD;
    return suspects > 0 ? BR_WATCH_SUSPECT : BR_WATCH_ALIVE;
}

static void measure(struct br_watch *watch)
{
    struct bruit_sim_stats stats;
    bruit_time now = bruit_sim_now(watch->sim), passed = now - watch->looked;
    if (passed < BRUIT_SECOND / 2)
        return;
    bruit_sim_stats_get(watch->sim, &stats);
    watch->packet_rate = (double)(stats.datagrams_sent - watch->datagrams) / watch->nodes /
                         ((double)passed / (double)BRUIT_SECOND);
    watch->datagrams = stats.datagrams_sent;
    watch->looked = now;
}

void br_watch_look(struct br_watch *watch)
{
    measure(watch);
    watch->running = watch->paused = watch->suspected = watch->held_dead = watch->heard = 0;
    for (uint32_t i = 0; i < watch->nodes; i++) {
        struct br_watch_cell *cell = &watch->cells[i];
        cell->condition = (uint8_t)bruit_sim_condition(watch->sim, i);
        cell->belief = (uint8_t)believed(watch, i);
        cell->is_cut_off = watch->cut_count > 0 && i - watch->cut_first < watch->cut_count;
        watch->running += cell->condition == BRUIT_SIM_RUNNING;
        watch->paused += cell->condition == BRUIT_SIM_PAUSED;
        watch->suspected += cell->belief == BR_WATCH_SUSPECT;
        watch->held_dead += cell->belief >= BR_WATCH_DEAD;
        watch->heard += cell->has_heard;
    }
    if (watch->run == NULL || watch->run->finding_count == 0)
        return;
    const struct br_finding *last = &watch->run->findings[watch->run->finding_count - 1];
    (void)snprintf(watch->news, sizeof watch->news, "%.3f s: %.150s",
                   (double)last->time / (double)BRUIT_SECOND, last->text);
}

/* ------------------------------------------------------------------ playing */

/* One that is in this condition, or BRUIT_SIM_NOBODY. */
static uint32_t draw(struct br_watch *watch, enum bruit_sim_condition condition)
{
    uint32_t first = (uint32_t)bruit_sim_random(watch->sim, watch->nodes);
    for (uint32_t i = 0; i < watch->nodes; i++) {
        uint32_t node = (uint32_t)(((uint64_t)first + i) % watch->nodes);
        if (bruit_sim_condition(watch->sim, node) == condition)
            return node;
    }
    return BRUIT_SIM_NOBODY;
}

void br_watch_kill(struct br_watch *watch)
{
    uint32_t node = draw(watch, BRUIT_SIM_RUNNING);
    if (node == BRUIT_SIM_NOBODY) {
        tell_news(watch, "nobody is left to kill: b brings one back");
        return;
    }
    bruit_sim_kill(watch->sim, node);
    tell_news(watch, "n%u is killed", (unsigned)node);
}

void br_watch_restart(struct br_watch *watch)
{
    uint32_t node = draw(watch, BRUIT_SIM_STOPPED);
    if (node == BRUIT_SIM_NOBODY) {
        tell_news(watch, "nobody is down: k kills one");
        return;
    }
    if (bruit_sim_restart(watch->sim, node, true) == 0)
        tell_news(watch, "n%u is back", (unsigned)node);
    else
        tell_news(watch, "n%u could not be started: no memory", (unsigned)node);
}

void br_watch_partition(struct br_watch *watch)
{
    uint32_t count = watch->nodes / 3;
    if (watch->cut_count > 0) {
        (void)bruit_sim_rule_remove(watch->sim, watch->cut_rule);
        watch->cut_count = 0;
        tell_news(watch, "the partition has healed");
        return;
    }
    uint32_t *nodes = calloc((size_t)count + 1, sizeof *nodes);
    if (nodes == NULL || count == 0) {
        tell_news(watch, "too few nodes, or no memory, for a partition");
        free(nodes);
        return;
    }
    watch->cut_first = (uint32_t)bruit_sim_random(watch->sim, watch->nodes - count + 1);
    for (uint32_t i = 0; i < count; i++)
        nodes[i] = watch->cut_first + i;
    if (bruit_sim_partition(watch->sim, nodes, count, &watch->cut_rule) == 0) {
        watch->cut_count = count;
        tell_news(watch, "n%u to n%u are cut off", (unsigned)watch->cut_first,
                  (unsigned)(watch->cut_first + count - 1));
    }
    free(nodes);
}

void br_watch_tell(struct br_watch *watch)
{
    char name[32];
    if (watch->run != NULL) {
        tell_news(watch, "rumours are not for scenarios: leave the file out");
        return;
    }
    uint32_t node = draw(watch, BRUIT_SIM_RUNNING);
    if (node == BRUIT_SIM_NOBODY)
        return;
    for (uint32_t i = 0; i < watch->nodes; i++)
        watch->cells[i].has_heard = false;
    int size = snprintf(name, sizeof name, "rumour %u", (unsigned)watch->rumours++);
    struct bruit_bytes text = {.data = (const uint8_t *)name, .size = (size_t)size};
    struct bruit_bytes nothing = {.data = NULL, .size = 0};
    int status = bruit_user_event(bruit_sim_engine(watch->sim, node), text, nothing, false,
                                  bruit_sim_clock(watch->sim, node));
    bruit_sim_kick(watch->sim, node);
    watch->shows_rumour = status == 0;
    if (status == 0)
        tell_news(watch, "n%u has a rumour to tell: v shows who has heard it", (unsigned)node);
}
