/* Batches for the disk: see store.h. */
#include "driver/uv/store.h"

#include "driver/uv/driver.h"

#include <stdlib.h>
#include <string.h>

/* A batch takes no more once it has so much: some tens of milliseconds of a plain disk, and of the engine's queue
 * (BRUIT_STORE_QUEUE_MAX) a quarter. */
#define BATCH_BYTES (4u << 20)
#define BATCH_OPS 8192

/* A full disk is looked at again after this, and whenever it is, one batch is tried. */
#define RETRY_AFTER BRUIT_SECOND

static uint8_t *put(uint8_t *at, struct bruit_bytes *bytes)
{
    if (bytes->size > 0)
        memcpy(at, bytes->data, bytes->size);
    bytes->data = at;
    return at + bytes->size;
}

/* What the engine gave lives until its next input only. */
static bool keep(struct br_uv_store *store, struct bruit_store_op op)
{
    size_t size = op.space.size + op.key.size + op.value.size;
    if (store->count == store->room) {
        size_t room = store->room == 0 ? 16 : 2 * store->room;
        struct bruit_store_op *ops = realloc(store->ops, room * sizeof *ops);
        if (ops == NULL)
            return false;
        store->ops = ops;
        store->room = room;
    }
    uint8_t *block = malloc(size + 1); /* never of size 0 */
    if (block == NULL)
        return false;
    (void)put(put(put(block, &op.space), &op.key), &op.value);
    store->ops[store->count++] = op;
    store->bytes += size;
    return true;
}

static void drop_batch(struct br_uv_store *store)
{
    for (size_t i = 0; i < store->count; i++)
        free((void *)store->ops[i].space.data);
    free(store->ops);
    store->ops = NULL;
    store->count = store->room = store->bytes = 0;
}

/* Everything up to `token` is durable, or is not. */
static void tell(struct bruit_uv *uv, uint64_t token, int status)
{
    if (token <= uv->store.told)
        return;
    uv->store.told = token;
    if (status != 0)
        uv->stats.store_failed++;
    if (uv->closing)
        return;
    (void)bruit_stored(uv->engine, token, status, bruit_uv_now(uv)); /* The modules see to it. */
    uv->again = true;
}

/* Fills the batch. What it cannot hold is lost, and with it all that would have followed. */
static void pull(struct bruit_uv *uv)
{
    struct br_uv_store *store = &uv->store;
    struct bruit_store_op op;
    uint64_t refused = 0;
    while (store->bytes < BATCH_BYTES && store->count < BATCH_OPS && bruit_next_store_op(uv->engine, &op)) {
        if (!store->is_broken && keep(store, op))
            continue;
        store->is_broken = true;
        refused = op.token;
    }
    if (refused > 0)
        tell(uv, refused, BRUIT_ENOMEM);
}

/* On the other thread: the batch is this one's until `done` was called. */
static void work(uv_work_t *request)
{
    struct bruit_uv *uv = request->data;
    struct br_uv_store *store = &uv->store;
    store->status = store->write(store->context, store->ops, store->count);
}

static void done(uv_work_t *request, int status);

static bool start(struct bruit_uv *uv)
{
    struct br_uv_store *store = &uv->store;
    store->work.data = uv;
    /* Fails only without a function. */
    store->is_busy = uv_queue_work(uv->loop, &store->work, work, done) == 0;
    return store->is_busy;
}

static void done(uv_work_t *request, int status)
{
    struct bruit_uv *uv = request->data;
    struct br_uv_store *store = &uv->store;
    uint64_t last = store->ops[store->count - 1].token;
    store->is_busy = false;
    status = status != 0 ? BRUIT_EIO : store->status;
    uv->stats.wakeups++;
    uv->stats.store_batches++;
    if (status == 0) {
        uv->stats.store_ops += store->count;
        drop_batch(store);
    }
    store->retry_at = status == 0 ? 0 : bruit_uv_now(uv) + RETRY_AFTER;
    tell(uv, last, status);
    if (!uv->closing) {
        br_uv_turn(uv);
        return;
    }
    if (status == 0)
        pull(uv);
    if (status != 0 || store->count == 0 || !start(uv))
        br_uv_handle_closed(uv);
}

void br_uv_store_run(struct bruit_uv *uv)
{
    struct br_uv_store *store = &uv->store;
    if (store->write == NULL || store->is_busy)
        return;
    if (store->retry_at != 0 && store->retry_at > bruit_uv_now(uv))
        return;
    pull(uv);
    if (store->count > 0)
        (void)start(uv);
}

bruit_time br_uv_store_deadline(const struct br_uv_store *store)
{
    return store->retry_at == 0 || store->is_busy ? BRUIT_NEVER : store->retry_at;
}

void br_uv_store_close(struct bruit_uv *uv)
{
    struct br_uv_store *store = &uv->store;
    if (store->write == NULL || uv->engine == NULL)
        return;
    if (!store->is_busy) {
        pull(uv);
        if (store->count == 0 || !start(uv))
            return;
    }
    uv->handle_count++;
}

void br_uv_store_fini(struct br_uv_store *store)
{
    drop_batch(store);
}
