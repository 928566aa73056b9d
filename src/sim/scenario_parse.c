/*
 * A scenario's text: its lines, its settings, and what must fit together once all of it was read.
 */
#include "sim/scenario_parts.h"

#include "base/rng.h"

#include <bruit/coord.h>
#include <bruit/event.h>
#include <bruit/kv.h>
#include <bruit/query.h>
#include <bruit/status.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/scenario_check.h"

const struct br_scenario_module br_scenario_modules[] = {
    {"status", &bruit_status_module, NULL},
    {"event", &bruit_event_module, NULL},
    {"query", &bruit_query_module, NULL},
    {"coord", &bruit_coord_module, NULL},
    {"kv", &bruit_kv_module, bruit_kv_load},
};
const size_t br_scenario_module_count = sizeof br_scenario_modules / sizeof br_scenario_modules[0];

int br_scenario_load(struct bruit_engine *engine, struct bruit_bytes space, struct bruit_bytes key,
                     struct bruit_bytes value)
{
    for (size_t i = 0; i < br_scenario_module_count; i++) {
        const struct br_scenario_module *known = &br_scenario_modules[i];
        const char *name = known->module->name;
        if (known->load != NULL && space.size == strlen(name) && memcmp(space.data, name, space.size) == 0)
            return known->load(engine, key, value);
    }
    return 0;
}

/* ------------------------------------------------------------------ room for statements */

static struct br_statement *new_statement(struct br_words *w)
{
    struct br_scenario *scenario = w->scenario;
    if (scenario->statement_count == BR_SCENARIO_STATEMENTS_MAX) {
        br_words_fail(w, "a scenario has at most %d statements", BR_SCENARIO_STATEMENTS_MAX);
        return NULL;
    }
    if (scenario->statement_count == scenario->statement_capacity) {
        uint32_t capacity = scenario->statement_capacity == 0 ? 32 : 2 * scenario->statement_capacity;
        struct br_statement *more = realloc(scenario->statements, capacity * sizeof *more);
        if (more == NULL) {
            br_words_fail(w, "out of memory");
            return NULL;
        }
        scenario->statements = more;
        scenario->statement_capacity = capacity;
    }
    struct br_statement *s = &scenario->statements[scenario->statement_count++];
    *s = (struct br_statement){.line = w->line};
    return s;
}

/* ------------------------------------------------------------------ settings */

static void set_nodes(struct br_words *w)
{
    w->scenario->config.nodes = (uint32_t)br_words_number(w, "nodes", 1, BRUIT_SIM_NODES_MAX);
}

static void set_seed(struct br_words *w)
{
    w->scenario->config.seed = br_words_number(w, "seed", 0, UINT64_MAX);
}

static void set_length(struct br_words *w)
{
    w->scenario->length = br_words_duration(w, "for");
    if (!w->failed && w->scenario->length == 0)
        br_words_fail(w, "a run lasts longer than nothing");
}

static void set_settle(struct br_words *w)
{
    w->scenario->settle = br_words_duration(w, "settle");
}

static void set_begin(struct br_words *w)
{
    static const char *const words[] = {"known", "alone", "stopped"};
    w->scenario->begin = (enum br_begin)br_words_choice(w, "known, alone or stopped", words, 3);
}

/* A profile replaces the whole engine: it stands before single keys. */
static void set_profile(struct br_words *w)
{
    static const char *const words[] = {"lan", "wan", "local"};
    struct bruit_config *engine = &w->scenario->config.engine;
    switch (br_words_choice(w, "lan, wan or local", words, 3)) {
    case 0: bruit_config_lan(engine); break;
    case 1: bruit_config_wan(engine); break;
    case 2: bruit_config_local(engine); break;
    default: return;
    }
    engine->compression = false;
}

static void set_zones(struct br_words *w)
{
    w->scenario->config.zones = (uint32_t)br_words_number(w, "zones", 1, BRUIT_SIM_ZONES_MAX);
}

static void set_across(struct br_words *w)
{
    const char *names[16];
    if (!w->scenario->has_across)
        w->scenario->across = w->scenario->config.link;
    w->scenario->has_across = true;
    if (!br_read_link(w, &w->scenario->across))
        br_words_expected(w, "a setting of the links between zones", names, br_link_names(names, 16));
}

static void set_bandwidth(struct br_words *w)
{
    w->scenario->config.bandwidth_up = w->scenario->config.bandwidth_down = br_words_size(w, "bandwidth");
}

static void set_queue(struct br_words *w)
{
    uint64_t size = br_words_size(w, "queue");
    w->scenario->config.queue_max = size > UINT32_MAX ? UINT32_MAX : (uint32_t)size;
}

static void set_socket(struct br_words *w)
{
    uint64_t size = br_words_size(w, "socket");
    w->scenario->config.socket_max = size > UINT32_MAX ? UINT32_MAX : (uint32_t)size;
}

static void set_in_step(struct br_words *w)
{
    w->scenario->config.in_step = br_words_flag(w, "in_step");
}

static void set_retry_join(struct br_words *w)
{
    w->scenario->retry_join = br_words_duration(w, "retry_join");
}

static void set_modules(struct br_words *w)
{
    const char *names[8] = {"none"};
    uint32_t modules = 0;
    for (size_t i = 0; i < br_scenario_module_count; i++)
        names[i + 1] = br_scenario_modules[i].name;
    do {
        size_t choice =
            br_words_choice(w, "none, status, event, query, coord or kv", names, br_scenario_module_count + 1);
        modules |= choice > 0 && choice <= br_scenario_module_count ? 1u << (choice - 1) : 0;
    } while (br_words_more(w));
    w->scenario->modules = modules;
}

static void set_keys(struct br_words *w)
{
    struct br_scenario *scenario = w->scenario;
    do {
        if (scenario->key_count == 8) {
            br_words_fail(w, "a scenario has at most 8 keys");
            return;
        }
        uint8_t *key = scenario->keys[scenario->key_count];
        size_t size = br_words_hex(w, "a key of 16, 24 or 32 bytes in hex", key, BRUIT_KEY_MAX);
        if (!w->failed && size != 16 && size != 24 && size != 32)
            br_words_fail(w, "a key has 16, 24 or 32 bytes; this one has %zu", size);
        scenario->key_bytes[scenario->key_count++] = (struct bruit_bytes){key, size};
    } while (br_words_more(w));
}

static bool is_new_name(struct br_words *w, const char *name, size_t size)
{
    struct br_word word = {name, size, false};
    for (uint32_t i = 0; i < w->scenario->group_count; i++)
        if (strlen(w->scenario->groups[i].name) == size &&
            memcmp(w->scenario->groups[i].name, name, size) == 0)
            return false;
    if (word.size == 3 && (memcmp(name, "all", 3) == 0 || memcmp(name, "but", 3) == 0))
        return false;
    return !(name[0] == 'n' && size > 1 && name[1] >= '0' && name[1] <= '9');
}

/* group NAME NODES */
static void set_group(struct br_words *w)
{
    struct br_scenario *scenario = w->scenario;
    uint8_t name[BR_SCENARIO_NAME_MAX - 1];
    size_t size = br_words_text(w, "the name of a group", name, sizeof name);
    if (w->failed)
        return;
    if (size == 0 || memchr(name, ',', size) != NULL || !is_new_name(w, (const char *)name, size)) {
        br_words_fail(
            w, "a group needs a name of its own, which is not all, nor n and a number, nor has commas");
        return;
    }
    if (scenario->group_count == BR_SCENARIO_GROUPS_MAX) {
        br_words_fail(w, "a scenario has at most %d groups", BR_SCENARIO_GROUPS_MAX);
        return;
    }
    struct br_group *group = &scenario->groups[scenario->group_count];
    br_words_nodes(w, &group->set);
    for (uint32_t i = 0; i < group->set.count; i++)
        if (group->set.items[i].kind == BR_SET_GROUP) {
            uint32_t depth = scenario->groups[group->set.items[i].first].depth + 1;
            group->depth = depth > group->depth ? depth : group->depth;
        }
    if (group->depth > 3) /* asking who is in one takes up to 12 times as long with each */
        br_words_fail(w, "groups of groups of groups are as far as it goes");
    memcpy(group->name, name, size);
    scenario->group_count++;
}

/* node NODES KEY VALUE */
static void set_node(struct br_words *w)
{
    struct br_scenario *scenario = w->scenario;
    struct br_node_setting setting = {.line = w->line};
    const char *names[64];
    if (scenario->node_setting_count == 256) {
        br_words_fail(w, "a scenario has at most 256 settings of single nodes");
        return;
    }
    br_words_nodes(w, &setting.who);
    if (!br_read_key(w, &setting.value, &setting.key))
        br_words_expected(w, "a key of the engine's configuration", names, br_key_names(names, 64));
    if (w->failed)
        return;
    struct br_node_setting *more =
        realloc(scenario->node_settings, (scenario->node_setting_count + 1) * sizeof *more);
    if (more == NULL) {
        br_words_fail(w, "out of memory");
        return;
    }
    scenario->node_settings = more;
    more[scenario->node_setting_count++] = setting;
}

static void set_without(struct br_words *w)
{
    const char *names[BR_CHECK_COUNT];
    for (size_t i = 0; i < BR_CHECK_COUNT; i++)
        names[i] = br_checks[i]->name;
    size_t check = br_words_choice(w, "the name of a check", names, BR_CHECK_COUNT);
    if (check < BR_CHECK_COUNT)
        w->scenario->checks_off |= 1u << check;
}

struct setting {
    const char *name;
    const char *usage;
    const char *meaning;
    void (*read)(struct br_words *w);
};

static const struct setting settings[] = {
    {"nodes", "nodes N", "how many; they are called n0, n1, ...", set_nodes},
    {"seed", "seed N", "of everything that is drawn", set_seed},
    {"for", "for D", "how long; else until 10 s after the last statement has had its say", set_length},
    {"settle", "settle D", "go on until all agree after the last fault, and this much longer", set_settle},
    {"begin", "begin known|alone|stopped",
     "all know all (the default); each runs and knows nobody; nobody runs until it is started", set_begin},
    {"group", "group NAME NODES",
     "a name for nodes. NODES: n3, n3..n9, n1,n5, all, 5%, zone1, GROUP; all but n7", set_group},
    {"profile", "profile lan|wan|local", "the engine's configuration; stands before its single keys",
     set_profile},
    {"node", "node NODES KEY VALUE", "a key of the engine's configuration, for these alone", set_node},
    {"modules", "modules none | status event query coord kv", "what the engines carry; the default is status",
     set_modules},
    {"keys", "keys HEX ...", "the first one seals", set_keys},
    {"zones", "zones N", "the nodes are shared out to so many, in order", set_zones},
    {"across", "across LINK-SETTING", "the links between different zones", set_across},
    {"bandwidth", "bandwidth BYTES", "what each node can send, and take, in a second", set_bandwidth},
    {"queue", "queue BYTES", "what waits at most where bandwidth is short", set_queue},
    {"socket", "socket BYTES", "what waits at most for a node that is paused or slow", set_socket},
    {"in_step", "in_step yes|no", "all probe at the same instants", set_in_step},
    {"retry_join", "retry_join D", "who could join nobody asks again after this; 0: does not",
     set_retry_join},
    {"without", "without CHECK", "switches off what is checked in every run", set_without},
};
#define SETTINGS (sizeof settings / sizeof settings[0])

static bool read_setting(struct br_words *w)
{
    static const char *const none[] = {"known"};
    uint32_t key;
    for (size_t i = 0; i < SETTINGS; i++)
        if (br_words_accept(w, settings[i].name)) {
            settings[i].read(w);
            w->scenario->settings_line = w->line;
            br_words_end(w, none, 0);
            return true;
        }
    if (!br_read_link(w, &w->scenario->config.link) && !br_read_key(w, &w->scenario->config.engine, &key))
        return false;
    w->scenario->settings_line = w->line;
    br_words_end(w, none, 0);
    return true;
}

/* ------------------------------------------------------------------ lines */

static void read_unknown(struct br_words *w)
{
    const char *names[128] = {"at", "never"};
    size_t count = 2;
    for (size_t i = 0; i < SETTINGS; i++)
        names[count++] = settings[i].name;
    count += br_link_names(names + count, 16);
    count += br_key_names(names + count, 64);
    br_words_expected(w, "\"at\", \"never\" or a setting such as \"nodes\"", names, count);
}

static void read_at(struct br_words *w)
{
    struct br_statement *s = new_statement(w);
    if (s == NULL)
        return;
    s->at = br_words_duration(w, "at");
    if (br_words_accept(w, "expect"))
        br_read_expect(w, s);
    else
        br_read_act(w, s);
}

static void read_line(struct br_words *w)
{
    if (w->failed || w->count == 0)
        return;
    if (br_words_accept(w, "at")) {
        read_at(w);
    } else if (br_words_accept(w, "never")) {
        struct br_statement *s = new_statement(w);
        if (s != NULL)
            br_read_never(w, s);
    } else if (!read_setting(w)) {
        read_unknown(w);
    }
}

/* ------------------------------------------------------------------ what must fit together */

static bool check_set(struct br_scenario *scenario, const struct br_node_set *set, uint32_t line,
                      struct br_scenario_error *error)
{
    uint32_t known = scenario->config.nodes + scenario->clones;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct br_set_item *item = &set->items[i];
        if (item->kind == BR_SET_RANGE && item->last >= known) {
            error->line = line;
            (void)snprintf(error->text, sizeof error->text,
                           "there is no n%u: the nodes are n0 to n%u (\"nodes %u\" sets how many)",
                           (unsigned)item->last, (unsigned)(known - 1), (unsigned)scenario->config.nodes);
            return false;
        }
        if (item->kind == BR_SET_ZONE && item->first >= scenario->config.zones) {
            error->line = line;
            (void)snprintf(error->text, sizeof error->text,
                           "there is no zone%u: the zones are zone0 to zone%u", (unsigned)item->first,
                           (unsigned)(scenario->config.zones - 1));
            return false;
        }
    }
    return true;
}

static bool check_sets(struct br_scenario *scenario, struct br_scenario_error *error)
{
    for (uint32_t i = 0; i < scenario->group_count; i++)
        if (!check_set(scenario, &scenario->groups[i].set, 0, error))
            return false;
    for (uint32_t i = 0; i < scenario->node_setting_count; i++)
        if (!check_set(scenario, &scenario->node_settings[i].who, scenario->node_settings[i].line, error))
            return false;
    for (uint32_t i = 0; i < scenario->statement_count; i++) {
        const struct br_statement *s = &scenario->statements[i];
        if (!check_set(scenario, &s->who, s->line, error) || !check_set(scenario, &s->whom, s->line, error))
            return false;
    }
    return true;
}

/* The whole of it, as the world will see it. What the engine says of names and addresses is the world's to fill in. */
static bool check_config(struct br_scenario *scenario, struct br_scenario_error *error)
{
    struct bruit_sim_config config = scenario->config;
    const char *why = bruit_sim_config_check(&config);
    error->line = scenario->settings_line;
    if (why == NULL && scenario->has_across) {
        config.link = scenario->across;
        why = bruit_sim_config_check(&config);
    }
    for (uint32_t i = 0; i < scenario->node_setting_count && why == NULL; i++) {
        config.engine = scenario->config.engine;
        br_scenario_key_copy(&config.engine, &scenario->node_settings[i].value,
                             scenario->node_settings[i].key);
        why = bruit_sim_config_check(&config);
        error->line = scenario->node_settings[i].line;
    }
    if (why != NULL)
        (void)snprintf(error->text, sizeof error->text, "the settings up to here do not go together: %s",
                       why);
    return why == NULL;
}

/* ------------------------------------------------------------------ the whole */

static struct br_scenario *new_scenario(void)
{
    struct br_scenario *scenario = calloc(1, sizeof *scenario);
    if (scenario == NULL)
        return NULL;
    bruit_sim_config_default(&scenario->config);
    scenario->config.nodes = 10;
    scenario->modules = 1;
    scenario->retry_join = 10 * BRUIT_SECOND;
    return scenario;
}

void br_scenario_free(struct br_scenario *scenario)
{
    if (scenario == NULL)
        return;
    for (uint32_t i = 0; i < scenario->statement_count; i++)
        free(scenario->statements[i].text);
    free(scenario->statements);
    free(scenario->node_settings);
    free(scenario);
}

int br_scenario_parse(struct br_scenario **out, struct bruit_bytes text, struct br_scenario_error *error)
{
    *error = (struct br_scenario_error){0};
    struct br_words *w = calloc(1, sizeof *w);
    struct br_scenario *scenario = new_scenario();
    bool ok = w != NULL && scenario != NULL;
    size_t at = 0;
    if (ok) {
        w->scenario = scenario;
        w->error = error;
    }
    if (ok && text.size > BR_SCENARIO_SIZE_MAX) {
        (void)snprintf(error->text, sizeof error->text, "a scenario has at most %u bytes",
                       BR_SCENARIO_SIZE_MAX);
        ok = false;
    }
    while (ok && at < text.size) {
        const uint8_t *end = memchr(text.data + at, '\n', text.size - at);
        size_t size = end == NULL ? text.size - at : (size_t)(end - text.data) - at;
        w->line++;
        br_words_cut(w, (struct bruit_bytes){text.data + at, size});
        read_line(w);
        ok = !w->failed;
        at += size + 1;
    }
    free(w);
    ok = ok && check_sets(scenario, error) && check_config(scenario, error);
    if (!ok) {
        br_scenario_free(scenario);
        return error->text[0] == 0 ? BRUIT_ENOMEM : BRUIT_EFORMAT;
    }
    *out = scenario;
    return 0;
}

char *br_scenario_read(const char *path, size_t *size, struct br_scenario_error *error)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    char *text = malloc(BR_SCENARIO_SIZE_MAX + 2);
    *error = (struct br_scenario_error){0};
    if (file == NULL || text == NULL)
        (void)snprintf(error->text, sizeof error->text, "cannot read it: %s", strerror(errno));
    *size = file == NULL || text == NULL ? 0 : fread(text, 1, BR_SCENARIO_SIZE_MAX + 1, file);
    if (file != NULL && text != NULL && ferror(file))
        (void)snprintf(error->text, sizeof error->text, "cannot read it: %s", strerror(errno));
    if (file != NULL && file != stdin)
        (void)fclose(file);
    if (error->text[0] != 0) {
        free(text);
        return NULL;
    }
    text[*size] = 0;
    return text;
}

/* ------------------------------------------------------------------ who is in a set */

static bool is_in_item(const struct br_scenario *scenario, const struct br_set_item *item, uint64_t seed,
                       uint32_t node)
{
    struct br_rng rng;
    switch (item->kind) {
    case BR_SET_ALL: return true;
    case BR_SET_RANGE: return node >= item->first && node <= item->last;
    case BR_SET_GROUP: return br_scenario_has(scenario, &scenario->groups[item->first].set, seed, node);
    case BR_SET_ZONE:
        return node < scenario->config.nodes &&
               (uint64_t)node * scenario->config.zones / scenario->config.nodes == item->first;
    case BR_SET_SHARE: break;
    }
    /* The whole order is one rotation by a step without a common divisor: exactly the share, and cheap to ask. */
    uint64_t count = scenario->config.nodes,
             wanted = (count * item->first + BRUIT_SIM_MILLION / 2) / BRUIT_SIM_MILLION;
    br_rng_init(&rng, seed, "share");
    uint64_t start = br_rng_u64(&rng) % count, step = count < 4 ? 1 : 1 + br_rng_u64(&rng) % (count - 1);
    uint64_t a = step, b = count;
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    if (a != 1)
        step = 1;
    for (uint64_t i = 0, at = start; i < wanted; i++, at = (at + step) % count)
        if (at == node)
            return true;
    return false;
}

bool br_scenario_has(const struct br_scenario *scenario, const struct br_node_set *set, uint64_t seed,
                     uint32_t node)
{
    bool is_in = false;
    for (uint32_t i = 0; i < set->but && !is_in; i++)
        is_in = is_in_item(scenario, &set->items[i], seed, node);
    for (uint32_t i = set->but; i < set->count && is_in; i++)
        is_in = !is_in_item(scenario, &set->items[i], seed, node);
    return is_in;
}

/* ------------------------------------------------------------------ the language, for people */

const char *br_scenario_usage(size_t index, const char **meaning)
{
    static char line[160];
    if (index < SETTINGS) {
        *meaning = settings[index].meaning;
        return settings[index].usage;
    }
    index -= SETTINGS;
    for (size_t links = 0;; links++) {
        const char *usage = br_link_usage(links, meaning);
        if (usage != NULL && index-- == 0)
            return usage;
        if (usage == NULL)
            break;
    }
    if (index-- == 0) {
        *meaning = "a key of the engine's configuration; bruit-sim run prints all of them with their values";
        return "KEY VALUE";
    }
    if (index < br_forms_act_count) {
        *meaning = br_forms_act[index].meaning;
        (void)snprintf(line, sizeof line, "at T %s", br_forms_act[index].usage);
        return line;
    }
    index -= br_forms_act_count;
    if (index < br_forms_want_count) {
        *meaning = br_forms_want[index].meaning;
        return br_forms_want[index].usage;
    }
    return NULL;
}
