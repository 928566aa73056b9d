/* What the subcommands share; see command.h. */
#include "cli/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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
    (void)fwrite(text->data, 1, text->size, stdout);
    (void)putchar('\n');
}

/* ------------------------------------------------------------------ flags */

static void fill_defaults(struct br_agent_flags *where)
{
    static const char *const names[] = {"SERF_RPC_ADDR", "BRUIT_RPC_ADDR"};
    for (size_t i = 0; i < 2 && where->rpc_addr == NULL; i++) {
        const char *value = getenv(names[i]);
        where->rpc_addr = value != NULL && value[0] != 0 ? value : NULL;
    }
    if (where->rpc_addr == NULL)
        where->rpc_addr = "127.0.0.1:7373";
    if (where->rpc_auth == NULL)
        where->rpc_auth = getenv("SERF_RPC_AUTH");
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
    if (result == BR_FLAGS_OK)
        return -1;
    (void)fprintf(stderr, "%s: %s\n", name, why);
    return 1;
}

int br_misused(const struct br_command *command, const char *message)
{
    struct br_blob help = BR_BLOB_EMPTY;
    command->help(&help);
    if (message[0] != 0)
        br_say("%s\n", message);
    (void)printf("%s", br_blob_string(&help));
    br_blob_release(&help);
    return 1;
}

/* ------------------------------------------------------------------ the agent */

bool br_connect(struct br_session *session, const struct br_agent_flags *where)
{
    struct br_agent_flags filled = *where;
    fill_defaults(&filled);
    if (br_session_open(session, filled.rpc_addr, filled.rpc_auth) == 0)
        return true;
    (void)br_failed(session, "Error connecting to Serf agent: ");
    return false;
}

int br_failed(struct br_session *session, const char *prefix)
{
    br_say("%s%s", prefix, session->why);
    br_session_close(session);
    return 1;
}
