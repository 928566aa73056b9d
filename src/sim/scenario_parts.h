/*
 * What the files of the parser share: scenario_parse.c (lines and settings), scenario_keys.c (the engine's keys and
 * the links), scenario_acts.c (what happens), scenario_wants.c (what is expected).
 */
#ifndef BR_SIM_SCENARIO_PARTS_H
#define BR_SIM_SCENARIO_PARTS_H

#include "sim/scenario_words.h"

/* One form of statement: `read` takes what stands behind the word. */
struct br_form {
    const char *name;
    const char *usage;   /* the whole statement */
    const char *meaning; /* one line */
    void (*read)(struct br_words *w, struct br_statement *s);
    uint32_t number; /* for `read` */
};

/* What happens (`at TIME VERB ...`). */
extern const struct br_form br_forms_act[];
extern const size_t br_forms_act_count;
/* What is expected (`at TIME expect ...`, `never ...`): for the usage only. */
extern const struct br_form br_forms_want[];
extern const size_t br_forms_want_count;

/* Reads the statement behind `at TIME`; `s` has its time and line. */
void br_read_act(struct br_words *w, struct br_statement *s);
void br_read_expect(struct br_words *w, struct br_statement *s);
void br_read_never(struct br_words *w, struct br_statement *s);

/* One of the engine's keys by its name, behind which its value stands; false when it is none. */
bool br_read_key(struct br_words *w, struct bruit_config *config, uint32_t *index);
/* The names of the engine's keys, for "the nearest word"; returns how many there are. */
size_t br_key_names(const char **names, size_t most);

/* A setting of a link; false when the word is none. */
bool br_read_link(struct br_words *w, struct bruit_sim_link *link);
size_t br_link_names(const char **names, size_t most);
/* One form of setting and what it means; NULL past the last. */
const char *br_link_usage(size_t index, const char **meaning);

/* A copy of a text in the statement. */
void br_statement_text(struct br_words *w, struct br_statement *s, const uint8_t *text, size_t size);

#endif
