/* The decoder of RPC requests: any split, any order of keys, and everything that is no request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/request.h"

#include <stdlib.h>

static struct br_rpc_decoder decoder;
static struct br_rpc_request request;
static uint8_t bytes[4096];
static struct br_writer w;

static int setup(void **state)
{
    (void)state;
    br_rpc_decoder_init(&decoder);
    decoder.is_open = true;
    br_writer_init(&w, bytes, sizeof bytes);
    return 0;
}

static void header(const char *command, uint64_t seq)
{
    br_mp_write_map(&w, 2);
    br_mp_write_key(&w, "Command");
    br_mp_write_key(&w, command);
    br_mp_write_key(&w, "Seq");
    br_mp_write_uint(&w, seq);
}

static void pair(const char *key, const char *value)
{
    br_mp_write_key(&w, key);
    br_mp_write_key(&w, value);
}

static int decode(size_t *consumed)
{
    return br_rpc_decode(&decoder, br_writer_bytes(&w), consumed, &request);
}

/* Decodes what was written, all of which must be one request. */
static void decode_all(void)
{
    size_t consumed;
    assert_int_equal(decode(&consumed), 0);
    assert_int_equal(consumed, br_writer_size(&w));
}

/* A filter with its keys in an order of its own and one that nobody knows. */
/* conformance: rpc 5 */
static void test_body_is_read_in_any_order_of_its_keys(void **state)
{
    struct bruit_bytes key, value;
    (void)state;
    header("members-filtered", UINT64_MAX);
    br_mp_write_map(&w, 4);
    br_mp_write_key(&w, "Tags");
    br_mp_write_map(&w, 1);
    pair("role", "web");
    pair("Unknown", "x");
    pair("Name", "a.*");
    pair("Status", "alive");
    decode_all();
    assert_int_equal(request.command, BR_RPC_MEMBERS_FILTERED);
    assert_true(request.seq == UINT64_MAX);
    assert_true(br_bytes_equal(request.name, br_bytes_text("a.*")));
    assert_true(br_bytes_equal(request.status, br_bytes_text("alive")));
    assert_true(br_rpc_next_pair(&request.tags, &key, &value));
    assert_true(br_bytes_equal(key, br_bytes_text("role")) && br_bytes_equal(value, br_bytes_text("web")));
    assert_false(br_rpc_next_pair(&request.tags, &key, &value));
}

/* A client on a slow line: the request arrives byte by byte, and the decoder lets go of each object once. */
/* conformance: rpc 7 */
static void test_request_may_come_byte_by_byte(void **state)
{
    size_t done = 0;
    (void)state;
    header("join", 7);
    br_mp_write_map(&w, 2);
    br_mp_write_key(&w, "Existing");
    br_mp_write_array(&w, 2);
    br_mp_write_key(&w, "127.0.0.1");
    br_mp_write_key(&w, "host:80");
    br_mp_write_key(&w, "Replay");
    br_mp_write_bool(&w, true);
    size_t size = br_writer_size(&w);
    for (size_t end = 1; end <= size; end++) {
        /* A copy that is exactly as long as what has come: a sanitizer sees a read beyond it. */
        uint8_t *copy = malloc(end - done);
        size_t consumed;
        memcpy(copy, bytes + done, end - done);
        int step = br_rpc_decode(&decoder, br_bytes(copy, end - done), &consumed, &request);
        assert_int_equal(step, end < size ? BR_MP_MORE : 0);
        done += consumed;
        if (end == size) {
            struct bruit_bytes text;
            assert_int_equal(request.command, BR_RPC_JOIN);
            assert_int_equal(request.existing.count, 2);
            assert_true(request.replay);
            assert_true(br_rpc_next_text(&request.existing, &text));
            assert_true(br_bytes_equal(text, br_bytes_text("127.0.0.1")));
        }
        free(copy);
    }
    assert_int_equal(done, size);
}

/* Serf keeps one header for a connection: what a later one leaves out is still there. */
/* conformance: rpc 5 */
static void test_header_inherits_what_it_leaves_out(void **state)
{
    size_t consumed;
    (void)state;
    header("members", 9);
    size_t first = br_writer_size(&w);
    br_mp_write_map(&w, 1);
    pair("Command", "stats");
    size_t second = br_writer_size(&w);
    br_mp_write_map(&w, 0);
    assert_int_equal(decode(&consumed), 0);
    assert_int_equal(consumed, first);
    assert_int_equal(br_rpc_decode(&decoder, br_bytes(bytes + first, sizeof bytes), &consumed, &request), 0);
    assert_int_equal(consumed, second - first);
    assert_int_equal(request.command, BR_RPC_STATS);
    assert_int_equal(request.seq, 9);
    assert_int_equal(br_rpc_decode(&decoder, br_bytes(bytes + second, 1), &consumed, &request), 0);
    assert_int_equal(request.command, BR_RPC_STATS);
    assert_int_equal(request.seq, 9);
}

/* conformance: rpc 5 */
static void test_header_may_be_an_array(void **state)
{
    (void)state;
    br_mp_write_array(&w, 2);
    br_mp_write_key(&w, "members");
    br_mp_write_uint(&w, 3);
    decode_all();
    assert_int_equal(request.command, BR_RPC_MEMBERS);
    assert_int_equal(request.seq, 3);
}

/* A missing field is zero, a nil list or map is empty, and text may come as bytes. */
/* conformance: rpc 5 */
static void test_missing_and_nil_fields_are_zero(void **state)
{
    (void)state;
    header("join", 1);
    br_mp_write_map(&w, 1);
    br_mp_write_key(&w, "Existing");
    br_mp_write_nil(&w);
    decode_all();
    assert_int_equal(request.existing.count, 0);
    assert_false(request.replay);
    br_writer_init(&w, bytes, sizeof bytes);
    header("force-leave", 1);
    br_mp_write_map(&w, 1);
    br_mp_write_key(&w, "Node");
    br_mp_write_bin(&w, br_bytes_text("n1"));
    decode_all();
    assert_true(br_bytes_equal(request.node, br_bytes_text("n1")));
    assert_false(request.prune);
}

/* Before the handshake a command is refused on sight: its body is not waited for. */
static void test_body_is_not_waited_for_before_the_handshake(void **state)
{
    size_t consumed;
    (void)state;
    decoder.is_open = false;
    header("join", 1);
    assert_int_equal(decode(&consumed), 0);
    assert_int_equal(request.command, BR_RPC_JOIN);
    br_writer_init(&w, bytes, sizeof bytes);
    header("handshake", 2);
    assert_int_equal(decode(&consumed), BR_MP_MORE);
}

/* A query with all its fields, in another order than Serf's own command line has. */
static void test_query_is_taken_apart(void **state)
{
    struct bruit_bytes text, value;
    (void)state;
    header("query", 7);
    br_mp_write_map(&w, 7);
    br_mp_write_key(&w, "Timeout");
    br_mp_write_int(&w, -5);
    br_mp_write_key(&w, "FilterTags");
    br_mp_write_map(&w, 1);
    br_mp_write_key(&w, "role");
    br_mp_write_key(&w, "web.*");
    br_mp_write_key(&w, "FilterNodes");
    br_mp_write_array(&w, 1);
    br_mp_write_key(&w, "beta");
    br_mp_write_key(&w, "Name");
    br_mp_write_key(&w, "uptime");
    br_mp_write_key(&w, "Payload");
    br_mp_write_bin(&w, br_bytes_text("p"));
    br_mp_write_key(&w, "RelayFactor");
    br_mp_write_uint(&w, 255);
    br_mp_write_key(&w, "RequestAck");
    br_mp_write_bool(&w, true);
    decode_all();
    assert_int_equal(request.command, BR_RPC_QUERY);
    assert_int_equal(request.timeout, -5);
    assert_true(br_bytes_equal(request.name, br_bytes_text("uptime")));
    assert_true(br_bytes_equal(request.payload, br_bytes_text("p")));
    assert_int_equal(request.relay_factor, 255);
    assert_true(request.ack);
    assert_true(br_rpc_next_text(&request.nodes, &text));
    assert_true(br_bytes_equal(text, br_bytes_text("beta")));
    assert_false(br_rpc_next_text(&request.nodes, &text));
    assert_true(br_rpc_next_pair(&request.tags, &text, &value));
    assert_true(br_bytes_equal(text, br_bytes_text("role")) && br_bytes_equal(value, br_bytes_text("web.*")));
    assert_false(br_rpc_next_pair(&request.tags, &text, &value));
}

static int error_of(struct bruit_bytes input)
{
    size_t consumed;
    br_rpc_decoder_init(&decoder);
    decoder.is_open = true;
    return br_rpc_decode(&decoder, input, &consumed, &request);
}

/* A browser, a TLS client, numbers, a body whose parts have other types: all end the connection. */
/* conformance: rpc 6 */
static void test_what_is_no_request_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(error_of(br_bytes_text("GET / HTTP/1.1\r\n")), BRUIT_EFORMAT);
    assert_int_equal(error_of(br_bytes_text("\x16\x03\x01")), BRUIT_EFORMAT);
    assert_int_equal(error_of(br_bytes_text("\xc1")), BRUIT_EFORMAT);
    assert_int_equal(error_of(br_bytes_text("\x05")), BRUIT_EFORMAT);
    header("join", 1);
    br_mp_write_map(&w, 1);
    br_mp_write_key(&w, "Existing");
    br_mp_write_array(&w, 1);
    br_mp_write_uint(&w, 5);
    assert_int_equal(error_of(br_writer_bytes(&w)), BRUIT_EFORMAT);
    br_writer_init(&w, bytes, sizeof bytes);
    header("tags", 1);
    br_mp_write_map(&w, 1);
    br_mp_write_key(&w, "Tags");
    br_mp_write_map(&w, 1);
    br_mp_write_key(&w, "k");
    br_mp_write_map(&w, 0);
    assert_int_equal(error_of(br_writer_bytes(&w)), BRUIT_EFORMAT);
    br_writer_init(&w, bytes, sizeof bytes);
    header("stop", 1);
    br_mp_write_map(&w, 1);
    br_mp_write_key(&w, "Stop");
    br_mp_write_int(&w, -1);
    assert_int_equal(error_of(br_writer_bytes(&w)), BRUIT_EFORMAT);
}

/* A client that announces a gigabyte: it is believed up to one MiB of bytes that really came. */
static void test_object_is_waited_for_up_to_one_mib(void **state)
{
    uint8_t *large = calloc(1, BR_RPC_OBJECT_MAX);
    size_t consumed;
    (void)state;
    memcpy(large, "\xdb\x40\x00\x00\x00", 5);
    br_rpc_decoder_init(&decoder);
    assert_int_equal(br_rpc_decode(&decoder, br_bytes(large, BR_RPC_OBJECT_MAX - 1), &consumed, &request),
                     BR_MP_MORE);
    assert_int_equal(br_rpc_decode(&decoder, br_bytes(large, BR_RPC_OBJECT_MAX), &consumed, &request),
                     BRUIT_ETOOBIG);
    free(large);
}

/* Random damage to a real request: an answer, a wait or a refusal, and never a read out of bounds. */
/* conformance: rpc 6 */
static void test_damaged_requests_do_no_harm(void **state)
{
    unsigned seed = 20260102;
    (void)state;
    print_message("seed %u\n", seed);
    srand(seed);
    header("members-filtered", 4);
    br_mp_write_map(&w, 2);
    pair("Name", "a.*");
    br_mp_write_key(&w, "Tags");
    br_mp_write_map(&w, 1);
    pair("role", "web");
    for (unsigned round = 0; round < 20000; round++) {
        size_t size = 1 + (size_t)rand() % br_writer_size(&w), consumed;
        uint8_t *copy = malloc(size);
        memcpy(copy, bytes, size);
        for (unsigned i = 0; i < 3; i++)
            copy[(size_t)rand() % size] = (uint8_t)rand();
        br_rpc_decoder_init(&decoder);
        decoder.is_open = true;
        int step = br_rpc_decode(&decoder, br_bytes(copy, size), &consumed, &request);
        assert_true(step == 0 || step == BR_MP_MORE || step == BRUIT_EFORMAT);
        assert_true(consumed <= size);
        free(copy);
    }
}

/* A member as Serf writes it, byte for byte (vector rpc-cli-members: alpha's first record has this form). */
/* conformance: rpc 8 */
static void test_member_is_written_as_serf_writes_it(void **state)
{
    static const char expected[] = "\x8b\xa4"
                                   "Addr\xc4\x04\x7f\x00\x03\x01\xab"
                                   "DelegateCur\x05\xab"
                                   "DelegateMax\x05\xab"
                                   "DelegateMin\x02\xa4"
                                   "Name\xa2ra\xa4"
                                   "Port\xcd\x1f\x0a\xab"
                                   "ProtocolCur\x02\xab"
                                   "ProtocolMax\x05\xab"
                                   "ProtocolMin\x01\xa6"
                                   "Status\xa5"
                                   "alive\xa4"
                                   "Tags\x81\xa4role\xa1x";
    struct bruit_status_member member = {
        .name = br_bytes_text("ra"),
        .meta = br_bytes_text("\xff\x81\xa4role\xa1x"),
        .addr = {.ip = {127, 0, 3, 1}, .port = 7946, .size = 4},
        .versions = {1, 5, 2, 2, 5, 5},
        .status = BRUIT_STATUS_ALIVE,
    };
    struct br_blob out = BR_BLOB_EMPTY;
    (void)state;
    br_rpc_write_member(&out, &member);
    assert_int_equal(out.size, sizeof expected - 1);
    assert_memory_equal(out.data, expected, sizeof expected - 1);
    br_blob_release(&out);
}

/* The largest member there can be, with the worst metadata a peer may send: the bound holds. */
static void test_the_largest_member_fits(void **state)
{
    uint8_t name[BRUIT_NAME_MAX], meta[BRUIT_META_MAX];
    struct bruit_status_member member = {.addr = {.size = 16}, .status = BRUIT_STATUS_LEAVING};
    (void)state;
    memset(name, 'n', sizeof name);
    memset(member.versions, 255, sizeof member.versions);
    member.name = br_bytes(name, sizeof name);
    member.addr.port = 65535;
    for (unsigned form = 0; form < 3; form++) {
        struct br_blob out = BR_BLOB_EMPTY;
        memset(meta, form == 0 ? 'r' : 0xc0, sizeof meta); /* a bare role; a map of nils, all one key */
        if (form == 2)
            for (size_t i = 0; i < sizeof meta; i++)
                meta[i] = (uint8_t)(i % 3 == 0 ? 0xa1 : i % 3 == 1 ? i / 3 + 1 : 0xa0); /* one-letter keys */
        if (form > 0)
            memcpy(meta, "\xff\xde\x00\xa9", 4);
        member.meta = br_bytes(meta, sizeof meta);
        br_rpc_write_member(&out, &member);
        assert_false(out.failed);
        size_t size;
        assert_int_equal(br_mp_scan(br_blob_bytes(&out), &size), 0);
        assert_int_equal(size, out.size);
        br_blob_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_body_is_read_in_any_order_of_its_keys, setup),
        cmocka_unit_test_setup(test_request_may_come_byte_by_byte, setup),
        cmocka_unit_test_setup(test_header_inherits_what_it_leaves_out, setup),
        cmocka_unit_test_setup(test_header_may_be_an_array, setup),
        cmocka_unit_test_setup(test_missing_and_nil_fields_are_zero, setup),
        cmocka_unit_test_setup(test_body_is_not_waited_for_before_the_handshake, setup),
        cmocka_unit_test_setup(test_query_is_taken_apart, setup),
        cmocka_unit_test_setup(test_what_is_no_request_is_an_error, setup),
        cmocka_unit_test_setup(test_object_is_waited_for_up_to_one_mib, setup),
        cmocka_unit_test_setup(test_damaged_requests_do_no_harm, setup),
        cmocka_unit_test_setup(test_member_is_written_as_serf_writes_it, setup),
        cmocka_unit_test_setup(test_the_largest_member_fits, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
