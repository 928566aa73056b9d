/*
 * User events: a module (docs/wire/serf.md, sections 4, 6 and 7.1).
 *
 * An event is taken once: its time and its bytes are remembered, copies are known by both. What is taken is handed
 * to the program and passed on as the bytes it came in. A sync carries everything that is remembered; what comes
 * that way is handed out but not passed on, since the others sync, too.
 *
 * No timers. What is remembered is kept as it stands in the push/pull document, so that writing it is copying.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "base/text.h"
#include "codec/serf.h"
#include "module/host.h"
#include "module/lamport.h"
#include "module/recall.h"
#include "module/told.h"

#include <bruit/event.h>

/* Broadcasts go out in the order intents, queries, events (section 13). */
#define ORDER 2

/* What the encoding of an event adds at most: type byte, four keys, a time of 9 bytes, two headers of 5. */
#define OVERHEAD_MAX 64

struct events {
    struct bruit_host *host;
    const struct br_tracer *tracer;
    struct br_lamport clock;
    struct br_recall recall;
    struct br_told told;
    uint64_t min_time; /* events before it are old, whatever the ring says */
    uint32_t size_limit;
};

static struct events *events_of(const struct bruit_engine *engine)
{
    return bruit_engine_module(engine, &bruit_event_module);
}

/* ------------------------------------------------------------------ telling the program */

/* What an event's data begins with; name and payload follow. */
struct told {
    uint64_t ltime;
    uint32_t name_size;
    bool coalesce;
    bool is_replayed;
};

static int tell(struct events *e, const struct br_serf_event *event, bool is_replayed)
{
    struct told told = {.ltime = event->ltime,
                        .name_size = (uint32_t)event->name.size,
                        .coalesce = event->coalesce,
                        .is_replayed = is_replayed};
    size_t size = sizeof told + event->name.size + event->payload.size;
    uint8_t *data = bruit_host_resize(e->host, NULL, 0, size);
    if (data == NULL)
        return BRUIT_ENOMEM;
    struct br_writer w;
    br_writer_init(&w, data, size);
    br_write_bytes(&w, br_bytes(&told, sizeof told));
    br_write_bytes(&w, event->name);
    br_write_bytes(&w, event->payload);
    int status = bruit_host_emit(
        e->host, &(struct bruit_event){.type = BRUIT_EVENT_USER, .data = br_writer_bytes(&w)});
    (void)bruit_host_resize(e->host, data, size, 0);
    return status;
}

int bruit_event_read(const struct bruit_event *event, struct bruit_user_event *out)
{
    struct told told;
    if (event->type != BRUIT_EVENT_USER || event->data.size < sizeof told)
        return BRUIT_EINVAL;
    struct br_reader r;
    br_reader_init(&r, event->data);
    memcpy(&told, br_read_bytes(&r, sizeof told).data, sizeof told);
    *out = (struct bruit_user_event){
        .ltime = told.ltime, .coalesce = told.coalesce, .is_replayed = told.is_replayed};
    out->name = br_read_bytes(&r, told.name_size);
    out->payload = br_reader_rest(&r);
    return r.failed ? BRUIT_EINVAL : 0;
}

/* ------------------------------------------------------------------ taking an event */

#define UNKNOWN UINT32_MAX

/* Which of the events of its time it is, or UNKNOWN. */
static uint32_t find_known(const struct events *e, const struct br_serf_event *event)
{
    const struct br_recall_time *time = br_recall_find(&e->recall, event->ltime);
    if (time == NULL)
        return UNKNOWN;
    struct br_mp_list items = {br_bytes(time->bytes, time->size), time->count};
    struct bruit_bytes name;
    struct bruit_bytes payload;
    for (uint32_t i = 0; br_serf_next_slot_event(&items, &name, &payload); i++)
        if (br_bytes_equal(name, event->name) && br_bytes_equal(payload, event->payload))
            return i;
    return UNKNOWN;
}

/* The last of its time: what was just remembered. */
static uint32_t newest_of(const struct events *e, uint64_t ltime)
{
    return br_recall_find(&e->recall, ltime)->count - 1;
}

/* Others tell it, too: what comes by gossip again. */
static void hear_again(struct events *e, uint64_t ltime, uint32_t item)
{
    bruit_handle handle = br_told_find(&e->told, ltime, item);
    if (handle != 0)
        bruit_host_heard(e->host, handle);
}

static bruit_handle broadcast(struct events *e, uint64_t ltime, struct bruit_bytes message)
{
    bruit_handle handle = bruit_host_broadcast(e->host, message, ORDER);
    br_told_add(&e->told, ltime, newest_of(e, ltime), handle);
    return handle;
}

static int remember(struct events *e, const struct br_serf_event *event)
{
    size_t size = event->name.size + event->payload.size + OVERHEAD_MAX;
    uint8_t *item = bruit_host_resize(e->host, NULL, 0, size);
    if (item == NULL)
        return BRUIT_ENOMEM;
    struct br_writer w;
    br_writer_init(&w, item, size);
    br_serf_state_write_slot_event(&w, event->name, event->payload);
    BR_ASSERT(!w.failed);
    int status = br_recall_add(&e->recall, event->ltime, br_writer_bytes(&w));
    (void)bruit_host_resize(e->host, item, size, 0);
    return status;
}

/*
 * Section 7.1, receiving. True: it was news. The time 2^64 - 1 cannot be witnessed, so nothing with it can be told
 * from what is to come, and is not taken; upstream's clock would wrap.
 */
static bool take(struct events *e, const struct br_serf_event *event, bool is_replayed)
{
    br_lamport_witness(&e->clock, event->ltime);
    if (event->ltime < e->min_time)
        return false;
    if (br_recall_is_old(&e->recall, e->clock.time, event->ltime) || event->ltime == UINT64_MAX) {
        BR_TRACE(e->tracer, event_old, .name = event->name, .ltime = event->ltime, .clock = e->clock.time);
        br_host_drop(e->host, BRUIT_DROP_EVENT_OLD);
        return false;
    }
    uint32_t known = find_known(e, event);
    if (known != UNKNOWN) {
        if (!is_replayed)
            hear_again(e, event->ltime, known);
        return false;
    }
    int status = remember(e, event);
    if (status != 0) {
        BR_TRACE(e->tracer, event_refused, .name = event->name, .ltime = event->ltime,
                 .why = bruit_strerror(status));
        br_host_drop(e->host, BRUIT_DROP_EVENT_FULL);
        return false;
    }
    if (tell(e, event, is_replayed) != 0)
        BR_TRACE(e->tracer, event_lost, .name = event->name);
    if (is_replayed)
        br_host_doubt(e->host);
    return true;
}

static void on_message(void *self, struct bruit_bytes message, struct bruit_bytes body,
                       const struct bruit_addr *from)
{
    struct events *e = self;
    struct br_serf_event event;
    if (br_serf_event_decode(&event, body) != 0) {
        BR_TRACE(e->tracer, bad_message, .what = "a user event", .from = *from);
        br_host_drop(e->host, BRUIT_DROP_MALFORMED);
        return;
    }
    BR_TRACE(e->tracer, user_event, .name = event.name, .ltime = event.ltime);
    if (take(e, &event, false))
        (void)broadcast(e, event.ltime, message); /* the bytes as they came; best effort */
}

/* ------------------------------------------------------------------ sending one */

static size_t encoded_size(const struct events *e, struct bruit_bytes name, struct bruit_bytes payload)
{
    uint8_t buffer[BRUIT_USER_EVENT_SIZE_MAX + OVERHEAD_MAX];
    struct br_writer w;
    br_writer_init(&w, buffer, sizeof buffer);
    br_serf_event_encode(&w,
                         &(struct br_serf_event){.ltime = e->clock.time, .name = name, .payload = payload});
    return br_writer_size(&w);
}

static int refuse(char *text, size_t size, const char *before, uint32_t limit, const char *after)
{
    struct br_text t;
    br_text_init(&t, text, size);
    br_text_string(&t, before);
    br_text_u64(&t, limit);
    br_text_string(&t, after);
    (void)br_text_end(&t); /* cut is fine: it is for people */
    return BRUIT_ETOOBIG;
}

int bruit_user_event_check(const struct bruit_engine *engine, struct bruit_bytes name,
                           struct bruit_bytes payload, char *text, size_t size)
{
    const struct events *e = events_of(engine);
    if (e == NULL)
        return BRUIT_ENOENT;
    size_t plain = name.size + payload.size;
    if (plain > e->size_limit)
        return refuse(text, size, "user event exceeds configured limit of ", e->size_limit,
                      " bytes before encoding");
    if (plain > BRUIT_USER_EVENT_SIZE_MAX)
        return refuse(text, size, "user event exceeds sane limit of ", BRUIT_USER_EVENT_SIZE_MAX,
                      " bytes before encoding");
    size_t encoded = encoded_size(e, name, payload);
    if (encoded > e->size_limit)
        return refuse(text, size, "encoded user event exceeds configured limit of ", e->size_limit,
                      " bytes after encoding");
    if (encoded > BRUIT_USER_EVENT_SIZE_MAX)
        return refuse(text, size, "encoded user event exceeds reasonable limit of ",
                      BRUIT_USER_EVENT_SIZE_MAX, " bytes after encoding");
    return 0;
}

/* Without memory to send it, it still travels with syncs. */
static int send_event(struct events *e, const struct br_serf_event *event)
{
    uint8_t buffer[BRUIT_USER_EVENT_SIZE_MAX + OVERHEAD_MAX];
    struct br_writer w;
    br_writer_init(&w, buffer, sizeof buffer);
    br_serf_event_encode(&w, event);
    BR_ASSERT(!w.failed);
    int status = remember(e, event);
    if (status != 0)
        return status;
    br_lamport_increment(&e->clock);
    if (tell(e, event, false) != 0)
        BR_TRACE(e->tracer, event_lost, .name = event->name);
    /* Alone, there is nobody to tell: who comes later hears it with the first sync. It would wait for ever. */
    if (bruit_member_alive_count(bruit_host_engine(e->host)) < 2)
        return 0;
    return broadcast(e, event->ltime, br_writer_bytes(&w)) == 0 ? BRUIT_ENOMEM : 0;
}

int bruit_user_event(struct bruit_engine *engine, struct bruit_bytes name, struct bruit_bytes payload,
                     bool coalesce, bruit_time now)
{
    struct events *e = events_of(engine);
    if (e == NULL)
        return BRUIT_ENOENT;
    br_host_input(e->host, now);
    int status = bruit_user_event_check(engine, name, payload, NULL, 0);
    if (status != 0)
        return status;
    if (e->clock.time == UINT64_MAX)
        return BRUIT_EFULL;
    return send_event(e, &(struct br_serf_event){
                             .ltime = e->clock.time, .name = name, .payload = payload, .coalesce = coalesce});
}

/* ------------------------------------------------------------------ push/pull */

static int write_time(struct bruit_document *document, const struct br_recall_time *time)
{
    uint8_t buffer[32];
    struct br_writer w;
    br_writer_init(&w, buffer, sizeof buffer);
    if (time == NULL) {
        br_mp_write_nil(&w);
        return bruit_document_write(document, br_writer_bytes(&w));
    }
    br_serf_state_begin_slot(&w, time->count);
    int status = bruit_document_write(document, br_writer_bytes(&w));
    if (status == 0)
        status = bruit_document_write(document, br_bytes(time->bytes, time->size));
    if (status != 0)
        return status;
    br_writer_init(&w, buffer, sizeof buffer);
    br_serf_state_end_slot(&w, time->ltime);
    return bruit_document_write(document, br_writer_bytes(&w));
}

static int write_events(const struct events *e, struct bruit_document *document)
{
    uint8_t buffer[BR_SERF_EVENT_SLOTS + 8];
    struct br_writer w;
    br_writer_init(&w, buffer, sizeof buffer);
    if (e->recall.times == NULL) {
        br_serf_state_write_no_events(&w);
        return bruit_document_write(document, br_writer_bytes(&w));
    }
    br_mp_write_array(&w, BR_SERF_EVENT_SLOTS);
    int status = bruit_document_write(document, br_writer_bytes(&w));
    for (unsigned i = 0; i < BR_SERF_EVENT_SLOTS && status == 0; i++)
        status = write_time(document, e->recall.times[i]);
    return status;
}

static int export_section(void *self, struct bruit_document *document, const char *key, bool join)
{
    const struct events *e = self;
    uint8_t buffer[9];
    struct br_writer w;
    (void)join; /* the same whatever the exchange is part of */
    if (strcmp(key, "Events") == 0)
        return write_events(e, document);
    br_writer_init(&w, buffer, sizeof buffer);
    br_mp_write_uint(&w, e->clock.time);
    return bruit_document_write(document, br_writer_bytes(&w));
}

static uint64_t time_of(const struct bruit_document *document)
{
    struct br_reader r;
    br_reader_init(&r, bruit_document_find(document, "EventLTime"));
    return br_reader_left(&r) == 0 ? 0 : br_mp_read_uint(&r, UINT64_MAX);
}

/* Section 6, steps 2, 5 and 6. */
static void merge_sections(void *self, const struct bruit_document *document, bool join, bool active)
{
    struct events *e = self;
    struct br_mp_list times = br_mp_list_of(bruit_document_find(document, "Events"));
    struct br_serf_slot slot;
    uint64_t theirs = time_of(document);
    if (theirs > 0)
        br_lamport_witness(&e->clock, theirs - 1);
    if (join && active && (bruit_host_join_flags(e->host) & BRUIT_JOIN_IGNORE_OLD) && theirs > e->min_time)
        e->min_time = theirs;
    while (br_serf_next_slot(&times, &slot)) {
        struct br_serf_event event = {.ltime = slot.ltime};
        while (br_serf_next_slot_event(&slot.events, &event.name, &event.payload))
            (void)take(e, &event, true); /* what a sync brings is not passed on */
    }
}

/* ------------------------------------------------------------------ life */

void bruit_event_options_default(struct bruit_event_options *options)
{
    *options = (struct bruit_event_options){
        .struct_size = sizeof *options, .size_limit = BRUIT_USER_EVENT_SIZE_LIMIT, .memory_max = 1 << 20};
}

int bruit_event_configure(struct bruit_engine *engine, const struct bruit_event_options *options)
{
    struct events *e = events_of(engine);
    if (e == NULL)
        return BRUIT_ENOENT;
    if (options->struct_size != sizeof *options || options->size_limit > BRUIT_USER_EVENT_SIZE_MAX)
        return BRUIT_EINVAL;
    e->size_limit = options->size_limit;
    e->recall.memory_max = options->memory_max;
    return 0;
}

static int init(void *self, struct bruit_host *host)
{
    struct events *e = self;
    struct bruit_event_options options;
    bruit_event_options_default(&options);
    e->host = host;
    e->tracer = br_host_tracer(host);
    e->size_limit = options.size_limit;
    br_lamport_init(&e->clock);
    br_recall_init(&e->recall, br_host_alloc(host), options.memory_max);
    return 0;
}

static void fini(void *self)
{
    struct events *e = self;
    br_recall_fini(&e->recall);
}

static const uint8_t message_types[] = {BR_SERF_USER_EVENT};
static const char *const section_keys[] = {"EventLTime", "Events"};

const struct bruit_module bruit_event_module = {
    .struct_size = sizeof bruit_event_module,
    .name = "event",
    .state_size = sizeof(struct events),
    .message_types = message_types,
    .message_type_count = sizeof message_types,
    .section_keys = section_keys,
    .section_key_count = sizeof section_keys / sizeof section_keys[0],
    .init = init,
    .fini = fini,
    .on_message = on_message,
    .export_section = export_section,
    .merge_sections = merge_sections,
};

/* ------------------------------------------------------------------ the clock */

void bruit_event_ignore_before(struct bruit_engine *engine, uint64_t ltime)
{
    struct events *e = events_of(engine);
    if (e != NULL && ltime > e->min_time)
        e->min_time = ltime;
}

uint64_t bruit_event_time(const struct bruit_engine *engine)
{
    const struct events *e = events_of(engine);
    return e == NULL ? 0 : e->clock.time;
}

size_t bruit_event_queued(const struct bruit_engine *engine)
{
    const struct events *e = events_of(engine);
    return e == NULL ? 0 : bruit_host_queued(e->host, ORDER);
}

void bruit_event_witness(struct bruit_engine *engine, uint64_t seen)
{
    struct events *e = events_of(engine);
    if (e != NULL)
        br_lamport_witness(&e->clock, seen);
}
