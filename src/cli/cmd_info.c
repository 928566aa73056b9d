/* bruit info: what an agent says about itself, as text or as JSON (docs/wire/serf-agent.md section 7.1). */
#include "cli/command.h"

#include "agent/tags.h"

#include <stdlib.h>

struct options {
    struct br_agent_flags agent;
    const char *format;
};

static const struct br_flag flags[] = {
    BR_FORMAT_FLAG(struct options),
    BR_AGENT_FLAGS,
};
static const size_t flag_count = sizeof flags / sizeof flags[0];

/* One of the maps that the answer is made of, its pairs still encoded. */
struct section {
    struct bruit_bytes name;
    struct br_mp_list pairs;
};

#define SECTIONS_MAX 64

struct sections {
    struct section items[SECTIONS_MAX];
    size_t count;
};

static bool read_sections(struct bruit_bytes answer, struct sections *out);
static bool read_pairs(const struct section *section, struct br_tag_set *out);
static void print_text(const struct sections *sections);
static void print_json(const struct sections *sections);

static void help(struct br_blob *out)
{
    br_blob_text(out, "Usage: bruit info [options]\n\n"
                      "  Shows what a running agent says about itself.\n\n"
                      "Options:\n\n");
    br_flags_help(flags, flag_count, out);
}

static int print(const char *format, struct bruit_bytes answer)
{
    struct sections sections = {.count = 0};
    if (!read_sections(answer, &sections))
        return br_error("Error querying agent: the agent sent something that is no answer");
    if (strcmp(format, "json") == 0)
        print_json(&sections);
    else if (strcmp(format, "text") == 0)
        print_text(&sections);
    else
        return br_error("Encoding error: Invalid output format \"%s\"", format);
    return 0;
}

static int run(int argc, char **argv)
{
    struct options options = {.format = NULL};
    struct br_session session;
    struct bruit_bytes answer;
    int rest;
    int code = br_parse_flags(&br_command_info, flags, flag_count, &options, argc, argv, &rest);
    if (code >= 0)
        return code;
    if (!br_connect(&session, &options.agent))
        return 1;
    if (br_session_call(&session, "stats", br_bytes(NULL, 0)) != 0 || br_session_read(&session, &answer) != 0)
        return br_failed(&session, "Error querying agent: ");
    code = print(options.format, answer);
    br_session_close(&session);
    return code;
}

const struct br_command br_command_info = {
    .name = "info",
    .synopsis = "Shows what an agent says about itself",
    .run = run,
    .help = help,
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
};

/* ------------------------------------------------------------------ reading */

static int compare_sections(const void *a, const void *b)
{
    return br_bytes_compare(((const struct section *)a)->name, ((const struct section *)b)->name);
}

static bool read_sections(struct bruit_bytes answer, struct sections *out)
{
    struct br_reader r;
    struct br_tag_set pairs;
    br_reader_init(&r, answer);
    uint32_t count = br_mp_read_map(&r);
    if (count > SECTIONS_MAX)
        return false;
    for (; out->count < count && !r.failed; out->count++) {
        struct section *section = &out->items[out->count];
        section->name = br_mp_read_bytes(&r);
        section->pairs = br_mp_read_pairs(&r);
        if (r.failed || !read_pairs(section, &pairs))
            return false;
    }
    qsort(out->items, out->count, sizeof out->items[0], compare_sections);
    return !r.failed;
}

/* Sorted by key, as a set of tags is. */
static bool read_pairs(const struct section *section, struct br_tag_set *out)
{
    struct br_reader r;
    br_reader_init(&r, section->pairs.items);
    out->count = 0;
    for (uint32_t i = 0; i < section->pairs.count && !r.failed; i++) {
        struct bruit_bytes key = br_mp_read_bytes(&r);
        struct bruit_bytes value = br_mp_read_bytes(&r);
        if (!r.failed && br_tag_set_put(out, key, value) != 0)
            return false;
    }
    return !r.failed;
}

/* ------------------------------------------------------------------ printing */

static void print_text(const struct sections *sections)
{
    struct br_blob text = BR_BLOB_EMPTY;
    struct br_tag_set pairs;
    for (size_t i = 0; i < sections->count; i++) {
        (void)read_pairs(&sections->items[i], &pairs); /* checked when it was read first */
        br_blob_text(&text, i == 0 ? "" : "\n");
        br_blob_add(&text, sections->items[i].name);
        br_blob_text(&text, ":");
        for (size_t j = 0; j < pairs.count; j++) {
            br_blob_text(&text, "\n\t");
            br_blob_add(&text, pairs.tags[j].key);
            br_blob_text(&text, " = ");
            br_blob_add(&text, pairs.tags[j].value);
        }
    }
    br_say_buffer(&text);
    br_blob_release(&text);
}

static void print_json(const struct sections *sections)
{
    struct br_json json = {.depth = 0};
    struct br_tag_set pairs;
    br_json_open(&json, '{');
    for (size_t i = 0; i < sections->count; i++) {
        (void)read_pairs(&sections->items[i], &pairs);
        br_json_key(&json, sections->items[i].name);
        br_json_open(&json, '{');
        for (size_t j = 0; j < pairs.count; j++) {
            br_json_key(&json, pairs.tags[j].key);
            br_json_text(&json, pairs.tags[j].value);
        }
        br_json_close(&json, '}');
    }
    br_json_close(&json, '}');
    br_say_json(&json);
}
