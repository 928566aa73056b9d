/*
 * The modules' messages to everybody (broadcast.h).
 */
#include "spread/broadcast.h"

#include "base/check.h"
#include "base/num.h"
#include "codec/memberlist.h"

#include <string.h>

#define CAPACITY_MIN 8

void br_broadcast_init(struct br_broadcast *b, struct br_core *core)
{
    *b = (struct br_broadcast){.core = core, .room_whole = SIZE_MAX};
    for (unsigned i = 0; i < BR_BROADCAST_ORDERS; i++) {
        br_queue_init(&b->orders[i].queue, &core->alloc, core->config.seed + i);
        b->orders[i].used = 1;
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
    for (unsigned i = 0; i < BR_BROADCAST_ORDERS; i++)
        fini_order(&b->core->alloc, &b->orders[i]);
}

void br_broadcast_set_room(struct br_broadcast *b, size_t room)
{
    b->room_whole = room;
    b->stuck = false;
}

void br_broadcast_set_members(struct br_broadcast *b, uint32_t members)
{
    b->members = members;
}

uint32_t br_broadcast_count(const struct br_broadcast *b, uint32_t order)
{
    return order < BR_BROADCAST_ORDERS ? br_queue_count(&b->orders[order].queue) : 0;
}

static bool is_empty(const struct br_broadcast *b)
{
    for (uint32_t i = 0; i < BR_BROADCAST_ORDERS; i++)
        if (br_broadcast_count(b, i) != 0)
            return false;
    return true;
}

bool br_broadcast_waits(const struct br_broadcast *b)
{
    return !b->stuck && !is_empty(b);
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

int br_broadcast_add(struct br_broadcast *b, struct bruit_bytes message, uint32_t order_index,
                     uint64_t *handle)
{
    struct br_alloc *alloc = &b->core->alloc;
    if (order_index >= BR_BROADCAST_ORDERS)
        return BRUIT_EINVAL;
    if (message.size > UINT16_MAX)
        return BRUIT_ETOOBIG;
    struct br_broadcast_order *order = &b->orders[order_index];
    if (br_queue_count(&order->queue) >= BR_BROADCAST_MAX)
        return BRUIT_EFULL;
    struct br_buf *copy = br_buf_new(alloc, message);
    if (copy == NULL || reserve_item(alloc, order) != 0) {
        br_buf_drop(alloc, copy);
        return BRUIT_ENOMEM;
    }
    uint32_t index = take_item(order);
    order->items[index] = (struct br_broadcast_item){.message = copy, .handle = ++b->handle};
    br_queue_insert(&order->queue, index, (uint16_t)message.size);
    b->stuck = false;
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

/* Messages that were sent often enough: their bytes go, their handles wait for br_broadcast_next_done(). */
static void collect_done(struct br_alloc *alloc, struct br_broadcast_order *order)
{
    uint32_t index;
    while ((index = br_queue_next_done(&order->queue)) != 0) {
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

size_t br_broadcast_fill(struct br_broadcast *b, struct br_packet_builder *builder, size_t room)
{
    if (room <= BR_BROADCAST_OVERHEAD || is_empty(b))
        return 0;
    uint32_t members = b->members != 0 ? b->members : b->core->view.count;
    uint32_t limit = br_num_retransmit_limit(b->core->config.retransmit_mult, members);
    size_t used = 0;
    for (unsigned i = 0; i < BR_BROADCAST_ORDERS; i++)
        used += fill_from(b, &b->orders[i], limit, builder, room - used);
    if (used == 0 && room >= b->room_whole)
        b->stuck = true;
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
    for (unsigned i = 0; i < BR_BROADCAST_ORDERS; i++) {
        uint64_t handle = next_done_of(&b->orders[i]);
        if (handle != 0)
            return handle;
    }
    return 0;
}
