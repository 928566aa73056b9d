/*
 * Time passes: the next packet or the next node that wants to be woken, and again; on several threads if
 * asked for.
 *
 * Shards go through windows that are no longer than the shortest way from one node to another: what is sent
 * within a window arrives after it, so nobody has to wait for anybody inside. Between windows everything that
 * was sent to other shards is handed over, and the next window begins where the next thing happens.
 */
#include "base/time.h"
#include "sim/sim.h"

#include <stdlib.h>

/*
 * A window is often done sooner than a thread wakes up, so waiting begins with looking again and again, for
 * some 10 microseconds; where cores are few or busy, more would take them from those who are waited for.
 */
#define SPINS 300

static void pause_a_little(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* ---- one shard ---- */

static bruit_time next_in(struct br_sim_shard *shard)
{
    return br_time_min(br_sim_queue_time(&shard->queue), br_sim_wheel_min_time(&shard->wakes));
}

/* One packet, or one node; packets first. */
static void do_one(struct br_sim_shard *shard)
{
    const struct bruit_sim *sim = shard->sim;
    bruit_time packet_time = br_sim_queue_time(&shard->queue);
    bruit_time wake_time = br_sim_wheel_min_time(&shard->wakes);
    if (packet_time <= wake_time) {
        shard->now = packet_time;
        struct br_sim_packet *packet = br_sim_queue_pop(&shard->queue);
        bool is_own = packet->kind == BR_SIM_RETRY;
        br_sim_arrive(br_sim_node(sim, is_own ? packet->from : packet->to), packet);
    } else {
        shard->now = wake_time;
        uint32_t id = br_sim_wheel_min(&shard->wakes); /* which waking moves or takes out */
        br_sim_wake(br_sim_node(sim, id * sim->shard_count + shard->index));
    }
}

static bool is_interrupted(const struct bruit_sim *sim)
{
    return atomic_load_explicit(&sim->interrupted, memory_order_relaxed);
}

/* What other shards sent to us in the last window. The packets are ours from now on. */
static void import(struct br_sim_shard *shard)
{
    struct bruit_sim *sim = shard->sim;
    for (uint32_t i = 0; i < sim->shard_count; i++) {
        const struct br_sim_box *box = &sim->shards[i].outbox[sim->parity ^ 1][shard->index];
        for (size_t n = 0; n < box->count; n++) {
            const struct br_sim_item *item = &box->items[n];
            if (br_sim_queue_push(&shard->queue, item->time, item->order, item->packet) != 0)
                shard->stats.short_of_memory++;
        }
    }
}

static void run_window(struct br_sim_shard *shard)
{
    import(shard);
    while (next_in(shard) <= shard->sim->window_end)
        do_one(shard);
}

/* ---- all shards ---- */

static bruit_time next_of_all(const struct bruit_sim *sim)
{
    bruit_time next = BRUIT_NEVER;
    for (uint32_t i = 0; i < sim->shard_count; i++) {
        next = br_time_min(next, next_in(&sim->shards[i]));
        next = br_time_min(next, sim->shards[i].outbox_min[sim->parity]);
    }
    return next;
}

/* The boxes that were written become those that are read; what was read is empty again. */
static void turn_boxes(struct bruit_sim *sim)
{
    sim->parity ^= 1;
    for (uint32_t i = 0; i < sim->shard_count; i++) {
        for (uint32_t to = 0; to < sim->shard_count; to++)
            sim->shards[i].outbox[sim->parity][to].count = 0;
        sim->shards[i].outbox_min[sim->parity] = BRUIT_NEVER;
    }
}

static void run_shards(struct bruit_sim *sim, bruit_time until)
{
    for (bruit_time next; (next = next_of_all(sim)) <= until && !is_interrupted(sim);) {
        sim->window_end = br_time_min(next + sim->window - 1, until);
        turn_boxes(sim);
        br_sim_parallel(sim, run_window);
    }
    /* Nothing may stay in the boxes when others look at the world. */
    turn_boxes(sim);
    for (uint32_t i = 0; i < sim->shard_count; i++)
        import(&sim->shards[i]);
    turn_boxes(sim);
}

static void run_alone(struct bruit_sim *sim, bruit_time until)
{
    struct br_sim_shard *shard = &sim->shards[0];
    while (next_in(shard) <= until && !is_interrupted(sim))
        do_one(shard);
}

static void run_events(struct bruit_sim *sim, bruit_time until)
{
    sim->is_running = true;
    if (sim->shard_count == 1)
        run_alone(sim, until);
    else
        run_shards(sim, until);
    sim->is_running = false;
    bruit_time reached = is_interrupted(sim) ? sim->now : until;
    size_t held = 0;
    for (uint32_t i = 0; i < sim->shard_count; i++) {
        if (is_interrupted(sim))
            reached = br_time_max(reached, sim->shards[i].now);
        held += sim->shards[i].held;
    }
    sim->now = reached;
    if (held > sim->held_peak)
        sim->held_peak = held;
    for (uint32_t i = 0; i < sim->shard_count; i++)
        sim->shards[i].now = reached;
}

/* ---- acts ---- */

static bool is_before(const struct br_sim_act *a, const struct br_sim_act *b)
{
    return a->time != b->time ? a->time < b->time : a->order < b->order;
}

/* Few and far between: a list in order, the first at the end. */
int bruit_sim_at(struct bruit_sim *sim, bruit_time time, bruit_sim_act act, void *context)
{
    if (sim->act_count == sim->act_capacity) {
        size_t wanted = sim->act_capacity == 0 ? 16 : 2 * sim->act_capacity;
        struct br_sim_act *acts = realloc(sim->acts, wanted * sizeof *acts);
        if (acts == NULL)
            return BRUIT_ENOMEM;
        sim->acts = acts;
        sim->act_capacity = wanted;
    }
    struct br_sim_act new = {br_time_max(time, sim->now), sim->act_order++, act, context};
    size_t at = sim->act_count++;
    for (; at > 0 && is_before(&sim->acts[at - 1], &new); at--)
        sim->acts[at] = sim->acts[at - 1];
    sim->acts[at] = new;
    return 0;
}

static bruit_time next_act(const struct bruit_sim *sim)
{
    return sim->act_count == 0 ? BRUIT_NEVER : sim->acts[sim->act_count - 1].time;
}

static void do_acts(struct bruit_sim *sim)
{
    while (next_act(sim) <= sim->now && !is_interrupted(sim)) {
        struct br_sim_act act = sim->acts[--sim->act_count];
        act.act(sim, act.context);
    }
}

/* ---- running ---- */

bruit_time bruit_sim_now(const struct bruit_sim *sim)
{
    return sim->is_running ? sim->shards[0].now : sim->now;
}

void bruit_sim_run_until(struct bruit_sim *sim, bruit_time time)
{
    for (bruit_time act; (act = next_act(sim)) <= time && !is_interrupted(sim);) {
        if (act > sim->now)
            run_events(sim, act - 1);
        if (is_interrupted(sim))
            return;
        sim->now = br_time_max(act, sim->now); /* a callback may have asked for a moment that had begun */
        for (uint32_t i = 0; i < sim->shard_count; i++)
            sim->shards[i].now = sim->now;
        do_acts(sim);
    }
    if (time >= sim->now && !is_interrupted(sim))
        run_events(sim, time);
    if (next_act(sim) <= time && !is_interrupted(sim))
        do_acts(sim); /* which callbacks have asked for meanwhile */
}

void bruit_sim_run(struct bruit_sim *sim, bruit_time duration)
{
    bruit_sim_run_until(sim, br_time_add(sim->now, duration));
}

bool bruit_sim_step(struct bruit_sim *sim, bruit_time until)
{
    bruit_time next = br_time_min(next_of_all(sim), next_act(sim));
    bool any = next <= until;
    bruit_sim_run_until(sim, any ? br_time_max(next, sim->now) : until);
    return any;
}

bool bruit_sim_wait(struct bruit_sim *sim, bruit_sim_predicate holds, void *context, bruit_time most,
                    bruit_time every)
{
    bruit_time end = br_time_add(sim->now, most);
    if (every == 0)
        every = 10 * BRUIT_MILLISECOND;
    while (!holds(sim, context)) {
        if (sim->now >= end || is_interrupted(sim))
            return false;
        bruit_sim_run_until(sim, br_time_min(end, br_time_add(sim->now, every)));
    }
    return true;
}

void bruit_sim_interrupt(struct bruit_sim *sim)
{
    atomic_store(&sim->interrupted, true);
}

bool bruit_sim_interrupted(struct bruit_sim *sim)
{
    return atomic_exchange(&sim->interrupted, false);
}

/* ---- threads ---- */

static bool has_changed(atomic_uint *number, unsigned from)
{
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(number, memory_order_acquire) != from)
            return true;
        pause_a_little();
    }
    return false;
}

static unsigned wait_for_job(struct bruit_sim *sim, unsigned last)
{
    if (!has_changed(&sim->job_number, last)) {
        pthread_mutex_lock(&sim->mutex);
        while (atomic_load(&sim->job_number) == last)
            pthread_cond_wait(&sim->wake, &sim->mutex);
        pthread_mutex_unlock(&sim->mutex);
    }
    return atomic_load_explicit(&sim->job_number, memory_order_acquire);
}

static void *work(void *context)
{
    struct br_sim_shard *shard = context;
    struct bruit_sim *sim = shard->sim;
    for (unsigned number = 0;;) {
        number = wait_for_job(sim, number);
        if (atomic_load(&sim->is_ending))
            return NULL;
        sim->job(shard);
        if (atomic_fetch_sub(&sim->job_pending, 1) == 1) {
            pthread_mutex_lock(&sim->mutex);
            pthread_cond_signal(&sim->done);
            pthread_mutex_unlock(&sim->mutex);
        }
    }
}

static void publish(struct bruit_sim *sim)
{
    pthread_mutex_lock(&sim->mutex);
    atomic_fetch_add(&sim->job_number, 1);
    pthread_cond_broadcast(&sim->wake);
    pthread_mutex_unlock(&sim->mutex);
}

static void wait_for_all(struct bruit_sim *sim)
{
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&sim->job_pending, memory_order_acquire) == 0)
            return;
        pause_a_little();
    }
    pthread_mutex_lock(&sim->mutex);
    while (atomic_load(&sim->job_pending) != 0)
        pthread_cond_wait(&sim->done, &sim->mutex);
    pthread_mutex_unlock(&sim->mutex);
}

void br_sim_parallel(struct bruit_sim *sim, void (*job)(struct br_sim_shard *shard))
{
    if (sim->shard_count > 1) {
        sim->job = job;
        atomic_store(&sim->job_pending, sim->shard_count - 1);
        publish(sim);
    }
    job(&sim->shards[0]);
    if (sim->shard_count > 1)
        wait_for_all(sim);
}

const char *br_sim_shards_init(struct bruit_sim *sim)
{
    if (pthread_mutex_init(&sim->mutex, NULL) != 0 || pthread_cond_init(&sim->wake, NULL) != 0 ||
        pthread_cond_init(&sim->done, NULL) != 0)
        return "the system has no locks to give: use one shard";
    sim->has_mutex = true;
    for (uint32_t i = 1; i < sim->shard_count; i++) {
        if (pthread_create(&sim->shards[i].thread, NULL, work, &sim->shards[i]) != 0)
            return "the system refused a thread: use fewer shards";
        sim->shards[i].has_thread = true;
    }
    return NULL;
}

void br_sim_shards_fini(struct bruit_sim *sim)
{
    if (!sim->has_mutex)
        return;
    atomic_store(&sim->is_ending, true);
    publish(sim);
    for (uint32_t i = 1; i < sim->shard_count; i++)
        if (sim->shards[i].has_thread)
            (void)pthread_join(sim->shards[i].thread, NULL); /* it ends by itself */
    pthread_cond_destroy(&sim->done);
    pthread_cond_destroy(&sim->wake);
    pthread_mutex_destroy(&sim->mutex);
}
