/*
 * Regular expressions in bounded time: RE2's language, as far as members are filtered with it.
 *
 * Patterns come from RPC clients and, in the filters of queries, from the network, and run on the loop that
 * answers probes, so a pattern must not be able to stop it: it is compiled into a list of at most
 * BR_PATTERN_STEPS steps, all of which are followed at once (Thompson 1968; Cox, "Regular Expression
 * Matching Can Be Simple And Fast"), which costs steps times characters and no more. Nothing is captured.
 *
 * Everything that Go's regexp refuses is refused. Unicode classes and case folding are of the version that
 * base/unicode_data.h was made from.
 */
#ifndef BR_BASE_PATTERN_H
#define BR_BASE_PATTERN_H

#include "base/alloc.h"
#include "base/bytes.h"

#include <bruit/error.h>

#define BR_PATTERN_SIZE_MAX 512
#define BR_PATTERN_STEPS 1000

struct br_pattern;

/*
 * `alloc` must outlive the pattern. Returns 0, or BRUIT_EFORMAT for what is no pattern, BRUIT_ETOOBIG for
 * one too long or too complex, BRUIT_ENOMEM.
 */
int br_pattern_new(struct br_pattern **out, struct br_alloc *alloc, struct bruit_bytes text);
/* NULL is fine. */
void br_pattern_free(struct br_pattern *pattern);

/* How many steps it has: each character of a text costs so many at most. */
size_t br_pattern_steps(const struct br_pattern *pattern);

/* Whether it matches somewhere in `text`; anchors are the pattern's own business. */
bool br_pattern_matches(struct br_pattern *pattern, struct bruit_bytes text);

#endif
