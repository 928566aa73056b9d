/* bruit kv stat: how an agent's replicated state is. It prints what the agent tells, in the agent's order. */
#include "cli/command.h"

#include "cli/kv.h"
#include "cli/table.h"

#include <stdio.h>

struct options {
    struct br_agent_flags agent;
    const char *format;
};

static const struct br_flag flags[] = {
    BR_FORMAT_FLAG(struct options),
    BR_AGENT_FLAGS,
};
static const size_t flag_count = sizeof flags / sizeof flags[0];

static void help(struct br_blob *out)
{
    br_blob_text(out, "Usage: bruit kv stat [options]\n\n"
                      "  Shows how an agent's replicated state is: where it is kept, whether it is equal to\n"
                      "  that of the others, how much of it there is, and what keeping it equal has cost.\n"
                      "  Agents with the same root have the same keys and values.\n\n"
                      "Options:\n\n");
    br_flags_help(flags, flag_count, out);
}

static void say_text(const struct br_mp_list *pairs)
{
    struct br_columns columns = {.rows = BR_BLOB_EMPTY};
    struct br_blob text = BR_BLOB_EMPTY;
    struct br_reader r;
    br_reader_init(&r, pairs->items);
    for (uint32_t i = 0; i < pairs->count && !r.failed; i++) {
        br_columns_add(&columns, br_mp_read_bytes(&r));
        br_blob_text(&columns.rows, "|");
        if (br_mp_peek(&r) == BR_MP_INTEGER)
            br_blob_printf(&columns.rows, "%llu", (unsigned long long)br_mp_read_uint(&r, UINT64_MAX));
        else
            br_columns_add(&columns, br_mp_read_bytes(&r));
        br_columns_end_row(&columns);
    }
    br_columns_format(&columns, &text);
    br_say_buffer(&text);
    br_blob_release(&text);
}

static void say_json(const struct br_mp_list *pairs)
{
    struct br_json json = {.depth = 0};
    struct br_reader r;
    br_reader_init(&r, pairs->items);
    br_json_open(&json, '{');
    for (uint32_t i = 0; i < pairs->count && !r.failed; i++) {
        br_json_key(&json, br_mp_read_bytes(&r));
        if (br_mp_peek(&r) == BR_MP_INTEGER)
            br_json_number(&json, br_mp_read_uint(&r, UINT64_MAX));
        else
            br_json_text(&json, br_mp_read_bytes(&r));
    }
    br_json_close(&json, '}');
    br_say_json(&json);
}

static int run(int argc, char **argv)
{
    struct options options = {.format = NULL};
    struct br_session session;
    struct bruit_bytes answer;
    int rest;
    int code = br_parse_flags(&br_command_kv_stat, flags, flag_count, &options, argc, argv, &rest);
    if (code >= 0)
        return code;
    if (!br_check_format(options.format) || !br_connect(&session, &options.agent))
        return 1;
    if (br_session_call_own(&session, "kv-stat", br_bytes(NULL, 0)) != 0 ||
        br_session_read(&session, &answer) != 0)
        return br_failed(&session, "Error reading state: ");
    struct br_mp_list pairs = br_mp_pairs_of(answer);
    if (pairs.count == 0)
        code = br_kv_no_answer("Error reading state: ");
    else if (br_wants_json())
        say_json(&pairs);
    else
        say_text(&pairs);
    br_session_close(&session);
    return code < 0 ? 0 : code;
}

const struct br_command br_command_kv_stat = {
    .name = "kv stat",
    .synopsis = "Shows how an agent's replicated state is",
    .run = run,
    .help = help,
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
};
