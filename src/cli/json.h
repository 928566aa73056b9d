/*
 * JSON as Go writes it for people: indented by two blanks, <, > and & escaped, an empty map as {}.
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
};

/* Opens a map or list, closes it: '{' and '}', '[' and ']'. */
void br_json_open(struct br_json *json, char bracket);
void br_json_close(struct br_json *json, char bracket);

/* What comes next in a map; what comes next in a list begins with br_json_item. */
void br_json_key(struct br_json *json, struct bruit_bytes key);
void br_json_item(struct br_json *json);

void br_json_text(struct br_json *json, struct bruit_bytes text);
void br_json_number(struct br_json *json, uint64_t number);
void br_json_null(struct br_json *json);

#endif
