/*
 * A testing peer; see peer.h.
 */
#include "support/peer.h"

#include "base/time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct peer *peer_new(struct world *world, uint32_t node, const char *name, uint8_t number)
{
    static const uint8_t vsn[6] = {1, 5, 2, 2, 5, 5};
    struct peer *p = calloc(1, sizeof *p);
    assert_non_null(p);
    p->world = world;
    p->node = node;
    p->wire = test_wire_new();
    p->wire->wire.label.label = world->nodes[node].config.label;
    p->name = name;
    p->addr = (struct bruit_addr){.ip = {10, 9, 0, number}, .size = 4, .port = 7946};
    p->from = p->addr;
    p->leaves = calloc(65536, sizeof *p->leaves);
    memcpy(p->vsn, vsn, sizeof vsn);
    return p;
}

static void forget(struct peer *p)
{
    for (size_t i = 0; i < p->leaf_count; i++)
        free((void *)(uintptr_t)p->leaves[i].body.data);
    p->leaf_count = 0;
}

void peer_free(struct peer *p)
{
    forget(p);
    test_wire_free(p->wire);
    free(p->leaves);
    free(p);
}

/* ---- saying ---- */

static struct br_writer begin(struct peer *p)
{
    struct br_writer w;
    assert_true(p->count < BR_COMPOUND_PARTS_MAX);
    br_writer_init(&w, p->messages + p->used, sizeof p->messages - p->used);
    return w;
}

static void end(struct peer *p, const struct br_writer *w)
{
    assert_false(w->failed);
    p->sizes[p->count++] = (uint16_t)br_writer_size(w);
    p->used += br_writer_size(w);
}

void peer_add_ping(struct peer *p, const struct br_ping *ping)
{
    struct br_writer w = begin(p);
    br_ping_encode(&w, ping);
    end(p, &w);
}

void peer_ping(struct peer *p, uint32_t seq, const char *node)
{
    peer_add_ping(p, &(struct br_ping){.seq = seq,
                                       .node = world_bytes(node),
                                       .source_addr = br_bytes(p->addr.ip, p->addr.size),
                                       .source_port = p->addr.port,
                                       .source_node = world_bytes(p->name)});
}

void peer_add_indirect(struct peer *p, const struct br_indirect_ping *ping)
{
    struct br_writer w = begin(p);
    br_indirect_ping_encode(&w, ping);
    end(p, &w);
}

void peer_ack(struct peer *p, uint32_t seq)
{
    struct br_writer w = begin(p);
    br_ack_encode(&w, &(struct br_ack){.seq = seq});
    end(p, &w);
}

void peer_nack(struct peer *p, uint32_t seq)
{
    struct br_writer w = begin(p);
    br_nack_encode(&w, &(struct br_nack){seq});
    end(p, &w);
}

void peer_suspect(struct peer *p, const char *node, uint32_t incarnation, const char *from)
{
    struct br_writer w = begin(p);
    br_suspect_encode(&w, &(struct br_suspect){incarnation, world_bytes(node), world_bytes(from)});
    end(p, &w);
}

void peer_dead(struct peer *p, const char *node, uint32_t incarnation, const char *from)
{
    struct br_writer w = begin(p);
    br_dead_encode(&w, &(struct br_dead){incarnation, world_bytes(node), world_bytes(from)});
    end(p, &w);
}

void peer_add_alive(struct peer *p, const struct br_alive *alive)
{
    struct br_writer w = begin(p);
    br_alive_encode(&w, alive);
    end(p, &w);
}

void peer_alive(struct peer *p, uint32_t incarnation)
{
    peer_add_alive(p, &(struct br_alive){.incarnation = incarnation,
                                         .port = p->addr.port,
                                         .node = world_bytes(p->name),
                                         .addr = br_bytes(p->addr.ip, p->addr.size),
                                         .vsn = br_bytes(p->vsn, sizeof p->vsn)});
}

/* Addresses of others need memory that outlives the call: one of 256. */
static struct bruit_bytes other_ip(uint8_t number)
{
    static uint8_t ips[256][4];
    uint8_t *ip = ips[number];
    ip[0] = 10;
    ip[1] = 8;
    ip[2] = 0;
    ip[3] = number;
    return br_bytes(ip, 4);
}

struct br_alive peer_other(const struct peer *p, const char *name, uint8_t number, uint32_t incarnation)
{
    return (struct br_alive){.incarnation = incarnation,
                             .port = 7946,
                             .node = world_bytes(name),
                             .addr = other_ip(number),
                             .vsn = br_bytes(p->vsn, sizeof p->vsn)};
}

void peer_raw(struct peer *p, struct bruit_bytes message)
{
    struct br_writer w = begin(p);
    br_write_bytes(&w, message);
    end(p, &w);
}

int peer_send_bytes(struct peer *p, struct bruit_bytes packet)
{
    struct bruit_engine *engine = p->world->nodes[p->node].engine;
    uint8_t *copy = malloc(packet.size); /* of exactly that size: a sanitizer sees who reads beyond */
    if (packet.size > 0)
        memcpy(copy, packet.data, packet.size);
    int status = bruit_recv_datagram(engine, &p->from, br_bytes(copy, packet.size), p->world->now);
    free(copy);
    world_settle(p->world, p->node);
    return status;
}

int peer_send(struct peer *p)
{
    struct bruit_bytes messages[BR_COMPOUND_PARTS_MAX];
    static uint8_t buffer[65536 + 64];
    size_t offset = 0;
    for (size_t i = 0; i < p->count; i++) {
        messages[i] = br_bytes(p->messages + offset, p->sizes[i]);
        offset += p->sizes[i];
    }
    size_t size = test_wire_build(p->wire, false, messages, p->count, buffer, sizeof buffer);
    p->count = p->used = 0;
    return peer_send_bytes(p, br_bytes(buffer, size));
}

/* ---- hearing ---- */

static void keep_leaves(struct peer *p, const struct bruit_addr *to)
{
    for (size_t i = 0; i < p->wire->leaf_count; i++) {
        struct bruit_bytes body = test_wire_leaf(p->wire, i);
        uint8_t *copy = malloc(body.size + 1);
        if (body.size > 0)
            memcpy(copy, body.data, body.size);
        assert_true(p->leaf_count < 65536);
        p->leaves[p->leaf_count++] = (struct peer_leaf){.type = (uint8_t)p->wire->leaves[i].type,
                                                        .checked = p->wire->info.checked,
                                                        .packet = p->packets,
                                                        .to = *to,
                                                        .body = br_bytes(copy, body.size)};
    }
    p->packets++;
}

void peer_hear_at(struct peer *p, const struct bruit_addr *addr)
{
    struct world *w = p->world;
    size_t kept = 0;
    forget(p);
    for (size_t i = 0; i < w->letter_count; i++) {
        struct world_letter *letter = w->letters[i];
        if (letter->from != p->node ||
            (addr != NULL && (memcmp(letter->to.ip, addr->ip, 16) != 0 || letter->to.port != addr->port))) {
            w->letters[kept++] = letter;
            continue;
        }
        assert_int_equal(test_wire_open(p->wire, br_bytes(letter->bytes, letter->size)), 0);
        assert_int_equal(p->wire->drop_count, 0); /* what we send is never malformed */
        keep_leaves(p, &letter->to);
        free(letter);
    }
    w->letter_count = kept;
}

void peer_hear(struct peer *p)
{
    peer_hear_at(p, &p->addr);
}

size_t peer_heard(const struct peer *p, uint8_t type)
{
    size_t count = 0;
    for (size_t i = 0; i < p->leaf_count; i++)
        count += p->leaves[i].type == type;
    return count;
}

const struct peer_leaf *peer_next(const struct peer *p, uint8_t type, size_t *from)
{
    while (*from < p->leaf_count)
        if (p->leaves[(*from)++].type == type)
            return &p->leaves[*from - 1];
    return NULL;
}

/* The newest leaf of a type that decodes to something about `name`. */
#define HEARD(kind, TYPE)                                                \
    bool found = false;                                                  \
    const struct peer_leaf *leaf;                                        \
    for (size_t from = 0; (leaf = peer_next(p, TYPE, &from)) != NULL;) { \
        struct br_##kind message;                                        \
        assert_int_equal(br_##kind##_decode(&message, leaf->body), 0);   \
        if (!br_bytes_equal(message.node, world_bytes(name)))            \
            continue;                                                    \
        found = true;                                                    \
        if (out != NULL)                                                 \
            *out = message;                                              \
    }                                                                    \
    return found

bool peer_heard_alive(const struct peer *p, const char *name, struct br_alive *out)
{
    HEARD(alive, BR_ALIVE);
}

bool peer_heard_suspect(const struct peer *p, const char *name, struct br_suspect *out)
{
    HEARD(suspect, BR_SUSPECT);
}

bool peer_heard_dead(const struct peer *p, const char *name, struct br_dead *out)
{
    HEARD(dead, BR_DEAD);
}

bool peer_heard_ping(const struct peer *p, const char *name, struct br_ping *out)
{
    HEARD(ping, BR_PING);
}

bool peer_heard_ack(const struct peer *p, uint32_t seq)
{
    const struct peer_leaf *leaf;
    for (size_t from = 0; (leaf = peer_next(p, BR_ACK, &from)) != NULL;) {
        struct br_ack ack;
        assert_int_equal(br_ack_decode(&ack, leaf->body), 0);
        if (ack.seq == seq)
            return true;
    }
    return false;
}

bool peer_heard_nack(const struct peer *p, uint32_t seq)
{
    const struct peer_leaf *leaf;
    for (size_t from = 0; (leaf = peer_next(p, BR_NACK, &from)) != NULL;) {
        struct br_nack nack;
        assert_int_equal(br_nack_decode(&nack, leaf->body), 0);
        if (nack.seq == seq)
            return true;
    }
    return false;
}

void peer_live(struct peer *p, bruit_time duration)
{
    struct world *w = p->world;
    bruit_time end = w->now + duration;
    while (w->now < end) {
        world_run_until(w, br_time_min(end, w->now + BRUIT_MILLISECOND));
        peer_hear(p);
        struct br_ping ping;
        const struct peer_leaf *leaf;
        for (size_t from = 0; (leaf = peer_next(p, BR_PING, &from)) != NULL;)
            if (br_ping_decode(&ping, leaf->body) == 0 && br_bytes_equal(ping.node, world_bytes(p->name))) {
                peer_ack(p, ping.seq);
                (void)peer_send(p);
            }
    }
}

/* ---- streams ---- */

struct br_entry peer_entry(const struct peer *p, const char *name, uint8_t number, uint32_t incarnation,
                           uint8_t state)
{
    return (struct br_entry){.alive = peer_other(p, name, number, incarnation), .state = state};
}

size_t peer_write_state(uint8_t *buffer, size_t capacity, bool join, const struct br_entry *entries,
                        size_t count, struct bruit_bytes state)
{
    struct br_writer w;
    br_writer_init(&w, buffer, capacity);
    br_pushpull_header_encode(&w, &(struct br_pushpull_header){.nodes = (uint32_t)count,
                                                               .user_state_size = (uint32_t)state.size,
                                                               .join = join});
    for (size_t i = 0; i < count; i++)
        br_entry_encode(&w, &entries[i]);
    br_write_bytes(&w, state);
    assert_false(w.failed);
    return br_writer_size(&w);
}

static void read_state(struct bruit_bytes body, struct peer_answer *answer)
{
    struct br_pushpull_reader reader;
    struct br_entry entry;
    size_t consumed;
    br_pushpull_reader_init(&reader);
    for (;;) {
        int step = br_pushpull_read(&reader, body, &consumed, &entry, &answer->state);
        assert_true(step >= 0);
        if (step == BR_PUSHPULL_NEED_MORE || step == BR_PUSHPULL_DONE) {
            if (step == BR_PUSHPULL_NEED_MORE)
                answer->type = PEER_SILENCE;
            break;
        }
        body = br_bytes(body.data + consumed, body.size - consumed);
        if (step == BR_PUSHPULL_ENTRY && answer->count < 64)
            answer->entries[answer->count++] = entry;
    }
    answer->header = reader.header;
}

/* What the answer points to lives in `bodies` of the peer's wire until the peer reads or hears again. */
static void read_line(struct peer *p, const struct world_line *line, bool accepted,
                      struct peer_answer *answer)
{
    struct br_frame_reader reader;
    struct br_frame_message message;
    *answer = (struct peer_answer){.type = line->is_open[0] && line->is_open[1] ? PEER_SILENCE : PEER_CLOSED,
                                   .closed = !(line->is_open[0] && line->is_open[1])};
    br_frame_reader_init(&reader, &p->wire->wire, &p->wire->scratch, accepted);
    if (br_frame_read(&reader, br_bytes(line->bytes, line->size), &message) == BR_FRAME_MESSAGE) {
        assert_true(message.body.size <= sizeof p->wire->bodies);
        memcpy(p->wire->bodies, message.body.data, message.body.size);
        struct bruit_bytes body = br_bytes(p->wire->bodies, message.body.size);
        answer->type = message.type;
        if (message.type == BR_PUSHPULL)
            read_state(body, answer);
        else if (message.type == BR_ACK)
            assert_int_equal(br_ack_decode(&answer->ack, body), 0);
        else if (message.type == BR_ERR) {
            struct br_err err;
            assert_int_equal(br_err_decode(&err, body), 0);
            snprintf(answer->text, sizeof answer->text, "%.*s", (int)err.error.size,
                     (const char *)err.error.data);
        }
    }
    br_frame_reader_fini(&reader);
}

void peer_read_answer(struct peer *p, const struct world_line *line, struct peer_answer *answer)
{
    read_line(p, line, false, answer);
}

void peer_read_request(struct peer *p, const struct world_line *line, struct peer_answer *request)
{
    read_line(p, line, true, request);
}

void peer_ask(struct peer *p, struct bruit_bytes message, struct peer_answer *answer, int *line)
{
    struct br_frame frame = {0};
    int index = world_dial(p->world, p->node, &p->from);
    assert_true(index >= 0);
    assert_int_equal(br_frame_write(&p->wire->wire, &p->wire->scratch, message, true, &frame), 0);
    world_line_write(p->world, &p->world->lines[index], frame.bytes);
    br_frame_free(&frame, &p->wire->alloc);
    peer_read_answer(p, &p->world->lines[index], answer);
    if (line != NULL)
        *line = index;
}

void peer_sync(struct peer *p, bool join, const struct br_entry *entries, size_t count,
               struct peer_answer *answer)
{
    static uint8_t buffer[1 << 20];
    size_t size = peer_write_state(buffer, sizeof buffer, join, entries, count, br_bytes(NULL, 0));
    peer_ask(p, br_bytes(buffer, size), answer, NULL);
}

bool peer_serve(struct peer *p, struct bruit_bytes message, struct peer_answer *request)
{
    struct br_frame frame = {0};
    struct world_line *line = world_line_to(p->world, &p->addr);
    if (line == NULL)
        return false;
    size_t index = (size_t)(line - p->world->lines);
    world_line_opened(p->world, line);
    peer_read_request(p, &p->world->lines[index], request);
    assert_int_equal(br_frame_write(&p->wire->wire, &p->wire->scratch, message, false, &frame), 0);
    world_line_write(p->world, &p->world->lines[index], frame.bytes);
    br_frame_free(&frame, &p->wire->alloc);
    return true;
}
