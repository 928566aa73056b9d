/*
 * Scenarios: what their text says, what a mistake in it is told, and that a run does what it says.
 */
#include "sim/record.h"
#include "sim/scenario_run.h"
#include "sim/swarm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct bruit_bytes text_of(const char *text)
{
    return (struct bruit_bytes){(const uint8_t *)text, strlen(text)};
}

static struct br_scenario *parse(const char *text)
{
    struct br_scenario *scenario;
    struct br_scenario_error error;
    if (br_scenario_parse(&scenario, text_of(text), &error) != 0)
        fail_msg("line %u: %s", (unsigned)error.line, error.text);
    return scenario;
}

static struct br_judgement judge(const char *text)
{
    struct br_judgement judgement;
    br_swarm_judge(text_of(text), &judgement);
    if (judgement.text[0] != 0)
        printf("line %u, %s: %s\n", (unsigned)judgement.line, judgement.check, judgement.text);
    return judgement;
}

/* ------------------------------------------------------------------ the text */

/* Somebody mistypes: file and line, what was expected, and the word that was probably meant. */
static void test_a_mistake_is_told_with_line_expectation_and_nearest_word(void **state)
{
    static const struct {
        const char *text;
        uint32_t line;
        const char *expected;
        const char *nearest;
    } cases[] = {
        {"nodse 3", 1, "\"at\", \"never\" or a setting", "\"nodes\""},
        {"nodes 3\nprobe_intervall 3s", 2, "a setting", "\"probe_interval\""},
        {"\n\nat 1s partiton n0", 3, "what happens then", "\"partition\""},
        {"at 1s expect n3 ded", 1, "alive, suspect, dead", "\"dead\""},
        {"at 1s expect one view witin 3s", 1, "the end of the line", "\"within\""},
        {"never faild n3", 1, "joined, failed", "\"failed\""},
        {"never trace suspectd", 1, "a record of the trace", "\"suspected\""},
        {"at 1s expect drop FOREIGN_HTP", 1, "a reason to drop", "\"FOREIGN_HTTP\""},
        {"without acuracy", 1, "the name of a check", "\"accuracy\""},
        {"group slow n1\nat 1s kill slwo", 2, "nodes", "\"slow\""},
        {"at 1s pause n1 fro 3s", 1, "the end of the line", "\"for\""},
        {"modules statsu", 1, "none, status", "\"status\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct br_scenario *scenario;
        struct br_scenario_error error;
        assert_int_equal(br_scenario_parse(&scenario, text_of(cases[i].text), &error), BRUIT_EFORMAT);
        assert_int_equal(error.line, cases[i].line);
        assert_non_null(strstr(error.text, cases[i].expected));
        assert_non_null(strstr(error.text, cases[i].nearest));
    }
}

/* Numbers that cannot be: each is refused with the range or the form it should have. */
static void test_impossible_parameters_get_the_reason(void **state)
{
    static const struct {
        const char *text;
        const char *reason;
    } cases[] = {
        {"nodes 0", "from 1 to 1000000"},
        {"nodes 1000001", "from 1 to 1000000"},
        {"loss 101%", "at most 100%"},
        {"loss 2", "such as 2%"},
        {"at 10 kill n1", "such as 500ms"},
        {"at 1s kill n10", "the nodes are n0 to n9"},
        {"at 1s kill n5..n3", "n3..n9"},
        {"at 1s kill zone1", "the zones are zone0 to zone0"},
        {"probe_timeout 2s", "below probe_interval"},
        {"bursts 50% every 2s for 3s", "less than the time"},
        {"keys 00", "16, 24 or 32 bytes"},
        {"at 1s throw \"abc at n0", "ends with one"},
        {"at 1s throw \"\\q\" at n0", "behind a backslash"},
        {"group all n1", "a name of its own"},
        {"at 1s pause n1 for 0s", "is no time"},
        {"packet_size_max 100", "packet_size_max"},
        {"for 0s", "longer than nothing"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct br_scenario *scenario;
        struct br_scenario_error error;
        assert_int_equal(br_scenario_parse(&scenario, text_of(cases[i].text), &error), BRUIT_EFORMAT);
        if (strstr(error.text, cases[i].reason) == NULL)
            fail_msg("\"%s\" got \"%s\", without \"%s\"", cases[i].text, error.text, cases[i].reason);
    }
}

static void test_sets_of_nodes_are_who_they_say(void **state)
{
    struct br_scenario *scenario = parse("nodes 100\nzones 4\n"
                                         "group few n1,n3..n5\n"
                                         "at 1s kill few but n4\n"
                                         "at 1s kill 7%\n"
                                         "at 1s kill zone3\n"
                                         "at 1s kill all but n0..n98\n");
    uint32_t counts[4] = {0};
    (void)state;
    for (uint32_t i = 0; i < 4; i++)
        for (uint32_t node = 0; node < 100; node++)
            counts[i] += br_scenario_has(scenario, &scenario->statements[i].who, 1, node);
    assert_int_equal(counts[0], 3);
    assert_int_equal(counts[1], 7);
    assert_int_equal(counts[2], 25);
    assert_int_equal(counts[3], 1);
    assert_false(br_scenario_has(scenario, &scenario->statements[0].who, 1, 4));
    assert_true(br_scenario_has(scenario, &scenario->statements[2].who, 1, 75));
    assert_true(br_scenario_has(scenario, &scenario->statements[3].who, 1, 99));
    br_scenario_free(scenario);
}

static void test_durations_and_shares_are_exact(void **state)
{
    struct br_scenario *scenario = parse("latency 1.5ms\nloss 0.25%\nprobe_timeout 250ms\n"
                                         "at 2m kill n1\nat 1.25s kill n1\nat 3d kill n1\nat 0 kill n1\n");
    (void)state;
    assert_int_equal(scenario->config.link.latency, 1500 * BRUIT_MICROSECOND);
    assert_int_equal(scenario->config.link.loss, 2500);
    assert_int_equal(scenario->config.engine.probe_timeout, 250 * BRUIT_MILLISECOND);
    assert_int_equal(scenario->statements[0].at, 120 * BRUIT_SECOND);
    assert_int_equal(scenario->statements[1].at, 1250 * BRUIT_MILLISECOND);
    assert_int_equal(scenario->statements[2].at, UINT64_C(259200) * BRUIT_SECOND);
    assert_int_equal(scenario->statements[3].at, 0);
    br_scenario_free(scenario);
}

/* ------------------------------------------------------------------ the run */

static void test_a_crash_is_noticed_in_time_and_not_before(void **state)
{
    (void)state;
    /* 20 members, LAN timers: not within two seconds, but within thirty. */
    assert_int_equal(judge("nodes 20\nat 10s kill n5\nat 10s expect n5 dead within 30s\n").outcome,
                     BR_OUTCOME_GOOD);
    struct br_judgement hasty = judge("nodes 20\nat 10s kill n5\nat 10s expect n5 dead within 2s\n");
    assert_int_equal(hasty.outcome, BR_OUTCOME_STUCK);
    assert_int_equal(hasty.line, 3);
}

static void test_what_never_may_happen_is_a_matter_of_correctness(void **state)
{
    (void)state;
    struct br_judgement judgement = judge("nodes 20\nfor 12s\nnever failed n5\nat 10s kill n5\n");
    assert_int_equal(judgement.outcome, BR_OUTCOME_GOOD); /* ended before anybody knew */
    judgement = judge("nodes 20\nfor 1m\nnever failed n5\nat 10s kill n5\n");
    assert_int_equal(judgement.outcome, BR_OUTCOME_WRONG);
    assert_int_equal(judgement.line, 3);
    assert_int_equal(judge("nodes 20\nfor 1m\nnever failed n5 until 10s\nat 10s kill n5\n").outcome,
                     BR_OUTCOME_GOOD);
    assert_int_equal(judge("nodes 20\nfor 1m\nnever failed n5 at n5\nat 10s kill n5\n").outcome,
                     BR_OUTCOME_GOOD);
}

/* A view that held for a moment only: `stays` is about the rest. */
static void test_what_must_stay_is_looked_at_until_it_has(void **state)
{
    (void)state;
    struct br_judgement judgement =
        judge("nodes 10\nat 5s expect one view stays 30s\nat 10s pause n3 for 20s\n");
    assert_int_equal(judgement.outcome, BR_OUTCOME_STUCK);
    assert_true(judgement.time > 10 * BRUIT_SECOND);
}

static void test_what_lasts_for_a_while_is_set_right_afterwards(void **state)
{
    static const char *const faults[] = {
        "pause n3 for 40s",        "partition n3 for 40s",
        "cut of n3 for 40s",       "starve n3 run 10ms stall 5s for 40s",
        "cpu n3 5s for 40s",       "bandwidth n3 10B for 40s",
        "lose 100% of n3 for 40s",
    };
    char text[300];
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        (void)snprintf(
            text, sizeof text,
            "nodes 6\nprofile local\nat 5s %s\n"
            "at 30s expect n3 gone at n0..n2,n4..n5 within 10s\nat 45s expect one view within 3m\n",
            faults[i]);
        if (judge(text).outcome != BR_OUTCOME_GOOD)
            fail_msg("%s", faults[i]);
    }
}

static void test_calm_ends_what_has_no_end_of_its_own(void **state)
{
    (void)state;
    const char *faults =
        "nodes 6\nprofile local\nat 5s pause n1\nat 5s partition n2\nat 5s network loss 90%\n"
        "at 5s starve n3 run 1ms stall 10s\nat 30s calm\nat 30s expect one view within 4m stays 30s\n";
    assert_int_equal(judge(faults).outcome, BR_OUTCOME_GOOD);
}

/* The same text is the same run; another seed is another. */
static void test_a_seed_is_a_run(void **state)
{
    char text[BR_SWARM_TEXT_MAX];
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        size_t size = br_swarm_text(seed, text);
        struct br_judgement first, second;
        br_swarm_judge((struct bruit_bytes){(const uint8_t *)text, size}, &first);
        br_swarm_judge((struct bruit_bytes){(const uint8_t *)text, size}, &second);
        assert_int_equal(first.hash, second.hash);
        assert_int_equal(first.events, second.events);
    }
    assert_int_not_equal(judge("seed 1\nfor 10s\n").hash, judge("seed 2\nfor 10s\n").hash);
}

/* All that the swarm can draw is a scenario. */
static void test_every_seed_can_be_read(void **state)
{
    char text[BR_SWARM_TEXT_MAX];
    (void)state;
    for (uint64_t seed = 0; seed < 5000; seed++) {
        size_t size = br_swarm_text(seed, text);
        assert_true(size + 200 < BR_SWARM_TEXT_MAX);
        br_scenario_free(parse(text));
    }
}

static void test_a_run_that_does_not_fit_is_refused(void **state)
{
    struct br_scenario *scenario = parse("nodes 2000");
    struct br_run_options options = {.memory_max = 10 << 20};
    struct br_run *run;
    char why[300];
    (void)state;
    assert_int_equal(br_run_new(&run, scenario, &options, why, sizeof why), BRUIT_ETOOBIG);
    assert_non_null(strstr(why, "take fewer nodes"));
    br_scenario_free(scenario);
}

/* ------------------------------------------------------------------ recordings */

static const char *const eventful =
    "nodes 12\nloss 3%\nmodules status event query coord\n"
    "at 5s kill n5\nat 20s restart n5\nat 40s restart n3 without state\n"
    "at 50s pause n5 for 7s\nat 60s meta n5 \"hello\"\nat 70s leave n5\n"
    "at 80s start n5\nat 82s event n5 \"e\" 100 every 1s for 9s\n"
    "at 83s query n5 \"q\"\nat 84s query n3 \"r\"\nat 85s throw \"GET / HTTP\" at n5\nat 90s forget n9 by n5\n"
    "at 2m calm\n";

static void record(const char *text, uint32_t node, const char *path, uint64_t *hash)
{
    struct br_scenario *scenario = parse(text);
    struct br_run_options options = {0};
    struct br_run *run;
    char why[300];
    assert_int_equal(br_recorder_new(&options.recorder, node, path, why, sizeof why), 0);
    assert_int_equal(br_run_new(&run, scenario, &options, why, sizeof why), 0);
    assert_true(br_run_all(run));
    *hash = br_recorder_hash(options.recorder);
    br_run_free(run);
    assert_int_equal(br_recorder_close(options.recorder), 0);
    br_scenario_free(scenario);
}

/* An engine lives through crashes, a pause, a leave and a visitor; told the same again, it decides the same. */
static void test_a_replayed_engine_decides_the_same(void **state)
{
    char path[] = "/tmp/bruit-record-XXXXXX", why[300];
    int fd = mkstemp(path);
    struct br_replay_result result;
    uint64_t hash;
    (void)state;
    assert_true(fd >= 0);
    for (uint32_t node = 3; node <= 5; node++) {
        record(eventful, node, path, &hash);
        if (br_replay(path, NULL, NULL, &result, why, sizeof why) != 0)
            fail_msg("%s", why);
        assert_true(result.has_end);
        assert_int_equal(result.hash, hash);
        assert_int_equal(result.recorded_hash, hash);
        assert_true(result.inputs > 1000);
        assert_int_equal(result.lives, node == 5 ? 3 : node == 3 ? 2 : 1);
    }
    (void)close(fd);
    (void)unlink(path);
}

/* A byte of a recording is changed, or its end is missing: said, and no crash. */
static void test_a_damaged_recording_is_refused_or_shows(void **state)
{
    char path[] = "/tmp/bruit-record-XXXXXX", why[300];
    int fd = mkstemp(path);
    struct br_replay_result result;
    uint64_t hash;
    (void)state;
    record("nodes 5\nat 5s kill n3\nfor 20s\n", 1, path, &hash);
    long size = lseek(fd, 0, SEEK_END);
    uint8_t *data = malloc((size_t)size);
    assert_int_equal(pread(fd, data, (size_t)size, 0), size);
    for (long at = 0; at < size; at += 1 + size / 400) {
        uint8_t kept = data[at];
        data[at] ^= 0xff;
        assert_int_equal(pwrite(fd, data, (size_t)size, 0), size);
        (void)br_replay(path, NULL, NULL, &result, why, sizeof why);
        data[at] = kept;
    }
    assert_int_equal(pwrite(fd, data, (size_t)size, 0), size);
    assert_int_equal(ftruncate(fd, size - 17), 0);
    assert_true(br_replay(path, NULL, NULL, &result, why, sizeof why) != 0 || !result.has_end);
    free(data);
    (void)close(fd);
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_mistake_is_told_with_line_expectation_and_nearest_word),
        cmocka_unit_test(test_impossible_parameters_get_the_reason),
        cmocka_unit_test(test_sets_of_nodes_are_who_they_say),
        cmocka_unit_test(test_durations_and_shares_are_exact),
        cmocka_unit_test(test_a_crash_is_noticed_in_time_and_not_before),
        cmocka_unit_test(test_what_never_may_happen_is_a_matter_of_correctness),
        cmocka_unit_test(test_what_must_stay_is_looked_at_until_it_has),
        cmocka_unit_test(test_what_lasts_for_a_while_is_set_right_afterwards),
        cmocka_unit_test(test_calm_ends_what_has_no_end_of_its_own),
        cmocka_unit_test(test_a_seed_is_a_run),
        cmocka_unit_test(test_every_seed_can_be_read),
        cmocka_unit_test(test_a_run_that_does_not_fit_is_refused),
        cmocka_unit_test(test_a_replayed_engine_decides_the_same),
        cmocka_unit_test(test_a_damaged_recording_is_refused_or_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
