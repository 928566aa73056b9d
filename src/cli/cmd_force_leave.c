/* bruit force-leave: declares a failed member left, in the whole cluster. */
#include "cli/command.h"

struct options {
    struct br_agent_flags agent;
    bool prune;
    const char *format;
};

static const struct br_flag flags[] = {
    BR_FORMAT_FLAG(struct options),
    {"prune", BR_FLAG_SWITCH, offsetof(struct options, prune), NULL, NULL, "Forget the member altogether."},
    BR_AGENT_FLAGS,
};
static const size_t flag_count = sizeof flags / sizeof flags[0];

static void help(struct br_blob *out)
{
    br_blob_text(out, "Usage: bruit force-leave [options] name\n\n"
                      "  Declares a failed member left, in the whole cluster, so that nobody tries to\n"
                      "  reach it again. One that is alive after all will come back.\n\n"
                      "Options:\n\n");
    br_flags_help(flags, flag_count, out);
}

static int call(struct br_session *session, const char *node, bool prune)
{
    struct br_blob body = BR_BLOB_EMPTY;
    struct br_writer w = br_blob_writer(&body, 32 + strlen(node));
    br_mp_write_map(&w, 2);
    br_mp_write_key(&w, "Node");
    br_mp_write_str8(&w, br_bytes_string(node));
    br_mp_write_key(&w, "Prune");
    br_mp_write_bool(&w, prune);
    br_blob_written(&body, &w);
    int error = br_session_call(session, "force-leave", br_blob_bytes(&body));
    br_blob_release(&body);
    return error;
}

/* In text it says nothing, as Serf's does. */
static void say(const char *node, bool prune)
{
    struct br_json json = {.depth = 0};
    if (!br_wants_json())
        return;
    br_json_open(&json, '{');
    br_json_name(&json, "node");
    br_json_text(&json, br_bytes_string(node));
    br_json_name(&json, "prune");
    br_json_bool(&json, prune);
    br_json_close(&json, '}');
    br_say_json(&json);
}

static int run(int argc, char **argv)
{
    struct options options = {.prune = false};
    struct br_session session;
    int rest;
    int code = br_parse_flags(&br_command_force_leave, flags, flag_count, &options, argc, argv, &rest);
    if (code >= 0)
        return code;
    if (!br_check_format(options.format))
        return 1;
    if (argc - rest != 1)
        return br_misused(&br_command_force_leave, "A node name must be specified to force leave.");
    if (!br_connect(&session, &options.agent))
        return 1;
    if (call(&session, argv[rest], options.prune) != 0)
        return br_failed(&session, "Error force leaving: ");
    say(argv[rest], options.prune);
    br_session_close(&session);
    return 0;
}

const struct br_command br_command_force_leave = {
    .name = "force-leave",
    .synopsis = "Declares a failed member left",
    .run = run,
    .help = help,
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .words = "member",
};
