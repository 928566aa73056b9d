/*
 * A query through an agent, as the commands that send one do it: the question, then the answers one by one.
 */
#ifndef BR_CLI_ASKING_H
#define BR_CLI_ASKING_H

#include "cli/session.h"

#include "agent/flags.h"

struct br_asking {
    const char *name;
    const char *payload;           /* NULL: none */
    const struct br_values *nodes; /* only these; NULL or empty: all */
    const struct br_values *tags;  /* key=expression, already checked; NULL: nothing is said about tags */
    bool ack;
    uint8_t relay_factor;
    bruit_time timeout; /* 0: the agent's default */
    const char *
        until; /* NULL, or when to end before that: "acked", "responded". An agent of Serf's waits all the same */
};

/* One record. Slices are borrowed until the next is read. */
struct br_answer {
    struct bruit_bytes from; /* empty: that was all */
    struct bruit_bytes payload;
    bool is_ack;
};

/* Sends the query. 0, or an error with the session's `why`. */
int br_ask(struct br_session *session, const struct br_asking *asking);

/* The next record of the query sent last. False at its end, also when the agent has gone. */
bool br_next_answer(struct br_session *session, struct br_answer *out);

#endif
