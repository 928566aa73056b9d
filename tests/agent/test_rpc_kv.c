/*
 * Replicated state over the RPC: what clients are answered, several writes of one client under way, siblings, pages,
 * watches that go on where they were, and clients that send nonsense, read nothing or go away too early. The engine
 * is a real one, of a cluster of one, without a disk.
 */
#include "agent/rpc_lab.h"

#include "agent/agent.h"
#include "agent/feature.h"

#include <bruit/bruit.h>

static const struct bruit_module *const modules[] = {&bruit_kv_module};

static int setup_engine(void **state)
{
    struct bruit_config config;
    struct bruit_env env = {.struct_size = sizeof env};
    setup(state);
    bruit_config_lan(&config);
    config.name = br_bytes_text("ra");
    config.advertise = (struct bruit_addr){.ip = {10, 0, 0, 1}, .size = 4, .port = 7946};
    config.seed = 1;
    config.modules = modules;
    config.module_count = 1;
    f.now = BRUIT_SECOND;
    assert_int_equal(bruit_engine_new(&f.engine, &config, &env, f.now), 0);
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

/* What the agent does with its engine's events. */
static void take_events(void)
{
    static struct br_agent agent;
    struct bruit_event event;
    agent.rpc = f.rpc;
    while (bruit_next_event(f.engine, &event))
        br_feature_kv.event(&agent, &event);
}

/* ------------------------------------------------------------------ what a client sends */

/* Pairs of a request: a key and, by its kind, a number, bytes or a flag. */
struct pair {
    const char *key;
    const char *text; /* NULL: a number */
    size_t size;      /* 0: of a text with its end */
    uint64_t number;
};

#define TEXT(key, text) ((struct pair){key, text, 0, 0})
#define NUMBER(key, number) ((struct pair){key, NULL, 0, number})

static void write_command(struct br_blob *out, const char *name, uint64_t seq, const struct pair *pairs,
                          size_t count)
{
    write_header(out, name, seq);
    br_rpc_write_map(out, count);
    for (size_t i = 0; i < count; i++) {
        br_rpc_write_text(out, br_bytes_string(pairs[i].key));
        if (pairs[i].text == NULL)
            br_rpc_write_number(out, pairs[i].number);
        else
            br_rpc_write_text(
                out, br_bytes(pairs[i].text, pairs[i].size != 0 ? pairs[i].size : strlen(pairs[i].text)));
    }
}

static void ask_pairs(struct client *client, const char *name, uint64_t seq, const struct pair *pairs,
                      size_t count)
{
    struct br_blob out = BR_BLOB_EMPTY;
    write_command(&out, name, seq, pairs, count);
    say(client, br_blob_bytes(&out));
    br_blob_release(&out);
    take_events();
    receive(client);
}

#define ASK(client, name, seq, ...)                                  \
    ask_pairs(client, name, seq, (const struct pair[]){__VA_ARGS__}, \
              sizeof((const struct pair[]){__VA_ARGS__}) / sizeof(struct pair))

/* ------------------------------------------------------------------ what it gets */

struct done {
    struct bruit_bytes error;
    uint64_t version;
    uint32_t held, wanted;
};

static const struct br_mp_field done_fields[] = {
    BR_MP_FIELD(struct done, error, "Error", BR_MP_BYTES, 0, 0),
    BR_MP_FIELD(struct done, held, "Held", BR_MP_U32, 1, 0),
    BR_MP_FIELD(struct done, version, "Version", BR_MP_U64, 2, 0),
    BR_MP_FIELD(struct done, wanted, "Wanted", BR_MP_U32, 3, 0),
};

static uint64_t expect_done(struct client *client, uint64_t seq, uint32_t held, uint32_t wanted,
                            const char *error)
{
    struct done done;
    struct br_reader r;
    expect_header(client, seq, "");
    br_reader_init(&r, br_blob_bytes(&client->got));
    br_mp_read_struct(&r, done_fields, 4, &done);
    assert_false(r.failed);
    assert_int_equal(done.held, held);
    assert_int_equal(done.wanted, wanted);
    if (error[0] == 0)
        assert_int_equal(done.error.size, 0);
    else
        assert_non_null(memmem(done.error.data, done.error.size, error, strlen(error)));
    (void)skip_body(client);
    return done.version;
}

struct entry {
    struct bruit_bytes key, value, lifetime, owner, seen;
    uint64_t version, ttl;
    uint32_t count;
};

static const struct br_mp_field entry_fields[] = {
    BR_MP_FIELD(struct entry, count, "Count", BR_MP_U32, 0, 0),
    BR_MP_FIELD(struct entry, key, "Key", BR_MP_BYTES, 1, 0),
    BR_MP_FIELD(struct entry, lifetime, "Lifetime", BR_MP_BYTES, 2, 0),
    BR_MP_FIELD(struct entry, owner, "Owner", BR_MP_BYTES, 3, 0),
    BR_MP_FIELD(struct entry, seen, "Seen", BR_MP_BYTES, 4, 0),
    BR_MP_FIELD(struct entry, ttl, "TTL", BR_MP_U64, 5, 0),
    BR_MP_FIELD(struct entry, value, "Value", BR_MP_BYTES, 6, 0),
    BR_MP_FIELD(struct entry, version, "Version", BR_MP_U64, 7, 0),
};

/* The entries of the object that came, which stays where it is: they are borrowed from it. */
static uint32_t read_entries(const struct client *client, struct entry *out, uint32_t room)
{
    struct bruit_bytes raw, object = br_blob_bytes(&client->got);
    struct br_reader r;
    size_t size;
    assert_int_equal(br_mp_scan(object, &size), 0);
    assert_true(br_mp_find(br_bytes(object.data, size), br_bytes_text("Entries"), &raw));
    struct br_mp_list list = br_mp_list_of(raw);
    assert_true(list.count <= room);
    br_reader_init(&r, list.items);
    for (uint32_t i = 0; i < list.count; i++)
        br_mp_read_struct(&r, entry_fields, 8, &out[i]);
    assert_false(r.failed);
    return list.count;
}

static bool is_text(struct bruit_bytes bytes, const char *text)
{
    return br_bytes_equal(bytes, br_bytes_string(text));
}

static uint64_t find_number(const struct client *client, const char *key)
{
    struct bruit_bytes raw, object = br_blob_bytes(&client->got);
    struct br_reader r;
    size_t size;
    assert_int_equal(br_mp_scan(object, &size), 0);
    assert_true(br_mp_find(br_bytes(object.data, size), br_bytes_string(key), &raw));
    br_reader_init(&r, raw);
    return br_mp_peek(&r) == BR_MP_BOOL ? br_mp_read_bool(&r) : br_mp_read_uint(&r, UINT64_MAX);
}

static struct client connected(void)
{
    struct client client = open_client(0);
    handshake(&client);
    return client;
}

/* ------------------------------------------------------------------ reading and writing */

/* Written, read with all there is to know of it, replaced, deleted, gone. */
static void test_a_key_lives_and_dies(void **state)
{
    struct entry entry;
    (void)state;
    struct client client = connected();
    ASK(&client, "kv-put", 1, TEXT("Key", "color"), TEXT("Value", "red"));
    uint64_t first = expect_done(&client, 1, 1, 1, "");
    ASK(&client, "kv-get", 2, TEXT("Key", "color"));
    expect_header(&client, 2, "");
    assert_int_equal(read_entries(&client, &entry, 1), 1);
    assert_true(is_text(entry.key, "color") && is_text(entry.value, "red") && is_text(entry.lifetime, ""));
    assert_int_equal(entry.version, first);
    assert_int_equal(entry.count, 1);
    assert_int_equal(entry.seen.size, 16);
    (void)skip_body(&client);
    ASK(&client, "kv-put", 3, TEXT("Key", "color"), TEXT("Value", ""));
    assert_int_not_equal(expect_done(&client, 3, 1, 1, ""), first);
    ASK(&client, "kv-delete", 4, TEXT("Key", "color"));
    assert_int_equal(expect_done(&client, 4, 1, 1, ""), 0);
    ASK(&client, "kv-get", 5, TEXT("Key", "color"));
    expect_header(&client, 5, "there is no such key");
    close_client(&client);
}

/* Three writes in one packet, and a question behind them: all are answered, each by its number. */
static void test_several_writes_are_under_way(void **state)
{
    struct br_blob out = BR_BLOB_EMPTY;
    (void)state;
    struct client client = connected();
    for (uint64_t seq = 1; seq <= 3; seq++)
        write_command(&out, "kv-put", seq, (const struct pair[]){TEXT("Key", "k"), TEXT("Value", "v")}, 2);
    write_command(&out, "kv-get", 4, (const struct pair[]){TEXT("Key", "k")}, 1);
    say(&client, br_blob_bytes(&out));
    br_blob_release(&out);
    receive(&client);
    expect_header(&client, 4, ""); /* the engine has said nothing of the writes yet */
    (void)skip_body(&client);
    take_events();
    receive(&client);
    for (uint64_t seq = 1; seq <= 3; seq++)
        (void)expect_done(&client, seq, 1, 1, "");
    close_client(&client);
}

/*
 * Siblings come of writes that have seen nothing of each other; all are shown, and one write that saw them ends it.
 */
static void test_siblings_are_shown_and_resolved(void **state)
{
    struct entry entries[3];
    uint8_t seen[64];
    (void)state;
    struct client client = connected();
    ASK(&client, "kv-put", 1, TEXT("Key", "k"), TEXT("Value", "a"), TEXT("Mode", "seen"));
    (void)expect_done(&client, 1, 1, 1, "");
    ASK(&client, "kv-put", 2, TEXT("Key", "k"), TEXT("Value", "b"), TEXT("Mode", "seen"));
    (void)expect_done(&client, 2, 1, 1, "");
    ASK(&client, "kv-get", 3, TEXT("Key", "k"), NUMBER("All", 1));
    expect_header(&client, 3, "");
    assert_int_equal(read_entries(&client, entries, 3), 2);
    assert_true(is_text(entries[0].value, "b") && is_text(entries[1].value, "a")); /* the later one wins */
    assert_int_equal(entries[0].count, 2);
    assert_int_equal(entries[0].seen.size, 32);
    memcpy(seen, entries[0].seen.data, 32);
    (void)skip_body(&client);
    ASK(&client, "kv-put", 4, TEXT("Key", "k"), TEXT("Value", "ab"), TEXT("Mode", "seen"),
        {"Seen", (const char *)seen, 32, 0});
    (void)expect_done(&client, 4, 1, 1, "");
    ASK(&client, "kv-get", 5, TEXT("Key", "k"), NUMBER("All", 1));
    expect_header(&client, 5, "");
    assert_int_equal(read_entries(&client, entries, 3), 1);
    assert_true(is_text(entries[0].value, "ab"));
    close_client(&client);
}

/* Compare and set: with the version that was read once, and never again; 0 is for a key without a value. */
static void test_compare_and_set_succeeds_once(void **state)
{
    char error[160];
    (void)state;
    struct client client = connected();
    ASK(&client, "kv-put", 1, TEXT("Key", "k"), TEXT("Value", "1"), TEXT("Mode", "compare"),
        NUMBER("Version", 0));
    uint64_t version = expect_done(&client, 1, 1, 1, "");
    ASK(&client, "kv-put", 2, TEXT("Key", "k"), TEXT("Value", "2"), TEXT("Mode", "compare"),
        NUMBER("Version", version));
    uint64_t newer = expect_done(&client, 2, 1, 1, "");
    ASK(&client, "kv-put", 3, TEXT("Key", "k"), TEXT("Value", "3"), TEXT("Mode", "compare"),
        NUMBER("Version", version));
    snprintf(error, sizeof error, "the key has version %016llx by now: read it again",
             (unsigned long long)newer);
    expect_header(&client, 3, error);
    ASK(&client, "kv-delete", 4, TEXT("Key", "k"), TEXT("Mode", "compare"), NUMBER("Version", newer));
    (void)expect_done(&client, 4, 1, 1, "");
    ASK(&client, "kv-put", 5, TEXT("Key", "k"), TEXT("Value", "4"), TEXT("Mode", "compare"),
        NUMBER("Version", newer));
    expect_header(&client, 5, "the key has no value: compare with version 0, or read it again");
    close_client(&client);
}

/* Every mistake has a sentence, and the connection goes on. */
static void test_refusals_say_why(void **state)
{
    static char large[BRUIT_KV_VALUE_MAX + 2];
    (void)state;
    memset(large, 'x', BRUIT_KV_VALUE_MAX + 1);
    struct client client = connected();
    ASK(&client, "kv-put", 1, TEXT("Key", "k"), TEXT("Value", large));
    expect_header(&client, 1, "the value is too large: the limit is 65536 bytes");
    large[BRUIT_KV_KEY_MAX + 1] = 0;
    ASK(&client, "kv-put", 2, TEXT("Key", large), TEXT("Value", "v"));
    expect_header(&client, 2, "the key is too long: the limit is 512 bytes");
    ASK(&client, "kv-put", 3, TEXT("Value", "v"));
    expect_header(&client, 3, "the key is empty: it must have 1 to 512 bytes");
    ASK(&client, "kv-delete", 4, TEXT("Key", "nothing"));
    expect_header(&client, 4, "there is no such key");
    ASK(&client, "kv-put", 5, TEXT("Key", "k"), TEXT("Lifetime", "owned"), TEXT("Owner", "nobody"));
    expect_header(&client, 5, "the owner is no member that this agent knows: \"bruit members\" lists them");
    ASK(&client, "kv-put", 6, TEXT("Key", "k"), TEXT("Lifetime", "expires"), NUMBER("TTL", 1));
    expect_header(&client, 6, "a value lives from 1ms to 10 years, or for ever");
    ASK(&client, "kv-put", 7, TEXT("Key", "k"), TEXT("Mode", "maybe"));
    expect_header(&client, 7, "there is no such mode: it is empty, \"compare\" or \"seen\"");
    ASK(&client, "kv-put", 8, TEXT("Key", "k"), TEXT("Lifetime", "long"));
    expect_header(&client, 8, "there is no such lifetime: it is empty, \"expires\" or \"owned\"");
    ASK(&client, "kv-put", 9, TEXT("Key", "k"), TEXT("Value", "v"));
    (void)expect_done(&client, 9, 1, 1, "");
    close_client(&client);
}

/* Nobody else is there: at the timeout the writer is told how many hold it, and that it stands all the same. */
static void test_acknowledgements_that_do_not_come_are_told(void **state)
{
    (void)state;
    struct client client = connected();
    ASK(&client, "kv-put", 1, TEXT("Key", "k"), TEXT("Value", "v"), NUMBER("Ack", 2),
        NUMBER("Timeout", BRUIT_SECOND));
    assert_int_equal(client.got.size, 0);
    f.now += 2 * BRUIT_SECOND;
    assert_int_equal(bruit_tick(f.engine, f.now), 0);
    take_events();
    receive(&client);
    assert_int_not_equal(expect_done(&client, 1, 1, 2, "only 1 of 2 members confirmed it in time"), 0);
    close_client(&client);
}

/* An entry with a lifetime says so, and what is left of it. */
static void test_lifetimes_are_told(void **state)
{
    struct entry entry;
    (void)state;
    struct client client = connected();
    ASK(&client, "kv-put", 1, TEXT("Key", "k"), TEXT("Lifetime", "expires"), NUMBER("TTL", 5 * BRUIT_SECOND));
    (void)expect_done(&client, 1, 1, 1, "");
    f.now += BRUIT_SECOND;
    assert_int_equal(bruit_tick(f.engine, f.now), 0);
    ASK(&client, "kv-get", 2, TEXT("Key", "k"));
    expect_header(&client, 2, "");
    assert_int_equal(read_entries(&client, &entry, 1), 1);
    assert_true(is_text(entry.lifetime, "expires"));
    assert_int_equal(entry.ttl, 4 * BRUIT_SECOND);
    (void)skip_body(&client);
    ASK(&client, "kv-put", 3, TEXT("Key", "o"), TEXT("Lifetime", "owned"), TEXT("Owner", "ra"));
    (void)expect_done(&client, 3, 1, 1, "");
    ASK(&client, "kv-get", 4, TEXT("Key", "o"));
    expect_header(&client, 4, "");
    assert_int_equal(read_entries(&client, &entry, 1), 1);
    assert_true(is_text(entry.lifetime, "owned") && is_text(entry.owner, "ra"));
    close_client(&client);
}

/* ------------------------------------------------------------------ lists */

static void put(struct client *client, const char *key, const char *value)
{
    ASK(client, "kv-put", 1000, TEXT("Key", key), TEXT("Value", value));
    (void)expect_done(client, 1000, 1, 1, "");
}

/* Page after page, in order, without values unless they are asked for; only what begins with the prefix. */
static void test_lists_come_in_pages(void **state)
{
    struct entry entries[3];
    (void)state;
    struct client client = connected();
    put(&client, "b2", "2");
    put(&client, "b1", "1");
    put(&client, "a", "0");
    put(&client, "b3", "3");
    ASK(&client, "kv-list", 1, TEXT("Prefix", "b"), NUMBER("Limit", 2));
    expect_header(&client, 1, "");
    assert_int_equal(find_number(&client, "Last"), 0);
    assert_int_equal(read_entries(&client, entries, 3), 2);
    assert_true(is_text(entries[0].key, "b1") && is_text(entries[1].key, "b2"));
    assert_int_equal(entries[0].value.size, 0);
    (void)skip_body(&client);
    ASK(&client, "kv-list", 2, TEXT("Prefix", "b"), TEXT("After", "b2"), NUMBER("Limit", 2),
        NUMBER("Values", 1));
    expect_header(&client, 2, "");
    assert_int_equal(find_number(&client, "Last"), 1);
    assert_int_equal(read_entries(&client, entries, 3), 1);
    assert_true(is_text(entries[0].key, "b3") && is_text(entries[0].value, "3"));
    (void)skip_body(&client);
    ASK(&client, "kv-list", 3, TEXT("Prefix", "c"));
    expect_header(&client, 3, "");
    assert_int_equal(find_number(&client, "Last"), 1);
    assert_int_equal(read_entries(&client, entries, 3), 0);
    close_client(&client);
}

/* ------------------------------------------------------------------ watches */

/* Takes a record of a change, or with `key` NULL of a gap. Returns its cursor. */
static uint64_t expect_change(struct client *client, uint64_t seq, const char *key, const char *value)
{
    struct entry entry;
    struct bruit_bytes raw;
    struct br_reader r;
    size_t size;
    expect_header(client, seq, "");
    uint64_t cursor = find_number(client, "Cursor");
    assert_int_equal(find_number(client, "Gap"), key == NULL);
    assert_int_equal(br_mp_scan(br_blob_bytes(&client->got), &size), 0);
    assert_true(br_mp_find(br_bytes(client->got.data, size), br_bytes_text("Key"), &raw));
    br_reader_init(&r, raw);
    assert_true(is_text(br_mp_read_bytes(&r), key == NULL ? "" : key));
    assert_int_equal(read_entries(client, &entry, 1), value != NULL);
    if (value != NULL)
        assert_true(is_text(entry.value, value));
    (void)skip_body(client);
    return cursor;
}

/* One client watches while another writes: the keys with its prefix, deletes among them, each with a cursor. */
static void test_a_watch_is_told_of_changes(void **state)
{
    (void)state;
    struct client watcher = connected(), writer = connected();
    ASK(&watcher, "kv-watch", 7, TEXT("Prefix", "a"));
    expect_header(&watcher, 7, "");
    (void)expect_change(&watcher, 7, NULL, NULL); /* where it begins */
    put(&writer, "a1", "x");
    put(&writer, "b", "not asked for");
    receive(&watcher);
    uint64_t first = expect_change(&watcher, 7, "a1", "x");
    assert_int_equal(watcher.got.size, 0);
    ASK(&writer, "kv-delete", 8, TEXT("Key", "a1"));
    receive(&watcher);
    assert_true(expect_change(&watcher, 7, "a1", NULL) > first);
    close_client(&watcher);
    close_client(&writer);
}

/* It comes back with its cursor and hears what it missed; with one that nobody knows it hears of the gap. */
static void test_a_watch_goes_on_from_its_cursor(void **state)
{
    (void)state;
    struct client writer = connected(), watcher = connected();
    ASK(&watcher, "kv-watch", 1, TEXT("Prefix", ""));
    expect_header(&watcher, 1, "");
    uint64_t cursor = expect_change(&watcher, 1, NULL, NULL);
    close_client(&watcher);
    put(&writer, "a", "1");
    put(&writer, "b", "2");
    watcher = connected();
    ASK(&watcher, "kv-watch", 2, NUMBER("Cursor", cursor));
    expect_header(&watcher, 2, "");
    (void)expect_change(&watcher, 2, "a", "1");
    (void)expect_change(&watcher, 2, "b", "2");
    ASK(&watcher, "kv-watch", 3, NUMBER("Cursor", cursor + 1000000));
    expect_header(&watcher, 3, "");
    (void)expect_change(&watcher, 3, NULL, NULL);
    assert_int_equal(watcher.got.size, 0);
    close_client(&watcher);
    close_client(&writer);
}

/*
 * A watcher that does not read, while 20 MB of values are written: nothing is written for it beyond its share, and
 * when it reads again it has missed nothing.
 */
static void test_a_watch_is_as_fast_as_its_client(void **state)
{
    static char large[BRUIT_KV_VALUE_MAX + 1];
    struct br_rpc_stats stats;
    char key[16];
    (void)state;
    memset(large, 'x', BRUIT_KV_VALUE_MAX);
    struct client watcher = open_client(8192), writer = connected();
    handshake(&watcher);
    ASK(&watcher, "kv-watch", 1, TEXT("Prefix", "k"));
    expect_header(&watcher, 1, "");
    (void)expect_change(&watcher, 1, NULL, NULL);
    for (int i = 0; i < 300; i++) {
        snprintf(key, sizeof key, "k%d", i);
        put(&writer, key, large);
    }
    br_rpc_stats_get(f.rpc, &stats);
    assert_true(stats.held < 6 << 20);
    for (int i = 0; i < 300; i++) {
        snprintf(key, sizeof key, "k%d", i);
        if (watcher.got.size < 1 << 20)
            receive(&watcher);
        (void)expect_change(&watcher, 1, key, large);
    }
    assert_int_equal(watcher.got.size, 0);
    close_client(&watcher);
    close_client(&writer);
}

/* A connection has a bounded number of watches. */
static void test_watches_of_a_connection_are_bounded(void **state)
{
    (void)state;
    struct client client = connected();
    for (uint64_t i = 0; i < 64; i++) {
        ASK(&client, "kv-watch", i, TEXT("Prefix", "a"));
        expect_header(&client, i, "");
        (void)expect_change(&client, i, NULL, NULL);
    }
    ASK(&client, "kv-watch", 64, TEXT("Prefix", "a"));
    expect_header(&client, 64, "a prefix has 512 bytes at most, and a connection 64 watches");
    close_client(&client);
}

/* ------------------------------------------------------------------ clients that go, and clients that lie */

/* Gone before the answer, and before the next change: the engine's news find nobody. */
static void test_clients_may_go_while_they_wait(void **state)
{
    struct br_blob out = BR_BLOB_EMPTY;
    (void)state;
    struct client writer = connected(), watcher = connected();
    ASK(&watcher, "kv-watch", 1, TEXT("Prefix", ""));
    write_command(&out, "kv-put", 1, (const struct pair[]){TEXT("Key", "k"), TEXT("Value", "v")}, 2);
    say(&writer, br_blob_bytes(&out));
    br_blob_release(&out);
    turn();
    close_client(&writer);
    close_client(&watcher);
    turn();
    take_events();
    assert_true(br_list_is_empty(&f.rpc->kv_waits));
    assert_true(br_list_is_empty(&f.rpc->kv_watches));
}

/* Bodies that are none: the client is cut off and counted, as with Serf's commands. */
static void test_nonsense_is_cut_off(void **state)
{
    static const char *const names[] = {"kv-get", "kv-put", "kv-delete", "kv-list", "kv-watch"};
    struct br_rpc_stats stats;
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct client client = connected();
        ASK(&client, names[i], 1, NUMBER("Key", 5), NUMBER("Prefix", 5));
        assert_true(client.is_closed);
        close_client(&client);
    }
    br_rpc_stats_get(f.rpc, &stats);
    assert_int_equal(stats.cut_malformed, 5);
}

/* Everybody who asks is told how it is: numbers as numbers, and what is larger than JSON's as text. */
static void test_stat_tells_names_and_values(void **state)
{
    struct bruit_bytes raw;
    struct br_reader r;
    (void)state;
    struct client client = connected();
    put(&client, "k", "value");
    command(&client, "kv-stat", 1, NULL, NULL);
    receive(&client);
    expect_header(&client, 1, "");
    assert_int_equal(find_number(&client, "keys"), 1);
    assert_int_equal(find_number(&client, "bytes"), 6);
    assert_true(br_mp_find(br_blob_bytes(&client.got), br_bytes_text("store"), &raw));
    br_reader_init(&r, raw);
    assert_true(is_text(br_mp_read_bytes(&r), "memory"));
    assert_true(br_mp_find(br_blob_bytes(&client.got), br_bytes_text("root"), &raw));
    br_reader_init(&r, raw);
    assert_int_equal(br_mp_read_bytes(&r).size, 16);
    close_client(&client);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_engine, teardown_engine)
    const struct CMUnitTest tests[] = {
        TEST(test_a_key_lives_and_dies),
        TEST(test_several_writes_are_under_way),
        TEST(test_siblings_are_shown_and_resolved),
        TEST(test_compare_and_set_succeeds_once),
        TEST(test_refusals_say_why),
        TEST(test_acknowledgements_that_do_not_come_are_told),
        TEST(test_lifetimes_are_told),
        TEST(test_lists_come_in_pages),
        TEST(test_a_watch_is_told_of_changes),
        TEST(test_a_watch_goes_on_from_its_cursor),
        TEST(test_a_watch_is_as_fast_as_its_client),
        TEST(test_watches_of_a_connection_are_bounded),
        TEST(test_clients_may_go_while_they_wait),
        TEST(test_nonsense_is_cut_off),
        TEST(test_stat_tells_names_and_values),
    };
    return cmocka_run_group_tests_name("rpc_kv", tests, NULL, NULL);
}
