/*
 * Serf's messages beyond the recordings: other forms of them that real agents take, limits, and what must be
 * refused.
 */
#include "codec/serf.h"

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

static void assert_text(struct bruit_bytes got, const char *expected)
{
    assert_true(br_bytes_equal(got, br_bytes_string(expected)));
}

/* ---- messages in other forms ---- */

/* Real agents deliver and pass on messages whose struct is an array in declaration order. */
static void test_intents_may_come_as_arrays(void **state)
{
    (void)state;
    struct br_serf_join join;
    assert_int_equal(br_serf_join_decode(&join, hex("92 05 a161")), 0);
    assert_int_equal(join.ltime, 5);
    assert_text(join.node, "a");
    struct br_serf_leave leave;
    assert_int_equal(br_serf_leave_decode(&leave, hex("93 05 a161 c3")), 0);
    assert_true(leave.prune);
    assert_int_equal(br_serf_leave_decode(&leave, hex("92 05 a161")), 0); /* as an old peer would */
    assert_false(leave.prune);
}

static void test_events_and_queries_may_come_as_arrays(void **state)
{
    (void)state;
    struct br_serf_event event;
    assert_int_equal(br_serf_event_decode(&event, hex("94 05 a6646570 6c6f79 a27631 c3")), 0);
    assert_text(event.name, "deploy");
    assert_text(event.payload, "v1");
    assert_true(event.coalesce);
    struct br_serf_query query;
    assert_int_equal(
        br_serf_query_decode(&query, hex("9b 05 07 a47f000001 cd1f0a a173 91a20090 01 02 cd03e8 a16e a170")),
        0);
    assert_int_equal(query.id, 7);
    assert_int_equal(query.port, 7946);
    assert_text(query.source_node, "s");
    assert_int_equal(query.filters.count, 1);
    assert_int_equal(query.flags, BR_SERF_QUERY_ACK);
    assert_int_equal(query.relay_factor, 2);
    assert_int_equal(query.timeout_ns, 1000);
    assert_text(query.name, "n");
    assert_text(query.payload, "p");
    struct br_serf_response response;
    assert_int_equal(br_serf_response_decode(&response, hex("95 05 07 a166 01 c0")), 0);
    assert_text(response.from, "f");
    assert_int_equal(response.flags, BR_SERF_RESPONSE_ACK);
}

/*
 * The document as [LTime, StatusLTimes, LeftMembers, EventLTime, Events, QueryLTime], slots and events as
 * arrays.
 */
static void test_the_document_may_come_as_arrays(void **state)
{
    (void)state;
    struct br_serf_state got;
    assert_int_equal(
        br_serf_state_decode(&got, hex("96 05 82a16101a16202 91a162 07 92c0 9201 9192a16ea170 09")), 0);
    assert_int_equal(got.ltime, 5);
    assert_int_equal(got.event_ltime, 7);
    assert_int_equal(got.query_ltime, 9);
    assert_int_equal(got.status_ltimes.count, 2);
    struct bruit_bytes name, payload;
    assert_true(br_serf_next_name(&got.left_members, &name));
    assert_text(name, "b");
    struct br_serf_slot slot;
    assert_true(br_serf_next_slot(&got.events, &slot));
    assert_int_equal(slot.ltime, 1);
    assert_true(br_serf_next_slot_event(&slot.events, &name, &payload));
    assert_text(name, "n");
    assert_text(payload, "p");
    assert_false(br_serf_next_slot(&got.events, &slot));
}

/* conformance: serf 4 */
static void test_unknown_keys_are_skipped_and_missing_ones_zero(void **state)
{
    (void)state;
    struct br_serf_leave leave;
    assert_int_equal(
        br_serf_leave_decode(&leave, hex("83 a35a7a7a 9281a16101c3 a44e6f6465 a161 a15a cb0000000000000000")),
        0);
    assert_text(leave.node, "a");
    assert_int_equal(leave.ltime, 0);
    assert_false(leave.prune);
    struct br_serf_state got;
    assert_int_equal(br_serf_state_decode(&got, hex("82 a54c54696d65 05 a4466f6f73 9101")), 0);
    assert_int_equal(got.ltime, 5);
    assert_int_equal(got.events.count, 0);
    assert_int_equal(got.status_ltimes.count, 0);
    assert_int_equal(br_serf_state_decode(&got, hex("80")), 0);
    assert_int_equal(br_serf_state_decode(&got, hex("c0")), 0);
}

/* conformance: serf 3 */
static void test_strings_of_every_family_are_taken(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "83a54c54696d6501a44e616d65a16ea75061796c6f6164a2 7632",
        "83d9054c54696d6501d9044e616d65d9016ed9075061796c6f6164c402 7632",
        "83da00054c54696d6501da00044e616d65da00016eda00075061796c6f6164c50002 7632",
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct br_serf_event event;
        assert_int_equal(br_serf_event_decode(&event, hex(forms[i])), 0);
        assert_int_equal(event.ltime, 1);
        assert_text(event.name, "n");
        assert_text(event.payload, "v2");
    }
}

/* conformance: serf 8 */
static void test_nil_and_empty_payloads_are_alike(void **state)
{
    (void)state;
    static const char *const payloads[] = {"c0", "a0", "c400"};
    for (size_t i = 0; i < 3; i++) {
        char text[256];
        struct br_serf_event event;
        struct br_serf_query query;
        struct br_serf_response response;
        (void)snprintf(text, sizeof text, "81 a75061796c6f6164 %s", payloads[i]);
        assert_int_equal(br_serf_event_decode(&event, hex(text)), 0);
        assert_int_equal(event.payload.size, 0);
        assert_int_equal(br_serf_query_decode(&query, hex(text)), 0);
        assert_int_equal(query.payload.size, 0);
        assert_int_equal(br_serf_response_decode(&response, hex(text)), 0);
        assert_int_equal(response.payload.size, 0);
    }
}

/* A message cut at any byte is no message, whatever it was; nothing beyond its end is looked at. */
/* conformance: serf 7 */
static void test_messages_cut_at_any_byte_are_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "82a54c54696d6502a44e6f6465a5616c706861",
        "83a54c54696d6502a44e6f6465a5616c706861a55072756e65c3",
        "86aa4576656e744c54696d6502a64576656e747392c082a64576656e74739182a44e616d65"
        "a16ea75061796c6f6164a170a54c54696d6501"
        "a54c54696d6502ab4c6566744d656d6265727391a161"
        "aa51756572794c54696d6501ac5374617475734c54696d657381a16101",
        "84a24343c2a54c54696d6502a44e616d65a470696e67a75061796c6f6164c0",
        "82a8446573744164647283a24950a47f000801a4506f7274cd1f0aa45a6f6e65a0a8446573744e616d65a27661",
    };
    for (int kind = 0; kind < 5; kind++) {
        struct bruit_bytes body = hex(bodies[kind]);
        for (size_t size = 0; size <= body.size; size++) {
            struct br_serf_join join;
            struct br_serf_leave leave;
            struct br_serf_state got;
            struct br_serf_event event;
            struct br_serf_relay relay;
            uint8_t *exact = malloc(size + (size == 0));
            assert_non_null(exact);
            memcpy(exact, body.data, size);
            struct bruit_bytes cut = br_bytes(exact, size);
            int status = kind == 0   ? br_serf_join_decode(&join, cut)
                         : kind == 1 ? br_serf_leave_decode(&leave, cut)
                         : kind == 2 ? br_serf_state_decode(&got, cut)
                         : kind == 3 ? br_serf_event_decode(&event, cut)
                                     : br_serf_relay_decode(&relay, cut);
            assert_int_equal(status, size < body.size ? BRUIT_EFORMAT : 0);
            free(exact);
        }
    }
}

/* ---- the document ---- */

/* A node without events sends 512 empty slots all the same, since its receivers index them. */
/* conformance: serf 23 */
static void test_an_empty_document_has_512_slots(void **state)
{
    (void)state;
    struct br_writer w = new_writer();
    br_serf_state_begin(&w);
    br_serf_state_write_key(&w, BR_SERF_STATE_EVENT_LTIME);
    br_mp_write_uint(&w, 1);
    br_serf_state_write_key(&w, BR_SERF_STATE_EVENTS);
    br_serf_state_write_no_events(&w);
    br_serf_state_write_key(&w, BR_SERF_STATE_LTIME);
    br_mp_write_uint(&w, 1);
    br_serf_state_write_key(&w, BR_SERF_STATE_LEFT_MEMBERS);
    br_mp_write_array(&w, 0);
    br_serf_state_write_key(&w, BR_SERF_STATE_QUERY_LTIME);
    br_mp_write_uint(&w, 1);
    br_serf_state_write_key(&w, BR_SERF_STATE_STATUS_LTIMES);
    br_mp_write_map(&w, 1);
    br_mp_write_str(&w, br_bytes_text("a"));
    br_mp_write_uint(&w, 0);
    assert_false(w.failed);
    struct br_serf_state got;
    assert_int_equal(br_serf_state_decode(&got, br_bytes(buffer + 1, br_writer_size(&w) - 1)), 0);
    assert_int_equal(got.events.count, 512);
    assert_int_equal(got.events.items.size, 512);
    assert_string_equal(to_hex(br_bytes(got.raw[BR_SERF_STATE_EVENTS].data, 3)), "dc0200");
    struct br_serf_slot slot;
    assert_false(br_serf_next_slot(&got.events, &slot));
    assert_non_null(got.left_members.items.data);
    assert_int_equal(got.left_members.count, 0);
}

/* Nothing of a document is merged unless all of it is good: each element is looked at beforehand. */
static void test_a_document_with_one_bad_element_is_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "81 ab4c6566744d656d62657273 92 a161 05",                     /* a name that is a number */
        "81 ab4c6566744d656d62657273 81 a161 05",                     /* a map for a list */
        "81 ac5374617475734c54696d6573 81 a161 ff",                   /* a negative time */
        "81 ac5374617475734c54696d6573 81 05 05",                     /* a name that is a number */
        "81 ac5374617475734c54696d6573 90",                           /* a list for a map */
        "81 a64576656e7473 92 c0 05",                                 /* a slot that is a number */
        "81 a64576656e7473 91 81 a64576656e7473 91 81 a44e616d65 05", /* an event's name */
        "81 a64576656e7473 91 81 a64576656e7473 05",                  /* its list */
        "81 a64576656e7473 91 81 a54c54696d65 a0",                    /* its time */
        "81 a54c54696d65 ff",
        "81 aa4576656e744c54696d65 cb0000000000000000",
        "05",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct br_serf_state got;
        assert_int_equal(br_serf_state_decode(&got, hex(bodies[i])), BRUIT_EFORMAT);
    }
    assert_int_equal(br_serf_state_check(BR_SERF_STATE_LEFT_MEMBERS, hex("92a161a162")), 0);
    assert_int_equal(br_serf_state_check(BR_SERF_STATE_LEFT_MEMBERS, hex("92a16105")), BRUIT_EFORMAT);
    assert_int_equal(br_serf_state_check(BR_SERF_STATE_STATUS_LTIMES, hex("")), 0);
}

/* A list of any length is taken: slots beyond 512 are another version's business, not an error. */
static void test_event_lists_of_any_length_are_taken(void **state)
{
    (void)state;
    for (uint32_t length = 0; length <= 1024; length += 256) {
        struct br_writer w = new_writer();
        br_mp_write_map(&w, 1);
        br_mp_write_key(&w, "Events");
        br_mp_write_array(&w, length);
        for (uint32_t i = 0; i < length; i++)
            br_mp_write_nil(&w);
        struct br_serf_state got;
        assert_int_equal(br_serf_state_decode(&got, br_writer_bytes(&w)), 0);
        assert_int_equal(got.events.count, length);
    }
}

/* ---- tags ---- */

/* conformance: serf 49, 50 */
static void test_metadata_that_is_no_map_is_a_role(void **state)
{
    (void)state;
    static const struct {
        const char *meta;
        const char *role;
    } rows[] = {{"", ""}, {"6f6c64", "old"}, {"81a161a162", "\201\241a\241b"}};
    for (size_t i = 0; i < 3; i++) {
        struct br_serf_tags tags;
        struct br_serf_tag tag;
        br_serf_tags_open(&tags, hex(rows[i].meta));
        assert_true(br_serf_tags_next(&tags, &tag));
        assert_text(tag.key, "role");
        assert_text(tag.value, rows[i].role);
        assert_false(br_serf_tags_next(&tags, &tag));
        assert_false(tags.malformed);
    }
    struct br_serf_tag tags[] = {{br_bytes_text("dc"), br_bytes_text("x")},
                                 {br_bytes_text("role"), br_bytes_text("web")}};
    struct br_writer w = new_writer();
    assert_int_equal(br_serf_role_encode(&w, tags, 2), 0);
    assert_string_equal(written(&w), "776562");
    w = new_writer();
    assert_int_equal(br_serf_role_encode(&w, tags, 1), 0);
    assert_int_equal(br_writer_size(&w), 0);
}

/* A map that breaks off keeps the tags before the break, as with the original, and says so. */
static void test_tags_before_a_break_are_kept(void **state)
{
    (void)state;
    static const struct {
        const char *meta;
        int count;
        bool malformed;
    } rows[] = {
        {"ff 80", 0, false},
        {"ff c0", 0, false},
        {"ff 82 a161 a162 a163 a164", 2, false},
        {"ff 82 a161 a162 a163", 1, true},
        {"ff 8f a161 a162", 1, true},
        {"ff df ffffffff a161 a162", 1, true},
        {"ff 82 a161 05 a163 a164", 0, true},
        {"ff", 0, true},
        {"ff 93 01 02 03", 0, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct br_serf_tags tags;
        struct br_serf_tag tag;
        int count = 0;
        br_serf_tags_open(&tags, hex(rows[i].meta));
        while (br_serf_tags_next(&tags, &tag))
            count++;
        assert_int_equal(count, rows[i].count);
        assert_int_equal(tags.malformed, rows[i].malformed);
    }
    struct bruit_bytes value;
    assert_true(br_serf_tags_find(hex("ff 82 a161 a162 a161 a163"), br_bytes_text("a"), &value));
    assert_text(value, "c"); /* a Go map keeps the last */
    assert_false(br_serf_tags_find(hex("ff 80"), br_bytes_text("a"), &value));
}

/* The limit counts encoded bytes: 512 are in order, 513 are not, and then nothing was written. */
/* conformance: serf 51 */
static void test_tags_of_512_bytes_fit_and_of_513_do_not(void **state)
{
    (void)state;
    static uint8_t value[600];
    memset(value, 'v', sizeof value);
    /* ff 81, a1 and the key, da and two bytes of size, the value */
    size_t overhead = 2 + 2 + 3;
    struct br_serf_tag tag = {br_bytes_text("k"), br_bytes(value, BRUIT_META_MAX - overhead)};
    struct br_writer w = new_writer();
    br_write_u8(&w, 0xee); /* what a caller wrote before stays */
    assert_int_equal(br_serf_tags_encode(&w, &tag, 1), 0);
    assert_int_equal(br_writer_size(&w), 1 + BRUIT_META_MAX);
    tag.value.size++;
    w = new_writer();
    br_write_u8(&w, 0xee);
    assert_int_equal(br_serf_tags_encode(&w, &tag, 1), BRUIT_ETOOBIG);
    assert_int_equal(br_writer_size(&w), 1);
    assert_false(w.failed);
    struct br_serf_tag role = {br_bytes_text("role"), br_bytes(value, BRUIT_META_MAX)};
    w = new_writer();
    assert_int_equal(br_serf_role_encode(&w, &role, 1), 0);
    role.value.size++;
    w = new_writer();
    assert_int_equal(br_serf_role_encode(&w, &role, 1), BRUIT_ETOOBIG);
}

/* conformance: serf 5, 49 */
static void test_tags_are_written_in_the_old_profile(void **state)
{
    (void)state;
    struct br_serf_tag tags[] = {{br_bytes_text("role"), br_bytes_text("web")},
                                 {br_bytes_text("dc"), br_bytes_text("01234567890123456789012345678901")}};
    struct br_writer w = new_writer();
    assert_int_equal(br_serf_tags_encode(&w, tags, 2), 0);
    assert_string_equal(written(&w), "ff82a4726f6c65a3776562a26463da0020"
                                     "3031323334353637383930313233343536373839303132333435363738393031");
    w = new_writer();
    assert_int_equal(br_serf_tags_encode(&w, NULL, 0), 0);
    assert_string_equal(written(&w), "ff80");
}

/* ---- filters, relays, coordinates ---- */

/* An element of no bytes crashes the original; an unknown kind is a warning there. */
static void test_filters_without_bytes_fail_and_unknown_kinds_decode(void **state)
{
    (void)state;
    struct br_serf_filter filter;
    assert_int_equal(br_serf_filter_decode(&filter, hex("")), BRUIT_EFORMAT);
    assert_int_equal(br_serf_filter_decode(&filter, hex("00")), BRUIT_EFORMAT);
    assert_int_equal(br_serf_filter_decode(&filter, hex("00 92 a161 05")), BRUIT_EFORMAT);
    assert_int_equal(br_serf_filter_decode(&filter, hex("01 90")), 0);
    assert_int_equal(br_serf_filter_decode(&filter, hex("01 a0")), BRUIT_EFORMAT);
    assert_int_equal(br_serf_filter_decode(&filter, hex("07 ffff")), 0);
    assert_int_equal(filter.kind, 7);
    struct br_serf_query query;
    assert_int_equal(br_serf_query_decode(&query, hex("81 a746696c74657273 92 a0 05")), BRUIT_EFORMAT);
}

/* The port is a Go int: signed on the wire, and nothing but 0 to 65,535 is a port. */
static void test_relay_ports_are_checked_and_the_message_is_all_the_rest(void **state)
{
    (void)state;
    struct br_serf_relay relay;
    assert_int_equal(
        br_serf_relay_decode(&relay, hex("82 a84465737441646472 82 a24950 a47f000001 a4506f7274 d11f0a"
                                         "a8446573744e616d65 a16e 05aabb")),
        0);
    assert_int_equal(relay.port, 7946);
    assert_string_equal(to_hex(relay.message), "05aabb");
    assert_int_equal(br_serf_relay_decode(&relay, hex("81 a84465737441646472 81 a4506f7274 ff")),
                     BRUIT_EFORMAT);
    assert_int_equal(br_serf_relay_decode(&relay, hex("81 a84465737441646472 81 a4506f7274 ce00010000")),
                     BRUIT_EFORMAT);
    assert_int_equal(br_serf_relay_decode(&relay, hex("81 a84465737441646472 05")), BRUIT_EFORMAT);
    assert_int_equal(br_serf_relay_decode(&relay, hex("92 93 a47f000001 cd1f0a a0 a16e 05")), 0);
    assert_text(relay.node, "n");
}

/* A coordinate of other than 8 dimensions decodes, so that it can be rejected with its reason. */
static void test_coordinates_keep_the_number_of_dimensions_sent(void **state)
{
    (void)state;
    for (uint32_t dimensions = 7; dimensions <= 9; dimensions++) {
        struct br_writer w = new_writer();
        br_write_u8(&w, BR_SERF_PING_VERSION);
        br_mp_write_map(&w, 1);
        br_mp_write_key(&w, "Vec");
        br_mp_write_array(&w, dimensions);
        for (uint32_t i = 0; i < dimensions; i++)
            br_mp_write_float(&w, i);
        struct br_serf_coordinate coordinate;
        assert_int_equal(br_serf_coordinate_decode(&coordinate, br_writer_bytes(&w)), 0);
        assert_int_equal(coordinate.dimensions, dimensions);
        assert_true(coordinate.vec[6] == 6.0);
    }
    struct br_serf_coordinate coordinate;
    assert_int_equal(br_serf_coordinate_decode(&coordinate, hex("02 80")), BRUIT_EVERSION);
    assert_int_equal(br_serf_coordinate_decode(&coordinate, hex("")), BRUIT_EFORMAT);
    assert_int_equal(br_serf_coordinate_decode(&coordinate, hex("01 81 a3566563 91 a0")), BRUIT_EFORMAT);
    assert_int_equal(br_serf_coordinate_decode(&coordinate, hex("01 81 a5457272 6f72 a0")), BRUIT_EFORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_intents_may_come_as_arrays),
        cmocka_unit_test(test_events_and_queries_may_come_as_arrays),
        cmocka_unit_test(test_the_document_may_come_as_arrays),
        cmocka_unit_test(test_unknown_keys_are_skipped_and_missing_ones_zero),
        cmocka_unit_test(test_strings_of_every_family_are_taken),
        cmocka_unit_test(test_nil_and_empty_payloads_are_alike),
        cmocka_unit_test(test_messages_cut_at_any_byte_are_refused),
        cmocka_unit_test(test_an_empty_document_has_512_slots),
        cmocka_unit_test(test_a_document_with_one_bad_element_is_refused),
        cmocka_unit_test(test_event_lists_of_any_length_are_taken),
        cmocka_unit_test(test_metadata_that_is_no_map_is_a_role),
        cmocka_unit_test(test_tags_before_a_break_are_kept),
        cmocka_unit_test(test_tags_of_512_bytes_fit_and_of_513_do_not),
        cmocka_unit_test(test_tags_are_written_in_the_old_profile),
        cmocka_unit_test(test_filters_without_bytes_fail_and_unknown_kinds_decode),
        cmocka_unit_test(test_relay_ports_are_checked_and_the_message_is_all_the_rest),
        cmocka_unit_test(test_coordinates_keep_the_number_of_dimensions_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
