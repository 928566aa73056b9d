/*
 * Network coordinates between whole members, and with a peer that sends nonsense (docs/wire/serf.md, section 10).
 */
#include "codec/serf.h"
#include "support/peer.h"

#include <bruit/coord.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define S BRUIT_SECOND
#define MS BRUIT_MILLISECOND

static const struct bruit_module *const modules[] = {&bruit_coord_module};

static struct world *coord_world(uint64_t seed, uint32_t count)
{
    struct world *w = world_new(seed);
    w->config.modules = modules;
    w->config.module_count = 1;
    world_cluster(w, count);
    assert_true(world_wait_all_alive(w, 5 * S));
    return w;
}

static struct bruit_coord_stats stats_of(const struct world *w, uint32_t node)
{
    struct bruit_coord_stats stats;
    int found = bruit_coord_stats(w->nodes[node].engine, &stats);
    assert_int_equal(found, 0);
    return stats;
}

/* Probed by a peer, a fresh member says in its ack what a fresh Serf says, byte for byte. */
/* conformance: serf 52 */
static void test_a_fresh_member_acks_with_the_origin(void **state)
{
    (void)state;
    struct world *w = coord_world(1, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    static const uint8_t height[] = {0xcb, 0x3e, 0xe4, 0xf8, 0xb5, 0x88, 0xe3, 0x68, 0xf1};
    struct br_ack ack = {0};
    size_t from = 0;
    peer_ping(p, 77, "n0");
    assert_int_equal(peer_send(p), 0);
    peer_hear(p);
    const struct peer_leaf *leaf = peer_next(p, BR_ACK, &from);
    assert_non_null(leaf);
    assert_int_equal(br_ack_decode(&ack, leaf->body), 0);
    assert_int_equal(ack.payload.size, 130);
    assert_int_equal(ack.payload.data[0], BR_SERF_PING_VERSION);
    assert_non_null(memmem(ack.payload.data, ack.payload.size, height, sizeof height));
    peer_free(p);
    world_free(w);
}

/*
 * Five members whose packets take 5 to 10 ms each way, 15 ms there and back on average: after four minutes of probes
 * each knows the places of all, and the estimates fit.
 */
static void test_estimates_come_close_to_the_truth(void **state)
{
    (void)state;
    struct world *w = coord_world(2, 5);
    double off = 0;
    w->latency = 5 * MS;
    world_run(w, 240 * S);
    for (uint32_t a = 0; a < 5; a++)
        for (uint32_t b = 0; b < 5; b++) {
            struct bruit_coordinate x;
            struct bruit_coordinate y;
            if (a == b)
                continue;
            assert_int_equal(bruit_coord_get(w->nodes[a].engine, world_bytes(w->nodes[a].name), &x), 0);
            assert_int_equal(bruit_coord_get(w->nodes[a].engine, world_bytes(w->nodes[b].name), &y), 0);
            off += fabs((double)bruit_coord_distance(&x, &y) - 15e6) / 15e6 / 20;
        }
    if (off > 0.2)
        print_message("off by %.1f %% on average\n", off * 100);
    assert_true(off <= 0.2);
    world_free(w);
}

/* Answers the next probe of the member with this payload. */
static void answer_probe(struct peer *p, struct bruit_bytes payload)
{
    uint8_t message[512];
    for (int i = 0; i < 5000; i++) {
        struct br_ping ping;
        const struct peer_leaf *leaf;
        size_t from = 0;
        world_run(p->world, MS);
        peer_hear(p);
        if ((leaf = peer_next(p, BR_PING, &from)) == NULL || br_ping_decode(&ping, leaf->body) != 0)
            continue;
        struct br_writer w;
        br_writer_init(&w, message, sizeof message);
        br_ack_encode(&w, &(struct br_ack){.seq = ping.seq, .payload = payload});
        world_run(p->world, MS); /* a round trip of 0 would say nothing */
        peer_raw(p, br_writer_bytes(&w));
        assert_int_equal(peer_send(p), 0);
        return;
    }
    fail_msg("no probe within 5 s");
}

static struct bruit_bytes encode(uint8_t *buffer, const struct br_serf_coordinate *coordinate)
{
    struct br_writer w;
    br_writer_init(&w, buffer, 256);
    br_serf_coordinate_encode(&w, coordinate);
    return br_writer_bytes(&w);
}

/* NaN, infinity, a wrong version, rubbish: counted, and our place stays what it was. A sane one moves us. */
/* conformance: serf 54 */
static void test_nonsense_moves_nobody(void **state)
{
    (void)state;
    struct world *w = coord_world(3, 1);
    struct peer *p = peer_new(w, 0, "peer", 1);
    struct br_serf_coordinate c = {.error = 1.5, .height = 1e-5, .dimensions = 8};
    struct bruit_coordinate before;
    struct bruit_coordinate after;
    uint8_t buffer[256];
    peer_alive(p, 1);
    assert_int_equal(peer_send(p), 0);
    assert_int_equal(bruit_coord_get(w->nodes[0].engine, world_bytes("n0"), &before), 0);
    c.vec[3] = (double)NAN;
    answer_probe(p, encode(buffer, &c));
    c.vec[3] = 0;
    c.error = (double)INFINITY;
    answer_probe(p, encode(buffer, &c));
    c.error = 1.5;
    struct bruit_bytes wrong = encode(buffer, &c);
    buffer[0] = 2;
    answer_probe(p, wrong);
    answer_probe(p, br_bytes("\x01\xc1", 2));
    assert_int_equal(bruit_coord_get(w->nodes[0].engine, world_bytes("n0"), &after), 0);
    assert_memory_equal(&before, &after, sizeof before);
    assert_int_equal(stats_of(w, 0).rejected, 4);
    assert_int_equal(bruit_coord_get(w->nodes[0].engine, world_bytes("peer"), &after), BRUIT_ENOENT);
    answer_probe(p, encode(buffer, &c));
    assert_int_equal(stats_of(w, 0).updates, 1);
    assert_int_equal(bruit_coord_get(w->nodes[0].engine, world_bytes("peer"), &after), 0);
    assert_int_equal(world_state_of(w, 0, "peer"), BRUIT_ALIVE);
    peer_free(p);
    world_free(w);
}

/* A member that is forgotten takes its place with it. */
/* conformance: serf 55 */
static void test_a_forgotten_member_has_no_place(void **state)
{
    (void)state;
    struct world *w = coord_world(4, 3);
    struct bruit_coordinate place;
    w->latency = MS;
    world_run(w, 20 * S);
    assert_int_equal(bruit_coord_get(w->nodes[0].engine, world_bytes("n2"), &place), 0);
    world_kill(w, 2);
    world_run(w, 90 * S);
    assert_int_equal(bruit_member_find(w->nodes[0].engine, world_bytes("n2")), 0);
    assert_int_equal(bruit_coord_get(w->nodes[0].engine, world_bytes("n2"), &place), BRUIT_ENOENT);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_fresh_member_acks_with_the_origin),
        cmocka_unit_test(test_estimates_come_close_to_the_truth),
        cmocka_unit_test(test_nonsense_moves_nobody),
        cmocka_unit_test(test_a_forgotten_member_has_no_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
