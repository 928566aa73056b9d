/*
 * Writes as messages: a new one is told to everybody who carries the module, and passed on by whoever learnt something
 * from it, as the bytes that came. One that does not fit a datagram is announced instead; who lacks it asks whoever
 * announced it, gets it over a stream, and announces it in turn.
 *
 * What is lost on the way, comparing repairs (kv_sync.c). A gap among the writes of one actor brings a comparison on.
 *
 *     write      ack item [name, when ack is not 0]     name: to whom the acknowledgement goes
 *     announce   key dot size name                      name: whom to ask
 *     ack        ack dot status name                    name: who holds it
 */
#include "base/bytes.h"
#include "base/check.h"
#include "module/kv_core.h"

/* Order among our broadcasts: modules with a capability have a queue of their own. */
#define ORDER 0

/* Type, version, kind, a number of ten bytes, and a name. */
#define HEAD_MAX 280

/* A value that was asked for and did not come is asked for again when the next one announces it. */
#define FETCH_AGAIN (2 * BRUIT_SECOND)

/* Items keep room for more than they turn out to need: their bytes' size comes first. */
#define SIZE_SIZE 4

/* A gap is given time to be filled by what is under way. */
#define GAP_DELAY BRUIT_SECOND

/* ------------------------------------------------------------------ items */

struct br_buf *br_kv_item_space(struct br_kv *kv, const struct br_kv_put *put)
{
    struct br_kv_write most = {.key = put->key,
                               .value = put->value,
                               .life = put->life,
                               .ttl_ms = put->ttl_ms,
                               .owner = put->owner,
                               .past_count = BR_KV_PAST_MAX};
    /* Its past is what the key holds now, what is given, and what those have pending. */
    uint32_t slot = br_kv_store_find(&kv->store, put->key);
    if (slot == BR_KV_NONE && put->replaces_count == 0)
        most.past_count = 0;
    return br_buf_space(kv->alloc, SIZE_SIZE + br_kv_item_size_max(&most));
}

void br_kv_item_fill(struct br_buf *item, const struct br_kv_write *write)
{
    struct br_writer w;
    br_writer_init(&w, item->data + SIZE_SIZE, item->size - SIZE_SIZE);
    br_kv_write_item(&w, write, true);
    BR_ASSERT(!w.failed);
    br_store_u32(item->data, (uint32_t)br_writer_size(&w));
}

struct bruit_bytes br_kv_item_bytes(const struct br_buf *item)
{
    return br_bytes(item->data + SIZE_SIZE, br_load_u32(item->data));
}

static bool read_item(const struct br_buf *item, struct br_kv_write *write, struct br_kv_past *past)
{
    struct br_reader r;
    br_reader_init(&r, br_kv_item_bytes(item));
    br_kv_read_item(&r, br_bytes(NULL, 0), write, past);
    return !r.failed;
}

/* ------------------------------------------------------------------ telling */

/* The message of a write; NULL without memory. `name` is in it when somebody is to answer. */
static struct bruit_bytes write_message(struct br_kv *kv, struct bruit_bytes item, uint64_t ack)
{
    uint8_t *bytes = br_kv_scratch(kv, HEAD_MAX + item.size);
    struct br_writer w;
    br_writer_init(&w, bytes, bytes == NULL ? 0 : HEAD_MAX + item.size);
    br_kv_write_head(&w, BR_KV_MESSAGE, BR_KV_WRITE);
    br_kv_write_tell(&w, &(struct br_kv_tell){.ack = ack});
    br_write_bytes(&w, item);
    if (ack != 0)
        br_kv_write_from(&w, br_kv_own_name(kv));
    return w.failed ? br_bytes(NULL, 0) : br_writer_bytes(&w);
}

static void broadcast(struct br_kv *kv, struct br_kv_dot dot, struct bruit_bytes message)
{
    bruit_handle handle = bruit_host_broadcast(kv->host, message, ORDER);
    if (handle == 0)
        return; /* nobody to tell, or no room: comparing will */
    kv->bytes_out += message.size;
    br_told_add(&kv->told, dot.counter, dot.actor, handle);
}

static void announce(struct br_kv *kv, struct br_kv_dot dot, struct bruit_bytes key, size_t size)
{
    uint8_t bytes[HEAD_MAX + BR_KV_KEY_MAX + 64];
    struct br_writer w;
    br_writer_init(&w, bytes, sizeof bytes);
    br_kv_write_head(&w, BR_KV_MESSAGE, BR_KV_ANNOUNCE);
    br_kv_write_announce(&w, &(struct br_kv_announce){.key = key, .dot = dot, .size = (uint32_t)size});
    br_kv_write_from(&w, br_kv_own_name(kv));
    BR_ASSERT(!w.failed);
    broadcast(kv, dot, br_writer_bytes(&w));
}

void br_kv_tell(struct br_kv *kv, struct br_kv_dot dot, struct br_buf *item)
{
    struct br_kv_past past[BR_KV_PAST_MAX];
    struct br_kv_write write;
    if (br_kv_item_bytes(item).size + HEAD_MAX - BRUIT_NAME_MAX <= bruit_host_message_room(kv->host))
        broadcast(kv, dot, write_message(kv, br_kv_item_bytes(item), 0));
    else if (read_item(item, &write, past))
        announce(kv, dot, write.key, write.value.size);
}

int br_kv_tell_one(struct br_kv *kv, bruit_node to, struct br_buf *item, uint64_t ack)
{
    struct bruit_bytes message = write_message(kv, br_kv_item_bytes(item), ack);
    return message.size == 0 ? BRUIT_ENOMEM : br_kv_send(kv, to, message);
}

/* ------------------------------------------------------------------ acknowledging */

void br_kv_send_ack(struct br_kv *kv, const struct bruit_addr *to, uint64_t ack, struct br_kv_dot dot, uint8_t status)
{
    uint8_t bytes[HEAD_MAX + 64];
    struct br_writer w;
    br_writer_init(&w, bytes, sizeof bytes);
    br_kv_write_head(&w, BR_KV_MESSAGE, BR_KV_ACK);
    br_kv_write_ack(&w, &(struct br_kv_ack){.ack = ack, .dot = dot, .status = status});
    br_kv_write_from(&w, br_kv_own_name(kv));
    BR_ASSERT(!w.failed);
    (void)br_kv_send_addr(kv, to, br_writer_bytes(&w)); /* lost: we are asked again */
}

void br_kv_on_ack(struct br_kv *kv, struct br_reader *r)
{
    struct br_kv_ack ack;
    br_kv_read_ack(r, &ack);
    bruit_node from = br_kv_peer(kv, br_kv_read_from(r));
    if (r->failed || from == 0) {
        br_host_drop(kv->host, r->failed ? BRUIT_DROP_MALFORMED : BRUIT_DROP_KV_STRANGER);
        return;
    }
    br_kv_request_acked(kv, ack.ack, ack.dot, from, ack.status);
}

/* Somebody wants to know that we hold it: once all is durable that has been handed to the disk. */
static void promise(struct br_kv *kv, bruit_node to, uint64_t ack, struct br_kv_dot dot, int status)
{
    struct bruit_member member;
    if (bruit_member_get(bruit_host_engine(kv->host), to, &member) != 0)
        return;
    if (status != 0)
        br_kv_send_ack(kv, &member.addr, ack, dot, 1);
    else if (br_ring_count(&kv->disk.waits) < BR_KV_WAITS_MAX / 2) /* the other half is for writes of ours */
        br_kv_disk_wait(kv, &(struct br_kv_wait){.is_promise = true, .ack = ack, .to = member.addr, .dot = dot});
}

/* ------------------------------------------------------------------ taking what others wrote */

/* What a merge was told, and what it led to. */
static void learnt(struct br_kv *kv, struct bruit_bytes key, const struct br_kv_before *before,
                   const struct br_kv_merged *merged)
{
    kv->merged += merged->added > 0 || merged->removed > 0;
    if (!merged->is_news && !merged->is_more)
        return;
    br_kv_disk_key(kv, key, before);
    if (merged->added > 0)
        br_kv_life_added(kv, key);
    br_kv_changed(kv);
}

static void see_stamp(struct br_kv *kv, uint64_t hlc)
{
    if (br_kv_clock_see(&kv->clock, hlc, br_kv_now(kv)))
        return;
    kv->clock_ahead++;
    br_host_drop(kv->host, BRUIT_DROP_KV_CLOCK);
}

/* What we cannot take is not covered by our context either: it is asked for again by comparing. */
static int refused(struct br_kv *kv, int status)
{
    if (status == BRUIT_EINVAL) {
        br_host_drop(kv->host, BRUIT_DROP_MALFORMED);
    } else {
        kv->is_incomplete = true;
        br_host_drop(kv->host, BRUIT_DROP_KV_FULL);
    }
    br_kv_be_unique(kv);
    return status;
}

static int take_write(struct br_kv *kv, const struct br_kv_write *write, struct br_kv_merged *merged)
{
    struct br_kv_before before;
    *merged = (struct br_kv_merged){.key = BR_KV_NONE};
    if (!br_kv_disk_has_room(kv, write->key, write->value.size))
        return refused(kv, BRUIT_EFULL);
    br_kv_before(kv, write->key, &before);
    int status = br_kv_store_merge(&kv->store, write, br_kv_now(kv), merged);
    if (status != 0)
        return refused(kv, status);
    see_stamp(kv, write->hlc);
    before.come[before.come_count++] = write->dot;
    learnt(kv, write->key, &before, merged);
    if (merged->has_gap)
        br_kv_sync_soon(kv, 0, GAP_DELAY);
    return 0;
}

void br_kv_on_write(struct br_kv *kv, struct br_reader *r, struct bruit_bytes message)
{
    struct br_kv_past past[BR_KV_PAST_MAX];
    struct br_kv_write write;
    struct br_kv_merged merged;
    struct br_kv_tell tell;
    bruit_node from = 0;
    br_kv_read_tell(r, &tell);
    const uint8_t *item = r->at;
    br_kv_read_item(r, br_bytes(NULL, 0), &write, past);
    struct bruit_bytes plain = br_bytes(item, (size_t)(r->at - item));
    if (tell.ack != 0)
        from = br_kv_peer(kv, br_kv_read_from(r));
    if (r->failed || br_reader_left(r) != 0) {
        br_host_drop(kv->host, BRUIT_DROP_MALFORMED);
        return;
    }
    int status = take_write(kv, &write, &merged);
    if (tell.ack != 0 && from != 0)
        promise(kv, from, tell.ack, write.dot, status);
    if (status != 0)
        return;
    bruit_handle told = br_told_find(&kv->told, write.dot.counter, write.dot.actor);
    if (merged.is_news && tell.ack == 0)
        broadcast(kv, write.dot, message); /* the bytes as they came; best effort */
    else if (merged.is_news && plain.size + HEAD_MAX - BRUIT_NAME_MAX <= bruit_host_message_room(kv->host))
        broadcast(kv, write.dot, write_message(kv, plain, 0));
    else if (merged.is_news)
        announce(kv, write.dot, write.key, write.value.size);
    else if (told != 0 && tell.ack == 0)
        bruit_host_heard(kv->host, told);
}

/* All that is new of a key, to everybody: it came for us alone. */
static void pass_on(struct br_kv *kv, const struct br_kv_state *state, const bool *is_new)
{
    for (uint32_t i = 0; i < state->write_count; i++)
        if (is_new[i])
            announce(kv, state->writes[i].dot, state->key, state->writes[i].value.size);
}

int br_kv_take_key(struct br_kv *kv, const struct br_kv_state *state, bool tell)
{
    struct br_kv_before before;
    struct br_kv_merged merged = {.key = BR_KV_NONE};
    bool is_new[BR_KV_SIBLINGS_MAX];
    size_t size = 0;
    for (uint32_t i = 0; i < state->write_count; i++) {
        is_new[i] = !br_kv_context_covers(&kv->store.context, state->writes[i].dot);
        size += state->writes[i].value.size;
    }
    if (!br_kv_disk_has_room(kv, state->key, size))
        return refused(kv, BRUIT_EFULL);
    br_kv_before(kv, state->key, &before);
    int status = br_kv_store_merge_key(&kv->store, state, br_kv_now(kv), &merged);
    if (status != 0)
        return refused(kv, status);
    for (uint32_t i = 0; i < state->write_count; i++)
        if (is_new[i]) {
            see_stamp(kv, state->writes[i].hlc);
            before.come[before.come_count++] = state->writes[i].dot;
        }
    learnt(kv, state->key, &before, &merged);
    if (tell)
        pass_on(kv, state, is_new);
    return 0;
}

/* ------------------------------------------------------------------ large values */

/* Was it asked for a moment ago? Remembers that it is now. */
static bool is_fetched(struct br_kv *kv, struct br_kv_dot dot)
{
    bruit_time now = br_kv_now(kv);
    for (uint32_t i = 0; i < BR_KV_FETCHES_MAX; i++) {
        struct br_kv_fetch *fetch = &kv->fetches[i];
        if (!br_kv_dot_equal(fetch->dot, dot))
            continue;
        bool is_recent = now < br_time_add(fetch->at, FETCH_AGAIN);
        if (!is_recent)
            fetch->at = now;
        return is_recent;
    }
    kv->fetches[kv->fetch_next] = (struct br_kv_fetch){.dot = dot, .at = now};
    kv->fetch_next = (kv->fetch_next + 1) % BR_KV_FETCHES_MAX;
    return false;
}

static void fetch(struct br_kv *kv, bruit_node from, struct bruit_bytes key)
{
    struct br_kv_before ours;
    uint8_t bytes[HEAD_MAX + BR_KV_KEY_MAX + 64 + 20 * BR_KV_SIBLINGS_MAX];
    struct br_writer w;
    br_kv_dots(kv, key, &ours);
    br_writer_init(&w, bytes, sizeof bytes);
    br_kv_begin(kv, &w, BR_KV_WANT, 0, 0);
    br_kv_write_want(&w, &(struct br_kv_want){.key = key, .dots = ours.dots, .dot_count = ours.count});
    BR_ASSERT(!w.failed);
    (void)br_kv_send(kv, from, br_writer_bytes(&w)); /* lost: the next one who announces it is asked */
}

void br_kv_on_announce(struct br_kv *kv, struct br_reader *r)
{
    struct br_kv_announce a;
    br_kv_read_announce(r, &a);
    bruit_node from = br_kv_peer(kv, br_kv_read_from(r));
    if (r->failed || br_reader_left(r) != 0) {
        br_host_drop(kv->host, BRUIT_DROP_MALFORMED);
        return;
    }
    if (br_kv_context_covers(&kv->store.context, a.dot)) {
        bruit_handle told = br_told_find(&kv->told, a.dot.counter, a.dot.actor);
        if (told != 0)
            bruit_host_heard(kv->host, told);
    } else if (from != 0 && !is_fetched(kv, a.dot)) {
        fetch(kv, from, a.key);
    }
}
