/* bruit leave: makes an agent leave its cluster in good order, and end. */
#include "cli/command.h"

static const struct br_flag flags[] = {BR_AGENT_FLAGS};
static const size_t flag_count = sizeof flags / sizeof flags[0];

static void help(struct br_blob *out)
{
    br_blob_text(out, "Usage: bruit leave [options]\n\n"
                      "  Makes a running agent leave its cluster gracefully and end.\n\n"
                      "Options:\n\n");
    br_flags_help(flags, flag_count, out);
}

static int run(int argc, char **argv)
{
    struct br_agent_flags where = {.rpc_addr = NULL};
    struct br_session session;
    int rest;
    int code = br_parse_flags(&br_command_leave, flags, flag_count, &where, argc, argv, &rest);
    if (code >= 0)
        return code;
    if (!br_connect(&session, &where))
        return 1;
    if (br_session_call(&session, "leave", br_bytes(NULL, 0)) != 0)
        return br_failed(&session, "Error leaving: ");
    br_say("Graceful leave complete");
    br_session_close(&session);
    return 0;
}

const struct br_command br_command_leave = {
    .name = "leave",
    .synopsis = "Makes an agent leave its cluster gracefully and end",
    .run = run,
    .help = help,
};
