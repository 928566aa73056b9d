/*
 * The usual scene: see scene.h.
 */
#include "support/scene.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct scene scene_new(uint64_t seed, void (*preset)(struct bruit_config *),
                       void (*change)(struct bruit_config *))
{
    struct scene s = {.w = world_new(seed)};
    if (preset != NULL)
        preset(&s.w->config);
    if (change != NULL)
        change(&s.w->config);
    (void)world_add(s.w);
    assert_int_equal(world_start(s.w, 0), 0);
    s.p = peer_new(s.w, 0, "p", 1);
    return s;
}

void end(struct scene *s)
{
    peer_free(s->p);
    world_free(s->w);
}

void say(struct scene *s)
{
    assert_int_equal(peer_send(s->p), 0);
}
