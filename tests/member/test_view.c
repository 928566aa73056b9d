/*
 * The view: an array of beliefs and its indexes, against a trivial model, and what it may cost.
 */
#include "member/view.h"
#include "support/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"

#define NAMES 64
#define STEPS 20000

struct world {
    struct test_memory memory;
    struct br_alloc alloc;
    struct br_roster roster;
    struct br_view view;
};

static struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    test_memory_init(&w->memory);
    struct bruit_env env = test_memory_env(&w->memory);
    br_alloc_init(&w->alloc, &env, 0);
    br_roster_init(&w->roster, &w->alloc, 7);
    br_view_init(&w->view, &w->alloc, &w->roster);
    return w;
}

static void world_free(struct world *w)
{
    br_view_fini(&w->view);
    br_roster_fini(&w->roster);
    assert_int_equal(w->alloc.in_use, 0);
    assert_int_equal(w->memory.in_use, 0);
    free(w);
}

static const uint8_t vsn[6] = {1, 5, 2, 2, 5, 5};

/* The record of member `i` at one of two addresses. */
static uint32_t record(struct world *w, uint32_t i, uint8_t address)
{
    char name[32];
    const uint8_t ip[4] = {10, address, (uint8_t)(i >> 8), (uint8_t)i};
    snprintf(name, sizeof name, "member-%u", i);
    return br_roster_intern(&w->roster, &(struct br_alive){.node = br_bytes_string(name),
                                                           .addr = br_bytes(ip, 4),
                                                           .port = 7946,
                                                           .vsn = br_bytes(vsn, 6)});
}

static uint32_t add(struct world *w, uint32_t i)
{
    uint32_t number = record(w, i, 0);
    assert_int_not_equal(number, 0);
    uint32_t slot = br_view_add(&w->view, number);
    assert_int_not_equal(slot, 0);
    return slot;
}

/* A name that was heard of for the first time is dead with incarnation 0, as memberlist makes it. */
static void test_a_new_member_is_dead_with_incarnation_0(void **state)
{
    (void)state;
    struct world *w = world_new();
    uint32_t slot = add(w, 1);
    assert_int_equal(w->view.state[slot], BRUIT_DEAD);
    assert_int_equal(w->view.incarnation[slot], 0);
    assert_int_equal(w->view.since[slot], 0);
    assert_int_equal(br_view_find_text(&w->view, br_bytes_text("member-1")), slot);
    assert_int_equal(br_view_find_text(&w->view, br_bytes_text("member-2")), 0);
    world_free(w);
}

/* `since` tells when the state began: a higher incarnation in the same state does not move it. */
static void test_since_moves_with_the_state_alone(void **state)
{
    (void)state;
    struct world *w = world_new();
    uint32_t slot = add(w, 1);
    br_view_believe(&w->view, slot, BRUIT_ALIVE, 1, 100);
    assert_int_equal(w->view.since[slot], 100);
    br_view_believe(&w->view, slot, BRUIT_ALIVE, 2, 200);
    assert_int_equal(w->view.since[slot], 100);
    br_view_believe(&w->view, slot, BRUIT_SUSPECT, 2, 300);
    assert_int_equal(w->view.since[slot], 300);
    world_free(w);
}

/* A member is forgotten while its last event still waits: name index and order lose it, its slot stays readable. */
static void test_a_removed_member_is_readable_until_released(void **state)
{
    (void)state;
    struct world *w = world_new();
    uint32_t slot = add(w, 1);
    br_view_remove(&w->view, slot);
    assert_int_equal(br_view_find_text(&w->view, br_bytes_text("member-1")), 0);
    assert_int_equal(w->view.count, 0);
    assert_true(br_view_is_known(&w->view, slot));
    assert_false(br_view_is_listed(&w->view, slot));
    uint32_t again = add(w, 1);
    assert_int_not_equal(again, slot);
    br_view_release(&w->view, slot);
    assert_false(br_view_is_known(&w->view, slot));
    assert_int_equal(add(w, 2), slot);
    assert_true(br_view_is_consistent(&w->view));
    world_free(w);
}

/* Three things happen to two members before the program looks: it hears of each member once, of all that happened. */
static void test_news_gathers_by_member(void **state)
{
    (void)state;
    struct world *w = world_new();
    uint32_t a = add(w, 1);
    uint32_t b = add(w, 2);
    uint32_t slot;
    uint32_t changes;
    br_view_note(&w->view, a, BRUIT_CHANGE_JOINED);
    br_view_note(&w->view, b, BRUIT_CHANGE_UPDATED);
    br_view_note(&w->view, a, BRUIT_CHANGE_SUSPECTED);
    assert_true(br_view_take_news(&w->view, &slot, &changes));
    assert_int_equal(slot, a);
    assert_int_equal(changes, BRUIT_CHANGE_JOINED | BRUIT_CHANGE_SUSPECTED);
    br_view_note(&w->view, a, BRUIT_CHANGE_CLEARED);
    assert_true(br_view_take_news(&w->view, &slot, &changes));
    assert_int_equal(slot, b);
    assert_true(br_view_take_news(&w->view, &slot, &changes));
    assert_int_equal(slot, a);
    assert_int_equal(changes, BRUIT_CHANGE_CLEARED);
    assert_false(br_view_take_news(&w->view, &slot, &changes));
    world_free(w);
}

/* Two members who believe the same have the same checksum, in whatever order they heard it; any difference shows. */
static void test_equal_views_have_equal_checksums(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct world *v = world_new();
    for (uint32_t i = 0; i < 20; i++)
        br_view_believe(&w->view, add(w, i), BRUIT_ALIVE, i + 1, i);
    for (uint32_t i = 20; i-- > 0;)
        br_view_believe(&v->view, add(v, i), BRUIT_ALIVE, i + 1, 99);
    assert_true(w->view.checksum == v->view.checksum);
    uint32_t slot = br_view_find_text(&v->view, br_bytes_text("member-7"));
    br_view_believe(&v->view, slot, BRUIT_ALIVE, 9, 99);
    assert_false(w->view.checksum == v->view.checksum);
    br_view_believe(&v->view, slot, BRUIT_SUSPECT, 8, 99);
    assert_false(w->view.checksum == v->view.checksum);
    br_view_believe(&v->view, slot, BRUIT_ALIVE, 8, 99);
    assert_true(w->view.checksum == v->view.checksum);
    br_view_identify(&v->view, slot, record(v, 7, 1));
    assert_false(w->view.checksum == v->view.checksum);
    world_free(w);
    world_free(v);
}

/* What the model holds of each name. */
struct belief {
    uint32_t slot; /* 0: not known */
    uint32_t incarnation;
    uint8_t state;
};

static void check_model(const struct world *w, const struct belief *model)
{
    uint32_t known = 0;
    for (uint32_t i = 0; i < NAMES; i++) {
        char name[32];
        snprintf(name, sizeof name, "member-%u", i);
        assert_int_equal(br_view_find_text(&w->view, br_bytes_string(name)), model[i].slot);
        if (model[i].slot == 0)
            continue;
        known++;
        assert_int_equal(w->view.state[model[i].slot], model[i].state);
        assert_int_equal(w->view.incarnation[model[i].slot], model[i].incarnation);
    }
    assert_int_equal(w->view.count, known);
    assert_true(br_view_is_consistent(&w->view));
}

static void random_step(struct world *w, struct belief *model, struct br_rng *rng)
{
    struct belief *b = &model[br_rng_below(rng, NAMES)];
    uint32_t i = (uint32_t)(b - model);
    if (b->slot == 0) {
        *b = (struct belief){add(w, i), 0, BRUIT_DEAD};
    } else if (br_rng_below(rng, 4) == 0) {
        br_view_remove(&w->view, b->slot);
        br_view_release(&w->view, b->slot);
        *b = (struct belief){0};
    } else if (br_rng_below(rng, 4) == 0) {
        br_view_identify(&w->view, b->slot, record(w, i, (uint8_t)br_rng_below(rng, 2)));
    } else {
        b->state = (uint8_t)br_rng_below(rng, 4);
        b->incarnation = br_rng_below(rng, 1000);
        br_view_believe(&w->view, b->slot, (enum bruit_state)b->state, b->incarnation, i);
    }
    if (w->view.count > 1)
        br_view_swap(&w->view, br_rng_below(rng, w->view.count), br_rng_below(rng, w->view.count));
}

/* Twenty thousand random operations, checked against a list that anybody can see to be right. */
static void test_the_view_agrees_with_a_model(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct world *w = world_new();
    struct belief model[NAMES] = {0};
    struct br_rng rng;
    br_rng_init(&rng, seed, "view");
    for (int step = 0; step < STEPS; step++) {
        random_step(w, model, &rng);
        if (step % 50 == 0)
            check_model(w, model);
    }
    check_model(w, model);
    world_free(w);
}

/* The budget of the plan: 48 bytes for each known member, every index included, and 200 and the metadata for a
 * record. Measured as it is: by the memory that 10,000 members take, with arrays as full as growth leaves them. */
static void test_a_member_costs_at_most_48_bytes_and_its_record_200(void **state)
{
    (void)state;
    struct world *w = world_new();
    const struct br_view *v = &w->view;
    size_t slot_bytes = sizeof *v->record + sizeof *v->incarnation + sizeof *v->since + sizeof *v->place +
                        sizeof *v->suspicion + sizeof *v->dirty_next + sizeof *v->state + sizeof *v->news +
                        sizeof *v->order + sizeof *v->slot_of;
    assert_true(slot_bytes <= 48);
    size_t before = w->alloc.in_use;
    uint32_t records[1000];
    for (uint32_t i = 0; i < 1000; i++)
        records[i] = record(w, i, 0);
    size_t record_bytes = (w->alloc.in_use - before) / 1000;
    print_message(
        "%zu bytes a member in the view, %zu a record of the roster (names of 10 bytes, no metadata)\n",
        slot_bytes, record_bytes);
    assert_true(record_bytes <= 200);
    for (uint32_t i = 0; i < 1000; i++)
        br_roster_drop(&w->roster, records[i]);
    world_free(w);
}

/* No memory for one more member: nothing of the view has changed, and the caller still holds the record. */
static void test_without_memory_nothing_is_added(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 40; n++) {
        struct world *w = world_new();
        for (uint32_t i = 0; i < 15; i++)
            add(w, i);
        uint32_t number = record(w, 99, 0);
        uint64_t checksum = w->view.checksum;
        w->memory.fail_at = w->memory.count + n;
        uint32_t slot = br_view_add(&w->view, number);
        w->memory.fail_at = 0;
        assert_true(br_view_is_consistent(&w->view));
        if (slot == 0) {
            assert_true(w->view.checksum == checksum);
            br_roster_drop(&w->roster, number);
        }
        bool was_last = slot != 0;
        world_free(w);
        if (was_last)
            return;
    }
    fail_msg("adding one member never succeeded");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_member_is_dead_with_incarnation_0),
        cmocka_unit_test(test_since_moves_with_the_state_alone),
        cmocka_unit_test(test_a_removed_member_is_readable_until_released),
        cmocka_unit_test(test_news_gathers_by_member),
        cmocka_unit_test(test_equal_views_have_equal_checksums),
        cmocka_unit_test(test_the_view_agrees_with_a_model),
        cmocka_unit_test(test_a_member_costs_at_most_48_bytes_and_its_record_200),
        cmocka_unit_test(test_without_memory_nothing_is_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
