/*
 * Memory: of packets, in pools that never shrink, and of engines, counted for the world as a whole.
 *
 * A packet is freed into the pool of the shard in which it arrives. Traffic goes both ways, so the pools stay
 * level.
 */
#include "sim/sim.h"

#include <stdlib.h>
#include <string.h>

/* Pings and acks fit the first; the fourth takes any default datagram; the last two are chunks of streams. */
static const uint32_t class_sizes[BR_SIM_PACKET_CLASSES] = {96, 288, 800, 1536, 8192, 65536};

static uint8_t class_of(size_t size)
{
    uint8_t class = 0;
    while (class < BR_SIM_PACKET_CLASSES && size > class_sizes[class])
        class ++;
    return class;
}

static struct br_sim_packet *packet_alone(struct br_sim_shard *shard, uint8_t class, size_t size)
{
    struct br_sim_packet *packet = malloc(sizeof *packet + size);
    if (packet == NULL)
        shard->stats.short_of_memory++;
    else
        packet->size_class = class;
    return packet;
}

struct br_sim_packet *br_sim_packet_new(struct br_sim_shard *shard, size_t size)
{
    uint8_t class = class_of(size);
    struct br_sim_packet *packet;
    if (class < BR_SIM_PACKET_CLASSES && shard->pool[class] != NULL) {
        packet = shard->pool[class];
        shard->pool[class] = packet->next;
    } else {
        packet = packet_alone(shard, class, class < BR_SIM_PACKET_CLASSES ? class_sizes[class] : size);
        if (packet == NULL)
            return NULL;
    }
    uint8_t kept = packet->size_class;
    *packet = (struct br_sim_packet){.size = (uint32_t)size, .size_class = kept};
    return packet;
}

void br_sim_packet_free(struct br_sim_shard *shard, struct br_sim_packet *packet)
{
    if (packet->size_class == BR_SIM_PACKET_CLASSES) {
        free(packet);
        return;
    }
    packet->next = shard->pool[packet->size_class];
    shard->pool[packet->size_class] = packet;
}

void br_sim_packets_fini(struct br_sim_shard *shard)
{
    for (int class = 0; class < BR_SIM_PACKET_CLASSES; class ++)
        for (struct br_sim_packet *packet; (packet = shard->pool[class]) != NULL;) {
            shard->pool[class] = packet->next;
            free(packet);
        }
}

/* ---- on its way ---- */

static int push_box(struct br_sim_box *box, bruit_time time, uint64_t order, struct br_sim_packet *packet)
{
    if (box->count == box->capacity) {
        size_t wanted = box->capacity == 0 ? 64 : 2 * box->capacity;
        struct br_sim_item *items = realloc(box->items, wanted * sizeof *items);
        if (items == NULL)
            return BRUIT_ENOMEM;
        box->items = items;
        box->capacity = wanted;
    }
    box->items[box->count++] = (struct br_sim_item){time, order, packet};
    return 0;
}

void br_sim_launch(struct br_sim_node *sender, struct br_sim_packet *packet, uint32_t to, bruit_time at)
{
    struct bruit_sim *sim = sender->sim;
    struct br_sim_shard *shard = sender->shard;
    uint64_t order = (uint64_t)sender->index << 44 | sender->order++;
    struct br_sim_shard *other = sim->shard_count == 1 ? shard : &sim->shards[to % sim->shard_count];
    int status;
    if (other == shard || !sim->is_running) {
        status = br_sim_queue_push(&other->queue, at, order, packet);
    } else {
        status = push_box(&shard->outbox[sim->parity][other->index], at, order, packet);
        if (at < shard->outbox_min[sim->parity])
            shard->outbox_min[sim->parity] = at;
    }
    if (status != 0) {
        shard->stats.short_of_memory++;
        br_sim_packet_free(shard, packet);
        return;
    }
    shard->in_flight++;
}

/* ---- of engines ---- */

/*
 * Blocks from here on come from the system one by one and go back to it, and each of their pages costs a fault anew:
 * with 10,000 nodes, two megabytes for every sync. A few are kept for the next who wants one. Their sizes are rounded
 * up, by a quarter at most, so that many fit, and so that the size alone says how large a block really is.
 */
#define LARGE ((size_t)128 << 10)

static size_t rounded(size_t size)
{
    size_t step = LARGE / 4;
    while (step * 8 <= size)
        step *= 2;
    return (size + step - 1) / step * step;
}

static void *take_kept(struct br_sim_shard *shard, size_t size)
{
    for (uint32_t i = 0; i < shard->kept_count; i++) {
        struct br_sim_kept kept = shard->kept[i];
        if (kept.size != size)
            continue;
        shard->kept[i] = shard->kept[--shard->kept_count];
        return kept.memory;
    }
    return malloc(size);
}

static void keep(struct br_sim_shard *shard, void *memory, size_t size)
{
    if (shard->kept_count == BR_SIM_KEPT_MAX) {
        free(shard->kept[0].memory);
        shard->kept[0] = shard->kept[--shard->kept_count];
    }
    shard->kept[shard->kept_count++] = (struct br_sim_kept){memory, size};
}

static void *resize_large(struct br_sim_shard *shard, void *old, size_t old_size, size_t new_size)
{
    bool was_large = old_size >= LARGE, is_large = new_size >= LARGE;
    if (was_large && is_large && rounded(old_size) == rounded(new_size))
        return old;
    void *memory = is_large ? take_kept(shard, rounded(new_size)) : malloc(new_size);
    if (memory == NULL)
        return NULL;
    if (old != NULL)
        memcpy(memory, old, old_size < new_size ? old_size : new_size);
    if (was_large)
        keep(shard, old, rounded(old_size));
    else
        free(old);
    return memory;
}

static void release(struct br_sim_shard *shard, void *memory, size_t size)
{
    if (size >= LARGE)
        keep(shard, memory, rounded(size));
    else
        free(memory);
    shard->held -= size;
}

static void *resize(struct br_sim_shard *shard, void *old, size_t old_size, size_t new_size)
{
    int poison = shard->sim->config.poison;
    bool is_large = old_size >= LARGE || new_size >= LARGE;
    if (new_size == 0) {
        if (poison != 0 && old != NULL)
            memset(old, poison, old_size);
        release(shard, old, old_size);
        return NULL;
    }
    void *memory = is_large ? resize_large(shard, old, old_size, new_size) : realloc(old, new_size);
    if (memory == NULL)
        return NULL;
    if (poison != 0 && new_size > old_size)
        memset((uint8_t *)memory + old_size, poison, new_size - old_size);
    shard->held += new_size - old_size;
    return memory;
}

void br_sim_kept_fini(struct br_sim_shard *shard)
{
    while (shard->kept_count > 0)
        free(shard->kept[--shard->kept_count].memory);
}

void *br_sim_shard_resize(void *context, void *old, size_t old_size, size_t new_size)
{
    return resize(context, old, old == NULL ? 0 : old_size, new_size);
}

void *br_sim_node_resize(void *context, void *old, size_t old_size, size_t new_size)
{
    struct br_sim_node *node = context;
    if (old == NULL)
        old_size = 0;
    if (node->fail_memory != 0 && new_size > old_size && br_sim_chance(&node->fail_rng, node->fail_memory))
        return NULL;
    return resize(node->shard, old, old_size, new_size);
}
