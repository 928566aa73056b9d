/*
 * What the commands of replicated state share: an entry as an agent tells it (agent/rpc_kv.c), as text and as JSON.
 */
#ifndef BR_CLI_KV_H
#define BR_CLI_KV_H

#include "cli/json.h"
#include "cli/session.h"

/* One value of a key; borrowed from the answer. */
struct br_kv_entry {
    struct bruit_bytes key, value, owner, lifetime;
    uint64_t actor, counter, stamp, ttl, version, size;
    uint32_t count; /* values of this key */
};

/* False when it is none. */
bool br_kv_entry_read(struct br_reader *r, struct br_kv_entry *out);

/* Reads "Entries" of an answer; false when there is none. */
bool br_kv_entries(struct bruit_bytes answer, struct br_mp_list *out);

/* The pairs of an object; with the value, or with its size alone. */
void br_kv_entry_json(struct br_json *json, const struct br_kv_entry *entry, bool has_value);

/* A key as it is typed if it can be, else in quotes. */
void br_kv_key_text(struct br_blob *out, struct bruit_bytes key);

/* A value in quotes; of a long one the beginning, and how long it is. */
void br_kv_value_text(struct br_blob *out, struct bruit_bytes value);

/* "expires in 5s", "dies with web1", or nothing. */
void br_kv_lifetime_text(struct br_blob *out, const struct br_kv_entry *entry);

/* Nanoseconds after 1970 as 2026-11-28T12:00:00.000Z. */
void br_kv_stamp_text(struct br_blob *out, uint64_t stamp);

/* A pair with the 16 hexadecimal digits of a version. */
void br_kv_version_json(struct br_json *json, uint64_t version);

/* Says "Error ...: ..." for an agent's answer that is none. Returns 1. */
int br_kv_no_answer(const char *prefix);

#endif
