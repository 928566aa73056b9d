/*
 * Intrusive doubly linked lists. A list is a ring through its head; a link not in a list points at
 * itself, so that removing twice does no harm.
 */
#ifndef BR_BASE_LIST_H
#define BR_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct br_list {
    struct br_list *next;
    struct br_list *prev;
};

/* The struct around a link. */
#define BR_LIST_OF(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

/* Walks the links; the loop body must not remove `link`. */
#define BR_LIST_EACH(link, head) for (struct br_list *link = (head)->next; link != (head); link = link->next)

/* Walks the links; the loop body may remove `link`. */
#define BR_LIST_EACH_SAFE(link, head)                                                    \
    for (struct br_list *link = (head)->next, *link##_next = link->next; link != (head); \
         link = link##_next, link##_next = link->next)

/* Heads and links alike. */
static inline void br_list_init(struct br_list *link)
{
    link->next = link;
    link->prev = link;
}

static inline bool br_list_is_empty(const struct br_list *head)
{
    return head->next == head;
}

/* Puts `link`, which is in no list, in front of `place`. */
static inline void br_list_insert_before(struct br_list *place, struct br_list *link)
{
    link->next = place;
    link->prev = place->prev;
    place->prev->next = link;
    place->prev = link;
}

static inline void br_list_push_back(struct br_list *head, struct br_list *link)
{
    br_list_insert_before(head, link);
}

static inline void br_list_push_front(struct br_list *head, struct br_list *link)
{
    br_list_insert_before(head->next, link);
}

static inline void br_list_remove(struct br_list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    br_list_init(link);
}

/* The first or last link, or NULL when the list is empty. */
static inline struct br_list *br_list_front(struct br_list *head)
{
    return head->next == head ? NULL : head->next;
}

static inline struct br_list *br_list_back(struct br_list *head)
{
    return head->prev == head ? NULL : head->prev;
}

/* Takes the first link out, or NULL. */
static inline struct br_list *br_list_pop_front(struct br_list *head)
{
    struct br_list *first = br_list_front(head);
    if (first != NULL)
        br_list_remove(first);
    return first;
}

#endif
