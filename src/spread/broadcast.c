/*
 * The modules' messages to everybody (broadcast.h).
 */
#include "spread/broadcast.h"

#include "base/check.h"
#include "base/num.h"
#include "base/time.h"
#include "codec/memberlist.h"

#include <string.h>

#define CAPACITY_MIN 8

/* Serf looks at its queues every 30 s. */
#define COMPLAINT_INTERVAL (30 * BRUIT_SECOND)

/* A handle is a count, and in its low bits the item: 4,096 that wait, and those that are done. */
#define INDEX_BITS 16

void br_broadcast_init(struct br_broadcast *b, struct br_core *core)
{
    *b = (struct br_broadcast){.core = core, .room_whole = SIZE_MAX};
    for (unsigned i = 0; i < BR_BROADCAST_QUEUES; i++) {
        br_queue_init(&b->orders[i].queue, &core->alloc, core->config.seed + i);
        b->orders[i].used = 1;
        if (core->config.gossip_nodes > 0)
            b->orders[i].queue.group = (uint16_t)core->config.gossip_nodes;
    }
}

static void fini_order(struct br_alloc *alloc, struct br_broadcast_order *order)
{
    for (uint32_t i = 1; i < order->used; i++)
        br_buf_drop(alloc, order->items[i].message);
    br_alloc_free(alloc, order->items, order->capacity * sizeof order->items[0]);
    br_queue_fini(&order->queue);
    *order = (struct br_broadcast_order){.used = 1};
}

void br_broadcast_fini(struct br_broadcast *b)
{
    for (unsigned i = 0; i < BR_BROADCAST_QUEUES; i++)
        fini_order(&b->core->alloc, &b->orders[i]);
}

void br_broadcast_set_room(struct br_broadcast *b, size_t room)
{
    b->room_whole = room;
    b->stuck = false;
    b->stuck_peers = 0;
}

void br_broadcast_set_members(struct br_broadcast *b, uint32_t members)
{
    b->members = members;
}

uint32_t br_broadcast_count(const struct br_broadcast *b, uint32_t order)
{
    return order < BR_BROADCAST_QUEUES ? br_queue_count(&b->orders[order].queue) : 0;
}

static bool is_empty(const struct br_broadcast *b)
{
    for (uint32_t i = 0; i < BR_BROADCAST_ORDERS; i++)
        if (br_broadcast_count(b, i) != 0)
            return false;
    return true;
}

bool br_broadcast_has_untold(const struct br_broadcast *b)
{
    for (uint32_t i = 0; i < BR_BROADCAST_ORDERS; i++)
        if (b->orders[i].queue.untold != 0)
            return true;
    return false;
}

bool br_broadcast_waits(const struct br_broadcast *b)
{
    return !b->stuck && !is_empty(b);
}

/* Somebody besides ourselves who carries it, too; and there is something that fits a packet. */
static bool has_peers(const struct br_broadcast *b, unsigned bit)
{
    return b->core->view.peer_count[bit] > 1 && !(b->stuck_peers >> bit & 1);
}

uint8_t br_broadcast_peers(const struct br_broadcast *b)
{
    uint8_t peers = 0;
    for (unsigned bit = 0; bit < 8; bit++)
        if (br_broadcast_count(b, BR_BROADCAST_ORDERS + bit) != 0 && has_peers(b, bit))
            peers |= (uint8_t)(1u << bit);
    return peers;
}

uint8_t br_broadcast_untold_peers(const struct br_broadcast *b)
{
    uint8_t peers = 0;
    for (unsigned bit = 0; bit < 8; bit++)
        if (b->orders[BR_BROADCAST_ORDERS + bit].queue.untold != 0 && has_peers(b, bit))
            peers |= (uint8_t)(1u << bit);
    return peers;
}

uint32_t br_broadcast_order_of(uint8_t capability)
{
    uint32_t order = BR_BROADCAST_ORDERS;
    while (capability > 1) {
        capability >>= 1;
        order++;
    }
    return order;
}

/* ---- in ---- */

/* Makes sure that there is an item to be taken. */
static int reserve_item(struct br_alloc *alloc, struct br_broadcast_order *order)
{
    if (order->free != 0 || order->used < order->capacity)
        return 0;
    uint32_t capacity = order->capacity == 0 ? CAPACITY_MIN : order->capacity * 2;
    if (br_queue_reserve(&order->queue, capacity - 1) != 0)
        return BRUIT_ENOMEM;
    struct br_broadcast_item *items =
        br_alloc_resize(alloc, order->items, order->capacity * sizeof items[0], capacity * sizeof items[0]);
    if (items == NULL)
        return BRUIT_ENOMEM;
    order->items = items;
    order->capacity = capacity;
    return 0;
}

static uint32_t take_item(struct br_broadcast_order *order)
{
    uint32_t index = order->free;
    if (index != 0)
        order->free = order->items[index].next;
    else
        index = order->used++;
    BR_ASSERT(index < order->capacity);
    return index;
}

/* A message that is out of the queue: its bytes go, its handle waits for br_broadcast_next_done(). */
static void end_item(struct br_alloc *alloc, struct br_broadcast_order *order, uint32_t index)
{
    struct br_broadcast_item *item = &order->items[index];
    br_buf_drop(alloc, item->message);
    item->message = NULL;
    item->next = 0;
    if (order->done_last == 0)
        order->done_first = index;
    else
        order->items[order->done_last].next = index;
    order->done_last = index;
}

static void complain(struct br_broadcast *b, uint32_t order_index)
{
    static const char *const names[BR_BROADCAST_QUEUES] = {"Intent", "Query", "Event", "State", "Aggregate"};
    struct br_broadcast_order *order = &b->orders[order_index];
    br_core_drop(b->core, BRUIT_DROP_BROADCASTS_FULL);
    if (b->core->now < order->complain_at)
        return;
    order->complain_at = br_time_add(b->core->now, COMPLAINT_INTERVAL);
    const char *name = names[order_index] != NULL ? names[order_index] : "Module";
    BR_TRACE(&b->core->tracer, queue_full, .queue = name, .depth = BR_BROADCAST_MAX + 1, .limit = BR_BROADCAST_MAX);
}

/* Makes room for one; whoever waits for what was dropped need not wait any more. */
static void drop_worst(struct br_broadcast *b, uint32_t order_index)
{
    struct br_broadcast_order *order = &b->orders[order_index];
    complain(b, order_index);
    end_item(&b->core->alloc, order, br_queue_drop_worst(&order->queue));
}

int br_broadcast_add(struct br_broadcast *b, struct bruit_bytes message, uint32_t order_index,
                     uint64_t *handle)
{
    struct br_alloc *alloc = &b->core->alloc;
    if (order_index >= BR_BROADCAST_QUEUES)
        return BRUIT_EINVAL;
    if (message.size > UINT16_MAX)
        return BRUIT_ETOOBIG;
    struct br_broadcast_order *order = &b->orders[order_index];
    struct br_buf *copy = br_buf_new(alloc, message);
    if (copy == NULL || reserve_item(alloc, order) != 0) {
        br_buf_drop(alloc, copy);
        return BRUIT_ENOMEM;
    }
    if (br_queue_count(&order->queue) >= BR_BROADCAST_MAX)
        drop_worst(b, order_index);
    uint32_t index = take_item(order);
    BR_ASSERT(index < 1u << INDEX_BITS);
    b->handle = ((b->handle >> INDEX_BITS) + 1) << INDEX_BITS | index;
    order->items[index] = (struct br_broadcast_item){.message = copy, .handle = b->handle};
    br_queue_insert(&order->queue, index, (uint16_t)message.size);
    b->stuck = false;
    b->stuck_peers = 0;
    *handle = b->handle;
    return 0;
}

/* ---- out ---- */

struct filling {
    const struct br_broadcast_order *order;
    struct br_packet_builder *builder;
};

static void add_message(void *context, uint32_t index)
{
    const struct filling *filling = context;
    struct br_writer leaf = br_packet_leaf(filling->builder);
    br_write_u8(&leaf, BR_USER);
    br_write_bytes(&leaf, br_buf_bytes(filling->order->items[index].message));
    /* As with rumours: too small a buffer costs one transmission. */
    (void)br_packet_leaf_end(filling->builder, &leaf);
}

/* Messages that were sent often enough. */
static void collect_done(struct br_alloc *alloc, struct br_broadcast_order *order)
{
    uint32_t index;
    while ((index = br_queue_next_done(&order->queue)) != 0)
        end_item(alloc, order, index);
}

static size_t fill_from(struct br_broadcast *b, struct br_broadcast_order *order, uint32_t limit,
                        struct br_packet_builder *builder, size_t room)
{
    if (br_queue_count(&order->queue) == 0)
        return 0;
    struct filling filling = {order, builder};
    size_t used =
        br_queue_take(&order->queue, BR_BROADCAST_OVERHEAD, room,
                      (uint32_t)(BR_COMPOUND_PARTS_MAX - builder->count), limit, add_message, &filling);
    collect_done(&b->core->alloc, order);
    return used;
}

/* What is for peers alone counts with them. */
static uint32_t limit_of(const struct br_broadcast *b, uint32_t order)
{
    uint32_t members = b->members != 0 ? b->members : b->core->view.count;
    if (order >= BR_BROADCAST_ORDERS)
        members = b->core->view.peer_count[order - BR_BROADCAST_ORDERS];
    return br_num_retransmit_limit(b->core->config.retransmit_mult, members);
}

void br_broadcast_heard(struct br_broadcast *b, uint64_t handle)
{
    uint32_t index = handle & ((1u << INDEX_BITS) - 1);
    for (unsigned i = 0; i < BR_BROADCAST_QUEUES && index != 0; i++) {
        struct br_broadcast_order *order = &b->orders[i];
        if (index >= order->used || order->items[index].handle != handle ||
            order->items[index].message == NULL)
            continue;
        br_queue_count_one(&order->queue, index, 2 * b->core->config.gossip_nodes, limit_of(b, i));
        collect_done(&b->core->alloc, order);
    }
}

static size_t fill_for_all(struct br_broadcast *b, struct br_packet_builder *builder, size_t room)
{
    if (is_empty(b))
        return 0;
    uint32_t limit = limit_of(b, 0);
    size_t used = 0;
    for (unsigned i = 0; i < BR_BROADCAST_ORDERS; i++)
        used += fill_from(b, &b->orders[i], limit, builder, room - used);
    if (used == 0 && room >= b->room_whole)
        b->stuck = true;
    return used;
}

static size_t fill_for_peers(struct br_broadcast *b, struct br_packet_builder *builder, size_t room, uint8_t carries)
{
    size_t all = 0;
    for (unsigned bit = 0; bit < 8; bit++) {
        uint32_t order = BR_BROADCAST_ORDERS + bit;
        if (!(carries >> bit & 1) || br_broadcast_count(b, order) == 0)
            continue;
        size_t used = fill_from(b, &b->orders[order], limit_of(b, order), builder, room - all);
        if (used == 0 && room - all >= b->room_whole)
            b->stuck_peers |= (uint8_t)(1u << bit);
        all += used;
    }
    return all;
}

size_t br_broadcast_fill(struct br_broadcast *b, struct br_packet_builder *builder, size_t room, uint8_t carries,
                         bool peers_only)
{
    if (room <= BR_BROADCAST_OVERHEAD)
        return 0;
    size_t used = peers_only ? 0 : fill_for_all(b, builder, room);
    if (b->core->carries & carries)
        used += fill_for_peers(b, builder, room - used, b->core->carries & carries);
    return used;
}

static uint64_t next_done_of(struct br_broadcast_order *order)
{
    uint32_t index = order->done_first;
    if (index == 0)
        return 0;
    struct br_broadcast_item *item = &order->items[index];
    order->done_first = item->next;
    if (order->done_first == 0)
        order->done_last = 0;
    item->next = order->free;
    order->free = index;
    return item->handle;
}

uint64_t br_broadcast_next_done(struct br_broadcast *b)
{
    for (unsigned i = 0; i < BR_BROADCAST_QUEUES; i++) {
        uint64_t handle = next_done_of(&b->orders[i]);
        if (handle != 0)
            return handle;
    }
    return 0;
}
