/*
 * Every recorded message of Serf: decoded, compared field by field with what the recording says, and written
 * again from its decoded form to the identical bytes.
 *
 * The recordings come from Debian's Serf 0.9.4 and, marked codec-v2, from the newest codec
 * (tests/vectors/serf).
 */
#include "codec/serf.h"

#include "hex.h"

#include <dirent.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char *current; /* the vector at hand, for messages */
static uint8_t buffer[HEX_SIZE_MAX];

#define CHECK(condition)                             \
    do {                                             \
        if (!(condition))                            \
            fail_msg("%s: %s", current, #condition); \
    } while (0)

static struct br_writer new_writer(void)
{
    struct br_writer w;
    br_writer_init(&w, buffer, sizeof buffer);
    return w;
}

/* What is behind the type byte. */
static struct bruit_bytes body_of(struct bruit_bytes message)
{
    return br_bytes(message.data + 1, message.size - 1);
}

/* ---- comparing with JSON ---- */

/* Text as a string, other bytes as {"raw": hex} or {"bin": hex}, absent ones as null. */
static void check_bytes(json_t *expected, struct bruit_bytes got)
{
    CHECK(expected != NULL);
    if (json_is_null(expected)) {
        CHECK(got.size == 0);
        return;
    }
    if (json_is_string(expected)) {
        CHECK(br_bytes_equal(got, br_bytes(json_string_value(expected), json_string_length(expected))));
        return;
    }
    json_t *text = json_object_get(expected, "raw");
    if (text == NULL)
        text = json_object_get(expected, "bin");
    CHECK(json_is_string(text));
    CHECK(br_bytes_equal(got, hex(json_string_value(text))));
}

static void check_uint(json_t *expected, uint64_t got)
{
    CHECK(json_is_integer(expected));
    CHECK((uint64_t)json_integer_value(expected) == got);
}

static void check_bool(json_t *expected, bool got)
{
    CHECK(json_is_boolean(expected));
    CHECK(json_is_true(expected) == got);
}

static void check_float(json_t *expected, double got)
{
    uint8_t bytes[8];
    uint64_t bits;
    memcpy(&bits, &got, 8);
    br_store_u64(bytes, bits);
    CHECK(strcmp(json_string_value(json_object_get(expected, "f64")), to_hex(br_bytes(bytes, 8))) == 0);
}

static void check_names(json_t *expected, struct br_mp_list names)
{
    if (json_is_null(expected)) {
        CHECK(names.items.data == NULL);
        return;
    }
    struct bruit_bytes name;
    size_t seen = 0;
    CHECK(names.items.data != NULL);
    CHECK(json_array_size(expected) == names.count);
    while (br_serf_next_name(&names, &name))
        check_bytes(json_array_get(expected, seen++), name);
    CHECK(seen == json_array_size(expected));
}

static json_t *get(json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    if (value == NULL)
        fail_msg("%s: no %s in the recording", current, key);
    return value;
}

/* Any MessagePack value against its JSON form, with the reader alone. */
static void check_value(json_t *expected, struct br_reader *r)
{
    switch (br_mp_peek(r)) {
    case BR_MP_NIL:
        CHECK(json_is_null(expected));
        br_mp_skip(r);
        break;
    case BR_MP_BOOL: check_bool(expected, br_mp_read_bool(r)); break;
    case BR_MP_INTEGER:
        CHECK(json_is_integer(expected));
        if (json_integer_value(expected) < 0)
            CHECK(br_mp_read_int(r, INT64_MIN, INT64_MAX) == json_integer_value(expected));
        else
            CHECK(br_mp_read_uint(r, UINT64_MAX) == (uint64_t)json_integer_value(expected));
        break;
    case BR_MP_FLOAT: check_float(expected, br_mp_read_float(r)); break;
    case BR_MP_STRING: check_bytes(expected, br_mp_read_bytes(r)); break;
    case BR_MP_BINARY:
        CHECK(json_object_get(expected, "bin") != NULL);
        check_bytes(expected, br_mp_read_bytes(r));
        break;
    case BR_MP_ARRAY: {
        uint32_t count = br_mp_read_array(r);
        CHECK(json_array_size(expected) == count);
        for (uint32_t i = 0; i < count; i++)
            check_value(json_array_get(expected, i), r);
        break;
    }
    case BR_MP_MAP: {
        uint32_t count = br_mp_read_map(r);
        CHECK(json_object_size(expected) == count);
        for (uint32_t i = 0; i < count; i++) {
            struct bruit_bytes key = br_mp_read_bytes(r);
            char text[256];
            CHECK(key.size < sizeof text);
            memcpy(text, key.data, key.size);
            text[key.size] = '\0';
            check_value(get(expected, text), r);
        }
        break;
    }
    case BR_MP_EXTENSION:
    case BR_MP_INVALID: CHECK(false);
    }
    CHECK(!r->failed);
}

static void check_values(json_t *expected, struct bruit_bytes bytes)
{
    struct br_reader r;
    br_reader_init(&r, bytes);
    CHECK(json_is_array(expected));
    for (size_t i = 0; i < json_array_size(expected); i++)
        check_value(json_array_get(expected, i), &r);
    CHECK(br_reader_left(&r) == 0);
}

/* ---- one message of each type ---- */

static void check_message(json_t *expected, struct bruit_bytes message);

/* What was written must be the recording, which for codec-v2 means the old codec's form of it. */
static void check_written(const struct br_writer *w, struct bruit_bytes message)
{
    if (strcmp(current, "codec-v2-query.json") == 0) {
        size_t prefix = message.size - 9;
        CHECK(strncmp(written(w), to_hex(message), 2 * prefix) == 0);
        CHECK(strcmp(written(w) + 2 * prefix, "cebebc2000") == 0);
        return;
    }
    CHECK(!w->failed);
    CHECK(br_bytes_equal(br_writer_bytes(w), message));
}

static void check_join(json_t *body, struct bruit_bytes message)
{
    struct br_serf_join join;
    CHECK(json_object_size(body) == 2);
    CHECK(br_serf_join_decode(&join, body_of(message)) == 0);
    check_uint(get(body, "LTime"), join.ltime);
    check_bytes(get(body, "Node"), join.node);
    struct br_writer w = new_writer();
    br_serf_join_encode(&w, &join);
    check_written(&w, message);
}

static void check_leave(json_t *body, struct bruit_bytes message)
{
    struct br_serf_leave leave;
    CHECK(json_object_size(body) == 3);
    CHECK(br_serf_leave_decode(&leave, body_of(message)) == 0);
    check_uint(get(body, "LTime"), leave.ltime);
    check_bytes(get(body, "Node"), leave.node);
    check_bool(get(body, "Prune"), leave.prune);
    struct br_writer w = new_writer();
    br_serf_leave_encode(&w, &leave);
    check_written(&w, message);
}

static void check_events(json_t *expected, struct br_mp_list events)
{
    json_t *slots = get(expected, "slots");
    struct br_serf_slot slot;
    size_t seen = 0;
    CHECK(events.count == json_integer_value(get(expected, "array_length")));
    while (br_serf_next_slot(&events, &slot)) {
        char index[16];
        (void)snprintf(index, sizeof index, "%u", (unsigned)(slot.ltime % BR_SERF_EVENT_SLOTS));
        json_t *group = get(slots, index);
        check_uint(get(group, "LTime"), slot.ltime);
        CHECK(json_array_size(get(group, "Events")) == slot.events.count);
        struct bruit_bytes name, payload;
        for (size_t i = 0; br_serf_next_slot_event(&slot.events, &name, &payload); i++) {
            check_bytes(get(json_array_get(get(group, "Events"), i), "Name"), name);
            check_bytes(get(json_array_get(get(group, "Events"), i), "Payload"), payload);
        }
        seen++;
    }
    CHECK(seen == json_object_size(slots));
}

/* The ring as a module would write it: from slots filed under LTime mod 512. */
static void write_events(struct br_writer *w, struct br_mp_list events)
{
    struct br_serf_slot ring[BR_SERF_EVENT_SLOTS], slot;
    bool used[BR_SERF_EVENT_SLOTS] = {false};
    while (br_serf_next_slot(&events, &slot)) {
        ring[slot.ltime % BR_SERF_EVENT_SLOTS] = slot;
        used[slot.ltime % BR_SERF_EVENT_SLOTS] = true;
    }
    br_mp_write_array(w, BR_SERF_EVENT_SLOTS);
    for (int i = 0; i < BR_SERF_EVENT_SLOTS; i++) {
        if (!used[i]) {
            br_mp_write_nil(w);
            continue;
        }
        struct bruit_bytes name, payload;
        br_serf_state_begin_slot(w, ring[i].events.count);
        while (br_serf_next_slot_event(&ring[i].events, &name, &payload))
            br_serf_state_write_slot_event(w, name, payload);
        br_serf_state_end_slot(w, ring[i].ltime);
    }
}

static void check_state(json_t *body, struct bruit_bytes message)
{
    struct br_serf_state got;
    CHECK(json_object_size(body) == 6);
    CHECK(br_serf_state_decode(&got, body_of(message)) == 0);
    check_uint(get(body, "EventLTime"), got.event_ltime);
    check_uint(get(body, "LTime"), got.ltime);
    check_uint(get(body, "QueryLTime"), got.query_ltime);
    check_names(get(body, "LeftMembers"), got.left_members);
    check_events(get(body, "Events"), got.events);

    json_t *status = get(body, "StatusLTimes");
    struct br_mp_list walk = got.status_ltimes;
    struct bruit_bytes name;
    uint64_t ltime;
    CHECK(json_object_size(status) == walk.count);
    while (br_serf_next_status(&walk, &name, &ltime))
        check_uint(json_object_getn(status, (const char *)name.data, name.size), ltime);

    struct br_writer w = new_writer();
    br_serf_state_begin(&w);
    br_serf_state_write_key(&w, BR_SERF_STATE_EVENT_LTIME);
    br_mp_write_uint(&w, got.event_ltime);
    br_serf_state_write_key(&w, BR_SERF_STATE_EVENTS);
    write_events(&w, got.events);
    br_serf_state_write_key(&w, BR_SERF_STATE_LTIME);
    br_mp_write_uint(&w, got.ltime);
    br_serf_state_write_key(&w, BR_SERF_STATE_LEFT_MEMBERS);
    br_mp_write_array(&w, got.left_members.count);
    for (walk = got.left_members; br_serf_next_name(&walk, &name);)
        br_mp_write_str(&w, name);
    br_serf_state_write_key(&w, BR_SERF_STATE_QUERY_LTIME);
    br_mp_write_uint(&w, got.query_ltime);
    br_serf_state_write_key(&w, BR_SERF_STATE_STATUS_LTIMES);
    br_mp_write_map(&w, got.status_ltimes.count);
    for (walk = got.status_ltimes; br_serf_next_status(&walk, &name, &ltime);) {
        br_mp_write_str(&w, name);
        br_mp_write_uint(&w, ltime);
    }
    check_written(&w, message);
}

static void check_event(json_t *body, struct bruit_bytes message)
{
    struct br_serf_event event;
    CHECK(json_object_size(body) == 4);
    CHECK(br_serf_event_decode(&event, body_of(message)) == 0);
    check_bool(get(body, "CC"), event.coalesce);
    check_uint(get(body, "LTime"), event.ltime);
    check_bytes(get(body, "Name"), event.name);
    check_bytes(get(body, "Payload"), event.payload);
    struct br_writer w = new_writer();
    br_serf_event_encode(&w, &event);
    check_written(&w, message);
}

/* The filters of a query, taken apart, compared, and put together again. */
static void check_filters(json_t *expected, struct br_mp_list filters, struct br_writer *w)
{
    struct bruit_bytes bytes;
    for (size_t i = 0; br_serf_next_filter(&filters, &bytes); i++) {
        json_t *one = json_array_get(expected, i);
        struct br_serf_filter filter;
        uint8_t again[1024];
        struct br_writer inner;
        CHECK(br_serf_filter_decode(&filter, bytes) == 0);
        check_uint(get(one, "type"), filter.kind);
        if (filter.kind == BR_SERF_FILTER_NODE) {
            check_names(get(one, "body"), filter.nodes);
        } else {
            check_bytes(get(get(one, "body"), "Expr"), filter.expr);
            check_bytes(get(get(one, "body"), "Tag"), filter.tag);
        }
        br_writer_init(&inner, again, sizeof again);
        br_serf_filter_encode(&inner, &filter);
        br_mp_write_str(w, br_writer_bytes(&inner));
    }
}

static void check_query(json_t *decoded, struct bruit_bytes message)
{
    json_t *body = get(decoded, "body");
    struct br_serf_query query;
    CHECK(json_object_size(body) == 11);
    CHECK(br_serf_query_decode(&query, body_of(message)) == 0);
    check_bytes(get(body, "Addr"), query.addr);
    check_names(get(body, "Filters"), query.filters);
    check_uint(get(body, "Flags"), query.flags);
    check_uint(get(body, "ID"), query.id);
    check_uint(get(body, "LTime"), query.ltime);
    check_bytes(get(body, "Name"), query.name);
    check_bytes(get(body, "Payload"), query.payload);
    check_uint(get(body, "Port"), query.port);
    check_uint(get(body, "RelayFactor"), query.relay_factor);
    check_bytes(get(body, "SourceNode"), query.source_node);
    check_uint(get(body, "Timeout"), (uint64_t)query.timeout_ns);

    static uint8_t filters[4096];
    struct br_writer w;
    br_writer_init(&w, filters, sizeof filters);
    if (query.filters.count > 0) {
        check_filters(get(decoded, "filters"), query.filters, &w);
        query.filters.items = br_writer_bytes(&w);
    }
    w = new_writer();
    br_serf_query_encode(&w, &query);
    check_written(&w, message);
    if (json_object_get(decoded, "payload_message") != NULL)
        check_message(json_object_get(decoded, "payload_message"), query.payload);
}

static void check_response(json_t *decoded, struct bruit_bytes message)
{
    json_t *body = get(decoded, "body");
    struct br_serf_response response;
    CHECK(json_object_size(body) == 5);
    CHECK(br_serf_response_decode(&response, body_of(message)) == 0);
    check_uint(get(body, "Flags"), response.flags);
    check_bytes(get(body, "From"), response.from);
    check_uint(get(body, "ID"), response.id);
    check_uint(get(body, "LTime"), response.ltime);
    check_bytes(get(body, "Payload"), response.payload);
    struct br_writer w = new_writer();
    br_serf_response_encode(&w, &response);
    check_written(&w, message);
    if (json_object_get(decoded, "payload_message") != NULL)
        check_message(json_object_get(decoded, "payload_message"), response.payload);
}

static void check_member(json_t *body, struct bruit_bytes message)
{
    struct br_serf_member member;
    CHECK(br_serf_member_decode(&member, body_of(message)) == 0);
    CHECK(member.known == !json_is_null(body));
    if (member.known) {
        CHECK(json_object_size(body) == 11);
        check_bytes(get(body, "Addr"), member.addr);
        check_uint(get(body, "DelegateCur"), member.delegate_current);
        check_uint(get(body, "DelegateMax"), member.delegate_max);
        check_uint(get(body, "DelegateMin"), member.delegate_min);
        check_bytes(get(body, "Name"), member.name);
        check_uint(get(body, "Port"), member.port);
        check_uint(get(body, "ProtocolCur"), member.protocol_current);
        check_uint(get(body, "ProtocolMax"), member.protocol_max);
        check_uint(get(body, "ProtocolMin"), member.protocol_min);
        check_uint(get(body, "Status"), (uint64_t)member.status);
        struct br_mp_list walk = member.tags;
        struct br_serf_tag tag;
        CHECK(json_object_size(get(body, "Tags")) == walk.count);
        while (br_serf_next_tag(&walk, &tag))
            check_bytes(json_object_getn(get(body, "Tags"), (const char *)tag.key.data, tag.key.size),
                        tag.value);
    }
    struct br_writer w = new_writer();
    br_serf_member_encode(&w, &member);
    check_written(&w, message);
}

static void check_key_request(json_t *body, struct bruit_bytes message)
{
    struct br_serf_key_request request;
    CHECK(json_object_size(body) == 1);
    CHECK(br_serf_key_request_decode(&request, body_of(message)) == 0);
    check_bytes(get(body, "Key"), request.key);
    struct br_writer w = new_writer();
    br_serf_key_request_encode(&w, &request);
    check_written(&w, message);
}

static void check_key_response(json_t *body, struct bruit_bytes message)
{
    struct br_serf_key_response response;
    CHECK(json_object_size(body) == 4);
    CHECK(br_serf_key_response_decode(&response, body_of(message)) == 0);
    check_names(get(body, "Keys"), response.keys);
    check_bytes(get(body, "Message"), response.message);
    check_bytes(get(body, "PrimaryKey"), response.primary_key);
    check_bool(get(body, "Result"), response.result);
    struct br_writer w = new_writer();
    br_serf_key_response_encode(&w, &response);
    check_written(&w, message);
}

static void check_relay(json_t *decoded, struct bruit_bytes message)
{
    json_t *dest = get(get(decoded, "body"), "DestAddr");
    struct br_serf_relay relay;
    CHECK(br_serf_relay_decode(&relay, body_of(message)) == 0);
    check_bytes(get(dest, "IP"), relay.ip);
    check_uint(get(dest, "Port"), relay.port);
    check_bytes(get(dest, "Zone"), relay.zone);
    check_bytes(get(get(decoded, "body"), "DestName"), relay.node);
    struct br_writer w = new_writer();
    br_serf_relay_encode(&w, &relay);
    check_written(&w, message);
    check_message(get(decoded, "inner"), relay.message);
}

/* A message with its type byte against the recording's `decoded`. */
static void check_message(json_t *expected, struct bruit_bytes message)
{
    CHECK(message.size > 0);
    check_uint(get(expected, "type"), message.data[0]);
    json_t *body = get(expected, "body");
    switch (message.data[0]) {
    case BR_SERF_LEAVE: check_leave(body, message); break;
    case BR_SERF_JOIN: check_join(body, message); break;
    case BR_SERF_PUSHPULL: check_state(body, message); break;
    case BR_SERF_USER_EVENT: check_event(body, message); break;
    case BR_SERF_QUERY: check_query(expected, message); break;
    case BR_SERF_QUERY_RESPONSE: check_response(expected, message); break;
    case BR_SERF_CONFLICT_RESPONSE: check_member(body, message); break;
    case BR_SERF_KEY_REQUEST: check_key_request(body, message); break;
    case BR_SERF_KEY_RESPONSE: check_key_response(body, message); break;
    case BR_SERF_RELAY: check_relay(expected, message); break;
    default: CHECK(false);
    }
}

/* ---- all vectors of a layer ---- */

typedef void (*check_fn)(json_t *vector, struct bruit_bytes bytes);

static int is_json(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 5 && strcmp(entry->d_name + length - 5, ".json") == 0;
}

static size_t for_each_vector(const char *layer, check_fn check)
{
    struct dirent **entries;
    int count = scandir(BRUIT_TEST_VECTORS "/serf", &entries, is_json, alphasort);
    size_t seen = 0;
    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        char path[4096];
        (void)snprintf(path, sizeof path, "%s/serf/%s", BRUIT_TEST_VECTORS, entries[i]->d_name);
        json_t *vector = json_load_file(path, JSON_ALLOW_NUL, NULL);
        current = entries[i]->d_name;
        CHECK(vector != NULL);
        if (strcmp(json_string_value(get(vector, "layer")), layer) == 0) {
            check(vector, hex(json_string_value(get(vector, "hex"))));
            seen++;
        }
        json_decref(vector);
        free(entries[i]);
    }
    free(entries);
    return seen;
}

static void check_serf_message(json_t *vector, struct bruit_bytes bytes)
{
    check_message(get(vector, "decoded"), bytes);
}

/* conformance: serf 1, 2 */
static void test_every_recorded_message_is_read_and_written_again(void **state)
{
    (void)state;
    size_t seen = for_each_vector("serf-message", check_serf_message);
    assert_int_equal(seen, 38);
}

static void check_meta(json_t *vector, struct bruit_bytes meta)
{
    json_t *decoded = get(vector, "decoded");
    json_t *expected = get(decoded, "tags");
    struct br_serf_tags tags;
    struct br_serf_tag tag, all[64];
    size_t count = 0;
    br_serf_tags_open(&tags, meta);
    while (br_serf_tags_next(&tags, &tag)) {
        check_bytes(json_object_getn(expected, (const char *)tag.key.data, tag.key.size), tag.value);
        struct bruit_bytes found;
        CHECK(br_serf_tags_find(meta, tag.key, &found));
        CHECK(br_bytes_equal(found, tag.value));
        CHECK(count < 64);
        all[count++] = tag;
    }
    CHECK(!tags.malformed);
    CHECK(count == json_object_size(expected));
    CHECK(tags.is_role == (strcmp(json_string_value(get(decoded, "format")), "role") == 0));

    struct br_writer w = new_writer();
    if (tags.is_role)
        CHECK(br_serf_role_encode(&w, all, count) == 0);
    else
        CHECK(br_serf_tags_encode(&w, all, count) == 0);
    CHECK(br_bytes_equal(br_writer_bytes(&w), meta));
}

/* conformance: serf 1, 49, 50 */
static void test_every_recorded_metadata_is_read_and_written_again(void **state)
{
    (void)state;
    assert_int_equal(for_each_vector("node-meta", check_meta), 5);
}

static void check_ping_payload(json_t *vector, struct bruit_bytes payload)
{
    json_t *expected = get(get(vector, "decoded"), "coordinate");
    struct br_serf_coordinate coordinate;
    CHECK(br_serf_coordinate_decode(&coordinate, payload) == 0);
    check_float(get(expected, "Adjustment"), coordinate.adjustment);
    check_float(get(expected, "Error"), coordinate.error);
    check_float(get(expected, "Height"), coordinate.height);
    CHECK(coordinate.dimensions == json_array_size(get(expected, "Vec")));
    for (uint32_t i = 0; i < coordinate.dimensions; i++)
        check_float(json_array_get(get(expected, "Vec"), i), coordinate.vec[i]);
    struct br_writer w = new_writer();
    br_serf_coordinate_encode(&w, &coordinate);
    CHECK(br_bytes_equal(br_writer_bytes(&w), payload));
}

/* conformance: serf 1 */
static void test_every_recorded_coordinate_is_read_and_written_again(void **state)
{
    (void)state;
    assert_int_equal(for_each_vector("ping-payload", check_ping_payload), 3);
}

static void check_msgpack(json_t *vector, struct bruit_bytes bytes)
{
    check_values(get(vector, "decoded"), bytes);
    check_values(get(vector, "decoded"), hex(json_string_value(get(vector, "hex_old_codec"))));
    if (strcmp(current, "codec-v2-relay-header.json") != 0)
        return;
    struct br_serf_relay relay;
    CHECK(br_serf_relay_decode(&relay, bytes) == 0);
    CHECK(relay.port == 7946);
    struct br_writer w = new_writer();
    br_serf_relay_encode(&w, &relay);
    CHECK(strcmp(written(&w) + 2, json_string_value(get(vector, "hex_old_codec"))) == 0);
}

/* conformance: serf 2 */
static void test_both_codecs_forms_are_read_alike(void **state)
{
    (void)state;
    assert_int_equal(for_each_vector("msgpack", check_msgpack), 3);
}

static void check_rpc(json_t *vector, struct bruit_bytes requests)
{
    check_values(get(get(vector, "decoded"), "client"), requests);
    check_values(get(get(vector, "decoded"), "server"), hex(json_string_value(get(vector, "hex_reply"))));
}

/* Streams of RPC objects: the modern string families, one object directly behind the other. */
static void test_every_recorded_rpc_stream_is_read(void **state)
{
    (void)state;
    assert_true(for_each_vector("rpc", check_rpc) >= 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_recorded_message_is_read_and_written_again),
        cmocka_unit_test(test_every_recorded_metadata_is_read_and_written_again),
        cmocka_unit_test(test_every_recorded_coordinate_is_read_and_written_again),
        cmocka_unit_test(test_both_codecs_forms_are_read_alike),
        cmocka_unit_test(test_every_recorded_rpc_stream_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
