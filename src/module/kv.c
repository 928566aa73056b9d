/*
 * Replicated key-value state as a module: its table, its options, and who gets what (kv_core.h has the map).
 *
 * Timers, all of which exist only while somebody needs them:
 *   compare      every sync_interval, jittered, while there are peers; sooner after news of one, or a gap
 *   repeat       a question of a comparison that was not answered
 *   serve        questions that wait for the budget
 *   requests     acknowledgements that did not come, and the end of waiting for them
 *   alarms       what expires, or whose owner is gone; tombstones to be collected
 */
#include "module/kv_core.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/siphash.h"

struct br_kv *br_kv_of(const struct bruit_engine *engine)
{
    return bruit_engine_module(engine, &bruit_kv_module);
}

uint8_t *br_kv_scratch(struct br_kv *kv, size_t size)
{
    if (size <= kv->scratch_size)
        return kv->scratch;
    uint8_t *more = bruit_host_resize(kv->host, kv->scratch, kv->scratch_size, size);
    if (more == NULL)
        return NULL;
    kv->scratch = more;
    kv->scratch_size = size;
    return more;
}

/* ------------------------------------------------------------------ members */

struct bruit_bytes br_kv_own_name(const struct br_kv *kv)
{
    const struct bruit_engine *engine = bruit_host_engine(kv->host);
    return bruit_member_name(engine, bruit_member_self(engine));
}

bruit_node br_kv_peer(const struct br_kv *kv, struct bruit_bytes name)
{
    const struct bruit_engine *engine = bruit_host_engine(kv->host);
    bruit_node node = name.size == 0 ? 0 : bruit_member_find(engine, name);
    if (node == 0 || node == bruit_member_self(engine) || !bruit_host_is_peer(kv->host, node))
        return 0;
    return node;
}

bruit_node br_kv_random_peer(struct br_kv *kv)
{
    const struct bruit_engine *engine = bruit_host_engine(kv->host);
    bruit_node self = bruit_member_self(engine), chosen = 0;
    uint64_t count = 0;
    for (bruit_node node = 0; (node = bruit_member_next(engine, node)) != 0;)
        if (node != self && bruit_host_is_peer(kv->host, node) && bruit_host_random_below(kv->host, ++count) == 0)
            chosen = node;
    return chosen;
}

/* ------------------------------------------------------------------ messages */

void br_kv_write_from(struct br_writer *w, struct bruit_bytes name)
{
    br_write_u8(w, (uint8_t)name.size);
    br_write_bytes(w, name);
}

struct bruit_bytes br_kv_read_from(struct br_reader *r)
{
    return br_read_bytes(r, br_read_u8(r));
}

int br_kv_send_addr(struct br_kv *kv, const struct bruit_addr *to, struct bruit_bytes message)
{
    kv->bytes_out += message.size;
    if (message.size <= bruit_host_message_room(kv->host))
        return bruit_host_send(kv->host, to, message);
    return bruit_host_send_stream(kv->host, to, message);
}

int br_kv_send(struct br_kv *kv, bruit_node to, struct bruit_bytes message)
{
    struct bruit_member member;
    if (bruit_member_get(bruit_host_engine(kv->host), to, &member) != 0)
        return BRUIT_ENOENT;
    return br_kv_send_addr(kv, &member.addr, message);
}

/* What comparing says goes to whoever asked, or answers what we asked: `r` behind the head. */
static void on_session(struct br_kv *kv, enum br_kv_kind kind, struct br_reader *r, struct bruit_bytes message)
{
    struct br_kv_session session;
    br_kv_read_session(r, &session);
    bruit_node from = br_kv_peer(kv, br_kv_read_from(r));
    if (r->failed || from == 0) {
        br_host_drop(kv->host, r->failed ? BRUIT_DROP_MALFORMED : BRUIT_DROP_KV_STRANGER);
        return;
    }
    if (session.flags & (BR_KV_ANSWER | BR_KV_PUSH))
        br_kv_sync_answer(kv, kind, &session, from, r);
    else
        br_kv_serve(kv, from, &session, message);
}

static void on_message(void *self, struct bruit_bytes message, struct bruit_bytes body, const struct bruit_addr *from)
{
    struct br_kv *kv = self;
    struct br_reader r;
    (void)from; /* of a stream it is no way back: messages that are answered say whose they are */
    br_reader_init(&r, body);
    enum br_kv_kind kind = br_kv_read_head(&r);
    kv->bytes_in += message.size;
    kv->is_started = true;
    switch (kind) {
    case BR_KV_WRITE: br_kv_on_write(kv, &r, message); break;
    case BR_KV_ANNOUNCE: br_kv_on_announce(kv, &r); break;
    case BR_KV_ACK: br_kv_on_ack(kv, &r); break;
    default:
        if (r.failed)
            br_host_drop(kv->host, BRUIT_DROP_MALFORMED);
        else
            on_session(kv, kind, &r, message);
    }
}

/* ------------------------------------------------------------------ hooks */

static void on_member(void *self, bruit_node node, uint32_t changes)
{
    struct br_kv *kv = self;
    if (node == bruit_member_self(bruit_host_engine(kv->host)))
        return;
    br_kv_sync_member(kv, node, changes);
    br_kv_life_member(kv, node, changes);
}

static bool on_leave(void *self)
{
    struct br_kv *kv = self;
    kv->is_left = true;
    return false;
}

static void on_stored(void *self, uint64_t token, int status)
{
    br_kv_disk_stored(self, token, status);
}

static bruit_time deadline(const void *self)
{
    const struct br_kv *kv = self;
    bruit_time next = br_time_min(br_kv_sync_deadline(kv), br_kv_serve_deadline(kv));
    next = br_time_min(next, br_time_min(kv->requests_at, br_kv_disk_deadline(kv)));
    return br_time_min(next, br_kv_life_deadline(kv));
}

static void on_time(void *self)
{
    struct br_kv *kv = self;
    br_kv_disk_tick(kv);
    if (kv->requests_at <= br_kv_now(kv))
        br_kv_requests_tick(kv);
    br_kv_life_tick(kv);
    br_kv_serve_tick(kv);
    br_kv_sync_tick(kv);
}

/* ------------------------------------------------------------------ options */

void bruit_kv_options_default(struct bruit_kv_options *options)
{
    struct br_kv_limits limits = br_kv_limits_default();
    *options = (struct bruit_kv_options){.struct_size = sizeof *options,
                                         .keys_max = limits.keys_max,
                                         .bytes_max = limits.bytes_max,
                                         .siblings_max = limits.siblings_max,
                                         .actors_max = limits.actors_max,
                                         .sync_budget = 262144,
                                         .sync_interval = 10 * BRUIT_SECOND,
                                         .horizon = 7 * 24 * 3600 * BRUIT_SECOND,
                                         .ttl_grace = 10 * BRUIT_SECOND,
                                         .owner_grace = 30 * BRUIT_SECOND,
                                         .ack_timeout = 5 * BRUIT_SECOND,
                                         .clock_ahead_max = 3600 * BRUIT_SECOND,
                                         .changes_max = limits.changes_max};
}

static bool is_sane(const struct bruit_kv_options *o)
{
    return o->struct_size == sizeof *o && o->keys_max > 0 && o->bytes_max > 0 && o->siblings_max >= 2 &&
           o->siblings_max <= BR_KV_SIBLINGS_MAX && o->actors_max > 0 && o->sync_budget > 0 &&
           o->sync_budget <= (UINT64_C(1) << 40) && o->horizon > 0 && o->ack_timeout > 0 && o->changes_max >= 16 &&
           o->changes_max <= 1048576;
}

/* Drawn, mixed with whatever differs from start to start. */
uint64_t br_kv_draw_actor(struct br_kv *kv)
{
    uint64_t parts[4] = {bruit_host_random(kv->host), br_kv_now(kv), kv->options.entropy, kv->clock.wall};
    uint8_t key[16] = {0}, bytes[32];
    struct bruit_bytes name = bruit_host_config(kv->host)->name;
    for (size_t i = 0; i < 4; i++)
        br_store_u64(bytes + 8 * i, parts[i]);
    br_store_u64(key, bruit_host_random(kv->host));
    br_store_u64(key + 8, br_siphash24(key, name));
    uint64_t actor = br_siphash24(key, br_bytes(bytes, sizeof bytes));
    return actor == 0 ? 1 : actor;
}

/* With writes that are not durable yet the counter of the old one is not known to be free: they come first. */
void br_kv_be_unique(struct br_kv *kv)
{
    if (!kv->store.is_impersonated || (kv->disk.is_on && kv->disk.durable < kv->store.counter))
        return;
    BR_TRACE(kv->tracer, kv_impersonated, .actor = kv->store.actor);
    br_host_drop(kv->host, BRUIT_DROP_KV_IMPERSONATED);
    br_kv_store_be(&kv->store, br_kv_draw_actor(kv), 0);
    kv->disk.has_actor = false;
    kv->disk.durable = 0;
    kv->disk.synced_counter = kv->sync.ours_counter = 0;
}

static void open_store(struct br_kv *kv)
{
    struct br_kv_limits limits = br_kv_limits_default();
    uint64_t secret[2] = {bruit_host_random(kv->host), bruit_host_random(kv->host)};
    limits.keys_max = kv->options.keys_max;
    limits.bytes_max = kv->options.bytes_max;
    limits.siblings_max = kv->options.siblings_max;
    limits.actors_max = kv->options.actors_max;
    limits.changes_max = kv->options.changes_max;
    br_kv_store_init(&kv->store, kv->alloc, &limits, br_kv_draw_actor(kv), secret);
    kv->life = (uint32_t)br_kv_draw_actor(kv);
    kv->change_base = ((bruit_host_random(kv->host) >> 41) + 1) << 40;
    kv->change_told = br_kv_store_cursor(&kv->store);
    kv->clock.ahead_max = kv->options.clock_ahead_max;
    br_kv_budget_init(&kv->budget, kv->options.sync_budget, br_kv_now(kv));
}

int bruit_kv_configure(struct bruit_engine *engine, const struct bruit_kv_options *options)
{
    struct br_kv *kv = br_kv_of(engine);
    if (kv == NULL)
        return BRUIT_ENOENT;
    if (kv->is_started || kv->is_loaded)
        return BRUIT_EBUSY;
    if (!is_sane(options))
        return BRUIT_EINVAL;
    kv->options = *options;
    br_kv_store_fini(&kv->store);
    open_store(kv);
    return 0;
}

void bruit_kv_wall_time(struct bruit_engine *engine, uint64_t unix_ns, bruit_time now)
{
    struct br_kv *kv = br_kv_of(engine);
    if (kv == NULL)
        return;
    br_host_input(kv->host, now);
    br_kv_clock_set(&kv->clock, unix_ns, now);
    if (!kv->is_started && !kv->is_loaded) /* it makes the number of this store differ, too */
        br_kv_store_be(&kv->store, br_kv_draw_actor(kv), 0);
}

/* ------------------------------------------------------------------ life */

static int init(void *self, struct bruit_host *host)
{
    struct br_kv *kv = self;
    kv->host = host;
    kv->tracer = br_host_tracer(host);
    kv->alloc = br_host_alloc(host);
    kv->requests_at = BRUIT_NEVER;
    bruit_kv_options_default(&kv->options);
    br_kv_disk_init(kv);
    br_kv_sync_init(kv);
    open_store(kv);
    kv->seen = bruit_host_resize(host, NULL, 0, 16 * BR_KV_SIBLINGS_MAX);
    return kv->seen == NULL ? BRUIT_ENOMEM : 0;
}

static void fini(void *self)
{
    struct br_kv *kv = self;
    br_kv_requests_fini(kv);
    br_kv_serve_fini(kv);
    br_kv_sync_fini(kv);
    br_kv_life_fini(kv);
    br_kv_disk_fini(kv);
    br_kv_store_fini(&kv->store);
    (void)bruit_host_resize(kv->host, kv->scratch, kv->scratch_size, 0);
    (void)bruit_host_resize(kv->host, kv->seen, kv->seen == NULL ? 0 : 16 * BR_KV_SIBLINGS_MAX, 0);
}

static const uint8_t message_types[] = {BR_KV_MESSAGE};

const struct bruit_module bruit_kv_module = {
    .struct_size = sizeof bruit_kv_module,
    .name = "kv",
    .state_size = sizeof(struct br_kv),
    .message_types = message_types,
    .message_type_count = sizeof message_types,
    .capability = 1,
    .init = init,
    .fini = fini,
    .on_member = on_member,
    .on_message = on_message,
    .deadline = deadline,
    .on_time = on_time,
    .on_leave = on_leave,
    .on_stored = on_stored,
};
