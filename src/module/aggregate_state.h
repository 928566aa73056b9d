/*
 * The state of the aggregate module, shared by its files:
 *
 *     aggregate.c          hooks, options, what we publish
 *     aggregate_tell.c     exact: telling news, comparing with others, whose word counts
 *     aggregate_epoch.c    estimates: epochs, exchanges
 *     aggregate_ask.c      answers
 *     aggregate_survey.c   does everybody see the same?
 *
 * and the parts that know neither time nor network: aggregate_store, aggregate_figure, aggregate_mass.
 */
#ifndef BR_MODULE_AGGREGATE_STATE_H
#define BR_MODULE_AGGREGATE_STATE_H

#include "module/aggregate_mass.h"
#include "module/aggregate_store.h"
#include "module/host.h"

#include <bruit/aggregate.h>

/* The longest datagram that we write, whatever packet_size_max allows: what every network carries. */
#define BR_AGGREGATE_ROOM_MAX 1400

/* ---- what we publish ---- */

struct br_aggregate_own {
    uint8_t kind; /* enum br_aggregate_value_kind; NOTHING: free */
    bool is_exact; /* and in the store, in the slot of the same number */
    double number;
    uint8_t name_size;
    uint8_t text_size;
    uint8_t name[BR_AGGREGATE_NAME_MAX];
    uint8_t text[BR_AGGREGATE_TEXT_MAX];
};

struct br_aggregate_choice {
    uint8_t name_size;
    uint8_t name[BR_AGGREGATE_NAME_MAX];
    enum bruit_aggregate_mode mode;
};

/* ---- exact ---- */

/* A comparison that we began by saying what we have; over when all parts of the answer are here. */
struct br_aggregate_comparison {
    bruit_node with; /* 0: none */
    bruit_time began;
    uint32_t parts;   /* that arrived */
    uint32_t changed; /* values that they brought */
};

struct br_aggregate_telling {
    bruit_time tell_at;    /* BRUIT_NEVER: no news */
    bruit_time told_at;    /* the last round */
    bruit_time compare_at; /* BRUIT_NEVER: nobody to compare with */
    bruit_time confirmed;  /* everything that some peer knew then we know, too */
    struct br_aggregate_comparison comparison;
    uint64_t listing;         /* numbers messages with lists of owners */
    bruit_time answers_since; /* large answers are limited: so many since then */
    uint32_t answers;
};

/* ---- estimates ---- */

#define BR_ESTIMATES_MAX 16
#define BR_GIFTS_MAX 8
#define BR_SPREADS 4

/* Our questions whose answers we still take, by name. */
#define BR_OUTSTANDING_MAX 4

struct br_estimate {
    uint8_t name_size;
    uint8_t name[BR_AGGREGATE_NAME_MAX];
    uint8_t idle; /* epochs in which nobody published it */
    bool has_result;
    bruit_time result_began; /* its epoch */
    uint32_t result_members;
    uint32_t outstanding[BR_OUTSTANDING_MAX]; /* exchanges; 0: none */
    uint32_t outstanding_next;
    double mean_spread[BR_SPREADS]; /* how far the last partners' means and shares were from ours */
    double has_spread[BR_SPREADS];
    uint32_t spread_next;
    double mean_error; /* of the result */
    double has_error;
    struct br_mass now;
    struct br_mass result;
};

/* A gift that has not been confirmed: told again each round. */
struct br_gift {
    bruit_node to; /* 0: free */
    uint32_t exchange;
    uint32_t tries;
    uint32_t size;
    uint8_t bytes[BR_AGGREGATE_ROOM_MAX];
};

struct br_epochs {
    uint64_t epoch; /* 0: none yet */
    bool is_in; /* we took part from the beginning, so what we have is part of the whole */
    bruit_time began;
    bruit_time ends;
    bruit_time round_at; /* BRUIT_NEVER: no estimates */
    uint32_t next_exchange;
    uint32_t count;
    struct br_estimate *items[BR_ESTIMATES_MAX];
    struct br_gift *gifts; /* BR_GIFTS_MAX of them, from the first estimate on */
};

/* ---- the survey ---- */

struct br_aggregate_viewer {
    bruit_node node;
    bool has_answered;
    uint32_t alive;
    uint64_t checksum;
};

struct br_aggregate_survey {
    struct br_aggregate_viewer *viewers;
    uint32_t count;
    uint32_t answered;
    uint32_t next; /* to be asked; `count`: all have been */
    uint32_t nonce;
    bool is_second; /* those who did not answer, once more */
    bool is_running;
    bruit_time at; /* next step, or the end; BRUIT_NEVER: not running */
    bruit_time ends;
};

struct br_aggregate {
    struct bruit_host *host;
    const struct br_tracer *tracer;
    struct bruit_aggregate_options options;
    struct br_aggregate_store store;
    struct br_aggregate_own own[BRUIT_AGGREGATE_NAMES_MAX];
    struct br_aggregate_choice choices[BRUIT_AGGREGATE_NAMES_MAX];
    uint32_t choice_count;
    bool is_large; /* AUTO goes by estimates */
    size_t room;   /* of a datagram */
    struct br_aggregate_telling telling;
    struct br_epochs epochs;
    struct br_aggregate_survey survey;
    struct bruit_aggregate_stats stats;
    uint8_t buffer[BR_AGGREGATE_ROOM_MAX];
    struct br_mass theirs; /* what came, and what goes: too large for the stack */
    struct br_mass gift;
};

/* ---- aggregate.c ---- */

/* Our own node, which counts from the first call on; 0 without memory. */
bruit_node br_aggregate_self(struct br_aggregate *a);
enum bruit_aggregate_mode br_aggregate_mode_of(const struct br_aggregate *a, struct bruit_bytes name);
const struct br_aggregate_own *br_aggregate_find_own(const struct br_aggregate *a, struct bruit_bytes name);
/* Begins a message in our buffer; ours is its sender. */
void br_aggregate_begin_ours(struct br_aggregate *a, struct br_writer *w, uint8_t *buffer, size_t size,
                             enum br_aggregate_kind kind);
/* To a peer, as a datagram; to nobody else. */
void br_aggregate_send(struct br_aggregate *a, bruit_node to, const struct br_writer *w);
/* A live peer drawn at random, not ourselves and not `not`; 0: nobody. */
bruit_node br_aggregate_draw(struct br_aggregate *a, bruit_node not);

/* ---- aggregate_tell.c ---- */

void br_aggregate_tell_init(struct br_aggregate *a);
bruit_time br_aggregate_tell_deadline(const struct br_aggregate *a);
void br_aggregate_tell_on_time(struct br_aggregate *a);
/* There is news, or somebody new to tell it to. */
void br_aggregate_tell_soon(struct br_aggregate *a);
void br_aggregate_compare_soon(struct br_aggregate *a);
/* Nobody is left, or somebody is there again. */
void br_aggregate_peers_changed(struct br_aggregate *a);
void br_aggregate_on_tell(struct br_aggregate *a, const struct br_aggregate_message *message,
                          bruit_node sender, const struct bruit_addr *from);
void br_aggregate_on_summary(struct br_aggregate *a, const struct br_aggregate_message *message,
                             bruit_node sender);
void br_aggregate_on_buckets(struct br_aggregate *a, const struct br_aggregate_message *message,
                             bruit_node sender);
void br_aggregate_on_have(struct br_aggregate *a, const struct br_aggregate_message *message,
                          bruit_node sender);
void br_aggregate_on_want(struct br_aggregate *a, const struct br_aggregate_message *message,
                          bruit_node sender);

/* ---- aggregate_epoch.c ---- */

void br_aggregate_epoch_init(struct br_aggregate *a);
void br_aggregate_epoch_fini(struct br_aggregate *a);
bruit_time br_aggregate_epoch_deadline(const struct br_aggregate *a);
void br_aggregate_epoch_on_time(struct br_aggregate *a);
/* The estimate of `name`; NULL: none. */
struct br_estimate *br_aggregate_estimate(const struct br_aggregate *a, struct bruit_bytes name);
/* We publish it by estimates from the next epoch on. 0, BRUIT_ENOMEM or BRUIT_EFULL. */
int br_aggregate_estimate_begin(struct br_aggregate *a, struct bruit_bytes name);
void br_aggregate_on_ask(struct br_aggregate *a, const struct br_aggregate_message *message,
                         bruit_node sender);
void br_aggregate_on_give(struct br_aggregate *a, const struct br_aggregate_message *message,
                          bruit_node sender);
void br_aggregate_on_done(struct br_aggregate *a, const struct br_aggregate_message *message,
                          bruit_node sender);

/* ---- aggregate_survey.c ---- */

void br_aggregate_survey_init(struct br_aggregate *a);
void br_aggregate_survey_fini(struct br_aggregate *a);
void br_aggregate_survey_on_time(struct br_aggregate *a);
void br_aggregate_on_view(struct br_aggregate *a, const struct br_aggregate_message *message,
                          bruit_node sender);
void br_aggregate_on_view_is(struct br_aggregate *a, const struct br_aggregate_message *message,
                             bruit_node sender);

#endif
