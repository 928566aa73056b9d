/*
 * Aggregates over the RPC: an agent that is alone publishes and is asked, and clients send what is no question.
 */
#include "agent/rpc_lab.h"

#include <bruit/bruit.h>

static const struct bruit_module *const modules[] = {&bruit_aggregate_module};

static int setup_engine(void **state)
{
    struct bruit_config config;
    struct bruit_env env = {.struct_size = sizeof env};
    setup(state);
    f.now = BRUIT_SECOND;
    bruit_config_lan(&config);
    config.name = br_bytes_text("ra");
    config.advertise = (struct bruit_addr){.ip = {10, 0, 0, 1}, .size = 4, .port = 7946};
    config.seed = 1;
    config.modules = modules;
    config.module_count = 1;
    assert_int_equal(bruit_engine_new(&f.engine, &config, &env, BRUIT_SECOND), 0);
    start("");
    return 0;
}

static int teardown_engine(void **state)
{
    struct bruit_engine *engine = f.engine;
    teardown(state);
    bruit_engine_free(engine);
    return 0;
}

/* A command with {Name, ...} and what the caller writes behind it. */
static void begin(struct br_blob *out, const char *command, uint64_t seq, size_t pairs, const char *name)
{
    write_header(out, command, seq);
    br_rpc_write_map(out, pairs);
    br_rpc_write_text(out, br_bytes_text("Name"));
    br_rpc_write_text(out, br_bytes_string(name));
}

static void write_text(struct br_blob *out, const char *key, const char *text)
{
    br_rpc_write_text(out, br_bytes_string(key));
    br_rpc_write_text(out, br_bytes_string(text));
}

static void write_real(struct br_blob *out, const char *key, double number)
{
    br_rpc_write_text(out, br_bytes_string(key));
    struct br_writer w = br_blob_writer(out, 16);
    br_mp_write_float(&w, number);
    br_blob_written(out, &w);
}

static void send_off(struct client *client, struct br_blob *out)
{
    say(client, br_blob_bytes(out));
    br_blob_release(out);
    receive(client);
}

static void publish(struct client *client, uint64_t seq, const char *name, double number, const char *error)
{
    struct br_blob out = BR_BLOB_EMPTY;
    begin(&out, "agg-publish", seq, 2, name);
    write_real(&out, "Number", number);
    send_off(client, &out);
    expect_header(client, seq, error);
}

static void ask(struct client *client, uint64_t seq, const char *name, const char *what, double argument)
{
    struct br_blob out = BR_BLOB_EMPTY;
    begin(&out, "agg-ask", seq, 3, name);
    write_text(&out, "What", what);
    write_real(&out, "Argument", argument);
    send_off(client, &out);
}

static void expect_text(struct br_reader *r, const char *text)
{
    assert_true(br_bytes_equal(br_mp_read_bytes(r), br_bytes_string(text)));
}

/* {Age, Error, Exact, Members, Nodes, Value} of one node that is alone. */
static void expect_answer(struct client *client, uint64_t seq, double value)
{
    struct br_reader r;
    expect_header(client, seq, "");
    br_reader_init(&r, br_blob_bytes(&client->got));
    assert_int_equal(br_mp_read_map(&r), 6);
    expect_text(&r, "Age");
    assert_int_equal(br_mp_read_uint(&r, UINT64_MAX), 0);
    expect_text(&r, "Error");
    assert_true(br_mp_read_float(&r) == 0);
    expect_text(&r, "Exact");
    assert_true(br_mp_read_bool(&r));
    expect_text(&r, "Members");
    assert_int_equal(br_mp_read_uint(&r, UINT64_MAX), 1);
    expect_text(&r, "Nodes");
    assert_int_equal(br_mp_read_uint(&r, UINT64_MAX), 1);
    expect_text(&r, "Value");
    assert_true(br_mp_read_float(&r) == value);
    assert_false(r.failed);
    (void)skip_body(client);
}

static void test_what_is_published_is_told(void **state)
{
    static const char *const questions[] = {"sum", "mean", "min", "max", "quantile"};
    struct br_blob out = BR_BLOB_EMPTY;
    (void)state;
    struct client client = open_client(0);
    handshake(&client);
    publish(&client, 1, "load", 0.75, "");
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        ask(&client, 2 + i, "load", questions[i], 0.5);
        expect_answer(&client, 2 + i, 0.75);
    }
    ask(&client, 10, "load", "count", 0);
    expect_answer(&client, 10, 1);
    ask(&client, 11, "load", "variance", 0);
    expect_answer(&client, 11, 0);
    begin(&out, "agg-withdraw", 12, 1, "load");
    send_off(&client, &out);
    expect_header(&client, 12, "");
    ask(&client, 13, "load", "mean", 0);
    expect_header(&client, 13, "Nobody publishes that, as far as this agent knows, or no estimate of it is ready yet");
    close_client(&client);
}

static void test_lists_and_tops_hold_texts(void **state)
{
    struct br_blob out = BR_BLOB_EMPTY;
    struct br_reader r;
    (void)state;
    struct client client = open_client(0);
    handshake(&client);
    begin(&out, "agg-publish", 1, 2, "version");
    write_text(&out, "Text", "1.2.3");
    send_off(&client, &out);
    expect_header(&client, 1, "");
    begin(&out, "agg-list", 2, 1, "");
    send_off(&client, &out);
    expect_header(&client, 2, "");
    br_reader_init(&r, br_blob_bytes(&client.got));
    assert_int_equal(br_mp_read_map(&r), 2);
    expect_text(&r, "More");
    assert_false(br_mp_read_bool(&r));
    expect_text(&r, "Values");
    assert_int_equal(br_mp_read_array(&r), 1);
    (void)skip_body(&client);
    begin(&out, "agg-top", 3, 2, "version");
    br_rpc_write_text(&out, br_bytes_text("Count"));
    br_rpc_write_number(&out, 5);
    send_off(&client, &out);
    expect_header(&client, 3, "");
    assert_non_null(memmem(client.got.data, client.got.size, "1.2.3", 5));
    (void)skip_body(&client);
    write_header(&out, "agg-size", 4);
    send_off(&client, &out);
    expect_header(&client, 4, "");
    (void)skip_body(&client);
    close_client(&client);
}

/* What cannot be published or asked is refused in words, and the client may go on. */
static void test_mistakes_are_told_in_words(void **state)
{
    struct br_blob out = BR_BLOB_EMPTY;
    char name[16];
    (void)state;
    struct client client = open_client(0);
    handshake(&client);
    publish(&client, 1, "x", 1e200,
            "A name and a text have at least one byte, a number is finite and at most 1e150, a quantile is 0 to 1");
    publish(&client, 2, "0123456789012345678901234567890123456789012345678901234567890123456789", 1,
            "A name has 64 bytes at most, and a text 64");
    for (uint64_t i = 0; i < 16; i++) {
        (void)snprintf(name, sizeof name, "name%u", (unsigned)i);
        publish(&client, 3 + i, name, 1, "");
    }
    publish(&client, 20, "x", 1, "16 names are published here already: withdraw one");
    ask(&client, 21, "name1", "median", 0);
    expect_header(&client, 21, "That is no question: count, sum, mean, min, max, variance, quantile, distinct");
    begin(&out, "agg-top", 22, 2, "name1");
    br_rpc_write_text(&out, br_bytes_text("Count"));
    br_rpc_write_number(&out, 1001);
    send_off(&client, &out);
    expect_header(&client, 22, "A top list has 1 to 1000 lines");
    begin(&out, "agg-withdraw", 23, 1, "x");
    send_off(&client, &out);
    expect_header(&client, 23, "This agent does not publish that");
    assert_false(client.is_closed);
    close_client(&client);
}

/* Who waits for a survey and goes away is forgotten; a body that is no map costs the connection. */
static void test_clients_that_go_are_forgotten(void **state)
{
    struct br_rpc_stats stats;
    (void)state;
    struct client waiting = open_client(0), wrong = open_client(0);
    handshake(&waiting);
    command(&waiting, "agg-checksum", 1, NULL, NULL);
    command(&waiting, "agg-checksum", 2, NULL, NULL);
    receive(&waiting);
    assert_int_equal(waiting.got.size, 0);
    close_client(&waiting);
    handshake(&wrong);
    command(&wrong, "agg-ask", 1, NULL, NULL);
    say(&wrong, br_bytes_text("\x01"));
    receive(&wrong);
    assert_true(wrong.is_closed);
    br_rpc_stats_get(f.rpc, &stats);
    assert_int_equal(stats.cut_malformed, 1);
    close_client(&wrong);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_published_is_told, setup_engine, teardown_engine),
        cmocka_unit_test_setup_teardown(test_lists_and_tops_hold_texts, setup_engine, teardown_engine),
        cmocka_unit_test_setup_teardown(test_mistakes_are_told_in_words, setup_engine, teardown_engine),
        cmocka_unit_test_setup_teardown(test_clients_that_go_are_forgotten, setup_engine, teardown_engine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
