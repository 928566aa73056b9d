/*
 * Vivaldi: the arithmetic of network coordinates (docs/wire/serf.md, 10.2 to 10.5), without members or messages.
 *
 * A client holds its own place and moves it with each measured round trip to another place, like a body on springs
 * whose rest lengths are the round trips. Plain IEEE arithmetic in a fixed order: the same inputs give the same place
 * on every machine.
 */
#ifndef BR_MODULE_VIVALDI_H
#define BR_MODULE_VIVALDI_H

#include "base/rng.h"

#include <bruit/coord.h>

/* How many latest round trips the adjustment is averaged over (Serf's AdjustmentWindowSize). */
#define BR_VIVALDI_WINDOW 20
/* How many round trips to one member the median is taken of (Serf's LatencyFilterSize). */
#define BR_VIVALDI_SAMPLES 3

struct br_vivaldi {
    struct bruit_coordinate place;
    double window[BR_VIVALDI_WINDOW]; /* what each of the latest estimates was off by */
    uint32_t window_at;
    uint64_t resets;
};

/* The latest round trips to one member, oldest first, in seconds. */
struct br_vivaldi_filter {
    double samples[BR_VIVALDI_SAMPLES];
    uint8_t count;
};

enum br_vivaldi_refusal {
    BR_VIVALDI_TAKEN,
    BR_VIVALDI_DIMENSIONS,
    BR_VIVALDI_INVALID,
    BR_VIVALDI_RTT,
};

/* A place that knows nothing: the origin, with the largest error. */
struct bruit_coordinate br_vivaldi_origin(void);
void br_vivaldi_init(struct br_vivaldi *client);

/* Serf's sentence for a refusal. */
const char *br_vivaldi_text(enum br_vivaldi_refusal refusal);

/*
 * One measurement: the round trip `rtt_ns` to a member whose place is `other`, which said it has `dimensions`. What
 * is refused changes nothing, the filter included. `rng` decides where to go when both stand on the same spot.
 */
enum br_vivaldi_refusal br_vivaldi_update(struct br_vivaldi *client, struct br_vivaldi_filter *filter,
                                          const struct bruit_coordinate *other, uint32_t dimensions,
                                          int64_t rtt_ns, struct br_rng *rng);

#endif
