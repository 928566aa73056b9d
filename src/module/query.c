/*
 * Queries: a module (docs/wire/serf.md, sections 4, 7.2 to 7.5 and 8).
 *
 * Two halves that share a clock and a ring of what was heard. *Asked*: a query is taken once, passed on, and if its
 * filters let us through acknowledged and handed up; what is needed to answer it is kept until so many others came
 * that it must make room. *Asking*: a query of ours is collected for (collect.h) until its deadline.
 *
 * Our own answers to our own queries travel as datagrams like everybody's: no hook is called within another's service.
 *
 * Timers: the deadline of each query of ours; and at once, a module's question that ourselves are to be asked, too.
 *
 * This module carries the questions of other modules: see br_host_carry().
 */
#include "base/bytes.h"
#include "base/check.h"
#include "base/num.h"
#include "base/ring.h"
#include "base/text.h"
#include "base/time.h"
#include "codec/addr.h"
#include "codec/serf.h"
#include "module/collect.h"
#include "module/filter.h"
#include "module/host.h"
#include "module/lamport.h"
#include "module/recall.h"
#include "module/told.h"

#include <bruit/query.h>

/* Broadcasts go out in the order intents, queries, events (section 13). */
#define ORDER 1

/* Queries that may still be answered. 200 a second, each open for the 6.4 s of a cluster of 10 to 99, are 1,280. */
#define ASKED_MAX 2048

/* Of the numbers of queries heard: 512 times with an item or two take some 30 KB. */
#define RECALL_MEMORY_MAX (256 << 10)

/* Keys and numbers of a query message, a response message, and a relay's header: generously. */
#define QUERY_OVERHEAD 256
#define RESPONSE_OVERHEAD 96
#define RELAY_OVERHEAD 128

/* Serf's queries exist from this version of its protocol on. */
#define PROTOCOL_MIN 4

/* memberlist's protocol from which a member may be asked to relay. */
#define RELAY_PROTOCOL_MIN 5

/* Comparing members with our own query's filters may cost this many steps; about 0.1 s, once for a query. */
#define EXPECT_BUDGET 20000000

static const char internal_prefix[] = "_serf_";

struct asked {
    uint64_t ltime;
    uint32_t id;
    uint8_t relay_factor;
    bool responded;
    struct bruit_addr addr;
    bruit_time deadline;
    struct br_buf *source; /* the name of whoever asks, or NULL */
};

struct queries {
    struct bruit_host *host;
    const struct br_tracer *tracer;
    struct bruit_query_options options;
    struct br_lamport clock;
    struct br_recall recall;
    struct br_told told;
    uint64_t min_time;
    struct br_ring asked; /* struct asked */
    uint64_t asked_first; /* handle of its first item */
    struct br_collectors running;
};

static struct queries *queries_of(const struct bruit_engine *engine)
{
    return bruit_engine_module(engine, &bruit_query_module);
}

static const struct bruit_engine *engine_of(const struct queries *q)
{
    return bruit_host_engine(q->host);
}

static struct bruit_member self_of(const struct queries *q)
{
    struct bruit_member self = {0};
    (void)bruit_member_get(engine_of(q), bruit_member_self(engine_of(q)), &self); /* we are always known */
    return self;
}

/* ------------------------------------------------------------------ telling the program */

/* Emits a struct and what it points to, in one piece. */
static void emit(struct queries *q, uint32_t type, uint32_t request, struct bruit_bytes head,
                 const struct bruit_bytes *tails, size_t tail_count)
{
    size_t size = head.size;
    for (size_t i = 0; i < tail_count; i++)
        size += tails[i].size;
    uint8_t *data = bruit_host_resize(q->host, NULL, 0, size);
    struct br_writer w;
    br_writer_init(&w, data, data == NULL ? 0 : size);
    br_write_bytes(&w, head);
    for (size_t i = 0; i < tail_count; i++)
        br_write_bytes(&w, tails[i]);
    struct bruit_event event = {.type = type, .request = request, .data = br_writer_bytes(&w)};
    if (w.failed || bruit_host_emit(q->host, &event) != 0)
        BR_TRACE(q->tracer, event_lost, .name = br_bytes_text("a query"));
    (void)bruit_host_resize(q->host, data, data == NULL ? 0 : size, 0);
}

/* Reads the head back, and points `tails` into what follows, which has their sizes already. */
static int unpack(const struct bruit_event *event, uint32_t type, void *head, size_t head_size,
                  struct bruit_bytes *const *tails, size_t tail_count)
{
    struct br_reader r;
    br_reader_init(&r, event->data);
    if (event->type != type || event->data.size < head_size)
        return BRUIT_EINVAL;
    memcpy(head, br_read_bytes(&r, head_size).data, head_size);
    for (size_t i = 0; i < tail_count; i++)
        *tails[i] = br_read_bytes(&r, tails[i]->size);
    return r.failed ? BRUIT_EINVAL : 0;
}

int bruit_query_read(const struct bruit_event *event, struct bruit_query *out)
{
    struct bruit_bytes *const tails[] = {&out->source, &out->name, &out->payload};
    return unpack(event, BRUIT_EVENT_QUERY, out, sizeof *out, tails, 3);
}

int bruit_query_answer_read(const struct bruit_event *event, struct bruit_query_answer *out)
{
    struct bruit_bytes *const tails[] = {&out->from, &out->payload};
    uint32_t type = event->type == BRUIT_EVENT_QUERY_ACK ? event->type : BRUIT_EVENT_QUERY_RESPONSE;
    return unpack(event, type, out, sizeof *out, tails, 2);
}

int bruit_query_done_read(const struct bruit_event *event, struct bruit_query_done *out)
{
    return unpack(event, BRUIT_EVENT_QUERY_DONE, out, sizeof *out, NULL, 0);
}

/* ------------------------------------------------------------------ answering (section 7.4) */

/* Up to `most` members who may relay, each as likely as any other (Vitter's algorithm R). */
static uint32_t pick_relays(struct queries *q, bruit_node *picks, uint32_t most)
{
    const struct bruit_engine *engine = engine_of(q);
    uint32_t seen = 0;
    for (bruit_node node = bruit_member_next(engine, 0); node != 0; node = bruit_member_next(engine, node)) {
        struct bruit_member member;
        if (bruit_member_get(engine, node, &member) != 0 || member.is_self ||
            (member.state != BRUIT_ALIVE && member.state != BRUIT_SUSPECT) ||
            member.versions[1] < RELAY_PROTOCOL_MIN)
            continue;
        uint64_t place = seen < most ? seen : bruit_host_random_below(q->host, (uint64_t)seen + 1);
        seen++;
        if (place < most)
            picks[place] = node;
    }
    return seen < most ? seen : most;
}

static bool has_relays(const struct queries *q, const struct asked *asked)
{
    return asked->relay_factor > 0 && bruit_member_count(engine_of(q)) > asked->relay_factor;
}

static size_t relay_size_max(const struct asked *asked, struct bruit_bytes message)
{
    return message.size + br_buf_bytes(asked->source).size + RELAY_OVERHEAD;
}

static void write_relay(struct br_writer *w, const struct asked *asked, struct bruit_bytes message)
{
    br_serf_relay_encode(w, &(struct br_serf_relay){.ip = br_addr_ip(&asked->addr),
                                                    .port = asked->addr.port,
                                                    .node = br_buf_bytes(asked->source),
                                                    .message = message});
    BR_ASSERT(!w->failed);
}

static int send_relays(struct queries *q, const struct asked *asked, struct bruit_bytes relay)
{
    bruit_node picks[UINT8_MAX];
    uint32_t count = pick_relays(q, picks, asked->relay_factor);
    if (relay.size > q->options.response_size_limit)
        return BRUIT_ETOOBIG;
    for (uint32_t i = 0; i < count; i++) {
        struct bruit_member member;
        if (bruit_member_get(engine_of(q), picks[i], &member) == 0)
            (void)bruit_host_send(q->host, &member.addr,
                                  relay); /* one of several ways; the direct one counts */
    }
    return 0;
}

/* Passes an answer on through some others, if the query wants that: 0, BRUIT_ETOOBIG or BRUIT_ENOMEM. */
static int relay(struct queries *q, const struct asked *asked, struct bruit_bytes message)
{
    if (!has_relays(q, asked))
        return 0;
    size_t size = relay_size_max(asked, message);
    uint8_t *buffer = bruit_host_resize(q->host, NULL, 0, size);
    if (buffer == NULL)
        return BRUIT_ENOMEM;
    struct br_writer w;
    br_writer_init(&w, buffer, size);
    write_relay(&w, asked, message);
    int status = send_relays(q, asked, br_writer_bytes(&w));
    (void)bruit_host_resize(q->host, buffer, size, 0);
    return status;
}

static void write_response(const struct queries *q, struct br_writer *w, const struct asked *asked,
                           uint32_t flags, struct bruit_bytes payload)
{
    struct bruit_bytes name = bruit_member_name(engine_of(q), bruit_member_self(engine_of(q)));
    br_serf_response_encode(
        w, &(struct br_serf_response){
               .ltime = asked->ltime, .id = asked->id, .flags = flags, .from = name, .payload = payload});
}

static void send_ack(struct queries *q, const struct asked *asked, struct bruit_bytes name)
{
    uint8_t buffer[BRUIT_NAME_MAX + RESPONSE_OVERHEAD];
    struct br_writer w;
    br_writer_init(&w, buffer, sizeof buffer);
    write_response(q, &w, asked, BR_SERF_RESPONSE_ACK, br_bytes(NULL, 0));
    BR_ASSERT(!w.failed);
    int status = bruit_host_send(q->host, &asked->addr, br_writer_bytes(&w));
    if (status == 0)
        status = relay(q, asked, br_writer_bytes(&w));
    if (status != 0)
        BR_TRACE(q->tracer, answer_failed, .name = name, .why = bruit_strerror(status));
}

static struct asked *find_asked(const struct queries *q, uint64_t handle)
{
    uint64_t index = handle - q->asked_first;
    return handle < q->asked_first || index > UINT32_MAX ? NULL : br_ring_at(&q->asked, (uint32_t)index);
}

static int check_response(const struct queries *q, const struct asked *asked, struct bruit_bytes message,
                          bruit_time now)
{
    if (message.size > q->options.response_size_limit)
        return BRUIT_ETOOBIG;
    if (asked == NULL)
        return BRUIT_ETIMEOUT;
    if (asked->responded)
        return BRUIT_EEXIST;
    return asked->deadline < now ? BRUIT_ETIMEOUT : 0;
}

/* A query that is not kept any more still says that a response is too long: that check comes first. */
static const struct asked nobody = {.ltime = 0};

static int respond_with(struct queries *q, struct asked *asked, struct bruit_bytes payload, uint8_t *buffer,
                        size_t size)
{
    struct br_writer w;
    br_writer_init(&w, buffer, size);
    write_response(q, &w, asked != NULL ? asked : &nobody, 0, payload);
    BR_ASSERT(!w.failed);
    int status = check_response(q, asked, br_writer_bytes(&w), bruit_host_now(q->host));
    if (status == 0)
        status = bruit_host_send(q->host, &asked->addr, br_writer_bytes(&w));
    if (status == 0)
        status = relay(q, asked, br_writer_bytes(&w));
    if (status == 0)
        asked->responded = true;
    return status;
}

static int respond(void *self, uint64_t handle, struct bruit_bytes payload)
{
    struct queries *q = self;
    if (payload.size > q->options.response_size_limit)
        return BRUIT_ETOOBIG;
    size_t size = payload.size + BRUIT_NAME_MAX + RESPONSE_OVERHEAD;
    uint8_t *buffer = bruit_host_resize(q->host, NULL, 0, size);
    if (buffer == NULL)
        return BRUIT_ENOMEM;
    int status = respond_with(q, find_asked(q, handle), payload, buffer, size);
    (void)bruit_host_resize(q->host, buffer, size, 0);
    return status;
}

int bruit_query_respond(struct bruit_engine *engine, uint64_t handle, struct bruit_bytes payload,
                        bruit_time now)
{
    struct queries *q = queries_of(engine);
    if (q == NULL)
        return BRUIT_ENOENT;
    br_host_input(q->host, now);
    return respond(q, handle, payload);
}

/* An empty payload is nil, one byte; a long one has a header of three. */
static size_t answer_room(void *self, uint64_t handle)
{
    struct queries *q = self;
    const struct asked *asked = find_asked(q, handle);
    uint8_t buffer[BRUIT_NAME_MAX + RESPONSE_OVERHEAD];
    struct br_writer w;
    br_writer_init(&w, buffer, sizeof buffer);
    write_response(q, &w, asked != NULL ? asked : &nobody, 0, br_bytes(NULL, 0));
    size_t used = br_writer_size(&w) + 2;
    return used < q->options.response_size_limit ? q->options.response_size_limit - used : 0;
}

/* ------------------------------------------------------------------ being asked (section 7.3) */

static void drop_first_asked(struct queries *q)
{
    struct asked *first = br_ring_front(&q->asked);
    br_buf_drop(br_host_alloc(q->host), first->source);
    br_ring_pop(&q->asked);
    q->asked_first++;
}

/* Those that nobody can answer any more make room first; then the oldest. */
static int reserve_asked(struct queries *q)
{
    const struct asked *first;
    while ((first = br_ring_front(&q->asked)) != NULL && first->deadline < bruit_host_now(q->host))
        drop_first_asked(q);
    if (br_ring_is_full(&q->asked))
        drop_first_asked(q);
    return br_ring_reserve(&q->asked, 1);
}

static bruit_time deadline_after(bruit_time now, int64_t timeout_ns)
{
    return timeout_ns <= 0 ? now : br_time_add(now, (uint64_t)timeout_ns);
}

/* Keeps what is needed to answer: the handle, or 0. */
static uint64_t keep_asked(struct queries *q, const struct br_serf_query *query)
{
    struct br_alloc *alloc = br_host_alloc(q->host);
    struct asked asked = {.ltime = query->ltime, .id = query->id, .relay_factor = query->relay_factor};
    if (br_addr_make(&asked.addr, query->addr, query->port) != 0 || query->port == 0 || reserve_asked(q) != 0)
        return 0;
    asked.deadline = deadline_after(bruit_host_now(q->host), query->timeout_ns);
    if (query->source_node.size > 0 && query->source_node.size <= BRUIT_NAME_MAX &&
        (asked.source = br_buf_new(alloc, query->source_node)) == NULL)
        return 0;
    *(struct asked *)br_ring_push(&q->asked) = asked;
    return q->asked_first + br_ring_count(&q->asked) - 1;
}

static bool is_internal(struct bruit_bytes name, struct bruit_bytes *rest)
{
    size_t prefix = sizeof internal_prefix - 1;
    if (name.size < prefix || memcmp(name.data, internal_prefix, prefix) != 0)
        return false;
    *rest = br_bytes(name.data + prefix, name.size - prefix);
    return true;
}

static void tell_query(struct queries *q, const struct br_serf_query *query, uint64_t handle)
{
    const struct asked *asked = find_asked(q, handle);
    struct bruit_bytes rest;
    struct bruit_query told = {.handle = handle,
                               .ltime = query->ltime,
                               .id = query->id,
                               .wants_ack = query->flags & BR_SERF_QUERY_ACK,
                               .is_internal = is_internal(query->name, &rest),
                               .relay_factor = query->relay_factor,
                               .deadline = asked->deadline,
                               .addr = asked->addr,
                               .source = query->source_node,
                               .name = query->name,
                               .payload = query->payload};
    const struct bruit_bytes tails[] = {told.source, told.name, told.payload};
    emit(q, BRUIT_EVENT_QUERY, 0, br_bytes(&told, sizeof told), tails, 3);
}

/* To the module that it is for. `_serf_ping` only wants its acknowledgement. */
static void put_question(struct queries *q, const struct br_serf_query *query, struct bruit_bytes name,
                         uint64_t handle)
{
    const struct asked *asked = find_asked(q, handle);
    struct bruit_question question = {.id = handle,
                                      .name = name,
                                      .payload = query->payload,
                                      .source = query->source_node,
                                      .deadline = asked == NULL ? 0 : asked->deadline};
    if (!br_bytes_equal(name, br_bytes_text("ping")) && !br_host_question(q->host, &question))
        BR_TRACE(q->tracer, query_unhandled, .name = name);
}

/* Others tell it, too. */
static void hear_again(struct queries *q, const struct br_serf_query *query)
{
    bruit_handle handle = br_told_find(&q->told, query->ltime, query->id);
    if (handle != 0)
        bruit_host_heard(q->host, handle);
}

static void broadcast(struct queries *q, const struct br_serf_query *query, struct bruit_bytes message)
{
    bruit_handle handle = bruit_host_broadcast(q->host, message, ORDER);
    br_told_add(&q->told, query->ltime, query->id, handle);
}

/* Steps 1 to 4: 0 when it is news, BRUIT_EEXIST when it is not, BRUIT_ENOMEM or BRUIT_EFULL. */
static int screen(struct queries *q, const struct br_serf_query *query)
{
    br_lamport_witness(&q->clock, query->ltime);
    if (query->ltime < q->min_time)
        return BRUIT_EEXIST;
    if (br_recall_is_old(&q->recall, q->clock.time, query->ltime) || query->ltime == UINT64_MAX) {
        BR_TRACE(q->tracer, query_old, .name = query->name, .ltime = query->ltime, .clock = q->clock.time);
        br_host_drop(q->host, BRUIT_DROP_EVENT_OLD);
        return BRUIT_EEXIST;
    }
    uint8_t id[4];
    br_store_u32(id, query->id);
    const struct br_recall_time *time = br_recall_find(&q->recall, query->ltime);
    for (uint32_t i = 0; time != NULL && i < time->count; i++)
        if (memcmp(time->bytes + 4 * (size_t)i, id, 4) == 0) {
            hear_again(q, query);
            return BRUIT_EEXIST;
        }
    int status = br_recall_add(&q->recall, query->ltime, br_bytes(id, sizeof id));
    if (status != 0) {
        BR_TRACE(q->tracer, query_refused, .name = query->name, .ltime = query->ltime,
                 .why = bruit_strerror(status));
        br_host_drop(q->host, BRUIT_DROP_EVENT_FULL);
    }
    return status;
}

static bool is_for_us(struct queries *q, const struct br_serf_query *query)
{
    if (query->filters.count == 0)
        return true;
    struct br_filters filters;
    struct bruit_member self = self_of(q);
    br_filters_init(&filters, br_host_alloc(q->host), query->filters, BR_FILTER_BUDGET);
    bool passes = br_filters_pass(&filters, self.name, self.meta);
    if (filters.trouble != NULL) {
        BR_TRACE(q->tracer, query_filter, .name = query->name, .why = filters.trouble);
        br_host_drop(q->host, BRUIT_DROP_QUERY_FILTER);
    }
    br_filters_fini(&filters);
    return passes;
}

/* Steps 6 to 8. A question of a module of ours is told later, on_time(): it is asking just now. */
static void accept(struct queries *q, const struct br_serf_query *query, struct bruit_bytes message,
                   struct br_collector *ours)
{
    struct bruit_bytes name;
    if (!is_for_us(q, query))
        return;
    uint64_t handle = keep_asked(q, query);
    if (handle == 0) {
        BR_TRACE(q->tracer, query_refused, .name = query->name, .ltime = query->ltime,
                 .why = "its address is none, or there is no memory");
        return;
    }
    if (query->flags & BR_SERF_QUERY_ACK)
        send_ack(q, find_asked(q, handle), query->name);
    tell_query(q, query, handle);
    if (!is_internal(query->name, &name))
        return;
    if (ours == NULL) {
        put_question(q, query, name, handle);
        return;
    }
    ours->question = br_buf_new(br_host_alloc(q->host), message);
    ours->question_handle = handle;
    ours->question_at = bruit_host_now(q->host);
}

static void hear_query(struct queries *q, struct bruit_bytes message, struct bruit_bytes body,
                       const struct bruit_addr *from)
{
    struct br_serf_query query;
    if (br_serf_query_decode(&query, body) != 0) {
        BR_TRACE(q->tracer, bad_message, .what = "a query", .from = *from);
        br_host_drop(q->host, BRUIT_DROP_MALFORMED);
        return;
    }
    BR_TRACE(q->tracer, query, .name = query.name, .ltime = query.ltime);
    if (screen(q, &query) != 0)
        return;
    if (!(query.flags & BR_SERF_QUERY_NO_BROADCAST))
        broadcast(q, &query, message); /* the bytes as they came; best effort */
    accept(q, &query, message, NULL);
}

/* ------------------------------------------------------------------ answers to us (section 7.5) */

static void bring_home(struct queries *q, const struct br_collector *c,
                       const struct br_serf_response *response)
{
    bool is_ack = response->flags & BR_SERF_RESPONSE_ACK;
    if (c->asker != 0) {
        if (!is_ack)
            br_host_answered(q->host, c->asker - 1,
                             &(struct bruit_answer){
                                 .ask = c->request, .from = response->from, .payload = response->payload});
        return;
    }
    struct bruit_query_answer told = {.from = response->from, .payload = response->payload, .is_ack = is_ack};
    const struct bruit_bytes tails[] = {told.from, told.payload};
    emit(q, is_ack ? BRUIT_EVENT_QUERY_ACK : BRUIT_EVENT_QUERY_RESPONSE, c->request,
         br_bytes(&told, sizeof told), tails, 2);
}

static struct br_collector *collector_for(struct queries *q, const struct br_serf_response *response)
{
    struct br_collector *c = br_collectors_at(&q->running, response->ltime);
    if (c != NULL && c->id == response->id)
        return c;
    if (c == NULL)
        BR_TRACE(q->tracer, reply_unknown, .ltime = response->ltime, .id = response->id,
                 .from = response->from);
    else
        BR_TRACE(q->tracer, reply_mismatch, .ours = c->id, .theirs = response->id);
    br_host_drop(q->host, BRUIT_DROP_ANSWER_UNKNOWN);
    return NULL;
}

static void hear_response(struct queries *q, struct bruit_bytes body, const struct bruit_addr *from)
{
    struct br_serf_response response;
    bruit_time now = bruit_host_now(q->host);
    if (br_serf_response_decode(&response, body) != 0) {
        BR_TRACE(q->tracer, bad_message, .what = "an answer", .from = *from);
        br_host_drop(q->host, BRUIT_DROP_MALFORMED);
        return;
    }
    BR_TRACE(q->tracer, query_response, .from = response.from);
    struct br_collector *c = collector_for(q, &response);
    bool is_ack = response.flags & BR_SERF_RESPONSE_ACK;
    if (c == NULL || c->deadline <= now || (is_ack && !c->wants_ack))
        return;
    int status = br_collector_hear(&q->running, c, response.from, is_ack, now);
    if (status == 0) {
        bring_home(q, c, &response);
    } else if (status != BRUIT_EEXIST) {
        BR_TRACE(q->tracer, reply_lost, .from = response.from, .why = bruit_strerror(status));
        br_host_drop(q->host, BRUIT_DROP_ANSWER_UNKNOWN);
    }
}

/*
 * Passes an answer on to where it says (section 3.10). With config.strict_relay that must be a member's address, or
 * anybody could have us send anything to anyone.
 */
static bool may_relay(const struct queries *q, const struct br_serf_relay *header,
                      const struct bruit_addr *to)
{
    struct bruit_member member;
    if (!bruit_host_config(q->host)->strict_relay)
        return true;
    return bruit_member_get(engine_of(q), bruit_member_find(engine_of(q), header->node), &member) == 0 &&
           br_addr_same_host(&member.addr, to) && member.addr.port == to->port;
}

static void hear_relay(struct queries *q, struct bruit_bytes body, const struct bruit_addr *from)
{
    struct br_serf_relay header;
    struct bruit_addr to;
    if (br_serf_relay_decode(&header, body) != 0 || header.message.size == 0 ||
        br_addr_make(&to, header.ip, header.port) != 0 || to.port == 0) {
        BR_TRACE(q->tracer, bad_message, .what = "a relay", .from = *from);
        br_host_drop(q->host, BRUIT_DROP_MALFORMED);
        return;
    }
    if (!may_relay(q, &header, &to)) {
        br_host_drop(q->host, BRUIT_DROP_RELAY_REFUSED);
        return;
    }
    BR_TRACE(q->tracer, relaying, .addr = to);
    (void)bruit_host_send(q->host, &to, header.message); /* one of several ways */
}

static void on_message(void *self, struct bruit_bytes message, struct bruit_bytes body,
                       const struct bruit_addr *from)
{
    switch (message.data[0]) {
    case BR_SERF_QUERY: hear_query(self, message, body, from); break;
    case BR_SERF_QUERY_RESPONSE: hear_response(self, body, from); break;
    default: hear_relay(self, body, from); break;
    }
}

/* ------------------------------------------------------------------ asking (section 7.2) */

bruit_time bruit_query_default_timeout(const struct bruit_engine *engine)
{
    const struct queries *q = queries_of(engine);
    if (q == NULL)
        return 0;
    bruit_time interval = bruit_host_config(q->host)->gossip_interval;
    uint32_t alive = (uint32_t)bruit_member_alive_count(engine);
    if (interval == 0) /* no gossip rounds: the LAN's, since something must be waited for */
        interval = 200 * BRUIT_MILLISECOND;
    return br_time_mul(interval, br_num_retransmit_limit(q->options.timeout_mult, alive));
}

/* Room for every text of a query: in one filter, in all filters, and in the message. */
static size_t text_size(const struct bruit_query_params *p)
{
    size_t size = p->name.size + p->payload.size + BRUIT_NAME_MAX + QUERY_OVERHEAD;
    for (size_t i = 0; i < p->node_count; i++)
        size += p->nodes[i].size + 8;
    for (size_t i = 0; i < p->tag_count; i++)
        size += p->tags[i].tag.size + p->tags[i].expr.size + 32;
    return size;
}

static void write_filter(struct br_writer *list, const struct br_serf_filter *filter, uint8_t *space,
                         size_t size)
{
    struct br_writer w;
    br_writer_init(&w, space, size);
    br_serf_filter_encode(&w, filter);
    br_mp_write_str(list, br_writer_bytes(&w));
}

/* One node filter if there are names, then one filter for each tag. `space` has room for two texts. */
static struct br_mp_list write_filters(struct br_writer *list, const struct bruit_query_params *p,
                                       uint8_t *space, size_t size)
{
    struct br_mp_list filters = {0};
    struct br_writer names;
    br_writer_init(&names, space, size);
    for (size_t i = 0; i < p->node_count; i++)
        br_mp_write_str(&names, p->nodes[i]);
    struct br_serf_filter by_node = {.kind = BR_SERF_FILTER_NODE,
                                     .nodes = {br_writer_bytes(&names), (uint32_t)p->node_count}};
    if (p->node_count > 0)
        write_filter(list, &by_node, space + size, size);
    for (size_t i = 0; i < p->tag_count; i++) {
        struct br_serf_filter by_tag = {
            .kind = BR_SERF_FILTER_TAG, .tag = p->tags[i].tag, .expr = p->tags[i].expr};
        write_filter(list, &by_tag, space + size, size);
    }
    filters.count = (uint32_t)p->tag_count + (p->node_count > 0 ? 1 : 0);
    if (filters.count > 0)
        filters.items = br_writer_bytes(list);
    return filters;
}

static uint64_t expected_alive(const struct queries *q)
{
    return bruit_member_alive_count(engine_of(q));
}

/* Whom the query is meant for, as far as we know their tags. */
static int expect(struct queries *q, struct br_collector *c, struct br_mp_list list)
{
    const struct bruit_engine *engine = engine_of(q);
    struct br_filters filters;
    int status = 0;
    br_filters_init(&filters, br_host_alloc(q->host), list, EXPECT_BUDGET);
    for (bruit_node node = bruit_member_next(engine, 0); node != 0 && status == 0;
         node = bruit_member_next(engine, node)) {
        struct bruit_member member;
        if (bruit_member_get(engine, node, &member) != 0 ||
            (member.state != BRUIT_ALIVE && member.state != BRUIT_SUSPECT) ||
            (list.count > 0 && !br_filters_pass(&filters, member.name, member.meta)))
            continue;
        c->expected++;
        if (c->until != BRUIT_QUERY_UNTIL_TIMEOUT)
            status = br_collector_expect(&q->running, c, member.name);
    }
    if (filters.budget == 0)
        c->until = BRUIT_QUERY_UNTIL_TIMEOUT; /* nobody knows who is meant */
    br_filters_fini(&filters);
    /* Members that join meanwhile may answer, too; a peer that makes up names may not go on for ever. */
    c->party_max = (uint32_t)(2 * expected_alive(q) + 16);
    return status;
}

static int launch(struct queries *q, struct br_collector *c, const struct bruit_query_params *p,
                  const struct br_serf_query *query, struct bruit_bytes message)
{
    bruit_time now = bruit_host_now(q->host);
    c->ltime = query->ltime;
    c->id = query->id;
    c->wants_ack = p->ack;
    c->until = (uint8_t)p->until;
    c->deadline = deadline_after(now, query->timeout_ns);
    int status = expect(q, c, query->filters);
    if (status == 0)
        status = screen(q, query);
    if (status != 0)
        return status == BRUIT_EEXIST ? BRUIT_EFULL : status; /* a clock at its end: see lamport.h */
    if (bruit_member_alive_count(engine_of(q)) > 1) /* alone, nobody would ever take it from the queue */
        broadcast(q, query, message);               /* without memory only we answer */
    accept(q, query, message, c);
    br_collector_check(c, now);
    return 0;
}

static int start_with(struct queries *q, const struct bruit_query_params *p, uint32_t asker, uint8_t *space,
                      size_t size, uint32_t *request)
{
    struct bruit_member self = self_of(q);
    bruit_time timeout = p->timeout != 0 ? p->timeout : bruit_query_default_timeout(engine_of(q));
    struct br_writer list;
    struct br_writer w;
    br_writer_init(&list, space, size);
    br_writer_init(&w, space + size, size);
    struct br_serf_query query = {
        .ltime = q->clock.time,
        .id = (uint32_t)(bruit_host_random(q->host) & INT32_MAX),
        .flags = p->ack ? BR_SERF_QUERY_ACK : 0,
        .timeout_ns = timeout > INT64_MAX ? INT64_MAX : (int64_t)timeout,
        .name = p->name,
        .payload = p->payload,
        .addr = br_addr_ip(&self.addr),
        .port = self.addr.port,
        .relay_factor = p->relay_factor,
        .source_node = self.name,
        .filters = write_filters(&list, p, space + 2 * size, size),
    };
    br_serf_query_encode(&w, &query);
    BR_ASSERT(!list.failed && !w.failed);
    if (br_writer_size(&w) > q->options.query_size_limit)
        return BRUIT_ETOOBIG;
    struct br_collector *c = br_collectors_add(&q->running);
    if (c == NULL)
        return BRUIT_ENOMEM;
    c->asker = asker;
    int status = launch(q, c, p, &query, br_writer_bytes(&w));
    *request = c->request;
    if (status != 0) {
        br_collectors_remove(&q->running, c);
        br_collector_free(&q->running, c);
    }
    return status;
}

static int start(struct queries *q, const struct bruit_query_params *p, uint32_t asker, uint32_t *request)
{
    if (p->struct_size != sizeof *p || (unsigned)p->until > BRUIT_QUERY_UNTIL_RESPONDED ||
        (p->until == BRUIT_QUERY_UNTIL_ACKED && !p->ack))
        return BRUIT_EINVAL;
    if (bruit_host_config(q->host)->delegate_current < PROTOCOL_MIN)
        return BRUIT_ENOSYS;
    if (p->name.size > UINT16_MAX || p->payload.size > UINT16_MAX || p->node_count > UINT16_MAX ||
        p->tag_count > UINT16_MAX)
        return BRUIT_ETOOBIG;
    if (q->running.count >= q->options.running_max)
        return BRUIT_EBUSY;
    if (q->clock.time == UINT64_MAX)
        return BRUIT_EFULL;
    size_t size = text_size(p);
    if (size > q->options.query_size_limit + 65536u) /* before anything is reserved for it */
        return BRUIT_ETOOBIG;
    uint8_t *space = bruit_host_resize(q->host, NULL, 0, 4 * size);
    if (space == NULL)
        return BRUIT_ENOMEM;
    int status = start_with(q, p, asker, space, size, request);
    (void)bruit_host_resize(q->host, space, 4 * size, 0);
    return status;
}

int bruit_query_start(struct bruit_engine *engine, const struct bruit_query_params *params, uint32_t *request,
                      bruit_time now)
{
    struct queries *q = queries_of(engine);
    if (q == NULL)
        return BRUIT_ENOENT;
    br_host_input(q->host, now);
    return start(q, params, 0, request);
}

/* A module's question: the name with the prefix, nothing else out of the ordinary. */
static int ask(void *self, uint32_t asker, const char *name, struct bruit_bytes payload, bool until_all,
               uint32_t *request)
{
    uint8_t full[64];
    struct br_writer w;
    br_writer_init(&w, full, sizeof full);
    br_write_bytes(&w, br_bytes_string(internal_prefix));
    br_write_bytes(&w, br_bytes_string(name));
    if (w.failed)
        return BRUIT_EINVAL;
    struct bruit_query_params params = {
        .struct_size = sizeof params,
        .name = br_writer_bytes(&w),
        .payload = payload,
        .until = until_all ? BRUIT_QUERY_UNTIL_RESPONDED : BRUIT_QUERY_UNTIL_TIMEOUT,
    };
    return start(self, &params, asker + 1, request);
}

int bruit_query_stop(struct bruit_engine *engine, uint32_t request, bruit_time now)
{
    struct queries *q = queries_of(engine);
    if (q == NULL)
        return BRUIT_ENOENT;
    br_host_input(q->host, now);
    struct br_collector *c = br_collectors_find(&q->running, request);
    if (c == NULL || c->asker != 0)
        return BRUIT_ENOENT;
    c->is_early |= c->deadline > now;
    c->deadline = br_time_min(c->deadline, now);
    return 0;
}

/* ------------------------------------------------------------------ sentences for people */

static void say(char *text, size_t size, const char *before, uint32_t limit, const char *after)
{
    struct br_text t;
    br_text_init(&t, text, size);
    br_text_string(&t, before);
    if (after != NULL) {
        br_text_u64(&t, limit);
        br_text_string(&t, after);
    }
    (void)br_text_end(&t); /* cut is fine: it is for people */
}

void bruit_query_start_text(const struct bruit_engine *engine, int error, char *text, size_t size)
{
    const struct queries *q = queries_of(engine);
    if (error == BRUIT_ETOOBIG && q != NULL)
        say(text, size, "query exceeds limit of ", q->options.query_size_limit, " bytes");
    else if (error == BRUIT_ENOSYS)
        say(text, size, "Feature not supported", 0, NULL);
    else
        say(text, size, bruit_strerror(error), 0, NULL);
}

void bruit_query_respond_text(const struct bruit_engine *engine, uint64_t handle, struct bruit_bytes payload,
                              int error, char *text, size_t size)
{
    struct queries *q = queries_of(engine);
    if (error == BRUIT_ETOOBIG && q != NULL)
        say(text, size,
            payload.size > answer_room(q, handle) ? "response exceeds limit of "
                                                  : "relayed response exceeds limit of ",
            q->options.response_size_limit, " bytes");
    else if (error == BRUIT_EEXIST)
        say(text, size, "response already sent", 0, NULL);
    else if (error == BRUIT_ETIMEOUT)
        say(text, size, "response is past the deadline", 0, NULL);
    else
        say(text, size, bruit_strerror(error), 0, NULL);
}

/* ------------------------------------------------------------------ time and members */

static bruit_time deadline(const void *self)
{
    return br_collectors_deadline(&((const struct queries *)self)->running);
}

static void end(struct queries *q, struct br_collector *c)
{
    struct bruit_query_done done = {
        .expected = c->expected, .acks = c->acks, .responses = c->responses, .is_early = c->is_early};
    struct bruit_answer last = {
        .ask = c->request, .is_last = true, .is_early = c->is_early, .expected = c->expected};
    uint32_t asker = c->asker;
    br_collectors_remove(&q->running, c);
    br_collector_free(&q->running, c);
    if (asker != 0)
        br_host_answered(q->host, asker - 1, &last);
    else
        emit(q, BRUIT_EVENT_QUERY_DONE, last.ask, br_bytes(&done, sizeof done), NULL, 0);
}

/* Our own question, which we were not asked while it was being asked. */
static void ask_ourselves(struct queries *q, struct br_collector *c)
{
    struct br_buf *message = c->question;
    struct br_serf_query query;
    struct bruit_bytes name;
    struct bruit_bytes bytes = br_buf_bytes(message);
    uint64_t handle = c->question_handle;
    c->question = NULL;
    int status = br_serf_query_decode(&query, br_bytes(bytes.data + 1, bytes.size - 1));
    BR_ASSERT(status == 0);
    if (is_internal(query.name, &name))
        put_question(q, &query, name, handle);
    br_buf_drop(br_host_alloc(q->host), message);
}

static void on_time(void *self)
{
    struct queries *q = self;
    struct br_collector *c;
    while ((c = br_collectors_due(&q->running, bruit_host_now(q->host))) != NULL) {
        if (c->question != NULL)
            ask_ourselves(q, c);
        else
            end(q, c);
    }
}

static void on_member(void *self, bruit_node node, uint32_t changes)
{
    struct queries *q = self;
    if (changes & (BRUIT_CHANGE_FAILED | BRUIT_CHANGE_LEFT))
        br_collectors_forget(&q->running, bruit_member_name(engine_of(q), node), bruit_host_now(q->host));
}

/* ------------------------------------------------------------------ push/pull */

static int export_section(void *self, struct bruit_document *document, const char *key, bool join)
{
    const struct queries *q = self;
    uint8_t buffer[9];
    struct br_writer w;
    (void)key;
    (void)join;
    br_writer_init(&w, buffer, sizeof buffer);
    br_mp_write_uint(&w, q->clock.time);
    return bruit_document_write(document, br_writer_bytes(&w));
}

static void merge_sections(void *self, const struct bruit_document *document, bool join, bool active)
{
    struct queries *q = self;
    struct br_reader r;
    (void)join;
    (void)active;
    br_reader_init(&r, bruit_document_find(document, "QueryLTime"));
    uint64_t theirs = br_reader_left(&r) == 0 ? 0 : br_mp_read_uint(&r, UINT64_MAX);
    if (theirs > 0)
        br_lamport_witness(&q->clock, theirs - 1);
}

/* ------------------------------------------------------------------ life */

void bruit_query_options_default(struct bruit_query_options *options)
{
    *options = (struct bruit_query_options){.struct_size = sizeof *options,
                                            .query_size_limit = 1024,
                                            .response_size_limit = 1024,
                                            .timeout_mult = 16,
                                            .running_max = 256};
}

int bruit_query_configure(struct bruit_engine *engine, const struct bruit_query_options *options)
{
    struct queries *q = queries_of(engine);
    if (q == NULL)
        return BRUIT_ENOENT;
    if (options->struct_size != sizeof *options || options->query_size_limit == 0 ||
        options->query_size_limit > UINT16_MAX || options->response_size_limit == 0 ||
        options->response_size_limit > UINT16_MAX || options->timeout_mult == 0 || options->running_max == 0)
        return BRUIT_EINVAL;
    q->options = *options;
    return 0;
}

static int init(void *self, struct bruit_host *host)
{
    struct queries *q = self;
    struct br_alloc *alloc = br_host_alloc(host);
    uint8_t key[16];
    br_store_u64(key, bruit_host_random(host));
    br_store_u64(key + 8, bruit_host_random(host));
    q->host = host;
    q->tracer = br_host_tracer(host);
    q->asked_first = 1;
    bruit_query_options_default(&q->options);
    br_lamport_init(&q->clock);
    br_recall_init(&q->recall, alloc, RECALL_MEMORY_MAX);
    br_ring_init(&q->asked, alloc, sizeof(struct asked), ASKED_MAX);
    br_collectors_init(&q->running, alloc, key);
    br_host_carry(host,
                  &(struct br_carrier){.self = q, .ask = ask, .answer = respond, .answer_room = answer_room});
    return 0;
}

static void fini(void *self)
{
    struct queries *q = self;
    while (br_ring_count(&q->asked) > 0)
        drop_first_asked(q);
    br_ring_fini(&q->asked);
    br_recall_fini(&q->recall);
    br_collectors_fini(&q->running);
}

static const uint8_t message_types[] = {BR_SERF_QUERY, BR_SERF_QUERY_RESPONSE, BR_SERF_RELAY};
static const char *const section_keys[] = {"QueryLTime"};

const struct bruit_module bruit_query_module = {
    .struct_size = sizeof bruit_query_module,
    .name = "query",
    .state_size = sizeof(struct queries),
    .message_types = message_types,
    .message_type_count = sizeof message_types,
    .section_keys = section_keys,
    .section_key_count = sizeof section_keys / sizeof section_keys[0],
    .init = init,
    .fini = fini,
    .on_member = on_member,
    .on_message = on_message,
    .export_section = export_section,
    .merge_sections = merge_sections,
    .deadline = deadline,
    .on_time = on_time,
};

/* ------------------------------------------------------------------ the clock */

void bruit_query_ignore_before(struct bruit_engine *engine, uint64_t ltime)
{
    struct queries *q = queries_of(engine);
    if (q != NULL && ltime > q->min_time)
        q->min_time = ltime;
}

uint64_t bruit_query_time(const struct bruit_engine *engine)
{
    const struct queries *q = queries_of(engine);
    return q == NULL ? 0 : q->clock.time;
}

size_t bruit_query_queued(const struct bruit_engine *engine)
{
    const struct queries *q = queries_of(engine);
    return q == NULL ? 0 : bruit_host_queued(q->host, ORDER);
}

void bruit_query_witness(struct bruit_engine *engine, uint64_t seen)
{
    struct queries *q = queries_of(engine);
    if (q != NULL)
        br_lamport_witness(&q->clock, seen);
}
