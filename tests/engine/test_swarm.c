/*
 * Clusters through all kinds of trouble at random, and what must hold when it is over: everybody who runs sees
 * everybody who runs, with the same incarnation and metadata, nobody else as alive, and Serf's module agrees.
 *
 * BRUIT_TEST_SEED chooses the first seed; each failure prints its own.
 */
#include "support/world.h"

#include <bruit/status.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define S BRUIT_SECOND
#define MS BRUIT_MILLISECOND
#define MEMBERS 8
#define RUNS 40

static const struct bruit_module *const modules[] = {&bruit_status_module};
static const uint8_t key_bytes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const struct bruit_bytes keys[] = {{key_bytes, 16}};

struct swarm {
    struct world *w;
    struct br_rng rng;
    bool has_left[MEMBERS];
};

static uint32_t below(struct swarm *s, uint32_t bound)
{
    return br_rng_below(&s->rng, bound);
}

static bool is_up(const struct swarm *s, uint32_t i)
{
    return s->w->nodes[i].engine != NULL;
}

/* Joins through somebody who runs, if there is one. */
static void join_any(struct swarm *s, uint32_t i)
{
    for (uint32_t k = 0, other = below(s, MEMBERS); k < MEMBERS; k++, other = (other + 1) % MEMBERS)
        if (other != i && is_up(s, other) && !s->has_left[other]) {
            (void)world_join(s->w, i, other);
            return;
        }
}

static void start(struct swarm *s, uint32_t i)
{
    assert_int_equal(world_start(s->w, i), 0);
    s->has_left[i] = false;
    join_any(s, i);
}

static void trouble(struct swarm *s)
{
    struct world *w = s->w;
    uint32_t i = below(s, MEMBERS), other = below(s, MEMBERS);
    char meta[16];
    switch (below(s, 10)) {
    case 0:
        if (is_up(s, i)) {
            world_resume(w, i);
            world_kill(w, i);
        }
        break;
    case 1:
    case 2:
        if (!is_up(s, i))
            start(s, i);
        break;
    case 3:
        if (is_up(s, i))
            world_pause(w, i);
        break;
    case 4:
    case 5: world_resume(w, i); break;
    case 6: world_cut(w, i, other, below(s, 2) == 0); break;
    case 7: w->loss = below(s, 400); break;
    case 8:
        snprintf(meta, sizeof meta, "m%u", (unsigned)below(s, 1000));
        if (is_up(s, i) && !s->has_left[i] && !w->nodes[i].is_paused) {
            assert_int_equal(bruit_set_meta(w->nodes[i].engine, world_bytes(meta), w->now), 0);
            world_settle(w, i);
        }
        break;
    default:
        if (is_up(s, i) && !s->has_left[i] && !w->nodes[i].is_paused && below(s, 3) == 0) {
            world_leave(w, i, 5 * S);
            s->has_left[i] = true;
        }
        break;
    }
}

/* The network is whole again, and everybody runs. */
static void calm(struct swarm *s)
{
    struct world *w = s->w;
    w->loss = 0;
    for (uint32_t a = 0; a < MEMBERS; a++) {
        world_resume(w, a);
        for (uint32_t b = 0; b < MEMBERS; b++)
            w->cut[a][b] = 0;
    }
    for (uint32_t i = 0; i < MEMBERS; i++) {
        if (is_up(s, i) && s->has_left[i])
            world_kill(w, i);
        if (!is_up(s, i))
            start(s, i);
    }
    for (uint32_t i = 0; i < MEMBERS; i++) /* whose join went wrong asks again, as agents do */
        if (bruit_member_alive_count(w->nodes[i].engine) == 1)
            join_any(s, i);
}

/*
 * Alive; or leaving with the very time that the member has of itself. The latter is a tie that Serf's rules cannot
 * break: a process that was killed while it said goodbye, and came back so soon that its join has the time of its
 * leave (docs/wire/serf.md section 5.6: an equal time does nothing).
 */
static bool is_here(const struct world *w, uint32_t a, uint32_t b)
{
    struct bruit_status_member theirs, own;
    struct bruit_bytes name = world_bytes(w->nodes[b].name);
    if (bruit_status_find(w->nodes[a].engine, name, &theirs) != 0 ||
        bruit_status_find(w->nodes[b].engine, name, &own) != 0)
        return false;
    return theirs.status == BRUIT_STATUS_ALIVE ||
           (theirs.status == BRUIT_STATUS_LEAVING && theirs.status_time == own.status_time);
}

static bool agree(const struct world *w)
{
    if (!world_all_alive(w))
        return false;
    for (uint32_t i = 1; i < MEMBERS; i++)
        if (bruit_view_checksum(w->nodes[i].engine) != bruit_view_checksum(w->nodes[0].engine))
            return false;
    for (uint32_t a = 0; a < MEMBERS; a++)
        for (uint32_t b = 0; b < MEMBERS; b++)
            if (!is_here(w, a, b))
                return false;
    return true;
}

static void explain(const struct world *w)
{
    printf("seed %llu: no agreement at %.3f s\n", (unsigned long long)w->seed, (double)w->now / 1e9);
    for (uint32_t a = 0; a < MEMBERS; a++) {
        for (uint32_t b = 0; b < MEMBERS; b++) {
            struct bruit_status_member member;
            int found = bruit_status_find(w->nodes[a].engine, world_bytes(w->nodes[b].name), &member);
            printf(" %2d/%u%s", world_state(w, a, b), (unsigned)world_incarnation_of(w, a, w->nodes[b].name),
                   found != 0 ? "?" : bruit_status_text(member.status));
        }
        printf("\n");
    }
}

static void run(uint64_t seed)
{
    struct swarm s = {.w = world_new(seed)};
    struct world *w = s.w;
    br_rng_init(&s.rng, seed, "trouble");
    w->trace_level = BRUIT_TRACE_OFF;
    w->config.modules = modules;
    w->config.module_count = 1;
    w->config.compression = seed % 2 == 0;
    w->config.keys = keys;
    w->config.key_count = seed % 3 == 0 ? 1 : 0;
    world_cluster(w, MEMBERS);
    for (int act = 0; act < 60; act++) {
        world_run(w, (1 + below(&s, 4000)) * MS);
        trouble(&s);
    }
    calm(&s);
    /* Reconnecting is tried once in 30 s, with a chance of failed : alive; some minutes make it certain. */
    if (!world_wait(w, agree, 600 * S)) {
        explain(w);
        fail();
    }
    world_run(w, 120 * S);
    if (!agree(w)) {
        explain(w);
        fail_msg("the agreement did not last");
    }
    world_free(w);
}

static void test_everybody_agrees_in_the_end(void **state)
{
    const char *given = getenv("BRUIT_TEST_SEED");
    const char *runs = getenv("BRUIT_TEST_RUNS");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : 1;
    uint64_t count = runs != NULL ? strtoull(runs, NULL, 10) : RUNS;
    (void)state;
    for (uint64_t i = 0; i < count; i++)
        run(seed + i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everybody_agrees_in_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
