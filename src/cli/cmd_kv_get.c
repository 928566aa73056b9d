/*
 * bruit kv get, bruit kv list: what this member's store has now.
 *
 * get prints a value as it is, byte for byte, so that it can go into a file; at a terminal it ends the line.
 */
#include "cli/command.h"

#include "cli/kv.h"
#include "cli/quote.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct options {
    struct br_agent_flags agent;
    const char *format;
    bool all, values;
};

#define GET_FAILED "Error reading key: "
#define LIST_FAILED "Error listing keys: "

/* ------------------------------------------------------------------ get */

static const struct br_flag get_flags[] = {
    {"all", BR_FLAG_SWITCH, offsetof(struct options, all), NULL, NULL,
     "Show all values of the key, the winner first, with when and by whom they were written."},
    BR_FORMAT_FLAG(struct options),
    BR_AGENT_FLAGS,
};
static const size_t get_flag_count = sizeof get_flags / sizeof get_flags[0];

static void get_help(struct br_blob *out)
{
    br_blob_text(out, "Usage: bruit kv get [options] key\n\n"
                      "  Prints the value of a key as it is. If several were written at the same time it is\n"
                      "  that of the last, and a note on standard error says so.\n\n"
                      "Options:\n\n");
    br_flags_help(get_flags, get_flag_count, out);
}

static void say_value(const struct br_kv_entry *entry)
{
    struct bruit_bytes value = entry->value;
    if (entry->count > 1)
        (void)fprintf(stderr,
                      "This is one of %u values that were written at the same time: -all shows them.\n",
                      entry->count);
    if (value.size > 0)
        (void)fwrite(value.data, 1, value.size, stdout);
    if (isatty(STDOUT_FILENO) && (value.size == 0 || value.data[value.size - 1] != '\n'))
        (void)putchar('\n');
}

/* 2026-11-28T12:00:00.000Z  00000000000000ab:17  "red"  expires in 5s */
static void say_row(const struct br_kv_entry *entry)
{
    struct br_blob row = BR_BLOB_EMPTY;
    br_kv_stamp_text(&row, entry->stamp);
    br_blob_printf(&row, "  %016llx:%llu  ", (unsigned long long)entry->actor,
                   (unsigned long long)entry->counter);
    br_quote(&row, entry->value);
    if (entry->lifetime.size > 0)
        br_blob_text(&row, "  ");
    br_kv_lifetime_text(&row, entry);
    br_say_buffer(&row);
    br_blob_release(&row);
}

static int say_all(const struct br_mp_list *entries)
{
    struct br_kv_entry entry;
    struct br_reader r;
    br_reader_init(&r, entries->items);
    for (uint32_t i = 0; i < entries->count; i++) {
        if (!br_kv_entry_read(&r, &entry))
            return br_kv_no_answer(GET_FAILED);
        if (i == 0)
            br_say("version %016llx, %u value%s%s", (unsigned long long)entry.version, entry.count,
                   entry.count == 1 ? "" : "s",
                   entry.count == 1 ? "" : ", written at the same time; the first wins");
        say_row(&entry);
    }
    return 0;
}

static int say_all_json(const struct br_mp_list *entries)
{
    struct br_json json = {.depth = 0};
    struct br_kv_entry entry;
    struct br_reader r;
    bool is_whole = true;
    br_reader_init(&r, entries->items);
    br_json_open(&json, '{');
    br_json_name(&json, "entries");
    br_json_open(&json, '[');
    for (uint32_t i = 0; i < entries->count && is_whole; i++) {
        is_whole = br_kv_entry_read(&r, &entry);
        br_json_item(&json);
        br_json_open(&json, '{');
        br_kv_entry_json(&json, &entry, true);
        br_json_close(&json, '}');
    }
    br_json_close(&json, ']');
    br_json_close(&json, '}');
    if (is_whole)
        br_say_json(&json);
    br_blob_release(&json.out);
    return is_whole ? 0 : br_kv_no_answer(GET_FAILED);
}

static int say_one_json(const struct br_kv_entry *entry)
{
    struct br_json json = {.depth = 0};
    br_json_open(&json, '{');
    br_kv_entry_json(&json, entry, true);
    br_json_close(&json, '}');
    br_say_json(&json);
    return 0;
}

static int say_got(struct bruit_bytes answer, bool is_all)
{
    struct br_mp_list entries;
    struct br_kv_entry entry;
    struct br_reader r;
    if (!br_kv_entries(answer, &entries) || entries.count == 0)
        return br_kv_no_answer(GET_FAILED);
    if (is_all)
        return br_wants_json() ? say_all_json(&entries) : say_all(&entries);
    br_reader_init(&r, entries.items);
    if (!br_kv_entry_read(&r, &entry))
        return br_kv_no_answer(GET_FAILED);
    if (br_wants_json())
        return say_one_json(&entry);
    say_value(&entry);
    return 0;
}

static int ask_for(struct br_session *session, const char *key, bool is_all)
{
    struct br_blob body = BR_BLOB_EMPTY;
    struct br_writer w = br_blob_writer(&body, 32 + strlen(key));
    br_mp_write_map(&w, 2);
    br_mp_write_key(&w, "All");
    br_mp_write_bool(&w, is_all);
    br_mp_write_key(&w, "Key");
    br_mp_write_bin(&w, br_bytes_string(key));
    br_blob_written(&body, &w);
    int error = br_session_call_own(session, "kv-get", br_blob_bytes(&body));
    br_blob_release(&body);
    return error;
}

static int get_run(int argc, char **argv)
{
    struct options options = {.format = NULL};
    struct br_session session;
    struct bruit_bytes answer;
    int rest;
    int code = br_parse_flags(&br_command_kv_get, get_flags, get_flag_count, &options, argc, argv, &rest);
    if (code >= 0)
        return code;
    if (!br_check_format(options.format))
        return 1;
    if (argc - rest != 1)
        return br_misused(&br_command_kv_get, "One key must be specified.");
    if (!br_connect(&session, &options.agent))
        return 1;
    if (ask_for(&session, argv[rest], options.all) != 0 || br_session_read(&session, &answer) != 0)
        return br_failed(&session, GET_FAILED);
    code = say_got(answer, options.all);
    br_session_close(&session);
    return code;
}

const struct br_command br_command_kv_get = {
    .name = "kv get",
    .synopsis = "Prints the value of a key",
    .run = get_run,
    .help = get_help,
    .flags = get_flags,
    .flag_count = sizeof get_flags / sizeof get_flags[0],
};

/* ------------------------------------------------------------------ list */

static const struct br_flag list_flags[] = {
    BR_FORMAT_FLAG(struct options),
    BR_AGENT_FLAGS,
    {"values", BR_FLAG_SWITCH, offsetof(struct options, values), NULL, NULL, "Show the values, too."},
};
static const size_t list_flag_count = sizeof list_flags / sizeof list_flags[0];

static void list_help(struct br_blob *out)
{
    br_blob_text(out,
                 "Usage: bruit kv list [options] [prefix]\n\n"
                 "  Prints the keys that there are, or those that begin with a prefix, in order, one on\n"
                 "  a line.\n\n"
                 "Options:\n\n");
    br_flags_help(list_flags, list_flag_count, out);
}

static void say_listed(const struct br_kv_entry *entry, bool has_value)
{
    struct br_blob row = BR_BLOB_EMPTY;
    br_kv_key_text(&row, entry->key);
    if (has_value) {
        br_blob_text(&row, "  ");
        br_kv_value_text(&row, entry->value);
    }
    if (has_value && entry->count > 1)
        br_blob_printf(&row, "  one of %u values", entry->count);
    if (has_value && entry->lifetime.size > 0)
        br_blob_text(&row, "  ");
    if (has_value)
        br_kv_lifetime_text(&row, entry);
    br_say_buffer(&row);
    br_blob_release(&row);
}

/* One page into the output; `last` is its last key, and stays ours. */
static bool take_page(const struct br_mp_list *entries, bool has_values, struct br_json *json,
                      struct br_blob *last)
{
    struct br_kv_entry entry = {.count = 0};
    struct br_reader r;
    br_reader_init(&r, entries->items);
    for (uint32_t i = 0; i < entries->count; i++) {
        if (!br_kv_entry_read(&r, &entry))
            return false;
        if (!br_wants_json()) {
            say_listed(&entry, has_values);
            continue;
        }
        br_json_item(json);
        br_json_open(json, '{');
        br_kv_entry_json(json, &entry, has_values);
        br_json_close(json, '}');
    }
    if (entries->count > 0) {
        br_blob_consume(last, last->size);
        br_blob_add(last, entry.key);
    }
    return true;
}

static int ask_for_page(struct br_session *session, const char *prefix, struct bruit_bytes after,
                        bool has_values)
{
    struct br_blob body = BR_BLOB_EMPTY;
    struct br_writer w = br_blob_writer(&body, 64 + strlen(prefix) + after.size);
    br_mp_write_map(&w, 3);
    br_mp_write_key(&w, "After");
    br_mp_write_bin(&w, after);
    br_mp_write_key(&w, "Prefix");
    br_mp_write_bin(&w, br_bytes_string(prefix));
    br_mp_write_key(&w, "Values");
    br_mp_write_bool(&w, has_values);
    br_blob_written(&body, &w);
    int error = br_session_call_own(session, "kv-list", br_blob_bytes(&body));
    br_blob_release(&body);
    return error;
}

static bool read_last(struct bruit_bytes answer)
{
    struct bruit_bytes raw;
    struct br_reader r;
    if (!br_mp_find(answer, br_bytes_text("Last"), &raw))
        return true;
    br_reader_init(&r, raw);
    return br_mp_read_bool(&r) || r.failed;
}

/* Page after page. 0, or 1 with the sentence said; the session is closed by whoever opened it. */
static int take_pages(struct br_session *session, const char *prefix, bool has_values, struct br_json *json)
{
    struct br_blob after = BR_BLOB_EMPTY;
    struct bruit_bytes answer;
    struct br_mp_list entries = {.count = 0};
    int code = 0;
    bool is_last = false;
    while (code == 0 && !is_last) {
        if (ask_for_page(session, prefix, br_blob_bytes(&after), has_values) != 0 ||
            br_session_read(session, &answer) != 0)
            code = br_error("%s%s", LIST_FAILED, session->why);
        else if (!br_kv_entries(answer, &entries) || !take_page(&entries, has_values, json, &after))
            code = br_kv_no_answer(LIST_FAILED);
        else
            is_last = read_last(answer) || entries.count == 0;
    }
    br_blob_release(&after);
    return code;
}

static int list_run(int argc, char **argv)
{
    struct options options = {.format = NULL};
    struct br_json json = {.depth = 0};
    struct br_session session;
    int rest;
    int code = br_parse_flags(&br_command_kv_list, list_flags, list_flag_count, &options, argc, argv, &rest);
    if (code >= 0)
        return code;
    if (!br_check_format(options.format))
        return 1;
    if (argc - rest > 1)
        return br_misused(&br_command_kv_list,
                          "Too many command line arguments. Only a prefix may be specified.");
    if (!br_connect(&session, &options.agent))
        return 1;
    br_json_open(&json, '{');
    br_json_name(&json, "entries");
    br_json_open(&json, '[');
    code = take_pages(&session, rest < argc ? argv[rest] : "", options.values, &json);
    br_json_close(&json, ']');
    br_json_close(&json, '}');
    if (code == 0 && br_wants_json())
        br_say_json(&json);
    br_blob_release(&json.out);
    br_session_close(&session);
    return code;
}

const struct br_command br_command_kv_list = {
    .name = "kv list",
    .synopsis = "Lists the keys that begin with a prefix",
    .run = list_run,
    .help = list_help,
    .flags = list_flags,
    .flag_count = sizeof list_flags / sizeof list_flags[0],
};
