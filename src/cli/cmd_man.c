/*
 * bruit man: the manual page, made of the usages and flag tables of all commands. Not listed among the commands: the
 * build calls it, and packages install what it prints.
 *
 * Of a usage it takes what stands before "Options:": a first line, the synopsis, and paragraphs indented by two
 * blanks; lines indented by more are examples and stay as they are.
 */
#include "cli/command.h"

#include <stdio.h>

static void help(struct br_blob *out)
{
    br_blob_text(out, "Usage: bruit man\n\n"
                      "  Prints the manual page of bruit, for man(1).\n");
}

static void write_page(struct br_blob *out);

static int run(int argc, char **argv)
{
    struct br_blob out = BR_BLOB_EMPTY;
    int rest;
    int code = br_parse_flags(&br_command_man, NULL, 0, NULL, argc, argv, &rest);
    if (code >= 0)
        return code;
    write_page(&out);
    code = out.failed || fwrite(out.data, 1, out.size, stdout) != out.size;
    br_blob_release(&out);
    return code;
}

const struct br_command br_command_man = {
    .name = "man",
    .run = run,
    .help = help,
};

/* ------------------------------------------------------------------ roff */

/* Text as it is: a dash is a dash that can be searched for, and nothing is taken for a request. */
static void write_text(struct br_blob *out, struct bruit_bytes text)
{
    if (text.size > 0 && (text.data[0] == '.' || text.data[0] == '\''))
        br_blob_text(out, "\\&");
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '-')
            br_blob_text(out, "\\-");
        else if (text.data[i] == '\\')
            br_blob_text(out, "\\e");
        else
            br_blob_add(out, br_bytes(text.data + i, 1));
    }
}

static void write_string(struct br_blob *out, const char *text)
{
    write_text(out, br_bytes_string(text));
}

static bool begins_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* ------------------------------------------------------------------ a command */

/* The paragraphs of a usage. Returns nothing of it twice: `text` is behind the synopsis. */
static void write_paragraphs(struct br_blob *out, const char *text)
{
    bool is_example = false, is_first = true, was_empty = true;
    while (*text != 0 && !begins_with(text, "Options:")) {
        size_t size = strcspn(text, "\n"), indent = strspn(text, " ");
        bool is_deep = indent > 2 && indent < size;
        if (size == 0) {
            was_empty = true;
        } else {
            if (is_deep != is_example)
                br_blob_text(out, is_deep ? ".PP\n.nf\n" : ".fi\n");
            if (was_empty && !is_first && !is_deep)
                br_blob_text(out, ".PP\n");
            write_text(out, br_bytes(text + (is_deep ? 2 : indent), size - (is_deep ? 2 : indent)));
            br_blob_text(out, "\n");
            is_example = is_deep;
            is_first = was_empty = false;
        }
        text += size + (text[size] == '\n');
    }
    if (is_example)
        br_blob_text(out, ".fi\n");
}

static void write_flag(struct br_blob *out, const struct br_flag *flag)
{
    br_blob_text(out, ".TP\n\\fB\\-");
    write_string(out, flag->name);
    br_blob_text(out, "\\fR");
    if (flag->argument != NULL) {
        br_blob_text(out, "=\\fI");
        write_string(out, flag->argument);
        br_blob_text(out, "\\fR");
    }
    br_blob_text(out, "\n");
    write_string(out, flag->help);
    br_blob_text(out, "\n");
}

static void write_command(struct br_blob *out, const struct br_command *command)
{
    struct br_flag flags[BR_COMMAND_FLAGS_MAX];
    struct br_blob usage = BR_BLOB_EMPTY;
    size_t count = br_command_flags(command, flags);
    command->help(&usage);
    const char *text = br_blob_string(&usage);
    text += begins_with(text, "Usage: ") ? strlen("Usage: ") : 0;
    size_t size = strcspn(text, "\n");
    br_blob_text(out, ".SS \"");
    write_text(out, br_bytes(text, size));
    br_blob_text(out, "\"\n");
    write_paragraphs(out, text + size);
    for (size_t i = 0; i < count; i++)
        write_flag(out, &flags[i]);
    br_blob_release(&usage);
}

/* ------------------------------------------------------------------ the page */

static const char page_head[] =
    ".\\\" Made by \"bruit man\" from the tables of the commands; do not edit.\n"
    ".TH BRUIT 1 \"\" \"bruit " BRUIT_VERSION "\" \"User Commands\"\n"
    ".SH NAME\n"
    "bruit \\- cluster membership, failure detection, events and queries by gossip\n"
    ".SH SYNOPSIS\n"
    ".B bruit\n"
    ".RB [ \\-\\-version ]\n"
    ".RB [ \\-\\-help ]\n"
    ".I command\n"
    ".RI [ arguments ]\n"
    ".SH DESCRIPTION\n"
    "\\fBbruit agent\\fR runs one member of a cluster. Its members find each other, notice who fails, and pass on\n"
    "events and queries, without a server in the middle. The other commands talk to a running agent. Agents and\n"
    "commands may be those of Serf on either side: flags, configuration files, output and exit codes are the same.\n"
    ".PP\n"
    "Flags take one dash or two, and their value behind \\(lq=\\(rq or as the next word. They stand before all other\n"
    "words of a command.\n"
    ".PP\n"
    "With \\fB\\-format=json\\fR a command prints one JSON object (\\fBmonitor\\fR one a line). If it fails, the\n"
    "object has a text \\(lqerror\\(rq, and the exit code is 1.\n"
    ".SH COMMANDS\n";

static const char page_tail[] =
    ".SH ENVIRONMENT\n"
    ".TP\n"
    ".BR SERF_RPC_ADDR \", \" BRUIT_RPC_ADDR\n"
    "Where the agent listens, when \\fB\\-rpc\\-addr\\fR does not say it.\n"
    ".TP\n"
    ".B SERF_RPC_AUTH\n"
    "The agent's token, when \\fB\\-rpc\\-auth\\fR does not say it.\n"
    ".SH EXIT STATUS\n"
    ".TP\n"
    ".B 0\n"
    "What was asked for was done.\n"
    ".TP\n"
    ".B 1\n"
    "It was not, and a sentence on standard output says why.\n"
    ".TP\n"
    ".B 127\n"
    "There is no such command.\n"
    ".SH EXAMPLES\n"
    "Three members on one machine, and a script that goes on when they have found each other:\n"
    ".PP\n"
    ".nf\n"
    "bruit agent \\-node=a \\-bind=127.0.0.1:7946 &\n"
    "bruit agent \\-node=b \\-bind=127.0.0.1:7947 \\-rpc\\-addr=127.0.0.1:7374 \\-join=127.0.0.1:7946 &\n"
    "bruit agent \\-node=c \\-bind=127.0.0.1:7948 \\-rpc\\-addr=127.0.0.1:7375 \\-join=127.0.0.1:7946 &\n"
    "bruit wait \\-members=3 \\-converged && bruit event deploy v2\n"
    ".fi\n";

static void write_page(struct br_blob *out)
{
    br_blob_text(out, page_head);
    for (size_t i = 0; i < br_command_count; i++)
        if (br_commands[i]->synopsis != NULL)
            write_command(out, br_commands[i]);
    br_blob_text(out, page_tail);
}
