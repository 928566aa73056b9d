/*
 * JSON as Go writes it for people: indented by two blanks, <, > and & escaped, an empty map as {}. Or compact, all
 * of it on one line, where one object follows another.
 *
 * A writer of a few functions instead of a library: the output must equal Serf's to the byte, and what is
 * written is never looked at again.
 */
#ifndef BR_CLI_JSON_H
#define BR_CLI_JSON_H

#include "agent/blob.h"

struct br_json {
    struct br_blob out;
    unsigned depth;
    bool has_items; /* the innermost map or list is not empty */
    bool is_compact;
};

/* Opens a map or list, closes it: '{' and '}', '[' and ']'. */
void br_json_open(struct br_json *json, char bracket);
void br_json_close(struct br_json *json, char bracket);

/* What comes next in a map; what comes next in a list begins with br_json_item. */
void br_json_key(struct br_json *json, struct bruit_bytes key);
void br_json_name(struct br_json *json, const char *key);
void br_json_item(struct br_json *json);

void br_json_text(struct br_json *json, struct bruit_bytes text);
void br_json_number(struct br_json *json, uint64_t number);
void br_json_null(struct br_json *json);
void br_json_bool(struct br_json *json, bool value);
void br_json_real(struct br_json *json, double number); /* with three decimals: milliseconds are enough */
void br_json_exact(struct br_json *json, double number); /* finite; as many digits as it takes to read it back */

/*
 * The pair `name` and bytes that may be no text, which JSON would change: those are written in base64, under the name
 * with "_base64" behind it.
 */
void br_json_bytes(struct br_json *json, const char *name, struct bruit_bytes bytes);

/* Whether all of it is UTF-8, so that br_json_text loses nothing. */
bool br_json_is_text(struct bruit_bytes text);

/* How many bytes make up the character that `text`, which is not empty, begins with; 0 for a byte that is not UTF-8. */
size_t br_rune_size(struct bruit_bytes text);

#endif
