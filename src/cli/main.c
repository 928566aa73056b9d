/*
 * The program: `bruit agent` and the commands that talk to one (docs/wire/serf-agent.md sections 1 and 7).
 *
 * Everything a command says goes to stdout, its errors included; help that was asked for, or that answers
 * an unknown command, goes to stderr with exit code 0 or 127: both as with Serf.
 */
#include "cli/command.h"

#include <stdio.h>

static void print_help(void)
{
    (void)fprintf(stderr,
                  "Usage: bruit [--version] [--help] <command> [<args>]\n\nAvailable commands are:\n");
    for (size_t i = 0; i < br_command_count; i++)
        if (br_commands[i]->synopsis != NULL && strchr(br_commands[i]->name, ' ') == NULL)
            (void)fprintf(stderr, "    %-15s %s\n", br_commands[i]->name, br_commands[i]->synopsis);
    (void)fprintf(stderr, "\n");
}

static const struct br_command *find(const char *name)
{
    for (size_t i = 0; i < br_command_count; i++)
        if (strcmp(br_commands[i]->name, name) == 0)
            return br_commands[i];
    return NULL;
}

/* The command that the words at *at name, of which the last one is at *at then: two name one of a group. */
static const struct br_command *find_at(int argc, char **argv, int *at)
{
    char name[64];
    const struct br_command *command = *at < argc ? find(argv[*at]) : NULL;
    if (command == NULL || *at + 1 >= argc)
        return command;
    (void)snprintf(name, sizeof name, "%s %s", argv[*at],
                   argv[*at + 1]); /* cut: there is none of that name */
    const struct br_command *member = find(name);
    *at += member != NULL;
    return member != NULL ? member : command;
}

static void tell_unknown(const char *word)
{
    unsigned best = br_word_reach(word);
    const char *near = NULL;
    for (size_t i = 0; i < br_command_count; i++)
        if (br_word_is_nearer(word, br_commands[i]->name, &best))
            near = br_commands[i]->name;
    if (near != NULL)
        (void)fprintf(stderr, "bruit: there is no command '%s': did you mean '%s'?\n\n", word, near);
    else
        (void)fprintf(stderr, "bruit: there is no command '%s'.\n\n", word);
}

static bool is_one_of(const char *word, const char *a, const char *b, const char *c)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0 || strcmp(word, c) == 0;
}

/* Whether one of the words asks for the version, or for help; nothing after "--" does. */
static bool asks_for(int argc, char **argv, const char *a, const char *b, const char *c)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (is_one_of(argv[i], a, b, c))
            return true;
    return false;
}

/* Of a key that is compared and set, for one: then the word is that flag's. */
static bool has_version_flag(const struct br_command *command)
{
    for (size_t i = 0; command != NULL && i < command->flag_count; i++)
        if (strcmp(command->flags[i].name, "version") == 0)
            return true;
    return false;
}

static int show_help(const struct br_command *command)
{
    struct br_blob help = BR_BLOB_EMPTY;
    if (command == NULL || command->help == NULL) {
        print_help();
    } else {
        command->help(&help);
        (void)fprintf(stderr, "%s", br_blob_string(&help));
    }
    br_blob_release(&help);
    return 0;
}

int main(int argc, char **argv)
{
    /* A program of its own answers, to --help and --version, too. */
    if (argc > 1 && strcmp(argv[1], br_command_sim.name) == 0)
        return br_command_sim.run(argc - 2, argv + 2);
    int at = 1;
    while (at < argc && argv[at][0] == '-')
        at++;
    bool has_flags = at > 1;
    const struct br_command *command = find_at(argc, argv, &at);
    if (!has_version_flag(command) && asks_for(argc, argv, "-v", "-version", "--version"))
        return br_command_version.run(0, NULL);
    bool is_known = command != NULL || at == argc;
    if (is_known && asks_for(argc, argv, "-h", "-help", "--help"))
        return show_help(command);
    if (command == NULL) {
        if (at < argc)
            tell_unknown(argv[at]);
        print_help();
        return 127;
    }
    if (has_flags) {
        (void)fprintf(stderr, "Invalid flags before the subcommand: write them behind \"bruit %s\".\n",
                      command->name);
        return 1;
    }
    return command->run(argc - at - 1, argv + at + 1);
}
