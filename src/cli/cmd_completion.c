/*
 * bruit completion: what bash, zsh and fish need to complete our words, made from the commands' own tables.
 *
 * Of a flag's value the table knows what the help calls it: "text|json" are the choices, "member" is the name of a
 * member, which the agent is asked for, "path" is a file; anything else cannot be guessed. The words behind the
 * flags are described in the same way (struct br_command). Names come from `bruit members` at the address that the
 * line names; two seconds are as long as a person waits for them.
 */
#include "cli/command.h"

#include <stdio.h>

static void write_bash(struct br_blob *out);
static void write_zsh(struct br_blob *out);
static void write_fish(struct br_blob *out);

static void help(struct br_blob *out)
{
    br_blob_text(out, "Usage: bruit completion bash|zsh|fish\n\n"
                      "  Prints a script that teaches a shell to complete the commands, flags and values\n"
                      "  of bruit, the names of members among them. To try it:\n\n"
                      "    bash:  source <(bruit completion bash)\n"
                      "    zsh:   source <(bruit completion zsh)      after compinit\n"
                      "    fish:  bruit completion fish | source\n");
}

static int run(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*write)(struct br_blob *out);
    } shells[] = {{"bash", write_bash}, {"zsh", write_zsh}, {"fish", write_fish}};
    int rest;
    int code = br_parse_flags(&br_command_completion, NULL, 0, NULL, argc, argv, &rest);
    if (code >= 0)
        return code;
    if (argc - rest != 1)
        return br_misused(&br_command_completion, "One shell must be specified: bash, zsh or fish.");
    for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++) {
        struct br_blob out = BR_BLOB_EMPTY;
        if (strcmp(argv[rest], shells[i].name) != 0)
            continue;
        shells[i].write(&out);
        code = out.failed || fwrite(out.data, 1, out.size, stdout) != out.size;
        br_blob_release(&out);
        return code;
    }
    return br_error("There is no completion for \"%s\": bash, zsh and fish are what is known.", argv[rest]);
}

const struct br_command br_command_completion = {
    .name = "completion",
    .synopsis = "Prints what a shell needs to complete bruit's words",
    .run = run,
    .help = help,
    .words = "bash|zsh|fish",
};

/* ------------------------------------------------------------------ what the tables say */

static bool is_switch(const struct br_flag *flag)
{
    return flag->kind == BR_FLAG_SWITCH;
}

static bool is_member(const char *argument)
{
    return argument != NULL && strcmp(argument, "member") == 0;
}

static bool is_path(const char *argument)
{
    return argument != NULL && strcmp(argument, "path") == 0;
}

static bool has_choices(const char *argument)
{
    return argument != NULL && strchr(argument, '|') != NULL;
}

/* "text|json" with blanks between. */
static void write_choices(struct br_blob *out, const char *argument)
{
    for (; *argument != 0; argument++)
        br_blob_add(out, br_bytes(*argument == '|' ? " " : argument, 1));
}

/* The first sentence of a help text, without its dot; each character gets in front what `escape` says. */
static void write_summary(struct br_blob *out, const char *text, const char *(*escape)(char character))
{
    const char *end = strstr(text, ". ");
    size_t size = end == NULL ? strlen(text) : (size_t)(end - text);
    size -= size > 0 && text[size - 1] == '.';
    for (size_t i = 0; i < size; i++) {
        br_blob_text(out, escape(text[i]));
        br_blob_add(out, br_bytes(text + i, 1));
    }
}

static bool is_of_group(const struct br_command *command)
{
    return strchr(command->name, ' ') != NULL;
}

/* The names of the groups, each once: those of the commands that others are part of. */
static void write_groups(struct br_blob *out, const char *between)
{
    bool is_first = true;
    for (size_t i = 0; i + 1 < br_command_count; i++) {
        if (!br_is_in_group(br_commands[i + 1], br_commands[i]->name))
            continue;
        br_blob_printf(out, "%s%s", is_first ? "" : between, br_commands[i]->name);
        is_first = false;
    }
}

/* Calls `write` for each flag of each command that is listed. */
static void each_flag(struct br_blob *out,
                      void (*write)(struct br_blob *, const struct br_command *, const struct br_flag *))
{
    struct br_flag found[BR_COMMAND_FLAGS_MAX];
    for (size_t i = 0; i < br_command_count; i++) {
        const struct br_command *command = br_commands[i];
        size_t count = command->synopsis == NULL ? 0 : br_command_flags(command, found);
        for (size_t j = 0; j < count; j++)
            write(out, command, &found[j]);
    }
}

/* ------------------------------------------------------------------ bash */

/* bash cuts words at '=' and ':' (COMP_WORDBREAKS): they are put together first, and what it offers begins where bash
 * thinks that the word begins. Written for bash 4.0, which has no negative indices. */
static const char bash_head[] =
    "# bash completion of bruit, made by \"bruit completion bash\".\n"
    "\n"
    "# What may stand as the value of $1:FLAG, or behind the flags ($1:): into kind.\n"
    "_bruit_kind()\n"
    "{\n"
    "    kind=\n"
    "    case $1 in\n";

static const char bash_members[] =
    "    esac\n"
    "}\n"
    "\n"
    "# The names of the members that the agent knows which the line names.\n"
    "_bruit_members()\n"
    "{\n"
    "    local i rows where=()\n"
    "    for ((i = 1; i < ${#words[@]}; i++)); do\n"
    "        case ${words[i]} in\n"
    "        -rpc-addr | --rpc-addr | -rpc-auth | --rpc-auth) where+=(\"${words[i]}=${words[i + 1]}\") ;;\n"
    "        -rpc-addr=* | --rpc-addr=* | -rpc-auth=* | --rpc-auth=*) where+=(\"${words[i]}\") ;;\n"
    "        esac\n"
    "    done\n"
    "    rows=$(timeout 2 \"${words[0]}\" members \"${where[@]}\" 2>/dev/null) || return\n"
    "    sed 's/  .*//' <<<\"$rows\"\n"
    "}\n"
    "\n"
    "# Sets COMPREPLY to the lines of stdin that begin with $value. What stands before the last place where bash cuts\n"
    "# is there already.\n"
    "_bruit_offer()\n"
    "{\n"
    "    local line skip= breaks=${COMP_WORDBREAKS//[^=:]/}\n"
    "    [[ -z $breaks ]] || skip=${cur%\"${cur##*[$breaks]}\"}\n"
    "    while IFS= read -r line; do\n"
    "        [[ -z $line || $line != \"$value\"* ]] || { line=$prefix$line; COMPREPLY+=(\"${line#\"$skip\"}\"); }\n"
    "    done\n"
    "}\n"
    "\n";

static const char bash_main[] =
    "    esac\n"
    "}\n"
    "\n"
    "_bruit()\n"
    "{\n"
    "    local IFS=$' \\t\\n' i word glue= words=() last=-1 cur prev command= flag= value= prefix= kind=\n"
    "    COMPREPLY=()\n"
    "    for ((i = 0; i <= COMP_CWORD; i++)); do\n"
    "        word=${COMP_WORDS[i]}\n"
    "        if ((last > 0)) && [[ $glue || $word == [=:]* ]]; then\n"
    "            words[last]+=$word\n"
    "        else\n"
    "            words[++last]=$word\n"
    "        fi\n"
    "        glue=\n"
    "        [[ $word != *[=:] ]] || glue=yes\n"
    "    done\n"
    "    cur=${words[last]} prev=\n"
    "    for ((i = 1; i < last; i++)); do\n"
    "        [[ ${words[i]} != -* ]] || continue\n"
    "        [[ -z $command ]] || _bruit_is_group \"$command\" || break\n"
    "        command+=${command:+ }${words[i]}\n"
    "    done\n"
    "    ((last < 2)) || prev=${words[last - 1]}\n"
    "    value=$cur\n"
    "    if [[ -z $command ]]; then\n"
    "        if [[ $cur == -* ]]; then\n"
    "            _bruit_offer <<<$'-help\\n-version'\n"
    "        else\n"
    "            _bruit_offer <<<\"$(_bruit_flags)\"\n"
    "        fi\n"
    "        return\n"
    "    fi\n"
    "    if [[ $cur == -*=* ]]; then\n"
    "        flag=${cur%%=*} value=${cur#*=} prefix=${cur%%=*}=\n"
    "    elif [[ $prev == -* && $prev != *=* ]]; then\n"
    "        flag=$prev\n"
    "    fi\n"
    "    flag=${flag#-}\n"
    "    [[ -z $flag ]] || _bruit_kind \"$command:${flag#-}\"\n"
    "    if [[ -z $kind && $cur == --* ]]; then\n"
    "        _bruit_offer <<<\"$(_bruit_flags \"$command\" | sed 's/^/-/')\"\n"
    "        return\n"
    "    elif [[ -z $kind && $cur == -* ]]; then\n"
    "        _bruit_offer <<<\"$(_bruit_flags \"$command\")\"\n"
    "        return\n"
    "    fi\n"
    "    [[ -n $kind ]] || _bruit_kind \"$command:\"\n"
    "    case $kind in\n"
    "    member) _bruit_offer <<<\"$(_bruit_members)\" ;;\n"
    "    path)\n"
    "        compopt -o filenames 2>/dev/null\n"
    "        _bruit_offer <<<\"$(compgen -f -- \"$value\")\"\n"
    "        ;;\n"
    "    *' '*) _bruit_offer <<<\"${kind// /$'\\n'}\" ;;\n"
    "    esac\n"
    "}\n"
    "\n"
    "complete -F _bruit bruit\n";

static void write_bash_kind(struct br_blob *out, const char *argument)
{
    br_blob_text(out, " kind=");
    if (has_choices(argument)) {
        br_blob_text(out, "'");
        write_choices(out, argument);
        br_blob_text(out, "'");
    } else {
        br_blob_text(out, is_member(argument) || is_path(argument) ? argument : "anything");
    }
    br_blob_text(out, " ;;\n");
}

static void write_bash_value(struct br_blob *out, const struct br_command *command,
                             const struct br_flag *flag)
{
    if (is_switch(flag))
        return;
    br_blob_printf(out, "    '%s:%s')", command->name, flag->name);
    write_bash_kind(out, flag->argument);
}

static void write_bash(struct br_blob *out)
{
    struct br_flag found[BR_COMMAND_FLAGS_MAX];
    struct br_blob names = BR_BLOB_EMPTY, lists = BR_BLOB_EMPTY;
    br_blob_text(out, bash_head);
    each_flag(out, write_bash_value);
    for (size_t i = 0; i < br_command_count; i++) {
        const struct br_command *command = br_commands[i];
        if (command->synopsis == NULL)
            continue;
        if (command->words != NULL) {
            br_blob_printf(out, "    '%s:')", command->name);
            write_bash_kind(out, command->words);
        }
        size_t count = br_command_flags(command, found);
        if (!is_of_group(command))
            br_blob_printf(&names, " %s", command->name);
        br_blob_printf(&lists, "    '%s') printf '%%s\\n' -help", command->name);
        for (size_t j = 0; j < count; j++)
            br_blob_printf(&lists, " -%s", found[j].name);
        br_blob_text(&lists, " ;;\n");
    }
    br_blob_text(out, bash_members);
    br_blob_text(out, "_bruit_is_group()\n{\n    [[ $1 == @(");
    write_groups(out, "|");
    br_blob_text(out, ") ]]\n}\n\n_bruit_flags()\n{\n    case $1 in\n");
    br_blob_printf(out, "    '') printf '%%s\\n'%s ;;\n", br_blob_string(&names));
    br_blob_add(out, br_blob_bytes(&lists));
    br_blob_text(out, bash_main);
    br_blob_release(&names);
    br_blob_release(&lists);
}

/* ------------------------------------------------------------------ zsh */

/* _arguments knows one way of writing a flag: the line is given the number of dashes that the word at the cursor
 * has. */
static const char zsh_head[] =
    "#compdef bruit\n"
    "# zsh completion of bruit, made by \"bruit completion zsh\".\n"
    "\n"
    "_bruit_members() {\n"
    "    local rows i\n"
    "    local -a where names\n"
    "    for ((i = 2; i <= $#words; i++)); do\n"
    "        case $words[i] in\n"
    "        (-rpc-addr|--rpc-addr|-rpc-auth|--rpc-auth) where+=(\"$words[i]=$words[i+1]\") ;;\n"
    "        (-rpc-addr=*|--rpc-addr=*|-rpc-auth=*|--rpc-auth=*) where+=(\"$words[i]\") ;;\n"
    "        esac\n"
    "    done\n"
    "    rows=$(timeout 2 $program members $where 2>/dev/null) || return 1\n"
    "    names=(${${(f)rows}%%  *})\n"
    "    compadd -- $names\n"
    "}\n"
    "\n"
    "_bruit() {\n"
    "    local curcontext=$curcontext context state state_descr line program=$words[1] d=- i\n"
    "    typeset -A opt_args\n"
    "    local -a commands\n";

static const char zsh_main[] =
    "    )\n"
    "    _arguments -C '(- *)-help[Show what there is]' '(- *)-version[Print the version]' \\\n"
    "        '1:command:->command' '*::argument:->argument' && return\n"
    "    if [[ $state == command ]]; then\n"
    "        _describe command commands\n"
    "        return\n"
    "    fi\n"
    "    if [[ $words[1] == (${~groups}) && $CURRENT -gt 2 ]]; then\n"
    "        words=(\"$words[1] $words[2]\" ${words[3,-1]})\n"
    "        ((CURRENT--))\n"
    "    fi\n"
    "    [[ $PREFIX == --* ]] && d=--\n"
    "    for ((i = 2; i <= $#words; i++)); do\n"
    "        [[ $words[i] == -?* ]] && words[i]=$d${${words[i]#-}#-}\n"
    "    done\n"
    "    case $words[1] in\n";

static const char zsh_tail[] = "    esac\n"
                               "}\n"
                               "\n"
                               "if [[ $funcstack[1] == _bruit ]]; then\n"
                               "    _bruit \"$@\"\n"
                               "else\n"
                               "    compdef _bruit bruit\n"
                               "fi\n";

/* Within single quotes, as part of what _arguments takes apart. */
static const char *zsh_escape(char character)
{
    return character == '\'' ? "'\\'" : strchr("[]:\\", character) != NULL ? "\\" : "";
}

/* ":message:action" of a value. */
static void write_zsh_action(struct br_blob *out, const char *argument)
{
    const char *message = argument == NULL ? "value" : has_choices(argument) ? "value" : argument;
    br_blob_text(out, ":");
    write_summary(out, message, zsh_escape);
    br_blob_text(out, ":");
    if (has_choices(argument)) {
        br_blob_text(out, "(");
        write_choices(out, argument);
        br_blob_text(out, ")");
    } else if (is_member(argument)) {
        br_blob_text(out, "_bruit_members");
    } else if (is_path(argument)) {
        br_blob_text(out, "_files");
    } else {
        br_blob_text(out, " ");
    }
}

static void write_zsh_flag(struct br_blob *out, const struct br_flag *flag)
{
    br_blob_printf(out, " \\\n            %s$d'%s%s[", flag->kind == BR_FLAG_LIST ? "'*'" : "", flag->name,
                   is_switch(flag) ? "" : "=");
    write_summary(out, flag->help, zsh_escape);
    br_blob_text(out, "]");
    if (!is_switch(flag))
        write_zsh_action(out, flag->argument);
    br_blob_text(out, "'");
}

static void write_zsh(struct br_blob *out)
{
    struct br_flag found[BR_COMMAND_FLAGS_MAX];
    br_blob_text(out, zsh_head);
    br_blob_text(out, "    local groups='");
    write_groups(out, "|");
    br_blob_text(out, "'\n    commands=(\n");
    for (size_t i = 0; i < br_command_count; i++) {
        if (br_commands[i]->synopsis == NULL || is_of_group(br_commands[i]))
            continue;
        br_blob_printf(out, "        '%s:", br_commands[i]->name);
        write_summary(out, br_commands[i]->synopsis, zsh_escape);
        br_blob_text(out, "'\n");
    }
    br_blob_text(out, zsh_main);
    for (size_t i = 0; i < br_command_count; i++) {
        const struct br_command *command = br_commands[i];
        if (command->synopsis == NULL)
            continue;
        size_t count = br_command_flags(command, found);
        br_blob_printf(out, "    (\"%s\")\n        _arguments $d'help[Show the usage]'", command->name);
        for (size_t j = 0; j < count; j++)
            write_zsh_flag(out, &found[j]);
        /* Nothing about words that nobody can guess: a message about them would keep flags from being offered. */
        if (command->words != NULL) {
            br_blob_text(out, " \\\n            '*");
            write_zsh_action(out, command->words);
            br_blob_text(out, "'");
        }
        br_blob_text(out, "\n        ;;\n");
    }
    br_blob_text(out, zsh_tail);
}

/* ------------------------------------------------------------------ fish */

static const char fish_head[] =
    "# fish completion of bruit, made by \"bruit completion fish\".\n"
    "\n"
    "# Whether $argv is the command of the line; '' when there is none yet. Of a group it has two words.\n"
    "function __bruit_is\n"
    "    set -l words (commandline -opc)\n"
    "    set -l command\n"
    "    set -e words[1]\n"
    "    for word in $words\n"
    "        if not string match -q -- '-*' $word\n"
    "            set command $command $word\n"
    "            contains -- \"$command\" $__bruit_groups\n"
    "            or break\n"
    "        end\n"
    "    end\n"
    "    test \"$command\" = \"$argv\"\n"
    "end\n"
    "\n"
    "function __bruit_members\n"
    "    set -l words (commandline -opc)\n"
    "    set -l where\n"
    "    set -l awaited\n"
    "    for word in $words\n"
    "        if test -n \"$awaited\"\n"
    "            set where $where $awaited=$word\n"
    "            set awaited\n"
    "        else if contains -- $word -rpc-addr --rpc-addr -rpc-auth --rpc-auth\n"
    "            set awaited $word\n"
    "        else if string match -qr -- '^--?rpc-(addr|auth)=' $word\n"
    "            set where $where $word\n"
    "        end\n"
    "    end\n"
    "    set -l rows (timeout 2 $words[1] members $where 2>/dev/null)\n"
    "    or return\n"
    "    string replace -r '  .*' '' -- $rows\n"
    "end\n"
    "\n"
    "complete -c bruit -f\n"
    "complete -c bruit -n '__bruit_is \"\"' -o help -l help -d 'Show what there is'\n"
    "complete -c bruit -n '__bruit_is \"\"' -o version -l version -d 'Print the version'\n";

static const char *fish_escape(char character)
{
    return character == '\'' || character == '\\' ? "\\" : "";
}

static void write_fish_summary(struct br_blob *out, const char *text)
{
    br_blob_text(out, " -d '");
    write_summary(out, text, fish_escape);
    br_blob_text(out, "'\n");
}

/* The values of a flag, or the words of a command. */
static void write_fish_values(struct br_blob *out, const char *argument)
{
    if (is_member(argument)) {
        br_blob_text(out, " -a '(__bruit_members)'");
    } else if (has_choices(argument)) {
        br_blob_text(out, " -a '");
        write_choices(out, argument);
        br_blob_text(out, "'");
    }
}

static void write_fish_flag(struct br_blob *out, const struct br_command *command, const struct br_flag *flag)
{
    br_blob_printf(out, "complete -c bruit -n '__bruit_is %s' -o %s -l %s", command->name, flag->name,
                   flag->name);
    if (!is_switch(flag)) {
        br_blob_text(out, is_path(flag->argument) ? " -r -F" : " -x");
        write_fish_values(out, flag->argument);
    }
    write_fish_summary(out, flag->help);
}

static void write_fish(struct br_blob *out)
{
    br_blob_text(out, fish_head);
    br_blob_text(out, "set -g __bruit_groups ");
    write_groups(out, " ");
    br_blob_text(out, "\n");
    for (size_t i = 0; i < br_command_count; i++) {
        const struct br_command *command = br_commands[i];
        if (command->synopsis == NULL)
            continue;
        if (!is_of_group(command)) {
            br_blob_printf(out, "complete -c bruit -n '__bruit_is \"\"' -a %s", command->name);
            write_fish_summary(out, command->synopsis);
        }
        br_blob_printf(out, "complete -c bruit -n '__bruit_is %s' -o help -l help -d 'Show the usage'\n",
                       command->name);
        if (command->words == NULL)
            continue;
        br_blob_printf(out, "complete -c bruit -n '__bruit_is %s'", command->name);
        write_fish_values(out, command->words);
        br_blob_text(out, "\n");
    }
    each_flag(out, write_fish_flag);
}
