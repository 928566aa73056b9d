/*
 * Unicode in tables; see unicode.h.
 *
 * Categories and scripts divide all characters, so each is a list of runs: how many characters in a row have which
 * number. A run is a byte with the number (of a category in the upper five bits, its length in the lower three if it is
 * below eight), and, where the length is not in it, the length in groups of seven bits, the lowest first, all but the
 * last with the top bit. Of every 32nd run the first character and its place are kept, so that a look-up walks over 32
 * at most. Names stand one after the other, each ended by a zero; numbers count them from 1.
 *
 * Case folding is a list of runs with what leads to the next character: a difference, or for upper and lower case in
 * turns which of the two is even.
 */
#include "base/unicode.h"

#include "base/unicode_data.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Of a class: what its number means. */
enum { KIND_ONE_CATEGORY = 0x100, KIND_ALL_OF_LETTER = 0x200, KIND_SCRIPT = 0x300, KIND_ANY = 0x400 };

/* The steps that are none. Adding or taking 1 keeps a pair together: see tools/unicode.go. */
#define STEP_EVEN_ODD (1 << 24)
#define STEP_ODD_EVEN ((1 << 24) + 1)

/* ------------------------------------------------------------------ names */

/* The number of the name that is `name`, or begins with it if that is a letter: the first one's. */
static uint8_t number_of(const char *names, size_t size, struct bruit_bytes name, bool is_letter)
{
    uint8_t number = 1;
    for (const char *at = names; at + 1 < names + size; at += strlen(at) + 1, number++) {
        size_t length = is_letter ? 1 : strlen(at);
        if (length == name.size && memcmp(at, name.data, length) == 0)
            return number;
    }
    return 0;
}

static char letter_of(uint8_t category)
{
    return category == 0 ? 0 : category_names[3 * (category - 1)]; /* each is two letters and a zero */
}

br_unicode_class br_unicode_class_named(struct bruit_bytes name)
{
    if (br_bytes_equal(name, br_bytes_text("Any")))
        return KIND_ANY;
    if (name.size == 1 && number_of(category_names, sizeof category_names, name, true) != 0)
        return (br_unicode_class)(KIND_ALL_OF_LETTER | name.data[0]);
    uint8_t number = number_of(category_names, sizeof category_names, name, false);
    if (number != 0)
        return (br_unicode_class)(KIND_ONE_CATEGORY | number);
    number = number_of(script_names, sizeof script_names, name, false);
    return number == 0 ? 0 : (br_unicode_class)(KIND_SCRIPT | number);
}

bool br_unicode_is(struct br_unicode_kind kind, br_unicode_class class)
{
    uint8_t number = (uint8_t) class;
    switch (class & 0xff00) {
    case KIND_ONE_CATEGORY: return kind.category == number;
    case KIND_ALL_OF_LETTER: return (uint8_t)letter_of(kind.category) == number;
    case KIND_SCRIPT: return kind.script == number;
    default: return class == KIND_ANY;
    }
}

/* ------------------------------------------------------------------ runs */

/* The last of `starts`, which ascend from 0 or more, that is no later than `rune`; `count` when there is none. */
static size_t last_start(const uint32_t *starts, size_t count, uint32_t rune)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (starts[middle] <= rune)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? count : low - 1;
}

/* The number of the run that `rune` is in, from the run at `runs` on, which begins with `start`. */
static uint8_t walk(const uint8_t *runs, uint32_t start, uint32_t rune, unsigned length_bits)
{
    for (;;) {
        uint8_t number = (uint8_t)(*runs >> length_bits);
        uint32_t length = *runs++ & ((1u << length_bits) - 1);
        if (length == 0) {
            for (unsigned shift = 0;; shift += 7) {
                length |= (uint32_t)(*runs & 0x7f) << shift;
                if ((*runs++ & 0x80) == 0)
                    break;
            }
        }
        if (rune - start < length)
            return number;
        start += length;
    }
}

struct br_unicode_kind br_unicode_kind_of(uint32_t rune)
{
    if (rune > 0x10ffff)
        return (struct br_unicode_kind){.category = 0};
    size_t c = last_start(category_starts, COUNT(category_starts), rune);
    size_t s = last_start(script_starts, COUNT(script_starts), rune);
    return (struct br_unicode_kind){
        .category = walk(category_runs + category_places[c], category_starts[c], rune, 3),
        .script = walk(script_runs + script_places[s], script_starts[s], rune, 0),
    };
}

uint32_t br_unicode_fold(uint32_t rune)
{
    size_t i = last_start(fold_starts, COUNT(fold_starts), rune);
    if (i == COUNT(fold_starts) || rune - fold_starts[i] >= fold_counts[i])
        return rune;
    if (fold_steps[i] == STEP_EVEN_ODD)
        return rune ^ 1;
    if (fold_steps[i] == STEP_ODD_EVEN)
        return ((rune + 1) ^ 1) - 1;
    return (uint32_t)((int64_t)rune + fold_steps[i]);
}
