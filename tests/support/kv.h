/*
 * Words for tests of key-value state among members of a world: each says what a program would do with <bruit/kv.h>.
 * They check, with cmocka's asserts, that what cannot fail does not.
 */
#ifndef BR_TEST_SUPPORT_KV_H
#define BR_TEST_SUPPORT_KV_H

#include "support/world.h"

#include <bruit/kv.h>

/* A world whose members carry the module, without any; and one of `count` who know each other and the time. */
struct world *kv_world(uint64_t seed);
struct world *kv_cluster(uint64_t seed, uint32_t count);
/* Starts one, which joins n0. */
void kv_start(struct world *w, uint32_t node);
/* It is some time in 2023, and `ahead` later. */
void kv_tell_time(struct world *w, uint32_t node, uint64_t ahead);

/* What all members that are started here are configured as; NULL: the defaults. */
extern const struct bruit_kv_options *kv_options;

/* Starts a member that was killed with what its disk kept, and lets it join `seed_node`. */
void kv_restart(struct world *w, uint32_t node, uint32_t seed_node);

int kv_put_how(struct world *w, uint32_t node, const char *key, const char *value, const struct bruit_kv_write *how,
               uint32_t *request);
void kv_put(struct world *w, uint32_t node, const char *key, const char *value);
void kv_delete(struct world *w, uint32_t node, const char *key);

/* The winner's value as text, until the next call; NULL: none. And is it this one? */
const char *kv_get(const struct world *w, uint32_t node, const char *key);
bool kv_has(const struct world *w, uint32_t node, const char *key, const char *value);
uint32_t kv_siblings(const struct world *w, uint32_t node, const char *key);

struct bruit_kv_stat kv_stat(const struct world *w, uint32_t node);
/* Do all running members have the same? */
bool kv_all_equal(const struct world *w);
uint64_t kv_bytes_sent(const struct world *w, uint32_t node);
uint64_t kv_drops(const struct world *w, uint32_t node, enum bruit_drop reason);

/* What became of a request, or NULL as long as nothing did. */
const struct bruit_kv_done *kv_done(uint32_t node, uint32_t request);

#endif
