/* What the subcommands share; see command.h. */
#include "cli/command.h"

#include "agent/options.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const struct br_command *const br_commands[] = {
    &br_command_agent,
    &br_command_agg,
    &br_command_completion,
    &br_command_event,
    &br_command_force_leave,
    &br_command_info,
    &br_command_join,
    &br_command_keygen,
    &br_command_keys,
    &br_command_kv,
    &br_command_kv_cas,
    &br_command_kv_delete,
    &br_command_kv_get,
    &br_command_kv_list,
    &br_command_kv_put,
    &br_command_kv_stat,
    &br_command_kv_watch,
    &br_command_leave,
    &br_command_man,
    &br_command_members,
    &br_command_monitor,
    &br_command_owner,
    &br_command_query,
    &br_command_reachability,
    &br_command_rtt,
    &br_command_sim,
    &br_command_tags,
    &br_command_version,
    &br_command_wait,
};
const size_t br_command_count = sizeof br_commands / sizeof br_commands[0];

/* The agent's are made of the table that its configuration files are read with. */
size_t br_command_flags(const struct br_command *command, struct br_flag out[BR_COMMAND_FLAGS_MAX])
{
    if (command == &br_command_agent)
        return br_options_flags(out, BR_COMMAND_FLAGS_MAX);
    if (command->flag_count > 0)
        memcpy(out, command->flags, command->flag_count * sizeof out[0]);
    return command->flag_count;
}

/* ------------------------------------------------------------------ groups */

bool br_is_in_group(const struct br_command *command, const char *group)
{
    size_t size = strlen(group);
    return strncmp(command->name, group, size) == 0 && command->name[size] == ' ';
}

void br_group_help(const struct br_command *group, struct br_blob *out)
{
    br_blob_text(out, "  Available commands are:\n\n");
    for (size_t i = 0; i < br_command_count; i++)
        if (br_is_in_group(br_commands[i], group->name))
            br_blob_printf(out, "    %-15s %s\n", br_commands[i]->name, br_commands[i]->synopsis);
    br_blob_printf(out, "\n  \"bruit %s <command> -help\" tells more of each.\n", group->name);
}

/* As with a command that does not exist, or with none at all. */
int br_group_run(const struct br_command *group, int argc, char **argv)
{
    struct br_blob help = BR_BLOB_EMPTY;
    if (argc > 0)
        (void)fprintf(stderr, "bruit: there is no command '%s %s'.\n\n", group->name, argv[0]);
    group->help(&help);
    (void)fprintf(stderr, "%s", br_blob_string(&help));
    br_blob_release(&help);
    return 127;
}

/* ------------------------------------------------------------------ printing */

/* How the command that runs was asked to print: a process runs one, and all that it says obeys this. */
static bool is_json;

bool br_wants_json(void)
{
    return is_json;
}

void br_say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    (void)putchar('\n');
}

void br_say_buffer(struct br_blob *text)
{
    if (text->size > 0) /* an empty one has no data */
        (void)fwrite(text->data, 1, text->size, stdout);
    (void)putchar('\n');
}

void br_say_json(struct br_json *json)
{
    br_say_buffer(&json->out);
    br_blob_release(&json->out);
}

/* Some of Serf's sentences end in empty lines, which are no part of what went wrong. */
static void say_error(const char *text)
{
    struct br_json json = {.is_compact = true};
    struct bruit_bytes bytes = br_bytes_string(text);
    while (bytes.size > 0 && bytes.data[bytes.size - 1] == '\n')
        bytes.size--;
    br_json_open(&json, '{');
    br_json_name(&json, "error");
    br_json_text(&json, bytes);
    br_json_close(&json, '}');
    br_say_json(&json);
}

int br_error(const char *format, ...)
{
    va_list arguments;
    char *text = NULL;
    va_start(arguments, format);
    int size = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (size < 0)
        text = NULL;
    if (is_json)
        say_error(text == NULL ? "out of memory" : text);
    else
        br_say("%s", text == NULL ? "out of memory" : text);
    free(text);
    return 1;
}

/* ------------------------------------------------------------------ flags */

struct br_agent_flags br_agent_flags_filled(const struct br_agent_flags *typed)
{
    static const char *const names[] = {"SERF_RPC_ADDR", "BRUIT_RPC_ADDR"};
    struct br_agent_flags where = *typed;
    for (size_t i = 0; i < 2 && where.rpc_addr == NULL; i++) {
        const char *value = getenv(names[i]);
        where.rpc_addr = value != NULL && value[0] != 0 ? value : NULL;
    }
    if (where.rpc_addr == NULL)
        where.rpc_addr = "127.0.0.1:7373";
    if (where.rpc_auth == NULL)
        where.rpc_auth = getenv("SERF_RPC_AUTH");
    return where;
}

bool br_check_format(const char *format)
{
    if (strcmp(format, "text") == 0 || strcmp(format, "json") == 0)
        return true;
    (void)br_error("Invalid output format \"%s\": write text or json", format);
    return false;
}

/* What flags that were read say about the format. */
static bool is_json_in(const struct br_flag *flags, size_t count, const void *target)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(flags[i].name, "format") == 0)
            return strcmp(*(const char *const *)((const char *)target + flags[i].offset), "json") == 0;
    return false;
}

/* What words say that could not be read as flags: the sentence about them should have the form that was meant. */
static bool is_json_among(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        const char *word = argv[i] + (argv[i][0] == '-' && argv[i][1] == '-');
        const char *next = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(word, "-format=json") == 0 || (strcmp(word, "-format") == 0 && strcmp(next, "json") == 0))
            return true;
    }
    return false;
}

int br_parse_flags(const struct br_command *command, const struct br_flag *flags, size_t count, void *target,
                   int argc, char **argv, int *rest)
{
    char name[64], why[BR_WHY_MAX] = "";
    (void)snprintf(name, sizeof name, "bruit %s", command->name);
    enum br_flags_result result = br_flags_parse(flags, count, target, name, argc, argv, rest, why);
    if (result == BR_FLAGS_HELP) {
        struct br_blob help = BR_BLOB_EMPTY;
        command->help(&help);
        (void)fprintf(stderr, "%s", br_blob_string(&help));
        br_blob_release(&help);
        return 0;
    }
    is_json = result == BR_FLAGS_OK ? is_json_in(flags, count, target) : is_json_among(argc, argv);
    if (result == BR_FLAGS_OK)
        return -1;
    if (is_json)
        return br_error("%s: %s", name, why);
    (void)fprintf(stderr, "%s: %s\n", name, why);
    return 1;
}

int br_misused(const struct br_command *command, const char *message)
{
    struct br_blob help = BR_BLOB_EMPTY;
    command->help(&help);
    const char *usage = br_blob_string(&help);
    if (is_json)
        (void)br_error("%.*s", message[0] != 0 ? 1000 : (int)strcspn(usage, "\n"),
                       message[0] != 0 ? message : usage);
    else
        (void)printf("%s%s%s", message, message[0] != 0 ? "\n\n" : "", usage);
    br_blob_release(&help);
    return 1;
}

/* ------------------------------------------------------------------ the agent */

bool br_connect(struct br_session *session, const struct br_agent_flags *where)
{
    struct br_agent_flags filled = br_agent_flags_filled(where);
    int error = br_session_open(session, filled.rpc_addr, filled.rpc_auth);
    if (error == 0)
        return true;
    (void)br_failed(session, "Error connecting to Serf agent: ");
    /* Scripts get Serf's sentence and nothing else; somebody at a terminal may never have seen it before. */
    if (error != BRUIT_EREMOTE && isatty(STDERR_FILENO))
        (void)fprintf(stderr, "Is an agent running there? \"bruit agent\" starts one, and -rpc-addr or "
                              "SERF_RPC_ADDR says where another is.\n");
    return false;
}

int br_failed(struct br_session *session, const char *prefix)
{
    (void)br_error("%s%s", prefix, session->why);
    br_session_close(session);
    return 1;
}
