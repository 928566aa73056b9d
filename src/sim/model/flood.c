/*
 * One trial of flooding over fixed connections: announce, then fetch; see model.h for the rules.
 *
 * The graph is not built before it is flooded but revealed by it ("deferred decisions"): whom a node opened a
 * connection to matters only when one end of it announces. Until then it may be anybody who has not announced
 * yet: had it led to a node that has, it would have been used. So a round needs counts alone: who is ignorant,
 * by how many of their connections are still unknown; the frontier, informed in the last round; and how many
 * unknown connections the frontier has. It is the same process as on a graph drawn first, in 8 KiB.
 *
 * Two connections may lead to the same node. An announcement that was lost is not answered by one in the other
 * direction.
 */
#include "sim/model/model.h"

#include "base/check.h"

struct flood {
    const struct br_model_config *config;
    struct br_rng *rng;
    struct br_boxes *boxes;
    struct br_model_trial *trial;
    double arrives;
    uint32_t alive;
    uint32_t dead;
    uint32_t older;    /* informed, and have announced */
    uint32_t frontier; /* informed, and announce now */
    uint64_t unknown;  /* connections that the frontier has opened, to whom is not known */
    uint32_t ignorant;
    uint32_t ignorant_by[BR_MODEL_FANOUT_MAX + 1]; /* number of connections to somebody not known */
    /* What the round leaves behind. */
    uint32_t next_by[BR_MODEL_FANOUT_MAX + 1];
    uint32_t next_frontier;
    uint64_t next_unknown;
};

/* The chance that x of `count` unknown connections lead to the frontier, for each x. */
static void weigh_hits(uint32_t count, double finds, double weights[BR_MODEL_FANOUT_MAX + 1])
{
    weights[0] = 1;
    for (uint32_t i = 0; i < count; i++) {
        weights[i + 1] = 0;
        for (uint32_t x = i + 1; x-- > 0;) {
            weights[x + 1] += weights[x] * finds;
            weights[x] *= 1 - finds;
        }
    }
}

/*
 * `nodes` ignorant ones of which `hits` connections each turned out to lead to the frontier, `left` are still
 * unknown, and at which `balls` announcements of the frontier arrive on connections of its own.
 */
static void hear(struct flood *flood, uint32_t nodes, uint32_t hits, uint32_t left, uint64_t balls)
{
    double all_lost = 1;
    for (uint32_t i = 0; i < hits; i++)
        all_lost *= flood->config->loss;
    uint32_t heard = (uint32_t)br_draw_binomial(flood->rng, nodes, 1 - all_lost);
    uint64_t rest = br_draw_binomial(flood->rng, balls, (double)(nodes - heard) / nodes);
    heard += br_draw_hit(flood->rng, flood->boxes, nodes - heard, rest);
    flood->trial->messages += (uint64_t)nodes * hits;
    flood->next_by[left] += nodes - heard;
    flood->next_frontier += heard;
    flood->next_unknown += (uint64_t)heard * left;
}

/* Reveals what the unknown connections of the frontier lead to; returns how many reach ignorant nodes. */
static uint64_t announce(struct flood *flood, double candidates)
{
    double ignorant = flood->ignorant / candidates;
    double weights[4] = {ignorant * flood->arrives, ignorant * (1 - flood->arrives),
                         (flood->frontier - 1) / candidates, flood->dead / candidates};
    uint64_t found[4];
    br_draw_multinomial(flood->rng, flood->unknown, weights, 4, found);
    /* Between two of the frontier, both announce. */
    flood->trial->messages += flood->unknown + found[2];
    return found[0];
}

static void play_round(struct flood *flood)
{
    double candidates = (double)(flood->config->nodes - 1 - flood->older);
    if (candidates < 1)
        return; /* one node is left, and has nobody to announce to */
    double finds = flood->frontier / candidates;
    double weights[BR_MODEL_FANOUT_MAX + 1];
    uint64_t groups[BR_MODEL_FANOUT_MAX + 1];
    uint64_t balls_left = announce(flood, candidates);
    uint32_t nodes_left = flood->ignorant;
    for (uint32_t count = 0; count <= flood->config->fanout; count++) {
        weigh_hits(count, finds > 1 ? 1 : finds, weights);
        br_draw_multinomial(flood->rng, flood->ignorant_by[count], weights, count + 1, groups);
        for (uint32_t hits = 0; hits <= count; hits++) {
            uint32_t nodes = (uint32_t)groups[hits];
            if (nodes == 0)
                continue;
            uint64_t balls = br_draw_binomial(flood->rng, balls_left, (double)nodes / nodes_left);
            hear(flood, nodes, hits, count - hits, balls);
            balls_left -= balls;
            nodes_left -= nodes;
        }
    }
    flood->trial->messages += 2 * (uint64_t)flood->next_frontier; /* asked for, and got */
    flood->trial->copies += flood->next_frontier;
}

static void end_round(struct flood *flood)
{
    flood->older += flood->frontier;
    flood->frontier = flood->next_frontier;
    flood->ignorant -= flood->next_frontier;
    flood->unknown = flood->next_unknown;
    flood->next_frontier = 0;
    flood->next_unknown = 0;
    for (uint32_t i = 0; i <= flood->config->fanout; i++) {
        flood->ignorant_by[i] = flood->next_by[i];
        flood->next_by[i] = 0;
    }
}

void br_model_flood(const struct br_model_config *config, struct br_rng *rng, struct br_boxes *boxes,
                    struct br_model_trial *trial)
{
    struct flood flood = {.config = config, .rng = rng, .boxes = boxes, .trial = trial};
    double informed_rounds = 0;
    flood.arrives = 1 - config->loss;
    flood.alive = br_model_alive(config);
    flood.dead = config->nodes - flood.alive;
    flood.ignorant = flood.alive - 1;
    flood.ignorant_by[config->fanout] = flood.ignorant;
    flood.frontier = 1;
    flood.unknown = config->fanout;
    trial->curve[0] = 1;
    /* The last to be informed announce, too: nobody can know that they are the last. */
    for (uint32_t round = 1; round <= BR_MODEL_ROUNDS_MAX && flood.frontier > 0; round++) {
        play_round(&flood);
        end_round(&flood);
        if (flood.frontier == 0)
            break;
        trial->rounds = round;
        trial->ended = round;
        trial->curve[round] = flood.alive - flood.ignorant;
        informed_rounds += (double)flood.frontier * round;
    }
    trial->informed = flood.alive - flood.ignorant;
    trial->mean_round = trial->informed > 1 ? informed_rounds / (trial->informed - 1) : 0;
}
