/* Gathering user events; see coalesce_user.h. */
#include "agent/coalesce_user.h"

#include "base/bytes.h"
#include "base/time.h"

#include <stdlib.h>

struct br_coalesce_user_entry {
    struct bruit_user_event event; /* name and payload point to the bytes below */
    uint8_t bytes[];
};

void br_user_coalescer_init(struct br_user_coalescer *c, br_coalesce_user_fn tell, void *context)
{
    *c = (struct br_user_coalescer){.tell = tell, .context = context};
}

void br_user_coalescer_fini(struct br_user_coalescer *c)
{
    for (uint32_t i = 0; i < c->count; i++)
        free(c->entries[i]);
    c->count = 0;
}

static struct br_coalesce_user_entry *copy_of(const struct bruit_user_event *event)
{
    struct br_coalesce_user_entry *entry = malloc(sizeof *entry + event->name.size + event->payload.size);
    if (entry == NULL)
        return NULL;
    struct br_writer w;
    br_writer_init(&w, entry->bytes, event->name.size + event->payload.size);
    br_write_bytes(&w, event->name);
    br_write_bytes(&w, event->payload);
    entry->event = *event;
    entry->event.name = br_bytes(entry->bytes, event->name.size);
    entry->event.payload = br_bytes(entry->bytes + event->name.size, event->payload.size);
    return entry;
}

/* Drops what the event outdates. False: it is itself outdated. */
static bool outdate(struct br_user_coalescer *c, const struct bruit_user_event *event)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        struct br_coalesce_user_entry *entry = c->entries[i];
        bool is_namesake = br_bytes_equal(entry->event.name, event->name);
        if (is_namesake && entry->event.ltime > event->ltime)
            return false; /* and then none of its namesakes is older: nothing was dropped */
        if (is_namesake && entry->event.ltime < event->ltime)
            free(entry);
        else
            c->entries[kept++] = entry;
    }
    c->count = kept;
    return true;
}

static void set_deadlines(struct br_user_coalescer *c, bruit_time now, bool is_first)
{
    if (is_first)
        c->deadline_period = br_time_add(now, BR_COALESCE_PERIOD);
    c->deadline_quiet = br_time_add(now, BR_COALESCE_QUIET);
}

int br_user_coalescer_add(struct br_user_coalescer *c, const struct bruit_user_event *event, bruit_time now)
{
    struct br_coalesce_user_entry *entry = copy_of(event);
    if (entry == NULL)
        return BRUIT_ENOMEM;
    set_deadlines(c, now, c->count == 0);
    if (!outdate(c, event)) {
        free(entry);
        return 0;
    }
    if (c->count == BR_COALESCE_USER_MAX) {
        br_user_coalescer_flush(c);
        set_deadlines(c, now, true);
    }
    c->entries[c->count++] = entry;
    return 0;
}

bruit_time br_user_coalescer_deadline(const struct br_user_coalescer *c)
{
    return c->count == 0 ? BRUIT_NEVER : br_time_min(c->deadline_quiet, c->deadline_period);
}

void br_user_coalescer_flush(struct br_user_coalescer *c)
{
    for (uint32_t i = 0; i < c->count; i++) {
        c->tell(c->context, &c->entries[i]->event);
        free(c->entries[i]);
    }
    c->count = 0;
}
