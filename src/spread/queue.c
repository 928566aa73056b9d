/*
 * The transmit-limited queue (queue.h). The treap keeps its nodes in the order of the take; the random priorities
 * only keep it flat, whatever lengths the network makes us queue.
 */
#include "spread/queue.h"

#include "base/check.h"

#include <bruit/error.h>

#include <string.h>

#define CAPACITY_MIN 16

void br_queue_init(struct br_queue *q, struct br_alloc *alloc, uint64_t seed)
{
    *q = (struct br_queue){.alloc = alloc, .group = 1};
    br_rng_init(&q->rng, seed, "queue");
}

void br_queue_fini(struct br_queue *q)
{
    br_alloc_free(q->alloc, q->nodes, q->capacity * sizeof q->nodes[0]);
    q->nodes = NULL;
    q->capacity = q->count = q->root = 0;
}

int br_queue_reserve(struct br_queue *q, uint32_t item)
{
    if (item < q->capacity)
        return 0;
    size_t capacity = q->capacity < CAPACITY_MIN ? CAPACITY_MIN : (size_t)q->capacity * 2;
    if (capacity <= item)
        capacity = (size_t)item + 1;
    if (capacity > UINT32_MAX)
        return BRUIT_ENOMEM;
    size_t old_size = q->capacity * sizeof q->nodes[0];
    struct br_queue_node *nodes = br_alloc_resize(q->alloc, q->nodes, old_size, capacity * sizeof nodes[0]);
    if (nodes == NULL)
        return BRUIT_ENOMEM;
    memset(nodes + q->capacity, 0, capacity * sizeof nodes[0] - old_size);
    q->nodes = nodes;
    q->capacity = (uint32_t)capacity;
    return 0;
}

/* ---- the tree ---- */

static bool comes_before(const struct br_queue_node *a, const struct br_queue_node *b)
{
    if (a->tier != b->tier)
        return a->tier < b->tier;
    if (a->length != b->length)
        return a->length > b->length;
    return a->id > b->id;
}

/* Where `node` goes on below the item at `link`. */
static uint32_t *step(struct br_queue *q, uint32_t *link, const struct br_queue_node *node)
{
    struct br_queue_node *at = &q->nodes[*link];
    return comes_before(node, at) ? &at->left : &at->right;
}

/* Puts an item whose key and priority are set into the tree: down to where its priority belongs, where it splits
 * what is there into what comes before it and what comes after. */
static void link_item(struct br_queue *q, uint32_t item)
{
    struct br_queue_node *node = &q->nodes[item];
    uint32_t *link = &q->root;
    while (*link != 0 && q->nodes[*link].priority >= node->priority)
        link = step(q, link, node);
    uint32_t rest = *link;
    *link = item;
    uint32_t *before = &node->left;
    uint32_t *after = &node->right;
    while (rest != 0) {
        struct br_queue_node *at = &q->nodes[rest];
        if (comes_before(at, node)) {
            *before = rest;
            before = &at->right;
            rest = at->right;
        } else {
            *after = rest;
            after = &at->left;
            rest = at->left;
        }
    }
    *before = 0;
    *after = 0;
    q->count++;
}

/* Takes an item out of the tree; its two subtrees are merged in its place. */
static void unlink_item(struct br_queue *q, uint32_t item)
{
    const struct br_queue_node *node = &q->nodes[item];
    uint32_t *link = &q->root;
    while (*link != item)
        link = step(q, link, node);
    uint32_t before = node->left;
    uint32_t after = node->right;
    while (before != 0 && after != 0) {
        if (q->nodes[before].priority >= q->nodes[after].priority) {
            *link = before;
            link = &q->nodes[before].right;
            before = *link;
        } else {
            *link = after;
            link = &q->nodes[after].left;
            after = *link;
        }
    }
    *link = before != 0 ? before : after;
    q->count--;
}

/* The first item in the order that is in this tier and no longer than `room`, or in a later tier. */
static uint32_t find_from(const struct br_queue *q, uint16_t tier, size_t room)
{
    uint32_t best = 0;
    for (uint32_t at = q->root; at != 0;) {
        const struct br_queue_node *node = &q->nodes[at];
        if (node->tier < tier || (node->tier == tier && node->length > room)) {
            at = node->right;
        } else {
            best = at;
            at = node->left;
        }
    }
    return best;
}

/* ---- in and out ---- */

void br_queue_insert(struct br_queue *q, uint32_t item, uint16_t length)
{
    BR_ASSERT(item != 0 && item < q->capacity && q->nodes[item].id == 0);
    q->nodes[item] = (struct br_queue_node){
        .id = ++q->id,
        .priority = (uint32_t)(br_rng_u64(&q->rng) >> 32),
        .length = length,
    };
    q->untold++;
    link_item(q, item);
}

bool br_queue_has(const struct br_queue *q, uint32_t item)
{
    return item != 0 && item < q->capacity && q->nodes[item].id != 0;
}

bool br_queue_remove(struct br_queue *q, uint32_t item)
{
    if (!br_queue_has(q, item))
        return false;
    unlink_item(q, item);
    q->untold -= q->nodes[item].transmits == 0;
    q->nodes[item].id = 0;
    return true;
}

uint32_t br_queue_drop_worst(struct br_queue *q)
{
    uint32_t worst = q->root;
    while (worst != 0 && q->nodes[worst].right != 0)
        worst = q->nodes[worst].right;
    br_queue_remove(q, worst);
    return worst;
}

/* ---- the take ---- */

static void append_done(struct br_queue *q, uint32_t item)
{
    q->nodes[item].id = 0;
    q->nodes[item].next = 0;
    if (q->done_last == 0)
        q->done_first = item;
    else
        q->nodes[q->done_last].next = item;
    q->done_last = item;
}

uint32_t br_queue_next_done(struct br_queue *q)
{
    uint32_t item = q->done_first;
    if (item != 0) {
        q->done_first = q->nodes[item].next;
        if (q->done_first == 0)
            q->done_last = 0;
    }
    return item;
}

/* The next item of the take, or 0: the longest, then newest, that fits into `room`, from the lowest tier that has
 * one. `*tier` remembers how far the search has come. */
static uint32_t find_fitting(const struct br_queue *q, uint16_t *tier, size_t room)
{
    for (;;) {
        uint32_t item = find_from(q, *tier, room);
        if (item == 0 || q->nodes[item].length <= room)
            return item;
        *tier = q->nodes[item].tier; /* a later tier, which begins with an item that is too long */
    }
}

/* Counts one more transmission of an item that was taken out of the tree. */
static void count_transmission(struct br_queue *q, uint32_t item, uint32_t limit, uint32_t *back)
{
    struct br_queue_node *node = &q->nodes[item];
    q->untold -= node->transmits == 0;
    if ((uint32_t)node->transmits + 1 >= limit || node->transmits == UINT16_MAX) {
        append_done(q, item);
        return;
    }
    node->transmits++;
    node->tier = (uint16_t)(node->transmits / q->group);
    node->next = *back;
    *back = item;
}

size_t br_queue_take(struct br_queue *q, size_t overhead, size_t room, uint32_t count_max, uint32_t limit,
                     void (*visit)(void *context, uint32_t item), void *context)
{
    size_t used = 0;
    uint16_t tier = 0;
    uint32_t back = 0;
    for (uint32_t count = 0; count < count_max && room > used && room - used > overhead; count++) {
        uint32_t item = find_fitting(q, &tier, room - used - overhead);
        if (item == 0)
            break;
        tier = q->nodes[item].tier;
        used += overhead + q->nodes[item].length;
        visit(context, item);
        unlink_item(q, item);
        count_transmission(q, item, limit, &back);
    }
    while (back != 0) {
        uint32_t item = back;
        back = q->nodes[item].next;
        link_item(q, item);
    }
    return used;
}

void br_queue_count_one(struct br_queue *q, uint32_t item, uint32_t least, uint32_t limit)
{
    uint32_t back = 0;
    if (!br_queue_has(q, item) || q->nodes[item].transmits < least)
        return;
    unlink_item(q, item);
    count_transmission(q, item, limit, &back);
    if (back != 0)
        link_item(q, item);
}

/* ---- for tests ---- */

/* Checks the subtree at `at`; `*previous` is the item that came before in the order. */
static bool is_subtree_ordered(const struct br_queue *q, uint32_t at, uint32_t *previous, uint32_t *count)
{
    if (at == 0)
        return true;
    const struct br_queue_node *node = &q->nodes[at];
    if (node->id == 0 || !is_subtree_ordered(q, node->left, previous, count))
        return false;
    if ((node->left != 0 && q->nodes[node->left].priority > node->priority) ||
        (node->right != 0 && q->nodes[node->right].priority > node->priority) ||
        (*previous != 0 && !comes_before(&q->nodes[*previous], node)))
        return false;
    *previous = at;
    (*count)++;
    return is_subtree_ordered(q, node->right, previous, count);
}

bool br_queue_is_consistent(const struct br_queue *q)
{
    uint32_t previous = 0;
    uint32_t count = 0;
    return is_subtree_ordered(q, q->root, &previous, &count) && count == q->count;
}
