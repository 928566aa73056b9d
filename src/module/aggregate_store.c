/*
 * What every node published: see aggregate_store.h.
 *
 * Owners stand in an array by node number, and those that count once more in the order of their keys, which is the
 * same at every node. Walks go through that order, never through node numbers, which are each engine's own.
 */
#include "module/aggregate_store.h"

#include "base/check.h"
#include "base/siphash.h"

#include <bruit/error.h>

/* More often than anything is told; and a mark above it: told in the message that is being written. */
#define TOLD_ENOUGH 127
#define TOLD_NOW 128

void br_aggregate_store_init(struct br_aggregate_store *s, struct br_alloc *alloc)
{
    *s = (struct br_aggregate_store){.alloc = alloc};
}

/* Accounted twice: with the engine, and for our own statistics. */
static void *resize(struct br_aggregate_store *s, void *old, size_t old_size, size_t new_size)
{
    void *memory = br_alloc_resize(s->alloc, old, old_size, new_size);
    if (memory != NULL || new_size == 0)
        s->memory += new_size - old_size;
    return memory;
}

/* ------------------------------------------------------------------ names, keys, hashes */

uint64_t br_aggregate_key(struct bruit_bytes name)
{
    static const uint8_t key[16] = "bruit aggregate";
    return br_siphash24(key, name);
}

struct bruit_bytes br_aggregate_owner_name(const struct br_aggregate_owner *owner)
{
    return br_bytes(owner->name, owner->name_size);
}

struct bruit_bytes br_aggregate_slot_name(const struct br_aggregate_slot *slot)
{
    return br_bytes(slot->bytes, slot->name_size);
}

struct bruit_bytes br_aggregate_slot_text(const struct br_aggregate_slot *slot)
{
    if (slot->text_size == 0)
        return br_bytes(NULL, 0); /* nor is there a place for it in a slot that holds nothing */
    return br_bytes(slot->bytes + slot->name_size, slot->text_size);
}

/* Who published nothing that we know of adds nothing: it does not matter whether it is known. */
static uint64_t hash_of(const struct br_aggregate_owner *owner)
{
    static const uint8_t key[16] = "bruit version";
    uint8_t buffer[24];
    if (owner->complete == 0)
        return 0;
    br_store_u64(buffer, owner->key);
    br_store_u64(buffer + 8, owner->epoch);
    br_store_u64(buffer + 16, owner->complete);
    return br_siphash24(key, br_bytes(buffer, sizeof buffer));
}

unsigned br_aggregate_bucket_of(const struct br_aggregate_owner *owner)
{
    return (unsigned)(owner->key >> 57);
}

static bool is_incomplete(const struct br_aggregate_owner *owner)
{
    return owner->newest > owner->complete;
}

/* Takes the owner out of the sums, or puts it back with its present hash. */
static void withdraw_hash(struct br_aggregate_store *s, struct br_aggregate_owner *owner)
{
    s->hash -= owner->hash;
    s->buckets[br_aggregate_bucket_of(owner)] -= (uint32_t)(owner->hash >> 32);
    s->incomplete -= is_incomplete(owner) ? 1 : 0;
}

static void deposit_hash(struct br_aggregate_store *s, struct br_aggregate_owner *owner)
{
    owner->hash = hash_of(owner);
    s->hash += owner->hash;
    s->buckets[br_aggregate_bucket_of(owner)] += (uint32_t)(owner->hash >> 32);
    s->incomplete += is_incomplete(owner) ? 1 : 0;
}

static void set_version(struct br_aggregate_store *s, struct br_aggregate_owner *owner, uint64_t epoch,
                        uint64_t complete, uint64_t newest)
{
    if (owner->is_counted)
        withdraw_hash(s, owner);
    owner->epoch = epoch;
    owner->complete = complete;
    owner->newest = newest > complete ? newest : complete;
    if (owner->is_counted)
        deposit_hash(s, owner);
}

/* ------------------------------------------------------------------ owners */

struct br_aggregate_owner *br_aggregate_owner(const struct br_aggregate_store *s, bruit_node node)
{
    return node < s->by_node_size ? s->by_node[node] : NULL;
}

static int reserve_node(struct br_aggregate_store *s, bruit_node node)
{
    if (node < s->by_node_size)
        return 0;
    uint32_t grown = node + node / 2 + 8;
    struct br_aggregate_owner **by_node =
        resize(s, s->by_node, s->by_node_size * sizeof(void *), grown * sizeof(void *));
    if (by_node == NULL)
        return BRUIT_ENOMEM;
    for (uint32_t i = s->by_node_size; i < grown; i++)
        by_node[i] = NULL;
    s->by_node = by_node;
    s->by_node_size = grown;
    return 0;
}

static int reserve_order(struct br_aggregate_store *s)
{
    if (s->count < s->order_capacity)
        return 0;
    uint32_t grown = s->order_capacity + s->order_capacity / 2 + 8;
    bruit_node *order =
        resize(s, s->order, s->order_capacity * sizeof *s->order, grown * sizeof *s->order);
    if (order == NULL)
        return BRUIT_ENOMEM;
    s->order = order;
    s->order_capacity = grown;
    return 0;
}

static struct br_aggregate_owner *make_owner(struct br_aggregate_store *s, bruit_node node,
                                             struct bruit_bytes name)
{
    BR_ASSERT(name.size <= UINT8_MAX);
    if (s->by_node[node] != NULL)
        return s->by_node[node];
    struct br_aggregate_owner *owner = resize(s, NULL, 0, sizeof *owner + name.size);
    if (owner == NULL)
        return NULL;
    *owner = (struct br_aggregate_owner){.key = br_aggregate_key(name), .name_size = (uint8_t)name.size};
    memcpy(owner->name, name.data, name.size);
    s->by_node[node] = owner;
    return owner;
}

/* The first place in the order whose key is not below `key`. */
static uint32_t place_of(const struct br_aggregate_store *s, uint64_t key)
{
    uint32_t low = 0;
    uint32_t high = s->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (s->by_node[s->order[middle]]->key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int br_aggregate_enter(struct br_aggregate_store *s, bruit_node node, struct bruit_bytes name)
{
    struct br_aggregate_owner *owner;
    if (reserve_node(s, node) != 0 || reserve_order(s) != 0 || (owner = make_owner(s, node, name)) == NULL)
        return BRUIT_ENOMEM;
    if (owner->is_counted)
        return 0;
    uint32_t at = place_of(s, owner->key);
    memmove(s->order + at + 1, s->order + at, (s->count - at) * sizeof *s->order);
    s->order[at] = node;
    s->count++;
    owner->is_counted = true;
    deposit_hash(s, owner);
    return 0;
}

static void drop_news(struct br_aggregate_store *s, bruit_node node)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->news_count; i++)
        if (s->news[i].node != node)
            s->news[kept++] = s->news[i];
    s->news_count = kept;
}

void br_aggregate_leave(struct br_aggregate_store *s, bruit_node node)
{
    struct br_aggregate_owner *owner = br_aggregate_owner(s, node);
    if (owner == NULL || !owner->is_counted)
        return;
    withdraw_hash(s, owner);
    owner->is_counted = false;
    drop_news(s, node);
    for (unsigned i = 0; i < owner->slot_count; i++)
        owner->slots[i].is_news = false;
    uint32_t at = place_of(s, owner->key);
    while (s->order[at] != node)
        at++; /* equal keys */
    memmove(s->order + at, s->order + at + 1, (s->count - at - 1) * sizeof *s->order);
    s->count--;
}

static void empty_slot(struct br_aggregate_store *s, struct br_aggregate_slot *slot)
{
    size_t size = (size_t)slot->name_size + slot->text_size;
    if (slot->kind != BR_AGGREGATE_NOTHING)
        s->held--;
    if (size > 0)
        (void)resize(s, slot->bytes, size, 0); /* frees */
    slot->bytes = NULL;
    slot->name_size = slot->text_size = 0;
    slot->kind = BR_AGGREGATE_NOTHING;
}

static void empty_slots(struct br_aggregate_store *s, struct br_aggregate_owner *owner)
{
    for (unsigned i = 0; i < owner->slot_count; i++)
        empty_slot(s, &owner->slots[i]);
}

void br_aggregate_forget(struct br_aggregate_store *s, bruit_node node)
{
    struct br_aggregate_owner *owner = br_aggregate_owner(s, node);
    if (owner == NULL)
        return;
    br_aggregate_leave(s, node);
    empty_slots(s, owner);
    (void)resize(s, owner->slots, owner->slot_count * sizeof *owner->slots, 0); /* frees, as the next */
    (void)resize(s, owner, sizeof *owner + owner->name_size, 0);
    s->by_node[node] = NULL;
}

void br_aggregate_store_fini(struct br_aggregate_store *s)
{
    for (bruit_node node = 0; node < s->by_node_size; node++)
        br_aggregate_forget(s, node);
    (void)resize(s, s->by_node, s->by_node_size * sizeof(void *), 0); /* these three free */
    (void)resize(s, s->order, s->order_capacity * sizeof *s->order, 0);
    (void)resize(s, s->news, s->news == NULL ? 0 : BR_AGGREGATE_NEWS_MAX * sizeof *s->news, 0);
}

/* ------------------------------------------------------------------ values */

bool br_aggregate_is_likely(const struct br_aggregate_owner *owner, uint64_t epoch)
{
    if (epoch > BR_AGGREGATE_EPOCH_MAX)
        return false;
    return owner->epoch == 0 || epoch <= owner->epoch || epoch - owner->epoch <= BR_AGGREGATE_EPOCH_STEP;
}

void br_aggregate_restart(struct br_aggregate_store *s, struct br_aggregate_owner *owner, uint64_t epoch)
{
    empty_slots(s, owner);
    for (unsigned i = 0; i < owner->slot_count; i++) {
        owner->slots[i].version = 0;
        owner->slots[i].told = TOLD_ENOUGH; /* if it was news, there is nothing to tell of it */
    }
    set_version(s, owner, epoch, 0, 0);
}

static int reserve_slot(struct br_aggregate_store *s, struct br_aggregate_owner *owner, unsigned slot)
{
    if (slot < owner->slot_count)
        return 0;
    struct br_aggregate_slot *slots = resize(s, owner->slots, owner->slot_count * sizeof *slots,
                                             (slot + 1) * sizeof *slots);
    if (slots == NULL)
        return BRUIT_ENOMEM;
    memset(slots + owner->slot_count, 0, (slot + 1 - owner->slot_count) * sizeof *slots);
    owner->slots = slots;
    owner->slot_count = (uint8_t)(slot + 1);
    return 0;
}

/* Validated, reserved, then changed: without memory the slot is what it was. */
static int fill_slot(struct br_aggregate_store *s, struct br_aggregate_owner *owner,
                     const struct br_aggregate_record *record, bruit_time now)
{
    size_t size = record->kind == BR_AGGREGATE_NOTHING ? 0 : record->name.size + record->text.size;
    if (reserve_slot(s, owner, record->slot) != 0)
        return BRUIT_ENOMEM;
    uint8_t *bytes = size == 0 ? NULL : resize(s, NULL, 0, size);
    if (bytes == NULL && size > 0)
        return BRUIT_ENOMEM;
    struct br_aggregate_slot *slot = &owner->slots[record->slot];
    empty_slot(s, slot);
    slot->version = record->version;
    slot->since = now;
    slot->number = record->number;
    slot->bytes = bytes;
    slot->kind = record->kind;
    s->held += record->kind != BR_AGGREGATE_NOTHING ? 1 : 0;
    if (size == 0)
        return 0;
    slot->name_size = (uint8_t)record->name.size;
    memcpy(bytes, record->name.data, record->name.size);
    slot->text_size = (uint8_t)record->text.size;
    if (record->text.size > 0)
        memcpy(bytes + record->name.size, record->text.data, record->text.size);
    return 0;
}

static bool is_newer(const struct br_aggregate_owner *owner, const struct br_aggregate_record *record)
{
    return record->slot >= owner->slot_count || record->version > owner->slots[record->slot].version;
}

int32_t br_aggregate_take(struct br_aggregate_store *s, bruit_node node,
                          const struct br_aggregate_group *group, bruit_time now)
{
    struct br_aggregate_owner *owner = br_aggregate_owner(s, node);
    struct bruit_bytes records = group->records;
    struct br_aggregate_record record;
    int32_t changed = 0;
    if (group->epoch < owner->epoch)
        return 0;
    if (group->epoch > owner->epoch)
        br_aggregate_restart(s, owner, group->epoch);
    while (br_aggregate_next_record(&records, &record)) {
        if (!is_newer(owner, &record))
            continue;
        if (fill_slot(s, owner, &record, now) != 0)
            return BRUIT_ENOMEM;
        changed |= INT32_C(1) << record.slot;
        if (record.version > owner->newest)
            set_version(s, owner, owner->epoch, owner->complete, record.version);
    }
    if (group->from <= owner->complete && group->to > owner->complete)
        set_version(s, owner, owner->epoch, group->to, owner->newest);
    return changed;
}

int br_aggregate_put(struct br_aggregate_store *s, bruit_node self, struct br_aggregate_record *record,
                     bruit_time now)
{
    struct br_aggregate_owner *owner = br_aggregate_owner(s, self);
    record->version = owner->complete + 1;
    int status = fill_slot(s, owner, record, now);
    if (status == 0)
        set_version(s, owner, owner->epoch, record->version, record->version);
    return status;
}

void br_aggregate_renew(struct br_aggregate_store *s, bruit_node self, uint64_t epoch)
{
    struct br_aggregate_owner *owner = br_aggregate_owner(s, self);
    set_version(s, owner, epoch, owner->complete, owner->complete);
    uint32_t used = 0;
    for (unsigned i = 0; i < owner->slot_count; i++)
        used |= owner->slots[i].version > 0 ? UINT32_C(1) << i : 0;
    br_aggregate_note_news(s, self, used, 0);
}

/* ------------------------------------------------------------------ telling */

static bool reserve_news(struct br_aggregate_store *s)
{
    if (s->news == NULL)
        s->news = resize(s, NULL, 0, BR_AGGREGATE_NEWS_MAX * sizeof *s->news);
    return s->news != NULL && s->news_count < BR_AGGREGATE_NEWS_MAX;
}

/* What is news already is news once more, with its latest value: that is how many changes become one. */
void br_aggregate_note_news(struct br_aggregate_store *s, bruit_node node, uint32_t slots, unsigned told)
{
    struct br_aggregate_owner *owner = br_aggregate_owner(s, node);
    for (unsigned i = 0; i < owner->slot_count; i++) {
        struct br_aggregate_slot *slot = &owner->slots[i];
        if ((slots >> i & 1) == 0)
            continue;
        slot->told = (uint8_t)told;
        if (slot->is_news)
            continue;
        if (!owner->is_counted || !reserve_news(s)) {
            s->news_dropped++;
            continue;
        }
        slot->is_news = true;
        s->news[s->news_count++] = (struct br_aggregate_news){node, (uint8_t)i};
    }
}

static struct br_aggregate_record record_of(const struct br_aggregate_owner *owner, unsigned i)
{
    const struct br_aggregate_slot *slot = &owner->slots[i];
    return (struct br_aggregate_record){.version = slot->version,
                                        .number = slot->number,
                                        .name = br_aggregate_slot_name(slot),
                                        .text = br_aggregate_slot_text(slot),
                                        .slot = (uint8_t)i,
                                        .kind = slot->kind};
}

/*
 * From which version on this record alone brings somebody up to its own: whatever stood between the one before in
 * another slot and this one was replaced, as far as we know; if we do not know it all, one version.
 */
static uint64_t version_before(const struct br_aggregate_owner *owner, uint64_t version)
{
    uint64_t before = 0;
    if (owner->complete < version)
        return version - 1;
    for (unsigned i = 0; i < owner->slot_count; i++)
        if (owner->slots[i].version < version && owner->slots[i].version > before)
            before = owner->slots[i].version;
    return before;
}

static bool write_one(const struct br_aggregate_owner *owner, unsigned slot, struct br_writer *w)
{
    size_t start = br_writer_size(w);
    struct br_aggregate_record record = record_of(owner, slot);
    br_aggregate_write_group(w, &(struct br_aggregate_group){.owner = br_aggregate_owner_name(owner),
                                                              .epoch = owner->epoch,
                                                              .from = version_before(owner, record.version),
                                                              .to = record.version,
                                                              .count = 1});
    br_aggregate_write_record(w, &record);
    if (!w->failed)
        return true;
    br_writer_rewind(w, start);
    return false;
}

uint32_t br_aggregate_tell(struct br_aggregate_store *s, struct br_writer *w, unsigned times)
{
    uint32_t written = 0;
    bool is_full = false;
    BR_ASSERT(times < TOLD_ENOUGH);
    for (unsigned told = 0; told < times && !is_full; told++)
        for (uint32_t i = s->news_count; i-- > 0 && !is_full;) { /* the latest first */
            struct br_aggregate_owner *owner = s->by_node[s->news[i].node];
            struct br_aggregate_slot *slot = &owner->slots[s->news[i].slot];
            if (slot->told != told)
                continue;
            is_full = !write_one(owner, s->news[i].slot, w);
            if (!is_full) {
                slot->told = (uint8_t)((told + 1) | TOLD_NOW);
                written++;
            }
        }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->news_count; i++) {
        struct br_aggregate_slot *slot = &s->by_node[s->news[i].node]->slots[s->news[i].slot];
        slot->told &= TOLD_ENOUGH;
        slot->is_news = slot->told < times;
        if (slot->is_news)
            s->news[kept++] = s->news[i];
    }
    s->news_count = kept;
    return written;
}

/* The slot with the lowest version above `after`; slot_count: none. */
static unsigned next_by_version(const struct br_aggregate_owner *owner, uint64_t after)
{
    unsigned best = owner->slot_count;
    for (unsigned i = 0; i < owner->slot_count; i++)
        if (owner->slots[i].version > after &&
            (best == owner->slot_count || owner->slots[i].version < owner->slots[best].version))
            best = i;
    return best;
}

/* At most `most` records above `*last` and up to `to`, as far as they fit; `*last` is then the last one's version. */
static uint32_t write_records(const struct br_aggregate_owner *owner, struct br_writer *w, uint64_t *last,
                              uint64_t to, uint32_t most)
{
    for (uint32_t count = 0;; count++) {
        unsigned next = next_by_version(owner, *last);
        size_t before = br_writer_size(w);
        if (count == most || next == owner->slot_count || owner->slots[next].version > to)
            return count;
        struct br_aggregate_record record = record_of(owner, next);
        br_aggregate_write_record(w, &record);
        if (w->failed) {
            br_writer_rewind(w, before);
            return count;
        }
        *last = record.version;
    }
}

/* Twice, since the head says how many records follow and how far they go: first to see what fits. */
bool br_aggregate_write_newer(const struct br_aggregate_owner *owner, struct br_writer *w, uint64_t epoch,
                              uint64_t complete)
{
    struct br_aggregate_group group = {
        .owner = br_aggregate_owner_name(owner), .epoch = owner->epoch, .to = owner->complete};
    size_t start = br_writer_size(w);
    group.from = epoch == owner->epoch ? complete : 0;
    if (epoch > owner->epoch || group.from >= group.to)
        return true;
    uint64_t last = group.from;
    br_aggregate_write_group(w, &group);
    if (!w->failed)
        group.count = write_records(owner, w, &last, group.to, BR_AGGREGATE_SLOTS);
    unsigned next = next_by_version(owner, last);
    bool is_all = !w->failed && (next == owner->slot_count || owner->slots[next].version > group.to);
    br_writer_rewind(w, start);
    if (!is_all && group.count == 0)
        return false;
    group.to = is_all ? group.to : last;
    last = group.from;
    br_aggregate_write_group(w, &group);
    (void)write_records(owner, w, &last, group.to, group.count);
    return is_all;
}

/* ------------------------------------------------------------------ comparing and reading */

uint32_t br_aggregate_bucket_start(const struct br_aggregate_store *s, unsigned bucket)
{
    return bucket >= BR_AGGREGATE_BUCKETS ? s->count : place_of(s, (uint64_t)bucket << 57);
}

const struct br_aggregate_slot *br_aggregate_find(const struct br_aggregate_owner *owner,
                                                  struct bruit_bytes name)
{
    for (unsigned i = 0; i < owner->slot_count; i++)
        if (owner->slots[i].kind != BR_AGGREGATE_NOTHING &&
            br_bytes_equal(br_aggregate_slot_name(&owner->slots[i]), name))
            return &owner->slots[i];
    return NULL;
}
