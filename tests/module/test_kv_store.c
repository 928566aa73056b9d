/*
 * The replicated store against an oracle that knows the whole history.
 *
 * A few stores write, delete and tell each other through a network that loses, repeats and reorders; keys are merged
 * whole, one by one and between other things; comparisons are begun, go on while everybody writes, and are completed
 * or given up; stores stop and come back from what they had written to disk. The oracle keeps of every write which
 * writes it had seen. At every step no store may cover a write that it neither holds nor knows to be replaced; at the
 * end, when all have been compared with all, every store shows exactly the writes that no other had seen.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/siphash.h"
#include "module/kv_store.h"
#include "support/memory.h"

#define STORES_MAX 6
#define KEYS_MAX 5
#define EVENTS_MAX 256
#define WORDS (EVENTS_MAX / 64)
#define MESSAGES_MAX EVENTS_MAX
#define SYNCS_MAX 4
#define UNDER_WAY_MAX 64 /* messages, unless none may be lost */
#define BYTES_MAX 4096

/* ---- the oracle ---------------------------------------------------------------------------------------- */

struct set {
    uint64_t words[WORDS];
};

static bool set_has(const struct set *set, uint32_t n)
{
    return (set->words[n / 64] >> n % 64 & 1) != 0;
}

static void set_add(struct set *set, uint32_t n)
{
    set->words[n / 64] |= UINT64_C(1) << n % 64;
}

static void set_unite(struct set *set, const struct set *other)
{
    for (uint32_t i = 0; i < WORDS; i++)
        set->words[i] |= other->words[i];
}

struct event {
    struct br_kv_dot dot;
    uint32_t key;
    bool is_delete;
    struct set seen; /* of the same key */
};

struct message {
    uint8_t bytes[BYTES_MAX];
    size_t size;
};

/* A comparison: one side takes over what the other holds, key by key, and at last its context of the beginning. */
struct sync {
    bool is_running;
    uint32_t to;
    uint32_t from;
    uint32_t next_key;
    uint8_t context[BYTES_MAX];
    size_t context_size;
};

struct world {
    struct br_rng rng;
    struct test_memory memory;
    struct br_alloc alloc;
    struct br_kv_store stores[STORES_MAX];
    uint32_t store_count;
    uint32_t key_count;
    struct event events[EVENTS_MAX];
    uint32_t event_count;
    struct message messages[MESSAGES_MAX];
    uint32_t message_count;
    struct sync syncs[SYNCS_MAX];
    bruit_time now;
    uint64_t hlc;
    bool is_lossless; /* every message is kept for the end */
    bool is_failing; /* every call is first tried with each of its allocations refused */
    struct br_kv_limits limits;
};

static const char *const key_names[KEYS_MAX] = {"a", "apple", "b", "banana/with/a/long/name", "c"};

static struct bruit_bytes key_of(uint32_t key)
{
    return br_bytes_string(key_names[key]);
}

static uint32_t draw(struct world *w, uint32_t n)
{
    return br_rng_below(&w->rng, n);
}

static uint32_t find_event(const struct world *w, struct br_kv_dot dot)
{
    for (uint32_t i = 0; i < w->event_count; i++)
        if (br_kv_dot_equal(w->events[i].dot, dot))
            return i;
    fail_msg("a dot that nobody wrote");
    return 0;
}

/* What the store has covered of all events. */
static struct set covered_by(const struct world *w, const struct br_kv_store *s)
{
    struct set set = {{0}};
    for (uint32_t i = 0; i < w->event_count; i++)
        if (br_kv_context_covers(&s->context, w->events[i].dot))
            set_add(&set, i);
    return set;
}

static struct set held_by(const struct world *w, const struct br_kv_store *s)
{
    struct set set = {{0}};
    for (uint32_t k = 0; k < w->key_count; k++) {
        uint32_t key = br_kv_store_find(s, key_of(k));
        uint32_t at = key == BR_KV_NONE ? BR_KV_NONE : br_kv_store_first(s, key);
        for (; at != BR_KV_NONE; at = br_kv_store_next(s, at))
            if (!br_kv_store_sibling(s, at)->is_delete)
                set_add(&set, find_event(w, br_kv_store_dot(s, at)));
    }
    return set;
}

/*
 * What is covered is held, or is a delete, or was seen by something that is covered, or by a delete: a comparison in
 * the course of which somebody deletes may end with the key equal on both sides, and the delete still to come.
 */
static void check_exactness(const struct world *w)
{
    for (uint32_t i = 0; i < w->store_count; i++) {
        struct set covered = covered_by(w, &w->stores[i]);
        struct set held = held_by(w, &w->stores[i]);
        struct set seen = {{0}};
        for (uint32_t e = 0; e < w->event_count; e++)
            if (set_has(&covered, e) || w->events[e].is_delete)
                set_unite(&seen, &w->events[e].seen);
        for (uint32_t e = 0; e < w->event_count; e++) {
            if (set_has(&held, e))
                assert_true(set_has(&covered, e));
            else if (set_has(&covered, e) && !w->events[e].is_delete)
                assert_true(set_has(&seen, e));
        }
    }
}

/* ---- the store's own books ----------------------------------------------------------------------------- */

static void check_tree(const struct world *w, struct br_kv_store *s, struct br_kv_path path)
{
    struct br_kv_sum sum = {0};
    for (uint32_t k = 0; k < w->key_count; k++) {
        uint32_t key = br_kv_store_find(s, key_of(k));
        if (key == BR_KV_NONE || !br_kv_path_has(path, br_kv_hash(key_of(k))))
            continue;
        sum.sum ^= br_kv_store_version(s, key);
        sum.count += br_kv_store_key(s, key)->live_count > 0;
    }
    assert_int_equal(br_kv_store_sum(s, path).sum, sum.sum);
    assert_int_equal(br_kv_store_sum(s, path).count, sum.count);
    uint32_t keys[KEYS_MAX];
    assert_int_equal(br_kv_store_below(s, path, keys, KEYS_MAX), sum.count);
    for (uint32_t i = 0; i < sum.count; i++) {
        assert_true(br_kv_path_has(path, br_kv_store_key(s, keys[i])->hash));
        if (i > 0)
            assert_true(br_kv_store_key(s, keys[i - 1])->hash <= br_kv_store_key(s, keys[i])->hash);
    }
}

static void check_order(struct br_kv_store *s)
{
    uint32_t live = 0;
    struct bruit_bytes last = br_bytes_text("");
    for (uint32_t key = br_kv_store_walk(s, last, true); key != BR_KV_NONE;
         key = br_kv_store_walk(s, last, false), live++) {
        assert_true(br_bytes_compare(last, br_kv_store_name(s, key)) < 0);
        last = br_kv_store_name(s, key);
    }
    assert_int_equal(live, s->live_keys);
}

static void check_counts(struct br_kv_store *s)
{
    uint64_t bytes = 0;
    uint32_t graves = 0, live = 0, owned = 0, empty = 0;
    for (uint32_t i = 0; i < s->keys.used; i++) {
        const struct br_kv_key *key = br_kv_store_key(s, i);
        if (key->name_size == 0)
            continue;
        bytes += key->name_size;
        empty += key->sibling_count == 0;
        uint64_t version = 0;
        for (uint32_t at = key->first, last = BR_KV_NONE; at != BR_KV_NONE; last = at, at = br_kv_store_next(s, at)) {
            const struct br_kv_sibling *sibling = br_kv_store_sibling(s, at);
            bytes += sibling->value_size + sibling->owner_size;
            graves += sibling->is_delete;
            live += !sibling->is_delete;
            owned += sibling->life == BR_KV_OWNED;
            if (!sibling->is_delete)
                version ^= br_kv_sibling_hash(key->hash, br_kv_store_dot(s, at), sibling->hlc);
            if (last != BR_KV_NONE)
                assert_true(br_kv_write_compare(br_kv_store_sibling(s, last)->hlc, br_kv_store_dot(s, last),
                                                sibling->hlc, br_kv_store_dot(s, at)) > 0);
        }
        assert_int_equal(version, br_kv_store_version(s, i));
    }
    assert_int_equal(bytes, s->bytes);
    assert_int_equal(graves, s->grave_count);
    assert_int_equal(live, s->live_siblings);
    assert_int_equal(owned, s->owned_count);
    assert_int_equal(empty, s->empty_keys);
}

static void check_books(struct world *w)
{
    for (uint32_t i = 0; i < w->store_count; i++) {
        struct br_kv_store *s = &w->stores[i];
        check_counts(s);
        check_order(s);
        struct br_kv_path path = {0};
        check_tree(w, s, path);
        uint64_t hash = br_kv_hash(key_of(draw(w, w->key_count)));
        while (path.depth < 16) {
            path = br_kv_path_child(path, (uint32_t)(hash >> (60 - 4 * path.depth)) & 15);
            check_tree(w, s, path);
        }
    }
}

/* ---- refused memory ------------------------------------------------------------------------------------ */

static uint64_t mix(uint64_t so_far, uint64_t more)
{
    static const uint8_t key[16] = {0};
    uint8_t bytes[16];
    br_store_u64(bytes, so_far);
    br_store_u64(bytes + 8, more);
    return br_siphash13(key, br_bytes(bytes, sizeof bytes));
}

/* All that can be seen of a store, in one number. */
static uint64_t fingerprint(const struct br_kv_store *s)
{
    uint8_t buffer[BYTES_MAX];
    struct br_writer writer;
    br_writer_init(&writer, buffer, sizeof buffer);
    br_kv_context_encode(&s->context, &writer, true);
    assert_false(writer.failed);
    static const uint8_t key[16] = {0};
    uint64_t print = br_siphash13(key, br_writer_bytes(&writer));
    print = mix(print, s->bytes);
    print = mix(print, s->counter);
    print = mix(print, s->change_next);
    print = mix(print, (uint64_t)s->alarms.count << 32 | s->graves.count);
    print = mix(print, br_kv_store_root(s));
    for (uint32_t i = 0; i < s->siblings.used; i++) {
        if (br_kv_store_sibling(s, i)->key == BR_KV_NONE)
            continue;
        struct br_kv_past past[BR_KV_PAST_MAX];
        struct br_kv_write write;
        br_kv_store_tell(s, i, 0, &write, past);
        br_writer_init(&writer, buffer, sizeof buffer);
        br_kv_write_item(&writer, &write, true);
        print = mix(print, br_siphash13(key, br_writer_bytes(&writer)));
    }
    return print;
}

typedef int (*call)(struct world *w, struct br_kv_store *s, void *context);

/* Makes the call; in a failing world first with its first allocation refused, its second, and so on. */
static int attempt(struct world *w, struct br_kv_store *s, call function, void *context)
{
    for (uint64_t n = 1; w->is_failing; n++) {
        uint64_t before = fingerprint(s);
        w->memory.fail_at = w->memory.count + n;
        int status = function(w, s, context);
        bool was_refused = w->memory.count >= w->memory.fail_at;
        w->memory.fail_at = 0;
        if (!was_refused)
            return status;
        assert_int_equal(status, BRUIT_ENOMEM);
        assert_int_equal(fingerprint(s), before);
    }
    return function(w, s, context);
}

/* ---- acts ---------------------------------------------------------------------------------------------- */

struct put_call {
    struct br_kv_put put;
    struct br_kv_write write;
    struct br_kv_past past[BR_KV_PAST_MAX];
    struct br_kv_merged merged;
};

static int do_put(struct world *w, struct br_kv_store *s, void *context)
{
    struct put_call *c = context;
    return br_kv_store_put(s, &c->put, w->now, &c->write, c->past, &c->merged);
}

static void send(struct world *w, const struct br_kv_write *write)
{
    uint32_t max = w->is_lossless ? MESSAGES_MAX : UNDER_WAY_MAX;
    uint32_t at = w->message_count < max ? w->message_count++ : draw(w, max);
    struct br_writer writer;
    br_writer_init(&writer, w->messages[at].bytes, BYTES_MAX);
    br_kv_write_item(&writer, write, true);
    assert_false(writer.failed);
    assert_true(br_writer_size(&writer) <= br_kv_item_size_max(write));
    w->messages[at].size = br_writer_size(&writer);
}

/* What a put has seen: everything of the key that its store has, when it leaves nothing of it standing. */
static struct set seen_by(const struct world *w, const struct br_kv_store *s, uint32_t key,
                          const struct br_kv_dot *replaces, uint32_t count)
{
    struct set seen = {{0}};
    bool is_whole = true;
    uint32_t slot = br_kv_store_find(s, key_of(key));
    uint32_t at = slot == BR_KV_NONE ? BR_KV_NONE : br_kv_store_first(s, slot);
    for (; at != BR_KV_NONE; at = br_kv_store_next(s, at)) {
        bool is_named = false;
        for (uint32_t i = 0; i < count; i++)
            is_named = is_named || br_kv_dot_equal(replaces[i], br_kv_store_dot(s, at));
        is_whole = is_whole && is_named;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t event = find_event(w, replaces[i]);
        set_add(&seen, event);
        set_unite(&seen, &w->events[event].seen);
    }
    struct set covered = covered_by(w, s);
    for (uint32_t e = 0; e < w->event_count && is_whole && count > 0; e++)
        if (w->events[e].key == key && set_has(&covered, e))
            set_add(&seen, e);
    return seen;
}

/* Dots of the key as some store shows it: mostly all of them, sometimes a few. */
static uint32_t read_dots(struct world *w, const struct br_kv_store *s, uint32_t key, struct br_kv_dot *dots)
{
    uint32_t count = 0;
    bool takes_all = draw(w, 4) > 0;
    uint32_t slot = br_kv_store_find(s, key_of(key));
    uint32_t at = slot == BR_KV_NONE ? BR_KV_NONE : br_kv_store_first(s, slot);
    for (; at != BR_KV_NONE; at = br_kv_store_next(s, at))
        if (takes_all || draw(w, 2) == 0)
            dots[count++] = br_kv_store_dot(s, at);
    return count;
}

static void write_something(struct world *w, bool is_quiet)
{
    if (w->event_count == EVENTS_MAX)
        return;
    struct br_kv_store *s = &w->stores[draw(w, w->store_count)];
    uint32_t key = draw(w, w->key_count);
    struct br_kv_dot dots[BR_KV_SIBLINGS_MAX];
    /* Somebody who read elsewhere may name writes that have not come here yet. */
    const struct br_kv_store *reader = draw(w, 8) == 0 ? &w->stores[draw(w, w->store_count)] : s;
    uint32_t count = draw(w, 10) == 0 ? 0 : read_dots(w, reader, key, dots);
    char value[80];
    snprintf(value, sizeof value, "%*u", (int)draw(w, 60), w->event_count);
    struct put_call c = {.put = {.key = key_of(key),
                                 .value = br_bytes_string(value),
                                 .hlc = draw(w, 3) == 0 ? w->hlc : ++w->hlc,
                                 .replaces = dots,
                                 .replaces_count = count}};
    uint32_t slot = br_kv_store_find(s, key_of(key));
    if (draw(w, 2) == 0 && reader == s) {
        count = 0;
        uint32_t at = slot == BR_KV_NONE ? BR_KV_NONE : br_kv_store_first(s, slot);
        for (; at != BR_KV_NONE; at = br_kv_store_next(s, at))
            dots[count++] = br_kv_store_dot(s, at);
        c.put.replaces_all = true;
    }
    if (draw(w, 3) == 0) {
        c.put.is_delete = true;
        c.put.value = br_bytes_text("");
    } else if (draw(w, 6) == 0) {
        c.put.life = BR_KV_EXPIRES;
        c.put.ttl_ms = 1 + draw(w, 1000);
    } else if (draw(w, 6) == 0) {
        c.put.life = BR_KV_OWNED;
        c.put.owner = br_bytes_text("node-1");
    }
    struct set seen = seen_by(w, s, key, dots, count);
    int status = attempt(w, s, do_put, &c);
    if (status == BRUIT_ENOENT || status == BRUIT_EFULL)
        return;
    assert_int_equal(status, 0);
    w->events[w->event_count++] =
        (struct event){.dot = c.write.dot, .key = key, .is_delete = c.put.is_delete, .seen = seen};
    if (!is_quiet)
        send(w, &c.write);
}

struct merge_call {
    struct br_kv_write write;
    struct br_kv_past past[BR_KV_PAST_MAX];
    struct br_kv_merged merged;
};

static int do_merge(struct world *w, struct br_kv_store *s, void *context)
{
    struct merge_call *c = context;
    return br_kv_store_merge(s, &c->write, w->now, &c->merged);
}

static void deliver(struct world *w, struct br_kv_store *s, uint32_t at)
{
    struct br_reader reader;
    br_reader_init(&reader, br_bytes(w->messages[at].bytes, w->messages[at].size));
    struct merge_call c;
    br_kv_read_item(&reader, br_bytes(NULL, 0), &c.write, c.past);
    assert_false(reader.failed);
    assert_int_equal(br_reader_left(&reader), 0);
    bool was_covered = br_kv_context_covers(&s->context, c.write.dot);
    int status = attempt(w, s, do_merge, &c);
    if (status == 0) {
        assert_int_equal(c.merged.is_news, !was_covered);
        assert_true(br_kv_context_covers(&s->context, c.write.dot));
    } else {
        assert_int_equal(status, BRUIT_EFULL);
    }
}

static void deliver_something(struct world *w)
{
    if (w->message_count == 0)
        return;
    uint32_t at = draw(w, w->message_count);
    deliver(w, &w->stores[draw(w, w->store_count)], at);
    if (draw(w, 3) == 0 && !w->is_lossless)
        w->messages[at] = w->messages[--w->message_count];
}

struct key_call {
    struct br_kv_state state;
    struct br_kv_merged merged;
};

static int do_merge_key(struct world *w, struct br_kv_store *s, void *context)
{
    struct key_call *c = context;
    return br_kv_store_merge_key(s, &c->state, w->now, &c->merged);
}

/* One store asks another for a key, by way of bytes. False: something was refused. */
static bool merge_key(struct world *w, struct br_kv_store *to, const struct br_kv_store *from, uint32_t key,
                      const struct br_kv_context *context)
{
    struct br_kv_dot dots[BR_KV_SIBLINGS_MAX], gone[BR_KV_SIBLINGS_MAX];
    uint32_t dot_count = 0;
    uint32_t here = br_kv_store_find(to, key_of(key));
    uint32_t there = br_kv_store_find(from, key_of(key));
    for (uint32_t at = here == BR_KV_NONE ? BR_KV_NONE : br_kv_store_first(to, here); at != BR_KV_NONE;
         at = br_kv_store_next(to, at))
        dots[dot_count++] = br_kv_store_dot(to, at);
    struct br_kv_key_head head = {.key = key_of(key), .gone = gone};
    head.gone_count = br_kv_store_gone(from, there, dots, dot_count, gone);
    if (context != NULL)
        head.gone_count = 0; /* the context alone says it */
    bool tells_tombstones = draw(w, 2) == 0;
    static uint8_t bytes[1 << 16];
    static struct br_kv_past pasts[BR_KV_SIBLINGS_MAX][BR_KV_PAST_MAX];
    static struct br_kv_write writes[BR_KV_SIBLINGS_MAX];
    struct br_writer writer;
    br_writer_init(&writer, bytes, sizeof bytes);
    uint32_t first = there == BR_KV_NONE ? BR_KV_NONE : br_kv_store_first(from, there);
    for (uint32_t at = first; at != BR_KV_NONE; at = br_kv_store_next(from, at))
        head.sibling_count += tells_tombstones || !br_kv_store_sibling(from, at)->is_delete;
    br_kv_write_key_head(&writer, &head);
    for (uint32_t at = first; at != BR_KV_NONE; at = br_kv_store_next(from, at)) {
        if (!tells_tombstones && br_kv_store_sibling(from, at)->is_delete)
            continue;
        br_kv_store_tell(from, at, w->now, &writes[0], pasts[0]);
        br_kv_write_item(&writer, &writes[0], false);
    }
    assert_false(writer.failed);

    struct br_reader reader;
    struct br_kv_key_head read;
    br_reader_init(&reader, br_writer_bytes(&writer));
    br_kv_read_key_head(&reader, &read, gone);
    for (uint32_t i = 0; i < read.sibling_count; i++)
        br_kv_read_item(&reader, read.key, &writes[i], pasts[i]);
    assert_false(reader.failed);
    assert_int_equal(br_reader_left(&reader), 0);
    struct key_call c = {.state = {.key = read.key,
                                   .writes = writes,
                                   .write_count = read.sibling_count,
                                   .gone = gone,
                                   .gone_count = read.gone_count,
                                   .context = context}};
    int status = attempt(w, to, do_merge_key, &c);
    assert_true(status == 0 || status == BRUIT_EFULL);
    return status == 0;
}

static void draw_pair(struct world *w, uint32_t *to, uint32_t *from)
{
    *to = draw(w, w->store_count);
    *from = (*to + 1 + draw(w, w->store_count - 1)) % w->store_count;
}

static void begin_sync(struct world *w, struct sync *sync, uint32_t to, uint32_t from)
{
    *sync = (struct sync){.is_running = true, .to = to, .from = from};
    struct br_writer writer;
    br_writer_init(&writer, sync->context, sizeof sync->context);
    br_kv_context_encode(&w->stores[from].context, &writer, true);
    assert_false(writer.failed);
    assert_true(br_writer_size(&writer) <= br_kv_context_size_max(&w->stores[from].context));
    sync->context_size = br_writer_size(&writer);
}

static int do_join(struct world *w, struct br_kv_store *s, void *context)
{
    return br_kv_store_join(s, context, w->now);
}

/* The next key, when it differs; after the last one the contexts are joined. */
static void advance_sync(struct world *w, struct sync *sync)
{
    struct br_kv_store *to = &w->stores[sync->to];
    const struct br_kv_store *from = &w->stores[sync->from];
    struct br_kv_context context;
    br_kv_context_init(&context, &w->alloc, 64, 1024, 7);
    assert_int_equal(br_kv_context_decode(&context, br_bytes(sync->context, sync->context_size), NULL), 0);
    if (sync->next_key < w->key_count) {
        uint32_t key = sync->next_key++;
        uint32_t here = br_kv_store_find(to, key_of(key));
        uint32_t there = br_kv_store_find(from, key_of(key));
        uint64_t version_here = here == BR_KV_NONE ? 0 : br_kv_store_version(to, here);
        uint64_t version_there = there == BR_KV_NONE ? 0 : br_kv_store_version(from, there);
        if (version_here != version_there)
            sync->is_running = merge_key(w, to, from, key, draw(w, 2) == 0 ? &context : NULL);
    } else {
        int status = attempt(w, to, do_join, &context);
        assert_true(status == 0 || status == BRUIT_EFULL);
        sync->is_running = false;
    }
    br_kv_context_fini(&context);
}

static void sync_something(struct world *w)
{
    struct sync *sync = &w->syncs[draw(w, SYNCS_MAX)];
    uint32_t to, from;
    draw_pair(w, &to, &from);
    if (!sync->is_running)
        begin_sync(w, sync, to, from);
    else if (draw(w, 20) == 0)
        sync->is_running = false;
    else
        advance_sync(w, sync);
}

static void full_sync(struct world *w, uint32_t to, uint32_t from)
{
    struct sync sync;
    begin_sync(w, &sync, to, from);
    while (sync.is_running)
        advance_sync(w, &sync);
}

/* ---- stopping and coming back -------------------------------------------------------------------------- */

static const uint64_t secret[2] = {1, 2};

static void load_key(struct world *w, struct br_kv_store *fresh, struct bruit_bytes name, struct bruit_bytes record)
{
    static struct br_kv_past pasts[BR_KV_SIBLINGS_MAX][BR_KV_PAST_MAX];
    static struct br_kv_write writes[BR_KV_SIBLINGS_MAX];
    struct br_reader reader;
    struct br_kv_key_record head;
    br_reader_init(&reader, record);
    br_kv_read_key_record(&reader, &head);
    for (uint32_t i = 0; i < head.sibling_count; i++)
        br_kv_read_item(&reader, name, &writes[i], pasts[i]);
    assert_false(reader.failed);
    assert_int_equal(br_kv_store_load(fresh, name, writes, head.sibling_count, w->now), 0);
}

/* Everything into records and back into a new store, which must be the same. */
static void restart(struct world *w, uint32_t index)
{
    struct br_kv_store *old = &w->stores[index];
    struct br_kv_store fresh;
    br_kv_store_init(&fresh, &w->alloc, &w->limits, old->actor, secret);
    br_kv_store_be(&fresh, old->actor, old->counter);
    static uint8_t bytes[1 << 16];
    struct br_writer writer;
    for (uint32_t k = 0; k < w->key_count; k++) {
        uint32_t key = br_kv_store_find(old, key_of(k));
        if (key == BR_KV_NONE || br_kv_store_key(old, key)->sibling_count == 0)
            continue;
        br_writer_init(&writer, bytes, sizeof bytes);
        struct br_kv_key_record head = {.saved_ms = 5, .sibling_count = br_kv_store_key(old, key)->sibling_count};
        br_kv_write_key_record(&writer, &head);
        for (uint32_t at = br_kv_store_first(old, key); at != BR_KV_NONE; at = br_kv_store_next(old, at)) {
            struct br_kv_write write;
            struct br_kv_past past[BR_KV_PAST_MAX];
            br_kv_store_tell(old, at, w->now, &write, past);
            br_kv_write_item(&writer, &write, false);
        }
        assert_false(writer.failed);
        load_key(w, &fresh, key_of(k), br_writer_bytes(&writer));
    }
    struct br_kv_context context;
    br_kv_context_init(&context, &w->alloc, 64, 1024, 7);
    br_writer_init(&writer, bytes, sizeof bytes);
    br_kv_context_encode(&old->context, &writer, true);
    assert_int_equal(br_kv_context_decode(&context, br_writer_bytes(&writer), NULL), 0);
    assert_int_equal(br_kv_store_join(&fresh, &context, w->now), 0);
    br_kv_context_fini(&context);
    assert_int_equal(br_kv_store_root(&fresh), br_kv_store_root(old));
    assert_int_equal(br_kv_context_digest(&fresh.context), br_kv_context_digest(&old->context));
    assert_int_equal(fresh.counter, old->counter);
    assert_false(fresh.is_impersonated);
    br_kv_store_fini(old);
    *old = fresh;
}

/* ---- the story ----------------------------------------------------------------------------------------- */

static void start(struct world *w, uint64_t seed, uint32_t stores, uint32_t keys)
{
    memset(w, 0, sizeof *w);
    br_rng_init(&w->rng, seed, "kv");
    test_memory_init(&w->memory);
    struct bruit_env env = test_memory_env(&w->memory);
    br_alloc_init(&w->alloc, &env, 0);
    w->limits = br_kv_limits_default();
    w->limits.changes_max = 4;
    w->limits.tombstone_ns = 50 * BRUIT_SECOND;
    w->store_count = stores;
    w->key_count = keys;
    for (uint32_t i = 0; i < stores; i++)
        br_kv_store_init(&w->stores[i], &w->alloc, &w->limits, br_rng_u64(&w->rng) | 1, secret);
}

static void step(struct world *w)
{
    uint32_t dice = draw(w, 100);
    uint32_t to, from;
    w->now += draw(w, 3) * BRUIT_SECOND;
    if (dice < 25) {
        write_something(w, draw(w, 4) == 0);
    } else if (dice < 60) {
        deliver_something(w);
    } else if (dice < 70) {
        draw_pair(w, &to, &from);
        (void)merge_key(w, &w->stores[to], &w->stores[from], draw(w, w->key_count), NULL); /* EFULL is fine */
    } else if (dice < 95) {
        sync_something(w);
    } else if (dice < 98) {
        (void)br_kv_store_collect(&w->stores[draw(w, w->store_count)], w->now, 1 + draw(w, 5));
    } else if (!w->is_failing) {
        restart(w, draw(w, w->store_count));
    }
    check_exactness(w);
}

/* Everybody takes over from everybody, twice: what the last one learnt in the first round goes round in the second. */
static void reconcile(struct world *w)
{
    for (uint32_t round = 0; round < 2; round++)
        for (uint32_t to = 0; to < w->store_count; to++)
            for (uint32_t from = 0; from < w->store_count; from++)
                if (to != from)
                    full_sync(w, to, from);
}

static void check_outcome(struct world *w)
{
    struct set seen = {{0}};
    for (uint32_t e = 0; e < w->event_count; e++)
        set_unite(&seen, &w->events[e].seen);
    for (uint32_t i = 0; i < w->store_count; i++) {
        struct br_kv_store *s = &w->stores[i];
        assert_int_equal(br_kv_store_root(s), br_kv_store_root(&w->stores[0]));
        assert_int_equal(br_kv_context_digest(&s->context), br_kv_context_digest(&w->stores[0].context));
        assert_int_equal(br_kv_context_gaps(&s->context), 0);
        struct set held = held_by(w, s);
        for (uint32_t e = 0; e < w->event_count; e++)
            assert_int_equal(set_has(&held, e), !set_has(&seen, e) && !w->events[e].is_delete);
    }
}

/* A tombstone whose past is covered waits for nothing, and old messages find nothing that they could bring back. */
static void check_afterlife(struct world *w)
{
    w->now += 2 * w->limits.tombstone_ns;
    for (uint32_t i = 0; i < w->store_count; i++) {
        (void)br_kv_store_collect(&w->stores[i], w->now, UINT32_MAX);
        assert_int_equal(w->stores[i].grave_count, 0);
    }
    for (uint32_t i = 0; i < 200; i++)
        deliver_something(w);
    check_outcome(w);
}

static void finish(struct world *w)
{
    for (uint32_t i = 0; i < w->store_count; i++)
        br_kv_store_fini(&w->stores[i]);
    assert_int_equal(w->memory.in_use, 0);
}

static uint64_t last_seed;

/* A failed run is repeated alone with this as its seed and a count of 1. */
static int say_last(void **state)
{
    (void)state;
    printf("the last run had seed %llu\n", (unsigned long long)last_seed);
    return 0;
}

static void run(struct world *w, uint64_t seed, uint32_t steps, bool is_failing)
{
    struct br_rng rng;
    last_seed = seed;
    br_rng_init(&rng, seed, "kv world");
    start(w, seed, 2 + br_rng_below(&rng, STORES_MAX - 1), 1 + br_rng_below(&rng, KEYS_MAX));
    w->is_failing = is_failing;
    for (uint32_t i = 0; i < steps; i++) {
        step(w);
        if (i % 50 == 0)
            check_books(w);
    }
    w->is_failing = false;
    reconcile(w);
    check_exactness(w);
    check_outcome(w);
    check_books(w);
    check_afterlife(w);
    finish(w);
}

static struct world world;

/* As many as are asked for, more to search and fewer under valgrind, or the usual number. */
static uint64_t test_runs(uint64_t usual)
{
    const char *runs = getenv("BRUIT_TEST_RUNS");
    return runs == NULL ? usual : strtoull(runs, NULL, 10);
}

static void test_histories_end_as_the_oracle_says(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (uint64_t i = 0; i < test_runs(300); i++)
        run(&world, seed + i, 400, false);
}

static void test_refused_memory_changes_nothing(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (uint64_t i = 0; i < test_runs(40); i++)
        run(&world, seed + i, 200, true);
}

/*
 * Without a single comparison: when every write has reached everybody, in whatever order and however often, all is
 * well. So what is said to be replaced must be remembered until it comes, whatever becomes of the write that said so.
 */
static void test_messages_alone_suffice(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (uint64_t i = 0; i < test_runs(1000); i++) {
        struct world *w = &world;
        last_seed = seed + i;
        start(w, seed + i, 2 + (uint32_t)i % (STORES_MAX - 1), 1 + (uint32_t)i % 3);
        w->is_lossless = true;
        for (uint32_t n = 0; n < 200; n++) {
            uint32_t dice = draw(w, 100);
            w->now += draw(w, 20) * BRUIT_SECOND;
            if (dice < 25)
                write_something(w, false);
            else if (dice < 95)
                deliver_something(w);
            else if (dice < 98)
                (void)br_kv_store_collect(&w->stores[draw(w, w->store_count)], w->now, 1 + draw(w, 5));
            else
                restart(w, draw(w, w->store_count));
            check_exactness(w);
        }
        uint32_t order[MESSAGES_MAX];
        for (uint32_t s = 0; s < w->store_count; s++) {
            for (uint32_t n = 0; n < w->message_count; n++)
                order[n] = n;
            br_rng_shuffle(&w->rng, order, w->message_count);
            for (uint32_t n = 0; n < w->message_count; n++)
                deliver(w, &w->stores[s], order[n]);
        }
        check_outcome(w);
        check_books(w);
        check_afterlife(w);
        finish(w);
    }
}

/* ---- one thing at a time ------------------------------------------------------------------------------- */

static struct br_kv_write put(struct world *w, uint32_t store, const char *key, const char *value, bool is_delete,
                              struct br_kv_past *past)
{
    struct br_kv_put put = {.key = br_bytes_string(key),
                            .value = br_bytes_string(value),
                            .is_delete = is_delete,
                            .hlc = ++w->hlc,
                            .replaces_all = true};
    struct br_kv_write write;
    struct br_kv_merged merged;
    assert_int_equal(br_kv_store_put(&w->stores[store], &put, w->now, &write, past, &merged), 0);
    return write;
}

static struct br_kv_merged merge(struct world *w, uint32_t store, const struct br_kv_write *write, int expected)
{
    struct br_kv_merged merged;
    assert_int_equal(br_kv_store_merge(&w->stores[store], write, w->now, &merged), expected);
    return merged;
}

static uint32_t live_count(struct world *w, uint32_t store, const char *key)
{
    uint32_t at = br_kv_store_find(&w->stores[store], br_bytes_string(key));
    return at == BR_KV_NONE ? 0 : br_kv_store_key(&w->stores[store], at)->live_count;
}

/* The second of three writes is lost; the third says enough to take the first one away, and the gap shows. */
static void test_a_prefix_stands_in_for_what_was_lost(void **state)
{
    (void)state;
    struct world *w = &world;
    struct br_kv_past p1[BR_KV_PAST_MAX], p2[BR_KV_PAST_MAX], p3[BR_KV_PAST_MAX];
    start(w, 1, 2, 1);
    struct br_kv_write first = put(w, 0, "a", "1", false, p1);
    struct br_kv_write second = put(w, 0, "a", "2", false, p2);
    struct br_kv_write third = put(w, 0, "a", "3", false, p3);
    assert_false(merge(w, 1, &first, 0).has_gap);
    struct br_kv_merged merged = merge(w, 1, &third, 0);
    assert_true(merged.has_gap);
    assert_int_equal(merged.added, 1);
    assert_int_equal(merged.removed, 1);
    assert_int_equal(live_count(w, 1, "a"), 1);
    assert_int_equal(br_kv_context_gaps(&w->stores[1].context), 1);
    merged = merge(w, 1, &second, 0);
    assert_int_equal(merged.added, 0);
    assert_true(merged.is_news);
    assert_int_equal(w->stores[1].stats.dead, 1);
    assert_int_equal(br_kv_context_gaps(&w->stores[1].context), 0);
    assert_int_equal(br_kv_store_root(&w->stores[1]), br_kv_store_root(&w->stores[0]));
    finish(w);
}

/* A comparison takes away the one sibling that knew of a write still to come: what it knew stays. */
static void test_what_is_pending_outlives_its_sibling(void **state)
{
    (void)state;
    struct world *w = &world;
    struct br_kv_past p1[BR_KV_PAST_MAX], p2[BR_KV_PAST_MAX];
    start(w, 1, 2, 1);
    struct br_kv_write first = put(w, 0, "a", "1", false, p1);
    struct br_kv_write second = put(w, 0, "a", "2", false, p2);
    (void)merge(w, 1, &second, 0);
    struct br_kv_state none = {.key = br_bytes_text("a"), .gone = &second.dot, .gone_count = 1};
    struct br_kv_merged merged;
    assert_int_equal(br_kv_store_merge_key(&w->stores[1], &none, w->now, &merged), 0);
    assert_int_equal(merged.removed, 1);
    assert_int_equal(live_count(w, 1, "a"), 0);
    assert_int_equal(w->stores[1].grave_count, 1);
    w->now += 10 * w->limits.tombstone_ns;
    assert_int_equal(br_kv_store_collect(&w->stores[1], w->now, 10), 0);
    (void)merge(w, 1, &first, 0);
    assert_int_equal(live_count(w, 1, "a"), 0);
    w->now += 10 * w->limits.tombstone_ns;
    assert_int_equal(br_kv_store_collect(&w->stores[1], w->now, 10), 1);
    finish(w);
}

static struct br_kv_write foreign(uint64_t actor, const char *key, struct br_kv_past *past, uint32_t past_count)
{
    return (struct br_kv_write){.key = br_bytes_string(key),
                                .dot = {actor, 1},
                                .hlc = actor,
                                .value = br_bytes_text("v"),
                                .past = past,
                                .past_count = past_count};
}

/*
 * A flood of writes of one key, most of which are lost: what comes replaces more than can be pending, and is refused.
 * The comparison that would end that must not be refused for the same reason, or it never completes.
 */
static void test_a_comparison_gets_through_a_full_past(void **state)
{
    (void)state;
    struct world *w = &world;
    struct br_kv_past lost[BR_KV_PAST_MAX + 5] = {0}, more[6] = {0};
    char key[16];
    start(w, 1, 2, 1);
    for (uint32_t i = 0; i < BR_KV_PAST_MAX + 5; i++) {
        (void)snprintf(key, sizeof key, "b%u", i);
        struct br_kv_write write = foreign(1001 + i, key, NULL, 0);
        lost[i].dot = write.dot;
        (void)merge(w, 0, &write, 0); /* which holds all of it */
    }
    struct br_kv_write first = foreign(5001, "a", lost, BR_KV_PAST_MAX);
    more[0].dot = first.dot;
    memcpy(more + 1, lost + BR_KV_PAST_MAX, 5 * sizeof *more);
    struct br_kv_write second = foreign(5002, "a", more, 6);
    for (uint32_t store = 0; store < 2; store++)
        (void)merge(w, store, &first, 0);
    (void)merge(w, 0, &second, 0);
    assert_int_equal(merge(w, 1, &second, BRUIT_EFULL).refusal, BR_KV_PAST_FULL);

    struct br_kv_state told = {
        .key = br_bytes_text("a"), .writes = &second, .write_count = 1, .gone = &first.dot, .gone_count = 1};
    struct br_kv_merged merged;
    assert_int_equal(br_kv_store_merge_key(&w->stores[1], &told, w->now, &merged), BRUIT_EFULL);
    told.joining = &w->stores[0].context;
    assert_int_equal(br_kv_store_merge_key(&w->stores[1], &told, w->now, &merged), 0);
    assert_int_equal(merged.added, 1);
    assert_int_equal(live_count(w, 1, "a"), 1);
    finish(w);
}

/*
 * A value came by a comparison that did not end, so without what it replaced; its writer then tells the write itself,
 * since it is to be held by two, and loses its disk. What the write replaced is dead here, before and after it comes.
 */
static void test_a_write_that_is_here_may_tell_more(void **state)
{
    (void)state;
    struct world *w = &world;
    struct br_kv_past p1[BR_KV_PAST_MAX], p2[BR_KV_PAST_MAX], told[BR_KV_PAST_MAX];
    for (int is_late = 0; is_late < 2; is_late++) {
        start(w, 1, 3, 1);
        struct br_kv_write first = put(w, 0, "a", "1", false, p1);
        (void)merge(w, 1, &first, 0);
        struct br_kv_write second = put(w, 1, "a", "2", false, p2), value;
        uint32_t held = br_kv_store_first(&w->stores[1], br_kv_store_find(&w->stores[1], br_bytes_text("a")));
        br_kv_store_tell(&w->stores[1], held, w->now, &value, told);
        assert_int_equal(value.past_count, 0);
        (void)merge(w, 2, &value, 0);
        if (is_late == 0)
            (void)merge(w, 2, &first, 0);
        assert_int_equal(live_count(w, 2, "a"), is_late == 0 ? 2 : 1);
        struct br_kv_merged merged = merge(w, 2, &second, 0);
        assert_false(merged.is_news);
        assert_true(merged.is_more); /* the key is to be written to the disk */
        (void)merge(w, 2, &first, 0);
        assert_int_equal(live_count(w, 2, "a"), 1);
        assert_false(merge(w, 2, &second, 0).is_more);
        finish(w);
    }
}

/* A sibling that stays as a tombstone for what is pending is no sibling to those who still have it alive. */
static void test_a_buried_sibling_is_gone_for_others_too(void **state)
{
    (void)state;
    struct world *w = &world;
    struct br_kv_past p1[BR_KV_PAST_MAX], p2[BR_KV_PAST_MAX];
    for (uint32_t by_context = 0; by_context < 2; by_context++) {
        start(w, 1 + by_context, 3, 1);
        (void)put(w, 0, "a", "1", false, p1);
        struct br_kv_write second = put(w, 0, "a", "2", false, p2);
        (void)merge(w, 1, &second, 0);
        (void)merge(w, 2, &second, 0);
        struct br_kv_state none = {.key = br_bytes_text("a"), .gone = &second.dot, .gone_count = 1};
        struct br_kv_merged merged;
        assert_int_equal(br_kv_store_merge_key(&w->stores[1], &none, w->now, &merged), 0);
        assert_true(merge_key(w, &w->stores[1], &w->stores[2], 0, by_context ? &w->stores[2].context : NULL));
        assert_int_equal(live_count(w, 1, "a"), 0);
        assert_true(merge_key(w, &w->stores[2], &w->stores[1], 0, by_context ? &w->stores[1].context : NULL));
        assert_int_equal(live_count(w, 2, "a"), 0);
        finish(w);
    }
}

/* However many actors others make up, there is room for our own. */
static void test_our_own_actor_has_its_place(void **state)
{
    (void)state;
    struct world *w = &world;
    struct br_kv_past past[BR_KV_PAST_MAX];
    start(w, 1, 2, 1);
    w->stores[0].context.actors_max = 3;
    struct br_kv_write write = {.key = br_bytes_text("a"), .dot = {100, 1}};
    for (; write.dot.actor < 102; write.dot.actor++)
        (void)merge(w, 0, &write, 0);
    assert_int_equal(merge(w, 0, &write, BRUIT_EFULL).refusal, BR_KV_ACTORS_FULL);
    (void)put(w, 0, "a", "mine", false, past);
    assert_int_equal(merge(w, 0, &write, BRUIT_EFULL).refusal, BR_KV_ACTORS_FULL);
    finish(w);
}

static void test_two_writers_make_siblings_and_a_third_resolves_them(void **state)
{
    (void)state;
    struct world *w = &world;
    struct br_kv_past p0[BR_KV_PAST_MAX], p1[BR_KV_PAST_MAX], p2[BR_KV_PAST_MAX];
    start(w, 1, 2, 1);
    struct br_kv_write ours = put(w, 0, "a", "ours", false, p0);
    struct br_kv_write theirs = put(w, 1, "a", "theirs", false, p1);
    assert_true(merge(w, 0, &theirs, 0).is_conflict);
    assert_true(merge(w, 1, &ours, 0).is_conflict);
    uint32_t key0 = br_kv_store_find(&w->stores[0], br_bytes_text("a"));
    uint32_t key1 = br_kv_store_find(&w->stores[1], br_bytes_text("a"));
    assert_int_equal(br_kv_store_version(&w->stores[0], key0), br_kv_store_version(&w->stores[1], key1));
    uint32_t winner = br_kv_store_first(&w->stores[0], key0);
    assert_true(br_bytes_equal(br_kv_store_value(&w->stores[0], winner), br_bytes_text("theirs")));
    struct br_kv_write both = put(w, 0, "a", "both", false, p2);
    assert_int_equal(both.past_count, 2);
    assert_false(merge(w, 1, &both, 0).is_conflict);
    assert_int_equal(live_count(w, 1, "a"), 1);
    finish(w);
}

/* Every bound: what does not fit is refused by name, counted, and not covered; a delete always fits. */
static void test_bounds_refuse_and_do_not_cover(void **state)
{
    (void)state;
    struct world *w = &world;
    struct br_kv_past past[BR_KV_PAST_MAX];
    start(w, 1, 2, 1);
    struct br_kv_store *s = &w->stores[1];
    s->limits.keys_max = 2;
    s->limits.bytes_max = 10;
    s->limits.siblings_max = 2;
    struct br_kv_write write = {.key = br_bytes_text("k"), .value = br_bytes_text("123456789"), .dot = {5, 1}};
    (void)merge(w, 1, &write, 0);
    write.dot.counter = 2;
    assert_int_equal(merge(w, 1, &write, BRUIT_EFULL).refusal, BR_KV_BYTES_FULL);
    assert_false(br_kv_context_covers(&s->context, write.dot));
    write.value = br_bytes_text("");
    (void)merge(w, 1, &write, 0);
    write.dot.counter = 3;
    assert_int_equal(merge(w, 1, &write, BRUIT_EFULL).refusal, BR_KV_SIBLINGS_FULL);
    s->limits.bytes_max = 100;
    write.key = br_bytes_text("l");
    (void)merge(w, 1, &write, 0);
    write.key = br_bytes_text("m");
    write.dot.counter = 4;
    assert_int_equal(merge(w, 1, &write, BRUIT_EFULL).refusal, BR_KV_KEYS_FULL);
    s->context.runs_max = 0;
    s->limits.keys_max = 3;
    write.dot.counter = 6;
    assert_int_equal(merge(w, 1, &write, BRUIT_EFULL).refusal, BR_KV_RUNS_FULL);
    s->context.actors_max = 2; /* one is kept for our own */
    write.dot.actor = 6;
    assert_int_equal(merge(w, 1, &write, BRUIT_EFULL).refusal, BR_KV_ACTORS_FULL);
    assert_int_equal(br_kv_context_find(&s->context, 6), BR_KV_ACTOR_NONE);
    for (uint32_t i = BR_KV_KEYS_FULL; i <= BR_KV_RUNS_FULL; i++)
        assert_int_equal(s->stats.refused[i], 1);
    s->limits.bytes_max = 0;
    (void)put(w, 1, "k", "", true, past);
    assert_int_equal(live_count(w, 1, "k"), 0);
    static const uint8_t zeros[BR_KV_VALUE_MAX + 1];
    struct br_kv_put large = {.key = br_bytes_text("k"), .value = br_bytes(zeros, sizeof zeros)};
    struct br_kv_merged merged;
    assert_int_equal(br_kv_store_put(s, &large, 0, &write, past, &merged), BRUIT_ETOOBIG);
    finish(w);
}

/* Who deletes to make room has room once the tombstone is collected, though a cursor may still read of the key. */
static void test_a_deleted_key_makes_room(void **state)
{
    (void)state;
    struct world *w = &world;
    struct br_kv_past past[BR_KV_PAST_MAX];
    start(w, 1, 2, 1);
    struct br_kv_store *s = &w->stores[0];
    s->limits.keys_max = 1;
    (void)put(w, 0, "a", "1", false, past);
    (void)put(w, 0, "a", "", true, past);
    struct br_kv_write write = {.key = br_bytes_text("b"), .dot = {5, 1}};
    assert_int_equal(merge(w, 0, &write, BRUIT_EFULL).refusal, BR_KV_KEYS_FULL);
    w->now += 2 * w->limits.tombstone_ns;
    assert_int_equal(br_kv_store_collect(s, w->now, 1), 1);
    (void)merge(w, 0, &write, 0);
    assert_int_equal(live_count(w, 0, "b"), 1);
    /* The first one's name is still known, and it is a new key when it comes back. */
    assert_int_not_equal(br_kv_store_find(s, br_bytes_text("a")), BR_KV_NONE);
    write = (struct br_kv_write){.key = br_bytes_text("a"), .dot = {5, 2}};
    assert_int_equal(merge(w, 0, &write, BRUIT_EFULL).refusal, BR_KV_KEYS_FULL);
    finish(w);
}

/* Somebody uses our name: we notice, do not believe it, and go on under another. */
static void test_a_write_of_ours_that_we_never_made(void **state)
{
    (void)state;
    struct world *w = &world;
    struct br_kv_past past[BR_KV_PAST_MAX];
    start(w, 1, 2, 1);
    struct br_kv_store *s = &w->stores[0];
    struct br_kv_write write = {.key = br_bytes_text("a"), .dot = {s->actor, UINT64_C(1) << 62}};
    assert_int_equal(merge(w, 0, &write, BRUIT_EINVAL).refusal, BR_KV_NOT_MINE);
    assert_true(s->is_impersonated);
    br_kv_store_be(s, 77, 0);
    assert_false(s->is_impersonated);
    assert_int_equal(put(w, 0, "a", "x", false, past).dot.actor, 77);
    struct br_kv_context forged;
    br_kv_context_init(&forged, &w->alloc, 4, 4, 1);
    struct br_kv_dot dot = {77, 1};
    for (; dot.counter <= 2; dot.counter++) {
        assert_int_equal(br_kv_context_reserve(&forged, &dot, 1), BR_KV_ACCEPTED);
        (void)br_kv_context_add(&forged, dot, 0);
    }
    assert_int_equal(br_kv_store_join(s, &forged, 0), 0);
    br_kv_context_fini(&forged);
    assert_true(s->is_impersonated);
    assert_int_equal(br_kv_context_last(&s->context, 77), 1);
    finish(w);
}

/*
 * A program may have seen writes of ours that a crash took away, and our next ones have their dots: naming them as seen
 * must not make our own next write of the key dead for others.
 */
static void test_what_we_will_write_is_not_seen_yet(void **state)
{
    (void)state;
    struct world *w = &world;
    struct br_kv_past past[BR_KV_PAST_MAX], more[BR_KV_PAST_MAX];
    start(w, 1, 2, 1);
    struct br_kv_dot seen[] = {{w->stores[0].actor, 1}, {w->stores[0].actor, 2}};
    struct br_kv_put first = {
        .key = br_bytes_text("a"), .value = br_bytes_text("1"), .replaces = seen, .replaces_count = 2};
    struct br_kv_write write;
    struct br_kv_merged merged;
    assert_int_equal(br_kv_store_put(&w->stores[0], &first, w->now, &write, past, &merged), 0);
    assert_int_equal(write.past_count, 0);
    struct br_kv_write second = put(w, 0, "a", "2", false, more);
    (void)merge(w, 1, &write, 0);
    (void)merge(w, 1, &second, 0);
    assert_int_equal(live_count(w, 1, "a"), 1);
    assert_int_equal(br_kv_store_root(&w->stores[1]), br_kv_store_root(&w->stores[0]));
    finish(w);
}

/* A cloned disk wrote under the same dot: both sides end with the later stamp. */
static void test_two_writes_of_one_dot(void **state)
{
    (void)state;
    struct world *w = &world;
    start(w, 1, 2, 1);
    struct br_kv_write early = {.key = br_bytes_text("a"), .value = br_bytes_text("1"), .dot = {5, 1}, .hlc = 1};
    struct br_kv_write late = {.key = br_bytes_text("a"), .value = br_bytes_text("2"), .dot = {5, 1}, .hlc = 2};
    (void)merge(w, 0, &early, 0);
    (void)merge(w, 1, &late, 0);
    (void)merge(w, 0, &late, 0);
    (void)merge(w, 1, &early, 0);
    assert_int_equal(br_kv_store_root(&w->stores[0]), br_kv_store_root(&w->stores[1]));
    assert_int_equal(w->stores[0].stats.clashes, 1);
    assert_int_equal(live_count(w, 0, "a"), 1);
    finish(w);
}

/* A cursor sees each change once; one that is too far behind is told so, and where to go on. */
static void test_cursors_see_changes_or_are_told_what_they_missed(void **state)
{
    (void)state;
    struct world *w = &world;
    struct br_kv_past past[BR_KV_PAST_MAX];
    start(w, 1, 2, 1);
    struct br_kv_store *s = &w->stores[0];
    uint64_t cursor = br_kv_store_cursor(s);
    uint64_t slow = cursor;
    struct br_kv_change change;
    assert_int_equal(br_kv_store_change(s, &cursor, &change), BRUIT_ENOENT);
    struct br_kv_write write = put(w, 0, "a", "1", false, past);
    (void)put(w, 0, "a", "", true, past);
    w->now += 2 * w->limits.tombstone_ns;
    assert_int_equal(br_kv_store_collect(s, w->now, 9), 1);
    assert_int_equal(br_kv_store_change(s, &cursor, &change), 0);
    assert_int_equal(change.kind, BR_KV_CHANGE_WRITE);
    assert_true(br_kv_dot_equal(change.dot, write.dot));
    assert_int_equal(br_kv_store_change(s, &cursor, &change), 0);
    assert_int_equal(change.kind, BR_KV_CHANGE_REMOVE);
    /* The key is gone, and its name is still known to who reads of its end. */
    assert_true(br_bytes_equal(br_kv_store_name(s, change.key), br_bytes_text("a")));
    assert_int_equal(br_kv_store_change(s, &cursor, &change), BRUIT_ENOENT);
    for (uint32_t i = 0; i < 4; i++)
        (void)put(w, 0, "b", "x", false, past);
    assert_int_equal(br_kv_store_find(s, br_bytes_text("a")), BR_KV_NONE);
    assert_int_equal(br_kv_store_change(s, &slow, &change), BRUIT_ERESET);
    assert_int_equal(slow, 3);
    assert_int_equal(br_kv_store_change(s, &slow, &change), 0);
    finish(w);
}

/* A store that was away for too long forgets everything, takes another name, and says so to who was watching. */
static void test_a_reset_store_begins_anew(void **state)
{
    (void)state;
    struct world *w = &world;
    struct br_kv_past past[BR_KV_PAST_MAX];
    struct br_kv_change change;
    start(w, 1, 2, 1);
    struct br_kv_store *s = &w->stores[0];
    struct br_kv_write old = put(w, 0, "a", "1", false, past);
    (void)put(w, 0, "b", "", false, past);
    uint64_t cursor = br_kv_store_cursor(s);
    br_kv_store_reset(s, 4711);
    assert_int_equal(br_kv_store_root(s), 0);
    assert_int_equal(s->bytes, 0);
    assert_int_equal(br_kv_store_walk(s, br_bytes_text(""), true), BR_KV_NONE);
    assert_false(br_kv_context_covers(&s->context, old.dot));
    assert_int_equal(br_kv_store_change(s, &cursor, &change), BRUIT_ERESET);
    assert_int_equal(br_kv_store_change(s, &cursor, &change), BRUIT_ENOENT);
    struct br_kv_write fresh = put(w, 0, "a", "2", false, past);
    assert_true(br_kv_dot_equal(fresh.dot, (struct br_kv_dot){4711, 1}));
    assert_int_equal(br_kv_store_change(s, &cursor, &change), 0);
    br_kv_store_be(s, 4712, 9);
    assert_int_equal(put(w, 0, "a", "3", false, past).dot.counter, 10);
    br_kv_store_be(s, 4711, 0); /* what the store holds of an actor counts, too */
    assert_int_equal(put(w, 0, "a", "4", false, past).dot.counter, 2);
    finish(w);
}

/* What expires has an alarm; what has an owner is found by it; both are told with what is left. */
static void test_lifetimes(void **state)
{
    (void)state;
    struct world *w = &world;
    struct br_kv_past past[BR_KV_PAST_MAX];
    struct br_kv_merged merged;
    struct br_kv_write write;
    start(w, 1, 2, 1);
    struct br_kv_store *s = &w->stores[0];
    w->now = BRUIT_SECOND;
    struct br_kv_put timed = {.key = br_bytes_text("t"), .life = BR_KV_EXPIRES, .ttl_ms = 1000};
    struct br_kv_put owned = {.key = br_bytes_text("o"), .life = BR_KV_OWNED, .owner = br_bytes_text("n1")};
    assert_int_equal(br_kv_store_put(s, &timed, w->now, &write, past, &merged), 0);
    assert_int_equal(br_kv_store_put(s, &owned, w->now, &write, past, &merged), 0);
    assert_int_equal(br_kv_store_next_alarm(s), 2 * BRUIT_SECOND);
    assert_int_equal(br_kv_store_pop_alarm(s, 2 * BRUIT_SECOND - 1), BR_KV_NONE);
    uint32_t sibling = br_kv_store_first(s, br_kv_store_find(s, br_bytes_text("t")));
    br_kv_store_tell(s, sibling, w->now + 400 * BRUIT_MILLISECOND, &write, past);
    assert_int_equal(write.ttl_ms, 600);
    assert_int_equal(br_kv_store_pop_alarm(s, 2 * BRUIT_SECOND), sibling);
    br_kv_store_tell(s, sibling, 9 * BRUIT_SECOND, &write, past);
    assert_int_equal(write.ttl_ms, 1);
    assert_int_equal(br_kv_store_set_alarm(s, sibling, 5 * BRUIT_SECOND), 0);
    assert_int_equal(br_kv_store_pop_alarm(s, 5 * BRUIT_SECOND), sibling);
    assert_int_equal(br_kv_store_pop_alarm(s, BRUIT_NEVER - 1), BR_KV_NONE);
    uint32_t cursor = 0;
    uint32_t found = br_kv_store_walk_owned(s, &cursor, br_bytes_text("n1"), 100);
    assert_int_equal(found, br_kv_store_first(s, br_kv_store_find(s, br_bytes_text("o"))));
    assert_int_equal(br_kv_store_walk_owned(s, &cursor, br_bytes_text("n1"), 100), BR_KV_NONE);
    assert_int_equal(cursor, BR_KV_NONE);
    cursor = 0;
    assert_int_equal(br_kv_store_walk_owned(s, &cursor, br_bytes_text("n2"), 100), BR_KV_NONE);
    finish(w);
}

/* A store of many keys: the tree grows, its sums stay what they were, names come in order, all can be taken away. */
static void test_many_keys(void **state)
{
    (void)state;
    struct world *w = &world;
    start(w, 1, 2, 1);
    struct br_rng rng;
    br_rng_init(&rng, 5, "many");
    uint64_t root = 0;
    char name[32];
    for (uint32_t i = 0; i < 10000; i++) {
        snprintf(name, sizeof name, "%08x", br_rng_below(&rng, 1 << 30));
        struct br_kv_write write = {.key = br_bytes_string(name), .dot = {9, i + 1}};
        (void)merge(w, 0, &write, 0);
        root ^= br_kv_sibling_hash(br_kv_hash(write.key), write.dot, 0);
    }
    struct br_kv_store *s = &w->stores[0];
    assert_int_equal(br_kv_store_root(s), root);
    assert_int_equal(s->tree.depth, 3);
    check_order(s);
    struct br_kv_sum sum = {0};
    for (uint32_t i = 0; i < 256; i++) {
        struct br_kv_path path = br_kv_path_child(br_kv_path_child((struct br_kv_path){0}, i / 16), i % 16);
        uint32_t keys[BR_KV_LEAVES_MAX];
        uint32_t count = br_kv_store_below(s, path, keys, BR_KV_LEAVES_MAX);
        assert_true(count > 0 && count <= BR_KV_LEAVES_MAX);
        for (uint32_t j = 1; j < count; j++)
            assert_true(br_kv_store_key(s, keys[j - 1])->hash < br_kv_store_key(s, keys[j])->hash);
        sum.sum ^= br_kv_store_sum(s, path).sum;
        sum.count += count;
    }
    assert_int_equal(sum.sum, root);
    assert_int_equal(sum.count, s->live_keys);
    for (uint32_t key; (key = br_kv_store_walk(s, br_bytes_text(""), true)) != BR_KV_NONE;) {
        struct br_kv_past past = {br_kv_store_dot(s, br_kv_store_first(s, key)), false};
        struct br_kv_write write = {.key = br_kv_store_name(s, key),
                                    .is_delete = true,
                                    .dot = {10, s->live_keys},
                                    .past = &past,
                                    .past_count = 1};
        (void)merge(w, 0, &write, 0);
    }
    assert_int_equal(br_kv_store_root(s), 0);
    (void)br_kv_store_collect(s, BRUIT_NEVER - 1, UINT32_MAX);
    assert_true(br_kv_slots_count(&s->keys) <= w->limits.changes_max);
    assert_int_equal(br_kv_slots_count(&s->siblings), 0);
    finish(w);
}

static void add_dots(struct world *w, struct br_kv_context *c, uint64_t actor, uint64_t from, uint64_t to)
{
    for (struct br_kv_dot dot = {actor, from}; dot.counter <= to; dot.counter++) {
        assert_int_equal(br_kv_context_reserve(c, &dot, 1), BR_KV_ACCEPTED);
        (void)br_kv_context_add(c, dot, w->now);
    }
}

/* A retired actor still covers; others retire it, too, unless they know more of it; new writes bring it back. */
static void test_actors_retire(void **state)
{
    (void)state;
    struct world *w = &world;
    start(w, 1, 2, 1);
    struct br_kv_context a, b;
    br_kv_context_init(&a, &w->alloc, 8, 8, 1);
    br_kv_context_init(&b, &w->alloc, 8, 8, 2);
    add_dots(w, &a, 5, 1, 3);
    add_dots(w, &b, 5, 1, 3);
    add_dots(w, &a, 6, 1, 1);
    add_dots(w, &b, 6, 1, 1);
    assert_int_equal(br_kv_context_digest(&a), br_kv_context_digest(&b));
    w->now = 100;
    assert_true(br_kv_context_retire(&a, 5, w->now));
    assert_false(br_kv_context_retire(&a, 5, w->now));
    assert_int_not_equal(br_kv_context_digest(&a), br_kv_context_digest(&b));
    assert_int_equal(br_kv_context_actors_digest(&a), br_kv_context_actors_digest(&b));
    assert_true(br_kv_context_covers(&a, (struct br_kv_dot){5, 3}));
    assert_int_equal(br_kv_context_join(&b, &a, 0, w->now), BR_KV_ACCEPTED);
    assert_int_equal(br_kv_context_digest(&a), br_kv_context_digest(&b));
    /* It is back: b sees a new write, and a's old news does not retire it again; a learns from b. */
    add_dots(w, &b, 5, 4, 4);
    assert_int_equal(br_kv_context_join(&b, &a, 0, w->now), BR_KV_ACCEPTED);
    assert_int_not_equal(br_kv_context_digest(&a), br_kv_context_digest(&b));
    assert_int_equal(br_kv_context_join(&a, &b, 0, w->now), BR_KV_ACCEPTED);
    assert_int_equal(br_kv_context_digest(&a), br_kv_context_digest(&b));
    assert_int_equal(br_kv_context_forget(&a, 1000), 0);
    /* Forgotten, it is not made known again by somebody who has it retired. */
    assert_true(br_kv_context_retire(&a, 5, w->now));
    assert_true(br_kv_context_retire(&b, 5, w->now));
    assert_int_equal(br_kv_context_forget(&a, w->now), 0);
    assert_int_equal(br_kv_context_forget(&a, w->now + 1), 1);
    assert_int_equal(br_kv_context_join(&a, &b, 0, w->now), BR_KV_ACCEPTED);
    assert_int_equal(br_kv_context_find(&a, 5), BR_KV_ACTOR_NONE);
    assert_int_equal(br_kv_context_digest(&a), br_kv_context_digest(&b));
    br_kv_context_fini(&a);
    br_kv_context_fini(&b);
    finish(w);
}

/*
 * Others may forget an actor that has nothing left; it does not forget itself, or its next write would seem to come
 * after a gap that nobody can fill, to itself and to everybody.
 */
static void test_nobody_forgets_himself(void **state)
{
    (void)state;
    struct world *w = &world;
    struct br_kv_past past[BR_KV_PAST_MAX];
    struct br_kv_store *a = &w->stores[0], *b = &w->stores[1];
    start(w, 1, 2, 1);
    (void)put(w, 0, "a", "1", false, past);
    (void)put(w, 0, "a", "", true, past);
    w->now += 10 * w->limits.tombstone_ns;
    assert_int_equal(br_kv_store_collect(a, w->now, 10), 1);
    assert_true(br_kv_context_retire(&a->context, a->actor, w->now));
    assert_int_equal(br_kv_context_forget(&a->context, w->now + 1), 0);
    struct br_kv_write third = put(w, 0, "a", "3", false, past);
    assert_true(br_kv_context_covers_all(&a->context, third.dot));
    assert_true(merge(w, 1, &third, 0).has_gap); /* it has forgotten, or never known */
    assert_int_equal(br_kv_store_join(b, &a->context, w->now), 0);
    assert_int_equal(br_kv_context_gaps(&b->context), 0);
    finish(w);
}

/* Random sets of dots, against plain bits: adding, uniting, and through bytes with and without names. */
static void test_contexts_against_bits(void **state)
{
    (void)state;
    struct world *w = &world;
    struct br_rng rng;
    br_rng_init(&rng, test_seed(), "contexts");
    start(w, 1, 2, 1);
    for (uint32_t round = 0; round < 300; round++) {
        struct br_kv_context c[3];
        bool bits[2][4][40] = {{{false}}};
        for (uint32_t i = 0; i < 3; i++)
            br_kv_context_init(&c[i], &w->alloc, 8, 200, i);
        uint32_t count = br_rng_below(&rng, 120);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t which = br_rng_below(&rng, 2), actor = br_rng_below(&rng, 4), at = 1 + br_rng_below(&rng, 38);
            add_dots(w, &c[which], 100 - actor, at, at);
            bits[which][actor][at] = true;
        }
        for (uint32_t join = 0; join < 2; join++) {
            for (uint32_t which = 0; which < 2; which++)
                for (uint32_t actor = 0; actor < 4; actor++)
                    for (uint32_t at = 1; at < 40; at++)
                        assert_int_equal(br_kv_context_covers(&c[which], (struct br_kv_dot){100 - actor, at}),
                                         bits[which][actor][at]);
            uint8_t bytes[BYTES_MAX];
            struct br_writer writer;
            bool has_names = br_rng_below(&rng, 2) == 0;
            br_writer_init(&writer, bytes, sizeof bytes);
            br_kv_context_encode(&c[0], &writer, has_names);
            assert_true(br_writer_size(&writer) <= br_kv_context_size_max(&c[0]));
            size_t in_use = w->memory.in_use;
            for (uint64_t n = 1;; n++) {
                w->memory.fail_at = w->memory.count + n;
                int status = br_kv_context_decode(&c[2], br_writer_bytes(&writer), &c[0]);
                if (w->memory.count < w->memory.fail_at) {
                    assert_int_equal(status, 0);
                    break;
                }
                assert_int_equal(status, BRUIT_ENOMEM);
                assert_int_equal(w->memory.in_use, in_use);
            }
            w->memory.fail_at = 0;
            assert_int_equal(br_kv_context_digest(&c[2]), br_kv_context_digest(&c[0]));
            if (!has_names && c[0].actor_count > 0) {
                struct br_kv_context other;
                br_kv_context_init(&other, &w->alloc, 8, 200, 3);
                assert_int_equal(br_kv_context_decode(&other, br_writer_bytes(&writer), NULL), BRUIT_EFORMAT);
            }
            br_kv_context_fini(&c[2]);
            assert_int_equal(br_kv_context_join(&c[0], &c[1], 0, 0), BR_KV_ACCEPTED);
            for (uint32_t actor = 0; actor < 4; actor++)
                for (uint32_t at = 0; at < 40; at++)
                    bits[0][actor][at] = bits[0][actor][at] || bits[1][actor][at];
        }
        for (uint32_t i = 0; i < 3; i++)
            br_kv_context_fini(&c[i]);
    }
    finish(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_prefix_stands_in_for_what_was_lost),
        cmocka_unit_test(test_what_is_pending_outlives_its_sibling),
        cmocka_unit_test(test_a_comparison_gets_through_a_full_past),
        cmocka_unit_test(test_a_write_that_is_here_may_tell_more),
        cmocka_unit_test(test_a_buried_sibling_is_gone_for_others_too),
        cmocka_unit_test(test_our_own_actor_has_its_place),
        cmocka_unit_test(test_two_writers_make_siblings_and_a_third_resolves_them),
        cmocka_unit_test(test_bounds_refuse_and_do_not_cover),
        cmocka_unit_test(test_a_deleted_key_makes_room),
        cmocka_unit_test(test_a_write_of_ours_that_we_never_made),
        cmocka_unit_test(test_what_we_will_write_is_not_seen_yet),
        cmocka_unit_test(test_two_writes_of_one_dot),
        cmocka_unit_test(test_cursors_see_changes_or_are_told_what_they_missed),
        cmocka_unit_test(test_a_reset_store_begins_anew),
        cmocka_unit_test(test_lifetimes),
        cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_actors_retire),
        cmocka_unit_test(test_nobody_forgets_himself),
        cmocka_unit_test(test_contexts_against_bits),
        cmocka_unit_test_teardown(test_histories_end_as_the_oracle_says, say_last),
        cmocka_unit_test_teardown(test_messages_alone_suffice, say_last),
        cmocka_unit_test_teardown(test_refused_memory_changes_nothing, say_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
