/*
 * Aggregates: every node publishes named numbers and texts, and any node asks about all of them. A module.
 *
 *     bruit_aggregate_publish_number(engine, name, 0.75, now)            on every node: "load" is 0.75 here
 *     bruit_aggregate_ask(engine, name, BRUIT_AGGREGATE_MEAN, 0, &answer, now)        on any: 0.62 of 5 nodes
 *
 * A question is answered at once, from what this node has; nothing is asked over the network. Each answer says how
 * far it may be off, how old it may be, and how many nodes are in it.
 *
 * **Two ways.** *Exact*: every node holds what every other published. A change is told by gossip, what was missed is
 * repaired by comparing with a random peer, and answers are computed here. *Estimate*: nobody holds anything of
 * others; pairs of nodes average what they have, in epochs that begin anew, so that no loss can add up. Which name
 * goes which way is configured; by default exact up to BRUIT_AGGREGATE_EXACT_MAX nodes, estimates beyond.
 * docs/aggregates.md has what both cost and how far they are off.
 *
 * **Who counts.** Live members that carry this module (we among them). The dead and those who left are out of
 * answers as soon as this node believes it; a node that restarts counts with what it publishes in its new life.
 * Members without the module are never told anything.
 *
 * **Whose word.** A value is its owner's: a record about us that we did not make is overridden by a newer one of
 * ours, so nobody can publish for somebody else silently. A peer may lie about itself; BRUIT_AGGREGATE_MAX shows it.
 */
#ifndef BRUIT_AGGREGATE_H
#define BRUIT_AGGREGATE_H

#include <bruit/engine.h>
#include <bruit/module.h>

#ifdef __cplusplus
extern "C" {
#endif

/* For bruit_config.modules. Its capability is 2. */
BRUIT_API extern const struct bruit_module bruit_aggregate_module;

#define BRUIT_AGGREGATE_NAMES_MAX 16    /* names that one node may publish at a time */
#define BRUIT_AGGREGATE_NAME_MAX 64     /* bytes of a name; at least 1 */
#define BRUIT_AGGREGATE_TEXT_MAX 64     /* bytes of a text; at least 1 */
#define BRUIT_AGGREGATE_NUMBER_MAX 1e150 /* of a number's size: the squares of 65,536 such are still finite */
#define BRUIT_AGGREGATE_EXACT_MAX 1000  /* default of options.exact_max */
#define BRUIT_AGGREGATE_TOP_MAX 16      /* items of a top list in estimates; exact ones have as many as there are */

/* ------------------------------------------------------------------ options */

enum bruit_aggregate_mode {
    BRUIT_AGGREGATE_AUTO = 0, /* exact up to options.exact_max peers, estimates beyond */
    BRUIT_AGGREGATE_EXACT,
    BRUIT_AGGREGATE_ESTIMATE,
};

struct bruit_aggregate_options {
    size_t struct_size; /* set by bruit_aggregate_options_default() */
    enum bruit_aggregate_mode mode; /* of all names that bruit_aggregate_set_mode() does not say */
    uint32_t exact_max; /* AUTO goes to estimates above this many peers, and back at three quarters of it */
    /*
     * A hint which of two lives of this node is the later: higher in the later one, such as a persisted counter of
     * starts or the time of day in seconds. 0: unknown. It saves a moment after a restart and decides nothing:
     * should it go back, the old life's values are overridden as soon as we hear of them. Below 2^32.
     */
    uint64_t life;
    bruit_time tell_interval;    /* between rounds of telling news; default 200 ms. Only while there is news */
    bruit_time compare_interval; /* between comparisons with a random peer; default 5 s */
    bruit_time epoch_round;      /* between exchanges of an estimate; default 500 ms */
};

BRUIT_API void bruit_aggregate_options_default(struct bruit_aggregate_options *options);

/*
 * Call it before the first publish. Returns 0, BRUIT_ENOENT when the engine has no aggregate module, BRUIT_EBUSY
 * when something is published, or BRUIT_EINVAL: a struct_size that is not this library's, a mode that does not
 * exist, a life of 2^32 or more, an interval below 10 ms or above an hour.
 */
BRUIT_API int bruit_aggregate_configure(struct bruit_engine *engine,
                                        const struct bruit_aggregate_options *options);

/*
 * How one name goes, whatever options.mode says. All nodes should agree; where they do not, each counts in the way
 * it goes itself. Returns 0, BRUIT_EINVAL (name, mode), BRUIT_EFULL (BRUIT_AGGREGATE_NAMES_MAX names have been set),
 * BRUIT_ENOENT.
 */
BRUIT_API int bruit_aggregate_set_mode(struct bruit_engine *engine, struct bruit_bytes name,
                                       enum bruit_aggregate_mode mode, bruit_time now);

/* ------------------------------------------------------------------ publishing */

/*
 * Publishes, or changes, what `name` is here. Copied. Pull outputs afterwards. Returns 0, or
 *   BRUIT_EINVAL  a name or text that is empty; a number that is none, infinite, or beyond BRUIT_AGGREGATE_NUMBER_MAX
 *   BRUIT_ETOOBIG a name or text beyond its limit
 *   BRUIT_EFULL   BRUIT_AGGREGATE_NAMES_MAX names are published: withdraw one
 *   BRUIT_ENOMEM, BRUIT_ENOENT (no aggregate module)
 * The same value again costs nothing. Changing faster than the tell_interval is fine: what has not been told yet is
 * replaced.
 */
BRUIT_API int bruit_aggregate_publish_number(struct bruit_engine *engine, struct bruit_bytes name, double value,
                                             bruit_time now);
BRUIT_API int bruit_aggregate_publish_text(struct bruit_engine *engine, struct bruit_bytes name,
                                           struct bruit_bytes text, bruit_time now);

/* Takes a name back: we are not in its answers any more. Returns 0, or BRUIT_ENOENT when we did not publish it. */
BRUIT_API int bruit_aggregate_withdraw(struct bruit_engine *engine, struct bruit_bytes name, bruit_time now);

/* ------------------------------------------------------------------ asking */

enum bruit_aggregate_what {
    BRUIT_AGGREGATE_COUNT = 0, /* nodes that publish it, numbers and texts */
    BRUIT_AGGREGATE_SUM,       /* of the numbers, as all below save DISTINCT */
    BRUIT_AGGREGATE_MEAN,
    BRUIT_AGGREGATE_MIN,
    BRUIT_AGGREGATE_MAX,
    BRUIT_AGGREGATE_VARIANCE, /* of the population: divided by n */
    BRUIT_AGGREGATE_QUANTILE, /* `argument`: 0 to 1. Exact: interpolated between neighbours, as most tools do */
    BRUIT_AGGREGATE_DISTINCT, /* how many different values, numbers and texts */
};

struct bruit_aggregate_answer {
    double value;
    double error; /* how far it may be off, in units of the value: 0 when exact. DISTINCT: one standard deviation */
    /*
     * How old it may be. Exact: time since a comparison last found nothing missing here, or since we heard of
     * something missing: whatever any peer knew before that is in the answer. Estimate: since its epoch began, which
     * is when values were read.
     */
    bruit_time age;
    uint32_t nodes;   /* whose values are in it; in an estimate, how many those are by its own count */
    uint32_t members; /* live members that carry the module, as we see it */
    bool is_exact;
};

/*
 * Answers from what is here. Nothing is sent, and equal views give equal bits, whatever the machine. Returns 0, or
 *   BRUIT_ENOENT  nobody publishes `name` as a number (DISTINCT and COUNT: at all), as far as we know; no estimate of
 *                 it is finished yet; no aggregate module. COUNT answers 0 instead where the name is exact
 *   BRUIT_EINVAL  `what`, or a quantile outside 0 to 1
 *   BRUIT_ENOMEM
 * Cost: exact, n log n for n nodes; an estimate, a walk over some 100 cells.
 */
BRUIT_API int bruit_aggregate_ask(struct bruit_engine *engine, struct bruit_bytes name,
                                  enum bruit_aggregate_what what, double argument,
                                  struct bruit_aggregate_answer *answer, bruit_time now);

/* One line of a top list. */
struct bruit_aggregate_item {
    bool is_text;
    struct bruit_bytes text; /* a text's value; lives until the next input */
    double number;
    double count;            /* texts: how many nodes have it. Numbers: 1 */
    double error;            /* of `count` */
    struct bruit_bytes node; /* numbers: who has it; lives until the next input */
};

/*
 * The most frequent texts of `name`, most frequent first, equal ones by text; or, where it is a number, the nodes with
 * the largest ones, equal ones by node. Fills at most `*count` items and sets `*count`. `answer` may be NULL; its
 * value is the number of items. Returns as bruit_aggregate_ask().
 */
BRUIT_API int bruit_aggregate_top(struct bruit_engine *engine, struct bruit_bytes name,
                                  struct bruit_aggregate_item *items, size_t *count,
                                  struct bruit_aggregate_answer *answer, bruit_time now);

/* What one node publishes under a name, or what all do: for lists. */
struct bruit_aggregate_value {
    bruit_node node;
    struct bruit_bytes name; /* these two live until the next input */
    struct bruit_bytes text; /* empty: it is a number */
    double number;
    bruit_time since; /* when we learnt it */
    bool is_exact;    /* false: ours, and it goes by estimates */
};

/*
 * Walks over all values that are held here: start with *cursor 0; false at the end. Ordered by node (by a hash of its
 * name), then by the order in which it published. Valid until the next input.
 */
BRUIT_API bool bruit_aggregate_next(const struct bruit_engine *engine, uint64_t *cursor,
                                    struct bruit_aggregate_value *out);

/* ------------------------------------------------------------------ built in */

/* Live members, and those of them that carry this module (we among them). 0, or BRUIT_ENOENT. */
BRUIT_API int bruit_aggregate_size(const struct bruit_engine *engine, uint32_t *members, uint32_t *peers);

/*
 * Does everybody see the same? Asks each peer for the checksum of its view (bruit_view_checksum()) and how many it sees
 * alive: one small datagram each, spread over a second per thousand peers. BRUIT_EVENT_AGGREGATE_VIEWS says that all
 * have answered, or that two seconds have passed since the last was asked. Those who do not answer are asked once
 * more after half a second. Returns 0, BRUIT_EBUSY while one runs, BRUIT_ENOMEM, BRUIT_ENOENT.
 */
BRUIT_API int bruit_aggregate_survey(struct bruit_engine *engine, bruit_time now);
#define BRUIT_EVENT_AGGREGATE_VIEWS (BRUIT_EVENT_MODULE + 48)

struct bruit_aggregate_views {
    bool is_over;
    uint32_t asked;     /* peers, ourselves included */
    uint32_t answered;
    uint32_t different; /* checksums among the answers: 1 when all agree */
    uint64_t checksum;  /* the most frequent one, and how many have it; equally frequent: the lower one */
    uint32_t agreeing;
};

/* The last survey, or the one that runs. 0, or BRUIT_ENOENT when there was none. Cost: n, for each different one. */
BRUIT_API int bruit_aggregate_views(struct bruit_engine *engine, struct bruit_aggregate_views *out);

/* What each peer answered: *cursor 0 first; false at the end. `has_answered` false: nothing, and 0 in the others. */
struct bruit_aggregate_view {
    bruit_node node;
    bool has_answered;
    uint64_t checksum;
    uint32_t alive; /* how many members it sees alive */
};
BRUIT_API bool bruit_aggregate_next_view(const struct bruit_engine *engine, uint64_t *cursor,
                                         struct bruit_aggregate_view *out);

/* What the program may publish under this name: how busy this machine is, in units of the program's choice. */
#define BRUIT_AGGREGATE_LOAD "load"

/* ------------------------------------------------------------------ what it does */

struct bruit_aggregate_stats {
    uint64_t bytes_out; /* of this module's messages, streams included */
    uint64_t messages_out;
    uint64_t streams_out;
    uint64_t records_taken;  /* news */
    uint64_t records_known;  /* told again, or older than what we have: copies, late ones, replays */
    uint64_t records_unknown; /* of members that we do not know as peers (yet) */
    uint64_t overrides;      /* records about us that we did not make */
    uint64_t compared;       /* comparisons with a peer */
    uint64_t equal;          /* of those: nothing was different */
    uint64_t hot_dropped;    /* news that was not told as often as it should be: comparisons bring it */
    uint64_t epochs;         /* of estimates, finished by us */
    uint64_t exchanges;      /* averaged with a peer */
    uint64_t exchanges_lost; /* an answer that may not have arrived after all repetitions */
    uint32_t held;           /* values held now, ours included */
    size_t memory;           /* of them */
};

/* 0, or BRUIT_ENOENT. */
BRUIT_API int bruit_aggregate_stats(const struct bruit_engine *engine, struct bruit_aggregate_stats *out);

#ifdef __cplusplus
}
#endif

#endif
