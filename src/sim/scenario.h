/*
 * A scenario: what a text file says about a cluster and what befalls it.
 *
 * One statement a line, `#` begins a comment. Lines that begin with a setting say what the cluster is; lines that
 * begin with `at` say what happens when, or what is expected then; lines that begin with `never` say what must not
 * happen at all. docs/simulator.md walks through the language, and `bruit-sim run -help` prints all of it.
 *
 *     nodes 50
 *     loss 2%
 *     at 10s partition n0..n9 for 1m
 *     at 2m  expect one view within 1m
 *     never failed n20 from 3m
 *
 * The parser (scenario_parse.c and its neighbours) makes a `struct br_scenario`, which says nothing about running;
 * scenario_run.h runs one. What it holds is bounded: a file of 1 MiB, 10,000 statements.
 */
#ifndef BR_SIM_SCENARIO_H
#define BR_SIM_SCENARIO_H

#include <bruit/sim.h>

#define BR_SCENARIO_SIZE_MAX (1u << 20)
#define BR_SCENARIO_STATEMENTS_MAX 10000
#define BR_SCENARIO_GROUPS_MAX 32
#define BR_SCENARIO_TEXT_MAX 2048 /* what is thrown at a port, and metadata */
#define BR_SCENARIO_NAME_MAX 32   /* of groups, checks and trace records */
#define BR_SET_ITEMS_MAX 12

/* ------------------------------------------------------------------ which nodes */

enum br_set_kind {
    BR_SET_ALL,
    BR_SET_RANGE, /* n3, n3..n9: first, last */
    BR_SET_SHARE, /* 5%: some of all, drawn from the seed: first is in parts of a million */
    BR_SET_GROUP, /* first: its index */
    BR_SET_ZONE,  /* zone1: first */
};

struct br_set_item {
    enum br_set_kind kind;
    uint32_t first;
    uint32_t last;
};

/* Items from `but` on are taken away from those before. */
struct br_node_set {
    struct br_set_item items[BR_SET_ITEMS_MAX];
    uint32_t count;
    uint32_t but;
};

struct br_group {
    char name[BR_SCENARIO_NAME_MAX];
    struct br_node_set set;
    uint32_t depth; /* of groups that are made of groups: at most 3 */
};

/* ------------------------------------------------------------------ statements */

enum br_verb {
    BR_ACT_START,
    BR_ACT_KILL,
    BR_ACT_RESTART,
    BR_ACT_JOIN,
    BR_ACT_LEAVE,
    BR_ACT_PAUSE,
    BR_ACT_RESUME,
    BR_ACT_CPU,
    BR_ACT_STARVE,
    BR_ACT_CLOCK,
    BR_ACT_MOVE,
    BR_ACT_CLONE,
    BR_ACT_WIPE,
    BR_ACT_MEMORY,
    BR_ACT_BANDWIDTH,
    BR_ACT_META,
    BR_ACT_KEY,
    BR_ACT_THROW,
    BR_ACT_FORGET,
    BR_ACT_EVENT,
    BR_ACT_QUERY,
    BR_ACT_RULE, /* cut, lose, delay, clog, duplicate, corrupt, mtu, partition */
    BR_ACT_HEAL,
    BR_ACT_NETWORK, /* the links are others from now on */
    BR_ACT_CALM,
    BR_EXPECT_ONE_VIEW,
    BR_EXPECT_STATE,
    BR_EXPECT_TRACE,
    BR_EXPECT_QUIET,
    BR_EXPECT_MEMORY,
    BR_EXPECT_DROP,
    BR_EXPECT_HEARD,
    BR_EXPECT_ANSWERED,
    BR_EXPECT_REFUSED,
    BR_NEVER_CHANGE,
    BR_NEVER_TRACE,
};

enum br_join_how { BR_JOIN_ANY, BR_JOIN_ALONE, BR_JOIN_WHOM };
enum br_secret_how { BR_SECRET_ADD, BR_SECRET_USE, BR_SECRET_REMOVE };

/* What `expect NODES STATE` may ask for, besides the four states of enum bruit_state. */
enum br_expected_state {
    BR_STATE_UNKNOWN = 4,
    BR_STATE_GONE = 5, /* dead, left or unknown */
    BR_STATE_HERE = 6, /* alive or suspect */
};

struct br_statement {
    enum br_verb verb;
    uint32_t line;
    bruit_time at;     /* never: from */
    bruit_time until;  /* never only; BRUIT_NEVER: to the end */
    bruit_time within; /* expect: it may take this long */
    bruit_time stays;  /* and must then last this long */
    bruit_time over;   /* the nodes get their turns spread over this long */
    bruit_time length; /* undone after; 0: lasts */
    bruit_time after;  /* restart: how long it is down */
    bruit_time every;  /* done again after this, for `length` */
    struct br_node_set who;
    struct br_node_set whom; /* the other side; observers */
    bool has_whom;
    bool with_state; /* restart */
    bool new_addresses;
    enum br_join_how join;
    enum br_secret_how key;
    struct bruit_sim_rule rule; /* RULE: all but its sets */
    struct bruit_sim_link link; /* NETWORK: all of it, as it is after this line */
    struct bruit_sim_link across;
    bruit_time time; /* CPU: cost; STARVE: run; QUERY: timeout */
    bruit_time stall;
    int64_t jump; /* CLOCK */
    int32_t drift;
    uint32_t number; /* state, change bits, record id, drop reason, parts of a million */
    uint64_t size;   /* bytes */
    uint8_t *text;   /* owned; `text_size` bytes */
    size_t text_size;
    char word[BR_SCENARIO_NAME_MAX]; /* what was asked for, for messages */
};

/* What `node NODES KEY VALUE` says. */
struct br_node_setting {
    uint32_t line;
    struct br_node_set who;
    uint32_t key;              /* index into the engine's keys */
    struct bruit_config value; /* only that key of it counts */
};

enum br_begin {
    BR_BEGIN_KNOWN, /* all run and know all */
    BR_BEGIN_ALONE, /* all run, and nobody knows another */
    BR_BEGIN_STOPPED,
};

struct br_scenario {
    struct bruit_sim_config config; /* seed, nodes, links, engine ... */
    struct bruit_sim_link across;   /* between different zones */
    bool has_across;
    enum br_begin begin;
    bruit_time length;     /* `for`; 0: until 10 s after the last statement has had its say */
    bruit_time settle;     /* `settle`: go on until all agree, and this much longer; 0: do not */
    bruit_time retry_join; /* a start that reached nobody asks again after this */
    uint32_t checks_off;   /* bits of enum br_check_id */
    uint32_t modules;      /* bits: see br_scenario_modules */
    uint32_t clones;       /* how many `clone` statements there are */
    char label[64];
    uint8_t keys[8][BRUIT_KEY_MAX];
    struct bruit_bytes key_bytes[8];
    uint32_t key_count;
    struct br_group groups[BR_SCENARIO_GROUPS_MAX];
    uint32_t group_count;
    struct br_statement *statements; /* in the order of the file */
    uint32_t statement_count;
    uint32_t statement_capacity;
    uint32_t settings_line; /* the last one with a setting */
    struct br_node_setting *node_settings;
    uint32_t node_setting_count;
    char labels[8][64]; /* of node settings */
    uint32_t label_count;
};

struct br_scenario_error {
    uint32_t line; /* from 1; 0: of the file as a whole */
    char text[400];
};

/*
 * Reads the text. Returns 0 and a scenario for br_scenario_free(), or
 *   BRUIT_EFORMAT  a mistake: `error` says where, what was expected and what the nearest word is
 *   BRUIT_ENOMEM
 */
int br_scenario_parse(struct br_scenario **out, struct bruit_bytes text, struct br_scenario_error *error);
void br_scenario_free(struct br_scenario *scenario);

/* The file's text, to be freed; NULL with a sentence in `error` (line 0). "-" is the standard input. */
char *br_scenario_read(const char *path, size_t *size, struct br_scenario_error *error);

/* Whether node `node` is in the set; who belongs to 5% of them depends on the seed. */
bool br_scenario_has(const struct br_scenario *scenario, const struct br_node_set *set, uint64_t seed,
                     uint32_t node);

/* The engine's keys, for printing them: name and value of number `index`; false past the last. */
bool br_scenario_key(const struct bruit_config *config, size_t index, const char **name, char *value,
                     size_t value_size);
/* Copies key number `index` of `from`. */
void br_scenario_key_copy(struct bruit_config *to, const struct bruit_config *from, uint32_t index);

/* One line for each statement of the language: `usage` NULL past the last. */
const char *br_scenario_usage(size_t index, const char **meaning);

/* The modules, by bit of br_scenario.modules. */
struct br_scenario_module {
    const char *name;
    const struct bruit_module *module;
    /* Takes back one record of what it stored; NULL: it stores nothing. */
    int (*load)(struct bruit_engine *engine, struct bruit_bytes key, struct bruit_bytes value);
};
extern const struct br_scenario_module br_scenario_modules[];
extern const size_t br_scenario_module_count;

/* Hands a record of a disk to the module whose space it is in: 0, or its error. Nobody's: 0. */
int br_scenario_load(struct bruit_engine *engine, struct bruit_bytes space, struct bruit_bytes key,
                     struct bruit_bytes value);

#endif
