/*
 * The accounted memory of one engine.
 *
 * Every byte an engine holds goes through one `struct br_alloc`, which counts and caps it. Sizes are
 * told when memory is given back, so nothing is stored beside the blocks and a pool or an arena of the
 * caller's can stand behind it. Below driver/ nobody else may ask the C library for memory.
 */
#ifndef BR_BASE_ALLOC_H
#define BR_BASE_ALLOC_H

#include <bruit/env.h>

struct br_alloc {
    void *(*resize)(void *context, void *old, size_t old_size, size_t new_size);
    void *context;
    size_t max;       /* refuse beyond this many bytes */
    size_t in_use;    /* bytes held now */
    size_t peak;      /* the most ever held */
    uint64_t count;   /* times new or larger memory was asked for: steady state adds nothing to it */
    uint64_t refused; /* of those, how often the answer was no */
};

/* `env` NULL, or its `resize` NULL: the C library's memory. `memory_max` 0: no cap. */
void br_alloc_init(struct br_alloc *a, const struct bruit_env *env, size_t memory_max);

/* As realloc: `old` NULL allocates, `new_size` 0 frees and returns NULL. NULL: refused, `old` untouched. */
void *br_alloc_resize(struct br_alloc *a, void *old, size_t old_size, size_t new_size);

/* `size` zeroed bytes, or NULL. */
void *br_alloc_new(struct br_alloc *a, size_t size);

/* `count` zeroed items of `item_size`, or NULL (an overflow included). */
void *br_alloc_array(struct br_alloc *a, size_t count, size_t item_size);

/*
 * Counts memory that others hold for us, or no longer do. br_alloc_has_room() says whether that much more
 * would be given.
 */
void br_alloc_charge(struct br_alloc *a, size_t size);
void br_alloc_discharge(struct br_alloc *a, size_t size);
bool br_alloc_has_room(const struct br_alloc *a, size_t size);

/* Gives `size` bytes back. NULL is fine. */
void br_alloc_free(struct br_alloc *a, void *p, size_t size);

#endif
