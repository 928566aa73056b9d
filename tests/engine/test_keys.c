/*
 * The keys of a cluster, changed on every member at once (docs/wire/serf.md, 8.2 and 8.3), in virtual time.
 */
#include "codec/addr.h"
#include "codec/serf.h"
#include "support/peer.h"

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
    char message[96]; /* the last that was not empty */
    char first[64];   /* of the last list */
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
        if (answer.message.size > 0)
            snprintf(told.message, sizeof told.message, "%.*s", (int)answer.message.size,
                     (const char *)answer.message.data);
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
/* conformance: serf 46 */
static void test_without_keys_there_is_nothing_to_change(void **state)
{
    static const enum bruit_keys_command changes[] = {BRUIT_KEYS_INSTALL, BRUIT_KEYS_USE, BRUIT_KEYS_REMOVE};
    struct world *w = keys_world(4, 2, 0);
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        ask(w, changes[i], key_of(1));
        assert_int_equal(told.answers, 2);
        assert_int_equal(told.good, 0);
        assert_string_equal(told.message, "No keyring to modify (encryption not enabled)");
    }
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
    (void)state;
    ask(w, BRUIT_KEYS_LIST, (struct bruit_bytes){0});
    assert_int_equal(told.good, 1);
    assert_int_equal(told.listed, 17); /* as real serf does with a name of two letters */
    assert_string_equal(told.message, "truncated key list response, showing first 17 of 60 keys");
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
/* conformance: serf 46 */
static void test_ring_that_cannot_be_kept_is_a_failure(void **state)
{
    struct world *w = keys_world(6, 2, 1);
    (void)state;
    assert_int_equal(bruit_keys_configure(w->nodes[1].engine, fail_to_save, NULL), 0);
    ask(w, BRUIT_KEYS_INSTALL, key_of(9));
    assert_int_equal(told.answers, 2);
    assert_int_equal(told.good, 1);
    assert_string_equal(told.message, "Failed to write keyring file: disk full");
    expect_ring(w, key_of(0), 2);
    world_free(w);
}

/* What one member kept, each time. */
struct kept {
    const struct bruit_engine *engine;
    unsigned times;
    size_t keys;
    uint8_t first; /* of the key in use, one byte: key_of() */
};

static int keep(void *context, char *why, size_t size)
{
    struct kept *kept = context;
    (void)why, (void)size;
    kept->times++;
    for (kept->keys = 0; bruit_key_get(kept->engine, kept->keys).size > 0;)
        kept->keys++;
    kept->first = bruit_key_get(kept->engine, 0).data[0];
    return 0;
}

/* Each change that was done is kept, as the ring then is; what was refused is no reason to write. */
/* conformance: serf 46 */
static void test_what_was_done_is_kept_and_what_was_refused_is_not(void **state)
{
    static const struct {
        enum bruit_keys_command command;
        unsigned key, times;
        size_t keys;
        unsigned first;
    } rows[] = {
        {BRUIT_KEYS_INSTALL, 9, 1, 2, 0},
        {BRUIT_KEYS_INSTALL, 9, 2, 2, 0}, /* it is there already: kept again */
        {BRUIT_KEYS_USE, 8, 2, 2, 0},     /* it is not there */
        {BRUIT_KEYS_USE, 9, 3, 2, 9},
        {BRUIT_KEYS_REMOVE, 9, 3, 2, 9}, /* it is in use */
        {BRUIT_KEYS_REMOVE, 0, 4, 1, 9},
        {BRUIT_KEYS_REMOVE, 0, 5, 1, 9}, /* it is not there any more: kept again, as with Serf */
        {BRUIT_KEYS_LIST, 0, 5, 1, 9},
    };
    struct world *w = keys_world(8, 2, 1);
    struct kept kept = {.engine = w->nodes[1].engine};
    (void)state;
    assert_int_equal(bruit_keys_configure(w->nodes[1].engine, keep, &kept), 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ask(w, rows[i].command, key_of(rows[i].key));
        assert_int_equal(told.answers, 2);
        assert_int_equal(kept.times, rows[i].times);
        assert_int_equal(kept.keys, rows[i].keys);
        assert_int_equal(kept.first, rows[i].first + 1);
    }
    world_free(w);
}

/* ---- what others may say ---- */

/* The peer asks n0; the answer's bytes live until it hears again. */
static struct br_serf_key_response answer_to(struct peer *p, const char *name, struct bruit_bytes payload)
{
    static uint32_t id;
    static uint8_t buffer[2048];
    struct br_serf_key_response response;
    struct br_serf_response outer;
    struct br_writer w;
    size_t from = 0, answers = 0;
    br_writer_init(&w, buffer, sizeof buffer);
    br_write_u8(&w, BR_USER);
    br_serf_query_encode(&w, &(struct br_serf_query){.ltime = 5,
                                                     .id = ++id,
                                                     .addr = br_addr_ip(&p->addr),
                                                     .port = 7946,
                                                     .source_node = world_bytes(p->name),
                                                     .timeout_ns = 3200000000,
                                                     .name = world_bytes(name),
                                                     .payload = payload});
    peer_raw(p, br_writer_bytes(&w));
    assert_int_equal(peer_send(p), 0);
    world_settle(p->world, p->node);
    peer_hear(p);
    for (const struct peer_leaf *leaf; (leaf = peer_next(p, BR_USER, &from)) != NULL;) {
        if (leaf->body.data[0] != BR_SERF_QUERY_RESPONSE)
            continue;
        answers++;
        assert_int_equal(br_serf_response_decode(&outer, br_bytes(leaf->body.data + 1, leaf->body.size - 1)),
                         0);
    }
    assert_int_equal(answers, 1);
    assert_int_equal(outer.payload.data[0], BR_SERF_KEY_RESPONSE);
    assert_int_equal(
        br_serf_key_response_decode(&response, br_bytes(outer.payload.data + 1, outer.payload.size - 1)), 0);
    return response;
}

/*
 * Somebody asks for changes without a key that can be read: nothing, a type alone, no map, a map cut short. Each is
 * answered with a plain no. A list is given whatever comes with the question.
 */
/* conformance: serf 46 */
static void test_request_that_cannot_be_read_is_refused_without_a_word(void **state)
{
    static const char *const changes[] = {"_serf_install-key", "_serf_use-key", "_serf_remove-key"};
    static const struct bruit_bytes broken[] = {
        {NULL, 0},
        {(const uint8_t *)"\x07", 1},
        {(const uint8_t *)"\x07\xc1", 2},
        {(const uint8_t *)"\x07\x81\xa3Ke", 5},
        {(const uint8_t *)"\x07\x81\xa3Key\xa4xx", 8},
    };
    struct world *w = keys_world(9, 1, 0);
    struct peer *p = peer_new(w, 0, "peer", 1);
    (void)state;
    peer_alive(p, 1);
    assert_int_equal(peer_send(p), 0);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++)
        for (size_t j = 0; j < sizeof broken / sizeof broken[0]; j++) {
            struct br_serf_key_response response = answer_to(p, changes[i], broken[j]);
            assert_false(response.result);
            assert_int_equal(response.message.size, 0);
        }
    struct br_serf_key_response list = answer_to(p, "_serf_list-keys", broken[2]);
    assert_false(list.result);
    assert_true(br_bytes_equal(list.message, world_bytes("Keyring is empty (encryption not enabled)")));
    peer_free(p);
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
    assert_int_equal(
        bruit_keys_ask(engine, BRUIT_KEYS_INSTALL, (struct bruit_bytes){huge, sizeof huge}, &request, w->now),
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

/*
 * Somebody missed a change of keys, or is a stranger: nothing of what he sends can be read. That is worth a line for
 * people, which says what to do; the next comes a minute later, however much he sends.
 */
static void test_what_no_key_opens_is_told_once_a_minute(void **state)
{
    static const uint8_t sealed[64] = {1};
    struct world *w = keys_world(10, 1, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    (void)state;
    for (unsigned i = 0; i < 600; i++) {
        assert_int_equal(world_traced(w, 0, "has to be given the keyring"), i == 0 ? 0 : 1);
        assert_int_equal(peer_send_bytes(p, br_bytes(sealed, sizeof sealed)), 0);
        world_run(w, 100 * BRUIT_MILLISECOND);
    }
    assert_int_equal(peer_send_bytes(p, br_bytes(sealed, sizeof sealed)), 0);
    assert_int_equal(world_traced(w, 0, "has to be given the keyring"), 2);
    assert_int_equal(world_stats(w, 0).drops[BRUIT_DROP_UNDECRYPTABLE], 601);
    peer_free(p);
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
        cmocka_unit_test(test_what_was_done_is_kept_and_what_was_refused_is_not),
        cmocka_unit_test(test_request_that_cannot_be_read_is_refused_without_a_word),
        cmocka_unit_test(test_one_question_at_a_time),
        cmocka_unit_test(test_what_no_key_opens_is_told_once_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
