/*
 * A member as an agent describes it: in the answer to "members" and in the records of a stream
 * (docs/wire/serf-rpc.md section 4.5), and how it is written as JSON, which is Serf's way of writing it.
 */
#ifndef BR_CLI_MEMBER_H
#define BR_CLI_MEMBER_H

#include "agent/tags.h"
#include "cli/json.h"
#include "codec/msgpack.h"

/* Slices are borrowed from what was read. */
struct br_member {
    struct bruit_bytes addr, name, status;
    uint16_t port;
    uint8_t delegate_current, delegate_max, delegate_min;
    struct br_mp_list tags;
};

/* The list inside of {Members: [...]}, ready for br_member_read; false when it is none. */
bool br_members_open(struct bruit_bytes answer, struct br_reader *r, uint32_t *count);

/* The next of them; false when it is none. `tags` gets its tags, sorted. */
bool br_member_read(struct br_reader *r, struct br_member *member, struct br_tag_set *tags);

/* "addr:port", or "?". */
void br_member_address(const struct br_member *member, char out[BRUIT_ADDR_TEXT_MAX]);

/* As one item of a list. */
void br_member_write(struct br_json *json, const struct br_member *member, const struct br_tag_set *tags);

#endif
