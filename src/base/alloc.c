/*
 * The accounted allocator: counts, caps, and passes on to the environment.
 *
 * This is the one file of the core that names the C library's allocator.
 */
#include "base/alloc.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

static void *library_resize(void *context, void *old, size_t old_size, size_t new_size);

void br_alloc_init(struct br_alloc *a, const struct bruit_env *env, size_t memory_max)
{
    bool is_own = env != NULL && env->resize != NULL;
    *a = (struct br_alloc){
        .resize = is_own ? env->resize : library_resize,
        .context = is_own ? env->context : NULL,
        .max = memory_max == 0 ? SIZE_MAX : memory_max,
    };
}

void *br_alloc_resize(struct br_alloc *a, void *old, size_t old_size, size_t new_size)
{
    BR_ASSERT(old_size <= a->in_use);
    if (new_size == 0) {
        br_alloc_free(a, old, old_size);
        return NULL;
    }
    size_t others = a->in_use - old_size;
    if (new_size > old_size) {
        a->count++;
        if (new_size > a->max || others > a->max - new_size) {
            a->refused++;
            return NULL;
        }
    }
    void *p = a->resize(a->context, old, old_size, new_size);
    if (p == NULL) {
        a->refused++;
        return NULL;
    }
    a->in_use = others + new_size;
    if (a->in_use > a->peak)
        a->peak = a->in_use;
    return p;
}

void *br_alloc_new(struct br_alloc *a, size_t size)
{
    void *p = br_alloc_resize(a, NULL, 0, size);
    if (p != NULL)
        memset(p, 0, size);
    return p;
}

void *br_alloc_array(struct br_alloc *a, size_t count, size_t item_size)
{
    if (item_size != 0 && count > SIZE_MAX / item_size) {
        a->count++;
        a->refused++;
        return NULL;
    }
    return br_alloc_new(a, count * item_size);
}

void br_alloc_free(struct br_alloc *a, void *p, size_t size)
{
    if (p == NULL)
        return;
    BR_ASSERT(size <= a->in_use);
    (void)a->resize(a->context, p, size, 0); /* frees: NULL by its contract */
    a->in_use -= size;
}

void br_alloc_charge(struct br_alloc *a, size_t size)
{
    a->in_use += size;
    if (a->in_use > a->peak)
        a->peak = a->in_use;
}

void br_alloc_discharge(struct br_alloc *a, size_t size)
{
    BR_ASSERT(size <= a->in_use);
    a->in_use -= size;
}

bool br_alloc_has_room(const struct br_alloc *a, size_t size)
{
    return a->in_use <= a->max && size <= a->max - a->in_use;
}

static void *library_resize(void *context, void *old, size_t old_size, size_t new_size)
{
    (void)context;
    (void)old_size;
    if (new_size == 0) {
        free(old);
        return NULL;
    }
    return realloc(old, new_size);
}
