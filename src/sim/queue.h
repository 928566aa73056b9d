/*
 * What is on its way: packets by the time of their arrival.
 *
 * A 4-ary heap of small items that point at the packets. Equal times come out by `order`, which is made of
 * the sender's number and the sender's own count, so that what happens does not depend on how nodes are
 * spread over shards.
 */
#ifndef BR_SIM_QUEUE_H
#define BR_SIM_QUEUE_H

#include <bruit/types.h>

struct br_sim_packet;

struct br_sim_item {
    bruit_time time;
    uint64_t order;
    struct br_sim_packet *packet;
};

struct br_sim_queue {
    struct br_sim_item *items;
    size_t count;
    size_t capacity;
};

void br_sim_queue_fini(struct br_sim_queue *queue); /* the packets are the caller's */

/*
 * 0, or BRUIT_ENOMEM. The item's parts one by one: a struct that was just put together is slow to read as a
 * whole, and this is called for all that is ever sent.
 */
int br_sim_queue_push(struct br_sim_queue *queue, bruit_time time, uint64_t order,
                      struct br_sim_packet *packet);

/* The first one; needs a queue that is not empty. */
struct br_sim_packet *br_sim_queue_pop(struct br_sim_queue *queue);

static inline bruit_time br_sim_queue_time(const struct br_sim_queue *queue)
{
    return queue->count == 0 ? BRUIT_NEVER : queue->items[0].time;
}

#endif
