/*
 * Serf's messages on hostile bytes: the first byte is the type, the rest the body. Beyond the message types
 * stand metadata (10), ack payloads (11) and filters (12).
 *
 * Besides not crashing: lists that were checked when they were decoded yield all their elements; what
 * decodes can be written, decodes again, and is then written to the same bytes.
 */
#include "codec/serf.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition) \
    do {                   \
        if (!(condition))  \
            abort();       \
    } while (0)

enum {
    METADATA = 10,
    ACK_PAYLOAD = 11,
    FILTER = 12,
    OUTPUT_MAX = 1 << 20,
};

static uint8_t first[OUTPUT_MAX], second[OUTPUT_MAX];

/* `message` was decoded; `skip` bytes stand before the body in what is written. */
#define FIXPOINT(type, name, message, skip)                                                                 \
    do {                                                                                                    \
        type again_;                                                                                        \
        struct br_writer w_, v_;                                                                            \
        br_writer_init(&w_, first, sizeof first);                                                           \
        br_serf_##name##_encode(&w_, &(message));                                                           \
        REQUIRE(!w_.failed);                                                                                \
        REQUIRE(br_serf_##name##_decode(&again_, br_bytes(first + (skip), br_writer_size(&w_) - (skip))) == \
                0);                                                                                         \
        br_writer_init(&v_, second, sizeof second);                                                         \
        br_serf_##name##_encode(&v_, &again_);                                                              \
        REQUIRE(br_bytes_equal(br_writer_bytes(&w_), br_writer_bytes(&v_)));                                \
    } while (0)

#define SIMPLE(type, name, body)                             \
    do {                                                     \
        type message_;                                       \
        if (br_serf_##name##_decode(&message_, (body)) == 0) \
            FIXPOINT(type, name, message_, 1);               \
    } while (0)

static void require_names(struct br_mp_list names)
{
    struct bruit_bytes name;
    uint32_t count = names.count;
    while (br_serf_next_name(&names, &name))
        count--;
    REQUIRE(count == 0);
}

static void check_state(struct bruit_bytes body)
{
    struct br_serf_state state;
    struct bruit_bytes name, payload;
    struct br_serf_slot slot;
    uint64_t ltime;
    if (br_serf_state_decode(&state, body) != 0)
        return;
    require_names(state.left_members);
    uint32_t count = state.status_ltimes.count;
    while (br_serf_next_status(&state.status_ltimes, &name, &ltime))
        count--;
    REQUIRE(count == 0);
    while (br_serf_next_slot(&state.events, &slot)) {
        count = slot.events.count;
        while (br_serf_next_slot_event(&slot.events, &name, &payload))
            count--;
        REQUIRE(count == 0);
    }
    REQUIRE(state.events.items.size == 0);
}

static void check_filter(struct bruit_bytes bytes)
{
    struct br_serf_filter filter;
    if (br_serf_filter_decode(&filter, bytes) != 0)
        return;
    require_names(filter.nodes);
    FIXPOINT(struct br_serf_filter, filter, filter, 0);
}

static void check_query(struct bruit_bytes body)
{
    struct br_serf_query query;
    struct bruit_bytes filter;
    if (br_serf_query_decode(&query, body) != 0)
        return;
    FIXPOINT(struct br_serf_query, query, query, 1);
    require_names(query.filters);
    while (br_serf_next_filter(&query.filters, &filter))
        check_filter(filter);
}

static void check_member(struct bruit_bytes body)
{
    struct br_serf_member member;
    struct br_serf_tag tag;
    if (br_serf_member_decode(&member, body) != 0)
        return;
    FIXPOINT(struct br_serf_member, member, member, 1);
    uint32_t count = member.tags.count;
    while (br_serf_next_tag(&member.tags, &tag))
        count--;
    REQUIRE(count == 0);
}

/* Tags that were read make metadata again, if they fit, with the same tags in it. */
static void check_metadata(struct bruit_bytes meta)
{
    struct br_serf_tags tags;
    struct br_serf_tag all[BRUIT_META_MAX], tag;
    struct br_writer w;
    size_t count = 0;
    br_serf_tags_open(&tags, meta);
    while (count < BRUIT_META_MAX && br_serf_tags_next(&tags, &all[count]))
        count++;
    struct bruit_bytes found;
    if (count > 0)
        REQUIRE(br_serf_tags_find(meta, all[0].key, &found));
    br_writer_init(&w, first, sizeof first);
    if (br_serf_tags_encode(&w, all, count) != 0)
        return;
    REQUIRE(br_writer_size(&w) <= BRUIT_META_MAX);
    br_serf_tags_open(&tags, br_writer_bytes(&w));
    for (size_t i = 0; i < count; i++) {
        REQUIRE(br_serf_tags_next(&tags, &tag));
        REQUIRE(br_bytes_equal(tag.key, all[i].key) && br_bytes_equal(tag.value, all[i].value));
    }
    REQUIRE(!br_serf_tags_next(&tags, &tag) && !tags.malformed);
}

static void check_coordinate(struct bruit_bytes payload)
{
    struct br_serf_coordinate coordinate;
    if (br_serf_coordinate_decode(&coordinate, payload) != 0 || coordinate.dimensions > BR_SERF_DIMENSIONS)
        return;
    FIXPOINT(struct br_serf_coordinate, coordinate, coordinate, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > OUTPUT_MAX / 4)
        return 0;
    struct bruit_bytes body = br_bytes(data + 1, size - 1);
    switch (data[0]) {
    case BR_SERF_LEAVE: SIMPLE(struct br_serf_leave, leave, body); break;
    case BR_SERF_JOIN: SIMPLE(struct br_serf_join, join, body); break;
    case BR_SERF_PUSHPULL: check_state(body); break;
    case BR_SERF_USER_EVENT: SIMPLE(struct br_serf_event, event, body); break;
    case BR_SERF_QUERY: check_query(body); break;
    case BR_SERF_QUERY_RESPONSE: SIMPLE(struct br_serf_response, response, body); break;
    case BR_SERF_CONFLICT_RESPONSE: check_member(body); break;
    case BR_SERF_KEY_REQUEST: SIMPLE(struct br_serf_key_request, key_request, body); break;
    case BR_SERF_KEY_RESPONSE: SIMPLE(struct br_serf_key_response, key_response, body); break;
    case BR_SERF_RELAY: SIMPLE(struct br_serf_relay, relay, body); break;
    case METADATA: check_metadata(body); break;
    case ACK_PAYLOAD: check_coordinate(body); break;
    case FILTER: check_filter(body); break;
    default: break;
    }
    return 0;
}
