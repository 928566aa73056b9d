/*
 * The newest changes of a store, by number: a ring of keys.
 */
#include "module/kv_log.h"

#include "base/bytes.h"

void br_kv_log_init(struct br_kv_log *log, struct br_alloc *alloc, uint32_t max, uint64_t random)
{
    log->alloc = alloc;
    br_ring_init(&log->keys, alloc, sizeof(struct br_buf *), max);
    /* 2^40 changes to a life, and 2^23 lives that a cursor tells apart. Never 0, which is nobody's cursor. */
    log->newest = ((random >> 41) + 1) << 40;
}

static void forget_oldest(struct br_kv_log *log)
{
    struct br_buf **oldest = br_ring_front(&log->keys);
    br_buf_drop(log->alloc, *oldest);
    (void)br_ring_pop(&log->keys);
}

static void forget_all(struct br_kv_log *log)
{
    while (br_ring_count(&log->keys) > 0)
        forget_oldest(log);
}

void br_kv_log_fini(struct br_kv_log *log)
{
    forget_all(log);
    br_ring_fini(&log->keys);
}

void br_kv_log_add(struct br_kv_log *log, struct bruit_bytes key)
{
    log->newest++;
    if (br_ring_is_full(&log->keys))
        forget_oldest(log);
    struct br_buf *copy = br_buf_new(log->alloc, key);
    struct br_buf **place = copy == NULL ? NULL : br_ring_push(&log->keys);
    if (place == NULL) {
        br_buf_drop(log->alloc, copy);
        forget_all(log);
        return;
    }
    *place = copy;
}

static bool begins_with(struct bruit_bytes key, struct bruit_bytes prefix)
{
    return key.size >= prefix.size && br_bytes_equal(br_bytes(key.data, prefix.size), prefix);
}

int br_kv_log_next(const struct br_kv_log *log, uint64_t cursor, struct bruit_bytes prefix, uint64_t *number,
                   struct bruit_bytes *key)
{
    uint64_t before = log->newest - br_ring_count(&log->keys); /* the oldest cursor that misses nothing */
    *number = log->newest;
    *key = br_bytes(NULL, 0);
    if (cursor < before || cursor > log->newest)
        return -1;
    for (uint64_t at = cursor + 1; at <= log->newest; at++) {
        struct br_buf **item = br_ring_at(&log->keys, (uint32_t)(at - before - 1));
        if (!begins_with(br_buf_bytes(*item), prefix))
            continue;
        *number = at;
        *key = br_buf_bytes(*item);
        return 1;
    }
    return 0;
}
