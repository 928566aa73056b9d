/*
 * Ownership over the RPC, and with it the way in which commands of bruit's own come in: the answers of an agent with
 * three members, and clients that send bodies which are none, too early, in pieces, or too much at once.
 */
#include "agent/rpc_lab.h"

#include <bruit/bruit.h>

static const struct bruit_module *const modules[] = {&bruit_owner_module};

/* Alone, in zone z1 with weight 7. */
static int setup_engine(void **state)
{
    struct bruit_config config;
    struct bruit_env env = {.struct_size = sizeof env};
    setup(state);
    bruit_config_lan(&config);
    config.name = br_bytes_text("ra");
    config.meta = br_bytes_text("\xff\x82\xa4zone\xa2z1\xa6weight\xa1"
                                "7");
    config.advertise = (struct bruit_addr){.ip = {10, 0, 0, 1}, .size = 4, .port = 7946};
    config.seed = 1;
    config.modules = modules;
    config.module_count = 1;
    assert_int_equal(bruit_engine_new(&f.engine, &config, &env, BRUIT_SECOND), 0);
    assert_int_equal(bruit_owner_configure(f.engine, bruit_owner_site_of_tags, NULL), 0);
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

static void write_request(struct br_blob *out, uint64_t seq, uint64_t count, const char *const *keys,
                          size_t key_count)
{
    write_header(out, "owner", seq);
    br_rpc_write_map(out, 2);
    br_rpc_write_text(out, br_bytes_text("Count"));
    br_rpc_write_number(out, count);
    br_rpc_write_text(out, br_bytes_text("Keys"));
    br_rpc_write_array(out, key_count);
    for (size_t i = 0; i < key_count; i++)
        br_rpc_write_text(out, br_bytes_string(keys == NULL ? "k" : keys[i]));
}

static void ask(struct client *client, uint64_t seq, uint64_t count, size_t key_count)
{
    struct br_blob out = BR_BLOB_EMPTY;
    write_request(&out, seq, count, NULL, key_count);
    say(client, br_blob_bytes(&out));
    br_blob_release(&out);
    receive(client);
}

static void expect_text(struct br_reader *r, const char *text)
{
    struct bruit_bytes got = br_mp_read_bytes(r);
    assert_true(br_bytes_equal(got, br_bytes_string(text)));
}

/* {Addr, Name, ...}, as far as all answers agree. */
static void expect_member(struct br_reader *r, uint32_t pairs)
{
    assert_int_equal(br_mp_read_map(r), pairs);
    expect_text(r, "Addr");
    expect_text(r, "10.0.0.1:7946");
    expect_text(r, "Name");
    expect_text(r, "ra");
}

static void expect_view(struct br_reader *r)
{
    char text[17];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)bruit_view_checksum(f.engine));
    expect_text(r, "View");
    expect_text(r, text);
    assert_false(r->failed);
}

/* Two keys and three owners wanted, but there is one member: it is told once for each key, with the view. */
static void test_owners_are_told_key_by_key(void **state)
{
    struct br_blob out = BR_BLOB_EMPTY;
    struct br_reader r;
    (void)state;
    struct client client = open_client(0);
    handshake(&client);
    write_request(&out, 4, 3, (const char *const[]){"a", ""}, 2);
    say(&client, br_blob_bytes(&out));
    receive(&client);
    expect_header(&client, 4, "");
    br_reader_init(&r, br_blob_bytes(&client.got));
    assert_int_equal(br_mp_read_map(&r), 2);
    expect_text(&r, "Owners");
    assert_int_equal(br_mp_read_array(&r), 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(br_mp_read_array(&r), 1);
        expect_member(&r, 3);
        expect_text(&r, "Zone");
        expect_text(&r, "z1");
    }
    expect_view(&r);
    br_blob_release(&out);
    close_client(&client);
}

static void test_shares_are_told_of_every_member(void **state)
{
    struct br_reader r;
    (void)state;
    struct client client = open_client(0);
    handshake(&client);
    command(&client, "owner-shares", 9, NULL, NULL);
    receive(&client);
    expect_header(&client, 9, "");
    br_reader_init(&r, br_blob_bytes(&client.got));
    assert_int_equal(br_mp_read_map(&r), 2);
    expect_text(&r, "Members");
    assert_int_equal(br_mp_read_array(&r), 1);
    expect_member(&r, 5);
    expect_text(&r, "Share");
    assert_true(br_mp_read_float(&r) == 1.0);
    expect_text(&r, "Weight");
    assert_int_equal(br_mp_read_uint(&r, UINT64_MAX), 7);
    expect_text(&r, "Zone");
    expect_text(&r, "z1");
    expect_view(&r);
    close_client(&client);
}

/* A request byte by byte, and a plain command right behind it: both are answered, in their order. */
static void test_body_may_come_byte_by_byte(void **state)
{
    struct br_blob out = BR_BLOB_EMPTY;
    (void)state;
    struct client client = open_client(0);
    handshake(&client);
    write_request(&out, 1, 1, NULL, 2);
    write_header(&out, "owner-shares", 2);
    for (size_t i = 0; i < out.size; i++)
        say(&client, br_bytes(out.data + i, 1));
    receive(&client);
    expect_header(&client, 1, "");
    (void)skip_body(&client);
    expect_header(&client, 2, "");
    (void)skip_body(&client);
    assert_false(client.is_closed);
    br_blob_release(&out);
    close_client(&client);
}

/* 256 keys and 32 owners are answered; one more of either is refused in words, and the client may go on. */
static void test_limits_are_told_in_words(void **state)
{
    static const struct {
        uint64_t count;
        size_t keys;
        bool is_refused;
    } rows[] = {{32, 256, false}, {33, 1, true}, {0, 1, true}, {1, 257, true}, {1, 0, false}};
    (void)state;
    struct client client = open_client(0);
    handshake(&client);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ask(&client, i + 1, rows[i].count, rows[i].keys);
        expect_header(&client, i + 1,
                      rows[i].is_refused ? "A key has 1 to 32 owners, and a request 256 keys at most" : "");
        if (!rows[i].is_refused)
            (void)skip_body(&client);
        assert_int_equal(client.got.size, 0);
    }
    close_client(&client);
}

/* Bodies that are whole, but not what the command wants: each costs its sender the connection, and is counted. */
static void test_undecodable_body_ends_the_connection(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } bodies[] = {
        {"\x01", 1},                                            /* no map */
        {"\x81\xa4Keys\x91\x01", 8},                            /* a key that is no text */
        {"\x81\xa4Keys\xa1x", 8},                               /* no list */
        {"\x82\xa5"
         "Count\xa1x\xa4Keys\x90",
         15}, /* no number */
        {"\x82\xa5"
         "Count\xcf\x00\x00\x00\x01\x00\x00\x00\x00\xa4Keys\x90",
         22}, /* 2^32 */
    };
    struct br_rpc_stats stats;
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct client client = open_client(0);
        handshake(&client);
        command(&client, "owner", 1, NULL, NULL);
        say(&client, br_bytes(bodies[i].bytes, bodies[i].size));
        receive(&client);
        assert_true(client.is_closed);
        br_rpc_stats_get(f.rpc, &stats);
        assert_int_equal(stats.cut_malformed, i + 1);
        close_client(&client);
    }
}

/* Before the handshake, and by a name that is nearly right: the two ends that Serf's commands have. */
static void test_order_of_the_checks_is_serfs(void **state)
{
    (void)state;
    struct client early = open_client(0), wrong = open_client(0);
    command(&early, "owner", 1, NULL, NULL);
    receive(&early);
    expect_header(&early, 1, "Handshake required");
    assert_true(early.is_closed);
    handshake(&wrong);
    command(&wrong, "owners", 1, NULL, NULL);
    receive(&wrong);
    expect_header(&wrong, 1, "Unsupported command");
    assert_true(wrong.is_closed);
    close_client(&early);
    close_client(&wrong);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_owners_are_told_key_by_key, setup_engine, teardown_engine),
        cmocka_unit_test_setup_teardown(test_shares_are_told_of_every_member, setup_engine, teardown_engine),
        cmocka_unit_test_setup_teardown(test_body_may_come_byte_by_byte, setup_engine, teardown_engine),
        cmocka_unit_test_setup_teardown(test_limits_are_told_in_words, setup_engine, teardown_engine),
        cmocka_unit_test_setup_teardown(test_undecodable_body_ends_the_connection, setup_engine,
                                        teardown_engine),
        cmocka_unit_test_setup_teardown(test_order_of_the_checks_is_serfs, setup_engine, teardown_engine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
