/*
 * bruit agg: named numbers and texts of all members, and what they come to together (docs/aggregates.md).
 *
 * The first word says what to do; flags may stand before it and behind it. The agent answers from what it has.
 */
#include "cli/command.h"

#include "cli/table.h"

#include <math.h>
#include <stdlib.h>

struct options {
    struct br_agent_flags agent;
    const char *format;
    int64_t count;
    bool is_text;
};

static const struct br_flag flags[] = {
    BR_FORMAT_FLAG(struct options),
    {"n", BR_FLAG_INT, offsetof(struct options, count), "count", "10",
     "How many lines of the top list, 1 to 1000. Default: 10."},
    BR_AGENT_FLAGS,
    {"text", BR_FLAG_SWITCH, offsetof(struct options, is_text), NULL, NULL,
     "Publish the value as a text, even where it could be a number."},
};
static const size_t flag_count = sizeof flags / sizeof flags[0];

static void help(struct br_blob *out)
{
    br_blob_text(out, "Usage: bruit agg publish [options] name value\n"
                      "       bruit agg withdraw [options] name\n"
                      "       bruit agg count|sum|mean|min|max|variance|distinct [options] name\n"
                      "       bruit agg quantile [options] name q\n"
                      "       bruit agg top [options] name\n"
                      "       bruit agg list [options] [name]\n"
                      "       bruit agg size|checksum [options]\n\n"
                      "  Every agent of bruit's publishes numbers and texts by name; any of them tells\n"
                      "  what all publish comes to, with how far that may be off, how many nodes are in\n"
                      "  it and how old it may be. The quantile q is 0 to 1: 0.5 is the median. The top\n"
                      "  list is of the nodes with the largest numbers, or of the most frequent texts.\n"
                      "  Size counts members; checksum asks all agents of bruit's whether they see the\n"
                      "  same members, and exits with 0 only if they do.\n\n"
                      "Options:\n\n");
    br_flags_help(flags, flag_count, out);
}

/* ------------------------------------------------------------------ asking */

static struct br_writer begin_body(struct br_blob *body, uint32_t pairs, const char *name)
{
    struct br_writer w = br_blob_writer(body, 512 + strlen(name));
    br_mp_write_map(&w, pairs);
    br_mp_write_key(&w, "Name");
    br_mp_write_str8(&w, br_bytes_string(name));
    return w;
}

static void write_text(struct br_writer *w, const char *key, const char *text)
{
    br_mp_write_key(w, key);
    br_mp_write_str8(w, br_bytes_string(text));
}

/* Sends a command; with `object` its answer is read, too. 0, or 1 with the sentence said. Releases the body. */
static int call(struct br_session *session, const char *command, struct br_blob *body, struct bruit_bytes *object)
{
    int error = br_session_call_own(session, command, br_blob_bytes(body));
    br_blob_release(body);
    if (error == 0 && object != NULL)
        error = br_session_read(session, object);
    return error == 0 ? 0 : br_error("Error asking for aggregates: %s", session->why);
}

static int no_answer(void)
{
    return br_error("Error asking for aggregates: the agent sent something that is no answer");
}

/* ------------------------------------------------------------------ what the agent says */

struct answer {
    uint64_t age;
    double error, value;
    bool is_exact;
    uint32_t members, nodes;
    struct br_mp_list items;
};

static const struct br_mp_field answer_fields[] = {
    BR_MP_FIELD(struct answer, age, "Age", BR_MP_U64, 0, 0),
    BR_MP_FIELD(struct answer, error, "Error", BR_MP_F64, 1, 0),
    BR_MP_FIELD(struct answer, is_exact, "Exact", BR_MP_FLAG, 2, 0),
    BR_MP_FIELD(struct answer, items, "Items", BR_MP_LIST, 3, 0),
    BR_MP_FIELD(struct answer, members, "Members", BR_MP_U32, 4, 0),
    BR_MP_FIELD(struct answer, nodes, "Nodes", BR_MP_U32, 5, 0),
    BR_MP_FIELD(struct answer, value, "Value", BR_MP_F64, 6, 0),
};

/* One of a top list or of all values. */
struct item {
    double count, error, number;
    bool is_exact;
    struct bruit_bytes name, node, text;
};

static const struct br_mp_field item_fields[] = {
    BR_MP_FIELD(struct item, count, "Count", BR_MP_F64, 0, 0),
    BR_MP_FIELD(struct item, error, "Error", BR_MP_F64, 1, 0),
    BR_MP_FIELD(struct item, is_exact, "Exact", BR_MP_FLAG, 2, 0),
    BR_MP_FIELD(struct item, name, "Name", BR_MP_TEXT, 3, 0),
    BR_MP_FIELD(struct item, node, "Node", BR_MP_TEXT, 4, 0),
    BR_MP_FIELD(struct item, number, "Number", BR_MP_F64, 5, 0),
    BR_MP_FIELD(struct item, text, "Text", BR_MP_TEXT, 6, 0),
};

#define READ(object, fields, out) read_fields(object, fields, sizeof(fields) / sizeof(fields)[0], out)

static bool read_fields(struct bruit_bytes object, const struct br_mp_field *fields_, size_t count, void *out)
{
    struct br_reader r;
    br_reader_init(&r, object);
    br_mp_read_struct(&r, fields_, count, out);
    return !r.failed;
}

static bool next_item(struct br_reader *r, struct item *out)
{
    br_mp_read_struct(r, item_fields, sizeof item_fields / sizeof item_fields[0], out);
    return !r->failed;
}

/* ------------------------------------------------------------------ saying it */

static void name_real(struct br_json *json, const char *name, double number)
{
    br_json_name(json, name);
    br_json_exact(json, number);
}

static void name_count(struct br_json *json, const char *name, uint64_t number)
{
    br_json_name(json, name);
    br_json_number(json, number);
}

static void name_text(struct br_json *json, const char *name, struct bruit_bytes text)
{
    br_json_name(json, name);
    br_json_text(json, text);
}

static void write_answer(struct br_json *json, const struct answer *answer)
{
    name_real(json, "value", answer->value);
    name_real(json, "error", answer->error);
    name_count(json, "nodes", answer->nodes);
    name_count(json, "members", answer->members);
    name_real(json, "age_seconds", (double)answer->age / BRUIT_SECOND);
    br_json_name(json, "exact");
    br_json_bool(json, answer->is_exact);
}

static void say_rows(struct br_columns *columns)
{
    struct br_blob text = BR_BLOB_EMPTY;
    br_columns_format(columns, &text);
    if (text.size > 0)
        br_say_buffer(&text);
    br_blob_release(&text);
}

/* What follows every figure. */
static void add_answer(struct br_blob *row, const struct answer *answer)
{
    br_blob_printf(row, "error=%.6g|nodes=%u|members=%u|age=%.1fs|%s", answer->error, answer->nodes,
                   answer->members, (double)answer->age / BRUIT_SECOND, answer->is_exact ? "exact" : "estimate");
}

static void say_answer(const struct answer *answer)
{
    struct br_columns columns = {.rows = BR_BLOB_EMPTY};
    struct br_json json = {.depth = 0};
    if (br_wants_json()) {
        br_json_open(&json, '{');
        write_answer(&json, answer);
        br_json_close(&json, '}');
        br_say_json(&json);
        return;
    }
    br_blob_printf(&columns.rows, "%.15g|", answer->value);
    add_answer(&columns.rows, answer);
    br_columns_end_row(&columns);
    say_rows(&columns);
}

/* ------------------------------------------------------------------ publish, withdraw */

/* All of it is a number that may be published. */
static bool is_number(const char *word, double *number)
{
    char *end;
    *number = strtod(word, &end);
    return end != word && *end == '\0' && isfinite(*number);
}

static int publish(struct br_session *session, const struct options *options, const char *name, const char *value)
{
    struct br_blob body = BR_BLOB_EMPTY;
    double number;
    if (value[0] == '\0')
        return br_error("Error publishing: a value has at least one byte");
    struct br_writer w = begin_body(&body, 2, name);
    if (!options->is_text && is_number(value, &number)) {
        br_mp_write_key(&w, "Number");
        br_mp_write_float(&w, number);
    } else if (strlen(value) <= 64) {
        write_text(&w, "Text", value);
    } else {
        br_blob_release(&body);
        return br_error("Error publishing: a text has 64 bytes at most");
    }
    br_blob_written(&body, &w);
    return call(session, "agg-publish", &body, NULL);
}

static int withdraw(struct br_session *session, const char *name)
{
    struct br_blob body = BR_BLOB_EMPTY;
    struct br_writer w = begin_body(&body, 1, name);
    br_blob_written(&body, &w);
    return call(session, "agg-withdraw", &body, NULL);
}

/* ------------------------------------------------------------------ figures */

static int ask(struct br_session *session, const char *what, const char *name, double argument)
{
    struct br_blob body = BR_BLOB_EMPTY;
    struct bruit_bytes object;
    struct answer answer;
    struct br_writer w = begin_body(&body, 3, name);
    write_text(&w, "What", what);
    br_mp_write_key(&w, "Argument");
    br_mp_write_float(&w, argument);
    br_blob_written(&body, &w);
    if (call(session, "agg-ask", &body, &object) != 0)
        return 1;
    if (!READ(object, answer_fields, &answer))
        return no_answer();
    say_answer(&answer);
    return 0;
}

static void write_top(struct br_json *json, const struct item *item)
{
    br_json_item(json);
    br_json_open(json, '{');
    if (item->text.size > 0)
        name_text(json, "text", item->text);
    else
        name_text(json, "node", item->node);
    name_real(json, item->text.size > 0 ? "count" : "number", item->text.size > 0 ? item->count : item->number);
    name_real(json, "error", item->error);
    br_json_close(json, '}');
}

static void add_top(struct br_columns *columns, const struct item *item)
{
    bool is_text = item->text.size > 0;
    br_columns_add(columns, is_text ? item->text : item->node);
    br_blob_printf(&columns->rows, "|%.15g", is_text ? item->count : item->number);
    if (item->error > 0)
        br_blob_printf(&columns->rows, "|error=%.6g", item->error);
    br_columns_end_row(columns);
}

static int top(struct br_session *session, const struct options *options, const char *name)
{
    struct br_blob body = BR_BLOB_EMPTY;
    struct br_columns columns = {.rows = BR_BLOB_EMPTY};
    struct br_json json = {.depth = 0};
    struct bruit_bytes object;
    struct answer answer;
    struct item item;
    struct br_reader r;
    struct br_writer w = begin_body(&body, 2, name);
    br_mp_write_key(&w, "Count");
    br_mp_write_uint(&w, (uint64_t)options->count);
    br_blob_written(&body, &w);
    if (call(session, "agg-top", &body, &object) != 0)
        return 1;
    if (!READ(object, answer_fields, &answer))
        return no_answer();
    br_json_open(&json, '{');
    write_answer(&json, &answer);
    br_json_name(&json, "items");
    br_json_open(&json, '[');
    br_reader_init(&r, answer.items.items);
    for (uint32_t i = 0; i < answer.items.count && next_item(&r, &item); i++) {
        write_top(&json, &item);
        add_top(&columns, &item);
    }
    br_json_close(&json, ']');
    br_json_close(&json, '}');
    if (!r.failed && br_wants_json())
        br_say_json(&json);
    else if (!r.failed)
        say_rows(&columns);
    br_blob_release(&json.out);
    br_blob_release(&columns.rows);
    return r.failed ? no_answer() : 0;
}

/* ------------------------------------------------------------------ list, size, checksum */

static void write_value(struct br_json *json, const struct item *item)
{
    br_json_item(json);
    br_json_open(json, '{');
    name_text(json, "node", item->node);
    name_text(json, "name", item->name);
    if (item->text.size > 0)
        name_text(json, "text", item->text);
    else
        name_real(json, "number", item->number);
    br_json_name(json, "exact");
    br_json_bool(json, item->is_exact);
    br_json_close(json, '}');
}

static void add_value(struct br_columns *columns, const struct item *item)
{
    br_columns_add(columns, item->node);
    br_blob_text(&columns->rows, "|");
    br_columns_add(columns, item->name);
    br_blob_text(&columns->rows, "|");
    if (item->text.size > 0)
        br_columns_add(columns, item->text);
    else
        br_blob_printf(&columns->rows, "%.15g", item->number);
    if (!item->is_exact)
        br_blob_text(&columns->rows, "|estimate");
    br_columns_end_row(columns);
}

static int by_node_and_name(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    int order = br_bytes_compare(x->node, y->node);
    return order != 0 ? order : br_bytes_compare(x->name, y->name);
}

/* All values, sorted, to be freed; NULL when memory ran out or the answer is none. */
static struct item *read_values(struct bruit_bytes object, uint32_t *count)
{
    struct bruit_bytes raw = {.size = 0};
    struct br_reader r;
    (void)br_mp_find(object, br_bytes_text("Values"), &raw); /* nothing: no list */
    br_reader_init(&r, raw);
    *count = br_mp_read_array(&r);
    struct item *items = r.failed || *count > br_reader_left(&r) ? NULL : calloc((size_t)*count + 1, sizeof *items);
    for (uint32_t i = 0; items != NULL && i < *count; i++)
        if (!next_item(&r, &items[i])) {
            free(items);
            return NULL;
        }
    if (items != NULL)
        qsort(items, *count, sizeof *items, by_node_and_name);
    return items;
}

static void say_values(const struct item *items, uint32_t count)
{
    struct br_columns columns = {.rows = BR_BLOB_EMPTY};
    struct br_json json = {.depth = 0};
    br_json_open(&json, '{');
    br_json_name(&json, "values");
    br_json_open(&json, '[');
    for (uint32_t i = 0; i < count; i++) {
        write_value(&json, &items[i]);
        add_value(&columns, &items[i]);
    }
    br_json_close(&json, ']');
    br_json_close(&json, '}');
    if (br_wants_json())
        br_say_json(&json);
    else
        say_rows(&columns);
    br_blob_release(&json.out);
    br_blob_release(&columns.rows);
}

static int list(struct br_session *session, const char *name)
{
    struct br_blob body = BR_BLOB_EMPTY;
    struct bruit_bytes object;
    uint32_t count;
    struct br_writer w = begin_body(&body, 1, name);
    br_blob_written(&body, &w);
    if (call(session, "agg-list", &body, &object) != 0)
        return 1;
    struct item *items = read_values(object, &count);
    if (items == NULL)
        return no_answer();
    say_values(items, count);
    free(items);
    return 0;
}

struct sizes {
    uint32_t members, peers;
};

static const struct br_mp_field size_fields[] = {
    BR_MP_FIELD(struct sizes, members, "Members", BR_MP_U32, 0, 0),
    BR_MP_FIELD(struct sizes, peers, "Peers", BR_MP_U32, 1, 0),
};

static int size(struct br_session *session)
{
    struct br_blob nothing = BR_BLOB_EMPTY;
    struct br_json json = {.depth = 0};
    struct bruit_bytes object;
    struct sizes sizes;
    if (call(session, "agg-size", &nothing, &object) != 0)
        return 1;
    if (!READ(object, size_fields, &sizes))
        return no_answer();
    if (!br_wants_json()) {
        br_say("%u  peers=%u", sizes.members, sizes.peers);
        return 0;
    }
    br_json_open(&json, '{');
    name_count(&json, "members", sizes.members);
    name_count(&json, "peers", sizes.peers);
    br_json_close(&json, '}');
    br_say_json(&json);
    return 0;
}

struct views {
    uint32_t agreeing, answered, asked, different;
    struct br_mp_list others;
    struct bruit_bytes view;
};

static const struct br_mp_field view_fields[] = {
    BR_MP_FIELD(struct views, agreeing, "Agreeing", BR_MP_U32, 0, 0),
    BR_MP_FIELD(struct views, answered, "Answered", BR_MP_U32, 1, 0),
    BR_MP_FIELD(struct views, asked, "Asked", BR_MP_U32, 2, 0),
    BR_MP_FIELD(struct views, different, "Different", BR_MP_U32, 3, 0),
    BR_MP_FIELD(struct views, others, "Others", BR_MP_LIST, 4, 0),
    BR_MP_FIELD(struct views, view, "View", BR_MP_TEXT, 5, 0),
};

/* Who sees otherwise, or did not answer. */
struct other {
    uint32_t alive;
    struct bruit_bytes node, view;
};

static const struct br_mp_field other_fields[] = {
    BR_MP_FIELD(struct other, alive, "Alive", BR_MP_U32, 0, 0),
    BR_MP_FIELD(struct other, node, "Node", BR_MP_TEXT, 1, 0),
    BR_MP_FIELD(struct other, view, "View", BR_MP_TEXT, 2, 0),
};

static void write_other(struct br_json *json, const struct other *other)
{
    br_json_item(json);
    br_json_open(json, '{');
    name_text(json, "node", other->node);
    br_json_name(json, "view");
    if (other->view.size > 0)
        br_json_text(json, other->view);
    else
        br_json_null(json);
    name_count(json, "alive", other->alive);
    br_json_close(json, '}');
}

static void add_other(struct br_columns *columns, const struct other *other)
{
    br_columns_add(columns, other->node);
    br_blob_text(&columns->rows, "|");
    br_columns_add(columns, other->view.size > 0 ? other->view : br_bytes_text("no answer"));
    if (other->view.size > 0)
        br_blob_printf(&columns->rows, "|alive=%u", other->alive);
    br_columns_end_row(columns);
}

static int checksum(struct br_session *session)
{
    struct br_blob nothing = BR_BLOB_EMPTY;
    struct br_columns columns = {.rows = BR_BLOB_EMPTY};
    struct br_json json = {.depth = 0};
    struct bruit_bytes object;
    struct views views;
    struct other other;
    struct br_reader r;
    if (call(session, "agg-checksum", &nothing, &object) != 0)
        return 1;
    if (!READ(object, view_fields, &views))
        return no_answer();
    br_json_open(&json, '{');
    name_text(&json, "view", views.view);
    name_count(&json, "agreeing", views.agreeing);
    name_count(&json, "answered", views.answered);
    name_count(&json, "asked", views.asked);
    name_count(&json, "different", views.different);
    br_json_name(&json, "others");
    br_json_open(&json, '[');
    br_columns_add(&columns, views.view);
    br_blob_printf(&columns.rows, "|agreeing=%u|answered=%u|asked=%u|different=%u", views.agreeing, views.answered,
                   views.asked, views.different);
    br_columns_end_row(&columns);
    br_reader_init(&r, views.others.items);
    for (uint32_t i = 0; i < views.others.count && !r.failed; i++) {
        br_mp_read_struct(&r, other_fields, sizeof other_fields / sizeof other_fields[0], &other);
        write_other(&json, &other);
        add_other(&columns, &other);
    }
    br_json_close(&json, ']');
    br_json_close(&json, '}');
    if (!r.failed && br_wants_json())
        br_say_json(&json);
    else if (!r.failed)
        say_rows(&columns);
    br_blob_release(&json.out);
    br_blob_release(&columns.rows);
    if (r.failed)
        return no_answer();
    return views.agreeing == views.asked ? 0 : 1;
}

/* ------------------------------------------------------------------ the command */

enum form { FIGURE, QUANTILE, PUBLISH, WITHDRAW, TOP, LIST, SIZE, CHECKSUM };

static const struct subcommand {
    const char *name;
    enum form form;
    int least, most; /* words behind it */
} subcommands[] = {
    {"checksum", CHECKSUM, 0, 0}, {"count", FIGURE, 1, 1}, {"distinct", FIGURE, 1, 1}, {"list", LIST, 0, 1},
    {"max", FIGURE, 1, 1},        {"mean", FIGURE, 1, 1},  {"min", FIGURE, 1, 1},      {"publish", PUBLISH, 2, 2},
    {"quantile", QUANTILE, 2, 2}, {"size", SIZE, 0, 0},    {"sum", FIGURE, 1, 1},      {"top", TOP, 1, 1},
    {"variance", FIGURE, 1, 1},   {"withdraw", WITHDRAW, 1, 1},
};

static const struct subcommand *find(const char *name)
{
    for (size_t i = 0; i < sizeof subcommands / sizeof subcommands[0]; i++)
        if (strcmp(subcommands[i].name, name) == 0)
            return &subcommands[i];
    return NULL;
}

/* -1, or the exit code with the sentence said. */
static int check(const struct options *options, const struct subcommand *subcommand, int count, char **words)
{
    double q;
    if (!br_check_format(options->format))
        return 1;
    if (count < subcommand->least || count > subcommand->most)
        return br_misused(&br_command_agg, count < subcommand->least ? "Too few command line arguments."
                                                                     : "Too many command line arguments.");
    if (subcommand->form == QUANTILE && (!is_number(words[1], &q) || q < 0 || q > 1))
        return br_error("Invalid quantile: write a number from 0 to 1, such as 0.99");
    if (options->count < 1 || options->count > 1000)
        return br_error("Invalid number of lines: write -n=1 to -n=1000");
    return -1;
}

static int carry_out(struct br_session *session, const struct options *options, const struct subcommand *subcommand,
                     int count, char **words)
{
    switch (subcommand->form) {
    case FIGURE: return ask(session, subcommand->name, words[0], 0);
    case QUANTILE: return ask(session, subcommand->name, words[0], strtod(words[1], NULL));
    case PUBLISH: return publish(session, options, words[0], words[1]);
    case WITHDRAW: return withdraw(session, words[0]);
    case TOP: return top(session, options, words[0]);
    case LIST: return list(session, count > 0 ? words[0] : "");
    case SIZE: return size(session);
    case CHECKSUM: return checksum(session);
    }
    return 1;
}

/* Flags before the first word and behind it; then its own words. */
static int run(int argc, char **argv)
{
    struct options options = {.count = 10};
    struct br_session session;
    int rest;
    int code = br_parse_flags(&br_command_agg, flags, flag_count, &options, argc, argv, &rest);
    if (code >= 0)
        return code;
    if (rest == argc)
        return br_misused(&br_command_agg, "It takes a word that says what to do.");
    const struct subcommand *subcommand = find(argv[rest]);
    if (subcommand == NULL)
        return br_misused(&br_command_agg, "There is no such word of bruit agg.");
    argc -= rest + 1;
    argv += rest + 1;
    code = br_parse_flags(&br_command_agg, flags, flag_count, &options, argc, argv, &rest);
    if (code < 0)
        code = check(&options, subcommand, argc - rest, argv + rest);
    if (code >= 0)
        return code;
    if (!br_connect(&session, &options.agent))
        return 1;
    code = carry_out(&session, &options, subcommand, argc - rest, argv + rest);
    br_session_close(&session);
    return code;
}

const struct br_command br_command_agg = {
    .name = "agg",
    .synopsis = "Publishes numbers and texts, and tells what all come to",
    .run = run,
    .help = help,
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .words = "checksum|count|distinct|list|max|mean|min|publish|quantile|size|sum|top|variance|withdraw",
};
