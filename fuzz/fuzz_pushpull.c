/*
 * A state exchange from a hostile peer: the first byte says in which steps the rest arrives.
 *
 * Besides not crashing: whatever the steps, the same pieces come out and take the same bytes; an entry
 * written again decodes to the same; and a fragment of it writes what the encoders write.
 */
#include "codec/pushpull.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition) \
    do {                   \
        if (!(condition))  \
            abort();       \
    } while (0)

enum {
    PIECES_MAX = 4096, /* an empty entry takes one byte: enough of them show nothing new */
    OUTPUT_MAX = 1 << 20,
};

static uint8_t first[OUTPUT_MAX], second[OUTPUT_MAX];

static void require_same_alive(const struct br_alive *a, const struct br_alive *b)
{
    REQUIRE(a->incarnation == b->incarnation && a->port == b->port);
    REQUIRE(br_bytes_equal(a->node, b->node) && br_bytes_equal(a->addr, b->addr));
    REQUIRE(br_bytes_equal(a->meta, b->meta) && br_bytes_equal(a->vsn, b->vsn));
}

static void check_fragment(const struct br_entry *entry)
{
    struct br_writer w, v;
    size_t size = br_fragment_size(&entry->alive);
    if (size == 0 || entry->alive.vsn.size != BR_VSN_SIZE)
        return;
    struct br_fragment *fragment = malloc(size);
    if (fragment == NULL)
        return;
    br_fragment_build(fragment, &entry->alive);
    REQUIRE(br_fragment_total(fragment) == size);
    REQUIRE(br_fragment_matches_alive(fragment, &entry->alive));
    struct br_alive alive = br_fragment_alive(fragment, entry->alive.incarnation);
    require_same_alive(&alive, &entry->alive);

    br_writer_init(&w, first, sizeof first);
    br_fragment_write_entry(&w, fragment, entry->alive.incarnation, entry->state);
    REQUIRE(br_writer_size(&w) == br_fragment_entry_size(fragment, entry->alive.incarnation, entry->state));
    br_writer_init(&v, second, sizeof second);
    br_entry_encode(&v, entry);
    REQUIRE(br_bytes_equal(br_writer_bytes(&w), br_writer_bytes(&v)));

    br_writer_init(&w, first, sizeof first);
    br_fragment_write_alive(&w, fragment, entry->alive.incarnation, 0);
    REQUIRE(br_writer_size(&w) == br_fragment_alive_size(fragment, entry->alive.incarnation));
    br_writer_init(&v, second, sizeof second);
    br_alive_encode(&v, &entry->alive);
    REQUIRE(br_bytes_equal(br_writer_bytes(&w), br_writer_bytes(&v)));
    free(fragment);
}

static void check_entry(const struct br_entry *entry)
{
    struct br_writer w;
    struct br_entry again;
    size_t size;
    br_writer_init(&w, first, sizeof first);
    br_entry_encode(&w, entry);
    REQUIRE(!w.failed);
    REQUIRE(br_entry_decode(&again, br_writer_bytes(&w), &size) == 0);
    REQUIRE(size == br_writer_size(&w));
    REQUIRE(again.state == entry->state);
    require_same_alive(&again.alive, &entry->alive);
    check_fragment(entry);
}

/*
 * Reads in steps of `step` bytes and returns what the reader said last. *taken is what it consumed in all,
 * *count how many pieces it gave.
 */
static int run(struct bruit_bytes body, size_t step, size_t *taken, size_t *count, bool look)
{
    struct br_pushpull_reader reader;
    struct br_entry entry;
    struct bruit_bytes state;
    size_t at = 0, there = 0, consumed;
    int got = BR_PUSHPULL_NEED_MORE;
    br_pushpull_reader_init(&reader);
    for (*count = 0; *count < PIECES_MAX;) {
        got = br_pushpull_read(&reader, br_bytes(body.data + at, there - at), &consumed, &entry, &state);
        REQUIRE(consumed <= there - at);
        if (got == BR_PUSHPULL_NEED_MORE && there < body.size) {
            there = body.size - there > step ? there + step : body.size;
            continue;
        }
        if (got < 0 || got == BR_PUSHPULL_NEED_MORE || got == BR_PUSHPULL_DONE)
            break;
        at += consumed;
        *count += 1;
        if (got == BR_PUSHPULL_ENTRY && look)
            check_entry(&entry);
        REQUIRE(got != BR_PUSHPULL_STATE || state.size == reader.header.user_state_size);
    }
    *taken = at;
    return got;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > OUTPUT_MAX / 4)
        return 0;
    size_t whole_taken, whole_count, taken, count;
    struct bruit_bytes body = br_bytes(data + 1, size - 1);
    int whole = run(body, body.size + 1, &whole_taken, &whole_count, true);
    int stepped = run(body, 1 + (size_t)data[0], &taken, &count, false);
    REQUIRE(whole == stepped);
    REQUIRE(whole_taken == taken);
    REQUIRE(whole_count == count);
    return 0;
}
