/*
 * bruit members: who is in the cluster, as a table or as JSON (docs/wire/serf-agent.md section 7.2).
 *
 * Patterns are matched by the agent, so their language is the agent's.
 */
#include "cli/command.h"

#include "cli/member.h"
#include "cli/table.h"

struct options {
    struct br_agent_flags agent;
    bool is_detailed;
    const char *format, *name, *role, *status;
    struct br_values tags;
};

static const struct br_flag flags[] = {
    {"detailed", BR_FLAG_SWITCH, offsetof(struct options, is_detailed), NULL, NULL,
     "Show protocol versions too."},
    BR_FORMAT_FLAG(struct options),
    {"name", BR_FLAG_TEXT, offsetof(struct options, name), "regexp", "",
     "Only members whose whole name matches the expression."},
    {"role", BR_FLAG_TEXT, offsetof(struct options, role), "regexp", "",
     "Deprecated: the same as -tag role=regexp."},
    BR_AGENT_FLAGS,
    {"status", BR_FLAG_TEXT, offsetof(struct options, status), "regexp", "",
     "Only members whose status (alive, leaving, left, failed) matches."},
    {"tag", BR_FLAG_LIST, offsetof(struct options, tags), "key=regexp", NULL,
     "Only members whose tag matches; may be repeated, and then all must match."},
};
static const size_t flag_count = sizeof flags / sizeof flags[0];

static int ask(struct br_session *session, const struct options *options, const struct br_tag_set *tags,
               struct bruit_bytes *answer);
static bool print_text(struct bruit_bytes answer, bool is_detailed);
static bool print_json(struct bruit_bytes answer);

static void help(struct br_blob *out)
{
    br_blob_text(out, "Usage: bruit members [options]\n\n"
                      "  Lists the members that an agent knows.\n\n"
                      "Options:\n\n");
    br_flags_help(flags, flag_count, out);
}

/* The tags to match, as typed; false with the sentence said. */
static bool read_tags(const struct options *options, struct br_tag_set *tags)
{
    for (size_t i = 0; i < options->tags.count; i++) {
        struct bruit_bytes key, value;
        if (!br_pair_split(options->tags.items[i], &key, &value)) {
            (void)br_error("Error: Invalid tag: '%s'", options->tags.items[i]);
            return false;
        }
        if (br_tag_set_put(tags, key, value) != 0) {
            (void)br_error("Error: more than %d tags", BR_TAGS_MAX);
            return false;
        }
    }
    if (options->role[0] != 0) {
        br_say("Deprecation warning: 'Role' has been replaced with 'Tags'");
        return br_tag_set_put(tags, br_bytes_text("role"), br_bytes_string(options->role)) == 0;
    }
    return true;
}

static int list(const struct options *options)
{
    struct br_session session;
    struct bruit_bytes answer;
    struct br_tag_set tags = {.count = 0};
    if (!read_tags(options, &tags) || !br_connect(&session, &options->agent))
        return 1;
    if (ask(&session, options, &tags, &answer) != 0)
        return br_failed(&session, "Error retrieving members: ");
    bool is_good = true;
    if (strcmp(options->format, "json") == 0) {
        is_good = print_json(answer);
    } else if (strcmp(options->format, "text") == 0) {
        is_good = print_text(answer, options->is_detailed);
    } else {
        br_session_close(&session);
        return br_error("Encoding error: Invalid output format \"%s\"", options->format);
    }
    if (!is_good)
        (void)br_error("Error retrieving members: the agent sent something that is no list of members");
    br_session_close(&session);
    return is_good ? 0 : 1;
}

static int run(int argc, char **argv)
{
    struct options options = {.is_detailed = false};
    int rest;
    int code = br_parse_flags(&br_command_members, flags, flag_count, &options, argc, argv, &rest);
    if (code < 0)
        code = list(&options);
    br_flags_release(flags, flag_count, &options);
    return code;
}

const struct br_command br_command_members = {
    .name = "members",
    .synopsis = "Lists the members of a cluster",
    .run = run,
    .help = help,
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
};

/* ------------------------------------------------------------------ asking */

static int ask(struct br_session *session, const struct options *options, const struct br_tag_set *tags,
               struct bruit_bytes *answer)
{
    struct br_blob body = BR_BLOB_EMPTY;
    size_t bound = 64 + strlen(options->name) + strlen(options->status);
    for (size_t i = 0; i < tags->count; i++)
        bound += 10 + tags->tags[i].key.size + tags->tags[i].value.size;
    struct br_writer w = br_blob_writer(&body, bound);
    br_mp_write_map(&w, 3);
    br_mp_write_key(&w, "Name");
    br_mp_write_str8(&w, br_bytes_string(options->name));
    br_mp_write_key(&w, "Status");
    br_mp_write_str8(&w, br_bytes_string(options->status));
    br_mp_write_key(&w, "Tags");
    br_mp_write_map(&w, (uint32_t)tags->count);
    for (size_t i = 0; i < tags->count; i++) {
        br_mp_write_str8(&w, tags->tags[i].key);
        br_mp_write_str8(&w, tags->tags[i].value);
    }
    br_blob_written(&body, &w);
    int error = br_session_call(session, "members-filtered", br_blob_bytes(&body));
    br_blob_release(&body);
    return error != 0 ? error : br_session_read(session, answer);
}

/* ------------------------------------------------------------------ printing */

static void add_row(struct br_columns *columns, const struct br_member *member, const struct br_tag_set *tags,
                    bool is_detailed)
{
    char address[BRUIT_ADDR_TEXT_MAX];
    br_member_address(member, address);
    br_columns_add(columns, member->name);
    br_blob_printf(&columns->rows, "|%s|", address);
    br_columns_add(columns, member->status);
    br_blob_text(&columns->rows, "|");
    for (size_t i = 0; i < tags->count; i++) {
        br_blob_text(&columns->rows, i == 0 ? "" : ",");
        br_columns_add(columns, tags->tags[i].key);
        br_blob_text(&columns->rows, "=");
        br_columns_add(columns, tags->tags[i].value);
    }
    if (is_detailed)
        br_blob_printf(&columns->rows, "|Protocol Version: %u|Available Protocol Range: [%u, %u]",
                       member->delegate_current, member->delegate_min, member->delegate_max);
    br_columns_end_row(columns);
}

static bool print_text(struct bruit_bytes answer, bool is_detailed)
{
    struct br_columns columns = {.rows = BR_BLOB_EMPTY};
    struct br_blob text = BR_BLOB_EMPTY;
    struct br_reader r;
    struct br_tag_set tags;
    struct br_member member;
    uint32_t count = 0;
    bool is_good = br_members_open(answer, &r, &count);
    for (uint32_t i = 0; i < count && is_good; i++) {
        is_good = br_member_read(&r, &member, &tags);
        add_row(&columns, &member, &tags, is_detailed);
    }
    br_columns_format(&columns, &text);
    if (is_good)
        br_say_buffer(&text);
    br_blob_release(&text);
    return is_good;
}

/* Nobody is null, as Go writes a list that was never made. */
static bool print_json(struct bruit_bytes answer)
{
    struct br_json json = {.depth = 0};
    struct br_reader r;
    struct br_tag_set tags;
    struct br_member member;
    uint32_t count = 0;
    bool is_good = br_members_open(answer, &r, &count);
    br_json_open(&json, '{');
    br_json_key(&json, br_bytes_text("members"));
    if (count == 0)
        br_json_null(&json);
    else
        br_json_open(&json, '[');
    for (uint32_t i = 0; i < count && is_good; i++) {
        is_good = br_member_read(&r, &member, &tags);
        br_member_write(&json, &member, &tags);
    }
    if (count > 0)
        br_json_close(&json, ']');
    br_json_close(&json, '}');
    if (is_good)
        br_say_buffer(&json.out);
    br_blob_release(&json.out);
    return is_good;
}
