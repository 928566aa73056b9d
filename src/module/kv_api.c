/*
 * Key-value state for the program: reading, writing, walking, watching (<bruit/kv.h>).
 *
 * A write of ours goes this way: checked and given room, into the store, to the disk, and once it is durable there (at
 * once without a disk) to the others and to whoever waits for it.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "base/text.h"
#include "module/kv_core.h"

#define DOT_SIZE 16
#define TTL_MAX (10 * UINT64_C(366) * 24 * 3600 * BRUIT_SECOND)

/* What a record of the store says besides the value: names, numbers. */
#define RECORD_MORE 2048

/* ------------------------------------------------------------------ reading */

bool br_kv_is_shown(const struct br_kv *kv, const struct br_kv_sibling *sibling)
{
    return !sibling->is_delete && sibling->expires > br_kv_now(kv);
}

bool br_kv_is_exposed(const struct br_kv *kv, struct br_kv_dot dot)
{
    return !kv->disk.is_on || dot.actor != kv->store.actor || dot.counter <= kv->disk.durable;
}

bool br_kv_key_is_exposed(const struct br_kv *kv, uint32_t key)
{
    const struct br_kv_store *s = &kv->store;
    for (uint32_t i = br_kv_store_first(s, key); i != BR_KV_NONE; i = br_kv_store_next(s, i))
        if (!br_kv_is_exposed(kv, br_kv_store_dot(s, i)))
            return false;
    return true;
}

/*
 * Equal for the same values to show. It cannot be the store's own, which still counts what has expired but was not
 * removed yet: then a comparison with "no value" would fail on a key that shows none.
 */
static uint64_t shown_version(const struct br_kv *kv, uint32_t key, uint32_t *count)
{
    const struct br_kv_store *s = &kv->store;
    uint64_t version = 0;
    *count = 0;
    for (uint32_t i = br_kv_store_first(s, key); i != BR_KV_NONE; i = br_kv_store_next(s, i)) {
        const struct br_kv_sibling *sibling = br_kv_store_sibling(s, i);
        if (!br_kv_is_shown(kv, sibling))
            continue;
        version ^= br_kv_sibling_hash(br_kv_store_key(s, key)->hash, br_kv_store_dot(s, i), sibling->hlc);
        ++*count;
    }
    return *count > 0 && version == 0 ? 1 : version;
}

/* The shown sibling of that rank, or BR_KV_NONE. */
static uint32_t shown_sibling(const struct br_kv *kv, uint32_t key, uint32_t rank)
{
    const struct br_kv_store *s = &kv->store;
    uint32_t i = br_kv_store_first(s, key);
    for (; i != BR_KV_NONE; i = br_kv_store_next(s, i))
        if (br_kv_is_shown(kv, br_kv_store_sibling(s, i)) && rank-- == 0)
            break;
    return i;
}

/* All that the store holds of a key, hidden ones too: who writes with it replaces them all. */
static struct bruit_bytes seen_of(const struct br_kv *kv, uint32_t key)
{
    const struct br_kv_store *s = &kv->store;
    struct br_writer w;
    br_writer_init(&w, kv->seen, DOT_SIZE * BR_KV_SIBLINGS_MAX);
    for (uint32_t i = br_kv_store_first(s, key); i != BR_KV_NONE; i = br_kv_store_next(s, i)) {
        struct br_kv_dot dot = br_kv_store_dot(s, i);
        br_write_u64(&w, dot.actor);
        br_write_u64(&w, dot.counter);
    }
    return br_writer_bytes(&w);
}

static void describe(const struct br_kv *kv, uint32_t key, uint32_t slot, uint32_t rank, struct bruit_kv_entry *out)
{
    const struct br_kv_store *s = &kv->store;
    const struct br_kv_sibling *sibling = br_kv_store_sibling(s, slot);
    struct br_kv_dot dot = br_kv_store_dot(s, slot);
    *out = (struct bruit_kv_entry){.key = br_kv_store_name(s, key),
                                   .value = br_kv_store_value(s, slot),
                                   .owner = br_kv_store_owner(s, slot),
                                   .seen = seen_of(kv, key),
                                   .stamp = sibling->hlc,
                                   .actor = dot.actor,
                                   .counter = dot.counter,
                                   .sibling = rank,
                                   .is_durable = br_kv_is_exposed(kv, dot)};
    out->version = shown_version(kv, key, &out->sibling_count);
    out->lifetime = (enum bruit_kv_lifetime)sibling->life;
    if (sibling->life == BR_KV_EXPIRES)
        out->ttl = br_time_since(br_kv_now(kv), sibling->expires);
}

int bruit_kv_get(const struct bruit_engine *engine, struct bruit_bytes key, uint32_t sibling,
                 struct bruit_kv_entry *out)
{
    const struct br_kv *kv = br_kv_of(engine);
    uint32_t slot = kv == NULL ? BR_KV_NONE : br_kv_store_find(&kv->store, key);
    uint32_t at = slot == BR_KV_NONE ? BR_KV_NONE : shown_sibling(kv, slot, sibling);
    if (at == BR_KV_NONE)
        return BRUIT_ENOENT;
    describe(kv, slot, at, sibling, out);
    return 0;
}

static bool begins_with(struct bruit_bytes name, struct bruit_bytes prefix)
{
    return name.size >= prefix.size && br_bytes_equal(br_bytes(name.data, prefix.size), prefix);
}

bool bruit_kv_list(const struct bruit_engine *engine, struct bruit_bytes prefix, struct bruit_bytes after,
                   struct bruit_kv_entry *out)
{
    const struct br_kv *kv = br_kv_of(engine);
    if (kv == NULL)
        return false;
    const struct br_kv_store *s = &kv->store;
    bool from_start = br_bytes_compare(after, prefix) < 0;
    uint32_t key = br_kv_store_walk(s, from_start ? prefix : after, from_start);
    while (key != BR_KV_NONE && begins_with(br_kv_store_name(s, key), prefix)) {
        uint32_t winner = shown_sibling(kv, key, 0);
        if (winner != BR_KV_NONE) {
            describe(kv, key, winner, 0, out);
            return true;
        }
        key = br_kv_store_walk(s, br_kv_store_name(s, key), false);
    }
    return false;
}

/* ------------------------------------------------------------------ checking a write */

static int refuse(int error, char *text, size_t size, const char *before, uint64_t number, const char *after)
{
    struct br_text t;
    br_text_init(&t, text, size);
    br_text_string(&t, before);
    br_text_u64(&t, number);
    br_text_string(&t, after);
    (void)br_text_end(&t); /* cut is fine: it is for people */
    return error;
}

static int check_room(const struct br_kv *kv, struct bruit_bytes key, struct bruit_bytes value, char *text, size_t size)
{
    const struct br_kv_store *s = &kv->store;
    uint32_t slot = br_kv_store_find(s, key);
    if (slot == BR_KV_NONE && s->live_keys >= s->limits.keys_max)
        return refuse(BRUIT_EFULL, text, size, "the store is full: keys_max is ", s->limits.keys_max, " keys");
    if (s->bytes + value.size + (slot == BR_KV_NONE ? key.size : 0) > s->limits.bytes_max)
        return refuse(BRUIT_EFULL, text, size, "the store is full: bytes_max is ", s->limits.bytes_max, " bytes");
    return 0;
}

static int check(const struct br_kv *kv, struct bruit_bytes key, struct bruit_bytes value, char *text, size_t size)
{
    if (key.size == 0)
        return refuse(BRUIT_EINVAL, text, size, "the key is empty: it must have 1 to ", BRUIT_KV_KEY_MAX, " bytes");
    if (key.size > BRUIT_KV_KEY_MAX)
        return refuse(BRUIT_ETOOBIG, text, size, "the key is too long: the limit is ", BRUIT_KV_KEY_MAX, " bytes");
    if (value.size > BRUIT_KV_VALUE_MAX)
        return refuse(BRUIT_ETOOBIG, text, size, "the value is too large: the limit is ", BRUIT_KV_VALUE_MAX, " bytes");
    return check_room(kv, key, value, text, size);
}

int bruit_kv_check(const struct bruit_engine *engine, struct bruit_bytes key, struct bruit_bytes value, char *text,
                   size_t size)
{
    const struct br_kv *kv = br_kv_of(engine);
    if (size > 0)
        text[0] = '\0';
    return kv == NULL ? BRUIT_ENOENT : check(kv, key, value, text, size);
}

static int check_how(const struct br_kv *kv, const struct bruit_kv_write *how)
{
    if (how->struct_size != sizeof *how || how->seen.size % DOT_SIZE != 0 ||
        how->seen.size > (size_t)DOT_SIZE * BR_KV_SIBLINGS_MAX || how->ack > BRUIT_KV_ACK_MAX)
        return BRUIT_EINVAL;
    if ((unsigned)how->mode > BRUIT_KV_SEEN || (unsigned)how->lifetime > BRUIT_KV_OWNED)
        return BRUIT_EINVAL;
    if (how->lifetime == BRUIT_KV_EXPIRES && (how->ttl < BRUIT_MILLISECOND || how->ttl > TTL_MAX))
        return BRUIT_EINVAL;
    if (how->lifetime == BRUIT_KV_OWNED && how->owner.size > 0 &&
        bruit_member_find(bruit_host_engine(kv->host), how->owner) == 0)
        return BRUIT_ENOENT;
    return 0;
}

/* ------------------------------------------------------------------ writing */

static int compare_version(const struct br_kv *kv, struct bruit_bytes key, const struct bruit_kv_write *how,
                           bool is_delete)
{
    uint32_t slot = br_kv_store_find(&kv->store, key), count = 0;
    uint64_t version = slot == BR_KV_NONE ? 0 : shown_version(kv, slot, &count);
    if (how->mode == BRUIT_KV_COMPARE && how->version != version)
        return BRUIT_ECHANGED;
    if (is_delete && how->mode != BRUIT_KV_SEEN && count == 0)
        return BRUIT_ENOENT;
    return 0;
}

static void read_seen(struct bruit_bytes seen, struct br_kv_dot *dots)
{
    struct br_reader r;
    br_reader_init(&r, seen);
    for (size_t i = 0; i < seen.size / DOT_SIZE; i++) {
        dots[i].actor = br_read_u64(&r);
        dots[i].counter = br_read_u64(&r);
    }
}

static bool are_dots(const struct br_kv_dot *dots, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (dots[i].counter == 0 || dots[i].counter > BR_KV_COUNTER_MAX)
            return false;
    return true;
}

int br_kv_put_local(struct br_kv *kv, const struct br_kv_put *put, uint32_t request)
{
    struct br_kv_past past[BR_KV_PAST_MAX];
    struct br_kv_before before;
    struct br_kv_write write;
    struct br_kv_merged merged;
    br_kv_be_unique(kv);
    if (kv->store.is_impersonated || !br_kv_disk_has_room(kv, put->key, put->value.size + RECORD_MORE))
        return BRUIT_EFULL; /* what others know our next numbers as is not ours: until the disk allows another name */
    struct br_buf *item = br_kv_item_space(kv, put);
    if (item == NULL)
        return BRUIT_ENOMEM;
    br_kv_before(kv, put->key, &before);
    int status = br_kv_store_put(&kv->store, put, br_kv_now(kv), &write, past, &merged);
    if (status != 0) {
        br_buf_drop(kv->alloc, item);
        return status;
    }
    kv->is_started = true;
    br_kv_item_fill(item, &write);
    before.come[before.come_count++] = write.dot;
    br_kv_disk_key(kv, put->key, &before);
    br_kv_life_added(kv, put->key);
    br_kv_disk_wait(kv, &(struct br_kv_wait){.item = item,
                                             .dot = write.dot,
                                             .request = request,
                                             .is_delete = put->is_delete,
                                             .hash = br_kv_hash(put->key)});
    br_kv_changed(kv);
    return 0;
}

static int write_key(struct br_kv *kv, struct bruit_bytes key, struct bruit_bytes value, bool is_delete,
                     const struct bruit_kv_write *how, uint32_t request)
{
    struct br_kv_dot dots[BR_KV_SIBLINGS_MAX];
    read_seen(how->seen, dots);
    if (how->mode == BRUIT_KV_SEEN && !are_dots(dots, how->seen.size / DOT_SIZE))
        return BRUIT_EINVAL;
    struct br_kv_put put = {.key = key,
                            .value = value,
                            .is_delete = is_delete,
                            .hlc = br_kv_clock_tick(&kv->clock, br_kv_now(kv)),
                            .replaces_all = how->mode != BRUIT_KV_SEEN,
                            .replaces = dots,
                            .replaces_count = (uint32_t)(how->seen.size / DOT_SIZE)};
    if (how->mode != BRUIT_KV_SEEN)
        put.replaces_count = 0;
    if (!is_delete) {
        put.life = (enum br_kv_life)how->lifetime;
        put.ttl_ms = how->lifetime == BRUIT_KV_EXPIRES ? how->ttl / BRUIT_MILLISECOND : 0;
        if (how->lifetime == BRUIT_KV_OWNED)
            put.owner = how->owner.size > 0 ? how->owner : br_kv_own_name(kv);
    }
    return br_kv_put_local(kv, &put, request);
}

static int write_local(struct bruit_engine *engine, struct bruit_bytes key, struct bruit_bytes value, bool is_delete,
                       const struct bruit_kv_write *how, uint32_t *request, bruit_time now)
{
    static const struct bruit_kv_write plain = {.struct_size = sizeof plain};
    struct br_kv *kv = br_kv_of(engine);
    if (kv == NULL)
        return BRUIT_ENOENT;
    br_host_input(kv->host, now);
    if (how == NULL)
        how = &plain;
    if (kv->is_left)
        return BRUIT_ECLOSED;
    int status = check_how(kv, how);
    if (status == 0)
        status = is_delete && key.size > 0 && key.size <= BRUIT_KV_KEY_MAX ? 0 : check(kv, key, value, NULL, 0);
    if (status == 0)
        status = compare_version(kv, key, how, is_delete);
    if (status != 0)
        return status;
    uint32_t number = 0;
    if (request != NULL) {
        bruit_time timeout = how->ack_timeout != 0 ? how->ack_timeout : kv->options.ack_timeout;
        number = br_kv_request_new(kv, how->ack, timeout);
        if (number == 0)
            return BRUIT_EFULL;
        *request = number;
    }
    status = write_key(kv, key, value, is_delete, how, number);
    if (status != 0)
        br_kv_request_drop(kv, number);
    else
        kv->writes++;
    return status;
}

int bruit_kv_put(struct bruit_engine *engine, struct bruit_bytes key, struct bruit_bytes value,
                 const struct bruit_kv_write *how, uint32_t *request, bruit_time now)
{
    return write_local(engine, key, value, false, how, request, now);
}

int bruit_kv_delete(struct bruit_engine *engine, struct bruit_bytes key, const struct bruit_kv_write *how,
                    uint32_t *request, bruit_time now)
{
    return write_local(engine, key, br_bytes(NULL, 0), true, how, request, now);
}

int bruit_kv_done_read(const struct bruit_event *event, struct bruit_kv_done *out)
{
    if (event->type != BRUIT_EVENT_KV_DONE || event->data.size != sizeof *out)
        return BRUIT_EINVAL;
    memcpy(out, event->data.data, sizeof *out);
    return 0;
}

/* ------------------------------------------------------------------ watching */

/* Said once until somebody reads. When it cannot be said now, the next change says it. */
void br_kv_changed(struct br_kv *kv)
{
    if (kv->is_change_told || br_kv_store_cursor(&kv->store) == kv->change_told)
        return;
    if (bruit_host_emit(kv->host, &(struct bruit_event){.type = BRUIT_EVENT_KV_CHANGED}) == 0)
        kv->is_change_told = true;
}

bool bruit_kv_next_change(struct bruit_engine *engine, uint64_t cursor, struct bruit_bytes prefix,
                          struct bruit_kv_change *out)
{
    struct br_kv *kv = br_kv_of(engine);
    *out = (struct bruit_kv_change){.cursor = cursor};
    if (kv == NULL)
        return false;
    const struct br_kv_store *s = &kv->store;
    uint64_t newest = kv->change_base + br_kv_store_cursor(s), at = cursor - kv->change_base;
    struct br_kv_change change;
    int status = cursor < kv->change_base || cursor > newest ? BRUIT_ERESET : 0;
    kv->is_change_told = false;
    kv->change_told = br_kv_store_cursor(s);
    while (status == 0 && (status = br_kv_store_change(s, &at, &change)) == 0) {
        out->cursor = kv->change_base + at;
        out->key = br_kv_store_name(s, change.key);
        if (begins_with(out->key, prefix))
            return true;
    }
    out->key = br_bytes(NULL, 0);
    if (status != BRUIT_ERESET)
        return false;
    out->cursor = newest;
    out->is_gap = true;
    return true;
}

/* ------------------------------------------------------------------ what it is like */

static uint64_t count_peers(const struct br_kv *kv)
{
    const struct bruit_engine *engine = bruit_host_engine(kv->host);
    uint64_t count = 0;
    for (bruit_node node = 0; (node = bruit_member_next(engine, node)) != 0;)
        count += node != bruit_member_self(engine) && bruit_host_is_peer(kv->host, node);
    return count;
}

int bruit_kv_stat(const struct bruit_engine *engine, struct bruit_kv_stat *out)
{
    const struct br_kv *kv = br_kv_of(engine);
    if (kv == NULL)
        return BRUIT_ENOENT;
    const struct br_kv_store *s = &kv->store;
    *out = (struct bruit_kv_stat){.keys = s->live_keys,
                                  .values = s->live_siblings,
                                  .tombstones = s->grave_count,
                                  .bytes = s->bytes,
                                  .actors = s->context.actor_count,
                                  .root = br_kv_store_root(s),
                                  .actor = s->actor,
                                  .counter = s->counter,
                                  .change = kv->change_base + br_kv_store_cursor(s),
                                  .peers = count_peers(kv),
                                  .sync = kv->sync.state,
                                  .synced_at = kv->sync.equal_at,
                                  .is_incomplete = kv->is_incomplete,
                                  .is_failed = kv->disk.is_failed,
                                  .writes = kv->writes,
                                  .merged = kv->merged,
                                  .syncs = kv->sync.count,
                                  .resets = kv->resets,
                                  .clock_ahead = kv->clock_ahead,
                                  .bytes_out = kv->bytes_out,
                                  .bytes_in = kv->bytes_in,
                                  .requests = kv->request_count};
    if (out->peers == 0)
        out->sync = BRUIT_KV_ALONE;
    return 0;
}
