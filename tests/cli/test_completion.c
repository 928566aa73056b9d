/*
 * The completions and the manual page, in the hands of those who read them: bash, zsh, fish and groff themselves.
 * One that is not installed is skipped, and said so.
 *
 * Member names come from a program `bruit` that the test puts in place of ours: it notes what it was asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/command.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/bruit-completion-XXXXXX";

static char *path_of(const char *name, char out[128])
{
    snprintf(out, 128, "%s/%s", folder, name);
    return out;
}

/* What a command prints, into a file of the folder. */
static void print_into(const char *name, const struct br_command *command, int argc, char **argv)
{
    char path[128];
    int saved = dup(STDOUT_FILENO), file = open(path_of(name, path), O_CREAT | O_TRUNC | O_WRONLY, 0600);
    fflush(stdout);
    assert_true(file >= 0 && dup2(file, STDOUT_FILENO) >= 0);
    int code = command->run(argc, argv);
    fflush(stdout);
    assert_true(dup2(saved, STDOUT_FILENO) >= 0);
    close(saved);
    close(file);
    assert_int_equal(code, 0);
}

static int setup(void **state)
{
    static const char program[] = "#!/bin/sh\n"
                                  "echo \"$@\" >\"$0.asked\"\n"
                                  "echo 'web-1  127.0.0.1:7946  alive  role=web'\n"
                                  "echo 'web 2  127.0.0.2:7946  left'\n"
                                  "echo 'db:1   127.0.0.3:7946  failed'\n";
    char path[128];
    (void)state;
    assert_non_null(mkdtemp(folder));
    FILE *file = fopen(path_of("bruit", path), "w");
    assert_non_null(file);
    assert_true(fputs(program, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0700), 0);
    print_into("bash", &br_command_completion, 1, (char *[]){"bash", NULL});
    print_into("_bruit", &br_command_completion, 1, (char *[]){"zsh", NULL});
    print_into("fish", &br_command_completion, 1, (char *[]){"fish", NULL});
    print_into("bruit.1", &br_command_man, 0, (char *[]){NULL});
    return 0;
}

static int teardown(void **state)
{
    char line[160];
    (void)state;
    snprintf(line, sizeof line, "rm -rf '%s'", folder);
    return system(line);
}

/* What a line of shell prints, its errors included. */
static const char *output_of(const char *line)
{
    static char output[65536];
    FILE *pipe = popen(line, "r");
    assert_non_null(pipe);
    size_t size = fread(output, 1, sizeof output - 1, pipe);
    output[size] = 0;
    (void)pclose(pipe);
    return output;
}

static bool has(const char *program)
{
    char line[64];
    snprintf(line, sizeof line, "command -v %s >/dev/null", program);
    bool is_there = system(line) == 0;
    if (!is_there)
        print_message("[          ] %s is not installed: skipped\n", program);
    return is_there;
}

/* ------------------------------------------------------------------ bash */

/*
 * Asks bash as it asks itself: the words as it cuts them, the last one being completed. Words are given with blanks
 * between, an empty last one as "".
 */
static const char *bash_offers(const char *words)
{
    char line[1024];
    snprintf(line, sizeof line,
             "bash --norc -c 'source %s/bash; COMP_WORDBREAKS=\"=: \"; COMP_WORDS=(%s); "
             "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _bruit; echo \"${COMPREPLY[*]}\"' 2>&1",
             folder, words);
    return output_of(line);
}

static void expect_offers(const char *words, const char *offers)
{
    const char *got = bash_offers(words);
    if (strcmp(got, offers) != 0)
        fail_msg("for %s bash offers\n%sinstead of\n%s", words, got, offers);
}

static void test_bash_completes_commands_and_flags(void **state)
{
    (void)state;
    if (!has("bash"))
        skip();
    expect_offers("bruit me", "members\n");
    expect_offers("bruit lea", "leave\n");
    expect_offers("bruit -v", "-version\n");
    expect_offers("bruit members -d", "-detailed\n");
    expect_offers("bruit members --de", "--detailed\n");
    expect_offers("bruit wait -members 3 -c", "-converged\n");
    expect_offers("bruit members -detailed -na", "-name\n");
    expect_offers("bruit agent -enc", "-encrypt\n");
    expect_offers("bruit nothing -", "\n");
    assert_null(strstr(bash_offers("bruit \"\""), "man")); /* for the build alone */
    assert_non_null(strstr(bash_offers("bruit \"\""), "agent agg completion event force-leave "));
}

/* A group is a word, and what is in it the next; only then come flags. Others have no second word. */
static void test_bash_completes_groups(void **state)
{
    (void)state;
    if (!has("bash"))
        skip();
    expect_offers("bruit k", "keygen keys kv\n");
    expect_offers("bruit kv \"\"", "cas delete get list put stat watch\n");
    expect_offers("bruit kv w", "watch\n");
    expect_offers("bruit kv get -al", "-all\n");
    expect_offers("bruit kv get --al", "--all\n");
    expect_offers("bruit kv put -t", "-timeout -ttl\n");
    expect_offers("bruit kv list -format = j", "json\n");
    expect_offers("bruit kv -", "-help\n");
    expect_offers("bruit members kv -nam", "-name\n");
}

/* After a blank or after '=', which bash takes for a word of its own; a switch takes no value. */
static void test_bash_completes_values(void **state)
{
    (void)state;
    if (!has("bash"))
        skip();
    expect_offers("bruit members -format \"\"", "text json\n");
    expect_offers("bruit members --format j", "json\n");
    expect_offers("bruit members -format =", "text json\n");
    expect_offers("bruit members -format = j", "json\n");
    expect_offers("bruit agent -profile = l", "lan local\n");
    expect_offers("bruit agent -log-level w", "warn\n");
    expect_offers("bruit monitor -log-level = \"\"", "trace debug info warn err\n");
    expect_offers("bruit wait -node x -status fa", "failed\n");
    expect_offers("bruit completion \"\"", "bash zsh fish\n");
    expect_offers("bruit agent -node \"\"", "\n");
    char words[200];
    snprintf(words, sizeof words, "bruit agent -config-file %s/bru", folder);
    assert_non_null(strstr(bash_offers(words), "/bruit.1"));
}

/* The agent that the line names is asked, with the token that it gives. */
static void test_bash_completes_members(void **state)
{
    char words[512];
    (void)state;
    if (!has("bash"))
        skip();
    snprintf(words, sizeof words, "%s/bruit force-leave -rpc-addr = 127.0.0.9 : 7000 -rpc-auth t web-",
             folder);
    expect_offers(words, "web-1\n");
    snprintf(words, sizeof words, "cat %s/bruit.asked", folder);
    assert_string_equal(output_of(words), "members -rpc-addr=127.0.0.9:7000 -rpc-auth=t\n");
    snprintf(words, sizeof words, "%s/bruit query -node \"\"", folder);
    expect_offers(words, "web-1 web 2 db:1\n");
    snprintf(words, sizeof words, "%s/bruit query --node = d", folder);
    expect_offers(words, "db:1\n");
    snprintf(words, sizeof words, "%s/bruit rtt db : \"\"", folder);
    expect_offers(words, "1\n"); /* bash has cut at the colon, and adds to what follows it */
    snprintf(words, sizeof words, "%s/bruit rtt web-1 d", folder);
    expect_offers(words, "db:1\n");
}

/* Without an agent there are no names, and no error message among them. */
static void test_bash_offers_no_errors(void **state)
{
    (void)state;
    if (!has("bash"))
        skip();
    expect_offers("/bin/false force-leave \"\"", "\n");
}

/* ------------------------------------------------------------------ zsh */

/*
 * zsh completes only at a terminal: one is made for it (zpty), words and a Tab are typed into it, and then a key that
 * writes down what has become of the line.
 */
static void expect_zsh(const char *typed, const char *line)
{
    static const char script[] =
        "zmodload zsh/zpty\n"
        "zpty z zsh -f -i\n"
        "zpty -w z \"PATH=$PWD:\\$PATH fpath=($PWD \\$fpath); autoload -U compinit; compinit -u -D\n"
        "    note() { print -r -- \\$BUFFER >line; exit }; zle -N note; bindkey '^Xn' note; print rea''dy\"\n"
        "zpty -r -m z seen '*ready*'\n"
        "zpty -w -n z \"$1\"$'\\t\\Cxn'\n"
        "while zpty -r z seen; do :; done\n"
        "cat line\n";
    char path[128], command[512];
    FILE *file = fopen(path_of("drive", path), "w");
    assert_non_null(file);
    assert_true(fputs(script, file) >= 0);
    assert_int_equal(fclose(file), 0);
    snprintf(command, sizeof command, "cd %s && timeout 60 zsh -f drive '%s' 2>&1", folder, typed);
    const char *got = output_of(command);
    if (strncmp(got, line, strlen(line)) != 0 || strcspn(got, "\n") > strlen(line) + 1)
        fail_msg("zsh makes\n%sof '%s', not\n%s", got, typed, line);
}

static void test_zsh_completes(void **state)
{
    (void)state;
    if (!has("zsh"))
        skip();
    expect_zsh("bruit memb", "bruit members");
    expect_zsh("bruit members -det", "bruit members -detailed");
    expect_zsh("bruit members --det", "bruit members --detailed");
    expect_zsh("bruit members -format=j", "bruit members -format=json");
    expect_zsh("bruit wait -members 3 -status f", "bruit wait -members 3 -status failed");
    expect_zsh("bruit wait --members 3 -status f", "bruit wait --members 3 -status failed");
    expect_zsh("bruit agent -profile w", "bruit agent -profile wan");
    expect_zsh("bruit force-leave -rpc-auth x web-", "bruit force-leave -rpc-auth x web-1");
    expect_zsh("bruit force-leave -pr", "bruit force-leave -prune");
    expect_zsh("bruit query -node d", "bruit query -node db:1");
    expect_zsh("bruit completion f", "bruit completion fish");
    expect_zsh("bruit kv wa", "bruit kv watch");
    expect_zsh("bruit kv get -al", "bruit kv get -all");
    expect_zsh("bruit kv put --tt", "bruit kv put --ttl=");
    expect_zsh("bruit kv get -format=j", "bruit kv get -format=json");
    expect_zsh("bruit kv put -owner d", "bruit kv put -owner db:1");
    expect_zsh("bruit agent -config-file drv", "bruit agent -config-file drv");
    expect_zsh("bruit agent -config-file dri", "bruit agent -config-file drive");
}

/* ------------------------------------------------------------------ fish */

static void expect_fish(const char *typed, const char *offers)
{
    char line[1024];
    snprintf(
        line, sizeof line,
        "cd %s && PATH=$PWD:$PATH fish --no-config -c 'source fish; complete -C \"%s\" | string replace -r "
        "\"\\t.*\" \"\"' 2>&1",
        folder, typed);
    const char *got = output_of(line);
    if (strcmp(got, offers) != 0)
        fail_msg("for '%s' fish offers\n%sinstead of\n%s", typed, got, offers);
}

static void test_fish_completes(void **state)
{
    (void)state;
    if (!has("fish"))
        skip();
    expect_fish("bruit memb", "members\n");
    expect_fish("bruit members -det", "-detailed\n");
    expect_fish("bruit members --det", "--detailed\n");
    expect_fish("bruit members -format=", "-format=json\n-format=text\n");
    expect_fish("bruit members -format j", "json\n");
    expect_fish("bruit wait -members 3 -status f", "failed\n");
    expect_fish("bruit force-leave web-", "web-1\n");
    expect_fish("bruit k", "keygen\nkeys\nkv\n");
    expect_fish("bruit kv wa", "watch\n");
    expect_fish("bruit kv get -al", "-all\n");
    expect_fish("bruit kv put -owner web-", "web-1\n");
    expect_fish("bruit completion ", "bash\nfish\nzsh\n");
}

/* ------------------------------------------------------------------ the manual page */

/* Whoever reads it sees every command and every flag, and groff finds nothing to warn about. */
static void test_groff_has_nothing_to_warn_about(void **state)
{
    struct br_flag flags[BR_COMMAND_FLAGS_MAX];
    char line[256];
    (void)state;
    if (!has("groff"))
        skip();
    snprintf(line, sizeof line, "groff -man -ww -Tutf8 -z %s/bruit.1 2>&1", folder);
    assert_string_equal(output_of(line), "");
    snprintf(line, sizeof line, "groff -man -ww -Tascii -P-cbou -rLL=500n %s/bruit.1 2>&1 | tr -s ' \\n' ' '",
             folder);
    char *page = strdup(output_of(line));
    for (size_t i = 0; i < br_command_count; i++) {
        size_t count = br_commands[i]->synopsis == NULL ? 0 : br_command_flags(br_commands[i], flags);
        for (size_t j = 0; j < count; j++) {
            snprintf(line, sizeof line, " -%s%s%s ", flags[j].name, flags[j].argument == NULL ? "" : "=",
                     flags[j].argument == NULL ? "" : flags[j].argument);
            if (strstr(page, line) == NULL)
                fail_msg("'%s' of bruit %s is not in the page:\n%s", line, br_commands[i]->name, page);
        }
    }
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bash_completes_commands_and_flags),
        cmocka_unit_test(test_bash_completes_groups),
        cmocka_unit_test(test_bash_completes_values),
        cmocka_unit_test(test_bash_completes_members),
        cmocka_unit_test(test_bash_offers_no_errors),
        cmocka_unit_test(test_zsh_completes),
        cmocka_unit_test(test_fish_completes),
        cmocka_unit_test(test_groff_has_nothing_to_warn_about),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
