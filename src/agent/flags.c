/* Command-line flags; see flags.h. */
#include "agent/flags.h"

#include "agent/blob.h"

#include <stdio.h>
#include <stdlib.h>

/* A word of the command line taken apart. */
struct word {
    const char *name;
    size_t name_size;
    const char *value; /* NULL when there is no '=' */
};

static enum br_flags_result set_value(const struct br_flag *flag, void *target, const char *text, char *why);
static enum br_flags_result parse_word(const struct br_flag *flags, size_t count, void *target,
                                       const char *command, const struct word *word, const char *next,
                                       bool *took_next, char *why);

static bool is_flag(const char *text)
{
    return text[0] == '-' && text[1] != 0;
}

static struct word take_apart(const char *text)
{
    struct word word = {.name = text + 1 + (text[1] == '-')};
    const char *sign = strchr(word.name, '=');
    word.name_size = sign == NULL ? strlen(word.name) : (size_t)(sign - word.name);
    word.value = sign == NULL ? NULL : sign + 1;
    return word;
}

static bool is_named(const struct word *word, const char *name)
{
    return strlen(name) == word->name_size && memcmp(name, word->name, word->name_size) == 0;
}

enum br_flags_result br_flags_parse(const struct br_flag *flags, size_t count, void *target,
                                    const char *command, int argc, char **argv, int *rest,
                                    char why[BR_WHY_MAX])
{
    br_flags_defaults(flags, count, target);
    return br_flags_read(flags, count, target, command, argc, argv, rest, why);
}

void br_flags_defaults(const struct br_flag *flags, size_t count, void *target)
{
    char why[BR_WHY_MAX];
    for (size_t i = 0; i < count; i++)
        if (flags[i].fallback != NULL)
            (void)set_value(&flags[i], target, flags[i].fallback, why); /* our own texts: they can be read */
}

enum br_flags_result br_flags_read(const struct br_flag *flags, size_t count, void *target,
                                   const char *command, int argc, char **argv, int *rest,
                                   char why[BR_WHY_MAX])
{
    enum br_flags_result result = BR_FLAGS_OK;
    int at = 0;
    for (; at < argc && result == BR_FLAGS_OK && is_flag(argv[at]); at++) {
        if (strcmp(argv[at], "--") == 0) {
            at++;
            break;
        }
        struct word word = take_apart(argv[at]);
        bool took_next = false;
        if (word.name_size == 0 || word.name[0] == '-') {
            (void)snprintf(why, BR_WHY_MAX, "bad flag syntax: %.100s; \"%s -help\" lists all", argv[at],
                           command);
            return BR_FLAGS_BAD_USAGE;
        }
        if (is_named(&word, "h") || is_named(&word, "help"))
            return BR_FLAGS_HELP;
        result = parse_word(flags, count, target, command, &word, at + 1 < argc ? argv[at + 1] : NULL,
                            &took_next, why);
        at += took_next;
    }
    *rest = at;
    return result;
}

/* ------------------------------------------------------------------ setting one */

static void *member(const struct br_flag *flag, void *target)
{
    return (char *)target + flag->offset;
}

static enum br_flags_result set_switch(bool *out, const struct br_flag *flag, const char *text, char *why)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *out = text == yes[i] || strcmp(text, yes[i]) == 0;
            return BR_FLAGS_OK;
        }
    }
    (void)snprintf(why, BR_WHY_MAX, "invalid boolean value \"%.60s\" for -%s: write -%s=true or -%s=false",
                   text, flag->name, flag->name, flag->name);
    return BR_FLAGS_BAD_USAGE;
}

static enum br_flags_result set_int(int64_t *out, const struct br_flag *flag, const char *text, char *why)
{
    char *end;
    long long value = strtoll(text, &end, 0);
    if (*text == 0 || *end != 0 || value > INT32_MAX || value < INT32_MIN) {
        (void)snprintf(why, BR_WHY_MAX, "invalid value \"%.60s\" for flag -%s: write a whole number", text,
                       flag->name);
        return BR_FLAGS_BAD_USAGE;
    }
    *out = value;
    return BR_FLAGS_OK;
}

static enum br_flags_result set_duration(bruit_time *out, const struct br_flag *flag, const char *text,
                                         char *why)
{
    char reason[BR_WHY_MAX];
    if (br_duration_parse(out, text, reason) == 0)
        return BR_FLAGS_OK;
    (void)snprintf(why, BR_WHY_MAX, "%.200s: write -%s with a unit, such as 30s or 1m30s", reason,
                   flag->name);
    return BR_FLAGS_BAD_VALUE;
}

bool br_values_add(struct br_values *values, const char *text)
{
    const char **items = realloc(values->items, (values->count + 1) * sizeof *items);
    if (items == NULL)
        return false;
    values->items = items;
    values->items[values->count++] = text;
    return true;
}

static enum br_flags_result add_value(struct br_values *values, const char *text, char *why)
{
    if (br_values_add(values, text))
        return BR_FLAGS_OK;
    (void)snprintf(why, BR_WHY_MAX, "out of memory");
    return BR_FLAGS_BAD_VALUE;
}

static enum br_flags_result set_value(const struct br_flag *flag, void *target, const char *text, char *why)
{
    switch (flag->kind) {
    case BR_FLAG_TEXT: *(const char **)member(flag, target) = text; return BR_FLAGS_OK;
    case BR_FLAG_SWITCH: return set_switch(member(flag, target), flag, text, why);
    case BR_FLAG_INT: return set_int(member(flag, target), flag, text, why);
    case BR_FLAG_DURATION: return set_duration(member(flag, target), flag, text, why);
    case BR_FLAG_LIST: return add_value(member(flag, target), text, why);
    }
    return BR_FLAGS_BAD_USAGE;
}

/* ------------------------------------------------------------------ one word */

/* The flag whose name is nearest to what was typed, if any is near enough to be meant. */
static const struct br_flag *nearest(const struct br_flag *flags, size_t count, const char *typed)
{
    unsigned best = br_word_reach(typed);
    const struct br_flag *found = NULL;
    for (size_t i = 0; i < count; i++)
        if (br_word_is_nearer(typed, flags[i].name, &best))
            found = &flags[i];
    return found;
}

static enum br_flags_result unknown_flag(const struct br_flag *flags, size_t count, const char *command,
                                         const struct word *word, char *why)
{
    char typed[64];
    size_t size = word->name_size < sizeof typed - 1 ? word->name_size : sizeof typed - 1;
    memcpy(typed, word->name, size);
    typed[size] = 0;
    const struct br_flag *near = nearest(flags, count, typed);
    if (near != NULL)
        (void)snprintf(why, BR_WHY_MAX,
                       "flag provided but not defined: -%s; did you mean -%s? \"%s -help\" lists all", typed,
                       near->name, command);
    else
        (void)snprintf(why, BR_WHY_MAX,
                       "flag provided but not defined: -%s; \"%s -help\" lists those that are", typed,
                       command);
    return BR_FLAGS_BAD_USAGE;
}

static bool is_switch(const struct br_flag *flag)
{
    return flag->kind == BR_FLAG_SWITCH;
}

static enum br_flags_result parse_word(const struct br_flag *flags, size_t count, void *target,
                                       const char *command, const struct word *word, const char *next,
                                       bool *took_next, char *why)
{
    for (size_t i = 0; i < count; i++) {
        const struct br_flag *flag = &flags[i];
        if (!is_named(word, flag->name))
            continue;
        if (word->value != NULL)
            return set_value(flag, target, word->value, why);
        if (is_switch(flag))
            return set_value(flag, target, "true", why);
        *took_next = next != NULL;
        if (next != NULL)
            return set_value(flag, target, next, why);
        (void)snprintf(why, BR_WHY_MAX, "flag needs an argument: -%s; write -%s=%s", flag->name, flag->name,
                       flag->argument == NULL ? "value" : flag->argument);
        return BR_FLAGS_BAD_USAGE;
    }
    return unknown_flag(flags, count, command, word, why);
}

void br_flags_release(const struct br_flag *flags, size_t count, void *target)
{
    for (size_t i = 0; i < count; i++) {
        struct br_values *values = member(&flags[i], target);
        if (flags[i].kind != BR_FLAG_LIST)
            continue;
        free(values->items);
        *values = (struct br_values){.items = NULL};
    }
}

/* ------------------------------------------------------------------ help */

/* Where the text of a flag begins, below the flag if that is too long, and how wide it gets. */
#define HELP_COLUMN 28
#define HELP_WIDTH 52

/* As many whole words as fit in a line. */
static size_t line_size(const char *text)
{
    size_t size = strlen(text);
    if (size <= HELP_WIDTH)
        return size;
    for (size = HELP_WIDTH; size > 1 && text[size] != ' '; size--)
        continue;
    return size;
}

static void help_of(const struct br_flag *flag, struct br_blob *out)
{
    char head[96];
    (void)snprintf(head, sizeof head, "-%s%s%s", flag->name, flag->argument == NULL ? "" : "=",
                   flag->argument == NULL ? "" : flag->argument);
    br_blob_printf(out, "  %-*s ", HELP_COLUMN - 3, head);
    if (strlen(head) > HELP_COLUMN - 3)
        br_blob_printf(out, "\n%*s", HELP_COLUMN, "");
    for (const char *line = flag->help; *line != 0;) {
        size_t size = line_size(line);
        br_blob_printf(out, "%.*s\n", (int)size, line);
        line += size + (line[size] == ' ');
        if (*line != 0)
            br_blob_printf(out, "%*s", HELP_COLUMN, "");
    }
}

void br_flags_help(const struct br_flag *flags, size_t count, struct br_blob *out)
{
    for (size_t i = 0; i < count; i++)
        help_of(&flags[i], out);
}
