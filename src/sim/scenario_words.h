/*
 * The words of one line, and what can be read from them.
 *
 * Each reader function takes the next word, or says what it expected instead and marks the reader as failed;
 * after that all others return zeros and do nothing, so that a statement can be read to its end and asked once.
 */
#ifndef BR_SIM_SCENARIO_WORDS_H
#define BR_SIM_SCENARIO_WORDS_H

#include "sim/scenario.h"

#define BR_WORDS_MAX 80

struct br_word {
    const char *text; /* not ended by a zero */
    size_t size;
    bool is_quoted;
};

struct br_words {
    struct br_scenario *scenario;
    struct br_scenario_error *error;
    struct br_word words[BR_WORDS_MAX];
    uint32_t count;
    uint32_t next;
    uint32_t line;
    bool failed;
};

/* Cuts a line into words. */
void br_words_cut(struct br_words *w, struct bruit_bytes line);

/* Says what is wrong with this line; the first thing said stays. */
void br_words_fail(struct br_words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "expected WHAT, but ..." and the nearest of `names`, if one is near. */
void br_words_expected(struct br_words *w, const char *what, const char *const *names, size_t count);

/* Whether words are left; and the word that would be next. */
bool br_words_more(const struct br_words *w);
bool br_words_peek(const struct br_words *w, const char *word);
/* Takes the word if it is this one. */
bool br_words_accept(struct br_words *w, const char *word);
/* Takes this word, or fails. */
void br_words_expect(struct br_words *w, const char *word);
/* Fails if words are left. `options` is what might have come, or NULL. */
void br_words_end(struct br_words *w, const char *const *options, size_t count);

/* The index of the next word among `names`, or `count` and failed. */
size_t br_words_choice(struct br_words *w, const char *what, const char *const *names, size_t count);

/* 500ms, 1.5s, 2m, 1h, 3d; 0. `after` names the word before, for the message. */
bruit_time br_words_duration(struct br_words *w, const char *after);
/* 2%, 0.5%: parts of a million. */
uint32_t br_words_fraction(struct br_words *w, const char *after);
uint64_t br_words_number(struct br_words *w, const char *after, uint64_t least, uint64_t most);
/* 100, 64kB, 1MiB. */
uint64_t br_words_size(struct br_words *w, const char *after);
bool br_words_flag(struct br_words *w, const char *after);
/* A name, a text in quotes with \n, \xNN: into `out`, returns its size. */
size_t br_words_text(struct br_words *w, const char *what, uint8_t *out, size_t most);
size_t br_words_hex(struct br_words *w, const char *what, uint8_t *out, size_t most);
/* n3 | n3..n9 | all | 5% | zone1 | a group, joined by commas, and `but` those of another such list. */
void br_words_nodes(struct br_words *w, struct br_node_set *set);

/* The distance of two words: how many letters to add, leave out, change or swap with their neighbour. */
uint32_t br_words_distance(const char *a, size_t a_size, const char *b, size_t b_size);

#endif
