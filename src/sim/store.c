/*
 * A node's disk: what modules write through bruit_next_store_op(), and what of it is there after a crash.
 *
 * It works as a database does that commits one transaction at a time: all that is owed when it is idle is one
 * transaction, which is durable `disk_latency` and a drawn part of `disk_jitter` later; what is asked for meanwhile
 * waits for the next. A crash in between leaves what was durable; torn, it leaves some first part of what was owed,
 * too, which nobody was told of. Never anything out of order: that is what modules are promised.
 *
 * What is durable lies in a log of records in the order of their writing, with a table by key; records that were
 * replaced stay until they outweigh the others. A disk belongs to its node's shard.
 */
#include "base/bytes.h"
#include "base/siphash.h"
#include "base/time.h"
#include "sim/clock.h"

#include <stdlib.h>
#include <string.h>

#define DISK_LATENCY (2 * BRUIT_MILLISECOND)
#define DISK_JITTER (2 * BRUIT_MILLISECOND)
#define SPACE_MAX 64
#define KEY_MAX 512
/* A log that holds this much of what was replaced, and more than of what was not, is written anew. */
#define GARBAGE_MIN 65536

static const uint8_t table_key[16] = "who keeps it all";

struct record {
    uint32_t value_size;
    uint16_t key_size;
    uint8_t space_size;
    bool is_gone; /* owed: a delete; on the disk: replaced or deleted since */
    uint8_t bytes[]; /* space, key, value */
};

/* Records one behind the other, each from a multiple of 8 on, so that a table's 32 bits reach 32 GiB. */
struct log {
    uint8_t *bytes;
    size_t size;
    size_t capacity;
};

struct br_sim_store {
    struct br_table table; /* places in `kept` by space and key */
    struct log kept;
    size_t garbage;
    struct log owed;   /* pulled from the engine, not durable */
    uint64_t token;    /* of the last of them */
    size_t at_work;    /* bytes of `owed` that are being written */
    uint64_t at_token; /* the last of those */
    int at_error;      /* they will not be: why */
    bruit_time ready;  /* when they are; BRUIT_NEVER: nothing is being written */
    int error;         /* of every write from now on; 0: none */
    struct br_rng rng;
};

/* ---- records ---- */

static struct record *record_at(const struct log *log, size_t at)
{
    return (struct record *)(void *)(log->bytes + at);
}

static size_t name_size(const struct record *record)
{
    return (size_t)record->space_size + record->key_size;
}

static size_t record_size(const struct record *record)
{
    return (sizeof *record + name_size(record) + record->value_size + 7) & ~(size_t)7;
}

static uint64_t hash_of(const struct record *record)
{
    return br_siphash13(table_key, br_bytes(record->bytes, name_size(record)));
}

/* By a quarter: ten thousand keys at each of a thousand nodes are worth the copying. */
static bool reserve(struct log *log, size_t more)
{
    if (log->capacity - log->size >= more)
        return true;
    size_t wanted = log->size + more + log->size / 4 + 256;
    uint8_t *bytes = realloc(log->bytes, wanted);
    if (bytes == NULL)
        return false;
    log->bytes = bytes;
    log->capacity = wanted;
    return true;
}

struct query {
    const struct br_sim_store *store;
    const struct record *record;
};

static bool is_same(const void *context, uint32_t place)
{
    const struct query *query = context;
    const struct record *a = record_at(&query->store->kept, (size_t)place * 8), *b = query->record;
    return a->space_size == b->space_size && a->key_size == b->key_size &&
           memcmp(a->bytes, b->bytes, name_size(a)) == 0;
}

static uint32_t find(const struct br_sim_store *store, const struct record *record)
{
    struct query query = {store, record};
    return br_table_find(&store->table, hash_of(record), is_same, &query);
}

/* ---- writing what is durable ---- */

/* Those that still hold, in their order. */
static void write_anew(struct br_sim_store *store)
{
    struct log *kept = &store->kept;
    size_t to = 0;
    for (size_t at = 0, size; at < kept->size; at += size) {
        struct record *record = record_at(kept, at);
        size = record_size(record);
        if (record->is_gone)
            continue;
        (void)br_table_replace(&store->table, hash_of(record), (uint32_t)(at / 8), (uint32_t)(to / 8));
        memmove(kept->bytes + to, record, size);
        to += size;
    }
    kept->size = to;
    store->garbage = 0;
}

static void forget(struct br_sim_store *store, const struct record *named)
{
    uint32_t place = find(store, named);
    if (place == BR_TABLE_NONE)
        return;
    struct record *record = record_at(&store->kept, (size_t)place * 8);
    record->is_gone = true;
    store->garbage += record_size(record);
    (void)br_table_remove(&store->table, hash_of(record), place); /* it was just found */
}

/* False: no memory. */
static bool apply_one(struct br_sim_store *store, const struct record *record)
{
    size_t size = record_size(record);
    if (!reserve(&store->kept, size) || br_table_reserve(&store->table, 1) != 0)
        return false;
    forget(store, record);
    if (!record->is_gone) {
        br_table_insert(&store->table, hash_of(record), (uint32_t)(store->kept.size / 8));
        memcpy(store->kept.bytes + store->kept.size, record, size);
        store->kept.size += size;
    }
    if (store->garbage > GARBAGE_MIN && store->garbage > store->kept.size / 2)
        write_anew(store);
    return true;
}

/* The first `size` bytes of what is owed are on the disk now. */
static void apply(struct br_sim_node *node, size_t size)
{
    struct br_sim_store *store = node->store;
    struct bruit_sim_stats *stats = &node->shard->stats;
    for (size_t at = 0; at < size;) {
        const struct record *record = record_at(&store->owed, at);
        if (!apply_one(store, record))
            stats->short_of_memory++;
        stats->disk_writes++;
        stats->disk_bytes += name_size(record) + record->value_size;
        at += record_size(record);
    }
}

static void drop_owed(struct br_sim_store *store, size_t size)
{
    store->owed.size -= size;
    memmove(store->owed.bytes, store->owed.bytes + size, store->owed.size);
}

/* How many operations the first `size` bytes of what is owed are. */
static uint64_t count_owed(const struct br_sim_store *store, size_t size)
{
    uint64_t count = 0;
    for (size_t at = 0; at < size; at += record_size(record_at(&store->owed, at)))
        count++;
    return count;
}

/* ---- a disk ---- */

static struct br_sim_store *store_of(struct br_sim_node *node)
{
    if (node->store != NULL)
        return node->store;
    struct br_sim_store *store = calloc(1, sizeof *store);
    if (store == NULL) {
        node->shard->stats.short_of_memory++;
        return NULL;
    }
    br_table_init(&store->table, &node->shard->alloc);
    br_rng_init(&store->rng, br_sim_mix(node->sim->config.seed ^ br_sim_mix(node->index)), "disk");
    store->ready = BRUIT_NEVER;
    node->store = store;
    return store;
}

void br_sim_store_free(struct br_sim_node *node)
{
    struct br_sim_store *store = node->store;
    if (store == NULL)
        return;
    br_table_fini(&store->table);
    free(store->kept.bytes);
    free(store->owed.bytes);
    free(store);
    node->store = NULL;
}

/* The fault outlives what is on the disk. */
void br_sim_store_wipe(struct br_sim_node *node)
{
    struct br_sim_store *store = node->store;
    if (store == NULL)
        return;
    br_table_fini(&store->table);
    free(store->kept.bytes);
    store->kept = (struct log){0};
    store->garbage = 0;
}

int br_sim_store_copy(struct br_sim_node *to, const struct br_sim_node *from)
{
    const struct br_sim_store *source = from->store;
    if (source == NULL)
        return 0;
    struct br_sim_store *store = store_of(to);
    bool has_room = store != NULL && reserve(&store->kept, source->kept.size) &&
                    br_table_reserve(&store->table, br_table_count(&source->table)) == 0;
    if (!has_room)
        return BRUIT_ENOMEM;
    for (size_t at = 0, size; at < source->kept.size; at += size) {
        const struct record *record = record_at(&source->kept, at);
        size = record_size(record);
        if (!record->is_gone)
            (void)apply_one(store, record); /* there is room */
    }
    return 0;
}

/* ---- a transaction ---- */

static void owe(struct br_sim_node *node, const struct bruit_store_op *op)
{
    struct br_sim_store *store = store_of(node);
    struct record record = {.value_size = op->is_delete ? 0 : (uint32_t)op->value.size,
                            .key_size = (uint16_t)op->key.size,
                            .space_size = (uint8_t)op->space.size,
                            .is_gone = op->is_delete};
    if (store == NULL)
        return;
    store->token = op->token;
    if (!reserve(&store->owed, record_size(&record))) {
        node->shard->stats.short_of_memory++;
        return;
    }
    struct record *to = record_at(&store->owed, store->owed.size);
    memset(to, 0, record_size(&record));
    *to = record;
    memcpy(to->bytes, op->space.data, op->space.size);
    memcpy(to->bytes + op->space.size, op->key.data, op->key.size);
    if (record.value_size > 0)
        memcpy(to->bytes + name_size(to), op->value.data, op->value.size);
    store->owed.size += record_size(&record);
}

static void begin(struct br_sim_node *node)
{
    struct br_sim_store *store = node->store;
    const struct bruit_sim_config *config = &node->sim->config;
    if (store == NULL || store->ready != BRUIT_NEVER || store->owed.size == 0)
        return;
    store->at_work = store->owed.size;
    store->at_token = store->token;
    store->at_error = store->error;
    store->ready =
        br_time_add(node->shard->now, config->disk_latency + br_sim_up_to(&store->rng, config->disk_jitter));
}

void br_sim_store_pull(struct br_sim_node *node)
{
    struct bruit_store_op op;
    while (bruit_next_store_op(node->engine, &op))
        owe(node, &op);
    begin(node);
}

bruit_time br_sim_store_time(const struct br_sim_node *node)
{
    return node->store == NULL ? BRUIT_NEVER : node->store->ready;
}

/* What was being written is durable, or is not and never will be: the engine is told. */
void br_sim_store_tell(struct br_sim_node *node)
{
    struct br_sim_store *store = node->store;
    if (store->at_error == 0)
        apply(node, store->at_work);
    else
        node->shard->stats.disk_failed += count_owed(store, store->at_work);
    drop_owed(store, store->at_work);
    store->at_work = 0;
    store->ready = BRUIT_NEVER;
    br_sim_input(node, (struct bruit_sim_input){
                           .type = BRUIT_SIM_IN_STORED, .token = store->at_token, .error = store->at_error});
}

/* Some first part of what was owed, by the operation. */
static size_t torn_part(struct br_sim_store *store)
{
    uint64_t left = br_rng_time_below(&store->rng, count_owed(store, store->owed.size) + 1);
    size_t at = 0;
    for (; left > 0; left--)
        at += record_size(record_at(&store->owed, at));
    return at;
}

void br_sim_store_crash(struct br_sim_node *node)
{
    struct br_sim_store *store = node->store;
    if (store == NULL || store->owed.size == 0)
        return;
    size_t whole = store->ready <= node->shard->now && store->at_error == 0 ? store->at_work : 0;
    if (whole == 0 && node->sim->config.disk_torn && store->error == 0 && store->at_error == 0)
        whole = torn_part(store);
    apply(node, whole);
    drop_owed(store, whole);
    node->shard->stats.disk_lost += count_owed(store, store->owed.size);
    store->owed.size = store->at_work = 0;
    store->ready = BRUIT_NEVER;
}

/* ---- a restart ---- */

static int by_name(const void *left, const void *right)
{
    const struct record *a = *(const struct record *const *)left, *b = *(const struct record *const *)right;
    size_t a_size = name_size(a), b_size = name_size(b);
    int order = memcmp(a->bytes, b->bytes, a_size < b_size ? a_size : b_size);
    return order != 0 ? order : a_size < b_size ? -1 : a_size > b_size;
}

static int load_one(struct br_sim_node *node, const struct record *record)
{
    const struct bruit_sim_config *config = &node->sim->config;
    struct bruit_bytes space = {record->bytes, record->space_size};
    struct bruit_bytes key = {record->bytes + record->space_size, record->key_size};
    struct bruit_bytes value = {record->bytes + name_size(record), record->value_size};
    br_sim_input(node, (struct bruit_sim_input){
                           .type = BRUIT_SIM_IN_LOADED, .space = space, .key = key, .bytes = value});
    return config->on_load(config->context, node->sim, node->index, node->engine, space, key, value);
}

/* In the order of their names, as a database would hand them over. */
int br_sim_store_load(struct br_sim_node *node)
{
    const struct br_sim_store *store = node->store;
    uint32_t count = store == NULL ? 0 : br_table_count(&store->table), found = 0;
    if (count == 0 || node->sim->config.on_load == NULL)
        return 0;
    const struct record **records = malloc(count * sizeof *records);
    if (records == NULL)
        return BRUIT_ENOMEM;
    for (size_t at = 0; at < store->kept.size; at += record_size(record_at(&store->kept, at)))
        if (!record_at(&store->kept, at)->is_gone)
            records[found++] = record_at(&store->kept, at);
    qsort(records, found, sizeof(const struct record *), by_name);
    int status = 0;
    for (uint32_t i = 0; i < found && status == 0; i++)
        status = load_one(node, records[i]);
    free(records);
    return status;
}

/* ---- what programs ask and do ---- */

void br_sim_disk_defaults(struct bruit_sim_config *config)
{
    config->disk_latency = DISK_LATENCY;
    config->disk_jitter = DISK_JITTER;
}

int bruit_sim_fail_disk(struct bruit_sim *sim, uint32_t index, int error)
{
    struct br_sim_store *store = store_of(br_sim_node(sim, index));
    if (store == NULL)
        return BRUIT_ENOMEM;
    store->error = error;
    return 0;
}

bool bruit_sim_disk_read(const struct bruit_sim *sim, uint32_t index, struct bruit_bytes space,
                         struct bruit_bytes key, struct bruit_bytes *value)
{
    const struct br_sim_store *store = br_sim_node(sim, index)->store;
    uint64_t room[(sizeof(struct record) + SPACE_MAX + KEY_MAX) / 8 + 1];
    struct record *named = (struct record *)(void *)room;
    if (store == NULL || space.size > SPACE_MAX || key.size > KEY_MAX)
        return false;
    *named = (struct record){.key_size = (uint16_t)key.size, .space_size = (uint8_t)space.size};
    memcpy(named->bytes, space.data, space.size);
    memcpy(named->bytes + space.size, key.data, key.size);
    uint32_t place = find(store, named);
    if (place == BR_TABLE_NONE)
        return false;
    const struct record *record = record_at(&store->kept, (size_t)place * 8);
    *value = br_bytes(record->bytes + name_size(record), record->value_size);
    return true;
}

size_t bruit_sim_disk_count(const struct bruit_sim *sim, uint32_t index)
{
    const struct br_sim_store *store = br_sim_node(sim, index)->store;
    return store == NULL ? 0 : br_table_count(&store->table);
}
