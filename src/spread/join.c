/*
 * Joins under way: see join.h.
 */
#include "spread/join.h"

#include "base/bytes.h"
#include "base/check.h"

/* What of the other side's refusal is kept for people to read. */
#define TEXT_SIZE_MAX 256

void br_join_init(struct br_join *join, struct br_alloc *alloc)
{
    *join = (struct br_join){.alloc = alloc};
}

/* Copies of bytes that a result owns. Memory that is not to be had costs the words, not the result. */
static struct bruit_bytes copy_of(struct br_alloc *alloc, struct bruit_bytes bytes, size_t size_max)
{
    size_t size = bytes.size < size_max ? bytes.size : size_max;
    uint8_t *copy = size == 0 ? NULL : br_alloc_resize(alloc, NULL, 0, size);
    if (copy == NULL)
        return br_bytes(NULL, 0);
    memcpy(copy, bytes.data, size);
    return br_bytes(copy, size);
}

static void free_bytes(struct br_alloc *alloc, struct bruit_bytes bytes)
{
    br_alloc_free(alloc, (void *)(uintptr_t)bytes.data, bytes.size);
}

void br_join_end(struct br_join *join, struct br_join_request *request)
{
    for (uint32_t i = 0; i < request->count; i++) {
        free_bytes(join->alloc, request->results[i].name);
        free_bytes(join->alloc, request->results[i].text);
    }
    br_alloc_free(join->alloc, request->results, request->count * sizeof *request->results);
    *request = (struct br_join_request){0};
}

void br_join_fini(struct br_join *join)
{
    for (size_t i = 0; i < BR_JOINS_MAX; i++)
        if (join->requests[i].number != 0)
            br_join_end(join, &join->requests[i]);
}

struct br_join_request *br_join_find(struct br_join *join, uint32_t number)
{
    for (size_t i = 0; i < BR_JOINS_MAX; i++)
        if (join->requests[i].number == number)
            return &join->requests[i];
    return NULL;
}

uint32_t br_join_begin(struct br_join *join, const struct bruit_join_target *targets, size_t count,
                       uint32_t flags, int *error)
{
    struct br_join_request *request = br_join_find(join, 0);
    *error = request == NULL ? BRUIT_EFULL : BRUIT_ENOMEM;
    if (request == NULL)
        return 0;
    struct bruit_join_result *results = br_alloc_array(join->alloc, count, sizeof *results);
    if (results == NULL)
        return 0;
    for (size_t i = 0; i < count; i++) {
        results[i].addr = targets[i].addr;
        results[i].name = copy_of(join->alloc, targets[i].name, BRUIT_NAME_MAX);
    }
    if (++join->last == 0)
        join->last = 1;
    *request = (struct br_join_request){.results = results,
                                        .number = join->last,
                                        .flags = flags,
                                        .count = (uint32_t)count,
                                        .pending = (uint32_t)count};
    return request->number;
}

struct br_join_request *br_join_result(struct br_join *join, uint32_t number, uint32_t index, int error,
                                       struct bruit_bytes text)
{
    struct br_join_request *request = br_join_find(join, number);
    if (request == NULL)
        return NULL;
    BR_ASSERT(index < request->count && request->pending > 0);
    request->results[index].error = error;
    request->results[index].text = copy_of(join->alloc, text, TEXT_SIZE_MAX);
    if (error == 0)
        request->contacted++;
    return --request->pending == 0 ? request : NULL;
}

uint32_t br_join_flags(const struct br_join *join)
{
    uint32_t flags = 0;
    for (size_t i = 0; i < BR_JOINS_MAX; i++)
        if (join->requests[i].number != 0 && join->requests[i].pending > 0)
            flags |= join->requests[i].flags;
    return flags;
}
