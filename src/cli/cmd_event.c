/* bruit event: sends a user event to the whole cluster. */
#include "cli/command.h"

struct options {
    struct br_agent_flags agent;
    bool coalesce;
    const char *format;
};

static const struct br_flag flags[] = {
    {"coalesce", BR_FLAG_SWITCH, offsetof(struct options, coalesce), NULL, "true",
     "Of several events of this name in a short time, only the last one counts. Default: true."},
    BR_FORMAT_FLAG(struct options),
    BR_AGENT_FLAGS,
};
static const size_t flag_count = sizeof flags / sizeof flags[0];

static void help(struct br_blob *out)
{
    br_blob_text(out, "Usage: bruit event [options] name [payload]\n\n"
                      "  Sends an event to every member of the cluster.\n\n"
                      "Options:\n\n");
    br_flags_help(flags, flag_count, out);
}

static int call(struct br_session *session, bool coalesce, const char *name, const char *payload)
{
    struct br_blob body = BR_BLOB_EMPTY;
    size_t size = payload == NULL ? 0 : strlen(payload);
    struct br_writer w = br_blob_writer(&body, 64 + strlen(name) + size);
    br_mp_write_map(&w, 3);
    br_mp_write_key(&w, "Coalesce");
    br_mp_write_bool(&w, coalesce);
    br_mp_write_key(&w, "Name");
    br_mp_write_str8(&w, br_bytes_string(name));
    br_mp_write_key(&w, "Payload");
    br_mp_write_bin(&w, br_bytes(payload, size));
    br_blob_written(&body, &w);
    int error = br_session_call(session, "event", br_blob_bytes(&body));
    br_blob_release(&body);
    return error;
}

static void say(const char *name, bool coalesce)
{
    struct br_json json = {.depth = 0};
    if (!br_wants_json()) {
        br_say("Event '%s' dispatched! Coalescing enabled: %s", name, coalesce ? "true" : "false");
        return;
    }
    br_json_open(&json, '{');
    br_json_name(&json, "event");
    br_json_text(&json, br_bytes_string(name));
    br_json_name(&json, "coalesce");
    br_json_bool(&json, coalesce);
    br_json_close(&json, '}');
    br_say_json(&json);
}

static int run(int argc, char **argv)
{
    struct options options = {.coalesce = true};
    struct br_session session;
    int rest;
    int code = br_parse_flags(&br_command_event, flags, flag_count, &options, argc, argv, &rest);
    if (code >= 0)
        return code;
    if (!br_check_format(options.format))
        return 1;
    if (rest == argc)
        return br_misused(&br_command_event, "An event name must be specified.");
    if (argc - rest > 2)
        return br_misused(&br_command_event,
                          "Too many command line arguments. Only a name and payload must be specified.");
    if (!br_connect(&session, &options.agent))
        return 1;
    if (call(&session, options.coalesce, argv[rest], argc - rest == 2 ? argv[rest + 1] : NULL) != 0)
        return br_failed(&session, "Error sending event: ");
    say(argv[rest], options.coalesce);
    br_session_close(&session);
    return 0;
}

const struct br_command br_command_event = {
    .name = "event",
    .synopsis = "Sends an event to the cluster",
    .run = run,
    .help = help,
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
};
