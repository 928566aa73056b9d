/*
 * Rules: faults on the way from some nodes to others. There are few at a time; each packet asks all of them.
 */
#include "base/time.h"
#include "sim/sim.h"

#include <stdlib.h>

void bruit_sim_rule_default(struct bruit_sim_rule *rule)
{
    *rule = (struct bruit_sim_rule){
        .struct_size = sizeof *rule, .traffic = BRUIT_SIM_ALL, .pairs = BRUIT_SIM_MILLION};
}

/* ---- what they do ---- */

static bool is_in(const uint64_t *words, size_t count, const struct bruit_sim_set *set, uint32_t node)
{
    bool listed = node / 64 < count && (words[node / 64] >> node % 64 & 1) != 0;
    return listed != set->complement;
}

static bool joins(const struct br_sim_rule *rule, uint32_t from, uint32_t to)
{
    return is_in(rule->from, rule->from_words, &rule->rule.from, from) &&
           is_in(rule->to, rule->to_words, &rule->rule.to, to);
}

/* Whether the pair is one of those that the rule is about: the same both ways if the rule is. */
static bool hits_pair(const struct bruit_sim *sim, const struct br_sim_rule *rule, uint32_t from, uint32_t to)
{
    if (rule->rule.pairs >= BRUIT_SIM_MILLION)
        return true;
    if (rule->rule.both_ways && from > to) {
        uint32_t other = from;
        from = to;
        to = other;
    }
    uint64_t hash =
        br_sim_mix(sim->config.seed ^ br_sim_mix((uint64_t)from << 32 | to) ^ br_sim_mix(rule->id));
    return hash >> 32 < br_sim_threshold(rule->rule.pairs);
}

static void add_effect(struct br_sim_node *from, const struct bruit_sim_rule *rule,
                       struct br_sim_effect *effect)
{
    effect->block |= rule->block;
    effect->refuse |= rule->refuse;
    effect->lose |= br_sim_chance(&from->rng, br_sim_threshold(rule->loss));
    effect->delay += rule->delay;
    if (rule->jitter > 0)
        effect->delay += br_sim_up_to(&from->rng, rule->jitter);
    effect->clog = br_time_max(effect->clog, rule->clog);
    effect->duplicate = br_sim_threshold(rule->duplicate) + effect->duplicate;
    effect->corrupt = br_sim_threshold(rule->corrupt) + effect->corrupt;
    if (rule->mtu != 0 && (effect->mtu == 0 || rule->mtu < effect->mtu))
        effect->mtu = rule->mtu;
}

void br_sim_effect_of(struct br_sim_node *from, uint32_t to, uint32_t traffic, struct br_sim_effect *effect)
{
    const struct bruit_sim *sim = from->sim;
    *effect = (struct br_sim_effect){0};
    for (const struct br_sim_rule *rule = sim->rules; rule != NULL; rule = rule->next) {
        if (!(rule->rule.traffic & traffic))
            continue;
        if (!joins(rule, from->index, to) && !(rule->rule.both_ways && joins(rule, to, from->index)))
            continue;
        if (hits_pair(sim, rule, from->index, to))
            add_effect(from, &rule->rule, effect);
    }
}

/* ---- adding and removing ---- */

static bool is_set_sane(const struct bruit_sim *sim, const struct bruit_sim_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->nodes[i] >= sim->count)
            return false;
    return true;
}

static bool is_sane(const struct bruit_sim *sim, const struct bruit_sim_rule *rule)
{
    return rule->struct_size == sizeof *rule && is_set_sane(sim, &rule->from) &&
           is_set_sane(sim, &rule->to) && rule->pairs <= BRUIT_SIM_MILLION &&
           rule->loss <= BRUIT_SIM_MILLION && rule->duplicate <= BRUIT_SIM_MILLION &&
           rule->corrupt <= BRUIT_SIM_MILLION && rule->delay <= 3600 * BRUIT_SECOND &&
           rule->jitter <= 3600 * BRUIT_SECOND;
}

static uint64_t *words_of(const struct bruit_sim_set *set, size_t *count)
{
    uint32_t highest = 0;
    for (size_t i = 0; i < set->count; i++)
        highest = set->nodes[i] > highest ? set->nodes[i] : highest;
    *count = highest / 64 + 1;
    uint64_t *words = calloc(*count, sizeof *words);
    for (size_t i = 0; i < set->count && words != NULL; i++)
        words[set->nodes[i] / 64] |= UINT64_C(1) << set->nodes[i] % 64;
    return words;
}

static void rule_free(struct br_sim_rule *rule)
{
    if (rule == NULL)
        return;
    free(rule->from);
    free(rule->to);
    free(rule);
}

int bruit_sim_rule_add(struct bruit_sim *sim, const struct bruit_sim_rule *rule, uint32_t *id)
{
    if (!is_sane(sim, rule))
        return BRUIT_EINVAL;
    struct br_sim_rule *copy = calloc(1, sizeof *copy);
    if (copy == NULL)
        return BRUIT_ENOMEM;
    copy->rule = *rule;
    copy->from = words_of(&rule->from, &copy->from_words);
    copy->to = words_of(&rule->to, &copy->to_words);
    if (copy->from == NULL || copy->to == NULL) {
        rule_free(copy);
        return BRUIT_ENOMEM;
    }
    copy->rule.from.nodes = copy->rule.to.nodes = NULL;
    copy->id = ++sim->rule_last;
    /* At the end: chances are drawn in the order in which rules were made. */
    struct br_sim_rule **at = &sim->rules;
    while (*at != NULL)
        at = &(*at)->next;
    *at = copy;
    if (id != NULL)
        *id = copy->id;
    return 0;
}

int bruit_sim_rule_remove(struct bruit_sim *sim, uint32_t id)
{
    for (struct br_sim_rule **at = &sim->rules; *at != NULL; at = &(*at)->next) {
        struct br_sim_rule *rule = *at;
        if (rule->id != id)
            continue;
        *at = rule->next;
        rule_free(rule);
        return 0;
    }
    return BRUIT_ENOENT;
}

void bruit_sim_heal(struct bruit_sim *sim)
{
    while (sim->rules != NULL)
        (void)bruit_sim_rule_remove(sim, sim->rules->id); /* it is there */
}

void br_sim_rules_fini(struct bruit_sim *sim)
{
    bruit_sim_heal(sim);
}

int bruit_sim_partition(struct bruit_sim *sim, const uint32_t *nodes, size_t count, uint32_t *id)
{
    struct bruit_sim_rule rule;
    bruit_sim_rule_default(&rule);
    rule.from = (struct bruit_sim_set){nodes, count, false};
    rule.to = (struct bruit_sim_set){nodes, count, true};
    rule.both_ways = rule.block = true;
    return bruit_sim_rule_add(sim, &rule, id);
}

int bruit_sim_set_link(struct bruit_sim *sim, uint32_t from_zone, uint32_t to_zone,
                       const struct bruit_sim_link *link)
{
    uint32_t zones = sim->config.zones;
    if (from_zone >= zones || to_zone >= zones || br_sim_link_check(link) != NULL ||
        link->latency < sim->window)
        return BRUIT_EINVAL;
    br_sim_way_init(&sim->ways[from_zone * zones + to_zone], link);
    return 0;
}
