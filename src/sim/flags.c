/*
 * Flags of bruit-sim; see tool.h. One dash or two, `--name value` or `--name=value`.
 *
 * Not the agent's parser (agent/flags.h): that one speaks Go's grammar, and lies above the simulator.
 */
#include "sim/tool.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WIDTH 100
#define HELP_COLUMN 26
#define NAMES_MAX 128

int br_tool_fail(const char *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fprintf(stderr, "%s: ", command);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
    return 1;
}

/* ------------------------------------------------------------------ the nearest word */

/* How many letters have to be changed, added or dropped to get from one word to the other. */
static size_t distance(const char *a, const char *b)
{
    size_t row[64], width = strlen(b);
    if (width >= sizeof row / sizeof row[0])
        return SIZE_MAX;
    for (size_t j = 0; j <= width; j++)
        row[j] = j;
    for (; *a != 0; a++) {
        size_t diagonal = row[0]++;
        for (size_t j = 1; j <= width; j++) {
            size_t best = diagonal + (*a != b[j - 1]);
            diagonal = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
        }
    }
    return row[width];
}

const char *br_tool_nearest(const char *word, const char *const *names, size_t count)
{
    const char *nearest = NULL;
    size_t least = strlen(word) / 2 + 1;
    for (size_t i = 0; i < count; i++) {
        size_t d = distance(word, names[i]);
        if (d < least) {
            least = d;
            nearest = names[i];
        }
    }
    return nearest;
}

/* ------------------------------------------------------------------ help */

static void print_wrapped(const char *text)
{
    size_t column = HELP_COLUMN;
    while (*text != 0) {
        size_t word = strcspn(text, " ");
        if (column > HELP_COLUMN && column + 1 + word > WIDTH) {
            (void)printf("\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        }
        (void)printf("%s%.*s", column > HELP_COLUMN ? " " : "", (int)word, text);
        column += word + (column > HELP_COLUMN);
        text += word + strspn(text + word, " ");
    }
    (void)putchar('\n');
}

static void print_help(const struct br_tool_usage *usage)
{
    (void)printf("Usage: %s %s\n\n%s\n", usage->command, usage->synopsis, usage->about);
    for (size_t i = 0; i < usage->flag_count; i++) {
        const struct br_tool_flag *flag = &usage->flags[i];
        if (flag->help == NULL) {
            (void)printf("%s\n", flag->name);
            continue;
        }
        int used = printf("  --%s%s%s", flag->name, flag->argument != NULL ? " " : "",
                          flag->argument != NULL ? flag->argument : "");
        if (used > HELP_COLUMN - 2) {
            (void)putchar('\n');
            used = 0;
        }
        (void)printf("%*s", HELP_COLUMN - used, "");
        print_wrapped(flag->help);
    }
    if (usage->examples != NULL)
        (void)printf("\nExamples\n%s", usage->examples);
}

/* ------------------------------------------------------------------ values */

static bool ends(const char *rest, double unit, const char *name, double *value)
{
    if (strcmp(rest, name) != 0)
        return false;
    *value *= unit;
    return true;
}

/* Whether something can be written there; leaves nothing behind. */
static bool can_write(const char *path)
{
    bool is_there = access(path, F_OK) == 0;
    FILE *file = fopen(path, "a");
    if (file == NULL)
        return false;
    (void)fclose(file);
    if (!is_there)
        (void)unlink(path);
    return true;
}

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode) && access(path, W_OK | X_OK) == 0;
}

/* A number and what follows it. */
static bool read_number(const char *text, double *value, const char **rest)
{
    char *end;
    if (strchr("0123456789.", text[0]) == NULL || text[0] == 0 || strpbrk(text, "xXpP") != NULL)
        return false;
    *value = strtod(text, &end);
    *rest = end;
    return end != text && isfinite(*value);
}

static bool read_count(const char *text, double *value)
{
    const char *rest;
    return read_number(text, value, &rest) &&
           (ends(rest, 1, "", value) || ends(rest, 1e3, "k", value) || ends(rest, 1e6, "M", value) ||
            ends(rest, 1e9, "G", value)) &&
           *value <= 9e15 && *value == floor(*value);
}

static bool read_part(const char *text, double *value)
{
    const char *rest;
    return read_number(text, value, &rest) && (ends(rest, 1, "", value) || ends(rest, 0.01, "%", value)) &&
           *value <= 1;
}

static bool read_time(const char *text, double *value)
{
    const char *rest;
    return read_number(text, value, &rest) &&
           (ends(rest, 1e3, "us", value) || ends(rest, 1e6, "ms", value) || ends(rest, 1e9, "s", value) ||
            ends(rest, 60e9, "m", value) || ends(rest, 3600e9, "h", value)) &&
           *value < 9e18;
}

static bool read_list(char *text, bool (*read)(const char *, double *), struct br_tool_list *list)
{
    char *state = NULL;
    for (char *item = strtok_r(text, ",", &state); item != NULL; item = strtok_r(NULL, ",", &state)) {
        if (list->count == BR_TOOL_LIST_MAX || !read(item, &list->items[list->count]))
            return false;
        list->count++;
    }
    return true;
}

static bool set_list(const char *text, bool (*read)(const char *, double *), struct br_tool_list *list)
{
    char room[1024];
    size_t size = strlen(text) + 1;
    if (size > sizeof room || text[0] == 0)
        return false;
    memcpy(room, text, size);
    return read_list(room, read, list);
}

static bool set(const struct br_tool_flag *flag, void *target, const char *text)
{
    void *member = (char *)target + flag->offset;
    double value;
    switch (flag->kind) {
    case BR_TOOL_SWITCH: *(bool *)member = true; return true;
    case BR_TOOL_TEXT: *(const char **)member = text; return text[0] != 0;
    case BR_TOOL_FILE: *(const char **)member = text; return can_write(text);
    case BR_TOOL_FOLDER: *(const char **)member = text; return is_folder(text);
    case BR_TOOL_COUNTS: return set_list(text, read_count, member);
    case BR_TOOL_PARTS: return set_list(text, read_part, member);
    case BR_TOOL_PART: return read_part(text, member);
    case BR_TOOL_COUNT:
    case BR_TOOL_SOME:
        if (!read_count(text, &value) || (flag->kind == BR_TOOL_SOME && value < 1))
            return false;
        *(uint64_t *)member = (uint64_t)value;
        return true;
    case BR_TOOL_TIME: break;
    }
    if (!read_time(text, &value))
        return false;
    *(bruit_time *)member = (bruit_time)value;
    return true;
}

static const char *wanted(enum br_tool_flag_kind kind)
{
    switch (kind) {
    case BR_TOOL_COUNT: return "a whole number, such as 20000, 20k or 1M";
    case BR_TOOL_SOME: return "a whole number from 1 on, such as 20, 20k or 1M";
    case BR_TOOL_FILE: return "a file that can be written, in a folder that is there";
    case BR_TOOL_FOLDER: return "a folder that is there and can be written to";
    case BR_TOOL_PART: return "a part, such as 0.02 or 2%";
    case BR_TOOL_TIME: return "a time with its unit, such as 200ms, 1.5s or 2m";
    case BR_TOOL_COUNTS: return "whole numbers with commas between, such as 1000,10k,1M";
    case BR_TOOL_PARTS: return "parts with commas between, such as 0,1%,0.05";
    case BR_TOOL_SWITCH:
    case BR_TOOL_TEXT: break;
    }
    return "a text";
}

/* ------------------------------------------------------------------ words */

static const struct br_tool_flag *find(const struct br_tool_usage *usage, const char *name, size_t size)
{
    for (size_t i = 0; i < usage->flag_count; i++) {
        const struct br_tool_flag *flag = &usage->flags[i];
        if (flag->help != NULL && strlen(flag->name) == size && memcmp(flag->name, name, size) == 0)
            return flag;
    }
    return NULL;
}

static int unknown(const struct br_tool_usage *usage, const char *name, size_t size)
{
    const char *names[NAMES_MAX] = {"help"};
    char word[64];
    size_t count = 1;
    for (size_t i = 0; i < usage->flag_count && count < NAMES_MAX; i++)
        if (usage->flags[i].help != NULL)
            names[count++] = usage->flags[i].name;
    (void)snprintf(word, sizeof word, "%.*s", (int)(size < 60 ? size : 60), name);
    const char *nearest = br_tool_nearest(word, names, count);
    if (nearest != NULL)
        (void)br_tool_fail(usage->command, "there is no flag --%s: did you mean --%s?", word, nearest);
    else
        (void)br_tool_fail(usage->command, "there is no flag --%s: see \"%s --help\".", word, usage->command);
    return -2;
}

/* One flag; returns how many words it took, or -2. */
static int take(const struct br_tool_usage *usage, void *target, int left, char **words)
{
    const char *name = words[0] + (words[0][1] == '-' ? 2 : 1);
    const char *equals = strchr(name, '=');
    const struct br_tool_flag *flag =
        find(usage, name, equals != NULL ? (size_t)(equals - name) : strlen(name));
    if (flag == NULL)
        return unknown(usage, name, equals != NULL ? (size_t)(equals - name) : strlen(name));
    bool is_switch = flag->kind == BR_TOOL_SWITCH;
    if (is_switch && equals != NULL) {
        (void)br_tool_fail(usage->command, "--%s takes no value: write it alone.", flag->name);
        return -2;
    }
    if (!is_switch && equals == NULL && left < 2) {
        (void)br_tool_fail(usage->command, "--%s wants %s behind it.", flag->name, wanted(flag->kind));
        return -2;
    }
    const char *value = is_switch ? "" : equals != NULL ? equals + 1 : words[1];
    if (!set(flag, target, value)) {
        (void)br_tool_fail(usage->command, "--%s cannot be \"%s\": give it %s.", flag->name, value,
                           wanted(flag->kind));
        return -2;
    }
    return is_switch || equals != NULL ? 1 : 2;
}

static void put_last(int count, char **words)
{
    char *first = words[0];
    memmove(words, words + 1, ((size_t)count - 1) * sizeof words[0]);
    words[count - 1] = first;
}

int br_tool_parse(const struct br_tool_usage *usage, void *target, int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help(usage);
            return -1;
        }
    int at = 0, others = 0;
    bool takes_flags = true;
    while (at + others < argc) {
        if (takes_flags && strcmp(argv[at], "--") == 0) {
            takes_flags = false;
            at++;
        } else if (!takes_flags || argv[at][0] != '-' || argv[at][1] == 0) {
            put_last(argc - at, argv + at);
            others++;
        } else {
            int taken = take(usage, target, argc - at - others, argv + at);
            if (taken < 0)
                return taken;
            at += taken;
        }
    }
    return at;
}
