/*
 * MessagePack on hostile bytes.
 *
 * Besides not crashing: scanning whole, scanning in growing prefixes, skipping and reading raw agree on
 * where a value ends; typed reads never pass that end; lists and pairs hold exactly what was between header
 * and end.
 */
#include "codec/msgpack.h"
#include "fuzz.h"

#include <stdlib.h>

#define REQUIRE(condition) \
    do {                   \
        if (!(condition))  \
            abort();       \
    } while (0)

static void require_growing_agrees(struct bruit_bytes input, int expected, size_t expected_size)
{
    struct br_mp_scanner scanner;
    size_t step = 1 + input.size / 16;
    br_mp_scanner_init(&scanner);
    for (size_t there = 0;; there = there + step < input.size ? there + step : input.size) {
        size_t size = 0;
        int status = br_mp_scanner_feed(&scanner, br_bytes(input.data, there), &size);
        if (status == BR_MP_MORE && there < input.size)
            continue;
        REQUIRE(status == expected);
        REQUIRE(status != 0 || size == expected_size);
        return;
    }
}

/* Each typed read on a fresh cursor: success only within the value, failure only sticky. */
static void require_reads_stay_inside(struct bruit_bytes input, size_t size)
{
    for (int kind = 0; kind < 8; kind++) {
        struct br_reader r;
        br_reader_init(&r, br_bytes(input.data, size));
        switch (kind) {
        case 0: (void)br_mp_read_uint(&r, UINT32_MAX); break;
        case 1: (void)br_mp_read_int(&r, INT64_MIN, INT64_MAX); break;
        case 2: (void)br_mp_read_bool(&r); break;
        case 3: (void)br_mp_read_float(&r); break;
        case 4: (void)br_mp_read_bytes(&r); break;
        case 5: (void)br_mp_read_array(&r); break;
        case 6: (void)br_mp_read_map(&r); break;
        case 7: (void)br_mp_read_raw(&r); break;
        }
        REQUIRE(r.at >= input.data);
        REQUIRE(r.at <= input.data + size);
        REQUIRE(!r.failed || br_reader_left(&r) == 0);
    }
}

static void require_elements_add_up(struct br_mp_list list, uint64_t values)
{
    struct br_reader r;
    br_reader_init(&r, list.items);
    for (uint64_t i = 0; i < values; i++)
        br_mp_skip(&r);
    REQUIRE(!r.failed);
    REQUIRE(br_reader_left(&r) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bruit_bytes input = br_bytes(data, size), value;
    size_t end = 0;
    int status = br_mp_scan(input, &end);
    require_growing_agrees(input, status, end);

    struct br_reader r;
    br_reader_init(&r, input);
    br_mp_skip(&r);
    REQUIRE(r.failed == (status != 0));
    REQUIRE(r.failed || size - br_reader_left(&r) == end);
    require_reads_stay_inside(input, status == 0 ? end : size);
    (void)br_mp_find(input, br_bytes(data, size < 3 ? size : 3), &value);
    if (status != 0)
        return 0;
    struct br_mp_list list = br_mp_list_of(br_bytes(data, end));
    require_elements_add_up(list, list.count);
    list = br_mp_pairs_of(br_bytes(data, end));
    require_elements_add_up(list, 2 * (uint64_t)list.count);
    return 0;
}
