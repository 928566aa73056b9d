/*
 * Packets by their arrival: see queue.h.
 */
#include "sim/queue.h"

#include <bruit/error.h>

#include <stdlib.h>

#define CHILDREN 4
#define CAPACITY_MIN 256

static bool is_before(const struct br_sim_item *a, const struct br_sim_item *b)
{
    return a->time != b->time ? a->time < b->time : a->order < b->order;
}

void br_sim_queue_fini(struct br_sim_queue *queue)
{
    free(queue->items);
    *queue = (struct br_sim_queue){0};
}

static int grow(struct br_sim_queue *queue)
{
    size_t wanted = queue->capacity == 0 ? CAPACITY_MIN : 2 * queue->capacity;
    struct br_sim_item *items = realloc(queue->items, wanted * sizeof *items);
    if (items == NULL)
        return BRUIT_ENOMEM;
    queue->items = items;
    queue->capacity = wanted;
    return 0;
}

int br_sim_queue_push(struct br_sim_queue *queue, bruit_time time, uint64_t order,
                      struct br_sim_packet *packet)
{
    if (queue->count == queue->capacity && grow(queue) != 0)
        return BRUIT_ENOMEM;
    struct br_sim_item *items = queue->items;
    size_t at = queue->count++;
    while (at > 0) {
        const struct br_sim_item *parent = &items[(at - 1) / CHILDREN];
        if (parent->time < time || (parent->time == time && parent->order < order))
            break;
        items[at] = *parent;
        at = (at - 1) / CHILDREN;
    }
    items[at].time = time;
    items[at].order = order;
    items[at].packet = packet;
    return 0;
}

struct br_sim_packet *br_sim_queue_pop(struct br_sim_queue *queue)
{
    struct br_sim_item *items = queue->items;
    struct br_sim_packet *first = items[0].packet;
    size_t count = --queue->count;
    struct br_sim_item last = items[count];
    size_t at = 0;
    for (size_t child; (child = at * CHILDREN + 1) < count;) {
        size_t least = child;
        for (size_t i = child + 1; i < count && i < child + CHILDREN; i++)
            if (is_before(&items[i], &items[least]))
                least = i;
        if (!is_before(&items[least], &last))
            break;
        items[at] = items[least];
        at = least;
    }
    items[at] = last;
    return first;
}
