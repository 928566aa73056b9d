/*
 * Messages and records of replicated state; see kv.h for the formats. Reader and writer of each thing stand side by
 * side, fields in the same order.
 *
 *   item   tag (bit 0 delete, 1-2 life, 3 past follows; the rest 0), [key size, key], dot, hlc (8 bytes),
 *          [count, then of each: tag (bit 0 prefix, 1 the write's own actor), [actor], counter],
 *          [ttl], [owner size (1 byte), owner], unless it is a delete: value size, value
 */
#include "codec/kv.h"

#define ITEM_DELETE 1u
#define ITEM_LIFE_SHIFT 1
#define ITEM_LIFE_MASK 3u
#define ITEM_PAST 8u
#define ITEM_KNOWN 15u

#define PAST_PREFIX 1u
#define PAST_OWN 2u

#define NUMBER_SIZE_MAX 10
#define DOT_SIZE_MAX (8 + NUMBER_SIZE_MAX)

bool br_kv_dot_equal(struct br_kv_dot a, struct br_kv_dot b)
{
    return a.actor == b.actor && a.counter == b.counter;
}

int br_kv_dot_compare(struct br_kv_dot a, struct br_kv_dot b)
{
    if (a.actor != b.actor)
        return a.actor < b.actor ? -1 : 1;
    return (a.counter > b.counter) - (a.counter < b.counter);
}

int br_kv_write_compare(uint64_t hlc_a, struct br_kv_dot a, uint64_t hlc_b, struct br_kv_dot b)
{
    if (hlc_a != hlc_b)
        return hlc_a < hlc_b ? -1 : 1;
    return br_kv_dot_compare(a, b);
}

/* ---- paths --------------------------------------------------------------------------------------------- */

#define PATH_DEPTH_MAX 16

static uint64_t path_mask(uint8_t depth)
{
    return depth == 0 ? 0 : UINT64_MAX << (64 - 4 * depth);
}

struct br_kv_path br_kv_path_child(struct br_kv_path path, uint32_t child)
{
    uint64_t half = (uint64_t)child << (60 - 4 * path.depth);
    return (struct br_kv_path){.prefix = path.prefix | half, .depth = (uint8_t)(path.depth + 1)};
}

bool br_kv_path_has(struct br_kv_path path, uint64_t hash)
{
    return ((path.prefix ^ hash) & path_mask(path.depth)) == 0;
}

/* ---- primitives ---------------------------------------------------------------------------------------- */

/* One form for each number: a last byte of 0 behind others would be a second one. */
uint64_t br_kv_read_number(struct br_reader *r, uint64_t max)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = br_read_u8(r);
        uint64_t bits = byte & 0x7f;
        bool is_last = (byte & 0x80) == 0;
        if ((shift == 63 && bits > 1) || (is_last && byte == 0 && shift > 0))
            break;
        v |= bits << shift;
        if (!is_last)
            continue;
        if (v > max)
            break;
        return v;
    }
    br_reader_fail(r);
    return 0;
}

void br_kv_write_number(struct br_writer *w, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        br_write_u8(w, (uint8_t)(v | 0x80));
    br_write_u8(w, (uint8_t)v);
}

/* Counters begin with 1. */
static uint64_t read_counter(struct br_reader *r)
{
    uint64_t counter = br_kv_read_number(r, BR_KV_COUNTER_MAX);
    if (counter == 0)
        br_reader_fail(r);
    return counter;
}

void br_kv_read_dot(struct br_reader *r, struct br_kv_dot *dot)
{
    dot->actor = br_read_u64(r);
    dot->counter = read_counter(r);
    if (dot->actor == 0)
        br_reader_fail(r);
}

void br_kv_write_dot(struct br_writer *w, struct br_kv_dot dot)
{
    br_write_u64(w, dot.actor);
    br_kv_write_number(w, dot.counter);
}

/* Bytes with their size in front, between `min` and `max`. */
static struct bruit_bytes read_sized(struct br_reader *r, size_t min, size_t max)
{
    size_t size = (size_t)br_kv_read_number(r, max);
    if (size < min)
        br_reader_fail(r);
    return br_read_bytes(r, size);
}

static void write_sized(struct br_writer *w, struct bruit_bytes bytes)
{
    br_kv_write_number(w, bytes.size);
    br_write_bytes(w, bytes);
}

/* `count` dots, which is read first. */
static uint32_t read_dots(struct br_reader *r, struct br_kv_dot *dots)
{
    uint32_t count = (uint32_t)br_kv_read_number(r, BR_KV_SIBLINGS_MAX);
    for (uint32_t i = 0; i < count; i++)
        br_kv_read_dot(r, &dots[i]);
    return r->failed ? 0 : count;
}

static void write_dots(struct br_writer *w, const struct br_kv_dot *dots, uint32_t count)
{
    br_kv_write_number(w, count);
    for (uint32_t i = 0; i < count; i++)
        br_kv_write_dot(w, dots[i]);
}

/* ---- items --------------------------------------------------------------------------------------------- */

static void read_past(struct br_reader *r, uint64_t own, struct br_kv_past *past)
{
    uint8_t tag = br_read_u8(r);
    if (tag > (PAST_PREFIX | PAST_OWN))
        br_reader_fail(r);
    past->is_prefix = (tag & PAST_PREFIX) != 0;
    past->dot.actor = (tag & PAST_OWN) != 0 ? own : br_read_u64(r);
    past->dot.counter = read_counter(r);
    if (past->dot.actor == 0)
        br_reader_fail(r);
}

static void write_past(struct br_writer *w, uint64_t own, const struct br_kv_past *past)
{
    bool is_own = past->dot.actor == own;
    br_write_u8(w, (uint8_t)((past->is_prefix ? PAST_PREFIX : 0) | (is_own ? PAST_OWN : 0)));
    if (!is_own)
        br_write_u64(w, past->dot.actor);
    br_kv_write_number(w, past->dot.counter);
}

static void read_life(struct br_reader *r, struct br_kv_write *write)
{
    if (write->life == BR_KV_EXPIRES)
        write->ttl_ms = br_kv_read_number(r, UINT64_MAX);
    if (write->life == BR_KV_OWNED)
        write->owner = read_sized(r, 1, BRUIT_NAME_MAX);
}

static void write_life(struct br_writer *w, const struct br_kv_write *write)
{
    if (write->life == BR_KV_EXPIRES)
        br_kv_write_number(w, write->ttl_ms);
    if (write->life == BR_KV_OWNED)
        write_sized(w, write->owner);
}

void br_kv_read_item(struct br_reader *r, struct bruit_bytes key, struct br_kv_write *write,
                     struct br_kv_past *past)
{
    *write = (struct br_kv_write){.key = key, .past = past};
    uint8_t tag = br_read_u8(r);
    unsigned life = tag >> ITEM_LIFE_SHIFT & ITEM_LIFE_MASK;
    write->is_delete = (tag & ITEM_DELETE) != 0;
    write->life = (enum br_kv_life)life;
    if (tag > ITEM_KNOWN || life > BR_KV_OWNED || (write->is_delete && life != BR_KV_FOREVER))
        br_reader_fail(r);
    if (key.data == NULL)
        write->key = read_sized(r, 1, BR_KV_KEY_MAX);
    br_kv_read_dot(r, &write->dot);
    write->hlc = br_read_u64(r);
    uint32_t count = (tag & ITEM_PAST) != 0 ? (uint32_t)br_kv_read_number(r, BR_KV_PAST_MAX) : 0;
    for (uint32_t i = 0; i < count && !r->failed; i++)
        read_past(r, write->dot.actor, &past[i]);
    write->past_count = r->failed ? 0 : count;
    if ((tag & ITEM_PAST) != 0 && count == 0)
        br_reader_fail(r);
    read_life(r, write);
    if (!write->is_delete)
        write->value = read_sized(r, 0, BR_KV_VALUE_MAX);
}

void br_kv_write_item(struct br_writer *w, const struct br_kv_write *write, bool has_key)
{
    unsigned tag = (unsigned)write->life << ITEM_LIFE_SHIFT;
    tag |= write->is_delete ? ITEM_DELETE : 0;
    tag |= write->past_count > 0 ? ITEM_PAST : 0;
    br_write_u8(w, (uint8_t)tag);
    if (has_key)
        write_sized(w, write->key);
    br_kv_write_dot(w, write->dot);
    br_write_u64(w, write->hlc);
    if (write->past_count > 0)
        br_kv_write_number(w, write->past_count);
    for (uint32_t i = 0; i < write->past_count; i++)
        write_past(w, write->dot.actor, &write->past[i]);
    write_life(w, write);
    if (!write->is_delete)
        write_sized(w, write->value);
}

size_t br_kv_item_size_max(const struct br_kv_write *write)
{
    size_t fixed = 1 + DOT_SIZE_MAX + 8 + 5 * (size_t)NUMBER_SIZE_MAX; /* tag, dot, hlc; sizes, ttl and count */
    size_t past = (size_t)write->past_count * (1 + DOT_SIZE_MAX);
    return fixed + past + write->key.size + write->owner.size + write->value.size;
}

/* ---- messages ------------------------------------------------------------------------------------------ */

void br_kv_write_head(struct br_writer *w, uint8_t type, enum br_kv_kind kind)
{
    br_write_u8(w, type);
    br_write_u8(w, BR_KV_VERSION);
    br_write_u8(w, (uint8_t)kind);
}

enum br_kv_kind br_kv_read_head(struct br_reader *r)
{
    uint8_t version = br_read_u8(r);
    uint8_t kind = br_read_u8(r);
    if (version != BR_KV_VERSION || kind == 0 || kind >= BR_KV_KIND_END)
        br_reader_fail(r);
    return r->failed ? (enum br_kv_kind)0 : (enum br_kv_kind)kind;
}

void br_kv_read_tell(struct br_reader *r, struct br_kv_tell *tell)
{
    tell->ack = br_kv_read_number(r, UINT32_MAX);
}

void br_kv_write_tell(struct br_writer *w, const struct br_kv_tell *tell)
{
    br_kv_write_number(w, tell->ack);
}

void br_kv_read_announce(struct br_reader *r, struct br_kv_announce *announce)
{
    announce->key = read_sized(r, 1, BR_KV_KEY_MAX);
    br_kv_read_dot(r, &announce->dot);
    announce->size = (uint32_t)br_kv_read_number(r, BR_KV_VALUE_MAX);
}

void br_kv_write_announce(struct br_writer *w, const struct br_kv_announce *announce)
{
    write_sized(w, announce->key);
    br_kv_write_dot(w, announce->dot);
    br_kv_write_number(w, announce->size);
}

void br_kv_read_ack(struct br_reader *r, struct br_kv_ack *ack)
{
    ack->ack = br_kv_read_number(r, UINT32_MAX);
    br_kv_read_dot(r, &ack->dot);
    ack->status = br_read_u8(r);
}

void br_kv_write_ack(struct br_writer *w, const struct br_kv_ack *ack)
{
    br_kv_write_number(w, ack->ack);
    br_kv_write_dot(w, ack->dot);
    br_write_u8(w, ack->status);
}

void br_kv_read_session(struct br_reader *r, struct br_kv_session *session)
{
    session->id = br_kv_read_number(r, UINT32_MAX);
    session->flags = br_read_u8(r);
}

void br_kv_write_session(struct br_writer *w, const struct br_kv_session *session)
{
    br_kv_write_number(w, session->id);
    br_write_u8(w, session->flags);
}

/* A key size of 0 announces the hash instead. */
void br_kv_read_want(struct br_reader *r, struct br_kv_want *want, struct br_kv_dot *dots)
{
    want->key = read_sized(r, 0, BR_KV_KEY_MAX);
    want->hash = want->key.size == 0 ? br_read_u64(r) : 0;
    want->dots = dots;
    want->dot_count = read_dots(r, dots);
}

void br_kv_write_want(struct br_writer *w, const struct br_kv_want *want)
{
    write_sized(w, want->key);
    if (want->key.size == 0)
        br_write_u64(w, want->hash);
    write_dots(w, want->dots, want->dot_count);
}

void br_kv_read_key_head(struct br_reader *r, struct br_kv_key_head *head, struct br_kv_dot *gone)
{
    head->key = read_sized(r, 1, BR_KV_KEY_MAX);
    head->gone = gone;
    head->gone_count = read_dots(r, gone);
    head->sibling_count = (uint32_t)br_kv_read_number(r, BR_KV_SIBLINGS_MAX);
}

void br_kv_write_key_head(struct br_writer *w, const struct br_kv_key_head *head)
{
    write_sized(w, head->key);
    write_dots(w, head->gone, head->gone_count);
    br_kv_write_number(w, head->sibling_count);
}

void br_kv_read_digest(struct br_reader *r, struct br_kv_digest *digest)
{
    digest->root = br_read_u64(r);
    digest->context = br_read_u64(r);
    digest->actors = br_read_u64(r);
    digest->salt = br_read_u64(r);
    digest->key_count = br_kv_read_number(r, UINT32_MAX);
}

void br_kv_write_digest(struct br_writer *w, const struct br_kv_digest *digest)
{
    br_write_u64(w, digest->root);
    br_write_u64(w, digest->context);
    br_write_u64(w, digest->actors);
    br_write_u64(w, digest->salt);
    br_kv_write_number(w, digest->key_count);
}

/* The depth, and as many whole bytes as it needs; the unused half of the last one is 0. */
void br_kv_read_path(struct br_reader *r, struct br_kv_path *path)
{
    *path = (struct br_kv_path){0};
    uint8_t depth = br_read_u8(r);
    if (depth > PATH_DEPTH_MAX) {
        br_reader_fail(r);
        return;
    }
    for (unsigned shift = 56, i = 0; i < (depth + 1u) / 2; i++, shift -= 8)
        path->prefix |= (uint64_t)br_read_u8(r) << shift;
    path->depth = depth;
    if ((path->prefix & ~path_mask(depth)) != 0)
        br_reader_fail(r);
}

void br_kv_write_path(struct br_writer *w, struct br_kv_path path)
{
    br_write_u8(w, path.depth);
    for (unsigned shift = 56, i = 0; i < (path.depth + 1u) / 2; i++, shift -= 8)
        br_write_u8(w, (uint8_t)(path.prefix >> shift));
}

static uint64_t read_short_hash(struct br_reader *r)
{
    uint64_t high = br_read_u16(r);
    return high << 32 | br_read_u32(r);
}

static void write_short_hash(struct br_writer *w, uint64_t hash)
{
    br_write_u16(w, (uint16_t)(hash >> 32));
    br_write_u32(w, (uint32_t)hash);
}

void br_kv_read_branch(struct br_reader *r, struct br_kv_branch *branch)
{
    br_kv_read_path(r, &branch->path);
    if (branch->path.depth >= PATH_DEPTH_MAX)
        br_reader_fail(r);
    branch->key_count = br_kv_read_number(r, UINT32_MAX);
    branch->present = br_read_u16(r);
    for (unsigned i = 0; i < 16; i++)
        branch->hashes[i] = (branch->present >> i & 1) != 0 ? read_short_hash(r) : 0;
}

void br_kv_write_branch(struct br_writer *w, const struct br_kv_branch *branch)
{
    br_kv_write_path(w, branch->path);
    br_kv_write_number(w, branch->key_count);
    br_write_u16(w, branch->present);
    for (unsigned i = 0; i < 16; i++)
        if ((branch->present >> i & 1) != 0)
            write_short_hash(w, branch->hashes[i]);
}

void br_kv_read_leaf_head(struct br_reader *r, struct br_kv_leaf_head *head)
{
    br_kv_read_path(r, &head->path);
    head->key_count = (uint32_t)br_kv_read_number(r, BR_KV_LEAVES_MAX);
}

void br_kv_write_leaf_head(struct br_writer *w, const struct br_kv_leaf_head *head)
{
    br_kv_write_path(w, head->path);
    br_kv_write_number(w, head->key_count);
}

/* The whole bytes of the path are not repeated; when its last half byte is one of two, it is, and must be the same. */
void br_kv_read_leaf(struct br_reader *r, struct br_kv_path path, struct br_kv_leaf *leaf)
{
    unsigned whole = path.depth / 2u;
    leaf->hash = path.prefix & path_mask((uint8_t)(2 * whole));
    for (unsigned i = whole; i < 8; i++)
        leaf->hash |= (uint64_t)br_read_u8(r) << (56 - 8 * i);
    leaf->state = read_short_hash(r);
    if (!br_kv_path_has(path, leaf->hash))
        br_reader_fail(r);
}

void br_kv_write_leaf(struct br_writer *w, struct br_kv_path path, const struct br_kv_leaf *leaf)
{
    for (unsigned i = path.depth / 2u; i < 8; i++)
        br_write_u8(w, (uint8_t)(leaf->hash >> (56 - 8 * i)));
    write_short_hash(w, leaf->state);
}

/* Runs and the mark in one number. */
void br_kv_read_actor(struct br_reader *r, bool has_name, struct br_kv_actor_item *item)
{
    uint64_t tag = br_kv_read_number(r, UINT32_MAX);
    item->is_retired = (tag & 1) != 0;
    item->run_count = (uint32_t)(tag >> 1);
    item->actor = has_name ? br_read_u64(r) : 0;
    item->base = br_kv_read_number(r, BR_KV_COUNTER_MAX);
    if (has_name && item->actor == 0)
        br_reader_fail(r);
}

void br_kv_write_actor(struct br_writer *w, bool has_name, const struct br_kv_actor_item *item)
{
    br_kv_write_number(w, (uint64_t)item->run_count << 1 | (item->is_retired ? 1 : 0));
    if (has_name)
        br_write_u64(w, item->actor);
    br_kv_write_number(w, item->base);
}

/* At least one dot is missing before a run, else it would be part of what is before it. */
void br_kv_read_run(struct br_reader *r, uint64_t after, struct br_kv_run *run)
{
    uint64_t missing = br_kv_read_number(r, BR_KV_COUNTER_MAX);
    uint64_t more = br_kv_read_number(r, BR_KV_COUNTER_MAX);
    run->from = after + missing + 2;
    run->to = run->from + more;
    if (after > BR_KV_COUNTER_MAX || run->to > BR_KV_COUNTER_MAX)
        br_reader_fail(r);
}

void br_kv_write_run(struct br_writer *w, uint64_t after, struct br_kv_run run)
{
    br_kv_write_number(w, run.from - after - 2);
    br_kv_write_number(w, run.to - run.from);
}

/* ---- records ------------------------------------------------------------------------------------------- */

static void read_version(struct br_reader *r)
{
    if (br_read_u8(r) != BR_KV_VERSION)
        br_reader_fail(r);
}

void br_kv_read_key_record(struct br_reader *r, struct br_kv_key_record *record)
{
    read_version(r);
    record->saved_ms = br_kv_read_number(r, UINT64_MAX);
    record->sibling_count = (uint32_t)br_kv_read_number(r, BR_KV_SIBLINGS_MAX);
}

void br_kv_write_key_record(struct br_writer *w, const struct br_kv_key_record *record)
{
    br_write_u8(w, BR_KV_VERSION);
    br_kv_write_number(w, record->saved_ms);
    br_kv_write_number(w, record->sibling_count);
}

void br_kv_read_actor_record(struct br_reader *r, struct br_kv_actor_record *record)
{
    read_version(r);
    record->actor = br_read_u64(r);
    record->counter = br_kv_read_number(r, BR_KV_COUNTER_MAX);
    record->synced_ms = br_kv_read_number(r, UINT64_MAX);
    if (record->actor == 0)
        br_reader_fail(r);
}

void br_kv_write_actor_record(struct br_writer *w, const struct br_kv_actor_record *record)
{
    br_write_u8(w, BR_KV_VERSION);
    br_write_u64(w, record->actor);
    br_kv_write_number(w, record->counter);
    br_kv_write_number(w, record->synced_ms);
}
