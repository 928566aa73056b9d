/*
 * Key-value state on the disk of whoever hosts the engine: records that are written in order, of which a crash keeps
 * the first so many.
 *
 *     k KEY     all siblings of a key; deleted when there are none
 *     d NN      dots that the context covers and no record of a key shows any more (NN counts from one c to the next)
 *     c         the whole context; makes all d of before superfluous
 *     a         the number of this store as an actor; when it was last equal with another one, and how
 *               many of its writes were seen by then
 *     f         there is one when actors were forgotten (kv_age.c)
 *
 * A context that covers a write which no record shows says that it was replaced or deleted. So what is known to be
 * covered must never run ahead of the records of keys: a key is written first, then a context that covers it. What a
 * key's new record no longer shows was covered before, so that is written in front of it; what came with the change
 * and is not shown (a delete that left nothing) is written behind it. After loading the context
 * covers what the records of keys show, which is why a new write needs no other record than its key's.
 *
 * A disk that fails: we go on in memory. Writes of ours that were not durable were shown to nobody (kv_core.h); their
 * dots may be used again after a restart from what the disk has, so they are written anew, as another actor's.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "module/kv_core.h"

#define DELTAS_MAX 256
/* Debts paid with each change: 600 bytes each at most, of the 2 MB that are kept free for such things. */
#define PAID_AT_ONCE 128
/* What other writes may add before we notice that the disk is behind. */
#define QUEUE_MARGIN 2097152
#define MS BRUIT_MILLISECOND
/* More writes that wait than this are not looked at one by one for each path that somebody asks for. */
#define LOOKED_AT_MAX 256

void br_kv_disk_init(struct br_kv *kv)
{
    kv->disk.is_on = bruit_host_config(kv->host)->has_store;
    br_ring_init(&kv->disk.waits, kv->alloc, sizeof(struct br_kv_wait), BR_KV_WAITS_MAX);
}

static void forget_wait(struct br_kv *kv, struct br_kv_wait *wait)
{
    br_buf_drop(kv->alloc, wait->item);
    wait->item = NULL;
}

static void forget_owed(struct br_kv *kv)
{
    struct br_kv_disk *disk = &kv->disk;
    while (disk->owed_count > 0)
        br_buf_drop(kv->alloc, disk->owed[--disk->owed_count].key);
    br_alloc_free(kv->alloc, disk->owed, disk->owed_capacity * sizeof *disk->owed);
    disk->owed = NULL;
    disk->owed_capacity = 0;
}

void br_kv_disk_fini(struct br_kv *kv)
{
    for (struct br_kv_wait *wait; (wait = br_ring_front(&kv->disk.waits)) != NULL;) {
        forget_wait(kv, wait);
        (void)br_ring_pop(&kv->disk.waits);
    }
    br_ring_fini(&kv->disk.waits);
    forget_owed(kv);
}

bool br_kv_disk_has_room(const struct br_kv *kv, struct bruit_bytes key, size_t size)
{
    const struct br_kv_disk *disk = &kv->disk;
    if (!disk->is_on)
        return !disk->is_broken;
    uint32_t slot = br_kv_store_find(&kv->store, key);
    if (slot != BR_KV_NONE)
        size += br_kv_store_key_size(&kv->store, slot);
    return !disk->is_broken && disk->bytes + size + QUEUE_MARGIN < BRUIT_STORE_QUEUE_MAX &&
           !br_ring_is_full(&disk->waits);
}

/* ------------------------------------------------------------------ writing records */

/* What the host does not take now is lost to the disk: as if it had failed. */
static void store(struct br_kv *kv, struct bruit_bytes key, struct bruit_bytes value)
{
    struct br_kv_disk *disk = &kv->disk;
    if (!disk->is_on || disk->is_broken)
        return;
    if (bruit_host_store(kv->host, key, value, &disk->token) != 0) {
        disk->is_broken = true;
        return;
    }
    disk->bytes += key.size + value.size;
    if (disk->mark <= disk->stored) {
        disk->mark = disk->token;
        disk->mark_bytes = disk->bytes;
    }
}

static uint64_t wall_ms(const struct br_kv *kv)
{
    return br_kv_clock_wall(&kv->clock, br_kv_now(kv)) / MS;
}

void br_kv_disk_actor(struct br_kv *kv)
{
    uint8_t bytes[64];
    struct br_writer w;
    br_writer_init(&w, bytes, sizeof bytes);
    bruit_time ago = br_time_since(kv->sync.equal_at, br_kv_now(kv)) / MS;
    struct br_kv_actor_record record = {.actor = kv->store.actor, .counter = kv->disk.synced_counter};
    if (kv->sync.equal_at != 0 && wall_ms(kv) > ago)
        record.synced_ms = wall_ms(kv) - ago;
    br_kv_write_actor_record(&w, &record);
    BR_ASSERT(!w.failed);
    store(kv, br_bytes_text("a"), br_writer_bytes(&w));
    kv->disk.has_actor = true;
}

void br_kv_disk_forgot(struct br_kv *kv)
{
    uint8_t version = BR_KV_VERSION;
    if (kv->disk.is_on)
        store(kv, br_bytes_text("f"), br_bytes(&version, 1));
}

void br_kv_disk_context(struct br_kv *kv)
{
    if (!kv->disk.is_on)
        return;
    size_t size = br_kv_context_size_max(&kv->store.context);
    uint8_t *bytes = br_kv_scratch(kv, size);
    struct br_writer w;
    br_writer_init(&w, bytes, bytes == NULL ? 0 : size);
    br_kv_context_encode(&kv->store.context, &w, true);
    if (w.failed)
        return; /* no memory: the records d still say it */
    store(kv, br_bytes_text("c"), br_writer_bytes(&w));
    kv->disk.deltas = 0;
}

void br_kv_dots(const struct br_kv *kv, struct bruit_bytes key, struct br_kv_before *out)
{
    const struct br_kv_store *s = &kv->store;
    uint32_t slot = br_kv_store_find(s, key);
    out->count = 0;
    if (slot == BR_KV_NONE)
        return;
    for (uint32_t i = br_kv_store_first(s, slot); i != BR_KV_NONE; i = br_kv_store_next(s, i))
        out->dots[out->count++] = br_kv_store_dot(s, i);
}

/* Those of the dots that the context covers and the key does not hold. */
static void store_gone(struct br_kv *kv, uint32_t slot, const struct br_kv_dot *dots, uint32_t count)
{
    uint8_t key[3] = {'d'}, bytes[1 + 20 * BR_KV_SIBLINGS_MAX];
    struct br_writer w;
    br_writer_init(&w, bytes, sizeof bytes);
    br_write_u8(&w, BR_KV_VERSION);
    for (uint32_t i = 0; i < count; i++)
        if ((slot == BR_KV_NONE || br_kv_store_find_dot(&kv->store, slot, dots[i]) == BR_KV_NONE) &&
            br_kv_context_covers(&kv->store.context, dots[i]))
            br_kv_write_dot(&w, dots[i]);
    BR_ASSERT(!w.failed);
    if (br_writer_size(&w) == 1)
        return;
    br_store_u16(key + 1, (uint16_t)kv->disk.deltas);
    store(kv, br_bytes(key, sizeof key), br_writer_bytes(&w));
    kv->disk.deltas++;
}

/* Room for all siblings of a key as items. */
static size_t siblings_size(const struct br_kv *kv, uint32_t slot)
{
    const struct br_kv_store *s = &kv->store;
    size_t size = 64;
    for (uint32_t i = br_kv_store_first(s, slot); i != BR_KV_NONE; i = br_kv_store_next(s, i)) {
        struct br_kv_past past[BR_KV_PAST_MAX];
        struct br_kv_write write;
        br_kv_store_tell(s, i, br_kv_now(kv), &write, past);
        size += br_kv_item_size_max(&write);
    }
    return size;
}

static bool write_siblings(const struct br_kv *kv, struct br_writer *w, uint32_t slot)
{
    const struct br_kv_store *s = &kv->store;
    struct br_kv_key_record record = {.saved_ms = wall_ms(kv),
                                      .sibling_count = br_kv_store_key(s, slot)->sibling_count};
    br_kv_write_key_record(w, &record);
    for (uint32_t i = br_kv_store_first(s, slot); i != BR_KV_NONE; i = br_kv_store_next(s, i)) {
        struct br_kv_past past[BR_KV_PAST_MAX];
        struct br_kv_write write;
        br_kv_store_tell(s, i, br_kv_now(kv), &write, past);
        br_kv_write_item(w, &write, false);
    }
    return !w->failed;
}

static void store_key(struct br_kv *kv, struct bruit_bytes key, uint32_t slot)
{
    uint8_t name[1 + BR_KV_KEY_MAX] = {'k'};
    memcpy(name + 1, key.data, key.size);
    struct bruit_bytes under = br_bytes(name, 1 + key.size);
    /* A key without siblings is held as long as a change of it can be asked for. */
    if (slot == BR_KV_NONE || br_kv_store_key(&kv->store, slot)->sibling_count == 0) {
        store(kv, under, br_bytes(NULL, 0));
        return;
    }
    size_t size = siblings_size(kv, slot);
    uint8_t *bytes = br_kv_scratch(kv, size);
    struct br_writer w;
    br_writer_init(&w, bytes, bytes == NULL ? 0 : size);
    if (write_siblings(kv, &w, slot))
        store(kv, under, br_writer_bytes(&w));
    else
        kv->disk.is_broken = true; /* no memory: as if the disk had failed */
}

/* First that it is covered, then the key without it. */
static void pay_one(struct br_kv *kv, uint32_t index)
{
    struct br_kv_disk *disk = &kv->disk;
    struct br_kv_owed owed = disk->owed[index];
    struct bruit_bytes key = br_buf_bytes(owed.key);
    disk->owed[index] = disk->owed[--disk->owed_count];
    uint32_t slot = br_kv_store_find(&kv->store, key);
    store_gone(kv, slot, &owed.dot, 1);
    store_key(kv, key, slot);
    if (disk->deltas >= DELTAS_MAX)
        br_kv_disk_context(kv);
    br_buf_drop(kv->alloc, owed.key);
}

/*
 * What was loaded and is not held: of the key that is going to change all of it, since its record will no longer tell;
 * of others some with each change, for they may be more than the disk takes at once.
 */
static void pay(struct br_kv *kv, struct bruit_bytes key)
{
    struct br_kv_disk *disk = &kv->disk;
    for (uint32_t i = disk->owed_count; i-- > 0;)
        if (br_bytes_equal(br_buf_bytes(disk->owed[i].key), key))
            pay_one(kv, i); /* the last one takes its place, which was looked at */
    for (uint32_t i = 0; i < PAID_AT_ONCE && disk->owed_count > 0; i++)
        pay_one(kv, disk->owed_count - 1);
    if (disk->owed_count == 0)
        forget_owed(kv);
}

void br_kv_before(struct br_kv *kv, struct bruit_bytes key, struct br_kv_before *before)
{
    if (kv->disk.owed_count > 0)
        pay(kv, key);
    before->count = 0;
    before->come_count = 0;
    if (kv->disk.is_on)
        br_kv_dots(kv, key, before);
}

void br_kv_disk_key(struct br_kv *kv, struct bruit_bytes key, const struct br_kv_before *before)
{
    if (!kv->disk.is_on)
        return;
    if (!kv->disk.has_actor)
        br_kv_disk_actor(kv);
    uint32_t slot = br_kv_store_find(&kv->store, key);
    store_gone(kv, slot, before->dots, before->count);
    store_key(kv, key, slot);
    store_gone(kv, slot, before->come, before->come_count);
    if (kv->disk.deltas >= DELTAS_MAX)
        br_kv_disk_context(kv);
    if (kv->disk.deltas >= UINT16_MAX)
        kv->disk.is_broken = true; /* so long without memory for a context */
}

/* ------------------------------------------------------------------ what waits for it */

/* Takes wait->item. `error`: why it is not durable. */
static void come_true(struct br_kv *kv, struct br_kv_wait *wait, int error)
{
    if (wait->is_promise) {
        br_kv_send_ack(kv, &wait->to, wait->ack, wait->dot, error == 0 ? 0 : 1);
    } else {
        if (kv->disk.is_on && error == 0 && wait->dot.actor == kv->store.actor)
            kv->disk.durable = wait->dot.counter;
        br_kv_tell(kv, wait->dot, wait->item);
        br_kv_request_durable(kv, wait->request, wait->dot, wait->item, error);
    }
    forget_wait(kv, wait);
}

void br_kv_disk_wait(struct br_kv *kv, const struct br_kv_wait *wait)
{
    struct br_kv_disk *disk = &kv->disk;
    struct br_kv_wait mine = *wait;
    mine.token = disk->token;
    if (!disk->is_on || (disk->stored >= disk->token && !disk->is_broken)) {
        come_true(kv, &mine, disk->is_failed ? BRUIT_EIO : 0);
        return;
    }
    struct br_kv_wait *place = br_ring_push(&disk->waits);
    if (place != NULL) {
        *place = mine;
        disk->deletes += mine.is_delete;
        return;
    }
    disk->is_broken = true; /* no memory even to remember it: it will be told when the next write is */
    br_kv_request_durable(kv, mine.request, mine.dot, NULL, BRUIT_ENOMEM);
    forget_wait(kv, &mine);
}

static struct br_kv_wait pop_wait(struct br_kv_disk *disk)
{
    struct br_kv_wait wait = *(struct br_kv_wait *)br_ring_front(&disk->waits);
    (void)br_ring_pop(&disk->waits);
    disk->deletes -= wait.is_delete;
    return wait;
}

bool br_kv_disk_hides(const struct br_kv *kv, struct br_kv_path path)
{
    const struct br_kv_disk *disk = &kv->disk;
    uint32_t count = br_ring_count(&disk->waits);
    if (disk->deletes == 0 || count > LOOKED_AT_MAX)
        return disk->deletes > 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct br_kv_wait *wait = br_ring_at(&disk->waits, i);
        if (wait->is_delete && br_kv_path_has(path, wait->hash))
            return true;
    }
    return false;
}

static void settle(struct br_kv *kv, uint64_t token)
{
    struct br_kv_disk *disk = &kv->disk;
    disk->stored = token > disk->stored ? token : disk->stored;
    if (disk->mark <= disk->stored) {
        disk->bytes -= disk->mark_bytes;
        disk->mark = disk->token;
        disk->mark_bytes = disk->bytes;
    }
    for (struct br_kv_wait *front; (front = br_ring_front(&disk->waits)) != NULL && front->token <= disk->stored;) {
        struct br_kv_wait wait = pop_wait(disk);
        come_true(kv, &wait, 0);
    }
    br_kv_be_unique(kv); /* when that waited for the disk */
}

/* ------------------------------------------------------------------ a disk that fails */

/*
 * What a write replaced, without those of ours that were never durable: a restart gives their dots to other writes,
 * which nobody has replaced.
 */
static uint32_t keep_durable(struct br_kv_past *past, uint32_t count, uint64_t actor, uint64_t durable)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        bool is_lost = past[i].dot.actor == actor && past[i].dot.counter > durable;
        if (is_lost && (!past[i].is_prefix || durable == 0))
            continue;
        past[kept] = past[i];
        if (is_lost)
            past[kept].dot.counter = durable; /* of a prefix, what is left */
        kept++;
    }
    return kept;
}

/* The write once more as another actor's: what it replaced, but not the dot that it had. False: it is gone by now. */
static bool write_anew(struct br_kv *kv, struct br_kv_wait *wait)
{
    struct br_kv_past past[BR_KV_PAST_MAX], ignored[BR_KV_PAST_MAX];
    struct br_kv_write old, write;
    struct br_reader r;
    struct br_kv_merged merged;
    br_reader_init(&r, br_kv_item_bytes(wait->item));
    br_kv_read_item(&r, br_bytes(NULL, 0), &old, past);
    uint32_t slot = r.failed ? BR_KV_NONE : br_kv_store_find(&kv->store, old.key);
    if (slot == BR_KV_NONE || br_kv_store_find_dot(&kv->store, slot, old.dot) == BR_KV_NONE)
        return false;
    struct br_kv_put put = {.key = old.key,
                            .value = old.value,
                            .is_delete = old.is_delete,
                            .life = old.life,
                            .ttl_ms = old.ttl_ms,
                            .owner = old.owner,
                            .hlc = old.hlc,
                            .replaces = &old.dot,
                            .replaces_count = 1};
    struct br_buf *item = br_kv_item_space(kv, &put);
    if (item == NULL || br_kv_store_put(&kv->store, &put, br_kv_now(kv), &write, ignored, &merged) != 0) {
        br_buf_drop(kv->alloc, item);
        return false;
    }
    write.past = past;
    write.past_count = keep_durable(past, old.past_count, old.dot.actor, kv->disk.durable);
    br_kv_item_fill(item, &write);
    forget_wait(kv, wait);
    wait->item = item;
    wait->dot = write.dot;
    return true;
}

static void give_up(struct br_kv *kv, int error)
{
    struct br_kv_disk *disk = &kv->disk;
    uint64_t old = kv->store.actor, durable = disk->durable;
    BR_TRACE(kv->tracer, kv_disk_failed, .why = bruit_strerror(error));
    disk->is_on = false;
    disk->is_broken = false;
    disk->is_failed = true;
    br_kv_store_be(&kv->store, br_kv_draw_actor(kv), 0);
    disk->synced_counter = kv->sync.ours_counter = 0;
    while (br_ring_front(&disk->waits) != NULL) {
        struct br_kv_wait wait = pop_wait(disk);
        if (wait.is_promise || write_anew(kv, &wait)) {
            come_true(kv, &wait, error);
            continue;
        }
        br_kv_request_durable(kv, wait.request, wait.dot, NULL, error);
        forget_wait(kv, &wait);
    }
    /* No write bears these dots any more, and a restart will use them again: nobody may think that they were seen. */
    uint32_t actor = br_kv_context_find(&kv->store.context, old);
    if (actor != BR_KV_ACTOR_NONE && kv->store.context.actors[actor].base > durable)
        kv->store.context.actors[actor].base = durable;
    br_kv_changed(kv);
}

void br_kv_disk_stored(struct br_kv *kv, uint64_t token, int status)
{
    if (!kv->disk.is_on)
        return;
    if (status == 0)
        settle(kv, token < kv->disk.token ? token : kv->disk.token);
    else
        give_up(kv, status);
}

bruit_time br_kv_disk_deadline(const struct br_kv *kv)
{
    return kv->disk.is_broken ? 0 : BRUIT_NEVER;
}

void br_kv_disk_tick(struct br_kv *kv)
{
    if (kv->disk.is_broken)
        give_up(kv, BRUIT_ENOMEM);
}

/* ------------------------------------------------------------------ loading */

static void age(const struct br_kv *kv, struct br_kv_write *write, uint64_t saved_ms)
{
    uint64_t now = wall_ms(kv), gone = now > saved_ms && saved_ms != 0 ? now - saved_ms : 0;
    if (write->life == BR_KV_EXPIRES)
        write->ttl_ms = write->ttl_ms > gone ? write->ttl_ms - gone : 1;
}

static int owe(struct br_kv *kv, struct bruit_bytes key, const struct br_kv_write *writes, uint32_t count)
{
    struct br_kv_disk *disk = &kv->disk;
    uint32_t slot = br_kv_store_find(&kv->store, key);
    for (uint32_t i = 0; i < count; i++) {
        if (slot != BR_KV_NONE && br_kv_store_find_dot(&kv->store, slot, writes[i].dot) != BR_KV_NONE)
            continue;
        if (disk->owed_count == disk->owed_capacity) {
            uint32_t capacity = disk->owed_capacity == 0 ? 64 : 2 * disk->owed_capacity;
            void *more = br_alloc_resize(kv->alloc, disk->owed, disk->owed_capacity * sizeof *disk->owed,
                                         capacity * sizeof *disk->owed);
            if (more == NULL)
                return BRUIT_ENOMEM;
            disk->owed = more;
            disk->owed_capacity = capacity;
        }
        struct br_buf *copy = br_buf_new(kv->alloc, key);
        if (copy == NULL)
            return BRUIT_ENOMEM;
        disk->owed[disk->owed_count++] = (struct br_kv_owed){.dot = writes[i].dot, .key = copy};
    }
    return 0;
}

/*
 * How long we were away is known from a wall clock that may be wrong. It hides what expired meanwhile; to be removed
 * for everybody, by us, a value must have lived as long as it was to, without the time that we were away.
 */
static int put_off(struct br_kv *kv, struct bruit_bytes key, const struct br_kv_write *write, uint64_t ttl_ms)
{
    uint32_t slot = write->life == BR_KV_EXPIRES ? br_kv_store_find(&kv->store, key) : BR_KV_NONE;
    uint32_t at = slot == BR_KV_NONE ? BR_KV_NONE : br_kv_store_find_dot(&kv->store, slot, write->dot);
    if (at == BR_KV_NONE)
        return 0;
    return br_kv_store_set_alarm(&kv->store, at, br_time_add(br_kv_now(kv), br_time_mul(MS, ttl_ms)));
}

static int load_siblings(struct br_kv *kv, struct bruit_bytes key, struct br_reader *r, struct br_kv_past *past,
                         const struct br_kv_key_record *record)
{
    struct br_kv_write writes[BR_KV_SIBLINGS_MAX];
    uint64_t ttls[BR_KV_SIBLINGS_MAX];
    for (uint32_t i = 0; i < record->sibling_count; i++) {
        br_kv_read_item(r, key, &writes[i], past + (size_t)i * BR_KV_PAST_MAX);
        ttls[i] = writes[i].ttl_ms;
        age(kv, &writes[i], record->saved_ms);
    }
    if (r->failed || br_reader_left(r) != 0)
        return BRUIT_EFORMAT;
    int status = br_kv_store_load(&kv->store, key, writes, record->sibling_count, br_kv_now(kv));
    if (status != 0)
        return status == BRUIT_EINVAL ? BRUIT_EFORMAT : status;
    for (uint32_t i = 0; i < record->sibling_count && status == 0; i++) {
        (void)br_kv_clock_see(&kv->clock, writes[i].hlc, br_kv_now(kv));
        status = put_off(kv, key, &writes[i], ttls[i]);
    }
    if (status != 0)
        return status;
    br_kv_life_added(kv, key);
    return owe(kv, key, writes, record->sibling_count);
}

static int load_key(struct br_kv *kv, struct bruit_bytes key, struct br_reader *r)
{
    struct br_kv_key_record record;
    br_kv_read_key_record(r, &record);
    if (r->failed || record.sibling_count == 0 || record.sibling_count > BR_KV_SIBLINGS_MAX)
        return BRUIT_EFORMAT;
    size_t size = record.sibling_count * BR_KV_PAST_MAX * sizeof(struct br_kv_past);
    struct br_kv_past *past = bruit_host_resize(kv->host, NULL, 0, size);
    if (past == NULL)
        return BRUIT_ENOMEM;
    int status = load_siblings(kv, key, r, past, &record);
    (void)bruit_host_resize(kv->host, past, size, 0);
    return status;
}

static void raise_counter(struct br_kv *kv, uint64_t counter)
{
    if (counter > kv->store.counter)
        br_kv_store_be(&kv->store, kv->store.actor, counter);
}

static int load_context(struct br_kv *kv, struct br_reader *r)
{
    struct br_kv_store *s = &kv->store;
    struct br_kv_context c;
    br_kv_context_init(&c, kv->alloc, s->limits.actors_max, s->limits.runs_max, s->context.secret);
    int status = br_kv_context_decode(&c, br_reader_rest(r), NULL);
    if (status == 0) {
        raise_counter(kv, br_kv_context_last(&c, s->actor));
        enum br_kv_refusal refusal = br_kv_context_restore(&s->context, &c, br_kv_now(kv));
        if (refusal != BR_KV_ACCEPTED)
            status = refusal == BR_KV_NO_MEMORY ? BRUIT_ENOMEM : BRUIT_EFULL;
    }
    br_kv_context_fini(&c);
    return status;
}

static int load_gone(struct br_kv *kv, uint32_t index, struct br_reader *r)
{
    struct br_kv_dot dots[BR_KV_SIBLINGS_MAX];
    uint32_t count = 0;
    int status = br_read_u8(r) == BR_KV_VERSION ? 0 : BRUIT_EFORMAT;
    while (status == 0 && br_reader_left(r) > 0 && count < BR_KV_SIBLINGS_MAX)
        br_kv_read_dot(r, &dots[count++]);
    if (status != 0 || r->failed || br_reader_left(r) > 0)
        return BRUIT_EFORMAT;
    enum br_kv_refusal refusal = br_kv_context_reserve(&kv->store.context, dots, count);
    if (refusal != BR_KV_ACCEPTED)
        return refusal == BR_KV_NO_MEMORY ? BRUIT_ENOMEM : BRUIT_EFULL;
    for (uint32_t i = 0; i < count; i++) {
        (void)br_kv_context_add(&kv->store.context, dots[i], br_kv_now(kv));
        if (dots[i].actor == kv->store.actor)
            raise_counter(kv, dots[i].counter);
    }
    if (kv->disk.deltas <= index)
        kv->disk.deltas = index + 1; /* what is there must not be written over before the next context */
    return 0;
}

static int load_actor(struct br_kv *kv, struct br_reader *r)
{
    struct br_kv_actor_record record;
    br_kv_read_actor_record(r, &record);
    if (r->failed || br_reader_left(r) != 0 || record.actor == 0)
        return BRUIT_EFORMAT;
    uint64_t seen = br_kv_context_last(&kv->store.context, record.actor);
    br_kv_store_be(&kv->store, record.actor, record.counter > seen ? record.counter : seen);
    kv->disk.has_actor = true;
    kv->disk.synced_ms = record.synced_ms;
    kv->disk.synced_counter = record.counter;
    return 0;
}

static int load_forgot(struct br_kv *kv, struct br_reader *r)
{
    if (br_read_u8(r) != BR_KV_VERSION || br_reader_left(r) != 0)
        return BRUIT_EFORMAT;
    kv->has_forgotten = true;
    return 0;
}

int bruit_kv_load(struct bruit_engine *engine, struct bruit_bytes key, struct bruit_bytes value)
{
    struct br_kv *kv = br_kv_of(engine);
    struct br_reader r;
    int status = BRUIT_EFORMAT;
    if (kv == NULL)
        return BRUIT_ENOENT;
    if (kv->is_started)
        return BRUIT_EBUSY;
    kv->is_loaded = true;
    br_reader_init(&r, value);
    if (key.size >= 2 && key.size <= 1 + BR_KV_KEY_MAX && key.data[0] == 'k')
        status = load_key(kv, br_bytes(key.data + 1, key.size - 1), &r);
    else if (br_bytes_equal(key, br_bytes_text("c")))
        status = load_context(kv, &r);
    else if (key.size == 3 && key.data[0] == 'd')
        status = load_gone(kv, br_load_u16(key.data + 1), &r);
    else if (br_bytes_equal(key, br_bytes_text("a")))
        status = load_actor(kv, &r);
    else if (br_bytes_equal(key, br_bytes_text("f")))
        status = load_forgot(kv, &r);
    kv->disk.durable = kv->store.counter;
    return status;
}
