/*
 * Key-value words for tests; see kv.h.
 */
#include "support/kv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define S BRUIT_SECOND
#define MS BRUIT_MILLISECOND
#define DONE_MAX 16384

static const struct bruit_module *const modules[] = {&bruit_kv_module, &bruit_status_module};

static struct bruit_kv_done done[DONE_MAX];
static uint32_t done_node[DONE_MAX];
static size_t done_count;

static void hears(struct world *w, uint32_t node, const struct bruit_event *event)
{
    (void)w;
    if (done_count < DONE_MAX && bruit_kv_done_read(event, &done[done_count]) == 0)
        done_node[done_count++] = node;
}

const struct bruit_kv_done *kv_done(uint32_t node, uint32_t request)
{
    for (size_t i = done_count; i-- > 0;)
        if (done_node[i] == node && done[i].request == request)
            return &done[i];
    return NULL;
}

void kv_tell_time(struct world *w, uint32_t node, uint64_t ahead)
{
    bruit_kv_wall_time(w->nodes[node].engine, UINT64_C(1700000000) * S + w->now + ahead, w->now);
}

struct world *kv_world(uint64_t seed)
{
    struct world *w = world_new(seed);
    done_count = 0;
    w->hears = hears;
    w->disk_delay = 5 * MS;
    w->config.modules = modules;
    w->config.module_count = 2;
    return w;
}

const struct bruit_kv_options *kv_options;

static void begin(struct world *w, uint32_t node)
{
    assert_int_equal(world_start(w, node), 0);
    if (kv_options != NULL)
        assert_int_equal(bruit_kv_configure(w->nodes[node].engine, kv_options), 0);
    kv_tell_time(w, node, 0);
}

void kv_start(struct world *w, uint32_t node)
{
    begin(w, node);
    if (node > 0)
        assert_int_equal(world_join(w, node, 0), 0);
}

struct world *kv_cluster(uint64_t seed, uint32_t count)
{
    struct world *w = kv_world(seed);
    world_cluster(w, count);
    assert_true(world_wait_all_alive(w, 5 * S));
    for (uint32_t i = 0; i < count; i++)
        kv_tell_time(w, i, 0);
    world_run(w, 5 * S);
    return w;
}

void kv_restart(struct world *w, uint32_t i, uint32_t seed_node)
{
    struct world_node *node = &w->nodes[i];
    for (size_t j = 0; j < done_count; j++) /* its numbers begin anew */
        if (done_node[j] == i)
            done[j].request = 0;
    begin(w, i);
    for (size_t j = 0; j < node->record_count; j++) {
        const struct world_record *record = &node->records[j];
        struct bruit_bytes key = {record->bytes, record->key_size};
        struct bruit_bytes value = {record->bytes + record->key_size, record->value_size};
        int status = bruit_kv_load(node->engine, key, value);
        if (status != 0)
            print_error("the record %.*s (%zu bytes): %s\n", (int)key.size, (const char *)key.data, value.size,
                        bruit_strerror(status));
        assert_int_equal(status, 0);
    }
    if (seed_node != i)
        assert_int_equal(world_join(w, i, seed_node), 0);
}

int kv_put_how(struct world *w, uint32_t node, const char *key, const char *value, const struct bruit_kv_write *how,
               uint32_t *request)
{
    int status = bruit_kv_put(w->nodes[node].engine, world_bytes(key), world_bytes(value), how, request, w->now);
    world_settle(w, node);
    return status;
}

void kv_put(struct world *w, uint32_t node, const char *key, const char *value)
{
    assert_int_equal(kv_put_how(w, node, key, value, NULL, NULL), 0);
}

void kv_delete(struct world *w, uint32_t node, const char *key)
{
    assert_int_equal(bruit_kv_delete(w->nodes[node].engine, world_bytes(key), NULL, NULL, w->now), 0);
    world_settle(w, node);
}

const char *kv_get(const struct world *w, uint32_t node, const char *key)
{
    static char text[128];
    struct bruit_kv_entry entry;
    if (bruit_kv_get(w->nodes[node].engine, world_bytes(key), 0, &entry) != 0)
        return NULL;
    snprintf(text, sizeof text, "%.*s", (int)entry.value.size, (const char *)entry.value.data);
    return text;
}

bool kv_has(const struct world *w, uint32_t node, const char *key, const char *value)
{
    const char *held = kv_get(w, node, key);
    return held != NULL && strcmp(held, value) == 0;
}

uint32_t kv_siblings(const struct world *w, uint32_t node, const char *key)
{
    struct bruit_kv_entry entry;
    return bruit_kv_get(w->nodes[node].engine, world_bytes(key), 0, &entry) == 0 ? entry.sibling_count : 0;
}

struct bruit_kv_stat kv_stat(const struct world *w, uint32_t node)
{
    struct bruit_kv_stat stat;
    assert_int_equal(bruit_kv_stat(w->nodes[node].engine, &stat), 0);
    return stat;
}

bool kv_all_equal(const struct world *w)
{
    uint64_t root = 0;
    bool is_first = true;
    for (uint32_t i = 0; i < w->count; i++) {
        if (w->nodes[i].engine == NULL)
            continue;
        uint64_t mine = kv_stat(w, i).root;
        if (!is_first && mine != root)
            return false;
        root = mine;
        is_first = false;
    }
    return true;
}

uint64_t kv_bytes_sent(const struct world *w, uint32_t node)
{
    return kv_stat(w, node).bytes_out;
}

uint64_t kv_drops(const struct world *w, uint32_t node, enum bruit_drop reason)
{
    return world_stats(w, node).drops[reason];
}
