/* bruit query: asks the cluster and shows the answers as they come (docs/wire/serf-agent.md section 7.4). */
#include "cli/command.h"

#include "cli/asking.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct options {
    struct br_agent_flags agent;
    const char *format;
    struct br_values nodes, tags;
    bruit_time timeout;
    bool no_ack;
    int64_t relay_factor;
    const char *until;
};

static const struct br_flag flags[] = {
    {"format", BR_FLAG_TEXT, offsetof(struct options, format), "text|json", "text",
     "How to print. Default: text. As JSON everything is printed at the end."},
    {"no-ack", BR_FLAG_SWITCH, offsetof(struct options, no_ack), NULL, NULL,
     "Members do not acknowledge that they got the query."},
    {"node", BR_FLAG_LIST, offsetof(struct options, nodes), "member", NULL,
     "Ask only this member; may be repeated."},
    {"relay-factor", BR_FLAG_INT, offsetof(struct options, relay_factor), "count", "0",
     "Answers also come through so many other members, in case packets get lost."},
    BR_AGENT_FLAGS,
    {"tag", BR_FLAG_LIST, offsetof(struct options, tags), "key=regexp", NULL,
     "Ask only members whose tag matches; may be repeated."},
    {"timeout", BR_FLAG_DURATION, offsetof(struct options, timeout), "15s", NULL,
     "How long to wait for answers. Default: as the size of the cluster needs it."},
    {"until", BR_FLAG_TEXT, offsetof(struct options, until), "timeout|acked|responded", "timeout",
     "End as soon as all alive members that are asked have acknowledged, or have responded. Default: timeout. An agent "
     "of Serf's waits for the timeout all the same."},
};
static const size_t flag_count = sizeof flags / sizeof flags[0];

static void help(struct br_blob *out)
{
    br_blob_text(out, "Usage: bruit query [options] name [payload]\n\n"
                      "  Asks the members of the cluster and shows what they answer.\n\n"
                      "Options:\n\n");
    br_flags_help(flags, flag_count, out);
}

static void on_interrupt(int number)
{
    (void)number;
    _exit(1);
}

/* ------------------------------------------------------------------ text */

/* One newline at the end of what a script prints is the script's, not the answer's. */
static struct bruit_bytes trimmed(struct bruit_bytes payload)
{
    payload.size -= payload.size > 0 && payload.data[payload.size - 1] == '\n';
    return payload;
}

static void show_answer(const struct br_answer *answer)
{
    struct br_blob text = BR_BLOB_EMPTY;
    br_blob_text(&text, answer->is_ack ? "Ack from '" : "Response from '");
    br_blob_add(&text, answer->from);
    br_blob_text(&text, answer->is_ack ? "'" : "': ");
    if (!answer->is_ack)
        br_blob_add(&text, trimmed(answer->payload));
    br_say_buffer(&text);
    br_blob_release(&text);
}

static void print_text(struct br_session *session, const struct br_asking *asking)
{
    struct br_answer answer;
    unsigned acks = 0, responses = 0;
    br_say("Query '%s' dispatched", asking->name);
    while (br_next_answer(session, &answer)) {
        acks += answer.is_ack;
        responses += !answer.is_ack;
        show_answer(&answer);
    }
    if (asking->ack)
        br_say("Total Acks: %u", acks);
    br_say("Total Responses: %u", responses);
}

/* ------------------------------------------------------------------ JSON */

/* What came from whom; acks have no payload. Both are borrowed from one piece of memory that is kept. */
struct kept {
    struct bruit_bytes from, payload;
    struct br_blob bytes;
};

struct kept_list {
    struct kept *items;
    size_t count, capacity;
};

static void keep(struct kept_list *list, const struct br_answer *answer)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 16 : 2 * list->capacity;
        struct kept *items = realloc(list->items, capacity * sizeof *items);
        if (items == NULL)
            return;
        list->items = items;
        list->capacity = capacity;
    }
    struct kept *kept = &list->items[list->count];
    *kept = (struct kept){.bytes = BR_BLOB_EMPTY};
    br_blob_add(&kept->bytes, answer->from);
    br_blob_add(&kept->bytes, answer->payload);
    if (kept->bytes.failed)
        return;
    kept->from = br_bytes(kept->bytes.data, answer->from.size);
    kept->payload = br_bytes(kept->bytes.data + answer->from.size, answer->payload.size);
    list->count++;
}

static void forget(struct kept_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        br_blob_release(&list->items[i].bytes);
    free(list->items);
}

static int compare_names(const void *a, const void *b)
{
    return br_bytes_compare(((const struct kept *)a)->from, ((const struct kept *)b)->from);
}

/* Nobody is null, as Go writes a list that was never made. */
static void write_acks(struct br_json *json, const struct kept_list *acks)
{
    br_json_key(json, br_bytes_text("Acks"));
    if (acks->count == 0) {
        br_json_null(json);
        return;
    }
    br_json_open(json, '[');
    for (size_t i = 0; i < acks->count; i++) {
        br_json_item(json);
        br_json_text(json, acks->items[i].from);
    }
    br_json_close(json, ']');
}

/* By name, as Go writes a map. */
static void write_responses(struct br_json *json, struct kept_list *responses)
{
    if (responses->count > 0)
        qsort(responses->items, responses->count, sizeof responses->items[0], compare_names);
    br_json_key(json, br_bytes_text("Responses"));
    br_json_open(json, '{');
    for (size_t i = 0; i < responses->count; i++) {
        br_json_key(json, responses->items[i].from);
        br_json_text(json, responses->items[i].payload);
    }
    br_json_close(json, '}');
}

static void print_json(struct br_session *session)
{
    struct br_json json = {.depth = 0};
    struct kept_list acks = {.count = 0}, responses = {.count = 0};
    struct br_answer answer;
    while (br_next_answer(session, &answer))
        keep(answer.is_ack ? &acks : &responses, &answer);
    br_json_open(&json, '{');
    write_acks(&json, &acks);
    write_responses(&json, &responses);
    br_json_close(&json, '}');
    br_say_json(&json);
    forget(&acks);
    forget(&responses);
}

/* ------------------------------------------------------------------ the command */

/* Serf's order of looking at things: what is wrong first is what one hears of. */
static int check(const struct options *options, int argc)
{
    if (argc < 1)
        return br_misused(&br_command_query, "A query name must be specified.");
    if (argc > 2)
        return br_misused(&br_command_query,
                          "Too many command line arguments. Only a name and payload must be specified.");
    for (size_t i = 0; i < options->tags.count; i++) {
        struct bruit_bytes key, value;
        if (!br_pair_split(options->tags.items[i], &key, &value))
            return br_error("Error: Invalid tag: '%s'", options->tags.items[i]);
    }
    if (options->relay_factor < 0 || options->relay_factor > UINT8_MAX)
        return br_error("Relay factor must be between 0 and 255");
    if (strcmp(options->until, "timeout") != 0 && strcmp(options->until, "acked") != 0 &&
        strcmp(options->until, "responded") != 0)
        return br_error("Invalid -until: %s. Use timeout, acked or responded.", options->until);
    if (strcmp(options->until, "acked") == 0 && options->no_ack)
        return br_error(
            "With -no-ack nobody acknowledges: use -until=responded, or leave one of the two flags away.");
    return -1;
}

static int ask(const struct options *options, char **words, int count)
{
    struct br_session session;
    struct br_asking asking = {
        .name = words[0],
        .payload = count == 2 ? words[1] : NULL,
        .nodes = &options->nodes,
        .tags = &options->tags,
        .ack = !options->no_ack,
        .relay_factor = (uint8_t)options->relay_factor,
        .timeout = options->timeout,
        .until = strcmp(options->until, "timeout") == 0 ? NULL : options->until,
    };
    bool is_json = strcmp(options->format, "json") == 0;
    if (!br_connect(&session, &options->agent))
        return 1;
    if (!is_json && strcmp(options->format, "text") != 0) {
        br_session_close(&session);
        return br_error("Invalid format: %s", options->format);
    }
    (void)signal(SIGINT, on_interrupt);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    if (br_ask(&session, &asking) != 0)
        return br_failed(&session, "Error sending query: ");
    if (is_json)
        print_json(&session);
    else
        print_text(&session, &asking);
    br_session_close(&session);
    return 0;
}

static int run(int argc, char **argv)
{
    struct options options = {.format = NULL};
    int rest;
    int code = br_parse_flags(&br_command_query, flags, flag_count, &options, argc, argv, &rest);
    if (code < 0)
        code = check(&options, argc - rest);
    if (code < 0)
        code = ask(&options, argv + rest, argc - rest);
    br_flags_release(flags, flag_count, &options);
    return code;
}

const struct br_command br_command_query = {
    .name = "query",
    .synopsis = "Asks the cluster and shows the answers",
    .run = run,
    .help = help,
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
};
