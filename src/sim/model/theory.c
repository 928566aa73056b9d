/*
 * What the literature and the mean field say of a rumour; see model.h for the formulas and where they are from.
 */
#include "sim/model/model.h"

#include "base/num.h"

/* What arrives at live nodes of the messages that a node sends in a round. */
static double effective_fanout(const struct br_model_config *config)
{
    double alive = br_model_alive(config);
    return config->fanout * (1 - config->loss) * alive / config->nodes;
}

static bool is_clean(const struct br_model_config *config)
{
    return !(config->loss > 0) && br_model_alive(config) == config->nodes;
}

static double log_to(double base, double x)
{
    return br_num_log(x) / br_num_log(base);
}

double br_model_theory_rounds(const struct br_model_config *config)
{
    double n = br_model_alive(config), k = effective_fanout(config);
    if (n < 3 || (config->mode != BR_MODEL_PUSH && !is_clean(config)))
        return 0;
    switch (config->mode) {
    case BR_MODEL_PUSH: return log_to(1 + k, n) + br_num_log(n) / k;
    case BR_MODEL_PULL: return log_to(1 + k, n) + log_to(1 + k, br_num_log(n));
    case BR_MODEL_PUSH_PULL: return log_to(1 + 2 * k, n) + log_to(1 + k, br_num_log(n));
    case BR_MODEL_FLOOD: break;
    }
    return config->fanout < 2 ? 0 : log_to(2 * k - 0.5, n); /* one connection each leaves pieces apart */
}

const char *br_model_theory_formula(const struct br_model_config *config)
{
    if (!(br_model_theory_rounds(config) > 0))
        return "none";
    switch (config->mode) {
    case BR_MODEL_PUSH:
        if (!is_clean(config))
            return "log_{1+e} n + (ln n)/e, e = k (1-loss) (1-dead)";
        return config->fanout == 1 ? "log2 n + ln n" : "log_{1+k} n + (ln n)/k";
    case BR_MODEL_PULL: return config->fanout == 1 ? "log2 n + log2 ln n" : "log_{1+k} n + log_{1+k} ln n";
    case BR_MODEL_PUSH_PULL:
        return config->fanout == 1 ? "log3 n + log2 ln n" : "log_{1+2k} n + log_{1+k} ln n";
    case BR_MODEL_FLOOD: break;
    }
    return "ln n / ln(2k - 1/2)";
}

double br_model_lower_bound(const struct br_model_config *config)
{
    return log_to(1.0 + config->fanout, br_model_alive(config));
}

double br_model_mean_field(const struct br_model_config *config, double known)
{
    double alive_share = (double)br_model_alive(config) / config->nodes;
    double arrives = 1 - config->loss;
    double ignorant = 1 - known;
    /* Not told: e^-(messages a node gets). Not answered: none of k questions is, and both ways can lose. */
    if (config->mode != BR_MODEL_PULL)
        ignorant *= br_num_exp(-(double)config->fanout * arrives * alive_share * known);
    if (config->mode != BR_MODEL_PUSH)
        for (uint32_t i = 0; i < config->fanout; i++)
            ignorant *= 1 - known * alive_share * arrives * arrives;
    return 1 - ignorant;
}

uint32_t br_model_mean_field_rounds(const struct br_model_config *config)
{
    double alive = br_model_alive(config), known = 1 / alive;
    if (config->mode == BR_MODEL_FLOOD || config->forget != BR_MODEL_NEVER)
        return 0;
    for (uint32_t round = 0; round < BR_MODEL_ROUNDS_MAX; round++) {
        if ((1 - known) * alive < 0.5)
            return round;
        known = br_model_mean_field(config, known);
    }
    return 0;
}

double br_model_serf_formula(const struct br_model_config *config, double round)
{
    double n = config->nodes;
    double rate = config->fanout * (1 - config->loss) * (1 - config->dead) * 0.5;
    return 1 / (1 + (n + 1) * br_num_exp(-rate * round));
}
