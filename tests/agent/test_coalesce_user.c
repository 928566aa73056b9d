/* Gathering user events: of each name the newest, once, when it has become quiet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/coalesce_user.h"
#include "base/bytes.h"

#include <stdio.h>
#include <string.h>

#define S BRUIT_SECOND
#define START (1000 * S)

static char told[8192]; /* "name/ltime/payload " of each */

static void tell(void *context, const struct bruit_user_event *event)
{
    (void)context;
    size_t used = strlen(told);
    snprintf(told + used, sizeof told - used, "%.*s/%d/%.*s ", (int)event->name.size,
             (const char *)event->name.data, (int)event->ltime, (int)event->payload.size,
             (const char *)event->payload.data);
}

static struct br_user_coalescer start(void)
{
    struct br_user_coalescer c;
    told[0] = 0;
    br_user_coalescer_init(&c, tell, NULL);
    return c;
}

static void add(struct br_user_coalescer *c, const char *name, uint64_t ltime, const char *payload,
                bruit_time now)
{
    struct bruit_user_event event = {
        .ltime = ltime, .name = br_bytes_string(name), .payload = br_bytes_string(payload), .coalesce = true};
    assert_int_equal(br_user_coalescer_add(c, &event, now), 0);
}

/* Three events of one name in a burst, the newest not even the last to arrive: one is told, the newest. */
/* conformance: serf 30 */
static void test_of_three_events_the_newest_is_told(void **state)
{
    (void)state;
    struct br_user_coalescer c = start();
    assert_true(br_user_coalescer_deadline(&c) == BRUIT_NEVER);
    add(&c, "deploy", 5, "a", START);
    add(&c, "deploy", 7, "c", START + S / 10);
    add(&c, "deploy", 6, "b", START + S / 5);
    assert_true(br_user_coalescer_deadline(&c) == START + S / 5 + S);
    br_user_coalescer_flush(&c);
    assert_string_equal(told, "deploy/7/c ");
    assert_true(br_user_coalescer_deadline(&c) == BRUIT_NEVER);
    br_user_coalescer_fini(&c);
}

/* Events that share the highest time are all told; other names are their own business. */
static void test_events_of_one_time_are_all_told(void **state)
{
    (void)state;
    struct br_user_coalescer c = start();
    add(&c, "x", 4, "old", START);
    add(&c, "y", 1, "y", START);
    add(&c, "x", 5, "one", START);
    add(&c, "x", 5, "two", START);
    br_user_coalescer_flush(&c);
    assert_string_equal(told, "y/1/y x/5/one x/5/two ");
    br_user_coalescer_fini(&c);
}

/* Events that never stop coming, one each half second: told 3 s after the first all the same. */
static void test_waits_no_longer_than_the_period(void **state)
{
    (void)state;
    struct br_user_coalescer c = start();
    for (uint64_t i = 0; i < 6; i++)
        add(&c, "x", i, "p", START + i * S / 2);
    assert_true(br_user_coalescer_deadline(&c) == START + 3 * S);
    br_user_coalescer_flush(&c);
    assert_string_equal(told, "x/5/p ");
    add(&c, "x", 9, "p", START + 4 * S);
    assert_true(br_user_coalescer_deadline(&c) == START + 5 * S);
    br_user_coalescer_fini(&c); /* and what waits is given back */
}

/* A flood of different names: nothing is lost, and no more than 256 wait. */
static void test_a_flood_is_told_early(void **state)
{
    (void)state;
    char name[16];
    struct br_user_coalescer c = start();
    for (int i = 0; i < BR_COALESCE_USER_MAX; i++) {
        snprintf(name, sizeof name, "n%d", i);
        add(&c, name, 1, "", START);
    }
    assert_string_equal(told, "");
    add(&c, "more", 1, "", START + S / 2);
    assert_non_null(strstr(told, "n0/1/ "));
    assert_non_null(strstr(told, "n255/1/ "));
    assert_null(strstr(told, "more"));
    assert_true(br_user_coalescer_deadline(&c) == START + S / 2 + S);
    br_user_coalescer_flush(&c);
    assert_non_null(strstr(told, "more/1/ "));
    br_user_coalescer_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_of_three_events_the_newest_is_told),
        cmocka_unit_test(test_events_of_one_time_are_all_told),
        cmocka_unit_test(test_waits_no_longer_than_the_period),
        cmocka_unit_test(test_a_flood_is_told_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
