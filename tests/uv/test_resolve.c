/* Joins by name: what a name may look like, and what comes back when some resolve and some answer. */
#include "uv/fake_engine.h"

#include <unistd.h>

/* ------------------------------------------------------------------ text */

static void test_takes_every_form_of_a_target(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name, *host;
        uint16_t port;
    } cases[] = {
        {"host", "", "host", 0},
        {"host:7947", "", "host", 7947},
        {"10.0.0.1", "", "10.0.0.1", 0},
        {"10.0.0.1:1", "", "10.0.0.1", 1},
        {"fe80::1", "", "fe80::1", 0},
        {"[fe80::1]", "", "fe80::1", 0},
        {"[fe80::1]:65535", "", "fe80::1", 65535},
        {"[fe80::1%eth0]:80", "", "fe80::1%eth0", 80},
        {"alpha/host", "alpha", "host", 0},
        {"alpha/10.0.0.1:7946", "alpha", "10.0.0.1", 7946},
        {"alpha/[::1]:7946", "alpha", "::1", 7946},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct br_uv_target target;
        assert_null(br_uv_target_parse(&target, cases[i].text));
        assert_int_equal(target.name.size, strlen(cases[i].name));
        assert_memory_equal(target.name.data ? (const char *)target.name.data : "", cases[i].name,
                            target.name.size);
        assert_int_equal(target.host.size, strlen(cases[i].host));
        assert_memory_equal(target.host.data, cases[i].host, target.host.size);
        assert_int_equal(target.port, cases[i].port);
    }
}

static void test_refuses_what_is_no_target(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",          "/host", "alpha/", ":7946",  "host:",   "host:0",  "host:65536", "host:1x",
        "host:http", "[::1",  "[::1]x", "[::1]:", "[]:7946", "host:-1", "host:+1",    "host:123456",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct br_uv_target target;
        if (br_uv_target_parse(&target, cases[i]) == NULL)
            fail_msg("\"%s\" was taken", cases[i]);
    }
}

/* ------------------------------------------------------------------ joins */

static struct {
    size_t calls;
    uint32_t contacted, count;
    struct bruit_addr addrs[300];
    int errors[300];
    char names[300][40];
    char texts[300][160];
} joined;

static void on_joined(struct bruit_uv *uv, void *context, const struct bruit_uv_joined *result)
{
    (void)context;
    joined.calls++;
    joined.contacted = result->contacted;
    joined.count = result->count;
    for (uint32_t i = 0; i < result->count && i < 300; i++) {
        joined.addrs[i] = result->results[i].addr;
        joined.errors[i] = result->results[i].error;
        (void)snprintf(joined.names[i], sizeof joined.names[i], "%s", result->results[i].name);
        (void)snprintf(joined.texts[i], sizeof joined.texts[i], "%s", result->results[i].text);
    }
    bruit_uv_kick(uv); /* harmless anywhere */
}

static struct bruit_join_result answers[64];
static int answer_error;
static const char *answer_text;

/* The engine's end of a join: every target with the same outcome. */
static void answer_joins(struct bruit_engine *engine, const char *input, uint32_t count)
{
    if (strcmp(input, "join") != 0)
        return;
    for (uint32_t i = 0; i < count; i++) {
        answers[i] = (struct bruit_join_result){.error = answer_error};
        if (answer_text != NULL)
            answers[i].text = (struct bruit_bytes){(const uint8_t *)answer_text, strlen(answer_text)};
    }
    struct bruit_event event = {.type = BRUIT_EVENT_JOIN_DONE, .request = engine->next_request};
    event.join.contacted = answer_error == 0 ? count : 0;
    event.join.count = count;
    event.join.results = answers;
    fake_event(engine, &event);
}

static size_t foreign_events;
static void count_events(struct bruit_uv *uv, void *context, const struct bruit_event *event)
{
    (void)uv, (void)context;
    assert_int_equal(event->type, BRUIT_EVENT_JOIN_DONE);
    foreign_events++;
}

static bool has_joined(struct rig *rig)
{
    (void)rig;
    return joined.calls > 0;
}

static void rig_start_joining(struct rig *rig, int error, const char *text)
{
    memset(&joined, 0, sizeof joined);
    answer_error = error;
    answer_text = text;
    foreign_events = 0;
    rig_init(rig, addr4(127, 83, 4, 1, 0));
    rig->options.on_event = count_events;
    rig_start(rig);
    fake->hook = answer_joins;
}

static void join(struct rig *rig, const char *const *names, size_t count)
{
    assert_int_equal(bruit_uv_join_names(rig->uv, names, count, 0, on_joined, rig), 0);
    assert_int_equal(joined.calls, 0); /* never from inside the call */
    rig_run(rig, has_joined);
    assert_int_equal(joined.calls, 1);
}

/* Addresses need no resolver: all are contacted with their port, or ours, and the name expected goes
 * along. */
static void test_joins_literal_addresses(void **state)
{
    (void)state;
    static const char *const names[] = {"127.83.4.2", "beta/127.83.4.3:99", "[::1]:98"};
    struct rig rig;
    char line[64];
    rig_start_joining(&rig, 0, NULL);
    join(&rig, names, 3);
    assert_int_equal(joined.contacted, 3);
    assert_int_equal(joined.count, 3);
    assert_string_equal(joined.names[1], "beta/127.83.4.3:99");
    assert_string_equal(joined.texts[1], "");
    (void)snprintf(line, sizeof line, "join 127.83.4.2:%u ", bruit_uv_bound(rig.uv).port);
    assert_int_equal(fake_lines(line), 1);
    assert_int_equal(fake_lines("join 127.83.4.3:99 beta"), 1);
    assert_int_equal(fake_lines("join [::1]:98 "), 1);
    assert_int_equal(fake->join_calls, 1);
    assert_int_equal(foreign_events, 0);
    rig_end(&rig);
}

/* A name is looked up in the background, and what it stands for is contacted. */
static void test_joins_a_name(void **state)
{
    (void)state;
    static const char *const names[] = {"alpha/localhost:97"};
    struct rig rig;
    rig_start_joining(&rig, 0, NULL);
    join(&rig, names, 1);
    assert_true(joined.count >= 1);
    assert_int_equal(joined.contacted, joined.count);
    assert_true(fake_lines("join 127.0.0.1:97 alpha") + fake_lines("join [::1]:97 alpha") >= 1);
    rig_end(&rig);
}

/* One name does not exist (no name server need be asked about two dots), one is no name, one address
 * answers: each is told apart, in the order given. */
static void test_says_which_names_failed(void **state)
{
    (void)state;
    static const char *const names[] = {"no..such.host", "host:http", "127.83.4.2:96"};
    struct rig rig;
    rig_start_joining(&rig, 0, NULL);
    join(&rig, names, 3);
    assert_int_equal(joined.contacted, 1);
    assert_int_equal(joined.count, 3);
    assert_int_equal(joined.errors[0], BRUIT_ENOENT);
    assert_int_equal(joined.addrs[0].size, 0);
    assert_non_null(strstr(joined.texts[0], "Failed to resolve no..such.host: "));
    assert_int_equal(joined.errors[1], BRUIT_EINVAL);
    assert_string_equal(joined.texts[1],
                        "Failed to resolve host:http: the port is not a number from 1 to 65535");
    assert_int_equal(joined.errors[2], 0);
    assert_string_equal(joined.names[2], "127.83.4.2:96");
    rig_end(&rig);
}

/* Nothing to contact at all: the program hears so, and the engine is not troubled. */
static void test_reports_when_no_name_resolves(void **state)
{
    (void)state;
    static const char *const names[] = {"", "[::1"};
    struct rig rig;
    rig_start_joining(&rig, 0, NULL);
    join(&rig, names, 2);
    assert_int_equal(joined.contacted, 0);
    assert_int_equal(joined.count, 2);
    assert_int_equal(fake->join_calls, 0);
    rig_end(&rig);
}

/* What the other side said is passed on; what could confuse a terminal is not. */
static void test_passes_on_what_the_other_side_said(void **state)
{
    (void)state;
    static const char *const names[] = {"127.83.4.2:96"};
    struct rig rig;
    rig_start_joining(&rig, BRUIT_EREMOTE, "go \x1b away");
    join(&rig, names, 1);
    assert_int_equal(joined.contacted, 0);
    assert_int_equal(joined.errors[0], BRUIT_EREMOTE);
    assert_string_equal(joined.texts[0],
                        "Failed to join 127.83.4.2:96 (127.83.4.2:96): the other side answered "
                        "with an error: go \\x1b away");
    rig_end(&rig);
}

/* Two hundred addresses: 64 at a time, and one report. */
static void test_contacts_many_in_portions(void **state)
{
    (void)state;
    static char texts[200][24];
    const char *names[200];
    struct rig rig;
    for (int i = 0; i < 200; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "127.83.5.%u:7946", (unsigned)i % 256u);
        names[i] = i % 10 == 9 ? "bad:port" : texts[i];
    }
    rig_start_joining(&rig, 0, NULL);
    join(&rig, names, 200);
    assert_int_equal(joined.count, 200);
    assert_int_equal(joined.contacted, 180);
    assert_int_equal(fake->join_count, 180);
    assert_int_equal(fake->join_calls, 3);
    assert_string_equal(joined.names[198], "127.83.5.198:7946");
    assert_int_equal(joined.errors[199], BRUIT_EINVAL);
    rig_end(&rig);
}

/* A join that the program made itself ends as its own event. */
static void test_leaves_other_joins_alone(void **state)
{
    (void)state;
    struct rig rig;
    struct bruit_join_target target = {.addr = addr4(127, 83, 4, 2, 7946)};
    uint32_t request;
    rig_start_joining(&rig, 0, NULL);
    assert_int_equal(bruit_join(bruit_uv_engine(rig.uv), &target, 1, 0, &request, bruit_uv_now(rig.uv)), 0);
    bruit_uv_kick(rig.uv);
    assert_int_equal(foreign_events, 1);
    assert_int_equal(joined.calls, 0);
    rig_end(&rig);
}

static void join_again(struct bruit_uv *uv, void *context, const struct bruit_uv_joined *result)
{
    static const char *const names[] = {"127.83.4.3"};
    on_joined(uv, context, result);
    if (joined.calls < 3)
        assert_int_equal(bruit_uv_join_names(uv, names, 1, 0, join_again, context), 0);
    else
        bruit_uv_close(uv, rig_on_closed, context);
}

static bool is_closed(struct rig *rig)
{
    return rig->closed > 0;
}

/* The end of one join begins the next, and the last one closes the driver. */
static void test_joins_from_inside_the_callback(void **state)
{
    (void)state;
    static const char *const names[] = {"127.83.4.2"};
    struct rig rig;
    rig_start_joining(&rig, 0, NULL);
    assert_int_equal(bruit_uv_join_names(rig.uv, names, 1, 0, join_again, &rig), 0);
    rig_run(&rig, is_closed);
    assert_int_equal(joined.calls, 3);
    rig_end(&rig);
}

static void on_joined_closed(struct bruit_uv *uv, void *context, const struct bruit_uv_joined *result)
{
    on_joined(uv, context, result);
    assert_int_equal(result->results[0].error, BRUIT_ECLOSED);
    assert_int_equal(bruit_uv_join_names(uv, &result->results[0].name, 1, 0, NULL, NULL), BRUIT_ECLOSED);
}

/* The driver closes before the engine has an answer, or before the resolver has: the report comes all the
 * same. */
static void test_a_closing_driver_reports_its_joins(void **state)
{
    (void)state;
    static const char *const names[] = {"127.83.4.2", "localhost"};
    for (size_t first = 0; first < 2; first++) {
        struct rig rig;
        rig_start_joining(&rig, 0, NULL);
        fake->hook = NULL; /* the engine never answers */
        assert_int_equal(bruit_uv_join_names(rig.uv, &names[first], 1, 0, on_joined_closed, &rig), 0);
        uv_run(&rig.loop, UV_RUN_NOWAIT);
        bruit_uv_close(rig.uv, rig_on_closed, &rig);
        rig_run(&rig, is_closed);
        assert_int_equal(joined.calls, 1);
        rig_end(&rig);
    }
}

static void test_refuses_lists_that_are_none(void **state)
{
    (void)state;
    struct rig rig;
    char longest[520];
    const char *names[1] = {longest};
    static const char *many[1025];
    memset(longest, 'x', sizeof longest);
    longest[513] = '\0';
    for (size_t i = 0; i < 1025; i++)
        many[i] = "127.0.0.1";
    rig_start_joining(&rig, 0, NULL);
    assert_int_equal(bruit_uv_join_names(rig.uv, names, 0, 0, on_joined, NULL), BRUIT_EINVAL);
    assert_int_equal(bruit_uv_join_names(rig.uv, names, 1, 0, on_joined, NULL), BRUIT_EINVAL);
    assert_int_equal(bruit_uv_join_names(rig.uv, many, 1025, 0, on_joined, NULL), BRUIT_EINVAL);
    names[0] = NULL;
    assert_int_equal(bruit_uv_join_names(rig.uv, names, 1, 0, on_joined, NULL), BRUIT_EINVAL);
    rig_end(&rig);
    assert_int_equal(joined.calls, 0);
}

/* ------------------------------------------------------------------ at once */

static void test_resolves_at_once(void **state)
{
    (void)state;
    struct bruit_addr addr;
    char why[128];
    assert_int_equal(bruit_uv_resolve("127.83.4.2", 7946, &addr, why, sizeof why), 0);
    assert_int_equal(addr.port, 7946);
    assert_int_equal(addr.size, 4);
    assert_int_equal(bruit_uv_resolve("[::1]:80", 7946, &addr, why, sizeof why), 0);
    assert_int_equal(addr.port, 80);
    assert_int_equal(addr.size, 16);
    assert_int_equal(bruit_uv_resolve("localhost:81", 7946, &addr, NULL, 0), 0);
    assert_int_equal(addr.port, 81);
    assert_int_equal(bruit_uv_resolve("host:none", 1, &addr, why, sizeof why), BRUIT_EINVAL);
    assert_string_equal(why, "cannot resolve \"host:none\": the port is not a number from 1 to 65535");
    assert_int_equal(bruit_uv_resolve("no..such.host", 1, &addr, why, sizeof why), BRUIT_ENOENT);
    assert_non_null(strstr(why, "cannot resolve \"no..such.host\": "));
    assert_int_equal(bruit_uv_resolve("no..such.host", 1, &addr, NULL, 0), BRUIT_ENOENT);
    assert_int_equal(addr.port, 81); /* untouched by failures */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes_every_form_of_a_target),
        cmocka_unit_test(test_refuses_what_is_no_target),
        cmocka_unit_test(test_joins_literal_addresses),
        cmocka_unit_test(test_joins_a_name),
        cmocka_unit_test(test_says_which_names_failed),
        cmocka_unit_test(test_reports_when_no_name_resolves),
        cmocka_unit_test(test_passes_on_what_the_other_side_said),
        cmocka_unit_test(test_contacts_many_in_portions),
        cmocka_unit_test(test_leaves_other_joins_alone),
        cmocka_unit_test(test_joins_from_inside_the_callback),
        cmocka_unit_test(test_a_closing_driver_reports_its_joins),
        cmocka_unit_test(test_refuses_lists_that_are_none),
        cmocka_unit_test(test_resolves_at_once),
    };
    return cmocka_run_group_tests_name("resolve", tests, NULL, NULL);
}
