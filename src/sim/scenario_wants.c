/*
 * What is expected of a cluster, as words of a scenario: `at TIME expect ...` and `never ...`.
 */
#include "sim/scenario_parts.h"

#include "base/trace.h"

#include <bruit/engine.h>
#include <bruit/stats.h>

#include <string.h>

/* ------------------------------------------------------------------ names of others */

static const char *const record_names[] = {
#define RECORD(name, level, component, sentence, fields) #name,
#define FIELD(type, name)
#include "base/trace.def"
#undef RECORD
#undef FIELD
};
#define RECORD_NAMES (sizeof record_names / sizeof record_names[0])

static const char *const drop_names[] = {
#define NAME(name, text) #name,
    BRUIT_DROPS(NAME)
#undef NAME
};
#define DROP_NAMES (sizeof drop_names / sizeof drop_names[0])

static void read_record(struct br_words *w, struct br_statement *s)
{
    size_t id = br_words_choice(w, "a record of the trace", record_names, RECORD_NAMES);
    s->number = (uint32_t)id;
    if (id < RECORD_NAMES)
        (void)strncpy(s->word, record_names[id], sizeof s->word - 1);
}

/* ------------------------------------------------------------------ endings */

static const char *const endings[] = {"within", "stays", "at", "for", "over"};

static void read_observers(struct br_words *w, struct br_statement *s)
{
    if (br_words_accept(w, "everywhere"))
        return;
    if (br_words_accept(w, "at")) {
        s->has_whom = true;
        br_words_nodes(w, &s->whom);
    }
}

static void end_expect(struct br_words *w, struct br_statement *s)
{
    if (br_words_accept(w, "within"))
        s->within = br_words_duration(w, "within");
    if (br_words_accept(w, "stays"))
        s->stays = br_words_duration(w, "stays");
    br_words_end(w, endings, 3);
}

/* ------------------------------------------------------------------ expect */

static void expect_one_view(struct br_words *w, struct br_statement *s)
{
    br_words_expect(w, "view");
    s->verb = BR_EXPECT_ONE_VIEW;
    end_expect(w, s);
}

static void expect_trace(struct br_words *w, struct br_statement *s)
{
    s->verb = BR_EXPECT_TRACE;
    read_record(w, s);
    read_observers(w, s);
    end_expect(w, s);
}

static void expect_quiet(struct br_words *w, struct br_statement *s)
{
    s->verb = BR_EXPECT_QUIET;
    read_observers(w, s);
    end_expect(w, s);
}

static void expect_memory(struct br_words *w, struct br_statement *s)
{
    s->verb = BR_EXPECT_MEMORY;
    br_words_nodes(w, &s->whom);
    s->has_whom = true;
    br_words_expect(w, "below");
    s->size = br_words_size(w, "below");
    end_expect(w, s);
}

static void expect_drop(struct br_words *w, struct br_statement *s)
{
    s->verb = BR_EXPECT_DROP;
    size_t reason = br_words_choice(w, "a reason to drop, such as FOREIGN_HTTP", drop_names, DROP_NAMES);
    s->number = (uint32_t)reason;
    if (reason < DROP_NAMES)
        (void)strncpy(s->word, drop_names[reason], sizeof s->word - 1);
    read_observers(w, s);
    end_expect(w, s);
}

/* Whose event it is does not matter, only its name. */
static void expect_heard(struct br_words *w, struct br_statement *s)
{
    uint8_t text[255];
    s->verb = BR_EXPECT_HEARD;
    size_t size = br_words_text(w, "the name of an event", text, sizeof text);
    br_statement_text(w, s, text, size);
    s->who = (struct br_node_set){.count = 1}; /* nobody yet: who has heard it is noted there */
    read_observers(w, s);
    end_expect(w, s);
}

static void expect_at(struct br_words *w, struct br_statement *s, enum br_verb verb)
{
    s->verb = verb;
    br_words_expect(w, "at");
    s->has_whom = true;
    br_words_nodes(w, &s->whom);
    end_expect(w, s);
}

static const char *const states[] = {"alive", "suspect", "dead", "left", "unknown", "gone", "here"};

static void expect_state(struct br_words *w, struct br_statement *s)
{
    static const char *const firsts[] = {"one",  "trace", "quiet",    "memory",
                                         "drop", "heard", "answered", "refused"};
    s->verb = BR_EXPECT_STATE;
    if (br_words_more(w) && w->words[w->next].text[0] != 'n' && !br_words_peek(w, "all")) {
        uint32_t word = w->next;
        br_words_nodes(w, &s->who);
        if (w->failed && w->next == word) {
            w->failed = false;
            br_words_expected(w, "nodes, or one view, trace, quiet, memory, drop, heard, answered or refused",
                              firsts, 8);
        }
    } else {
        br_words_nodes(w, &s->who);
    }
    s->number = (uint32_t)br_words_choice(w, "alive, suspect, dead, left, unknown, gone or here", states, 7);
    if (s->number < 7)
        (void)strncpy(s->word, states[s->number], sizeof s->word - 1);
    read_observers(w, s);
    end_expect(w, s);
}

/* ------------------------------------------------------------------ never */

static const char *const changes[] = {"joined", "failed", "suspected", "left", "cleared", "forgotten"};
static const uint32_t change_bits[] = {BRUIT_CHANGE_JOINED, BRUIT_CHANGE_FAILED,  BRUIT_CHANGE_SUSPECTED,
                                       BRUIT_CHANGE_LEFT,   BRUIT_CHANGE_CLEARED, BRUIT_CHANGE_FORGOTTEN};

static void never_change(struct br_words *w, struct br_statement *s)
{
    const char *names[7] = {"trace"};
    memcpy(names + 1, changes, sizeof changes);
    size_t change =
        br_words_choice(w, "joined, failed, suspected, left, cleared, forgotten or trace", names, 7);
    s->verb = change == 0 ? BR_NEVER_TRACE : BR_NEVER_CHANGE;
    if (change == 0) {
        read_record(w, s);
    } else if (change < 7) {
        s->number = change_bits[change - 1];
        (void)strncpy(s->word, changes[change - 1], sizeof s->word - 1);
        br_words_nodes(w, &s->who);
    }
}

void br_read_never(struct br_words *w, struct br_statement *s)
{
    static const char *const options[] = {"at", "from", "until"};
    s->until = BRUIT_NEVER;
    never_change(w, s);
    read_observers(w, s);
    if (br_words_accept(w, "from"))
        s->at = br_words_duration(w, "from");
    if (br_words_accept(w, "until"))
        s->until = br_words_duration(w, "until");
    br_words_end(w, options, 3);
}

/* ------------------------------------------------------------------ all of them */

void br_read_expect(struct br_words *w, struct br_statement *s)
{
    if (br_words_accept(w, "one"))
        expect_one_view(w, s);
    else if (br_words_accept(w, "trace"))
        expect_trace(w, s);
    else if (br_words_accept(w, "quiet"))
        expect_quiet(w, s);
    else if (br_words_accept(w, "memory"))
        expect_memory(w, s);
    else if (br_words_accept(w, "drop"))
        expect_drop(w, s);
    else if (br_words_accept(w, "heard"))
        expect_heard(w, s);
    else if (br_words_accept(w, "answered"))
        expect_at(w, s, BR_EXPECT_ANSWERED);
    else if (br_words_accept(w, "refused"))
        expect_at(w, s, BR_EXPECT_REFUSED);
    else
        expect_state(w, s);
}

const struct br_form br_forms_want[] = {
    {"one", "at T expect one view [within D] [stays D]", "all who run believe exactly those alive who run",
     NULL, 0},
    {"state", "at T expect NODES alive|suspect|dead|left|unknown|gone|here [at NODES] [within D] [stays D]",
     "all who run, or those named, believe this of them", NULL, 0},
    {"trace", "at T expect trace RECORD [at NODES] [within D]", "the record is written by one of them", NULL,
     0},
    {"quiet", "at T expect quiet [at NODES] [within D] [stays D]", "they have no news left to tell", NULL, 0},
    {"memory", "at T expect memory NODES below BYTES [stays D]", "their engines hold less", NULL, 0},
    {"drop", "at T expect drop REASON [at NODES] [within D]", "one of them dropped something for it", NULL,
     0},
    {"heard", "at T expect heard NAME [at NODES] [within D]", "all of them are told of the event", NULL, 0},
    {"answered", "at T expect answered at NODES [within D]", "everybody has answered their last query", NULL,
     0},
    {"refused", "at T expect refused at NODES [within D]",
     "their engines took an event or a query not at all", NULL, 0},
    {"never", "never joined|failed|suspected|left|cleared|forgotten NODES [at NODES] [from T] [until T]",
     "nobody, or none of those behind at, is told this of them", NULL, 0},
    {"never", "never trace RECORD [at NODES] [from T] [until T]", "nobody writes it", NULL, 0},
};
const size_t br_forms_want_count = sizeof br_forms_want / sizeof br_forms_want[0];
