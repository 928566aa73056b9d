/*
 * Local health (Lifeguard: Dadgar, Phillips, Currey 2018, section 4.1): how far we trust our own accusations.
 *
 * A score from 0 (healthy) to config.awareness_max - 1 that grows when our probes fail in a way that points at
 * ourselves, and when others had to be told that we live. It stretches the probe interval and nothing else. Who
 * applies which delta: docs/wire/memberlist.md 7.4; all rows but the refutation are the prober's (probe.h).
 */
#ifndef BR_DETECT_AWARENESS_H
#define BR_DETECT_AWARENESS_H

#include "member/core.h"

/* What a refutation costs. */
#define BR_AWARENESS_REFUTED 1

struct br_awareness {
    struct br_core *core;
    uint32_t score;
};

void br_awareness_init(struct br_awareness *a, struct br_core *core);

/* Adds `delta`, within the bounds. */
void br_awareness_apply(struct br_awareness *a, int32_t delta);

/* interval * (score + 1) */
bruit_time br_awareness_scale(const struct br_awareness *a, bruit_time interval);

#endif
