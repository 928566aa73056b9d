/*
 * Regular expressions; see pattern.h.
 *
 * A pattern is read into a tree by recursive descent (alternatives of sequences of repeated atoms), the tree
 * is written out as steps, and matching walks all steps that can be reached, one character at a time.
 */
#include "base/pattern.h"

#include "base/unicode.h"

/* Brackets within brackets: the depth of the parser's recursion. Go allows 1,000 levels. */
#define DEPTH_MAX 100

/* RE2's bound for the numbers in {n,m}. */
#define REPEAT_MAX 1000
#define UNBOUNDED UINT16_MAX

#define RUNE_MAX 0x10ffffu
#define RUNE_ERROR 0xfffdu /* what Go decodes a malformed byte as */

enum node_kind { NODE_EMPTY, NODE_SET, NODE_ASSERT, NODE_THEN, NODE_OR, NODE_REPEAT };
enum step_kind { STEP_SET, STEP_ASSERT, STEP_SPLIT, STEP_JUMP, STEP_MATCH };
enum assertion { TEXT_START, TEXT_END, LINE_START, LINE_END, WORD_EDGE, NO_WORD_EDGE };

struct node {
    uint8_t kind;
    uint16_t left, right; /* nodes; of a set or an assertion, `left` is its number */
    uint16_t min, max;    /* of a repetition */
};

struct step {
    uint8_t kind;
    uint16_t x, y; /* where to go; or the set or the assertion */
};

/*
 * From `low` to `high`, or a class of Unicode in `low`. An item of a set, such as \W, is one or more of them: the last
 * one has no MORE, and with NOT it is all that is in none of them.
 */
struct range {
    uint32_t low, high;
};

#define RANGE_MORE 0x80000000u /* on top of `low` */
#define RANGE_NOT 0x40000000u
#define RANGE_CLASS 0x20000000u
#define RANGE_VALUE 0x001fffffu

struct set {
    uint16_t first, count; /* of the ranges */
    bool is_negated;
    bool folds; /* upper and lower case are one */
};

#define NODES_MAX (2 * BR_PATTERN_SIZE_MAX + 16)
#define VISITS_MAX (16 * BR_PATTERN_STEPS)
#define SETS_MAX (BR_PATTERN_SIZE_MAX + 16)
/* A class of a few letters, such as \w, has at most four ranges. */
#define RANGES_MAX (4 * BR_PATTERN_SIZE_MAX)

struct br_pattern {
    struct br_alloc *alloc;
    struct step steps[BR_PATTERN_STEPS];
    struct set sets[SETS_MAX];
    struct range ranges[RANGES_MAX];
    uint16_t step_count, set_count, range_count;
    bool folds, has_classes; /* any set does, has */
    /* While matching: the steps reached, each once. */
    uint16_t now[BR_PATTERN_STEPS], next[BR_PATTERN_STEPS], stack[2 * BR_PATTERN_STEPS];
    uint32_t seen[BR_PATTERN_STEPS]; /* the round in which a step was last reached */
    uint32_t round;
};

struct flags {
    bool folds, dot_is_all, lines;
};

struct parser {
    struct br_pattern *pattern;
    struct br_reader in;
    struct node nodes[NODES_MAX];
    uint16_t node_count;
    unsigned depth;
    struct flags flags;
    unsigned visits; /* of nodes while writing steps: repeating nothing a million times writes none */
    bool is_too_big;
    bool is_bad;
};

static uint16_t parse_alternatives(struct parser *p);
static uint16_t write_steps(struct parser *p, uint16_t node);
static uint32_t next_rune(struct br_reader *r);

static void write_step(struct parser *p, enum step_kind kind, uint16_t x, uint16_t y)
{
    struct br_pattern *pattern = p->pattern;
    if (pattern->step_count == BR_PATTERN_STEPS) {
        p->is_too_big = true;
        return;
    }
    pattern->steps[pattern->step_count++] = (struct step){.kind = (uint8_t)kind, .x = x, .y = y};
}

/* Go takes patterns in UTF-8 only; texts may hold anything. */
static bool is_utf8(struct bruit_bytes text)
{
    struct br_reader in;
    br_reader_init(&in, text);
    while (br_reader_left(&in) > 0) {
        const uint8_t *at = in.at;
        if (next_rune(&in) == RUNE_ERROR && in.at == at + 1)
            return false;
    }
    return true;
}

int br_pattern_new(struct br_pattern **out, struct br_alloc *alloc, struct bruit_bytes text)
{
    if (text.size > BR_PATTERN_SIZE_MAX)
        return BRUIT_ETOOBIG;
    if (!is_utf8(text))
        return BRUIT_EFORMAT;
    struct parser *p = br_alloc_new(alloc, sizeof *p);
    struct br_pattern *pattern = br_alloc_new(alloc, sizeof *pattern);
    int error = BRUIT_ENOMEM;
    if (p != NULL && pattern != NULL) {
        p->pattern = pattern;
        pattern->alloc = alloc;
        br_reader_init(&p->in, text);
        uint16_t root = parse_alternatives(p);
        if (br_reader_left(&p->in) > 0)
            p->is_bad = true; /* a bracket that closes nothing */
        if (!p->is_bad && !p->is_too_big)
            (void)write_steps(p, root);
        write_step(p, STEP_MATCH, 0, 0);
        /* Whoever gives up because it is too big leaves the rest unread, which looks bad too. */
        error = p->is_too_big ? BRUIT_ETOOBIG : p->is_bad ? BRUIT_EFORMAT : 0;
    }
    br_alloc_free(alloc, p, sizeof *p);
    if (error != 0) {
        br_alloc_free(alloc, pattern, sizeof *pattern);
        return error;
    }
    *out = pattern;
    return 0;
}

void br_pattern_free(struct br_pattern *pattern)
{
    if (pattern != NULL)
        br_alloc_free(pattern->alloc, pattern, sizeof *pattern);
}

size_t br_pattern_steps(const struct br_pattern *pattern)
{
    return pattern->step_count;
}

/* ------------------------------------------------------------------ characters */

static bool is_next(const struct parser *p, char c)
{
    return br_reader_left(&p->in) > 0 && *p->in.at == (uint8_t)c;
}

static bool take(struct parser *p, char c)
{
    if (!is_next(p, c))
        return false;
    p->in.at++;
    return true;
}

/* One character of UTF-8; a malformed byte is a character of its own. */
static uint32_t next_rune(struct br_reader *r)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = br_read_u8(r);
    unsigned size = first < 0x80 ? 1 : first >= 0xf0 && first < 0xf8 ? 4 : first >= 0xe0 ? 3 : 2;
    if (size == 1)
        return first;
    if (first < 0xc0 || first >= 0xf8 || br_reader_left(r) < size - 1)
        return RUNE_ERROR;
    uint32_t rune = first & (0x7fu >> size);
    for (unsigned i = 0; i + 1 < size; i++) {
        if ((r->at[i] & 0xc0) != 0x80)
            return RUNE_ERROR;
        rune = rune << 6 | (r->at[i] & 0x3f);
    }
    if (rune < least[size] || rune > RUNE_MAX || (rune >= 0xd800 && rune < 0xe000))
        return RUNE_ERROR;
    r->at += size - 1;
    return rune;
}

/* ------------------------------------------------------------------ nodes and sets */

static uint16_t add_node(struct parser *p, enum node_kind kind, uint16_t left, uint16_t right)
{
    if (p->node_count == NODES_MAX) {
        p->is_too_big = true;
        return 0;
    }
    p->nodes[p->node_count] = (struct node){.kind = (uint8_t)kind, .left = left, .right = right};
    return p->node_count++;
}

static uint16_t add_set(struct parser *p)
{
    struct br_pattern *pattern = p->pattern;
    if (pattern->set_count == SETS_MAX) {
        p->is_too_big = true;
        return 0;
    }
    pattern->sets[pattern->set_count] = (struct set){.first = pattern->range_count, .folds = p->flags.folds};
    pattern->folds = pattern->folds || p->flags.folds;
    return pattern->set_count++;
}

/* To the set made last. `flags` are RANGE_MORE and so on. */
static void add_item(struct parser *p, uint32_t low, uint32_t high, uint32_t flags)
{
    struct br_pattern *pattern = p->pattern;
    if (pattern->range_count == RANGES_MAX || pattern->set_count == 0) {
        p->is_too_big = true;
        return;
    }
    pattern->ranges[pattern->range_count++] = (struct range){.low = low | flags, .high = high};
    pattern->sets[pattern->set_count - 1].count++;
}

static void add_range(struct parser *p, uint32_t low, uint32_t high)
{
    add_item(p, low, high, 0);
}

static uint16_t add_rune(struct parser *p, uint32_t rune)
{
    uint16_t set = add_set(p);
    add_range(p, rune, rune);
    return add_node(p, NODE_SET, set, 0);
}

/* ------------------------------------------------------------------ classes */

struct class
{
    const char *name;
    const char *ranges; /* pairs of characters */
};

/* Perl's, by letter, and POSIX's. */
static const struct class perl_classes[] = {
    {"d", "09"},
    {"s", "\t\n\f\r  "},
    {"w", "09AZ__az"},
};
static const struct class posix_classes[] = {
    {"alnum", "09AZaz"},
    {"alpha", "AZaz"},
    {"ascii", "\x01\x7f"},
    {"blank", "\t\t  "},
    {"cntrl", "\x01\x1f\x7f\x7f"},
    {"digit", "09"},
    {"graph", "!~"},
    {"lower", "az"},
    {"print", " ~"},
    {"punct", "!/:@[`{~"},
    {"space", "\t\r  "},
    {"upper", "AZ"},
    {"word", "09AZ__az"},
    {"xdigit", "09AFaf"},
};

/* Adds a class, or all that is not in it. */
static void add_class(struct parser *p, const struct class *class, bool is_negated)
{
    /* A zero cannot stand in the text: both classes that begin at 1 mean 0. */
    bool has_zero = class->ranges[0] == '\x01';
    for (const char *at = class->ranges; *at != 0; at += 2)
        add_item(p, has_zero && at == class->ranges ? 0 : (uint8_t)at[0], (uint8_t)at[1],
                 (at[2] != 0 ? RANGE_MORE : 0) | (is_negated ? RANGE_NOT : 0));
}

/* \pN, \p{Name} or \p{^Name}, and \P for its negation, the backslash next; false when it is none of them. */
static bool take_unicode_class(struct parser *p)
{
    struct bruit_bytes rest = br_reader_rest(&p->in);
    if (rest.size < 2 || rest.data[0] != '\\' || (rest.data[1] | 0x20) != 'p')
        return false;
    bool is_negated = rest.data[1] == 'P';
    p->in.at += 2;
    bool in_braces = take(p, '{');
    if (in_braces && take(p, '^'))
        is_negated = !is_negated;
    rest = br_reader_rest(&p->in);
    const uint8_t *end = in_braces && rest.size > 0 ? memchr(rest.data, '}', rest.size) : NULL;
    size_t size = !in_braces ? 1 : end == NULL ? 0 : (size_t)(end - rest.data);
    br_unicode_class class =
        size == 0 || size > rest.size ? 0 : br_unicode_class_named(br_bytes(rest.data, size));
    if (class == 0) {
        p->is_bad = true; /* as Go: there is no such class */
        return true;
    }
    p->in.at += size + in_braces;
    p->pattern->has_classes = true;
    add_item(p, class, 0, RANGE_CLASS | (is_negated ? RANGE_NOT : 0));
    return true;
}

/* The class that a letter after a backslash names, upper case for its negation; false when it names none. */
static bool add_perl_class(struct parser *p, char letter)
{
    for (size_t i = 0; i < sizeof perl_classes / sizeof perl_classes[0]; i++) {
        char lower = perl_classes[i].name[0];
        if (letter == lower || letter == lower - 'a' + 'A') {
            add_class(p, &perl_classes[i], letter != lower);
            return true;
        }
    }
    return false;
}

/* [:name:] or [:^name:] inside a class. */
static bool take_posix_class(struct parser *p)
{
    struct bruit_bytes rest = br_reader_rest(&p->in);
    for (size_t i = 0; i < sizeof posix_classes / sizeof posix_classes[0]; i++) {
        const char *name = posix_classes[i].name;
        for (unsigned negated = 0; negated < 2; negated++) {
            size_t size = strlen(name) + 4 + negated;
            if (rest.size < size || memcmp(rest.data, negated ? "[:^" : "[:", 2 + negated) != 0 ||
                memcmp(rest.data + 2 + negated, name, strlen(name)) != 0 ||
                memcmp(rest.data + size - 2, ":]", 2) != 0)
                continue;
            p->in.at += size;
            add_class(p, &posix_classes[i], negated);
            return true;
        }
    }
    return false;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What follows \x: two digits, or any number of them in braces. */
static uint32_t take_hex(struct parser *p)
{
    bool in_braces = take(p, '{');
    uint32_t rune = 0;
    unsigned count = 0;
    while (br_reader_left(&p->in) > 0 && (in_braces || count < 2)) {
        int digit = hex_digit(*p->in.at);
        if (digit < 0)
            break;
        rune = rune * 16 + (uint32_t)digit;
        p->in.at++;
        count++;
        if (rune > RUNE_MAX)
            break;
    }
    if (rune > RUNE_MAX || count == 0 || (!in_braces && count < 2) || (in_braces && !take(p, '}')))
        p->is_bad = true;
    return rune;
}

/* A single digit other than 0 would be a reference to a group, which this language has not. */
static uint32_t take_octal(struct parser *p, uint8_t first)
{
    uint32_t rune = (uint32_t)(first - '0');
    bool has_next = br_reader_left(&p->in) > 0 && *p->in.at >= '0' && *p->in.at <= '7';
    if (first != '0' && !has_next)
        p->is_bad = true;
    for (unsigned i = 0; i < 2 && br_reader_left(&p->in) > 0 && *p->in.at >= '0' && *p->in.at <= '7'; i++)
        rune = rune * 8 + (uint32_t)(br_read_u8(&p->in) - '0');
    return rune;
}

/* The character that an escape (its backslash is taken) stands for. */
static uint32_t take_escaped(struct parser *p)
{
    if (br_reader_left(&p->in) == 0 || *p->in.at >= 0x80) {
        p->is_bad = true;
        return 0;
    }
    uint8_t c = br_read_u8(&p->in);
    switch (c) {
    case 'a': return 7;
    case 'f': return 12;
    case 'n': return 10;
    case 'r': return 13;
    case 't': return 9;
    case 'v': return 11;
    case 'x': return take_hex(p);
    default: break;
    }
    if (c >= '0' && c <= '7')
        return take_octal(p, c);
    if ((c >= '8' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
        p->is_bad = true;
    return c;
}

static uint32_t take_class_rune(struct parser *p)
{
    if (br_reader_left(&p->in) == 0) {
        p->is_bad = true;
        return 0;
    }
    return take(p, '\\') ? take_escaped(p) : next_rune(&p->in);
}

static void take_class_item(struct parser *p)
{
    struct bruit_bytes rest = br_reader_rest(&p->in);
    if (rest.size >= 2 && rest.data[0] == '[' && rest.data[1] == ':') {
        if (!take_posix_class(p))
            p->is_bad = true;
        return;
    }
    if (rest.size >= 2 && rest.data[0] == '\\' && add_perl_class(p, (char)rest.data[1])) {
        p->in.at += 2;
        return;
    }
    if (take_unicode_class(p))
        return;
    uint32_t low = take_class_rune(p), high = low;
    rest = br_reader_rest(&p->in);
    if (rest.size >= 2 && rest.data[0] == '-' && rest.data[1] != ']') {
        p->in.at++;
        high = take_class_rune(p);
    }
    if (high < low)
        p->is_bad = true;
    add_range(p, low, high);
}

/* [...], its bracket is taken. */
static uint16_t parse_class(struct parser *p)
{
    uint16_t set = add_set(p);
    bool is_negated = take(p, '^');
    for (bool is_first = true; !p->is_bad && !p->is_too_big; is_first = false) {
        if (br_reader_left(&p->in) == 0) {
            p->is_bad = true;
            break;
        }
        if (!is_first && take(p, ']'))
            break;
        take_class_item(p);
    }
    p->pattern->sets[set].is_negated = is_negated;
    return add_node(p, NODE_SET, set, 0);
}

/* ------------------------------------------------------------------ atoms */

static uint16_t parse_dot(struct parser *p)
{
    uint16_t set = add_set(p);
    if (p->flags.dot_is_all) {
        add_range(p, 0, RUNE_MAX);
    } else {
        add_range(p, 0, '\n' - 1);
        add_range(p, '\n' + 1, RUNE_MAX);
    }
    return add_node(p, NODE_SET, set, 0);
}

static uint16_t add_assertion(struct parser *p, enum assertion assertion)
{
    return add_node(p, NODE_ASSERT, (uint16_t)assertion, 0);
}

/* \Q...\E, or to the end: the text itself. */
static uint16_t parse_quoted(struct parser *p)
{
    uint16_t node = add_node(p, NODE_EMPTY, 0, 0);
    while (br_reader_left(&p->in) > 0 && !p->is_too_big) {
        struct bruit_bytes rest = br_reader_rest(&p->in);
        if (rest.size >= 2 && rest.data[0] == '\\' && rest.data[1] == 'E') {
            p->in.at += 2;
            break;
        }
        uint16_t rune = add_rune(p, next_rune(&p->in));
        node = add_node(p, NODE_THEN, node, rune);
    }
    return node;
}

/* What follows a backslash outside of brackets. */
static uint16_t parse_escape(struct parser *p)
{
    if (take(p, 'A'))
        return add_assertion(p, TEXT_START);
    if (take(p, 'z'))
        return add_assertion(p, TEXT_END);
    if (take(p, 'b'))
        return add_assertion(p, WORD_EDGE);
    if (take(p, 'B'))
        return add_assertion(p, NO_WORD_EDGE);
    if (take(p, 'Q'))
        return parse_quoted(p);
    if (br_reader_left(&p->in) > 0 && strchr("dDsSwW", *p->in.at) != NULL && *p->in.at != 0) {
        uint16_t set = add_set(p);
        (void)add_perl_class(p, (char)br_read_u8(&p->in));
        return add_node(p, NODE_SET, set, 0);
    }
    return add_rune(p, take_escaped(p));
}

/* The name of a group, (?P<name> or (?<name>: read over. */
static void take_group_name(struct parser *p)
{
    size_t size = 0;
    while (br_reader_left(&p->in) > 0 && *p->in.at != '>') {
        uint8_t c = br_read_u8(&p->in);
        if (c != '_' && hex_digit(c) < 0 && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
            p->is_bad = true;
        size++;
    }
    if (size == 0 || !take(p, '>'))
        p->is_bad = true;
}

/* (?flags) and (?flags:...; true when a group follows, which is the case unless it ends in a bracket. */
static bool take_group_flags(struct parser *p)
{
    bool value = true, any = false;
    while (br_reader_left(&p->in) > 0) {
        switch (br_read_u8(&p->in)) {
        case 'i': p->flags.folds = value; break;
        case 's': p->flags.dot_is_all = value; break;
        case 'm': p->flags.lines = value; break;
        case 'U': break; /* which match is preferred: nobody asks here */
        case '-':
            if (!value)
                p->is_bad = true;
            value = false;
            any = false;
            continue;
        case ':': p->is_bad |= !value && !any; return true;
        case ')': p->is_bad |= !any; return false;
        default: p->is_bad = true; return false;
        }
        any = true;
    }
    p->is_bad = true;
    return false;
}

/* (...), its bracket is taken. Flags set inside hold to its end. */
static uint16_t parse_group(struct parser *p)
{
    struct flags outside = p->flags;
    if (take(p, '?')) {
        bool is_named = is_next(p, 'P') || is_next(p, '<');
        if (is_named) {
            (void)take(p, 'P');
            if (!take(p, '<'))
                p->is_bad = true;
            take_group_name(p);
        } else if (!take_group_flags(p)) {
            return add_node(p, NODE_EMPTY, 0, 0);
        }
    }
    uint16_t node = p->is_bad ? 0 : parse_alternatives(p);
    if (!take(p, ')'))
        p->is_bad = true;
    p->flags = outside;
    return node;
}

static uint16_t parse_atom(struct parser *p)
{
    struct bruit_bytes rest = br_reader_rest(&p->in);
    if (rest.size >= 2 && rest.data[0] == '\\' && (rest.data[1] | 0x20) == 'p') {
        uint16_t set = add_set(p);
        (void)take_unicode_class(p);
        return add_node(p, NODE_SET, set, 0);
    }
    if (take(p, '('))
        return parse_group(p);
    if (take(p, '['))
        return parse_class(p);
    if (take(p, '.'))
        return parse_dot(p);
    if (take(p, '^'))
        return add_assertion(p, p->flags.lines ? LINE_START : TEXT_START);
    if (take(p, '$'))
        return add_assertion(p, p->flags.lines ? LINE_END : TEXT_END);
    if (take(p, '\\'))
        return parse_escape(p);
    if (is_next(p, '*') || is_next(p, '+') || is_next(p, '?'))
        p->is_bad = true; /* repeats nothing */
    return add_rune(p, next_rune(&p->in));
}

/* ------------------------------------------------------------------ repetition, sequence, alternatives */

static bool take_number(struct br_reader *r, uint32_t *number)
{
    const uint8_t *start = r->at;
    *number = 0;
    while (br_reader_left(r) > 0 && *r->at >= '0' && *r->at <= '9') {
        uint32_t digit = (uint32_t)(br_read_u8(r) - '0');
        *number = *number > REPEAT_MAX ? REPEAT_MAX + 1 : *number * 10 + digit;
    }
    return r->at > start;
}

/* {n}, {n,} or {n,m}; anything else in braces is plain text. */
static bool take_braces(struct parser *p, uint16_t *min, uint16_t *max)
{
    struct br_reader r = p->in;
    uint32_t low, high;
    if (br_reader_left(&r) == 0 || br_read_u8(&r) != '{' || !take_number(&r, &low))
        return false;
    high = low;
    bool has_comma = br_reader_left(&r) > 0 && *r.at == ',';
    if (has_comma) {
        r.at++;
        if (!take_number(&r, &high))
            high = UNBOUNDED;
    }
    if (br_reader_left(&r) == 0 || br_read_u8(&r) != '}')
        return false;
    if (low > REPEAT_MAX || (high != UNBOUNDED && (high > REPEAT_MAX || high < low)))
        p->is_bad = true;
    p->in = r;
    *min = (uint16_t)low;
    *max = (uint16_t)high;
    return true;
}

static bool take_repetition(struct parser *p, uint16_t *min, uint16_t *max)
{
    *min = is_next(p, '+');
    *max = is_next(p, '?') ? 1 : UNBOUNDED;
    if (!take(p, '*') && !take(p, '+') && !take(p, '?') && !take_braces(p, min, max))
        return false;
    (void)take(p, '?'); /* prefer the shorter: nobody asks here */
    return true;
}

static uint16_t parse_repeated(struct parser *p)
{
    uint16_t min, max;
    uint16_t node = parse_atom(p);
    if (p->is_bad || p->is_too_big || !take_repetition(p, &min, &max))
        return node;
    node = add_node(p, NODE_REPEAT, node, 0);
    p->nodes[node].min = min;
    p->nodes[node].max = max;
    if (take_repetition(p, &min, &max))
        p->is_bad = true; /* of a repetition: Go wants brackets around it */
    return node;
}

static uint16_t parse_sequence(struct parser *p)
{
    uint16_t node = add_node(p, NODE_EMPTY, 0, 0);
    while (br_reader_left(&p->in) > 0 && !is_next(p, '|') && !is_next(p, ')') && !p->is_bad &&
           !p->is_too_big) {
        uint16_t right = parse_repeated(p);
        node = add_node(p, NODE_THEN, node, right);
    }
    return node;
}

static uint16_t parse_alternatives(struct parser *p)
{
    if (++p->depth > DEPTH_MAX) {
        p->is_too_big = true;
        return 0;
    }
    uint16_t node = parse_sequence(p);
    while (!p->is_bad && !p->is_too_big && take(p, '|')) {
        uint16_t right = parse_sequence(p);
        node = add_node(p, NODE_OR, node, right);
    }
    p->depth--;
    return node;
}

/* ------------------------------------------------------------------ steps */

static uint16_t here(const struct parser *p)
{
    return p->pattern->step_count;
}

static void write_optional_copies(struct parser *p, uint16_t node, unsigned count)
{
    uint16_t first = here(p);
    for (unsigned i = 0; i < count && !p->is_too_big; i++) {
        write_step(p, STEP_SPLIT, (uint16_t)(here(p) + 1), UINT16_MAX);
        (void)write_steps(p, node);
    }
    /*
     * Each split's second way leads behind the last copy; the copies may hold other splits, which are
     * complete.
     */
    for (uint16_t i = first; i < here(p); i++)
        if (p->pattern->steps[i].kind == STEP_SPLIT && p->pattern->steps[i].y == UINT16_MAX)
            p->pattern->steps[i].y = here(p);
}

static void write_repeat(struct parser *p, const struct node *repeat)
{
    for (unsigned i = 0; i < repeat->min && !p->is_too_big; i++)
        (void)write_steps(p, repeat->left);
    if (repeat->max != UNBOUNDED) {
        write_optional_copies(p, repeat->left, (unsigned)(repeat->max - repeat->min));
        return;
    }
    uint16_t split = here(p);
    write_step(p, STEP_SPLIT, (uint16_t)(split + 1), 0);
    (void)write_steps(p, repeat->left);
    write_step(p, STEP_JUMP, split, 0);
    if (!p->is_too_big)
        p->pattern->steps[split].y = here(p);
}

static void write_or(struct parser *p, const struct node *node)
{
    uint16_t split = here(p);
    write_step(p, STEP_SPLIT, (uint16_t)(split + 1), 0);
    uint16_t jump = write_steps(p, node->left);
    write_step(p, STEP_JUMP, 0, 0);
    if (p->is_too_big)
        return;
    p->pattern->steps[split].y = here(p);
    (void)write_steps(p, node->right);
    p->pattern->steps[jump].x = here(p);
}

/* Returns where the next step will be. As deep as the tree, which is no deeper than the pattern is long. */
static uint16_t write_steps(struct parser *p, uint16_t index)
{
    const struct node *node = &p->nodes[index];
    if (++p->visits > VISITS_MAX)
        p->is_too_big = true;
    if (p->is_too_big)
        return here(p);
    switch ((enum node_kind)node->kind) {
    case NODE_EMPTY: break;
    case NODE_SET: write_step(p, STEP_SET, node->left, 0); break;
    case NODE_ASSERT: write_step(p, STEP_ASSERT, node->left, 0); break;
    case NODE_THEN:
        (void)write_steps(p, node->left);
        (void)write_steps(p, node->right);
        break;
    case NODE_OR: write_or(p, node); break;
    case NODE_REPEAT: write_repeat(p, node); break;
    }
    return here(p);
}

/* ------------------------------------------------------------------ matching */

struct position {
    bool is_start, is_end;
    uint32_t before, after; /* the characters on both sides; 0 where there is none */
};

static bool is_word(uint32_t rune)
{
    return rune < 0x80 &&
           (rune == '_' || (rune >= '0' && rune <= '9') || ((rune | 0x20) >= 'a' && (rune | 0x20) <= 'z'));
}

static bool holds(enum assertion assertion, const struct position *at)
{
    switch (assertion) {
    case TEXT_START: return at->is_start;
    case TEXT_END: return at->is_end;
    case LINE_START: return at->is_start || at->before == '\n';
    case LINE_END: return at->is_end || at->after == '\n';
    case WORD_EDGE: return is_word(at->before) != is_word(at->after);
    case NO_WORD_EDGE: return is_word(at->before) == is_word(at->after);
    }
    return false;
}

/* A character of the text, and those that are the same but for case, as far as the pattern asks. */
struct subject {
    uint32_t runes[BR_UNICODE_ORBIT_MAX];
    struct br_unicode_kind kinds[BR_UNICODE_ORBIT_MAX];
    size_t count;
};

static struct subject look_up(const struct br_pattern *pattern, uint32_t rune)
{
    struct subject out = {.count = 0};
    uint32_t each = rune;
    do {
        out.runes[out.count] = each;
        if (pattern->has_classes)
            out.kinds[out.count] = br_unicode_kind_of(each);
        out.count++;
        if (pattern->folds)
            each = br_unicode_fold(each);
    } while (each != rune && out.count < BR_UNICODE_ORBIT_MAX);
    return out;
}

static bool is_in_range(const struct range *range, const struct subject *subject, size_t count)
{
    uint32_t low = range->low & RANGE_VALUE;
    for (size_t i = 0; i < count; i++) {
        bool is_in = (range->low & RANGE_CLASS) != 0
                         ? br_unicode_is(subject->kinds[i], (br_unicode_class)low)
                         : subject->runes[i] >= low && subject->runes[i] <= range->high;
        if (is_in)
            return true;
    }
    return false;
}

static bool is_in_set(const struct br_pattern *pattern, const struct set *set, const struct subject *subject)
{
    size_t count = set->folds ? subject->count : 1;
    bool is_in = false, is_in_item = false;
    for (uint16_t i = 0; i < set->count && !is_in; i++) {
        const struct range *range = &pattern->ranges[set->first + i];
        is_in_item = is_in_item || is_in_range(range, subject, count);
        if ((range->low & RANGE_MORE) != 0)
            continue;
        is_in = is_in_item != ((range->low & RANGE_NOT) != 0);
        is_in_item = false;
    }
    return is_in != set->is_negated;
}

/* Adds `step` and all that can be reached from it without a character. True when the end is among them. */
static bool reach(struct br_pattern *pattern, uint16_t *list, size_t *count, uint16_t step,
                  const struct position *at)
{
    size_t depth = 0;
    pattern->stack[depth++] = step;
    while (depth > 0) {
        uint16_t index = pattern->stack[--depth];
        if (pattern->seen[index] == pattern->round)
            continue;
        pattern->seen[index] = pattern->round;
        const struct step *s = &pattern->steps[index];
        switch ((enum step_kind)s->kind) {
        case STEP_MATCH: return true;
        case STEP_SET: list[(*count)++] = index; break;
        case STEP_JUMP: pattern->stack[depth++] = s->x; break;
        case STEP_SPLIT:
            pattern->stack[depth++] = s->y;
            pattern->stack[depth++] = s->x;
            break;
        case STEP_ASSERT:
            if (holds((enum assertion)s->x, at))
                pattern->stack[depth++] = (uint16_t)(index + 1);
            break;
        }
    }
    return false;
}

static void begin_round(struct br_pattern *pattern)
{
    if (++pattern->round == 0) {
        memset(pattern->seen, 0, sizeof pattern->seen);
        pattern->round = 1;
    }
}

static uint32_t peek_rune(struct br_reader r)
{
    return br_reader_left(&r) == 0 ? 0 : next_rune(&r);
}

bool br_pattern_matches(struct br_pattern *pattern, struct bruit_bytes text)
{
    struct br_reader in;
    size_t count = 0;
    br_reader_init(&in, text);
    struct position at = {.is_start = true, .is_end = text.size == 0, .after = peek_rune(in)};
    begin_round(pattern);
    if (reach(pattern, pattern->now, &count, 0, &at))
        return true;
    while (br_reader_left(&in) > 0) {
        uint32_t rune = next_rune(&in);
        struct subject subject = look_up(pattern, rune);
        size_t next_count = 0;
        at = (struct position){.is_end = br_reader_left(&in) == 0, .before = rune, .after = peek_rune(in)};
        begin_round(pattern);
        for (size_t i = 0; i < count; i++) {
            const struct step *s = &pattern->steps[pattern->now[i]];
            if (is_in_set(pattern, &pattern->sets[s->x], &subject) &&
                reach(pattern, pattern->next, &next_count, (uint16_t)(pattern->now[i] + 1), &at))
                return true;
        }
        /* A match may begin anywhere. */
        if (reach(pattern, pattern->next, &next_count, 0, &at))
            return true;
        memcpy(pattern->now, pattern->next, next_count * sizeof pattern->now[0]);
        count = next_count;
    }
    return false;
}
