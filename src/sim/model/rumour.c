/*
 * One trial of push, pull or push-pull, with or without loss of interest; see model.h for the rules.
 *
 * The state is a few counts: the ignorant, and who talks, by how many events in a row each has had. In a round
 * a talker's message finds an ignorant node with a probability that is the same for all, so the numbers of
 * messages that do are binomial, and which of the ignorant they find is uniform: balls into boxes. This is the
 * process itself, not its mean: nodes that are not told apart need not be followed apart. One corner is cut: of
 * pulls among talkers, that nobody asks itself is honoured in number but not in place (an error of 1 / (2 n^2)
 * in the chance of being asked).
 */
#include "sim/model/model.h"

#include "base/check.h"

#include <string.h>

struct crowd {
    const struct br_model_config *config;
    struct br_rng *rng;
    struct br_boxes *boxes;
    struct br_model_trial *trial;
    double arrives;  /* the chance of a message */
    uint32_t others; /* whom a node can draw: everybody, or everybody else */
    uint32_t alive;
    uint32_t ignorant;
    uint32_t talkers;
    uint32_t talkers_by[BR_MODEL_INTEREST_MAX]; /* events in a row so far */
    double informed_rounds;                     /* sum of the rounds in which nodes were informed */
};

/* What became of the talkers of one count of events. */
struct deeds {
    uint32_t useful;
    uint32_t useless;
};

/*
 * How many of `fanout` different picks among `others` fall upon `wanted` of them and arrive: the chance of each
 * number. Pick by pick, then loss: no factorials, nothing to overflow.
 */
static void weigh_picks(const struct crowd *crowd, uint32_t wanted, double weights[BR_MODEL_FANOUT_MAX + 1])
{
    uint32_t k = crowd->config->fanout;
    double arrives = crowd->arrives;
    double picked[BR_MODEL_FANOUT_MAX + 1] = {1};
    for (uint32_t pick = 0; pick < k; pick++) {
        double left = (double)(crowd->others - pick);
        for (uint32_t x = pick + 1; x-- > 0;) {
            double finds = wanted > x ? (double)(wanted - x) / left : 0;
            finds = finds > 1 ? 1 : finds;
            picked[x + 1] += picked[x] * finds;
            picked[x] *= 1 - finds;
        }
    }
    /* Adding the picks to what has arrived, one loss at a time. */
    memset(weights, 0, (k + 1) * sizeof *weights);
    double arrived[BR_MODEL_FANOUT_MAX + 1] = {1};
    for (uint32_t x = 0; x <= k; x++) {
        for (uint32_t y = 0; y <= x; y++)
            weights[y] += picked[x] * arrived[y];
        for (uint32_t y = x + 1; y-- > 0 && x < k;) {
            arrived[y + 1] += arrived[y] * arrives;
            arrived[y] *= 1 - arrives;
        }
    }
}

/* ------------------------------------------------------------------ who is informed in a round */

/* Talkers tell; returns how many different ignorant nodes hear. */
static uint32_t push_to_many(struct crowd *crowd)
{
    const struct br_model_config *config = crowd->config;
    uint64_t sent = (uint64_t)crowd->talkers * config->fanout;
    crowd->trial->messages += sent;
    crowd->trial->copies += sent;
    if (config->fanout == 1) {
        uint64_t balls =
            br_draw_binomial(crowd->rng, sent, (double)crowd->ignorant / crowd->others * crowd->arrives);
        return br_draw_hit(crowd->rng, crowd->boxes, crowd->ignorant, balls);
    }
    double weights[BR_MODEL_FANOUT_MAX + 1];
    uint64_t senders[BR_MODEL_FANOUT_MAX + 1];
    weigh_picks(crowd, crowd->ignorant, weights);
    br_draw_multinomial(crowd->rng, crowd->talkers, weights, config->fanout + 1, senders);
    if (crowd->ignorant > BR_DRAW_CHUNK) { /* where groups are not kept apart */
        uint64_t balls = 0;
        for (uint32_t y = 1; y <= config->fanout; y++)
            balls += senders[y] * y;
        return br_draw_hit(crowd->rng, crowd->boxes, crowd->ignorant, balls);
    }
    return br_draw_hit_groups(crowd->rng, crowd->boxes, crowd->ignorant, senders, config->fanout);
}

/* `askers` of the ignorant ask; returns how many get an answer. */
static uint32_t pull_by(struct crowd *crowd, uint32_t askers)
{
    const struct br_model_config *config = crowd->config;
    double weights[BR_MODEL_FANOUT_MAX + 1];
    uint64_t asked[BR_MODEL_FANOUT_MAX + 1];
    weigh_picks(crowd, crowd->talkers, weights);
    br_draw_multinomial(crowd->rng, askers, weights, config->fanout + 1, asked);
    uint64_t answered = 0, answers = 0;
    double all_lost = 1;
    for (uint32_t z = 1; z <= config->fanout; z++) {
        all_lost *= config->loss;
        answers += asked[z] * z;
        answered += br_draw_binomial(crowd->rng, asked[z], 1 - all_lost);
    }
    crowd->trial->messages += (uint64_t)askers * config->fanout + answers;
    crowd->trial->copies += answers;
    return (uint32_t)answered;
}

static void shift_talkers(struct crowd *crowd, const struct deeds *deeds);
static uint32_t push_with_feedback(struct crowd *crowd, struct deeds *deeds);
static uint32_t pull_with_interest(struct crowd *crowd, struct deeds *deeds);

/* Each round of talking is an event. */
static void all_talked(const struct crowd *crowd, struct deeds *deeds)
{
    for (uint32_t i = 0; i < crowd->config->interest; i++)
        deeds[i] = (struct deeds){.useless = crowd->talkers_by[i]};
}

static uint32_t play_round(struct crowd *crowd)
{
    const struct br_model_config *config = crowd->config;
    struct deeds deeds[BR_MODEL_INTEREST_MAX];
    uint32_t informed = 0;
    bool forgets = config->forget != BR_MODEL_NEVER;
    if (forgets && config->mode == BR_MODEL_PULL) {
        informed = pull_with_interest(crowd, deeds);
    } else if (config->feedback) {
        informed = push_with_feedback(crowd, deeds);
    } else {
        if (config->mode != BR_MODEL_PULL)
            informed = push_to_many(crowd);
        if (config->mode != BR_MODEL_PUSH) {
            (void)pull_by(crowd, informed); /* they ask, too, before they know */
            informed += pull_by(crowd, crowd->ignorant - informed);
        }
        if (forgets)
            all_talked(crowd, deeds);
    }
    if (forgets)
        shift_talkers(crowd, deeds);
    return informed;
}

/* ------------------------------------------------------------------ loss of interest */

/* Moves talkers to where their deeds of the round lead, and out. */
static void shift_talkers(struct crowd *crowd, const struct deeds *deeds)
{
    const struct br_model_config *config = crowd->config;
    if (config->forget == BR_MODEL_COIN) {
        uint64_t gone = br_draw_binomial(crowd->rng, deeds[0].useless, 1.0 / config->interest);
        crowd->talkers_by[0] -= (uint32_t)gone;
        crowd->talkers -= (uint32_t)gone;
        return;
    }
    uint32_t useful = 0, up = 0;
    for (uint32_t i = 0; i < config->interest; i++) {
        crowd->talkers_by[i] += up - deeds[i].useless - deeds[i].useful;
        up = deeds[i].useless;
        useful += deeds[i].useful;
    }
    crowd->talkers_by[0] += useful;
    crowd->talkers -= up;
}

/* Each talker tells one. */
static uint32_t push_with_feedback(struct crowd *crowd, struct deeds *deeds)
{
    double useful = (double)crowd->ignorant / crowd->others * crowd->arrives;
    double useless = (double)(crowd->alive - 1 - crowd->ignorant) / crowd->others * crowd->arrives;
    uint64_t balls = 0;
    for (uint32_t i = 0; i < crowd->config->interest; i++) {
        uint32_t talkers = crowd->talkers_by[i];
        deeds[i].useful = (uint32_t)br_draw_binomial(crowd->rng, talkers, useful);
        deeds[i].useless = 0;
        if (useful < 1)
            deeds[i].useless =
                (uint32_t)br_draw_binomial(crowd->rng, talkers - deeds[i].useful, useless / (1 - useful));
        balls += deeds[i].useful;
    }
    crowd->trial->messages += crowd->talkers;
    crowd->trial->copies += crowd->talkers;
    return br_draw_hit(crowd->rng, crowd->boxes, crowd->ignorant, balls);
}

/* Everybody asks one. A talker is asked in vain, usefully (by an ignorant node at least once), or not at all. */
static uint32_t pull_with_interest(struct crowd *crowd, struct deeds *deeds)
{
    const struct br_model_config *config = crowd->config;
    struct br_rng *rng = crowd->rng;
    double finds = (double)crowd->talkers / crowd->others * crowd->arrives;
    double finds_other =
        crowd->talkers > 0 ? (double)(crowd->talkers - 1) / crowd->others * crowd->arrives : 0;
    uint32_t silent = crowd->alive - crowd->ignorant - crowd->talkers;
    uint64_t asked = br_draw_binomial(rng, crowd->ignorant, finds);
    uint64_t vain = br_draw_binomial(rng, silent, finds) + br_draw_binomial(rng, crowd->talkers, finds_other);
    crowd->trial->messages += crowd->alive + asked + vain;
    crowd->trial->copies += asked + vain;
    uint64_t asked_left = asked, vain_left = vain;
    uint32_t talkers_left = crowd->talkers;
    for (uint32_t i = 0; i < config->interest; i++) {
        uint32_t talkers = crowd->talkers_by[i];
        double share = talkers_left > 0 ? (double)talkers / talkers_left : 0;
        uint64_t asked_here = br_draw_binomial(rng, asked_left, share);
        uint64_t vain_here = br_draw_binomial(rng, vain_left, share);
        br_draw_hit_both(rng, crowd->boxes, talkers, asked_here, vain_here, &deeds[i].useful,
                         &deeds[i].useless);
        if (!config->feedback) { /* useful or not is all the same */
            deeds[i].useless += deeds[i].useful;
            deeds[i].useful = 0;
        }
        asked_left -= asked_here;
        vain_left -= vain_here;
        talkers_left -= talkers;
    }
    return (uint32_t)br_draw_binomial(rng, asked, crowd->arrives);
}

/* ------------------------------------------------------------------ round after round */

static bool may_change(const struct crowd *crowd)
{
    if (crowd->config->forget == BR_MODEL_NEVER)
        return crowd->ignorant > 0;
    return crowd->talkers > 0;
}

static void inform(struct crowd *crowd, uint32_t count, uint32_t round)
{
    BR_ASSERT(count <= crowd->ignorant);
    crowd->ignorant -= count;
    crowd->talkers += count;
    crowd->talkers_by[0] += count;
    crowd->informed_rounds += (double)count * round;
    if (count > 0)
        crowd->trial->rounds = round;
    crowd->trial->ended = round;
    crowd->trial->curve[round] = crowd->alive - crowd->ignorant;
}

void br_model_rumour(const struct br_model_config *config, struct br_rng *rng, struct br_boxes *boxes,
                     struct br_model_trial *trial)
{
    struct crowd crowd = {.config = config, .rng = rng, .boxes = boxes, .trial = trial};
    crowd.arrives = 1 - config->loss;
    crowd.others = config->nodes - (config->self_too ? 0 : 1);
    crowd.alive = br_model_alive(config);
    crowd.ignorant = crowd.alive;
    inform(&crowd, 1, 0);
    for (uint32_t round = 1; round <= BR_MODEL_ROUNDS_MAX && may_change(&crowd); round++)
        inform(&crowd, play_round(&crowd), round);
    trial->informed = crowd.alive - crowd.ignorant;
    trial->mean_round = trial->informed > 1 ? crowd.informed_rounds / (trial->informed - 1) : 0;
}
