/*
 * The campaign of replicated state: a cluster that writes under faults, and what must hold whatever befell it.
 *
 *     state_history.c   every write with what it had seen      state_fault.c   what befalls the cluster
 *     state_run.c       the cluster, who writes what           state_check.c   what must hold
 *     state_measure.c   how fast and at what cost              cmd_state.c     the command
 *
 * A seed is a run: some epochs in which nodes write, overwrite, delete and compare-and-set the same few keys while
 * the network and they themselves fail; after each the faults end, and when all is quiet the stores are judged against
 * the history. No node's store is trusted: what a write had seen is what its writer was shown before it.
 */
#ifndef BR_SIM_STATE_H
#define BR_SIM_STATE_H

#include "base/rng.h"
#include "sim/swarm.h"

#include <bruit/kv.h>
#include <bruit/sim.h>

#define BR_STATE_NONE UINT32_MAX

/* Siblings that a key can have (<bruit/kv.h>). */
#define BR_STATE_SHOWN_MAX 64

/* ------------------------------------------------------------------ history (state_history.c) */

enum br_write_outcome {
    BR_WRITE_PENDING, /* nobody was told of its end: it may or may not have been */
    BR_WRITE_DONE,    /* acknowledged: on its writer's disk */
    BR_WRITE_FAILED,  /* the writer was told that its disk does not have it */
};

#define BR_HOLDERS_MAX 8

struct br_write {
    uint32_t key;
    uint32_t index; /* among the writes of its key */
    uint32_t node;
    uint32_t life; /* which of the node's */
    bruit_time time;
    bruit_time done; /* when it was acknowledged */
    uint64_t actor;
    uint64_t counter;
    uint64_t *seen;    /* bits by index: what the writer was shown, and this replaces */
    uint64_t *covered; /* the same, and what those had replaced, and so on */
    uint32_t words;
    uint32_t size; /* of the value */
    bool is_delete;
    bool is_owned;  /* dies with its writer */
    bruit_time ttl; /* 0: for ever */
    bool is_buried; /* replaced or deleted, and everybody who ran knew it */
    uint8_t wanted;
    uint8_t held; /* as the writer was told */
    uint8_t holder_count;
    enum br_write_outcome outcome;
    uint32_t holders[BR_HOLDERS_MAX]; /* who really had it on their disks then, as far as there is room */
};

struct br_key_history {
    uint32_t *writes; /* numbers, in the order of time */
    uint32_t count;
    uint32_t capacity;
};

struct br_history {
    struct br_write *writes;
    uint32_t count;
    uint32_t capacity;
    struct br_key_history *keys;
    uint32_t key_count;
};

/* Memory that runs out ends the program with a sentence, here and in all of the campaign. */
void br_history_init(struct br_history *history, uint32_t keys);
void br_history_fini(struct br_history *history);

/* Adds a write that replaces `seen`; what is not given is zero. Returns its number. */
uint32_t br_history_add(struct br_history *history, uint32_t key, const uint32_t *seen, uint32_t seen_count);

/* Did `later`, when it was made, replace `earlier`, itself or by what it replaced? Of one key. */
bool br_history_covers(const struct br_history *history, uint32_t later, uint32_t earlier);
/* The same, itself. */
bool br_history_saw(const struct br_history *history, uint32_t later, uint32_t earlier);

/* Which write of the key has this name; deletes leave nothing else. BR_STATE_NONE: none. */
uint32_t br_history_named(const struct br_history *history, uint32_t key, uint64_t actor, uint64_t counter);

/* ------------------------------------------------------------------ a run (state_run.c) */

/* What a run comes to, in br_judgement.figures. */
enum br_state_figure {
    BR_STATE_WRITES,
    BR_STATE_DELETES,
    BR_STATE_CONCURRENT, /* writes that did not see all that was there */
    BR_STATE_COMPARES,   /* compare-and-set that was refused, since it had to be */
    BR_STATE_ACKED,
    BR_STATE_HELD,     /* acknowledged by more than one */
    BR_STATE_SIBLINGS, /* keys with more than one value at the end of an epoch */
    BR_STATE_CRASHES,
    BR_STATE_LOST_DISKS,
    BR_STATE_PARTITIONS,
    BR_STATE_OTHER_FAULTS,
    BR_STATE_EXCUSED,  /* writes that need not have survived, and did not */
    BR_STATE_QUIET_MS, /* from the end of the faults to equal stores, all epochs together */
    BR_STATE_EPOCHS,
    BR_STATE_FLEETING, /* times a value was shown beside one that had replaced it */
    BR_STATE_HALF,     /* values beside one that need not have survived and had replaced them, when all is quiet */
    BR_STATE_MORTAL,   /* writes with a lifetime */
    BR_STATE_FIGURES,
};

struct br_state_config {
    uint64_t seed;
    uint32_t nodes;
    uint32_t keys;
    uint32_t writes; /* besides the first of each key */
    uint32_t loss;   /* parts in a million */
    FILE *log;       /* or NULL: every write and fault as a line */
    bool (*is_stopped)(void); /* or NULL */
};

/* Runs one seed to its end or to the first thing that is wrong. */
void br_state_judge(const struct br_state_config *config, struct br_judgement *verdict);

struct br_state_request {
    uint32_t request;
    uint32_t write;
};

/* One node as the campaign knows it. */
struct br_state_node {
    uint64_t *shown; /* bits by write: its store shows it */
    uint64_t *gone;  /* has shown it in this life, and does not any more */
    size_t words;
    uint64_t cursor; /* of its changes */
    struct br_state_request *requests;
    uint32_t request_count;
    uint32_t request_capacity;
    uint64_t actor; /* of its last write; and that one's count */
    uint64_t counter;
    bruit_time disk_lost; /* the last time; 0: never */
    int64_t wall_offset;  /* of its wall clock, in seconds */
    bruit_time down_since; /* BRUIT_NEVER: it runs */
    bool is_stale;        /* what it shows may be older than what was known when all were equal */
    bool is_failing;      /* its disk */
    bool is_absent;       /* does not come back before the epoch after this one */
    bool is_doomed;       /* it crashes when the callback of its program returns */
    bool is_wiped;        /* its disk is lost, and it has not come back yet */
};

/* What ends a fault, or tries something again. */
enum br_state_undo_kind {
    BR_UNDO_PARTITION,
    BR_UNDO_CRASH,
    BR_UNDO_LOST_DISK,
    BR_UNDO_PAUSE,
    BR_UNDO_DISK,
    BR_UNDO_JOIN,
};

struct br_state_undo {
    bruit_time time;
    enum br_state_undo_kind kind;
    uint32_t node; /* or rule */
};

struct br_state {
    const struct br_state_config *config;
    struct bruit_sim *sim;
    struct br_rng rng;
    struct br_history history;
    struct br_state_node *nodes;
    struct br_state_undo *undos;
    uint32_t undo_count;
    uint32_t undo_capacity;
    uint32_t rules;         /* active */
    bool is_calm;           /* no new faults */
    bruit_time assassin_at; /* not before */
    struct br_judgement *verdict;
};

/* The violation, unless there was one already; the run ends at the next opportunity. */
void br_state_fail(struct br_state *state, const char *check, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static inline bool br_state_is_over(const struct br_state *state)
{
    return state->verdict->outcome != BR_OUTCOME_GOOD ||
           (state->config->is_stopped != NULL && state->config->is_stopped());
}
void br_state_log(const struct br_state *state, const char *format, ...) __attribute__((format(printf, 2, 3)));
void br_state_count(struct br_state *state, enum br_state_figure figure, uint64_t count);

uint32_t br_state_below(struct br_state *state, uint32_t bound);
/* Uniform in [least, most). */
bruit_time br_state_between(struct br_state *state, bruit_time least, bruit_time most);
bool br_state_chance(struct br_state *state, uint32_t percent);
void *br_state_room(void *old, size_t count, size_t size);

#define BR_STATE_KEY_SIZE 16
struct bruit_bytes br_state_key(uint32_t key, char room[BR_STATE_KEY_SIZE]);

/* It may end by itself: nobody can say that it must be there. */
static inline bool br_write_is_mortal(const struct br_write *write)
{
    return write->is_owned || write->ttl != 0;
}

/* The writes that a node shows for a key, the winner first. */
uint32_t br_state_shown(struct br_state *state, uint32_t node, uint32_t key,
                        uint32_t shown[BR_STATE_SHOWN_MAX]);

/* Tells a node its wall clock. */
void br_state_tell_wall(struct br_state *state, uint32_t node);
/* A node that knows nobody joins somebody who runs. */
void br_state_join(struct br_state *state, uint32_t node);

/* ------------------------------------------------------------------ faults (state_fault.c) */

/* One more, drawn. */
void br_state_fault(struct br_state *state);
void br_state_undo_later(struct br_state *state, bruit_time after, enum br_state_undo_kind kind, uint32_t node);
bruit_time br_state_undo_time(const struct br_state *state);
/* The first of what is due. */
void br_state_undo_one(struct br_state *state);
/* Those who were absent come back, one by one. */
void br_state_recall(struct br_state *state);
/* All faults end; those who are absent stay so unless `all`. */
void br_state_calm(struct br_state *state, bool all);
/* A write was acknowledged by several: k - 1 of those who hold it lose their disks. */
void br_state_assassinate(struct br_state *state, uint32_t write);

/* ------------------------------------------------------------------ what must hold (state_check.c) */

/* A node shows other values of a key than before. */
void br_state_check_change(struct br_state *state, uint32_t node, uint32_t key);
/* A node has come back with what was on its disk. */
void br_state_check_return(struct br_state *state, uint32_t node);
/* A write was acknowledged: notes who has it, and whether that are as many as were said. */
void br_state_check_done(struct br_state *state, uint32_t write);
/* Whether all who run have equal stores, as they say themselves. */
bool br_state_is_equal(const struct br_state *state);
/* All is quiet: everything. */
void br_state_check_all(struct br_state *state);
/* Waited for in vain: why they are not equal. */
void br_state_explain_unequal(struct br_state *state);

#endif
