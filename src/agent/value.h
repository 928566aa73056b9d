/*
 * The values that people type: durations in Go's syntax, keys in base64, key=value pairs, levels.
 *
 * Each reader says what is wrong in the words of the Go libraries that Serf uses (docs/wire/serf-agent.md
 * 3.2), because people search for those; whoever shows the sentence adds what to do about it.
 */
#ifndef BR_AGENT_VALUE_H
#define BR_AGENT_VALUE_H

#include "base/bytes.h"

#include <bruit/error.h>

/* Room for any sentence that these functions write; a file with many mistakes takes the most. */
#define BR_WHY_MAX 1024

/*
 * "1h30m", "1.5s", "300ms", "0": a sequence of decimal numbers with units. Returns 0, or BRUIT_EINVAL with
 * a sentence in `why`. A negative duration is refused: nothing here has a use for one.
 */
int br_duration_parse(bruit_time *out, const char *text, char why[BR_WHY_MAX]);

/* As Go prints it: "30s", "1m30s", "1.5s", "300ms". `out` has room for 32 bytes. */
void br_duration_format(bruit_time duration, char out[32]);

/*
 * Standard base64 with padding; line breaks are skipped. `*size` is the room in `out`, then the bytes
 * written. Returns 0, or BRUIT_EINVAL with a sentence in `why`; BRUIT_ETOOBIG when it does not fit.
 */
int br_base64_decode(const char *text, uint8_t *out, size_t *size, char why[BR_WHY_MAX]);

/* `out` has room for 4 * ((size + 2) / 3) + 1 bytes. */
void br_base64_encode(struct bruit_bytes bytes, char *out);

/* Splits "key=value" at the first '='. False without one, or with an empty key; an empty value is fine. */
bool br_pair_split(const char *text, struct bruit_bytes *key, struct bruit_bytes *value);

/* TRACE, DEBUG, INFO, WARN, ERR in any case to enum bruit_trace_level; -1 for anything else. */
int br_level_parse(const char *text, size_t size);

/* "TRACE", "DEBUG", "INFO", "WARN", "ERR": Serf's names. */
const char *br_level_name(int level);

/*
 * Which of many words may have been meant: begin with `best` as br_word_reach() gives it, and ask of each. True: it
 * is nearer than all before it, by letters added, dropped or changed, and `best` becomes its distance.
 */
unsigned br_word_reach(const char *typed);
bool br_word_is_nearer(const char *typed, const char *known, unsigned *best);

/*
 * host, host:port, [v6], [v6]:port, :port and a bare v6. `host` is filled without brackets (room for 256
 * bytes, empty when there is none), `port` stays what it was when there is none. Returns 0, or
 * BRUIT_EINVAL with a sentence in `why`.
 */
int br_endpoint_parse(const char *text, char host[256], uint16_t *port, char why[BR_WHY_MAX]);

#endif
