/*
 * One trial of push-pull with minimisation, node by node: what a contact counts for depends on both ends, so counts of
 * nodes will not do (model.h has the rules). Two bytes a node.
 */
#include "sim/model/model.h"

#include "base/check.h"

#include <string.h>

#define IGNORANT 255 /* else: useless contacts in a row; `interest`: silent */
#define USEFUL 1     /* what became of a node in this round */
#define USELESS 2
#define INFORMED 4

struct pairs {
    const struct br_model_config *config;
    struct br_rng *rng;
    struct br_model_trial *trial;
    uint8_t *counter; /* of each node that is alive */
    uint8_t *deeds;
    uint32_t alive;
    uint32_t talkers;
    uint32_t informed;
};

static bool talks(const struct pairs *pairs, uint32_t node)
{
    return pairs->counter[node] < pairs->config->interest;
}

/* Both ends see each other as they were at the start of the round. */
static void meet(struct pairs *pairs, uint32_t a, uint32_t b)
{
    uint8_t of_a = pairs->counter[a], of_b = pairs->counter[b];
    if (of_a == IGNORANT && of_b == IGNORANT)
        return;
    if (of_a == IGNORANT || of_b == IGNORANT) {
        uint32_t teller = of_a == IGNORANT ? b : a, hearer = of_a == IGNORANT ? a : b;
        if (talks(pairs, teller)) {
            pairs->deeds[teller] |= USEFUL;
            pairs->deeds[hearer] |= INFORMED;
        }
        return;
    }
    if (of_a <= of_b)
        pairs->deeds[a] |= USELESS;
    if (of_b <= of_a)
        pairs->deeds[b] |= USELESS;
}

static void contact(struct pairs *pairs, uint32_t node)
{
    const struct br_model_config *config = pairs->config;
    uint32_t peer = br_rng_below(pairs->rng, config->nodes - (config->self_too ? 0 : 1));
    peer += !config->self_too && peer >= node;
    pairs->trial->messages++;
    pairs->trial->copies += talks(pairs, node);
    if (peer >= pairs->alive || peer == node)
        return;
    if (config->loss > 0 && br_draw_unit(pairs->rng) >= (1 - config->loss) * (1 - config->loss))
        return;
    pairs->trial->messages++;
    pairs->trial->copies += talks(pairs, peer);
    meet(pairs, node, peer);
}

/* A useful contact starts the count again, whatever else happened; several useless ones in a round are one. */
static void settle(struct pairs *pairs, uint32_t node)
{
    uint8_t deeds = pairs->deeds[node];
    pairs->deeds[node] = 0;
    if ((deeds & INFORMED) != 0) {
        pairs->counter[node] = 0;
        pairs->informed++;
        pairs->talkers++;
    } else if ((deeds & USEFUL) != 0) {
        pairs->counter[node] = 0;
    } else if ((deeds & USELESS) != 0 && talks(pairs, node)) {
        pairs->counter[node]++;
        pairs->talkers -= !talks(pairs, node);
    }
}

void br_model_pairs(const struct br_model_config *config, struct br_rng *rng, struct br_boxes *boxes,
                    struct br_model_trial *trial)
{
    struct pairs pairs = {.config = config, .rng = rng, .trial = trial, .talkers = 1, .informed = 1};
    double informed_rounds = 0;
    BR_ASSERT(boxes->nodes != NULL);
    pairs.alive = br_model_alive(config);
    pairs.counter = boxes->nodes;
    pairs.deeds = boxes->nodes + config->nodes;
    memset(pairs.counter, IGNORANT, pairs.alive);
    memset(pairs.deeds, 0, pairs.alive);
    pairs.counter[0] = 0;
    trial->curve[0] = 1;
    for (uint32_t round = 1; round <= BR_MODEL_ROUNDS_MAX && pairs.talkers > 0; round++) {
        uint32_t before = pairs.informed;
        for (uint32_t node = 0; node < pairs.alive; node++)
            contact(&pairs, node);
        for (uint32_t node = 0; node < pairs.alive; node++)
            settle(&pairs, node);
        if (pairs.informed > before)
            trial->rounds = round;
        trial->ended = round;
        trial->curve[round] = pairs.informed;
        informed_rounds += (double)(pairs.informed - before) * round;
    }
    trial->informed = pairs.informed;
    trial->mean_round = pairs.informed > 1 ? informed_rounds / (pairs.informed - 1) : 0;
}
