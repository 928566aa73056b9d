/* bruit version: ours, and that of Serf's protocol. */
#include "cli/command.h"

static void help(struct br_blob *out)
{
    br_blob_text(out, "Usage: bruit version\n\n"
                      "  Prints the version of the program and of the protocol it speaks.\n");
}

static int run(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    br_say("bruit %s", BRUIT_VERSION);
    br_say("Agent Protocol: 5 (Understands back to: 2)");
    return 0;
}

const struct br_command br_command_version = {
    .name = "version",
    .synopsis = "Prints the version",
    .run = run,
    .help = help,
};
