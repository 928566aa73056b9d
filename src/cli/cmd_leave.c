/* bruit leave: makes an agent leave its cluster in good order, and end. */
#include "cli/command.h"

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
    br_blob_text(out, "Usage: bruit leave [options]\n\n"
                      "  Makes a running agent leave its cluster gracefully and end.\n\n"
                      "Options:\n\n");
    br_flags_help(flags, flag_count, out);
}

static void say(void)
{
    struct br_json json = {.depth = 0};
    if (!br_wants_json()) {
        br_say("Graceful leave complete");
        return;
    }
    br_json_open(&json, '{');
    br_json_name(&json, "left");
    br_json_bool(&json, true);
    br_json_close(&json, '}');
    br_say_json(&json);
}

static int run(int argc, char **argv)
{
    struct options options = {.format = NULL};
    struct br_session session;
    int rest;
    int code = br_parse_flags(&br_command_leave, flags, flag_count, &options, argc, argv, &rest);
    if (code >= 0)
        return code;
    if (!br_check_format(options.format) || !br_connect(&session, &options.agent))
        return 1;
    if (br_session_call(&session, "leave", br_bytes(NULL, 0)) != 0)
        return br_failed(&session, "Error leaving: ");
    say();
    br_session_close(&session);
    return 0;
}

const struct br_command br_command_leave = {
    .name = "leave",
    .synopsis = "Makes an agent leave its cluster gracefully and end",
    .run = run,
    .help = help,
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
};
