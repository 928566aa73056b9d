/*
 * Comparing with a peer, the side that answers. It keeps nothing about whoever asks: each question says all that is
 * needed, and what is answered is true at the moment of the answer.
 *
 *     question (id, name)              answer (same id, BR_KV_ANSWER, name, our life)
 *     DIGEST digest                    DIGEST digest                  when both are equal
 *                                      CONTEXT digest context         else
 *     BRANCHES path...                 LEAVES (branch or leaf)...     a branch's children, or its few keys
 *     WANT key or hash, dots...        KEYS key gone siblings...      as many as fit; BR_KV_LAST: those are all
 *
 * Answers cost bytes, of which there are sync_budget a second; questions beyond it wait, a bounded number of them.
 *
 * What is not durable yet is not shown (kv_core.h): our context is told as of our last durable write, a key with a
 * later one is left out of KEYS, and where one was deleted a leaf says that it does not tell all. A path that shows
 * such a key's hash betrays nothing by it.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "module/kv_core.h"

/* A branch's children cost 70 bytes, a key of a leaf ten: up to so many keys a list is shorter. */
#define LEAF_KEYS 8

/* Questions that wait for the disk are looked at again after this. */
#define DISK_WAIT (20 * BRUIT_MILLISECOND)

void br_kv_begin(struct br_kv *kv, struct br_writer *w, enum br_kv_kind kind, uint32_t id, uint8_t flags)
{
    br_kv_write_head(w, BR_KV_MESSAGE, kind);
    br_kv_write_session(w, &(struct br_kv_session){.id = id, .flags = flags});
    br_kv_write_from(w, br_kv_own_name(kv));
    if (flags & BR_KV_ANSWER)
        br_write_u32(w, kv->life);
}

struct br_kv_digest br_kv_own_digest(const struct br_kv *kv, uint64_t salt)
{
    const struct br_kv_store *s = &kv->store;
    return (struct br_kv_digest){.root = br_kv_store_root(s),
                                 .context = br_kv_context_digest(&s->context),
                                 .actors = br_kv_context_actors_digest(&s->context),
                                 .salt = salt,
                                 .key_count = s->live_keys};
}

static void answer(struct br_kv *kv, bruit_node to, const struct br_writer *w)
{
    if (w->failed)
        return; /* without memory: asked again */
    br_kv_budget_take(&kv->budget, br_writer_size(w));
    (void)br_kv_send(kv, to, br_writer_bytes(w));
}

/* ------------------------------------------------------------------ digests and contexts */

/* As of our last durable write. That our own base is all that is above it, `is_ready` has seen to. */
static void write_context(struct br_kv *kv, struct br_writer *w, bool has_names)
{
    struct br_kv_context *c = &kv->store.context;
    uint32_t own = kv->disk.is_on ? br_kv_context_find(c, kv->store.actor) : BR_KV_ACTOR_NONE;
    uint64_t base = own == BR_KV_ACTOR_NONE ? 0 : c->actors[own].base;
    if (base > kv->disk.durable)
        c->actors[own].base = kv->disk.durable;
    br_kv_context_encode(c, w, has_names);
    if (own != BR_KV_ACTOR_NONE)
        c->actors[own].base = base;
}

/* Who is stale shows nothing to who forgot, unless that one is stale, too: without a context nothing is compared. */
static void answer_digest(struct br_kv *kv, bruit_node from, const struct br_kv_session *session, struct br_reader *r)
{
    struct br_kv_digest theirs;
    br_kv_read_digest(r, &theirs);
    struct br_kv_digest ours = br_kv_own_digest(kv, theirs.salt);
    uint8_t flags = BR_KV_ANSWER | BR_KV_LAST | br_kv_age_flags(kv);
    bool is_hidden = (flags & BR_KV_STALE) && (session->flags & (BR_KV_STALE | BR_KV_FORGOT)) == BR_KV_FORGOT;
    bool is_equal = is_hidden || (ours.root == theirs.root && ours.context == theirs.context);
    size_t size = BR_KV_BEGIN_MAX + 64 + (is_equal ? 0 : br_kv_context_size_max(&kv->store.context));
    uint8_t *bytes = br_kv_scratch(kv, size);
    struct br_writer w;
    br_writer_init(&w, bytes, bytes == NULL ? 0 : size);
    br_kv_begin(kv, &w, is_equal ? BR_KV_DIGEST : BR_KV_CONTEXT, (uint32_t)session->id, flags);
    br_kv_write_digest(&w, &ours);
    if (!is_equal)
        write_context(kv, &w, ours.actors != theirs.actors);
    answer(kv, from, &w);
}

/* ------------------------------------------------------------------ branches and leaves */

static void write_leaf(const struct br_kv *kv, struct br_writer *w, struct br_kv_path path, uint64_t salt)
{
    uint32_t keys[BR_KV_LEAVES_MAX]; /* more than LEAF_KEYS only when so many names have one hash */
    uint32_t count = br_kv_store_below(&kv->store, path, keys, BR_KV_LEAVES_MAX);
    bool is_whole = count <= BR_KV_LEAVES_MAX && !br_kv_disk_hides(kv, path);
    count = count <= BR_KV_LEAVES_MAX ? count : 0;
    br_write_u8(w, is_whole ? BR_KV_IS_LEAF : BR_KV_IS_HALF_LEAF);
    br_kv_write_leaf_head(w, &(struct br_kv_leaf_head){.path = path, .key_count = count});
    for (uint32_t i = 0; i < count; i++) {
        const struct br_kv_key *key = br_kv_store_key(&kv->store, keys[i]);
        struct br_kv_leaf leaf = {.hash = key->hash,
                                  .state = br_kv_short(br_kv_store_version(&kv->store, keys[i]), salt)};
        br_kv_write_leaf(w, path, &leaf);
    }
}

static void write_branch(const struct br_kv *kv, struct br_writer *w, struct br_kv_path path, uint64_t salt)
{
    struct br_kv_branch branch = {.path = path, .key_count = br_kv_store_sum(&kv->store, path).count};
    if (branch.key_count <= LEAF_KEYS || path.depth >= 16) {
        write_leaf(kv, w, path, salt);
        return;
    }
    for (uint32_t i = 0; i < 16; i++) {
        struct br_kv_sum sum = br_kv_store_sum(&kv->store, br_kv_path_child(path, i));
        if (sum.count == 0)
            continue;
        branch.present |= (uint16_t)(1u << i);
        branch.hashes[i] = br_kv_short(sum.sum, salt);
    }
    br_write_u8(w, BR_KV_IS_BRANCH);
    br_kv_write_branch(w, &branch);
}

/* The salt stands in front of the paths: we keep nothing. */
static void answer_branches(struct br_kv *kv, bruit_node from, uint32_t id, struct br_reader *r)
{
    size_t size = BR_KV_BEGIN_MAX + BR_KV_PATHS_MAX * 192;
    uint8_t *bytes = br_kv_scratch(kv, size);
    struct br_writer w;
    br_writer_init(&w, bytes, bytes == NULL ? 0 : size);
    br_kv_begin(kv, &w, BR_KV_LEAVES, id, BR_KV_ANSWER | BR_KV_LAST);
    uint64_t salt = br_read_u64(r);
    for (uint32_t i = 0; i < BR_KV_PATHS_MAX && br_reader_left(r) > 0; i++) {
        struct br_kv_path path;
        br_kv_read_path(r, &path);
        if (!r->failed)
            write_branch(kv, &w, path, salt);
    }
    answer(kv, from, &w);
}

/* ------------------------------------------------------------------ keys */

size_t br_kv_telling_size(const struct br_kv *kv, const struct br_kv_telling *telling)
{
    struct br_kv_past past[BR_KV_PAST_MAX];
    struct br_kv_write write;
    size_t size = 64 + telling->name.size + 20 * (size_t)telling->gone_count;
    for (uint32_t i = 0; i < telling->sibling_count; i++) {
        br_kv_store_tell(&kv->store, telling->siblings[i], br_kv_now(kv), &write, past);
        size += br_kv_item_size_max(&write);
    }
    return size;
}

void br_kv_write_telling(const struct br_kv *kv, struct br_writer *w, const struct br_kv_telling *telling)
{
    struct br_kv_past past[BR_KV_PAST_MAX];
    struct br_kv_write write;
    br_kv_write_key_head(w, &(struct br_kv_key_head){.key = telling->name,
                                                     .gone = telling->gone,
                                                     .gone_count = telling->gone_count,
                                                     .sibling_count = telling->sibling_count});
    for (uint32_t i = 0; i < telling->sibling_count; i++) {
        br_kv_store_tell(&kv->store, telling->siblings[i], br_kv_now(kv), &write, past);
        br_kv_write_item(w, &write, false);
    }
}

static bool has_dot(const struct br_kv_want *want, struct br_kv_dot dot)
{
    for (uint32_t i = 0; i < want->dot_count; i++)
        if (br_kv_dot_equal(want->dots[i], dot))
            return true;
    return false;
}

struct keys_answer {
    struct br_writer w;
    uint32_t count;
    bool is_full;
};

/* One key: what they lack of it, and what of theirs is gone. The first one always fits. */
static void add_key(struct br_kv *kv, struct keys_answer *a, uint32_t key, struct bruit_bytes name,
                    const struct br_kv_want *want)
{
    struct br_kv_dot gone[BR_KV_SIBLINGS_MAX];
    struct br_kv_telling telling = {.key = key, .name = name, .gone = gone};
    if (key != BR_KV_NONE && !br_kv_key_is_exposed(kv, key))
        return; /* they learn from BR_KV_LAST that it cannot be had now */
    telling.gone_count = br_kv_store_gone(&kv->store, key, want->dots, want->dot_count, gone);
    for (uint32_t i = key == BR_KV_NONE ? BR_KV_NONE : br_kv_store_first(&kv->store, key); i != BR_KV_NONE;
         i = br_kv_store_next(&kv->store, i))
        if (!has_dot(want, br_kv_store_dot(&kv->store, i)))
            telling.siblings[telling.sibling_count++] = i;
    size_t size = br_kv_telling_size(kv, &telling), used = br_writer_size(&a->w);
    if (size > br_writer_room(&a->w) && a->count > 0) {
        a->is_full = true;
        return;
    }
    if (size > br_writer_room(&a->w)) {
        uint8_t *bytes = br_kv_scratch(kv, used + size);
        br_writer_init(&a->w, bytes, bytes == NULL ? 0 : used + size);
        (void)br_write_space(&a->w, used); /* which is still there */
    }
    br_kv_write_telling(kv, &a->w, &telling);
    a->count++;
}

static void add_want(struct br_kv *kv, struct keys_answer *a, const struct br_kv_want *want)
{
    const struct br_kv_store *s = &kv->store;
    uint32_t keys[BR_KV_LEAVES_MAX];
    if (want->key.size > 0) {
        add_key(kv, a, br_kv_store_find(s, want->key), want->key, want);
        return;
    }
    struct br_kv_path path = {.prefix = want->hash, .depth = 16};
    uint32_t count = br_kv_store_below(s, path, keys, BR_KV_LEAVES_MAX);
    for (uint32_t i = 0; i < count && i < BR_KV_LEAVES_MAX && count <= BR_KV_LEAVES_MAX && !a->is_full; i++)
        add_key(kv, a, keys[i], br_kv_store_name(s, keys[i]), want);
}

static void answer_want(struct br_kv *kv, bruit_node from, uint32_t id, struct br_reader *r)
{
    struct br_kv_dot dots[BR_KV_SIBLINGS_MAX];
    struct br_kv_want want;
    struct keys_answer a = {0};
    uint8_t *bytes = br_kv_scratch(kv, BR_KV_CHUNK);
    br_writer_init(&a.w, bytes, bytes == NULL ? 0 : BR_KV_CHUNK);
    br_kv_begin(kv, &a.w, BR_KV_KEYS, id, BR_KV_ANSWER);
    size_t begin = br_writer_size(&a.w);
    bool is_last = false;
    while (!a.is_full && !(is_last = br_reader_left(r) == 0)) {
        br_kv_read_want(r, &want, dots);
        if (r->failed)
            break;
        add_want(kv, &a, &want);
    }
    if (is_last && !a.is_full && !a.w.failed) { /* the flags stand in what was written first */
        struct br_writer head;
        br_writer_init(&head, a.w.start, begin);
        br_kv_begin(kv, &head, BR_KV_KEYS, id, BR_KV_ANSWER | BR_KV_LAST);
    }
    answer(kv, from, &a.w);
}

/* ------------------------------------------------------------------ questions */

static void take_turn(struct br_kv *kv, bruit_node from, struct br_reader *r)
{
    struct br_kv_digest theirs;
    br_kv_read_digest(r, &theirs);
    struct br_kv_digest ours = br_kv_own_digest(kv, theirs.salt);
    if (ours.root != theirs.root || ours.context != theirs.context)
        br_kv_sync_turn(kv, from);
}

/* `message` was read up to the name before. */
static void answer_question(struct br_kv *kv, bruit_node from, struct bruit_bytes message)
{
    struct br_kv_session session;
    struct br_reader r;
    br_reader_init(&r, message);
    (void)br_read_u8(&r);
    enum br_kv_kind kind = br_kv_read_head(&r);
    br_kv_read_session(&r, &session);
    (void)br_kv_read_from(&r);
    switch (kind) {
    case BR_KV_DIGEST:
        if (session.flags & BR_KV_TURN)
            take_turn(kv, from, &r);
        else
            answer_digest(kv, from, &session, &r);
        break;
    case BR_KV_BRANCHES: answer_branches(kv, from, (uint32_t)session.id, &r); break;
    case BR_KV_WANT: answer_want(kv, from, (uint32_t)session.id, &r); break;
    default: r.failed = true;
    }
    if (r.failed)
        br_host_drop(kv->host, BRUIT_DROP_MALFORMED);
}

/* Nothing of ours is durable yet: there is no context that could be told. */
static bool is_ready(const struct br_kv *kv)
{
    return !kv->disk.is_on || kv->disk.durable > 0 || kv->store.counter == 0;
}

static bool is_parked(const struct br_kv *kv, bruit_node from, const struct br_kv_session *session)
{
    for (uint32_t i = 0; i < kv->parked_count; i++)
        if (kv->parked[i].node == from && kv->parked[i].id == session->id)
            return true;
    return false;
}

static bool may_answer(struct br_kv *kv)
{
    return is_ready(kv) && br_kv_budget_has(&kv->budget, br_kv_now(kv));
}

void br_kv_serve(struct br_kv *kv, bruit_node from, const struct br_kv_session *session, struct bruit_bytes message)
{
    if (kv->parked_count == 0 && may_answer(kv)) {
        answer_question(kv, from, message);
        return;
    }
    if (session->id != 0 && is_parked(kv, from, session))
        return; /* asked again: it will be answered */
    struct br_buf *copy = NULL;
    if (kv->parked_count < BR_KV_PARKED_MAX && message.size <= BR_KV_CHUNK)
        copy = br_buf_new(kv->alloc, message);
    if (copy == NULL) {
        br_host_drop(kv->host, BRUIT_DROP_KV_BUSY);
        return;
    }
    kv->parked[kv->parked_count++] = (struct br_kv_parked){.message = copy, .node = from, .id = session->id};
    kv->parked_at = br_kv_now(kv);
}

static void drop_first(struct br_kv *kv)
{
    br_buf_drop(kv->alloc, kv->parked[0].message);
    kv->parked_count--;
    memmove(kv->parked, kv->parked + 1, kv->parked_count * sizeof *kv->parked);
}

void br_kv_serve_fini(struct br_kv *kv)
{
    while (kv->parked_count > 0)
        drop_first(kv);
}

bruit_time br_kv_serve_deadline(const struct br_kv *kv)
{
    if (kv->parked_count == 0)
        return BRUIT_NEVER;
    bruit_time when = br_kv_budget_when(&kv->budget);
    return is_ready(kv) ? when : br_time_max(when, br_time_add(kv->parked_at, DISK_WAIT));
}

void br_kv_serve_tick(struct br_kv *kv)
{
    while (kv->parked_count > 0 && may_answer(kv)) {
        bruit_node from = kv->parked[0].node;
        struct br_buf *message = br_buf_hold(kv->parked[0].message);
        drop_first(kv);
        answer_question(kv, from, br_buf_bytes(message));
        br_buf_drop(kv->alloc, message);
    }
    kv->parked_at = br_kv_now(kv);
}
