/* bruit tags: changes the tags of an agent. */
#include "cli/command.h"

#include "agent/tags.h"

struct options {
    struct br_agent_flags agent;
    struct br_values set, removed;
    const char *format;
};

static const struct br_flag flags[] = {
    {"delete", BR_FLAG_LIST, offsetof(struct options, removed), "key", NULL,
     "Remove a tag; may be repeated."},
    BR_FORMAT_FLAG(struct options),
    BR_AGENT_FLAGS,
    {"set", BR_FLAG_LIST, offsetof(struct options, set), "key=value", NULL, "Set a tag; may be repeated."},
};
static const size_t flag_count = sizeof flags / sizeof flags[0];

static void help(struct br_blob *out)
{
    br_blob_text(out, "Usage: bruit tags [options]\n\n"
                      "  Changes the tags of a running agent.\n\n"
                      "Options:\n\n");
    br_flags_help(flags, flag_count, out);
}

static int call(struct br_session *session, const struct br_tag_set *tags, const struct br_values *removed)
{
    struct br_blob body = BR_BLOB_EMPTY;
    size_t bound = 64;
    for (size_t i = 0; i < removed->count; i++)
        bound += 5 + strlen(removed->items[i]);
    for (size_t i = 0; i < tags->count; i++)
        bound += 10 + tags->tags[i].key.size + tags->tags[i].value.size;
    struct br_writer w = br_blob_writer(&body, bound);
    br_mp_write_map(&w, 2);
    br_mp_write_key(&w, "DeleteTags");
    br_mp_write_array(&w, (uint32_t)removed->count);
    for (size_t i = 0; i < removed->count; i++)
        br_mp_write_str8(&w, br_bytes_string(removed->items[i]));
    br_mp_write_key(&w, "Tags");
    br_mp_write_map(&w, (uint32_t)tags->count);
    for (size_t i = 0; i < tags->count; i++) {
        br_mp_write_str8(&w, tags->tags[i].key);
        br_mp_write_str8(&w, tags->tags[i].value);
    }
    br_blob_written(&body, &w);
    int error = br_session_call(session, "tags", br_blob_bytes(&body));
    br_blob_release(&body);
    return error;
}

static void say(const struct br_tag_set *tags, const struct br_values *removed)
{
    struct br_json json = {.depth = 0};
    if (!br_wants_json()) {
        br_say("Successfully updated agent tags");
        return;
    }
    br_json_open(&json, '{');
    br_json_name(&json, "set");
    br_json_open(&json, '{');
    for (size_t i = 0; i < tags->count; i++) {
        br_json_key(&json, tags->tags[i].key);
        br_json_text(&json, tags->tags[i].value);
    }
    br_json_close(&json, '}');
    br_json_name(&json, "deleted");
    br_json_open(&json, '[');
    for (size_t i = 0; i < removed->count; i++) {
        br_json_item(&json);
        br_json_text(&json, br_bytes_string(removed->items[i]));
    }
    br_json_close(&json, ']');
    br_json_close(&json, '}');
    br_say_json(&json);
}

/* Serf connects first and looks at the tags then, so an agent that is not there is what one hears of. */
static int change(const struct options *options)
{
    struct br_session session;
    struct br_tag_set tags = {.count = 0};
    if (!br_connect(&session, &options->agent))
        return 1;
    for (size_t i = 0; i < options->set.count; i++) {
        struct bruit_bytes key, value;
        if (!br_pair_split(options->set.items[i], &key, &value) || br_tag_set_put(&tags, key, value) != 0) {
            br_session_close(&session);
            return br_error("Error: Invalid tag: '%s'", options->set.items[i]);
        }
    }
    if (call(&session, &tags, &options->removed) != 0)
        return br_failed(&session, "Error setting tags: ");
    say(&tags, &options->removed);
    br_session_close(&session);
    return 0;
}

static int run(int argc, char **argv)
{
    struct options options = {.set = {.count = 0}};
    int rest;
    int code = br_parse_flags(&br_command_tags, flags, flag_count, &options, argc, argv, &rest);
    if (code < 0 && !br_check_format(options.format))
        code = 1;
    if (code < 0 && options.set.count == 0 && options.removed.count == 0)
        code = br_misused(&br_command_tags, "");
    if (code < 0)
        code = change(&options);
    br_flags_release(flags, flag_count, &options);
    return code;
}

const struct br_command br_command_tags = {
    .name = "tags",
    .synopsis = "Changes the tags of an agent",
    .run = run,
    .help = help,
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
};
