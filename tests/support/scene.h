/*
 * The usual scene of a test of one engine: a world with one member of ours, n0, and a peer called p who talks to it.
 */
#ifndef BR_TEST_SUPPORT_SCENE_H
#define BR_TEST_SUPPORT_SCENE_H

#include "support/peer.h"

struct scene {
    struct world *w;
    struct peer *p;
};

/* `preset` and then `change` alter the member's configuration before it starts; each may be NULL. */
struct scene scene_new(uint64_t seed, void (*preset)(struct bruit_config *),
                       void (*change)(struct bruit_config *));

static inline struct scene scene_with(uint64_t seed, void (*change)(struct bruit_config *config))
{
    return scene_new(seed, NULL, change);
}

static inline struct scene scene(uint64_t seed)
{
    return scene_new(seed, NULL, NULL);
}

/* Frees both. */
void end(struct scene *s);

/* Sends what the peer has gathered; the member must have taken it. */
void say(struct scene *s);

#endif
