/* Shrinking; see shrink.h. */
#include "sim/shrink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINES_MAX 4096
#define LINE_MAX 4096
#define WORDS_MAX 64
/* Candidates are judged apart for this long. */
#define SECONDS_MAX 60

struct shrink {
    const struct br_shrink_options *options;
    char **lines; /* owned */
    uint32_t count;
    uint32_t runs;
    struct br_judgement wanted;
    char violated[LINE_MAX]; /* the line that was, when it was no check */
    char *buffer;            /* of a candidate */
    size_t buffer_size;
};

/* ------------------------------------------------------------------ lines and text */

static bool is_worth(const char *line, size_t size)
{
    while (size > 0 && (*line == ' ' || *line == '\t' || *line == '\r')) {
        line++;
        size--;
    }
    return size > 0 && *line != '#';
}

static int cut(struct shrink *s, struct bruit_bytes text)
{
    const char *at = (const char *)text.data, *end = at + text.size;
    while (at < end && s->count < LINES_MAX) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t size = (size_t)((stop == NULL ? end : stop) - at);
        if (is_worth(at, size)) {
            s->lines[s->count] = malloc(size + 1);
            if (s->lines[s->count] == NULL)
                return BRUIT_ENOMEM;
            memcpy(s->lines[s->count], at, size);
            s->lines[s->count++][size] = 0;
        }
        at += size + 1;
    }
    return 0;
}

/* The lines but those whose number is from `first` to below `last`, with `instead` at `place`. */
static struct bruit_bytes assemble(struct shrink *s, uint32_t first, uint32_t last, uint32_t place,
                                   const char *instead)
{
    size_t size = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        const char *line = i == place ? instead : s->lines[i];
        size_t length = strlen(line);
        if ((i >= first && i < last) || size + length + 2 > s->buffer_size)
            continue;
        memcpy(s->buffer + size, line, length);
        size += length;
        s->buffer[size++] = '\n';
    }
    s->buffer[size] = 0;
    return (struct bruit_bytes){(const uint8_t *)s->buffer, size};
}

#define NOWHERE UINT32_MAX

/* ------------------------------------------------------------------ does it still fail? */

static void judge_apart(struct bruit_bytes text, struct br_judgement *verdict)
{
    br_swarm_judge_apart(text, SECONDS_MAX, verdict);
}

/* Line number `line` of a text. */
static void copy_line(struct bruit_bytes text, uint32_t line, char out[LINE_MAX])
{
    const char *at = (const char *)text.data, *end = at + text.size;
    out[0] = 0;
    for (uint32_t i = 1; at < end; i++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t size = (size_t)((stop == NULL ? end : stop) - at);
        if (i == line && size < LINE_MAX) {
            memcpy(out, at, size);
            out[size] = 0;
        }
        at += size + 1;
    }
}

static bool is_same_failure(struct shrink *s, struct bruit_bytes text, const struct br_judgement *verdict)
{
    char line[LINE_MAX];
    if (verdict->outcome != s->wanted.outcome || strcmp(verdict->check, s->wanted.check) != 0)
        return false;
    if (verdict->line == 0)
        return s->wanted.line == 0;
    copy_line(text, verdict->line, line);
    return strcmp(line, s->violated) == 0;
}

static bool is_spent(const struct shrink *s)
{
    return s->runs >= s->options->runs_max || (s->options->is_stopped != NULL && s->options->is_stopped());
}

/* What cannot be read is no candidate, and costs no run. */
static bool can_be_read(struct bruit_bytes text)
{
    struct br_scenario *scenario;
    struct br_scenario_error error;
    if (br_scenario_parse(&scenario, text, &error) != 0)
        return false;
    br_scenario_free(scenario);
    return true;
}

static bool fails(struct shrink *s, struct bruit_bytes text)
{
    struct br_judgement verdict;
    if (is_spent(s) || !can_be_read(text))
        return false;
    s->runs++;
    s->options->judge(text, &verdict);
    if (s->options->on_progress != NULL)
        s->options->on_progress(s->runs, s->count);
    if (!is_same_failure(s, text, &verdict))
        return false;
    s->wanted = verdict;
    return true;
}

/* ------------------------------------------------------------------ fewer lines */

static void remove_lines(struct shrink *s, uint32_t first, uint32_t last)
{
    for (uint32_t i = first; i < last; i++)
        free(s->lines[i]);
    memmove(&s->lines[first], &s->lines[last], (s->count - last) * sizeof s->lines[0]);
    s->count -= last - first;
}

/* Groups from the end: what comes late is needed least. */
static bool try_fewer_lines(struct shrink *s)
{
    bool any = false;
    for (uint32_t size = s->count / 2 > 0 ? s->count / 2 : 1; size > 0; size /= 2)
        for (uint32_t last = s->count; last > 0 && !is_spent(s);) {
            uint32_t first = last > size ? last - size : 0;
            if (fails(s, assemble(s, first, last, NOWHERE, ""))) {
                remove_lines(s, first, last);
                any = true;
            }
            last = first < s->count ? first : s->count;
        }
    return any;
}

/* ------------------------------------------------------------------ shorter lines */

static bool replace(struct shrink *s, uint32_t place, const char *line)
{
    if (strcmp(line, s->lines[place]) == 0 || !fails(s, assemble(s, NOWHERE, NOWHERE, place, line)))
        return false;
    char *copy = strdup(line);
    if (copy == NULL)
        return false;
    free(s->lines[place]);
    s->lines[place] = copy;
    return true;
}

/* The places where words begin; a text in quotes may be cut, and is then refused by the parser. */
static uint32_t split(char *line, char *words[WORDS_MAX])
{
    uint32_t count = 0;
    char *state = NULL;
    for (char *word = strtok_r(line, " \t\r", &state); word != NULL && count < WORDS_MAX;
         word = strtok_r(NULL, " \t\r", &state))
        words[count++] = word;
    return count;
}

/* The line without `size` words from `from` on; `instead` in the place of word `place`. */
static void join(char out[LINE_MAX], char *const words[], uint32_t count, uint32_t from, uint32_t size,
                 uint32_t place, const char *instead)
{
    size_t used = 0;
    out[0] = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (i >= from && i < from + size)
            continue;
        int more = snprintf(out + used, LINE_MAX - used, "%s%s", used > 0 ? " " : "",
                            i == place ? instead : words[i]);
        if (more < 0 || used + (size_t)more >= LINE_MAX)
            return;
        used += (size_t)more;
    }
}

static bool try_fewer_words(struct shrink *s, uint32_t place)
{
    char copy[LINE_MAX], line[LINE_MAX];
    char *words[WORDS_MAX];
    (void)snprintf(copy, sizeof copy, "%s", s->lines[place]);
    uint32_t count = split(copy, words);
    for (uint32_t size = 3; size > 0; size--)
        for (uint32_t from = count; from-- > 2;) {
            if (from + size > count)
                continue;
            join(line, words, count, from, size, NOWHERE, "");
            if (replace(s, place, line))
                return true;
        }
    return false;
}

/* ------------------------------------------------------------------ simpler words */

/* n3..n9 -> n3, n9; n1,n2 -> n1. Writes candidate `number`; false past the last. */
static bool simpler_nodes(const char *word, uint32_t number, char out[LINE_MAX])
{
    const char *dots = strstr(word, ".."), *comma = strchr(word, ',');
    if (word[0] != 'n' || (dots == NULL && comma == NULL) || number > 1)
        return false;
    const char *first_end = comma != NULL ? comma : dots, *second = comma != NULL ? comma + 1 : dots + 2;
    if (number == 0)
        (void)snprintf(out, LINE_MAX, "%.*s", (int)(first_end - word), word);
    else
        (void)snprintf(out, LINE_MAX, "%s", second);
    return true;
}

/* A number with a unit, rounder and smaller: 23063ms -> 23s, 20s, 11s; 40 -> 20, 39; 6.8% -> 6%. */
static bool simpler_number(const char *word, uint32_t number, char out[LINE_MAX])
{
    char *unit;
    unsigned long long value = strtoull(word, &unit, 10), scale = 1;
    if (unit == word)
        return false;
    if (*unit == '.') {
        (void)strtoull(unit + 1, &unit, 10);
        (void)snprintf(out, LINE_MAX, "%llu%s", value, unit);
        return number == 0;
    }
    if (strcmp(unit, "ms") == 0 && value >= 1000) {
        (void)snprintf(out, LINE_MAX, "%llus", value / 1000);
        return number == 0;
    }
    while (scale <= value / 10)
        scale *= 10;
    switch (number) {
    case 0: value = value / scale * scale; break;
    case 1: value /= 2; break;
    case 2: value -= value > 0; break;
    default: return false;
    }
    (void)snprintf(out, LINE_MAX, "%llu%s", value, unit);
    return true;
}

static bool try_simpler_words(struct shrink *s, uint32_t place)
{
    char copy[LINE_MAX], line[LINE_MAX], word[LINE_MAX];
    char *words[WORDS_MAX];
    (void)snprintf(copy, sizeof copy, "%s", s->lines[place]);
    uint32_t count = split(copy, words);
    for (uint32_t i = 1; i < count; i++) {
        if (strcmp(words[0], "seed") == 0 || strcmp(words[0], "keys") == 0)
            return false;
        for (uint32_t number = 0; number < 3; number++) {
            if (!simpler_nodes(words[i], number, word) && !simpler_number(words[i], number, word))
                break;
            join(line, words, count, NOWHERE, 0, i, word);
            if (strcmp(word, words[i]) != 0 && replace(s, place, line))
                return true;
        }
    }
    return false;
}

/* Each line as far as it goes, then the next. */
static bool try_each(struct shrink *s, bool (*attempt)(struct shrink *s, uint32_t place))
{
    bool any = false;
    for (uint32_t i = s->count; i-- > 0;)
        for (uint32_t times = 0; times < 40 && !is_spent(s) && attempt(s, i); times++)
            any = true;
    return any;
}

/* ------------------------------------------------------------------ the whole */

static void reduce(struct shrink *s)
{
    bool any = true;
    while (any && !is_spent(s)) {
        any = try_fewer_lines(s);
        any |= try_each(s, try_fewer_words);
        any |= try_each(s, try_simpler_words);
    }
}

static int begin(struct shrink *s, struct bruit_bytes text)
{
    s->buffer_size = text.size + LINE_MAX + 2;
    s->lines = calloc(LINES_MAX, sizeof *s->lines);
    s->buffer = malloc(s->buffer_size);
    return s->lines == NULL || s->buffer == NULL ? BRUIT_ENOMEM : cut(s, text);
}

int br_shrink(struct bruit_bytes text, const struct br_shrink_options *options,
              struct br_shrink_result *result)
{
    struct br_shrink_options own = *options;
    struct shrink s = {.options = &own};
    own.judge = options->judge == NULL ? judge_apart : options->judge;
    *result = (struct br_shrink_result){0};
    int status = begin(&s, text);
    if (status == 0) {
        struct bruit_bytes whole = assemble(&s, NOWHERE, NOWHERE, NOWHERE, "");
        own.judge(whole, &s.wanted);
        s.runs = 1;
        copy_line(whole, s.wanted.line, s.violated);
        if (s.wanted.outcome == BR_OUTCOME_GOOD || s.wanted.outcome == BR_OUTCOME_REFUSED)
            status = s.wanted.outcome == BR_OUTCOME_GOOD ? BRUIT_ENOENT : BRUIT_EFORMAT;
        result->lines_before = s.count;
    }
    if (status == 0) {
        reduce(&s);
        struct bruit_bytes left = assemble(&s, NOWHERE, NOWHERE, NOWHERE, "");
        result->text = s.buffer;
        result->size = left.size;
        s.buffer = NULL;
    }
    result->lines = s.count;
    result->runs = s.runs;
    result->verdict = s.wanted;
    for (uint32_t i = 0; i < s.count; i++)
        free(s.lines[i]);
    free(s.lines);
    free(s.buffer);
    return status;
}
