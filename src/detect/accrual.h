/*
 * Phi accrual (Hayashibara, Defago, Yared, Katayama: "The phi accrual failure detector", 2004), for one pair of
 * members: when silence has lasted for too long to be chance.
 *
 * The paper takes the times between arrivals for normally distributed, with mean and deviation of the last so many of
 * them; phi is the number of decimal digits of the probability that a longer silence than the present one still ends.
 * We keep no window of arrivals but moments that forget: each arrival weighs 1/window, and what came before so much
 * less. That is 16 bytes a pair, so that 10,000 members that all know each other fit into one machine. A deviation is
 * never taken for less than `deviation_min`; before the second arrival the mean is `first_interval`, and the deviation
 * a quarter of it.
 *
 * The other rule is the plain one: no progress for so many intervals.
 *
 * Since phi only grows with silence, a threshold of it is a length of silence: mean + z * deviation. So judging costs
 * a comparison, and phi itself is reckoned for people alone.
 */
#ifndef BR_DETECT_ACCRUAL_H
#define BR_DETECT_ACCRUAL_H

#include <bruit/config.h>

struct br_accrual {
    float mean;      /* of the times between arrivals, in seconds */
    float variance;  /* in seconds squared */
    bruit_time last; /* arrival; on a clock that stands still while this process does */
};

struct br_accrual_rule {
    bool is_plain;
    bruit_time silence;   /* plain: so long */
    double z;             /* of the threshold */
    double deviation_min; /* seconds */
    double first;         /* seconds */
    double turn;          /* seconds: so long it takes until everybody has been spoken of; br_accrual_rule_turn() */
    double weight;        /* of one arrival */
};

void br_accrual_rule_init(struct br_accrual_rule *rule, const struct bruit_heartbeat_config *config);

/*
 * With a budget that does not reach around in one round, members are spoken of by turns, and arrivals are that rare and
 * uneven: the first interval is taken for two turns at least, and the least deviation is one turn more.
 */
void br_accrual_rule_turn(struct br_accrual_rule *rule, bruit_time turn);

/* The first arrival. */
void br_accrual_begin(struct br_accrual *pair, const struct br_accrual_rule *rule, bruit_time now);
/* One more. A silence that was judged too long and ended all the same counts as twice the limit at most. */
void br_accrual_beat(struct br_accrual *pair, const struct br_accrual_rule *rule, bruit_time now);

/* After which silence the threshold is reached. */
bruit_time br_accrual_limit(const struct br_accrual *pair, const struct br_accrual_rule *rule);
bool br_accrual_is_over(const struct br_accrual *pair, const struct br_accrual_rule *rule, bruit_time now);

/* Digits of improbability. With the plain rule too: what it would be. */
double br_accrual_phi(const struct br_accrual *pair, const struct br_accrual_rule *rule, bruit_time now);

#endif
