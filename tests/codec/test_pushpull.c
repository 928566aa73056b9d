/*
 * The full state exchange as it arrives piece by piece, and the fragments from which members are written.
 */
#include "codec/pushpull.h"

#include "hex.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static uint8_t buffer[HEX_SIZE_MAX];

static struct br_writer new_writer(void)
{
    struct br_writer w;
    br_writer_init(&w, buffer, sizeof buffer);
    return w;
}

/* "n<i>" at 10.0.0.<i>, with metadata of `meta_size` bytes. */
static struct br_alive member(unsigned i, size_t meta_size)
{
    static char names[4][16];
    static uint8_t addrs[4][4];
    static uint8_t meta[600];
    unsigned slot = i % 4;
    int length = snprintf(names[slot], sizeof names[slot], "n%u", i);
    memcpy(addrs[slot], (uint8_t[]){10, 0, 0, (uint8_t)i}, 4);
    memset(meta, 'm', sizeof meta);
    return (struct br_alive){.incarnation = i,
                             .port = 7946,
                             .node = br_bytes(names[slot], (size_t)length),
                             .addr = br_bytes(addrs[slot], 4),
                             .meta = br_bytes(meta, meta_size),
                             .vsn = hex("010502020505")};
}

static void assert_same_alive(const struct br_alive *a, const struct br_alive *b)
{
    assert_int_equal(a->incarnation, b->incarnation);
    assert_int_equal(a->port, b->port);
    assert_true(br_bytes_equal(a->node, b->node));
    assert_true(br_bytes_equal(a->addr, b->addr));
    assert_true(br_bytes_equal(a->meta, b->meta));
    assert_true(br_bytes_equal(a->vsn, b->vsn));
}

/* ---- header and entries ---- */

/* conformance: memberlist 1, 9 */
static void test_header_is_written_sorted_and_reads_both_forms_of_a_go_int(void **state)
{
    (void)state;
    struct br_pushpull_header header = {.nodes = 200, .user_state_size = 300, .join = true};
    struct br_writer w = new_writer();
    br_pushpull_header_encode(&w, &header);
    assert_string_equal(written(&w), "0683a44a6f696ec3a54e6f646573ccc8ac557365725374617465"
                                     "4c656ecd012c");
    static const char *const forms[] = {"83a44a6f696ec3a54e6f646573ccc8ac5573657253746174654c656ecd012c",
                                        "83a44a6f696ec3a54e6f646573d100c8ac5573657253746174654c656ed1012c"};
    for (int i = 0; i < 2; i++) {
        struct br_pushpull_reader reader;
        size_t consumed;
        struct br_entry entry;
        struct bruit_bytes user_state;
        br_pushpull_reader_init(&reader);
        assert_int_equal(br_pushpull_read(&reader, hex(forms[i]), &consumed, &entry, &user_state),
                         BR_PUSHPULL_HEADER);
        assert_int_equal(reader.header.nodes, 200);
        assert_int_equal(reader.header.user_state_size, 300);
        assert_true(reader.header.join);
        assert_int_equal(consumed, strlen(forms[i]) / 2);
    }
}

/* A negative count crashed the old implementation; a huge one must cost nothing. */
static void test_header_beyond_the_limits_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        int expected;
    } rows[] = {
        {"82 a54e6f646573 ce00100000 ac5573657253746174654c656e 00", BR_PUSHPULL_HEADER},
        {"82 a54e6f646573 ce00100001 ac5573657253746174654c656e 00", BRUIT_ETOOBIG},
        {"82 a54e6f646573 ff ac5573657253746174654c656e 00", BRUIT_ETOOBIG},
        {"82 a54e6f646573 00 ac5573657253746174654c656e ce01400000", BR_PUSHPULL_HEADER},
        {"82 a54e6f646573 00 ac5573657253746174654c656e ce01400001", BRUIT_ETOOBIG},
        {"82 a54e6f646573 00 ac5573657253746174654c656e d2ffffffff", BRUIT_ETOOBIG},
        {"81 a54e6f646573 cf8000000000000000", BRUIT_EFORMAT},
        {"81 a54e6f646573 a0", BRUIT_EFORMAT},
        {"05", BRUIT_EFORMAT},
        {"c1", BRUIT_EFORMAT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct br_pushpull_reader reader;
        size_t consumed;
        struct br_entry entry;
        struct bruit_bytes user_state;
        br_pushpull_reader_init(&reader);
        assert_int_equal(br_pushpull_read(&reader, hex(rows[i].bytes), &consumed, &entry, &user_state),
                         rows[i].expected);
    }
}

/* conformance: memberlist 1, 5 */
static void test_entry_is_an_alive_with_a_name_and_a_state(void **state)
{
    (void)state;
    struct br_entry entry = {.alive = member(1, 2), .state = BR_ENTRY_SUSPECT};
    struct br_writer w = new_writer();
    br_entry_encode(&w, &entry);
    assert_string_equal(written(&w),
                        "87a441646472a40a000001ab496e6361726e6174696f6e01a44d657461a26d6da44e616d65a26e31"
                        "a4506f7274cd1f0aa5537461746501a356736ea6010502020505");
    struct br_entry out;
    size_t size;
    assert_int_equal(br_entry_decode(&out, br_writer_bytes(&w), &size), 0);
    assert_int_equal(size, br_writer_size(&w));
    assert_int_equal(out.state, BR_ENTRY_SUSPECT);
    assert_same_alive(&out.alive, &entry.alive);
}

/* Entries in other forms than Go's: another key order, signed state, array. All say the same. */
/* conformance: memberlist 9 */
static void test_entry_reads_other_forms(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "87 a356736e c406010502020505 a55374617465 d10003 a4506f7274 cd1f0a a44e616d65 a26e31 a44d657461 c0"
        "ab496e6361726e6174696f6e 01 a441646472 a40a000001",
        "97 a26e31 a40a000001 cd1f0a c0 01 03 a6010502020505",
        "88 a441646472 a40a000001 ab496e6361726e6174696f6e 01 a44d657461 c0 a44e616d65 a26e31"
        "a4506f7274 cd1f0a a55374617465 03 a356736e a6010502020505 a35a7a7a 9101",
    };
    struct br_alive expected = member(1, 0);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct br_entry out;
        size_t size;
        assert_int_equal(br_entry_decode(&out, hex(forms[i]), &size), 0);
        assert_int_equal(size, hex(forms[i]).size);
        assert_int_equal(out.state, BR_ENTRY_LEFT);
        assert_same_alive(&out.alive, &expected);
    }
}

/* States from 4 up, or below 0, belong to nobody we know: the entry is ignored later, the exchange is not. */
static void test_unknown_states_are_read_as_unknown(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        uint8_t expected;
    } rows[] = {
        {"81 a55374617465 03", BR_ENTRY_LEFT},         {"81 a55374617465 04", BR_ENTRY_UNKNOWN},
        {"81 a55374617465 ff", BR_ENTRY_UNKNOWN},      {"81 a55374617465 cd0100", BR_ENTRY_UNKNOWN},
        {"81 a55374617465 d100 01", BR_ENTRY_SUSPECT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct br_entry out;
        size_t size;
        assert_int_equal(br_entry_decode(&out, hex(rows[i].bytes), &size), 0);
        assert_int_equal(out.state, rows[i].expected);
    }
}

/* ---- growing input ---- */

/* Two entries, the second in a form of its own, and a user state. Returns how much of `buffer` it takes. */
static size_t write_exchange(void)
{
    struct br_writer w = new_writer();
    struct br_pushpull_header header = {.nodes = 2, .user_state_size = 5, .join = true};
    struct br_entry first = {.alive = member(1, 40), .state = BR_ENTRY_ALIVE};
    br_pushpull_header_encode(&w, &header);
    br_entry_encode(&w, &first);
    br_write_bytes(&w, hex("97 a26e32 a40a000002 cd1f0a c0 02 02 a6010502020505"));
    br_write_bytes(&w, br_bytes_text("state"));
    assert_false(w.failed);
    return br_writer_size(&w);
}

/*
 * A plain stream delivers in pieces of any size. Whatever the pieces, the same three things come out in
 * order, the reader never takes a byte too many, and never waits for more than it needs.
 */
static void test_reader_gives_the_same_pieces_however_the_bytes_arrive(void **state)
{
    (void)state;
    size_t size = write_exchange();
    for (size_t step = 1; step <= size; step++) {
        struct br_pushpull_reader reader;
        struct br_entry entry;
        struct bruit_bytes user_state = {NULL, 0};
        size_t at = 1, there = 1, consumed, entries = 0, headers = 0;
        br_pushpull_reader_init(&reader);
        for (;;) {
            int got =
                br_pushpull_read(&reader, br_bytes(buffer + at, there - at), &consumed, &entry, &user_state);
            assert_true(got >= 0);
            if (got == BR_PUSHPULL_DONE)
                break;
            if (got == BR_PUSHPULL_NEED_MORE) {
                assert_int_equal(consumed, 0);
                assert_true(there < size);
                there = there + step < size ? there + step : size;
                continue;
            }
            at += consumed;
            headers += got == BR_PUSHPULL_HEADER;
            if (got == BR_PUSHPULL_ENTRY) {
                entries++;
                struct br_alive expected = member((unsigned)entries, entries == 1 ? 40 : 0);
                assert_same_alive(&entry.alive, &expected);
            }
            if (got == BR_PUSHPULL_STATE)
                assert_true(br_bytes_equal(user_state, br_bytes_text("state")));
        }
        assert_int_equal(headers, 1);
        assert_int_equal(entries, 2);
        assert_int_equal(user_state.size, 5);
        assert_int_equal(at, size);
    }
}

/* An entry that is no map ends the exchange there and then, not at the end of the stream. */
static void test_reader_refuses_a_malformed_entry_at_once(void **state)
{
    (void)state;
    struct br_pushpull_reader reader;
    struct br_entry entry;
    struct bruit_bytes user_state, bytes = hex("81 a54e6f646573 02 81 a4506f7274 ff");
    size_t consumed;
    br_pushpull_reader_init(&reader);
    assert_int_equal(br_pushpull_read(&reader, bytes, &consumed, &entry, &user_state), BR_PUSHPULL_HEADER);
    bytes = br_bytes(bytes.data + consumed, bytes.size - consumed);
    assert_int_equal(br_pushpull_read(&reader, bytes, &consumed, &entry, &user_state), BRUIT_EFORMAT);
}

static void test_reader_of_nothing_is_done_after_the_header(void **state)
{
    (void)state;
    struct br_pushpull_reader reader;
    struct br_entry entry;
    struct bruit_bytes user_state;
    size_t consumed;
    br_pushpull_reader_init(&reader);
    assert_int_equal(br_pushpull_read(&reader, hex("80 ffff"), &consumed, &entry, &user_state),
                     BR_PUSHPULL_HEADER);
    assert_int_equal(consumed, 1);
    assert_int_equal(br_pushpull_read(&reader, hex("ffff"), &consumed, &entry, &user_state),
                     BR_PUSHPULL_DONE);
    assert_int_equal(consumed, 0);
}

/* ---- fragments ---- */

static struct br_fragment *new_fragment(const struct br_alive *identity)
{
    size_t size = br_fragment_size(identity);
    assert_true(size > 0);
    struct br_fragment *fragment = malloc(size);
    assert_non_null(fragment);
    br_fragment_build(fragment, identity);
    assert_int_equal(br_fragment_total(fragment), size);
    return fragment;
}

/* From a fragment or from the message itself: the same bytes, for every size at which a header changes. */
static void test_fragment_writes_what_the_encoders_write(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 31, 32, 255, 256, 512};
    static const uint32_t incarnations[] = {0, 1, 127, 128, 255, 256, 65535, 65536, UINT32_MAX};
    static uint8_t name[512];
    memset(name, 'n', sizeof name);
    for (size_t n = 1; n < 7; n++)
        for (size_t m = 0; m < 7; m++)
            for (size_t i = 0; i < 9; i++) {
                struct br_alive identity = member(3, sizes[m]);
                identity.node = br_bytes(name, sizes[n]);
                identity.incarnation = incarnations[i];
                identity.port = (uint16_t)incarnations[(n + m) % 7];
                if ((n + m) % 2 == 1)
                    identity.addr = hex("20010db8000000000000000000000001");
                struct br_fragment *fragment = new_fragment(&identity);
                struct br_entry entry = {.alive = identity, .state = (uint8_t)(i % 4)};
                static uint8_t direct[4096];
                struct br_writer w = new_writer(), d;

                br_writer_init(&d, direct, sizeof direct);
                br_alive_encode(&d, &identity);
                br_fragment_write_alive(&w, fragment, incarnations[i], 0);
                assert_string_equal(written(&w), written(&d));
                assert_int_equal(br_writer_size(&w), br_fragment_alive_size(fragment, incarnations[i]));

                w = new_writer();
                br_writer_init(&d, direct, sizeof direct);
                br_entry_encode(&d, &entry);
                br_fragment_write_entry(&w, fragment, incarnations[i], entry.state);
                assert_string_equal(written(&w), written(&d));
                assert_int_equal(br_writer_size(&w),
                                 br_fragment_entry_size(fragment, incarnations[i], entry.state));

                struct br_alive out = br_fragment_alive(fragment, incarnations[i]);
                assert_same_alive(&out, &identity);
                assert_true(br_fragment_matches_alive(fragment, &identity));
                free(fragment);
            }
}

/* One byte of room too little: nothing is written, and the writer says so. */
static void test_fragment_writes_all_or_nothing(void **state)
{
    (void)state;
    struct br_alive identity = member(3, 20);
    struct br_fragment *fragment = new_fragment(&identity);
    size_t size = br_fragment_alive_size(fragment, 300);
    struct br_writer w;
    br_writer_init(&w, buffer, size - 1);
    br_fragment_write_alive(&w, fragment, 300, 0);
    assert_true(w.failed);
    assert_int_equal(br_writer_size(&w), 0);
    br_writer_init(&w, buffer, size);
    br_fragment_write_alive(&w, fragment, 300, 0);
    assert_false(w.failed);
    br_writer_init(&w, buffer, br_fragment_entry_size(fragment, 300, 0) - 1);
    br_fragment_write_entry(&w, fragment, 300, 0);
    assert_true(w.failed);
    free(fragment);
}

/* A member that changes its address, port, metadata or versions is a new identity; its incarnation is not. */
static void test_fragment_matches_its_identity_alone(void **state)
{
    (void)state;
    struct br_alive identity = member(3, 20);
    struct br_fragment *fragment = new_fragment(&identity);
    struct br_alive other = identity;
    other.incarnation = 99;
    assert_true(br_fragment_matches_alive(fragment, &other));
    other = identity;
    other.port++;
    assert_false(br_fragment_matches_alive(fragment, &other));
    assert_false(br_fragment_same_address(fragment, &other));
    other = identity;
    other.addr = hex("00000000000000000000ffff0a000003"); /* the same host in the other form */
    assert_false(br_fragment_matches_alive(fragment, &other));
    assert_false(br_fragment_same_address(fragment, &other));
    other = identity;
    other.meta.size--;
    assert_false(br_fragment_matches_alive(fragment, &other));
    assert_true(br_fragment_same_address(fragment, &other));
    other = identity;
    other.vsn = hex("010502020504");
    assert_false(br_fragment_matches_alive(fragment, &other));
    other.vsn = hex("01050202050500");
    assert_false(br_fragment_matches_alive(fragment, &other));
    free(fragment);
}

/* What could not be sent on has no fragment: odd addresses, short versions, sizes beyond the offsets. */
static void test_unfit_identities_have_no_fragment(void **state)
{
    (void)state;
    struct br_alive identity = member(3, 0);
    assert_true(br_fragment_size(&identity) > 0);
    /* 12 of offsets, 53 of keys and numbers, and the name: what a roster pays for a member. */
    assert_int_equal(br_fragment_size(&identity), 12 + 53 + identity.node.size);
    identity.addr = hex("7f00");
    assert_int_equal(br_fragment_size(&identity), 0);
    identity = member(3, 0);
    identity.vsn = hex("0105020205");
    assert_int_equal(br_fragment_size(&identity), 0);
    identity = member(3, 0);
    static uint8_t large[65536];
    identity.meta = br_bytes(large, 65400);
    assert_true(br_fragment_size(&identity) > 0);
    identity.meta = br_bytes(large, 65500);
    assert_int_equal(br_fragment_size(&identity), 0);
    identity.meta = br_bytes(large, 65536);
    assert_int_equal(br_fragment_size(&identity), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_is_written_sorted_and_reads_both_forms_of_a_go_int),
        cmocka_unit_test(test_header_beyond_the_limits_is_refused),
        cmocka_unit_test(test_entry_is_an_alive_with_a_name_and_a_state),
        cmocka_unit_test(test_entry_reads_other_forms),
        cmocka_unit_test(test_unknown_states_are_read_as_unknown),
        cmocka_unit_test(test_reader_gives_the_same_pieces_however_the_bytes_arrive),
        cmocka_unit_test(test_reader_refuses_a_malformed_entry_at_once),
        cmocka_unit_test(test_reader_of_nothing_is_done_after_the_header),
        cmocka_unit_test(test_fragment_writes_what_the_encoders_write),
        cmocka_unit_test(test_fragment_writes_all_or_nothing),
        cmocka_unit_test(test_fragment_matches_its_identity_alone),
        cmocka_unit_test(test_unfit_identities_have_no_fragment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
