/*
 * The engine's configuration and the links, as words of a scenario: each a name and a value.
 */
#include "sim/scenario_parts.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------ the engine */

enum kind { TIME, NUMBER32, NUMBER8, SIZE, SIZE32, FLAG, LABEL, DETECTOR, MODE, RULE };

struct key {
    const char *name;
    enum kind kind;
    size_t offset;
};

#define KEY(name, kind)                                  \
    {                                                    \
#name, kind, offsetof(struct bruit_config, name) \
    }

#define BEAT_KEY(name, kind)                                              \
    {                                                                     \
        "heartbeat_" #name, kind, offsetof(struct bruit_config, heartbeat.name) \
    }

/* Words that stand for the numbers of an enum, which is an int here. */
static const char *const detectors[] = {"swim", "heartbeat"};
static const char *const modes[] = {"push-pull", "push", "pull"};
static const char *const rules[] = {"phi", "rounds"};
_Static_assert(sizeof(enum bruit_detector) == sizeof(unsigned), "read and printed as one");

/* Ranges are bruit_config_check()'s, which is asked when the file has been read. */
static const struct key keys[] = {
    KEY(probe_interval, TIME),
    KEY(probe_timeout, TIME),
    KEY(indirect_checks, NUMBER32),
    KEY(suspicion_mult, NUMBER32),
    KEY(suspicion_max_mult, NUMBER32),
    KEY(awareness_max, NUMBER32),
    KEY(stream_pings, FLAG),
    KEY(gossip_interval, TIME),
    KEY(gossip_nodes, NUMBER32),
    KEY(retransmit_mult, NUMBER32),
    KEY(gossip_to_the_dead, TIME),
    KEY(push_pull_interval, TIME),
    KEY(dead_reclaim, TIME),
    KEY(packet_size_max, SIZE32),
    KEY(compression, FLAG),
    KEY(early_sync_budget, SIZE32),
    KEY(early_sync_delay, TIME),
    KEY(stream_timeout, TIME),
    KEY(streams_max, NUMBER32),
    KEY(members_max, NUMBER32),
    KEY(memory_max, SIZE),
    KEY(protocol, NUMBER8),
    KEY(delegate_min, NUMBER8),
    KEY(delegate_max, NUMBER8),
    KEY(delegate_current, NUMBER8),
    KEY(verify_incoming, FLAG),
    KEY(verify_outgoing, FLAG),
    KEY(label_skip_inbound, FLAG),
    KEY(strict_relay, FLAG),
    KEY(label, LABEL),
    KEY(buddy_pings, FLAG),
    KEY(stall_guard, FLAG),
    KEY(has_store, FLAG),
    KEY(detector, DETECTOR),
    BEAT_KEY(interval, TIME),
    BEAT_KEY(nodes, NUMBER32),
    BEAT_KEY(mode, MODE),
    BEAT_KEY(rate, SIZE32),
    BEAT_KEY(rule, RULE),
    BEAT_KEY(threshold, NUMBER32),
    BEAT_KEY(deviation_min, TIME),
    BEAT_KEY(first_interval, TIME),
    BEAT_KEY(window, NUMBER32),
    BEAT_KEY(rounds, NUMBER32),
};
#define KEYS (sizeof keys / sizeof keys[0])

size_t br_key_names(const char **names, size_t most)
{
    size_t count = 0;
    for (; count < KEYS && count < most; count++)
        names[count] = keys[count].name;
    return count;
}

static void read_label(struct br_words *w, struct bruit_config *config)
{
    struct br_scenario *scenario = w->scenario;
    uint8_t text[63];
    size_t size = br_words_text(w, "a label", text, sizeof text);
    if (scenario->label_count == sizeof scenario->labels / sizeof scenario->labels[0]) {
        br_words_fail(w, "a scenario has at most 8 labels");
        return;
    }
    char *label = scenario->labels[scenario->label_count++];
    memcpy(label, text, size);
    config->label = (struct bruit_bytes){(const uint8_t *)label, size};
}

static void read_value(struct br_words *w, struct bruit_config *config, const struct key *key)
{
    void *at = (char *)config + key->offset;
    switch (key->kind) {
    case TIME: *(bruit_time *)at = br_words_duration(w, key->name); break;
    case NUMBER32: *(uint32_t *)at = (uint32_t)br_words_number(w, key->name, 0, UINT32_MAX); break;
    case NUMBER8: *(uint8_t *)at = (uint8_t)br_words_number(w, key->name, 0, UINT8_MAX); break;
    case SIZE: *(size_t *)at = (size_t)br_words_size(w, key->name); break;
    case SIZE32: {
        uint64_t size = br_words_size(w, key->name);
        *(uint32_t *)at = size > UINT32_MAX ? UINT32_MAX : (uint32_t)size;
        break;
    }
    case FLAG: *(bool *)at = br_words_flag(w, key->name); break;
    case LABEL: read_label(w, config); break;
    case DETECTOR: *(unsigned *)at = (unsigned)(br_words_choice(w, "a detector", detectors, 2) % 2); break;
    case MODE: *(unsigned *)at = (unsigned)(br_words_choice(w, "a mode", modes, 3) % 3); break;
    case RULE: *(unsigned *)at = (unsigned)(br_words_choice(w, "a rule", rules, 2) % 2); break;
    }
}

bool br_read_key(struct br_words *w, struct bruit_config *config, uint32_t *index)
{
    for (uint32_t i = 0; i < KEYS; i++)
        if (br_words_accept(w, keys[i].name)) {
            read_value(w, config, &keys[i]);
            *index = i;
            return true;
        }
    return false;
}

void br_scenario_key_copy(struct bruit_config *to, const struct bruit_config *from, uint32_t index)
{
    static const size_t sizes[] = {[TIME] = sizeof(bruit_time), [NUMBER32] = 4, [NUMBER8] = 1,
                                   [SIZE] = sizeof(size_t),     [SIZE32] = 4,   [FLAG] = sizeof(bool),
                                   [LABEL] = sizeof to->label,  [DETECTOR] = 4, [MODE] = 4,
                                   [RULE] = 4};
    const struct key *key = &keys[index];
    memcpy((char *)to + key->offset, (const char *)from + key->offset, sizes[key->kind]);
}

static void print_time(char *out, size_t size, bruit_time time)
{
    static const struct {
        const char *unit;
        bruit_time length;
    } units[] = {{"h", 3600 * BRUIT_SECOND}, {"m", 60 * BRUIT_SECOND},  {"s", BRUIT_SECOND},
                 {"ms", BRUIT_MILLISECOND},  {"us", BRUIT_MICROSECOND}, {"ns", 1}};
    size_t i = 0;
    while (time % units[i].length != 0)
        i++;
    (void)snprintf(out, size, "%llu%s", (unsigned long long)(time / units[i].length),
                   time == 0 ? "s" : units[i].unit);
}

bool br_scenario_key(const struct bruit_config *config, size_t index, const char **name, char *value,
                     size_t value_size)
{
    if (index >= KEYS)
        return false;
    const struct key *key = &keys[index];
    const void *at = (const char *)config + key->offset;
    *name = key->name;
    switch (key->kind) {
    case TIME: print_time(value, value_size, *(const bruit_time *)at); break;
    case NUMBER32:
    case SIZE32: (void)snprintf(value, value_size, "%u", (unsigned)*(const uint32_t *)at); break;
    case NUMBER8: (void)snprintf(value, value_size, "%u", (unsigned)*(const uint8_t *)at); break;
    case SIZE: (void)snprintf(value, value_size, "%zu", *(const size_t *)at); break;
    case FLAG: (void)snprintf(value, value_size, "%s", *(const bool *)at ? "yes" : "no"); break;
    case LABEL:
        (void)snprintf(value, value_size, "\"%.*s\"", (int)config->label.size,
                       config->label.size == 0 ? "" : (const char *)config->label.data);
        break;
    case DETECTOR: (void)snprintf(value, value_size, "%s", detectors[*(const unsigned *)at]); break;
    case MODE: (void)snprintf(value, value_size, "%s", modes[*(const unsigned *)at]); break;
    case RULE: (void)snprintf(value, value_size, "%s", rules[*(const unsigned *)at]); break;
    }
    return true;
}

/* ------------------------------------------------------------------ the links */

static const struct {
    const char *usage;
    const char *meaning;
} link_forms[] = {
    {"latency D", "of every datagram; the least there is"},
    {"spread D", "up to this much more, the same for a pair of nodes all the time"},
    {"jitter D [lognormal]", "up to this much more, drawn for each; or with this median"},
    {"loss 2%", "each datagram by itself"},
    {"bursts 80% every 30s for 2s",
     "what is lost while it is bad, and how often and long that is, on average"},
    {"duplicate 1%", "arrives twice"},
    {"reorder 5% by 20ms", "is held back by up to this much"},
    {"corrupt 1%", "some bits are flipped"},
    {"mtu BYTES", "longer datagrams vanish"},
};

const char *br_link_usage(size_t index, const char **meaning)
{
    if (index >= sizeof link_forms / sizeof link_forms[0])
        return NULL;
    *meaning = link_forms[index].meaning;
    return link_forms[index].usage;
}

static const char *const link_names[] = {"latency",   "spread",  "jitter",  "loss", "bursts",
                                         "duplicate", "reorder", "corrupt", "mtu"};
enum link_word { LATENCY, SPREAD, JITTER, LOSS, BURSTS, DUPLICATE, REORDER, CORRUPT, MTU, LINK_WORDS };

size_t br_link_names(const char **names, size_t most)
{
    size_t count = 0;
    for (; count < LINK_WORDS && count < most; count++)
        names[count] = link_names[count];
    return count;
}

/* bursts 80% every 30s for 2s; bursts 0% */
static void read_bursts(struct br_words *w, struct bruit_sim_link *link)
{
    link->burst_loss = br_words_fraction(w, "bursts");
    link->burst_every = link->burst_length = 0;
    if (link->burst_loss == 0)
        return;
    br_words_expect(w, "every");
    link->burst_every = br_words_duration(w, "every");
    br_words_expect(w, "for");
    link->burst_length = br_words_duration(w, "for");
    if (!w->failed && (link->burst_length == 0 || link->burst_length >= link->burst_every))
        br_words_fail(w, "bursts last longer than nothing, and less than the time from one to the next");
}

static void read_link_value(struct br_words *w, struct bruit_sim_link *link, enum link_word word)
{
    switch (word) {
    case LATENCY: link->latency = br_words_duration(w, "latency"); break;
    case SPREAD: link->spread = br_words_duration(w, "spread"); break;
    case JITTER:
        link->jitter = br_words_duration(w, "jitter");
        link->shape = br_words_accept(w, "lognormal") ? BRUIT_SIM_LOGNORMAL : BRUIT_SIM_UNIFORM;
        break;
    case LOSS: link->loss = br_words_fraction(w, "loss"); break;
    case BURSTS: read_bursts(w, link); break;
    case DUPLICATE: link->duplicate = br_words_fraction(w, "duplicate"); break;
    case REORDER:
        link->reorder = br_words_fraction(w, "reorder");
        if (link->reorder > 0) {
            br_words_expect(w, "by");
            link->reorder_delay = br_words_duration(w, "by");
        }
        break;
    case CORRUPT: link->corrupt = br_words_fraction(w, "corrupt"); break;
    case MTU: link->mtu = (uint32_t)br_words_number(w, "mtu", 0, 65535); break;
    case LINK_WORDS: break;
    }
}

bool br_read_link(struct br_words *w, struct bruit_sim_link *link)
{
    for (enum link_word i = 0; i < LINK_WORDS; i++)
        if (br_words_accept(w, link_names[i])) {
            read_link_value(w, link, i);
            return true;
        }
    return false;
}
