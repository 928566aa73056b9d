/*
 * What patterns need to know of Unicode: categories (\pL, \p{Lu}), scripts (\p{Greek}), and which characters are the
 * same but for case. Of the version that stands at the top of unicode_data.h.
 */
#ifndef BR_BASE_UNICODE_H
#define BR_BASE_UNICODE_H

#include "base/bytes.h"

/* The most characters that are the same but for case, such as the four of k or theta. */
#define BR_UNICODE_ORBIT_MAX 4

/* A set of characters by name; 0 is none. */
typedef uint16_t br_unicode_class;

/* "L", "Lu", "Greek", "Any", as they are written; 0 for all else. */
br_unicode_class br_unicode_class_named(struct bruit_bytes name);

/* What a character is: looked up once, compared with many classes. */
struct br_unicode_kind {
    uint8_t category, script; /* numbers of the tables; 0: none */
};
struct br_unicode_kind br_unicode_kind_of(uint32_t rune);
bool br_unicode_is(struct br_unicode_kind kind, br_unicode_class class);

/* The next character that is the same as this one but for case, in a circle; itself when there is no other. */
uint32_t br_unicode_fold(uint32_t rune);

#endif
