/*
 * bruit kv: replicated state. A group of commands, "kv get" and so on, each with its flags; this file is what is said
 * when none of them is named.
 */
#include "cli/command.h"

#include <stdio.h>

static void help(struct br_blob *out)
{
    br_blob_text(out, "Usage: bruit kv <command> [options] [arguments]\n\n"
                      "  Reads and writes keys and values that every member of the cluster that is bruit's\n"
                      "  has: anybody writes, without asking anybody, and soon all have it. What was\n"
                      "  written at the same time in two places is kept side by side until somebody who\n"
                      "  has seen both writes again.\n\n");
    br_group_help(&br_command_kv, out);
}

static int run(int argc, char **argv)
{
    return br_group_run(&br_command_kv, argc, argv);
}

const struct br_command br_command_kv = {
    .name = "kv",
    .synopsis = "Reads and writes replicated state",
    .run = run,
    .help = help,
    .words = "cas|delete|get|list|put|stat|watch",
};
