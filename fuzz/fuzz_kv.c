/*
 * Replicated state from hostile bytes: every decoder, and whatever is read is written back the same; then the same
 * bytes as a history of two small stores, whose books must be right after every step and which must agree in the end.
 */
#include "fuzz.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"
#include "codec/kv.h"
#include "module/kv_store.h"

#include <stdlib.h>
#include <string.h>

#define IN_MAX 8192
#define OUT_MAX (1u << 17)

static uint8_t out[OUT_MAX];

static struct br_writer writer;

/* What was written is what was read, byte by byte: there is one form of each thing. */
static void check_same(const uint8_t *from, const struct br_reader *r)
{
    if (r->failed)
        return;
    BR_ASSERT(!writer.failed);
    struct bruit_bytes written = br_writer_bytes(&writer);
    BR_ASSERT(br_bytes_equal(br_bytes(from, (size_t)(r->at - from)), written));
}

/* Reads one thing, writes it, compares; a failed reader has read nothing to be written. */
#define ROUND(read, write)                          \
    do {                                            \
        const uint8_t *from = r->at;                \
        br_writer_init(&writer, out, sizeof out);   \
        read;                                       \
        if (!r->failed) {                           \
            write;                                  \
        }                                           \
        check_same(from, r);                        \
    } while (0)

static void take_item(struct br_reader *r, struct bruit_bytes key)
{
    struct br_kv_write write;
    struct br_kv_past past[BR_KV_PAST_MAX];
    ROUND(br_kv_read_item(r, key, &write, past), br_kv_write_item(&writer, &write, key.data == NULL));
    if (!r->failed)
        BR_ASSERT(br_writer_size(&writer) <= br_kv_item_size_max(&write));
}

static void take_keys(struct br_reader *r)
{
    while (br_reader_left(r) > 0) {
        struct br_kv_key_head head;
        struct br_kv_dot gone[BR_KV_SIBLINGS_MAX];
        ROUND(br_kv_read_key_head(r, &head, gone), br_kv_write_key_head(&writer, &head));
        for (uint32_t i = 0; !r->failed && i < head.sibling_count; i++)
            take_item(r, head.key);
    }
}

static void take_wants(struct br_reader *r)
{
    while (br_reader_left(r) > 0) {
        struct br_kv_want want;
        struct br_kv_dot dots[BR_KV_SIBLINGS_MAX];
        ROUND(br_kv_read_want(r, &want, dots), br_kv_write_want(&writer, &want));
    }
}

static void take_branches(struct br_reader *r)
{
    while (br_reader_left(r) > 0) {
        struct br_kv_branch branch;
        ROUND(br_kv_read_branch(r, &branch), br_kv_write_branch(&writer, &branch));
    }
}

static void take_leaves(struct br_reader *r)
{
    while (br_reader_left(r) > 0) {
        struct br_kv_leaf_head head;
        ROUND(br_kv_read_leaf_head(r, &head), br_kv_write_leaf_head(&writer, &head));
        for (uint32_t i = 0; !r->failed && i < head.key_count; i++) {
            struct br_kv_leaf leaf;
            ROUND(br_kv_read_leaf(r, head.path, &leaf), br_kv_write_leaf(&writer, head.path, &leaf));
        }
    }
}

static void take_context(struct br_alloc *alloc, struct bruit_bytes in)
{
    struct br_kv_context c, again;
    br_kv_context_init(&c, alloc, 64, 256, 1);
    br_kv_context_init(&again, alloc, 64, 256, 2);
    if (br_kv_context_decode(&c, in, NULL) == 0) {
        br_writer_init(&writer, out, sizeof out);
        br_kv_context_encode(&c, &writer, true);
        BR_ASSERT(br_bytes_equal(in, br_writer_bytes(&writer)));
        BR_ASSERT(br_writer_size(&writer) <= br_kv_context_size_max(&c));
        /* Joining it twice is joining it once, and what is retired makes nobody known. */
        BR_ASSERT(br_kv_context_join(&again, &c, 0, 1) == BR_KV_ACCEPTED);
        BR_ASSERT(br_kv_context_digest(&again) == br_kv_context_digest(&c));
        BR_ASSERT(br_kv_context_join(&again, &c, 0, 1) == BR_KV_ACCEPTED);
        BR_ASSERT(br_kv_context_digest(&again) == br_kv_context_digest(&c));
        br_writer_init(&writer, out, sizeof out);
        br_kv_context_encode(&c, &writer, false);
        br_kv_context_fini(&again);
        BR_ASSERT(br_kv_context_decode(&again, br_writer_bytes(&writer), &c) == 0);
        BR_ASSERT(br_kv_context_digest(&again) == br_kv_context_digest(&c));
    }
    br_kv_context_fini(&c);
    br_kv_context_fini(&again);
}

static void take_message(struct br_alloc *alloc, struct bruit_bytes in)
{
    struct br_reader reader, *r = &reader;
    br_reader_init(r, in);
    enum br_kv_kind kind = br_kv_read_head(r);
    struct br_kv_session session;
    if (kind >= BR_KV_WANT)
        ROUND(br_kv_read_session(r, &session), br_kv_write_session(&writer, &session));
    struct br_kv_tell tell;
    struct br_kv_announce announce;
    struct br_kv_ack ack;
    struct br_kv_digest digest;
    switch (kind) {
    case BR_KV_WRITE:
        ROUND(br_kv_read_tell(r, &tell), br_kv_write_tell(&writer, &tell));
        take_item(r, br_bytes(NULL, 0));
        break;
    case BR_KV_ANNOUNCE: ROUND(br_kv_read_announce(r, &announce), br_kv_write_announce(&writer, &announce)); break;
    case BR_KV_ACK: ROUND(br_kv_read_ack(r, &ack), br_kv_write_ack(&writer, &ack)); break;
    case BR_KV_WANT: take_wants(r); break;
    case BR_KV_KEYS: take_keys(r); break;
    case BR_KV_DIGEST: ROUND(br_kv_read_digest(r, &digest), br_kv_write_digest(&writer, &digest)); break;
    case BR_KV_CONTEXT: take_context(alloc, br_reader_rest(r)); break;
    case BR_KV_BRANCHES: take_branches(r); break;
    case BR_KV_LEAVES: take_leaves(r); break;
    default: break;
    }
}

static void take_records(struct bruit_bytes in)
{
    struct br_reader reader, *r = &reader;
    struct br_kv_key_record key;
    struct br_kv_actor_record actor;
    br_reader_init(r, in);
    ROUND(br_kv_read_key_record(r, &key), br_kv_write_key_record(&writer, &key));
    br_reader_init(r, in);
    ROUND(br_kv_read_actor_record(r, &actor), br_kv_write_actor_record(&writer, &actor));
}

/* ---- two stores ---------------------------------------------------------------------------------------- */

struct world {
    struct br_kv_store stores[2];
    struct br_alloc *alloc;
    bruit_time now;
};

static void check_books(const struct br_kv_store *s)
{
    uint64_t root = 0, bytes = 0;
    uint32_t live = 0, graves = 0, empty = 0;
    for (uint32_t i = 0; i < s->keys.used; i++) {
        const struct br_kv_key *key = br_kv_store_key(s, i);
        if (key->name_size == 0)
            continue;
        BR_ASSERT(key->sibling_count <= s->limits.siblings_max);
        bytes += key->name_size;
        empty += key->sibling_count == 0;
        for (uint32_t at = key->first; at != BR_KV_NONE; at = br_kv_store_next(s, at)) {
            const struct br_kv_sibling *sibling = br_kv_store_sibling(s, at);
            BR_ASSERT(br_kv_context_covers(&s->context, br_kv_store_dot(s, at)));
            bytes += sibling->value_size + sibling->owner_size;
            graves += sibling->is_delete;
            live += !sibling->is_delete;
            if (!sibling->is_delete)
                root ^= br_kv_sibling_hash(key->hash, br_kv_store_dot(s, at), sibling->hlc);
        }
    }
    BR_ASSERT(root == br_kv_store_root(s));
    BR_ASSERT(bytes == s->bytes);
    BR_ASSERT(live == s->live_siblings);
    BR_ASSERT(graves == s->grave_count);
    BR_ASSERT(empty == s->empty_keys);
    BR_ASSERT(br_kv_slots_count(&s->keys) - empty <= s->limits.keys_max);
    BR_ASSERT(empty <= s->limits.changes_max);
}

/* One store takes a key as the other holds it. */
static int take_over(struct world *w, uint32_t to, struct bruit_bytes name, bool by_context)
{
    const struct br_kv_store *from = &w->stores[1 - to];
    static struct br_kv_past pasts[BR_KV_SIBLINGS_MAX][BR_KV_PAST_MAX];
    struct br_kv_write writes[BR_KV_SIBLINGS_MAX];
    struct br_kv_dot dots[BR_KV_SIBLINGS_MAX], gone[BR_KV_SIBLINGS_MAX];
    struct br_kv_state state = {.key = name, .writes = writes, .gone = gone};
    uint32_t here = br_kv_store_find(&w->stores[to], name);
    uint32_t there = br_kv_store_find(from, name);
    uint32_t count = 0;
    for (uint32_t at = here == BR_KV_NONE ? BR_KV_NONE : br_kv_store_first(&w->stores[to], here); at != BR_KV_NONE;
         at = br_kv_store_next(&w->stores[to], at))
        dots[count++] = br_kv_store_dot(&w->stores[to], at);
    state.gone_count = by_context ? 0 : br_kv_store_gone(from, there, dots, count, gone);
    state.context = by_context ? &from->context : NULL;
    for (uint32_t at = there == BR_KV_NONE ? BR_KV_NONE : br_kv_store_first(from, there); at != BR_KV_NONE;
         at = br_kv_store_next(from, at), state.write_count++)
        br_kv_store_tell(from, at, w->now, &writes[state.write_count], pasts[state.write_count]);
    struct br_kv_merged merged;
    return br_kv_store_merge_key(&w->stores[to], &state, w->now, &merged);
}

static int take_all(struct world *w, uint32_t to, bool by_context)
{
    for (uint32_t which = 0; which < 2; which++) {
        const struct br_kv_store *names = &w->stores[which];
        uint8_t name[BR_KV_KEY_MAX];
        size_t size = 0;
        for (;;) {
            uint32_t key = br_kv_store_walk(names, br_bytes(name, size), false);
            if (key == BR_KV_NONE)
                break;
            size = br_kv_store_name(names, key).size;
            memcpy(name, br_kv_store_name(names, key).data, size);
            if (take_over(w, to, br_bytes(name, size), by_context) != 0)
                return -1;
        }
    }
    return br_kv_store_join(&w->stores[to], &w->stores[1 - to].context, w->now);
}

static void put_something(struct world *w, uint32_t which, uint8_t dice)
{
    static const uint8_t value[256];
    const uint8_t name = 'a' + dice % 4;
    struct br_kv_put put = {.key = br_bytes(&name, 1),
                            .value = br_bytes(value, dice),
                            .life = (enum br_kv_life)(dice % 3),
                            .ttl_ms = dice % 3 == BR_KV_EXPIRES,
                            .owner = br_bytes(value, dice % 3 == BR_KV_OWNED),
                            .hlc = dice,
                            .replaces_all = dice % 5 > 0};
    if (dice % 7 == 0) {
        put.is_delete = true;
        put.life = BR_KV_FOREVER;
        put.value.size = put.owner.size = 0;
        put.ttl_ms = 0;
    }
    struct br_kv_write write;
    struct br_kv_past past[BR_KV_PAST_MAX];
    struct br_kv_merged merged;
    (void)br_kv_store_put(&w->stores[which], &put, w->now, &write, past, &merged); /* refused is fine */
}

/* A byte says what and where, the bytes behind it how. */
static void live(struct world *w, struct br_reader *r)
{
    while (br_reader_left(r) > 0) {
        uint8_t act = br_read_u8(r);
        uint32_t which = act & 1;
        struct br_kv_store *s = &w->stores[which];
        struct br_kv_write write;
        struct br_kv_past past[BR_KV_PAST_MAX];
        struct br_kv_merged merged;
        w->now += act * BRUIT_MILLISECOND;
        switch (act >> 1 & 7) {
        case 0: put_something(w, which, br_read_u8(r)); break;
        case 1: (void)take_all(w, which, (act & 16) != 0); break; /* refused is fine */
        case 2: (void)br_kv_store_collect(s, w->now, act >> 4); break;
        case 3: (void)br_kv_store_pop_alarm(s, w->now); break;
        default:
            br_kv_read_item(r, br_bytes(NULL, 0), &write, past);
            if (r->failed)
                return;
            int status = br_kv_store_merge(s, &write, w->now, &merged);
            BR_ASSERT((status == 0) == (merged.refusal == BR_KV_ACCEPTED));
            BR_ASSERT(status != 0 || br_kv_context_covers(&s->context, write.dot));
        }
        check_books(s);
    }
}

static void check_agreement(struct world *w)
{
    for (uint32_t i = 0; i < 4; i++)
        if (take_all(w, i % 2, i < 2) != 0)
            return;
    check_books(&w->stores[0]);
    check_books(&w->stores[1]);
    if (w->stores[0].is_impersonated || w->stores[1].is_impersonated)
        return;
    BR_ASSERT(br_kv_store_root(&w->stores[0]) == br_kv_store_root(&w->stores[1]));
    BR_ASSERT(br_kv_context_digest(&w->stores[0].context) == br_kv_context_digest(&w->stores[1].context));
}

static void take_history(struct br_alloc *alloc, struct bruit_bytes in)
{
    static const uint64_t secret[2] = {3, 4};
    struct br_kv_limits limits = {.keys_max = 12,
                                  .bytes_max = 2048,
                                  .siblings_max = 6,
                                  .actors_max = 12,
                                  .runs_max = 24,
                                  .changes_max = 4,
                                  .tombstone_ns = BRUIT_SECOND};
    struct world w = {.alloc = alloc};
    for (uint32_t i = 0; i < 2; i++)
        br_kv_store_init(&w.stores[i], alloc, &limits, i + 1, secret);
    struct br_reader r;
    br_reader_init(&r, in);
    live(&w, &r);
    check_agreement(&w);
    for (uint32_t i = 0; i < 2; i++)
        br_kv_store_fini(&w.stores[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bruit_bytes in = br_bytes(data, size < IN_MAX ? size : IN_MAX);
    struct br_alloc alloc;
    br_alloc_init(&alloc, NULL, 16u << 20);
    take_message(&alloc, in);
    take_records(in);
    take_history(&alloc, in);
    BR_ASSERT(alloc.in_use == 0);
    return 0;
}
