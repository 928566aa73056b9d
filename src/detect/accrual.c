/*
 * Phi accrual: see accrual.h.
 */
#include "detect/accrual.h"

#include "base/check.h"
#include "base/num.h"
#include "base/time.h"

static double seconds(bruit_time duration)
{
    return (double)duration / 1e9;
}

void br_accrual_rule_init(struct br_accrual_rule *rule, const struct bruit_heartbeat_config *config)
{
    *rule = (struct br_accrual_rule){
        .is_plain = config->rule == BRUIT_HEARTBEAT_ROUNDS,
        .silence = br_time_mul(config->interval, config->rounds),
        .z = br_num_normal_quantile((double)config->threshold / 1000.0),
        .deviation_min = seconds(config->deviation_min),
        .first = seconds(config->first_interval),
        .weight = 1.0 / (double)config->window,
    };
}

void br_accrual_rule_turn(struct br_accrual_rule *rule, bruit_time turn)
{
    rule->turn = seconds(turn);
}

void br_accrual_begin(struct br_accrual *pair, const struct br_accrual_rule *rule, bruit_time now)
{
    double mean = rule->first > 2.0 * rule->turn ? rule->first : 2.0 * rule->turn;
    double deviation = mean / 4.0;
    *pair = (struct br_accrual){(float)mean, (float)(deviation * deviation), now};
}

void br_accrual_beat(struct br_accrual *pair, const struct br_accrual_rule *rule, bruit_time now)
{
    bruit_time silence = br_time_since(pair->last, now);
    if (BR_UNLIKELY(br_accrual_is_over(pair, rule, now)))
        silence = br_time_min(silence, br_time_mul(br_accrual_limit(pair, rule), 2));
    double distance = seconds(silence) - (double)pair->mean;
    double step = rule->weight * distance;
    pair->variance = (float)((1.0 - rule->weight) * ((double)pair->variance + step * distance));
    pair->mean = (float)((double)pair->mean + step);
    pair->last = now;
}

static double least_deviation(const struct br_accrual_rule *rule)
{
    return rule->deviation_min + rule->turn;
}

static double deviation_of(const struct br_accrual *pair, const struct br_accrual_rule *rule)
{
    double deviation = br_num_sqrt((double)pair->variance);
    double least = least_deviation(rule);
    return deviation > least ? deviation : least;
}

bruit_time br_accrual_limit(const struct br_accrual *pair, const struct br_accrual_rule *rule)
{
    if (rule->is_plain)
        return rule->silence;
    double limit = (double)pair->mean + rule->z * deviation_of(pair, rule);
    return limit <= 0.0 ? 0 : limit > 1e9 ? BRUIT_NEVER : (bruit_time)(limit * 1e9);
}

bool br_accrual_is_over(const struct br_accrual *pair, const struct br_accrual_rule *rule, bruit_time now)
{
    bruit_time silence = br_time_since(pair->last, now);
    /* Nearly always it is short enough whatever the deviation, and no root need be drawn. */
    if (!rule->is_plain && seconds(silence) <= (double)pair->mean + rule->z * least_deviation(rule))
        return false;
    return silence > br_accrual_limit(pair, rule);
}

double br_accrual_phi(const struct br_accrual *pair, const struct br_accrual_rule *rule, bruit_time now)
{
    double silence = seconds(br_time_since(pair->last, now));
    double deviation = deviation_of(pair, rule);
    return br_num_normal_digits((silence - (double)pair->mean) / (deviation > 0.0 ? deviation : 1e-9));
}
