/* bruit agent: the door to the other half of the program. */
#include "cli/command.h"

#include "agent/agent.h"

static void help(struct br_blob *out)
{
    br_options_help(out);
}

const struct br_command br_command_agent = {
    .name = "agent",
    .synopsis = "Runs an agent",
    .run = br_agent_main,
    .help = help,
};
