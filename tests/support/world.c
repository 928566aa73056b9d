/*
 * A small world for tests; see world.h.
 */
#include "support/world.h"

#include "base/bytes.h"
#include "base/time.h"
#include "engine/engine.h"

#include <bruit/cipher.h>

#include <stdio.h>
#include <stdlib.h>

enum flight_kind { DATAGRAM, CONNECT, OPENED, BYTES, SENT, END, STORED };

struct world_flight {
    enum flight_kind kind;
    bruit_time at;
    uint64_t order;
    uint32_t to;
    struct bruit_addr from;
    size_t line;
    int side; /* of the line, that it goes to */
    int error;
    uint8_t *bytes;
    size_t size;
    uint64_t token; /* STORED: by that life of `to` */
    uint32_t life;
};

static void die(const struct world *w, const char *why)
{
    fprintf(stderr, "world: %s at %.3f s (seed %llu)\n", why, (double)w->now / 1e9,
            (unsigned long long)w->seed);
    abort();
}

static void *grown(const struct world *w, void *items, size_t count, size_t size)
{
    if (count != 0 && (count & (count - 1)) != 0)
        return items;
    void *more = realloc(items, (count == 0 ? 1 : 2 * count) * size);
    if (more == NULL)
        die(w, "no memory");
    return more;
}

struct bruit_bytes world_bytes(const char *text)
{
    return br_bytes_string(text);
}

struct bruit_addr world_addr(uint8_t a, uint8_t b, uint16_t port)
{
    return (struct bruit_addr){.ip = {10, 0, a, b}, .size = 4, .port = port};
}

/* ---- members ---- */

static void *node_resize(void *context, void *old, size_t old_size, size_t new_size)
{
    return test_memory_resize(&((struct world_node *)context)->memory, old, old_size, new_size);
}

/* Nonces that are never used twice by one member; secrecy is not what is tested here. */
static int node_entropy(void *context, uint8_t *out, size_t size)
{
    struct world_node *node = context;
    for (int i = 0; i < 8 && ++node->nonce[i] == 0; i++)
        ;
    for (size_t i = 0; i < size; i++)
        out[i] = node->nonce[i % sizeof node->nonce];
    return 0;
}

static void node_trace(void *context, const struct bruit_trace_record *record)
{
    struct world_node *node = context;
    struct world *w = node->world;
    char text[512];
    bruit_trace_text(record, text, sizeof text);
    node->trace_hash = bruit_trace_hash(node->trace_hash, record);
    size_t room = strlen(text) + strlen(node->name) + 3;
    if (w->trace_size + room > w->trace_capacity) {
        w->trace_capacity = 2 * (w->trace_size + room);
        w->trace = realloc(w->trace, w->trace_capacity);
        if (w->trace == NULL)
            die(w, "no memory");
    }
    w->trace_size += (size_t)snprintf(w->trace + w->trace_size, room, "%s %s\n", node->name, text);
}

struct world *world_new(uint64_t seed)
{
    struct world *w = calloc(1, sizeof *w);
    if (w == NULL)
        abort();
    w->seed = seed;
    w->now = WORLD_START;
    w->latency = BRUIT_MILLISECOND;
    w->trace_level = BRUIT_TRACE_DEBUG;
    br_rng_init(&w->rng, seed, "world");
    bruit_config_lan(&w->config);
    w->config.compression = false;
    return w;
}

uint32_t world_add(struct world *w)
{
    uint32_t i = w->count++;
    if (i >= WORLD_NODES_MAX)
        die(w, "too many members");
    struct world_node *node = &w->nodes[i];
    node->world = w;
    node->config = w->config;
    node->addr = world_addr((uint8_t)(i / 200), (uint8_t)(i % 200 + 1), 7946);
    snprintf(node->name, sizeof node->name, "n%u", (unsigned)i);
    test_memory_init(&node->memory);
    node->config.name = world_bytes(node->name);
    node->config.advertise = node->addr;
    node->config.seed = w->seed * 1000 + i;
    node->nonce[8] = (uint8_t)i;
    return i;
}

int world_start(struct world *w, uint32_t i)
{
    struct world_node *node = &w->nodes[i];
    struct bruit_env env = {.struct_size = sizeof env,
                            .context = node,
                            .resize = node_resize,
                            .entropy = node_entropy,
                            .trace = node_trace,
                            .trace_level = w->trace_level};
    if (w->cipher.struct_size == 0 && bruit_cipher_openssl(&w->cipher) != 0)
        die(w, "no cipher");
    env.cipher = &w->cipher;
    free(node->buffer);
    node->buffer = malloc(node->config.packet_size_max + 8);
    node->config.seed++; /* a process that comes back does not repeat itself */
    node->life++;
    int status = bruit_engine_new(&node->engine, &node->config, &env, w->now);
    if (status == 0)
        world_settle(w, i);
    return status;
}

/* As if the tests had looked into the engine: the one thing public functions cannot tell. */
static void stop(struct world *w, struct world_node *node)
{
    if (node->engine == NULL)
        return;
    if (!br_view_is_consistent(&node->engine->core.view))
        die(w, "an inconsistent view");
    bruit_engine_free(node->engine);
    node->engine = NULL;
    if (node->memory.in_use != 0)
        die(w, "an engine kept memory");
    while (node->write_count > 0)
        free(node->writes[--node->write_count].bytes);
}

void world_free(struct world *w)
{
    for (uint32_t i = 0; i < w->count; i++) {
        stop(w, &w->nodes[i]);
        for (size_t j = 0; j < w->nodes[i].record_count; j++)
            free(w->nodes[i].records[j].bytes);
        free(w->nodes[i].records);
        free(w->nodes[i].writes);
        free(w->nodes[i].events);
        free(w->nodes[i].buffer);
    }
    for (size_t i = 0; i < w->flight_count; i++)
        free(w->flights[i].bytes);
    for (size_t i = 0; i < w->line_count; i++)
        free(w->lines[i].bytes);
    for (size_t i = 0; i < w->letter_count; i++)
        free(w->letters[i]);
    if (w->cipher.struct_size != 0)
        bruit_cipher_openssl_close(&w->cipher);
    free(w->flights);
    free(w->lines);
    free(w->letters);
    free(w->trace);
    free(w);
}

static uint32_t node_at(const struct world *w, const struct bruit_addr *addr)
{
    for (uint32_t i = 0; i < w->count; i++)
        if (memcmp(w->nodes[i].addr.ip, addr->ip, 16) == 0 && w->nodes[i].addr.port == addr->port)
            return i;
    return WORLD_OUTSIDE;
}

/* ---- the network ---- */

static struct world_flight *launch(struct world *w, enum flight_kind kind, uint32_t to, bruit_time delay)
{
    w->flights = grown(w, w->flights, w->flight_count, sizeof *w->flights);
    struct world_flight *f = &w->flights[w->flight_count++];
    *f = (struct world_flight){.kind = kind, .at = w->now + delay, .order = w->flight_order++, .to = to};
    return f;
}

static void load(struct world_flight *f, struct bruit_bytes bytes)
{
    f->bytes = malloc(bytes.size);
    f->size = bytes.size;
    if (bytes.size > 0)
        memcpy(f->bytes, bytes.data, bytes.size);
}

/* Something between 1 and 2 latencies. */
static bruit_time delay_of(struct world *w)
{
    return w->latency + br_rng_time_below(&w->rng, w->latency + 1);
}

static void send_datagram(struct world *w, uint32_t from, const struct bruit_datagram *out)
{
    struct bruit_bytes packet = br_bytes(w->nodes[from].buffer, out->size);
    uint32_t to = node_at(w, &out->to);
    w->datagrams++;
    w->datagram_bytes += out->size;
    if (to == WORLD_OUTSIDE) {
        w->letters = grown(w, w->letters, w->letter_count, sizeof *w->letters);
        struct world_letter *letter = malloc(sizeof *letter + packet.size);
        letter->from = from;
        letter->to = out->to;
        letter->size = packet.size;
        memcpy(letter->bytes, packet.data, packet.size);
        w->letters[w->letter_count++] = letter;
        return;
    }
    bool lost = br_rng_below(&w->rng, 1000) < w->loss || w->cut[from][to] ||
                (w->passes != NULL && !w->passes(w, from, to, packet));
    if (lost)
        return;
    struct world_flight *f = launch(w, DATAGRAM, to, delay_of(w));
    f->from = w->nodes[from].addr;
    load(f, packet);
}

static struct world_line *find_line(struct world *w, uint32_t node, uint32_t stream, int *side)
{
    for (size_t i = w->line_count; i-- > 0;)
        for (*side = 0; *side < 2; ++*side)
            if (w->lines[i].node[*side] == node && w->lines[i].stream[*side] == stream)
                return &w->lines[i];
    return NULL;
}

static struct world_line *new_line(struct world *w)
{
    w->lines = grown(w, w->lines, w->line_count, sizeof *w->lines);
    struct world_line *line = &w->lines[w->line_count++];
    *line = (struct world_line){.node = {WORLD_OUTSIDE, WORLD_OUTSIDE}};
    return line;
}

/* Towards one end of a line; nothing when the network is cut, or that end is the test's. */
static struct world_flight *launch_on(struct world *w, const struct world_line *line, enum flight_kind kind,
                                      int side)
{
    uint32_t to = line->node[side], from = line->node[1 - side];
    if (to == WORLD_OUTSIDE || (from != WORLD_OUTSIDE && kind != SENT && w->cut[from][to]))
        return NULL;
    /* No jitter: bytes must not overtake each other. */
    struct world_flight *f = launch(w, kind, to, kind == SENT ? 0 : w->latency);
    f->line = (size_t)(line - w->lines);
    f->side = side;
    return f;
}

static void do_open(struct world *w, uint32_t node, const struct bruit_stream_op *op)
{
    struct world_line *line = new_line(w);
    w->connections++;
    line->to = op->to;
    line->node[0] = node;
    line->stream[0] = op->stream;
    line->is_open[0] = true;
    line->node[1] = node_at(w, &op->to);
    (void)launch_on(w, line, CONNECT, 1);
}

static void do_send(struct world *w, uint32_t node, const struct bruit_stream_op *op)
{
    int side;
    struct world_line *line = find_line(w, node, op->stream, &side);
    if (line == NULL)
        die(w, "bytes for a stream that does not exist");
    w->stream_bytes += op->bytes.size;
    struct world_flight *f = launch_on(w, line, BYTES, 1 - side);
    if (f != NULL) {
        load(f, op->bytes);
    } else if (line->node[1 - side] == WORLD_OUTSIDE) {
        line->bytes = realloc(line->bytes, line->size + op->bytes.size);
        memcpy(line->bytes + line->size, op->bytes.data, op->bytes.size);
        line->size += op->bytes.size;
    }
    (void)launch_on(w, line, SENT, side);
}

static void do_close(struct world *w, uint32_t node, const struct bruit_stream_op *op)
{
    int side;
    struct world_line *line = find_line(w, node, op->stream, &side);
    if (line == NULL || !line->is_open[side])
        die(w, "a stream that is not open was closed");
    line->is_open[side] = false;
    if (line->is_open[1 - side])
        (void)launch_on(w, line, END, 1 - side);
}

/* ---- disks ---- */

static void take_writes(struct world *w, uint32_t i)
{
    struct world_node *node = &w->nodes[i];
    struct bruit_store_op op;
    uint64_t token = 0;
    while (bruit_next_store_op(node->engine, &op)) {
        node->writes = grown(w, node->writes, node->write_count, sizeof *node->writes);
        struct world_record *write = &node->writes[node->write_count++];
        *write = (struct world_record){.token = token = op.token,
                                       .key_size = op.key.size,
                                       .value_size = op.value.size,
                                       .is_delete = op.is_delete,
                                       .bytes = malloc(op.key.size + op.value.size)};
        memcpy(write->bytes, op.key.data, op.key.size);
        if (op.value.size > 0)
            memcpy(write->bytes + op.key.size, op.value.data, op.value.size);
    }
    if (token == 0)
        return;
    struct world_flight *f = launch(w, STORED, i, w->disk_delay);
    f->token = token;
    f->life = node->life;
    f->error = node->disk_error;
}

static void forget_record(struct world_node *node, const struct world_record *write)
{
    for (size_t i = 0; i < node->record_count; i++) {
        struct world_record *record = &node->records[i];
        if (record->key_size != write->key_size || memcmp(record->bytes, write->bytes, write->key_size) != 0)
            continue;
        free(record->bytes);
        *record = node->records[--node->record_count];
        return;
    }
}

static void keep_writes(struct world *w, struct world_node *node, const struct world_flight *f)
{
    size_t done = 0;
    for (; done < node->write_count && node->writes[done].token <= f->token; done++) {
        struct world_record *write = &node->writes[done];
        if (f->error == 0)
            forget_record(node, write);
        if (f->error != 0 || write->is_delete) {
            free(write->bytes);
            continue;
        }
        node->records = grown(w, node->records, node->record_count, sizeof *node->records);
        node->records[node->record_count++] = *write;
    }
    node->write_count -= done;
    if (node->write_count > 0)
        memmove(node->writes, node->writes + done, node->write_count * sizeof *node->writes);
    (void)bruit_stored(node->engine, f->token, f->error, w->now);
}

/* ---- arrivals ---- */

static void end_line(struct world *w, struct world_line *line, int side, int error)
{
    struct world_node *node = &w->nodes[line->node[side]];
    line->is_open[side] = false;
    (void)bruit_stream_closed(node->engine, line->stream[side], error, w->now);
}

static void refuse_line(struct world *w, struct world_line *line, int error)
{
    line->is_open[1] = false;
    struct world_flight *f = launch_on(w, line, END, 0);
    if (f != NULL)
        f->error = error;
}

static void arrive_on_line(struct world *w, const struct world_flight *f)
{
    struct world_node *node = &w->nodes[f->to];
    struct world_line *line = &w->lines[f->line];
    if (f->kind == CONNECT) {
        const struct bruit_addr *from = &w->nodes[line->node[0]].addr;
        if (node->engine == NULL ||
            bruit_stream_accepted(node->engine, from, &line->stream[1], w->now) != 0) {
            refuse_line(w, line, BRUIT_EREFUSED);
            return;
        }
        line->is_open[1] = true;
        (void)launch_on(w, line, OPENED, 0);
    } else if (node->engine == NULL || !line->is_open[f->side]) {
        return;
    } else if (f->kind == OPENED) {
        (void)bruit_stream_opened(node->engine, line->stream[f->side], w->now);
    } else if (f->kind == BYTES) {
        (void)bruit_recv_stream(node->engine, line->stream[f->side], br_bytes(f->bytes, f->size), w->now);
    } else if (f->kind == SENT) {
        (void)bruit_stream_sent(node->engine, line->stream[f->side], w->now);
    } else {
        end_line(w, line, f->side, f->error);
    }
}

static void arrive(struct world *w, struct world_flight *f)
{
    struct world_node *node = &w->nodes[f->to];
    if (f->kind == STORED) {
        if (node->engine != NULL && f->life == node->life)
            keep_writes(w, node, f);
    } else if (f->kind != DATAGRAM)
        arrive_on_line(w, f);
    else if (node->engine != NULL)
        (void)bruit_recv_datagram(node->engine, &f->from, br_bytes(f->bytes, f->size), w->now);
    node->is_touched = true;
    free(f->bytes);
}

/* The next arrival that is due at `until` and whose receiver is running, or at least not paused. */
static size_t next_flight(const struct world *w, bruit_time until)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < w->flight_count; i++) {
        const struct world_flight *f = &w->flights[i], *b = best == SIZE_MAX ? NULL : &w->flights[best];
        if (w->nodes[f->to].is_paused || f->at > until)
            continue;
        if (b == NULL || f->at < b->at || (f->at == b->at && f->order < b->order))
            best = i;
    }
    return best;
}

/* ---- the drivers ---- */

static void note_event(struct world *w, struct world_node *node, const struct bruit_event *event)
{
    node->events = grown(w, node->events, node->event_count, sizeof *node->events);
    struct world_event *note = &node->events[node->event_count++];
    *note = (struct world_event){
        event->type, event->changes, event->request, event->join.contacted, event->error, {0}, {0}};
    struct bruit_member who;
    if (event->node != 0 && bruit_member_get(node->engine, event->node, &who) == 0)
        snprintf(note->name, sizeof note->name, "%.*s", (int)who.name.size, (const char *)who.name.data);
    struct bruit_status_member member; /* of one that the engine may have forgotten */
    if (bruit_status_event(event, &member) == 0)
        snprintf(note->name, sizeof note->name, "%.*s", (int)member.name.size,
                 (const char *)member.name.data);
    if (event->type != BRUIT_EVENT_JOIN_DONE)
        return;
    note->error = event->join.results[0].error;
    snprintf(note->text, sizeof note->text, "%.*s", (int)event->join.results[0].text.size,
             event->join.results[0].text.size == 0 ? "" : (const char *)event->join.results[0].text.data);
}

static void pull(struct world *w, uint32_t i)
{
    struct world_node *node = &w->nodes[i];
    struct bruit_datagram out;
    struct bruit_stream_op op;
    struct bruit_event event;
    node->is_touched = false;
    if (node->engine == NULL)
        return;
    while (bruit_next_datagram(node->engine, node->buffer, node->config.packet_size_max + 8, &out, w->now))
        send_datagram(w, i, &out);
    while (bruit_next_stream_op(node->engine, &op)) {
        if (op.type == BRUIT_STREAM_OPEN)
            do_open(w, i, &op);
        else if (op.type == BRUIT_STREAM_SEND)
            do_send(w, i, &op);
        else
            do_close(w, i, &op);
    }
    if (w->has_disks)
        take_writes(w, i);
    while (bruit_next_event(node->engine, &event)) {
        if (w->hears != NULL)
            w->hears(w, i, &event);
        note_event(w, node, &event);
    }
}

void world_settle(struct world *w, uint32_t i)
{
    pull(w, i);
}

static bool is_due(const struct world_node *node, bruit_time now)
{
    return node->engine != NULL && !node->is_paused && bruit_deadline(node->engine) <= now;
}

static bruit_time next_time(const struct world *w)
{
    bruit_time next = BRUIT_NEVER;
    size_t flight = next_flight(w, BRUIT_NEVER);
    if (flight != SIZE_MAX)
        next = w->flights[flight].at;
    for (uint32_t i = 0; i < w->count; i++)
        if (w->nodes[i].engine != NULL && !w->nodes[i].is_paused && bruit_deadline(w->nodes[i].engine) < next)
            next = bruit_deadline(w->nodes[i].engine);
    return next;
}

/* All that happens at this moment: sockets first, then timers, then what follows from both. */
static void step(struct world *w)
{
    for (size_t i; (i = next_flight(w, w->now)) != SIZE_MAX;) {
        struct world_flight f = w->flights[i];
        w->flights[i] = w->flights[--w->flight_count];
        arrive(w, &f);
    }
    for (uint32_t i = 0; i < w->count; i++) {
        struct world_node *node = &w->nodes[i];
        if (is_due(node, w->now)) {
            (void)bruit_tick(node->engine, w->now);
            node->ticks++;
            node->is_touched = true;
        }
        if (node->is_touched && !node->is_paused)
            pull(w, i);
    }
}

static bool run(struct world *w, bruit_time end, world_condition condition)
{
    uint32_t steps = 0;
    for (bruit_time next; (next = next_time(w)) <= end;) {
        steps = next > w->now ? 0 : steps + 1;
        if (steps > 100000)
            die(w, "time stands still: somebody's deadline stays in the past");
        if (next > w->now)
            w->now = next;
        step(w);
        if (condition != NULL && condition(w))
            return true;
    }
    w->now = end;
    return condition != NULL && condition(w);
}

void world_run_until(struct world *w, bruit_time time)
{
    (void)run(w, time, NULL);
}

void world_run(struct world *w, bruit_time duration)
{
    (void)run(w, w->now + duration, NULL);
}

bool world_wait(struct world *w, world_condition condition, bruit_time most)
{
    return condition(w) || run(w, w->now + most, condition);
}

/* ---- what happens to members ---- */

int world_join(struct world *w, uint32_t node, uint32_t seed_node)
{
    struct bruit_join_target target = {.addr = w->nodes[seed_node].addr};
    uint32_t request;
    int status = bruit_join(w->nodes[node].engine, &target, 1, 0, &request, w->now);
    world_settle(w, node);
    return status;
}

void world_cluster(struct world *w, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t node = world_add(w);
        if (world_start(w, node) != 0)
            die(w, "an engine would not start");
        if (node > 0)
            (void)world_join(w, node, 0);
        world_run(w, 10 * w->latency);
    }
}

void world_leave(struct world *w, uint32_t node, bruit_time timeout)
{
    (void)bruit_leave(w->nodes[node].engine, timeout, w->now);
    world_settle(w, node);
}

void world_kill(struct world *w, uint32_t node)
{
    stop(w, &w->nodes[node]);
    for (size_t i = 0; i < w->line_count; i++)
        for (int side = 0; side < 2; side++)
            if (w->lines[i].node[side] == node && w->lines[i].is_open[side]) {
                w->lines[i].is_open[side] = false;
                struct world_flight *f = launch_on(w, &w->lines[i], END, 1 - side);
                if (f != NULL)
                    f->error = BRUIT_ERESET;
            }
}

void world_pause(struct world *w, uint32_t node)
{
    w->nodes[node].is_paused = true;
}

void world_resume(struct world *w, uint32_t node)
{
    w->nodes[node].is_paused = false;
    step(w);
}

void world_cut(struct world *w, uint32_t a, uint32_t b, bool cut)
{
    w->cut[a][b] = w->cut[b][a] = cut;
}

void world_partition(struct world *w, uint32_t border, bool cut)
{
    for (uint32_t a = 0; a < border; a++)
        for (uint32_t b = border; b < w->count; b++)
            world_cut(w, a, b, cut);
}

/* ---- the outside's ends of lines ---- */

int world_dial(struct world *w, uint32_t node, const struct bruit_addr *from)
{
    uint32_t stream;
    if (bruit_stream_accepted(w->nodes[node].engine, from, &stream, w->now) != 0)
        return -1;
    struct world_line *line = new_line(w);
    line->node[1] = node;
    line->stream[1] = stream;
    line->is_open[0] = line->is_open[1] = true;
    return (int)(line - w->lines);
}

struct world_line *world_line_to(struct world *w, const struct bruit_addr *to)
{
    for (size_t i = w->line_count; i-- > 0;)
        if (w->lines[i].is_open[0] && w->lines[i].to.port == to->port &&
            memcmp(w->lines[i].to.ip, to->ip, 16) == 0)
            return &w->lines[i];
    return NULL;
}

static int inner_side(const struct world_line *line)
{
    return line->node[0] == WORLD_OUTSIDE ? 1 : 0;
}

void world_line_opened(struct world *w, struct world_line *line)
{
    line->is_open[1] = true;
    (void)bruit_stream_opened(w->nodes[line->node[0]].engine, line->stream[0], w->now);
    world_settle(w, line->node[0]);
    world_run(w, 0);
}

void world_line_write(struct world *w, struct world_line *line, struct bruit_bytes bytes)
{
    int side = inner_side(line);
    uint32_t node = line->node[side];
    (void)bruit_recv_stream(w->nodes[node].engine, line->stream[side], bytes, w->now);
    world_settle(w, node);
    world_run(w, 0);
}

void world_line_close(struct world *w, struct world_line *line, int error)
{
    int side = inner_side(line);
    uint32_t node = line->node[side];
    line->is_open[1 - side] = false;
    if (line->is_open[side])
        end_line(w, line, side, error);
    world_settle(w, node);
}

/* ---- looking ---- */

int world_state_of(const struct world *w, uint32_t node, const char *name)
{
    struct bruit_member member;
    const struct bruit_engine *engine = w->nodes[node].engine;
    if (bruit_member_get(engine, bruit_member_find(engine, world_bytes(name)), &member) != 0)
        return WORLD_UNKNOWN;
    return (int)member.state;
}

uint32_t world_incarnation_of(const struct world *w, uint32_t node, const char *name)
{
    struct bruit_member member = {0};
    const struct bruit_engine *engine = w->nodes[node].engine;
    (void)bruit_member_get(engine, bruit_member_find(engine, world_bytes(name)), &member);
    return member.incarnation;
}

int world_state(const struct world *w, uint32_t a, uint32_t b)
{
    return world_state_of(w, a, w->nodes[b].name);
}

bool world_wait_state(struct world *w, uint32_t a, uint32_t b, int state, bruit_time most)
{
    bruit_time end = w->now + most;
    while (world_state(w, a, b) != state && w->now < end)
        world_run_until(w, br_time_min(end, w->now + 10 * BRUIT_MILLISECOND));
    if (world_state(w, a, b) == state)
        return true;
    printf("seed %llu: n%u sees n%u as %d, not as %d, after %.3f s\n", (unsigned long long)w->seed,
           (unsigned)a, (unsigned)b, world_state(w, a, b), state, (double)most / 1e9);
    return false;
}

bool world_all_alive(const struct world *w)
{
    size_t running = 0;
    for (uint32_t i = 0; i < w->count; i++)
        running += w->nodes[i].engine != NULL;
    for (uint32_t a = 0; a < w->count; a++) {
        if (w->nodes[a].engine == NULL)
            continue;
        if (bruit_member_alive_count(w->nodes[a].engine) != running)
            return false;
        for (uint32_t b = 0; b < w->count; b++)
            if (w->nodes[b].engine != NULL && world_state(w, a, b) != BRUIT_ALIVE)
                return false;
    }
    return true;
}

bool world_wait_all_alive(struct world *w, bruit_time most)
{
    if (world_wait(w, world_all_alive, most))
        return true;
    printf("seed %llu: not all alive after %.3f s:", (unsigned long long)w->seed, (double)most / 1e9);
    for (uint32_t i = 0; i < w->count; i++)
        if (w->nodes[i].engine != NULL)
            printf(" %s:%zu", w->nodes[i].name, bruit_member_alive_count(w->nodes[i].engine));
    printf("\n");
    return false;
}

size_t world_events(const struct world *w, uint32_t node, uint32_t type, const char *name, uint32_t changes)
{
    size_t count = 0;
    for (size_t i = 0; i < w->nodes[node].event_count; i++) {
        const struct world_event *event = &w->nodes[node].events[i];
        count += event->type == type && (name == NULL || strcmp(name, event->name) == 0) &&
                 (changes == 0 || (event->changes & changes) != 0);
    }
    return count;
}

const struct world_event *world_last_event(const struct world *w, uint32_t node, uint32_t type)
{
    for (size_t i = w->nodes[node].event_count; i-- > 0;)
        if (w->nodes[node].events[i].type == type)
            return &w->nodes[node].events[i];
    return NULL;
}

size_t world_traced(const struct world *w, uint32_t node, const char *text)
{
    size_t count = 0, prefix = strlen(w->nodes[node].name) + 1;
    for (const char *line = w->trace, *end; line != NULL && (end = strchr(line, '\n')) != NULL;
         line = end + 1) {
        if (strncmp(line, w->nodes[node].name, prefix - 1) != 0 || line[prefix - 1] != ' ')
            continue;
        count += memmem(line + prefix, (size_t)(end - line) - prefix, text, strlen(text)) != NULL;
    }
    return count;
}

bool world_expect_trace(const struct world *w, uint32_t node, const char *text)
{
    if (world_traced(w, node, text) > 0)
        return true;
    printf("seed %llu: %s never traced \"%s\"; it traced\n%s", (unsigned long long)w->seed,
           w->nodes[node].name, text, w->trace == NULL ? "" : w->trace);
    return false;
}

struct bruit_stats world_stats(const struct world *w, uint32_t node)
{
    struct bruit_stats stats;
    bruit_stats_get(w->nodes[node].engine, &stats);
    return stats;
}

uint64_t world_drops(const struct world *w, uint32_t node)
{
    struct bruit_stats stats = world_stats(w, node);
    uint64_t count = 0;
    for (int i = 0; i < BRUIT_DROP_MAX; i++)
        count += stats.drops[i];
    return count;
}
