/*
 * The keys of a cluster, changed on every member at once (docs/wire/serf.md, 8.2 and 8.3), in virtual time.
 */
#include "support/world.h"

#include <bruit/keys.h>
#include <bruit/query.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define S BRUIT_SECOND

static const struct bruit_module *const modules[] = {&bruit_query_module, &bruit_keys_module};

/* What whoever asked was told. */
struct told {
    uint32_t answers, good, listed;
    uint32_t asked;
    bool is_done;
    bruit_time at;
    char message[96];
    char first[64]; /* of the last list */
};

static struct told told;
static uint8_t key_bytes[64][32];

static void hears(struct world *w, uint32_t node, const struct bruit_event *event)
{
    struct bruit_keys_answer answer;
    struct bruit_bytes key;
    (void)node;
    if (bruit_keys_answer_read(event, &answer) == 0) {
        assert_false(told.is_done);
        told.answers++;
        told.good += answer.is_good;
        told.listed = 0;
        snprintf(told.message, sizeof told.message, "%.*s", (int)answer.message.size,
                 answer.message.size == 0 ? "" : (const char *)answer.message.data);
        while (bruit_keys_next(&answer, &key))
            if (told.listed++ == 0)
                snprintf(told.first, sizeof told.first, "%.*s", (int)key.size, (const char *)key.data);
    } else if (event->type == BRUIT_EVENT_KEYS_DONE) {
        told.is_done = true;
        told.asked = event->changes;
        told.at = w->now;
    }
}

static struct bruit_bytes key_of(unsigned i)
{
    memset(key_bytes[i], (int)i + 1, sizeof key_bytes[i]);
    return (struct bruit_bytes){key_bytes[i], sizeof key_bytes[i]};
}

/* A cluster whose members have the first `keys` keys from the start. */
static struct world *keys_world(uint64_t seed, uint32_t count, size_t keys)
{
    static struct bruit_bytes ring[64];
    struct world *w = world_new(seed);
    for (unsigned i = 0; i < keys; i++)
        ring[i] = key_of(i);
    w->hears = hears;
    w->config.modules = modules;
    w->config.module_count = 2;
    w->config.keys = ring;
    w->config.key_count = keys;
    world_cluster(w, count);
    return w;
}

static void ask(struct world *w, enum bruit_keys_command command, struct bruit_bytes key)
{
    uint32_t request = 0;
    memset(&told, 0, sizeof told);
    assert_int_equal(bruit_keys_ask(w->nodes[0].engine, command, key, &request, w->now), 0);
    world_settle(w, 0);
    world_run(w, 10 * S);
    assert_true(told.is_done);
}

static void expect_ring(const struct world *w, struct bruit_bytes first, size_t count)
{
    for (uint32_t i = 0; i < w->count; i++) {
        struct bruit_bytes primary = bruit_key_get(w->nodes[i].engine, 0);
        assert_int_equal(primary.size, first.size);
        assert_memory_equal(primary.data, first.data, first.size);
        assert_int_not_equal(bruit_key_get(w->nodes[i].engine, count - 1).size, 0);
        assert_int_equal(bruit_key_get(w->nodes[i].engine, count).size, 0);
    }
}

/* Install, use, remove: every member does each, and the answer is there long before the timeout. */
/* conformance: serf 48 */
static void test_key_is_rotated_on_every_member(void **state)
{
    struct world *w = keys_world(1, 4, 1);
    (void)state;
    bruit_time start = w->now;
    ask(w, BRUIT_KEYS_INSTALL, key_of(9));
    assert_int_equal(told.good, 4);
    assert_int_equal(told.asked, 4);
    assert_true(told.at - start < 2 * S);
    expect_ring(w, key_of(0), 2);
    ask(w, BRUIT_KEYS_USE, key_of(9));
    assert_int_equal(told.good, 4);
    expect_ring(w, key_of(9), 2);
    ask(w, BRUIT_KEYS_REMOVE, key_of(0));
    assert_int_equal(told.good, 4);
    expect_ring(w, key_of(9), 1);
    assert_true(world_all_alive(w));
    world_free(w);
}

/* One is dead and still thought alive: the question ends at the timeout, with one answer less than asked. */
static void test_question_waits_for_a_silent_member_until_the_timeout(void **state)
{
    struct world *w = keys_world(2, 3, 1);
    (void)state;
    world_pause(w, 2);
    bruit_time start = w->now;
    ask(w, BRUIT_KEYS_LIST, (struct bruit_bytes){0});
    assert_int_equal(told.answers, 2);
    assert_int_equal(told.asked, 3);
    assert_true(told.at - start > 3 * S);
    world_free(w);
}

/* What a member must not do it does not, and says why in Serf's words. */
/* conformance: serf 46 */
static void test_refusals_are_in_serfs_words(void **state)
{
    static const struct {
        enum bruit_keys_command command;
        unsigned key;
        size_t size;
        const char *message;
    } rows[] = {
        {BRUIT_KEYS_INSTALL, 9, 15, "key size must be 16, 24 or 32 bytes"},
        {BRUIT_KEYS_INSTALL, 9, 0, "key size must be 16, 24 or 32 bytes"},
        {BRUIT_KEYS_USE, 9, 32, "Requested key is not in the keyring"},
        {BRUIT_KEYS_REMOVE, 0, 32, "Removing the primary key is not allowed"},
        {BRUIT_KEYS_REMOVE, 9, 32, ""},
        {BRUIT_KEYS_INSTALL, 0, 32, ""},
    };
    struct world *w = keys_world(3, 2, 1);
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bruit_bytes key = key_of(rows[i].key);
        ask(w, rows[i].command, (struct bruit_bytes){key.data, rows[i].size});
        assert_int_equal(told.answers, 2);
        assert_int_equal(told.good, rows[i].message[0] == 0 ? 2 : 0);
        assert_string_equal(told.message, rows[i].message);
        expect_ring(w, key_of(0), 1);
    }
    world_free(w);
}

/* A cluster without keys has no ring to change. */
static void test_without_keys_there_is_nothing_to_change(void **state)
{
    struct world *w = keys_world(4, 2, 0);
    (void)state;
    ask(w, BRUIT_KEYS_INSTALL, key_of(1));
    assert_int_equal(told.good, 0);
    assert_string_equal(told.message, "No keyring to modify (encryption not enabled)");
    ask(w, BRUIT_KEYS_LIST, (struct bruit_bytes){0});
    assert_int_equal(told.good, 0);
    assert_string_equal(told.message, "Keyring is empty (encryption not enabled)");
    assert_int_equal(told.listed, 0);
    world_free(w);
}

/* Sixty keys do not fit an answer: it shows the first ones, the one in use before all, and how many there are. */
/* conformance: serf 47 */
static void test_list_that_is_too_long_is_cut(void **state)
{
    struct world *w = keys_world(5, 1, 60);
    char expected[96];
    (void)state;
    ask(w, BRUIT_KEYS_LIST, (struct bruit_bytes){0});
    assert_int_equal(told.good, 1);
    assert_true(told.listed >= 16 && told.listed <= 18);
    snprintf(expected, sizeof expected, "truncated key list response, showing first %u of 60 keys", told.listed);
    assert_string_equal(told.message, expected);
    assert_string_equal(told.first, "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=");
    world_free(w);
}

static int fail_to_save(void *context, char *why, size_t size)
{
    (void)context;
    snprintf(why, size, "Failed to write keyring file: disk full");
    return BRUIT_EIO;
}

/* What is not kept for the next start is told as a failure; the change has happened all the same, as with Serf. */
static void test_ring_that_cannot_be_kept_is_a_failure(void **state)
{
    struct world *w = keys_world(6, 2, 1);
    (void)state;
    assert_int_equal(bruit_keys_configure(w->nodes[1].engine, fail_to_save, NULL), 0);
    ask(w, BRUIT_KEYS_INSTALL, key_of(9));
    assert_int_equal(told.answers, 2);
    assert_int_equal(told.good, 1);
    expect_ring(w, key_of(0), 2);
    world_free(w);
}

/* A second question while the first is under way, and a key beyond all bounds. */
static void test_one_question_at_a_time(void **state)
{
    static const uint8_t huge[513];
    struct world *w = keys_world(7, 2, 1);
    uint32_t request;
    (void)state;
    memset(&told, 0, sizeof told);
    struct bruit_engine *engine = w->nodes[0].engine;
    assert_int_equal(bruit_keys_ask(engine, BRUIT_KEYS_INSTALL, (struct bruit_bytes){huge, sizeof huge}, &request,
                                    w->now),
                     BRUIT_ETOOBIG);
    assert_int_equal(bruit_keys_ask(engine, BRUIT_KEYS_INSTALL, key_of(9), &request, w->now), 0);
    assert_int_equal(bruit_keys_ask(engine, BRUIT_KEYS_USE, key_of(9), &request, w->now), BRUIT_EBUSY);
    world_settle(w, 0);
    world_run(w, 10 * S);
    assert_int_equal(told.good, 2);
    ask(w, BRUIT_KEYS_USE, key_of(9));
    assert_int_equal(told.good, 2);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_is_rotated_on_every_member),
        cmocka_unit_test(test_question_waits_for_a_silent_member_until_the_timeout),
        cmocka_unit_test(test_refusals_are_in_serfs_words),
        cmocka_unit_test(test_without_keys_there_is_nothing_to_change),
        cmocka_unit_test(test_list_that_is_too_long_is_cut),
        cmocka_unit_test(test_ring_that_cannot_be_kept_is_a_failure),
        cmocka_unit_test(test_one_question_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
