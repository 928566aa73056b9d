/*
 * Comparing with a peer, the side that learns (the other is kv_serve.c).
 *
 * States: idle; *digest*, asked for theirs; *branches*, going down the hash tree where it differs; *want*, asking for
 * keys. There is one question out at a time; each has a number of its own, an answer to another one is old, and one
 * that is not answered is repeated a few times. Timers: the next comparison, the repetition, and the end of all.
 *
 * What makes it sound: their context was told at the beginning. Every key of theirs was then found equal to ours, or
 * merged as they held it, at some later moment; so all that their context covers was merged or replaced here, and the
 * contexts are joined. If anything could not be had (a bound of ours, a write that is not durable there yet, a
 * message that was lost) what came is kept, but the contexts are not joined, and the next comparison goes on. The same
 * if they crash in between: what they had not written to their disk by then, they do not hold any more, and a context
 * that they told before may cover it. So answers name the life of who gives them.
 *
 * A key that we hold and they do not show: what their context covers of it is gone, the rest they lack. What they
 * lack is pushed to them; at the end they are told that it is their turn, find equal roots, and join contexts, too.
 *
 * Cost: a path that differs is some 80 bytes on each level, a key some 60 and what it holds: docs/state.md has figures.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "module/kv_core.h"

/* The first repetition; each later one waits twice as long. Long enough for an answer that waits for a budget. */
#define REPEAT (2 * BRUIT_SECOND)
#define ATTEMPTS 4
/* After a comparison that did not come to its end, and to let gossip go first. */
#define AGAIN (1 * BRUIT_SECOND)
/* What was pushed comes over a stream, the word that it is their turn as a datagram. */
#define TURN_DELAY (200 * BRUIT_MILLISECOND)
/* Of one comparison. At the default budget some gigabytes go through in it. */
#define LONGEST (6 * 3600 * BRUIT_SECOND)
/* Sixteen levels of sixteen children for each of the paths asked at once: more is not honest. */
#define PATHS_WAIT_MAX 32768
#define WANTED_MAX 8192

static void finish(struct br_kv *kv, bool is_complete, const char *outcome);
static void go_on(struct br_kv *kv);

/* ------------------------------------------------------------------ when */

void br_kv_sync_init(struct br_kv *kv)
{
    kv->sync.at = BRUIT_NEVER;
    kv->sync.id = (uint32_t)bruit_host_random(kv->host);
    kv->sync.state = BRUIT_KV_BEHIND;
}

static void plan(struct br_kv *kv, bruit_time delay)
{
    kv->sync.at = br_time_min(kv->sync.at, br_time_add(br_kv_now(kv), delay));
}

void br_kv_sync_soon(struct br_kv *kv, bruit_node node, bruit_time delay)
{
    if (kv->options.sync_interval == 0)
        return;
    if (node != 0)
        kv->sync.next = node;
    plan(kv, delay + bruit_host_random_below(kv->host, delay + 1));
}

void br_kv_sync_turn(struct br_kv *kv, bruit_node node)
{
    kv->sync.next = node;
    kv->sync.next_is_turn = true;
    plan(kv, TURN_DELAY);
}

/* The usual interval, a quarter more or less, so that members do not fall into step. */
static bruit_time usual(struct br_kv *kv)
{
    bruit_time interval = kv->options.sync_interval;
    return interval - interval / 4 + bruit_host_random_below(kv->host, interval / 2 + 1);
}

/* Somebody who carries the module came, or came back: one of us has something for the other. */
void br_kv_sync_member(struct br_kv *kv, bruit_node node, uint32_t changes)
{
    if (!(changes & (BRUIT_CHANGE_PEER | BRUIT_CHANGE_JOINED)) || !bruit_host_is_peer(kv->host, node))
        return;
    br_kv_sync_soon(kv, node, 500 * BRUIT_MILLISECOND);
}

/* ------------------------------------------------------------------ questions */

static void drop_question(struct br_kv *kv)
{
    br_buf_drop(kv->alloc, kv->sync.question);
    kv->sync.question = NULL;
    kv->sync.repeat_at = BRUIT_NEVER;
}

static void send_question(struct br_kv *kv)
{
    struct br_kv_sync *sync = &kv->sync;
    br_kv_budget_take(&kv->budget, sync->question->size);
    (void)br_kv_send(kv, sync->node, br_buf_bytes(sync->question)); /* lost: repeated */
    sync->repeat_at = br_time_add(br_kv_now(kv), REPEAT << sync->attempts);
    sync->attempts++;
}

static void ask(struct br_kv *kv, enum br_kv_step step, const struct br_writer *w)
{
    struct br_kv_sync *sync = &kv->sync;
    drop_question(kv);
    sync->question = w->failed ? NULL : br_buf_new(kv->alloc, br_writer_bytes(w));
    if (sync->question == NULL) {
        finish(kv, false, "no memory");
        return;
    }
    sync->step = step;
    sync->attempts = 0;
    send_question(kv);
}

static void begin_question(struct br_kv *kv, struct br_writer *w, enum br_kv_kind kind, size_t size, uint8_t flags)
{
    uint8_t *bytes = br_kv_scratch(kv, size);
    br_writer_init(w, bytes, bytes == NULL ? 0 : size);
    if (++kv->sync.id == 0)
        kv->sync.id = 1;
    br_kv_begin(kv, w, kind, kv->sync.id, flags);
}

/* ------------------------------------------------------------------ the beginning */

static void start(struct br_kv *kv)
{
    struct br_kv_sync *sync = &kv->sync;
    struct br_writer w;
    bruit_node node = sync->next != 0 && bruit_host_is_peer(kv->host, sync->next) ? sync->next : 0;
    sync->is_turn = node != 0 && sync->next_is_turn;
    sync->next = 0;
    sync->next_is_turn = false;
    sync->node = node != 0 ? node : br_kv_random_peer(kv);
    sync->at = BRUIT_NEVER;
    if (sync->node == 0)
        return; /* planned again when there is somebody */
    kv->is_started = true;
    sync->is_incomplete = false;
    sync->is_reset = false;
    sync->with_stale = false;
    sync->they_forgot = false;
    sync->salt = bruit_host_random(kv->host);
    sync->end_at = br_time_add(br_kv_now(kv), LONGEST);
    sync->ours = br_kv_own_digest(kv, sync->salt);
    sync->ours_counter = kv->disk.is_on ? kv->disk.durable : kv->store.counter;
    begin_question(kv, &w, BR_KV_DIGEST, BR_KV_BEGIN_MAX + 64, br_kv_age_flags(kv));
    br_kv_write_digest(&w, &sync->ours);
    ask(kv, BR_KV_STEP_DIGEST, &w);
}

/* ------------------------------------------------------------------ what they lack */

static void flush_push(struct br_kv *kv)
{
    struct br_kv_sync *sync = &kv->sync;
    if (sync->push_size == 0)
        return;
    br_kv_budget_take(&kv->budget, sync->push_size);
    (void)br_kv_send(kv, sync->node, br_bytes(sync->push, sync->push_size)); /* lost: found by the next comparison */
    sync->push_size = 0;
}

static bool grow_push(struct br_kv *kv, size_t size)
{
    struct br_kv_sync *sync = &kv->sync;
    if (size <= sync->push_capacity)
        return true;
    uint8_t *more = bruit_host_resize(kv->host, sync->push, sync->push_capacity, size);
    if (more == NULL)
        return false;
    sync->push = more;
    sync->push_capacity = size;
    return true;
}

static void push(struct br_kv *kv, const struct br_kv_telling *telling)
{
    struct br_kv_sync *sync = &kv->sync;
    struct br_writer w;
    size_t size = br_kv_telling_size(kv, telling);
    if (sync->push_size > 0 && sync->push_size + size > BR_KV_CHUNK)
        flush_push(kv);
    size_t most = sync->push_size + size + BR_KV_BEGIN_MAX;
    if (!grow_push(kv, most < BR_KV_CHUNK ? BR_KV_CHUNK : most))
        return; /* they get it by the next comparison */
    br_writer_init(&w, sync->push, sync->push_capacity);
    if (sync->push_size == 0)
        br_kv_begin(kv, &w, BR_KV_KEYS, 0, BR_KV_PUSH);
    else
        (void)br_write_space(&w, sync->push_size);
    br_kv_write_telling(kv, &w, telling);
    BR_ASSERT(!w.failed);
    sync->push_size = br_writer_size(&w);
}

/*
 * We were away too long, and they do not know the actor of a write of ours: they may have seen and dropped it, and
 * forgotten whose it was. A context forgets actors as a whole; one that begins with the first write forgot nothing.
 */
static bool is_forgotten(const struct br_kv *kv, struct br_kv_dot dot)
{
    const struct br_kv_context *theirs = &kv->sync.theirs;
    if (!kv->sync.is_reset || br_kv_is_unseen(kv, dot))
        return false;
    uint32_t actor = br_kv_context_find(theirs, dot.actor);
    return actor == BR_KV_ACTOR_NONE || theirs->actors[actor].base == 0;
}

/* A write that they do not show: did they see it and drop it? */
static bool is_gone(const struct br_kv *kv, struct br_kv_dot dot)
{
    return br_kv_context_covers(&kv->sync.theirs, dot) || is_forgotten(kv, dot);
}

static bool was_told(const struct br_kv_state *told, struct br_kv_dot dot)
{
    for (uint32_t i = 0; told != NULL && i < told->write_count; i++)
        if (br_kv_dot_equal(told->writes[i].dot, dot))
            return true;
    return false;
}

/* What their context does not cover of a key; `told`: what they have just told us. And what of theirs is gone here. */
static void push_key(struct br_kv *kv, uint32_t key, struct bruit_bytes name, const struct br_kv_state *told,
                     const struct br_kv_dot *gone, uint32_t gone_count)
{
    const struct br_kv_store *s = &kv->store;
    struct br_kv_telling telling = {.key = key, .name = name, .gone = gone, .gone_count = gone_count};
    if (key != BR_KV_NONE && !br_kv_key_is_exposed(kv, key)) {
        kv->sync.is_incomplete = true;
        return;
    }
    uint32_t i = key == BR_KV_NONE ? BR_KV_NONE : br_kv_store_first(s, key);
    for (; i != BR_KV_NONE; i = br_kv_store_next(s, i)) {
        struct br_kv_dot dot = br_kv_store_dot(s, i);
        bool is_theirs = br_kv_context_covers(&kv->sync.theirs, dot) || was_told(told, dot);
        if (!is_theirs && !is_forgotten(kv, dot))
            telling.siblings[telling.sibling_count++] = i;
    }
    if (telling.sibling_count > 0 || gone_count > 0)
        push(kv, &telling);
}

/* ------------------------------------------------------------------ paths and keys to be asked for */

static void add_path(struct br_kv *kv, struct br_kv_path path)
{
    struct br_kv_sync *sync = &kv->sync;
    if (sync->path_count == sync->path_capacity) {
        uint32_t capacity = sync->path_capacity == 0 ? 256 : 2 * sync->path_capacity;
        void *more = capacity > PATHS_WAIT_MAX
                         ? NULL
                         : bruit_host_resize(kv->host, sync->paths, sync->path_capacity * sizeof *sync->paths,
                                             capacity * sizeof *sync->paths);
        if (more == NULL) {
            sync->is_incomplete = true;
            return;
        }
        sync->paths = more;
        sync->path_capacity = capacity;
    }
    sync->paths[sync->path_count++] = path;
}

static void add_wanted(struct br_kv *kv, uint64_t hash, bool by_hash)
{
    struct br_kv_sync *sync = &kv->sync;
    if (sync->wanted_count > 0 && sync->wanted[sync->wanted_count - 1].hash == hash) {
        sync->wanted[sync->wanted_count - 1].by_hash |= by_hash;
        return;
    }
    if (sync->wanted_count == sync->wanted_capacity) {
        uint32_t capacity = sync->wanted_capacity == 0 ? 256 : 2 * sync->wanted_capacity;
        void *more = capacity > WANTED_MAX
                         ? NULL
                         : bruit_host_resize(kv->host, sync->wanted, sync->wanted_capacity * sizeof *sync->wanted,
                                             capacity * sizeof *sync->wanted);
        if (more == NULL) {
            sync->is_incomplete = true;
            return;
        }
        sync->wanted = more;
        sync->wanted_capacity = capacity;
    }
    sync->wanted[sync->wanted_count++] = (struct br_kv_wanted){.hash = hash, .by_hash = by_hash};
}

static void ask_branches(struct br_kv *kv)
{
    struct br_kv_sync *sync = &kv->sync;
    struct br_writer w;
    begin_question(kv, &w, BR_KV_BRANCHES, BR_KV_BEGIN_MAX + 8 + BR_KV_PATHS_MAX * 16, 0);
    br_write_u64(&w, sync->salt);
    sync->asked_count = 0;
    while (sync->path_count > 0 && sync->asked_count < BR_KV_PATHS_MAX) {
        struct br_kv_path path = sync->paths[--sync->path_count];
        br_kv_write_path(&w, path);
        sync->asked[sync->asked_count++] = path;
    }
    ask(kv, BR_KV_STEP_BRANCHES, &w);
}

/* Our keys of a hash, by name with what we hold of them; and those of theirs that we may not know. */
static void write_wants(struct br_kv *kv, struct br_writer *w, const struct br_kv_wanted *wanted)
{
    uint32_t keys[BR_KV_LEAVES_MAX];
    struct br_kv_before ours;
    struct br_kv_path path = {.prefix = wanted->hash, .depth = 16};
    uint32_t count = br_kv_store_below(&kv->store, path, keys, BR_KV_LEAVES_MAX);
    for (uint32_t i = 0; i < count && count <= BR_KV_LEAVES_MAX; i++) {
        struct bruit_bytes name = br_kv_store_name(&kv->store, keys[i]);
        br_kv_dots(kv, name, &ours);
        br_kv_write_want(w, &(struct br_kv_want){.key = name, .dots = ours.dots, .dot_count = ours.count});
    }
    if (count == 0 || wanted->by_hash)
        br_kv_write_want(w, &(struct br_kv_want){.hash = wanted->hash});
}

static void ask_keys(struct br_kv *kv)
{
    struct br_kv_sync *sync = &kv->sync;
    struct br_writer w;
    begin_question(kv, &w, BR_KV_WANT, BR_KV_CHUNK, 0);
    uint32_t count = 0;
    for (uint32_t i = sync->wanted_count; i-- > 0 && count < BR_KV_WANTS_MAX; count++) {
        size_t before = br_writer_size(&w);
        write_wants(kv, &w, &sync->wanted[i]);
        if (w.failed) {
            br_writer_rewind(&w, before);
            break;
        }
        sync->wanted[i].is_asked = true;
    }
    if (count == 0)
        finish(kv, false, "a key that cannot be asked for");
    else
        ask(kv, BR_KV_STEP_WANT, &w);
}

/* ------------------------------------------------------------------ answers: the digest */

static void on_context(struct br_kv *kv, uint8_t flags, struct br_reader *r)
{
    struct br_kv_sync *sync = &kv->sync;
    const struct br_kv_store *s = &kv->store;
    br_kv_read_digest(r, &sync->digest);
    uint64_t actors = br_kv_context_actors_digest(&s->context);
    br_kv_context_init(&sync->theirs, kv->alloc, s->limits.actors_max, s->limits.runs_max,
                       bruit_host_random(kv->host));
    sync->has_theirs = true;
    const struct br_kv_context *names = actors == sync->digest.actors ? &s->context : NULL;
    int status = r->failed ? BRUIT_EFORMAT : br_kv_context_decode(&sync->theirs, br_reader_rest(r), names);
    if (status != 0) {
        if (status == BRUIT_EFORMAT && actors == sync->ours.actors)
            br_host_drop(kv->host, BRUIT_DROP_MALFORMED);
        finish(kv, false, "their context cannot be read");
        return;
    }
    sync->with_stale = (flags & BR_KV_STALE) != 0;
    sync->they_forgot = (flags & BR_KV_FORGOT) != 0;
    sync->is_reset = br_kv_is_stale(kv) && !sync->with_stale && sync->they_forgot;
    if (sync->is_reset) {
        BR_TRACE(kv->tracer, kv_reset, .name = bruit_member_name(bruit_host_engine(kv->host), sync->node));
        kv->resets++;
    }
    if (br_kv_store_root(s) != sync->digest.root)
        add_path(kv, (struct br_kv_path){0});
    go_on(kv);
}

static void on_digest(struct br_kv *kv, uint8_t flags, struct br_reader *r)
{
    struct br_kv_digest theirs;
    br_kv_read_digest(r, &theirs);
    if (r->failed) {
        br_host_drop(kv->host, BRUIT_DROP_MALFORMED);
        return;
    }
    kv->sync.with_stale = (flags & BR_KV_STALE) != 0;
    bool is_equal = kv->sync.ours.root == theirs.root && kv->sync.ours.context == theirs.context;
    finish(kv, is_equal, is_equal ? "equal" : "they were away for too long");
}

/* ------------------------------------------------------------------ answers: branches and leaves */

static bool take_asked(struct br_kv *kv, struct br_kv_path path)
{
    struct br_kv_sync *sync = &kv->sync;
    for (uint32_t i = 0; i < sync->asked_count; i++) {
        if (sync->asked[i].prefix != path.prefix || sync->asked[i].depth != path.depth)
            continue;
        sync->asked[i] = sync->asked[--sync->asked_count];
        return true;
    }
    return false;
}

/* All children: ours are too many to be looked at one by one. */
static void split(struct br_kv *kv, struct br_kv_path path)
{
    for (uint32_t i = 0; i < 16 && path.depth < 16; i++)
        if (br_kv_store_sum(&kv->store, br_kv_path_child(path, i)).count > 0)
            add_path(kv, br_kv_path_child(path, i));
}

static void on_branch(struct br_kv *kv, const struct br_kv_branch *branch)
{
    for (uint32_t i = 0; i < 16; i++) {
        struct br_kv_path child = br_kv_path_child(branch->path, i);
        struct br_kv_sum ours = br_kv_store_sum(&kv->store, child);
        bool theirs = (branch->present >> i & 1) != 0;
        if (ours.count == 0 && !theirs)
            continue;
        if (!theirs || ours.count == 0 || br_kv_short(ours.sum, kv->sync.salt) != branch->hashes[i])
            add_path(kv, child);
    }
}

/* A key that they do not show: what their context covers of it was removed there, the rest they lack. */
static void on_missing(struct br_kv *kv, uint32_t key, bool is_half)
{
    if (is_half) {
        kv->sync.is_incomplete = true;
        return;
    }
    const struct br_kv_store *s = &kv->store;
    struct br_kv_dot gone[BR_KV_SIBLINGS_MAX];
    uint8_t name[BR_KV_KEY_MAX];
    struct bruit_bytes ours = br_kv_store_name(s, key);
    struct br_kv_state state = {.gone = gone};
    for (uint32_t i = br_kv_store_first(s, key); i != BR_KV_NONE; i = br_kv_store_next(s, i))
        if (!br_kv_store_sibling(s, i)->is_delete && is_gone(kv, br_kv_store_dot(s, i)))
            gone[state.gone_count++] = br_kv_store_dot(s, i);
    memcpy(name, ours.data, ours.size); /* the store's own may go */
    state.key = br_bytes(name, ours.size);
    push_key(kv, key, state.key, NULL, NULL, 0);
    if (state.gone_count > 0 && br_kv_take_key(kv, &state, false) != 0)
        kv->sync.is_incomplete = true;
}

/* Both lists ascend by hash. What is equal in both needs nothing. */
static void on_leaves(struct br_kv *kv, struct br_kv_path path, const struct br_kv_leaf *leaves, uint32_t count,
                      bool is_half)
{
    const struct br_kv_store *s = &kv->store;
    uint32_t keys[BR_KV_LEAVES_MAX];
    uint32_t ours = br_kv_store_below(s, path, keys, BR_KV_LEAVES_MAX), at = 0;
    if (ours > BR_KV_LEAVES_MAX) {
        split(kv, path); /* what they hold of it will be told again with the children that we have; the rest now */
        ours = 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        for (; at < ours && br_kv_store_key(s, keys[at])->hash < leaves[i].hash; at++)
            on_missing(kv, keys[at], is_half);
        bool is_alone = (i == 0 || leaves[i - 1].hash != leaves[i].hash) &&
                        (i + 1 == count || leaves[i + 1].hash != leaves[i].hash);
        bool is_known = at < ours && br_kv_store_key(s, keys[at])->hash == leaves[i].hash;
        if (!is_known || !is_alone || br_kv_short(br_kv_store_version(s, keys[at]), kv->sync.salt) != leaves[i].state)
            add_wanted(kv, leaves[i].hash, !is_known || !is_alone);
        while (at < ours && br_kv_store_key(s, keys[at])->hash == leaves[i].hash && is_alone)
            at++;
    }
    for (; at < ours; at++)
        if (count == 0 || br_kv_store_key(s, keys[at])->hash != leaves[count - 1].hash)
            on_missing(kv, keys[at], is_half);
}

static bool read_leaves(struct br_kv *kv, struct br_reader *r, bool is_half)
{
    struct br_kv_leaf leaves[BR_KV_LEAVES_MAX];
    struct br_kv_leaf_head head;
    br_kv_read_leaf_head(r, &head);
    for (uint32_t i = 0; i < head.key_count && !r->failed; i++) {
        br_kv_read_leaf(r, head.path, &leaves[i]);
        if (i > 0 && leaves[i].hash < leaves[i - 1].hash)
            br_reader_fail(r);
    }
    if (r->failed || !take_asked(kv, head.path))
        return false;
    on_leaves(kv, head.path, leaves, head.key_count, is_half);
    return true;
}

static bool read_branch(struct br_kv *kv, struct br_reader *r)
{
    struct br_kv_branch branch;
    br_kv_read_branch(r, &branch);
    if (r->failed || !take_asked(kv, branch.path))
        return false;
    on_branch(kv, &branch);
    return true;
}

static bool read_path(struct br_kv *kv, struct br_reader *r)
{
    switch (br_read_u8(r)) {
    case BR_KV_IS_BRANCH: return read_branch(kv, r);
    case BR_KV_IS_LEAF: return read_leaves(kv, r, false);
    case BR_KV_IS_HALF_LEAF: return read_leaves(kv, r, true);
    default: return false;
    }
}

static void on_paths(struct br_kv *kv, struct br_reader *r)
{
    while (br_reader_left(r) > 0) {
        if (!read_path(kv, r)) {
            br_host_drop(kv->host, BRUIT_DROP_MALFORMED);
            finish(kv, false, "an answer that cannot be read");
            return;
        }
    }
    kv->sync.is_incomplete |= kv->sync.asked_count > 0; /* they left some out */
    go_on(kv);
}

/* ------------------------------------------------------------------ answers: keys */

static void forget_wanted(struct br_kv *kv, uint64_t hash)
{
    struct br_kv_sync *sync = &kv->sync;
    for (uint32_t i = sync->wanted_count; i-- > 0;)
        if (sync->wanted[i].hash == hash && sync->wanted[i].is_asked) {
            memmove(&sync->wanted[i], &sync->wanted[i + 1], (sync->wanted_count - i - 1) * sizeof *sync->wanted);
            sync->wanted_count--;
            return;
        }
}

/* What was asked and not answered is asked again; when there is nothing more to come it cannot be had now. */
static void settle_wanted(struct br_kv *kv, bool is_last)
{
    struct br_kv_sync *sync = &kv->sync;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < sync->wanted_count; i++) {
        struct br_kv_wanted wanted = sync->wanted[i];
        if (is_last && wanted.is_asked) {
            sync->is_incomplete = true;
            continue;
        }
        wanted.is_asked = false;
        sync->wanted[kept++] = wanted;
    }
    sync->wanted_count = kept;
}

/* The same of a key that they hold, too. */
static int drop_old(struct br_kv *kv, const struct br_kv_state *told)
{
    struct br_kv_before ours;
    struct br_kv_dot gone[BR_KV_SIBLINGS_MAX];
    struct br_kv_state state = {.key = told->key, .gone = gone};
    br_kv_dots(kv, told->key, &ours);
    for (uint32_t i = 0; i < ours.count; i++)
        if (!br_kv_context_covers(&kv->sync.theirs, ours.dots[i]) && is_forgotten(kv, ours.dots[i]) &&
            !was_told(told, ours.dots[i]))
            gone[state.gone_count++] = ours.dots[i];
    return state.gone_count == 0 ? 0 : br_kv_take_key(kv, &state, false);
}

/* A key as they hold it; with `is_ours`, an answer to us: what they lack of it is pushed in return. */
static bool take_item(struct br_kv *kv, const struct br_kv_state *state, bool is_ours, bool tell)
{
    struct br_kv_dot gone[BR_KV_SIBLINGS_MAX], dots[BR_KV_SIBLINGS_MAX];
    uint32_t gone_count = 0;
    if (is_ours) {
        for (uint32_t i = 0; i < state->write_count; i++)
            dots[i] = state->writes[i].dot;
        uint32_t key = br_kv_store_find(&kv->store, state->key);
        gone_count = br_kv_store_gone(&kv->store, key, dots, state->write_count, gone);
    }
    if (br_kv_take_key(kv, state, tell) != 0 || (is_ours && kv->sync.is_reset && drop_old(kv, state) != 0))
        return false;
    if (is_ours)
        push_key(kv, br_kv_store_find(&kv->store, state->key), state->key, state, gone, gone_count);
    return true;
}

static bool read_siblings(struct br_reader *r, const struct br_kv_key_head *head, struct br_kv_write *writes,
                          struct br_kv_past *past)
{
    for (uint32_t i = 0; i < head->sibling_count && !r->failed; i++)
        br_kv_read_item(r, head->key, &writes[i], past + (size_t)i * BR_KV_PAST_MAX);
    return !r->failed;
}

/* One item: false when it cannot be read. */
static bool read_key(struct br_kv *kv, struct br_reader *r, bool is_ours, bool tell)
{
    struct br_kv_write writes[BR_KV_SIBLINGS_MAX];
    struct br_kv_dot gone[BR_KV_SIBLINGS_MAX];
    struct br_kv_key_head head;
    br_kv_read_key_head(r, &head, gone);
    if (r->failed)
        return false;
    size_t size = head.sibling_count * BR_KV_PAST_MAX * sizeof(struct br_kv_past);
    struct br_kv_past *past = size == 0 ? NULL : bruit_host_resize(kv->host, NULL, 0, size);
    if (size > 0 && past == NULL)
        return false;
    bool is_read = read_siblings(r, &head, writes, past);
    struct br_kv_state state = {.key = head.key,
                                .writes = writes,
                                .write_count = head.sibling_count,
                                .gone = gone,
                                .gone_count = head.gone_count,
                                .joining = is_ours ? &kv->sync.theirs : NULL};
    if (is_read && !take_item(kv, &state, is_ours, tell))
        kv->sync.is_incomplete = true;
    if (is_read && is_ours)
        forget_wanted(kv, br_kv_hash(head.key));
    if (size > 0)
        (void)bruit_host_resize(kv->host, past, size, 0);
    return is_read;
}

static bool read_keys(struct br_kv *kv, struct br_reader *r, bool is_ours, bool tell)
{
    while (br_reader_left(r) > 0)
        if (!read_key(kv, r, is_ours, tell)) {
            br_host_drop(kv->host, BRUIT_DROP_MALFORMED);
            return false;
        }
    return true;
}

static void on_keys(struct br_kv *kv, struct br_reader *r, bool is_last)
{
    if (!read_keys(kv, r, true, false)) {
        finish(kv, false, "an answer that cannot be read");
        return;
    }
    settle_wanted(kv, is_last);
    go_on(kv);
}

/* ------------------------------------------------------------------ going on */

void br_kv_sync_answer(struct br_kv *kv, enum br_kv_kind kind, const struct br_kv_session *session, bruit_node from,
                       struct br_reader *r)
{
    struct br_kv_sync *sync = &kv->sync;
    uint32_t life = session->flags & BR_KV_ANSWER ? br_read_u32(r) : 0;
    if (kind == BR_KV_KEYS && ((session->flags & BR_KV_PUSH) || session->id == 0)) {
        (void)read_keys(kv, r, false, session->id == 0 && !(session->flags & BR_KV_PUSH));
        return;
    }
    if (sync->question == NULL || session->id != sync->id || from != sync->node)
        return; /* old */
    drop_question(kv);
    if (sync->step == BR_KV_STEP_DIGEST)
        sync->life = life;
    if (sync->life != life)
        finish(kv, false, "they began anew meanwhile");
    else if (sync->step == BR_KV_STEP_DIGEST && kind == BR_KV_DIGEST)
        on_digest(kv, session->flags, r);
    else if (sync->step == BR_KV_STEP_DIGEST && kind == BR_KV_CONTEXT)
        on_context(kv, session->flags, r);
    else if (sync->step == BR_KV_STEP_BRANCHES && kind == BR_KV_LEAVES)
        on_paths(kv, r);
    else if (sync->step == BR_KV_STEP_WANT && kind == BR_KV_KEYS)
        on_keys(kv, r, (session->flags & BR_KV_LAST) != 0);
    else
        finish(kv, false, "an answer to something else");
}

/* The next question, as soon as the budget allows it; keys first, so that what waits stays short. */
static void go_on(struct br_kv *kv)
{
    struct br_kv_sync *sync = &kv->sync;
    sync->is_due = !br_kv_budget_has(&kv->budget, br_kv_now(kv));
    if (sync->is_due)
        return;
    if (sync->asked == NULL)
        sync->asked = br_alloc_array(kv->alloc, BR_KV_PATHS_MAX, sizeof *sync->asked);
    if (sync->asked == NULL)
        finish(kv, false, "no memory");
    else if (sync->wanted_count >= BR_KV_WANTS_MAX || (sync->wanted_count > 0 && sync->path_count == 0))
        ask_keys(kv);
    else if (sync->path_count > 0)
        ask_branches(kv);
    else
        finish(kv, !sync->is_incomplete, sync->is_incomplete ? "not all of it could be had" : "repaired");
}

/* ------------------------------------------------------------------ the end */

static void release(struct br_kv *kv)
{
    struct br_kv_sync *sync = &kv->sync;
    drop_question(kv);
    if (sync->has_theirs)
        br_kv_context_fini(&sync->theirs);
    (void)bruit_host_resize(kv->host, sync->paths, sync->path_capacity * sizeof *sync->paths, 0);
    (void)bruit_host_resize(kv->host, sync->wanted, sync->wanted_capacity * sizeof *sync->wanted, 0);
    (void)bruit_host_resize(kv->host, sync->push, sync->push_capacity, 0);
    br_alloc_free(kv->alloc, sync->asked, BR_KV_PATHS_MAX * sizeof *sync->asked);
    sync->has_theirs = false;
    sync->paths = NULL;
    sync->wanted = NULL;
    sync->push = NULL;
    sync->asked = NULL;
    sync->path_count = sync->path_capacity = sync->wanted_count = sync->wanted_capacity = sync->asked_count = 0;
    sync->push_size = sync->push_capacity = 0;
    sync->is_due = false;
    sync->step = BR_KV_STEP_IDLE;
}

void br_kv_sync_fini(struct br_kv *kv)
{
    release(kv);
}

/* They lack something of ours, or cover less than we do now: they may compare with us. */
static void give_turn(struct br_kv *kv)
{
    struct br_kv_sync *sync = &kv->sync;
    uint8_t bytes[BR_KV_BEGIN_MAX + 64];
    struct br_writer w;
    struct br_kv_digest ours = br_kv_own_digest(kv, sync->salt);
    if (ours.root == sync->digest.root && ours.context == sync->digest.context)
        return;
    br_writer_init(&w, bytes, sizeof bytes);
    br_kv_begin(kv, &w, BR_KV_DIGEST, 0, BR_KV_TURN);
    br_kv_write_digest(&w, &ours);
    BR_ASSERT(!w.failed);
    (void)br_kv_send(kv, sync->node, br_writer_bytes(&w)); /* lost: they will compare by themselves */
}

static void join(struct br_kv *kv)
{
    struct br_kv_sync *sync = &kv->sync;
    uint64_t before = br_kv_context_digest(&kv->store.context);
    if (br_kv_store_join(&kv->store, &sync->theirs, br_kv_now(kv)) != 0) {
        kv->is_incomplete = true;
        br_host_drop(kv->host, BRUIT_DROP_KV_FULL);
        return;
    }
    br_kv_be_unique(kv);
    kv->is_incomplete = false;
    if (sync->they_forgot)
        br_kv_forgot(kv);
    if (br_kv_context_digest(&kv->store.context) != before)
        br_kv_disk_context(kv);
}

/* Soon at first, since most of what is in the way goes by; but a store that is full must not cost bytes for ever. */
static bruit_time patience(struct br_kv *kv)
{
    bruit_time delay = AGAIN << (kv->sync.failures < 8 ? kv->sync.failures - 1 : 7);
    bruit_time most = br_time_mul(kv->options.sync_interval, 6);
    delay = br_time_min(delay, most);
    return delay + bruit_host_random_below(kv->host, delay + 1);
}

static void finish(struct br_kv *kv, bool is_complete, const char *outcome)
{
    struct br_kv_sync *sync = &kv->sync;
    if (!is_complete || sync->has_theirs) /* that nothing differed is not worth a line every ten seconds */
        BR_TRACE(kv->tracer, kv_compared, .name = bruit_member_name(bruit_host_engine(kv->host), sync->node),
                 .outcome = outcome);
    flush_push(kv);
    if (is_complete && sync->has_theirs)
        join(kv);
    if (sync->has_theirs && !sync->is_turn)
        give_turn(kv);
    if (is_complete && sync->with_stale && br_kv_is_stale(kv))
        br_kv_met_stale(kv);
    else if (is_complete)
        br_kv_met(kv, sync->has_theirs ? &sync->theirs : NULL);
    sync->count += is_complete;
    sync->state = is_complete ? BRUIT_KV_EQUAL : BRUIT_KV_BEHIND;
    sync->failures = is_complete ? 0 : sync->failures + 1;
    release(kv);
    if (kv->options.sync_interval != 0)
        plan(kv, is_complete ? usual(kv) : patience(kv));
}

/* ------------------------------------------------------------------ time */

bruit_time br_kv_sync_deadline(const struct br_kv *kv)
{
    const struct br_kv_sync *sync = &kv->sync;
    if (sync->step == BR_KV_STEP_IDLE)
        return sync->at;
    if (sync->is_due)
        return br_time_min(sync->end_at, br_kv_budget_when(&kv->budget));
    return br_time_min(sync->end_at, sync->repeat_at);
}

void br_kv_sync_tick(struct br_kv *kv)
{
    struct br_kv_sync *sync = &kv->sync;
    bruit_time now = br_kv_now(kv);
    if (sync->step == BR_KV_STEP_IDLE) {
        if (sync->at <= now)
            start(kv);
    } else if (sync->end_at <= now || !bruit_host_is_peer(kv->host, sync->node)) {
        finish(kv, false, "it took too long, or they are gone");
    } else if (sync->is_due) {
        go_on(kv);
    } else if (sync->repeat_at <= now && sync->attempts >= ATTEMPTS) {
        finish(kv, false, "no answer");
    } else if (sync->repeat_at <= now) {
        send_question(kv);
    }
}
