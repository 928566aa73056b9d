/*
 * bruit kv watch: changes as they happen, each with the cursor from which another watch goes on.
 *
 * An agent keeps some thousand changes. Whoever comes back with a cursor that is older, or of an earlier life of the
 * agent, is told of the gap: what is there is to be read anew, with list.
 */
#include "cli/command.h"

#include "cli/kv.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct options {
    struct br_agent_flags agent;
    const char *format, *cursor;
};

static const struct br_flag flags[] = {
    {"cursor", BR_FLAG_TEXT, offsetof(struct options, cursor), "number", NULL,
     "Go on behind the change of this number, instead of with the next one."},
    BR_FORMAT_FLAG(struct options),
    BR_AGENT_FLAGS,
};
static const size_t flag_count = sizeof flags / sizeof flags[0];

static void help(struct br_blob *out)
{
    br_blob_text(out,
                 "Usage: bruit kv watch [options] [prefix]\n\n"
                 "  Shows every change of a key, or of one that begins with a prefix, until it is\n"
                 "  interrupted: the number of the change, the key, and its value now. If changes were\n"
                 "  missed, because -cursor is too old or this command too slow, it says that there is a\n"
                 "  gap; then list all keys anew.\n\n"
                 "Options:\n\n");
    br_flags_help(flags, flag_count, out);
}

struct change {
    struct bruit_bytes key, entries;
    uint64_t cursor;
    bool is_gap;
};

static const struct br_mp_field fields[] = {
    BR_MP_FIELD(struct change, cursor, "Cursor", BR_MP_U64, 0, 0),
    BR_MP_FIELD(struct change, entries, "Entries", BR_MP_RAW, 1, 0),
    BR_MP_FIELD(struct change, is_gap, "Gap", BR_MP_FLAG, 2, 0),
    BR_MP_FIELD(struct change, key, "Key", BR_MP_BYTES, 3, 0),
};

static void say_json(const struct change *change, const struct br_kv_entry *entry)
{
    struct br_json json = {.is_compact = true};
    char cursor[24];
    (void)snprintf(cursor, sizeof cursor, "%llu", (unsigned long long)change->cursor);
    br_json_open(&json, '{');
    br_json_name(&json, "cursor"); /* as text: it may be larger than numbers are in most readers of JSON */
    br_json_text(&json, br_bytes_string(cursor));
    if (entry != NULL) {
        br_kv_entry_json(&json, entry, true);
    } else {
        if (!change->is_gap)
            br_json_bytes(&json, "key", change->key);
        br_json_name(&json, change->is_gap ? "gap" : "deleted");
        br_json_bool(&json, true);
    }
    br_json_close(&json, '}');
    br_say_json(&json);
}

static void say_text(const struct change *change, const struct br_kv_entry *entry)
{
    struct br_blob row = BR_BLOB_EMPTY;
    br_blob_printf(&row, "%llu  ", (unsigned long long)change->cursor);
    if (change->is_gap)
        br_blob_text(&row, "gap: changes before this one are not known any more, list all keys anew");
    else
        br_kv_key_text(&row, change->key);
    if (entry != NULL) {
        br_blob_text(&row, "  ");
        br_kv_value_text(&row, entry->value);
    } else if (!change->is_gap) {
        br_blob_text(&row, "  deleted");
    }
    if (entry != NULL && entry->count > 1)
        br_blob_printf(&row, "  one of %u values", entry->count);
    br_say_buffer(&row);
    br_blob_release(&row);
}

/* Where a watch begins that was given no cursor is told as a gap, which is news for programs alone. */
static bool say_change(struct bruit_bytes object, bool is_start)
{
    struct change change;
    struct br_kv_entry entry;
    struct br_reader r;
    br_reader_init(&r, object);
    br_mp_read_struct(&r, fields, sizeof fields / sizeof fields[0], &change);
    struct br_mp_list entries = br_mp_list_of(change.entries);
    if (r.failed)
        return false;
    br_reader_init(&r, entries.items);
    bool has_value = entries.count > 0 && br_kv_entry_read(&r, &entry);
    if (br_wants_json())
        say_json(&change, has_value ? &entry : NULL);
    else if (!change.is_gap || !is_start)
        say_text(&change, has_value ? &entry : NULL);
    return true;
}

static int follow(struct br_session *session, bool is_start)
{
    struct bruit_bytes error, object;
    uint64_t seq;
    while (br_session_read_header(session, &seq, &error) == 0 && br_session_read(session, &object) == 0) {
        if (!say_change(object, is_start)) {
            br_session_close(session);
            return br_kv_no_answer("Error watching keys: ");
        }
        is_start = false;
    }
    br_session_close(session);
    return br_error(
        "Remote side ended the watch! This usually means that the remote side has exited or crashed.");
}

static int call(struct br_session *session, const char *prefix, uint64_t cursor)
{
    struct br_blob body = BR_BLOB_EMPTY;
    struct br_writer w = br_blob_writer(&body, 64 + strlen(prefix));
    br_mp_write_map(&w, 2);
    br_mp_write_key(&w, "Cursor");
    br_mp_write_uint(&w, cursor);
    br_mp_write_key(&w, "Prefix");
    br_mp_write_bin(&w, br_bytes_string(prefix));
    br_blob_written(&body, &w);
    int error = br_session_call_own(session, "kv-watch", br_blob_bytes(&body));
    br_blob_release(&body);
    return error;
}

static bool read_cursor(const char *text, uint64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == 0 && errno == 0;
}

static void on_interrupt(int number)
{
    (void)number;
    _exit(0);
}

static int run(int argc, char **argv)
{
    struct options options = {.cursor = NULL};
    uint64_t cursor = 0;
    struct br_session session;
    int rest;
    int code = br_parse_flags(&br_command_kv_watch, flags, flag_count, &options, argc, argv, &rest);
    if (code >= 0)
        return code;
    if (!br_check_format(options.format))
        return 1;
    if (argc - rest > 1)
        return br_misused(&br_command_kv_watch,
                          "Too many command line arguments. Only a prefix may be specified.");
    if (options.cursor != NULL && !read_cursor(options.cursor, &cursor))
        return br_error("Invalid cursor: write a number that a watch has shown");
    if (!br_connect(&session, &options.agent))
        return 1;
    (void)signal(SIGINT, on_interrupt);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    if (call(&session, rest < argc ? argv[rest] : "", cursor) != 0)
        return br_failed(&session, "Error watching keys: ");
    return follow(&session, cursor == 0);
}

const struct br_command br_command_kv_watch = {
    .name = "kv watch",
    .synopsis = "Shows changes of keys as they happen",
    .run = run,
    .help = help,
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
};
