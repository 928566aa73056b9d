/* Entries of replicated state; see kv.h. */
#include "cli/kv.h"

#include "agent/value.h"
#include "cli/command.h"
#include "cli/quote.h"

#include <stdio.h>
#include <time.h>

/* Bytes of a value that a line of text shows. JSON has all of it. */
#define SHOWN_MAX 200

static const struct br_mp_field fields[] = {
    BR_MP_FIELD(struct br_kv_entry, actor, "Actor", BR_MP_U64, 0, 0),
    BR_MP_FIELD(struct br_kv_entry, count, "Count", BR_MP_U32, 1, 0),
    BR_MP_FIELD(struct br_kv_entry, counter, "Counter", BR_MP_U64, 2, 0),
    BR_MP_FIELD(struct br_kv_entry, key, "Key", BR_MP_BYTES, 3, 0),
    BR_MP_FIELD(struct br_kv_entry, lifetime, "Lifetime", BR_MP_BYTES, 4, 0),
    BR_MP_FIELD(struct br_kv_entry, owner, "Owner", BR_MP_BYTES, 5, 0),
    BR_MP_FIELD(struct br_kv_entry, size, "Size", BR_MP_U64, 6, 0),
    BR_MP_FIELD(struct br_kv_entry, stamp, "Stamp", BR_MP_U64, 7, 0),
    BR_MP_FIELD(struct br_kv_entry, ttl, "TTL", BR_MP_U64, 8, 0),
    BR_MP_FIELD(struct br_kv_entry, value, "Value", BR_MP_BYTES, 9, 0),
    BR_MP_FIELD(struct br_kv_entry, version, "Version", BR_MP_U64, 10, 0),
};

bool br_kv_entry_read(struct br_reader *r, struct br_kv_entry *out)
{
    br_mp_read_struct(r, fields, sizeof fields / sizeof fields[0], out);
    return !r->failed;
}

bool br_kv_entries(struct bruit_bytes answer, struct br_mp_list *out)
{
    struct bruit_bytes raw;
    if (!br_mp_find(answer, br_bytes_text("Entries"), &raw))
        return false;
    *out = br_mp_list_of(raw);
    return true;
}

static bool is_lifetime(const struct br_kv_entry *entry, const char *name)
{
    return br_bytes_equal(entry->lifetime, br_bytes_string(name));
}

/* ------------------------------------------------------------------ text */

void br_kv_key_text(struct br_blob *out, struct bruit_bytes key)
{
    bool is_plain = br_json_is_text(key);
    for (size_t i = 0; i < key.size && is_plain; i++)
        is_plain = key.data[i] > ' ' && key.data[i] != '"' && key.data[i] != 0x7f;
    if (is_plain)
        br_blob_add(out, key);
    else
        br_quote(out, key);
}

void br_kv_value_text(struct br_blob *out, struct bruit_bytes value)
{
    br_quote(out, br_bytes(value.data, value.size > SHOWN_MAX ? SHOWN_MAX : value.size));
    if (value.size > SHOWN_MAX)
        br_blob_printf(out, "... (%zu bytes)", value.size);
}

void br_kv_lifetime_text(struct br_blob *out, const struct br_kv_entry *entry)
{
    char left[32];
    if (is_lifetime(entry, "expires")) {
        br_duration_format(entry->ttl - entry->ttl % BRUIT_MILLISECOND, left);
        br_blob_printf(out, "expires in %s", left);
    } else if (is_lifetime(entry, "owned")) {
        br_blob_text(out, "dies with ");
        br_kv_key_text(out, entry->owner);
    }
}

void br_kv_stamp_text(struct br_blob *out, uint64_t stamp)
{
    char text[32] = "";
    time_t seconds = (time_t)(stamp / BRUIT_SECOND);
    struct tm parts;
    if (gmtime_r(&seconds, &parts) != NULL)
        (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    br_blob_printf(out, "%s.%03uZ", text, (unsigned)(stamp % BRUIT_SECOND / BRUIT_MILLISECOND));
}

/* ------------------------------------------------------------------ JSON */

/* Numbers of 64 bits are texts: most readers of JSON have no more than 53. */
static void hex_json(struct br_json *json, const char *name, uint64_t number)
{
    char text[17];
    (void)snprintf(text, sizeof text, "%016llx", (unsigned long long)number);
    br_json_name(json, name);
    br_json_text(json, br_bytes_string(text));
}

void br_kv_version_json(struct br_json *json, uint64_t version)
{
    hex_json(json, "version", version);
}

static void lifetime_json(struct br_json *json, const struct br_kv_entry *entry)
{
    br_json_name(json, "lifetime");
    br_json_text(json, entry->lifetime.size == 0 ? br_bytes_text("permanent") : entry->lifetime);
    if (is_lifetime(entry, "expires")) {
        br_json_name(json, "ttl_seconds");
        br_json_real(json, (double)entry->ttl / (double)BRUIT_SECOND);
    }
    if (is_lifetime(entry, "owned"))
        br_json_bytes(json, "owner", entry->owner);
}

void br_kv_entry_json(struct br_json *json, const struct br_kv_entry *entry, bool has_value)
{
    struct br_blob written = BR_BLOB_EMPTY;
    br_json_bytes(json, "key", entry->key);
    if (has_value)
        br_json_bytes(json, "value", entry->value);
    br_json_name(json, "size");
    br_json_number(json, entry->size);
    br_kv_version_json(json, entry->version);
    br_json_name(json, "values");
    br_json_number(json, entry->count);
    br_kv_stamp_text(&written, entry->stamp);
    br_json_name(json, "written");
    br_json_text(json, br_blob_bytes(&written));
    br_blob_release(&written);
    hex_json(json, "actor", entry->actor);
    br_json_name(json, "counter");
    br_json_number(json, entry->counter);
    lifetime_json(json, entry);
}

int br_kv_no_answer(const char *prefix)
{
    return br_error("%sthe agent sent something that is no answer", prefix);
}
