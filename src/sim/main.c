/*
 * The program bruit-sim: experiments with gossip. `bruit sim` runs it; agents carry none of it.
 */
#include "sim/tool.h"

#include <string.h>

/* In the order of the help: from the simplest question to the longest run. */
static const struct br_tool_command *const commands[] = {
    &br_tool_spread,
    &br_tool_detect,
    &br_tool_tune,
    &br_tool_aggregate,
    &br_tool_watch,
    &br_tool_run,
    &br_tool_replay,
    &br_tool_swarm,
    &br_tool_shrink,
    &br_tool_state,
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static void print_help(FILE *out)
{
    (void)fprintf(out, "Usage: bruit sim COMMAND [FLAGS]\n\n"
                       "Experiments with gossip, with an answer. The same seed gives the same answer.\n\n");
    for (size_t i = 0; i < COMMANDS; i++)
        (void)fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->synopsis);
    (void)fprintf(out, "\n\"bruit sim COMMAND --help\" says more, with examples.\n");
}

static int unknown(const char *word)
{
    const char *names[COMMANDS];
    for (size_t i = 0; i < COMMANDS; i++)
        names[i] = commands[i]->name;
    const char *nearest = br_tool_nearest(word, names, COMMANDS);
    if (nearest != NULL)
        return br_tool_fail("bruit-sim", "there is no command \"%s\": did you mean \"%s\"?", word, nearest);
    return br_tool_fail("bruit-sim", "there is no command \"%s\": see \"bruit sim --help\".", word);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return 1;
    }
    /* One dash or two, as with flags and as with bruit. */
    const char *word = argv[1][0] == '-' && argv[1][1] == '-' ? argv[1] + 1 : argv[1];
    if (strcmp(word, "-help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(word, "-version") == 0) {
        (void)printf("bruit-sim %s\n", BRUIT_VERSION);
        return 0;
    }
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i]->name) == 0)
            return commands[i]->run(argc - 2, argv + 2);
    return unknown(argv[1]);
}
