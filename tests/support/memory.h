/*
 * Memory for tests: counts what is held, checks that sizes are told truly, fails when told to, and moves
 * every block it resizes, so that a stale pointer is found by the sanitizers.
 */
#ifndef BR_TEST_SUPPORT_MEMORY_H
#define BR_TEST_SUPPORT_MEMORY_H

#include <bruit/env.h>

struct test_memory {
    size_t in_use;    /* bytes held; 0 at the end, or something leaked */
    uint64_t count;   /* times memory was asked for */
    uint64_t fail_at; /* fail the call that makes count equal to this, counted from 1; 0: none */
    bool fail_after;  /* and all calls after it */
};

void test_memory_init(struct test_memory *memory);

/* As env.resize; the context is the struct test_memory. */
void *test_memory_resize(void *context, void *old, size_t old_size, size_t new_size);

/* An environment with this memory and nothing else. */
struct bruit_env test_memory_env(struct test_memory *memory);

/* A seed for a randomised test: from BRUIT_TEST_SEED, or the clock. Prints it with the way to repeat it. */
uint64_t test_seed(void);

#endif
