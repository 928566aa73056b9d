/* bruit keys: the encryption keys of the whole cluster (docs/wire/serf-agent.md section 7.3). */
#include "cli/command.h"

#include "cli/table.h"

struct options {
    struct br_agent_flags agent;
    const char *install, *use, *removed;
    bool list;
    const char *format;
};

static const struct br_flag flags[] = {
    BR_FORMAT_FLAG(struct options),
    {"install", BR_FLAG_TEXT, offsetof(struct options, install), "key", NULL,
     "Install a key on every member: it opens what it sealed, and seals nothing yet."},
    {"list", BR_FLAG_SWITCH, offsetof(struct options, list), NULL, NULL,
     "Show all keys, and how many members have each."},
    {"remove", BR_FLAG_TEXT, offsetof(struct options, removed), "key", NULL,
     "Remove a key from every member. It must not be the one in use."},
    BR_AGENT_FLAGS,
    {"use", BR_FLAG_TEXT, offsetof(struct options, use), "key", NULL,
     "Seal with this key from now on. Every member must have it."},
};
static const size_t flag_count = sizeof flags / sizeof flags[0];

static void help(struct br_blob *out)
{
    br_blob_text(out, "Usage: bruit keys [options]\n\n"
                      "  Installs, uses, removes or lists encryption keys on all members. To change the\n"
                      "  key of a cluster: install the new one, use it, remove the old one, each when\n"
                      "  the step before has succeeded. The exit code is 0 only when every member did\n"
                      "  as it was told.\n\n"
                      "Options:\n\n");
    br_flags_help(flags, flag_count, out);
}

/* One of the four forms: what is sent, and what is said. */
struct form {
    const char *command, *begin, *success, *failure;
};

static const struct form forms[] = {
    {"install-key", "Installing key on all members...", "Successfully installed key!", "Error installing key: "},
    {"use-key", "Changing primary key on all members...", "Successfully changed primary key!",
     "Error changing primary key: "},
    {"remove-key", "Removing key on all members...", "Successfully removed key!", "Error removing key: "},
    {"list-keys", "Asking all members for installed keys...", "Keys gathered, listing cluster keys...",
     "Failed to gather member keys: "},
};

struct answer {
    struct br_mp_list keys, messages;
    uint64_t nodes, failures, answers;
};

static const struct br_mp_field answer_fields[] = {
    BR_MP_FIELD(struct answer, keys, "Keys", BR_MP_PAIRS, 1, 0),
    BR_MP_FIELD(struct answer, messages, "Messages", BR_MP_PAIRS, 0, 0),
    BR_MP_FIELD(struct answer, failures, "NumErr", BR_MP_U64, 4, 0),
    BR_MP_FIELD(struct answer, nodes, "NumNodes", BR_MP_U64, 3, 0),
    BR_MP_FIELD(struct answer, answers, "NumResp", BR_MP_U64, 5, 0),
};

static int call(struct br_session *session, const char *command, const char *key)
{
    struct br_blob body = BR_BLOB_EMPTY;
    if (key != NULL) {
        struct br_writer w = br_blob_writer(&body, 32 + strlen(key));
        br_mp_write_map(&w, 1);
        br_mp_write_key(&w, "Key");
        br_mp_write_str8(&w, br_bytes_string(key));
        br_blob_written(&body, &w);
    }
    int error = br_session_call(session, command, br_blob_bytes(&body));
    br_blob_release(&body);
    return error;
}

/* The body comes with an error, too, save when the agent does not talk to us at all. */
static bool read_answer(struct br_session *session, struct answer *out)
{
    struct bruit_bytes object;
    struct br_reader r;
    char why[sizeof session->why];
    memcpy(why, session->why, sizeof why);
    if (strcmp(why, "Authentication required") == 0 || br_session_read(session, &object) != 0)
        return false;
    memcpy(session->why, why, sizeof why);
    br_reader_init(&r, object);
    br_mp_read_struct(&r, answer_fields, 5, out);
    return !r.failed;
}

static void say_rows(struct br_columns *columns)
{
    struct br_blob text = BR_BLOB_EMPTY;
    br_columns_format(columns, &text);
    br_say_buffer(&text);
    br_blob_release(&text);
}

static void show_failures(const struct answer *answer)
{
    struct br_columns columns = {.rows = BR_BLOB_EMPTY};
    struct br_reader r;
    br_reader_init(&r, answer->messages.items);
    for (uint32_t i = 0; i < answer->messages.count && !r.failed; i++) {
        br_blob_text(&columns.rows, "failed: |");
        br_columns_add(&columns, br_mp_read_bytes(&r));
        br_blob_text(&columns.rows, "|");
        br_columns_add(&columns, br_mp_read_bytes(&r));
        br_columns_end_row(&columns);
    }
    if (answer->messages.count > 0)
        say_rows(&columns);
    br_say("%s", "");
}

static void show_keys(const struct answer *answer)
{
    struct br_columns columns = {.rows = BR_BLOB_EMPTY};
    struct br_reader r;
    br_reader_init(&r, answer->keys.items);
    for (uint32_t i = 0; i < answer->keys.count && !r.failed; i++) {
        br_columns_add(&columns, br_mp_read_bytes(&r));
        br_blob_printf(&columns.rows, "|[%llu/%llu]", (unsigned long long)br_mp_read_uint(&r, UINT64_MAX),
                       (unsigned long long)answer->nodes);
        br_columns_end_row(&columns);
    }
    br_say("%s", "");
    say_rows(&columns);
}

/* ------------------------------------------------------------------ JSON */

static void write_messages(struct br_json *json, const struct answer *answer)
{
    struct br_reader r;
    br_reader_init(&r, answer->messages.items);
    br_json_name(json, "messages");
    br_json_open(json, '{');
    for (uint32_t i = 0; i < answer->messages.count && !r.failed; i++) {
        br_json_key(json, br_mp_read_bytes(&r));
        br_json_text(json, br_mp_read_bytes(&r));
    }
    br_json_close(json, '}');
}

static void write_keys(struct br_json *json, const struct answer *answer)
{
    struct br_reader r;
    br_reader_init(&r, answer->keys.items);
    br_json_name(json, "keys");
    br_json_open(json, '{');
    for (uint32_t i = 0; i < answer->keys.count && !r.failed; i++) {
        br_json_key(json, br_mp_read_bytes(&r));
        br_json_number(json, br_mp_read_uint(&r, UINT64_MAX));
    }
    br_json_close(json, '}');
}

static void write_number(struct br_json *json, const char *name, uint64_t number)
{
    br_json_name(json, name);
    br_json_number(json, number);
}

static void print_json(const struct answer *answer, bool is_list, const char *prefix, const char *error)
{
    struct br_json json = {.depth = 0};
    struct br_blob sentence = BR_BLOB_EMPTY;
    br_json_open(&json, '{');
    if (error != NULL) {
        br_blob_printf(&sentence, "%s%s", prefix, error);
        br_json_name(&json, "error");
        br_json_text(&json, br_blob_bytes(&sentence));
    }
    if (is_list)
        write_keys(&json, answer);
    write_messages(&json, answer);
    write_number(&json, "members", answer->nodes);
    write_number(&json, "answers", answer->answers);
    write_number(&json, "failures", answer->failures);
    br_json_close(&json, '}');
    br_say_json(&json);
    br_blob_release(&sentence);
}

/* ------------------------------------------------------------------ the command */

static int report_failure(struct br_session *session, const struct form *form, const struct answer *answer,
                          bool is_list)
{
    if (br_wants_json()) {
        print_json(answer, is_list, form->failure, session->why);
        br_session_close(session);
        return 1;
    }
    show_failures(answer);
    return br_failed(session, form->failure);
}

static void report_success(const struct form *form, const struct answer *answer, bool is_list)
{
    if (br_wants_json()) {
        print_json(answer, is_list, NULL, NULL);
        return;
    }
    br_say("==> %s", form->success);
    if (is_list)
        show_keys(answer);
}

static int carry_out(struct br_session *session, const struct form *form, const char *key)
{
    struct answer answer = {.nodes = 0};
    if (!br_wants_json())
        br_say("==> %s", form->begin);
    int error = call(session, form->command, key);
    if (error != 0 && error != BRUIT_EREMOTE)
        return br_failed(session, form->failure);
    bool is_whole = read_answer(session, &answer);
    if (error != 0 || !is_whole)
        return report_failure(session, form, &answer, key == NULL);
    report_success(form, &answer, key == NULL);
    br_session_close(session);
    return 0;
}

static bool is_asked(const char *key)
{
    return key != NULL && key[0] != 0;
}

static int run(int argc, char **argv)
{
    struct options options = {.list = false};
    struct br_session session;
    int rest;
    int code = br_parse_flags(&br_command_keys, flags, flag_count, &options, argc, argv, &rest);
    if (code >= 0)
        return code;
    const char *const keys[] = {options.install, options.use, options.removed, NULL};
    int count = 0, form = 0;
    for (int i = 0; i < 4; i++) {
        if (i == 3 ? options.list : is_asked(keys[i])) {
            form = i;
            count++;
        }
    }
    if (!br_check_format(options.format))
        return 1;
    if (count == 0)
        return br_misused(&br_command_keys, "");
    if (count > 1)
        return br_error("Only one of -install, -use, -remove, or -list allowed");
    if (!br_connect(&session, &options.agent))
        return 1;
    return carry_out(&session, &forms[form], keys[form]);
}

const struct br_command br_command_keys = {
    .name = "keys",
    .synopsis = "Changes and lists the keys of the cluster",
    .run = run,
    .help = help,
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
};
