/*
 * What a program asks of its engine besides joining and leaving: metadata, keys at run time, bounds, a configuration
 * that is refused. And clusters with keys, labels and compression, which must work like any other.
 */
#include "support/peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define S BRUIT_SECOND
#define MS BRUIT_MILLISECOND

static const uint8_t key_a[32] = {1, 2, 3}, key_b[16] = {4, 5, 6}, key_c[24] = {7, 8, 9};
#define PACKET_SIZE_MIN 1152
#define KEY(bytes) br_bytes(bytes, sizeof bytes)

/* ---- metadata ---- */

static const struct bruit_bytes *meta_of(const struct world *w, uint32_t a, const char *name,
                                         struct bruit_member *member)
{
    const struct bruit_engine *engine = w->nodes[a].engine;
    assert_int_equal(bruit_member_get(engine, bruit_member_find(engine, world_bytes(name)), member), 0);
    return &member->meta;
}

/* New metadata: the next incarnation, told to all, who hear of an update and of nothing else; then we hear that it is
 * told. */
static void test_new_metadata_reaches_everybody(void **state)
{
    struct world *w = world_new(161);
    struct bruit_member member;
    (void)state;
    world_cluster(w, 5);
    assert_true(world_wait_all_alive(w, 5 * S));
    world_run(w, 5 * S);
    assert_int_equal(bruit_set_meta(w->nodes[2].engine, world_bytes("role=db"), w->now), 0);
    world_settle(w, 2);
    assert_int_equal(world_events(w, 2, BRUIT_EVENT_META_DONE, NULL, 0), 0);
    world_run(w, 3 * S);
    for (uint32_t i = 0; i < 5; i++) {
        assert_true(br_bytes_equal(*meta_of(w, i, "n2", &member), world_bytes("role=db")));
        assert_int_equal(member.incarnation, 2);
        assert_int_equal(world_events(w, i, BRUIT_EVENT_MEMBER, "n2", BRUIT_CHANGE_UPDATED), 1);
    }
    assert_int_equal(world_events(w, 2, BRUIT_EVENT_META_DONE, NULL, 0), 1);
    world_free(w);
}

/* Told twice in a row: the second displaces the first, and each request has its event. Alone there is nobody to wait
 * for. */
static void test_each_request_of_metadata_is_done(void **state)
{
    struct world *w = world_new(162);
    (void)state;
    world_cluster(w, 3);
    assert_true(world_wait_all_alive(w, 5 * S));
    world_run(w, 5 * S);
    assert_int_equal(bruit_set_meta(w->nodes[0].engine, world_bytes("1"), w->now), 0);
    assert_int_equal(bruit_set_meta(w->nodes[0].engine, world_bytes("2"), w->now), 0);
    world_settle(w, 0);
    world_run(w, 5 * S);
    assert_int_equal(world_events(w, 0, BRUIT_EVENT_META_DONE, NULL, 0), 2);
    world_free(w);
    w = world_new(163);
    (void)world_add(w);
    assert_int_equal(world_start(w, 0), 0);
    assert_int_equal(bruit_set_meta(w->nodes[0].engine, world_bytes("1"), w->now), 0);
    world_settle(w, 0);
    assert_int_equal(world_events(w, 0, BRUIT_EVENT_META_DONE, NULL, 0), 1);
    world_free(w);
}

/* 512 bytes are the most; one more changes nothing. */
static void test_metadata_has_a_limit(void **state)
{
    static uint8_t meta[513];
    struct world *w = world_new(164);
    struct bruit_member member;
    (void)state;
    (void)world_add(w);
    assert_int_equal(world_start(w, 0), 0);
    assert_int_equal(bruit_set_meta(w->nodes[0].engine, br_bytes(meta, 513), w->now), BRUIT_ETOOBIG);
    assert_int_equal(meta_of(w, 0, "n0", &member)->size, 0);
    assert_int_equal(member.incarnation, 1);
    assert_int_equal(bruit_set_meta(w->nodes[0].engine, br_bytes(meta, 512), w->now), 0);
    assert_int_equal(meta_of(w, 0, "n0", &member)->size, 512);
    world_free(w);
}

/* ---- clusters of every kind ---- */

/* Keys of each size, both seal versions, a label, compression on and off: five members find each other, one is killed,
 * and nothing was dropped on the way. */
static void test_clusters_of_every_kind(void **state)
{
    const struct bruit_bytes keys[] = {KEY(key_b), KEY(key_c), KEY(key_a)};
    (void)state;
    for (unsigned kind = 0; kind < 32; kind++) {
        struct world *w = world_new(170 + kind);
        if (kind % 4 != 0) {
            w->config.keys = &keys[kind % 4 - 1];
            w->config.key_count = 1;
        }
        w->config.compression = (kind & 4) != 0;
        if (kind & 8)
            w->config.label = world_bytes("red");
        w->config.protocol = kind & 16 ? 1 : 2;
        world_cluster(w, 4);
        assert_true(world_wait_all_alive(w, 5 * S));
        world_run(w, 10 * S);
        world_kill(w, 3);
        assert_true(world_wait_state(w, 0, 3, BRUIT_DEAD, 40 * S));
        for (uint32_t i = 0; i < 3; i++) {
            assert_int_equal(world_stats(w, i).drops[BRUIT_DROP_UNDECRYPTABLE], 0);
            assert_int_equal(world_stats(w, i).drops[BRUIT_DROP_MALFORMED], 0);
            assert_int_equal(world_stats(w, i).drops[BRUIT_DROP_UNKNOWN_TYPE], 0);
        }
        world_free(w);
    }
}

/* The longest names, label and addresses with the smallest packets: pings and relayed pings fit, failures are found,
 * and nobody is suspected for a message that could not be written. */
static void test_the_longest_names_in_the_smallest_packets(void **state)
{
    static char label[255];
    static char names[4][255];
    static uint8_t meta[512];
    const struct bruit_bytes key = KEY(key_a);
    struct world *w = world_new(209);
    (void)state;
    memset(label, 'l', sizeof label);
    w->config.label = br_bytes((const uint8_t *)label, sizeof label);
    w->config.packet_size_max = PACKET_SIZE_MIN;
    w->config.keys = &key;
    w->config.key_count = 1;
    w->config.protocol = 1; /* the larger seal */
    w->config.bind_port = 7946;
    w->config.stream_pings = false;
    w->config.meta = br_bytes(meta, sizeof meta);
    w->config.early_sync_budget = 0; /* all news comes by gossip */
    w->config.push_pull_interval = 0;
    for (uint32_t i = 0; i < 4; i++) {
        (void)world_add(w);
        memset(names[i], 'a' + (int)i, sizeof names[i]);
        w->nodes[i].config.name = br_bytes((const uint8_t *)names[i], sizeof names[i]);
        w->nodes[i].config.advertise.size = 16; /* mapped */
        memset(w->nodes[i].config.advertise.ip, 0, 16);
        w->nodes[i].config.advertise.ip[10] = w->nodes[i].config.advertise.ip[11] = 0xff;
        memcpy(w->nodes[i].config.advertise.ip + 12, w->nodes[i].addr.ip, 4);
        assert_int_equal(world_start(w, i), 0);
        if (i > 0)
            assert_int_equal(world_join(w, i, 0), 0);
        world_run(w, S);
    }
    world_run(w, 10 * S);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(bruit_member_alive_count(w->nodes[i].engine), 4);
        assert_int_equal(world_stats(w, i).rumours, 0);
    }
    world_cut(w, 0, 1, true); /* relays must be asked */
    world_run(w, 30 * S);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(world_events(w, i, BRUIT_EVENT_MEMBER, NULL, BRUIT_CHANGE_SUSPECTED), 0);
    world_kill(w, 3);
    world_run(w, 40 * S);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(bruit_member_alive_count(w->nodes[i].engine), 3);
    world_free(w);
}

/* Two clusters on one network, told apart by their labels, or by their keys: a join across fails and leaves no
 * trace. */
static void test_clusters_stay_apart(void **state)
{
    const struct bruit_bytes keys[] = {KEY(key_a), KEY(key_b)};
    (void)state;
    for (unsigned kind = 0; kind < 2; kind++) {
        struct world *w = world_new(210);
        for (uint32_t i = 0; i < 2; i++) {
            (void)world_add(w);
            if (kind == 0)
                w->nodes[i].config.label = world_bytes(i == 0 ? "red" : "blue");
            w->nodes[i].config.keys = &keys[i];
            w->nodes[i].config.key_count = kind;
            assert_int_equal(world_start(w, i), 0);
        }
        assert_int_equal(world_join(w, 0, 1), 0);
        world_run(w, 15 * S);
        assert_int_equal(world_last_event(w, 0, BRUIT_EVENT_JOIN_DONE)->contacted, 0);
        assert_int_equal(bruit_member_count(w->nodes[0].engine), 1);
        assert_int_equal(bruit_member_count(w->nodes[1].engine), 1);
        world_free(w);
    }
}

/* ---- keys at run time ---- */

/* A ring is rotated while the cluster runs: added everywhere, used everywhere, the old one removed everywhere, one
 * member after the other, and nobody is suspected. */
static void test_a_key_is_rotated(void **state)
{
    const struct bruit_bytes first = KEY(key_a);
    struct world *w = world_new(211);
    (void)state;
    w->config.keys = &first;
    w->config.key_count = 1;
    world_cluster(w, 4);
    assert_true(world_wait_all_alive(w, 5 * S));
    for (int act = 0; act < 3; act++)
        for (uint32_t i = 0; i < 4; i++) {
            struct bruit_engine *engine = w->nodes[i].engine;
            assert_int_equal(act == 0   ? bruit_key_add(engine, KEY(key_b))
                             : act == 1 ? bruit_key_use(engine, KEY(key_b))
                                        : bruit_key_remove(engine, KEY(key_a)),
                             0);
            world_run(w, 2 * S);
        }
    world_run(w, 40 * S);
    assert_true(world_all_alive(w));
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(world_events(w, i, BRUIT_EVENT_MEMBER, NULL, BRUIT_CHANGE_SUSPECTED), 0);
        assert_int_equal(world_stats(w, i).drops[BRUIT_DROP_UNDECRYPTABLE], 0);
        assert_true(br_bytes_equal(bruit_key_get(w->nodes[i].engine, 0), KEY(key_b)));
        assert_int_equal(bruit_key_get(w->nodes[i].engine, 1).size, 0);
    }
    world_free(w);
}

/* Each refusal of the ring, by its error. */
static void test_what_the_ring_refuses(void **state)
{
    const struct bruit_bytes first = KEY(key_a);
    struct world *w = world_new(212);
    (void)state;
    (void)world_add(w);
    w->nodes[0].config.keys = &first;
    w->nodes[0].config.key_count = 1;
    assert_int_equal(world_start(w, 0), 0);
    struct bruit_engine *engine = w->nodes[0].engine;
    assert_int_equal(bruit_key_add(engine, br_bytes(key_a, 15)), BRUIT_EINVAL);
    assert_int_equal(bruit_key_add(engine, br_bytes(key_a, 17)), BRUIT_EINVAL);
    assert_int_equal(bruit_key_use(engine, KEY(key_b)), BRUIT_ENOENT);
    assert_int_equal(bruit_key_remove(engine, KEY(key_a)), BRUIT_EINVAL);
    assert_int_equal(bruit_key_remove(engine, KEY(key_b)), 0);
    assert_int_equal(bruit_key_add(engine, KEY(key_a)), 0);
    assert_int_equal(bruit_key_get(engine, 1).size, 0);
    int status = 0;
    for (uint8_t i = 0; i < 100 && status == 0; i++) {
        uint8_t key[16] = {100, i};
        status = bruit_key_add(engine, br_bytes(key, 16));
    }
    assert_int_equal(status, BRUIT_EFULL);
    world_free(w);
}

/* ---- migration ---- */

static struct world *with_key_and(struct peer **p, bool verify_incoming, bool peer_has_key)
{
    static const struct bruit_bytes key = {key_b, 16};
    struct world *w = world_new(213);
    (void)world_add(w);
    w->nodes[0].config.keys = &key;
    w->nodes[0].config.key_count = 1;
    w->nodes[0].config.verify_incoming = verify_incoming;
    w->nodes[0].config.verify_outgoing = verify_incoming;
    assert_int_equal(world_start(w, 0), 0);
    *p = peer_new(w, 0, "p", 1);
    if (peer_has_key)
        test_wire_key((*p)->wire, 0, 16); /* not the member's */
    return w;
}

/* conformance: memberlist 22 */
/* A cluster on its way to encryption: verify_incoming is off, so plain datagrams and plain streams are taken. A sealed
 * stream that does not verify is refused all the same, aloud, and is not taken for plain. */
static void test_plain_is_taken_while_migrating(void **state)
{
    struct peer *p;
    struct peer_answer answer;
    struct world *w = with_key_and(&p, false, false);
    struct br_entry entry = peer_entry(p, "x", 1, 1, BR_ENTRY_ALIVE);
    (void)state;
    peer_alive(p, 1);
    assert_int_equal(peer_send(p), 0);
    assert_int_equal(world_state_of(w, 0, "p"), BRUIT_ALIVE);
    peer_sync(p, false, &entry, 1, &answer);
    assert_int_equal(answer.type, BR_PUSHPULL);
    assert_int_equal(world_state_of(w, 0, "x"), BRUIT_ALIVE);
    peer_free(p);
    world_free(w);
    w = with_key_and(&p, false, true);
    entry = peer_entry(p, "y", 2, 1, BR_ENTRY_ALIVE);
    p->wire->wire.verify_incoming = false; /* the answer is plain: verify_outgoing is off, too */
    peer_sync(p, false, &entry, 1, &answer);
    assert_int_equal(answer.type, BR_ERR);
    assert_string_equal(answer.text, bruit_drop_text(BRUIT_DROP_UNDECRYPTABLE));
    assert_int_equal(world_state_of(w, 0, "y"), WORLD_UNKNOWN);
    peer_free(p);
    world_free(w);
}

/* conformance: memberlist 22 */
/* With verify_incoming on, which is the default, neither is taken. */
static void test_plain_is_refused_by_default(void **state)
{
    struct peer *p;
    struct peer_answer answer;
    struct world *w = with_key_and(&p, true, false);
    struct br_entry entry = peer_entry(p, "x", 1, 1, BR_ENTRY_ALIVE);
    (void)state;
    assert_true(w->config.verify_incoming);
    peer_alive(p, 1);
    assert_int_equal(peer_send(p), 0);
    assert_int_equal(world_state_of(w, 0, "p"), WORLD_UNKNOWN);
    peer_sync(p, false, &entry, 1, &answer);
    assert_int_equal(world_state_of(w, 0, "x"), WORLD_UNKNOWN);
    peer_free(p);
    world_free(w);
}

/* ---- beginnings ---- */

static void expect_refused(const struct bruit_config *config, int line)
{
    struct bruit_engine *engine = NULL;
    struct bruit_env env = {.struct_size = sizeof env};
    if (bruit_config_check(config) == NULL)
        fail_msg("the configuration of line %d was accepted", line);
    assert_int_equal(bruit_engine_new(&engine, config, &env, 1), BRUIT_EINVAL);
    assert_null(engine);
}

#define REFUSED(change)               \
    do {                              \
        struct bruit_config c = good; \
        change;                       \
        expect_refused(&c, __LINE__); \
    } while (0)

/* Each mistake of a configuration is refused with a sentence, and just before it none is. */
static void test_what_configurations_are_refused(void **state)
{
    static char long_name[256];
    struct bruit_config good;
    struct bruit_bytes bad_key = br_bytes(key_a, 20);
    struct bruit_cidr bad_range = {.size = 4, .bits = 33};
    (void)state;
    memset(long_name, 'n', sizeof long_name);
    bruit_config_lan(&good);
    good.name = world_bytes("a");
    good.advertise = world_addr(0, 1, 7946);
    assert_null(bruit_config_check(&good));
    REFUSED(c.struct_size--);
    REFUSED(c.name.size = 0);
    REFUSED(c.name = br_bytes((const uint8_t *)long_name, 256));
    REFUSED(c.advertise.size = 0);
    REFUSED(c.advertise.port = 0);
    REFUSED(memset(c.advertise.ip, 0, 16));
    REFUSED(c.meta = br_bytes((const uint8_t *)long_name, 513));
    REFUSED(c.protocol = 0);
    REFUSED(c.protocol = 6);
    REFUSED(c.delegate_current = 1);
    REFUSED(c.delegate_current = 6);
    REFUSED(c.probe_timeout = c.probe_interval);
    REFUSED(c.probe_timeout = 0);
    REFUSED(c.indirect_checks = 17);
    REFUSED(c.suspicion_mult = 0);
    REFUSED(c.suspicion_max_mult = 0);
    REFUSED(c.retransmit_mult = 0);
    REFUSED(c.awareness_max = 0);
    REFUSED(c.gossip_nodes = 33);
    REFUSED(c.stream_timeout = 0);
    REFUSED(c.packet_size_max = PACKET_SIZE_MIN - 1);
    REFUSED(c.packet_size_max = 65508);
    REFUSED(c.members_max = 0);
    REFUSED(c.streams_max = 0);
    REFUSED(c.label = br_bytes((const uint8_t *)long_name, 256));
    REFUSED((c.keys = &bad_key, c.key_count = 1));
    REFUSED((c.cidrs = &bad_range, c.cidr_count = 1));
    good.name = br_bytes((const uint8_t *)long_name, 255);
    good.label = br_bytes((const uint8_t *)long_name, 255);
    good.packet_size_max = 65507;
    good.gossip_nodes = 32;
    good.indirect_checks = 16;
    assert_null(bruit_config_check(&good));
}

/* Keys without a cipher or entropy are refused; so is an engine for which there is no room, at any of its pieces. */
static void test_what_engines_cannot_be_made(void **state)
{
    const struct bruit_bytes first = KEY(key_a);
    struct bruit_config config;
    struct bruit_env env = {.struct_size = sizeof env};
    struct bruit_engine *engine = NULL;
    (void)state;
    bruit_config_lan(&config);
    config.name = world_bytes("a");
    config.advertise = world_addr(0, 1, 7946);
    config.keys = &first;
    config.key_count = 1;
    assert_int_equal(bruit_engine_new(&engine, &config, &env, 1), BRUIT_ENOSYS);
    config.key_count = 0;
    config.memory_max = 512;
    assert_int_equal(bruit_engine_new(&engine, &config, &env, 1), BRUIT_ENOMEM);
    bruit_engine_free(NULL);
    struct test_memory memory;
    int status = BRUIT_ENOMEM;
    config.memory_max = 1 << 20;
    for (uint64_t n = 1; status != 0; n++) {
        test_memory_init(&memory);
        memory.fail_at = n;
        env = test_memory_env(&memory);
        status = bruit_engine_new(&engine, &config, &env, 1);
        if (status == 0)
            bruit_engine_free(engine);
        else
            assert_int_equal(status, BRUIT_ENOMEM);
        assert_int_equal(memory.in_use, 0);
    }
}

/* memory_max is a hard cap: a small one is reached by members, each beyond is refused with BRUIT_ENOMEM and counted by
 * nobody, and the engine goes on. */
static void test_memory_max_is_kept(void **state)
{
    struct world *w = world_new(214);
    int status = 0;
    uint32_t members = 0;
    (void)state;
    (void)world_add(w);
    w->nodes[0].config.memory_max = 200000;
    assert_int_equal(world_start(w, 0), 0);
    struct peer *p = peer_new(w, 0, "p", 1);
    for (; members < 20000 && status == 0; members++) {
        char name[16];
        snprintf(name, sizeof name, "m%u", (unsigned)members);
        struct br_alive alive = peer_other(p, name, (uint8_t)members, 1);
        peer_add_alive(p, &alive);
        status = peer_send(p);
        assert_true(world_stats(w, 0).memory <= 200000);
    }
    assert_int_equal(status, BRUIT_ENOMEM);
    assert_true(members > 100);
    peer_ping(p, 7, "n0");
    assert_int_equal(peer_send(p), 0);
    peer_hear(p);
    assert_true(peer_heard_ack(p, 7));
    peer_free(p);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_metadata_reaches_everybody),
        cmocka_unit_test(test_each_request_of_metadata_is_done),
        cmocka_unit_test(test_metadata_has_a_limit),
        cmocka_unit_test(test_clusters_of_every_kind),
        cmocka_unit_test(test_the_longest_names_in_the_smallest_packets),
        cmocka_unit_test(test_clusters_stay_apart),
        cmocka_unit_test(test_a_key_is_rotated),
        cmocka_unit_test(test_what_the_ring_refuses),
        cmocka_unit_test(test_plain_is_taken_while_migrating),
        cmocka_unit_test(test_plain_is_refused_by_default),
        cmocka_unit_test(test_what_configurations_are_refused),
        cmocka_unit_test(test_what_engines_cannot_be_made),
        cmocka_unit_test(test_memory_max_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
