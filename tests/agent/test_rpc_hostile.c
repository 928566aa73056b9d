/*
 * Hostile clients of the RPC server: random, damaged, truncated, oversized, too early and too much. Each gets a clear
 * answer or the end of its connection; nothing is lost, nothing is blocked, and what they can make the agent hold is
 * bounded.
 */
#include "agent/rpc_lab.h"

/* ------------------------------------------------------------------ hostile clients */

/* One client sends what cannot be decoded: it is cut off and counted, its neighbour hears nothing of it. */
/* conformance: rpc 6 */
static void test_undecodable_input_ends_one_connection_only(void **state)
{
    struct br_rpc_stats stats;
    (void)state;
    start("");
    struct client good = open_client(0), bad = open_client(0), web = open_client(0);
    handshake(&good);
    say(&bad, br_bytes_text("\xc1"));
    say(&web, br_bytes_text("GET /members HTTP/1.1\r\nHost: x\r\n\r\n"));
    receive(&bad);
    receive(&web);
    assert_true(bad.is_closed);
    assert_true(web.is_closed);
    br_rpc_stats_get(f.rpc, &stats);
    assert_int_equal(stats.cut_malformed, 2);
    command(&good, "members", 1, NULL, NULL);
    receive(&good);
    expect_header(&good, 1, "");
    close_client(&good);
    close_client(&bad);
    close_client(&web);
}

/* A text of 2 MiB: cut off at one, and what it had sent is given back. */
static void test_oversized_object_is_cut_off(void **state)
{
    struct br_rpc_stats stats;
    uint8_t *large = calloc(1, 2u << 20);
    (void)state;
    start("");
    struct client client = open_client(0);
    memcpy(large, "\xdb\x00\x20\x00\x00", 5);
    say(&client, br_bytes(large, 2u << 20));
    receive(&client);
    assert_true(client.is_closed);
    br_rpc_stats_get(f.rpc, &stats);
    assert_int_equal(stats.cut_too_big, 1);
    free(large);
    close_client(&client);
}

/*
 * A hundred thousand members and a pattern of a thousand steps: the loop that answers probes is not held
 * up for it.
 */
static void test_filter_that_takes_too_long_is_cut_off(void **state)
{
    struct br_rpc_stats stats;
    (void)state;
    start("");
    f.member_count = 100000;
    struct client quick = open_client(0), slow = open_client(0);
    handshake(&quick);
    handshake(&slow);
    command(&quick, "members-filtered", 1, "Name", "r[ab]|nobody");
    receive(&quick);
    expect_header(&quick, 1, "");
    command(&slow, "members-filtered", 1, "Name", "(.?.?){200}z");
    receive(&slow);
    assert_true(slow.is_closed);
    assert_int_equal(slow.got.size, 0);
    br_rpc_stats_get(f.rpc, &stats);
    assert_int_equal(stats.cut_too_big, 1);
    close_client(&quick);
    close_client(&slow);
}

/* One client opens streams without end, another connections without end. */
static void test_streams_and_connections_are_bounded(void **state)
{
    struct br_rpc_stats stats;
    static struct client many[600];
    (void)state;
    start("");
    struct client client = open_client(0);
    handshake(&client);
    for (unsigned i = 1; i <= 65; i++)
        command(&client, "stream", i, "Type", "*");
    receive(&client);
    for (unsigned i = 1; i <= 64; i++)
        expect_header(&client, i, "");
    expect_header(&client, 65, "Too many streams on one connection");
    for (unsigned i = 0; i < 600; i++) {
        many[i] = open_client(0);
        turn();
    }
    br_rpc_stats_get(f.rpc, &stats);
    assert_int_equal(stats.accepted, 512);
    assert_int_equal(stats.refused, 601 - 512);
    for (unsigned i = 0; i < 600; i++)
        close_client(&many[i]);
    turn();
    close_client(&client);
    /* The places are free again. */
    turn();
    struct client late = open_client(0);
    handshake(&late);
    close_client(&late);
}

/*
 * Random bytes after a handshake, many times: the server answers, waits or closes, and is there
 * afterwards.
 */
/* conformance: rpc 6 */
static void test_random_bytes_do_no_harm(void **state)
{
    unsigned seed = 20260103;
    (void)state;
    print_message("seed %u\n", seed);
    srand(seed);
    start("");
    f.answers_at_once = true;
    for (unsigned round = 0; round < 300; round++) {
        uint8_t bytes[200];
        struct client client = open_client(0);
        handshake(&client);
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)rand();
        say(&client, br_bytes(bytes, 1 + (size_t)rand() % sizeof bytes));
        turn();
        close_client(&client);
    }
    struct client last = open_client(0);
    handshake(&last);
    close_client(&last);
}

/* ------------------------------------------------------------------ too early */

/* Every command with the text of its body that is worth lengthening, or none. */
static const struct {
    const char *name;
    const char *key;
} every_command[] = {
    {"auth", "AuthKey"},
    {"event", "Name"},
    {"force-leave", "Node"},
    {"members", NULL},
    {"members-filtered", "Name"},
    {"stream", "Type"},
    {"monitor", "LogLevel"},
    {"stop", "x"},
    {"leave", NULL},
    {"tags", "x"},
    {"query", "Name"},
    {"respond", "Payload"},
    {"install-key", "Key"},
    {"use-key", "Key"},
    {"remove-key", "Key"},
    {"list-keys", NULL},
    {"stats", NULL},
    {"get-coordinate", "Node"},
    {"join", "x"},
};
enum { COMMANDS = sizeof every_command / sizeof every_command[0] };

/* 1 MiB of a letter. */
static char *long_text(void)
{
    enum { SIZE = 1 << 20 };
    char *text = malloc(SIZE + 1);
    assert_non_null(text);
    memset(text, 'n', SIZE);
    text[SIZE] = 0;
    return text;
}

static void expect_good_neighbour(struct client *good, uint64_t seq)
{
    command(good, "members", seq, NULL, NULL);
    receive(good);
    expect_header(good, seq, "");
    (void)skip_body(good);
    assert_int_equal(good->got.size, 0);
}

static void expect_nothing_held(void)
{
    struct br_rpc_stats stats;
    turn();
    br_rpc_stats_get(f.rpc, &stats);
    assert_int_equal(stats.held, 0);
}

/*
 * Whoever does not shake hands is told so and sees the end of the connection, even with a megabyte behind the command
 * that nobody will read.
 */
/* conformance: rpc 4 */
static void test_every_command_before_the_handshake_is_refused_in_words(void **state)
{
    char *large = long_text();
    (void)state;
    start("");
    for (unsigned i = 0; i < 2 * COMMANDS; i++) {
        const char *key = every_command[i / 2].key;
        struct client client = open_client(0);
        command(&client, every_command[i / 2].name, 40 + i, key, i % 2 == 0 ? "x" : large);
        receive(&client);
        expect_header(&client, 40 + i, "Handshake required");
        assert_int_equal(client.got.size, 0);
        assert_true(client.is_closed);
        close_client(&client);
    }
    assert_null(f.call);
    assert_int_equal(f.joins, 0);
    expect_nothing_held();
    free(large);
}

/* Without the token each is refused once, whatever its body, and the connection goes on until the token comes. */
/* conformance: rpc 4 */
static void test_every_command_before_the_token_is_refused_in_words(void **state)
{
    char *large = long_text();
    (void)state;
    start("sekrit");
    struct client client = open_client(0);
    handshake(&client);
    for (unsigned i = 0; i < 2 * COMMANDS; i++) {
        bool is_auth = strcmp(every_command[i / 2].name, "auth") == 0;
        command(&client, every_command[i / 2].name, 40 + i, every_command[i / 2].key,
                i % 2 == 0 ? "x" : large);
        receive(&client);
        expect_header(&client, 40 + i, is_auth ? "Invalid authentication token" : "Authentication required");
        assert_int_equal(client.got.size, 0);
    }
    assert_null(f.call);
    assert_int_equal(f.joins, 0);
    command(&client, "auth", 7, "AuthKey", "sekrit");
    receive(&client);
    expect_header(&client, 7, "");
    expect_good_neighbour(&client, 8);
    close_client(&client);
    expect_nothing_held();
    free(large);
}

/* ------------------------------------------------------------------ names of a megabyte */

/* What each command says to a text of 1 MiB where it takes one; nothing of it stays. */
static void test_texts_of_a_megabyte_get_a_clear_answer(void **state)
{
    static const struct {
        const char *command, *key, *answer;
    } rows[] = {
        {"auth", "AuthKey", "Invalid authentication token"},
        {"event", "Name", "too long for the test"},
        {"query", "Name", "too long for the test"},
        {"respond", "Payload", "No pending queries matching ID"},
        {"stream", "Type", "Invalid event filter"},
        {"monitor", "LogLevel",
         "Unknown log level: NNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNN"},
        {"get-coordinate", "Node", ""},
        {"force-leave", "Node", ""},
        {"install-key", "Key", ""},
    };
    char *large = long_text();
    (void)state;
    start("");
    f.answers_at_once = true;
    f.refusal = "too long for the test";
    struct client client = open_client(0), good = open_client(0);
    handshake(&client);
    handshake(&good);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        command(&client, rows[i].command, i, rows[i].key, large);
        receive(&client);
        expect_header(&client, i, rows[i].answer);
        if (client.got.size > 0)
            (void)skip_body(&client);
        expect_good_neighbour(&good, i);
    }
    /* A pattern that is too long is none: the connection ends, as for every pattern that is none. */
    command(&client, "members-filtered", 77, "Name", large);
    receive(&client);
    assert_true(client.is_closed);
    assert_int_equal(client.got.size, 0);
    close_client(&client);
    close_client(&good);
    expect_nothing_held();
    free(large);
}

/*
 * Two hundred and fifty clients send a megabyte each of requests that never become whole: beyond the bound they are cut
 * off, whoever comes then is served, and when they go nothing is held.
 */
static void test_requests_that_never_end_hold_a_bounded_memory(void **state)
{
    enum { MANY = 250 };
    static struct client many[MANY];
    struct br_rpc_stats stats;
    uint8_t *large = calloc(1, 1u << 20);
    (void)state;
    start("");
    memcpy(large, "\xdb\x00\x10\x00\x00", 5); /* a text of 1 MiB, a few bytes of which do not come */
    for (unsigned i = 0; i < MANY; i++) {
        many[i] = open_client(0);
        say(&many[i], br_bytes(large, 1u << 20));
        turn();
        br_rpc_stats_get(f.rpc, &stats);
        assert_true(stats.held <= (size_t)192 << 20);
    }
    assert_true(stats.cut_too_big >= 50);
    for (unsigned i = 0; i < MANY; i++)
        close_client(&many[i]);
    expect_nothing_held();
    struct client late = open_client(0);
    handshake(&late);
    close_client(&late);
    free(large);
}

/* ------------------------------------------------------------------ wrong shapes */

#define SHAPE(text)                               \
    {                                             \
        (const uint8_t *)(text), sizeof(text) - 1 \
    }

/*
 * Each command gets bodies that are no body of its: it is answered, or the connection ends and that is counted. Nobody
 * else notices, and nothing is left behind.
 */
/* conformance: rpc 6 */
static void test_bodies_of_the_wrong_shape_harm_nobody(void **state)
{
    static const struct bruit_bytes shapes[] = {
        SHAPE("\xc0"),             /* nil */
        SHAPE("\x07"),             /* a number */
        SHAPE("\xa3now"),          /* a text */
        SHAPE("\x90"),             /* an empty list */
        SHAPE("\x93\x01\x02\x03"), /* a list of numbers */
        SHAPE("\x81\x01\x02"),     /* a map whose key is a number */
        SHAPE("\x81\xc0\xc0"),     /* a map whose key is nil */
        SHAPE("\x81\xa4Name\x81\xa1x\x90"),
        SHAPE("\x81\xa4Name\x07"),
        SHAPE("\x81\xa4Type\x91\x01"),
        SHAPE("\x81\xa4Node\xc3"),
        SHAPE("\x81\xa3Key\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"),
        SHAPE("\x81\xa4Tags\x92\x01\x02"),
        SHAPE("\x81\xa4Tags\x81\xa1x\x07"),
        SHAPE("\x81\xaa"
              "DeleteTags\x81\xa1x\xa1y"),
        SHAPE("\x81\xa8"
              "Existing\x92\x07\xc0"),
        SHAPE("\x81\xa8LogLevel\xd3\xff\xff\xff\xff\xff\xff\xff\xff"),
        SHAPE("\x81\xa7Version\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
        SHAPE("\x81\xa7Timeout\xa1x"),
        SHAPE("\x81\xabRelayFactor\xcd\x01\x00"),
        SHAPE("\x81\xa2ID\xff"),
        SHAPE("\x81\xa4Stop\xff"),
        SHAPE("\x81\xa7Payload\x81\xa1x\xa1y"),
    };
    unsigned answered = 0, ended = 0;
    struct br_rpc_stats stats;
    (void)state;
    start("");
    f.answers_at_once = true;
    struct client good = open_client(0);
    handshake(&good);
    for (unsigned i = 0; i < COMMANDS; i++) {
        for (unsigned j = 0; j < sizeof shapes / sizeof shapes[0]; j++) {
            struct br_blob out = BR_BLOB_EMPTY;
            struct client client = open_client(0);
            uint64_t seq;
            char error[160];
            handshake(&client);
            write_header(&out, every_command[i].name, 9);
            br_blob_add(&out, shapes[j]);
            say(&client, br_blob_bytes(&out));
            receive(&client);
            /* Without a body of its own the shape is the next header. */
            if (take_header(&client, &seq, error)) {
                assert_int_equal(seq, 9);
                answered++;
            } else {
                assert_true(client.is_closed);
            }
            ended += client.is_closed;
            br_blob_release(&out);
            close_client(&client);
        }
        expect_good_neighbour(&good, i);
    }
    close_client(&good);
    br_rpc_stats_get(f.rpc, &stats);
    print_message("%u bodies: %u answered, %u ended the connection, %u of them counted as malformed\n",
                  (unsigned)(COMMANDS * sizeof shapes / sizeof shapes[0]), answered, ended,
                  (unsigned)stats.cut_malformed);
    assert_true(answered > 0 && stats.cut_malformed > 0 && stats.cut_malformed <= ended);
    expect_nothing_held();
}

/* A conversation of every command, cut off at each byte: no answer to what did not come, and nothing left behind. */
/* conformance: rpc 6 */
static void test_conversation_may_end_at_every_byte(void **state)
{
    struct br_blob all = BR_BLOB_EMPTY;
    (void)state;
    start("");
    f.answers_at_once = true;
    br_blob_add(&all, br_bytes_text("\x82\xa7"
                                    "Command\xa9handshake\xa3Seq\x00\x81\xa7Version\x01"));
    for (unsigned i = 0; i < COMMANDS; i++) {
        write_header(&all, every_command[i].name, 1 + i);
        if (every_command[i].key != NULL) {
            br_rpc_write_map(&all, 1);
            br_rpc_write_text(&all, br_bytes_string(every_command[i].key));
            br_rpc_write_text(&all, br_bytes_text("x"));
        }
    }
    for (size_t end = 0; end <= all.size; end++) {
        struct client client = open_client(0);
        say(&client, br_bytes(all.data, end));
        turn();
        close_client(&client);
    }
    expect_nothing_held();
    struct client last = open_client(0);
    handshake(&last);
    close_client(&last);
    br_blob_release(&all);
}

/* ------------------------------------------------------------------ whose turn it is */

/*
 * One client asks for thirty costly filters at once. They are not worked off in one go: the loop, which carries the
 * gossip, turns in between, and a neighbour is served before they are done.
 */
static void test_costly_commands_take_turns_with_everything_else(void **state)
{
    enum { FILTERS = 30 };
    struct br_blob out = BR_BLOB_EMPTY, question = BR_BLOB_EMPTY;
    (void)state;
    start("");
    f.member_count = 100000;
    struct client greedy = open_client(0), good = open_client(0);
    handshake(&greedy);
    handshake(&good);
    for (unsigned i = 0; i < FILTERS; i++) {
        write_header(&out, "members-filtered", i);
        br_rpc_write_map(&out, 1);
        br_rpc_write_text(&out, br_bytes_text("Name"));
        br_rpc_write_text(&out, br_bytes_text("(.?.?){20}z")); /* some 20 ms each */
    }
    assert_int_equal(send(greedy.fd, out.data, out.size, MSG_NOSIGNAL), out.size);
    write_header(&question, "list-keys", 5);
    assert_int_equal(send(good.fd, question.data, question.size, MSG_NOSIGNAL), question.size);
    unsigned turns = 0, answers_when_good_was_served = FILTERS;
    for (; turns < 10000; turns++) {
        uint8_t bytes[4096];
        (void)uv_run(&f.loop, UV_RUN_NOWAIT);
        ssize_t size = recv(greedy.fd, bytes, sizeof bytes, 0);
        if (size > 0)
            br_blob_add(&greedy.got, br_bytes(bytes, (size_t)size));
        if (answers_when_good_was_served == FILTERS && recv(good.fd, bytes, sizeof bytes, 0) > 0)
            answers_when_good_was_served = (unsigned)(greedy.got.size / 23);
        if (greedy.got.size >= FILTERS * 23)
            break;
        (void)usleep(100);
    }
    print_message("%u turns; the neighbour was served after %u of %u\n", turns, answers_when_good_was_served,
                  FILTERS);
    assert_true(turns >= FILTERS / 4);
    assert_true(answers_when_good_was_served < FILTERS / 2);
    for (unsigned i = 0; i < FILTERS; i++) {
        expect_header(&greedy, i, "");
        (void)skip_body(&greedy);
    }
    br_blob_release(&out);
    br_blob_release(&question);
    close_client(&greedy);
    close_client(&good);
}

/*
 * Valid requests with a few bytes changed, many times: whatever they mean now, the server answers or ends the
 * connection, and serves the next.
 */
/* conformance: rpc 6 */
static void test_damaged_requests_do_no_harm(void **state)
{
    unsigned seed = 20261122;
    (void)state;
    print_message("seed %u\n", seed);
    srand(seed);
    start("");
    f.answers_at_once = true;
    for (unsigned round = 0; round < 1000; round++) {
        struct br_blob out = BR_BLOB_EMPTY;
        struct client client = open_client(0);
        unsigned which = (unsigned)rand() % COMMANDS;
        br_blob_add(&out, br_bytes_text("\x82\xa7"
                                        "Command\xa9handshake\xa3Seq\x00\x81\xa7Version\x01"));
        size_t start_of_damage = round % 2 == 0 ? 0 : out.size;
        write_header(&out, every_command[which].name, (uint64_t)rand());
        br_rpc_write_map(&out, 1);
        br_rpc_write_text(&out,
                          br_bytes_string(every_command[which].key == NULL ? "x" : every_command[which].key));
        br_rpc_write_text(&out, br_bytes_text("user:x,*"));
        for (unsigned i = 0; i < 3; i++)
            out.data[start_of_damage + (size_t)rand() % (out.size - start_of_damage)] = (uint8_t)rand();
        say(&client, br_blob_bytes(&out));
        turn();
        br_rpc_user_event(f.rpc, &(struct bruit_user_event){.ltime = 1, .name = br_bytes_text("x")});
        close_client(&client);
        br_blob_release(&out);
    }
    turn();
    expect_nothing_held();
    struct client last = open_client(0);
    handshake(&last);
    close_client(&last);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_undecodable_input_ends_one_connection_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_oversized_object_is_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_filter_that_takes_too_long_is_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_streams_and_connections_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_bytes_do_no_harm, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_command_before_the_handshake_is_refused_in_words, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_every_command_before_the_token_is_refused_in_words, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_texts_of_a_megabyte_get_a_clear_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_requests_that_never_end_hold_a_bounded_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bodies_of_the_wrong_shape_harm_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(test_conversation_may_end_at_every_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(test_costly_commands_take_turns_with_everything_else, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_damaged_requests_do_no_harm, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
