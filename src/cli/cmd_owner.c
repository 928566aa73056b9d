/*
 * bruit owner: which members keys belong to, and how the keys are shared out (docs/ownership.md).
 *
 * The agent decides; many keys are asked for in several requests. All agents that see the same cluster give the same
 * answer, and `view` in the JSON tells whether two did.
 */
#include "cli/command.h"

#include "cli/table.h"

#include <bruit/owner.h>

#include <stdlib.h>

/* Keys of one request: as many as an agent takes. */
#define KEYS_MAX 256

struct options {
    struct br_agent_flags agent;
    const char *format;
    int64_t count;
    bool share;
};

static const struct br_flag flags[] = {
    BR_FORMAT_FLAG(struct options),
    {"n", BR_FLAG_INT, offsetof(struct options, count), "count", "1",
     "How many owners of each key to tell, 1 to 32: in as many zones as there are. Default: 1."},
    BR_AGENT_FLAGS,
    {"share", BR_FLAG_SWITCH, offsetof(struct options, share), NULL, NULL,
     "Tell of all live members what part of all keys each is the first owner of."},
};
static const size_t flag_count = sizeof flags / sizeof flags[0];

static void help(struct br_blob *out)
{
    br_blob_text(out, "Usage: bruit owner [options] key...\n"
                      "       bruit owner -share [options]\n\n"
                      "  Tells which live members a key belongs to: by their tags \"weight\" (a whole\n"
                      "  number, 1 without one; 0 owns nothing) and \"zone\" (several owners are in\n"
                      "  different zones). Needs an agent of bruit's.\n\n"
                      "Options:\n\n");
    br_flags_help(flags, flag_count, out);
}

/* ------------------------------------------------------------------ what the agent says */

/* One member of an answer; borrowed from it. */
struct owner {
    struct bruit_bytes addr, name, zone;
    double share;
    uint32_t weight;
};

static const struct br_mp_field owner_fields[] = {
    BR_MP_FIELD(struct owner, addr, "Addr", BR_MP_TEXT, 0, 0),
    BR_MP_FIELD(struct owner, name, "Name", BR_MP_TEXT, 1, 0),
    BR_MP_FIELD(struct owner, share, "Share", BR_MP_F64, 2, 0),
    BR_MP_FIELD(struct owner, weight, "Weight", BR_MP_U32, 3, 0),
    BR_MP_FIELD(struct owner, zone, "Zone", BR_MP_TEXT, 4, 0),
};

static bool read_owner(struct br_reader *r, struct owner *out)
{
    br_mp_read_struct(r, owner_fields, sizeof owner_fields / sizeof owner_fields[0], out);
    return !r->failed;
}

/* What both answers have: a list, and the view that was asked. */
struct answer {
    struct br_mp_list list;
    struct bruit_bytes view;
};

static bool read_answer(struct bruit_bytes object, const char *list, struct answer *out)
{
    struct bruit_bytes raw;
    struct br_reader r;
    if (!br_mp_find(object, br_bytes_string(list), &raw))
        return false;
    out->list = br_mp_list_of(raw);
    if (!br_mp_find(object, br_bytes_text("View"), &raw))
        return false;
    br_reader_init(&r, raw);
    out->view = br_mp_read_bytes(&r);
    return !r.failed;
}

/* Sends a command, and reads the answer with its list called `list`. 0, or 1 with the sentence said. */
static int ask(struct br_session *session, const char *command, struct bruit_bytes body, const char *list,
               struct answer *out)
{
    struct bruit_bytes object;
    int error = br_session_call_own(session, command, body);
    if (error == 0)
        error = br_session_read(session, &object);
    if (error != 0)
        return br_error("Error asking for owners: %s", session->why);
    if (!read_answer(object, list, out))
        return br_error("Error asking for owners: the agent sent something that is no answer");
    return 0;
}

/* ------------------------------------------------------------------ owners of keys */

/* What is printed at the end: rows, or JSON that is not closed yet. */
struct output {
    struct br_columns columns;
    struct br_json json;
};

static void add_cell(struct br_columns *columns, struct bruit_bytes text)
{
    br_columns_add(columns, text);
    br_blob_text(&columns->rows, "|");
}

static void add_zone(struct br_columns *columns, struct bruit_bytes zone)
{
    br_blob_text(&columns->rows, "zone=");
    br_columns_add(columns, zone);
    br_columns_end_row(columns);
}

static void add_text(struct br_json *json, const char *name, struct bruit_bytes text)
{
    br_json_name(json, name);
    br_json_text(json, text);
}

static void write_owner(struct output *out, const char *key, const struct owner *owner)
{
    if (br_wants_json()) {
        br_json_item(&out->json);
        br_json_open(&out->json, '{');
        add_text(&out->json, "name", owner->name);
        add_text(&out->json, "addr", owner->addr);
        add_text(&out->json, "zone", owner->zone);
        br_json_close(&out->json, '}');
        return;
    }
    add_cell(&out->columns, br_bytes_string(key));
    add_cell(&out->columns, owner->name);
    add_cell(&out->columns, owner->addr);
    add_zone(&out->columns, owner->zone);
}

/* All owners of one key; in JSON with the view, which may have changed since the request before. */
static bool write_key(struct output *out, const char *key, struct br_reader *r, struct bruit_bytes view)
{
    struct owner owner;
    uint32_t count = br_mp_read_array(r);
    if (br_wants_json()) {
        br_json_item(&out->json);
        br_json_open(&out->json, '{');
        add_text(&out->json, "key", br_bytes_string(key));
        add_text(&out->json, "view", view);
        br_json_name(&out->json, "owners");
        br_json_open(&out->json, '[');
    }
    for (uint32_t i = 0; i < count && read_owner(r, &owner); i++)
        write_owner(out, key, &owner);
    if (br_wants_json()) {
        br_json_close(&out->json, ']');
        br_json_close(&out->json, '}');
    }
    return !r->failed;
}

static size_t size_of(char **keys, int count)
{
    size_t size = 64;
    for (int i = 0; i < count; i++)
        size += 5 + strlen(keys[i]);
    return size;
}

static int find_some(struct br_session *session, uint32_t owners, char **keys, int count, struct output *out)
{
    struct br_blob body = BR_BLOB_EMPTY;
    struct answer answer;
    struct br_reader r;
    struct br_writer w = br_blob_writer(&body, size_of(keys, count));
    br_mp_write_map(&w, 2);
    br_mp_write_key(&w, "Count");
    br_mp_write_uint(&w, owners);
    br_mp_write_key(&w, "Keys");
    br_mp_write_array(&w, (uint32_t)count);
    for (int i = 0; i < count; i++)
        br_mp_write_str8(&w, br_bytes_string(keys[i]));
    br_blob_written(&body, &w);
    int code = ask(session, "owner", br_blob_bytes(&body), "Owners", &answer);
    br_blob_release(&body);
    if (code != 0)
        return code;
    br_reader_init(&r, answer.list.items);
    bool is_whole = answer.list.count == (uint32_t)count;
    for (int i = 0; i < count && is_whole; i++)
        is_whole = write_key(out, keys[i], &r, answer.view);
    return is_whole ? 0 : br_error("Error asking for owners: the agent sent something that is no answer");
}

static void say_rows(struct br_columns *columns)
{
    struct br_blob text = BR_BLOB_EMPTY;
    br_columns_format(columns, &text);
    if (text.size > 0)
        br_say_buffer(&text);
    br_blob_release(&text);
}

static int find(struct br_session *session, uint32_t owners, char **keys, int count)
{
    struct output out = {.json = {.depth = 0}};
    int code = 0;
    if (br_wants_json()) {
        br_json_open(&out.json, '{');
        br_json_name(&out.json, "keys");
        br_json_open(&out.json, '[');
    }
    for (int i = 0; i < count && code == 0; i += KEYS_MAX)
        code = find_some(session, owners, keys + i, count - i < KEYS_MAX ? count - i : KEYS_MAX, &out);
    if (code == 0 && br_wants_json()) {
        br_json_close(&out.json, ']');
        br_json_close(&out.json, '}');
        br_say_json(&out.json);
    } else if (code == 0) {
        say_rows(&out.columns);
    }
    br_blob_release(&out.columns.rows);
    br_blob_release(&out.json.out);
    return code;
}

/* ------------------------------------------------------------------ shares */

static int by_name(const void *a, const void *b)
{
    return br_bytes_compare(((const struct owner *)a)->name, ((const struct owner *)b)->name);
}

/* The members sorted by name, to be freed; NULL when memory ran out or the answer is none. */
static struct owner *read_owners(const struct br_mp_list *list)
{
    struct owner *owners = calloc((size_t)list->count + 1, sizeof *owners);
    struct br_reader r;
    bool is_whole = owners != NULL;
    br_reader_init(&r, list->items);
    for (uint32_t i = 0; i < list->count && is_whole; i++)
        is_whole = read_owner(&r, &owners[i]);
    if (!is_whole) {
        free(owners);
        return NULL;
    }
    qsort(owners, list->count, sizeof *owners, by_name);
    return owners;
}

static void say_shares(const struct owner *owners, uint32_t count)
{
    struct br_columns columns = {.rows = BR_BLOB_EMPTY};
    for (uint32_t i = 0; i < count; i++) {
        add_cell(&columns, owners[i].name);
        add_cell(&columns, owners[i].addr);
        br_blob_printf(&columns.rows, "%.3f %%|weight=%u|", 100 * owners[i].share, owners[i].weight);
        add_zone(&columns, owners[i].zone);
    }
    say_rows(&columns);
}

static void say_shares_json(const struct owner *owners, uint32_t count, struct bruit_bytes view)
{
    struct br_json json = {.depth = 0};
    br_json_open(&json, '{');
    add_text(&json, "view", view);
    br_json_name(&json, "members");
    br_json_open(&json, '[');
    for (uint32_t i = 0; i < count; i++) {
        br_json_item(&json);
        br_json_open(&json, '{');
        add_text(&json, "name", owners[i].name);
        add_text(&json, "addr", owners[i].addr);
        add_text(&json, "zone", owners[i].zone);
        br_json_name(&json, "weight");
        br_json_number(&json, owners[i].weight);
        br_json_name(&json, "share_percent");
        br_json_real(&json, 100 * owners[i].share);
        br_json_close(&json, '}');
    }
    br_json_close(&json, ']');
    br_json_close(&json, '}');
    br_say_json(&json);
}

static int tell_shares(struct br_session *session)
{
    struct answer answer;
    int code = ask(session, "owner-shares", br_bytes(NULL, 0), "Members", &answer);
    if (code != 0)
        return code;
    struct owner *owners = read_owners(&answer.list);
    if (owners == NULL)
        return br_error("Error asking for owners: the agent sent something that is no answer");
    if (br_wants_json())
        say_shares_json(owners, answer.list.count, answer.view);
    else
        say_shares(owners, answer.list.count);
    free(owners);
    return 0;
}

/* ------------------------------------------------------------------ the command */

/* -1, or the exit code with the sentence said. */
static int check(const struct options *options, int count)
{
    if (!br_check_format(options->format))
        return 1;
    if (options->share && count > 0)
        return br_misused(&br_command_owner, "Too many command line arguments: -share takes no keys.");
    if (!options->share && count == 0)
        return br_misused(&br_command_owner, "At least one key must be specified, or -share.");
    if (options->count < 1 || options->count > BRUIT_OWNERS_MAX)
        return br_error("Invalid number of owners: write -n=1 to -n=%d", BRUIT_OWNERS_MAX);
    return -1;
}

static int run(int argc, char **argv)
{
    struct options options = {.count = 1};
    struct br_session session;
    int rest;
    int code = br_parse_flags(&br_command_owner, flags, flag_count, &options, argc, argv, &rest);
    if (code < 0)
        code = check(&options, argc - rest);
    if (code >= 0)
        return code;
    if (!br_connect(&session, &options.agent))
        return 1;
    code = options.share ? tell_shares(&session)
                         : find(&session, (uint32_t)options.count, argv + rest, argc - rest);
    br_session_close(&session);
    return code;
}

const struct br_command br_command_owner = {
    .name = "owner",
    .synopsis = "Tells which members a key belongs to",
    .run = run,
    .help = help,
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
};
