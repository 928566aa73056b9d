/*
 * Memory for tests; see memory.h.
 */
#include "support/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* In front of each block, as large as the strictest alignment, so that the block keeps malloc's. */
struct header {
    size_t size;
    size_t unused;
};

void test_memory_init(struct test_memory *memory)
{
    *memory = (struct test_memory){0};
}

struct bruit_env test_memory_env(struct test_memory *memory)
{
    return (struct bruit_env){
        .struct_size = sizeof(struct bruit_env), .context = memory, .resize = test_memory_resize};
}

static bool must_fail(struct test_memory *memory)
{
    memory->count++;
    if (memory->fail_at == 0 || memory->count < memory->fail_at)
        return false;
    return memory->count == memory->fail_at || memory->fail_after;
}

void *test_memory_resize(void *context, void *old, size_t old_size, size_t new_size)
{
    struct test_memory *memory = context;
    struct header *before = old == NULL ? NULL : (struct header *)old - 1;
    if (before != NULL && before->size != old_size) {
        fprintf(stderr, "a block of %zu bytes was called one of %zu\n", before->size, old_size);
        abort();
    }
    struct header *after = NULL;
    if (new_size > 0) {
        if (must_fail(memory))
            return NULL;
        after = malloc(sizeof *after + new_size);
        if (after == NULL)
            abort();
        after->size = new_size;
        memset(after + 1, 0xa5, new_size);
        memory->in_use += new_size;
    }
    if (before != NULL) {
        if (after != NULL)
            memcpy(after + 1, old, old_size < new_size ? old_size : new_size);
        memory->in_use -= old_size;
        free(before);
    }
    return after == NULL ? NULL : after + 1;
}

uint64_t test_seed(void)
{
    const char *given = getenv("BRUIT_TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("seed %llu (repeat with BRUIT_TEST_SEED=%llu)\n", (unsigned long long)seed,
           (unsigned long long)seed);
    fflush(stdout);
    return seed;
}
