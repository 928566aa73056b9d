/* The words of one line; see scenario_words.h. */
#include "sim/scenario_words.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------ cutting */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The size of the word that begins here; a text in quotes is one word, without its quotes. */
static size_t word_size(const char *at, size_t left)
{
    size_t size = 0;
    while (size < left && !is_blank(at[size]) && at[size] != '#')
        size++;
    return size;
}

static size_t quoted_size(const char *at, size_t left)
{
    size_t size = 0;
    while (size < left && at[size] != '"')
        size += at[size] == '\\' && size + 1 < left ? 2 : 1;
    return size;
}

void br_words_cut(struct br_words *w, struct bruit_bytes line)
{
    const char *text = (const char *)line.data;
    size_t i = 0;
    w->count = w->next = 0;
    while (i < line.size && !w->failed) {
        if (is_blank(text[i])) {
            i++;
            continue;
        }
        if (text[i] == '#')
            return;
        if (w->count == BR_WORDS_MAX) {
            br_words_fail(w, "a statement has at most %d words", BR_WORDS_MAX);
            return;
        }
        bool is_quoted = text[i] == '"';
        i += is_quoted;
        size_t size = is_quoted ? quoted_size(text + i, line.size - i) : word_size(text + i, line.size - i);
        w->words[w->count++] = (struct br_word){text + i, size, is_quoted};
        i += size;
        if (is_quoted && i++ >= line.size)
            br_words_fail(w, "a text that begins with \" ends with one, on the same line");
    }
}

/* ------------------------------------------------------------------ mistakes */

void br_words_fail(struct br_words *w, const char *format, ...)
{
    if (w->failed)
        return;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(w->error->text, sizeof w->error->text, format, arguments);
    va_end(arguments);
    w->error->line = w->line;
    w->failed = true;
}

static uint32_t least_of(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment (Damerau's distance without a second look at what was swapped). */
#define DISTANCE_MAX 32
uint32_t br_words_distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
    uint32_t rows[3][DISTANCE_MAX + 1];
    if (a_size > DISTANCE_MAX || b_size > DISTANCE_MAX)
        return UINT32_MAX;
    for (uint32_t j = 0; j <= b_size; j++)
        rows[0][j] = j;
    for (uint32_t i = 1; i <= a_size; i++) {
        uint32_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *second = rows[(i + 1) % 3];
        row[0] = i;
        for (uint32_t j = 1; j <= b_size; j++) {
            row[j] = least_of(least_of(row[j - 1], above[j]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least_of(row[j], second[j - 2] + 1);
        }
    }
    return rows[a_size % 3][b_size];
}

/* The nearest name, or NULL when none is so near that it may be meant. */
static const char *nearest(const struct br_word *word, const char *const *names, size_t count)
{
    const char *best = NULL;
    uint32_t best_distance = UINT32_MAX;
    for (size_t i = 0; i < count; i++) {
        uint32_t distance = br_words_distance(word->text, word->size, names[i], strlen(names[i]));
        if (distance < best_distance) {
            best = names[i];
            best_distance = distance;
        }
    }
    /* A third of the letters may be wrong, and always one. */
    return best_distance <= 1 + word->size / 3 ? best : NULL;
}

#define SHOWN(word) (int)((word)->size > 40 ? 40 : (word)->size), (word)->text

void br_words_expected(struct br_words *w, const char *what, const char *const *names, size_t count)
{
    if (!br_words_more(w)) {
        br_words_fail(w, "expected %s, but the line ends", what);
        return;
    }
    const struct br_word *word = &w->words[w->next];
    const char *near = nearest(word, names, count);
    if (near != NULL)
        br_words_fail(w, "expected %s, but found \"%.*s\"; the nearest word is \"%s\"", what, SHOWN(word),
                      near);
    else
        br_words_fail(w, "expected %s, but found \"%.*s\"", what, SHOWN(word));
}

/* ------------------------------------------------------------------ words */

bool br_words_more(const struct br_words *w)
{
    return !w->failed && w->next < w->count;
}

static bool is_word(const struct br_word *word, const char *text)
{
    return !word->is_quoted && word->size == strlen(text) && memcmp(word->text, text, word->size) == 0;
}

bool br_words_peek(const struct br_words *w, const char *word)
{
    return br_words_more(w) && is_word(&w->words[w->next], word);
}

bool br_words_accept(struct br_words *w, const char *word)
{
    bool is = br_words_peek(w, word);
    w->next += is;
    return is;
}

void br_words_expect(struct br_words *w, const char *word)
{
    char what[64];
    if (w->failed || br_words_accept(w, word))
        return;
    (void)snprintf(what, sizeof what, "\"%s\"", word);
    br_words_expected(w, what, &word, 1);
}

void br_words_end(struct br_words *w, const char *const *options, size_t count)
{
    if (br_words_more(w))
        br_words_expected(w, "the end of the line", options, count);
}

size_t br_words_choice(struct br_words *w, const char *what, const char *const *names, size_t count)
{
    if (w->failed)
        return count;
    for (size_t i = 0; i < count; i++)
        if (br_words_accept(w, names[i]))
            return i;
    br_words_expected(w, what, names, count);
    return count;
}

/* ------------------------------------------------------------------ quantities */

/*
 * A number with up to nine decimals, in billionths; the rest of the word is its unit. False when it is no number,
 * or one beyond 2^53.
 */
static bool take_decimal(const struct br_word *word, uint64_t *whole, uint64_t *billionths,
                         struct br_word *unit)
{
    size_t i = 0;
    uint64_t scale = UINT64_C(1000000000);
    *whole = *billionths = 0;
    for (; i < word->size && word->text[i] >= '0' && word->text[i] <= '9'; i++) {
        *whole = *whole * 10 + (uint64_t)(word->text[i] - '0');
        if (*whole > UINT64_C(1) << 53)
            return false;
    }
    bool is_number = i > 0;
    if (i + 1 < word->size && word->text[i] == '.')
        for (i++; i < word->size && word->text[i] >= '0' && word->text[i] <= '9' && scale > 1; i++) {
            scale /= 10;
            *billionths += (uint64_t)(word->text[i] - '0') * scale;
        }
    *unit = (struct br_word){word->text + i, word->size - i, false};
    return is_number && !word->is_quoted;
}

struct unit {
    const char *name;
    uint64_t factor;
};

/* The quantity of the next word in the units given; `zero` may stand without one. False: it is none. */
static bool take_quantity(struct br_words *w, const struct unit *units, size_t count, uint64_t most,
                          uint64_t *out)
{
    uint64_t whole, billionths;
    struct br_word unit;
    if (!br_words_more(w) || !take_decimal(&w->words[w->next], &whole, &billionths, &unit))
        return false;
    if (unit.size == 0 && whole == 0 && billionths == 0) {
        *out = 0;
        w->next++;
        return true;
    }
    for (size_t i = 0; i < count; i++)
        if (is_word(&unit, units[i].name)) {
            if (whole > most / units[i].factor)
                return false;
            *out = whole * units[i].factor + (units[i].factor >= 1000
                                                  ? billionths * (units[i].factor / 1000) / 1000000
                                                  : billionths * units[i].factor / UINT64_C(1000000000));
            w->next++;
            return *out <= most;
        }
    return false;
}

/* A virtual year: beyond that a mistake is likelier than a wish. */
#define DURATION_MAX (UINT64_C(366) * 86400 * BRUIT_SECOND * 2)

bruit_time br_words_duration(struct br_words *w, const char *after)
{
    static const struct unit units[] = {{"ns", 1},
                                        {"us", BRUIT_MICROSECOND},
                                        {"ms", BRUIT_MILLISECOND},
                                        {"s", BRUIT_SECOND},
                                        {"m", 60 * BRUIT_SECOND},
                                        {"h", 3600 * BRUIT_SECOND},
                                        {"d", 86400 * BRUIT_SECOND}};
    char what[100];
    uint64_t value = 0;
    if (w->failed || take_quantity(w, units, sizeof units / sizeof units[0], DURATION_MAX, &value))
        return value;
    (void)snprintf(what, sizeof what, "a duration after \"%.30s\", such as 500ms, 1.5s, 2m or 1h", after);
    br_words_expected(w, what, NULL, 0);
    return 0;
}

uint32_t br_words_fraction(struct br_words *w, const char *after)
{
    static const struct unit units[] = {{"%", 10000}};
    char what[100];
    uint64_t value = 0;
    if (w->failed || take_quantity(w, units, 1, BRUIT_SIM_MILLION, &value))
        return (uint32_t)value;
    (void)snprintf(what, sizeof what, "a share after \"%.30s\", such as 2%% or 0.5%%, at most 100%%", after);
    br_words_expected(w, what, NULL, 0);
    return 0;
}

uint64_t br_words_size(struct br_words *w, const char *after)
{
    static const struct unit units[] = {{"", 1},
                                        {"B", 1},
                                        {"kB", 1000},
                                        {"KiB", 1024},
                                        {"MB", 1000000},
                                        {"MiB", 1024 * 1024},
                                        {"GB", 1000000000},
                                        {"GiB", 1024 * 1024 * 1024}};
    char what[100];
    uint64_t value = 0;
    if (w->failed || take_quantity(w, units, sizeof units / sizeof units[0], UINT64_C(1) << 50, &value))
        return value;
    (void)snprintf(what, sizeof what, "a number of bytes after \"%.30s\", such as 1400, 64KiB or 2MB", after);
    br_words_expected(w, what, NULL, 0);
    return 0;
}

uint64_t br_words_number(struct br_words *w, const char *after, uint64_t least, uint64_t most)
{
    char what[120];
    uint64_t value = 0;
    size_t i = 0;
    if (w->failed)
        return least;
    if (br_words_more(w) && !w->words[w->next].is_quoted) {
        const struct br_word *word = &w->words[w->next];
        for (; i < word->size && word->text[i] >= '0' && word->text[i] <= '9'; i++) {
            uint64_t digit = (uint64_t)(word->text[i] - '0');
            if (value > (UINT64_MAX - digit) / 10)
                break;
            value = value * 10 + digit;
        }
        if (i > 0 && i == word->size && value >= least && value <= most) {
            w->next++;
            return value;
        }
    }
    (void)snprintf(what, sizeof what, "a number from %llu to %llu after \"%.30s\"", (unsigned long long)least,
                   (unsigned long long)most, after);
    br_words_expected(w, what, NULL, 0);
    return least;
}

bool br_words_flag(struct br_words *w, const char *after)
{
    static const char *const names[] = {"yes", "no"};
    char what[64];
    (void)snprintf(what, sizeof what, "yes or no after \"%.30s\"", after);
    return br_words_choice(w, what, names, 2) == 0;
}

/* ------------------------------------------------------------------ texts */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The byte that an escape stands for; `*at` is behind the backslash and moves on. -1: it is none. */
static int take_escape(const struct br_word *word, size_t *at)
{
    static const char letters[] = "nrt0\\\"", values[] = "\n\r\t\0\\\"";
    char c = *at < word->size ? word->text[(*at)++] : 0;
    const char *found = c == 0 ? NULL : strchr(letters, c);
    if (found != NULL)
        return values[found - letters];
    if (c != 'x' || *at + 2 > word->size)
        return -1;
    int high = hex_digit(word->text[*at]), low = hex_digit(word->text[*at + 1]);
    *at += 2;
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

size_t br_words_text(struct br_words *w, const char *what, uint8_t *out, size_t most)
{
    if (!br_words_more(w)) {
        br_words_expected(w, what, NULL, 0);
        return 0;
    }
    const struct br_word *word = &w->words[w->next++];
    size_t size = 0;
    for (size_t i = 0; i < word->size;) {
        int byte = (unsigned char)word->text[i++];
        if (byte == '\\' && word->is_quoted)
            byte = take_escape(word, &i);
        if (byte < 0) {
            br_words_fail(w, "expected \\n, \\r, \\t, \\0, \\\\, \\\" or \\xNN behind a backslash");
            return 0;
        }
        if (size == most) {
            br_words_fail(w, "%s has at most %zu bytes", what, most);
            return 0;
        }
        out[size++] = (uint8_t)byte;
    }
    return size;
}

size_t br_words_hex(struct br_words *w, const char *what, uint8_t *out, size_t most)
{
    if (!br_words_more(w)) {
        br_words_expected(w, what, NULL, 0);
        return 0;
    }
    const struct br_word *word = &w->words[w->next];
    bool is_hex = word->size % 2 == 0 && word->size <= 2 * most && word->size > 0;
    for (size_t i = 0; is_hex && i < word->size; i += 2) {
        int high = hex_digit(word->text[i]), low = hex_digit(word->text[i + 1]);
        is_hex = high >= 0 && low >= 0;
        out[i / 2] = (uint8_t)(is_hex ? high * 16 + low : 0);
    }
    if (!is_hex) {
        br_words_expected(w, what, NULL, 0);
        return 0;
    }
    w->next++;
    return word->size / 2;
}

/* ------------------------------------------------------------------ nodes */

static bool take_number(const char **at, const char *end, uint32_t *out)
{
    uint64_t value = 0;
    const char *start = *at;
    for (; *at < end && **at >= '0' && **at <= '9'; (*at)++)
        if ((value = value * 10 + (uint64_t)(**at - '0')) >= BRUIT_SIM_NODES_MAX)
            return false;
    *out = (uint32_t)value;
    return *at > start;
}

/* n3, n3..n9, n3..9 */
static bool read_range(const char *at, const char *end, struct br_set_item *item)
{
    *item = (struct br_set_item){.kind = BR_SET_RANGE};
    if (at == end || *at++ != 'n' || !take_number(&at, end, &item->first))
        return false;
    item->last = item->first;
    if (at == end)
        return true;
    if (end - at < 3 || at[0] != '.' || at[1] != '.')
        return false;
    at += 2;
    at += *at == 'n';
    return take_number(&at, end, &item->last) && at == end && item->last >= item->first;
}

static bool read_zone(const char *at, const char *end, struct br_set_item *item)
{
    *item = (struct br_set_item){.kind = BR_SET_ZONE};
    if (end - at < 5 || memcmp(at, "zone", 4) != 0)
        return false;
    at += 4;
    return take_number(&at, end, &item->first) && at == end && item->first < BRUIT_SIM_ZONES_MAX;
}

static bool read_share(const char *at, const char *end, struct br_set_item *item)
{
    uint64_t whole, billionths;
    struct br_word unit, word = {at, (size_t)(end - at), false};
    *item = (struct br_set_item){.kind = BR_SET_SHARE};
    if (!take_decimal(&word, &whole, &billionths, &unit) || !is_word(&unit, "%") || whole > 100)
        return false;
    item->first = (uint32_t)(whole * 10000 + billionths / 100000);
    return item->first <= BRUIT_SIM_MILLION;
}

static bool read_group(const struct br_scenario *scenario, const char *at, const char *end,
                       struct br_set_item *item)
{
    struct br_word word = {at, (size_t)(end - at), false};
    *item = (struct br_set_item){.kind = BR_SET_GROUP};
    for (; item->first < scenario->group_count; item->first++)
        if (is_word(&word, scenario->groups[item->first].name))
            return true;
    return false;
}

static bool read_item(struct br_words *w, const char *at, const char *end, struct br_set_item *item)
{
    struct br_word word = {at, (size_t)(end - at), false};
    if (is_word(&word, "all")) {
        *item = (struct br_set_item){.kind = BR_SET_ALL};
        return true;
    }
    return read_range(at, end, item) || read_share(at, end, item) || read_zone(at, end, item) ||
           read_group(w->scenario, at, end, item);
}

/* One word: items joined by commas. */
static void read_items(struct br_words *w, struct br_node_set *set)
{
    const char *names[BR_SCENARIO_GROUPS_MAX + 1] = {"all"};
    for (uint32_t i = 0; i < w->scenario->group_count; i++)
        names[i + 1] = w->scenario->groups[i].name;
    const char *what = "nodes, such as n3, n3..n9, n1,n5, all, 5%, zone1 or the name of a group";
    if (!br_words_more(w)) {
        br_words_expected(w, what, NULL, 0);
        return;
    }
    const struct br_word *word = &w->words[w->next];
    const char *at = word->text, *end = word->text + word->size;
    for (;;) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma == NULL ? end : comma;
        if (set->count == BR_SET_ITEMS_MAX) {
            br_words_fail(w, "a list of nodes has at most %d parts: make a group of some", BR_SET_ITEMS_MAX);
            return;
        }
        if (word->is_quoted || !read_item(w, at, stop, &set->items[set->count])) {
            br_words_expected(w, what, names, w->scenario->group_count + 1);
            return;
        }
        set->count++;
        if (comma == NULL)
            break;
        at = comma + 1;
    }
    w->next++;
}

void br_words_nodes(struct br_words *w, struct br_node_set *set)
{
    *set = (struct br_node_set){0};
    if (w->failed)
        return;
    read_items(w, set);
    set->but = set->count;
    if (br_words_accept(w, "but"))
        read_items(w, set);
}
