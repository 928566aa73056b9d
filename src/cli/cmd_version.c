/* bruit version: ours, and that of Serf's protocol. */
#include "cli/command.h"

struct options {
    const char *format;
};

static const struct br_flag flags[] = {BR_FORMAT_FLAG(struct options)};
static const size_t flag_count = sizeof flags / sizeof flags[0];

static void help(struct br_blob *out)
{
    br_blob_text(out, "Usage: bruit version [options]\n\n"
                      "  Prints the version of the program and of the protocol it speaks.\n\n"
                      "Options:\n\n");
    br_flags_help(flags, flag_count, out);
}

static int print_json(void)
{
    struct br_json json = {.depth = 0};
    br_json_open(&json, '{');
    br_json_name(&json, "version");
    br_json_text(&json, br_bytes_string(BRUIT_VERSION));
    br_json_name(&json, "protocol");
    br_json_open(&json, '{');
    br_json_name(&json, "max");
    br_json_number(&json, 5);
    br_json_name(&json, "min");
    br_json_number(&json, 2);
    br_json_close(&json, '}');
    br_json_close(&json, '}');
    br_say_json(&json);
    return 0;
}

static int run(int argc, char **argv)
{
    struct options options = {.format = NULL};
    int rest;
    int code = br_parse_flags(&br_command_version, flags, flag_count, &options, argc, argv, &rest);
    if (code >= 0)
        return code;
    if (!br_check_format(options.format))
        return 1;
    if (br_wants_json())
        return print_json();
    br_say("bruit %s", BRUIT_VERSION);
    br_say("Agent Protocol: 5 (Understands back to: 2)");
    return 0;
}

const struct br_command br_command_version = {
    .name = "version",
    .synopsis = "Prints the version",
    .run = run,
    .help = help,
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
};
