/*
 * Events: what the program is told.
 *
 * News of members gathers in the view, one entry a member however much happens to it; everything else is queued
 * here. What a fetched event points to lives until the next input.
 */
#include "engine/engine.h"

#include "base/check.h"

int br_event_push(struct bruit_engine *engine, const struct bruit_event *event)
{
    int status = br_ring_reserve(&engine->events, 1);
    if (status != 0)
        return status;
    struct br_buf *data = NULL;
    if (event->data.size > 0 && (data = br_buf_new(&engine->core.alloc, event->data)) == NULL)
        return BRUIT_ENOMEM;
    struct br_queued_event *queued = br_ring_push(&engine->events);
    queued->event = *event;
    queued->data = data;
    queued->event.data = br_buf_bytes(data);
    return 0;
}

static void release(struct bruit_engine *engine, const struct br_queued_event *spent)
{
    br_buf_drop(&engine->core.alloc, spent->data);
    if (spent->event.type != BRUIT_EVENT_JOIN_DONE)
        return;
    struct br_join_request *request = br_join_find(&engine->join, spent->event.request);
    if (request != NULL)
        br_join_end(&engine->join, request);
}

void br_event_release(struct bruit_engine *engine)
{
    struct br_queued_event *spent;
    while ((spent = br_ring_front(&engine->spent)) != NULL) {
        release(engine, spent);
        br_ring_pop(&engine->spent);
    }
    uint32_t *slot;
    while ((slot = br_ring_front(&engine->forgotten)) != NULL) {
        br_view_release(&engine->core.view, *slot);
        br_ring_pop(&engine->forgotten);
    }
}

static bool next_news(struct bruit_engine *engine, struct bruit_event *out)
{
    uint32_t slot;
    uint32_t changes;
    /* Room first: a forgotten member's slot must be remembered, or it would be lost for good. */
    if (br_ring_reserve(&engine->forgotten, 1) != 0 ||
        !br_view_take_news(&engine->core.view, &slot, &changes))
        return false;
    *out = (struct bruit_event){.type = BRUIT_EVENT_MEMBER, .node = slot, .changes = changes};
    if (changes & BRUIT_CHANGE_FORGOTTEN)
        *(uint32_t *)br_ring_push(&engine->forgotten) = slot;
    return true;
}

/* What a fetched event lends is kept until the next input. Where there is no room for that, the event waits. */
static bool next_queued(struct bruit_engine *engine, struct bruit_event *out)
{
    const struct br_queued_event *queued = br_ring_front(&engine->events);
    if (queued == NULL || br_ring_reserve(&engine->spent, 1) != 0)
        return false;
    struct br_queued_event *spent = br_ring_push(&engine->spent);
    *spent = *queued;
    *out = spent->event;
    br_ring_pop(&engine->events);
    return true;
}

bool bruit_next_event(struct bruit_engine *engine, struct bruit_event *out)
{
    return next_news(engine, out) || next_queued(engine, out);
}
