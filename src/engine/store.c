/*
 * The store: what modules write to the disk of whoever hosts the engine (<bruit/engine.h>, "the store").
 *
 * A ring of writes in the order in which they were made. What was fetched stays in it until the next input, since the
 * driver may still be looking at it; what became of it the driver tells by its token, and the modules go by that.
 */
#include "engine/engine.h"

#include "base/check.h"

/* Keys are a module's own: a bound keeps them what they are meant to be. */
#define KEY_SIZE_MAX 512

static int keep(struct bruit_engine *engine, struct br_store_write *write, struct bruit_bytes key,
                struct bruit_bytes value)
{
    struct br_alloc *alloc = &engine->core.alloc;
    write->key = br_buf_new(alloc, key);
    write->value = br_buf_new(alloc, value);
    if (write->key != NULL && write->value != NULL)
        return 0;
    br_buf_drop(alloc, write->key);
    br_buf_drop(alloc, write->value);
    return BRUIT_ENOMEM;
}

int br_store_write(struct bruit_engine *engine, uint32_t host, struct bruit_bytes key, struct bruit_bytes value,
                   uint64_t *token)
{
    struct br_store_write write = {.host = host, .is_delete = value.data == NULL};
    if (!engine->core.config.has_store)
        return BRUIT_ENOSYS;
    if (key.size == 0 || key.size > KEY_SIZE_MAX)
        return BRUIT_EINVAL;
    if (engine->store_size + key.size + value.size > BRUIT_STORE_QUEUE_MAX)
        return BRUIT_EFULL;
    int status = br_ring_reserve(&engine->store, 1);
    if (status == 0)
        status = keep(engine, &write, key, value);
    if (status != 0)
        return status;
    write.token = ++engine->store_token;
    engine->store_size += key.size + value.size;
    *(struct br_store_write *)br_ring_push(&engine->store) = write;
    *token = write.token;
    return 0;
}

static void drop_first(struct bruit_engine *engine)
{
    struct br_store_write *write = br_ring_front(&engine->store);
    engine->store_size -= br_buf_bytes(write->key).size + br_buf_bytes(write->value).size;
    br_buf_drop(&engine->core.alloc, write->key);
    br_buf_drop(&engine->core.alloc, write->value);
    br_ring_pop(&engine->store);
}

void br_store_release(struct bruit_engine *engine)
{
    for (; engine->store_fetched > 0; engine->store_fetched--)
        drop_first(engine);
}

void br_store_fini(struct bruit_engine *engine)
{
    while (br_ring_front(&engine->store) != NULL)
        drop_first(engine);
    br_ring_fini(&engine->store);
}

bool bruit_next_store_op(struct bruit_engine *engine, struct bruit_store_op *out)
{
    const struct br_store_write *write = br_ring_at(&engine->store, engine->store_fetched);
    if (write == NULL)
        return false;
    const char *name = engine->hosts[write->host].module->name;
    engine->store_fetched++;
    *out = (struct bruit_store_op){.token = write->token,
                                   .space = br_bytes_string(name),
                                   .key = br_buf_bytes(write->key),
                                   .value = br_buf_bytes(write->value),
                                   .is_delete = write->is_delete};
    return true;
}

int bruit_stored(struct bruit_engine *engine, uint64_t token, int status, bruit_time now)
{
    br_engine_input(engine, now);
    if (token > engine->store_token)
        return BRUIT_EINVAL;
    for (size_t i = 0; i < engine->host_count; i++)
        if (engine->hosts[i].module->on_stored != NULL)
            engine->hosts[i].module->on_stored(engine->hosts[i].state, token, status);
    return 0;
}
