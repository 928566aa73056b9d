/*
 * Real engines behind real drivers on one loop, talking over loopback: the whole of it, short of the agent.
 * Time is real here, so the profile is a fast one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "codec/addr.h"

#include <bruit/cipher.h>
#include <bruit/uv.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

enum { MEMBERS = 3 };

static struct {
    uv_loop_t loop;
    struct bruit_cipher cipher;
    struct bruit_uv *members[MEMBERS];
    struct bruit_addr at[MEMBERS];
    size_t closed;
    size_t joins;
    uint32_t contacted;
    char join_text[200];
    int left_error; /* of LEAVE_DONE; 1: not yet */
} world;

static void on_event(struct bruit_uv *uv, void *context, const struct bruit_event *event)
{
    (void)uv, (void)context;
    if (event->type == BRUIT_EVENT_LEAVE_DONE)
        world.left_error = event->error;
}

static void on_closed(void *context)
{
    size_t *index = context;
    world.members[*index] = NULL;
    world.closed++;
}

static void on_joined(struct bruit_uv *uv, void *context, const struct bruit_uv_joined *joined)
{
    (void)uv, (void)context;
    world.joins++;
    world.contacted += joined->contacted;
    if (joined->count > 0)
        (void)snprintf(world.join_text, sizeof world.join_text, "%s", joined->results[0].text);
}

static void start(size_t index, struct bruit_addr bind, const struct bruit_bytes *key)
{
    static const char *const names[] = {"alpha", "beta", "gamma"};
    struct bruit_config config;
    struct bruit_env env = {.struct_size = sizeof env, .cipher = &world.cipher};
    struct bruit_uv_options options;
    char why[200];
    bruit_config_local(&config);
    config.name = (struct bruit_bytes){(const uint8_t *)names[index], strlen(names[index])};
    config.probe_interval = 200 * BRUIT_MILLISECOND;
    config.probe_timeout = 60 * BRUIT_MILLISECOND;
    config.keys = key;
    config.key_count = key != NULL;
    bruit_uv_options_init(&options);
    options.bind = bind;
    options.config = &config;
    options.env = key != NULL ? &env : NULL;
    options.on_event = on_event;
    if (bruit_uv_new(&world.members[index], &world.loop, &options, why, sizeof why) != 0)
        fail_msg("%s", why);
    world.at[index] = bruit_uv_bound(world.members[index]);
}

static void join(size_t index, const struct bruit_addr *to)
{
    char text[BRUIT_ADDR_TEXT_MAX];
    const char *names[] = {text};
    br_addr_format(to, text);
    assert_int_equal(bruit_uv_join_names(world.members[index], names, 1, 0, on_joined, NULL), 0);
}

static void stop(size_t index)
{
    static size_t indexes[MEMBERS] = {0, 1, 2};
    bruit_uv_close(world.members[index], on_closed, &indexes[index]);
}

static void run_until(bool (*done)(void), bruit_time limit)
{
    uint64_t end = uv_hrtime() + limit;
    while (!done()) {
        if (uv_hrtime() > end)
            fail_msg("it took longer than %u ms", (unsigned)(limit / BRUIT_MILLISECOND));
        uv_run(&world.loop, UV_RUN_NOWAIT);
        usleep(500);
    }
}

static size_t alive_seen_by(size_t index)
{
    return bruit_member_alive_count(bruit_uv_engine(world.members[index]));
}

static bool all_see_three(void)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        if (alive_seen_by(i) != MEMBERS)
            return false;
    }
    return true;
}

static bool others_see_two(void)
{
    return alive_seen_by(0) == 2 && alive_seen_by(1) == 2;
}

static bool gamma_is(enum bruit_state state)
{
    for (size_t i = 0; i < 2; i++) {
        struct bruit_member member;
        const struct bruit_engine *engine = bruit_uv_engine(world.members[i]);
        bruit_node node = bruit_member_find(engine, (struct bruit_bytes){(const uint8_t *)"gamma", 5});
        if (bruit_member_get(engine, node, &member) != 0 || member.state != state)
            return false;
    }
    return true;
}

static bool gamma_is_dead(void)
{
    return gamma_is(BRUIT_DEAD);
}

static bool gamma_has_left(void)
{
    return world.left_error != 1 && gamma_is(BRUIT_LEFT);
}

static void begin(const struct bruit_bytes *key)
{
    memset(&world, 0, sizeof world);
    world.left_error = 1;
    if (key != NULL)
        assert_int_equal(bruit_cipher_openssl(&world.cipher), 0);
    assert_int_equal(uv_loop_init(&world.loop), 0);
    for (size_t i = 0; i < MEMBERS; i++) {
        struct bruit_addr bind = {.ip = {127, 83, 6, (uint8_t)(i + 1)}, .size = 4};
        start(i, bind, key);
    }
}

static void end(void)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        if (world.members[i] != NULL)
            stop(i);
    }
    uv_run(&world.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world.loop), 0);
}

/* Beta and gamma join through alpha: within seconds all three see all three. */
static void converge(const struct bruit_bytes *key)
{
    begin(key);
    join(1, &world.at[0]);
    join(2, &world.at[0]);
    run_until(all_see_three, 10 * BRUIT_SECOND);
    assert_int_equal(world.joins, 2);
    assert_int_equal(world.contacted, 2);
}

/* Gamma's process ends without a word: the other two find out by probing, and agree that it is dead. */
static void test_a_closed_member_is_detected(void **state)
{
    (void)state;
    converge(NULL);
    stop(2);
    run_until(others_see_two, 20 * BRUIT_SECOND);
    assert_true(gamma_is_dead());
    end();
}

/* Gamma says goodbye instead: it is known to have left, sooner than any probe could tell. */
static void test_a_leaving_member_is_known_to_have_left(void **state)
{
    (void)state;
    converge(NULL);
    struct bruit_uv *gamma = world.members[2];
    assert_int_equal(bruit_leave(bruit_uv_engine(gamma), 5 * BRUIT_SECOND, bruit_uv_now(gamma)), 0);
    bruit_uv_kick(gamma);
    run_until(gamma_has_left, 10 * BRUIT_SECOND);
    assert_int_equal(world.left_error, 0);
    end();
}

/* The same sealed with a key: both transports carry it. */
static void test_a_sealed_cluster_converges(void **state)
{
    (void)state;
    static const uint8_t key_bytes[16] = {1, 2, 3};
    struct bruit_bytes key = {key_bytes, sizeof key_bytes};
    converge(&key);
    end();
    bruit_cipher_openssl_close(&world.cipher);
}

/* A seed that is not there: the program hears which one, and why. */
static void test_a_join_that_reaches_nobody_says_so(void **state)
{
    (void)state;
    begin(NULL);
    struct bruit_addr nobody = {.ip = {127, 83, 6, 99}, .size = 4, .port = 9};
    join(0, &nobody);
    uint64_t limit = uv_hrtime() + 5 * BRUIT_SECOND;
    while (world.joins == 0 && uv_hrtime() < limit)
        uv_run(&world.loop, UV_RUN_ONCE);
    assert_int_equal(world.joins, 1);
    assert_int_equal(world.contacted, 0);
    assert_string_equal(world.join_text,
                        "Failed to join 127.83.6.99:9 (127.83.6.99:9): refused by the other side");
    end();
}

static bool has_ipv6(void)
{
    uv_loop_t loop;
    uv_tcp_t tcp;
    struct sockaddr_in6 address;
    assert_int_equal(uv_ip6_addr("::1", 0, &address), 0);
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(uv_tcp_init(&loop, &tcp), 0);
    bool works = uv_tcp_bind(&tcp, (const struct sockaddr *)&address, 0) == 0 &&
                 uv_listen((uv_stream_t *)&tcp, 1, NULL) == 0;
    uv_close((uv_handle_t *)&tcp, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    return works;
}

/* One member on IPv6 alone, one on `::`, both on the same loop: they find each other over IPv6. */
static void test_ipv6_and_dual_stack_find_each_other(void **state)
{
    (void)state;
    if (!has_ipv6())
        skip();
    memset(&world, 0, sizeof world);
    assert_int_equal(uv_loop_init(&world.loop), 0);
    struct bruit_addr six = {.ip = {[15] = 1}, .size = 16};
    for (size_t i = 0; i < MEMBERS; i++)
        start(i, six, NULL);
    join(1, &world.at[0]);
    join(2, &world.at[0]);
    run_until(all_see_three, 10 * BRUIT_SECOND);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_closed_member_is_detected),
        cmocka_unit_test(test_a_leaving_member_is_known_to_have_left),
        cmocka_unit_test(test_a_sealed_cluster_converges),
        cmocka_unit_test(test_a_join_that_reaches_nobody_says_so),
        cmocka_unit_test(test_ipv6_and_dual_stack_find_each_other),
    };
    return cmocka_run_group_tests_name("cluster", tests, NULL, NULL);
}
